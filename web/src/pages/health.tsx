/** The server itself: what comes in, what was refused, what lies on the disk, who may do what. */
import { useState } from 'preact/hooks';
import { ApiError, type Json, type Row, change, get, query } from '../api';
import { bytes, count, duration } from '../format';
import { useEvery, useLoad } from '../hooks';
import { Problem, Tabs } from '../parts/common';
import { shows } from '../parts/listing';
import { Table } from '../parts/table';
import { note, now } from '../state';
import { Figure } from './traces';

interface Status {
  version: string;
  started_at: string;
  open: boolean;
  store: Row;
  ingest: Record<string, number>;
  live: Record<string, number>;
  queries: Record<string, number>;
  classes: Row[];
  scrub: Row;
  limits: Record<string, number>;
}
type View = 'health' | 'retention' | 'keys';

export function Health() {
  const [view, setView] = useState<View>('health');
  return (
    <div class="page">
      <div class="tools first">
        <Tabs<View> label="Parts" value={view} onPick={setView} options={[['health', 'Ingest and store'], ['retention', 'Retention'], ['keys', 'Keys']]} />
      </div>
      {view === 'health' ? <Store /> : view === 'retention' ? <Retention /> : <Keys />}
    </div>
  );
}

function Store() {
  const [tick, setTick] = useState(0);
  useEvery(2000, () => setTick((n) => n + 1));
  const { data, error } = useLoad(`status ${tick}`, (s) => get<Status>('/api/v1/status', {}, s));
  const sources = useLoad(`sources ${now.value}`, (s) =>
    query('* | stats count() as entries, count() if (level:error) as errors, min(received_at) as first, max(received_at) as last by agent | sort by entries desc, agent | limit 100',
      { start: new Date(now.value - 86400e3).toISOString() }, s));
  if (error) return <Problem error={error} />;
  if (!data) return <p class="dim pad">…</p>;
  const n = (v: Json | undefined) => count(Number(v ?? 0));
  const st = data.store, i = data.ingest;
  const bad = st.writer_failed === true || st.disk_full === true;
  return (
    <div class="pad">
      {bad && <p class="problem">{st.disk_full ? 'The disk is full: entries are refused until there is room.' : 'The log cannot be written any more: nothing is accepted. Searching goes on.'}</p>}
      <h3>Ingest</h3>
      <dl class="figures">
        <Figure name="stored" value={n(i.stored)} /><Figure name="duplicates" value={n(i.duplicate)} />
        <Figure name="rejected" value={n(i.rejected)} bad={Number(i.rejected) > 0} /><Figure name="failed" value={n(i.failed)} bad={Number(i.failed) > 0} />
        <Figure name="bytes in" value={bytes(Number(i.bytes ?? 0))} /><Figure name="last sync took" value={duration(Number(st.last_sync_ns ?? 0) / 1e6)} />
      </dl>
      <h3>Store</h3>
      <dl class="figures">
        <Figure name="entries" value={n(Number(st.segment_rows ?? 0) + Number(st.memtable_rows ?? 0))} /><Figure name="segments" value={n(st.segments)} />
        <Figure name="on disk" value={bytes(Number(st.segment_bytes ?? 0) + Number(st.wal_bytes ?? 0))} />
        <Figure name="in memory" value={n(st.memtable_rows)} /><Figure name="free on disk" value={bytes(Number(st.disk_free ?? 0))} />
        <Figure name="gaps" value={n(st.gaps)} bad={Number(st.gaps ?? 0) > 0} /><Figure name="corrupt" value={n(st.corruptions)} bad={Number(st.corruptions ?? 0) > 0} />
      </dl>
      <h3>Readers</h3>
      <dl class="figures">
        <Figure name="queries" value={n(data.queries.run)} /><Figure name="timed out" value={n(data.queries.timeouts)} bad={Number(data.queries.timeouts) > 0} />
        <Figure name="live readers" value={n(data.live.subscribers)} /><Figure name="dropped" value={n(data.live.dropped)} bad={Number(data.live.dropped) > 0} />
      </dl>
      <h3>Sources of the last day</h3>
      <Table label="Sources" columns={['agent', 'entries', 'errors', 'first', 'last']} rows={sources.data?.rows ?? []} show={shows} />
      <p class="dim">fleetlog {data.version}, up since {new Date(data.started_at).toLocaleString('sv-SE')}{data.open ? ', open on loopback: no keys are configured' : ''}</p>
    </div>
  );
}

function Retention() {
  const { data, error } = useLoad('classes', (s) => get<Status>('/api/v1/status', {}, s));
  if (error) return <Problem error={error} />;
  const keep = (v: Json | undefined) => <>{Number(v) ? duration(Number(v) / 1e6) : 'for ever'}</>;
  return (
    <div class="pad">
      <p>Entries go when they are older than their class keeps them, by the day they were received. Classes are set with
        <code> fleetlog serve --retention</code> and <code>--retention-rule</code>.</p>
      <Table label="Classes" columns={['name', 'retention_ns', 'segments', 'entries', 'bytes', 'oldest']} rows={data?.classes ?? []}
             show={{ retention_ns: keep, bytes: (v) => <>{bytes(Number(v))}</>, oldest: (v) => <>{v ? new Date(String(v)).toLocaleDateString('sv-SE') : '–'}</> }} />
    </div>
  );
}

function Keys() {
  const { data, error } = useLoad(`keys ${now.value}`, (s) => get<{ keys: Row[] }>('/api/v1/keys', {}, s));
  const [made, setMade] = useState('');
  const make = async (e: Event) => {
    e.preventDefault();
    const f = new FormData(e.currentTarget as HTMLFormElement);
    try {
      const k = await change<Row>('POST', '/api/v1/keys', {
        name: String(f.get('name')), scopes: f.getAll('scopes').map(String), agent: String(f.get('agent') ?? '') || undefined,
      });
      setMade(String(k.key ?? k.secret ?? ''));
      now.value = Date.now();
    } catch (x) {
      note(x instanceof ApiError ? `${x.message} ${x.hint}` : String(x), true);
    }
  };
  const revoke = async (r: Row) => {
    try {
      await change('DELETE', `/api/v1/keys/${String(r.id)}`);
      now.value = Date.now();
    } catch (x) {
      note(x instanceof ApiError ? x.message : String(x), true);
    }
  };
  const columns = data?.keys[0] ? [...Object.keys(data.keys[0]), ''] : [];
  return (
    <div class="pad">
      <Problem error={error} />
      {made && <p class="warning">The new key, shown once: <code>{made}</code>{error?.status === 401 && '. From now on the server asks for a key: it is the password, with any name.'}</p>}
      <Table label="Keys" columns={columns} rows={data?.keys ?? []} show={{
        '': (_v, r) => <button type="button" onClick={() => void revoke(r)}>Revoke</button>,
      }} />
      <form class="inline" onSubmit={(e) => void make(e)}>
        <input name="name" required placeholder="name" aria-label="Name" maxLength={64} />
        {['ingest', 'read', 'write-marks', 'admin'].map((s) => <label key={s}><input type="checkbox" name="scopes" value={s} defaultChecked={s === 'read'} /> {s}</label>)}
        <input name="agent" placeholder="agents, such as svc-*" aria-label="Agents" />
        <button type="submit">Make a key</button>
      </form>
    </div>
  );
}
