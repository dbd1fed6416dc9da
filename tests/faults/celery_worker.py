"""A worker of Celery's beside Trawl's, with the tasks of tests/interop/reference_app.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from fleet import ROOT, Place, Worker

PYTHON = os.environ.get("TRAWL_CELERY_PYTHON", str(ROOT / ".cache/celery-venv/bin/python"))


class CeleryWorker(Worker):
    """Celery's prefork pool; late acks, a visibility timeout of the test's own."""

    def wait_ready(self, timeout: float = 40) -> str:
        """Celery writes many lines before, and its children are its own children."""
        assert self.process.stdout is not None
        end = time.monotonic() + timeout
        for line in self.process.stdout:
            if " ready." in line:
                return line
            assert time.monotonic() < end, line
        raise AssertionError(f"no worker: status {self.process.poll()}")


def start_celery(place: Place, visibility_s: int, n_children: int = 1) -> Worker:
    """Ready; its log is the end of the place's."""
    assert place.redis is not None
    for python in (PYTHON, sys.executable):
        done = subprocess.run([python, "-c", "import celery, redis"], capture_output=True, check=False)
        if done.returncode == 0:
            break
    else:
        pytest.skip("no Celery with Redis")
    conf: dict[str, Any] = {"broker_transport_options": {"visibility_timeout": visibility_s}}
    env = place.env | {"REFERENCE_CONF": json.dumps(conf), "C_FORCE_ROOT": "1",
                       "PYTHONDONTWRITEBYTECODE": "1", "CELERY_BROKER_URL": place.redis.url,
                       "CELERY_RESULT_BACKEND": place.redis.url}
    process = subprocess.Popen(
        [python, "-m", "celery", "-A", "reference_app", "worker", "-P", "prefork", "-c",
         str(n_children), "-n", f"python{len(place.workers)}@%h", "-l", "info",
         "--without-gossip", "--without-mingle"],
        cwd=ROOT / "tests/interop", env=env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    worker = CeleryWorker(process)
    place.workers.append(worker)
    worker.wait_ready()
    return worker
