/* answer.c: a query asked and its answer printed: entries as lines, tables in columns, JSON, CSV.
 */
#include "cli/answer.h"

#include <string.h>

#include "cli/row.h"
#include "cli/table.h"

#define HELD_MAX 256 /* lines kept back to learn the width of the agent column */

struct search {
    struct cli *c;
    const struct answer *want;
    struct renderer r;
    struct table *held; /* rows of a table, all of them */
    struct buf first;   /* the first lines of entries, newline after each */
    uint64_t rows, nheld;
    bool is_table, streaming;
    int bad; /* exit code of a row that could not be shown */
};

static bool show_entry(struct search *s, str line)
{
    struct arena a;
    struct jrow row;
    struct err err = ERR_INIT;
    arena_init(&a, 256u << 20);
    int rc = jrow_parse(&row, line, &a, &err);
    if (rc == 0)
        render_entry(&s->r, &row);
    else
        s->bad = cli_fail_err(s->c, &err);
    arena_deinit(&a);
    return rc == 0 && out_ok(&s->c->out);
}

/* prints the lines held back, now that their widths are known */
static bool release(struct search *s)
{
    str rest = buf_str(&s->first), line;
    bool go = true;
    s->streaming = true;
    while (go && rest.n && str_split(&rest, '\n', &line))
        go = !line.n || show_entry(s, line);
    buf_reset(&s->first);
    return go;
}

static bool hold_entry(struct search *s, const struct jrow *row, str line)
{
    renderer_see(&s->r, row);
    buf_putstr(&s->first, line);
    buf_putc(&s->first, '\n');
    return ++s->nheld < HELD_MAX || release(s);
}

static bool text_row(struct search *s, str line)
{
    struct arena a;
    struct jrow row;
    struct err err = ERR_INIT;
    bool go = false;
    if (s->streaming)
        return show_entry(s, line);
    arena_init(&a, 256u << 20);
    int rc = jrow_parse(&row, line, &a, &err);
    if (rc == 0 && s->rows == 1)
        s->is_table = !jrow_is_entry(&row);
    if (rc == 0 && s->is_table && !s->held)
        rc = table_new(&s->held, &err);
    if (rc == 0 && s->is_table)
        rc = table_add(s->held, line, &err);
    if (rc < 0)
        s->bad = cli_fail_err(s->c, &err);
    else
        go = s->is_table || hold_entry(s, &row, line);
    arena_deinit(&a);
    return go;
}

static bool on_row(void *ctx, str line)
{
    struct search *s = ctx;
    struct out *o = &s->c->out;
    s->rows++;
    if (s->want->quiet)
        return false; /* one is enough to know */
    if (s->want->shape == ANSWER_TEXT)
        return text_row(s, line);
    if (s->want->shape == ANSWER_JSON)
        out_puts(o, s->rows == 1 ? "{\n  \"results\": [\n    " : ",\n    ");
    out_json(o, line);
    if (s->want->shape == ANSWER_NDJSON)
        out_line(o);
    return out_ok(o);
}

enum answer_shape answer_shape_of(const char *format)
{
    return strcmp(format, "json") == 0     ? ANSWER_JSON
           : strcmp(format, "ndjson") == 0 ? ANSWER_NDJSON
           : strcmp(format, "csv") == 0    ? ANSWER_CSV
                                           : ANSWER_TEXT;
}

static void finish(struct search *s, const struct data_result *res)
{
    struct cli *c = s->c;
    if (s->want->shape == ANSWER_JSON)
        out_printf(&c->out,
                   "%s],\n  \"count\": %llu,\n  \"offset\": %llu,\n  \"truncated\": %s\n}\n",
                   s->rows ? "\n  " : "{\n  \"results\": [", (unsigned long long)s->rows,
                   (unsigned long long)s->want->offset, res->truncated ? "true" : "false");
    if (s->want->shape != ANSWER_TEXT)
        return;
    if (s->held)
        table_print(s->held, &c->out, s->want->wide);
    else if (!s->streaming)
        release(s);
    if (!s->rows && c->err.tty)
        cli_note(c, "nothing found");
    else if (res->truncated && c->err.tty)
        cli_note(c, "there is more; --limit N shows further rows");
}

static int explain(struct cli *c, struct target *t, const struct data_query *q)
{
    struct buf plan;
    buf_init(&plan, 16u << 20);
    int rc = data_explain(c, t, q, &plan);
    if (rc == 0) {
        json_pretty(&c->out, buf_str(&plan), 0);
        out_line(&c->out);
    }
    buf_deinit(&plan);
    return rc;
}

int answer_print(struct cli *c, struct target *t, const struct answer *a, uint64_t *ret_rows)
{
    struct data_result res;
    struct answer want = *a;
    if (want.quiet && want.shape == ANSWER_CSV)
        want.shape = ANSWER_NDJSON;
    struct search s = { .c = c, .want = &want };
    struct data_query q = { .text = a->text,
                            .start = a->start,
                            .end = a->end,
                            .limit = a->limit,
                            .offset = a->offset,
                            .csv = want.shape == ANSWER_CSV,
                            .ctx = &s,
                            .on_row = on_row,
                            .shift = a->shift,
                            .own = a->own };
    *ret_rows = 0;
    if (a->explain)
        return explain(c, t, &q);
    buf_init(&s.first, 256u << 20);
    renderer_init(&s.r, &c->out, a->wide);
    int rc = data_query(c, t, &q, &res);
    if (rc == 0 && !a->quiet)
        finish(&s, &res);
    *ret_rows = s.rows;
    table_free(s.held);
    buf_deinit(&s.first);
    return rc ? rc : s.bad;
}
