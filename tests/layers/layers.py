#!/usr/bin/env python3
"""Holds the source to its own rules: layers.py [ROOT], layers.py --self-test.

Checked, over src/ (and include/ where it makes sense):
  layers     an #include of another folder must be one that folder may use
  headers    every header compiles alone, with each compiler found, and is guarded by
             FL_<DIR>_<FILE>_H
  readme     a folder with code has a README.md
  size       no file longer than 800 lines, no line wider than 100 columns, no tabs
  banned     functions that invite accidents, and the heap only through base/mem
Prints one line a violation and exits 1 when there is any.
"""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

MAX_LINES = 800
MAX_COLUMNS = 100

# What each folder may include besides itself. Spelled out, not derived: this is the architecture.
MAY_USE = {
    "base": [],
    "io": ["base"],
    "codec": ["base"],
    "model": ["base", "codec"],
    "ingest": ["base", "codec", "model"],
    "store": ["base", "io", "codec", "model"],
    "query": ["base", "io", "codec", "model", "store/store.h"],
    "live": ["base", "codec", "model", "store/store.h", "query"],
    "insight": ["base", "codec", "model", "query", "store/store.h"],
    "meta": ["base", "io"],
    "net": ["base", "io", "codec"],
    "alert": ["base", "codec"],
    "server": ["base", "io", "codec", "model", "ingest", "store", "query", "live", "insight",
               "meta", "net", "alert"],
    "collect": ["base", "io", "codec", "model", "ingest", "net"],
    "client": ["base", "io"],
    "cli": ["base", "io", "codec", "model", "ingest", "store", "query", "live", "insight", "meta",
            "net", "alert", "server", "collect", "client"],
    "main.c": ["base", "cli", "server"],
}

# The engines stand behind store.h: only the one who opens them names more than that.
ENGINE_DOOR = {"server", "cli", "store"}

BANNED = ["strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "atoi", "atol", "scanf",
          "sscanf", "fscanf", "alloca", "system", "popen", "rand", "localtime"]
HEAP = ["malloc", "calloc", "realloc", "free", "strdup", "strndup", "reallocarray",
        "posix_memalign", "aligned_alloc"]
# Files that hand or take memory across a library's border, where its rules say malloc or free.
HEAP_ALLOWED = {
    "src/base/mem.c": HEAP,
}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
GUARD = re.compile(r'^\s*#\s*ifndef\s+(\w+)\s*\n\s*#\s*define\s+(\w+)\s*$', re.M)
CALL = re.compile(r'(?<![\w.>])(' + "|".join(BANNED + HEAP) + r')\s*\(')


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def blank_comments_and_strings(text):
    """The same text with comments and literals blanked, line numbers kept."""
    def spaces(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text,
                  flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Checker:
    def __init__(self, root):
        self.root = root
        self.problems = []

    def problem(self, path, line, rule, text):
        self.problems.append("%s:%d: %s: %s" % (path, line, rule, text))

    def sources(self, top="src"):
        for folder, subs, names in os.walk(os.path.join(self.root, top)):
            subs.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def run(self, compilers):
        headers = []
        for path in self.sources():
            text = read(os.path.join(self.root, path))
            self.check_layers(path, text)
            self.check_size(path, text)
            self.check_calls(path, text)
            if path.endswith(".h"):
                headers.append(path)
                self.check_guard(path, text)
        for top in ("include", "tests", "bench"):
            for path in self.sources(top):
                self.check_size(path, read(os.path.join(self.root, path)))
        self.check_readmes()
        self.check_headers(headers, compilers)
        return sorted(self.problems)

    def is_made(self, folder, target):
        """a header that the folder's meson.build writes, for this folder alone"""
        build = os.path.join(self.root, "src", folder, "meson.build")
        return ("/" not in target and os.path.isfile(build)
                and "output: ['%s'" % target in open(build, encoding="utf-8").read())

    def check_layers(self, path, text):
        parts = path.split("/")
        folder = parts[1]
        if folder not in MAY_USE:
            self.problem(path, 1, "layers", "%s is not a folder of the architecture" % folder)
            return
        allowed = MAY_USE[folder]
        for m in INCLUDE.finditer(text):
            target = m.group(1)
            line = line_of(text, m.start(1))
            if self.is_made(folder, target):
                continue
            if not os.path.isfile(os.path.join(self.root, "src", target)):
                self.problem(path, line, "layers",
                             'includes "%s", which is no path from src/' % target)
                continue
            other = target.split("/")[0]
            if other == "store" and target.count("/") > 1 and folder not in ENGINE_DOOR:
                self.problem(path, line, "layers",
                             '%s may use an engine only through store.h, not "%s"' % (folder, target))
            elif other != folder and other not in allowed and target not in allowed:
                self.problem(path, line, "layers", '%s may not use "%s"' % (folder, target))

    def check_size(self, path, text):
        lines = text.splitlines()
        if len(lines) > MAX_LINES:
            self.problem(path, len(lines), "size", "%d lines, the most is %d" % (len(lines), MAX_LINES))
        for n, line in enumerate(lines, 1):
            if len(line) > MAX_COLUMNS:
                self.problem(path, n, "size", "%d columns, the most is %d" % (len(line), MAX_COLUMNS))
            if "\t" in line:
                self.problem(path, n, "size", "a tab")

    def check_calls(self, path, text):
        code = blank_comments_and_strings(text)
        for m in CALL.finditer(code):
            name = m.group(1)
            line_start = code.rfind("\n", 0, m.start()) + 1
            before = code[line_start:m.start()]
            if name in HEAP and name in HEAP_ALLOWED.get(path, []):
                continue
            # a member of a table of callbacks: `void (*free)(...)` never matches; a prototype or
            # initialiser of ours never bears these names
            if re.match(r"\s*#\s*define\s+$", before):
                continue
            hint = "go through base/mem.h" if name in HEAP else "banned"
            self.problem(path, line_of(code, m.start()), "banned", "%s(): %s" % (name, hint))

    def check_guard(self, path, text):
        stem = path[len("src/"):-2]
        want = "FL_" + re.sub(r"\W", "_", stem).upper() + "_H"
        m = GUARD.search(text)
        if not m or m.group(1) != m.group(2) or m.group(1) != want:
            self.problem(path, 1, "guard", "the include guard must be %s" % want)

    def check_readmes(self):
        top = os.path.join(self.root, "src")
        for folder, _subs, names in os.walk(top):
            if any(n.endswith((".c", ".h")) for n in names) and "README.md" not in names:
                self.problem(os.path.relpath(folder, self.root), 1, "readme", "has code, no README.md")

    def check_headers(self, headers, compilers):
        flags = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                 "-I", os.path.join(self.root, "src"), "-x", "c", "-"]

        def one(job):
            compiler, path = job
            source = '#include "%s"\n#include "%s"\nint alone;\n' % ((path[len("src/"):],) * 2)
            done = subprocess.run([compiler] + flags, input=source, text=True, capture_output=True)
            return path, compiler, done

        jobs = [(c, h) for c in compilers for h in headers]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, compiler, done in pool.map(one, jobs):
                if done.returncode != 0:
                    first = [x for x in done.stderr.splitlines() if "error" in x] or ["fails"]
                    self.problem(path, 1, "header",
                                 "does not compile alone with %s: %s" % (compiler, first[0].strip()))


def found_compilers():
    found = []
    for name in ("gcc", "clang"):
        try:
            subprocess.run([name, "--version"], capture_output=True, check=True)
            found.append(name)
        except (OSError, subprocess.CalledProcessError):
            pass
    if not found:
        sys.exit("layers: neither gcc nor clang found")
    return found


# ---- self-test: each rule must catch what was planted for it, and nothing in a clean tree ----

CLEAN = {
    "src/base/README.md": "base\n",
    "src/base/str.h": "#ifndef FL_BASE_STR_H\n#define FL_BASE_STR_H\n#include <stddef.h>\n"
                      "size_t n(void);\n#endif\n",
    "src/base/mem.c": "#include <stdlib.h>\nvoid *m(void)\n{\n    return malloc(1);\n}\n",
    "src/model/README.md": "model\n",
    "src/model/entry.c": '#include "base/str.h"\n'
                         "/* strcpy(a, b) in a comment */ const char *z = \"system(1)\";\n"
                         "struct t { void (*free)(int); };\n"
                         "void call(struct t *t)\n{\n    t->free(1);\n}\n",
    "src/store/README.md": "store\n",
    "src/store/store.h": "#ifndef FL_STORE_STORE_H\n#define FL_STORE_STORE_H\nint s;\n#endif\n",
    "src/store/columnar/README.md": "columnar\n",
    "src/store/columnar/wal.h": "#ifndef FL_STORE_COLUMNAR_WAL_H\n#define FL_STORE_COLUMNAR_WAL_H\n"
                                "#endif\n",
    "src/query/README.md": "query\n",
    "src/query/plan.c": '#include "store/store.h"\n',
}

PLANTED = [
    ("layers", "src/base/up.c", '#include "model/entry.h"\n'),
    ("layers", "src/base/up.c", '#include "store/store.h"\n'),
    ("layers", "src/query/deep.c", '#include "store/columnar/wal.h"\n'),
    ("layers", "src/model/rel.c", '#include "../base/str.h"\n'),
    ("layers", "src/attic/old.c", "int x;\n"),
    ("guard", "src/base/bare.h", "int x;\n"),
    ("guard", "src/base/odd.h", "#ifndef FL_ODD_H\n#define FL_ODD_H\n#endif\n"),
    ("header", "src/base/needy.h",
     "#ifndef FL_BASE_NEEDY_H\n#define FL_BASE_NEEDY_H\nsize_t x(void);\n#endif\n"),
    ("readme", "src/cli/run.c", "int x;\n"),
    ("size", "src/base/long.c", "int x;\n" * 801),
    ("size", "src/base/wide.c", "int " + "x" * 100 + ";\n"),
    ("size", "src/base/tab.c", "\tint x;\n"),
] + [("banned", "src/base/bad.c", "void f(void)\n{\n    %s(0);\n}\n" % name)
     for name in BANNED + HEAP]


def self_test(compilers):
    def problems_of(extra, compilers):
        with tempfile.TemporaryDirectory() as root:
            files = dict(CLEAN)
            files.update(extra)
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as f:
                    f.write(text)
            return Checker(root).run(compilers)

    clean = problems_of({}, compilers)
    if clean:
        sys.exit("a clean tree is blamed:\n" + "\n".join(clean))
    for rule, path, text in PLANTED:
        found = problems_of({path: text}, compilers if rule == "header" else [])
        hits = [p for p in found if ": %s: " % rule in p]
        if not hits:
            sys.exit("planted in %s, not caught by '%s':\n%s" % (path, rule, text[:200]))
    print("%d planted violations caught" % len(PLANTED))


def main():
    compilers = found_compilers()
    if "--self-test" in sys.argv[1:]:
        self_test(compilers)
        return
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    problems = Checker(root).run(compilers)
    for p in problems:
        print(p)
    if problems:
        sys.exit("%d violations" % len(problems))


if __name__ == "__main__":
    main()
