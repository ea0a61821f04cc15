/* parse_pipe.c: the pipes behind a filter: the table of those there are. */
#include "query/internal.h"

/* clang-format off */ /* a line each, so that many can add one */
const struct pipe_def *const pipe_table[] = {
    &pipe_where,
    &pipe_fields,
    &pipe_drop,
    &pipe_rename,
    &pipe_sort,
    &pipe_limit,
    &pipe_head,
    &pipe_offset,
    &pipe_tail,
    &pipe_stats,
    &pipe_top,
    &pipe_uniq,
    &pipe_timeline,
    &pipe_count,
    &pipe_dedup,
    &pipe_eval,
    &pipe_lookup,
    &pipe_extract,
    &pipe_parse,
    &pipe_rare,
    &pipe_values,
    &pipe_sample,
    &pipe_facets,
    &pipe_union,
    &pipe_join,
    &pipe_compare,
    &pipe_usage,
    &pipe_issues,
    &pipe_trace,
    &pipe_sessions,
    &pipe_traces,
    &pipe_context,
    &pipe_patterns,
    &pipe_anomalies,
    &pipe_lineage,
};
/* clang-format on */
#define NPIPES (sizeof pipe_table / sizeof *pipe_table)
const uint32_t pipe_count_all = NPIPES;

int parse_name_list(struct parser *p, struct qname **ret, uint32_t *ret_n, const char *what)
{
    struct qname *names = NULL;
    uint32_t n = 0;
    do {
        struct qname *more = arena_grow(p->a, names, n, n + 1, sizeof *more);
        if (!more)
            return err_nomem(p->err);
        names = more;
        int rc = lex_name(p, &names[n], what);
        if (rc)
            return rc;
        n++;
    } while (lex_char(p, ','));
    *ret = names;
    *ret_n = n;
    return 0;
}

int parse_whole(struct parser *p, const struct pipe *pipe)
{
    if (!p->schema)
        return 0;
    parse_error(p, pipe->pos, "'%s' looks at whole entries, and here are columns", pipe->def->name);
    err_hint(p->err, "put it in front of the pipes that make columns");
    return ERR_INVALID;
}

/* what other languages call them */
static const char *called_here(str name)
{
    static const char *const words[][2] = {
        { "order", "sort" },         { "orderby", "sort" },      { "group", "stats" },
        { "groupby", "stats" },      { "summarize", "stats" },   { "aggregate", "stats" },
        { "select", "fields" },      { "project", "fields" },    { "columns", "fields" },
        { "grep", "where" },         { "filter", "where" },      { "search", "where" },
        { "take", "limit" },         { "first", "limit" },       { "skip", "offset" },
        { "distinct", "uniq" },      { "unique", "uniq" },       { "extend", "eval" },
        { "timechart", "timeline" }, { "histogram", "timeline" }
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(name, str_c(words[i][0])))
            return words[i][1];
    return NULL;
}

static int unknown_pipe(struct parser *p, const struct qname *name)
{
    const char *names[NPIPES], *here = called_here(name->text);
    for (size_t i = 0; i < NPIPES; i++)
        names[i] = pipe_table[i]->name;
    parse_error(p, name->pos, "there is no pipe '%.*s'", STR_FMT(name->text));
    err_hint(p->err, "a '|' in text must be quoted");
    if (here)
        err_hint(p->err, "it is called %s here", here);
    else
        parse_hint_near(p, name->text, names, NPIPES);
    return ERR_INVALID;
}

/* something behind a pipe that does not belong to it: a word of its syntax misspelt, or no pipe */
static int behind_pipe(struct parser *p, const struct pipe *last)
{
    int64_t pos = (int64_t)p->pos;
    const char *words[16];
    uint32_t nwords = 0;
    size_t n;
    if (lex_peek(p, 0) == ')')
        return parse_error(p, pos, "a ')' without its '('");
    parse_error(p, pos, "expected '|' or the end here");
    if (!last || !last->def->syntax)
        return ERR_INVALID;
    str rest = str_c(last->def->syntax);
    err_hint(p->err, "it is written %s", last->def->syntax);
    for (size_t i = strlen(last->def->name); i < rest.n && nwords < 16;) {
        size_t from = i;
        while (i < rest.n && rest.p[i] >= 'a' && rest.p[i] <= 'z')
            i++;
        if (i > from + 1 && !(words[nwords++] = arena_strz(p->a, str_sub(rest, from, i - from))))
            return err_nomem(p->err);
        i += i == from;
    }
    if (lex_is_name(p, p->pos, &n))
        parse_hint_near(p, str_sub(p->text, p->pos, n), words, nwords);
    return ERR_INVALID;
}

/* Do its arguments name every field of an entry that it looks at? */
static bool names_fields(const struct pipe_def *def)
{
    static const struct pipe_def *const all[] = {
        &pipe_where,  &pipe_fields, &pipe_drop,   &pipe_rename,   &pipe_sort,    &pipe_limit,
        &pipe_head,   &pipe_offset, &pipe_tail,   &pipe_stats,    &pipe_top,     &pipe_uniq,
        &pipe_count,  &pipe_dedup,  &pipe_eval,   &pipe_timeline, &pipe_extract, &pipe_parse,
        &pipe_lookup, &pipe_rare,   &pipe_values, &pipe_sample,   &pipe_union,   &pipe_join
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] == def)
            return true;
    return false;
}

static int parse_pipe(struct parser *p, struct pipe **ret)
{
    struct qname name;
    int rc = lex_name(p, &name, "a pipe such as stats, sort or limit");
    if (rc)
        return rc;
    const struct pipe_def *def = NULL;
    for (size_t i = 0; i < NPIPES && !name.backticks; i++)
        if (str_eq(name.text, str_c(pipe_table[i]->name)))
            def = pipe_table[i];
    if (!def)
        return unknown_pipe(p, &name);
    struct pipe *pipe = arena_zalloc(p->a, sizeof *pipe);
    if (!pipe)
        return err_nomem(p->err);
    pipe->def = def;
    pipe->pos = name.pos;
    pipe->in = pipe->out = p->schema;
    if (!p->schema && !names_fields(def))
        open_whole(p->open);
    size_t bar = p->bar;
    rc = def->parse(p, pipe);
    p->bar = bar;
    if (rc)
        return rc;
    pipe->text = str_sub(p->text, (size_t)name.pos, p->pos - (size_t)name.pos);
    p->schema = pipe->out;
    *ret = pipe;
    return 0;
}

int parse_pipes(struct parser *p)
{
    struct pipe **tail = &p->q->pipes, *last = NULL;
    for (;;) {
        lex_blank(p);
        if (p->pos == p->text.n || (p->inner && lex_peek(p, 0) == ')'))
            return 0;
        if (lex_peek(p, 0) != '|')
            return behind_pipe(p, last);
        p->bar = p->pos++;
        if (++p->q->npipes > QUERY_PIPES_MAX)
            return parse_error(p, (int64_t)p->pos, "more than %d pipes", QUERY_PIPES_MAX);
        int rc = parse_pipe(p, tail);
        if (rc)
            return rc;
        last = *tail;
        tail = &last->next;
    }
}
