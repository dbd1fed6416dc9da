"""Fixtures shared by the integration tests.

`trawl` is the program with an empty data directory (see trawl_cli.py).

`hub` is a factory: `hub("--quota", "5")` starts the local stand-in for the Hugging Face Hub and
Kaggle with those options, on free ports, and returns a `Hub`; all are stopped when the test ends.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from control_nodes import CELERY_PYTHON, DEBIAN_PYTHON, Nodes, has_celery, make_nodes
from trawl_cli import BINARY, Trawl
from workers import Workers

TESTS = Path(__file__).resolve().parents[1]
HUB_SCRIPT = TESTS / "hub" / "hub.py"
HUB_FIXTURES = TESTS / "fixtures" / "hub"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Header names are case-insensitive."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def fetch(url: str, method: str = "GET", headers: dict[str, str] | None = None,
          body: bytes | None = None, timeout: float = 20.0) -> Answer:
    """One request on a connection of its own; redirects are not followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def small_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file of the small catalogue."""
    text = (HUB_FIXTURES / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


class Hub:
    """A running stand-in."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HUB_SCRIPT), "--quiet", "--until-eof", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the hub did not start: exit status {self.process.wait()}")
        self.announcement: dict[str, Any] = json.loads(line)
        self.endpoint: str = self.announcement["hf_endpoint"]
        self.storage: str = self.announcement["storage"]

    def get(self, target: str, **options: Any) -> Answer:
        """A request to the API origin."""
        return fetch(self.endpoint + target, **options)

    def control(self, name: str, body: Any = None) -> Any:
        """A call to `/_hub/{name}`: GET without a body, else POST. Fails on any error."""
        if body is None:
            answer = self.get(f"/_hub/{name}")
        else:
            answer = self.get(f"/_hub/{name}", method="POST", body=json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return answer.json()

    def stats(self) -> Any:
        """The counters."""
        return self.control("stats")

    def stop(self) -> int:
        """End it with SIGTERM; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(timeout=10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return status


@pytest.fixture
def hub() -> Iterator[Callable[..., Hub]]:
    """Start stand-ins; see the head of this file."""
    started: list[Hub] = []

    def start(*options: str) -> Hub:
        started.append(Hub(*options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def trawl(tmp_path: Path) -> Trawl:
    """The program, with nothing in its data directory yet."""
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not built")
    return Trawl(tmp_path)


@pytest.fixture
def workers(trawl: Trawl) -> Iterator[Workers]:
    """Stopped when the test ends."""
    started = Workers(trawl)
    yield started
    started.finish()


@pytest.fixture
def silence() -> Iterator[dict[str, str]]:
    """Settings with a Hub that takes connections and never answers: a task that hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        origin = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield {"HF_ENDPOINT": origin, "TRAWL_TRUSTED_ORIGINS": origin}


@pytest.fixture(name="nodes", params=["sqlite", "redis"])
def any_nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nodes]:
    """Workers of remote control's tests, on each broker."""
    nodes = make_nodes(tmp_path, request.param)
    yield nodes
    nodes.clean_up()


@pytest.fixture(name="on_redis")
def redis_nodes(tmp_path: Path) -> Iterator[Nodes]:
    """The same, on Redis."""
    nodes = make_nodes(tmp_path, "redis")
    yield nodes
    nodes.clean_up()


@pytest.fixture(name="beside_celery", params=[DEBIAN_PYTHON, CELERY_PYTHON], ids=["5.2", "latest"])
def celery_nodes(request: pytest.FixtureRequest, on_redis: Nodes) -> Nodes:
    """On Redis, beside each generation of Celery."""
    if not has_celery(request.param):
        pytest.skip(f"no Celery at {request.param} (TRAWL_CELERY_PYTHON names the latest one's)")
    on_redis.celery_python = request.param
    return on_redis
