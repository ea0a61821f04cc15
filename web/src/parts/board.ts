/** Who works when: entries as marks on lanes of agents, and how many there were. Kept apart from what draws them, so
 *  that it can be fed faster than it is drawn. */
import type { Row } from '../api';
import { CALL, RESULT } from '../events';
import { plain } from '../format';
import { lasting } from '../time';

export type By = 'agent' | 'session';
export type Kind = 'entry' | 'work' | 'model' | 'tool' | 'said';

export interface Mark {
  id: string;
  t: number;
  end: number; /* NaN: runs */
  kind: Kind;
  level: number; /* 0 well, 1 warning, 2 error */
  text: string;
  track: number;
  from: Lane | undefined; /* whose call this is, when it is another's */
}

export interface Lane {
  key: string;
  agent: string;
  detail: string; /* which one, where several have that name */
  parent: Lane | undefined;
  depth: number;
  first: number;
  last: number;
  count: number;
  errors: number;
  tools: number;
  model: string;
  session: string;
  running: number;
  marks: Mark[];
}

export interface Beat {
  count: number;
  bad: number;
  by: Map<string, number>;
}

const TRACKS = 4;
const KEPT = 4000,
  LANES = 200,
  SPANS = 50000,
  STALE = 5 * 60e3;
const RANK: Record<string, number> = { warn: 1, error: 2, critical: 2 };
const TURN_END = new Set(['Stop', 'StopFailure', 'SessionEnd']);

/** What is asked of an entry; the marks keep no more than this says. */
export const WANTED =
  'seq, id, timestamp, agent, agent_id, parent_agent_id, session_id, level, event, kind, tool, operation, model, span_id, ' +
  'parent_id, call_id, duration_ms, agent_type, parent_session_id, tool_input.subagent_type, short';

const text = (v: unknown) => (typeof v === 'string' ? v : '');

/** The same of an entry as the tail gives it. */
export function slim(r: Row): Row {
  const a = (r.attributes ?? {}) as Row,
    input = a.tool_input as Row | undefined;
  const out: Row = {
    agent_type: a.agent_type ?? null,
    parent_session_id: a.parent_session_id ?? null,
    'tool_input.subagent_type': input?.subagent_type ?? null,
    short: text(r.message).slice(0, 80),
  };
  for (const name of [
    'seq',
    'id',
    'timestamp',
    'agent',
    'agent_id',
    'parent_agent_id',
    'session_id',
    'level',
    'event',
    'kind',
    'tool',
    'operation',
    'model',
    'span_id',
    'parent_id',
    'call_id',
    'duration_ms',
  ])
    out[name] = r[name] ?? null;
  return out;
}

export class Board {
  lanes = new Map<string, Lane>();
  beats = new Map<number, Beat>();
  more = 0; /* lanes that had to go */
  private order: Lane[] = [];
  private open = new Map<string, [Mark, Lane]>();
  private owner = new Map<string, Lane>(); /* of a span */
  private instances = new Map<string, Lane>();
  private names = new Map<string, Lane>();
  private sessions = new Map<string, Lane>();
  private sent = new Map<string, Lane>(); /* who asked for a sub-agent of this type, in this session */

  constructor(
    readonly by: By,
    readonly step: number,
  ) {}

  /** Counts for the pulse alone; a slim entry. */
  beat(t: number, agent: string, n: number, bad: number): void {
    const slot = Math.floor(t / this.step) * this.step;
    let b = this.beats.get(slot);
    if (!b) {
      if (this.beats.size > 2000) this.beats.delete(this.beats.keys().next().value as number);
      this.beats.set(slot, (b = { count: 0, bad: 0, by: new Map() }));
    }
    b.count += n;
    b.bad += bad;
    if (b.by.size < 40 || b.by.has(agent)) b.by.set(agent, (b.by.get(agent) ?? 0) + n);
  }

  add(row: Row): void {
    const t = Date.parse(text(row.timestamp));
    if (isNaN(t)) return;
    const lane = this.lane(row, t),
      level = RANK[text(row.level)] ?? 0,
      event = text(row.event);
    if (!lane) return;
    lane.count++;
    lane.last = Math.max(lane.last, t);
    lane.first = Math.min(lane.first, t);
    if (level >= 2) lane.errors++;
    if (row.model) lane.model = text(row.model);
    const session = text(row.session_id),
      ms = lasting(row.duration_ms) || 0;
    const span = text(row.span_id),
      of = `${lane.key}\u0001`;
    const key =
      row.tool && (CALL.has(event) || RESULT.has(event))
        ? row.call_id
          ? `call ${text(row.call_id)}`
          : `${of}tool ${text(row.tool)}`
        : event === 'SubagentStart' || event === 'SubagentStop'
          ? `${of}agent`
          : event === 'UserPromptSubmit' || TURN_END.has(event)
            ? `${of}turn ${session}`
            : span;
    if (CALL.has(event) && row['tool_input.subagent_type'])
      this.sent.set(`${session}\u0001${text(row['tool_input.subagent_type']).toLowerCase()}`, lane);
    const starts = row.kind === 'span_start' || CALL.has(event) || event === 'SubagentStart' || event === 'UserPromptSubmit';
    const ends = RESULT.has(event) || event === 'SubagentStop' || TURN_END.has(event) || row.kind === 'span_end' || row.kind === 'span';
    const begun = ends && key ? this.open.get(key) : undefined;
    if (span) {
      if (this.owner.size >= SPANS) this.owner.delete(this.owner.keys().next().value as string);
      this.owner.set(span, lane);
    }
    if (begun) {
      this.open.delete(key);
      begun[0].end = Math.max(t, begun[0].t + ms);
      begun[0].level = Math.max(begun[0].level, level);
      begun[1].running--;
      if (begun[1] === lane && !TURN_END.has(event)) return;
    }
    const parent = text(row.parent_id) ? this.owner.get(text(row.parent_id)) : undefined;
    const from = row.kind === 'span_end' || RESULT.has(event) ? t - ms : t; /* these are told when all is over */
    const mark: Mark = {
      id: text(row.id),
      t: from,
      end: starts ? NaN : from + ms,
      level,
      kind: kindOf(row, event, ms > 0 || starts),
      track: 0,
      text: plain(row.tool ?? row.operation ?? row.event ?? row.short).slice(0, 60),
      from: parent && parent !== lane ? parent : event === 'SubagentStart' ? lane.parent : undefined,
    };
    if (mark.kind === 'tool') lane.tools++;
    if (starts && key) {
      const before = this.open.get(key);
      if (before) this.close(before, t);
      this.open.set(key, [mark, lane]);
      lane.running++;
    }
    if (mark.kind === 'tool' || mark.kind === 'model') mark.track = free(lane, mark);
    lane.marks.push(mark);
    if (lane.marks.length > KEPT) {
      lane.marks.splice(0, KEPT / 4);
      lane.first = lane.marks[0]?.t ?? lane.first;
    }
    if (event === 'UserPromptSubmit') lane.marks.push({ ...mark, end: t, kind: 'said' });
  }

  /** What runs in a lane from which nothing has come for long is not said to run any more. */
  settle(now: number): void {
    for (const [key, at] of this.open)
      if (now - at[1].last > STALE) {
        this.close(at, at[1].last);
        this.open.delete(key);
      }
  }

  private close([mark, lane]: [Mark, Lane], t: number): void {
    mark.end = Math.max(mark.t, t);
    lane.running--;
  }

  private lane(row: Row, t: number): Lane | undefined {
    const key = laneKey(row, this.by),
      have = this.lanes.get(key);
    const agent = plain(row.agent) || 'unknown',
      instance = text(row.agent_id),
      session = text(row.session_id);
    if (have) {
      if (!have.parent) this.lineage(have, row, agent, session);
      return have;
    }
    if (this.lanes.size >= LANES && !this.evict(t)) {
      this.more++;
      return undefined;
    }
    const which = [instance && instance !== agent ? text(row.agent_type) || instance : '', this.by === 'session' ? session : ''].filter(
      (s) => s && s !== agent,
    );
    const lane: Lane = {
      key,
      agent,
      detail: plain(which.map((s) => (s.length > 18 ? s.slice(0, 8) : s)).join(' ')),
      parent: undefined,
      depth: 0,
      first: t,
      last: t,
      count: 0,
      errors: 0,
      tools: 0,
      model: '',
      session,
      running: 0,
      marks: [],
    };
    this.lanes.set(key, lane);
    if (instance && !this.instances.has(instance)) this.instances.set(instance, lane);
    if (!this.names.has(agent)) this.names.set(agent, lane);
    this.lineage(lane, row, agent, session);
    if (session && !this.sessions.has(session)) this.sessions.set(session, lane);
    this.order = [];
    return lane;
  }

  private evict(t: number): boolean {
    let oldest: Lane | undefined;
    for (const l of this.lanes.values()) if (!l.running && l.last < t && (!oldest || l.last < oldest.last)) oldest = l;
    if (!oldest) return false;
    this.lanes.delete(oldest.key);
    for (const l of this.lanes.values())
      if (l.parent === oldest) {
        l.parent = oldest.parent;
        l.depth = Math.max(0, l.depth - 1);
      }
    for (const map of [this.owner, this.instances, this.names, this.sessions, this.sent])
      for (const [k, l] of map) if (l === oldest) map.delete(k);
    this.more++;
    this.order = [];
    return true;
  }

  /** Who started it: named outright, owner of the parent span, whoever asked for a sub-agent of that type, or, of
   *  an instance inside a session, the agent of that session. */
  private lineage(lane: Lane, row: Row, agent: string, session: string): void {
    const type = (text(row.agent_type) || agent).toLowerCase();
    const up = text(row.parent_agent_id),
      above = text(row.parent_session_id);
    const parent =
      (up && (this.instances.get(up) ?? this.names.get(up))) ||
      (text(row.parent_id) && this.owner.get(text(row.parent_id))) ||
      this.sent.get(`${session}\u0001${type}`) ||
      (above && this.sessions.get(above)) ||
      (row.agent_type && text(row.agent_id) && this.lanes.get(laneKey({ ...row, agent_id: null }, this.by))) ||
      undefined;
    for (let at = parent, i = 0; at; at = at.parent) if (at === lane || ++i > 50) return;
    if (!parent) return;
    lane.parent = parent;
    lane.depth = Math.min(6, parent.depth + 1);
    this.order = [];
  }

  /** Lanes under those that started them, otherwise as they came: a busy one does not push others away. Sessions end
   *  and new ones are what matters: those come first. */
  sorted(): Lane[] {
    if (!this.order.length) {
      const below = new Map<Lane | undefined, Lane[]>();
      for (const l of this.lanes.values()) below.set(l.parent, [...(below.get(l.parent) ?? []), l]);
      const put = (of: Lane | undefined) => {
        for (const l of below.get(of) ?? []) {
          this.order.push(l);
          put(l);
        }
      };
      if (this.by === 'session') below.get(undefined)?.reverse();
      put(undefined);
    }
    return this.order;
  }
}

/** Who an entry belongs to: the agent, told apart by its instance where it has one. */
export function laneKey(row: Row, by: By): string {
  const agent = plain(row.agent) || 'unknown',
    instance = text(row.agent_id);
  return `${agent}\u0001${instance === agent ? '' : instance}\u0001${by === 'session' ? text(row.session_id) : ''}`;
}

export function within(lane: Lane | undefined, of: Lane): boolean {
  for (let at = lane; at; at = at.parent) if (at === of) return true;
  return false;
}

function kindOf(row: Row, event: string, long: boolean): Kind {
  if (row.tool && (long || RESULT.has(event) || CALL.has(event))) return 'tool';
  if (event === 'SubagentStart' || event === 'UserPromptSubmit') return 'work';
  if (/user/i.test(event)) return 'said';
  if (!long) return 'entry';
  return row.model || row.operation === 'chat' ? 'model' : 'work';
}

/** The first track on which it meets none of the latest. */
function free(lane: Lane, mark: Mark): number {
  const taken = new Array<boolean>(TRACKS).fill(false);
  const end = isNaN(mark.end) ? Infinity : Math.max(mark.end, mark.t + 1);
  for (let i = lane.marks.length - 1, n = 0; i >= 0 && n < 24; i--, n++) {
    const o = lane.marks[i] as Mark;
    if ((o.kind === 'tool' || o.kind === 'model') && o.t < end && (isNaN(o.end) ? Infinity : o.end) > mark.t) taken[o.track] = true;
  }
  const at = taken.indexOf(false);
  return at < 0 ? lane.marks.length % TRACKS : at;
}
