/** A dashboard: its panels on a grid of 12 columns, and making and changing them. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Answer, type Row, change, get, query } from '../api';
import { count, visible } from '../format';
import { useEvery, useKeys, useLoad } from '../hooks';
import { Code, Empty, Problem } from '../parts/common';
import { Icon } from '../parts/icon';
import { type Panel, Shown, TYPES, type Type, spanOf, stepped } from '../parts/panel';
import { TimePicker, setRange } from '../parts/timepicker';
import { failed, note, now, range, to } from '../state';
import { iso } from '../time';
import { go, href, route, setParams } from '../url';

export interface Doc extends Row {
  name: string;
  title: string;
  rev: number;
}

export const panelsOf = (d: Row): Panel[] => (d.panels ?? []) as unknown as Panel[];

const EVERY: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3 };
const COLUMNS = 12,
  ROW = 70; /* 60 and the gap */
const clamp = (n: number, low: number, high: number) => Math.max(low, Math.min(high, n));
const wide = (p: Panel) => clamp(p.w ?? 6, 2, COLUMNS);
const high = (p: Panel) => clamp(p.h ?? 4, 2, 24);

export function Board({ name }: { name: string }) {
  const { data, error } = useLoad(`dashboard ${name}`, (s) => get<Doc>(`/api/v1/dashboards/${encodeURIComponent(name)}`, {}, s));
  if (error) return <Problem error={error} />;
  return data ? <Panels key={data.rev} doc={data} /> : <p class="dim pad">…</p>;
}

/** When the entries of the range begin and end. */
function useData(): { first: number; last: number } | undefined {
  const { data } = useLoad(`extent ${JSON.stringify(range.value)}`, (s) =>
    query('* | stats min(timestamp) as first, max(timestamp) as last', { ...range.value }, s),
  );
  const first = Date.parse(String(data?.rows[0]?.first)),
    last = Date.parse(String(data?.rows[0]?.last));
  return first <= last ? { first, last } : undefined;
}

function Panels({ doc: stored }: { doc: Doc }) {
  const [doc, setDoc] = useState(stored);
  const [draft, setDraft] = useState<Panel[] | null>(null);
  const [title, setTitle] = useState('');
  const [chosen, choose] = useState(-1);
  const [full, setFull] = useState(false);
  const box = useRef<HTMLDivElement>(null),
    dragged = useRef(-1); /* where the panel is that is being dragged */
  const data = useData(),
    ms = spanOf(data);
  const refresh = route.value.params.refresh ?? String(doc.refresh ?? ''),
    mine = doc.builtin !== true;
  const every = refresh === 'off' ? 0 : parseInt(refresh, 10) * (EVERY[refresh.slice(-1)] ?? 0);
  useEvery(every > 0 ? every : 1e9, () => {
    if (!draft && !to.value) now.value = Date.now();
  });
  const edit = (panels: Panel[]) => {
    setDraft(panels);
    setTitle(doc.title);
  };
  useEffect(() => {
    /* a window of its own, and a new one is opened to be edited */
    if (typeof doc.from === 'string' && doc.from && !route.value.params.from)
      setParams({ from: doc.from, to: typeof doc.to === 'string' ? doc.to : undefined }, true);
    if (route.value.params.edit !== '1') return;
    edit(panelsOf(doc));
    setParams({ edit: undefined }, true);
  }, []);
  useEffect(() => {
    const on = () => setFull(document.fullscreenElement !== null);
    document.addEventListener('fullscreenchange', on);
    return () => document.removeEventListener('fullscreenchange', on);
  }, []);
  const panels = draft ?? panelsOf(doc);
  const save = async () => {
    try {
      setDoc(
        await change<Doc>('PUT', `/api/v1/dashboards/${encodeURIComponent(doc.name)}`, {
          ...doc,
          title: title.trim() || doc.title,
          panels: draft,
        }),
      );
      setDraft(null);
      choose(-1);
      note('saved');
    } catch (e) {
      failed(e);
    }
  };
  const copyOf = async () => {
    try {
      const d = await change<Doc>('POST', '/api/v1/dashboards', {
        title: `${doc.title} (copy)`.slice(0, 128),
        panels,
        refresh: doc.refresh,
      });
      go('dashboards', d.name, { edit: '1' });
    } catch (e) {
      failed(e);
    }
  };
  const leave = () => {
    setDraft(null);
    choose(-1);
  };
  const fit = () => {
    if (!data) return;
    const room = Math.max(1, Math.ceil((data.last - data.first) / 100));
    setRange(iso(data.first - room), iso(data.last + room));
  };
  const put = (i: number, p: Panel) => setDraft((old) => (old ?? []).map((x, n) => (n === i ? p : x)));
  const move = (i: number, to: number) => {
    if (to < 0 || to >= panels.length || to === i) return;
    setDraft((old) => {
      const next = [...(old ?? [])];
      next.splice(to, 0, ...next.splice(i, 1));
      return next;
    });
    if (chosen === i) choose(to);
  };
  const add = (p: Panel, at = panels.length) => {
    setDraft([...panels.slice(0, at), p, ...panels.slice(at)]);
    choose(at);
  };
  useKeys({
    z: fit,
    Escape: () => choose(-1),
    r: () => {
      now.value = Date.now();
    },
    t: () => document.getElementById('time')?.click(),
    e: () => {
      if (mine && !draft) edit(panelsOf(doc));
    },
  });
  const picked = draft?.[chosen];
  return (
    <div class="page boardpage" ref={box}>
      <div class="tools first">
        {draft ? (
          <input
            class="title"
            value={title}
            aria-label="Title of the dashboard"
            maxLength={128}
            onInput={(e) => setTitle((e.currentTarget as HTMLInputElement).value)}
          />
        ) : (
          <h2>{visible(doc.title)}</h2>
        )}
        <span class="fill" />
        {data && ms > 0 && (data.last - data.first) / ms < 0.34 && data.last > data.first && (
          <button type="button" class="fit" title="Only the time that has entries (z)" onClick={fit}>
            Zoom to data <kbd>z</kbd>
          </button>
        )}
        {draft ? (
          <>
            <button type="button" onClick={() => add({ title: 'New panel', type: 'table', q: '* | top 10 agent', w: 6, h: 4 })}>
              Add a panel
            </button>
            <button type="button" class="run" onClick={() => void save()}>
              Save
            </button>
            <button type="button" onClick={leave}>
              Cancel
            </button>
          </>
        ) : (
          <>
            {mine ? (
              <button type="button" title="e" onClick={() => edit(panelsOf(doc))}>
                Edit
              </button>
            ) : (
              <button type="button" onClick={() => void copyOf()}>
                Copy to change it
              </button>
            )}
            <label class="small">
              refresh{' '}
              <select
                value={refresh || 'off'}
                onChange={(e) => {
                  const v = (e.currentTarget as HTMLSelectElement).value;
                  setParams({ refresh: v === String(doc.refresh ?? 'off') ? undefined : v }, true);
                }}
              >
                {[...new Set(['off', '5s', '30s', '1m', '5m', ...(refresh ? [refresh] : [])])].map((v) => (
                  <option key={v} value={v}>
                    {v}
                  </option>
                ))}
              </select>
            </label>
            <button
              type="button"
              aria-pressed={full}
              title={full ? 'Leave full screen' : 'Full screen'}
              aria-label="Full screen"
              onClick={() => void (full ? document.exitFullscreen() : box.current?.requestFullscreen())}
            >
              <Icon name="full" />
            </button>
          </>
        )}
        <TimePicker />
      </div>
      {draft && panels.length > 0 && (
        <p class="hint dim">
          Drag a panel by its title, or pick it and press the arrow keys; its corner, or Shift with them, makes it larger.
        </p>
      )}
      {!panels.length && !draft && (
        <Empty title="An empty dashboard">
          <p>Edit it and add a panel: any query can be one. Or fill it from a file:</p>
          <Code text={`fleetlog dashboards show overview --json > mine.json\nfleetlog dashboards apply mine.json`} />
        </Empty>
      )}
      <div class="across">
        <div class="board">
          {panels.map((p, i) => (
            <Frame
              key={i}
              panel={p}
              ms={ms}
              index={i}
              editing={draft !== null}
              chosen={i === chosen}
              last={panels.length - 1}
              dragged={dragged}
              onChoose={() => choose(i)}
              onMove={(to, from = i) => move(from, to)}
              onChange={(x) => put(i, x)}
              onCopy={() => add({ ...p }, i + 1)}
              onDrop={() => {
                setDraft(panels.filter((_x, n) => n !== i));
                choose(-1);
              }}
            />
          ))}
        </div>
        {picked && <Editor key={chosen} panel={picked} onChange={(x) => put(chosen, x)} onClose={() => choose(-1)} />}
      </div>
    </div>
  );
}

function Frame({
  panel,
  ms,
  index,
  editing,
  chosen,
  last,
  dragged,
  onChoose,
  onMove,
  onChange,
  onCopy,
  onDrop,
}: {
  panel: Panel;
  ms: number;
  index: number;
  editing: boolean;
  chosen: boolean;
  last: number;
  dragged: { current: number };
  onChoose: () => void;
  onMove: (to: number, from?: number) => void;
  onChange: (p: Panel) => void;
  onCopy: () => void;
  onDrop: () => void;
}) {
  const box = useRef<HTMLElement>(null);
  const [rows, setRows] = useState(-1);
  const { step } = stepped(panel.q, ms);
  const size = (w: number, h: number) => onChange({ ...panel, w: clamp(w, 2, COLUMNS), h: clamp(h, 2, 24) });
  const keys = (e: KeyboardEvent) => {
    const dx = e.key === 'ArrowLeft' ? -1 : e.key === 'ArrowRight' ? 1 : 0,
      dy = e.key === 'ArrowUp' ? -1 : e.key === 'ArrowDown' ? 1 : 0;
    if (!dx && !dy) {
      if (e.key === 'Delete') onDrop();
      return;
    }
    e.preventDefault();
    if (e.shiftKey) size(wide(panel) + dx, high(panel) + dy);
    else if (index + dx + dy >= 0 && index + dx + dy <= last) {
      const grips = box.current?.parentElement?.querySelectorAll<HTMLElement>('.grip');
      onMove(index + dx + dy);
      requestAnimationFrame(() => grips?.[index + dx + dy]?.focus());
    }
  };
  /* the dragged panel goes where the pointer is; the title that was pressed gets the events, whatever it shows by now */
  const pull = (e: PointerEvent) => {
    if (dragged.current < 0) return;
    const under = document.elementFromPoint(e.clientX, e.clientY)?.closest('.panel');
    const at = under ? [...(box.current?.parentElement?.children ?? [])].indexOf(under) : -1;
    if (at < 0 || at === dragged.current) return;
    onMove(at, dragged.current);
    dragged.current = at;
  };
  const stretch = (down: PointerEvent) => {
    down.preventDefault();
    down.stopPropagation();
    const corner = down.currentTarget as HTMLElement,
      column = (box.current?.offsetWidth ?? 100) / wide(panel),
      w = wide(panel),
      h = high(panel);
    corner.setPointerCapture(down.pointerId);
    corner.onpointermove = (e) =>
      size(w + Math.round((e.clientX - down.clientX) / column), h + Math.round((e.clientY - down.clientY) / ROW));
    corner.onpointerup = () => {
      corner.onpointermove = corner.onpointerup = null;
    };
  };
  const name = visible(panel.title) || 'Panel';
  return (
    <section
      ref={box}
      class={`panel ${chosen ? 'chosen' : ''}`}
      aria-label={name}
      style={{ gridColumn: `span ${wide(panel)}`, gridRow: `span ${high(panel)}` }}
    >
      <header>
        {editing ? (
          <>
            <button
              type="button"
              class="grip"
              aria-label={`Move or size ${name}`}
              onKeyDown={keys}
              onClick={onChoose}
              onPointerDown={(e) => {
                dragged.current = index;
                (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
              }}
              onPointerMove={pull}
              onPointerUp={() => {
                dragged.current = -1;
              }}
            >
              {visible(panel.title) || '(no title)'}
            </button>
            <span class="fill" />
            <button type="button" aria-label="Edit" title="Edit" onClick={onChoose}>
              ✎
            </button>
            <button type="button" aria-label="Earlier" title="Earlier" onClick={() => onMove(index - 1)}>
              ←
            </button>
            <button type="button" aria-label="Later" title="Later" onClick={() => onMove(index + 1)}>
              →
            </button>
            <button type="button" aria-label="Duplicate" title="Duplicate" onClick={onCopy}>
              <Icon name="copy" />
            </button>
            <button type="button" aria-label="Remove" title="Remove" onClick={onDrop}>
              ×
            </button>
          </>
        ) : (
          <>
            <h3>{visible(panel.title)}</h3>
            {step && <span class="small">per {step}</span>}
            {panel.type === 'logs' && rows === 100 && <span class="small">newest {count(rows)}</span>}
            <span class="fill" />
            <a
              href={href('explore', '', { q: panel.q, from: route.value.params.from, to: route.value.params.to })}
              title="Open in Explore"
              aria-label={`Open ${name} in Explore`}
            >
              <Icon name="explore" />
            </a>
          </>
        )}
      </header>
      <Shown panel={panel} ms={ms} onLoad={(a: Answer) => setRows(a.rows.length)} />
      {editing && <span class="corner" onPointerDown={stretch} aria-hidden="true" />}
    </section>
  );
}

const ABOUT: Record<Type, string> = {
  line: 'figures over time',
  bar: 'figures over time, or of names',
  table: 'rows as they are',
  number: 'the figures of the first row',
  heatmap: 'two columns across each other',
  logs: 'entries',
};
const EXAMPLES: Record<Type, string> = {
  line: 'duration_ms:* | stats p50(duration_ms) as p50, p95(duration_ms) as p95 by time(1m)',
  bar: '* | timeline by level',
  table: '* | top 10 agent',
  number: 'level:error | stats count() as errors',
  heatmap: '* | stats count() as entries by time(1h), agent',
  logs: 'level:error',
};

function Editor({ panel, onChange, onClose }: { panel: Panel; onChange: (p: Panel) => void; onClose: () => void }) {
  const [text, setText] = useState(panel.q);
  const latest = useRef(panel);
  latest.current = panel;
  useEffect(() => {
    /* what is being typed is asked when the typing pauses */
    if (text === latest.current.q) return undefined;
    const timer = setTimeout(() => onChange({ ...latest.current, q: text }), 350);
    return () => clearTimeout(timer);
  }, [text]);
  const of = (e: Event) => (e.currentTarget as HTMLInputElement).value;
  const o = panel.options ?? {};
  const option = (name: 'x' | 'y' | 'by' | 'columns' | 'unit', v: string) => {
    const { [name]: _old, ...rest } = o,
      list = v
        .split(',')
        .map((x) => x.trim())
        .filter(Boolean);
    const value = name === 'columns' ? list : name === 'y' && list.length > 1 ? list : v.trim();
    onChange({ ...panel, options: v.trim() ? { ...rest, [name]: value } : rest });
  };
  const flag = (name: 'stack' | 'log', v: boolean) => {
    const { [name]: _old, ...rest } = o;
    onChange({ ...panel, options: v ? { ...rest, [name]: true } : rest });
  };
  const list = (v: string | string[] | undefined) => (Array.isArray(v) ? v.join(', ') : (v ?? ''));
  return (
    <aside class="editor" aria-label="Panel">
      <header>
        <h3>Panel</h3>
        <span class="fill" />
        <button type="button" aria-label="Close" onClick={onClose}>
          ×
        </button>
      </header>
      <label>
        Title <input value={panel.title} maxLength={128} onInput={(e) => onChange({ ...panel, title: of(e) })} />
      </label>
      <label>
        Shown as{' '}
        <select value={panel.type} onChange={(e) => onChange({ ...panel, type: of(e) as Type })}>
          {TYPES.map((t) => (
            <option key={t} value={t}>
              {t}
            </option>
          ))}
        </select>
      </label>
      <p class="dim">{ABOUT[panel.type]}</p>
      <label>
        Query <textarea value={text} rows={5} spellcheck={false} onInput={(e) => setText(of(e))} />
      </label>
      <p class="dim">
        For example{' '}
        <button type="button" class="link mono" onClick={() => setText(EXAMPLES[panel.type])}>
          {EXAMPLES[panel.type]}
        </button>
      </p>
      <div class="pair">
        <label>
          Width{' '}
          <input
            type="number"
            min={2}
            max={12}
            value={wide(panel)}
            onChange={(e) => onChange({ ...panel, w: clamp(Number(of(e)), 2, 12) })}
          />
        </label>
        <label>
          Height{' '}
          <input
            type="number"
            min={2}
            max={24}
            value={high(panel)}
            onChange={(e) => onChange({ ...panel, h: clamp(Number(of(e)), 2, 24) })}
          />
        </label>
      </div>
      {panel.type === 'table' || panel.type === 'logs' ? (
        <label>
          Columns <input value={list(o.columns)} placeholder="all" onChange={(e) => option('columns', of(e))} />
        </label>
      ) : null}
      {panel.type !== 'logs' && (
        <>
          <label>
            Figures <input value={list(o.y)} placeholder="all that are numbers" onChange={(e) => option('y', of(e))} />
          </label>
          <label>
            Unit{' '}
            <select value={o.unit ?? ''} onChange={(e) => option('unit', of(e))}>
              <option value="">none</option>
              {[...new Set(['ms', 'usd', 'bytes', 'percent', ...(o.unit ? [o.unit] : [])])].map((u) => (
                <option key={u} value={u}>
                  {u}
                </option>
              ))}
            </select>
          </label>
        </>
      )}
      {panel.type === 'bar' && (
        <label>
          Split by <input value={list(o.by)} placeholder="a column" onChange={(e) => option('by', of(e))} />
        </label>
      )}
      {panel.type === 'line' && (
        <label class="check">
          <input type="checkbox" checked={o.log === true} onChange={(e) => flag('log', (e.currentTarget as HTMLInputElement).checked)} />{' '}
          logarithmic axis
        </label>
      )}
    </aside>
  );
}
