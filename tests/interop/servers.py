"""A real redis-server of the tests' own: in memory, on a free port of the loopback and a socket."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

BINARY = shutil.which("redis-server")


class Redis:
    """A running server; `url()` names one of its databases."""

    def __init__(self, directory: Path, password: str = "") -> None:
        assert BINARY is not None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self.password = password
        self.socket = directory / "redis.sock"
        words = [BINARY, "--port", str(self.port), "--bind", "127.0.0.1",
                 "--unixsocket", str(self.socket), "--dir", str(directory),
                 "--save", "", "--appendonly", "no", "--databases", "64"]
        if password:
            words += ["--requirepass", password]
        with (directory / "redis.log").open("w") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 10
        while True:
            try:
                if self.say("PING").startswith((b"+PONG", b"-NOAUTH")):
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"redis-server did not start, exit {self.process.poll()}")
            time.sleep(0.01)

    def url(self, database: int = 0) -> str:
        """As Celery takes it, over TCP."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: int = 0) -> str:
        """As Celery takes it, over the Unix socket."""
        return f"redis+socket://{self.socket}?virtual_host={database}"

    def say(self, *words: str, database: int = 0) -> bytes:
        """One command on a connection of its own; the reply as it stands on the wire.

        Enough for the few questions that the tests ask past Celery: LLEN, HLEN, EXISTS.
        """
        commands = [["AUTH", self.password]] if self.password else []
        commands += [["SELECT", str(database)], list(words)] if database else [list(words)]
        reply = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            for command in commands:
                parts = [f"*{len(command)}\r\n".encode()]
                for word in command:
                    text = word.encode()
                    parts.append(b"$%d\r\n%s\r\n" % (len(text), text))
                connection.sendall(b"".join(parts))
                reply = connection.recv(65536)
        return reply

    def ask_int(self, *words: str, database: int = 0) -> int:
        """The same, of a command that answers with a number."""
        reply = self.say(*words, database=database)
        assert reply.startswith(b":"), reply
        return int(reply[1:])

    def stop(self) -> None:
        """End it at once; nothing is kept."""
        self.process.kill()
        self.process.wait(timeout=10)
