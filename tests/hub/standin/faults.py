"""Which request fails and how: probabilities drawn from a seeded generator, and scripted answers.

A draw depends on the seed and the number of the request only, so a run with one connection is
repeated exactly by the same seed. The kinds are the ways in which the real services and the
networks before them have been seen to fail:

    cut        the connection is closed in the middle of the body
    truncate   a complete, well-formed HTTP answer whose body (JSON or file) ends too early
    drip       the body arrives in small pieces, over a bounded time
    html       status 200 with a captcha page in HTML instead of the answer
    hang       the request is read, nothing is answered, the connection is closed after a while
    reset      the request is read, nothing is answered, the connection is reset at once
    400 … 599  that status with the service's error body; 429 and 503 carry Retry-After
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field, replace
from typing import Any

from standin.wire import FileSlice, Request, Response, dump

DELIVERIES = ("cut", "drip", "hang", "reset")
KINDS = ("cut", "truncate", "drip", "html", "hang", "reset")

CAPTCHA_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Just a moment</title></head>\n"
    "<body><h1>Are you a robot?</h1><form id=\"captcha\"><input name=\"answer\"></form>\n"
    "<script>setTimeout(function () { location.reload(); }, 5000);</script></body></html>\n"
)


def is_kind(name: str) -> bool:
    """Whether a fault of this name exists."""
    return name in KINDS or (name.isdecimal() and 400 <= int(name) <= 599)


def parse_spec(text: str) -> dict[str, float]:
    """`cut=0.02,503=0.01` as a table of probabilities; ValueError names what is wrong."""
    table: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals or not is_kind(name):
            raise ValueError(f"fault '{item}': expected NAME=PROBABILITY, NAME one of "
                             f"{', '.join(KINDS)} or a status 400-599")
        try:
            probability = float(value)
        except ValueError:
            raise ValueError(f"fault '{item}': '{value}' is not a number") from None
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"fault '{item}': a probability lies between 0 and 1")
        table[name] = probability
    if sum(table.values()) > 1.0:
        raise ValueError(f"faults '{text}': the probabilities add up to more than 1")
    return table


class FaultPlan:
    """The table in force. Thread-safe."""

    def __init__(self, table: dict[str, float], seed: int) -> None:
        self._lock = threading.Lock()
        self._initial = (dict(table), seed)
        self._table = dict(table)
        self._seed = seed
        self._drawn = 0

    def change(self, table: dict[str, float], seed: int | None) -> None:
        """Replace the table; a new seed also restarts the sequence."""
        with self._lock:
            self._table = dict(table)
            if seed is not None:
                self._seed = seed
                self._drawn = 0

    def reset(self) -> None:
        """Back to the table and seed of the command line, at the start of the sequence."""
        with self._lock:
            self._table, self._seed = dict(self._initial[0]), self._initial[1]
            self._drawn = 0

    def table(self) -> dict[str, float]:
        """A copy of the table in force."""
        with self._lock:
            return dict(self._table)

    def draw(self) -> str | None:
        """The fault of the next request, or None."""
        with self._lock:
            number = self._drawn
            self._drawn += 1
            table, seed = self._table, self._seed
        return pick(table, seed, number) if table else None


def pick(table: dict[str, float], seed: int, number: int) -> str | None:
    """The fault of request `number`: a hash of (seed, number) as a point in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=8).digest()
    point = int.from_bytes(digest, "big") / 2.0**64
    for name, probability in table.items():
        if point < probability:
            return name
        point -= probability
    return None


def spoil(response: Response, fault: str, origin: str) -> Response:
    """The answer a fault makes of the true one; deliveries leave it as it is."""
    if fault == "truncate":
        return replace(response, body=shorten(response.body))
    if fault == "html":
        page = CAPTCHA_PAGE.encode()
        return replace(response, status=200, body=page,
                       headers=with_type(response.headers, "text/html; charset=utf-8"))
    if not fault.isdecimal():
        return response
    status = int(fault)
    headers = with_type(response.headers, "application/json; charset=utf-8")
    if status in (429, 503):
        headers.append(("Retry-After", "1"))
    return replace(response, status=status, headers=headers, body=error_body(status, origin))


def with_type(headers: list[tuple[str, str]], content_type: str) -> list[tuple[str, str]]:
    """Headers that described the old body are dropped, the rest (limits, ids) stay."""
    dropped = ("content-type", "link", "location", "etag", "content-range", "content-encoding",
               "x-goog-hash", "accept-ranges")
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [("Content-Type", content_type), *kept]


def error_body(status: int, origin: str) -> bytes:
    """An error in the shape that the origin uses."""
    if origin == "kaggle":
        name = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(status, "INTERNAL")
        return dump({"error": {"code": status, "message": "the service failed on purpose",
                               "status": name}})
    return dump({"error": "the service failed on purpose"})


def shorten(body: bytes | FileSlice) -> bytes | FileSlice:
    """The first three fifths of a body."""
    if isinstance(body, FileSlice):
        return replace(body, length=body.length * 3 // 5)
    return body[: len(body) * 3 // 5]


@dataclass
class Scripted:
    """One scripted rule: what happens to the next `count` requests below `prefix`."""

    prefix: str
    count: int
    method: str = ""
    origin: str = "api"
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | None = None
    fault: str | None = None
    delay_s: float = 0.0

    def apply(self, response: Response, origin: str) -> Response:
        """Status, headers and body in place of the true ones, where the rule names them."""
        if self.status is not None or self.body is not None:
            status = response.status if self.status is None else self.status
            content_type = dict(self.headers).get("Content-Type",
                                                  "application/json; charset=utf-8")
            body = error_body(status, origin) if self.body is None else self.body
            response = replace(response, status=status, body=body,
                               headers=with_type(response.headers, content_type))
        extra = [(name, value) for name, value in self.headers if name != "Content-Type"]
        names = {name.lower() for name, _ in extra}
        kept = [(name, value) for name, value in response.headers if name.lower() not in names]
        return replace(response, headers=kept + extra)


class Script:
    """Rules waiting for their requests, first come first served. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Scripted] = []

    def add(self, rule: Scripted) -> None:
        """Append a rule."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Forget every rule."""
        with self._lock:
            self._rules.clear()

    def pending(self) -> int:
        """How many answers are still scripted."""
        with self._lock:
            return sum(rule.count for rule in self._rules)

    def take(self, request: Request, origin: str) -> Scripted | None:
        """The first rule that matches; it is used up by one."""
        with self._lock:
            for rule in self._rules:
                if (rule.origin == origin and request.path.startswith(rule.prefix)
                        and rule.method in ("", request.method)):
                    rule.count -= 1
                    if rule.count == 0:
                        self._rules.remove(rule)
                    return rule
        return None


def parse_rule(value: Any) -> Scripted:
    """A rule from the JSON of `POST /_hub/next`; ValueError names the field."""
    if not isinstance(value, dict) or not isinstance(value.get("prefix"), str):
        raise ValueError("prefix: expected the start of a path, such as '/api/datasets'")
    known = {"prefix", "count", "method", "origin", "status", "headers", "body", "fault",
             "delay_s"}
    if unknown := sorted(set(value) - known):
        raise ValueError(f"{unknown[0]}: unknown; known are {', '.join(sorted(known))}")
    fault = value.get("fault")
    if fault is not None and not is_kind(str(fault)):
        raise ValueError(f"fault: '{fault}' is unknown; known are {', '.join(KINDS)}")
    body = value.get("body")
    if body is not None:
        body = body.encode() if isinstance(body, str) else dump(body)
    return Scripted(
        prefix=value["prefix"], count=max(1, int(value.get("count", 1))),
        method=str(value.get("method", "")), origin=str(value.get("origin", "api")),
        status=None if value.get("status") is None else int(value["status"]),
        headers=[(str(k), str(v)) for k, v in dict(value.get("headers", {})).items()],
        body=body, fault=None if fault is None else str(fault),
        delay_s=min(30.0, float(value.get("delay_s", 0.0))))
