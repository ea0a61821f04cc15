/* classes.h: retention classes: which entries are kept for how long.
 *
 * A class has a number, which is in the names of directories and in the manifest's entries of
 * segments, and a name, by which rules speak of it. The manifest holds name, number and age, so a
 * number means the same after a restart, whatever the rules are by then; class 0 is of entries that
 * no rule takes, and has the store's own retention. */
#ifndef FL_STORE_COLUMNAR_CLASSES_H
#define FL_STORE_COLUMNAR_CLASSES_H

#include "store/columnar/impl.h"

/* Gives the rules of s->cfg their numbers in s->rule_cls and writes new classes, and those with
 * another age, into the manifest. Before threads start. ERR_LIMIT: no number is free. */
int classes_open(struct store *s, struct err *err);
/* How long entries of a class are kept, given what class 0 has; 0: for ever. */
int64_t class_keep(const struct store *s, uint32_t cls, int64_t default_keep);
/* The class of each row of a block into out[0..b->n), by the first rule that takes it. run: of the
 * calling thread. */
int classes_of(const struct store *s, struct block *b, struct pred_run *run, uint8_t *out,
               struct err *err);

#endif
