"""Canvas from Python's clients, run by Trawl's workers: results, failures, children, what is called back.

Every shape is sent by both generations of Celery; all are sent first and awaited together.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .pairs import PYTHONS, Peer, need, open_peer
from .peers import HERE, environment, running, wait_until

# Value of a chain's or chord's end, by name.  probe.value gives {"value": its argument} back, probe.add
# {"sum": x + y}, probe.fail a ValueError.
VALUES: dict[str, tuple[str, Any]] = {
    "chain": ("value(1) | value() | value()", {"value": {"value": {"value": 1}}}),
    "chain with its own arguments": (
        "add(1, 2) | value(immutable=True) | value()", {"value": {"value": None}}),
    "group": ("group(add(1, 1), add(2, 2))", [{"sum": 2}, {"sum": 4}]),
    "chord": ("chord([add(1, 1), add(2, 2), add(3, 3)], value())",
              {"value": [{"sum": 2}, {"sum": 4}, {"sum": 6}]}),
    "empty chord": ("chord([], value())", {"value": []}),
    "group in a chain": ("value(1) | group(value(), value()) | value()",
                         {"value": [{"value": {"value": 1}}, {"value": {"value": 1}}]}),
    "group at the end of a chain": ("value(1) | group(value(), add(2, 2, immutable=True))",
                                    [{"value": {"value": 1}}, {"sum": 4}]),
    "chord, then a chain": ("chord([add(1, 1), add(2, 2)], value()) | value() | value()",
                            {"value": {"value": {"value": [{"sum": 2}, {"sum": 4}]}}}),
    "chains in a group in a chord": (
        "chord(group(add(1, 1) | value(), add(2, 2)), value())",
        {"value": [{"value": {"sum": 2}}, {"sum": 4}]}),
    "chord in a chord": (
        "chord([chord([add(1, 1), add(2, 2)], value()), add(3, 3)], value())",
        {"value": [{"value": [{"sum": 2}, {"sum": 4}]}, {"sum": 6}]}),
    "chords in a row": (
        "group(add(1, 1), add(2, 2)) | group(value(), value()) | value()",
        {"value": [{"value": [{"sum": 2}, {"sum": 4}]}, {"value": [{"sum": 2}, {"sum": 4}]}]}),
    "groups in a group": ("chord(group(group(add(1, 1), add(2, 2)), add(3, 3)), value())", None),
    "chord of a chain": ("value(1) | chord([value(), value()], value() | value())",
                         {"value": {"value": [{"value": {"value": 1}}, {"value": {"value": 1}}]}}),
    "big numbers": ("value(123456789012345678901234567890) | value()",
                    {"value": {"value": 123456789012345678901234567890}}),
    "map": ("value(7) | builtin('map', task=add(0, 0), it=[1, 2, 3])",
            [{"sum": 1}, {"sum": 2}, {"sum": 3}]),
    "starmap": ("builtin('starmap', task=add(0, 0), it=[[1, 2], [3, 4]]) | value()",
                {"value": [{"sum": 3}, {"sum": 7}]}),
    "accumulate": ("chord([add(1, 1), add(2, 2)], builtin('accumulate', index=0).set_immutable(False)"
                   " or builtin('accumulate'))", None),
}
FAILURES: dict[str, tuple[str, str]] = {
    "chain that fails": (
        "chain(value(1), named('bad', fail(immutable=True)), named('later', value()))", "ValueError"),
    "chord that fails": (
        "chord([add(1, 1), fail(), add(2, 2)], named('body', value()))", "ValueError|ChordError"),
    "chord in a chain that fails": (
        "chain(value(1), group(value(), fail(immutable=True)), named('body', value()),"
        " named('later', value()))", "ValueError|ChordError"),
}
del VALUES["accumulate"]


@dataclass
class Answers:
    """What became of the shapes, for one generation of Celery."""

    peer: Peer
    by_name: dict[str, Any]


def ask(peer: Peer, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Send them, wait for all."""
    done = subprocess.run(
        [PYTHONS[peer.generation], str(HERE / "canvas_worker_client.py"), peer.broker],
        input=json.dumps(shapes), capture_output=True, text=True, timeout=120, check=False,
        env=environment(), cwd=HERE)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(done.stdout))


@pytest.fixture(name="answers", scope="module", params=list(PYTHONS))
def make_answers(request: pytest.FixtureRequest, redis: Any, database: Any, clients: Any,
                 tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two workers of two children."""
    need("trawl", request.param)
    home = tmp_path_factory.mktemp(f"canvas-{request.param}")
    peer = open_peer(request.param, "trawl", redis, database(), clients(request.param), home)
    record = home / "record"
    calls = {
        "callbacks": f"value(1).on_error(record('{record}', 'never')) "
                     f".set(link=[record('{record}', 'one', immutable=True),"
                     f" record('{record}', 'two', immutable=True)])",
        "errback": f"named('bad', fail().set(link_error="
                   f"[record('{record}', 'errback', immutable=True)]))",
        "chord's errback": f"chord([add(1, 1), fail(), fail()], value().on_error("
                           f"record('{record}', 'chord-errback', immutable=True)))",
    }
    shapes = [{"name": name, "canvas": row[0]} for name, row in {**VALUES, **FAILURES}.items()]
    shapes += [{"name": name, "canvas": text} for name, text in calls.items()]
    with running(peer.start(node="w1")), running(peer.start(node="w2")):
        yield Answers(peer, ask(peer, shapes))


@pytest.mark.parametrize("name", list(VALUES))
def test_value(answers: Answers, name: str) -> None:
    answer = answers.by_name[name]
    assert answer["raised"] is None, answer
    wanted = VALUES[name][1]
    if wanted is not None:
        assert answer["value"] == wanted


def test_nested_groups(answers: Answers) -> None:
    """The order of a nested group is that of the release."""
    value = answers.by_name["groups in a group"]["value"]["value"]
    assert sorted(json.dumps(part) for part in value) == ['{"sum": 2}', '{"sum": 4}', '{"sum": 6}']


@pytest.mark.parametrize("name", list(FAILURES))
def test_failure(answers: Answers, name: str) -> None:
    answer = answers.by_name[name]
    assert re.match(FAILURES[name][1], answer["raised"] or ""), answer
    for one, document in answer["documents"].items():
        assert document and document["status"] == "FAILURE", (one, document)


def test_failure_documents(answers: Answers) -> None:
    """Those later in the chain have the same exception; a chord's body says whose fault it is."""
    chain = answers.by_name["chain that fails"]["documents"]
    assert chain["later"]["result"] == chain["bad"]["result"]
    assert chain["later"]["result"]["exc_type"] == "ValueError"
    body = answers.by_name["chord that fails"]["documents"]["body"]
    assert body["result"]["exc_type"] == "ChordError"
    assert re.match(r"Dependency \S+ raised ValueError\(", body["result"]["exc_message"][0])
    later = answers.by_name["chord in a chain that fails"]["documents"]["later"]
    assert later["result"]["exc_type"] == "ChordError"


def lines(path: Path) -> list[str]:
    """The tokens of all starts."""
    if not path.exists():
        return []
    return [line.split()[1] for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith("start ")]


def test_callbacks(answers: Answers) -> None:
    """Each once, and only those whose time it was."""
    record = answers.peer.home / "record"
    wait_until(lambda: len(lines(record)) >= 4, "callbacks and errbacks have run")
    assert sorted(lines(record)) == ["chord-errback", "errback", "one", "two"]


def test_children(answers: Answers) -> None:
    """The last of a chain has a parent, and its parent has a child."""
    document = answers.by_name["chain"]["documents"][""]
    assert document["parent_id"] and document["children"] == []


def test_nothing_is_left(answers: Answers) -> None:
    """All messages are settled; what was counted is forgotten, but for chords that failed."""
    wait_until(lambda: answers.peer.n_held() == 0 and answers.peer.n_waiting() == 0, "settled")
