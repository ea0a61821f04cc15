/* native_templates.c: the templates of messages, counted while segments are written. */
#include <stdio.h>

#include "codec/template.h"
#include "server/handlers.h"
#include "server/internal.h"

struct args {
    uint64_t limit;
};

static void put_one(struct buf *b, struct buf *text, const struct template_stat *t)
{
    char id[17];
    bool first = true, any = false;
    snprintf(id, sizeof id, "%016llx", (unsigned long long)t->id);
    buf_reset(text);
    template_show(text, t->text);
    buf_putc(b, '{');
    json_kv_str(b, &first, "id", str_c(id));
    json_kv_str(b, &first, "template", text->n ? buf_str(text) : STR(""));
    json_kv_u64(b, &first, "entries", t->entries);
    json_key(b, &first, "levels");
    buf_putc(b, '{');
    for (int l = 0; l < LV__COUNT; l++) {
        if (!t->levels[l])
            continue;
        buf_printf(b, "%s\"%.*s\":%llu", any ? "," : "", STR_FMT(level_names[l]),
                   (unsigned long long)t->levels[l]);
        any = true;
    }
    buf_putc(b, '}');
    json_kv_time(b, &first, "first", t->first);
    json_kv_time(b, &first, "last", t->last);
    json_kv_u64(b, &first, "example_seq", t->example_seq);
    buf_putc(b, '}');
}

static int run_templates(struct job *j, struct err *err)
{
    const struct args *x = j->args;
    struct template_stat *v;
    uint32_t n;
    uint64_t other;
    struct buf *b = &j->out, text;
    int rc = store_templates(j->s->store, (uint32_t)x->limit, &j->arena, &v, &n, &other, err);
    if (rc < 0)
        return rc;
    buf_init(&text, 1u << 20);
    buf_puts(b, "{\"templates\":[");
    for (uint32_t i = 0; i < n; i++) {
        buf_puts(b, i ? ",\n" : "");
        put_one(b, &text, &v[i]);
    }
    buf_printf(b, "],\"other_entries\":%llu}\n", (unsigned long long)other);
    rc = buf_ok(&text) ? 0 : err_nomem(err);
    buf_deinit(&text);
    return rc;
}

void native_templates(struct call *c)
{
    if (c->who->agent[0]) { /* they are counted over all agents */
        reply_error(c, 403, "forbidden", "templates need a key that may read every agent");
        return;
    }
    struct args *x = arena_zalloc(c->req->arena, sizeof *x);
    if (!x) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    x->limit = 100;
    if (param_u64(c, "limit", 1, 10000, &x->limit))
        job_start(c, run_templates, x, 0);
}
