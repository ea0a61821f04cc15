/* group.h: which group a row belongs to, for every pipe that groups (stats top uniq timeline
 * dedup).
 *
 * A key is a field, the bucket of its time or the bucket of a number. Every distinct value gets a
 * number (intern.c), every distinct combination of them a group number, in order of appearance. A
 * dictionary column costs one look-up a distinct value and block. Null is a value like any other.
 */
#ifndef FL_QUERY_GROUP_H
#define FL_QUERY_GROUP_H

#include "query/internal.h"

#define GROUP_KEYS_MAX 17

enum key_kind { KEY_FIELD, KEY_TIME, KEY_BUCKET };

struct group_key {
    enum key_kind kind;
    struct fieldref ref;
    int64_t step;            /* KEY_TIME: ns */
    struct pred_bound width; /* KEY_BUCKET */
};

struct grouper {
    struct run *r;
    const char *pipe;
    const struct group_key *keys;
    uint32_t nkeys;
    struct arena arena; /* of the tuples */
    struct intern *its; /* one a key */
    struct smap tuples; /* several keys: their numbers -> group */
    uint32_t *of;       /* several keys: group -> nkeys numbers */
    uint32_t n, cap;    /* groups */
    uint32_t *gid;      /* by row of the current chunk */
    uint32_t *codes;    /* scratch: dictionary code -> number */
    uint32_t ncodes;
    uint32_t *vid;    /* scratch: by row */
    uint32_t *direct; /* several keys, few numbers: group by the numbers' bits side by side */
    unsigned direct_bits, shift[GROUP_KEYS_MAX];
};

int grouper_init(struct grouper *g, struct run *r, const char *pipe, const struct group_key *keys,
                 uint32_t nkeys, struct err *err);
void grouper_deinit(struct grouper *g);
/* fills g->gid for the rows of the chunk */
int grouper_rows(struct grouper *g, const struct chunk *c, struct err *err);
/* Takes in the groups of another grouper of the same keys: map[its group] = this one's. */
int grouper_merge(struct grouper *g, const struct grouper *from, uint32_t *map, struct err *err);
struct val grouper_val(const struct grouper *g, uint32_t group, uint32_t key);
/* group numbers in rising order of their keys; mem_free it */
int grouper_sorted(const struct grouper *g, uint32_t **ret, struct err *err);

/* ---- arguments shared by pipes: "by a, time(5m), bucket(x, 100)" ---- */
struct by_args {
    struct group_key *keys;
    struct qcol *cols; /* what each is called */
    uint32_t n;
};
/* after `by`: a list of keys */
int parse_by(struct parser *p, struct by_args *ret);
int parse_by_one(struct parser *p, struct group_key *key, struct qcol *col);
/* pipe_timeline.c: its step, 0 = chosen while it runs, and what else it groups by */
int64_t timeline_step(const struct pipe *p, const struct by_args **ret_by);
/* pipe_top.c (top, rare, uniq): what it groups by; it is to give every value */
const struct by_args *top_by(const struct pipe *p);
void top_all(struct pipe *p);

#endif
