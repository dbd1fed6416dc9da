"""Hugging Face rows that try a reader: every oddity of the API that has a name, one row each.

`tests/fixtures/hub/README.md` lists them. Each is a change to an ordinary row.
"""

from __future__ import annotations

from typing import Any

from standin.chance import hex_id
from standin.hf_catalog import Row

from small.hf import HEADING

REMOVE = object()  # the field is absent

PLACEHOLDER = ("{} dataset hosted on Hugging Face and contributed by the HF Datasets community")


def ordinary(name: str, title: str, text: str) -> Row:
    """A plain row to be spoiled."""
    owner, slash, _ = name.partition("/")
    row: Row = {"_id": hex_id(name, 24, "_id"), "id": name}
    if slash:
        row["author"] = owner
    row.update({
        "sha": hex_id(name, 40, "sha"), "lastModified": "2025-06-15T08:30:00.000Z",
        "createdAt": "2024-05-02T10:00:00.000Z", "private": False, "gated": False,
        "disabled": False, "downloads": 42, "downloadsAllTime": 420, "likes": 3,
        "trendingScore": 0, "tags": ["language:en", "license:mit", "size_categories:1K<n<10K",
                                     "format:csv", "modality:tabular", "region:us"],
        "description": text, "mainSize": 123456,
        "cardData": {"license": "mit", "language": ["en"], "pretty_name": title},
        "siblings": [{"rfilename": "README.md"}, {"rfilename": "data.csv"}]})
    return row


def features_deep() -> dict[str, Any]:
    """A `dataset_info` with every kind of node."""
    return {
        "features": [
            {"name": "id", "dtype": "int64"},
            {"name": "label", "dtype": {"class_label": {"names": {"0": "no", "1": "yes"}}}},
            {"name": "words", "sequence": "string"},
            {"name": "boxes", "list": [{"name": "x", "dtype": "float32"},
                                       {"name": "y", "dtype": "float32"}]},
            {"name": "meta", "struct": [{"name": "source", "dtype": "string"},
                                        {"name": "year", "dtype": "int32"}]},
            {"name": "picture", "dtype": "image"}],
        "splits": [{"name": "train", "num_bytes": 9_000_000, "num_examples": 9000},
                   {"name": "test", "num_bytes": 1_000_000, "num_examples": 1000}],
        "download_size": 3_000_000, "dataset_size": 10_000_000}


# (name, title, text, changed fields)
QUIRKS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("tide-gauges", "Tide Gauges", "Sea level at 200 harbours, hour by hour.",
     {"createdAt": "2022-03-02T23:29:04.000Z"}),
    ("old_news_corpus", "Old News Corpus", "A canonical set without an owner, from early days.",
     {"createdAt": "2022-03-02T23:29:04.000Z", "tags": ["language:en", "license:unknown"]}),
    ("quirks/gated-manual", "Gated by Hand", "Access is granted by hand; metadata is public.",
     {"gated": "manual"}),
    ("quirks/gated-auto", "Gated, Automatic", "Access after a click; metadata is public.",
     {"gated": "auto"}),
    ("quirks/no-description", "Without Description", "", {"description": REMOVE}),
    ("quirks/null-description", "Null Description", "", {"description": None}),
    ("quirks/empty-description", "Empty Description", "", {"description": ""}),
    ("quirks/placeholder", "Placeholder", PLACEHOLDER.format("quirks/placeholder"), {}),
    ("quirks/language-false", "Norwegian Read as False", "Norwegian subtitles of old films.",
     {"tags": ["language:no"], "cardData": {"language": False, "license": "mit"}}),
    ("quirks/language-list-false", "Nordic Languages", "Swedish and Norwegian weather reports.",
     {"tags": ["language:sv", "language:no"],
      "cardData": {"language": ["sv", False], "license": ["mit", "cc-by-4.0"]}}),
    ("quirks/card-is-text", "Card Is Text", "The header was bad YAML and became a string.",
     {"cardData": "license: mit language en"}),
    ("quirks/card-is-list", "Card Is a List", "The header was a YAML list.",
     {"cardData": ["license", "mit"]}),
    ("quirks/card-is-null", "Card Is Null", "The header was empty.", {"cardData": None}),
    ("quirks/card-odd-types", "Card with Odd Types", "Every field has another type than usual.",
     {"cardData": {"license": {"name": "mit"}, "language": 7, "pretty_name": ["A", "B"],
                   "size_categories": {"n<1K": None}, "tags": None, "task_categories": True,
                   "dataset_info": "none"}}),
    ("quirks/features-deep", "Deep Features", "Columns of every kind, with rows and bytes.",
     {"cardData": {"license": "mit", "dataset_info": features_deep()}}),
    ("quirks/features-configs", "Several Configurations", "Two overlapping configurations.",
     {"cardData": {"license": "mit", "dataset_info": [
         {"config_name": "all", **features_deep()},
         {"config_name": "small", **features_deep()}]}}),
    ("quirks/unknown-fields", "Unknown Fields", "Fields that no documentation names.",
     {"xyzzy": {"deep": [1, {"er": None}]}, "arxivIds": ["2401.00001"], "cardExists": True,
      "gitalyUid": "abc", "newScore": 1.5e300}),
    ("quirks/null-fields", "Null Fields", "Counts, tags and author are null.",
     {"author": None, "downloads": None, "downloadsAllTime": None, "likes": None, "tags": None,
      "trendingScore": None, "mainSize": None, "gated": None, "disabled": None}),
    ("quirks/missing-sha", "Missing Commit", "The commit is absent.", {"sha": REMOVE}),
    ("quirks/missing-dates", "Missing Dates", "No date at all.",
     {"lastModified": REMOVE, "createdAt": REMOVE}),
    ("quirks/odd-dates", "Odd Dates", "Dates that are not dates.",
     {"lastModified": "yesterday", "createdAt": 1714644000}),
    ("quirks/odd-counts", "Odd Counts", "Counts as text, as fractions, and below zero.",
     {"downloads": "17", "likes": -4, "trendingScore": 0.37, "downloadsAllTime": 1e18}),
    ("quirks/odd-tags", "Odd Tags", "Tags that are not strings, empty, doubled or huge.",
     {"tags": ["language:en", "language:en", "", None, 5, ["nested"], "license:", ":",
               "size_categories:n>1T", "source_datasets:extended|other/set",
               "doi:10.57967/hf/1234", "task_categories:text-classification", "t" * 5000]}),
    ("quirks/huge-description", "A Huge Description",
     "Soil moisture under forests. " * 2600, {}),
    ("quirks/markup", "Markup", "<script>alert('x')</script> <b>Bold</b> &amp; [link](http://a.b)"
     " | table | `code` \\\" backslash", {}),
    ("quirks/emoji", "Emoji 🦉", "Owls 🦉 and flags 🇫🇷, family 👨‍👩‍👧, skin 👍🏽.", {}),
    ("quirks/cjk", "中文维基百科摘要", "这个数据集包含中文维基百科条目的摘要。"
     "日本語の文章と한국어 문장도 있습니다。",
     {"tags": ["language:zh", "language:ja", "language:ko", "license:cc-by-sa-4.0"]}),
    ("quirks/right-to-left", "أخبار عربية", "مجموعة من الأخبار العربية مع تصنيف الموضوع. "
     "שלום עולם \u202eabc\u202c", {"tags": ["language:ar", "language:he", "license:cc-by-4.0"]}),
    ("quirks/control-characters", "Control Characters",
     "Null \u0000, bell \u0007, escape \u001b[31m, zero width \u200b, byte order \ufeff.", {}),
    ("quirks/lone-surrogate", "Half a Character", "Cut inside an emoji: \ud83e", {}),
    ("quirks/debris-only", "Debris", HEADING.format("") + HEADING.format(""), {}),
    ("quirks/private-set", "Private", "Never listed; 401 or 404 by id.", {"private": True}),
    ("quirks/disabled-set", "Disabled", "Listed as disabled; 403 by id.", {"disabled": True}),
    ("quirks/Name.with_Dots-and-UPPER", "Dots and Case", "Names keep their case.", {}),
    ("quirks/" + "n" * 96, "Longest Name", "A name as long as names get.", {}),
    ("quirks/numbers-1k-10k", "Sizes", "Tags with angle brackets: 1K<n<10K.",
     {"tags": ["size_categories:1K<n<10K", "size_categories:n<1K", "format:optimized-parquet",
               "format:json", "modality:3d", "arxiv:2401.12345", "arxiv:1706.03762"]}),
)


def make_quirks() -> list[Row]:
    """The rows."""
    rows = []
    for name, title, text, changes in QUIRKS:
        row = ordinary(name, title, text)
        row.update(changes)
        rows.append({key: value for key, value in row.items() if value is not REMOVE})
    return rows
