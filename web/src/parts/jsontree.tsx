/** A JSON value as a tree; each key can be filtered by, excluded, copied and shown as a column. */
import { useState } from 'preact/hooks';
import type { Json } from '../api';
import { visible } from '../format';
import { pathName } from '../query';
import { copy } from '../state';
import { Icon } from './icon';

export interface TreeActions {
  include?: (path: string, value: Json) => void;
  exclude?: (path: string, value: Json) => void;
  column?: (path: string) => void;
}

const LONG = 2000;

/** `path`: the keys down to here, without places in arrays. `listed`: an array is among them. */
export function JsonTree({ value, actions, path = [], listed = false }:
  { value: Json; actions: TreeActions; path?: string[]; listed?: boolean }) {
  if (value === null || typeof value !== 'object') return <Leaf value={value} />;
  const entries = Array.isArray(value) ? value.map((v, i) => [String(i), v] as const) : Object.entries(value);
  return (
    <ul class="tree">
      {entries.map(([key, v]) => (
        <Branch key={key} name={key} value={v} actions={actions} array={Array.isArray(value)}
                path={Array.isArray(value) ? path : [...path, key]} listed={listed || Array.isArray(value)} />
      ))}
    </ul>
  );
}

function Branch({ name, value, path, actions, array, listed }:
  { name: string; value: Json; path: string[]; actions: TreeActions; array: boolean; listed: boolean }) {
  const nested = value !== null && typeof value === 'object';
  const size = nested ? Object.keys(value).length : 0;
  const [open, setOpen] = useState(size > 0 && size <= 40);
  const at = pathName(path), label = visible(path.join('.').replace(/^attributes\./, ''));
  const reach = !listed || value !== null; /* of an element no query says that it lacks a key */
  return (
    <li>
      <span class="node">
        {nested
          ? <button type="button" class="fold" aria-expanded={open} aria-label={`${open ? 'Fold' : 'Open'} ${visible(name)}`}
                    onClick={() => setOpen(!open)}>{open ? '▾' : '▸'}</button>
          : <span class="fold" />}
        <span class={array ? 'index' : 'key'}>{visible(name)}</span>
        {nested
          ? <span class="kind">{Array.isArray(value) ? `[${size}]` : `{${size}}`}</span>
          : <Leaf value={value} />}
        <span class="acts">
          {!nested && reach && actions.include && (
            <>
              <button type="button" title="Only this value" aria-label={`Only ${label} with this value`}
                      onClick={() => actions.include?.(at, value)}>+</button>
              <button type="button" title="Without this value" aria-label={`Without this value of ${label}`}
                      onClick={() => actions.exclude?.(at, value)}>−</button>
            </>
          )}
          {!nested && actions.column && !array && (
            <button type="button" title="As a column" aria-label={`Column ${label}`}
                    onClick={() => actions.column?.(at)}><Icon name="column" /></button>
          )}
          <button type="button" title="Copy" aria-label={`Copy ${label}`}
                  onClick={() => void copy(typeof value === 'string' ? value : JSON.stringify(value, null, 2))}><Icon name="copy" /></button>
        </span>
      </span>
      {nested && open && <JsonTree value={value} actions={actions} path={path} listed={listed} />}
    </li>
  );
}

function Leaf({ value }: { value: Json }) {
  const [whole, setWhole] = useState(false);
  if (typeof value !== 'string') return <span class={`v ${value === null ? 'null' : typeof value}`}>{String(value)}</span>;
  const cut = value.length > LONG && !whole;
  return (
    <span class="v string">
      {visible(cut ? value.slice(0, LONG) : value)}
      {cut && <button type="button" class="more" onClick={() => setWhole(true)}>… {value.length - LONG} more characters</button>}
    </span>
  );
}
