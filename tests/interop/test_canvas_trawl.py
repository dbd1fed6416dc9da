"""The shapes (canvas_shapes.py) on Trawl's workers alone, sent by both releases of Celery."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .canvas_run import TRAWL, Run, check, check_settled, make_run, read_answers, selected
from .canvas_shapes import SHAPES, Shape
from .pairs import PYTHONS
from .peers import Client
from .servers import Redis

ANSWERS = [read_answers(generation) for generation in PYTHONS]  # Trawl may follow either


@pytest.fixture(name="run", scope="module", params=list(PYTHONS))
def make_cluster(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
                 clients: Callable[[str], Client],
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    generation, cluster = request.param, TRAWL
    home = tmp_path_factory.mktemp(f"{cluster.name}-{generation}")
    yield from make_run(cluster, generation, redis, database(), clients(generation), home,
                        selected(request), ANSWERS)


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_shape(run: Run, shape: Shape) -> None:
    check(run, shape, ANSWERS, is_ours=True)


def test_everything_was_settled(run: Run) -> None:
    check_settled(run)
