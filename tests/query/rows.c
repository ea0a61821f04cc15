/* rows.c: the rows of a golden file, and batches of them. */
#include "base/mem.h"
#include "ingest/ingest.h"
#include "query_states.h"

#define ROWS_BYTES ((size_t)64 << 20)

static void begin(struct rows *r)
{
    if (!r->begun)
        arena_init(&r->arena, ROWS_BYTES);
    r->begun = true;
}

bool rows_add(struct rows *r, str line)
{
    begin(r);
    if (r->n == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 64;
        str *more = arena_grow(&r->arena, r->line, r->n, cap, sizeof *more);
        if (!more)
            return false;
        r->line = more;
        r->cap = cap;
    }
    str own = arena_dup(&r->arena, line);
    r->line[r->n++] = own;
    return own.p;
}

bool rows_mark(struct rows *r, uint64_t seq, str by, ts_ns at, str note)
{
    begin(r);
    struct row_mark *more = arena_grow(&r->arena, r->mark, r->nmarks, r->nmarks + 1, sizeof *more);
    if (!more)
        return false;
    more[r->nmarks++] =
        (struct row_mark){ seq, arena_dup(&r->arena, by), arena_dup(&r->arena, note), at };
    r->mark = more;
    return true;
}

void rows_reset(struct rows *r)
{
    if (r->begun)
        arena_deinit(&r->arena);
    *r = (struct rows){ 0 };
}

int rows_payload(const struct rows *r, uint32_t from, uint32_t n, ts_ns now, char **ret,
                 size_t *ret_n, struct err *err)
{
    struct arena a;
    struct buf body, out;
    struct batch *b;
    struct ingest_result res = { 0 };
    struct ingest_opts o = { .now = now, .atomic = true };
    arena_init(&a, ROWS_BYTES * 4);
    buf_init(&body, ROWS_BYTES);
    buf_init(&out, ROWS_BYTES * 2);
    for (uint32_t i = 0; i < n; i++) {
        buf_putstr(&body, r->line[from + i]);
        buf_putc(&body, '\n');
    }
    int rc = batch_new(&b, &a, err);
    if (!rc)
        rc = ingest_decode(DIALECT_NATIVE, buf_str(&body), &o, b, &a, &res, err);
    if (!rc && res.accepted != n)
        rc = err_set(err, ERR_INVALID, "row %u: %.*s",
                     from + (res.nerrors ? res.errors[0].index : 0) + 1,
                     STR_FMT(res.nerrors ? res.errors[0].reason : STR("refused")));
    if (!rc)
        rc = batch_encode(b, &out, err);
    if (!rc)
        *ret = buf_take(&out, ret_n);
    buf_deinit(&out);
    buf_deinit(&body);
    arena_deinit(&a);
    return rc;
}
