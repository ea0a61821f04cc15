/* fuzz_store.c: the store's own files with hostile contents: WAL, manifest, state, segment, batch
 * file, list of deleted rows. The first byte picks the file, the rest replaces it. Opening, reading
 * and verifying may fail, but only by saying so. In fuzzing builds checksums always agree, so that
 * the parsers behind them are reached. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/io.h"
#include "model/batch.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define WITH_DEAD                                                                                  \
    250           /* from here on the file is a list of deleted rows, and something is deleted */
#define LARGE 300 /* stored bytes past which a batch gets a file of its own here */

static void append(struct store *s, int64_t t, str text)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 20);
    buf_init(&out, 1u << 20);
    if (batch_new(&b, &a, &err))
        abort();
    for (int i = 0; i < 3; i++) {
        bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), t + i);
        bcol_put_text(batch_col(b, STR("agent"), V_STR), STR("a"));
        bcol_put_text(batch_col(b, STR("message"), V_STR), text);
        batch_end_row(b);
    }
    if (batch_encode(b, &out, &err))
        abort();
    arena_deinit(&a);
    size_t bytes;
    char *p = buf_take(&out, &bytes);
    if (store_append_wait(s, p, bytes, 3, NULL, &err))
        abort();
}

/* long enough for a file of its own, and lz4 finds something in it */
static str large_text(void)
{
    static char text[4096];
    for (uint32_t i = 0, x = 1; i < sizeof text; i++, x = x * 1103515245 + 12345)
        text[i] = i % 64 < 40 ? (char)('a' + x / 65536 % 26) : ' ';
    return str_n(text, sizeof text);
}

static struct store *open_store(struct io *io)
{
    struct store_config cfg;
    struct store *s;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.big_batch_bytes = LARGE;
    return store_open(&s, io, &cfg, &err) ? NULL : s;
}

static void replace(struct io *io, uint8_t which, const uint8_t *data, size_t n)
{
    char day[11], path[80];
    struct io_file *f;
    struct err err = ERR_INIT;
    ts_format_day(io->ops->now(io), day);
    if (which >= WITH_DEAD)
        snprintf(path, sizeof path, "p/%s.0/000000000001-000000000002.dead", day);
    else if (which % 5 == 0)
        snprintf(path, sizeof path, "wal/000000000002.wal");
    else if (which % 5 == 1)
        snprintf(path, sizeof path, "MANIFEST-000001");
    else if (which % 5 == 2)
        snprintf(path, sizeof path, "STATE-000001");
    else if (which % 5 == 4)
        snprintf(path, sizeof path, "wal/000000000001.big");
    else
        snprintf(path, sizeof path, "p/%s.0/000000000001.seg", day);
    if (io->ops->open(io, &f, path, IO_WRITE, &err))
        abort();
    f->io->ops->truncate(f, 0, &err);
    f->io->ops->pwrite(f, data, n, 0, &err);
    io_close(f);
}

static void delete_second(struct store *s)
{
    struct arena a;
    struct err err = ERR_INIT;
    uint64_t n = 0;
    arena_init(&a, 1u << 16);
    if (store_delete(s, pred_seq_range(&a, 2, 2), false, &n, &err) || n != 1)
        abort();
    arena_deinit(&a);
}

/* what rests on a list's summary and bitmaps beside scans */
static void use_dead(struct store *s)
{
    struct arena a;
    struct store_summary sum;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 24);
    store_summary(s, &a, &sum, &err);
    err_reset(&err);
    store_merge(s, &err);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct io *io;
    struct err err = ERR_INIT;
    if (n < 1 || io_mem_new(&io, 1, &err))
        return 0;
    struct store *s = open_store(io);
    append(s, 1000, STR("some text"));
    store_mark(s, &(struct mark){ .seq = 1, .resolved = true, .by = STR("x") }, 1, NULL, &err);
    store_flush(s, &err);
    if (data[0] >= WITH_DEAD)
        delete_second(s);
    append(s, 2000, STR("some text"));
    append(s, 3000, large_text());
    store_close(s);
    replace(io, data[0], data + 1, n - 1);
    s = open_store(io);
    if (s) {
        struct scan *sc;
        struct scan_block sb;
        if (store_scan(s, &(struct scan_plan){ .marks = true }, &sc, &err) == 0) {
            while (scan_next(sc, &sb, &err) == 0)
                for (uint32_t c = 0; c < sb.block->ncols; c++) {
                    const struct colv *v;
                    if (block_load(sb.block, c, &v, &err))
                        break;
                }
            scan_close(sc);
        }
        if (data[0] >= WITH_DEAD)
            use_dead(s);
        store_close(s);
    }
    struct verify_report rep = { 0 };
    store_verify(io, &rep, &err);
    io_free(io);
    return 0;
}
