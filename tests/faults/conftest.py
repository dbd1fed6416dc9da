"""Fixtures of the fault tests.

`place` comes in two forms, with the embedded broker and with a redis-server of its own; `sqlite` and
`redis` are one of them for faults that the other cannot have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import IS_FULL, PROBE, Ledger, Place
from redis_server import REDIS_SERVER, RedisServer


def make_place(home: Path, kind: str, *redis_options: str) -> Place:
    """With the settings that its broker needs; skips where the broker cannot be had."""
    if not PROBE.exists():
        pytest.skip(f"{PROBE} is not built")
    if kind == "sqlite":
        return Place(home)
    if REDIS_SERVER is None:
        pytest.skip("no redis-server (apt-get install redis-server)")
    return Place(home, RedisServer(home / "redis", *redis_options))


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place with each broker."""
    one = make_place(tmp_path, request.param)
    yield one
    one.clean_up()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Place]:
    """A place with the embedded broker."""
    one = make_place(tmp_path, "sqlite")
    yield one
    one.clean_up()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Place]:
    """A place with a Redis that keeps nothing."""
    one = make_place(tmp_path, "redis")
    yield one
    one.clean_up()


@pytest.fixture
def durable_redis(tmp_path: Path) -> Iterator[Place]:
    """A place with a Redis that syncs before it answers."""
    one = make_place(tmp_path, "redis", "--save", "", "--appendonly", "yes",
                     "--appendfsync", "always")
    yield one
    one.clean_up()


@pytest.fixture
def ledger(place: Place) -> Ledger:
    """Of `place`."""
    return Ledger(place)


def pytest_report_header() -> str:
    """Which form runs."""
    return "faults: full scale" if IS_FULL else "faults: short form (TRAWL_FAULTS=full for all)"
