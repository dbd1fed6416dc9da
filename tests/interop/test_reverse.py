"""Trawl's commands with a Python worker, and workers of both kinds on one queue."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .pairs import PYTHONS, Peer, need, open_peer
from .peers import PROBE, Client, Worker, environment, running, wait_until
from .servers import Redis


class Shell:
    """Trawl's commands against one Redis."""

    def __init__(self, peer: Peer, home: Path) -> None:
        self.env = environment(TRAWL_DATA_DIR=str(home), CELERY_BROKER_URL=peer.broker,
                               CELERY_RESULT_BACKEND=peer.broker)

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([str(PROBE), *words], env=self.env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", status=status).stdout)

    def send(self, *words: str) -> str:
        """The id of a task that was sent."""
        return str(self.json("call", *words)["task_id"])


@pytest.fixture(name="celery", scope="module", params=list(PYTHONS))
def make_celery(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
                clients: Callable[[str], Client],
                tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A release's own client and worker."""
    need("trawl", request.param)
    need("python", request.param)
    home = tmp_path_factory.mktemp(f"reverse-{request.param}")
    peer = open_peer(request.param, "python", redis, database(), clients(request.param), home)
    peer.worker = peer.start()
    yield peer
    peer.worker.stop()


@pytest.fixture(name="shell")
def make_shell(celery: Peer, tmp_path: Path) -> Shell:
    return Shell(celery, tmp_path)


def test_call_and_wait(shell: Shell) -> None:
    done = shell.json("call", "probe.add", "--x", "20", "--y", "22", "--wait", "--timeout", "20")
    assert done["status"] == "SUCCESS" and done["result"] == {"sum": 42}
    done = shell.json("call", "--foreign", "probe.echo", "--args", '["gr\\u00fc\\u00dfe"]', "--wait")
    assert done["result"] == {"value": "grüße", "length": 7}


def test_python_sees_what_trawl_sent(celery: Peer, shell: Shell) -> None:
    """`trawl call` sends, a Python program awaits."""
    task_id = shell.send("probe.add", "--x", "1", "--y", "2", "--priority", "6")
    assert celery.app.wait(task_id)["value"] == "{'sum': 3}"


def test_trawl_sees_what_python_sent(celery: Peer, shell: Shell) -> None:
    task_id = celery.app.send("probe.sleep", kwargs="{'ms': 900, 'steps': 3}")
    wait_until(lambda: shell.json("result", task_id)["status"] == "PROGRESS", "progress")
    done = shell.json("result", task_id, "--wait", "--timeout", "20")
    assert done["status"] == "SUCCESS" and done["result"] == {"slept_ms": 900}


def test_failure(shell: Shell) -> None:
    done = shell.json("call", "probe.fail", "--kind", "io", "--wait", status=1)
    assert done["status"] == "FAILURE" and done["result"]["exc_type"] == "OSError"
    assert "failed as told: io" in done["traceback"]


def test_times(shell: Shell) -> None:
    """A countdown is kept; an expired task is told as such."""
    done = shell.json("call", "probe.noop", "--countdown", "1", "--wait", "--timeout", "20")
    assert done["status"] == "SUCCESS"
    done = shell.json("call", "probe.noop", "--countdown", "2", "--expires", "1", "--wait",
                      "--timeout", "20", status=1)
    assert done["status"] == "REVOKED" and done["result"]["exc_message"] == ["expired"]


def test_inspect_and_control(celery: Peer, shell: Shell) -> None:
    """`trawl inspect`, `status` and `control revoke`, of a Python worker."""
    node = celery.node()
    assert shell.json("inspect", "ping")[node] == {"ok": "pong"}
    registered = shell.json("inspect", "registered")[node]
    assert "probe.add" in [task["name"] for task in registered]
    assert node in shell.run("status").stdout
    running_id = celery.app.send("probe.sleep", args="(60,)")
    wait_until(lambda: celery.app.look(running_id)["state"] == "STARTED", "started")
    assert [one["id"] for one in shell.json("inspect", "active")[node]] == [running_id]
    later = celery.app.send("probe.noop", options="{'countdown': 1}")
    shell.run("control", "revoke", later)
    shell.run("control", "revoke", running_id, "--terminate")
    assert celery.app.wait(later)["raised"] == "TaskRevokedError('revoked')"
    assert celery.app.wait(running_id)["raised"] == "TaskRevokedError('terminated')"


def test_purge(celery: Peer, shell: Shell) -> None:
    """What Python has sent to a queue that nobody serves."""
    for priority in (0, 3, 9):
        celery.app.send("probe.noop", options=repr({"queue": "idle", "priority": priority}))
    assert shell.json("purge", "idle", "--yes")["total"] == 3
    assert celery.n_waiting("idle") == 0


def test_one_queue_for_both(celery: Peer, tmp_path: Path) -> None:
    """Workers of both kinds share what waits; each task runs once."""
    record = tmp_path / "record"
    home = tmp_path / "trawl"
    for i in range(150):
        celery.app.send("probe.record", options="{'queue': 'shared'}",
                        kwargs=repr({"path": str(record), "token": f"t{i}", "ms": 10}))
    options: dict[str, Any] = {"broker": celery.broker, "backend": celery.broker,
                               "queues": "shared"}
    with running(Worker("python", PYTHONS[celery.generation], home, node="w2", **options)), \
            running(Worker("trawl", "", home, node="t1", **options)):
        last = [celery.app.send("probe.record", options="{'queue': 'shared'}",
                                kwargs=repr({"path": str(record), "token": f"u{i}", "ms": 10}))
                for i in range(150)]
        for task_id in last:
            assert celery.app.wait(task_id)["state"] == "SUCCESS"
        wait_until(lambda: celery.n_waiting("shared") + celery.n_held() == 0, "settled")
    lines = [line.split() for line in record.read_text(encoding="utf-8").splitlines()]
    done = Counter(token for event, token, _, _ in lines if event == "done")
    assert set(done) == {f"{kind}{i}" for kind in "tu" for i in range(150)}
    assert set(done.values()) == {1}, "some have run twice"
    assert len({pid for _, _, pid, _ in lines}) == 4, "both workers have taken part"
