"""Revoking by remote control with real workers, and without any; on both brokers."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from control_nodes import NODE, Nodes, make_nodes
from workers import wait_until


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


def test_revoked_at_once(nodes: Nodes) -> None:
    """Before its message is met, or ever sent; what has ended or runs keeps its state."""
    nodes.start()
    done = nodes.send("probe.noop")
    nodes.await_state(done, "SUCCESS")
    running = nodes.send("probe.sleep", "--ms", "2500")
    later, never = nodes.send("probe.noop", "--countdown", "600"), "c0ffee00-0000-4000-8000-000000000000"
    nodes.await_state(running, "STARTED")
    nodes.run("control", "revoke", done, running, later, never)
    nodes.await_state(later, "REVOKED", timeout=2)
    nodes.await_state(never, "REVOKED", timeout=2)
    assert nodes.state(running) == "STARTED"
    result = nodes.json("result", later, status=1)
    assert result["result"]["exc_type"] == "TaskRevokedError"
    assert result["result"]["exc_message"] == ["revoked"]
    nodes.await_state(running, "SUCCESS")
    assert nodes.state(done) == "SUCCESS"


def test_revoke_when_nobody_is_there(nodes: Nodes) -> None:
    """REVOKED at once, and never run by those that come; the same with --terminate."""
    worker = nodes.start()
    done, lost = nodes.send("probe.noop"), nodes.send("probe.sleep", "--seconds", "60")
    nodes.await_state(done, "SUCCESS")
    nodes.await_state(lost, "STARTED")
    nodes.finish(worker)
    first, second = nodes.send("probe.noop"), nodes.send("probe.add")

    def revoke(*words: str) -> str:
        return nodes.run("control", "revoke", *words).stdout
    wait_until(lambda: "no node is online" in revoke(first, done), "nobody is there")
    assert "(2 tasks)" in revoke(second, lost, "--terminate")
    assert [nodes.state(task_id) for task_id in (first, second, lost, done)] == [
        "REVOKED", "REVOKED", "REVOKED", "SUCCESS"]
    nodes.start()
    wait_until(lambda: nodes.log.read_text().count("task revoked: ") == 3, "all three are met", 30)
    assert nodes.run("call", "probe.value", "--wait").returncode == 0
    assert nodes.ask("stats")["total"] == {"probe.value": 1}
    assert [nodes.state(task_id) for task_id in (first, second, lost, done)] == [
        "REVOKED", "REVOKED", "REVOKED", "SUCCESS"]


def test_terminate_what_does_not_listen(nodes: Nodes) -> None:
    """TERM, then KILL after the grace; with KILL, at once."""
    nodes.start(n_children=2)
    asked, killed = (nodes.send("probe.crash", "--how", "hang") for _ in range(2))
    for task_id in (asked, killed):
        nodes.await_state(task_id, "STARTED")
    nodes.run("control", "terminate", asked)
    start = time.monotonic()
    nodes.run("control", "terminate", killed, "--signal", "KILL")
    nodes.await_state(killed, "REVOKED")
    assert time.monotonic() - start < 2, "not after the grace"
    nodes.await_state(asked, "REVOKED")
    for task_id in (asked, killed):
        assert nodes.json("result", task_id, status=1)["result"]["exc_message"] == ["terminated"]
    assert nodes.ask("active") == []


STAMPED = """
def send(task, value, **kwargs):
    headers = {"stamped_headers": ["mtag", "other"], "stamps": {"mtag": value, "other": "o"}}
    return app.send_task(task, kwargs=kwargs, headers=headers).id
"""


def test_revoke_by_stamps(beside_celery: Nodes) -> None:
    """With nobody there, with a worker, and after its restart; others run."""
    nodes = beside_celery

    def send(expression: str) -> str:
        return nodes.python(STAMPED + f"print({expression})")
    first = send("send('probe.noop', ['x0', 'x1'])")
    told = nodes.run("control", "revoke_by_stamped_headers", "mtag=x1")
    assert "no node is online: the broker will tell those that come (1 stamp)" in told.stdout
    worker = nodes.start()
    nodes.await_state(first, "REVOKED")
    running = send("send('probe.sleep', 'x2', seconds=60)")
    nodes.await_state(running, "STARTED")
    assert nodes.json("control", "revoke_by_stamped_headers", "mtag=x2")[NODE] == {
        "ok": "headers {'mtag': 'x2'} flagged as revoked, but not terminated"}
    assert nodes.state(running) == "STARTED"
    assert nodes.json("control", "revoke_by_stamped_headers", "mtag=x2", "--terminate")[NODE] == {
        "ok": "headers {'mtag': 'x2'} revoked"}
    nodes.await_state(running, "REVOKED")
    assert nodes.json("control", "revoke_by_stamped_headers", "a=b", "--terminate")[NODE] == {
        "ok": "headers {'a': 'b'} were not terminated"}
    nodes.finish(worker)
    second, third = send("send('probe.noop', 'x2'), send('probe.noop', ['x3'])").split()
    nodes.start()
    nodes.await_state(second, "REVOKED", timeout=30)
    nodes.await_state(third, "SUCCESS")
