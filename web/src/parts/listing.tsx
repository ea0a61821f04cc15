/** The list of sessions and that of traces: rows the server makes with the pipe of that name, a page at a time.
 *  The buttons write conditions into the query, `| sessions | where errors > 0`, so that it can be read and changed;
 *  a tool is looked for among the entries, for a row does not say which it used. */
import type { ComponentChildren } from 'preact';
import { type Json, type Range, type Row, query, values } from '../api';
import { ago, count, duration, money, plain, short, visible } from '../format';
import { USER } from '../events';
import { useLoad } from '../hooks';
import { filterOf, pipeParts, quote, term, terms, toggle, togglePipe } from '../query';
import { listed, now, q, range } from '../state';
import { go, route, setParams } from '../url';
import { Bar } from './common';
import { QueryBar } from './querybar';
import { Table } from './table';
import { TimePicker } from './timepicker';

const PAGE = 200;
const QUERY_UNITS = 4000; /* a query has at most 16 KiB, a unit at most four bytes */
const FAILED = 'where errors > 0';
const LONGER: [number, string][] = [
  [1e3, '1 s'],
  [10e3, '10 s'],
  [60e3, '1 min'],
  [600e3, '10 min'],
  [3600e3, '1 h'],
];
const NAMES: Record<string, string> = {
  first_user: 'Prompt',
  name: 'Name',
  agent_names: 'Agents',
  start: 'Started',
  duration_ms: 'Took',
  entries: 'Entries',
  spans: 'Spans',
  tool_calls: 'Calls',
  errors: 'Errors',
  tokens: 'Tokens',
  cost_usd: 'Cost',
};
const MINOR = ['agent_names', 'entries', 'spans', 'tool_calls', 'tokens', 'cost_usd', ''];

export function Listing({
  what,
  title,
  sorts,
  note,
  empty,
  action,
}: {
  what: 'sessions' | 'traces';
  title: 'first_user' | 'name';
  sorts: [string, string][];
  note?: ComponentChildren;
  empty: ComponentChildren;
  action?: (row: Row) => ComponentChildren;
}) {
  const text = q.value,
    at = range.value,
    sort = route.value.params.sort ?? 'start',
    page = Math.max(1, Number(route.value.params.page) || 1);
  const id = what === 'sessions' ? 'session_id' : 'trace_id';
  const parts = pipeParts(text),
    whole = parts.includes(what) ? text : `${text || '*'} | ${what}`;
  const narrowed = !['', '*'].includes(filterOf(text));
  const { data, error, loading } = useLoad(`${what} ${JSON.stringify([whole, at, sort, page])}`, async (s) => {
    const [rows, all] = await Promise.all([
      query(`${whole} | sort by ${sort} desc, ${id} | offset ${(page - 1) * PAGE} | head ${PAGE}`, at, s),
      query(`${whole} | stats count() as n`, at, s),
    ]);
    const ids = rows.rows.map((r) => String(r[id]));
    listed(what, ids);
    /* the rows of a filter know only the entries that match it: they get those of all their entries */
    const [entire, prompts] = await Promise.all([
      narrowed ? among(id, ids, `| ${what}`, at, s) : undefined,
      what === 'traces' ? asked(ids, at, s) : undefined,
    ]);
    return { total: Number(all.rows[0]?.n ?? 0), rows: rows.rows.map((r) => entire?.get(String(r[id])) ?? r), prompts };
  });
  const rows = data?.rows ?? [],
    most = (name: string) => rows.reduce((m, r) => Math.max(m, Number(r[name] ?? 0)), 0);
  const longest = most('duration_ms'),
    dearest = most('cost_usd');
  const ask = (to: string) => setParams({ q: to, page: undefined });
  return (
    <div class="page">
      <div class="top">
        <QueryBar
          value={text}
          error={error}
          busy={loading}
          onRun={(to) => {
            now.value = Date.now();
            ask(to);
          }}
        />
        <TimePicker />
      </div>
      <div class="tools">
        <strong>{data ? `${count(data.total)} ${what}` : ' '}</strong>
        {note}
        {narrowed && (sort !== 'start' || parts.includes(what)) && <span class="small">counted and ordered by the entries that match</span>}
        <span class="fill" />
        <button type="button" aria-pressed={parts.includes(FAILED)} onClick={() => ask(togglePipe(text, what, FAILED))}>
          With errors
        </button>
        <Among name="agent" of="agent_names" text={text} what={what} onPick={ask} />
        <Among name="tool" text={text} what={what} onPick={ask} />
        <Among name="model" of="models" text={text} what={what} onPick={ask} />
        <Choice
          label="Took"
          all="any time"
          value={parts.find((p) => /^where duration_ms >= \d+$/.test(p)) ?? ''}
          options={LONGER.map(([ms, name]) => [`where duration_ms >= ${ms}`, `${name} or more`])}
          onPick={(to, from) => ask(togglePipe(from ? togglePipe(text, what, from) : text, what, to))}
        />
        <label class="small">
          order{' '}
          <select value={sort} onChange={(e) => setParams({ sort: (e.currentTarget as HTMLSelectElement).value, page: undefined })}>
            {sorts.map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {data && !data.total ? (
        empty
      ) : (
        <Table
          label={what === 'sessions' ? 'Sessions' : 'Traces'}
          rows={rows}
          names={NAMES}
          wide={title}
          minor={MINOR}
          columns={[
            title,
            'agent_names',
            'start',
            'duration_ms',
            what === 'traces' && most('spans') ? 'spans' : 'entries',
            'tool_calls',
            'errors',
            ...['tokens', 'cost_usd'].filter(most),
            ...(action ? [''] : []),
          ]}
          show={{
            ...shows,
            [title]: (v, r) => <Title name={plain(v)} asked={plain(data?.prompts?.get(String(r[id]))?.asked)} row={r} id={String(r[id])} />,
            duration_ms: (v) => <Metered value={v} most={longest} text={duration} />,
            cost_usd: (v) => <Metered value={v} most={dearest} text={money} />,
            '': (_v, r) => action?.(r),
          }}
          onRow={(r) => {
            if (typeof r[id] === 'string') go(what, r[id]);
          }}
        />
      )}
      {data && data.total > PAGE && (
        <nav class="pager" aria-label="Pages of the list">
          <button type="button" disabled={page < 2} onClick={() => setParams({ page: page > 2 ? String(page - 1) : undefined })}>
            ‹ Before
          </button>
          <span class="dim">
            {count((page - 1) * PAGE + 1)} to {count(Math.min(data.total, page * PAGE))} of {count(data.total)}
          </span>
          <button type="button" disabled={page * PAGE >= data.total} onClick={() => setParams({ page: String(page + 1) })}>
            Next ›
          </button>
        </nav>
      )}
    </div>
  );
}

/** The rows that a query makes of the entries with these ids, by id. */
async function among(id: string, ids: string[], tail: string, at: Range, signal: AbortSignal): Promise<Map<string, Row>> {
  const parts: string[][] = [[]];
  let size = 0;
  for (const name of ids.map(quote)) {
    if ((size += name.length + 2) > QUERY_UNITS) {
      parts.push([]);
      size = name.length;
    }
    (parts[parts.length - 1] as string[]).push(name);
  }
  const found = await Promise.all(
    parts.filter((p) => p.length).map((p) => query(`${id} in (${p.join(', ')}) ${tail} | head ${PAGE}`, at, signal)),
  );
  return new Map(found.flatMap((f) => f.rows).map((r) => [String(r[id]), r]));
}

/** What a user asked in a trace: many of them have a root span of the same name. */
export async function asked(ids: string[], at: Range, signal: AbortSignal): Promise<Map<string, Row>> {
  return among('trace_id', ids, `event in (${[...USER].join(', ')}) | stats first(message) as asked by trace_id`, at, signal);
}

const time = (v: unknown) => <time title={String(v)}>{ago(String(v))}</time>;

/** How the fields of sessions, traces, agents and the like are shown. */
export const shows: Record<string, (v: Json | undefined, row: Row) => ComponentChildren> = {
  start: time,
  end: time,
  first: time,
  last: time,
  duration_ms: (v) => <>{typeof v === 'number' ? duration(v) : '–'}</>,
  errors: (v) => (Number(v) ? <span class="chip bad">{count(Number(v))}</span> : <span class="dim">0</span>),
  spans: (v) => <span class={Number(v) ? '' : 'dim'}>{Number(v) ? count(Number(v)) : '–'}</span>,
  tokens: (v) => <>{v ? short(Number(v)) : '–'}</>,
  cost_usd: (v) => <>{typeof v === 'number' ? money(v) : '–'}</>,
  agent_names: (v) => {
    const all = Array.isArray(v) ? v.map(plain) : v ? [plain(v)] : [];
    return (
      <span title={all.join(', ')}>
        {all.slice(0, 2).join(', ')}
        {all.length > 2 && <span class="dim"> +{all.length - 2}</span>}
      </span>
    );
  },
};

/** Ids that people chose are read whole; what a machine made is told by its beginning. */
export function shortId(id: string): string {
  return visible(id.length > 20 ? id.slice(0, 8) + '…' : id);
}

function Title({ name, asked: prompt, row, id }: { name: string; asked: string; row: Row; id: string }) {
  return (
    <span class="titled">
      <span class="text" title={prompt || name}>
        {prompt || name || <span class="dim">{plain(row.agent) || 'without a name'}</span>}
        {prompt && !prompt.startsWith(name) && <span class="dim"> {name}</span>}
      </span>
      <span class="dim mono" title={visible(id)}>
        {shortId(id)}
      </span>
    </span>
  );
}

function Metered({ value, most, text }: { value: Json | undefined; most: number; text: (n: number) => string }) {
  if (typeof value !== 'number') return <span class="dim">–</span>;
  return (
    <span class="metered">
      {text(value)}
      <Bar share={most ? value / most : 0} />
    </span>
  );
}

/** The values of a field among the entries; `of`: the field of a row that holds them. */
function Among({ name, of, text, what, onPick }: { name: string; of?: string; text: string; what: string; onPick: (q: string) => void }) {
  const at = range.value,
    filter = `${name}:*`;
  const { data } = useLoad(`among ${name} ${JSON.stringify(at)}`, (s) => values(name, filter, at, 30, s));
  const write = (v: Json) => (of ? `where ${term(of, v)}` : term(name, v));
  const options = (data?.values ?? [])
    .filter((v) => v.value !== null && v.value !== '')
    .map((v): [string, string] => [write(v.value), plain(v.value)]);
  const there = of ? pipeParts(text) : terms(filterOf(text)),
    value = options.find(([t]) => there.includes(t))?.[0] ?? '';
  const flip = (to: string, t: string) => (of ? togglePipe(to, what, t) : toggle(to, t));
  if (!options.length) return null;
  return (
    <Choice
      label={name[0]?.toUpperCase() + name.slice(1)}
      all={`any ${name}`}
      value={value}
      options={options}
      onPick={(to, from) => onPick([from, to].filter(Boolean).reduce(flip, text))}
    />
  );
}

function Choice({
  label,
  all,
  value,
  options,
  onPick,
}: {
  label: string;
  all: string;
  value: string;
  options: [string, string][];
  onPick: (to: string, from: string) => void;
}) {
  return (
    <select
      aria-label={label}
      class={value ? 'chosen' : ''}
      value={value}
      onChange={(e) => onPick((e.currentTarget as HTMLSelectElement).value, value)}
    >
      <option value="">{all}</option>
      {options.map(([v, name]) => (
        <option key={v} value={v}>
          {name}
        </option>
      ))}
    </select>
  );
}
