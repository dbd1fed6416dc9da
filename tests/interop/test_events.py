"""Events as `app.events.Receiver` hears them, and a Python worker with gossip beside Trawl's.

One cluster per release: a worker of each kind on a queue of its own, both with task events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from .event_rows import FIELDS, NULLABLE, ROWS, Row
from .pairs import PYTHONS, Peer, need, open_peer
from .peers import Client, Worker, running, wait_until
from .reply_shape import kind_of
from .servers import Redis

KINDS = ("python", "trawl")
Event = dict[str, Any]


@dataclass
class Neighbours:
    """Both workers, what was sent to each, and all that was heard."""

    peer: Peer
    workers: dict[str, Worker]
    sent: dict[tuple[str, str], str] = field(default_factory=dict)  # (row, kind): id
    events: list[Event] = field(default_factory=list)

    def start(self, kind: str, node: str, *words: str) -> Worker:
        return Worker(kind, PYTHONS[self.peer.generation], self.peer.home / node, self.peer.broker,
                      self.peer.broker, queues=kind, n_children=4, node=node, words=words,
                      gossip=True)

    def of_task(self, row: Row, kind: str) -> list[Event]:
        return [event for event in self.events if event.get("uuid") == self.sent[row.name, kind]]

    def hears_full_heartbeats(self) -> bool:
        """Of both, with their load."""
        self.events = self.peer.app.do("heard")
        return all(any("loadavg" in event for event in self.of_worker(kind, "heartbeat"))
                   for kind in KINDS)

    def wait_for_nodes(self, count: int) -> None:
        wait_until(lambda: len(self.peer.app.inspect("ping", timeout=0.5) or {}) == count,
                   f"{count} nodes answer")

    def of_worker(self, kind: str, what: str) -> list[Event]:
        return [event for event in self.events if event["type"] == f"worker-{what}"
                and event["pid"] == self.workers[kind].process.pid]


def is_heard(events: list[Event], ids: list[str], what: str) -> bool:
    return set(ids) <= {event["uuid"] for event in events if event["type"] == f"task-{what}"}


def in_order(events: list[Event]) -> list[Event]:
    """A retry's message may be received before its sender has told of the retry."""
    retried = [event for event in events if event["type"] == "task-retried"]
    others = [event for event in events if event["type"] != "task-retried"]
    return others[:2] + retried + others[2:]


def send_rows(both: Neighbours) -> None:
    """All rows to both, then what has to be revoked; waits until all have ended."""
    app = both.peer.app
    for kind in KINDS:
        for row in ROWS:
            record = str(both.peer.home / f"record-{kind}-{row.name}")
            options = f"{{'queue': {kind!r}, **{row.options}}}"
            both.sent[row.name, kind] = app.send(row.task, row.args,
                                                 row.kwargs.replace("{record}", record), options)
    for row in (row for row in ROWS if row.revoke):
        ids = [both.sent[row.name, kind] for kind in KINDS]
        wait_until(lambda ids=ids, row=row: row.revoke == "sent"
                   or is_heard(app.do("heard"), ids, row.revoke), row.revoke)
        app.control("revoke", ids, terminate=row.revoke == "started", signal="SIGTERM")
    for task_id in both.sent.values():
        app.wait(task_id)


@pytest.fixture(name="both", scope="module", params=list(PYTHONS))
def make_both(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
              clients: Callable[[str], Client],
              tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    generation = request.param
    need("trawl", generation)
    home = tmp_path_factory.mktemp(f"events-{generation}")
    peer = open_peer(generation, "python", redis, database(), clients(generation), home)
    both = Neighbours(peer, {})
    try:
        peer.app.do("listen")
        for kind in KINDS:
            both.workers[kind] = both.start(kind, kind, "-E")
        send_rows(both)
        wait_until(lambda: both.hears_full_heartbeats(), "heartbeats of both")
        yield both
    finally:
        peer.app.do("heard", stop=True)
        for worker in both.workers.values():
            worker.stop()


@pytest.fixture(name="told", scope="module")
def make_told(both: Neighbours) -> Neighbours:
    """After Trawl's worker has said farewell; it is started again."""
    both.workers["trawl"].stop()
    both.events = wait_until(
        lambda: (heard := both.peer.app.do("heard"))
        and any(event["type"] == "worker-offline" for event in heard) and heard, "farewell")
    return both


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_task_events(told: Neighbours, row: Row) -> None:
    """The sequence, the fields of each, and what they say, as from a Python worker."""
    theirs, ours = (in_order(told.of_task(row, kind)) for kind in KINDS)
    for events in (theirs, ours):
        assert " ".join(event["type"][5:] for event in events) in row.events.split("|"), events
    for their, our in zip(reversed(theirs), reversed(ours)):
        lacking = FIELDS[our["type"]] & set(their) - set(our)
        assert not lacking, f"{our['type']} lacks {lacking}"
        for name in FIELDS[our["type"]] & set(their):
            kinds_of = {kind_of(their[name]), kind_of(our[name])}
            assert len(kinds_of - ({"null"} if name in NULLABLE else set())) < 2, (name, their, our)
        for name in {"name", "retries", "terminated", "signum", "expired"} & set(their):
            assert our[name] == their[name], name
        if "exception" in their:
            assert our["exception"] == their["exception"]
    clocks = [event["clock"] for event in told.of_task(row, "trawl")]
    assert clocks == sorted(set(clocks)), "each is later than the one before"


def test_received_tells_all(told: Neighbours) -> None:
    """Monitors take name and arguments from here alone."""
    row = ROWS[0]
    theirs, ours = told.of_task(row, "python")[0], told.of_task(row, "trawl")[0]
    assert ours["args"] == theirs["args"] == "(2, 3)" and ours["kwargs"] == theirs["kwargs"] == "{}"
    assert ours["root_id"] == told.sent[row.name, "trawl"] and ours["parent_id"] is None
    succeeded = told.of_task(row, "trawl")[-1]
    assert succeeded["result"] == "{'sum': 5}" and 0 <= succeeded["runtime"] < 5


@pytest.mark.parametrize("what", ["online", "heartbeat", "offline"])
def test_worker_events(told: Neighbours, what: str) -> None:
    events = told.of_worker("trawl", what)
    assert events
    for event in events:
        assert FIELDS[f"worker-{what}"] - set(event) <= {"active", "processed", "loadavg"}, event
        assert isinstance(event["freq"], (int, float)) and "@" in event["hostname"]
    full = [event for event in events if "loadavg" in event]
    assert full and len(full[-1]["loadavg"]) == 3
    if what == "offline":
        assert full[-1]["processed"] >= len(ROWS) - 2 and full[-1]["active"] == 0


def test_order_of_a_life(told: Neighbours) -> None:
    ours = [event["type"] for event in told.events
            if event["pid"] == told.workers["trawl"].process.pid]
    assert ours[0] == "worker-online" and ours[-1] == "worker-offline"


def test_python_worker_stays_calm(told: Neighbours) -> None:
    """Workers come, go and are killed: a Python worker with gossip and mingle is not troubled by it."""
    log = told.workers["python"].log
    n_before = len(log.read_text(encoding="utf-8"))  # failures of the rows above are in it
    second = told.start("trawl", "second")
    with running(told.start("python", "third")) as third:
        second.kill()
        told.start("trawl", "fourth").stop()
        told.wait_for_nodes(2)
        logs = [log.read_text(encoding="utf-8")[n_before:], third.log.read_text(encoding="utf-8")]
    assert "sync with 2 nodes" in logs[1], logs[1]
    for text in logs:
        trouble = [line for line in text.splitlines()
                   if re.search("Traceback|CRITICAL|ERROR|Error|drift", line)]
        assert not trouble, "\n".join(trouble)
    assert told.workers["python"].process.poll() is None


def test_election(told: Neighbours) -> None:
    """Of all who stand for it one wins, and runs the action once; everybody lives on.

    A Python worker dies of a list index where it has heard enough acknowledgements before the second
    candidate, which on a busy machine happens among Python workers as well: then once more."""
    for attempt in range(3):
        with running(told.start("trawl", f"candidate-{attempt}")):
            record = told.peer.home / f"elected-{attempt}"
            votes = hold_elections(told, attempt, str(record))
        text = told.workers["python"].log.read_text(encoding="utf-8")
        if told.workers["python"].process.poll() is None:
            break
        assert "sort_heap" in text, text[-2000:]
        told.workers["python"] = told.start("python", f"python-{attempt}")
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    assert [line.split()[1] for line in lines if line.startswith("start ")] == votes


def hold_elections(told: Neighbours, attempt: int, record: str) -> list[str]:
    """Each begins when the one before is decided; what must be in the record."""
    app = told.peer.app
    told.wait_for_nodes(2)
    n_before = len(app.do("heard"))
    wait_until(lambda: {"python", "trawl"} <= {
        kind for event in app.do("heard")[n_before:] if event["type"] == "worker-heartbeat"
        for kind in KINDS if ("py-celery" == event["sw_ident"]) is (kind == "python")},
        "they have heard of each other")
    votes = [f"{attempt}.{i}" for i in range(3)]
    for vote in votes:
        action = app.do("signature", task="probe.record",
                        kwargs=repr({"path": record, "token": vote}),
                        options=repr({"task_id": f"vote-{vote}", "queue": "python"}))
        app.control("election", f"vote-{vote}", "task", action)
        if app.wait(f"vote-{vote}", timeout=5)["state"] != "SUCCESS":
            break
    return votes
