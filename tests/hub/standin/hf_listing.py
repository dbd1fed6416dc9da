"""`GET /api/datasets`: parameters, cursors, the fields of a row, the `Link` header.

The cursor is base64 of the keyset condition, as the Hub's is:
`{"$or":[{"likes":294,"_id":{"$gt":"621f…"}},{"likes":{"$lt":294}}]}`. There is no `offset`; one
that is sent is ignored, and the client reads page 1 for ever.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from standin.hf_catalog import SORT_KEYS, HfCatalog, Position, Row, date_ms, format_date
from standin.wire import Request, Response, json_response

PAGE_LIMIT = 1000
DATE_KEYS = ("lastModified", "createdAt")

# What `expand` may name. Fields outside this list (`key`, `arxivIds`, …) come with every answer.
EXPANDABLE = frozenset((
    "author", "cardData", "citation", "createdAt", "description", "disabled", "downloads",
    "downloadsAllTime", "gated", "lastModified", "likes", "mainSize", "paperswithcode_id",
    "private", "resourceGroup", "sha", "siblings", "tags", "trendingScore", "usedStorage"))
DEFAULT_FIELDS = frozenset((
    "author", "createdAt", "description", "disabled", "downloads", "gated", "lastModified",
    "likes", "private", "sha", "tags", "trendingScore"))
FULL_FIELDS = DEFAULT_FIELDS | {"cardData", "siblings", "citation", "paperswithcode_id"}
DETAIL_FIELDS = FULL_FIELDS | {"usedStorage"}


class BadParameter(Exception):
    """A 400: the request is wrong, a retry cannot help."""


@dataclass(frozen=True)
class Shape:
    """The set of fields an answer holds; hashable, so that renderings can be cached by it."""

    fields: frozenset[str]

    def project(self, row: Row) -> Row:
        """The row as this shape shows it."""
        return {name: value for name, value in row.items()
                if name in self.fields or name not in EXPANDABLE}


@dataclass
class Query:
    """The parameters of one listing call."""

    limit: int
    sort: str
    shape: Shape
    after: Position | None
    tags: list[str] = field(default_factory=list)
    author: str = ""
    search: list[str] = field(default_factory=list)
    gated: bool | None = None

    def wants(self, row: Row) -> bool:
        """Whether a row belongs to the listing: public, and all conditions hold."""
        if row.get("private") is True:
            return False
        if self.author and row.get("author") != self.author:
            return False
        if self.gated is not None and bool(row.get("gated")) != self.gated:
            return False
        if self.tags:
            own = row.get("tags")
            if not isinstance(own, list) or any(tag not in own for tag in self.tags):
                return False
        name = row["id"].lower()
        return all(text in name for text in self.search)


def shape_of(request: Request, fallback: frozenset[str]) -> Shape:
    """The fields named by `expand` or `full`; without either, `fallback`."""
    names = request.values("expand")
    full = request.value("full").lower() in ("true", "1")
    if names and full:
        raise BadParameter("expand and full exclude each other")
    if full:
        return Shape(fallback | FULL_FIELDS)
    if not names:
        return Shape(fallback)
    if unknown := [name for name in names if name not in EXPANDABLE]:
        raise BadParameter(f"expand: '{unknown[0]}' is not one of {', '.join(sorted(EXPANDABLE))}")
    return Shape(frozenset(names))


def parse_query(request: Request) -> Query:
    """The listing parameters; BadParameter names the one that is wrong."""
    limit_text = request.value("limit", str(PAGE_LIMIT))
    if not limit_text.isdecimal() or int(limit_text) == 0:
        raise BadParameter(f"limit: '{limit_text}' is not a positive number")
    sort = request.value("sort") or "trendingScore"
    if sort not in SORT_KEYS:
        raise BadParameter(f"sort: '{sort}' is not one of {', '.join(SORT_KEYS)}")
    gated = request.value("gated").lower()
    cursor = request.value("cursor")
    return Query(
        limit=min(PAGE_LIMIT, int(limit_text)), sort=sort,
        shape=shape_of(request, DEFAULT_FIELDS),
        after=decode_cursor(cursor, sort) if cursor else None,
        tags=request.values("filter"), author=request.value("author"),
        search=[text.lower() for text in request.values("search")],
        gated={"true": True, "false": False}.get(gated))


def encode_cursor(sort: str, position: Position) -> str:
    """The keyset condition behind a position, as base64."""
    value: Any = -position[0]
    if value < 0:
        value = None
    elif sort in DATE_KEYS:
        value = format_date(value)
    elif value == int(value):
        value = int(value)
    condition = {"$or": [{sort: value, "_id": {"$gt": position[1]}}, {sort: {"$lt": value}}]}
    return base64.b64encode(json.dumps(condition, separators=(",", ":")).encode()).decode()


def decode_cursor(text: str, sort: str) -> Position:
    """The position of a cursor made under the same sort key; BadParameter for any other text."""
    try:
        condition = json.loads(base64.b64decode(text, validate=True))["$or"][0]
        value, row_id = condition[sort], condition["_id"]["$gt"]
        if value is None:
            return 1.0, str(row_id)
        number = date_ms(value) if isinstance(value, str) else float(value)
        return -number, str(row_id)
    except (binascii.Error, ValueError, KeyError, IndexError, TypeError):
        raise BadParameter("cursor: not one that this listing made") from None


def link_header(request: Request, origin: str, cursor: str) -> tuple[str, str]:
    """`Link: <…>; rel="next"`: absolute, with every parameter of the request and the cursor."""
    kept = [(name, value) for name, value in request.query if name != "cursor"]
    query = urlencode([*kept, ("cursor", cursor)], quote_via=quote, safe="[]:")
    return "Link", f'<{origin}/api/datasets?{query}>; rel="next"'


def list_datasets(catalog: HfCatalog, request: Request, origin: str) -> Response:
    """One page of the listing, as the catalogue is now."""
    query = parse_query(request)
    with catalog.lock:  # a row must not change between being chosen and being rendered
        rows, position = catalog.page(query.sort, query.after, query.limit, query.wants)
        body = render_rows(catalog, rows, query.shape, query.shape.project)
    headers = []
    if position is not None:
        headers.append(link_header(request, origin, encode_cursor(query.sort, position)))
    return json_response(200, body, *headers)


def render_rows(catalog: HfCatalog, rows: list[Row], shape: Shape,
                project: Callable[[Row], Row]) -> bytes:
    """A JSON array of rows."""
    return b"[" + b",".join(catalog.render(row, shape, project) for row in rows) + b"]"
