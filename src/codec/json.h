/* json.h: strict JSON (RFC 8259) pull tokenizer and writer.
 *
 * The tokenizer walks one buffer once and hands out slices of it; it allocates nothing. The
 * buffer must be readable for 32 bytes past its end (struct buf guarantees that). Values are
 * separated by white space only (NDJSON: one value a line is the usual case, but any white space
 * will do). It checks everything: grammar, escapes, UTF-8, control characters, paired surrogates
 * (a lone one is refused: it has no UTF-8 form), depth.
 * Throughput target: 1 GB/s a core (T3). Not thread-safe; one reader belongs to one thread. */
#ifndef FL_CODEC_JSON_H
#define FL_CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* open arrays and objects; the ingest limit (32) is checked by ingest */
#define JSON_DEPTH_MAX 64

enum json_type {
    JSON_END,     /* clean end of input between values */
    JSON_OBJ,     /* { */
    JSON_OBJ_END, /* } */
    JSON_ARR,     /* [ */
    JSON_ARR_END, /* ] */
    JSON_KEY,     /* member name; its value follows */
    JSON_STR,
    JSON_NUM,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_tok {
    enum json_type type;
    str raw;       /* KEY, STR: between the quotes, escapes as they stand; NUM: its text */
    bool escaped;  /* KEY, STR: raw has a backslash: call json_unescape */
    bool integral; /* NUM: no fraction, no exponent */
};

struct json_rd {
    const char *start, *p, *end;
    uint32_t depth;
    uint64_t in_obj; /* bit d: container at depth d is an object */
    uint8_t state;
};

void json_init(struct json_rd *r, str text);
/* 0 or ERR_INVALID with err->pos = byte offset of the fault. After an error the reader may only be
 * used with json_resync. */
int json_next(struct json_rd *r, struct json_tok *ret, struct err *err);
/* Having read the opening token of a value (or any scalar), moves past its end and gives the whole
 * value's source text. Scalars: their text including quotes. */
int json_skip(struct json_rd *r, const struct json_tok *open, str *ret_source, struct err *err);
/* After an error: moves past the next newline and starts afresh there; false at the end. When the
 * fault is a '{' that begins a line inside an unfinished value, that line is where it starts: the
 * one before was cut short. */
bool json_resync(struct json_rd *r);
/* offset of the reader in its text */
static inline size_t json_offset(const struct json_rd *r)
{
    return (size_t)(r->p - r->start);
}
/* Decodes a KEY/STR slice. Without escapes it returns raw itself. .p == NULL: out of arena. */
str json_unescape(const struct json_tok *t, struct arena *a);

/* ---- numbers ---- */
enum json_num_kind {
    JNUM_I64, /* integral and fits int64 */
    JNUM_F64, /* a double that prints back to the same decimal value */
    JNUM_TEXT /* neither int64 nor double keeps it: keep the text */
};
/* Classifies a NUM slice ("-0" is JNUM_F64; "1.0" is JNUM_F64; 1e999 and 2^63 are JNUM_TEXT). */
enum json_num_kind json_number(str raw, bool integral, int64_t *ret_i, double *ret_d);

/* ---- writer ---- */
void json_put_str(struct buf *b,
                  str s); /* quoted and escaped; s is valid UTF-8; also escapes U+2028/9 not */
void json_put_escaped(struct buf *b, str s); /* the same without the quotes */
void json_put_f64(struct buf *b, double d);  /* shortest text that reads back to d; finite */
/* Canonical minified copy of one JSON value (used for arrays and objects kept as json): white space
 * dropped, strings re-escaped minimally, numbers as written. */
int json_minify(struct buf *b, str value, struct err *err);
/* true when text is exactly one JSON value */
bool json_valid(str text);

#endif
