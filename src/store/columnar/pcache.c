/* pcache.c: see pcache.h.
 *
 *   key -> shard (1 of 8, a lock each) -> bucket -> entry
 *   shard: newest <-> ... <-> oldest, by last use; what comes in pushes the oldest out
 *
 * An entry is one allocation: the struct and behind it the column's arrays, exactly as long as they
 * are; where few rows have a value, only those values. A pool of decoded pages is dropped as soon
 * as nobody asks: the store's background thread ticks, and what two ticks saw unused goes. */
#include "store/columnar/pcache.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"

#define SHARDS 8
#define BUCKETS 1024

struct shard {
    pthread_mutex_t lock;
    struct pentry *newest, *oldest;
    size_t bytes;
    struct pentry *bucket[BUCKETS];
};

struct pcache {
    size_t max; /* of a shard */
    _Atomic size_t bytes;
    _Atomic uint32_t tick;
    struct shard shard[SHARDS];
};

static const uint32_t zero_codes[BLOCK_ROWS_MAX];

int pcache_new(struct pcache **ret, size_t max_bytes, struct err *err)
{
    struct pcache *c = mem_zalloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    c->max = max_bytes / SHARDS;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&c->shard[i].lock, NULL);
    *ret = c;
    return 0;
}

void pentry_unref(void *entry)
{
    struct pentry *e = entry;
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (e->release)
        e->release(e->what);
    mem_free(e);
}

static uint64_t hash_of(struct pcache_key k)
{
    return hash_mix(hash_mix(k.segment * BUCKETS + k.block) + k.column);
}

static struct shard *shard_of(struct pcache *c, uint64_t h)
{
    return &c->shard[h % SHARDS];
}

static struct pentry **bucket_of(struct shard *s, uint64_t h)
{
    return &s->bucket[h / SHARDS % BUCKETS];
}

static struct pentry *find(struct shard *s, uint64_t h, struct pcache_key k)
{
    for (struct pentry *e = *bucket_of(s, h); e; e = e->next)
        if (e->key.segment == k.segment && e->key.block == k.block && e->key.column == k.column)
            return e;
    return NULL;
}

/* ---- a shard's list; its lock is held ---- */

static void link_newest(struct shard *s, struct pentry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    if (s->newest)
        s->newest->newer = e;
    else
        s->oldest = e;
    s->newest = e;
}

static void unlink_entry(struct shard *s, struct pentry *e)
{
    if (e->newer)
        e->newer->older = e->older;
    else
        s->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        s->oldest = e->newer;
}

static void drop(struct pcache *c, struct shard *s, struct pentry *e)
{
    struct pentry **at = bucket_of(s, hash_of(e->key));
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unlink_entry(s, e);
    s->bytes -= e->bytes;
    atomic_fetch_sub_explicit(&c->bytes, e->bytes, memory_order_relaxed);
    pentry_unref(e);
}

/* ---- use ---- */

struct pentry *pcache_get(struct pcache *c, struct pcache_key key)
{
    uint64_t h = hash_of(key);
    struct shard *s = shard_of(c, h);
    pthread_mutex_lock(&s->lock);
    struct pentry *e = find(s, h, key);
    if (e) {
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
        e->used = atomic_load_explicit(&c->tick, memory_order_relaxed);
        if (s->newest != e) {
            unlink_entry(s, e);
            link_newest(s, e);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}

/* Takes one of e's references. Another's entry that came first stays. */
static void insert(struct pcache *c, struct pentry *e)
{
    uint64_t h = hash_of(e->key);
    struct shard *s = shard_of(c, h);
    pthread_mutex_lock(&s->lock);
    bool known = find(s, h, e->key) != NULL;
    while (!known && s->oldest && s->bytes + e->bytes > c->max)
        drop(c, s, s->oldest);
    if (!known && e->bytes <= c->max) {
        struct pentry **at = bucket_of(s, h);
        e->next = *at;
        *at = e;
        e->used = atomic_load_explicit(&c->tick, memory_order_relaxed);
        link_newest(s, e);
        s->bytes += e->bytes;
        atomic_fetch_add_explicit(&c->bytes, e->bytes, memory_order_relaxed);
        e = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    pentry_unref(e);
}

struct pentry *pcache_put_other(struct pcache *c, struct pcache_key key, void *what, size_t bytes,
                                void (*release)(void *what))
{
    struct pentry *e = mem_zalloc(sizeof *e);
    if (!e)
        return NULL;
    atomic_init(&e->refs, 2);
    e->key = key;
    e->bytes = bytes + sizeof *e;
    e->what = what;
    e->release = release;
    insert(c, e);
    return e;
}

/* ---- pages ---- */

struct part {
    const void *from;
    size_t n;
    const void *to;
};
enum { P_PRESENT, P_I64, P_F64, P_B8, P_CODES, P_OFF, P_BYTES, P__COUNT };

static bool is_sparse(const struct colv *v)
{
    return v->present && v->nvals < v->n / 4;
}

/* the arrays of a column and how long they are */
static void parts_of(const struct colv *v, struct part p[P__COUNT])
{
    uint32_t texts = v->codes ? v->ndict : v->n;
    size_t slots = is_sparse(v) ? v->nvals : v->n;
    p[P_PRESENT] = (struct part){ v->present, BITS_WORDS(v->n) * 8, NULL };
    p[P_I64] = (struct part){ v->i64, slots * 8, NULL };
    p[P_F64] = (struct part){ v->f64, slots * 8, NULL };
    p[P_B8] = (struct part){ v->b8, slots, NULL };
    p[P_CODES] = (struct part){ v->codes, v->ndict == 1 ? 0 : slots * 4, NULL };
    p[P_OFF] = (struct part){ v->off, ((v->codes ? v->ndict : slots) + 1) * 4, NULL };
    p[P_BYTES] = (struct part){ v->bytes, v->off ? v->off[texts] : 0, NULL };
}

static size_t padded(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* Copies the items of present rows of an array side by side. */
static void gather(const struct colv *v, void *to, const void *from, size_t size)
{
    char *at = to;
    for (size_t i = bits_next(v->present, 0, v->n); i < v->n;
         i = bits_next(v->present, i + 1, v->n), at += size)
        memcpy(at, (const char *)from + i * size, size);
}

static void copy_part(const struct colv *v, int which, const struct part *p, char *to)
{
    static const size_t sizes[P__COUNT] = { [P_I64] = 8, [P_F64] = 8, [P_B8] = 1, [P_CODES] = 4 };
    if (is_sparse(v) && sizes[which]) {
        gather(v, to, p->from, sizes[which]);
    } else if (is_sparse(v) && which == P_OFF && !v->codes) {
        gather(v, to, v->off, 4); /* absent slots are empty: ends are the next one's beginning */
        memcpy(to + (size_t)v->nvals * 4, &v->off[v->n], 4);
    } else {
        memcpy(to, p->from, p->n);
    }
}

struct pentry *pcache_put_page(struct pcache *c, struct pcache_key key, const struct colv *v)
{
    struct part p[P__COUNT];
    size_t bytes = padded(sizeof(struct pentry));
    parts_of(v, p);
    for (int i = 0; i < P__COUNT; i++)
        bytes += p[i].from ? padded(p[i].n) : 0;
    struct pentry *e = bytes <= PCACHE_PAGE ? mem_alloc(bytes) : NULL;
    if (!e)
        return NULL;
    *e = (struct pentry){ .key = key, .bytes = bytes, .v = *v, .compact = is_sparse(v) };
    atomic_init(&e->refs, 2);
    char *at = (char *)e + padded(sizeof *e);
    for (int i = 0; i < P__COUNT; i++) {
        if (!p[i].from)
            continue;
        if (p[i].n)
            copy_part(v, i, &p[i], at);
        p[i].to = at;
        at += padded(p[i].n);
    }
    e->v.present = p[P_PRESENT].to;
    e->v.i64 = p[P_I64].to;
    e->v.f64 = p[P_F64].to;
    e->v.b8 = p[P_B8].to;
    e->v.codes = v->codes && v->ndict == 1 ? zero_codes : p[P_CODES].to;
    e->v.off = p[P_OFF].to;
    e->v.bytes = p[P_BYTES].to;
    insert(c, e);
    return e;
}

/* place of a row among the present ones */
static uint32_t rank_of(const uint64_t *present, uint32_t row)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < row / 64; w++)
        n += (uint32_t)__builtin_popcountll(present[w]);
    return n + (uint32_t)__builtin_popcountll(present[row / 64] & ((1ull << row % 64) - 1));
}

struct val pentry_value(const struct pentry *e, uint32_t row)
{
    if (!e->compact)
        return colv_val(&e->v, row);
    if (!bit_get(e->v.present, row))
        return VAL_ABSENT;
    struct colv dense = e->v;
    dense.present = NULL;
    return colv_val(&dense, rank_of(e->v.present, row));
}

/* the inverse of gather; slots of absent rows are 0 */
static void *scatter(const struct colv *v, struct arena *a, const void *from, size_t size)
{
    char *to = arena_zalloc(a, v->n * size);
    const char *at = from;
    if (!to)
        return NULL;
    for (size_t i = bits_next(v->present, 0, v->n); i < v->n;
         i = bits_next(v->present, i + 1, v->n), at += size)
        memcpy(to + i * size, at, size);
    return to;
}

static uint32_t *scatter_off(const struct colv *v, struct arena *a)
{
    uint32_t *off = arena_array(a, (size_t)v->n + 1, sizeof *off), k = 0;
    for (uint32_t i = 0; off && i < v->n; i++) {
        off[i] = v->off[k];
        k += bit_get(v->present, i);
    }
    if (off)
        off[v->n] = v->off[v->nvals];
    return off;
}

int pentry_column(const struct pentry *e, struct arena *a, struct colv *ret, struct err *err)
{
    const struct colv *v = &e->v;
    struct colv c = *v;
    bool ok = true;
    if (e->compact) {
        if (v->i64)
            ok &= (c.i64 = scatter(v, a, v->i64, 8)) != NULL;
        if (v->f64)
            ok &= (c.f64 = scatter(v, a, v->f64, 8)) != NULL;
        if (v->b8)
            ok &= (c.b8 = scatter(v, a, v->b8, 1)) != NULL;
        if (v->codes && v->ndict > 1)
            ok &= (c.codes = scatter(v, a, v->codes, 4)) != NULL;
        if (v->off && !v->codes)
            ok &= (c.off = scatter_off(v, a)) != NULL;
    }
    if (!ok)
        return err_nomem(err);
    *ret = c;
    return 0;
}

/* ---- the end of entries ---- */

size_t pcache_tick(struct pcache *c)
{
    size_t before = pcache_bytes(c);
    uint32_t now = atomic_fetch_add_explicit(&c->tick, 1, memory_order_relaxed) + 1;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shard[i];
        pthread_mutex_lock(&s->lock);
        while (s->oldest && now - s->oldest->used >= 2)
            drop(c, s, s->oldest);
        pthread_mutex_unlock(&s->lock);
    }
    size_t after = pcache_bytes(c);
    return before > after ? before - after : 0;
}

size_t pcache_bytes(const struct pcache *c)
{
    return atomic_load_explicit(&c->bytes, memory_order_relaxed);
}

void pcache_free(struct pcache *c)
{
    if (!c)
        return;
    for (int i = 0; i < SHARDS; i++) {
        while (c->shard[i].oldest)
            drop(c, &c->shard[i], c->shard[i].oldest);
        pthread_mutex_destroy(&c->shard[i].lock);
    }
    mem_free(c);
}
