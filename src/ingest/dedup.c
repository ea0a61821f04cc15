/* dedup.c: an object in which a key comes twice, rewritten with the last value of each key.
 *
 * That is what the JSON readers of the clients' own languages do. Rare, so plain: one map an
 * object, nested objects by recursion (bounded by the tokenizer's depth), arrays as they are. */
#include "base/map.h"
#include "ingest/decode.h"

struct part {
    str key, value; /* source texts; the key without quotes */
    bool object;
};

static bool parts_of(struct arena *a, struct json_rd *r, struct part **ret, uint32_t *ret_n)
{
    struct smap seen;
    struct part *parts = NULL;
    struct json_tok key, t;
    struct err err = ERR_INIT;
    uint32_t n = 0, cap = 0;
    bool ok = true;
    smap_init(&seen, SMAP_BORROW);
    while (ok && json_next(r, &key, &err) == 0 && key.type == JSON_KEY) {
        str value, plain = json_unescape(&key, a);
        ok = json_next(r, &t, &err) == 0 && json_skip(r, &t, &value, &err) == 0 &&
             (plain.p || !key.raw.n);
        if (n == cap && ok) {
            parts = arena_grow(a, parts, n, cap = cap ? cap * 2 : 32, sizeof *parts);
            ok = parts != NULL;
        }
        bool fresh;
        uint64_t *at = ok ? smap_put(&seen, plain.p ? plain : STR(""), &fresh) : NULL;
        ok = ok && at;
        if (!ok)
            break;
        if (fresh)
            *at = n++;
        parts[*at] = (struct part){ key.raw, value, t.type == JSON_OBJ };
    }
    smap_deinit(&seen);
    *ret = parts;
    *ret_n = n;
    return ok;
}

static bool rewrite(struct arena *a, str object, struct buf *out, int depth)
{
    struct json_rd r;
    struct json_tok t;
    struct err err = ERR_INIT;
    struct part *parts;
    uint32_t n;
    json_init(&r, object);
    if (depth > JSON_DEPTH_MAX || json_next(&r, &t, &err) || !parts_of(a, &r, &parts, &n))
        return false;
    buf_putc(out, '{');
    for (uint32_t i = 0; i < n; i++) {
        buf_puts(out, i ? ",\"" : "\"");
        buf_putstr(out, parts[i].key);
        buf_puts(out, "\":");
        if (!parts[i].object)
            buf_putstr(out, parts[i].value);
        else if (!rewrite(a, parts[i].value, out, depth + 1))
            return false;
    }
    buf_putc(out, '}');
    return true;
}

str dedup(struct arena *a, str object)
{
    struct buf out;
    str s = STR_NULL;
    buf_init(&out, object.n + 64);
    if (rewrite(a, object, &out, 0) && buf_ok(&out)) {
        char *p = arena_alloc(a, out.n + BUF_PAD);
        if (p) {
            memcpy(p, out.p, out.n);
            memset(p + out.n, 0, BUF_PAD);
            s = (str){ p, out.n };
        }
    }
    buf_deinit(&out);
    return s;
}
