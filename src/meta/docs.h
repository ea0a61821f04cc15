/* docs.h: saved views and dashboards: small named documents that people keep.
 *
 * A document is a JSON text nobody here looks into. Its `rev` differs after every change, also from
 * those of documents of its kind that are gone, so that whoever changes what he read can be told
 * that somebody else was faster. Every function may wait for the disk; thread-safe.
 *
 * `viewer` is the agent pattern of the key that asks: "" sees all documents, any other only those
 * made under the same pattern. */
#ifndef FL_META_DOCS_H
#define FL_META_DOCS_H

#include "meta/meta.h"

#define META_DOCS_MAX 1000                    /* of each kind */
#define META_DOC_BYTES_MAX ((size_t)64 << 10) /* of one */
#define META_DOC_NAME_MAX 64

enum meta_doc_kind { DOC_VIEW, DOC_DASHBOARD, DOC__COUNT };

struct meta_doc {
    str name, doc;
    str agent; /* pattern of the key that made it */
    str changed_by;
    ts_ns created, changed;
    uint64_t rev;
};
/* By name, without `doc`. */
int meta_doc_list(struct meta *m, enum meta_doc_kind kind, str viewer, struct arena *a,
                  struct meta_doc **ret, uint32_t *ret_n, struct err *err);
/* ERR_NOTFOUND */
int meta_doc_get(struct meta *m, enum meta_doc_kind kind, str viewer, str name, struct arena *a,
                 struct meta_doc *ret, struct err *err);

struct meta_doc_change {
    str name, doc;
    str viewer; /* a new document becomes this pattern's */
    str who;
    ts_ns now;
    bool must_be_new, must_exist;
    bool has_rev; /* it must exist and be of this rev */
    uint64_t rev;
};
enum meta_doc_outcome { META_DOC_CREATED, META_DOC_CHANGED, META_DOC_UNCHANGED };
/* ERR_CONFLICT: another rev, a name that is taken, gone meanwhile; ERR_LIMIT. The same document
 * once more changes nothing, not even its time. */
int meta_doc_put(struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
                 enum meta_doc_outcome *ret, struct err *err);
/* name, viewer, has_rev and rev of the change count. ERR_NOTFOUND, ERR_CONFLICT. */
int meta_doc_delete(struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
                    struct err *err);

#endif
