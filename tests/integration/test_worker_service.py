"""`trawl worker` as a service: signals, log and pid files, the service manager, a log nobody reads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time

from trawl_cli import BINARY, META_KAGGLE, Trawl
from workers import Workers, children_of, wait_until

SEED = {"path": str(META_KAGGLE)}
FETCH = "enrich.fetch_hf_datasets"


def start_hanging(workers: Workers, *words: str, task_id: str = "hangs",
                  **env: str) -> subprocess.Popen[str]:
    """A worker with a task in its only child that will not end."""
    workers.send(FETCH, {}, prefix=task_id)
    worker = workers.start(*words, n_children=1, **env)
    wait_until(lambda: workers.result(f"{task_id}-0").get("status") == "STARTED", "started")
    return worker


def is_given_back(workers: Workers) -> bool:
    """One message, in its queue again, and nobody's."""
    return (workers.query("broker.db", "SELECT count(*) FROM ready") == [(1,)]
            and workers.query("broker.db", "SELECT count(*) FROM claims") == [(0,)])


def test_sigquit_is_a_cold_shutdown(workers: Workers, silence: dict[str, str]) -> None:
    """At once, without a warm one before; what ran goes back."""
    worker = start_hanging(workers, **silence)
    start = time.monotonic()
    worker.send_signal(signal.SIGQUIT)
    assert worker.wait(timeout=10) == 0
    assert time.monotonic() - start < 2
    assert is_given_back(workers)


def test_grace_turns_a_warm_shutdown_cold(workers: Workers, silence: dict[str, str]) -> None:
    """A task that goes on longer is killed, and its message goes back."""
    worker = start_hanging(workers, "--grace", "1", **silence)
    start = time.monotonic()
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    assert 0.9 < time.monotonic() - start < 3
    assert is_given_back(workers)
    assert "did not end in time" in workers.log.read_text()


def test_log_file_is_opened_again(workers: Workers, silence: dict[str, str]) -> None:
    """As logrotate does it: rename, SIGHUP.  Busy children follow, and so do new ones."""
    log, old = workers.trawl.home / "w.log", workers.trawl.home / "w.log.1"
    worker = start_hanging(workers, "--logfile", "w.log", "--soft-time-limit", "3", **silence)
    assert "task received: id=hangs-0" in log.read_text() and workers.log.read_text() == ""
    log.rename(old)
    worker.send_signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and "opened again" in log.read_text(), "log opened again")
    # The child that was busy all the time says a word of its own once the limit has met it.
    workers.send("kaggle.seed_initial", SEED, prefix="next")
    wait_until(lambda: workers.n_messages() == 0, "all settled")
    n_old = old.stat().st_size
    text = log.read_text()
    assert "task met its soft time limit" in text
    assert "kaggle.seed_initial[next-0]" in text, "lines of the child's own task"
    os.kill(children_of(worker.pid)[0], signal.SIGKILL)
    workers.send("kaggle.seed_initial", SEED, prefix="last")
    wait_until(lambda: "kaggle.seed_initial[last-0]" in log.read_text(), "lines of a new child")
    assert old.stat().st_size == n_old, "nobody writes to the old file"


def test_pid_file(workers: Workers) -> None:
    """Names the worker, keeps a second one out, and goes with it; a stale one is taken over."""
    path = workers.trawl.home / "w.pid"
    path.write_text("1\n")
    worker = workers.start("--pidfile", "w.pid", n_children=1)
    assert path.read_text() == f"{worker.pid}\n"
    done = workers.trawl.run("worker", "--pidfile", "w.pid", status=1)
    assert f"runs already: process {worker.pid}" in done.stderr
    assert path.read_text() == f"{worker.pid}\n"
    worker.terminate()
    assert worker.wait(timeout=10) == 0 and not path.exists()


def receive_all(listener: socket.socket, until: str, timeout: float = 10) -> list[str]:
    """What was said until that word came."""
    heard: list[str] = []
    listener.settimeout(timeout)
    while until not in heard:
        heard += listener.recv(4096).decode().split("\n")
    return heard


def test_service_manager_is_told(workers: Workers) -> None:
    """READY once, WATCHDOG again and again, RELOADING and READY around a reload, STOPPING."""
    path = str(workers.trawl.home / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        worker = workers.start("--logfile", "w.log", NOTIFY_SOCKET=path, WATCHDOG_USEC="100000")
        heard = receive_all(listener, "READY=1")
        assert "WATCHDOG=1" not in receive_all(listener, "WATCHDOG=1")[:-1]
        receive_all(listener, "WATCHDOG=1")
        worker.send_signal(signal.SIGHUP)
        heard = [word for word in receive_all(listener, "READY=1") if word != "WATCHDOG=1"]
        assert heard[0] == "RELOADING=1" and heard[1].startswith("MONOTONIC_USEC=")
        assert abs(int(heard[1].split("=")[1]) - time.monotonic_ns() // 1000) < 10_000_000
        worker.terminate()
        receive_all(listener, "STOPPING=1")
        assert worker.wait(timeout=10) == 0


def test_abstract_socket_of_a_service_manager(workers: Workers) -> None:
    """As containers have it."""
    name = f"trawl-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        workers.start(n_children=1, NOTIFY_SOCKET=f"@{name}")
        assert receive_all(listener, "READY=1") == ["READY=1"]


def fill(pipe: int) -> None:
    """Until not a byte more goes in; the flags of the pipe are as before."""
    os.set_blocking(pipe, False)
    try:
        while True:
            os.write(pipe, b"x" * 65536)
    except BlockingIOError:
        pass
    try:
        while True:
            os.write(pipe, b"x")
    except BlockingIOError:
        pass
    os.set_blocking(pipe, True)


def drain(pipe: int, until: bytes, timeout: float = 10) -> bytes:
    """What comes out until those bytes have come."""
    heard = b""
    end = time.monotonic() + timeout
    os.set_blocking(pipe, False)
    while until not in heard:
        assert time.monotonic() < end, heard[-2000:]
        try:
            heard += os.read(pipe, 1 << 20)
        except BlockingIOError:
            time.sleep(0.02)
    return heard


def test_a_log_that_nobody_reads(workers: Workers) -> None:
    """A full pipe stops nobody, its flags stay, and what was dropped is told later."""
    reading, writing = os.pipe()
    worker = workers.start(n_children=2, stderr=writing)
    fill(writing)
    ids = workers.send("kaggle.seed_initial", SEED, count=20)
    wait_until(lambda: workers.n_messages() == 0, "all settled")
    assert workers.states() == {"SUCCESS": len(ids)}
    assert os.get_blocking(writing)
    os.read(reading, 1 << 20)
    workers.send("kaggle.seed_initial", SEED, prefix="later")
    assert b"log was not read, lines were dropped: n=" in drain(reading, b"task succeeded")
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    os.close(reading)
    os.close(writing)


def test_a_log_that_is_closed(workers: Workers) -> None:
    """Neither the worker nor its children die of SIGPIPE."""
    reading, writing = os.pipe()
    worker = workers.start(n_children=2, stderr=writing)
    os.close(writing)
    os.close(reading)
    assert worker.stdout is not None
    worker.stdout.close()
    children = children_of(worker.pid)
    workers.send("kaggle.seed_initial", SEED, count=5)
    wait_until(lambda: workers.n_messages() == 0, "all settled")
    assert workers.states() == {"SUCCESS": 5} and children_of(worker.pid) == children
    worker.terminate()
    assert worker.wait(timeout=10) == 0


def test_socket_as_log(workers: Workers) -> None:
    """journald's form; nobody reads here, either."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        worker = workers.start(n_children=1, stderr=theirs.fileno())
        try:
            while True:
                theirs.send(b"x" * 4096)
        except BlockingIOError:
            theirs.setblocking(True)
        workers.send("kaggle.seed_initial", SEED, count=5)
        wait_until(lambda: workers.n_messages() == 0, "all settled")
        worker.terminate()
        assert worker.wait(timeout=10) == 0


def test_standard_output_that_is_full(trawl: Trawl) -> None:
    """The worker starts all the same."""
    reading, writing = os.pipe()
    fill(writing)
    trawl.data.mkdir()
    log = trawl.home / "w.log"
    log.touch()
    worker = subprocess.Popen(
        [str(BINARY), "worker", "-c", "1", "--logfile", str(log)], cwd=trawl.home, env=trawl.env,
        stdin=subprocess.DEVNULL, stdout=writing)
    wait_until(lambda: "nobody reads standard output: ready: " in log.read_text(), "ready")
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    os.close(reading)
    os.close(writing)


def test_bad_files_are_refused(trawl: Trawl) -> None:
    """Before anything is opened, with the path."""
    done = trawl.run("worker", "--logfile", "/nowhere/w.log", status=1)
    assert "cannot open the log file '/nowhere/w.log'" in done.stderr
    done = trawl.run("worker", "--pidfile", "/nowhere/w.pid", status=1)
    assert "cannot open the pid file '/nowhere/w.pid'" in done.stderr
    assert not (trawl.data / "broker.db").exists()
