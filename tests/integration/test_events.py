"""Events with real workers: `trawl events` and `trawl top` on both brokers; on Redis what Celery's own
receiver makes of ours, and what ours make of a Python worker's.

The workers are the probe (tests/tools/): trawl's commands with tasks that sleep and count."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from control_nodes import CELERY_PYTHON, NODE, PROBE, Nodes, make_nodes
from workers import wait_until

LIFE = {"worker-online", "worker-heartbeat", "worker-offline"}
COMMON = {"hostname", "utcoffset", "pid", "clock", "timestamp", "type"}
FIGURES = {"freq", "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys"}

# Prints an object per event once it listens, as app.events.Receiver hands them out, and what the
# receiver's State makes of them when standard input ends.
RECEIVER = """
import json, sys, threading
from celery import Celery
app = Celery(broker=sys.argv[1])
state = app.events.State()
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
with app.connection_for_read() as connection:
    receiver = app.events.Receiver(connection, handlers={"*": lambda event: (
        state.event(event), print(json.dumps(event, default=str), flush=True))})
    with receiver.consumer_context() as (own, _, _):
        print("listening", flush=True)
        while not stop.is_set():
            try:
                own.drain_events(timeout=0.2)
            except TimeoutError:
                pass
print(json.dumps({"workers": {name: [worker.alive, worker.sw_ident, worker.processed]
                              for name, worker in state.workers.items()},
                  "tasks": {uuid: [task.name, task.state, task.args, task.kwargs]
                            for uuid, task in state.tasks.items()}}), flush=True)
"""

PYTHON_APP = """
from celery import Celery
app = Celery("app", broker=%r, backend=%r)
@app.task(name="py.add")
def add(x, y):
    return x + y
"""


class Watch:
    """A program that prints events until it is told to end."""

    def __init__(self, words: list[str], nodes: Nodes) -> None:
        self.process = subprocess.Popen(
            words, cwd=nodes.home, env=nodes.env, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines: list[str] = []

    def read(self, seconds: float) -> None:
        """What comes within that time."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.process.stdout], [], [], left)[0]:
                line = os.read(self.process.stdout.fileno(), 1 << 20).decode()
                if not line:
                    return
                self.lines.append(line)

    def events(self) -> list[dict[str, Any]]:
        """All that were printed so far."""
        whole = "".join(self.lines).splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def wait_for(self, *kinds: str, timeout: float = 15) -> list[dict[str, Any]]:
        """Read until an event of each of these types has come."""
        end = time.monotonic() + timeout
        while not set(kinds) <= {event["type"] for event in self.events() if "type" in event}:
            assert time.monotonic() < end, f"{kinds} not seen\n{''.join(self.lines)}"
            self.read(0.1)
        return [event for event in self.events() if event["type"] in kinds]

    def interrupt(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.finish()

    def finish(self) -> int:
        """Close its input, read the rest; the exit status."""
        rest, errors = self.process.communicate(timeout=20)
        self.lines.append(rest)
        assert "Traceback" not in errors, errors
        return self.process.returncode


@pytest.fixture(name="nodes", params=["sqlite", "redis"])
def make_both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nodes]:
    """A broker of each kind."""
    nodes = make_nodes(tmp_path, request.param)
    yield nodes
    nodes.clean_up()


@pytest.fixture(name="redis_nodes")
def make_redis(tmp_path: Path) -> Iterator[Nodes]:
    """A broker that Celery speaks, too."""
    nodes = make_nodes(tmp_path, "redis")
    if not Path(CELERY_PYTHON).exists():
        nodes.clean_up()
        pytest.skip(f"no Celery at {CELERY_PYTHON}")
    yield nodes
    nodes.clean_up()


def watch(nodes: Nodes, *words: str) -> Watch:
    """`trawl events --json`, which has begun to listen."""
    started = Watch([str(PROBE), "events", "--json", *words], nodes)
    if nodes.redis:
        wait_until(lambda: nodes.redis.cli("PUBSUB", "NUMPAT").strip() not in ("0", "")
                   and "celeryev" in nodes.redis.cli("SMEMBERS", "_kombu.binding.celeryev"),
                   "somebody listens to events", 10)
    else:
        def is_listening() -> bool:
            try:
                with closing(sqlite3.connect(f"{nodes.data}/broker.db-events")) as file:
                    return bool(file.execute("SELECT count(*) FROM listeners"
                                             " WHERE exchange = 'celeryev/#'").fetchone()[0])
            except sqlite3.OperationalError:
                return False
        wait_until(is_listening, "somebody listens to events", 10)
    return started


def stop(worker: subprocess.Popen[str]) -> None:
    """Warm; the exit status is 0."""
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0


def test_life_of_tasks(nodes: Nodes) -> None:
    """A worker with -E tells of itself and of its tasks, in fields as Celery has them."""
    seen = watch(nodes)
    worker = nodes.start("-E")
    added = nodes.send("probe.add", "--x", "2", "--y", "3")
    failed = nodes.send("probe.fail")
    nodes.await_state(failed, "FAILURE")
    stop(worker)
    seen.wait_for("worker-online", "worker-offline", "task-succeeded", "task-failed")
    assert seen.interrupt() == 0
    by_type: dict[str, dict[str, Any]] = {}
    for event in seen.events():
        assert COMMON <= set(event), event
        assert event["hostname"] == NODE
        by_type.setdefault(f"{event['type']}:{event.get('uuid', '')}", event)
    assert FIGURES <= set(by_type["worker-online:"])
    assert by_type["worker-offline:"]["processed"] == 2
    received = by_type[f"task-received:{added}"]
    assert (received["name"], received["args"], received["kwargs"]) == (
        "probe.add", "()", "{'x': 2, 'y': 3}")
    assert (received["root_id"], received["parent_id"], received["retries"]) == (added, None, 0)
    assert f"task-started:{added}" in by_type
    assert by_type[f"task-succeeded:{added}"]["result"] == "{'sum': 5}"
    assert 0 <= by_type[f"task-succeeded:{added}"]["runtime"] < 5
    assert by_type[f"task-failed:{failed}"]["exception"].startswith("ValueError('")
    assert "ValueError" in by_type[f"task-failed:{failed}"]["traceback"]
    clocks = [event["clock"] for event in seen.events()]
    assert clocks == sorted(set(clocks))


def test_off_by_default(nodes: Nodes) -> None:
    """Without -E a worker tells of itself only; without all three, of nothing."""
    seen = watch(nodes)
    worker = nodes.start()
    nodes.await_state(nodes.send("probe.noop"), "SUCCESS")
    stop(worker)
    seen.wait_for("worker-offline")
    quiet = nodes.start("--without-gossip", "--without-heartbeat", "--without-mingle")
    n_before = len(seen.events())
    nodes.await_state(nodes.send("probe.noop"), "SUCCESS")
    stop(quiet)
    seen.read(0.3)
    assert seen.interrupt() == 0
    assert {event["type"] for event in seen.events()} <= LIFE
    assert len(seen.events()) == n_before


def test_filters_and_ends(nodes: Nodes) -> None:
    """By type and by name; lines for people; --count and --for end it."""
    nodes.start("-E")
    one = watch(nodes, "--type", "task-succeeded", "--task", "probe.noop", "--count", "1")
    nodes.send("probe.add", "--x", "1")
    wanted = nodes.send("probe.noop")
    assert one.finish() == 0
    assert [event["uuid"] for event in one.events()] == [wanted]
    line = nodes.run("events", "--type", "worker-heartbeat", "--count", "2").stdout
    line = line.splitlines()[1]  # the first one answers the question who is there
    assert re.match(rf"\d\d:\d\d:\d\d\.\d\d\dZ {re.escape(NODE)} worker-heartbeat active=", line)
    assert not nodes.run("events", "--type", "work", "--for", "1").stdout
    nodes.run("events", "--count", "0", status=2)


def test_task_sent(nodes: Nodes) -> None:
    """`trawl call` tells of what it sends where that is configured."""
    seen = watch(nodes, "--count", "1")
    sent = nodes.run("call", "probe.add", "--x", "2", TRAWL_TASK_SEND_SENT_EVENT="true")
    assert seen.finish() == 0
    event = seen.events()[0]
    assert (event["type"], event["uuid"]) == ("task-sent", sent.stdout.strip())
    assert (event["name"], event["kwargs"], event["queue"]) == ("probe.add", "{'x': 2}", "celery")
    assert event["hostname"].startswith("gen")


def test_top(nodes: Nodes) -> None:
    """One picture, as text and as JSON, and a live one in a terminal that q ends."""
    nodes.start("-E")
    top = subprocess.Popen([str(PROBE), "top", "--json", "--for", "3"], cwd=nodes.home,
                           env=nodes.env, text=True, stdout=subprocess.PIPE)
    once = subprocess.Popen([str(PROBE), "top", "--once"], cwd=nodes.home, env=nodes.env, text=True,
                            stdout=subprocess.PIPE)
    time.sleep(0.5)
    for number in range(3):
        nodes.send("probe.add", "--x", str(number))
    failed = nodes.send("probe.fail")
    picture = json.loads(top.communicate(timeout=20)[0])
    assert [(worker["name"], worker["online"]) for worker in picture["workers"]] == [(NODE, True)]
    kinds = {kind["name"]: kind for kind in picture["tasks"]}
    assert kinds["probe.add"]["succeeded"] == 3
    assert kinds["probe.add"]["run"]["p99_us"] >= kinds["probe.add"]["run"]["p50_us"] >= 0
    assert kinds["probe.fail"]["failed"] == 1
    assert [failure["id"] for failure in picture["failures"]] == [failed]
    assert [queue["name"] for queue in picture["queues"]] == ["celery"]
    text = once.communicate(timeout=20)[0]
    assert NODE in text and "QUEUE" in text and "\033" not in text

    outer, inner = pty.openpty()
    live = subprocess.Popen([str(PROBE), "top"], cwd=nodes.home, env=nodes.env | {"NO_COLOR": "1"},
                            stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    shown = b""
    while b"WORKER" not in shown:
        assert select.select([outer], [], [], 15)[0], shown
        shown += os.read(outer, 65536)
    os.write(outer, b"q")
    assert live.wait(timeout=15) == 0
    os.close(outer)
    assert b"\033[1m" not in shown


def test_written_for_nobody(tmp_path: Path) -> None:
    """On SQLite a worker that nobody listens to writes nothing; with another one, seconds' worth."""
    nodes = make_nodes(tmp_path, "sqlite")
    try:
        nodes.start("-E")
        for _ in range(5):
            nodes.await_state(nodes.send("probe.noop"), "SUCCESS")
        with closing(sqlite3.connect(f"{nodes.data}/broker.db-events")) as file:
            assert file.execute("SELECT count(*) FROM letters").fetchone()[0] == 0
            nodes.start()
            wait_until(lambda: file.execute("SELECT count(*) FROM letters").fetchone()[0] > 0,
                       "workers hear each other", 10)
    finally:
        nodes.clean_up()


def test_broker_away(redis_nodes: Nodes) -> None:
    """Events of a Redis that is gone are dropped; it comes back, and so do they."""
    assert redis_nodes.redis is not None
    worker = redis_nodes.start("-E")
    redis_nodes.redis.stop()
    time.sleep(0.5)
    redis_nodes.redis.start()
    seen = watch(redis_nodes)
    seen.wait_for("worker-online", timeout=20)
    redis_nodes.await_state(redis_nodes.send("probe.noop"), "SUCCESS")
    seen.wait_for("task-succeeded")
    assert seen.interrupt() == 0
    stop(worker)


def test_celery_receiver(redis_nodes: Nodes) -> None:
    """Celery's receiver and its State read ours as they read Python's."""
    assert redis_nodes.redis is not None
    seen = Watch([CELERY_PYTHON, "-c", RECEIVER, redis_nodes.redis.url], redis_nodes)
    while "listening" not in "".join(seen.lines):
        seen.read(0.1)
    worker = redis_nodes.start("-E")
    added = redis_nodes.send("probe.add", "--x", "2", "--y", "3")
    failed = redis_nodes.send("probe.fail")
    redis_nodes.await_state(failed, "FAILURE")
    seen.wait_for("worker-online", "worker-heartbeat", "task-succeeded", "task-failed")
    assert seen.finish() == 0
    state = seen.events()[-1]
    assert state["workers"] == {NODE: [True, "trawl", 2]}
    assert state["tasks"][added] == ["probe.add", "SUCCESS", "()", "{'x': 2, 'y': 3}"]
    assert state["tasks"][failed][:2] == ["probe.fail", "FAILURE"]
    stop(worker)


def test_python_worker(redis_nodes: Nodes) -> None:
    """A Python worker beside ours hears and is heard, inherits what was revoked, and stays calm."""
    assert redis_nodes.redis is not None
    url = redis_nodes.redis.url
    (redis_nodes.home / "app.py").write_text(PYTHON_APP % (url, url), encoding="utf-8")
    ours = redis_nodes.start("-E")
    redis_nodes.run("control", "revoke", "revoked-by-ours")
    log = redis_nodes.home / "python.log"
    with log.open("w") as file:
        python = subprocess.Popen(
            [CELERY_PYTHON, "-m", "celery", "-A", "app", "worker", "-c", "1", "-E", "-Q", "py",
             "-n", "py@h", "-l", "INFO"], cwd=redis_nodes.home, env=redis_nodes.env,
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_until(lambda: "ready." in log.read_text(), "the Python worker is ready", 30)
        seen = watch(redis_nodes, "--task", "py.add", "--type", "task-succeeded", "--count", "1")
        redis_nodes.run("call", "py.add", "--foreign", "--queue", "py", "--args", "[1, 2]")
        assert seen.finish() == 0
        assert seen.events()[0]["result"] == "3"
        late = redis_nodes.start("-n", "late@%h")
        wait_until(lambda: "mingle: n_nodes=2" in redis_nodes.log.read_text(), "both have answered",
                   10)
        revoked = redis_nodes.json("inspect", "revoked")
        assert {name for name, ids in revoked.items() if "revoked-by-ours" in ids} == set(revoked)
        assert len(revoked) == 3
        stop(late)
        stop(ours)
        wait_until(lambda: python.poll() is not None or "sync with late" in log.read_text(),
                   "the Python worker has heard of ours", 10)
        text = log.read_text()
        assert "Traceback" not in text and "ERROR" not in text, text
        assert "mingle: sync with 1 nodes" in text
    finally:
        python.send_signal(signal.SIGTERM)
        python.wait(timeout=20)
