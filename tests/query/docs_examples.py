"""Runs every example of a page (docs/query-language.md, docs/recipes.md), in every state of a store.

    docs_examples.py QUERY_GOLDEN PAGE LEAST    LEAST: so many examples the page has at least

In the page, a ```rows block holds the entries that the queries behind it see, up to the next one
or to the comment "first rows again" (those in front of the first see it too). A ```query block
holds a query, the ```answer block behind it what it answers. In tables that begin with | write |
the code in the first column are queries too, on the first entries; they must find something.
Costs are reckoned with the price table of runner.c. The queries become a golden file (its form:
runner.c), which query-golden fills in.
"""
import os
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^(?:```(\w+)\n(.*?)^```|<!-- first rows again -->)$", re.M | re.S)
CELL = re.compile(r"^\| (.*?) (?<!\\)\|", re.M)
CODE = re.compile(r"``\s?(.+?)\s?``|`([^`]+)`")


def table_queries(page):
    found, inside = [], False
    for line in page.splitlines():
        if line.startswith("| write |"):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            cell = CELL.match(line).group(1)
            found += [(a or b).replace("\\|", "|") for a, b in CODE.findall(cell)]
    return found


def examples(page):
    """[(query, answer or None, its rows)]"""
    blocks = BLOCK.findall(page)
    first = rows = next(text for kind, text in blocks if kind == "rows").splitlines()
    found = [(query, None, rows) for query in table_queries(page)]
    for kind, text in blocks:
        if kind == "rows":
            rows = text.splitlines()
        elif not kind:
            rows = first
        elif kind == "query":
            found.append((text.strip(), "", rows))
        elif kind == "answer":
            assert found[-1][1] == "", "an answer without a query: " + text
            found[-1] = (found[-1][0], text.strip(), rows)
    return found


def run(golden, found):
    """the answer of each query"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "docs.test")
        with open(path, "w", encoding="utf-8") as f:
            before = None
            for query, _, rows in found:
                if rows != before:
                    f.write("".join("+ %s\n" % row for row in rows) + "\n")
                before = rows
                f.write("% prices\n" + "".join("? %s\n" % x for x in query.splitlines()) + "\n")
        done = subprocess.run([golden, "-w", path], capture_output=True, encoding="utf-8")
        if done.returncode:
            sys.exit("the states of a store disagree, or the page cannot be run:\n" +
                     done.stdout + done.stderr)
        with open(path, encoding="utf-8") as f:
            cases = [case for case in f.read().split("\n\n") if "? " in case and
                     case.startswith("%")]
    return ["\n".join(line for line in case.splitlines()
                      if not line.startswith(("? ", "% "))).strip()
            for case in cases]


def main():
    golden, page, least = sys.argv[1:]
    with open(page, encoding="utf-8") as f:
        found = examples(f.read())
    answers = run(golden, found)
    if len(answers) != len(found) or len(found) < int(least):
        sys.exit("%d queries, %d answers" % (len(found), len(answers)))
    failed = 0
    for (query, want, _), got in zip(found, answers):
        if want is None:
            bad = not got or got.startswith("error ") or got.startswith("!")
        else:
            bad = got != want
        if bad:
            failed += 1
            print("%s\n  the page says:\n%s\n  answered:\n%s\n" %
                  (query, want or "it finds something", got))
    print("%d examples, %d failed" % (len(found), failed))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
