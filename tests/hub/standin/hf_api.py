"""The Hugging Face Hub's API: quotas, credentials, listing, one dataset, model files.

Every answer carries `RateLimit: "api";r=…;t=…` and `RateLimit-Policy: "fixed window";"api";q=…;w=…`
for the bucket it was taken from: `api`, or `resolvers` (six times as wide) for file downloads, or
`pages` (a fifth) for HTML. A used-up window answers 429 with r=0.

What one dataset answers:

    public or gated       200; metadata is public
    renamed               307 with a relative Location (or 200 with the new id, for an alias)
    disabled              403 "Access to this resource is disabled."
    missing or private    401 "Invalid username or password." to anonymous clients,
                          404 RepoNotFound to a valid token
    any, with a bad token 401 "Invalid credentials in Authorization header"
"""

from __future__ import annotations

from collections.abc import Callable

from standin.hf_catalog import HfCatalog, Row
from standin.hf_listing import DETAIL_FIELDS, BadParameter, list_datasets, shape_of
from standin.hf_models import ModelShelf
from standin.limits import Allowance, FixedWindow
from standin.stats import Stats
from standin.wire import Request, Response, dump, json_response, redirect, text_response

RESOLVERS_FACTOR = 6
PAGES_DIVISOR = 5


def hub_error(status: int, message: str, code: str = "") -> Response:
    """An error with the Hub's headers and body."""
    headers = [("X-Error-Message", message)]
    if code:
        headers.append(("X-Error-Code", code))
    return json_response(status, {"error": message}, *headers)


class HfApi:
    """Routes below /api/ (but /api/v1/), /datasets/ and the models' resolve paths."""

    def __init__(self, catalog: HfCatalog, models: ModelShelf, stats: Stats, window: FixedWindow,
                 quota: int, token: str, link_origin: Callable[[], str]) -> None:
        self._catalog = catalog
        self._models = models
        self._stats = stats
        self._window = window
        self._quota = quota
        self._token = token
        self._link_origin = link_origin

    def handle(self, request: Request) -> Response:
        """Answer one request, quota and credentials first."""
        parts = request.segments()
        kind, bucket, route = self._route(parts)
        allowance = self._take(request, bucket)
        if kind == "hf.resolve":
            self._stats.mark("resolve_hits")
        if not allowance.allowed:
            self._stats.mark("requests_while_exhausted")
            response = json_response(429, {
                "error": f"the quota of {allowance.quota} requests per {allowance.window_s} s is "
                         f"used up, retry in {allowance.reset_s} s"})
        elif request.method not in ("GET", "HEAD"):
            response = json_response(405, {"error": f"{request.method} is not allowed"},
                                     ("Allow", "GET, HEAD"))
        elif self.has_bad_token(request):
            response = hub_error(401, "Invalid credentials in Authorization header")
        else:
            try:
                response = route(request, parts)
            except BadParameter as bad:
                response = hub_error(400, str(bad))
        response.kind = kind
        response.headers += [
            ("RateLimit", f'"{bucket}";r={allowance.remaining};t={allowance.reset_s}'),
            ("RateLimit-Policy", f'"fixed window";"{bucket}";q={allowance.quota};'
                                 f"w={allowance.window_s}")]
        return response

    def _route(self, parts: list[str]) -> tuple[str, str,
                                                Callable[[Request, list[str]], Response]]:
        """(kind, quota bucket, function) of a path."""
        if parts == ["api", "datasets"]:
            return "hf.list", "api", self._list
        if parts[:2] == ["api", "datasets"]:
            return "hf.detail", "api", self._detail
        if parts[:2] == ["api", "models"]:
            return "hf.model", "api", self._model
        if "resolve" in parts or "raw" in parts:
            card = parts[0] == "datasets"
            return "hf.resolve", "resolvers", self._card if card else self._resolve
        if parts[0] == "datasets":
            return "hf.page", "pages", self._page
        return "other", "api", self._nothing

    def _take(self, request: Request, bucket: str) -> Allowance:
        factor = {"api": self._quota, "resolvers": self._quota * RESOLVERS_FACTOR,
                  "pages": max(1, self._quota // PAGES_DIVISOR)}
        who = request.headers.get("authorization", "anonymous")
        return self._window.take((bucket, who), factor[bucket])

    def _list(self, request: Request, parts: list[str]) -> Response:
        return list_datasets(self._catalog, request, self._link_origin())

    def _detail(self, request: Request, parts: list[str]) -> Response:
        """`/api/datasets/{id}` and `/api/datasets/{id}/revision/{rev}`."""
        name, rest = split_name(parts[2:], ("revision",))
        row = self.find(name)
        if row is None and (target := self._catalog.moved_to(name)):
            path = "/".join(["/api/datasets", target, *rest])
            return redirect(307, f"{path}?{request.query_text}".rstrip("?"))
        if denied := self._denied(request, row):
            return denied
        assert row is not None
        if rest and (len(rest) != 2 or rest[0] != "revision"):
            return hub_error(404, "Sorry, we can't find the page you are looking for.")
        if rest and rest[1] not in ("main", "HEAD", row.get("sha")):
            return hub_error(404, f"Invalid rev id: {rest[1]}", "RevisionNotFound")
        shape = shape_of(request, DETAIL_FIELDS)
        return json_response(200, dump(shape.project(row)))

    def find(self, name: str) -> Row | None:
        """The live row of an id."""
        return self._catalog.get(name)

    def has_bad_token(self, request: Request) -> bool:
        """Whether the request carries credentials, and not ours."""
        given = request.headers.get("authorization")
        return given is not None and given != f"Bearer {self._token}"

    def _denied(self, request: Request, row: Row | None) -> Response | None:
        """The refusal for a row that this client may not see, or None."""
        if row is None or row.get("private") is True:
            return missing(request)
        if row.get("disabled") is True:
            return hub_error(403, "Access to this resource is disabled.")
        return None

    def _card(self, request: Request, parts: list[str]) -> Response:
        """`/datasets/{id}/resolve/{rev}/README.md`: the card. Each hit counts as a download."""
        name, rest = split_name(parts[1:], ("resolve", "raw"))
        row = self.find(name)
        if row is None and (target := self._catalog.moved_to(name)):
            return redirect(307, "/".join(["/datasets", target, *rest]))
        if denied := self._denied(request, row):
            return denied
        assert row is not None
        if row.get("gated"):
            status = 403 if "authorization" in request.headers else 401
            return hub_error(status, "Access to this dataset is restricted.", "GatedRepo")
        if rest[2:] != ["README.md"]:
            return hub_error(404, "Entry not found", "EntryNotFound")
        return text_response(200, card_text(row), "text/plain; charset=utf-8",
                             ("ETag", f'"{row.get("sha")}"'), ("X-Repo-Commit",
                                                               str(row.get("sha"))))

    def _model(self, request: Request, parts: list[str]) -> Response:
        found = self._models.describe("/".join(parts[2:4]), parts[4:])
        return found if found is not None else missing(request)

    def _resolve(self, request: Request, parts: list[str]) -> Response:
        found = self._models.resolve(request, parts)
        return found if found is not None else missing(request)

    def _page(self, request: Request, parts: list[str]) -> Response:
        """`/datasets/{id}`: the page people look at."""
        name = "/".join(parts[1:])
        row = self.find(name)
        if row is None and (target := self._catalog.moved_to(name)):
            return redirect(307, f"/datasets/{target}")
        if row is None or row.get("private") is True:
            return text_response(404, "<!DOCTYPE html><title>404</title>\n",
                                 "text/html; charset=utf-8")
        return text_response(200, f"<!DOCTYPE html><title>{name}</title>\n",
                             "text/html; charset=utf-8")

    def _nothing(self, request: Request, parts: list[str]) -> Response:
        return hub_error(404, "Sorry, we can't find the page you are looking for.")


def missing(request: Request) -> Response:
    """A repository that is not there, or not for this client: the Hub does not say which."""
    if "authorization" in request.headers:
        return hub_error(404, "Repository not found", "RepoNotFound")
    return hub_error(401, "Invalid username or password.")


def split_name(parts: list[str], verbs: tuple[str, ...]) -> tuple[str, list[str]]:
    """`owner/name` or a bare `name`, and what follows it (a verb and its arguments)."""
    if len(parts) >= 2 and parts[1] not in verbs:
        return "/".join(parts[:2]), parts[2:]
    return parts[0] if parts else "", parts[1:]


def card_text(row: Row) -> str:
    """A README.md for a row: the header as JSON (which is YAML), then the description."""
    card = dump(row.get("cardData") or {}).decode("utf-8", "replace")
    return f"---\n{card}\n---\n\n# {row['id']}\n\n{row.get('description') or ''}\n"
