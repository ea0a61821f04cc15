/* page_bench.c: what each encoding makes of a column: page-bench FILE [ROWS]
 *
 * FILE has one value a line; pages hold ROWS of them (8,192). For each way that takes every page:
 * bytes a value, nanoseconds a value to encode and to decode (processor time, best of several
 * passes), and the encodings chosen. Lines that are all integers or all doubles are measured as
 * those too. The zstd lines are the yardstick: the values, each with a newline, and nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "codec/page_impl.h"
#include "codec/zip.h"

#define PASSES 5

static struct {
    char *file;
    size_t file_n;
    str *text;
    int64_t *i64;
    double *f64;
    size_t n;
    bool ints, doubles;
} lines;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bool load(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    lines.file = malloc((size_t)n + 1);
    if (!lines.file || fread(lines.file, 1, (size_t)n, f) != (size_t)n)
        return false;
    fclose(f);
    lines.file_n = (size_t)n;
    size_t count = 0;
    for (long i = 0; i < n; i++)
        count += lines.file[i] == '\n';
    lines.text = calloc(count + 1, sizeof(str));
    lines.i64 = calloc(count + 1, sizeof(int64_t));
    lines.f64 = calloc(count + 1, sizeof(double));
    if (!lines.text || !lines.i64 || !lines.f64)
        return false;
    str rest = { lines.file, (size_t)n }, line;
    lines.ints = lines.doubles = true;
    while (lines.n < count && str_split(&rest, '\n', &line)) {
        lines.ints = lines.ints && str_to_i64(line, &lines.i64[lines.n]);
        lines.doubles = lines.doubles && str_to_f64(line, &lines.f64[lines.n]);
        lines.text[lines.n++] = line;
    }
    return lines.n > 0;
}

/* ---- one way of storing a page: appends to out; false when it does not take these values ---- */

struct way {
    const char *name;
    enum page_class cls;
    int level; /* of zstd; 0: none */
    uint8_t id;
    bool zstd_alone;
};

struct made {
    struct page_meta meta;
    size_t at, n, raw;
    uint32_t rows;
};

static bool put_as(uint8_t id, struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    switch (id) {
    case PE_TEXT: page_put_plain(s, out, v, n); return true;
    case PE_TIMES: return page_put_times(s, out, v, n);
    case PE_NUMBERS: return page_put_numbers(s, out, v, n);
    default: return page_put_parts(s, out, v, n);
    }
}

static bool encode(const struct way *w, struct page_scratch *s, size_t from, struct made *m,
                   struct buf *out, struct buf *raw)
{
    struct err err = ERR_INIT;
    str *text = lines.text + from;
    m->at = out->n;
    m->meta = (struct page_meta){ .encoding = w->id };
    if (w->zstd_alone) {
        str all = str_n(text[0].p, 0);
        all.n = (size_t)(text[m->rows - 1].p + text[m->rows - 1].n + 1 - all.p);
        m->raw = all.n;
        if (!zstd_pack(all, w->level, out))
            return false;
    } else if (w->id) {
        buf_reset(raw);
        if (m->rows > 1 && !put_as(w->id, s, raw, text, m->rows))
            return false;
        m->raw = raw->n;
        m->meta.zstd = w->level && zstd_pack(buf_str(raw), w->level, out);
        if (!m->meta.zstd)
            buf_putstr(out, buf_str(raw));
    } else {
        struct page_in in = { .cls = w->cls,
                              .n = m->rows,
                              .nvals = m->rows,
                              .text = text,
                              .i64 = lines.i64 + from,
                              .f64 = lines.f64 + from };
        if (page_encode(&in, w->level, s, out, &m->meta, &err))
            return false;
        m->raw = m->meta.raw_n;
    }
    m->n = out->n - m->at;
    return true;
}

static bool decode(const struct way *w, const struct made *m, const struct buf *out,
                   struct arena *a)
{
    struct err err = ERR_INIT;
    struct page_out po;
    str page = { out->p + m->at, m->n };
    arena_reset(a);
    if (!w->id && !w->zstd_alone)
        return page_decode(page, w->cls, m->meta.encoding, m->meta.zstd, m->meta.raw_n, m->rows,
                           m->rows, a, &po, &err) == 0;
    if (w->zstd_alone || m->meta.zstd) {
        char *raw = arena_alloc(a, m->raw);
        if (!raw || zstd_unpack(page, raw, m->raw, &err))
            return false;
        page = str_n(raw, m->raw);
    }
    struct rd r = rd_of(page.p, page.n);
    struct texts t;
    struct arena tmp;
    arena_init(&tmp, (size_t)64 << 20);
    bool ok = w->zstd_alone || m->rows < 2 ||
              list_get(&r, m->meta.encoding, m->rows, a, &tmp, &t, &err) == 0;
    arena_deinit(&tmp);
    return ok;
}

static void measure(const struct way *w, uint32_t rows, struct page_scratch *s)
{
    size_t npages = (lines.n + rows - 1) / rows;
    struct made *pages = calloc(npages, sizeof *pages);
    struct buf out, raw;
    struct arena a;
    double enc = 1e18, dec = 1e18;
    bool ok = pages != NULL;
    buf_init(&out, (size_t)1 << 30);
    buf_init(&raw, (size_t)1 << 30);
    arena_init(&a, (size_t)1 << 30);
    for (int pass = 0; pass < PASSES && ok; pass++) {
        buf_reset(&out);
        double t = now();
        for (size_t k = 0; k < npages && ok; k++) {
            size_t left = lines.n - k * rows;
            pages[k].rows = left < rows ? (uint32_t)left : rows;
            ok = encode(w, s, k * rows, &pages[k], &out, &raw);
        }
        t = now() - t;
        enc = t < enc ? t : enc;
        t = now();
        for (size_t k = 0; k < npages && ok; k++)
            ok = decode(w, &pages[k], &out, &a);
        t = now() - t;
        dec = t < dec ? t : dec;
    }
    if (ok) {
        double n = (double)lines.n;
        printf("%-18s %10.3f %9.1f %9.1f  ", w->name, (double)out.n / n, enc / n, dec / n);
        for (unsigned e = 0; e < PE__COUNT && !w->zstd_alone; e++) {
            size_t count = 0;
            for (size_t k = 0; k < npages; k++)
                count += pages[k].meta.encoding == e;
            if (count)
                printf(" %s %zu", page_encoding_names[e], count);
        }
        printf("\n");
    }
    free(pages);
    buf_deinit(&out);
    buf_deinit(&raw);
    arena_deinit(&a);
}

int main(int argc, char **argv)
{
    static const struct way ways[] = {
        { "zstd 1", PAGE_TEXT, 1, 0, true },
        { "zstd 3", PAGE_TEXT, 3, 0, true },
        { "zstd 9", PAGE_TEXT, 9, 0, true },
        { "text", PAGE_TEXT, 0, PE_TEXT, false },
        { "text, zstd 1", PAGE_TEXT, 1, PE_TEXT, false },
        { "text, zstd 3", PAGE_TEXT, 3, PE_TEXT, false },
        { "parts", PAGE_TEXT, 0, PE_PARTS, false },
        { "parts, zstd 1", PAGE_TEXT, 1, PE_PARTS, false },
        { "times", PAGE_TEXT, 0, PE_TIMES, false },
        { "numbers", PAGE_TEXT, 0, PE_NUMBERS, false },
        { "chosen, zstd 1", PAGE_TEXT, 1, 0, false },
        { "chosen, zstd 3", PAGE_TEXT, 3, 0, false },
        { "chosen, zstd 9", PAGE_TEXT, 9, 0, false },
        { "as ints", PAGE_INT, 1, 0, false },
        { "as doubles", PAGE_F64, 1, 0, false },
    };
    int64_t rows = 8192;
    if (argc < 2 || (argc > 2 && (!str_to_i64(str_c(argv[2]), &rows) || rows < 1)) ||
        rows > PAGE_ROWS_MAX) {
        fprintf(stderr, "usage: page-bench FILE [ROWS up to %d]\n", PAGE_ROWS_MAX);
        return 2;
    }
    struct page_scratch *s = page_scratch_new();
    if (!s || !page_fit_pool(s, (uint32_t)rows) || !load(argv[1])) {
        fprintf(stderr, "page-bench: cannot read values from %s\n", argv[1]);
        return 1;
    }
    printf("%zu values of %.1f bytes, %lld a page\n", lines.n,
           (double)(lines.file_n - lines.n) / (double)lines.n, (long long)rows);
    printf("%-18s %10s %9s %9s\n", "", "bytes", "ns enc", "ns dec");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if ((ways[i].cls == PAGE_INT && !lines.ints) || (ways[i].cls == PAGE_F64 && !lines.doubles))
            continue;
        measure(&ways[i], (uint32_t)rows, s);
    }
    page_scratch_free(s);
    free(lines.file);
    free(lines.text);
    free(lines.i64);
    free(lines.f64);
    return 0;
}
