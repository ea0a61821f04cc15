/** Figures over time, as lines or stacked bars, from rows of a query: the first column of times is the axis, texts
 *  beside it tell series apart, numbers are the figures. Dragging selects a range; the arrow keys read values out. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Json, Row } from '../api';
import { LEVELS, clock, moment, plain, short } from '../format';
import { useSize } from '../hooks';
import { colours, now, range } from '../state';
import { rounds, ticks } from '../time';
import { seriesColour } from './histogram';

interface Series {
  name: string;
  split: boolean; /* one of the values of a column, not a column of figures */
  points: Map<number, number>;
}

const TIME = /^\d{4}-\d\d-\d\dT/;

export function timeColumn(columns: string[], rows: Row[]): string | undefined {
  return columns.find((c) => rows.some((r) => typeof r[c] === 'string' && TIME.test(String(r[c]))));
}

export function seriesOfRows(columns: string[], rows: Row[]): Series[] {
  const axis = timeColumn(columns, rows);
  if (!axis) return [];
  const numeric = columns.filter((c) => c !== axis && rows.some((r) => typeof r[c] === 'number'));
  const names = columns.filter((c) => c !== axis && !numeric.includes(c));
  const out = new Map<string, Series>(),
    sums = new Map<string, number>();
  for (const r of rows) {
    const t = Date.parse(String(r[axis]));
    if (isNaN(t)) continue;
    const own = names.map((c) => plain(r[c]) || '(none)').join(' · ');
    for (const c of numeric) {
      const v = r[c];
      if (typeof v !== 'number') continue;
      const name = own && numeric.length > 1 ? `${own} ${c}` : own || c;
      const s = out.get(name) ?? { name, split: own !== '' && numeric.length === 1, points: new Map<number, number>() };
      s.points.set(t, v);
      out.set(name, s);
      sums.set(name, (sums.get(name) ?? 0) + v);
    }
  }
  const rank = (s: Series) => (LEVELS as readonly string[]).indexOf(s.name);
  const all = [...out.values()].filter((s) => sums.get(s.name) !== 0 || out.size === 1);
  if (names.length) all.sort((a, b) => rank(a) - rank(b) || (sums.get(b.name) as number) - (sums.get(a.name) as number));
  return all.slice(0, 24);
}

/* told apart by the colour-blind too, and on a light and a dark ground: the same in both themes */
const COLOURS = ['#4a7fe0', '#d17f0a', '#1d9e8a', '#cf5c9d', '#3a9cc9', '#8d8b27', '#8a63d2', '#c2583a'];

type Named = Pick<Series, 'name' | 'split'>;

/* what a name has elsewhere it has here: an agent is known by its colour */
function colour({ name, split }: Named, i: number, style: CSSStyleDeclaration): string {
  if (split) return seriesColour((LEVELS as readonly string[]).includes(name) ? 'level' : '', name, style);
  if ((LEVELS as readonly string[]).includes(name)) return style.getPropertyValue(`--level-${name}`).trim();
  return name === 'errors' || name === 'failed' ? style.getPropertyValue('--level-error').trim() : (COLOURS[i % COLOURS.length] as string);
}

const LEFT = 58,
  RIGHT = 10,
  BOTTOM = 20,
  TOP = 8,
  TIP = 200;

/** The marks of the axis of figures and where a figure lies, from 0 (below) to 1. */
function scale(least: number, most: number, log: boolean, room: number): { marks: number[]; at: (v: number) => number } {
  if (log && least > 0 && most / least >= 20) {
    const low = Math.floor(Math.log10(least)),
      high = Math.max(low + 1, Math.log10(most * 1.05));
    const marks = [];
    for (let p = low; p <= high; p++) marks.push(10 ** p);
    return { marks, at: (v) => (Math.log10(Math.max(v, 10 ** low)) - low) / (high - low) };
  }
  const top = most * 1.06;
  return { marks: rounds(top, Math.max(1, Math.min(5, Math.floor(room / 36)))), at: (v) => v / top };
}

export function Chart({
  columns,
  rows,
  bars,
  label,
  unit = short,
  log = false,
  onRange,
  span,
  mark,
}: {
  columns: string[];
  rows: Row[];
  bars: boolean;
  label: string;
  unit?: (n: number) => string;
  log?: boolean;
  onRange?: (from: number, to: number) => void;
  span?: [number, number]; /* the axis, when it is not the range of the page */
  mark?: number; /* a figure to draw a line at */
}) {
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  void colours.value;
  const [over, setOver] = useState(-1);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const [hidden, hide] = useState<Set<string>>(new Set());
  const all = useMemo(() => seriesOfRows(columns, rows), [columns.join(), rows]);
  const series = all.map((s, i) => ({ ...s, i })).filter((s) => !hidden.has(s.name));
  const times = useMemo(() => [...new Set(all.flatMap((s) => [...s.points.keys()]))].sort((a, b) => a - b), [all]);
  const step = times.reduce((m, t, i) => (i ? Math.min(m, t - (times[i - 1] as number)) : m), Infinity);
  const last = (times[times.length - 1] ?? 0) + (isFinite(step) ? step : 0);
  /* the window that was asked for, so that the panels of a board are below each other; what was not bounded begins and
   * ends with the data */
  const first = times[0] ?? 0;
  const start = range.value.start && Date.parse(range.value.start),
    end = range.value.end && Date.parse(range.value.end);
  const from = span ? span[0] : start || first;
  const to = Math.max(from + 1, span ? span[1] : end || (start ? Math.max(now.value, first + 1) : last));
  const [least, most] = useMemo(() => {
    const sums = new Map<number, number>();
    let low = Infinity;
    for (const s of series) {
      for (const [t, v] of s.points) {
        sums.set(t, bars ? (sums.get(t) ?? 0) + v : Math.max(sums.get(t) ?? 0, v));
        if (v > 0) low = Math.min(low, v);
      }
    }
    return [low, Math.max(0, mark ?? 0, ...sums.values()) || 1];
  }, [all, hidden, bars, mark]);
  const width = Math.max(1, size.width - LEFT - RIGHT),
    height = Math.max(40, size.height),
    room = height - BOTTOM - TOP;
  const x = (t: number) => LEFT + ((Math.max(from, Math.min(to, t)) - from) / (to - from)) * width;
  const timeAt = (px: number) => from + ((px - LEFT) / width) * (to - from);
  const middle = (t: number) => (bars && isFinite(step) ? (x(t) + x(t + step)) / 2 : x(t));

  useEffect(() => {
    const c = canvas.current,
      g = c?.getContext('2d');
    if (!c || !g || !size.width) return;
    const dpr = devicePixelRatio || 1,
      style = getComputedStyle(c),
      { marks, at } = scale(least, most, log && !bars, room);
    const y = (v: number) => TOP + room * (1 - at(v));
    c.width = size.width * dpr;
    c.height = height * dpr;
    g.scale(dpr, dpr);
    g.font = `11px ${style.fontFamily}`;
    g.textBaseline = 'middle';
    g.textAlign = 'right';
    g.strokeStyle = style.getPropertyValue('--line');
    g.fillStyle = style.getPropertyValue('--dim');
    for (const v of marks) {
      g.fillText(unit(v), LEFT - 8, y(v));
      g.beginPath();
      g.moveTo(LEFT, Math.round(y(v)) + 0.5);
      g.lineTo(size.width - RIGHT, Math.round(y(v)) + 0.5);
      g.stroke();
    }
    g.textAlign = 'center';
    for (const [t, text] of ticks(from, to, Math.max(2, Math.floor(width / 90)))) {
      const half = g.measureText(text).width / 2;
      g.fillText(text, Math.max(half, Math.min(size.width - half, x(t))), height - BOTTOM / 2);
    }
    if (times[over] !== undefined) {
      const t = times[over] as number;
      g.fillStyle = style.getPropertyValue('--raised');
      if (bars) g.fillRect(x(t), TOP, Math.max(2, x(t + (isFinite(step) ? step : 0)) - x(t)), room);
      else g.fillRect(x(t) - 0.5, TOP, 1, room);
    }
    if (bars) {
      const base = new Map<number, number>();
      for (const s of series) {
        g.fillStyle = colour(s, s.i, style);
        for (const [t, v] of s.points) {
          const h = v > 0 ? Math.max(1, at(v) * room) : 0,
            below = base.get(t) ?? 0;
          const w = isFinite(step) ? x(t + step) - x(t) : 8;
          if (h) g.fillRect(x(t), TOP + room - below - h, Math.max(1, w - (w > 4 ? 1 : 0)), h);
          base.set(t, below + h);
        }
      }
    } else {
      g.lineWidth = 1.75;
      g.lineJoin = 'round';
      for (const s of series) {
        const points = [...s.points].sort((a, b) => a[0] - b[0]);
        g.strokeStyle = g.fillStyle = colour(s, s.i, style);
        g.beginPath();
        for (const [i, [t, v]] of points.entries())
          /* a step without a figure is a hole, not a slope */
          if (i && t - (points[i - 1] as [number, number])[0] < step * 3.5) g.lineTo(x(t), y(v));
          else g.moveTo(x(t), y(v));
        g.stroke();
        for (const [i, [t, v]] of points.entries()) {
          const alone = !i || t - (points[i - 1] as [number, number])[0] >= step * 3.5;
          if (points.length > 40 && !alone && times[over] !== t) continue;
          g.beginPath();
          g.arc(x(t), y(v), times[over] === t ? 3.5 : 2.25, 0, 7);
          g.fill();
        }
      }
    }
    if (mark !== undefined) {
      g.strokeStyle = style.getPropertyValue('--bad');
      g.setLineDash([5, 4]);
      g.beginPath();
      g.moveTo(LEFT, y(mark));
      g.lineTo(size.width - RIGHT, y(mark));
      g.stroke();
      g.setLineDash([]);
    }
    if (drag) {
      g.fillStyle = style.getPropertyValue('--select');
      g.fillRect(Math.min(...drag), TOP, Math.abs(drag[1] - drag[0]), room);
    }
  });
  if (!all.length) return <p class="dim pad">No times and numbers in the answer.</p>;
  const place = (e: PointerEvent) => {
    const px = e.clientX - (e.currentTarget as HTMLElement).getBoundingClientRect().left;
    return Math.max(LEFT, Math.min(size.width - RIGHT, px));
  };
  const t = times[over];
  const values =
    t === undefined
      ? []
      : series
          .map((s) => ({ s, v: s.points.get(t) }))
          .filter((p) => p.v !== undefined && (!bars || p.v !== 0))
          .sort((a, b) => (bars ? 0 : (b.v as number) - (a.v as number)));
  if (bars) values.reverse();
  return (
    <div class="chart">
      <div
        class={`plot ${onRange ? 'drags' : ''}`}
        ref={box}
        tabIndex={0}
        role="group"
        aria-label={`${label}: the arrow keys read values`}
        onPointerLeave={() => setOver(-1)}
        onPointerDown={(e) => {
          if (!onRange || e.button !== 0) return;
          (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
          setDrag([place(e), place(e)]);
        }}
        onPointerMove={(e) => {
          const at = place(e);
          let best = 0;
          for (let i = 0; i < times.length; i++)
            if (Math.abs(middle(times[i] as number) - at) < Math.abs(middle(times[best] as number) - at)) best = i;
          setOver(best);
          if (drag) setDrag([drag[0], at]);
        }}
        onPointerUp={(e) => {
          if (drag && Math.abs(drag[1] - drag[0]) > 4) {
            const at = place(e);
            onRange?.(Math.floor(timeAt(Math.min(drag[0], at))), Math.ceil(timeAt(Math.max(drag[0], at))));
          }
          setDrag(null);
        }}
        onBlur={() => setOver(-1)}
        onKeyDown={(e) => {
          const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key as 'ArrowLeft'];
          if (!by) return;
          e.preventDefault();
          setOver(Math.max(0, Math.min(times.length - 1, over < 0 ? times.length - 1 : over + by)));
        }}
      >
        <canvas ref={canvas} role="img" aria-label={label} />
        {drag && Math.abs(drag[1] - drag[0]) > 4 ? (
          <div class="tip" style={beside(Math.max(...drag), size.width)}>
            {stretch(timeAt(Math.min(...drag)), timeAt(Math.max(...drag)))}
          </div>
        ) : (
          t !== undefined && (
            <div class="tip" role="status" style={beside(middle(t), size.width)}>
              <strong>{moment(t)}</strong>
              {values.slice(0, 10).map(({ s, v }) => (
                <div key={s.name}>
                  <Swatch of={s} i={s.i} /> {s.name} <em>{unit(v as number)}</em>
                </div>
              ))}
              {values.length > 10 && <div class="dim">and {values.length - 10} more</div>}
              {!values.length && <div class="dim">nothing</div>}
            </div>
          )
        )}
      </div>
      {all.length > 1 && (
        <div class="legend">
          {all.map((s, i) => (
            <button
              key={s.name}
              type="button"
              class={hidden.has(s.name) ? 'off' : ''}
              aria-pressed={!hidden.has(s.name)}
              onClick={() =>
                hide((h) => {
                  const n = new Set(h);
                  if (!n.delete(s.name)) n.add(s.name);
                  return n;
                })
              }
            >
              <Swatch of={s} i={i} /> {s.name}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** Right of the place, or left of it where the chart ends. */
function beside(x: number, width: number): Record<string, string> {
  return x + TIP + 20 < width ? { left: `${x + 10}px` } : { right: `${Math.max(0, width - x) + 10}px` };
}

function stretch(from: number, to: number): string {
  const at = (t: number) => clock(new Date(t).toISOString()).replace(/\.\d+$/, '');
  return `${at(from)} – ${at(to)}`;
}

function Swatch({ of, i = 0 }: { of: Named; i?: number }) {
  const ref = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (ref.current) ref.current.style.background = colour(of, i, getComputedStyle(ref.current));
  });
  return <span class="dot" ref={ref} aria-hidden="true" />;
}

/** Names with a bar each; with `by`, the bar is made of that column's values. */
export function Bars({
  columns,
  rows,
  by,
  label,
  unit = short,
}: {
  columns: string[];
  rows: Row[];
  by?: string;
  label: string;
  unit?: (n: number) => string;
}) {
  void colours.value;
  const value = columns.find((c) => rows.some((r) => typeof r[c] === 'number'));
  if (!value) return <p class="dim pad">No number in the answer.</p>;
  const split = by && columns.includes(by) ? by : undefined;
  const names = columns.filter((c) => c !== value && c !== split && !rows.some((r) => typeof r[c] === 'number'));
  const bars = new Map<string, { sum: number; parts: Map<string, number> }>(),
    kinds = new Map<string, number>();
  for (const r of rows) {
    const name = names.map((c) => plain(r[c]) || '(none)').join(' · '),
      v = Number(r[value] ?? 0);
    const bar = bars.get(name) ?? { sum: 0, parts: new Map<string, number>() };
    const kind = split ? plain(r[split]) || '(none)' : '';
    bar.sum += v;
    bar.parts.set(kind, (bar.parts.get(kind) ?? 0) + v);
    kinds.set(kind, (kinds.get(kind) ?? 0) + v);
    bars.set(name, bar);
  }
  const rank = (k: string) => (LEVELS as readonly string[]).indexOf(k);
  const order = [...kinds.keys()].sort((a, b) => rank(a) - rank(b) || (kinds.get(b) as number) - (kinds.get(a) as number));
  const most = Math.max(1e-9, ...[...bars.values()].map((b) => b.sum));
  return (
    <>
      <ul class="bars" aria-label={label}>
        {[...bars].slice(0, 40).map(([name, b]) => (
          <li key={name}>
            <span class="what" title={name}>
              {name}
            </span>
            <span class="track">
              {split ? (
                order.map((k) =>
                  b.parts.get(k) ? (
                    <span
                      key={k}
                      title={`${k}: ${unit(b.parts.get(k) as number)}`}
                      style={{ width: `${((b.parts.get(k) as number) / most) * 100}%` }}
                    >
                      <Swatch of={{ name: k, split: true }} />
                    </span>
                  ) : null,
                )
              ) : (
                <span style={{ width: `${(b.sum / most) * 100}%` }} />
              )}
            </span>
            <span class="n">{unit(b.sum)}</span>
          </li>
        ))}
      </ul>
      {split && (
        <div class="legend">
          {order.map((k) => (
            <span key={k} class="key">
              <Swatch of={{ name: k, split: true }} /> {k}
            </span>
          ))}
        </div>
      )}
    </>
  );
}

/** Two columns of names across each other, the number as depth of colour. Times go on where nothing happened. */
export function Heat({ columns, rows, label }: { columns: string[]; rows: Row[]; label: string }) {
  const value = [...columns].reverse().find((c) => rows.some((r) => typeof r[c] === 'number'));
  const names = columns.filter((c) => c !== value);
  const a = timeColumn(names, rows) ?? names[0],
    b = names.find((c) => c !== a);
  if (!value || !a || !b) return <p class="dim pad">A heat map needs two columns and a number.</p>;
  const timed = a === timeColumn(names, rows);
  const show = (v: Json | undefined) => plain(v) || '(none)';
  const key = (r: Row) => (timed ? String(Date.parse(String(r[a]))) : show(r[a]));
  let xs = [...new Set(rows.map(key))];
  if (timed) {
    const ts = xs.map(Number).sort((p, q) => p - q),
      step = ts.reduce((m, t, i) => (i ? Math.min(m, t - (ts[i - 1] as number)) : m), Infinity);
    const n = isFinite(step) ? Math.round(((ts[ts.length - 1] as number) - (ts[0] as number)) / step) + 1 : 1;
    xs = n <= 200 ? Array.from({ length: n }, (_, i) => String((ts[0] as number) + i * (isFinite(step) ? step : 0))) : ts.map(String);
  }
  xs = xs.slice(0, 200);
  const ys = [...new Set(rows.map((r) => show(r[b])))].slice(0, 60);
  const at = new Map(rows.map((r) => [key(r) + '\u0001' + show(r[b]), Number(r[value] ?? 0)]));
  const most = Math.max(1e-9, ...at.values());
  const text = (x: string) => (timed ? moment(Number(x)) : x);
  const marks = timed ? [0, Math.floor((xs.length - 1) / 2), xs.length - 1].filter((v, i, all) => all.indexOf(v) === i) : [];
  return (
    <div class="heatbox">
      <div
        class="heat"
        role="img"
        aria-label={label}
        style={{ gridTemplateColumns: `fit-content(180px) repeat(${xs.length}, minmax(4px, 1fr))` }}
      >
        {ys.map((y) => [
          <span key={y} class="name" title={y}>
            {y}
          </span>,
          ...xs.map((x) => {
            const v = at.get(x + '\u0001' + y) ?? 0;
            return (
              <span
                key={x}
                class="cell"
                title={`${text(x)} ${y}: ${short(v)}`}
                style={{ opacity: v ? 0.15 + 0.85 * Math.sqrt(v / most) : 0.05 }}
              />
            );
          }),
        ])}
        {marks.map((i) => (
          <span
            key={i}
            class="mark"
            style={{
              gridColumn: i === xs.length - 1 && i ? `${Math.max(2, i - 6)} / ${i + 3}` : `${i + 2} / span ${Math.min(8, xs.length - i)}`,
              textAlign: i === xs.length - 1 && i ? 'right' : 'left',
              gridRow: ys.length + 1,
            }}
          >
            {clock(new Date(Number(xs[i])).toISOString()).slice(0, 5)}
          </span>
        ))}
      </div>
      <p class="scale dim" aria-hidden="true">
        <span class="cell" style={{ opacity: 0.15 }} />
        <span class="cell" style={{ opacity: 0.5 }} />
        <span class="cell" /> up to {short(most)}
      </p>
    </div>
  );
}
