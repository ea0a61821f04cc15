/* template.h: a message as its template and its variables.
 *
 * The template is what the program wrote, the variables what it filled in:
 *
 *     "took 120 ms, retry 3 of job_7f3a"  ->  "took <int> ms, retry <int> of <text>"  120  3
 * "job_7f3a"
 *
 * Decided by the message alone, as CLP does (Rodrigues, Luo, Yuan: CLP, OSDI 2021), not by what was
 * seen before: the same message has the same template in every segment, so a template's id is the
 * hash of its text and stays. A word is a run of ASCII letters, digits and _ - . + / \ : @. One
 * without a digit belongs to the template. One made of digits and of letters kept apart by those
 * signs (2026-11-29, 10.0.0.1:80, step-3) leaves its numbers; any other (ids, hashes) is left out
 * whole. Pure functions. */
#ifndef FL_CODEC_TEMPLATE_H
#define FL_CODEC_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define TEMPLATE_TEXT_MAX 2048 /* bytes of a message; longer ones have no template */
#define TEMPLATE_VARS_MAX 128  /* variables of a message; more: no template */

/* Where a variable stood. None of them may be in a message that has a template. */
#define TEMPLATE_INT '\x11'    /* digits without leading zeros, below 10^18 */
#define TEMPLATE_PADDED '\x13' /* ... with leading zeros; then 'A' + number of digits */
#define TEMPLATE_TEXT '\x12'   /* anything */

struct template_var {
    uint64_t num; /* TEMPLATE_INT, TEMPLATE_PADDED */
    str text;     /* as it stood in the message, numbers too */
};

/* Appends the template of `text` to `out` and gives its variables, in order. False, with nothing
 * appended: it has none (too long, too many variables, or a byte of the three above). out may turn
 * bad for want of memory. */
bool template_split(str text, struct buf *out, struct template_var v[TEMPLATE_VARS_MAX],
                    uint32_t *ret_n);

/* The id of a template: stable for ever (XXH3 of its bytes). */
uint64_t template_id(str tmpl);

/* For people: <int> and <text> for the variables. */
void template_show(struct buf *out, str tmpl);

#endif
