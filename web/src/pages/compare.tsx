/** Two sessions beside each other: what they took, and step by step what both did and what only one did. */
import { useMemo, useRef, useState } from 'preact/hooks';
import { type Row, get } from '../api';
import { count, duration, hue, money, plain, short, visible } from '../format';
import { useKeys, useLoad } from '../hooks';
import { Problem } from '../parts/common';
import { TurnView } from '../parts/talk';
import { type Pair, type Turn, align, turns } from '../turns';
import { now } from '../state';
import { go, href } from '../url';
import type { Session } from './sessions';

const FIGURES: [string, string, (n: number) => string][] = [
  ['took', 'duration_ms', duration],
  ['entries', 'entries', count],
  ['tool calls', 'tool_calls', count],
  ['errors', 'errors', count],
  ['tokens', 'tokens', short],
  ['cost', 'cost_usd', money],
];
const FIRST = 200,
  MOST = 2000;

const kindOf = (p: Pair) => (p.a && p.b ? (p.same ? 'same' : 'differs') : p.a ? 'left' : 'right');

export function Compare({ a, b }: { a: string; b: string }) {
  const load = (id: string) => (s: AbortSignal) => get<Session>(`/api/v1/sessions/${encodeURIComponent(id)}`, { limit: MOST }, s);
  const left = useLoad(`session ${a} ${now.value}`, load(a)),
    right = useLoad(`session ${b} ${now.value}`, load(b));
  const pairs = useMemo(
    () =>
      left.data && right.data ? align(turns(left.data.timeline, left.data.lineage), turns(right.data.timeline, right.data.lineage)) : [],
    [left.data, right.data],
  );
  const [only, setOnly] = useState(false);
  const [most, setMost] = useState(FIRST);
  const [turned, setTurned] = useState<Set<string>>(new Set());
  const box = useRef<HTMLDivElement>(null);
  const flip = (key: string) =>
    setTurned((s) => {
      const n = new Set(s);
      if (!n.delete(key)) n.add(key);
      return n;
    });
  const step = (by: number) => {
    const all = [...(box.current?.querySelectorAll<HTMLElement>('.pair:not(.same)') ?? [])],
      mid = (box.current?.getBoundingClientRect().top ?? 0) + 60;
    const place = (e: HTMLElement) => e.getBoundingClientRect().top;
    const to = by > 0 ? all.find((e) => place(e) > mid + 4) : all.reverse().find((e) => place(e) < mid - 4);
    if (to && box.current) box.current.scrollTop += place(to) - mid;
  };
  useKeys({ d: () => step(1), D: () => step(-1) });
  if (left.error || right.error) return <Problem error={left.error ?? right.error} />;
  if (!left.data || !right.data) return <p class="dim pad">…</p>;
  const shown = only ? pairs.filter((p) => kindOf(p) !== 'same') : pairs;
  const n = (kind: string) => pairs.filter((p) => kindOf(p) === kind).length;
  return (
    <div class="page beside">
      <header class="summary">
        <table class="differences" aria-label="Differences">
          <thead>
            <tr>
              <th />
              <Head id={a} row={left.data.summary} />
              <Head id={b} row={right.data.summary} />
              <th scope="col">Difference</th>
            </tr>
          </thead>
          <tbody>
            {FIGURES.map(([name, field, text]) => (
              <Figures key={name} name={name} a={left.data?.summary?.[field]} b={right.data?.summary?.[field]} text={text} />
            ))}
          </tbody>
        </table>
      </header>
      <div class="tools">
        <span>
          <b>{count(n('same'))}</b> the same
        </span>{' '}
        <span class="dim">·</span>{' '}
        <span>
          <b>{count(n('differs'))}</b> differ
        </span>{' '}
        <span class="dim">·</span>
        <span>
          <b>{count(n('left'))}</b> only left
        </span>{' '}
        <span class="dim">·</span>{' '}
        <span>
          <b>{count(n('right'))}</b> only right
        </span>
        {(left.data.more || right.data.more) && <span class="small">of the first {count(MOST)} entries of each</span>}
        <span class="fill" />
        <button type="button" aria-pressed={only} onClick={() => setOnly(!only)}>
          Only differences
        </button>
        <span class="steps">
          <button type="button" title="Difference before (D)" aria-label="Difference before" onClick={() => step(-1)}>
            ↑
          </button>
          <button type="button" title="Next difference (d)" aria-label="Next difference" onClick={() => step(1)}>
            ↓
          </button>
        </span>
        <button type="button" onClick={() => go('sessions', b, { with: a })}>
          Swap
        </button>
      </div>
      <div
        class="pairs"
        ref={box}
        onScroll={(e) => {
          const x = e.currentTarget as HTMLElement;
          if (x.scrollTop + x.clientHeight > x.scrollHeight - 1200 && most < shown.length) setMost(most + FIRST);
        }}
      >
        {shown.slice(0, most).map((p) => (
          <div key={`${p.a?.key} ${p.b?.key}`} class={`pair ${kindOf(p)}`}>
            <Half turn={p.a} side="left" turned={turned} onTurn={flip} />
            <Half turn={p.b} side="right" turned={turned} onTurn={flip} />
          </div>
        ))}
        {!shown.length && <p class="dim pad">{pairs.length ? 'No differences: both did the same.' : 'Nothing was said in either.'}</p>}
      </div>
    </div>
  );
}

function Half({ turn, side, turned, onTurn }: { turn?: Turn; side: string; turned: Set<string>; onTurn: (key: string) => void }) {
  if (!turn)
    return (
      <div class="half none">
        <span class="unseen">Not on the {side}</span>
      </div>
    );
  const key = `${side} ${turn.key}`;
  return (
    <div class="half">
      <div class="turn" style={{ '--depth': Math.min(turn.depth, 3), '--hue': hue(turn.who) }}>
        <TurnView turn={turn} turned={turned.has(key)} onTurn={() => onTurn(key)} />
      </div>
    </div>
  );
}

function Head({ id, row }: { id: string; row: Row }) {
  return (
    <th scope="col">
      <a href={href('sessions', id)} title={plain(row?.first_user)}>
        {visible(id)}
      </a>{' '}
      <span class="dim">{plain(row?.first_user).slice(0, 90)}</span>
    </th>
  );
}

function Figures({ name, a, b, text }: { name: string; a: unknown; b: unknown; text: (n: number) => string }) {
  const x = typeof a === 'number' ? a : 0,
    y = typeof b === 'number' ? b : 0,
    by = y - x;
  if (!x && !y && name !== 'errors') return null;
  const share = x && by ? ` (${by > 0 ? '+' : '−'}${Math.abs((by / x) * 100).toFixed(0)} %)` : '';
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{text(x)}</td>
      <td>{text(y)}</td>
      <td class={by ? (by > 0 ? 'more-of' : 'less-of') : 'dim'}>
        {by ? `${by > 0 ? '+' : '−'}${text(Math.abs(by))}${share}` : 'the same'}
      </td>
    </tr>
  );
}
