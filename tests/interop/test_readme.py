"""README.md's Redis form and its Python client, as they stand there: only the address is the test's."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .pairs import PYTHONS, need
from .peers import ROOT, environment
from .servers import Redis

HEADING = "## With Redis, beside Celery\n"
ADDRESS = "redis://localhost:6379/0"
BINARY = Path(os.environ.get("TRAWL_BINARY", ROOT / "build" / "cli" / "trawl"))


def snippets() -> dict[str, str]:
    """The section's code, by language."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(HEADING)[1].split("\n## ")[0]
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


@pytest.fixture(name="address", scope="module")
def make_address(redis: Redis, database: Callable[[], int],
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the README's worker serves."""
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not built")
    url = redis.url(database())
    home = tmp_path_factory.mktemp("readme")
    env = environment(TRAWL_DATA_DIR=str(home / "data"))
    env["PATH"] = f"{BINARY.parent}:{env['PATH']}"
    script = snippets()["sh"].replace(ADDRESS, url).replace("trawl worker", "exec trawl worker")
    with (home / "log").open("w") as log:
        worker = subprocess.Popen(["bash", "-euc", script], cwd=ROOT, env=env, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    assert worker.stdout is not None
    line = worker.stdout.readline()
    assert line.startswith("ready: "), (home / "log").read_text(encoding="utf-8")
    yield url
    worker.terminate()
    assert worker.wait(timeout=15) == 0
    worker.stdout.close()


@pytest.mark.parametrize("generation", list(PYTHONS))
def test_python_client(address: str, generation: str) -> None:
    need("python", generation)
    script = snippets()["python"].replace(ADDRESS, address)
    done = subprocess.run([PYTHONS[generation], "-c", script], cwd=ROOT, env=environment(),
                          capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    expected = re.search(r"# (\{'total_fetched': \d+)", script)
    assert expected is not None and done.stdout.startswith(expected[1]), done.stdout


def test_celery_command(address: str) -> None:
    """`celery inspect registered` lists the catalogue's tasks."""
    need("python", "current")
    done = subprocess.run(
        [PYTHONS["current"], "-m", "celery", "-b", address, "inspect", "registered", "-t", "2"],
        env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "enrich.generate_embeddings" in done.stdout
