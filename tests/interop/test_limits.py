"""Limits that a Python client asks for in a message's headers."""

from __future__ import annotations

from .pairs import Peer
from .peers import running


def test_unique_by_header(own: Peer) -> None:
    """The second one of two is not run, and whoever waits for it hears of the first."""
    options = repr({"headers": {"trawl_unique": "running", "trawl_unique_key": "nightly"}})
    first = own.app.send("probe.sleep", kwargs="{'ms': 300}", options=options)
    second = own.app.send("probe.sleep", kwargs="{'ms': 300}", options=options)
    with running(own.start()):
        assert own.app.wait(first)["state"] == "SUCCESS"
        done = own.app.wait(second)
    assert done["state"] == "REVOKED" and f"duplicate of {first}" in done["info"]


def test_key_by_header_is_carried(quiet: Peer) -> None:
    """A header for limits disturbs nobody who has no rules."""
    task = quiet.app.send("probe.add", "(1, 2)", options=repr({"headers": {"trawl_key": "a"}}))
    with running(quiet.start()):
        assert quiet.app.wait(task)["value"] == "{'sum': 3}"
