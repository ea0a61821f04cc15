"""The two tables that every peer keeps: `obs`, agent observations of 22 columns and a JSON
payload, and `lines`, log lines. (name, kind) in the order of the columns; kinds are time, date,
text, int, decimal, json; "?" marks what may be null.
"""

OBS = [("event_time", "time"), ("biz_date", "date"), ("trace_id", "text"), ("session_id", "text"),
       ("observation_id", "text"), ("parent_observation_id", "text?"), ("seq_no", "int"),
       ("type", "text"), ("status", "text"), ("tenant", "text"), ("app", "text"),
       ("environment", "text"), ("task_category", "text"), ("trace_archetype", "text"),
       ("model", "text"), ("tool_name", "text?"), ("input", "text?"), ("output", "text?"),
       ("input_tokens", "int"), ("output_tokens", "int"), ("total_cost", "decimal"),
       ("latency_ms", "int"), ("payload", "json")]

LINES = [("timestamp", "decimal"), ("agent", "text"), ("level", "text"), ("message", "text"),
         ("trace_id", "text?"), ("context", "json?")]

TABLES = {"obs": OBS, "lines": LINES}

# the text that word search covers, in each table
TEXT_OF = {"obs": ("input", "output"), "lines": ("message",)}


def create(table, types, extra=()):
    """CREATE TABLE with an engine's own names: types maps a kind, or a kind and "?", to its type"""
    columns = ["%s %s" % (name, types.get(kind) or types[kind.rstrip("?")])
               for name, kind in TABLES[table]]
    return "CREATE TABLE %s (%s)" % (table, ", ".join(columns + list(extra)))
