"""F03: the worker is killed between any two of its steps, one after the other.

killer.so (tests/tools/killer.c) ends the parent right before its N-th call that writes, syncs or talks
to a server, for N = 1, 2, 3 ...: between taking a message and recording that it is taken, between
storing a result and acknowledging, and so on.  There is no step at which a message is nobody's."""

from __future__ import annotations

import signal
import time

import pytest

from fleet import BUILD, IS_SANITIZED, Ledger, Place, scale

KILLER = BUILD / "tests/tools/libkiller.so"
N_TASKS = 4  # per life


def test_f03_killed_at_each_step(place: Place, ledger: Ledger) -> None:
    """Lost 0, whatever the step; what ran twice was held by a worker that was killed."""
    if IS_SANITIZED:
        pytest.skip("the sanitizer wants to be preloaded first")
    n_killed = 0
    for step in range(1, scale(120, 600), scale(4, 1)):
        ledger.submit(N_TASKS, ms=1)
        worker = place.spawn("--log-level", "error", LD_PRELOAD=str(KILLER), KILLER_AT=str(step))
        end = time.monotonic() + 1.5
        while worker.process.poll() is None and time.monotonic() < end and ledger_is_behind(ledger):
            time.sleep(0.01)
        if worker.process.poll() is None:
            worker.kill_group()
        else:
            assert worker.wait() == -signal.SIGKILL, step
            n_killed += 1
    place.start()
    place.wait_settled()
    print(f"killed at {n_killed} steps")
    assert n_killed > scale(20, 100)
    assert ledger.check(max_repeated=n_killed * N_TASKS * 2)["done"] == ledger.n_submitted
    assert ledger.states() == {"SUCCESS": ledger.n_submitted}


def ledger_is_behind(ledger: Ledger) -> bool:
    """Some task has not ended yet."""
    return ledger.n_done() < ledger.n_submitted
