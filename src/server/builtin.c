/* builtin.c: the dashboards that come with the server: web/dashboards.json, embedded.
 *
 * They are read like any other document; a unit test holds that none is refused. */
#include "base/mem.h"
#include "server/saved.h"

__asm__(".section .rodata\n"
        ".global fl_dashboards\nfl_dashboards:\n"
        ".incbin \"" FL_WEB_DIR "/dashboards.json\"\n"
        ".global fl_dashboards_end\nfl_dashboards_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char fl_dashboards[], fl_dashboards_end[];

str builtin_text(void)
{
    return (str){ fl_dashboards, (size_t)(fl_dashboards_end - fl_dashboards) };
}

static int load(struct builtin *b, ts_ns now, struct err *err)
{
    struct tree *root;
    int rc = tree_from_json(&root, &b->arena, builtin_text(), err);
    const struct tree *list = rc == 0 ? tree_get(root, "dashboards") : NULL;
    if (rc < 0)
        return rc;
    b->v = arena_array(&b->arena, list && list->n ? list->n : 1, sizeof *b->v);
    if (!b->v)
        return err_nomem(err);
    TREE_EACH(t, list)
    {
        rc = saved_read(&b->v[b->n], DOC_DASHBOARD, t, now, &b->arena, err);
        if (rc < 0)
            return rc;
        b->n++;
    }
    return 0;
}

int builtin_new(struct builtin **ret, ts_ns now, struct err *err)
{
    struct builtin *b = mem_zalloc(sizeof *b);
    if (!b)
        return err_nomem(err);
    arena_init(&b->arena, (size_t)4 << 20);
    int rc = load(b, now, err);
    if (rc < 0)
        builtin_free(b);
    else
        *ret = b;
    return rc;
}

void builtin_free(struct builtin *b)
{
    if (!b)
        return;
    arena_deinit(&b->arena);
    mem_free(b);
}

const struct saved *builtin_find(const struct builtin *b, str name)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (str_eq(b->v[i].name, name))
            return &b->v[i];
    return NULL;
}
