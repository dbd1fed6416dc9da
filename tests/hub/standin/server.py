"""One listening origin: a thread per connection, HTTP/1.1 keep-alive, faults on delivery.

    accept -> read request -> [scripted rule | drawn fault] -> handler -> spoil -> deliver -> again

Paths below /_hub/ are the control door: they meet no fault and are not counted.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader

from standin.faults import DELIVERIES, FaultPlan, Script, Scripted, spoil
from standin.stats import Stats
from standin.wire import (
    BadRequest,
    FileSlice,
    Request,
    Response,
    dump,
    format_head,
    json_response,
    read_request,
)

CONTROL_PREFIX = "/_hub/"
CHUNK = 256 * 1024
IDLE_S = 120.0
DRIP_PIECES = 20

Handler = Callable[[Request], Response]


class Abort(Exception):
    """The connection ends here, on purpose."""


class Origin:
    """An origin on 127.0.0.1. `name` is "api" or "storage"; `handler` answers any request."""

    def __init__(self, name: str, port: int, handler: Handler, control: Handler | None,
                 stats: Stats, faults: FaultPlan, script: Script,
                 hang_s: float, drip_s: float) -> None:
        self._name = name
        self._handler = handler
        self._control = control
        self._stats = stats
        self._faults = faults
        self._script = script
        self._hang_s = hang_s
        self._drip_s = drip_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._thread = threading.Thread(target=self._accept, name=f"accept-{name}", daemon=True)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Close the listener and every connection; threads end by themselves."""
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            open_sockets = list(self._sockets)
        for sock in open_sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=2.0)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._stop.is_set():
                    return
                time.sleep(0.05)  # out of descriptors: let some connections end
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(IDLE_S)
            with self._lock:
                self._sockets.add(sock)
            threading.Thread(target=self._connection, args=(sock,), daemon=True).start()

    def _connection(self, sock: socket.socket) -> None:
        self._stats.connected(self._name)
        stream = sock.makefile("rb")
        try:
            while not self._stop.is_set() and self._exchange(sock, stream):
                pass
        except (OSError, Abort):
            pass
        except BadRequest as bad:
            self._refuse(sock, bad)
        finally:
            with self._lock:
                self._sockets.discard(sock)
            stream.close()
            sock.close()
            self._stats.disconnected(self._name)

    def _refuse(self, sock: socket.socket, bad: BadRequest) -> None:
        """Answer a request that could not be parsed; the connection ends with it."""
        body = dump({"error": str(bad)})
        with suppress(OSError):
            sock.sendall(format_head(json_response(bad.status, body), False) + body)

    def _exchange(self, sock: socket.socket, stream: BufferedReader) -> bool:
        """One request and its answer; false when the connection is finished."""
        request = read_request(stream, sock)
        if request is None:
            return False
        if self._control is not None and request.path.startswith(CONTROL_PREFIX):
            self._deliver(sock, request, self._answer(self._control, request), None)
            return request.keep_alive
        self._stats.begin(self._name)
        try:
            rule = self._script.take(request, self._name)
            fault = rule.fault if rule is not None else self._faults.draw()
            response = self._prepare(request, rule, fault)
            self._record(request, response, fault)
            self._deliver(sock, request, response, fault if fault in DELIVERIES else None)
        finally:
            self._stats.end(self._name)
        return request.keep_alive and not response.close

    def _prepare(self, request: Request, rule: Scripted | None, fault: str | None) -> Response:
        """The true answer, then what the script and the fault make of it."""
        response = self._answer(self._handler, request)
        service = "kaggle" if response.kind.startswith("kaggle") else self._name
        if rule is not None:
            if rule.delay_s:
                self._stop.wait(rule.delay_s)
            response = rule.apply(response, service)
        return spoil(response, fault, service) if fault else response

    def _answer(self, handler: Handler, request: Request) -> Response:
        """The handler's answer; a mistake of ours becomes a loud 500, never a silent close."""
        try:
            return handler(request)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return json_response(500, {"error": "bug in the stand-in: see its standard error"})

    def _record(self, request: Request, response: Response, fault: str | None) -> None:
        if request.method == "HEAD":
            self._stats.mark("head_hits")
        self._stats.answered(
            self._name, response.kind, response.status, response.length(), fault,
            {"method": request.method, "target": request.target,
             "user_agent": request.headers.get("user-agent", ""),
             "authorization": request.headers.get("authorization", "").partition(" ")[0],
             "range": request.headers.get("range", "")})

    def _deliver(self, sock: socket.socket, request: Request, response: Response,
                 fault: str | None) -> None:
        """Send the answer, whole or in the way the fault wants it. Raises Abort to close."""
        if fault == "hang":
            self._stop.wait(self._hang_s)
            raise Abort
        if fault == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Abort
        keep_alive = request.keep_alive and not response.close
        head = format_head(response, keep_alive)
        body: bytes | FileSlice = b"" if request.method == "HEAD" else response.body
        if fault == "cut":
            self._send_cut(sock, head, body)
            raise Abort
        if fault == "drip":
            sock.sendall(head)
            self._send_drip(sock, body)
        elif isinstance(body, FileSlice):
            sock.sendall(head)
            send_file(sock, body)
        elif len(body) <= CHUNK:
            sock.sendall(head + body)
        else:
            sock.sendall(head)
            sock.sendall(body)

    def _send_cut(self, sock: socket.socket, head: bytes, body: bytes | FileSlice) -> None:
        """Half of the body, or half of the head when there is no body; then the end."""
        if isinstance(body, FileSlice):
            sock.sendall(head)
            send_file(sock, FileSlice(body.path, body.offset, body.length // 2))
        elif body:
            sock.sendall(head + body[: len(body) // 2])
        else:
            sock.sendall(head[: len(head) // 2])

    def _send_drip(self, sock: socket.socket, body: bytes | FileSlice) -> None:
        """The body in about twenty pieces over `drip_s` seconds."""
        length = body.length if isinstance(body, FileSlice) else len(body)
        step = max(1, -(-length // DRIP_PIECES))
        for start in range(0, length, step):
            size = min(step, length - start)
            if isinstance(body, FileSlice):
                send_file(sock, FileSlice(body.path, body.offset + start, size))
            else:
                sock.sendall(body[start:start + size])
            if self._stop.wait(self._drip_s / DRIP_PIECES):
                raise Abort


def send_file(sock: socket.socket, body: FileSlice) -> None:
    """Stream part of a file with bounded memory; a file that shrank ends the connection."""
    left = body.length
    with open(body.path, "rb") as file:
        file.seek(body.offset)
        while left:
            piece = file.read(min(CHUNK, left))
            if not piece:
                raise Abort
            sock.sendall(piece)
            left -= len(piece)
