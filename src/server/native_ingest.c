/* native_ingest.c: POST /api/v1/ingest. */
#include <string.h>

#include "base/utf8.h"
#include "server/handlers.h"
#include "server/internal.h"

/* 400 with the counts as well, so that a sender of many sees which were at fault */
static void put_refusal(struct buf *b, struct ingest_op *op, int status)
{
    struct err err = ERR_INIT;
    struct buf whole;
    if (op->rc < 0)
        err = op->err;
    else
        err_set(&err, ERR_INVALID,
                op->by_agent ? "this key may not write as that agent"
                             : "every entry was refused, see errors");
    buf_init(&whole, 16384);
    error_body(&whole, SHAPE_NATIVE, status, &err);
    if (whole.n > 3)
        buf_put(b, whole.p, whole.n - 2); /* without "}\n" */
    buf_deinit(&whole);
}

#define PLAIN_MAX 192 /* bytes of the plain answer: names of 80, four numbers */

static char *put_member(char *p, str name, uint64_t v)
{
    char digits[20];
    size_t n = sizeof digits;
    do
        digits[--n] = (char)('0' + v % 10);
    while (v /= 10);
    memcpy(p, name.p, name.n);
    memcpy(p + name.n, digits + n, sizeof digits - n);
    return p + name.n + sizeof digits - n;
}

/* all taken: the answer nearly every request gets, written by hand */
static void reply_plain(struct ingest_op *op)
{
    char body[PLAIN_MAX], *p = body;
    p = put_member(p, STR("{\"accepted\":"), op->accepted);
    p = put_member(p, STR(",\"rejected\":0,\"duplicates\":"), op->a.duplicate ? op->accepted : 0);
    p = put_member(p, STR(",\"errors\":[],\"first_seq\":"), op->a.base_seq);
    p = put_member(p, STR(",\"last_seq\":"), op->a.base_seq + op->a.rows - 1);
    memcpy(p, "}\n", 2);
    reply_json(op->c, 200, str_n(body, (size_t)(p + 2 - body)));
}

static void reply(struct ingest_op *op)
{
    struct call *c = op->c;
    if (op->rc == 0 && op->accepted && !op->rejected && op->a.rows) {
        reply_plain(op);
        return;
    }
    bool refused = op->rc == ERR_INVALID || (op->rc == 0 && op->entries > 0 && !op->accepted);
    if (op->rc < 0 && !refused) {
        reply_err(c, &op->err);
        return;
    }
    int status = !refused ? 200 : op->by_agent ? 403 : 400;
    struct buf b;
    bool first = true;
    buf_init(&b, (size_t)1 << 20);
    if (refused) {
        put_refusal(&b, op, status);
        first = false;
    } else {
        buf_putc(&b, '{');
    }
    uint32_t accepted = refused ? 0 : op->accepted;
    json_kv_u64(&b, &first, "accepted", accepted);
    json_kv_u64(&b, &first, "rejected", op->rejected);
    json_kv_u64(&b, &first, "duplicates", op->a.duplicate && !refused ? accepted : 0);
    json_key(&b, &first, "errors");
    buf_putstr(&b, op->errors);
    if (accepted) {
        uint32_t rows = op->a.rows ? op->a.rows : 1;
        json_kv_u64(&b, &first, "first_seq", op->a.base_seq);
        json_kv_u64(&b, &first, "last_seq", op->a.base_seq + rows - 1);
    }
    buf_puts(&b, "}\n");
    if (buf_ok(&b))
        reply_json(c, status, buf_str(&b));
    else
        reply_error(c, 503, "busy", "out of memory");
    buf_deinit(&b);
}

/* What the body is: by ?format=, else by Content-Type. False: answered. */
static bool choose(struct call *c, enum dialect *ret)
{
    str format, type = http_header(c->req, "content-type");
    *ret = DIALECT_NATIVE;
    if (param_str(c, "format", &format)) {
        if (str_eq(format, STR("text"))) {
            *ret = DIALECT_TEXT;
        } else if (!str_eq(format, STR("json")) && !str_eq(format, STR("ndjson"))) {
            reply_bad_param(c, "format", "must be json, ndjson or text");
            return false;
        }
        return true;
    }
    if (!type.n)
        return true;
    type = str_trim(str_sub(type, 0, str_chr(type, ';')));
    static const char *const fine[] = {
        "application/json",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
        "application/octet-stream",
        "application/x-www-form-urlencoded", /* what curl -d says unasked */
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (str_eq_ci(type, str_c(fine[i])))
            return true;
    if (type.n > 5 && str_eq_ci(str_sub(type, 0, 5), STR("text/"))) {
        str body = utf8_past_bom(c->req->body);
        body = body.n ? str_trim(str_sub(body, 0, 256)) : STR_NULL;
        if (!body.n || (body.p[0] != '{' && body.p[0] != '['))
            *ret = DIALECT_TEXT;
        return true;
    }
    reply_error(c, 415, "unsupported_media_type",
                "send JSON, NDJSON (application/x-ndjson) or plain text");
    return false;
}

void native_ingest(struct call *c)
{
    enum dialect d;
    bool atomic = false;
    str agent = STR_NULL;
    if (!choose(c, &d) || !param_bool(c, "atomic", &atomic))
        return;
    param_str(c, "agent", &agent);
    ingest_start(c, d, atomic, agent, reply);
}
