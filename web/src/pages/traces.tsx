/** Traces: the list, and one as a waterfall or, where it has no spans, a conversation. */
import { useMemo } from 'preact/hooks';
import { type Row, get, query } from '../api';
import { count, duration, money, plain, short, visible } from '../format';
import { useEvery, useKeys, useLoad, usePeers } from '../hooks';
import { Empty, Peers, Problem, Tabs } from '../parts/common';
import { Listing, asked } from '../parts/listing';
import { SpanDetail } from '../parts/spandetail';
import { Talk } from '../parts/talk';
import { Waterfall } from '../parts/waterfall';
import { term } from '../query';
import { type Measure, rowsOf } from '../spans';
import { now } from '../state';
import { type Turn, turns } from '../turns';
import { href, route, setParams } from '../url';

export function Traces() {
  return route.value.id ? <One key={route.value.id} id={route.value.id} /> : <List />;
}

const SORTS: [string, string][] = [
  ['start', 'newest'],
  ['duration_ms', 'longest'],
  ['errors', 'most errors'],
  ['tokens', 'most tokens'],
  ['cost_usd', 'dearest'],
  ['spans', 'most spans'],
];

function List() {
  return (
    <Listing
      what="traces"
      title="name"
      sorts={SORTS}
      empty={
        <Empty title="No traces here">
          <p>
            Entries with a <code>trace_id</code> become traces; with <code>span_id</code> and <code>parent_id</code> they become trees.
          </p>
        </Empty>
      }
    />
  );
}

interface Trace {
  summary: Row;
  spans: Row[];
  more: boolean;
  warnings: unknown[];
}

type View = 'bars' | 'talk';

function One({ id }: { id: string }) {
  const peers = usePeers('traces', id);
  const { params } = route.value,
    logs = params.logs === '1';
  const { data, error } = useLoad(`trace ${id} ${logs} ${now.value}`, (s) =>
    get<Trace>(`/api/v1/traces/${encodeURIComponent(id)}`, { logs: logs || undefined }, s),
  );
  const spanless = data !== undefined && !data.spans.some((r) => r.state !== 'log');
  /* without spans a conversation says more than points on a line */
  const view: View = params.view === 'bars' || params.view === 'talk' ? params.view : spanless ? 'talk' : 'bars';
  const said = useLoad(`said ${id} ${view === 'talk' || spanless} ${now.value}`, async (s) =>
    view === 'talk' || spanless ? (await query(`${term('trace_id', id)} | sort by timestamp, seq | limit ${MOST}`, {}, s)).rows : [],
  );
  const talk = useMemo(() => (spanless ? turns(said.data ?? []) : []), [spanless, said.data]);
  const rows = useMemo(() => (spanless ? rowsOf(talk) : (data?.spans ?? [])), [spanless, talk, data]);
  const prompt = useLoad(`asked ${id} ${now.value}`, (s) => asked([id], {}, s)).data?.get(id)?.asked;
  const measure = (params.by as Measure) || 'duration';
  const start = useMemo(() => rows.reduce((m, r) => Math.min(m, Date.parse(String(r.start))), Infinity), [rows]);
  const running = rows.length <= FOLLOWED && rows.some((r) => r.state === 'running');
  useEvery(3000, () => {
    if (running) now.value = Date.now();
  });
  useKeys({
    r: () => {
      now.value = Date.now();
    },
  });
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const s = data.summary ?? {},
    session = String(rows.find((x) => x.session_id)?.session_id ?? '');
  const name = (i: number) => (rows[i]?.span_id && rows[i]?.state !== 'log' ? String(rows[i]?.span_id) : `#${i}`);
  const selected = !params.span
    ? -1
    : params.span[0] === '#'
      ? Number(params.span.slice(1))
      : rows.findIndex((r) => r.span_id === params.span && r.state !== 'log');
  const select = (i: number) => setParams({ span: i < 0 ? undefined : name(i) }, true),
    row = rows[selected];
  const spans = Number(s.spans ?? data.spans.length);
  const tabs = (
    <Tabs<View>
      label="Views"
      value={view}
      onPick={(v) => setParams({ view: v })}
      options={[
        ['bars', 'Waterfall'],
        ['talk', 'Conversation'],
      ]}
    />
  );
  return (
    <div class="page">
      <header class="summary headed">
        <h2>
          <span>{plain(prompt ?? s.name) || 'Trace'}</span>
          {prompt && <span class="dim">{plain(s.name)} </span>}
          <span class="dim mono">{visible(id)}</span>
        </h2>
        <nav class="ways">
          <a href={href('explore', '', { q: term('trace_id', id), from: 'all' })}>Its entries</a>
          {session && <a href={href('sessions', session)}>Its session</a>}
          <Peers step={peers} />
        </nav>
        <dl>
          {running && (
            <div>
              <dt>state</dt>
              <dd class="pulse">running</dd>
            </div>
          )}
          <Figure name="took" value={typeof s.duration_ms === 'number' ? duration(s.duration_ms) : '–'} />
          {spans ? <Figure name="spans" value={count(spans)} /> : <Figure name="entries" value={count(Number(s.entries ?? 0))} />}
          <Figure name="agents" value={String(s.agents ?? '–')} />
          {!spans && <Figure name="tool calls" value={count(Number(s.tool_calls ?? 0))} />}
          <Figure name="errors" value={count(Number(s.errors ?? 0))} bad={Number(s.errors ?? 0) > 0} />
          {s.tokens ? <Figure name="tokens" value={short(Number(s.tokens))} /> : null}
          {typeof s.cost_usd === 'number' && <Figure name="cost" value={money(s.cost_usd)} />}
        </dl>
      </header>
      {view === 'talk' ? (
        <Talk rows={said.data ?? NONE} lead={tabs} />
      ) : (
        <>
          <div class="tools">
            {tabs}
            <span class="fill" />
            {!spanless && (
              <Tabs<Measure>
                label="Bars show"
                value={measure}
                onPick={(v) => setParams({ by: v === 'duration' ? undefined : v })}
                options={[
                  ['duration', 'Time'],
                  ['tokens', 'Tokens'],
                  ['cost', 'Cost'],
                ]}
              />
            )}
            <button
              type="button"
              aria-pressed={params.gaps === '1'}
              onClick={() => setParams({ gaps: params.gaps === '1' ? undefined : '1' }, true)}
            >
              Press gaps together
            </button>
            {!spanless && (
              <button type="button" aria-pressed={logs} onClick={() => setParams({ logs: logs ? undefined : '1', span: undefined }, true)}>
                Log lines
              </button>
            )}
          </div>
          <div class="below">
            <Waterfall
              rows={rows}
              selected={selected}
              onSelect={select}
              onClose={() => select(-1)}
              measure={measure}
              squeezed={params.gaps === '1'}
            />
            {row && (
              <SpanDetail
                row={row}
                trace={id}
                start={start}
                entries={spanless ? entriesOf(talk[selected]) : undefined}
                onClose={() => select(-1)}
                onStep={(by) => select(Math.max(0, Math.min(rows.length - 1, selected + by)))}
              />
            )}
          </div>
        </>
      )}
    </div>
  );
}

const NONE: Row[] = [];
const MOST = 5000;
const FOLLOWED = 2000; /* rows that are loaded again while something runs */

function entriesOf(t: Turn | undefined): Row[] {
  return !t ? [] : t.kind === 'call' ? [t.call, t.result].filter((r): r is Row => r !== undefined) : [t.row];
}

export function Figure({ name, value, bad = false }: { name: string; value: string; bad?: boolean }) {
  return (
    <div class={bad ? 'bad' : ''}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
