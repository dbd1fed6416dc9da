"""F14, F17, F18: the disk is full, the database is locked by others, or damaged."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import Ledger, Place, scale, wait_until

DISK_MIB = scale(16, 64)
LOCK_S = scale(3, 30)
MIB = 1 << 20


@pytest.fixture(name="small")
def make_small_disk(tmp_path: Path) -> Iterator[Place]:
    """A place whose data directory is a file system of its own."""
    one = Place(tmp_path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", one.data],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield one
    one.clean_up()
    subprocess.run(["umount", one.data], check=True)


def fill(place: Place) -> Path:
    """Take all the space that is left."""
    filler = place.data / "filler"
    with filler.open("ab", buffering=0) as file:
        block = b"x" * 65536
        try:
            while True:
                file.write(block)
        except OSError:
            pass
    return filler


def test_f14_full_while_sending(small: Place) -> None:
    """Senders hear of it, what was confirmed stays, and all of it runs once there is space."""
    ledger = Ledger(small)
    counts = ledger.submit(1000000, "--batch", "50", status=None,
                           extra={"token": "{i}", "ms": 0})
    assert counts["failed"] + counts["unknown"] > 0 and counts["confirmed"] > 1000
    assert "full" in counts["error"] or "space" in counts["error"], counts["error"]
    refused = small.run("call", "probe.noop", status=1).stderr
    assert "full" in refused or "space" in refused, refused
    assert small.depth()["ready"] >= ledger.n_submitted
    fill(small)
    assert small.depth()["ready"] >= ledger.n_submitted  # reading needs no space
    small.run("dead", "list")
    worker = small.start()
    time.sleep(1)
    assert worker.process.poll() is None
    (small.data / "filler").unlink()
    subprocess.run(["mount", "-o", f"remount,size={4 * DISK_MIB}m", small.data], check=True)
    small.wait_settled(timeout=120)
    assert small.call("probe.noop")
    small.wait_settled()
    ledger.check()
    print(f"confirmed={counts['confirmed']} failed={counts['failed']}")


def test_f14_full_while_working(small: Place) -> None:
    """The space ends under a worker: it lives, nothing is lost, and it goes on by itself."""
    ledger = Ledger(small)
    worker = small.start(n_children=2)
    ledger.submit(300, ms=5)
    wait_until(lambda: ledger.n_done() > 50, "some are done")
    filler = fill(small)
    n_before = ledger.n_done()
    time.sleep(scale(2, 10))
    assert worker.process.poll() is None
    assert small.depth()["ready"] >= 0
    print(f"done when full {n_before}, {ledger.n_done()} at its end")
    filler.unlink()
    small.wait_settled(timeout=60)
    balance = ledger.check(max_repeated=300)
    assert balance["done"] == 300
    assert worker.process.poll() is None
    states = ledger.states()
    print(states, f"repeated={balance['repeated']}")
    assert states == {"SUCCESS": 300}
    quick_check(small)


def quick_check(place: Place) -> None:
    """No database of the place is damaged."""
    for name in ("broker.db", "results.db", "trawl.db"):
        connection = sqlite3.connect(place.data / name)
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)], name
        connection.close()


def test_f17_locked_by_a_foreign_writer(sqlite: Place) -> None:
    """Somebody holds the write lock: readers read, senders hear of it within their time, the worker
    waits and goes on; no lease is lost."""
    ledger = Ledger(sqlite)
    worker = sqlite.start()
    ledger.submit(200, ms=10)
    wait_until(lambda: ledger.n_done() > 10, "some are done")
    foreign = sqlite3.connect(sqlite.data / "broker.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    end = time.monotonic() + LOCK_S
    moment = time.monotonic()
    refused = sqlite.run("call", "probe.noop", status=1).stderr
    span = time.monotonic() - moment
    assert span < 3, f"a sender hung for {span:.1f} s"
    print(f"refused after {span:.2f} s: {refused.strip()}")
    while time.monotonic() < end:
        assert sqlite.depth()["ready"] >= 0  # the view still reads
        time.sleep(0.2)
    foreign.execute("ROLLBACK")
    moment = time.monotonic()
    n_before = ledger.n_done()
    wait_until(lambda: ledger.n_done() > n_before, "it goes on", 5)
    print(f"goes on after {time.monotonic() - moment:.2f} s")
    foreign.close()
    sqlite.wait_settled()
    assert ledger.check(max_repeated=0)["done"] == 200
    assert worker.process.poll() is None
    assert ledger.states() == {"SUCCESS": 200}


def test_f17_long_reader(sqlite: Place) -> None:
    """A reader that stays: work goes on beside it, and its WAL is small again afterwards."""
    ledger = Ledger(sqlite)
    worker = sqlite.start()
    ledger.submit(1)
    reader = sqlite3.connect(sqlite.data / "broker.db", isolation_level=None)
    reader.execute("PRAGMA wal_autocheckpoint = 0")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM messages").fetchall()
    count = scale(1500, 30000)
    for _ in range(10):
        ledger.submit(count // 10, "--batch", "1000")
    sqlite.wait_settled(timeout=300)
    wal = sqlite.data / "broker.db-wal"
    grown = wal.stat().st_size
    reader.execute("COMMIT")
    for _ in range(3):
        ledger.submit(100, "--batch", "10")
        sqlite.wait_settled()
        time.sleep(1.1)
    print(f"WAL {grown / MIB:.1f} MiB beside the reader, {wal.stat().st_size / MIB:.1f} MiB after")
    assert wal.stat().st_size <= min(16 * MIB, grown)
    assert worker.process.poll() is None
    ledger.check(max_repeated=0)
    reader.close()


def test_f18_damaged_database(sqlite: Place) -> None:
    """A worker and a client refuse a damaged file, and say what to do."""
    ledger = Ledger(sqlite)
    ledger.submit(3000)
    path = sqlite.data / "broker.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        for offset in range(8192, size - 4096, 4096 * 7):
            file.seek(offset)
            file.write(os.urandom(512))
    worker = sqlite.spawn()
    assert worker.wait(timeout=15) != 0
    text = sqlite.log_text()
    print(text[-600:])
    assert "broker.db" in text and ("recover" in text or "restore" in text), text[-600:]
    assert sqlite.run("call", "probe.noop", status=None).returncode != 0
    assert sqlite.spawn().wait(timeout=15) != 0  # nor the next time


def test_f18_no_database_at_all(sqlite: Place) -> None:
    """A file of something else is refused, and stays as it is."""
    path = sqlite.data / "broker.db"
    path.write_bytes(b"these are my notes, no database\n" * 1000)
    before = path.read_bytes()
    worker = sqlite.spawn()
    assert worker.wait(timeout=15) != 0
    assert "broker.db" in sqlite.log_text()
    assert path.read_bytes() == before


def test_f18_torn_wal(sqlite: Place) -> None:
    """A power cut in the midst of a write: what was committed is there, the torn rest is not."""
    ledger = Ledger(sqlite)
    worker = sqlite.start()
    ledger.submit(200, ms=20)
    wait_until(lambda: ledger.n_done() > 20, "some are done")
    worker.kill_group()
    wal = sqlite.data / "broker.db-wal"
    assert wal.stat().st_size > 0
    with wal.open("ab") as file:
        file.write(os.urandom(30000))
    sqlite.start()
    sqlite.wait_settled()
    assert ledger.check(max_repeated=8)["done"] == 200


def test_f18_old_shm(sqlite: Place) -> None:
    """An index of the WAL from long ago lies beside it after a restore."""
    ledger = Ledger(sqlite)
    worker = sqlite.start()
    ledger.submit(50, ms=5)
    wait_until(lambda: ledger.n_done() > 5, "some are done")
    shm = sqlite.data / "broker.db-shm"
    shutil.copy(shm, sqlite.home / "old-shm")
    ledger.submit(200, ms=5)
    wait_until(lambda: ledger.n_done() > 60, "some more are done")
    worker.kill_group()
    shutil.copy(sqlite.home / "old-shm", shm)
    sqlite.start()
    sqlite.wait_settled()
    assert ledger.check(max_repeated=20)["done"] == 250  # 50 ms of work in each child


def test_f17_paused_worker_is_not_robbed(sqlite: Place) -> None:
    """Stopped for longer than the lease, but alive: on the embedded broker nobody takes its tasks."""
    ledger = Ledger(sqlite)
    worker = sqlite.start(n_children=1)
    ledger.submit(2, ms=1000)
    wait_until(lambda: ledger.count("start"), "started")
    for pid in [worker.pid, *worker.children()]:
        os.kill(pid, signal.SIGSTOP)
    sqlite.start()
    ledger.submit(1)
    threading.Event().wait(scale(12, 30))
    assert ledger.count("start")["0"] == 1
    for pid in [*worker.children(), worker.pid]:
        os.kill(pid, signal.SIGCONT)
    sqlite.wait_settled()
    assert ledger.check(max_repeated=0)["done"] == 3
