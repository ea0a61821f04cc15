/* documents.c: the route table as OpenAPI 3.1 and as docs/http-api.md. */
#include <string.h>

#include "codec/json.h"
#include "server/internal.h"

static const char *method_of(const struct route *r)
{
    switch (r->method) {
    case HTTP_GET: return "GET";
    case HTTP_POST: return "POST";
    case HTTP_PUT: return "PUT";
    case HTTP_PATCH: return "PATCH";
    case HTTP_DELETE: return "DELETE";
    default: return "OPTIONS";
    }
}

static const char *scope_of(const struct route *r)
{
    if (r->flags & ROUTE_PUBLIC)
        return "none";
    switch (r->scope) {
    case SCOPE_INGEST: return "ingest";
    case SCOPE_READ: return "read";
    case SCOPE_MARK: return "write-marks";
    case SCOPE_ADMIN: return "admin";
    default: return "any";
    }
}

/* ---- OpenAPI ---- */

static void put_quoted(struct buf *b, const char *z)
{
    json_put_str(b, str_c(z));
}

static void put_path(struct buf *b, const char *path)
{
    str p = str_c(path);
    size_t dots = str_find(p, STR("...}"));
    buf_putc(b, '"');
    if (dots == SIZE_MAX) {
        buf_putstr(b, p);
    } else {
        buf_putstr(b, str_sub(p, 0, dots));
        buf_putc(b, '}');
    }
    buf_putc(b, '"');
}

static void put_parameters(struct buf *b, const struct route *r)
{
    bool any = false;
    if (!r->params)
        return;
    for (const struct route_param *p = r->params; p->name; p++) {
        buf_puts(b, any ? ",\n          {" : ",\n        \"parameters\": [\n          {");
        any = true;
        buf_puts(b, "\"name\":");
        put_quoted(b, p->name);
        buf_printf(b,
                   ",\"in\":\"%s\",\"required\":%s,\"schema\":{\"type\":\"%s\"},\"description\":",
                   p->in, strcmp(p->in, "path") == 0 ? "true" : "false", p->type);
        put_quoted(b, p->about);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static void put_operation_id(struct buf *b, const struct route *r)
{
    buf_putc(b, '"');
    buf_puts(b, method_of(r));
    for (const char *p = r->path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
        if (plain)
            buf_putc(b, *p);
        else if (b->p[b->n - 1] != '_')
            buf_putc(b, '_');
    }
    buf_putc(b, '"');
}

static void put_operation(struct buf *b, const struct route *r)
{
    char method[8] = { 0 };
    for (size_t i = 0; method_of(r)[i] && i < sizeof method - 1; i++)
        method[i] = (char)(method_of(r)[i] | 0x20);
    buf_printf(b, "\n      \"%s\": {\n        \"operationId\": ", method);
    put_operation_id(b, r);
    buf_puts(b, ",\n        \"tags\": [");
    put_quoted(b, r->family);
    buf_puts(b, "],\n        \"summary\": ");
    put_quoted(b, r->summary);
    buf_printf(b, ",\n        \"x-scope\": \"%s\"", scope_of(r));
    if (r->flags & ROUTE_STREAM)
        buf_puts(b, ",\n        \"x-stream\": true");
    if (r->flags & ROUTE_PUBLIC)
        buf_puts(b, ",\n        \"security\": []");
    put_parameters(b, r);
    if (r->body) {
        buf_puts(b, ",\n        \"requestBody\": {\"required\":true,\"description\":");
        put_quoted(b, r->body);
        buf_puts(b, ",\"content\":{\"application/json\":{}}}");
    }
    buf_puts(b, ",\n        \"responses\": {\"200\":{\"description\":");
    put_quoted(b, r->answer);
    buf_puts(b, "},\"default\":{\"description\":\"an error in the family's own shape\"}}\n      }");
}

void server_openapi(struct buf *out)
{
    buf_puts(out, "{\n  \"openapi\": \"3.1.0\",\n"
                  "  \"info\": {\"title\": \"fleetlog\", \"version\": \"" FL_VERSION
                  "\"},\n  \"security\": [{\"bearer\":[]},{\"basic\":[]},{\"key\":[]}],\n"
                  "  \"components\": {\"securitySchemes\": {\n"
                  "    \"bearer\": {\"type\":\"http\",\"scheme\":\"bearer\"},\n"
                  "    \"basic\": {\"type\":\"http\",\"scheme\":\"basic\"},\n"
                  "    \"key\": {\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\"}}},\n"
                  "  \"paths\": {");
    bool any = false;
    for (uint32_t i = 0; i < route_count; i++) {
        bool done = false;
        for (uint32_t k = 0; k < i && !done; k++)
            done = strcmp(route_table[k].path, route_table[i].path) == 0;
        if (done)
            continue;
        buf_puts(out, any ? ",\n    " : "\n    ");
        any = true;
        put_path(out, route_table[i].path);
        buf_puts(out, ": {");
        bool inner = false;
        for (uint32_t k = i; k < route_count; k++) {
            if (strcmp(route_table[k].path, route_table[i].path) != 0)
                continue;
            if (inner)
                buf_putc(out, ',');
            inner = true;
            put_operation(out, &route_table[k]);
        }
        buf_puts(out, "\n    }");
    }
    buf_puts(out, "\n  }\n}\n");
}

/* ---- Markdown ---- */

static const char intro[] =
    "# HTTP API\n"
    "\n"
    "Made from the server's route table by `fleetlog routes`; a test compares the two.\n"
    "The same table is served as OpenAPI 3.1 at `/openapi.json`.\n"
    "\n"
    "One port, 8140 unless `--listen` says otherwise. JSON unless said. `HEAD` works\n"
    "wherever `GET` does, `OPTIONS` names the methods of a path. Leading, doubled and\n"
    "trailing slashes do not matter.\n"
    "\n"
    "## Status codes\n"
    "\n"
    "| status | means |\n"
    "|---|---|\n"
    "| 200, 201 | done, for entries: they are on disk; a key was made |\n"
    "| 400 | the request is wrong; the answer says where |\n"
    "| 401, 403 | no valid key; the key may not do this, or the page asking is foreign |\n"
    "| 404, 405 | no such thing; not with this method (`Allow` says which) |\n"
    "| 408, 414, 431 | the request came too slowly; its address or its headers are too long |\n"
    "| 409 | the same `Idempotency-Key` with another body |\n"
    "| 413, 415 | too large; a type or an encoding of a body that is not understood |\n"
    "| 421 | the `Host` is no name of this server (`--allow-host` adds one) |\n"
    "| 422 | MALS: the body or a parameter is invalid |\n"
    "| 426 | this path is a WebSocket |\n"
    "| 429 | the key is over its rate, or too many wrong keys came from this address |\n"
    "| 503 | overloaded, or the disk is full; try again after `Retry-After` seconds |\n"
    "\n"
    "Errors: native and operation paths answer\n"
    "`{\"error\":{\"code\",\"message\",\"hint\"?,\"position\"?}}`, Fleet Logger and local\n"
    "assistant paths `{\"error\":\"text\"}`, MALS paths `{\"detail\":...}`.\n"
    "\n"
    "## Keys\n"
    "\n"
    "On loopback, with no key made or given, the server is open. Any key closes every\n"
    "path but a reduced `/health` and `/ready`. A key is sent as `Authorization: Bearer\n"
    "KEY`, as the password of HTTP Basic, or as `X-API-Key`; never in a URL. It has\n"
    "scopes (`ingest`, `read`, `write-marks`, `admin`), a pattern of agents it may write\n"
    "and read, a rate in entries per second and an expiry. Browsers' `EventSource` and\n"
    "`WebSocket`, which send no headers, use a ticket from `POST /api/v1/ticket`.\n"
    "\n"
    "After 20 different wrong keys from one address in a minute, or one wrong key 20\n"
    "times, keys not seen to work before get 429 there until the minute is over.\n"
    "\n"
    "## Repeating a request\n"
    "\n"
    "`POST` of entries takes an `Idempotency-Key` (1 to 255 characters, per key, for 24\n"
    "hours). A repeat with the same body stores nothing and gets the first answer;\n"
    "`duplicates` says how many entries of `accepted` had been stored before.\n"
    "\n"
    "## Following live\n"
    "\n"
    "A tail can be resumed without a gap or a repeat from any sequence number:\n"
    "`Last-Event-ID` or `from` gives every later match, first from disk, then live. A\n"
    "reader that is too slow loses entries past 1 MiB of waiting ones and is told how\n"
    "many.\n";

static void put_route(struct buf *b, const struct route *r)
{
    buf_printf(b, "\n### %s %s\n\n%s.", method_of(r), r->path, r->summary);
    buf_printf(b, " Scope: %s.\n", scope_of(r));
    if (r->body)
        buf_printf(b, "\nBody: %s.\n", r->body);
    buf_printf(b, "\nAnswers %s.\n", r->answer);
    if (!r->params)
        return;
    buf_puts(b, "\n| parameter | in | type | |\n|---|---|---|---|\n");
    for (const struct route_param *p = r->params; p->name; p++)
        buf_printf(b, "| `%s` | %s | %s | %s |\n", p->name, p->in, p->type, p->about);
}

void server_routes_markdown(struct buf *out)
{
    const char *family = "";
    buf_puts(out, intro);
    for (uint32_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        bool seen = false;
        for (uint32_t k = 0; k < i && !seen; k++)
            seen = strcmp(route_table[k].family, r->family) == 0;
        if (seen)
            continue;
        family = r->family;
        buf_printf(out, "\n## %s\n", family);
        for (uint32_t k = i; k < route_count; k++)
            if (strcmp(route_table[k].family, family) == 0)
                put_route(out, &route_table[k]);
    }
}
