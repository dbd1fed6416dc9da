"""Pools of text for the large Meta Kaggle: titles, and descriptions ready to stand in a CSV field.

Descriptions are Markdown put together from the sentences of small/topics.txt. Their lengths are
log-normal with a median near 600 bytes, capped at 60 kB, with a few of 50 kB and more; newlines
are LF, or CRLF for one text in three; quotes are already doubled.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from small.topics import Topic

PER_TOPIC = 240
MEDIAN_BYTES, SIGMA, LONGEST = 560, 1.1, 60_000
GIANTS = 1  # texts per topic of 50 kB and more
PLACES = ("Lagos", "Bavaria", "Chile", "Hanoi", "Ontario", "Kerala", "Wales", "Sicily", "Quito",
          "Ankara", "Osaka", "Utah", "Accra", "Tirana", "Lyon", "Perth", "Sonora", "Nepal",
          "Malta", "Oslo", "Java", "Texas", "Tartu", "Bogota", "Kenya", "Crete", "Ghent",
          "Lima", "Fiji", "Goa")
FILLERS = (
    "Missing values are written as an empty cell.",
    "The first column is a running number, the second a time in UTC.",
    "See [the project page](https://example.org/data?id=1&lang=en) for updates.",
    "Thanks to everyone who checked a row, or a thousand of them.",
    "| column | meaning |\n| --- | --- |\n| id | number of the row |\n| value | as measured |",
    "```python\nimport csv\nrows = list(csv.reader(open(\"data.csv\")))\n```",
    "- one file per year\n- one row per observation\n- no personal data",
    "He asked, \"where is the key?\", and we wrote it down: it is in `codes.csv`.",
    "<p>Some of this page was written in HTML &amp; pasted.</p>",
    "数据每月更新一次。 Les données sont mises à jour. Данные обновляются. 🌍",
)


@dataclass(frozen=True)
class Texts:
    """Titles by topic, and the tails of descriptions by topic (quotes doubled, no outer ones)."""

    titles: list[list[str]]
    subtitles: list[list[str]]
    descriptions: list[list[str]]


def make_texts(topics: list[Topic], rng: random.Random) -> Texts:
    """All pools, from the seed of `rng`."""
    titles, subtitles, descriptions = [], [], []
    for topic in topics:
        items = [*topic.kaggle, *topic.hub]
        titles.append([item.title for item in items])
        subtitles.append([item.holds.replace('"', '""') for item in items])
        lengths = [min(LONGEST, int(MEDIAN_BYTES * math.exp(rng.gauss(0.0, SIGMA))))
                   for _ in range(PER_TOPIC)]
        lengths[:GIANTS] = [50_000 + rng.randrange(9_000) for _ in range(GIANTS)]
        descriptions.append([make_description(topic, length, rng) for length in lengths])
    return Texts(titles, subtitles, descriptions)


def make_description(topic: Topic, length: int, rng: random.Random) -> str:
    """One text of about `length` bytes."""
    compared = [f"Compare with {item.title}: {item.holds}." for item in topic.kaggle]
    sentences = [*topic.sentences * 3, *compared * 2, *FILLERS]
    parts = ["### Content\n\n"]
    size = 0
    while size < length:
        part = rng.choice(sentences) + rng.choice((" ", " ", " ", "\n\n", "\n\n### More\n\n"))
        parts.append(part)
        size += len(part)
    text = "".join(parts)[:max(20, length)].rstrip().replace('"', '""')
    if text.endswith('"') and (len(text) - len(text.rstrip('"'))) % 2:
        text = text[:-1]  # the cut went through a doubled quote
    return text.replace("\n", "\r\n") if rng.random() < 0.33 else text
