"""The small catalogue is what its generator writes, and what its description says."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "hub"
META = FIXTURES / "meta-kaggle"

Record = dict[str, str]


def read_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line)
            for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


def read_records(name: str) -> list[Record]:
    """The records of a CSV file, wrong ones too; a short record lacks keys."""
    with open(META / name, encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        return [dict(zip(header, record, strict=False)) | {"_width": str(len(record))}
                for record in reader]


def sound(records: list[Record], width: int) -> dict[int, Record]:
    """Records of the right width with a readable id, the first of each id."""
    found: dict[int, Record] = {}
    for record in records:
        if record["_width"] == str(width) and record["Id"].isdecimal():
            found.setdefault(int(record["Id"]), record)
    return found


def whole(text: str) -> int | None:
    """`693.0` as a number, nothing as None."""
    return int(float(text)) if text else None


def test_generator_writes_what_is_committed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, HERE / "make_small.py", "--out", tmp_path], check=True)
    written = {str(path.relative_to(tmp_path)): path.read_bytes()
               for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) == 10
    for name, data in written.items():
        assert data == (FIXTURES / name).read_bytes(), name


def test_hub_rows_cover_topics_and_quirks() -> None:
    rows = read_rows("hf.jsonl")
    assert len({row["_id"] for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    plain = [row for row in rows if row["id"].startswith("quirks/") is False]
    assert len(plain) > 230 and len(rows) - len(plain) > 30
    tails = sum("… See the full description on" in row["description"] for row in plain)
    assert 0.6 < tails / len(plain) < 0.8
    assert {type(row.get("cardData")) for row in rows} == {dict, list, str, type(None)}
    assert {str(row.get("gated")) for row in rows} == {"False", "auto", "manual", "None"}
    assert [row["id"] for row in rows if "/" not in row["id"]] == ["tide-gauges",
                                                                  "old_news_corpus"]


def test_meta_kaggle_counts() -> None:
    expected = json.loads((META / "expected.json").read_text(encoding="utf-8"))
    for name, count in expected["records"].items():
        records = read_records(name)
        assert len(records) == count, name
        assert (META / name).read_bytes().count(b"\n") == expected["lines"][name], name
    datasets = sound(read_records("Datasets.csv"), 16)
    del datasets[8003]  # the broken date
    assert len(datasets) == expected["datasets"]
    assert sum(not row["CurrentDatasetVersionId"] for row in datasets.values()) == \
        expected["current_version_empty"]
    assert sum(not row["OwnerUserId"] and not row["OwnerOrganizationId"]
               for row in datasets.values()) == expected["owner_ids_empty"]


def join() -> dict[str, str]:
    """Dataset id -> owner/slug, by the rules of the dump."""
    datasets = sound(read_records("Datasets.csv"), 16)
    versions = sound(read_records("DatasetVersions.csv"), 14)
    users = {key: row["UserName"] for key, row in sound(read_records("Users.csv"), 6).items()}
    organizations = {key: row["Slug"]
                     for key, row in sound(read_records("Organizations.csv"), 5).items()}
    latest: dict[int, Record] = {}
    for version in versions.values():
        key = int(version["DatasetId"])
        if key not in latest or float(version["VersionNumber"]) > float(
                latest[key]["VersionNumber"]):
            latest[key] = version
    refs: dict[str, str] = {}
    for key, row in datasets.items():
        chosen = versions.get(whole(row["CurrentDatasetVersionId"]) or 0) or latest.get(key)
        user, organization = whole(row["OwnerUserId"]), whole(row["OwnerOrganizationId"])
        owner = users.get(user) if user else organizations.get(organization or 0)
        if chosen and owner and key != 8003:
            refs[str(key)] = f"{owner}/{chosen['Slug']}"
    return refs


def test_meta_kaggle_joins_to_the_described_refs() -> None:
    expected = json.loads((META / "expected.json").read_text(encoding="utf-8"))
    refs = join()
    assert refs == expected["refs"]
    api = {str(row["id"]): row["ref"] for row in read_rows("kaggle.jsonl")}
    both = set(api) & set(refs)
    assert len(api) == 120 and len(both) == 96
    assert sum(api[key] != refs[key] for key in both) == expected["slug_changed_since"]


def test_meta_kaggle_holds_what_real_dumps_hold() -> None:
    versions = (META / "DatasetVersions.csv").read_bytes()
    for piece in (b"\r\n\r\n", b"\n\n", b'""count them""', b'\\"" + alert(1)', b"We''re",
                  "🐝".encode(), b"<script>"):
        assert piece in versions, piece
    assert b'"Id","DatasetId"' in versions
    assert (META / "Datasets.csv").read_bytes().startswith(b"Id,CreatorUserId")
