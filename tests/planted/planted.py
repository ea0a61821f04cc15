"""Plants one known bug at a time into a copy of the tree, builds the judges there, and runs them. A judge
that stays silent is the failure.

    python3 tests/planted/planted.py [NAME...] [--all-judges] [--at-once] [--list]

The bugs are in bugs.py: a file, the text that is right, the text that is wrong, and the judges that must
object. The copy is in build/planted (or FLEETLOG_PLANTED); only what a bug touches is compiled anew. Exit 0: every bug was
caught; 1: one was not, or its text is no longer in the source."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import bugs  # noqa: E402

WORK = os.environ.get("FLEETLOG_PLANTED", os.path.join(ROOT, "build", "planted"))
TREE = os.path.join(WORK, "tree")
OUT = os.path.join(WORK, "out")

# name: (target, arguments, what to print of its objection)
JUDGES = {
    "sim": ("tests/sim/store-sim", ["--seeds", os.environ.get("FLEETLOG_PLANTED_SEEDS", "4000")]),
    "flips": ("tests/flips/store-flips", []),
    "damage": ("tests/flips/store-flips", ["--damage"]),
    "fault": ("tests/unit/test-store_fault", []),
    "wal": ("tests/unit/test-store_wal", []),
    "tails": ("tests/unit/test-store_tails", []),
    "big": ("tests/unit/test-store_big", []),
    "asked": ("fleetlog", ["--seeds", "1", "2", "--queries", "300"]),
}
SCRIPTS = {"asked": os.path.join(ROOT, "tests", "differential", "differential.py")}
SECONDS = 600  # of one judge: longer is a hang, which counts as an objection


def copy_tree():
    """The tree as it is (some of web/ is compiled in), and not touched where nothing changed: ninja goes by time."""
    for top in ("src", "web", "examples", "tests/sim", "tests/flips", "tests/unit"):
        for folder, inside, names in os.walk(os.path.join(ROOT, top)):
            inside[:] = [d for d in inside if d != "node_modules"]
            for name in names:
                if name.endswith((".pyc", ".swp")):
                    continue
                a = os.path.join(folder, name)
                b = os.path.join(TREE, os.path.relpath(a, ROOT))
                put(b, open(a, "rb").read())
    tools = os.path.join(TREE, "web", "node_modules")
    if not os.path.islink(tools):
        os.symlink(os.path.join(ROOT, "web", "node_modules"), tools)
    for name in ("meson.build", "meson_options.txt"):
        put(os.path.join(TREE, name), open(os.path.join(ROOT, name), "rb").read())
    # of the rest only what the judges need
    text = open(os.path.join(TREE, "meson.build")).read()
    put(os.path.join(TREE, "meson.build"), text.replace("subdir('bench')\n", "").encode())
    put(os.path.join(TREE, "tests", "meson.build"),
        b"test_env = environment()\nsubdir('unit')\nsubdir('sim')\nsubdir('flips')\n")


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or open(path, "rb").read() != data:
        with open(path, "wb") as f:
            f.write(data)


def build(targets):
    jobs = ["-j", os.environ["JOBS"]] if os.environ.get("JOBS") else []
    r = subprocess.run(["ninja", "-C", OUT, "--quiet"] + jobs + sorted(targets),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if r.returncode == 0 else r.stdout[-2000:]


def setup():
    copy_tree()
    if not os.path.exists(os.path.join(OUT, "build.ninja")):
        shutil.rmtree(OUT, ignore_errors=True)
        subprocess.run(["meson", "setup", OUT, TREE, "--buildtype=debugoptimized", "-Doptimization=1",
                        "-Dallocator=libc", "-Dtests=true"], check=True, stdout=subprocess.DEVNULL)


def run_judge(name):
    """What it objected to, or None."""
    target, args = JUDGES[name]
    program = [os.path.join(OUT, target)]
    if name in SCRIPTS:
        os.environ["FLEETLOG_BIN"] = program[0]
        program = [sys.executable, SCRIPTS[name]]
    try:
        r = subprocess.run(program + args, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "hangs"
    if r.returncode == 0:
        return None
    text = r.stdout.decode("utf-8", "replace")
    m = re.search(r"(seed \d+: )?OBJECTION: .*", text) or re.search(r"(Error|ERROR).*: .*", text) \
        or re.search(r"WRONG: [^:]*", text)
    return m.group(0) if m else "ends with %d" % r.returncode


def plant(bug):
    """The judges' verdicts on one bug, as [(judge, objection or None)]; raises when it cannot be planted."""
    changed = {}
    for file, old, new in bug.changes:
        path = os.path.join(TREE, file)
        text = changed.get(path) or open(path).read()
        if text.count(old) != 1:
            raise LookupError("%s: the text to change is there %d times" % (file, text.count(old)))
        changed[path] = text.replace(old, new)
    original = {path: open(path).read() for path in changed}
    try:
        for path, text in changed.items():
            put(path, text.encode())
        names = list(JUDGES) if options.all_judges else bug.judges
        trouble = build({JUDGES[j][0] for j in names})
        if trouble:
            raise LookupError("does not build:\n" + trouble)
        return [(j, run_judge(j)) for j in names]
    finally:
        for path, text in original.items():
            put(path, text.encode())


def check():
    gone = ["%s: the text to change is there %d times in %s" % (b.name, n, file)
            for b in bugs.BUGS for file, old, _ in b.changes
            for n in [open(os.path.join(ROOT, file)).read().count(old)] if n != 1]
    print("\n".join(gone) or "%d bugs can be planted" % len(bugs.BUGS))
    return 1 if gone else 0


def main():
    global options
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("name", nargs="*")
    p.add_argument("--all-judges", action="store_true", help="also those that need not object")
    p.add_argument("--at-once", action="store_true",
                   help="without first showing that the judges are silent about the store as it is")
    p.add_argument("--list", action="store_true")
    p.add_argument("--check", action="store_true", help="only: is each text to change still in the source?")
    options = p.parse_args()
    wanted = [b for b in bugs.BUGS if not options.name or b.name in options.name]
    if options.list:
        for b in bugs.BUGS:
            print("%-28s %-12s %s" % (b.name, ",".join(b.judges), b.what))
        return 0
    if options.check:
        return check()
    unknown = set(options.name) - {b.name for b in bugs.BUGS}
    if unknown:
        sys.exit("no bug called %s" % ", ".join(sorted(unknown)))
    setup()
    names = set(JUDGES) if options.all_judges else {j for b in wanted for j in b.judges}
    trouble = build({JUDGES[j][0] for j in names})
    if trouble:
        sys.exit(trouble)
    for name in sorted(names) if not options.at_once else ():  # without a bug all are silent
        objection = run_judge(name)
        if objection:
            sys.exit("%s objects to the store as it is: %s" % (name, objection))
    missed = []
    for bug in wanted:
        began = time.monotonic()
        try:
            verdicts = plant(bug)
        except LookupError as e:
            print("%-28s CANNOT BE PLANTED: %s" % (bug.name, e), flush=True)
            missed.append(bug.name)
            continue
        for judge, objection in verdicts:
            must = judge in bug.judges
            if objection or must:
                print("%-28s %-7s %s" % (bug.name, judge, objection or "SILENT"), flush=True)
            if must and not objection:
                missed.append(bug.name)
        print("%-28s %.0f s" % ("", time.monotonic() - began), flush=True)
    print("%d bugs planted, %d not caught%s" % (len(wanted), len(set(missed)),
                                                ": " + ", ".join(missed) if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
