"""A client and a worker on one Redis: what most tests are given as `peer` or `quiet`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .peers import CURRENT_PYTHON, DEBIAN_PYTHON, PROBE, App, Client, Worker, celery_version
from .servers import BINARY, Redis

PYTHONS = {"debian": DEBIAN_PYTHON, "current": CURRENT_PYTHON}
PAIRS = [(client, worker) for worker in ("trawl", "python") for client in PYTHONS]
PAIR_IDS = [f"{client}-{worker}" for client, worker in PAIRS]
# Where each test starts workers of its own, one release of Celery's proves the expectations; where it
# is about names and addresses, none is needed.
FEW_PAIRS = [pair for pair in PAIRS if pair != ("debian", "python")]
FEW_PAIR_IDS = [f"{client}-{worker}" for client, worker in FEW_PAIRS]
TRAWL_PAIRS = [pair for pair in PAIRS if pair[1] == "trawl"]
TRAWL_PAIR_IDS = [f"{client}-{worker}" for client, worker in TRAWL_PAIRS]


def need(kind: str, generation: str) -> None:
    """Skip, with the reason, what cannot run here."""
    if BINARY is None:
        pytest.skip("redis-server is not installed")
    if not celery_version(PYTHONS[generation]):
        pytest.skip(f"{PYTHONS[generation]} has no Celery with Redis")
    if kind == "trawl" and not PROBE.exists():
        pytest.skip(f"{PROBE} is not built")


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
    name: str = ""

    def node(self) -> str:
        """The name that the worker answers with."""
        if not self.name:
            nodes = list(self.app.inspect("ping", timeout=1) or {})
            assert len(nodes) == 1, f"one worker is to answer, not {nodes}"
            self.name = nodes[0]
        return self.name

    def ask(self, method: str, *arguments: Any) -> Any:
        """The worker's answer to `inspect`; comes as soon as it is there."""
        replies = self.app.inspect(method, *arguments, destination=[self.node()], timeout=10)
        assert list(replies or {}) == [self.node()], f"{method}: {replies}"
        return replies[self.node()]

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
