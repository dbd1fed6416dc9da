"""Chords while workers are killed: what follows a chord is sent once, whoever counts last dies or not.

F33 of docs/faults.md."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from fleet import Ledger, Place, envelope, scale, wait_until

N_MEMBERS = scale(300, 10000)
N_KILLS = 3


def signature(task: str, immutable: bool = True, options: dict[str, Any] | None = None,
              **kwargs: Any) -> dict[str, Any]:
    """As Celery writes one."""
    return {"task": task, "args": [], "kwargs": kwargs,
            "options": {"task_id": str(uuid.uuid4()), **(options or {})}, "subtask_type": None,
            "immutable": immutable}


def chord(ledger: Ledger, n_members: int, n_failing: int) -> dict[str, Any]:
    """Members that write down that they ran, some of them to fail; a body and its errback that do."""
    path = str(ledger.path)
    every = n_members // n_failing if n_failing else n_members + 1
    members = [signature("probe.fail" if number % every == every - 1 else "probe.record", path=path,
                         token=str(number)) for number in range(n_members)]
    errback = signature("probe.record", path=path, token="errback")
    body = signature("probe.record", path=path, token="body", options={"link_error": [errback]})
    header = {"task": "celery.group", "args": [], "kwargs": {"tasks": members}, "options": {},
              "subtask_type": "group", "immutable": False}
    return {"task": "celery.chord", "args": [],
            "kwargs": {"kwargs": {}, "header": header, "body": body}, "options": {},
            "subtask_type": "chord", "immutable": False}


def send(place: Place, canvas: dict[str, Any]) -> str:
    """As what comes after a task that does nothing: the worker starts it."""
    task_id = str(uuid.uuid4())
    message = envelope("probe.noop", task_id, [])
    embed = {"callbacks": None, "errbacks": None, "chain": [canvas], "chord": None}
    place.inject(message | {"body": json.dumps([[], {}, embed])}, task_id)
    return str(canvas["kwargs"]["body"]["options"]["task_id"])


@pytest.mark.parametrize("n_failing", [0, N_MEMBERS // 100], ids=["all-well", "one-percent-fails"])
def test_f33_chord_in_a_storm(place: Place, ledger: Ledger, n_failing: int) -> None:
    """Three workers after another are killed with their children; body or errback runs once."""
    body_id = send(place, chord(ledger, N_MEMBERS, n_failing))
    begun = time.monotonic()
    n_held = 0
    for number in range(N_KILLS):
        worker = place.start(n_children=2)
        wanted = N_MEMBERS * (number + 1) // (N_KILLS + 1)
        wait_until(lambda: len(ledger.count("start")) >= wanted, f"{wanted} have started",
                   scale(60, 300))
        worker.kill_group()
        n_held += place.depth()["claimed"]
    place.start(n_children=2)
    follower, other = ("errback", "body") if n_failing else ("body", "errback")
    wait_until(lambda: ledger.count("done")[follower], f"the {follower} has run", scale(60, 300))
    place.wait_settled(timeout=scale(60, 300))
    starts = ledger.count("start")
    print(f"members={N_MEMBERS} failing={n_failing} held={n_held} repeated={ledger.n_repeated()}"
          f" after {time.monotonic() - begun:.1f} s")
    assert starts[follower] == 1 and starts[other] == 0
    assert all(starts[str(number)] for number in range(N_MEMBERS))
    assert ledger.n_repeated() <= n_held
    document = place.result(body_id)
    assert document["status"] == ("FAILURE" if n_failing else "SUCCESS")
    if n_failing:
        assert document["result"]["exc_type"] == "ChordError"


def test_f33_killed_at_the_end(place: Place, ledger: Ledger) -> None:
    """Killed again and again around the moment when the last member reports: never lost."""
    for number in range(scale(4, 30)):
        body_id = send(place, chord(ledger, 6, 0))
        before = sum(ledger.count("start").values())
        worker = place.start(n_children=2)
        wait_until(lambda: sum(ledger.count("start").values()) >= before + 5, "nearly all")
        time.sleep(0.002 * (number % 10))
        worker.kill_group()
        rest = place.start(n_children=2)
        wait_until(lambda: place.result(body_id).get("status") == "SUCCESS", "the body has run")
        place.wait_settled()
        rest.kill_group()
