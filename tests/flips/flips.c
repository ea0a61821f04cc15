/* flips.c: damage to every byte of a small store, and every kind of damage to every kind of file.
 *
 *   store-flips                 each byte of each file in turn: one bit (drawn from its place)
 * flipped store-flips --all-bits      each bit store-flips --random N      N flips of two to eight
 * bits anywhere store-flips --damage        files cut, zeroed, extended, missing, swapped, older
 * (damage.c)
 *
 * After each, the store is opened, read as a whole, and verified. The judge: no row that was not
 * written, or with another value; what is missing is owned up to (the store refuses, the answer
 * says incomplete, or there is a new gap record); and verify finds the damage. Bytes that carry no
 * information are in `idle` below, with the reason; a flip there must change nothing at all. */
#include "flips.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rd.h"

void fail(const char *fmt, ...)
{
    va_list ap;
    printf("OBJECTION: ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    puts("");
    fflush(stdout);
    _Exit(1);
}

void object(const char *fmt, ...) /* what rows.c may call */
{
    (void)fmt;
    _Exit(1);
}

/* ---- the store ---- */

static void must(int rc, const char *what, const struct err *err)
{
    if (rc)
        fail("%s: %s", what, err->msg);
}

static struct store *open_writer(struct io *io)
{
    struct store_config cfg;
    struct err err = ERR_INIT;
    struct store *s;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.big_batch_bytes = 2500;
    must(store_open(&s, io, &cfg, &err), "open", &err);
    return s;
}

static void add(struct store *s, struct made *m, uint32_t n, uint32_t style)
{
    struct err err = ERR_INIT;
    char *p;
    size_t bytes;
    if (!rows_payload(m->rows, n, style, &p, &bytes))
        abort();
    must(store_append_wait(s, p, bytes, n, NULL, &err), "append", &err);
    for (uint32_t i = 0; i < n; i++)
        m->sums[m->rows + i] = row_sum(m->rows + i, style);
    m->rows += n;
}

static void mark(struct store *s, uint64_t seq)
{
    struct err err = ERR_INIT;
    must(store_mark(s, &(struct mark){ .seq = seq, .resolved = true, .by = STR("someone") }, 1,
                    NULL, &err),
         "mark", &err);
}

static void cut_file(struct io *io, const char *path, uint64_t size)
{
    struct io_file *f;
    struct err err = ERR_INIT;
    must(io->ops->open(io, &f, path, IO_WRITE, &err), path, &err);
    must(f->io->ops->truncate(f, size, &err), path, &err);
    io_close(f);
}

/* The end of the last frame of a log file. */
static uint64_t log_end(struct io *io, const char *path)
{
    char *p;
    size_t n, at = 64;
    struct err err = ERR_INIT;
    must(io_read_file(io, path, 1u << 30, &p, &n, &err), path, &err);
    while (at + 88 <= n && memcmp(p + at, "WLF1", 4) == 0)
        at += 88 + get_le32(p + at + 8);
    mem_free(p);
    return at;
}

/* Two segments of one day, STATE, a log of one file with a large batch beside it. The log's room of
 * zeros is cut to IDLE_ROOM bytes, as a crash may leave it: they are all alike. */
void make_store(struct made *m)
{
    struct err err = ERR_INIT;
    *m = (struct made){ 0 };
    must(io_mem_new(&m->io, 1, &err), "disk", &err);
    struct store *s = open_writer(m->io);
    add(s, m, 70, 0);
    mark(s, 3);
    must(store_flush(s, &err), "flush", &err);
    add(s, m, 45, 1);
    must(store_flush(s, &err), "flush", &err);
    for (int i = 0; i < 4; i++)
        add(s, m, 5, 0);
    mark(s, 80);
    add(s, m, 3, 2); /* large: in a file of its own */
    add(s, m, 2, 0);
    store_close(s); /* ends with a clock frame: all groups are known to have been durable */
    m->log_end = log_end(m->io, LOG);
    cut_file(m->io, LOG, m->log_end + IDLE_ROOM);
    must(m->io->ops->unlink(m->io, "LOCK", &err), "LOCK", &err);
    m->marks = 2;
}

/* ---- judging ---- */

static void on_event(void *ctx, int level, const char *text)
{
    struct seen *s = ctx;
    (void)text;
    s->complaints += level >= 3;
}

static void read_rows(struct store *s, const struct made *m, struct seen *ret)
{
    static uint8_t found[ROWS_MAX];
    struct scan *sc;
    struct scan_block sb;
    struct err err = ERR_INIT;
    int rc = store_scan(s, &(struct scan_plan){ .order = SCAN_SEQ }, &sc, &err);
    memset(found, 0, sizeof found);
    while (!rc && (rc = scan_next(sc, &sb, &err)) == 0)
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n && !rc;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            struct row_seen r;
            rc = row_read(sb.block, (uint32_t)i, &r, &err);
            if (rc)
                break;
            if (r.k >= m->rows || r.sum != m->sums[r.k] || r.seq != r.k + 1 || found[r.k])
                fail("%s: a row is shown that was never written", ret->what);
            found[r.k] = 1;
            ret->rows++;
            ret->last_row = r.k > ret->last_row ? r.k : ret->last_row;
        }
    ret->incomplete = rc < 0 || (rc == 1 && scan_get_cost(sc)->incomplete);
    if (sc)
        scan_close(sc);
    for (uint64_t seq = 1; seq <= m->rows; seq++) {
        struct arena a;
        struct mark mk;
        arena_init(&a, 1u << 16);
        ret->marks += store_get_mark(s, seq, &a, &mk);
        arena_deinit(&a);
    }
    struct arena a;
    struct store_gap *g;
    uint32_t n = 0;
    arena_init(&a, 1u << 20);
    if (store_gaps(s, &a, &g, &n, &err) == 0)
        ret->gaps = n;
    arena_deinit(&a);
}

void judge(struct io *io, const struct made *m, const char *what, bool writer, struct seen *ret)
{
    struct store_config cfg;
    struct verify_report rep = { 0 };
    struct err err = ERR_INIT;
    struct store *s = NULL;
    *ret = (struct seen){ .what = what };
    int rc = store_verify(io, &rep, &err);
    ret->verify_objects = rc != 0;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.read_only = !writer;
    cfg.create = false;
    cfg.on_event = on_event;
    cfg.on_event_ctx = ret;
    err_reset(&err);
    ret->refused = store_open(&s, io, &cfg, &err);
    if (ret->refused)
        return;
    read_rows(s, m, ret);
    store_close(s);
    bool flagged = ret->incomplete || ret->complaints;
    if (m->tail_may_go && ret->rows == ret->last_row + 1) /* all up to one are there */
        return;
    if (ret->rows < m->rows && !flagged)
        fail("%s: %llu of %llu rows are missing, and nothing says so", what,
             (unsigned long long)(m->rows - ret->rows), (unsigned long long)m->rows);
    if (ret->marks < m->marks && !flagged)
        fail("%s: marks are missing, and nothing says so", what);
}

bool unharmed(const struct made *m, const struct seen *s)
{
    return !s->refused && !s->incomplete && s->rows == m->rows && s->marks == m->marks;
}

/* ---- flips ---- */

/* Bytes that carry no information. */
static const struct idle {
    const char *file, *why;
    bool (*is)(const struct made *m, uint64_t at);
} idle[] = {
    { "CURRENT", "the line feed behind the number: any white space will do", idle_line_feed },
    { LOG, "the clock frame at the end: what it says is known", idle_clock },
    { LOG, "zeros behind the last frame", idle_zeros },
};

bool idle_line_feed(const struct made *m, uint64_t at)
{
    (void)m;
    return at == 1;
}

bool idle_clock(const struct made *m, uint64_t at)
{
    return at >= m->log_end - 88 && at < m->log_end;
}

bool idle_zeros(const struct made *m, uint64_t at)
{
    return at >= m->log_end;
}

static const char *idle_why(const struct made *m, const char *path, uint64_t at)
{
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        if (strcmp(idle[i].file, path) == 0 && idle[i].is(m, at))
            return idle[i].why;
    return NULL;
}

struct count {
    uint64_t flips, found, idle, refused, incomplete, holes;
};

static void tally(struct count *c, const struct made *m, const struct seen *s, const char *why)
{
    c->flips++;
    c->found += s->verify_objects;
    c->refused += s->refused != 0;
    c->incomplete += s->incomplete;
    c->holes += !s->refused && !s->incomplete && s->rows < m->rows;
    if (s->verify_objects)
        return;
    if (!why)
        fail("%s: verify does not find it", s->what);
    if (!unharmed(m, s))
        fail("%s (%s): verify finds nothing, but something is missing", s->what, why);
    c->idle++;
}

static void flip_byte(struct made *m, const struct file *f, uint64_t at, unsigned bit,
                      struct count *c)
{
    char what[160];
    struct seen s;
    snprintf(what, sizeof what, "%s byte %llu bit %u", f->path, (unsigned long long)at, bit);
    io_mem_flip(m->io, f->path, at, bit);
    judge(m->io, m, what, false, &s);
    tally(c, m, &s, idle_why(m, f->path, at));
    if (at % 64 == 0) { /* a start that writes, on a copy */
        struct io *copy = copy_disk(m->io);
        judge(copy, m, what, true, &s);
        io_free(copy);
    }
    io_mem_flip(m->io, f->path, at, bit);
}

static void print_count(const char *what, const struct count *c)
{
    printf("%-28s %7llu flips: %7llu found by verify, %5llu without effect; starts refused %llu, "
           "answers incomplete %llu, gap records %llu\n",
           what, (unsigned long long)c->flips, (unsigned long long)c->found,
           (unsigned long long)c->idle, (unsigned long long)c->refused,
           (unsigned long long)c->incomplete, (unsigned long long)c->holes);
}

static void add_count(struct count *to, const struct count *c)
{
    to->flips += c->flips;
    to->found += c->found;
    to->idle += c->idle;
    to->refused += c->refused;
    to->incomplete += c->incomplete;
    to->holes += c->holes;
}

static void flip_all(struct made *m, bool all_bits)
{
    struct files files;
    struct count sum = { 0 };
    list_files(m->io, &files);
    for (uint32_t i = 0; i < files.n; i++) {
        struct count c = { 0 };
        for (uint64_t at = 0; at < files.v[i].size; at++)
            for (unsigned bit = 0; bit < 8; bit++)
                if (all_bits || bit == (unsigned)(hash_mix(at * 31 + i) & 7))
                    flip_byte(m, &files.v[i], at, bit, &c);
        print_count(files.v[i].path, &c);
        add_count(&sum, &c);
    }
    print_count("all", &sum);
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        printf("without effect: %s, %s\n", idle[i].file, idle[i].why);
}

/* Why the flips of one round have no effect, if all the bytes that they leave changed are idle. */
static const char *all_idle(const struct made *m, const char *path, const uint64_t *at,
                            const unsigned *bit, unsigned n)
{
    const char *why = "they cancel out";
    for (unsigned i = 0; i < n && why; i++) {
        unsigned mask = 0;
        for (unsigned j = 0; j < n; j++)
            mask ^= at[j] == at[i] ? 1u << bit[j] : 0;
        if (mask)
            why = idle_why(m, path, at[i]);
    }
    return why;
}

static void flip_random(struct made *m, uint64_t n)
{
    struct files files;
    struct count c = { 0 };
    uint64_t rng = 7;
    list_files(m->io, &files);
    for (uint64_t i = 0; i < n; i++) {
        const struct file *f = &files.v[hash_mix(rng++) % files.n];
        uint64_t at[8];
        unsigned bit[8], k = 2 + (unsigned)(hash_mix(rng++) % 7);
        for (unsigned j = 0; j < k; j++) {
            at[j] = hash_mix(rng++) % f->size;
            bit[j] = (unsigned)(hash_mix(rng++) & 7);
            io_mem_flip(m->io, f->path, at[j], bit[j]);
        }
        struct seen s;
        char what[160];
        snprintf(what, sizeof what, "%s, random flips number %llu", f->path, (unsigned long long)i);
        /* the clock frame damaged with what it vouches for: as if the end had never been written */
        for (unsigned j = 0; j < k; j++)
            m->tail_may_go |= strcmp(f->path, LOG) == 0 && idle_clock(m, at[j]);
        judge(m->io, m, what, false, &s);
        if (!m->tail_may_go || unharmed(m, &s))
            tally(&c, m, &s, m->tail_may_go ? "the clock frame" : all_idle(m, f->path, at, bit, k));
        m->tail_may_go = false;
        for (unsigned j = 0; j < k; j++)
            io_mem_flip(m->io, f->path, at[j], bit[j]);
    }
    print_count("random", &c);
}

int main(int argc, char **argv)
{
    struct made m;
    struct seen s;
    uint64_t n = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_store(&m);
    judge(m.io, &m, "the store as it is", false, &s);
    if (s.verify_objects || !unharmed(&m, &s))
        fail("the store is not whole to begin with");
    if (argc == 2 && strcmp(argv[1], "--damage") == 0)
        damage_all(&m);
    else if (argc == 3 && strcmp(argv[1], "--random") == 0 && str_to_u64(str_c(argv[2]), &n))
        flip_random(&m, n);
    else if (argc == 1 || (argc == 2 && strcmp(argv[1], "--all-bits") == 0))
        flip_all(&m, argc == 2);
    else
        return 64;
    io_free(m.io);
    return 0;
}
