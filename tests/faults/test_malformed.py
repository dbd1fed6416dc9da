"""F22, F28: messages that are none, and messages of other versions."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest

from fleet import TRAWL, Ledger, Place, envelope, peak_rss_kib, wait_until

Message = dict[str, Any]


def changed(path: str, value: Any) -> bytes:
    """A good message with one member changed; path: names separated by dots."""
    message: Message = envelope("probe.noop", "changed", [])
    place: Any = message
    *parents, last = path.split(".")
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(message).encode()


def with_body(body: bytes | str, content_type: str = "application/json",
              encoding: str = "utf-8") -> bytes:
    """A good envelope around a body."""
    message: Message = envelope("probe.noop", "body", [])
    if isinstance(body, bytes):
        message["body"] = base64.b64encode(body).decode()
        message["properties"]["body_encoding"] = "base64"
    else:
        message["body"] = body
    message["content-type"] = content_type
    message["content-encoding"] = encoding
    return json.dumps(message).encode()


GOOD = json.dumps(envelope("probe.noop", "good", [])).encode()
EMBED = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'

BROKEN = {
    "empty": b"",
    "no-json": b"hello, worker",
    "truncated": GOOD[:-20],
    "truncated-early": GOOD[:10],
    "number": b"42",
    "list": b"[1, 2, 3]",
    "null": b"null",
    "zeros": b"\0" * 100,
    "bad-utf8": GOOD.replace(b"probe.noop", b"probe.\xff\xfe"),
    "binary": bytes(range(256)) * 4,
    "deep-envelope": b'{"body": ' + b"[" * 100000 + b"]" * 100000 + b"}",
    "deep-open": b"[" * 1000000,
    "duplicate-name": GOOD.replace(b'"content-type"', b'"body": "x", "content-type"', 1),
    "trailing": GOOD + b" and more",
    "no-headers": changed("headers", None),
    "no-properties": changed("properties", None),
    "no-body": changed("body", None),
    "no-task": changed("headers.task", None),
    "task-number": changed("headers.task", 7),
    "id-list": changed("headers.id", [1]),
    "headers-text": changed("headers", "task"),
    "retries-text": changed("headers.retries", "many"),
    "retries-huge": changed("headers.retries", 10 ** 40),
    "eta-none": changed("headers.eta", "next tuesday"),
    "eta-year": changed("headers.eta", "99999-01-01T00:00:00"),
    "timelimit-object": changed("headers.timelimit", {"soft": 1}),
    "body-number": changed("body", 5),
    "foreign-type": with_body("a: 1", "application/x-yaml"),
    "pickle": with_body(pickle.dumps([[], {}, {}]), "application/x-python-serialize", "binary"),
    "unknown-encoding": with_body("[[], {}, {}]", encoding="klingon"),
    "not-base64": GOOD.replace(b'"delivery_mode"', b'"body_encoding": "base64", "delivery_mode"'),
    "body-truncated": with_body('[[], {}, {"callbacks"'),
    "body-short": with_body("[[]]"),
    "body-object": with_body('{"args": [], "callbacks": 4}'),
    "args-text": with_body(f'["args", {{}}, {EMBED}]'),
    "kwargs-list": with_body(f'[[], [1], {EMBED}]'),
    "body-deep": with_body("[[" + "[" * 100000 + "]" * 100000 + f"], {{}}, {EMBED}]"),
    "body-bad-utf8": with_body(b'[["\xff\xff"], {}, ' + EMBED.encode() + b"]"),
    "zip-bomb": changed("headers.compression", "application/x-gzip"),
}


def test_f22_broken_messages(place: Place, ledger: Ledger) -> None:
    """Each is in the dead set with a reason and its raw bytes; good ones among them are run."""
    worker = place.start()
    before = peak_rss_kib(worker.pid)
    for name, message in BROKEN.items():
        if name == "empty" and not place.is_redis:
            continue  # a file of nothing is no message there
        place.inject(message, name)
        ledger.submit(1)
    n_broken = len(BROKEN) - (0 if place.is_redis else 1)
    wait_until(lambda: place.n_open() == 0 and ledger.n_done() == len(BROKEN) - (
        0 if place.is_redis else 1), "all settled")
    after = peak_rss_kib(worker.pid)
    dead = place.dead()
    print(f"peak RSS {before} -> {after} KiB")
    reasons = sorted({row["reason"].split(":")[0] for row in dead})
    print(reasons)
    assert worker.process.poll() is None
    assert len(dead) == n_broken, sorted(row["reason"] for row in dead)
    assert all(row["reason"] for row in dead)
    shown = [json.loads(place.run("dead", "show", str(row["dead_id"]), "--json").stdout)
             for row in dead]
    raw = {base64.b64decode(row["bytes_base64"]) for row in shown}
    assert raw == {message for name, message in BROKEN.items()
                   if name != "empty" or place.is_redis}
    ledger.n_submitted += n_broken
    ledger.check(max_repeated=0, n_dead=n_broken)


STRANGE = {
    "huge-integer": ([10 ** 30], {}, "FAILURE"),
    "many-arguments": (list(range(1000)), {}, "FAILURE"),
    "unknown-argument": ([], {"colour": "red"}, "FAILURE"),
    "wrong-type": ([], {"x": "two"}, "FAILURE"),
    "null": ([None, None], {}, "FAILURE"),
    "float": ([1.5], {}, "FAILURE"),
    "good": ([1, 2], {}, "SUCCESS"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_f22_arguments_that_do_not_fit(place: Place, name: str) -> None:
    """A real message whose arguments the task does not take: a failure that the caller sees."""
    args, kwargs, status = STRANGE[name]
    place.start(n_children=1)
    place.inject(envelope("probe.add", f"id-{name}", args, kwargs), f"id-{name}")
    wait_until(lambda: place.result(f"id-{name}")["status"] == status, status)
    place.wait_settled()
    assert place.depth()["dead"] == 0


def protocol_1(task: str, task_id: str, args: list[Any], kwargs: Message) -> Message:
    """A message of Celery 3."""
    body = {"task": task, "id": task_id, "args": args, "kwargs": kwargs, "retries": 0,
            "eta": None, "expires": None, "utc": True, "callbacks": None, "errbacks": None,
            "timelimit": [None, None], "taskset": None, "chord": None}
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8", "content-type": "application/json", "headers": {},
        "properties": {"correlation_id": task_id, "reply_to": "x", "delivery_mode": 2,
                       "delivery_info": {"exchange": "celery", "routing_key": "celery"},
                       "priority": 0, "body_encoding": "base64", "delivery_tag": task_id},
    }


def test_f28_both_protocols(place: Place, ledger: Ledger) -> None:
    """A fleet of old and new clients on one queue."""
    place.start()
    for i in range(40):
        kwargs = {"path": str(ledger.path), "token": f"t{i}"}
        make = protocol_1 if i % 2 else envelope
        place.inject(make("probe.record", f"id-{i}", [], kwargs), f"id-{i}")
        ledger.n_submitted += 1
        ledger.ids.append(f"id-{i}")
    wait_until(lambda: ledger.n_done() == 40, "all done")
    place.wait_settled()
    ledger.check(max_repeated=0)
    assert ledger.states() == {"SUCCESS": 40}


def test_f28_rolling_deploy(place: Place, ledger: Ledger) -> None:
    """New tasks reach old workers: parked with their name, not dropped; run after the update."""
    old = place.start(program=TRAWL)
    ledger.submit(5)
    wait_until(lambda: place.depth()["dead"] == 5, "parked")
    assert ledger.count("start") == {}
    assert all("probe.record" in row["reason"] for row in place.dead())
    old.process.terminate()
    assert old.wait() == 0
    place.start()
    for row in place.dead():
        place.run("dead", "requeue", str(row["dead_id"]))
    wait_until(lambda: ledger.n_done() == 5, "all done")
    place.wait_settled()
    ledger.check(max_repeated=0)


def test_f28_new_argument(place: Place) -> None:
    """A client that knows one more argument: the task is not run with half of what was meant, and
    the caller hears which name it was."""
    place.start(n_children=1)
    place.inject(envelope("probe.add", "newer", [1], {"y": 2, "precision": 3}), "newer")
    wait_until(lambda: place.result("newer")["status"] == "FAILURE", "refused")
    result = place.result("newer")["result"]
    assert result["exc_type"] == "TypeError" and "precision" in result["exc_message"][0]


def test_f28_removed_task(place: Place) -> None:
    """An old client's task that has a successor: the reason names it, for sender and receiver."""
    refused = place.run("call", "probe.old_noop", status=2).stderr
    assert "probe.noop" in refused
    place.start(n_children=1)
    place.inject(envelope("probe.old_noop", "old", []), "old")
    wait_until(lambda: place.depth()["dead"] == 1, "parked")
    assert "probe.noop" in place.dead()[0]["reason"]
