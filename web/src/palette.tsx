/** Going anywhere by its name: pages, and what the server knows by a name: agents, boards, saved views, issues,
 *  sessions, alert rules. What was looked at last comes first. */
import { useState } from 'preact/hooks';
import { type Row, get, values } from './api';
import { plain, visible } from './format';
import { useLoad } from './hooks';
import { theme } from './state';
import { go, href } from './url';

export interface Place {
  name: string;
  kind: string;
  run: () => void;
}

const recent: { hash: string; name: string; kind: string }[] = [];

/** A page was looked at; `name` is what it is called there. */
export function visited(name: string, kind: string): void {
  const hash = location.hash,
    key = hash.replace(/\?.*$/, '');
  const old = recent.findIndex((r) => r.hash.replace(/\?.*$/, '') === key);
  if (old >= 0) recent.splice(old, 1);
  recent.unshift({ hash, name, kind });
  recent.length = Math.min(recent.length, 12);
}

const SHOWN = 40;

/** Everything with a name; what a key may not see is left out. */
async function named(signal: AbortSignal): Promise<Place[]> {
  const to = (kind: string, page: string, id: string, name = id): Place => ({ kind, name: plain(name), run: () => go(page, id) });
  const all = await Promise.allSettled([
    values('agent', '', {}, 200, signal).then((a) => a.values.map((v) => to('agent', 'agents', String(v.value)))),
    values('tool', '', {}, 200, signal).then((a) => a.values.map((v) => to('tool', 'tools', String(v.value)))),
    values('model', '', {}, 100, signal).then((a) => a.values.map((v) => to('model', 'models', String(v.value)))),
    get<{ dashboards: Row[] }>('/api/v1/dashboards', {}, signal).then((a) =>
      a.dashboards.map((d) => to('board', 'dashboards', String(d.name), String(d.title))),
    ),
    get<{ saved: Row[] }>('/api/v1/saved', {}, signal).then((a) =>
      a.saved.map((d) => ({
        kind: 'saved view',
        name: plain(d.title),
        run: () => go(String(d.page ?? 'explore'), String(d.id ?? ''), (d.params ?? {}) as Record<string, string>),
      })),
    ),
    get<{ alerts: Row[] }>('/api/v1/alerts', {}, signal).then((a) => a.alerts.map((r) => to('alert', 'alerts', String(r.name)))),
    get<{ issues: Row[] }>('/api/v1/issues', { limit: 200 }, signal).then((a) =>
      a.issues.map((i) => to('issue', 'issues', String(i.id), String(i.title))),
    ),
    values('session_id', '', {}, 1000, signal).then((a) => a.values.map((v) => to('session', 'sessions', String(v.value)))),
  ]);
  return all.flatMap((r) => (r.status === 'fulfilled' ? r.value : []));
}

export function Palette({ pages, onClose }: { pages: Place[]; onClose: () => void }) {
  const [find, setFind] = useState('');
  const [at, setAt] = useState(0);
  const { data, loading } = useLoad('places', named);
  const text = find.trim(),
    words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fixed: Place[] = [
    ...pages,
    { kind: 'entries', name: 'Errors of the last hour', run: () => go('explore', '', { q: 'level:error', from: 'now-1h' }) },
    ...(['dark', 'light', 'system'] as const).map((t) => ({
      kind: 'theme',
      name: `Theme: ${t === 'system' ? 'as the system' : t}`,
      run: () => {
        theme.value = t;
      },
    })),
  ];
  let shown: Place[];
  if (!words.length) {
    const before = recent
      .filter((r) => r.hash !== location.hash)
      .slice(0, 6)
      .map((r) => ({
        kind: r.kind,
        name: r.name,
        run: () => {
          location.hash = r.hash;
        },
      }));
    shown = [...before, ...fixed.filter((f) => !before.some((b) => b.name === f.name))];
  } else {
    const rank = (p: Place) => (p.name.toLowerCase().startsWith(words[0] as string) ? 0 : 1);
    const fits = (p: Place) => words.every((w) => `${p.name} ${p.kind}`.toLowerCase().includes(w));
    const there = (data ?? []).filter(fits);
    /* what merely holds the words comes after searching for them: Enter does not depend on what was loaded by then */
    shown = [
      ...fixed.filter(fits).sort((a, b) => rank(a) - rank(b)),
      ...there.filter((p) => !rank(p)),
      { kind: 'entries', name: `Search for ${text}`, run: () => go('explore', '', { q: text }) },
      ...there.filter(rank),
    ].slice(0, SHOWN);
    if (/^[\w.:-]{6,}$/.test(text)) {
      shown.push({ kind: 'session', name: `Session ${text}`, run: () => go('sessions', text) });
      shown.push({ kind: 'trace', name: `Trace ${text}`, run: () => go('traces', text) });
    }
  }
  const run = (i: number) => {
    onClose();
    shown[i]?.run();
  };
  const step = (by: number) => setAt((at + by + shown.length) % Math.max(1, shown.length));
  return (
    <>
      <input
        class="find"
        type="search"
        value={find}
        placeholder="A page, agent, board, issue, session, or something to search for"
        aria-label="Go to"
        role="combobox"
        aria-expanded="true"
        aria-controls="places"
        aria-activedescendant={`place-${at}`}
        onInput={(e) => {
          setFind((e.currentTarget as HTMLInputElement).value);
          setAt(0);
        }}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown') step(1);
          else if (e.key === 'ArrowUp') step(-1);
          else if (e.key === 'Enter') run(at);
          else return;
          e.preventDefault();
        }}
      />
      <ul class="palette" id="places" role="listbox" aria-label="Places" aria-busy={loading}>
        {shown.map((p, i) => (
          <li
            key={`${p.kind} ${p.name} ${i}`}
            id={`place-${i}`}
            role="option"
            aria-selected={i === at}
            class={i === at ? 'on' : ''}
            ref={(e) => {
              if (e && i === at) e.scrollIntoView({ block: 'nearest' });
            }}
            onClick={() => run(i)}
          >
            <span class="what">{visible(p.name)}</span>
            <span class="kind">{p.kind}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Where a page of the palette leads. */
export const place = (name: string, title: string): Place => ({
  kind: 'page',
  name: title,
  run: () => {
    location.hash = href(name);
  },
});
