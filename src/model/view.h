/* view.h: one stored row in the words of a dialect.
 *
 * Every view returns the values and names its client sent (JSON-value equality, not key order or
 * spacing), guided by the row's shape; see data-model.md "How each seed sees an entry". All append
 * one value without a newline and return 0 or an error code. */
#ifndef FL_MODEL_VIEW_H
#define FL_MODEL_VIEW_H

#include "base/buf.h"
#include "base/err.h"
#include "model/block.h"

/* Canonical JSON: id, seq, timestamp, received_at, level, agent, message ... attributes as one
 * nested object. Absent fields are left out. */
int view_native(struct buf *out, struct block *b, uint32_t row, struct err *err);
/* The object as its client sent it: same names, places and values, nothing added (Elasticsearch
 * `_source`, export of originals). */
int view_source(struct buf *out, struct block *b, uint32_t row, struct err *err);
/* The value of one member of that object, *ret_found false when it has none of that key. */
int view_sent(struct buf *out, struct block *b, uint32_t row, str key, bool *ret_found,
              struct err *err);
/* {timestamp: float s, agent, level: UPPER, message, context, trace_id, session_id}; trace shows
 * as DEBUG */
int view_fleet(struct buf *out, struct block *b, uint32_t row, struct err *err);
/* {id, agent_id, message, level, category, session_key, source, metadata, trace_id, parent_id,
 * created_at, resolved, resolved_at, resolved_by} */
int view_mals(struct buf *out, struct block *b, uint32_t row, struct err *err);
/* flat event with timestamp, agent, event, content and the rest, whatever dialect it came in by */
int view_guide(struct buf *out, struct block *b, uint32_t row, struct err *err);
/* hook event as POST /events took it: source_app, session_id, hook_event_type, payload, ... plus
 * id (the sequence number) and timestamp in ms */
int view_hook(struct buf *out, struct block *b, uint32_t row, struct err *err);
/* "2026-11-21T10:00:00.123Z ERROR planner  message  key=value ..." for terminals: control
 * characters and escapes of the log text shown escaped; color adds ANSI colours by level. Long
 * messages are not cut; a newline in a message is shown as \n. */
int view_text(struct buf *out, struct block *b, uint32_t row, bool color, struct err *err);

/* Any value as JSON; instants of FF_TIME fields as RFC 3339 text, level as its name. */
void view_put_val(struct buf *out, enum field f, struct val v);
/* the attributes object of a row (without internal keys), "{}" when there are none */
int view_attributes(struct buf *out, struct block *b, uint32_t row, struct err *err);
/* Escapes control characters (C0, DEL, C1), ESC, bidi controls and invalid UTF-8 as \xNN or
 * \u{NNNN}; newline as \n, tab as \t when flat, kept when !flat. */
void view_put_safe(struct buf *out, str text, bool flat);

#endif
