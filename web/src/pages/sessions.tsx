/** Sessions: the list, one as a conversation, and two beside each other. */
import { useState } from 'preact/hooks';
import { type Row, get } from '../api';
import { clock, count, duration, money, plain, short, visible } from '../format';
import { useLoad, usePeers } from '../hooks';
import { Empty, Level, Peers, Problem, Tabs } from '../parts/common';
import { Listing, shows } from '../parts/listing';
import { Table } from '../parts/table';
import { Talk } from '../parts/talk';
import { quote } from '../query';
import { now } from '../state';
import { go, href, route } from '../url';
import { Figure } from './traces';

export function Sessions() {
  const { id, params } = route.value;
  if (id && params.with) return <div class="beside"><One id={id} /><One id={params.with} /></div>;
  return id ? <One key={id} id={id} /> : <List />;
}

const SORTS: [string, string][] = [['start', 'newest'], ['duration_ms', 'longest'], ['errors', 'most errors'], ['tokens', 'most tokens'],
  ['cost_usd', 'dearest'], ['tool_calls', 'most tool calls']];

function List() {
  const [first, setFirst] = useState('');
  return (
    <Listing what="sessions" title="first_user" sorts={SORTS}
             note={first && <span class="dim">comparing {visible(first)}: pick the other · <button type="button" class="link" onClick={() => setFirst('')}>no</button></span>}
             empty={<Empty title="No sessions here"><p>Entries with a <code>session_id</code> become sessions.</p></Empty>}
             action={(r) => (
               <button type="button" class="link" onClick={(e) => {
                 e.stopPropagation();
                 if (first) go('sessions', first, { with: String(r.session_id) });
                 else setFirst(String(r.session_id));
               }}>compare</button>
             )} />
  );
}

interface Session {
  summary: Row;
  lineage: Row[];
  tools: Row[];
  models: Row[];
  timeline: Row[];
  more: boolean;
}

type View = 'talk' | 'lines' | 'figures';

function One({ id }: { id: string }) {
  const peers = usePeers('sessions', id);
  const [most, setMost] = useState(2000);
  const { data, error } = useLoad(`session ${id} ${most} ${now.value}`, (s) =>
    get<Session>(`/api/v1/sessions/${encodeURIComponent(id)}`, { limit: most }, s));
  const [view, setView] = useState<View>('talk');
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const s = data.summary ?? {};
  const tabs = (
    <>
      <Tabs<View> label="Views" value={view} onPick={setView}
                  options={[['talk', 'Conversation'], ['lines', 'Timeline'], ['figures', 'Tools and models']]} />
      {data.more && <button type="button" class="more" onClick={() => setMost(10000)} disabled={most === 10000}>the first {count(data.timeline.length)} entries</button>}
    </>
  );
  return (
    <div class="page">
      <header class="summary headed">
        <h2><span>{plain(s.first_user) || 'Session'}</span> <span class="dim mono">{visible(id)}</span></h2>
        <nav class="ways">
          <a href={href('explore', '', { q: `session_id=${quote(id)}`, from: 'all' })}>Its entries</a>
          <Peers step={peers} />
        </nav>
        <dl>
          <Figure name="took" value={typeof s.duration_ms === 'number' ? duration(s.duration_ms) : '–'} />
          <Figure name="agents" value={Array.isArray(s.agent_names) ? s.agent_names.map(plain).join(', ') : '–'} />
          <Figure name="entries" value={count(Number(s.entries ?? 0))} />
          <Figure name="tool calls" value={count(Number(s.tool_calls ?? 0))} />
          <Figure name="errors" value={count(Number(s.errors ?? 0))} bad={Number(s.errors ?? 0) > 0} />
          {s.tokens ? <Figure name="tokens" value={short(Number(s.tokens))} /> : null}
          {typeof s.cost_usd === 'number' && <Figure name="cost" value={money(s.cost_usd)} />}
        </dl>
      </header>
      {view === 'talk' ? <Talk rows={data.timeline} lineage={data.lineage} lead={tabs} /> : <div class="tools">{tabs}</div>}
      {view === 'lines' && (
        <div class="lines">
          {data.timeline.map((r) => (
            <a key={String(r.id)} class={`line ${String(r.level)}`} href={href('entry', String(r.id))}>
              <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} /> <b>{plain(r.agent)}</b> {plain(r.message ?? r.event)}
            </a>
          ))}
        </div>
      )}
      {view === 'figures' && (
        <div class="pad">
          <h3>Agents</h3><Table label="Agents" columns={keys(data.lineage)} rows={data.lineage} show={shows} />
          <h3>Tools</h3><Table label="Tools" columns={keys(data.tools)} rows={data.tools} show={shows} />
          <h3>Models</h3><Table label="Models" columns={keys(data.models)} rows={data.models} show={shows} />
        </div>
      )}
    </div>
  );
}

const keys = (rows: Row[]) => (rows[0] ? Object.keys(rows[0]) : []);
