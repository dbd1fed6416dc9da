"""Plug-ins: shared objects that bring tasks, built with the installed headers alone (docs/plugins.md).

`demo.so` (tests/plugins/demo.c) does each thing that a plug-in's task may do; `bad2.so` has another
ABI version. Both brokers, with real workers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trawl_cli import BINARY, ROOT, Trawl
from workers import wait_until

sys.path.append(str(ROOT / "tests/faults"))
from redis_server import RedisServer  # noqa: E402  pylint: disable=wrong-import-position

PLUGINS = BINARY.parents[1] / "tests/plugins"
DEMO = PLUGINS / "demo.so"


class Site:
    """A directory with trawl.yaml and plug-ins, a broker, and workers."""

    def __init__(self, trawl: Trawl, redis: RedisServer | None) -> None:
        self.trawl = trawl
        self.redis = redis
        self.started: list[subprocess.Popen[str]] = []
        if redis:
            trawl.env |= {"CELERY_BROKER_URL": redis.url, "CELERY_RESULT_BACKEND": redis.url}
        (trawl.home / "plugins").mkdir()
        shutil.copy(DEMO, trawl.home / "plugins")
        self.write("include:\n  - plugins/demo.so\n")

    def write(self, text: str) -> None:
        """The settings."""
        (self.trawl.home / "trawl.yaml").write_text(text)

    def start(self, *words: str, n_children: int = 2) -> subprocess.Popen[str]:
        """A worker that is ready."""
        with self.log.open("a") as log:
            worker = subprocess.Popen(
                [str(BINARY), "worker", "-c", str(n_children), *words], cwd=self.trawl.home,
                env=self.trawl.env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True)
        self.started.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("ready: "), self.log.read_text()[-2000:]
        return worker

    @property
    def log(self) -> Path:
        """What the workers have said."""
        return self.trawl.home / "worker.log"

    def call(self, name: str, /, **kwargs: Any) -> str:
        """Send it; its id."""
        return self.trawl.json("call", name, "--kwargs", json.dumps(kwargs))["task_id"]

    def wait(self, task_id: str) -> dict[str, Any]:
        """Its state document, once it has ended."""
        def look() -> dict[str, Any] | None:
            found = self.document(task_id)
            return found if found.get("status") in ("SUCCESS", "FAILURE", "REVOKED") else None
        return wait_until(look, f"{task_id} has ended\n{self.log.read_text()[-3000:]}")

    def document(self, task_id: str) -> dict[str, Any]:
        """As it is stored."""
        if self.redis:
            text = self.redis.cli("GET", f"celery-task-meta-{task_id}").strip()
            return json.loads(text) if text else {}
        path = self.trawl.data / "results.db"
        if not path.exists():
            return {}
        connection = sqlite3.connect(path, timeout=10)
        try:
            rows = connection.execute("SELECT document FROM results WHERE task_id = ?",
                                      (task_id,)).fetchall()
        finally:
            connection.close()
        return json.loads(rows[0][0]) if rows else {}

    def close(self) -> None:
        """End everything."""
        for worker in self.started:
            if worker.poll() is None:
                worker.terminate()
                try:
                    worker.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()
        if self.redis:
            self.redis.stop()


@pytest.fixture(params=["sqlite", "redis"])
def site(request: pytest.FixtureRequest, trawl: Trawl) -> Iterator[Site]:
    """On each broker."""
    if request.param == "redis" and shutil.which("redis-server") is None:
        pytest.skip("no redis-server (apt-get install redis-server)")
    redis = RedisServer(trawl.home / "redis") if request.param == "redis" else None
    made = Site(trawl, redis)
    yield made
    made.close()


@pytest.fixture
def alone(trawl: Trawl) -> Iterator[Site]:
    """On SQLite, for what no broker has a part in."""
    made = Site(trawl, None)
    yield made
    made.close()


def test_names_help_and_schedule(alone: Site) -> None:
    """A plug-in's tasks stand beside the program's own, wherever tasks are named."""
    trawl = alone.trawl
    assert "demo.echo\n  Give a number back" in trawl.run("run").stdout
    assert "--n N " in trawl.run("run", "demo.fan_out", "--help").stdout
    assert trawl.json("run", "demo.echo", "--value", "9") == {"value": 9}
    wrong = trawl.run("run", "demo.fan_out", "--n", "5000", status=2).stderr
    assert "n" in wrong and "2000" in wrong
    assert "did you mean 'demo.echo'" in trawl.run("run", "demo.ecko", status=2).stderr
    alone.write("include: plugins/demo.so\n"
                "beat_schedule:\n  echo: {task: demo.echo, schedule: 60, kwargs: {value: 3}}\n")
    assert "demo.echo" in trawl.run("beat", "--dry-run").stdout
    assert re.search(r"^include +plugins/demo.so +\(trawl.yaml:1\)", trawl.run("config", "show").stdout,
                     re.M)
    elsewhere = trawl.home / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [str(BINARY), "run", "demo.echo", "--json", "--config", str(trawl.home / "trawl.yaml")],
        cwd=elsewhere, env=trawl.env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"value": 1}  # paths count from the file


def test_the_documented_example(alone: Site) -> None:
    """docs/plugins.md, "From an empty folder to a running task": compiled and run as it stands there."""
    trawl = alone.trawl
    text = (ROOT / "docs/plugins.md").read_text()
    (trawl.home / "hello.c").write_text(re.findall(r"```c\n(.*?)```", text, re.S)[0])
    words = re.findall(r"^cc (.*)$", text, re.M)[0].replace(
        "$(pkg-config --cflags trawl)", f"-I{ROOT / 'include'}").split()
    subprocess.run([os.environ.get("CC", "cc"), "-Wextra", "-Werror", *words], cwd=trawl.home,
                   check=True)
    alone.write("include: [hello.so]\n")
    assert "how often (1)" in trawl.run("run", "hello.greet", "--help").stdout
    done = trawl.run("run", "hello.greet", "--times", "3", "--json")
    assert json.loads(done.stdout) == {"greeted": 3} and done.stderr.count("hello, world") == 3


def test_what_cannot_be_loaded_is_told(alone: Site) -> None:
    """Status 3, the file, what was found and the way out; what has no tasks works on."""
    trawl = alone.trawl
    for path, *said in (
            (PLUGINS / "bad2.so", "has ABI version 99", "needs 1", "compile it again"),
            (PLUGINS / "bad4.so", "no symbol 'trawl_plugin'"),
            (trawl.home / "trawl.yaml", "no shared object that can be loaded"),
            (trawl.home / "none.so", "there is no such file")):
        for words in (("run", "demo.echo"), ("worker", "-c", "1"), ("beat", "--dry-run")):
            error = trawl.run(*words, status=3, TRAWL_INCLUDE=str(path)).stderr
            assert all(part in error for part in (str(path), *said)), error
    broken = {"TRAWL_INCLUDE": str(PLUGINS / "bad2.so")}
    trawl.run("worker", "--help", **broken)
    trawl.run("stats", status=1, **broken)  # no catalogue yet; no word of plug-ins
    alone.write("include:\n  - {a: b}\n")
    assert "trawl.yaml:1" in trawl.run("run", "demo.echo", status=3).stderr
    alone.write("include: []\nplugins: {demo: {anything: 1}}\n")
    trawl.run("run", "demo.echo", status=2)


def test_all_that_headers_declare_is_exported() -> None:
    """And nothing else but the linker's own."""
    declared = set()
    for header in (ROOT / "include/trawl").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        declared |= set(re.findall(r"TRAWL_API[^;{]*?(\w+)\(", text)) - {
            "MUST_CHECK", "PRINTF_LIKE", "visibility", "__attribute__"}
    symbols = subprocess.run(["nm", "-D", "--defined-only", str(BINARY)], capture_output=True,
                             text=True, check=True).stdout
    exported = {line.split()[2] for line in symbols.splitlines() if line.split()[1] == "T"}
    if "__asan_init" in symbols:
        pytest.skip("a sanitizer exports its own")
    own = {name for name in exported if not name.startswith("_")}
    assert len(declared) > 60
    assert declared - exported == set()
    assert own - declared == set()


def test_tasks_run_in_a_worker(site: Site) -> None:
    """Registered, run, logged, with progress on the way."""
    site.start()
    assert site.wait(site.call("demo.echo", value=5))["result"] == {"value": 5}
    bad = site.wait(site.call("demo.echo")) and site.trawl.run(
        "call", "demo.echo", "--kwargs", '{"valu": 1}', status=2).stderr
    assert "did you mean 'value'" in bad
    registered = site.trawl.run("inspect", "registered", "--json").stdout
    assert "demo.echo" in registered and "enrich.fetch_hf_datasets" in registered
    assert "echo: value=5" in site.log.read_text()
    assert "demo.echo[" in site.log.read_text()  # the line carries the task


def test_a_task_sends_others(site: Site) -> None:
    """They run; they are the children of the sender, and it is their parent and root."""
    site.start()
    parent = site.call("demo.fan_out", n=3)
    found = site.wait(parent)
    children = [child[0][0] for child in found["children"]]
    assert found["result"]["sent"] == 3 and found["result"]["first"] == children[0]
    assert len(set(children)) == 3 and all(child[1] is None for child in found["children"])
    for child in children:
        document = site.wait(child)
        assert document["result"] == {"value": 7} and document.get("parent_id") == parent
    assert site.wait(site.call("demo.fan_out", n=0))["children"] == []


def test_what_a_failing_task_has_sent_goes_out(site: Site) -> None:
    """As with Celery, where it went out at once."""
    site.start()
    found = site.wait(site.call("demo.fan_out", n=1, fails=True))
    assert found["status"] == "FAILURE" and len(found["children"]) == 1
    assert site.wait(found["children"][0][0][0])["result"] == {"value": 7}


def test_more_than_the_brokers_outbox(site: Site) -> None:
    """The most that one task may send, each sent once, in several rounds."""
    site.start()
    found = site.wait(site.call("demo.fan_out", n=1000, queue="nobody"))
    children = [child[0][0] for child in found["children"]]
    assert len(set(children)) == 1000
    wait_until(lambda: site.trawl.run("purge", "nobody", "--yes").stdout
               == "nobody: 1000 messages purged\n", "all are in the queue, none twice")
    over = site.wait(site.call("demo.fan_out", n=1001, queue="nobody"))
    assert over["status"] == "FAILURE" and "1000" in over["result"]["exc_message"][0]


def test_a_task_goes_on_as_another(site: Site) -> None:
    """Under its own id, also over several steps."""
    site.start()
    assert site.wait(site.call("demo.become"))["result"] == {"value": 42}
    task_id = site.call("demo.become", task="demo.fan_out")
    found = site.wait(task_id)
    assert found["status"] == "FAILURE" or found["result"]["sent"] == 42
    assert len(found["children"]) == 42 and found["parent_id"] == task_id


def test_a_task_asks_to_be_run_again(site: Site) -> None:
    """As often as it asks, or as its own limit lets it; what it sent before counts once."""
    site.start()
    found = site.wait(site.call("demo.again", times=5))  # beyond the three of a failure
    assert found["result"] == {"retries": 5} and len(found["children"]) == 1
    gone = site.wait(site.call("demo.again", times=9, most=2))
    assert gone["status"] == "FAILURE"
    assert "gave up after 2 retries: not yet" in gone["result"]["exc_message"][0]


def test_a_crash_ends_one_child(site: Site) -> None:
    """The task is the one that fails, after its tries; others go on in a new child."""
    worker = site.start()
    crash = site.call("demo.crash")
    for value in range(20):
        site.call("demo.echo", value=value)
    assert site.wait(site.call("demo.echo", value=77))["result"] == {"value": 77}
    found = wait_until(lambda: site.document(crash).get("status") == "FAILURE"
                       and site.document(crash), "the poison cap", timeout=20)
    assert found["result"]["exc_type"] == "WorkerLostError"
    assert worker.poll() is None


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools(alone: Site, pool: str) -> None:
    """Sends travel in every pool."""
    alone.start("--pool", pool, n_children=1)
    found = alone.wait(alone.call("demo.fan_out", n=2))
    assert len(found["children"]) == 2
    assert alone.wait(found["children"][1][0][0])["result"] == {"value": 7}
    assert alone.wait(alone.call("demo.become"))["result"] == {"value": 42}


def test_killed_between_send_and_verdict(site: Site) -> None:
    """Neither lost nor doubled: each kill leaves the message, whose run sends the same ids."""
    if site.redis and not os.environ.get("TRAWL_TEST_LONG"):
        pytest.skip("TRAWL_TEST_LONG is not set: leases on Redis take 10 s to run out")
    parents = [site.call("demo.fan_out", n=3) for _ in range(30)]
    for _ in range(2):
        worker = site.start()
        time.sleep(0.15)
        os.killpg(worker.pid, 9)
        worker.wait(timeout=10)
    site.start()
    seen: set[str] = set()
    for parent in parents:
        found = wait_until(lambda: site.document(parent).get("status") == "SUCCESS"
                           and site.document(parent), "the parent has ended", timeout=40)
        children = {child[0][0] for child in found["children"]}
        assert len(children) == 3 and not children & seen
        seen |= children
    for child in seen:
        wait_until(lambda: site.document(child).get("status") == "SUCCESS", "every child has run",
                   timeout=40)


def test_run_without_a_worker_sends_through_the_client(site: Site) -> None:
    """`trawl run`: the messages wait for whoever comes."""
    result = site.trawl.json("run", "demo.fan_out", "--n", "2")
    assert site.document(result["first"]) == {}
    site.start()
    assert site.wait(result["first"])["result"] == {"value": 7}
    assert site.trawl.run("run", "demo.again", status=1).stderr.endswith("trawl: not yet\n")
