/* demo.h: a play for a fleet of agents: beats in time, and who writes them.
 *
 * A beat is one entry (or one resolve) at a moment of the play's own clock. Writers (the invented
 * fleet, replayed trajectories) add beats ahead of time; the player sends each when its moment
 * comes. With one seed the same play is written, word for word. */
#ifndef FL_CLI_DEMO_H
#define FL_CLI_DEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct beat {
    int64_t at_ms;    /* of the play's clock: when it is sent */
    int64_t stamp_ms; /* the time it bears */
    uint64_t order;   /* among equals */
    char *text;     /* JSON object without its closing brace and timestamp; mem_alloc. NULL: resolve
                       the newest open error */
    char label[64]; /* what a status line shows */
};

struct play {
    struct beat *heap; /* earliest first */
    uint32_t n, cap;
    uint64_t order;
    uint64_t rng;
    int64_t speed;         /* durations are told in the time that really passes */
    uint32_t contexts[16]; /* tokens in the long sessions */
    bool nomem;
};
void play_init(struct play *p, uint64_t seed);
void play_deinit(struct play *p);
/* takes text (mem_alloc or NULL) */
void play_add(struct play *p, int64_t at_ms, int64_t stamp_ms, char *text, const char *label);
const struct beat *play_first(const struct play *p); /* NULL when empty */
struct beat play_take(struct play *p);               /* the caller frees text */

uint32_t play_rand(struct play *p, uint32_t below);
int64_t play_between(struct play *p, int64_t lo, int64_t hi);
bool play_chance(struct play *p, uint32_t percent);

/* ---- writing one entry ---- */
struct line {
    struct play *p;
    struct buf b;
    char label[64];
};
void line_begin(struct line *l, struct play *p, const char *agent, const char *level,
                const char *message);
void line_str(struct line *l, const char *key, const char *value); /* left out when NULL or "" */
void line_text(struct line *l, const char *key, str value);
void line_num(struct line *l, const char *key, double value);
void line_raw(struct line *l, const char *key, str json);
void line_end(struct line *l, int64_t at_ms);
/* sent at at_ms, but bearing another time: a span that is told of when it is over */
void line_end_late(struct line *l, int64_t at_ms, int64_t stamp_ms);
void hex_id(struct play *p, char *out, int digits); /* out has digits + 1 bytes */

/* One mission of the invented fleet, beginning at at_ms; about 40 beats over some 30 s. */
void cast_mission(struct play *p, int64_t at_ms);

/* Reads a file of trajectories (tau-bench or intercode JSON, SWE-agent .traj, Claude Code
 * transcript lines; .gz and .zst too) and adds its runs, several at a time, from at_ms on.
 * *ret_end: when the last beat is. ERR_INVALID: none of these. */
int replay_file(struct play *p, const char *path, int64_t at_ms, int64_t *ret_end,
                uint32_t *ret_runs, struct err *err);

#endif
