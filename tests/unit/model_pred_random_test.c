/* model_pred_random_test.c: random predicates on random rows against an evaluator too simple to be
 * wrong.
 *
 * Rows live in an array and in a store: some in memory, more in segments, each batch with a narrow
 * choice of values so that statistics tell the segments apart. A tree of tests is made twice, as a
 * struct pred and as a struct node. The naive evaluator walks nodes over the array; store_scan runs
 * pred_eval with pred_prune before it, and without. All three must select the same rows. */
#include <stdlib.h>
#include <strings.h>

#include "model/ident.h"
#include "model/pred_leaf.h"
#include "store_kit.h"

#define BATCHES 12
#define PER_BATCH 250
#define SEGMENTS 7 /* one more and they may be merged at any time: nothing left to prune */
#define ROWS (BATCHES * PER_BATCH)
#define TREES 1500
#define DEPTH 4

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- rows ---- */

enum kind { NOTHING, IS_NULL, BOOL, INT, DOUBLE, TEXT, ARRAY };

struct cell {
    enum kind kind;
    bool b;
    double d;
    const char *s;
    struct cell *item; /* ARRAY */
    uint32_t n;
};

struct row {
    const char *agent; /* NULL = none */
    const char *message;
    struct cell x;
    int level;
    ts_ns t;
};

static struct row rows[ROWS];

static const char *const agents[] = {
    "planner", "svc-a", "svc-b", "Svc-A", "coder", "a*b", "", "s"
};
static const char *const messages[] = { "connection refused by peer",
                                        "Connection reset",
                                        "tool_error in read_file",
                                        "tool error",
                                        "rate limit reached",
                                        "rate-limit",
                                        "limit rate",
                                        "refusedly",
                                        "from 10.0.0.1 to 10.0.0.12",
                                        "",
                                        "x5 5 apples",
                                        "REFUSED",
                                        "a",
                                        "aa",
                                        "a a",
                                        "b a-a",
                                        "error5",
                                        "5",
                                        "tool  error!",
                                        "_tool_" };
static const char *const texts[] = { "5",  "5.0",   "05",   "-3",      "abc", "ABC def", "5 apples",
                                     "",   "1e2",   "true", "True no", "a5",  "zz top",  "2.5",
                                     "-0", "100.0", "null", "6",       "+5",  "abc" };
static const double numbers[] = { 5, -3, 0, 2.5, 100, 6, -0.5, 1e15 };
static const char *const words[] = { "refused", "tool", "error", "rate",   "limit", "5",
                                     "a",       "10",   "abc",   "APPLES", "top",   "true",
                                     "peer",    "aa",   "x5",    "def" };

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))
#define ANY(a) (a)[below(COUNT(a))]
/* one of four neighbours: what a batch draws from */
#define NEAR(a, k) (a)[((k) + below(4)) % COUNT(a)]

static struct cell any_cell(struct arena *a, uint32_t k, bool nested)
{
    struct cell c = { .kind = (enum kind)((k / 3 + below(3)) % (nested ? ARRAY : ARRAY + 1)) };
    if (nested && c.kind == NOTHING)
        c.kind = IS_NULL;
    c.b = below(2);
    c.d = NEAR(numbers, k);
    if (c.kind == INT)
        c.d = (double)(int64_t)c.d;
    if (c.kind == TEXT)
        c.s = NEAR(texts, k);
    if (c.kind == ARRAY) {
        c.n = below(4);
        c.item = arena_array(a, c.n + 1, sizeof *c.item);
        assert_non_null(c.item);
        for (uint32_t i = 0; i < c.n; i++)
            c.item[i] = any_cell(a, k + i, true);
    }
    return c;
}

static void put_json(struct buf *b, const struct cell *c)
{
    switch (c->kind) {
    case NOTHING:
    case IS_NULL: buf_puts(b, "null"); break;
    case BOOL: buf_puts(b, c->b ? "true" : "false"); break;
    case INT: buf_printf(b, "%.0f", c->d); break;
    case DOUBLE: buf_printf(b, "%.2f", c->d); break;
    case TEXT: buf_printf(b, "\"%s\"", c->s); break;
    case ARRAY:
        buf_putc(b, '[');
        for (uint32_t i = 0; i < c->n; i++) {
            if (i)
                buf_putc(b, ',');
            put_json(b, &c->item[i]);
        }
        buf_putc(b, ']');
        break;
    }
}

static bool put_cell(struct batch *b, struct arena *a, const struct cell *c)
{
    struct buf json;
    str key = STR("\x01x");
    switch (c->kind) {
    case NOTHING: return true;
    case IS_NULL: return bcol_put_i64(batch_col(b, key, V_NULL), 0);
    case BOOL: return bcol_put_i64(batch_col(b, key, V_BOOL), c->b);
    case INT: return bcol_put_i64(batch_col(b, key, V_I64), (int64_t)c->d);
    case DOUBLE: return bcol_put_f64(batch_col(b, key, V_F64), c->d);
    case TEXT: return bcol_put_text(batch_col(b, key, V_STR), str_c(c->s));
    case ARRAY: break;
    }
    buf_init(&json, 4096);
    put_json(&json, c);
    str s = arena_dup(a, buf_str(&json));
    buf_deinit(&json);
    return s.p && bcol_put_text(batch_col(b, key, V_JSON), s);
}

static void put_row(struct batch *b, struct arena *a, const struct row *r)
{
    bool ok = bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), r->t) &&
              bcol_put_i64(batch_col(b, STR("level"), V_I64), r->level) &&
              bcol_put_text(batch_col(b, STR("message"), V_STR), str_c(r->message));
    if (ok && r->agent)
        ok = bcol_put_text(batch_col(b, STR("agent"), V_STR), str_c(r->agent));
    assert_true(ok && put_cell(b, a, &r->x));
    batch_end_row(b);
}

static void append(struct store *s, struct arena *keep, uint32_t k)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    size_t bytes;
    arena_init(&a, 1u << 26);
    buf_init(&out, 1u << 26);
    assert_int_equal(batch_new(&b, &a, &err), 0);
    for (uint32_t i = 0; i < PER_BATCH; i++) {
        struct row *r = &rows[k * PER_BATCH + i];
        *r = (struct row){ .agent = below(5) ? NEAR(agents, k) : NULL,
                           .message = NEAR(messages, 3 * k),
                           .x = any_cell(keep, k, false),
                           .level = (int)((k + below(2)) % LV__COUNT),
                           .t = KIT_T0 + (ts_ns)(k * 1000 + below(1500)) * NS_PER_S };
        put_row(b, &a, r);
    }
    assert_int_equal(batch_encode(b, &out, &err), 0);
    arena_deinit(&a);
    char *p = buf_take(&out, &bytes);
    uint64_t base;
    assert_int_equal(store_append_wait(s, p, bytes, PER_BATCH, &base, &err), 0);
    assert_int_equal(base, 1 + k * PER_BATCH); /* row i has seq i + 1 */
}

/* ---- trees ---- */

enum test {
    T_EQ,
    T_MATCH,
    T_WORD,
    T_PHRASE,
    T_PREFIX,
    T_PART,
    T_BEGINS,
    T_ENDS,
    T_IN,
    T_GLOB,
    T_RANGE,
    T_BYTES,
    T_EXISTS,
    T_LEVELS,
    T_TIME,
    T_SEQ,
    T_REGEX,
    T__COUNT,
    N_AND,
    N_OR,
    N_NOT
};
enum where { ON_X, ON_AGENT, ON_MESSAGE };

struct node {
    int test;
    enum where on;
    char s[80];
    bool quoted;
    bool lo_open, hi_open, lo_in, hi_in;
    double lo, hi;
    const char *slo, *shi;
    uint32_t levels;
    int64_t from, to;
    struct node *kid[3];
    uint32_t nkids;
};

/* ---- the naive evaluator ---- */

static bool letter(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* the tokens of b stand side by side in a; the last one may go on when prefix */
static bool tokens_in(const char *a, const char *b, bool prefix)
{
    for (size_t i = 0; a[i]; i++) {
        if (!letter(a[i]) || (i && letter(a[i - 1])))
            continue;
        size_t p = i, q = 0;
        for (;;) {
            size_t m = 0;
            while (!letter(b[q]) && b[q])
                q++;
            while (b[q + m] && letter(b[q + m]))
                m++;
            if (!m)
                return true;
            if (strncasecmp(a + p, b + q, m) != 0)
                break;
            size_t rest = q + m;
            while (b[rest] && !letter(b[rest]))
                rest++;
            bool last = !b[rest];
            if (letter(a[p + m]) && !(last && prefix))
                break;
            p += m;
            q += m;
            while (a[p] && !letter(a[p]))
                p++;
        }
    }
    return false;
}

static bool glob(const char *p, const char *s)
{
    if (*p == '*')
        return glob(p + 1, s) || (*s && glob(p, s + 1));
    return *p == *s && (!*p || glob(p + 1, s + 1));
}

/* wholly a JSON number? */
static bool number_text(const char *s, double *ret)
{
    const char *p = s + (*s == '-');
    if (*p == '0' && p[1] >= '0' && p[1] <= '9')
        return false;
    if (!(*p >= '0' && *p <= '9'))
        return false;
    char *end;
    *ret = strtod(s, &end);
    return !*end && end[-1] != '.';
}

static bool in_range(const struct node *n, double d)
{
    return (n->lo_open || d > n->lo || (n->lo_in && d == n->lo)) &&
           (n->hi_open || d < n->hi || (n->hi_in && d == n->hi));
}

static bool in_bytes(const struct node *n, const char *s)
{
    int lo = n->lo_open ? 1 : strcmp(s, n->slo), hi = n->hi_open ? -1 : strcmp(s, n->shi);
    return (lo > 0 || (n->lo_in && lo == 0)) && (hi < 0 || (n->hi_in && hi == 0));
}

static bool text_passes(const struct node *n, const char *s)
{
    double d;
    switch (n->test) {
    case T_EQ: return strcmp(s, n->s) == 0;
    case T_MATCH: /* identity: the whole value; else the word */
        return n->on == ON_AGENT || !n->s[0] ? strcmp(s, n->s) == 0 : tokens_in(s, n->s, false);
    case T_WORD:
    case T_PHRASE: return tokens_in(s, n->s, false);
    case T_PREFIX: return tokens_in(s, n->s, true);
    case T_PART: return strcasestr(s, n->s);
    case T_BEGINS: /* quoted: and ends */
        return strncasecmp(s, n->s, strlen(n->s)) == 0 && (!n->quoted || strlen(s) == strlen(n->s));
    case T_ENDS:
        return strlen(s) >= strlen(n->s) && strcasecmp(s + strlen(s) - strlen(n->s), n->s) == 0;
    case T_IN: return strcmp(s, n->s) == 0 || strcmp(s, n->slo) == 0 || strcmp(s, n->shi) == 0;
    case T_GLOB: return glob(n->s, s);
    case T_RANGE: return number_text(s, &d) && in_range(n, d);
    case T_BYTES: return in_bytes(n, s);
    case T_REGEX:
        return n->s[0] == '^' ? strncmp(s, n->s + 1, strlen(n->s) - 1) == 0
                              : strstr(s, n->s) != NULL;
    default: return true; /* T_EXISTS */
    }
}

/* what a bare value means for numbers and truth values */
static bool scalar_passes(const struct node *n, const struct cell *c)
{
    double d;
    if (n->test == T_EXISTS)
        return true;
    if (n->test == T_RANGE)
        return c->kind != BOOL && in_range(n, c->d);
    if ((n->test != T_EQ && n->test != T_MATCH) || n->quoted)
        return false;
    if (c->kind == BOOL)
        return strcmp(n->s, c->b ? "true" : "false") == 0;
    return number_text(n->s[0] == '+' ? n->s + 1 : n->s, &d) && d == c->d;
}

static bool cell_passes(const struct node *n, const struct cell *c)
{
    switch (c->kind) {
    case NOTHING:
    case IS_NULL: return false;
    case TEXT: return text_passes(n, c->s);
    case ARRAY:
        for (uint32_t i = 0; i < c->n && n->test != T_EXISTS; i++)
            if (cell_passes(n, &c->item[i]))
                return true;
        return n->test == T_EXISTS;
    default: return scalar_passes(n, c);
    }
}

static bool naive(const struct node *n, const struct row *r)
{
    switch (n->test) {
    case N_NOT: return !naive(n->kid[0], r);
    case N_AND:
    case N_OR:
        for (uint32_t i = 0; i < n->nkids; i++)
            if (naive(n->kid[i], r) == (n->test == N_OR))
                return n->test == N_OR;
        return n->test == N_AND;
    case T_LEVELS: return n->levels >> r->level & 1;
    case T_TIME: /* to is exclusive */ return r->t >= n->from && r->t < n->to;
    case T_SEQ: return r - rows + 1 >= n->from && r - rows + 1 <= n->to;
    default: break;
    }
    if (n->on == ON_X)
        return cell_passes(n, &r->x);
    const char *s = n->on == ON_AGENT ? r->agent : r->message;
    return s && text_passes(n, s);
}

/* ---- making trees ---- */

static void choose_text(struct node *n)
{
    const char *s = n->on == ON_AGENT ? ANY(agents) : n->on == ON_X ? ANY(texts) : ANY(messages);
    snprintf(n->s, sizeof n->s, "%s", s);
    if (n->test == T_WORD || n->test == T_PREFIX)
        snprintf(n->s, sizeof n->s, "%s", ANY(words));
    if (n->test == T_PREFIX)
        n->s[1 + below(4)] = 0;
    if (n->test == T_PHRASE)
        snprintf(n->s, sizeof n->s, "%s %s", ANY(words), ANY(words));
    if (n->test == T_BEGINS && !n->quoted)
        n->s[below((uint32_t)strlen(n->s) + 1)] = 0;
    if (n->test == T_ENDS) {
        size_t from = below((uint32_t)strlen(n->s) + 1);
        memmove(n->s, n->s + from, strlen(n->s) - from + 1);
    }
    if (n->test == T_PART || n->test == T_GLOB || n->test == T_REGEX) {
        size_t len = strlen(n->s), from = len ? below((uint32_t)len) : 0;
        size_t keep = len - from > 1 ? 1 + below((uint32_t)(len - from)) : len - from;
        memmove(n->s, n->s + from, keep);
        n->s[keep] = 0;
    }
    if (n->test == T_MATCH && n->on != ON_AGENT && n->s[0])
        snprintf(n->s, sizeof n->s, "%s", below(3) ? ANY(words) : below(2) ? "5" : "-3");
    if (n->test == T_GLOB) {
        size_t len = strlen(n->s), at = below((uint32_t)len + 1);
        memmove(n->s + at + 1, n->s + at, len - at + 1);
        n->s[at] = '*';
    }
}

static void choose_leaf(struct node *n)
{
    n->test = (int)below(T__COUNT);
    n->on = (enum where)below(3);
    bool words_only = n->test == T_WORD || n->test == T_PHRASE || n->test == T_PREFIX;
    if (words_only && n->on == ON_AGENT) /* there they mean the whole value */
        n->on = ON_MESSAGE;
    if ((n->test == T_PART || n->test == T_GLOB || n->test == T_REGEX) && n->on == ON_X)
        n->on = ON_AGENT; /* the constructors for canonical fields */
    n->quoted = below(2);
    choose_text(n);
    if (n->test == T_PART && !n->s[0])
        n->s[0] = 'e', n->s[1] = 0;
    if (n->test == T_REGEX) {
        for (char *p = n->s; *p; p++)
            if (!letter(*p) && *p != ' ')
                *p = ' ';
        if (!n->s[0] || below(2)) {
            memmove(n->s + 1, n->s, strlen(n->s) + 1);
            n->s[0] = '^';
        }
    }
    n->lo = ANY(numbers);
    n->hi = n->lo + below(8);
    n->slo = ANY(texts);
    n->shi = ANY(texts);
    n->lo_in = below(2);
    n->hi_in = below(2);
    n->lo_open = below(3) == 0;
    n->hi_open = below(3) == 0 && !(n->test == T_BYTES && n->lo_open); /* [* TO *] is of numbers */
    n->levels = below(1u << LV__COUNT);
    n->from = KIT_T0 + (ts_ns)below(BATCHES * 1000) * NS_PER_S;
    n->to = n->from + (ts_ns)below(4000) * NS_PER_S;
    if (n->test == T_SEQ) { /* often at the edge of a block */
        n->from = below(2) ? below(ROWS) : PER_BATCH * below(BATCHES) + below(2);
        n->to = below(2) ? n->from + below(ROWS) : PER_BATCH * below(BATCHES) + below(2);
    }
}

static struct node *any_node(struct arena *a, uint32_t depth)
{
    struct node *n = arena_zalloc(a, sizeof *n);
    assert_non_null(n);
    uint32_t k = depth ? below(7) : 6;
    if (k >= 4) {
        choose_leaf(n);
        return n;
    }
    n->test = k == 0 ? N_NOT : k < 3 ? N_AND : N_OR;
    n->nkids = k == 0 ? 1 : 2 + below(2);
    for (uint32_t i = 0; i < n->nkids; i++)
        n->kid[i] = any_node(a, depth - 1);
    return n;
}

static struct fieldref ref_of(struct arena *a, enum where on)
{
    struct fieldref f;
    str name = on == ON_X ? STR("x") : on == ON_AGENT ? STR("agent") : STR("message");
    assert_true(fieldref_make(a, name, false, &f));
    return f;
}

static struct pred_bound number_bound(double d, bool open, bool inclusive)
{
    bool whole = d == (double)(int64_t)d;
    return (struct pred_bound){
        .open = open, .inclusive = inclusive, .integral = whole, .i = whole ? (int64_t)d : 0, .d = d
    };
}

static struct pred_bound text_bound(const char *s, bool open, bool inclusive)
{
    return (
        struct pred_bound){ .open = open, .inclusive = inclusive, .text = !open, .s = str_c(s) };
}

static struct pred *word_leaf(struct arena *a, const struct node *n, const struct fieldref *f)
{
    struct err err = ERR_INIT;
    struct pred *p;
    str *part = arena_array(a, 2, sizeof *part);
    struct pred_value v = { .part = part,
                            .nparts = n->test == T_PREFIX ? 2 : 1,
                            .quoted = n->test == T_PHRASE || (n->test == T_MATCH && n->quoted) };
    part[0] = str_c(n->s);
    part[1] = STR("");
    if (n->test == T_MATCH) {
        assert_int_equal(pred_match(&p, a, f, &v, &err), 0);
        return p;
    }
    struct fieldref *own = arena_alloc(a, sizeof *own);
    assert_non_null(own);
    *own = *f;
    assert_int_equal(pred_words(&p, a, &(struct pred_scope){ .fields = own, .n = 1 }, &v, &err), 0);
    return p;
}

static struct pred *leaf(struct arena *a, const struct node *n)
{
    struct fieldref f = ref_of(a, n->on);
    enum field field = n->on == ON_AGENT ? F_AGENT : F_MESSAGE;
    struct pred_bound lo, hi;
    struct err err = ERR_INIT;
    struct pred *p = NULL;
    switch (n->test) {
    case T_EQ: return pred_equal(a, &f, str_c(n->s), n->quoted);
    case T_PART: return pred_substr(a, field, str_c(n->s), true);
    case T_BEGINS: return pred_affix(a, &f, str_c(n->s), true, n->quoted);
    case T_ENDS: return pred_affix(a, &f, str_c(n->s), false, true);
    case T_IN: return pred_in(a, &f, (str[]){ str_c(n->s), str_c(n->slo), str_c(n->shi) }, 3);
    case T_GLOB: return pred_glob(a, field, str_c(n->s));
    case T_RANGE:
        lo = number_bound(n->lo, n->lo_open, n->lo_in);
        hi = number_bound(n->hi, n->hi_open, n->hi_in);
        return pred_range(a, &f, &lo, &hi);
    case T_BYTES:
        lo = text_bound(n->slo, n->lo_open, n->lo_in);
        hi = text_bound(n->shi, n->hi_open, n->hi_in);
        return pred_range(a, &f, &lo, &hi);
    case T_EXISTS: return pred_exists(a, &f);
    case T_LEVELS: return pred_levels(a, n->levels);
    case T_TIME: return pred_time(a, n->from, n->to);
    case T_SEQ:
        return pred_seq_range(a, (uint64_t)n->from, (uint64_t)n->to); /* empty when from > to */
    case T_REGEX:
        assert_int_equal(pred_regex(&p, a, field, str_c(n->s), STR_NULL, &err), 0);
        return p;
    default: return word_leaf(a, n, &f);
    }
}

static struct pred *make(struct arena *a, const struct node *n)
{
    struct pred *kids[3];
    if (n->test < T__COUNT)
        return leaf(a, n);
    for (uint32_t i = 0; i < n->nkids; i++)
        kids[i] = make(a, n->kid[i]);
    return n->test == N_NOT   ? pred_not(a, kids[0])
           : n->test == N_AND ? pred_all(a, kids, n->nkids)
                              : pred_any(a, kids, n->nkids);
}

/* ---- comparing ---- */

static uint64_t scan(struct store *s, const struct pred *p, bool no_prune, uint8_t *seen)
{
    struct scan_plan plan = { .filter = p, .no_prune = no_prune };
    struct scan *sc;
    struct scan_block sb;
    struct val v;
    struct err err = ERR_INIT;
    int rc;
    memset(seen, 0, ROWS);
    assert_int_equal(store_scan(s, &plan, &sc, &err), 0);
    while ((rc = scan_next(sc, &sb, &err)) == 0) {
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            assert_int_equal(block_get_field(sb.block, (uint32_t)i, F_SEQ, &v, &err), 0);
            assert_true(v.i >= 1 && v.i <= ROWS);
            seen[v.i - 1]++;
        }
    }
    assert_int_equal(rc, 1);
    const struct scan_cost *c = scan_get_cost(sc);
    uint64_t pruned = c->blocks_pruned + c->segments_pruned;
    scan_close(sc);
    return pruned;
}

static void compare(struct store *s, uint64_t tree, uint64_t *pruned)
{
    static uint8_t with[ROWS], without[ROWS];
    struct arena a;
    struct buf text;
    seed = tree;
    arena_init(&a, 1u << 22);
    struct node *n = any_node(&a, tree % (DEPTH + 1));
    struct pred *p = make(&a, n);
    assert_non_null(p);
    *pruned += scan(s, p, false, with);
    scan(s, p, true, without);
    buf_init(&text, 1u << 20);
    pred_put_text(&text, p);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint8_t want = naive(n, &rows[i]);
        if (with[i] == want && without[i] == want)
            continue;
        struct buf x;
        buf_init(&x, 4096);
        put_json(&x, &rows[i].x);
        fail_msg("tree %llu: %.*s\n row %u: agent %s message '%s' level %d x %s%.*s\n"
                 " naive %d, pruned %d, not pruned %d",
                 (unsigned long long)tree, STR_FMT(buf_str(&text)), i,
                 rows[i].agent ? rows[i].agent : "(none)", rows[i].message, rows[i].level,
                 rows[i].x.kind == NOTHING ? "(none) " : "", STR_FMT(buf_str(&x)), want, with[i],
                 without[i]);
    }
    buf_deinit(&text);
    arena_deinit(&a);
}

static void test_random(void **state)
{
    struct io *io;
    struct arena keep;
    struct err err = ERR_INIT;
    uint64_t pruned = 0;
    (void)state;
    arena_init(&keep, 1u << 26);
    assert_int_equal(io_mem_new(&io, 1, &err), 0);
    struct store *s = kit_open(io, 24u << 20);
    seed = 42;
    for (uint32_t k = 0; k < BATCHES; k++) {
        append(s, &keep, k);
        if (k < SEGMENTS) /* the rest stays in memory */
            assert_int_equal(store_flush(s, &err), 0);
    }
    for (uint64_t tree = 0; tree < TREES; tree++)
        compare(s, tree, &pruned);
    assert_true(pruned > TREES); /* else nothing was judged */
    assert_int_equal(store_flush(s, &err), 0);
    assert_int_equal(store_merge(s, &err), 0);
    for (uint64_t tree = TREES; tree < TREES + TREES / 3; tree++)
        compare(s, tree, &pruned);
    store_close(s);
    io_free(io);
    arena_deinit(&keep);
}

/* ---- ids the server made ---- */

static uint32_t find_none(void *ctx, const struct fieldref *f, struct col_stats *ret, uint32_t max)
{
    (void)ctx;
    (void)f;
    (void)ret;
    (void)max;
    return 0;
}

static void test_made_ids(void **state)
{
    const struct id_gen gen = { { 3, 4 } }, other = { { 5, 6 } };
    struct block_stats st = { .n = 10,
                              .t_min = KIT_T0,
                              .t_max = KIT_T0,
                              .seq_min = 100,
                              .seq_max = 109,
                              .level_mask = UINT32_MAX,
                              .find = find_none,
                              .ids = &gen };
    struct arena a;
    char id[ID_TEXT];
    (void)state;
    arena_init(&a, 1u << 16);
    for (uint64_t seq = 90; seq < 120; seq++) {
        bool inside = seq >= 100 && seq <= 109;
        id_make(&gen, KIT_T0, seq, id);
        struct pred *p = pred_eq(&a, F_ID, str_n(id, ID_TEXT));
        assert_non_null(p);
        assert_int_equal(pred_prune(p, &st), inside ? PRUNE_MAYBE : PRUNE_NONE_MATCH);
        assert_int_equal(pred_prune(pred_not(&a, p), &st), PRUNE_MAYBE);
        st.ids = NULL; /* then nothing can be said */
        assert_int_equal(pred_prune(p, &st), PRUNE_MAYBE);
        st.ids = &gen;
        id_make(&other, KIT_T0, seq, id);
        p = pred_eq(&a, F_ID, str_n(id, ID_TEXT));
        assert_non_null(p);
        assert_int_equal(pred_prune(p, &st), PRUNE_NONE_MATCH);
    }
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_made_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
