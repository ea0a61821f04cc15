/* tmplmap.c: see tmplmap.h. */
#include "query/tmplmap.h"

#include "base/mem.h"
#include "query/run.h"

#define PIECE_MIN 3 /* bytes of a fixed piece that an index can help with */

void tmpl_map_init(struct tmpl_map *m)
{
    smap_init(&m->map, SMAP_BORROW);
    arena_init(&m->arena, SIZE_MAX);
    buf_init(&m->tmp, 4 * TEMPLATE_TEXT_MAX);
}

void tmpl_map_deinit(struct tmpl_map *m)
{
    smap_deinit(&m->map);
    arena_deinit(&m->arena);
    buf_deinit(&m->tmp);
    mem_free(m->text);
    mem_free(m->codes);
}

size_t tmpl_map_bytes(const struct tmpl_map *m)
{
    return m->arena.used + (size_t)m->ncodes * sizeof *m->codes +
           (size_t)m->cap * (sizeof *m->text + 2 * sizeof(struct smap_slot));
}

int tmpl_map_put(struct tmpl_map *m, str tmpl, uint32_t *ret, struct err *err)
{
    if (!tmpl.n)
        tmpl = STR("");
    const uint64_t *known = smap_get(&m->map, tmpl);
    if (known) {
        *ret = (uint32_t)*known;
        return 0;
    }
    if (m->n == m->cap) {
        uint32_t cap = m->cap ? m->cap * 2 : 64;
        str *text = mem_realloc(m->text, cap * sizeof *text);
        if (!text)
            return err_nomem(err);
        m->text = text;
        m->cap = cap;
    }
    str own = arena_dup(&m->arena, tmpl);
    uint64_t *slot = own.p ? smap_put(&m->map, own, NULL) : NULL;
    if (!slot)
        return err_nomem(err);
    m->text[m->n] = own;
    *slot = *ret = ++m->n;
    return 0;
}

static int find(struct tmpl_map *m, str message, uint32_t *ret, struct err *err)
{
    uint32_t nvars;
    *ret = 0;
    buf_reset(&m->tmp);
    bool has = template_split(message, &m->tmp, m->vars, &nvars);
    if (!buf_ok(&m->tmp))
        return err_nomem(err);
    return has ? tmpl_map_put(m, buf_str(&m->tmp), ret, err) : 0;
}

int tmpl_rows_open(struct tmpl_rows *r, struct tmpl_map *m, struct block *b,
                   const struct fieldref *ref, struct err *err)
{
    r->m = m;
    int rc = access_open(&r->a, b, ref, err);
    if (rc)
        return rc;
    const struct colv *c = r->a.n == 1 ? r->a.c[0] : NULL;
    r->by_code = c && c->codes && c->type == V_STR;
    if (!r->by_code)
        return 0;
    if (m->ncodes < c->ndict) {
        uint32_t *codes = mem_realloc(m->codes, (size_t)c->ndict * sizeof *codes);
        if (!codes)
            return err_nomem(err);
        m->codes = codes;
        m->ncodes = c->ndict;
    }
    memset(m->codes, 0xff, (size_t)c->ndict * sizeof *m->codes);
    return 0;
}

int tmpl_rows_get(struct tmpl_rows *r, uint32_t row, bool *ret_has, uint32_t *ret, struct err *err)
{
    const struct colv *c = r->a.c[0];
    struct val v;
    if (r->by_code && colv_has(c, row)) {
        uint32_t *at = &r->m->codes[c->codes[row]];
        *ret_has = true;
        int rc = *at == UINT32_MAX ? find(r->m, colv_text(c, row), at, err) : 0;
        *ret = *at;
        return rc;
    }
    int rc = access_get(&r->a, row, &v, err);
    *ret_has = !rc && v.t == V_STR;
    *ret = 0;
    return *ret_has ? find(r->m, v.s, ret, err) : rc;
}

/* ---- the past ---- */

int past_open(struct past *p, struct run *r, const char *pipe, struct tmpl_map *m, ts_ns from,
              struct err *err)
{
    ts_ns lo, hi;
    *p = (struct past){ .run = r, .pipe = pipe, .m = m, .from = from };
    smap_init(&p->first, SMAP_BORROW);
    arena_init(&p->arena, (size_t)64 << 20);
    pred_time_bounds(r->q->filter, &lo, &hi);
    if (from == TS_MIN)
        p->from = lo;
    p->known = p->from != TS_MIN;
    if (!fieldref_make(&p->arena, field_table[F_MESSAGE].name, false, &p->message))
        return err_nomem(err);
    if (!p->known || r->q->o.also) /* summaries count what a key may not see */
        return 0;
    uint32_t n;
    uint64_t other;
    int rc = store_templates(r->store, UINT32_MAX, &p->arena, &p->stat, &n, &other, err);
    for (uint32_t i = 0; i < n && !rc; i++) {
        str key = p->stat[i].text.p ? p->stat[i].text : STR("");
        uint64_t *slot = smap_put(&p->first, key, NULL);
        if (!slot)
            return err_nomem(err);
        *slot = i + 1;
    }
    p->whole = !rc && !other;
    return rc;
}

void past_close(struct past *p)
{
    smap_deinit(&p->first);
    arena_deinit(&p->arena);
}

static str longest_piece(str tmpl)
{
    str best = STR_NULL;
    size_t from = 0;
    for (size_t i = 0; i <= tmpl.n; i++) {
        char c = i < tmpl.n ? tmpl.p[i] : TEMPLATE_TEXT;
        if (c != TEMPLATE_INT && c != TEMPLATE_PADDED && c != TEMPLATE_TEXT)
            continue;
        if (i - from > best.n)
            best = str_sub(tmpl, from, i - from);
        i += c == TEMPLATE_PADDED;
        from = i + 1;
    }
    return best;
}

/* Is there a row of this template in the block? tmpl NULL: any row is one. */
static int in_block(struct past *p, const struct scan_block *sb, const str *tmpl, bool *ret,
                    struct err *err)
{
    struct tmpl_map *m = p->m;
    struct access a;
    struct val v;
    uint32_t nvars;
    *ret = !tmpl;
    int rc = tmpl ? access_open(&a, sb->block, &p->message, err) : 0;
    for (size_t i = bits_next(sb->sel, 0, sb->block->n); i < sb->block->n && !rc && !*ret;
         i = bits_next(sb->sel, i + 1, sb->block->n)) {
        rc = access_get(&a, (uint32_t)i, &v, err);
        buf_reset(&m->tmp);
        if (!rc && v.t == V_STR && template_split(v.s, &m->tmp, m->vars, &nvars))
            *ret = str_eq(buf_str(&m->tmp), *tmpl);
    }
    return rc;
}

static int look_back(struct past *p, const str *tmpl, bool *ret_there, struct err *err)
{
    struct run *r = p->run;
    struct arena a;
    struct scan *sc;
    struct scan_block sb;
    str piece = tmpl ? longest_piece(*tmpl) : STR_NULL;
    *ret_there = false;
    arena_init(&a, 1u << 20);
    struct pred *f = pred_time(&a, TS_MIN, p->from);
    if (piece.n >= PIECE_MIN)
        f = pred_and(&a, f, pred_substr(&a, F_MESSAGE, piece, false));
    if (r->q->o.also)
        f = pred_and(&a, f, (struct pred *)r->q->o.also);
    struct scan_plan plan = { .filter = f,
                              .seq_max = r->res->watermark,
                              .marks = f && pred_uses_marks(f),
                              .no_prune = r->q->o.no_prune,
                              .cancel = &r->ctl->cancel };
    int rc = f ? store_scan(r->store, &plan, &sc, err) : err_nomem(err);
    if (!rc) {
        while (!*ret_there && (rc = run_check(r, err)) == 0 && (rc = scan_next(sc, &sb, err)) == 0)
            if ((rc = in_block(p, &sb, tmpl, ret_there, err)) < 0)
                break;
        cost_add(&r->res->cost, scan_get_cost(sc));
        scan_close(sc);
    }
    arena_deinit(&a);
    return rc < 0 ? rc : 0;
}

int past_any(struct past *p, bool *ret, struct err *err)
{
    *ret = false;
    return p->known ? look_back(p, NULL, ret, err) : 0;
}

int past_is_new(struct past *p, str tmpl, struct val *ret, struct err *err)
{
    *ret = VAL_ABSENT;
    if (!p->known)
        return 0;
    /* however they are looked up: what summaries hold differs with the state of the store */
    if (p->checks == PAST_CHECKS_MAX)
        run_warn(p->run, "%s: whether patterns are new was looked up for %d of them", p->pipe,
                 PAST_CHECKS_MAX);
    if (p->checks++ >= PAST_CHECKS_MAX)
        return 0;
    const uint64_t *slot = smap_get(&p->first, tmpl.n ? tmpl : STR(""));
    bool there = slot && p->stat[*slot - 1].first < p->from;
    if (!there && !p->whole) {
        int rc = look_back(p, &tmpl, &there, err);
        if (rc)
            return rc;
    }
    *ret = (struct val){ .t = V_BOOL, .b = !there };
    return 0;
}

/* ---- one entry ---- */

int entry_by_seq(struct run *r, uint64_t seq, struct arena *to, str *ret_id, str *ret_message,
                 struct err *err)
{
    struct arena a;
    struct scan *sc;
    struct scan_block sb;
    struct val id, message = VAL_ABSENT;
    *ret_id = STR_NULL;
    if (ret_message)
        *ret_message = STR_NULL;
    arena_init(&a, 1u << 20);
    struct pred *one = pred_seq_range(&a, seq, seq);
    struct scan_plan plan = { .filter = one };
    int rc = one ? store_scan(r->store, &plan, &sc, err) : err_nomem(err);
    if (!rc) {
        rc = scan_next(sc, &sb, err);
        if (rc == 0) {
            uint32_t row = (uint32_t)bits_next(sb.sel, 0, sb.block->n);
            rc = block_get_field(sb.block, row, F_ID, &id, err);
            if (!rc && ret_message)
                rc = block_get_field(sb.block, row, F_MESSAGE, &message, err);
            if (!rc && id.t == V_STR && !(*ret_id = arena_dup(to, id.s)).p)
                rc = err_nomem(err);
            if (!rc && message.t == V_STR && !(*ret_message = arena_dup(to, message.s)).p)
                rc = err_nomem(err);
        }
        cost_add(&r->res->cost, scan_get_cost(sc));
        scan_close(sc);
    }
    arena_deinit(&a);
    return rc < 0 ? rc : 0;
}
