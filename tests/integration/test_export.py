"""`trawl export` as its readers meet it: Python's json and csv read every form of real and of hostile rows."""

from __future__ import annotations

import csv
import json
import resource
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trawl_cli import BINARY, META_KAGGLE, Trawl

SEED = ("kaggle.seed_initial", "--path", str(META_KAGGLE))
HOSTILE = b"=\"a\",\r\n'b'\t\x01\x7f</script>\xff\xc3(\xed\xa0\x80\xe2\x80\xa8\xf0\x9f\x8d\xb7 \\"
READ = HOSTILE.decode("utf-8", "replace")
LONG = b'"x\n' * 350_000  # 1 MB
LINKED = ("dcat", "croissant", "croissant-1.0")


def damage(trawl: Trawl) -> None:
    """Make rows that no mapper would write: a database may have passed through other hands."""
    with sqlite3.connect(trawl.database) as database:
        ids = [row[0] for row in database.execute("SELECT row_id FROM datasets ORDER BY row_id LIMIT 2")]
        for column in ("title", "url", "description", "license", "source_meta", "link_state"):
            database.execute(f"UPDATE datasets SET {column} = CAST(? AS TEXT) WHERE row_id = ?", (HOSTILE, ids[0]))
        database.execute("UPDATE datasets SET description = CAST(? AS TEXT) WHERE row_id = ?", (LONG, ids[1]))
    database.close()


def rows_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The datasets of a catalogue."""
    rows = document["dcat:dataset"] if "dcat:dataset" in document else document["dataset"]
    assert isinstance(rows, list)
    return rows


def test_every_form_reads_back(trawl: Trawl) -> None:
    trawl.task(*SEED)
    damage(trawl)
    out = trawl.home / "out"
    for form in ("jsonl", "csv", *LINKED):
        summary = trawl.json("export", "--format", form, "--output", str(out.with_suffix("." + form)))
        assert summary["rows"] == 110 and summary["format"] == form
        assert summary["bytes"] == out.with_suffix("." + form).stat().st_size

    lines = [json.loads(line) for line in out.with_suffix(".jsonl").read_bytes().decode().split("\n") if line]
    assert lines[0]["title"] == lines[0]["source_meta"] == READ
    assert lines[1]["description"] == LONG.decode()

    csv.field_size_limit(1 << 24)
    with out.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file, strict=True))
    assert list(table[0]) == list(lines[0])  # the same names in the same order
    for line, record in zip(lines, table, strict=True):
        for name, value in line.items():
            if isinstance(value, str):
                assert record[name] == value
            elif isinstance(value, bool):
                assert record[name] == str(value).lower()
            elif value is None or value == []:
                assert record[name] == ""
            else:
                assert json.loads(record[name]) == value

    for form in LINKED:
        rows = rows_of(json.loads(out.with_suffix("." + form).read_bytes().decode()))
        title, text = ("dct:title", "dct:description") if form == "dcat" else ("name", "description")
        assert [row[title] for row in rows] == [line["title"] or line["ref"] for line in lines]
        assert rows[1][text] == LONG.decode()
        assert "conformsTo" not in rows[0] and "dcat:distribution" not in rows[0]


def test_croissant_claims_only_what_it_has(trawl: Trawl) -> None:
    trawl.task(*SEED)
    done = trawl.run("export", "--format", "croissant", "--json")
    summary = json.loads(done.stderr)
    rows = rows_of(json.loads(done.stdout))
    claims = [row for row in rows if "conformsTo" in row]
    assert len(claims) == summary["rows"] - summary["incomplete"] > 50
    for row in claims:
        assert {"name", "description", "url", "license", "creator", "datePublished"} <= set(row)
        assert row["isLiveDataset"] is True and row["license"].startswith("https://")
    ids = [file["@id"] for row in rows for file in row["distribution"]]
    assert len(set(ids)) == len(ids)


def test_rows_and_filters(trawl: Trawl) -> None:
    trawl.task(*SEED)
    refs = [row["ref"] for row in trawl.catalogue()][:2]
    one = json.loads(trawl.run("export", "--format", "croissant", refs[0]).stdout)
    assert one["@type"] == "sc:Dataset" and refs[0] in (one.get("alternateName"), one["name"])
    assert len(rows_of(json.loads(trawl.run("export", "--format", "dcat", *refs).stdout))) == 2
    licensed = trawl.run("export", "--format", "jsonl", "--license", "cc0-1.0").stdout.splitlines()
    assert licensed and all(json.loads(line)["license"].lower() == "cc0-1.0" for line in licensed)
    recent = trawl.run("export", "--jsonl", "--since", "2024-01-01").stdout.splitlines()
    assert recent and all(json.loads(line)["source_updated_at"] >= "2024" for line in recent)
    assert trawl.run("export", "--format", "csv", "--source", "nobody").stdout.count("\n") == 1
    formats = trawl.run("export", "--jsonl", "--file-format", "csv").stdout.splitlines()
    assert all("csv" in json.loads(line)["file_formats"] for line in formats)


@pytest.mark.parametrize(("words", "says"), [
    (("--format", "xml"), "must be one of jsonl, csv, dcat, croissant, croissant-1.0, got 'xml'"),
    (("--format", "csv", "--jsonl"), "exclude each other"),
    (("--format", "csv", "a/b", "--source", "kaggle"), "references and filters exclude each other"),
    (("--format", "csv", "--output="), "--output needs a path"),
    (("--format", "csv", "--since", "soon"), "must be a date like 2024-05-01"),
])
def test_mistakes(trawl: Trawl, words: tuple[str, ...], says: str) -> None:
    trawl.task(*SEED)
    done = trawl.run("export", *words, status=2)
    assert says in done.stderr and done.stdout == ""


def test_a_file_is_whole_or_as_it_was(trawl: Trawl) -> None:
    trawl.task(*SEED)
    target = trawl.home / "out.json"
    target.write_text("before")
    done = trawl.run("export", "--format", "dcat", "no/such", "--output", str(target), status=1)
    assert "no dataset 'no/such'" in done.stderr
    assert target.read_text() == "before" and not list(trawl.home.glob("*.part"))
    assert "is a directory" in trawl.run("export", "--format", "csv", "--output", "data", status=1).stderr
    trawl.run("export", "--format", "csv", "--output", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_leaves_the_old_file(trawl: Trawl) -> None:
    trawl.task(*SEED)
    damage(trawl)
    target = trawl.home / "out.json"
    target.write_text("before")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run([str(BINARY), "export", "--format", "dcat", "--output", str(target)], cwd=trawl.home,
                          env=trawl.env, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 1 and "cannot write" in done.stderr
    assert target.read_text() == "before" and not list(trawl.home.glob("*.part"))
