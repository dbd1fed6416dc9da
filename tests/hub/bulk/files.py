"""Writes the six files of the large Meta Kaggle, block by block.

Numbers are bare and text is quoted where it may need it; nullable numbers carry `.0`; dates are
`MM/DD/YYYY`. A block of rows is one string, so memory does not grow with the file.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from small.meta import HEADERS

from bulk.plan import Plan, dataset_id, version_id
from bulk.texts import PLACES, Texts

BLOCK = 4_000
FIRST_DAY = datetime(2016, 1, 1)
DAYS = 3_560
TAG_COUNT = 600
NULL_DESCRIPTIONS = 0.15
RENAMED_SHARE = 0.03  # older versions whose slug differs from today's
LICENSES = ("CC0: Public Domain", "CC0: Public Domain", "Unknown", "Unknown", "Unknown",
            "Other (specified in description)", "CC BY-SA 4.0", "CC BY-NC-SA 4.0", "MIT",
            "Apache 2.0", "Attribution 4.0 International (CC BY 4.0)",
            "Database: Open Database, Contents: Database Contents",
            "Database: Open Database, Contents: © Original Authors")
TAG_WORDS = ("data", "health", "sport", "city", "text", "image", "audio", "finance", "nature",
             "people", "school", "games", "travel", "food", "science", "history", "energy",
             "space", "law", "music", "plants", "animals", "roads", "trade", "weather")
COUNTRIES = ("", "", "India", "United States", "Brazil", "Germany", "Nigeria", "Japan")


def make_days() -> list[str]:
    """Every day of the range as `MM/DD/YYYY`."""
    return [(FIRST_DAY + timedelta(days=number)).strftime("%m/%d/%Y") for number in range(DAYS)]


def make_seconds() -> list[str]:
    """Times of a day, one in every 86 seconds."""
    return [str(timedelta(seconds=number)).zfill(8) for number in range(0, 86_400, 86)]


def user_name(number: int) -> str:
    """The name of a user, unique by its number."""
    return f"{TAG_WORDS[number % 25]}{TAG_WORDS[number // 25 % 25]}{number:x}"


def organization_slug(number: int) -> str:
    """The slug of an organisation, counted from 0."""
    return f"{TAG_WORDS[number % 25]}-institute-{number}"


def dataset_title(texts: Texts, index: int) -> tuple[int, int, str]:
    """(topic, item, title) of a dataset; the mix is fixed, so every version agrees."""
    mixed = index * 2_654_435_761 & 0xFFFFFFFF
    topic = mixed % len(texts.titles)
    item = (mixed >> 8) % len(texts.titles[topic])
    place = PLACES[(mixed >> 16) % len(PLACES)]
    return topic, item, f"{texts.titles[topic][item]} of {place} {1990 + (mixed >> 20) % 36}"


def slug_of(title: str, index: int) -> str:
    """A slug, unique by its number."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title)
    return "-".join([*words.lower().split(), f"{index:x}"])


class Writer:
    """One pass per file over the plan."""

    def __init__(self, directory: Path, plan: Plan, texts: Texts, rng: random.Random) -> None:
        self._directory = directory
        self._plan = plan
        self._texts = texts
        self._rng = rng
        self._days = make_days()
        self._seconds = make_seconds()
        self.counts: dict[str, int] = {"null_descriptions": 0}

    def write_all(self) -> None:
        """Every file."""
        self._write("Organizations.csv", self._organizations())
        self._write("Tags.csv", self._tags())
        self._write("Users.csv", self._users())
        self._write("Datasets.csv", self._datasets())
        self._write("DatasetTags.csv", self._dataset_tags())
        self._write("DatasetVersions.csv", self._versions())

    def _write(self, name: str, rows: Iterable[str]) -> None:
        """Header and rows, a block at a time."""
        block: list[str] = [HEADERS[name], "\n"]
        with open(self._directory / name, "wb", buffering=0) as file:
            for row in rows:
                block.append(row)
                if len(block) >= BLOCK:
                    file.write("".join(block).encode())
                    block.clear()
            file.write("".join(block).encode())

    def _organizations(self) -> Iterator[str]:
        for number in range(self._plan.organizations):
            slug = organization_slug(number)
            yield (f'{number + 1},{slug.replace("-", " ").title()},{slug},'
                   f'{self._days[number * 5 % DAYS]},'
                   f'"We collect data.\r\n\r\nAsk ""{slug}"",\nany day."\n')

    def _tags(self) -> Iterator[str]:
        for number in range(TAG_COUNT):
            name = f"{TAG_WORDS[number % 25]} {TAG_WORDS[number // 25 % 25]}"
            parent = f"{number // 25 + 1}.0" if number >= 25 else ""
            yield (f'{number + 1},{parent},{name},{name.replace(" ", "-")},subject > {name},'
                   f'"About {name}, and ""more""",{number},0,{number // 3}\n')

    def _users(self) -> Iterator[str]:
        days, countries = self._days, COUNTRIES
        for number in range(1, self._plan.users + 1):
            name = user_name(number)
            yield (f"{number},{name},{name.title()},{days[number % DAYS]},{number % 7 // 5},"
                   f"{countries[number & 7]}\n")

    def _datasets(self) -> Iterator[str]:
        plan, days, seconds = self._plan, self._days, self._seconds
        random_number = self._rng.random
        for index in range(plan.datasets):
            owner, current = plan.owner[index], plan.current[index]
            downloads = int(20_000 * random_number() ** 8)
            day = index * DAYS // plan.datasets
            owners = f"{owner}.0," if owner > 0 else f",{-owner}.0"
            versions = f"{current}.0,{current + 41}.0" if current else ","
            medal = f"3.0,{days[day]}" if index % 97 == 0 else ","
            yield (f"{dataset_id(index)},{max(owner, 1)},{owners},{versions},{index + 9},1,"
                   f"{days[day]} {seconds[index % len(seconds)]},{days[-1 - index % 90]},"
                   f"{downloads * 6 + 12},{downloads},{downloads // 50},{downloads // 400},"
                   f"{medal}\n")

    def _dataset_tags(self) -> Iterator[str]:
        random_number = self._rng.random
        number = 0
        for index in range(self._plan.datasets):
            first = int(TAG_COUNT * random_number())
            for step in range(int(6.99 * random_number())):  # 0 to 6, three on average
                number += 1
                yield f"{number},{dataset_id(index)},{(first + step * 37) % TAG_COUNT + 1}\n"

    def _versions(self) -> Iterator[str]:
        texts, days, seconds = self._texts, self._days, self._seconds
        random_number = self._rng.random
        seen = array("i", bytes(4 * self._plan.datasets))
        total = len(self._plan.set_of_version)
        for place, index in enumerate(self._plan.set_of_version):
            seen[index] += 1
            topic, item, title = dataset_title(texts, index)
            point = random_number()
            if point < NULL_DESCRIPTIONS:
                self.counts["null_descriptions"] += 1
                description = ""
            else:
                pool = texts.descriptions[topic]
                description = f'"{title}, set {index}. {pool[int(point * 1e6) % len(pool)]}"'
            size = 300 + int(4e9 * random_number() ** 9)
            time = f"{days[place * DAYS // total]} {seconds[place % len(seconds)]}"
            number = version_id(place)
            slug = slug_of(title, index)
            if point > 1.0 - RENAMED_SHARE and number != self._plan.current[index]:
                slug += "-draft"
            yield (f'{number},{dataset_id(index)},{number + 41}.0,{index % self._plan.users + 1},'
                   f'"{LICENSES[index % len(LICENSES)]}",{time},{seen[index]}.0,"{title}",'
                   f'{slug},"{texts.subtitles[topic][item]}",{description},'
                   f'{"Initial release" if seen[index] == 1 else ""},{size}.0,{3 * size}.0\n')
