/* pred_col.c: one test over one column.
 *
 * Numbers: a branch-free loop that builds 64 bits at a time. Text with a dictionary: every distinct
 * value that a wanted row uses is tested once, then rows look their code up. Text without:
 * whole-column search where the test allows it (pred_text.c), else value by value. JSON: a search
 * over the raw bytes finds the rows that can match at all, and only those are taken apart. */
#include "base/mem.h"
#include "model/pred_int.h"

static void scan_i64(const struct num_range *r, const int64_t *v, uint32_t n, uint64_t *out)
{
    if (r->ilo > r->ihi) {
        bits_zero(out, n);
        return;
    }
    /* lo <= v <= hi in one comparison: distances from lo, unsigned */
    uint64_t lo = (uint64_t)r->ilo, span = (uint64_t)r->ihi - lo;
    for (uint32_t i = 0; i < n; i += 64) {
        uint32_t m = n - i < 64 ? n - i : 64;
        uint64_t w = 0;
        for (uint32_t k = 0; k < m; k++)
            w |= (uint64_t)((uint64_t)v[i + k] - lo <= span) << k;
        out[i / 64] = w;
    }
}

static void scan_f64(const struct num_range *r, const double *v, uint32_t n, uint64_t *out)
{
    double lo = r->dlo, hi = r->dhi;
    for (uint32_t i = 0; i < n; i += 64) {
        uint32_t m = n - i < 64 ? n - i : 64;
        uint64_t w = 0;
        for (uint32_t k = 0; k < m; k++)
            w |= (uint64_t)((v[i + k] >= lo) & (v[i + k] <= hi)) << k;
        out[i / 64] = w;
    }
}

static void scan_bool(uint8_t bools, const uint8_t *v, uint32_t n, uint64_t *out)
{
    for (uint32_t i = 0; i < n; i += 64) {
        uint32_t m = n - i < 64 ? n - i : 64;
        uint64_t w = 0;
        for (uint32_t k = 0; k < m; k++)
            w |= (uint64_t)(bools >> (v[i + k] & 1) & 1) << k;
        out[i / 64] = w;
    }
}

static bool wanted(const struct text_vec *t, uint32_t i)
{
    return !t->want || bit_get(t->want, i);
}

static str vec_at(const struct text_vec *t, uint32_t i)
{
    return (str){ t->bytes + t->off[i], t->off[i + 1] - t->off[i] };
}

/* weights[i] (NULL = 1 each): rows that share value i */
static int values_str(const struct pred *p, const struct text_vec *t, const uint32_t *weights,
                      uint64_t *out, struct pred_run *r, struct err *err)
{
    const struct test *ts = &p->test;
    bits_zero(out, t->n);
    if (ts->st == S_EQ) {
        for (uint32_t i = 0; i < t->n; i++)
            if (t->off[i + 1] - t->off[i] == ts->s.n && wanted(t, i) && str_eq(vec_at(t, i), ts->s))
                bit_set(out, i);
        return 0;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        bool hit = false;
        if (!wanted(t, i))
            continue;
        if (ts->st == S_REGEX && i % 256 == 0 && r->cancel && *r->cancel)
            return err_set(err, ERR_TIMEOUT, "the query was stopped");
        int rc = test_str(p, vec_at(t, i), weights ? weights[i] : 1, r, &hit, err);
        if (rc)
            return rc;
        if (hit)
            bit_set(out, i);
    }
    return 0;
}

/* strings side by side */
static int texts_match(const struct pred *p, const struct text_vec *t, const uint32_t *weights,
                       uint64_t *out, struct pred_run *r, struct err *err)
{
    const struct test *ts = &p->test;
    if (ts->st == S_NONE) {
        bits_zero(out, t->n);
        return 0;
    }
    if (ts->st == S_WORDS)
        return textpat_scan(&ts->pat, t, out, r, err);
    if (ts->st != S_REGEX || !ts->pat.needle.bytes.n)
        return values_str(p, t, weights, out, r, err);
    /* a regex that needs a literal: only where that stands */
    uint64_t *cand = run_map(r);
    if (!cand)
        return err_nomem(err);
    int rc = textpat_scan(&ts->pat, t, cand, r, err);
    struct text_vec narrowed = { t->n, t->off, t->bytes, cand };
    if (!rc)
        rc = values_str(p, &narrowed, weights, out, r, err);
    run_map_done(r, 1);
    return rc;
}

/* One chunk of a dictionary (at most BLOCK_ROWS_MAX values) into hits. */
static int dict_chunk(const struct pred *p, const struct colv *c, uint32_t from,
                      const uint64_t *used, const uint32_t *weights, uint64_t *hits,
                      struct pred_run *r, struct err *err)
{
    uint32_t n = c->ndict - from < BLOCK_ROWS_MAX ? c->ndict - from : BLOCK_ROWS_MAX;
    struct text_vec t = { n, c->off + from, c->bytes, used + from / 64 };
    return texts_match(p, &t, weights ? weights + from : NULL, hits + from / 64, r, err);
}

/* Rows whose code is among hits, wanted or not: 64 at a time, without a branch. */
static void rows_of_codes(const struct colv *c, const uint8_t *hit, uint64_t *out)
{
    for (uint32_t i = 0; i < c->n; i += 64) {
        uint32_t m = c->n - i < 64 ? c->n - i : 64;
        const uint32_t *codes = c->codes + i;
        uint64_t w = 0;
        for (uint32_t k = 0; k < m; k++)
            w |= (uint64_t)hit[codes[k]] << k;
        out[i / 64] = w;
    }
}

/* Sets out to the wanted rows whose value is in hits. */
static void rows_of_hits(const struct colv *c, const uint64_t *want, const uint64_t *hits,
                         uint64_t *out)
{
    uint8_t hit[256];
    bits_zero(out, c->n);
    if (bits_none(hits, c->ndict))
        return;
    if (c->ndict == 1) {
        memcpy(out, want, BITS_WORDS(c->n) * 8);
        return;
    }
    if (c->ndict <= sizeof hit && bits_count(want, c->n) >= c->n / 8) {
        for (uint32_t k = 0; k < c->ndict; k++)
            hit[k] = bit_get(hits, k);
        rows_of_codes(c, hit, out);
        for (size_t i = 0; i < BITS_WORDS(c->n); i++)
            out[i] &= want[i];
        return;
    }
    for (size_t i = bits_next(want, 0, c->n); i < c->n; i = bits_next(want, i + 1, c->n))
        if (bit_get(hits, c->codes[i]))
            bit_set(out, i);
}

/* Marks the values to test: those of wanted rows, or all where telling them apart costs more than
 * it saves. weights (NULL: not asked for) counts the rows of each. */
static void values_used(const struct colv *c, const uint64_t *want, uint32_t *weights,
                        uint64_t *used)
{
    if (!weights && (c->ndict <= 64 || c->ndict <= bits_count(want, c->n) / 4)) {
        bits_fill(used, c->ndict);
        return;
    }
    for (size_t i = bits_next(want, 0, c->n); i < c->n; i = bits_next(want, i + 1, c->n)) {
        bit_set(used, c->codes[i]);
        if (weights)
            weights[c->codes[i]]++;
    }
}

static int scan_dict(const struct pred *p, const struct colv *c, const uint64_t *want,
                     uint64_t *out, struct pred_run *r, struct err *err)
{
    enum { FEW = 2048 };
    uint64_t few[2 * FEW / 64] = { 0 };
    size_t words = BITS_WORDS(c->ndict);
    bool weigh = p->test.st == S_REGEX, heap = c->ndict > FEW;
    uint64_t *maps = heap ? mem_zarray(words, 2 * sizeof *maps) : few;
    uint32_t *weights = weigh ? mem_zarray(c->ndict, sizeof *weights) : NULL;
    int rc = 0;
    if (!maps || (weigh && !weights)) {
        rc = err_nomem(err);
        goto out;
    }
    uint64_t *used = maps, *hits = maps + words;
    values_used(c, want, weights, used);
    for (uint32_t from = 0; from < c->ndict && !rc; from += BLOCK_ROWS_MAX)
        rc = dict_chunk(p, c, from, used, weights, hits, r, err);
    if (!rc)
        rows_of_hits(c, want, hits, out);
out:
    if (heap)
        mem_free(maps);
    mem_free(weights);
    return rc;
}

/* Can the raw text of a JSON value be searched for the needle? Not when JSON would write one of its
 * characters differently; other spellings (\u0061) are caught by looking for "\u" as well. */
static bool raw_searchable(const struct needle *nd)
{
    if (!nd->bytes.n)
        return false;
    for (size_t i = 0; i < nd->bytes.n; i++) {
        unsigned char c = (unsigned char)nd->bytes.p[i];
        if (c < 0x20 || c == '"' || c == '\\' || c == '/' || c == 0x7f)
            return false;
    }
    return true;
}

static int json_candidates(const struct pred *p, const struct text_vec *t, uint64_t *cand,
                           struct pred_run *r, struct err *err)
{
    struct textpat raw = { .needle = p->test.pat.needle };
    struct textpat esc = { .needle = { .bytes = STR("\\u"), .at1 = 0, .at2 = 1, .ascii = true } };
    uint64_t *more = run_map(r);
    if (!more)
        return err_nomem(err);
    int rc = textpat_scan(&raw, t, cand, r, err);
    if (!rc)
        rc = textpat_scan(&esc, t, more, r, err);
    for (size_t i = 0; i < BITS_WORDS(t->n) && !rc; i++)
        cand[i] |= more[i];
    run_map_done(r, 1);
    return rc;
}

static int json_values(const struct pred *p, const struct text_vec *t, uint64_t *out,
                       struct pred_run *r, struct err *err)
{
    bits_zero(out, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        bool hit;
        if (!wanted(t, i))
            continue;
        int rc = test_json(p, vec_at(t, i), r, &hit, err);
        if (rc)
            return rc;
        if (hit)
            bit_set(out, i);
    }
    return 0;
}

/* JSON side by side; with a dictionary every value is tested, used or not: there are few */
static int jsons_match(const struct pred *p, const struct text_vec *t, uint64_t *out,
                       struct pred_run *r, struct err *err)
{
    const struct test *ts = &p->test;
    bool words_only = (ts->st == S_WORDS || ts->st == S_REGEX) && !ts->num && !ts->bools;
    if (!words_only || !raw_searchable(&ts->pat.needle))
        return json_values(p, t, out, r, err);
    uint64_t *cand = run_map(r);
    if (!cand)
        return err_nomem(err);
    int rc = json_candidates(p, t, cand, r, err);
    struct text_vec narrowed = { t->n, t->off, t->bytes, cand };
    if (!rc)
        rc = json_values(p, &narrowed, out, r, err);
    run_map_done(r, 1);
    return rc;
}

static int scan_coded_json(const struct pred *p, const struct colv *c, const uint64_t *want,
                           uint64_t *out, struct pred_run *r, struct err *err)
{
    bits_zero(out, c->n);
    uint32_t code = UINT32_MAX;
    bool hit = false;
    uint8_t *known = mem_zalloc(c->ndict); /* 1 tested, 3 tested and true */
    if (!known)
        return err_nomem(err);
    int rc = 0;
    for (size_t i = bits_next(want, 0, c->n); i < c->n && !rc; i = bits_next(want, i + 1, c->n)) {
        code = c->codes[i];
        if (!known[code]) {
            rc = test_json(p, colv_text(c, (uint32_t)i), r, &hit, err);
            known[code] = hit ? 3 : 1;
        }
        if (!rc && known[code] == 3)
            bit_set(out, i);
    }
    mem_free(known);
    return rc;
}

static void scan_num_texts(const struct test *t, const struct colv *c, const uint64_t *want,
                           uint64_t *out)
{
    bits_zero(out, c->n);
    for (size_t i = bits_next(want, 0, c->n); i < c->n; i = bits_next(want, i + 1, c->n))
        if (test_num_text(t, colv_text(c, (uint32_t)i)))
            bit_set(out, i);
}

int test_column(const struct pred *p, const struct colv *c, const uint64_t *want, uint64_t *out,
                struct pred_run *r, struct err *err)
{
    uint64_t *rows = run_map(r); /* wanted rows that have a value */
    if (!rows)
        return err_nomem(err);
    size_t words = BITS_WORDS(c->n);
    for (size_t i = 0; i < words; i++)
        rows[i] = want[i] & (c->present ? c->present[i] : UINT64_MAX);
    struct text_vec t = { c->n, c->off, c->bytes, rows };
    int rc = 0;
    bool none = bits_none(rows, c->n);
    if (none || c->type == V_NULL)
        bits_zero(out, c->n);
    else if (c->type == V_BOOL)
        scan_bool(p->test.bools, c->b8, c->n, out);
    else if (c->type == V_I64)
        scan_i64(p->test.num ? &p->test.range : &(struct num_range){ 1, 0, 1, 0 }, c->i64, c->n,
                 out);
    else if (c->type == V_F64)
        scan_f64(p->test.num ? &p->test.range : &(struct num_range){ 1, 0, 1, 0 }, c->f64, c->n,
                 out);
    else if (c->type == V_NUM)
        scan_num_texts(&p->test, c, rows, out);
    else if (c->type == V_JSON)
        rc = c->codes ? scan_coded_json(p, c, rows, out, r, err) : jsons_match(p, &t, out, r, err);
    else
        rc = c->codes ? scan_dict(p, c, rows, out, r, err) : texts_match(p, &t, NULL, out, r, err);
    for (size_t i = 0; i < words; i++)
        out[i] &= rows[i];
    run_map_done(r, 1);
    return rc;
}
