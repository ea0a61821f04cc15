/** Search: a query, its histogram, fields beside it, and the entries or the table it gives. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { type Answer, ApiError, type Json, type Row, query, timeline } from '../api';
import { ago, bytes, count, duration, visible } from '../format';
import { useKeys, useLoad } from '../hooks';
import { Code, Empty, Level, Problem, Tabs } from '../parts/common';
import { Detail } from '../parts/detail';
import { Facets } from '../parts/facets';
import { Histogram } from '../parts/histogram';
import { QueryBar } from '../parts/querybar';
import { type Column, Pages, Rows, columnsFrom, columnsText } from '../parts/rows';
import { Table } from '../parts/table';
import { TimePicker, setRange } from '../parts/timepicker';
import { filterOf, patternTerm, pipesOf, term, toggle } from '../query';
import { facetsOpen, now, q, range, wrap } from '../state';
import { iso } from '../time';
import { route, setParams } from '../url';
import { saveView } from './dashboards';

type View = 'rows' | 'patterns';

export function Explore() {
  const text = q.value, at = range.value, params = route.value.params;
  const stamp = JSON.stringify([text, at]);
  const filter = filterOf(text), piped = pipesOf(text) !== '';
  const view = (params.view as View) || 'rows';
  const by = params.by || 'level';
  const columns = columnsFrom(params.cols);
  const [hidden, setHidden] = useState<Set<string>>(new Set());
  const hist = useLoad(`hist ${by} ${JSON.stringify([filter, at])}`, (s) => timeline(filter, by, at, undefined, s));
  const table = useLoad(piped || view === 'patterns' ? `table ${view} ${stamp}` : 'none', (s) =>
    piped ? query(text, at, s) : view === 'patterns' ? query(`${filter || '*'} | patterns 200`, at, s)
      : Promise.resolve(undefined as Answer | undefined));
  const error = piped ? table.error : hist.error;
  const run = (to: string) => {
    now.value = Date.now();
    setParams({ q: to, open: undefined });
  };
  const onTerm = (t: string, negate: boolean) => run(toggle(text, t, negate));
  const setColumns = (c: Column[]) => setParams({ cols: columnsText(c) }, true);
  const onColumn = (name: string) => setColumns(columns.some((c) => c.name === name)
    ? columns.filter((c) => c.name !== name)
    : [...columns.slice(0, -1), { name, width: 130 }, ...columns.slice(-1)]);
  useKeys({
    f: () => { facetsOpen.value = facetsOpen.value === 'yes' ? 'no' : 'yes'; },
    t: () => document.getElementById('time')?.click(),
    r: () => { now.value = Date.now(); },
    w: () => { wrap.value = wrap.value === 'on' ? 'off' : 'on'; },
  });
  return (
    <div class="explore">
      <div class="top">
        <QueryBar value={text} error={error} busy={hist.loading || table.loading} onRun={run} />
        <TimePicker />
      </div>
      <Histogram data={hist.data} hidden={hidden}
                 onToggle={(s) => setHidden((h) => { const n = new Set(h); if (!n.delete(s)) n.add(s); return n; })}
                 onRange={(a, b) => setRange(iso(a), iso(b))}
                 onWiden={() => widen(hist.data?.start, hist.data?.end)} />
      <div class="tools">
        {piped ? <strong>{table.data && !table.error ? `${count(table.data.rows.length)} rows` : ' '}</strong> : (
          <Tabs<View> label="Views of the result" value={view} onPick={(v) => setParams({ view: v === 'rows' ? undefined : v })}
                      options={[['rows', hist.data ? `${count(hist.data.total)} entries` : 'Entries'], ['patterns', 'Patterns']]} />
        )}
        <Spent answer={table.error ? undefined : table.data} />
        <span class="fill" />
        <label class="small">by <input key={by} defaultValue={by} aria-label="Split the histogram by" size={8}
          onChange={(e) => setParams({ by: (e.currentTarget as HTMLInputElement).value.trim() || undefined })} /></label>
        <button type="button" aria-pressed={wrap.value === 'on'} title="Wrap lines (w)"
                onClick={() => { wrap.value = wrap.value === 'on' ? 'off' : 'on'; }}>Wrap</button>
        <button type="button" aria-pressed={facetsOpen.value === 'yes'} title="Fields (f)"
                onClick={() => { facetsOpen.value = facetsOpen.value === 'yes' ? 'no' : 'yes'; }}>Fields</button>
        <button type="button" title="Save this view" onClick={() => void saveView()}>Save</button>
        <Export q={text} />
      </div>
      <div class={`below ${facetsOpen.value === 'yes' ? 'with-facets' : ''}`}>
        {facetsOpen.value === 'yes' && (
          <Facets q={text} range={at} stamp={stamp} onTerm={onTerm} onColumn={onColumn} columns={columns.map((c) => c.name)} />
        )}
        {piped || view === 'patterns'
          ? <Tabular data={table.error ? undefined : table.data} error={error ? undefined : table.error} onPattern={view === 'patterns' && !piped ? (p) => setParams({ q: toggle(text, patternTerm(p)), view: undefined, open: undefined }) : undefined} />
          : <Entries key={stamp} q={filter || '*'} total={hist.data?.total ?? 0} loading={hist.loading} error={hist.error}
                     columns={columns} onColumns={setColumns} onTerm={onTerm} onColumn={onColumn} />}
      </div>
    </div>
  );
}

function widen(start: string | undefined, end: string | undefined): void {
  if (!start || !end) return;
  const a = Date.parse(start), b = Date.parse(end), half = Math.max(1000, (b - a) / 2);
  setRange(iso(a - half), iso(Math.min(Date.now(), b + half)));
}

/** What the answer cost. */
function Spent({ answer }: { answer: Answer | undefined }) {
  if (!answer) return null;
  const c = answer.cost;
  return (
    <span class="dim" title={`${count(c.rows_scanned)} rows looked at, ${c.blocks_pruned} of ${c.blocks_total} blocks ruled out`}>
      {duration(answer.elapsed_ms)} · {bytes(c.bytes_read)} read{answer.truncated ? ' · cut, add a limit for more' : ''}
      {answer.incomplete ? ' · incomplete' : ''}
    </span>
  );
}

function Entries({ q: text, total, loading, error, columns, onColumns, onTerm, onColumn }: {
  q: string; total: number; loading: boolean; error: ApiError | undefined; columns: Column[];
  onColumns: (c: Column[]) => void; onTerm: (t: string, negate: boolean) => void; onColumn: (name: string) => void;
}) {
  const [, redraw] = useState(0);
  const pages = useMemo(() => new Pages(text, { ...range.value, end: range.value.end ?? iso(now.value + 1) },
    () => redraw((x) => x + 1)), []);
  useEffect(() => () => pages.close(), [pages]);
  const opened = Number(route.value.params.open ?? -1);
  const open = (i: number) => setParams({ open: i < 0 ? undefined : String(i) }, true);
  const [at, setAt] = useState(opened);
  const step = (by: number) => {
    const to = Math.max(0, Math.min(Math.min(total, pages.ended) - 1, at + by));
    setAt(to);
    if (opened >= 0) open(to);
  };
  useKeys({
    j: () => step(1), k: () => step(-1),
    Enter: () => { if (at >= 0) open(at); },
    Escape: () => open(-1),
  });
  if (error) return <div class="rows" />;
  if (!loading && total === 0) return <Nothing q={text} />;
  const row = opened >= 0 ? pages.get(opened) : undefined;
  const lines = wrap.value === 'on' ? 4 : 1;
  return (
    <>
      {pages.error && <Problem error={pages.error} />}
      <Rows pages={pages} total={total} columns={columns} onColumns={onColumns} lines={lines}
            selected={opened >= 0 ? opened : at} onOpen={(i) => { setAt(i); open(i === opened ? -1 : i); }} />
      {row && <Detail key={String(row.id)} row={row} onClose={() => open(-1)} onStep={step} actions={{
        include: (path, value) => onTerm(term(path, value), false),
        exclude: (path, value) => onTerm(term(path, value), true),
        column: onColumn,
      }} />}
    </>
  );
}

const when = (v: Json | undefined) => <time title={String(v)}>{ago(String(v))}</time>;
const PATTERN = {
  share: (v: Json | undefined) => <>{typeof v === 'number' ? v.toFixed(1) + ' %' : ''}</>,
  levels: (v: Json | undefined) => <>{Object.entries((v ?? {}) as Row).map(([level, n]) => <span key={level} class="ofit"><Level level={level} /> {count(Number(n))} </span>)}</>,
  first: when, last: when,
};

function Tabular({ data, error, onPattern }:
  { data: Answer | undefined; error: ApiError | undefined; onPattern?: (pattern: string) => void }) {
  if (error) return <Problem error={error} />;
  if (!data) return <div class="rows" />;
  if (!data.rows.length) return <Empty title="No rows"><p>The query gives a table without rows.</p></Empty>;
  const columns = onPattern ? ['count', 'share', 'pattern', 'levels', 'first', 'last']
    : data.columns.length ? data.columns : Object.keys(data.rows[0] as Row);
  return (
    <div class="tabular">
      {data.warnings.map((w, i) => <p key={i} class="warning">{visible(typeof w === 'string' ? w : w.message)}</p>)}
      <Table columns={columns} rows={data.rows} label="Result" onRow={onPattern ? (r) => onPattern(String(r.pattern)) : undefined}
             show={onPattern ? PATTERN : undefined} />
    </div>
  );
}

/** Nothing found: is there anything at all, and where? */
function Nothing({ q: text }: { q: string }) {
  const any = useLoad('any ' + text + now.value, (s) => query(text, { limit: 1 }, s));
  const newest = any.data?.rows[0];
  if (!any.data) return <div class="rows" />;
  if (newest)
    return (
      <Empty title="Nothing in this range">
        <p>The newest entry that matches is from <button type="button" class="link" onClick={() => {
          const t = Date.parse(String(newest.timestamp));
          setRange(iso(t - 1800e3), iso(t + 60e3));
        }}>{new Date(String(newest.timestamp)).toLocaleString('sv-SE')}</button>.</p>
        <p><button type="button" onClick={() => setRange('', undefined)}>Show all time</button></p>
      </Empty>
    );
  return text === '*' ? <Welcome /> : (
    <Empty title="Nothing matches">
      <p>No entry, at any time, matches <code>{visible(text)}</code>.</p>
      <p><button type="button" onClick={() => setParams({ q: undefined })}>Clear the query</button></p>
    </Empty>
  );
}

/** The first thing anyone sees: how to send something. It goes away by itself when something comes. */
export function Welcome() {
  const origin = location.origin;
  useEffect(() => {
    const source = new EventSource('/api/v1/tail?q=*');
    source.onmessage = () => {
      source.close();
      now.value = Date.now();
    };
    return () => source.close();
  }, []);
  return (
    <Empty title="Waiting for the first entry">
      <p>Send one from a shell; it appears here by itself.</p>
      <Code text={`curl -d '{"agent":"planner","level":"info","message":"hello"}' ${origin}/api/v1/ingest`} />
      <p>From Python, with what you have:</p>
      <Code text={`import json, urllib.request\nurllib.request.urlopen("${origin}/api/v1/ingest",\n    json.dumps({"agent": "planner", "message": "hello"}).encode())`} />
      <p>What a program prints, or a file that grows:</p>
      <Code text={`my-agent 2>&1 | fleetlog ingest --agent my-agent --format text\nfleetlog ingest --follow /var/log/agents/*.log`} />
      <p class="pulse">Listening …</p>
    </Empty>
  );
}

function Export({ q: text }: { q: string }) {
  const link = (format: string) => {
    const p = new URLSearchParams({ q: text || '*', format, all: 'true' });
    if (range.value.start) p.set('start', range.value.start);
    if (range.value.end) p.set('end', range.value.end);
    return '/api/v1/query?' + p.toString();
  };
  return (
    <span class="export">
      Export <a href={link('ndjson')} download="fleetlog.ndjson">NDJSON</a> <a href={link('csv')} download="fleetlog.csv">CSV</a>
    </span>
  );
}
