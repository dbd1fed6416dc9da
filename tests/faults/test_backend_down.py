"""F30: the result backend is away while the broker is there, and the reverse.

A task has its effect once, whatever becomes of its result; the result is stored when the backend is
back, as long as the worker lives."""

from __future__ import annotations

import sqlite3
import time

import pytest

from fleet import Ledger, Place, scale, wait_until
from redis_server import DURABLE, RedisServer

AWAY_S = scale(3, 20)


def test_f30_results_locked(sqlite: Place) -> None:
    """The embedded backend is locked by somebody: tasks run on, results follow."""
    ledger = Ledger(sqlite)
    sqlite.start()
    ledger.submit(50, ms=5)
    wait_until(lambda: ledger.n_done() >= 50, "some are done")
    foreign = sqlite3.connect(sqlite.data / "results.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    ledger.submit(100, ms=5)
    wait_until(lambda: ledger.n_done() == 150, "tasks run without their backend")
    time.sleep(AWAY_S)
    foreign.execute("ROLLBACK")
    foreign.close()
    sqlite.wait_settled()
    wait_until(lambda: ledger.states() == {"SUCCESS": 150}, "results are stored late", 15)
    ledger.check(max_repeated=0)


def test_f30_no_results_at_the_start(sqlite: Place) -> None:
    """The backend cannot be opened when the worker starts: said, tried again, and then used."""
    ledger = Ledger(sqlite)
    foreign = sqlite3.connect(sqlite.data / "results.db", isolation_level=None)
    foreign.execute("BEGIN EXCLUSIVE")
    sqlite.start()
    ledger.submit(30)
    wait_until(lambda: ledger.n_done() == 30, "tasks run without their backend")
    assert "result backend cannot be opened" in sqlite.log_text()
    foreign.execute("ROLLBACK")
    foreign.close()
    wait_until(lambda: ledger.states() == {"SUCCESS": 30}, "results are stored late", 45)
    sqlite.wait_settled()
    ledger.check(max_repeated=0)


def test_f30_results_nowhere(sqlite: Place) -> None:
    """An address that can never be a backend is refused at the start, with its name."""
    (sqlite.data / "results.db").mkdir()
    assert sqlite.spawn().wait() != 0
    assert "results.db" in sqlite.log_text()


@pytest.fixture(name="results")
def make_results(place: Place) -> RedisServer:
    """Results in a Redis of their own, which keeps them on disk; stopped with the place."""
    server = RedisServer(place.home / "results-redis", *DURABLE)
    place.servers.append(server)
    place.env["CELERY_RESULT_BACKEND"] = server.url
    return server


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_f30_results_server_away(place: Place, ledger: Ledger, results: RedisServer,
                                 how: str) -> None:
    """Killed and started again, or silent for a while: every task ran once, every result is
    there."""
    worker = place.start()
    ledger.submit(50, ms=5)
    wait_until(lambda: ledger.n_done() >= 50, "some are done")
    results.kill() if how == "kill" else results.pause()
    ledger.submit(100, ms=5)
    wait_until(lambda: ledger.n_done() == 150, "tasks run without their backend")
    time.sleep(AWAY_S)
    results.start() if how == "kill" else results.resume()
    wait_until(lambda: ledger.states() == {"SUCCESS": 150}, "results are stored late", 45)
    place.wait_settled()
    assert worker.process.poll() is None
    ledger.check(max_repeated=0)


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_f30_broker_away_results_there(durable_redis: Place, how: str) -> None:
    """The broker is away in the midst of tasks: their results are stored all the same, and what was
    in flight is not lost."""
    place = durable_redis
    assert place.redis is not None
    place.env["CELERY_RESULT_BACKEND"] = f"sqlite:///{place.data}/results.db"
    ledger = Ledger(place)
    worker = place.start()
    ledger.submit(2, ms=1500)
    ledger.submit(20, ms=5)
    wait_until(lambda: ledger.count("start").total() >= 2, "started")
    place.redis.kill() if how == "kill" else place.redis.pause()
    time.sleep(AWAY_S)
    place.redis.start() if how == "kill" else place.redis.resume()
    place.wait_settled()
    assert worker.process.poll() is None
    balance = ledger.check(max_repeated=8)
    assert balance["done"] == 22
    assert ledger.states() == {"SUCCESS": 22}
