"""Retention classes from a configuration file to directories, and what is left of them without it."""
import os
import time
import unittest

from clitest import CONFIG, CliTest, some_entries
from fleetlog import Server

DAY = 86_400_000_000_000
CONF = """
retention = 30d
retention-class = audit 400d agent:planner   # decided first
retention-class = errors 0 level:error
"""


class Retention(CliTest):
    def classes(self, server):
        return {c["name"]: c for c in server.get("/api/v1/status").json()["classes"]}

    def test_classes_of_a_file(self):
        entries = some_entries(300, int(time.time()) - 3600)
        entries.append({"timestamp": 1_600_000_000, "agent": "coder", "message": "goes"})
        audit = sum(e["agent"] == "planner" for e in entries)
        errors = sum(e.get("level") in ("error", "critical") and e["agent"] != "planner" for e in entries)
        with Server("--config", self.path("c.conf", CONF), "--delete-grace", "1h") as s:
            s.ingest(entries)
            # a deletion: all that is in memory becomes segments
            self.ok("prune", "--days", "365", "--yes", "--url", s.url)
            c = self.classes(s)
            self.assertEqual(c["audit"]["entries"], audit)
            self.assertEqual(c["errors"]["entries"], errors)
            self.assertEqual(c["default"]["entries"], 300 - audit - errors)
            self.assertEqual([c[n]["retention_ns"] for n in ("default", "audit", "errors")],
                             [30 * DAY, 400 * DAY, 0])
            self.assertEqual(s.get("/api/v1/status").json()["store"]["dead_rows"], 1)
            self.assertIn("\nfleetlog_store_dead_rows 1\n", s.get("/metrics").text())
            dirs = {d.rsplit(".", 1)[1] for d in os.listdir(os.path.join(s.data_dir, "p"))}
            self.assertEqual(dirs, {str(x["class"]) for x in c.values()})
            s.stop()
            self.ok("verify", "--deep", "--data-dir", s.data_dir)
            s.args = ["--no-indexes"]
            s.start()
            again = self.classes(s)
            self.assertEqual(again["audit"]["entries"], audit)
            self.assertEqual(again["audit"]["retention_ns"], 400 * DAY)
            self.assertEqual((c["audit"]["rule"], again["audit"]["rule"]), (True, False))

    def test_twice_and_too_many(self):
        for text, word in (("retention-class = a 1d x\nretention-class = a 2d y\n", "two"),
                           ("".join("retention-class = a%d 1d x\n" % i for i in range(16)),
                            "at most 15")):
            r = self.refused(CONFIG, "serve", "--config", self.path("c.conf", text),
                             "--data-dir", self.path("data"))
            self.assertIn(word, r.err)


if __name__ == "__main__":
    unittest.main()
