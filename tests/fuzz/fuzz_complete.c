/* fuzz_complete.c: any bytes, any cursor: what may stand there?
 *
 * The first two bytes are the cursor, the third chooses the limit and whether only some agents are
 * seen, the rest is the text. It must answer; the range lies in the text around the cursor. What is
 * given as a value, put into its place, must be read without a mistake there by the parser. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "ingest/ingest.h"
#include "io/io.h"
#include "query/complete.h"

#define NOW (1795262400ll * NS_PER_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char rows[] =
    "{\"timestamp\":\"2026-11-21T10:00:00Z\",\"agent\":\"planner\",\"level\":\"error\","
    "\"tool\":\"a b\",\"port\":5432,\"tags\":[\"x\",1,true,null,\"AND\"],\"odd key\":\"-1\","
    "\"q\":\"say \\\"hi\\\"\"}\n"
    "{\"agent\":\"svc-b\",\"duration_ms\":1500.5,\"ok\":true,\"p\":\"/usr|bin\\\\x\","
    "\"nl\":\"a\\nb\",\"a\":{\"b\":-1},\"a.b\":2,\"e\":\"\",\"star\":\"*\","
    "\"c\":\"\\u0001\\u00e9\"}\n";

static struct store *the_store(void)
{
    static struct store *s;
    struct store_config cfg;
    struct io *io;
    struct err err = ERR_INIT;
    struct arena a;
    struct buf body, out;
    struct batch *b;
    struct ingest_result res;
    size_t bytes;
    if (s)
        return s;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.create = true;
    if (io_mem_new(&io, 1, &err) || store_open(&s, io, &cfg, &err))
        abort();
    arena_init(&a, 1u << 20);
    buf_init(&body, 1u << 16);
    buf_init(&out, 1u << 20);
    buf_puts(&body, rows);
    buf_reserve(&body, BUF_PAD);
    struct ingest_opts o = { .now = NOW };
    if (batch_new(&b, &a, &err) ||
        ingest_decode(DIALECT_NATIVE, buf_str(&body), &o, b, &a, &res, &err) || res.rejected ||
        batch_encode(b, &out, &err))
        abort();
    arena_deinit(&a);
    buf_deinit(&body);
    char *p = buf_take(&out, &bytes);
    if (store_append_wait(s, p, bytes, 2, NULL, &err))
        abort();
    return s;
}

/* `text` up to `to`, with the item in its place */
static void check_value(str text, const struct completion *c, const struct complete_item *it)
{
    struct buf with;
    struct query_opts o;
    struct query *q;
    struct err err = ERR_INIT;
    query_opts_default(&o);
    o.now = NOW;
    buf_init(&with, QUERY_TEXT_MAX * 2);
    buf_putstr(&with, str_sub(text, 0, c->from));
    buf_putstr(&with, it->text);
    buf_putc(&with, ' ');
    if (query_parse(&q, buf_str(&with), &o, &err) == 0)
        query_free(q);
    else if (with.n <= QUERY_TEXT_MAX && err.code == ERR_INVALID && (uint64_t)err.pos > c->from &&
             (uint64_t)err.pos < with.n - 1)
        abort(); /* a mistake within what was put in */
    buf_deinit(&with);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct store *s = the_store();
    struct arena a;
    struct buf json;
    struct completion c;
    struct err err = ERR_INIT;
    if (n < 3)
        return 0;
    str text = { (const char *)data + 3, n - 3 };
    struct complete_opts o = { .cursor = data[0] | (size_t)data[1] << 8,
                               .limit = data[2] & 1 ? 3 : 0,
                               .deadline_ms = 60000 };
    query_opts_default(&o.q);
    o.q.now = NOW;
    arena_init(&a, (size_t)64 << 20);
    if (data[2] & 2)
        o.q.also = pred_glob(&a, F_AGENT, STR("plan*"));
    if (query_complete(s, text, &o, &a, &c, &err))
        abort();
    size_t cursor = o.cursor < text.n ? o.cursor : text.n;
    if (c.from > c.to || c.to > text.n || c.from > cursor || (c.n && c.to + 3 < cursor))
        abort();
    if (c.n > (o.limit ? o.limit : COMPLETE_LIMIT_DEFAULT))
        abort();
    for (uint32_t i = 0; i < c.n; i++) {
        if (!c.items[i].text.n || utf8_invalid_at(c.items[i].text) != SIZE_MAX)
            abort();
        if (c.items[i].kind == CK_VALUE)
            check_value(text, &c, &c.items[i]);
    }
    query_unfinished(text);
    buf_init(&json, 1u << 20);
    completion_json(&json, &c);
    if (!buf_ok(&json))
        abort();
    buf_deinit(&json);
    arena_deinit(&a);
    return 0;
}
