#!/usr/bin/python3
"""Writes the small catalogue to tests/fixtures/hub/: hf.jsonl, kaggle.jsonl, meta-kaggle/.

    python3 tests/hub/make_small.py [--out DIR]

Deterministic: the same sources write the same bytes, and a test compares them with what is
committed. All text comes from small/topics.txt and small/quirks.py and was written for this
project.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from small import hf, kaggle, quirks
from small.meta import SmallMeta
from small.topics import read_topics

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "hub"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """One row per line; a lone surrogate is written as its escape."""
    lines = []
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        if not text.isascii() and any(0xD800 <= ord(letter) < 0xE000 for letter in text):
            text = json.dumps(row, separators=(",", ":"))
        lines.append(text + "\n")
    path.write_text("".join(lines), encoding="utf-8", newline="")


def main() -> int:
    """Write everything."""
    parser = argparse.ArgumentParser(description="Write the small catalogue of the stand-in.")
    parser.add_argument("--out", type=Path, default=FIXTURES)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    topics = read_topics(HERE / "small" / "topics.txt")
    rows = [hf.make_row(topic, item) for topic in topics for item in topic.hub]
    write_lines(out / "hf.jsonl", rows + quirks.make_quirks())
    sets = kaggle.make_rows(topics)
    write_lines(out / "kaggle.jsonl", sets)
    SmallMeta(sets).write(out / "meta-kaggle")
    return 0


if __name__ == "__main__":
    sys.exit(main())
