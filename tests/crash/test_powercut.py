"""The power-cut judge on a good server, and on three with a fault that it must catch. Skipped where
the disk cannot be had (no root, no nbdkit ...), or with FLEETLOG_POWERCUT_CYCLES=0."""
import os
import unittest

import blockdev
import ledger
import powercut

PLUGIN = os.environ.get("FLEETLOG_POWERCUT", "")
CYCLES = int(os.environ.get("FLEETLOG_POWERCUT_CYCLES", "3"))
LACKS = blockdev.missing(PLUGIN) or ("" if CYCLES else "FLEETLOG_POWERCUT_CYCLES is 0")


@unittest.skipIf(LACKS, "needs " + LACKS)
class PowerCut(unittest.TestCase):
    def test_power_cut(self):
        total = powercut.judge(PLUGIN, CYCLES, seed=1).total
        self.assertEqual(total["cycles"], CYCLES)
        self.assertGreater(total["acked"], CYCLES)

    def objects(self, plant):
        with self.assertRaises(ledger.Objection):
            powercut.judge(PLUGIN, 200, seed=1, plant=plant)  # ends at the first objection

    def test_judge_sees_missing_fsync(self):
        self.objects("no-fsync")

    def test_judge_sees_early_ack(self):
        self.objects("ack-early")

    def test_judge_sees_lying_disk(self):
        self.objects("lying-disk")


if __name__ == "__main__":
    unittest.main()
