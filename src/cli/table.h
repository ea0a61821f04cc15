/* table.h: rows of columns for a person.
 *
 * On a terminal a table fits its width: columns of text are narrowed, the widest first, and what
 * does not fit in a cell ends in an ellipsis. When even narrow columns do not fit, every row
 * becomes a block of lines, one a column. Elsewhere, or when told to be wide, nothing is cut. */
#ifndef FL_CLI_TABLE_H
#define FL_CLI_TABLE_H

#include "base/err.h"
#include "base/str.h"
#include "cli/term.h"

struct table;
int table_new(struct table **ret, struct err *err);
void table_free(struct table *t);
int table_add(struct table *t, str line, struct err *err); /* a JSON object; copies */
void table_print(struct table *t, struct out *o, bool wide);

#endif
