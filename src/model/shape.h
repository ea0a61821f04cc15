/* shape.h: the string in column "shape" that says how a client spelled an entry.
 *
 * Equal for all entries a logger writes, so a dictionary holds it once. With it a view puts every
 * value back under the name, at the place and in the spelling it came with. Grammar, on one letter
 * for the dialect and then items, each after a newline:
 *
 *   NAME[#|+][=PATH][TAB SPELLING]  canonical field NAME was read from PATH (default: its own
 * name);
 *                                   '#': sent as a number; '+': sent with cached tokens included;
 *                                   SPELLING: see spell.h (timestamp, level), or the omitted
 * default value itself (kind, stream) -NAME                           NAME was not sent, the server
 * filled it in
 *   @KEY                            the object KEY held attributes which are stored without KEY
 *   .KEY                            the attribute KEY stood beside the containers, not in one
 *   :nKEY                           the attribute KEY stood in the n-th container (0 = first)
 *   ~KEY=PATH                       the attribute KEY was sent as PATH
 *
 * Without '.', ':' or '~' an attribute stood in the first container, or at the top when there is
 * none, except that an attribute whose first step is a container's own name always stood there at
 * the top. A PATH is steps joined by PATH_SEP; bytes 1, 2, TAB and newline inside a step are
 * escaped as PATH_ESC and the byte plus 0x10. Pure; thread-safe. */
#ifndef FL_MODEL_SHAPE_H
#define FL_MODEL_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "model/field.h"

#define SHAPE_CONTAINERS 5
#define SHAPE_MAX 1024 /* longer ones are not written: containers then keep their full paths */

enum shape_flag { SHAPE_NUMBER = 1, SHAPE_INCLUSIVE = 2 };

struct shape_item {
    str path; /* empty: the field's own name */
    str spelling;
    uint8_t flags;
};

struct shape {
    char dialect;    /* 'N' native, 'F' Fleet, 'M' MALS, 'G' guide, 'E' hook events, 'T' text; 0
                        unknown */
    uint64_t listed; /* fields with an item in f[]; the rest of f[] is not set */
    uint64_t filled; /* fields the server filled in */
    uint32_t ncontainers;
    str containers[SHAPE_CONTAINERS];
    bool has_places; /* any '.', ':' or '~' */
    str text;
    struct shape_item f[F__COUNT];
};

/* Slices point into text. What cannot be understood is left out. */
void shape_parse(str text, struct shape *ret);
/* Where the attribute with this first step (as in a column key) stood: the number of a container,
 * or -1 for the top. *ret_moved: the path it was sent as, when it was renamed. */
int shape_place(const struct shape *s, str step, str *ret_moved);

/* ---- writing ---- */
/* one step of a column key (already escaped there) as it stands in a shape */
void shape_put_step(struct buf *b, str step);

#endif
