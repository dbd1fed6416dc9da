"""Kaggle's REST door, `GET /api/v1/datasets/…`, and the pages of www.kaggle.com.

    list                     bare array, 20 rows a page, `200 []` behind page 500; needs credentials
    view/{owner}/{slug}      one row in full; anonymous too
    metadata/{owner}/{slug}  {"info":…}; needs credentials
    list/{owner}/{slug}      files by pageToken and pageSize; anonymous too
    download/{owner}/{slug}[/{file}]   302 to a signed URL; anonymous too

`/datasets/{owner}/{slug}` is the page (200 or 404), `…/croissant/download` its Croissant file.
`list/` with a trailing slash answers `200 []`, as has been observed.
"""

from __future__ import annotations

import html
from typing import Any

from standin.kaggle_catalog import LICENSE_IDS, SORTS, Filter, Row
from standin.kaggle_service import FILES_DEFAULT, KaggleService, Refusal
from standin.wire import Request, Response, dump, json_response, text_response

LIST_PATH = "/api/v1/datasets/list"
FILE_TYPES = ("all", "csv", "sqlite", "json", "bigQuery", "parquet")
LICENSES = ("all", "cc", "gpl", "odb", "other")
GROUPS = ("public", "my", "user", "upvoted", "myPrivate")
# path word -> (statistics kind, whether anonymous clients are served)
METHODS = {"list": ("kaggle.list", False), "view": ("kaggle.view", True),
           "metadata": ("kaggle.metadata", False), "files": ("kaggle.files", True),
           "download": ("kaggle.download", True)}


def whole_number(text: str, name: str) -> int | None:
    """A parameter that is a whole number, None when it is empty; Refusal otherwise."""
    if not text:
        return None
    if not text.isdecimal():
        raise Refusal(400, f"{name}: '{text}' is not a whole number", "INVALID_ARGUMENT")
    return int(text)


def one_of(text: str, name: str, allowed: tuple[str, ...]) -> str:
    """A parameter from a list of words, the first when it is empty; Refusal otherwise."""
    if text and text not in allowed:
        raise Refusal(400, f"{name}: '{text}' is not one of {', '.join(allowed)}",
                      "INVALID_ARGUMENT")
    return text or allowed[0]


def make_filter(value: dict[str, str]) -> Filter:
    """The filter of the listing parameters, with REST spellings."""
    tag_ids = [whole_number(part, "tagids") for part in value.get("tagids", "").split(",") if part]
    return Filter(
        sort=one_of(value.get("sortBy", ""), "sortBy", tuple(SORTS)),
        search=value.get("search", ""), user=value.get("user", ""),
        min_size=whole_number(value.get("minSize", ""), "minSize"),
        max_size=whole_number(value.get("maxSize", ""), "maxSize"),
        file_type=one_of(value.get("filetype", ""), "filetype", FILE_TYPES),
        license=one_of(value.get("license", ""), "license", LICENSES),
        tag_ids=tuple(number for number in tag_ids if number is not None))


class KaggleRest:
    """Routes below /api/v1/ and the dataset pages."""

    def __init__(self, service: KaggleService) -> None:
        self._service = service

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        parts = request.segments()[2:]  # behind api/v1
        word = parts[1] if len(parts) > 1 and parts[0] == "datasets" else ""
        if word == "list" and len(parts) == 4:
            word = "files"
        kind, anonymous = METHODS.get(word, ("kaggle.other", True))
        try:
            self._service.admit(request, word, anonymous)
            if request.method not in ("GET", "HEAD"):
                raise Refusal(405, "Method not allowed", "INVALID_ARGUMENT")
            response = self._answer(request, word, parts[2:])
        except Refusal as refusal:
            response = self._service.refuse(refusal)
        response.kind = kind
        return response

    def _answer(self, request: Request, word: str, rest: list[str]) -> Response:
        service = self._service
        if word == "list" and not rest:
            return self._list(request)
        if word not in METHODS or len(rest) < 2:
            raise Refusal(404, "Not found", "NOT_FOUND")
        row = service.find(rest[0], rest[1])
        if word == "download":
            return service.download(row, "/".join(rest[2:]))
        if word == "metadata":
            return json_response(200, service.metadata(row))
        if word == "files":
            size = whole_number(request.value("pageSize"), "pageSize") or FILES_DEFAULT
            return json_response(200, service.files(row, request.value("pageToken"), size))
        return json_response(200, service.view(row))

    def _list(self, request: Request) -> Response:
        if request.path != LIST_PATH:
            return json_response(200, [])
        value = dict(request.query)
        page = whole_number(value.get("page", ""), "page")
        if page == 0:
            raise Refusal(400, "page: the first page is 1", "INVALID_ARGUMENT")
        group = one_of(value.get("group", ""), "group", GROUPS)
        rows, _ = self._service.list(make_filter(value), group, page or 1)
        return json_response(200, {"datasets": rows} if self._service.manner.wrapped_list
                             else rows)

    def page(self, request: Request) -> Response:
        """`/datasets/{owner}/{slug}` and `…/croissant/download`."""
        parts = request.segments()[1:]
        row = self._service.known("/".join(parts[:2])) if len(parts) >= 2 else None
        if row is None or parts[2:] not in ([], ["croissant", "download"]):
            response = text_response(404, "<!DOCTYPE html><title>404</title>\n",
                                     "text/html; charset=utf-8")
        elif parts[2:]:
            response = json_response(200, croissant_of(row))
        else:
            response = text_response(200, page_text(row), "text/html; charset=utf-8")
        response.kind = "kaggle.croissant" if parts[2:] else "kaggle.page"
        return response


def croissant_of(row: Row) -> dict[str, Any]:
    """The JSON-LD of a dataset: keywords as full paths, times without a zone, sizes as text."""
    name = str(row.get("licenseName"))
    size = row.get("totalBytes") or 0
    return {
        "@context": {"@language": "en", "@vocab": "https://schema.org/"}, "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0", "name": row.get("title"),
        "alternateName": row.get("subtitle"), "description": row.get("description"),
        "url": row.get("url"), "version": row.get("currentVersionNumber"),
        "license": {"@type": "sc:CreativeWork", "name": name,
                    "url": f"https://spdx.org/licenses/{LICENSE_IDS.get(name, 'unknown')}"},
        "keywords": [tag.get("fullPath") for tag in row.get("tags") or []],
        "dateModified": str(row.get("lastUpdated")).rstrip("Z"),
        "creator": {"@type": "sc:Person", "name": row.get("creatorName"),
                    "url": f"/{row.get('creatorUrl')}"},
        "distribution": [{"@type": "cr:FileObject", "@id": "archive.zip", "name": "archive.zip",
                          "contentSize": f"{size / 1000:.3f} KB",
                          "encodingFormat": "application/zip"}]}


def page_text(row: Row) -> str:
    """The page of a dataset: a title and the JSON-LD."""
    data = dump(croissant_of(row)).decode("utf-8", "replace").replace("<", "\\u003c")
    return (f"<!DOCTYPE html><html><head><title>{html.escape(str(row.get('title')))} | Kaggle"
            f"</title>\n<script type=\"application/ld+json\">{data}</script></head></html>\n")
