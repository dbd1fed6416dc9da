"""`trawl worker` while its files are locked, damaged or away, and what it cleans up.

The tasks are the probe's (tests/tools/)."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers import PROBE, Workers, children_of, wait_until


def start(workers: Workers, *words: str, **env: str) -> subprocess.Popen[str]:
    """A worker with the probe's tasks, of which none touches the catalogue."""
    return workers.start(*words, program=PROBE, PROBE_RUNNER="bare", **env)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A foreign writer that does not let go."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def send_while_running(workers: Workers, prefix: str, count: int) -> None:
    """Some tasks, and one that runs while the file is being maltreated."""
    workers.send("probe.sleep", {"ms": 300}, prefix=f"{prefix}-long")
    workers.send("probe.add", {"x": 1}, count=count, prefix=prefix)


def test_results_locked(workers: Workers) -> None:
    """Tasks go on, results are kept and stored later, and no message is settled before its result."""
    worker = start(workers)
    with locked(workers.trawl.data / "results.db"):
        send_while_running(workers, "r", 20)
        wait_until(lambda: workers.query("broker.db", "SELECT count(*) FROM claims") == [(21,)]
                   or "kept and tried again" in workers.log.read_text(), "taken")
        time.sleep(1)
        assert workers.n_messages() == 21
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert workers.states() == {"SUCCESS": 21}
    worker.terminate()
    assert worker.wait(timeout=10) == 0


def test_broker_locked(workers: Workers) -> None:
    """Running tasks end, nothing is lost or run twice, and the lease is ours all the time."""
    worker = start(workers)
    send_while_running(workers, "b", 20)
    wait_until(lambda: workers.result("b-long-0").get("status") == "STARTED", "started")
    with locked(workers.trawl.data / "broker.db"):
        wait_until(lambda: workers.result("b-long-0").get("status") == "SUCCESS", "stored")
        time.sleep(1)
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert workers.states() == {"SUCCESS": 21}
    assert "no longer ours" not in workers.log.read_text()
    worker.terminate()
    assert worker.wait(timeout=10) == 0


def damage(path: Path) -> None:
    """Noise, in the file and in its write-ahead log; but for the first page, which tells what the file
    is, and but for the shared memory, which every process has mapped."""
    for name, n_kept in ((path, 4096), (Path(f"{path}-wal"), 32)):
        with name.open("r+b") as file:
            file.seek(n_kept)
            file.write(b"\xa5" * (name.stat().st_size - n_kept))


def swap_for_backup(path: Path, backup: Path) -> None:
    """As a person restores a database whose programs are still running: by renaming."""
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    backup.rename(path)


def test_broker_damaged(workers: Workers) -> None:
    """Nothing is done on top of damage: the worker ends its tasks and itself, and says what to do; with
    the file restored the next one goes on."""
    workers.send("probe.add", {"x": 1}, count=5, prefix="before")
    path, backup = workers.trawl.data / "broker.db", workers.trawl.home / "backup.db"
    shutil.copy(path, backup)
    worker = start(workers)
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    children = children_of(worker.pid)
    # More than fits into the worker's cache, so that it has to look into the file.
    workers.send("probe.sleep", {"ms": 20}, count=5000, prefix="running")
    wait_until(lambda: workers.result("running-9").get("status") == "SUCCESS", "some have run")
    damage(path)
    assert worker.wait(timeout=15) == 1
    assert "trawl: broker: " in workers.log.read_text()
    assert "run `trawl db check`, and recover as docs/database.md says" in workers.log.read_text()
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    swap_for_backup(path, backup)
    start(workers)
    workers.send("probe.add", {"x": 2}, count=5, prefix="after")
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert all(workers.result(f"after-{i}")["status"] == "SUCCESS" for i in range(5))


def test_results_damaged(workers: Workers) -> None:
    """Results are kept until the file is mended; their messages wait so long."""
    worker = start(workers)
    path, backup = workers.trawl.data / "results.db", workers.trawl.home / "backup.db"
    workers.send("probe.add", {"x": 1}, count=50, prefix="before")
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    workers.query("results.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, backup)
    damage(path)
    workers.send("probe.add", {"x": 1}, count=10, prefix="after")
    wait_until(lambda: "results cannot be stored, they are kept" in workers.log.read_text(),
               "noticed")
    assert workers.n_messages() == 10
    swap_for_backup(path, backup)
    wait_until(lambda: workers.n_messages() == 0, "all messages settled", 40)
    assert all(workers.result(f"after-{i}")["status"] == "SUCCESS" for i in range(10))
    worker.terminate()
    assert worker.wait(timeout=15) == 0


def test_cold_end_without_a_backend(workers: Workers) -> None:
    """What cannot be stored is given up after a moment, and its messages are settled: the tasks have
    had their effect."""
    worker = start(workers)
    with locked(workers.trawl.data / "results.db"):
        workers.send("probe.add", {"x": 1}, count=3, prefix="r")
        wait_until(lambda: "task succeeded: id=r-2" in workers.log.read_text(), "done")
        begin = time.monotonic()
        worker.terminate()
        time.sleep(0.3)
        worker.terminate()
        assert worker.wait(timeout=15) == 0
        assert time.monotonic() - begin < 4
    assert "result is lost, the backend did not come back: id=r-2" in workers.log.read_text()
    assert workers.n_messages() == 0


def test_expired_results_are_removed(workers: Workers) -> None:
    """Some hundreds at a time, until none is left; the others stay."""
    worker = start(workers)
    workers.send("probe.add", {"x": 1}, count=450, prefix="old")
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    connection = sqlite3.connect(workers.trawl.data / "results.db", timeout=10)
    with connection:
        connection.execute("UPDATE results SET expires_at = 1 WHERE task_id <> 'old-7'")
    connection.close()
    start(workers)
    wait_until(lambda: workers.states() == {"SUCCESS": 1}, "removed")
    assert workers.result("old-7")["status"] == "SUCCESS"
