/** Search: a query, its histogram, fields beside it, and the entries or the table it gives. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { type Answer, ApiError, type Range, type Row, get, query, timeline } from '../api';
import { counted, moment, visible } from '../format';
import { useKeys, useLoad } from '../hooks';
import { type Column, columnsFrom, columnsText } from '../parts/columns';
import { Code, Empty, Problem, Tabs } from '../parts/common';
import { Detail } from '../parts/detail';
import { Export } from '../parts/export';
import { FacetValues, Facets, useFields } from '../parts/facets';
import { Histogram } from '../parts/histogram';
import { QueryBar } from '../parts/querybar';
import { ChartToggle, Patterns, Result, Spent, Warnings, entriesOf } from '../parts/result';
import { Pages, Rows, copyRow } from '../parts/rows';
import { TimePicker, setRange } from '../parts/timepicker';
import { filterOf, pipesOf, sought, term, toggle } from '../query';
import { density, facetsOpen, from, now, q, range, settle, to, wrap } from '../state';
import { fineStep, iso } from '../time';
import { route, setParams } from '../url';
import { saveView } from './dashboards';

const LATER = 2000; /* ms in which what came since is not taken for the future */
type View = 'rows' | 'patterns';

/** Counts over time; where a second is too wide a bucket, in narrower ones. */
async function buckets(q: string, by: string, at: Range, signal: AbortSignal) {
  const t = await timeline(q, by, at, undefined, signal),
    span = Date.parse(t.end) - Date.parse(t.start);
  return span > 0 && span < 30e3 ? timeline(q, by, at, fineStep(span), signal) : t;
}

export function Explore() {
  const text = q.value,
    at = range.value,
    params = route.value.params;
  const filter = filterOf(text),
    piped = pipesOf(text) !== '';
  const stamp = JSON.stringify([text, at]);
  const view = (params.view as View) || 'rows';
  const by = params.by || 'level',
    oldest = params.order === 'asc';
  const columns = columnsFrom(params.cols);
  const hist = useLoad(`hist ${by} ${JSON.stringify([filter, at])}`, (s) => buckets(filter, by, at, s));
  const table = useLoad(piped || view === 'patterns' ? `table ${view} ${stamp}` : 'none', (s) =>
    piped
      ? query(text, at, s)
      : view === 'patterns'
        ? query(`${filter || '*'} | patterns 200`, at, s)
        : Promise.resolve(undefined as Answer | undefined),
  );
  const all = useFields(text, at, stamp);
  const answer = table.error ? undefined : table.data;
  const error = piped ? table.error : hist.error;
  const run = (to: string) => {
    now.value = Date.now();
    setParams({ q: to, open: undefined });
  };
  const onTerm = (t: string, negate: boolean) => run(toggle(text, t, negate));
  const setColumns = (c: Column[]) => setParams({ cols: columnsText(c) }, true);
  const onColumn = (name: string) =>
    setColumns(
      columns.some((c) => c.name === name)
        ? columns.filter((c) => c.name !== name)
        : [...columns.slice(0, -1), { name, width: 130 }, ...columns.slice(-1)],
    );
  const fit = async () => {
    const [old, young] = await Promise.all(['asc', 'desc'].map((order) => query(filter || '*', { ...at, order, limit: 1 })));
    const a = Date.parse(String(old?.rows[0]?.timestamp)),
      b = Date.parse(String(young?.rows[0]?.timestamp));
    const room = Math.max(1, Math.ceil((b - a) / 100));
    if (a <= b) setRange(iso(a - room), iso(b + room));
  };
  const wide = () => widen(hist.data?.start, hist.data?.end);
  const flip = (s: typeof wrap) => () => {
    s.value = s.value === 'on' ? 'off' : 'on';
  };
  const space = () => {
    density.value = density.value === 'compact' ? 'comfortable' : 'compact';
  };
  const fieldsOnOff = () => {
    facetsOpen.value = facetsOpen.value === 'yes' ? 'no' : 'yes';
  };
  useKeys({
    f: fieldsOnOff,
    t: () => document.getElementById('time')?.click(),
    r: () => {
      now.value = Date.now();
    },
    w: flip(wrap),
    d: space,
    z: () => void fit(),
    Z: wide,
  });
  const shared = { q: text, range: at, stamp, onQuery: run };
  const rowsOf = piped ? entriesOf(answer) : undefined;
  const listed = (!piped && view === 'rows') || rowsOf;
  const actions = { onColumns: setColumns, onTerm, onColumn, stats: (name: string) => <FacetValues name={name} {...shared} few={6} /> };
  return (
    <div class="explore">
      <div class="top">
        <QueryBar value={text} error={error} busy={hist.loading || table.loading} onRun={run} />
        <TimePicker />
      </div>
      <Histogram
        data={hist.data}
        q={text}
        until={at.start && !at.end ? now.value : undefined}
        onTerm={onTerm}
        onFit={() => void fit()}
        onWiden={wide}
        onRange={(a, b) => setRange(iso(a), iso(b))}
      />
      <div class="tools">
        {piped ? (
          <strong class="found">
            {rowsOf ? counted(rowsOf.length, 'entry', 'entries') : answer && counted(answer.rows.length, 'row')}
          </strong>
        ) : (
          <Tabs<View>
            label="Views of the result"
            value={view}
            onPick={(v) => setParams({ view: v === 'rows' ? undefined : v })}
            options={[
              ['rows', hist.data ? counted(hist.data.total, 'entry', 'entries') : 'Entries'],
              ['patterns', 'Patterns'],
            ]}
          />
        )}
        <Spent answer={answer} />
        <span class="fill" />
        <label class="small by">
          Split by{' '}
          <select
            value={by}
            aria-label="Split the histogram by"
            onChange={(e) => setParams({ by: (e.currentTarget as HTMLSelectElement).value.replace(/^level$/, '') || undefined })}
          >
            {[...new Set([by, ...(all ?? []).map((f) => f.name)])].map((name) => (
              <option key={name} value={name}>
                {visible(name)}
              </option>
            ))}
          </select>
        </label>
        {piped && !rowsOf && <ChartToggle q={text} data={answer} />}
        {listed && (
          <span class="joined" role="group" aria-label="Lines">
            <button type="button" aria-pressed={wrap.value === 'on'} title="Wrap lines (w)" onClick={flip(wrap)}>
              Wrap
            </button>
            <button type="button" aria-pressed={density.value === 'compact'} title="Lines closer together (d)" onClick={space}>
              Compact
            </button>
          </span>
        )}
        <button type="button" aria-pressed={facetsOpen.value === 'yes'} title="Fields (f)" onClick={fieldsOnOff}>
          Fields
        </button>
        <button type="button" title="Save this view" onClick={() => void saveView()}>
          Save
        </button>
        <Export
          q={text}
          rows={!piped ? hist.data?.total : answer?.truncated ? undefined : answer?.rows.length}
          from={from.value}
          to={to.value}
        />
      </div>
      <div class={`below ${facetsOpen.value === 'yes' ? 'with-facets' : ''}`}>
        {facetsOpen.value === 'yes' && (
          <Facets all={all} onColumn={onColumn} columns={columns.map((c) => c.name)} total={hist.data?.total ?? 0} {...shared} />
        )}
        {table.error && !error ? (
          <Problem error={table.error} />
        ) : listed ? (
          <Entries
            key={stamp + oldest}
            q={filter || '*'}
            rows={rowsOf}
            total={rowsOf?.length ?? hist.data?.total ?? 0}
            ahead={hist.data && Date.parse(hist.data.end) > now.value + LATER ? hist.data.end : undefined}
            warned={rowsOf && answer}
            loading={hist.loading || table.loading}
            error={error}
            columns={columns}
            oldest={oldest}
            {...actions}
          />
        ) : error && error.position >= 0 ? (
          <Examples />
        ) : !answer ? (
          <div class="rows" />
        ) : piped ? (
          <Result q={text} data={answer} />
        ) : (
          <Patterns q={text} filter={filter} data={answer} hist={hist.data} />
        )}
      </div>
    </div>
  );
}

function widen(start: string | undefined, end: string | undefined): void {
  if (!start || !end) return;
  const a = Date.parse(start),
    b = Date.parse(end),
    half = Math.max(1000, (b - a) / 2);
  setRange(iso(a - half), iso(Math.min(Date.now(), b + half)));
}

function Entries({
  q: text,
  rows,
  total,
  ahead,
  warned,
  loading,
  error,
  columns,
  oldest,
  onColumns,
  onTerm,
  onColumn,
  stats,
}: {
  q: string;
  rows: Row[] | undefined;
  total: number;
  ahead: string | undefined; /* where the entries end, when some claim to be of the future */
  warned: Answer | undefined;
  loading: boolean;
  error: ApiError | undefined;
  columns: Column[];
  oldest: boolean;
  onColumns: (c: Column[]) => void;
  onTerm: (t: string, negate: boolean) => void;
  onColumn: (name: string) => void;
  stats: (name: string) => preact.ComponentChildren;
}) {
  const [, redraw] = useState(0);
  const pages = useMemo(() => {
    const until = range.value.end ?? ahead ?? iso(now.value + 1); /* what comes later would move the rows */
    return new Pages(text, { ...range.value, end: until, order: oldest ? 'asc' : undefined }, () => redraw((x) => x + 1), rows);
  }, [rows, ahead]);
  useEffect(() => () => pages.close(), [pages]);
  const marked = useMemo(() => sought(text), [text]);
  const opened = route.value.params.open,
    place = opened ? pages.find(opened) : -1;
  const open = (row: Row | undefined) => setParams({ open: row && String(row.id) }, true);
  const [chosen, setAt] = useState(-1),
    at = place >= 0 ? place : chosen;
  /* by its id: it is the same one when others came since, also where it is no longer among the first */
  const alone = useLoad(opened && place < 0 ? `entry ${opened}` : 'none', (s) =>
    opened && place < 0 ? get<Row>(`/api/v1/entries/${encodeURIComponent(opened)}`, {}, s) : Promise.resolve(undefined),
  );
  const row = !opened ? undefined : place >= 0 ? pages.get(place) : alone.data?.id === opened ? alone.data : undefined;
  const step = (by: number) => {
    const to = Math.max(0, Math.min(Math.min(total, pages.ended) - 1, at + by));
    setAt(to);
    if (opened && pages.get(to)) open(pages.get(to));
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    Enter: () => {
      if (pages.get(at)) open(pages.get(at));
    },
    Escape: () => {
      setAt(at);
      open(undefined);
    },
    c: () => {
      const here = row ?? pages.get(at);
      if (here) copyRow(here);
    },
  });
  if (error) return error.position >= 0 ? <Examples /> : <div class="rows" />;
  if (!loading && total === 0) return <Nothing q={text} />;
  return (
    <>
      <div class="listing">
        {warned && <Warnings data={warned} />}
        {pages.error && <Problem error={pages.error} />}
        <Rows
          pages={pages}
          total={total}
          columns={columns}
          onColumns={onColumns}
          sought={marked}
          oldest={oldest}
          onOldest={rows ? undefined : (o) => setParams({ order: o ? 'asc' : undefined, open: undefined })}
          selected={at}
          onOpen={(i) => {
            setAt(i);
            open(i === place ? undefined : pages.get(i));
          }}
        />
      </div>
      {row && (
        <Detail
          key={String(row.id)}
          row={row}
          sought={marked}
          onClose={() => open(undefined)}
          onStep={step}
          actions={{
            include: (path, value) => onTerm(term(path, value), false),
            exclude: (path, value) => onTerm(term(path, value), true),
            column: onColumn,
            stats,
          }}
        />
      )}
    </>
  );
}

const EXAMPLES: [string, string][] = [
  ['timeout "connection refused"', 'a word and a phrase'],
  ['level:error agent:coder', 'fields'],
  ['duration_ms>2s -tool:bash', 'more than, and without'],
  ['level:warn | timeline 5m by agent', 'counts over time'],
  ['* | stats count() as n, p95(duration_ms) as p95 by tool', 'a table'],
  ['* | sort by duration_ms desc | limit 20', 'the slowest'],
];

/** A query that cannot be read stands above with its mistake; these can. */
function Examples() {
  return (
    <Empty title="Queries look like this">
      <ul class="examples">
        {EXAMPLES.map(([text, what]) => (
          <li key={text}>
            <button type="button" class="link mono" onClick={() => setParams({ q: text })}>
              {text}
            </button>{' '}
            <span class="dim">{what}</span>
          </li>
        ))}
      </ul>
    </Empty>
  );
}

/** Nothing found: is there anything at all, and where? */
function Nothing({ q: text }: { q: string }) {
  const any = useLoad('any ' + text + now.value, (s) => query(text, { limit: 1 }, s));
  useEffect(() => {
    if (!route.value.params.from) void settle();
  }, []);
  const newest = any.data?.rows[0];
  if (!any.data) return <div class="rows" />;
  if (newest)
    return (
      <Empty title="Nothing in this range">
        <p>
          The newest entry that matches is from{' '}
          <button
            type="button"
            class="link"
            onClick={() => {
              const t = Date.parse(String(newest.timestamp));
              setRange(iso(t - 1800e3), iso(t + 60e3));
            }}
          >
            {moment(Date.parse(String(newest.timestamp)))}
          </button>
          .
        </p>
        <p>
          <button type="button" onClick={() => setRange('', undefined)}>
            Show all time
          </button>
        </p>
      </Empty>
    );
  return text === '*' ? (
    <Welcome />
  ) : (
    <Empty title="Nothing matches">
      <p>
        No entry, at any time, matches <code>{visible(text)}</code>.
      </p>
      <p>
        <button type="button" onClick={() => setParams({ q: undefined })}>
          Clear the query
        </button>
      </p>
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
      <Code
        text={`import json, urllib.request\nurllib.request.urlopen("${origin}/api/v1/ingest",\n    json.dumps({"agent": "planner", "message": "hello"}).encode())`}
      />
      <p>What a program prints, or a file that grows:</p>
      <Code text={`my-agent 2>&1 | fleetlog ingest --agent my-agent --format text\nfleetlog ingest --follow /var/log/agents/*.log`} />
      <p>Hooks of coding agents, with the sender you have:</p>
      <Code text={`send_event.py --source-app my-project --event-type PreToolUse --server-url ${origin}/events`} />
      <p>Nothing at hand? A small fleet to look at:</p>
      <Code text={`fleetlog demo --url ${origin} --duration 2m`} />
      <p class="pulse">Listening …</p>
    </Empty>
  );
}
