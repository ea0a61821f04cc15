/** Live: entries as they become durable, as lanes of agents and as lines. Scrolling away or a click pauses; what
 *  comes meanwhile is counted and waits. The server's count of what was too fast for this page is shown. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, type Row, aborted, get, query, timeline } from '../api';
import { clock, count, hue, plain, visible } from '../format';
import { useKeys } from '../hooks';
import { Level, Problem, Tabs } from '../parts/common';
import { Detail } from '../parts/detail';
import { Board, type By, WANTED, laneKey, slim, within } from '../parts/board';
import { LONGEST, Lanes, SHORTEST, type View } from '../parts/lanes';
import { QueryBar } from '../parts/querybar';
import { summary } from '../parts/rows';
import { term, toggle } from '../query';
import { note, q } from '../state';
import { iso } from '../time';
import { route, setParams } from '../url';
import { Welcome } from './explore';

const ROWS = 2000,
  HISTORY = 200,
  MARKS = 5000,
  RECENT = 20000,
  FAST = 300;
const AHEAD = 60e3; /* ms that senders' clocks may be fast; what claims to be later is not on the lanes */
const OFTEN = 80,
  CALM = 700; /* ms between two drawings of the lines; without a word of skipped ones */
const SPANS: [string, string][] = [
  ['60', '1 min'],
  ['180', '3 min'],
  ['300', '5 min'],
  ['900', '15 min'],
];
type Shown = 'both' | 'lanes' | 'lines';

export function Live() {
  const { params } = route.value;
  const text = q.value,
    shown = (params.view as Shown) || 'both',
    by: By = params.by === 'session' ? 'session' : 'agent';
  const [moving, setMoving] = useState<View>(); /* until the address says so */
  const view: View = moving ?? {
    span: Math.max(SHORTEST, Math.min(LONGEST, (Number(params.span) || 60) * 1000)),
    at: Number(params.at) || NaN,
  };
  const focus = params.lane ?? '',
    alone = params.alone === '1';
  const [rows, setRows] = useState<Row[]>([]);
  const [state, setState] = useState('connecting');
  const [error, setError] = useState<ApiError>();
  const [paused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState(0);
  const [dropped, setDropped] = useState(0);
  const [rate, setRate] = useState(0);
  const [picked, setPicked] = useState<Row>();
  const [any, setAny] = useState(false);
  const [version, setVersion] = useState(0);
  const [partly, setPartly] = useState('');
  const [started, setStarted] = useState(0); /* the connection that the lanes' past is asked for */
  const step = Math.max(250, Math.round(view.span / 60)); /* of the pulse, ms */
  const board = useRef(new Board(by, step));
  const recent = useRef<Row[]>([]); /* slim; what came since the past was asked for lies behind `last` */
  const last = useRef(0);
  const cleared = useRef(0);
  const hold = useRef<Row[]>([]);
  const stopped = useRef(NaN);
  const list = useRef<HTMLDivElement>(null);
  const reached = useRef(0);
  const told = useRef(0);
  const drawn = useRef(new WeakMap<Row, preact.JSX.Element>());
  if (!paused) stopped.current = NaN;
  else if (isNaN(stopped.current)) stopped.current = Date.now();

  useEffect(() => {
    const control = new AbortController();
    let source: EventSource | undefined,
      due = 0,
      behind = 0,
      flushed = -OFTEN,
      seen = 0,
      came = 0,
      incoming: Row[] = [];
    board.current = new Board(by, step);
    recent.current = [];
    setRows([]);
    setError(undefined);
    setState('connecting');
    hold.current = [];
    setWaiting(0);
    setDropped(0);
    const flush = () => {
      due = 0;
      flushed = performance.now();
      const batch = incoming,
        n = came;
      incoming = [];
      came = 0;
      if (n) setAny(true);
      setVersion((v) => v + 1);
      if (!isNaN(stopped.current)) {
        hold.current = [...hold.current, ...batch].slice(-ROWS);
        setWaiting((old) => old + n);
      } else setRows((old) => joined(old, batch));
    };
    const put = (r: Row) => {
      came++;
      incoming.push(r);
      if (incoming.length > ROWS) incoming.shift();
      if (!due) due = window.setTimeout(flush, document.hidden ? 500 : Math.max(0, OFTEN - (performance.now() - flushed)));
    };
    const tell = (r: Row) => {
      const s = slim(r);
      seen++;
      last.current = Math.max(last.current, Number(r.seq));
      recent.current.push(s);
      if (recent.current.length > RECENT) recent.current.splice(0, RECENT / 4);
      board.current.add(s);
      beat(board.current, s);
      put(r);
    };
    const follow = (after: number) => {
      source = new EventSource(`/api/v1/tail?q=${encodeURIComponent(text || '*')}&from=${after}`);
      source.onopen = () => setState('live');
      source.onmessage = (e) => tell(JSON.parse(e.data as string) as Row);
      source.addEventListener('dropped', (e) => {
        setDropped((n) => n + Number((JSON.parse((e as MessageEvent<string>).data) as { dropped: number }).dropped));
        clearTimeout(behind);
        behind = window.setTimeout(catchUp, CALM);
      });
      source.onerror = () => {
        setState('reconnecting');
        if (source?.readyState === EventSource.CLOSED)
          window.setTimeout(() => {
            if (!control.signal.aborted) begin();
          }, 2000);
      };
    };
    /* what was skipped last is what a person looks for when it is calm again */
    const catchUp = () => {
      query(text || '*', { limit: HISTORY }, control.signal).then(
        (a) => {
          last.current = Math.max(last.current, a.watermark);
          setRows((old) => (isNaN(stopped.current) ? joined(old, a.rows.reverse()) : old));
          setStarted((n) => n + 1);
        },
        () => undefined,
      ); /* the tail goes on as it is */
    };
    const begin = () => {
      query(text || '*', { limit: HISTORY }, control.signal).then(
        (a) => {
          for (const r of a.rows.reverse()) put(r);
          last.current = a.watermark;
          setStarted((n) => n + 1);
          follow(a.watermark);
        },
        (e: unknown) => {
          if (control.signal.aborted) return;
          setError(e instanceof ApiError ? e : new ApiError(String(e), 0));
          setState('stopped');
        },
      );
    };
    begin();
    let before = 0;
    const timer = setInterval(() => {
      setRate(Math.max(0, seen - before));
      before = seen;
    }, 1000);
    return () => {
      control.abort();
      source?.close();
      clearInterval(timer);
      clearTimeout(due);
      clearTimeout(behind);
    };
  }, [text]);

  /* what the lanes show of the time before: asked again for another window, behind which the tail goes on */
  useEffect(() => {
    if (!started || shown === 'lines') return undefined;
    const control = new AbortController(),
      until = last.current;
    const timer = setTimeout(() => {
      const to = isNaN(view.at) ? Date.now() : view.at,
        only = `${text.trim() ? `(${text}\n) ` : ''}seq>${cleared.current} seq<=${until}`;
      const range = { start: iso(to - view.span * 1.25), end: iso(to + (isNaN(view.at) ? AHEAD : 0)) };
      Promise.all([
        query(`${only} | eval short = substr(message, 1, 80) | fields ${WANTED}`, { limit: MARKS, ...range }, control.signal),
        timeline(only, 'agent', range, `${step}ms`, control.signal),
        timeline(`${only} level>=error`, 'agent', range, `${step}ms`, control.signal),
      ]).then(
        ([a, beats, bad]) => {
          const b = new Board(by, step),
            had = new Set(a.rows.map((r) => r.seq));
          const rest = recent.current.filter((r) => !had.has(r.seq ?? 0)); /* lanes stay while one looks back */
          for (const r of [...a.rows, ...rest].sort((x, y) => Number(x.seq) - Number(y.seq))) b.add(r);
          for (const [i, t] of beats.buckets.entries()) {
            for (const [agent, n] of Object.entries(t.by)) b.beat(Date.parse(t.time), agent, n, 0);
            if (bad.buckets[i]?.count) b.beat(Date.parse(t.time), '', 0, bad.buckets[i].count);
          }
          for (const r of rest) if (Number(r.seq) > until) beat(b, r);
          board.current = b;
          setPartly(beats.total > a.count ? `lanes show the newest ${count(a.count)} of ${count(beats.total)}` : '');
          setVersion((v) => v + 1);
        },
        (e: unknown) => {
          if (!aborted(e)) setPartly(e instanceof Error ? e.message : String(e));
        },
      );
    }, 120);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [started, by, view.span, view.at, shown === 'lines']);
  const newest = () => {
    const e = list.current;
    if (!e || !isNaN(stopped.current)) return;
    e.scrollTop = e.scrollHeight;
    reached.current = e.scrollTop;
  };
  useEffect(newest, [rows, paused]);
  useEffect(() => {
    /* lanes come and go above it */
    const watch = new ResizeObserver(newest);
    if (list.current) watch.observe(list.current);
    return () => watch.disconnect();
  }, [shown, any]);
  const resume = () => {
    const held = hold.current;
    setRows((old) => joined(old, held));
    hold.current = [];
    setWaiting(0);
    setPaused(false);
  };
  const open = (r: Row) => {
    setPicked(r);
    setPaused(true);
  };
  const go = (by: number) => {
    const i = picked ? lines.findIndex((r) => r.seq === picked.seq) : lines.length,
      next = lines[i + by];
    if (next) open(next);
  };
  const pick = (id: string) => {
    const r = rows.find((one) => one.id === id);
    if (r) open(r);
    else
      get<Row>(`/api/v1/entries/${encodeURIComponent(id)}`).then(open, (e: unknown) =>
        note(e instanceof Error ? e.message : String(e), true),
      );
  };
  const look = (v: View) => {
    setMoving(v);
    clearTimeout(told.current);
    told.current = window.setTimeout(() => {
      setParams(
        { span: v.span === 60e3 ? undefined : String(Math.round(v.span) / 1000), at: isNaN(v.at) ? undefined : String(Math.round(v.at)) },
        true,
      );
      setMoving(undefined);
    }, 200);
  };
  const clear = () => {
    cleared.current = last.current;
    recent.current = [];
    hold.current = [];
    board.current = new Board(by, step);
    setRows([]);
    setWaiting(0);
    setPartly('');
    setVersion((v) => v + 1);
  };
  const chosen = focus ? board.current.lanes.get(focus) : undefined;
  const lines = chosen
    ? rows.filter((r) => {
        const l = board.current.lanes.get(laneKey(r, by));
        return l === chosen || (!alone && l && within(l, chosen));
      })
    : rows;
  const line = (r: Row, on: boolean) => {
    let v = on ? undefined : drawn.current.get(r); /* the same as before is passed over when the lines are compared */
    if (!v)
      v = (
        <div key={String(r.seq)} class={`line ${String(r.level)} ${on ? 'on' : ''}`} onClick={() => open(r)}>
          <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} />{' '}
          <b style={{ color: `hsl(${hue(String(r.agent ?? 'unknown'))} 50% var(--name-light))` }}>{plain(r.agent)}</b>{' '}
          {summary(r).slice(0, 500)}
        </div>
      );
    if (!on) drawn.current.set(r, v);
    return v;
  };
  useKeys({
    ' ': () => (paused ? resume() : setPaused(true)),
    Escape: () => (picked ? setPicked(undefined) : setParams({ lane: undefined, alone: undefined }, true)),
    j: () => go(1),
    k: () => go(-1),
  });
  return (
    <div class="page live">
      <div class="top">
        <QueryBar value={text} error={error} busy={state === 'connecting'} onRun={(to) => setParams({ q: to })} />
      </div>
      <div class="tools">
        <span class={`state ${state}`} role="status">
          {state}
        </span>
        <span class={rate > FAST ? 'badnumber' : 'dim'}>
          {count(rate)} entries/s{rate > FAST ? ': only the latest are kept on the page' : ''}
        </span>
        {dropped > 0 && <span class="badnumber">{count(dropped)} skipped: this page was too slow</span>}
        {partly && shown !== 'lines' && <span class="dim">{visible(partly)}</span>}
        {chosen && (
          <span class="following">
            following <b>{chosen.agent}</b> {chosen.detail && <span class="dim">{chosen.detail}</span>}
            <button type="button" aria-pressed={!alone} onClick={() => setParams({ alone: alone ? undefined : '1' }, true)}>
              with sub-agents
            </button>
            <button
              type="button"
              aria-label="All agents"
              title="All agents (Esc)"
              onClick={() => setParams({ lane: undefined, alone: undefined }, true)}
            >
              ×
            </button>
          </span>
        )}
        <span class="fill" />
        {!isNaN(view.at) && (
          <button type="button" class="now" title="Back to the present (0)" onClick={() => look({ span: view.span, at: NaN })}>
            Back to now
          </button>
        )}
        <Tabs<Shown>
          label="Views"
          value={shown}
          onPick={(v) => setParams({ view: v === 'both' ? undefined : v }, true)}
          options={[
            ['both', 'Both'],
            ['lanes', 'Lanes'],
            ['lines', 'Lines'],
          ]}
        />
        {shown !== 'lines' && (
          <>
            <Tabs<string>
              label="Time shown"
              value={String(view.span / 1000)}
              onPick={(v) => look({ span: Number(v) * 1000, at: view.at })}
              options={SPANS}
            />
            <label class="small">
              lanes by{' '}
              <select
                value={by}
                onChange={(e) => setParams({ by: e.currentTarget.value === 'session' ? 'session' : undefined, lane: undefined }, true)}
              >
                <option value="agent">agent</option>
                <option value="session">session</option>
              </select>
            </label>
          </>
        )}
        <button type="button" aria-pressed={paused} onClick={() => (paused ? resume() : setPaused(true))}>
          {paused ? 'Resume' : 'Pause'}
        </button>
        <button type="button" onClick={clear}>
          Clear
        </button>
      </div>
      <Problem error={error} />
      {state === 'live' && !any && !text ? (
        <Welcome />
      ) : (
        <div class="below column">
          {shown !== 'lines' && (
            <Lanes
              board={board.current}
              version={version}
              view={view}
              still={stopped.current}
              focus={focus}
              alone={alone}
              rate={rate}
              whole={shown === 'lanes'}
              last={newestOf(rows)}
              onView={look}
              onPick={pick}
              onFocus={(key) => setParams({ lane: key || undefined, alone: undefined }, true)}
            />
          )}
          {(shown !== 'lanes' || picked) && (
            <div class="across">
              {shown !== 'lanes' && (
                <div
                  class="tail"
                  ref={list}
                  tabIndex={0}
                  aria-label="Entries"
                  role="log"
                  aria-live="off"
                  onScroll={(e) => {
                    const el = e.currentTarget as HTMLElement;
                    const up = el.scrollTop < reached.current; /* new lines move the end away, only a person goes up */
                    reached.current = el.scrollTop;
                    if (!paused && up && el.scrollHeight - el.scrollTop - el.clientHeight > 120) setPaused(true);
                  }}
                >
                  {lines.slice(-500).map((r) => line(r, picked?.seq === r.seq))}
                </div>
              )}
              {picked && (
                <Detail
                  row={picked}
                  onClose={() => setPicked(undefined)}
                  onStep={(n) => go(-n)}
                  actions={{
                    include: (path, value) => setParams({ q: toggle(text, term(path, value)) }),
                    exclude: (path, value) => setParams({ q: toggle(text, term(path, value), true) }),
                  }}
                />
              )}
            </div>
          )}
          {waiting > 0 && (
            <button type="button" class="pill" onClick={resume}>
              +{count(waiting)} new {visible('↓')}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

/** In the order they were stored, each once, the latest ones. */
function joined(old: Row[], more: Row[]): Row[] {
  if (!old.length || !more.length || Number(more[0]?.seq) > Number(old[old.length - 1]?.seq)) return [...old, ...more].slice(-ROWS);
  return [...new Map([...old, ...more].map((r) => [Number(r.seq), r])).values()].sort((a, b) => Number(a.seq) - Number(b.seq)).slice(-ROWS);
}

/** When the latest of them was, of those that are not of the future. */
function newestOf(rows: Row[]): number {
  for (let i = rows.length - 1, now = Date.now() + AHEAD; i >= 0; i--) {
    const t = Date.parse(String(rows[i]?.timestamp));
    if (t <= now) return t;
  }
  return 0;
}

function beat(board: Board, r: Row): void {
  const t = Date.parse(String(r.timestamp));
  if (!isNaN(t)) board.beat(t, plain(r.agent) || 'unknown', 1, r.level === 'error' || r.level === 'critical' ? 1 : 0);
}
