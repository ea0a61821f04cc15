/** Spans of a trace against time. Names stand in a fixed column; bars are drawn on one canvas, only those in
 *  sight, so that 50,000 spans scroll. Above them the whole trace in small and the times: a drag there zooms. Idle
 *  gaps can be pressed together; bars can show cost or tokens. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Row } from '../api';
import { duration, hue, plain } from '../format';
import { useKeys, useSize } from '../hooks';
import { type Measure, type Span, amount, marksOf, nameOf, pointed, said, scaleOf, spansOf, trouble } from '../spans';
import { colours } from '../state';

const ROW = 24;
const EDGE = 16; /* right of the bars */
const SMALL = 30; /* height of the whole trace in small */

export function Waterfall({
  rows,
  selected,
  onSelect,
  onClose,
  measure,
  squeezed,
}: {
  rows: Row[];
  selected: number;
  onSelect: (i: number) => void;
  onClose: () => void;
  measure: Measure;
  squeezed: boolean;
}) {
  const spans = useMemo(() => spansOf(rows, Date.now()), [rows]);
  const [folded, setFolded] = useState<Set<string>>(new Set()); /* by their ids: rows move while a trace grows */
  const keyOf = (i: number) => String(spans[i]?.row.span_id ?? `#${i}`);
  const [top, setTop] = useState(0);
  const [zoom, setZoom] = useState<[number, number]>([0, 1]);
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null),
    pointer = useRef<HTMLDivElement>(null);
  void colours.value;
  const names = Math.round(size.width < 600 ? size.width * 0.45 : Math.min(460, size.width * 0.36));
  const start = useMemo(() => spans.reduce((m, s) => Math.min(m, s.from), Infinity), [spans]);
  const end = useMemo(() => spans.reduce((m, s) => Math.max(m, s.end), start + 1), [spans, start]);
  const scale = useMemo(() => scaleOf(spans, start, end, squeezed && measure === 'duration'), [spans, squeezed, measure, start, end]);
  const shown = useMemo(() => {
    const out: number[] = [];
    for (let i = 0; i < spans.length; i++) {
      out.push(i);
      if (folded.has(keyOf(i))) i += (spans[i] as Span).kids;
    }
    return out;
  }, [spans, folded]);
  const most = useMemo(
    () => ({
      duration: 0,
      tokens: spans.reduce((m, s) => Math.max(m, amount(s, 'tokens')), 0) || 1,
      cost: spans.reduce((m, s) => Math.max(m, amount(s, 'cost')), 0) || 1,
    }),
    [spans],
  );
  const first = Math.max(0, Math.floor(top / ROW) - 4);
  const last = Math.min(shown.length, first + Math.ceil(size.height / ROW) + 10);
  const width = Math.max(10, size.width - names - EDGE);
  const timed = measure === 'duration';
  const x = (t: number) => names + ((scale.place(t) - zoom[0]) / (zoom[1] - zoom[0])) * width;
  const marks = timed && size.width ? marksOf(scale, start, zoom, ((zoom[1] - zoom[0]) * 84) / width) : [];
  const atMark = (p: number) => names + ((p - zoom[0]) / (zoom[1] - zoom[0])) * width;
  const barOf = (s: Span): [number, number] => {
    const a = timed ? x(s.from) : names,
      b = timed ? x(s.end) : names + (amount(s, measure) / most[measure]) * width;
    return [Math.max(names, a), Math.min(names + width, Math.max(b, a + 2))];
  };
  const labelAt = (s: Span, text: string): number | undefined => {
    const [left, right] = barOf(s),
      long = text.length * 6.5 + 10;
    if (right <= names || left >= names + width) return -1;
    return right + long < names + width + EDGE ? right + 5 : left - long > names ? left - long : undefined;
  };

  useEffect(() => {
    const c = canvas.current,
      g = c?.getContext('2d');
    if (!c || !g || !size.width) return;
    const dpr = devicePixelRatio || 1,
      style = getComputedStyle(c),
      ink = (name: string) => style.getPropertyValue(name).trim();
    c.width = size.width * dpr;
    c.height = size.height * dpr;
    g.scale(dpr, dpr);
    g.fillStyle = ink('--line');
    g.globalAlpha = 0.5;
    for (const [p] of marks) g.fillRect(Math.round(atMark(p)), 0, 1, size.height);
    g.globalAlpha = 1;
    const light = ink('--chart-light') || '50%';
    for (let k = first; k < last; k++) {
      const s = spans[shown[k] as number] as Span,
        y = k * ROW - top + 5,
        h = ROW - 10;
      const colour = `hsl(${hue(String(s.row.agent ?? s.row.name))} 50% ${light})`,
        [left, right] = barOf(s);
      if (right <= names || left >= names + width || (!timed && !amount(s, measure))) continue;
      if (pointed(s.row)) {
        if (timed)
          diamond(
            g,
            left,
            y + h / 2,
            trouble(s.row)
              ? ink('--level-error')
              : s.row.state === 'log'
                ? ink(`--level-${String(s.row.level)}`) || colour
                : s.row.agent === 'user'
                  ? ink('--accent')
                  : colour,
          );
        continue;
      }
      g.fillStyle = colour;
      if (s.row.state === 'running' || s.row.state === 'unknown_end') hatch(g, left, y, Math.max(8, right - left), h, colour);
      else g.fillRect(left, y, right - left, h);
      if (trouble(s.row)) {
        g.fillStyle = ink('--level-error');
        g.fillRect(left, y + h - 1, Math.max(2, right - left), 3);
      }
      if (s.row.critical === true) {
        g.fillStyle = ink('--ink');
        g.fillRect(left, y - 3, Math.max(2, right - left), 2);
      }
      if (timed)
        for (const log of s.logs) {
          g.fillStyle = ink('--bg');
          g.fillRect(x(log.t) - 2, y, 4, h);
          g.fillStyle = ink(`--level-${log.level}`);
          g.fillRect(x(log.t) - 1, y - 1, 2, h + 2);
        }
    }
    g.font = `11px ${style.fontFamily}`;
    g.textBaseline = 'middle';
    for (let k = first; k < last; k++) {
      /* a length that has room neither before nor after its bar stands on it */
      const s = spans[shown[k] as number] as Span,
        text = said(s, measure);
      if (!text || labelAt(s, text) !== undefined) continue;
      const w = g.measureText(text).width,
        y = k * ROW - top + ROW / 2;
      g.fillStyle = ink('--bg');
      g.fillRect(names + width - w - 12, y - 8, w + 8, 16);
      g.fillStyle = ink('--ink');
      g.fillText(text, names + width - w - 8, y + 1);
    }
    for (const [a, b] of scale.gaps) torn(g, x(a), x(b), names, size.height, ink('--bg'), ink('--dim'));
  });
  const step = (by: number) => {
    const at = selected < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, shown.indexOf(selected) + by));
    onSelect(shown[at] ?? 0);
    reveal(at);
  };
  const reveal = (at: number) => {
    const e = box.current;
    if (e && (at * ROW < e.scrollTop || (at + 1) * ROW > e.scrollTop + e.clientHeight)) e.scrollTop = at * ROW - e.clientHeight / 2;
  };
  useEffect(() => {
    if (selected > 0 && size.height) reveal(shown.indexOf(selected));
  }, [size.height > 0]);
  const fold = (yes: boolean) =>
    setFolded((f) => {
      const n = new Set(f);
      if (yes) n.add(keyOf(selected));
      else n.delete(keyOf(selected));
      return n;
    });
  const grow = (by: number, at = (zoom[0] + zoom[1]) / 2) => {
    const a = Math.max(0, at - (at - zoom[0]) * by),
      b = Math.min(1, at + (zoom[1] - at) * by);
    if (b - a > 1e-6) setZoom([a, b]);
  };
  const middle = () => {
    const s = spans[selected],
      p = s ? scale.place((s.from + s.end) / 2) : NaN;
    return p >= zoom[0] && p <= zoom[1] ? p : undefined;
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowLeft: () => fold(true),
    ArrowRight: () => fold(false),
    Enter: () => {
      if (selected < 0) step(0);
      else document.querySelector<HTMLElement>('.detail button')?.focus();
    },
    Escape: onClose,
    '+': () => grow(0.6, middle()),
    '=': () => grow(0.6, middle()),
    '-': () => grow(1 / 0.6, middle()),
    0: () => setZoom([0, 1]),
  });
  const placed = (e: MouseEvent) =>
    Math.max(0, Math.min(1, (e.clientX - (box.current?.getBoundingClientRect().left ?? 0) - names) / width));
  const wheel = (e: WheelEvent) => {
    if (e.ctrlKey || e.altKey) {
      e.preventDefault();
      grow(e.deltaY > 0 ? 1.25 : 0.8, zoom[0] + placed(e) * (zoom[1] - zoom[0]));
    } else if (e.deltaX && zoom[1] - zoom[0] < 1) {
      const by = Math.max(-zoom[0], Math.min(1 - zoom[1], (e.deltaX / width) * (zoom[1] - zoom[0])));
      setZoom([zoom[0] + by, zoom[1] + by]);
    }
  };
  const follow = (e: MouseEvent) => {
    const p = pointer.current,
      r = box.current?.getBoundingClientRect();
    if (!p || !r) return;
    const at = e.clientX - r.left;
    p.style.display = timed && at >= names && at <= names + width ? '' : 'none';
    p.style.left = `${at}px`;
    p.classList.toggle('late', at > names + width - 80);
    p.dataset.time = `+${duration(Math.max(0, scale.time(zoom[0] + placed(e) * (zoom[1] - zoom[0])) - start))}`;
  };
  const chips = size.width > 760 ? (['duration', 'tokens', 'cost'] as Measure[]).filter((m) => m !== measure) : [];
  return (
    <div
      class="fall"
      style={{ '--names': `${names}px` }}
      onMouseMove={follow}
      onMouseLeave={() => {
        if (pointer.current) pointer.current.style.display = 'none';
      }}
    >
      <div class="axis" onDblClick={() => setZoom([0, 1])}>
        <span class="names small">{spans.length === 1 ? '1 row' : `${spans.length.toLocaleString('en-US')} rows`}</span>
        <Small spans={spans} scale={scale} left={names} width={width} zoom={zoom} onZoom={setZoom} timed={timed} />
        <div class="marks">
          {marks.map(([p, text]) => (
            <span key={p} style={{ left: `${atMark(p)}px` }}>
              {text}
            </span>
          ))}
          {scale.gaps.map(([a, b]) =>
            (x(a) + x(b)) / 2 > names && (x(a) + x(b)) / 2 < names + width ? (
              <em key={a} style={{ left: `${(x(a) + x(b)) / 2}px` }} title="No step ran for so long">
                {duration(b - a)}
              </em>
            ) : null,
          )}
        </div>
      </div>
      <div
        class="waterfall"
        ref={box}
        tabIndex={0}
        role="tree"
        aria-label="Spans"
        onScroll={(e) => setTop((e.currentTarget as HTMLElement).scrollTop)}
        onWheel={wheel}
        onDblClick={() => setZoom([0, 1])}
      >
        <canvas ref={canvas} aria-hidden="true" style={{ height: `${size.height}px` }} />
        <div class="space" style={{ height: `${shown.length * ROW}px` }}>
          {shown.slice(first, last).map((i, k) => {
            const s = spans[i] as Span,
              text = said(s, measure),
              beside = labelAt(s, text) ?? -1;
            return (
              <div
                key={i}
                role="treeitem"
                aria-level={s.depth + 1}
                aria-selected={i === selected}
                aria-expanded={s.kids ? !folded.has(keyOf(i)) : undefined}
                class={`span ${i === selected ? 'on' : ''}`}
                style={{ transform: `translateY(${(first + k) * ROW}px)`, height: `${ROW}px` }}
                onClick={() => onSelect(i)}
              >
                <span class="name" style={{ width: `${names - 8}px`, paddingLeft: `${6 + Math.min(s.depth, 24) * 12}px` }}>
                  {s.kids > 0 ? (
                    <button
                      type="button"
                      class="fold"
                      aria-label="Fold"
                      onClick={(e) => {
                        e.stopPropagation();
                        setFolded((f) => {
                          const n = new Set(f);
                          if (!n.delete(keyOf(i))) n.add(keyOf(i));
                          return n;
                        });
                      }}
                    >
                      {folded.has(keyOf(i)) ? '▸' : '▾'}
                    </button>
                  ) : (
                    <span class="fold" />
                  )}
                  <Mark row={s.row} />
                  <span class="what">
                    <b>{plain(nameOf(s.row))}</b>
                    <span class="dim">
                      {' '}
                      {plain(nameOf(s.row)).endsWith(plain(s.row.agent)) ? '' : plain(s.row.agent)}
                      {folded.has(keyOf(i)) ? ` +${s.kids}` : ''}
                    </span>
                  </span>
                  {chips.map((m) => (
                    <Heat key={m} text={said(s, m)} share={m === 'duration' ? (s.end - s.from) / (end - start) : amount(s, m) / most[m]} />
                  ))}
                </span>
                {text && beside > 0 && (
                  <span class="length" style={{ left: `${beside}px` }}>
                    {text}
                  </span>
                )}
              </div>
            );
          })}
        </div>
      </div>
      <div class="pointer" ref={pointer} style={{ display: 'none' }} aria-hidden="true" />
      <Legend spans={spans} gaps={scale.gaps.length > 0} zoomed={zoom[1] - zoom[0] < 1} onAll={() => setZoom([0, 1])} />
    </div>
  );
}

/** All of the trace in small, and a frame about what is in sight; a drag picks another part. */
function Small({
  spans,
  scale,
  left,
  width,
  zoom,
  onZoom,
  timed,
}: {
  spans: Span[];
  scale: ReturnType<typeof scaleOf>;
  left: number;
  width: number;
  zoom: [number, number];
  onZoom: (z: [number, number]) => void;
  timed: boolean;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const theme = colours.value;
  useEffect(() => {
    const c = canvas.current,
      g = c?.getContext('2d');
    if (!c || !g || width < 20) return;
    const dpr = devicePixelRatio || 1,
      style = getComputedStyle(c),
      light = style.getPropertyValue('--chart-light').trim(),
      red = style.getPropertyValue('--level-error');
    c.width = width * dpr;
    c.height = SMALL * dpr;
    g.scale(dpr, dpr);
    const every = Math.max(1, Math.floor(spans.length / 1500)),
      high = Math.max(1, Math.min(3, SMALL / Math.max(1, spans.length)));
    for (let i = 0; i < spans.length; i += every) {
      const s = spans[i] as Span,
        a = scale.place(s.from) * width,
        b = scale.place(s.end) * width;
      g.fillStyle = trouble(s.row) === 'failed' ? red : `hsl(${hue(String(s.row.agent ?? s.row.name))} 50% ${light})`;
      g.fillRect(a, (i / spans.length) * (SMALL - high), Math.max(1, b - a), high);
    }
  }, [spans, scale, width, theme]);
  const at = (e: PointerEvent) => {
    const r = (e.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.max(0, Math.min(1, (e.clientX - r.left) / r.width));
  };
  const [a, b] = drag ? [Math.min(...drag), Math.max(...drag)] : zoom;
  return (
    <div
      class="small-trace"
      style={{ left: `${left}px`, width: `${width}px` }}
      title="Drag to zoom, double click for all"
      onPointerDown={(e) => {
        if (!timed || e.button) return;
        (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
        setDrag([at(e), at(e)]);
      }}
      onPointerMove={(e) => {
        if (drag) setDrag([drag[0], at(e)]);
      }}
      onPointerUp={() => {
        if (drag && Math.abs(drag[1] - drag[0]) * width > 4) onZoom([a, b]);
        setDrag(null);
      }}
    >
      <canvas ref={canvas} aria-hidden="true" />
      {(drag || b - a < 1) && <div class="frame" style={{ left: `${a * 100}%`, width: `${(b - a) * 100}%` }} />}
    </div>
  );
}

function Heat({ text, share }: { text: string; share: number }) {
  if (!text) return null;
  return (
    <span class="heatchip" style={{ '--heat': `${Math.round(Math.min(1, share) * 45)}%` }}>
      {text}
    </span>
  );
}

function Mark({ row }: { row: Row }) {
  if (row.link === 'orphan')
    return (
      <span class="mark" title="Its parent is not among the entries">
        ⤴
      </span>
    );
  if (row.state === 'running')
    return (
      <span class="mark live" title="Running">
        ●
      </span>
    );
  if (row.state === 'unknown_end')
    return (
      <span class="mark" title="Its end was never told">
        ?
      </span>
    );
  const bad = trouble(row);
  if (bad)
    return (
      <span class="mark bad" title={bad === 'failed' ? 'Failed' : 'An error in it'}>
        {bad === 'failed' ? '✕' : '!'}
      </span>
    );
  return null;
}

/** What the marks mean that occur. */
function Legend({ spans, gaps, zoomed, onAll }: { spans: Span[]; gaps: boolean; zoomed: boolean; onAll: () => void }) {
  const has = useMemo(
    () => ({
      critical: spans.some((s) => s.row.critical === true),
      error: spans.some((s) => trouble(s.row)),
      running: spans.some((s) => s.row.state === 'running'),
      lost: spans.some((s) => s.row.state === 'unknown_end'),
      orphan: spans.some((s) => s.row.link === 'orphan'),
      point: spans.some((s) => pointed(s.row)),
    }),
    [spans],
  );
  return (
    <div class="marks-legend small">
      {has.critical && (
        <span>
          <i class="k critical" /> critical path
        </span>
      )}
      {has.error && (
        <span>
          <i class="k error" /> error
        </span>
      )}
      {has.running && (
        <span>
          <i class="k hatched" /> running
        </span>
      )}
      {has.lost && (
        <span>
          <span class="mark">?</span> end never told
        </span>
      )}
      {has.orphan && (
        <span>
          <span class="mark">⤴</span> parent missing
        </span>
      )}
      {has.point && (
        <span>
          <i class="k point" /> a moment
        </span>
      )}
      {gaps && (
        <span>
          <i class="k gap" /> idle time left out
        </span>
      )}
      <span class="fill" />
      {zoomed ? (
        <button type="button" class="link" onClick={onAll}>
          Show all (0)
        </button>
      ) : (
        <span>drag above the bars to zoom</span>
      )}
    </div>
  );
}

function diamond(g: CanvasRenderingContext2D, x: number, y: number, colour: string): void {
  g.fillStyle = colour;
  g.beginPath();
  g.moveTo(x, y - 5);
  g.lineTo(x + 5, y);
  g.lineTo(x, y + 5);
  g.lineTo(x - 5, y);
  g.fill();
}

/** Time that was left out, torn at both sides. */
function torn(g: CanvasRenderingContext2D, a: number, b: number, from: number, height: number, paper: string, line: string): void {
  if (b < from) return;
  const side = (x: number) => {
    for (let y = 0; y <= height; y += 6) g.lineTo(x + ((y / 6) % 2 ? 3 : -3), y);
  };
  g.save();
  g.beginPath();
  g.rect(from, 0, 1e5, height);
  g.clip();
  g.globalAlpha = 0.8;
  g.fillStyle = paper;
  g.fillRect(a, 0, b - a, height);
  g.globalAlpha = 0.6;
  g.strokeStyle = line;
  for (const x of [a, b]) {
    g.beginPath();
    side(x);
    g.stroke();
  }
  g.restore();
}

/** A bar without an end yet. */
export function hatch(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, colour: string): void {
  g.save();
  const alpha = g.globalAlpha;
  g.globalAlpha = alpha / 4;
  g.fillRect(x, y, w, h);
  g.globalAlpha = alpha;
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
