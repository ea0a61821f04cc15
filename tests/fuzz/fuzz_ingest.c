/* fuzz_ingest.c: request bodies of every dialect, and stored payloads, shown by every view.
 *
 * The first byte picks: 0..6 a dialect for the rest; 0x80 and up: the rest is a payload as a
 * damaged disk might give it back. What was accepted must encode, and every view of it must be one
 * JSON value; views of a damaged payload must only not crash. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "ingest/ingest.h"
#include "model/ident.h"
#include "model/view.h"

#define NOW 1800000000123456789ll

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static int show(void *arg, struct block *b, struct err *err)
{
    static int (*const views[])(struct buf *, struct block *, uint32_t, struct err *) = {
        view_native, view_source, view_fleet, view_mals, view_guide, view_hook, view_attributes,
    };
    static const struct id_gen gen = { { 1, 2 } };
    bool sound = arg != NULL;
    struct buf out;
    buf_init(&out, (size_t)1 << 26);
    b->ids = &gen;
    for (uint32_t row = 0; row < b->n && row < 64; row++) {
        for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
            buf_reset(&out);
            int rc = views[i](&out, b, row, err);
            must(!sound || (rc == 0 && json_valid(buf_str(&out))));
        }
        buf_reset(&out);
        view_text(&out, b, row, row % 2, err);
        for (size_t i = 0; row % 2 == 0 && i < out.n; i++)
            must((unsigned char)out.p[i] >= ' ' && out.p[i] != 0x7f);
    }
    buf_deinit(&out);
    return 0;
}

static void decode(enum dialect d, str text)
{
    struct arena a;
    struct batch *b;
    struct err err = ERR_INIT;
    struct ingest_result res;
    struct buf body, payload;
    struct ingest_opts o = { .now = NOW };
    arena_init(&a, (size_t)256 << 20);
    buf_init(&body, (size_t)1 << 26);
    buf_init(&payload, (size_t)1 << 28);
    buf_put(&body, text.p, text.n);
    buf_reserve(&body, BUF_PAD);
    if (batch_new(&b, &a, &err) == 0) {
        int rc = ingest_decode(d, buf_str(&body), &o, b, &a, &res, &err);
        must(res.accepted == batch_rows(b));
        must(rc ? res.accepted == 0 && err.msg[0] : res.accepted + res.rejected == res.entries);
        for (uint32_t i = 0; i < res.nerrors; i++)
            must(res.errors[i].reason.n > 0 && res.errors[i].index < res.entries + 1);
        if (rc == 0 && batch_rows(b)) {
            must(batch_encode(b, &payload, &err) == 0);
            must(payload_each(buf_str(&payload), 1, NOW, &a, show, &a, &err) == 0);
        }
    }
    buf_deinit(&body);
    buf_deinit(&payload);
    arena_deinit(&a);
}

/* The same body twice in one run: what the first taught changes nothing for the second. */
static void twice(enum dialect d, str text)
{
    struct arena a;
    struct batch *b;
    struct err err = ERR_INIT;
    struct ingest_run *run = NULL;
    struct ingest_result first, second;
    struct buf body, payload;
    struct ingest_opts o = { .now = NOW };
    arena_init(&a, (size_t)512 << 20);
    buf_init(&body, (size_t)1 << 26);
    buf_init(&payload, (size_t)1 << 28);
    buf_put(&body, text.p, text.n);
    buf_reserve(&body, BUF_PAD);
    must(batch_new(&b, &a, &err) == 0 && ingest_run_new(&run, d, NULL, b, &a, &err) == 0);
    int rc = ingest_run_body(run, buf_str(&body), &o, &first, &err);
    must(ingest_run_body(run, buf_str(&body), &o, &second, &err) == rc);
    must(first.entries == second.entries && first.accepted == second.accepted);
    must(first.nerrors == second.nerrors && batch_rows(b) == 2 * first.accepted);
    ingest_run_free(run);
    if (batch_rows(b)) {
        must(batch_encode(b, &payload, &err) == 0);
        must(payload_each(buf_str(&payload), 1, NOW, &a, show, &a, &err) == 0);
    }
    buf_deinit(&body);
    buf_deinit(&payload);
    arena_deinit(&a);
}

static void damaged(str payload)
{
    struct arena a;
    struct err err = ERR_INIT;
    arena_init(&a, (size_t)256 << 20);
    payload_each(payload, 1, NOW, &a, show, NULL, &err);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    str rest = { (const char *)data + 1, size - 1 };
    enum dialect d = (enum dialect)(data[0] % DIALECT__COUNT);
    if (data[0] >= 0x80) {
        damaged(rest);
    } else {
        decode(d, rest);
        twice(d, rest);
    }
    return 0;
}
