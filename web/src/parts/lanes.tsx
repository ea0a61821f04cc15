/** A lane for each agent: its entries as marks on a moving strip of time, spans as bars, running ones hatched,
 *  and an arc where one agent starts another. Drawn on one canvas, once a frame and only when something moved. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Row } from '../api';
import { hue, plain, visible } from '../format';
import { useSize } from '../hooks';
import { hatch } from './waterfall';

const LANE = 34, NAMES = 170, BOTTOM = 18, KEPT = 20000, LANES = 200;

export interface Lane {
  key: string;
  name: string;
  detail: string; /* session or instance, when one name has several */
  parent: string;
  depth: number;
  first: number;
  last: number;
  count: number;
  errors: number;
  tools: number;
  model: string;
}

interface Mark {
  t: number;
  end: number; /* of a span; NaN: running */
  lane: string;
  span: string;
  level: number;
  kind: 'entry' | 'span' | 'tool' | 'user';
  text: string;
  row: Row;
}

const RANK: Record<string, number> = { trace: 0, debug: 0, info: 0, warn: 1, error: 2, critical: 3 };

/** What lanes are made of; kept apart from drawing so that it can be fed faster than it is drawn. */
export class Board {
  lanes = new Map<string, Lane>();
  marks: Mark[] = [];
  order: string[] = [];
  private spans = new Map<string, Mark>();
  private owner = new Map<string, string>(); /* span -> lane */

  add(row: Row): void {
    const key = laneKey(row), t = Date.parse(String(row.timestamp));
    if (isNaN(t)) return;
    let lane = this.lanes.get(key);
    if (!lane) {
      if (this.lanes.size >= LANES) return;
      lane = {
        key, name: plain(row.agent) || 'unknown', detail: key.includes('\u0001') ? visible(key.split('\u0001')[1] ?? '').slice(0, 8) : '',
        parent: '', depth: 0, first: t, last: t, count: 0, errors: 0, tools: 0, model: '',
      };
      this.lanes.set(key, lane);
      this.order = [];
    }
    lane.count++;
    lane.last = Math.max(lane.last, t);
    lane.first = Math.min(lane.first, t);
    const level = RANK[String(row.level)] ?? 0;
    if (level >= 2) lane.errors++;
    if (row.tool) lane.tools++;
    if (typeof row.model === 'string') lane.model = row.model;
    this.lineage(lane, row);
    const span = typeof row.span_id === 'string' ? row.span_id : typeof row.call_id === 'string' ? row.call_id : '';
    const ms = typeof row.duration_ms === 'number' ? row.duration_ms : 0;
    if (span) this.owner.set(span, key);
    const open = span ? this.spans.get(span) : undefined;
    if (open && row.kind !== 'span_start') {
      open.end = Math.max(t, open.t + ms);
      open.level = Math.max(open.level, level);
      return;
    }
    const mark: Mark = {
      t, end: row.kind === 'span_start' ? NaN : t + ms, lane: key, span, level, row,
      kind: row.tool ? 'tool' : ms || row.kind === 'span_start' ? 'span'
        : /user/i.test(String(row.event ?? '')) ? 'user' : 'entry',
      text: plain(row.tool ?? row.operation ?? row.event ?? row.message).slice(0, 40),
    };
    if (row.kind === 'span_start' && span) this.spans.set(span, mark);
    this.marks.push(mark);
    if (this.marks.length > KEPT) this.marks.splice(0, KEPT / 4);
  }

  private lineage(lane: Lane, row: Row): void {
    if (lane.parent) return;
    let parent = '';
    if (typeof row.parent_agent_id === 'string')
      for (const l of this.lanes.values()) if (l.key.endsWith('\u0001' + row.parent_agent_id) || l.name === row.parent_agent_id) parent = l.key;
    if (!parent && typeof row.parent_id === 'string') {
      const of = this.owner.get(row.parent_id);
      if (of && of !== lane.key) parent = of;
    }
    for (let at = parent, i = 0; at; at = this.lanes.get(at)?.parent ?? '')
      if (at === lane.key || ++i > 50) return;
    if (!parent) return;
    lane.parent = parent;
    lane.depth = Math.min(6, (this.lanes.get(parent)?.depth ?? 0) + 1);
    this.order = [];
  }

  /** Lanes under those that started them, otherwise as they came: a busy one does not push others away. */
  sorted(): Lane[] {
    if (!this.order.length) {
      const out: string[] = [], put = (parent: string) => {
        for (const l of this.lanes.values())
          if (l.parent === parent && !out.includes(l.key)) {
            out.push(l.key);
            put(l.key);
          }
      };
      put('');
      for (const k of this.lanes.keys()) if (!out.includes(k)) out.push(k);
      this.order = out;
    }
    return this.order.map((k) => this.lanes.get(k) as Lane);
  }
}

/** Who an entry belongs to: the agent, told apart by its instance where it has one. */
function laneKey(row: Row): string {
  const agent = String(row.agent ?? 'unknown');
  return typeof row.agent_id === 'string' && row.agent_id !== agent ? `${agent}\u0001${row.agent_id}` : agent;
}

export function Lanes({ board, version, span, paused, onPick }: {
  board: Board; version: number; span: number; paused: boolean; onPick: (row: Row) => void;
}) {
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [focus, setFocus] = useState('');
  const held = useRef(Date.now());
  if (!paused) held.current = Date.now();
  const all = board.sorted();
  const lanes = focus ? all.filter((l) => l.key === focus || l.parent === focus) : all;
  const height = lanes.length * LANE + BOTTOM;
  const state = useRef({ lanes, span, paused });
  state.current = { lanes, span, paused };

  useEffect(() => {
    let frame = 0, drawn = 0;
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const draw = (at: number) => {
      frame = requestAnimationFrame(draw);
      if (document.hidden || at - drawn < (still ? 1000 : 50)) return;
      drawn = at;
      paint(canvas.current, size.width, board, state.current, state.current.paused ? held.current : Date.now());
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [size.width, board]);
  const pick = (e: MouseEvent) => {
    const r = (e.currentTarget as HTMLElement).getBoundingClientRect();
    const end = paused ? held.current : Date.now();
    const t = end - span + ((e.clientX - r.left - NAMES) / (size.width - NAMES)) * span;
    const lane = lanes[Math.floor((e.clientY - r.top) / LANE)];
    if (!lane || e.clientX - r.left < NAMES) return;
    let best: Mark | undefined;
    for (const m of board.marks)
      if (m.lane === lane.key && (!best || Math.abs(m.t - t) < Math.abs(best.t - t))) best = m;
    if (best && Math.abs(best.t - t) < span / 40) onPick(best.row);
  };
  void version;
  return (
    <div class="lanes" ref={box}>
      <div class="lanebox" style={{ height: `${height}px` }} onClick={pick}>
        <canvas ref={canvas} style={{ height: `${height}px` }} role="img" aria-label={`${lanes.length} agents`} />
        {lanes.map((l, i) => (
          <div key={l.key} class="lane" data-agent={l.name} style={{ transform: `translateY(${i * LANE}px)`, height: `${LANE}px`, width: `${NAMES}px` }}>
            <button type="button" style={{ paddingLeft: `${4 + l.depth * 10}px` }} aria-pressed={focus === l.key}
                    title={focus === l.key ? 'All agents' : 'Only this one and those it started'}
                    onClick={(e) => { e.stopPropagation(); setFocus(focus === l.key ? '' : l.key); }}>
              <span class="dot" style={{ background: `hsl(${hue(l.name)} 55% var(--chart-light))` }} />
              <b>{l.name}</b> {l.detail && <span class="dim">{l.detail}</span>}
              <small>{l.count} · {l.tools} tools{l.errors ? <span class="badnumber"> · {l.errors} err</span> : null}</small>
            </button>
          </div>
        ))}
      </div>
    </div>
  );
}

function paint(c: HTMLCanvasElement | null, width: number, board: Board,
               at: { lanes: Lane[]; span: number }, now: number): void {
  const g = c?.getContext('2d');
  if (!c || !g || !width) return;
  const dpr = devicePixelRatio || 1, height = at.lanes.length * LANE + BOTTOM, style = getComputedStyle(c);
  if (c.width !== Math.round(width * dpr) || c.height !== Math.round(height * dpr)) {
    c.width = Math.round(width * dpr);
    c.height = Math.round(height * dpr);
  }
  g.setTransform(dpr, 0, 0, dpr, 0, 0);
  g.clearRect(0, 0, width, height);
  const index = new Map(at.lanes.map((l, i) => [l.key, i]));
  const from = now - at.span, x = (t: number) => NAMES + ((t - from) / at.span) * (width - NAMES);
  const line = style.getPropertyValue('--line'), light = style.getPropertyValue('--chart-light').trim();
  g.strokeStyle = line;
  for (let i = 1; i <= at.lanes.length; i++) {
    g.beginPath();
    g.moveTo(0, i * LANE + 0.5);
    g.lineTo(width, i * LANE + 0.5);
    g.stroke();
  }
  g.font = `10px ${style.fontFamily}`;
  g.fillStyle = style.getPropertyValue('--dim');
  g.textAlign = 'center';
  const step = at.span / 6;
  for (let t = Math.ceil(from / step) * step; t < now; t += step)
    g.fillText(`-${Math.round((now - t) / 1000)} s`, x(t), height - 5);
  const seen: { m: Mark; i: number; a: number; b: number }[] = [];
  for (const m of board.marks) {
    const i = index.get(m.lane), end = isNaN(m.end) ? now : m.end;
    if (i === undefined || end < from || m.t > now) continue;
    const a = Math.max(NAMES, x(m.t)), b = Math.max(a + 3, x(end));
    if (b > NAMES && a < width) seen.push({ m, i, a, b });
  }
  /* long ones below short ones: a call lies on the span of the agent that makes it */
  seen.sort((p, q) => (q.b - q.a) - (p.b - p.a));
  const written = at.lanes.map(() => [] as [number, number][]);
  for (const { m, i, a, b } of seen) {
    const lane = at.lanes[i] as Lane, y = i * LANE, wide = m.kind === 'span' && b - a > 24;
    g.fillStyle = m.level >= 2 ? style.getPropertyValue('--level-error') : m.level === 1 ? style.getPropertyValue('--level-warn')
      : `hsl(${hue(lane.name)} 55% ${light})`;
    if (m.kind === 'entry') g.fillRect(a, y + 12, 2, LANE - 22);
    else if (m.kind === 'user') {
      g.beginPath();
      g.arc(a, y + LANE / 2, 4, 0, 7);
      g.fill();
    } else {
      const top = y + (wide ? 6 : 10), h = LANE - (wide ? 12 : 20);
      if (isNaN(m.end)) hatch(g, a, top, b - a, h, String(g.fillStyle));
      else {
        g.globalAlpha = wide ? 0.3 : 0.95;
        g.fillRect(a, top, b - a, h);
        g.globalAlpha = 1;
      }
    }
    if (seen.length > 600 || b - a < 44 || written[i]?.some(([p, q]) => a < q && b > p)) continue;
    if (!wide) written[i]?.push([a, b]);
    else if (seen.some((o) => o.i === i && o.m !== m && o.b - o.a < b - a && o.a < b && o.b > a)) continue;
    g.fillStyle = wide || isNaN(m.end) ? style.getPropertyValue('--ink') : style.getPropertyValue('--bg');
    g.textAlign = 'left';
    g.fillText(m.text.slice(0, Math.floor((b - a) / 6)), a + 4, y + LANE / 2 + 3);
    g.textAlign = 'center';
  }
  g.lineWidth = 1.5;
  for (const l of at.lanes) {
    const a = index.get(l.parent), b = index.get(l.key);
    if (a === undefined || b === undefined || l.first < from) continue;
    g.strokeStyle = `hsl(${hue(l.name)} 55% ${light})`;
    g.beginPath();
    g.moveTo(x(l.first) - 10, a * LANE + LANE / 2);
    g.quadraticCurveTo(x(l.first), a * LANE + LANE / 2, x(l.first), b * LANE + 8);
    g.stroke();
  }
}
