"""The program `celery` of both releases, in the shell, beside a worker."""

from __future__ import annotations

import json
import subprocess

import pytest

from .pairs import PYTHONS, Peer
from .peers import environment, running, wait_until


def run(peer: Peer, *words: str, status: int = 0, before: tuple[str, ...] = ()) -> str:
    """What `celery -b BROKER ...` prints."""
    done = subprocess.run(
        [PYTHONS[peer.generation], "-m", "celery", "-b", peer.broker, "--result-backend",
         peer.broker, "-q", *before, *words],
        env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(name="pair")
def make_pair(peer: Peer) -> Peer:
    """One proof that a release's tools work with its own worker is enough: it is slow to start."""
    if (peer.generation, peer.kind) == ("debian", "python"):
        pytest.skip("the current release proves it")
    return peer


def test_status(pair: Peer) -> None:
    out = run(pair, "status", "-t", "2")
    assert f"{pair.node()}: OK" in out


def test_inspect(pair: Peer) -> None:
    replies = json.loads(run(pair, "inspect", "registered", "-j", "-d", pair.node(), "-t", "10"))
    assert {"probe.add", "probe.noop"} <= set(replies[pair.node()])
    out = run(pair, "inspect", "ping", "-d", pair.node(), "-t", "10")
    assert pair.node() in out and "pong" in out


def test_call_and_result(pair: Peer) -> None:
    task_id = run(pair, "call", "probe.add", "-a", "[20, 22]").strip()
    assert pair.app.wait(task_id)["value"] == "{'sum': 42}"
    assert "{'sum': 42}" in run(pair, "result", task_id)


def test_control_and_purge(quiet: Peer) -> None:
    """`celery purge` of what waits, `celery control shutdown` of the worker."""
    for _ in range(3):
        quiet.app.send("probe.noop", options="{'countdown': 3600}")
    assert "3" in run(quiet, "purge", "-f")
    assert quiet.n_waiting() == 0
    with running(quiet.start(n_children=1)) as worker:
        wait_until(lambda: quiet.app.inspect("ping", timeout=0.5), "answers")
        run(quiet, "control", "shutdown", "-t", "1", status=69)  # EX_UNAVAILABLE: nobody replies
        assert worker.process.wait(timeout=15) == 0
