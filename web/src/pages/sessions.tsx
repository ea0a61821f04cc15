/** Sessions: the list, one as a conversation, and two beside each other. */
import { useState } from 'preact/hooks';
import { type Json, type Row, get } from '../api';
import { clock, count, duration, hue, money, plain, short, visible } from '../format';
import { useLoad, usePeers } from '../hooks';
import { Empty, Level, Problem, Tabs } from '../parts/common';
import { JsonTree } from '../parts/jsontree';
import { QueryBar } from '../parts/querybar';
import { Table } from '../parts/table';
import { TimePicker } from '../parts/timepicker';
import { quote } from '../query';
import { listed, now, q, range } from '../state';
import { go, href, route, setParams } from '../url';
import { Figure, shows } from './traces';

const COLUMNS = ['session_id', 'first_user', 'agent_names', 'start', 'duration_ms', 'entries', 'tool_calls', 'errors', 'tokens', 'cost_usd'];

export function Sessions() {
  const { id, params } = route.value;
  if (id && params.with) return <div class="beside"><One id={id} /><One id={params.with} /></div>;
  return id ? <One key={id} id={id} /> : <List />;
}

function List() {
  const text = q.value, at = range.value, sort = route.value.params.sort ?? 'start';
  const [first, setFirst] = useState('');
  const { data, error, loading } = useLoad(`sessions ${JSON.stringify([text, at, sort])}`, (s) =>
    get<{ sessions: Row[]; more: boolean }>('/api/v1/sessions', { q: text, sort, limit: 500, ...at }, s).then((a) => {
      listed('sessions', a.sessions.map((r) => String(r.session_id)));
      return a;
    }));
  return (
    <div class="page">
      <div class="top">
        <QueryBar value={text} error={error} busy={loading} onRun={(to) => { now.value = Date.now(); setParams({ q: to }); }} />
        <TimePicker />
      </div>
      <div class="tools">
        <strong>{data ? `${count(data.sessions.length)}${data.more ? '+' : ''} sessions` : ' '}</strong>
        {first && <span class="dim">comparing {visible(first)}: pick the other · <button type="button" class="link" onClick={() => setFirst('')}>no</button></span>}
        <span class="fill" />
        <label class="small">order <select value={sort} onChange={(e) => setParams({ sort: (e.currentTarget as HTMLSelectElement).value })}>
          <option value="start">newest</option><option value="duration_ms">longest</option><option value="errors">most errors</option>
          <option value="tokens">most tokens</option><option value="cost_usd">dearest</option><option value="tool_calls">most tool calls</option>
        </select></label>
      </div>
      {data && !data.sessions.length ? (
        <Empty title="No sessions here"><p>Entries with a <code>session_id</code> become sessions.</p></Empty>
      ) : (
        <Table label="Sessions" columns={[...COLUMNS, '']} rows={data?.sessions ?? []}
               show={{
                 ...shows,
                 agent_names: (v) => { const t = Array.isArray(v) ? v.map(plain).join(', ') : plain(v as Json); return <span class="text short" title={t}>{t}</span>; },
                 first_user: (v) => <span class="text mid" title={plain(v as Json)}>{plain(v as Json) || '–'}</span>,
                 '': (_v, r) => <button type="button" class="link" onClick={(e) => {
                   e.stopPropagation();
                   if (first) go('sessions', first, { with: String(r.session_id) });
                   else setFirst(String(r.session_id));
                 }}>compare</button>,
               }}
               onRow={(r) => go('sessions', String(r.session_id))} />
      )}
    </div>
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
  usePeers('sessions', id);
  const { data, error } = useLoad(`session ${id} ${now.value}`, (s) =>
    get<Session>(`/api/v1/sessions/${encodeURIComponent(id)}`, { limit: 5000 }, s));
  const [view, setView] = useState<View>('talk');
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const s = data.summary ?? {};
  return (
    <div class="page">
      <header class="summary">
        <h2>{plain(s.first_user) || 'Session'} <span class="dim mono">{visible(id)}</span></h2>
        <dl>
          <Figure name="took" value={typeof s.duration_ms === 'number' ? duration(s.duration_ms) : '–'} />
          <Figure name="agents" value={Array.isArray(s.agent_names) ? s.agent_names.map(plain).join(', ') : '–'} />
          <Figure name="entries" value={count(Number(s.entries ?? 0))} />
          <Figure name="tool calls" value={count(Number(s.tool_calls ?? 0))} />
          <Figure name="errors" value={count(Number(s.errors ?? 0))} bad={Number(s.errors ?? 0) > 0} />
          <Figure name="tokens" value={s.tokens ? short(Number(s.tokens)) : '–'} />
          <Figure name="cost" value={typeof s.cost_usd === 'number' ? money(s.cost_usd) : '–'} />
        </dl>
        <nav class="ways"><a href={href('explore', '', { q: `session_id=${quote(id)}`, from: 'all' })}>Its entries</a></nav>
      </header>
      <div class="tools">
        <Tabs<View> label="Views" value={view} onPick={setView}
                    options={[['talk', 'Conversation'], ['lines', 'Timeline'], ['figures', 'Tools and models']]} />
        {data.more && <span class="dim">the first {count(data.timeline.length)} entries</span>}
      </div>
      {view === 'talk' && <Talk rows={data.timeline} />}
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

type Turn =
  | { kind: 'said'; who: string; role: 'user' | 'agent' | 'system'; row: Row; text: string }
  | { kind: 'tool'; name: string; call?: Row; result?: Row; bad: boolean }
  | { kind: 'other'; row: Row };

const USER = new Set(['user_message', 'user_prompt', 'UserPromptSubmit', 'user']);
const ANSWER = new Set(['agent_response', 'assistant', 'assistant_message', 'llm_response', 'Stop']);
const CALL = new Set(['tool_invocation', 'tool_call', 'PreToolUse', 'tool_use']);
const RESULT = new Set(['tool_result', 'PostToolUse', 'PostToolUseFailure']);

/** Entries as turns: what was said, tool calls with their results, and the rest. */
export function turns(rows: Row[]): Turn[] {
  const out: Turn[] = [], open = new Map<string, Extract<Turn, { kind: 'tool' }>>();
  for (const row of rows) {
    const event = String(row.event ?? ''), attributes = (row.attributes ?? {}) as Row;
    const role = String(attributes.role ?? '');
    const text = typeof row.message === 'string' && row.message ? row.message
      : typeof row.input === 'string' ? row.input : typeof row.output === 'string' ? row.output : '';
    const key = String(row.call_id ?? row.span_id ?? row.tool ?? '');
    if (row.tool && (CALL.has(event) || (!RESULT.has(event) && row.kind === 'span_start'))) {
      const t: Turn = { kind: 'tool', name: String(row.tool), call: row, bad: false };
      open.set(key, t);
      out.push(t);
    } else if (row.tool && (RESULT.has(event) || row.kind === 'span_end') && open.has(key)) {
      const t = open.get(key) as Extract<Turn, { kind: 'tool' }>;
      t.result = row;
      t.bad = bad(row);
      open.delete(key);
    } else if (row.tool) {
      out.push({ kind: 'tool', name: String(row.tool), result: row, bad: bad(row) });
    } else if (USER.has(event) || role === 'user') {
      out.push({ kind: 'said', who: String(row.agent ?? 'user'), role: 'user', row, text });
    } else if (ANSWER.has(event) || role === 'assistant') {
      out.push({ kind: 'said', who: String(row.agent ?? 'agent'), role: 'agent', row, text });
    } else if (role === 'system') {
      out.push({ kind: 'said', who: 'system', role: 'system', row, text });
    } else out.push({ kind: 'other', row });
  }
  return out;
}

function bad(row: Row): boolean {
  return row.level === 'error' || row.level === 'critical' || row.status === 'error' || row.event === 'PostToolUseFailure';
}

function Talk({ rows }: { rows: Row[] }) {
  const [most, setMost] = useState(200);
  const all = turns(rows);
  return (
    <div class="talk">
      {all.slice(0, most).map((t, i) => (t.kind === 'said' ? (
        <article key={i} class={`said ${t.role}`}>
          <header><b style={{ color: `hsl(${hue(t.who)} 50% var(--name-light))` }}>{plain(t.who)}</b> <time>{clock(String(t.row.timestamp))}</time>
            {t.row.model && <span class="chip">{plain(t.row.model)}</span>}</header>
          <Text text={t.text || plain(t.row.output as Json)} />
        </article>
      ) : t.kind === 'tool' ? <Tool key={i} turn={t} /> : (
        <Aside key={i} row={t.row} />
      )))}
      {all.length > most && <button type="button" class="more" onClick={() => setMost(most * 3)}>{count(all.length - most)} more</button>}
    </div>
  );
}

/** What is neither said nor a tool call: a line, all of it on demand. */
function Aside({ row }: { row: Row }) {
  const [whole, setWhole] = useState(false);
  const text = typeof row.message === 'string' ? row.message : plain(row.event);
  const long = text.length > 200;
  return (
    <p class={`aside ${String(row.level)}`}>
      <time>{clock(String(row.timestamp))}</time> <b>{plain(row.agent)}</b> {row.message && row.event ? <span class="chip">{plain(row.event)}</span> : null}{' '}
      {whole ? <span class="text">{visible(text)}</span> : plain(text.slice(0, 200))}
      {long && <button type="button" class="more" onClick={() => setWhole(!whole)}>{whole ? 'less' : `… ${count(text.length - 200)} more`}</button>}
    </p>
  );
}

function Text({ text }: { text: string }) {
  const [whole, setWhole] = useState(false);
  const cut = text.length > 3000 && !whole;
  return <div class="text">{visible(cut ? text.slice(0, 3000) : text)}{cut && <button type="button" class="more" onClick={() => setWhole(true)}>… all of it</button>}</div>;
}

function Tool({ turn }: { turn: Extract<Turn, { kind: 'tool' }> }) {
  const [open, setOpen] = useState(turn.bad);
  const ms = turn.result?.duration_ms ?? turn.call?.duration_ms;
  const input = turn.call?.input ?? turn.result?.input ?? turn.call?.message, output = turn.result?.output ?? turn.result?.message;
  return (
    <div class={`toolcall ${turn.bad ? 'bad' : ''}`}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="fold">{open ? '▾' : '▸'}</span> <b>{plain(turn.name)}</b>
        <span class="dim"> {plain(input as Json).slice(0, 120)}</span>
        <span class="fill" />
        {typeof ms === 'number' && <span class="dim">{duration(ms)}</span>}
        {turn.bad ? <span class="mark bad">failed</span> : !turn.result ? <span class="dim">no result</span> : null}
      </button>
      {open && (
        <div class="inout">
          <div><h4>in</h4><Whole value={input as Json} /></div>
          <div><h4>out</h4><Whole value={output as Json} /></div>
        </div>
      )}
    </div>
  );
}

function Whole({ value }: { value: Json | undefined }) {
  if (value === undefined || value === null) return <span class="dim">nothing</span>;
  if (typeof value === 'string') return <pre class="json">{visible(value.slice(0, 20000))}</pre>;
  return <JsonTree value={value} actions={{}} />;
}
