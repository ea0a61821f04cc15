/* events.c: POST /events of the hook senders (multi-agent observability).
 *
 * source_app, session_id, hook_event_type and payload are required and truthy ({} is); timestamp is
 * in milliseconds, 0 and nothing mean now. Everything else is kept and echoed. */
#include "ingest/decode.h"

static const char *const containers[] = { "payload", NULL };

/* as JavaScript sees it */
static bool truthy(const struct json_tok *t)
{
    double x;
    switch (t->type) {
    case JSON_NULL:
    case JSON_FALSE: return false;
    case JSON_STR: return t->raw.n > 0;
    case JSON_NUM: return !str_to_f64(t->raw, &x) || x != 0;
    default: return true;
    }
}

static void check(struct dec *d)
{
    static const enum field names[] = { F_AGENT, F_SESSION_ID, F_EVENT };
    for (size_t i = 0; i < 3; i++)
        if (!cand_has(d, names[i]) || !truthy(&d->cand[names[i]].tok)) {
            row_bad(d, STR_NULL, "", STR_NULL, "Missing required fields");
            return;
        }
    if (!d->nconts && (d->cont_tok.type == JSON_END || !truthy(&d->cont_tok))) {
        row_bad(d, STR_NULL, "", STR_NULL, "Missing required fields");
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        const struct cand *c = &d->cand[names[i]];
        if (c->tok.type != JSON_STR && c->tok.type != JSON_NUM) {
            row_bad(d, c->node->key, "", STR_NULL, "%.*s must be a string", STR_FMT(c->node->key));
            return;
        }
    }
    const struct cand *t = &d->cand[F_TIMESTAMP];
    if (cand_has(d, F_TIMESTAMP) && !truthy(&t->tok))
        d->set &= ~(1ull << F_TIMESTAMP);
}

const struct rules events_rules = {
    .letter = 'E',
    .set = SET_EVENTS,
    .containers = containers,
    .unit = UNIT_MS,
    .lenient_time = true,
    .one_value = true,
    .arrays = true,
    .objects = true,
    .all_or_nothing = true,
    .check = check,
};
