/** A JSON value as a tree; each key can be filtered by, excluded, copied and shown as a column. */
import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { Json } from '../api';
import { count, visible } from '../format';
import { pathName } from '../query';
import { copy } from '../state';
import { Icon } from './icon';

export interface TreeActions {
  include?: (path: string, value: Json) => void;
  exclude?: (path: string, value: Json) => void;
  column?: (path: string) => void;
  stats?: (path: string) => ComponentChildren; /* the most frequent values of the field */
}

const LONG = 2000,
  MANY = 100;
const COPY: TreeActions = {}; /* what stands in a text has no name in a query */

/** `path`: the keys down to here, without places in arrays. `listed`: an array is among them. */
export function JsonTree({
  value,
  actions,
  path = [],
  listed = false,
}: {
  value: Json;
  actions: TreeActions;
  path?: string[];
  listed?: boolean;
}) {
  const [most, setMost] = useState(MANY);
  if (value === null || typeof value !== 'object') return <Leaf value={value} />;
  const entries = Array.isArray(value) ? value.map((v, i) => [String(i), v] as const) : Object.entries(value);
  return (
    <ul class="tree">
      {entries.slice(0, most).map(([key, v]) => (
        <Branch
          key={key}
          name={key}
          value={v}
          actions={actions}
          array={Array.isArray(value)}
          path={Array.isArray(value) ? path : [...path, key]}
          listed={listed || Array.isArray(value)}
        />
      ))}
      {entries.length > most && (
        <li>
          <button type="button" class="more" onClick={() => setMost(most * 10)}>
            {entries.length - most} more
          </button>
        </li>
      )}
    </ul>
  );
}

function Branch({
  name,
  value,
  path,
  actions,
  array,
  listed,
}: {
  name: string;
  value: Json;
  path: string[];
  actions: TreeActions;
  array: boolean;
  listed: boolean;
}) {
  const text = useMemo(() => (typeof value === 'string' ? parsed(value) : undefined), [value]);
  const [raw, setRaw] = useState(false);
  const inside = raw ? undefined : (text ?? (value !== null && typeof value === 'object' ? value : undefined));
  const nested = inside !== undefined && text === undefined;
  const size = inside === undefined ? 0 : Object.keys(inside).length;
  const [open, setOpen] = useState(size > 0 && size <= 40);
  const [stats, setStats] = useState(false);
  const at = pathName(path),
    label = visible(path.join('.').replace(/^attributes\./, ''));
  const reach = !listed || value !== null; /* of an element no query says that it lacks a key */
  return (
    <li>
      <span class="node">
        {inside !== undefined ? (
          <button
            type="button"
            class="fold"
            aria-expanded={open}
            aria-label={`${open ? 'Fold' : 'Open'} ${visible(name)}`}
            onClick={() => setOpen(!open)}
          >
            {open ? '▾' : '▸'}
          </button>
        ) : (
          <span class="fold" />
        )}
        <span class={array ? 'index' : 'key'}>{visible(name)}</span>
        {inside !== undefined ? <span class="kind">{Array.isArray(inside) ? `[${size}]` : `{${size}}`}</span> : <Leaf value={value} />}
        {text !== undefined && (
          <button type="button" class="more" onClick={() => setRaw(!raw)}>
            {raw ? 'as JSON' : 'as text'}
          </button>
        )}
        <span class="acts">
          {!nested && reach && actions.include && (
            <>
              <button
                type="button"
                title="Only this value"
                aria-label={`Only ${label} with this value`}
                onClick={() => actions.include?.(at, value)}
              >
                +
              </button>
              <button
                type="button"
                title="Without this value"
                aria-label={`Without this value of ${label}`}
                onClick={() => actions.exclude?.(at, value)}
              >
                −
              </button>
            </>
          )}
          {!nested && actions.column && !array && (
            <button type="button" title="As a column" aria-label={`Column ${label}`} onClick={() => actions.column?.(at)}>
              <Icon name="column" />
            </button>
          )}
          {!nested && actions.stats && !array && (
            <button
              type="button"
              title="Most frequent values"
              aria-label={`Values of ${label}`}
              aria-pressed={stats}
              onClick={() => setStats(!stats)}
            >
              <Icon name="stats" />
            </button>
          )}
          <button
            type="button"
            title="Copy"
            aria-label={`Copy ${label}`}
            onClick={() => void copy(typeof value === 'string' ? value : JSON.stringify(value, null, 2))}
          >
            <Icon name="copy" />
          </button>
        </span>
      </span>
      {stats && <div class="facet stats">{actions.stats?.(at)}</div>}
      {inside !== undefined && open && <JsonTree value={inside} actions={nested ? actions : COPY} path={path} listed={listed} />}
    </li>
  );
}

/** JSON that was sent as a text: tools take and give it so. */
export function parsed(text: string): Json | undefined {
  if (!/^\s*[{[]/.test(text) || text.length > 1e6) return undefined;
  try {
    const v = JSON.parse(text) as Json;
    return v !== null && typeof v === 'object' && Object.keys(v).length ? v : undefined;
  } catch {
    return undefined;
  }
}

function Leaf({ value }: { value: Json }) {
  const [whole, setWhole] = useState(false);
  if (typeof value !== 'string') return <span class={`v ${value === null ? 'null' : typeof value}`}>{String(value)}</span>;
  const cut = value.length > LONG && !whole;
  return (
    <span class="v string">
      {visible(cut ? value.slice(0, LONG) : value)}
      {cut && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … {count(value.length - LONG)} more characters
        </button>
      )}
    </span>
  );
}
