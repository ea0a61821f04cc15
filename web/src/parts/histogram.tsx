/** Entries over time, stacked by a field. Dragging selects a range, a double click widens it. Drawn on a
 *  canvas; the same figures are in a table for those who do not see it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Bucket, Timeline } from '../api';
import { LEVELS, count, hue, own, visible } from '../format';
import { useSize } from '../hooks';
import { colours } from '../state';
import { ticks } from '../time';

const LEFT = 44, BOTTOM = 18, TOP = 6;
const OTHER = '\u0000other', MISSING = '\u0000missing';

export function seriesOf(t: Timeline): string[] {
  const sums = new Map<string, number>();
  for (const b of t.buckets) {
    for (const [k, n] of Object.entries(b.by)) sums.set(k, (sums.get(k) ?? 0) + n);
    if (b.other) sums.set(OTHER, (sums.get(OTHER) ?? 0) + b.other);
    if (b.missing) sums.set(MISSING, (sums.get(MISSING) ?? 0) + b.missing);
  }
  const names = [...sums.keys()];
  if (t.by === 'level') return LEVELS.filter((l) => sums.has(l));
  return names.sort((a, b) => (sums.get(b) as number) - (sums.get(a) as number));
}

export function seriesName(s: string): string {
  return s === OTHER ? 'others' : s === MISSING ? 'without' : visible(s);
}

function of(b: Bucket, s: string): number {
  return s === OTHER ? b.other ?? 0 : s === MISSING ? b.missing ?? 0 : own(b.by, s) ?? 0;
}

export function seriesColour(by: string, s: string, style: CSSStyleDeclaration): string {
  if (by === 'level') return style.getPropertyValue(`--level-${s}`).trim() || '#888';
  if (s === OTHER || s === MISSING) return style.getPropertyValue('--faint').trim();
  return `hsl(${hue(s)} 55% ${style.getPropertyValue('--chart-light').trim() || '52%'})`;
}

export function Histogram({ data, onRange, onWiden, height = 120, hidden, onToggle }: {
  data: Timeline | undefined; onRange: (from: number, to: number) => void; onWiden: () => void; height?: number;
  hidden?: Set<string>; onToggle?: (series: string) => void;
}) {
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const [over, setOver] = useState(-1);
  const names = data ? seriesOf(data) : [];
  void colours.value;
  const shown = names.filter((s) => !hidden?.has(s));
  const start = data ? Date.parse(data.buckets[0]?.time ?? data.start) : 0;
  const step = data?.step_ms ?? 1;
  const n = data?.buckets.length ?? 0;
  const width = Math.max(1, size.width - LEFT - 4);
  const xOf = (t: number) => LEFT + ((t - start) / (step * Math.max(1, n))) * width;
  const tOf = (x: number) => start + ((x - LEFT) / width) * step * Math.max(1, n);
  const most = Math.max(1, ...(data?.buckets ?? []).map((b) => shown.reduce((sum, s) => sum + of(b, s), 0)));

  useEffect(() => {
    const c = canvas.current, g = c?.getContext('2d');
    if (!c || !g || !size.width) return;
    const dpr = devicePixelRatio || 1, style = getComputedStyle(c);
    c.width = size.width * dpr;
    c.height = height * dpr;
    g.scale(dpr, dpr);
    g.clearRect(0, 0, size.width, height);
    if (!data || !n) return;
    const room = height - BOTTOM - TOP;
    g.font = `11px ${style.fontFamily}`;
    g.fillStyle = style.getPropertyValue('--dim');
    g.strokeStyle = style.getPropertyValue('--line');
    g.textAlign = 'right';
    g.textBaseline = 'middle';
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(TOP + room * (1 - part)) + 0.5;
      g.fillText(count(Math.round(most * part)), LEFT - 6, y);
      g.beginPath();
      g.moveTo(LEFT, y);
      g.lineTo(size.width, y);
      g.stroke();
    }
    g.textAlign = 'center';
    for (const [t, text] of ticks(start, start + step * n, Math.max(2, Math.floor(width / 80))))
      g.fillText(text, Math.min(size.width - 16, xOf(t)), height - BOTTOM / 2);
    const bar = width / n, gap = bar > 4 ? 1 : 0;
    for (const [i, b] of data.buckets.entries()) {
      let y = TOP + room;
      for (const s of shown) {
        const v = of(b, s);
        if (!v) continue;
        const h = Math.max(1, (v / most) * room);
        g.fillStyle = seriesColour(data.by, s, style);
        g.globalAlpha = over >= 0 && over !== i ? 0.55 : 1;
        g.fillRect(LEFT + i * bar, y - h, Math.max(1, bar - gap), h);
        y -= h;
      }
    }
    g.globalAlpha = 1;
    if (drag) {
      g.fillStyle = style.getPropertyValue('--select');
      g.fillRect(Math.min(...drag), 0, Math.abs(drag[1] - drag[0]), height - BOTTOM);
    }
  });

  const place = (e: PointerEvent) => {
    const r = (e.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.max(LEFT, Math.min(size.width - 4, e.clientX - r.left));
  };
  const move = (e: PointerEvent) => {
    const x = place(e);
    setOver(Math.max(0, Math.min(n - 1, Math.floor(((x - LEFT) / width) * n))));
    if (drag) setDrag([drag[0], x]);
  };
  const up = (e: PointerEvent) => {
    if (drag && Math.abs(drag[1] - drag[0]) > 4) {
      const x = place(e);
      onRange(Math.floor(tOf(Math.min(drag[0], x))), Math.ceil(tOf(Math.max(drag[0], x))));
    }
    setDrag(null);
  };
  const b = data?.buckets[over];
  return (
    <div class="histogram">
      <div ref={box} class="plot" style={{ height: `${height}px` }}
           onPointerDown={(e) => {
             (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
             setDrag([place(e), place(e)]);
           }}
           onPointerMove={move} onPointerUp={up} onPointerLeave={() => setOver(-1)} onDblClick={onWiden}>
        <canvas ref={canvas} role="img" aria-label={data ? `${count(data.total)} entries over time` : 'entries over time'} />
        {b && !drag && (
          <div class="tip" style={{ left: `${Math.min(size.width - 190, Math.max(0, xOf(Date.parse(b.time)) + 12))}px` }}>
            <strong>{new Date(b.time).toLocaleString('sv-SE')}</strong> {count(b.count)}
            {shown.filter((s) => of(b, s)).slice(0, 8).map((s) => (
              <div key={s}><Dot by={data?.by ?? ''} name={s} /> {seriesName(s)} <em>{count(of(b, s))}</em></div>
            ))}
          </div>
        )}
      </div>
      <div class="legend">
        {names.slice(0, 12).map((s) => (
          <button key={s} type="button" class={hidden?.has(s) ? 'off' : ''} aria-pressed={!hidden?.has(s)}
                  onClick={() => onToggle?.(s)}>
            <Dot by={data?.by ?? ''} name={s} /> {seriesName(s)}
          </button>
        ))}
      </div>
    </div>
  );
}

export function Dot({ by, name }: { by: string; name: string }) {
  void colours.value;
  const ref = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (ref.current) ref.current.style.background = seriesColour(by, name, getComputedStyle(ref.current));
  });
  return <span class="dot" ref={ref} aria-hidden="true" />;
}
