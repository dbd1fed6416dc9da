"""Remote control from Python: `app.control` and `app.control.inspect()`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .pairs import Peer
from .peers import App, running, wait_until

REQUEST_FIELDS = {"id", "name", "type", "args", "kwargs", "hostname", "time_start", "acknowledged",
                  "delivery_info", "worker_pid"}


def only(replies: dict[str, Any] | None) -> Any:
    """The answer of the one worker that there is."""
    assert replies is not None and len(replies) == 1, replies
    return next(iter(replies.values()))


def is_started(peer: Peer, task_id: str) -> Callable[[], bool]:
    return lambda: peer.app.look(task_id)["state"] in ("STARTED", "PROGRESS")


@pytest.fixture(name="busy")
def make_busy(peer: Peer) -> Iterator[list[str]]:
    """Both children sleep for long, until the test has ended."""
    ids = [peer.app.send("probe.sleep", args="(60,)", options="{'shadow': 'nap'}")
           for _ in range(2)]
    for task_id in ids:
        wait_until(is_started(peer, task_id), "started")
    yield ids
    peer.app.control("revoke", ids, terminate=True)
    for task_id in ids:
        wait_until(lambda one=task_id: peer.app.look(one)["ready"], "terminated")


def test_ping(peer: Peer) -> None:
    assert peer.ask("ping") == {"ok": "pong"}
    replies = peer.app.control("ping", timeout=1)  # to all: the whole second
    assert replies == [{peer.node(): {"ok": "pong"}}]


def test_destination(peer: Peer) -> None:
    assert "@" in peer.node() and peer.ask("ping") == {"ok": "pong"}
    assert peer.app.inspect("ping", destination=["nobody@nowhere"], timeout=0.5) is None


def test_registered(peer: Peer) -> None:
    tasks = peer.ask("registered")
    assert tasks == sorted(tasks)
    assert {"probe.add", "probe.fail", "probe.noop", "probe.sleep"} <= set(tasks)
    assert not any(task.startswith("celery.") for task in tasks)


def test_stats(peer: Peer) -> None:
    total = peer.ask("stats")["total"].get("probe.noop", 0)
    peer.app.call("probe.noop")
    stats = wait_until(lambda: (s := peer.ask("stats"))["total"].get("probe.noop") == total + 1
                       and s, "counted")
    assert {"pid", "clock", "uptime", "pool", "broker", "prefetch_count", "rusage"} <= set(stats)
    assert isinstance(stats["clock"], str) and isinstance(stats["uptime"], int)
    assert stats["pool"]["max-concurrency"] == 2 and len(stats["pool"]["processes"]) == 2
    assert stats["broker"]["transport"] == "redis"
    assert stats["broker"]["port"] == peer.redis.port
    assert peer.worker is not None and stats["pid"] == peer.worker.process.pid


def test_active_queues(peer: Peer) -> None:
    queues = peer.ask("active_queues")
    assert {queue["name"] for queue in queues} == {"celery", "other"}
    for queue in queues:
        assert queue["exchange"]["type"] == "direct" and queue["routing_key"]


def test_nothing_to_tell(peer: Peer) -> None:
    wait_until(lambda: peer.ask("active") == [], "idle")
    assert peer.ask("reserved") == [] and peer.ask("query_task", ["no-such-id"]) == {}


def test_active(peer: Peer, busy: list[str]) -> None:
    requests = peer.ask("active")
    assert {request["id"] for request in requests} == set(busy)
    processes = peer.ask("stats")["pool"]["processes"]
    for request in requests:
        assert REQUEST_FIELDS <= set(request)
        assert request["type"] == "probe.sleep" and request["name"] == "nap"
        assert request["args"] == [60] and request["kwargs"] == {}
        assert request["hostname"] == peer.node()
        assert abs(request["time_start"] - time.time()) < 60
        assert request["worker_pid"] in processes
        assert request["delivery_info"]["routing_key"] == "celery"
        assert request["delivery_info"]["priority"] == 0


def test_reserved_and_revoked_while_waiting(peer: Peer, busy: list[str]) -> None:
    """What waits behind running tasks: listed, then revoked, then it never runs."""
    waiting = peer.app.send("probe.add", "(1, 2)")
    wait_until(lambda: [r["id"] for r in peer.ask("reserved")] == [waiting], "reserved")
    request = peer.ask("reserved")[0]
    assert request["time_start"] is None and request["worker_pid"] is None
    assert peer.ask("query_task", [waiting, busy[0]]).keys() == {waiting, busy[0]}
    assert peer.ask("query_task", waiting)[waiting][0] == "reserved"
    assert peer.ask("query_task", [busy[0]])[busy[0]][0] == "active"
    peer.app.control("revoke", waiting)
    wait_until(lambda: waiting in peer.ask("revoked"), "revoked")
    peer.app.control("revoke", busy, terminate=True)
    outcome = peer.app.wait(waiting)
    assert outcome["state"] == "REVOKED" and outcome["raised"] == "TaskRevokedError('revoked')"
    assert outcome["module"] == "celery.exceptions"


def test_scheduled(peer: Peer) -> None:
    """A task with an ETA is listed with it; revoked, it never runs."""
    task_id = peer.app.send("probe.add", "(1, 2)", options="{'countdown': 2, 'priority': 6}")

    def find() -> Any:
        return [one for one in peer.ask("scheduled") if one["request"]["id"] == task_id]

    entry = wait_until(find, "scheduled")[0]
    assert entry["eta"][:4].isdigit() and entry["request"]["type"] == "probe.add"
    assert entry["request"]["args"] == [1, 2] and entry["request"]["time_start"] is None
    assert task_id not in [request["id"] for request in peer.ask("active")]
    peer.app.control("revoke", task_id)
    outcome = peer.app.wait(task_id)
    assert outcome["state"] == "REVOKED" and outcome["raised"] == "TaskRevokedError('revoked')"
    wait_until(lambda: not find(), "not scheduled any more")


def test_revoked_before_it_is_sent(peer: Peer) -> None:
    """The worker remembers the id."""
    replies = peer.app.control("revoke", "revoked-before", reply=True, timeout=1)
    answer = only(replies[0])["ok"]
    assert "revoked-before" in answer and "flagged as revoked" in answer
    outcome = peer.app.call("probe.noop", options="{'task_id': 'revoked-before'}")
    assert outcome["state"] == "REVOKED" and outcome["raised"] == "TaskRevokedError('revoked')"


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_terminate(peer: Peer, signal: str) -> None:
    """A running task ends, its child is replaced, the next one runs."""
    task_id = peer.app.send("probe.sleep", args="(60,)")
    wait_until(is_started(peer, task_id), "started")
    peer.app.control("revoke", task_id, terminate=True, signal=signal)
    outcome = peer.app.wait(task_id)
    assert outcome["state"] == "REVOKED" and outcome["raised"] == "TaskRevokedError('terminated')"
    assert peer.app.call("probe.add", "(1, 2)")["value"] == "{'sum': 3}"
    wait_until(lambda: peer.n_held() == 0, "settled")


def test_revoke_several(peer: Peer) -> None:
    ids = peer.app.do("send", task="probe.noop", options="{'countdown': 1}", count=3)
    peer.app.control("revoke", ids[:2])
    assert [peer.app.wait(one)["state"] for one in ids] == ["REVOKED", "REVOKED", "SUCCESS"]


def test_unknown_command(peer: Peer) -> None:
    """An error in the answer, and a worker that lives."""
    replies = peer.app.control("broadcast", "no_such_command", reply=True, timeout=1)
    assert "error" in only(replies[0])
    assert peer.ask("ping") == {"ok": "pong"}


def test_purge(quiet: Peer) -> None:
    """What waits, of every priority and with an ETA, is counted and gone."""
    for options in ("{}", "{'priority': 3}", "{'priority': 9}", "{'countdown': 3600}"):
        quiet.app.send("probe.noop", options=options)
    assert quiet.n_waiting() == 4
    assert quiet.app.control("purge") == 4
    assert quiet.n_waiting() == 0


def test_shutdown(quiet: Peer) -> None:
    """Warm: the running task ends, what waits stays in the queue, the worker leaves with 0."""
    with running(quiet.start(n_children=1)) as worker:
        first = quiet.app.send("probe.sleep", kwargs="{'ms': 700}")
        wait_until(is_started(quiet, first), "started")
        second = quiet.app.send("probe.noop")
        quiet.app.control("shutdown")
        assert worker.process.wait(timeout=15) == 0
    assert quiet.app.look(first)["state"] == "SUCCESS"
    assert quiet.app.look(second)["state"] == "PENDING" and quiet.n_waiting() == 1
    assert quiet.n_held() == 0


def test_two_workers_answer(own: Peer) -> None:
    """Each for itself, under its own name; a destination picks one."""
    app: App = own.app
    with running(own.start(node="w1")), running(own.start(node="w2")):
        nodes = list(wait_until(lambda: len(found := app.inspect("ping", timeout=1) or {}) == 2 and found,
                                "both answer"))
        assert app.inspect("ping", destination=[nodes[1]], timeout=5) == {nodes[1]: {"ok": "pong"}}
