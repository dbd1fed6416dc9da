"""The tests' tasks for a real Celery worker: `celery -A reference_app worker`.

The program tests/tools/probe has the same tasks in C.  The same table of cases runs against both, so that
what the table expects is what Celery does, and not what we think it does.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import celery

app = celery.Celery("reference", broker=os.environ["CELERY_BROKER_URL"],
                    backend=os.environ["CELERY_RESULT_BACKEND"], include=["reference_canvas"])
app.conf.update(
    task_acks_late=True, task_reject_on_worker_lost=True, task_track_started=True,
    worker_hijack_root_logger=False, broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    **json.loads(os.environ.get("REFERENCE_CONF", "{}")))

# Exception, and whether a retry can help: the rows of include/trawl/error.h that probe.fail can name.
KINDS: dict[str, tuple[type[Exception], bool]] = {
    "network": (ConnectionError, True), "timeout": (TimeoutError, True),
    "nomem": (MemoryError, True), "busy": (BlockingIOError, True), "disk_full": (OSError, True),
    "invalid": (ValueError, False), "io": (OSError, False), "not_found": (LookupError, False),
}


def write_record(path: str | None, event: str, token: str) -> None:
    """As tests/tools/probe_record.h has it."""
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{event} {token} {os.getpid()} {time.monotonic_ns() // 1_000_000}\n")


def count_starts(path: str | None, token: str) -> int:
    """How many lines say "start TOKEN"."""
    if not path:
        return 0
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return sum(line.startswith(f"start {token} ") for line in lines)


@app.task(name="probe.noop")
def noop() -> None:
    """Nothing."""


@app.task(name="probe.add")
def add(x: int = 0, y: int = 0) -> dict[str, int]:
    """Two numbers."""
    return {"sum": x + y}


@app.task(name="probe.echo")
def echo(value: str | None = None) -> dict[str, Any]:
    """A text and its length in bytes."""
    return {"value": value, "length": len((value or "").encode())}


@app.task(name="probe.value")
def give_back(value: Any = None) -> dict[str, Any]:
    """Anything, as it came."""
    return {"value": value}


@app.task(name="probe.big")
def big(bytes: int = 1000) -> dict[str, str]:  # noqa: A002 - the parameter's name on the wire
    """A long text."""
    return {"text": "x" * bytes}


@app.task(name="probe.sleep", bind=True)
def sleep(self: Any, seconds: int = 0, ms: int = 0, steps: int = 1) -> dict[str, int]:
    """Takes its time, with progress after each step."""
    span_ms = seconds * 1000 + ms
    for i in range(steps):
        time.sleep(span_ms / 1000 / steps)
        self.update_state(state="PROGRESS", meta={"current": i + 1, "total": steps})
    return {"slept_ms": span_ms}


@app.task(name="probe.record")
def record(path: str | None = None, token: str = "-", ms: int = 0) -> dict[str, str]:
    """Writes down start and end."""
    write_record(path, "start", token)
    time.sleep(ms / 1000)
    write_record(path, "done", token)
    return {"token": token}


@app.task(name="probe.fail", bind=True, max_retries=3)
def fail(self: Any, path: str | None = None, token: str = "-", times: int = 0,
         kind: str = "invalid", after_ms: int = 0) -> dict[str, int]:
    """Fails so many times, then succeeds."""
    write_record(path, "start", token)
    n_starts = count_starts(path, token)
    if 0 < times < n_starts:
        return {"runs": n_starts}
    exception, can_help = KINDS[kind]
    error = exception(f"failed as told: {kind}")
    if can_help:
        raise self.retry(exc=error, countdown=after_ms / 1000)
    raise error
