/* classes.c: retention classes: numbers for names, rows by rule, and what they hold. */
#include "store/columnar/classes.h"

#include <stdio.h>

bool retention_name_ok(str name)
{
    if (!name.n || name.n > RETENTION_NAME_MAX || str_eq(name, STR("default")))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* ---- numbers ---- */

static bool has_segments(const struct store *s, uint32_t cls)
{
    for (uint32_t i = 0; i < s->mf.nsegs; i++)
        if (s->mf.segs[i].cls == cls)
            return true;
    return false;
}

static bool has_rule(const struct store *s, const char *name)
{
    for (uint32_t i = 0; i < s->cfg.nrules; i++)
        if (strcmp(s->cfg.rules[i].name, name) == 0)
            return true;
    return false;
}

/* The number of a name: its own, else one never used, else one that nothing is left of. 0: none. */
static uint32_t number_of(const struct store *s, const struct store_class *v, const char *name)
{
    for (uint32_t i = 1; i < CLASSES_MAX; i++)
        if (strcmp(v[i].name, name) == 0)
            return i;
    for (uint32_t i = 1; i < CLASSES_MAX; i++)
        if (!v[i].name[0] && !has_segments(s, i))
            return i;
    for (uint32_t i = 1; i < CLASSES_MAX; i++)
        if (!has_rule(s, v[i].name) && !has_segments(s, i))
            return i;
    return 0;
}

int classes_open(struct store *s, struct err *err)
{
    struct store_class all[CLASSES_MAX], changed[CLASSES_MAX];
    uint32_t n = 0;
    memcpy(all, s->mf.classes, sizeof all);
    for (uint32_t i = 0; i < s->cfg.nrules; i++) {
        const struct retention_rule *r = &s->cfg.rules[i];
        if (i >= CLASSES_MAX - 1 || !retention_name_ok(str_c(r->name)))
            return err_set(err, ERR_INVALID, "bad retention class '%.40s'", r->name);
        uint32_t k = number_of(s, all, r->name);
        if (!k)
            return err_set(err, ERR_LIMIT,
                           "no number is free for retention class '%s': %d others have entries",
                           r->name, CLASSES_MAX - 1);
        s->rule_cls[i] = (uint8_t)k;
        if (strcmp(all[k].name, r->name) == 0 && all[k].keep_ns == r->keep_ns)
            continue;
        all[k] = (struct store_class){ .number = k, .keep_ns = r->keep_ns };
        snprintf(all[k].name, sizeof all[k].name, "%s", r->name);
        changed[n++] = all[k];
    }
    return n ? manifest_note(s, &(struct edit){ .classes = changed, .nclasses = n }, err) : 0;
}

int64_t class_keep(const struct store *s, uint32_t cls, int64_t default_keep)
{
    bool known = cls && cls < CLASSES_MAX && s->mf.classes[cls].name[0];
    return known ? s->mf.classes[cls].keep_ns : default_keep;
}

/* ---- rows ---- */

int classes_of(const struct store *s, struct block *b, struct pred_run *run, uint8_t *out,
               struct err *err)
{
    uint64_t left[BLOCK_WORDS], taken[BLOCK_WORDS];
    int rc = 0;
    memset(out, 0, b->n);
    bits_fill(left, b->n);
    for (uint32_t k = 0; k < s->cfg.nrules && !rc && !bits_none(left, b->n); k++) {
        rc = pred_eval(s->cfg.rules[k].match, b, left, taken, run, NULL, err);
        for (size_t i = rc ? b->n : bits_next(taken, 0, b->n); i < b->n;
             i = bits_next(taken, i + 1, b->n)) {
            out[i] = s->rule_cls[k];
            bit_clear(left, i);
        }
    }
    return rc;
}

/* ---- what there is ---- */

int store_classes(struct store *s, struct arena *a, struct class_stat **ret, uint32_t *ret_n,
                  struct err *err)
{
    struct class_stat *v = arena_zalloc(a, CLASSES_MAX * sizeof *v);
    if (!v)
        return err_nomem(err);
    pthread_mutex_lock(&s->lock);
    struct version *ver = s->version;
    atomic_fetch_add(&ver->refs, 1);
    int64_t keep = s->cfg.retention_ns;
    pthread_mutex_unlock(&s->lock);
    for (uint32_t i = 0; i < CLASSES_MAX; i++)
        v[i] = (struct class_stat){ .number = i,
                                    .name = i ? s->mf.classes[i].name : "default",
                                    .keep_ns = class_keep(s, i, keep),
                                    .ruled = i && has_rule(s, s->mf.classes[i].name),
                                    .oldest = TS_MAX };
    for (uint32_t i = 0; i < ver->n; i++) {
        const struct seg_meta *m = &ver->v[i]->m;
        struct class_stat *c = &v[m->cls < CLASSES_MAX ? m->cls : 0];
        c->segments++;
        c->rows += m->rows - m->dead_rows;
        c->bytes += m->bytes;
        c->oldest = m->recv_min < c->oldest ? m->recv_min : c->oldest;
    }
    version_unref(ver);
    uint32_t n = 0;
    for (uint32_t i = 0; i < CLASSES_MAX; i++)
        if (!i || v[i].name[0] || v[i].segments)
            v[n++] = v[i];
    *ret = v;
    *ret_n = n;
    return 0;
}
