/** Dashboards that there are, and views that were saved. */
import { useState } from 'preact/hooks';
import { type Row, change, get } from '../api';
import { ago, count, plain, visible } from '../format';
import { useLoad } from '../hooks';
import { Code, Empty, Problem, Tabs } from '../parts/common';
import { type Panel } from '../parts/panel';
import { Table } from '../parts/table';
import { copy, failed, note, now } from '../state';
import { go, href, route } from '../url';
import { Board, type Doc, panelsOf } from './board';

export function Dashboards() {
  const { page, id } = route.value;
  return page === 'dashboards' && id ? <Board key={id} name={id} /> : <List saved={page === 'saved'} />;
}

async function drop(kind: string, d: Doc): Promise<void> {
  if (!confirm(`Delete "${d.title}"?`)) return;
  try {
    await change('DELETE', `/api/v1/${kind}/${encodeURIComponent(d.name)}`);
    now.value = Date.now();
  } catch (e) {
    failed(e);
  }
}

function List({ saved }: { saved: boolean }) {
  const make = async () => {
    const title = prompt('Title of the dashboard');
    if (!title) return;
    try {
      const d = await change<Doc>('POST', '/api/v1/dashboards', { title, panels: [] });
      go('dashboards', d.name, { edit: '1' });
    } catch (e) {
      failed(e);
    }
  };
  return (
    <div class="page">
      <div class="tools first">
        <Tabs
          label="Parts"
          value={saved ? 'saved' : 'dashboards'}
          onPick={(v) => go(v)}
          options={[
            ['dashboards', 'Dashboards'],
            ['saved', 'Saved views'],
          ]}
        />
        <span class="fill" />
        {!saved && (
          <button type="button" onClick={() => void make()}>
            New dashboard
          </button>
        )}
      </div>
      {saved ? <Saved /> : <Cards />}
    </div>
  );
}

function Cards() {
  const { data, error } = useLoad(`dashboards ${now.value}`, (s) => get<{ dashboards: Doc[] }>('/api/v1/dashboards', {}, s));
  return (
    <>
      <Problem error={error} />
      <ul class="cards">
        {(data?.dashboards ?? []).map((d) => {
          const panels = panelsOf(d);
          return (
            <li key={d.name}>
              <a href={href('dashboards', d.name)}>
                <Sketch panels={panels} />
                <b>{visible(d.title)}</b>
                <span class="dim">
                  {panels.length === 1 ? '1 panel' : `${count(panels.length)} panels`} ·{' '}
                  {d.builtin === true
                    ? 'comes with fleetlog'
                    : `changed ${ago(String(d.changed))}${d.changed_by ? ` by ${plain(d.changed_by)}` : ''}`}
                </span>
              </a>
              {d.builtin !== true && (
                <button type="button" aria-label={`Delete ${visible(d.title)}`} onClick={() => void drop('dashboards', d)}>
                  ×
                </button>
              )}
            </li>
          );
        })}
      </ul>
    </>
  );
}

/** The layout of a dashboard, small: what the panels are, and where. */
function Sketch({ panels }: { panels: Panel[] }) {
  return (
    <span class="sketch" aria-hidden="true">
      {panels.slice(0, 14).map((p, i) => (
        <span
          key={i}
          class={`t-${p.type}`}
          style={{ gridColumn: `span ${Math.max(2, Math.min(12, p.w ?? 6))}`, gridRow: `span ${Math.max(1, Math.min(6, p.h ?? 4))}` }}
        />
      ))}
    </span>
  );
}

function Saved() {
  const { data, error } = useLoad(`saved ${now.value}`, (s) => get<{ saved: Doc[] }>('/api/v1/saved', {}, s));
  const [renamed, rename] = useState('');
  const params = (d: Row) => (d.params ?? {}) as Record<string, string>;
  const link = (d: Row) => href(String(d.page ?? 'explore'), String(d.id ?? ''), params(d));
  const retitle = async (name: string, title: string) => {
    rename('');
    const d = data?.saved.find((x) => x.name === name);
    if (!d || !title || title === d.title) return;
    try {
      await change('PUT', `/api/v1/saved/${encodeURIComponent(name)}`, { ...d, title });
      now.value = Date.now();
      note('renamed');
    } catch (e) {
      failed(e);
    }
  };
  if (error) return <Problem error={error} />;
  if (data && !data.saved.length) {
    return (
      <Empty title="No saved views">
        <p>
          Save what you look at, from the commands (<kbd>Ctrl K</kbd>): the page with its query, range and columns. Or from a shell:
        </p>
        <Code
          text={
            `curl ${location.origin}/api/v1/saved -d ` +
            `'{"title": "Slow tools", "params": {"q": "tool:* duration_ms>1s", "from": "now-1h"}}'`
          }
        />
      </Empty>
    );
  }
  return (
    <Table
      label="Saved views"
      columns={['title', 'page', 'query', 'changed', '']}
      rows={(data?.saved ?? []).map((d) => ({ ...d, query: params(d).q ?? (typeof d.id === 'string' ? d.id : '') }))}
      show={{
        title: (v, r) =>
          renamed === r.name ? (
            <input
              defaultValue={String(v)}
              aria-label="New title"
              maxLength={128}
              ref={(e) => e?.focus()}
              onBlur={(e) => void retitle(String(r.name), (e.currentTarget as HTMLInputElement).value.trim())}
              onKeyDown={(e) => {
                if (e.key === 'Enter') (e.currentTarget as HTMLInputElement).blur();
                else if (e.key === 'Escape') rename('');
              }}
            />
          ) : (
            <a href={link(r)}>{plain(v)}</a>
          ),
        page: (v) => <span class="dim">{plain(v)}</span>,
        query: (v) => (
          <code class="mono" title={plain(v)}>
            {plain(v) || 'everything'}
          </code>
        ),
        changed: (v, r) => (
          <span class="dim" title={String(v)}>
            {ago(String(v))}
            {r.changed_by ? ` by ${plain(r.changed_by)}` : ''}
          </span>
        ),
        '': (_v, r) => (
          <span class="acting">
            <button type="button" class="link" onClick={() => void copy(`${location.origin}${location.pathname}${link(r)}`, 'link copied')}>
              Copy link
            </button>
            <button type="button" class="link" aria-label={`Rename ${plain(r.title)}`} onClick={() => rename(String(r.name))}>
              Rename
            </button>
            <button type="button" class="link" aria-label={`Delete ${plain(r.title)}`} onClick={() => void drop('saved', r as Doc)}>
              Delete
            </button>
          </span>
        ),
      }}
    />
  );
}

/** Saves the present page under a title. */
export async function saveView(): Promise<void> {
  const title = prompt('Save this view as');
  if (!title) return;
  const { page, id, params } = route.value;
  const { open: _open, ...kept } = params;
  try {
    await change('POST', '/api/v1/saved', { title, page, ...(id ? { id } : {}), params: kept });
    note('saved');
  } catch (e) {
    failed(e);
  }
}
