"""What every fault test stands on: a place (data directory, broker, result backend), workers with all
their processes, and the ledger of what was sent.

The program is the probe (tests/tools/): trawl's commands with tasks that write down each start and
each end of theirs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TRAWL_BUILD_DIR", ROOT / "build"))
PROBE = BUILD / "tests/tools/probe"
TRAWL = BUILD / "cli/trawl"
IS_FULL = os.environ.get("TRAWL_FAULTS") == "full"
IS_SANITIZED = any(name.endswith("SAN_OPTIONS") for name in os.environ)


def scale(short: Any, full: Any) -> Any:
    """One of two sizes: for `make check`, or for `make check-faults`."""
    return full if IS_FULL else short


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 30) -> Any:
    """What the condition gives, as soon as it is true."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.01)
    return value


def session_pids(session: int) -> list[int]:
    """The living processes of a session, in no order."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = Path(f"/proc/{entry}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        words = fields.rpartition(")")[2].split()  # state, ppid, pgrp, session, ...
        if int(words[3]) == session and words[0] not in "ZX":
            found.append(int(entry))
    return found


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def peak_rss_kib(pid: int) -> int:
    """The most memory that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


def rss_kib(pid: int) -> int:
    """The memory that a process has now."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


class Worker:
    """One worker in a session of its own, children included."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def wait_ready(self, timeout: float = 30) -> str:
        """The line that it prints when it takes tasks."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready: "), f"no worker: {line!r}, status {self.process.poll()}"
        return line

    def children(self) -> list[int]:
        """Who runs tasks."""
        return children_of(self.pid)

    def signal(self, number: int) -> None:
        """To the parent alone."""
        os.kill(self.pid, number)

    def kill_group(self) -> float:
        """SIGKILL to all of its processes at once; the moment (monotonic)."""
        for pid in sorted(session_pids(self.pid), key=lambda _: random.random()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return self._bury()

    def kill_parent(self) -> float:
        """SIGKILL to the parent: its children have to go with it."""
        os.kill(self.pid, signal.SIGKILL)
        return self._bury()

    def _bury(self) -> float:
        moment = time.monotonic()
        self.process.wait(timeout=10)
        wait_until(lambda: not session_pids(self.pid), "the children died with their parent", 10)
        return moment

    def wait(self, timeout: float = 15) -> int:
        """Its exit status; nothing of it is left."""
        status = self.process.wait(timeout=timeout)
        wait_until(lambda: not session_pids(self.pid), "no process is left behind", 5)
        return status

    def clean_up(self) -> None:
        """At the end of a test."""
        for pid in session_pids(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Place:
    """A data directory with its broker and result backend, and all that runs on them."""

    def __init__(self, home: Path, redis: RedisServer | None = None) -> None:
        self.home = home
        self.data = home / "data"
        self.data.mkdir(exist_ok=True)
        self.redis = redis
        self.log = home / "worker.log"
        self.workers: list[Worker] = []
        self.servers: list[RedisServer] = [redis] if redis else []
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TRAWL_DATA_DIR": str(self.data),
            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")},
        }
        if redis:
            self.env |= {"CELERY_BROKER_URL": redis.url, "CELERY_RESULT_BACKEND": redis.url}

    @property
    def is_redis(self) -> bool:
        """Else SQLite."""
        return self.redis is not None

    def run(self, *words: str, status: int | None = 0, timeout: float = 60,
            program: Path = PROBE, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; status None: any."""
        done = subprocess.run(
            [str(program), *words], cwd=self.home, env=self.env | env, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        assert status is None or done.returncode == status, (
            f"{' '.join(words)[:200]} exited with {done.returncode}, not {status}\n"
            f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done

    def json(self, *words: str, **options: Any) -> Any:
        """What a command prints."""
        return json.loads(self.run(*words, "--json", **options).stdout)

    def call(self, task: str, *words: str, **options: Any) -> str:
        """Send one task; its id."""
        return str(self.json("call", task, *words, **options)["task_id"])

    def result(self, task_id: str) -> dict[str, Any]:
        """Its state document; the exit status is the task's."""
        done = self.run("result", task_id, "--json", status=None)
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout))

    def depth(self) -> dict[str, int]:
        """Messages of the queue celery: ready, scheduled, claimed, dead."""
        return dict(json.loads(self.run("depth").stdout))

    def n_open(self) -> int:
        """Not settled yet, dead ones not counted."""
        depth = self.depth()
        return depth["ready"] + depth["scheduled"] + depth["claimed"]

    def dead(self) -> list[dict[str, Any]]:
        """The dead set, oldest first."""
        return list(self.json("dead", "list", "--limit", "10000"))

    def inject(self, message: bytes | dict[str, Any], task_id: str = "") -> None:
        """Raw bytes into the queue, as a foreign client would."""
        if isinstance(message, dict):
            message = json.dumps(message).encode()
        if self.redis:
            self.redis.cli("LPUSH", "celery", stdin=message)
            return
        file = self.home / "message"
        file.write_bytes(message)
        self.run("inject", str(file), "--id", task_id)

    def spawn(self, *words: str, n_children: int | None = 2, program: Path = PROBE,
              stderr: Any = None, stdout: Any = subprocess.PIPE, prefix: Iterable[str] = (),
              **env: str) -> Worker:
        """Start a worker; it may not be ready yet."""
        count = ["-c", str(n_children)] if n_children else []
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [*prefix, str(program), "worker", *count, *words], cwd=self.home,
                env=self.env | env, text=True, stdin=subprocess.DEVNULL, stdout=stdout,
                stderr=log if stderr is None else stderr, start_new_session=True)
        self.workers.append(Worker(process))
        return self.workers[-1]

    def start(self, *words: str, **options: Any) -> Worker:
        """Start a worker that has said ready."""
        worker = self.spawn(*words, **options)
        worker.wait_ready()
        return worker

    def log_text(self) -> str:
        """What the workers have logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_settled(self, timeout: float = 60) -> None:
        """No message waits or is held."""
        wait_until(lambda: self.n_open() == 0, f"all messages settled: {self.depth()}", timeout)

    def clean_up(self) -> None:
        """At the end of a test."""
        for worker in self.workers:
            worker.clean_up()
        for server in self.servers:
            server.stop()


@dataclass
class Ledger:
    """What was submitted, and what the record file says became of it.

    submitted = done + dead + queued, and how often each task has started and ended."""

    place: Place
    n_submitted: int = 0
    n_unknown: int = 0
    ids: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The record file: "start TOKEN PID MS" and "done TOKEN PID MS"."""
        return self.place.home / "record"

    def submit(self, count: int, *words: str, ms: int = 0, task: str = "probe.record",
               status: int | None = 0, extra: dict[str, Any] | None = None,
               timeout: float = 120) -> dict[str, Any]:
        """Send tasks with the next tokens; counts what the broker has confirmed."""
        kwargs = {"path": str(self.path), "token": "{i}", **(extra or {})}
        if task == "probe.record":
            kwargs["ms"] = ms
        ids = self.place.home / f"ids-{len(self.ids)}-{time.monotonic_ns()}"
        done = self.place.run(
            "flood", str(count), "--task", task, "--kwargs", json.dumps(kwargs), "--ids", str(ids),
            "--first", str(self.n_submitted + self.n_unknown), *words, status=status,
            timeout=timeout)
        assert done.stdout, done.stderr
        counts = dict(json.loads(done.stdout))
        self.n_submitted += counts["confirmed"]
        self.n_unknown += counts["unknown"]
        self.ids += ids.read_text().split()
        return counts

    def lines(self) -> list[tuple[str, str, int, float]]:
        """Event, token, process, seconds (monotonic)."""
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_text().splitlines():
            event, token, pid, moment = line.split()
            rows.append((event, token, int(pid), int(moment) / 1000))
        return rows

    def count(self, event: str) -> Counter[str]:
        """How often each task has started ("start") or ended ("done")."""
        return Counter(token for kind, token, _, _ in self.lines() if kind == event)

    def n_done(self) -> int:
        """Tasks that have ended at least once."""
        return len(self.count("done"))

    def n_repeated(self) -> int:
        """Starts beyond each task's first."""
        starts = self.count("start")
        return sum(starts.values()) - len(starts)

    def check(self, max_repeated: int | None = None, n_dead: int = 0) -> dict[str, int]:
        """The balance; queues at rest.  Returns it for the report."""
        depth = self.place.depth()
        n_queued = depth["ready"] + depth["scheduled"] + depth["claimed"]
        balance = {"submitted": self.n_submitted, "done": self.n_done(), "dead": depth["dead"],
                   "queued": n_queued, "repeated": self.n_repeated()}
        print(json.dumps(balance))
        lower = self.n_submitted
        upper = self.n_submitted + self.n_unknown
        assert lower <= balance["done"] + balance["dead"] + n_queued <= upper, balance
        assert depth["dead"] == n_dead, self.place.dead()[:5]
        if max_repeated is not None:
            assert balance["repeated"] <= max_repeated, balance
        return balance

    def states(self) -> dict[str, int]:
        """How many of the confirmed tasks have which state in the result backend; none while it
        cannot be asked."""
        file = self.place.home / "ids"
        file.write_text("\n".join(self.ids))
        done = self.place.run("states", str(file), status=None, timeout=300)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def envelope(task: str, task_id: str, args: list[Any], kwargs: dict[str, Any] | None = None,
             **headers: Any) -> dict[str, Any]:
    """A message of protocol 2 as Celery 5 writes it, body in plain JSON text."""
    body = json.dumps([args, kwargs or {}, {"callbacks": None, "errbacks": None, "chain": None,
                                            "chord": None}])
    return {
        "body": body,
        "content-encoding": "utf-8", "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": task_id, "root_id": task_id,
                    "parent_id": None, "retries": 0, "timelimit": [None, None], "eta": None,
                    "expires": None, "argsrepr": "()", "kwargsrepr": "{}", **headers},
        "properties": {"correlation_id": task_id, "reply_to": "x", "delivery_mode": 2,
                       "delivery_info": {"exchange": "", "routing_key": "celery"},
                       "priority": 0, "delivery_tag": task_id},
    }
