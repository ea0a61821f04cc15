/* hint.c: "did you mean ...?" by edit distance. */
#include "query/internal.h"

#define WORD_MAX 32

/* edit distance with neighbours swapped counting once; both at most WORD_MAX long */
static unsigned distance(str a, str b)
{
    unsigned row[3][WORD_MAX + 1];
    unsigned *before = row[0], *prev = row[1], *cur = row[2];
    for (unsigned j = 0; j <= b.n; j++)
        prev[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        cur[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned d = prev[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            d = prev[j] + 1 < d ? prev[j] + 1 : d;
            d = cur[j - 1] + 1 < d ? cur[j - 1] + 1 : d;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            cur[j] = d;
        }
        unsigned *spare = before;
        before = prev;
        prev = cur;
        cur = spare;
    }
    return prev[b.n];
}

const char *near_word(str word, const char *const *words, uint32_t n)
{
    const char *best = NULL;
    unsigned best_d = 3;
    for (uint32_t i = 0; i < n && word.n && word.n <= WORD_MAX; i++) {
        str w = str_c(words[i]);
        size_t apart = w.n > word.n ? w.n - word.n : word.n - w.n;
        unsigned d = w.n > WORD_MAX || apart >= best_d ? 99 : distance(word, w);
        if (d < best_d && d * 2 < word.n + 1) {
            best = words[i];
            best_d = d;
        }
    }
    return best;
}

void parse_hint_near(struct parser *p, str word, const char *const *words, uint32_t n)
{
    const char *best = near_word(word, words, n);
    if (best)
        err_hint(p->err, "did you mean %s?", best);
}
