/** One panel: its query asked in the range of the page and shown as its type says. */
import { type Answer, type Json, type Row, query } from '../api';
import { bytes, clock, count, duration, moment, money, plain, short } from '../format';
import { useLoad } from '../hooks';
import { filterEnd, filterOf } from '../query';
import { now, range } from '../state';
import { iso, stepOf } from '../time';
import { href } from '../url';
import { Bars, Chart, Heat, timeColumn } from './chart';
import { Level, Problem } from './common';
import { summary } from './rows';
import { Table } from './table';
import { setRange } from './timepicker';

export const TYPES = ['line', 'bar', 'table', 'number', 'heatmap', 'logs'] as const;
export type Type = (typeof TYPES)[number];

export interface Panel {
  title: string;
  type: Type;
  q: string;
  w?: number; /* of 12 */
  h?: number; /* rows of 60 pixels */
  options?: {
    x?: string;
    y?: string | string[];
    by?: string;
    columns?: string[];
    unit?: string;
    stack?: boolean;
    log?: boolean;
    min?: number;
    max?: number;
  };
}

const STEP = /\btime\((\d+)(ms|s|m|h|d)\)/;
const SIZES: Record<string, number> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** A step of time is written for one range; in another that would make few points of it, or far too many, the panel
 *  takes one that fits and says so. */
export function stepped(q: string, ms: number): { q: string; step: string } {
  const cut = filterEnd(q),
    m = STEP.exec(q.slice(cut));
  if (!m || !(ms > 0)) return { q, step: m ? `${m[1]}${m[2]}` : '' };
  const size = Number(m[1]) * (SIZES[m[2] as string] as number),
    n = ms / size;
  if (n >= 20 && n <= 500) return { q, step: `${m[1]}${m[2]}` };
  const fits = stepOf(ms, 80, 1e3);
  const unit = ['d', 'h', 'm', 's'].find((u) => fits % (SIZES[u] as number) === 0) as string;
  const step = `${fits / (SIZES[unit] as number)}${unit}`;
  return { q: q.slice(0, cut) + q.slice(cut).replace(STEP, `time(${step})`), step };
}

/** The length of the range; `data` is where the entries begin and end, for a range that is open. */
export function spanOf(data: { first: number; last: number } | undefined): number {
  const { start, end } = range.value,
    to = end ? Date.parse(end) : now.value;
  if (start) return to - Date.parse(start);
  return data ? data.last - data.first : 0;
}

export function Shown({ panel, ms, onLoad }: { panel: Panel; ms: number; onLoad?: (a: Answer) => void }) {
  const { q } = stepped(panel.q, ms);
  const { data, error, loading } = useLoad(`panel ${JSON.stringify([q, panel.type, range.value])}`, (s) =>
    query(q, { ...range.value, limit: panel.type === 'logs' ? 100 : 5000 }, s).then((a) => {
      onLoad?.(a);
      return a;
    }),
  );
  if (error && (error.status || !data)) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  return (
    <div class="shown" aria-busy={loading}>
      <Figure panel={panel} data={data} />
    </div>
  );
}

/** The columns that the panel's options ask for, or all. */
function columnsOf(panel: Panel, data: Answer): string[] {
  const all = data.columns.length ? data.columns : data.rows[0] ? Object.keys(data.rows[0]) : [];
  const o = panel.options ?? {};
  const wanted = panel.type === 'table' ? (o.columns ?? []) : [o.x, o.by, ...ysOf(panel)].filter((c): c is string => !!c);
  const there = wanted.filter((c) => all.includes(c));
  return o.y === undefined && panel.type !== 'table' ? all : there.length ? there : all;
}

function ysOf(panel: Panel): string[] {
  const y = panel.options?.y;
  return Array.isArray(y) ? y : y ? [y] : [];
}

function unitOf(panel: Panel): (n: number) => string {
  switch (panel.options?.unit) {
    case 'ms':
      return duration;
    case 'usd':
      return money;
    case 'bytes':
      return bytes;
    case 'percent':
      return (n) => n.toFixed(1) + ' %';
    case undefined:
      return short;
    default:
      return (n) => `${short(n)} ${panel.options?.unit}`;
  }
}

/** Why there is nothing: the field that the filter asks for, or the figure that no entry has. */
function Nothing({ panel, missing = [] }: { panel: Panel; missing?: string[] }) {
  const asked = [...filterOf(panel.q).matchAll(/(?:^|[\s(])([\w.]+):\*/g)].map((m) => m[1] as string);
  const cost = panel.options?.unit === 'usd' || missing.some((c) => /cost/.test(c));
  return (
    <p class="why dim">
      {cost ? (
        'No entry here has a cost.'
      ) : missing.length ? (
        <>
          No entry here has{' '}
          <code>
            {missing
              .slice(0, 3)
              .map((c) => plain(c))
              .join(', ')}
          </code>
          .
        </>
      ) : asked.length ? (
        <>
          No entry here has{' '}
          <code>
            {asked
              .slice(0, 3)
              .map((c) => plain(c))
              .join(', ')}
          </code>
          .
        </>
      ) : (
        'Nothing matches in this range.'
      )}
      {cost && (
        <small>
          It comes from <code>cost_usd</code>, or from <code>model</code> with its tokens and a price.
        </small>
      )}
    </p>
  );
}

const zoom = (from: number, to: number) => setRange(iso(from), iso(to));

function Figure({ panel, data }: { panel: Panel; data: Answer }) {
  const columns = columnsOf(panel, data),
    unit = unitOf(panel),
    o = panel.options ?? {};
  if (!data.rows.length) return <Nothing panel={panel} />;
  const numbers = columns.filter((c) => data.rows.some((r) => typeof r[c] === 'number'));
  if (panel.type !== 'table' && panel.type !== 'logs' && !numbers.length)
    return <Nothing panel={panel} missing={ysOf(panel).length ? ysOf(panel) : columns} />;
  switch (panel.type) {
    case 'line':
      return <Chart columns={columns} rows={data.rows} bars={false} log={o.log} label={panel.title} unit={unit} onRange={zoom} />;
    case 'bar':
      return timeColumn(columns, data.rows) ? (
        <Chart columns={columns} rows={data.rows} bars label={panel.title} unit={unit} onRange={zoom} />
      ) : (
        <Bars columns={columns} rows={data.rows} by={o.by} label={panel.title} unit={unit} />
      );
    case 'heatmap':
      return <Heat columns={columns} rows={data.rows} label={panel.title} />;
    case 'number':
      return (
        <div class="bignumbers">
          {numbers.slice(0, 4).map((c) => (
            <div key={c}>
              <b title={count(Number(data.rows[0]?.[c]))}>{unit(Number(data.rows[0]?.[c]))}</b>
              {c.toLowerCase() !== panel.title.toLowerCase() && numbers.length > 1 && <span class="dim">{plain(c)}</span>}
            </div>
          ))}
        </div>
      );
    case 'logs':
      return (
        <div class="tail">
          {data.rows.map((r) => (
            <a key={String(r.seq)} class={`line ${String(r.level)}`} href={href('entry', String(r.id))}>
              <time title={String(r.timestamp)}>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} />{' '}
              <b>{plain(r.agent)}</b>{' '}
              {typeof r.duration_ms === 'number' && o.columns?.includes('duration_ms') && <em>{duration(r.duration_ms)}</em>}{' '}
              {summary(r).slice(0, 300)}
            </a>
          ))}
        </div>
      );
    default:
      return <Table label={panel.title} columns={columns} rows={data.rows} show={cells(panel, columns, data.rows, unit)} />;
  }
}

type Cell = (v: Json | undefined, row: Row) => preact.ComponentChildren;

/** How the cells of a table panel look: times as such, the figures in their unit, agents as links. */
function cells(panel: Panel, columns: string[], rows: Row[], unit: (n: number) => string): Record<string, Cell> {
  const out: Record<string, Cell> = {};
  for (const c of columns) {
    if (ysOf(panel).includes(c)) out[c] = (v) => (typeof v === 'number' ? <>{unit(v)}</> : undefined);
    else if (c === 'share') out[c] = (v) => (typeof v === 'number' ? <>{(v * 100).toFixed(1)} %</> : undefined);
    else if (c === 'agent') out[c] = (v) => (typeof v === 'string' ? <a href={href('agents', v)}>{plain(v)}</a> : undefined);
    else if (timeColumn([c], rows)) out[c] = (v) => (v ? <time title={String(v)}>{moment(Date.parse(String(v)))}</time> : undefined);
  }
  return out;
}
