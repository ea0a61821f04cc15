/* rule.h: one alert rule, checked.
 *
 * A rule asks a query (or one of the server's own figures) about a window of time, again and again,
 * and has one instance a group. Everything lives in the arena it was read into. */
#ifndef FL_ALERT_RULE_H
#define FL_ALERT_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "alert/tree.h"
#include "base/time.h"

#define ALERT_RULES_MAX 1000
#define ALERT_NAME_MAX 64
#define ALERT_BY_MAX 4
#define ALERT_TARGETS_MAX 8
#define ALERT_LABELS_MAX 16
#define ALERT_ARGV_MAX 32
#define ALERT_GROUPS_DEFAULT 100
#define ALERT_GROUPS_MAX 1000
#define ALERT_QUERY_MAX (15 * 1024)

enum alert_condition {
    ALERT_ABOVE,     /* value > threshold */
    ALERT_BELOW,     /* value < threshold */
    ALERT_RISES,     /* by more than threshold percent against the window before */
    ALERT_FALLS,     /* likewise, down */
    ALERT_ABSENT,    /* nothing matched */
    ALERT_NEW_ISSUE, /* an error nobody has seen, or one that came back */
    ALERT_CONDITION__COUNT
};
extern const char *const alert_condition_names[ALERT_CONDITION__COUNT];

enum alert_metric {
    ALERT_METRIC_NONE,     /* the query */
    ALERT_METRIC_DISK,     /* percent of the data's file system that is free */
    ALERT_METRIC_REJECTED, /* percent of entries refused for what they are, in the window */
    ALERT_METRIC_STORED,   /* entries stored a second, in the window */
    ALERT_METRIC__COUNT
};
extern const char *const alert_metric_names[ALERT_METRIC__COUNT];

enum alert_severity { ALERT_INFO, ALERT_WARNING, ALERT_CRITICAL, ALERT_SEVERITY__COUNT };
extern const char *const alert_severity_names[ALERT_SEVERITY__COUNT];

enum alert_channel { ALERT_WEBHOOK, ALERT_COMMAND, ALERT_LOG };

#define ALERT_SECRET_SHOWN "***" /* in answers; sent back it keeps the secret */

struct alert_target {
    enum alert_channel channel;
    str url, secret; /* webhook; secret.n = 0: not signed */
    str secret_env;  /* files only: the environment variable that holds the secret */
    const str *argv; /* command */
    uint32_t nargv;
    int64_t timeout_ns; /* of one attempt */
};
struct alert_label {
    str name, value;
};

struct alert_rule {
    char name[ALERT_NAME_MAX + 1];
    str about, query, value;
    uint32_t query_line; /* of the document */
    enum alert_metric metric;
    str by[ALERT_BY_MAX];
    uint32_t nby;
    enum alert_condition condition;
    double threshold, clear; /* clear counts when has_clear */
    double at_least;         /* rises, falls: the larger of both values must reach it */
    bool has_clear, enabled;
    enum alert_severity severity;
    int64_t window_ns, every_ns, for_ns, keep_ns, repeat_ns, forget_ns, timeout_ns;
    uint32_t max_groups;
    struct alert_label labels[ALERT_LABELS_MAX];
    uint32_t nlabels;
    struct alert_target targets[ALERT_TARGETS_MAX];
    uint32_t ntargets;
};

bool alert_name_ok(str name);
/* does it look at a stretch of time? Not how things are now, nor what is new */
bool rule_has_window(const struct alert_rule *r);

/* One rule out of a map. name: the one it must have (its path); STR_NULL = the document says.
 * from_file: secret_env is allowed. `doc` must live as long as the rule. */
int rule_read(struct alert_rule *ret, const struct tree *doc, str name, bool from_file,
              struct arena *a, struct err *err);
/* A file: a map with `alerts`, or a list, or one rule. Names must differ. */
int rules_read(struct alert_rule **ret, uint32_t *ret_n, const struct tree *doc, bool from_file,
               struct arena *a, struct err *err);

enum rule_put_flag {
    RULE_SECRETS = 1, /* in clear; else as ALERT_SECRET_SHOWN */
    RULE_ENV = 2,     /* the name of the variable instead of the secret it held */
    RULE_OPEN = 4,    /* no closing brace: more members follow */
    RULE_BRIEF = 8    /* of targets only the host or the program: the rest may be a secret */
};
/* The canonical JSON object: what is stored (with secrets) and shown (without). */
void rule_put(struct buf *b, const struct alert_rule *r, int flags);
/* one target, as stored with a delivery (secrets included) and read again */
void target_put(struct buf *b, const struct alert_target *t, int flags);
int target_read(struct alert_target *ret, const struct tree *doc, bool from_file, struct arena *a,
                struct err *err);
/* "above 10", "no match for 15m": for people */
void condition_put(struct buf *b, const struct alert_rule *r);
/* "90s", "1h30m" exactly, as dur_parse reads a part of it: one unit, no fraction */
void duration_put(struct buf *b, int64_t ns);

#endif
