/* ingest.c: from a request's body to entries on disk, for every dialect.
 *
 *   small   put off -> end of the turn: all decoded into one batch -> store
 *   middle  decoded at once, in the worker                         -> store
 *   big     decoded in a pool                                      -> store
 *   store's writer: group commit, done() -> worker: op->reply, for every request of the batch
 *
 * Single entries come many at a time, and most of what one costs is the same for all of them: what
 * is learned of its keys, the columns, the frame in the log, the way to the writer and back. So the
 * small bodies that one turn of a worker's loop read share a batch; its first operation leads, the
 * others hang on it (mate). One that is refused leaves the batch as it was, and one with an
 * Idempotency-Key has a batch of its own.
 *
 * The operation lives in the request's arena. Bodies of BIG bytes or more are decoded in a pool, so
 * that no loop stands still for longer than a small body takes. */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/hash.h"
#include "base/mem.h"
#include "server/internal.h"

#define BIG ((size_t)256 << 10)
#define SMALL ((size_t)8 << 10) /* bodies up to this share a batch */
#define ARENA_BASE ((size_t)64 << 20)
#define ARENA_PER_BYTE 6
#define ERRORS_MAX ((size_t)256 << 10)
#define INPUT_MAX 1024 /* bytes of a refused value that are shown */

static void put_error(struct buf *b, const struct ingest_error *e)
{
    buf_printf(b, "{\"index\":%u,\"reason\":", e->index);
    json_put_bytes(b, e->reason);
    if (e->field.n) {
        buf_puts(b, ",\"field\":");
        json_put_bytes(b, str_sub(e->field, 0, 256));
    }
    buf_putc(b, '}');
}

/* FastAPI's form; what is wrong with the whole body has no index, and broken JSON has a place */
static void put_detail(struct buf *b, const struct ingest_error *e, bool batch,
                       const struct err *err)
{
    bool broken = str_eq(e->type, STR("json_invalid"));
    bool whole = broken || str_eq(e->type, STR("list_type"));
    buf_puts(b, "{\"type\":");
    json_put_bytes(b, e->type.n ? e->type : STR("value_error"));
    buf_puts(b, ",\"loc\":[\"body\"");
    if (batch && !whole)
        buf_printf(b, ",%u", e->index);
    else if (broken && err->pos >= 0)
        buf_printf(b, ",%lld", (long long)err->pos);
    if (e->field.n) {
        buf_putc(b, ',');
        json_put_bytes(b, str_sub(e->field, 0, 256));
    }
    buf_puts(b, "],\"msg\":");
    json_put_bytes(b, e->reason);
    buf_puts(b, ",\"input\":");
    if (broken)
        buf_puts(b, "{}");
    else if (e->input.n && e->input.n <= INPUT_MAX)
        buf_putstr(b, e->input);
    else
        buf_puts(b, "null");
    if (broken && err->msg[0]) {
        buf_puts(b, ",\"ctx\":{\"error\":");
        json_put_bytes(b, str_c(err->msg));
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static bool is_mals(enum dialect d)
{
    return d == DIALECT_MALS || d == DIALECT_MALS_BATCH;
}

static void keep_errors(struct ingest_op *op, const struct ingest_result *r)
{
    struct buf b;
    buf_init(&b, ERRORS_MAX);
    buf_putc(&b, '[');
    for (uint32_t i = 0; i < r->nerrors; i++) {
        const struct ingest_error *e = &r->errors[i];
        op->by_agent |= str_find(e->reason, STR("API key may not write as agent")) != SIZE_MAX;
        if (i)
            buf_putc(&b, ',');
        if (is_mals(op->dialect))
            put_detail(&b, e, op->dialect == DIALECT_MALS_BATCH, &op->err);
        else
            put_error(&b, e);
    }
    buf_putc(&b, ']');
    str text = buf_ok(&b) ? arena_dup(op->c->req->arena, buf_str(&b)) : STR_NULL;
    buf_deinit(&b);
    if (text.p)
        *(is_mals(op->dialect) ? &op->detail : &op->errors) = text;
}

static int encode(struct ingest_op *op, struct batch *b, struct err *err)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    int rc = batch_encode(b, &out, err);
    if (rc == 0 && !buf_ok(&out))
        rc = err_nomem(err);
    if (rc == 0) {
        op->a.rows = batch_rows(b);
        op->a.payload = buf_take(&out, &op->a.payload_n);
    }
    buf_deinit(&out);
    return rc;
}

static str body_of(const struct ingest_op *op)
{
    static const char nothing[64];
    str body = op->c->req->body;
    return body.p ? body : str_n(nothing, 0);
}

static void note_refusals(struct ingest_op *op, const struct ingest_result *r)
{
    struct call *c = op->c;
    const char *path = c->route ? c->route->path : "";
    uint64_t told = 0;
    for (uint32_t i = 0; i < r->nerrors; i++, told++)
        refusals_add(&c->s->refusals, op->now, path, c->who->name, r->errors[i].reason, 1);
    if (told && told >= op->rejected)
        return; /* a body that cannot be read at all has no entries, and is told too */
    str rest = op->err.msg[0] ? str_c(op->err.msg) : STR("further entries of such a request");
    refusals_add(&c->s->refusals, op->now, path, c->who->name, rest, op->rejected - told);
}

static int decode_with(struct ingest_op *op, struct ingest_run *run)
{
    struct call *c = op->c;
    struct ingest_opts o = { .now = op->now,
                             .atomic = op->atomic,
                             .default_agent = op->default_agent,
                             .key_id = c->who->key_id,
                             .agent_pattern = str_c(c->who->agent) };
    struct ingest_result r;
    int rc = ingest_run_body(run, body_of(op), &o, &r, &op->err);
    op->entries = r.entries;
    op->accepted = rc == 0 ? r.accepted : 0;
    op->rejected = rc == 0 ? r.rejected : r.entries;
    if (r.nerrors)
        keep_errors(op, &r);
    if (op->rejected || rc == ERR_INVALID)
        note_refusals(op, &r);
    return rc;
}

static int decode_in(struct ingest_op *op, struct arena *a)
{
    struct ingest_run *run;
    struct batch *b;
    int rc = batch_new(&b, a, &op->err);
    if (rc == 0)
        rc = ingest_run_new(&run, op->dialect, NULL, b, a, &op->err);
    if (rc)
        return rc;
    rc = decode_with(op, run);
    ingest_run_free(run);
    if (rc == 0 && op->accepted)
        rc = encode(op, b, &op->err);
    return rc;
}

static void decode(struct ingest_op *op)
{
    struct arena a;
    arena_init(&a, ARENA_BASE + ARENA_PER_BYTE * op->c->req->body.n);
    op->rc = decode_in(op, &a);
    if (op->rc == ERR_NOMEM && a.used > a.max / 2) { /* it was the ceiling, not the machine */
        op->rc = err_set(&op->err, ERR_LIMIT, "too many small entries for one request");
        err_hint(&op->err, "send them in several requests");
    }
    arena_deinit(&a);
}

/* ---- after the store ---- */

static void account(struct ingest_op *op)
{
    struct metrics *m = &op->c->s->metrics;
    metric_add(&m->received, op->entries);
    metric_add(&m->ingest_bytes, op->c->req->body.n);
    metric_add(&m->rejected, op->rejected);
    if (op->rc < 0) {
        metric_add(&m->failed, op->accepted);
        return;
    }
    if (!op->appended)
        return;
    metric_add(op->a.duplicate ? &m->duplicate : &m->stored, op->accepted);
    metric_add(&m->ingest_batches, 1);
    auth_rate_charge(op->c->s, op->c->who, op->accepted);
}

static void finish(struct ingest_op *op)
{
    if (op->appended && op->a.rc < 0) {
        op->rc = op->a.rc;
        op->err = op->a.err;
        if (!op->err.msg[0])
            err_set(&op->err, op->rc, "the entries could not be stored");
        if (op->rc == ERR_IO)
            server_storage_failed(op->c->s);
    }
    account(op);
    op->reply(op);
}

/* what the store said of the batch, told to everyone in it */
static void share_out(struct ingest_op *lead)
{
    const struct append *a = &lead->a;
    for (struct ingest_op *op = lead->mate; op; op = op->mate) {
        op->a.rc = a->rc;
        op->a.base_seq = a->base_seq + op->row;
        op->a.rows = op->rows;
        op->a.received_at = a->received_at;
        if (a->rc)
            op->a.err = a->err;
    }
    if (lead->mate)
        lead->a.rows = lead->rows;
}

static void finish_all(struct ingest_op *lead)
{
    share_out(lead);
    for (struct ingest_op *op = lead, *next; op; op = next) {
        next = op->mate;
        finish(op); /* op is gone */
    }
}

static struct ingest_op *op_of(struct net_task *task)
{
    return (struct ingest_op *)((char *)task - offsetof(struct ingest_op, task));
}

static void on_task(struct net_task *task)
{
    finish_all(op_of(task));
}

static void post(struct ingest_op *op)
{
    op->task.fn = on_task;
    if (!net_post_task(http_worker(op->c->req), &op->task))
        finish_all(op); /* the network has stopped: this only releases */
}

static void on_stored(struct append *a)
{
    post(a->user);
}

static void appended(struct ingest_op *lead)
{
    lead->a.done = on_stored;
    lead->a.user = lead;
    for (struct ingest_op *op = lead; op; op = op->mate)
        op->appended = true;
}

/* true: the store has it and will call on_stored */
static bool append(struct ingest_op *op)
{
    if (op->rc < 0 || !op->a.rows)
        return false;
    appended(op);
    store_append(op->c->s->store, &op->a);
    return true;
}

static void decode_big(struct pool_work *w)
{
    struct ingest_op *op = (struct ingest_op *)((char *)w - offsetof(struct ingest_op, work));
    decode(op);
    if (!append(op))
        post(op);
}

/* ---- the end of a turn ---- */

struct gathering { /* a batch that takes bodies; run is NULL when there is none */
    struct arena arena;
    struct batch *batch;
    struct ingest_run *run;
    struct ingest_op *lead, **end;
};

struct turn {
    struct gathering of[DIALECT__COUNT];
    struct append *ready, **ready_end;
};

static int gather_open(struct gathering *g, enum dialect d, struct err *err)
{
    arena_init(&g->arena, ARENA_BASE);
    g->lead = NULL;
    g->end = &g->lead;
    int rc = batch_new(&g->batch, &g->arena, err);
    if (rc == 0)
        rc = ingest_run_new(&g->run, d, NULL, g->batch, &g->arena, err);
    if (rc)
        arena_deinit(&g->arena);
    return rc;
}

/* the batch is complete: encoded and ready for the store, or everyone hears why not */
static void gather_close(struct turn *t, struct gathering *g)
{
    struct err err = ERR_INIT;
    struct ingest_op *lead = g->lead;
    int rc = lead ? encode(lead, g->batch, &err) : 0;
    for (struct ingest_op *op = lead, *next; op && rc; op = next) {
        next = op->mate;
        op->mate = NULL;
        op->rc = rc;
        op->err = err;
        post(op);
    }
    if (lead && !rc) {
        appended(lead);
        lead->a.next = NULL;
        *t->ready_end = &lead->a;
        t->ready_end = &lead->a.next;
    }
    ingest_run_free(g->run);
    arena_deinit(&g->arena);
    g->run = NULL;
}

static void gather(struct turn *t, struct ingest_op *op)
{
    struct gathering own = { 0 };
    bool alone = op->a.has_idem;
    struct gathering *g = alone ? &own : &t->of[op->dialect];
    if (g->run && !ingest_run_room(g->run))
        gather_close(t, g);
    op->rc = g->run ? 0 : gather_open(g, op->dialect, &op->err);
    if (op->rc == 0) {
        op->row = batch_rows(g->batch);
        op->rc = decode_with(op, g->run);
        op->rows = batch_rows(g->batch) - op->row;
    }
    if (op->rc == 0 && op->rows) {
        *g->end = op;
        g->end = &op->mate;
    } else {
        post(op); /* not finished here: its answer may bring the next request of this turn */
    }
    if (g->run && (alone || op->rc == ERR_NOMEM))
        gather_close(t, g);
}

void ingest_turn_end(void *ctx, struct net_task *list)
{
    struct server *s = ctx;
    struct turn t = { 0 };
    t.ready_end = &t.ready;
    for (struct net_task *task = list, *next; task; task = next) {
        next = task->next; /* post() uses it */
        gather(&t, op_of(task));
    }
    for (int d = 0; d < DIALECT__COUNT; d++)
        if (t.of[d].run)
            gather_close(&t, &t.of[d]);
    store_append_list(s->store, t.ready);
}

/* ---- before ---- */

static bool take_idempotency(struct ingest_op *op)
{
    str key = http_header(op->c->req, "idempotency-key");
    if (!key.p)
        return true;
    if (key.n == 0 || key.n > 255) {
        reply_error(op->c, 400, "bad_header", "Idempotency-Key must have 1 to 255 characters");
        return false;
    }
    char text[4 + 255];
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint32_t id = op->c->who->key_id;
    memcpy(text, &id, 4);
    memcpy(text + 4, key.p, key.n);
    if (EVP_Digest(text, 4 + key.n, digest, NULL, EVP_sha256(), NULL) != 1) {
        reply_error(op->c, 503, "busy", "out of memory");
        return false;
    }
    op->a.has_idem = true;
    memcpy(op->a.idem, digest, sizeof op->a.idem);
    op->a.body_hash = hash64(op->c->req->body.p, op->c->req->body.n);
    return true;
}

void ingest_start(struct call *c, enum dialect d, bool atomic, str default_agent,
                  void (*reply)(struct ingest_op *op))
{
    struct ingest_op *op = arena_zalloc(c->req->arena, sizeof *op);
    uint32_t wait = 0;
    if (!op) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    op->c = c;
    op->dialect = d;
    op->atomic = atomic;
    op->default_agent = default_agent;
    op->reply = reply;
    op->now = server_now(c->s);
    if (is_mals(d))
        op->now -= op->now % NS_PER_US; /* shown as created_at, in microseconds like Python's */
    op->errors = STR("[]");
    op->err.pos = op->a.err.pos = -1;
    if (!auth_rate_ok(c->s, c->who, &wait)) {
        metric_add(&c->s->metrics.rate_limited, 1);
        reply_error(c, 429, "rate_limited", "this key may write %u entries a second; wait %u s",
                    c->who->rate, wait);
        return;
    }
    if (!take_idempotency(op))
        return;
    if (c->req->body.n >= BIG) {
        op->work.run = decode_big;
        if (!pool_submit(c->s->decoders, &op->work))
            reply_error(c, 503, "busy", "too many large bodies are being decoded");
        return;
    }
    if (c->req->body.n <= SMALL) {
        net_put_off(http_worker(c->req), &op->task);
        return;
    }
    decode(op);
    if (!append(op))
        finish(op);
}
