/* native_fields.c: which fields there are, their values, and counts over time. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/map.h"
#include "server/handlers.h"
#include "server/internal.h"

#define SAMPLE_ROWS 200000 /* matching rows looked at for /fields with a filter */
#define BUCKETS_MAX 5000
#define BUCKETS_AIM 60
#define SERIES_MAX 1000
#define SERIES_SHOWN 20
#define SERIES_CELLS (4u << 20)

struct range {
    str q;
    ts_ns start, end;
    bool given; /* any of them */
};

static bool params_range(struct call *c, struct range *r)
{
    r->start = TS_MIN;
    r->end = TS_MAX;
    bool q = param_str(c, "q", &r->q);
    if (!param_time(c, "start", &r->start) || !param_time(c, "end", &r->end))
        return false;
    r->given = q || r->start != TS_MIN || r->end != TS_MAX;
    return true;
}

static int range_filter(struct job *j, const struct range *r, struct pred **ret, struct err *err)
{
    struct arena *a = &j->arena;
    const struct pred *q = NULL;
    int rc = r->q.n ? job_parse_filter(j, r->q, TS_MIN, TS_MAX, &q, err) : 0;
    if (rc < 0)
        return rc;
    rc = job_filter(j, q, ret, err);
    if (rc == 0 && (r->start != TS_MIN || r->end != TS_MAX)) {
        *ret = pred_and(a, *ret, pred_time(a, r->start, r->end));
        if (!*ret)
            rc = err_nomem(err);
    }
    return rc;
}

/* ---- /fields ---- */

struct fields {
    struct range range;
    uint64_t limit;
    struct field_tally t;
    bool sampled;
};

/* as a query and an answer have them, not as they are stored: levels are names, times texts */
static const char *shown_type(str key, int t)
{
    static const char *const names[V__COUNT] = { "null",   "bool", "int",   "float",
                                                 "string", "json", "number" };
    enum field f = t == V_I64 ? field_by_key(key) : F_NONE;
    if (f == F_LEVEL)
        return "level";
    if (f == F_TIMESTAMP || f == F_RECEIVED_AT || f == F_RESOLVED_AT)
        return "time";
    return names[t];
}

static void put_types(struct buf *b, str key, uint32_t types)
{
    bool any = false;
    buf_putc(b, '[');
    for (int t = 0; t < V__COUNT; t++)
        if (types >> t & 1) {
            buf_printf(b, "%s\"%s\"", any ? "," : "", shown_type(key, t));
            any = true;
        }
    buf_putc(b, ']');
}

/* A field as a client names it: as queries write it, or as answers show it. */
static int named_field(struct arena *a, str name, struct fieldref *ret, struct err *err)
{
    struct err other = ERR_INIT;
    int rc = query_name(a, name, ret, &other);
    if (rc == ERR_INVALID)
        rc = fieldref_make(a, name, false, ret) ? 0 : ERR_NOMEM;
    return rc ? err_nomem(err) : 0;
}

static bool is_internal(str key)
{
    enum field f = field_by_key(key);
    return f != F_NONE && (field_table[f].flags & FF_INTERNAL);
}

static void put_fields(struct buf *b, const struct field_stat *f, uint32_t n, uint64_t limit)
{
    struct buf name;
    uint64_t put = 0;
    buf_init(&name, 65536);
    buf_puts(b, "{\"fields\":[");
    for (uint32_t i = 0; i < n && put < limit; i++) {
        bool first = true;
        if (is_internal(f[i].key))
            continue;
        buf_reset(&name);
        field_put_name(&name, f[i].key);
        buf_puts(b, put++ ? ",\n{" : "{");
        json_kv_str(b, &first, "name", buf_str(&name));
        size_t shown = name.n;
        field_put_query(&name, f[i].key, false);
        str written = str_skip(buf_str(&name), shown);
        if (!str_eq(written, str_sub(buf_str(&name), 0, shown)))
            json_kv_str(b, &first, "query", written);
        json_kv_bool(b, &first, "attribute", f[i].key.n && f[i].key.p[0] == PATH_SEP);
        json_key(b, &first, "types");
        put_types(b, f[i].key, f[i].types);
        json_kv_u64(b, &first, "entries", f[i].entries);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
    buf_deinit(&name);
}

static int count_fields(void *arg, const struct scan_block *sb, struct err *err)
{
    struct fields *x = arg;
    if (x->t.rows >= SAMPLE_ROWS) {
        x->sampled = true;
        return 0;
    }
    return field_tally_add(&x->t, sb, err);
}

static int run_fields(struct job *j, struct err *err)
{
    struct fields *x = j->args;
    if (!x->range.given && !j->c->who->agent[0]) {
        int rc = store_fields(j->s->store, &j->arena, (uint32_t)x->limit + F__COUNT, &x->t.f,
                              &x->t.n, err);
        if (rc < 0)
            return rc;
    } else {
        struct pred *p;
        int rc = range_filter(j, &x->range, &p, err);
        struct scan_plan plan = { .filter = p, .order = SCAN_NEWEST };
        field_tally_init(&x->t, &j->arena);
        if (rc == 0)
            rc = rows_each(j, &plan, count_fields, x, NULL, err);
        field_tally_end(&x->t);
        if (rc < 0)
            return rc;
    }
    put_fields(&j->out, x->t.f, x->t.n, x->limit);
    if (x->sampled)
        buf_printf(&j->out, ",\"sampled_entries\":%llu", (unsigned long long)x->t.rows);
    buf_puts(&j->out, "}\n");
    return 0;
}

void native_fields(struct call *c)
{
    struct fields *x = arena_zalloc(c->req->arena, sizeof *x);
    if (!x) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    x->limit = 500;
    if (params_range(c, &x->range) && param_u64(c, "limit", 1, 10000, &x->limit))
        job_start(c, run_fields, x, 0);
}

/* ---- /fields/{name}/values ---- */

struct values {
    struct range range;
    str name;
    uint64_t limit;
};

static int run_values(struct job *j, struct err *err)
{
    const struct values *x = j->args;
    struct pred *p;
    struct fieldref f;
    struct value_count *v;
    uint32_t n;
    uint64_t present;
    bool more, first = true;
    struct buf *b = &j->out;
    int rc = named_field(&j->arena, x->name, &f, err);
    if (rc)
        return rc;
    if (f.field != F_NONE && (field_table[f.field].flags & FF_INTERNAL))
        return err_set(err, ERR_NOTFOUND, "no such field");
    rc = range_filter(j, &x->range, &p, err);
    if (rc == 0)
        rc = values_count(j, p, &f, &v, &n, &present, &more, err);
    if (rc < 0)
        return rc;
    buf_putc(b, '{');
    json_kv_str(b, &first, "field", x->name);
    json_key(b, &first, "values");
    buf_putc(b, '[');
    for (uint32_t i = 0; i < n && i < x->limit; i++) {
        buf_puts(b, i ? ",\n{\"value\":" : "{\"value\":");
        buf_putstr(b, v[i].json);
        buf_printf(b, ",\"count\":%llu}", (unsigned long long)v[i].n);
    }
    buf_putc(b, ']');
    json_kv_u64(b, &first, "distinct", n);
    json_kv_u64(b, &first, "present", present);
    json_kv_bool(b, &first, "truncated", more || n > x->limit);
    buf_puts(b, "}\n");
    return 0;
}

void native_values(struct call *c)
{
    struct values *x = arena_zalloc(c->req->arena, sizeof *x);
    if (!x) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    x->name = c->args[0];
    x->limit = 50;
    if (params_range(c, &x->range) && param_u64(c, "limit", 1, 10000, &x->limit))
        job_start(c, run_values, x, 0);
}

/* ---- /timeline ---- */

struct series {
    str json; /* an object key: strings as they are, other values as their text */
    uint64_t total;
    uint64_t *n; /* a bucket each */
};

struct timeline {
    struct range range;
    int64_t step;
    str by;
    /* counting */
    struct job *j;
    struct fieldref f;
    ts_ns from; /* start of bucket 0 */
    uint32_t nbuckets;
    uint64_t *count, total;
    struct smap map;
    struct series *s;
    uint32_t ns, cap, max_series;
    uint64_t *other, *missing; /* rows of further values; rows without the field */
    struct buf tmp, key;
};

static int64_t nice_step(uint64_t width)
{
    static const int64_t nice[] = { 1,     2,     5,     10,    15,     30,     60,
                                    120,   300,   600,   900,   1800,   3600,   7200,
                                    10800, 21600, 43200, 86400, 604800, 2592000 };
    uint64_t aim = width / BUCKETS_AIM / (uint64_t)NS_PER_S;
    for (size_t i = 0; i < sizeof nice / sizeof *nice; i++)
        if ((uint64_t)nice[i] >= aim)
            return nice[i] * NS_PER_S;
    return (int64_t)(aim / 31536000 + 1) * 31536000 * NS_PER_S;
}

/* 1 = nothing to count */
static int choose_buckets(struct job *j, struct timeline *x, struct err *err)
{
    struct store_summary sum;
    ts_ns start = x->range.start, end = x->range.end;
    if (start == TS_MIN || end == TS_MAX) {
        int rc = store_summary(j->s->store, &j->arena, &sum, err);
        if (rc < 0)
            return rc;
        if (sum.t_min > sum.t_max)
            return 1;
        start = start == TS_MIN ? sum.t_min : start;
        end = end == TS_MAX ? (sum.t_max == TS_MAX ? TS_MAX : sum.t_max + 1) : end;
    }
    if (start >= end)
        return 1;
    uint64_t width = (uint64_t)end - (uint64_t)start;
    if (!x->step)
        x->step = nice_step(width);
    int64_t first = floor_div(start, x->step), last = floor_div(end - 1, x->step);
    if (last - first >= BUCKETS_MAX)
        return err_set(err, ERR_INVALID, "step: more than %d buckets, make it wider", BUCKETS_MAX);
    if (__builtin_mul_overflow(first, x->step, &x->from))
        return err_set(err, ERR_INVALID, "start: too early for this step");
    x->nbuckets = (uint32_t)(last - first + 1);
    x->range.start = start;
    x->range.end = end;
    return 0;
}

/* the counters of a value's series; *ret_total is NULL for those beyond max_series, which share
 * one, and for no value, which is not the empty one */
static int find_series(struct timeline *x, struct val v, uint64_t **ret, uint64_t **ret_total,
                       struct err *err)
{
    *ret_total = NULL;
    if (v.absent || v.t == V_NULL) {
        *ret = x->missing;
        return 0;
    }
    buf_reset(&x->tmp);
    buf_reset(&x->key);
    view_put_val(&x->tmp, x->f.field, v);
    str key = buf_str(&x->tmp);
    if (!key.n || key.p[0] != '"') {
        json_put_bytes(&x->key, key);
        key = buf_str(&x->key);
    }
    if (!buf_ok(&x->tmp) || !buf_ok(&x->key))
        return err_nomem(err);
    uint64_t *at = smap_get(&x->map, key);
    if (!at && x->ns == x->max_series) {
        *ret = x->other;
        return 0;
    }
    if (!at) {
        struct arena *a = &x->j->arena;
        str copy = arena_dup(a, key);
        uint64_t *n = arena_zalloc(a, x->nbuckets * sizeof *n);
        at = copy.p && n ? smap_put(&x->map, copy, NULL) : NULL;
        if (!at)
            return err_nomem(err);
        *at = x->ns;
        x->s[x->ns++] = (struct series){ copy, 0, n };
    }
    *ret = x->s[*at].n;
    *ret_total = &x->s[*at].total;
    return 0;
}

static int count_times(void *arg, const struct scan_block *sb, struct err *err)
{
    struct timeline *x = arg;
    uint32_t n = sb->block->n;
    struct val last = VAL_ABSENT;
    uint64_t *cells = NULL, *total = NULL;
    bool known = false;
    for (size_t r = bits_next(sb->sel, 0, n); r < n; r = bits_next(sb->sel, r + 1, n)) {
        ts_ns t;
        struct val v;
        int rc = row_time(sb->block, (uint32_t)r, &t, err);
        if (rc == 0)
            rc = block_get(sb->block, (uint32_t)r, &x->f, &v, err);
        /* runs of one value are common: look its series up once */
        bool same =
            known && rc == 0 && v.absent == last.absent && v.t == last.t &&
            (v.absent || (v.t == V_STR && str_eq(v.s, last.s)) || (v.t == V_I64 && v.i == last.i));
        if (rc == 0 && !same)
            rc = find_series(x, v, &cells, &total, err);
        if (rc < 0)
            return rc;
        known = true;
        last = v;
        uint64_t bucket = ((uint64_t)t - (uint64_t)x->from) / (uint64_t)x->step;
        if (bucket >= x->nbuckets)
            continue;
        x->count[bucket]++;
        x->total++;
        cells[bucket]++;
        if (total)
            ++*total;
    }
    return 0;
}

static int by_total(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    if (x->total != y->total)
        return x->total < y->total ? 1 : -1;
    return str_cmp(x->json, y->json);
}

static void put_bucket(struct buf *b, const struct timeline *x, uint32_t i)
{
    bool first = true, any = false;
    buf_puts(b, i ? ",\n{" : "{");
    json_kv_time(b, &first, "time", x->from + (int64_t)i * x->step);
    json_kv_u64(b, &first, "count", x->count[i]);
    json_key(b, &first, "by");
    buf_putc(b, '{');
    for (uint32_t k = 0; k < x->ns && k < SERIES_SHOWN; k++) {
        if (!x->s[k].n[i])
            continue;
        if (any)
            buf_putc(b, ',');
        any = true;
        buf_putstr(b, x->s[k].json);
        buf_putc(b, ':');
        buf_put_u64(b, x->s[k].n[i]);
    }
    buf_putc(b, '}');
    uint64_t rest = x->other[i];
    for (uint32_t k = SERIES_SHOWN; k < x->ns; k++)
        rest += x->s[k].n[i];
    if (rest)
        json_kv_u64(b, &first, "other", rest);
    if (x->missing[i])
        json_kv_u64(b, &first, "missing", x->missing[i]);
    buf_putc(b, '}');
}

static void put_timeline(struct buf *b, const struct timeline *x)
{
    bool first = true;
    buf_putc(b, '{');
    if (x->nbuckets) {
        json_kv_time(b, &first, "start", x->range.start);
        json_kv_time(b, &first, "end", x->range.end);
        json_kv_f64(b, &first, "step_ms", (double)x->step / (double)NS_PER_MS);
    }
    json_kv_str(b, &first, "by", x->by);
    json_kv_u64(b, &first, "total", x->total);
    json_key(b, &first, "buckets");
    buf_putc(b, '[');
    for (uint32_t i = 0; i < x->nbuckets; i++)
        put_bucket(b, x, i);
    buf_puts(b, "]}\n");
}

static int count_timeline(struct timeline *x, struct err *err)
{
    struct job *j = x->j;
    struct arena *a = &j->arena;
    struct pred *p;
    x->max_series = SERIES_CELLS / x->nbuckets;
    if (x->max_series > SERIES_MAX)
        x->max_series = SERIES_MAX;
    x->count = arena_zalloc(a, x->nbuckets * sizeof *x->count);
    x->other = arena_zalloc(a, x->nbuckets * sizeof *x->other);
    x->missing = arena_zalloc(a, x->nbuckets * sizeof *x->missing);
    x->s = arena_array(a, x->max_series, sizeof *x->s);
    if (!x->count || !x->other || !x->missing || !x->s)
        return err_nomem(err);
    int rc = range_filter(j, &x->range, &p, err);
    if (rc < 0)
        return rc;
    struct scan_plan plan = { .filter = p, .order = SCAN_ANY, .marks = true };
    smap_init(&x->map, SMAP_BORROW);
    buf_init(&x->tmp, (size_t)64 << 20);
    buf_init(&x->key, (size_t)64 << 20);
    rc = rows_each(j, &plan, count_times, x, NULL, err);
    smap_deinit(&x->map);
    buf_deinit(&x->tmp);
    buf_deinit(&x->key);
    if (rc == 0 && x->ns)
        qsort(x->s, x->ns, sizeof *x->s, by_total);
    return rc;
}

static int run_timeline(struct job *j, struct err *err)
{
    struct timeline *x = j->args;
    x->j = j;
    int rc = named_field(&j->arena, x->by, &x->f, err);
    if (rc == 0)
        rc = choose_buckets(j, x, err);
    if (rc == 0)
        rc = count_timeline(x, err);
    if (rc < 0)
        return rc;
    put_timeline(&j->out, x);
    return 0;
}

void native_timeline(struct call *c)
{
    struct timeline *x = arena_zalloc(c->req->arena, sizeof *x);
    if (!x) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    x->by = STR("level");
    param_str(c, "by", &x->by);
    if (params_range(c, &x->range) && param_duration(c, "step", NS_PER_S, &x->step))
        job_start(c, run_timeline, x, 0);
}
