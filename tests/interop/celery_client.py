"""A Celery client for the tests, run under a Python that has Celery: `PYTHON celery_client.py`.

It reads one command per line from standard input, as JSON: {"do": NAME, ...arguments}, and answers each
with one line, {"value": ...} or {"error": TRACEBACK}.  What cannot be said in JSON travels as Python
source one way (`args`, `kwargs`, `options` of a call) and as `repr` the other way (what a task gave back),
so that the tests see exactly what a Python program sees.

Applications are opened under a name and kept: other broker, other settings, same process.
"""

from __future__ import annotations

import datetime
import decimal
import json
import os
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

import celery
from celery.bin.celery import celery as celery_program
from celery.result import AsyncResult, GroupResult
from click.testing import CliRunner

from canvas_client import Canvas


def nest(depth: int) -> list[Any]:
    """Deeper than Python's own parser reads."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


WORDS = {
    "UTC": datetime.timezone.utc, "date": datetime.date, "datetime": datetime.datetime,
    "timedelta": datetime.timedelta, "Decimal": decimal.Decimal, "UUID": uuid.UUID,
    "inf": float("inf"), "nan": float("nan"), "nest": nest,
}


def read(source: str) -> Any:
    """The value of a Python expression; `now` is the time in UTC."""
    return eval(source, {**WORDS, "now": datetime.datetime.now(datetime.timezone.utc)})


def show_children(result: AsyncResult) -> Any:
    children = result.children
    return None if children is None else [child.id for child in children]


def show(result: AsyncResult) -> dict[str, Any]:
    """What a program sees of a task without waiting."""
    info = result.info
    done = result.date_done
    return {
        "state": result.state, "info": repr(info), "ready": result.ready(),
        "successful": result.successful(), "failed": result.failed(),
        "traceback": result.traceback, "children": show_children(result),
        "done_at": None if done is None else as_utc(done).timestamp(),
    }


def as_utc(when: Any) -> datetime.datetime:
    """5.2 gives text where newer releases give a datetime, and no offset."""
    if isinstance(when, str):
        when = datetime.datetime.fromisoformat(when)
    return when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)


class Ear(threading.Thread):
    """`app.events.Receiver` in a thread of its own; its first word to the workers is `heartbeat`."""

    def __init__(self, app: celery.Celery) -> None:
        super().__init__(daemon=True)
        self.app = app
        self.events: list[dict[str, Any]] = []
        self.is_listening = threading.Event()
        self.receiver: Any = None
        self.start()
        if not self.is_listening.wait(10):
            raise RuntimeError("the receiver does not listen")

    def run(self) -> None:
        with self.app.connection_for_read() as connection:
            self.receiver = self.app.events.Receiver(connection, handlers={"*": self.events.append})
            greet = self.receiver.on_consume_ready

            def begin(*words: Any, **named: Any) -> None:
                greet(*words, **named)
                self.is_listening.set()

            self.receiver.on_consume_ready = begin
            self.receiver.capture(limit=None, timeout=None, wakeup=True)

    def stop(self) -> None:
        self.receiver.should_stop = True
        self.join(5)


class Session:
    """The commands."""

    def __init__(self) -> None:
        self.apps: dict[str, celery.Celery] = {}
        self.results: dict[str, AsyncResult] = {}
        self.states: dict[str, list[str]] = {}  # as published, while anything was awaited
        self.canvases: dict[tuple[str, str], Canvas] = {}
        self.ears: dict[str, Ear] = {}

    def version(self) -> str:
        return celery.__version__

    def open(self, app: str, broker: str, backend: str, conf: dict[str, Any]) -> None:
        """A client as a program would have it; broker connections are not tried for ever."""
        if app in self.apps:
            self.close(app)
        made = celery.Celery(app, broker=broker, backend=backend, set_as_current=False)
        made.conf.update(broker_connection_timeout=2, broker_connection_retry_on_startup=True,
                         **conf)
        self.apps[app] = made

    def close(self, app: str) -> None:
        """Forget the application and its connections."""
        self.apps.pop(app).close()

    def result(self, app: str, task_id: str) -> AsyncResult:
        """The one that sending gave, or that a program makes of an id."""
        if task_id not in self.results:
            self.results[task_id] = self.apps[app].AsyncResult(task_id)
        return self.results[task_id]

    def send(self, app: str, task: str, args: str = "()", kwargs: str = "{}", options: str = "{}",
             count: int = 1) -> list[str]:
        """Ids of one call, sent `count` times."""
        sent = [self.apps[app].send_task(task, read(args), read(kwargs), **read(options))
                for _ in range(count)]
        self.results.update((result.id, result) for result in sent)
        return [result.id for result in sent]

    def wait(self, app: str, task_id: str, timeout: float = 20) -> dict[str, Any]:
        """`get`: value or exception, the states that were published on the way, and `show`."""
        result = self.result(app, task_id)

        def listen(meta: dict[str, Any]) -> None:
            self.states.setdefault(meta["task_id"], []).append(meta["status"])

        outcome: dict[str, Any] = {"value": None, "raised": None, "module": None}
        result.ready()  # else 5.2 waits a second for news of what has already ended
        try:
            value = result.get(timeout=timeout, interval=0.05, on_message=listen)
            outcome["value"] = repr(value)
        except Exception as error:  # whatever the task raised is what is asked for
            outcome["raised"] = repr(error)
            outcome["module"] = type(error).__module__
        return {**outcome, "states": self.states.pop(task_id, []), **show(result)}

    def look(self, app: str, task_id: str, fresh: bool = False) -> dict[str, Any]:
        """`show`, of the kept result or of one made anew from the id."""
        return show(self.apps[app].AsyncResult(task_id) if fresh else self.result(app, task_id))

    def meta(self, app: str, task_id: str) -> dict[str, Any]:
        """The record as the backend gives it."""
        meta = self.apps[app].backend.get_task_meta(task_id, cache=False)
        return {key: repr(value) for key, value in meta.items()}

    def forget(self, app: str, task_id: str) -> None:
        self.result(app, task_id).forget()
        del self.results[task_id]

    def gather(self, app: str, task: str, calls: str, timeout: float = 20) -> dict[str, Any]:
        """A group of plain calls: all values in order, then the group as restored from its id."""
        signatures = [self.apps[app].signature(task, args=args) for args in read(calls)]
        sent = celery.group(signatures, app=self.apps[app]).apply_async()
        values = sent.get(timeout=timeout, interval=0.05)
        sent.save()
        again = GroupResult.restore(sent.id, app=self.apps[app])
        return {"values": repr(values), "again": repr(again.get(timeout=timeout)),
                "completed": again.completed_count(), "successful": again.successful()}

    def gather_many(self, app: str, task_ids: list[str], timeout: float = 20) -> str:
        """`ResultSet.join_native` over many results."""
        many = celery.result.ResultSet([self.result(app, one) for one in task_ids],
                                       app=self.apps[app])
        return repr(many.join_native(timeout=timeout))

    def draw(self, app: str, name: str, source: str, options: str, record: str) -> None:
        """Send a canvas, see canvas_client.py."""
        self.canvases[app, name] = Canvas(self.apps[app], name, record)
        self.canvases[app, name].send(source, options)

    def watch(self, app: str, names: dict[str, list[str]]) -> dict[str, dict[str, str]]:
        """What has become of each task of some canvases so far; names: with their wandering tasks."""
        return {name: self.canvases[app, name].observe({}, wandering)
                for name, wandering in names.items()}

    def get(self, app: str, name: str, timeout: float = 2) -> str:
        """What a program that waits for the canvas gets."""
        return self.canvases[app, name].get(timeout)

    def inspect(self, app: str, method: str, arguments: list[Any], timeout: float = 2,
                destination: list[str] | None = None) -> Any:
        """Replies by node, as `app.control.inspect()` gives them."""
        control = self.apps[app].control.inspect(timeout=timeout, destination=destination)
        return getattr(control, method)(*arguments)

    def control(self, app: str, method: str, arguments: list[Any], options: dict[str, Any]) -> Any:
        """`app.control.revoke(...)` and the like."""
        return getattr(self.apps[app].control, method)(*arguments, **options)

    def listen(self, app: str) -> None:
        """Gather events until `heard` is told to stop."""
        self.ears[app] = Ear(self.apps[app])

    def heard(self, app: str, stop: bool = False) -> list[dict[str, Any]]:
        """All events so far, in the order of their coming."""
        ear = self.ears.pop(app) if stop else self.ears[app]
        if stop:
            ear.stop()
        return list(ear.events)

    def signature(self, app: str, task: str, kwargs: str, options: str) -> dict[str, Any]:
        """As it travels."""
        return dict(self.apps[app].signature(task, kwargs=read(kwargs), options=read(options)))

    def shell(self, app: str, words: list[str]) -> dict[str, Any]:
        """The program `celery`, in this process: one is slow to start."""
        url = self.apps[app].conf.broker_url
        done = CliRunner().invoke(celery_program, ["-b", url, "-q", *words])
        return {"status": done.exit_code, "output": done.output}

    def raw(self, app: str, queue: str, envelope: str) -> None:
        """Text as it stands, into the list of a queue."""
        with self.apps[app].connection_for_write() as connection:
            connection.default_channel.client.lpush(queue, envelope)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints, prints elsewhere
    session = Session()
    for line in sys.stdin:
        words = json.loads(line)
        command: Callable[..., Any] = getattr(session, words.pop("do"))
        try:
            answer = {"value": command(**words)}
        except Exception:  # told to the test, which fails with it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
