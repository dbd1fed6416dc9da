"""Who takes part: Pythons that have Celery, clients that run under them, workers of both kinds."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PROBE = Path(os.environ.get("TRAWL_PROBE", ROOT / "build" / "tests" / "tools" / "probe"))

DEBIAN_PYTHON = "/usr/bin/python3"
CURRENT_PYTHON = os.environ.get(
    "TRAWL_CELERY_PYTHON", str(ROOT / ".cache" / "celery-venv" / "bin" / "python"))


@functools.cache
def celery_version(python: str) -> str:
    """Of the Celery that this Python has with its Redis library; empty if none."""
    try:
        done = subprocess.run(
            [python, "-c", "import celery, redis; print(celery.__version__)"],
            capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment(**more: str) -> dict[str, str]:
    """Nothing of the machine's own settings."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": os.environ.get("HOME", "/"), **more,
            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}


class ClientError(Exception):
    """A command of the client has raised something."""


class Client:
    """A process that runs celery_client.py: one per Python, kept for the whole session."""

    def __init__(self, python: str, log: Path) -> None:
        with log.open("a") as file:
            self.process = subprocess.Popen(
                [python, str(HERE / "celery_client.py")], text=True, encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                env=environment(), cwd=HERE)
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def do(self, command: str, limit: float = 60, **words: Any) -> Any:
        """One command; fails with the client's traceback, or when it takes too long."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **words}) + "\n")
        self.process.stdin.flush()
        try:
            line = self.answers.get(timeout=limit)
        except queue.Empty:
            self.process.kill()
            raise ClientError(f"{command}: no answer within {limit} s") from None
        if not line:
            raise ClientError(f"{command}: the client has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer["value"]

    def stop(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)


@dataclass(frozen=True)
class App:
    """An application opened in a client, under a name."""

    client: Client
    name: str

    def do(self, command: str, **words: Any) -> Any:
        return self.client.do(command, app=self.name, **words)

    def send(self, task: str, args: str = "()", kwargs: str = "{}", options: str = "{}") -> str:
        """The id of a task that has been sent."""
        return self.do("send", task=task, args=args, kwargs=kwargs, options=options)[0]

    def wait(self, task_id: str, timeout: float = 20) -> dict[str, Any]:
        return self.do("wait", task_id=task_id, timeout=timeout)

    def call(self, task: str, args: str = "()", kwargs: str = "{}", options: str = "{}",
             timeout: float = 20) -> dict[str, Any]:
        """Send and wait."""
        return self.wait(self.send(task, args, kwargs, options), timeout)

    def look(self, task_id: str, fresh: bool = True) -> dict[str, Any]:
        return self.do("look", task_id=task_id, fresh=fresh)

    def inspect(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.do("inspect", method=method, arguments=list(arguments), **options)

    def control(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.do("control", method=method, arguments=list(arguments), options=options)


def _wait_for_line(stream: IO[str], wanted: str, process: subprocess.Popen[str], log: Path,
                   timeout: float = 40) -> None:
    """Until the worker says that it is ready; then its output goes on into nothing."""
    found: queue.Queue[bool] = queue.Queue()

    def listen() -> None:
        for line in stream:
            with log.open("a", encoding="utf-8") as file:
                file.write(line)
            if wanted in line:
                found.put(True)
        found.put(False)

    threading.Thread(target=listen, daemon=True).start()
    try:
        is_ready = found.get(timeout=timeout)
    except queue.Empty:
        is_ready = False
    if not is_ready:
        process.kill()
        raise RuntimeError(f"no worker: exit {process.wait()}, see its log\n"
                           + log.read_text(encoding="utf-8")[-3000:])


class Worker:
    """A worker that is ready: Trawl's (the probe), or Celery's prefork pool."""

    def __init__(self, kind: str, python: str, home: Path, broker: str, backend: str,
                 queues: str = "celery", n_children: int = 2, node: str = "w1",
                 conf: dict[str, Any] | None = None, words: tuple[str, ...] = (),
                 gossip: bool = False) -> None:
        self.kind = kind
        alone = () if gossip else ("--without-gossip", "--without-mingle")
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / f"worker-{node}.log"
        urls = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": backend}
        if kind == "trawl":
            command = [str(PROBE), "worker", "-c", str(n_children), "-Q", queues,
                       *words]
            env = environment(TRAWL_DATA_DIR=str(home / "data"), **urls)
        else:
            command = [python, "-m", "celery", "-A", "reference_app", "worker", "-P", "prefork",
                       "-c", str(n_children), "-Q", queues, "-n", f"{node}@%h", "-l", "info",
                       *alone, *words]
            env = environment(REFERENCE_CONF=json.dumps(conf or {}), C_FORCE_ROOT="1", **urls)
        self.process = subprocess.Popen(
            command, cwd=HERE, env=env, text=True, encoding="utf-8", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        assert self.process.stdout is not None
        _wait_for_line(self.process.stdout, "ready: " if kind == "trawl" else " ready.",
                       self.process, self.log)

    def stop(self, timeout: float = 15) -> int:
        """Warm, as a service manager would; killed if it does not end."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def kill(self) -> None:
        """The worker and its children."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, 9)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(timeout=10)


@contextlib.contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    """Stopped, whatever happens."""
    try:
        yield worker
    finally:
        worker.stop()


def wait_until(condition: Any, what: str, timeout: float = 15) -> Any:
    """What the condition gives, as soon as it is true."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)
    return value
