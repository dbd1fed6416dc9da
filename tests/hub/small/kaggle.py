"""Kaggle rows of the small catalogue, in the form of the API.

Row n has the numeric id 1000 + 7 n. The first 100 are in Meta Kaggle too (see meta.py), the
others are newer than the dump.
"""

from __future__ import annotations

from typing import Any

from standin.chance import Chance
from standin.croissant import DAY_MS
from standin.hf_catalog import Row, format_date
from standin.kaggle_catalog import LICENSE_IDS

from small.topics import Item, Topic

USERS = ("annaberg", "devika92", "tomaszk", "lee-park", "mfontaine", "osei", "rui-costa",
         "sandbox42", "hannahj", "yusufdemir", "petra-n", "quietgraph", "ivokov", "zoe-lin")
ORGANIZATIONS = ("river-institute", "open-city-lab", "agri-union")
LATEST_MS = 1761900000000  # 2025-10-31
IN_DUMP = 100


def numeric_id(place: int) -> int:
    """The id of the row at a place of the catalogue."""
    return 1000 + 7 * place


def make_rows(topics: list[Topic]) -> list[Row]:
    """One row per Kaggle set of the topics, one topic after the other in turn."""
    pairs = [(topic, topic.kaggle[turn]) for turn in range(4) for topic in topics]
    return [make_row(place, topic, item) for place, (topic, item) in enumerate(pairs)]


def make_row(place: int, topic: Topic, item: Item) -> Row:
    """The row of one set."""
    chance = Chance(item.slug, "small-kaggle")
    by_organization = place % 12 == 5
    owner = chance.pick(ORGANIZATIONS if by_organization else USERS)
    ref = f"{owner}/{item.slug}"
    downloads = 20 + chance.skewed(40_000, 4.0)
    age = chance.skewed(2500 * DAY_MS, 1.3) if place < IN_DUMP else \
        chance.skewed(5 * DAY_MS, 1.0)
    license_name = chance.pick(tuple(LICENSE_IDS))
    return {
        "id": numeric_id(place), "ref": ref, "title": item.title,
        "subtitle": item.holds[0].upper() + item.holds[1:],
        "description": make_description(place, topic, item),
        "creatorName": owner.replace("-", " ").title(), "creatorUrl": owner,
        "ownerName": owner.replace("-", " ").title(), "ownerRef": owner,
        "totalBytes": None if place % 31 == 30 else 900 + chance.skewed(2e9, 5.0),
        "url": f"https://www.kaggle.com/datasets/{ref}",
        "lastUpdated": with_fraction(LATEST_MS - age, place % 8),
        "downloadCount": downloads, "viewCount": downloads * chance.between(3, 8) + 31,
        "voteCount": downloads // 40, "kernelCount": downloads // 500,
        "topicCount": downloads // 3000, "currentVersionNumber": 1 + chance.skewed(6, 2.0),
        "usabilityRating": round(chance.between(3, 17) / 17, 7), "licenseName": license_name,
        "isPrivate": False, "isFeatured": place % 40 == 0,
        "thumbnailImageUrl": f"https://example.org/thumbnails/{numeric_id(place)}.jpg",
        "tags": [make_tag(name) for name in topic.kaggle_tags], "files": [], "versions": [],
        "_fileType": topic.format if topic.format in ("json", "parquet") else "csv",
    }


def make_tag(name: str) -> dict[str, Any]:
    """A tag object."""
    return {"ref": name, "name": name, "fullPath": f"subject > {name}", "description": None,
            "datasetCount": 0, "totalCount": 0}


def make_description(place: int, topic: Topic, item: Item) -> str | None:
    """Markdown, null for every eighth set."""
    if place % 8 == 7:
        return None
    return (f"### Context\n\nThis dataset holds {item.holds}.\n\n### Content\n\n"
            + " ".join(topic.sentences)
            + f"\n\n### Inspiration\n\nWhat does it teach us about {topic.name}?")


def with_fraction(milliseconds: int, digits: int) -> str:
    """A time with 0 to 7 digits of a second."""
    head = format_date(milliseconds)[:-5]
    return f"{head}.{'1204057'[:digits]}Z" if digits else f"{head}Z"
