/** A lane for each agent under the pulse of all: calls as bars, running ones hatched, entries as marks, arcs where one
 *  agent gives work to another and gets it back. Follows the present until somebody drags, zooms or pauses. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ago, clock, count, duration, hue, visible } from '../format';
import { useKeys, useSize } from '../hooks';
import { colours } from '../state';
import type { Board, Lane } from './board';
import { within } from './board';
import { HEAD, HIGH, type Hit, LOW, paint } from './lanepaint';

export const SHORTEST = 5e3,
  LONGEST = 6 * 3600e3;
const QUIET = 5 * 60e3,
  FEW = 8;
const PART = 0.42; /* of the window, above lines */

export interface View {
  span: number; /* ms shown */
  at: number; /* where it ends; NaN: the present */
}

export function Lanes({
  board,
  version,
  view,
  still,
  focus,
  alone,
  rate,
  whole,
  last,
  onView,
  onFocus,
  onPick,
}: {
  board: Board;
  version: number;
  view: View;
  still: number; /* paused since, or NaN */
  focus: string;
  alone: boolean;
  rate: number;
  whole: boolean;
  last: number;
  /* when the newest line was */ onView: (v: View) => void;
  onFocus: (key: string) => void;
  onPick: (id: string) => void;
}) {
  const [box, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const hits = useRef<Hit[]>([]);
  const [quiet, setQuiet] = useState(false);
  const [tip, setTip] = useState<{ x: number; y: number; lines: string[] }>();
  const drag = useRef<{ x: number; view: View; pulse: boolean; far: boolean } | null>(null);
  const pointer = useRef({ x: -1, selected: null as [number, number] | null });
  void version;
  void colours.value;
  const end = () => (!isNaN(view.at) ? view.at : !isNaN(still) ? still : Date.now());
  const all = board.sorted(),
    to = end(),
    from = to - view.span;
  const chosen = focus ? board.lanes.get(focus) : undefined;
  const family = chosen ? all.filter((l) => (alone ? l === chosen : within(l, chosen))) : all;
  const asleep =
    chosen || family.length <= FEW
      ? []
      : family.filter((l) => !l.running && l.last < Math.min(from, board.by === 'session' ? to : to - QUIET));
  const lanes = quiet || !asleep.length ? family : family.filter((l) => !asleep.includes(l));
  const NAMES = size.width < 620 ? 118 : 190,
    room = whole ? size.height : innerHeight * PART;
  const LANE = Math.max(LOW, Math.min(HIGH, Math.floor((room - HEAD) / Math.max(1, lanes.length))));
  const height = HEAD + lanes.length * LANE,
    seen = Math.max(HEAD, Math.min(size.height, height));
  const scene = useRef({ lanes, lane: LANE, names: NAMES, view, end });
  scene.current = { lanes, lane: LANE, names: NAMES, view, end };

  useEffect(() => {
    let frame = 0,
      drawn = -Infinity,
      cost = 0; /* what takes long is drawn less often: the page stays at hand */
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const draw = (at: number) => {
      frame = requestAnimationFrame(draw);
      const c = canvas.current,
        e = box.current;
      if (!c || !e || !size.width || document.hidden || at - drawn < (calm ? 1000 : Math.max(50, cost * 10))) return;
      drawn = at;
      const s = scene.current,
        until = s.end(),
        began = performance.now();
      board.settle(Date.now());
      hits.current = paint(c, {
        board,
        lanes: s.lanes,
        lane: s.lane,
        names: s.names,
        from: until - s.view.span,
        to: until,
        now: Math.min(until, Date.now()),
        width: size.width,
        height: Math.max(HEAD, Math.min(size.height, HEAD + s.lanes.length * s.lane)),
        top: e.scrollTop,
        pointer: pointer.current.x,
        selected: pointer.current.selected,
      });
      cost = performance.now() - began;
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [size.width, size.height, board]);

  /* what is looked at stays where it is when lanes come above it */
  const anchor = useRef<{ key: string; off: number } | null>(null);
  useLayoutEffect(() => {
    const e = box.current,
      a = anchor.current,
      i = a ? lanes.findIndex((l) => l.key === a.key) : -1;
    if (e && a && i >= 0 && e.scrollTop > 0) e.scrollTop = i * LANE - a.off;
  }, [lanes.map((l) => l.key).join('\u0002')]);
  const scrolled = () => {
    const e = box.current,
      i = e ? Math.floor(e.scrollTop / LANE) : 0,
      lane = lanes[i];
    anchor.current = e && lane ? { key: lane.key, off: i * LANE - e.scrollTop } : null;
  };

  const width = Math.max(1, size.width - NAMES);
  const timeAt = (x: number) => end() - view.span + ((x - NAMES) / width) * view.span;
  const place = (e: MouseEvent): [number, number] => {
    const r = (box.current as HTMLElement).getBoundingClientRect();
    return [e.clientX - r.left, e.clientY - r.top];
  };
  const zoom = (by: number, at = end()) => {
    const span = Math.max(SHORTEST, Math.min(LONGEST, view.span * by)),
      share = (end() - at) / view.span;
    const to = at + share * span;
    onView({ span, at: isNaN(view.at) && (share < 0.02 || by > 1) ? NaN : to > Date.now() ? NaN : to });
  };
  const pan = (ms: number) => {
    const to = end() + ms;
    onView({ span: view.span, at: to >= Date.now() ? NaN : to });
  };
  const find = (x: number, y: number) => {
    let best: Hit | undefined;
    for (const h of hits.current)
      if (x >= h.x - 4 && x <= h.x + h.w + 4 && y >= h.y - 2 && y <= h.y + h.h + 2 && (!best || best.mark.kind === 'work' || h.w < best.w))
        best = h;
    return best;
  };
  const hover = (x: number, y: number) => {
    if (x < NAMES) return setTip(undefined);
    const t = timeAt(x);
    if (y < HEAD) {
      const slot = Math.floor(t / board.step) * board.step,
        b = board.beats.get(slot);
      return setTip(
        b && {
          x,
          y: HEAD,
          lines: [
            `${clock(new Date(slot).toISOString()).slice(0, 8)} · ${count(b.count)} entries${b.bad ? `, ${count(b.bad)} failed` : ''}`,
            ...[...b.by]
              .sort((p, q) => q[1] - p[1])
              .slice(0, 6)
              .map(([a, n]) => `${count(n)} ${visible(a)}`),
          ],
        },
      );
    }
    const h = find(x, y);
    return setTip(
      h && {
        x,
        y: y + 16,
        lines: [
          `${h.lane.agent}${h.lane.detail ? ' ' + h.lane.detail : ''} · ${h.mark.text}`,
          `${clock(new Date(h.mark.t).toISOString())}${isNaN(h.mark.end) ? ' · running' : h.mark.end > h.mark.t ? ' · ' + duration(h.mark.end - h.mark.t) : ''}${h.mark.level >= 2 ? ' · failed' : ''}`,
        ],
      },
    );
  };
  const down = (e: PointerEvent) => {
    const [x, y] = place(e);
    if (x < NAMES || e.button !== 0 || (e.target as Element).closest('button')) return;
    (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
    drag.current = { x, view: { span: view.span, at: end() }, pulse: y < HEAD, far: false };
  };
  const move = (e: PointerEvent) => {
    const [x, y] = place(e),
      d = drag.current;
    pointer.current.x = x;
    if (d && Math.abs(x - d.x) > 4) d.far = true;
    if (!d?.far) return hover(x, y);
    setTip(undefined);
    if (d.pulse) pointer.current.selected = [d.x, Math.max(NAMES, Math.min(size.width, x))];
    else {
      const to = d.view.at - ((x - d.x) / width) * d.view.span;
      onView({ span: d.view.span, at: to >= Date.now() ? NaN : to });
    }
  };
  const up = (e: PointerEvent) => {
    const d = drag.current,
      [x, y] = place(e),
      s = pointer.current.selected;
    drag.current = null;
    pointer.current.selected = null;
    if (!d) return;
    if (d.far && s) {
      const a = timeAt(Math.min(...s)),
        b = timeAt(Math.max(...s));
      onView({ span: Math.max(SHORTEST, b - a), at: Math.max(b, a + SHORTEST) });
    } else if (!d.far) {
      const h = y >= HEAD ? find(x, y) : undefined;
      if (h) onPick(h.mark.id);
    }
  };
  const wheel = (e: WheelEvent) => {
    const [x] = place(e);
    if (e.ctrlKey || e.altKey) {
      e.preventDefault();
      zoom(e.deltaY > 0 ? 1.25 : 0.8, Math.max(end() - view.span, Math.min(end(), timeAt(x))));
    } else if (e.deltaX || e.shiftKey) {
      e.preventDefault();
      pan(((e.deltaX || e.deltaY) / width) * view.span);
    }
  };
  useEffect(() => {
    /* only a listener that is not passive may keep the browser from zooming the page */
    const e = box.current;
    e?.addEventListener('wheel', wheel, { passive: false });
    return () => e?.removeEventListener('wheel', wheel);
  });
  useKeys({
    '+': () => zoom(0.5),
    '=': () => zoom(0.5),
    '-': () => zoom(2),
    0: () => onView({ span: 60e3, at: NaN }),
    ArrowLeft: () => pan(-view.span / 4),
    ArrowRight: () => pan(view.span / 4),
  });
  const active = family.filter((l) => l.last >= from).length;
  return (
    <div
      class={whole ? 'lanes whole' : 'lanes'}
      ref={box}
      onScroll={scrolled}
      onPointerDown={down}
      onPointerMove={move}
      onPointerUp={up}
      onPointerLeave={() => {
        pointer.current.x = -1;
        setTip(undefined);
      }}
      onDblClick={(e) => {
        if (place(e)[0] > NAMES) onView({ span: 60e3, at: NaN });
      }}
    >
      <div class="lanebox" style={{ height: `${height}px` }}>
        <canvas
          ref={canvas}
          style={{ height: `${seen}px`, marginBottom: `-${seen}px` }}
          role="img"
          aria-label={`${lanes.length} agents, ${duration(view.span)} ${isNaN(view.at) ? 'until now' : `until ${clock(new Date(view.at).toISOString())}`}`}
        />
        <div class="pulsehead" style={{ width: `${NAMES}px`, height: `${HEAD}px` }}>
          <b>
            {count(active)} {board.by === 'session' ? 'lane' : 'agent'}
            {active === 1 ? '' : 's'}
          </b>{' '}
          <span class="dim">{count(rate)}/s</span>
          <small>
            {count(sum(family, 'tools'))} tools ·{' '}
            <span class={sum(family, 'errors') ? 'badnumber' : ''}>{count(sum(family, 'errors'))} errors</span>
          </small>
          {asleep.length > 0 && (
            <button type="button" class="link" aria-pressed={quiet} onClick={() => setQuiet(!quiet)}>
              {quiet ? 'hide' : 'show'} {asleep.length} quiet
            </button>
          )}
          {board.more > 0 && (
            <span class="dim" title={`No more than ${board.lanes.size} lanes are kept; the ones quiet for longest went`}>
              {count(board.more)} more
            </span>
          )}
        </div>
        {!active && last > 0 && (last < from || last > to) && (
          <button
            type="button"
            class="nothing"
            style={{ left: `${NAMES + 16}px` }}
            onClick={() => onView({ span: view.span, at: last + view.span / 10 })}
          >
            Nothing here; the last was {ago(new Date(last).toISOString())}. Show it
          </button>
        )}
        {lanes.map((l, i) => (
          <div
            key={l.key}
            class={`lane ${l.running ? 'running' : ''}`}
            data-agent={l.agent}
            style={{ transform: `translateY(${HEAD + i * LANE}px)`, height: `${LANE}px`, width: `${NAMES}px` }}
          >
            <button
              type="button"
              style={{ paddingLeft: `${6 + l.depth * 12}px` }}
              aria-pressed={focus === l.key}
              title={about(l, focus === l.key)}
              onClick={() => onFocus(focus === l.key ? '' : l.key)}
            >
              <span class="dot" style={{ background: `hsl(${hue(l.agent)} 55% var(--chart-light))` }} />
              <b>{l.agent}</b> {l.detail && l.detail !== l.parent?.detail && <span class="dim">{l.detail}</span>}
              <small>
                {count(l.count)} · {count(l.tools)} {l.tools === 1 ? 'tool' : 'tools'}
                {l.errors ? <span class="badnumber"> · {count(l.errors)} err</span> : null}
              </small>
            </button>
          </div>
        ))}
      </div>
      {tip && (
        <div class="tip" style={{ left: `${Math.min(size.width - 240, tip.x + 12)}px`, top: `${tip.y + (box.current?.scrollTop ?? 0)}px` }}>
          {tip.lines.map((t, i) => (i ? <div key={i}>{t}</div> : <strong key={i}>{t}</strong>))}
        </div>
      )}
    </div>
  );
}

function sum(lanes: Lane[], what: 'tools' | 'errors'): number {
  return lanes.reduce((n, l) => n + l[what], 0);
}

function about(l: Lane, on: boolean): string {
  const gap = l.count > 1 ? (l.last - l.first) / (l.count - 1) : 0;
  return (
    `${on ? 'Back to all agents' : 'Follow this one and those it started'}\n${l.agent}${l.detail ? ' ' + l.detail : ''}: ${count(l.count)} entries` +
    `${gap ? `, one each ${duration(gap)}` : ''}${l.model ? `, ${visible(l.model)}` : ''}${l.parent ? `\nstarted by ${l.parent.agent}` : ''}`
  );
}
