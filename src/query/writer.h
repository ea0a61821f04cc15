/* writer.h: what the encoders share. */
#ifndef FL_QUERY_WRITER_H
#define FL_QUERY_WRITER_H

#include "query/query.h"

int writer_done(const struct buf *b, struct err *err);     /* 0, or why b is bad */
int writer_drain(struct query_writer *w, struct err *err); /* flush when there is much */
/* a value for people and spreadsheets: text as it is, instants and levels spelled out */
void writer_put_plain(struct buf *b, enum field f, const struct val *v);

/* writer_text.c: tables with aligned columns */
int text_begin(struct query_writer *w, struct err *err);
int text_row(struct query_writer *w, const struct query_row *row, struct err *err);
int text_end(struct query_writer *w, struct err *err);

#endif
