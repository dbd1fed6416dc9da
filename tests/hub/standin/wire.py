"""HTTP/1.1 as bytes: reads one request from a stream, formats one response head.

Follows RFC 9112 as far as API clients use it: request line, header fields, `Content-Length`
bodies, `Expect: 100-continue`. A chunked request body is refused with 411. Sizes are capped, so
that a broken client cannot take the machine with it.
"""

from __future__ import annotations

import email.utils
import json
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

LINE_LIMIT = 64 * 1024
HEADERS_LIMIT = 128
BODY_LIMIT = 16 * 1024 * 1024

JSON_TYPE = "application/json; charset=utf-8"


class BadRequest(Exception):
    """A request that cannot be parsed: answered with `status`, then the connection is closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class FileSlice:
    """A body that lives in a file: `length` bytes from `offset`. Streamed, never loaded whole."""

    path: Path
    offset: int
    length: int


@dataclass
class Request:
    """One request. `path` is as sent (percent-encoded); header names are lower case."""

    method: str
    target: str
    path: str
    query_text: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    query: list[tuple[str, str]] = field(default_factory=list)

    def segments(self) -> list[str]:
        """The path cut at `/` and then percent-decoded, so `%2F` stays inside one segment."""
        return [unquote(part) for part in self.path.strip("/").split("/")]

    def values(self, name: str) -> list[str]:
        """Every value of a query parameter, in order, given as `name=` or `name[]=`."""
        return [value for key, value in self.query if key == name or key == name + "[]"]

    def value(self, name: str, fallback: str = "") -> str:
        """The first value of a query parameter."""
        found = self.values(name)
        return found[0] if found else fallback


@dataclass
class Response:
    """One answer. `kind` names the route for the statistics; it is not sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | FileSlice
    kind: str = "other"
    close: bool = False

    def length(self) -> int:
        """Bytes of the body."""
        return self.body.length if isinstance(self.body, FileSlice) else len(self.body)


def dump(value: Any) -> bytes:
    """Compact UTF-8 JSON; a lone surrogate is written as an escape, as JavaScript writes it."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def json_response(status: int, value: Any, *headers: tuple[str, str]) -> Response:
    """A JSON answer; bytes are taken as JSON that is already formatted."""
    body = value if isinstance(value, bytes) else dump(value)
    return Response(status, [("Content-Type", JSON_TYPE), *headers], body)


def text_response(status: int, text: str, content_type: str = "text/plain; charset=utf-8",
                  *headers: tuple[str, str]) -> Response:
    """An answer that is not JSON."""
    return Response(status, [("Content-Type", content_type), *headers], text.encode("utf-8"))


def redirect(status: int, location: str, *headers: tuple[str, str]) -> Response:
    """An empty answer that points elsewhere."""
    return Response(status, [("Location", location), *headers], b"")


def read_line(stream: BufferedReader) -> bytes:
    """One line without its end; b"" at the end of the stream or for an empty line."""
    line = stream.readline(LINE_LIMIT + 1)
    if len(line) > LINE_LIMIT:
        raise BadRequest(431, "a line is longer than 64 KiB")
    return line.rstrip(b"\r\n")


def read_headers(stream: BufferedReader) -> dict[str, str]:
    """Header fields up to the empty line; repeated names are joined with a comma."""
    headers: dict[str, str] = {}
    for _ in range(HEADERS_LIMIT):
        line = read_line(stream)
        if not line:
            return headers
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip():
            raise BadRequest(400, "malformed header field")
        key = name.decode("latin-1").lower()
        text = value.strip().decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    raise BadRequest(431, "too many header fields")


def read_body(stream: BufferedReader, headers: dict[str, str], sock: socket.socket) -> bytes:
    """The request body named by `Content-Length`; asks for it when the client waits."""
    if "transfer-encoding" in headers:
        raise BadRequest(411, "send a Content-Length")
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise BadRequest(400, "malformed Content-Length")
    length = int(text)
    if length > BODY_LIMIT:
        raise BadRequest(413, "the body is larger than 16 MiB")
    if length and headers.get("expect", "").lower() == "100-continue":
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = stream.read(length) if length else b""
    if len(body) < length:
        raise ConnectionError("the client left inside a request body")
    return body


def read_request(stream: BufferedReader, sock: socket.socket) -> Request | None:
    """The next request, or None when the client has closed the connection."""
    line = read_line(stream)
    if not line:
        line = read_line(stream)  # RFC 9112, 2.2: tolerate one empty line before a request
    if not line:
        return None
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(400, "malformed request line")
    method, target, version = parts
    headers = read_headers(stream)
    body = read_body(stream, headers, sock)
    path, _, query_text = target.partition("?")
    if path.startswith("http://"):
        path = "/" + path[len("http://"):].partition("/")[2]
    connection = headers.get("connection", "").lower()
    keep = "close" not in connection and (version != "HTTP/1.0" or "keep-alive" in connection)
    query = parse_qsl(query_text, keep_blank_values=True) if query_text else []
    return Request(method, target, path, query_text, headers, body, keep, query)


def format_head(response: Response, keep_alive: bool) -> bytes:
    """Status line and header fields, with `Date`, `Content-Length` and `Connection`."""
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Status"
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines.append(f"Date: {email.utils.formatdate(usegmt=True)}")
    if response.status not in (204, 304):
        lines.append(f"Content-Length: {response.length()}")
    lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
