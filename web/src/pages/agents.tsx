/** Agents, tools and models: how much each does, how well, how fast and for what money. */
import { useMemo } from 'preact/hooks';
import { type Json, type Row, get, query, timeline } from '../api';
import { ago, count, duration, money, own, plain, short, visible } from '../format';
import { useLoad } from '../hooks';
import { Empty, Problem, Spark, Tabs } from '../parts/common';
import { shows } from '../parts/listing';
import { Table } from '../parts/table';
import { TimePicker } from '../parts/timepicker';
import { quote, term } from '../query';
import { now, q, range } from '../state';
import { go, href, route, setParams } from '../url';
import { Figure } from './traces';

type Kind = 'agent' | 'tool' | 'model';

export function Agents() {
  return route.value.id ? <One key={route.value.id} name={route.value.id} /> : <List />;
}

function List() {
  const kind = (route.value.params.kind as Kind) || 'agent', at = range.value, filter = q.value || '*';
  const stamp = JSON.stringify([kind, at, filter]);
  const stats = useLoad(`stats ${stamp}`, (s) => query(
    `${filter} ${kind}:* | stats count() as entries, count() if (level:error) as errors, p50(duration_ms) as p50, ` +
    `p95(duration_ms) as p95, p99(duration_ms) as p99, max(timestamp) as last by ${kind} | sort by entries desc, ${kind} | limit 500`, at, s));
  const usage = useLoad(`usage ${stamp}`, (s) => query(`${filter} ${kind}:* | usage by ${kind} | limit 500`, at, s));
  const line = useLoad(`spark ${stamp}`, (s) => timeline(filter, kind, at, undefined, s));
  const rows = useMemo<Row[]>(() => {
    const of = new Map((usage.data?.rows ?? []).map((r) => [String(r[kind]), r]));
    return (stats.data?.rows ?? []).map((r) => ({
      ...r, share: Number(r.entries) ? Number(r.errors) / Number(r.entries) : 0,
      tokens: of.get(String(r[kind]))?.tokens ?? null, cost_usd: of.get(String(r[kind]))?.cost_usd ?? null, trend: r[kind] ?? null,
    }));
  }, [stats.data, usage.data, kind]);
  const ms = (v: Json | undefined) => <>{typeof v === 'number' ? duration(v) : '–'}</>;
  return (
    <div class="page">
      <div class="tools first">
        <Tabs<Kind> label="What" value={kind} onPick={(v) => setParams({ kind: v === 'agent' ? undefined : v })}
                    options={[['agent', 'Agents'], ['tool', 'Tools'], ['model', 'Models']]} />
        <span class="fill" />
        <TimePicker />
      </div>
      <Problem error={stats.error} />
      {stats.data && !rows.length ? (
        <Empty title={`No ${kind}s in this range`}><p>Entries with the field <code>{kind}</code> show up here.</p></Empty>
      ) : (
        <Table label={`${kind}s`} rows={rows}
               columns={[kind, 'trend', 'entries', 'errors', 'share', 'p50', 'p95', 'p99', 'tokens', 'cost_usd', 'last']}
               show={{
                 ...shows, p50: ms, p95: ms, p99: ms,
                 entries: (v) => <>{count(Number(v))}</>,
                 share: (v) => <span class={Number(v) > 0.05 ? 'badnumber' : 'dim'}>{(Number(v) * 100).toFixed(1)} %</span>,
                 trend: (v) => <Spark values={(line.data?.buckets ?? []).map((b) => own(b.by, String(v)) ?? 0)} label={`${plain(v)} over time`} />,
               }}
               onRow={(r) => (kind === 'agent' ? go('agents', String(r.agent)) : go('explore', '', { q: term(kind, r[kind] ?? null), from: route.value.params.from }))} />
      )}
    </div>
  );
}

interface Agent {
  agent: string;
  summary: Row;
  usage: Row | Row[];
  models: Row[];
  tools: Row[];
  lineage: Row[];
}

function One({ name }: { name: string }) {
  const at = range.value, filter = `agent=${quote(name)}`;
  const { data, error } = useLoad(`agent ${name} ${JSON.stringify(at)} ${now.value}`, (s) =>
    get<Agent>(`/api/v1/agents/${encodeURIComponent(name)}`, { ...at }, s));
  const slow = useLoad(`slow ${name} ${JSON.stringify(at)}`, (s) =>
    query(`${filter} duration_ms:* | sort by duration_ms desc | limit 10 | fields timestamp, operation, tool, model, duration_ms, message, trace_id`, at, s));
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const s = data.summary ?? {}, usage = (Array.isArray(data.usage) ? data.usage[0] : data.usage) ?? {};
  return (
    <div class="page">
      <header class="summary">
        <h2>{visible(name)}</h2>
        <dl>
          <Figure name="entries" value={count(Number(s.entries ?? 0))} />
          <Figure name="errors" value={count(Number(s.errors ?? 0))} bad={Number(s.errors ?? 0) > 0} />
          <Figure name="sessions" value={count(Number(s.sessions ?? 0))} />
          <Figure name="tokens" value={usage.tokens ? short(Number(usage.tokens)) : '–'} />
          <Figure name="cost" value={typeof usage.cost_usd === 'number' ? money(usage.cost_usd) : '–'} />
          <Figure name="last seen" value={s.last ? ago(String(s.last)) : '–'} />
        </dl>
        <nav class="ways">
          <a href={href('explore', '', { q: filter, from: route.value.params.from })}>Its entries</a>
          <a href={href('live', '', { q: filter })}>Live</a>
          <a href={href('issues', '', { q: filter })}>Its issues</a>
        </nav>
      </header>
      <div class="tools"><span class="fill" /><TimePicker /></div>
      <div class="pad">
        {([['Tools', data.tools], ['Models', data.models], ['Started by, and who it started', data.lineage]] as [string, Row[]][]).map(([title, rows]) =>
          rows.length > 0 && <section key={title}><h3>{title}</h3><Table label={title} columns={Object.keys(rows[0] as Row)} rows={rows} show={shows} /></section>)}
        {slow.data && slow.data.rows.length > 0 && (
          <section><h3>Slowest</h3><Table label="Slowest" columns={slow.data.columns} rows={slow.data.rows} show={shows}
            onRow={(r) => r.trace_id && go('traces', String(r.trace_id))} /></section>
        )}
      </div>
    </div>
  );
}
