"""Run by a Python that has Celery (see test_redis_results.py): results through Celery's own backend.

    celery_results.py get URL ID...     state and result of each, as JSON lines
    celery_results.py wait URL ID       says "waiting", then the result once it is there
    celery_results.py store URL         lines "ID STATE JSON" on stdin; an exception is its text
    celery_results.py run URL           runs tasks of all kinds on a worker; prints their ids
"""

from __future__ import annotations

import json
import sys
from typing import Any

import celery
from celery.result import AsyncResult


def shown(app: celery.Celery, task_id: str) -> dict[str, Any]:
    """What a client sees, exceptions as their repr."""
    result = AsyncResult(task_id, app=app)
    value = result.result
    return {"id": task_id, "state": result.state, "ready": result.ready(),
            "result": repr(value) if isinstance(value, BaseException) else value}


def store(app: celery.Celery) -> None:
    """By the backend that a worker uses."""
    for line in sys.stdin:
        task_id, state, value = line.strip().split(" ", 2)
        content = json.loads(value)
        if state in ("FAILURE", "RETRY", "REVOKED"):
            content = ValueError(content)
        app.backend.store_result(task_id, content, state, traceback=None)


def run(app: celery.Celery) -> None:
    """A worker thread on the in-memory broker, its results in Redis."""
    from celery.contrib.testing.worker import start_worker

    app.conf.worker_hijack_root_logger = False

    @app.task(name="results.good")
    def good(value: Any) -> Any:
        return value

    @app.task(name="results.bad")
    def bad() -> None:
        raise KeyError("no such thing")

    with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=20):
        results = [good.delay({"n": 2**70}), good.delay("caf\u00e9"), bad.delay()]
        for result in results:
            result.get(timeout=60, propagate=False)
    for result in results:
        print(result.id)


def main() -> None:
    mode, url = sys.argv[1:3]
    app = celery.Celery("results", broker="memory://", backend=url.split("?")[0],
                        set_as_current=False)
    if "global_keyprefix=" in url:
        prefix = url.split("global_keyprefix=")[1]
        app.conf.result_backend_transport_options = {"global_keyprefix": prefix}
    if mode == "get":
        for task_id in sys.argv[3:]:
            print(json.dumps(shown(app, task_id)))
    elif mode == "wait":
        result = AsyncResult(sys.argv[3], app=app)
        app.backend.result_consumer.start(sys.argv[3])
        print("waiting", flush=True)
        result.get(timeout=30, propagate=False)
        print(json.dumps(shown(app, sys.argv[3])))
    elif mode == "store":
        store(app)
    else:
        run(app)


if __name__ == "__main__":
    main()
