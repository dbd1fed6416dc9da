"""The table of calls (cases.py), for each pair of a Python client and a worker.

All are sent first and awaited one by one, so that those that take their time take it together.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import pytest

from .cases import CASES, Case
from .pairs import Peer
from .peers import App, ClientError, wait_until


@dataclass
class Sent:
    """A case under way."""

    app: App
    task_id: str
    at: float  # UTC


class Table:
    """Sends the cases of the selected tests to one pair."""

    def __init__(self, peer: Peer, cases: list[Case]) -> None:
        self.apps: dict[str, App] = {}
        self.sent: dict[str, Sent | ClientError] = {}
        for case in cases:
            try:
                self.sent[case.name] = self.send(peer, case)
            except ClientError as error:  # the case's own failure
                self.sent[case.name] = error

    def app_for(self, peer: Peer, case: Case) -> App:
        """The pair's own application, or one with the settings of the case."""
        key = json.dumps(case.conf, sort_keys=True)
        if not case.conf:
            return peer.app
        if key not in self.apps:
            self.apps[key] = peer.open(f"{peer.app.name} with {key}", **case.conf)
        return self.apps[key]

    def send(self, peer: Peer, case: Case) -> Sent:
        app = self.app_for(peer, case)
        record = str(peer.home / f"record-{case.name}")
        now = time.time()
        return Sent(app, app.send(case.task, case.args, case.kwargs.replace("{record}", record),
                                  case.options), now)


@pytest.fixture(name="table", scope="session")
def make_table(peer: Peer, request: pytest.FixtureRequest) -> Table:
    """Those cases that this run of pytest has selected."""
    names = {item.callspec.params["case"].name for item in request.session.items
             if "case" in getattr(getattr(item, "callspec", None), "params", {})}
    return Table(peer, [case for case in CASES
                        if case.name in names and case.only in (None, peer.generation)])


def shorten(value: Any) -> str:
    """For the message of a failed comparison of megabytes."""
    text = str(value)
    return text if len(text) < 300 else f"{text[:150]}...{text[-100:]} ({len(text)} characters)"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_call(peer: Peer, table: Table, case: Case) -> None:
    if case.only not in (None, peer.generation):
        pytest.skip(f"only the {case.only} release can do that")
    sent = table.sent[case.name]
    if isinstance(sent, ClientError):
        raise sent
    outcome = sent.app.wait(sent.task_id)
    if case.raised is None:
        assert outcome["raised"] is None, f"{outcome['raised']}\n{outcome['traceback']}"
    else:
        assert re.match(case.raised, outcome["raised"] or ""), outcome
        assert case.module in (None, outcome["module"]), outcome
    expected = case.value_for(peer.generation)
    is_same = expected is None or outcome["value"] == expected
    assert is_same, f"{shorten(outcome['value'])} instead of {shorten(expected)}"
    assert outcome["state"] == case.state
    assert outcome["ready"] and outcome["successful"] is (case.state == "SUCCESS")
    assert case.states <= set(outcome["states"]), outcome["states"]
    if case.traceback:
        assert re.search(case.traceback, outcome["traceback"] or ""), outcome["traceback"]
    assert outcome["done_at"] - sent.at >= case.at_least_s - 0.002
    assert sent.at - 1 < outcome["done_at"] < time.time() + 1


def test_everything_was_settled(peer: Peer) -> None:
    """After the table (pytest keeps the order of a file): nothing waits, nothing is held."""
    wait_until(lambda: peer.n_waiting() + peer.n_waiting("other") + peer.n_held() == 0,
               "every message settled")
