"""F19: the wall clock jumps under a worker (libfaketime; the monotonic clock stays true)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fleet import IS_SANITIZED, Ledger, Place, scale, wait_until

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
TO_2038 = "@2038-01-19 03:14:00"  # and over the edge of 32 bits while the test runs
JUMPS = ["+3600s", "-3600s", "+86400s", "-86400s", TO_2038]


def fake_env(place: Place, now: str) -> dict[str, str]:
    """Settings of a program whose wall clock follows a file."""
    candidates = [FAKETIME, *Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    library = next((path for path in candidates if path.exists()), None)
    if library is None:
        pytest.skip("no libfaketime (apt-get install faketime)")
    if IS_SANITIZED:
        pytest.skip("the sanitizer wants to be preloaded first")
    set_clock(place, now)
    return {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(place.home / "clock"),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}


def set_clock(place: Place, now: str) -> None:
    """A step, for all programs that follow the file."""
    new = place.home / "clock.new"
    new.write_text(now + "\n")
    new.rename(place.home / "clock")


@pytest.mark.parametrize("jump", JUMPS)
def test_f19_step_under_load(place: Place, ledger: Ledger, jump: str) -> None:
    """One worker's clock jumps while it works, another's is right: no lease expires, nothing comes
    twice, what waits for its time keeps waiting."""
    env = fake_env(place, "+0s")
    jumping = place.start(n_children=1, **env)
    ledger.submit(1, ms=scale(2500, 12000))
    wait_until(lambda: ledger.count("start"), "started")
    place.start(n_children=1)
    ledger.submit(100, ms=20)
    set_clock(place, jump)
    ledger.submit(100, ms=5)
    place.wait_settled()
    assert jumping.process.poll() is None
    assert ledger.check(max_repeated=0)["done"] == 201
    if jump.endswith("3600s"):  # results are kept for a day of the clock of who stores them
        assert ledger.states() == {"SUCCESS": 201}


def test_f19_dead_workers_task_comes_back(place: Place, ledger: Ledger) -> None:
    """A worker whose clock is a day behind dies; one with the right clock takes over in time."""
    env = fake_env(place, "-86400s")
    dying = place.start(n_children=1, **env)
    ledger.submit(1, ms=60000)
    wait_until(lambda: ledger.count("start"), "started")
    place.start(n_children=1)
    dying.kill_group()
    moment = time.monotonic()
    wait_until(lambda: ledger.count("start")["0"] == 2, "started again", 15)
    assert time.monotonic() - moment < 11


def test_f19_eta_with_a_clock_that_was_set_back(place: Place, ledger: Ledger) -> None:
    """The client's clock was an hour ahead: its "in a second" is an hour from now, and waits; the
    worker does other work meanwhile."""
    env = fake_env(place, "+3600s")
    place.run("call", "probe.noop", "--countdown", "1", **env)
    place.start()
    ledger.submit(20)
    wait_until(lambda: ledger.n_done() == 20, "the others are done")
    assert place.depth()["scheduled"] == 1
    ledger.n_submitted += 1
    ledger.check(max_repeated=0)
