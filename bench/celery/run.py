#!/usr/bin/python3
"""Trawl beside Celery: both sides measured in turn in one run, on one Redis.

    run.py [--build DIR] [--python PYTHON] [--rounds N] [--scale F] [--json FILE] [SECTION ...]

Sections: throughput enqueue trip mixes start memory eta sqlite; all without a name.  docs/performance.md says what
each one measures and what came of it.  Nothing here fails because of a figure: targets are printed, met or
not.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis_server import Redis
from sides import ROOT, Celery, Trawl, Workers

POLL_S = 0.01


@dataclass
class Row:
    """One line of the table: medians of the rounds, and the target as the issue has it."""

    name: str
    unit: str
    trawl: list[float]
    celery: list[float] = field(default_factory=list)
    target: str = ""
    is_met: bool | None = None
    note: str = ""

    def ratio(self) -> float | None:
        """How many times better Trawl is; of rates and of costs alike."""
        if not self.trawl or not self.celery:
            return None
        trawl, celery = statistics.median(self.trawl), statistics.median(self.celery)
        return trawl / celery if self.unit == "1/s" else celery / trawl

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "unit": self.unit, "trawl": self.trawl, "celery": self.celery,
                "ratio": self.ratio(), "target": self.target, "met": self.is_met,
                "note": self.note}


@dataclass
class Bench:
    """What every section needs."""

    trawl: Trawl
    celery: Celery
    redis: Redis
    home: Path
    rounds: int
    scale: float
    rows: list[Row] = field(default_factory=list)

    def n(self, count: int) -> int:
        return max(int(count * self.scale), 100)

    def add(self, row: Row) -> None:
        """Said at once, for who watches."""
        self.rows.append(row)
        print(json.dumps(row.as_json()), flush=True)


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")


def wait_until_empty(n_left: Callable[[], int], poll_s: float = POLL_S,
                     limit_s: float = 600) -> float:
    """Tasks settled per second, from the first look at which some were to the one at which all are."""
    first = n_left()
    start = time.monotonic()
    while True:
        now = time.monotonic()
        left = n_left()
        if left == 0:
            return first / (now - start)
        if now - start > limit_s:
            raise RuntimeError(f"{left} messages are left after {limit_s} s")
        time.sleep(poll_s)


def drain(bench: Bench, side: Trawl | Celery, n: int, mode: str) -> tuple[float, float, float]:
    """Tasks a second; processor microseconds per task of the worker with its children, and of the
    server."""
    bench.redis.clear()
    bench.celery.fill(bench.redis.url, n, mode)
    server_s = bench.redis.cpu_s()
    with side.worker(bench.redis.url) as worker:
        rate = wait_until_empty(bench.redis.n_left)
        return rate, worker.cpu_s() * 1e6 / n, (bench.redis.cpu_s() - server_s) * 1e6 / n


def throughput(bench: Bench) -> None:
    """The queue is full before the worker starts; counted from its ready line on."""
    for mode, name in (("ignore", "no-op tasks, results ignored"),
                       ("store", "no-op tasks, results stored")):
        rates: dict[str, list[float]] = {"trawl": [], "celery": []}
        costs: dict[str, list[tuple[float, float]]] = {"trawl": [], "celery": []}
        for _ in range(bench.rounds):
            for side, n in ((bench.celery, bench.n(6000)), (bench.trawl, bench.n(300000))):
                rate, *cost = drain(bench, side, n, mode)
                rates[side.name].append(rate)
                costs[side.name].append((cost[0], cost[1]))
        row = Row(name, "1/s", rates["trawl"], rates["celery"], "25 x",
                  note="; ".join(
                      f"{side}: {median([cost[0] for cost in costs[side]]):.1f} us of processor time "
                      f"per task, the server {median([cost[1] for cost in costs[side]]):.1f} us"
                      for side in costs))
        row.is_met = (row.ratio() or 0) >= 25
        bench.add(row)


def ask_server_limit(bench: Bench) -> float:
    """What Redis's own tool gets, one LPUSH of about a message's size at a time."""
    done = subprocess.run(
        ["redis-benchmark", "-p", str(bench.redis.port), "-c", "1", "-n", str(bench.n(50000)), "-d",
         "900", "-t", "lpush", "--csv"], capture_output=True, text=True, timeout=600, check=True)
    return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))


def enqueue(bench: Bench) -> None:
    """One producer, nobody consumes."""
    limits: list[float] = []
    single: list[float] = []
    batched: list[float] = []
    celery: list[float] = []
    for _ in range(bench.rounds):
        bench.redis.clear()
        celery.append(bench.celery.send(bench.redis.url, bench.n(5000))["value"])
        bench.redis.clear()
        single.append(bench.trawl.send(bench.redis.url, bench.n(50000))["value"])
        bench.redis.clear()
        limits.append(ask_server_limit(bench))
        bench.redis.clear()
        batched.append(bench.trawl.fill(bench.redis.url, bench.n(500000))["value"])
    bench.redis.clear()
    for name, values, times, note in (
            ("enqueue one by one", single, 10,
             f"redis-benchmark, one LPUSH of 900 bytes at a time: {median(limits):,.0f}/s"),
            ("enqueue in batches of 1,000", batched, 25,
             "Celery has apply_async in a loop only")):
        row = Row(name, "1/s", values, celery, f"{times} x", note=note)
        row.is_met = (row.ratio() or 0) >= times
        bench.add(row)


def trip(bench: Bench) -> None:
    """Send, wait for the result, in the same process; then the next one."""
    spans: dict[str, dict[str, list[float]]] = {
        side: {"p50": [], "p99": []} for side in ("trawl", "celery")}
    for _ in range(bench.rounds):
        for side, n in ((bench.celery, bench.n(600)), (bench.trawl, bench.n(5000))):
            bench.redis.clear()
            with side.worker(bench.redis.url):
                answer = side.trip(bench.redis.url, n)
            for name in ("p50", "p99"):
                spans[side.name][name].append(answer[name] / 1000)
    bench.redis.clear()
    row = Row("round trip, p50", "ms", spans["trawl"]["p50"], spans["celery"]["p50"], "0.5 ms")
    row.is_met = median(row.trawl) <= 0.5
    bench.add(row)
    bench.add(Row("round trip, p99", "ms", spans["trawl"]["p99"], spans["celery"]["p99"]))


def send_and_drain(bench: Bench, producer: Trawl | Celery, worker: Trawl | Celery, n: int) -> float:
    """Tasks a second from the first one sent to the last one settled; the worker runs before."""
    bench.redis.clear()
    with worker.worker(bench.redis.url):
        send_s = n / producer.send(bench.redis.url, n)["value"]
        start = time.monotonic()
        while bench.redis.n_left() > 0:
            time.sleep(POLL_S)
        return n / (send_s + time.monotonic() - start)


def mixes(bench: Bench) -> None:
    """Who sends, and who works: the four mixes, one producer that sends one by one, results ignored."""
    sides = {"Python": bench.celery, "Trawl": bench.trawl}
    rates: dict[tuple[str, str], list[float]] = {
        (producer, worker): [] for producer in sides for worker in sides}
    for _ in range(bench.rounds):
        for (producer, worker), values in rates.items():
            n = bench.n(20000 if (producer, worker) == ("Trawl", "Trawl") else 5000)
            values.append(send_and_drain(bench, sides[producer], sides[worker], n))
    bench.redis.clear()
    for (producer, worker), values in rates.items():
        bench.add(Row(f"mix: {producer} sends, {worker} works", "1/s", values,
                      rates["Python", "Python"], note="beside it: Python sends, Python works"))


def start(bench: Bench) -> None:
    """From exec to the line that says ready."""
    spans: dict[str, list[float]] = {"trawl": [], "celery": []}
    bench.redis.clear()
    for _ in range(bench.rounds):
        for side, n in ((bench.celery, 1), (bench.trawl, 5)):
            for _ in range(n):
                with side.worker(bench.redis.url) as worker:
                    spans[side.name].append(worker.ready_s * 1000)
    row = Row("start until ready", "ms", spans["trawl"], spans["celery"], "20 ms")
    row.is_met = median(row.trawl) <= 20
    bench.add(row)


def memory(bench: Bench) -> None:
    """Parent and two children, after some work; the page tables' view: what is shared counts once."""
    sizes: dict[str, list[float]] = {"trawl": [], "celery": []}
    for _ in range(bench.rounds):
        for side in (bench.celery, bench.trawl):
            bench.redis.clear()
            with side.worker(bench.redis.url) as worker:
                bench.celery.fill(bench.redis.url, bench.n(2000), "store")
                wait_until_empty(bench.redis.n_left)
                sizes[side.name].append(worker.pss_mb())
    row = Row("memory of the worker and two children", "MB", sizes["trawl"], sizes["celery"],
              "10 MB")
    row.is_met = median(row.trawl) <= 10
    bench.add(row)


def watch_memory(worker: Workers, n_seen: Callable[[], int], n: int, quiet_s: float = 3) -> float:
    """The highest sum while the worker takes what it wants to take, and for a while after it."""
    peak = 0.0
    before, since = -1, time.monotonic()
    while True:
        peak = max(peak, worker.pss_mb())
        seen = n_seen()
        if seen != before:
            before, since = seen, time.monotonic()
        if time.monotonic() - since > quiet_s:
            return peak
        time.sleep(0.05)


def hold_etas(bench: Bench, side: Trawl | Celery, n: int) -> tuple[float, int]:
    """Peak memory with n tasks that are due in a day, and how many results there are after all."""
    bench.redis.clear()
    with side.worker(bench.redis.url) as worker:
        bench.celery.fill(bench.redis.url, n, "86400")
        peak = watch_memory(worker, lambda: bench.redis.ask(("LLEN", "celery"))[0], n)
        n_done = bench.redis.ask(("EVAL", "return #redis.call('KEYS', 'celery-task-meta-*')",
                                  "0"))[0]
    return peak, n_done


def eta(bench: Bench) -> None:
    """Sent while the worker runs.  Celery keeps them all in memory: fewer, and extrapolated."""
    n_trawl, n_celery, n_few = bench.n(1000000), bench.n(20000), bench.n(1000)
    trawl, n_early = hold_etas(bench, bench.trawl, n_trawl)
    few, _ = hold_etas(bench, bench.celery, n_few)
    many, _ = hold_etas(bench, bench.celery, n_celery)
    celery = few + (many - few) / (n_celery - n_few) * (n_trawl - n_few)
    bench.redis.clear()
    row = Row(f"peak memory with {n_trawl:,} ETA tasks", "MB", [trawl], [celery], "100 MB",
              note=f"{n_early} were delivered early; Celery: extrapolated from {n_few:,} "
                   f"({few:.0f} MB) and {n_celery:,} ({many:.0f} MB)")
    row.is_met = trawl <= 100 and n_early == 0
    bench.add(row)


def time_sync(directory: Path) -> float:
    """Milliseconds that the disk takes to write 4 KiB and to say that they are there; the median."""
    spans = []
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            start = time.monotonic()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            spans.append((time.monotonic() - start) * 1000)
    return median(spans)


def sqlite(bench: Bench) -> None:
    """Trawl alone, durable: synchronous=FULL, one sync per batch."""
    syncs: list[float] = []
    enqueued: list[float] = []
    done: dict[str, list[float]] = {"ignore": [], "store": []}
    for i in range(bench.rounds):
        for mode in done:
            where = Path(tempfile.mkdtemp(dir=bench.home, prefix=f"sqlite-{i}-"))
            syncs.append(time_sync(where))
            broker = f"sqlite:///{where}/broker.db"
            words = ["ignore"] if mode == "ignore" else []
            enqueued.append(bench.trawl.fill(broker, bench.n(200000), *words)["value"])
            database = sqlite3.connect(f"file:{where}/broker.db?mode=ro", uri=True, timeout=60)
            with bench.trawl.worker(broker, f"sqlite:///{where}/results.db"):
                done[mode].append(wait_until_empty(lambda db=database: db.execute(
                    "SELECT (SELECT count(*) FROM ready) + (SELECT count(*) FROM claims)"
                ).fetchone()[0], poll_s=0.1))
            database.close()
    row = Row("SQLite: enqueue in batches of 1,000", "1/s", enqueued, target="50,000/s",
              note=f"the disk took {median(syncs):.2f} ms to sync 4 KiB")
    row.is_met = median(row.trawl) >= 50000
    bench.add(row)
    for mode, name in (("ignore", "SQLite: no-op tasks, results ignored"),
                       ("store", "SQLite: no-op tasks, results stored")):
        row = Row(name, "1/s", done[mode], target="20,000/s")
        row.is_met = median(row.trawl) >= 20000
        bench.add(row)


SECTIONS = {section.__name__: section
            for section in (throughput, enqueue, trip, mixes, start, memory, eta, sqlite)}


def print_table(bench: Bench) -> None:
    """As docs/performance.md has it."""
    def show(values: list[float]) -> str:
        value = median(values)
        return "" if not values else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"

    print("\n| what | unit | Trawl | Celery | ratio | target | |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for row in bench.rows:
        ratio = row.ratio()
        verdict = "" if row.is_met is None else "PASS" if row.is_met else "SHORT"
        print(f"| {row.name} | {row.unit} | {show(row.trawl)} | {show(row.celery)} | "
              f"{'' if ratio is None else f'{ratio:.1f}'} | {row.target} | {verdict} |")
    for row in bench.rows:
        if row.note:
            print(f"{row.name}: {row.note}")


def read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--build", type=Path, default=ROOT / "build-bench")
    parser.add_argument("--python", default=os.environ.get(
        "TRAWL_CELERY_PYTHON", str(ROOT / ".cache/celery-venv/bin/python")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of tasks")
    parser.add_argument("--json", type=Path, help="write all figures there")
    words = parser.parse_args()
    unknown = set(words.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section {', '.join(unknown)}: there are {', '.join(SECTIONS)}")
    return words


def main() -> int:
    words = read_words()
    with tempfile.TemporaryDirectory(prefix="bench-celery-") as name:
        home = Path(name)
        redis = Redis(home)
        bench = Bench(Trawl(home, words.build), Celery(home, words.python), redis, home,
                      words.rounds, words.scale)
        print(f"Celery {bench.celery.version()}, {words.rounds} rounds, {os.cpu_count()} cores",
              flush=True)
        try:
            for section in words.sections or SECTIONS:
                SECTIONS[section](bench)
        finally:
            redis.stop()
            if words.json:
                rows = [row.as_json() for row in bench.rows]
                words.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print_table(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
