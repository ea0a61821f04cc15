/* values.c: how often each value of a field occurs, for a request. */
#include "server/internal.h"

static int count_block(void *arg, const struct scan_block *sb, struct err *err)
{
    return value_tally_add(arg, sb, err);
}

int values_count(struct job *j, const struct pred *filter, const struct fieldref *f,
                 struct value_count **ret, uint32_t *ret_n, uint64_t *ret_present, bool *ret_more,
                 struct err *err)
{
    struct value_tally *t = arena_zalloc(&j->arena, sizeof *t);
    if (!t)
        return err_nomem(err);
    value_tally_init(t, &j->arena, f);
    struct scan_plan plan = { .filter = filter, .order = SCAN_ANY, .marks = true };
    int rc = rows_each(j, &plan, count_block, t, NULL, err);
    value_tally_end(t);
    if (rc < 0)
        return rc;
    *ret = t->v;
    *ret_n = t->n;
    *ret_present = t->present;
    *ret_more = t->more;
    return 0;
}
