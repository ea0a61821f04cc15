/* cmd_inspect.c: fleetlog inspect: where the bytes of a store are.
 *
 * store_inspect makes the account; here it becomes tables that fit a terminal, or JSON. A narrow
 * terminal loses the less telling columns of a table, never the name and the stored bytes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/target.h"
#include "codec/json.h"
#include "store/inspect.h"

#define NAME_MOST 36
#define NAME_LEAST 16
#define REPORT_MAX ((size_t)1 << 30)

static const struct opt opts[] = {
    { .name = "by",
      .type = OPT_CHOICE,
      .arg = "WHAT",
      .def = "column",
      .choices = "column|encoding|index|block",
      .help = "what to list" },
    { .name = "compare",
      .type = OPT_FLAG,
      .help = "also pack the plain values with zstd, to see what the encodings won; takes time" },
    { .name = "level",
      .type = OPT_INT,
      .arg = "N",
      .def = "3",
      .min = 1,
      .max = 19,
      .help = "zstd level of --compare" },
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .def = "40",
      .min = 0,
      .max = INT32_MAX,
      .help = "lines of the table; 0 = all" },
    { .name = "json", .type = OPT_FLAG, .help = "the whole account as JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog inspect segment -D /var/lib/fleetlog", "the columns of all segments together" },
    { "fleetlog inspect segment 12 --compare", "one segment, and what its encodings won" },
    { "fleetlog inspect segment --by index", "indexes, directories, footers" },
    { "fleetlog inspect segment --json | jq '.columns[0]'", "for a script" },
    { "fleetlog inspect manifest", "which segments there are" },
    { NULL, NULL },
};

/* ---- words and numbers ---- */

static const char *const type_names[V__COUNT] = { "null", "bool", "int",   "num",
                                                  "text", "json", "bignum" };

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

/* "1.93 MiB": three digits that count */
static const char *bytes3(uint64_t n, char out[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double v = (double)n;
    int u = 0;
    for (; v >= 999.5 && u < 4; u++)
        v /= 1024;
    snprintf(out, 32, "%.*f %s", u == 0 || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v, units[u]);
    return out;
}

static const char *encoding_name(uint32_t e, char out[32])
{
    const char *name = inspect_encoding_name(e);
    if (name)
        return name;
    snprintf(out, 32, "encoding %u", e);
    return out;
}

/* the commonest encoding of a column and, when it has several, its share of the pages */
static void encodings_text(const struct inspect_column *c, char out[64])
{
    uint32_t best = 0;
    char name[32];
    for (uint32_t e = 1; e < INSPECT_ENCODINGS; e++)
        if (c->pages[e] > c->pages[best])
            best = e;
    if (c->pages[best] == c->blocks)
        snprintf(out, 64, "%s", encoding_name(best, name));
    else
        snprintf(out, 64, "%s %.0f%%", encoding_name(best, name),
                 100 * ratio(c->pages[best], c->blocks));
}

/* ---- tables ---- */

struct cell { /* one column of a table */
    const char *title;
    int width;
    bool left;
    int drop; /* where room is short, the largest goes first; 0 stays */
};

struct table {
    struct out *o;
    const struct cell *cells;
    int n;
    int width;     /* of the name */
    uint32_t lost; /* bit i: cells[i] is not shown */
};

/* Leaves out cells until the longest name fits, or at least a short one. */
static struct table table_fit(struct out *o, const struct cell *cells, int n, int longest)
{
    struct table t = { .o = o, .cells = cells, .n = n };
    int want = longest < NAME_MOST ? longest : NAME_MOST;
    for (;;) {
        int room = o->term.tty ? o->term.cols : 200, worst = -1;
        for (int i = 0; i < n; i++) {
            if (t.lost >> i & 1)
                continue;
            room -= cells[i].width + 2;
            if (cells[i].drop > (worst < 0 ? 0 : cells[worst].drop))
                worst = i;
        }
        t.width = want < room ? want : room;
        if (worst < 0 || t.width >= (want < NAME_LEAST ? want : NAME_LEAST))
            break;
        t.lost |= 1u << worst;
    }
    t.width = t.width < 6 ? 6 : t.width;
    return t;
}

static void put_name(struct out *o, str name, int width)
{
    bool cut = safe_width(name) > width;
    str s = cut ? safe_cut(name, width - 1) : name;
    out_safe(o, s);
    if (cut)
        out_puts(o, term_utf8() ? "…" : "~");
    out_pad(o, width - safe_width(s) - cut);
}

static void put_cell(const struct table *t, int i, const char *text)
{
    const struct cell *c = &t->cells[i];
    if (!(t->lost >> i & 1))
        out_printf(t->o, c->left ? "  %-*s" : "  %*s", c->width, text);
}

static void put_head(const struct table *t, const char *name)
{
    out_style(t->o, STYLE_BOLD);
    out_puts(t->o, name);
    out_pad(t->o, t->width - (int)strlen(name));
    for (int i = 0; i < t->n; i++)
        put_cell(t, i, t->cells[i].title);
    out_style(t->o, STYLE_NONE);
    out_line(t->o);
}

__attribute__((format(printf, 3, 4))) static void cellf(const struct table *t, int i,
                                                        const char *fmt, ...)
{
    char text[64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put_cell(t, i, text);
}

static void put_bytes(const struct table *t, int i, uint64_t n)
{
    char text[32];
    put_cell(t, i, n ? bytes3(n, text) : "");
}

static void put_count(const struct table *t, int i, uint64_t n)
{
    char text[32];
    put_cell(t, i, fmt_count(n, text));
}

/* plain, stored, B/entry, ratio, share: cells i to i + 4 */
static void put_figures(const struct table *t, int i, uint64_t plain, uint64_t stored,
                        const struct inspect_report *r)
{
    put_bytes(t, i, plain);
    put_bytes(t, i + 1, stored);
    cellf(t, i + 2, "%.2f", ratio(stored, r->rows));
    double times = ratio(plain, stored);
    cellf(t, i + 3, "%.*f", times < 1000 ? 1 : 0, times);
    cellf(t, i + 4, "%.1f%%", 100 * ratio(stored, r->bytes));
}

/* zstd, won: cells i and i + 1 */
static void put_won(const struct table *t, int i, uint64_t compare, uint64_t stored)
{
    put_bytes(t, i, compare);
    cellf(t, i + 1, "%.0f%%", 100 - 100 * ratio(stored, compare));
}

static void put_summary(struct out *o, const struct inspect_report *r)
{
    char a[32], b[32], c[32];
    out_printf(o, "%s %s, %s in %u %s", fmt_count(r->rows, a), plural(r->rows, "entry", "entries"),
               fmt_bytes(r->bytes, b), r->nsegments, plural(r->nsegments, "segment", "segments"));
    if (r->nblocks)
        out_printf(o, " and %u %s", r->nblocks, plural(r->nblocks, "block", "blocks"));
    if (r->rows)
        out_printf(o, ": %.1f bytes an entry", ratio(r->bytes, r->rows));
    out_line(o);
    if (r->blob_pages)
        out_printf(o, "%s of large values in %s blob %s of %s before zstd\n", bytes3(r->blob_n, b),
                   fmt_count(r->blob_pages, a), plural(r->blob_pages, "page", "pages"),
                   bytes3(r->blob_raw_n, c));
    if (r->rows)
        out_line(o);
}

static void put_rest(struct out *o, uint64_t left, const char *what, uint64_t bytes)
{
    char n[32], b[32];
    out_style(o, STYLE_DIM);
    out_printf(o, "and %s more %s, %s", fmt_count(left, n), what, bytes3(bytes, b));
    out_style(o, STYLE_NONE);
    out_line(o);
}

static void by_column(struct cli *c, const struct inspect_report *r, bool compared)
{
    static const struct cell cells[] = {
        { "type", 4, true, 4 },     { "values", 9, false, 6 }, { "encoding", 12, true, 3 },
        { "plain", 8, false, 2 },   { "stored", 8, false, 0 }, { "B/entry", 7, false, 0 },
        { "ratio", 6, false, 1 },   { "share", 6, false, 5 },  { "filter", 8, false, 7 },
        { "B/value", 7, false, 8 }, { "zstd", 8, false, 0 },   { "won", 5, false, 0 },
    };
    struct out *o = &c->out;
    uint32_t limit = (uint32_t)opt_num(c, "limit");
    limit = limit && limit < r->ncolumns ? limit : r->ncolumns;
    int longest = 0;
    struct buf name;
    buf_init(&name, 1u << 20);
    for (uint32_t i = 0; i < limit; i++) {
        buf_reset(&name);
        field_put_name(&name, r->columns[i].key);
        int w = safe_width(buf_str(&name));
        longest = w > longest ? w : longest;
    }
    struct table t = table_fit(o, cells, compared ? 12 : 10, longest);
    put_head(&t, "column");
    uint64_t rest = 0;
    for (uint32_t i = 0; i < r->ncolumns; i++) {
        const struct inspect_column *col = &r->columns[i];
        char text[64];
        if (i >= limit) {
            rest += col->stored_n + col->filter_n;
            continue;
        }
        buf_reset(&name);
        field_put_name(&name, col->key);
        put_name(o, buf_str(&name), t.width);
        put_cell(&t, 0, type_names[col->type]);
        put_count(&t, 1, col->values);
        encodings_text(col, text);
        put_cell(&t, 2, text);
        put_figures(&t, 3, col->plain_n, col->stored_n, r);
        put_bytes(&t, 8, col->filter_n);
        cellf(&t, 9, "%.2f", ratio(col->stored_n, col->values));
        if (compared)
            put_won(&t, 10, col->compare_n, col->stored_n);
        out_line(o);
    }
    buf_deinit(&name);
    if (limit < r->ncolumns)
        put_rest(o, r->ncolumns - limit, plural(r->ncolumns - limit, "column", "columns"), rest);
}

static void by_encoding(struct cli *c, const struct inspect_report *r, bool compared)
{
    static const struct cell cells[] = {
        { "pages", 9, false, 4 },  { "values", 11, false, 2 }, { "plain", 8, false, 0 },
        { "stored", 8, false, 0 }, { "B/entry", 7, false, 0 }, { "ratio", 6, false, 1 },
        { "share", 6, false, 3 },  { "packed", 6, false, 5 },  { "zstd", 8, false, 0 },
        { "won", 5, false, 0 },
    };
    struct table t = table_fit(&c->out, cells, compared ? 10 : 8, 12);
    put_head(&t, "encoding");
    for (uint32_t e = 0; e < INSPECT_ENCODINGS; e++) {
        const struct inspect_encoding *x = &r->encodings[e];
        char b[32];
        if (!x->pages)
            continue;
        put_name(t.o, str_c(encoding_name(e, b)), t.width);
        put_count(&t, 0, x->pages);
        put_count(&t, 1, x->values);
        put_figures(&t, 2, x->plain_n, x->stored_n, r);
        cellf(&t, 7, "%.0f%%", 100 * ratio(x->zstd_pages, x->pages));
        if (compared)
            put_won(&t, 8, x->compare_n, x->stored_n);
        out_line(t.o);
    }
}

/* ---- parts of the file ---- */

struct part {
    const char *name; /* as JSON has it, '_' for a blank */
    uint64_t bytes;
};
#define PARTS_MAX (16 + INSPECT_SECTIONS)

static const char *section_name(uint32_t kind, char out[32])
{
    const char *name = inspect_section_name(kind);
    if (name)
        snprintf(out, 32, "section_%s", name);
    else
        snprintf(out, 32, "section_%u", kind);
    return out;
}

/* all bytes of the files; names: room for those of the sections */
static int parts_of(const struct inspect_report *r, struct part ret[PARTS_MAX],
                    char names[INSPECT_SECTIONS][32])
{
    int n = 0;
    ret[n++] = (struct part){ "pages", r->page_n };
    ret[n++] = (struct part){ "blob_pages", r->blob_n };
    ret[n++] = (struct part){ "text_signatures", r->signature_n[0] };
    ret[n++] = (struct part){ "token_signatures", r->signature_n[1] };
    ret[n++] = (struct part){ "field_signatures", r->signature_n[2] };
    ret[n++] = (struct part){ "value_maps", r->value_map_n };
    ret[n++] = (struct part){ "word_filters", r->token_filter_n };
    ret[n++] = (struct part){ "value_filters", r->value_filter_n };
    ret[n++] = (struct part){ "directories", r->dir_n };
    ret[n++] = (struct part){ "column_names", r->keys_n };
    ret[n++] = (struct part){ "block_lists", r->blocks_n };
    ret[n++] = (struct part){ "summaries", r->summary_n };
    for (uint32_t k = 0; k < INSPECT_SECTIONS; k++)
        if (r->section_n[k])
            ret[n++] = (struct part){ section_name(k, names[k]), r->section_n[k] };
    ret[n++] = (struct part){ "frames", r->frame_n };
    ret[n++] = (struct part){ "other", r->other_n };
    return n;
}

static void by_index(struct cli *c, const struct inspect_report *r)
{
    static const struct cell cells[] = {
        { "bytes", 13, false, 1 },
        { "stored", 8, false, 0 },
        { "B/entry", 7, false, 0 },
        { "share", 6, false, 0 },
    };
    struct part parts[PARTS_MAX];
    char names[INSPECT_SECTIONS][32];
    int n = parts_of(r, parts, names);
    struct table t = table_fit(&c->out, cells, 4, 22);
    put_head(&t, "part");
    for (int i = 0; i < n; i++) {
        char name[48];
        snprintf(name, sizeof name, "%s", parts[i].name);
        for (char *p = name; *p; p++)
            *p = *p == '_' ? ' ' : *p;
        put_name(t.o, str_c(name), t.width);
        put_count(&t, 0, parts[i].bytes);
        put_bytes(&t, 1, parts[i].bytes);
        cellf(&t, 2, "%.2f", ratio(parts[i].bytes, r->rows));
        cellf(&t, 3, "%.1f%%", 100 * ratio(parts[i].bytes, r->bytes));
        out_line(t.o);
    }
}

static void put_time(const struct table *t, int i, ts_ns at)
{
    char text[TS_TEXT_MAX];
    ts_format(at, 0, text);
    cellf(t, i, "%.19s", text);
}

static void by_block(struct cli *c, const struct inspect_report *r)
{
    static const struct cell cells[] = {
        { "entries", 7, false, 0 },   { "from", 19, true, 0 },  { "to", 19, true, 1 },
        { "columns", 7, false, 2 },   { "pages", 8, false, 0 }, { "filters", 8, false, 3 },
        { "directory", 9, false, 4 },
    };
    uint32_t limit = (uint32_t)opt_num(c, "limit");
    struct table t = table_fit(&c->out, cells, 7, 10);
    put_head(&t, "block");
    uint64_t rest = 0;
    for (uint32_t i = 0; i < r->nblocks; i++) {
        const struct inspect_block *x = &r->blocks[i];
        char b[32];
        if (limit && i >= limit) {
            rest += x->page_n + x->filter_n + x->dir_n;
            continue;
        }
        snprintf(b, sizeof b, "%llu/%u", (unsigned long long)x->segment, x->index);
        put_name(t.o, str_c(b), t.width);
        put_count(&t, 0, x->rows);
        put_time(&t, 1, x->t_min);
        put_time(&t, 2, x->t_max);
        put_count(&t, 3, x->columns);
        put_bytes(&t, 4, x->page_n);
        put_bytes(&t, 5, x->filter_n);
        put_bytes(&t, 6, x->dir_n);
        out_line(t.o);
    }
    if (limit && limit < r->nblocks)
        put_rest(t.o, r->nblocks - limit, plural(r->nblocks - limit, "block", "blocks"), rest);
}

static void list_segments(struct cli *c, const struct inspect_report *r)
{
    static const struct cell cells[] = {
        { "day", 10, true, 0 },   { "entries", 11, false, 0 }, { "blocks", 6, false, 3 },
        { "bytes", 8, false, 0 }, { "B/entry", 7, false, 1 },  { "from", 19, true, 2 },
        { "to", 19, true, 4 },
    };
    struct table t = table_fit(&c->out, cells, 7, 8);
    put_head(&t, "segment");
    for (uint32_t i = 0; i < r->nsegments; i++) {
        const struct inspect_segment *s = &r->segments[i];
        char b[TS_TEXT_MAX];
        snprintf(b, sizeof b, "%llu", (unsigned long long)s->id);
        put_name(t.o, str_c(b), t.width);
        ts_format_day((ts_ns)(s->day * NS_PER_DAY), b);
        put_cell(&t, 0, b);
        put_count(&t, 1, s->rows);
        put_count(&t, 2, s->blocks);
        put_bytes(&t, 3, s->bytes);
        cellf(&t, 4, "%.1f", ratio(s->bytes, s->rows));
        put_time(&t, 5, s->t_min);
        put_time(&t, 6, s->t_max);
        out_line(t.o);
    }
}

/* ---- JSON ---- */

static void json_num(struct buf *b, const char *key, uint64_t v)
{
    buf_printf(b, ", \"%s\": %llu", key, (unsigned long long)v);
}

static void json_time(struct buf *b, const char *key, ts_ns t)
{
    char text[TS_TEXT_MAX];
    ts_format(t, 9, text);
    buf_printf(b, ", \"%s\": \"%s\"", key, text);
}

static void json_column(struct buf *b, const struct inspect_column *c, bool compared)
{
    struct buf name;
    buf_init(&name, 1u << 20);
    field_put_name(&name, c->key);
    buf_puts(b, "{\"name\": ");
    json_put_str(b, buf_str(&name));
    buf_deinit(&name);
    buf_printf(b, ", \"type\": \"%s\"", type_names[c->type]);
    json_num(b, "blocks", c->blocks);
    json_num(b, "values", c->values);
    if (c->distinct)
        json_num(b, "distinct_by_page", c->distinct);
    json_num(b, "plain_bytes", c->plain_n);
    json_num(b, "encoded_bytes", c->raw_n);
    json_num(b, "stored_bytes", c->stored_n);
    if (c->large)
        json_num(b, "large_values", c->large);
    json_num(b, "filter_bytes", c->filter_n);
    if (compared)
        json_num(b, "plain_zstd_bytes", c->compare_n);
    buf_puts(b, ", \"encodings\": {");
    for (uint32_t e = 0, n = 0; e < INSPECT_ENCODINGS; e++) {
        char text[32];
        if (c->pages[e])
            buf_printf(b, "%s\"%s\": %llu", n++ ? ", " : "", encoding_name(e, text),
                       (unsigned long long)c->pages[e]);
    }
    buf_puts(b, "}}");
}

static void json_encodings(struct buf *b, const struct inspect_report *r, bool compared)
{
    for (uint32_t e = 0, n = 0; e < INSPECT_ENCODINGS; e++) {
        const struct inspect_encoding *x = &r->encodings[e];
        char text[32];
        if (!x->pages)
            continue;
        buf_printf(b, "%s{\"name\": \"%s\"", n++ ? ",\n" : "", encoding_name(e, text));
        json_num(b, "pages", x->pages);
        json_num(b, "zstd_pages", x->zstd_pages);
        json_num(b, "values", x->values);
        json_num(b, "plain_bytes", x->plain_n);
        json_num(b, "encoded_bytes", x->raw_n);
        json_num(b, "stored_bytes", x->stored_n);
        if (compared)
            json_num(b, "plain_zstd_bytes", x->compare_n);
        buf_putc(b, '}');
    }
}

static void json_block(struct buf *b, const struct inspect_block *x)
{
    buf_printf(b, "{\"segment\": %llu", (unsigned long long)x->segment);
    json_num(b, "block", x->index);
    json_num(b, "entries", x->rows);
    json_num(b, "columns", x->columns);
    json_time(b, "from", x->t_min);
    json_time(b, "to", x->t_max);
    json_num(b, "first_seq", x->seq_min);
    json_num(b, "last_seq", x->seq_max);
    json_num(b, "page_bytes", x->page_n);
    json_num(b, "filter_bytes", x->filter_n);
    json_num(b, "directory_bytes", x->dir_n);
    buf_putc(b, '}');
}

static void json_segment(struct buf *b, const struct inspect_segment *s)
{
    char day[11];
    ts_format_day((ts_ns)(s->day * NS_PER_DAY), day);
    buf_printf(b, "{\"id\": %llu, \"day\": \"%s\"", (unsigned long long)s->id, day);
    json_num(b, "class", s->cls);
    json_num(b, "entries", s->rows);
    json_num(b, "blocks", s->blocks);
    json_num(b, "bytes", s->bytes);
    json_time(b, "from", s->t_min);
    json_time(b, "to", s->t_max);
    json_num(b, "first_seq", s->seq_min);
    json_num(b, "last_seq", s->seq_max);
    buf_putc(b, '}');
}

/* One line an item, so that a large answer can be cut with line tools too. */
static int put_json(struct cli *c, const struct inspect_report *r, bool list, bool compared)
{
    struct buf b;
    struct part parts[PARTS_MAX];
    char names[INSPECT_SECTIONS][32];
    buf_init(&b, REPORT_MAX);
    buf_printf(&b, "{\"entries\": %llu", (unsigned long long)r->rows);
    json_num(&b, "bytes", r->bytes);
    buf_puts(&b, ",\n\"segments\": [");
    for (uint32_t i = 0; i < r->nsegments; i++) {
        buf_puts(&b, i ? ",\n" : "");
        json_segment(&b, &r->segments[i]);
    }
    buf_putc(&b, ']');
    if (!list) {
        buf_printf(&b, ",\n\"blobs\": {\"pages\": %llu", (unsigned long long)r->blob_pages);
        json_num(&b, "encoded_bytes", r->blob_raw_n);
        json_num(&b, "stored_bytes", r->blob_n);
        buf_puts(&b, "},\n\"parts\": {");
        int n = parts_of(r, parts, names);
        for (int i = 0; i < n; i++)
            buf_printf(&b, "%s\"%s\": %llu", i ? ", " : "", parts[i].name,
                       (unsigned long long)parts[i].bytes);
        buf_puts(&b, "},\n\"columns\": [");
        for (uint32_t i = 0; i < r->ncolumns; i++) {
            buf_puts(&b, i ? ",\n" : "");
            json_column(&b, &r->columns[i], compared);
        }
        buf_puts(&b, "],\n\"encodings\": [");
        json_encodings(&b, r, compared);
        buf_puts(&b, "],\n\"blocks\": [");
        for (uint32_t i = 0; i < r->nblocks; i++) {
            buf_puts(&b, i ? ",\n" : "");
            json_block(&b, &r->blocks[i]);
        }
        buf_putc(&b, ']');
    }
    buf_puts(&b, "}\n");
    bool ok = buf_ok(&b);
    if (ok)
        out_put(&c->out, buf_str(&b));
    buf_deinit(&b);
    return ok ? EXIT_DONE : cli_fail(c, EXIT_OS, NULL, "out of memory");
}

/* ---- the command ---- */

/* "12", "000000000012.seg" or a path that ends so; 0 for "all" */
static bool parse_id(const char *arg, uint64_t *ret)
{
    const char *slash = strrchr(arg, '/');
    str s = str_c(slash ? slash + 1 : arg);
    *ret = 0;
    if (str_eq(s, STR("all")))
        return true;
    if (s.n > 4 && str_eq(str_sub(s, s.n - 4, 4), STR(".seg")))
        s = str_sub(s, 0, s.n - 4);
    return str_to_u64(s, ret) && *ret > 0;
}

static int inspect(struct cli *c, struct io *io, const char *dir, const struct inspect_want *want)
{
    struct arena a;
    struct inspect_report r;
    struct err err = ERR_INIT;
    arena_init(&a, REPORT_MAX);
    int rc = store_inspect(io, want, &a, &r, &err);
    const char *by = opt_text(c, "by");
    if (rc == ERR_NOTFOUND && want->id)
        rc = cli_fail(c, EXIT_UNREACHABLE, "fleetlog inspect manifest lists them", "%s", err.msg);
    else if (rc == ERR_NOTFOUND)
        rc = cli_fail(c, EXIT_UNREACHABLE, NULL, "there is no fleetlog data in %s", dir);
    else if (rc)
        rc = cli_fail_err(c, &err);
    else if (opt_on(c, "json"))
        rc = put_json(c, &r, want->list, want->compare);
    else
        put_summary(&c->out, &r);
    if (!rc && !opt_on(c, "json") && r.rows) {
        if (want->list)
            list_segments(c, &r);
        else if (strcmp(by, "encoding") == 0)
            by_encoding(c, &r, want->compare);
        else if (strcmp(by, "index") == 0)
            by_index(c, &r);
        else if (strcmp(by, "block") == 0)
            by_block(c, &r);
        else
            by_column(c, &r, want->compare);
    }
    arena_deinit(&a);
    return rc;
}

static int run(struct cli *c)
{
    char dir[4096];
    struct io *io;
    struct err err = ERR_INIT;
    struct inspect_want want = { .compare = opt_on(c, "compare"),
                                 .level = (int)opt_num(c, "level") };
    want.list = strcmp(c->args[0], "manifest") == 0;
    if (!want.list && strcmp(c->args[0], "segment") != 0)
        return cli_fail(c, EXIT_USAGE, "fleetlog inspect segment, fleetlog inspect manifest",
                        "there is no \"%s\" to inspect", c->args[0]);
    if (c->nargs > 1 && want.list)
        return cli_fail(c, EXIT_USAGE, NULL, "inspect manifest takes nothing else");
    if (c->nargs > 1 && !parse_id(c->args[1], &want.id))
        return cli_fail(c, EXIT_USAGE, "fleetlog inspect manifest lists them",
                        "\"%s\" is not a segment: a number, a file that ends in .seg, or all",
                        c->args[1]);
    if (target_url_named(c))
        return cli_fail(c, EXIT_USAGE, "on the server's machine: fleetlog inspect --data-dir DIR",
                        "inspect reads a directory and cannot do so through a URL");
    int rc = target_dir(c, dir);
    if (rc)
        return rc;
    if (io_real_new(&io, dir, false, &err) < 0)
        return err.code == ERR_NOTFOUND
                   ? cli_fail(c, EXIT_UNREACHABLE, NULL, "there is no fleetlog data in %s", dir)
                   : cli_fail_err(c, &err);
    rc = inspect(c, io, dir, &want);
    io_free(io);
    return rc;
}

const struct command cmd_inspect = {
    .name = "inspect",
    .summary = "show where the bytes of the stored entries are",
    .synopsis = "segment [ID|FILE|all] [OPTIONS] | manifest",
    .about =
        "segment: decodes one segment, or all of them, and accounts for every byte: for each "
        "column its values, encodings, plain and stored size; for each encoding; for indexes, "
        "directories and footers; for each block. manifest: which segments there are. Only reads, "
        "and works beside a running server; entries that are still in the log are not in it.\n\n"
        "Plain is the size of the values as memory has them: 8 bytes a number, a text's bytes and "
        "its length. With --compare, zstd is what packing that with zstd alone would take, and won "
        "is how much less is stored.",
    .opts = opts,
    .examples = examples,
    .min_args = 1,
    .max_args = 2,
    .complete = "segment manifest",
    .run = run,
};
