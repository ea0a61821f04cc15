/* decode_bench.c: how fast NDJSON becomes columns (target T3).
 *
 * Makes 100 MB of agent log lines of about 250 bytes, the same on every run, cut into bodies of 1
 * MiB as shippers send them, and reports the best of several passes in MB/s of input for: the
 * tokenizer alone, decoding into a batch, decoding and encoding the payload the WAL stores. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/json.h"
#include "ingest/ingest.h"

#define TOTAL ((size_t)100 << 20)
#define BODY ((size_t)1 << 20)
#define PASSES 5

static uint64_t rng = 0x9e3779b97f4a7c15ull;

static uint64_t next_random(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

static const char *pick(const char *const *list, size_t n)
{
    return list[next_random() % n];
}
#define PICK(list) pick(list, sizeof list / sizeof *list)

static void put_line(struct buf *b, uint64_t ms)
{
    static const char *const agents[] = {
        "planner", "coder",    "reviewer", "researcher", "tester",
        "svc-db",  "svc-auth", "router",   "writer",     "critic"
    };
    static const char *const levels[] = {
        "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"
    };
    static const char *const texts[] = { "Calling tool with arguments from the plan",
                                         "Received response from model, parsing tool calls",
                                         "Retrying request after rate limit, attempt",
                                         "Connection to port refused by upstream host",
                                         "Step finished, handing over to the next agent" };
    static const char *const tools[] = { "read_file", "search", "bash", "edit", "fetch" };
    uint64_t s = ms / 1000, id = next_random();
    buf_printf(
        b,
        "{\"timestamp\":\"2026-11-21T%02u:%02u:%02u.%03uZ\",\"level\":\"%s\",\"agent\":\"%s\","
        "\"session_id\":\"s-%06x\",\"trace_id\":\"%016llx%016llx\",\"message\":\"%s %u\","
        "\"tool\":\"%s\",\"duration_ms\":%u.%u,\"port\":%u}\n",
        (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60), (unsigned)(s % 60),
        (unsigned)(ms % 1000), PICK(levels), PICK(agents), (unsigned)(id & 0xffff),
        (unsigned long long)id, (unsigned long long)(id * 0x9e3779b97f4a7c15ull), PICK(texts),
        (unsigned)(id >> 40), PICK(tools), (unsigned)(id % 5000), (unsigned)(id >> 20 & 7) + 1,
        (unsigned)(id >> 30 & 0xffff));
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t tokenize(str body, struct err *err)
{
    struct json_rd r;
    struct json_tok t;
    size_t n = 0;
    json_init(&r, body);
    while (json_next(&r, &t, err) == 0 && t.type != JSON_END)
        n++;
    return n;
}

static int decode(str body, struct arena *a, struct buf *payload, struct err *err)
{
    struct batch *b;
    struct ingest_result res;
    struct ingest_opts o = { .now = 1800000000 * NS_PER_S };
    arena_reset(a);
    int rc = batch_new(&b, a, err);
    if (!rc)
        rc = ingest_decode(DIALECT_NATIVE, body, &o, b, a, &res, err);
    if (!rc && res.rejected)
        rc = err_set(err, ERR_INVALID, "%u lines were refused", res.rejected);
    if (!rc && payload) {
        buf_reset(payload);
        rc = batch_encode(b, payload, err);
    }
    return rc;
}

int main(int argc, char **argv)
{
    int only =
        argc > 1 ? atoi(argv[1]) : -1; /* 0, 1 or 2: that measurement alone, for a profiler */
    struct buf *bodies = calloc(TOTAL / BODY + 1, sizeof *bodies);
    size_t nbodies = TOTAL / BODY, total = 0, lines = 0, payload_bytes = 0;
    struct arena a;
    struct buf payload;
    struct err err = ERR_INIT;
    double best[3] = { 1e9, 1e9, 1e9 };
    if (!bodies)
        return 1;
    arena_init(&a, (size_t)1 << 30);
    buf_init(&payload, (size_t)1 << 30);
    for (size_t i = 0; i < nbodies; i++) {
        buf_init(&bodies[i], BODY + 4096);
        for (; bodies[i].n < BODY - 512; lines++)
            put_line(&bodies[i], lines * 7);
        total += bodies[i].n;
    }
    int rc = 0;
    size_t tokens = 0;
    for (int pass = 0; pass < PASSES && !rc; pass++)
        for (int what = 0; what < 3 && !rc; what++) {
            if (only >= 0 && what != only)
                continue;
            double t = now();
            payload_bytes = tokens = 0;
            for (size_t i = 0; i < nbodies && !rc; i++) {
                if (what == 0)
                    tokens += tokenize(buf_str(&bodies[i]), &err);
                else
                    rc = decode(buf_str(&bodies[i]), &a, what == 2 ? &payload : NULL, &err);
                payload_bytes += payload.n;
            }
            t = now() - t;
            best[what] = t < best[what] ? t : best[what];
        }
    if (rc) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    double mb = (double)total / 1e6;
    printf("lines            %zu of %.0f bytes\n", lines, (double)total / (double)lines);
    printf("tokenizer        %7.0f MB/s\n", mb / best[0]);
    printf("decode           %7.0f MB/s  %.0f ns a line\n", mb / best[1],
           best[1] * 1e9 / (double)lines);
    printf("decode + encode  %7.0f MB/s  %.0f ns a line, payload %.0f bytes a line\n", mb / best[2],
           best[2] * 1e9 / (double)lines, (double)payload_bytes / (double)lines);
    for (size_t i = 0; i < nbodies; i++)
        buf_deinit(&bodies[i]);
    free(bodies);
    buf_deinit(&payload);
    arena_deinit(&a);
    return 0;
}
