"""Builds canvases from their source and tells what became of them; part of celery_client.py.

A signature is made with a label, which becomes a part of its task's id: `t('a') | t('b')` in the shape
"chain" runs as the tasks "chain.a" and "chain.b".  They are sent to the queues left and right by turns,
so that whoever serves these sees every canvas of both kinds; what only Python can do goes to the queue
python.

    t(label)                 hands on what came:      {"value": ..., "mark": label}, shown as `...>label`
    bad(label)               ValueError
    late(label, times)       ConnectionError so many times, each tried again; then as t
    err(label)               takes one argument, as errbacks do; shown as `(...)`
    refuse(label)            as err, and fails: ValueError
    stamps(label)            Python only: its stamps
    become(label, sig)       Python only: replaced by another
    send(label, sig)         Python only: sends another
    grow(label, sig)         Python only: adds another to the chord that it is a part of

Ids are shown by their label, `#a`; an exception as `!Type text`, a state without a result by its name.
After a task's result come its parent, `^a`, and its children, `+b` and `+[c, d]` for a group.
"""

from __future__ import annotations

import json
from typing import Any

import celery
from celery.canvas import chunks, xmap, xstarmap

QUEUES = ("left", "right")


class Canvas:
    """One shape, sent."""

    def __init__(self, app: celery.Celery, name: str, record: str) -> None:
        self.app = app
        self.name = name
        self.record = record
        self.labels: list[str] = []
        self.result: Any = None

    def make(self, task: str, label: str, kwargs: dict[str, Any], **options: Any) -> Any:
        """A signature with an id of its own."""
        settings = {"task_id": f"{self.name}.{label}",
                    "queue": QUEUES[len(self.labels) % len(QUEUES)], **options}
        self.labels.append(label)
        return self.app.signature(task, kwargs=kwargs, options=settings)

    def words(self) -> dict[str, Any]:
        """What a shape's source may use."""
        def late(label: str, times: int, **options: Any) -> Any:
            return self.make("probe.stumble", label, {"token": label, "times": times, "path": self.record,
                                                      "kind": "network"}, **options)

        def python(task: str) -> Any:
            return lambda label, sig: self.make(task, label, {"by": sig}, queue="python")

        return {
            "t": lambda label, **options: self.make("probe.trace", label, {"mark": label}, **options),
            "bad": lambda label, **options: self.make("probe.stumble", label, {"token": label},
                                                      **options),
            "err": lambda label, **options: self.make("probe.value", label, {}, **options),
            "refuse": lambda label: self.make("probe.refuse", label, {}),
            "stamps": lambda label: self.make("python.stamps", label, {}, queue="python"),
            "late": late, "become": python("python.become"), "send": python("python.send"),
            "grow": python("python.grow"), "task": self.app.signature,
            "chain": celery.chain, "group": celery.group, "chord": celery.chord,
            "map": lambda label, *words: self.place(xmap(*words), label),
            "starmap": lambda label, *words: self.place(xstarmap(*words), label),
            "chunks": chunks, "fixed": lambda sig: sig.set(immutable=True),
            "linked": linked, "guarded": guarded, "stamped": stamped,
        }

    def place(self, sig: Any, label: str) -> Any:
        """A signature of Celery's own, as `make` has it."""
        sig.set(**self.make("", label, {}).options)
        return sig

    def send(self, source: str, options: str) -> None:
        self.app.set_current()
        words = self.words()
        self.result = eval(source, words).apply_async(**eval(options, words))

    def show(self, value: Any) -> str:
        """A task's result, short."""
        if isinstance(value, dict) and set(value) == {"value", "mark"}:
            came = "" if value["value"] is None else f"{self.show(value['value'])}>"
            return came + self.show(value["mark"])
        if isinstance(value, dict) and set(value) == {"value"}:
            return f"({self.show(value['value'])})"
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(self.show, value))}]"
        if isinstance(value, str):
            return value.replace(f"{self.name}.", "#")
        return json.dumps(value)

    def show_error(self, kind: str, text: str) -> str:
        text = text.replace(f"{self.name}.", "#").replace("failed as told", "told")
        return "!TypeError" if kind == "TypeError" else f"!{kind} {text}"  # Python's own words

    def show_child(self, child: Any) -> str:
        """A result tuple."""
        (task_id, _), members = child
        if members is not None:
            return f"[{', '.join(map(self.show_child, members))}]"
        return self.label_of(task_id)

    def label_of(self, task_id: str) -> str:
        prefix = f"{self.name}."
        return task_id[len(prefix):] if task_id.startswith(prefix) else "?"

    def observe(self, shown: dict[str, str], wandering: list[str]) -> dict[str, str]:
        """What is known of each task.  The sender of `wandering` tasks is whoever came last: left out."""
        keys = [self.app.backend.get_key_for_task(f"{self.name}.{label}") for label in self.labels]
        records = self.app.backend.mget(keys)
        for label, record in zip(self.labels, records):
            if record is not None:
                shown[label] = self.show_record(label, json.loads(record), wandering)
            else:
                shown[label] = "PENDING"
        return shown

    def show_record(self, label: str, record: dict[str, Any], wandering: list[str]) -> str:
        state, result = record["status"], record["result"]
        if state == "SUCCESS":
            text = self.show(result)
        elif isinstance(result, dict) and "exc_type" in result:
            words = result["exc_message"]
            text = self.show_error(result["exc_type"], ", ".join(map(str, words))
                                   if isinstance(words, list) else str(words))
            text = text if state == "FAILURE" else f"{state} {text}"
        else:
            text = state
        if record.get("parent_id") and label not in wandering:
            text += f" ^{self.label_of(record['parent_id'])}"
        children = [self.show_child(child) for child in record.get("children") or []]
        return text + "".join(f" +{child}" for child in children if child not in wandering)

    def get(self, timeout: float) -> str:
        """What a program gets that waits for the whole."""
        if not self.result.ready():
            return "PENDING"
        try:
            return self.show(self.result.get(timeout=timeout, interval=0.01))
        except Exception as error:  # whatever the canvas raised is what is asked for
            return self.show_error(type(error).__name__, str(error))


def linked(sig: Any, *others: Any) -> Any:
    for other in others:
        sig.link(other)
    return sig


def guarded(sig: Any, *others: Any) -> Any:
    for other in others:
        sig.link_error(other)
    return sig


def stamped(sig: Any, **stamps: Any) -> Any:
    sig.stamp(**stamps)
    return sig
