/* shell_line.c: lines from a person, by libedit, or from a file.
 *
 * While a line is being edited the terminal sends no signals: Ctrl-C and Ctrl-Z are keys like
 * others. TAB asks what may stand at the cursor (data_complete): the one thing there is goes in, or
 * as much as all have in common; else they are listed below with their help. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/doc.h"
#include "cli/shell.h"

#if FL_HAVE_EDIT
#include <histedit.h>
#endif

#define LINE_BYTES (1u << 20)
#define ITEMS_ASKED 100

struct shell_lines {
    struct shell *sh;
    bool more, dropped;
    /* a file: a line read ahead */
    struct buf line, ahead;
    bool has_ahead, at_end;
    char chunk[65536];
    size_t at, n;
#if FL_HAVE_EDIT
    EditLine *el;
    History *hist;
    HistEvent ev;
#endif
};

/* ---- a file ---- */

static int next_byte(struct shell_lines *l)
{
    while (l->at == l->n) {
        ssize_t n = read(STDIN_FILENO, l->chunk, sizeof(l->chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        l->at = 0;
        l->n = (size_t)n;
    }
    return (unsigned char)l->chunk[l->at++];
}

/* false at the end; a line cut at LINE_BYTES is too long for a query anyway, which says so */
static bool read_line(struct shell_lines *l, struct buf *out)
{
    int c;
    buf_reset(out);
    while ((c = next_byte(l)) >= 0 && c != '\n')
        if (out->n < LINE_BYTES)
            buf_putc(out, (char)c);
    if (out->n && out->p[out->n - 1] == '\r')
        buf_truncate(out, out->n - 1);
    return c >= 0 || out->n;
}

static bool look_ahead(struct shell_lines *l)
{
    if (!l->has_ahead && !l->at_end) {
        l->has_ahead = read_line(l, &l->ahead);
        l->at_end = !l->has_ahead;
    }
    return l->has_ahead;
}

bool lines_pipe_follows(struct shell_lines *l)
{
    if (l->sh->person || !look_ahead(l))
        return false;
    str s = str_trim(buf_str(&l->ahead));
    return s.n && s.p[0] == '|';
}

static enum line_got from_file(struct shell_lines *l, str *ret)
{
    if (!look_ahead(l))
        return LINE_END;
    struct buf t = l->line;
    l->line = l->ahead;
    l->ahead = t;
    l->has_ahead = false;
    *ret = l->line.p ? buf_str(&l->line) : STR("");
    return LINE_GOT;
}

#if FL_HAVE_EDIT

/* ---- completion ---- */

struct choice {
    str text, detail;
    bool has_count, closed; /* closed: a blank may follow */
    int64_t count;
};

static size_t common_start(str a, str b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    while (n > 0 && n < a.n && ((unsigned char)a.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static int count_chars(str s)
{
    int n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* [from, to) of the line, around the cursor, becomes text */
static bool put_in(EditLine *el, str line, size_t cursor, size_t from, size_t to, str text)
{
    char *z = mem_alloc(text.n + 1);
    if (!z)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    if (to > cursor)
        el_cursor(el, count_chars(str_sub(line, cursor, to - cursor)));
    if (to > from)
        el_deletestr(el, count_chars(str_sub(line, from, to - from)));
    bool ok = el_insertstr(el, z) == 0;
    mem_free(z);
    return ok;
}

static void list(struct shell_lines *l, const struct choice *v, uint32_t n, bool more)
{
    struct out *o = &l->sh->c->out;
    struct winsize ws = { .ws_row = 24 };
    char number[32];
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
    uint32_t shown = ws.ws_row > 12 ? ws.ws_row / 2u : 6;
    shown = n < shown ? n : shown;
    int wide = 0, counts = 0;
    for (uint32_t i = 0; i < shown; i++) {
        int w = safe_width(v[i].text);
        wide = w > wide ? w : wide;
        w = v[i].has_count ? (int)strlen(fmt_count((uint64_t)v[i].count, number)) : 0;
        counts = w > counts ? w : counts;
    }
    wide = wide > o->term.cols / 2 ? o->term.cols / 2 : wide;
    out_puts(o, "\n");
    for (uint32_t i = 0; i < shown; i++) {
        str text = safe_cut(v[i].text, wide);
        out_puts(o, "  ");
        out_safe(o, text);
        out_style(o, STYLE_DIM);
        out_pad(o, wide - safe_width(text));
        if (counts) {
            const char *c = v[i].has_count ? fmt_count((uint64_t)v[i].count, number) : "";
            out_pad(o, 2 + counts - (int)strlen(c));
            out_puts(o, c);
        }
        int left = o->term.cols - 2 - wide - (counts ? counts + 2 : 0) - 3;
        if (v[i].detail.n && left > 10) {
            out_puts(o, "  ");
            out_safe(o, safe_cut(v[i].detail, left));
        }
        out_style(o, STYLE_NONE);
        out_puts(o, "\n");
    }
    if (n > shown || more) {
        out_style(o, STYLE_DIM);
        if (more)
            out_puts(o, "  and more: type on to see them\n");
        else
            out_printf(o, "  and %u more: type on to see them\n", n - shown);
        out_style(o, STYLE_NONE);
    }
    out_flush(o);
}

static unsigned char offer(struct shell_lines *l, const struct jv *root, str line, size_t cursor,
                           size_t before)
{
    struct choice v[ITEMS_ASKED];
    uint32_t n = 0;
    size_t from = (size_t)jv_int(jv_get(root, "from"), 0),
           to = (size_t)jv_int(jv_get(root, "to"), 0);
    JV_EACH(item, jv_get(root, "items"))
    {
        if (n == ITEMS_ASKED)
            break;
        str kind = jv_get_str(item, "kind"), text = jv_get_str(item, "text");
        bool counted = jv_is(jv_get(item, "count"), JSON_NUM);
        bool open = text.n && strchr(":(", text.p[text.n - 1]);
        v[n++] = (struct choice){ text, jv_get_str(item, "detail"), counted,
                                  !open && !str_eq(kind, STR("time")),
                                  jv_int(jv_get(item, "count"), 0) };
    }
    /* of the line at hand only; the lines before it are no longer edited */
    if (!n || from < before || to < from || to - before > line.n)
        return CC_REFRESH_BEEP;
    from -= before;
    to -= before;
    if (n == 1) {
        char end = to < line.n ? line.p[to] : 0;
        bool put = put_in(l->el, line, cursor, from, to, v[0].text);
        if (put && v[0].closed && !end)
            put = el_insertstr(l->el, " ") == 0;
        return put ? CC_REFRESH : CC_REFRESH_BEEP;
    }
    size_t common = v[0].text.n;
    for (uint32_t i = 1; i < n; i++) {
        size_t k = common_start(v[0].text, v[i].text);
        common = k < common ? k : common;
    }
    bool more = jv_is(jv_get(root, "more"), JSON_TRUE);
    if (common > cursor - from && !more)
        return put_in(l->el, line, cursor, from, to, str_sub(v[0].text, 0, common))
                   ? CC_REFRESH
                   : CC_REFRESH_BEEP;
    list(l, v, n, more);
    return CC_REDISPLAY;
}

static unsigned char on_tab(EditLine *el, int ch)
{
    struct shell_lines *l = NULL;
    struct buf text, json;
    struct arena a;
    struct jv *root;
    struct err err = ERR_INIT;
    unsigned char did = CC_REFRESH_BEEP;
    (void)ch;
    el_get(el, EL_CLIENTDATA, &l);
    const LineInfo *info = el_line(el);
    struct shell *sh = l->sh;
    buf_init(&text, LINE_BYTES * 2);
    buf_init(&json, 4u << 20);
    arena_init(&a, 64u << 20);
    if (l->more) {
        buf_putstr(&text, buf_str(&sh->query));
        buf_putc(&text, '\n');
    }
    size_t before = text.n, cursor = (size_t)(info->cursor - info->buffer);
    str line = { info->buffer, (size_t)(info->lastchar - info->buffer) };
    line = arena_dup(&a, line); /* el's own goes with the next call */
    buf_putstr(&text, line);
    bool command = !l->more && line.n && line.p[0] == '\\';
    struct data_query q = { .text = text.p ? text.p : "", .start = sh->a.start, .end = sh->a.end };
    if (!command && line.p && buf_ok(&text) &&
        data_complete(sh->c, &sh->t, &q, before + cursor, ITEMS_ASKED, &json) == 0 &&
        doc_parse(&root, &a, buf_str(&json), &err) == 0)
        did = offer(l, root, line, cursor, before);
    arena_deinit(&a);
    buf_deinit(&json);
    buf_deinit(&text);
    return did;
}

/* ---- other keys ---- */

static unsigned char on_cancel(EditLine *el, int ch)
{
    struct shell_lines *l = NULL;
    (void)ch;
    el_get(el, EL_CLIENTDATA, &l);
    l->dropped = true;
    if (write(STDOUT_FILENO, "^C\n", 3) < 0)
        return CC_EOF;
    return CC_NEWLINE;
}

static unsigned char on_suspend(EditLine *el, int ch)
{
    (void)el, (void)ch;
    kill(0, SIGTSTP);
    return CC_REDISPLAY;
}

static char *prompt(EditLine *el)
{
    static char plain[] = "fleetlog> ", again[] = "       -> ";
    static char bold[] = "\1\x1b[1m\1fleetlog>\1\x1b[0m\1 ";
    struct shell_lines *l = NULL;
    el_get(el, EL_CLIENTDATA, &l);
    return l->more ? again : l->sh->c->out.term.color ? bold : plain;
}

static void add_old(void *ctx, const char *query)
{
    struct shell_lines *l = ctx;
    lines_remember(l, str_c(query));
}

static int start_editing(struct shell_lines *l, struct err *err)
{
    term_utf8(); /* which goes back to the C locale; libedit must know what a character is */
    setlocale(LC_CTYPE, "");
    l->el = el_init("fleetlog", stdin, stdout, stderr);
    l->hist = history_init();
    if (!l->el || !l->hist)
        return err_nomem(err);
    history(l->hist, &l->ev, H_SETSIZE, HISTORY_MAX);
    history(l->hist, &l->ev, H_SETUNIQUE, 1);
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_PROMPT_ESC, prompt, '\1');
    el_set(l->el, EL_EDITOR, "emacs");
    el_set(l->el, EL_SIGNAL, 1);
    el_set(l->el, EL_HIST, history, l->hist);
    el_set(l->el, EL_SETTY, "-d", "-isig", NULL);
    el_set(l->el, EL_ADDFN, "fl-complete", "what may stand here", on_tab);
    el_set(l->el, EL_ADDFN, "fl-cancel", "forget the line", on_cancel);
    el_set(l->el, EL_ADDFN, "fl-suspend", "stop for a while", on_suspend);
    el_set(l->el, EL_BIND, "^I", "fl-complete", NULL);
    el_set(l->el, EL_BIND, "^C", "fl-cancel", NULL);
    el_set(l->el, EL_BIND, "^Z", "fl-suspend", NULL);
    el_set(l->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(l->el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
    el_set(l->el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
    el_set(l->el, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
    el_set(l->el, EL_BIND, "\\e[H", "ed-move-to-beg", NULL);
    el_set(l->el, EL_BIND, "\\e[F", "ed-move-to-end", NULL);
    history_read(add_old, l);
    return 0;
}

static enum line_got from_person(struct shell_lines *l, bool more, str *ret)
{
    int n = 0;
    l->more = more;
    l->dropped = false;
    el_set(l->el, EL_PREP_TERM, 1); /* or the prompt is there before keys are keys */
    const char *z = el_gets(l->el, &n);
    if (l->dropped)
        return LINE_DROPPED;
    if (!z || n <= 0)
        return LINE_END;
    str s = { z, (size_t)n };
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    *ret = s;
    return LINE_GOT;
}

/* An arrow key brings one line back: newlines become blanks, but those that end a comment. */
void lines_remember(struct shell_lines *l, str query)
{
    struct buf b;
    if (!l->el || !history_keeps(query) || memchr(query.p, '#', query.n))
        return;
    buf_init(&b, LINE_BYTES);
    for (size_t i = 0; i < query.n; i++)
        buf_putc(&b, query.p[i] == '\n' ? ' ' : query.p[i]);
    if (b.p && buf_ok(&b))
        history(l->hist, &l->ev, H_ENTER, b.p);
    buf_deinit(&b);
}

#else /* a person without libedit: lines as the terminal gives them */

static enum line_got from_person(struct shell_lines *l, bool more, str *ret)
{
    struct out *o = &l->sh->c->out;
    out_puts(o, more ? "       -> " : "fleetlog> ");
    out_flush(o);
    if (!read_line(l, &l->line))
        return LINE_END;
    *ret = l->line.p ? buf_str(&l->line) : STR("");
    return LINE_GOT;
}

static int start_editing(struct shell_lines *l, struct err *err)
{
    (void)l, (void)err;
    return 0;
}

void lines_remember(struct shell_lines *l, str query)
{
    (void)l, (void)query;
}

#endif

void lines_signals(struct shell_lines *l, bool on)
{
    struct termios t;
    if (!FL_HAVE_EDIT || !l->sh->person || tcgetattr(STDIN_FILENO, &t) != 0)
        return;
    t.c_lflag = on ? t.c_lflag | ISIG : t.c_lflag & ~(tcflag_t)ISIG;
    while (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) != 0 && errno == EINTR)
        ;
}

int lines_new(struct shell_lines **ret, struct shell *sh, struct err *err)
{
    struct shell_lines *l = mem_zalloc(sizeof(*l));
    if (!l)
        return err_nomem(err);
    l->sh = sh;
    buf_init(&l->line, LINE_BYTES + 4096);
    buf_init(&l->ahead, LINE_BYTES + 4096);
    lines_signals(l, false); /* also while libedit has given the terminal back between two lines */
    int rc = sh->person ? start_editing(l, err) : 0;
    if (rc < 0) {
        lines_free(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void lines_free(struct shell_lines *l)
{
    if (!l)
        return;
#if FL_HAVE_EDIT
    if (l->el)
        el_end(l->el);
    if (l->hist)
        history_end(l->hist);
#endif
    lines_signals(l, true);
    buf_deinit(&l->ahead);
    buf_deinit(&l->line);
    mem_free(l);
}

enum line_got lines_next(struct shell_lines *l, bool more, str *ret)
{
    enum line_got got = l->sh->person ? from_person(l, more, ret) : from_file(l, ret);
    l->sh->line += got == LINE_GOT;
    return got;
}
