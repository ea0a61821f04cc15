/* guide.c: the local-assistant guide: POST /log and the WebSocket /logs/ws. */
#include "server/handlers.h"
#include "server/internal.h"

static void logged(struct ingest_op *op)
{
    struct call *c = op->c;
    if (op->rc == 0 && op->accepted)
        reply_json(c, 200, STR("{\"status\":\"logged\"}\n"));
    else if (op->by_agent)
        reply_error(c, 403, "forbidden", "this key may not write as that agent");
    else if (op->rc < 0)
        reply_err(c, &op->err);
    else
        reply_error(c, 400, "bad_input", "the body holds no event: send one JSON object");
}

void guide_log(struct call *c)
{
    ingest_start(c, DIALECT_GUIDE, true, STR_NULL, logged);
}

static void put_event(struct buf *out, const struct live_item *it)
{
    buf_putstr(out, it->json);
}

void guide_ws(struct call *c)
{
    struct tail_spec spec = { .kind = TAIL_WS,
                              .view = view_guide,
                              .after_seq = UINT64_MAX,
                              .hello = STR("{\"message\":\"Connected to log stream\"}"),
                              .put = put_event };
    tail_start(c, &spec);
}
