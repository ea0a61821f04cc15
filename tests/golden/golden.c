/* golden.c: writes a golden data directory, and tells what is in one.
 *
 *   golden write DIR              a new store in DIR, the same to the byte in every run but for the
 *                                 moments at which its threads write clock frames
 *   golden facts DIR [rewrite]    opens it (writing: give it a copy), after `rewrite` merges it and
 *                                 rewrites every segment, and prints what every version must find
 *
 * Facts: every entry by rising sequence number with all its columns, marks, gap records, the first
 * answers of idempotency keys, ids of clients. Entries of the agent "leaver" are left out: their
 * deletion is what makes `rewrite` write segments anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/io.h"
#include "model/batch.h"
#include "store/store.h"

#include <pthread.h>

#define START (1767297600ll * NS_PER_S) /* 2026-01-01T20:00:00Z */
#define BIG_BYTES ((size_t)3000)        /* stored bytes past which a batch has its own file */
#define IDEMS 6
#define SHOWN 60 /* bytes of a text; of a longer one length and hash */

static ts_ns wall = START;
static uint64_t draws = 1;
static uint64_t made; /* rows */

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "golden: %s: %s\n", what, err->msg);
    exit(1);
}

static ts_ns fixed_now(struct io *io)
{
    (void)io;
    return wall;
}

static void fixed_random(struct io *io, void *p, size_t n)
{
    (void)io;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)hash_mix(draws++);
}

/* the machine's files, but time and chance are ours */
static struct io *disk(const char *dir)
{
    static struct io_ops ops;
    struct err err = ERR_INIT;
    struct io *io;
    if (io_real_new(&io, dir, true, &err))
        die("directory", &err);
    ops = *io->ops;
    ops.now = fixed_now;
    ops.random = fixed_random;
    io->ops = &ops;
    return io;
}

static void say(void *ctx, int level, const char *text)
{
    (void)ctx, (void)level;
    fprintf(stderr, "%s\n", text);
}

static struct store *open_store(struct io *io)
{
    struct store_config cfg;
    struct err err = ERR_INIT;
    struct store *s;
    store_config_default(&cfg);
    cfg.create = true;
    cfg.reserve_bytes = 0;
    cfg.big_batch_bytes = BIG_BYTES;
    cfg.on_event = say;
    if (store_open(&s, io, &cfg, &err))
        die("open", &err);
    return s;
}

/* ---- rows ---- */

static void put(struct batch *b, const char *key, enum vtype t, const char *text, struct arena *a)
{
    str s = arena_dup(a, str_c(text));
    if (!s.p || !bcol_put_text(batch_col(b, str_c(key), t), s))
        abort();
}

static void put_n(struct batch *b, const char *key, enum vtype t, int64_t v)
{
    if (!bcol_put_i64(batch_col(b, str_c(key), t), v))
        abort();
}

static void put_f(struct batch *b, const char *key, double v)
{
    if (!bcol_put_f64(batch_col(b, str_c(key), V_F64), v))
        abort();
}

static void uuid_text(uint64_t k, char out[40])
{
    uint64_t x = hash_mix(k * 2 + 1), y = hash_mix(k * 2 + 2);
    snprintf(out, 40, "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(x >> 32),
             (unsigned)(x >> 16 & 0xffff), (unsigned)(x & 0xfff), (unsigned)(y >> 52),
             (unsigned long long)(y & 0xffffffffffffull));
}

static void message(struct batch *b, uint64_t k, struct arena *a)
{
    static const char *const odd[] = { "",
                                       "two\nlines",
                                       "tab\tand \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
                                       "\xff\xfe not utf-8",
                                       "= formula",
                                       "\x1b[31mred\x1b[0m" };
    char text[12001];
    if (k % 7 == 0) {
        put(b, "message", V_STR, odd[k / 7 % 6], a);
    } else if (k % 61 == 0) { /* one that does not pack */
        for (size_t i = 0; i < sizeof text - 1; i++)
            text[i] = (char)('!' + hash_mix(k * 16384 + i) % 90);
        text[100 * (k / 61) % (sizeof text - 1)] = 0;
        put(b, "message", V_STR, text, a);
    } else {
        snprintf(text, sizeof text, "request %llu to /v1/items/%llu took %llu ms",
                 (unsigned long long)k, (unsigned long long)(k % 17),
                 (unsigned long long)(hash_mix(k) % 900));
        put(b, "message", V_STR, text, a);
    }
}

static void agent_things(struct batch *b, uint64_t k, struct arena *a)
{
    char id[40], text[64];
    snprintf(text, sizeof text, "agent-%llu", (unsigned long long)(k % 9));
    if (k % 10)
        put(b, "agent", V_STR, k % 23 == 5 ? "leaver" : k % 23 == 9 ? "doomed" : text, a);
    uuid_text(k / 25, id);
    put(b, "session_id", V_STR, id, a);
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash_mix(k / 8),
             (unsigned long long)hash_mix(k / 8 + 1));
    put(b, "trace_id", V_STR, text, a);
    text[16] = 0;
    if (k % 4)
        put(b, "span_id", V_STR, text, a);
    put(b, "kind", V_STR, k % 6 == 1 ? "turn" : k % 6 == 2 ? "span" : "log", a);
    if (k % 6 == 1) {
        put(b, "model", V_STR, "gen-4-large", a);
        put_n(b, "tokens.input", V_I64, (int64_t)(hash_mix(k) % 9000));
        put_n(b, "tokens.output", V_I64, (int64_t)(hash_mix(k + 1) % 700));
        put_f(b, "cost_usd", (double)(hash_mix(k) % 100000) / 1e6);
        put(b, "output", V_JSON, "[{\"role\":\"assistant\",\"text\":\"done\"}]", a);
    }
    if (k % 6 == 2) {
        put(b, "tool", V_STR, k % 12 == 2 ? "bash" : "read", a);
        put_f(b, "duration_ms", (double)(hash_mix(k) % 100000) / 8);
    }
    if (k % 31 == 3 && k % 23 != 5) {
        uuid_text(1000000 + k, id);
        put(b, "id", V_STR, id, a);
    }
    if (k % 12 == 0)
        put(b, "tags", V_JSON, "[\"a\",\"b\"]", a);
}

static void attributes(struct batch *b, uint64_t k, struct arena *a)
{
    static const char *const methods[] = { "GET", "PUT", "POST" };
    char text[80];
    put_n(b, "\x01http\x01status", V_I64, k % 11 ? 200 : 503);
    put(b, "\x01http\x01method", V_STR, methods[k % 3], a);
    if (k % 3 == 0)
        put(b,
            "\x01"
            "a.b",
            V_STR, "literal dot", a);
    if (k % 3 == 1)
        put(b,
            "\x01"
            "a\x01"
            "b",
            V_STR, "nested", a);
    if (k % 2)
        put_f(b, "\x01ratio", k % 14 == 3 ? 1e300 * (double)k : (double)k / 100);
    else if (k % 16 == 2)
        put_n(b, "\x01ratio", V_I64, INT64_MIN + (int64_t)k);
    else if (k % 16 == 4)
        put(b, "\x01ratio", V_NUM, "123456789012345678901234567890.5", a);
    if (k % 5 < 2)
        put_n(b, "\x01ok", V_BOOL, k % 5 == 0);
    if (k % 13 == 0)
        put_n(b, "\x01nothing", V_NULL, 0);
    snprintf(text, sizeof text, "2026-01-%02lluT%02llu:00:00.%03lluZ",
             (unsigned long long)(k % 28 + 1), (unsigned long long)(k % 24),
             (unsigned long long)(hash_mix(k) % 1000));
    put(b, "\x01when", V_STR, text, a);
    snprintf(text, sizeof text, "\x01sparse\x01k%llu", (unsigned long long)(k % 97));
    if (k % 5 == 0)
        put_n(b, text, V_I64, (int64_t)k);
    if (k % 40 == 9)
        put(b, "rest", V_JSON, "{\"\\u0001odd\":[1,{\"x\":null}]}", a);
}

/* n rows as a payload; times run ahead, lag, and now and then lie a year back */
static char *payload(uint32_t n, size_t *ret_n)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 30);
    buf_init(&out, 1u << 30);
    if (batch_new(&b, &a, &err))
        die("batch", &err);
    for (uint32_t i = 0; i < n; i++, made++) {
        ts_ns late = made % 29 == 0 ? 365 * 86400ll : (int64_t)(hash_mix(made) % 5000) - 100;
        put_n(b, "timestamp", V_I64, wall - late * NS_PER_S + (ts_ns)(made * 1001));
        put_n(b, "level", V_I64, (int64_t)(hash_mix(made) % 6));
        message(b, made, &a);
        agent_things(b, made, &a);
        attributes(b, made, &a);
        batch_end_row(b);
    }
    if (batch_encode(b, &out, &err))
        die("encode", &err);
    arena_deinit(&a);
    return buf_take(&out, ret_n);
}

/* ---- write ---- */

static void add(struct store *s, uint32_t n)
{
    struct err err = ERR_INIT;
    size_t bytes;
    char *p = payload(n, &bytes);
    wall += 3 * NS_PER_S;
    if (store_append_wait(s, p, bytes, n, NULL, &err))
        die("append", &err);
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

static void appended(struct append *a)
{
    struct waiting *w = a->user;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* Appends n rows under idempotency key `key`, whose request body hashes to `body`. */
static void add_keyed(struct store *s, uint8_t key, uint64_t body, uint32_t n, struct append *ret)
{
    struct waiting w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    *ret = (struct append){
        .rows = n, .has_idem = true, .body_hash = body, .done = appended, .user = &w
    };
    memset(ret->idem, key, sizeof ret->idem);
    ret->payload = payload(n, &ret->payload_n);
    store_append(s, ret);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
}

static void add_first(struct store *s, uint8_t key)
{
    struct append a;
    wall += NS_PER_S;
    add_keyed(s, key, key * 1000u, key + 1u, &a);
    if (a.rc || a.duplicate)
        die("append with a key", &a.err);
}

static void resolve(struct store *s, uint64_t seq, bool on)
{
    struct err err = ERR_INIT;
    struct mark m = { .seq = seq,
                      .resolved = on,
                      .by = STR("someone"),
                      .note = seq % 2 ? STR("a note, \xc3\xa4") : STR_NULL,
                      .at = wall };
    if (store_mark(s, &m, 1, NULL, &err))
        die("mark", &err);
}

static void must(int rc, const char *what, const struct err *err)
{
    if (rc)
        die(what, err);
}

static void remove_agent(struct store *s, const char *name)
{
    struct err err = ERR_INIT;
    struct arena a;
    uint64_t n;
    arena_init(&a, 1u << 20);
    must(store_delete(s, pred_eq(&a, F_AGENT, str_c(name)), false, &n, &err), "delete", &err);
    arena_deinit(&a);
}

/* Overwrites a byte of the first frame in the newest log file. */
static void damage_log(struct io *io)
{
    struct err err = ERR_INIT;
    struct io_file *f = NULL, *next;
    char path[64];
    for (unsigned n = 1; n < 100; n++) {
        snprintf(path, sizeof path, "wal/%012u.wal", n);
        if (io->ops->open(io, &next, path, IO_WRITE, &err) == 0) {
            io_close(f);
            f = next;
        }
    }
    must(f->io->ops->pwrite(f, "\xa5", 1, 64 + 88 + 150, &err), path, &err);
    io_close(f);
}

static void write_store(const char *dir)
{
    struct err err = ERR_INIT;
    struct io *io = disk(dir);
    struct store *s = open_store(io);
    for (uint32_t i = 0; i < 12; i++) /* two segments, merged into one */
        add(s, i % 4 ? 9 : 1);
    must(store_flush(s, &err), "flush", &err);
    for (uint8_t k = 0; k < 3; k++)
        add_first(s, k);
    add(s, 90); /* large: a file of its own */
    resolve(s, 5, true);
    resolve(s, 40, true);
    must(store_flush(s, &err), "flush", &err);
    must(store_merge(s, &err), "merge", &err);
    wall += 12 * 3600 * NS_PER_S; /* the next day: segments of its own */
    add(s, 70);
    add(s, 10);
    must(store_flush(s, &err), "flush", &err);
    for (uint32_t i = 0; i < 10; i++)
        add(s, 12);
    resolve(s, 40, false);
    remove_agent(s, "doomed");
    resolve(s, 61, true);
    must(store_flush(s, &err), "flush", &err);
    for (uint32_t i = 0; i < 5; i++)
        add(s, 6);
    store_close(s); /* what follows is lost in part: a gap record for it */
    damage_log(io);
    s = open_store(io);
    wall += 3600 * NS_PER_S;
    add(s, 20);
    must(store_flush(s, &err), "flush", &err);
    for (uint32_t i = 0; i < 8; i++) /* stays in the log alone */
        add(s, i % 3 ? 4 : 1);
    add(s, 60); /* in a file of its own beside it */
    for (uint8_t k = 3; k < IDEMS; k++)
        add_first(s, k);
    resolve(s, 12, true);
    add(s, 3);
    fflush(NULL);
    _exit(0); /* as if killed */
}

/* ---- facts ---- */

struct line {
    uint64_t seq;
    char *text;
};

static int by_seq(const void *x, const void *y)
{
    const struct line *a = x, *b = y;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

static int by_text(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static void put_text(struct buf *b, str s)
{
    if (s.n > SHOWN) {
        buf_printf(b, "#%zu:%016llx", s.n, (unsigned long long)hash64(s.p, s.n));
        return;
    }
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '\\' || s.p[i] == 0x7f)
            buf_printf(b, "\\x%02x", (unsigned char)s.p[i]);
        else
            buf_putc(b, s.p[i]);
}

static void put_val(struct buf *b, const struct val *v)
{
    static const char *const names[] = { "null", "bool", "int", "double", "text", "json", "num" };
    buf_printf(b, "=%s:", names[v->t]);
    if (v->t == V_BOOL)
        buf_put_i64(b, v->b);
    else if (v->t == V_I64)
        buf_put_i64(b, v->i);
    else if (v->t == V_F64)
        buf_printf(b, "%a", v->d);
    else if (v->t != V_NULL)
        put_text(b, v->s);
}

/* one row: sequence number, receive time, columns by name */
static char *row_text(struct block *b, uint32_t row, uint64_t *ret_seq)
{
    struct err err = ERR_INIT;
    struct val v;
    struct buf out, one;
    char *cols[256];
    uint32_t n = 0;
    bool leaves = false;
    buf_init(&out, 1u << 20);
    must(block_get_field(b, row, F_SEQ, &v, &err), "seq", &err);
    *ret_seq = (uint64_t)v.i;
    must(block_get_field(b, row, F_RECEIVED_AT, &v, &err), "received_at", &err);
    buf_printf(&out, "%llu %lld", (unsigned long long)*ret_seq, (long long)v.i);
    for (uint32_t c = 0; c < b->ncols && n < 256; c++) {
        const struct colv *col;
        must(block_load(b, c, &col, &err), "column", &err);
        v = colv_val(col, row);
        if (v.absent || str_eq(b->cols[c].key, STR("received_at")) ||
            str_eq(b->cols[c].key, STR("seq")))
            continue;
        buf_init(&one, 1u << 20);
        put_text(&one, b->cols[c].key);
        put_val(&one, &v);
        leaves |= str_eq(buf_str(&one), STR("agent=text:leaver"));
        cols[n++] = buf_take(&one, NULL);
    }
    qsort(cols, n, sizeof *cols, by_text);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(&out, " %s", cols[i]);
        mem_free(cols[i]);
    }
    if (!buf_ok(&out))
        abort();
    if (leaves)
        buf_deinit(&out);
    return leaves ? NULL : buf_take(&out, NULL);
}

static uint64_t entries(struct store *s)
{
    struct line *lines = NULL;
    size_t n = 0, cap = 0;
    uint64_t all = 0;
    struct err err = ERR_INIT;
    struct scan *sc;
    struct scan_block sb;
    int rc;
    must(store_scan(s, &(struct scan_plan){ .order = SCAN_SEQ }, &sc, &err), "scan", &err);
    while ((rc = scan_next(sc, &sb, &err)) == 0)
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            if (n == cap && !(lines = mem_realloc(lines, (cap = cap * 2 + 64) * sizeof *lines)))
                abort();
            all++;
            if ((lines[n].text = row_text(sb.block, (uint32_t)i, &lines[n].seq)))
                n++;
        }
    if (rc != 1 || scan_get_cost(sc)->incomplete)
        die("scan", &err);
    scan_close(sc);
    if (n)
        qsort(lines, n, sizeof *lines, by_seq);
    uint64_t last = n ? lines[n - 1].seq : 0;
    for (size_t i = 0; i < n; i++) {
        printf("entry %s\n", lines[i].text);
        mem_free(lines[i].text);
    }
    mem_free(lines);
    uint64_t counted, agents;
    store_counts(s, &counted, &agents);
    if (counted != all) {
        fprintf(stderr, "golden: %llu entries counted, %llu found\n", (unsigned long long)counted,
                (unsigned long long)all);
        exit(1);
    }
    return last;
}

static void other_facts(struct store *s, uint64_t last)
{
    struct err err = ERR_INIT;
    struct arena a;
    struct mark m;
    struct store_gap *g;
    uint32_t ngaps;
    arena_init(&a, 16u << 20);
    for (uint64_t seq = 1; seq <= last; seq++)
        if (store_get_mark(s, seq, &a, &m))
            printf("mark %llu resolved=%d by=%.*s note=%.*s at=%lld\n", (unsigned long long)seq,
                   m.resolved, STR_FMT(m.by), STR_FMT(m.note), (long long)m.at);
    must(store_gaps(s, &a, &g, &ngaps, &err), "gaps", &err);
    for (uint32_t i = 0; i < ngaps; i++)
        printf("gap %llu..%llu %s\n", (unsigned long long)g[i].first_seq,
               (unsigned long long)g[i].last_seq, g[i].reason);
    for (uint64_t k = 0; k < 1000; k++) {
        char id[40];
        uint64_t seq;
        uuid_text(1000000 + k, id);
        if (store_find_id(s, str_n(id, 36), &seq, &err) == 0)
            printf("id %s %llu\n", id, (unsigned long long)seq);
    }
    arena_deinit(&a);
    for (uint8_t k = 0; k < IDEMS; k++) { /* last: a key not known would add rows */
        struct append again, other;
        add_keyed(s, k, k * 1000u, k + 1u, &again);
        add_keyed(s, k, k * 1000u + 1, k + 1u, &other);
        printf("key %u rc=%d duplicate=%d first=%llu rows=%u other=%d\n", k, again.rc,
               again.duplicate, (unsigned long long)again.base_seq, again.rows, other.rc);
    }
}

static void facts(const char *dir, bool rewrite)
{
    struct err err = ERR_INIT;
    struct verify_report rep = { 0 };
    wall = START + 16 * 3600 * NS_PER_S; /* keys are not yet forgotten */
    struct io *io = disk(dir);
    struct store *s = open_store(io);
    if (rewrite) {
        must(store_flush(s, &err), "flush", &err);
        must(store_merge(s, &err), "merge", &err);
        remove_agent(s, "leaver");
    }
    other_facts(s, entries(s));
    store_close(s);
    if (store_verify(io, &rep, &err))
        die("verify", &err);
    io_free(io);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        write_store(argv[2]);
    if ((argc != 3 && argc != 4) || strcmp(argv[1], "facts") != 0)
        return 64;
    facts(argv[2], argc == 4);
    return 0;
}
