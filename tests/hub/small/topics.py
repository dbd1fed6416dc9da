"""Reads `topics.txt`: topics, the sentences that suit all of a topic's sets, and the sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """One dataset: its slug, its title, and what it holds."""

    slug: str
    title: str
    holds: str
    language: str = "en"


@dataclass
class Topic:
    """A subject with its Hugging Face and its Kaggle sets."""

    name: str
    modality: str
    format: str
    task: str
    tags: list[str]
    kaggle_tags: list[str]
    sentences: list[str] = field(default_factory=list)
    hub: list[Item] = field(default_factory=list)
    kaggle: list[Item] = field(default_factory=list)


def words(text: str) -> list[str]:
    """A list separated by commas."""
    return [word.strip() for word in text.split(",")]


def read_topics(path: Path) -> list[Topic]:
    """Every topic, in the order of the file."""
    topics: list[Topic] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        mark, _, rest = line.partition(" ")
        fields = [part.strip() for part in rest.split("|")]
        if mark == "==":
            topics.append(Topic(fields[0], fields[1], fields[2], fields[3], words(fields[4]),
                                words(fields[5])))
        elif mark == "+":
            topics[-1].sentences.append(rest)
        elif mark == "h":
            topics[-1].hub.append(Item(*fields))
        elif mark == "k":
            topics[-1].kaggle.append(Item(*fields))
    return topics
