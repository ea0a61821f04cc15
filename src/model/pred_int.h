/* pred_int.h: the inside of a struct pred, shared by the pred_*.c files and nobody else.
 *
 * A leaf is a test with one part a stored type: numbers fall in an interval, booleans are named by
 * two bits, strings go through one of the S_ tests. A JSON value matches when a scalar inside it
 * does, by that scalar's own type. So `port:80`, `port=80` and `port>79` differ only in their
 * parts. */
#ifndef FL_MODEL_PRED_INT_H
#define FL_MODEL_PRED_INT_H

#include "base/buf.h"
#include "codec/gram.h"
#include "model/block.h"
#include "model/pred.h"
#include "model/pred_leaf.h"

enum pred_kind { P_TRUE, P_FALSE, P_AND, P_OR, P_NOT, P_TEST, P_EXISTS, P_LEVEL, P_RESOLVED };

/* how strings are tested */
enum str_test {
    S_NONE,  /* no string matches */
    S_EQ,    /* is s */
    S_IN,    /* is one of part, which rise by bytes */
    S_GLOB,  /* parts in order, '*' between them */
    S_WORDS, /* struct textpat: words, phrases, prefixes, substrings */
    S_REGEX,
    S_BYTES,  /* slo <= value <= shi by bytes */
    S_NUMBER, /* wholly a JSON number inside the interval */
    S_IP
};

/* Closed intervals for both number types; empty when lo > hi. */
struct num_range {
    int64_t ilo, ihi;
    double dlo, dhi;
};

/* A byte string to look for. */
struct needle {
    str bytes; /* folded when fold */
    bool fold;
    bool ascii;      /* bytes are all ASCII */
    bool whole_fold; /* no byte can anchor the search: fold the text first */
    size_t at1, at2; /* the two bytes probed first */
};

enum char_class { CC_SEP, CC_ASCII, CC_OTHER, CC_CJK };

/* A run of characters of one class in a phrase. */
struct text_unit {
    str bytes; /* folded */
    enum char_class cls;
};

/* Words side by side. A hit is where needle stands, with a change of character class before it
 * (left) and behind it (right); for a phrase the needle is units[hit] and its neighbours are
 * checked around it. */
struct textpat {
    struct needle needle;
    bool left, right;
    bool at_start, at_end;       /* only where the text begins (ends) */
    enum char_class first, last; /* of the needle */
    struct text_unit *units;     /* NULL: the needle is everything */
    uint32_t nunits, hit;
    uint64_t *tokens; /* token_hash of what any matching text must contain */
    uint32_t ntokens;
    struct text_keys keys; /* what the indexes are asked; S_EQ and S_GLOB have them here, too */
};

struct regex; /* pred_regex.c */

struct test {
    bool num; /* numbers inside range match */
    struct num_range range;
    str num_text;  /* equality with a number no int64 and no double keeps */
    uint8_t bools; /* bit 0: false matches, bit 1: true matches */
    enum str_test st;
    str s;           /* S_EQ; the source text for printing otherwise */
    const str *part; /* S_GLOB, S_IN */
    uint32_t nparts;
    struct textpat pat; /* S_WORDS; S_REGEX: a literal that must occur (needle.bytes.n > 0) */
    struct regex *re;
    struct pred_bound slo, shi; /* S_BYTES, and the bounds as written for printing */
    uint8_t ip[16];
    uint8_t ip_bits; /* of 128 */
    bool ip_v4;
    const char *word; /* operator for pred_put_text */
};

struct pred {
    enum pred_kind kind;
    uint32_t cost; /* rough, per row; kids stand in rising cost */
    int64_t pos;
    struct pred **kids;
    uint32_t nkids;
    struct pred_scope scope;
    uint32_t levels;
    bool resolved;
    const struct pred_calc
        *calc; /* of P_TEST, P_EXISTS: the values are computed, not the scope's */
    struct test test;
};

struct pred_run {
    uint64_t **maps; /* stack of scratch bitmaps, BLOCK_WORDS words each */
    uint32_t nmaps, used;
    struct buf fold;   /* folded text of a column */
    struct buf leaf;   /* one unescaped string of a JSON value */
    struct buf inside; /* what lies inside an array, as JSON */
    uint64_t gave_up;
    void *match_data, *match_ctx, *jit_stack; /* PCRE2 */
    void *group_data;                         /* with room for every group */
    const volatile int *cancel;
};

bool is_mark_field(enum field f);

/* ---- pred_run.c: scratch ---- */
/* a bitmap of BLOCK_WORDS words, contents undefined; NULL = out of memory */
uint64_t *run_map(struct pred_run *r);
void run_map_done(struct pred_run *r, uint32_t n); /* the n last ones */

/* ---- pred_text.c ---- */
enum char_class char_class(uint32_t cp);
/* Compiles s; folded copies come from the arena. */
bool needle_init(struct needle *nd, struct arena *a, str s, bool fold);
/* first hit at or after from in p[0..n), SIZE_MAX when none; nd->whole_fold text is folded already
 */
size_t needle_find(const struct needle *nd, const char *p, size_t from, size_t n);
bool textpat_word(struct textpat *p, struct arena *a, str word, bool left, bool right);
bool textpat_phrase(struct textpat *p, struct arena *a, str phrase, bool right);
bool textpat_substr(struct textpat *p, struct arena *a, str part, bool fold);
/* folded; how the text begins, how it ends, or all of it */
bool textpat_affix(struct textpat *p, struct arena *a, str part, bool start, bool end);
bool textpat_in(const struct textpat *p, str text, struct pred_run *r, struct err *err, int *rc);

/* n values side by side; want = those asked for (NULL = all) */
struct text_vec {
    uint32_t n;
    const uint32_t *off;
    const char *bytes;
    const uint64_t *want;
};
/* out: bits of matching values, exact for wanted ones, 0 elsewhere */
int textpat_scan(const struct textpat *p, const struct text_vec *t, uint64_t *out,
                 struct pred_run *r, struct err *err);

/* ---- pred_value.c: one value at a time ---- */
int test_str(const struct pred *p, str s, uint32_t weight, struct pred_run *r, bool *ret,
             struct err *err);
int str_qsort(const void *a, const void *b); /* of two str, by bytes */
bool test_i64(const struct test *t, int64_t v);
bool test_f64(const struct test *t, double v);
bool test_num_text(const struct test *t, str s);
/* appends the text that stands between the quotes of a JSON string */
int text_unescape(struct buf *out, str raw, struct err *err);
/* a JSON value: does any scalar in it match? */
int test_json(const struct pred *p, str json, struct pred_run *r, bool *ret, struct err *err);
/* the same of what lies at `way` inside of it (inside.h) */
int test_inside(const struct pred *p, const struct fieldref *f, str json, str way,
                struct pred_run *r, bool *ret, struct err *err);
/* An object of the column rest: does a member that belongs to f (NULL: any attribute) pass? */
int test_rest(const struct pred *p, const struct fieldref *f, str object, struct pred_run *r,
              bool *ret, struct err *err);
bool glob_match(const str *part, uint32_t nparts, str s);
bool ip_parse(str s, uint8_t out[16], bool *ret_v4);

/* ---- pred_calc.c ---- */
/* are all values the computation reads texts in this block, so that calc->texts says the same? */
bool calc_of_texts(const struct pred_calc *c, const struct block *b);
/* out: rows of sel whose computed value passes */
int eval_calc(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
              struct pred_run *r, struct err *err);

/* ---- pred_col.c ---- */
/* out: rows of want (not NULL) whose value in this column passes */
int test_column(const struct pred *p, const struct colv *c, const uint64_t *want, uint64_t *out,
                struct pred_run *r, struct err *err);

/* ---- pred_regex.c ---- */
int regex_new(struct regex **ret, struct arena *a, str pattern, str flags, struct textpat *literal,
              struct err *err);
/* weight: rows this value stands for, counted when the match limit is met */
int regex_match(const struct pred *p, str s, uint32_t weight, struct pred_run *r, bool *ret,
                struct err *err);
int regex_run_prepare(struct pred_run *r, struct err *err);
void regex_run_free(struct pred_run *r);

/* ---- pred_num.c ---- */
struct num_range range_all(void);
void range_low(struct num_range *r, const struct pred_bound *b);
void range_high(struct num_range *r, const struct pred_bound *b);

#endif
