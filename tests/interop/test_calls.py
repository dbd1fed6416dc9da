"""The table of calls (cases.py), for each pair of a Python client and a worker."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from cases import CASES, Case
from conftest import Peer
from peers import App


def app_for(peer: Peer, case: Case) -> App:
    """The pair's own application, or one with the settings of the case."""
    return peer.open("case", **case.conf) if case.conf else peer.app


def shorten(value: Any) -> str:
    """For the message of a failed comparison of megabytes."""
    text = str(value)
    return text if len(text) < 300 else f"{text[:150]}...{text[-100:]} ({len(text)} characters)"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_call(peer: Peer, case: Case, tmp_path: Path) -> None:
    if case.only not in (None, peer.generation):
        pytest.skip(f"only the {case.only} release can do that")
    app = app_for(peer, case)
    start = time.time()
    task_id = app.send(case.task, case.args,
                       case.kwargs.replace("{record}", str(tmp_path / "record")), case.options)
    outcome = app.wait(task_id)
    if case.raised is None:
        assert outcome["raised"] is None, f"{outcome['raised']}\n{outcome['traceback']}"
    else:
        assert re.match(case.raised, outcome["raised"] or ""), outcome
        assert case.module in (None, outcome["module"]), outcome
    expected = case.value_for(peer.generation)
    same = expected is None or outcome["value"] == expected
    assert same, f"{shorten(outcome['value'])} instead of {shorten(expected)}"
    assert outcome["state"] == case.state
    assert outcome["ready"] and outcome["successful"] is (case.state == "SUCCESS")
    assert case.states <= set(outcome["states"]), outcome["states"]
    if case.traceback:
        assert re.search(case.traceback, outcome["traceback"] or ""), outcome["traceback"]
    assert outcome["done_at"] - start >= case.at_least_s - 0.002
    assert start - 1 < outcome["done_at"] < time.time() + 1


def test_everything_was_settled(peer: Peer) -> None:
    """After the table (pytest keeps the order of a file): nothing waits, nothing is held."""
    end = time.monotonic() + 15
    while peer.n_waiting() + peer.n_waiting("other") + peer.n_held() > 0:
        assert time.monotonic() < end, "messages are left"
        time.sleep(0.02)
