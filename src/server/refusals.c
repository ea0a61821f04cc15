/* refusals.c: the newest reasons for which entries were refused.
 *
 * A sender that does one thing wrong does it again and again: the same reason from the same path
 * and key is one line that counts. A new one takes the place of the line seen longest ago. */
#include "server/refusals.h"

#include <stdio.h>
#include <string.h>

#include "server/internal.h"

void refusals_init(struct refusals *r)
{
    memset(r->v, 0, sizeof r->v);
    pthread_mutex_init(&r->lock, NULL);
}

void refusals_deinit(struct refusals *r)
{
    pthread_mutex_destroy(&r->lock);
}

void refusals_add(struct refusals *r, ts_ns now, const char *path, const char *key, str reason,
                  uint64_t entries)
{
    struct refusal one = { .last = now, .entries = entries };
    snprintf(one.path, sizeof one.path, "%s", path);
    snprintf(one.key, sizeof one.key, "%s", key);
    snprintf(one.reason, sizeof one.reason, "%.*s", (int)(reason.n < 255 ? reason.n : 255),
             reason.n ? reason.p : "");
    pthread_mutex_lock(&r->lock);
    struct refusal *at = &r->v[0];
    for (unsigned i = 0; i < REFUSALS_MAX; i++) {
        struct refusal *x = &r->v[i];
        if (x->last && !strcmp(x->reason, one.reason) && !strcmp(x->path, one.path) &&
            !strcmp(x->key, one.key)) {
            one.entries += x->entries;
            at = x;
            break;
        }
        if (x->last < at->last)
            at = x;
    }
    *at = one;
    pthread_mutex_unlock(&r->lock);
}

void refusals_put(struct refusals *r, struct buf *out)
{
    struct refusal v[REFUSALS_MAX];
    unsigned n = 0;
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < REFUSALS_MAX; i++) {
        if (!r->v[i].last)
            continue;
        unsigned at = n++;
        for (; at && v[at - 1].last < r->v[i].last; at--)
            v[at] = v[at - 1];
        v[at] = r->v[i];
    }
    pthread_mutex_unlock(&r->lock);
    buf_putc(out, '[');
    for (unsigned i = 0; i < n; i++) {
        bool first = true;
        buf_puts(out, i ? ",{" : "{");
        json_kv_time(out, &first, "last", v[i].last);
        json_kv_u64(out, &first, "entries", v[i].entries);
        json_kv_str(out, &first, "path", str_c(v[i].path));
        json_kv_str(out, &first, "key", str_c(v[i].key));
        json_key(out, &first, "reason");
        json_put_bytes(out, str_c(v[i].reason)); /* may have been cut within a character */
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}
