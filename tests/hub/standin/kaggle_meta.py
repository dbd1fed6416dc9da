"""Meta Kaggle: the six CSV files of a directory, offered as the dataset `kaggle/meta-kaggle`.

A file is asked for as `NAME.csv`; what the signed URL leads to may be `NAME.csv.zip` instead,
with the CSV as its one member. Which files come zipped is an option, so that a run is repeatable.
Files are streamed, never loaded; a zip is made once, when first asked for.
"""

from __future__ import annotations

import csv
import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from standin.kaggle_catalog import Row, now_text
from standin.storage import Blob, Storage, ZipShelf

REF = "kaggle/meta-kaggle"
FILES = ("Datasets.csv", "DatasetVersions.csv", "DatasetTags.csv", "Tags.csv", "Users.csv",
         "Organizations.csv")


class MetaKaggle:
    """The files, and the row that describes them. Thread-safe."""

    def __init__(self, directory: Path | None, zipped: frozenset[str], shelf: ZipShelf,
                 storage: Storage) -> None:
        self._lock = threading.Lock()
        self._zipped = zipped
        self._shelf = shelf
        self._storage = storage
        self._initial = directory
        self.reset()

    def reset(self) -> None:
        """The directory of the command line, at its first version."""
        with self._lock:
            self._directory = self._initial
            self._version = 1
            self._updated = self._newest_change()

    def refresh(self, directory: Path | None) -> None:
        """A new daily dump: the version goes up by one; the files may come from elsewhere."""
        with self._lock:
            if directory is not None:
                self._directory = directory
            self._version += 1
            self._updated = now_text()

    def _newest_change(self) -> str:
        times = [path.stat().st_mtime for path in self._paths().values()]
        moment = datetime.fromtimestamp(max(times, default=0.0), timezone.utc)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def _paths(self) -> dict[str, Path]:
        if self._directory is None:
            return {}
        return {name: self._directory / name for name in FILES
                if (self._directory / name).is_file()}

    def row(self) -> Row | None:
        """The dataset object of kaggle/meta-kaggle, or None without a directory."""
        with self._lock:
            paths = self._paths()
            if not paths:
                return None
            return {
                "id": 9, "ref": REF, "title": "Meta Kaggle",
                "subtitle": "Kaggle's public data on competitions, users, datasets and more",
                "description": "The public tables of the site, exported every day.",
                "creatorName": "Kaggle", "creatorUrl": "kaggle", "ownerName": "Kaggle",
                "ownerRef": "kaggle", "url": f"https://www.kaggle.com/datasets/{REF}",
                "totalBytes": sum(path.stat().st_size for path in paths.values()),
                "lastUpdated": self._updated, "downloadCount": 90_000, "viewCount": 1_000_000,
                "voteCount": 2_000, "kernelCount": 900, "topicCount": 80,
                "currentVersionNumber": self._version, "usabilityRating": 0.8823529,
                "licenseName": "Apache 2.0", "isPrivate": False, "isFeatured": True,
                "thumbnailImageUrl": None, "tags": [], "versions": [],
                "files": [self._file(name, path) for name, path in paths.items()]}

    def _file(self, name: str, path: Path) -> dict[str, Any]:
        return {"ref": name, "name": name, "creationDate": self._updated, "description": None,
                "fileType": ".csv", "totalBytes": path.stat().st_size, "ownerRef": "kaggle",
                "url": f"https://www.kaggle.com/datasets/{REF}?select={name}",
                "datasetRef": REF, "columns": []}

    def download_url(self, name: str) -> str | None:
        """A signed URL for one file, zipped or not as configured; None when it is not here."""
        with self._lock:
            path = self._paths().get(name)
            version = self._version
        if path is None:
            return None
        place = f"/kaggle-data-sets/9/{version}/{name}"
        if name in self._zipped:
            return self._storage.publish(f"{place}.zip",
                                         Blob(self._shelf.zip_of(path), "application/zip"))
        return self._storage.publish(place, Blob(path, "text/csv"))


def read_tag_ids(directory: Path | None) -> dict[str, int]:
    """Tag name -> id from Tags.csv; empty without one."""
    if directory is None or not os.path.isfile(directory / "Tags.csv"):
        return {}
    with open(directory / "Tags.csv", encoding="utf-8", newline="") as file:
        return {record["Name"]: int(float(record["Id"])) for record in csv.DictReader(file)
                if (record.get("Id") or "").replace(".", "").isdecimal() and record.get("Name")}
