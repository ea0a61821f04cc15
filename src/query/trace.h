/* trace.h: what pipe_trace.c notes of entries, and trace_tree.c makes of it.
 *
 *   entry ─ pipe_trace.c ─► struct note ─ trace_tree.c, a trace at a time ─► nodes ─► rows
 *
 * A node is a span, known by its span id (or, where there is none, by its call id), or an entry
 * that names a parent entry or is named as one. Other entries belong to the span they name. */
#ifndef FL_QUERY_TRACE_H
#define FL_QUERY_TRACE_H

#include "query/read.h"
#include "query/tree.h"

#define TRACE_TEXT_MAX 200             /* bytes of a message that are kept */
#define SPAN_IDLE (30 * 60 * NS_PER_S) /* silent so long, an open span is not said to run */

enum note_kind { NOTE_LOG, NOTE_START, NOTE_END, NOTE_SPAN };

/* texts by number (struct intern); 0 is the absent one */
enum note_text {
    NT_TRACE,
    NT_SESSION,
    NT_SPAN,
    NT_PARENT,
    NT_ENTRY, /* its own id, when anything may name it */
    NT_PARENT_ENTRY,
    NT_CALL,
    NT_NAME,
    NT_AGENT,
    NT_TOOL,
    NT_MODEL,
    NT_STATUS,
    NT_KIND,
    NT_MESSAGE,
    NT__COUNT
};

struct note {
    uint64_t scope; /* number of its trace, or of its session where it has none */
    ts_ns t;
    uint64_t seq;
    double ms; /* < 0: not told */
    uint32_t text[NT__COUNT];
    uint32_t usage; /* 1 + number of its usage; 0: none */
    uint8_t kind, level;
    bool failed;
};

struct notes {
    struct note *v;
    uint32_t n, cap;
    struct usage *usage;
    uint32_t nusage, cap_usage;
    struct intern texts;
    bool ready;
};

enum trace_column {
    TC_TRACE,
    TC_SESSION,
    TC_DEPTH,
    TC_LINK,
    TC_SPAN,
    TC_PARENT,
    TC_KIND,
    TC_NAME,
    TC_AGENT,
    TC_TOOL,
    TC_MODEL,
    TC_LEVEL,
    TC_STATUS,
    TC_STATE,
    TC_START,
    TC_DURATION,
    TC_SELF,
    TC_CRITICAL,
    TC_ENTRIES,
    TC_ERRORS,
    TC_TOKENS,
    TC_COST,
    TC_TREE_TOKENS,
    TC_TREE_COST,
    TC_MESSAGE,
    TC__COUNT
};

/* Hands on the rows of all traces, in order of their first moment. logs: other entries as rows too.
 * Sorts the notes. 0, OP_ENOUGH, < 0. */
int trace_rows(struct op *o, struct notes *notes, bool logs, struct err *err);

#endif
