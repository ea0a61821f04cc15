/* page_md.c: a page as Markdown (CommonMark with tables).
 *
 * What somebody logged cannot become markup: its special characters are escaped, line ends become
 * blanks. Plots are drawn with block characters in indented blocks. */
#include "insight/page.h"
#include "insight/words.h"

static bool is_word(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static bool escaped(str s, size_t at)
{
    char c = s.p[at];
    if (c == '_') /* inside a word it is itself */
        return at == 0 || at + 1 == s.n || !is_word((unsigned char)s.p[at - 1]) ||
               !is_word((unsigned char)s.p[at + 1]);
    if ((c == '#' || c == '+' || c == '-' || c == '=') && at == 0)
        return true;
    return strchr("\\`*[]<>|~&!", c) != NULL;
}

static void put(struct buf *b, str s)
{
    str c;
    uint32_t code;
    for (size_t i = 0; i < s.n;) {
        size_t at = i;
        if (word_next(s, &i, &c, &code)) {
            if (code == '\n' || code == '\t' || code == '\r')
                buf_putc(b, ' ');
            else
                buf_printf(b, code < 0x100 ? "\\\\x%02x" : "\\\\u%04x", code);
        } else {
            if (c.n == 1 && escaped(s, at))
                buf_putc(b, '\\');
            buf_putstr(b, c);
        }
    }
}

static void put_figure(struct buf *b, enum unit unit, double n)
{
    switch (unit) {
    case UNIT_SHARE: buf_puts(b, word_share(n).z); break;
    case UNIT_MS: buf_puts(b, word_ms(n).z); break;
    case UNIT_USD: buf_puts(b, word_usd(n).z); break;
    case UNIT_NUMBER: buf_puts(b, word_number(n).z); break;
    default: buf_puts(b, word_count(n).z);
    }
}

static void put_cell(struct buf *b, const struct page_col *col, const struct page_cell *c)
{
    if (c->none) {
        buf_puts(b, "–");
        return;
    }
    switch (col->unit) {
    case UNIT_TEXT:
    case UNIT_NAME:
    case UNIT_MARK:
    case UNIT_CODE: put(b, c->text); break;
    case UNIT_TIME: buf_puts(b, word_time(c->t).z); break;
    default: put_figure(b, col->unit, c->n);
    }
}

static bool is_right(enum unit u)
{
    return u == UNIT_COUNT || u == UNIT_NUMBER || u == UNIT_SHARE || u == UNIT_MS || u == UNIT_USD;
}

static void put_table(struct buf *b, const struct page_block *t)
{
    for (uint32_t i = 0; i < t->ncols; i++)
        buf_printf(b, "| %s ", t->cols[i].title);
    buf_puts(b, "|\n");
    for (uint32_t i = 0; i < t->ncols; i++)
        buf_puts(b, is_right(t->cols[i].unit) ? "|--:" : "|---");
    buf_puts(b, "|\n");
    for (uint32_t k = 0; k < t->n; k++) {
        for (uint32_t i = 0; i < t->ncols; i++) {
            buf_puts(b, "| ");
            put_cell(b, &t->cols[i], &t->cells[(size_t)k * t->ncols + i]);
            buf_putc(b, ' ');
        }
        buf_puts(b, "|\n");
    }
    buf_putc(b, '\n');
}

static void put_figures(struct buf *b, const struct page_block *f)
{
    buf_puts(b, "| | now | before | change |\n|---|--:|--:|--:|\n");
    for (uint32_t i = 0; i < f->n; i++) {
        const struct page_figure *x = &f->figures[i];
        buf_printf(b, "| %s | ", x->label);
        put_figure(b, x->unit, x->now);
        buf_puts(b, " | ");
        if (x->has_before) {
            put_figure(b, x->unit, x->before);
            buf_printf(b, " | %s |\n", word_change(x->now, x->before).z);
        } else {
            buf_puts(b, "– | – |\n");
        }
    }
    buf_putc(b, '\n');
}

/* an eighth of the most and more; anything at all is seen */
static void put_spark(struct buf *b, uint64_t n, uint64_t most)
{
    static const char *const cells[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    buf_puts(b, cells[n && most ? (n * 8 + most - 1) / most : 0]);
}

static void put_bars(struct buf *b, const struct page_block *p)
{
    buf_puts(b, "**");
    put(b, p->text);
    buf_printf(b, "**, from %s UTC:\n\n", word_minute(p->start).z);
    for (uint32_t s = p->nseries; s-- > 0;) {
        uint64_t most = 0, sum = 0;
        for (uint32_t i = 0; i < p->n; i++) {
            sum += p->series[s].counts[i];
            most = p->series[s].counts[i] > most ? p->series[s].counts[i] : most;
        }
        if (!sum)
            continue;
        buf_printf(b, "    %-8s |", p->series[s].name);
        for (uint32_t i = 0; i < p->n; i++)
            put_spark(b, p->series[s].counts[i], most);
        buf_printf(b, "| %s, ", word_count((double)sum).z);
        buf_printf(b, "most %s\n", word_count((double)most).z);
    }
    buf_putc(b, '\n');
}

static void put_heat(struct buf *b, const struct page_block *p)
{
    static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    static const char *const shades[] = { "·", "░", "▒", "▓", "█" };
    uint64_t most = 0;
    for (int d = 0; d < 7; d++)
        for (int h = 0; h < 24; h++)
            most = p->heat[d][h] > most ? p->heat[d][h] : most;
    buf_puts(b, "**");
    put(b, p->text);
    buf_printf(b, "**, at most %s an hour:\n\n", word_count((double)most).z);
    buf_puts(b, "         0     3     6     9    12    15    18    21\n");
    for (int d = 0; d < 7; d++) {
        uint64_t sum = 0;
        if (!p->days[d])
            continue;
        buf_printf(b, "    %s  ", days[d]);
        for (int h = 0; h < 24; h++) {
            uint64_t n = p->heat[d][h];
            const char *shade = shades[n && most ? 1 + (n * 4 - 1) / most : 0];
            sum += n;
            buf_printf(b, "%s%s", shade, shade);
        }
        buf_printf(b, "  %s\n", word_count((double)sum).z);
    }
    buf_putc(b, '\n');
}

/* indented: what is in it stays as it is */
static void put_code(struct buf *b, str s)
{
    str c;
    uint32_t code;
    buf_puts(b, "    ");
    for (size_t i = 0; i < s.n;) {
        bool odd = word_next(s, &i, &c, &code);
        if (code == '\n')
            buf_puts(b, "\n    ");
        else if (odd && code != '\t')
            buf_printf(b, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
        else
            buf_putstr(b, c);
    }
    buf_putc(b, '\n');
}

static void put_block(struct buf *b, const struct page_block *k)
{
    switch (k->kind) {
    case BLOCK_HEADING:
        buf_puts(b, "## ");
        put(b, k->text);
        buf_puts(b, "\n\n");
        break;
    case BLOCK_TEXT:
        put(b, k->text);
        buf_puts(b, "\n\n");
        break;
    case BLOCK_LIST:
        for (const struct page_item *i = k->items; i; i = i->next) {
            buf_puts(b, i->tone == TONE_BAD ? "- **!** " : "- ");
            put(b, i->text);
            buf_putc(b, '\n');
        }
        buf_putc(b, '\n');
        break;
    case BLOCK_FIGURES: put_figures(b, k); break;
    case BLOCK_TABLE: put_table(b, k); break;
    case BLOCK_BARS: /* each series has its own scale here */
        if (!k->again)
            put_bars(b, k);
        break;
    case BLOCK_HEAT: put_heat(b, k); break;
    case BLOCK_COMMANDS:
        for (const struct page_item *i = k->items; i; i = i->next)
            put_code(b, i->text);
        break;
    }
}

void page_put_md(struct buf *b, const struct page *p)
{
    buf_puts(b, "# ");
    put(b, p->title);
    buf_puts(b, "\n\n");
    put(b, p->subtitle);
    buf_puts(b, "\n\n");
    for (const struct page_block *k = p->first; k; k = k->next)
        put_block(b, k);
}
