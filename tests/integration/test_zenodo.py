"""examples/zenodo: a source as a plug-in, built as its author builds it (its own Makefile, headers
installed somewhere, no tree of ours), with its real client against the stand-in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Hub
from trawl_cli import BINARY, ROOT, Trawl, assert_balanced

FETCH = "zenodo.fetch_datasets"
IS_LONG = bool(os.environ.get("TRAWL_TEST_LONG"))  # half a minute more


@pytest.fixture(scope="module")
def zenodo_so(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed headers, a copy of the example, make."""
    home = tmp_path_factory.mktemp("zenodo")
    subprocess.run(["meson", "install", "-C", str(BINARY.parents[1]), "--no-rebuild", "--quiet",
                    "--tags", "devel", "--destdir", str(home / "stage")], check=True)
    headers = next((home / "stage").rglob("include/trawl")).parent
    shutil.copytree(ROOT / "examples/zenodo", home / "zenodo")
    subprocess.run(["make", "-s", "-C", str(home / "zenodo"), f"TRAWL_CFLAGS=-I{headers}",
                    "CFLAGS=-O2 -Werror -Wshadow -Wconversion"], check=True)
    return home / "zenodo/zenodo.so"


@pytest.fixture
def site(trawl: Trawl, zenodo_so: Path, hub: Callable[..., Hub]) -> Callable[..., Hub]:
    """`site("--zenodo", "60")`: a stand-in, and trawl.yaml that leads there."""
    def start(*options: str) -> Hub:
        source = hub("--hf", "none", "--kaggle", "none", "--meta-kaggle", "none", *options)
        trawl.home.joinpath("trawl.yaml").write_text(
            f"include:\n  - {zenodo_so}\n"
            f"http: {{trusted_origins: \"{source.endpoint}\"}}\n"
            f"plugins:\n  zenodo:\n    endpoint: {source.endpoint}\n    min_interval_ms: 0\n")
        return source
    return start


def rows(trawl: Trawl) -> dict[str, dict[str, Any]]:
    """The catalogue, by external_id."""
    return {str(row["ref"]): row for row in trawl.catalogue()}


def place(trawl: Trawl) -> tuple[Any, ...]:
    """Where the harvest stands."""
    return trawl.query("SELECT watermark, detail FROM source_state"
                       " WHERE source_name = 'zenodo' AND stream = 'listing'")[0]


def test_a_record_becomes_a_row(trawl: Trawl, site: Callable[..., Hub]) -> None:
    """Each field of docs/plugins.md's table, and what records lack at times."""
    site("--zenodo", "100")
    ledger = trawl.task(FETCH, "--limit", "0")
    assert_balanced(ledger)
    assert ledger["total_fetched"] == 100 and ledger["total_rejected"] == 2
    assert ledger["source"] == "zenodo" and ledger["total_inserted"] == 98
    row = rows(trawl)["10.5281/zenodo.14999990"]
    assert row["title"] == "Measurements of protein structures in Lake Victoria, part 999999"
    assert row["description"] == "Hourly values of protein structures & notes.\n\nLake Victoria"
    assert row["license"] == "cc-zero" and row["url"] == "https://zenodo.org/records/14999990"
    assert row["tags"] == ["protein structures", "Lake Victoria"]  # once each
    assert row["file_formats"] == ["csv", "parquet", "tar.gz", "nc"]
    assert row["download_count"] == 2770 and row["total_size_bytes"] > 1e9
    assert row["source_created_at"].startswith("2026-03-01T11:23:00")
    assert row["source_meta"]["conceptdoi"] == "10.5281/zenodo.14999989"
    assert row["source_meta"]["creators"][0]["name"].startswith("Doe")
    assert any(not one["license"] for one in rows(trawl).values())
    assert any(one["total_size_bytes"] is None for one in rows(trawl).values())
    reasons = [row[0] for row in trawl.query("SELECT reason FROM run_rejects ORDER BY 1")]
    assert reasons == ["it has no id", "it has no title"]
    assert "protein structures" in trawl.run("search", "protein structures").stdout


def test_new_ones_first_then_older_ones(trawl: Trawl, site: Callable[..., Hub]) -> None:
    """Runs of limit=100 (the default) over 260 records, with 150 published meanwhile: the gap that a
    limit left is filled before anything else, and in the end each is there once."""
    source = site("--zenodo", "260")
    first = trawl.task(FETCH)
    assert first["total_fetched"] == 100 and first["total_unchanged"] == 0
    source.control("zenodo", {"publish": 150})
    second = trawl.task(FETCH)
    assert second["total_inserted"] + second["total_rejected"] == 100  # all of them new
    assert "gap_from_us" in place(trawl)[1]
    third = trawl.task(FETCH)  # the gap's 50 first, then older ones
    assert third["total_fetched"] == 100 and "gap_from_us" not in place(trawl)[1]
    rest = [trawl.task(FETCH) for _ in range(3)]
    for ledger in (first, second, third, *rest):
        assert_balanced(ledger)
    n_rejected = sum(one["total_rejected"] for one in (first, second, third, *rest))
    assert len(rows(trawl)) == 410 - n_rejected and rest[-1]["total_inserted"] == 0
    assert place(trawl)[1] == '{"floor_us":0}'
    source.control("zenodo", {"publish": 3, "revise": 2})
    last = trawl.task(FETCH)
    assert last["total_inserted"] == 1 + 2 and last["total_updated"] == 0


def test_a_new_version_is_the_same_dataset(trawl: Trawl, site: Callable[..., Hub]) -> None:
    """Another id and DOI, the same concept: the row is re-keyed."""
    source = site("--zenodo", "40")
    trawl.task(FETCH)
    before = rows(trawl)
    source.control("zenodo", {"revise": 2})
    ledger = trawl.task(FETCH)
    assert ledger["total_updated"] == 2 and ledger["total_inserted"] == 0
    after = rows(trawl)
    assert len(after) == len(before)
    assert after["10.5281/zenodo.14999992"]["id"] == before["10.5281/zenodo.14999990"]["id"]


def test_faults_change_nothing(trawl: Trawl, site: Callable[..., Hub], tmp_path: Path) -> None:
    """Cut, truncated, 503 and pages in the way: the same catalogue, every record."""
    source = site("--zenodo", "260", "--seed", "5")
    source.control("faults", {"spec": "cut=0.1,truncate=0.1,503=0.05,html=0.1", "seed": 5})
    ledger = trawl.task(FETCH, "--limit", "0")
    assert_balanced(ledger)
    assert ledger["total_fetched"] == 260
    assert source.stats()["faults"], "none of them happened"


def test_a_kill_loses_a_page_at_most(trawl: Trawl, site: Callable[..., Hub]) -> None:
    """The next run goes on behind the last page that was committed."""
    source = site("--zenodo", "600")
    source.control("next", {"prefix": "/api/records", "count": 100, "delay_s": 0.05})
    run = trawl.start("run", FETCH, "--limit", "0")
    end = time.monotonic() + 15
    while not trawl.database.exists() or not trawl.query(
            "SELECT count(*) FROM sqlite_master WHERE name = 'datasets'")[0][0] or \
            trawl.query("SELECT count(*) FROM datasets")[0][0] < 100:
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    source.control("reset", {})
    n_before = trawl.query("SELECT count(*) FROM datasets")[0][0]
    again = trawl.task(FETCH, "--limit", "0")
    assert_balanced(again)
    assert again["total_inserted"] <= 600 - n_before and again["total_unchanged"] <= 25
    assert len(rows(trawl)) == 600 - 12  # two of each 97 cannot be used


def test_limits_and_refusals(trawl: Trawl, site: Callable[..., Hub]) -> None:
    """429 is waited out where it is short; other answers end the run with their kind."""
    source = site("--zenodo", "75", "--zenodo-quota", "2", "--window-seconds", "1.5")
    assert trawl.task(FETCH)["total_fetched"] == 75
    assert source.stats()["by_kind"]["zenodo"]["429"] >= 1
    for status, wanted in ((403, 4), (404, 1), (400, 1)):
        source.control("next", {"prefix": "/api/records", "count": 9, "status": status,
                                "body": {"message": "on purpose"}})
        error = trawl.run("run", FETCH, status=wanted).stderr
        assert f"the source answered {status}" in error, error
        source.control("reset", {})


@pytest.mark.skipif(not IS_LONG, reason="TRAWL_TEST_LONG is not set")
def test_more_than_one_search_shows(trawl: Trawl, site: Callable[..., Hub]) -> None:
    """Beyond the first 10,000 results the span is narrowed."""
    site("--zenodo", "10100")
    ledger = trawl.task(FETCH, "--limit", "0")
    assert_balanced(ledger)
    assert ledger["total_inserted"] + ledger["total_rejected"] >= 10100
    assert ledger["total_fetched"] <= 10150
