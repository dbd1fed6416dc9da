"""Reads the rows of the Kaggle catalogue: JSONL in the API's form, or CSV with `Label,URL`.

A CSV gives title and reference; what it lacks is drawn from a hash of the reference, in the
proportions seen in real answers: sizes over eight orders of magnitude, some null, `lastUpdated`
with 0 to 7 digits of a second, no creation date anywhere.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from standin.chance import Chance
from standin.hf_catalog import date_ms, format_date
from standin.hf_source import Loaded
from standin.kaggle_catalog import LICENSE_IDS, Row, iso_date

PAGE_URL = "https://www.kaggle.com/datasets/"
FIRST_MS = 1451606400000  # 2016-01-01
LAST_MS = 1757894400000  # 2025-09-15
LICENSES = tuple(LICENSE_IDS)
FILE_TYPES = ("csv",) * 7 + ("json", "sqlite", "parquet", "bigQuery")
# tag -> (its full path, words of a title that call for it)
TAGS = {
    "business": ("subject > people and society > business", "sales store amazon customer retail"),
    "education": ("subject > people and society > education", "student school exam university"),
    "health": ("subject > health and fitness > health",
               "health disease medical cancer covid heart diabetes hospital drug"),
    "computer vision": ("technique > computer vision", "image images photo detection face"),
    "nlp": ("technique > nlp", "text tweets reviews news sentiment language words"),
    "audio": ("data type > audio", "audio speech music sound voice spotify"),
    "time series analysis": ("technique > time series analysis",
                             "daily hourly monthly historical time forecasting"),
    "classification": ("task > classification", "classification classifier recognition"),
    "regression": ("task > regression", "regression prediction price prices"),
    "finance": ("subject > people and society > finance",
                "stock stocks bank credit bitcoin loan crypto market"),
    "sports": ("subject > culture and humanities > sports",
               "football nba soccer cricket fifa olympic sports league"),
    "earth and nature": ("subject > earth and nature",
                         "weather climate air earthquake plant animal water temperature"),
    "video games": ("subject > culture and humanities > games > video games",
                    "game games steam pokemon playstation"),
    "movies and tv shows": ("subject > culture and humanities > movies and tv shows",
                            "movie movies netflix imdb anime film"),
    "automobiles and vehicles": ("subject > science and technology > transportation > "
                                 "automobiles and vehicles", "car cars vehicle traffic flight"),
    "food": ("subject > health and fitness > food", "food recipe wine coffee restaurant"),
}


def load_kaggle(path: Path) -> Loaded:
    """Every row of the file; its first byte decides which form it has."""
    with open(path, "rb") as file:
        is_jsonl = file.read(1) == b"{"
    loaded = Loaded([])
    seen_refs: set[str] = set()
    seen_ids: set[int] = set()
    for row in read_jsonl(path) if is_jsonl else read_csv(path):
        if row is None:
            loaded.rejected += 1
        elif row["ref"].lower() in seen_refs:
            loaded.collapsed += 1
        else:
            while row["id"] in seen_ids and not is_jsonl:
                row["id"] += 1
            seen_refs.add(row["ref"].lower())
            seen_ids.add(row["id"])
            loaded.rows.append(row)
    return loaded


def read_jsonl(path: Path) -> list[Row | None]:
    """Rows that carry `id` and `ref`; None for any other line."""
    rows: list[Row | None] = []
    with open(path, encoding="utf-8") as file:
        for text in file:
            if not text.strip():
                continue
            try:
                value: Any = json.loads(text)
            except ValueError:
                value = None
            valid = (isinstance(value, dict) and isinstance(value.get("id"), int)
                     and str(value.get("ref")).count("/") == 1)
            rows.append(value if valid else None)
    return rows


def read_csv(path: Path) -> list[Row | None]:
    """One row per record of `Label,URL`; None when the URL names no dataset."""
    with open(path, encoding="utf-8", newline="") as file:
        return [make_row(record.get("Label") or "", record.get("URL") or "")
                for record in csv.DictReader(file)]


def make_row(title: str, url: str) -> Row | None:
    """A row for a title and a page URL."""
    _, mark, ref = url.partition("/datasets/")
    ref = ref.strip("/")
    if not mark or ref.count("/") != 1:
        return None
    owner = ref.partition("/")[0]
    chance = Chance(ref.lower(), "kaggle")
    downloads = chance.skewed(60_000, 6.0)
    tags = tags_of(title)
    license_name = LICENSES[min(chance.skewed(len(LICENSES), 1.7), len(LICENSES) - 1)]
    subtitle = "" if chance.chance(0.2) else f"Files and notes about {title.strip().lower()}"
    return {
        "id": 500 + chance.between(0, 8_600_000),
        "ref": ref, "title": title.strip() or None, "subtitle": subtitle,
        "description": make_description(title.strip(), tags, chance),
        "creatorName": owner.replace("-", " ").title(), "creatorUrl": owner,
        "ownerName": owner.replace("-", " ").title(), "ownerRef": owner,
        "totalBytes": None if chance.chance(0.02) else 300 + chance.skewed(9e9, 7.0),
        "url": PAGE_URL + ref, "lastUpdated": make_date(chance),
        "downloadCount": downloads, "viewCount": downloads * chance.between(3, 9) + 40,
        "voteCount": downloads // chance.between(30, 90), "kernelCount": downloads // 700,
        "topicCount": downloads // 4000, "currentVersionNumber": 1 + chance.skewed(40, 5.0),
        "usabilityRating": round(chance.between(2, 17) / 17, 7), "licenseName": license_name,
        "isPrivate": False, "isFeatured": chance.chance(0.01),
        "thumbnailImageUrl": None,
        "tags": [make_tag(name) for name in tags], "files": [], "versions": [],
        "_fileType": chance.pick(FILE_TYPES),
    }


def tags_of(title: str) -> list[str]:
    """The tags whose words stand in a title."""
    found = set("".join(letter if letter.isalnum() else " " for letter in title.lower()).split())
    return [name for name, (_, words) in TAGS.items() if found & set(words.split())]


def make_description(title: str, tags: list[str], chance: Chance) -> str | None:
    """A Markdown description as authors write them, or None (one in eight)."""
    if chance.chance(0.12):
        return None
    about = f" It is filed under {', '.join(tags)}." if tags else ""
    return (f"### Context\n\n{title}: collected for practice and teaching.{about}\n\n"
            f"### Content\n\nThe table has {chance.between(3, 60)} columns and "
            f"{chance.between(100, 60_000)} rows.\n\n### Inspiration\n\n"
            f"What can be learned from {title.lower()}?\n")


def make_date(chance: Chance) -> str:
    """A time of the last nine years with 0 to 7 digits of a second."""
    moment = LAST_MS - chance.skewed(LAST_MS - FIRST_MS, 1.4)
    head = format_date(moment)[:-5]
    digits = chance.below(8)
    fraction = "".join(str(chance.below(10)) for _ in range(digits))
    return f"{head}.{fraction}Z" if digits else f"{head}Z"


def make_tag(name: str) -> dict[str, Any]:
    """A tag object of the API."""
    return {"ref": name, "name": name, "fullPath": TAGS[name][0], "description": None,
            "datasetCount": 0, "totalCount": 0}


def shift_updates(rows: list[Row], newest_ms: float) -> list[Row]:
    """Move every `lastUpdated` by the same step, so that the newest becomes `newest_ms`."""
    moments = [date_ms(iso_date(row.get("lastUpdated"))) for row in rows]
    latest = max(moments, default=-1.0)
    if latest < 0:
        return rows
    return [{**row, "lastUpdated": format_date(moment + newest_ms - latest)}
            if moment >= 0 else row for row, moment in zip(rows, moments, strict=True)]
