/** Rows of a result of any length: only those in sight are elements. Pages are fetched as they come into
 *  sight and forgotten when there are too many; the newest first page is asked for first. */
import { useEffect, useLayoutEffect, useMemo, useState } from 'preact/hooks';
import { ApiError, type Range, type Row, aborted, query } from '../api';
import { inputOf, outputOf } from '../events';
import { clock, own, plain, visible } from '../format';
import { useSize } from '../hooks';
import { nameSteps } from '../query';
import { copy, density, wrap } from '../state';
import { type Column, Header, columnsText, gridOf, leftOf } from './columns';
import { Level } from './common';
import { Heights } from './heights';
import { Icon } from './icon';
import { Marked } from './marked';
import { essence } from './said';

const PAGE = 200,
  PAGES_KEPT = 60,
  TALLEST = 30e6,
  HEAD = 28,
  SHOWN = 1500;

/** A result that is read in pages, by place. */
export class Pages {
  private pages = new Map<number, Row[]>();
  private asked = new Map<number, AbortController>();
  error: ApiError | undefined;
  ended = Infinity; /* rows there are, once a page came short */

  constructor(
    readonly q: string,
    readonly range: Range & { order?: string },
    private readonly changed: () => void,
    rows?: Row[],
  ) {
    if (!rows) return;
    this.ended = rows.length; /* all of it is there */
    for (let i = 0; i < rows.length; i += PAGE) this.pages.set(i / PAGE, rows.slice(i, i + PAGE));
  }

  get(i: number): Row | undefined {
    return this.pages.get(Math.floor(i / PAGE))?.[i % PAGE];
  }

  /** Where the entry is among those that are there, or -1. */
  find(id: string): number {
    for (const [p, rows] of this.pages) {
      const i = rows.findIndex((r) => r.id === id);
      if (i >= 0) return p * PAGE + i;
    }
    return -1;
  }

  want(from: number, to: number): void {
    const first = Math.floor(from / PAGE),
      last = Math.floor(Math.max(from, to - 1) / PAGE);
    for (const [p, control] of this.asked)
      if (p < first - 1 || p > last + 1) {
        control.abort();
        this.asked.delete(p);
      }
    for (let p = first; p <= last; p++) this.ask(p);
  }

  private ask(p: number): void {
    if (this.pages.has(p) || this.asked.has(p) || p * PAGE >= this.ended) return;
    const control = new AbortController();
    this.asked.set(p, control);
    query(this.q, { ...this.range, offset: p * PAGE, limit: PAGE }, control.signal).then(
      (a) => {
        this.asked.delete(p);
        this.pages.set(p, a.rows);
        if (a.rows.length < PAGE) this.ended = Math.min(this.ended, p * PAGE + a.rows.length);
        for (const old of this.pages.keys()) {
          if (this.pages.size <= PAGES_KEPT) break;
          if (Math.abs(old - p) > 2) this.pages.delete(old);
        }
        this.changed();
      },
      (e: unknown) => {
        this.asked.delete(p);
        if (aborted(e)) return;
        this.error = e instanceof ApiError ? e : new ApiError(String(e), 0);
        this.changed();
      },
    );
  }

  close(): void {
    for (const c of this.asked.values()) c.abort();
    this.asked.clear();
  }
}

export function cell(row: Row, name: string): unknown {
  if (Object.hasOwn(row, name)) return row[name];
  const exact = nameSteps(name);
  return inside(row.attributes, exact ?? name.replace(/^attributes\./, '').split('.'), !exact);
}

/** What is at these keys, of which some may be one with dots; of an array what is there in its elements. */
function inside(at: unknown, keys: string[], dotted: boolean): unknown {
  if (!keys.length || at === undefined || at === null) return at;
  if (Array.isArray(at)) {
    const all = at.flatMap((v) => inside(v, keys, dotted) ?? []);
    return all.length ? all : undefined;
  }
  for (let n = 1; typeof at === 'object' && n <= (dotted ? keys.length : 1); n++) {
    const found = inside(own(at as Row, keys.slice(0, n).join('.')), keys.slice(n), dotted);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A line for an entry: its message, else what happened, with which tool, on what, and what came of it. Of a long
 *  one no line shows all. */
export function summary(row: Row, wrapped = false): string {
  if (typeof row.message === 'string' && row.message) return (wrapped ? visible : plain)(row.message.slice(0, SHOWN));
  const output = outputOf(row) ?? null;
  return [
    [row.event ?? row.operation, row.tool, row.status].map(plain).filter(Boolean).join(' · '),
    plain(essence(inputOf(row))).slice(0, 300),
    output !== null && '→ ' + plain(output).slice(0, 300),
  ]
    .filter(Boolean)
    .join('  ');
}

const CELLS: Record<string, string> = { message: 'c-message', timestamp: 'c-time' };

export function Rows({
  pages,
  total,
  columns,
  onColumns,
  selected,
  onOpen,
  sought,
  oldest,
  onOldest,
}: {
  pages: Pages;
  total: number;
  columns: Column[];
  onColumns: (c: Column[]) => void;
  sought: RegExp | undefined;
  selected: number;
  onOpen: (i: number) => void;
  oldest: boolean;
  onOldest: ((oldest: boolean) => void) | undefined;
}) {
  const [box, size] = useSize<HTMLDivElement>();
  const [top, setTop] = useState(0);
  const roomy = density.value === 'comfortable',
    line = roomy ? 30 : 22;
  const n = Math.min(total, pages.ended),
    wrapped = wrap.value === 'on';
  /* what is too tall for a browser is scrolled by parts, in rows that are all the same */
  const alike = !wrapped || n * line > TALLEST,
    height = line + (wrapped && alike ? 3 * 17 : 0);
  const heights = useMemo(() => new Heights(height), [pages, height, wrapped, size.width, columnsText(columns)]);
  const full = heights.top(n),
    shownHeight = Math.min(full, TALLEST);
  const view = Math.max(0, size.height - HEAD);
  const scale = full > TALLEST ? (full - view) / Math.max(1, TALLEST - view) : 1;
  const first = heights.at(top * scale, n);
  const held = Math.ceil(view / height) + 18,
    from = Math.max(0, first - 8),
    to = Math.min(n, from + held);
  const [, remeasured] = useState(0);
  const [over, setOver] = useState(-1); /* only there the buttons are: rows are made by the hundred */
  useEffect(() => {
    pages.want(from, to);
  }, [pages, from, to]);
  useEffect(() => {
    const e = box.current;
    if (!e || selected < 0) return;
    const y = heights.top(selected) / scale,
      h = heights.of(selected);
    if (y < e.scrollTop) e.scrollTop = y;
    else if (y + h > e.scrollTop + view) e.scrollTop = y + h - view;
  }, [selected]);
  useEffect(() => {
    if (box.current) box.current.scrollTop = 0;
  }, [pages]);
  useLayoutEffect(() => {
    /* wrapped rows are as tall as their text: known once they are there */
    if (alike || !box.current) return;
    let above = 0,
      some = 0;
    for (const e of box.current.querySelectorAll<HTMLElement>('.row:not(.loading)')) {
      const i = Number(e.getAttribute('aria-rowindex')) - 1,
        grew = heights.set(i, e.offsetHeight);
      some += Math.abs(grew);
      if (i < first) above += grew;
    }
    if (above) box.current.scrollTop += above; /* what is being read stays where it is */
    if (some) remeasured((x) => x + 1);
  });

  const ends = [pages.get(0), pages.get(n - 1)].map((r) => r?.timestamp).filter((t) => typeof t === 'string');
  const withDay = useMemo(() => {
    const today = new Date().toDateString();
    return ends.some((t) => new Date(t as string).toDateString() !== today);
  }, [pages, ...ends]);
  const grid = gridOf(columns, withDay);
  const inSight: number[] = [];
  for (let i = from; i < to; i++) inSight.push(i);
  return (
    <div
      class={`rows ${roomy ? 'roomy' : ''}`}
      ref={box}
      tabIndex={0}
      role="grid"
      aria-label="Entries"
      aria-rowcount={n}
      onScroll={(e) => setTop((e.currentTarget as HTMLElement).scrollTop)}
    >
      <Header columns={columns} grid={grid} onColumns={onColumns} oldest={oldest} onOldest={onOldest} withDay={withDay} />
      <div class="space" style={{ height: `${shownHeight}px`, minWidth: `${grid.least}px` }}>
        {inSight.map((i) => {
          const row = pages.get(i);
          const y = scale === 1 ? heights.top(i) : top + (i * height - top * scale);
          return (
            <div
              key={i % held}
              role="row"
              aria-rowindex={i + 1}
              aria-selected={i === selected}
              class={`row ${row ? String(row.level) : 'loading'} ${i === selected ? 'on' : ''} ${wrapped ? 'wrap' : ''}${alike ? '' : ' own'}`}
              style={{
                transform: `translateY(${y}px)`,
                height: alike || !row ? `${height}px` : undefined,
                gridTemplateColumns: grid.template,
              }}
              onPointerEnter={() => setOver(i)}
              onClick={() => {
                if (!getSelection()?.toString()) onOpen(i); /* else a text is being selected */
              }}
            >
              {columns.map((c, k) => (
                <span
                  key={c.name}
                  role="gridcell"
                  class={`${own(CELLS, c.name) ?? 'c-x'} ${c.pinned ? 'pinned' : ''}`}
                  style={c.pinned ? { left: `${leftOf(columns, k, withDay)}px` } : undefined}
                >
                  {row ? <Cell row={row} name={c.name} withDay={withDay} wrapped={wrapped} sought={sought} /> : ''}
                </span>
              ))}
              {row && i === over && (
                <span role="gridcell" class="acts">
                  <button
                    type="button"
                    tabIndex={-1}
                    title="Copy as JSON (c)"
                    aria-label="Copy the entry as JSON"
                    onClick={(e) => {
                      e.stopPropagation();
                      copyRow(row);
                    }}
                  >
                    <Icon name="copy" />
                  </button>
                </span>
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

export function copyRow(row: Row): void {
  void copy(JSON.stringify(row, null, 2), 'entry copied as JSON');
}

function Cell({
  row,
  name,
  withDay,
  wrapped,
  sought,
}: {
  row: Row;
  name: string;
  withDay: boolean;
  wrapped: boolean;
  sought: RegExp | undefined;
}) {
  if (name === 'timestamp') return <time title={String(row.timestamp)}>{clock(String(row.timestamp), withDay)}</time>;
  if (name === 'level') return <Level level={String(row.level)} />;
  if (name === 'message') return <Marked text={summary(row, wrapped)} sought={sought} />;
  const v = cell(row, name);
  const text = name === 'input' || name === 'output';
  if (typeof v === 'string') return <Marked text={plain(v.slice(0, SHOWN))} sought={text ? sought : undefined} />;
  return <>{plain(v as never)}</>;
}
