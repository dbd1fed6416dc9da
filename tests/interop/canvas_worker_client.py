"""Sends shapes of Celery's canvas and says what came of them: `PYTHON canvas_worker_client.py URL`.

Standard input has one JSON list of shapes: {"name", "canvas" (Python source), "keep" (seconds to wait)}.
The answer is one JSON object: by name the value or the exception of the result, and the documents of all
tasks whose ids the shape has named.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import celery
from celery import chain, chord, group
from celery.exceptions import TimeoutError as CeleryTimeout


class Sender:
    """Builds and sends; signatures get ids by name, `named("a", sig)`."""

    def __init__(self, url: str) -> None:
        self.app = celery.Celery("canvas", broker=url, backend=url, set_as_current=True)
        self.ids: dict[str, str] = {}

    def named(self, name: str, signature: Any) -> Any:
        """The signature with an id that the answer tells about."""
        self.ids[name] = f"{name}-{celery.uuid()}"
        return signature.set(task_id=self.ids[name])

    def words(self) -> dict[str, Any]:
        """What a shape's source may use."""
        def make(task: str) -> Any:
            def call(*args: Any, immutable: bool = False, **kwargs: Any) -> Any:
                return self.app.signature(f"probe.{task}", args=args, kwargs=kwargs,
                                          immutable=immutable)
            return call

        def builtin(kind: str, /, *args: Any, **kwargs: Any) -> Any:
            return self.app.signature(f"celery.{kind}", args=args, kwargs=kwargs, immutable=True)

        return {"chain": chain, "chord": chord, "group": group, "named": self.named,
                "builtin": builtin,
                **{name: make(name) for name in ("add", "value", "noop", "fail", "record")}}

    def send(self, source: str) -> Any:
        """The result of a shape."""
        self.ids = {}
        return eval(source, self.words()).apply_async()

    def show(self, result: Any, ids: dict[str, str], timeout: float) -> dict[str, Any]:
        """The end of it, then the documents."""
        answer: dict[str, Any] = {"id": result.id, "value": None, "raised": None}
        try:
            answer["value"] = result.get(timeout=timeout, interval=0.05)
        except CeleryTimeout:
            answer["raised"] = "TIMEOUT"
        except Exception as error:  # what the shape is to raise
            answer["raised"] = repr(error)
        answer["ids"] = ids
        answer["documents"] = {}
        for name, task_id in {**ids, "": result.id}.items():
            text = self.app.backend.get(f"celery-task-meta-{task_id}")
            answer["documents"][name] = json.loads(text) if text else None
        return answer


def main() -> None:
    sender = Sender(sys.argv[1])
    sent = []
    for shape in json.load(sys.stdin):
        result = sender.send(shape["canvas"])
        sent.append((shape, result, sender.ids))
    answers = {shape["name"]: sender.show(result, ids, shape.get("keep", 15))
               for shape, result, ids in sent}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
