#!/usr/bin/env python3
"""What limits keep, and what they cost those that have none.

    bench/bench_limits.py [--seconds S] [--workers N] [--build DIR] [--broker URL] [--producers N]

Four workers, three queues: one at 10 tasks a second with a backlog of many hosts, one with three
hosts at 2 a second each, and one without limits, that a task is sent to every 50 ms; others without a
key go to the queue of the three hosts, behind its backlog.  Then producers send one unique call at
the same time, each many times.  Prints JSON lines, and fails where a promise is broken: rates within
2 % (5 % in less than 30 s), unlimited tasks within 50 ms (99 of 100), one message queued.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RULES = """limits:
  tasks:
    probe.record: {key: path}
  queues:
    crawl: {rate: 10/s}
  keys:
KEYS"""
N_HOSTS = 3
N_CRAWLED = 10


class Run:
    """The processes of one measurement, in a directory of their own."""

    def __init__(self, options: argparse.Namespace, home: Path) -> None:
        self.options = options
        self.home = home
        self.probe = str(Path(options.build).resolve() / "tests/tools/probe")
        broker = options.broker or f"sqlite:///{home}/broker.db"
        backend = options.broker or f"sqlite:///{home}/results.db"
        self.env = os.environ | {"TRAWL_DATA_DIR": str(home), "CELERY_BROKER_URL": broker,
                                 "CELERY_RESULT_BACKEND": backend, "TRAWL_LOG_LEVEL": "warning"}
        hosts = [self.record(f"host{i}") for i in range(N_HOSTS)]
        hosts += [self.record(f"crawled{i}") for i in range(N_CRAWLED)]
        rules = "\n".join(f"    {json.dumps(host)}: {{rate: 2/s}}" for host in hosts)
        (home / "trawl.yaml").write_text(RULES.replace("KEYS", rules) + "\n", encoding="utf-8")

    def record(self, name: str) -> str:
        """Where the tasks of one host write down when they start."""
        return str(self.home / name)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The probe, in the background."""
        return subprocess.Popen([self.probe, *words], cwd=self.home, env=self.env, text=True,
                                stdout=subprocess.PIPE)

    def flood(self, n: int, name: str, queue: str, *words: str) -> subprocess.Popen[str]:
        """n tasks that write down when they were sent and when they start."""
        kwargs = json.dumps({"path": self.record(name), "token": "{t}"})
        return self.start("flood", str(n), "--task", "probe.record", "--queue", queue, "--kwargs",
                          kwargs, *words)

    def starts(self, name: str) -> list[tuple[int, int]]:
        """Of each task: when it was sent, and when it started, in milliseconds."""
        path = Path(self.record(name))
        if not path.exists():
            return []
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return [(int(row[1]), int(row[3])) for row in rows if row[0] == "start"]


def count_rate(run: Run, names: list[str], begin_ms: int, end_ms: int) -> float:
    """Starts a second between the two instants."""
    n = sum(begin_ms <= start < end_ms for name in names for _, start in run.starts(name))
    return n * 1000 / (end_ms - begin_ms)


def measure_waits(run: Run, name: str) -> dict[str, Any]:
    """From sent to started."""
    waits = sorted(start - sent for sent, start in run.starts(name))
    return {"name": f"wait_{name}", "unit": "ms", "n": len(waits), "median": waits[len(waits) // 2],
            "p99": waits[int(len(waits) * 0.99)], "max": waits[-1]}


def measure_rates(run: Run) -> list[dict[str, Any]]:
    """The rates of queue and hosts, and the waits of those that no limit holds for."""
    seconds, n_extra = run.options.seconds, 10
    workers = [run.start("worker", "-c", "2", "-Q", "crawl,hosts,fast", "-n", f"w{i}@bench")
               for i in range(run.options.workers)]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline().startswith("ready: ")
    n_host, n_crawl = int(2 * (seconds + n_extra)), int(10 * (seconds + n_extra) / N_CRAWLED)
    floods = [run.flood(n_host, f"host{i}", "hosts") for i in range(N_HOSTS)]
    floods += [run.flood(n_crawl, f"crawled{i}", "crawl") for i in range(N_CRAWLED)]
    for flood in floods:
        flood.communicate()
    time.sleep(2)
    n_fast = int(seconds * 20)
    words = ("--batch", "1", "--pace-ms", "50")
    free = [run.flood(n_fast, "fast", "fast", *words), run.flood(n_fast, "keyless", "hosts", *words)]
    begin_ms = int(time.monotonic() * 1000)
    time.sleep(seconds)
    end_ms = int(time.monotonic() * 1000)
    for flood in free:
        flood.communicate()
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait(timeout=30)
    rows: list[dict[str, Any]] = []
    queue = count_rate(run, [f"crawled{i}" for i in range(N_CRAWLED)], begin_ms, end_ms)
    rows.append({"name": "rate_queue", "unit": "1/s", "wanted": 10, "measured": round(queue, 3)})
    for i in range(N_HOSTS):
        host = count_rate(run, [f"host{i}"], begin_ms, end_ms)
        rows.append({"name": f"rate_host{i}", "unit": "1/s", "wanted": 2, "measured": round(host, 3)})
    return rows + [measure_waits(run, "fast"), measure_waits(run, "keyless")]


def measure_unique(run: Run) -> dict[str, Any]:
    """Many producers, one call."""
    n_calls = 1000
    producers = [run.start("flood", str(n_calls), "--task", "probe.noop", "--queue", "single",
                           "--unique", "running", "--timeout-ms", "300000")
                 for _ in range(run.options.producers)]
    counts = [json.loads(producer.communicate()[0]) for producer in producers]
    done = subprocess.run([run.probe, "queue", "list", "single", "--json"], cwd=run.home,
                          env=run.env, check=True, capture_output=True, text=True)
    return {"name": "unique", "calls": n_calls * run.options.producers,
            "confirmed": sum(count["confirmed"] for count in counts),
            "duplicates": sum(count["duplicates"] for count in counts),
            "queued": json.loads(done.stdout)[0]["ready"]}


def check(row: dict[str, Any], tolerance: float) -> bool:
    """Whether it is as promised."""
    if "wanted" in row:
        return abs(row["measured"] - row["wanted"]) <= tolerance * row["wanted"]
    if row["name"] == "unique":
        return row["confirmed"] == row["queued"] == 1 and row["duplicates"] == row["calls"] - 1
    return row["p99"] < 50


def main() -> None:
    """Rates and waits, then the unique call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--producers", type=int, default=100)
    parser.add_argument("--build", default="build")
    parser.add_argument("--broker", help="an empty one; default: SQLite in a temporary directory")
    options = parser.parse_args()
    tolerance = 0.02 if options.seconds >= 30 else 0.05
    with tempfile.TemporaryDirectory() as home:
        run = Run(options, Path(home))
        rows = [*measure_rates(run), measure_unique(run)]
    is_kept = True
    for row in rows:
        row["kept"] = check(row, tolerance)
        is_kept = is_kept and row["kept"]
        print(json.dumps(row))
    sys.exit(0 if is_kept else 1)


if __name__ == "__main__":
    main()
