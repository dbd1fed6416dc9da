"""Celery's side of the measurements, run under a Python that has it.

    celery_side.py worker ...           a worker of the app below: `celery worker`'s own options
    celery_side.py fill BROKER N MODE   N messages as this Celery writes them; MODE: store, ignore, or
                                        seconds of a countdown
    celery_side.py send BROKER N        apply_async in a loop, results ignored, connection kept
    celery_side.py trip BROKER N        apply_async().get(), one at a time

Prints one JSON line each, as bench_client does.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import uuid
from typing import Any

import celery
from celery.signals import worker_ready

app = celery.Celery("bench", broker=os.environ.get("CELERY_BROKER_URL", "redis://"),
                    backend=os.environ.get("CELERY_RESULT_BACKEND", "redis://"))
app.conf.update(task_acks_late=True, worker_hijack_root_logger=False,
                broker_connection_retry_on_startup=True)

BATCH = 1000
WARM_UP = 20


@app.task(name="probe.noop")
def noop() -> None:
    """Nothing."""


@worker_ready.connect
def say_ready(**_: Any) -> None:
    """As the log does at level info, where it would also write two lines per task."""
    print("worker ready.", flush=True)


def use(broker: str) -> None:
    app.conf.update(broker_url=broker, result_backend=broker)


def capture(options: dict[str, Any]) -> str:
    """The envelope of one real call, taken out of a queue that nobody serves."""
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        noop.apply_async(queue="template", **options)
        text: str = client.rpop("template").decode()
    return text.replace('"routing_key": "template"', '"routing_key": "celery"')


def fill(broker: str, n: int, mode: str) -> None:
    """Copies of a real message, each with an id and a delivery tag of its own."""
    use(broker)
    options: dict[str, Any] = {"ignore_result": mode == "ignore"}
    if mode.isdigit():
        options["countdown"] = int(mode)
    template = capture(options)
    message = json.loads(template)
    old_id, old_tag = message["headers"]["id"], message["properties"]["delivery_tag"]
    start = time.monotonic()
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        for first in range(0, n, BATCH):
            texts = [template.replace(old_id, str(uuid.uuid4()))
                     .replace(old_tag, str(uuid.uuid4())) for _ in range(min(BATCH, n - first))]
            client.lpush("celery", *texts)
    print(json.dumps({"name": "fill", "unit": "1/s", "value": n / (time.monotonic() - start),
                      "n": n}))


def send(broker: str, n: int) -> None:
    """One producer, as fast as it goes: no subscription to results, one connection."""
    use(broker)
    with app.producer_or_acquire() as producer:
        for i in range(n + WARM_UP):
            if i == WARM_UP:
                start = time.monotonic()
            noop.apply_async(ignore_result=True, producer=producer)
    print(json.dumps({"name": "send", "unit": "1/s", "value": n / (time.monotonic() - start),
                      "n": n}))


def trip(broker: str, n: int) -> None:
    use(broker)
    spans = []
    for i in range(n + WARM_UP):
        start = time.monotonic()
        noop.apply_async().get(timeout=10)
        if i >= WARM_UP:
            spans.append((time.monotonic() - start) * 1e6)
    cuts = statistics.quantiles(spans, n=100, method="inclusive")
    print(json.dumps({"name": "trip", "unit": "us", "p50": cuts[49], "p99": cuts[98], "n": n}))


def main() -> None:
    mode, *words = sys.argv[1:]
    if mode == "worker":
        app.worker_main(["worker", *words])
    elif mode == "fill":
        fill(words[0], int(words[1]), words[2])
    elif mode == "send":
        send(words[0], int(words[1]))
    elif mode == "trip":
        trip(words[0], int(words[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
