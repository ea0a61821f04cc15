/** Fields beside the rows: their most frequent values with counts. A click includes a value, with Alt it is
 *  excluded. Values are asked for when a field is opened. */
import { useState } from 'preact/hooks';
import { type Field, type Json, type Range, fields, values } from '../api';
import { count, plain, short } from '../format';
import { useLoad } from '../hooks';
import { filterOf, hasTerm, term } from '../query';
import { Bar } from './common';
import { Icon } from './icon';

const FIRST = ['level', 'agent', 'tool', 'event', 'model', 'status', 'session_id', 'operation', 'env'];
const NEVER = new Set(['message', 'timestamp', 'received_at', 'input', 'output', 'id', 'seq']);
const OPEN = new Set(['level', 'agent', 'tool', 'event']);

export function Facets({ q, range, stamp, onTerm, onColumn, columns }: {
  q: string; range: Range; stamp: string; onTerm: (term: string, negate: boolean) => void;
  onColumn: (field: string) => void; columns: string[];
}) {
  const [find, setFind] = useState('');
  const filter = filterOf(q);
  const { data } = useLoad('fields' + stamp, (s) => fields(filter, range, s));
  const all = (data?.fields ?? []).filter((f) => !NEVER.has(written(f)))
    .sort((a, b) => place(a) - place(b) || b.entries - a.entries);
  const shown = find ? all.filter((f) => f.name.toLowerCase().includes(find.toLowerCase())) : all;
  return (
    <aside class="facets" aria-label="Fields">
      <input type="search" placeholder="Find a field" aria-label="Find a field" value={find} spellcheck={false}
             onInput={(e) => setFind((e.currentTarget as HTMLInputElement).value)} />
      {shown.slice(0, 80).map((f) => (
        <Facet key={written(f)} field={f} q={q} filter={filter} range={range} stamp={stamp} onTerm={onTerm}
               onColumn={onColumn} column={columns.includes(written(f))} />
      ))}
      {data && !shown.length && <p class="dim">No field is called so.</p>}
    </aside>
  );
}

function written(f: Field): string {
  return f.query ?? f.name;
}

function place(f: Field): number {
  const i = FIRST.indexOf(written(f));
  return i < 0 ? FIRST.length : i;
}

function Facet({ field, q, filter, range, stamp, onTerm, onColumn, column }: {
  field: Field; q: string; filter: string; range: Range; stamp: string; column: boolean;
  onTerm: (term: string, negate: boolean) => void; onColumn: (field: string) => void;
}) {
  const [open, setOpen] = useState(OPEN.has(written(field)));
  return (
    <section class="facet">
      <h3>
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          <span class="fold">{open ? '▾' : '▸'}</span> {plain(written(field))}
        </button>
        <span class="dim" title={`${count(field.entries)} entries have it`}>{short(field.entries)}</span>
        <button type="button" class="add" aria-pressed={column} title={column ? 'Take the column away' : 'As a column'}
                aria-label={`Column ${plain(written(field))}`} onClick={() => onColumn(written(field))}><Icon name="column" /></button>
      </h3>
      {open && <FacetValues name={written(field)} q={q} filter={filter} range={range} stamp={stamp} onTerm={onTerm} />}
    </section>
  );
}

function FacetValues({ name, q, filter, range, stamp, onTerm }: {
  name: string; q: string; filter: string; range: Range; stamp: string; onTerm: (t: string, negate: boolean) => void;
}) {
  const { data, error } = useLoad(`values ${name} ${stamp}`, (s) => values(name, filter, range, 8, s));
  if (error) return <p class="dim">{error.message}</p>;
  if (!data) return <p class="dim">…</p>;
  return (
    <ul>
      {data.values.map(({ value, count: n }) => {
        const t = term(name, value as Json);
        return (
          <li key={t}>
            <button type="button" class={hasTerm(q, t) ? 'on' : ''} title="Click: only these. Alt+click: without these."
                    onClick={(e) => onTerm(t, e.altKey)}>
              <span class="what">{plain(value) || '(empty)'}</span>
              <span class="n">{short(n)}</span>
              <Bar share={data.present ? n / data.present : 0} />
            </button>
          </li>
        );
      })}
      {data.distinct > data.values.length && <li class="dim">{count(data.distinct - data.values.length)} more values</li>}
    </ul>
  );
}
