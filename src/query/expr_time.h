/* expr_time.h: format_time(t, "%Y-%m-%d %H:%M"): instants in a layout of the caller's.
 *
 * Letters as strftime has them: Y m d H M S y j e b B a A z p I s % and, for fractions, L (three
 * digits), f (six), N (nine). The offset is the request's tz. t is a time field, a text that is
 * one, or a number of seconds, milli-, micro- or nanoseconds since 1970 by its size. */
#ifndef FL_QUERY_EXPR_TIME_H
#define FL_QUERY_EXPR_TIME_H

#include "query/expr.h"

/* the layout must be a text in quotes with letters there are */
int expr_check_format(struct parser *p, struct expr *e);
int expr_format_time(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                     struct err *err);

#endif
