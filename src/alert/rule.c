/* rule.c: from a document to a rule, every member checked.
 *
 * A table names the members of each map, so that an unknown one can be refused with the nearest
 * known name, and nothing that is written is ignored. */
#include "alert/rule.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const alert_condition_names[ALERT_CONDITION__COUNT] = {
    "above", "below", "rises", "falls", "absent", "new_issue"
};
const char *const alert_metric_names[ALERT_METRIC__COUNT] = { NULL, "disk_free_percent",
                                                              "rejected_percent",
                                                              "stored_per_second" };
const char *const alert_severity_names[ALERT_SEVERITY__COUNT] = { "info", "warning", "critical" };

static const char *const rule_keys[] = { "name",    "about",    "enabled", "query",  "metric",
                                         "window",  "every",    "by",      "value",  "when",
                                         "for",     "keep",     "repeat",  "forget", "max_groups",
                                         "timeout", "severity", "labels",  "send",   NULL };
static const char *const when_keys[] = { "above",     "below", "rises",    "falls", "absent",
                                         "new_issue", "clear", "at_least", NULL };
static const char *const target_keys[] = { "webhook",    "command", "log", "secret",
                                           "secret_env", "timeout", NULL };

#define S NS_PER_S
#define FAIL(t, ...) tree_err(err, ERR_INVALID, (t)->line, (t)->col, __VA_ARGS__)

static int known_keys(const struct tree *map, const char *what, const char *const *words,
                      struct err *err)
{
    int rc = tree_members(map, what, words, err);
    if (rc < 0 && map->kind != TREE_MAP)
        err_hint(err, "as 'above: 10'");
    return rc;
}

/* ---- single values ---- */

static int read_duration(const struct tree *map, const char *key, int64_t min, int64_t max,
                         int64_t *ret, struct err *err)
{
    const struct tree *t = tree_get(map, key);
    int64_t ns = 0;
    if (tree_is_null(t))
        return 0;
    bool zero = t->kind == TREE_TEXT && str_eq(t->text, STR("0"));
    if (t->kind != TREE_TEXT || (!zero && !dur_parse(t->text, 0, &ns))) {
        FAIL(t, "%s must be a duration", key);
        err_hint(err, "a number and ms, s, m, h, d or w, as 5m");
        return ERR_INVALID;
    }
    if (ns < min || ns > max) {
        struct buf b;
        buf_init(&b, 256);
        duration_put(&b, min);
        buf_puts(&b, " to ");
        duration_put(&b, max);
        FAIL(t, "%s must be %.*s", key, STR_FMT(buf_str(&b)));
        buf_deinit(&b);
        return ERR_INVALID;
    }
    *ret = ns;
    return 0;
}

static int read_number(const struct tree *map, const char *key, double *ret, bool *ret_given,
                       struct err *err)
{
    const struct tree *t = tree_get(map, key);
    if (!t)
        return 0;
    if (!tree_number(t, ret)) {
        FAIL(t, "%s must be a number", key);
        err_hint(err, "without a unit, as %s: 10", key);
        return ERR_INVALID;
    }
    if (ret_given)
        *ret_given = true;
    return 0;
}

static int read_word(const struct tree *map, const char *key, const char *const *words, uint32_t n,
                     uint32_t *ret, struct err *err)
{
    const struct tree *t = tree_get(map, key);
    const char *list[8];
    uint32_t k = 0;
    if (tree_is_null(t))
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        if (words[i] && t->kind == TREE_TEXT && str_eq(t->text, str_c(words[i]))) {
            *ret = i;
            return 0;
        }
        if (words[i] && k < 7)
            list[k++] = words[i];
    }
    list[k] = NULL;
    FAIL(t, "%s cannot be '%.*s'", key, STR_FMT(str_sub(t->text, 0, 64)));
    tree_hint(err, t->text, list);
    return ERR_INVALID;
}

bool alert_name_ok(str name)
{
    if (!name.n || name.n > ALERT_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || (c != '-' && c != '_' && c != '.')))
            return false;
    }
    return !str_eq(name, STR("history")); /* a path of its own */
}

bool rule_has_window(const struct alert_rule *r)
{
    return r->metric != ALERT_METRIC_DISK && r->condition != ALERT_NEW_ISSUE;
}

static int read_name(struct alert_rule *r, const struct tree *doc, str want, struct err *err)
{
    const struct tree *t = tree_get(doc, "name");
    str name = want.n ? want : t ? t->text : STR_NULL;
    if (!t && !want.n)
        return FAIL(doc, "a rule needs a name");
    if (t && want.n && !str_eq(t->text, want))
        return FAIL(t, "the name is '%.*s', and another in the path",
                    STR_FMT(str_sub(t->text, 0, 64)));
    if (!alert_name_ok(name)) {
        const struct tree *at = t ? t : doc;
        FAIL(at, "'%.*s' cannot be the name of a rule", STR_FMT(str_sub(name, 0, 80)));
        err_hint(err, "1 to %d letters, digits, '-', '_' and '.', and not 'history'",
                 ALERT_NAME_MAX);
        return ERR_INVALID;
    }
    memcpy(r->name, name.p, name.n);
    r->name[name.n] = 0;
    return 0;
}

/* ---- what is measured ---- */

static int add_by(struct alert_rule *r, const struct tree *t, struct err *err)
{
    str s = str_trim(t->text);
    if (t->kind != TREE_TEXT || !s.n || s.n > 256)
        return FAIL(t, "by needs names of fields");
    for (size_t i = 0; i < s.n; i++)
        if (strchr("|,()\"' \t\n", s.p[i])) {
            FAIL(t, "'%.*s' is no name of a field", STR_FMT(str_sub(s, 0, 64)));
            err_hint(err, "several fields are a list: [agent, tool]");
            return ERR_INVALID;
        }
    if (r->nby == ALERT_BY_MAX)
        return FAIL(t, "by may name %d fields at most", ALERT_BY_MAX);
    r->by[r->nby++] = s;
    return 0;
}

static int read_by(struct alert_rule *r, const struct tree *doc, struct err *err)
{
    const struct tree *by = tree_get(doc, "by");
    if (tree_is_null(by))
        return 0;
    if (by->kind == TREE_TEXT)
        return add_by(r, by, err);
    if (by->kind == TREE_MAP)
        return FAIL(by, "by is a field or a list of fields");
    TREE_EACH(t, by)
    {
        int rc = add_by(r, t, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_source(struct alert_rule *r, const struct tree *doc, struct err *err)
{
    uint32_t metric = ALERT_METRIC_NONE;
    const struct tree *q = tree_get(doc, "query"), *m = tree_get(doc, "metric");
    int rc = tree_text(doc, "query", ALERT_QUERY_MAX, &r->query, err);
    if (rc == 0)
        rc = read_word(doc, "metric", alert_metric_names, ALERT_METRIC__COUNT, &metric, err);
    if (rc == 0)
        rc = tree_text(doc, "value", 256, &r->value, err);
    if (rc == 0)
        rc = read_by(r, doc, err);
    if (rc < 0)
        return rc;
    r->metric = (enum alert_metric)metric;
    r->query_line = q ? q->line : doc->line;
    if (metric && !tree_is_null(q))
        return FAIL(q, "a rule asks a query or a metric, not both");
    if (metric && (r->nby || r->value.n))
        return FAIL(m, "a metric is one number: 'by' and 'value' do not go with it");
    if (!metric && !q && !tree_get(tree_get(doc, "when"), "new_issue")) {
        FAIL(doc, "the rule '%s' has no query", r->name);
        err_hint(err, "query: level:error, or query: '' for all entries");
        return ERR_INVALID;
    }
    return 0;
}

/* ---- when it fires ---- */

static int read_flag(const struct tree *t, const char *name, struct err *err)
{
    bool on;
    if (tree_bool(t, &on) && on)
        return 0;
    FAIL(t, "%s can only be true", name);
    err_hint(err, "leave it out when it shall not be so");
    return ERR_INVALID;
}

static int check_clear(const struct alert_rule *r, const struct tree *when, struct err *err)
{
    const struct tree *t = tree_get(when, "clear");
    if (!r->has_clear)
        return 0;
    bool low = r->condition != ALERT_BELOW;
    if (r->condition == ALERT_ABSENT || r->condition == ALERT_NEW_ISSUE)
        return FAIL(t, "clear does not go with %s", alert_condition_names[r->condition]);
    if (low ? r->clear > r->threshold : r->clear < r->threshold) {
        FAIL(t, "clear must be %s the threshold", low ? "at or below" : "at or above");
        err_hint(err, "it is where a firing alert ends");
        return ERR_INVALID;
    }
    return 0;
}

static int read_when(struct alert_rule *r, const struct tree *doc, struct err *err)
{
    const struct tree *when = tree_get(doc, "when");
    uint32_t n = 0;
    if (!when) {
        FAIL(doc, "the rule '%s' does not say when it fires", r->name);
        err_hint(err, "when: {above: 10}");
        return ERR_INVALID;
    }
    int rc = known_keys(when, "when", when_keys, err);
    for (uint32_t i = 0; rc == 0 && i < ALERT_CONDITION__COUNT; i++) {
        const struct tree *t = tree_get(when, alert_condition_names[i]);
        if (!t)
            continue;
        r->condition = (enum alert_condition)i;
        n++;
        rc = i >= ALERT_ABSENT
                 ? read_flag(t, alert_condition_names[i], err)
                 : read_number(when, alert_condition_names[i], &r->threshold, NULL, err);
    }
    if (rc == 0 && n != 1) {
        FAIL(when, "when needs one condition, not %u", n);
        err_hint(err, "above, below, rises, falls, absent or new_issue");
        rc = ERR_INVALID;
    }
    if (rc == 0)
        rc = read_number(when, "clear", &r->clear, &r->has_clear, err);
    bool least = false, change = r->condition == ALERT_RISES || r->condition == ALERT_FALLS;
    if (rc == 0)
        rc = read_number(when, "at_least", &r->at_least, &least, err);
    if (rc == 0 && least && !change)
        rc = FAIL(tree_get(when, "at_least"), "at_least goes with rises and falls only");
    if (rc == 0 && change && r->threshold <= 0)
        rc = FAIL(when, "%s needs percent above 0", alert_condition_names[r->condition]);
    if (rc == 0 && r->condition == ALERT_FALLS && r->threshold >= 100)
        rc = FAIL(when, "nothing falls by 100 percent or more; use absent");
    return rc == 0 ? check_clear(r, when, err) : rc;
}

static int read_times(struct alert_rule *r, const struct tree *doc, struct err *err)
{
    const int64_t minute = 60 * S, hour = 60 * minute, day = NS_PER_DAY;
    int64_t longest = r->metric ? hour : 30 * day;
    r->window_ns = 5 * minute;
    r->every_ns = minute;
    r->forget_ns = day;
    r->timeout_ns = 10 * S;
    int rc = read_duration(doc, "window", S, longest, &r->window_ns, err);
    if (rc == 0)
        rc = read_duration(doc, "every", S, day, &r->every_ns, err);
    if (rc == 0)
        rc = read_duration(doc, "for", 0, 7 * day, &r->for_ns, err);
    if (rc == 0)
        rc = read_duration(doc, "keep", 0, 7 * day, &r->keep_ns, err);
    if (rc == 0)
        rc = read_duration(doc, "repeat", 0, 30 * day, &r->repeat_ns, err);
    if (rc == 0)
        rc = read_duration(doc, "forget", minute, 30 * day, &r->forget_ns, err);
    if (rc == 0)
        rc = read_duration(doc, "timeout", NS_PER_MS, minute, &r->timeout_ns, err);
    if (rc == 0 && r->metric && r->metric != ALERT_METRIC_DISK && r->window_ns < r->every_ns)
        rc = FAIL(doc, "the window of %s must be at least every", alert_metric_names[r->metric]);
    const struct tree *f = tree_get(doc, "forget");
    if (rc == 0 && f && r->condition != ALERT_ABSENT && r->condition != ALERT_NEW_ISSUE)
        rc = FAIL(f, "forget goes with absent and new_issue only");
    const struct tree *w = tree_get(doc, "window");
    if (rc == 0 && w && !rule_has_window(r))
        rc = FAIL(w, "%s knows no window",
                  r->metric ? alert_metric_names[r->metric] : alert_condition_names[r->condition]);
    return rc;
}

/* ---- the rest ---- */

static int read_labels(struct alert_rule *r, const struct tree *doc, struct err *err)
{
    const struct tree *l = tree_get(doc, "labels");
    if (tree_is_null(l))
        return 0;
    if (l->kind != TREE_MAP)
        return FAIL(l, "labels must be a map of names and texts");
    if (l->n > ALERT_LABELS_MAX)
        return FAIL(l, "%d labels at most", ALERT_LABELS_MAX);
    TREE_EACH(t, l)
    {
        if (t->kind != TREE_TEXT || t->text.n > 1024 || !t->key.n || t->key.n > 64 ||
            !tree_printable(t->text) || !tree_printable(t->key))
            return FAIL(t, "a label is a name of up to 64 bytes and a text of up to 1024");
        r->labels[r->nlabels++] = (struct alert_label){ t->key, t->text };
    }
    return 0;
}

static bool env_name_ok(str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
              (i && c >= '0' && c <= '9')))
            return false;
    }
    return s.n > 0;
}

static int read_webhook(struct alert_target *t, const struct tree *doc, bool from_file,
                        struct err *err)
{
    const struct tree *url = tree_get(doc, "webhook");
    int rc = tree_text(doc, "webhook", 2048, &t->url, err);
    if (rc == 0)
        rc = tree_text(doc, "secret", 256, &t->secret, err);
    if (rc == 0)
        rc = tree_text(doc, "secret_env", 128, &t->secret_env, err);
    if (rc < 0)
        return rc;
    if (!str_starts(t->url, STR("https://")) && !str_starts(t->url, STR("http://"))) {
        FAIL(url, "a webhook needs an address that begins with https:// or http://");
        return ERR_INVALID;
    }
    for (size_t i = 0; i < t->url.n; i++)
        if ((unsigned char)t->url.p[i] <= ' ' || t->url.p[i] == '\\')
            return FAIL(url, "the address has a space, a control character or '\\' in it");
    str host = str_skip(t->url, str_find(t->url, STR("://")) + 3);
    host = str_sub(host, 0, strcspn(host.p, "/?#"));
    if (!host.n || str_chr(host, '@') != SIZE_MAX) {
        FAIL(url, "the address needs a host, and no user or password");
        err_hint(err, "a secret signs what is sent; a token can stand in the path");
        return ERR_INVALID;
    }
    if (t->secret_env.n && !from_file)
        return FAIL(tree_get(doc, "secret_env"), "secret_env is for files that the server reads");
    if (t->secret_env.n && (t->secret.n || !env_name_ok(t->secret_env)))
        return FAIL(tree_get(doc, "secret_env"),
                    "secret_env names an environment variable, instead of secret");
    if (tree_get(doc, "secret") && t->secret.n < 8 && !str_eq(t->secret, STR(ALERT_SECRET_SHOWN)))
        return FAIL(tree_get(doc, "secret"), "a secret needs 8 to 256 bytes");
    return 0;
}

static int read_command(struct alert_target *t, const struct tree *doc, struct arena *a,
                        struct err *err)
{
    const struct tree *list = tree_get(doc, "command");
    if (list->kind != TREE_LIST || !list->n || list->n > ALERT_ARGV_MAX) {
        FAIL(list, "command is a list of the program and its arguments, %d at most",
             ALERT_ARGV_MAX);
        err_hint(err, "[/usr/bin/logger, -t, fleetlog]: no shell is between");
        return ERR_INVALID;
    }
    str *argv = arena_array(a, list->n, sizeof *argv);
    if (!argv)
        return err_nomem(err);
    TREE_EACH(c, list)
    {
        if (c->kind != TREE_TEXT || c->text.n > 4096 ||
            (c->text.n && memchr(c->text.p, 0, c->text.n)))
            return FAIL(c, "an argument is a text of up to 4096 bytes");
        argv[t->nargv++] = c->text;
    }
    if (!str_starts(argv[0], STR("/"))) {
        FAIL(list->first, "the program needs its whole path");
        err_hint(err, "as /usr/bin/logger");
        return ERR_INVALID;
    }
    t->argv = argv;
    return 0;
}

int target_read(struct alert_target *ret, const struct tree *doc, bool from_file, struct arena *a,
                struct err *err)
{
    struct alert_target t = { .timeout_ns = 10 * S };
    int rc = known_keys(doc, "a target of send", target_keys, err);
    if (rc < 0)
        return rc;
    const struct tree *web = tree_get(doc, "webhook"), *command = tree_get(doc, "command"),
                      *log = tree_get(doc, "log"), *extra = tree_get(doc, "secret");
    if (!!web + !!command + !!log != 1) {
        FAIL(doc, "a target is one of webhook, command and log");
        err_hint(err, "- webhook: https://example.com/alerts");
        return ERR_INVALID;
    }
    t.channel = web ? ALERT_WEBHOOK : command ? ALERT_COMMAND : ALERT_LOG;
    extra = extra ? extra : tree_get(doc, "secret_env");
    if (!web && extra)
        return FAIL(extra, "only a webhook has a secret");
    if (log && tree_get(doc, "timeout"))
        return FAIL(tree_get(doc, "timeout"), "a log entry has no timeout");
    rc = web       ? read_webhook(&t, doc, from_file, err)
         : command ? read_command(&t, doc, a, err)
                   : read_flag(log, "log", err);
    if (rc == 0)
        rc = read_duration(doc, "timeout", 100 * NS_PER_MS, 60 * S, &t.timeout_ns, err);
    if (rc == 0)
        *ret = t;
    return rc;
}

static int read_send(struct alert_rule *r, const struct tree *doc, bool from_file, struct arena *a,
                     struct err *err)
{
    const struct tree *send = tree_get(doc, "send");
    if (tree_is_null(send))
        return 0;
    if (send->kind != TREE_LIST) {
        FAIL(send, "send must be a list");
        err_hint(err, "send: [{log: true}]");
        return ERR_INVALID;
    }
    if (send->n > ALERT_TARGETS_MAX)
        return FAIL(send, "%d targets at most", ALERT_TARGETS_MAX);
    TREE_EACH(t, send)
    {
        int rc = target_read(&r->targets[r->ntargets], t, from_file, a, err);
        if (rc < 0)
            return rc;
        r->ntargets++;
    }
    return 0;
}

static int read_groups(struct alert_rule *r, const struct tree *doc, struct err *err)
{
    const struct tree *t = tree_get(doc, "max_groups");
    double d = ALERT_GROUPS_DEFAULT;
    if (!tree_is_null(t) && (!tree_number(t, &d) || d < 1 || d > ALERT_GROUPS_MAX || d != floor(d)))
        return FAIL(t, "max_groups must be 1 to %d", ALERT_GROUPS_MAX);
    r->max_groups = (uint32_t)d;
    return 0;
}

static int check_issue(const struct alert_rule *r, const struct tree *doc, struct err *err)
{
    static const char *const none[] = { "query", "by", "value", "for", "keep", NULL };
    for (const char *const *k = none; r->condition == ALERT_NEW_ISSUE && *k; k++) {
        const struct tree *t = tree_get(doc, *k);
        if (tree_is_null(t) || (t->kind == TREE_TEXT && str_eq(t->text, STR("0"))))
            continue;
        FAIL(t, "new_issue takes no '%s'", *k);
        err_hint(err, "it looks at all issues, each of them a group");
        return ERR_INVALID;
    }
    return 0;
}

static int read_all(struct alert_rule *r, const struct tree *doc, str name, bool from_file,
                    struct arena *a, struct err *err)
{
    uint32_t severity = ALERT_WARNING;
    const struct tree *on = tree_get(doc, "enabled");
    r->enabled = true;
    int rc = read_name(r, doc, name, err);
    if (rc == 0)
        rc = tree_text(doc, "about", 1024, &r->about, err);
    if (rc == 0 && !tree_is_null(on) && !tree_bool(on, &r->enabled))
        rc = FAIL(on, "enabled must be true or false");
    if (rc == 0)
        rc = read_source(r, doc, err);
    if (rc == 0)
        rc = read_when(r, doc, err);
    if (rc == 0)
        rc = read_times(r, doc, err);
    if (rc == 0)
        rc = read_groups(r, doc, err);
    if (rc == 0)
        rc =
            read_word(doc, "severity", alert_severity_names, ALERT_SEVERITY__COUNT, &severity, err);
    r->severity = (enum alert_severity)severity;
    if (rc == 0)
        rc = read_labels(r, doc, err);
    if (rc == 0)
        rc = read_send(r, doc, from_file, a, err);
    if (rc == 0 && r->metric && r->condition >= ALERT_ABSENT)
        rc = FAIL(tree_get(doc, "metric"), "%s asks a query, not a metric",
                  alert_condition_names[r->condition]);
    if (rc == 0 && r->value.n && r->condition >= ALERT_ABSENT)
        rc = FAIL(tree_get(doc, "value"), "%s looks at no value",
                  alert_condition_names[r->condition]);
    return rc == 0 ? check_issue(r, doc, err) : rc;
}

int rule_read(struct alert_rule *ret, const struct tree *doc, str name, bool from_file,
              struct arena *a, struct err *err)
{
    struct alert_rule *r = arena_zalloc(a, sizeof *r);
    if (!r)
        return err_nomem(err);
    int rc = known_keys(doc, "a rule", rule_keys, err);
    if (rc == 0)
        rc = read_all(r, doc, name, from_file, a, err);
    if (rc == 0)
        *ret = *r;
    return rc;
}

int rules_read(struct alert_rule **ret, uint32_t *ret_n, const struct tree *doc, bool from_file,
               struct arena *a, struct err *err)
{
    static const char *const file_keys[] = { "alerts", NULL };
    const struct tree *list = doc, one = { .kind = TREE_LIST, .first = (struct tree *)doc, .n = 1 };
    uint32_t n = 0;
    if (doc->kind == TREE_MAP && tree_get(doc, "name")) {
        list = &one;
    } else if (doc->kind == TREE_MAP) {
        int rc = known_keys(doc, "a file of rules", file_keys, err);
        if (rc < 0)
            return rc;
        list = tree_get(doc, "alerts");
    }
    if (!list || (list->kind != TREE_LIST && !tree_is_null(list))) {
        FAIL(doc, "a file of rules holds a list");
        err_hint(err, "alerts: and then a '- name: ...' for each rule");
        return ERR_INVALID;
    }
    if (list->n > ALERT_RULES_MAX)
        return FAIL(doc, "%d rules at most", ALERT_RULES_MAX);
    struct alert_rule *rules = arena_array(a, list->n ? list->n : 1, sizeof *rules);
    if (!rules)
        return err_nomem(err);
    for (const struct tree *t = list->first; n < list->n; t = t->next, n++) {
        int rc = rule_read(&rules[n], t, STR_NULL, from_file, a, err);
        if (rc < 0)
            return rc;
        for (uint32_t i = 0; i < n; i++)
            if (strcmp(rules[i].name, rules[n].name) == 0)
                return FAIL(t, "there are two rules '%s'", rules[n].name);
    }
    *ret = rules;
    *ret_n = n;
    return 0;
}
