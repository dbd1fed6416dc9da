"""Orders to real workers: their processes, queues, limits and end; on both brokers."""

from __future__ import annotations

from control_nodes import HOST, NODE, Nodes
from workers import children_of, wait_until


def test_grow_and_shrink(nodes: Nodes) -> None:
    """Processes come and go, one stays."""
    worker = nodes.start()
    assert nodes.json("control", "pool_grow", "2")[NODE] == {"ok": "pool will grow"}
    wait_until(lambda: len(children_of(worker.pid)) == 3, "three processes")
    stats = nodes.ask("stats")
    assert stats["pool"]["max-concurrency"] == 3
    ids = [nodes.send("probe.sleep", "--ms", "700") for _ in range(3)]
    wait_until(lambda: len(nodes.ask("active")) == 3, "three run at once")
    assert nodes.json("control", "pool_shrink", "2")[NODE] == {"ok": "pool will shrink"}
    for task_id in ids:
        nodes.await_state(task_id, "SUCCESS")
    wait_until(lambda: len(children_of(worker.pid)) == 1, "one process")
    refused = nodes.json("control", "pool_shrink", status=1)[NODE]
    assert "the pool has 1 processes and may have 1 to 1024" in refused["error"]


def test_queues_come_and_go(nodes: Nodes) -> None:
    """Of another queue nothing is taken, then it is, then no more."""
    nodes.start()
    waiting = nodes.send("probe.noop", "--queue", "other")
    assert nodes.json("control", "add_consumer", "other")[NODE] == {"ok": "add consumer other"}
    nodes.await_state(waiting, "SUCCESS")
    assert [queue["name"] for queue in nodes.ask("active_queues")] == ["celery", "other"]
    assert nodes.json("control", "cancel_consumer", "other")[NODE] == {
        "ok": "no longer consuming from other"}
    assert [queue["name"] for queue in nodes.ask("active_queues")] == ["celery"]
    left = nodes.send("probe.noop", "--queue", "other")
    nodes.run("call", "probe.noop", "--wait")
    assert nodes.state(left) == "PENDING"


def test_time_limits_by_name(nodes: Nodes) -> None:
    """Of one task, from its next run on."""
    nodes.start()
    answer = nodes.json("control", "time_limit", "probe.sleep", "0", "0.4")[NODE]
    assert answer == {"ok": "time limits set successfully"}
    task_id = nodes.send("probe.sleep", "--seconds", "60")
    nodes.await_state(task_id, "FAILURE")
    result = nodes.json("result", task_id, status=1)
    assert result["result"]["exc_type"] == "TimeLimitExceeded"
    assert nodes.json("control", "time_limit", "no.such", "1", status=1)[NODE] == {
        "error": "unknown task"}


def test_shutdown(nodes: Nodes) -> None:
    """One by its name, after the task that it runs; it answers until then."""
    first = nodes.start()
    second = nodes.start("-n", "second@%h")
    nodes.run("control", "cancel_consumer", "celery", "-d", f"second@{HOST}")
    task_id = nodes.send("probe.sleep", "--seconds", "3")
    nodes.await_state(task_id, "STARTED")
    told = nodes.run("control", "shutdown", "-d", NODE)
    assert told.stdout == f"-> {NODE}: OK\n\ntold to end after the running tasks: 1\n"
    assert nodes.ask("active")[0]["id"] == task_id, "asked during warm shutdown"
    assert first.poll() is None
    assert first.wait(timeout=20) == 0
    nodes.await_state(task_id, "SUCCESS")
    assert list(nodes.json("status")) == [f"second@{HOST}"]
    nodes.run("control", "shutdown")
    assert second.wait(timeout=20) == 0
    assert "no node is online" in nodes.run("control", "shutdown", status=1).stderr


def test_rate_limit(nodes: Nodes) -> None:
    """What waits for its token blocks nobody, is in no list, and goes back with the worker."""
    worker = nodes.start()
    assert nodes.json("control", "rate_limit", "probe.noop", "1/h")[NODE] == {
        "ok": "new rate limit set successfully"}
    assert nodes.ask("registered", "rate_limit").count("probe.noop [rate_limit=1/h]") == 1
    ids = [nodes.send("probe.noop") for _ in range(12)]  # thrice the window
    assert nodes.run("call", "probe.add", "--x", "2", "--wait").returncode == 0
    nodes.await_state(ids[0], "SUCCESS")
    wait_until(lambda: nodes.ask("stats")["total"] == {"probe.noop": 1, "probe.add": 1}, "counted")
    assert nodes.ask("reserved") == nodes.ask("active") == nodes.ask("scheduled") == []
    assert nodes.ask("query_task", *ids) == {}
    nodes.run("control", "revoke", ids[1])
    nodes.await_state(ids[1], "REVOKED")
    nodes.run("control", "shutdown")
    assert worker.wait(timeout=20) == 0
    worker = nodes.start()  # it knows of no limit, all others run
    for task_id in ids[2:]:
        nodes.await_state(task_id, "SUCCESS")
    assert nodes.ask("stats")["total"] == {"probe.noop": 10}


def test_rate_limit_lifted(nodes: Nodes) -> None:
    """What waited goes at once; what is no limit is refused in Python's words."""
    nodes.start()
    nodes.run("control", "rate_limit", "probe.noop", "2/h")
    ids = [nodes.send("probe.noop") for _ in range(3)]
    nodes.await_state(ids[0], "SUCCESS")
    assert nodes.state(ids[2]) == "PENDING"
    assert nodes.json("control", "rate_limit", "probe.noop", "0")[NODE] == {
        "ok": "rate limit disabled successfully"}
    for task_id in ids:
        nodes.await_state(task_id, "SUCCESS")
    for rate, error in (("x/s", "Invalid rate limit string: ValueError(\"could not convert string to "
                                "float: 'x'\")"), ("1/d", "KeyError('d')")):
        assert nodes.json("control", "rate_limit", "probe.noop", rate, status=1)[NODE] == {
            "error": error}


def test_autoscale(nodes: Nodes) -> None:
    """As many processes as tasks, within bounds that an order changes."""
    worker = nodes.start("--autoscale", "3,1", n_children=0)
    assert len(children_of(worker.pid)) == 1
    assert nodes.ask("stats")["autoscaler"] == {"max": 3, "min": 1, "current": 1, "qty": 0}
    ids = [nodes.send("probe.sleep", "--ms", "1500") for _ in range(5)]
    wait_until(lambda: len(nodes.ask("active")) == 3, "three run at once")
    assert nodes.json("control", "pool_grow", status=1)[NODE] == {
        "error": "pool_grow is not supported with autoscale. Adjust autoscale range instead."}
    for task_id in ids:
        nodes.await_state(task_id, "SUCCESS")
    assert nodes.json("control", "autoscale", "2", "2")[NODE] == {
        "ok": "autoscale now max=2 min=2"}
    wait_until(lambda: len(children_of(worker.pid)) == 2, "two processes")
    assert "autoscale must be 1 to 1024" in nodes.json(
        "control", "autoscale", "1", status=1)[NODE]["error"]
    nodes.run("control", "shutdown")
    assert worker.wait(timeout=20) == 0
    nodes.start()
    assert nodes.json("control", "autoscale", "2", status=1)[NODE] == {
        "error": "ValueError('Autoscale not enabled')"}


def test_pool_restart(nodes: Nodes) -> None:
    """Other processes; the task that runs ends in its old one."""
    worker = nodes.start(n_children=2)
    before = set(children_of(worker.pid))
    task_id = nodes.send("probe.sleep", "--ms", "1000")
    nodes.await_state(task_id, "STARTED")
    assert nodes.json("control", "pool_restart")[NODE] == {"ok": "reload started"}
    nodes.await_state(task_id, "SUCCESS")
    wait_until(lambda: len(now := set(children_of(worker.pid))) == 2 and not now & before,
               "two others")
    assert nodes.run("call", "probe.noop", "--wait").returncode == 0
    assert nodes.json("control", "pool_restart")[NODE] == {"ok": "reload started"}


def test_what_has_no_answer(nodes: Nodes) -> None:
    """Debugging aids, and orders that only Python's workers understand."""
    nodes.start()
    sample = nodes.ask("memsample")
    dump = nodes.ask("memdump")
    assert dump.startswith(f"- rss (sample):\n-    > {sample},\n- rss (end): ")
    assert nodes.json("inspect", "objgraph", status=1)[NODE]["error"].startswith("ImportError(")
    assert nodes.json("control", "heartbeat")[NODE] is None
