"""Run by a Python that has Celery (see test_celery_messages.py): what real Celery makes of messages.

    celery_reader.py run    envelopes on stdin, one per line; each is put into a broker as it stands and
                            executed by a real worker; prints what the task saw, one JSON text per line
    celery_reader.py repr   JSON values on stdin; prints their saferepr as JSON strings
    celery_reader.py python the same with repr()
    celery_reader.py version
"""

from __future__ import annotations

import json
import sys
from typing import Any

import celery
from celery.utils.saferepr import saferepr
from kombu.utils.json import loads

SEEN = ("id", "root_id", "parent_id", "group", "group_index", "retries", "eta", "expires", "timelimit",
        "shadow", "argsrepr", "kwargsrepr", "callbacks", "errbacks", "chain", "chord", "stamps",
        "stamped_headers", "ignore_result", "replaced_task_nesting", "reply_to", "correlation_id")


def run() -> None:
    """A worker thread on the in-memory broker, whose lists hold what Redis lists hold."""
    from celery.contrib.testing.worker import start_worker

    app = celery.Celery("reader", broker="memory://", backend="cache+memory://",
                        set_as_current=False)
    app.conf.worker_hijack_root_logger = False
    seen: list[dict[str, Any]] = []

    @app.task(name="proj.add", bind=True, typing=False)
    def add(self: Any, *args: Any, **kwargs: Any) -> None:
        request = self.request
        # repr keeps types, surrogates and NaN apart; the canvas is not to be continued here.
        seen.append({"args": repr(args), "kwargs": repr(kwargs),
                     **{name: repr(getattr(request, name, None)) for name in SEEN}})
        request.callbacks = request.errbacks = request.chain = request.chord = None

    @app.task(name="reader.end")
    def end() -> None:
        pass

    envelopes = [line for line in sys.stdin if line.strip()]
    with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=20):
        with app.connection_for_write() as connection:
            channel = connection.default_channel
            for line in envelopes:
                channel._put("celery", loads(line))
        end.delay().get(timeout=60)
    for row in seen:
        print(json.dumps(row))


def main() -> None:
    mode = sys.argv[1]
    if mode == "version":
        print(celery.__version__)
    elif mode == "run":
        run()
    else:
        show = (lambda value: saferepr(value, 1024)) if mode == "repr" else repr
        for line in sys.stdin:
            print(json.dumps(show(json.loads(line))))


if __name__ == "__main__":
    main()
