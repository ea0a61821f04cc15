/* retention.c: retention classes on the command line and in the configuration. */
#include "cli/retention.h"

#include <stdio.h>
#include <string.h>

#include "model/pred.h"
#include "query/query.h"

struct given {
    char name[RETENTION_NAME_MAX + 1];
    struct query *query; /* holds the filter */
};

static str word(str *rest)
{
    size_t n = 0;
    *rest = str_trim(*rest);
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    str w = str_n(rest->p, n);
    *rest = str_trim(str_skip(*rest, n));
    return w;
}

/* May a filter decide about a class? Only by what is stored with an entry. */
static const char *refused(const struct query *q)
{
    const struct pred *p = query_filter(q);
    ts_ns from, to;
    uint64_t lo, hi;
    if (!query_is_filter(q))
        return "takes a filter, not a query with pipes";
    if (pred_uses_marks(p))
        return "cannot go by marks, which come later";
    pred_time_bounds(p, &from, &to);
    pred_seq_bounds(p, &lo, &hi);
    return from != TS_MIN || to != TS_MAX || lo || hi != UINT64_MAX
               ? "cannot go by time or sequence number"
               : NULL;
}

static bool parse(const char *value, struct retention_rule *ret, struct given *g, const char **why)
{
    static char text[300];
    struct err err = ERR_INIT;
    struct query_opts o;
    str rest = str_c(value), name = word(&rest), age = word(&rest);
    if (!age.n || !rest.n) {
        *why = "needs NAME AGE FILTER, as: audit 400d agent:auditor";
        return false;
    }
    if (!retention_name_ok(name)) {
        *why = "needs a name of at most 32 of a-z 0-9 - _, other than default";
        return false;
    }
    if (!dur_parse(age, NS_PER_DAY, &ret->keep_ns) && !str_eq(age, STR("0"))) {
        *why = "needs an age such as 12h or 400d, or 0 for ever, behind the name";
        return false;
    }
    if (str_eq(age, STR("0")))
        ret->keep_ns = 0;
    query_opts_default(&o);
    if (query_parse(&g->query, rest, &o, &err) < 0) {
        snprintf(text, sizeof text, "needs a filter that can be read (%.200s)", err.msg);
        *why = text;
        return false;
    }
    *why = refused(g->query);
    if (*why) {
        query_free(g->query);
        return false;
    }
    snprintf(g->name, sizeof g->name, "%.*s", STR_FMT(name));
    ret->name = g->name;
    ret->match = query_filter(g->query);
    return true;
}

bool retention_check(const char *value, const char **why)
{
    struct retention_rule r;
    struct given g;
    if (!parse(value, &r, &g, why))
        return false;
    query_free(g.query);
    return true;
}

int retention_rules(struct cli *c, struct store_config *cfg)
{
    static struct given given[RETENTION_RULES_MAX];
    static struct retention_rule rules[RETENTION_RULES_MAX];
    const char *value, *why;
    uint32_t n = 0;
    for (; (value = opt_nth(c, "retention-class", (int)n)); n++) {
        if (n == RETENTION_RULES_MAX)
            return cli_fail(c, EXIT_CONFIG, NULL, "at most %d retention classes",
                            RETENTION_RULES_MAX);
        if (!parse(value, &rules[n], &given[n], &why))
            return cli_fail(c, EXIT_CONFIG, NULL, "retention-class %s, not '%s'", why, value);
        for (uint32_t i = 0; i < n; i++)
            if (strcmp(rules[i].name, rules[n].name) == 0)
                return cli_fail(c, EXIT_CONFIG, "one filter can hold both: (A) or (B)",
                                "there are two retention classes '%s'", rules[n].name);
    }
    cfg->rules = rules;
    cfg->nrules = n;
    return 0;
}
