"""A sample of the calls in which the server can die, from another one at each seed."""
import unittest

import everycall


class EveryCall(unittest.TestCase):
    @unittest.skipUnless(everycall.LIBRARY, "sanitizers do not go with LD_PRELOAD")
    def test_killed(self):
        last, lives, acked = everycall.run(everycall.LIBRARY, every=60, seed=1)
        self.assertGreater(last, 300)
        self.assertGreater(lives, 5)
        self.assertGreater(acked, lives)

    @unittest.skipUnless(everycall.VOLATILE, "sanitizers do not go with LD_PRELOAD")
    def test_killed_with_volatile_cache(self):
        everycall.run(everycall.LIBRARY, every=60, seed=31, volatile=everycall.VOLATILE)


if __name__ == "__main__":
    unittest.main()
