"""A few seeds of the differential judge, and whether the judge judges."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import differential  # noqa: E402

QUERIES = 150


class Differential(unittest.TestCase):
    def test_seeds(self):
        for seed in (1, 2):
            with self.subTest(seed=seed):
                queries, compared, rows = differential.run_seed(seed, QUERIES)
                self.assertEqual(QUERIES, queries)
                self.assertGreaterEqual(compared, 7 * QUERIES)
                self.assertGreater(rows, 1000)

    def test_every_pipe_and_test_is_asked_for(self):
        _, _, queries = differential.make(1, 400)
        texts = [differential.text(q) for q in queries]
        for word in ("where", "eval", "fields", "drop", "sort by", "limit", "offset", "tail",
                     "dedup by", "stats", "top", "rare", "uniq", "values",
                     "extract", "lookup", "join", "union", "count", "timeline"):
            self.assertTrue(any("| " + word in t for t in texts), word)
        for part in (" OR ", "NOT ", "level>=", " in (", ":[", ":{", "in:", "*\"", "time(",
                     "bucket(", "p95(",
                     "stddev(", " if (", "coalesce(", "concat(", "site.`host name`", "steps.tool"):
            self.assertTrue(any(part in t for t in texts), part)

    def test_a_difference_is_seen(self):
        row = {"a": 1, "b": [1, "x"], "c": None}
        self.assertIsNone(differential.differ([row], [dict(row, a=1.0)]))
        for other in ([], [row, row], [dict(row, a=2)], [dict(row, a=True)], [dict(row, a="1")],
                      [dict(row, b=["x", 1])], [dict(row, c=0)], [{"a": 1, "b": [1, "x"]}],
                      [dict(row, d=1)]):
            self.assertIsNotNone(differential.differ([row], other), other)


if __name__ == "__main__":
    unittest.main()
