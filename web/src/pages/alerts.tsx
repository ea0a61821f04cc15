/** Alerts: rules with their states, what they went through, snoozing. */
import { useState } from 'preact/hooks';
import { type Json, type Row, change, get } from '../api';
import { ago, count, duration, plain, visible } from '../format';
import { useEvery, useKeys, useLoad } from '../hooks';
import { Code, Empty, Problem, Tabs } from '../parts/common';
import { Table } from '../parts/table';
import { failed, note, now } from '../state';
import { go, href, route, setParams } from '../url';
import { RuleForm } from './alertform';
import { Figure } from './traces';

interface Rule extends Row {
  name: string;
  state: string;
}
type View = 'rules' | 'history';

export function Alerts() {
  const { id, params } = route.value;
  return id ? <One key={id} name={id} /> : params.edit === '1' ? <RuleForm /> : <List />;
}

async function act(method: 'POST' | 'PATCH' | 'DELETE', path: string, body: unknown, done: string): Promise<Row | undefined> {
  try {
    const answer = await change<Row>(method, path, body);
    note(done);
    now.value = Date.now();
    return answer;
  } catch (e) {
    failed(e);
    return undefined;
  }
}

function List() {
  const [view, setView] = useState<View>('rules');
  const [tick, setTick] = useState(0);
  useEvery(5000, () => setTick((n) => n + 1));
  const { data, error } = useLoad(`alerts ${tick} ${now.value}`, (s) =>
    get<{ alerts: Rule[]; deliveries_waiting: number }>('/api/v1/alerts', {}, s),
  );
  const past = useLoad(`alert history ${Math.floor(tick / 6)} ${now.value}`, (s) =>
    get<{ history: Row[] }>('/api/v1/alerts/history', { limit: 1000 }, s),
  );
  const rules = data?.alerts ?? [],
    firing = rules.filter((r) => r.state === 'firing').length;
  useKeys({ n: () => setParams({ edit: '1' }) });
  return (
    <div class="page">
      <div class="tools first">
        <Tabs<View>
          label="Parts"
          value={view}
          onPick={setView}
          options={[
            ['rules', `Rules ${count(rules.length)}`],
            ['history', 'History'],
          ]}
        />
        {firing > 0 && <span class="badnumber">{count(firing)} firing</span>}
        {data && data.deliveries_waiting > 0 && (
          <span class="badnumber">
            {count(data.deliveries_waiting)} {data.deliveries_waiting === 1 ? 'message waits' : 'messages wait'} to be delivered
          </span>
        )}
        <span class="fill" />
        <button type="button" class="run" title="n" onClick={() => setParams({ edit: '1' })}>
          New rule
        </button>
      </div>
      <Problem error={error} />
      {view === 'history' ? (
        <History />
      ) : data && !rules.length ? (
        <Empty title="No alert rules">
          <p>
            A rule is a query, a window and a condition. Make one with the button above and see what it would have done, or write it into a
            file and give that to the server:
          </p>
          <Code
            text={
              '# alerts.yaml\nalerts:\n  - name: errors\n    query: level:error\n    window: 5m\n' +
              '    when: {above: 10}\n    send:\n      - log: true\n\nfleetlog alerts apply alerts.yaml'
            }
          />
        </Empty>
      ) : (
        <ul class="issues alerts">
          {rules.map((r) => (
            <li key={r.name}>
              <State state={r.state} />
              <div class="what">
                <a href={href('alerts', r.name)}>{visible(r.name)}</a>
                <span class="dim">
                  {r.about ? <span>{plain(r.about)}</span> : <span class="mono">{plain(r.query ?? r.metric ?? 'issues')}</span>}
                </span>
                {firingOf(r).length > 0 && (
                  <span class="dim badnumber">
                    {firingOf(r).slice(0, 4).join(', ')}
                    {firingOf(r).length > 4 ? ` and ${firingOf(r).length - 4} more` : ''}
                  </span>
                )}
              </div>
              <span class="dim">{conditionOf(r)}</span>
              <Strip history={(past.data?.history ?? []).filter((h) => h.alert === r.name)} firing={r.state === 'firing'} />
              <span class="n">
                {r.evaluated ? ago(String(r.evaluated)) : '–'}
                <small>checked</small>
              </span>
              <Snooze rule={r} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const conditionOf = (r: Row) =>
  [
    plain(r.condition),
    r.window && r.query ? `in ${plain(r.window)}` : '',
    Array.isArray(r.by) && r.by.length ? `per ${r.by.map(plain).join(', ')}` : '',
  ]
    .filter(Boolean)
    .join(' ');

const firingOf = (r: Row) =>
  ((Array.isArray(r.groups) ? r.groups : []) as Row[])
    .filter((g) => g.state === 'firing')
    .map((g) =>
      Object.values((g.group ?? {}) as Row)
        .map(plain)
        .join(' · '),
    )
    .filter(Boolean);

const DAY = 86400e3;

/** The last day of a rule: red while any of its groups fired. */
function Strip({ history, firing }: { history: Row[]; firing: boolean }) {
  const end = Date.now(),
    start = end - DAY,
    open = new Map<string, number>(),
    spans: [number, number][] = [];
  for (const h of [...history].reverse()) {
    const t = Date.parse(String(h.time)),
      name = JSON.stringify(h.group),
      from = open.get(name);
    if (h.to === 'firing') open.set(name, t);
    else if (from !== undefined && h.from === 'firing') {
      spans.push([from, t]);
      open.delete(name);
    }
  }
  if (firing) for (const t of open.values()) spans.push([t, end]);
  const fired = spans.filter(([, to]) => to > start);
  return (
    <svg
      class="firings"
      viewBox="0 0 1000 10"
      preserveAspectRatio="none"
      role="img"
      aria-label={`the last 24 hours: fired ${count(fired.length)} ${fired.length === 1 ? 'time' : 'times'}`}
    >
      <title>
        The last 24 hours: fired {count(fired.length)} {fired.length === 1 ? 'time' : 'times'}
      </title>
      <rect class="quiet" width="1000" height="10" />
      {fired.map(([from, to], i) => {
        const x = (Math.max(0, from - start) / DAY) * 1000;
        return <rect key={i} class="fired" x={Math.min(985, x)} width={Math.max(15, ((to - start) / DAY) * 1000 - x)} height="10" />;
      })}
    </svg>
  );
}

/** `agent=coder`; the one group of a rule without `by` has no name. */
const group = (v: Json | undefined) => (
  <>
    {v && typeof v === 'object' && !Array.isArray(v)
      ? Object.entries(v)
          .map(([k, x]) => `${k}=${plain(x)}`)
          .join(' ') || 'all'
      : plain(v) || 'all'}
  </>
);
const when = (v: Json | undefined) => (v ? <time title={String(v)}>{ago(String(v))}</time> : <span class="null">–</span>);
const state = (v: Json | undefined) => <State state={String(v)} />;
const target = (v: Json | undefined) => {
  const t = (v && typeof v === 'object' && !Array.isArray(v) ? v : {}) as Row;
  return <>{t.log === true ? 'an entry' : plain(t.webhook ?? t.command ?? v)}</>;
};
const GROUPS = { group, target, state, next_state: state, since: when, created: when, next: when, done: when, last: when, until: when };

function State({ state }: { state: string }) {
  return <span class={`chip alert-${state}`}>{state}</span>;
}

function Snooze({ rule }: { rule: Rule }) {
  const until = rule.snoozed_until ? String(rule.snoozed_until) : '';
  const path = `/api/v1/alerts/${encodeURIComponent(rule.name)}/snooze`;
  if (until && Date.parse(until) > Date.now())
    return (
      <button type="button" title={`until ${until}`} onClick={() => void act('POST', path, { until: null }, 'it speaks again')}>
        Snoozed: wake it
      </button>
    );
  return (
    <select
      aria-label={`Snooze ${visible(rule.name)}`}
      value=""
      onChange={(e) => {
        const span = (e.currentTarget as HTMLSelectElement).value;
        if (span) void act('POST', path, { for: span }, `snoozed for ${span}`);
      }}
    >
      <option value="">Snooze</option>
      <option value="30m">30 minutes</option>
      <option value="2h">2 hours</option>
      <option value="12h">12 hours</option>
      <option value="7d">a week</option>
    </select>
  );
}

function History({ name }: { name?: string }) {
  const { data, error } = useLoad(`alert history ${name} ${now.value}`, (s) =>
    get<{ history: Row[] }>('/api/v1/alerts/history', { alert: name, limit: 200 }, s),
  );
  if (error) return <Problem error={error} />;
  if (data && !data.history.length)
    return (
      <Empty title="Nothing happened yet">
        <p>What rules go through is kept here: the last 10,000 changes.</p>
      </Empty>
    );
  return (
    <Table
      label="History"
      columns={['time', ...(name ? [] : ['alert']), 'group', 'from', 'to', 'value', 'note']}
      names={NAMES}
      rows={data?.history ?? []}
      show={{ group, time: when, from: state, to: state }}
    />
  );
}

function One({ name }: { name: string }) {
  const [tried, setTried] = useState<Row>();
  const [tick, setTick] = useState(0);
  useEvery(5000, () => setTick((n) => n + 1));
  const { data, error } = useLoad(`alert ${name} ${tick} ${now.value}`, (s) =>
    get<Rule>(`/api/v1/alerts/${encodeURIComponent(name)}`, {}, s),
  );
  if (error && !data) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  if (route.value.params.edit === '1') return <RuleForm rule={data} />;
  const path = `/api/v1/alerts/${encodeURIComponent(name)}`,
    paused = data.enabled === false,
    file = data.source === 'file';
  const groups = (Array.isArray(data.groups) ? data.groups : []) as Row[];
  const sent = (Array.isArray(data.deliveries) ? data.deliveries : []) as Row[];
  const found = (Array.isArray(tried?.groups) ? tried.groups : []) as Row[];
  const targets = ((Array.isArray(data.send) ? data.send : []) as Row[]).map((t) =>
    t.log === true ? 'an entry' : plain(t.webhook ?? t.command),
  );
  const drop = async () => {
    if (!confirm(`Delete the rule "${name}"? Whoever was told that it fires is told that it ended.`)) return;
    if (await act('DELETE', path, undefined, 'deleted')) go('alerts');
  };
  return (
    <div class="page">
      <div class="tools first">
        <State state={data.state} />
        <h2>{visible(name)}</h2>
        <span class="fill" />
        <button type="button" onClick={() => void act('POST', `${path}/test`, undefined, 'tried').then(setTried)}>
          Try it now
        </button>
        <Snooze rule={data} />
        {!file && (
          <>
            <button type="button" onClick={() => void act('PATCH', path, { enabled: paused }, paused ? 'it is watched again' : 'paused')}>
              {paused ? 'Resume' : 'Pause'}
            </button>
            <button type="button" onClick={() => setParams({ edit: '1' })}>
              Edit
            </button>
            <button type="button" onClick={() => void drop()}>
              Delete
            </button>
          </>
        )}
      </div>
      <div class="pad one">
        {data.about ? <p>{plain(data.about)}</p> : null}
        <dl class="figures">
          <Figure name="fires when" value={conditionOf(data)} />
          <Figure name="severity" value={plain(data.severity)} />
          <Figure name="looked at every" value={plain(data.every)} />
          <Figure name="checked" value={data.evaluated ? ago(String(data.evaluated)) : '–'} />
          <Figure name="tells" value={targets.join(', ') || 'nobody'} />
          <Figure
            name="changed"
            value={
              file ? 'in the file of the server' : `${ago(String(data.changed))}${data.changed_by ? ` by ${plain(data.changed_by)}` : ''}`
            }
          />
        </dl>
        {data.query ? (
          <p class="mono asked">
            {plain(data.query)}{' '}
            <a href={href('explore', '', { q: String(data.query), from: `now-${String(data.window || '24h')}` })}>Its entries</a>
          </p>
        ) : null}
        {data.error ? <p class="problem">{plain(data.error)}</p> : null}
        {data.too_many_groups === true && <p class="warning">More groups than it may watch: the rest is not looked at.</p>}
        {tried && (
          <section>
            <h3>Tried: {duration(Number(tried.elapsed_ms ?? 0))}, nothing was told to anyone</h3>
            <Table label="Tried" columns={['group', 'value', 'breached', 'state', 'next_state']} names={NAMES} rows={found} show={GROUPS} />
          </section>
        )}
        {groups.length > 0 && (
          <section>
            <h3>Groups</h3>
            <Table
              label="Groups"
              columns={['group', 'state', 'value', 'since'].filter((c) => c in (groups[0] as Row))}
              names={NAMES}
              rows={groups}
              show={GROUPS}
            />
          </section>
        )}
        {sent.length > 0 && (
          <section>
            <h3>Deliveries</h3>
            <Table
              label="Deliveries"
              columns={Object.keys(sent[0] as Row).filter((c) => c !== 'id')}
              names={NAMES}
              rows={sent}
              show={GROUPS}
            />
          </section>
        )}
        <section>
          <h3>History</h3>
          <History name={name} />
        </section>
      </div>
    </div>
  );
}

const NAMES: Record<string, string> = {
  group: 'Group',
  value: 'Value',
  breached: 'Past the limit',
  state: 'State',
  next_state: 'Next',
  since: 'Since',
  target: 'Target',
  status: 'Status',
  attempts: 'Attempts',
  answer: 'Answer',
  created: 'Made',
  next: 'Next attempt',
  done: 'Done',
  time: 'When',
  alert: 'Rule',
  from: 'From',
  to: 'To',
  note: 'Note',
};
