/** Dashboards of panels, each a query shown as lines, bars, a table, a number, a heat map or entries; and views
 *  that were saved. */
import { useEffect, useState } from 'preact/hooks';
import { type Answer, ApiError, type Row, change, get, query } from '../api';
import { bytes, clock, count, duration, money, plain, short, visible } from '../format';
import { useEvery, useLoad } from '../hooks';
import { Bars, Chart, Heat } from '../parts/chart';
import { Empty, Level, Problem, Tabs } from '../parts/common';
import { Icon } from '../parts/icon';
import { summary } from '../parts/rows';
import { Table } from '../parts/table';
import { TimePicker } from '../parts/timepicker';
import { note, now, range, to } from '../state';
import { go, href, route, setParams } from '../url';

const TYPES = ['line', 'bar', 'table', 'number', 'heatmap', 'logs'] as const;
type Type = (typeof TYPES)[number];

interface Panel {
  title: string;
  type: Type;
  q: string;
  w?: number; /* of 12 */
  h?: number; /* rows of 60 pixels */
  options?: { x?: string; y?: string | string[]; by?: string; columns?: string[]; unit?: string };
}
interface Doc extends Row {
  name: string;
  title: string;
  rev: number;
}

const panelsOf = (d: Row): Panel[] => (d.panels ?? []) as unknown as Panel[];
const failed = (e: unknown) => note(e instanceof ApiError ? `${e.message} ${e.hint}` : String(e), true);

export function Dashboards() {
  return route.value.id ? <One key={route.value.id} name={route.value.id} /> : <List />;
}

function List() {
  const [view, setView] = useState<'dashboards' | 'saved'>('dashboards');
  const boards = useLoad(`dashboards ${now.value}`, (s) => get<{ dashboards: Doc[] }>('/api/v1/dashboards', {}, s));
  const saved = useLoad(`saved ${now.value}`, (s) => get<{ saved: Doc[] }>('/api/v1/saved', {}, s));
  const make = async () => {
    const title = prompt('Title of the dashboard');
    if (!title) return;
    try {
      const d = await change<Doc>('POST', '/api/v1/dashboards', { title, panels: [] });
      go('dashboards', d.name, { edit: '1' });
    } catch (e) {
      failed(e);
    }
  };
  const drop = async (kind: string, d: Doc) => {
    if (!confirm(`Delete "${d.title}"?`)) return;
    try {
      await change('DELETE', `/api/v1/${kind}/${encodeURIComponent(d.name)}`);
      now.value = Date.now();
    } catch (e) {
      failed(e);
    }
  };
  return (
    <div class="page">
      <div class="tools first">
        <Tabs label="Parts" value={view} onPick={setView} options={[['dashboards', 'Dashboards'], ['saved', 'Saved views']]} />
        <span class="fill" />
        {view === 'dashboards' && <button type="button" onClick={() => void make()}>New dashboard</button>}
      </div>
      <Problem error={view === 'dashboards' ? boards.error : saved.error} />
      {view === 'dashboards' ? (
        <ul class="cards">
          {(boards.data?.dashboards ?? []).map((d) => (
            <li key={d.name}>
              <a href={href('dashboards', d.name)}><b>{visible(d.title)}</b>
                <span class="dim">{d.builtin === true ? 'comes with fleetlog' : `by ${plain(d.changed_by) || 'someone'}`}</span></a>
              {d.builtin !== true && <button type="button" aria-label={`Delete ${visible(d.title)}`} onClick={() => void drop('dashboards', d)}>×</button>}
            </li>
          ))}
        </ul>
      ) : saved.data && !saved.data.saved.length ? (
        <Empty title="No saved views"><p>Save what you look at, from the commands (Ctrl K): the page with its query, range and columns.</p></Empty>
      ) : (
        <ul class="cards">
          {(saved.data?.saved ?? []).map((d) => {
            const params = (d.params ?? {}) as Record<string, string>;
            return (
              <li key={d.name}>
                <a href={href(String(d.page ?? 'explore'), String(d.id ?? ''), params)}><b>{visible(d.title)}</b>
                  <span class="dim mono">{d.id ? plain(`${String(d.page)} ${String(d.id)}`) : plain(params.q)}</span></a>
                <button type="button" aria-label={`Delete ${visible(d.title)}`} onClick={() => void drop('saved', d)}>×</button>
              </li>
            );
          })}
        </ul>
      )}
    </div>
  );
}

function One({ name }: { name: string }) {
  const { data, error } = useLoad(`dashboard ${name} ${now.value}`, (s) => get<Doc>(`/api/v1/dashboards/${encodeURIComponent(name)}`, {}, s));
  const [draft, setDraft] = useState<Panel[] | null>(null);
  const every = { s: 1e3, m: 60e3, h: 3600e3 }[/[smh]$/.exec(String(data?.refresh ?? ''))?.[0] as 's'] ?? 0;
  useEvery(every ? parseInt(String(data?.refresh), 10) * every : 1e9, () => { if (!draft && !to.value) now.value = Date.now(); });
  useEffect(() => {
    if (typeof data?.from === 'string' && data.from && !route.value.params.from) setParams({ from: data.from, to: typeof data.to === 'string' ? data.to : undefined }, true);
  }, [data]);
  useEffect(() => { /* a new one is opened to be edited */
    if (!data || route.value.params.edit !== '1') return;
    setDraft(panelsOf(data));
    setParams({ edit: undefined }, true);
  }, [data]);
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const panels = draft ?? panelsOf(data);
  const save = async () => {
    try {
      await change('PUT', `/api/v1/dashboards/${encodeURIComponent(name)}`, { ...data, panels: draft });
      setDraft(null);
      now.value = Date.now();
      note('saved');
    } catch (e) {
      failed(e);
    }
  };
  const copyOf = async () => {
    try {
      const d = await change<Doc>('POST', '/api/v1/dashboards', { title: `${data.title} (copy)`.slice(0, 128), panels: panelsOf(data) });
      go('dashboards', d.name);
    } catch (e) {
      failed(e);
    }
  };
  const put = (i: number, p: Panel | null, by = 0) => setDraft((old) => {
    const next = [...(old ?? panels)];
    if (by) next.splice(Math.max(0, Math.min(next.length - 1, i + by)), 0, ...next.splice(i, 1));
    else if (p) next[i] = p;
    else next.splice(i, 1);
    return next;
  });
  return (
    <div class="page">
      <div class="tools first">
        <h2>{visible(data.title)}</h2>
        <span class="fill" />
        {draft ? (
          <>
            <button type="button" onClick={() => setDraft([...panels, { title: 'New panel', type: 'table', q: '* | top 10 agent', w: 6, h: 4 }])}>Add a panel</button>
            <button type="button" class="run" onClick={() => void save()}>Save</button>
            <button type="button" onClick={() => setDraft(null)}>Cancel</button>
          </>
        ) : data.builtin === true ? <button type="button" onClick={() => void copyOf()}>Copy to change it</button>
          : <button type="button" onClick={() => setDraft(panelsOf(data))}>Edit</button>}
        <TimePicker />
      </div>
      {!panels.length && <Empty title="An empty dashboard"><p>Edit it and add a panel: any query can be one.</p></Empty>}
      <div class="board">
        {panels.map((p, i) => (
          <section key={i} class="panel" style={{ gridColumn: `span ${Math.max(2, Math.min(12, p.w ?? 6))}`, gridRow: `span ${Math.max(2, Math.min(24, p.h ?? 4))}` }}>
            <header>
              <h3>{visible(p.title)}</h3>
              <span class="fill" />
              {draft ? (
                <>
                  <button type="button" aria-label="Earlier" onClick={() => put(i, null, -1)}>←</button>
                  <button type="button" aria-label="Later" onClick={() => put(i, null, 1)}>→</button>
                  <button type="button" aria-label="Remove" onClick={() => put(i, null)}>×</button>
                </>
              ) : <a href={href('explore', '', { q: p.q, from: route.value.params.from })} title="Open the query"><Icon name="explore" /></a>}
            </header>
            {draft && <Editor panel={p} onChange={(to) => put(i, to)} />}
            <Shown panel={p} />
          </section>
        ))}
      </div>
    </div>
  );
}

function Editor({ panel, onChange }: { panel: Panel; onChange: (p: Panel) => void }) {
  const of = (e: Event) => (e.currentTarget as HTMLInputElement).value;
  return (
    <div class="editor">
      <input value={panel.title} aria-label="Title" onChange={(e) => onChange({ ...panel, title: of(e) })} />
      <select value={panel.type} aria-label="Shown as" onChange={(e) => onChange({ ...panel, type: of(e) as Type })}>
        {TYPES.map((t) => <option key={t} value={t}>{t}</option>)}
      </select>
      <input type="number" min={2} max={12} value={panel.w ?? 6} aria-label="Width" onChange={(e) => onChange({ ...panel, w: Number(of(e)) })} />
      <input type="number" min={2} max={12} value={panel.h ?? 4} aria-label="Height" onChange={(e) => onChange({ ...panel, h: Number(of(e)) })} />
      <textarea value={panel.q} aria-label="Query" rows={2} spellcheck={false} onChange={(e) => onChange({ ...panel, q: of(e) })} />
    </div>
  );
}

function Shown({ panel }: { panel: Panel }) {
  const { data, error } = useLoad(`panel ${JSON.stringify([panel.q, range.value])}`, (s) => query(panel.q, { ...range.value, limit: panel.type === 'logs' ? 100 : 5000 }, s));
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  return <div class="shown"><Figure panel={panel} data={data} /></div>;
}

/** The columns that the panel's options ask for, or all. */
function columnsOf(panel: Panel, data: Answer): string[] {
  const all = data.columns.length ? data.columns : data.rows[0] ? Object.keys(data.rows[0]) : [];
  const o = panel.options ?? {};
  const wanted = panel.type === 'table' ? o.columns ?? [] : [o.x, o.by, ...(Array.isArray(o.y) ? o.y : [o.y])].filter((c): c is string => !!c);
  const there = wanted.filter((c) => all.includes(c));
  return o.y === undefined && panel.type !== 'table' ? all : there.length ? there : all;
}

function unitOf(panel: Panel): (n: number) => string {
  switch (panel.options?.unit) {
    case 'ms': return duration;
    case 'usd': return money;
    case 'bytes': return bytes;
    case 'percent': return (n) => n.toFixed(1) + ' %';
    case undefined: return short;
    default: return (n) => `${short(n)} ${panel.options?.unit}`;
  }
}

function Figure({ panel, data }: { panel: Panel; data: Answer }) {
  const columns = columnsOf(panel, data), unit = unitOf(panel);
  if (!data.rows.length) return <p class="dim pad">Nothing in this range.</p>;
  switch (panel.type) {
    case 'line': return <Chart columns={columns} rows={data.rows} bars={false} label={panel.title} unit={unit} />;
    case 'bar': return columns.some((c) => /T\d\d:/.test(String((data.rows[0] as Row)[c])))
      ? <Chart columns={columns} rows={data.rows} bars label={panel.title} unit={unit} /> : <Bars columns={columns} rows={data.rows} label={panel.title} unit={unit} />;
    case 'heatmap': return <Heat columns={columns} rows={data.rows} label={panel.title} />;
    case 'number': return <BigNumber columns={columns} rows={data.rows} unit={unit} />;
    case 'logs': return (
      <div class="tail">
        {data.rows.map((r) => (
          <a key={String(r.seq)} class={`line ${String(r.level)}`} href={href('entry', String(r.id))}>
            <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} /> <b>{plain(r.agent)}</b> {summary(r).slice(0, 300)}
          </a>
        ))}
      </div>
    );
    default: return <Table label={panel.title} columns={columns} rows={data.rows} />;
  }
}

function BigNumber({ columns, rows, unit }: { columns: string[]; rows: Row[]; unit: (n: number) => string }) {
  const row = rows[0] as Row;
  return (
    <div class="bignumbers">
      {columns.filter((c) => typeof row[c] === 'number').slice(0, 4).map((c) => (
        <div key={c}><b title={count(Number(row[c]))}>{unit(Number(row[c]))}</b><span class="dim">{plain(c)}</span></div>
      ))}
    </div>
  );
}

/** Saves the present page under a title. */
export async function saveView(): Promise<void> {
  const title = prompt('Save this view as');
  if (!title) return;
  const { page, id, params } = route.value;
  const { open: _open, ...kept } = params;
  try {
    await change('POST', '/api/v1/saved', { title, page, ...(id ? { id } : {}), params: kept });
    note('saved');
  } catch (e) {
    failed(e);
  }
}
