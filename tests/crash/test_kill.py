"""The kill judge on a good server, and on two with a planted bug that it must catch."""
import os
import unittest

import judge

CYCLES = int(os.environ.get("FLEETLOG_KILL_CYCLES", "40"))
VOLATILE = os.environ.get("FLEETLOG_VOLATILE", "")


class Kill(unittest.TestCase):
    def test_kill(self):
        total = judge.run(CYCLES, 8, seed=1)
        self.assertGreater(total["acked"], CYCLES)
        self.assertGreater(total["large"], 0)

    @unittest.skipUnless(VOLATILE, "sanitizers do not go with LD_PRELOAD")
    def test_kill_with_volatile_cache(self):
        total = judge.run(CYCLES, 8, seed=2, volatile=VOLATILE)
        self.assertGreater(total["acked"], CYCLES)

    @unittest.skipUnless(VOLATILE, "sanitizers do not go with LD_PRELOAD")
    def test_judge_sees_missing_fsync(self):
        with self.assertRaises(judge.Objection):
            judge.run(CYCLES * 50, 8, seed=3, volatile=VOLATILE, plant="no-fsync")

    def test_judge_sees_early_ack(self):
        with self.assertRaises(judge.Objection):
            judge.run(CYCLES * 50, 8, seed=4, plant="ack-early")  # ends at the first objection


if __name__ == "__main__":
    unittest.main()
