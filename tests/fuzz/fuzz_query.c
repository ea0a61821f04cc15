/* fuzz_query.c: any bytes as a query: parsed, explained and run on a tiny store.
 *
 * The first byte chooses the request's options, the rest is the text. An error must name a byte of
 * the text. What is a name must be it again when it is written out. A filter must select the same
 * rows with pruning and without, and beside its own negation every row once; a query must give the
 * same answer twice. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ingest/ingest.h"
#include "io/io.h"
#include "query/query.h"

#define NOW (1795262400ll * NS_PER_S)
#define ANSWER_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const rows[] = {
    "{\"timestamp\":\"2026-11-21T10:00:00Z\",\"agent\":\"planner\",\"level\":\"error\","
    "\"message\":\"connection refused by 10.0.0.1\",\"port\":5432,\"tags\":[\"a\",1,true,null]}",
    "{\"timestamp\":\"2026-11-21T10:00:01Z\",\"agent\":\"svc-a\",\"level\":\"warn\","
    "\"message\":\"caf\\u00e9 \\u65e5\\u672c\\u8a9e tool_error\",\"port\":\"5432\",\"ok\":true}",
    "{\"timestamp\":\"2026-11-21T10:30:00Z\",\"agent\":\"svc-b\",\"duration_ms\":1500.5,"
    "\"message\":\"\",\"x\":null,\"a\":{\"b\":-1,\"c\":\"z\"},\"a.b\":2}",
    "{\"timestamp\":\"1969-12-31T23:59:59Z\",\"session_id\":\"s1\",\"x\":9007199254740993,"
    "\"message\":\"a|b \\\"q\\\" \\\\ *\",\"peer\":\"::ffff:10.0.0.1\"}",
    "{\"timestamp\":\"2027-01-01T00:00:00Z\",\"x\":123456789012345678901234567890,\"ok\":false,"
    "\"output\":[\"one\",{\"k\":\"two\"}]}",
    "{\"message\":\"no time\",\"x\":\"1\",\"port\":80}",
    "{\"timestamp\":\"2026-11-21T10:40:00Z\",\"a\":{\"b c\":1,\"\":2,\"`\":3,\"\\u0001\":4},"
    "\"a.b c\":5,\"s\":[{\"t\":\"x\",\"u v\":[1,{\"w\":2}]},[{\"t\":null}]]}",
};
#define NROWS (sizeof rows / sizeof *rows)

static void append(struct store *s, size_t from, size_t to)
{
    struct arena a;
    struct buf body, out;
    struct batch *b;
    struct ingest_result res;
    struct err err = ERR_INIT;
    size_t bytes;
    arena_init(&a, 1u << 20);
    buf_init(&body, 1u << 16);
    buf_init(&out, 1u << 20);
    for (size_t i = from; i < to; i++) {
        buf_puts(&body, rows[i]);
        buf_putc(&body, '\n');
    }
    buf_reserve(&body, BUF_PAD);
    struct ingest_opts o = { .now = NOW };
    if (batch_new(&b, &a, &err) ||
        ingest_decode(DIALECT_NATIVE, buf_str(&body), &o, b, &a, &res, &err) || res.rejected ||
        batch_encode(b, &out, &err))
        abort();
    arena_deinit(&a);
    buf_deinit(&body);
    char *p = buf_take(&out, &bytes);
    if (store_append_wait(s, p, bytes, (uint32_t)(to - from), NULL, &err))
        abort();
}

/* half of the rows in a segment, half in memory */
static struct store *the_store(void)
{
    static struct store *s;
    struct store_config cfg;
    struct io *io;
    struct err err = ERR_INIT;
    if (s)
        return s;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.create = true;
    if (io_mem_new(&io, 1, &err) || store_open(&s, io, &cfg, &err))
        abort();
    append(s, 0, NROWS / 2);
    if (store_flush(s, &err))
        abort();
    append(s, NROWS / 2, NROWS);
    return s;
}

/* ---- what a filter selects ---- */

static void select_rows(struct store *s, const struct pred *p, bool no_prune,
                        uint8_t seen[NROWS + 1])
{
    struct scan_plan plan = { .filter = p, .no_prune = no_prune, .marks = true };
    struct scan *sc;
    struct scan_block sb;
    struct err err = ERR_INIT;
    int rc = store_scan(s, &plan, &sc, &err);
    memset(seen, 0, NROWS + 1);
    if (rc)
        abort();
    while ((rc = scan_next(sc, &sb, &err)) == 0) {
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            struct val v;
            if (block_get_field(sb.block, (uint32_t)i, F_SEQ, &v, &err))
                abort();
            if (v.i < 1 || v.i > (int64_t)NROWS)
                abort();
            seen[v.i]++;
        }
    }
    if (rc < 0)
        abort();
    scan_close(sc);
}

static void check_filter(struct store *s, const struct query *q)
{
    uint8_t with[NROWS + 1], without[NROWS + 1], others[NROWS + 1];
    struct arena a;
    arena_init(&a, 1u << 16);
    const struct pred *p = query_filter(q);
    struct pred *not = pred_not(&a, (struct pred *)(uintptr_t)p);
    if (!not )
        abort();
    select_rows(s, p, false, with);
    select_rows(s, p, true, without);
    select_rows(s, not, false, others);
    for (size_t i = 1; i <= NROWS; i++)
        if (with[i] != without[i] || with[i] + others[i] != 1)
            abort();
    arena_deinit(&a);
}

/* ---- names ---- */

static void check_written(const struct fieldref *f, bool all)
{
    struct arena a;
    struct buf text;
    struct fieldref again;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 20);
    buf_init(&text, 1u << 20);
    field_put_query(&text, f->key, all);
    if (text.n <= QUERY_TEXT_MAX) {
        if (query_name(&a, buf_str(&text), &again, &err) ||
            !fieldref_matches(&again, f->key, f->hash) ||
            (all && f->field == F_NONE && !again.exact))
            abort();
    }
    buf_deinit(&text);
    arena_deinit(&a);
}

static void check_name(str text)
{
    struct arena a;
    struct fieldref f;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 20);
    if (query_name(&a, text, &f, &err) == 0) {
        check_written(&f, false);
        check_written(&f, true);
    }
    arena_deinit(&a);
}

/* ---- answers ---- */

static int answer(struct query *q, struct store *s, enum query_format f, struct buf *out)
{
    struct query_writer w;
    struct query_result res;
    struct query_ctl ctl = { .deadline_ms = 20000, .memory_bytes = 8u << 20 };
    struct err err = ERR_INIT;
    if (query_writer_init(&w, f, out, &err))
        abort();
    int rc = query_run(q, s, &w.sink, &ctl, &res, &err);
    if (!rc)
        rc = query_writer_end(&w, &err);
    query_writer_deinit(&w);
    if (rc && rc != ERR_LIMIT && rc != ERR_INVALID) /* a budget, a regex too complex */
        abort();
    return rc;
}

static void check_run(struct query *q, struct store *s, enum query_format f)
{
    struct buf one, two;
    buf_init(&one, ANSWER_MAX);
    buf_init(&two, ANSWER_MAX);
    int rc = answer(q, s, f, &one);
    if (answer(q, s, f, &two) != rc || (!rc && !str_eq(buf_str(&one), buf_str(&two))))
        abort();
    buf_deinit(&one);
    buf_deinit(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct store *s = the_store();
    struct query_opts o;
    struct query *q;
    struct err err = ERR_INIT;
    struct buf plan;
    if (!n)
        return 0;
    uint8_t choice = data[0];
    str text = { (const char *)data + 1, n - 1 };
    check_name(text);
    query_opts_default(&o);
    o.now = NOW;
    o.tz_minutes = choice & 1 ? 330 : 0;
    o.limit = choice & 2 ? 3 : 0;
    o.oldest_first = choice & 4;
    o.unlimited = choice & 8;
    if (query_parse(&q, text, &o, &err)) {
        bool placed = err.pos >= 0 && (uint64_t)err.pos <= text.n;
        if ((err.code == ERR_INVALID && !placed) || !err.msg[0])
            abort();
        return 0;
    }
    check_filter(s, q);
    check_run(q, s, (enum query_format)(choice >> 4 & 3));
    buf_init(&plan, 1u << 20);
    if (query_explain(q, s, &plan, &err))
        abort();
    buf_deinit(&plan);
    query_free(q);
    return 0;
}
