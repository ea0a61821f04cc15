/* summary.c: counts per agent, level and hour, restricted to what a key may read. */
#include "server/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

struct hours {
    struct job *j;
    struct hour_stat *h;
    uint32_t n, cap;
};

static int by_hour(const void *a, const void *b)
{
    const struct hour_stat *x = a, *y = b;
    return (x->hour > y->hour) - (x->hour < y->hour);
}

/* sorts and joins equal hours */
static void squeeze(struct hours *h)
{
    uint32_t m = 0;
    if (!h->n)
        return;
    qsort(h->h, h->n, sizeof *h->h, by_hour);
    for (uint32_t i = 0; i < h->n; i++) {
        if (m && h->h[m - 1].hour == h->h[i].hour)
            h->h[m - 1].entries += h->h[i].entries;
        else
            h->h[m++] = h->h[i];
    }
    h->n = m;
}

static int count_hours(void *arg, const struct scan_block *sb, struct err *err)
{
    struct hours *h = arg;
    uint32_t n = sb->block->n;
    for (size_t r = bits_next(sb->sel, 0, n); r < n; r = bits_next(sb->sel, r + 1, n)) {
        ts_ns t;
        int rc = row_time(sb->block, (uint32_t)r, &t, err);
        if (rc < 0)
            return rc;
        int64_t hour = floor_div(t, 3600 * NS_PER_S);
        if (h->n && h->h[h->n - 1].hour == hour) {
            h->h[h->n - 1].entries++;
            continue;
        }
        if (h->n == h->cap) {
            squeeze(h);
            if (h->n >= h->cap / 2) {
                uint32_t cap = h->cap ? h->cap * 2 : 256;
                h->h = arena_grow(&h->j->arena, h->h, h->n, cap, sizeof *h->h);
                if (!h->h)
                    return err_nomem(err);
                h->cap = cap;
            }
        }
        h->h[h->n++] = (struct hour_stat){ .hour = hour, .entries = 1 };
    }
    return 0;
}

int summary_get(struct job *j, struct store_summary *ret, struct err *err)
{
    int rc = store_summary(j->s->store, &j->arena, ret, err);
    if (rc < 0 || !j->c->who->agent[0])
        return rc;
    uint32_t n = 0;
    ret->entries = 0;
    memset(ret->levels, 0, sizeof ret->levels);
    ret->t_min = TS_MAX;
    ret->t_max = TS_MIN;
    for (uint32_t i = 0; i < ret->nagents; i++) {
        struct agent_stat *a = &ret->agents[i];
        if (!auth_may_agent(j->c->who, a->name))
            continue;
        ret->entries += a->entries;
        for (int lv = 0; lv < LV__COUNT; lv++)
            ret->levels[lv] += a->levels[lv];
        ret->t_min = a->first < ret->t_min ? a->first : ret->t_min;
        ret->t_max = a->last > ret->t_max ? a->last : ret->t_max;
        ret->agents[n++] = *a;
    }
    ret->nagents = n;
    struct pred *p;
    struct hours h = { .j = j };
    rc = job_filter(j, NULL, &p, err);
    if (rc == 0) {
        struct scan_plan plan = { .filter = p, .order = SCAN_ANY };
        rc = rows_each(j, &plan, count_hours, &h, NULL, err);
    }
    if (h.n)
        squeeze(&h);
    ret->hours = h.h;
    ret->nhours = h.n;
    return rc;
}
