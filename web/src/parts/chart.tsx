/** Figures over time, as lines or stacked bars, from rows of a query: the first column of times is the axis, texts
 *  beside it tell series apart, numbers are the figures. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Json, Row } from '../api';
import { LEVELS, hue, plain, short } from '../format';
import { useSize } from '../hooks';
import { colours } from '../state';
import { ticks } from '../time';

export interface Series {
  name: string;
  points: [number, number][];
}

const TIME = /^\d{4}-\d\d-\d\dT/;

export function seriesOfRows(columns: string[], rows: Row[]): Series[] {
  const axis = columns.find((c) => rows.some((r) => typeof r[c] === 'string' && TIME.test(String(r[c]))));
  if (!axis) return [];
  const numeric = columns.filter((c) => c !== axis && rows.some((r) => typeof r[c] === 'number'));
  const names = columns.filter((c) => c !== axis && !numeric.includes(c));
  const out = new Map<string, Series>();
  for (const r of rows) {
    const t = Date.parse(String(r[axis]));
    if (isNaN(t)) continue;
    const own = names.map((c) => plain(r[c]) || '(none)').join(' · ');
    for (const c of numeric) {
      const v = r[c];
      if (typeof v !== 'number') continue;
      const name = own && numeric.length > 1 ? `${own} ${c}` : own || c;
      const s = out.get(name) ?? { name, points: [] };
      s.points.push([t, v]);
      out.set(name, s);
    }
  }
  return [...out.values()].slice(0, 24);
}

function colour(name: string, style: CSSStyleDeclaration): string {
  if ((LEVELS as readonly string[]).includes(name)) return style.getPropertyValue(`--level-${name}`).trim();
  return `hsl(${hue(name)} 55% ${style.getPropertyValue('--chart-light').trim() || '50%'})`;
}

const LEFT = 54, BOTTOM = 18, TOP = 8;

export function Chart({ columns, rows, bars, label, unit = short }:
  { columns: string[]; rows: Row[]; bars: boolean; label: string; unit?: (n: number) => string }) {
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  void colours.value;
  const [over, setOver] = useState(-1);
  const series = useMemo(() => seriesOfRows(columns, rows), [columns, rows]);
  const times = useMemo(() => [...new Set(series.flatMap((s) => s.points.map(([t]) => t)))].sort((a, b) => a - b), [series]);
  const step = times.reduce((m, t, i) => (i ? Math.min(m, t - (times[i - 1] as number)) : m), Infinity);
  const from = times[0] ?? 0, to = (times[times.length - 1] ?? 1) + (bars && isFinite(step) ? step : 0);
  const sums = useMemo(() => {
    const m = new Map<number, number>();
    for (const s of series) for (const [t, v] of s.points) m.set(t, bars ? (m.get(t) ?? 0) + v : Math.max(m.get(t) ?? -Infinity, v));
    return m;
  }, [series, bars]);
  const most = Math.max(1e-9, ...sums.values());
  const width = Math.max(1, size.width - LEFT - 6), height = Math.max(40, size.height);
  const x = (t: number) => LEFT + ((t - from) / Math.max(1, to - from)) * width;

  useEffect(() => {
    const c = canvas.current, g = c?.getContext('2d');
    if (!c || !g || !size.width) return;
    const dpr = devicePixelRatio || 1, style = getComputedStyle(c), room = height - BOTTOM - TOP;
    c.width = size.width * dpr;
    c.height = height * dpr;
    g.scale(dpr, dpr);
    g.font = `11px ${style.fontFamily}`;
    g.textBaseline = 'middle';
    g.textAlign = 'right';
    g.strokeStyle = style.getPropertyValue('--line');
    g.fillStyle = style.getPropertyValue('--dim');
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(TOP + room * (1 - part)) + 0.5;
      g.fillText(unit(most * part), LEFT - 6, y);
      g.beginPath();
      g.moveTo(LEFT, y);
      g.lineTo(size.width, y);
      g.stroke();
    }
    g.textAlign = 'center';
    for (const [t, text] of ticks(from, to, Math.max(2, Math.floor(width / 80)))) g.fillText(text, x(t), height - BOTTOM / 2);
    if (bars) {
      const base = new Map<number, number>(), w = Math.max(1, (isFinite(step) ? (step / Math.max(1, to - from)) * width : 8) - 1);
      for (const s of series) {
        g.fillStyle = colour(s.name, style);
        for (const [t, v] of s.points) {
          const h = (v / most) * room, at = base.get(t) ?? 0;
          g.fillRect(x(t), TOP + room - at - h, w, h);
          base.set(t, at + h);
        }
      }
    } else {
      g.lineWidth = 1.5;
      for (const s of series) {
        g.strokeStyle = g.fillStyle = colour(s.name, style);
        g.beginPath();
        for (const [i, [t, v]] of s.points.entries()) {
          const y = TOP + room * (1 - v / most);
          if (i) g.lineTo(x(t), y);
          else g.moveTo(x(t), y);
        }
        g.stroke();
        if (s.points.length < 40) for (const [t, v] of s.points) g.fillRect(x(t) - 1.5, TOP + room * (1 - v / most) - 1.5, 3, 3);
      }
    }
    if (over >= 0 && times[over] !== undefined) {
      g.strokeStyle = style.getPropertyValue('--dim');
      g.beginPath();
      g.moveTo(x(times[over] as number), TOP);
      g.lineTo(x(times[over] as number), height - BOTTOM);
      g.stroke();
    }
  });
  if (!series.length) return <p class="dim pad">No times and numbers in the answer.</p>;
  const t = times[over];
  return (
    <div class="chart">
      <div class="plot" ref={box} onPointerLeave={() => setOver(-1)} onPointerMove={(e) => {
        const at = e.clientX - (e.currentTarget as HTMLElement).getBoundingClientRect().left;
        let best = 0;
        for (let i = 0; i < times.length; i++)
          if (Math.abs(x(times[i] as number) - at) < Math.abs(x(times[best] as number) - at)) best = i;
        setOver(best);
      }}>
        <canvas ref={canvas} role="img" aria-label={label} />
        {t !== undefined && (
          <div class="tip" style={{ left: `${Math.min(size.width - 190, x(t) + 10)}px` }}>
            <strong>{new Date(t).toLocaleString('sv-SE')}</strong>
            {series.map((s) => ({ s, v: s.points.find(([a]) => a === t)?.[1] })).filter((p) => p.v !== undefined).slice(0, 10).map(({ s, v }) => (
              <div key={s.name}><Swatch name={s.name} /> {s.name} <em>{unit(v as number)}</em></div>
            ))}
          </div>
        )}
      </div>
      {series.length > 1 && <div class="legend">{series.map((s) => <span key={s.name}><Swatch name={s.name} /> {s.name}</span>)}</div>}
    </div>
  );
}

function Swatch({ name }: { name: string }) {
  const ref = useRef<HTMLSpanElement>(null);
  useEffect(() => { if (ref.current) ref.current.style.background = colour(name, getComputedStyle(ref.current)); });
  return <span class="dot" ref={ref} aria-hidden="true" />;
}

/** Names with a bar each. */
export function Bars({ columns, rows, label, unit = short }:
  { columns: string[]; rows: Row[]; label: string; unit?: (n: number) => string }) {
  const value = columns.find((c) => rows.some((r) => typeof r[c] === 'number'));
  const names = columns.filter((c) => c !== value && !rows.some((r) => typeof r[c] === 'number'));
  if (!value) return <p class="dim pad">No number in the answer.</p>;
  const most = Math.max(1e-9, ...rows.map((r) => Number(r[value] ?? 0)));
  return (
    <ul class="bars" aria-label={label}>
      {rows.slice(0, 40).map((r, i) => (
        <li key={i}>
          <span class="what">{names.map((c) => plain(r[c]) || '(none)').join(' · ')}</span>
          <span class="track"><span style={{ width: `${(Number(r[value] ?? 0) / most) * 100}%` }} /></span>
          <span class="n">{unit(Number(r[value] ?? 0))}</span>
        </li>
      ))}
    </ul>
  );
}

/** Two columns of names across each other, the number as depth of colour. */
export function Heat({ columns, rows, label }: { columns: string[]; rows: Row[]; label: string }) {
  const value = [...columns].reverse().find((c) => rows.some((r) => typeof r[c] === 'number'));
  const [a, b] = columns.filter((c) => c !== value);
  if (!value || !a || !b) return <p class="dim pad">A heat map needs two columns and a number.</p>;
  const show = (v: Json | undefined) => (typeof v === 'string' && TIME.test(v) ? v.slice(5, 16).replace('T', ' ') : plain(v) || '(none)');
  const xs = [...new Set(rows.map((r) => show(r[a])))].slice(0, 200), ys = [...new Set(rows.map((r) => show(r[b])))].slice(0, 60);
  const at = new Map(rows.map((r) => [show(r[a]) + '\u0001' + show(r[b]), Number(r[value] ?? 0)]));
  const most = Math.max(1e-9, ...at.values());
  return (
    <div class="heat" role="img" aria-label={label} style={{ gridTemplateColumns: `max-content repeat(${xs.length}, minmax(4px, 1fr))` }}>
      {ys.map((y) => [
        <span key={y} class="name">{y}</span>,
        ...xs.map((x) => {
          const v = at.get(x + '\u0001' + y) ?? 0;
          return <span key={x} class="cell" title={`${x} ${y}: ${v}`} style={{ opacity: v ? 0.12 + 0.88 * Math.sqrt(v / most) : 0.04 }} />;
        }),
      ])}
    </div>
  );
}
