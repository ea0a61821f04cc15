/** The server itself: whether all is well, what comes in, what was refused, what lies on the disk, who may do what. */
import { useEffect, useState } from 'preact/hooks';
import { type Json, type Row, change, get, query } from '../api';
import { ago, bytes, count, duration, moment, plain, short } from '../format';
import { useEvery, useLoad } from '../hooks';
import { Chart } from '../parts/chart';
import { Bar, Code, Empty, Problem, Send, Tabs } from '../parts/common';
import { shows } from '../parts/listing';
import { Table } from '../parts/table';
import { copy, failed, note, now } from '../state';
import { iso } from '../time';
import { go, href, route } from '../url';
import { Figure } from './traces';

interface Status {
  version: string;
  started_at: string;
  open: boolean;
  keys: number;
  store: Row;
  ingest: Record<string, number>;
  refusals?: Row[];
  live: Record<string, number>;
  queries: Record<string, number>;
  classes: Row[];
  scrub: Row;
  limits: Record<string, number>;
}
type View = 'health' | 'retention' | 'keys';

export function Health() {
  const page = route.value.page as View;
  return (
    <div class="page">
      <div class="tools first">
        <Tabs<View>
          label="Parts"
          value={page}
          onPick={(v) => go(v)}
          options={[
            ['health', 'Ingest and store'],
            ['retention', 'Retention'],
            ['keys', 'Keys'],
          ]}
        />
      </div>
      {page === 'retention' ? <Retention /> : page === 'keys' ? <Keys /> : <Store />}
    </div>
  );
}

/** What is wrong and what to do about it, the worst first. */
function wrongs(d: Status): { bad: boolean; text: string; todo: string }[] {
  const st = d.store,
    n = (v: Json | undefined) => Number(v ?? 0),
    out: { bad: boolean; text: string; todo: string }[] = [];
  const say = (bad: boolean, when: boolean, text: string, todo: string) => {
    if (when) out.push({ bad, text, todo });
  };
  say(
    true,
    st.disk_full === true,
    'The disk is full: entries are refused until there is room.',
    'Make room, or let old entries go earlier with --retention or --max-disk.',
  );
  say(
    true,
    st.writer_failed === true,
    'The log cannot be written any more: nothing is accepted. Searching goes on.',
    'See the server’s own log for the reason, mend it and start the server again.',
  );
  say(
    true,
    n(st.corruptions) > 0,
    `${count(n(st.corruptions))} damaged places were found in the store.`,
    'Keep a copy of the data directory; fleetlog verify says what is affected.',
  );
  say(true, n(st.gaps) > 0, `${count(n(st.gaps))} gaps: entries that were accepted are missing.`, 'GET /api/v1/integrity names them.');
  const free = n(st.disk_free) / Math.max(1, n(st.disk_total));
  say(
    false,
    st.disk_full !== true && free < 0.05 && n(st.disk_total) > 0,
    `${bytes(n(st.disk_free))} are left on the disk, ${(free * 100).toFixed(1)} %.`,
    'Make room, or set --max-disk.',
  );
  say(
    false,
    n(d.ingest.failed) > 0,
    `${count(n(d.ingest.failed))} entries could not be stored since the start.`,
    'Their senders were told and may have sent them again.',
  );
  say(
    false,
    n(d.ingest.rejected) > 0,
    `${count(n(d.ingest.rejected))} entries were refused since the start for what they are.`,
    'Their senders were told the reason in the answer: a bad time, not JSON, too large.',
  );
  say(
    false,
    n(d.live.dropped) > 0,
    `${count(n(d.live.dropped))} entries were skipped for live readers that were too slow.`,
    'They were told how many. Narrow what they follow, or read from a sequence number.',
  );
  say(
    false,
    n(d.queries.timeouts) > 0,
    `${count(n(d.queries.timeouts))} queries ran out of time.`,
    `They end after ${duration(n(d.limits.query_timeout_ms))}: narrow their range.`,
  );
  say(
    false,
    n(d.queries.refused) > 0,
    `${count(n(d.queries.refused))} queries were turned away: too many at once.`,
    'Ask again later, or less often.',
  );
  return out.sort((a, b) => Number(b.bad) - Number(a.bad));
}

interface Sample {
  t: number;
  stored: number;
  bytes: number;
}
const EVERY = 2000,
  KEPT = 150;

function Store() {
  const [tick, setTick] = useState(0);
  const [samples, setSamples] = useState<Sample[]>([]);
  useEvery(EVERY, () => setTick((n) => n + 1));
  const { data, error } = useLoad(`status ${tick}`, (s) => get<Status>('/api/v1/status', {}, s));
  const minute = Math.floor(now.value / 60e3);
  const sources = useLoad(`sources ${minute} ${Math.floor(tick / 15)}`, async (s) => {
    const start = iso(Date.now() - 86400e3),
      hour = iso(Date.now() - 3600e3);
    const [all, rate] = await Promise.all([
      query(
        '* | eval lag_ms = received_at - timestamp | stats count() as entries, count() if (level:error) as errors, ' +
          'p95(lag_ms) as lag, count() if (lag_ms > 60000) as late, ' +
          'min(received_at) as first, max(received_at) as last by agent | sort by entries desc, agent | limit 100',
        { start },
        s,
      ),
      query('* | timeline by level', { start: hour }, s),
    ]);
    return { all: all.rows, rate };
  });
  useEffect(() => {
    if (!data) return;
    const one = { t: Date.now(), stored: Number(data.ingest.stored), bytes: Number(data.ingest.bytes) };
    setSamples((old) => (old.length && one.stored < (old[old.length - 1] as Sample).stored ? [one] : [...old.slice(-KEPT), one]));
  }, [data]);
  if (error && !data) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const n = (v: Json | undefined) => count(Number(v ?? 0)),
    st = data.store,
    i = data.ingest;
  const rates = samples.slice(1).map((s, k) => {
    const was = samples[k] as Sample;
    return { time: iso(s.t), 'entries/s': Math.max(0, (s.stored - was.stored) / Math.max(0.001, (s.t - was.t) / 1000)) };
  });
  const recent =
    samples.length > 1 ? (samples[samples.length - 1] as Sample).stored - (samples[Math.max(0, samples.length - 6)] as Sample).stored : 0;
  const over =
    samples.length > 1 ? ((samples[samples.length - 1] as Sample).t - (samples[Math.max(0, samples.length - 6)] as Sample).t) / 1000 : 1;
  const entries = Number(st.segment_rows ?? 0) + Number(st.memtable_rows ?? 0),
    disk = Number(st.segment_bytes ?? 0) + Number(st.wal_bytes ?? 0);
  const out = error?.status === 0,
    wrong = wrongs(data),
    bad = out || wrong.some((w) => w.bad),
    last = (sources.data?.all ?? [])
      .map((r) => String(r.last))
      .sort()
      .at(-1);
  const size = (v: Json | undefined) => bytes(Number(v ?? 0));
  return (
    <div class="pad one">
      <Problem error={error} />
      <div class={`verdict ${bad ? 'bad' : wrong.length ? 'warn' : 'good'}`} role="status">
        <p>
          <b>
            {out
              ? 'It does not answer; these are its last figures'
              : bad
                ? 'Something is wrong'
                : wrong.length
                  ? 'Works, with something to look at'
                  : 'All is well'}
          </b>
          <span>
            {samples.length > 1 && ` · ${short(recent / over)} entries/s`} ·{' '}
            {last ? `last entry ${ago(last)}` : 'waiting for the first entry'}
          </span>
        </p>
        {wrong.length > 0 && (
          <ul>
            {wrong.map((w) => (
              <li key={w.text}>
                {w.text} <span class="dim">{w.todo}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
      {!entries && (
        <Empty title="Waiting for the first entry">
          <p>Send one:</p>
          <Send entry={'{"agent": "planner", "message": "hello"}'} />
        </Empty>
      )}
      <div class="sections">
        <section class="plotted">
          <h3>Entries stored per second, since this page was opened</h3>
          {rates.length > 1 ? (
            <Chart
              columns={['time', 'entries/s']}
              rows={rates}
              bars={false}
              label="Entries stored per second"
              span={[Math.min((samples[0] as Sample).t, Date.now() - 60e3), (samples[samples.length - 1] as Sample).t]}
            />
          ) : (
            <p class="why dim">…</p>
          )}
        </section>
        <section class="plotted">
          <h3>The last hour</h3>
          {sources.data &&
            (!sources.data.rate.rows.length ? (
              <p class="why dim">Nothing came.</p>
            ) : (
              <Chart
                columns={sources.data.rate.columns}
                rows={sources.data.rate.rows}
                bars
                label="Entries of the last hour"
                span={[minute * 60e3 - 3600e3, Math.max(now.value, Date.now())]}
              />
            ))}
        </section>
        <section>
          <h3>Ingest</h3>
          <dl class="figures">
            <Figure name="stored" value={n(i.stored)} />
            <Figure name="duplicates" value={n(i.duplicate)} />
            <Figure name="rejected" value={n(i.rejected)} bad={Number(i.rejected) > 0} />
            <Figure name="failed" value={n(i.failed)} bad={Number(i.failed) > 0} />
            <Figure name="bytes in" value={size(i.bytes)} />
            <Figure name="last sync took" value={duration(Number(st.last_sync_ns ?? 0) / 1e6)} />
            <Figure
              name="entries a sync"
              value={Number(st.wal_syncs) ? short(Number(st.appended_rows ?? 0) / Number(st.wal_syncs)) : '–'}
            />
            <Figure name="waiting" value={size(st.queue_bytes)} />
          </dl>
        </section>
        <section>
          <h3>Store</h3>
          <dl class="figures">
            <Figure name="entries" value={count(entries)} />
            <Figure name="segments" value={n(st.segments)} />
            <Figure name="on disk" value={bytes(disk)} />
            <Figure name="bytes an entry" value={entries ? count(Math.round(disk / entries)) : '–'} />
            <Figure name="in memory" value={size(st.memtable_bytes)} />
            <Figure name="free on disk" value={size(st.disk_free)} />
            <Figure name="gaps" value={n(st.gaps)} bad={Number(st.gaps ?? 0) > 0} />
            <Figure name="corrupt" value={n(st.corruptions)} bad={Number(st.corruptions ?? 0) > 0} />
          </dl>
        </section>
        <section>
          <h3>Readers</h3>
          <dl class="figures">
            <Figure name="queries" value={n(data.queries.run)} />
            <Figure name="waiting" value={n(data.queries.waiting)} />
            <Figure name="timed out" value={n(data.queries.timeouts)} bad={Number(data.queries.timeouts) > 0} />
            <Figure name="live readers" value={n(data.live.subscribers)} />
            <Figure name="dropped" value={n(data.live.dropped)} bad={Number(data.live.dropped) > 0} />
          </dl>
        </section>
        <section>
          <h3>Server</h3>
          <dl class="figures">
            <Figure name="version" value={data.version} />
            <Figure name="up since" value={ago(data.started_at).replace(' ago', '')} />
            <Figure name="keys" value={data.open ? 'none: open on loopback' : n(data.keys)} />
            <Figure name="started with" value={`${n(st.recovered_rows)} recovered in ${duration(Number(st.recovery_ns ?? 0) / 1e6)}`} />
            {data.scrub.finished_at ? <Figure name="checked whole" value={ago(String(data.scrub.finished_at))} /> : null}
          </dl>
        </section>
      </div>
      {data.refusals && data.refusals.length > 0 && (
        <section>
          <h3>Refused, and why</h3>
          <Table
            label="Refusals"
            columns={['last', 'entries', 'path', 'key', 'reason']}
            rows={data.refusals}
            wide="reason"
            minor={['path', 'key']}
            show={shows}
            names={{ last: 'Last', entries: 'Entries', path: 'Sent to', key: 'Key', reason: 'Reason' }}
          />
        </section>
      )}
      <section>
        <h3>Sources of the last day</h3>
        <Table
          label="Sources"
          columns={['agent', 'entries', 'errors', 'lag', 'late', 'first', 'last']}
          rows={sources.data?.all ?? []}
          names={{
            agent: 'Agent',
            entries: 'Entries',
            errors: 'Errors',
            lag: 'Delay, p95',
            late: 'Later than 1 min',
            first: 'First received',
            last: 'Last received',
          }}
          minor={['first', 'late']}
          show={{
            ...shows,
            agent: (v) => (typeof v === 'string' ? <a href={href('agents', v)}>{plain(v)}</a> : <span class="dim">without one</span>),
            lag: (v) => <>{typeof v === 'number' ? duration(Math.max(0, v)) : '–'}</>,
            late: (v) => <span class={Number(v) ? '' : 'dim'}>{count(Number(v))}</span>,
          }}
        />
      </section>
    </div>
  );
}

function Retention() {
  const { data, error } = useLoad('classes', (s) => get<Status>('/api/v1/status', {}, s));
  if (error) return <Problem error={error} />;
  const keep = (v: Json | undefined) => <>{Number(v) ? duration(Number(v) / 1e6) : 'for ever'}</>;
  const most = Math.max(1, ...(data?.classes ?? []).map((c) => Number(c.bytes ?? 0))),
    limit = Number(data?.limits.max_disk_bytes ?? 0);
  return (
    <div class="pad one">
      <p>
        Entries go when they are older than their class keeps them, by the day they were received
        {limit ? `, and the oldest first when the store is larger than ${bytes(limit)}` : ''}. Classes are set where the server is started;
        its log and memory hold the newest entries, which are in no segment yet:
      </p>
      <Code text="fleetlog serve --retention 30d --retention-rule 'level:debug=3d'" />
      <section>
        <h3>Classes</h3>
        <Table
          label="Classes"
          columns={['name', 'retention_ns', 'segments', 'entries', 'bytes', 'oldest']}
          rows={data?.classes ?? []}
          names={{ name: 'Class', retention_ns: 'Kept', segments: 'Segments', entries: 'Entries', bytes: 'On disk', oldest: 'Oldest' }}
          show={{
            retention_ns: keep,
            bytes: (v) => (
              <span class="metered">
                {bytes(Number(v))}
                <Bar share={Number(v) / most} />
              </span>
            ),
            oldest: (v) => <>{v ? new Date(String(v)).toLocaleDateString('sv-SE') : '–'}</>,
          }}
        />
      </section>
    </div>
  );
}

const SCOPES: [string, string][] = [
  ['ingest', 'send entries'],
  ['read', 'search and follow'],
  ['write-marks', 'resolve, save, snooze'],
  ['admin', 'keys, alert rules, deleting'],
];

function Keys() {
  const { data, error } = useLoad(`keys ${now.value}`, (s) => get<{ keys: Row[] }>('/api/v1/keys', {}, s));
  const [made, setMade] = useState('');
  const make = async (e: Event) => {
    e.preventDefault();
    const form = e.currentTarget as HTMLFormElement,
      f = new FormData(form),
      text = (name: string) => String(f.get(name) ?? '').trim();
    try {
      const k = await change<Row>('POST', '/api/v1/keys', {
        name: text('name'),
        scopes: f.getAll('scopes').map(String),
        agent: text('agent') || undefined,
        rate: text('rate') ? Number(text('rate')) : undefined,
        expires: text('expires') ? iso(Date.now() + Number(text('expires')) * 86400e3) : undefined,
      });
      setMade(String(k.key ?? k.secret ?? ''));
      form.reset();
      now.value = Date.now();
    } catch (x) {
      failed(x);
    }
  };
  const revoke = async (r: Row) => {
    if (!confirm(`Revoke the key "${String(r.name)}"? What uses it stops at once.`)) return;
    try {
      await change('DELETE', `/api/v1/keys/${String(r.id)}`);
      note('revoked');
      now.value = Date.now();
    } catch (x) {
      failed(x);
    }
  };
  const when = (v: Json | undefined) => (v ? <time title={String(v)}>{ago(String(v))}</time> : <span class="dim">–</span>);
  const over = (r: Row) => Boolean(r.revoked) || (typeof r.expires === 'string' && Date.parse(r.expires) < Date.now());
  return (
    <div class="pad one">
      <Problem error={error} />
      {made && (
        <div class="warning">
          <p>
            The new key, shown once: <code>{made}</code>{' '}
            <button type="button" onClick={() => void copy(made, 'key copied')}>
              Copy
            </button>
          </p>
          {error?.status === 401 && <p>From now on the server asks for a key: in a browser it is the password, with any name.</p>}
        </div>
      )}
      {data && !data.keys.length && !made && (
        <p>
          No keys: this server is open to whoever reaches it on loopback. The first key closes it; make one with <code>admin</code> for
          yourself.
        </p>
      )}
      {data && data.keys.length > 0 && (
        <section>
          <h3>Keys</h3>
          <Table
            label="Keys"
            columns={['name', 'prefix', 'scopes', 'agent', 'rate', 'created', 'expires', '']}
            rows={data.keys}
            minor={['prefix', 'rate', 'created']}
            names={{
              name: 'Name',
              prefix: 'Begins with',
              scopes: 'May',
              agent: 'Agents',
              rate: 'Entries/s',
              created: 'Made',
              expires: 'Expires',
            }}
            show={{
              name: (v, r) => (
                <span class={over(r) ? 'dim' : ''}>
                  {plain(v)}
                  {over(r) && <b class="chip"> {r.revoked ? 'revoked' : 'expired'}</b>}
                </span>
              ),
              scopes: (v) => (
                <>
                  {(Array.isArray(v) ? v : [v]).map((s) => (
                    <span key={plain(s)} class={`chip ${s === 'admin' ? 'bad' : ''}`}>
                      {plain(s)}
                    </span>
                  ))}
                </>
              ),
              agent: (v) => <>{plain(v) || <span class="dim">all</span>}</>,
              rate: (v) => <>{v ? count(Number(v)) : <span class="dim">any</span>}</>,
              created: when,
              expires: (v) => (v ? <time title={moment(Date.parse(String(v)))}>{ago(String(v))}</time> : <span class="dim">never</span>),
              '': (_v, r) =>
                r.revoked ? (
                  <></>
                ) : (
                  <button type="button" aria-label={`Revoke ${plain(r.name)}`} onClick={() => void revoke(r)}>
                    Revoke
                  </button>
                ),
            }}
          />
        </section>
      )}
      {error?.status !== 403 && (
        <form class="rule newkey" onSubmit={(e) => void make(e)}>
          <fieldset>
            <legend>New key</legend>
            <div class="pair">
              <label>
                Name <input name="name" required placeholder="collector" maxLength={64} />
              </label>
              <label>
                Agents <input name="agent" placeholder="all, or a pattern such as svc-*" />
              </label>
            </div>
            <div class="scopes">
              {SCOPES.map(([s, what]) => (
                <label key={s} class="check">
                  <input type="checkbox" name="scopes" value={s} aria-label={s} defaultChecked={s === 'read'} /> <b>{s}</b>{' '}
                  <span class="dim">{what}</span>
                </label>
              ))}
            </div>
            <div class="pair">
              <label>
                At most, entries/s <input name="rate" type="number" min={1} placeholder="any" />
              </label>
              <label>
                Expires{' '}
                <select name="expires">
                  <option value="">never</option>
                  <option value="1">in a day</option>
                  <option value="30">in 30 days</option>
                  <option value="365">in a year</option>
                </select>
              </label>
            </div>
            <button type="submit" class="run">
              Make a key
            </button>
          </fieldset>
        </form>
      )}
    </div>
  );
}
