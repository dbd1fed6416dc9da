"""Sending tasks and asking for their results from the command line; no worker is needed."""

from __future__ import annotations

import base64
import json
import sqlite3
import time

import pytest

from trawl_cli import Trawl

TASK = "kaggle.enrich_pending"


@pytest.mark.parametrize("command", ["call", "result", "purge", "dead"])
def test_every_command_teaches(trawl: Trawl, command: str) -> None:
    text = trawl.run(command, "--help").stdout
    assert text.startswith(f"Usage: trawl {command}")
    assert "Example" in text and "--json" in text


def test_a_call_waits_until_it_is_purged(trawl: Trawl) -> None:
    sent = trawl.json("call", TASK, "--batch-size", "5", "--priority", "3", "--expires", "60")
    assert sent["queue"] == "celery" and len(sent["task_id"]) == 36
    later = trawl.run("call", TASK, "--args", "[7]", "--countdown", "3600", "--queue", "slow")
    assert len(later.stdout.strip()) == 36
    trawl.run("call", "--foreign", "proj.add", "--args", "[2, 3]")

    refused = trawl.run("purge", status=2)
    assert "celery: 2 messages waiting" in refused.stdout and "--yes" in refused.stderr
    assert trawl.json("purge", "slow", "--yes") == {"purged": {"slow": 1}, "total": 1}
    assert trawl.json("purge", "--yes")["total"] == 2
    assert "nothing waits" in trawl.run("purge").stdout


@pytest.mark.parametrize(("words", "says"), [
    (("kaggle.enrich_pendin",), "did you mean 'kaggle.enrich_pending'"),
    (("enrich.fetch_kaggle_seed",), "use 'kaggle.seed_initial'"),
    ((TASK, "--batch-size", "0"), "must be between 1 and 10000, got 0"),
    ((TASK, "--kwargs", '{"batch_sise": 1}'), "did you mean 'batch_size'"),
    ((TASK, "--kwargs", '{"batch_size": 1}', "--batch-size", "2"), "more than one value"),
    ((TASK, "--kwargs", "[]"), "must be a JSON object"),
    ((TASK, "--args", "["), "are not JSON"),
    ((TASK, "--args", "[1, 2]"), "takes at most 1 arguments"),
    ((TASK, "--eta", "tomorrow"), "--eta: 'tomorrow' is not a date"),
    ((TASK, "--eta", "2030-01-01", "--countdown", "1"), "not both"),
    ((TASK, "--timeout", "1"), "--timeout goes with --wait"),
    (("--foreign", "proj.add", "--args", "{}"), "must be a JSON array"),
    (("--json", TASK), "name the task before its options"),
])
def test_mistakes_are_refused_before_anything_is_sent(trawl: Trawl, words: tuple[str, ...],
                                                      says: str) -> None:
    done = trawl.run("call", *words, status=2)
    assert says in done.stderr and done.stdout == ""
    assert not (trawl.data / "broker.db").exists()


def test_an_unknown_id_is_pending(trawl: Trawl) -> None:
    done = trawl.run("result", "no-such-id")
    assert "PENDING" in done.stdout and "never sent" in done.stderr
    assert trawl.json("result", "no-such-id")["status"] == "PENDING"
    done = trawl.run("result", "no-such-id", "--wait", "--timeout", "1", status=1)
    assert "state is PENDING" in done.stderr


@pytest.mark.parametrize(("status", "value", "exit_status", "says"), [
    ("SUCCESS", {"total_enriched": 5}, 0, ""),
    ("FAILURE", {"exc_type": "ValueError", "exc_message": ["bad \x1b[2J"],
                 "exc_module": "builtins"}, 1, "ended as FAILURE: ValueError: bad"),
    ("FAILURE", {"exc_type": "PermissionError", "exc_message": ["no key"],
                 "exc_module": "builtins"}, 4, "PermissionError: no key"),
    ("FAILURE", {"exc_type": "TypeError", "exc_message": ["x"], "exc_module": "builtins"}, 1, "x"),
    ("REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["expired"],
                 "exc_module": "celery.exceptions"}, 1, "ended as REVOKED"),
])
def test_the_exit_status_is_the_tasks(trawl: Trawl, status: str, value: dict[str, object],
                                      exit_status: int, says: str) -> None:
    trawl.run("result", "t1", "--wait", "--timeout", "1", status=1)  # makes the file
    document = {"status": status, "result": value, "traceback": None, "children": [],
                "date_done": "2026-11-23T12:29:46.314079+00:00", "task_id": "t1"}
    with sqlite3.connect(trawl.data / "results.db") as database:
        database.execute("INSERT INTO results (task_id, status, run, document) VALUES (?, ?, 0, ?)",
                         ("t1", status, json.dumps(document)))
    for words in (("result", "t1"), ("result", "t1", "--wait")):
        done = trawl.run(*words, status=exit_status)
        assert status in done.stdout and says in done.stderr and "\x1b" not in done.stdout
        shown = trawl.json(*words, status=exit_status)
        assert shown["result"] == value and shown["date_done"].startswith("2026-11-23T12:29:46")


def test_dead_messages(trawl: Trawl) -> None:
    assert "no dead messages" in trawl.run("dead", "list").stdout
    assert "no dead message 1" in trawl.run("dead", "show", "1", status=1).stderr
    assert "use list, show, requeue or drop" in trawl.run("dead", "lst", status=2).stderr
    trawl.run("call", "--foreign", "proj.add", "--args", "[2, 3]")
    assert trawl.json("dead", "list") == []
    hostile = b"\x1b[2J\xff" + b"x" * 5000
    with sqlite3.connect(trawl.data / "broker.db") as database:
        (good,) = database.execute("SELECT body FROM messages").fetchone()
        for body in (hostile, good):
            database.execute(
                "INSERT INTO dead (queue, task_id, priority, attempt, n_crashes, died_at, reason,"
                " body) VALUES ('celery', 't', 0, 1, 0, 1795436816000000, 'malformed', ?)", (body,))
    assert [row["reason"] for row in trawl.json("dead", "list")] == ["malformed", "malformed"]
    text = trawl.run("dead", "show", "1").stdout
    assert "\\x1b[2J\\xff" in text and "\x1b" not in text and "5005 bytes" in text
    assert base64.b64decode(trawl.json("dead", "show", "1")["bytes_base64"]) == hostile
    shown = trawl.json("dead", "show", "2")
    assert (shown["task"], shown["args"]) == ("proj.add", [2, 3])
    trawl.run("dead", "requeue", "2")
    trawl.run("dead", "drop", "1")
    assert trawl.json("dead", "list") == []
    assert trawl.json("purge", "--yes")["total"] == 2


@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_broker_that_does_not_answer_is_an_error_soon(trawl: Trawl, mode: str) -> None:
    trawl.run("call", TASK)
    database = sqlite3.connect(trawl.data / "broker.db", isolation_level=None)
    if mode == "EXCLUSIVE":
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute(f"BEGIN {mode}")
    begin = time.monotonic()
    done = trawl.run("call", TASK, status=1)
    assert time.monotonic() - begin < 3  # 2 s, and the program's start on a busy machine
    assert "is locked" in done.stderr
    database.close()
