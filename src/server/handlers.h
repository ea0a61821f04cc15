/* handlers.h: one function a route; each answers its call exactly once, now or later. */
#ifndef FL_SERVER_HANDLERS_H
#define FL_SERVER_HANDLERS_H

struct call;

/* native_ingest.c native_query.c native_tail.c native_fields.c native_entries.c */
void native_ingest(struct call *c);
void native_query(struct call *c);
void native_patterns(struct call *c);
void native_anomalies(struct call *c);
void native_complete(struct call *c); /* native_complete.c */
void native_tail_sse(struct call *c);
void native_tail_ws(struct call *c);
void native_tail_poll(struct call *c);
void native_timeline(struct call *c);
void native_fields(struct call *c);
void native_values(struct call *c);
void native_templates(struct call *c); /* native_templates.c */
void native_entry(struct call *c);
void native_context(struct call *c);
void native_resolve(struct call *c);
/* native_traces.c */
void native_traces(struct call *c);
void native_trace(struct call *c);
void native_sessions(struct call *c);
void native_session(struct call *c);
void native_cost(struct call *c);
void native_agent(struct call *c);
/* native_issues.c */
void native_report(struct call *c); /* native_report.c */
void native_issues(struct call *c);
void native_issue(struct call *c);
void native_issue_change(struct call *c);
void native_issues_change(struct call *c);
/* auth.c keys.c */
void native_ticket(struct call *c);
void keys_list(struct call *c);
void keys_create(struct call *c);
void keys_get(struct call *c);
void keys_delete(struct call *c);
/* alert_api.c */
void alerts_api_list(struct call *c);
void alerts_api_create(struct call *c);
void alerts_api_history(struct call *c);
void alerts_api_get(struct call *c);
void alerts_api_put(struct call *c);
void alerts_api_patch(struct call *c);
void alerts_api_delete(struct call *c);
void alerts_api_test(struct call *c);
void alerts_api_snooze(struct call *c);
/* saved_api.c */
void saved_list(struct call *c);
void saved_create(struct call *c);
void saved_get(struct call *c);
void saved_put(struct call *c);
void saved_delete(struct call *c);
void dashboards_list(struct call *c);
void dashboards_create(struct call *c);
void dashboards_get(struct call *c);
void dashboards_put(struct call *c);
void dashboards_delete(struct call *c);
/* fleet.c */
void fleet_ingest(struct call *c);
void fleet_search(struct call *c);
void fleet_agents(struct call *c);
void fleet_stats(struct call *c);
void fleet_trace(struct call *c);
void fleet_tail(struct call *c);
void fleet_prune(struct call *c);
/* mals.c mals_summary.c */
void mals_log(struct call *c);
void mals_batch(struct call *c);
void mals_list(struct call *c);
void mals_summary(struct call *c);
void mals_agents(struct call *c);
void mals_resolve(struct call *c);
void mals_resolve_batch(struct call *c);
/* guide.c hooks.c */
void guide_log(struct call *c);
void guide_ws(struct call *c);
void hook_event(struct call *c);
void hook_recent(struct call *c);
void hook_options(struct call *c);
void hook_stream(struct call *c);
/* ops.c */
void ops_root(struct call *c);
void ops_health(struct call *c);
void ops_ready(struct call *c);
void ops_metrics(struct call *c);
void ops_status(struct call *c);
void ops_integrity(struct call *c);
void ops_openapi(struct call *c);

#endif
