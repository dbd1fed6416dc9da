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
    task_id = nodes.send("probe.sleep", "--seconds", "60")
    nodes.await_state(task_id, "STARTED")
    names = ("ping", "registered", "active_queues", "stats", "conf", "report", "memsample",
             "memdump", "clock", "active", "reserved", "scheduled", "revoked",
             f"query_task {task_id}")
    answers = dict(zip(names, nodes.celery_each(
        *(f"inspect {name} -d {NODE}" for name in names))))
    assert all(list(answer) == [NODE] for answer in answers.values()), answers
    told = {name.split()[0]: answer[NODE] for name, answer in answers.items()}
    assert told["ping"] == {"ok": "pong"}
    assert told["registered"] == nodes.tasks()
    assert told["active_queues"][0]["name"] == "celery"
    assert told["stats"]["pid"] == worker.pid
    assert told["conf"]["broker_url"] == nodes.broker_url
    assert "software -> trawl" in told["report"]["ok"]
    assert told["memsample"].endswith("MB") and told["memsample"] in told["memdump"]
    assert told["clock"]["clock"] > 0
    assert told["reserved"] == told["scheduled"] == told["revoked"] == []
    assert told["active"][0]["id"] == task_id
    assert told["query_task"][task_id][0] == "active"
    assert "1 node online." in nodes.celery("status").stdout


def test_celery_controls_us(beside_celery: Nodes) -> None:
    """Each order of Celery's own command line."""
    nodes = beside_celery
    worker = nodes.start("--autoscale", "4,1", n_children=0)
    running = nodes.send("probe.sleep", "--seconds", "60")
    waiting = nodes.send("probe.noop", "--countdown", "600")
    nodes.await_state(running, "STARTED")
    autoscaled = "is not supported with autoscale. Adjust autoscale range instead."
    orders = {
        "autoscale 3 2": {"ok": "autoscale now max=3 min=2"},
        "pool_grow 1": {"error": f"pool_grow {autoscaled}"},
        "pool_shrink 1": {"error": f"pool_shrink {autoscaled}"},
        "pool_restart": {"ok": "reload started"},
        "add_consumer other": {"ok": "add consumer other"},
        "cancel_consumer other": {"ok": "no longer consuming from other"},
        "rate_limit probe.noop 10/m": {"ok": "new rate limit set successfully"},
        "rate_limit no.such 1/s": {"error": "unknown task"},
        "time_limit probe.sleep 1": {"ok": "time limits set successfully"},
        f"terminate SIGTERM {running}": {"ok": f"terminate: {running}"},
        "terminate SIGKILL no-such": {"ok": "terminate: tasks unknown"},
        f"revoke {waiting}": {"ok": f"tasks {{'{waiting}'}} flagged as revoked"},
        "heartbeat": None,
    }
    answers = nodes.celery_each(*(f"control {order} -d {NODE}" for order in orders))
    assert dict(zip(orders, answers)) == {order: [{NODE: told}] for order, told in orders.items()}
    for task_id in (running, waiting):
        nodes.await_state(task_id, "REVOKED")
    wait_until(lambda: len(children_of(worker.pid)) == 2, "two processes")
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
    workers = [nodes.start("-Q", "other"), nodes.start("-Q", "other")]
    first, second = (nodes.send("probe.noop") for _ in range(2))
    nodes.python(f"app.control.revoke({first!r}); app.control.revoke([{second!r}], terminate=True)")
    for task_id in (first, second):
        nodes.await_state(task_id, "REVOKED", timeout=3)
    assert set(nodes.ask("revoked")) == {first, second}
    for worker in workers:
        nodes.finish(worker)
    nodes.start()
    assert nodes.ask("revoked") == []
    wait_until(lambda: nodes.log.read_text().count("task revoked: ") == 2, "both are met", 30)
    assert nodes.ask("stats")["total"] == {}


def test_python_orders(beside_celery: Nodes) -> None:
    """Orders of `app.control` that its command line does not have."""
    nodes = beside_celery
    nodes.start()
    calls = {
        "rate_limit('probe.noop', None, reply=True)": {"ok": "rate limit disabled successfully"},
        "rate_limit('probe.noop', 2.5, reply=True)": {"ok": "new rate limit set successfully"},
        "time_limit('probe.noop', soft=1, hard=2, reply=True)": {
            "ok": "time limits set successfully"},
        "pool_grow(2, reply=True)": {"ok": "pool will grow"},
        "pool_shrink(1, reply=True)": {"ok": "pool will shrink"},
        "add_consumer('q2', exchange='e', reply=True)": {"ok": "add consumer q2"},
        "revoke(['a', 'a'], reply=True)": {"ok": "tasks {'a'} flagged as revoked"},
        "broadcast('objgraph', reply=True)": {
            "error": "ImportError('a worker in C has no Python objects to draw')"},
        "broadcast('no_such', reply=True)": {"error": "KeyError('no_such')"},
    }
    calls = {call.replace("reply", f"destination=[{NODE!r}], reply"): told
             for call, told in calls.items()}
    code = f"import json; print(json.dumps([app.control.{', app.control.'.join(calls)}]))"
    answers = json.loads(nodes.python(code))
    assert dict(zip(calls, answers)) == {call: [{NODE: told}] for call, told in calls.items()}
