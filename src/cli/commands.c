/* commands.c: the table of commands, and the options every one of them takes. */
#include "cli/commands.h"

const struct command *const cli_commands[] = {
    &cmd_serve,    &cmd_demo,      &cmd_ingest, &cmd_search,     &cmd_shell,   &cmd_tail,
    &cmd_stats,    &cmd_agents,    &cmd_trace,  &cmd_sessions,   &cmd_cost,    &cmd_issues,
    &cmd_patterns, &cmd_anomalies, &cmd_report, &cmd_export,     &cmd_resolve, &cmd_prune,
    &cmd_keys,     &cmd_alerts,    &cmd_saved,  &cmd_dashboards, &cmd_verify,  &cmd_inspect,
    &cmd_onboard,  &cmd_routes,    &cmd_man,    &cmd_completion, &cmd_version, NULL,
};

const struct opt cli_globals[] = {
    { .name = "url",
      .letter = 'u',
      .type = OPT_TEXT,
      .arg = "URL",
      .help = "talk to this server (or FLEETLOG_URL)" },
    { .name = "data-dir",
      .alias = "log-dir",
      .letter = 'D',
      .type = OPT_DIR,
      .arg = "DIR",
      .help = "the data directory (or FLEETLOG_DATA_DIR); without a server it is read as it "
              "stands" },
    { .name = "key-file",
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "file that holds the API key (or FLEETLOG_API_KEY, the key itself)" },
    { .name = "ca-file",
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "trust the certificate in this PEM file for https" },
    { .name = "color",
      .type = OPT_CHOICE,
      .arg = "WHEN",
      .def = "auto",
      .choices = "auto|always|never",
      .help = "colours" },
    { .name = "retention",
      .type = OPT_DUR,
      .arg = "AGE",
      .unit = NS_PER_DAY,
      .help = "delete entries this long after receipt, as 30d; a bare number is days (for serve "
              "and onboard)" },
    { .name = "help", .letter = 'h', .type = OPT_FLAG, .help = "this text" },
    { .name = "version", .type = OPT_FLAG, .help = "print the version (before a command)" },
    { .name = NULL },
};
