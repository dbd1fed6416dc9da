"""What `trawl worker` does with tasks that take their time, fail, wait, expire or use up their process.

The tasks are the probe's (tests/tools/)."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from workers import PROBE, Workers, children_of, envelope, wait_until


def from_now(seconds: float) -> str:
    """A moment as Celery writes it."""
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()


class Record:
    """Starts and ends that tasks have written down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, event: str) -> list[tuple[str, int, int]]:
        """(token, process, milliseconds on the monotonic clock) in their order."""
        if not self.path.exists():
            return []
        rows = [line.split() for line in self.path.read_text().splitlines()]
        return [(row[1], int(row[2]), int(row[3])) for row in rows if row[0] == event]

    def arguments(self, token: str, **more: Any) -> dict[str, Any]:
        """For a task that writes here."""
        return {"path": str(self.path), "token": token, **more}


@pytest.fixture(name="record")
def make_record(tmp_path: Path) -> Record:
    """Empty."""
    return Record(tmp_path / "record")


def start(workers: Workers, *words: str, n_children: int = 1, **env: str) -> subprocess.Popen[str]:
    """A worker with the probe's tasks."""
    return workers.start(*words, n_children=n_children, program=PROBE, **env)


def all_settled(workers: Workers, timeout: float = 15) -> None:
    """No message is left."""
    wait_until(lambda: workers.n_messages() == 0, "all messages settled", timeout)


def send_raw(workers: Workers, task: str, task_id: str, kwargs: dict[str, Any] | None = None,
             **headers: Any) -> None:
    """An envelope that only its headers speak for, as a Python client leaves it in a list."""
    workers.send("raw", envelope(task, task_id, [], kwargs, **headers), prefix=task_id)


def test_progress(workers: Workers) -> None:
    """State PROGRESS with current and total while it runs, then the result."""
    workers.send("probe.sleep", {"seconds": 4, "steps": 40}, prefix="p")
    start(workers)
    seen: set[int] = set()

    def look() -> bool:
        document = workers.result("p-0")
        if document.get("status") == "PROGRESS":
            assert set(document["result"]) == {"current", "total"}
            assert document["result"]["total"] == 40 and document["date_done"] is None
            seen.add(document["result"]["current"])
        return document.get("status") == "SUCCESS"

    wait_until(look, "done")
    assert len(seen) >= 3 and max(seen) <= 40
    assert workers.result("p-0")["result"] == {"slept_ms": 4000}


def test_children_are_replaced_by_tasks(workers: Workers, record: Record) -> None:
    """--max-tasks-per-child: no process runs more, and no task is lost."""
    for i in range(10):
        workers.send("probe.record", record.arguments(f"t{i}"), prefix=f"t{i}")
    start(workers, "--max-tasks-per-child", "3")
    all_settled(workers)
    by_child: dict[int, int] = {}
    for _, pid, _ in record.lines("start"):
        by_child[pid] = by_child.get(pid, 0) + 1
    assert sorted(by_child.values()) == [1, 3, 3, 3]
    assert workers.states() == {"SUCCESS": 10}


def test_children_are_replaced_by_memory(workers: Workers) -> None:
    """--max-memory-per-child: after the task, and its result counts."""
    worker = start(workers, "--max-memory-per-child", "60000")
    before = children_of(worker.pid)
    workers.send("probe.big", {"bytes": 1000}, prefix="small")
    all_settled(workers)
    assert children_of(worker.pid) == before
    workers.send("probe.big", {"bytes": 40_000_000}, prefix="large")
    wait_until(lambda: before[0] not in children_of(worker.pid) and children_of(worker.pid),
               "a new child")
    all_settled(workers)


def test_priorities(workers: Workers, record: Record) -> None:
    """0 is served first; within a priority, first in, first out."""
    for priority in (9, 5, 0):
        subprocess.run(
            [str(PROBE), "flood", "3", "--task", "probe.record", "--priority", str(priority),
             "--kwargs", json.dumps(record.arguments(f"{priority}-{{i}}"))],
            env=workers.trawl.env, cwd=workers.trawl.home, check=True, stdout=subprocess.DEVNULL)
    start(workers)
    all_settled(workers)
    tokens = [token for token, _, _ in record.lines("start")]
    assert tokens == [f"{priority}-{i}" for priority in (0, 5, 9) for i in range(3)]


def test_expires_while_it_waits_here(workers: Workers, record: Record) -> None:
    """The worker has taken it in time, but every child is busy until it is too late."""
    workers.send("probe.sleep", {"seconds": 3}, prefix="long")
    start(workers, "--max-tasks-per-child", "1")  # so that nothing waits in the child itself
    wait_until(lambda: workers.result("long-0").get("status") == "STARTED", "started")
    send_raw(workers, "probe.record", "late", record.arguments("late"), expires=from_now(1))
    send_raw(workers, "probe.record", "fine", record.arguments("fine"), expires=from_now(60))
    all_settled(workers)
    late = workers.result("late")
    assert late["status"] == "REVOKED" and late["result"]["exc_message"] == ["expired"]
    assert [token for token, _, _ in record.lines("start")] == ["fine"]


def test_eta_of_the_headers(workers: Workers, record: Record) -> None:
    """A message that the broker took for due goes back to it, and comes when its time has come."""
    due_ms = time.monotonic_ns() // 1_000_000 + 2000
    send_raw(workers, "probe.record", "eta", record.arguments("eta"), eta=from_now(2))
    worker = start(workers)
    wait_until(lambda: workers.query("broker.db", "SELECT count(*) FROM scheduled") == [(1,)],
               "it waits in the broker")
    assert workers.query("broker.db", "SELECT count(*) FROM claims") == [(0,)]
    wait_until(lambda: "task waits for its eta: id=eta" in workers.log.read_text(), "it is said")
    workers.kill(worker)
    start(workers)
    all_settled(workers)
    (token, _, at_ms), = record.lines("start")
    assert token == "eta" and -5 < at_ms - due_ms < 1000
    assert workers.result("eta")["status"] == "SUCCESS"


def test_protocol_1_with_a_wall_clock(workers: Workers) -> None:
    """utc false: its times are those of this machine's zone."""
    now = datetime.now(timezone(timedelta(hours=-5))).replace(tzinfo=None)
    for task_id, expires in (("past", now - timedelta(minutes=1)),
                             ("ahead", now + timedelta(minutes=1))):
        body = {"task": "probe.add", "id": task_id, "args": [2, 3], "kwargs": {}, "utc": False,
                "expires": expires.isoformat()}
        message = envelope("x", task_id, [])
        message |= {"body": json.dumps(body), "headers": {}}
        message["properties"]["body_encoding"] = None
        workers.send("raw", message, prefix=task_id)
    start(workers, TZ="EST5")
    all_settled(workers)
    assert workers.result("past")["status"] == "REVOKED"
    assert workers.result("ahead")["result"] == {"sum": 5}


def test_time_limits_of_message_and_worker(workers: Workers) -> None:
    """The message's own count more than the worker's, each for itself."""
    send_raw(workers, "probe.sleep", "soft", {"seconds": 60}, timelimit=[None, 0.5])
    send_raw(workers, "probe.crash", "hard", {"how": "hang"}, timelimit=[1, 0.3])
    send_raw(workers, "probe.crash", "half", {"how": "hang"}, timelimit=[1.5, None])
    workers.send("probe.sleep", {"ms": 10}, prefix="quick")
    workers.send("probe.crash", {"how": "hang"}, prefix="worker")
    start(workers, "--time-limit", "2", "--soft-time-limit", "1", n_children=2)
    all_settled(workers)
    assert workers.result("soft")["result"] == {
        "exc_type": "SoftTimeLimitExceeded", "exc_module": "billiard.exceptions",
        "exc_message": []}
    for task_id, seconds in (("hard", 1), ("half", 1.5), ("worker-0", 2)):
        document = workers.result(task_id)
        assert document["status"] == "FAILURE" and document["traceback"] is None
        assert document["result"] == {
            "exc_type": "TimeLimitExceeded", "exc_module": "billiard.exceptions",
            "exc_message": [seconds]}
    assert workers.result("quick-0")["status"] == "SUCCESS"
    assert workers.query("broker.db", "SELECT count(*) FROM dead") == [(0,)]


def test_a_service_asks_for_a_pause(workers: Workers, record: Record) -> None:
    """"Again in N s": not before, with retries + 1, and then it succeeds."""
    send_raw(workers, "probe.fail", "limited",
             record.arguments("x", kind="rate_limit", times=1, after_ms=1500),
             expires=from_now(60), xh=7)
    start(workers)
    document = wait_until(
        lambda: (d := workers.result("limited")).get("status") == "RETRY" and d, "to be tried again")
    assert document["result"]["exc_type"] == "RateLimited" and document["date_done"] is None
    wait_until(lambda: workers.query("broker.db", "SELECT count(*) FROM scheduled") == [(1,)],
               "it waits in the broker")
    (body,), = workers.query("broker.db", "SELECT body FROM messages")
    message = json.loads(body)
    assert message["headers"]["retries"] == 1 and message["headers"]["parent_id"] == "limited"
    assert message["headers"]["root_id"] == "limited" and message["headers"]["xh"] == 7
    assert datetime.fromisoformat(message["headers"]["eta"]) > datetime.now(timezone.utc)
    assert 50_000 < int(message["properties"]["expiration"]) < 60_000
    all_settled(workers)
    starts = record.lines("start")
    assert len(starts) == 2 and starts[1][2] - starts[0][2] >= 1500
    assert workers.result("limited")["result"] == {"runs": 2}


def test_retries_end(workers: Workers, record: Record) -> None:
    """Three more tries with growing pauses, then the failure stands."""
    workers.send("probe.fail", record.arguments("x", kind="network"), prefix="net")
    workers.send("probe.fail", record.arguments("y", kind="invalid"), prefix="invalid")
    start(workers)
    all_settled(workers, 30)
    tokens = [token for token, _, _ in record.lines("start")]
    assert tokens.count("x") == 4 and tokens.count("y") == 1
    document = workers.result("net-0")
    assert document["status"] == "FAILURE"
    assert document["result"] == {
        "exc_type": "ConnectionError", "exc_module": "builtins",
        "exc_message": ["failed as told: network"]}
    assert workers.result("invalid-0")["result"]["exc_type"] == "ValueError"


def test_a_task_that_kills_its_process(workers: Workers, record: Record) -> None:
    """A crash is not a retry: it runs again after a pause; the third time it is parked, with the
    signal's name."""
    workers.send("probe.crash", record.arguments("c", how="segv"), prefix="segv")
    workers.send("probe.crash", record.arguments("e", how="exit", amount=3, times=1), prefix="once")
    start(workers)
    all_settled(workers)
    tokens = [token for token, _, _ in record.lines("start")]
    assert tokens.count("c") == 3 and tokens.count("e") == 2
    document = wait_until(
        lambda: (d := workers.result("segv-0")).get("status") == "FAILURE" and d, "told")
    assert document["result"]["exc_type"] == "WorkerLostError"
    assert "Worker exited prematurely: signal 11 (SIGSEGV) Job: " in (
        document["result"]["exc_message"][0])
    assert workers.result("once-0")["status"] == "SUCCESS"
    (reason,), = workers.query("broker.db", "SELECT reason FROM dead")
    assert "SIGSEGV" in reason


def test_ignored_results_are_not_stored(workers: Workers) -> None:
    """Neither the start nor the end."""
    send_raw(workers, "probe.sleep", "quiet", {"ms": 100}, ignore_result=True)
    send_raw(workers, "probe.fail", "quiet-too", {}, ignore_result=True)
    workers.send("probe.add", {"x": 1}, prefix="loud")
    start(workers)
    all_settled(workers)
    assert workers.states() == {"SUCCESS": 1}


def test_long_tasks_block_nobody(workers: Workers, record: Record) -> None:
    """After many short tasks much is held; when a long one follows, the rest goes to others."""
    workers.send("probe.noop", {}, count=2000, prefix="short")
    start(workers)
    all_settled(workers)
    n_long, n_more = 1, 300
    subprocess.run(
        [str(PROBE), "flood", "40", "--task", "probe.noop"], env=workers.trawl.env, check=True,
        stdout=subprocess.DEVNULL)
    workers.send("probe.sleep", {"seconds": 60}, count=n_long, prefix="long")
    workers.send("probe.record", record.arguments("r"), count=n_more, prefix="more")
    wait_until(lambda: workers.result("long-0").get("status") == "STARTED", "started")
    start(workers)
    wait_until(lambda: len(record.lines("start")) >= n_more - 4, "the other worker has run them", 10)
    assert workers.result("long-0")["status"] == "STARTED"
