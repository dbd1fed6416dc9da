"""What Kaggle's two doors have in common: one method per question, answers as plain values.

The REST form (`kaggle_rest.py`) and the RPC form (`kaggle_rpc.py`) differ in how parameters come
in and how lists are wrapped. Options of `Manner` choose between the ways in which the service has
been seen to answer over the years.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from standin.chance import Chance
from standin.kaggle_catalog import LICENSE_IDS, Filter, KaggleCatalog, Row
from standin.kaggle_meta import REF, MetaKaggle
from standin.limits import FixedWindow
from standin.stats import Stats
from standin.storage import Blob, Storage
from standin.wire import Request, Response, json_response, redirect

PAGE_ROWS = 20
LAST_PAGE = 500  # the wall: 10,000 rows
FILES_DEFAULT, FILES_LIMIT = 20, 200
TWINS = ("title", "subtitle", "description", "totalBytes", "licenseName", "url", "ownerName")


@dataclass(frozen=True)
class Manner:
    """Which of its known manners the service shows."""

    old_errors: bool = False  # {"code":404,"message":…} instead of {"error":{…}}
    wrapped_list: bool = False  # REST lists as {"datasets":[…]} instead of a bare array
    twins: bool = False  # titleNullable, hasTitle, … beside or instead of the plain field
    retry_after: int | None = None  # what Retry-After claims, whatever the truth is


@dataclass(frozen=True)
class Credentials:
    """What the stand-in accepts: HTTP Basic of a user and key, or a bearer token."""

    user: str
    key: str
    token: str

    def state(self, request: Request) -> str:
        """"anonymous", "valid" or "wrong"."""
        given = request.headers.get("authorization")
        if given is None:
            return "anonymous"
        scheme, _, value = given.partition(" ")
        basic = base64.b64encode(f"{self.user}:{self.key}".encode()).decode()
        good = {"basic": basic, "bearer": self.token}.get(scheme.lower())
        return "valid" if value.strip() == good else "wrong"


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, name: str,
                 headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.headers = headers or []


class KaggleService:
    """Answers from the live catalogue."""

    def __init__(self, catalog: KaggleCatalog, meta: MetaKaggle, storage: Storage, stats: Stats,
                 credentials: Credentials, window: FixedWindow, quota: int,
                 manner: Manner) -> None:
        self.manner = manner
        self._catalog = catalog
        self._meta = meta
        self._storage = storage
        self._stats = stats
        self._credentials = credentials
        self._window = window
        self._quota = quota

    def refuse(self, refusal: Refusal) -> Response:
        """The error in the shape of the manner."""
        if self.manner.old_errors:
            value: Any = {"code": refusal.status, "message": str(refusal)}
        else:
            value = {"error": {"code": refusal.status, "message": str(refusal),
                               "status": refusal.name}}
        return json_response(refusal.status, value, *refusal.headers)

    def admit(self, request: Request, method: str, anonymous: bool) -> None:
        """Credentials, then the quota of the method; raises Refusal."""
        state = self._credentials.state(request)
        if state == "wrong" or (state == "anonymous" and not anonymous):
            raise Refusal(401, "Unauthenticated", "UNAUTHENTICATED")
        allowance = self._window.take((method, state), self._quota)
        if not allowance.allowed:
            self._stats.mark("requests_while_exhausted")
            claimed = self.manner.retry_after
            wait = allowance.reset_s if claimed is None else claimed
            raise Refusal(429, "Too many requests", "RESOURCE_EXHAUSTED",
                          [("Retry-After", str(wait))])

    def find(self, owner: str, slug: str) -> Row:
        """The public row of a reference; raises the answer for missing, private and deleted."""
        ref = f"{owner}/{slug}"
        row = self._catalog.get(ref)
        if row is None and ref.lower() == REF:
            row = self._meta.row()
        if row is None or row.get("isPrivate"):
            if self.manner.old_errors:
                raise Refusal(404, "Not found", "NOT_FOUND")
            raise Refusal(403, "Permission 'datasets.get' was denied", "PERMISSION_DENIED")
        return row

    def known(self, ref: str) -> Row | None:
        """The public row of a reference, or None: for pages."""
        try:
            return self.find(*ref.split("/", 1))
        except Refusal:
            return None

    def list(self, wanted: Filter, group: str, page: int) -> tuple[list[Row], bool]:
        """One page of rows as lists show them, and whether another page can be asked for."""
        if group not in ("public", "user") or page > LAST_PAGE:
            return [], False
        rows, total = self._catalog.page(wanted, (page - 1) * PAGE_ROWS, PAGE_ROWS)
        more = page * PAGE_ROWS < total and page < LAST_PAGE
        return [self.present({**row, "description": None, "files": [], "versions": []})
                for row in rows], more

    def view(self, row: Row) -> Row:
        """One row in full."""
        return self.present({**row, "files": files_of(row), "versions": [{
            "versionNumber": row.get("currentVersionNumber"),
            "creationDate": row.get("lastUpdated"), "creatorName": row.get("creatorName"),
            "creatorRef": row.get("creatorUrl"), "versionNotes": "", "status": "Ready"}]})

    def present(self, row: Row) -> Row:
        """The row without our own keys; with the suffixed twins of old answers if so set.

        Every third row then has its subtitle only as a twin.
        """
        shown = {key: value for key, value in row.items() if not key.startswith("_")}
        if not self.manner.twins:
            return shown
        for key in TWINS:
            value = shown.get(key)
            shown[f"{key}Nullable"] = value
            shown[f"has{key[0].upper()}{key[1:]}"] = value is not None
        if row["id"] % 3 == 0:
            shown.pop("subtitle", None)
        return shown

    def metadata(self, row: Row) -> dict[str, Any]:
        """`{"info":…}` of the metadata call."""
        owner, _, slug = row["ref"].partition("/")
        licence = LICENSE_IDS.get(str(row.get("licenseName")), "unknown")
        return {"errorMessage": "", "info": {
            "datasetId": row["id"], "datasetSlug": slug, "ownerUser": owner,
            "usabilityRating": row.get("usabilityRating"), "totalViews": row.get("viewCount"),
            "totalVotes": row.get("voteCount"), "totalDownloads": row.get("downloadCount"),
            "title": row.get("title"), "subtitle": row.get("subtitle"),
            "description": row.get("description"), "isPrivate": False,
            "keywords": [tag["name"] for tag in row.get("tags") or []],
            "licenses": [{"name": licence}], "collaborators": [],
            "expectedUpdateFrequency": "never", "userSpecifiedSources": None,
            "data": [{"name": file["name"], "description": file["description"],
                      "totalBytes": file["totalBytes"], "columns": file["columns"]}
                     for file in files_of(row)]}}

    def files(self, row: Row, token: str, size: int) -> dict[str, Any]:
        """One page of the file list."""
        start = read_token(token)
        size = min(max(1, size), FILES_LIMIT)
        files = files_of(row)
        more = start + size < len(files)
        return {"datasetFiles": files[start:start + size], "errorMessage": "",
                "nextPageToken": make_token(start + size) if more else ""}

    def download(self, row: Row, name: str) -> Response:
        """302 to the signed URL of a file, or of the whole archive."""
        if row.get("_consent"):
            raise Refusal(403, "Permission 'datasets.downloadFiles' was denied",
                          "PERMISSION_DENIED")
        if row["ref"] == REF:
            url = self._meta.download_url(name)
        elif name and name not in [file["name"] for file in files_of(row)]:
            url = None
        else:
            place = f"/kaggle-data-sets/{row['id']}/{row.get('currentVersionNumber')}/"
            url = self._storage.publish(place + (name or "archive.csv"),
                                        Blob(sample_table(row), "text/csv"))
        if url is None:
            raise Refusal(404, "Not found", "NOT_FOUND")
        return redirect(302, url)


def make_token(start: int) -> str:
    """An opaque page token."""
    return base64.urlsafe_b64encode(f"at:{start}".encode()).decode()


def read_token(token: str) -> int:
    """The position in a page token; Refusal for a foreign one."""
    if not token:
        return 0
    try:
        mark, _, number = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if mark == "at" and number.isdecimal():
            return int(number)
    except ValueError:
        pass
    raise Refusal(400, f"pageToken '{token}' is not one of ours", "INVALID_ARGUMENT")


def files_of(row: Row) -> list[dict[str, Any]]:
    """The files of a dataset: its own list, or one to three made from its reference."""
    if row.get("files"):
        return list(row["files"])
    chance = Chance(row["ref"].lower(), "files")
    kind = row.get("_fileType", "csv")
    names = ["data", "train", "test"][:chance.between(1, 3)]
    columns = [{"order": place, "name": name, "type": type_name, "originalType": "",
                "description": None}
               for place, (name, type_name) in enumerate(
                   (("id", "id"), ("value", "numeric"), ("label", "string")))]
    total = row.get("totalBytes") or 0
    return [{"ref": f"{name}.{kind}", "name": f"{name}.{kind}",
             "creationDate": row.get("lastUpdated"), "description": None, "fileType": f".{kind}",
             "totalBytes": total // len(names), "url": f"{row.get('url')}?select={name}.{kind}",
             "ownerRef": row.get("ownerRef"), "datasetRef": row["ref"],
             "columns": columns if kind == "csv" else []} for name in names]


def sample_table(row: Row) -> bytes:
    """A small CSV that stands for a dataset's data."""
    chance = Chance(row["ref"].lower(), "table")
    lines = [f"{number},{chance.unit():.4f},{chance.pick(('a', 'b', 'c'))}\n"
             for number in range(1, 101)]
    return ("id,value,label\n" + "".join(lines)).encode()
