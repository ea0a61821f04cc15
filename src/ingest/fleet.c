/* fleet.c: Fleet Logger's POST /ingest.
 *
 * timestamp (a number of seconds), agent, level (one of five names, any case) and message are
 * required and typed; context is an object, trace_id and session_id are strings or numbers; all
 * three may be null or missing. One bad entry refuses the request. Unlike the original, other keys
 * are kept. */
#include "ingest/decode.h"

static const char *const containers[] = { "context", NULL };

static const char *const required[] = { "timestamp", "agent", "level", "message" };
static const enum field required_field[] = { F_TIMESTAMP, F_AGENT, F_LEVEL, F_MESSAGE };

static bool five_names(struct dec *d)
{
    static const str names[] = {
        { "debug", 5 }, { "info", 4 }, { "warn", 4 }, { "error", 5 }, { "critical", 8 }
    };
    str s = cand_text(d, F_LEVEL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq_ci(s, names[i]))
            return true;
    return false;
}

/* null goes to the attributes, so that it comes back as null */
static void optional_text(struct dec *d, enum field f)
{
    if (!cand_has(d, f))
        return;
    const struct cand *c = &d->cand[f];
    if (c->tok.type == JSON_NULL)
        cand_release(d, f);
    else if (c->tok.type != JSON_STR && c->tok.type != JSON_NUM)
        row_bad(d, c->node->key, "", tok_source(&c->tok, c->src), "must be a string");
}

static void check(struct dec *d)
{
    for (size_t i = 0; i < 4; i++) {
        enum field f = required_field[i];
        const struct cand *c = &d->cand[f];
        bool number = f == F_TIMESTAMP;
        if (!cand_has(d, f))
            row_bad(d, str_c(required[i]), "missing", STR_NULL, "required field is missing");
        else if (c->tok.type != (number ? JSON_NUM : JSON_STR))
            row_bad(d, str_c(required[i]), "", tok_source(&c->tok, c->src),
                    number ? "must be a number of seconds since 1970" : "must be a string");
    }
    if (!d->bad && !five_names(d))
        row_bad(d, STR("level"), "", tok_source(&d->cand[F_LEVEL].tok, STR_NULL),
                "must be one of DEBUG, INFO, WARN, ERROR, CRITICAL, not \"%.*s\"",
                STR_FMT(str_sub(d->cand[F_LEVEL].tok.raw, 0, 40)));
    optional_text(d, F_TRACE_ID);
    optional_text(d, F_SESSION_ID);
    if (d->cont_tok.type != JSON_END && d->cont_tok.type != JSON_NULL)
        row_bad(d, STR("context"), "", tok_source(&d->cont_tok, d->cont_src), "must be an object");
}

const struct rules fleet_rules = {
    .letter = 'F',
    .set = SET_FLEET,
    .containers = containers,
    .unit = UNIT_S,
    .plain_level = true,
    .one_value = true,
    .arrays = true,
    .objects = true,
    .plannable = true,
    .all_or_nothing = true,
    .check = check,
};
