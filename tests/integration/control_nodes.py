"""Workers of one broker (the probe, tests/tools/), and whoever asks them: `trawl inspect` and
`control`, Celery's command lines of both generations, and Python."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trawl_cli import BINARY, ROOT
from workers import kill_with_children, wait_until

sys.path.append(str(ROOT / "tests/faults"))
from redis_server import RedisServer  # noqa: E402  pylint: disable=wrong-import-position

PROBE = BINARY.parents[1] / "tests/tools/probe"
CELERY_PYTHON = os.environ.get(
    "TRAWL_CELERY_PYTHON", str(ROOT / ".cache/celery-venv/bin/python"))
DEBIAN_PYTHON = "/usr/bin/python3"  # its Celery is 5.2 (apt-get install python3-celery)
HOST = socket.gethostname()
NODE = f"trawl@{HOST}"


CELERY_EACH = """
import json, sys
from celery.bin.celery import celery
from click.testing import CliRunner
start = json.loads(sys.argv[1])
print(json.dumps([CliRunner().invoke(celery, [*start, *line.split(), "--json"]).output
                  for line in sys.argv[2:]]))
"""


def has_celery(python: str) -> bool:
    """Whether that Python runs Celery over Redis."""
    return Path(python).exists() and subprocess.run(
        [python, "-c", "import celery, redis"], capture_output=True, timeout=60,
        check=False).returncode == 0


class Nodes:
    """Workers of one broker, and whoever asks them."""

    def __init__(self, home: Path, redis: RedisServer | None) -> None:
        self.home = home
        self.data = home / "data"
        self.data.mkdir()
        self.redis = redis
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8",
            "TRAWL_DATA_DIR": str(self.data), "PROBE_RUNNER": "bare",
            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")},
        }
        self.broker_url = redis.url if redis else f"sqlite:///{self.data}/broker.db"
        if redis:
            self.env |= {"CELERY_BROKER_URL": redis.url, "CELERY_RESULT_BACKEND": redis.url}
        self.started: list[subprocess.Popen[str]] = []
        self.celery_python = CELERY_PYTHON

    def start(self, *words: str, n_children: int = 1, **env: str) -> subprocess.Popen[str]:
        """A worker that is ready; without children of its own number where that is 0."""
        concurrency = ["-c", str(n_children)] if n_children else []
        with self.log.open("a") as log:
            worker = subprocess.Popen(
                [str(PROBE), "worker", *concurrency, *words], cwd=self.home,
                env=self.env | env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True)
        self.started.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("ready: "), self.log.read_text()[-2000:]
        return worker

    @property
    def log(self) -> Path:
        """What the workers have said."""
        return self.home / "worker.log"

    def run(self, *words: str, status: int = 0, timeout: float = 60,
            **env: str) -> subprocess.CompletedProcess[str]:
        """One command to its end, with that exit status."""
        done = subprocess.run(
            [str(PROBE), *words], cwd=self.home, env=self.env | env, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        assert done.returncode == status, (
            f"{words} exited with {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *words: str, status: int = 0) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.run(*words, "--json", status=status).stdout)

    def ask(self, *words: str, node: str = NODE) -> Any:
        """The answer of one node."""
        return self.json("inspect", *words)[node]

    def tasks(self) -> list[str]:
        """The names that the program knows, sorted."""
        lines = self.run("run").stdout.splitlines()
        return sorted(line for line in lines if line and not line.startswith(" "))

    def send(self, task: str, *words: str) -> str:
        """The id of the task that was sent."""
        return self.run("call", task, *words).stdout.strip()

    def state(self, task_id: str) -> str:
        """Of a task, now."""
        done = subprocess.run(
            [str(PROBE), "result", task_id, "--json"], cwd=self.home, env=self.env, text=True,
            capture_output=True, timeout=60, check=False)
        return str(json.loads(done.stdout)["status"])

    def await_state(self, task_id: str, state: str, timeout: float = 20) -> None:
        """Wait for that."""
        wait_until(lambda: self.state(task_id) == state, f"{task_id} is {state}", timeout)

    def celery(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Celery's own command line, without an application of ours."""
        assert self.redis is not None
        done = subprocess.run(
            [self.celery_python, "-m", "celery", "-b", self.redis.url, "--result-backend",
             self.redis.url, *words],
            cwd=self.home, env={"PATH": os.environ["PATH"], "HOME": str(self.home)}, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        assert done.returncode == status, (
            f"{words} exited with {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    def celery_each(self, *lines: str) -> list[Any]:
        """What that command line prints with --json, for each of these: one process for all, since
        Python takes seconds to start."""
        assert self.redis is not None
        start = ["-b", self.redis.url, "--result-backend", self.redis.url]
        done = subprocess.run(
            [self.celery_python, "-c", CELERY_EACH, json.dumps(start), *lines], cwd=self.home,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)}, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
        outputs = json.loads(done.stdout.splitlines()[-1])
        return [json.loads(next(line for line in text.splitlines() if line.startswith(("{", "["))))
                for text in outputs]

    def celery_json(self, line: str) -> Any:
        """The same for one."""
        return self.celery_each(line)[0]

    def python(self, code: str) -> str:
        """What a script prints that has Celery's `app` on this broker."""
        assert self.redis is not None
        start = ("from celery import Celery\n"
                 f"app = Celery('x', broker={self.redis.url!r}, backend={self.redis.url!r})\n")
        return subprocess.run(
            [self.celery_python, "-c", start + code], cwd=self.home, text=True, check=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)}, timeout=60,
            capture_output=True).stdout.strip()

    def finish(self, worker: subprocess.Popen[str]) -> None:
        """As a power cut would, its children and all."""
        kill_with_children(worker)

    def clean_up(self) -> None:
        """Whatever still runs."""
        for worker in self.started:
            if worker.poll() is None:
                self.finish(worker)
            if worker.stdout is not None:
                worker.stdout.close()
        if self.redis:
            self.redis.stop()


def make_nodes(home: Path, kind: str) -> Nodes:
    """With what its broker needs; skips where that cannot be had."""
    if not PROBE.exists():
        pytest.skip(f"{PROBE} is not built")
    if kind == "redis" and shutil.which("redis-server") is None:
        pytest.skip("no redis-server (apt-get install redis-server)")
    return Nodes(home, RedisServer(home / "redis") if kind == "redis" else None)
