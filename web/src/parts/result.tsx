/** What a query with pipes gives, as a table with a chart above it where that makes sense; and the patterns. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Answer, type Json, type Row, type Timeline, timeline } from '../api';
import { LEVELS, ago, bytes, count, duration, moment, visible } from '../format';
import { useLoad } from '../hooks';
import { patternTerm, pipesOf, toggle } from '../query';
import { route, setParams } from '../url';
import { Bars, Chart, seriesOfRows } from './chart';
import { Empty, Spark } from './common';
import { Table } from './table';

/** Whole entries, picked or sorted by pipes: they are shown as rows. */
export function entriesOf(a: Answer | undefined): Row[] | undefined {
  return a && !a.columns.length && a.rows.length && a.rows.every((r) => typeof r.id === 'string' && typeof r.timestamp === 'string')
    ? a.rows
    : undefined;
}

const columnsOf = (a: Answer) => (a.columns.length ? a.columns : Object.keys(a.rows[0] ?? {}));

/** Is there a chart of it, over time or of names, and is it what was asked for? */
function chartOf(q: string, a: Answer): { kind: 'time' | 'names'; usual: boolean } | undefined {
  const columns = columnsOf(a),
    pipes = pipesOf(q);
  const series = seriesOfRows(columns, a.rows);
  if (series.some((s) => s.points.size > 1)) return { kind: 'time', usual: /\btimeline\b|\btime\(/.test(pipes) };
  const numbers = columns.filter((c) => a.rows.some((r) => typeof r[c] === 'number'));
  return a.rows.length > 1 && numbers.length > 0 && numbers.length < columns.length ? { kind: 'names', usual: false } : undefined;
}

const chartShown = (usual: boolean) => (route.value.params.chart ? route.value.params.chart === 'yes' : usual);

export function Result({ q, data }: { q: string; data: Answer }) {
  if (!data.rows.length)
    return (
      <Empty title="No rows">
        <p>The query gives a table without rows.</p>
      </Empty>
    );
  const columns = columnsOf(data),
    chart = chartOf(q, data);
  return (
    <div class="tabular">
      <Warnings data={data} />
      {chart && chartShown(chart.usual) && (
        <div class={`above ${chart.kind}`}>
          {chart.kind === 'time' ? (
            <Chart columns={columns} rows={data.rows} bars={/\btimeline\b|count\(/.test(pipesOf(q))} label="The result over time" />
          ) : (
            <Bars columns={columns} rows={data.rows} label="The result as bars" />
          )}
        </div>
      )}
      <Table columns={columns} rows={data.rows} label="Result" show={timesOf(columns, data.rows)} />
    </div>
  );
}

/** Times as the charts show them: of this place. */
function timesOf(columns: string[], rows: Row[]) {
  const some = (c: string) => rows.map((r) => r[c]).filter((v) => v !== null && v !== undefined);
  const time = columns.filter((c) => some(c).length && some(c).every((v) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(String(v))));
  const show = (v: Json | undefined) => (v ? <time title={String(v)}>{moment(Date.parse(String(v)))}</time> : '');
  return Object.fromEntries(time.map((c) => [c, show]));
}

export function Warnings({ data }: { data: Answer }) {
  return (
    <>
      {data.warnings.map((w, i) => (
        <p key={i} class="warning">
          {visible(typeof w === 'string' ? w : w.message)}
        </p>
      ))}
    </>
  );
}

/** Whether there is a chart above the table. */
export function ChartToggle({ q, data }: { q: string; data: Answer | undefined }) {
  const chart = data && chartOf(q, data);
  if (!chart) return null;
  const shown = chartShown(chart.usual);
  return (
    <button
      type="button"
      aria-pressed={shown}
      title="A chart above the table"
      onClick={() => setParams({ chart: shown === chart.usual ? (shown ? 'no' : 'yes') : undefined }, true)}
    >
      Chart
    </button>
  );
}

/** What the answer cost. */
export function Spent({ answer }: { answer: Answer | undefined }) {
  if (!answer) return null;
  const c = answer.cost;
  return (
    <span class="dim small" title={`${count(c.rows_scanned)} rows looked at, ${c.blocks_pruned} of ${c.blocks_total} blocks ruled out`}>
      {duration(answer.elapsed_ms)}
      {c.bytes_read ? ` · ${bytes(c.bytes_read)} read` : ''}
      {answer.truncated ? ' · cut, add a limit for more' : ''}
      {answer.incomplete ? ' · incomplete' : ''}
    </span>
  );
}

/** Patterns are counted over all messages; how they came over time is looked up for those in sight, while that is
 *  cheap enough. */
const SPARKS_UP_TO = 500e3;

export function Patterns({ q, filter, data, hist }: { q: string; filter: string; data: Answer; hist: Timeline | undefined }) {
  if (!data.rows.length)
    return (
      <Empty title="No patterns">
        <p>No entry that was found has a message.</p>
      </Empty>
    );
  const most = Math.max(...data.rows.map((r) => Number(r.share)));
  const show: Record<string, (v: Json | undefined, row: Row) => preact.ComponentChildren> = {
    share: (v) => (
      <span class="part">
        <span class="track">
          <span style={{ width: `${(Number(v) / most) * 100}%` }} />
        </span>
        {Number(v).toFixed(1)} %
      </span>
    ),
    'over time': (_, row) =>
      hist && hist.total <= SPARKS_UP_TO ? <Trend filter={filter} pattern={String(row.pattern)} hist={hist} /> : '',
    pattern: (v) => (
      <span class="pattern" title={visible(String(v))}>
        {String(v)
          .split(/(<[a-z0-9_]+>)/)
          .map((part, i) => (i % 2 ? <i key={i}>{part}</i> : visible(part)))}
      </span>
    ),
    levels: (v) => <Levels levels={(v ?? {}) as Record<string, number>} />,
    last: (v) => <time title={String(v)}>{ago(String(v))}</time>,
  };
  return (
    <div class="tabular patterns">
      <Warnings data={data} />
      <Table
        columns={['count', 'share', 'over time', 'levels', 'pattern', 'last']}
        rows={data.rows}
        label="Patterns"
        show={show}
        wide="pattern"
        minor={['over time', 'levels', 'last']}
        onRow={(r) => setParams({ q: toggle(q, patternTerm(String(r.pattern))), view: undefined, open: undefined })}
      />
    </div>
  );
}

function Levels({ levels }: { levels: Record<string, number> }) {
  const here = LEVELS.filter((l) => levels[l]),
    sum = here.reduce((s, l) => s + (levels[l] as number), 0);
  const text = here.map((l) => `${l} ${count(levels[l] as number)}`).join(', ');
  return (
    <span class="levels" role="img" aria-label={text} title={text}>
      {here.map((l) => (
        <span key={l} style={{ width: `${((levels[l] as number) / sum) * 100}%`, background: `var(--level-${l})` }} />
      ))}
    </span>
  );
}

function Trend(shown: { filter: string; pattern: string; hist: Timeline }) {
  const box = useRef<HTMLSpanElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver((all) => {
      if (all.some((e) => e.isIntersecting)) setSeen(true);
    });
    if (box.current) watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  return (
    <span class="trend" ref={box}>
      {seen && <Line {...shown} />}
    </span>
  );
}

/** The time of the histogram, in half as many steps. */
function Line({ filter, pattern, hist }: { filter: string; pattern: string; hist: Timeline }) {
  const { start, end, step_ms: step } = hist;
  const { data } = useLoad(`trend ${JSON.stringify([filter, pattern, start, end])}`, (s) =>
    timeline(toggle(filter, patternTerm(pattern)), 'level', { start, end }, `${2 * step}ms`, s),
  );
  return data ? <Spark values={data.buckets.map((b) => b.count)} label={`${count(data.total)} over time`} /> : null;
}
