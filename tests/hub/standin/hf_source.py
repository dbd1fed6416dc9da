"""Reads the rows of the Hugging Face catalogue from JSONL: the API's own form, or Croissant form.

A line with `_id` and `id` is a row of the API and is served untouched; a line with `url` is
converted. Anything else is rejected, rows with the same id collapse to the first, and the counts
are told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from standin.croissant import FIRST_MS, convert
from standin.hf_catalog import Row, date_ms, format_date


@dataclass
class Loaded:
    """What came out of a file."""

    rows: list[Row]
    collapsed: int = 0
    rejected: int = 0

    def summary(self, path: Path) -> str:
        """One line for the log."""
        return (f"{path}: loaded={len(self.rows)} collapsed={self.collapsed} "
                f"rejected={self.rejected}")


def load_hf(path: Path) -> Loaded:
    """Every row of a JSONL file."""
    loaded = Loaded([])
    seen: set[str] = set()
    with open(path, encoding="utf-8") as file:
        for text in file:
            if not text.strip():
                continue
            row = parse_line(text)
            if row is None:
                loaded.rejected += 1
            elif row["id"] in seen or row["_id"] in seen:
                loaded.collapsed += 1
            else:
                seen.update((row["id"], row["_id"]))
                loaded.rows.append(row)
    return loaded


def parse_line(text: str) -> Row | None:
    """The row of one line, or None."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict):
        return None
    if isinstance(line.get("_id"), str) and isinstance(line.get("id"), str):
        return line
    return convert(line) if "url" in line else None


def shift_dates(rows: list[Row], newest_ms: float) -> list[Row]:
    """Move every date by the same step, so that the newest `lastModified` becomes `newest_ms`.

    A `createdAt` that says "unknown" stays; rows without a readable date stay as they are.
    """
    latest = max((date_ms(str(row.get("lastModified"))) for row in rows), default=-1.0)
    if latest < 0:
        return rows
    step = newest_ms - latest
    shifted = []
    for row in rows:
        row = dict(row)
        for key in ("createdAt", "lastModified"):
            moment = date_ms(str(row.get(key)))
            if moment >= 0 and moment != FIRST_MS:
                row[key] = format_date(moment + step)
        shifted.append(row)
    return shifted
