"""Logs as the agents of an MCP mesh write them: one JSON object a line, made from a seed.

The shape is that of a mesh's structured logging: ISO time, Python's level names, `msg`, the agent,
service, pod and trace as objects, and one of request{}, exception{} or audit{} with what it is about.
Durations, failures and hours of work differ by agent; three things are planted:

  * `payment-agent` fails 40 times in one minute, in six different ways (SPIKE);
  * `archive-agent` stops an hour before the end;
  * `report-agent` is slow in the last two hours.

    rows(seed=4, hours=24, end=END)  ->  list of dicts, in order of time
"""
import random
from datetime import datetime, timedelta, timezone

END = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
SPIKE = timedelta(hours=3, minutes=17)  # before the end

METHODS = {
    "weather-agent": ["get_forecast", "get_alerts"],
    "payment-agent": ["charge", "refund", "get_balance"],
    "search-agent": ["search", "suggest"],
    "archive-agent": ["store", "fetch"],
    "report-agent": ["render", "schedule"],
    "auth-agent": ["login", "verify"],
}
MEDIAN_MS = {"get_forecast": 90, "get_alerts": 40, "charge": 240, "refund": 300, "get_balance": 25,
             "search": 130, "suggest": 15, "store": 60, "fetch": 35, "render": 700, "schedule": 20,
             "login": 55, "verify": 12}
FAILS = {"weather-agent": .02, "payment-agent": .04, "search-agent": .01, "archive-agent": .01,
         "report-agent": .03, "auth-agent": .005}
ERRORS = [("TimeoutError", "upstream did not answer within %d ms"),
          ("ConnectionError", "connection refused by 10.0.0.%d:5432"),
          ("ValueError", "invalid amount %d"),
          ("KeyError", "no such field 'item_%d'"),
          ("PermissionError", "user %d may not do this"),
          ("OSError", "no space left on device %d")]
ACTIONS = ["login", "logout", "auth_failure", "forecast_retrieved", "config_changed", "data_export"]
USERS = ["ana", "bob", "chen", "dora", "api-user-123"]


def stamp(t):
    return t.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


class Mesh:
    def __init__(self, seed, hours, end):
        self.r = random.Random(seed)
        self.hours, self.end = hours, end
        self.start = end - timedelta(hours=hours)
        self.out = []

    def hexes(self, n):
        return "%0*x" % (n, self.r.getrandbits(4 * n))

    def base(self, t, agent, level, msg, trace=None):
        pod = "%s-%s" % (agent, "abc"[self.r.randrange(3)])
        row = {"timestamp": stamp(t), "level": level, "msg": msg,
               "agent": {"name": agent, "type": "mcp-mesh"},
               "service": {"name": "mcp-mesh-" + agent, "version": "1.0.%d" % self.r.randrange(3),
                           "environment": "production", "instance_id": pod},
               "kubernetes": {"namespace": "mcp-mesh", "pod_name": pod,
                              "node_name": "node-%d" % self.r.randrange(3)}}
        if trace:
            row["trace"] = {"trace_id": trace, "span_id": self.hexes(16), "trace_flags": "01"}
        self.out.append(row)
        return row

    def duration(self, t, agent, method):
        ms = MEDIAN_MS[method] * self.r.lognormvariate(0, .45)
        if agent == "report-agent" and t > self.end - timedelta(hours=2):
            ms *= 4
        return round(ms, 3)

    def error(self, t, agent, trace, kind=None):
        name, text = kind or self.r.choice(ERRORS[:4])
        message = text % self.r.randrange(1, 250)
        row = self.base(t, agent, "ERROR", "Request failed: " + message, trace)
        row["exception"] = {"type": name, "message": message,
                            "traceback": "Traceback (most recent call last):\n  File \"/app/%s.py\", "
                                         "line %d, in handle\n%s: %s"
                                         % (agent, 10 + ERRORS.index((name, text)), name, message)}

    def request(self, t, agent, trace=None):
        trace = trace or self.hexes(32)
        method = self.r.choice(METHODS[agent])
        ms = self.duration(t, agent, method)
        failed = self.r.random() < FAILS[agent]
        if self.r.random() < .3:
            self.base(t, agent, "DEBUG", "Cache %s" % self.r.choice(["hit", "miss"]), trace)
        done = t + timedelta(milliseconds=ms)
        if failed:
            self.error(done, agent, trace)
        row = self.base(done, agent, "INFO", "Request processed: " + method, trace)
        row["request"] = {"method": method, "params": {"n": self.r.randrange(100)},
                          "duration_ms": ms, "status": "error" if failed else "success"}
        row["metrics"] = {"duration_ms": ms}
        if ms > 5 * MEDIAN_MS[method]:
            self.base(done, agent, "WARNING", "Slow request: %s took %d ms" % (method, ms), trace)
        if self.r.random() < .35:  # the agents call one another, in the same trace
            other = self.r.choice([a for a in METHODS if a != agent])
            if self.speaks(other, done):
                self.request(done, other, trace)

    def audit(self, t):
        agent, action = "auth-agent", self.r.choice(ACTIONS)
        user = self.r.choice(USERS)
        bad = action == "auth_failure" or self.r.random() < (.3 if user == "bob" else .04)
        resource = "%s:%d" % (self.r.choice(["location", "account", "file"]), self.r.randrange(20))
        row = self.base(t, agent, "INFO", "Audit: %s %s" % (action, resource))
        row["audit"] = {"action": action, "resource": resource, "user_id": user,
                        "result": "failure" if bad else "success", "timestamp": stamp(t)}

    def speaks(self, agent, t):
        return agent != "archive-agent" or t < self.end - timedelta(hours=1)

    def minute(self, t):
        busy = 2.5 if 8 <= t.hour < 18 else .7
        for agent in METHODS:
            for _ in range(int(self.r.expovariate(1) * busy * .8 + .3)):
                at = t + timedelta(seconds=self.r.uniform(0, 60))
                if self.speaks(agent, at):
                    self.request(at, agent)
        if self.r.random() < .25 * busy / 2:
            self.audit(t + timedelta(seconds=self.r.uniform(0, 60)))
        if t == self.end - SPIKE:
            for i in range(40):
                self.error(t + timedelta(seconds=self.r.uniform(0, 59)), "payment-agent",
                           self.hexes(32), ERRORS[i % 6])

    def rows(self):
        t = self.start
        while t < self.end:
            self.minute(t)
            t += timedelta(minutes=1)
        last = stamp(self.end)
        return sorted((r for r in self.out if r["timestamp"] < last), key=lambda r: r["timestamp"])


def rows(seed=4, hours=24, end=END):
    return Mesh(seed, hours, end).rows()


if __name__ == "__main__":
    import json
    import sys
    for row in rows(hours=int(sys.argv[1]) if len(sys.argv) > 1 else 24):
        print(json.dumps(row))
