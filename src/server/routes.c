/* routes.c: the one table of what this server answers, and finding a request's row in it.
 *
 * From the table come dispatch, 404 and 405, OPTIONS, the keys' scopes, /openapi.json and
 * docs/http-api.md. A path is matched segment by segment on its percent-encoded form; empty
 * segments (leading, doubled, trailing slashes) do not count; an argument is decoded once, after
 * the split, so an encoded slash stays part of it. */
#include <stdio.h>
#include <string.h>

#include "server/handlers.h"
#include "server/internal.h"

#define Q(name, type, about)                                                                       \
    {                                                                                              \
        name, "query", type, about                                                                 \
    }
#define P(name, about)                                                                             \
    {                                                                                              \
        name, "path", "string", about                                                              \
    }
#define H(name, about)                                                                             \
    {                                                                                              \
        name, "header", "string", about                                                            \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, NULL, NULL                                                                     \
    }

static const struct route_param p_ingest[] = {
    Q("atomic", "boolean", "true: one bad entry refuses all"),
    Q("agent", "string", "agent of entries that name none"),
    Q("format", "string", "`json` (default: object, array or NDJSON) or `text` (a message a line)"),
    H("Idempotency-Key", "a repeat within 24 h stores nothing and gets the first answer"),
    H("Content-Encoding", "gzip, deflate or zstd"),
    END
};
#define RANGE                                                                                      \
    Q("start", "string", "from this time on (RFC 3339, epoch, `now-1h`)"),                         \
        Q("end", "string", "before this time")
static const struct route_param p_query[] = {
    Q("q", "string", "the query, see docs/query-language.md; empty is everything"),
    RANGE,
    Q("limit", "integer", "rows; 100 for plain filters, 10,000 for tables when not given"),
    Q("offset", "integer", "rows to skip"),
    Q("order", "string", "`desc` (default) or `asc`: plain filters by time"),
    Q("cursor", "string",
      "next_cursor of the page before; null at the end, and for pipes other than `where`, `drop` "
      "and `rename`: page those by offset"),
    Q("format", "string", "`json` (default), `ndjson`, `csv` or `text`"),
    Q("all", "boolean", "true: no default limit, for exports"),
    Q("total", "boolean", "true: count all matches"),
    Q("explain", "boolean", "true: the plan instead of rows"),
    Q("indexes", "boolean",
      "off: read all rows, whatever the indexes could rule out; to check answers"),
    Q("timeout", "string", "give up after, such as `5s`; the server's own limit is the most"),
    Q("tz", "string", "offset for dates and buckets, `+02:00`"),
    END
};
static const struct route_param p_complete[] = {
    Q("q", "string", "the query as it stands, finished or not"),
    Q("cursor", "integer", "byte of it where the cursor is; its end when not given"), RANGE,
    Q("limit", "integer", "items, 50 by default, 1,000 at most"), END
};
static const struct route_param p_tail[] = {
    Q("q", "string", "filter; pipes are not possible"),
    Q("from", "string",
      "`now` (default) or a sequence number: entries after it; 400 past the newest"),
    Q("ticket", "string", "single-use ticket instead of a key"),
    H("Last-Event-ID", "sequence number seen last; wins over from"), END
};
static const struct route_param p_tail_ws[] = {
    Q("q", "string", "filter; pipes are not possible"),
    Q("from", "string",
      "`now` (default) or a sequence number: entries after it; 400 past the newest"),
    Q("ticket", "string", "single-use ticket instead of a key"), END
};
static const struct route_param p_poll[] = {
    Q("q", "string", "filter; pipes are not possible"),
    Q("from", "string", "`now` (default) or the cursor of the answer before"),
    Q("timeout", "string",
      "wait at most, `30s` by default, 5m at most; `0` answers with what is there"),
    Q("limit", "integer", "entries, 100 by default, 1,000 at most"), END
};
static const struct route_param p_timeline[] = {
    Q("q", "string", "filter"), RANGE,
    Q("step", "string", "width of a bucket such as `1m`; chosen for about 60 when not given"),
    Q("by", "string", "field to split by; `level` when not given"), END
};
static const struct route_param p_fields[] = {
    Q("q", "string", "filter; not given: all entries, from summaries"), RANGE,
    Q("limit", "integer", "fields, 500 by default"), END
};
static const struct route_param p_templates[] = {
    Q("limit", "integer", "templates, 100 by default, 10,000 at most"), END
};
static const struct route_param p_values[] = {
    P("name", "field name; attributes by their dotted name"), Q("q", "string", "filter"), RANGE,
    Q("limit", "integer", "values, 50 by default, 10,000 at most"), END
};
static const struct route_param p_report[] = {
    Q("q", "string", "filter: what the report is about"),
    Q("start", "string", "where the window begins; 24 h before its end when not given"),
    Q("end", "string", "where it ends, now when not given"),
    Q("format", "string", "`html` (default) or `md`"),
    Q("title", "string", "of the page, 200 bytes at most"),
    Q("timeout", "string", "give up after, such as `5s`; the server's own limit is the most"),
    END
};
static const struct route_param p_id[] = { P("id", "id of an entry"), END };
static const struct route_param p_context[] = {
    P("id", "id of an entry"), Q("before", "integer", "entries before it, 5 by default"),
    Q("after", "integer", "entries after it, 5 by default"),
    Q("by", "string", "`session`, `agent` or `trace`; the first the entry has when not given"), END
};
static const struct route_param p_patterns[] = {
    Q("q", "string", "what to look at: a filter, and pipes that leave entries whole"),
    RANGE,
    Q("limit", "integer", "patterns, 100 by default, 10,000 at most"),
    Q("new", "boolean", "true: only those that were first stored within start and end"),
    Q("new_since", "string", "only those that were first stored at that time or later"),
    Q("format", "string", "`json` (default), `ndjson`, `csv` or `text`"),
    Q("timeout", "string", "give up after, such as `5s`"),
    END
};
static const struct route_param p_anomalies[] = {
    Q("q", "string", "what to look at: a filter, and pipes that leave entries whole"),
    RANGE,
    Q("by", "string", "the field that tells sources apart; `agent` when not given"),
    Q("step", "string", "step of time, such as `5m`; chosen by the range when not given"),
    Q("limit", "integer", "rows of each kind and rule, 20 by default, 1,000 at most"),
    Q("format", "string", "`json` (default), `ndjson`, `csv` or `text`"),
    Q("timeout", "string", "give up after, such as `5s`"),
    END
};
static const struct route_param p_issues[] = {
    Q("q", "string", "filter; counts are then those of what matches"),
    RANGE,
    Q("state", "string", "`open`, `resolved`, `ignored`, several with commas, or `all` (default)"),
    Q("sort", "string", "`last` (default), `first`, `count`, `agents` or `sessions`; falling"),
    Q("limit", "integer", "issues, 50 by default, 1,000 at most"),
    Q("cursor", "string", "next_cursor of the page before"),
    END
};
static const struct route_param p_issue[] = { P("id", "id of an issue"), END };
#define SORTED                                                                                     \
    Q("sort", "string",                                                                            \
      "`start` (default), `end`, `duration_ms`, `entries`, `spans`, `tool_calls`, `errors`, "      \
      "`tokens` or `cost_usd`"),                                                                   \
        Q("order", "string", "`desc` (default) or `asc`"),                                         \
        Q("limit", "integer", "rows, 100 by default, 10,000 at most")
static const struct route_param p_groups[] = {
    Q("q", "string", "filter; pipes that keep whole entries may follow"), RANGE, SORTED, END
};
static const struct route_param p_one_trace[] = {
    P("id", "trace id, percent-encoded"), RANGE,
    Q("logs", "boolean", "true: other entries as rows too, below their spans"), END
};
static const struct route_param p_one_session[] = {
    P("id", "session id, percent-encoded"), RANGE, Q("q", "string", "filter of the timeline"),
    Q("limit", "integer", "entries of the timeline, 1,000 by default, 10,000 at most"), END
};
static const struct route_param p_cost[] = {
    Q("q", "string", "filter; pipes that keep whole entries may follow"),
    RANGE,
    Q("by", "string", "`agent` (default), `model`, `tool`, `session` or `day`"),
    Q("limit", "integer", "rows, 100 by default, 10,000 at most"),
    Q("tz", "string", "offset where days begin, `+02:00`"),
    END
};
static const struct route_param p_agent[] = { P("name", "name of the agent, percent-encoded"),
                                              RANGE, END };
static const struct route_param p_alert[] = { P("name", "name of the rule"), END };
static const struct route_param p_alert_history[] = {
    Q("alert", "string", "only of this rule"),
    Q("limit", "integer", "lines, 100 by default, 1,000 at most"),
    Q("before", "integer", "only lines with a smaller id: next_before of the page before"), END
};
static const struct route_param p_doc[] = { P("name", "1 to 64 of a-z, 0-9 and -"), END };
static const struct route_param p_doc_change[] = {
    P("name", "1 to 64 of a-z, 0-9 and -"),
    H("If-Match", "the rev it must have, as `\"7\"`, or `*`: it must exist; 409 otherwise"), END
};
static const struct route_param p_key[] = { P("id", "number of the key"), END };
static const struct route_param p_search[] = {
    Q("agent", "string", "exact, or a glob with `*`"),
    Q("level", "string", "minimum severity; an unknown name filters nothing (with a warning)"),
    Q("min_ts", "number", "epoch seconds, inclusive"),
    Q("max_ts", "number", "epoch seconds, inclusive"),
    Q("trace_id", "string", "exact"),
    Q("session_id", "string", "exact"),
    Q("pattern", "string", "regular expression on the message, unanchored, case-sensitive"),
    Q("sort", "string", "`desc` (default); anything else is ascending"),
    Q("limit", "integer", "100 by default"),
    Q("offset", "integer", "0 by default"),
    Q("q", "string", "our own filter language, in addition"),
    END
};
static const struct route_param p_trace[] = { P("trace_id", "percent-decoded; may hold slashes"),
                                              END };
static const struct route_param p_fleet_tail[] = {
    Q("timeout", "number", "seconds to wait, 30 by default; 0 does not wait"),
    Q("agent", "string", "exact"), Q("level", "string", "minimum severity"), END
};
static const struct route_param p_prune[] = {
    Q("days", "integer", "delete what is older, by timestamp; 30 by default"), END
};
static const struct route_param p_logs[] = {
    Q("agent_id", "string", "exact"),
    Q("level", "string", "exact: debug info warn error critical"),
    Q("category", "string", "exact"),
    Q("source", "string", "exact"),
    Q("resolved", "boolean", "only resolved or only unresolved"),
    Q("since", "string", "inclusive"),
    Q("until", "string", "exclusive"),
    Q("search", "string", "text in the message, case-insensitive"),
    Q("limit", "integer", "1 to 1000, 100 by default"),
    Q("offset", "integer", "0 by default"),
    END
};
static const struct route_param p_summary[] = { Q("since", "string", "24 h ago by default"),
                                                Q("agent_id", "string", "only this agent"), END };
static const struct route_param p_recent[] = {
    Q("limit", "integer", "300 by default; negative: 10,000"), END
};
static const struct route_param p_ticket_only[] = {
    Q("ticket", "string", "single-use ticket instead of a key"), END
};

#define NATIVE(method, path, fn, scope, kind, flags, summary, body, answer, params)                \
    {                                                                                              \
        method, path, fn, scope, SHAPE_NATIVE, flags, "Native", summary, body, answer, params,     \
            kind                                                                                   \
    }
#define FLEET(method, path, fn, scope, kind, flags, summary, body, answer, params)                 \
    {                                                                                              \
        method, path, fn, scope, SHAPE_FLEET, flags, "Fleet Logger", summary, body, answer,        \
            params, kind                                                                           \
    }
#define MALS(method, path, fn, scope, kind, summary, body, answer, params)                         \
    {                                                                                              \
        method, path, fn, scope, SHAPE_MALS, 0, "MALS", summary, body, answer, params, kind        \
    }
#define GUIDE(method, path, fn, scope, kind, flags, summary, body, answer, params)                 \
    {                                                                                              \
        method, path, fn, scope, SHAPE_FLEET, flags, "Local assistant and hooks", summary, body,   \
            answer, params, kind                                                                   \
    }
#define OPS(method, path, fn, scope, flags, summary, answer)                                       \
    {                                                                                              \
        method, path, fn, scope, SHAPE_NATIVE, flags, "Operation", summary, NULL, answer, NULL,    \
            REQ_OPS                                                                                \
    }

const struct route route_table[] = {
    NATIVE(HTTP_POST, "/api/v1/ingest", native_ingest, SCOPE_INGEST, REQ_INGEST, 0, "Take entries",
           "one object, an array of objects, or NDJSON",
           "`{accepted, rejected, duplicates, errors:[{index, reason}], first_seq, last_seq}` once "
           "all "
           "is durable; 400 when nothing was accepted",
           p_ingest),
    NATIVE(HTTP_GET, "/api/v1/query", native_query, SCOPE_READ, REQ_QUERY, 0, "Run a query", NULL,
           "`{rows, columns, count, total?, truncated, next_cursor, warnings, approx, incomplete, "
           "elapsed_ms, watermark, cost}`; columns is empty for whole entries, total is there when "
           "counted, approx names columns that are not exact",
           p_query),
    NATIVE(HTTP_POST, "/api/v1/query", native_query, SCOPE_READ, REQ_QUERY, 0, "Run a query",
           "JSON object with the same names as the parameters", "as GET", p_query),
    NATIVE(
        HTTP_GET, "/api/v1/complete", native_complete, SCOPE_READ, REQ_QUERY, 0,
        "What may stand at a place of a query", NULL,
        "`{from, to, items:[{text, kind, detail, count?}], more, partial}`: each text goes in the "
        "place of the bytes from..to, quoted and escaped where it must be. Kinds: field, column, "
        "value, pipe, function, keyword, time, unit; count: entries that have it. No text is an "
        "error. partial: after 0.3 s not all entries were looked at, newest first",
        p_complete),
    NATIVE(HTTP_POST, "/api/v1/complete", native_complete, SCOPE_READ, REQ_QUERY, 0,
           "What may stand at a place of a query",
           "JSON object with the same names as the parameters", "as GET", p_complete),
    NATIVE(HTTP_GET, "/api/v1/tail", native_tail_sse, SCOPE_READ, REQ_TAIL,
           ROUTE_STREAM | ROUTE_TICKET, "Follow live: server-sent events", NULL,
           "events with `id:` = sequence number and the entry as data; `event: dropped` tells how "
           "many "
           "were lost to a slow reader",
           p_tail),
    NATIVE(HTTP_GET, "/api/v1/tail/ws", native_tail_ws, SCOPE_READ, REQ_TAIL,
           ROUTE_STREAM | ROUTE_TICKET, "Follow live: WebSocket", NULL,
           "text frames `{\"seq\":N,\"entry\":{...}}`, and `{\"dropped\":N}`", p_tail_ws),
    NATIVE(
        HTTP_GET, "/api/v1/tail/poll", native_tail_poll, SCOPE_READ, REQ_TAIL, 0,
        "Follow live: long poll, answers at the first match", NULL,
        "`{entries, cursor, dropped}`; cursor goes into `from` of the next request, also when no "
        "entries came",
        p_poll),
    NATIVE(
        HTTP_GET, "/api/v1/timeline", native_timeline, SCOPE_READ, REQ_QUERY, 0, "Counts over time",
        NULL,
        "`{start, end, step_ms, by, total, buckets:[{time, count, by:{value: n}}]}`, gaps are "
        "zeros; in a bucket `missing` counts the entries without the field (or with null), `other` "
        "those with rarer values",
        p_timeline),
    NATIVE(HTTP_GET, "/api/v1/fields", native_fields, SCOPE_READ, REQ_QUERY, 0, "Fields that occur",
           NULL,
           "`{fields:[{name, query?, attribute, types, entries}]}`, most frequent first; query is "
           "the name as a query writes it where that is another, with backticks",
           p_fields),
    NATIVE(HTTP_GET, "/api/v1/fields/{name}/values", native_values, SCOPE_READ, REQ_QUERY, 0,
           "Most frequent values of a field", NULL,
           "`{field, values:[{value, count}], distinct, present, truncated}`", p_values),
    NATIVE(HTTP_GET, "/api/v1/templates", native_templates, SCOPE_READ, REQ_QUERY, 0,
           "Messages by the text that is the same in all of them", NULL,
           "`{templates:[{id, template, entries, levels, first, last, example_seq}], "
           "other_entries}`, most frequent first; `<int>` and `<text>` stand for what differs; "
           "counted as entries are stored, so deleted ones may still be in it",
           p_templates),
    NATIVE(HTTP_GET, "/api/v1/report", native_report, SCOPE_READ, REQ_QUERY, 0,
           "A page of what happened", NULL,
           "a page of HTML or Markdown, see docs/reports.md; ten years at most", p_report),
    NATIVE(HTTP_GET, "/api/v1/entries/{id}", native_entry, SCOPE_READ, REQ_QUERY, 0, "One entry",
           NULL, "the entry", p_id),
    NATIVE(HTTP_GET, "/api/v1/entries/{id}/context", native_context, SCOPE_READ, REQ_QUERY, 0,
           "An entry and its neighbours in the same session, agent or trace", NULL,
           "`{by, value, before:[...], entry, after:[...]}`, by rising time", p_context),
    NATIVE(HTTP_GET, "/api/v1/traces", native_traces, SCOPE_READ, REQ_QUERY, 0,
           "Traces, one row each", NULL,
           "`{traces:[...], count, more, warnings, incomplete}`: the columns of the pipe `traces`",
           p_groups),
    NATIVE(HTTP_GET, "/api/v1/traces/{id}", native_trace, SCOPE_READ, REQ_QUERY, 0,
           "One trace as a tree", NULL,
           "`{summary, spans:[...], count, more, warnings, incomplete}`: spans depth first with "
           "the columns of the pipe `trace`, at most 100,000",
           p_one_trace),
    NATIVE(HTTP_GET, "/api/v1/sessions", native_sessions, SCOPE_READ, REQ_QUERY, 0,
           "Sessions, one row each", NULL,
           "`{sessions:[...], count, more, warnings, incomplete}`: the columns of the pipe "
           "`sessions`",
           p_groups),
    NATIVE(HTTP_GET, "/api/v1/sessions/{id}", native_session, SCOPE_READ, REQ_QUERY, 0,
           "One session: summary, agents, tools, models and entries", NULL,
           "`{summary, lineage:[...], tools:[...], models:[...], timeline:[entries by rising "
           "time], count, more, warnings, incomplete}`",
           p_one_session),
    NATIVE(
        HTTP_GET, "/api/v1/cost", native_cost, SCOPE_READ, REQ_QUERY, 0, "Tokens and cost", NULL,
        "`{by, total, rows:[...], count, more, prices, warnings, incomplete}`: the columns of the "
        "pipe `usage`, dearest first (days in order); a key of null is what belongs to none; "
        "prices is the number of lines in the price table",
        p_cost),
    NATIVE(HTTP_GET, "/api/v1/agents/{name}", native_agent, SCOPE_READ, REQ_QUERY, 0,
           "One agent: figures, models, tools and lineage", NULL,
           "`{agent, summary, usage, models:[...], tools:[...], lineage:[...], warnings, "
           "incomplete}`; lineage has its own row and those of the agents it started",
           p_agent),
    NATIVE(HTTP_POST, "/api/v1/resolve", native_resolve, SCOPE_MARK, REQ_CONTROL, 0,
           "Mark entries as resolved", "`{ids:[...], by, note?}`",
           "`{resolved, not_found:[...]}`; the first resolver stays", NULL),
    NATIVE(HTTP_GET, "/api/v1/patterns", native_patterns, SCOPE_READ, REQ_QUERY, 0,
           "Messages by what is the same in them: the pipe `patterns`", NULL,
           "as of /api/v1/query; rows `{count, share, new, first, last, levels, pattern, example, "
           "entry, id}`",
           p_patterns),
    NATIVE(HTTP_GET, "/api/v1/anomalies", native_anomalies, SCOPE_READ, REQ_QUERY, 0,
           "What is out of the ordinary: the pipe `anomalies`", NULL,
           "as of /api/v1/query; rows `{kind, what, time, observed, expected, score, rule, "
           "example}`",
           p_anomalies),
    NATIVE(HTTP_GET, "/api/v1/issues", native_issues, SCOPE_READ, REQ_QUERY, 0,
           "Errors gathered into issues, see docs/issues.md", NULL,
           "`{issues:[{id, title, state, regressed, error_type, tool, text, frame, level, count, "
           "levels, first, last, agents, by_agent, sessions, spark:{from, step_ms, counts}, "
           "example, latest, change}], total, states, other_entries, watermark, next_cursor}`",
           p_issues),
    NATIVE(HTTP_POST, "/api/v1/issues", native_issues_change, SCOPE_MARK, REQ_CONTROL, 0,
           "Resolve, ignore or reopen several issues",
           "`{ids:[...], state, by, note?, until?, count?}`: state is `open`, `resolved` or "
           "`ignored`; until a time or so many further entries it stays ignored",
           "`{changed, not_found:[...]}`, all or none", NULL),
    NATIVE(HTTP_GET, "/api/v1/issues/{id}", native_issue, SCOPE_READ, REQ_QUERY, 0,
           "One issue with its history", NULL, "the issue with `marked` and `history:[...]`",
           p_issue),
    NATIVE(HTTP_PATCH, "/api/v1/issues/{id}", native_issue_change, SCOPE_MARK, REQ_CONTROL, 0,
           "Resolve, ignore or reopen an issue", "`{state, by, note?, until?, count?}`",
           "the issue with its history", p_issue),
    NATIVE(HTTP_POST, "/api/v1/ticket", native_ticket, SCOPE_READ, REQ_CONTROL, 0,
           "A ticket for clients that cannot send headers (EventSource, WebSocket)", NULL,
           "`{ticket, expires_in_s}`: valid once, for 30 s", NULL),
    NATIVE(HTTP_GET, "/api/v1/keys", keys_list, SCOPE_ADMIN, REQ_CONTROL, 0, "API keys", NULL,
           "`{keys:[{id, name, prefix, scopes, agent, rate, created, expires, revoked}]}`; never "
           "secrets",
           NULL),
    NATIVE(
        HTTP_POST, "/api/v1/keys", keys_create, SCOPE_ADMIN, REQ_CONTROL, 0, "Make an API key",
        "`{name, scopes:[\"ingest\",\"read\",\"write-marks\",\"admin\"], agent?, rate?, expires?}`",
        "the key with its `secret`, which is shown this once", NULL),
    NATIVE(HTTP_GET, "/api/v1/alerts", alerts_api_list, SCOPE_READ, REQ_CONTROL, 0,
           "Alert rules and their states", NULL,
           "`{alerts:[the rule's members, and condition, source, agents, created, changed, "
           "changed_by, state, snoozed_until, snoozed_by, evaluated, elapsed_ms, error, "
           "too_many_groups, groups], deliveries_waiting}`; groups that are ok are left out; state "
           "is `new ok pending firing resolved error disabled`",
           NULL),
    NATIVE(HTTP_POST, "/api/v1/alerts", alerts_api_create, SCOPE_ADMIN, REQ_CONTROL, 0,
           "Make an alert rule", "the rule, see docs/alerts.md", "201 and the rule", NULL),
    NATIVE(HTTP_GET, "/api/v1/alerts/history", alerts_api_history, SCOPE_READ, REQ_CONTROL, 0,
           "What alert rules went through, newest first", NULL,
           "`{history:[{id, time, alert, group, from, to, value, note}], next_before}`; the newest "
           "10,000 lines are kept",
           p_alert_history),
    NATIVE(HTTP_GET, "/api/v1/alerts/{name}", alerts_api_get, SCOPE_READ, REQ_CONTROL, 0,
           "One alert rule", NULL,
           "the rule with all its groups, and `deliveries`, the last 20: `{id, group, target, "
           "status, attempts, answer, created, next, done}`",
           p_alert),
    NATIVE(HTTP_PUT, "/api/v1/alerts/{name}", alerts_api_put, SCOPE_ADMIN, REQ_CONTROL, 0,
           "Make or replace an alert rule",
           "the rule; a secret `***` stays what it was while its address does",
           "the rule; 409 when the server's file holds it", p_alert),
    NATIVE(HTTP_PATCH, "/api/v1/alerts/{name}", alerts_api_patch, SCOPE_ADMIN, REQ_CONTROL, 0,
           "Change an alert rule", "members to replace, each as a whole; null takes one away",
           "the rule; 409 when the server's file holds it", p_alert),
    NATIVE(HTTP_DELETE, "/api/v1/alerts/{name}", alerts_api_delete, SCOPE_ADMIN, REQ_CONTROL, 0,
           "Delete an alert rule", NULL,
           "`{deleted}`; who was told that it fires is told that it ended; 409 when the server's "
           "file holds it",
           p_alert),
    NATIVE(HTTP_POST, "/api/v1/alerts/{name}/test", alerts_api_test, SCOPE_READ, REQ_QUERY, 0,
           "Evaluate a rule now; nothing is delivered or changed",
           "nothing, or a rule to try instead of the stored one",
           "`{alert, condition, query, from, to, elapsed_ms, too_many_groups, groups:[{group, "
           "value, breached, state, next_state}]}`",
           p_alert),
    NATIVE(HTTP_POST, "/api/v1/alerts/{name}/snooze", alerts_api_snooze, SCOPE_MARK, REQ_CONTROL, 0,
           "Tell nobody of a rule for a while",
           "`{\"for\":\"2h\"}` or `{\"until\":time}`; `{\"until\":null}` ends it",
           "the rule; what still fires at the end is told then", p_alert),
    NATIVE(HTTP_GET, "/api/v1/saved", saved_list, SCOPE_READ, REQ_CONTROL, 0,
           "Saved views: "
           "queries with how they are shown",
           NULL,
           "`{saved:[{name, title, page, params, builtin, created, changed, changed_by, rev}]}`",
           NULL),
    NATIVE(HTTP_POST, "/api/v1/saved", saved_create, SCOPE_MARK, REQ_CONTROL, 0,
           "Make a saved "
           "view",
           "`{name?, title, page?, params:{q?, from?, to?, ...}}`, 64 KiB at most: page is one "
           "of explore live patterns traces sessions agents tools models issues alerts health, "
           "params has 32 texts, numbers or truth values at most; q must parse",
           "201 and the saved view; without a name it is made from the title; 409 when the name "
           "is "
           "taken, 413 past 1,000",
           NULL),
    NATIVE(HTTP_GET, "/api/v1/saved/{name}", saved_get, SCOPE_READ, REQ_CONTROL, 0,
           "One saved "
           "view",
           NULL, "the saved view; its `ETag` is its rev", p_doc),
    NATIVE(HTTP_PUT, "/api/v1/saved/{name}", saved_put, SCOPE_MARK, REQ_CONTROL, 0,
           "Make or replace a saved view", "as for POST; with `rev`: only if it still has that",
           "the saved view, 201 when it is new; what is there already changes nothing; 409 when "
           "its rev "
           "is another",
           p_doc_change),
    NATIVE(HTTP_DELETE, "/api/v1/saved/{name}", saved_delete, SCOPE_MARK, REQ_CONTROL, 0,
           "Delete a saved view", NULL, "`{deleted}`", p_doc_change),
    NATIVE(HTTP_GET, "/api/v1/dashboards", dashboards_list, SCOPE_READ, REQ_CONTROL, 0,
           "Dashboards, those that come with the server first", NULL,
           "`{dashboards:[{name, title, from, to, refresh, panels, builtin, created, changed, "
           "changed_by, rev}]}`; those that came with the server have `builtin: true` and no "
           "times",
           NULL),
    NATIVE(HTTP_POST, "/api/v1/dashboards", dashboards_create, SCOPE_MARK, REQ_CONTROL, 0,
           "Make a dashboard",
           "`{name?, title, from?, to?, refresh?, panels:[{title?, type, q, w?, h?, "
           "options?}]}`, 64 KiB and 50 panels at most: type is one of line bar table number "
           "heatmap logs, w is 1 to 12 (6), h 1 to 24 (4), options holds x y by columns unit "
           "stack log min max; each q must parse",
           "201 and the dashboard; without a name it is made from the title; 409 when the name "
           "is "
           "taken, 413 past 1,000",
           NULL),
    NATIVE(HTTP_GET, "/api/v1/dashboards/{name}", dashboards_get, SCOPE_READ, REQ_CONTROL, 0,
           "One dashboard", NULL, "the dashboard; its `ETag` is its rev", p_doc),
    NATIVE(HTTP_PUT, "/api/v1/dashboards/{name}", dashboards_put, SCOPE_MARK, REQ_CONTROL, 0,
           "Make or replace a dashboard", "as for POST; with `rev`: only if it still has that",
           "the dashboard, 201 when it is new; what is there already changes nothing; 409 when "
           "its rev "
           "is another or it came with the server",
           p_doc_change),
    NATIVE(HTTP_DELETE, "/api/v1/dashboards/{name}", dashboards_delete, SCOPE_MARK, REQ_CONTROL, 0,
           "Delete a dashboard", NULL, "`{deleted}`", p_doc_change),
    NATIVE(HTTP_GET, "/api/v1/keys/{id}", keys_get, SCOPE_ADMIN, REQ_CONTROL, 0, "One API key",
           NULL, "the key", p_key),
    NATIVE(HTTP_DELETE, "/api/v1/keys/{id}", keys_delete, SCOPE_ADMIN, REQ_CONTROL, 0,
           "Revoke an API key; its live tails end", NULL, "`{revoked: id}`", p_key),

    FLEET(HTTP_POST, "/ingest", fleet_ingest, SCOPE_INGEST, REQ_INGEST, 0,
          "Take entries, all or nothing",
          "`{timestamp, agent, level, message, context?, trace_id?, session_id?}` or an array of "
          "them",
          "`{ingested, status}`", NULL),
    FLEET(HTTP_GET, "/search", fleet_search, SCOPE_READ, REQ_QUERY, 0, "Search", NULL,
          "`{results, count, limit, offset}`; count is what was returned; entries with equal "
          "timestamps keep ingest order",
          p_search),
    FLEET(HTTP_GET, "/agents", fleet_agents, SCOPE_READ, REQ_QUERY, 0, "Agents with their counts",
          NULL, "`{agents:{name: entries}, count}`, by first appearance", NULL),
    FLEET(HTTP_GET, "/stats", fleet_stats, SCOPE_READ, REQ_QUERY, 0, "Statistics", NULL,
          "`{total_entries, agents_count, level_counts, agent_counts, top_agents, hourly_counts, "
          "earliest_ts, latest_ts, index_size, storage_dir}`",
          NULL),
    FLEET(HTTP_GET, "/trace/{trace_id...}", fleet_trace, SCOPE_READ, REQ_QUERY, 0,
          "All entries of a trace, oldest first", NULL,
          "`{trace_id, entries, count}`, at most 10,000", p_trace),
    FLEET(HTTP_GET, "/tail", fleet_tail, SCOPE_READ, REQ_TAIL, 0,
          "Long poll: answers at the first match", NULL, "`{entries, count}`", p_fleet_tail),
    FLEET(HTTP_DELETE, "/prune", fleet_prune, SCOPE_ADMIN, REQ_CONTROL, 0,
          "Delete what is older than N days", NULL, "`{pruned, retention_days}`", p_prune),

    MALS(HTTP_POST, "/logs", mals_log, SCOPE_INGEST, REQ_INGEST, "Take one entry",
         "`{agent_id, message, level?, category?, session_key?, source?, metadata?, trace_id?, "
         "parent_id?}`",
         "`{id, created_at}`; 422 says what is wrong", NULL),
    MALS(HTTP_POST, "/logs/batch", mals_batch, SCOPE_INGEST, REQ_INGEST,
         "Take several, all or nothing", "array of the same", "`{inserted}`", NULL),
    { HTTP_GET, "/logs", mals_list, SCOPE_READ, SHAPE_MALS, ROUTE_HTML, "MALS",
      "Entries, newest first; a browser (`Accept: text/html`) gets the dashboard", NULL,
      "`{total, items}`", p_logs, REQ_QUERY },
    MALS(HTTP_GET, "/logs/summary", mals_summary, SCOPE_READ, REQ_QUERY, "Errors of a period", NULL,
         "`{since, until, total_errors, by_agent, unresolved:{count, items}, new_errors, "
         "recurring_errors}`. Errors are entries of level error or critical; new is a message that "
         "the equally long period before has not, recurring one that occurs 3 times or more. Of "
         "each the 100 most frequent are shown, of the unresolved entries the newest 100; at most "
         "200,000 different messages are told apart, past that the period has to be narrowed",
         p_summary),
    MALS(HTTP_GET, "/logs/agents", mals_agents, SCOPE_READ, REQ_QUERY,
         "Agents with their last activity", NULL,
         "`{total, items:[{agent_id, last_activity, error_count_24h, total}]}`", NULL),
    MALS(HTTP_PATCH, "/logs/{id}/resolve", mals_resolve, SCOPE_MARK, REQ_CONTROL,
         "Resolve one entry", "`{resolved_by}`", "the item; the first resolver stays", p_id),
    MALS(HTTP_POST, "/logs/resolve-batch", mals_resolve_batch, SCOPE_MARK, REQ_CONTROL,
         "Resolve several entries", "`{ids, resolved_by}`", "`{resolved, not_found}`", NULL),

    GUIDE(HTTP_POST, "/log", guide_log, SCOPE_INGEST, REQ_INGEST, 0, "Take one event",
          "any JSON object; `timestamp, agent, event, content` are known",
          "`{\"status\":\"logged\"}`", NULL),
    GUIDE(HTTP_GET, "/logs/ws", guide_ws, SCOPE_READ, REQ_TAIL, ROUTE_STREAM | ROUTE_TICKET,
          "Live events by WebSocket", NULL,
          "first `{\"message\":\"Connected to log stream\"}`, then one event object a frame",
          p_ticket_only),
    GUIDE(HTTP_POST, "/events", hook_event, SCOPE_INGEST, REQ_INGEST, 0, "Take a hook event",
          "`{source_app, session_id, hook_event_type, payload, ...}`",
          "the event with `id` and `timestamp`", NULL),
    GUIDE(HTTP_GET, "/events/recent", hook_recent, SCOPE_READ, REQ_QUERY, 0,
          "The newest hook events, oldest first", NULL, "array of events", p_recent),
    GUIDE(HTTP_GET, "/events/filter-options", hook_options, SCOPE_READ, REQ_QUERY, 0,
          "Values to filter hook events by", NULL, "`{source_apps, session_ids, hook_event_types}`",
          NULL),
    GUIDE(HTTP_GET, "/stream", hook_stream, SCOPE_READ, REQ_TAIL, ROUTE_STREAM | ROUTE_TICKET,
          "Hook events by WebSocket", NULL,
          "first `{\"type\":\"initial\",\"data\":[...]}` with the newest 300, then "
          "`{\"type\":\"event\",\"data\":{...}}`",
          p_ticket_only),

    { HTTP_GET, "/", ops_root, SCOPE_READ, SHAPE_NATIVE, ROUTE_HTML, "Operation",
      "The dashboard for a browser; for other clients what Elasticsearch shippers ask for", NULL,
      "HTML, or `{name, cluster_name, version, tagline}`", NULL, REQ_OPS },
    OPS(HTTP_GET, "/health", ops_health, 0, ROUTE_PUBLIC,
        "Is it well? Without a key only the basics",
        "`{status, db, version, timestamp, uptime_since, entries, agents, ...}`; counts are "
        "kept, not "
        "computed"),
    OPS(HTTP_GET, "/ready", ops_ready, 0, ROUTE_PUBLIC, "Does it take entries now?",
        "200 `{\"ready\":true}`, or 503 with the reason"),
    OPS(HTTP_GET, "/metrics", ops_metrics, SCOPE_READ, 0, "Metrics for Prometheus",
        "text format 0.0.4"),
    OPS(HTTP_GET, "/api/v1/status", ops_status, SCOPE_READ, 0,
        "State of store, live tails and queries",
        "JSON object; `refusals`: why entries were refused of late, "
        "`{last, entries, path, key, reason}`"),
    OPS(HTTP_GET, "/api/v1/integrity", ops_integrity, SCOPE_READ, 0,
        "Declared holes and damage found so far", "`{ok, gaps, corruptions, ...}`"),
    OPS(HTTP_GET, "/openapi.json", ops_openapi, 0, 0, "This table as OpenAPI 3.1", "JSON object"),
};
const uint32_t route_count = sizeof route_table / sizeof *route_table;

/* ---- matching ---- */

/* lengths of paths without arguments, UINT8_MAX for the others */
static uint8_t path_length[sizeof route_table / sizeof *route_table];

static bool next_segment(str *rest, str *ret)
{
    while (rest->n && rest->p[0] == '/')
        *rest = str_skip(*rest, 1);
    if (!rest->n)
        return false;
    size_t slash = str_chr(*rest, '/');
    size_t n = slash == SIZE_MAX ? rest->n : slash;
    *ret = str_sub(*rest, 0, n);
    *rest = str_skip(*rest, n);
    return true;
}

/* undecoded arguments into args; false: another path */
static bool path_matches(const char *pattern, str path, str args[ROUTE_ARGS_MAX],
                         uint32_t *ret_nargs)
{
    str want_rest = str_c(pattern), want, have;
    uint32_t n = 0;
    while (next_segment(&want_rest, &want)) {
        if (want.n > 4 && want.p[0] == '{' && str_ends(want, STR("...}"))) {
            while (path.n && path.p[0] == '/')
                path = str_skip(path, 1);
            if (!path.n)
                return false;
            args[n++] = path;
            *ret_nargs = n;
            return true;
        }
        if (!next_segment(&path, &have))
            return false;
        if (want.p[0] == '{')
            args[n++] = have;
        else if (!str_eq(want, have))
            return false;
    }
    *ret_nargs = n;
    return !next_segment(&path, &have);
}

static const char *method_name(enum http_method m)
{
    switch (m) {
    case HTTP_GET: return "GET";
    case HTTP_POST: return "POST";
    case HTTP_PUT: return "PUT";
    case HTTP_PATCH: return "PATCH";
    case HTTP_DELETE: return "DELETE";
    default: return "OPTIONS";
    }
}

static void allow_add(char allow[64], const char *method)
{
    size_t n = strlen(allow);
    snprintf(allow + n, 64 - n, "%s%s", n ? ", " : "", method);
}

/* The usual case: a path without arguments, written as in the table. */
static const struct route *match_fixed(enum http_method method, str path)
{
    for (uint32_t i = 0; i < route_count; i++)
        if (path_length[i] == path.n && route_table[i].method == method &&
            memcmp(route_table[i].path, path.p, path.n) == 0)
            return &route_table[i];
    return NULL;
}

void routes_init(void)
{
    for (uint32_t i = 0; i < route_count; i++) {
        size_t n = strlen(route_table[i].path);
        path_length[i] = strchr(route_table[i].path, '{') ? UINT8_MAX : (uint8_t)n;
    }
}

enum route_result route_match(enum http_method method, str path, struct arena *a,
                              const struct route **ret, str args[ROUTE_ARGS_MAX], char allow[64])
{
    enum http_method want = method == HTTP_HEAD ? HTTP_GET : method;
    str found[ROUTE_ARGS_MAX];
    uint32_t n;
    const char *pattern = NULL; /* the first that fits decides which resource it is */
    allow[0] = '\0';
    *ret = match_fixed(want, path);
    if (*ret)
        return ROUTE_FOUND;
    for (uint32_t i = 0; i < route_count; i++) {
        if (pattern && strcmp(pattern, route_table[i].path) != 0)
            continue;
        if (!path_matches(route_table[i].path, path, found, &n))
            continue;
        pattern = route_table[i].path;
        allow_add(allow, method_name(route_table[i].method));
        if (route_table[i].method == HTTP_GET)
            allow_add(allow, "HEAD");
        if (route_table[i].method != want || *ret)
            continue;
        for (uint32_t k = 0; k < n; k++)
            if (!http_unescape(a, found[k], false, &args[k]))
                return ROUTE_NO_PATH;
        *ret = &route_table[i];
    }
    if (!pattern)
        return ROUTE_NO_PATH;
    allow_add(allow, "OPTIONS");
    return *ret ? ROUTE_FOUND : ROUTE_NO_METHOD;
}

enum shape shape_of_path(str path)
{
    str first;
    if (!next_segment(&path, &first))
        return SHAPE_NATIVE;
    if (str_eq(first, STR("logs")))
        return SHAPE_MALS;
    if (str_eq(first, STR("api")) || str_eq(first, STR("ready")) || str_eq(first, STR("metrics")) ||
        str_eq(first, STR("openapi.json")))
        return SHAPE_NATIVE;
    return SHAPE_FLEET;
}
