/* memdisk.c: the two states of every file and directory, and the journal between them.
 *
 * 1. A sync copies dirty sectors and the size; sync_dir applies the journal's changes of that
 *    directory, and of others as far as a rename ties them to it.
 * 2. The changes of one directory reach DISK in order, so ents[DISK] is always an earlier
 *    ents[NOW]. Its room is kept as large, and disk's as now's: a crash never allocates.
 * 3. Bytes of now and disk past their n are zero up to cap.
 * 4. A sector that is lost is not dirty: no later sync writes it, and it is gone when the cache is
 *    dropped or the power goes.
 * 5. A crash keeps, per file, each dirty sector with a probability drawn from {0, 1/4 .. 1}, a cut
 *    and a growth of size by a coin each, and a prefix of the journal. Then NOW becomes DISK. */
#include "io/memdisk.h"

#include <string.h>

#include "base/bits.h"
#include "base/hash.h"
#include "base/mem.h"

#define FILE_MAX ((uint64_t)1 << 40)

/* from: a name removed; to: a name set to node; a rename is both. Absent sides have dir NULL. */
struct md_change {
    struct md_node *from_dir, *to_dir, *node;
    struct md_name *from, *to;
};

uint64_t md_draw(uint64_t *rng)
{
    *rng += 0x9e3779b97f4a7c15ull;
    return hash_mix(*rng);
}

/* ---- names and nodes ---- */

static struct md_name *name_new(const char *text)
{
    size_t n = strlen(text) + 1;
    struct md_name *name = mem_alloc(sizeof(*name) + n);
    if (name) {
        name->refs = 1;
        memcpy(name->text, text, n);
    }
    return name;
}

void md_name_unref(struct md_name *name)
{
    if (name && --name->refs == 0)
        mem_free(name);
}

struct md_node *md_node_new(struct memdisk *d, bool is_dir)
{
    struct md_node *n = mem_zalloc(sizeof(*n));
    if (!n)
        return NULL;
    n->is_dir = is_dir;
    n->refs = 1;
    n->prev = d->all.prev;
    n->next = &d->all;
    n->prev->next = n->next->prev = n;
    return n;
}

void md_node_unref(struct md_node *n)
{
    if (!n || --n->refs)
        return;
    for (int t = NOW; t <= DISK; t++) {
        for (uint32_t i = 0; i < n->ents_n[t]; i++) {
            md_name_unref(n->ents[t][i].name);
            md_node_unref(n->ents[t][i].node);
        }
        mem_free(n->ents[t]);
    }
    mem_free(n->now.p);
    mem_free(n->disk.p);
    mem_free(n->dirty);
    mem_free(n->lost);
    n->prev->next = n->next;
    n->next->prev = n->prev;
    mem_free(n);
}

struct md_entry *md_find(struct md_node *dir, int tree, const char *name)
{
    for (uint32_t i = 0; i < dir->ents_n[tree]; i++)
        if (strcmp(dir->ents[tree][i].name->text, name) == 0)
            return &dir->ents[tree][i];
    return NULL;
}

/* room for one more name in NOW, and for as many in DISK */
static int room_for_name(struct md_node *dir, struct err *err)
{
    if (dir->ents_n[NOW] < dir->ents_cap)
        return 0;
    uint32_t cap = dir->ents_cap * 2 + 8;
    for (int t = NOW; t <= DISK; t++) {
        struct md_entry *e = mem_realloc(dir->ents[t], cap * sizeof(*e));
        if (!e)
            return err_nomem(err); /* the other array may be larger than known: harmless */
        dir->ents[t] = e;
    }
    dir->ents_cap = cap;
    return 0;
}

static void entry_drop(struct md_node *dir, int tree, struct md_entry *e)
{
    struct md_entry old = *e;
    *e = dir->ents[tree][--dir->ents_n[tree]];
    md_name_unref(old.name);
    md_node_unref(old.node);
}

static void apply(const struct md_change *c, int tree)
{
    struct md_entry *e = c->from_dir ? md_find(c->from_dir, tree, c->from->text) : NULL;
    if (e)
        entry_drop(c->from_dir, tree, e);
    if (!c->to_dir)
        return;
    e = md_find(c->to_dir, tree, c->to->text);
    if (e)
        entry_drop(c->to_dir, tree, e);
    c->to->refs++;
    c->node->refs++;
    c->to_dir->ents[tree][c->to_dir->ents_n[tree]++] = (struct md_entry){ c->to, c->node };
}

/* Makes a change in NOW and notes it in the journal. */
int md_change(struct memdisk *d, struct md_node *from_dir, const char *from, struct md_node *to_dir,
              const char *to, struct md_node *node, struct err *err)
{
    if (d->journal_n == d->journal_cap) {
        size_t cap = d->journal_cap * 2 + 16;
        struct md_change *j = mem_realloc(d->journal, cap * sizeof(*j));
        if (!j)
            return err_nomem(err);
        d->journal = j;
        d->journal_cap = cap;
    }
    if (to_dir && room_for_name(to_dir, err))
        return ERR_NOMEM;
    struct md_change c = { .from_dir = from_dir, .to_dir = to_dir, .node = node };
    if ((from_dir && !(c.from = name_new(from))) || (to_dir && !(c.to = name_new(to)))) {
        md_name_unref(c.from);
        return err_nomem(err);
    }
    struct md_entry *replaced = to_dir ? md_find(to_dir, NOW, to) : NULL;
    struct md_node *gone = replaced ? replaced->node : to_dir ? NULL : node;
    if (to_dir && !from_dir)
        node->names++;
    if (gone && --gone->names == 0 && !gone->opens)
        d->used -= gone->now.n;

    node->refs++; /* the journal's */
    if (from_dir)
        from_dir->refs++;
    if (to_dir)
        to_dir->refs++;
    apply(&c, NOW);
    d->journal[d->journal_n++] = c;
    return 0;
}

static void change_release(struct md_change *c)
{
    md_name_unref(c->from);
    md_name_unref(c->to);
    md_node_unref(c->from_dir);
    md_node_unref(c->to_dir);
    md_node_unref(c->node);
}

/* ---- paths ---- */

/* Splits path into an existing directory and a last name ("" for the root itself). */
int md_locate(struct memdisk *d, const char *path, struct md_node **ret_dir,
              char name[MD_NAME_ROOM], struct err *err)
{
    struct md_node *dir = d->root;
    name[0] = 0;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n > 0 && !(n == 1 && *p == '.')) {
            if (name[0]) {
                struct md_entry *e = md_find(dir, NOW, name);
                if (!e || !e->node->is_dir)
                    return err_set(err, ERR_NOTFOUND, "no such directory: %s", path);
                dir = e->node;
            }
            if (n >= MD_NAME_ROOM || (n == 2 && memcmp(p, "..", 2) == 0))
                return err_set(err, ERR_IO, "bad path: %s", path);
            memcpy(name, p, n);
            name[n] = 0;
        }
        p += n + (p[n] == '/');
    }
    *ret_dir = dir;
    return 0;
}

int md_lookup(struct memdisk *d, const char *path, struct md_node **ret_dir,
              char name[MD_NAME_ROOM], struct md_node **ret, struct err *err)
{
    int r = md_locate(d, path, ret_dir, name, err);
    if (r)
        return r;
    struct md_entry *e = name[0] ? md_find(*ret_dir, NOW, name) : NULL;
    if (name[0] && !e)
        return err_set(err, ERR_NOTFOUND, "no such file or directory: %s", path);
    *ret = e ? e->node : d->root;
    return 0;
}

/* ---- file contents ---- */

static int grow(struct md_node *n, uint64_t size, struct err *err)
{
    if (size <= n->cap)
        return 0;
    if (size > FILE_MAX)
        return err_set(err, ERR_FULL, "file too large");
    size_t unit = 64 * MD_SECTOR, cap = n->cap + n->cap / 2;
    cap = ((size > cap ? (size_t)size : cap) + unit - 1) / unit * unit;
    uint8_t *now = mem_realloc(n->now.p, cap);
    if (!now)
        return err_nomem(err);
    n->now.p = now;
    uint8_t *disk = mem_realloc(n->disk.p, cap);
    if (!disk)
        return err_nomem(err);
    n->disk.p = disk;
    uint64_t *dirty = mem_realloc(n->dirty, cap / unit * 8);
    if (!dirty)
        return err_nomem(err);
    n->dirty = dirty;
    uint64_t *lost = mem_realloc(n->lost, cap / unit * 8);
    if (!lost)
        return err_nomem(err);
    n->lost = lost;
    memset(now + n->cap, 0, cap - n->cap);
    memset(disk + n->cap, 0, cap - n->cap);
    memset(dirty + n->cap / unit, 0, (cap - n->cap) / unit * 8);
    memset(lost + n->cap / unit, 0, (cap - n->cap) / unit * 8);
    n->cap = cap;
    return 0;
}

static void resize_disk(struct md_node *n, size_t size)
{
    if (size < n->disk.n)
        memset(n->disk.p + size, 0, n->disk.n - size);
    n->disk.n = size;
}

static void sector_to_disk(struct md_node *n, size_t i)
{
    size_t off = i * MD_SECTOR, len = n->now.n - off < MD_SECTOR ? n->now.n - off : MD_SECTOR;
    memcpy(n->disk.p + off, n->now.p + off, len);
    if (off + len > n->disk.n)
        n->disk.n = off + len;
}

static void clean(struct md_node *n)
{
    if (n->cap)
        bits_zero(n->dirty, n->cap / MD_SECTOR);
    n->low = n->now.n;
}

void md_sync_file(struct md_node *n)
{
    size_t sectors = (n->now.n + MD_SECTOR - 1) / MD_SECTOR;
    if (n->low < n->disk.n)
        resize_disk(n, (size_t)n->low);
    for (size_t i = 0; (i = bits_next(n->dirty, i, sectors)) < sectors; i++)
        sector_to_disk(n, i);
    resize_disk(n, n->now.n);
    clean(n);
}

void md_sync_fails(struct md_node *n, uint64_t seed)
{
    size_t sectors = (n->now.n + MD_SECTOR - 1) / MD_SECTOR;
    uint64_t keep_of_4 = md_draw(&seed) % 4;
    if (n->low < n->disk.n)
        resize_disk(n, (size_t)n->low);
    for (size_t i = 0; (i = bits_next(n->dirty, i, sectors)) < sectors; i++) {
        if (md_draw(&seed) % 4 < keep_of_4)
            sector_to_disk(n, i);
        else
            bit_set(n->lost, i);
        bit_clear(n->dirty, i);
    }
    n->low = n->now.n;
}

void md_drop_cache(struct md_node *n)
{
    size_t sectors = (n->now.n + MD_SECTOR - 1) / MD_SECTOR;
    for (size_t i = 0; (i = bits_next(n->lost, i, sectors)) < sectors; i++) {
        size_t off = i * MD_SECTOR, len = n->now.n - off < MD_SECTOR ? n->now.n - off : MD_SECTOR;
        memcpy(n->now.p + off, n->disk.p + off, len); /* zeros past disk.n */
        bit_clear(n->lost, i);
    }
}

static void crash_file(struct md_node *n, uint64_t *rng)
{
    size_t sectors = (n->now.n + MD_SECTOR - 1) / MD_SECTOR, had = n->now.n;
    uint64_t keep_of_4 = md_draw(rng) % 5;
    bool keep_cut = md_draw(rng) & 1, keep_growth = md_draw(rng) & 1;
    if (n->low < n->disk.n && keep_cut)
        resize_disk(n, (size_t)n->low);
    for (size_t i = 0; (i = bits_next(n->dirty, i, sectors)) < sectors; i++)
        if (md_draw(rng) % 4 < keep_of_4)
            sector_to_disk(n, i);
    if (n->now.n > n->disk.n && keep_growth && keep_of_4)
        resize_disk(n, n->now.n); /* the size got through, the data did not: zeros */
    if (n->cap) {
        size_t longest = had > n->disk.n ? had : n->disk.n;
        memcpy(n->now.p, n->disk.p, longest); /* zeros past disk.n */
    }
    n->now.n = n->disk.n;
    clean(n);
    if (n->cap)
        bits_zero(n->lost, n->cap / MD_SECTOR);
}

int md_write(struct memdisk *d, struct md_node *n, const void *p, size_t len, uint64_t off,
             struct err *err)
{
    int r = grow(n, off + len, err);
    if (r)
        return r;
    memcpy(n->now.p + off, p, len);
    for (size_t i = (size_t)off / MD_SECTOR; i <= (size_t)(off + len - 1) / MD_SECTOR; i++)
        bit_set(n->dirty, i), bit_clear(n->lost, i);
    if (off + len > n->now.n) {
        d->used += off + len - n->now.n;
        n->now.n = (size_t)(off + len);
    }
    return 0;
}

int md_truncate(struct memdisk *d, struct md_node *n, uint64_t size, struct err *err)
{
    int r = grow(n, size, err);
    if (r)
        return r;
    if (size < n->now.n) {
        size_t first_gone = ((size_t)size + MD_SECTOR - 1) / MD_SECTOR;
        memset(n->now.p + size, 0, n->now.n - (size_t)size);
        for (size_t i = first_gone; i < (n->now.n + MD_SECTOR - 1) / MD_SECTOR; i++)
            bit_clear(n->dirty, i), bit_clear(n->lost, i);
    }
    if (size < n->low)
        n->low = size;
    d->used = d->used - n->now.n + size;
    n->now.n = (size_t)size;
    return 0;
}

/* ---- durability of names ---- */

/* Marks the changes that syncing dir makes durable. Backwards: a wanted rename makes the earlier
 * changes of its other directory wanted too. set has room for 2 * journal_n + 1 directories. */
static void mark_wanted(struct memdisk *d, struct md_node *dir, bool *wanted, struct md_node **set)
{
    size_t set_n = 0;
    set[set_n++] = dir;
    for (size_t i = d->journal_n; i-- > 0;) {
        const struct md_change *c = &d->journal[i];
        for (size_t k = 0; k < set_n && !wanted[i]; k++)
            wanted[i] = set[k] == c->from_dir || set[k] == c->to_dir;
        if (wanted[i] && c->from_dir && c->to_dir && c->from_dir != c->to_dir) {
            set[set_n++] = c->from_dir;
            set[set_n++] = c->to_dir;
        }
    }
}

int md_sync_dir(struct memdisk *d, struct md_node *dir, struct err *err)
{
    bool *wanted = mem_zarray(d->journal_n, sizeof(*wanted));
    struct md_node **set = mem_array(2 * d->journal_n + 1, sizeof(struct md_node *));
    if (!wanted || !set) {
        mem_free(wanted);
        mem_free(set);
        return err_nomem(err);
    }
    mark_wanted(d, dir, wanted, set);
    size_t left = 0;
    for (size_t i = 0; i < d->journal_n; i++) {
        if (wanted[i]) {
            apply(&d->journal[i], DISK);
            change_release(&d->journal[i]);
        } else {
            d->journal[left++] = d->journal[i];
        }
    }
    d->journal_n = left;
    mem_free(set);
    mem_free(wanted);
    return 0;
}

static void forget_journal(struct memdisk *d)
{
    for (size_t i = 0; i < d->journal_n; i++)
        change_release(&d->journal[i]);
    d->journal_n = 0;
}

int memdisk_init(struct memdisk *d, struct err *err)
{
    *d = (struct memdisk){ .used = 0 };
    d->all.prev = d->all.next = &d->all;
    d->root = md_node_new(d, true);
    if (!d->root)
        return err_nomem(err);
    d->root->names = 1;
    return 0;
}

void memdisk_deinit(struct memdisk *d)
{
    forget_journal(d);
    mem_free(d->journal);
    md_node_unref(d->root);
}

/* NOW's names become DISK's; invariant 2 gives the room. The old nodes may go. */
static void crash_dir(struct md_node *dir)
{
    for (uint32_t i = 0; i < dir->ents_n[DISK]; i++) {
        dir->ents[DISK][i].name->refs++;
        dir->ents[DISK][i].node->refs++;
    }
    while (dir->ents_n[NOW])
        entry_drop(dir, NOW, &dir->ents[NOW][dir->ents_n[NOW] - 1]);
    if (dir->ents_n[DISK])
        memcpy(dir->ents[NOW], dir->ents[DISK], dir->ents_n[DISK] * sizeof(struct md_entry));
    dir->ents_n[NOW] = dir->ents_n[DISK];
}

static void count_names(struct memdisk *d, struct md_node *dir)
{
    for (uint32_t i = 0; i < dir->ents_n[NOW]; i++) {
        struct md_node *n = dir->ents[NOW][i].node;
        if (n->names++ == 0)
            d->used += n->now.n;
        if (n->is_dir)
            count_names(d, n);
    }
}

void md_crash(struct memdisk *d, uint64_t seed)
{
    uint64_t rng = seed;
    size_t keep = (size_t)(md_draw(&rng) % (d->journal_n + 1));
    for (size_t i = 0; i < keep; i++)
        apply(&d->journal[i], DISK);
    for (struct md_node *n = d->all.next; n != &d->all; n = n->next) {
        n->refs++; /* none goes while the list is walked */
        n->opens = 0;
        n->locks = 0;
        n->names = n == d->root;
        if (!n->is_dir)
            crash_file(n, &rng);
    }
    forget_journal(d);
    for (struct md_node *n = d->all.next; n != &d->all; n = n->next)
        if (n->is_dir)
            crash_dir(n);
    for (struct md_node *n = d->all.next, *next; n != &d->all; n = next) {
        /* n's own end may take others along, but those were walked or still carry their mark */
        next = n->next;
        if (next != &d->all)
            next->refs++;
        md_node_unref(n);
        if (next != &d->all)
            next->refs--;
    }
    d->used = 0;
    count_names(d, d->root);
}
