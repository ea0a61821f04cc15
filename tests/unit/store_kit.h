/* store_kit.h: rows whose every value follows from their number, and a reader that checks them.
 *
 * Row k has a timestamp, a level, one of 7 agents, one of 13 sessions, a message, an attribute `n`
 * = k, sometimes a double, a boolean, a JSON array and a UUID. kit_read_all scans a store, checks
 * every row against its number and fails on a row it has seen before. */
#ifndef TESTS_UNIT_STORE_KIT_H
#define TESTS_UNIT_STORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/io.h"
#include "model/batch.h"
#include "store/store.h"

#define KIT_T0 (1700000000ll * NS_PER_S)

static inline void kit_ok(int rc, const struct err *err)
{
    if (rc)
        fail_msg("%s", err->msg);
}

/* a disk in memory whose clock shows KIT_T0 */
static inline struct io *kit_disk(void)
{
    struct io *io;
    struct err err = ERR_INIT;
    kit_ok(io_mem_new(&io, 1, &err), &err);
    io_mem_advance(io, KIT_T0);
    return io;
}

static inline struct store_status kit_status(struct store *s)
{
    struct store_status st;
    store_get_status(s, &st);
    return st;
}

static inline void kit_text(char *out, size_t n, const char *fmt, uint64_t k)
{
    snprintf(out, n, fmt, (unsigned long long)k);
}

static inline ts_ns kit_time(uint64_t k)
{
    return KIT_T0 + (ts_ns)(k * 7919 % 100000) * NS_PER_MS;
}

static inline str kit_dup(struct arena *a, const char *fmt, uint64_t k)
{
    char text[200];
    kit_text(text, sizeof text, fmt, k);
    return arena_dup(a, str_c(text));
}

static inline bool kit_put(struct bcol *c, str text)
{
    return text.p && bcol_put_text(c, text);
}

static inline bool kit_row(struct batch *b, struct arena *a, uint64_t k)
{
    bool ok = bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), kit_time(k)) &&
              bcol_put_i64(batch_col(b, STR("level"), V_I64), (int64_t)(k % 6)) &&
              kit_put(batch_col(b, STR("agent"), V_STR), kit_dup(a, "agent-%llu", k % 7)) &&
              kit_put(batch_col(b, STR("message"), V_STR),
                      kit_dup(a, "message number %llu of many", k)) &&
              bcol_put_i64(batch_col(b, STR("\x01n"), V_I64), (int64_t)k);
    if (ok && k % 3)
        ok = kit_put(batch_col(b, STR("session_id"), V_STR), kit_dup(a, "s%llu", k % 13));
    if (ok && k % 5 == 0)
        ok = bcol_put_f64(batch_col(b, STR("\x01score"), V_F64), (double)k / 8);
    if (ok && k % 5 == 1)
        ok = bcol_put_i64(batch_col(b, STR("\x01score"), V_I64), (int64_t)k * 3);
    if (ok && k % 4 == 0)
        ok = bcol_put_i64(batch_col(b, STR("\x01ok"), V_BOOL), k % 8 == 0);
    if (ok && k % 50 == 0)
        ok = kit_put(batch_col(b, STR("tags"), V_JSON), kit_dup(a, "[\"t%llu\"]", k));
    batch_end_row(b);
    return ok;
}

/* rows first .. first + n - 1 as a batch's payload */
static inline int kit_payload(uint64_t first, uint32_t n, char **ret, size_t *ret_n,
                              struct err *err)
{
    struct arena a;
    arena_init(&a, 1u << 30);
    struct buf out;
    buf_init(&out, 1u << 30);
    struct batch *b;
    int rc = batch_new(&b, &a, err);
    for (uint32_t i = 0; i < n && !rc; i++)
        if (!kit_row(b, &a, first + i))
            rc = err_nomem(err);
    if (!rc)
        rc = batch_encode(b, &out, err);
    arena_deinit(&a);
    if (rc)
        buf_deinit(&out);
    else
        *ret = buf_take(&out, ret_n);
    return rc;
}

/* as one durable batch */
static inline int kit_append(struct store *s, uint64_t first, uint32_t n, struct err *err)
{
    char *p;
    size_t bytes;
    int rc = kit_payload(first, n, &p, &bytes, err);
    return rc ? rc : store_append_wait(s, p, bytes, n, NULL, err);
}

static inline bool kit_is_text(struct block *b, uint32_t row, enum field f, const char *fmt,
                               uint64_t k, int *rc, struct err *err)
{
    char want[200];
    struct val v;
    kit_text(want, sizeof want, fmt, k);
    *rc = block_get_field(b, row, f, &v, err);
    return *rc != 0 || (!v.absent && v.t == V_STR && str_eq(v.s, str_c(want)));
}

/* Checks one row against its number; returns the number, or UINT64_MAX with *rc set when out of
 * memory. */
static inline uint64_t kit_check(struct block *b, uint32_t row, int *rc, struct err *err)
{
    static const char key[] = "\x01n";
    struct arena a;
    struct fieldref f, score;
    struct val v;
    arena_init(&a, 1u << 16);
    bool ok = fieldref_make(&a, str_n(key + 1, 1), false, &f) &&
              fieldref_make(&a, STR("score"), false, &score);
    *rc = ok ? block_get(b, row, &f, &v, err) : ERR_NOMEM;
    uint64_t k = UINT64_MAX;
    if (!*rc) {
        assert_false(v.absent);
        assert_int_equal(v.t, V_I64);
        k = (uint64_t)v.i;
        bool fine = kit_is_text(b, row, F_MESSAGE, "message number %llu of many", k, rc, err);
        fine = fine && (*rc || kit_is_text(b, row, F_AGENT, "agent-%llu", k % 7, rc, err));
        if (!*rc && k % 3)
            fine = fine && kit_is_text(b, row, F_SESSION_ID, "s%llu", k % 13, rc, err);
        if (!*rc)
            *rc = block_get_field(b, row, F_TIMESTAMP, &v, err);
        if (!*rc)
            fine = fine && v.i == kit_time(k);
        if (!*rc)
            *rc = block_get(b, row, &score, &v, err);
        if (!*rc)
            fine = fine && (k % 5 == 0   ? v.t == V_F64 && v.d == (double)k / 8
                            : k % 5 == 1 ? v.t == V_I64 && v.i == (int64_t)k * 3
                                         : v.absent);
        if (!fine)
            fail_msg("row %llu has other values than it was given", (unsigned long long)k);
    }
    arena_deinit(&a);
    return k;
}

/* Marks every row found in seen[0..max); fails on one seen twice. Returns how many, or < 0. */
static inline int64_t kit_read_all(struct store *s, const struct pred *filter, uint8_t *seen,
                                   uint64_t max, struct err *err)
{
    struct scan *sc;
    struct scan_block sb;
    int64_t n = 0;
    memset(seen, 0, max);
    int rc = store_scan(s, &(struct scan_plan){ .filter = filter }, &sc, err);
    if (rc)
        return rc;
    while ((rc = scan_next(sc, &sb, err)) == 0)
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            int crc;
            uint64_t k = kit_check(sb.block, (uint32_t)i, &crc, err);
            if (crc) {
                scan_close(sc);
                return crc;
            }
            assert_true(k < max);
            assert_false(seen[k]);
            seen[k] = 1;
            n++;
        }
    if (scan_get_cost(sc)->incomplete && rc == 1)
        rc = err_set(err, ERR_CORRUPT, "%s", scan_get_cost(sc)->incomplete_why);
    scan_close(sc);
    return rc == 1 ? n : rc;
}

static inline struct store *kit_open(struct io *io, size_t memtable_bytes)
{
    struct store_config cfg;
    struct store *s = NULL;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.memtable_bytes = memtable_bytes;
    if (store_open(&s, io, &cfg, &err))
        fail_msg("open: %s", err.msg);
    return s;
}

#endif
