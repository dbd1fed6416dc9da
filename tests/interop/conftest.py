"""Fixtures: a Redis, a client per Python, and pairs of a client and a worker.

`peer` runs each test four times: a client of Debian's Celery and one of the current release, each with
Trawl's worker and with Celery's own of the same release.  The latter prove the expectations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from peers import CURRENT_PYTHON, DEBIAN_PYTHON, PROBE, App, Client, Worker, celery_version
from servers import BINARY, Redis

PYTHONS = {"debian": DEBIAN_PYTHON, "current": CURRENT_PYTHON}
PAIRS = [(client, worker) for worker in ("trawl", "python") for client in PYTHONS]


def need(kind: str, generation: str) -> None:
    """Skip, with the reason, what cannot run here."""
    if BINARY is None:
        pytest.skip("redis-server is not installed")
    if not celery_version(PYTHONS[generation]):
        pytest.skip(f"{PYTHONS[generation]} has no Celery with Redis")
    if kind == "trawl" and not PROBE.exists():
        pytest.skip(f"{PROBE} is not built")


@pytest.fixture(name="redis", scope="session")
def make_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One server for the session; each user takes a database of its own."""
    if BINARY is None:
        pytest.skip("redis-server is not installed")
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(name="database", scope="session")
def make_database() -> Callable[[], int]:
    """The number of a database that nobody else uses."""
    numbers = count(1)
    return lambda: next(numbers)


@pytest.fixture(name="clients", scope="session")
def make_clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Client]]:
    """The client of a generation, started when first asked for."""
    home = tmp_path_factory.mktemp("clients")
    started: dict[str, Client] = {}

    def get(generation: str) -> Client:
        if generation in started and started[generation].process.poll() is not None:
            del started[generation]
        if generation not in started:
            started[generation] = Client(PYTHONS[generation], home / f"{generation}.log")
        return started[generation]

    yield get
    for client in started.values():
        client.stop()


@dataclass
class Peer:
    """A client, a worker that is ready, and the Redis between them."""

    generation: str
    kind: str
    client: Client
    app: App
    redis: Redis
    database: int
    home: Path
    broker: str
    worker: Worker | None = None

    def start(self, **options: Any) -> Worker:
        """Another worker on the same database."""
        settings: dict[str, Any] = {"broker": self.broker, "backend": self.broker, **options}
        return Worker(self.kind, PYTHONS[self.generation], self.home, **settings)

    def open(self, name: str, **conf: Any) -> App:
        """Another application of the same client, on the same database."""
        self.client.do("open", app=name, broker=self.broker, backend=self.broker, conf=conf)
        return App(self.client, name)

    def n_waiting(self, queue: str = "celery") -> int:
        """Messages of a queue that no worker has taken."""
        names = [queue] + [f"{queue}\x06\x16{step}" for step in (3, 6, 9)]
        return sum(self.redis.ask_int("LLEN", name, database=self.database) for name in names)

    def n_held(self) -> int:
        """Messages that workers have taken and not settled."""
        return self.redis.ask_int("HLEN", "unacked", database=self.database)

    def has_record(self, task_id: str) -> bool:
        """Whether the result backend knows the task."""
        key = f"celery-task-meta-{task_id}"
        return self.redis.ask_int("EXISTS", key, database=self.database) == 1


def open_peer(generation: str, kind: str, redis: Redis, database: int, client: Client,
              home: Path) -> Peer:
    """Without a worker yet."""
    url = redis.url(database)
    name = f"db{database}"
    client.do("open", app=name, broker=url, backend=url, conf={})
    return Peer(generation, kind, client, App(client, name), redis, database, home, url)


@pytest.fixture(name="peer", scope="session", params=PAIRS,
                ids=[f"{client}-{worker}" for client, worker in PAIRS])
def make_peer(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
              clients: Callable[[str], Client],
              tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A pair with one worker of two children on the queues celery and other, for all its tests."""
    generation, kind = request.param
    need(kind, generation)
    home = tmp_path_factory.mktemp(f"{generation}-{kind}")
    peer = open_peer(generation, kind, redis, database(), clients(generation), home)
    peer.worker = peer.start(queues="celery,other")
    yield peer
    assert peer.worker.process.poll() is None, "the worker has ended by itself"
    peer.worker.stop()


@pytest.fixture(name="quiet", params=PAIRS, ids=[f"{client}-{worker}" for client, worker in PAIRS])
def make_quiet(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
               clients: Callable[[str], Client], tmp_path: Path) -> Iterator[Peer]:
    """A pair on a database of its own, whose worker the test starts."""
    generation, kind = request.param
    need(kind, generation)
    yield open_peer(generation, kind, redis, database(), clients(generation), tmp_path)
