"""Deterministic choices from the name of a thing: the same name makes the same row, anywhere.

`random.Random` would do, at fifty times the cost; a row needs a dozen numbers, and one 64-byte
hash holds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Chance:
    """Numbers drawn one after another from the BLAKE2b hash of a name, two bytes at a time."""

    def __init__(self, name: str, salt: str = "") -> None:
        self._name = name.encode("utf-8", "surrogatepass")
        self._salt = salt.encode()
        self._block = 0
        self._bytes = b""

    def _take(self, count: int) -> bytes:
        if len(self._bytes) < count:
            person = self._block.to_bytes(4, "big") + self._salt[:12]
            self._bytes += hashlib.blake2b(self._name, person=person).digest()
            self._block += 1
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        return taken

    def unit(self) -> float:
        """A number in [0, 1)."""
        return int.from_bytes(self._take(4), "big") / 2.0**32

    def below(self, limit: int) -> int:
        """A whole number in [0, limit), limit up to 65,536."""
        return int.from_bytes(self._take(4), "big") % limit

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + int(self.unit() * (high - low + 1))

    def skewed(self, high: float, power: float) -> int:
        """Mostly small, seldom near `high`: high * u ** power."""
        return int(high * self.unit() ** power)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability


def hex_id(name: str, length: int, salt: str) -> str:
    """A stable hexadecimal id of `length` digits."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=length // 2,
                           person=salt.encode()[:16]).hexdigest()
