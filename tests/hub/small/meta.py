"""The small Meta Kaggle: six CSV files in today's form, consistent with the Kaggle rows.

The special cases are tables below; `describe` writes them, with the counts to expect, as
expected.json and README.md beside the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from standin.chance import Chance
from standin.hf_catalog import Row, date_ms
from standin.kaggle_catalog import iso_date

from small.kaggle import IN_DUMP, ORGANIZATIONS, USERS, make_tag

HEADERS = {
    "Datasets.csv": "Id,CreatorUserId,OwnerUserId,OwnerOrganizationId,CurrentDatasetVersionId,"
                    "CurrentDatasourceVersionId,ForumId,Type,CreationDate,LastActivityDate,"
                    "TotalViews,TotalDownloads,TotalVotes,TotalKernels,Medal,MedalAwardDate",
    "DatasetVersions.csv": "Id,DatasetId,DatasourceVersionId,CreatorUserId,LicenseName,"
                           "CreationDate,VersionNumber,Title,Slug,Subtitle,Description,"
                           "VersionNotes,TotalCompressedBytes,TotalUncompressedBytes",
    "DatasetTags.csv": "Id,DatasetId,TagId",
    "Tags.csv": "Id,ParentTagId,Name,Slug,FullPath,Description,DatasetCount,CompetitionCount,"
                "KernelCount",
    "Users.csv": "Id,UserName,DisplayName,RegisterDate,PerformanceTier,Country",
    "Organizations.csv": "Id,Name,Slug,CreationDate,Description",
}
# Places (see kaggle.py) of the sets with something special about them.
NO_CURRENT = (3, 47)          # CurrentDatasetVersionId is empty
LOST_CURRENT = (11, 58)       # ... names a version that is not in the file
NO_VERSION = (20,)            # no version record at all
NO_OWNER = (26,)              # both owner ids are empty
UNKNOWN_USER = (33,)          # the owner is not in Users.csv
UNKNOWN_ORGANIZATION = (41,)  # ... not in Organizations.csv
OLD_SLUG = (50,)              # renamed since the dump: another slug in the API, the same id
NO_TITLE = (62,)              # the current version has no title
ROLLED_BACK = (70,)           # the current version is not the latest
DELETED = 8                   # sets that the API no longer has
FIRST_USER, FIRST_ORGANIZATION, FIRST_TAG = 70_001, 301, 13_201

Cell = str | int | float | None
Quote = Callable[[Cell], str]


def bare(cell: Cell) -> str:
    """Minimal quoting: only where RFC 4180 demands it; null is nothing."""
    text = "" if cell is None else str(cell)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in '",\r\n') else text


def quoted(cell: Cell) -> str:
    """Everything quoted, ids and empties too."""
    text = "" if cell is None else str(cell)
    return '"' + text.replace('"', '""') + '"'


def day(moment: datetime) -> str:
    """`MM/DD/YYYY`."""
    return moment.strftime("%m/%d/%Y")


def second(moment: datetime) -> str:
    """`MM/DD/YYYY HH:MM:SS`."""
    return moment.strftime("%m/%d/%Y %H:%M:%S")


def maybe(number: int | None) -> str | None:
    """A nullable whole number as exports write it: with a decimal point."""
    return None if number is None else f"{number}.0"


class SmallMeta:
    """Collects the records of the six files, and what a reader should find in them."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows[:IN_DUMP] + [deleted_row(number) for number in range(DELETED)]
        self._records: dict[str, list[str]] = {name: [] for name in HEADERS}
        self._refs: dict[str, str] = {}
        self._tags = sorted({tag["name"] for row in rows for tag in row["tags"]})
        self._next_version = 500_001

    def write(self, directory: Path) -> None:
        """Write the files and their description."""
        directory.mkdir(parents=True, exist_ok=True)
        for place, row in enumerate(self._rows):
            self._add_dataset(place, row)
        self._add_people()
        self._add_bad_records()
        for name, records in self._records.items():
            header = HEADERS[name]
            if name in ("DatasetVersions.csv", "Users.csv"):
                header = ",".join(quoted(column) for column in header.split(","))
            (directory / name).write_text("\n".join([header, *records]) + "\n",
                                          encoding="utf-8", newline="")
        self._describe(directory)

    def _add(self, name: str, cells: Iterable[Cell], quote: Quote = bare) -> None:
        self._records[name].append(",".join(quote(cell) for cell in cells))

    # -- datasets and their versions ------------------------------------------------------------

    def _add_dataset(self, place: int, row: Row) -> None:
        updated = datetime.fromtimestamp(date_ms(iso_date(row["lastUpdated"])) / 1000,
                                         timezone.utc)
        created = updated - timedelta(days=30 * int(row["currentVersionNumber"]) + place)
        current = self._add_versions(place, row, updated)
        user, organization = self._owner(place, row)
        creator = user or FIRST_USER
        medal = 1 + place % 3 if place % 9 == 0 else None
        self._add("Datasets.csv", (
            row["id"], creator, maybe(user), maybe(organization), maybe(current),
            maybe(current and current + 40_000), 90_000 + place, 1, second(created),
            day(updated), row["viewCount"], row["downloadCount"], row["voteCount"],
            row["kernelCount"], maybe(medal), day(updated) if medal else None))
        for tag in row["tags"]:
            self._add("DatasetTags.csv", (len(self._records["DatasetTags.csv"]) + 1, row["id"],
                                          FIRST_TAG + self._tags.index(tag["name"])))

    def _owner(self, place: int, row: Row) -> tuple[int | None, int | None]:
        """(OwnerUserId, OwnerOrganizationId)."""
        owner = row["ownerRef"]
        if place in NO_OWNER:
            return None, None
        if place in UNKNOWN_USER:
            return 79_999, None
        if place in UNKNOWN_ORGANIZATION:
            return None, 399
        if owner in ORGANIZATIONS:
            return None, FIRST_ORGANIZATION + ORGANIZATIONS.index(owner)
        return FIRST_USER + USERS.index(owner), None

    def _add_versions(self, place: int, row: Row, updated: datetime) -> int | None:
        """The version records of a set; its CurrentDatasetVersionId, if it has one."""
        if place in NO_VERSION:
            return self._take_version()
        owner, _, slug = row["ref"].partition("/")
        if place in OLD_SLUG:
            slug = f"{slug}-raw"
        latest = int(row["currentVersionNumber"]) + (1 if place in ROLLED_BACK else 0)
        ids = []
        for number in range(1, latest + 1):
            last = number == int(row["currentVersionNumber"])
            ids.append(self._take_version())
            self._add_version(place, row, ids[-1], number, slug if last or latest - number < 1
                              else f"{slug}-v{number}", updated, last)
        if not self._without_ref(place):
            self._refs[str(row["id"])] = f"{owner}/{slug}"
        if place in NO_CURRENT:
            return None
        return 999_000 + place if place in LOST_CURRENT else \
            ids[int(row["currentVersionNumber"]) - 1]

    def _without_ref(self, place: int) -> bool:
        return place in NO_OWNER + UNKNOWN_USER + UNKNOWN_ORGANIZATION + NO_VERSION

    def _take_version(self) -> int:
        self._next_version += 1
        return self._next_version

    def _add_version(self, place: int, row: Row, version: int, number: int, slug: str,
                     updated: datetime, last: bool) -> None:
        chance = Chance(f"{row['ref']}:{number}", "version")
        moment = updated - timedelta(days=30 * (int(row["currentVersionNumber"]) - number))
        title = None if place in NO_TITLE and last else row["title"]
        if place % 25 == 9 and title:
            title = title + " (Anna''s copy)"
        description = spoil_text(place, row["description"]) if last else f"Version {number}"
        size = row["totalBytes"]
        self._add("DatasetVersions.csv", (
            version, row["id"], maybe(version + 40_000), FIRST_USER + chance.below(len(USERS)),
            row["licenseName"], second(moment), maybe(number), title, slug, row["subtitle"],
            description, "Initial release" if number == 1 else "More rows,\nfewer mistakes",
            maybe(size), maybe(size and size * 3)), quoted)

    # -- people, tags, bad records --------------------------------------------------------------

    def _add_people(self) -> None:
        start = datetime(2016, 3, 1, tzinfo=timezone.utc)
        for number, name in enumerate((*USERS, *(f"reader{n:02d}" for n in range(30)))):
            moment = start + timedelta(days=61 * number)
            self._add("Users.csv", (FIRST_USER + number, name, name.title(), day(moment),
                                    number % 5, ("France", "Kenya", "", "Japan")[number % 4]),
                      quoted)
        for number, slug in enumerate(ORGANIZATIONS):
            self._add("Organizations.csv", (
                FIRST_ORGANIZATION + number, slug.replace("-", " ").title(), slug, day(start),
                f"We publish open data.\r\n\r\nWrite to us, or \"come by\",\nany day: {slug}."))
        for number, name in enumerate(self._tags):
            tag = make_tag(name)
            self._add("Tags.csv", (FIRST_TAG + number, maybe(13_100 if number % 3 else None),
                                   name, name.replace(" ", "-"), tag["fullPath"],
                                   f"Datasets about {name}, and \"near\" it", 10 + number, 0, 3))

    def _add_bad_records(self) -> None:
        """Records that a reader must count and pass over, each of another kind."""
        first = self._records["Datasets.csv"][0]
        self._records["Datasets.csv"][40:40] = [
            "n/a" + first[first.index(","):],              # the id is not a number
            first[first.index(","):],                      # the id is empty
            "8001,70001,70001.0",                          # too few fields
            first.replace("1000,", "8002,", 1) + ",extra,fields",  # too many fields
            first.replace("1000,", "8003,", 1).replace("/20", "/9920", 1),  # a broken date
        ]
        self._records["Datasets.csv"].append(self._records["Datasets.csv"][0])  # the same id
        self._records["DatasetVersions.csv"][7:7] = [
            '"600001","424242","","70001","Unknown","01/02/2020 03:04:05","1.0","Orphan",'
            '"orphan","","","","",""',                     # of a set that does not exist
            '"600002","1000"',                             # too few fields
            '"99999999999999999999999","1007","","70001","Unknown","01/02/2020 03:04:05","1.0",'
            '"Too large","too-large","","","","",""',      # the id does not fit 64 bits
        ]
        self._records["DatasetTags.csv"] += ["9001,1000,99999", "9002,424242,13201",
                                             "9003,x,13201"]
        self._add("Users.csv", (79_000, None, "Nameless", "01/01/2020", 0, ""), quoted)
        self._add("Tags.csv", (19_999, None, None, None, None, None, 0, 0, 0))

    # -- description ----------------------------------------------------------------------------

    def expected(self) -> dict[str, Any]:
        """What a reader should find."""
        return {
            "records": {name: len(records) for name, records in self._records.items()},
            "lines": {name: 1 + sum(record.count("\n") + 1 for record in records)
                      for name, records in self._records.items()},
            "datasets": len(self._rows), "in_api_too": IN_DUMP, "deleted_since": DELETED,
            "bad_datasets_records": {"id_not_a_number": 1, "id_empty": 1, "too_few_fields": 1,
                                     "too_many_fields": 1, "date_broken": 1, "id_repeated": 1},
            "bad_versions_records": {"dataset_unknown": 1, "too_few_fields": 1,
                                     "id_beyond_64_bits": 1},
            "bad_tag_links": {"tag_unknown": 1, "dataset_unknown": 1, "not_a_number": 1},
            "current_version_empty": len(NO_CURRENT),
            "current_version_not_in_file": len(LOST_CURRENT) + len(NO_VERSION),
            "no_version_at_all": len(NO_VERSION), "owner_ids_empty": len(NO_OWNER),
            "owner_user_unknown": len(UNKNOWN_USER),
            "owner_organization_unknown": len(UNKNOWN_ORGANIZATION),
            "current_title_empty": len(NO_TITLE), "slug_changed_since": len(OLD_SLUG),
            "refs": self._refs,
        }

    def _describe(self, directory: Path) -> None:
        expected = self.expected()
        text = json.dumps(expected, indent=1, ensure_ascii=False)
        (directory / "expected.json").write_text(text + "\n", encoding="utf-8")
        del expected["refs"]
        rows = []
        for name, value in expected.items():
            parts = value.items() if isinstance(value, dict) else [("", value)]
            rows += [f"| {name} | {part} | {count} |" for part, count in parts]
        (directory / "README.md").write_text(README + "\n".join(rows) + "\n", encoding="utf-8")


README = """\
# A small Meta Kaggle

Written by `tests/hub/make_small.py`; do not edit by hand. Six files with the headers of today's
dump. `Datasets.csv`, `DatasetTags.csv`, `Tags.csv` and `Organizations.csv` quote only what they
must; `DatasetVersions.csv` and `Users.csv` quote everything. Nullable numbers carry `.0`, dates are
`MM/DD/YYYY`, text holds LF and CRLF, doubled quotes, `\\"`, `Anna''s`, HTML and emoji.

`expected.json` says the same as this table, and the `owner/slug` of every set that can be joined
(by its current version, or by the latest one where the current one is empty or missing). A record
with a broken date (id 8003) is whole otherwise: whether it is rejected or kept without its date is
the reader's policy. The same holds for the record with too many fields (id 8002). Neither is
counted in `datasets`.

| what | kind | count |
| --- | --- | ---: |
"""


def deleted_row(number: int) -> Row:
    """A set that is in the dump only."""
    slug = f"withdrawn-table-{number}"
    owner = USERS[number]
    return {"id": 5000 + number, "ref": f"{owner}/{slug}", "ownerRef": owner,
            "title": f"Withdrawn Table {number}", "subtitle": None,
            "description": "This set was deleted after the dump was made.",
            "totalBytes": 1000 + number, "lastUpdated": f"2024-0{number + 1}-03T04:05:06Z",
            "downloadCount": number, "viewCount": 10 * number, "voteCount": 0, "kernelCount": 0,
            "currentVersionNumber": 1, "licenseName": "Unknown", "tags": []}


def spoil_text(place: int, text: str | None) -> str | None:
    """Some descriptions get what real ones have: CRLF, quotes, escapes, markup, length."""
    if text is None:
        return None
    extra = {
        1: 'She said "count them", twice.', 4: '\\" + alert(1)', 8: "<script>alert(1)</script>",
        12: "Tabs\tand, commas, and a trailing backslash \\", 16: "Emoji 🐝 and 中文 and עברית",
        18: "We''re using doubled apostrophes.", 22: "long line " * 900,
    }.get(place)
    if extra is not None:
        text = f"{text}\n\n{extra}"
    return text.replace("\n\n", "\r\n\r\n") if place % 3 == 0 else text
