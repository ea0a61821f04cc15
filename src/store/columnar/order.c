/* order.c: rows by time in groups, clustered inside them. */
#include "store/columnar/order.h"

#include <stdlib.h>

/* ---- columns ---- */

const struct colv *column_of(struct block *b, enum field f, enum vtype t, int *rc, struct err *err)
{
    const struct colv *c = NULL;
    for (uint32_t i = 0; i < b->ncols && !c && !*rc; i++)
        if (b->cols[i].type == t && str_eq(b->cols[i].key, field_table[f].name))
            *rc = block_load(b, i, &c, err);
    return *rc ? NULL : c;
}

/* Average bytes of a row's texts, so that blocks of huge rows hold fewer. */
static uint64_t row_weight(const struct block *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->ncols; i++) {
        const struct colv *c = b->loaded[i];
        if (b->cols[i].type >= V_STR)
            sum += c->off[c->codes ? c->ndict : c->n];
    }
    return sum / b->n;
}

/* Fields that say whose an entry is, the widest first. Attributes but for the first. */
static const char *const owner_names[OWNERS] = {
    "service", "tenant",     "tenant_id", "org",       "org_id", "customer",
    "project", "project_id", "team",      "workspace", "app",    "namespace",
};

static void note_owner(struct source *src, const struct block *b, uint32_t col)
{
    str key = b->cols[col].key;
    if (key.n && key.p[0] == PATH_SEP)
        key = str_skip(key, 1);
    for (uint32_t k = 0; k < OWNERS; k++)
        if (b->cols[col].type == V_STR && str_eq(key, str_c(owner_names[k])))
            src->owner[k] = b->loaded[col];
}

int source_open(struct source *src, struct block *b, struct err *err)
{
    const struct colv *c;
    int rc = 0;
    for (uint32_t i = 0; i < b->ncols && !rc; i++)
        rc = block_load(b, i, &c, err);
    if (rc)
        return rc;
    src->agent = column_of(b, F_AGENT, V_STR, &rc, err);
    src->session = column_of(b, F_SESSION_ID, V_STR, &rc, err);
    src->trace = column_of(b, F_TRACE_ID, V_STR, &rc, err);
    for (uint32_t k = 0; k < OWNERS; k++)
        src->owner[k] = NULL;
    for (uint32_t i = 0; i < b->ncols && !rc; i++)
        note_owner(src, b, i);
    src->weight = row_weight(b);
    return rc;
}

/* ---- by time ---- */

static int by_time(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;
    int c = (a->t > b->t) - (a->t < b->t);
    c = c ? c : (a->block > b->block) - (a->block < b->block); /* blocks and rows rise with seq */
    return c ? c : (a->row > b->row) - (a->row < b->row);
}

void places_sort(struct place *v, uint64_t n)
{
    for (uint64_t i = 1; i < n; i++)
        if (v[i - 1].t > v[i].t) {
            qsort(v, n, sizeof *v, by_time);
            return;
        }
}

/* ---- clustering ---- */

#define OWNERS_USED 2
#define OWNERS_MANY 1024 /* different ones: no owner, but an id */

struct cluster { /* of one group; the arrays are used again for the next */
    uint32_t agent[GROUP_ROWS], session[GROUP_ROWS]; /* numbers in order of first appearance */
    uint32_t owner[OWNERS_USED][GROUP_ROWS];
    uint32_t of_session[GROUP_ROWS + 1]; /* the owner of a session */
    uint32_t order[GROUP_ROWS], other[GROUP_ROWS];
    uint32_t starts[GROUP_ROWS + 2];
    struct smap agents, sessions, owners[OWNERS_USED];
    struct rowref refs[BLOCK_ROWS_MAX];
};

struct cluster *cluster_new(void)
{
    struct cluster *c = mem_alloc(sizeof *c);
    if (c) {
        smap_init(&c->agents, SMAP_BORROW);
        smap_init(&c->sessions, SMAP_BORROW);
        for (uint32_t k = 0; k < OWNERS_USED; k++)
            smap_init(&c->owners[k], SMAP_BORROW);
    }
    return c;
}

void cluster_free(struct cluster *c)
{
    if (!c)
        return;
    smap_deinit(&c->agents);
    smap_deinit(&c->sessions);
    for (uint32_t k = 0; k < OWNERS_USED; k++)
        smap_deinit(&c->owners[k]);
    mem_free(c);
}

/* The number of a row's text, 0 when it has none. *last: the text before it, which is often the
 * same. */
static int number_of(struct smap *m, const struct colv *c, uint32_t row, str *last, uint32_t *ret,
                     struct err *err)
{
    if (!c || !colv_has(c, row)) {
        *ret = 0;
        return 0;
    }
    str s = colv_text(c, row);
    if (!s.n)
        s = STR("");
    bool is_new;
    if (last->p && str_eq(s, *last)) /* *ret still holds its number */
        return 0;
    uint64_t *v = smap_put(m, s, &is_new);
    if (!v)
        return err_nomem(err);
    if (is_new)
        *v = m->n;
    *last = s;
    *ret = (uint32_t)*v;
    return 0;
}

static int number_rows(struct cluster *c, const struct source *srcs, const struct place *v,
                       uint32_t n, struct err *err)
{
    str last_agent = STR_NULL, last_session = STR_NULL;
    uint32_t agent = 0, session = 0;
    int rc = 0;
    smap_reset(&c->agents);
    smap_reset(&c->sessions);
    for (uint32_t i = 0; i < n && !rc; i++) {
        const struct source *src = &srcs[v[i].block];
        uint32_t row = v[i].row;
        const struct colv *s =
            src->session && colv_has(src->session, row) ? src->session : src->trace;
        rc = number_of(&c->agents, src->agent, row, &last_agent, &agent, err);
        if (!rc)
            rc = number_of(&c->sessions, s, row, &last_session, &session, err);
        if (!agent)
            last_agent = STR_NULL;
        if (!session)
            last_session = STR_NULL;
        c->agent[i] = agent;
        c->session[i] = session;
    }
    return rc;
}

/* A stable counting sort of the rows in `from` by key[row] <= max. */
static void sort_by(struct cluster *c, const uint32_t *key, uint32_t max, const uint32_t *from,
                    uint32_t *to, uint32_t n)
{
    memset(c->starts, 0, (max + 2) * sizeof *c->starts);
    for (uint32_t i = 0; i < n; i++)
        c->starts[key[i] + 1]++;
    for (uint32_t k = 0; k < max; k++)
        c->starts[k + 1] += c->starts[k];
    for (uint32_t i = 0; i < n; i++)
        to[c->starts[key[from[i]]]++] = from[i];
}

/* Numbers the rows by the k-th owner name into place `at`. *ret: it groups sessions, few are of two
 * minds. */
static int number_owner(struct cluster *c, const struct source *srcs, const struct place *v,
                        uint32_t n, uint32_t k, uint32_t at, bool *ret, struct err *err)
{
    uint32_t number = 0, have = 0, astray = 0;
    str last = STR_NULL;
    smap_reset(&c->owners[at]);
    memset(c->of_session, 0, (c->sessions.n + 1) * sizeof *c->of_session);
    for (uint32_t i = 0; i < n; i++) {
        int rc =
            number_of(&c->owners[at], srcs[v[i].block].owner[k], v[i].row, &last, &number, err);
        if (rc)
            return rc;
        if (!number)
            last = STR_NULL;
        uint32_t *of = &c->of_session[c->session[i]];
        *of = *of ? *of : number;
        have += number != 0;
        astray += c->session[i] && number && *of != number;
        c->owner[at][i] = number;
    }
    *ret =
        have > n / 2 && astray <= n / 64 && c->owners[at].n > 1 && c->owners[at].n <= OWNERS_MANY;
    return 0;
}

/* The first owners that the group's rows have; returns how many. */
static int find_owners(struct cluster *c, const struct source *srcs, const struct place *v,
                       uint32_t n, uint32_t *ret, struct err *err)
{
    *ret = 0;
    for (uint32_t k = 0; k < OWNERS && *ret < OWNERS_USED; k++) {
        bool any = false, good = false;
        for (uint32_t i = 0; i < n && !any; i += 1 + n / 64)
            any = srcs[v[i].block].owner[k];
        int rc = any ? number_owner(c, srcs, v, n, k, *ret, &good, err) : 0;
        if (rc)
            return rc;
        *ret += good;
    }
    return 0;
}

/* order: the n rows of v, which are in order of time, by owners, agent, session, time. */
static int cluster_rows(struct cluster *c, const struct source *srcs, const struct place *v,
                        uint32_t n, struct err *err)
{
    uint32_t nowners;
    int rc = number_rows(c, srcs, v, n, err);
    if (!rc)
        rc = find_owners(c, srcs, v, n, &nowners, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++)
        c->order[i] = i;
    sort_by(c, c->session, c->sessions.n, c->order, c->other, n);
    sort_by(c, c->agent, c->agents.n, c->other, c->order, n);
    while (nowners-- > 0) {
        sort_by(c, c->owner[nowners], c->owners[nowners].n, c->order, c->other, n);
        memcpy(c->order, c->other, n * sizeof *c->order);
    }
    return 0;
}

int group_write(struct seg_writer *w, struct cluster *c, struct block *const *blocks,
                const struct source *src, uint32_t nblocks, const struct place *v, uint32_t n,
                uint64_t block_bytes, struct err *err)
{
    int rc = cluster_rows(c, src, v, n, err);
    for (uint32_t from = 0; from < n && !rc;) {
        uint32_t k = 0;
        uint64_t bytes = 0;
        for (; from + k < n && k < BLOCK_ROWS_MAX && (k == 0 || bytes < block_bytes); k++) {
            const struct place *r = &v[c->order[from + k]];
            c->refs[k] = (struct rowref){ blocks[r->block], r->block, r->row };
            bytes += src[r->block].weight;
        }
        rc = seg_writer_add(w, c->refs, k, blocks, nblocks, err);
        from += k;
    }
    return rc;
}
