/* expr_time.c: see expr_time.h. The digits are cut out of the RFC 3339 text of the instant, moved
 * by the offset. */
#include "query/expr_time.h"

static const char letters[] = "YmdHMSyjebBaAzpIs%LfN";

int expr_check_format(struct parser *p, struct expr *e)
{
    struct expr *f = e->arg[1];
    e->v.i = p->o->tz_minutes;
    if (!expr_is_const_text(f))
        return parse_error(p, f->pos, "the layout of format_time is a text in quotes");
    for (size_t i = 0; i < f->v.s.n; i++) {
        if (f->v.s.p[i] != '%')
            continue;
        char c = ++i < f->v.s.n ? f->v.s.p[i] : 0;
        if (c && strchr(letters, c))
            continue;
        parse_error(p, f->pos, "format_time knows no %%%c", c >= 0x20 && c < 0x7f ? c : '?');
        err_hint(p->err, "it knows %%Y %%m %%d %%H %%M %%S %%L %%f %%b %%a %%j %%z %%s and %%%%");
        return ERR_INVALID;
    }
    return 0;
}

static bool instant(struct val v, ts_ns *ret)
{
    switch (v.t) {
    case V_I64: return ts_from_epoch_i64(v.i, ret);
    case V_F64: return ts_from_epoch_f64(v.d, ret);
    case V_STR: return ts_parse_any(v.s, ret);
    default: return false;
    }
}

/* day of the year from 1, of "YYYY-MM-DD" */
static int day_of_year(const char *iso)
{
    static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    int year = 0, month = (iso[5] - '0') * 10 + iso[6] - '0';
    for (int i = 0; i < 4; i++)
        year = year * 10 + iso[i] - '0';
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return before[month - 1] + (leap && month > 2) + (iso[8] - '0') * 10 + iso[9] - '0';
}

static void put_letter(struct buf *b, char c, ts_ns t, int32_t tz, const char *iso)
{
    static const char *const days[] = { "Thursday", "Friday",  "Saturday", "Sunday",
                                        "Monday",   "Tuesday", "Wednesday" };
    static const char *const months[] = { "January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December" };
    const char *month = months[(iso[5] - '0') * 10 + iso[6] - '0' - 1];
    ts_ns local = t + (ts_ns)tz * 60 * NS_PER_S;
    int64_t day = floor_div(local, NS_PER_DAY);
    const char *week = days[day - floor_div(day, 7) * 7];
    int hour = (iso[11] - '0') * 10 + iso[12] - '0';
    int32_t east = tz < 0 ? -tz : tz;
    switch (c) {
    case 'Y': buf_put(b, iso, 4); break;
    case 'y': buf_put(b, iso + 2, 2); break;
    case 'm': buf_put(b, iso + 5, 2); break;
    case 'd': buf_put(b, iso + 8, 2); break;
    case 'e': buf_printf(b, "%2d", (iso[8] - '0') * 10 + iso[9] - '0'); break;
    case 'H': buf_put(b, iso + 11, 2); break;
    case 'I': buf_printf(b, "%02d", hour % 12 ? hour % 12 : 12); break;
    case 'p': buf_puts(b, hour < 12 ? "AM" : "PM"); break;
    case 'M': buf_put(b, iso + 14, 2); break;
    case 'S': buf_put(b, iso + 17, 2); break;
    case 'L': buf_put(b, iso + 20, 3); break;
    case 'f': buf_put(b, iso + 20, 6); break;
    case 'N': buf_put(b, iso + 20, 9); break;
    case 'j': buf_printf(b, "%03d", day_of_year(iso)); break;
    case 'B': buf_puts(b, month); break;
    case 'b': buf_put(b, month, 3); break;
    case 'A': buf_puts(b, week); break;
    case 'a': buf_put(b, week, 3); break;
    case 'z': buf_printf(b, "%c%02d%02d", tz < 0 ? '-' : '+', east / 60, east % 60); break;
    case 's': buf_put_i64(b, floor_div(t, NS_PER_S)); break;
    default: buf_putc(b, '%');
    }
}

int expr_format_time(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                     struct err *err)
{
    struct val v;
    ts_ns t, moved;
    char iso[TS_TEXT_MAX];
    int32_t tz = (int32_t)e->v.i;
    str f = e->arg[1]->v.s;
    int rc = expr_arg(x, e->arg[0], row, &v, err);
    *ret = VAL_ABSENT;
    if (rc)
        return rc;
    if (e->arg[0]->time && v.t == V_I64)
        t = v.i;
    else if (!instant(v, &t))
        return 0;
    if (__builtin_add_overflow(t, (ts_ns)tz * 60 * NS_PER_S, &moved))
        return 0;
    ts_format(moved, 9, iso);
    buf_reset(&x->buf);
    for (size_t i = 0; i < f.n; i++) {
        if (f.p[i] == '%' && i + 1 < f.n)
            put_letter(&x->buf, f.p[++i], t, tz, iso);
        else
            buf_putc(&x->buf, f.p[i]);
    }
    return buf_ok(&x->buf) ? expr_own(x, buf_str(&x->buf), ret, err) : err_nomem(err);
}
