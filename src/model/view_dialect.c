/* view_dialect.c: rows in the words of the systems whose APIs are spoken.
 *
 * A row that came in by the dialect it is asked for in is given back as it was sent, with the
 * dialect's defaults for what was left out. Any other row is translated: the dialect's own members
 * first, then everything else the row has as that dialect's free data (context, metadata, payload,
 * top level). */
#include "model/view.h"
#include "model/view_row.h"

#include "codec/json.h"
#include "model/spell.h"

#define BIT(f) (1ull << (f))

/* the value as JSON text, numbers and all, or "" */
static void put_text_of(struct buf *b, const struct row *r, enum field f)
{
    if (row_has(r, f))
        view_put_val(b, f, r->field[f]);
    else
        buf_puts(b, "\"\"");
}

static void put_member_text(struct buf *b, const struct row *r, str key, enum field f, bool *first)
{
    put_key(b, key, first);
    put_text_of(b, r, f);
}

static int64_t row_time(const struct row *r)
{
    return row_has(r, F_TIMESTAMP) && r->field[F_TIMESTAMP].t == V_I64 ? r->field[F_TIMESTAMP].i
                                                                       : 0;
}

/* Writes the client's member `key` when there is one. */
static bool put_sent(struct buf *b, struct row *r, str key, bool *first)
{
    uint32_t from, to;
    if (!row_find(r, TREE_TOP, key, &from, &to))
        return false;
    row_put_member(b, r, from, to, first);
    return true;
}

/* Marks the client's member `key` as written. */
static void hide(struct row *r, str key)
{
    uint32_t from, to;
    row_find(r, TREE_TOP, key, &from, &to);
    for (; from < to; from++)
        r->m[from].done = true;
}

/* the container `key` of the client's object, or `missing` */
static void put_container(struct buf *b, struct row *r, str key, const char *missing, bool *first)
{
    if (put_sent(b, r, key, first))
        return;
    put_key(b, key, first);
    for (uint32_t i = 0; i < r->shape.ncontainers; i++) {
        if (!str_eq(r->shape.containers[i], key))
            continue;
        bool inner = true;
        buf_putc(b, '{');
        row_put_tree(b, r, (int)i, &inner);
        buf_putc(b, '}');
        return;
    }
    buf_puts(b, missing);
}

/* ---- Fleet ---- */

static void put_fleet_level(struct buf *b, const struct row *r)
{
    enum level lv = row_level(r);
    json_put_str(b, level_names_upper[lv == LV_TRACE ? LV_DEBUG : lv]);
}

static void fleet_own(struct buf *b, struct row *r, bool *first)
{
    static const struct {
        str key;
        enum field f;
    } optional[] = { { { "trace_id", 8 }, F_TRACE_ID }, { { "session_id", 10 }, F_SESSION_ID } };
    put_sent(b, r, STR("timestamp"), first);
    put_sent(b, r, STR("agent"), first);
    hide(r, STR("level"));
    put_key(b, STR("level"), first);
    put_fleet_level(b, r);
    put_sent(b, r, STR("message"), first);
    put_container(b, r, STR("context"), "{}", first);
    for (size_t i = 0; i < 2; i++)
        if (!put_sent(b, r, optional[i].key, first))
            put_member_text(b, r, optional[i].key, optional[i].f, first);
    /* what the original would have refused; containers are done */
    r->sourced = false;
    row_put_tree(b, r, TREE_TOP, first);
}

static void fleet_other(struct buf *b, struct row *r, bool *first)
{
    put_key(b, STR("timestamp"), first);
    spell_put_epoch(b, row_time(r), UNIT_S, true);
    put_member_text(b, r, STR("agent"), F_AGENT, first);
    put_key(b, STR("level"), first);
    put_fleet_level(b, r);
    put_member_text(b, r, STR("message"), F_MESSAGE, first);
    put_key(b, STR("context"), first);
    bool inner = true;
    buf_putc(b, '{');
    row_put_rest(b, r,
                 BIT(F_TIMESTAMP) | BIT(F_AGENT) | BIT(F_LEVEL) | BIT(F_MESSAGE) | BIT(F_TRACE_ID) |
                     BIT(F_SESSION_ID),
                 &inner);
    buf_putc(b, '}');
    put_member_text(b, r, STR("trace_id"), F_TRACE_ID, first);
    put_member_text(b, r, STR("session_id"), F_SESSION_ID, first);
}

int view_fleet(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        bool first = true;
        buf_putc(out, '{');
        if (r.shape.dialect == 'F') {
            row_source(&r);
            fleet_own(out, &r, &first);
        } else {
            fleet_other(out, &r, &first);
        }
        buf_putc(out, '}');
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}

/* ---- MALS ---- */

static void put_or_null(struct buf *b, const struct row *r, str key, enum field f, bool *first)
{
    put_key(b, key, first);
    if (r->has_sent >> f & 1)
        buf_putstr(b, r->sent[f]);
    else if (row_has(r, f))
        view_put_val(b, f, r->field[f]);
    else
        buf_puts(b, "null");
}

static void mals_metadata(struct buf *b, struct row *r, bool *first)
{
    static const str fixed[] = {
        { "id", 2 },           { "created_at", 10 },  { "resolved", 8 },
        { "resolved_at", 11 }, { "resolved_by", 11 },
    };
    if (r->shape.dialect == 'M') {
        row_source(r);
        put_container(b, r, STR("metadata"), "null", first);
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
            hide(r, fixed[i]); /* the server's own names win; /api/v1 shows both */
        return;
    }
    put_key(b, STR("metadata"), first);
    size_t at = b->n;
    bool inner = true;
    buf_putc(b, '{');
    row_put_rest(b, r,
                 BIT(F_TIMESTAMP) | BIT(F_AGENT) | BIT(F_LEVEL) | BIT(F_MESSAGE) | BIT(F_TRACE_ID) |
                     BIT(F_SESSION_ID) | BIT(F_CATEGORY) | BIT(F_SOURCE) | BIT(F_PARENT_ENTRY),
                 &inner);
    buf_putc(b, '}');
    if (inner && buf_ok(b)) {
        b->n = at;
        buf_puts(b, "null");
    }
}

/* what an M client sent beside the known members */
static void mals_extra(struct buf *b, struct row *r, bool *first)
{
    static const str known[] = {
        { "agent_id", 8 }, { "message", 7 },      { "level", 5 },
        { "category", 8 }, { "session_key", 11 }, { "source", 6 },
        { "metadata", 8 }, { "trace_id", 8 },     { "parent_id", 9 },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        hide(r, known[i]);
    r->sourced = false;
    row_put_tree(b, r, TREE_TOP, first);
}

/* microseconds, as Python's datetime reads them */
static void put_micros(struct buf *b, ts_ns t)
{
    char text[TS_TEXT_MAX];
    if (t > TS_MIN + NS_PER_US)
        t = floor_div(t, NS_PER_US) * NS_PER_US;
    size_t n = ts_format(t, t % NS_PER_S ? 6 : 0, text);
    json_put_str(b, (str){ text, n });
}

int view_mals(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        bool first = true;
        enum level lv = row_level(&r);
        buf_putc(out, '{');
        put_key_value(out, STR("id"), r.field[F_ID], F_ID, &first);
        put_member_text(out, &r, STR("agent_id"), F_AGENT, &first);
        put_member_text(out, &r, STR("message"), F_MESSAGE, &first);
        put_key(out, STR("level"), &first);
        json_put_str(out, level_names[lv == LV_TRACE ? LV_DEBUG : lv]);
        put_or_null(out, &r, STR("category"), F_CATEGORY, &first);
        put_or_null(out, &r, STR("session_key"), F_SESSION_ID, &first);
        put_or_null(out, &r, STR("source"), F_SOURCE, &first);
        mals_metadata(out, &r, &first);
        put_or_null(out, &r, STR("trace_id"), F_TRACE_ID, &first);
        put_or_null(out, &r, STR("parent_id"), F_PARENT_ENTRY, &first);
        put_key(out, STR("created_at"), &first);
        put_micros(out, row_time(&r));
        put_key_value(out, STR("resolved"),
                      row_has(&r, F_RESOLVED) ? r.field[F_RESOLVED] : (struct val){ .t = V_BOOL },
                      F_RESOLVED, &first);
        put_key(out, STR("resolved_at"), &first);
        if (row_has(&r, F_RESOLVED_AT) && r.field[F_RESOLVED_AT].t == V_I64)
            put_micros(out, r.field[F_RESOLVED_AT].i);
        else
            buf_puts(out, "null");
        put_or_null(out, &r, STR("resolved_by"), F_RESOLVED_BY, &first);
        if (r.shape.dialect == 'M')
            mals_extra(out, &r, &first);
        buf_putc(out, '}');
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}

/* ---- guide ---- */

static void guide_own(struct buf *b, struct row *r, bool *first)
{
    row_source(r);
    if (!put_sent(b, r, STR("timestamp"), first)) {
        put_key(b, STR("timestamp"), first);
        spell_put_time(b, row_time(r), STR_NULL);
    }
    if (!put_sent(b, r, STR("agent"), first))
        put_member_text(b, r, STR("agent"), F_AGENT, first);
    if (!put_sent(b, r, STR("event"), first)) {
        put_key(b, STR("event"), first);
        if (row_has(r, F_EVENT))
            view_put_val(b, F_EVENT, r->field[F_EVENT]);
        else
            json_put_str(b, level_names[row_level(r)]);
    }
    if (!put_sent(b, r, STR("content"), first) && row_has(r, F_MESSAGE))
        put_member_text(b, r, STR("content"), F_MESSAGE, first);
    row_put_tree(b, r, TREE_TOP, first);
}

static void guide_other(struct buf *b, struct row *r, bool *first)
{
    uint64_t skip = BIT(F_TIMESTAMP) | BIT(F_AGENT) | BIT(F_EVENT) | BIT(F_MESSAGE);
    put_key(b, STR("timestamp"), first);
    spell_put_time(b, row_time(r), STR_NULL);
    if (row_has(r, F_AGENT))
        put_member_text(b, r, STR("agent"), F_AGENT, first);
    else
        put_key_value(b, STR("agent"), (struct val){ .t = V_STR, .s = STR("unknown") }, F_AGENT,
                      first);
    put_key(b, STR("event"), first);
    if (row_has(r, F_EVENT))
        view_put_val(b, F_EVENT, r->field[F_EVENT]);
    else
        json_put_str(b, level_names[row_level(r)]);
    put_member_text(b, r, STR("content"), F_MESSAGE, first);
    /* attributes that carry one of the four names would hide them */
    static const str own[] = {
        { "timestamp", 9 }, { "agent", 5 }, { "event", 5 }, { "content", 7 }
    };
    row_attributes(r);
    for (size_t i = 0; i < 4; i++)
        hide(r, own[i]);
    for (int f = 0; f < F_SHAPE; f++) {
        uint32_t from, to;
        if (row_has(r, (enum field)f) && !(skip >> f & 1) && !(field_table[f].flags & FF_VIRTUAL) &&
            f != F_ID && f != F_KEY_ID && !row_find(r, TREE_TOP, field_table[f].name, &from, &to))
            put_key_value(b, field_table[f].name, r->field[f], (enum field)f, first);
    }
    row_put_tree(b, r, TREE_TOP, first);
}

int view_guide(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        bool first = true;
        buf_putc(out, '{');
        if (r.shape.dialect == 'G')
            guide_own(out, &r, &first);
        else
            guide_other(out, &r, &first);
        buf_putc(out, '}');
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}

/* ---- hook events ---- */

static void hook_own(struct buf *b, struct row *r, bool *first)
{
    row_source(r);
    hide(r, STR("id"));
    if (!put_sent(b, r, STR("timestamp"), first)) {
        put_key(b, STR("timestamp"), first);
        spell_put_epoch(b, row_time(r) / NS_PER_MS * NS_PER_MS, UNIT_MS, false);
    }
    row_put_tree(b, r, TREE_TOP, first);
}

static void hook_other(struct buf *b, struct row *r, bool *first)
{
    put_key(b, STR("source_app"), first);
    if (row_has(r, F_AGENT))
        view_put_val(b, F_AGENT, r->field[F_AGENT]);
    else
        buf_puts(b, "\"unknown\"");
    put_member_text(b, r, STR("session_id"), F_SESSION_ID, first);
    put_key(b, STR("hook_event_type"), first);
    if (row_has(r, F_EVENT))
        view_put_val(b, F_EVENT, r->field[F_EVENT]);
    else
        json_put_str(b, level_names[row_level(r)]);
    put_key(b, STR("payload"), first);
    bool inner = true;
    buf_putc(b, '{');
    row_put_rest(b, r, BIT(F_TIMESTAMP) | BIT(F_AGENT) | BIT(F_EVENT) | BIT(F_SESSION_ID), &inner);
    buf_putc(b, '}');
    put_key(b, STR("timestamp"), first);
    spell_put_epoch(b, row_time(r) / NS_PER_MS * NS_PER_MS, UNIT_MS, false);
}

int view_hook(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        bool first = true;
        buf_putc(out, '{');
        put_key_value(out, STR("id"), row_has(&r, F_SEQ) ? r.field[F_SEQ] : VAL_ABSENT, F_SEQ,
                      &first);
        if (r.shape.dialect == 'E')
            hook_own(out, &r, &first);
        else
            hook_other(out, &r, &first);
        buf_putc(out, '}');
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}
