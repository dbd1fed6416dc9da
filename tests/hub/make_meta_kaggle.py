#!/usr/bin/python3
"""Writes a Meta Kaggle of today's shape and size: six CSV files, for measurements.

    python3 tests/hub/make_meta_kaggle.py --out DIR --datasets 500000 --versions 2000000 \\
        --users 5000000

About 3.2 GB at that size, in half a minute on one core; memory stays near 130 MB. The same
arguments write the same bytes. One line of JSON tells what was written and what a reader should
find, such as how many sets can be given a reference.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

from bulk.files import Writer
from bulk.plan import make_plan
from bulk.texts import make_texts
from small.meta import HEADERS
from small.topics import read_topics

TOPICS = Path(__file__).resolve().parent / "small" / "topics.txt"


def main() -> int:
    """Write everything."""
    parser = argparse.ArgumentParser(description="Write a large Meta Kaggle.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--datasets", type=int, default=500_000)
    parser.add_argument("--versions", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    started = time.monotonic()
    rng = random.Random(given.seed)
    try:
        plan = make_plan(given.datasets, given.versions, given.users, rng)
    except ValueError as bad:
        parser.error(str(bad))
    given.out.mkdir(parents=True, exist_ok=True)
    writer = Writer(given.out, plan, make_texts(read_topics(TOPICS), rng), rng)
    writer.write_all()
    print(json.dumps({
        "datasets": given.datasets, "versions": given.versions, "users": given.users,
        "with_ref": given.datasets - plan.counts["owner_unknown"],
        **plan.counts, **writer.counts,
        "bytes": {name: (given.out / name).stat().st_size for name in HEADERS},
        "seconds": round(time.monotonic() - started, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
