/** Fields beside the rows: their most frequent values with counts and shares, and for numbers a range. A click takes
 *  only this value, with Alt it is excluded. Values are asked for when a field is opened; they are counted without
 *  what the query says about the field itself, so that another one can be taken. */
import { useState } from 'preact/hooks';
import { type Field, type Json, type Range, fields, query, values } from '../api';
import { count, counted, duration, money, plain, short } from '../format';
import { useLoad } from '../hooks';
import { bounds, filterOf, filterWithout, hasTerm, only, term, toggle, withBounds } from '../query';
import { facetsOpen } from '../state';
import { Icon } from './icon';

const COMMON = ['level', 'agent', 'tool', 'event', 'model', 'status', 'session_id', 'operation', 'error_type', 'env'];
const NEVER = new Set(['message', 'timestamp', 'received_at', 'input', 'output', 'id', 'seq']);
const OPEN = new Set(['level', 'agent', 'tool', 'event']);
const IDS = /(^|_)id$/;
const FEW = 8;

type Group = 'Common' | 'Fields' | 'Attributes' | 'Ids';
const GROUPS: Group[] = ['Common', 'Fields', 'Attributes', 'Ids'];

function groupOf(f: Field): Group {
  return COMMON.includes(f.name) && !f.attribute ? 'Common' : f.attribute ? 'Attributes' : IDS.test(f.name) ? 'Ids' : 'Fields';
}

/** The fields of what was found, as a query writes them, in the order in which they are shown. */
export function useFields(q: string, range: Range, stamp: string): Field[] | undefined {
  const { data } = useLoad('fields' + stamp, (s) => fields(filterOf(q), range, s));
  const place = (f: Field) => GROUPS.indexOf(groupOf(f)) * 100 + COMMON.indexOf(f.name);
  return data?.fields
    .map((f) => ({ ...f, name: f.query ?? f.name }))
    .filter((f) => !NEVER.has(f.name))
    .sort((a, b) => place(a) - place(b) || b.entries - a.entries);
}

interface Shared {
  q: string;
  range: Range;
  stamp: string;
  total: number;
  onQuery: (q: string) => void;
}

export function Facets({
  all,
  columns,
  onColumn,
  ...shared
}: Shared & {
  all: Field[] | undefined;
  onColumn: (field: string) => void;
  columns: string[];
}) {
  const [find, setFind] = useState('');
  const shown = find ? all?.filter((f) => f.name.toLowerCase().includes(find.toLowerCase())) : all;
  let before: Group | undefined;
  return (
    <aside class="facets" aria-label="Fields">
      <div class="finder">
        <input
          type="search"
          placeholder="Find a field"
          aria-label="Find a field"
          value={find}
          spellcheck={false}
          onInput={(e) => setFind((e.currentTarget as HTMLInputElement).value)}
        />
        <button
          type="button"
          class="gone"
          title="Hide the fields (f)"
          aria-label="Hide these"
          onClick={() => {
            facetsOpen.value = 'no';
          }}
        >
          ×
        </button>
      </div>
      {shown?.slice(0, 120).flatMap((f) => {
        const group = groupOf(f),
          first = group !== before && group !== 'Common';
        before = group;
        return [
          ...(first
            ? [
                <h2 key={`group ${group}`} class="group">
                  {group}
                </h2>,
              ]
            : []),
          <Facet key={f.name} field={f} column={columns.includes(f.name)} onColumn={onColumn} {...shared} />,
        ];
      })}
      {shown && !shown.length && <p class="dim">{find ? 'No field has this in its name.' : 'No fields.'}</p>}
    </aside>
  );
}

const numeric = (f: Field) => f.types.length > 0 && f.types.every((t) => t === 'int' || t === 'float');

function Facet({ field, onColumn, column, ...shared }: Shared & { field: Field; column: boolean; onColumn: (field: string) => void }) {
  const name = plain(field.name);
  const [open, setOpen] = useState(OPEN.has(field.name));
  const percent = shared.total ? Math.min(100, (field.entries / shared.total) * 100) : 0;
  return (
    <section class="facet">
      <h3>
        <button
          type="button"
          aria-expanded={open}
          title={`${name}: ${count(field.entries)} entries have it`}
          onClick={() => setOpen(!open)}
        >
          <span class="fold">{open ? '▾' : '▸'}</span> {name}
        </button>
        {percent > 0 && percent < 99.5 && (
          <span class="dim" title="Share of the entries that have it">
            {share(percent / 100)}
          </span>
        )}
        <button
          type="button"
          class="add"
          aria-pressed={column}
          title={column ? 'Take the column away' : 'As a column'}
          aria-label={`Column ${name}`}
          onClick={() => onColumn(field.name)}
        >
          <Icon name="column" />
        </button>
      </h3>
      {open && numeric(field) && <Between name={field.name} {...shared} />}
      {open && <FacetValues name={field.name} most={numeric(field) ? 50 : undefined} {...shared} />}
    </section>
  );
}

function share(part: number): string {
  return part > 0 && part < 0.01 ? '<1%' : `${Math.round(part * 100)}%`;
}

export function FacetValues({
  name,
  q,
  range,
  stamp,
  onQuery,
  few = FEW,
  most: distinct = Infinity,
}: Omit<Shared, 'total'> & { name: string; few?: number; most?: number /* with more than so many values none is shown */ }) {
  const [most, setMost] = useState(few);
  const { data, error, loading } = useLoad(`values ${name} ${most} ${stamp}`, (s) => values(name, filterWithout(q, name), range, most, s));
  if (error) return <p class="dim">{error.message}</p>;
  if (!data) return <p class="dim">…</p>;
  if (data.distinct > distinct) return <p class="dim many">{count(data.distinct)} different values</p>;
  const rest = data.distinct - data.values.length;
  return (
    <ul aria-busy={loading}>
      {data.values.map(({ value, count: n }) => {
        const t = term(name, value as Json),
          part = data.present ? n / data.present : 0,
          label = plain(value) || '(empty)';
        const on = hasTerm(q, t),
          out = hasTerm(q, '-' + t);
        return (
          <li key={t} class={on ? 'on' : out ? 'out' : ''}>
            <span class="behind" aria-hidden="true" style={{ width: `${part * 100}%` }} />
            <button
              type="button"
              class="pick"
              aria-pressed={on}
              title={`${label}: ${count(n)}, ${(part * 100).toFixed(1)} %. Click: only these. Alt+click: without them.`}
              onClick={(e) => onQuery(e.altKey ? toggle(q, t, true) : only(q, name, t))}
            >
              <span class="what">{label}</span>
              <span class="n">{short(n)}</span>
              <span class="share">{share(part)}</span>
            </button>
            <span class="acts">
              <button
                type="button"
                title={on ? 'Not only these' : 'Only these'}
                aria-label={`Only ${label}`}
                onClick={() => onQuery(only(q, name, t))}
              >
                {on ? '×' : '+'}
              </button>
              <button
                type="button"
                title={out ? 'With these again' : 'Without these (Alt+click)'}
                aria-label={`Without ${label}`}
                onClick={() => onQuery(toggle(q, t, true))}
              >
                {out ? '×' : '−'}
              </button>
            </span>
          </li>
        );
      })}
      {!data.values.length && <li class="dim">No values here.</li>}
      {rest > 0 && most < 200 && (
        <li>
          <button type="button" class="more" onClick={() => setMost(Math.min(200, most * 4))}>
            {counted(rest, 'more value')}
          </button>
        </li>
      )}
      {rest > 0 && most >= 200 && <li class="dim">{count(rest)} more: narrow the query</li>}
      {most > few && (
        <li>
          <button type="button" class="more" onClick={() => setMost(few)}>
            Fewer
          </button>
        </li>
      )}
    </ul>
  );
}

/** How a number of this field is read. */
export function unit(name: string): (n: number) => string {
  return /_ms$/.test(name) ? duration : /(^|[._])(cost|usd)|cost_usd$/.test(name) ? money : short;
}

/** A range of a number: from, to, and where most of the values lie. */
function Between({ name, q, range, stamp, onQuery }: Shared & { name: string }) {
  const rest = filterOf(withBounds(q, name, '', ''));
  const { data } = useLoad(`between ${name} ${stamp}`, (s) =>
    query(
      `${rest || '*'} | stats ${[
        ['min', 'lo'],
        ['p50', 'mid'],
        ['p95', 'high'],
        ['p99', 'top'],
        ['max', 'hi'],
      ]
        .map(([f, as]) => `${f}(${name}) as ${as}`)
        .join(', ')}`,
      range,
      s,
    ),
  );
  const at = data?.rows[0],
    figure = (k: string) => (typeof at?.[k] === 'number' ? (at[k] as number) : undefined);
  const [least, most] = bounds(q, name),
    show = unit(name);
  const apply = (e: Event) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget as HTMLFormElement);
    const number = (k: string) =>
      String(form.get(k) ?? '')
        .trim()
        .replace(/[^\w.+-]/g, '');
    onQuery(withBounds(q, name, number('least'), number('most')));
  };
  const input = (k: string, v: string, hint: number | undefined, label: string) => (
    <input
      name={k}
      key={v}
      defaultValue={v}
      size={6}
      inputMode="decimal"
      autocomplete="off"
      aria-label={`${label} ${plain(name)}`}
      placeholder={hint === undefined ? '' : String(Number(hint.toPrecision(4)))}
      onChange={(e) => (e.currentTarget as HTMLInputElement).form?.requestSubmit()}
    />
  );
  const round = (n: number) => String(Number(n.toPrecision(3)));
  return (
    <div class="between">
      <form onSubmit={apply}>
        {input('least', least, figure('lo'), 'At least')}
        <span class="dim">to</span>
        {input('most', most, figure('hi'), 'At most')}
        <button type="submit" class="unseen">
          Apply
        </button>
        {(least || most) && (
          <button
            type="button"
            class="gone"
            title="Any value"
            aria-label={`Any ${plain(name)}`}
            onClick={() => onQuery(withBounds(q, name, '', ''))}
          >
            ×
          </button>
        )}
      </form>
      <p>
        {(
          [
            ['mid', 'p50'],
            ['high', 'p95'],
            ['top', 'p99'],
          ] as const
        ).map(([k, label]) => {
          const v = figure(k);
          return (
            v !== undefined && (
              <button
                key={k}
                type="button"
                title={`Only from ${label} on: ${show(v)}`}
                aria-pressed={least === round(v)}
                onClick={() => onQuery(withBounds(q, name, least === round(v) ? '' : round(v), most))}
              >
                {label} <b>{show(v)}</b>
              </button>
            )
          );
        })}
      </p>
    </div>
  );
}
