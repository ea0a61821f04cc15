/** One entry beside the rows: all of it as a tree, what happened around it, and the ways on from it. */
import { useState } from 'preact/hooks';
import { type Json, type Row, get } from '../api';
import { clock, duration, plain, visible } from '../format';
import { useLoad } from '../hooks';
import { copy } from '../state';
import { href } from '../url';
import { Level, Problem, Tabs } from './common';
import { Icon } from './icon';
import { JsonTree, type TreeActions } from './jsontree';
import { summary } from './rows';

type Tab = 'fields' | 'context' | 'json';

export function Detail({ row, actions, onClose, onStep }:
  { row: Row; actions: TreeActions; onClose: () => void; onStep: (by: number) => void }) {
  const [tab, setTab] = useState<Tab>('fields');
  const id = String(row.id ?? '');
  return (
    <aside class="detail" aria-label="Entry">
      <header>
        <Level level={String(row.level)} />
        <time title={String(row.timestamp)}>{clock(String(row.timestamp), true)}</time>
        {row.agent && <strong>{plain(row.agent)}</strong>}
        <span class="fill" />
        <button type="button" title="Newer (k)" aria-label="Newer entry" onClick={() => onStep(-1)}>↑</button>
        <button type="button" title="Older (j)" aria-label="Older entry" onClick={() => onStep(1)}>↓</button>
        <button type="button" title="Copy a link" aria-label="Copy a link"
                onClick={() => void copy(`${location.origin}${location.pathname}${href('entry', id)}`, 'link copied')}><Icon name="copy" /></button>
        <button type="button" title="Close (Esc)" aria-label="Close" onClick={onClose}>×</button>
      </header>
      {row.message && <p class="message">{visible(String(row.message))}</p>}
      <nav class="ways">
        {row.trace_id && <a href={href('traces', String(row.trace_id))}>Trace</a>}
        {row.session_id && <a href={href('sessions', String(row.session_id))}>Session</a>}
        {row.agent && <a href={href('agents', String(row.agent))}>Agent</a>}
        {typeof row.duration_ms === 'number' && <span class="dim">{duration(row.duration_ms)}</span>}
      </nav>
      <Tabs<Tab> label="Views of the entry" value={tab} onPick={setTab}
                 options={[['fields', 'Fields'], ['context', 'Around it'], ['json', 'JSON']]} />
      <div class="body">
        {tab === 'fields' && <JsonTree value={fieldsOf(row)} actions={actions} />}
        {tab === 'context' && <Context id={id} />}
        {tab === 'json' && <pre class="json">{visible(JSON.stringify(row, null, 2))}</pre>}
      </div>
    </aside>
  );
}

/** Attributes among the other fields, but for those of the same name; the message stands above already. */
function fieldsOf(row: Row): Json {
  const { message: _message, attributes, ...rest } = row;
  if (!attributes || typeof attributes !== 'object' || Array.isArray(attributes)) return rest;
  const all = Object.entries(attributes), alike = all.filter(([k]) => k === 'attributes' || Object.hasOwn(row, k));
  return { ...rest, ...Object.fromEntries(all.filter((e) => !alike.includes(e))),
    ...(alike.length ? { attributes: Object.fromEntries(alike) } : {}) };
}

interface ContextAnswer {
  before?: Row[];
  after?: Row[];
  entry?: Row;
  rows?: Row[];
}

export function Context({ id }: { id: string }) {
  const [around, setAround] = useState(10);
  const { data, error } = useLoad(`context ${id} ${around}`, (s) =>
    get<ContextAnswer>(`/api/v1/entries/${encodeURIComponent(id)}/context`, { before: around, after: around }, s));
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim">…</p>;
  const rows = data.rows ?? [...(data.before ?? []), ...(data.entry ? [data.entry] : []), ...(data.after ?? [])];
  return (
    <div class="context">
      {rows.map((r) => (
        <a key={String(r.id)} class={`line ${String(r.level)} ${r.id === id ? 'on' : ''}`} href={href('entry', String(r.id))}>
          <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} /> <b>{plain(r.agent)}</b> {summary(r)}
        </a>
      ))}
      {around < 100 && <button type="button" class="more" onClick={() => setAround(around * 3)}>More around it</button>}
    </div>
  );
}
