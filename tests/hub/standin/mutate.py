"""Changes to the live catalogues, as JSON operations.

Hugging Face (`"hf"`), on one `id`, on `ids`, or on the first `count` rows:

    {"op":"touch","id":…,"at":ISO?,"fields":{…}?}   pushed: lastModified (now), a new sha
    {"op":"set","id":…,"fields":{…}}                other fields; neither date nor sha
    {"op":"add","row":{…}}    {"op":"delete","id":…}
    {"op":"rename","id":…,"to":…,"alias":false}     the old id redirects; alias: it answers 200
    {"op":"disable"|"enable","id":…}                {"op":"gate","id":…,"value":"auto"}
    {"op":"private","id":…,"value":true}

Kaggle (`"kaggle"`), on one `ref`:

    {"op":"update","ref":…,"fields":{…}?}           a new version: lastUpdated, number + 1
    {"op":"set","ref":…,"fields":{…}}               fields only
    {"op":"add","row":{…}}    {"op":"remove","ref":…}    {"op":"rename","ref":…,"to":…}
    {"op":"consent","ref":…,"value":true}           downloads answer 403, view stays 200
    {"op":"refresh_meta","dir":PATH?}               a new Meta Kaggle dump

Operations are applied in order; the first wrong one stops the call, the ones before it stay.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from standin.chance import hex_id
from standin.hf_catalog import HfCatalog, Row, format_date
from standin.kaggle_catalog import KaggleCatalog, now_text
from standin.kaggle_meta import MetaKaggle

Operation = dict[str, Any]


class BadOperation(Exception):
    """An operation that cannot be applied; says which and why."""


class Mutator:
    """Applies operations. The catalogues are thread-safe; so is this."""

    def __init__(self, hf: HfCatalog, kaggle: KaggleCatalog, meta: MetaKaggle) -> None:
        self._hf = hf
        self._kaggle = kaggle
        self._meta = meta
        self._pushes = itertools.count(1)
        self._hf_operations: dict[str, Callable[[str, Operation], object]] = {
            "touch": self._touch,
            "set": lambda name, op: hf.change(name, dict(op["fields"])),
            "delete": lambda name, op: hf.remove(name),
            "rename": lambda name, op: hf.rename(name, str(op["to"]), bool(op.get("alias"))),
            "disable": lambda name, op: hf.change(name, {"disabled": True}),
            "enable": lambda name, op: hf.change(name, {"disabled": False}),
            "gate": lambda name, op: hf.change(name, {"gated": op["value"]}),
            "private": lambda name, op: hf.change(name, {"private": bool(op["value"])}),
        }
        self._kaggle_operations: dict[str, Callable[[str, Operation], object]] = {
            "update": self._update,
            "set": lambda ref, op: kaggle.change(ref, dict(op["fields"])),
            "remove": lambda ref, op: kaggle.remove(ref),
            "rename": lambda ref, op: kaggle.rename(ref, str(op["to"])),
            "consent": lambda ref, op: kaggle.change(ref, {"_consent": bool(op["value"])}),
        }

    def sizes(self) -> dict[str, int]:
        """How many rows there are now."""
        return {"hf_rows": len(self._hf), "kaggle_rows": len(self._kaggle)}

    def apply(self, value: Any) -> int:
        """Apply a body of `POST /_hub/mutate`; the number of rows it changed."""
        if not isinstance(value, dict) or set(value) - {"hf", "kaggle"}:
            raise BadOperation('expected {"hf":[…],"kaggle":[…]}')
        applied = 0
        for source, apply_one in (("hf", self._apply_hf), ("kaggle", self._apply_kaggle)):
            for place, operation in enumerate(value.get(source, [])):
                try:
                    applied += apply_one(operation)
                except KeyError as bad:
                    raise BadOperation(f"{source}[{place}]: no {bad} in the catalogue or in the "
                                       f"operation {operation}") from None
                except ValueError as bad:
                    raise BadOperation(f"{source}[{place}]: {bad}") from None
        return applied

    def _apply_hf(self, operation: Operation) -> int:
        word = operation["op"]
        if word == "add":
            self._hf.put(complete(dict(operation["row"])))
            return 1
        if word not in self._hf_operations:
            raise ValueError(f"op '{word}' is unknown")
        if "count" in operation:
            names = self._hf.names()[:int(operation["count"])]
        else:
            names = operation["ids"] if "ids" in operation else [operation["id"]]
        for name in names:
            self._hf_operations[word](name, operation)
        return len(names)

    def _apply_kaggle(self, operation: Operation) -> int:
        word = operation["op"]
        if word == "add":
            row = dict(operation["row"])
            if not isinstance(row["id"], int) or str(row["ref"]).count("/") != 1:
                raise ValueError("a row needs a numeric id and a ref 'owner/slug'")
            self._kaggle.put(row)
        elif word == "refresh_meta":
            self._meta.refresh(Path(operation["dir"]) if "dir" in operation else None)
        elif word in self._kaggle_operations:
            self._kaggle_operations[word](operation["ref"], operation)
        else:
            raise ValueError(f"op '{word}' is unknown")
        return 1

    def _touch(self, name: str, operation: Operation) -> None:
        """A push: the date moves, the commit changes."""
        moment = operation.get("at") or format_date(time.time() * 1000.0)
        sha = hex_id(f"{name}:{next(self._pushes)}", 40, "push")
        self._hf.change(name, {"lastModified": moment, "sha": sha,
                               **operation.get("fields", {})})

    def _update(self, ref: str, operation: Operation) -> None:
        """A new version of a Kaggle set."""
        row = self._kaggle.get(ref)
        if row is None:
            raise KeyError(ref)
        self._kaggle.change(ref, {"lastUpdated": now_text(),
                                  "currentVersionNumber": int(row.get("currentVersionNumber")
                                                              or 0) + 1,
                                  **operation.get("fields", {})})


def complete(row: Row) -> Row:
    """A new Hub row with the fields that every row has."""
    name = str(row["id"])
    now = format_date(time.time() * 1000.0)
    owner, slash, _ = name.partition("/")
    fallback: Row = {
        "_id": hex_id(name, 24, "_id"), "sha": hex_id(name, 40, "sha"), "createdAt": now,
        "lastModified": now, "private": False, "gated": False, "disabled": False, "downloads": 0,
        "likes": 0, "trendingScore": 0, "tags": []}
    if slash:
        fallback["author"] = owner
    return {**fallback, **row}
