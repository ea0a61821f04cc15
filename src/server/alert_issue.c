/* alert_issue.c: readings of rules that watch for new issues.
 *
 * An issue that is seen for the first time, or again after it was resolved, is a group of its own.
 * It fires until somebody resolves or ignores the issue, or the rule's `forget` has passed. Where
 * the rule has looked up to is stored in the transaction that stores what it found, so a restart
 * neither loses an issue nor tells of it twice. */
#include <string.h>

#include "codec/json.h"
#include "server/alerts.h"
#include "server/issues.h"

int alert_first_cursor(struct server *s, uint64_t *ret, struct err *err)
{
    struct issues *x;
    int rc = issues_look(s, NULL, &x, err);
    if (rc < 0)
        return rc;
    *ret = issues_upto(x) + 1;
    issues_done(x);
    return 0;
}

static str key_of(const struct issue_news *n, struct arena *a)
{
    char id[ISSUE_ID_TEXT + 1];
    struct buf b;
    issue_id_text(n->id, id);
    buf_init(&b, 16u << 10);
    buf_printf(&b, "{\"issue\":\"%s\",\"came\":\"%s\",\"agent\":", id,
               n->regressed ? "back" : "new");
    json_put_bytes(&b, str_sub(n->agent, 0, 256));
    buf_puts(&b, ",\"title\":");
    json_put_bytes(&b, str_sub(n->title, 0, 512));
    buf_putc(&b, '}');
    str key = buf_ok(&b) ? arena_dup(a, buf_str(&b)) : STR_NULL;
    buf_deinit(&b);
    return key;
}

static bool id_of(str key, struct arena *a, uint64_t *ret)
{
    struct tree *doc;
    struct err ignored = ERR_INIT;
    if (tree_from_json(&doc, a, key, &ignored) < 0)
        return false;
    const struct tree *t = tree_get(doc, "issue");
    return t && issue_id_parse(t->text, ret);
}

/* those that fire already: are they still open? Also reads what is new, and can be canceled. */
static int read_old(struct server *s, const struct alert_rule *r, const struct alert_set *old,
                    ts_ns now, struct query_ctl *ctl, struct arena *a, struct alert_readings *ret,
                    struct err *err)
{
    struct issues *x;
    int rc = issues_look(s, &ctl->cancel, &x, err);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < old->n; i++) {
        uint64_t id;
        bool there = id_of(old->v[i].key, a, &id) && now - old->v[i].since < r->forget_ns &&
                     issues_state(x, id).state == ISSUE_OPEN;
        ret->v[ret->n++] =
            (struct alert_group){ .key = old->v[i].key, .reading = { .present = there } };
    }
    issues_done(x);
    return 0;
}

static bool wanted(const struct issue_news *n, const struct principal *who)
{
    return !str_eq(n->agent, STR("fleetlog")) && auth_may_agent(who, n->agent);
}

int alert_read_issues(struct server *s, const struct alert_rule *r, str agent,
                      const struct alert_set *old, uint64_t cursor, ts_ns now,
                      struct query_ctl *ctl, struct arena *a, struct alert_readings *ret,
                      struct err *err)
{
    struct issue_news *news;
    uint32_t n, groups = old->n;
    uint64_t upto;
    struct principal who = { 0 };
    int64_t began = mono_ns();
    memset(ret, 0, sizeof *ret);
    if (agent.n && agent.n < sizeof who.agent)
        memcpy(who.agent, agent.p, agent.n);
    ret->v = arena_array(a, old->n + r->max_groups, sizeof *ret->v);
    int rc = ret->v ? read_old(s, r, old, now, ctl, a, ret, err) : err_nomem(err);
    if (rc == 0)
        rc = issues_news(s, cursor ? cursor - 1 : 0, a, &news, &n, &upto, err);
    if (rc < 0)
        return rc;
    ret->cursor = upto + 1;
    for (uint32_t i = 0; i < n; i++) {
        if (!wanted(&news[i], &who))
            continue;
        if (groups >= r->max_groups) {
            ret->cursor = news[i].seq; /* looked at up to the one before */
            break;
        }
        struct alert_group *g = &ret->v[ret->n++];
        *g = (struct alert_group){ .key = key_of(&news[i], a), .reading = { .present = true } };
        if (!g->key.p)
            return err_nomem(err);
        groups++;
    }
    ret->elapsed_ms = (double)(mono_ns() - began) / NS_PER_MS;
    return 0;
}
