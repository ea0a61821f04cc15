/** A session as people read it: prompts on the right, answers under the name of who gave them, agents that were
 *  started further in, tool calls folded to a line. The strip above has all of it, a column a turn. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Row } from '../api';
import { clock, count, duration, hue, money, plain, short, visible } from '../format';
import { useKeys, useSize } from '../hooks';
import { colours } from '../state';
import { type Call, type Hand, type Note, type Said, type Turn, inputOf, outputOf, turns, wordsOf, wrong } from '../turns';
import { href, route, setParams } from '../url';
import { Marked } from './marked';
import { Text, Value, essence } from './said';

const FIRST = 150;
const GAP_MS = 10e3;

export function Talk({ rows, lineage = [], lead }: { rows: Row[]; lineage?: Row[]; lead?: preact.ComponentChildren }) {
  const all = useMemo(() => turns(rows, lineage), [rows, lineage]);
  const [most, setMost] = useState(FIRST);
  const [at, setAt] = useState(-1); /* the turn that was stepped to */
  const [typed, setTyped] = useState('');
  const [turned, setTurned] = useState<Set<string>>(new Set()); /* opened, or folded when they stood open */
  const box = useRef<HTMLDivElement>(null),
    wanted = useRef(-1);
  const find = typed.trim().toLowerCase();
  const hits = useMemo(() => (find ? all.flatMap((t, i) => (wordsOf(t).toLowerCase().includes(find) ? [i] : [])) : []), [all, find]);
  const found = useMemo(() => new Set(hits), [hits]);
  const errors = useMemo(() => all.flatMap((t, i) => (wrong(t) ? [i] : [])), [all]);
  const seek = (i: number, mark = true) => {
    if (!all[i]) return;
    wanted.current = i;
    setMost((m) => Math.max(m, i + 30));
    setAt(mark ? i : -1);
    if (mark) setParams({ turn: all[i]?.key }, true);
  };
  useEffect(() => {
    /* a link leads to a turn */
    const i = all.findIndex((t) => t.key === route.value.params.turn);
    if (at < 0 && i >= 0) seek(i);
  }, [all.length > 0]);
  useLayoutEffect(() => {
    if (wanted.current < 0) return;
    box.current?.querySelector(`[data-turn="${wanted.current}"]`)?.scrollIntoView({ block: 'center' });
    wanted.current = -1;
  });
  const toward = (list: number[], by: number) => {
    const from = at < 0 ? seen(box.current)[0] - (by > 0 ? 1 : 0) : at;
    const to = by > 0 ? list.find((i) => i > from) : [...list].reverse().find((i) => i < from);
    seek(to ?? (by > 0 ? list[0] : list[list.length - 1]) ?? -1);
  };
  const flip = (key: string) =>
    setTurned((s) => {
      const n = new Set(s);
      if (!n.delete(key)) n.add(key);
      return n;
    });
  useKeys({
    j: () => seek(Math.min(all.length - 1, at < 0 ? seen(box.current)[0] : at + 1)),
    k: () => seek(Math.max(0, at - 1)),
    e: () => toward(errors, 1),
    E: () => toward(errors, -1),
    Enter: () => {
      if (all[at]) flip((all[at] as Turn).key);
    },
    Escape: () => {
      setAt(-1);
      setParams({ turn: undefined }, true);
    },
  });
  return (
    <>
      <div class="tools">
        {lead}
        <span class="fill" />
        <input
          id="q"
          type="search"
          placeholder="Search in it (/)"
          aria-label="Search in the conversation"
          value={typed}
          onInput={(e) => {
            const text = (e.currentTarget as HTMLInputElement).value,
              low = text.trim().toLowerCase();
            setTyped(text);
            if (low) seek(all.findIndex((t) => wordsOf(t).toLowerCase().includes(low)));
          }}
          onKeyDown={(e) => {
            if (e.key === 'Enter' && hits.length) toward(hits, e.shiftKey ? -1 : 1);
            else if (e.key === 'Escape') {
              setTyped('');
              (e.currentTarget as HTMLInputElement).blur();
            } else return;
            e.preventDefault();
          }}
        />
        {find && (
          <span class="small" role="status">
            {hits.length ? `${hits.indexOf(at) < 0 ? '' : `${count(hits.indexOf(at) + 1)} of `}${count(hits.length)}` : 'nothing'}
          </span>
        )}
        {errors.length > 0 && (
          <span class="steps">
            <span class="chip bad">
              {count(errors.length)} {errors.length > 1 ? 'errors' : 'error'}
            </span>
            <button type="button" title="Error before (E)" aria-label="Error before" onClick={() => toward(errors, -1)}>
              ↑
            </button>
            <button type="button" title="Next error (e)" aria-label="Next error" onClick={() => toward(errors, 1)}>
              ↓
            </button>
          </span>
        )}
      </div>
      <Strip all={all} hits={hits} box={box} onPick={(i) => seek(i, false)} />
      <div
        class="talk"
        ref={box}
        onScroll={(e) => {
          const b = e.currentTarget as HTMLElement;
          if (b.scrollTop + b.clientHeight > b.scrollHeight - 1200 && most < all.length) setMost(most + FIRST);
        }}
      >
        {all.slice(0, most).map((t, i) => (
          <OneTurn
            key={t.key}
            turn={t}
            before={all[i - 1]}
            i={i}
            on={i === at}
            find={find}
            turned={turned.has(t.key)}
            onTurn={() => flip(t.key)}
            hit={find !== '' && found.has(i)}
          />
        ))}
        {all.length > most && (
          <button type="button" class="more" onClick={() => setMost(most + FIRST)}>
            {count(all.length - most)} more
          </button>
        )}
        {!all.length && <p class="dim">Nothing was said.</p>}
      </div>
    </>
  );
}

/** The first and last turn in sight. */
function seen(box: HTMLElement | null): [number, number] {
  const list = box ? [...box.querySelectorAll<HTMLElement>('[data-turn]')] : [];
  const top = box?.getBoundingClientRect().top ?? 0,
    bottom = top + (box?.clientHeight ?? 0);
  const reach = (y: number) => {
    let a = 0,
      b = list.length;
    while (a < b) {
      const m = (a + b) >> 1;
      if ((list[m] as HTMLElement).getBoundingClientRect().bottom > y) b = m;
      else a = m + 1;
    }
    return Math.min(list.length - 1, a);
  };
  return [Math.max(0, reach(top)), Math.max(0, reach(bottom))];
}

function Strip({
  all,
  hits,
  box,
  onPick,
}: {
  all: Turn[];
  hits: number[];
  box: preact.RefObject<HTMLDivElement>;
  onPick: (i: number) => void;
}) {
  const [ref, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null),
    frame = useRef<HTMLDivElement>(null);
  void colours.value;
  useEffect(() => {
    const c = canvas.current,
      g = c?.getContext('2d');
    if (!c || !g || !size.width) return;
    const dpr = devicePixelRatio || 1,
      style = getComputedStyle(c),
      h = 28,
      w = size.width / all.length;
    c.width = size.width * dpr;
    c.height = h * dpr;
    g.scale(dpr, dpr);
    const light = style.getPropertyValue('--chart-light').trim(),
      found = new Set(hits);
    all.forEach((t, i) => {
      const bad = wrong(t),
        tall = t.kind === 'said' ? (t.role === 'user' ? 1 : t.role === 'agent' ? 0.75 : 0.4) : t.kind === 'call' ? 0.45 : 0.2;
      g.fillStyle = bad
        ? style.getPropertyValue('--level-error')
        : t.kind === 'said' && t.role === 'user'
          ? style.getPropertyValue('--accent')
          : t.kind === 'note'
            ? style.getPropertyValue('--faint')
            : `hsl(${hue(t.who)} 50% ${light})`;
      g.fillRect(i * w, h - tall * (h - 6), Math.max(1, w > 3 ? w - 1 : w), tall * (h - 6));
      if (found.has(i)) {
        g.fillStyle = style.getPropertyValue('--level-warn');
        g.fillRect(i * w, 0, Math.max(2, w - 1), 3);
      }
    });
  });
  useEffect(() => {
    const b = box.current;
    if (!b || !all.length) return undefined;
    const place = () => {
      const [a, z] = seen(b),
        f = frame.current;
      if (!f) return;
      f.style.left = `${(a / all.length) * 100}%`;
      f.style.width = `${((z - a + 1) / all.length) * 100}%`;
    };
    place();
    b.addEventListener('scroll', place, { passive: true });
    return () => b.removeEventListener('scroll', place);
  }, [all, size.width]);
  const pick = (e: PointerEvent) => {
    const r = (e.currentTarget as HTMLElement).getBoundingClientRect();
    onPick(Math.max(0, Math.min(all.length - 1, Math.floor(((e.clientX - r.left) / r.width) * all.length))));
  };
  return (
    <div
      class="strip"
      ref={ref}
      aria-hidden="true"
      hidden={all.length < 12}
      onPointerDown={(e) => {
        (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
        pick(e);
      }}
      onPointerMove={(e) => {
        if (e.buttons) pick(e);
        const strip = e.currentTarget as HTMLElement,
          r = strip.getBoundingClientRect();
        const t = all[Math.floor(((e.clientX - r.left) / r.width) * all.length)];
        if (t) strip.title = `${plain(t.who)}: ${plain(t.kind === 'call' ? `${t.name} ${essence(inputOf(t))}` : t.text).slice(0, 160)}`;
      }}
    >
      <canvas ref={canvas} />
      <div class="frame" ref={frame} />
    </div>
  );
}

function OneTurn({
  turn: t,
  before,
  i,
  on,
  find,
  hit,
  turned,
  onTurn,
}: {
  turn: Turn;
  before?: Turn;
  i: number;
  on: boolean;
  find: string;
  hit: boolean;
  turned: boolean;
  onTurn: () => void;
}) {
  const gap = before ? t.at - Math.max(before.at, before.end) : 0;
  return (
    <>
      {t.run !== undefined && (
        <div class="newrun">
          <span>Trace {t.run}</span> <time title={String(t.row.timestamp)}>{clock(String(t.row.timestamp))}</time>
          <a href={href('traces', String(t.row.trace_id))}>waterfall</a>
        </div>
      )}
      {gap >= GAP_MS && t.run === undefined && <div class="pause">{duration(gap)} later</div>}
      <div
        data-turn={i}
        class={`turn ${on ? 'on' : ''} ${t.depth ? 'inner' : ''}`}
        style={{ '--depth': Math.min(t.depth, 6), '--hue': hue(t.who) }}
      >
        <TurnView turn={t} find={hit ? find : ''} turned={turned} onTurn={onTurn} />
      </div>
    </>
  );
}

/** One turn by itself. */
export function TurnView({ turn: t, find = '', turned, onTurn }: { turn: Turn; find?: string; turned: boolean; onTurn: () => void }) {
  if (t.kind === 'said') return <Bubble t={t} find={find} turned={turned} onTurn={onTurn} />;
  if (t.kind === 'call') return <Tool t={t} find={find} turned={turned} onTurn={onTurn} />;
  return t.kind === 'hand' ? <Handed t={t} /> : <Aside t={t} find={find} />;
}

function Spent({ row }: { row: Row }) {
  const n = (name: string) => Number(row[`tokens.${name}`] ?? 0),
    input = n('input') + n('cache_read') + n('cache_write'),
    output = n('output');
  return (
    <span class="spent">
      {typeof row.duration_ms === 'number' && row.duration_ms > 0 && <span>{duration(row.duration_ms)}</span>}
      {input + output > 0 && (
        <span title={`${count(n('input'))} in, ${count(n('cache_read'))} of the cache, ${count(output)} out`}>
          {short(input)} → {short(output)} tokens
        </span>
      )}
      {typeof row.cost_usd === 'number' && <span>{money(row.cost_usd)}</span>}
    </span>
  );
}

function Bubble({ t, find, turned, onTurn }: { t: Said; find: string; turned: boolean; onTurn: () => void }) {
  if (t.role === 'system' || t.role === 'thinking') {
    return (
      <div class="quiet">
        <button type="button" class="link" aria-expanded={turned || find !== ''} onClick={onTurn}>
          {turned ? '▾' : '▸'} {t.role === 'system' ? 'System prompt' : `${plain(t.who)} thinks`}{' '}
          <span class="dim">{count(t.text.length)} characters</span>
        </button>
        {turned || find ? (
          <Text text={t.text} find={find} />
        ) : (
          t.role === 'thinking' && <span class="dim first"> {plain(t.text.slice(0, 160))}</span>
        )}
      </div>
    );
  }
  const mine = t.role === 'user';
  return (
    <article class={`said ${t.role} ${wrong(t) ? 'bad' : ''}`}>
      <header>
        <b>{mine ? 'user' : plain(t.who)}</b>
        {t.row.model && <span class="chip">{plain(t.row.model)}</span>}
        <span class="fill" />
        <Spent row={t.row} />
        {mine && t.row.agent && t.row.agent !== 'user' && <span class="dim">to {plain(t.row.agent)}</span>}
        <a class="when" href={href('entry', String(t.row.id))} title={`${String(t.row.timestamp)}: the entry`}>
          <time>{clock(String(t.row.timestamp)).slice(0, 8)}</time>
        </a>
      </header>
      {t.asked && (
        <p class="asked">
          {turned || find ? <Marked text={visible(t.asked)} sought={find} /> : plain(t.asked.slice(0, 160))}
          {t.asked.length > 160 && (
            <button type="button" class="more" aria-expanded={turned} onClick={onTurn}>
              {turned ? 'less' : 'all of it'}
            </button>
          )}
        </p>
      )}
      <Text text={t.text} find={find} />
    </article>
  );
}

function Tool({ t, find, turned, onTurn }: { t: Call; find: string; turned: boolean; onTurn: () => void }) {
  const open = find !== '' || (t.state === 'bad') !== turned;
  const ms = t.result?.duration_ms ?? t.call?.duration_ms,
    input = inputOf(t);
  return (
    <div class={`toolcall ${t.state}`}>
      <button type="button" aria-expanded={open} onClick={onTurn}>
        <span class="outcome" title={t.state === 'bad' ? 'Failed' : t.state === 'open' ? 'No result' : 'Done'}>
          {t.state === 'bad' ? '✕' : t.state === 'open' ? '…' : '✓'}
        </span>
        <b>{plain(t.name)}</b> <code>{plain(essence(input).slice(0, 200))}</code>
        <span class="fill" />
        {t.state === 'bad' && <span class="chip bad">failed</span>}
        {t.state === 'open' && <span class="dim">no result</span>}
        {t.depth > 0 && <span class="by">{plain(t.who)}</span>}
        {typeof ms === 'number' && <span class="dim">{duration(ms)}</span>}
        <span class="fold" aria-hidden="true">
          {open ? '▾' : '▸'}
        </span>
      </button>
      {open && (
        <div class="inout">
          <div>
            <h4>input</h4>
            <Value value={input} find={find} />
          </div>
          <div>
            <h4>{t.state === 'bad' ? 'error' : 'output'}</h4>
            <Value value={outputOf(t)} find={find} />
            {t.state === 'bad' && t.result?.output && t.result.message && t.result.message !== t.result.output && (
              <p class="badnumber">{visible(String(t.result.message))}</p>
            )}
          </div>
        </div>
      )}
    </div>
  );
}

function Handed({ t }: { t: Hand }) {
  const who = <b>{plain(t.who)}</b>;
  const ms = typeof t.row.duration_ms === 'number' ? t.row.duration_ms : 0;
  return (
    <p class={`handed ${t.bad ? 'bad' : ''}`}>
      {t.way === 'start' ? (
        <>
          {t.by ? (
            <>
              <b style={{ '--hue': hue(t.by) }}>{plain(t.by)}</b> started {who}
            </>
          ) : (
            <>{who} began</>
          )}
        </>
      ) : t.way === 'return' ? (
        <>
          {who}{' '}
          {t.bad ? (
            'failed'
          ) : t.by ? (
            <>
              returned to <b style={{ '--hue': hue(t.by) }}>{plain(t.by)}</b>
            </>
          ) : (
            'finished'
          )}
        </>
      ) : (
        who
      )}
      {ms > 0 && t.way !== 'run' && <span class="dim"> after {duration(ms)}</span>}
      {t.text && <span class="dim">: {plain(t.text.slice(0, 300))}</span>}
      {ms > 0 && t.way === 'run' && <span class="dim"> · {duration(ms)}</span>}
    </p>
  );
}

/** What is neither said nor a tool call: a line, all of it on demand. */
function Aside({ t, find }: { t: Note; find: string }) {
  const [whole, setWhole] = useState(false);
  const text = t.text || t.event;
  const long = text.length > 200 && !find;
  return (
    <p class={`aside ${String(t.row.level)}`}>
      <b>{plain(t.who)}</b> {t.text && t.event && <span class="chip">{plain(t.event)}</span>}{' '}
      {whole || find ? (
        <span class="text">
          <Marked text={visible(text)} sought={find} />
        </span>
      ) : (
        plain(text.slice(0, 200))
      )}
      {t.times > 1 && <span class="dim"> ×{count(t.times)}</span>}
      {long && (
        <button type="button" class="more" onClick={() => setWhole(!whole)}>
          {whole ? 'less' : `… ${count(text.length - 200)} more`}
        </button>
      )}
    </p>
  );
}
