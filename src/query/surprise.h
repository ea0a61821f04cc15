/* surprise.h: how unlikely is a count, given those before it; how far out is a value of its like.
 *
 * Counts. The past of a series gives its mean and variance; the next count is held against the
 * negative binomial distribution with these moments (a Poisson one where the variance is not above
 * the mean), as in outbreak detection: Farrington et al., J. R. Stat. Soc. A 159 (1996); Noufaily
 * et al., Statistics in Medicine 32 (2013). The variance also covers how well a mean of n counts is
 * known. A count far above what was expected enters the past cut to three standard deviations
 * above, so that one spike does not hide the next.
 *
 * Values. The modified z-score of the logarithm: 0.6745 (x - median) / MAD, outlying past 3.5:
 * Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993).
 *
 * Pure arithmetic. */
#ifndef FL_QUERY_SURPRISE_H
#define FL_QUERY_SURPRISE_H

#include <stdbool.h>
#include <stdint.h>

#define SURPRISE_PAST_MIN 12  /* counts there must be before one is judged */
#define SURPRISE_SCORE_MIN 4  /* -log10 of the probability: one in ten thousand */
#define SURPRISE_SCORE_MAX 99 /* what is less likely still counts as this */
#define OUTLIER_Z_MIN 3.5
#define OUTLIER_MAD_MIN 0.05 /* of logarithms: 5 %; closer values are all alike */

struct counts_past {
    uint32_t n;
    double sum, sum2;
};
/* what the next count is expected to be; *ret_var its variance, above it */
double counts_expect(const struct counts_past *p, double *ret_var);
/* -log10 of the probability of x or more */
double counts_score(const struct counts_past *p, double x);
/* -log10 of the probability of `steps` empty ones in a row */
double counts_silence(const struct counts_past *p, double steps);
void counts_add(struct counts_past *p, double x);

/* the upper tail P(X >= x) of a negative binomial with that mean and variance, as -log10 */
double negbin_tail(double mean, double var, double x);
double outlier_z(double x, double median, double mad);

#endif
