"""Remote control with real workers: who is there, what they tell, and what may go wrong on the way;
on both brokers."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import time

from control_nodes import HOST, NODE, PROBE, Nodes
from workers import children_of, wait_until


def test_who_is_there(nodes: Nodes) -> None:
    """Nobody, one, two with names of their own; by name, and by the name of nobody."""
    nobody = nodes.run("status", status=1)
    assert nobody.stdout == "" and "no node is online" in nobody.stderr
    worker = nodes.start()
    assert nodes.run("status").stdout == f"-> {NODE}: OK\n\n1 node online.\n"
    nodes.start()
    nodes.start("-n", "third@%n.%d%%")
    second, third = f"trawl2@{HOST}", f"third@{HOST.split('.')[0]}.{HOST.partition('.')[2]}%"
    assert nodes.json("status") == {name: {"ok": "pong"} for name in (NODE, second, third)}
    assert nodes.run("status", "-d", second, "--quiet").stdout == f"-> {second}: OK\n"
    partly = nodes.run("inspect", "ping", "-d", f"{second},nobody@x", "-t", "0.3", status=5)
    assert "no answer from 'nobody@x'" in partly.stderr
    assert "no answer from 'nobody@x' within 0.3 s" in nodes.run(
        "inspect", "ping", "-d", "nobody@x", "-t", "0.3", status=1).stderr
    worker.kill()
    worker.wait(timeout=10)
    wait_until(lambda: set(nodes.json("status")) == {second, third}, "the killed one is gone")
    nodes.start()
    assert set(nodes.json("status")) == {NODE, second, third}, "its name is free again"


def test_what_a_worker_tells(nodes: Nodes) -> None:
    """The shapes of Celery's documentation."""
    worker = nodes.start(n_children=2)
    names = nodes.tasks()
    lines = nodes.run("inspect", "registered").stdout.splitlines()
    assert "probe.add" in names
    assert lines == [f"-> {NODE}: OK", *(f"    * {name}" for name in names), "", "1 node online."]
    tasks = nodes.ask("registered")
    assert [task["name"] for task in tasks] == names
    assert tasks[0]["arguments"] == {"x": 0, "y": 0}
    assert nodes.ask("registered", "max_retries", "nonsense", "acks_late")[0] == (
        "probe.add [max_retries=3 acks_late=True]")
    for empty in ("active", "reserved", "scheduled", "revoked"):
        assert nodes.ask(empty) == []
    assert "- empty -" in nodes.run("inspect", "active").stdout
    assert nodes.ask("ping") == {"ok": "pong"}
    assert nodes.ask("clock")["clock"] < nodes.ask("clock")["clock"]
    assert nodes.ask("memsample").endswith("MB")
    assert "software -> trawl:" in nodes.ask("report")["ok"]
    assert nodes.ask("query_task", "nobody") == {}
    queue, = nodes.ask("active_queues")
    assert queue["name"] == queue["routing_key"] == queue["exchange"]["name"] == "celery"
    assert queue["exchange"]["type"] == "direct" and queue["durable"] is True
    assert nodes.run("call", "probe.add", "--x", "1", "--wait").returncode == 0
    stats = nodes.ask("stats")
    assert stats["pid"] == worker.pid and stats["total"] == {"probe.add": 1}
    assert sorted(stats["pool"]["processes"]) == sorted(children_of(worker.pid))
    assert stats["pool"]["max-concurrency"] == 2 and isinstance(stats["clock"], str)
    assert stats["broker"]["transport"] == nodes.broker_url.split(":")[0]
    assert set(stats) == {"total", "pid", "clock", "uptime", "pool", "broker", "prefetch_count",
                          "rusage"}


def test_settings_without_secrets(nodes: Nodes) -> None:
    """A canary in each place where a secret may stand."""
    nodes.start(HF_TOKEN="canary-token", KAGGLE_KEY="canary-key", EMBEDDING_MODEL="m")
    text = nodes.run("inspect", "conf").stdout
    assert "canary" not in text and "********" in text
    conf = nodes.ask("conf")
    assert conf["embedding.model"] == "m" and conf["broker_url"] == nodes.broker_url
    assert conf["accept_content"] == ["json"] and conf["deprecated_settings"] is None


def test_where_tasks_are(nodes: Nodes) -> None:
    """One runs, others wait behind it; asked while all children are busy."""
    worker = nodes.start()
    ids = [nodes.send("probe.sleep", "--seconds", "60", "--steps", str(n + 1)) for n in range(3)]
    active = wait_until(lambda: nodes.ask("active"), "one runs")
    reserved = wait_until(lambda: len(r := nodes.ask("reserved")) == 2 and r, "two wait")
    assert [task["id"] for task in active] == ids[:1]
    assert [task["id"] for task in reserved] == ids[1:]
    one = active[0]
    assert one["name"] == one["type"] == "probe.sleep" and one["args"] == []
    assert one["kwargs"] == {"seconds": 60, "steps": 1} and one["hostname"] == NODE
    assert one["worker_pid"] in children_of(worker.pid) and one["acknowledged"] is False
    assert abs(one["time_start"] - time.time()) < 30
    assert one["delivery_info"] == {"exchange": "", "routing_key": "celery", "priority": 0,
                                    "redelivered": False}
    assert reserved[0]["time_start"] is None and reserved[0]["worker_pid"] is None
    found = nodes.ask("query_task", ids[0], ids[1], "unknown")
    assert {name: row[0] for name, row in found.items()} == {
        ids[0]: "active", ids[1]: "reserved"}
    assert found[ids[0]][1]["id"] == ids[0]


def test_what_waits_for_its_time(nodes: Nodes) -> None:
    """With its eta, from the broker; told by every worker that may run it."""
    nodes.start("-Q", "celery,other")
    near = nodes.send("probe.sleep", "--seconds", "1", "--countdown", "600", "--queue", "other")
    far = nodes.send("probe.add", "--x", "4", "--countdown", "3600", "--priority", "3")
    nodes.send("probe.noop", "--countdown", "60", "--queue", "elsewhere")
    tasks = wait_until(lambda: len(t := nodes.ask("scheduled")) == 2 and t, "both are listed")
    entries = {task["request"]["id"]: task for task in tasks}
    assert set(entries) == {near, far} and entries[far]["priority"] == 6
    assert entries[far]["request"]["kwargs"] == {"x": 4}
    assert entries[far]["request"]["delivery_info"]["priority"] == 3
    assert entries[near]["request"]["delivery_info"]["routing_key"] == "other"
    assert entries[near]["request"]["time_start"] is None
    assert entries[near]["eta"] < entries[far]["eta"] and entries[far]["eta"].endswith("+00:00")


def junk(nodes: Nodes, payload: bytes) -> None:
    """A broadcast of anything."""
    if nodes.redis:
        nodes.redis.cli("PUBLISH", "/0.celery.pidbox", stdin=payload)
        return
    connection = sqlite3.connect(nodes.data / "broker.db-control", timeout=10)
    with connection:
        connection.execute(
            "INSERT INTO letters (exchange, sent_at, body) VALUES ('celery.pidbox', ?, ?)",
            (int(time.time() * 1e6), payload))
    connection.close()


def test_malformed_requests(nodes: Nodes) -> None:
    """Counted, logged, and nothing else."""
    worker = nodes.start()
    payloads = [b"x", b"{}", b"[" * 5000, b"\xff\xfe", b"null", b"{\"body\": 5}",
                b'{"body": "eyJ9", "content-type": "application/json"}',
                b'{"body": "gAJ9", "content-type": "application/x-python-serialize"}',
                b'{"body": "{}", "content-type": "application/json", "headers": null}']
    for payload in payloads:
        junk(nodes, payload)
    assert nodes.ask("ping") == {"ok": "pong"}
    wait_until(lambda: f"total={len(payloads)}" in nodes.log.read_text(), "all are counted")
    assert worker.poll() is None and "application/x-python-serialize" in nodes.log.read_text()


def test_a_broker_that_is_away(nodes: Nodes) -> None:
    """Locked, paused or gone: an error within two seconds; the workers come back by themselves."""
    nodes.start()
    assert nodes.json("status") == {NODE: {"ok": "pong"}}
    connection = None
    if nodes.redis:
        nodes.redis.pause()
    else:
        connection = sqlite3.connect(nodes.data / "broker.db-control", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    for words in (["status"], ["inspect", "active"], ["control", "shutdown"]):
        start = time.monotonic()
        assert nodes.run(*words, status=1).stderr.startswith("trawl: ")
        assert time.monotonic() - start < 2
    if nodes.redis:
        assert "trawl: cannot send task" in nodes.run("call", "probe.echo", "--foreign",
                                                      status=1).stderr
    if connection is not None:
        connection.execute("ROLLBACK")
        connection.close()
    else:
        assert nodes.redis is not None
        nodes.redis.resume()
        nodes.redis.kill()
        start = time.monotonic()
        assert "Connection refused" in nodes.run("status", status=1).stderr
        assert time.monotonic() - start < 2
        nodes.redis.start()

    def is_back() -> bool:
        done = subprocess.run([str(PROBE), "status"], cwd=nodes.home, env=nodes.env,
                              capture_output=True, timeout=30, check=False)
        return done.returncode == 0
    wait_until(is_back, "the worker answers again", 40)


def test_output_that_nobody_takes(nodes: Nodes) -> None:
    """A full disk or a closed stdout is an error of every command that prints."""
    nodes.start()
    for words in (["status"], ["inspect", "conf"], ["status", "--json"], ["beat", "--dry-run"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [str(PROBE), *words], cwd=nodes.home, env=nodes.env, text=True, stdout=full,
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30, check=False)
        assert done.returncode != 0, words
        assert "cannot write to standard output: No space left" in done.stderr, words


def test_words_are_checked(nodes: Nodes) -> None:
    """Usage errors before anybody is asked; the help teaches."""
    for words, message in (
            (["inspect"], "something is missing"),
            (["inspect", "actve"], "'actve' is unknown: use registered, active"),
            (["inspect", "active", "x"], "'active' takes no arguments"),
            (["inspect", "query_task"], "usage: query_task ID ..."),
            (["inspect", "ping", "-t", "0"], "--timeout must be 0.05 to 3600 seconds"),
            (["inspect", "ping", "-d", "a,,b"], "empty name"),
            (["control", "pool_grow", "x"], "n must be a whole number"),
            (["control", "time_limit", "t", "soon"], "soft must be a number of seconds"),
            (["control", "shutdown", "now"], "one word too many"),
            (["control", "ping"], "'ping' is unknown: use revoke"),
            (["control", "shutdown", "--terminate"], "--terminate goes with revoke"),
            (["worker", "-n", "w@%x"], "unknown %-sign"),
            (["worker", "-n", "a b"], "no blanks")):
        assert message in nodes.run(*words, status=2).stderr
    for command in ("status", "inspect", "control"):
        assert f"Example" in nodes.run(command, "--help").stdout
