/** Rows of a result of any length: only those in sight are elements. Pages are fetched as they come into
 *  sight and forgotten when there are too many; the newest first page is asked for first. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, type Range, type Row, aborted, query } from '../api';
import { clock, own, plain } from '../format';
import { useSize } from '../hooks';
import { nameSteps } from '../query';
import { Level } from './common';

const PAGE = 200, PAGES_KEPT = 60, TALLEST = 30e6;

export interface Column {
  name: string;
  width: number; /* pixels; 0: what is left */
}

export const DEFAULT_COLUMNS: Column[] = [{ name: 'timestamp', width: 150 }, { name: 'level', width: 64 },
  { name: 'agent', width: 130 }, { name: 'message', width: 0 }];

export function columnsFrom(text: string | undefined): Column[] {
  if (!text) return DEFAULT_COLUMNS;
  return text.split('!').filter(Boolean).map((part) => {
    const m = /^(.*?)(?:~(\d+))?$/.exec(part) as RegExpExecArray;
    const name = (m[1] as string).replace(/%(21|25|7e)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    return { name, width: m[2] ? Number(m[2]) : name === 'message' ? 0 : 130 };
  });
}

export function columnsText(columns: Column[]): string | undefined {
  const text = columns.map((c) => `${c.name.replace(/[!%~]/g, (k) => '%' + k.charCodeAt(0).toString(16))}~${c.width}`).join('!');
  return text === DEFAULT_COLUMNS.map((c) => `${c.name}~${c.width}`).join('!') ? undefined : text;
}

/** A result that is read in pages, by place. */
export class Pages {
  private pages = new Map<number, Row[]>();
  private asked = new Map<number, AbortController>();
  error: ApiError | undefined;
  ended = Infinity; /* rows there are, once a page came short */

  constructor(readonly q: string, readonly range: Range, private readonly changed: () => void) {}

  get(i: number): Row | undefined {
    return this.pages.get(Math.floor(i / PAGE))?.[i % PAGE];
  }

  want(from: number, to: number): void {
    const first = Math.floor(from / PAGE), last = Math.floor(Math.max(from, to - 1) / PAGE);
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
    query(this.q, { ...this.range, offset: p * PAGE, limit: PAGE }, control.signal).then((a) => {
      this.asked.delete(p);
      this.pages.set(p, a.rows);
      if (a.rows.length < PAGE) this.ended = Math.min(this.ended, p * PAGE + a.rows.length);
      for (const old of this.pages.keys()) {
        if (this.pages.size <= PAGES_KEPT) break;
        if (Math.abs(old - p) > 2) this.pages.delete(old);
      }
      this.changed();
    }, (e: unknown) => {
      this.asked.delete(p);
      if (aborted(e)) return;
      this.error = e instanceof ApiError ? e : new ApiError(String(e), 0);
      this.changed();
    });
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

/** What a line says when an entry has no message. */
export function summary(row: Row): string {
  if (typeof row.message === 'string' && row.message) return plain(row.message);
  return ['event', 'operation', 'tool', 'status', 'input', 'output'].filter((k) => row[k] !== undefined && row[k] !== null)
    .map((k) => `${k}=${plain(row[k]).slice(0, 300)}`).join('  ');
}

export function Rows({ pages, total, columns, onColumns, selected, onOpen, lines }: {
  pages: Pages; total: number; columns: Column[]; onColumns: (c: Column[]) => void;
  selected: number; onOpen: (i: number) => void; lines: number;
}) {
  const [box, size] = useSize<HTMLDivElement>();
  const [top, setTop] = useState(0);
  const height = 22 + (lines - 1) * 17;
  const n = Math.min(total, pages.ended);
  const full = n * height, shownHeight = Math.min(full, TALLEST);
  const view = Math.max(0, size.height - 28);
  const scale = full > TALLEST ? (full - view) / Math.max(1, TALLEST - view) : 1;
  const first = Math.max(0, Math.floor((top * scale) / height));
  const many = Math.ceil(view / height) + 2;
  const from = Math.max(0, first - 8), to = Math.min(n, first + many + 8);
  useEffect(() => { pages.want(from, to); }, [pages, from, to]);
  useEffect(() => {
    const e = box.current;
    if (!e || selected < 0) return;
    const y = (selected * height) / scale;
    if (y < e.scrollTop) e.scrollTop = y;
    else if (y + height > e.scrollTop + view) e.scrollTop = y + height - view;
  }, [selected]);
  useEffect(() => { if (box.current) box.current.scrollTop = 0; }, [pages]);

  const grid = columns.map((c) => (c.width ? `${c.width}px` : 'minmax(200px, 1fr)')).join(' ');
  const withDay = useMemo(() => {
    const a = pages.get(0)?.timestamp, today = new Date().toDateString();
    return typeof a === 'string' && new Date(a).toDateString() !== today;
  }, [pages, pages.get(0)]);
  const visible: number[] = [];
  for (let i = from; i < to; i++) visible.push(i);
  return (
    <div class="rows" ref={box} tabIndex={0} role="grid" aria-label="Entries" aria-rowcount={n}
         onScroll={(e) => setTop((e.currentTarget as HTMLElement).scrollTop)}>
      <Header columns={columns} grid={grid} onColumns={onColumns} />
      <div class="space" style={{ height: `${shownHeight}px` }}>
        {visible.map((i) => {
          const row = pages.get(i);
          const y = scale === 1 ? i * height : top + (i * height - top * scale);
          return (
            <div key={i} role="row" aria-rowindex={i + 1} aria-selected={i === selected}
                 class={`row ${row ? String(row.level) : 'loading'} ${i === selected ? 'on' : ''} ${lines > 1 ? 'wrap' : ''}`}
                 style={{ transform: `translateY(${y}px)`, height: `${height}px`, gridTemplateColumns: grid }}
                 onClick={() => onOpen(i)}>
              {columns.map((c) => (
                <span key={c.name} role="gridcell" class={`c-${c.name === 'message' ? 'message' : c.name === 'timestamp' ? 'time' : 'x'}`}>
                  {row ? <Cell row={row} name={c.name} withDay={withDay} /> : ''}
                </span>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Cell({ row, name, withDay }: { row: Row; name: string; withDay: boolean }) {
  if (name === 'timestamp') return <time title={String(row.timestamp)}>{clock(String(row.timestamp), withDay)}</time>;
  if (name === 'level') return <Level level={String(row.level)} />;
  if (name === 'message') return <>{summary(row)}</>;
  return <>{plain(cell(row, name) as never)}</>;
}

function Header({ columns, grid, onColumns }: { columns: Column[]; grid: string; onColumns: (c: Column[]) => void }) {
  const drag = useRef<{ i: number; x: number; width: number } | null>(null);
  const [moving, setMoving] = useState(-1);
  const resize = (e: PointerEvent) => {
    if (!drag.current) return;
    const width = Math.max(40, Math.round(drag.current.width + e.clientX - drag.current.x));
    onColumns(columns.map((c, i) => (i === drag.current?.i ? { ...c, width } : c)));
  };
  const move = (to: number) => {
    if (moving < 0 || moving === to) return;
    const next = columns.slice();
    next.splice(to, 0, ...next.splice(moving, 1));
    setMoving(-1);
    onColumns(next);
  };
  return (
    <div class="head" role="row" style={{ gridTemplateColumns: grid }}>
      {columns.map((c, i) => (
        <span key={c.name} role="columnheader" draggable onDragStart={(e) => { e.dataTransfer?.setData('text/plain', c.name); setMoving(i); }}
              onDragOver={(e) => e.preventDefault()} onDrop={() => move(i)}>
          <span class="name">{c.name === 'timestamp' ? 'time' : plain(c.name)}</span>
          <button type="button" class="gone" aria-label={`Take the column ${plain(c.name)} away`}
                  onClick={() => onColumns(columns.filter((x) => x !== c))}>×</button>
          <span class="grip" onPointerDown={(e) => {
            e.preventDefault();
            const el = e.currentTarget as HTMLElement;
            el.setPointerCapture(e.pointerId);
            drag.current = { i, x: e.clientX, width: el.parentElement?.offsetWidth ?? 100 };
          }} onPointerMove={resize} onPointerUp={() => { drag.current = null; }} />
        </span>
      ))}
    </div>
  );
}
