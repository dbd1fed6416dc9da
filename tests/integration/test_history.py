"""`trawl tasks` and `trawl task`: what workers write down, on both brokers, whatever is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trawl_cli import BINARY, Trawl
from workers import PROBE, envelope, wait_until

SENDER = BINARY.parents[1] / "tests/unit/celery_send"


class Place:
    """A worker of the probe on one broker, and the commands that look at its history."""

    def __init__(self, trawl: Trawl, **env: str) -> None:
        self.trawl = trawl
        self.env = trawl.env | {"TRAWL_LOG_LEVEL": "info"} | env
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        with (self.trawl.home / "worker.log").open("a") as log:
            worker = subprocess.Popen(
                [str(PROBE), "worker", "-c", "1", *words], cwd=self.trawl.home, env=self.env | env,
                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True)
        self.started.append(worker)
        assert worker.stdout is not None and worker.stdout.readline().startswith("ready: ")
        return worker

    def stop(self, worker: subprocess.Popen[str]) -> None:
        """When it returns, all is written."""
        worker.terminate()
        assert worker.wait(timeout=15) == 0

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([str(PROBE), *words], cwd=self.trawl.home, env=self.env, text=True,
                              capture_output=True, timeout=60, check=False)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", status=status).stdout)

    def call(self, task: str, *words: str) -> str:
        return self.run("call", task, *words).stdout.strip()

    def tasks(self, *words: str) -> dict[str, dict[str, Any]]:
        """By their ids; none where there is no history yet."""
        if not (self.trawl.data / "history.db").exists():
            return {}
        return {task["task_id"]: task for task in self.json("tasks", "--limit", "1000", *words)}

    def wait(self, task_id: str, state: str) -> Any:
        """The task, once it is in that state."""
        wait_until(lambda: self.tasks("--state", state).get(task_id), f"{task_id} is {state}")
        return self.json("task", task_id)

    @property
    def writer(self) -> int:
        """The process that writes; the worker's session has one."""
        session = self.started[-1].pid
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session and \
                    (entry / "comm").read_text() == "trawl history\n":
                return int(entry.name)
        raise AssertionError("no writer")

    def finish(self) -> None:
        for worker in self.started:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(timeout=10)
            if worker.stdout is not None:
                worker.stdout.close()


@pytest.fixture(name="redis_url", scope="module")
def make_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A redis-server of our own."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed: scripts/setup.sh check installs it")
    path = tmp_path_factory.mktemp("redis")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
         "no", "--dir", str(path)], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            assert time.monotonic() < end and server.poll() is None
            time.sleep(0.01)
    yield f"redis://127.0.0.1:{port}"
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture(name="both", params=["sqlite", "redis"])
def make_both(request: pytest.FixtureRequest, trawl: Trawl) -> Iterator[Place]:
    """A place on each broker; on Redis, too, the history is a file of this host."""
    env = {}
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        number = {"test_attempts_and_lines": 0, "test_send_again": 1}[request.function.__name__]
        env = {"CELERY_BROKER_URL": f"{url}/{number}", "CELERY_RESULT_BACKEND": f"{url}/{number}"}
    place = Place(trawl, **env)
    yield place
    place.finish()


@pytest.fixture(name="place")
def make_place(trawl: Trawl) -> Iterator[Place]:
    place = Place(trawl)
    yield place
    place.finish()


def texts(attempt: dict[str, Any]) -> list[str]:
    return [line["text"] for line in attempt["lines"]]


def test_attempts_and_lines(both: Place, tmp_path: Path) -> None:
    """A killed child, a retry, a success: each attempt with its own log."""
    worker = both.start()
    record = str(tmp_path / "record")
    crash = both.call("probe.crash", "--how", "kill", "--times", "1", "--path", record)
    retry = both.call("probe.fail", "--kind", "network", "--times", "1", "--path", record,
                      "--token", "r")
    say = both.call("probe.say", "--lines", "300")
    add = both.call("probe.add", "--x", "2", "--y", "3", "--queue", "celery")

    task = both.wait(crash, "SUCCESS")
    lost, done = task["attempts"]
    assert (lost["state"], done["state"]) == ("LOST", "SUCCESS")
    assert lost["delivery"] == 1 and done["delivery"] == 2 and lost["pid"] != done["pid"]
    assert "signal 9 (SIGKILL)" in lost["error"] and texts(lost) == ["about to end: how=kill"]
    assert lost["lines"][0]["level"] == "info" and done["lines"] == []
    assert task["kwargs"]["how"] == "kill" and task["queue"] == "celery" and task["args"] == []
    assert task["received_at"] <= task["started_at"] <= task["ended_at"]
    assert task["root_id"] == crash and task["retry_of"] is None

    first, second = both.wait(retry, "SUCCESS")["attempts"]
    assert (first["state"], first["retries"]) == ("RETRY", 0)
    assert first["error"] == "ConnectionError: failed as told: network" and first["traceback"]
    assert (second["state"], second["retries"]) == ("SUCCESS", 1)

    (attempt,) = both.wait(say, "SUCCESS")["attempts"]
    assert len(attempt["lines"]) == 200 and attempt["lines_dropped"] == 100
    assert texts(attempt)[0] == "line 101 of 300" and texts(attempt)[-1] == "line 300 of 300"
    assert both.json("task", add)["result"] == {"sum": 5}

    assert set(both.tasks("--name", "probe.[as]*")) == {add, say}
    assert set(both.tasks("--name", "probe.*", "--text", '"x": 2')) | \
        set(both.tasks("--text", '"x":2')) == {add}
    assert both.tasks("--since", "1h", "--until", "30m") == {}
    both.stop(worker)
    logs = both.run("task", crash[:8], "--logs").stdout
    assert logs.endswith(" info    about to end: how=kill\n") and logs.count("\n") == 1
    text = both.run("task", crash[:8]).stdout
    assert f"id         {crash}" in text and "delivery 1: LOST" in text
    assert both.run("tasks").stdout.count("\n") == 4


def test_send_again(both: Place) -> None:
    """One, and all that have failed: counted first, sent once, marked as copies."""
    worker = both.start()
    failed = [both.call("probe.fail", "--token", f"t{i}") for i in range(3)]
    other = both.call("probe.add", "--x", "1")
    both.wait(other, "SUCCESS")
    wait_until(lambda: len(both.tasks("--state", "FAILURE")) == 3, "three failures")

    words = ("tasks", "retry", "--name", "probe.fail")
    assert both.json(*words, "--dry-run") == {
        "would_be_sent": 3, "sent_before": 0, "redacted": 0, "cut": 0}
    done = both.run(*words, status=2)
    assert "3 tasks would be sent again" in done.stdout and "say --yes to send 3" in done.stderr
    one = both.json("task", "retry", failed[0])
    assert one["retry_of"] == failed[0]
    assert both.json(*words, "--text", '"t1"', "--yes")["sent"] == 1
    assert both.json(*words, "--yes")["sent_before"] >= 2
    wait_until(lambda: len(both.tasks("--state", "FAILURE")) >= 6, "three copies")
    copy = both.json("task", one["task_id"])
    assert copy["retry_of"] == failed[0] and copy["kwargs"] == {"token": "t0"}
    assert both.json("task", failed[0])["sent_again_as"] == [one["task_id"]]
    assert "sent again before" in both.run("task", "retry", failed[0], status=1).stderr
    both.run("task", "retry", failed[0], "--again")
    both.stop(worker)


def test_what_the_sender_hides(place: Place) -> None:
    """Arguments that are shown otherwise than sent are not kept, and cannot be sent again."""
    place.trawl.data.mkdir()
    for name, headers in (("hidden", {"argsrepr": "('***',)", "kwargsrepr": "{}"}),
                          ("open", {"argsrepr": "('secret',)", "kwargsrepr": "{}"}),
                          ("long", {})):
        value = "x" * 20000 if name == "long" else "secret"
        subprocess.run([str(SENDER), f"sqlite:///{place.trawl.data}/broker.db", "raw",
                        json.dumps(envelope("probe.echo", name, [value], **headers)), "1", "e"],
                       check=True, capture_output=True, timeout=30)
    worker = place.start()
    hidden = place.wait("hidden", "SUCCESS")
    assert hidden["args"] == "('***',)" and hidden["is_redacted"]
    assert place.wait("open", "SUCCESS")["args"] == ["secret"]
    long = place.wait("long", "SUCCESS")
    assert long["is_cut"] and long["args"] == '["' + "x" * 8190
    assert "not kept" in place.run("task", "retry", "hidden", status=1).stderr
    assert "too long" in place.run("task", "retry", "long", status=1).stderr
    answer = place.json("tasks", "retry", "--state", "SUCCESS", "--yes", status=5)
    assert answer == {"sent": 1, "sent_before": 0, "redacted": 1, "cut": 1}
    place.stop(worker)


def test_ids(place: Place) -> None:
    """Unknown and unclear ones, and a host without history."""
    assert "no history yet" in place.run("tasks", status=1).stderr
    worker = place.start()
    task = place.call("probe.noop")
    place.wait(task, "SUCCESS")
    assert place.json("task", task[:6])["task_id"] == task
    assert "no task 'zzz' in the history" in place.run("task", "zzz", status=1).stderr
    assert "trawl tasks [retry]" in place.run("tasks", task, status=2).stderr
    assert "--since must be a time" in place.run("tasks", "--since", "soon", status=2).stderr
    place.stop(worker)


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools(place: Place, pool: str) -> None:
    worker = place.start("--pool", pool)
    task = place.wait(place.call("probe.say", "--lines", "2"), "SUCCESS")
    assert texts(task["attempts"][0]) == ["line 1 of 2", "line 2 of 2"]
    place.stop(worker)


def test_ageing(place: Place) -> None:
    """By number and by age; a running worker does it by itself."""
    worker = place.start()
    tasks = [place.call("probe.noop") for _ in range(12)]
    wait_until(lambda: len(place.tasks()) == 12, "all are there")
    place.stop(worker)
    worker = place.start(TRAWL_HISTORY_MAX_ROWS="5")
    wait_until(lambda: len(place.tasks()) == 5, "five are left")
    place.stop(worker)
    left = set(place.tasks())
    assert left <= set(tasks)
    with sqlite3.connect(place.trawl.data / "history.db") as database:
        database.execute("UPDATE tasks SET at = at - 3 * 86400 * 1000000"
                         " WHERE task_id <> ?", (sorted(left)[0],))
    worker = place.start(TRAWL_HISTORY_KEEP_DAYS="2")
    wait_until(lambda: set(place.tasks()) == {sorted(left)[0]}, "the young one is left")
    place.stop(worker)


def test_what_is_left_out(place: Place) -> None:
    worker = place.start(TRAWL_HISTORY_ENABLED="false")
    place.run("call", "probe.noop", "--wait")
    place.stop(worker)
    assert not (place.trawl.data / "history.db").exists()
    worker = place.start(TRAWL_HISTORY_EXCLUDE="demo probe.n*")
    place.run("call", "probe.noop", "--wait")
    kept = place.call("probe.add")
    place.wait(kept, "SUCCESS")
    place.stop(worker)
    assert set(place.tasks()) == {kept}
    bad = place.env | {"TRAWL_HISTORY_ENABLED": "perhaps"}
    done = subprocess.run([str(PROBE), "worker"], cwd=place.trawl.home, env=bad, text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == 3 and "history.enabled must be true or false" in done.stderr


def test_a_locked_store_holds_nobody_up(place: Place) -> None:
    """Tasks end while nothing can be written; what is gathered meanwhile comes later."""
    worker = place.start()
    place.wait(place.call("probe.noop"), "SUCCESS")
    database = sqlite3.connect(place.trawl.data / "history.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    ids = [place.call("probe.noop") for _ in range(5)]
    for task_id in ids:
        assert place.json("result", task_id, "--wait")["status"] == "SUCCESS"
    log = place.trawl.home / "worker.log"
    wait_until(lambda: "history cannot be written" in log.read_text(), "it is said")
    database.execute("ROLLBACK")
    database.close()
    wait_until(lambda: set(ids) <= set(place.tasks()), "all are written")
    assert "history is written again" in log.read_text()
    place.stop(worker)


def test_kills(place: Place) -> None:
    """The writer: another one takes over.  The worker: what it has sent is written."""
    worker = place.start()
    place.wait(place.call("probe.noop"), "SUCCESS")
    os.kill(place.writer, signal.SIGKILL)
    wait_until(lambda: "history writer died" in (place.trawl.home / "worker.log").read_text(),
               "it is said")
    later = place.call("probe.noop")
    place.wait(later, "SUCCESS")
    last = place.call("probe.noop")
    place.json("result", last, "--wait")
    time.sleep(0.15)  # it is sent after 100 ms, written after 200 ms more
    writer = place.writer
    worker.kill()
    worker.wait(timeout=10)
    wait_until(lambda: not Path(f"/proc/{writer}").exists(), "the writer has ended")
    assert last in place.tasks()
