/* sender.c: see sender.h. */
#include "cli/sender.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "cli/doc.h"
#include "cli/target.h"
#include "codec/zip.h"

int sender_init(struct sender *s, struct cli *c, struct client *client, const char *path)
{
    unsigned char random[16];
    memset(s, 0, sizeof(*s));
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return cli_fail(c, EXIT_OS, NULL, "cannot get random bytes: %s", strerror(errno));
    for (int i = 0; i < 16; i++)
        snprintf(s->run + i * 2, 3, "%02x", random[i]);
    s->c = c;
    s->client = client;
    s->patience_ns = 120 * NS_PER_S;
    snprintf(s->path, sizeof(s->path), "%s", path);
    buf_init(&s->body, 64u << 20);
    buf_init(&s->packed, 64u << 20);
    return 0;
}

void sender_deinit(struct sender *s)
{
    buf_deinit(&s->body);
    buf_deinit(&s->packed);
}

void sender_reject(struct sender *s, const char *file, uint64_t line, const char *reason)
{
    s->rejected++;
    if (s->nreasons == SENDER_REASONS)
        return;
    s->reasons[s->nreasons].file = file;
    s->reasons[s->nreasons].line = line;
    snprintf(s->reasons[s->nreasons++].reason, sizeof(s->reasons[0].reason), "%s", reason);
}

/* `{accepted, rejected, duplicates, errors:[{index, reason}]}`; false when it is not that */
static bool account(struct sender *s, str text)
{
    struct arena a;
    struct jv *root;
    struct err err = ERR_INIT;
    bool ok = false;
    arena_init(&a, 256u << 20);
    if (doc_parse(&root, &a, text, &err) == 0 && jv_get(root, "accepted")) {
        int64_t described = 0, rejected = jv_int(jv_get(root, "rejected"), 0);
        ok = true;
        s->accepted += (uint64_t)jv_int(jv_get(root, "accepted"), 0);
        s->duplicates += (uint64_t)jv_int(jv_get(root, "duplicates"), 0);
        JV_EACH(e, jv_get(root, "errors"))
        {
            int64_t i = jv_int(jv_get(e, "index"), -1);
            char reason[200];
            bool known = i >= 0 && i < s->n;
            str why = jv_get_str(e, "reason"); /* "entry 17: …" counts within a batch */
            size_t colon = str_starts(why, STR("entry ")) ? str_find(why, STR(": ")) : SIZE_MAX;
            why = colon == SIZE_MAX ? why : str_skip(why, colon + 2);
            snprintf(reason, sizeof(reason), "%.*s", STR_FMT(why));
            sender_reject(s, known ? s->origin[i].file : "?", known ? s->origin[i].line : 0,
                          reason);
            described++;
        }
        if (rejected > described)
            s->rejected += (uint64_t)(rejected - described);
    }
    arena_deinit(&a);
    return ok;
}

static void nap(const struct sender *s, int64_t ns)
{
    int64_t until = clock_mono() + ns;
    while (!target_stop && clock_mono() < until) {
        struct timespec ts = { 0, 20000000 };
        nanosleep(&ts, NULL);
        if (s->on_wait)
            s->on_wait(s->wait_ctx);
    }
}

/* is it worth trying again? */
static bool passing(const struct call *call, const struct err *err)
{
    return call->status == 429 || call->status >= 500 || strcmp(err->slug, SLUG_UNREACHABLE) == 0;
}

/* one batch until it is in or hopeless */
static int deliver(struct sender *s, struct call *call)
{
    struct buf answer, refusal;
    int64_t began = clock_mono(), pause = 200 * NS_PER_MS;
    int rc;
    buf_init(&answer, 16u << 20);
    buf_init(&refusal, 16u << 20);
    call->out = &answer;
    call->refusal = &refusal;
    for (;;) {
        struct err err = ERR_INIT;
        buf_reset(&answer);
        buf_reset(&refusal);
        rc = client_call(s->client, call, &err);
        if (rc == 0) {
            if (!account(s, buf_str(&answer)))
                rc = cli_fail(s->c, EXIT_DATA, NULL, "the server's answer is not understood");
            break;
        }
        if (call->status == 400 && account(s, buf_str(&refusal))) {
            rc = 0; /* every entry of the batch was refused: counted */
            break;
        }
        bool late = s->patience_ns && clock_mono() - began > s->patience_ns;
        if (!passing(call, &err) || late || target_stop) {
            rc = cli_fail_err(s->c, &err);
            break;
        }
        if (!s->waited_note)
            cli_note(s->c, "%s; trying again", err.msg);
        s->waited_note = 1;
        nap(s, call->retry_after_s > 0 ? call->retry_after_s * NS_PER_S : pause);
        pause = pause * 2 > 10 * NS_PER_S ? 10 * NS_PER_S : pause * 2;
    }
    if (rc == 0)
        s->waited_note = 0;
    buf_deinit(&answer);
    buf_deinit(&refusal);
    return rc;
}

int sender_flush(struct sender *s)
{
    struct err err = ERR_INIT;
    char key[64];
    if (!s->n)
        return 0;
    snprintf(key, sizeof(key), "cli-%s-%llu", s->run, (unsigned long long)s->batches++);
    struct call call = { .method = "POST",
                         .path = s->path,
                         .body = buf_str(&s->body),
                         .type = "application/x-ndjson",
                         .idempotency_key = key,
                         .timeout_ms = 120000,
                         .on_wait = s->on_wait,
                         .wait_ctx = s->wait_ctx,
                         .to_the_end = true };
    buf_reset(&s->packed);
    if (s->body.n >= 512 && zip_encode(ZIP_ZSTD, buf_str(&s->body), &s->packed, &err) == 0 &&
        buf_ok(&s->packed) && s->packed.n < s->body.n) {
        call.body = buf_str(&s->packed);
        call.encoding = "zstd";
    }
    int rc = deliver(s, &call);
    buf_reset(&s->body);
    s->n = 0;
    return rc;
}

int sender_add(struct sender *s, str entry, const char *file, uint64_t line)
{
    int rc = 0;
    if (s->n && (s->n == SENDER_ENTRIES || s->body.n + entry.n + 1 > SENDER_BYTES))
        rc = sender_flush(s);
    if (rc)
        return rc;
    buf_putstr(&s->body, entry);
    buf_putc(&s->body, '\n');
    if (!buf_ok(&s->body))
        return cli_fail(s->c, EXIT_OS, NULL, "out of memory");
    s->origin[s->n].file = file;
    s->origin[s->n++].line = line;
    return 0;
}
