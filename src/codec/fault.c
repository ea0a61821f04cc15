/* fault.c: see fault.h. A stack is read line by line, each line by its own form; nothing is carried
 * from one line to the next but the state of struct reader. */
#include "codec/fault.h"

#include "codec/template.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static size_t digits(str s)
{
    size_t n = 0;
    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n;
}

static bool cut_prefix(str *s, str prefix)
{
    if (!str_starts(*s, prefix))
        return false;
    *s = str_skip(*s, prefix.n);
    return true;
}

static size_t last_of(str s, char c)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == c)
            return i - 1;
    return SIZE_MAX;
}

/* ---- names ---- */

/* "/srv/app/x.js:10:5" -> "x.js" */
static str file_of(str path)
{
    for (int k = 0; k < 2; k++) {
        size_t at = last_of(path, ':');
        str tail = at == SIZE_MAX ? STR_NULL : str_skip(path, at + 1);
        if (!tail.n || digits(tail) != tail.n)
            break;
        path = str_sub(path, 0, at);
    }
    size_t query = str_chr(path, '?');
    if (query != SIZE_MAX)
        path = str_sub(path, 0, query);
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/' || path.p[i - 1] == '\\')
            return str_skip(path, i);
    return path;
}

/* "crate::run::h0123456789abcdef" without the hash */
static str without_hash(str f)
{
    if (f.n < 19 || !str_eq(str_sub(f, f.n - 19, 3), STR("::h")))
        return f;
    for (size_t i = f.n - 16; i < f.n; i++)
        if (!is_digit(f.p[i]) && !(f.p[i] >= 'a' && f.p[i] <= 'f'))
            return f;
    return str_sub(f, 0, f.n - 19);
}

/* "lambda$main$0" without the number */
static str without_number(str f)
{
    size_t n = f.n;
    while (n && is_digit(f.p[n - 1]))
        n--;
    return n && n < f.n && f.p[n - 1] == '$' ? str_sub(f, 0, n) : f;
}

/* The name in front of ": " or the whole line, when it is one: dotted words, the first not a digit
 */
static str type_of(str line)
{
    size_t n = 0;
    while (n < line.n && (is_word(line.p[n]) || line.p[n] == '.' || line.p[n] == ':')) {
        if (line.p[n] == ':' && (n + 1 == line.n || line.p[n + 1] != ':'))
            break;
        n += line.p[n] == ':' ? 2 : 1;
    }
    bool ends = n == line.n || line.p[n] == ':';
    if (!n || !ends || n > 200 || is_digit(line.p[0]) || line.p[n - 1] == '.')
        return STR_NULL;
    return str_sub(line, 0, n);
}

/* ---- lines of a stack ---- */

struct reader {
    struct fault_stack top;
    bool python, go, rust, rust_frame, frame_done, says_next;
    str python_file, python_function;
    str head;      /* the last line before a frame that may name the fault */
    str head_type; /* and its name */
    str panic_file;
    str rust_function; /* whose file the next line tells */
    str go_function;
};

static void take(struct reader *r, str function, str file)
{
    if (r->frame_done)
        return;
    r->frame_done = true;
    r->top.function = without_number(without_hash(str_trim(function)));
    r->top.file = file_of(str_trim(file));
}

/* File "/srv/app.py", line 3, in run */
static bool python_frame(struct reader *r, str s)
{
    if (!cut_prefix(&s, STR("File \"")))
        return false;
    size_t quote = str_find(s, STR("\", line "));
    if (quote == SIZE_MAX)
        return false;
    r->python = true;
    r->python_file = str_sub(s, 0, quote);
    size_t in = str_find(str_skip(s, quote), STR(", in "));
    r->python_function = in == SIZE_MAX ? STR_NULL : str_skip(s, quote + in + 5);
    r->head = r->head_type = STR_NULL; /* the line that names it comes behind its frames */
    return true;
}

/* `f (file:1:2)`, `pkg.C.f(C.java:1)`, `N.C.F(String a) in /x/C.cs:line 3`, `file:1:2` */
static bool at_frame(struct reader *r, str s)
{
    if (!cut_prefix(&s, STR("at ")))
        return false;
    if (r->rust) { /* of the frame before, which may be machinery */
        if (r->rust_frame)
            take(r, r->rust_function, s);
        r->rust_frame = false;
        return true;
    }
    cut_prefix(&s, STR("async "));
    size_t open = str_chr(s, '('), in = str_find(s, STR(") in "));
    if (in != SIZE_MAX && open < in) {
        str file = str_skip(s, in + 5);
        size_t line = str_find(file, STR(":line "));
        take(r, str_sub(s, 0, open), line == SIZE_MAX ? file : str_sub(file, 0, line));
        return true;
    }
    if (open == SIZE_MAX) {
        if (!str_starts(s, STR("node:")) && str_chr(s, ':') != SIZE_MAX)
            take(r, STR_NULL, s);
        return str_chr(s, ':') != SIZE_MAX;
    }
    str function = str_sub(s, 0, open), inner = str_skip(s, open + 1);
    size_t close = last_of(inner, ')');
    if (close == SIZE_MAX)
        return false;
    inner = str_sub(inner, 0, close);
    bool place = str_chr(inner, ':') != SIZE_MAX || str_eq(inner, STR("Native Method")) ||
                 str_eq(inner, STR("Unknown Source")) || str_eq(inner, STR("<anonymous>"));
    size_t slash = last_of(function, '/'); /* java.base/java.util.X.f */
    if (slash != SIZE_MAX)
        function = str_skip(function, slash + 1);
    if (!str_starts(inner, STR("node:")))
        take(r, function, place && str_chr(inner, ':') != SIZE_MAX ? inner : STR_NULL);
    return true;
}

static bool machinery(str f)
{
    static const char *const names[] = { "runtime.",     "runtime/debug.", "panic(",   "std::",
                                         "core::",       "alloc::",        "rust_",    "__rust",
                                         "backtrace::",  "<core::",        "<alloc::", "<std::",
                                         "__libc_start", "_start",         "___rust" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_starts(f, str_c(names[i])))
            return true;
    return false;
}

/* "main.(*T).Run(0xc000, {0x1, 0x2})" and then a tab, the file, "+0x1d" */
static bool go_frame(struct reader *r, str raw, str s)
{
    if (str_starts(s, STR("goroutine ")) && str_find(s, STR(" [")) != SIZE_MAX)
        return r->go = true;
    if (!r->go)
        return false;
    if (raw.n && raw.p[0] == '\t') {
        size_t plus = str_find(s, STR(" +0x"));
        if (r->go_function.n && !machinery(r->go_function))
            take(r, r->go_function, plus == SIZE_MAX ? s : str_sub(s, 0, plus));
        r->go_function = STR_NULL;
        return true;
    }
    if (!s.n || s.p[s.n - 1] != ')' || str_starts(s, STR("created by ")))
        return false;
    size_t depth = 0, open = SIZE_MAX;
    for (size_t i = s.n; i > 0 && open == SIZE_MAX; i--) { /* the parenthesis of the arguments */
        depth += s.p[i - 1] == ')';
        if (s.p[i - 1] == '(' && --depth == 0)
            open = i - 1;
    }
    if (open == SIZE_MAX || !open)
        return false;
    r->go_function =
        str_eq(str_sub(s, 0, open), STR("panic")) ? STR("panic(") : str_sub(s, 0, open);
    return true;
}

/* "   4: app::run" or "   4: 0x55d0 - app::run" */
static bool rust_frame(struct reader *r, str raw, str s)
{
    size_t n = digits(s);
    if (!n || !raw.n || raw.p[0] != ' ' || !str_starts(str_skip(s, n), STR(": ")))
        return false;
    str f = str_trim(str_skip(s, n + 2));
    if (str_starts(f, STR("0x"))) {
        size_t dash = str_find(f, STR(" - "));
        f = dash == SIZE_MAX ? f : str_skip(f, dash + 3);
    }
    if (r->rust_frame && !r->frame_done) /* the one before had no file */
        take(r, r->rust_function, STR_NULL);
    r->rust = true;
    r->rust_frame = !machinery(f) && str_find(f, STR("::")) != SIZE_MAX;
    r->rust_function = f;
    return true;
}

/* thread 'main' panicked at src/main.rs:4:5: · panic: runtime error: ... */
static bool panic_line(struct reader *r, str s)
{
    size_t at = str_find(s, STR(" panicked at "));
    if (at != SIZE_MAX && str_starts(s, STR("thread '"))) {
        str file = str_skip(s, at + 13);
        if (str_starts(file, STR("'"))) { /* the older form: 'message', src/main.rs:4:5 */
            size_t comma = str_find(file, STR("', "));
            file = comma == SIZE_MAX ? STR_NULL : str_skip(file, comma + 3);
        }
        if (file.n && file.p[file.n - 1] == ':') { /* what it says stands in the next line */
            file = str_sub(file, 0, file.n - 1);
            r->says_next = true;
        }
        r->panic_file = file;
    } else if (!str_starts(s, STR("panic: "))) {
        return false;
    }
    if (!r->top.type.n) {
        r->top.type = STR("panic");
        r->top.line = s;
    }
    return true;
}

/* a line that may name the fault */
static void head_line(struct reader *r, str raw, str s)
{
    if (!s.n || (r->python && (raw.p[0] == ' ' || raw.p[0] == '\t')))
        return;
    cut_prefix(&s, STR("Unhandled exception. "));
    cut_prefix(&s, STR("Caused by: "));
    cut_prefix(&s, STR("Uncaught "));
    if (str_starts(s, STR("Exception in thread \""))) {
        str rest = str_skip(s, 21);
        size_t quote = str_find(rest, STR("\" "));
        if (quote != SIZE_MAX)
            s = str_skip(rest, quote + 2);
    }
    str type = type_of(s);
    bool names = type.n && !str_starts(s, STR("Traceback"));
    if (r->head_type.n && (!names || (r->frame_done && !r->python)))
        return;
    if (names && (!r->frame_done || r->python)) {
        r->head = s;
        r->head_type = type;
    }
}

bool fault_stack_read(str text, struct fault_stack *ret)
{
    struct reader r = { 0 };
    str rest = str_sub(text, 0, FAULT_STACK_MAX), raw;
    while (rest.n && str_split(&rest, '\n', &raw)) {
        str s = str_trim(raw);
        if (python_frame(&r, s) || at_frame(&r, s) || go_frame(&r, raw, s) ||
            rust_frame(&r, raw, s) || panic_line(&r, s))
            continue;
        if (r.says_next && s.n) {
            r.top.line = s;
            r.says_next = false;
        }
        head_line(&r, raw, s);
    }
    if (r.rust_frame && !r.frame_done)
        take(&r, r.rust_function, STR_NULL);
    if (r.python && !r.frame_done)
        take(&r, r.python_function, r.python_file);
    if (!r.frame_done && r.panic_file.n)
        take(&r, STR_NULL, r.panic_file);
    if (!r.top.type.n) {
        r.top.type = r.head_type;
        r.top.line = r.head;
    }
    *ret = r.top;
    return r.frame_done;
}

void fault_put_frame(struct buf *out, const struct fault_stack *s)
{
    buf_putstr(out, s->function);
    if (s->file.n && s->function.n)
        buf_puts(out, " (");
    buf_putstr(out, s->file);
    if (s->file.n && s->function.n)
        buf_putc(out, ')');
}

/* ---- texts ---- */

/* Length of quoted text that begins here, quotes included; 0: it is no quote. */
static size_t quoted(str s, size_t at)
{
    char q = s.p[at];
    if ((q != '\'' && q != '"' && q != '`') || (at && is_word(s.p[at - 1])))
        return 0;
    for (size_t i = at + 1; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        else if (s.p[i] == q && (i + 1 == s.n || !is_word(s.p[i + 1])))
            return i + 1 - at;
    }
    return 0;
}

static bool in_path(char c)
{
    return (unsigned char)c > ' ' && c != '"' && c != '\'' && c != '`' && c != '(' && c != ')' &&
           c != '[' && c != ']' && c != '{' && c != '}' && c != '<' && c != '>' && c != ',' &&
           c != ';' && c != '|';
}

/* Length of a path or address that begins here: a word that begins with / or ~/ or a drive, or has
 * :// in it. */
static size_t path(str s, size_t at)
{
    size_t n = 0;
    if (at && (is_word(s.p[at - 1]) || s.p[at - 1] == '/' || s.p[at - 1] == '.'))
        return 0;
    while (at + n < s.n && in_path(s.p[at + n]))
        n++;
    while (n && (s.p[at + n - 1] == ':' || s.p[at + n - 1] == '.' || s.p[at + n - 1] == '!'))
        n--;
    str w = str_sub(s, at, n);
    bool drive = n > 3 && w.p[1] == ':' && (w.p[2] == '\\' || w.p[2] == '/');
    bool rooted = n > 1 && (w.p[0] == '/' || str_starts(w, STR("~/")) || str_starts(w, STR("./")) ||
                            str_starts(w, STR("../")));
    return drive || rooted || str_find(w, STR("://")) != SIZE_MAX ? n : 0;
}

static str first_line(str message)
{
    str rest = str_trim(message), line = rest;
    if (rest.n)
        str_split(&rest, '\n', &line);
    line = str_trim(line);
    if (line.n <= FAULT_TEXT_MAX)
        return line;
    size_t n = FAULT_TEXT_MAX;
    while (n && ((unsigned char)line.p[n] & 0xc0) == 0x80) /* no half character */
        n--;
    return str_sub(line, 0, n);
}

void fault_put_text(struct buf *out, str message)
{
    static _Thread_local struct template_var vars[TEMPLATE_VARS_MAX];
    char plain[FAULT_TEXT_MAX * 3]; /* what is replaced has at least two bytes, <path> six */
    struct buf tmpl;
    uint32_t nvars;
    str s = first_line(message);
    size_t at = 0;
    for (size_t i = 0, n; i < s.n; i += n) {
        const char *put = NULL;
        if ((n = quoted(s, i)) > 0)
            put = "<text>";
        else if ((n = path(s, i)) > 0)
            put = "<path>";
        if (put) {
            memcpy(plain + at, put, 6);
            at += 6;
        } else {
            n = 1;
            plain[at++] = (unsigned char)s.p[i] < ' ' ? ' ' : s.p[i];
        }
    }
    buf_init(&tmpl, 1u << 20);
    if (at && template_split((str){ plain, at }, &tmpl, vars, &nvars))
        template_show(out, buf_str(&tmpl));
    else
        buf_put(out, plain, at);
    if (!buf_ok(&tmpl))
        out->bad = BUF_NOMEM;
    buf_deinit(&tmpl);
}
