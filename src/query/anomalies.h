/* anomalies.h: what pipe_anomalies.c collects and anomalies.c judges. */
#ifndef FL_QUERY_ANOMALIES_H
#define FL_QUERY_ANOMALIES_H

#include "query/group.h"
#include "query/tally.h"
#include "query/tmplmap.h"

#define ANOMALIES_DEFAULT 20     /* rows of a kind and rule */
#define ANOMALY_STEPS 360        /* at most, of a series, unless a step is asked for */
#define ANOMALY_STEPS_MAX 100000 /* then */
#define ANOMALY_SLOWEST 5        /* rows of one tool or model */
/* rule seed4 */
#define SEED4_ERRORS 10 /* a minute, above which it is a spike */
#define SEED4_KINDS 5   /* different error texts, above which there is variety */
#define SEED4_RARE 2    /* messages of a pattern, up to which it is rare */

enum {
    AC_KIND,
    AC_WHAT,
    AC_TIME,
    AC_OBSERVED,
    AC_EXPECTED,
    AC_SCORE,
    AC_RULE,
    AC_EXAMPLE,
    AC__COUNT
};
enum { AR_LEVEL, AR_TIME, AR_SEQ, AR_MESSAGE, AR_TEXT, AR_DURATION, AR_TOOL, AR_MODEL, AR__COUNT };

struct anomalies_args {
    uint64_t most; /* rows of a kind and rule */
    int64_t step;  /* 0: chosen */
    struct group_key key;
    str name; /* of the key */
    struct fieldref ref[AR__COUNT];
};

struct series {
    ts_ns last, last_error;
    uint64_t last_seq, error_seq; /* of these; UINT64_MAX: none */
    uint64_t n;
};
struct message {
    uint64_t n, seq;
    ts_ns first;
};
struct slowest { /* of one tool or model: the longest, falling */
    uint32_t n;
    double ms[ANOMALY_SLOWEST];
    uint64_t seq[ANOMALY_SLOWEST];
    ts_ns at[ANOMALY_SLOWEST];
};

struct anomalies_op {
    struct op op;
    bool grouping;
    struct grouper g; /* the series */
    struct series *series;
    uint32_t nseries;
    struct tmpl_map m;
    struct message *messages; /* by number of the template - 1 */
    uint32_t nmessages, messages_cap;
    uint64_t with_message;
    unsigned rung;
    ts_ns min, max;
    struct tally steps;    /* (step, series): entries, errors */
    struct tally minutes;  /* (minute, series): entries of level error exactly */
    struct tally kinds;    /* (step, series, template): errors */
    struct tally texts;    /* (hash of an error's text, series) */
    struct tally bins;     /* (logarithm of a duration, what * 2 + is it a model) */
    struct intern what[2]; /* tools, models */
    struct slowest *slow[2];
    uint32_t nslow[2];
    size_t told; /* of bytes, in run->kept_bytes */
};
#define ANOMALY_BINS 50 /* an e-fold: 2 % each */

int64_t anomalies_step(const struct anomalies_op *x);
int anomalies_coarser(struct anomalies_op *x, struct err *err);
int anomalies_judge(struct anomalies_op *x, struct err *err); /* hands the rows on */

#endif
