/** Entries as a conversation: what was said, tool calls with their results, agents that start others, and the rest.
 *  And two conversations beside each other. */
import type { Json, Row } from './api';
import { ANSWER, CALL, RESULT, SYSTEM, THINKING, USER, inputOf as given, outputOf as got } from './events';
import { lasting } from './time';

interface Any {
  key: string;
  row: Row;
  at: number; /* milliseconds since 1970 */
  end: number;
  who: string; /* the agent; 'user' for what people said */
  depth: number; /* agents between it and the one that began */
  run?: number; /* the first turn of the n-th trace, when there are several */
}
export type Said = Any & { kind: 'said'; role: 'user' | 'agent' | 'system' | 'thinking'; text: string; asked: string };
export type Call = Any & { kind: 'call'; name: string; call?: Row; result?: Row; state: 'ok' | 'bad' | 'open' };
export type Hand = Any & { kind: 'hand'; way: 'start' | 'return' | 'run'; text: string; bad: boolean; by: string };
export type Note = Any & { kind: 'note'; text: string; event: string; times: number };
export type Turn = Said | Call | Hand | Note;

const REPEATS_MS = 120e3;

const text = (v: Json | undefined): string => (typeof v === 'string' ? v : v === null || v === undefined ? '' : JSON.stringify(v));
const squash = (s: string) => s.replace(/\s+/g, ' ').trim();

export function failed(row: Row): boolean {
  return row.level === 'error' || row.level === 'critical' || row.status === 'error' || row.event === 'PostToolUseFailure';
}

/** Did something go wrong in it? */
export function wrong(t: Turn): boolean {
  return t.kind === 'call' ? t.state === 'bad' : t.kind === 'hand' ? t.bad : failed(t.row);
}

/** All of a turn that can be searched. */
export function wordsOf(t: Turn): string {
  if (t.kind === 'call') return [t.name, given(t.call), given(t.result), got(t.result), t.result?.message].map(text).join('\n');
  return [t.who, t.text, t.kind === 'note' ? t.event : t.kind === 'said' ? t.asked : ''].join('\n');
}

export const inputOf = (t: Call): Json | undefined =>
  given(t.call) ?? given(t.result) ?? (saysNothing(t.call, t.name) ? undefined : t.call?.message);
export const outputOf = (t: Call): Json | undefined => got(t.result) ?? (t.result ? t.result.message : undefined);

/** "calls grep" beside a tool that is called grep. */
function saysNothing(row: Row | undefined, name: string): boolean {
  const m = squash(text(row?.message));
  return m === '' || m === name || m === `calls ${name}`;
}

/** How deep an agent works: agents above it by the spans, or by what is known of the agents. */
function depths(rows: Row[], lineage: Map<string, number>): (row: Row) => number {
  const spans = new Map<string, { agent: string; parent: string }>(),
    known = new Map<string, number>();
  for (const r of rows)
    if (r.span_id && r.agent && !spans.has(String(r.span_id)))
      spans.set(String(r.span_id), { agent: String(r.agent), parent: String(r.parent_id ?? '') });
  const deep = (id: string, steps: number): number => {
    const s = spans.get(id),
      have = known.get(id);
    if (have !== undefined) return have;
    if (!s) return 0;
    const above = spans.get(s.parent);
    const d = above && steps < 200 ? deep(s.parent, steps + 1) + (above.agent !== s.agent ? 1 : 0) : (lineage.get(s.agent) ?? 0);
    known.set(id, d);
    return d;
  };
  return (r) => (r.span_id && spans.has(String(r.span_id)) ? deep(String(r.span_id), 0) : (lineage.get(String(r.agent ?? '')) ?? 0));
}

export function turns(rows: Row[], lineage: Row[] = []): Turn[] {
  const out: Turn[] = [],
    open = new Map<string, Call>(),
    runs = new Set<string>(),
    agents = new Map<string, string>();
  const depth = depths(rows, new Map(lineage.map((l) => [String(l.agent), Number(l.depth ?? 0)])));
  const said = new Map<string, Said>();
  let prompt = '';
  for (const r of rows) if (r.span_id) agents.set(String(r.span_id), String(r.agent ?? ''));
  const several = new Set(rows.map((r) => r.trace_id).filter(Boolean)).size > 1;
  for (const row of rows) {
    const before = out.length,
      event = String(row.event ?? ''),
      operation = String(row.operation ?? '');
    const attributes = (row.attributes ?? {}) as Row,
      role = String(row.role ?? attributes.role ?? ''),
      at = Date.parse(String(row.timestamp));
    const ms = lasting(row.duration_ms) || 0;
    const base = {
      key: String(row.id ?? out.length),
      row,
      at,
      end: at + (row.kind === 'span' ? ms : 0),
      who: String(row.agent ?? ''),
      depth: depth(row),
    };
    const words = text(row.message) || text(row.output) || text(row.input);
    const id = String(row.call_id ?? row.span_id ?? row.tool ?? '');
    const say = (who: Said['role'], t: string, more: Partial<Said> = {}) => {
      const same = said.get(`${who} ${base.who} ${squash(t)}`);
      if (same && same.row.kind !== row.kind && at - same.at < REPEATS_MS && same.row.trace_id === row.trace_id) {
        /* a span and a log of the same text: the span knows more */
        if (row.kind === 'span') same.row = row;
        return;
      }
      const one: Said = { ...base, kind: 'said', role: who, text: t, asked: '', ...more };
      said.set(`${who} ${base.who} ${squash(t)}`, one);
      out.push(one);
    };
    if (row.tool && (CALL.has(event) || (!RESULT.has(event) && row.kind === 'span_start'))) {
      const t: Call = { ...base, kind: 'call', name: String(row.tool), call: row, state: 'open' };
      open.set(id, t);
      out.push(t);
    } else if (row.tool && (RESULT.has(event) || row.kind === 'span_end') && open.has(id)) {
      const t = open.get(id) as Call;
      t.result = row;
      t.state = failed(row) ? 'bad' : 'ok';
      t.end = at;
      open.delete(id);
    } else if (
      row.tool &&
      (RESULT.has(event) ||
        row.kind === 'span_end' ||
        row.kind === 'span' ||
        (row.input ?? null) !== null ||
        typeof row.duration_ms === 'number')
    ) {
      out.push({ ...base, kind: 'call', name: String(row.tool), result: row, state: failed(row) ? 'bad' : 'ok' });
    } else if (USER.has(event) || role === 'user') {
      prompt = squash(words);
      say('user', words, { who: 'user', depth: 0 });
    } else if (SYSTEM.has(event) || role === 'system') say('system', words);
    else if (THINKING.has(event)) say('thinking', words);
    else if (ANSWER.has(event) || role === 'assistant') say('agent', words);
    else if (row.kind === 'span' && (row.model || row.output)) {
      const asked = text(row.input),
        known = prompt !== '' && prompt.includes(squash(asked));
      say('agent', text(row.output) || text(row.message), { asked: known ? '' : asked });
    } else if (row.kind === 'span_start' || row.kind === 'span_end' || row.kind === 'span') {
      const way = row.kind === 'span_start' ? 'start' : row.kind === 'span_end' ? 'return' : 'run';
      const by = agents.get(String(row.parent_id ?? '')) ?? '',
        top = base.depth === 0 || by === base.who;
      const known = [...out.slice(-4)].some((t) => t.kind === 'said' && squash(t.text).endsWith(squash(words)));
      const what = known ? '' : words || (way === 'run' ? operation : '');
      if (!(way === 'start' && top && (known || !words)))
        out.push({ ...base, kind: 'hand', way, text: what, bad: failed(row), by: top ? '' : by });
    } else {
      const last = out[out.length - 1];
      if (last?.kind === 'note' && last.event === event && last.who === base.who && last.text === words) {
        last.times++;
        last.end = base.end;
      } else out.push({ ...base, kind: 'note', text: words, event, times: 1 });
    }
    const trace = String(row.trace_id ?? '');
    if (several && trace && !runs.has(trace) && out.length > before) {
      runs.add(trace);
      (out[before] as Turn).run = runs.size;
    }
  }
  return out;
}

/** One line of two conversations: the same step in both, or what only one has. */
export interface Pair {
  a?: Turn;
  b?: Turn;
  same: boolean;
}

const MOST = 2000; /* turns; four million pairs */
const digest = (t: Turn): string => (t.kind === 'call' ? squash(text(inputOf(t))) : squash(t.text));
const sort = (t: Turn): string =>
  t.kind === 'call'
    ? `call ${t.name}`
    : t.kind === 'said'
      ? `said ${t.role} ${t.role === 'agent' ? t.who : ''}`
      : t.kind === 'hand'
        ? `hand ${t.way} ${t.who}`
        : `note ${t.event} ${t.event ? '' : squash(t.text)}`;

/** Agents that worked at the same time, one run after the other: how their steps fell between each other is chance. */
function untangled(all: Turn[]): Turn[] {
  const open = new Map<string, number>(),
    run = new Map<Turn, number>();
  let runs = 0,
    from = 0;
  for (const t of all) {
    if (t.kind === 'hand' && t.way === 'start' && t.by) open.set(t.who, ++runs);
    run.set(t, t.depth ? (open.get(t.who) ?? 0) : 0);
  }
  const out: Turn[] = [];
  for (let i = 0; i <= all.length; i++) {
    if (all[i]?.depth) continue;
    out.push(...all.slice(from, i).sort((a, b) => (run.get(a) as number) - (run.get(b) as number)), ...all.slice(i, i + 1));
    from = i + 1;
  }
  return out;
}

/** The longest common sequence of steps, those with the same text or input first. */
export function align(left: Turn[], right: Turn[]): Pair[] {
  const a = untangled(left).slice(0, MOST),
    b = untangled(right).slice(0, MOST),
    w = b.length + 1;
  const as = a.map(sort),
    bs = b.map(sort),
    ad = a.map(digest),
    bd = b.map(digest);
  const worth = (i: number, j: number) => (as[i] !== bs[j] ? 0 : ad[i] === bd[j] ? 3 : 2);
  const best = new Uint16Array((a.length + 1) * w);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) {
      const n = worth(i, j),
        skip = Math.max(best[(i + 1) * w + j] as number, best[i * w + j + 1] as number);
      best[i * w + j] = n ? Math.max(skip, n + (best[(i + 1) * w + j + 1] as number)) : skip;
    }
  const out: Pair[] = [];
  let i = 0,
    j = 0;
  while (i < a.length || j < b.length) {
    const n = i < a.length && j < b.length ? worth(i, j) : 0;
    if (n && best[i * w + j] === n + (best[(i + 1) * w + j + 1] as number)) out.push({ a: a[i], b: b[j], same: ad[i++] === bd[j++] });
    else if (j >= b.length || (i < a.length && (best[(i + 1) * w + j] as number) >= (best[i * w + j + 1] as number)))
      out.push({ a: a[i++], same: false });
    else out.push({ b: b[j++], same: false });
  }
  return out;
}
