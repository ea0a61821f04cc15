/** The rows of a trace against time: where bars begin and end, which stretches are idle, round places on the axis. */
import type { Json, Row } from './api';
import { duration, money, short } from './format';
import { STEPS, lasting } from './time';
import { type Turn, wrong } from './turns';

export type Measure = 'duration' | 'tokens' | 'cost';

export interface Span {
  row: Row;
  depth: number;
  from: number;
  to: number; /* NaN: not known */
  end: number; /* where its bar ends */
  kids: number; /* rows below it */
  leaf: boolean; /* no span is below it, though log lines may be */
  logs: { t: number; level: string }[];
}

/** What has a moment but no length. */
export const pointed = (row: Row): boolean => row.state === 'log' || row.state === 'point';

/** The rows of `/api/v1/traces/{id}`, depth first, as bars. */
export function spansOf(rows: Row[], now: number): Span[] {
  const spans: Span[] = rows.map((row) => {
    const from = Date.parse(String(row.start));
    const ms = lasting(row.duration_ms);
    return {
      row,
      depth: Number(row.depth ?? 0),
      from,
      to: from + ms,
      end: from + (isNaN(ms) ? 0 : ms),
      kids: 0,
      leaf: !pointed(row),
      logs: [],
    };
  });
  const last = spans.reduce((m, s) => Math.max(m, s.from, s.end), 0);
  for (const s of spans) if (isNaN(s.to)) s.end = s.row.state === 'running' ? Math.max(last, now) : s.from;
  const open: Span[] = [];
  for (const s of spans) {
    while (open.length && (open[open.length - 1] as Span).depth >= s.depth) open.pop();
    for (const o of open) {
      o.kids++;
      if (!pointed(s.row)) o.leaf = false;
    }
    if (s.row.state === 'log') open[open.length - 1]?.logs.push({ t: s.from, level: String(s.row.level) });
    open.push(s);
  }
  return spans;
}

/** A conversation as rows of a trace: calls from the call to the result, what was said as points. */
export function rowsOf(turns: Turn[]): Row[] {
  return turns.map((t) => {
    const ms =
      t.kind === 'call' && t.result ? (typeof t.result.duration_ms === 'number' ? lasting(t.result.duration_ms) : t.end - t.at) : null;
    return {
      span_id: t.key,
      depth: t.depth + (t.kind === 'call' ? 1 : 0),
      link: 'child',
      kind: t.kind,
      start: new Date(t.at).toISOString(),
      agent: t.who,
      name: t.kind === 'call' ? t.name : t.text || (t.kind === 'note' ? t.event : ''),
      tool: t.kind === 'call' ? t.name : null,
      duration_ms: ms,
      state: t.kind !== 'call' ? 'point' : t.result ? 'closed' : 'unknown_end',
      errors: wrong(t) ? 1 : 0,
      level: t.row.level ?? 'info',
      status: t.kind === 'call' ? (t.result?.status ?? null) : null,
      session_id: t.row.session_id ?? null,
      message: t.kind === 'call' ? (t.result?.message ?? null) : null,
    };
  });
}

/** From times to places between 0 and 1 and back; what is idle for long can be cut short. */
export interface Scale {
  place: (t: number) => number;
  time: (p: number) => number;
  gaps: [number, number][];
}

const IDLE = 1 / 20; /* of the whole */
const CUT = 0.04; /* what is left of a gap, of all that is busy */

export function scaleOf(spans: Span[], from: number, to: number, pressed: boolean): Scale {
  const all = Math.max(1e-6, to - from),
    gaps: [number, number][] = [];
  if (!pressed) return { place: (t) => (t - from) / all, time: (p) => from + p * all, gaps };
  const edges = spans
    .filter((s) => s.leaf || pointed(s.row))
    .map((s): [number, number] => [s.from, Math.max(s.end, s.from)])
    .sort((a, b) => a[0] - b[0]);
  let reached = from;
  for (const [a, b] of edges) {
    if (a - reached > all * IDLE) gaps.push([reached, a]);
    reached = Math.max(reached, b);
  }
  if (to - reached > all * IDLE) gaps.push([reached, to]);
  const busy = Math.max(1e-6, all - gaps.reduce((sum, [a, b]) => sum + b - a, 0)),
    cut = busy * CUT,
    whole = busy + gaps.length * cut;
  const place = (t: number) => {
    let at = t - from;
    for (const [a, b] of gaps) if (t > a) at -= ((Math.min(t, b) - a) / (b - a)) * (b - a - cut);
    return at / whole;
  };
  const time = (p: number) => {
    let at = p * whole + from; /* pressed time; gaps before it are stretched again */
    for (const [a, b] of gaps) {
      if (at <= a) break;
      at = at < a + cut ? a + ((at - a) / cut) * (b - a) : at + (b - a) - cut;
    }
    return at;
  };
  return { place, time, gaps };
}

const FINE = [0.1, 0.2, 0.5, ...STEPS]; /* ms */

/** Round times since the start between two places, not closer than `least`: [place, text]. */
export function marksOf(scale: Scale, start: number, zoom: [number, number], least: number): [number, string][] {
  const a = scale.time(zoom[0]),
    b = scale.time(zoom[1]),
    cuts = scale.gaps.filter(([x, y]) => y > a && x < b);
  const busy = b - a - cuts.reduce((sum, [x, y]) => sum + Math.min(y, b) - Math.max(x, a), 0);
  const step = FINE.find((s) => busy / s <= (zoom[1] - zoom[0]) / least) ?? 365 * 86400e3;
  const out: [number, string][] = [],
    pieces: [number, number][] = [];
  let from = a;
  for (const [x, y] of cuts) {
    pieces.push([from, x]);
    from = y;
  }
  pieces.push([from, b]);
  for (const [x, y] of pieces)
    for (let k = Math.ceil((x - start) / step - 1e-9); start + k * step <= y; k++) {
      const p = scale.place(start + k * step);
      if (!out.length || p - (out[out.length - 1] as [number, string])[0] >= least * 0.7)
        out.push([p, k ? duration(k * step).replace(/ 0[sm]$/, '') : '0']);
    }
  return out;
}

/** What a span did; a tool call is known by its tool. */
export function nameOf(row: Row): Json | undefined {
  return row.tool && (!row.name || row.name === 'execute_tool' || row.name === `execute_tool ${String(row.tool)}`)
    ? row.tool
    : (row.name ?? row.kind);
}

/** It failed; or something in it did, and it went on. */
export function trouble(row: Row): 'failed' | 'inside' | '' {
  const errors = Number(row.errors ?? 0) > 0 || row.level === 'error' || row.level === 'critical';
  return row.status === 'error' || (errors && row.status !== 'ok') ? 'failed' : errors ? 'inside' : '';
}

export function amount(s: Span, measure: Measure): number {
  if (measure === 'tokens') return Number(s.row.tokens ?? 0);
  if (measure === 'cost') return Number(s.row.cost_usd ?? 0);
  return s.end - s.from;
}

export function said(s: Span, measure: Measure): string {
  if (measure === 'tokens') return s.row.tokens ? short(Number(s.row.tokens)) : '';
  if (measure === 'cost') return s.row.cost_usd ? money(Number(s.row.cost_usd)) : '';
  if (pointed(s.row)) return '';
  return isNaN(s.to) ? (s.row.state === 'running' ? 'running' : '?') : duration(s.to - s.from);
}
