"""The message layer against real Celery: what a worker of Celery sees in a message is the same before
and after our decoder and encoder had it, and what we send is what a client of Celery sends.

The Python that has Celery is given in TRAWL_CELERY_PYTHON:

    TRAWL_CELERY_PYTHON=venv/bin/python /usr/bin/python3 -m pytest tests/integration/test_celery_messages.py
"""

import base64
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TRAWL_BUILD_DIR", ROOT / "build"))
FILTER = BUILD / "tests" / "unit" / "celery_message_filter"
READER = Path(__file__).with_name("celery_reader.py")
FIXTURES = ROOT / "tests" / "fixtures" / "celery"


def celery_python() -> str:
    python = os.environ.get("TRAWL_CELERY_PYTHON")
    if not python:
        pytest.skip("TRAWL_CELERY_PYTHON does not name a Python that has Celery")
    probe = subprocess.run([python, str(READER), "version"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"{python} cannot import celery: {probe.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture(scope="module")
def python() -> str:
    return celery_python()


def lines_of(command: list[str], lines: list[str]) -> list[str]:
    done = subprocess.run(command, input="".join(line + "\n" for line in lines), text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def through_filter(mode: str, lines: list[str]) -> list[str]:
    if not FILTER.exists():
        pytest.skip(f"{FILTER} is not built")
    out = lines_of([str(FILTER), mode], lines)
    assert len(out) == len(lines)
    return out


def seen_by_celery(python: str, envelopes: list[str]) -> dict[str, Any]:
    rows = [json.loads(line) for line in lines_of([python, str(READER), "run"], envelopes)]
    return {row["id"]: row for row in rows}


def fixture_rows(name: str) -> list[dict[str, Any]]:
    """The messages that a worker would start at once."""
    rows = [json.loads(line) for line in (FIXTURES / name).read_text().splitlines()]
    return [row for row in rows if row["expect"]["task"] == "proj.add"
            and not row["expect"]["eta"] and not row["expect"]["expires"]]


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.glob("*.jsonl")))
def test_a_worker_sees_the_same_task(python: str, name: str) -> None:
    rows = fixture_rows(name)
    before = seen_by_celery(python, [row["envelope"] for row in rows])
    after = seen_by_celery(python, through_filter("recode", [row["envelope"] for row in rows]))
    assert len(before) >= 25
    assert before.keys() == after.keys()
    for row in rows:
        old, new = before[repr(row["expect"]["id"])], after[repr(row["expect"]["id"])]
        # What protocol 2 of 5.3 always says and older senders left out.
        fillers = {"stamps": "{}", "stamped_headers": "None", "ignore_result": "None",
                   "replaced_task_nesting": "0", "root_id": repr(row["expect"]["id"]),
                   "argsrepr": repr(row["expect"]["argsrepr"]),
                   "kwargsrepr": repr(row["expect"]["kwargsrepr"])}
        for field, value in old.items():
            if new[field] != value:
                assert new[field] == fillers.get(field), (row["shape"], field)
                assert value in ("None", "False"), (row["shape"], field)


def test_times_survive(python: str) -> None:
    rows = [json.loads(line) for line in (FIXTURES / "celery-5.7.0.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["expect"]["eta"] or row["expect"]["expires"]]
    assert len(rows) >= 6
    for row, line in zip(rows, through_filter("recode", [row["envelope"] for row in rows])):
        headers = json.loads(line)["headers"]
        assert headers["eta"] == row["expect"]["eta"]
        assert headers["expires"] == row["expect"]["expires"]


def test_a_worker_runs_what_we_send(python: str) -> None:
    calls = [
        {"task": "proj.add", "id": "plain", "args": [2, 3], "kwargs": {}},
        {"task": "proj.add", "id": "zlib", "args": ["x" * 3000], "kwargs": {"y": [None, True]},
         "compression": "zlib"},
        {"task": "proj.add", "id": "bzip2", "args": ["x" * 3000], "kwargs": {}, "compression": "bzip2"},
        {"task": "proj.add", "id": "text", "args": ["\xe9\ud800\U0001f600 it's"],
         "kwargs": {"nan": float("nan"), "big": 10**60, "zero": -0.0}},
        {"task": "proj.add", "id": "past", "args": [], "kwargs": {}, "eta_us": 1795436816633048},
        {"task": "proj.add", "id": "late", "args": [], "kwargs": {}, "eta_us": 1500000000000000,
         "expires_us": 4102444800000000, "now_us": 4102444799000000},
    ]
    calls[4]["eta_us"] = 1600000000000001
    envelopes = through_filter("send", [json.dumps(call) for call in calls])
    seen = seen_by_celery(python, envelopes)
    assert seen.keys() == {repr(call["id"]) for call in calls}
    for call in calls:
        row = seen[repr(call["id"])]
        assert row["args"] == repr(tuple(call["args"]))
        assert row["kwargs"] == repr(call["kwargs"])
        assert row["root_id"] == repr(call["id"])
    assert seen["'past'"]["eta"] == "'2020-09-13T12:26:40.000001+00:00'"
    assert seen["'late'"]["eta"] == "'2017-07-14T02:40:00+00:00'"
    assert json.loads(envelopes[5])["properties"]["expiration"] == "1000"


def test_what_we_refuse_is_told(python: str) -> None:
    row = fixture_rows("celery-5.7.0.jsonl")[0]
    envelope = json.loads(row["envelope"])
    short = {**envelope, "body": base64.b64encode(b"[[], {}]").decode()}
    pickle = {**envelope, "content-type": "application/x-python-serialize"}
    out = [json.loads(line) for line in through_filter("recode", [json.dumps(short), json.dumps(pickle)])]
    assert [line["refused"] for line in out] == ["bad-body", "foreign-content-type"]


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(9 if depth else 7)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, -1, rng.getrandbits(80), -rng.getrandbits(40)])
    if kind == 2:
        return rng.choice([rng.random(), rng.uniform(-1e20, 1e20), 10.0 ** rng.randrange(-12, 25),
                           float("nan"), float("inf"), -0.0, 5e-324])
    if kind < 7:
        return "".join(rng.choice("ab '\"\\\n\t\x07\x7f\xe9\xad\u200b\ud800\U0001f600 ")
                       for _ in range(rng.choice([0, 3, 30, 700, 1100])))
    size = rng.choice([0, 1, 2, 5, 40])
    if kind == 7:
        return [random_value(rng, depth - 1) for _ in range(size)]
    return {f"k{i}'": random_value(rng, depth - 1) for i in range(size)}


@pytest.mark.parametrize("mode", ["repr", "python"])
def test_values_look_as_in_python(python: str, mode: str) -> None:
    version = lines_of([python, str(READER), "version"], [])[0]
    if mode == "repr" and tuple(map(int, version.split(".")[:2])) < (5, 7):
        pytest.skip(f"Celery {version} closes brackets after a cut otherwise than 5.7")
    rng = random.Random(7)
    values = [json.dumps(random_value(rng, 5)) for _ in range(400)]
    assert through_filter(mode, values) == lines_of([python, str(READER), mode], values)
