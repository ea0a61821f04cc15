/* cmd_keys.c: fleetlog keys: make, list and revoke API keys.
 *
 * A server named or found is asked. With --data-dir the directory's meta.db is opened directly,
 * also beside a running server: that notices within a second. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/doc.h"
#include "cli/row.h"
#include "codec/json.h"
#include "meta/meta.h"

static const struct opt opts[] = {
    { .name = "name", .type = OPT_TEXT, .arg = "NAME", .help = "create: what to call it" },
    { .name = "scope",
      .type = OPT_CHOICE,
      .arg = "SCOPE",
      .repeats = true,
      .choices = "ingest|read|write-marks|admin",
      .help = "create: what it may do (default: ingest and read)" },
    { .name = "agent",
      .type = OPT_TEXT,
      .arg = "GLOB",
      .help = "create: only entries of these agents; * is a wildcard" },
    { .name = "rate",
      .type = OPT_INT,
      .arg = "N",
      .def = "0",
      .min = 0,
      .max = UINT32_MAX,
      .help = "create: entries a second it may send, 0 = any number" },
    { .name = "expires",
      .type = OPT_DUR,
      .arg = "AGE",
      .unit = NS_PER_DAY,
      .help = "create: valid for so long, as 90d (default: for ever)" },
    { .name = "json", .type = OPT_FLAG, .help = "print JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog keys create --name ci --scope ingest", "a key that can only send" },
    { "fleetlog keys create --name viewer --scope read --agent 'web-*' --expires 90d",
      "one that reads some agents for a while" },
    { "fleetlog keys list", "all of them; secrets are never shown again" },
    { "fleetlog keys revoke 3", "end one" },
    { NULL, NULL },
};

static const struct {
    const char *name;
    uint32_t bit;
} scopes[] = { { "ingest", SCOPE_INGEST },
               { "read", SCOPE_READ },
               { "write-marks", SCOPE_MARK },
               { "admin", SCOPE_ADMIN } };
#define NSCOPES (sizeof(scopes) / sizeof(scopes[0]))

static uint32_t wanted_scopes(const struct cli *c)
{
    uint32_t bits = 0;
    const char *s;
    for (int i = 0; (s = opt_nth(c, "scope", i)); i++)
        for (size_t k = 0; k < NSCOPES; k++)
            if (strcmp(scopes[k].name, s) == 0)
                bits |= scopes[k].bit;
    return bits ? bits : SCOPE_INGEST | SCOPE_READ;
}

static void put_scopes(struct buf *b, uint32_t bits)
{
    bool first = true;
    for (size_t k = 0; k < NSCOPES; k++)
        if (bits & scopes[k].bit) {
            buf_printf(b, "%s\"%s\"", first ? "" : ",", scopes[k].name);
            first = false;
        }
}

static void put_instant(struct buf *b, const char *name, ts_ns t)
{
    char text[TS_TEXT_MAX];
    buf_printf(b, ",\"%s\":", name);
    if (!t) {
        buf_puts(b, "null");
        return;
    }
    ts_format(t, 0, text);
    buf_printf(b, "\"%s\"", text);
}

/* the object the server's routes answer */
static void put_key(struct buf *b, const struct api_key *k, const char *secret)
{
    buf_printf(b, "{\"id\":%u,\"name\":", k->id);
    json_put_str(b, str_c(k->name));
    buf_puts(b, ",\"prefix\":");
    json_put_str(b, str_c(k->prefix));
    buf_puts(b, ",\"scopes\":[");
    put_scopes(b, k->scopes);
    buf_puts(b, "],\"agent\":");
    json_put_str(b, str_c(k->agent));
    buf_printf(b, ",\"rate\":%u", k->rate);
    put_instant(b, "created", k->created);
    put_instant(b, "expires", k->expires);
    buf_printf(b, ",\"revoked\":%s", k->revoked ? "true" : "false");
    if (secret)
        buf_printf(b, ",\"secret\":\"%s\"", secret);
    buf_putc(b, '}');
}

/* ---- the database ---- */

static int with_meta(struct cli *c, const char *dir, bool create, struct meta **ret)
{
    char path[4200];
    struct io *io;
    struct err err = ERR_INIT;
    snprintf(path, sizeof(path), "%s/meta.db", dir);
    if (create) { /* a directory that does not exist yet is made, private */
        if (io_real_new(&io, dir, true, &err) < 0)
            return cli_fail_err(c, &err);
        io_free(io);
    }
    if (meta_open(ret, path, !create, &err) == 0)
        return 0;
    if (err.code == ERR_NOTFOUND)
        return cli_fail(c, EXIT_UNREACHABLE, "make one with: fleetlog keys create --name NAME",
                        "there are no keys in %s", dir);
    return cli_fail_err(c, &err);
}

static int create_local(struct cli *c, const char *dir, struct buf *out)
{
    struct meta *m;
    struct api_key want = { .scopes = wanted_scopes(c), .rate = (uint32_t)opt_num(c, "rate") }, got;
    struct err err = ERR_INIT;
    char secret[64];
    const char *agent = opt_text(c, "agent");
    snprintf(want.name, sizeof(want.name), "%s", opt_text(c, "name"));
    snprintf(want.agent, sizeof(want.agent), "%s", agent ? agent : "");
    if (opt_given(c, "expires"))
        want.expires = c->now + opt_num(c, "expires");
    int rc = with_meta(c, dir, true, &m);
    if (rc)
        return rc;
    if (meta_key_create(m, &want, c->now, &got, secret, &err) < 0)
        rc = cli_fail_err(c, &err);
    else
        put_key(out, &got, secret);
    explicit_bzero(secret, sizeof(secret));
    meta_close(m);
    return rc;
}

static int list_local(struct cli *c, const char *dir, struct buf *out)
{
    struct meta *m;
    struct arena a;
    struct api_key *keys;
    uint32_t n;
    struct err err = ERR_INIT;
    int rc = with_meta(c, dir, false, &m);
    if (rc)
        return rc;
    arena_init(&a, 256u << 20);
    if (meta_key_list(m, &a, &keys, &n, &err) < 0) {
        rc = cli_fail_err(c, &err);
    } else {
        buf_puts(out, "{\"keys\":[");
        for (uint32_t i = 0; i < n; i++) {
            buf_puts(out, i ? "," : "");
            put_key(out, &keys[i], NULL);
        }
        buf_puts(out, "]}");
    }
    arena_deinit(&a);
    meta_close(m);
    return rc;
}

static int revoke_local(struct cli *c, const char *dir, uint32_t id)
{
    struct meta *m;
    struct err err = ERR_INIT;
    int rc = with_meta(c, dir, true, &m);
    if (rc)
        return rc;
    if (meta_key_revoke(m, id, &err) < 0)
        rc = cli_fail_err(c, &err);
    meta_close(m);
    return rc;
}

/* ---- a server ---- */

static int create_remote(struct cli *c, struct target *t, struct buf *out)
{
    struct buf body;
    const char *agent = opt_text(c, "agent");
    buf_init(&body, 16u << 10);
    buf_puts(&body, "{\"name\":");
    json_put_str(&body, str_c(opt_text(c, "name")));
    buf_puts(&body, ",\"scopes\":[");
    put_scopes(&body, wanted_scopes(c));
    buf_puts(&body, "]");
    if (agent) {
        buf_puts(&body, ",\"agent\":");
        json_put_str(&body, str_c(agent));
    }
    if (opt_num(c, "rate"))
        buf_printf(&body, ",\"rate\":%" PRId64, opt_num(c, "rate"));
    if (opt_given(c, "expires"))
        put_instant(&body, "expires", c->now + opt_num(c, "expires"));
    buf_puts(&body, "}");
    int rc = data_call(c, t, "POST", "/api/v1/keys", buf_str(&body), out, NULL);
    buf_deinit(&body);
    return rc;
}

/* ---- showing ---- */

static void show_created(struct cli *c, const struct jv *key)
{
    struct out *o = &c->out;
    str secret = jv_get_str(key, "secret");
    if (!c->out.term.tty) { /* the secret alone, for $(…) */
        out_safe(o, secret);
        out_line(o);
        return;
    }
    out_puts(o, "Key ");
    out_put(o, jv_get(key, "id") ? jv_get(key, "id")->text : STR("?"));
    out_puts(o, ", shown this once:\n\n  ");
    out_style(o, STYLE_BOLD);
    out_safe(o, secret);
    out_style(o, STYLE_NONE);
    out_puts(o, "\n\nUse it with FLEETLOG_API_KEY, --key-file, or the header "
                "'Authorization: Bearer KEY'.\n");
}

enum { K_ID, K_NAME, K_PREFIX, K_SCOPES, K_AGENTS, K_CREATED, K_STATE, K_COLUMNS };

/* "2026-11-21T10:00:00Z" of a time with any fraction */
static str seconds(struct arena *a, str time)
{
    if (time.n <= 20)
        return time;
    char *z = arena_printf(a, "%.19sZ", time.p);
    return z ? str_c(z) : time;
}

static str scope_list(struct arena *a, const struct jv *all)
{
    struct buf list;
    buf_init(&list, 4096);
    JV_EACH(s, all)
    {
        buf_puts(&list, list.n ? "," : "");
        buf_putstr(&list, s->text);
    }
    str text = arena_dup(a, buf_str(&list));
    buf_deinit(&list);
    return text;
}

static void key_cells(struct cli *c, struct arena *a, const struct jv *k, str cell[K_COLUMNS])
{
    str agent = jv_get_str(k, "agent"), expires = jv_get_str(k, "expires");
    ts_ns end = TS_MAX;
    cell[K_ID] = jv_get(k, "id") ? jv_get(k, "id")->text : STR("?");
    cell[K_NAME] = jv_get_str(k, "name");
    cell[K_PREFIX] = jv_get_str(k, "prefix");
    cell[K_SCOPES] = scope_list(a, jv_get(k, "scopes"));
    cell[K_AGENTS] = agent.n ? agent : STR("*");
    cell[K_CREATED] = seconds(a, jv_get_str(k, "created"));
    if (jv_is(jv_get(k, "revoked"), JSON_TRUE)) {
        cell[K_STATE] = STR("revoked");
    } else if (expires.n && ts_parse_iso(expires, &end) && end <= c->now) {
        cell[K_STATE] = STR("expired");
    } else {
        const char *until =
            expires.n ? arena_printf(a, "until %.*s", STR_FMT(seconds(a, expires))) : NULL;
        cell[K_STATE] = until ? str_c(until) : STR("valid");
    }
}

static void put_row(struct out *o, const str cell[K_COLUMNS], const int width[K_COLUMNS])
{
    out_pad(o, width[K_ID] - safe_width(cell[K_ID]));
    for (int i = 0; i < K_COLUMNS; i++) {
        bool last = i == K_STATE;
        if (last && str_eq(cell[i], STR("valid")))
            out_style(o, STYLE_GREEN);
        else if (last && (str_eq(cell[i], STR("revoked")) || str_eq(cell[i], STR("expired"))))
            out_style(o, STYLE_RED);
        out_safe(o, cell[i]);
        if (last)
            out_style(o, STYLE_NONE);
        else
            out_pad(o, 2 + (i ? width[i] - safe_width(cell[i]) : 0));
    }
    out_line(o);
}

static void show_list(struct cli *c, struct arena *a, const struct jv *keys)
{
    static const char *const heads[K_COLUMNS] = { "id",     "name",    "prefix", "scopes",
                                                  "agents", "created", "state" };
    str cell[K_COLUMNS];
    int width[K_COLUMNS];
    for (int i = 0; i < K_COLUMNS; i++)
        width[i] = (int)strlen(heads[i]);
    JV_EACH(k, keys)
    {
        key_cells(c, a, k, cell);
        for (int i = 0; i < K_COLUMNS; i++)
            width[i] = safe_width(cell[i]) > width[i] ? safe_width(cell[i]) : width[i];
    }
    for (int i = 0; i < K_COLUMNS; i++)
        cell[i] = str_c(heads[i]);
    out_style(&c->out, STYLE_BOLD);
    put_row(&c->out, cell, width);
    out_style(&c->out, STYLE_NONE);
    JV_EACH(k, keys)
    {
        key_cells(c, a, k, cell);
        put_row(&c->out, cell, width);
    }
}

/* the first key closes the server to everyone, this machine too */
static void warn_first(struct cli *c, const struct jv *key)
{
    JV_EACH(s, jv_get(key, "scopes"))
    {
        if (str_eq(s->text, STR("admin")))
            return;
    }
    if (jv_int(jv_get(key, "id"), 0) == 1)
        cli_note(c, "a server on this data now asks everyone for a key, and this one cannot make "
                    "others: fleetlog keys create --name admin --scope admin --data-dir DIR");
}

static int show(struct cli *c, const char *verb, str text)
{
    struct arena a;
    struct jv *root;
    struct err err = ERR_INIT;
    int rc = EXIT_DONE;
    arena_init(&a, 256u << 20);
    if (opt_on(c, "json")) {
        json_pretty(&c->out, text, 0);
        out_line(&c->out);
    } else if (doc_parse(&root, &a, text, &err) < 0) {
        rc = cli_fail_err(c, &err);
    } else if (strcmp(verb, "create") == 0) {
        show_created(c, root);
        warn_first(c, root);
    } else {
        show_list(c, &a, jv_get(root, "keys"));
    }
    arena_deinit(&a);
    return rc;
}

static int dispatch(struct cli *c, struct target *t, const char *dir, const char *verb,
                    struct buf *answer)
{
    uint64_t id;
    if (strcmp(verb, "create") == 0) {
        if (!opt_text(c, "name") || !*opt_text(c, "name") || strlen(opt_text(c, "name")) > 64)
            return cli_fail(c, EXIT_USAGE, NULL, "keys create needs --name NAME of 1 to 64 bytes");
        if (opt_text(c, "agent") && strlen(opt_text(c, "agent")) > 256)
            return cli_fail(c, EXIT_USAGE, NULL, "--agent has at most 256 bytes");
        return t ? create_remote(c, t, answer) : create_local(c, dir, answer);
    }
    if (strcmp(verb, "list") == 0)
        return t ? data_call(c, t, "GET", "/api/v1/keys", STR_NULL, answer, NULL)
                 : list_local(c, dir, answer);
    if (c->nargs != 2 || !str_to_u64(str_c(c->args[1]), &id) || !id || id > UINT32_MAX)
        return cli_fail(c, EXIT_USAGE, "fleetlog keys list shows the numbers",
                        "keys revoke needs the number of a key");
    char path[64];
    snprintf(path, sizeof(path), "/api/v1/keys/%" PRIu64, id);
    int rc = t ? data_call(c, t, "DELETE", path, STR_NULL, answer, NULL)
               : revoke_local(c, dir, (uint32_t)id);
    buf_reset(answer);
    buf_printf(answer, "{\"revoked\": %" PRIu64 "}", id);
    return rc;
}

static int run(struct cli *c)
{
    static const char *const verbs[] = { "create", "list", "revoke", NULL };
    struct target t;
    struct buf answer;
    const char *verb = c->args[0];
    bool known = false;
    for (int i = 0; verbs[i]; i++)
        known = known || strcmp(verbs[i], verb) == 0;
    if (!known) {
        const char *near = nearest_word(verb, verbs);
        char hint[64];
        snprintf(hint, sizeof(hint), near ? "did you mean 'keys %s'?" : "create, list or revoke%s",
                 near ? near : "");
        return cli_fail(c, EXIT_USAGE, hint, "keys cannot '%s'", verb);
    }
    if (c->nargs > 1 && strcmp(verb, "revoke") != 0)
        return cli_fail(c, EXIT_USAGE, NULL, "keys %s takes no '%s'", verb, c->args[1]);
    int rc = target_open(c, &t, NEED_PLACE);
    if (rc)
        return rc;
    buf_init(&answer, 64u << 20);
    rc = dispatch(c, t.client ? &t : NULL, t.dir, verb, &answer);
    if (rc == 0 && strcmp(verb, "revoke") == 0 && !opt_on(c, "json"))
        out_printf(&c->out, "Revoked key %s.\n", c->args[1]);
    else if (rc == 0)
        rc = show(c, verb, buf_str(&answer));
    if (answer.p)
        explicit_bzero(answer.p, answer.n);
    buf_deinit(&answer);
    target_close(&t);
    return rc;
}

const struct command cmd_keys = {
    .name = "keys",
    .summary = "make, list and revoke API keys",
    .synopsis = "create|list|revoke [ID] [OPTIONS]",
    .about =
        "With --data-dir it works on the directory, also beside a running server, which notices "
        "within a second; otherwise the server is asked, if one answers. The secret is shown "
        "once and stored nowhere: only its hash is kept. Once any key exists a server asks "
        "everyone for one.",
    .opts = opts,
    .examples = examples,
    .min_args = 1,
    .max_args = 2,
    .complete = "create list revoke",
    .run = run,
};
