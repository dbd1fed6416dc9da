"""Every command of remote control: Trawl's worker answers as a Python worker beside it does.

Both are busy with all their children the whole time: one task runs on each, one is reserved, one
scheduled, one revoked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .control_rows import CONF_ALWAYS, ROWS, SHELL, Row
from .pairs import PYTHONS, Peer, need, open_peer
from .peers import Client, Worker, wait_until
from .reply_shape import differences, kind_of
from .servers import Redis

KINDS = ("python", "trawl")
ANSWER_S = 1.0  # promised are 0.2 s; what is measured is printed


@dataclass
class Both:
    """A worker of each kind, and the tasks that keep them busy."""

    peer: Peer
    nodes: dict[str, str]
    tasks: dict[str, dict[str, str]]  # by kind: active, reserved, scheduled

    def ask(self, row: Row, kind: str) -> Any:
        """One worker's answer."""
        words = {key: fill(value, self.tasks[kind]) for key, value in row.arguments.items()}
        return self.ask_node(self.nodes[kind], row.method, words)

    def ask_node(self, node: str, method: str, words: dict[str, Any]) -> Any:
        """Asked again where the client has missed the reply, which Python's clients do at times."""
        for _ in range(3):
            replies = self.peer.app.control("broadcast", method, arguments=words, reply=True,
                                            timeout=3, destination=[node])
            if replies:
                assert [list(reply) for reply in replies] == [[node]], replies
                return replies[0][node]
        raise AssertionError(f"{node} did not answer {method}")


def read_documents(output: str) -> dict[str, Any]:
    """What `celery ... -j` prints: one document for all workers, or one for each."""
    found: dict[str, Any] = {}
    while output := output[output.find("{"):] if "{" in output else "":
        document, length = json.JSONDecoder().raw_decode(output)
        found.update(document)
        output = output[length:]
    return found


def is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and "error" in answer


def fill(value: Any, tasks: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [fill(one, tasks) for one in value]
    if isinstance(value, str):
        return tasks.get(value.strip("{}"), value) if value.startswith("{") else value
    return value


def keep_busy(peer: Peer, kind: str) -> dict[str, str]:
    """One task of each state on the worker's only child."""
    tasks = {"active": peer.app.send("probe.sleep", "(120,)", options=repr({"queue": kind}))}
    wait_until(lambda: peer.app.look(tasks["active"])["state"] in ("STARTED", "PROGRESS"), "started")
    for state, options in (("reserved", {}), ("scheduled", {"countdown": 3600, "priority": 6})):
        tasks[state] = peer.app.send("probe.add", "(1, 2)", options=repr({"queue": kind, **options}))
    return tasks


@pytest.fixture(name="both", scope="module", params=list(PYTHONS))
def make_both(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
              clients: Callable[[str], Client],
              tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    generation = request.param
    need("trawl", generation)
    home = tmp_path_factory.mktemp(f"control-{generation}")
    peer = open_peer(generation, "python", redis, database(), clients(generation), home)
    workers = [Worker(kind, PYTHONS[generation], home / kind, peer.broker, peer.broker, queues=kind,
                      n_children=1, node=f"{kind}-{generation}") for kind in KINDS]
    tasks = {kind: keep_busy(peer, kind) for kind in KINDS}
    found = wait_until(lambda: len(f := peer.app.inspect("active", timeout=1) or {}) == 2 and f,
                       "both answer")
    nodes = {kind: node for node, active in found.items() for kind in KINDS
             if active[0]["id"] == tasks[kind]["active"]}
    both = Both(peer, nodes, tasks)
    for kind in KINDS:
        for state in ("reserved", "scheduled"):
            wait_until(lambda kind=kind, state=state: both.ask_node(nodes[kind], state, {}), state)
    peer.app.control("revoke", "revoked-before", reply=True, timeout=0.5)
    yield both
    peer.app.control("revoke", [one for kind in KINDS for one in tasks[kind].values()],
                     terminate=True, signal="SIGKILL")
    for worker in workers:
        assert worker.process.poll() is None, "a worker has ended by itself"
        worker.stop()


def test_answers_while_busy(both: Both) -> None:
    """All children of both have been busy since the beginning."""
    both.ask_node(both.nodes["python"], "ping", {})  # a client's first question takes half a second
    spans: list[float] = []
    for method in ("ping", "active", "reserved", "scheduled", "stats", "registered", "query_task"):
        words: dict[str, Any] = {"ids": ["x"]} if method == "query_task" else {}
        for _ in range(5):
            start = time.monotonic()
            both.ask_node(both.nodes["trawl"], method, words)
            spans.append(time.monotonic() - start)
    spans.sort()
    print(f"{both.peer.generation}: {len(spans)} answers while all children are busy: median "
          f"{spans[len(spans) // 2] * 1000:.1f} ms, slowest {spans[-1] * 1000:.1f} ms")
    assert spans[-1] < ANSWER_S


@pytest.mark.parametrize("row", ROWS, ids=[row.name() for row in ROWS])
def test_answer(both: Both, row: Row) -> None:
    if row.only not in (None, both.peer.generation):
        pytest.skip(f"only the {row.only} release can ask that")
    theirs, ours = both.ask(row, "python"), both.ask(row, "trawl")
    if row.how == "either":
        kinds = {kind_of(answer) for answer in (ours, theirs) if not is_error(answer)}
        assert len(kinds - {"null"}) < 2, f"{ours!r} instead of {theirs!r}"
        return
    if row.how == "null":
        assert ours is None
        return
    wrong = [] if row.how == "same" else differences(theirs, ours, row.tables)
    assert not wrong, "\n".join(wrong)
    if row.how == "same":
        assert ours == theirs
    if row.ok is not None:
        assert ours == {"ok": row.ok}


def test_conf(both: Both) -> None:
    """The settings of a worker; never a password."""
    for method in ("conf", "dump_conf"):
        theirs, ours = (both.ask_node(both.nodes[kind], method, {"with_defaults": False})
                        for kind in KINDS)
        assert CONF_ALWAYS <= set(ours), CONF_ALWAYS - set(ours)
        known = {key for key in CONF_ALWAYS & set(theirs)  # a list may be empty, a value unset
                 if not isinstance(theirs[key], list) and None not in (theirs[key], ours[key])}
        wrong = differences({key: theirs[key] for key in known}, ours)
        assert not wrong, "\n".join(wrong)
    assert len(both.ask_node(both.nodes["trawl"], "conf", {"with_defaults": True})) >= len(ours)


def test_hello(both: Both) -> None:
    """What starts is told what was revoked.  Times are floats, or a Python worker drops all; to itself
    a worker says nothing.  Up to 5.6 the ids come as a table with times, from 5.7 on as a list."""
    node = both.nodes["trawl"]
    for theirs in ({"theirs-1": 1.5}, {"theirs-2": [2.5, "theirs-2"]}, ["theirs-3"]):
        answer = both.ask_node(node, "hello", {"from_node": "somebody@else", "revoked": theirs})
        assert set(answer) >= {"revoked", "clock"} and isinstance(answer["clock"], int)
    assert {"revoked-before", "theirs-1", "theirs-2", "theirs-3"} <= set(answer["revoked"])
    if isinstance(answer["revoked"], dict):
        for stamp in answer["revoked"].values():
            assert isinstance(stamp if isinstance(stamp, float) else stamp[0], float), stamp
    for kind in KINDS:
        assert both.ask_node(both.nodes[kind], "hello",
                             {"from_node": both.nodes[kind], "revoked": {}}) is None


@pytest.mark.parametrize("words", SHELL, ids=["-".join(words) for words in SHELL])
def test_command_line(both: Both, words: tuple[str, ...]) -> None:
    """`celery inspect` and `celery control`, in the client's own process."""
    group, method, *rest = words
    nodes = sorted(both.nodes.values())
    done = both.peer.app.do("shell", words=[group, method, *rest, "-j", "-t", "3", "-d",
                                            ",".join(nodes)])
    assert done["status"] == 0, done["output"]
    replies = read_documents(done["output"])
    assert sorted(replies) == nodes
    failed = {node: replies[node] for node in nodes if is_error(replies[node])}
    assert not failed or method == "pool_shrink", failed  # of busy processes


def test_shutdown(both: Both) -> None:
    """Warm, of a worker of its own: no reply, and it ends."""
    home = both.peer.home / "leaving"
    leaving = Worker("trawl", "", home, both.peer.broker, both.peer.broker, queues="nobody",
                     node="leaving")
    known = set(both.nodes.values())
    node = wait_until(lambda: set(both.peer.app.inspect("ping", timeout=1) or {}) - known, "answers")
    both.peer.app.control("shutdown", destination=list(node))
    try:
        assert leaving.process.wait(timeout=15) == 0
    finally:
        leaving.stop()
