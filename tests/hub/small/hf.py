"""Hugging Face rows of the small catalogue, in the form of the API, from the topics."""

from __future__ import annotations

from typing import Any

from standin.chance import Chance, hex_id
from standin.croissant import DAY_MS, FIRST_MS, make_info
from standin.hf_catalog import Row, format_date

from small.topics import Item, Topic

OWNERS = ("open-meadow", "lab-okapi", "tiny-corpora", "northwind-data", "casa-de-datos",
          "data-quarry", "harbour-ml", "paper-lantern", "blue-heron-lab", "cartographie",
          "fieldnotes", "KiteLab", "mossy-bit", "sunday-science", "Ursa_Research")
LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-4.0", "cc0-1.0", "cc-by-sa-4.0", "odbl",
            "cc-by-nc-4.0", "other")
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
LATEST_MS = 1761900000000  # 2025-10-31
HEADING = "\n\t\n\t\t\n\t\n\t\n\t\t{}\n\t\n\n\n"
TAIL = "… See the full description on the dataset page: https://huggingface.co/datasets/{}."
CUT = 496
MORE = (
    "Each row is one observation; the columns are described in the card, with units and the "
    "share of missing values.",
    "The data were collected over two years, cleaned with scripts that are part of the "
    "repository, and split into train, validation and test.",
    "Please cite the authors when you use the set, and tell them about mistakes you find: "
    "corrections are released every quarter.",
)


def make_row(topic: Topic, item: Item) -> Row:
    """The row of one set."""
    chance = Chance(item.slug, "small")
    owner = chance.pick(OWNERS)
    name = f"{owner}/{item.slug}"
    created = LATEST_MS - chance.skewed(LATEST_MS - FIRST_MS, 1.5)
    modified = created + chance.skewed(min(500 * DAY_MS, LATEST_MS - created), 2.0)
    downloads = 0 if chance.chance(0.6) else 5 + chance.skewed(90_000, 6.0)
    row: Row = {
        "_id": hex_id(name, 24, "_id"), "id": name, "author": owner,
        "sha": hex_id(name, 40, "sha"), "lastModified": format_date(modified),
        "createdAt": format_date(created), "private": False,
        "gated": "auto" if chance.chance(0.04) else False, "disabled": False,
        "downloads": downloads, "downloadsAllTime": downloads * 9 + chance.skewed(4000, 3.0),
        "likes": 0 if chance.chance(0.5) else 1 + chance.skewed(300, 5.0),
        "trendingScore": chance.skewed(30, 6.0),
    }
    license_id = chance.pick(LICENSES)
    size = chance.pick(SIZES)
    row["tags"] = make_tags(topic, item, license_id, size, chance)
    row["description"] = make_description(topic, item, name, chance)
    row["mainSize"] = 20_000 + chance.skewed(5e10, 5.0)
    row["key"] = ""
    if chance.chance(0.8):
        row["cardData"] = make_card(topic, item, license_id, size, chance)
    row["siblings"] = [{"rfilename": ".gitattributes"}, {"rfilename": "README.md"},
                       {"rfilename": f"data/{item.slug}-00000-of-00001"}]
    return row


def make_tags(topic: Topic, item: Item, license_id: str, size: str, chance: Chance) -> list[str]:
    """Tags in the Hub's order of kinds."""
    tags = [f"task_categories:{topic.task}", f"language:{item.language}",
            f"license:{license_id}", f"size_categories:{size}", f"format:{topic.format}",
            f"modality:{topic.modality}", "library:datasets"]
    if topic.modality == "tabular":
        tags.append("library:pandas")
    tags.append("library:mlcroissant")
    if chance.chance(0.12):
        tags.append(f"arxiv:24{chance.between(1, 12):02d}.{chance.between(100, 19999):05d}")
    tags.append("region:eu" if chance.chance(0.1) else "region:us")
    return tags + topic.tags


def make_description(topic: Topic, item: Item, name: str, chance: Chance) -> str:
    """The card's text as the Hub cuts it: heading debris, and a tail where it is too long."""
    if item.language == "fr" and topic.name == "french news":
        lead = f"Ce jeu de données contient {item.holds}."
    else:
        lead = f"This dataset holds {item.holds}."
    body = " ".join([lead, *topic.sentences])
    text = HEADING.format(item.title) + body
    if chance.chance(0.3):
        return text if chance.chance(0.5) else f"{item.title}. {body}"
    text += HEADING.format("Structure") + " ".join(MORE)
    return text[:CUT].rstrip() + TAIL.format(name)


def make_card(topic: Topic, item: Item, license_id: str, size: str, chance: Chance) -> Any:
    """The YAML header as JSON, types as loose as in real cards."""
    card: dict[str, Any] = {
        "license": [license_id] if chance.chance(0.36) else license_id,
        "language": item.language if chance.chance(0.3) else [item.language],
        "pretty_name": item.title,
        "task_categories": [topic.task] if chance.chance(0.7) else topic.task,
        "size_categories": [size] if chance.chance(0.7) else size, "tags": topic.tags}
    if license_id == "other":
        card["license_name"] = "community-data-terms"
        card["license_link"] = "LICENSE"
    if chance.chance(0.5):
        infos = [make_info(f"part_{n}", chance) for n in range(chance.between(1, 2))]
        if len(infos) == 1:
            infos[0].pop("config_name")
        card["dataset_info"] = infos[0] if len(infos) == 1 else infos
    return card
