/* rule_put.c: a rule as text: the JSON that is stored and shown, and its condition for people. */
#include <string.h>

#include "alert/rule.h"
#include "codec/json.h"

void duration_put(struct buf *b, int64_t ns)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = { { NS_PER_DAY, "d" }, { 3600 * NS_PER_S, "h" }, { 60 * NS_PER_S, "m" },
                  { NS_PER_S, "s" },   { NS_PER_MS, "ms" },      { NS_PER_US, "us" },
                  { 1, "ns" } };
    size_t i = 0;
    if (ns <= 0) {
        buf_puts(b, "0");
        return;
    }
    while (ns % units[i].ns)
        i++;
    buf_put_i64(b, ns / units[i].ns);
    buf_puts(b, units[i].name);
}

static void key(struct buf *b, const char *name)
{
    buf_printf(b, ",\"%s\":", name);
}

static void put_duration(struct buf *b, const char *name, int64_t ns)
{
    key(b, name);
    buf_putc(b, '"');
    duration_put(b, ns);
    buf_putc(b, '"');
}

/* "https://host/..." and "[/usr/bin/program]" */
static void put_brief(struct buf *b, const struct alert_target *t)
{
    if (t->channel == ALERT_COMMAND) {
        buf_puts(b, "{\"command\":[");
        json_put_str(b, t->argv[0]);
        buf_puts(b, t->nargv > 1 ? ",\"...\"]}" : "]}");
        return;
    }
    size_t host = str_find(t->url, STR("://")) + 3;
    size_t n = host + strcspn(t->url.p + host, "/?#");
    buf_puts(b, "{\"webhook\":\"");
    json_put_escaped(b, str_sub(t->url, 0, n));
    buf_puts(b, n < t->url.n ? "/...\"}" : "\"}");
}

void target_put(struct buf *b, const struct alert_target *t, int flags)
{
    if (t->channel == ALERT_LOG) {
        buf_puts(b, "{\"log\":true}");
        return;
    }
    if (flags & RULE_BRIEF) {
        put_brief(b, t);
        return;
    }
    if (t->channel == ALERT_WEBHOOK) {
        buf_puts(b, "{\"webhook\":");
        json_put_str(b, t->url);
        bool env = t->secret_env.n && (flags & RULE_ENV || !(flags & RULE_SECRETS));
        if (t->secret.n && !env) {
            key(b, "secret");
            json_put_str(b, flags & RULE_SECRETS ? t->secret : STR(ALERT_SECRET_SHOWN));
        }
        if (env) {
            key(b, "secret_env");
            json_put_str(b, t->secret_env);
        }
    } else {
        buf_puts(b, "{\"command\":[");
        for (uint32_t i = 0; i < t->nargv; i++) {
            buf_puts(b, i ? "," : "");
            json_put_str(b, t->argv[i]);
        }
        buf_putc(b, ']');
    }
    put_duration(b, "timeout", t->timeout_ns);
    buf_putc(b, '}');
}

static void put_when(struct buf *b, const struct alert_rule *r)
{
    key(b, "when");
    buf_printf(b, "{\"%s\":", alert_condition_names[r->condition]);
    if (r->condition >= ALERT_ABSENT)
        buf_puts(b, "true");
    else
        json_put_f64(b, r->threshold);
    if (r->has_clear) {
        key(b, "clear");
        json_put_f64(b, r->clear);
    }
    if (r->at_least > 0 || r->at_least < 0) {
        key(b, "at_least");
        json_put_f64(b, r->at_least);
    }
    buf_putc(b, '}');
}

static void put_measured(struct buf *b, const struct alert_rule *r)
{
    if (r->metric) {
        key(b, "metric");
        json_put_str(b, str_c(alert_metric_names[r->metric]));
        return;
    }
    if (r->condition == ALERT_NEW_ISSUE)
        return;
    key(b, "query");
    json_put_str(b, r->query);
    if (r->nby) {
        key(b, "by");
        for (uint32_t i = 0; i < r->nby; i++) {
            buf_putc(b, i ? ',' : '[');
            json_put_str(b, r->by[i]);
        }
        buf_putc(b, ']');
    }
    if (r->value.n) {
        key(b, "value");
        json_put_str(b, r->value);
    }
}

static void put_rest(struct buf *b, const struct alert_rule *r, int flags)
{
    key(b, "severity");
    json_put_str(b, str_c(alert_severity_names[r->severity]));
    key(b, "labels");
    buf_putc(b, '{');
    for (uint32_t i = 0; i < r->nlabels; i++) {
        buf_puts(b, i ? "," : "");
        json_put_str(b, r->labels[i].name);
        buf_putc(b, ':');
        json_put_str(b, r->labels[i].value);
    }
    buf_putc(b, '}');
    key(b, "send");
    buf_putc(b, '[');
    for (uint32_t i = 0; i < r->ntargets; i++) {
        buf_puts(b, i ? "," : "");
        target_put(b, &r->targets[i], flags);
    }
    buf_putc(b, ']');
}

void rule_put(struct buf *b, const struct alert_rule *r, int flags)
{
    buf_puts(b, "{\"name\":");
    json_put_str(b, str_c(r->name));
    if (r->about.n) {
        key(b, "about");
        json_put_str(b, r->about);
    }
    key(b, "enabled");
    buf_puts(b, r->enabled ? "true" : "false");
    put_measured(b, r);
    if (rule_has_window(r))
        put_duration(b, "window", r->window_ns);
    put_duration(b, "every", r->every_ns);
    put_when(b, r);
    put_duration(b, "for", r->for_ns);
    put_duration(b, "keep", r->keep_ns);
    put_duration(b, "repeat", r->repeat_ns);
    if (r->condition == ALERT_ABSENT || r->condition == ALERT_NEW_ISSUE)
        put_duration(b, "forget", r->forget_ns);
    put_duration(b, "timeout", r->timeout_ns);
    key(b, "max_groups");
    buf_put_u64(b, r->max_groups);
    put_rest(b, r, flags);
    if (!(flags & RULE_OPEN))
        buf_putc(b, '}');
}

void condition_put(struct buf *b, const struct alert_rule *r)
{
    if (r->condition == ALERT_NEW_ISSUE) {
        buf_puts(b, "a new issue");
        return;
    }
    if (r->condition == ALERT_ABSENT) {
        buf_puts(b, "no match in ");
        duration_put(b, r->window_ns);
        return;
    }
    buf_printf(b, "%s ", alert_condition_names[r->condition]);
    json_put_f64(b, r->threshold);
    if (r->condition == ALERT_RISES || r->condition == ALERT_FALLS)
        buf_puts(b, " %");
}
