/** Spans of a trace against time. Names stand in a fixed column; bars are drawn on one canvas, only those in
 *  sight, so that 50,000 spans scroll. Idle gaps can be pressed together; bars can show cost or tokens. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Json, Row } from '../api';
import { duration, hue, money, plain, short } from '../format';
import { useKeys, useSize } from '../hooks';
import { colours } from '../state';

export type Measure = 'duration' | 'tokens' | 'cost';

export interface Span {
  row: Row;
  depth: number;
  from: number;
  to: number; /* NaN: not known */
  end: number; /* where its bar ends */
  kids: number; /* rows below it */
}

const ROW = 24;

/** The rows of `/api/v1/traces/{id}`, depth first, as bars. */
export function spansOf(rows: Row[], now: number): Span[] {
  const spans: Span[] = rows.map((row) => {
    const from = Date.parse(String(row.start));
    const ms = typeof row.duration_ms === 'number' ? row.duration_ms : NaN;
    return { row, depth: Number(row.depth ?? 0), from, to: from + ms, end: from + (isNaN(ms) ? 0 : ms), kids: 0 };
  });
  const last = spans.reduce((m, s) => Math.max(m, s.from, s.end), 0);
  for (const s of spans)
    if (isNaN(s.to)) s.end = s.row.state === 'running' ? Math.max(last, now) : s.from;
  const open: number[] = [];
  for (let i = 0; i < spans.length; i++) {
    const s = spans[i] as Span;
    while (open.length && (spans[open[open.length - 1] as number] as Span).depth >= s.depth) open.pop();
    for (const o of open) (spans[o] as Span).kids++;
    open.push(i);
  }
  return spans;
}

/** Stretches of time in which nothing happens take no more than a small part of the width. */
export function squeeze(spans: Span[], from: number, to: number): (t: number) => number {
  const edges = spans.filter((s) => s.row.link !== 'root' || s.kids === 0).map((s) => [s.from, Math.max(s.end, s.from)])
    .sort((a, b) => (a[0] as number) - (b[0] as number)) as [number, number][];
  const gaps: [number, number][] = [];
  let reached = from;
  for (const [a, b] of edges) {
    if (a - reached > (to - from) / 20) gaps.push([reached, a]);
    reached = Math.max(reached, b);
  }
  const left = (to - from) - gaps.reduce((sum, [a, b]) => sum + (b - a) * 0.95, 0);
  return (t) => {
    let at = t - from;
    for (const [a, b] of gaps) if (t > a) at -= (Math.min(t, b) - a) * 0.95;
    return at / Math.max(1e-6, left);
  };
}

export function Waterfall({ rows, selected, onSelect, measure, squeezed }: {
  rows: Row[]; selected: number; onSelect: (i: number) => void; measure: Measure; squeezed: boolean;
}) {
  const spans = useMemo(() => spansOf(rows, Date.now()), [rows]);
  const [folded, setFolded] = useState<Set<number>>(new Set());
  const [top, setTop] = useState(0);
  const [zoom, setZoom] = useState<[number, number]>([0, 1]);
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  void colours.value;
  const names = Math.min(360, Math.max(180, size.width * 0.32));
  const start = spans.reduce((m, s) => Math.min(m, s.from), Infinity);
  const end = spans.reduce((m, s) => Math.max(m, s.end), start + 1);
  const place = useMemo(() => (squeezed ? squeeze(spans, start, end) : (t: number) => (t - start) / Math.max(1e-6, end - start)),
    [spans, squeezed, start, end]);
  const shown = useMemo(() => {
    const out: number[] = [];
    for (let i = 0; i < spans.length; i++) {
      out.push(i);
      if (folded.has(i)) i += (spans[i] as Span).kids;
    }
    return out;
  }, [spans, folded]);
  const most = useMemo(() => spans.reduce((m, s) => Math.max(m, amount(s, measure)), 0) || 1, [spans, measure]);
  const first = Math.max(0, Math.floor(top / ROW) - 4);
  const last = Math.min(shown.length, first + Math.ceil(size.height / ROW) + 10);
  const width = Math.max(10, size.width - names - 90);
  const x = (t: number) => names + ((place(t) - zoom[0]) / (zoom[1] - zoom[0])) * width;

  useEffect(() => {
    const c = canvas.current, g = c?.getContext('2d');
    if (!c || !g || !size.width) return;
    const dpr = devicePixelRatio || 1, style = getComputedStyle(c);
    c.width = size.width * dpr;
    c.height = size.height * dpr;
    g.scale(dpr, dpr);
    g.font = `11px ${style.fontFamily}`;
    g.textBaseline = 'middle';
    const light = style.getPropertyValue('--chart-light').trim() || '50%';
    for (let k = first; k < last; k++) {
      const s = spans[shown[k] as number] as Span, y = k * ROW - top + 5, h = ROW - 10;
      const bad = Number(s.row.errors ?? 0) > 0 || s.row.status === 'error' || s.row.level === 'error';
      const colour = `hsl(${hue(String(s.row.agent ?? s.row.name))} 50% ${light})`;
      const a = measure === 'duration' ? x(s.from) : names;
      const b = measure === 'duration' ? x(s.end) : names + (amount(s, measure) / most) * width;
      const left = Math.max(names, a), right = Math.min(size.width - 84, Math.max(b, a + 2));
      if (right > names && left < size.width - 84) {
        g.fillStyle = colour;
        if (s.row.state === 'running' || s.row.state === 'unknown_end') hatch(g, left, y, Math.max(8, right - left), h, colour);
        else g.fillRect(left, y, right - left, h);
        if (bad) {
          g.fillStyle = style.getPropertyValue('--level-error');
          g.fillRect(left, y + h, Math.max(2, right - left), 2);
        }
        if (s.row.critical === true) {
          g.fillStyle = style.getPropertyValue('--ink');
          g.fillRect(left, y - 2, Math.max(2, right - left), 1);
        }
      }
      g.fillStyle = style.getPropertyValue('--dim');
      g.textAlign = 'right';
      g.fillText(said(s, measure), size.width - 8, y + h / 2);
    }
  });
  useKeys({
    j: () => step(1), k: () => step(-1),
    ArrowLeft: () => fold(true), ArrowRight: () => fold(false),
  });
  const step = (by: number) => {
    const at = Math.max(0, Math.min(shown.length - 1, shown.indexOf(selected) + by));
    onSelect(shown[at] ?? 0);
    const e = box.current;
    if (e && (at * ROW < e.scrollTop || (at + 1) * ROW > e.scrollTop + e.clientHeight)) e.scrollTop = at * ROW - e.clientHeight / 2;
  };
  const fold = (yes: boolean) => setFolded((f) => {
    const n = new Set(f);
    if (yes) n.add(selected);
    else n.delete(selected);
    return n;
  });
  const wheel = (e: WheelEvent) => {
    if (!e.ctrlKey && !e.altKey) return;
    e.preventDefault();
    const r = (e.currentTarget as HTMLElement).getBoundingClientRect();
    const at = zoom[0] + Math.max(0, Math.min(1, (e.clientX - r.left - names) / width)) * (zoom[1] - zoom[0]);
    const by = e.deltaY > 0 ? 1.25 : 0.8;
    const a = Math.max(0, at - (at - zoom[0]) * by), b = Math.min(1, at + (zoom[1] - at) * by);
    if (b - a > 1e-6) setZoom([a, b]);
  };
  return (
    <div class="waterfall" ref={box} tabIndex={0} role="tree" aria-label="Spans"
         onScroll={(e) => setTop((e.currentTarget as HTMLElement).scrollTop)} onWheel={wheel} onDblClick={() => setZoom([0, 1])}>
      <canvas ref={canvas} aria-hidden="true" style={{ height: `${size.height}px` }} />
      <div class="space" style={{ height: `${shown.length * ROW}px` }}>
        {shown.slice(first, last).map((i, k) => {
          const s = spans[i] as Span;
          return (
            <div key={i} role="treeitem" aria-level={s.depth + 1} aria-selected={i === selected}
                 aria-expanded={s.kids ? !folded.has(i) : undefined} class={`span ${i === selected ? 'on' : ''}`}
                 style={{ transform: `translateY(${(first + k) * ROW}px)`, height: `${ROW}px` }} onClick={() => onSelect(i)}>
              <span class="name" style={{ width: `${names - 8}px`, paddingLeft: `${6 + Math.min(s.depth, 24) * 12}px` }}>
                {s.kids > 0
                  ? <button type="button" class="fold" aria-label="Fold" onClick={(e) => {
                    e.stopPropagation();
                    setFolded((f) => { const n = new Set(f); if (!n.delete(i)) n.add(i); return n; });
                  }}>{folded.has(i) ? '▸' : '▾'}</button>
                  : <span class="fold" />}
                <Mark row={s.row} />
                <b>{plain(nameOf(s.row))}</b>
                <span class="dim"> {plain(s.row.agent)}{folded.has(i) ? ` +${s.kids}` : ''}</span>
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Mark({ row }: { row: Row }) {
  if (row.link === 'orphan') return <span class="mark" title="Its parent is not among the entries">⤴</span>;
  if (row.state === 'running') return <span class="mark live" title="Running">●</span>;
  if (row.state === 'unknown_end') return <span class="mark" title="Its end was never told">?</span>;
  if (Number(row.errors ?? 0) > 0 || row.status === 'error') return <span class="mark bad" title="Failed">✕</span>;
  return null;
}

/** What a span did; a tool call is known by its tool. */
export function nameOf(row: Row): Json | undefined {
  return row.tool && (!row.name || row.name === 'execute_tool') ? row.tool : row.name ?? row.kind;
}

function amount(s: Span, measure: Measure): number {
  if (measure === 'tokens') return Number(s.row.tokens ?? 0);
  if (measure === 'cost') return Number(s.row.cost_usd ?? 0);
  return s.end - s.from;
}

function said(s: Span, measure: Measure): string {
  if (measure === 'tokens') return s.row.tokens ? short(Number(s.row.tokens)) : '';
  if (measure === 'cost') return s.row.cost_usd ? money(Number(s.row.cost_usd)) : '';
  return isNaN(s.to) ? (s.row.state === 'running' ? 'running' : '?') : duration(s.to - s.from);
}

/** A bar without an end yet. */
export function hatch(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, colour: string): void {
  g.save();
  g.globalAlpha = 0.25;
  g.fillRect(x, y, w, h);
  g.globalAlpha = 1;
  g.beginPath();
  g.rect(x, y, w, h);
  g.clip();
  g.strokeStyle = colour;
  g.lineWidth = 2;
  for (let i = x - h; i < x + w; i += 6) {
    g.beginPath();
    g.moveTo(i, y + h);
    g.lineTo(i + h, y);
    g.stroke();
  }
  g.restore();
}
