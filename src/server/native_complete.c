/* native_complete.c: GET and POST /api/v1/complete: what may stand at a place of a query. */
#include "codec/json.h"
#include "query/complete.h"
#include "server/handlers.h"
#include "server/internal.h"

struct request {
    str q;
    struct complete_opts o;
};

static int run_complete(struct job *j, struct err *err)
{
    struct request *r = j->args;
    struct completion c;
    struct pred *also = NULL;
    int rc = j->c->who->agent[0] ? job_filter(j, NULL, &also, err) : 0;
    if (rc < 0)
        return rc;
    r->o.q.also = also;
    r->o.cancel = &j->ctl.cancel;
    rc = query_complete(j->s->store, r->q, &r->o, &j->arena, &c, err);
    if (rc == 0)
        completion_json(&j->out, &c);
    return rc;
}

static bool params(struct call *c, struct request *r)
{
    uint64_t cursor = UINT64_MAX, limit = 0;
    query_opts_default(&r->o.q);
    r->o.q.now = server_now(c->s);
    param_str(c, "q", &r->q);
    if (!param_u64(c, "cursor", 0, INT64_MAX, &cursor) ||
        !param_u64(c, "limit", 1, COMPLETE_LIMIT_MAX, &limit) ||
        !param_time(c, "start", &r->o.q.start) || !param_time(c, "end", &r->o.q.end))
        return false;
    r->o.cursor = cursor > SIZE_MAX ? SIZE_MAX : (size_t)cursor;
    r->o.limit = (uint32_t)limit;
    return true;
}

void native_complete(struct call *c)
{
    struct request *r = arena_zalloc(c->req->arena, sizeof *r);
    struct err err = ERR_INIT;
    struct jobject body;
    int rc = r ? 0 : err_nomem(&err);
    if (rc == 0 && c->req->method == HTTP_POST && c->req->body.n) {
        rc = jobject_parse(&body, c->req->body, c->req->arena, &err);
        c->body = &body;
    }
    if (rc < 0) {
        reply_err(c, &err);
        return;
    }
    if (!params(c, r))
        return; /* answered: the call is gone */
    c->body = NULL;
    job_start(c, run_complete, r, 0);
}
