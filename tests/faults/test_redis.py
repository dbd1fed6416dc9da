"""F06 to F08: the Redis server dies, comes back with and without its data, or falls silent."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from fleet import Ledger, Place, scale, wait_until

N_KILLS = scale(3, 20)
N_TASKS = scale(150, 400)  # per kill
HELD = 20  # messages of 5 ms that two children hold: 50 ms of work each


def assert_takes_work(ledger: Ledger, within_s: float) -> float:
    """A new task is done within that time; how long it took."""
    moment = time.monotonic()
    n_before = ledger.n_done()
    wait_until(lambda: ledger.n_done() > n_before, "the worker works again", within_s)
    return time.monotonic() - moment


def test_f06_server_killed_and_restarted(durable_redis: Place) -> None:
    """Killed under load, with appendfsync always: nothing that was confirmed is lost, and the
    worker is back at work within 5 s."""
    place = durable_redis
    assert place.redis is not None
    ledger = Ledger(place)
    worker = place.start()
    slowest = 0.0
    for _ in range(N_KILLS):
        ledger.submit(N_TASKS, ms=5)
        time.sleep(random.uniform(0.05, 0.3))
        place.redis.kill()
        refused = place.run("call", "probe.noop", status=None)
        assert refused.returncode == 1 and refused.stderr, refused
        time.sleep(random.uniform(0, 0.5))
        place.redis.start()
        slowest = max(slowest, assert_takes_work(ledger, 6))
    place.wait_settled()
    print(f"kills={N_KILLS} slowest return to work {slowest:.2f} s")
    assert slowest <= 5
    assert worker.process.poll() is None
    balance = ledger.check(max_repeated=N_KILLS * HELD)
    assert balance["done"] >= ledger.n_submitted
    assert ledger.states() == {"SUCCESS": ledger.n_submitted}


def test_f06_both_killed(durable_redis: Place) -> None:
    """Server and worker die at once, as in a power cut."""
    place = durable_redis
    assert place.redis is not None
    ledger = Ledger(place)
    n_held = 0
    for _ in range(N_KILLS):
        worker = place.start()
        ledger.submit(N_TASKS, ms=5)
        time.sleep(random.uniform(0.05, 0.3))
        place.redis.kill()
        worker.kill_group()
        place.redis.start()
        n_held += place.depth()["claimed"]
    place.start()
    place.wait_settled()
    assert ledger.check(max_repeated=n_held)["done"] == ledger.n_submitted
    assert ledger.states() == {"SUCCESS": ledger.n_submitted}


def test_f07_server_without_a_memory(redis: Place) -> None:
    """A Redis that keeps nothing forgets what waited: the worker goes on with new work, and the
    client's own list of ids shows what is gone."""
    assert redis.redis is not None
    redis.env["CELERY_RESULT_BACKEND"] = f"sqlite:///{redis.data}/results.db"
    ledger = Ledger(redis)
    worker = redis.start()
    ledger.submit(200, ms=20)
    wait_until(lambda: ledger.n_done() > 20, "some are done")
    redis.redis.kill()
    redis.redis.start()
    ledger.submit(50)
    redis.wait_settled()
    wait_until(lambda: ledger.n_done() >= 70, "new work is done")
    states = ledger.states()
    n_gone = ledger.n_submitted - ledger.n_done()
    print(f"submitted={ledger.n_submitted} gone={n_gone} states={states}")
    assert n_gone > 0 and worker.process.poll() is None
    assert states.get("PENDING", 0) + states.get("STARTED", 0) == n_gone
    assert states["SUCCESS"] == ledger.n_done()
    assert len(ledger.count("start")) - ledger.n_done() <= 2  # what was running may have been ended


@pytest.mark.parametrize("span_s", scale([1, 6], [1, 10, 60]))
def test_f08_silent_server(redis: Place, span_s: float) -> None:
    """Stopped, connections open: clients give up within 2 s, the worker is back at work within 5 s
    of its return, and no task is taken from a worker that lives."""
    assert redis.redis is not None
    ledger = Ledger(redis)
    workers = [redis.start(n_children=1), redis.start(n_children=1)]
    ledger.submit(2, ms=int(span_s * 1000) + 2000)
    ledger.submit(100, ms=10)
    wait_until(lambda: ledger.count("start").total() >= 2, "started")
    redis.redis.pause()
    end = time.monotonic() + span_s
    slowest = 0.0
    while time.monotonic() < end:
        moment = time.monotonic()
        done = redis.run("call", "probe.noop", status=None)
        if time.monotonic() < end:
            assert done.returncode == 1 and done.stderr, done
        slowest = max(slowest, time.monotonic() - moment)
        time.sleep(0.2)
    redis.redis.resume()
    moment = time.monotonic()
    back = assert_takes_work(ledger, 6)
    print(f"paused {span_s} s: slowest client {slowest:.2f} s, back at work after {back:.2f} s")
    assert slowest <= 3  # 2 s, and a busy machine
    assert back <= 5
    redis.wait_settled(timeout=60 + 2 * span_s)  # one worker may hold both long ones
    assert all(worker.process.poll() is None for worker in workers)
    balance = ledger.check(max_repeated=2)
    starts = ledger.count("start")
    assert balance["done"] == 102 and max(starts.values()) <= 2, starts


def test_f08_silent_worker_is_fenced(redis: Place) -> None:
    """A worker that is stopped for longer than its lease cannot be told from a dead one: another
    takes its task.  When it wakes up its own run no longer counts: nothing is settled twice, nothing
    that the other has is touched."""
    ledger = Ledger(redis)
    worker = redis.start(n_children=1)
    ledger.submit(1, ms=3000)
    wait_until(lambda: ledger.count("start"), "started")
    stopped = [worker.pid, *worker.children()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    other = redis.start(n_children=1)
    wait_until(lambda: ledger.count("start")["0"] == 2, "taken over", 15)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    redis.wait_settled()
    ledger.submit(20)
    redis.wait_settled()
    assert worker.process.poll() is None and other.process.poll() is None
    assert "no longer ours" in redis.log_text() or "lease of a message was lost" in redis.log_text()
    assert ledger.check(max_repeated=1)["done"] == 21
    assert ledger.states() == {"SUCCESS": 21}
