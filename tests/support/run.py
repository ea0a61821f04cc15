"""Runs one unittest file: run.py FILE [unittest arguments].

A file in which no test ran is a failure; one in which every test was skipped exits 77, which
Meson reports as skipped.
"""
import importlib.util
import os
import sys
import unittest


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: run.py FILE [test names]")
    path = os.path.abspath(sys.argv[1])
    sys.path.insert(0, os.path.dirname(path))
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    loader = unittest.defaultTestLoader
    names = sys.argv[2:]
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun == 0:
        sys.exit("no test ran in " + path)
    if len(result.skipped) == result.testsRun:
        sys.exit(77)


if __name__ == "__main__":
    main()
