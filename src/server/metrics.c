/* metrics.c: counting requests, and all counters as Prometheus text (format 0.0.4). */
#include "server/metrics.h"

#include <string.h>

#include "server/alerts.h"
#include "server/internal.h"

const char *const request_class_names[REQ_CLASS__COUNT] = { "ingest", "query", "tail", "control",
                                                            "ops" };

void metric_done(struct metrics *m, enum request_class c, int status, int64_t ns)
{
    uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
    uint32_t i = 0;
    while (i < METRIC_BUCKETS - 1 && us > (50ull << i))
        i++;
    struct histogram *h = &m->latency[c];
    metric_add(&m->requests[c][status >= 100 && status < 600 ? status / 100 : 0], 1);
    metric_add(&h->bucket[i], 1);
    metric_add(&h->count, 1);
    metric_add(&h->sum_us, us);
}

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP fleetlog_%s %s\n# TYPE fleetlog_%s %s\n", name, help, name, type);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
    head(b, name, type, help);
    buf_printf(b, "fleetlog_%s %llu\n", name, (unsigned long long)v);
}

static void counter(struct buf *b, const char *name, const char *help, uint64_t v)
{
    one(b, name, "counter", help, v);
}

static void gauge(struct buf *b, const char *name, const char *help, uint64_t v)
{
    one(b, name, "gauge", help, v);
}

static void put_requests(struct buf *b, const struct metrics *m)
{
    head(b, "requests_total", "counter", "Answered requests by kind and status class.");
    for (int c = 0; c < REQ_CLASS__COUNT; c++)
        for (int s = 1; s < 6; s++)
            buf_printf(b, "fleetlog_requests_total{kind=\"%s\",status=\"%dxx\"} %llu\n",
                       request_class_names[c], s,
                       (unsigned long long)metric_get(&m->requests[c][s]));
    head(b, "request_seconds", "histogram", "Time from a request's head to its answer.");
    for (int c = 0; c < REQ_CLASS__COUNT; c++) {
        const struct histogram *h = &m->latency[c];
        const char *kind = request_class_names[c];
        uint64_t sum = 0;
        for (int i = 0; i < METRIC_BUCKETS - 1; i++) {
            sum += metric_get(&h->bucket[i]);
            buf_printf(b, "fleetlog_request_seconds_bucket{kind=\"%s\",le=\"%g\"} %llu\n", kind,
                       (double)(50ull << i) / 1e6, (unsigned long long)sum);
        }
        sum += metric_get(&h->bucket[METRIC_BUCKETS - 1]);
        buf_printf(b, "fleetlog_request_seconds_bucket{kind=\"%s\",le=\"+Inf\"} %llu\n", kind,
                   (unsigned long long)sum);
        buf_printf(b, "fleetlog_request_seconds_sum{kind=\"%s\"} %.6f\n", kind,
                   (double)metric_get(&h->sum_us) / 1e6);
        buf_printf(b, "fleetlog_request_seconds_count{kind=\"%s\"} %llu\n", kind,
                   (unsigned long long)sum);
    }
}

static void put_entries(struct buf *b, const struct metrics *m)
{
    counter(b, "entries_received_total", "Entries in request bodies: the sum of the next four.",
            metric_get(&m->received));
    counter(b, "entries_stored_total", "Entries stored durably.", metric_get(&m->stored));
    counter(b, "entries_duplicate_total", "Entries of repeated requests, stored before.",
            metric_get(&m->duplicate));
    counter(b, "entries_rejected_total", "Entries refused because of what they are.",
            metric_get(&m->rejected));
    counter(b, "entries_failed_total", "Entries refused because they could not be stored.",
            metric_get(&m->failed));
    counter(b, "ingest_bytes_total", "Bytes of request bodies, inflated.",
            metric_get(&m->ingest_bytes));
    counter(b, "ingest_batches_total", "Requests whose entries were stored.",
            metric_get(&m->ingest_batches));
}

static void put_queries(struct buf *b, struct server *s)
{
    const struct metrics *m = &s->metrics;
    counter(b, "queries_total", "Jobs run on the query pool.", metric_get(&m->queries));
    counter(b, "query_errors_total", "Jobs that failed.", metric_get(&m->query_errors));
    counter(b, "query_timeouts_total", "Jobs past their time limit.",
            metric_get(&m->query_timeouts));
    counter(b, "query_canceled_total", "Jobs whose client went away.",
            metric_get(&m->query_canceled));
    counter(b, "query_refused_total", "Jobs refused because too many waited.",
            metric_get(&m->query_refused));
    gauge(b, "queries_waiting", "Jobs waiting for a thread.", pool_waiting(s->queries));
    counter(b, "scan_rows_total", "Rows looked at.", metric_get(&m->rows_scanned));
    counter(b, "scan_rows_matched_total", "Rows that matched.", metric_get(&m->rows_matched));
    counter(b, "scan_bytes_total", "Bytes read for scans.", metric_get(&m->bytes_read));
    counter(b, "scan_blocks_read_total", "Blocks read.", metric_get(&m->blocks_read));
    counter(b, "scan_blocks_pruned_total", "Blocks skipped by statistics and indexes.",
            metric_get(&m->blocks_pruned));
    counter(b, "scan_pages_decoded_total", "Pages of columns decoded.",
            metric_get(&m->pages_decoded));
    counter(b, "scan_pages_cached_total", "Pages of columns found decoded in the cache.",
            metric_get(&m->pages_cached));
    counter(b, "query_spilled_bytes_total", "Bytes that queries wrote past their memory.",
            spill_area_written(s->spill));
}

static void put_auth(struct buf *b, const struct metrics *m)
{
    counter(b, "auth_failures_total", "Requests with a wrong key.", metric_get(&m->auth_failures));
    counter(b, "auth_limited_total", "Requests refused after too many wrong keys.",
            metric_get(&m->auth_limited));
    counter(b, "foreign_requests_total", "Requests refused for their Host or Origin.",
            metric_get(&m->host_refused));
    counter(b, "rate_limited_total", "Requests of keys over their rate.",
            metric_get(&m->rate_limited));
}

static void put_live(struct buf *b, struct server *s)
{
    struct live_stats st;
    live_get_stats(s->live, &st);
    gauge(b, "tail_subscribers", "Live subscriptions.", st.subscribers);
    counter(b, "tail_opened_total", "Live subscriptions opened.",
            metric_get(&s->metrics.tails_opened));
    counter(b, "tail_matched_total", "Entries queued for subscribers.", st.matched);
    counter(b, "tail_dropped_total", "Entries lost to full queues of slow subscribers.",
            st.dropped);
    counter(b, "tail_dropped_told_total", "Of those, entries that the subscriber was told of.",
            metric_get(&s->metrics.drops_told));
}

static void put_store(struct buf *b, struct server *s)
{
    struct store_status st;
    uint64_t entries, agents;
    store_get_status(s->store, &st);
    store_counts(s->store, &entries, &agents);
    gauge(b, "entries", "Entries in the store.", entries);
    gauge(b, "agents", "Named agents in the store.", agents);
    gauge(b, "store_segments", "Segment files.", st.segments);
    gauge(b, "store_segment_bytes", "Bytes of segment files.", st.segment_bytes);
    gauge(b, "store_memtable_bytes", "Bytes of entries not yet in segments.",
          st.memtable_bytes + st.frozen_bytes);
    gauge(b, "store_wal_bytes", "Bytes of the write-ahead log.", st.wal_bytes);
    counter(b, "store_wal_syncs_total", "Syncs of the write-ahead log.", st.wal_syncs);
    counter(b, "store_wal_groups_total", "Commit groups.", st.wal_groups);
    counter(b, "store_flushes_total", "Memtables turned into segments.", st.flushes);
    counter(b, "store_merges_total", "Merges of segments.", st.merges);
    counter(b, "store_deleted_rows_total", "Entries deleted.", st.deleted_rows);
    gauge(b, "store_scrub_bytes", "Bytes read again by the round begun last.", st.scrub.bytes);
    gauge(b, "store_scrub_problems", "Problems found by that round.", st.scrub.problems);
    gauge(b, "store_scrub_finished_seconds", "When the last round ended, Unix time; 0: none yet.",
          (uint64_t)(st.scrub.finished / NS_PER_S));
    gauge(b, "store_dead_rows", "Deleted entries that are still on the disk.", st.dead_rows);
    counter(b, "store_corruptions_total", "Damaged places found.", st.corruptions);
    gauge(b, "store_gaps", "Declared holes.", st.gaps);
    gauge(b, "store_queue_bytes", "Bytes waiting for the writer.", st.queue_bytes);
    gauge(b, "store_last_sync_nanoseconds", "Duration of the last sync.",
          (uint64_t)st.last_sync_ns);
    gauge(b, "store_disk_free_bytes", "Free space where the data is.", st.disk_free);
    gauge(b, "store_disk_full", "1: entries are refused until there is space.", st.disk_full);
    gauge(b, "store_writer_failed", "1: a sync failed, nothing is taken any more.",
          st.writer_failed);
}

static void put_net(struct buf *b, struct server *s)
{
    struct net_stats st;
    net_get_stats(s->net, &st);
    gauge(b, "connections", "Open connections.", st.connections_open);
    counter(b, "connections_total", "Connections accepted.", st.connections_total);
    counter(b, "connections_refused_total", "Connections over the limit.", st.connections_refused);
    counter(b, "http_bytes_in_total", "Bytes received.", st.bytes_in);
    counter(b, "http_bytes_out_total", "Bytes sent.", st.bytes_out);
    counter(b, "http_protocol_errors_total", "Requests that broke HTTP.", st.protocol_errors);
    counter(b, "http_timeouts_total", "Connections that took too long.", st.timeouts);
    gauge(b, "http_streams", "Open event streams and exports.", st.streams_open);
    gauge(b, "websockets", "Open WebSockets.", st.websockets_open);
    gauge(b, "body_bytes_in_flight", "Bytes of request bodies in memory.", st.inflight_body_bytes);
}

static void put_alerts(struct buf *b, struct server *s)
{
    struct alerts *al = s->alerts;
    uint64_t failed = 0, firing = 0;
    pthread_mutex_lock(&al->lock);
    uint64_t rules = al->n;
    for (uint32_t i = 0; i < al->n; i++) {
        failed += al->v[i]->failed_since != 0;
        for (uint32_t k = 0; k < al->v[i]->set->n; k++)
            firing += al->v[i]->set->v[k].state == ALERT_FIRING;
    }
    pthread_mutex_unlock(&al->lock);
    gauge(b, "alert_rules", "Alert rules.", rules);
    gauge(b, "alert_rules_failing", "Alert rules that could not be evaluated.", failed);
    gauge(b, "alerts_firing", "Groups of alert rules that fire.", firing);
    counter(b, "alert_evaluations_total", "Evaluations of alert rules.",
            metric_get(&al->evaluations));
    counter(b, "alert_evaluation_failures_total", "Evaluations that failed.",
            metric_get(&al->failures));
    counter(b, "alert_delivery_attempts_total", "Attempts to deliver.", metric_get(&al->attempts));
    counter(b, "alert_deliveries_total", "Messages delivered.", metric_get(&al->delivered));
    counter(b, "alert_deliveries_failed_total", "Messages given up.", metric_get(&al->undelivered));
}

void metrics_put(struct buf *out, struct server *s)
{
    put_entries(out, &s->metrics);
    put_requests(out, &s->metrics);
    put_queries(out, s);
    put_auth(out, &s->metrics);
    put_live(out, s);
    put_alerts(out, s);
    put_store(out, s);
    put_net(out, s);
    head(out, "start_time_seconds", "gauge", "When the server started.");
    buf_puts(out, "fleetlog_start_time_seconds ");
    json_put_seconds(out, s->started_at);
    buf_putc(out, '\n');
}
