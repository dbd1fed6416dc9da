"""Results as a Python program sees them: states on the way, groups, forgetting, ignoring."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from .pairs import PYTHONS, Peer
from .peers import App, Client, celery_version, wait_until

FIELDS = {"status", "result", "traceback", "children", "date_done", "task_id"}


def test_states_of_a_running_task(peer: Peer) -> None:
    """PENDING, then PROGRESS with its numbers, then SUCCESS; each from the id alone."""
    task_id = "states-of-a-running-task"
    before = peer.app.look(task_id)
    assert before["state"] == "PENDING" and before["info"] == "None" and not before["ready"]
    assert before["done_at"] is None and before["traceback"] is None
    peer.app.send("probe.sleep", kwargs="{'ms': 1500, 'steps': 3}",
                  options=repr({"task_id": task_id}))
    seen: dict[str, str] = {}

    def is_ready() -> bool:
        now = peer.app.look(task_id)  # two questions to the backend: a change may come between
        seen[now["state"]] = peer.app.look(task_id)["info"] if now["ready"] else now["info"]
        return bool(now["ready"])

    wait_until(is_ready, "done")
    assert seen["PROGRESS"] in ("{'current': 1, 'total': 3}", "{'current': 2, 'total': 3}")
    assert set(seen) <= {"PENDING", "STARTED", "PROGRESS", "SUCCESS"}
    if "STARTED" in seen:
        assert "'pid'" in seen["STARTED"] and "'hostname'" in seen["STARTED"]
    assert seen["SUCCESS"] == "{'slept_ms': 1500}"


def test_record(peer: Peer) -> None:
    """Celery's fields, kept for a day."""
    task_id = peer.app.send("probe.add", "(1, 2)", options="{'parent_id': 'p', 'root_id': 'r'}")
    assert peer.app.wait(task_id)["children"] == []
    meta = peer.app.do("meta", task_id=task_id)
    assert FIELDS <= set(meta) and meta["task_id"] == repr(task_id) and meta["parent_id"] == "'p'"
    assert meta["status"] == "'SUCCESS'" and meta["result"] == "{'sum': 3}"
    ttl = peer.redis.ask_int("TTL", f"celery-task-meta-{task_id}", database=peer.database)
    assert 86300 < ttl <= 86400


def test_failed_record(peer: Peer) -> None:
    """The error from the id alone, in another place than the one that waited."""
    task_id = peer.app.send("probe.fail")
    assert peer.app.wait(task_id)["failed"]
    again = peer.app.look(task_id)
    assert again["state"] == "FAILURE" and again["info"] == "ValueError('failed as told: invalid')"
    assert again["traceback"].rstrip().endswith("ValueError: failed as told: invalid")


def test_forget(peer: Peer) -> None:
    task_id = peer.app.send("probe.noop")
    peer.app.wait(task_id)
    assert peer.has_record(task_id)
    peer.app.do("forget", task_id=task_id)
    assert not peer.has_record(task_id) and peer.app.look(task_id)["state"] == "PENDING"


@pytest.mark.parametrize("task", ["probe.noop", "probe.fail"])
def test_ignored_result(peer: Peer, task: str) -> None:
    """It runs, and leaves no record."""
    task_id = peer.app.send(task, options="{'ignore_result': True}")
    last = peer.app.send("probe.noop")
    peer.app.wait(last)
    wait_until(lambda: peer.n_waiting() + peer.n_held() == 0, "settled")
    if (peer.kind, peer.generation) != ("python", "debian"):  # 5.2 stores states and errors anyway
        assert not peer.has_record(task_id)


def test_group(peer: Peer) -> None:
    """Plain calls in a group: all values, in order; the saved group gives them again."""
    done = peer.app.do("gather", task="probe.add", calls="[(i, i) for i in range(30)]")
    expected = repr([{"sum": 2 * i} for i in range(30)])
    assert done["values"] == expected and done["again"] == expected
    assert done["completed"] == 30 and done["successful"]


def test_many_results(peer: Peer) -> None:
    """A hundred calls, gathered at once."""
    ids = peer.app.do("send", task="probe.add", args="(20, 1)", count=100)
    assert len(set(ids)) == 100
    assert peer.app.do("gather_many", task_ids=ids) == repr([{"sum": 21}] * 100)


def test_both_releases_read_the_same(peer: Peer, clients: Callable[[str], Client]) -> None:
    """Sent by one release, awaited by the other."""
    other = "current" if peer.generation == "debian" else "debian"
    if not celery_version(PYTHONS[other]):
        pytest.skip(f"{PYTHONS[other]} has no Celery with Redis")
    client = clients(other)
    client.do("open", app="reader", broker=peer.broker, backend=peer.broker, conf={})
    reader = App(client, "reader")
    good = peer.app.send("probe.sleep", kwargs="{'ms': 300}")
    bad = peer.app.send("probe.fail", kwargs="{'kind': 'io'}")
    assert reader.wait(good)["value"] == "{'slept_ms': 300}"
    assert reader.wait(bad)["raised"] == "OSError('failed as told: io')"


def test_refused_content(peer: Peer) -> None:
    """A pickle is not run, and does not stand in the way of what follows."""
    app = peer.open("pickles", accept_content=["json", "pickle"])
    task_id = app.send("probe.noop", options="{'serializer': 'pickle'}")
    assert peer.app.call("probe.add", "(1, 2)")["value"] == "{'sum': 3}"
    wait_until(lambda: peer.n_waiting() + peer.n_held() == 0, "settled")
    assert peer.app.look(task_id)["state"] == "PENDING"
    assert peer.worker is not None and peer.worker.process.poll() is None


def test_unlimited_wait_is_woken(peer: Peer) -> None:
    """`get` of a result that is published while the client waits: by the channel, not by a poll."""
    start = time.monotonic()
    outcome = peer.app.call("probe.sleep", kwargs="{'ms': 300}")
    assert outcome["value"] == "{'slept_ms': 300}" and outcome["states"][-1] == "SUCCESS"
    assert time.monotonic() - start >= 0.3
