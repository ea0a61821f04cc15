/* fuzz_saved.c: any bytes as a saved view and as a dashboard: refused with a sentence, or a
 * document within its limits whose canonical form reads back as itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/saved.h"

#define NOW (1700000000 * NS_PER_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void try_kind(enum meta_doc_kind kind, const struct tree *t, struct arena *a)
{
    struct saved s, again;
    struct tree *back;
    struct err err = ERR_INIT;
    if (saved_read(&s, kind, t, NOW, a, &err) < 0) {
        check(err.msg[0] != 0);
        return;
    }
    check(s.doc.n <= META_DOC_BYTES_MAX && s.title.n > 0);
    check(!s.name.n || saved_name_ok(s.name));
    check(tree_from_json(&back, a, s.doc, &err) == 0);
    check(saved_read(&again, kind, back, NOW, a, &err) == 0);
    check(str_eq(s.doc, again.doc) && s.panels == again.panels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    struct tree *t;
    struct err err = ERR_INIT;
    char *exact = malloc(n ? n : 1), slug[META_DOC_NAME_MAX + 1];
    check(exact != NULL);
    if (n)
        memcpy(exact, data, n);
    arena_init(&a, 64 << 20);
    if (tree_from_json(&t, &a, str_n(exact, n), &err) == 0) {
        try_kind(DOC_VIEW, t, &a);
        try_kind(DOC_DASHBOARD, t, &a);
    } else {
        check(err.msg[0] != 0);
    }
    saved_slug(DOC_VIEW, str_n(exact, n), slug);
    check(saved_name_ok(str_c(slug)));
    arena_deinit(&a);
    free(exact);
    return 0;
}
