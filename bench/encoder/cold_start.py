#!/usr/bin/env python3
"""How long one search takes from a cold start, and how long one query once the model is open.

    cold_start.py TRAWL BENCH_ENCODER MODEL_DIR QUERIES DATABASE WORK_DIR [--rounds N]

DATABASE  a catalogue with vectors of the model; it is copied to WORK_DIR
QUERIES   one per line (texts.py)

search    `trawl search QUERY` from fork to exit: process, settings, database, model, index, both legs.
          warm: the files are in the page cache; cold: those of the model, the catalogue, the index and
          the program were dropped from it before (posix_fadvise), so the disk is measured too
help      the same process without database, model and index
query     one short text by an encoder that is open (bench_encoder), per precision

Prints a JSON object per measurement; exit status 1 if a warm search's median is over 150 ms, or a
query's in the precision that "auto" takes here over 1.5 ms.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

SEARCH_MS, QUERY_MS = 150, 1.5


def show(name, unit, values, **more):
    values = sorted(values)
    row = {"name": name, "unit": unit, "median": round(statistics.median(values), 2), "min": round(values[0], 2),
           "max": round(values[-1], 2), "n": len(values), **more}
    print(json.dumps(row), flush=True)
    return row["median"]


def drop(paths):
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def run(command, env):
    start = time.perf_counter()
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    took_ms = 1000 * (time.perf_counter() - start)
    if done.returncode != 0:
        sys.exit(f"cold_start: {' '.join(command)}: {done.stderr.strip()}")
    return took_ms, done.stdout


def measure_searches(args, queries, env):
    command = [str(args.trawl), "search", "--json"]
    files = [args.trawl, *(p for p in args.model.rglob("*") if p.is_file())]
    files += [p for p in args.work.iterdir() if p.is_file() and p.name.startswith("trawl.db")]
    found = {"warm": [], "cold": []}
    for query in queries:
        for state, times in found.items():
            if state == "cold":
                drop(files)
            took_ms, text = run([*command, query], env)
            if json.loads(text).get("note"):
                sys.exit(f"cold_start: not by meaning: {json.loads(text)['note']}")
            times.append(took_ms)
    show("help", "ms", [run([str(args.trawl), "search", "--help"], env)[0] for _ in queries])
    show("search, cold", "ms", found["cold"])
    return show("search, warm", "ms", found["warm"])


def measure_query(args, precision):
    text = run([str(args.bench), str(args.model), str(args.queries), precision, "0", "200"], os.environ)[1]
    rows = [json.loads(line) for line in text.splitlines()]
    row = next(row for row in rows if row["name"] == "query")
    print(json.dumps({**row, "precision": precision}), flush=True)
    return row["median"]


def main():
    parser = argparse.ArgumentParser()
    for name in ("trawl", "bench", "model", "queries", "database", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    args.model, args.trawl = args.model.resolve(), args.trawl.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(args.database, args.work / "trawl.db")
    env = {**os.environ, "TRAWL_DATA_DIR": str(args.work), "EMBEDDING_MODEL": str(args.model),
           "DATABASE_URL": f"sqlite:///{args.work.resolve()}/trawl.db"}
    queries = args.queries.read_text(encoding="utf-8").splitlines()[: args.rounds + 1]
    run([str(args.trawl), "db", "migrate"], env)
    run([str(args.trawl), "search", queries.pop()], env)  # writes the index and the note of auto's check
    search_ms = measure_searches(args, queries, env)
    query_ms = {precision: measure_query(args, precision) for precision in ("f32", "bf16", "int8", "auto")}
    sys.exit(int(search_ms > SEARCH_MS or query_ms["auto"] > QUERY_MS))


if __name__ == "__main__":
    main()
