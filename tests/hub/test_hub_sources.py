"""Foreign catalogues become rows of the APIs: conversion, counts, and the real data if present."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from standin.croissant import convert
from standin.faults import parse_spec, pick
from standin.hf_source import load_hf
from standin.kaggle_source import load_kaggle
from standin.storage import crc32c, parse_range

SHARED = Path(os.environ.get("TRAWL_SHARED_DATA",
                             Path(__file__).resolve().parents[3] / "shared" / "data"))
LINE = {
    "name": "rain", "keyword": "weather", "description": "Rain.", "creator_name": "A",
    "url": "https://huggingface.co/datasets/a/rain", "license_name": "MIT License",
    "language": "en", "first_N_keywords": ["English", "10K - 100K", "parquet", "Tabular",
                                           "🇺🇸 Region: US", "Datasets", "robotics", "found"]}


def shared(name: str) -> Path:
    """A file of the real data; skips the test where it is missing."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"no real data at {path} (set TRAWL_SHARED_DATA)")
    return path


def test_croissant_line_becomes_an_api_row() -> None:
    row = convert(LINE)
    assert row is not None and row == convert(LINE)
    assert (row["id"], row["author"], row["description"]) == ("a/rain", "a", "Rain.")
    assert len(row["_id"]) == 24 and len(row["sha"]) == 40
    assert row["createdAt"] <= row["lastModified"]
    for tag in ("language:en", "size_categories:10K<n<100K", "format:parquet", "license:mit",
                "modality:tabular", "region:us", "library:datasets", "weather",
                "task_categories:robotics", "annotations_creators:found"):
        assert row["tags"].count(tag) == 1, tag


def test_loading_counts_collapsed_and_rejected(tmp_path: Path) -> None:
    api = {"_id": "0" * 24, "id": "b/own", "strange": [1]}
    lines = [json.dumps(LINE), json.dumps(LINE), json.dumps(api), "{broken", "7", "",
             json.dumps({"url": "https://huggingface.co/a"})]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n")
    loaded = load_hf(path)
    assert [row["id"] for row in loaded.rows] == ["a/rain", "b/own"]
    assert loaded.rows[1] == api
    assert (loaded.collapsed, loaded.rejected) == (1, 3)


def test_real_hugging_face_catalogue() -> None:
    loaded = load_hf(shared("hf-croissant-catalog-2025/datasets.jsonl"))
    assert (len(loaded.rows), loaded.collapsed, loaded.rejected) == (25_918, 0, 0)
    idle = sum(row["downloads"] == 0 for row in loaded.rows)
    assert 0.6 < idle / len(loaded.rows) < 0.72
    assert any(row.get("cardData", {}) and not isinstance(row["cardData"], dict)
               for row in loaded.rows if "cardData" in row)
    languages = [row["cardData"].get("language") for row in loaded.rows
                 if isinstance(row.get("cardData"), dict)]
    assert False in languages and ["sv", False] in languages


def test_real_kaggle_titles() -> None:
    loaded = load_kaggle(shared("kaggle-urls-2025/kaggle_urls.csv"))
    assert (len(loaded.rows), loaded.collapsed, loaded.rejected) == (27_059, 0, 0)
    assert len({row["id"] for row in loaded.rows}) == 27_059


@pytest.mark.parametrize("text", ["cut", "cut=x", "cut=1.5", "fly=0.1", "200=0.1",
                                  "cut=0.6,html=0.6"])
def test_wrong_fault_specifications_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition("=")[0]):
        parse_spec(text)


def test_faults_come_as_often_as_asked() -> None:
    table = parse_spec("cut=0.02, 503=0.01,hang=0.002")
    drawn = [pick(table, 3, number) for number in range(20_000)]
    assert 320 < drawn.count("cut") < 480
    assert 140 < drawn.count("503") < 260
    assert 15 < drawn.count("hang") < 75
    assert drawn == [pick(table, 3, number) for number in range(20_000)]


def test_crc32c_of_the_known_vector() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4 and every CRC catalogue


@pytest.mark.parametrize(("text", "found"), [
    ("bytes=0-4", (0, 4)), ("bytes=5-", (5, 9)), ("bytes=-3", (7, 9)), ("bytes=-99", (0, 9)),
    ("bytes=3-99", (3, 9)), ("bytes=10-", (10, 9)), ("bytes=4-2", None), ("bytes=a-", None),
    ("lines=0-1", None), ("bytes=0-1,3-4", None)])
def test_parse_range(text: str, found: tuple[int, int] | None) -> None:
    assert parse_range(text, 10) == found
