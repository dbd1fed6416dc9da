"""Celery's own tools ask our workers, and ours ask Celery's: both generations, on Redis."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from control_nodes import NODE, Nodes
from workers import children_of, wait_until


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
            [nodes.celery_python, "-m", "celery", "-A", "proj", "worker", "-c", "1", "-n", "py@h",
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


def test_python_revokes_for_good(beside_celery: Nodes) -> None:
    """By `app.control`, with workers up; all of them end, and those that come know of it."""
    nodes = beside_celery
    worker, other = nodes.start(), nodes.start()
    first, second = (nodes.send("probe.noop", "--countdown", "4") for _ in range(2))
    nodes.python(f"app.control.revoke({first!r}); app.control.revoke([{second!r}], terminate=True)")
    for task_id in (first, second):
        nodes.await_state(task_id, "REVOKED", timeout=3)
    assert set(nodes.ask("revoked")) == {first, second}
    nodes.finish(worker)
    nodes.finish(other)
    nodes.start()
    assert nodes.ask("revoked") == []
    wait_until(lambda: nodes.log.read_text().count("task revoked: ") == 2, "both are met", 30)
    assert nodes.ask("stats")["total"] == {}


def test_python_orders(beside_celery: Nodes) -> None:
    """The orders of `app.control` that change a worker, and their answers."""
    nodes = beside_celery
    nodes.start("--autoscale", "4,1", n_children=0)

    def order(call: str) -> Any:
        code = f"import json; print(json.dumps(app.control.{call}[0]))"
        return json.loads(nodes.python(code))[NODE]
    assert order("rate_limit('probe.noop', '10/m', reply=True)") == {
        "ok": "new rate limit set successfully"}
    assert order("rate_limit('probe.noop', None, reply=True)") == {
        "ok": "rate limit disabled successfully"}
    assert order("rate_limit('no.such', '1/s', reply=True)") == {"error": "unknown task"}
    assert order("time_limit('probe.noop', soft=1, hard=2, reply=True)") == {
        "ok": "time limits set successfully"}
    assert order("autoscale(3, 2, reply=True)") == {"ok": "autoscale now max=3 min=2"}
    assert order("pool_grow(1, reply=True)") == {
        "error": "pool_grow is not supported with autoscale. Adjust autoscale range instead."}
    assert order("pool_restart(reply=True)") == {"ok": "reload started"}
    assert order("add_consumer('q2', reply=True)") == {"ok": "add consumer q2"}
    assert order("cancel_consumer('q2', reply=True)") == {"ok": "no longer consuming from q2"}
    assert order("terminate('no-such', signal='SIGKILL', reply=True)") == {
        "ok": "terminate: tasks unknown"}
    assert order("heartbeat(reply=True)") is None
    assert order("ping()") == {"ok": "pong"}
    assert order("broadcast('objgraph', reply=True)")["error"].startswith("ImportError(")
    assert order("broadcast('memdump', reply=True)").startswith("- rss (end): ")
