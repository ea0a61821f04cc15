/* demo_cast.c: the invented fleet: who is in it, what it works on, and how things go wrong.
 *
 * A mission is one trace. The planner splits a task; coder and researcher work with tools and
 * models below it, now and then failing and trying again; the reviewer accepts or sends back. Every
 * span is two entries, a start and an end, so that a running one can be seen running. The coder's
 * session goes on from mission to mission and its context grows, as sessions do. */
#include <stdio.h>
#include <string.h>

#include "cli/demo.h"

#define PICK(p, list) (&(list)[play_rand((p), sizeof(list) / sizeof((list)[0]))])

static const struct task {
    const char *title, *repo, *file, *test, *query, *table;
} tasks[] = {
    { "Fix the flaky checkout test", "webshop", "src/checkout/cart.py", "tests/test_cart.py",
      "python decimal rounding half even currency", "orders" },
    { "Add pagination to the invoices endpoint", "billing", "api/invoices.go",
      "api/invoices_test.go", "keyset pagination postgres vs offset", "invoices" },
    { "Find why nightly exports take two hours", "warehouse", "jobs/export.sql",
      "jobs/test_export.py", "postgres sequential scan large join hash spill", "shipments" },
    { "Upgrade the HTTP client and its callers", "gateway", "lib/client.ts", "lib/client.test.ts",
      "undici breaking changes keepalive", "requests" },
    { "Write the onboarding guide for agents", "handbook", "docs/onboarding.md",
      "docs/links_test.py", "developer onboarding checklist examples", "pages" },
    { "Stop duplicate mails after a retry", "notifier", "worker/send.rb", "worker/send_spec.rb",
      "idempotency key queue at least once delivery", "mail_log" },
    { "Support dark mode in the settings page", "dashboard", "web/Settings.tsx",
      "web/Settings.test.tsx", "css prefers-color-scheme best practice", "preferences" },
    { "Reduce memory use of the importer", "ingestor", "src/reader.c", "tests/reader_test.c",
      "streaming parser memory bound arena allocator", "imports" },
};

static const struct {
    const char *name;
    double in_usd, out_usd; /* a million tokens */
} models[] = { { "claude-sonnet-4-5", 3, 15 },
               { "claude-haiku-4-5", 1, 5 },
               { "gpt-5-mini", 0.25, 2 },
               { "qwen3-coder-480b", 0.4, 1.6 } };

struct mission {
    struct play *p;
    const struct task *task;
    char trace[33], session[24];
    int64_t t;
    uint32_t context; /* tokens so far */
};

struct span {
    char id[17], parent[17];
    const char *agent, *operation, *tool;
    char call[24];
    int64_t began;
};

static void common(struct mission *m, struct line *l, const struct span *s)
{
    line_str(l, "trace_id", m->trace);
    line_str(l, "session_id", m->session);
    line_str(l, "service", m->task->repo);
    if (s) {
        line_str(l, "span_id", s->id);
        line_str(l, "parent_span_id", s->parent);
    }
}

static void say(struct mission *m, const struct span *s, const char *agent, const char *level,
                const char *event, const char *text)
{
    struct line l;
    line_begin(&l, m->p, agent, level, text);
    line_str(&l, "event", event);
    common(m, &l, NULL);
    if (s)
        line_str(&l, "span_id", s->id);
    line_end(&l, m->t);
}

static struct span span_start(struct mission *m, const struct span *parent, const char *agent,
                              const char *operation, const char *tool, const char *text,
                              const char *input)
{
    struct span s = { .agent = agent, .operation = operation, .tool = tool, .began = m->t };
    struct line l;
    hex_id(m->p, s.id, 16);
    if (parent)
        memcpy(s.parent, parent->id, sizeof(s.parent));
    line_begin(&l, m->p, agent, "info", text);
    line_str(&l, "kind", "span_start");
    line_str(&l, "operation", operation);
    if (tool) {
        char id[9];
        hex_id(m->p, id, 8);
        snprintf(s.call, sizeof(s.call), "call_%s", id);
        line_str(&l, "tool", tool);
        line_str(&l, "call_id", s.call);
    }
    line_str(&l, "input", input);
    common(m, &l, &s);
    line_end(&l, m->t);
    return s;
}

static void span_end(struct mission *m, const struct span *s, const char *error_type,
                     const char *text, const char *output)
{
    struct line l;
    line_begin(&l, m->p, s->agent, error_type ? "error" : "info", text);
    line_str(&l, "kind", "span_end");
    line_str(&l, "operation", s->operation);
    line_str(&l, "status", error_type ? "error" : "ok");
    line_str(&l, "error_type", error_type);
    line_str(&l, "tool", s->tool);
    line_str(&l, "call_id", s->call);
    line_str(&l, "output", output);
    line_num(&l, "duration_ms", (double)(m->t - s->began) / (double)m->p->speed);
    common(m, &l, s);
    line_end(&l, m->t);
}

static void pass(struct mission *m, int64_t lo, int64_t hi)
{
    m->t += play_between(m->p, lo, hi);
}

/* A model call; rate limits are waited for, mostly with success. */
static void think(struct mission *m, const struct span *parent, const char *agent,
                  const char *prompt, const char *answer)
{
    int which = (int)play_rand(m->p, 4),
        tries = play_chance(m->p, 12) ? 1 + (int)play_rand(m->p, 3) : 0;
    char text[160];
    for (int i = 1; i <= tries; i++) {
        struct line l;
        snprintf(text, sizeof(text), "rate limited by %s (429), retry %d in %d s",
                 models[which].name, i, 1 << i);
        line_begin(&l, m->p, agent, i == 3 ? "error" : "warn", text);
        line_str(&l, "event", "rate_limit");
        line_str(&l, "error_type", "RateLimitError");
        line_str(&l, "model", models[which].name);
        line_num(&l, "retry", i);
        common(m, &l, NULL);
        line_str(&l, "span_id", parent ? parent->id : NULL);
        line_end(&l, m->t);
        m->t += 1000 << i;
    }
    struct line l;
    char id[9], call[24];
    hex_id(m->p, id, 8);
    snprintf(call, sizeof(call), "chat_%s", id);
    int64_t began = m->t, out = play_between(m->p, 60, 900), fresh = play_between(m->p, 200, 2600);
    pass(m, 500, 900 + out * 4);
    uint32_t cached = m->context;
    m->context += (uint32_t)(fresh + out);
    struct span s = { .agent = agent };
    hex_id(m->p, s.id, 16);
    if (parent)
        memcpy(s.parent, parent->id, sizeof(s.parent));
    line_begin(&l, m->p, agent, "info", answer);
    line_str(&l, "kind", "span");
    line_str(&l, "operation", "chat");
    line_str(&l, "status", "ok");
    line_str(&l, "model", models[which].name);
    line_str(&l, "call_id", call);
    line_str(&l, "input", prompt);
    line_str(&l, "output", answer);
    line_num(&l, "duration_ms", (double)(m->t - began) / (double)m->p->speed);
    char usage[160];
    snprintf(usage, sizeof(usage), "{\"input\":%lld,\"cache_read\":%u,\"output\":%lld}",
             (long long)fresh, cached, (long long)out);
    line_raw(&l, "tokens", str_c(usage));
    double usd = ((double)fresh + (double)cached * 0.1) * models[which].in_usd / 1e6 +
                 (double)out * models[which].out_usd / 1e6;
    snprintf(usage, sizeof(usage), "%.6f", usd);
    line_raw(&l, "cost_usd", str_c(usage));
    common(m, &l, &s);
    line_end_late(&l, m->t, began); /* a closed span bears the time it began */
}

/* ---- tools, and what goes wrong with them ---- */

#define BASH_FAILURE                                                                               \
    "Traceback (most recent call last):\n"                                                         \
    "  File \"%s\", line %d, in test_total\n"                                                      \
    "    assert cart.total() == Decimal('19.99')\n"                                                \
    "AssertionError: assert Decimal('19.98') == Decimal('19.99')\n"                                \
    "1 failed, 41 passed in 3.12s"

static void tool_bash(struct mission *m, const struct span *parent, const char *agent,
                      bool may_fail)
{
    char input[200], output[600];
    snprintf(input, sizeof(input), "{\"command\":\"make test FILE=%s\"}", m->task->test);
    for (int attempt = 1; attempt <= 2; attempt++) {
        struct span s =
            span_start(m, parent, agent, "execute_tool bash", "bash", "run the tests", input);
        if (may_fail && attempt == 1 && play_chance(m->p, 45)) {
            if (play_chance(m->p, 30)) {
                m->t += 30000 / 4;
                span_end(m, &s, "TimeoutError", "bash: timed out after 7.5 s", NULL);
            } else {
                pass(m, 900, 4200);
                snprintf(output, sizeof(output), BASH_FAILURE, m->task->test,
                         (int)play_between(m->p, 12, 300));
                span_end(m, &s, "ToolError", "bash: exit status 1", output);
            }
            say(m, parent, agent, "warn", "retry", "tests fail: reading the code again");
            think(m, parent, agent, "The test fails. What is wrong?",
                  "The sum is rounded per line; it must be rounded once, at the end.");
            continue;
        }
        pass(m, 700, 3800);
        span_end(m, &s, NULL, "bash: exit status 0", "42 passed in 2.87s");
        return;
    }
}

static void tool_read(struct mission *m, const struct span *parent, const char *agent)
{
    char input[160], output[300];
    snprintf(input, sizeof(input), "{\"path\":\"%s\"}", m->task->file);
    struct span s =
        span_start(m, parent, agent, "execute_tool read_file", "read_file", m->task->file, input);
    pass(m, 8, 60);
    if (play_chance(m->p, 6)) {
        snprintf(output, sizeof(output), "ENOENT: no such file: %s", m->task->file);
        span_end(m, &s, "FileNotFoundError", output, NULL);
        return;
    }
    snprintf(output, sizeof(output),
             "# %s, %d lines\ndef total(self):\n    return sum(line.price * "
             "line.count for line in self.lines)\n",
             m->task->file, (int)play_between(m->p, 40, 700));
    span_end(m, &s, NULL, "read_file: done", output);
}

static void tool_search(struct mission *m, const struct span *parent)
{
    char input[200];
    snprintf(input, sizeof(input), "{\"query\":\"%s\"}", m->task->query);
    struct span s = span_start(m, parent, "researcher", "execute_tool web_search", "web_search",
                               m->task->query, input);
    pass(m, 300, 1900);
    if (play_chance(m->p, 14)) {
        span_end(m, &s, "ConnectionError", "web_search: connection refused by search-proxy:3128",
                 NULL);
        say(m, parent, "researcher", "warn", "retry", "search proxy is down, trying the mirror");
        s = span_start(m, parent, "researcher", "execute_tool web_search", "web_search",
                       m->task->query, input);
        pass(m, 400, 1500);
    }
    span_end(
        m, &s, NULL, "web_search: 10 results",
        "1. A practical guide\n2. Answers of the community\n3. The specification, section 4.2");
}

static void tool_sql(struct mission *m, const struct span *parent)
{
    char input[240];
    snprintf(input, sizeof(input), "{\"sql\":\"SELECT status, count(*) FROM %s GROUP BY 1\"}",
             m->task->table);
    struct span s =
        span_start(m, parent, "researcher", "execute_tool sql", "sql", m->task->table, input);
    pass(m, 15, 900);
    if (play_chance(m->p, 10)) {
        char text[160];
        snprintf(text, sizeof(text), "sql: relation \"%s\" does not exist", m->task->table);
        span_end(m, &s, "UndefinedTable", text, NULL);
        say(m, parent, "researcher", "error", "tool_error",
            "the reporting database lags behind its schema");
        return;
    }
    span_end(m, &s, NULL, "sql: 4 rows", "open 120\npaid 4181\nvoid 37\nlate 64");
}

/* ---- the acts ---- */

static void research(struct mission *m, const struct span *root)
{
    struct span s = span_start(m, root, "researcher", "invoke_agent researcher", NULL,
                               "find out what is known", NULL);
    pass(m, 100, 500);
    tool_search(m, &s);
    if (play_chance(m->p, 60))
        tool_sql(m, &s);
    think(m, &s, "researcher", "Summarise what matters for the task.",
          "Three sources agree; the change is small and safe.");
    span_end(m, &s, NULL, "research done", NULL);
}

static void code(struct mission *m, const struct span *root, bool second)
{
    struct span s = span_start(m, root, "coder", "invoke_agent coder", NULL,
                               second ? "work in the review" : "write the change", NULL);
    pass(m, 100, 400);
    tool_read(m, &s, "coder");
    think(m, &s, "coder", "Here is the file. Write the change.",
          "I will round once at the end and add a test for three thirds.");
    struct span e =
        span_start(m, &s, "coder", "execute_tool edit_file", "edit_file", m->task->file, NULL);
    pass(m, 20, 120);
    span_end(m, &e, NULL, "edit_file: 2 hunks applied", NULL);
    tool_bash(m, &s, "coder", !second);
    if (m->context > 60000) {
        say(m, &s, "coder", "warn", "compaction", "context is 94 % full: compacting the session");
        m->context = 9000;
    }
    span_end(m, &s, NULL, "change ready", NULL);
}

static bool review(struct mission *m, const struct span *root, bool again)
{
    struct span s =
        span_start(m, root, "reviewer", "invoke_agent reviewer", NULL, "read the change", NULL);
    think(m, &s, "reviewer", "Review this diff for correctness and style.",
          again ? "Good now." : "The rounding is right; a name misleads.");
    bool accept = again || play_chance(m->p, 65);
    say(m, &s, "reviewer", accept ? "info" : "warn", "review",
        accept ? "approved" : "changes requested: name the helper after what it does");
    span_end(m, &s, NULL, accept ? "approved" : "changes requested", NULL);
    return accept;
}

static void finale(struct mission *m, const struct span *root)
{
    if (play_chance(m->p, 6)) {
        say(m, root, "planner", "critical", "budget",
            "mission stopped: the budget of 2.00 USD is spent");
        span_end(m, root, "BudgetExceeded", "mission stopped", NULL);
        return;
    }
    if (play_chance(m->p, 8)) { /* an agent that simply disappears: its span stays open */
        say(m, root, "planner", "error", "heartbeat", "no sign of life from worker-3 for 10 s");
        return;
    }
    char text[160];
    snprintf(text, sizeof(text), "done: %s", m->task->title);
    span_end(m, root, NULL, text, NULL);
}

void cast_mission(struct play *p, int64_t at_ms)
{
    struct mission m = { .p = p, .task = PICK(p, tasks), .t = at_ms };
    char text[200], day[5];
    uint32_t *context = &p->contexts[m.task - tasks];
    bool long_one = play_chance(p, 50); /* half of the work goes on in one session a repository */
    hex_id(p, m.trace, 32);
    hex_id(p, day, 4);
    snprintf(m.session, sizeof(m.session), "%s-%s", m.task->repo, long_one ? "main" : day);
    m.context = long_one && *context ? *context : 1500;
    snprintf(text, sizeof(text), "new task for %s: %s", m.task->repo, m.task->title);
    say(&m, NULL, "planner", "info", "user_message", text);
    pass(&m, 50, 300);
    struct span root =
        span_start(&m, NULL, "planner", "invoke_agent planner", NULL, m.task->title, NULL);
    think(&m, &root, "planner", m.task->title,
          "1. look at the code  2. ask the researcher  3. change  4. test  5. review");
    say(&m, &root, "planner", "debug", "plan", "five steps, two agents, one reviewer");
    int64_t fork = m.t; /* researcher and coder work side by side */
    research(&m, &root);
    int64_t researched = m.t;
    m.t = fork + play_between(p, 200, 1500);
    code(&m, &root, false);
    if (m.t < researched)
        m.t = researched;
    pass(&m, 200, 900);
    if (!review(&m, &root, false)) {
        code(&m, &root, true);
        (void)review(&m, &root, true);
    }
    pass(&m, 100, 600);
    finale(&m, &root);
    if (long_one)
        *context = m.context;
    if (play_chance(p, 50))
        play_add(p, m.t + play_between(p, 2000, 9000), 0, NULL, "reviewer: resolves an error");
}
