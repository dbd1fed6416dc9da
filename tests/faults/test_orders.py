"""F32: revokes, pauses and rates that are given around a fault of the server: they hold once the
connection is back, and outlive the server's restart."""

from __future__ import annotations

import subprocess
import time

import pytest

from fleet import PROBE, Ledger, Place, wait_until


def is_revoked(place: Place, task_id: str) -> bool:
    return bool(place.result(task_id)["status"] == "REVOKED")


def restart_server(place: Place) -> None:
    """SIGKILL, and the same again on its data."""
    assert place.redis is not None
    place.redis.kill()
    place.redis.start()


def keep_busy(place: Place, ledger: Ledger) -> None:
    """The only child, for a while."""
    place.start(n_children=1)
    ledger.submit(1, ms=2500)
    wait_until(lambda: ledger.count("start"), "started")


def assert_never_runs(place: Place, ledger: Ledger, task_id: str, token: str) -> None:
    """It ends as REVOKED, and what comes after it runs."""
    ledger.submit(1)
    place.wait_settled()
    wait_until(lambda: is_revoked(place, task_id), "revoked")
    assert token not in ledger.count("start")


def call_record(place: Place, ledger: Ledger, token: str) -> str:
    return place.call("probe.record", "--path", str(ledger.path), "--token", token)


def test_f32_revoked_before_the_server_dies(durable_redis: Place) -> None:
    """Told to a worker that is busy; then the server is killed under it."""
    ledger = Ledger(durable_redis)
    keep_busy(durable_redis, ledger)
    task_id = call_record(durable_redis, ledger, "victim")
    durable_redis.run("control", "revoke", task_id)
    restart_server(durable_redis)
    assert_never_runs(durable_redis, ledger, task_id, "victim")


def test_f32_revoked_while_nobody_works(durable_redis: Place) -> None:
    """All workers are down, the server dies as well: started again, they know."""
    ledger = Ledger(durable_redis)
    task_id = call_record(durable_redis, ledger, "victim")
    durable_redis.run("control", "revoke", task_id, status=None)
    wait_until(lambda: is_revoked(durable_redis, task_id), "the state, at once", 5)
    restart_server(durable_redis)
    durable_redis.start()
    assert_never_runs(durable_redis, ledger, task_id, "victim")


def test_f32_revoked_while_the_server_is_silent(redis: Place) -> None:
    """The order is given while nothing is answered: it fails and says so, or it holds."""
    assert redis.redis is not None
    ledger = Ledger(redis)
    keep_busy(redis, ledger)
    task_id = call_record(redis, ledger, "victim")
    redis.redis.pause()
    order = subprocess.Popen([str(PROBE), "control", "revoke", task_id], env=redis.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    time.sleep(0.8)
    redis.redis.resume()
    status, said = order.wait(timeout=10), order.stderr.read() if order.stderr else ""
    print(f"exit {status}: {said.strip()}")
    if status != 0:
        assert said
        redis.run("control", "revoke", task_id)
    assert_never_runs(redis, ledger, task_id, "victim")


def test_f32_pause_outlives_the_server(durable_redis: Place) -> None:
    """A queue that is paused stays so, whoever is killed; resumed, its tasks run."""
    ledger = Ledger(durable_redis)
    worker = durable_redis.start()
    durable_redis.run("queue", "pause", "celery", "--why", "F32")
    restart_server(durable_redis)
    ledger.submit(5)
    worker.kill_group()
    durable_redis.start()
    time.sleep(1)  # nothing is to happen
    assert ledger.n_done() == 0
    durable_redis.run("queue", "resume", "celery")
    durable_redis.wait_settled()
    assert ledger.check(max_repeated=0)["done"] == 5


@pytest.mark.parametrize("fault", ["killed", "silent"])
def test_f32_rate_holds_after_the_fault(durable_redis: Place, fault: str) -> None:
    """A rate given before the fault is kept after it."""
    assert durable_redis.redis is not None
    ledger = Ledger(durable_redis)
    durable_redis.start()
    durable_redis.run("control", "rate_limit", "probe.record", "4/s")
    if fault == "killed":
        restart_server(durable_redis)
    else:
        durable_redis.redis.pause()
        time.sleep(1)
        durable_redis.redis.resume()
    ledger.submit(8)
    durable_redis.wait_settled()
    moments = sorted(moment for event, _, _, moment in ledger.lines() if event == "start")
    assert len(moments) == 8 and moments[-1] - moments[0] >= 7 / 4 - 0.3, moments
