/* surprise.c: see surprise.h. Tails are summed term by term in logarithms: they are too small for a
 * complement. */
#include "query/surprise.h"

#include <math.h>

/* log P(X = k): negative binomial with size r and mean m; Poisson for r = infinity */
static double log_pmf(double m, double r, double k)
{
    int sign;
    double lk = lgamma_r(k + 1, &sign);
    if (isinf(r))
        return k * log(m) - m - lk;
    return lgamma_r(k + r, &sign) - lgamma_r(r, &sign) - lk + r * log(r / (r + m)) +
           k * log(m / (r + m));
}

double negbin_tail(double mean, double var, double x)
{
    double r = var > mean ? mean * mean / (var - mean) : INFINITY;
    if (x <= 0 || mean <= 0)
        return 0;
    if (x <= mean) { /* not surprising; the sum below would be long */
        return 0;
    }
    /* the terms fall from here on, at least as fast as a geometric series in the long run */
    double first = log_pmf(mean, r, x), sum = 1, term = 1;
    for (uint32_t i = 0; i < 100000 && term > sum * 1e-12; i++) {
        double k = x + i;
        double ratio = isinf(r) ? mean / (k + 1) : (k + r) / (k + 1) * mean / (r + mean);
        term *= ratio;
        sum += term;
    }
    double score = -(first + log(sum)) / log(10);
    return score < 0 ? 0 : score > SURPRISE_SCORE_MAX ? SURPRISE_SCORE_MAX : score;
}

double counts_expect(const struct counts_past *p, double *ret_var)
{
    double n = p->n ? p->n : 1;
    double mean = (p->sum + 0.5) / n; /* never quite 0: half a count more than was seen */
    double seen = p->sum / n, var = p->n > 1 ? (p->sum2 - p->sum * seen) / (n - 1) : 0;
    *ret_var = (var > mean ? var : mean) * (1 + 1 / n);
    return mean;
}

double counts_score(const struct counts_past *p, double x)
{
    double var, mean = counts_expect(p, &var);
    return negbin_tail(mean, var, x);
}

double counts_silence(const struct counts_past *p, double steps)
{
    double var, mean = counts_expect(p, &var);
    double r = mean * mean / (var - mean);
    double score = steps * r * log1p(mean / r) / log(10);
    return score > SURPRISE_SCORE_MAX ? SURPRISE_SCORE_MAX : score;
}

void counts_add(struct counts_past *p, double x)
{
    double var, mean = counts_expect(p, &var);
    double most = mean + 3 * sqrt(var);
    if (p->n >= SURPRISE_PAST_MIN && x > most)
        x = most;
    p->n++;
    p->sum += x;
    p->sum2 += x * x;
}

double outlier_z(double x, double median, double mad)
{
    return 0.6745 * (x - median) / (mad > OUTLIER_MAD_MIN ? mad : OUTLIER_MAD_MIN);
}
