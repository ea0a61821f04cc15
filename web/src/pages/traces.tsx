/** Traces: the list, and one as a waterfall. */
import { useState } from 'preact/hooks';
import { type Row, get } from '../api';
import { ago, count, duration, money, plain, short, visible } from '../format';
import { useLoad, usePeers } from '../hooks';
import { Empty, Problem, Tabs } from '../parts/common';
import { JsonTree } from '../parts/jsontree';
import { QueryBar } from '../parts/querybar';
import { Table } from '../parts/table';
import { TimePicker } from '../parts/timepicker';
import { type Measure, Waterfall, nameOf } from '../parts/waterfall';
import { quote } from '../query';
import { listed, now, q, range } from '../state';
import { go, href, route, setParams } from '../url';

const COLUMNS = ['name', 'agent', 'start', 'duration_ms', 'spans', 'tool_calls', 'errors', 'tokens', 'cost_usd'];

export const shows = {
  start: (v: unknown) => <time title={String(v)}>{ago(String(v))}</time>,
  end: (v: unknown) => <time title={String(v)}>{ago(String(v))}</time>,
  first: (v: unknown) => <time title={String(v)}>{ago(String(v))}</time>,
  last: (v: unknown) => <time title={String(v)}>{ago(String(v))}</time>,
  duration_ms: (v: unknown) => <>{typeof v === 'number' ? duration(v) : '–'}</>,
  errors: (v: unknown) => <span class={Number(v) ? 'badnumber' : 'dim'}>{count(Number(v ?? 0))}</span>,
  tokens: (v: unknown) => <>{v ? short(Number(v)) : '–'}</>,
  cost_usd: (v: unknown) => <>{typeof v === 'number' ? money(v) : '–'}</>,
};

export function Traces() {
  return route.value.id ? <One key={route.value.id} id={route.value.id} /> : <List />;
}

function List() {
  const text = q.value, at = range.value, sort = route.value.params.sort ?? 'start';
  const { data, error, loading } = useLoad(`traces ${JSON.stringify([text, at, sort])}`, (s) =>
    get<{ traces: Row[]; more: boolean }>('/api/v1/traces', { q: text, sort, limit: 500, ...at }, s).then((a) => {
      listed('traces', a.traces.map((r) => String(r.trace_id)));
      return a;
    }));
  return (
    <div class="page">
      <div class="top">
        <QueryBar value={text} error={error} busy={loading} onRun={(to) => { now.value = Date.now(); setParams({ q: to }); }} />
        <TimePicker />
      </div>
      <div class="tools">
        <strong>{data ? `${count(data.traces.length)}${data.more ? '+' : ''} traces` : ' '}</strong>
        <span class="fill" />
        <label class="small">order <select value={sort} onChange={(e) => setParams({ sort: (e.currentTarget as HTMLSelectElement).value })}>
          <option value="start">newest</option><option value="duration_ms">longest</option><option value="errors">most errors</option>
          <option value="tokens">most tokens</option><option value="cost_usd">dearest</option><option value="spans">most spans</option>
        </select></label>
      </div>
      {data && !data.traces.length ? (
        <Empty title="No traces here">
          <p>Entries with a <code>trace_id</code> become traces; with <code>span_id</code> and <code>parent_id</code> they become trees.</p>
        </Empty>
      ) : (
        <Table label="Traces" columns={COLUMNS} rows={data?.traces ?? []} show={shows}
               onRow={(r) => go('traces', String(r.trace_id))} />
      )}
    </div>
  );
}

interface Trace {
  summary: Row;
  spans: Row[];
  more: boolean;
  warnings: unknown[];
}

function One({ id }: { id: string }) {
  usePeers('traces', id);
  const logs = route.value.params.logs === '1';
  const { data, error } = useLoad(`trace ${id} ${logs} ${now.value}`, (s) =>
    get<Trace>(`/api/v1/traces/${encodeURIComponent(id)}`, { logs: logs || undefined }, s));
  const measure = (route.value.params.by as Measure) || 'duration';
  const [selected, select] = useState(0);
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const s = data.summary ?? {};
  const row = data.spans[selected], session = String(data.spans.find((x) => x.session_id)?.session_id ?? '');
  return (
    <div class="page">
      <header class="summary">
        <h2>{plain(s.name) || 'Trace'} <span class="dim mono">{visible(id)}</span></h2>
        <dl>
          <Figure name="took" value={typeof s.duration_ms === 'number' ? duration(s.duration_ms) : '–'} />
          <Figure name="spans" value={count(Number(s.spans ?? data.spans.length))} />
          <Figure name="agents" value={String(s.agents ?? '–')} />
          <Figure name="errors" value={count(Number(s.errors ?? 0))} bad={Number(s.errors ?? 0) > 0} />
          <Figure name="tokens" value={s.tokens ? short(Number(s.tokens)) : '–'} />
          <Figure name="cost" value={typeof s.cost_usd === 'number' ? money(s.cost_usd) : '–'} />
        </dl>
        <nav class="ways">
          <a href={href('explore', '', { q: `trace_id=${quote(id)}`, from: 'all' })}>Its entries</a>
          {session && <a href={href('sessions', session)}>Its session</a>}
        </nav>
      </header>
      <div class="tools">
        <Tabs<Measure> label="Bars show" value={measure} onPick={(v) => setParams({ by: v === 'duration' ? undefined : v }, true)}
                       options={[['duration', 'Time'], ['tokens', 'Tokens'], ['cost', 'Cost']]} />
        <span class="fill" />
        <button type="button" aria-pressed={route.value.params.gaps === '1'}
                onClick={() => setParams({ gaps: route.value.params.gaps === '1' ? undefined : '1' }, true)}>Press gaps together</button>
        <button type="button" aria-pressed={logs} onClick={() => setParams({ logs: logs ? undefined : '1' }, true)}>Log lines</button>
      </div>
      {data.spans.length ? (
        <div class="below">
          <Waterfall rows={data.spans} selected={selected} onSelect={select} measure={measure}
                     squeezed={route.value.params.gaps === '1'} />
          {row && (
            <aside class="detail" aria-label="Span">
              <header><strong>{plain(nameOf(row))}</strong><span class="fill" />
                {row.span_id && <a href={href('explore', '', { q: `span_id=${quote(String(row.span_id))}`, from: 'all' })}>Entries</a>}</header>
              {row.message && <p class="message">{visible(String(row.message))}</p>}
              <div class="body"><JsonTree value={row} actions={{}} /></div>
            </aside>
          )}
        </div>
      ) : (
        <Empty title="A trace without spans">
          <p>Its entries name no spans. <button type="button" class="link" onClick={() => setParams({ logs: '1' })}>Show them as lines</button>.</p>
        </Empty>
      )}
    </div>
  );
}

export function Figure({ name, value, bad = false }: { name: string; value: string; bad?: boolean }) {
  return <div class={bad ? 'bad' : ''}><dt>{name}</dt><dd>{value}</dd></div>;
}
