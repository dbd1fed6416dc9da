"""Flower beside Trawl's worker: what its HTTP API says of the worker and of its tasks."""

from __future__ import annotations

import functools
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .pairs import PYTHONS, Peer, need, open_peer
from .peers import Client, Worker, environment, wait_until
from .servers import Redis

PYTHON = PYTHONS["current"]


@functools.cache
def has_flower() -> bool:
    done = subprocess.run([PYTHON, "-c", "import flower"], capture_output=True, check=False)
    return done.returncode == 0


@dataclass
class Flower:
    """Running, with a worker of two children that tells what happens to its tasks."""

    port: int
    peer: Peer
    worker: Worker

    def ask(self, path: str) -> Any:
        """The answer of the API; None while there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/{path}", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(name="flower", scope="module")
def make_flower(redis: Redis, database: Callable[[], int], clients: Callable[[str], Client],
                tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    need("trawl", "current")
    if not has_flower():
        pytest.skip(f"{PYTHON} has no Flower")
    home: Path = tmp_path_factory.mktemp("flower")
    peer = open_peer("current", "trawl", redis, database(), clients("current"), home)
    port = free_port()
    with (home / "flower.log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "celery", "-b", peer.broker, "flower", "--address=127.0.0.1",
             f"--port={port}"], env=environment(FLOWER_UNAUTHENTICATED_API="true"), cwd=home,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    worker = None
    try:
        worker = peer.start(words=("-E",))
        flower = Flower(port, peer, worker)
        wait_until(lambda: flower.ask("workers?refresh=1"), "Flower knows a worker", timeout=30)
        yield flower
    finally:
        if worker is not None:
            worker.stop()
        process.terminate()
        process.wait(timeout=10)


def test_worker(flower: Flower) -> None:
    """Its name, pool, queues and tasks."""
    workers = flower.ask("workers?refresh=1")
    assert list(workers) == [flower.peer.node()]
    worker = workers[flower.peer.node()]
    assert worker["stats"]["pool"]["max-concurrency"] == 2
    assert len(worker["stats"]["pool"]["processes"]) == 2
    assert [queue["name"] for queue in worker["active_queues"]] == ["celery"]
    assert "probe.add" in worker["registered"]
    wait_until(lambda: flower.ask("workers?status=1") == {flower.peer.node(): True}, "online")


@pytest.mark.parametrize("state, task, args, exception", [
    ("SUCCESS", "probe.add", "(2, 3)", None),
    ("FAILURE", "probe.fail", "()", "ValueError('failed as told: invalid')"),
    ("STARTED", "probe.sleep", "(60,)", None),
])
def test_task(flower: Flower, state: str, task: str, args: str, exception: str | None) -> None:
    """Its name, worker, arguments, state, result."""
    task_id = flower.peer.app.send(task, args)
    info = wait_until(lambda: (found := flower.ask(f"task/info/{task_id}")) and found["state"] == state
                      and found, f"{task} is {state}")
    assert info["name"] == task and info["args"] == args and info["worker"] == flower.peer.node()
    assert info["received"] <= info["started"]
    assert info["exception"] == exception
    assert info["result"] == ("{'sum': 5}" if state == "SUCCESS" else None)
    assert task_id in flower.ask(f"tasks?taskname={task}&state={state}")
    if state == "STARTED":
        flower.peer.app.control("revoke", task_id, terminate=True)
        wait_until(lambda: flower.ask(f"task/info/{task_id}")["state"] == "REVOKED", "revoked")


def test_task_result(flower: Flower) -> None:
    """Sent and read over the API alone."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{flower.port}/api/task/send-task/probe.add",
        data=json.dumps({"args": [1, 2]}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        task_id = json.load(answer)["task-id"]
    found = wait_until(lambda: (one := flower.ask(f"task/info/{task_id}")) and one["state"] == "SUCCESS"
                       and one, "done")
    assert found["result"] == "{'sum': 3}"
