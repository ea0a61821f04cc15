/* mals.c: MALS' POST /logs and POST /logs/batch.
 *
 * Errors carry the type, message and input a FastAPI service gives, so that its 422 body can be
 * built from them; all faults of an entry are reported. Known optional members that are null count
 * as not sent: the MALS view shows them as null either way. */
#include "base/utf8.h"
#include "ingest/decode.h"
#include "model/ident.h"

#define AGENT_CHARS 64

static const char *const containers[] = { "metadata", NULL };

static void bad(struct dec *d, enum field f, const char *name, const char *type, const char *msg)
{
    const struct cand *c = &d->cand[f];
    row_bad(d, str_c(name), type, tok_source(&c->tok, c->src), "%s", msg);
}

static bool is_null(const struct dec *d, enum field f)
{
    return cand_has(d, f) && d->cand[f].tok.type == JSON_NULL;
}

static void forget(struct dec *d, enum field f)
{
    d->set &= ~(1ull << f);
}

static bool string(struct dec *d, enum field f, const char *name, bool null_ok)
{
    if (!cand_has(d, f))
        return false;
    if (null_ok && is_null(d, f)) {
        forget(d, f);
        return false;
    }
    if (d->cand[f].tok.type == JSON_STR)
        return true;
    bad(d, f, name, "string_type", "Input should be a valid string");
    return false;
}

static void required(struct dec *d, enum field f, const char *name)
{
    if (!cand_has(d, f)) {
        row_bad(d, str_c(name), "missing", d->entry, "Field required");
        return;
    }
    if (!string(d, f, name, false) || f != F_AGENT)
        return;
    str s = cand_text(d, f);
    size_t chars = 0;
    for (size_t i = 0; i < s.n; chars++)
        utf8_next(s, &i);
    if (chars > AGENT_CHARS)
        bad(d, f, name, "string_too_long", "String should have at most 64 characters");
}

/* with hyphens or without */
static bool uuid_like(str s)
{
    if (s.n != 32)
        return uuid_valid(s);
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 32);
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

static void uuid(struct dec *d, enum field f, const char *name)
{
    if (!cand_has(d, f))
        return;
    if (is_null(d, f)) {
        forget(d, f);
    } else if (d->cand[f].tok.type != JSON_STR) {
        bad(d, f, name, "uuid_type", "UUID input should be a string, bytes or UUID object");
    } else if (!uuid_like(cand_text(d, f))) {
        bad(d, f, name, "uuid_parsing", "Input should be a valid UUID");
    }
}

static void level(struct dec *d)
{
    if (!cand_has(d, F_LEVEL))
        return;
    if (d->cand[F_LEVEL].tok.type == JSON_STR)
        for (int lv = LV_DEBUG; lv < LV__COUNT; lv++)
            if (str_eq(d->cand[F_LEVEL].tok.raw, level_names[lv]))
                return;
    bad(d, F_LEVEL, "level", "enum",
        "Input should be 'debug', 'info', 'warn', 'error' or 'critical'");
}

static void metadata(struct dec *d)
{
    if (d->cont_tok.type == JSON_END)
        return;
    if (d->cont_tok.type != JSON_NULL) {
        row_bad(d, STR("metadata"), "dict_type", tok_source(&d->cont_tok, d->cont_src),
                "Input should be a valid dictionary");
        return;
    }
    /* null stands last among the values with its name */
    for (uint32_t i = 0; i < d->npend; i++)
        if (d->pend[i].node->container) {
            memmove(&d->pend[i], &d->pend[i + 1], (d->npend - i - 1) * sizeof *d->pend);
            d->npend--;
            break;
        }
    for (uint32_t i = 0; i < d->ntops; i++)
        if (d->tops[i]->container) {
            memmove(&d->tops[i], &d->tops[i + 1], (d->ntops - i - 1) * sizeof(struct node *));
            d->ntops--;
            break;
        }
}

static void default_source(struct dec *d)
{
    static const struct json_tok api = { .type = JSON_STR, .raw = { "api", 3 } };
    if (cand_has(d, F_SOURCE))
        return;
    struct node *n = node_top(d, STR("source"));
    if (!n)
        return;
    d->cand[F_SOURCE] = (struct cand){ .node = n, .tok = api };
    d->set |= 1ull << F_SOURCE;
    d->defaulted |= 1ull << F_SOURCE;
}

static void check(struct dec *d)
{
    required(d, F_AGENT, "agent_id");
    required(d, F_MESSAGE, "message");
    level(d);
    string(d, F_CATEGORY, "category", true);
    string(d, F_SESSION_ID, "session_key", true);
    string(d, F_SOURCE, "source", false);
    metadata(d);
    uuid(d, F_TRACE_ID, "trace_id");
    uuid(d, F_PARENT_ENTRY, "parent_id");
    if (!d->bad)
        default_source(d);
}

#define COMMON                                                                                     \
    .letter = 'M', .set = SET_MALS, .containers = containers, .unit = UNIT_BY_SIZE,                \
    .plain_level = true, .one_value = true, .all_or_nothing = true, .check = check

const struct rules mals_rules = { COMMON, .objects = true };
const struct rules mals_batch_rules = { COMMON, .arrays = true };
