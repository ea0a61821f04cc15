/** Sessions: the list, one as a conversation, and two beside each other. */
import { useState } from 'preact/hooks';
import { type Json, type Row, get, query } from '../api';
import { clock, count, duration, hue, money, plain, short, visible } from '../format';
import { useEvery, useKeys, useLoad, usePeers } from '../hooks';
import { Empty, Level, Peers, Problem, Tabs } from '../parts/common';
import { Listing, shows } from '../parts/listing';
import { Table } from '../parts/table';
import { Talk } from '../parts/talk';
import { quote } from '../query';
import { now } from '../state';
import { go, href, route, setParams } from '../url';
import { Compare } from './compare';
import { Figure } from './traces';

export function Sessions() {
  const { id, params } = route.value;
  if (id && params.with) return <Compare key={`${id} ${params.with}`} a={id} b={params.with} />;
  return id ? <One key={id} id={id} /> : <List />;
}

const SORTS: [string, string][] = [
  ['start', 'newest'],
  ['duration_ms', 'longest'],
  ['errors', 'most errors'],
  ['tokens', 'most tokens'],
  ['cost_usd', 'dearest'],
  ['tool_calls', 'most tool calls'],
];

function List() {
  const [first, setFirst] = useState('');
  return (
    <Listing
      what="sessions"
      title="first_user"
      sorts={SORTS}
      note={
        first && (
          <span class="dim">
            comparing {visible(first)}: pick the other ·{' '}
            <button type="button" class="link" onClick={() => setFirst('')}>
              no
            </button>
          </span>
        )
      }
      empty={
        <Empty title="No sessions here">
          <p>
            Entries with a <code>session_id</code> become sessions.
          </p>
        </Empty>
      }
      action={(r) => (
        <button
          type="button"
          class="link"
          onClick={(e) => {
            e.stopPropagation();
            if (first) go('sessions', first, { with: String(r.session_id) });
            else setFirst(String(r.session_id));
          }}
        >
          compare
        </button>
      )}
    />
  );
}

export interface Session {
  summary: Row;
  lineage: Row[];
  tools: Row[];
  models: Row[];
  timeline: Row[];
  more: boolean;
}

const GOING_MS = 20e3; /* heard of so lately, it is loaded again and again */

type View = 'talk' | 'lines' | 'figures';

function One({ id }: { id: string }) {
  const peers = usePeers('sessions', id);
  const [most, setMost] = useState(2000);
  const { data, error } = useLoad(`session ${id} ${most} ${now.value}`, (s) =>
    get<Session>(`/api/v1/sessions/${encodeURIComponent(id)}`, { limit: most }, s),
  );
  const view = (route.value.params.view as View) || 'talk';
  const last = Date.parse(String(data?.summary?.end)),
    going = Date.now() - last < GOING_MS && (data?.timeline.length ?? 0) < most;
  useEvery(3000, () => {
    if (going) now.value = Date.now();
  });
  useKeys({
    r: () => {
      now.value = Date.now();
    },
  });
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const s = data.summary ?? {};
  const tabs = (
    <>
      <Tabs<View>
        label="Views"
        value={view}
        onPick={(v) => setParams({ view: v === 'talk' ? undefined : v })}
        options={[
          ['talk', 'Conversation'],
          ['lines', 'Timeline'],
          ['figures', 'Tools and models'],
        ]}
      />
      {data.more && (
        <button type="button" class="more" onClick={() => setMost(10000)} disabled={most === 10000}>
          the first {count(data.timeline.length)} entries
        </button>
      )}
    </>
  );
  return (
    <div class="page">
      <header class="summary headed">
        <h2>
          <span>{plain(s.first_user) || 'Session'}</span> <span class="dim mono">{visible(id)}</span>
        </h2>
        <nav class="ways">
          <a href={href('explore', '', { q: `session_id=${quote(id)}`, from: 'all' })}>Its entries</a>
          <Others id={id} prompt={plain(s.first_user)} />
          <Peers step={peers} />
        </nav>
        <dl>
          {going && (
            <div>
              <dt>state</dt>
              <dd class="pulse">live</dd>
            </div>
          )}
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
              <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} /> <b>{plain(r.agent)}</b>{' '}
              {plain(r.message ?? r.event)}
            </a>
          ))}
        </div>
      )}
      {view === 'figures' && (
        <div class="pad">
          <h3>Agents</h3>
          <Table
            label="Agents"
            rows={data.lineage}
            names={NAMES}
            show={FIGURES}
            onRow={(r) => go('agents', String(r.agent))}
            columns={['agent', 'parent_agent', 'starts', 'entries', 'errors', 'tokens', 'cost_usd', 'tree_tokens', 'tree_cost_usd']}
          />
          {data.tools.length > 0 && <h3>Tools</h3>}
          {data.tools.length > 0 && (
            <Table
              label="Tools"
              rows={data.tools}
              names={NAMES}
              show={FIGURES}
              columns={['tool', 'entries', 'errors', 'p50_ms', 'p95_ms']}
            />
          )}
          {data.models.length > 0 && <h3>Models</h3>}
          {data.models.length > 0 && (
            <Table
              label="Models"
              rows={data.models}
              names={NAMES}
              show={FIGURES}
              columns={['model', 'calls', 'tokens.input', 'tokens.cache_read', 'tokens.output', 'tokens', 'cost_usd']}
            />
          )}
        </div>
      )}
    </div>
  );
}

/** Other runs to compare with: those of the same prompt, and those whose ids differ only at the end. */
function Others({ id, prompt }: { id: string; prompt: string }) {
  const [asked, setAsked] = useState(false);
  const stem = /^(.*[-_.:/])\w{1,4}$/.exec(id)?.[1];
  const { data } = useLoad(`others ${asked} ${id}`, async (s) =>
    !asked
      ? []
      : (
          await query(
            `* | sessions | where first_user=${quote(prompt)}${stem ? ` OR session_id:${quote(stem)}*` : ''} | sort by start desc | head 50`,
            {},
            s,
          )
        ).rows
          .filter((r) => r.session_id !== id)
          .sort((a, b) => Number(b.first_user === prompt) - Number(a.first_user === prompt)),
  );
  if (!asked)
    return (
      <button type="button" class="link" onClick={() => setAsked(true)}>
        Compare
      </button>
    );
  if (!data?.length) return <span class="dim">{data ? 'nothing like it' : '…'}</span>;
  return (
    <select aria-label="Compare with" value="" onChange={(e) => go('sessions', id, { with: (e.currentTarget as HTMLSelectElement).value })}>
      <option value="">compare with…</option>
      {data.map((r) => (
        <option key={String(r.session_id)} value={String(r.session_id)}>
          {plain(r.session_id)}: {plain(r.first_user).slice(0, 60)}
        </option>
      ))}
    </select>
  );
}

const NAMES = {
  agent: 'Agent',
  parent_agent: 'Started by',
  starts: 'Times',
  entries: 'Entries',
  errors: 'Errors',
  tokens: 'Tokens',
  cost_usd: 'Cost',
  tree_tokens: 'Tokens with all below',
  tree_cost_usd: 'Cost with all below',
  tool: 'Tool',
  p50_ms: 'p50',
  p95_ms: 'p95',
  model: 'Model',
  calls: 'Calls',
  'tokens.input': 'Input',
  'tokens.cache_read': 'From the cache',
  'tokens.output': 'Output',
};
const FIGURES = {
  ...shows,
  p50_ms: shows.duration_ms,
  p95_ms: shows.duration_ms,
  tree_tokens: shows.tokens,
  tree_cost_usd: shows.cost_usd,
  'tokens.input': shows.tokens,
  'tokens.cache_read': shows.tokens,
  'tokens.output': shows.tokens,
  agent: (v: Json | undefined, r: Row) => (
    <span style={{ paddingLeft: `${Number(r.depth ?? 0) * 14}px` }}>
      <i class="dot" style={{ background: `hsl(${hue(String(v))} 50% var(--chart-light))` }} /> {plain(v)}
    </span>
  ),
} as typeof shows;
