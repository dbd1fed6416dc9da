"""Fixtures: a Redis, a client per Python, and pairs of a client and a worker.

`peer` runs each test four times: a client of Debian's Celery and one of the current release, each with
Trawl's worker and with Celery's own of the same release.  The latter prove the expectations.  `quiet` is
a pair whose worker the test starts, `own` the same with Trawl's only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from .pairs import (FEW_PAIR_IDS, FEW_PAIRS, PAIR_IDS, PAIRS, PYTHONS, TRAWL_PAIR_IDS, TRAWL_PAIRS,
                   Peer, need, open_peer)
from .peers import Client
from .servers import BINARY, Redis


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


@pytest.fixture(name="peer", scope="session", params=PAIRS, ids=PAIR_IDS)
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


@pytest.fixture(name="quiet", params=FEW_PAIRS, ids=FEW_PAIR_IDS)
def make_quiet(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
               clients: Callable[[str], Client], tmp_path: Path) -> Peer:
    """A pair on a database of its own, whose worker the test starts."""
    generation, kind = request.param
    need(kind, generation)
    return open_peer(generation, kind, redis, database(), clients(generation), tmp_path)


@pytest.fixture(name="own", params=TRAWL_PAIRS, ids=TRAWL_PAIR_IDS)
def make_own(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
             clients: Callable[[str], Client], tmp_path: Path) -> Peer:
    """A release's client on a database of its own; the test starts Trawl's worker."""
    generation, kind = request.param
    need(kind, generation)
    return open_peer(generation, kind, redis, database(), clients(generation), tmp_path)
