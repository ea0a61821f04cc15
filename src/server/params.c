/* params.c: query parameters and small JSON bodies, read strictly: what is wrong is said, with the
 * parameter's name. */
#include <math.h>
#include <string.h>

#include "codec/json.h"
#include "server/internal.h"

#define MEMBERS_MAX 4096

/* a parameter of the body (POST of JSON), else of the URL */
static bool get(struct call *c, const char *name, str *ret)
{
    const struct jmember *m = c->body ? jobject_get(c->body, name) : NULL;
    if (!m || m->type == JSON_NULL)
        return http_param(c->req, name, ret);
    if (!jmember_str(m, c->req->arena, ret))
        *ret = m->raw; /* numbers and booleans as they stand; others will not parse */
    return true;
}

bool param_str(struct call *c, const char *name, str *v)
{
    str s;
    if (!get(c, name, &s) || s.n == 0)
        return false;
    *v = s;
    return true;
}

bool param_u64(struct call *c, const char *name, uint64_t min, uint64_t max, uint64_t *v)
{
    str s;
    uint64_t u;
    if (!get(c, name, &s))
        return true;
    if (!str_to_u64(s, &u)) {
        reply_bad_param(c, name, "\"%.*s\" is not a whole number of 0 or more",
                        (int)(s.n < 80 ? s.n : 80), s.n ? s.p : "");
        return false;
    }
    if (u < min || u > max) {
        reply_bad_param(c, name, "must be between %llu and %llu", (unsigned long long)min,
                        (unsigned long long)max);
        return false;
    }
    *v = u;
    return true;
}

bool param_i64(struct call *c, const char *name, int64_t min, int64_t max, int64_t *v)
{
    str s;
    int64_t i;
    if (!get(c, name, &s))
        return true;
    if (!str_to_i64(s, &i)) {
        reply_bad_param(c, name, "\"%.*s\" is not a whole number", (int)(s.n < 80 ? s.n : 80),
                        s.n ? s.p : "");
        return false;
    }
    if (i < min || i > max) {
        reply_bad_param(c, name, "must be between %lld and %lld", (long long)min, (long long)max);
        return false;
    }
    *v = i;
    return true;
}

bool param_f64(struct call *c, const char *name, double min, double max, double *v)
{
    str s;
    double d;
    if (!get(c, name, &s))
        return true;
    if (!str_to_f64(s, &d) || !isfinite(d)) {
        reply_bad_param(c, name, "\"%.*s\" is not a number", (int)(s.n < 80 ? s.n : 80),
                        s.n ? s.p : "");
        return false;
    }
    if (d < min || d > max) {
        reply_bad_param(c, name, "must be between %g and %g", min, max);
        return false;
    }
    *v = d;
    return true;
}

bool param_bool(struct call *c, const char *name, bool *v)
{
    static const char *const yes[] = { "true", "1", "yes", "on", "t", "y" };
    static const char *const no[] = { "false", "0", "no", "off", "f", "n" };
    str s;
    if (!get(c, name, &s))
        return true;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (str_eq_ci(s, str_c(yes[i]))) {
            *v = true;
            return true;
        }
        if (str_eq_ci(s, str_c(no[i]))) {
            *v = false;
            return true;
        }
    }
    reply_bad_param(c, name, "must be true or false");
    return false;
}

/* now, now-15m, now+1h */
static bool now_parse(str s, ts_ns now, ts_ns *ret)
{
    if (!str_starts(s, STR("now")))
        return false;
    s = str_skip(s, 3);
    int64_t d = 0;
    if (s.n == 0) {
        *ret = now;
        return true;
    }
    bool minus = s.p[0] == '-';
    if (!minus && s.p[0] != '+')
        return false;
    if (!dur_parse(str_skip(s, 1), NS_PER_S, &d))
        return false;
    return !(minus ? __builtin_sub_overflow(now, d, ret) : __builtin_add_overflow(now, d, ret));
}

bool moment_parse(str s, ts_ns now, ts_ns *ret)
{
    return now_parse(s, now, ret) || ts_parse_any(s, ret);
}

bool param_time(struct call *c, const char *name, ts_ns *v)
{
    str s;
    ts_ns t;
    if (!get(c, name, &s))
        return true;
    if (s.n && moment_parse(s, server_now(c->s), &t)) {
        *v = t;
        return true;
    }
    /* "+02:00" unescaped in a URL arrives as a space */
    for (size_t i = 0; i < s.n && s.n < 64; i++) {
        if (s.p[i] != ' ')
            continue;
        char fixed[64];
        memcpy(fixed, s.p, s.n);
        fixed[i] = '+';
        if (ts_parse_iso(str_n(fixed, s.n), v))
            return true;
    }
    reply_bad_param(c, name, "\"%.*s\" is not a time; RFC 3339, epoch or now-15m",
                    (int)(s.n < 80 ? s.n : 80), s.n ? s.p : "");
    return false;
}

bool param_duration(struct call *c, const char *name, int64_t bare_unit, int64_t *v_ns)
{
    str s;
    int64_t d;
    if (!get(c, name, &s))
        return true;
    if (!dur_parse(s, bare_unit, &d)) {
        reply_bad_param(c, name, "\"%.*s\" is not a duration like 250ms, 30s or 5m",
                        (int)(s.n < 80 ? s.n : 80), s.n ? s.p : "");
        return false;
    }
    *v_ns = d;
    return true;
}

bool offset_parse(str s, int32_t *ret_minutes)
{
    if (str_eq(s, STR("Z")) || str_eq_ci(s, STR("utc"))) {
        *ret_minutes = 0;
        return true;
    }
    char signed_text[6];
    int32_t secs;
    if (s.n == 0 || s.n > sizeof signed_text)
        return false;
    memcpy(signed_text, s.p, s.n);
    if (s.p[0] == ' ') /* "+" unescaped in a URL */
        signed_text[0] = '+';
    if (!ts_parse_offset(str_n(signed_text, s.n), &secs) || secs >= 19 * 3600 || secs <= -19 * 3600)
        return false;
    *ret_minutes = secs / 60;
    return true;
}

/* ---- bodies ---- */

static int expect_end(struct json_rd *r, struct err *err)
{
    struct json_tok t;
    int rc = json_next(r, &t, err);
    if (rc == 0 && t.type != JSON_END)
        rc = err_at(err, ERR_INVALID, (int64_t)json_offset(r), "text after the JSON value");
    return rc;
}

int jobject_parse(struct jobject *ret, str text, struct arena *a, struct err *err)
{
    struct json_rd r;
    struct json_tok t;
    json_init(&r, text);
    int rc = json_next(&r, &t, err);
    if (rc < 0)
        return rc;
    if (t.type != JSON_OBJ)
        return err_at(err, ERR_INVALID, 0, "the body must be a JSON object");
    struct jobject o = { NULL, 0 };
    uint32_t cap = 0;
    while ((rc = json_next(&r, &t, err)) == 0 && t.type == JSON_KEY) {
        if (o.n == MEMBERS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d members", MEMBERS_MAX);
        if (o.n == cap) {
            o.m = arena_grow(a, o.m, o.n, cap ? cap * 2 : 16, sizeof *o.m);
            if (!o.m)
                return err_nomem(err);
            cap = cap ? cap * 2 : 16;
        }
        struct jmember *m = &o.m[o.n++];
        m->key = json_unescape(&t, a);
        if (!m->key.p && t.raw.n)
            return err_nomem(err);
        rc = json_next(&r, &t, err);
        if (rc < 0)
            return rc;
        m->type = (uint8_t)t.type;
        m->escaped = t.escaped;
        m->raw = t.raw;
        str source;
        rc = json_skip(&r, &t, &source, err);
        if (rc < 0)
            return rc;
        if (t.type != JSON_STR)
            m->raw = source;
    }
    if (rc == 0)
        rc = expect_end(&r, err);
    if (rc < 0)
        return rc;
    *ret = o;
    return 0;
}

const struct jmember *jobject_get(const struct jobject *o, const char *key)
{
    for (uint32_t i = o->n; i-- > 0;)
        if (str_eq(o->m[i].key, str_c(key)))
            return &o->m[i];
    return NULL;
}

bool jmember_str(const struct jmember *m, struct arena *a, str *ret)
{
    if (!m || m->type != JSON_STR)
        return false;
    struct json_tok t = { .type = JSON_STR, .raw = m->raw, .escaped = m->escaped };
    str s = json_unescape(&t, a);
    if (!s.p && m->raw.n)
        return false;
    *ret = s.p ? s : STR("");
    return true;
}

int jmember_strs(const struct jmember *m, struct arena *a, str **ret, uint32_t *ret_n,
                 struct err *err)
{
    if (!m || m->type != JSON_ARR)
        return err_set(err, ERR_INVALID, "must be an array of strings");
    struct json_rd r;
    struct json_tok t;
    json_init(&r, m->raw);
    int rc = json_next(&r, &t, err);
    uint32_t n = 0, cap = 16;
    str *list = arena_array(a, cap, sizeof *list);
    if (!list)
        return err_nomem(err);
    while (rc == 0 && (rc = json_next(&r, &t, err)) == 0 && t.type != JSON_ARR_END) {
        if (t.type != JSON_STR)
            return err_set(err, ERR_INVALID, "must be an array of strings");
        if (n == cap) {
            list = arena_grow(a, list, n, cap * 2, sizeof *list);
            cap *= 2;
        }
        str s = list ? json_unescape(&t, a) : STR_NULL;
        if (!list || (!s.p && t.raw.n))
            return err_nomem(err);
        list[n++] = s.p ? s : STR("");
    }
    if (rc < 0)
        return rc;
    *ret = list;
    *ret_n = n;
    return 0;
}
