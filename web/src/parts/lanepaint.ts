/** Draws a Board: the pulse and a time axis on top, a lane for each agent below. One canvas, as large as what can be
 *  seen of it. */
import { duration, hue } from '../format';
import { ticks } from '../time';
import type { Board, Lane, Mark } from './board';
import { hatch } from './waterfall';

export const LOW = 36,
  HIGH = 60,
  PULSE = 46,
  AXIS = 18,
  HEAD = PULSE + AXIS;
const TRACK = 12,
  EDGE = 13,
  ARCS = 400;

export interface Scene {
  board: Board;
  lanes: Lane[];
  lane: number; /* px high */
  names: number; /* px wide, left of it all */
  from: number;
  to: number;
  now: number; /* where running bars end */
  width: number;
  height: number;
  top: number; /* scrolled by */
  pointer: number; /* x, or -1 */
  selected: [number, number] | null; /* x, being dragged over */
}

/** What was drawn where, for the pointer. */
export interface Hit {
  mark: Mark;
  lane: Lane;
  x: number;
  y: number;
  w: number;
  h: number;
}

export function paint(c: HTMLCanvasElement, s: Scene): Hit[] {
  const g = c.getContext('2d'),
    dpr = devicePixelRatio || 1,
    style = getComputedStyle(c);
  if (!g) return [];
  if (c.width !== Math.round(s.width * dpr) || c.height !== Math.round(s.height * dpr)) {
    c.width = Math.round(s.width * dpr);
    c.height = Math.round(s.height * dpr);
  }
  const [bg, edge, dim, faint, ink, select, bad, warn] = [
    '--bg',
    '--line',
    '--dim',
    '--faint',
    '--ink',
    '--select',
    '--level-error',
    '--level-warn',
  ].map((name) => style.getPropertyValue(name).trim()) as [string, string, string, string, string, string, string, string];
  const LANE = s.lane,
    NAMES = s.names,
    tracks = Math.max(1, Math.floor((LANE - EDGE) / TRACK));
  const x = (t: number) => NAMES + ((t - s.from) / (s.to - s.from)) * (s.width - NAMES);
  const light = style.getPropertyValue('--chart-light').trim() || '50%';
  const tone = (agent: string) => `hsl(${hue(agent)} 55% ${light})`;
  g.setTransform(dpr, 0, 0, dpr, 0, 0);
  g.clearRect(0, 0, s.width, s.height);
  g.font = `10px ${style.fontFamily}`;
  g.textBaseline = 'middle';
  g.save();
  g.beginPath();
  g.rect(NAMES, HEAD, s.width - NAMES, s.height - HEAD);
  g.clip();
  const hits = lanes();
  g.restore();
  head();
  if (s.pointer >= NAMES) {
    g.strokeStyle = faint;
    line(Math.round(s.pointer) + 0.5, 0, Math.round(s.pointer) + 0.5, s.height);
  }
  if (s.selected) {
    g.fillStyle = select;
    g.fillRect(Math.min(...s.selected), 0, Math.abs(s.selected[1] - s.selected[0]), s.height);
  }
  return hits;

  function line(x0: number, y0: number, x1: number, y1: number): void {
    g?.beginPath();
    g?.moveTo(x0, y0);
    g?.lineTo(x1, y1);
    g?.stroke();
  }

  /** The pulse: entries over time, by agent from the bottom up, failures in red across them; the axis below it. */
  function head(): void {
    if (!g) return;
    const { step, beats } = s.board,
      room = PULSE - 8;
    g.fillStyle = bg;
    g.fillRect(NAMES, 0, s.width - NAMES, HEAD);
    let most = 4;
    for (const [t, b] of beats) if (t + step > s.from && t < s.to) most = Math.max(most, b.count);
    const wide = Math.max(1, x(s.from + step) - NAMES - 1);
    for (const [t, b] of beats) {
      if (t + step <= s.from || t >= s.to) continue;
      const left = Math.max(NAMES, x(t)),
        w = Math.min(wide, x(t) + wide - left);
      if (w <= 0) continue;
      let y = PULSE;
      for (const [agent, n] of [...b.by].sort((p, q) => (p[0] < q[0] ? -1 : 1))) {
        const h = (n / most) * room;
        g.fillStyle = tone(agent);
        g.fillRect(left, y - h, w, h);
        y -= h;
      }
      if (b.bad) {
        g.fillStyle = bad;
        g.fillRect(left, y - 3, w, 3);
      }
    }
    g.strokeStyle = edge;
    line(NAMES, PULSE + 0.5, s.width, PULSE + 0.5);
    line(0, HEAD - 0.5, s.width, HEAD - 0.5);
    g.fillStyle = dim;
    g.textAlign = 'center';
    for (const [t, text] of ticks(s.from, s.to, Math.max(2, Math.floor((s.width - NAMES) / 110)))) {
      const at = x(t);
      if (at > NAMES + 24 && at < s.width - 24) g.fillText(text, at, PULSE + AXIS / 2);
      g.fillRect(at, PULSE, 1, 3);
    }
    g.textAlign = 'left';
    if (!beats.size) return;
    const scale = `${most} in ${duration(step)}`;
    g.fillStyle = bg;
    g.fillRect(NAMES + 1, 0, g.measureText(scale).width + 10, 13);
    g.fillStyle = dim;
    g.fillText(scale, NAMES + 6, 7);
  }

  function lanes(): Hit[] {
    const seen: Hit[] = [],
      at = new Map(s.lanes.map((l, i) => [l, HEAD + i * LANE - s.top]));
    if (!g) return seen;
    g.strokeStyle = edge;
    for (const l of s.lanes) {
      const y = at.get(l) as number;
      if (y > s.height || y + LANE < HEAD) continue;
      line(NAMES, y + LANE - 0.5, s.width, y + LANE - 0.5);
      const full = new Set<number>(); /* thousands of marks in a pixel are one */
      for (let i = l.marks.length - 1; i >= 0; i--) {
        const m = l.marks[i] as Mark,
          end = isNaN(m.end) ? s.now : m.end;
        if (end < s.from || m.t > s.to) continue;
        const a = Math.max(NAMES - 20, x(m.t)),
          b = Math.max(a + (m.kind === 'work' ? 2 : 3), Math.min(s.width + 20, x(end)));
        const spot =
          (Math.round(a) * 8 + (m.track % tracks)) * 8 + (m.kind === 'entry' ? 4 : m.kind === 'said' ? 5 : 0) + (m.level >= 2 ? 1 : 0);
        if (b - a < 4 && full.has(spot)) continue;
        full.add(spot);
        if (m.kind === 'work') seen.push({ mark: m, lane: l, x: a, y: y + 3, w: b - a, h: LANE - 7 });
        else if (m.kind === 'said' || m.kind === 'entry') seen.push({ mark: m, lane: l, x: a - 2, y: y + LANE - 10, w: 5, h: 7 });
        else seen.push({ mark: m, lane: l, x: a, y: y + 5 + (m.track % tracks) * TRACK, w: b - a, h: TRACK - 1 });
      }
    }
    /* what spans others lies below them */
    seen.sort((p, q) => Number(q.mark.kind === 'work') - Number(p.mark.kind === 'work') || q.w - p.w);
    for (const o of seen) bar(o);
    const given = seen.filter((o) => o.mark.from && at.has(o.mark.from) && o.x >= NAMES - 20).slice(-ARCS);
    g.lineWidth = 1.5;
    g.globalAlpha = Math.max(0.15, Math.min(0.9, 24 / given.length));
    for (const o of given) {
      const up = at.get(o.mark.from as Lane) as number,
        y = at.get(o.lane) as number;
      g.strokeStyle = tone(o.lane.agent);
      arc(x(o.mark.t), up, y, false);
      if (!isNaN(o.mark.end) && x(o.mark.end) - x(o.mark.t) > 6) arc(x(o.mark.end), y, up, true);
    }
    for (const l of s.lanes) {
      const up = l.parent && at.get(l.parent);
      if (up === undefined || l.marks.some((m) => m.from)) continue;
      g.strokeStyle = tone(l.agent);
      arc(x(l.first), up, at.get(l) as number, false);
    }
    g.globalAlpha = 1;
    g.lineWidth = 1;
    return seen;
  }

  /** From the middle of one lane to the middle of another: solid where work is given, dashed where it comes back. */
  function arc(at: number, y0: number, y1: number, back: boolean): void {
    if (!g || at < NAMES - 20 || at > s.width + 20) return;
    const bow = back ? 12 : -12;
    g.setLineDash(back ? [3, 3] : []);
    g.beginPath();
    g.moveTo(at, y0 + LANE / 2);
    g.bezierCurveTo(at + bow, y0 + LANE / 2, at + bow, y1 + LANE / 2, at, y1 + LANE / 2);
    g.stroke();
    g.setLineDash([]);
    g.fillStyle = g.strokeStyle;
    g.beginPath();
    g.arc(at, y1 + LANE / 2, 2.5, 0, 7);
    g.fill();
  }

  function bar(o: Hit): void {
    if (!g) return;
    const m = o.mark,
      runs = isNaN(m.end),
      fill = m.level >= 2 ? bad : m.level === 1 ? warn : tone(o.lane.agent);
    g.fillStyle = fill;
    if (m.kind === 'said') {
      g.beginPath();
      g.arc(o.x + 2, o.y + 3, 3.5, 0, 7);
      g.fill();
      return;
    }
    if (m.kind === 'entry') {
      g.fillRect(o.x + 1, o.y, 2, o.h);
      return;
    }
    if (runs) {
      if (m.kind === 'work') g.globalAlpha = 0.4;
      hatch(g, o.x, o.y, o.w, o.h, fill);
      g.globalAlpha = 1;
    } else {
      g.globalAlpha = m.kind === 'work' ? 0.18 : m.kind === 'model' ? 0.45 : 1;
      g.fillRect(o.x, o.y, o.w, o.h);
      g.globalAlpha = 1;
    }
    const left = Math.max(o.x, NAMES) + 3,
      room = o.x + o.w - left - 2;
    if (m.kind === 'work' || room < 30) return;
    g.fillStyle = runs || m.kind === 'model' ? ink : bg;
    g.fillText(m.text.slice(0, Math.floor(room / 5)), left, o.y + o.h / 2 + 0.5);
  }
}
