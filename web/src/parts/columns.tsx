/** The columns of the rows: as they stand in the address, and their header, where they are moved, sized, pinned and
 *  taken away, by mouse or by keyboard. */
import { useRef, useState } from 'preact/hooks';
import { plain } from '../format';
import { useMenu } from './menu';

const GAP = 10,
  LEAST = 40,
  MESSAGE = 160,
  TIME = 98,
  DAY = 44;

export interface Column {
  name: string;
  width: number; /* pixels; 0: what is left */
  pinned?: boolean; /* stays when the rows are scrolled sideways */
}

const DEFAULT_COLUMNS: Column[] = [
  { name: 'timestamp', width: TIME },
  { name: 'level', width: 56 },
  { name: 'agent', width: 110 },
  { name: 'message', width: 0 },
];

export function columnsFrom(text: string | undefined): Column[] {
  if (!text) return DEFAULT_COLUMNS;
  const all = text
    .split('!')
    .filter(Boolean)
    .map((part): Column => {
      const m = /^(.*?)(?:~(\d+)(p?))?$/.exec(part) as RegExpExecArray;
      const name = (m[1] as string).replace(/%(21|25|7e)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
      return { name, width: m[2] ? Number(m[2]) : name === 'message' ? 0 : 130, pinned: m[3] === 'p' };
    });
  return all.filter((c, i) => all.findIndex((x) => x.name === c.name) === i);
}

export function columnsText(columns: Column[]): string | undefined {
  const name = (c: Column) => c.name.replace(/[!%~]/g, (k) => '%' + k.charCodeAt(0).toString(16));
  const text = (all: Column[]) => all.map((c) => `${name(c)}~${c.width}${c.pinned ? 'p' : ''}`).join('!');
  return text(columns) === text(DEFAULT_COLUMNS) ? undefined : text(columns);
}

/** A day in front of the time takes room that nobody has to make by hand. */
const widthOf = (c: Column, withDay: boolean) => (c.name === 'timestamp' && c.width === TIME && withDay ? TIME + DAY : c.width);

export interface Grid {
  template: string;
  least: number; /* narrower than this they are scrolled sideways */
}

export function gridOf(columns: Column[], withDay: boolean): Grid {
  return {
    template: columns.map((c) => (c.width ? `${widthOf(c, withDay)}px` : `minmax(${MESSAGE}px, 1fr)`)).join(' '),
    least: columns.reduce((sum, c) => sum + (widthOf(c, withDay) || MESSAGE) + GAP, 24),
  };
}

export function leftOf(columns: Column[], k: number, withDay: boolean): number {
  return columns
    .slice(0, k)
    .filter((c) => c.pinned)
    .reduce((sum, c) => sum + (widthOf(c, withDay) || MESSAGE) + GAP, 0);
}

/** Pinned ones stand in front. */
function pin(columns: Column[], c: Column): Column[] {
  const changed = columns.map((x) => (x === c ? { ...c, pinned: !c.pinned } : x));
  return [...changed.filter((x) => x.pinned), ...changed.filter((x) => !x.pinned)];
}

function moved(columns: Column[], from: number, to: number): Column[] {
  const next = columns.slice();
  if (to < 0 || to >= next.length) return next;
  next.splice(to, 0, ...next.splice(from, 1));
  return next;
}

export function Header({
  columns,
  grid,
  onColumns,
  oldest,
  onOldest,
  withDay,
}: {
  columns: Column[];
  grid: Grid;
  onColumns: (c: Column[]) => void;
  oldest: boolean;
  onOldest: ((oldest: boolean) => void) | undefined;
  withDay: boolean;
}) {
  const [dragged, setDragged] = useState(-1);
  return (
    <div class="head" role="row" style={{ gridTemplateColumns: grid.template, minWidth: `${grid.least}px` }}>
      {columns.map((c, i) => (
        <Head
          key={c.name}
          column={c}
          i={i}
          columns={columns}
          onColumns={onColumns}
          oldest={oldest}
          onOldest={onOldest}
          left={c.pinned ? leftOf(columns, i, withDay) : undefined}
          onDrag={() => setDragged(i)}
          onDrop={() => {
            if (dragged >= 0 && dragged !== i) onColumns(moved(columns, dragged, i));
            setDragged(-1);
          }}
        />
      ))}
    </div>
  );
}

function Head({
  column: c,
  i,
  columns,
  onColumns,
  oldest,
  onOldest,
  left,
  onDrag,
  onDrop,
}: {
  column: Column;
  i: number;
  columns: Column[];
  onColumns: (c: Column[]) => void;
  left: number | undefined;
  oldest: boolean;
  onOldest: ((oldest: boolean) => void) | undefined;
  onDrag: () => void;
  onDrop: () => void;
}) {
  const menu = useMenu<HTMLSpanElement>();
  const drag = useRef<{ x: number; width: number } | null>(null);
  const time = c.name === 'timestamp',
    name = time ? 'time' : plain(c.name);
  const size = (width: number) => onColumns(columns.map((x) => (x === c ? { ...x, width: Math.max(LEAST, Math.round(width)) } : x)));
  const drop = () => onColumns(columns.filter((x) => x !== c));
  const key = (e: KeyboardEvent) => {
    if (e.shiftKey && (e.key === 'ArrowLeft' || e.key === 'ArrowRight')) onColumns(moved(columns, i, i + (e.key === 'ArrowLeft' ? -1 : 1)));
    else if (e.key === 'Delete') drop();
    else return;
    e.preventDefault();
  };
  const item = (text: string, run: () => void, hint = '') => (
    <li>
      <button
        type="button"
        onClick={() => {
          menu.close();
          run();
        }}
      >
        {text}
        {hint && <kbd>{hint}</kbd>}
      </button>
    </li>
  );
  return (
    <span
      role="columnheader"
      ref={menu.box}
      draggable
      class={c.pinned ? 'pinned' : ''}
      style={left === undefined ? undefined : { left: `${left}px` }}
      aria-sort={time && onOldest ? (oldest ? 'ascending' : 'descending') : undefined}
      onDragStart={(e) => {
        e.dataTransfer?.setData('text/plain', c.name);
        onDrag();
      }}
      onDragOver={(e) => e.preventDefault()}
      onDrop={onDrop}
    >
      <button
        type="button"
        class="title"
        aria-haspopup="dialog"
        aria-expanded={menu.open}
        title="Sort, pin, move, remove"
        onClick={menu.toggle}
        onKeyDown={key}
      >
        <span class="name">{name}</span>
        {time && onOldest && <span aria-hidden="true"> {oldest ? '↑' : '↓'}</span>}
      </button>
      <button
        type="button"
        class="gone"
        aria-label={`Take the column ${plain(c.name)} away`}
        title="Take the column away"
        tabIndex={-1}
        onClick={drop}
      >
        ×
      </button>
      <span
        class="grip"
        role="separator"
        tabIndex={0}
        aria-orientation="vertical"
        aria-label={`Width of ${name}`}
        aria-valuenow={c.width}
        title="Drag, or press ← and →"
        onKeyDown={(e) => {
          if (e.shiftKey || (e.key !== 'ArrowLeft' && e.key !== 'ArrowRight')) return;
          e.preventDefault();
          size(((e.currentTarget as HTMLElement).parentElement?.offsetWidth ?? 100) + (e.key === 'ArrowLeft' ? -10 : 10));
        }}
        onPointerDown={(e) => {
          e.preventDefault();
          const el = e.currentTarget as HTMLElement;
          el.setPointerCapture(e.pointerId);
          drag.current = { x: e.clientX, width: el.parentElement?.offsetWidth ?? 100 };
        }}
        onPointerMove={(e) => {
          if (drag.current) size(drag.current.width + e.clientX - drag.current.x);
        }}
        onPointerUp={() => {
          drag.current = null;
        }}
      />
      {menu.open && (
        <div class="menu list" role="dialog" aria-label={`Column ${name}`} ref={menu.list}>
          <ul>
            {time && onOldest && item('Newest first', () => onOldest(false))}
            {time && onOldest && item('Oldest first', () => onOldest(true))}
            {item(c.pinned ? 'Unpin' : 'Pin', () => onColumns(pin(columns, c)))}
            {i > 0 && item('Move left', () => onColumns(moved(columns, i, i - 1)), 'Shift ←')}
            {i < columns.length - 1 && item('Move right', () => onColumns(moved(columns, i, i + 1)), 'Shift →')}
            {item('Remove', drop, 'Del')}
          </ul>
        </div>
      )}
    </span>
  );
}
