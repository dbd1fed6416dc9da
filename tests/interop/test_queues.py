"""Order and place: priorities, queues, addresses with password, database, socket and prefix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .pairs import PYTHONS, TRAWL_PAIR_IDS, TRAWL_PAIRS, Peer, need, open_peer
from .peers import App, Client, Worker, running, wait_until
from .servers import Redis


def order_of(record: Path) -> list[str]:
    """The tokens of the tasks, in the order in which they began."""
    lines = record.read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.startswith("start ")]


def test_priorities(quiet: Peer, tmp_path: Path) -> None:
    """0 is served first; within a step first in, first out."""
    record = tmp_path / "record"
    for i, priority in enumerate((9, 3, 0, 6, 9, 0, 4, 3)):
        quiet.app.send("probe.record", kwargs=repr({"path": str(record), "token": f"{priority}-{i}"}),
                       options=repr({"priority": priority}))
    with running(quiet.start(n_children=1)):
        wait_until(lambda: record.exists() and len(order_of(record)) == 8, "all began")
    assert order_of(record) == ["0-2", "0-5", "3-1", "4-6", "3-7", "6-3", "9-0", "9-4"]


def test_a_worker_takes_its_own_queues_only(own: Peer) -> None:
    mine = own.app.send("probe.noop", options="{'queue': 'mine'}")
    own.app.send("probe.noop", options="{'queue': 'theirs'}")
    with running(own.start(queues="mine")):
        assert own.app.wait(mine)["state"] == "SUCCESS"
    assert own.n_waiting("theirs") == 1 and own.n_waiting("mine") == 0


def test_unsettled_goes_back(quiet: Peer) -> None:
    """What a stopped worker had fetched and not begun is run by the next one."""
    with running(quiet.start(n_children=1)) as worker:
        first = quiet.app.send("probe.sleep", kwargs="{'ms': 500}")
        ids = [quiet.app.send("probe.add", f"({i}, 0)") for i in range(5)]
        late = quiet.app.send("probe.add", "(7, 0)", options="{'countdown': 1.5}")
        wait_until(lambda: quiet.app.look(first)["state"] != "PENDING", "started")
        assert worker.stop() == 0
    assert quiet.n_held() == 0
    with running(quiet.start(n_children=1)):
        values = [quiet.app.wait(one)["value"] for one in [first, *ids, late]]
    assert values == ["{'slept_ms': 500}", *[f"{{'sum': {i}}}" for i in range(5)], "{'sum': 7}"]


@pytest.fixture(name="locked", scope="module")
def make_locked(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A server with a password that has to be escaped in a URL."""
    server = Redis(tmp_path_factory.mktemp("locked"), password="s3cret")
    yield server
    server.stop()


@pytest.mark.parametrize(("generation", "kind"), TRAWL_PAIRS, ids=TRAWL_PAIR_IDS)
def test_password(generation: str, kind: str, locked: Redis, database: Callable[[], int],
                  clients: Callable[[str], Client], tmp_path: Path) -> None:
    need(kind, generation)
    peer = open_peer(generation, kind, locked, database(), clients(generation), tmp_path)
    with running(peer.start()) as worker:
        assert peer.app.call("probe.add", "(1, 2)")["value"] == "{'sum': 3}"
    assert "s3cret" not in worker.log.read_text(encoding="utf-8")


def test_socket(own: Peer) -> None:
    """Worker and client over the Unix socket, in a database that is not the first."""
    url = own.redis.socket_url(own.database)
    own.client.do("open", app="socket", broker=url, backend=url, conf={})
    app = App(own.client, "socket")
    with running(own.start(broker=url, backend=url)):
        task_id = app.send("probe.add", "(1, 2)")
        assert app.wait(task_id)["value"] == "{'sum': 3}"
        assert own.app.look(task_id)["state"] == "SUCCESS"  # the same database over TCP
        assert app.inspect("ping", timeout=1) is not None


def prefixed(peer: Peer, broker: str, results: str) -> tuple[App, Worker]:
    """Client and worker with these prefixes."""
    conf = {"broker_transport_options": {"global_keyprefix": broker},
            "result_backend_transport_options": {"global_keyprefix": results}}
    urls = {}
    if peer.kind == "trawl":
        urls = {"broker": f"{peer.broker}?global_keyprefix={broker}",
                "backend": f"{peer.broker}?global_keyprefix={results}"}
    return peer.open("prefixed", **conf), peer.start(conf=conf, **urls)


def test_prefixes(quiet: Peer) -> None:
    """Every key of the broker and of the results, each with its own prefix; control, too."""
    results = "" if quiet.generation == "debian" else "res_"  # 5.2 knows none for results
    app, worker = prefixed(quiet, "pfx_", results)
    with running(worker):
        stranger = quiet.app.send("probe.noop")
        task_id = app.send("probe.add", "(1, 2)")
        assert app.wait(task_id)["value"] == "{'sum': 3}"
        assert app.inspect("ping", timeout=1) is not None
        assert quiet.app.inspect("ping", timeout=0.5) is None
        later = app.send("probe.sleep", kwargs="{'ms': 400}")
        wait_until(lambda: quiet.redis.ask_int("HLEN", "pfx_unacked", database=quiet.database) == 1,
                   "held under the prefix")
        assert app.wait(later)["state"] == "SUCCESS"
    assert quiet.n_waiting() == 1 and quiet.app.look(stranger)["state"] == "PENDING"
    key = f"{results}celery-task-meta-{task_id}"
    assert quiet.redis.ask_int("EXISTS", key, database=quiet.database) == 1


def test_databases_are_apart(own: Peer, database: Callable[[], int]) -> None:
    """Control goes through channels that all databases share; their names have the number."""
    url = own.redis.url(database())
    own.client.do("open", app="elsewhere", broker=url, backend=url, conf={})
    elsewhere = App(own.client, "elsewhere")
    with running(own.start()):
        assert own.app.inspect("ping", timeout=1) is not None
        assert elsewhere.inspect("ping", timeout=0.5) is None


def test_pythons_exist() -> None:
    """Both releases are there after `make check` has set up; what is missing is said above."""
    for generation in PYTHONS:
        need("python", generation)
