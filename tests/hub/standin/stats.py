"""What happened, for the tests to ask afterwards: counters and the last requests."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Any

RECENT_LIMIT = 20_000


class Stats:
    """Counters of one stand-in. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._clear()

    def _clear(self) -> None:
        self._by_kind: dict[str, Counter[str]] = {}
        self._max_active: Counter[str] = Counter(self._active)
        self._max_open: Counter[str] = Counter(self._open)
        self._connections: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._marks: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT_LIMIT)
        self._numbered = 0

    def reset(self) -> None:
        """Forget everything but what is open right now."""
        with self._lock:
            self._clear()

    def connected(self, origin: str) -> None:
        """A connection was accepted."""
        with self._lock:
            self._open[origin] += 1
            self._connections[origin] += 1
            self._max_open[origin] = max(self._max_open[origin], self._open[origin])

    def disconnected(self, origin: str) -> None:
        """A connection is gone."""
        with self._lock:
            self._open[origin] -= 1

    def begin(self, origin: str) -> None:
        """A request has been read."""
        with self._lock:
            self._active[origin] += 1
            self._max_active[origin] = max(self._max_active[origin], self._active[origin])

    def end(self, origin: str) -> None:
        """Its answer has been sent, or given up."""
        with self._lock:
            self._active[origin] -= 1

    def mark(self, name: str) -> None:
        """Count something that has a name of its own."""
        with self._lock:
            self._marks[name] += 1

    def answered(self, origin: str, kind: str, status: int, length: int, fault: str | None,
                 entry: dict[str, Any]) -> None:
        """Count one answer as it is about to be sent."""
        with self._lock:
            self._by_kind.setdefault(kind, Counter())[str(status)] += 1
            self._bytes[origin] += length
            if fault:
                self._faults[fault] += 1
            self._numbered += 1
            self._recent.append({"n": self._numbered, "at": round(time.monotonic(), 6),
                                 "origin": origin, "kind": kind, "status": status,
                                 "fault": fault, **entry})

    def report(self) -> dict[str, Any]:
        """The body of `GET /_hub/stats`."""
        with self._lock:
            kinds = {kind: dict(counts) for kind, counts in sorted(self._by_kind.items())}
            return {
                "requests": sum(sum(counts.values()) for counts in kinds.values()),
                "by_kind": kinds,
                "by_status": dict(sum(self._by_kind.values(), Counter())),
                "max_concurrency": dict(self._max_active),
                "max_connections": dict(self._max_open),
                "connections": dict(self._connections),
                "body_bytes": dict(self._bytes),
                "faults": dict(self._faults),
                "authorization_reached_storage": self._marks["authorization_reached_storage"],
                "requests_while_exhausted": self._marks["requests_while_exhausted"],
                "resolve_hits": self._marks["resolve_hits"],
                "head_hits": self._marks["head_hits"],
            }

    def recent(self, since: int) -> list[dict[str, Any]]:
        """The last requests numbered above `since`, oldest first."""
        with self._lock:
            return [entry for entry in self._recent if entry["n"] > since]
