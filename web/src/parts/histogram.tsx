/** Entries over time, stacked by a field. Dragging selects a range, a double click widens it; the legend filters by
 *  the values of the field. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Bucket, Timeline } from '../api';
import { LEVELS, clock, count, hue, moment, own, short, visible } from '../format';
import { useSize } from '../hooks';
import { chosen, term } from '../query';
import { colours } from '../state';
import { rounds, ticks } from '../time';

const LEFT = 44,
  RIGHT = 4,
  BOTTOM = 18,
  TOP = 8;
const NAMED = 10;
const OTHER = '\u0000other',
  MISSING = '\u0000missing';

/** The series from the bottom of a stack to its top, with their sums: the most frequent values, and all others as one. */
function seriesOf(t: Timeline): [string, number][] {
  const sums = new Map<string, number>();
  let missing = 0,
    rest = t.total;
  for (const b of t.buckets) {
    missing += b.missing ?? 0;
    for (const [k, n] of Object.entries(b.by)) sums.set(k, (sums.get(k) ?? 0) + n);
  }
  const named: [string, number][] =
    t.by === 'level'
      ? LEVELS.flatMap((l) => (sums.has(l) ? [[l, sums.get(l) as number]] : []))
      : [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, NAMED);
  for (const [, n] of named) rest -= n;
  if (rest > missing) named.push([OTHER, rest - missing]);
  if (missing) named.push([MISSING, missing]);
  return named;
}

function seriesName(s: string): string {
  return s === OTHER ? 'others' : s === MISSING ? 'without' : visible(s) || '(empty)';
}

function of(b: Bucket, s: string, series: [string, number][]): number {
  if (s === MISSING) return b.missing ?? 0;
  if (s !== OTHER) return own(b.by, s) ?? 0;
  return b.count - series.reduce((sum, [x]) => (x === OTHER ? sum : sum + of(b, x, series)), 0);
}

export function seriesColour(by: string, s: string, style: CSSStyleDeclaration): string {
  if (by === 'level') return style.getPropertyValue(`--level-${s}`).trim() || '#888';
  if (s === OTHER || s === MISSING) return style.getPropertyValue('--faint').trim();
  return `hsl(${hue(s)} 55% ${style.getPropertyValue('--chart-light').trim() || '52%'})`;
}

/** How much of a time lies between the first and the last entry. */
function filled(t: Timeline, span: number): number {
  const some = t.buckets.filter((b) => b.count),
    first = some[0],
    last = some[some.length - 1];
  return first && last ? (Date.parse(last.time) + t.step_ms - Date.parse(first.time)) / span : 1;
}

/** `until`: where the time ends for people, though no entry came since. */
export function Histogram({
  data,
  q,
  until = 0,
  onRange,
  onWiden,
  onTerm,
  onFit,
  height = 116,
}: {
  data: Timeline | undefined;
  q: string;
  until?: number;
  onRange: (from: number, to: number) => void;
  onWiden: () => void;
  onTerm: (term: string, negate: boolean) => void;
  onFit: () => void;
  height?: number;
}) {
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const [over, setOver] = useState(-1);
  void colours.value;
  const series = data ? seriesOf(data) : [],
    by = data?.by ?? '';
  const buckets = data?.buckets ?? [],
    step = data?.step_ms ?? 1;
  /* what of the first and the last bucket lies outside of the range is not there, and is not shown as if it were */
  const start = data ? Math.max(Date.parse(data.start), Date.parse(buckets[0]?.time ?? data.start)) : 0;
  const last = data ? Date.parse(buckets[buckets.length - 1]?.time ?? data.end) + step : 1;
  const end = data ? Math.max(start + 1, until, Math.min(Date.parse(data.end), last)) : 1;
  const most = Math.max(1, ...buckets.map((b) => b.count)) * 1.04;
  const width = Math.max(1, size.width - LEFT - RIGHT);
  const xOf = (t: number) => LEFT + ((Math.max(start, Math.min(end, t)) - start) / (end - start)) * width;
  const tOf = (x: number) => start + ((x - LEFT) / width) * (end - start);

  useEffect(() => {
    const c = canvas.current,
      g = c?.getContext('2d');
    if (!c || !g || !size.width) return;
    const dpr = devicePixelRatio || 1,
      style = getComputedStyle(c);
    c.width = size.width * dpr;
    c.height = height * dpr;
    g.scale(dpr, dpr);
    g.clearRect(0, 0, size.width, height);
    if (!data) return;
    const room = height - BOTTOM - TOP,
      base = TOP + room;
    const spot = buckets[over];
    if (spot && !drag) {
      const x = xOf(Date.parse(spot.time));
      g.fillStyle = style.getPropertyValue('--raised');
      g.fillRect(x, TOP, xOf(Date.parse(spot.time) + step) - x, room);
    }
    g.font = `11px ${style.fontFamily}`;
    g.fillStyle = style.getPropertyValue('--dim');
    g.strokeStyle = style.getPropertyValue('--line');
    g.textAlign = 'right';
    g.textBaseline = 'middle';
    for (const v of data.total ? rounds(most, 4, 1) : [0]) {
      const y = Math.round(base - (v / most) * room) + 0.5;
      g.fillText(short(v), LEFT - 6, y);
      g.beginPath();
      g.moveTo(LEFT, y);
      g.lineTo(size.width - RIGHT, y);
      g.stroke();
    }
    g.textAlign = 'center';
    for (const [t, text] of ticks(start, end, Math.max(2, Math.floor(width / 80)))) {
      const half = g.measureText(text).width / 2;
      g.fillText(text, Math.max(LEFT + half - 8, Math.min(size.width - half, xOf(t))), height - BOTTOM / 2);
    }
    for (const b of buckets) {
      const t = Date.parse(b.time),
        x = xOf(t),
        w = xOf(t + step) - x,
        gap = w > 4 ? 1 : 0;
      let y = base;
      for (const [s] of series) {
        const v = of(b, s, series);
        if (!v) continue;
        const h = Math.max(1, (v / most) * room);
        g.fillStyle = seriesColour(by, s, style);
        g.fillRect(x, y - h, Math.max(1, w - gap), h);
        y -= h;
      }
    }
    if (drag) {
      g.fillStyle = style.getPropertyValue('--select');
      g.fillRect(Math.min(...drag), TOP, Math.abs(drag[1] - drag[0]), room);
    }
  });

  const place = (e: PointerEvent) => {
    const r = (e.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.max(LEFT, Math.min(size.width - RIGHT, e.clientX - r.left));
  };
  const move = (e: PointerEvent) => {
    const x = place(e),
      first = Date.parse(buckets[0]?.time ?? '');
    const i = Math.max(0, Math.floor((tOf(x) - first) / step));
    setOver(i < buckets.length ? i : -1);
    if (drag) setDrag([drag[0], x]);
  };
  const up = (e: PointerEvent) => {
    if (drag && Math.abs(drag[1] - drag[0]) > 4) {
      const x = place(e);
      onRange(Math.floor(tOf(Math.min(drag[0], x))), Math.ceil(tOf(Math.max(drag[0], x))));
    }
    setDrag(null);
  };
  return (
    <div class="histogram">
      <div
        ref={box}
        class="plot"
        style={{ height: `${height}px` }}
        onPointerDown={(e) => {
          (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
          setDrag([place(e), place(e)]);
        }}
        onPointerMove={move}
        onPointerUp={up}
        onPointerLeave={() => setOver(-1)}
        onDblClick={onWiden}
      >
        <canvas ref={canvas} role="img" aria-label={data ? `${count(data.total)} entries over time` : 'entries over time'} />
        {drag && Math.abs(drag[1] - drag[0]) > 4 ? (
          <div class="tip span" style={beside(Math.max(...drag), size.width)}>
            {stretch(tOf(Math.min(...drag)), tOf(Math.max(...drag)))}
          </div>
        ) : (
          buckets[over] && (
            <Tip
              bucket={buckets[over] as Bucket}
              by={by}
              series={series}
              step={step}
              end={end}
              at={beside(xOf(Date.parse((buckets[over] as Bucket).time) + step), size.width)}
            />
          )
        )}
      </div>
      <div class="legend">
        <Legend by={by} series={series} q={q} onTerm={onTerm} />
        <span class="fill" />
        {data && filled(data, end - start) < 0.34 && (
          <button type="button" class="fit" title="Only the time that has entries (z)" onClick={onFit}>
            Zoom to data <kbd>z</kbd>
          </button>
        )}
      </div>
    </div>
  );
}

const TIP = 200;

/** Right of the place, or left of it where the page ends. */
function beside(x: number, width: number): Record<string, string> {
  return x + TIP + 20 < width ? { left: `${x + 10}px` } : { right: `${Math.max(0, width - x) + 34}px` };
}

function stretch(from: number, to: number): string {
  const at = (t: number) => clock(new Date(t).toISOString()).replace(/\.000$/, '');
  return `${at(from)} – ${at(to)}`;
}

/** A round width of a bucket: "15 s". */
function width(step: number): string {
  const [unit, size] = (
    [
      ['d', 86400e3],
      ['h', 3600e3],
      ['min', 60e3],
      ['s', 1e3],
      ['ms', 1],
    ] as const
  ).find(([, n]) => step >= n) as [string, number];
  return `${step / size} ${unit}`;
}

function Tip({
  bucket,
  by,
  series,
  step,
  end,
  at,
}: {
  bucket: Bucket;
  by: string;
  series: [string, number][];
  step: number;
  end: number;
  at: Record<string, string>;
}) {
  const from = Date.parse(bucket.time),
    here = [...series].reverse().filter(([s]) => of(bucket, s, series));
  return (
    <div class="tip" style={at}>
      <header>
        <span>
          {moment(from)}
          {step < 1000 ? `.${String(from % 1000).padStart(3, '0')}` : ''}
        </span>
        <span class="dim">{from + step > end ? 'so far' : `+${width(step)}`}</span>
      </header>
      {here.slice(0, 8).map(([s]) => (
        <div key={s}>
          <Dot by={by} name={s} /> <span class="what">{seriesName(s)}</span> <em>{count(of(bucket, s, series))}</em>
        </div>
      ))}
      {here.length > 8 && <div class="dim">and {here.length - 8} more</div>}
      {here.length !== 1 && (
        <div class="sum">
          <span class="what">entries</span> <em>{count(bucket.count)}</em>
        </div>
      )}
    </div>
  );
}

/** What the colours mean; each entry filters, and what was taken out by it stays, struck through, to come back. */
function Legend({
  by,
  series,
  q,
  onTerm,
}: {
  by: string;
  series: [string, number][];
  q: string;
  onTerm: (term: string, negate: boolean) => void;
}) {
  const out = chosen(q, by, '-').map((t) => t.slice(1)),
    here = chosen(q, by);
  return (
    <>
      {series.map(([s, n]) => {
        const name = seriesName(s),
          t = term(by, s === MISSING ? null : s);
        const inside = (
          <>
            <Dot by={by} name={s} /> <span class="what">{name}</span> <span class="n">{short(n)}</span>
          </>
        );
        return s === OTHER ? (
          <span key={s} class="key">
            {inside}
          </span>
        ) : (
          <span key={s} class="key">
            <button
              type="button"
              class="pick"
              aria-pressed={here.includes(t)}
              title={here.includes(t) ? `All values of ${visible(by)} again` : `Only ${name}. With Alt: without ${name}.`}
              onClick={(e) => onTerm(t, e.altKey)}
            >
              {inside}
            </button>
            <button type="button" class="not" title={`Without ${name}`} aria-label={`Without ${name}`} onClick={() => onTerm(t, true)}>
              −
            </button>
          </span>
        );
      })}
      {out.map((t) => {
        const value = t.slice(t.indexOf('=') + 1);
        return (
          <span key={t} class="key">
            <button type="button" class="pick off" title={`Bring ${visible(value)} back`} onClick={() => onTerm(t, true)}>
              <Dot by={by} name={value.replace(/^"|"$/g, '')} /> <span class="what">{visible(value)}</span>
            </button>
          </span>
        );
      })}
    </>
  );
}

function Dot({ by, name }: { by: string; name: string }) {
  void colours.value;
  const ref = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (ref.current) ref.current.style.background = seriesColour(by, name, getComputedStyle(ref.current));
  });
  return <span class="dot" ref={ref} aria-hidden="true" />;
}
