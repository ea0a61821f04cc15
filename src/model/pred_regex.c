/* pred_regex.c: regular expressions, compiled once, matched under a limit.
 *
 * Patterns come from outside, so what PCRE2 offers beyond plain matching is refused before it sees
 * the pattern: back references, recursion, conditions, verbs (*...), callouts, \C, \Q and the x
 * option (whose comments would hide the rest from this reader). A match that passes MATCH_LIMIT
 * steps gives up: the row does not match and is counted; past GAVE_UP_MAX rows the query ends.
 *
 * While reading the pattern the runs of literal characters outside groups are noted: every match
 * contains them, so a plain search for the longest comes first, and indexes are asked for all. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/pred_int.h"

#define PATTERN_MAX 1000
#define COMPILED_MAX ((size_t)1 << 20)
#define PARENS_MAX 50
#define MATCH_LIMIT 100000
#define HEAP_LIMIT_KIB 20000
#define JIT_STACK_MIN ((size_t)32 << 10)
#define JIT_STACK_MAX ((size_t)1 << 20)
#define GAVE_UP_MAX 100

struct regex {
    pcre2_code *code;
};

static void *pcre_alloc(PCRE2_SIZE n, void *arg)
{
    (void)arg;
    return mem_alloc(n);
}

static void pcre_free(void *p, void *arg)
{
    (void)arg;
    mem_free(p);
}

/* ---- reading the pattern ---- */

struct reader {
    str s;
    size_t i;
    unsigned depth; /* open groups */
    bool caseless, alternatives;
    /* the literal run in progress and the longest so far; both are copied characters */
    char run[256], best[256];
    size_t nrun, nbest, last; /* last: where the newest character of the run begins */
    struct text_keys keys;    /* of every run: each is in every match */
    struct arena *arena;
    bool failed; /* out of memory */
    struct err *err;
};

static int refuse(struct reader *rd, size_t at, const char *what)
{
    err_at(rd->err, ERR_INVALID, (int64_t)at, "%s not supported in regular expressions here", what);
    err_slug(rd->err, "bad_regex");
    return ERR_INVALID;
}

static void end_run(struct reader *rd)
{
    rd->failed |= !text_keys_add(&rd->keys, rd->arena, (str){ rd->run, rd->nrun }, false, false);
    if (rd->nrun > rd->nbest) {
        memcpy(rd->best, rd->run, rd->nrun);
        rd->nbest = rd->nrun;
    }
    rd->nrun = 0;
    rd->last = 0;
}

/* In a caseless pattern only letters whose case partners are the two ASCII ones (not k and s, which
 * also stand for the Kelvin sign and the long s), and nothing outside ASCII. */
static void add_literal(struct reader *rd, const char *p, size_t n)
{
    bool odd = rd->caseless && (n > 1 || (p[0] | 0x20) == 'k' || (p[0] | 0x20) == 's');
    if (odd || rd->depth || rd->nrun + n > sizeof rd->run) {
        end_run(rd);
        return;
    }
    rd->last = rd->nrun;
    memcpy(rd->run + rd->nrun, p, n);
    rd->nrun += n;
}

static int read_escape(struct reader *rd)
{
    size_t at = rd->i++;
    if (rd->i >= rd->s.n)
        return 0; /* PCRE2 says what is wrong */
    char c = rd->s.p[rd->i++];
    if (c >= '1' && c <= '9')
        return refuse(rd, at, "back references are");
    if (c == 'k' || c == 'g')
        return refuse(rd, at, "back references and calls are");
    if (c == 'C' || c == 'Q' || c == 'E')
        return refuse(rd, at, c == 'C' ? "\\C is" : "\\Q and \\E are");
    if (memchr("xopPNcu0", c, 8)) /* what follows belongs to the escape: rely on no literal */
        rd->alternatives = true;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '0' || (c & 0x80))
        end_run(rd);
    else
        add_literal(rd, &c, 1);
    return 0;
}

/* past a [class]; the contents do not matter beyond \Q and where it ends */
static int read_class(struct reader *rd)
{
    end_run(rd);
    size_t i = rd->i + 1;
    const char *p = rd->s.p;
    size_t n = rd->s.n;
    if (i < n && p[i] == '^')
        i++;
    if (i < n && p[i] == ']')
        i++;
    for (; i < n && p[i] != ']'; i++) {
        if (p[i] == '\\' && i + 1 < n) {
            i++;
            if (p[i] == 'Q' || p[i] == 'E')
                return refuse(rd, i - 1, "\\Q and \\E are");
        } else if (p[i] == '[' && i + 1 < n && p[i + 1] == ':') {
            size_t k = i + 2;
            while (k < n && (p[k] == '^' || (p[k] >= 'a' && p[k] <= 'z')))
                k++;
            if (k + 1 < n && p[k] == ':' && p[k + 1] == ']')
                i = k + 1;
        }
    }
    rd->i = i < n ? i + 1 : n;
    return 0;
}

/* at "(?" */
static int read_special_group(struct reader *rd)
{
    size_t at = rd->i, i = at + 2;
    const char *p = rd->s.p;
    char c = i < rd->s.n ? p[i] : 0;
    if (c == 'C')
        return refuse(rd, at, "callouts are");
    if (c == 'R' || c == '&' || (c >= '0' && c <= '9') || c == '+')
        return refuse(rd, at, "recursion is");
    if (c == '(' || c == '[')
        return refuse(rd, at, c == '(' ? "conditions are" : "extended classes are");
    if (c == 'P' && i + 1 < rd->s.n && (p[i + 1] == '=' || p[i + 1] == '>'))
        return refuse(rd, at, "back references and calls are");
    if (c == '-' && i + 1 < rd->s.n && p[i + 1] >= '0' && p[i + 1] <= '9')
        return refuse(rd, at, "recursion is");
    if (c == '#') { /* comment: up to the first ')' */
        const char *end = memchr(p + i, ')', rd->s.n - i);
        rd->i = end ? (size_t)(end - p) + 1 : rd->s.n;
        return 0;
    }
    bool options = c == '^' || c == '-' || (c >= 'a' && c <= 'z') || c == 'J' || c == 'U';
    for (; options && i < rd->s.n && p[i] != ')' && p[i] != ':'; i++) {
        if (p[i] == 'x')
            return refuse(rd, at, "the x option is");
        if (p[i] == 'i')
            rd->alternatives = true; /* case may change on the way: rely on no literal */
    }
    rd->depth++;
    if (options && i < rd->s.n && p[i] == ')')
        rd->depth--; /* (?m) is no group */
    rd->i = options && i < rd->s.n ? i + 1 : at + 2;
    return 0;
}

static int read_group(struct reader *rd)
{
    end_run(rd);
    char next = rd->i + 1 < rd->s.n ? rd->s.p[rd->i + 1] : 0;
    if (next == '*')
        return refuse(rd, rd->i, "verbs (*...) are");
    if (next == '?')
        return read_special_group(rd);
    rd->depth++;
    rd->i++;
    return 0;
}

/* length of "{2,3}" at p, 0 when the brace is none of that kind (nothing else is ever skipped) */
static size_t brace_len(const char *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (p[i] == '}')
            return i > 1 ? i + 1 : 0;
        if (!(p[i] >= '0' && p[i] <= '9') && p[i] != ',' && p[i] != ' ')
            return 0;
    }
    return 0;
}

/* a quantifier: the character before it may stand no time or several */
static void read_quantifier(struct reader *rd)
{
    char c = rd->s.p[rd->i];
    size_t len = c == '{' ? brace_len(rd->s.p + rd->i, rd->s.n - rd->i) : 1;
    if (!len) {
        add_literal(rd, &c, 1);
        rd->i++;
        return;
    }
    if (c != '+')
        rd->nrun = rd->last;
    end_run(rd);
    rd->i += len;
}

static int read_pattern(struct reader *rd)
{
    int rc = 0;
    while (rd->i < rd->s.n && !rc) {
        char c = rd->s.p[rd->i];
        switch (c) {
        case '\\': rc = read_escape(rd); break;
        case '[': rc = read_class(rd); break;
        case '(': rc = read_group(rd); break;
        case ')':
            end_run(rd);
            rd->depth -= rd->depth > 0;
            rd->i++;
            break;
        case '|':
            end_run(rd);
            rd->alternatives |= rd->depth == 0;
            rd->i++;
            break;
        case '*':
        case '?':
        case '+':
        case '{': read_quantifier(rd); break;
        case '.':
        case '^':
        case '$':
            end_run(rd);
            rd->i++;
            break;
        default: {
            size_t at = rd->i;
            utf8_next(rd->s, &rd->i);
            add_literal(rd, rd->s.p + at, rd->i - at);
        }
        }
    }
    end_run(rd);
    return rc;
}

/* ---- compiling ---- */

static int compile(struct regex *re, str pattern, uint32_t options, struct err *err)
{
    int rc = 0, code;
    PCRE2_SIZE at;
    pcre2_general_context *g = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_compile_context *ctx = g ? pcre2_compile_context_create(g) : NULL;
    if (!ctx) {
        rc = err_nomem(err);
        goto out;
    }
    pcre2_set_parens_nest_limit(ctx, PARENS_MAX);
    re->code = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.n, options, &code,
                             &at, ctx);
    if (!re->code && code == PCRE2_ERROR_HEAP_FAILED) {
        rc = err_nomem(err);
    } else if (!re->code) {
        PCRE2_UCHAR text[160];
        pcre2_get_error_message(code, text, sizeof text);
        rc = err_at(err, ERR_INVALID, (int64_t)at, "bad regular expression: %s", (char *)text);
        err_slug(err, "bad_regex");
    } else {
        size_t size = 0;
        pcre2_pattern_info(re->code, PCRE2_INFO_SIZE, &size);
        if (size > COMPILED_MAX) {
            rc = err_at(err, ERR_INVALID, 0, "the regular expression is too large when compiled");
            err_slug(err, "bad_regex");
        } else {
            /* where the system forbids generated code the interpreter does the work */
            (void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
        }
    }
out:
    pcre2_compile_context_free(ctx);
    pcre2_general_context_free(g);
    return rc;
}

static void release_code(void *code)
{
    pcre2_code_free(code);
}

int regex_new(struct regex **ret, struct arena *a, str pattern, str flags, struct textpat *literal,
              struct err *err)
{
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    struct reader rd = { .s = pattern, .arena = a, .err = err };
    for (size_t i = 0; i < flags.n; i++) {
        if (flags.p[i] == 'i')
            options |= PCRE2_CASELESS;
        else if (flags.p[i] == 'm')
            options |= PCRE2_MULTILINE;
        else if (flags.p[i] == 's')
            options |= PCRE2_DOTALL;
        else
            return err_at(err, ERR_INVALID, (int64_t)pattern.n,
                          "unknown flag '%c': i, m and s exist", flags.p[i]);
    }
    rd.caseless = options & PCRE2_CASELESS;
    if (pattern.n > PATTERN_MAX)
        return err_at(err, ERR_INVALID, PATTERN_MAX,
                      "a regular expression has at most %d characters", PATTERN_MAX);
    int rc = read_pattern(&rd);
    if (rc)
        return rc;
    if (rd.alternatives || rd.nbest < 2)
        rd.nbest = 0;
    struct regex *re = arena_zalloc(a, sizeof *re);
    if (!re || rd.failed || !textpat_substr(literal, a, (str){ rd.best, rd.nbest }, rd.caseless))
        return err_nomem(err);
    literal->keys = rd.alternatives ? (struct text_keys){ 0 } : rd.keys;
    rc = compile(re, pattern, options, err);
    if (!rc && !arena_own(a, release_code, re->code))
        rc = err_nomem(err);
    if (rc) {
        pcre2_code_free(re->code);
        return rc;
    }
    *ret = re;
    return 0;
}

/* ---- matching ---- */

int regex_run_prepare(struct pred_run *r, struct err *err)
{
    if (r->match_data)
        return 0;
    pcre2_general_context *g = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_match_context *ctx = g ? pcre2_match_context_create(g) : NULL;
    pcre2_jit_stack *stack = ctx ? pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, g) : NULL;
    pcre2_match_data *data = ctx ? pcre2_match_data_create(1, g) : NULL;
    if (!data) {
        if (stack)
            pcre2_jit_stack_free(stack);
        pcre2_match_context_free(ctx);
        pcre2_general_context_free(g);
        return err_nomem(err);
    }
    pcre2_set_match_limit(ctx, MATCH_LIMIT);
    pcre2_set_heap_limit(ctx, HEAP_LIMIT_KIB);
    if (stack)
        pcre2_jit_stack_assign(ctx, NULL, stack);
    pcre2_general_context_free(g);
    r->match_ctx = ctx;
    r->jit_stack = stack;
    r->match_data = data;
    return 0;
}

void regex_run_free(struct pred_run *r)
{
    pcre2_match_data_free(r->match_data);
    pcre2_match_data_free(r->group_data);
    pcre2_match_context_free(r->match_ctx);
    if (r->jit_stack)
        pcre2_jit_stack_free(r->jit_stack);
}

static int gave_up(int64_t pos, uint32_t weight, struct pred_run *r, struct err *err)
{
    r->gave_up += weight;
    if (r->gave_up <= GAVE_UP_MAX)
        return 0;
    err_at(err, ERR_INVALID, pos, "the regular expression needs too many steps on over %d entries",
           GAVE_UP_MAX);
    err_slug(err, "regex_too_complex");
    err_hint(err, "avoid nested repeats such as (a+)+ and anchor the pattern");
    return ERR_INVALID;
}

int regex_match(const struct pred *p, str s, uint32_t weight, struct pred_run *r, bool *ret,
                struct err *err)
{
    int rc = regex_run_prepare(r, err);
    if (rc)
        return rc;
    int n = pcre2_match(p->test.re->code, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, r->match_data,
                        r->match_ctx);
    *ret = n >= 0;
    if (n >= 0 || n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n == PCRE2_ERROR_NOMEMORY)
        return err_nomem(err);
    return gave_up(p->pos, weight, r, err);
}

/* ---- named groups ---- */

static bool names_of(const struct regex *re, struct arena *a, struct regex_groups *g)
{
    uint32_t n = 0, size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &n);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    g->names = arena_array(a, n + 1, sizeof *g->names);
    g->numbers = arena_array(a, n + 1, sizeof *g->numbers);
    if (!g->names || !g->numbers)
        return false;
    for (uint32_t i = 0; i < n; i++, table += size) {
        uint16_t number = (uint16_t)(table[0] << 8 | table[1]);
        str name = arena_dup(a, str_c((const char *)table + 2));
        uint32_t at = g->n++;
        if (!name.p)
            return false;
        /* the table is in order of the names; they are wanted as they stand */
        for (; at > 0 && g->numbers[at - 1] > number; at--) {
            g->numbers[at] = g->numbers[at - 1];
            g->names[at] = g->names[at - 1];
        }
        g->numbers[at] = number;
        g->names[at] = name;
    }
    return true;
}

int regex_groups_new(struct regex_groups **ret, struct arena *a, str pattern, str flags,
                     struct err *err)
{
    struct textpat literal;
    struct regex_groups *g = arena_zalloc(a, sizeof *g);
    if (!g)
        return err_nomem(err);
    int rc = regex_new(&g->re, a, pattern, flags, &literal, err);
    if (!rc && !names_of(g->re, a, g))
        rc = err_nomem(err);
    *ret = g;
    return rc;
}

static int groups_prepare(struct pred_run *r, struct err *err)
{
    int rc = regex_run_prepare(r, err);
    if (rc || r->group_data)
        return rc;
    pcre2_general_context *g = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    r->group_data = g ? pcre2_match_data_create(PATTERN_MAX / 2 + 1, g) : NULL;
    pcre2_general_context_free(g);
    return r->group_data ? 0 : err_nomem(err);
}

int regex_groups_match(const struct regex_groups *g, str s, struct pred_run *r, str *ret,
                       bool *ret_found, struct err *err)
{
    int rc = groups_prepare(r, err);
    if (rc)
        return rc;
    int n = pcre2_match(g->re->code, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, r->group_data,
                        r->match_ctx);
    *ret_found = n >= 0;
    if (n == PCRE2_ERROR_NOMEMORY)
        return err_nomem(err);
    if (n < 0)
        return n == PCRE2_ERROR_NOMATCH ? 0 : gave_up(g->pos, 1, r, err);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(r->group_data);
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t k = g->numbers[i];
        bool caught = k < (uint32_t)n && at[2 * k] != PCRE2_UNSET && at[2 * k] <= at[2 * k + 1];
        ret[i] = caught ? str_sub(s, at[2 * k], at[2 * k + 1] - at[2 * k]) : STR_NULL;
    }
    return 0;
}
