/* rows.c: rows whose every value follows from their number, and a hash over all of a row's columns.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/batch.h"

const char *const sim_words[4] = { "refused", "timeout", "granted", "deployed" };

static uint64_t h(uint64_t k, uint64_t salt)
{
    return hash_mix(k * 64 + salt + 1);
}

ts_ns row_time(uint64_t k)
{
    int64_t far = h(k, 1) % 17 == 0 ? -200 * 86400ll : 0;
    return SIM_T0 + (far + (int64_t)(h(k, 2) % 7200)) * NS_PER_S + (ts_ns)k;
}

unsigned row_agent(uint64_t k)
{
    return (unsigned)(h(k, 3) % (AGENTS + 1));
}

enum level row_level(uint64_t k)
{
    return (enum level)(h(k, 4) % LV__COUNT);
}

unsigned row_word(uint64_t k)
{
    return (unsigned)(h(k, 5) % 4);
}

/* ---- a row as a list of values, handed to whoever wants them ---- */

typedef bool (*put_fn)(void *ctx, str key, enum vtype t, int64_t i, double d, str s);

static bool text(put_fn put, void *ctx, const char *key, enum vtype t, const char *fmt, uint64_t k)
{
    char s[64];
    snprintf(s, sizeof s, fmt, (unsigned long long)k);
    return put(ctx, str_c(key), t, 0, 0, str_c(s));
}

static bool message(put_fn put, void *ctx, uint64_t k, uint32_t style)
{
    char s[2400];
    int n = snprintf(s, sizeof s, "request %llu was %s by node %llu", (unsigned long long)k,
                     sim_words[row_word(k)], (unsigned long long)(h(k, 6) % 9));
    size_t more = style == 2 ? 200 + h(k, 7) % 2000 : style == 1 ? h(k, 7) % 120 : 0;
    for (size_t i = 0; i < more; i++) /* noise that does not pack */
        s[n++] = (char)(' ' + hash_mix(k * 4096 + i) % 90);
    return put(ctx, STR("message"), V_STR, 0, 0, str_n(s, (size_t)n));
}

static bool each_value(put_fn put, void *ctx, uint64_t k, uint32_t style)
{
    bool ok = put(ctx, STR("timestamp"), V_I64, row_time(k), 0, STR_NULL) &&
              put(ctx, STR("level"), V_I64, row_level(k), 0, STR_NULL) &&
              put(ctx, STR("\x01n"), V_I64, (int64_t)k, 0, STR_NULL) && message(put, ctx, k, style);
    if (ok && row_agent(k) < AGENTS)
        ok = text(put, ctx, "agent", V_STR, "agent-%llu", row_agent(k));
    if (ok && k % 3)
        ok = text(put, ctx, "session_id", V_STR, "session-%llu", k / 11);
    if (ok && k % 4 == 0)
        ok = text(put, ctx, "trace_id", V_STR, "%016llx", h(k / 5, 9));
    if (ok && k % 5 == 0)
        ok = put(ctx, STR("\x01score"), V_F64, 0, (double)(h(k, 10) % 100000) / 8, STR_NULL);
    if (ok && k % 5 == 1)
        ok = put(ctx, STR("\x01score"), V_I64, (int64_t)h(k, 11), 0, STR_NULL);
    if (ok && k % 7 == 2)
        ok = put(ctx, STR("\x01ok"), V_BOOL, k & 1, 0, STR_NULL);
    if (ok && k % 19 == 3)
        ok = text(put, ctx, "tags", V_JSON, "[\"t%llu\"]", k);
    if (ok && k % 23 == 4)
        ok = text(put, ctx, "\x01http\x01path", V_STR, "/v1/items/%llu", h(k, 12) % 40);
    return ok;
}

/* ---- out ---- */

struct out {
    struct batch *b;
    struct arena *a;
};

static bool put_batch(void *ctx, str key, enum vtype t, int64_t i, double d, str s)
{
    struct out *o = ctx;
    struct bcol *c = batch_col(o->b, key, t);
    if (t == V_F64)
        return bcol_put_f64(c, d);
    if (t < V_STR)
        return bcol_put_i64(c, i);
    s = arena_dup(o->a, s);
    return s.p && bcol_put_text(c, s);
}

bool rows_payload(uint64_t first, uint32_t n, uint32_t style, char **ret, size_t *ret_n)
{
    struct arena a;
    struct buf out;
    struct err err = ERR_INIT;
    struct out o = { .a = &a };
    arena_init(&a, 1u << 30);
    buf_init(&out, 1u << 30);
    bool ok = batch_new(&o.b, &a, &err) == 0;
    for (uint32_t i = 0; i < n && ok; i++) {
        ok = each_value(put_batch, &o, first + i, style);
        batch_end_row(o.b);
    }
    ok = ok && batch_encode(o.b, &out, &err) == 0;
    arena_deinit(&a);
    *ret = ok ? buf_take(&out, ret_n) : NULL;
    buf_deinit(&out);
    return ok;
}

/* ---- hashes: the sum over the columns, so that their order does not matter ---- */

static uint64_t value_sum(str key, enum vtype t, int64_t i, double d, str s)
{
    uint64_t x = hash64_seed(key.p, key.n, (uint64_t)t);
    if (t == V_F64)
        return hash64_seed(&d, sizeof d, x);
    if (t == V_NULL)
        return x;
    return t < V_STR ? hash64_seed(&i, sizeof i, x) : hash64_seed(s.p, s.n, x);
}

static bool put_sum(void *ctx, str key, enum vtype t, int64_t i, double d, str s)
{
    *(uint64_t *)ctx += value_sum(key, t, i, d, s);
    return true;
}

uint64_t row_sum(uint64_t k, uint32_t style)
{
    uint64_t sum = 0;
    each_value(put_sum, &sum, k, style);
    return sum;
}

int row_read(struct block *b, uint32_t row, struct row_seen *ret, struct err *err)
{
    *ret = (struct row_seen){ .k = UINT64_MAX };
    for (uint32_t c = 0; c < b->ncols; c++) {
        const struct colv *v;
        int rc = block_load(b, c, &v, err);
        if (rc)
            return rc;
        if (!colv_has(v, row))
            continue;
        str key = b->cols[c].key;
        struct val x = colv_val(v, row);
        if (str_eq(key, STR("seq")))
            ret->seq = (uint64_t)x.i;
        else if (str_eq(key, STR("received_at")))
            ret->received_at = x.i;
        else if (!str_starts(key, STR("resolved")) && !str_eq(key, STR("note")))
            ret->sum += value_sum(key, x.t, x.t == V_BOOL ? x.b : x.i, x.d, x.s);
        if (str_eq(key, STR("\x01n")) && x.t == V_I64)
            ret->k = (uint64_t)x.i;
    }
    return 0;
}
