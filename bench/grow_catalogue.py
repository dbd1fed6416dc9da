#!/usr/bin/python3
"""Make a large catalogue of a small one, for measurements: every row again and again under other names.

    grow_catalogue.py SMALL/trawl.db LARGE/trawl.db --copies 39

The copies have no vectors and are not in the keyword index; everything that reads rows by key meets
rows of real size.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
from pathlib import Path

FRESH = {"id": "randomblob(16)", "embedded_hash": "NULL", "embedded_model_id": "NULL"}
RENAMED = ("source_key", "external_id")


def grow(path: Path, copies: int) -> int:
    """Add copies - 1 copies of each row; returns the number of rows then."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    columns = [row[1] for row in database.execute("PRAGMA table_info(datasets)")]
    largest = database.execute("SELECT max(row_id) FROM datasets").fetchone()[0]
    for copy in range(1, copies):
        values = FRESH | {"row_id": f"row_id + {largest * copy}"}
        values |= {name: f"{name} || '--copy{copy}'" for name in RENAMED}
        chosen = ", ".join(values.get(name, name) for name in columns)
        database.execute(f"INSERT INTO datasets ({', '.join(columns)})"
                         f" SELECT {chosen} FROM datasets WHERE row_id <= {largest}")
    database.commit()
    count: int = database.execute("SELECT count(*) FROM datasets").fetchone()[0]
    database.close()
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--copies", type=int, default=39)
    words = parser.parse_args()
    words.large.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(words.small, words.large)
    print(f"{grow(words.large, words.copies)} rows in {words.large}")


if __name__ == "__main__":
    main()
