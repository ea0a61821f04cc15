/** Live: entries as they become durable, as lanes of agents and as lines. Scrolling away or a click pauses; what
 *  comes meanwhile is counted and waits. The server's count of what was too fast for this page is shown. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, type Row, query } from '../api';
import { clock, count, plain, visible } from '../format';
import { useKeys } from '../hooks';
import { Level, Problem, Tabs } from '../parts/common';
import { Detail } from '../parts/detail';
import { Board, Lanes } from '../parts/lanes';
import { QueryBar } from '../parts/querybar';
import { summary } from '../parts/rows';
import { term, toggle } from '../query';
import { q } from '../state';
import { route, setParams } from '../url';
import { Welcome } from './explore';

const ROWS = 2000, HISTORY = 200, FAST = 300, OFTEN = 80; /* ms between two drawings of the lines */
type View = 'both' | 'lanes' | 'lines';

export function Live() {
  const text = q.value, view = (route.value.params.view as View) || 'both';
  const span = Number(route.value.params.span) || 60;
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
  const board = useRef(new Board());
  const hold = useRef<Row[]>([]);
  const stopped = useRef(false);
  const list = useRef<HTMLDivElement>(null);
  const reached = useRef(0);
  stopped.current = paused;

  useEffect(() => {
    const control = new AbortController();
    let source: EventSource | undefined, due = 0, flushed = -OFTEN, seen = 0, came = 0, incoming: Row[] = [];
    board.current = new Board();
    setRows([]);
    setError(undefined);
    setState('connecting');
    hold.current = [];
    setWaiting(0);
    setDropped(0);
    const flush = () => {
      due = 0;
      flushed = performance.now();
      const batch = incoming, n = came;
      incoming = [];
      came = 0;
      if (n) setAny(true);
      for (const r of batch) board.current.add(r);
      setVersion((v) => v + 1);
      if (stopped.current) {
        hold.current = [...hold.current, ...batch].slice(-ROWS);
        setWaiting((old) => old + n);
      } else setRows((old) => [...old, ...batch].slice(-ROWS));
    };
    const put = (r: Row) => {
      seen++;
      came++;
      incoming.push(r);
      if (incoming.length > ROWS) incoming.shift();
      if (!due) due = window.setTimeout(flush, document.hidden ? 500 : Math.max(0, OFTEN - (performance.now() - flushed)));
    };
    const follow = (after: number) => {
      source = new EventSource(`/api/v1/tail?q=${encodeURIComponent(text || '*')}&from=${after}`);
      source.onopen = () => setState('live');
      source.onmessage = (e) => put(JSON.parse(e.data as string) as Row);
      source.addEventListener('dropped', (e) => {
        setDropped((n) => n + Number((JSON.parse((e as MessageEvent<string>).data) as { dropped: number }).dropped));
      });
      source.onerror = () => {
        setState('reconnecting');
        if (source?.readyState === EventSource.CLOSED) window.setTimeout(() => { if (!control.signal.aborted) begin(); }, 2000);
      };
    };
    const begin = () => {
      query(text || '*', { limit: HISTORY }, control.signal).then((a) => {
        for (const r of a.rows.reverse()) put(r);
        follow(a.watermark);
      }, (e: unknown) => {
        if (control.signal.aborted) return;
        setError(e instanceof ApiError ? e : new ApiError(String(e), 0));
        setState('stopped');
      });
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
    };
  }, [text]);
  useEffect(() => {
    const e = list.current;
    if (!e || paused) return;
    e.scrollTop = e.scrollHeight;
    reached.current = e.scrollTop;
  }, [rows, paused]);
  const resume = () => {
    setRows((old) => [...old, ...hold.current].slice(-ROWS));
    hold.current = [];
    setWaiting(0);
    setPaused(false);
  };
  const open = (r: Row) => {
    setPicked(r);
    setPaused(true);
  };
  const step = (by: number) => {
    const i = picked ? rows.findIndex((r) => r.seq === picked.seq) : rows.length, next = rows[i + by];
    if (next) open(next);
  };
  useKeys({
    ' ': () => (paused ? resume() : setPaused(true)), Escape: () => setPicked(undefined),
    j: () => step(1), k: () => step(-1),
  });
  return (
    <div class="page live">
      <div class="top">
        <QueryBar value={text} error={error} busy={state === 'connecting'} onRun={(to) => setParams({ q: to })} />
      </div>
      <div class="tools">
        <span class={`state ${state}`} role="status">{state}</span>
        <span class={rate > FAST ? 'badnumber' : 'dim'}>{count(rate)} entries/s{rate > FAST ? ': only the latest are kept on the page' : ''}</span>
        {dropped > 0 && <span class="badnumber">{count(dropped)} skipped: this page was too slow</span>}
        <span class="fill" />
        <Tabs<View> label="Views" value={view} onPick={(v) => setParams({ view: v === 'both' ? undefined : v }, true)}
                    options={[['both', 'Both'], ['lanes', 'Lanes'], ['lines', 'Lines']]} />
        <Tabs<string> label="Time shown" value={String(span)} onPick={(v) => setParams({ span: v === '60' ? undefined : v }, true)}
                      options={[['60', '1 min'], ['180', '3 min'], ['300', '5 min'], ['900', '15 min']]} />
        <button type="button" aria-pressed={paused} onClick={() => (paused ? resume() : setPaused(true))}>{paused ? 'Resume' : 'Pause'}</button>
        <button type="button" onClick={() => { setRows([]); hold.current = []; setWaiting(0); board.current = new Board(); setVersion((v) => v + 1); }}>Clear</button>
      </div>
      <Problem error={error} />
      {state === 'live' && !any && !text ? <Welcome /> : (
        <div class="below column">
          {view !== 'lines' && <Lanes board={board.current} version={version} span={span * 1000} paused={paused} onPick={open} />}
          <div class="across">
            {view !== 'lanes' && (
              <div class="tail" ref={list} tabIndex={0} aria-label="Entries" role="log" aria-live="off" onScroll={(e) => {
                const el = e.currentTarget as HTMLElement;
                const up = el.scrollTop < reached.current; /* new lines move the end away, only a person goes up */
                reached.current = el.scrollTop;
                if (!paused && up && el.scrollHeight - el.scrollTop - el.clientHeight > 120) setPaused(true);
              }}>
                {rows.slice(-500).map((r) => (
                  <div key={String(r.seq)} class={`line ${String(r.level)} ${picked?.seq === r.seq ? 'on' : ''}`} onClick={() => open(r)}>
                    <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} /> <b>{plain(r.agent)}</b> {summary(r).slice(0, 500)}
                  </div>
                ))}
              </div>
            )}
            {picked && <Detail row={picked} onClose={() => setPicked(undefined)} onStep={(by) => step(-by)} actions={{
              include: (path, value) => setParams({ q: toggle(text, term(path, value)) }),
              exclude: (path, value) => setParams({ q: toggle(text, term(path, value), true) }),
            }} />}
          </div>
          {waiting > 0 && <button type="button" class="pill" onClick={resume}>+{count(waiting)} new {visible('↓')}</button>}
        </div>
      )}
    </div>
  );
}
