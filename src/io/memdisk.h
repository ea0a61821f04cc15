/* memdisk.h: the tree behind io_mem: what a program sees, and what a power cut would leave.
 *
 * Everything exists twice: NOW is what a running program sees, DISK what was made durable.
 *
 *   file       now.p, disk.p: bytes; dirty: sectors of now that may differ from disk;
 *              lost: clean sectors of now that differ from disk, after a failed sync
 *              low: the smallest size since the last sync (below disk.n: a cut not yet durable)
 *   directory  ents[NOW], ents[DISK]: names
 *   journal    name changes in the order they were made, not yet in DISK
 *
 * Private to io/. Not thread-safe: io_mem holds its mutex around every call. */
#ifndef FL_IO_MEMDISK_H
#define FL_IO_MEMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define MD_SECTOR ((size_t)512)
#define MD_NAME_ROOM 256

enum { NOW, DISK };

struct md_name {
    uint32_t refs;
    char text[];
};

struct md_entry {
    struct md_name *name;
    struct md_node *node;
};

struct md_bytes {
    uint8_t *p;
    size_t n;
};

struct md_node {
    struct md_node *prev, *next; /* all nodes, in order of creation */
    uint32_t refs;               /* names in both trees, journal, open files */
    bool is_dir;
    /* file */
    struct md_bytes now, disk;
    uint64_t *dirty, *lost;
    size_t cap; /* of now.p and disk.p: a multiple of 64 sectors */
    uint64_t low;
    uint32_t names, opens; /* in NOW; neither: its bytes are free space */
    int locks;             /* -1: exclusive, else the number of shared ones */
    /* directory */
    struct md_entry *ents[2];
    uint32_t ents_n[2], ents_cap;
};

struct memdisk {
    struct md_node all; /* list head */
    struct md_node *root;
    struct md_change *journal;
    size_t journal_n, journal_cap;
    uint64_t used; /* bytes of files that have a name or are open */
};

int memdisk_init(struct memdisk *d, struct err *err);
void memdisk_deinit(struct memdisk *d);

/* A node is born with one reference, the caller's. NULL: out of memory. */
struct md_node *md_node_new(struct memdisk *d, bool is_dir);
void md_node_unref(struct md_node *n);
void md_name_unref(struct md_name *name);
struct md_entry *md_find(struct md_node *dir, int tree, const char *name);

/* Splits path into an existing directory and a last name ("" for the root itself). */
int md_locate(struct memdisk *d, const char *path, struct md_node **ret_dir,
              char name[MD_NAME_ROOM], struct err *err);
/* The same for a path that must exist. */
int md_lookup(struct memdisk *d, const char *path, struct md_node **ret_dir,
              char name[MD_NAME_ROOM], struct md_node **ret, struct err *err);

/* Makes a change of names in NOW and notes it in the journal: from_dir/from loses its name (unless
 * NULL), to_dir/to (unless NULL) becomes node, whatever it was before. All or nothing. */
int md_change(struct memdisk *d, struct md_node *from_dir, const char *from, struct md_node *to_dir,
              const char *to, struct md_node *node, struct err *err);
int md_sync_dir(struct memdisk *d, struct md_node *dir, struct err *err);

/* The caller has checked that there is space. */
int md_write(struct memdisk *d, struct md_node *n, const void *p, size_t len, uint64_t off,
             struct err *err);
int md_truncate(struct memdisk *d, struct md_node *n, uint64_t size, struct err *err);
void md_sync_file(struct md_node *n);
/* A sync that fails as Linux does it: what was dirty counts as clean, and some of it, by seed,
 * never gets to the disk. */
void md_sync_fails(struct md_node *n, uint64_t seed);
/* Clean sectors are read from the disk again. */
void md_drop_cache(struct md_node *n);

/* NOW becomes what the seed lets survive; no file counts as open any more. */
void md_crash(struct memdisk *d, uint64_t seed);
uint64_t md_draw(uint64_t *rng);

#endif
