"""Sends all shapes to one cluster at once and waits until nothing changes any more.

A cluster is who serves the queues left, right and celery: workers of Celery, Trawl's, or one of each.
The same messages go to all of them.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


import pytest

from .canvas_shapes import SHAPES, Shape
from .pairs import PYTHONS, Peer, need, open_peer
from .peers import ROOT, Client, ClientError, Worker, wait_until
from .servers import Redis

ANSWERS = ROOT / "tests" / "fixtures" / "canvas"
QUIET_S = 2.0  # longer than any shape's countdown
LIMIT_S = 30.0
QUEUES = ("left", "right", "celery", "python")
Seen = dict[str, dict[str, str]]
ALSO: Seen = {shape.name: shape.also for shape in SHAPES}


@dataclass(frozen=True)
class Cluster:
    """Which kind of worker serves which queues; `python` is always a Python worker's, if there is one."""

    name: str
    workers: tuple[tuple[str, str], ...]

    def has_python(self) -> bool:
        return any(kind == "python" for kind, _ in self.workers)


ORACLE = Cluster("python", (("python", "left,right,celery,python"),))
TRAWL = Cluster("trawl", (("trawl", "left,right,celery"),))
TRAWL_LEFT = Cluster("trawl-left", (("trawl", "left"), ("python", "right,celery,python")))
TRAWL_RIGHT = Cluster("trawl-right", (("python", "left,python"), ("trawl", "right,celery")))


def read_answers(generation: str) -> Seen:
    """What Celery's own workers made of each shape."""
    answers: Seen = json.loads((ANSWERS / f"{generation}.json").read_text(encoding="utf-8"))
    return answers


@dataclass
class Run:
    """The shapes of one cluster, settled."""

    peer: Peer
    cluster: Cluster
    refused: dict[str, str] = field(default_factory=dict)  # the client could not send them
    seen: Seen = field(default_factory=dict)

    def can_run(self, shape: Shape) -> bool:
        is_here = shape.only in (None, self.peer.generation)
        return is_here and (self.cluster.has_python() or not shape.python)

    def send(self, shapes: list[Shape]) -> dict[str, list[str]]:
        """The names of those that were sent, with their wandering tasks."""
        sent = {}
        for shape in shapes:
            try:
                self.peer.app.do("draw", name=shape.name, source=shape.source,
                                 options=shape.options,
                                 record=str(self.peer.home / f"record-{shape.name}"))
                sent[shape.name] = list(shape.wandering)
            except ClientError as error:
                self.refused[shape.name] = str(error)
        return sent

    def settle(self, sent: dict[str, list[str]], answers: list[Seen]) -> None:
        """Until all are as expected, or nothing has changed for a while."""
        end = time.monotonic() + LIMIT_S
        changed = time.monotonic()
        while time.monotonic() < min(end, changed + QUIET_S):
            now: Seen = self.peer.app.do("watch", names=sent)
            if now != self.seen:
                changed = time.monotonic()
            self.seen = now
            if answers and not any(differences([*answers, ALSO], name, now[name]) for name in sent):
                break
            time.sleep(0.05)
        with contextlib.suppress(AssertionError):  # check_settled tells it
            wait_until(self.is_settled, "settled", timeout=5)
        self.seen = self.peer.app.do("watch", names=sent)  # nothing that was not to run has run either

    def is_settled(self) -> bool:
        """Nothing waits, nothing is held."""
        return sum(map(self.peer.n_waiting, QUEUES)) + self.peer.n_held() == 0


def differences(answers: list[Seen], name: str, seen: dict[str, str]) -> list[str]:
    """Tasks that are not as any of the releases has them."""
    return [f"{label}: {text!r} instead of {' or '.join(sorted({repr(t) for t in expected}))}"
            for label, text in seen.items()
            if text not in (expected := [answer[name][label] for answer in answers
                                         if label in answer.get(name, {})])]


def make_run(cluster: Cluster, generation: str, redis: Redis, database: int, client: Client,
             home: Path, names: set[str], answers: list[Seen]) -> Iterator[Run]:
    """With workers that run until the tests are done."""
    for kind, _ in cluster.workers:
        need(kind, generation)
    peer = open_peer(generation, "python", redis, database, client, home)
    workers = []
    try:
        for kind, queues in cluster.workers:
            workers.append(Worker(kind, PYTHONS[generation], home / kind, peer.broker, peer.broker,
                                  queues=queues, node=f"{kind}-{generation}"))
        run = Run(peer, cluster)
        shapes = [shape for shape in SHAPES if shape.name in names and run.can_run(shape)]
        run.settle(run.send(shapes), answers)
        yield run
        for worker in workers:
            assert worker.process.poll() is None, "a worker has ended by itself"
    finally:
        for worker in workers:
            worker.stop()


def selected(request: pytest.FixtureRequest) -> set[str]:
    """The shapes of those tests that this run of pytest has selected."""
    return {item.callspec.params["shape"].name for item in request.session.items
            if "shape" in getattr(getattr(item, "callspec", None), "params", {})}


def check(run: Run, shape: Shape, answers: list[Seen], is_ours: bool = False) -> None:
    """Each task as Celery has it, then what a waiting program gets.

    is_ours: a worker of Trawl's takes part, so that the answer of any release is right."""
    if shape.only not in (None, run.peer.generation):
        pytest.skip(f"only the {shape.only} release can send that")
    if not run.can_run(shape):
        pytest.skip("a Python worker is needed")
    assert shape.name not in run.refused, run.refused[shape.name]
    wrong = differences([*answers, ALSO] if is_ours else answers, shape.name,
                        run.seen[shape.name])
    assert not wrong, "\n".join(wrong)
    got = run.peer.app.do("get", name=shape.name)
    expected = {shape.get_for(generation)
                for generation in (PYTHONS if is_ours else [run.peer.generation])}
    if is_ours and "" in shape.also:
        expected.add(shape.also[""])
    assert got in expected, f"get gave {got!r} instead of {' or '.join(sorted(expected))}"


def check_settled(run: Run) -> None:
    """After the shapes (pytest keeps the order of a file): nothing waits, nothing is held."""
    wait_until(run.is_settled, "every message settled")
