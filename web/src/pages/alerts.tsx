/** Alerts: rules with their states, what they went through, snoozing. */
import { useState } from 'preact/hooks';
import { ApiError, type Json, type Row, change, get } from '../api';
import { ago, count, duration, plain, visible } from '../format';
import { useEvery, useLoad } from '../hooks';
import { Code, Empty, Problem, Tabs } from '../parts/common';
import { Table } from '../parts/table';
import { note, now } from '../state';
import { href, route } from '../url';

interface Rule extends Row {
  name: string;
  state: string;
}
type View = 'rules' | 'history';

export function Alerts() {
  return route.value.id ? <One key={route.value.id} name={route.value.id} /> : <List />;
}

async function act(method: 'POST' | 'PATCH', path: string, body: unknown, done: string): Promise<Row | undefined> {
  try {
    const answer = await change<Row>(method, path, body);
    note(done);
    now.value = Date.now();
    return answer;
  } catch (e) {
    note(e instanceof ApiError ? `${e.message} ${e.hint}` : String(e), true);
    return undefined;
  }
}

function List() {
  const [view, setView] = useState<View>('rules');
  const [tick, setTick] = useState(0);
  useEvery(5000, () => setTick((n) => n + 1));
  const { data, error } = useLoad(`alerts ${tick} ${now.value}`, (s) =>
    get<{ alerts: Rule[]; deliveries_waiting: number }>('/api/v1/alerts', {}, s));
  const rules = data?.alerts ?? [];
  return (
    <div class="page">
      <div class="tools first">
        <Tabs<View> label="Parts" value={view} onPick={setView} options={[['rules', `Rules ${count(rules.length)}`], ['history', 'History']]} />
        {data && data.deliveries_waiting > 0 && <span class="badnumber">{count(data.deliveries_waiting)} messages wait to be delivered</span>}
      </div>
      <Problem error={error} />
      {view === 'history' ? <History /> : data && !rules.length ? (
        <Empty title="No alert rules">
          <p>A rule is a query, a window and a condition. Write one into a file and give it to the server, or apply it:</p>
          <Code text={'# alerts.yaml\nalerts:\n  - name: errors\n    query: level:error\n    window: 5m\n    when: {above: 10}\n    send:\n      - log: true\n\nfleetlog alerts apply alerts.yaml'} />
        </Empty>
      ) : (
        <ul class="issues alerts">
          {rules.map((r) => (
            <li key={r.name}>
              <State state={r.state} />
              <div class="what">
                <a href={href('alerts', r.name)}>{visible(r.name)}</a>
                <span class="dim mono">{plain(r.query)}</span>
              </div>
              <span class="dim">{plain(r.condition)}</span>
              <span class="n">{r.evaluated ? ago(String(r.evaluated)) : '–'}<small>checked</small></span>
              <Snooze rule={r} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** `agent=coder`; the one group of a rule without `by` has no name. */
const group = (v: Json | undefined) => <>{v && typeof v === 'object' && !Array.isArray(v)
  ? Object.entries(v).map(([k, x]) => `${k}=${plain(x)}`).join(' ') || 'all' : plain(v) || 'all'}</>;
const when = (v: Json | undefined) => (v ? <time title={String(v)}>{ago(String(v))}</time> : <span class="null">–</span>);
const state = (v: Json | undefined) => <State state={String(v)} />;
const GROUPS = { group, state, next_state: state, since: when, created: when, next: when, done: when, last: when, until: when };

function State({ state }: { state: string }) {
  return <span class={`chip alert-${state}`}>{state}</span>;
}

function Snooze({ rule }: { rule: Rule }) {
  const until = rule.snoozed_until ? String(rule.snoozed_until) : '';
  const path = `/api/v1/alerts/${encodeURIComponent(rule.name)}/snooze`;
  if (until && Date.parse(until) > Date.now())
    return <button type="button" title={`until ${until}`} onClick={() => void act('POST', path, { until: null }, 'it speaks again')}>Snoozed: wake it</button>;
  return (
    <select aria-label={`Snooze ${visible(rule.name)}`} value="" onChange={(e) => {
      const span = (e.currentTarget as HTMLSelectElement).value;
      if (span) void act('POST', path, { for: span }, `snoozed for ${span}`);
    }}>
      <option value="">Snooze</option><option value="30m">30 minutes</option><option value="2h">2 hours</option>
      <option value="12h">12 hours</option><option value="7d">a week</option>
    </select>
  );
}

function History({ name }: { name?: string }) {
  const { data, error } = useLoad(`alert history ${name} ${now.value}`, (s) =>
    get<{ history: Row[] }>('/api/v1/alerts/history', { alert: name, limit: 200 }, s));
  if (error) return <Problem error={error} />;
  if (data && !data.history.length) return <Empty title="Nothing happened yet"><p>What rules go through is kept here: the last 10,000 changes.</p></Empty>;
  return <Table label="History" columns={['time', ...(name ? [] : ['alert']), 'group', 'from', 'to', 'value', 'note']} rows={data?.history ?? []}
                show={{ group, time: when, from: state, to: state }} />;
}

function One({ name }: { name: string }) {
  const [tried, setTried] = useState<Row>();
  const { data, error } = useLoad(`alert ${name} ${now.value}`, (s) => get<Rule>(`/api/v1/alerts/${encodeURIComponent(name)}`, {}, s));
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const groups = (Array.isArray(data.groups) ? data.groups : []) as Row[];
  const sent = (Array.isArray(data.deliveries) ? data.deliveries : []) as Row[];
  const found = (Array.isArray(tried?.groups) ? tried.groups : []) as Row[];
  return (
    <div class="page pad">
      <h2><State state={data.state} /> {visible(name)}</h2>
      <p class="mono">{plain(data.query)}</p>
      <p class="dim">{plain(data.condition)}{data.error ? ` · ${plain(data.error)}` : ''}</p>
      <p class="ways">
        <button type="button" onClick={() => void act('POST', `/api/v1/alerts/${encodeURIComponent(name)}/test`, undefined, 'tried').then(setTried)}>Try it now</button>
        <Snooze rule={data} />
        <a href={href('explore', '', { q: String(data.query ?? ''), from: 'now-24h' })}>Its entries</a>
      </p>
      {tried && <section><h3>Tried: {duration(Number(tried.elapsed_ms ?? 0))}, nothing was told to anyone</h3>
        <Table label="Tried" columns={['group', 'value', 'breached', 'state', 'next_state']} rows={found} show={GROUPS} /></section>}
      {groups.length > 0 && <section><h3>Groups</h3><Table label="Groups" columns={Object.keys(groups[0] as Row)} rows={groups} show={GROUPS} /></section>}
      {sent.length > 0 && <section><h3>Deliveries</h3><Table label="Deliveries" columns={Object.keys(sent[0] as Row).filter((c) => c !== 'id')} rows={sent} show={GROUPS} /></section>}
      <section><h3>History</h3><History name={name} /></section>
    </div>
  );
}
