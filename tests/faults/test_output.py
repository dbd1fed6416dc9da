"""F29: nobody reads what the worker writes."""

from __future__ import annotations

import fcntl
import os

from fleet import Ledger, Place, wait_until

F_SETPIPE_SZ = 1031


def test_f29_blocked_pipe(place: Place, ledger: Ledger) -> None:
    """Standard error is a full pipe: the worker works on, and counts the lines that it drops."""
    reader, writer = os.pipe()
    worker = place.start("--verbose", stderr=writer)
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)  # a worker asks for more
    ledger.submit(500)
    wait_until(lambda: ledger.n_done() == 500, "all done beside a blocked log")
    place.wait_settled()
    os.set_blocking(reader, False)
    text = ""

    def drain() -> bool:
        nonlocal text
        try:
            while block := os.read(reader, 65536):
                text += block.decode(errors="replace")
        except BlockingIOError:
            pass
        return "drop" in text

    drain()
    ledger.submit(3)
    wait_until(drain, "it says that lines were dropped")
    worker.process.terminate()
    os.close(writer)
    assert worker.wait() == 0
    os.close(reader)
    ledger.check(max_repeated=0)


def test_f29_closed_pipe(place: Place, ledger: Ledger) -> None:
    """Whoever read standard output and error is gone: no SIGPIPE ends the worker or a child."""
    reader, writer = os.pipe()
    worker = place.start(stderr=writer)
    os.close(writer)
    os.close(reader)
    assert worker.process.stdout is not None
    worker.process.stdout.close()
    ledger.submit(300)
    wait_until(lambda: ledger.n_done() == 300, "all done")
    place.wait_settled()
    assert worker.process.poll() is None
    ledger.check(max_repeated=0)
    worker.process.terminate()
    assert worker.wait() == 0


def test_f29_log_file_without_space(place: Place, ledger: Ledger) -> None:
    """The log file has no space: work goes on without it."""
    with open("/dev/full", "w", encoding="utf-8") as full:  # every write: no space left on device
        worker = place.start(stderr=full)
    ledger.submit(200)
    wait_until(lambda: ledger.n_done() == 200, "all done")
    place.wait_settled()
    assert worker.process.poll() is None
    ledger.check(max_repeated=0)
