"""Entries of agents whose context grows: each call's input is the whole history so far.

growing.py SESSIONS [SEED] writes NDJSON. A session has 30 to 100 turns; a turn adds 200 to 3,000
bytes of words to the history, and the input of its entry repeats all of it. Ten sessions run at a
time. Everything follows from the seed."""
import json
import random
import sys

VOCABULARY = 6000


def words(rng, n, vocabulary):
    out, size = [], 0
    while size < n:
        w = vocabulary[min(int(rng.expovariate(1 / 600)), VOCABULARY - 1)]
        out.append(w)
        size += len(w) + 1
    return " ".join(out)


def sessions(count, seed=1, start=1_760_000_000):
    """yields entries by rising time"""
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choice("etaoinshrdlucmfwygpbvkxqjz") for _ in range(rng.randint(2, 11)))
                  for _ in range(VOCABULARY)]
    system = words(rng, 4000, vocabulary)
    running, begun, now = [], 0, start
    while running or begun < count:
        while len(running) < 10 and begun < count:
            begun += 1
            running.append({"id": "s-%06d" % begun, "agent": "agent-%d" % (begun % 5),
                            "left": rng.randint(30, 100), "turn": 0,
                            "history": [{"role": "system", "content": system}]})
        s = rng.choice(running)
        s["history"].append({"role": rng.choice(["user", "assistant", "tool"]),
                             "content": words(rng, rng.randint(200, 3000), vocabulary)})
        s["turn"] += 1
        now += rng.randint(1, 9)
        yield {"timestamp": now, "agent": s["agent"], "session_id": s["id"], "level": "info",
               "message": "turn %d" % s["turn"], "model": "m-1",
               "input": json.dumps(s["history"]), "output": s["history"][-1]["content"][:300]}
        s["left"] -= 1
        if s["left"] == 0:
            running.remove(s)


if __name__ == "__main__":
    try:
        for entry in sessions(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1):
            sys.stdout.write(json.dumps(entry) + "\n")
    except BrokenPipeError:
        pass
