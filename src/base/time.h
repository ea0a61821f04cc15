/* time.h: instants as int64 nanoseconds since 1970-01-01T00:00:00Z (years 1677 to 2262).
 *
 * Parsing and formatting are pure and know no time zone data; offsets are explicit. */
#ifndef FL_BASE_TIME_H
#define FL_BASE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

typedef int64_t ts_ns;

#define NS_PER_US 1000ll
#define NS_PER_MS 1000000ll
#define NS_PER_S 1000000000ll
#define NS_PER_DAY (86400ll * NS_PER_S)
#define TS_MIN INT64_MIN
#define TS_MAX INT64_MAX
#define TS_TEXT_MAX 40 /* room for any formatted instant and its NUL */

/* RFC 3339 with any offset, also as "+hhmm" or "+hh" ("T", "t" or a space between date and time,
 * fraction of 1 to 9 digits, more are cut; seconds 60 = next minute), and the same without offset =
 * UTC, where the fraction may also follow a comma: "YYYY-MM-DD HH:MM:SS[.frac|,frac]"; "YYYY-MM-DD"
 * = 00:00 UTC. False when s is none of these or out of range. */
bool ts_parse_iso(str s, ts_ns *ret);
/* "+hh:mm", "+hhmm", "+hh", or with "-": seconds east of UTC, less than a day either way */
bool ts_parse_offset(str s, int32_t *ret_secs);
/* Epoch number by magnitude: |x| < 1e11 s, < 1e14 ms, < 1e17 us, else ns. */
bool ts_from_epoch_i64(int64_t x, ts_ns *ret);
bool ts_from_epoch_f64(double x, ts_ns *ret);
bool ts_from_seconds_f64(double s, ts_ns *ret); /* Fleet: always seconds */
/* decimal text of seconds exactly to the ns: "1700000000.123456789" */
bool ts_from_seconds_text(str s, ts_ns *ret);
/* ISO text or numeric text, by the rules above */
bool ts_parse_any(str s, ts_ns *ret);

/* RFC 3339 UTC: "2026-11-21T10:00:00Z", with 0, 3, 6 or 9 fraction digits; digits = -1 picks the
 * fewest that keep the value. out has TS_TEXT_MAX bytes; returns the length. */
size_t ts_format(ts_ns t, int digits, char *out);
/* UTC day as "YYYY-MM-DD" (10 bytes + NUL) and back to the instant of its midnight */
void ts_format_day(ts_ns t, char out[11]);
bool ts_parse_day(str s, ts_ns *ret_midnight);
/* "15m", "2h", "30d", "250ms", "1w", "1.5h", "90" (bare number: `bare_unit` ns each; 0: refused)
 * -> ns, > 0. Units: ns us ms s m h d w. */
bool dur_parse(str s, int64_t bare_unit, int64_t *ret_ns);
int64_t floor_div(int64_t a, int64_t b); /* rounds toward -inf, b > 0 */

#endif
