"""Real `trawl worker` processes on one data directory, what is sent to them, and what they leave."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trawl_cli import BINARY, Trawl

SENDER = BINARY.parents[1] / "tests/unit/celery_send"
PROBE = BINARY.parents[1] / "tests/tools/probe"  # trawl with tasks that do as they are told


class Workers:
    """Starts workers on one data directory, sends to them, and looks into their files."""

    def __init__(self, trawl: Trawl) -> None:
        self.trawl = trawl
        self.started: list[subprocess.Popen[str]] = []
        trawl.data.mkdir(exist_ok=True)

    def start(self, *words: str, n_children: int = 2, stderr: int | None = None,
              program: Path = BINARY, **env: str) -> subprocess.Popen[str]:
        """A worker that has said ready, in a session of its own; its log goes to a file."""
        with self.log.open("a") as log:
            worker = subprocess.Popen(
                [str(program), "worker", "-c", str(n_children), *words], cwd=self.trawl.home,
                env=self.trawl.env | env, text=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log if stderr is None else stderr,
                start_new_session=True)
        self.started.append(worker)
        assert worker.stdout is not None
        line = worker.stdout.readline()
        kinds = ("thread", "threads") if "threads" in words else ("process", "processes")
        children = f"{n_children} {kinds[n_children != 1]}"
        assert line.startswith("ready: ") and f", {children}, queue celery, broker sqlite:" in line
        return worker

    @property
    def log(self) -> Path:
        """What the workers have said, unless they were told to say it elsewhere."""
        return self.trawl.home / "worker.log"

    def send(self, task: str, arguments: Any, count: int = 1, prefix: str = "t") -> list[str]:
        """Durable when it returns."""
        url = f"sqlite:///{self.trawl.data}/broker.db"
        done = subprocess.run(
            [str(SENDER), url, task, json.dumps(arguments), str(count), prefix],
            check=True, capture_output=True, text=True, timeout=30)
        return done.stdout.split()

    def query(self, file: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of broker.db or results.db."""
        connection = sqlite3.connect(self.trawl.data / file, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def result(self, task_id: str) -> dict[str, Any]:
        """The state document, or an empty one."""
        rows = self.query("results.db", "SELECT document FROM results WHERE task_id = ?", task_id)
        return json.loads(rows[0][0]) if rows else {}

    def n_messages(self) -> int:
        """Not settled yet."""
        return self.query("broker.db", "SELECT count(*) FROM messages")[0][0]

    def states(self) -> dict[str, int]:
        """How many tasks are in each state."""
        return dict(self.query("results.db", "SELECT status, count(*) FROM results GROUP BY 1"))

    def kill(self, worker: subprocess.Popen[str]) -> None:
        """The whole session at once, as a power cut would."""
        kill_with_children(worker)

    def finish(self) -> None:
        for worker in self.started:
            if worker.poll() is None:
                self.kill(worker)
            if worker.stdout is not None:
                worker.stdout.close()


def kill_with_children(worker: subprocess.Popen[str]) -> None:
    """At once, and gone when this returns."""
    for pid in [*children_of(worker.pid), worker.pid]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    worker.wait(timeout=10)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 15) -> Any:
    """What the condition gives, as soon as it is true."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)
    return value


def envelope(task: str, task_id: str, args: Any, kwargs: Any = None,
             **headers: Any) -> dict[str, Any]:
    """A message as Celery 5 writes it."""
    body = json.dumps([args, kwargs or {}, {"callbacks": None, "errbacks": None, "chain": None,
                                  "chord": None}])
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8", "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "retries": 0,
                    "timelimit": [None, None], "eta": None, "expires": None, **headers},
        "properties": {"correlation_id": task_id, "reply_to": "x", "delivery_mode": 2,
                       "delivery_info": {"exchange": "", "routing_key": "celery"},
                       "priority": 0, "body_encoding": "base64", "delivery_tag": task_id},
    }
