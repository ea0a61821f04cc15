/* member.c: what every document needs: members that are known, texts that are clean. */
#include <stdio.h>
#include <string.h>

#include "alert/tree.h"

#define FAIL(t, ...) tree_err(err, ERR_INVALID, (t)->line, (t)->col, __VA_ARGS__)

/* ---- words that are nearly right ---- */

static uint32_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    uint32_t row[32];
    if (n > 30 || m > 30)
        return UINT32_MAX;
    for (size_t k = 0; k <= m; k++)
        row[k] = (uint32_t)k;
    for (size_t i = 1; i <= n; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t k = 1; k <= m; k++) {
            uint32_t best = diagonal + (a[i - 1] != b[k - 1]);
            best = row[k] + 1 < best ? row[k] + 1 : best;
            best = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            diagonal = row[k];
            row[k] = best;
        }
    }
    return row[m];
}

static const char *nearest(str word, const char *const *words)
{
    const char *best = NULL;
    uint32_t least = 3;
    char z[32];
    snprintf(z, sizeof z, "%.*s", STR_FMT(str_sub(word, 0, sizeof z - 1)));
    for (; *words; words++) {
        uint32_t d = distance(z, *words);
        if (d < least) {
            least = d;
            best = *words;
        }
    }
    return best;
}

void tree_hint(struct err *err, str word, const char *const *words)
{
    const char *near = nearest(word, words);
    char list[ERR_HINT_MAX] = "";
    if (near) {
        err_hint(err, "did you mean %s?", near);
        return;
    }
    for (size_t n = 0; *words && n < sizeof list; words++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? " " : "one of ", *words);
    err_hint(err, "%s", list);
}

int tree_members(const struct tree *map, const char *what, const char *const *words,
                 struct err *err)
{
    if (map->kind != TREE_MAP) {
        return FAIL(map, "%s must be a map of names and values", what);
    }
    TREE_EACH(t, map)
    {
        const char *const *w = words;
        while (*w && !str_eq(t->key, str_c(*w)))
            w++;
        if (*w)
            continue;
        FAIL(t, "%s has no '%.*s'", what, STR_FMT(str_sub(t->key, 0, 64)));
        tree_hint(err, t->key, words);
        return ERR_INVALID;
    }
    return 0;
}

/* ---- texts ---- */

bool tree_printable(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

int tree_text(const struct tree *map, const char *key, size_t max, str *ret, struct err *err)
{
    const struct tree *t = tree_get(map, key);
    if (tree_is_null(t))
        return 0;
    if (t->kind != TREE_TEXT)
        return FAIL(t, "%s must be a text", key);
    if (t->text.n > max)
        return FAIL(t, "%s may have %zu bytes at most", key, max);
    if (!tree_printable(t->text))
        return FAIL(t, "%s has control characters in it", key);
    *ret = t->text;
    return 0;
}
