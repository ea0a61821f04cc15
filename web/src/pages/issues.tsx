/** Issues: errors gathered by what they have in common, with a state each. */
import { useState } from 'preact/hooks';
import { ApiError, type Row, change, get } from '../api';
import { ago, count, plain, visible } from '../format';
import { useKeys, useLoad, usePeers } from '../hooks';
import { Empty, Level, Problem, Spark, Tabs } from '../parts/common';
import { listed, now, note, range } from '../state';
import { href, route, setParams, go } from '../url';
import { TimePicker } from '../parts/timepicker';

interface Issue extends Row {
  id: string;
  title: string;
  state: string;
  count: number;
  first: string;
  last: string;
}
interface Answer {
  issues: Issue[];
  total: number;
  states: Record<string, number>;
}
type State = 'open' | 'resolved' | 'ignored' | 'all';

export function Issues() {
  return route.value.id ? <One key={route.value.id} id={route.value.id} /> : <List />;
}

async function set(ids: string[], state: string): Promise<void> {
  try {
    await change('POST', '/api/v1/issues', { ids, state, by: 'dashboard' });
    note(`${count(ids.length)} ${state}`);
    now.value = Date.now();
  } catch (e) {
    note(e instanceof ApiError ? `${e.message} ${e.hint}` : String(e), true);
  }
}

function List() {
  const { params } = route.value, state = (params.state as State) || 'open', sort = params.sort || 'last';
  const [picked, pick] = useState<Set<string>>(new Set());
  const [at, setAt] = useState(-1);
  const { data, error } = useLoad(`issues ${JSON.stringify([state, sort, range.value, params.q])}`, (s) =>
    get<Answer>('/api/v1/issues', { state, sort, q: params.q, limit: 200, ...range.value }, s).then((a) => {
      listed('issues', a.issues.map((x) => x.id));
      return a;
    }));
  const issues = data?.issues ?? [];
  const act = (to: string) => {
    const ids = picked.size ? [...picked] : issues[at] ? [(issues[at] as Issue).id] : [];
    if (ids.length) void set(ids, to).then(() => pick(new Set()));
  };
  useKeys({
    j: () => setAt(Math.min(issues.length - 1, at + 1)), k: () => setAt(Math.max(0, at - 1)),
    Enter: () => { if (issues[at]) go('issues', (issues[at] as Issue).id); },
    e: () => act('resolved'), i: () => act('ignored'),
    x: () => {
      const id = issues[at]?.id;
      if (id) pick((p) => { const n = new Set(p); if (!n.delete(id)) n.add(id); return n; });
    },
  });
  return (
    <div class="page">
      <div class="tools first">
        <Tabs<State> label="State" value={state} onPick={(v) => setParams({ state: v === 'open' ? undefined : v })}
                     options={(['open', 'resolved', 'ignored', 'all'] as State[]).map((v) => [v,
                       `${v[0]?.toUpperCase()}${v.slice(1)}${data && v !== 'all' ? ` ${count(data.states[v] ?? 0)}` : ''}`])} />
        <span class="fill" />
        {picked.size > 0 && (
          <>
            <span class="dim">{picked.size} picked</span>
            <button type="button" onClick={() => act('resolved')}>Resolve</button>
            <button type="button" onClick={() => act('ignored')}>Ignore</button>
            <button type="button" onClick={() => act('open')}>Reopen</button>
          </>
        )}
        <label class="small">order <select value={sort} onChange={(e) => setParams({ sort: (e.currentTarget as HTMLSelectElement).value })}>
          <option value="last">latest</option><option value="first">newest</option><option value="count">most frequent</option>
          <option value="agents">most agents</option><option value="sessions">most sessions</option>
        </select></label>
        <TimePicker />
      </div>
      <Problem error={error} />
      {data && !issues.length && (
        <Empty title={state === 'open' ? 'No open issues' : `Nothing is ${state}`}>
          <p>Errors with the same type, tool, message pattern and place in the code are one issue. A resolved one opens again by
            itself when it comes back.</p>
        </Empty>
      )}
      <ul class="issues">
        {issues.map((x, i) => (
          <li key={x.id} class={i === at ? 'on' : ''}>
            <input type="checkbox" aria-label={`Pick ${visible(x.title)}`} checked={picked.has(x.id)}
                   onChange={() => pick((p) => { const n = new Set(p); if (!n.delete(x.id)) n.add(x.id); return n; })} />
            <Level level={String(x.level)} />
            <div class="what">
              <a href={href('issues', x.id)}>{visible(x.title)}</a>
              <span class="dim">
                {x.regressed === true && <b class="chip bad">came back</b>} {plain(x.error_type)} {plain(x.tool)} {plain(x.frame)}
              </span>
            </div>
            <SparkOf issue={x} />
            <span class="n">{count(x.count)}<small>times</small></span>
            <span class="n">{count(Number(x.agents ?? 0))}<small>agents</small></span>
            <span class="n"><time title={x.last}>{ago(x.last)}</time><small>since {ago(x.first)}</small></span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function SparkOf({ issue }: { issue: Issue }) {
  const counts = (issue.spark as { counts?: number[] } | null)?.counts ?? [];
  return <Spark values={counts} label={`${issue.count} times`} />;
}

function One({ id }: { id: string }) {
  usePeers('issues', id);
  const { data, error } = useLoad(`issue ${id} ${now.value}`, (s) => get<Issue>(`/api/v1/issues/${encodeURIComponent(id)}`, {}, s));
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const history = (Array.isArray(data.history) ? data.history : []) as Row[];
  const byAgent = (data.by_agent ?? {}) as Record<string, number> | Row[];
  const agents: [string, number][] = Array.isArray(byAgent)
    ? byAgent.map((a) => [String(a.agent ?? a.name ?? a.value), Number(a.count)]) : Object.entries(byAgent).map(([k, v]) => [k, Number(v)]);
  return (
    <div class="page pad">
      <header class="summary flat">
        <h2><Level level={String(data.level)} /> {visible(data.title)}</h2>
        <p class="dim">{data.state}{data.regressed === true ? ', came back after it was resolved' : ''} · {count(data.count)} times ·
          first {ago(data.first)} · last {ago(data.last)}</p>
        <p>
          {['resolved', 'ignored', 'open'].filter((s) => s !== data.state).map((s) => (
            <button key={s} type="button" onClick={() => void set([id], s)}>{{ resolved: 'Resolve', ignored: 'Ignore', open: 'Reopen' }[s]}</button>
          ))}
        </p>
        <SparkOf issue={data} />
      </header>
      <nav class="ways">
        {typeof data.example === 'string' && <a href={href('entry', data.example)}>An example</a>}
        {typeof data.latest === 'string' && <a href={href('entry', data.latest)}>The latest</a>}
      </nav>
      <h3>Agents</h3>
      <ul class="plainlist">{agents.map(([name, n]) => <li key={name}><a href={href('agents', name)}>{plain(name)}</a> <span class="dim">{count(n)}</span></li>)}</ul>
      <h3>History</h3>
      {history.length ? (
        <ul class="plainlist">{history.map((h, i) => (
          <li key={i}><time title={String(h.at)}>{ago(String(h.at))}</time> {plain(h.state)} {h.by ? `by ${plain(h.by)}` : ''} <span class="dim">{plain(h.note)}</span></li>
        ))}</ul>
      ) : <p class="dim">Nobody has touched it yet.</p>}
    </div>
  );
}
