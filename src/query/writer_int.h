/* writer_int.h: what writer.c and writer_text.c share. */
#ifndef FL_QUERY_WRITER_INT_H
#define FL_QUERY_WRITER_INT_H

#include "query/query.h"

/* a value as bare text: no quotes; nothing for an absent one */
void writer_cell_text(struct buf *out, enum field f, struct val v);
/* turns a full buffer into an error, drains it when there is a flush */
int writer_room(struct query_writer *w, struct err *err);
int writer_text_row(struct query_writer *w, const struct query_row *row, struct err *err);
/* prints the rows held back for their widths */
int writer_text_end(struct query_writer *w, struct err *err);

#endif
