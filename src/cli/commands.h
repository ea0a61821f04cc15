/* commands.h: every command, one object a file. */
#ifndef FL_CLI_COMMANDS_H
#define FL_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command cmd_serve, cmd_ingest, cmd_search, cmd_shell, cmd_tail, cmd_stats,
    cmd_agents, cmd_trace, cmd_sessions, cmd_cost, cmd_patterns, cmd_anomalies, cmd_report,
    cmd_issues, cmd_export, cmd_resolve, cmd_prune, cmd_onboard, cmd_verify, cmd_inspect, cmd_keys,
    cmd_alerts, cmd_saved, cmd_dashboards, cmd_demo, cmd_version, cmd_completion, cmd_man,
    cmd_routes;

#endif
