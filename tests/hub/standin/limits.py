"""Fixed-window quotas, as the Hugging Face Hub counts them, and Kaggle's per-method ones.

Every window begins at a whole multiple of its length since the start of the process; what is left
of a window is not carried over.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """What one request found: `allowed` false means 429; seconds are whole and at least 1."""

    allowed: bool
    remaining: int
    reset_s: int
    quota: int
    window_s: int


class FixedWindow:
    """Counts requests per key and window. Thread-safe."""

    def __init__(self, window_s: float) -> None:
        self._lock = threading.Lock()
        self._window_s = window_s
        self._start = time.monotonic()
        self._window = 0
        self._used: dict[tuple[str, ...], int] = {}

    def take(self, key: tuple[str, ...], quota: int) -> Allowance:
        """Use one request of `key`'s quota, if one is left."""
        elapsed = time.monotonic() - self._start
        window = int(elapsed // self._window_s)
        reset_s = max(1, math.ceil((window + 1) * self._window_s - elapsed))
        with self._lock:
            if window != self._window:
                self._window = window
                self._used.clear()
            used = self._used.get(key, 0)
            allowed = used < quota
            if allowed:
                used += 1
                self._used[key] = used
        return Allowance(allowed, quota - used, reset_s, quota, max(1, round(self._window_s)))

    def reset(self) -> None:
        """Start a full window now."""
        with self._lock:
            self._start = time.monotonic()
            self._window = 0
            self._used.clear()
