/* metrics.h: counters of the server, and their Prometheus text.
 *
 * Every entry that came in is in exactly one of stored, duplicate, rejected and failed. */
#ifndef FL_SERVER_METRICS_H
#define FL_SERVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

enum request_class { REQ_INGEST, REQ_QUERY, REQ_TAIL, REQ_CONTROL, REQ_OPS, REQ_CLASS__COUNT };
extern const char *const request_class_names[REQ_CLASS__COUNT];

#define METRIC_BUCKETS 18 /* 50 us doubling to 6.5 s, and the rest */

struct histogram {
    _Atomic uint64_t bucket[METRIC_BUCKETS];
    _Atomic uint64_t count, sum_us;
};

struct metrics {
    _Atomic uint64_t requests[REQ_CLASS__COUNT][6]; /* by first digit of the status */
    struct histogram latency[REQ_CLASS__COUNT];
    _Atomic uint64_t received, stored, duplicate, rejected, failed; /* entries */
    _Atomic uint64_t ingest_bytes, ingest_batches;
    _Atomic uint64_t queries, query_errors, query_timeouts, query_canceled, query_refused;
    _Atomic uint64_t rows_scanned, rows_matched, bytes_read, blocks_read, blocks_pruned;
    _Atomic uint64_t pages_decoded, pages_cached;
    _Atomic uint64_t auth_failures, auth_limited, host_refused, rate_limited;
    _Atomic uint64_t tails_opened, drops_told, tickets;
};

void metric_done(struct metrics *m, enum request_class c, int status, int64_t ns);
static inline void metric_add(_Atomic uint64_t *v, uint64_t n)
{
    atomic_fetch_add_explicit(v, n, memory_order_relaxed);
}
static inline uint64_t metric_get(const _Atomic uint64_t *v)
{
    return atomic_load_explicit((_Atomic uint64_t *)v, memory_order_relaxed);
}
struct server;
void metrics_put(struct buf *out, struct server *s);

#endif
