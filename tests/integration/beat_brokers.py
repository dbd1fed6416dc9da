"""The brokers that beat is tested on, and what they remember of it, read past our own code."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Lead(NamedTuple):
    """The record of leadership."""

    term: int
    owner: str
    n_signs: int

    @property
    def pid(self) -> int:
        """Of the leader; 0 when nobody leads."""
        return int(self.owner.split("/")[0].rsplit(":", 1)[1]) if self.owner else 0


class SqliteBroker:
    """A file."""

    def __init__(self, home: Path) -> None:
        self.path = home / "data" / "broker.db"
        self.url = f"sqlite:///{self.path}"

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows; none where there is no table yet."""
        if not self.path.exists():
            return []
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def lead(self) -> Lead:
        """Who leads."""
        rows = self.query("SELECT term, owner, n_signs FROM beat_leader")
        return Lead(*rows[0]) if rows else Lead(0, "", 0)

    def slots(self, name: str) -> dict[str, str]:
        """Time of each slot that was sent, with the id of its task, in the order of sending."""
        rows = self.query("SELECT slot_key, task_id FROM beat_slots WHERE name = ? ORDER BY run",
                          name)
        return {key.rsplit("@", 1)[1]: task_id for key, task_id in rows}

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """The envelopes that wait in a queue."""
        return [json.loads(body) for (body,) in self.query(
            "SELECT body FROM messages JOIN ready USING (message_id) JOIN queues USING (queue_id)"
            " WHERE queues.name = ?", queue)]

    @contextmanager
    def away(self) -> Iterator[None]:
        """Locked by somebody else."""
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def close(self) -> None:
        """Nothing runs."""


class RedisBroker:
    """A redis-server of the test's own."""

    prefix = "site1:"

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/1?global_keyprefix={self.prefix}"
        self.server = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(home)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while self.ask("PING") != "PONG":
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.02)

    def ask(self, *words: str) -> Any:
        """One command's reply, as JSON has it."""
        done = subprocess.run(["redis-cli", "-p", str(self.port), "-n", "1", "--json", *words],
                              capture_output=True, text=True, timeout=10, check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else None

    def lead(self) -> Lead:
        """Who leads."""
        record = self.ask("HGETALL", f"{self.prefix}trawl.beat.leader") or {}
        return Lead(int(record.get("term", 0)), record.get("owner", ""),
                    int(record.get("signs", 0)))

    def slots(self, name: str) -> dict[str, str]:
        """As above."""
        own = f"{self.prefix}trawl.beat"
        ids = self.ask("HGETALL", f"{own}.slots.{name}") or {}
        order = self.ask("LRANGE", f"{own}.order.{name}", "0", "-1") or []
        return {key.rsplit("@", 1)[1]: ids[key] for key in order if key in ids}

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """As above; of the step of priority 0."""
        bodies = self.ask("LRANGE", f"{self.prefix}{queue}", "0", "-1") or []
        return [json.loads(body) for body in bodies]

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stopped: it takes connections and never answers."""
        self.server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server."""
        self.server.kill()
        self.server.wait(timeout=10)


Broker = SqliteBroker | RedisBroker
KINDS = [
    "sqlite",
    pytest.param("redis", marks=pytest.mark.skipif(
        not shutil.which("redis-server"), reason="redis-server is not installed")),
]


def make_broker(kind: str, home: Path) -> Broker:
    """An empty one."""
    return SqliteBroker(home) if kind == "sqlite" else RedisBroker(home)
