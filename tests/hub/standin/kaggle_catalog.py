"""The live Kaggle catalogue: rows in the API's form, their orders, filters and changes to them.

References are compared without case and kept as given. Unlike the Hub's, Kaggle's pages are cut
by number from the order of the moment, so every change shifts the pages behind it.
Keys of a row that begin with `_` are ours and never served.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from standin.hf_catalog import date_ms

Row = dict[str, Any]

LICENSE_IDS = {
    "CC0: Public Domain": "CC0-1.0",
    "CC BY-SA 4.0": "CC-BY-SA-4.0",
    "CC BY-SA 3.0": "CC-BY-SA-3.0",
    "CC BY-NC-SA 4.0": "CC-BY-NC-SA-4.0",
    "Attribution 4.0 International (CC BY 4.0)": "CC-BY-4.0",
    "Attribution 3.0 Unported (CC BY 3.0)": "CC-BY-3.0",
    "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)": "CC-BY-NC-4.0",
    "Database: Open Database, Contents: © Original Authors": "ODbL-1.0",
    "Database: Open Database, Contents: Database Contents": "DbCL-1.0",
    "ODC Attribution License (ODC-By)": "ODC-BY-1.0",
    "ODC Public Domain Dedication and Licence (PDDL)": "PDDL",
    "Community Data License Agreement - Sharing - Version 1.0": "CDLA-Sharing-1.0",
    "GPL 2": "GPL-2.0",
    "GNU Lesser General Public License 3.0": "LGPL-3.0",
    "Apache 2.0": "apache-2.0",
    "MIT": "MIT",
    "U.S. Government Works": "US-Government-Works",
    "Data files © Original Authors": "copyright-authors",
    "Other (specified in description)": "other",
    "Unknown": "unknown",
}

SORTS: dict[str, Callable[[Row], float]] = {
    "hottest": lambda row: number(row, "viewCount") + 20.0 * number(row, "voteCount"),
    "votes": lambda row: number(row, "voteCount"),
    "updated": lambda row: date_ms(iso_date(row.get("lastUpdated"))),
    "active": lambda row: number(row, "kernelCount") + number(row, "topicCount"),
    "published": lambda row: number(row, "id"),
    "relevance": lambda row: number(row, "usabilityRating"),
    "usability": lambda row: number(row, "usabilityRating"),
    "download_count": lambda row: number(row, "downloadCount"),
    "notebook_count": lambda row: number(row, "kernelCount"),
    "last_viewed": lambda row: number(row, "viewCount"),
}


def number(row: Row, key: str) -> float:
    """A count of a row, 0 when it is null or absent."""
    value = row.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0


def iso_date(value: object) -> str:
    """`lastUpdated` has 0 to 7 digits of a second; Python 3.11 reads at most 6."""
    text = str(value)
    head, dot, fraction = text.partition(".")
    return f"{head}.{fraction.rstrip('Z')[:6]}Z" if dot else text


def now_text() -> str:
    """The current time as `lastUpdated` shows it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def license_group(name: object) -> str:
    """The group under which the `license` parameter finds a licence: cc, gpl, odb or other."""
    text = LICENSE_IDS.get(str(name), "other").upper()
    if text.startswith("CC"):
        return "cc"
    if "GPL" in text:
        return "gpl"
    return "odb" if text.startswith(("ODBL", "DBCL", "ODC", "PDDL")) else "other"


def tag_id(name: str) -> int:
    """A stable id for a tag that no Tags.csv names."""
    return 10_000 + zlib.crc32(name.encode()) % 20_000


@dataclass(frozen=True)
class Filter:
    """The parameters that choose rows; hashable, so that an order can be cached by it."""

    sort: str = "hottest"
    search: str = ""
    user: str = ""
    min_size: int | None = None
    max_size: int | None = None
    file_type: str = "all"
    license: str = "all"
    tag_ids: tuple[int, ...] = ()


class KaggleCatalog:
    """Rows by lower-case reference. Thread-safe; rows are replaced, never changed in place."""

    def __init__(self, rows: list[Row], tag_ids: dict[str, int]) -> None:
        self._lock = threading.RLock()
        self._loaded = {row["ref"].lower(): row for row in rows}
        self._tag_ids = tag_ids
        self.reset()

    def reset(self) -> None:
        """The rows as they were loaded."""
        with self._lock:
            self._rows = dict(self._loaded)
            self._orders: dict[Filter, list[str]] = {}

    def __len__(self) -> int:
        with self._lock:
            return len(self._rows)

    def get(self, ref: str) -> Row | None:
        """The row of a reference."""
        with self._lock:
            return self._rows.get(ref.lower())

    def page(self, wanted: Filter, start: int, count: int) -> tuple[list[Row], int]:
        """`count` rows from position `start`, and how many there are in all."""
        with self._lock:
            order = self._orders.get(wanted)
            if order is None:
                if len(self._orders) >= 64:
                    self._orders.clear()
                order = self._orders[wanted] = self._make_order(wanted)
            return [self._rows[ref] for ref in order[start:start + count]], len(order)

    def _make_order(self, wanted: Filter) -> list[str]:
        value = SORTS[wanted.sort]
        found = [(-value(row), row["id"], ref) for ref, row in self._rows.items()
                 if not row.get("isPrivate") and self._matches(row, wanted)]
        return [ref for _, _, ref in sorted(found)]

    def _matches(self, row: Row, wanted: Filter) -> bool:
        if wanted.user and row["ref"].partition("/")[0].lower() != wanted.user.lower():
            return False
        if wanted.search:
            text = f"{row.get('title')} {row.get('subtitle')} {row['ref']}".lower()
            if any(word not in text for word in wanted.search.lower().split()):
                return False
        size = row.get("totalBytes")
        if wanted.min_size is not None and (size is None or size < wanted.min_size):
            return False
        if wanted.max_size is not None and (size is None or size > wanted.max_size):
            return False
        if wanted.file_type != "all" and row.get("_fileType", "csv") != wanted.file_type:
            return False
        if wanted.license != "all" and license_group(row.get("licenseName")) != wanted.license:
            return False
        return all(tag in self.tag_ids_of(row) for tag in wanted.tag_ids)

    def tag_ids_of(self, row: Row) -> set[int]:
        """The numeric ids of a row's tags."""
        names = [str(tag.get("name")) for tag in row.get("tags") or [] if isinstance(tag, dict)]
        return {self._tag_ids.get(name, tag_id(name)) for name in names}

    # -- changes --------------------------------------------------------------------------------

    def put(self, row: Row) -> None:
        """Add a row, or replace the one of its reference."""
        with self._lock:
            self._rows[row["ref"].lower()] = row
            self._orders.clear()

    def remove(self, ref: str) -> None:
        """Delete a row; KeyError when there is none."""
        with self._lock:
            del self._rows[ref.lower()]
            self._orders.clear()

    def change(self, ref: str, fields: Row) -> None:
        """Replace fields of a row; KeyError."""
        with self._lock:
            self.put({**self._rows[ref.lower()], **fields})

    def rename(self, ref: str, target: str) -> None:
        """Move a row to a new reference; the old one is then missing."""
        with self._lock:
            if target.lower() in self._rows:
                raise ValueError(f"'{target}' exists")
            row = self._rows.pop(ref.lower())
            self.put({**row, "ref": target,
                      "url": f"https://www.kaggle.com/datasets/{target}",
                      "ownerRef": target.partition("/")[0]})
