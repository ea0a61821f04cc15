/* pull.h: columns taken out of a text, row by row, for `extract` and `parse`.
 *
 * What is found is laid over the block (overlay.h). A row in which a column is not found keeps what
 * it had under that name. A chunk is handed on in pieces when the texts made on the way grow large.
 */
#ifndef FL_QUERY_PULL_H
#define FL_QUERY_PULL_H

#include "query/expr.h"
#include "query/overlay.h"

/* a column to be filled */
struct pull_col {
    struct fieldref ref;  /* what it becomes */
    struct fieldref kept; /* what a row without it keeps; .key.p == NULL: nothing */
};

/* one piece of a chunk */
struct pull {
    struct run *r;
    struct arena *a; /* lives until the piece has been handed on */
    struct block *b;
    const uint64_t *sel; /* rows of the chunk that are left */
    uint32_t n;
    const struct pull_col *cols;
    uint32_t ncols;
    struct val **vals; /* by column; NULL: in no row so far */
    void *ctx;
};

struct pull_how {
    const struct expr_prog *from;
    const struct pull_col *cols;
    uint32_t ncols;
    void *ctx;
    int (*begin)(struct pull *x, struct err *err); /* of a piece; may be NULL */
    /* the text of a row, valid until the piece ends */
    int (*row)(struct pull *x, str text, uint32_t row, struct err *err);
    /* what else is laid over *at, for the rows of sel; may be NULL */
    int (*end)(struct pull *x, const uint64_t *sel, struct block **at, struct err *err);
};

struct pull_op {
    struct op op;
    struct arena arena;
    void *state; /* of the pipe */
};

int pull_open(struct op *o, struct err *err);
void pull_close(struct op *o);
int pull_push(struct pull_op *o, const struct chunk *c, const struct pull_how *how,
              struct err *err);
int pull_put(struct pull *x, uint32_t col, uint32_t row, struct val v, struct err *err);
/* the columns a text is made of, and those that are kept, to a list; false: out of memory */
bool pull_reads(const struct expr_prog *from, const struct pull_col *cols, uint32_t ncols,
                struct arena *a, struct schema *to);
/* `[from] f`, else the message */
int pull_parse_from(struct parser *p, struct expr_prog **ret);

#endif
