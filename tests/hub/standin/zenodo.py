"""Zenodo's search for records, as its documentation and its answers have it.

    GET /api/records?type=dataset&sort=mostrecent&size=25&page=1&q=created:[A TO B]

- 25 records a page, 100 with a token; more is 400. `hits.total`, `links.next`.
- A search sees its first 10,000 records: beyond, 400, and the way on is a narrower `q`.
- 30 searches a minute: X-RateLimit-Limit, -Remaining, -Reset (seconds since 1970) in every answer;
  429 with Retry-After and the usual body beyond.
- GET /api/records/ID: one record, 404 where there is none, 410 with a tombstone where it was deleted.

The records are drawn from a hash of their number; a few are what real ones are at times: without a
description, a licence, a title, an id.
"""

from __future__ import annotations

import math
import re
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from standin.chance import Chance
from standin.limits import FixedWindow
from standin.wire import Request, Response, json_response

WINDOW_RESULTS = 10_000
PAGE_ROWS = 25
PAGE_ROWS_TOKEN = 100
TOKEN = "zenodo-token"
NEWEST = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
FIRST_ID = 5_000_000
NUMBERS = 1_000_000  # the first records end below it, later ones begin here
SUBJECTS = ("river discharge", "soil moisture", "bird songs", "protein structures", "street images",
            "survey answers", "gene expression", "sea ice", "radio spectra", "parliament speeches")
PLACES = ("the Rhine", "northern Italy", "Lake Victoria", "the Arctic", "Kyoto", "the Andes")
LICENSES = ("cc-by-4.0", "cc-zero", "cc-by-sa-4.0", "odbl-1.0", "other-open")
TYPES = ("csv", "csv", "zip", "nc", "JSON", "tar.gz", "parquet", "xlsx")
CREATED = re.compile(r'^created:\[(\*|"[^"]+"|\S+) TO (\*|"[^"]+"|\S+)\]$')


def stamp(moment: datetime) -> str:
    """As Zenodo writes it: microseconds and a numeric zone."""
    return moment.isoformat(timespec="microseconds")


def make_record(number: int) -> dict[str, Any]:
    """Record `number`; higher is newer."""
    chance = Chance(str(number), "zenodo")
    record_id = FIRST_ID + 10 * number
    created = NEWEST + timedelta(minutes=37 * (number - NUMBERS), microseconds=number % 1000)
    subject, place = chance.pick(SUBJECTS), chance.pick(PLACES)
    files = [{"key": f"part {index}.{chance.pick(TYPES)}", "size": 100 + chance.between(0, 10**9),
              "checksum": f"md5:{number:032x}", "links": {"self": f"https://zenodo.org/{index}"}}
             for index in range(chance.between(1, 4))]
    metadata = {
        "title": f"Measurements of {subject} in {place}, part {number}",
        "description": f"<p>Hourly values of <em>{subject}</em> &amp; notes.</p><ul><li>{place}"
                       "</li></ul><script>track()</script>",
        "publication_date": created.date().isoformat(), "version": "v1",
        "doi": f"10.5281/zenodo.{record_id}",
        "creators": [{"name": f"Doe, {chance.pick('ABCDE')}.", "affiliation": None}],
        "keywords": [subject, place, subject], "access_right": "open", "language": "eng",
        "license": {"id": chance.pick(LICENSES)},
        "resource_type": {"title": "Dataset", "type": "dataset"},
    }
    record: dict[str, Any] = {
        "created": stamp(created), "updated": stamp(created + timedelta(hours=2)),
        "id": record_id, "recid": str(record_id), "conceptrecid": str(record_id - 1),
        "doi": f"10.5281/zenodo.{record_id}", "conceptdoi": f"10.5281/zenodo.{record_id - 1}",
        "doi_url": f"https://doi.org/10.5281/zenodo.{record_id}",
        "links": {"self": f"https://zenodo.org/api/records/{record_id}",
                  "self_html": f"https://zenodo.org/records/{record_id}"},
        "metadata": metadata, "files": files, "status": "published", "revision": 4,
        "stats": {"downloads": chance.between(0, 5000), "views": chance.between(0, 9000)},
    }
    if number % 11 == 3:
        metadata["description"] = None
    if number % 13 == 4:
        del metadata["license"]
    if number % 17 == 5:
        del record["files"]
        metadata["access_right"] = "restricted"
    if number % 29 == 6:
        del metadata["keywords"]
    return record


def spoil(record: dict[str, Any], number: int) -> dict[str, Any]:
    """The two that nobody can use: no id, no title."""
    if number % 97 == 50:
        del record["id"], record["conceptrecid"]
    if number % 97 == 51:
        record["metadata"]["title"] = 7
    return record


class Zenodo:
    """The records, newest first. Thread-safe."""

    def __init__(self, n_records: int, window_s: float, quota: int) -> None:
        self._lock = threading.Lock()
        self._initial = n_records
        self._window = FixedWindow(window_s)
        self._quota = quota
        self._cache: list[tuple[datetime, dict[str, Any]]] | None = None
        self.reset()

    def reset(self) -> None:
        """As it was at the start."""
        with self._lock:
            self._numbers = list(range(NUMBERS - self._initial, NUMBERS))
            self._versions: dict[int, int] = {}
            self._gone: set[int] = set()
            self._cache = None
        self._window.reset()

    def change(self, value: Any) -> dict[str, int]:
        """`{"publish": n}` adds so many newer ones; `{"revise": n}` gives the newest n a new version:
        another id and DOI, the same concept; `{"delete": n}` deletes the oldest n."""
        with self._lock:
            last = self._numbers[-1] if self._numbers else NUMBERS - 1
            self._numbers += range(last + 1, last + 1 + int(value.get("publish", 0)))
            for number in self._numbers[len(self._numbers) - int(value.get("revise", 0)):]:
                self._versions[number] = self._versions.get(number, 1) + 1
            n_gone = int(value.get("delete", 0))
            self._gone |= {FIRST_ID + 10 * number for number in self._numbers[:n_gone]}
            self._numbers = self._numbers[n_gone:]
            self._cache = None
            return {"zenodo": len(self._numbers)}

    def _records(self) -> list[tuple[datetime, dict[str, Any]]]:
        """With their moments, newest first."""
        with self._lock:
            if self._cache is None:
                made = []
                for number in self._numbers:
                    record = spoil(make_record(number), number)
                    version = self._versions.get(number, 1)
                    if version > 1 and "id" in record:
                        record["id"] += version
                        record["doi"] = f"10.5281/zenodo.{record['id']}"
                        record["metadata"]["version"] = f"v{version}"
                        record["created"] = stamp(NEWEST + timedelta(
                            days=100 + version, seconds=number - self._numbers[0]))
                        record["updated"] = record["created"]
                    made.append((datetime.fromisoformat(record["created"]), record))
                self._cache = sorted(made, key=lambda pair: pair[0], reverse=True)
            return self._cache

    def handle(self, request: Request) -> Response:
        """Answer a request below /api/records."""
        allowance = self._window.take(("zenodo",), self._quota)
        response = self._answer(request) if allowance.allowed else json_response(
            429, {"status": 429, "message": "30 per 1 minute"},
            ("Retry-After", str(allowance.reset_s)))
        response.headers += [
            ("X-RateLimit-Limit", str(allowance.quota)),
            ("X-RateLimit-Remaining", str(allowance.remaining)),
            ("X-RateLimit-Reset", str(math.ceil(time.time()) + allowance.reset_s))]
        response.kind = "zenodo"
        return response

    def _answer(self, request: Request) -> Response:
        parts = request.segments()
        if len(parts) == 2:
            return self._search(request)
        if len(parts) == 3 and parts[2].isdecimal():
            return self._one(int(parts[2]))
        return json_response(404, {"status": 404, "message": "The requested URL was not found."})

    def _one(self, record_id: int) -> Response:
        for _, record in self._records():
            if record.get("id") == record_id:
                return json_response(200, record)
        if record_id in self._gone:
            return json_response(410, {
                "status": 410, "message": "The record has been deleted.",
                "tombstone": {"removal_reason": {"id": "spam"}, "is_visible": True}})
        return json_response(404, {"status": 404, "message": "The persistent identifier does not "
                                                             "exist."})

    def _search(self, request: Request) -> Response:
        authorization = request.headers.get("authorization", "")
        if authorization not in ("", f"Bearer {TOKEN}"):
            return json_response(401, {"status": 401, "message": "The access token provided is "
                                                                 "invalid."})
        most = PAGE_ROWS_TOKEN if authorization else PAGE_ROWS
        size, page = request.value("size", "10"), request.value("page", "1")
        if not size.isdecimal() or not 1 <= int(size) <= most:
            return self._refuse("size", f"Page size cannot be greater than {most}.")
        if not page.isdecimal() or int(page) < 1:
            return self._refuse("page", "Must be at least 1.")
        if int(size) * int(page) > WINDOW_RESULTS:
            return self._refuse("page", f"Maximum number of {WINDOW_RESULTS} results have been "
                                        "reached.")
        if request.value("type") != "dataset" or request.value("sort") != "mostrecent":
            return self._refuse("sort", "The stand-in knows type=dataset&sort=mostrecent.")
        found = self._find(request.value("q"))
        if found is None:
            return self._refuse("q", f"Invalid query: {request.value('q')}")
        return self._page(request, found, int(size), int(page))

    def _find(self, query: str) -> list[dict[str, Any]] | None:
        """Records of a span, both ends included; None for a query that is none."""
        low, high = "*", "*"
        if query:
            match = CREATED.match(query)
            if not match:
                return None
            low, high = (end.strip('"') for end in match.groups())
        try:
            first = None if low == "*" else datetime.fromisoformat(low)
            last = None if high == "*" else datetime.fromisoformat(high)
        except ValueError:
            return None
        return [record for created, record in self._records()
                if (first is None or created >= first) and (last is None or created <= last)]

    def _page(self, request: Request, found: list[dict[str, Any]], size: int,
              page: int) -> Response:
        links = {"self": f"https://zenodo.org{request.target}"}
        if size * page < len(found):
            links["next"] = f"https://zenodo.org{request.path}?page={page + 1}"
        return json_response(200, {
            "hits": {"hits": found[size * (page - 1):size * page], "total": len(found)},
            "links": links, "aggregations": {}})

    def _refuse(self, field: str, message: str) -> Response:
        return json_response(400, {"status": 400, "message": "A validation error occurred.",
                                   "errors": [{"field": field, "messages": [message]}]})
