"""What two workers answer, compared: the same keys with values of the same types."""

from __future__ import annotations

from typing import Any

EITHER = {"redelivered": {"null", "bool"}}  # where releases differ: 5.2 does not know, later ones say false


def kind_of(value: Any) -> str:
    """JSON's types; integers and other numbers are one."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", list: "list", dict: "object"}[type(value)]


def differences(theirs: Any, ours: Any, tables: frozenset[str] = frozenset(), path: str = "") -> list[str]:
    """What ours lacks or has of another type, by path; more keys than theirs are welcome.

    `tables` are the paths of objects whose keys are names that differ ("total"): one of their values
    stands for all.  "" is the whole.
    """
    either = EITHER.get(path.rpartition(".")[2], set())
    if kind_of(theirs) != kind_of(ours) and not {kind_of(theirs), kind_of(ours)} <= either:
        return [f"{path or 'the answer'}: {kind_of(ours)} {ours!r} instead of {kind_of(theirs)} {theirs!r}"]
    if isinstance(theirs, dict):
        if path in tables:
            return first_differences(list(theirs.values()), list(ours.values()), tables, f"{path}{{}}")
        missing = [f"{path}.{key}: missing".lstrip(".") for key in theirs if key not in ours]
        return missing + [line for key in theirs if key in ours
                          for line in differences(theirs[key], ours[key], tables,
                                                  f"{path}.{key}".lstrip("."))]
    if isinstance(theirs, list):
        return first_differences(theirs, ours, tables, f"{path}[]")
    return []


def first_differences(theirs: list[Any], ours: list[Any], tables: frozenset[str], path: str) -> list[str]:
    """Lists whose elements are all alike; one may be longer than the other, but not empty alone."""
    if bool(theirs) != bool(ours):
        return [f"{path}: {len(ours)} instead of {len(theirs)}"]
    return differences(theirs[0], ours[0], tables, path) if theirs else []
