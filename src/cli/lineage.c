/* lineage.c: fleetlog agents --tree: which agent started which. */
#include <stdio.h>
#include <string.h>

#include "cli/cells.h"
#include "cli/target.h"

#define DEPTH_MAX 32
#define AGENTS_MAX 10000

/* does a sibling follow behind row i? */
static bool more_behind(const struct rows *r, uint32_t i, int depth)
{
    for (uint32_t k = i + 1; k < r->n; k++) {
        int d = (int)jrow_num(&r->v[k], "depth", 0);
        if (d <= depth)
            return d == depth;
    }
    return false;
}

static void put_tree(char *cell, const struct rows *r, uint32_t i, bool *open)
{
    bool utf8 = term_utf8();
    int depth = (int)jrow_num(&r->v[i], "depth", 0);
    int shown = depth < DEPTH_MAX ? depth : DEPTH_MAX - 1;
    bool more = more_behind(r, i, depth);
    str agent = jrow_text(&r->v[i], "agent");
    size_t n = 0;
    cell[0] = 0;
    for (int d = 1; d < shown && n + 40 < CELL_MAX; d++)
        n += (size_t)snprintf(cell + n, CELL_MAX - n, "%s",
                              open[d] ? (utf8 ? "│  " : "|  ") : "   ");
    if (shown)
        n += (size_t)snprintf(cell + n, CELL_MAX - n, "%s",
                              more ? (utf8 ? "├─ " : "|- ") : (utf8 ? "└─ " : "`- "));
    open[shown] = more;
    char name[CELL_MAX];
    cell_text(name, agent.n ? agent : jrow_text(&r->v[i], "agent_id"));
    snprintf(cell + n, CELL_MAX - n, "%.*s", (int)(CELL_MAX - n - 1), name);
}

static int print(struct cli *c, struct rows *r)
{
    static const struct cell_col cols[] = { { "AGENT", false, 20 },  { "STARTED", true, 0 },
                                            { "SESSIONS", true, 0 }, { "ENTRIES", true, 0 },
                                            { "ERRORS", true, 0 },   { "TOKENS", true, 0 },
                                            { "COST", true, 0 } };
    enum { N = sizeof(cols) / sizeof(*cols) };
    char(*cells)[CELL_MAX] = arena_zalloc(&r->a, ((size_t)r->n + 1) * N * CELL_MAX);
    enum style *styles = arena_zalloc(&r->a, ((size_t)r->n + 1) * N * sizeof(*styles));
    bool open[DEPTH_MAX + 1] = { false };
    if (!cells || !styles)
        return cli_fail(c, EXIT_OS, NULL, "out of memory");
    for (uint32_t i = 0; i < r->n; i++) {
        char(*row)[CELL_MAX] = cells + (size_t)i * N;
        const struct jrow *v = &r->v[i];
        put_tree(row[0], r, i, open);
        cell_count(row[1], v, "starts");
        cell_count(row[2], v, "sessions");
        cell_count(row[3], v, "entries");
        cell_count(row[4], v, "errors");
        cell_count(row[5], v, "tokens");
        cell_usd(row[6], v, "cost_usd");
        if (jrow_num(v, "errors", 0) > 0)
            styles[(size_t)i * N + 4] = STYLE_RED;
    }
    cells_print(&c->out, cols, N, cells, styles, r->n);
    return EXIT_DONE;
}

int show_lineage(struct cli *c)
{
    struct target t;
    struct rows r;
    struct data_query q = {
        .text = "* | lineage", .start = TS_MIN, .end = TS_MAX, .limit = AGENTS_MAX
    };
    int rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    rc = rows_load(&r, c, &t, &q);
    if (rc == 0 && opt_on(c, "json"))
        rows_json(&r, "agents");
    else if (rc == 0 && r.n)
        rc = print(c, &r);
    else if (rc == 0)
        cli_note(c, "no agents");
    if (rc == 0 && r.n == AGENTS_MAX)
        cli_note(c, "only the first %d agents are shown", AGENTS_MAX);
    rows_free(&r);
    target_close(&t);
    return rc;
}
