"""A redis-server for one measurement: nothing on disk, one connection for questions."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Processor time of a process, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Redis:
    """Running until stop(); speaks just enough of the protocol to count."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        with (home / "redis.log").open("a") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no", "--dir", str(home)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 10
        while True:
            try:
                self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self.reader = self.connection.makefile("rb")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def ask(self, *commands: tuple[str, ...]) -> list[int]:
        """Several commands in one write; those that answer with a number, or with OK (0)."""
        parts = []
        for words in commands:
            parts.append(f"*{len(words)}\r\n")
            parts += [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        self.connection.sendall("".join(parts).encode())
        answers = []
        for words in commands:
            line = self.reader.readline()
            if line[:1] not in (b":", b"+"):
                raise RuntimeError(f"{words}: {line!r}")
            answers.append(int(line[1:]) if line[:1] == b":" else 0)
        return answers

    def n_left(self) -> int:
        """Messages that wait or are held, of Kombu's layout."""
        return sum(self.ask(("LLEN", "celery"), ("HLEN", "unacked")))

    def cpu_s(self) -> float:
        """Processor time that the server has used."""
        return cpu_s(self.process.pid)

    def clear(self) -> None:
        self.ask(("FLUSHALL",))

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait(timeout=10)
