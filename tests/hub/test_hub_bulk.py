"""The large Meta Kaggle, made small: shape, proportions, and the counts that it reports."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
DATASETS, VERSIONS, USERS = 3000, 12_000, 9000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """(directory, what the generator reported)."""
    directory = tmp_path_factory.mktemp("meta")
    return directory, make(directory)


def make(directory: Path) -> dict[str, Any]:
    """Run the generator."""
    done = subprocess.run(
        [sys.executable, HERE / "make_meta_kaggle.py", "--out", directory, "--datasets",
         str(DATASETS), "--versions", str(VERSIONS), "--users", str(USERS)],
        check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def read(path: Path) -> list[dict[str, str]]:
    """Every record; fails on one of another width than the header."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert all(None not in row and None not in row.values() for row in rows)
    return rows


def test_same_arguments_same_bytes(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    make(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (made[0] / path.name).read_bytes(), path.name


def test_sizes_and_proportions(made: tuple[Path, dict[str, Any]]) -> None:
    directory, report = made
    versions = read(directory / "DatasetVersions.csv")
    texts = sorted(len(row["Description"].encode()) for row in versions if row["Description"])
    assert len(versions) == VERSIONS and len(versions) - len(texts) == report["null_descriptions"]
    assert 0.1 < report["null_descriptions"] / VERSIONS < 0.2
    assert 400 < texts[len(texts) // 2] < 800 and texts[-1] > 50_000
    assert sum("\n" in row["Description"] for row in versions) > VERSIONS // 2
    assert any("\r\n" in row["Description"] for row in versions)
    assert len(read(directory / "Users.csv")) == USERS
    links = read(directory / "DatasetTags.csv")
    assert 2.5 < len(links) / DATASETS < 3.5
    tags = {row["Id"] for row in read(directory / "Tags.csv")}
    assert len(tags) == 600 and {row["TagId"] for row in links} <= tags


def test_report_is_what_a_join_finds(made: tuple[Path, dict[str, Any]]) -> None:
    directory, report = made
    datasets = read(directory / "Datasets.csv")
    versions = {row["Id"]: row for row in read(directory / "DatasetVersions.csv")}
    users = {row["Id"] for row in read(directory / "Users.csv")}
    organizations = {row["Id"] for row in read(directory / "Organizations.csv")}
    by_organization = [row for row in datasets if row["OwnerOrganizationId"]]
    assert len(datasets) == DATASETS
    assert len(by_organization) == report["organization_owned"]
    assert 0.06 < len(by_organization) / DATASETS < 0.10
    known = [row for row in datasets
             if row["OwnerUserId"].partition(".")[0] in users
             or row["OwnerOrganizationId"].partition(".")[0] in organizations]
    assert len(known) == report["with_ref"]
    current = [row["CurrentDatasetVersionId"].partition(".")[0] for row in datasets]
    assert sum(not number for number in current) == report["current_empty"]
    lost = [number for number in current if number and number not in versions]
    assert len(lost) == report["current_not_in_file"]
    for row, number in zip(datasets, current, strict=True):
        assert number not in versions or versions[number]["DatasetId"] == row["Id"]
    assert {row["DatasetId"] for row in versions.values()} == {row["Id"] for row in datasets}
