/** Traces: the list, and one as a waterfall. */
import { useState } from 'preact/hooks';
import { type Row, get } from '../api';
import { count, duration, money, plain, short, visible } from '../format';
import { useLoad, usePeers } from '../hooks';
import { Empty, Problem, Tabs } from '../parts/common';
import { JsonTree } from '../parts/jsontree';
import { Listing } from '../parts/listing';
import { type Measure, Waterfall, nameOf } from '../parts/waterfall';
import { quote } from '../query';
import { now } from '../state';
import { href, route, setParams } from '../url';

export function Traces() {
  return route.value.id ? <One key={route.value.id} id={route.value.id} /> : <List />;
}

const SORTS: [string, string][] = [['start', 'newest'], ['duration_ms', 'longest'], ['errors', 'most errors'], ['tokens', 'most tokens'],
  ['cost_usd', 'dearest'], ['spans', 'most spans']];

function List() {
  return <Listing what="traces" title="name" sorts={SORTS} empty={(
    <Empty title="No traces here">
      <p>Entries with a <code>trace_id</code> become traces; with <code>span_id</code> and <code>parent_id</code> they become trees.</p>
    </Empty>
  )} />;
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
