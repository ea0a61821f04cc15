/* view_row.h: one row laid open for the views: its fields, its attributes, its shape.
 *
 * Members borrow from the block. A member list can be arranged as the client's object (row_source)
 * or by column keys (row_attributes); then it is sorted by place and path, and objects are written
 * from runs of equal steps. Private to the views. */
#ifndef FL_MODEL_VIEW_ROW_H
#define FL_MODEL_VIEW_ROW_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/block.h"
#include "model/shape.h"

#define ROW_INLINE 128
#define TREE_TOP (-1)

struct member {
    str path; /* steps joined by PATH_SEP, without a leading one */
    int tree; /* TREE_TOP or the number of a container */
    enum field field;
    bool done; /* already written */
    struct val v;
};

struct row {
    uint64_t has;               /* fields present */
    struct val field[F__COUNT]; /* set where present */
    str sent[F__COUNT];         /* JSON text the client sent, where .p is set (from column rest) */
    uint64_t has_sent;
    struct shape shape;
    struct member *attr; /* as collected: path of the column key */
    uint32_t nattr;
    struct member *m; /* as arranged and sorted */
    uint32_t nm;
    uint32_t cap; /* of attr and of m; always > nattr + F__COUNT */
    bool sourced; /* m is arranged as the client's object */
    struct member room[2 * ROW_INLINE];
    struct member *heap;
    struct arena keys; /* unescaped keys of column rest */
};

/* Reads row `row`; row_close always. */
int row_open(struct row *r, struct block *b, uint32_t row, struct err *err);
void row_close(struct row *r);
static inline bool row_has(const struct row *r, enum field f)
{
    return r->has >> f & 1;
}
/* text of a string field, or the empty string */
str row_text(const struct row *r, enum field f);
enum level row_level(const struct row *r);

/* fills m with what the client sent, in its places */
void row_source(struct row *r);
/* fills m with the attributes by column key */
void row_attributes(struct row *r);

/* first and one past the last member of tree whose path begins with the step `key`; false: none */
bool row_find(const struct row *r, int tree, str key, uint32_t *ret_from, uint32_t *ret_to);

/* Members are written as `"key":value`, each after a comma unless *first. */
void put_key(struct buf *b, str key, bool *first);
void put_key_value(struct buf *b, str key, struct val v, enum field f, bool *first);
void row_put_member(struct buf *b, struct row *r, uint32_t from, uint32_t to, bool *first);
/* value of the member `key` of the arranged object; false: there is none, nothing is written */
bool row_put_sent(struct buf *b, struct row *r, str key);
/* all members of a tree that are not done, without braces */
void row_put_tree(struct buf *b, struct row *r, int tree, bool *first);
/* the canonical fields that are not in `skip` under their own names, and the attributes: what a
 * view of another dialect shows as free data */
void row_put_rest(struct buf *b, struct row *r, uint64_t skip, bool *first);
/* value of a member as the client spelled it */
void row_put_value(struct buf *b, const struct row *r, const struct member *m);

int view_done(const struct buf *b, struct err *err);

#endif
