/** The rows of a query with pipes. A click on a header sorts what is there; a click on a row can lead on, and then
 *  j and k step through the rows. */
import { useRef, useState } from 'preact/hooks';
import type { Json, Row } from '../api';
import { count, own, plain } from '../format';
import { useKeys } from '../hooks';

const SHOWN = 500;

function order(a: Json | undefined, b: Json | undefined): number {
  const rank = (v: Json | undefined) =>
    v === null || v === undefined ? 0 : typeof v === 'boolean' ? 1 : typeof v === 'number' ? 2 : typeof v === 'string' ? 3 : 4;
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return plain(a) < plain(b) ? -1 : plain(a) > plain(b) ? 1 : 0;
}

/** `names`: what a column is called for people; its field stands in the title. `wide`: the column that takes the
 *  width that is left; `minor`: columns that narrow windows leave out. */
export function Table({
  columns,
  rows,
  onRow,
  show,
  label,
  names,
  wide,
  minor,
}: {
  columns: string[];
  rows: Row[];
  onRow?: (row: Row) => void;
  label: string;
  show?: Record<string, (v: Json | undefined, row: Row) => preact.ComponentChildren>;
  names?: Record<string, string>;
  wide?: string;
  minor?: string[];
}) {
  const body = useRef<HTMLTableSectionElement>(null);
  const step = (by: number) => {
    const all = [...(body.current?.rows ?? [])],
      at = all.indexOf(document.activeElement as HTMLTableRowElement);
    all[Math.max(0, Math.min(all.length - 1, at + by))]?.focus();
  };
  useKeys(onRow ? { j: () => step(1), k: () => step(-1) } : {});
  const kind = (c: string) => [numeric.has(c) && 'number', c === wide && 'wide', minor?.includes(c) && 'minor'].filter(Boolean).join(' ');
  const [by, setBy] = useState<{ name: string; down: boolean } | null>(null);
  const [most, setMost] = useState(SHOWN);
  const sorted = by ? [...rows].sort((a, b) => order(own(a, by.name), own(b, by.name)) * (by.down ? -1 : 1)) : rows;
  const numeric = new Set(
    columns.filter(
      (c) =>
        rows.some((r) => typeof own(r, c) === 'number') && rows.every((r) => (own(r, c) ?? null) === null || typeof own(r, c) === 'number'),
    ),
  );
  const pick = (name: string) =>
    setBy(by?.name !== name ? { name, down: numeric.has(name) } : by.down === numeric.has(name) ? { name, down: !by.down } : null);
  return (
    <div class="tablebox">
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map((c) =>
              c === '' ? (
                <th key={c} class={kind(c)}>
                  <span class="unseen">Actions</span>
                </th>
              ) : (
                <th key={c} scope="col" class={kind(c)} aria-sort={by?.name === c ? (by.down ? 'descending' : 'ascending') : 'none'}>
                  <button type="button" title={own(names, c) && plain(c)} onClick={() => pick(c)}>
                    {own(names, c) ?? plain(c)}
                    {by?.name === c ? (by.down ? ' ↓' : ' ↑') : ''}
                  </button>
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody ref={body}>
          {sorted.slice(0, most).map((row, i) => (
            <tr
              key={i}
              class={onRow ? 'leads' : ''}
              tabIndex={onRow ? 0 : undefined}
              onClick={onRow ? () => onRow(row) : undefined}
              onKeyDown={
                onRow
                  ? (e) => {
                      if (e.key === 'Enter' && e.target === e.currentTarget) onRow(row);
                    }
                  : undefined
              }
            >
              {columns.map((c) => (
                <td key={c} class={kind(c)}>
                  {own(show, c)?.(own(row, c), row) ?? <Value v={own(row, c)} />}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > most && (
        <button type="button" class="more" onClick={() => setMost(most * 4)}>
          {count(rows.length - most)} more rows
        </button>
      )}
    </div>
  );
}

function Value({ v }: { v: Json | undefined }) {
  if (v === null || v === undefined) return <span class="null">–</span>;
  if (typeof v === 'number') return <>{Number.isInteger(v) ? count(v) : String(v)}</>;
  const text = plain(v);
  return (
    <span class="text" title={text.length > 80 ? text : undefined}>
      {text}
    </span>
  );
}
