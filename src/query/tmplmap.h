/* tmplmap.h: messages -> numbers of their templates (codec/template.h), for pipes that count by
 * them; and whether a template was there before a moment.
 *
 * A distinct text of a block is taken apart once where the column is a dictionary. Numbers are
 * 1, 2, ... in order of appearance; 0 is "has no template". */
#ifndef FL_QUERY_TMPLMAP_H
#define FL_QUERY_TMPLMAP_H

#include "codec/template.h"
#include "query/internal.h"

struct tmpl_map {
    struct arena arena;
    struct smap map; /* template -> number */
    str *text;       /* number - 1 -> template */
    uint32_t n, cap;
    struct buf tmp;
    uint32_t *codes; /* scratch: dictionary code -> number */
    uint32_t ncodes;
    struct template_var vars[TEMPLATE_VARS_MAX];
};
void tmpl_map_init(struct tmpl_map *m);
void tmpl_map_deinit(struct tmpl_map *m);
size_t tmpl_map_bytes(const struct tmpl_map *m);
int tmpl_map_put(struct tmpl_map *m, str tmpl, uint32_t *ret, struct err *err);

struct tmpl_rows { /* of one block */
    struct tmpl_map *m;
    struct access a;
    bool by_code;
};
/* ref: of the message; as long as the block is looked at */
int tmpl_rows_open(struct tmpl_rows *r, struct tmpl_map *m, struct block *b,
                   const struct fieldref *ref, struct err *err);
int tmpl_rows_get(struct tmpl_rows *r, uint32_t row, bool *ret_has_message, uint32_t *ret,
                  struct err *err);

/* ---- was it there before? ----
 * The summaries of segments tell when a template was first stored. Where they do not say (they hold
 * the frequent ones, and count what a key may not see), earlier entries with the longest fixed
 * piece of the template are looked at. At most PAST_CHECKS_MAX templates are asked for. */
#define PAST_CHECKS_MAX 5000

struct past {
    struct run *run;
    const char *pipe;
    bool known; /* there is a moment from which on something is new */
    ts_ns from;
    struct smap first; /* template -> index of stat + 1 */
    struct template_stat *stat;
    bool whole; /* the summaries hold every template */
    uint32_t checks;
    struct arena arena;
    struct tmpl_map *m; /* its scratch */
    struct fieldref message;
};
/* from: TS_MIN = where the filter's time begins, if it says */
int past_open(struct past *p, struct run *r, const char *pipe, struct tmpl_map *m, ts_ns from,
              struct err *err);
void past_close(struct past *p);
/* *ret: absent when it is not known */
int past_is_new(struct past *p, str tmpl, struct val *ret, struct err *err);
/* is there any entry before? */
int past_any(struct past *p, bool *ret, struct err *err);

/* The entry with that sequence number: its id, and its message when ret_message is not NULL, in the
 * arena; both empty when it is gone. */
int entry_by_seq(struct run *r, uint64_t seq, struct arena *a, str *ret_id, str *ret_message,
                 struct err *err);

#endif
