/** Agents, tools and models: how much each does, how well, how fast and for what money; and a page of each. */
import { useState } from 'preact/hooks';
import { type Json, type Row, get, query } from '../api';
import { ago, clock, count, duration, money, plain, short, visible } from '../format';
import { useEvery, useKeys, useLoad, usePeers } from '../hooks';
import { Chart } from '../parts/chart';
import { Bar, Empty, Level, Problem, Send, Spark, Tabs } from '../parts/common';
import { shows, shortId } from '../parts/listing';
import { stepped } from '../parts/panel';
import { summary } from '../parts/rows';
import { Table } from '../parts/table';
import { AllTime, TimePicker, setRange } from '../parts/timepicker';
import { term } from '../query';
import { listed, now, q, range } from '../state';
import { iso, stepOf } from '../time';
import { go, href, route } from '../url';
import { Figure } from './traces';

type Kind = 'agent' | 'tool' | 'model';
const PAGE: Record<Kind, string> = { agent: 'agents', tool: 'tools', model: 'models' };

const FIGURES =
  'count() as entries, count() if (level:error) as errors, p50(duration_ms) as p50, p95(duration_ms) as p95, p99(duration_ms) as p99';
const NAMES: Record<string, string> = {
  agent: 'Agent',
  tool: 'Tool',
  model: 'Model',
  trend: 'Over time',
  entries: 'Entries',
  errors: 'Errors',
  share: 'Error share',
  p50: 'p50',
  p95: 'p95',
  p99: 'p99',
  p50_ms: 'p50',
  p95_ms: 'p95',
  calls: 'Calls',
  tokens: 'Tokens',
  cost_usd: 'Cost',
  last: 'Last seen',
  operation: 'Operation',
  timestamp: 'Time',
  duration_ms: 'Took',
  message: 'Message',
  session_id: 'Session',
  start: 'Started',
  starts: 'Times',
  first_user: 'Prompt',
  sessions: 'Sessions',
  title: 'Issue',
  count: 'Times',
};

const ms = (v: Json | undefined) => <>{typeof v === 'number' ? duration(v) : '–'}</>;
const number = (v: Json | undefined) => <>{count(Number(v ?? 0))}</>;
const share = (v: Json | undefined) => (
  <span class={`metered share ${Number(v) > 0.05 ? 'badnumber' : ''}`}>
    {(Number(v) * 100).toFixed(1)} %<Bar share={Number(v)} kind="bad" />
  </span>
);
const SHOWS = { ...shows, p50: ms, p95: ms, p99: ms, p50_ms: ms, p95_ms: ms, entries: number, calls: number, share };

const shareOf = (r: Row) => (Number(r.entries) ? Number(r.errors ?? 0) / Number(r.entries) : 0);

export function Agents() {
  const { page, id } = route.value,
    kind: Kind = page === 'tools' ? 'tool' : page === 'models' ? 'model' : 'agent';
  return id ? <One key={kind + id} kind={kind} name={id} /> : <List key={kind} kind={kind} />;
}

const KEYS = {
  t: () => document.getElementById('time')?.click(),
  r: () => {
    now.value = Date.now();
  },
};

interface Trend {
  all: number[];
  bad: number[];
}

/** Entries and errors of each name, in two dozen steps from the first entry to the last. */
async function trends(kind: Kind, filter: string, rows: Row[], at: typeof range.value, signal: AbortSignal): Promise<Map<string, Trend>> {
  const times = (name: string) => rows.map((r) => Date.parse(String(r[name]))).filter((t) => !isNaN(t));
  const first = Math.min(...times('first')),
    last = Math.max(...times('last')),
    out = new Map<string, Trend>();
  if (!(first <= last)) return out;
  const step = stepOf(last - first, 28, 1e3),
    from = Math.floor(first / step) * step;
  const n = Math.floor((last - from) / step) + 1;
  const { rows: found } = await query(
    `${filter} ${kind}:* | stats count() as n, count() if (level:error) as bad by time(${step / 1e3}s), ${kind}`,
    { ...at, limit: 20000 },
    signal,
  );
  for (const r of found) {
    const name = String(r[kind]),
      t = out.get(name) ?? { all: Array<number>(n).fill(0), bad: Array<number>(n).fill(0) };
    const i = Math.floor((Date.parse(String(r.time)) - from) / step);
    t.all[i] = Number(r.n);
    t.bad[i] = Number(r.bad);
    out.set(name, t);
  }
  return out;
}

function List({ kind }: { kind: Kind }) {
  useKeys(KEYS);
  const at = range.value,
    filter = q.value || '*',
    [find, setFind] = useState('');
  const { data, error } = useLoad(`list ${JSON.stringify([kind, at, filter])}`, async (s) => {
    const [stats, usage] = await Promise.all([
      query(
        `${filter} ${kind}:* | stats ${FIGURES}, min(timestamp) as first, max(timestamp) as last by ${kind} | ` +
          `sort by entries desc, ${kind} | limit 500`,
        at,
        s,
      ),
      query(`${filter} ${kind}:* | usage by ${kind} | limit 500`, at, s),
    ]);
    const spent = new Map(usage.rows.map((r) => [String(r[kind]), r])),
      trend = await trends(kind, filter, stats.rows, at, s);
    listed(
      PAGE[kind],
      stats.rows.map((r) => String(r[kind])),
    );
    const rows = stats.rows.map((r): Row => {
      const u = spent.get(String(r[kind]));
      return { ...r, share: shareOf(r), tokens: u?.tokens ?? null, cost_usd: u?.cost_usd ?? null, trend: r.entries ?? 0 };
    });
    return { rows, trend };
  });
  const all = data?.rows ?? [],
    rows = all.filter((r) => String(r[kind]).toLowerCase().includes(find.trim().toLowerCase()));
  const sum = (name: string) => rows.reduce((n, r) => n + Number(r[name] ?? 0), 0),
    some = (name: string) => rows.some((r) => Number(r[name] ?? 0) > 0);
  return (
    <div class="page">
      <div class="tools first">
        <Tabs<Kind>
          label="What"
          value={kind}
          onPick={(v) => go(PAGE[v], '', { from: route.value.params.from, to: route.value.params.to, q: route.value.params.q })}
          options={[
            ['agent', 'Agents'],
            ['tool', 'Tools'],
            ['model', 'Models'],
          ]}
        />
        <input
          id="q"
          type="search"
          placeholder={`Find ${kind === 'agent' ? 'an agent' : `a ${kind}`}`}
          aria-label="Find by name"
          value={find}
          onInput={(e) => setFind((e.currentTarget as HTMLInputElement).value)}
        />
        <span class="fill" />
        <TimePicker />
      </div>
      <Problem error={error} />
      {data && !all.length ? (
        <None kind={kind} />
      ) : (
        <>
          <Table
            label={PAGE[kind]}
            rows={rows}
            names={NAMES}
            minor={['trend', 'p50', 'p99', 'tokens', 'share']}
            columns={[
              kind,
              'trend',
              'entries',
              'errors',
              'share',
              ...(some('p99') ? ['p50', 'p95', 'p99'] : []),
              ...['tokens', 'cost_usd'].filter(some),
              'last',
            ]}
            show={{
              ...SHOWS,
              [kind]: (v) => <b class="name">{plain(v)}</b>,
              trend: (_v, r) => {
                const t = data?.trend.get(String(r[kind]));
                return t ? <Spark values={t.all} bad={t.bad} label={`${plain(r[kind])} over time`} /> : <></>;
              },
            }}
            onRow={(r) => go(PAGE[kind], String(r[kind]), { from: route.value.params.from, to: route.value.params.to })}
          />
          {rows.length > 0 && (
            <p class="total">
              <b>
                {count(rows.length)} {rows.length === 1 ? kind : PAGE[kind]}
              </b>{' '}
              · {count(sum('entries'))} entries · {count(sum('errors'))} errors (
              {((sum('errors') / Math.max(1, sum('entries'))) * 100).toFixed(1)} %)
              {some('tokens') && <> · {short(sum('tokens'))} tokens</>}
              {some('cost_usd') && <> · {money(sum('cost_usd'))}</>}
            </p>
          )}
          {data && all.length > 0 && !rows.length && (
            <p class="dim pad">
              No {kind} has “{visible(find)}” in its name.
            </p>
          )}
        </>
      )}
    </div>
  );
}

function None({ kind }: { kind: Kind }) {
  const example = {
    agent: '{"agent": "planner", "message": "hello"}',
    tool: '{"agent": "planner", "tool": "grep", "duration_ms": 12, "message": "3 matches"}',
    model: '{"agent": "planner", "model": "gpt-5-mini", "tokens.input": 900, "tokens.output": 40, "message": "a plan"}',
  }[kind];
  return (
    <Empty title={`No ${PAGE[kind]} in this range`}>
      <p>
        Entries with the field <code>{kind}</code> show up here.
      </p>
      <Send entry={example} />
      <p>
        <AllTime />
      </p>
    </Empty>
  );
}

interface Agent {
  summary: Row;
  models: Row[];
  tools: Row[];
  lineage: Row[];
}

function One({ kind, name }: { kind: Kind; name: string }) {
  usePeers(PAGE[kind], name);
  useKeys(KEYS);
  const at = range.value,
    filter = term(kind, name),
    stamp = JSON.stringify([filter, at]);
  const window = { from: route.value.params.from, to: route.value.params.to };
  const head = useLoad(`head ${stamp}`, async (s) => {
    const [stats, usage] = await Promise.all([
      query(`${filter} | stats ${FIGURES}, count_distinct(session_id) as sessions, min(timestamp) as first, max(timestamp) as last`, at, s),
      query(`${filter} | usage`, at, s),
    ]);
    return { ...stats.rows[0], ...usage.rows[0] } as Row;
  });
  const s = head.data,
    from = at.start ? Date.parse(at.start) : Date.parse(String(s?.first)),
    to = at.end ? Date.parse(at.end) : now.value;
  const rate = useLoad(`rate ${stamp}`, (sig) => query(`${filter} | timeline by level`, at, sig));
  const slow = `${filter} duration_ms:* | stats p50(duration_ms) as p50, p95(duration_ms) as p95, p99(duration_ms) as p99 by time(1h)`;
  const took = useLoad(`took ${stamp} ${isNaN(from)}`, (sig) => query(stepped(slow, to - from).q, at, sig));
  const slowest = useLoad(`slow ${stamp}`, (sig) =>
    query(
      `${filter} duration_ms:* | sort by duration_ms desc | limit 8 | ` +
        'fields timestamp, agent, operation, tool, duration_ms, message, trace_id, id',
      at,
      sig,
    ),
  );
  const issues = useLoad(`issues ${stamp}`, (sig) =>
    get<{ issues: Row[]; states: Record<string, number> }>(
      '/api/v1/issues',
      { q: filter, state: 'open', sort: 'count', limit: 6, ...at },
      sig,
    ),
  );
  const zoom = (a: number, b: number) => setRange(iso(a), iso(b));
  if (head.error) return <Problem error={head.error} />;
  if (!s) return <p class="dim pad">…</p>;
  if (!Number(s.entries)) {
    return (
      <div class="page">
        <div class="tools first">
          <h2>{visible(name)}</h2>
          <span class="fill" />
          <TimePicker />
        </div>
        <Empty title={`Nothing of this ${kind} in this range`}>
          <p>
            <AllTime />
          </p>
        </Empty>
      </div>
    );
  }
  return (
    <div class="page">
      <div class="tools first">
        <h2>
          {visible(name)} <small class="dim">{kind}</small>
        </h2>
        <nav class="ways">
          <a href={href('explore', '', { q: filter, ...window })}>Its entries</a>
          <a href={href('live', '', { q: filter })}>Live</a>
          <a href={href('issues', '', { q: filter, ...window })}>Its issues</a>
          <a href={href('traces', '', { q: filter, ...window })}>Traces</a>
        </nav>
        <span class="fill" />
        <TimePicker />
      </div>
      <div class="pad one">
        <dl class="figures">
          <Figure name="entries" value={count(Number(s.entries))} />
          <Figure name="errors" value={`${count(Number(s.errors))} (${(shareOf(s) * 100).toFixed(1)} %)`} bad={Number(s.errors) > 0} />
          {typeof s.p50 === 'number' && <Figure name="p50" value={duration(s.p50)} />}
          {typeof s.p95 === 'number' && <Figure name="p95" value={duration(s.p95)} />}
          {typeof s.p99 === 'number' && <Figure name="p99" value={duration(s.p99)} />}
          <Figure name="sessions" value={count(Number(s.sessions ?? 0))} />
          {Number(s.tokens) > 0 && <Figure name="tokens" value={short(Number(s.tokens))} />}
          {typeof s.cost_usd === 'number' && <Figure name="cost" value={money(s.cost_usd)} />}
          <Figure name="last seen" value={s.last ? ago(String(s.last)) : '–'} />
        </dl>
        <div class="sections">
          <section class="plotted">
            <h3>Entries over time</h3>
            {rate.data && <Chart columns={rate.data.columns} rows={rate.data.rows} bars label="Entries over time" onRange={zoom} />}
          </section>
          <section class="plotted">
            <h3>How long it takes</h3>
            {took.data &&
              (took.data.rows.length ? (
                <Chart
                  columns={took.data.columns}
                  rows={took.data.rows}
                  bars={false}
                  log
                  label="Durations over time"
                  unit={duration}
                  onRange={zoom}
                />
              ) : (
                <p class="why dim">
                  No entry here has <code>duration_ms</code>.
                </p>
              ))}
          </section>
          <Now filter={filter} agent={kind === 'agent'} />
          <section>
            <h3>Open issues</h3>
            {issues.data &&
              (issues.data.issues.length ? (
                <ul class="briefly">
                  {issues.data.issues.map((x) => (
                    <li key={String(x.id)}>
                      <a href={href('issues', String(x.id))}>{plain(x.title)}</a>
                      <span class="n">{count(Number(x.count))}×</span>
                      <span class="dim">{ago(String(x.last))}</span>
                    </li>
                  ))}
                </ul>
              ) : (
                <p class="dim">None.</p>
              ))}
          </section>
          {kind === 'agent' ? <OfAgent name={name} filter={filter} stamp={stamp} /> : <Callers filter={filter} kind={kind} stamp={stamp} />}
        </div>
        {slowest.data && slowest.data.rows.length > 0 && (
          <section>
            <h3>Slowest</h3>
            <Table
              label="Slowest"
              columns={['timestamp', 'agent', 'operation', 'tool', 'duration_ms', 'message'].filter(
                (c) => c !== kind && slowest.data?.rows.some((r) => r[c]),
              )}
              rows={slowest.data.rows}
              show={{ ...SHOWS, timestamp: (v) => <time title={String(v)}>{clock(String(v))}</time> }}
              names={NAMES}
              wide="message"
              minor={['operation', 'tool']}
              onRow={(r) => (r.trace_id ? go('traces', String(r.trace_id)) : go('entry', String(r.id)))}
            />
          </section>
        )}
      </div>
    </div>
  );
}

/** What it is doing: what has begun and not ended, and its newest entries. */
function Now({ filter, agent }: { filter: string; agent: boolean }) {
  const [tick, setTick] = useState(0);
  useEvery(4000, () => setTick((n) => n + 1));
  const { data } = useLoad(`now ${filter} ${tick}`, async (s) => {
    const start = iso(Date.now() - 900e3);
    const [open, newest] = await Promise.all([
      agent
        ? query(
            `${filter} span_id:* kind:(span OR span_start OR span_end) | stats count() if (-kind=span_start) as closed, ` +
              'min(timestamp) as at, last(operation) as operation, ' +
              'last(message) as message, last(trace_id) as trace_id by span_id | where closed = 0 | sort by at desc | limit 5',
            { start },
            s,
          )
        : null,
      query(`${filter} -kind:span_start`, { limit: 8 }, s),
    ]);
    return { open: open?.rows ?? [], newest: newest.rows };
  });
  return (
    <section>
      <h3>Now</h3>
      {data && data.open.length > 0 && (
        <ul class="briefly">
          {data.open.map((r) => (
            <li key={String(r.span_id)} class="pulse">
              <a href={href('traces', String(r.trace_id))}>{plain(r.operation) || plain(r.message) || 'a span'}</a>
              <span class="dim">runs for {duration(Math.max(0, Date.now() - Date.parse(String(r.at))))}</span>
            </li>
          ))}
        </ul>
      )}
      {data?.newest.map((r) => (
        <a key={String(r.seq)} class={`line ${String(r.level)}`} href={href('entry', String(r.id))}>
          <time title={String(r.timestamp)}>{clock(String(r.timestamp)).slice(0, 8)}</time> <Level level={String(r.level)} />{' '}
          {!agent && <b>{plain(r.agent)} </b>}
          {summary(r).slice(0, 200)}
        </a>
      ))}
    </section>
  );
}

const MORE = ['entries', 'errors', 'share', 'p50_ms', 'p95_ms'];

function OfAgent({ name, filter, stamp }: { name: string; filter: string; stamp: string }) {
  const at = range.value;
  const { data, error } = useLoad(`agent ${stamp}`, (s) => get<Agent>(`/api/v1/agents/${encodeURIComponent(name)}`, { ...at }, s));
  const sessions = useLoad(`sessions ${stamp}`, (s) => query(`${filter} | sessions | sort by start desc | limit 6`, at, s));
  const parents = [
    ...new Map(
      (data?.lineage ?? []).filter((r) => r.agent === name && r.parent_agent).map((r) => [String(r.parent_agent), Number(r.starts ?? 0)]),
    ),
  ];
  const children = (data?.lineage ?? []).filter((r) => r.agent !== name);
  const money_ = (data?.models ?? []).some((r) => typeof r.cost_usd === 'number');
  return (
    <>
      <Problem error={error} />
      {data && data.tools.length > 0 && (
        <section>
          <h3>Tools</h3>
          <Table
            label="Tools"
            names={NAMES}
            columns={['tool', ...MORE]}
            rows={data.tools.map((r) => ({ ...r, share: shareOf(r) }))}
            show={SHOWS}
            minor={['p50_ms', 'share']}
            onRow={(r) => go('tools', String(r.tool))}
          />
        </section>
      )}
      {data && data.models.length > 0 && (
        <section>
          <h3>Models</h3>
          <Table
            label="Models"
            names={NAMES}
            columns={['model', 'calls', 'tokens', ...(money_ ? ['cost_usd'] : [])]}
            rows={data.models}
            show={SHOWS}
            onRow={(r) => go('models', String(r.model))}
          />
        </section>
      )}
      {parents.length + children.length > 0 && (
        <section>
          <h3>Lineage</h3>
          {parents.length > 0 && (
            <p>
              Started by{' '}
              {parents.map(([p, n], i) => (
                <span key={p}>
                  {i ? ', ' : ''}
                  <a href={href('agents', p)}>{plain(p)}</a> <span class="dim">{count(n)}×</span>
                </span>
              ))}
            </p>
          )}
          {children.length > 0 && (
            <Table
              label="Starts"
              names={{ ...NAMES, agent: 'Starts' }}
              columns={['agent', 'starts', 'sessions', 'errors', 'tokens', 'cost_usd'].filter((c) => children.some((r) => r[c] !== null))}
              rows={children}
              show={SHOWS}
              onRow={(r) => go('agents', String(r.agent))}
            />
          )}
        </section>
      )}
      {sessions.data && sessions.data.rows.length > 0 && (
        <section>
          <h3>Newest sessions</h3>
          <ul class="briefly">
            {sessions.data.rows.map((r) => (
              <li key={String(r.session_id)}>
                <a href={href('sessions', String(r.session_id))}>{plain(r.first_user) || shortId(String(r.session_id))}</a>
                {Number(r.errors) > 0 && <span class="chip bad">{count(Number(r.errors))}</span>}
                <span class="n">{count(Number(r.entries))} entries</span>
                <span class="dim">{ago(String(r.start))}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** Who uses a tool or a model. */
function Callers({ filter, kind, stamp }: { filter: string; kind: Kind; stamp: string }) {
  const { data } = useLoad(`callers ${stamp}`, (s) =>
    query(`${filter} agent:* | stats ${FIGURES}, max(timestamp) as last by agent | sort by entries desc | limit 50`, range.value, s),
  );
  const rows = (data?.rows ?? []).map((r): Row => ({ ...r, share: shareOf(r), p50_ms: r.p50 ?? null, p95_ms: r.p95 ?? null }));
  return (
    <section>
      <h3>Who {kind === 'tool' ? 'calls it' : 'uses it'}</h3>
      <Table
        label="Agents"
        names={NAMES}
        columns={['agent', ...MORE, 'last']}
        rows={rows}
        show={SHOWS}
        minor={['p50_ms', 'share']}
        onRow={(r) => go('agents', String(r.agent))}
      />
    </section>
  );
}
