"""F31: Python workers and Trawl's on one Redis, while workers and the server are killed or silent.

What a killed Python worker held is given back by Trawl's after the visibility timeout, and the reverse
where no worker of Trawl's is left.  Celery pops a message before it records it: a Python worker, or its
connection, that ends between the two loses that one, whatever others do.  Where nobody is popping,
nothing is lost."""

from __future__ import annotations

import threading
import time

import pytest

from celery_worker import start_celery
from fleet import Ledger, Place, scale, wait_until

VISIBILITY_S = 3
N_TASKS = scale(60, 400)


@pytest.fixture(name="mixed")
def make_mixed(durable_redis: Place) -> Place:
    """Trawl's workers know the visibility timeout from the URL."""
    assert durable_redis.redis is not None
    durable_redis.env["CELERY_BROKER_URL"] = (
        f"{durable_redis.redis.url}?visibility_timeout={VISIBILITY_S}")
    return durable_redis


def drain_output(worker: object) -> None:
    """Celery's lines go nowhere, so that it never waits for its reader."""
    stream = worker.process.stdout  # type: ignore[attr-defined]
    threading.Thread(target=lambda: [None for _ in stream], daemon=True).start()


def test_f31_python_killed(mixed: Place) -> None:
    """F02: all of a Python worker at once, in a task, its window full: Trawl runs what it held."""
    ledger = Ledger(mixed)
    python = start_celery(mixed, VISIBILITY_S)
    drain_output(python)
    ledger.submit(5, ms=800)
    wait_until(lambda: mixed.redis and mixed.redis.cli("HLEN", "unacked") in ("4", "5")
               and ledger.count("start"), "a full window")
    held = int(mixed.redis.cli("HLEN", "unacked")) if mixed.redis else 0
    moment = python.kill_group()
    mixed.start()
    mixed.wait_settled()
    print(f"held {held}, all done {time.monotonic() - moment:.1f} s after the kill")
    assert ledger.check(max_repeated=1)["done"] == 5
    assert ledger.states() == {"SUCCESS": 5}


def test_f31_trawl_killed(mixed: Place) -> None:
    """The reverse: no worker of Trawl's is left, a Python worker runs what it held."""
    ledger = Ledger(mixed)
    trawl = mixed.start(n_children=1)
    ledger.submit(5, ms=300)
    wait_until(lambda: ledger.count("start"), "started")
    trawl.kill_group()
    time.sleep(VISIBILITY_S)  # Celery looks when it starts, then every 10 s
    drain_output(start_celery(mixed, VISIBILITY_S))
    wait_until(lambda: ledger.n_done() == 5, "all done", 30)
    assert mixed.redis is not None and mixed.redis.cli("HLEN", "unacked") == "0"
    mixed.start()  # which sweeps up after the dead one, and finds nothing to run
    mixed.wait_settled()
    assert ledger.check(max_repeated=2)["done"] == 5
    assert ledger.states() == {"SUCCESS": 5}


def test_f31_server_killed(mixed: Place) -> None:
    """F06: the server is killed under load and restarted; both go on.  A live task is never stolen
    from Trawl; what Celery had popped and not recorded is lost (F06 has Trawl alone: none)."""
    assert mixed.redis is not None
    ledger = Ledger(mixed)
    trawl, python = mixed.start(), start_celery(mixed, VISIBILITY_S, n_children=2)
    drain_output(python)
    n_kills = scale(1, 5)
    ours = set(trawl.children())
    for _ in range(n_kills):
        ledger.submit(N_TASKS, ms=50)
        time.sleep(0.3)
        mixed.redis.kill()
        time.sleep(0.3)
        mixed.redis.start()
        ledger.submit(N_TASKS, ms=20)
        mixed.wait_settled(timeout=90)
    ours |= set(trawl.children())
    lost = ledger.count("start").keys() - ledger.count("done").keys()
    assert not [line for line in ledger.lines() if line[1] in lost and line[2] in ours], \
        "what Trawl has begun is done"
    n_lost = ledger.n_submitted - ledger.n_done()
    print(f"submitted={ledger.n_submitted} repeated={ledger.n_repeated()} lost by Celery={n_lost}")
    assert 0 <= n_lost <= 2 * n_kills
    assert trawl.process.poll() is None and python.process.poll() is None
    pids = {pid for _, _, pid, _ in ledger.lines()}
    assert pids & ours and pids - ours, "both have worked"


@pytest.mark.parametrize("span_s", scale([1], [1, 10]))
def test_f31_silent_server(mixed: Place, span_s: float) -> None:
    """F08: the server is stopped, connections stay: both go on, nothing is lost."""
    assert mixed.redis is not None
    ledger = Ledger(mixed)
    trawl, python = mixed.start(), start_celery(mixed, 60, n_children=2)
    mixed.env["CELERY_BROKER_URL"] = mixed.redis.url
    drain_output(python)
    ledger.submit(N_TASKS, ms=20)
    wait_until(lambda: ledger.n_done() > 5, "some are done")
    mixed.redis.pause()
    time.sleep(span_s)
    mixed.redis.resume()
    ledger.submit(N_TASKS, ms=20)
    mixed.wait_settled(timeout=120)
    balance = ledger.check(max_repeated=10)
    assert balance["done"] == ledger.n_submitted
    assert trawl.process.poll() is None and python.process.poll() is None
