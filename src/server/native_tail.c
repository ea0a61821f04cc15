/* native_tail.c: GET /api/v1/tail, /tail/ws and /tail/poll. */
#include <string.h>

#include "server/handlers.h"
#include "server/internal.h"

#define POLL_MAX_NS (300 * NS_PER_S)

static bool parse_seq(struct call *c, const char *name, str v, uint64_t *ret)
{
    if (str_eq(v, STR("now"))) {
        *ret = UINT64_MAX;
        return true;
    }
    struct store_status st;
    if (!str_to_u64(v, ret) || *ret > INT64_MAX) {
        reply_bad_param(c, name, "must be `now` or a sequence number");
        return false;
    }
    store_get_status(c->s->store, &st);
    if (*ret <= st.watermark)
        return true;
    /* waiting for it would hide all that comes before: the store is not the one it was */
    reply_bad_param(c, name, "%llu is past the newest entry, %llu: it belongs to another store",
                    (unsigned long long)*ret, (unsigned long long)st.watermark);
    return false;
}

static bool common(struct call *c, struct tail_spec *spec)
{
    str from, last = http_header(c->req, "last-event-id");
    *spec = (struct tail_spec){ .view = view_native, .after_seq = UINT64_MAX, .tell_drops = true };
    param_str(c, "q", &spec->q);
    if (last.n)
        return parse_seq(c, "Last-Event-ID", last, &spec->after_seq);
    return !http_param(c->req, "from", &from) || parse_seq(c, "from", from, &spec->after_seq);
}

static void put_event(struct buf *out, const struct live_item *it)
{
    buf_puts(out, "id: ");
    buf_put_u64(out, it->seq);
    buf_puts(out, "\ndata: ");
    buf_putstr(out, it->json);
    buf_puts(out, "\n\n");
}

static void put_frame(struct buf *out, const struct live_item *it)
{
    buf_puts(out, "{\"seq\":");
    buf_put_u64(out, it->seq);
    buf_puts(out, ",\"entry\":");
    buf_putstr(out, it->json);
    buf_putc(out, '}');
}

void native_tail_sse(struct call *c)
{
    struct tail_spec spec;
    if (!common(c, &spec))
        return;
    spec.kind = TAIL_SSE;
    spec.put = put_event;
    tail_start(c, &spec);
}

void native_tail_ws(struct call *c)
{
    struct tail_spec spec;
    if (!common(c, &spec))
        return;
    spec.kind = TAIL_WS;
    spec.put = put_frame;
    tail_start(c, &spec);
}

static void poll_reply(struct call *c, str items, uint32_t n, uint64_t cursor, uint64_t dropped)
{
    struct buf b;
    bool first = true;
    (void)n;
    buf_init(&b, items.n + 256);
    buf_putc(&b, '{');
    json_key(&b, &first, "entries");
    buf_putc(&b, '[');
    buf_putstr(&b, items);
    buf_putc(&b, ']');
    json_key(&b, &first, "cursor");
    buf_printf(&b, "\"%llu\"", (unsigned long long)cursor);
    json_kv_u64(&b, &first, "dropped", dropped);
    buf_puts(&b, "}\n");
    if (buf_ok(&b))
        reply_json(c, 200, buf_str(&b));
    else
        reply_error(c, 503, "busy", "out of memory");
    buf_deinit(&b);
}

/* no duration, which is more than nothing: do not wait */
static bool is_zero(str s)
{
    return str_eq(s, STR("0")) || str_eq(s, STR("0s")) || str_eq(s, STR("0ms"));
}

void native_tail_poll(struct call *c)
{
    struct tail_spec spec;
    int64_t wait = 30 * NS_PER_S;
    uint64_t limit = 100;
    str timeout = STR_NULL;
    bool now = http_param(c->req, "timeout", &timeout) && is_zero(timeout);
    if (!common(c, &spec) || (!now && !param_duration(c, "timeout", NS_PER_S, &wait)) ||
        !param_u64(c, "limit", 1, 1000, &limit))
        return;
    spec.kind = TAIL_POLL;
    int64_t ms = (wait > POLL_MAX_NS ? POLL_MAX_NS : wait) / NS_PER_MS;
    spec.timeout_ms = now ? 0 : ms ? ms : 1;
    spec.limit = (uint32_t)limit;
    spec.poll_reply = poll_reply;
    tail_start(c, &spec);
}
