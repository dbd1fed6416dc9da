"""The tasks of the canvases for a real Celery worker; tests/tools/probe_canvas.c has the first three in C.

The others do what only a task in Python can do.
"""

from __future__ import annotations

from typing import Any

from reference_app import app, count_starts, write_record


@app.task(name="probe.trace")
def trace(value: Any = None, mark: str = "-") -> dict[str, Any]:
    """Hands on what came, with a mark."""
    return {"value": value, "mark": mark}


@app.task(name="probe.stumble", bind=True, max_retries=3)
def stumble(self: Any, value: Any = None, path: str | None = None, token: str = "-", times: int = 0,
            kind: str = "invalid") -> dict[str, Any]:
    """Fails some times, then hands on."""
    write_record(path, "start", token)
    if 0 < times < count_starts(path, token):
        return {"value": value, "mark": token}
    if kind == "network":
        raise self.retry(exc=ConnectionError("failed as told: network"), countdown=0.01)
    raise ValueError("failed as told: invalid")


@app.task(name="probe.refuse")
def refuse(value: Any = None) -> None:
    """Fails, and takes one argument."""
    raise ValueError("failed as told: invalid")


@app.task(name="python.become", bind=True)
def become(self: Any, value: Any = None, by: dict[str, Any] | None = None) -> Any:
    """Replaced by another; what came is dropped."""
    raise self.replace(self.app.signature(by))


@app.task(name="python.send", bind=True)
def send(self: Any, value: Any = None, by: dict[str, Any] | None = None) -> dict[str, Any]:
    """Sends another, which becomes its child."""
    self.app.signature(by).apply_async()
    return {"value": value, "mark": "sent"}


@app.task(name="python.grow", bind=True)
def grow(self: Any, value: Any = None, by: dict[str, Any] | None = None) -> dict[str, Any]:
    """Adds another to the chord that it is a part of."""
    self.add_to_chord(self.app.signature(by))
    return {"value": value, "mark": "grown"}


@app.task(name="python.stamps", bind=True)
def stamps(self: Any, value: Any = None) -> dict[str, Any]:
    """What it was stamped with."""
    found = dict(self.request.stamps or {})
    return {"value": None, "mark": found}
