"""Limits and paused queues, with real workers on both brokers; long forms are in bench/bench_limits.py."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trawl_cli import Trawl
from workers import PROBE

RULES = """limits:
  tasks:
    probe.record: {max: 1, key: path}
    probe.sleep: {unique: running, unique_by: name}
  queues:
    slow: {rate: 10/s}
"""


class Place:
    """A data directory with rules, a broker, and what was started on it."""

    def __init__(self, home: Path, broker: str) -> None:
        (home / "trawl.yaml").write_text(RULES, encoding="utf-8")
        self.trawl = Trawl(home, CELERY_BROKER_URL=broker or f"sqlite:///{home}/data/broker.db")
        self.trawl.data.mkdir()
        self.record = home / "record"
        self.started: list[subprocess.Popen[str]] = []

    def worker(self, queues: str = "celery") -> subprocess.Popen[str]:
        """One that is ready, in a session of its own."""
        worker = subprocess.Popen(
            [str(PROBE), "worker", "-c", "2", "-Q", queues], cwd=self.trawl.home,
            env=self.trawl.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True)
        self.started.append(worker)
        assert worker.stdout is not None and worker.stdout.readline().startswith("ready: ")
        return worker

    def probe(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """A command of the program that knows the probe's tasks."""
        done = subprocess.run([str(PROBE), *words], cwd=self.trawl.home, env=self.trawl.env,
                              text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr
        return done

    def note(self, token: str, *words: str, ms: int = 0) -> str:
        """Send a task that writes down its start and its end; returns its id."""
        return self.probe("call", "probe.record", "--path", str(self.record), "--token", token,
                          "--ms", str(ms), *words).stdout.strip()

    def lines(self, event: str) -> list[tuple[str, int]]:
        """Tokens and milliseconds of starts, or of ends."""
        if not self.record.exists():
            return []
        rows = [line.split() for line in self.record.read_text(encoding="utf-8").splitlines()]
        return [(row[1], int(row[3])) for row in rows if row[0] == event]


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """On a broker of its own."""
    url, server = "", None
    if request.param == "redis":
        if not shutil.which("redis-server"):
            pytest.skip("redis-server is not installed: scripts/setup.sh check installs it")
        socket = tmp_path / "r.sock"
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "",
             "--appendonly", "no", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
        wait_until(socket.exists, "redis-server listens")
        url = f"redis+socket://{socket}?virtual_host=0"
    place = Place(tmp_path, url)
    yield place
    for worker in place.started:
        if worker.poll() is None:
            worker.kill()
        worker.wait(timeout=30)
    if server:
        server.terminate()
        server.wait(timeout=30)


def test_one_at_a_time_and_a_killed_holder(place: Place) -> None:
    """Two workers share one place; it is free when its holder is killed."""
    first, second = place.worker(), place.worker()
    for i in range(4):
        place.note(str(i), ms=150)
    wait_until(lambda: len(place.lines("done")) == 4, "all ran")
    spans = list(zip(place.lines("start"), place.lines("done"), strict=True))
    assert all(done[1] <= start[1] for (_, done), (start, _) in zip(spans, spans[1:], strict=False))

    place.note("long", ms=60000)
    place.note("next")
    wait_until(lambda: place.lines("start")[-1][0] == "long", "the long one runs")
    place.started.append(place.worker())  # somebody lives, whoever had it
    for worker in (first, second):
        worker.send_signal(signal.SIGKILL)
    # What was killed is run again; it or the other one has the place, never both.
    wait_until(lambda: len(place.lines("start")) >= 6, "the place is free")


def test_a_unique_task(place: Place) -> None:
    """The second is told of the first; when that has ended, another one is taken."""
    first = place.probe("call", "probe.sleep", "--ms", "300").stdout.strip()
    again = place.probe("call", "probe.sleep", "--ms", "5", "--json", status=7)
    assert json.loads(again.stdout) == {"task_id": first, "queue": "celery", "duplicate": True}
    assert "is unique, nothing was sent" in again.stderr and first in again.stderr
    place.worker()
    place.probe("result", first, "--wait")
    wait_until(lambda: json.loads(place.probe("queue", "list", "--json").stdout)[0]["claimed"] == 0,
               "settled")
    second = place.probe("call", "probe.sleep", "--ms", "1").stdout.strip()
    assert second not in ("", first)

    one = place.probe("call", "probe.noop", "--unique", "1h", "--unique-key", "hourly").stdout.strip()
    place.probe("result", one, "--wait")
    assert one in place.probe("call", "probe.noop", "--unique", "1h", "--unique-key", "hourly",
                              status=7).stderr


def test_a_killed_worker_leaves_no_lock(place: Place) -> None:
    """A unique task is held while its message lives, and no longer."""
    place.worker()
    words = ("--unique", "running", "--unique-key", "k")
    first = place.note("a", *words, ms=60000)
    wait_until(lambda: len(place.lines("start")) == 1, "it runs")
    place.started[0].send_signal(signal.SIGKILL)
    place.probe("call", "probe.noop", *words, status=7)
    place.probe("control", "revoke", first, "--timeout", "0.2")
    place.worker()
    place.probe("result", first, "--wait", status=1)
    wait_until(lambda: json.loads(place.probe("queue", "list", "--json").stdout)[0]["claimed"] == 0,
               "settled")
    place.probe("call", "probe.noop", *words)


def test_a_rate_of_a_queue(place: Place) -> None:
    """Two workers together keep to it, and what is elsewhere does not wait."""
    place.worker("slow,celery")
    place.worker("slow,celery")
    kwargs = json.dumps({"path": f"{place.record}", "token": "{t}"})
    start = time.monotonic()
    place.probe("flood", "10", "--task", "probe.echo", "--queue", "slow", "--kwargs",
                '{"value": "{t}"}')
    place.probe("flood", "16", "--task", "probe.record", "--queue", "slow", "--kwargs",
                kwargs.replace("record", "record.{i}"))
    begin = time.monotonic()
    place.note("free")
    wait_until(lambda: len(place.lines("start")) == 1, "it started")
    assert time.monotonic() - begin < 2
    last = place.trawl.home / "record.15"
    wait_until(last.exists, "all ran")
    assert time.monotonic() - start > 2  # 26 tasks, 10 a second


def test_a_paused_queue(place: Place) -> None:
    """It outlives workers; nobody loses anything."""
    place.worker("celery,other")
    place.probe("queue", "pause", "celery", "--why", "disk is full", "--who", "kim")
    row = json.loads(place.probe("queue", "list", "celery", "--json").stdout)[0]
    assert row["paused"] and row["paused_by"] == "kim" and row["reason"] == "disk is full"
    time.sleep(1.1)
    place.note("a")
    place.note("b", "--queue", "other")
    wait_until(lambda: [token for token, _ in place.lines("start")] == ["b"], "the other queue is served")
    place.started[0].terminate()
    assert place.started[0].wait(timeout=30) == 0
    place.worker()
    time.sleep(0.5)
    assert len(place.lines("start")) == 1
    assert "paused since" in place.probe("queue", "list").stdout
    place.probe("queue", "resume", "celery")
    wait_until(lambda: len(place.lines("start")) == 2, "it goes on", 5)
    place.probe("queue", "resume", "celery", status=1)
