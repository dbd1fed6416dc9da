"""One line of a Croissant-form catalogue -> one row in the form of the Hub's API.

The line has `name`, `keyword`, `description`, `url`, `creator_name`, `license_name`, `language`
and `first_N_keywords`. What it lacks (ids, dates, counts, the card) is drawn from a hash of the
id, in the proportions seen on the Hub, loose types of the card included: licence as string or
list, `language: false` for "no", `dataset_info` as object or list, now and then a card that is
not an object at all.
"""

from __future__ import annotations

from typing import Any

from standin.chance import Chance, hex_id
from standin.hf_catalog import Row, format_date
from standin.vocabulary import FORMATS, LICENSE_NAMES, SIZES, tag_of

URL_MARK = "/datasets/"
FIRST_MS = 1646263744000  # 2022-03-02T23:29:04.000Z: "before that date, unknown"
LAST_MS = 1757894400000  # 2025-09-15: the catalogue was taken about then
DAY_MS = 86_400_000
DTYPES = ("string", "string", "string", "int64", "float64", "bool", "timestamp[s]")
COLUMNS = ("text", "label", "id", "prompt", "answer", "question", "context", "image", "audio",
           "score", "url", "title", "category", "timestamp", "source", "split", "tokens")


def id_of_url(url: str) -> str | None:
    """`owner/name` (or a bare name) of a dataset page, or None."""
    _, mark, name = url.partition(URL_MARK)
    name = name.strip("/")
    return name if mark and name and name.count("/") <= 1 else None


def convert(line: dict[str, Any]) -> Row | None:
    """The API row, or None when the line names no dataset."""
    name = id_of_url(str(line.get("url", "")))
    if name is None:
        return None
    chance = Chance(name, "row")
    license_id = LICENSE_NAMES.get(str(line.get("license_name")))
    tags = make_tags(line, license_id, chance)
    created = created_ms(chance)
    row: Row = {"_id": hex_id(name, 24, "_id"), "id": name}
    owner, slash, _ = name.partition("/")
    if slash:
        row["author"] = owner
    row.update({
        "sha": hex_id(name, 40, "sha"),
        "createdAt": format_date(created),
        "lastModified": format_date(modified_ms(created, chance)),
        "private": False, "gated": make_gated(chance), "disabled": False,
    })
    row["downloads"] = 0 if chance.chance(0.66) else 1 + chance.skewed(180_000, 9.0)
    row["downloadsAllTime"] = row["downloads"] * chance.between(3, 30) + chance.skewed(900, 3.0)
    row["likes"] = 0 if chance.chance(0.7) else 1 + chance.skewed(900, 8.0)
    row["trendingScore"] = chance.skewed(60, 14.0)
    row["tags"] = tags
    if description := line.get("description"):
        row["description"] = description
    row["mainSize"] = chance.skewed(4e11, 6.0)
    if chance.chance(0.75):
        row["cardData"] = make_card(line, license_id, tags, chance)
    row["siblings"] = [{"rfilename": ".gitattributes"}, {"rfilename": "README.md"},
                       {"rfilename": f"data/train{extension_of(tags)}"}]
    return row


def created_ms(chance: Chance) -> int:
    """Creation: 5 % before the Hub kept dates, the rest ever denser towards the end."""
    if chance.chance(0.05):
        return FIRST_MS
    return LAST_MS - int((LAST_MS - FIRST_MS) * chance.unit() ** 1.6)


def modified_ms(created: int, chance: Chance) -> int:
    """Most sets are finished within a day of their creation, some are tended for years."""
    if chance.chance(0.6):
        return created + int(min(DAY_MS, LAST_MS - created) * chance.unit())
    return created + int((LAST_MS - created) * chance.unit())


def make_gated(chance: Chance) -> bool | str:
    """`false`, "auto" or "manual" in one field."""
    point = chance.unit()
    return "auto" if point < 0.03 else "manual" if point < 0.045 else False


def make_tags(line: dict[str, Any], license_id: str | None, chance: Chance) -> list[str]:
    """Tags in the Hub's order of kinds: from the card, computed by the Hub, free keywords."""
    words = [str(word) for word in line.get("first_N_keywords") or []]
    tags = [tag_of(word) for word in words]
    if language := line.get("language"):
        tags.append(f"language:{language}")
    if license_id:
        tags.append(f"license:{license_id}")
    if not any(tag.startswith("size_categories:") for tag in tags):
        tags.append("size_categories:" + chance.pick(list(SIZES.values())[:6]))
    if any(tag.startswith("format:") for tag in tags):
        tags += ["library:datasets", "library:mlcroissant"]
    tags.append("region:us")
    if keyword := str(line.get("keyword") or ""):
        tags.append(keyword)
    if chance.chance(0.06):
        tags.append(f"arxiv:2{chance.between(3, 5)}{chance.between(1, 12):02d}."
                    f"{chance.between(100, 19999):05d}")
    prefixed = [tag for tag in tags if ":" in tag]
    return list(dict.fromkeys(prefixed + tags))


def extension_of(tags: list[str]) -> str:
    """The file name's end that fits the format tag."""
    for tag in tags:
        prefix, _, value = tag.partition(":")
        if prefix == "format" and value in FORMATS:
            return {"optimized-parquet": ".parquet", "text": ".txt"}.get(value, "." + value)
    return ".parquet"


def make_card(line: dict[str, Any], license_id: str | None, tags: list[str],
              chance: Chance) -> Any:
    """The YAML header as JSON, as loosely typed as authors write it."""
    if chance.chance(0.001):
        odd: list[Any] = ["license mit", ["license", "mit"], 7]
        return chance.pick(odd)
    card: dict[str, Any] = {}
    if license_id:
        card["license"] = [license_id] if chance.chance(0.36) else license_id
    if language := line.get("language"):
        card["language"] = language if chance.chance(0.3) else [language]
    if chance.chance(0.002):
        half: list[str | bool] = ["sv", False]
        card["language"] = False if chance.chance(0.5) else half
    tasks = [tag.partition(":")[2] for tag in tags if tag.startswith("task_categories:")]
    if tasks:
        card["task_categories"] = tasks
    sizes = [tag.partition(":")[2] for tag in tags if tag.startswith("size_categories:")]
    if sizes:
        card["size_categories"] = sizes if chance.chance(0.7) else sizes[0]
    if chance.chance(0.4):
        card["pretty_name"] = str(line.get("name", "")).replace("-", " ").replace("_", " ")
    if chance.chance(0.3):
        configs = [make_info(f"config_{n}", chance) for n in range(chance.between(1, 3))]
        if len(configs) == 1:
            configs[0].pop("config_name")
        card["dataset_info"] = configs[0] if len(configs) == 1 else configs
    return card


def make_info(config_name: str, chance: Chance) -> dict[str, Any]:
    """One `dataset_info`: features, splits and sizes."""
    features: list[dict[str, Any]] = []
    for name in dict.fromkeys(chance.pick(COLUMNS) for _ in range(chance.between(2, 7))):
        if name == "label":
            features.append({"name": name, "dtype": {"class_label": {
                "names": {"0": "negative", "1": "positive"}}}})
        elif name == "tokens":
            features.append({"name": name, "sequence": "string"})
        else:
            features.append({"name": name, "dtype": chance.pick(DTYPES)})
    splits: list[dict[str, Any]] = []
    for name in ("train", "validation", "test")[:chance.between(1, 3)]:
        rows = 10 + chance.skewed(3_000_000, 5.0)
        splits.append({"name": name, "num_bytes": rows * chance.between(40, 4000),
                       "num_examples": rows})
    total = sum(split["num_bytes"] for split in splits)
    return {"config_name": config_name, "features": features, "splits": splits,
            "download_size": total // 3, "dataset_size": total}
