/* demo_replay.c: recorded runs of real agents, told again in real time.
 *
 *   tau-bench    [ {task_id, reward, traj: [ {role, content, tool_calls?, name?} ]} ]
 *   intercode    { "0": {environment, query, turn_history: {actions, observations, rewards}} },
 *                or the same below "logs"
 *   SWE-agent    { trajectory: [ {action, observation, thought, execution_time} ], info }
 *   Claude Code  lines of {type: user|assistant, message: {role, content, usage?}, sessionId}
 *
 * Some runs go on at a time, each at the pace of reading and writing; what is not understood in a
 * file is left out, a file in which nothing is understood is an error. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/demo.h"
#include "cli/doc.h"
#include "cli/feed.h"

#define FILE_MAX (512u << 20)
#define TEXT_CUT (64u << 10)
#define LANES 4

struct replay {
    struct play *p;
    struct arena *a;
    int64_t lanes[LANES]; /* when each is free */
    uint32_t runs;
    int64_t end;
};

/* one run being told */
struct run {
    struct play *p;
    const char *agent;
    char trace[33], session[80];
    int64_t t;
    int64_t *lane;
};

static struct run run_begin(struct replay *r, const char *agent, const char *session)
{
    int best = 0;
    for (int i = 1; i < LANES; i++)
        if (r->lanes[i] < r->lanes[best])
            best = i;
    struct run run = { .p = r->p,
                       .agent = agent,
                       .lane = &r->lanes[best],
                       .t = r->lanes[best] + play_between(r->p, 200, 2500) };
    hex_id(r->p, run.trace, 32);
    snprintf(run.session, sizeof(run.session), "%s", session);
    r->runs++;
    return run;
}

static void run_end(struct replay *r, struct run *run)
{
    *run->lane = run->t;
    if (run->t > r->end)
        r->end = run->t;
}

/* time goes by as text is read or written */
static void pace(struct run *run, size_t bytes)
{
    size_t ms = 250 + bytes / 2;
    run->t += play_between(run->p, 150, ms > 2500 ? 2500 : (int64_t)ms);
}

static str cut(str s)
{
    while (s.n > TEXT_CUT || (s.n == TEXT_CUT && (s.p[s.n - 1] & 0x80)))
        s.n = s.n > TEXT_CUT ? TEXT_CUT : s.n - 1; /* never inside a character */
    return s;
}

/* the first line, as a message */
static str headline(str s)
{
    size_t nl = str_chr(s, '\n');
    s = str_trim(nl == SIZE_MAX ? s : str_sub(s, 0, nl));
    if (s.n > 300) {
        s.n = 300;
        while (s.n && (s.p[s.n] & 0xc0) == 0x80)
            s.n--;
    }
    return s;
}

static void open_line(struct line *l, struct run *run, const char *agent, const char *level,
                      const char *event, str message)
{
    char head[304];
    snprintf(head, sizeof(head), "%.*s", STR_FMT(headline(message)));
    line_begin(l, run->p, agent, level, NULL);
    line_text(l, "message", cut(message));
    snprintf(l->label, sizeof(l->label), "%s: %.48s", agent, head);
    line_str(l, "event", event);
    line_str(l, "trace_id", run->trace);
    line_str(l, "session_id", run->session);
}

static void turn(struct run *run, const char *agent, const char *level, const char *event,
                 str message)
{
    struct line l;
    if (!message.n)
        return;
    pace(run, message.n);
    open_line(&l, run, agent, level, event, message);
    line_str(&l, "kind", "turn");
    line_end(&l, run->t);
}

static bool looks_bad(str output)
{
    str head = str_sub(output, 0, 200);
    return str_find(head, STR("Error")) != SIZE_MAX || str_find(head, STR("Traceback")) != SIZE_MAX;
}

static void tool_call(struct run *run, str tool, str call, str input)
{
    struct line l;
    char text[200];
    pace(run, input.n);
    snprintf(text, sizeof(text), "calls %.*s", (int)(tool.n < 100 ? tool.n : 100), tool.p);
    open_line(&l, run, run->agent, "info", "tool_call", str_c(text));
    line_text(&l, "tool", tool);
    line_text(&l, "call_id", call);
    line_text(&l, "input", cut(input));
    line_end(&l, run->t);
}

static void tool_result(struct run *run, str tool, str call, str output)
{
    struct line l;
    bool bad = looks_bad(output);
    int64_t began = run->t;
    pace(run, output.n);
    open_line(&l, run, tool.n ? "tools" : run->agent, bad ? "error" : "info", "tool_result",
              headline(output).n ? headline(output) : STR("(no output)"));
    line_text(&l, "tool", tool);
    line_text(&l, "call_id", call);
    line_text(&l, "output", cut(output));
    line_str(&l, "status", bad ? "error" : "ok");
    line_num(&l, "duration_ms", (double)(run->t - began) / (double)run->p->speed);
    line_end(&l, run->t);
}

static void verdict(struct run *run, const char *agent, double reward, const char *what)
{
    struct line l;
    char text[120];
    run->t += 200;
    snprintf(text, sizeof(text), "%s: reward %.2f", what, reward);
    open_line(&l, run, agent, reward > 0 ? "info" : "warn", "reward", str_c(text));
    line_num(&l, "reward", reward);
    line_end(&l, run->t);
}

/* ---- tau-bench ---- */

static void tau_run(struct replay *r, const struct jv *one)
{
    char session[80];
    snprintf(session, sizeof(session), "task-%lld-%lld",
             (long long)jv_int(jv_get(one, "task_id"), 0),
             (long long)jv_int(jv_get(one, "trial"), 0));
    struct run run = run_begin(r, "assistant", session);
    JV_EACH(m, jv_get(one, "traj"))
    {
        str role = jv_get_str(m, "role"), content = jv_get_str(m, "content");
        if (str_eq(role, STR("tool"))) {
            tool_result(&run, jv_get_str(m, "name"), jv_get_str(m, "tool_call_id"), content);
        } else if (str_eq(role, STR("assistant"))) {
            turn(&run, "assistant", "info", "assistant_message", content);
            JV_EACH(call, jv_get(m, "tool_calls"))
            {
                const struct jv *f = jv_get(call, "function");
                tool_call(&run, jv_get_str(f, "name"), jv_get_str(call, "id"),
                          jv_get_str(f, "arguments"));
            }
        } else if (str_eq(role, STR("user"))) {
            turn(&run, "user", "info", "user_message", content);
        } else {
            turn(&run, "assistant", "debug", "system_prompt", content);
        }
    }
    verdict(&run, "assistant", jv_num(jv_get(one, "reward"), 0), "task finished");
    run_end(r, &run);
}

/* ---- intercode ---- */

static bool intercode_run(struct replay *r, const struct jv *one)
{
    const struct jv *h = jv_get(one, "turn_history"), *actions = jv_get(h, "actions"),
                    *seen = jv_get(h, "observations"), *rewards = jv_get(h, "rewards");
    if (!jv_is(actions, JSON_ARR) || !jv_is(seen, JSON_ARR))
        return false;
    char session[80], tool[40];
    str env = jv_get_str(one, "environment");
    snprintf(session, sizeof(session), "%.*s-%lld", (int)(env.n < 40 ? env.n : 40),
             env.n ? env.p : "", (long long)jv_int(jv_get(one, "task_id"), 0));
    snprintf(tool, sizeof(tool), "%s", str_ends(env, STR("sql")) ? "sql" : "bash");
    struct run run = run_begin(r, "coder", session);
    turn(&run, "user", "info", "user_message", jv_get_str(one, "query"));
    const struct jv *o = seen->first, *w = rewards ? rewards->first : NULL;
    double reward = 0;
    JV_EACH(a, actions)
    {
        char call[9];
        hex_id(run.p, call, 8);
        tool_call(&run, str_c(tool), str_c(call), jv_str(a));
        tool_result(&run, str_c(tool), str_c(call), jv_str(o));
        reward = jv_num(w, reward);
        o = o ? o->next : NULL;
        w = w ? w->next : NULL;
    }
    verdict(&run, "judge", reward, "task finished");
    run_end(r, &run);
    return true;
}

/* ---- SWE-agent ---- */

static void swe_run(struct replay *r, const struct jv *root)
{
    struct run run = run_begin(r, "swe-agent", "swe-agent");
    JV_EACH(step, jv_get(root, "trajectory"))
    {
        char call[9];
        hex_id(run.p, call, 8);
        turn(&run, run.agent, "info", "thought", jv_get_str(step, "thought"));
        tool_call(&run, STR("shell"), str_c(call), jv_get_str(step, "action"));
        tool_result(&run, STR("shell"), str_c(call), jv_get_str(step, "observation"));
    }
    turn(&run, run.agent, "info", "submission", jv_get_str(jv_get(root, "info"), "submission"));
    run_end(r, &run);
}

/* ---- Claude Code ---- */

static void claude_part(struct run *run, const char *who, const struct jv *part)
{
    str type = jv_get_str(part, "type");
    if (str_eq(type, STR("text"))) {
        turn(run, who, "info", strcmp(who, "user") == 0 ? "user_message" : "assistant_message",
             jv_get_str(part, "text"));
    } else if (str_eq(type, STR("thinking"))) {
        turn(run, who, "debug", "thinking", jv_get_str(part, "thinking"));
    } else if (str_eq(type, STR("tool_use"))) {
        const struct jv *in = jv_get(part, "input");
        tool_call(run, jv_get_str(part, "name"), jv_get_str(part, "id"), in ? in->text : STR_NULL);
    } else if (str_eq(type, STR("tool_result"))) {
        const struct jv *c = jv_get(part, "content");
        tool_result(run, STR_NULL, jv_get_str(part, "tool_use_id"),
                    jv_is(c, JSON_STR) ? c->text
                    : c                ? c->text
                                       : STR_NULL);
    }
}

static bool claude_line(struct replay *r, struct run *run, bool *begun, const struct jv *v)
{
    str type = jv_get_str(v, "type"), session = jv_get_str(v, "sessionId");
    const struct jv *message = jv_get(v, "message"), *content = jv_get(message, "content");
    bool user = str_eq(type, STR("user"));
    if ((!user && !str_eq(type, STR("assistant"))) || !content)
        return false;
    if (!*begun) {
        char name[80];
        snprintf(name, sizeof(name), "%.*s", (int)(session.n < 79 ? session.n : 79),
                 session.n ? session.p : "session");
        *run = run_begin(r, "claude-code", name);
        *begun = true;
    }
    const char *who = user ? "user" : "claude-code";
    if (jv_is(content, JSON_STR))
        turn(run, who, "info", user ? "user_message" : "assistant_message", content->text);
    JV_EACH(part, jv_is(content, JSON_ARR) ? content : NULL)
    claude_part(run, who, part);
    return true;
}

static int claude_file(struct replay *r, const char *path, struct err *err)
{
    struct feed *f;
    struct run run;
    bool begun = false;
    str line;
    int rc = feed_open(&f, path, false, false, err);
    if (rc < 0)
        return rc;
    while ((rc = feed_line(f, &line, err)) == FEED_ITEM || rc == FEED_TOO_LONG) {
        struct arena a;
        struct jv *v;
        struct err ignored = ERR_INIT; /* transcripts have odd lines in them */
        arena_init(&a, 64u << 20);
        if (rc == FEED_ITEM && doc_parse(&v, &a, line, &ignored) == 0)
            (void)claude_line(r, &run, &begun, v);
        arena_deinit(&a);
    }
    feed_close(f);
    if (begun)
        run_end(r, &run);
    return rc < 0 ? rc : 0;
}

/* ---- files ---- */

static int whole_file(struct feed *f, struct buf *out, struct err *err)
{
    str piece;
    int rc;
    while ((rc = feed_chunk(f, &piece, err)) == FEED_ITEM)
        buf_putstr(out, piece);
    if (rc < 0)
        return rc;
    return buf_ok(out) ? 0 : err_set(err, ERR_LIMIT, "%s is too large to replay", feed_path(f));
}

static void by_shape(struct replay *r, const struct jv *root)
{
    if (jv_is(root, JSON_ARR)) {
        JV_EACH(one, root)
        if (jv_is(jv_get(one, "traj"), JSON_ARR))
            tau_run(r, one);
    } else if (jv_is(jv_get(root, "trajectory"), JSON_ARR)) {
        swe_run(r, root);
    } else {
        const struct jv *logs = jv_get(root, "logs"); /* some files keep the runs below this */
        JV_EACH(one, logs ? logs : root)
        (void)intercode_run(r, one);
    }
}

int replay_file(struct play *p, const char *path, int64_t at_ms, int64_t *ret_end,
                uint32_t *ret_runs, struct err *err)
{
    struct feed *f;
    struct buf text;
    struct arena a;
    struct jv *root;
    struct replay r = { .p = p, .a = &a, .end = at_ms };
    struct err parse = ERR_INIT;
    for (int i = 0; i < LANES; i++)
        r.lanes[i] = at_ms + i * 700;
    int rc = feed_open(&f, path, false, false, err);
    if (rc < 0)
        return rc;
    buf_init(&text, FILE_MAX);
    arena_init(&a, 2u << 30);
    rc = whole_file(f, &text, err);
    feed_close(f);
    if (rc == 0 && doc_parse(&root, &a, buf_str(&text), &parse) == 0)
        by_shape(&r, root);
    else if (rc == 0) /* not one document: lines of a transcript */
        rc = claude_file(&r, path, err);
    arena_deinit(&a);
    buf_deinit(&text);
    if (rc == 0 && !r.runs) {
        err_set(err, ERR_INVALID, "%s holds no trajectories that are understood", path);
        err_hint(err, "tau-bench or intercode JSON, SWE-agent .traj, Claude Code .jsonl");
        return ERR_INVALID;
    }
    *ret_end = r.end;
    *ret_runs += r.runs;
    return rc;
}
