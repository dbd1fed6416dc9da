"""The main job against the stand-in: fetch, seed, enrich, and what must hold after each."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Hub, small_rows
from trawl_cli import META_KAGGLE, SHARED_DATA, Trawl, assert_balanced

FAULTS = "cut=0.03,truncate=0.03,500=0.03,503=0.02,429=0.02,html=0.03,reset=0.02"
EVERYTHING = ("enrich.fetch_hf_datasets", "--limit", "0", "--days-back", "0")


def test_full_sweep_then_nothing_changes(hub: Callable[..., Hub], trawl: Trawl) -> None:
    trawl.use(hub())
    first = trawl.task(*EVERYTHING)
    assert_balanced(first)
    assert first["total_fetched"] == sum(not row["private"] for row in small_rows("hf.jsonl"))
    assert first["total_inserted"] + first["total_rejected"] == first["total_fetched"]
    second = trawl.task(*EVERYTHING)
    assert_balanced(second)
    assert second["total_unchanged"] == first["total_inserted"]
    assert second["total_inserted"] == second["total_updated"] == 0


def test_rejected_rows_are_told(hub: Callable[..., Hub], trawl: Trawl) -> None:
    one = hub()
    trawl.use(one)
    bad = {"_id": "", "id": "no/key"}
    page = json.dumps([bad, small_rows("hf.jsonl")[0]])
    one.control("next", {"prefix": "/api/datasets", "count": 1, "status": 200, "body": page,
                         "headers": {"Content-Type": "application/json"}})
    result = trawl.task(*EVERYTHING)
    assert result["total_rejected"] == 1 and result["total_inserted"] == 1
    run = trawl.json("runs")[0]["run"]
    rejects = trawl.json("runs", "--rejects", str(run))
    assert len(rejects) == 1 and "_id" in rejects[0]["reason"], rejects


def test_changes_arrive_and_derived_data_stays(hub: Callable[..., Hub], trawl: Trawl) -> None:
    one = hub("--newest", "now")
    trawl.use(one)
    trawl.task(*EVERYTHING)
    rows = trawl.query("SELECT external_id, source_key FROM datasets"
                       " WHERE external_id LIKE '%/%' ORDER BY external_id LIMIT 3")
    old, key = rows[0]
    owner = old.split("/")[0]
    one.control("mutate", {"hf": [
        {"op": "rename", "id": old, "to": f"{owner}/a-new-name"},
        {"op": "touch", "id": f"{owner}/a-new-name"},
        {"op": "touch", "id": rows[1][0]},
        {"op": "disable", "id": rows[2][0]},
        {"op": "touch", "id": rows[2][0]},
    ]})
    trawl.task("enrich.fetch_hf_datasets", "--days-back", "1")
    assert trawl.query("SELECT external_id FROM datasets WHERE source_key = ?", key) == [
        (f"{owner}/a-new-name",)]
    assert trawl.query("SELECT count(*) FROM datasets WHERE external_id = ?", old) == [(0,)]
    assert trawl.query("SELECT is_active FROM datasets WHERE external_id = ?", rows[2][0]) == [(0,)]


def test_faults_change_nothing(hub: Callable[..., Hub], trawl: Trawl, tmp_path: Any) -> None:
    trawl.use(hub())
    trawl.task(*EVERYTHING)
    clean = trawl.catalogue()
    (tmp_path / "other").mkdir()
    other = Trawl(tmp_path / "other").use(hub("--faults", FAULTS, "--seed", "11"))
    result = other.task(*EVERYTHING)
    assert_balanced(result)
    assert other.catalogue() == clean


def test_credentials_stay_home(hub: Callable[..., Hub], trawl: Trawl) -> None:
    one = hub()
    trawl.use(one)
    trawl.task("kaggle.seed_initial", HF_TOKEN="hf_test")
    trawl.task("enrich.fetch_hf_datasets", HF_TOKEN="hf_test")
    stats = one.stats()
    assert stats["authorization_reached_storage"] == 0, stats


def test_wrong_credentials(hub: Callable[..., Hub], trawl: Trawl) -> None:
    trawl.use(hub())
    done = trawl.run("run", "kaggle.fetch_latest", status=4, KAGGLE_KEY="wrong")
    assert "KAGGLE" in done.stderr
    done = trawl.run("run", "enrich.fetch_hf_datasets", status=4, HF_TOKEN="hf_wrong")
    assert "HF_TOKEN" in done.stderr


def test_seed_from_directory_matches_the_dump(trawl: Trawl) -> None:
    expected = json.loads((META_KAGGLE / "expected.json").read_text())
    result = trawl.task("kaggle.seed_initial", "--path", str(META_KAGGLE))
    assert_balanced(result)
    assert result["total_processed"] == result["total_fetched"]
    assert result["total_rejected"] > 0
    stored = dict(trawl.query("SELECT source_key, external_id FROM datasets"))
    for key, ref in expected["refs"].items():
        assert stored[key] == ref
    again = trawl.task("kaggle.seed_initial", "--path", str(META_KAGGLE))
    assert again["total_inserted"] == again["total_updated"] == 0
    assert again["total_unchanged"] == result["total_inserted"]


def test_seed_by_download(hub: Callable[..., Hub], trawl: Trawl, tmp_path: Any) -> None:
    trawl.task("kaggle.seed_initial", "--path", str(META_KAGGLE))
    local = trawl.catalogue()
    (tmp_path / "other").mkdir()
    other = Trawl(tmp_path / "other").use(hub("--zip-csv", "all"))
    other.task("kaggle.seed_initial")
    assert other.catalogue() == local


def test_kaggle_latest_and_enrich(hub: Callable[..., Hub], trawl: Trawl) -> None:
    trawl.use(hub())
    latest = trawl.task("kaggle.fetch_latest", "--limit", "60")
    assert_balanced(latest)
    assert latest["total_inserted"] == 60
    total = 0
    for _ in range(3):
        result = trawl.task("kaggle.enrich_pending", "--batch-size", "30")
        total += result["enriched"]
    assert total == trawl.query("SELECT count(*) FROM datasets"
                                " WHERE enrichment_status = 'enriched'")[0][0]
    assert total >= 55


def test_rate_limit_gives_rows_back(hub: Callable[..., Hub], trawl: Trawl) -> None:
    trawl.use(hub())
    trawl.task("kaggle.fetch_latest", "--limit", "40")
    limited = Trawl(trawl.home).use(hub("--kaggle-quota", "5", "--window-seconds", "3600",
                                        "--kaggle-retry-after", "3600"))
    result = limited.run("run", "kaggle.enrich_pending", "--json", status=6)
    assert json.loads(result.stdout)["rate_limited"] > 0
    assert trawl.query("SELECT count(*) FROM datasets WHERE enrichment_status = 'enriching'") == [
        (0,)]


def kill_at_random_points(trawl: Trawl, words: tuple[str, ...], times: int, seed: int,
                          longest_s: float) -> int:
    """Start a task and SIGKILL it after a random time, again and again; how many died at work."""
    chance = random.Random(seed)
    killed = 0
    for _ in range(times):
        process = trawl.start("run", *words)
        time.sleep(chance.uniform(0.005, longest_s))
        if process.poll() is None:
            process.kill()
            killed += 1
        process.communicate()
    return killed


@pytest.mark.parametrize("words", [
    EVERYTHING,
    ("kaggle.seed_initial", "--batch-size", "10", "--path", str(META_KAGGLE)),
])
def test_killed_at_random_points(hub: Callable[..., Hub], trawl: Trawl, tmp_path: Any,
                                 words: tuple[str, ...]) -> None:
    one = hub()
    trawl.use(one)
    trawl.task(*words)
    clean = trawl.catalogue()
    (tmp_path / "other").mkdir()
    other = Trawl(tmp_path / "other").use(one)
    assert kill_at_random_points(other, words, 20, 5, 0.06) > 0
    other.run("run", *words)
    assert_balanced(other.task(*words))
    assert other.catalogue() == clean
    other.run("db", "check")


@pytest.mark.skipif(not (SHARED_DATA / "hf-croissant-catalog-2025/datasets.jsonl").exists(),
                    reason="shared data set is not here: hf-croissant-catalog-2025")
def test_real_rows(hub: Callable[..., Hub], trawl: Trawl) -> None:
    catalogue = SHARED_DATA / "hf-croissant-catalog-2025/datasets.jsonl"
    trawl.use(hub("--hf", str(catalogue), "--faults", "cut=0.03,truncate=0.03,503=0.03,html=0.03"))
    first = trawl.task(*EVERYTHING)
    assert_balanced(first)
    assert first["total_fetched"] == first["total_inserted"] == 25918
    second = trawl.task(*EVERYTHING)
    assert second["total_unchanged"] == second["total_fetched"] == 25918


@pytest.mark.skipif(not (SHARED_DATA / "meta-kaggle-2017/Datasets.csv").exists(),
                    reason="shared data set is not here: meta-kaggle-2017")
def test_real_meta_kaggle_of_2017(trawl: Trawl) -> None:
    result = trawl.task("kaggle.seed_initial", "--path", str(SHARED_DATA / "meta-kaggle-2017"))
    assert_balanced(result)
    assert result["total_inserted"] == 47 and result["total_rejected"] == 0
    assert trawl.query("SELECT count(*) FROM datasets WHERE title LIKE '%''''%'") == [(0,)]
