/* ingest.c: the table of dialects and the loop over the entries of a body.
 *
 * A JSON body is a sequence of values: objects (NDJSON, or a single one) and arrays of objects; the
 * rules of the dialect say which of them it takes. Bad JSON between newlines costs that entry;
 * inside an array, or where the body must be one value, it costs the request. */
#include "base/utf8.h"
#include "ingest/decode.h"

#define TMP_MAX ((size_t)256 << 20)
#define RUN_COLS 2048 /* columns of attributes past which a run takes no more bodies */

static const struct rules *const rules_of[DIALECT__COUNT] = {
    [DIALECT_NATIVE] = &native_rules, [DIALECT_FLEET] = &fleet_rules,
    [DIALECT_MALS] = &mals_rules,     [DIALECT_MALS_BATCH] = &mals_batch_rules,
    [DIALECT_GUIDE] = &guide_rules,   [DIALECT_EVENTS] = &events_rules,
};

void ingest_limits_default(struct ingest_limits *l)
{
    *l = (struct ingest_limits){ .entry_bytes = (size_t)8 << 20,
                                 .fields = 1024,
                                 .depth = 32,
                                 .key_bytes = 256,
                                 .agent_bytes = (size_t)16 << 10 };
}

/* ---- entries ---- */

/* Ends the entry that was judged. */
static void count(struct dec *d)
{
    d->ret->entries++;
    if (d->bad)
        d->ret->rejected++;
    else
        d->ret->accepted++;
    d->index++;
    d->bad = false;
}

static void begin(struct dec *d)
{
    d->bad = d->twice = false;
    if (!node_table_trim(d))
        d->nomem = true;
}

/* t opened an object. 0, ERR_INVALID (bad JSON). */
static int take_entry(struct dec *d, struct json_rd *r, const struct json_tok *t, struct err *err)
{
    begin(d);
    if (d->nomem)
        return err_nomem(err);
    const char *from = t->raw.p;
    int rc = walk_entry(d, r, err);
    if (rc)
        return rc;
    size_t size = d->bad ? 0 : (size_t)(d->end - from);
    if (size > d->lim->entry_bytes)
        row_bad(d, STR_NULL, "", STR_NULL, "an entry of %zu bytes is larger than the limit of %zu",
                size, d->lim->entry_bytes);
    if (d->twice && !d->bad && !d->nomem) {
        struct json_rd again;
        struct json_tok open;
        str text = dedup(d->a, (str){ from, size });
        if (!text.p)
            return err_nomem(err);
        json_init(&again, text);
        rc = json_next(&again, &open, err);
        if (!rc)
            rc = walk_entry(d, &again, err);
        if (rc)
            return rc;
    }
    d->entry = (str){ from, size };
    bool done = d->bad;
    if (!done && !plan_apply(d, &done))
        d->nomem = true;
    if (done && !d->bad && !d->nomem)
        batch_end_row(d->b);
    else if (!done && !d->nomem && !row_finish(d))
        d->nomem = true;
    if (d->nomem)
        return err_nomem(err);
    count(d);
    return 0;
}

static const char *word_of(enum json_type t)
{
    switch (t) {
    case JSON_ARR: return "an array";
    case JSON_OBJ: return "an object";
    case JSON_STR: return "a string";
    case JSON_NUM: return "a number";
    case JSON_NULL: return "null";
    default: return "a boolean";
    }
}

/* a value that is no entry */
static int take_other(struct dec *d, struct json_rd *r, const struct json_tok *t, bool list_due,
                      struct err *err)
{
    str src;
    int rc = json_skip(r, t, &src, err);
    if (rc)
        return rc;
    if (d->rules->set == SET_MALS && list_due)
        row_bad(d, STR_NULL, "list_type", src, "Input should be a valid list");
    else if (d->rules->set == SET_MALS)
        row_bad(d, STR_NULL, "model_attributes_type", src,
                "Input should be a valid dictionary or object to extract fields from");
    else
        row_bad(d, STR_NULL, "", src, "%s is not a JSON object", word_of(t->type));
    count(d);
    return d->nomem ? err_nomem(err) : 0;
}

static int take_array(struct dec *d, struct json_rd *r, struct err *err)
{
    for (;;) {
        struct json_tok t;
        int rc = json_next(r, &t, err);
        if (rc)
            return rc;
        if (t.type == JSON_ARR_END)
            return 0;
        rc = t.type == JSON_OBJ ? take_entry(d, r, &t, err) : take_other(d, r, &t, false, err);
        if (rc)
            return rc;
    }
}

/* Bad JSON in the entry that begins at `from`: it is refused, and reading goes on after the newline
 * that ends the line it began on, whatever the tokenizer took for its rest. False: nothing follows.
 */
static bool pass_broken(struct dec *d, str body, const char *from, struct json_rd *r,
                        const struct err *why)
{
    if (why->pos >= 0)
        row_bad(d, STR_NULL, "", STR_NULL, "%s at byte %lld of the body", why->msg,
                (long long)(r->start - body.p) + why->pos);
    else
        row_bad(d, STR_NULL, "", STR_NULL, "%s", why->msg);
    count(d);
    const char *end = body.p + body.n, *nl = memchr(from, '\n', (size_t)(end - from));
    if (!nl)
        return false;
    json_init(r, (str){ nl + 1, (size_t)(end - nl - 1) });
    return true;
}

/* where the next value begins */
static const char *value_start(const struct json_rd *r)
{
    const char *p = r->p;
    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static int take_body(struct dec *d, str body, struct err *err)
{
    const struct rules *rules = d->rules;
    struct json_rd r;
    json_init(&r, utf8_past_bom(body));
    for (uint32_t values = 0;; values++) {
        struct json_tok t;
        bool in_array = false;
        const char *from = value_start(&r);
        int rc = json_next(&r, &t, err);
        if (!rc && t.type == JSON_END) {
            if (!values && rules->one_value)
                return err_set(err, ERR_INVALID, "the body is empty");
            return 0;
        }
        if (!rc && values && rules->one_value)
            return err_at(err, ERR_INVALID, (int64_t)(from - body.p),
                          "the body must be one JSON value, here begins another");
        if (!rc && t.type == JSON_OBJ && rules->objects) {
            rc = take_entry(d, &r, &t, err);
        } else if (!rc && t.type == JSON_ARR && rules->arrays) {
            in_array = true;
            rc = take_array(d, &r, err);
        } else if (!rc) {
            rc = take_other(d, &r, &t, !rules->objects, err);
        }
        if (!rc)
            continue;
        if (rc != ERR_INVALID || in_array || rules->one_value) {
            if (err->pos >= 0)
                err->pos += r.start - body.p;
            return rc;
        }
        if (!pass_broken(d, body, from, &r, err))
            return d->nomem ? err_nomem(err) : 0;
        err_reset(err);
    }
}

/* ---- requests ---- */

/* Nothing of the request stays. */
static int refuse_all(struct dec *d, uint32_t base, int rc)
{
    batch_truncate(d->b, base);
    d->ret->accepted = 0;
    return rc;
}

static int judge_request(struct dec *d, uint32_t base, struct err *err)
{
    struct ingest_result *ret = d->ret;
    if (!ret->rejected)
        return 0;
    bool all = d->rules->all_or_nothing || d->o->atomic;
    if (!all && ret->entries > 1)
        return 0;
    refuse_all(d, base, 0);
    ret->rejected = ret->entries;
    if (!ret->nerrors)
        return err_set(err, ERR_INVALID, "the request was refused");
    return err_set(err, ERR_INVALID, "%.*s", STR_FMT(ret->errors[0].reason));
}

/* FastAPI's words for a body that is no JSON */
static void note_bad_json(struct dec *d, const struct err *err)
{
    if (d->rules->set != SET_MALS || err->code != ERR_INVALID || d->ret->nerrors)
        return;
    row_bad(d, STR_NULL, "json_invalid", STR_NULL, "JSON decode error");
}

/* ---- runs ---- */

struct ingest_run {
    enum dialect dialect;
    struct ingest_limits lim;
    struct batch *b;
    struct arena *a;
    struct dec *d; /* NULL: plain lines */
};

static struct dec *dec_new(const struct ingest_run *run)
{
    struct dec *d = arena_zalloc(run->a, sizeof *d);
    if (!d)
        return NULL;
    d->rules = rules_of[run->dialect];
    d->lim = &run->lim;
    d->b = run->b;
    d->a = run->a;
    d->next_id = 1;
    buf_init(&d->tmp, TMP_MAX);
    buf_init(&d->rest, TMP_MAX);
    node_mem_init(d);
    if (node_table_init(d))
        return d;
    arena_deinit(&d->node_mem);
    return NULL;
}

int ingest_run_new(struct ingest_run **ret, enum dialect dl, const struct ingest_limits *limits,
                   struct batch *b, struct arena *a, struct err *err)
{
    if ((unsigned)dl >= DIALECT__COUNT)
        return err_set(err, ERR_UNSUPPORTED, "no such dialect");
    struct ingest_run *run = arena_zalloc(a, sizeof *run);
    if (!run)
        return err_nomem(err);
    run->dialect = dl;
    run->b = b;
    run->a = a;
    if (limits)
        run->lim = *limits;
    else
        ingest_limits_default(&run->lim);
    if (dl != DIALECT_TEXT && !(run->d = dec_new(run)))
        return err_nomem(err);
    *ret = run;
    return 0;
}

/* What a plan holds is true for one default agent and was allowed by one pattern. */
static void begin_body(struct dec *d, const struct ingest_opts *o, struct ingest_result *ret)
{
    str agent = o->default_agent.n ? o->default_agent : d->rules->agent;
    if (!str_eq(agent, d->default_agent) || !str_eq(o->agent_pattern, d->agent_pattern))
        memset(d->plans, 0, sizeof d->plans);
    d->default_agent = agent;
    d->agent_pattern = o->agent_pattern;
    d->o = o;
    d->ret = ret;
    d->index = 0;
    d->nplans = 0;
}

int ingest_run_body(struct ingest_run *run, str body, const struct ingest_opts *o,
                    struct ingest_result *ret, struct err *err)
{
    struct dec *d = run->d;
    *ret = (struct ingest_result){ 0 };
    if (!d)
        return text_decode(body, o, &run->lim, run->b, run->a, ret, err);
    uint32_t base = batch_rows(run->b);
    begin_body(d, o, ret);
    int rc = d->nomem ? err_nomem(err) : take_body(d, body, err);
    if (!rc)
        return judge_request(d, base, err);
    if (rc == ERR_INVALID)
        note_bad_json(d, err);
    refuse_all(d, base, rc);
    ret->rejected = ret->entries;
    return rc;
}

bool ingest_run_room(const struct ingest_run *run)
{
    return !run->d || (!run->d->nomem && run->d->ncols < RUN_COLS);
}

void ingest_run_free(struct ingest_run *run)
{
    if (!run || !run->d)
        return;
    arena_deinit(&run->d->node_mem);
    buf_deinit(&run->d->tmp);
    buf_deinit(&run->d->rest);
}

int ingest_decode(enum dialect dl, str body, const struct ingest_opts *o, struct batch *b,
                  struct arena *a, struct ingest_result *ret, struct err *err)
{
    struct ingest_run *run;
    *ret = (struct ingest_result){ 0 };
    int rc = ingest_run_new(&run, dl, o->limits, b, a, err);
    if (rc)
        return rc;
    rc = ingest_run_body(run, body, o, ret, err);
    ingest_run_free(run);
    return rc;
}
