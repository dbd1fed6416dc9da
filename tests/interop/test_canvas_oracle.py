"""The shapes (canvas_shapes.py) on Celery's own workers: where the expectations come from.

They are proved again with TRAWL_CANVAS=oracle, and written anew with TRAWL_CANVAS=record; else skipped,
since nothing of ours takes part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

import pytest

from .canvas_run import ANSWERS, ORACLE, Run, check, check_settled, make_run, read_answers, selected
from .canvas_shapes import SHAPES, Shape
from .pairs import PYTHONS
from .peers import Client
from .servers import Redis

MODE = os.environ.get("TRAWL_CANVAS", "")
pytestmark = pytest.mark.skipif(MODE not in ("oracle", "record"),
                                reason="Celery alone: TRAWL_CANVAS=oracle")


@pytest.fixture(name="run", scope="module", params=list(PYTHONS))
def make_oracle(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
                clients: Callable[[str], Client],
                tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    generation = request.param
    known = [] if MODE == "record" else [read_answers(generation)]
    runs = make_run(ORACLE, generation, redis, database(), clients(generation),
                    tmp_path_factory.mktemp(f"oracle-{generation}"), selected(request), known)
    for run in runs:
        if MODE == "record":
            ANSWERS.mkdir(exist_ok=True)
            (ANSWERS / f"{generation}.json").write_text(
                json.dumps(run.seen, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        yield run


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_shape(run: Run, shape: Shape) -> None:
    check(run, shape, [read_answers(run.peer.generation)])


def test_everything_was_settled(run: Run) -> None:
    check_settled(run)
