/** One entry beside the rows: all of it as a tree, what happened around it, and the ways on from it. */
import { useMemo, useState } from 'preact/hooks';
import { type Json, type Row, get } from '../api';
import { clock, count, duration, moment, plain, visible } from '../format';
import { useLoad } from '../hooks';
import { term } from '../query';
import { copy } from '../state';
import { iso } from '../time';
import { href } from '../url';
import { Level, Problem, Tabs } from './common';
import { Icon } from './icon';
import { JsonTree, type TreeActions, parsed } from './jsontree';
import { Marked } from './marked';
import { copyRow, summary } from './rows';

type Tab = 'fields' | 'context' | 'json';

export function Detail({
  row,
  actions,
  onClose,
  onStep,
  sought,
}: {
  row: Row;
  actions: TreeActions;
  onClose: () => void;
  onStep?: (by: number) => void;
  sought?: RegExp;
}) {
  const [tab, setTab] = useState<Tab>('fields');
  const id = String(row.id ?? ''),
    at = Date.parse(String(row.timestamp));
  return (
    <aside class="detail" aria-label="Entry">
      <header>
        <Level level={String(row.level)} />
        <time title={String(row.timestamp)}>{isNaN(at) ? '' : `${moment(at)}.${clock(String(row.timestamp)).slice(-3)}`}</time>
        {row.agent && <strong title={plain(row.agent)}>{plain(row.agent)}</strong>}
        <span class="fill" />
        {onStep && (
          <button type="button" title="The one above (k)" aria-label="The entry above" onClick={() => onStep(-1)}>
            ↑
          </button>
        )}
        {onStep && (
          <button type="button" title="The one below (j)" aria-label="The entry below" onClick={() => onStep(1)}>
            ↓
          </button>
        )}
        <button
          type="button"
          title="Copy a link"
          aria-label="Copy a link"
          onClick={() => void copy(`${location.origin}${location.pathname}${href('entry', id)}`, 'link copied')}
        >
          <Icon name="link" />
        </button>
        <button type="button" title="Copy as JSON (c)" aria-label="Copy as JSON" onClick={() => copyRow(row)}>
          <Icon name="copy" />
        </button>
        <button type="button" title="Close (Esc)" aria-label="Close" onClick={onClose}>
          ×
        </button>
      </header>
      {row.message && <Message key={id} text={String(row.message)} sought={sought} />}
      <nav class="ways" aria-label="Ways on">
        {row.trace_id && <a href={href('traces', String(row.trace_id))}>Trace</a>}
        {row.session_id && <a href={href('sessions', String(row.session_id))}>Session</a>}
        {row.agent && <a href={href('agents', String(row.agent))}>Agent</a>}
        {typeof row.duration_ms === 'number' && <span class="dim">{duration(row.duration_ms)}</span>}
      </nav>
      <Tabs<Tab>
        label="Views of the entry"
        value={tab}
        onPick={setTab}
        options={[
          ['fields', 'Fields'],
          ['context', 'Around it'],
          ['json', 'JSON'],
        ]}
      />
      <div class="body">
        {tab === 'fields' && <JsonTree value={fieldsOf(row)} actions={actions} />}
        {tab === 'context' && <Context row={row} />}
        {tab === 'json' && <pre class="json">{visible(JSON.stringify(row, null, 2))}</pre>}
      </div>
    </aside>
  );
}

const LONG = 3000;

/** With its line breaks; JSON as a tree; of a long one the beginning first. */
function Message({ text, sought }: { text: string; sought: RegExp | undefined }) {
  const [whole, setWhole] = useState(false),
    [raw, setRaw] = useState(false);
  const inside = useMemo(() => parsed(text), [text]),
    cut = text.length > LONG && !whole;
  return (
    <div class="message" tabIndex={0} aria-label="Message">
      {inside !== undefined && (
        <button type="button" class="more" onClick={() => setRaw(!raw)}>
          {raw ? 'as JSON' : 'as text'}
        </button>
      )}
      {inside !== undefined && !raw ? (
        <JsonTree value={inside} actions={{}} />
      ) : (
        <Marked text={visible(cut ? text.slice(0, LONG) : text)} sought={sought} />
      )}
      {cut && (inside === undefined || raw) && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … {count(text.length - LONG)} more characters
        </button>
      )}
    </div>
  );
}

/** Attributes among the other fields, but for those of the same name; what the server added behind them. The message
 *  stands above already. */
function fieldsOf(row: Row): Json {
  const { message: _message, attributes, id = null, seq = null, received_at = null, ...rest } = row,
    server = { received_at, seq, id };
  if (!attributes || typeof attributes !== 'object' || Array.isArray(attributes)) return { ...rest, ...server };
  const all = Object.entries(attributes),
    alike = all.filter(([k]) => k === 'attributes' || Object.hasOwn(row, k));
  return {
    ...rest,
    ...Object.fromEntries(all.filter((e) => !alike.includes(e))),
    ...(alike.length ? { attributes: Object.fromEntries(alike) } : {}),
    ...server,
  };
}

interface ContextAnswer {
  by: string;
  before: Row[];
  after: Row[];
  entry: Row;
}

const NAMES = { session: 'session_id', trace: 'trace_id', agent: 'agent' } as const;
type By = keyof typeof NAMES;

export function Context({ row }: { row: Row }) {
  const [around, setAround] = useState(10);
  const has = (Object.keys(NAMES) as By[]).filter((k) => row[NAMES[k]]);
  const [by, setBy] = useState<By | undefined>(has[0]);
  const id = String(row.id);
  const { data, error } = useLoad(`context ${id} ${around} ${by}`, (s) =>
    get<ContextAnswer>(`/api/v1/entries/${encodeURIComponent(id)}/context`, { before: around, after: around, by }, s),
  );
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim">…</p>;
  const rows = [...data.before, data.entry, ...data.after];
  const edge = (r: Row | undefined, by: number) => iso(Date.parse(String(r?.timestamp)) + by);
  return (
    <div class="context">
      <p class="choose">
        {has.length > 1 && (
          <label>
            Same{' '}
            <select
              value={by}
              aria-label="Around it in the same"
              onChange={(e) => setBy((e.currentTarget as HTMLSelectElement).value as By)}
            >
              {has.map((k) => (
                <option key={k} value={k}>
                  {k}
                </option>
              ))}
            </select>
          </label>
        )}
        <span class="fill" />
        <a
          href={href('explore', '', {
            q: by ? term(NAMES[by], row[NAMES[by]] as Json) : undefined,
            from: edge(rows[0], 0),
            to: edge(rows[rows.length - 1], 1),
          })}
        >
          Show in the list
        </a>
      </p>
      {rows.map((r) => (
        <a
          key={String(r.id)}
          class={`line ${String(r.level)} ${r.id === id ? 'on' : ''}`}
          aria-current={r.id === id ? 'true' : undefined}
          href={href('entry', String(r.id))}
          title={summary(r).slice(0, 400)}
        >
          <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} /> <b>{plain(r.agent)}</b> {summary(r)}
        </a>
      ))}
      {around < 100 && (
        <button type="button" class="more" onClick={() => setAround(around * 3)}>
          More around it
        </button>
      )}
    </div>
  );
}
