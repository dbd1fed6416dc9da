"""The live Hugging Face catalogue: rows, their order under each sort key, and changes to them.

A listing page is computed against the rows as they are at that moment, from a keyset condition
on (sort key, `_id`): descending key, then ascending `_id`. That is what the Hub's cursors hold,
and it is why a row whose key changes during a walk is skipped or seen twice.

Rows are never changed in place: a change puts a new dict in the place of the old one, so `reset`
only needs the dict of the rows as they were loaded.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from standin.wire import dump

Row = dict[str, Any]
Position = tuple[float, str]  # (negated sort value, _id)

SORT_KEYS = ("lastModified", "createdAt", "downloads", "likes", "trendingScore")
CACHED_SHAPES = 4


def sort_value(row: Row, key: str) -> float:
    """The value of a sort key as a number; dates as milliseconds; absent or odd values as -1."""
    value = row.get(key)
    if isinstance(value, str):
        return date_ms(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return -1.0


def date_ms(text: str) -> float:
    """Milliseconds since 1970 of `2024-11-25T20:07:28.000Z`, or -1 for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return -1.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return round(moment.timestamp() * 1000.0)


def format_date(milliseconds: float) -> str:
    """The Hub's form of a time."""
    moment = datetime.fromtimestamp(milliseconds / 1000.0, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(milliseconds) % 1000:03d}Z"


class HfCatalog:
    """Rows by id, with one sorted index per sort key. Thread-safe."""

    def __init__(self, rows: list[Row]) -> None:
        self.lock = threading.RLock()
        self._loaded = {row["id"]: row for row in rows}
        self.reset()

    def reset(self) -> None:
        """The rows as they were loaded."""
        with self.lock:
            self._rows = dict(self._loaded)
            self._ids = {row["_id"]: name for name, row in self._rows.items()}
            self._moved: dict[str, str] = {}
            self._aliases: dict[str, str] = {}
            self._rendered: dict[object, dict[str, bytes]] = {}
            self._order: dict[str, list[Position]] = {
                key: sorted((-sort_value(row, key), row["_id"]) for row in self._rows.values())
                for key in SORT_KEYS}

    def __len__(self) -> int:
        with self.lock:
            return len(self._rows)

    def get(self, name: str) -> Row | None:
        """The row of an id; an alias of an old name leads to the new row."""
        with self.lock:
            return self._rows.get(self._aliases.get(name, name))

    def moved_to(self, name: str) -> str | None:
        """Where a renamed id lives now; a chain of renames is followed to its end."""
        with self.lock:
            target = self._moved.get(name)
            for _ in range(len(self._moved)):
                if target not in self._moved:
                    break
                target = self._moved[target]
            return target

    def page(self, key: str, after: Position | None, limit: int,
             wanted: Callable[[Row], bool]) -> tuple[list[Row], Position | None]:
        """Up to `limit` rows behind `after`, and the position to go on from, or None at the end."""
        with self.lock:
            order = self._order[key]
            start = 0 if after is None else bisect.bisect_right(order, after)
            found: list[Row] = []
            last: Position | None = None
            for place in range(start, len(order)):
                row = self._rows[self._ids[order[place][1]]]
                if not wanted(row):
                    continue
                if len(found) == limit:
                    return found, last
                found.append(row)
                last = order[place]
            return found, None

    def render(self, row: Row, shape: object, project: Callable[[Row], Row]) -> bytes:
        """JSON of a row in a shape (a hashable name of `project`), cached until it changes."""
        with self.lock:
            cache = self._rendered.get(shape)
            if cache is None:
                if len(self._rendered) >= CACHED_SHAPES:
                    self._rendered.pop(next(iter(self._rendered)))
                cache = self._rendered[shape] = {}
            found = cache.get(row["_id"])
            if found is None:
                found = cache[row["_id"]] = dump(project(row))
            return found

    # -- changes --------------------------------------------------------------------------------

    def put(self, row: Row) -> None:
        """Add a row, or replace the one with its `_id`."""
        with self.lock:
            old_name = self._ids.get(row["_id"])
            if old_name is not None:
                self._take_out(self._rows.pop(old_name))
            self._rows[row["id"]] = row
            self._ids[row["_id"]] = row["id"]
            self._moved.pop(row["id"], None)
            self._aliases.pop(row["id"], None)
            for key, order in self._order.items():
                bisect.insort(order, (-sort_value(row, key), row["_id"]))

    def remove(self, name: str) -> None:
        """Delete a row; KeyError when there is none."""
        with self.lock:
            row = self._rows.pop(name)
            self._take_out(row)
            del self._ids[row["_id"]]

    def change(self, name: str, fields: Row) -> Row:
        """Replace fields of a row (None as a value is stored, not removed); KeyError."""
        with self.lock:
            row = {**self._rows[name], **fields}
            self.put(row)
            return row

    def rename(self, name: str, target: str, alias: bool) -> None:
        """Give a row a new id; the old one redirects, or answers with the new row (`alias`)."""
        with self.lock:
            if target in self._rows:
                raise ValueError(f"'{target}' exists")
            owner, slash, _ = target.partition("/")
            row = {**self._rows[name], "id": target}
            if slash:
                row["author"] = owner
            else:
                row.pop("author", None)
            self.put(row)
            (self._aliases if alias else self._moved)[name] = target

    def _take_out(self, row: Row) -> None:
        for key, order in self._order.items():
            position = (-sort_value(row, key), row["_id"])
            del order[bisect.bisect_left(order, position)]
        for cache in self._rendered.values():
            cache.pop(row["_id"], None)

    def names(self) -> list[str]:
        """Every id, in the order in which the rows were loaded or added."""
        with self.lock:
            return list(self._rows)
