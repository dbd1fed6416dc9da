"""The program under test, as a user runs it: one data directory, one environment, no settings of the
machine."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("TRAWL_BINARY", ROOT / "build" / "cli" / "trawl"))
MODEL_DIR = Path(os.environ.get("TRAWL_MODEL_DIR", ROOT / ".cache/models/all-MiniLM-L6-v2"))
SHARED_DATA = Path(os.environ.get("TRAWL_SHARED_DATA", ROOT.parent / "shared" / "data"))
META_KAGGLE = ROOT / "tests/fixtures/hub/meta-kaggle"


class Trawl:
    """Runs commands in a directory of its own."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.data = home / "data"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TRAWL_DATA_DIR": str(self.data),
            "TRAWL_MODELS_DIR": str(MODEL_DIR.parent),
            "TRAWL_KAGGLE_MIN_INTERVAL_MS": "0",
            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")},
            **env,
        }

    def use(self, hub: Any) -> "Trawl":
        """Point it at a stand-in."""
        self.env |= {
            "HF_ENDPOINT": hub.endpoint,
            "TRAWL_KAGGLE_ENDPOINT": hub.endpoint,
            "TRAWL_TRUSTED_ORIGINS": hub.storage,
            "KAGGLE_USERNAME": "test",
            "KAGGLE_KEY": "test-key",
        }
        return self

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a command; the caller waits for it or kills it."""
        return subprocess.Popen(
            [str(BINARY), *words], cwd=self.home, env=self.env | env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words: str, status: int = 0, timeout: float = 300,
            **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; fails unless it exits with that status."""
        done = subprocess.run(
            [str(BINARY), *words], cwd=self.home, env=self.env | env, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        assert done.returncode == status, (
            f"trawl {' '.join(words)} exited with {done.returncode}, not {status}\n"
            f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done

    def json(self, *words: str, status: int = 0, **env: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(*words, "--json", status=status, **env).stdout)

    def task(self, name: str, *words: str, status: int = 0, **env: str) -> Any:
        """The result object of one task run."""
        return self.json("run", name, *words, status=status, **env)

    @property
    def database(self) -> Path:
        """The catalogue's file."""
        return self.data / "trawl.db"

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the catalogue."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def catalogue(self) -> list[dict[str, Any]]:
        """Every dataset as exported, without what differs from run to run."""
        lines = self.run("export", "--jsonl", "--with-inactive").stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        for row in rows:
            for key in ("created_at", "updated_at", "last_enriched_at"):
                del row[key]
        return sorted(rows, key=lambda row: str(row["id"]))


def assert_balanced(ledger: dict[str, int]) -> None:
    """fetched = inserted + updated + unchanged + rejected + failed."""
    parts = ("inserted", "updated", "unchanged", "rejected", "failed")
    assert ledger["total_fetched"] == sum(ledger[f"total_{part}"] for part in parts), ledger
