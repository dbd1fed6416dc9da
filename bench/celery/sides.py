"""The two sides, started and stopped alike, and what is measured of their processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis_server import cpu_s

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Workers:
    """A worker that has said that it is ready, with its children."""

    def __init__(self, command: list[str], env: dict[str, str], ready: str, log: Path) -> None:
        start = time.monotonic()
        self.log = log
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        with log.open("a", encoding="utf-8") as file:
            for line in self.process.stdout:
                file.write(line)
                if ready in line:
                    break
            else:
                raise RuntimeError(f"no worker, exit {self.process.wait()}: see {log}")
        self.ready_s = time.monotonic() - start
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("a", encoding="utf-8") as file:
            file.writelines(self.process.stdout)

    def pids(self) -> list[int]:
        """The parent and its children."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        return [self.process.pid, *map(int, text.split())]

    def pss_mb(self) -> float:
        """Proportional memory of all of them: what is shared counts once."""
        total_kib = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
                if line.startswith("Pss:"):
                    total_kib += int(line.split()[1])
        return total_kib * 1024 / 1e6

    def cpu_s(self) -> float:
        """Processor time that all of them have used."""
        return sum(map(cpu_s, self.pids()))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self.process.wait(timeout=10)


class Side:
    """One of the two; `n_children` processes run tasks."""

    name: str

    def __init__(self, home: Path) -> None:
        self.home = home

    def environment(self, broker: str, backend: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.home),
                "PYTHONDONTWRITEBYTECODE": "1", "C_FORCE_ROOT": "1",
                "CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": backend,
                "TRAWL_DATA_DIR": str(self.home / "data"), "PROBE_RUNNER": "bare"}

    def command(self) -> tuple[list[str], str]:
        raise NotImplementedError

    @contextlib.contextmanager
    def worker(self, broker: str, backend: str = "") -> Iterator[Workers]:
        """Running with two children, until the block ends."""
        command, ready = self.command()
        workers = Workers(command, self.environment(broker, backend or broker), ready,
                          self.home / f"{self.name}.log")
        try:
            yield workers
        finally:
            workers.stop()

    def client(self, *words: str) -> dict[str, Any]:
        """Run the side's client to its end; what it printed."""
        done = subprocess.run([*self.client_command(), *words], capture_output=True, text=True,
                              timeout=900, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} {' '.join(words)}: {done.stderr[-2000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def client_command(self) -> list[str]:
        raise NotImplementedError

    def send(self, broker: str, n: int) -> dict[str, Any]:
        return self.client("send", broker, str(n))

    def trip(self, broker: str, n: int) -> dict[str, Any]:
        raise NotImplementedError


class Trawl(Side):
    """The probe: trawl's worker with tasks that do nothing, and no catalogue."""

    name = "trawl"

    def __init__(self, home: Path, build: Path) -> None:
        super().__init__(home)
        self.probe = build / "tests" / "tools" / "probe"
        self.bench = build / "bench" / "bench_client"

    def command(self) -> tuple[list[str], str]:
        return [str(self.probe), "worker", "-c", "2", "--log-level", "warning"], "ready: "

    def client_command(self) -> list[str]:
        return [str(self.bench)]

    def fill(self, broker: str, n: int, *words: str) -> dict[str, Any]:
        """In batches; "ignore", or the seconds of a countdown."""
        return self.client("fill", broker, str(n), *words)

    def trip(self, broker: str, n: int) -> dict[str, Any]:
        return self.client("trip", broker, broker, str(n))


class Celery(Side):
    """The prefork pool, late acks; what it need not do for the task is off."""

    name = "celery"

    def __init__(self, home: Path, python: str) -> None:
        super().__init__(home)
        self.python = python

    def command(self) -> tuple[list[str], str]:
        return [*self.client_command(), "worker", "-P", "prefork", "-c", "2", "-l", "warning",
                "--without-gossip", "--without-mingle", "--without-heartbeat"], " ready."

    def client_command(self) -> list[str]:
        return [self.python, str(HERE / "celery_side.py")]

    def fill(self, broker: str, n: int, mode: str) -> dict[str, Any]:
        """Messages as Celery writes them: "store", "ignore", or the seconds of a countdown."""
        return self.client("fill", broker, str(n), mode)

    def trip(self, broker: str, n: int) -> dict[str, Any]:
        return self.client("trip", broker, str(n))

    def version(self) -> str:
        done = subprocess.run([self.python, "-c", "import celery; print(celery.__version__)"],
                              capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()
