"""The shapes (canvas_shapes.py) on a Python worker and Trawl's side by side, in both arrangements."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .canvas_run import (TRAWL_LEFT, TRAWL_RIGHT, Run, check, check_settled, make_run, read_answers,
                         selected)
from .canvas_shapes import SHAPES, Shape
from .pairs import PYTHONS
from .peers import Client
from .servers import Redis

ANSWERS = [read_answers(generation) for generation in PYTHONS]  # Trawl may follow either
CLUSTERS = [(generation, cluster) for generation in PYTHONS
            for cluster in (TRAWL_LEFT, TRAWL_RIGHT)]
CLUSTER_IDS = [f"{generation}-{cluster.name}" for generation, cluster in CLUSTERS]


@pytest.fixture(name="run", scope="module", params=CLUSTERS, ids=CLUSTER_IDS)
def make_cluster(request: pytest.FixtureRequest, redis: Redis, database: Callable[[], int],
                 clients: Callable[[str], Client],
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    generation, cluster = request.param
    home = tmp_path_factory.mktemp(f"{cluster.name}-{generation}")
    yield from make_run(cluster, generation, redis, database(), clients(generation), home,
                        selected(request), ANSWERS)


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_shape(run: Run, shape: Shape) -> None:
    check(run, shape, ANSWERS, is_ours=True)


def test_everything_was_settled(run: Run) -> None:
    check_settled(run)
