"""A redis-server of the test's own: killed, paused, restarted on the same port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

REDIS_SERVER = shutil.which("redis-server")
IN_MEMORY = ("--save", "", "--appendonly", "no")
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class RedisServer:
    """Started at once; `stop` when the test ends."""

    def __init__(self, home: Path, *options: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start(*(options or IN_MEMORY))

    def start(self, *options: str) -> None:
        """Start, or start again, with these options or those before; answers when it returns."""
        assert REDIS_SERVER is not None and self.process is None
        if options:
            self.options = options
        with (self.home / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [REDIS_SERVER, "--port", str(self.port), "--bind", "127.0.0.1",
                 "--dir", str(self.home), *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 20
        while not self.is_answering():
            assert self.process.poll() is None, (self.home / "redis.log").read_text()[-2000:]
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.01)

    def is_answering(self) -> bool:
        """PONG to a PING; not while it loads its file."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def cli(self, *words: str, stdin: bytes | None = None) -> str:
        """What redis-cli prints; with stdin, that is the last argument (-x)."""
        options = ["-x"] if stdin is not None else []
        done = subprocess.run(
            ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *options, *words],
            input=stdin, capture_output=True, timeout=60, check=True)
        return done.stdout.decode("utf-8", "replace").strip()

    def kill(self) -> None:
        """SIGKILL: no farewell, nothing is written any more."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)
        self.process = None

    def pause(self) -> None:
        """Connections stay, nothing is answered."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """After pause."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Whatever state it is in."""
        if self.process is not None:
            self.kill()
