/** One span beside the waterfall: what matters first, then what went in and came out, its attributes and log lines. */
import { type Row, query } from '../api';
import { clock, count, duration, hue, money, plain, visible } from '../format';
import { useLoad } from '../hooks';
import { term } from '../query';
import { nameOf, trouble } from '../spans';
import { copy } from '../state';
import { href } from '../url';
import { Level, Problem } from './common';
import { Icon } from './icon';
import { JsonTree } from './jsontree';
import { Value } from './said';

/* said above the attributes already */
const KNOWN = new Set([
  'id',
  'seq',
  'timestamp',
  'received_at',
  'kind',
  'agent',
  'level',
  'message',
  'operation',
  'status',
  'input',
  'output',
  'session_id',
  'trace_id',
  'span_id',
  'parent_id',
  'duration_ms',
  'tool',
  'model',
  'cost_usd',
  'tokens.input',
  'tokens.output',
  'tokens.cache_read',
  'tokens.cache_write',
  'key_id',
  'error_type',
]);
const MOST = 200;

/** `entries`: those of the span, when they are known already. */
export function SpanDetail({
  row,
  trace,
  start,
  entries,
  onClose,
  onStep,
}: {
  row: Row;
  trace: string;
  start: number;
  entries?: Row[];
  onClose: () => void;
  onStep: (by: number) => void;
}) {
  const span = String(row.span_id ?? ''),
    filter = `${term('trace_id', trace)} ${term('span_id', span)}`;
  const { data, error } = useLoad(`span ${trace} ${entries ? 'known' : span}`, async (s) =>
    entries || !span ? [] : (await query(`${filter} | sort by timestamp, seq | limit ${MOST}`, {}, s)).rows,
  );
  const all = entries ?? data ?? [],
    own = all.filter((r) => entries || String(r.kind ?? '').startsWith('span'));
  const logs = entries ? [] : all.filter((r) => !own.includes(r));
  const from = Date.parse(String(row.start)),
    bad = trouble(row);
  const number = (k: string) => (typeof row[k] === 'number' ? (row[k] as number) : undefined);
  const take = (k: string) => own.find((r) => (r[k] ?? null) !== null && r[k] !== '')?.[k];
  const sum = (k: string) => own.reduce((n, r) => n + Number(r[`tokens.${k}`] ?? 0), 0);
  const ms = number('duration_ms'),
    self = number('self_ms'),
    tokens = number('tokens'),
    cost = number('cost_usd'),
    treeTokens = number('tree_tokens'),
    treeCost = number('tree_cost_usd');
  const cached = sum('cache_read'),
    state =
      bad === 'failed'
        ? 'failed'
        : row.state === 'running'
          ? 'running'
          : row.state === 'unknown_end'
            ? 'end never told'
            : row.state === 'log'
              ? 'log line'
              : row.state === 'point'
                ? 'moment'
                : row.status
                  ? plain(row.status)
                  : 'done';
  const attributes: Row = {};
  for (const r of own) for (const [k, v] of Object.entries(r)) if (v !== null && v !== '' && !KNOWN.has(k)) attributes[k] = v;
  const message = plain(row.message),
    output = take('output'),
    input = take('input');
  return (
    <aside class="detail spandetail" aria-label="Span">
      <header>
        <i class="dot" style={{ background: `hsl(${hue(String(row.agent ?? row.name))} 50% var(--chart-light))` }} />
        <strong class="what">{plain(nameOf(row))}</strong>
        <span class="fill" />
        <button type="button" title="Before it (k)" aria-label="Span before" onClick={() => onStep(-1)}>
          ↑
        </button>
        <button type="button" title="After it (j)" aria-label="Span after" onClick={() => onStep(1)}>
          ↓
        </button>
        <button type="button" title="Copy a link" aria-label="Copy a link" onClick={() => void copy(location.href, 'link copied')}>
          <Icon name="copy" />
        </button>
        <button type="button" title="Close (Esc)" aria-label="Close" onClick={onClose}>
          ×
        </button>
      </header>
      <div class="body">
        <dl class="figures">
          <div class={bad === 'failed' ? 'bad' : ''}>
            <dt>state</dt>
            <dd>{state}</dd>
          </div>
          {ms !== undefined && (
            <div>
              <dt>took</dt>
              <dd>{duration(ms)}</dd>
            </div>
          )}
          {self !== undefined && self !== ms && (
            <div>
              <dt>self time</dt>
              <dd>{duration(self)}</dd>
            </div>
          )}
          {!isNaN(from - start) && (
            <div title={String(row.start)}>
              <dt>began</dt>
              <dd>+{duration(Math.max(0, from - start))}</dd>
            </div>
          )}
          {tokens ? (
            <div>
              <dt>tokens</dt>
              <dd title={cached ? `${count(cached)} of them from the cache` : undefined}>{count(tokens)}</dd>
            </div>
          ) : null}
          {cost ? (
            <div>
              <dt>cost</dt>
              <dd>{money(cost)}</dd>
            </div>
          ) : null}
          {treeTokens && treeTokens !== tokens ? (
            <div>
              <dt>tokens with all below</dt>
              <dd>{count(treeTokens)}</dd>
            </div>
          ) : null}
          {treeCost && treeCost !== cost ? (
            <div>
              <dt>cost with all below</dt>
              <dd>{money(treeCost)}</dd>
            </div>
          ) : null}
        </dl>
        <p class="facts">
          {row.agent && <a href={href('agents', String(row.agent))}>{plain(row.agent)}</a>}
          {row.model && <span class="chip">{plain(row.model)}</span>}
          {row.tool && <span class="chip">{plain(row.tool)}</span>}
          {row.critical === true && <span class="chip">critical path</span>}
          {bad && take('error_type') && <span class="chip bad">{plain(take('error_type'))}</span>}
          <span class="fill" />
          {span && !entries && <a href={href('explore', '', { q: filter, from: 'all' })}>Entries</a>}
          {entries?.[0]?.id && <a href={href('entry', String(entries[0].id))}>Entry</a>}
        </p>
        {message && !plain(output).startsWith(message.slice(0, 80)) && (
          <p class={`message ${bad === 'failed' ? 'bad' : ''}`}>{visible(String(row.message))}</p>
        )}
        <Problem error={error} />
        {input !== undefined && (
          <Part title="Input">
            <Value value={input} />
          </Part>
        )}
        {output !== undefined && (
          <Part title="Output">
            <Value value={output} />
          </Part>
        )}
        {logs.length > 0 && (
          <Part title={`Log lines (${count(logs.length)}${all.length === MOST ? '+' : ''})`}>
            {logs.map((r) => (
              <a key={String(r.id)} class={`line ${String(r.level)}`} href={href('entry', String(r.id))} title={plain(r.message)}>
                <time>{clock(String(r.timestamp))}</time> <Level level={String(r.level)} /> {plain(r.message ?? r.event)}
              </a>
            ))}
          </Part>
        )}
        {Object.keys(attributes).length > 0 && (
          <Part title="Attributes">
            <JsonTree value={attributes} actions={{}} />
          </Part>
        )}
        {span && (
          <Part title="Ids">
            <JsonTree
              value={Object.fromEntries(
                ['span_id', 'parent_id', 'trace_id', 'session_id'].flatMap((k) => (row[k] ? [[k, row[k] as string]] : [])),
              )}
              actions={{}}
            />
          </Part>
        )}
      </div>
    </aside>
  );
}

function Part({ title, children }: { title: string; children: preact.ComponentChildren }) {
  return (
    <details open>
      <summary>{title}</summary>
      {children}
    </details>
  );
}
