"""The Redis result backend beside Celery's own: each reads what the other has stored.

The Python that has Celery is given in TRAWL_CELERY_PYTHON:

    TRAWL_CELERY_PYTHON=venv/bin/python /usr/bin/python3 -m pytest tests/integration/test_redis_results.py
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trawl_cli import BINARY

TOOL = BINARY.parents[1] / "tests/unit/celery_result_tool"
CELERY = Path(__file__).with_name("celery_results.py")
FAILURE = '{"exc_type": "ValueError", "exc_message": ["bad"], "exc_module": "builtins"}'


@pytest.fixture(scope="module")
def python() -> str:
    path = os.environ.get("TRAWL_CELERY_PYTHON")
    if not path:
        pytest.skip("TRAWL_CELERY_PYTHON does not name a Python that has Celery")
    if not TOOL.exists():
        pytest.skip(f"{TOOL} is not built")
    return path


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A redis-server of our own."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed: scripts/setup.sh check installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    server = subprocess.Popen(
        ["redis-server", "--port", str(number), "--bind", "127.0.0.1", "--save", "", "--appendonly",
         "no", "--dir", str(tmp_path_factory.mktemp("redis"))], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", number)).close()
            break
        except OSError:
            assert time.monotonic() < deadline and server.poll() is None
            time.sleep(0.01)
    yield number
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture(params=["", "?global_keyprefix=app", "?global_keyprefix=app:"])
def url(request: pytest.FixtureRequest, port: int) -> str:
    return f"redis://127.0.0.1:{port}/2{request.param}"


def output_of(*command: str, lines: list[str] | None = None) -> list[str]:
    done = subprocess.run(command, input="".join(f"{line}\n" for line in lines or []), check=True,
                          capture_output=True, text=True, timeout=90)
    return done.stdout.splitlines()


def celery_sees(python: str, url: str, *ids: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output_of(python, str(CELERY), "get", url, *ids)]


def test_celery_reads_ours(python: str, url: str) -> None:
    name = f"ours{len(url)}"
    rows = [("SUCCESS", {"processed": 100, "big": 2**70}), ("FAILURE", json.loads(FAILURE)),
            ("PROGRESS", {"current": 3, "total": 10}), ("STARTED", {"pid": 1, "hostname": "w"}),
            ("SUCCESS", "caf\u00e9")]
    lines = [f"{name}-{i} {state} 1 {json.dumps(value)}" for i, (state, value) in enumerate(rows)]
    assert output_of(str(TOOL), url, "store", lines=lines) == ["stored"] * len(rows)
    seen = celery_sees(python, url, *(f"{name}-{i}" for i in range(len(rows))), f"{name}-none")
    assert [row["state"] for row in seen] == [state for state, _ in rows] + ["PENDING"]
    assert seen[0]["result"] == rows[0][1]
    assert seen[1]["result"] == "ValueError('bad')"
    assert seen[2]["result"] == rows[2][1]
    assert seen[4]["result"] == "caf\u00e9"


def test_a_waiting_client_is_woken(python: str, url: str) -> None:
    name = f"woken{len(url)}"
    client = subprocess.Popen([python, str(CELERY), "wait", url, name], stdout=subprocess.PIPE,
                              text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "waiting\n"
    output_of(str(TOOL), url, "store", lines=[f"{name} STARTED 1 null", f"{name} SUCCESS 1 [1, 2]"])
    out, _ = client.communicate(timeout=60)
    assert json.loads(out)["result"] == [1, 2]


def test_we_read_what_a_worker_stored(python: str, url: str) -> None:
    ids = output_of(python, str(CELERY), "run", url)
    documents = [json.loads(line) for line in output_of(str(TOOL), url, "await", lines=ids)]
    assert [document["task_id"] for document in documents] == ids
    assert documents[0]["result"] == {"n": 2**70}
    assert documents[1]["result"] == "caf\u00e9"
    assert documents[2]["status"] == "FAILURE"
    assert documents[2]["result"]["exc_type"] == "KeyError"


def test_success_is_final_for_both(python: str, url: str) -> None:
    name = f"final{len(url)}"
    output_of(python, str(CELERY), "store", url, lines=[f'{name}-a SUCCESS "python"'])
    assert output_of(str(TOOL), url, "store", lines=[
        f"{name}-a FAILURE 5 {FAILURE}", f'{name}-a SUCCESS 5 "late"', f'{name}-b SUCCESS 1 "ours"',
        f'{name}-c PROGRESS 7 "ours"']) == ["kept", "kept", "stored", "stored"]
    output_of(python, str(CELERY), "store", url, lines=[
        f'{name}-b FAILURE "python"', f'{name}-c RETRY "python"'])
    # Of Celery's RETRY no run is known: the state decides, not the run of our PROGRESS before it.
    assert output_of(str(TOOL), url, "store", lines=[
        f"{name}-c STARTED 8 null", f"{name}-c FAILURE 1 {FAILURE}"]) == ["kept", "stored"]
    seen = celery_sees(python, url, f"{name}-a", f"{name}-b", f"{name}-c")
    assert [row["state"] for row in seen] == ["SUCCESS", "SUCCESS", "FAILURE"]
    assert [row["result"] for row in seen[:2]] == ["python", "ours"]
