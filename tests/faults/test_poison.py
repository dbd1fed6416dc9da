"""F21, F25: tasks that kill or block their process, multiply, or eat the memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import IS_SANITIZED, Ledger, Place, Worker, session_pids, wait_until

CGROUP_V1 = Path("/sys/fs/cgroup/memory")
CGROUP_V2 = Path("/sys/fs/cgroup")
LIMIT_MIB = 200


def no_stranger(worker: Worker) -> bool:
    """No process is there but the worker, its two children and who writes its history."""
    return len(session_pids(worker.pid)) == 4


@pytest.mark.parametrize("how, amount, word", [
    ("segv", 0, "SIGSEGV"), ("abort", 0, "SIGABRT"), ("exit", 3, "exitcode 3"),
    ("exit", 0, "exitcode 0"), ("kill", 0, "SIGKILL"), ("orphans", 8, "SIGSEGV"),
])
def test_f21_crash(place: Place, ledger: Ledger, how: str, amount: int, word: str) -> None:
    """Three attempts, then dead with the reason; the others do not notice."""
    worker = place.start()
    task_id = place.call("probe.crash", "--how", how, "--amount", str(amount),
                         "--path", str(ledger.path))
    ledger.submit(60, ms=20)
    wait_until(lambda: place.depth()["dead"] == 1, "given up")
    place.wait_settled()
    assert ledger.count("start").pop("-") == 3
    (dead,) = place.dead()
    assert dead["n_crashes"] == 3 and word in dead["reason"], dead
    assert place.result(task_id)["result"]["exc_type"] == "WorkerLostError"
    assert ledger.n_done() == 60
    wait_until(lambda: no_stranger(worker), "what the task has forked is gone", 5)
    ledger.n_submitted += 1
    ledger.check(n_dead=1)


@pytest.mark.parametrize("how, amount", [("hang", 0), ("spin", 0), ("stop", 0), ("fork", 64)])
def test_f21_never_ends(place: Place, ledger: Ledger, how: str, amount: int) -> None:
    """The hard limit kills it with all that it has forked; a final failure, as in Celery."""
    worker = place.start("--time-limit", "1")
    task_id = place.call("probe.crash", "--how", how, "--amount", str(amount),
                         "--path", str(ledger.path))
    ledger.submit(60, ms=20)
    place.wait_settled()
    assert ledger.count("start").pop("-") == 1
    assert place.result(task_id)["result"]["exc_type"] == "TimeLimitExceeded"
    assert ledger.n_done() == 60
    wait_until(lambda: no_stranger(worker), "what the task has forked is gone", 5)
    ledger.check(n_dead=0)


def test_f21_poison_beside_a_flood(place: Place, ledger: Ledger) -> None:
    """Ten poisonous tasks among many: each is tried three times, none of the others is lost."""
    place.start()
    for _ in range(10):
        ledger.submit(40, ms=2)
        place.call("probe.crash", "--how", "segv", "--path", str(ledger.path))
    wait_until(lambda: place.depth()["dead"] == 10, "all poison is given up", 60)
    place.wait_settled()
    assert ledger.count("start").pop("-") == 30
    assert ledger.n_done() == 400
    assert {row["n_crashes"] for row in place.dead()} == {3}
    ledger.n_submitted += 10
    balance = ledger.check(n_dead=10)
    assert balance["done"] == 400


@pytest.fixture(name="cell")
def make_cell() -> Iterator[Path]:
    """A control group with little memory; its directory."""
    name = f"trawl-faults-{os.getpid()}"
    is_v1 = (CGROUP_V1 / "memory.limit_in_bytes").exists()
    cell = (CGROUP_V1 if is_v1 else CGROUP_V2) / name
    limit = cell / ("memory.limit_in_bytes" if is_v1 else "memory.max")
    try:
        cell.mkdir()
        limit.write_text(str(LIMIT_MIB << 20))
    except OSError as error:
        if cell.exists():
            cell.rmdir()
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    yield cell
    for _ in range(100):
        try:
            cell.rmdir()
            return
        except OSError:
            time.sleep(0.05)


def test_f25_out_of_memory(place: Place, ledger: Ledger, cell: Path) -> None:
    """The kernel kills the child that took the memory, never the parent; the reason says so."""
    if IS_SANITIZED:
        pytest.skip("memory is another under the sanitizer")
    worker = place.start(prefix=["/bin/sh", "-c", f'echo $$ > {cell}/cgroup.procs; exec "$@"',
                                 "sh"])
    task_id = place.call("probe.crash", "--how", "memory", "--amount", str(4 * LIMIT_MIB),
                         "--path", str(ledger.path))
    ledger.submit(100, ms=10)
    wait_until(lambda: place.depth()["dead"] == 1, "given up", 60)
    place.wait_settled()
    assert worker.process.poll() is None, "the parent was killed"
    assert ledger.count("start").pop("-") <= 3
    (dead,) = place.dead()
    print(dead["reason"])
    assert "memory" in dead["reason"].lower() or "oom" in dead["reason"].lower(), dead
    assert place.result(task_id)["result"]["exc_type"] == "WorkerLostError"
    assert ledger.n_done() == 100
    worker.process.terminate()
    assert worker.wait() == 0


def test_f25_memory_limit_of_the_worker(place: Place, ledger: Ledger) -> None:
    """--max-memory-per-child: a child that has grown is replaced after its task, which is done."""
    worker = place.start("--max-memory-per-child", "60000", n_children=1)
    (before,) = worker.children()
    place.run("call", "probe.big", "--bytes", "90000000", "--wait", status=None)
    wait_until(lambda: worker.children() and worker.children() != [before], "a new child")
    ledger.submit(5)
    place.wait_settled()
    assert ledger.n_done() == 5
