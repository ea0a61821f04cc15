/* ops.c: what operators and monitors ask: health, ready, metrics, status, integrity. */
#include <stdio.h>
#include <string.h>

#include "server/handlers.h"
#include "server/internal.h"

static void reply_buf(struct call *c, int status, struct buf *b)
{
    if (buf_ok(b))
        reply_json(c, status, buf_str(b));
    else
        reply_error(c, 503, "busy", "out of memory");
    buf_deinit(b);
}

/* ---- GET / ---- */

static void put_uuid(struct buf *b, const uint8_t uuid[16])
{
    for (int i = 0; i < 16; i++)
        buf_printf(b, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

void ops_root(struct call *c)
{
    if (http_prefers_html(c->req)) {
        reply_page(c);
        return;
    }
    struct store_status st;
    struct buf b;
    store_get_status(c->s->store, &st);
    buf_init(&b, 4096);
    buf_puts(&b, "{\"name\":\"fleetlog\",\"cluster_name\":\"fleetlog\",\"cluster_uuid\":\"");
    put_uuid(&b, st.uuid);
    buf_puts(&b, "\",\"version\":{\"number\":\"8.11.0\",\"build_flavor\":\"default\","
                 "\"build_type\":\"tar\",\"lucene_version\":\"9.8.0\","
                 "\"minimum_wire_compatibility_version\":\"7.17.0\","
                 "\"minimum_index_compatibility_version\":\"7.0.0\"},"
                 "\"tagline\":\"You Know, for Search\",\"fleetlog_version\":\"" FL_VERSION "\"}\n");
    metric_done(&c->s->metrics, REQ_OPS, 200, mono_ns() - c->started);
    http_respond(c->req, 200, JSON_TYPE, PRIVATE_HEADERS "X-Elastic-Product: Elasticsearch\r\n",
                 buf_str(&b));
    buf_deinit(&b);
}

/* ---- GET /health, /ready ---- */

void ops_health(struct call *c)
{
    struct server *s = c->s;
    struct store_status st;
    struct buf b;
    bool first = true;
    store_get_status(s->store, &st);
    bool well = !st.writer_failed && !st.disk_full && !st.corruptions;
    buf_init(&b, 8192);
    buf_putc(&b, '{');
    json_kv_str(&b, &first, "status", well ? STR("ok") : STR("degraded"));
    json_kv_str(&b, &first, "db",
                st.writer_failed ? STR("failed")
                : st.disk_full   ? STR("full")
                                 : STR("connected"));
    json_kv_str(&b, &first, "version", STR(FL_VERSION));
    json_kv_i64(&b, &first, "timestamp", server_now(s) / NS_PER_MS);
    if (c->who && (c->who->scopes & SCOPE_READ) && !c->who->agent[0]) {
        uint64_t entries, agents;
        store_counts(s->store, &entries, &agents);
        json_kv_u64(&b, &first, "entries", entries);
        json_kv_u64(&b, &first, "agents", agents);
        json_key(&b, &first, "uptime_since"); /* Fleet: null until there is an entry */
        if (entries)
            json_put_seconds(&b, s->started_at);
        else
            buf_puts(&b, "null");
        int64_t uptime_ms = (server_now(s) - s->started_at) / NS_PER_MS;
        json_kv_f64(&b, &first, "uptime_seconds", (double)uptime_ms / 1000.0);
        json_kv_str(&b, &first, "engine", str_c(st.engine));
        json_kv_bool(&b, &first, "open", auth_is_open(s));
        json_kv_u64(&b, &first, "gaps", st.gaps);
        json_kv_u64(&b, &first, "corruptions", st.corruptions);
        json_kv_bool(&b, &first, "disk_full", st.disk_full);
        if (st.writer_failed)
            json_kv_str(&b, &first, "failure", str_c(st.failure));
    }
    buf_puts(&b, "}\n");
    reply_buf(c, 200, &b);
}

void ops_ready(struct call *c)
{
    struct store_status st;
    store_get_status(c->s->store, &st);
    if (atomic_load_explicit(&c->s->stopping, memory_order_relaxed))
        reply_error(c, 503, "stopping", "the server is stopping");
    else if (st.writer_failed)
        reply_error(c, 503, "storage_failed", "the log cannot be written any more");
    else if (st.disk_full)
        reply_error(c, 503, "disk_full", "there is too little free space on the disk");
    else
        reply_json(c, 200, STR("{\"ready\":true}\n"));
}

/* ---- GET /metrics ---- */

void ops_metrics(struct call *c)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    metrics_put(&b, c->s);
    metric_done(&c->s->metrics, REQ_OPS, 200, mono_ns() - c->started);
    http_respond(c->req, buf_ok(&b) ? 200 : 503, "text/plain; version=0.0.4; charset=utf-8",
                 PRIVATE_HEADERS, buf_str(&b));
    buf_deinit(&b);
}

/* ---- GET /api/v1/status ---- */

static void put_store(struct buf *b, const struct store_status *st)
{
    bool first = true;
    buf_putc(b, '{');
    json_kv_str(b, &first, "engine", str_c(st->engine));
    json_key(b, &first, "uuid");
    buf_putc(b, '"');
    put_uuid(b, st->uuid);
    buf_putc(b, '"');
    json_kv_u64(b, &first, "watermark", st->watermark);
    json_kv_u64(b, &first, "next_seq", st->next_seq);
    json_kv_u64(b, &first, "segments", st->segments);
    json_kv_u64(b, &first, "segment_rows", st->segment_rows);
    json_kv_u64(b, &first, "segment_bytes", st->segment_bytes);
    json_kv_u64(b, &first, "memtable_rows", st->memtable_rows);
    json_kv_u64(b, &first, "memtable_bytes", st->memtable_bytes);
    json_kv_u64(b, &first, "frozen_bytes", st->frozen_bytes);
    json_kv_u64(b, &first, "wal_files", st->wal_files);
    json_kv_u64(b, &first, "wal_bytes", st->wal_bytes);
    json_kv_u64(b, &first, "wal_syncs", st->wal_syncs);
    json_kv_u64(b, &first, "wal_groups", st->wal_groups);
    json_kv_u64(b, &first, "big_batches", st->big_batches);
    json_kv_u64(b, &first, "appended_rows", st->appended_rows);
    json_kv_u64(b, &first, "appended_batches", st->appended_batches);
    json_kv_u64(b, &first, "flushes", st->flushes);
    json_kv_u64(b, &first, "merges", st->merges);
    json_kv_u64(b, &first, "deleted_rows", st->deleted_rows);
    json_kv_u64(b, &first, "dead_rows", st->dead_rows);
    json_kv_u64(b, &first, "retired_segments", st->retired_segments);
    json_kv_u64(b, &first, "queue_batches", st->queue_batches);
    json_kv_u64(b, &first, "queue_bytes", st->queue_bytes);
    json_kv_i64(b, &first, "last_sync_ns", st->last_sync_ns);
    json_kv_bool(b, &first, "writer_failed", st->writer_failed);
    json_kv_bool(b, &first, "disk_full", st->disk_full);
    json_kv_u64(b, &first, "disk_free", st->disk_free);
    json_kv_u64(b, &first, "disk_total", st->disk_total);
    json_kv_time(b, &first, "opened_at", st->opened_at);
    json_kv_u64(b, &first, "recovered_rows", st->recovered_rows);
    json_kv_u64(b, &first, "recovered_bytes", st->recovered_bytes);
    json_kv_i64(b, &first, "recovery_ns", st->recovery_ns);
    if (st->failure[0])
        json_kv_str(b, &first, "failure", str_c(st->failure));
    buf_puts(b, ",\"promises\":{\"atomic_batch\":true,\"total_order\":true,\"visible_within_ms\":0,"
                "\"push_tail\":true}}");
}

static void put_counts(struct buf *b, struct server *s)
{
    const struct metrics *m = &s->metrics;
    struct live_stats live;
    bool first = true;
    live_get_stats(s->live, &live);
    buf_puts(b, ",\"ingest\":{");
    json_kv_u64(b, &first, "received", metric_get(&m->received));
    json_kv_u64(b, &first, "stored", metric_get(&m->stored));
    json_kv_u64(b, &first, "duplicate", metric_get(&m->duplicate));
    json_kv_u64(b, &first, "rejected", metric_get(&m->rejected));
    json_kv_u64(b, &first, "failed", metric_get(&m->failed));
    json_kv_u64(b, &first, "bytes", metric_get(&m->ingest_bytes));
    first = true;
    buf_puts(b, "},\"live\":{");
    json_kv_u64(b, &first, "subscribers", live.subscribers);
    json_kv_u64(b, &first, "published", live.published);
    json_kv_u64(b, &first, "matched", live.matched);
    json_kv_u64(b, &first, "dropped", live.dropped);
    json_kv_u64(b, &first, "told", metric_get(&m->drops_told));
    first = true;
    buf_puts(b, "},\"queries\":{");
    json_kv_u64(b, &first, "run", metric_get(&m->queries));
    json_kv_u64(b, &first, "waiting", pool_waiting(s->queries));
    json_kv_u64(b, &first, "refused", metric_get(&m->query_refused));
    json_kv_u64(b, &first, "timeouts", metric_get(&m->query_timeouts));
    buf_putc(b, '}');
}

static void put_limits(struct buf *b, const struct server_config *cfg)
{
    const struct net_limits *l = &cfg->limits;
    bool first = true;
    buf_puts(b, ",\"limits\":{");
    json_kv_u64(b, &first, "body_bytes", l->body_bytes);
    json_kv_u64(b, &first, "inflated_bytes", l->inflated_bytes);
    json_kv_u64(b, &first, "inflight_bytes", l->inflight_bytes);
    json_kv_u64(b, &first, "connections", l->connections);
    json_kv_i64(b, &first, "query_timeout_ms", cfg->query_timeout_ms);
    json_kv_u64(b, &first, "query_memory_bytes", cfg->query_memory_bytes);
    json_kv_u64(b, &first, "query_disk_bytes",
                cfg->query_disk_bytes ? cfg->query_disk_bytes : SPILL_MAX_DEFAULT);
    json_kv_i64(b, &first, "retention_ns", cfg->store.retention_ns);
    json_kv_u64(b, &first, "max_disk_bytes", cfg->store.max_disk_bytes);
    buf_putc(b, '}');
}

/* null for what has not happened yet */
static void put_when(struct buf *b, bool *first, const char *key, ts_ns t)
{
    json_key(b, first, key);
    if (t)
        json_put_time(b, t);
    else
        buf_puts(b, "null");
}

static void put_scrub(struct buf *b, const struct store_scrub *st)
{
    bool first = true;
    buf_puts(b, ",\"scrub\":{");
    json_kv_bool(b, &first, "running", st->running);
    put_when(b, &first, "started_at", st->started);
    json_kv_u64(b, &first, "bytes", st->bytes);
    json_kv_u64(b, &first, "problems", st->problems);
    put_when(b, &first, "finished_at", st->finished);
    json_kv_u64(b, &first, "finished_bytes", st->last_bytes);
    json_kv_u64(b, &first, "finished_problems", st->last_problems);
    buf_putc(b, '}');
}

static void put_classes(struct buf *b, struct server *s)
{
    struct class_stat *v;
    struct err err = ERR_INIT;
    struct arena a;
    uint32_t n;
    arena_init(&a, 1u << 20);
    buf_puts(b, ",\"classes\":[");
    if (store_classes(s->store, &a, &v, &n, &err))
        b->bad = BUF_NOMEM;
    for (uint32_t i = 0; !b->bad && i < n; i++) {
        bool first = true;
        buf_puts(b, i ? ",{" : "{");
        json_kv_u64(b, &first, "class", v[i].number);
        json_kv_str(b, &first, "name", str_c(v[i].name));
        json_kv_i64(b, &first, "retention_ns", v[i].keep_ns);
        json_kv_bool(b, &first, "rule", v[i].ruled);
        json_kv_u64(b, &first, "segments", v[i].segments);
        json_kv_u64(b, &first, "entries", v[i].rows);
        json_kv_u64(b, &first, "bytes", v[i].bytes);
        put_when(b, &first, "oldest", v[i].segments ? v[i].oldest : 0);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
    arena_deinit(&a);
}

void ops_status(struct call *c)
{
    struct server *s = c->s;
    struct store_status st;
    struct buf b;
    bool first = true;
    store_get_status(s->store, &st);
    buf_init(&b, 65536);
    buf_putc(&b, '{');
    json_kv_str(&b, &first, "version", STR(FL_VERSION));
    json_kv_time(&b, &first, "started_at", s->started_at);
    json_kv_bool(&b, &first, "open", auth_is_open(s));
    json_kv_u64(&b, &first, "keys", meta_key_count(s->meta));
    json_key(&b, &first, "store");
    put_store(&b, &st);
    put_counts(&b, s);
    json_key(&b, &first, "refusals");
    if (c->who->agent[0]) /* a reason may quote what others sent */
        buf_puts(&b, "[]");
    else
        refusals_put(&s->refusals, &b);
    put_classes(&b, s);
    put_scrub(&b, &st.scrub);
    put_limits(&b, &s->cfg);
    buf_puts(&b, "}\n");
    reply_buf(c, 200, &b);
}

/* ---- GET /api/v1/integrity ---- */

static int run_integrity(struct job *j, struct err *err)
{
    struct store_status st;
    struct store_gap *gaps;
    uint32_t n;
    struct buf *b = &j->out;
    bool first = true;
    int rc = store_gaps(j->s->store, &j->arena, &gaps, &n, err);
    if (rc < 0)
        return rc;
    store_get_status(j->s->store, &st);
    buf_putc(b, '{');
    json_kv_bool(b, &first, "ok", !n && !st.corruptions && !st.writer_failed);
    json_kv_u64(b, &first, "corruptions", st.corruptions);
    json_kv_bool(b, &first, "writer_failed", st.writer_failed);
    json_kv_u64(b, &first, "recovered_rows", st.recovered_rows);
    json_key(b, &first, "gaps");
    buf_putc(b, '[');
    for (uint32_t i = 0; i < n; i++) {
        bool inner = true;
        buf_puts(b, i ? ",{" : "{");
        json_kv_u64(b, &inner, "first_seq", gaps[i].first_seq);
        json_kv_u64(b, &inner, "last_seq", gaps[i].last_seq);
        json_kv_u64(b, &inner, "bytes", gaps[i].bytes);
        json_kv_time(b, &inner, "at", gaps[i].at);
        json_kv_str(b, &inner, "reason", str_c(gaps[i].reason));
        buf_putc(b, '}');
    }
    buf_puts(b, "]}\n");
    return 0;
}

void ops_integrity(struct call *c)
{
    job_start(c, run_integrity, NULL, 0);
}

void ops_openapi(struct call *c)
{
    reply_json(c, 200, str_n(c->s->openapi, c->s->openapi_n));
}
