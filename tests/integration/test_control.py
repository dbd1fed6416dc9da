"""Remote control with real workers: `trawl status`, `inspect` and `control` on both brokers, and on
Redis the same questions by Celery's own tools, and ours to Celery's workers.

The workers are the probe (tests/tools/): trawl's commands with tasks that sleep and count."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trawl_cli import BINARY, ROOT
from workers import children_of, wait_until

sys.path.append(str(ROOT / "tests/faults"))
from redis_server import RedisServer  # noqa: E402  pylint: disable=wrong-import-position

PROBE = BINARY.parents[1] / "tests/tools/probe"
CELERY_PYTHON = os.environ.get(
    "TRAWL_CELERY_PYTHON", str(ROOT / ".cache/celery-venv/bin/python"))
HOST = socket.gethostname()
NODE = f"trawl@{HOST}"


class Nodes:
    """Workers of one broker, and whoever asks them."""

    def __init__(self, home: Path, redis: RedisServer | None) -> None:
        self.home = home
        self.data = home / "data"
        self.data.mkdir()
        self.redis = redis
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8",
            "TRAWL_DATA_DIR": str(self.data), "PROBE_RUNNER": "bare",
            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")},
        }
        self.broker_url = redis.url if redis else f"sqlite:///{self.data}/broker.db"
        if redis:
            self.env |= {"CELERY_BROKER_URL": redis.url, "CELERY_RESULT_BACKEND": redis.url}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, n_children: int = 1, **env: str) -> subprocess.Popen[str]:
        """A worker that is ready."""
        with self.log.open("a") as log:
            worker = subprocess.Popen(
                [str(PROBE), "worker", "-c", str(n_children), *words], cwd=self.home,
                env=self.env | env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True)
        self.started.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("ready: "), self.log.read_text()[-2000:]
        return worker

    @property
    def log(self) -> Path:
        """What the workers have said."""
        return self.home / "worker.log"

    def run(self, *words: str, status: int = 0, timeout: float = 60,
            **env: str) -> subprocess.CompletedProcess[str]:
        """One command to its end, with that exit status."""
        done = subprocess.run(
            [str(PROBE), *words], cwd=self.home, env=self.env | env, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        assert done.returncode == status, (
            f"{words} exited with {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *words: str, status: int = 0) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.run(*words, "--json", status=status).stdout)

    def ask(self, *words: str, node: str = NODE) -> Any:
        """The answer of one node."""
        return self.json("inspect", *words)[node]

    def tasks(self) -> list[str]:
        """The names that the program knows, sorted."""
        lines = self.run("run").stdout.splitlines()
        return sorted(line for line in lines if line and not line.startswith(" "))

    def send(self, task: str, *words: str) -> str:
        """The id of the task that was sent."""
        return self.run("call", task, *words).stdout.strip()

    def state(self, task_id: str) -> str:
        """Of a task, now."""
        done = subprocess.run(
            [str(PROBE), "result", task_id, "--json"], cwd=self.home, env=self.env, text=True,
            capture_output=True, timeout=60, check=False)
        return str(json.loads(done.stdout)["status"])

    def await_state(self, task_id: str, state: str, timeout: float = 20) -> None:
        """Wait for that."""
        wait_until(lambda: self.state(task_id) == state, f"{task_id} is {state}", timeout)

    def celery(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Celery's own command line, without an application of ours."""
        assert self.redis is not None
        done = subprocess.run(
            [CELERY_PYTHON, "-m", "celery", "-b", self.redis.url, "--result-backend",
             self.redis.url, *words],
            cwd=self.home, env={"PATH": os.environ["PATH"], "HOME": str(self.home)}, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        assert done.returncode == status, (
            f"{words} exited with {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    def celery_json(self, *words: str) -> Any:
        """What it prints with --json."""
        lines = self.celery(*words, "--json").stdout.splitlines()
        return json.loads(next(line for line in lines if line.startswith(("{", "["))))

    def clean_up(self) -> None:
        """Whatever still runs."""
        for worker in self.started:
            if worker.poll() is None:
                for pid in [*children_of(worker.pid), worker.pid]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            worker.wait(timeout=10)
            if worker.stdout is not None:
                worker.stdout.close()
        if self.redis:
            self.redis.stop()


def make_nodes(home: Path, kind: str) -> Nodes:
    """With what its broker needs; skips where that cannot be had."""
    if not PROBE.exists():
        pytest.skip(f"{PROBE} is not built")
    if kind == "redis" and shutil.which("redis-server") is None:
        pytest.skip("no redis-server (apt-get install redis-server)")
    return Nodes(home, RedisServer(home / "redis") if kind == "redis" else None)


@pytest.fixture(name="nodes", params=["sqlite", "redis"])
def any_nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nodes]:
    """On each broker."""
    nodes = make_nodes(tmp_path, request.param)
    yield nodes
    nodes.clean_up()


@pytest.fixture(name="on_redis")
def redis_nodes(tmp_path: Path) -> Iterator[Nodes]:
    """On Redis."""
    nodes = make_nodes(tmp_path, "redis")
    yield nodes
    nodes.clean_up()


@pytest.fixture(name="beside_celery")
def celery_nodes(on_redis: Nodes) -> Nodes:
    """On Redis, with Celery installed."""
    if not Path(CELERY_PYTHON).exists():
        pytest.skip(f"no Celery at {CELERY_PYTHON} (TRAWL_CELERY_PYTHON names its Python)")
    return on_redis


def test_who_is_there(nodes: Nodes) -> None:
    """Nobody, one, two with names of their own; by name, and by the name of nobody."""
    nobody = nodes.run("status", status=1)
    assert nobody.stdout == "" and "no node is online" in nobody.stderr
    worker = nodes.start()
    assert nodes.run("status").stdout == f"-> {NODE}: OK\n\n1 node online.\n"
    nodes.start()
    nodes.start("-n", "third@%n.%d%%")
    second, third = f"trawl2@{HOST}", f"third@{HOST.split('.')[0]}.{HOST.partition('.')[2]}%"
    assert nodes.json("status") == {name: {"ok": "pong"} for name in (NODE, second, third)}
    assert nodes.run("status", "-d", second, "--quiet").stdout == f"-> {second}: OK\n"
    partly = nodes.run("inspect", "ping", "-d", f"{second},nobody@x", "-t", "0.3", status=5)
    assert "no answer from 'nobody@x'" in partly.stderr
    assert "no answer from 'nobody@x' within 0.3 s" in nodes.run(
        "inspect", "ping", "-d", "nobody@x", "-t", "0.3", status=1).stderr
    worker.kill()
    worker.wait(timeout=10)
    wait_until(lambda: set(nodes.json("status")) == {second, third}, "the killed one is gone")
    nodes.start()
    assert set(nodes.json("status")) == {NODE, second, third}, "its name is free again"


def test_what_a_worker_tells(nodes: Nodes) -> None:
    """The shapes of Celery's documentation."""
    worker = nodes.start(n_children=2)
    names = nodes.tasks()
    lines = nodes.run("inspect", "registered").stdout.splitlines()
    assert "probe.add" in names
    assert lines == [f"-> {NODE}: OK", *(f"    * {name}" for name in names), "", "1 node online."]
    tasks = nodes.ask("registered")
    assert [task["name"] for task in tasks] == names
    assert tasks[0]["arguments"] == {"x": 0, "y": 0}
    assert nodes.ask("registered", "max_retries", "nonsense", "acks_late")[0] == (
        "probe.add [max_retries=3 acks_late=True]")
    for empty in ("active", "reserved", "scheduled", "revoked"):
        assert nodes.ask(empty) == []
    assert "- empty -" in nodes.run("inspect", "active").stdout
    assert nodes.ask("ping") == {"ok": "pong"}
    assert nodes.ask("clock")["clock"] < nodes.ask("clock")["clock"]
    assert nodes.ask("memsample").endswith("MB")
    assert "software -> trawl:" in nodes.ask("report")["ok"]
    assert nodes.ask("query_task", "nobody") == {}
    queue, = nodes.ask("active_queues")
    assert queue["name"] == queue["routing_key"] == queue["exchange"]["name"] == "celery"
    assert queue["exchange"]["type"] == "direct" and queue["durable"] is True
    assert nodes.run("call", "probe.add", "--x", "1", "--wait").returncode == 0
    stats = nodes.ask("stats")
    assert stats["pid"] == worker.pid and stats["total"] == {"probe.add": 1}
    assert sorted(stats["pool"]["processes"]) == sorted(children_of(worker.pid))
    assert stats["pool"]["max-concurrency"] == 2 and isinstance(stats["clock"], str)
    assert stats["broker"]["transport"] == nodes.broker_url.split(":")[0]
    assert set(stats) == {"total", "pid", "clock", "uptime", "pool", "broker", "prefetch_count",
                          "rusage"}


def test_settings_without_secrets(nodes: Nodes) -> None:
    """A canary in each place where a secret may stand."""
    nodes.start(HF_TOKEN="canary-token", KAGGLE_KEY="canary-key", EMBEDDING_MODEL="m")
    text = nodes.run("inspect", "conf").stdout
    assert "canary" not in text and "********" in text
    conf = nodes.ask("conf")
    assert conf["embedding.model"] == "m" and conf["broker_url"] == nodes.broker_url
    assert conf["accept_content"] == ["json"] and conf["deprecated_settings"] is None


def test_where_tasks_are(nodes: Nodes) -> None:
    """One runs, others wait behind it; asked while all children are busy."""
    worker = nodes.start()
    ids = [nodes.send("probe.sleep", "--seconds", "60", "--steps", str(n + 1)) for n in range(3)]
    active = wait_until(lambda: nodes.ask("active"), "one runs")
    reserved = wait_until(lambda: len(r := nodes.ask("reserved")) == 2 and r, "two wait")
    assert [task["id"] for task in active] == ids[:1]
    assert [task["id"] for task in reserved] == ids[1:]
    one = active[0]
    assert one["name"] == one["type"] == "probe.sleep" and one["args"] == []
    assert one["kwargs"] == {"seconds": 60, "steps": 1} and one["hostname"] == NODE
    assert one["worker_pid"] in children_of(worker.pid) and one["acknowledged"] is False
    assert abs(one["time_start"] - time.time()) < 30
    assert one["delivery_info"] == {"exchange": "", "routing_key": "celery", "priority": 0,
                                    "redelivered": False}
    assert reserved[0]["time_start"] is None and reserved[0]["worker_pid"] is None
    found = nodes.ask("query_task", ids[0], ids[1], "unknown")
    assert {name: row[0] for name, row in found.items()} == {
        ids[0]: "active", ids[1]: "reserved"}
    assert found[ids[0]][1]["id"] == ids[0]


def test_what_waits_for_its_time(nodes: Nodes) -> None:
    """With its eta, from the broker; told by every worker that may run it."""
    nodes.start("-Q", "celery,other")
    near = nodes.send("probe.sleep", "--seconds", "1", "--countdown", "600", "--queue", "other")
    far = nodes.send("probe.add", "--x", "4", "--countdown", "3600", "--priority", "3")
    nodes.send("probe.noop", "--countdown", "60", "--queue", "elsewhere")
    tasks = wait_until(lambda: len(t := nodes.ask("scheduled")) == 2 and t, "both are listed")
    entries = {task["request"]["id"]: task for task in tasks}
    assert set(entries) == {near, far} and entries[far]["priority"] == 6
    assert entries[far]["request"]["kwargs"] == {"x": 4}
    assert entries[far]["request"]["delivery_info"]["priority"] == 3
    assert entries[near]["request"]["delivery_info"]["routing_key"] == "other"
    assert entries[near]["request"]["time_start"] is None
    assert entries[near]["eta"] < entries[far]["eta"] and entries[far]["eta"].endswith("+00:00")


def test_revoke_what_waits(nodes: Nodes) -> None:
    """In the worker: REVOKED at once, and never run; what runs is left alone."""
    nodes.start()
    running = nodes.send("probe.sleep", "--ms", "1500")
    nodes.await_state(running, "STARTED")
    waiting = [nodes.send("probe.noop") for _ in range(3)]
    wait_until(lambda: len(nodes.ask("reserved")) == 3, "three wait")
    answer = nodes.json("control", "revoke", waiting[0], waiting[1], waiting[1], running)[NODE]
    assert answer["ok"].startswith("tasks {'") and answer["ok"].endswith("'} flagged as revoked")
    assert answer["ok"].count(waiting[1]) == 1
    for task_id in waiting[:2]:
        nodes.await_state(task_id, "REVOKED")
    assert set(nodes.ask("revoked")) == {waiting[0], waiting[1], running}
    nodes.await_state(running, "SUCCESS")
    nodes.await_state(waiting[2], "SUCCESS")
    assert nodes.ask("stats")["total"] == {"probe.sleep": 1, "probe.noop": 1}


def test_terminate_what_runs(nodes: Nodes) -> None:
    """REVOKED as terminated; the worker goes on with the next one."""
    nodes.start()
    running, behind = nodes.send("probe.sleep", "--seconds", "60"), nodes.send("probe.noop")
    nodes.await_state(running, "STARTED")
    assert nodes.json("control", "terminate", "unknown")[NODE] == {"ok": "terminate: tasks unknown"}
    assert nodes.json("control", "revoke", running, "--terminate", "--signal", "KILL")[NODE] == {
        "ok": f"terminate: {running}"}
    nodes.await_state(running, "REVOKED")
    result = nodes.json("result", running, status=1)
    assert result["result"]["exc_type"] == "TaskRevokedError"
    assert result["result"]["exc_message"] == ["terminated"]
    nodes.await_state(behind, "SUCCESS")
    refused = nodes.json("control", "terminate", running, "--signal", "BOGUS", status=1)[NODE]
    assert refused == {
        "error": "AttributeError(\"module 'signal' has no attribute 'SIGBOGUS'\")"}


def test_revoke_is_for_good(nodes: Nodes) -> None:
    """By a worker that has died since, and when nobody was there to hear it."""
    worker = nodes.start()
    first = nodes.send("probe.noop", "--countdown", "3")
    nodes.run("control", "revoke", first)
    worker.kill()
    worker.wait(timeout=10)
    second = nodes.send("probe.noop")
    alone = nodes.run("control", "revoke", second)
    assert "no node is online: the broker will tell those that come (1 task)" in alone.stdout
    nodes.start()
    nodes.await_state(first, "REVOKED", timeout=30)
    nodes.await_state(second, "REVOKED", timeout=30)
    assert nodes.ask("stats")["total"] == {}


def test_revoke_while_the_broker_is_locked(tmp_path: Path) -> None:
    """The worker answers, goes on, and saves it when it can; without a worker, an error in time."""
    nodes = make_nodes(tmp_path, "sqlite")
    worker = nodes.start()
    task_id = nodes.send("probe.noop", "--countdown", "5")
    lock = sqlite3.connect(nodes.data / "broker.db", isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        assert "flagged as revoked" in nodes.json("control", "revoke", task_id)[NODE]["ok"]
        assert nodes.ask("revoked") == [task_id]
        lock.execute("ROLLBACK")
        wait_until(lambda: "revoked tasks are saved" in nodes.log.read_text(), "saved")
        worker.kill()
        worker.wait(timeout=10)
        lock.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        nodes.run("control", "revoke", "another", status=1)
        assert time.monotonic() - start < 2
        lock.execute("ROLLBACK")
        nodes.start()
        nodes.await_state(task_id, "REVOKED", timeout=30)
    finally:
        lock.close()
        nodes.clean_up()


def test_grow_and_shrink(nodes: Nodes) -> None:
    """Processes come and go, one stays."""
    worker = nodes.start()
    assert nodes.json("control", "pool_grow", "2")[NODE] == {"ok": "pool will grow"}
    wait_until(lambda: len(children_of(worker.pid)) == 3, "three processes")
    stats = nodes.ask("stats")
    assert stats["pool"]["max-concurrency"] == 3
    ids = [nodes.send("probe.sleep", "--ms", "700") for _ in range(3)]
    wait_until(lambda: len(nodes.ask("active")) == 3, "three run at once")
    assert nodes.json("control", "pool_shrink", "2")[NODE] == {"ok": "pool will shrink"}
    for task_id in ids:
        nodes.await_state(task_id, "SUCCESS")
    wait_until(lambda: len(children_of(worker.pid)) == 1, "one process")
    refused = nodes.json("control", "pool_shrink", status=1)[NODE]
    assert "the pool has 1 processes and may have 1 to 1024" in refused["error"]


def test_queues_come_and_go(nodes: Nodes) -> None:
    """Of another queue nothing is taken, then it is, then no more."""
    nodes.start()
    waiting = nodes.send("probe.noop", "--queue", "other")
    assert nodes.json("control", "add_consumer", "other")[NODE] == {"ok": "add consumer other"}
    nodes.await_state(waiting, "SUCCESS")
    assert [queue["name"] for queue in nodes.ask("active_queues")] == ["celery", "other"]
    assert nodes.json("control", "cancel_consumer", "other")[NODE] == {
        "ok": "no longer consuming from other"}
    assert [queue["name"] for queue in nodes.ask("active_queues")] == ["celery"]
    left = nodes.send("probe.noop", "--queue", "other")
    nodes.run("call", "probe.noop", "--wait")
    assert nodes.state(left) == "PENDING"


def test_time_limits_by_name(nodes: Nodes) -> None:
    """Of one task, from its next run on."""
    nodes.start()
    answer = nodes.json("control", "time_limit", "probe.sleep", "0", "0.4")[NODE]
    assert answer == {"ok": "time limits set successfully"}
    task_id = nodes.send("probe.sleep", "--seconds", "60")
    nodes.await_state(task_id, "FAILURE")
    result = nodes.json("result", task_id, status=1)
    assert result["result"]["exc_type"] == "TimeLimitExceeded"
    assert nodes.json("control", "time_limit", "no.such", "1", status=1)[NODE] == {
        "error": "unknown task"}
    limited = nodes.json("control", "rate_limit", "probe.noop", "10/m", status=1)[NODE]
    assert limited["error"].startswith("NotImplementedError(")


def test_shutdown(nodes: Nodes) -> None:
    """One by its name, after the task that it runs; it answers until then."""
    first = nodes.start()
    second = nodes.start("-n", "second@%h")
    nodes.run("control", "cancel_consumer", "celery", "-d", f"second@{HOST}")
    task_id = nodes.send("probe.sleep", "--seconds", "3")
    nodes.await_state(task_id, "STARTED")
    told = nodes.run("control", "shutdown", "-d", NODE)
    assert told.stdout == f"-> {NODE}: OK\n\ntold to end after the running tasks: 1\n"
    assert nodes.ask("active")[0]["id"] == task_id, "asked during warm shutdown"
    assert first.poll() is None
    assert first.wait(timeout=20) == 0
    nodes.await_state(task_id, "SUCCESS")
    assert list(nodes.json("status")) == [f"second@{HOST}"]
    nodes.run("control", "shutdown")
    assert second.wait(timeout=20) == 0
    assert "no node is online" in nodes.run("control", "shutdown", status=1).stderr


def junk(nodes: Nodes, payload: bytes) -> None:
    """A broadcast of anything."""
    if nodes.redis:
        nodes.redis.cli("PUBLISH", "/0.celery.pidbox", stdin=payload)
        return
    connection = sqlite3.connect(nodes.data / "broker.db-control", timeout=10)
    with connection:
        connection.execute(
            "INSERT INTO letters (exchange, sent_at, body) VALUES ('celery.pidbox', ?, ?)",
            (int(time.time() * 1e6), payload))
    connection.close()


def test_malformed_requests(nodes: Nodes) -> None:
    """Counted, logged, and nothing else."""
    worker = nodes.start()
    payloads = [b"x", b"{}", b"[" * 5000, b"\xff\xfe", b"null", b"{\"body\": 5}",
                b'{"body": "eyJ9", "content-type": "application/json"}',
                b'{"body": "gAJ9", "content-type": "application/x-python-serialize"}',
                b'{"body": "{}", "content-type": "application/json", "headers": null}']
    for payload in payloads:
        junk(nodes, payload)
    assert nodes.ask("ping") == {"ok": "pong"}
    wait_until(lambda: f"total={len(payloads)}" in nodes.log.read_text(), "all are counted")
    assert worker.poll() is None and "application/x-python-serialize" in nodes.log.read_text()


def test_a_broker_that_is_away(nodes: Nodes) -> None:
    """Locked, paused or gone: an error within two seconds; the workers come back by themselves."""
    nodes.start()
    assert nodes.json("status") == {NODE: {"ok": "pong"}}
    connection = None
    if nodes.redis:
        nodes.redis.pause()
    else:
        connection = sqlite3.connect(nodes.data / "broker.db-control", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    for words in (["status"], ["inspect", "active"], ["control", "shutdown"]):
        start = time.monotonic()
        assert nodes.run(*words, status=1).stderr.startswith("trawl: ")
        assert time.monotonic() - start < 2
    if nodes.redis:
        assert "trawl: cannot send task" in nodes.run("call", "probe.echo", "--foreign",
                                                      status=1).stderr
    if connection is not None:
        connection.execute("ROLLBACK")
        connection.close()
    else:
        assert nodes.redis is not None
        nodes.redis.resume()
        nodes.redis.kill()
        start = time.monotonic()
        assert "Connection refused" in nodes.run("status", status=1).stderr
        assert time.monotonic() - start < 2
        nodes.redis.start()

    def is_back() -> bool:
        done = subprocess.run([str(PROBE), "status"], cwd=nodes.home, env=nodes.env,
                              capture_output=True, timeout=30, check=False)
        return done.returncode == 0
    wait_until(is_back, "the worker answers again", 40)


def test_output_that_nobody_takes(nodes: Nodes) -> None:
    """A full disk or a closed stdout is an error of every command that prints."""
    nodes.start()
    for words in (["status"], ["inspect", "conf"], ["status", "--json"], ["beat", "--dry-run"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [str(PROBE), *words], cwd=nodes.home, env=nodes.env, text=True, stdout=full,
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30, check=False)
        assert done.returncode != 0, words
        assert "cannot write to standard output: No space left" in done.stderr, words


def test_words_are_checked(nodes: Nodes) -> None:
    """Usage errors before anybody is asked; the help teaches."""
    for words, message in (
            (["inspect"], "something is missing"),
            (["inspect", "actve"], "'actve' is unknown: use registered, active"),
            (["inspect", "active", "x"], "'active' takes no arguments"),
            (["inspect", "query_task"], "usage: query_task ID ..."),
            (["inspect", "ping", "-t", "0"], "--timeout must be 0.05 to 3600 seconds"),
            (["inspect", "ping", "-d", "a,,b"], "empty name"),
            (["control", "pool_grow", "x"], "n must be a whole number"),
            (["control", "time_limit", "t", "soon"], "soft must be a number of seconds"),
            (["control", "shutdown", "now"], "one word too many"),
            (["control", "ping"], "'ping' is unknown: use revoke"),
            (["control", "shutdown", "--terminate"], "--terminate goes with revoke"),
            (["worker", "-n", "w@%x"], "unknown %-sign"),
            (["worker", "-n", "a b"], "no blanks")):
        assert message in nodes.run(*words, status=2).stderr
    for command in ("status", "inspect", "control"):
        assert f"Example" in nodes.run(command, "--help").stdout


def test_celery_inspects_us(beside_celery: Nodes) -> None:
    """Each question of Celery's own command line."""
    nodes = beside_celery
    worker = nodes.start(n_children=2)
    assert f"{NODE}: OK" in nodes.celery("status").stdout
    assert "1 node online." in nodes.celery("inspect", "ping").stdout
    assert nodes.celery_json("inspect", "ping") == {NODE: {"ok": "pong"}}
    assert nodes.celery_json("inspect", "registered")[NODE] == nodes.tasks()
    assert nodes.celery_json("inspect", "active_queues")[NODE][0]["name"] == "celery"
    assert nodes.celery_json("inspect", "stats")[NODE]["pid"] == worker.pid
    assert nodes.celery_json("inspect", "conf")[NODE]["broker_url"] == nodes.broker_url
    assert "software -> trawl" in nodes.celery_json("inspect", "report")[NODE]["ok"]
    assert nodes.celery_json("inspect", "memsample")[NODE].endswith("MB")
    assert nodes.celery_json("inspect", "clock")[NODE]["clock"] > 0
    for empty in ("active", "reserved", "scheduled", "revoked"):
        assert nodes.celery_json("inspect", empty) == {NODE: []}
    task_id = nodes.send("probe.sleep", "--seconds", "60")
    nodes.await_state(task_id, "STARTED")
    assert nodes.celery_json("inspect", "active")[NODE][0]["id"] == task_id
    assert nodes.celery_json("inspect", "query_task", task_id)[NODE][task_id][0] == "active"
    assert nodes.celery_json("inspect", "ping", "-d", NODE) == {NODE: {"ok": "pong"}}


def test_celery_controls_us(beside_celery: Nodes) -> None:
    """Each order of Celery's own command line."""
    nodes = beside_celery
    worker = nodes.start()
    assert nodes.celery_json("control", "pool_grow", "1") == [{NODE: {"ok": "pool will grow"}}]
    wait_until(lambda: len(children_of(worker.pid)) == 2, "two processes")
    assert nodes.celery_json("control", "add_consumer", "other") == [
        {NODE: {"ok": "add consumer other"}}]
    other = nodes.send("probe.noop", "--queue", "other")
    nodes.await_state(other, "SUCCESS")
    running, waiting = nodes.send("probe.sleep", "--seconds", "60"), None
    nodes.await_state(running, "STARTED")
    assert nodes.celery_json("control", "terminate", "SIGTERM", running) == [
        {NODE: {"ok": f"terminate: {running}"}}]
    nodes.await_state(running, "REVOKED")
    waiting = nodes.send("probe.noop", "--countdown", "3")
    assert nodes.celery_json("control", "revoke", waiting) == [
        {NODE: {"ok": f"tasks {{'{waiting}'}} flagged as revoked"}}]
    nodes.await_state(waiting, "REVOKED")
    assert nodes.celery_json("control", "time_limit", "probe.sleep", "1") == [
        {NODE: {"ok": "time limits set successfully"}}]
    nodes.celery("control", "shutdown", "-t", "0.5", status=69)  # nobody answers, as Celery's own
    assert worker.wait(timeout=20) == 0


APPLICATION = """
import time
from celery import Celery
app = Celery("proj", broker={url!r}, backend={url!r})

@app.task(name="proj.sleep")
def sleep(seconds):
    time.sleep(seconds)
"""


def test_we_ask_celery(beside_celery: Nodes) -> None:
    """A Python worker, beside one of ours, by our command line."""
    nodes = beside_celery
    (nodes.home / "proj.py").write_text(APPLICATION.format(url=nodes.broker_url))
    with nodes.log.open("a") as log:
        python = subprocess.Popen(
            [CELERY_PYTHON, "-m", "celery", "-A", "proj", "worker", "-c", "1", "-n", "py@h",
             "-Q", "python", "--without-mingle"],
            cwd=nodes.home, env={"PATH": os.environ["PATH"], "HOME": str(nodes.home)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)
    nodes.started.append(python)
    nodes.start()
    wait_until(lambda: set(nodes.json("status")) == {"py@h", NODE}, "both are there", 60)
    assert nodes.ask("registered", node="py@h") == [{"name": "proj.sleep"}]
    assert nodes.ask("stats", node="py@h")["pid"] == python.pid
    task_id = nodes.send("proj.sleep", "--foreign", "--args", "[60]", "--queue", "python")
    active = wait_until(lambda: nodes.ask("active", node="py@h"), "it runs")
    assert active[0]["id"] == task_id and active[0]["args"] == [60]
    answers = nodes.json("control", "revoke", task_id, "--terminate")
    assert answers["py@h"] == {"ok": f"terminate: {task_id}"}
    nodes.await_state(task_id, "REVOKED")
    nodes.run("control", "shutdown", "-d", "py@h")
    python.wait(timeout=30)
    assert list(nodes.json("status")) == [NODE]
