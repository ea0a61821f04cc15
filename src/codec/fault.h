/* fault.h: what is the same in every report of one fault: its text and where it was thrown.
 *
 * A stack is recognised by its frames: Python, JavaScript, Java, C#, Go, Rust. Its top frame is the
 * one that threw: Python's last, everyone else's first, without the machinery of a panic. Lines,
 * columns, addresses, arguments and folders are left out, so that a new build of the same code, or
 * another machine, gives the same frame.
 *
 * These rules are version FAULT_VERSION: identifiers are made of their results and are kept for
 * years, so a change of any rule is a new version. Pure functions. */
#ifndef FL_CODEC_FAULT_H
#define FL_CODEC_FAULT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

#define FAULT_VERSION 1
#define FAULT_STACK_MAX (256u << 10) /* bytes of a stack that are looked at */
#define FAULT_TEXT_MAX 512           /* bytes of the line that is a fault's text */

/* Pieces of the text that was given; empty where it does not say. */
struct fault_stack {
    str type;     /* "ValueError", "java.io.IOException", "panic" */
    str line;     /* the line that says it: "ValueError: bad input"; a panic's own words */
    str function; /* of the top frame: "run_tool", "Agent.step", "main.(*T).Run" */
    str file;     /* of the top frame, without folders: "app.py" */
};
/* False when no frame is in it. */
bool fault_stack_read(str text, struct fault_stack *ret);
/* "run_tool (app.py)"; nothing when neither is known */
void fault_put_frame(struct buf *out, const struct fault_stack *s);
/* The first line of a message with what differs from one report to the next replaced: quoted text
 * by <text>, paths and addresses by <path>, numbers and words with digits as templates have them
 * (<int>, <text>). At most FAULT_TEXT_MAX bytes of it count. */
void fault_put_text(struct buf *out, str message);

#endif
