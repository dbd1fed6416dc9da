"""Model files from a local directory, as the Hub serves a repository at one revision.

`GET /{repo}/resolve/{rev}/{file}`: a small file comes directly (`ETag` = its git blob id); a large
one, kept in LFS on the Hub, answers 302 to a signed URL of the storage host, with `X-Linked-Size`
and `X-Linked-ETag` (its SHA-256). Both carry `X-Repo-Commit`.
`GET /api/models/{repo}/revision/{rev}` lists the files as `siblings`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from standin.chance import hex_id
from standin.storage import Blob, Storage, send_ranged
from standin.wire import Request, Response, json_response, redirect

REPO = "sentence-transformers/all-MiniLM-L6-v2"
REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
LFS_LIMIT = 1024 * 1024


def git_blob_id(data: bytes) -> str:
    """The id git gives to a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def not_found(message: str, code: str) -> Response:
    """A 404 of the Hub."""
    return json_response(404, {"error": message}, ("X-Error-Code", code),
                         ("X-Error-Message", message))


class ModelShelf:
    """The files of one model repository; empty when no directory was given."""

    def __init__(self, directory: Path | None, storage: Storage) -> None:
        self._storage = storage
        self._files: dict[str, Path] = {}
        self._sha256: dict[tuple[object, ...], str] = {}
        if directory is not None:
            self._files = {str(path.relative_to(directory)): path
                           for path in sorted(directory.rglob("*")) if path.is_file()}

    def describe(self, repo: str, rest: list[str]) -> Response | None:
        """The model's record, or None when the repository is not here."""
        if repo != REPO or not self._files:
            return None
        revision = rest[1] if len(rest) == 2 and rest[0] == "revision" else "main"
        if rest and (len(rest) != 2 or rest[0] != "revision"):
            return not_found("Sorry, we can't find the page you are looking for.", "NotFound")
        if revision not in ("main", REVISION):
            return not_found(f"Invalid rev id: {revision}", "RevisionNotFound")
        return json_response(200, {
            "_id": hex_id(REPO, 24, "model"), "id": REPO, "modelId": REPO,
            "author": REPO.partition("/")[0], "sha": REVISION, "private": False, "gated": False,
            "disabled": False, "lastModified": "2025-03-06T13:37:44.000Z",
            "pipeline_tag": "sentence-similarity", "library_name": "sentence-transformers",
            "tags": ["sentence-transformers", "safetensors", "bert", "license:apache-2.0"],
            "siblings": [{"rfilename": name} for name in self._files]})

    def resolve(self, request: Request, parts: list[str]) -> Response | None:
        """One file, or None when the repository is not here."""
        verb = next(place for place, part in enumerate(parts) if part in ("resolve", "raw"))
        if "/".join(parts[:verb]) != REPO or not self._files or len(parts) < verb + 3:
            return None
        if parts[verb + 1] not in ("main", REVISION):
            return not_found(f"Invalid rev id: {parts[verb + 1]}", "RevisionNotFound")
        name = "/".join(parts[verb + 2:])
        path = self._files.get(name)
        if path is None:
            return not_found("Entry not found", "EntryNotFound")
        commit = ("X-Repo-Commit", REVISION)
        if path.stat().st_size > LFS_LIMIT:
            digest = self._digest(path)
            url = self._storage.publish(f"/lfs/{REPO}/{digest}/{name}", Blob(path))
            return redirect(302, url, commit, ("X-Linked-Size", str(path.stat().st_size)),
                            ("X-Linked-ETag", f'"{digest}"'), ("Accept-Ranges", "bytes"))
        data = path.read_bytes()
        etag = f'"{git_blob_id(data)}"'
        if request.headers.get("if-none-match") == etag:
            return Response(304, [("ETag", etag), commit], b"")
        content_type = "application/json" if name.endswith(".json") else "text/plain"
        headers = [("Content-Type", f"{content_type}; charset=utf-8"), ("ETag", etag),
                   ("Accept-Ranges", "bytes"), commit]
        return send_ranged(request, headers, Blob(data), etag)

    def _digest(self, path: Path) -> str:
        key = Blob(path).version()
        if key not in self._sha256:
            digest = hashlib.sha256()
            with open(path, "rb") as file:
                while piece := file.read(1024 * 1024):
                    digest.update(piece)
            self._sha256[key] = digest.hexdigest()
        return self._sha256[key]
