/* text.c: plain lines. Each is an entry whose message is the whole line, unchanged.
 *
 * A time at the start is taken when it looks like one of
 *   2026-11-21T10:00:00.123Z   2026-11-21 10:00:00,123   [2026/11/21 10:00:00 +0200]
 * (no offset = UTC), and after it, or at the very start, a level: in capitals, in brackets or
 * before a colon, or as level=NAME. Anything else is receive time and info. A line that is not
 * UTF-8 keeps its exact bytes as hexadecimal text beside a message with U+FFFD for the bad ones. */
#include "base/utf8.h"
#include "ingest/decode.h"

#define LEVEL_WORDS 4  /* words after the time in which a level is looked for */
#define LEVEL_SCAN 200 /* bytes in which level= is looked for */

struct lines {
    const struct ingest_opts *o;
    const struct ingest_limits *lim;
    struct arena *a;
    struct bcol *time, *level, *agent, *message, *shape, *key_id, *hex;
    struct batch *b;
    bool nomem;
};

static bool digits(str s, size_t at, size_t n)
{
    if (at + n > s.n)
        return false;
    for (size_t i = at; i < at + n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

static bool one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* "YYYY-MM-DD" or "YYYY/MM/DD", one of "T t _" or a space, "HH:MM:SS" at i */
static bool clock_like(str s, size_t i)
{
    return s.n >= i + 19 && digits(s, i, 4) && one_of(s.p[i + 4], "-/") && digits(s, i + 5, 2) &&
           s.p[i + 7] == s.p[i + 4] && digits(s, i + 8, 2) && one_of(s.p[i + 10], "Tt _") &&
           digits(s, i + 11, 2) && s.p[i + 13] == ':' && digits(s, i + 14, 2) &&
           s.p[i + 16] == ':' && digits(s, i + 17, 2);
}

/* "Z", "+02:00", "+0200", the latter two also after a space, at *i: appends it to out */
static void take_offset(str s, size_t *i, char *out, size_t *n)
{
    size_t k = *i + (*i < s.n && s.p[*i] == ' ');
    if (*i < s.n && one_of(s.p[*i], "Zz")) {
        out[(*n)++] = 'Z';
        ++*i;
    } else if (k < s.n && one_of(s.p[k], "+-") && digits(s, k + 1, 2)) {
        size_t colon = k + 3 < s.n && s.p[k + 3] == ':';
        if (!digits(s, k + 3 + colon, 2) || digits(s, k + 5 + colon, 1))
            return;
        out[*n] = s.p[k];
        memcpy(out + *n + 1, s.p + k + 1, 2);
        out[*n + 3] = ':';
        memcpy(out + *n + 4, s.p + k + 3 + colon, 2);
        *n += 6;
        *i = k + 5 + colon;
    }
}

/* The time at the start of the line; *ret_end is where the rest begins. */
static bool leading_time(str s, ts_ns *ret, size_t *ret_end)
{
    size_t i = s.n && one_of(s.p[0], "[(") ? 1 : 0, n = 19;
    if (!clock_like(s, i))
        return false;
    char text[48];
    memcpy(text, s.p + i, 19);
    text[4] = text[7] = '-';
    text[10] = 'T';
    i += 19;
    if (i < s.n && one_of(s.p[i], ".,") && digits(s, i + 1, 1)) {
        text[n++] = '.';
        for (i++; digits(s, i, 1); i++)
            if (n < 29)
                text[n++] = s.p[i];
    }
    take_offset(s, &i, text, &n);
    if (n == 19 || (text[n - 1] != 'Z' && text[n - 3] != ':'))
        text[n++] = 'Z';
    if (i < s.n && !one_of(s.p[i], " \t]),:|"))
        return false;
    if (!ts_parse_iso((str){ text, n }, ret))
        return false;
    *ret_end = i;
    return true;
}

static bool upper(str w)
{
    for (size_t i = 0; i < w.n; i++)
        if (w.p[i] >= 'a' && w.p[i] <= 'z')
            return false;
    return true;
}

/* level=warn, lvl="warn", severity=warn at the start of a word */
static bool level_pair(str s, enum level *ret)
{
    static const str names[] = { { "level=", 6 }, { "lvl=", 4 }, { "severity=", 9 } };
    s = str_sub(s, 0, LEVEL_SCAN);
    for (size_t k = 0; k < 3; k++) {
        size_t at = str_find(s, names[k]);
        if (at == SIZE_MAX || (at && s.p[at - 1] != ' ' && s.p[at - 1] != '\t'))
            continue;
        str v = str_skip(s, at + names[k].n);
        if (v.n && v.p[0] == '"')
            v = str_skip(v, 1);
        size_t n = 0;
        while (n < v.n && !one_of(v.p[n], " \t\",;"))
            n++;
        if (level_parse(str_sub(v, 0, n), ret))
            return true;
    }
    return false;
}

/* A level among the first words from i. */
static bool level_word(str s, size_t i, unsigned words, enum level *ret)
{
    while (words-- && i < s.n) {
        bool mark = false;
        while (i < s.n && one_of(s.p[i], " \t|-:,[(<])>")) {
            mark = one_of(s.p[i], "[(<");
            i++;
        }
        size_t from = i;
        while (i < s.n && !one_of(s.p[i], " \t|:,[(<])>"))
            i++;
        str w = str_sub(s, from, i - from);
        mark = mark || (i < s.n && one_of(s.p[i], ":|])>"));
        if (w.n && (mark || upper(w)) && level_parse(w, ret))
            return true;
    }
    return false;
}

static void read_line(str line, ts_ns *time, enum level *lv)
{
    size_t end = 0;
    bool timed = leading_time(line, time, &end);
    if (!level_word(line, end, timed ? LEVEL_WORDS : 1, lv) && !level_pair(line, lv))
        *lv = LV_INFO;
}

static str repaired(struct lines *l, str line, str *ret_hex)
{
    static const char hex[] = "0123456789abcdef";
    struct buf b;
    buf_init(&b, line.n * 3 + 16);
    for (size_t i = 0; i < line.n;) {
        char cp[4];
        uint32_t c = utf8_next(line, &i);
        buf_put(&b, cp, utf8_put(c, cp));
    }
    str s = buf_ok(&b) ? arena_dup(l->a, buf_str(&b)) : STR_NULL;
    buf_deinit(&b);
    char *h = arena_alloc(l->a, 2 * line.n);
    l->nomem = l->nomem || !s.p || !h;
    for (size_t i = 0; h && i < line.n; i++) {
        h[2 * i] = hex[(unsigned char)line.p[i] >> 4];
        h[2 * i + 1] = hex[line.p[i] & 15];
    }
    *ret_hex = (str){ h, h ? 2 * line.n : 0 };
    return s;
}

static void put_line(struct lines *l, str line)
{
    static const str shape = { "T\n-timestamp\n-level", 19 };
    static const str shape_agent = { "T\n-timestamp\n-level\n-agent", 26 };
    ts_ns time = l->o->now;
    enum level lv = LV_INFO;
    read_line(line, &time, &lv);
    if (!utf8_valid(line)) {
        str hex = STR_NULL;
        line = repaired(l, line, &hex);
        if (!l->hex)
            l->hex = batch_col(l->b, STR("\x01message_hex"), V_STR);
        l->nomem = l->nomem || !bcol_put_text(l->hex, hex);
    }
    bool ok = bcol_put_i64(l->time, time) && bcol_put_i64(l->level, lv) &&
              bcol_put_text(l->message, line) &&
              bcol_put_text(l->shape, l->agent ? shape_agent : shape) &&
              (!l->agent || bcol_put_text(l->agent, l->o->default_agent)) &&
              (!l->key_id || bcol_put_i64(l->key_id, l->o->key_id));
    l->nomem = l->nomem || !ok;
}

static void refuse(struct lines *l, struct ingest_result *ret, const char *reason)
{
    ret->rejected++;
    if (ret->nerrors == INGEST_ERRORS_MAX)
        return;
    if (!ret->errors)
        ret->errors = arena_array(l->a, INGEST_ERRORS_MAX, sizeof *ret->errors);
    char *text = arena_printf(l->a, "entry %u: %s", ret->entries, reason);
    if (!ret->errors || !text) {
        l->nomem = true;
        return;
    }
    ret->errors[ret->nerrors++] =
        (struct ingest_error){ .index = ret->entries, .reason = str_c(text) };
}

static bool columns(struct lines *l)
{
    l->time = batch_col(l->b, field_table[F_TIMESTAMP].name, V_I64);
    l->level = batch_col(l->b, field_table[F_LEVEL].name, V_I64);
    l->message = batch_col(l->b, field_table[F_MESSAGE].name, V_STR);
    l->shape = batch_col(l->b, field_table[F_SHAPE].name, V_STR);
    if (l->o->default_agent.n)
        l->agent = batch_col(l->b, field_table[F_AGENT].name, V_STR);
    if (l->o->key_id)
        l->key_id = batch_col(l->b, field_table[F_KEY_ID].name, V_I64);
    return l->time && l->level && l->message && l->shape && (l->agent || !l->o->default_agent.n) &&
           (l->key_id || !l->o->key_id);
}

int text_decode(str body, const struct ingest_opts *o, const struct ingest_limits *lim,
                struct batch *b, struct arena *a, struct ingest_result *ret, struct err *err)
{
    struct lines l = { .o = o, .lim = lim, .a = a, .b = b };
    uint32_t base = batch_rows(b);
    if (o->agent_pattern.n && !agent_allowed(o->agent_pattern, o->default_agent))
        return err_set(err, ERR_INVALID, "this API key may not write as agent \"%.*s\"",
                       STR_FMT(str_sub(o->default_agent, 0, 100)));
    if (!columns(&l))
        return err_nomem(err);
    str line;
    body = utf8_past_bom(body);
    while (str_split(&body, '\n', &line) && !l.nomem) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!line.n)
            continue;
        if (line.n > lim->entry_bytes) {
            refuse(&l, ret, "the line is longer than the limit for an entry");
        } else {
            put_line(&l, line);
            if (l.nomem)
                break;
            batch_end_row(b);
            ret->accepted++;
        }
        ret->entries++;
    }
    if (!l.nomem && !(o->atomic && ret->rejected))
        return 0;
    batch_undo_row(b);
    batch_truncate(b, base);
    ret->accepted = 0;
    ret->rejected = ret->entries;
    if (l.nomem)
        return err_nomem(err);
    return err_set(err, ERR_INVALID, "%.*s", STR_FMT(ret->errors[0].reason));
}
