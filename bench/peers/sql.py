"""The 20 queries of AgentLogsBench in SQL, once, with a dialect for what engines write
differently.

The meaning is that of the public queries as check_agentlogs.py evaluates it (tokens are runs of
ASCII letters and digits or of non-ASCII characters in lower(input + ' ' + output), phrases are
substrings of it). A dialect may add conditions that every answer meets, so that its index serves
the rest. Columns are named here, not in SQL: answers are by position.
"""

P13 = ("timeout awaiting headers", "retry budget depleted", "transient upstream failure")
P15 = ("transient upstream failure", "retry budget depleted", "connector timeout")
NEWEST = "event_time DESC, trace_id DESC, observation_id DESC"


class Dialect:
    """What a peer says in its own way. Every method returns an SQL expression."""
    text = ""  # lower(input + ' ' + output), null as ''

    def attr(self, name):
        """payload.attr.NAME as a string"""
        raise NotImplementedError

    def provider(self, name):
        raise NotImplementedError

    def tokens(self, words, every=True):
        """all (or any) of the words are whole tokens of the text"""
        raise NotImplementedError

    def phrase(self, phrase):
        return "%s LIKE '%%%s%%'" % (self.text, phrase)

    def any_phrase(self, phrases):
        return "(%s)" % " OR ".join(self.phrase(p) for p in phrases)

    def like(self, column, part):
        return "lower(%s) LIKE '%%%s%%'" % (column, part)

    true = "true"
    cost = "round(sum(total_cost), 6)"


def quoted(values):
    return "(%s)" % ", ".join("'%s'" % v for v in values)


def columns(text):
    return text.split()


GTR = ("GENERATION", "TOOL", "RETRIEVAL")
GTRE = GTR + ("EVENT",)


def statements(d, p):
    """{query: (columns, SQL)} in dialect d with parameters p"""
    attr, mine = d.attr, "tenant = '%s'" % p["tenant"]
    slice_ = "%s AND app = '%s'" % (mine, p["app"])
    days = "biz_date BETWEEN '%s' AND '%s'" % (p["start_date"], p["end_date"])
    gtr, gtre = "type IN " + quoted(GTR), "type IN " + quoted(GTRE)
    cost = d.cost
    both = d.tokens(("unable", "open"))
    open_ = d.phrase("unable to open")
    avg = "avg(latency_ms)"
    q = {}
    q["Q01"] = (
        "event_time trace_id observation_id seq_no type status model tool_name latency_ms",
        f"SELECT event_time, trace_id, observation_id, seq_no, type, status, model, tool_name, "
        f"latency_ms FROM obs WHERE {days} AND {mine} AND type IN ('GENERATION', 'TOOL') "
        f"AND status IN ('ok', 'error') ORDER BY event_time DESC, seq_no DESC LIMIT 50")
    q["Q02"] = (
        "trace_id started_at observation_count failure_count total_cost total_latency_ms",
        f"SELECT trace_id, min(event_time), count(*), sum(CASE WHEN status <> 'ok' THEN 1 ELSE 0 "
        f"END), {cost}, sum(latency_ms) FROM obs WHERE {days} GROUP BY trace_id "
        f"ORDER BY 5 DESC, 6 DESC, trace_id LIMIT 50")
    q["Q03"] = (
        "trace_id seq_no type status model tool_name input output",
        f"SELECT trace_id, seq_no, type, status, model, tool_name, input, output FROM obs "
        f"WHERE trace_id = '{p['trace_id']}' ORDER BY seq_no")
    q["Q04"] = (
        "trace_id seq_no observation_id parent_observation_id parent_type child_type status "
        "tool_name",
        f"SELECT c.trace_id, c.seq_no, c.observation_id, c.parent_observation_id, p.type, c.type, "
        f"c.status, c.tool_name FROM obs c LEFT JOIN obs p "
        f"ON p.observation_id = c.parent_observation_id "
        f"WHERE c.trace_id = '{p['trace_id']}' ORDER BY c.seq_no")
    q["Q05"] = (
        "event_time trace_id observation_id tool_name latency_ms text_score payload",
        f"SELECT event_time, trace_id, observation_id, tool_name, latency_ms, 2, payload FROM obs "
        f"WHERE type = 'TOOL' AND status = 'error' AND {slice_} AND {both} "
        f"ORDER BY latency_ms DESC, event_time DESC LIMIT 50")
    q["Q06"] = (
        "type model observations input_tokens output_tokens total_cost avg_latency_ms",
        f"SELECT type, model, count(*), sum(input_tokens), sum(output_tokens), {cost}, {avg} "
        f"FROM obs GROUP BY type, model ORDER BY 6 DESC, 7 DESC, 3 DESC, 4 DESC, 5 DESC, type, "
        f"model LIMIT 50")
    templates = ("pt_2026_03_2", "pt_2026_04_1", "pt_2026_04_2")
    q["Q07"] = (
        "event_time trace_id observation_id type status payload",
        f"SELECT event_time, trace_id, observation_id, type, status, payload FROM obs "
        f"WHERE environment = 'prod' AND {gtr} AND {attr('release_ring')} IN ('stable', 'canary') "
        f"AND {attr('retrieval_strategy')} IN ('hybrid', 'hybrid_rerank') "
        f"AND {attr('surface')} IN ('api', 'workflow_runner') "
        f"AND {attr('prompt_template_version')} IN {quoted(templates)} "
        f"ORDER BY {NEWEST} LIMIT 50")
    q["Q08"] = (
        "event_time trace_id observation_id type status input output phrase_match text_score",
        f"SELECT event_time, trace_id, observation_id, type, status, input, output, {d.true}, 2 "
        f"FROM obs WHERE {mine} AND {both} AND {open_} ORDER BY {NEWEST} LIMIT 50")
    q["Q09"] = (
        "tool_name status observations avg_latency_ms",
        f"SELECT tool_name, status, count(*), {avg} FROM obs WHERE type = 'TOOL' "
        f"GROUP BY tool_name, status ORDER BY 3 DESC, 4 DESC, tool_name, status LIMIT 50")
    reason, hit = d.provider("stop_reason"), d.provider("cache_hit")
    q["Q10"] = (
        "stop_reason cache_hit observations avg_latency_ms",
        f"SELECT {reason}, {hit}, count(*), {avg} FROM obs WHERE type = 'GENERATION' "
        f"GROUP BY 1, 2 ORDER BY 3 DESC, 4 DESC, 1, 2 LIMIT 50")
    q["Q11"] = (
        "event_time trace_id observation_id type status tool_name latency_ms phrase_match "
        "text_score",
        f"SELECT event_time, trace_id, observation_id, type, status, tool_name, latency_ms, "
        f"{d.true}, 2 FROM obs WHERE {slice_} AND {gtr} AND {both} AND {open_} "
        f"ORDER BY latency_ms DESC, {NEWEST} LIMIT 50")
    q["Q12"] = (
        "release_ring customer_tier retrieval_strategy observations avg_latency_ms total_cost",
        f"SELECT {attr('release_ring')}, {attr('customer_tier')}, {attr('retrieval_strategy')}, "
        f"count(*), {avg}, {cost} FROM obs WHERE {gtr} GROUP BY 1, 2, 3 "
        f"ORDER BY 4 DESC, 6 DESC, 1, 2, 3 LIMIT 50")
    q["Q13"] = (
        "observations traces last_event_time",
        f"SELECT count(*), count(DISTINCT trace_id), max(event_time) FROM obs "
        f"WHERE {days} AND {mine} AND {gtre} AND {d.any_phrase(P13)}")
    parts = [d.like(c, w) for c, w in (("input", "deployment"), ("output", "deployment"),
                                       ("input", "rollback"), ("output", "rollback"),
                                       ("output", "transient"))]
    q["Q14"] = (
        "event_time trace_id observation_id type status tool_name output",
        f"SELECT event_time, trace_id, observation_id, type, status, tool_name, output FROM obs "
        f"WHERE {slice_} AND type IN ('GENERATION', 'TOOL', 'EVENT') AND ({' OR '.join(parts)}) "
        f"ORDER BY {NEWEST} LIMIT 50")
    q["Q15"] = (
        "event_time trace_id observation_id type status tool_name latency_ms",
        f"SELECT event_time, trace_id, observation_id, type, status, tool_name, latency_ms "
        f"FROM obs WHERE {mine} AND {gtre} AND {d.any_phrase(P15)} "
        f"ORDER BY latency_ms DESC, {NEWEST} LIMIT 50")
    q["Q16"] = (
        "event_time trace_id observation_id type status release_ring customer_tier "
        "traffic_cluster",
        f"SELECT event_time, trace_id, observation_id, type, status, {attr('release_ring')}, "
        f"{attr('customer_tier')}, {attr('traffic_cluster')} FROM obs WHERE {mine} "
        f"AND environment = 'prod' AND {gtr} AND {attr('release_ring')} = '{p['release_ring']}' "
        f"AND {attr('customer_tier')} = '{p['customer_tier']}' "
        f"AND {attr('traffic_cluster')} = '{p['traffic_cluster']}' ORDER BY {NEWEST} LIMIT 50")
    q["Q17"] = (
        "trace_id observation_id seq_no type status request_key workflow_variant",
        f"SELECT trace_id, observation_id, seq_no, type, status, {attr('request_key')}, "
        f"{attr('workflow_variant')} FROM obs WHERE {mine} "
        f"AND {attr('request_key')} = '{p['request_key']}' "
        f"AND {attr('workflow_variant')} = '{p['workflow_variant']}' "
        f"ORDER BY seq_no, observation_id LIMIT 100")
    q["Q18"] = (
        "prompt_template_version observations traces avg_latency_ms total_cost",
        f"SELECT {attr('prompt_template_version')}, count(*), count(DISTINCT trace_id), {avg}, "
        f"{cost} FROM obs WHERE type IN ('GENERATION', 'REASONING', 'TOOL') GROUP BY 1 "
        f"ORDER BY 2 DESC, 5 DESC, 1 LIMIT 20")
    incident = d.tokens(("error", "timeout", "retry"), every=False)
    q["Q19"] = (
        "deployment_channel release_ring incident_observations incident_traces avg_latency_ms",
        f"SELECT {attr('deployment_channel')}, {attr('release_ring')}, count(*), "
        f"count(DISTINCT trace_id), {avg} FROM obs WHERE {gtre} AND {incident} GROUP BY 1, 2 "
        f"ORDER BY 3 DESC, 4 DESC, 1, 2 LIMIT 20")
    q["Q20"] = (
        "workflow_variant policy_pack observations tenants avg_latency_ms total_cost",
        f"SELECT {attr('workflow_variant')}, {attr('policy_pack')}, count(*), "
        f"count(DISTINCT tenant), {avg}, {cost} FROM obs "
        f"WHERE type IN ('GENERATION', 'TOOL', 'RETRIEVAL', 'REASONING') GROUP BY 1, 2 "
        f"ORDER BY 3 DESC, 6 DESC, 1, 2 LIMIT 20")
    return {name: (columns(names), sql) for name, (names, sql) in q.items()}
