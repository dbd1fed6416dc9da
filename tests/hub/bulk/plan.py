"""Who owns what, and which versions belong to which set: decided first, in compact arrays.

The plan holds a few numbers per dataset and version (about 30 bytes each); everything else is
computed while it is written.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass

ORGANIZATION_SHARE = 0.08
UNKNOWN_OWNER_SHARE = 0.002  # owners who are not in Users.csv (deleted accounts)
NO_CURRENT_SHARE = 0.005  # CurrentDatasetVersionId is empty
LOST_CURRENT_SHARE = 0.005  # ... names a version that is not in the file
ROLLED_BACK_SHARE = 0.01  # ... is not the latest
FIRST_VERSION, VERSION_STEP = 100_003, 7


@dataclass
class Plan:
    """Index arrays. `owner` is positive for a user, negative for an organisation."""

    datasets: int
    users: int
    organizations: int
    owner: array[int]  # [datasets]
    set_of_version: array[int]  # [versions], in the order of the file
    current: array[int]  # [datasets] version id, 0 for empty
    counts: dict[str, int]


def dataset_id(index: int) -> int:
    """The numeric id of a dataset; the 500,000th has 8.5 million, as today."""
    return 1_001 + 17 * index


def version_id(place: int) -> int:
    """The id of the version at a place of the file."""
    return FIRST_VERSION + VERSION_STEP * place


def make_plan(datasets: int, versions: int, users: int, rng: random.Random) -> Plan:
    """Draw the plan. Every dataset has at least one version."""
    if versions < datasets or users < 1:
        raise ValueError("there must be a version for every dataset, and a user")
    organizations = max(3, datasets // 800)
    counts = {"organization_owned": 0, "owner_unknown": 0, "current_empty": 0,
              "current_not_in_file": 0, "current_not_latest": 0}
    owner = array("q", bytes(8 * datasets))
    for index in range(datasets):
        point = rng.random()
        if point < ORGANIZATION_SHARE:
            owner[index] = -1 - rng.randrange(organizations)
            counts["organization_owned"] += 1
        elif point < ORGANIZATION_SHARE + UNKNOWN_OWNER_SHARE:
            owner[index] = 2 * users + index + 1
            counts["owner_unknown"] += 1
        else:
            owner[index] = 1 + int(users * rng.random() ** 2)
    set_of_version = share_versions(datasets, versions, rng)
    current = choose_current(datasets, set_of_version, counts, rng)
    return Plan(datasets, users, organizations, owner, set_of_version, current, counts)


def share_versions(datasets: int, versions: int, rng: random.Random) -> array[int]:
    """One version each, the rest to few: the same skew as real histories, in random order."""
    shared = array("q", range(datasets))
    shared.extend(int(datasets * rng.random() ** 3) for _ in range(versions - datasets))
    rng.shuffle(shared)
    return shared


def choose_current(datasets: int, set_of_version: array[int], counts: dict[str, int],
                   rng: random.Random) -> array[int]:
    """The current version of each set: mostly its latest."""
    latest = array("q", bytes(8 * datasets))
    before = array("q", bytes(8 * datasets))
    for place, index in enumerate(set_of_version):
        before[index] = latest[index]
        latest[index] = version_id(place)
    for index in range(datasets):
        point = rng.random()
        if point < NO_CURRENT_SHARE:
            latest[index] = 0
            counts["current_empty"] += 1
        elif point < NO_CURRENT_SHARE + LOST_CURRENT_SHARE:
            latest[index] += 1  # between two ids: no version has it
            counts["current_not_in_file"] += 1
        elif point > 1.0 - ROLLED_BACK_SHARE and before[index]:
            latest[index] = before[index]
            counts["current_not_latest"] += 1
    return latest
