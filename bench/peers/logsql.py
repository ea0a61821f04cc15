"""The 20 queries in VictoriaLogs' LogsQL, but Q04 (no row beside another) and Q05, Q07 (an object
is not given back as it came).

Its words hold '_' and are not folded, so tokens and phrases are regular expressions here, which it
scans for. {query: (columns, (LogsQL, keys, constants))}: keys name the fields of an answered row
in the order of the columns, constants stand for what every row has.
"""
from peers.sql import GTR, GTRE, P13, P15

OTHER = "[^0-9a-z\\x{80}-\\x{10FFFF}]"
ATTR = "payload.attr."
NEWEST = "_time desc, trace_id desc, observation_id desc"


def one_of(values):
    return "in(%s)" % ", ".join('"%s"' % v for v in values)


def matches(pattern, fields=("input", "output")):
    text = '"(?is)%s"' % pattern.replace("\\", "\\\\")
    return "(%s)" % " or ".join("%s:~%s" % (f, text) for f in fields)


def token(word):
    return matches("(^|%s)%s($|%s)" % (OTHER, word, OTHER))


def listing(where, columns, order, limit, constants=None):
    """rows; a column that is stored under another name is NAME=FIELD"""
    keys = [c.partition("=")[2] or c for c in columns.split()]
    names = [c.partition("=")[0] for c in columns.split()]
    wanted = [k for k in keys if k not in (constants or {})]
    text = "%s | sort by (%s)%s | fields %s" % (
        where, order, " limit %d" % limit if limit else "", ", ".join('"%s"' % k for k in wanted))
    return names, (text, keys, constants or {})


def grouping(where, by, stats, order, limit):
    """groups; by as the columns of listing(), stats as LogsQL names them; ties by the keys"""
    keys = [c.partition("=")[2] or c for c in by.split()]
    names = [c.partition("=")[0] for c in by.split()]
    made = [s.split()[-1] for s in stats.split(", ")]
    by_keys = ", ".join('"%s"' % k for k in keys)
    text = "%s | stats by (%s) %s | sort by (%s, %s) limit %d" % (where, by_keys, stats, order,
                                                                 by_keys, limit)
    return names + made, (text, keys + made, {})


def statements(p):
    mine = 'tenant:="%s"' % p["tenant"]
    slice_ = '%s app:="%s"' % (mine, p["app"])
    days = 'biz_date:string_range("%s", "%s~")' % (p["start_date"], p["end_date"])
    gtr, gtre = "type:" + one_of(GTR), "type:" + one_of(GTRE)
    open_ = "%s %s %s" % (token("unable"), token("open"), matches("unable to open"))
    when = "event_time=_time trace_id observation_id "
    avg, cost = "avg(latency_ms) avg_latency_ms", "sum(total_cost) total_cost"
    count = "count() observations"
    found = {"phrase_match": True, "text_score": 2}
    trace = 'trace_id:="%s"' % p["trace_id"]

    def attrs(*names):
        return " ".join("%s=%s%s" % (n, ATTR, n) for n in names)

    def equal(*names):
        return " ".join('"%s%s":="%s"' % (ATTR, n, p[n]) for n in names)

    return {
        "Q01": listing("%s %s type:in(GENERATION, TOOL) status:in(ok, error)" % (days, mine),
                       when + "seq_no type status model tool_name latency_ms",
                       "_time desc, seq_no desc", 50),
        "Q02": grouping(days, "trace_id", "min(_time) started_at, count() observation_count, "
                        "count() if (!status:=ok) failure_count, %s, "
                        "sum(latency_ms) total_latency_ms" % cost,
                        "total_cost desc, total_latency_ms desc", 50),
        "Q03": listing(trace, "trace_id seq_no type status model tool_name input output",
                       "seq_no", 0),
        "Q06": grouping("*", "type model", count + ", sum(input_tokens) input_tokens, "
                        "sum(output_tokens) output_tokens, %s, %s" % (cost, avg),
                        "total_cost desc, avg_latency_ms desc, observations desc, "
                        "input_tokens desc, output_tokens desc", 50),
        "Q08": listing("%s %s" % (mine, open_),
                       when + "type status input output phrase_match text_score", NEWEST, 50,
                       found),
        "Q09": grouping("type:=TOOL", "tool_name status", "%s, %s" % (count, avg),
                        "observations desc, avg_latency_ms desc", 50),
        "Q10": grouping("type:=GENERATION", "stop_reason=payload.provider.stop_reason "
                        "cache_hit=payload.provider.cache_hit", "%s, %s" % (count, avg),
                        "observations desc, avg_latency_ms desc", 50),
        "Q11": listing("%s %s %s" % (slice_, gtr, open_),
                       when + "type status tool_name latency_ms phrase_match text_score",
                       "latency_ms desc, " + NEWEST, 50, found),
        "Q12": grouping(gtr, attrs("release_ring", "customer_tier", "retrieval_strategy"),
                        "%s, %s, %s" % (count, avg, cost),
                        "observations desc, total_cost desc", 50),
        "Q13": (["observations", "traces", "last_event_time"], (
            "%s %s %s %s | stats %s, count_uniq(trace_id) traces, max(_time) last_event_time" % (
                days, mine, gtre, matches("|".join(P13)), count),
            ["observations", "traces", "last_event_time"], {})),
        "Q14": listing("%s type:in(GENERATION, TOOL, EVENT) (%s or %s)" % (
            slice_, matches("deployment|rollback"), matches("transient", ("output",))),
            when + "type status tool_name output", NEWEST, 50),
        "Q15": listing("%s %s %s" % (mine, gtre, matches("|".join(P15))),
                       when + "type status tool_name latency_ms", "latency_ms desc, " + NEWEST, 50),
        "Q16": listing("%s environment:=prod %s %s" % (
            mine, gtr, equal("release_ring", "customer_tier", "traffic_cluster")),
            when + "type status " + attrs("release_ring", "customer_tier", "traffic_cluster"),
            NEWEST, 50),
        "Q17": listing("%s %s" % (mine, equal("request_key", "workflow_variant")),
                       "trace_id observation_id seq_no type status "
                       + attrs("request_key", "workflow_variant"), "seq_no, observation_id", 100),
        "Q18": grouping("type:in(GENERATION, REASONING, TOOL)", attrs("prompt_template_version"),
                        "%s, count_uniq(trace_id) traces, %s, %s" % (count, avg, cost),
                        "observations desc, total_cost desc", 20),
        "Q19": grouping("%s %s" % (gtre, token("(error|timeout|retry)")),
                        attrs("deployment_channel", "release_ring"),
                        "count() incident_observations, count_uniq(trace_id) incident_traces, "
                        + avg, "incident_observations desc, incident_traces desc", 20),
        "Q20": grouping("type:" + one_of(GTR + ("REASONING",)),
                        attrs("workflow_variant", "policy_pack"),
                        "%s, count_uniq(tenant) tenants, %s, %s" % (count, avg, cost),
                        "observations desc, total_cost desc", 20),
    }
