/* options.c: from argv to a checked set of values, by the command's table.
 *
 * Two passes of getopt_long. The first stops at the first word that is no option: that word is the
 * command, and what stood before it are global options. The second takes the rest with the
 * command's options and the global ones together, in any order. Values are checked here, so a
 * command never starts on a bad one. */
#include "cli/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define OPTS_MAX 64
#define VAL_BASE 1000 /* getopt value of option i */

/* ---- words that are nearly right ---- */

/* Damerau-Levenshtein (adjacent swaps count one), words of at most 31 bytes */
static int distance(const char *a, const char *b)
{
    int d[33][33], n = (int)strlen(a), m = (int)strlen(b);
    if (n > 31 || m > 31)
        return 99;
    for (int i = 0; i <= n; i++)
        d[i][0] = i;
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

const char *nearest_word(const char *word, const char *const *words)
{
    const char *best = NULL;
    int len = (int)strlen(word), limit = len <= 3 ? 1 : len <= 7 ? 2 : 3, best_d = limit + 1;
    for (; *words; words++) {
        int d = distance(word, *words);
        if (len >= 3 && strncmp(word, *words, (size_t)len) == 0)
            d = 0;
        if (d < best_d) {
            best_d = d;
            best = *words;
        }
    }
    return best;
}

const struct command *command_find(const char *name)
{
    for (const struct command *const *p = cli_commands; *p; p++)
        if (strcmp((*p)->name, name) == 0)
            return *p;
    return NULL;
}

int command_opts(const struct command *cmd, const struct opt **ret, int max)
{
    int n = 0;
    for (const struct opt *o = cmd ? cmd->opts : NULL; o && o->name && n < max; o++)
        ret[n++] = o;
    for (const struct opt *o = cli_globals; o->name && n < max; o++) {
        bool own = false; /* a command's own option of that name says it better */
        for (int i = 0; i < n; i++)
            own = own || strcmp(ret[i]->name, o->name) == 0;
        if (!own)
            ret[n++] = o;
    }
    return n;
}

/* ---- values ---- */

bool bytes_parse(str s, uint64_t *ret)
{
    static const struct {
        str name;
        double factor;
    } units[] = {
        { STR("kib"), 1024.0 },
        { STR("mib"), 1048576.0 },
        { STR("gib"), 1073741824.0 },
        { STR("tib"), 1099511627776.0 },
        { STR("kb"), 1e3 },
        { STR("mb"), 1e6 },
        { STR("gb"), 1e9 },
        { STR("tb"), 1e12 },
        { STR("k"), 1024.0 },
        { STR("m"), 1048576.0 },
        { STR("g"), 1073741824.0 },
        { STR("t"), 1099511627776.0 },
        { STR("b"), 1.0 },
    };
    double factor = 1, v;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        str u = units[i].name;
        if (s.n > u.n && str_eq_ci(str_skip(s, s.n - u.n), u)) {
            factor = units[i].factor;
            s.n -= u.n;
            break;
        }
    }
    if (!str_to_f64(str_trim(s), &v) || v < 0 || v * factor > 1e18)
        return false;
    *ret = (uint64_t)(v * factor);
    return true;
}

bool when_parse(str s, ts_ns now, ts_ns *ret)
{
    int64_t d;
    if (str_eq(s, STR("now"))) {
        *ret = now;
    } else if (str_eq(s, STR("today"))) {
        *ret = floor_div(now, NS_PER_DAY) * NS_PER_DAY;
    } else if (str_eq(s, STR("yesterday"))) {
        *ret = (floor_div(now, NS_PER_DAY) - 1) * NS_PER_DAY;
    } else if (str_starts(s, STR("now-")) && dur_parse(str_skip(s, 4), NS_PER_S, &d)) {
        *ret = now - d;
    } else if (str_starts(s, STR("now+")) && dur_parse(str_skip(s, 4), NS_PER_S, &d)) {
        *ret = now + d;
    } else if (s.n && s.p[s.n - 1] >= 'a' && s.p[s.n - 1] <= 'z' && dur_parse(s, NS_PER_S, &d)) {
        *ret = now - d;
    } else {
        return ts_parse_any(s, ret);
    }
    return true;
}

static bool in_choices(const char *choices, str value)
{
    str rest = str_c(choices), one;
    while (str_split(&rest, '|', &one))
        if (str_eq_ci(one, value))
            return true;
    return false;
}

bool opt_check(const struct opt *o, const char *value, const char **why)
{
    static char text[160];
    char least[32];
    str s = str_c(value);
    int64_t i;
    uint64_t u;
    ts_ns t;
    *why = text;
    switch (o->type) {
    case OPT_INT:
        if (str_to_i64(s, &i) && i >= o->min && i <= o->max)
            return true;
        if (o->max == INT64_MAX)
            snprintf(text, sizeof(text), "needs a whole number of at least %lld",
                     (long long)o->min);
        else
            snprintf(text, sizeof(text), "needs a whole number from %lld to %lld",
                     (long long)o->min, (long long)o->max);
        return false;
    case OPT_DUR:
        snprintf(text, sizeof(text), "needs a duration such as 15m, 12h or 30d");
        return dur_parse(s, o->unit, &i) || str_eq(s, STR("0"));
    case OPT_BYTES:
        snprintf(text, sizeof(text), "needs a size such as 512MiB or 50GiB");
        if (!bytes_parse(s, &u))
            return false;
        if (u == 0 ? o->min == 0 || o->zero : u >= (uint64_t)o->min)
            return true;
        snprintf(text, sizeof(text), "needs a size of at least %s, with its unit",
                 fmt_bytes((uint64_t)o->min, least));
        return false;
    case OPT_TIME:
        snprintf(text, sizeof(text),
                 "needs a time such as 2026-11-21, 2026-11-21T10:00:00Z, now-1h or 15m (ago)");
        return when_parse(s, 0, &t);
    case OPT_CHOICE:
        i = snprintf(text, sizeof(text), "is one of ");
        for (const char *p = o->choices; *p && i < (int64_t)sizeof(text) - 3; p++) {
            text[i++] = *p == '|' ? ',' : *p;
            if (*p == '|')
                text[i++] = ' ';
        }
        text[i] = 0;
        return in_choices(o->choices, s);
    case OPT_FILE:
    case OPT_DIR: snprintf(text, sizeof(text), "needs a path"); return s.n > 0;
    case OPT_TEXT: return !o->check || o->check(value, why);
    case OPT_FLAG: break;
    }
    return true;
}

/* ---- asking ---- */

static const struct opt *find_opt(const struct cli *c, const char *name)
{
    const struct opt *all[OPTS_MAX];
    int n = command_opts(c->cmd, all, OPTS_MAX);
    for (int i = 0; i < n; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    fprintf(stderr, "fleetlog: bug: %s has no option --%s\n", c->cmd ? c->cmd->name : "", name);
    abort();
}

bool opt_given(const struct cli *c, const char *name)
{
    (void)find_opt(c, name);
    for (int i = 0; i < c->nset; i++)
        if (strcmp(c->set[i].opt->name, name) == 0)
            return true;
    return false;
}

bool opt_on(const struct cli *c, const char *name)
{
    return opt_given(c, name);
}

const char *opt_text(const struct cli *c, const char *name)
{
    const char *value = find_opt(c, name)->def;
    for (int i = 0; i < c->nset; i++)
        if (strcmp(c->set[i].opt->name, name) == 0)
            value = c->set[i].value;
    return value;
}

const char *opt_nth(const struct cli *c, const char *name, int i)
{
    (void)find_opt(c, name);
    for (int k = 0; k < c->nset; k++)
        if (strcmp(c->set[k].opt->name, name) == 0 && i-- == 0)
            return c->set[k].value;
    return NULL;
}

int64_t opt_num(const struct cli *c, const char *name)
{
    const struct opt *o = find_opt(c, name);
    const char *value = opt_text(c, name);
    int64_t i = 0;
    uint64_t u = 0;
    if (!value)
        return 0;
    if (o->type == OPT_DUR)
        return dur_parse(str_c(value), o->unit, &i) ? i : 0;
    if (o->type == OPT_BYTES)
        return bytes_parse(str_c(value), &u) ? (int64_t)u : 0;
    return str_to_i64(str_c(value), &i) ? i : 0;
}

ts_ns opt_time(const struct cli *c, const char *name, ts_ns unset)
{
    const char *value = opt_text(c, name);
    ts_ns t;
    return value && when_parse(str_c(value), c->now, &t) ? t : unset;
}

/* ---- parsing ---- */

struct parse {
    const struct opt *opts[OPTS_MAX];
    int n;
    struct option longs[OPTS_MAX * 2 + 1];
    char shorts[2 * OPTS_MAX + 8];
};

static void prepare(struct parse *p, const struct command *cmd, const char *mode)
{
    memset(p, 0, sizeof(*p));
    p->n = command_opts(cmd, p->opts, OPTS_MAX);
    int k = 0;
    size_t at = (size_t)snprintf(p->shorts, sizeof(p->shorts), "%s:", mode);
    for (int i = 0; i < p->n; i++) {
        const struct opt *o = p->opts[i];
        int has = o->type == OPT_FLAG ? no_argument : required_argument;
        p->longs[k++] = (struct option){ o->name, has, NULL, VAL_BASE + i };
        if (o->alias)
            p->longs[k++] = (struct option){ o->alias, has, NULL, VAL_BASE + i };
        if (o->letter)
            at += (size_t)snprintf(p->shorts + at, sizeof(p->shorts) - at, "%c%s", o->letter,
                                   has ? ":" : "");
    }
}

static const struct opt *by_value(const struct parse *p, int v)
{
    if (v >= VAL_BASE && v - VAL_BASE < p->n)
        return p->opts[v - VAL_BASE];
    for (int i = 0; i < p->n; i++)
        if (p->opts[i]->letter && p->opts[i]->letter == v)
            return p->opts[i];
    return NULL;
}

static int usage_hint(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int usage_hint(struct cli *c, const char *fmt, ...)
{
    char msg[512], hint[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    snprintf(hint, sizeof(hint), "fleetlog %s%s--help shows what there is",
             c->cmd ? c->cmd->name : "", c->cmd ? " " : "");
    return cli_fail(c, EXIT_USAGE, hint, "%s", msg) + 1;
}

static int unknown_option(struct cli *c, const struct parse *p, const char *word)
{
    const char *names[OPTS_MAX * 2 + 1];
    char bare[64];
    int n = 0;
    if (strncmp(word, "--", 2) != 0)
        return usage_hint(c, "unknown option -%c", optopt);
    for (int i = 0; p->longs[i].name; i++)
        names[n++] = p->longs[i].name;
    names[n] = NULL;
    snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *near = nearest_word(bare, names);
    if (near) {
        char hint[128];
        snprintf(hint, sizeof(hint), "did you mean --%s?", near);
        return cli_fail(c, EXIT_USAGE, hint, "unknown option --%s", bare) + 1;
    }
    if (!c->cmd)
        return usage_hint(c, "unknown option --%s before the command", bare);
    return usage_hint(c, "unknown option --%s for %s", bare, c->cmd->name);
}

/* One getopt pass. 0, or exit code + 1. */
static int pass(struct cli *c, struct parse *p, int argc, char **argv, bool *ret_help)
{
    optind = 0; /* GNU: start afresh */
    opterr = 0;
    int v;
    while ((v = getopt_long(argc, argv, p->shorts, p->longs, NULL)) != -1) {
        const struct opt *o = by_value(p, v);
        if (v == ':') {
            o = by_value(p, optopt);
            return usage_hint(c, "--%s needs a value", o ? o->name : "?");
        }
        if (v == '?' && optopt >= VAL_BASE)
            return usage_hint(c, "--%s takes no value", by_value(p, optopt)->name);
        if (!o)
            return unknown_option(c, p, argv[optind - 1]);
        const char *why;
        if (o->type != OPT_FLAG && !opt_check(o, optarg, &why))
            return usage_hint(c, "--%s %s, not '%s'", o->name, why, optarg);
        if (c->nset == CLI_SET_MAX)
            return usage_hint(c, "too many options");
        for (char *letter = optarg; o->type == OPT_CHOICE && *letter; letter++)
            *letter = *letter >= 'A' && *letter <= 'Z' ? (char)(*letter + 32)
                                                       : *letter; /* ERROR, as Fleet writes it */
        c->set[c->nset].opt = o;
        c->set[c->nset++].value = o->type == OPT_FLAG ? NULL : optarg;
        if (strcmp(o->name, "help") == 0)
            *ret_help = true;
    }
    return 0;
}

static int unknown_command(struct cli *c, const char *word)
{
    const char *names[64];
    int n = 0;
    for (const struct command *const *p = cli_commands; *p && n < 63; p++)
        names[n++] = (*p)->name;
    names[n] = NULL;
    const char *near = nearest_word(word, names);
    char hint[128];
    if (near)
        snprintf(hint, sizeof(hint), "did you mean 'fleetlog %s'?", near);
    else
        snprintf(hint, sizeof(hint), "fleetlog --help lists the commands");
    return cli_fail(c, EXIT_USAGE, hint, "there is no command '%s'", word) + 1;
}

static int check_args(struct cli *c)
{
    const struct command *cmd = c->cmd;
    if (c->nargs < cmd->min_args)
        return usage_hint(c, "%s needs %s", cmd->name,
                          cmd->min_args == 1 ? "an argument" : "more arguments");
    if (cmd->max_args >= 0 && c->nargs > cmd->max_args)
        return usage_hint(c, "%s does not know what to do with '%s'", cmd->name,
                          c->args[cmd->max_args]);
    return 0;
}

int cli_parse(struct cli *c, int argc, char **argv)
{
    struct parse p;
    bool help = false;
    prepare(&p, NULL, "+");
    int rc = pass(c, &p, argc, argv, &help);
    if (rc)
        return rc;
    for (int i = 0; i < c->nset; i++)
        if (strcmp(c->set[i].opt->name, "version") == 0) {
            out_printf(&c->out, "fleetlog %s\n", FL_VERSION);
            return EXIT_DONE + 1;
        }
    const char *word = optind < argc ? argv[optind] : NULL;
    if (word && strcmp(word, "help") == 0) { /* fleetlog help [COMMAND] */
        help = true;
        optind++;
        word = optind < argc ? argv[optind] : NULL;
    }
    if (!word) {
        help_overview(&c->out);
        return (help ? EXIT_DONE : EXIT_USAGE) + 1;
    }
    c->cmd = command_find(word);
    if (!c->cmd)
        return unknown_command(c, word);

    int skip = optind;
    prepare(&p, c->cmd, "");
    rc = pass(c, &p, argc - skip, argv + skip, &help);
    if (rc)
        return rc;
    if (help) {
        help_command(&c->out, c->cmd);
        return EXIT_DONE + 1;
    }
    c->args = argv + skip + optind;
    c->nargs = argc - skip - optind;
    return check_args(c);
}
