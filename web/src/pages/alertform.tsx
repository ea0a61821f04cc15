/** Making and changing an alert rule, with what it would have done in the last day. */
import { useEffect, useState } from 'preact/hooks';
import { type ApiError, type Json, type Row, change, query } from '../api';
import { count, plain, short, visible } from '../format';
import { useLoad } from '../hooks';
import { Chart } from '../parts/chart';
import { Problem } from '../parts/common';
import { Table } from '../parts/table';
import { filterOf, pipesOf } from '../query';
import { failed, note, now } from '../state';
import { iso } from '../time';
import { go, route } from '../url';

const KINDS: [string, string][] = [
  ['above', 'is above'],
  ['below', 'is below'],
  ['rises', 'rises by more than, %'],
  ['falls', 'falls by more than, %'],
  ['absent', 'nothing comes'],
  ['new_issue', 'a new issue is seen'],
];

interface Draft {
  name: string;
  about: string;
  query: string;
  by: string;
  value: string;
  window: string;
  every: string;
  kind: string;
  limit: string;
  clear: string;
  for: string;
  keep: string;
  severity: string;
  log: boolean;
  hooks: { url: string; secret: string }[];
  others: Json[]; /* targets that this page does not change */
}

const text = (v: Json | undefined, usual = '') => (v === undefined || v === null || v === '0' ? usual : String(v));

function draftOf(rule: Row | undefined): Draft {
  const when = (rule?.when ?? { above: 10 }) as Record<string, Json>,
    kind = KINDS.find(([k]) => k in when)?.[0] ?? 'above';
  const send = (Array.isArray(rule?.send) ? rule.send : [{ log: true }]) as Record<string, Json>[];
  return {
    name: text(rule?.name),
    about: text(rule?.about),
    query: text(rule?.query, rule ? '' : route.value.params.q || 'level:error'),
    by: Array.isArray(rule?.by) ? rule.by.join(', ') : text(rule?.by),
    value: text(rule?.value),
    window: text(rule?.window, '5m'),
    every: text(rule?.every, '1m'),
    kind,
    limit: typeof when[kind] === 'number' ? String(when[kind]) : '10',
    clear: text(when.clear),
    for: text(rule?.for),
    keep: text(rule?.keep),
    severity: text(rule?.severity, 'warning'),
    log: send.some((s) => s.log === true),
    hooks: send.filter((s) => 'webhook' in s).map((s) => ({ url: text(s.webhook), secret: text(s.secret) })),
    others: send.filter((s) => !('webhook' in s) && s.log !== true),
  };
}

const numeric = (kind: string) => !['absent', 'new_issue'].includes(kind);

/** The rule as the server takes it; what was left empty is not in it. */
function ruleOf(d: Draft, old: Row | undefined): Row {
  const by = d.by
    .split(',')
    .map((x) => x.trim())
    .filter(Boolean);
  const when: Record<string, Json> = { [d.kind]: numeric(d.kind) ? Number(d.limit) : true };
  if (d.clear && ['above', 'below'].includes(d.kind)) when.clear = Number(d.clear);
  const hooks = d.hooks.filter((h) => h.url.trim()).map((h): Row => ({ webhook: h.url.trim(), ...(h.secret ? { secret: h.secret } : {}) }));
  const send: Json[] = [...(d.log ? [{ log: true }] : []), ...hooks, ...d.others];
  const out: Row = { name: d.name.trim(), severity: d.severity, when, send };
  if (d.kind !== 'new_issue')
    Object.assign(
      out,
      old?.metric
        ? { metric: old.metric }
        : { query: d.query.trim(), ...(by.length ? { by } : {}), ...(d.value.trim() ? { value: d.value.trim() } : {}) },
      { window: d.window.trim() },
    );
  for (const k of ['about', 'every', 'for', 'keep'] as const) if (d[k].trim()) out[k] = d[k].trim();
  for (const k of ['labels', 'repeat', 'max_groups', 'timeout', 'enabled'] as const)
    if (old && old[k] !== undefined && text(old[k])) out[k] = old[k] as Json;
  return out;
}

export function RuleForm({ rule }: { rule?: Row }) {
  const [d, setDraft] = useState(draftOf(rule));
  const [asked, ask] = useState<Row>();
  const [busy, setBusy] = useState(false);
  const put = (some: Partial<Draft>) => setDraft((old) => ({ ...old, ...some }));
  const of = (e: Event) => (e.currentTarget as HTMLInputElement).value;
  const made = JSON.stringify(ruleOf(d, rule));
  useEffect(() => {
    /* what it would do is asked when the typing pauses */
    const timer = setTimeout(() => ask({ ...(JSON.parse(made) as Row), name: d.name.trim() || 'preview' }), 400);
    return () => clearTimeout(timer);
  }, [made]);
  const leave = () => go('alerts', rule ? String(rule.name) : '');
  const save = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    try {
      const body = JSON.parse(made) as Row;
      if (rule) await change('PUT', `/api/v1/alerts/${encodeURIComponent(String(rule.name))}`, body);
      else await change('POST', '/api/v1/alerts', body);
      now.value = Date.now();
      note('saved');
      go('alerts', String(body.name));
    } catch (x) {
      failed(x);
    } finally {
      setBusy(false);
    }
  };
  const field = (name: keyof Draft, label: string, more: Record<string, unknown> = {}) => (
    <label>
      {label} <input value={String(d[name])} onInput={(e) => put({ [name]: of(e) } as Partial<Draft>)} {...more} />
    </label>
  );
  return (
    <div class="page">
      <div class="tools first">
        <h2>{rule ? `Change ${visible(String(rule.name))}` : 'New alert rule'}</h2>
      </div>
      <div class="across ruling">
        <form class="rule pad" onSubmit={(e) => void save(e)}>
          {field('name', 'Name', {
            required: true,
            maxLength: 64,
            pattern: '[A-Za-z0-9._\\-]+',
            disabled: rule !== undefined,
            placeholder: 'many-errors',
          })}
          {field('about', 'About', { maxLength: 1024, placeholder: 'a sentence for whoever is woken' })}
          <fieldset>
            <legend>When</legend>
            {d.kind !== 'new_issue' &&
              (rule?.metric ? (
                <p>
                  the figure <code>{plain(rule.metric)}</code>
                </p>
              ) : (
                <>
                  <label>
                    Query <textarea rows={3} spellcheck={false} required value={d.query} onInput={(e) => put({ query: of(e) })} />
                  </label>
                  <div class="pair">
                    {field('by', 'For each', { placeholder: 'one for all, or agent' })}
                    {field('value', 'Column compared', { placeholder: 'the only one' })}
                  </div>
                </>
              ))}
            <div class="pair three">
              <label>
                Condition{' '}
                <select value={d.kind} onChange={(e) => put({ kind: of(e) })}>
                  {KINDS.map(([k, name]) => (
                    <option key={k} value={k}>
                      {name}
                    </option>
                  ))}
                </select>
              </label>
              {numeric(d.kind) && field('limit', 'Than', { type: 'number', step: 'any', required: true })}
              {['above', 'below'].includes(d.kind) && field('clear', 'Over at', { type: 'number', step: 'any', placeholder: d.limit })}
            </div>
            <div class="pair three">
              {d.kind !== 'new_issue' && field('window', 'In the last', { placeholder: '5m', pattern: '\\d+(ms|s|m|h|d)' })}
              {field('every', 'Looked at every', { placeholder: '1m', pattern: '\\d+(ms|s|m|h|d)' })}
              {field('for', 'Lasting', { placeholder: 'at once', pattern: '\\d+(ms|s|m|h|d)' })}
            </div>
          </fieldset>
          <fieldset>
            <legend>Then</legend>
            <label>
              Severity{' '}
              <select value={d.severity} onChange={(e) => put({ severity: of(e) })}>
                {['info', 'warning', 'critical'].map((s) => (
                  <option key={s} value={s}>
                    {s}
                  </option>
                ))}
              </select>
            </label>
            <label class="check">
              <input type="checkbox" checked={d.log} onChange={(e) => put({ log: (e.currentTarget as HTMLInputElement).checked })} /> write
              an entry (agent <code>fleetlog</code>, event <code>alert</code>)
            </label>
            {d.hooks.map((h, i) => (
              <div key={i} class="pair">
                <label>
                  Webhook{' '}
                  <input
                    type="url"
                    placeholder="https://"
                    value={h.url}
                    onInput={(e) => put({ hooks: d.hooks.map((x, n) => (n === i ? { ...x, url: of(e) } : x)) })}
                  />
                </label>
                <label>
                  Secret{' '}
                  <input
                    type="password"
                    autocomplete="new-password"
                    placeholder="none"
                    value={h.secret}
                    onInput={(e) => put({ hooks: d.hooks.map((x, n) => (n === i ? { ...x, secret: of(e) } : x)) })}
                  />
                </label>
              </div>
            ))}
            {d.hooks.length < 4 && (
              <button type="button" onClick={() => put({ hooks: [...d.hooks, { url: '', secret: '' }] })}>
                Add a webhook
              </button>
            )}
          </fieldset>
          <p class="acting">
            <button type="submit" class="run" disabled={busy}>
              Save
            </button>
            <button type="button" onClick={leave}>
              Cancel
            </button>
          </p>
        </form>
        {asked && <Preview rule={asked} />}
      </div>
    </div>
  );
}

/** The windows of the last day, one after the other, as the rule counts them; undefined where that cannot be asked. */
function windowed(rule: Row): string | undefined {
  const q = String(rule.query ?? ''),
    pipes = pipesOf(q),
    by = Array.isArray(rule.by) ? rule.by.map(String) : [];
  if (!('above' in (rule.when as object) || 'below' in (rule.when as object)) || !rule.query) return undefined;
  const keys = [`time(${String(rule.window)})`, ...by].join(', ');
  if (!pipes) return `${filterOf(q) || '*'} | stats count() as value by ${keys}`;
  const m = /^\|\s*stats\s([^|]*?)(?:\sby\s[^|]*)?(\|.*)?$/s.exec(pipes);
  return m ? `${filterOf(q) || '*'} | stats ${m[1]} by ${keys} ${m[2] ?? ''}` : undefined;
}

function Preview({ rule }: { rule: Row }) {
  const key = JSON.stringify(rule),
    when = rule.when as Record<string, number>,
    q = windowed(rule);
  const test = useLoad(`test ${key}`, (s) => change<Row>('POST', `/api/v1/alerts/${encodeURIComponent(String(rule.name))}/test`, rule, s));
  const start = Math.floor(now.value / 60e3) * 60e3 - 86400e3;
  const day = useLoad(`day ${q} ${start}`, async (s) => (q ? query(q, { start: iso(start), limit: 20000 }, s) : undefined));
  const groups = (Array.isArray(test.data?.groups) ? test.data.groups : []) as Row[];
  const limit = when.above ?? when.below ?? NaN,
    out = (v: number) => (when.above !== undefined ? v > limit : v < limit);
  const names = (Array.isArray(rule.by) ? rule.by : []) as string[],
    rows = day.data?.rows ?? [];
  const column = rule.value
    ? String(rule.value)
    : day.data?.columns.find((c) => c !== 'time' && !names.includes(c) && rows.some((r) => typeof r[c] === 'number'));
  const size = rows.map((r) => Date.parse(String(r.time))).sort((a, b) => a - b);
  const step = size.reduce((m, t, i) => (i && t > (size[i - 1] as number) ? Math.min(m, t - (size[i - 1] as number)) : m), Infinity);
  /* windows past the limit that follow each other are one alert */
  const lastOf = new Map<string, number>(),
    times = new Map<string, number>();
  for (const r of [...rows].sort((a, b) => Date.parse(String(a.time)) - Date.parse(String(b.time)))) {
    const name = names.map((n) => plain(r[n])).join(' · '),
      t = Date.parse(String(r.time));
    if (!column || typeof r[column] !== 'number' || !out(r[column])) continue;
    const before = lastOf.get(name);
    if (before === undefined || t - before > step * 1.5) times.set(name, (times.get(name) ?? 0) + 1);
    lastOf.set(name, t);
  }
  const total = [...times.values()].reduce((a, b) => a + b, 0);
  const error = test.error as ApiError | undefined;
  return (
    <aside class="preview pad" aria-label="Preview" aria-live="polite">
      <h3>What it would do</h3>
      {error ? (
        <Problem error={error} />
      ) : (
        test.data && (
          <p>
            {groups.some((g) => g.breached === true) ? (
              <b class="badnumber">
                Now it would fire{names.length ? ` for ${count(groups.filter((g) => g.breached === true).length)}` : ''}.
              </b>
            ) : (
              <b class="good">Now it would be quiet.</b>
            )}{' '}
            <span class="dim">{plain(test.data.condition)}</span>
          </p>
        )
      )}
      {!error && q && day.data && column && (
        <>
          <p>
            In the last 24 hours it would have fired{' '}
            <b class={total ? 'badnumber' : ''}>
              {count(total)} {total === 1 ? 'time' : 'times'}
            </b>
            {names.length > 0 && total > 0 && (
              <span class="dim">
                :{' '}
                {[...times]
                  .sort((a, b) => b[1] - a[1])
                  .slice(0, 5)
                  .map(([n, k]) => `${n} ${k}×`)
                  .join(', ')}
                {times.size > 5 ? ' …' : ''}
              </span>
            )}
            .
          </p>
          {rows.length > 0 && (
            <div class="plotted">
              <Chart
                columns={['time', ...names, column]}
                rows={rows}
                bars={!names.length}
                label="The last 24 hours"
                span={[Math.max(start, (size[0] ?? start) - 60e3), now.value]}
                mark={limit}
              />
            </div>
          )}
          <p class="dim">Windows of {plain(rule.window)} that follow each other, without “lasting”.</p>
        </>
      )}
      {!error && groups.length > 0 && (
        <Table
          label="Now"
          columns={[...(names.length ? ['group'] : []), 'value', 'breached']}
          names={{ group: names.join(', '), value: 'Now', breached: 'Fires' }}
          rows={groups.slice(0, 50)}
          show={{
            group: (v) => (
              <>
                {Object.values((v ?? {}) as Row)
                  .map(plain)
                  .join(' · ')}
              </>
            ),
            value: (v) => <>{typeof v === 'number' ? short(v) : '–'}</>,
            breached: (v) => <span class={v ? 'badnumber' : 'dim'}>{v ? 'yes' : 'no'}</span>,
          }}
        />
      )}
    </aside>
  );
}
