#!/usr/bin/env python3
"""What a million tasks that wait for their eta cost a worker in memory.

    bench/bench_eta.py [--tasks N] [--build DIR] [--broker URL]

Sends them with a countdown of a day, starts a worker, lets it run for some seconds while other tasks
pass through, and prints JSON lines: peak and proportional memory of the parent without and with the
waiting tasks, and the difference for each of them.  The promise is 100 bytes or less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

DAY_MS = 86_400_000


def read_kib(path: str, name: str) -> int:
    """One line of a file of /proc."""
    for line in Path(path).read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"{path} has no {name}")


def measure(probe: str, env: dict[str, str], seconds: float) -> dict[str, int]:
    """A worker's memory after some seconds of work."""
    with subprocess.Popen([probe, "worker", "-c", "2"], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as worker:
        assert worker.stdout is not None
        line = worker.stdout.readline()
        if not line.startswith("ready: "):
            raise RuntimeError(f"the worker did not start: {line!r}")
        subprocess.run([probe, "flood", "2000", "--task", "probe.noop"], env=env, check=True,
                       stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        memory = {
            "peak_rss_kib": read_kib(f"/proc/{worker.pid}/status", "VmHWM"),
            "pss_kib": read_kib(f"/proc/{worker.pid}/smaps_rollup", "Pss"),
        }
        worker.terminate()
        worker.wait(timeout=30)
    return memory


def main() -> None:
    """Without, then with the waiting tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--build", default="build")
    parser.add_argument("--broker", help="an empty one; default: SQLite in a temporary directory")
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    probe = str(Path(options.build) / "tests/tools/probe")
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "TRAWL_DATA_DIR": data, "PROBE_RUNNER": "bare"}
        if options.broker:
            env["CELERY_BROKER_URL"] = options.broker
        before = measure(probe, env, options.seconds)
        print(json.dumps({"name": "no_eta_tasks", **before}), flush=True)
        sent = json.loads(subprocess.run(
            [probe, "flood", str(options.tasks), "--task", "probe.add", "--args", "[{i}, 1]",
             "--batch", "1000", "--countdown-ms", str(DAY_MS)],
            env=env, check=True, capture_output=True, text=True).stdout)
        after = measure(probe, env, options.seconds)
        grown = after["peak_rss_kib"] - before["peak_rss_kib"]
        print(json.dumps({
            "name": "eta_tasks", "n": sent["confirmed"], **after,
            "bytes_per_task": round(grown * 1024 / sent["confirmed"], 2)}), flush=True)


if __name__ == "__main__":
    main()
