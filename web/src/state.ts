/** What several parts of a page look at; all of it comes out of the address. */
import { computed, effect, signal } from '@preact/signals';
import { ApiError, type Range, query } from './api';
import { PRESETS, instant } from './time';
import { route } from './url';

/** Set again whenever relative times should be reckoned anew: a new query, refresh. */
export const now = signal(Date.now());
let place = '';
effect(() => {
  /* whoever goes on sees what came since */
  const r = route.value,
    here = JSON.stringify([r.page, r.id, r.params.q]);
  if (here !== place) now.value = Date.now();
  place = here;
});
export const q = computed(() => route.value.params.q ?? '');
const usual = signal('now-24h');
export const from = computed(() => route.value.params.from ?? usual.value);
export const to = computed(() => route.value.params.to ?? '');

/** The range for a request: relative times are resolved once, so that all parts of a page agree. */
export const range = computed<Range>(() => ({ start: resolve(from.value), end: resolve(to.value) }));

function resolve(text: string): string | undefined {
  if (!text || text === 'all') return undefined;
  const m = /^now(?:-(\d+)([smhdw]))?$/.exec(text);
  if (!m) return text;
  const unit = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 }[m[2] as 's'] ?? 0;
  return new Date(now.value - Number(m[1] ?? 0) * unit).toISOString();
}

/** The range where the address names none. Ten minutes of a new fleet are a speck in a day, and one that stopped last
 *  week is not in it: the shortest preset that holds what the last day has, or else the newest entry. */
export async function settle(): Promise<void> {
  const at = Date.now(),
    day = 86400e3;
  const [old, young] = await Promise.all([query('*', { start: 'now-24h', order: 'asc', limit: 1 }), query('*', { limit: 1 })]).catch(
    () => [],
  );
  const t = (old?.rows[0] ?? young?.rows[0])?.timestamp;
  if (typeof t !== 'string') return;
  /* with room to spare: what just fits is gone with the next refresh */
  const need = old?.rows.length ? Math.min(day, (at - Date.parse(t)) * 1.2) : at - Date.parse(t);
  const fits = PRESETS.slice(1).find(([start]) => at - (instant(start, at) ?? -Infinity) >= need);
  usual.value = fits?.[0] || 'all';
}

/** A choice kept in the browser. Without storage it lasts as long as the page. */
function kept<T extends string>(name: string, initial: T) {
  let value = initial;
  try {
    value = (localStorage.getItem('fleetlog.' + name) as T | null) ?? initial;
  } catch {
    /* storage may be forbidden */
  }
  const s = signal<T>(value);
  effect(() => {
    try {
      localStorage.setItem('fleetlog.' + name, s.value);
    } catch {
      /* as above */
    }
  });
  return s;
}

export const theme = kept<'system' | 'light' | 'dark'>('theme', 'system');
export const wrap = kept<'off' | 'on'>('wrap', 'off');
export const density = kept<'compact' | 'comfortable'>('density', 'compact');

/** The queries that were run here, the last one first. */
const queries = kept<string>('queries', '[]');
export function asked(): string[] {
  try {
    return (JSON.parse(queries.value) as unknown[]).filter((q): q is string => typeof q === 'string');
  } catch {
    return [];
  }
}

export function remember(q: string): void {
  if (q) queries.value = JSON.stringify([q, ...asked().filter((x) => x !== q)].slice(0, 50));
}

const narrow = matchMedia('(max-width: 760px)').matches;
export const facetsOpen = kept<'yes' | 'no'>(narrow ? 'facets.narrow' : 'facets', narrow ? 'no' : 'yes');

/** Read by what is drawn on a canvas: its colours are those of the moment. */
export const colours = signal(0);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  colours.value++;
});

effect(() => {
  const root = document.documentElement;
  if (theme.value === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme.value;
  colours.value = colours.peek() + 1;
});

/** Short notes at the edge of the page. */
export const notes = signal<{ id: number; text: string; bad: boolean }[]>([]);
let noteId = 0;

export function note(text: string, bad = false): void {
  const id = ++noteId;
  notes.value = [...notes.value.slice(-3), { id, text, bad }];
  setTimeout(
    () => {
      notes.value = notes.value.filter((n) => n.id !== id);
    },
    bad ? 8000 : 3000,
  );
}

/** What a change was answered with. */
export function failed(e: unknown): void {
  note(e instanceof ApiError ? `${e.message} ${e.hint}`.trim() : String(e), true);
}

export async function copy(text: string, what = 'copied'): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    note(what);
  } catch {
    note('The browser does not let this page copy', true);
  }
}

/** What the list of a page holds, for whoever opened one of it and wants the next. */
let list: { page: string; ids: string[] } = { page: '', ids: [] };

export function listed(page: string, ids: string[]): void {
  list = { page, ids };
}

export function neighbour(page: string, id: string, by: number): string | undefined {
  const i = list.page === page ? list.ids.indexOf(id) : -1;
  return i < 0 ? undefined : list.ids[i + by];
}
