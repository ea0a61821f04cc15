/* tidy.c: what a crash left in the partitions, removed at the next start. */
#include "store/columnar/impl.h"

#include <stdio.h>

#include "base/log.h"

struct leftover {
    struct store *s;
    char dir[PATH_MAX_STORE];
    uint32_t unknown;
};

/* dead: number of a list of deleted rows, 0 for the segment itself */
static bool in_manifest(const struct store *s, uint64_t id, uint64_t dead)
{
    for (uint32_t i = 0; i < s->mf.nsegs; i++)
        if (s->mf.segs[i].id == id && (!dead || s->mf.segs[i].dead == dead))
            return true;
    return false;
}

enum file_kind { FILE_OTHER, FILE_TMP, FILE_SEG, FILE_DEAD };

/* What a file in a partition is by its name: <12 digits>.seg, <12>-<12>.dead, or one of these while
 * it was written. */
static enum file_kind file_kind(const char *name, uint64_t *ret_id, uint64_t *ret_dead)
{
    size_t n = strlen(name);
    *ret_dead = 0;
    if (n > 4 && strcmp(name + n - 4, ".tmp") == 0)
        return (n == 20 && strcmp(name + 12, ".seg.tmp") == 0) ||
                       (n == 34 && strcmp(name + 25, ".dead.tmp") == 0)
                   ? FILE_TMP
                   : FILE_OTHER;
    if (n == 16 && strcmp(name + 12, ".seg") == 0 && str_to_u64(str_n(name, 12), ret_id))
        return FILE_SEG;
    return n == 30 && name[12] == '-' && strcmp(name + 25, ".dead") == 0 &&
                   str_to_u64(str_n(name, 12), ret_id) && str_to_u64(str_n(name + 13, 12), ret_dead)
               ? FILE_DEAD
               : FILE_OTHER;
}

/* A temporary file, or one that no manifest record names: a write or a removal that a crash cut
 * short. Whole files are removed only when the manifest was whole to its end. */
static void leftover_file(void *arg, const char *name, bool is_dir)
{
    struct leftover *l = arg;
    uint64_t id, dead;
    enum file_kind kind = file_kind(name, &id, &dead);
    if (is_dir || (kind > FILE_TMP && in_manifest(l->s, id, dead)))
        return;
    if (kind == FILE_OTHER || (kind > FILE_TMP && !l->s->mf.clean)) {
        l->unknown++;
        return;
    }
    char path[2 * PATH_MAX_STORE];
    struct err e = ERR_INIT;
    snprintf(path, sizeof path, "p/%s/%s", l->dir, name);
    l->s->io->ops->unlink(l->s->io, path, &e);
}

struct dir_list {
    char (*v)[PATH_MAX_STORE];
    uint32_t n, cap;
};

static void collect_dir(void *arg, const char *name, bool is_dir)
{
    struct dir_list *d = arg;
    if (!is_dir || strlen(name) >= PATH_MAX_STORE)
        return;
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? d->cap * 2 : 32;
        void *v = mem_realloc(d->v, cap * sizeof *d->v);
        if (!v)
            return; /* what is not listed now is tidied at the next start */
        d->v = v;
        d->cap = cap;
    }
    snprintf(d->v[d->n++], PATH_MAX_STORE, "%s", name);
}

void store_tidy(struct store *s)
{
    struct dir_list dirs = { 0 };
    struct err e = ERR_INIT;
    if (s->io->ops->list(s->io, "p", collect_dir, &dirs, &e) == 0) {
        struct leftover l = { .s = s };
        for (uint32_t i = 0; i < dirs.n; i++) {
            char path[2 * PATH_MAX_STORE];
            snprintf(l.dir, sizeof l.dir, "%s", dirs.v[i]);
            snprintf(path, sizeof path, "p/%s", dirs.v[i]);
            s->io->ops->list(s->io, path, leftover_file, &l, &e);
        }
        if (l.unknown)
            store_event(s, LOG_WARN,
                        "%u files under p/ are not in the manifest and were left alone", l.unknown);
    }
    mem_free(dirs.v);
}
