"""The storage origin: objects behind signed URLs, as Google Cloud Storage serves them.

- GET only: the URLs are signed for GET, so HEAD answers 403.
- Any `Authorization` header beside the signature answers 400: credentials must never be forwarded
  to another host by a redirect. The statistics remember each one.
- `Accept-Ranges: bytes`; one range answers 206, one beyond the end 416; `If-Range` is honoured.
- `ETag` and `x-goog-hash: crc32c=…,md5=…` (base64; the crc32c only of objects up to 1 MiB).
Errors are XML: `<Error><Code>…</Code><Message>…</Message></Error>`.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from standin.signing import Signer
from standin.stats import Stats
from standin.wire import FileSlice, Request, Response, text_response

CRC_LIMIT = 1024 * 1024
ERRORS = {
    "AccessDenied": (403, "Access denied."),
    "SignatureDoesNotMatch": (403, "The request signature does not match the one provided."),
    "ExpiredToken": (400, "The provided token has expired."),
    "InvalidArgument": (400, "Only one authentication mechanism is allowed."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "InvalidRange": (416, "The requested range cannot be satisfied."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
}


@dataclass(frozen=True)
class Blob:
    """What an object holds: a file, or bytes. Its digests are made once, when first asked for."""

    content: Path | bytes
    content_type: str = "application/octet-stream"

    def size(self) -> int:
        """Bytes, as of now."""
        return len(self.content) if isinstance(self.content, bytes) else \
            self.content.stat().st_size

    def version(self) -> tuple[object, ...]:
        """Changes when the file was replaced."""
        if isinstance(self.content, bytes):
            return ("bytes", len(self.content))
        stat = self.content.stat()
        return (str(self.content), stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True)
class Digests:
    """Raw digests of an object."""

    md5: bytes
    crc32c: bytes | None


def crc_table() -> list[int]:
    """The byte table of CRC-32C (Castagnoli), reflected polynomial 0x82F63B78."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def crc32c(data: bytes) -> int:
    """CRC-32C of a small block (RFC 3720, B.4); plain Python, a few MB a second."""
    table = crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def digest_blob(blob: Blob) -> Digests:
    """MD5 of any object, CRC-32C of a small one."""
    md5 = hashlib.md5(usedforsecurity=False)
    if isinstance(blob.content, bytes):
        md5.update(blob.content)
    else:
        with open(blob.content, "rb") as file:
            while piece := file.read(1024 * 1024):
                md5.update(piece)
    crc = None
    if blob.size() <= CRC_LIMIT:
        data = blob.content if isinstance(blob.content, bytes) else blob.content.read_bytes()
        crc = crc32c(data).to_bytes(4, "big")
    return Digests(md5.digest(), crc)


class ZipShelf:
    """`NAME.zip` files made once, on demand, in a directory of this run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._made: dict[tuple[object, ...], Path] = {}

    def zip_of(self, source: Path) -> Path:
        """The zip with `source` as its one member; a changed source is zipped again."""
        key = Blob(source).version()
        with self._lock:
            if key not in self._made:
                target = self._directory / f"{len(self._made)}-{source.name}.zip"
                with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
                    out.write(source, source.name)
                self._made[key] = target
            return self._made[key]


class Storage:
    """Objects by path, and the handler of the storage origin."""

    def __init__(self, signer: Signer, stats: Stats) -> None:
        self._signer = signer
        self._stats = stats
        self._lock = threading.Lock()
        self._blobs: dict[str, Blob] = {}
        self._digests: dict[tuple[object, ...], Digests] = {}
        self._origin: Callable[[], str] = lambda: ""

    def set_origin(self, origin: Callable[[], str]) -> None:
        """Where the origin listens, once it does."""
        self._origin = origin

    def publish(self, path: str, blob: Blob) -> str:
        """Make `blob` the object at `path` and return a signed URL for it."""
        with self._lock:
            self._blobs[path] = blob
        return self._origin() + self._signer.sign(path)

    def digests(self, path: str, blob: Blob) -> Digests:
        """The digests of the object as it is now."""
        key = (path, *blob.version(), blob.content if isinstance(blob.content, bytes) else b"")
        with self._lock:
            found = self._digests.get(key)
        if found is None:
            found = digest_blob(blob)
            with self._lock:
                self._digests[key] = found
        return found

    def handle(self, request: Request) -> Response:
        """Answer one request to the storage origin."""
        response = self._serve(request)
        response.kind = "storage"
        return response

    def _serve(self, request: Request) -> Response:
        if "authorization" in request.headers:
            self._stats.mark("authorization_reached_storage")
            return error("InvalidArgument")
        if request.method == "HEAD":
            return error("SignatureDoesNotMatch")
        if request.method != "GET":
            return error("MethodNotAllowed")
        path = "/" + "/".join(request.segments())
        if code := self._signer.check(path, request):
            return error(code)
        with self._lock:
            blob = self._blobs.get(path)
        if blob is None:
            return error("NoSuchKey")
        return self._send_object(request, path, blob)

    def _send_object(self, request: Request, path: str, blob: Blob) -> Response:
        digests = self.digests(path, blob)
        etag = f'"{digests.md5.hex()}"'
        hashes = [f"crc32c={encode64(digests.crc32c)}"] if digests.crc32c is not None else []
        headers = [("Content-Type", blob.content_type), ("ETag", etag),
                   ("Accept-Ranges", "bytes"),
                   ("x-goog-hash", ",".join(hashes + [f"md5={encode64(digests.md5)}"]))]
        return send_ranged(request, headers, blob, etag)


def encode64(raw: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(raw).decode()


def error(code: str) -> Response:
    """The XML error of the storage host."""
    status, message = ERRORS[code]
    return text_response(status, f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}"
                         f"</Code><Message>{message}</Message></Error>",
                         "application/xml; charset=UTF-8")


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """`bytes=a-b`, `bytes=a-`, `bytes=-n` as (first, last); None: not understood, send it all.

    A range that begins beyond the end comes back with first >= size (RFC 9110, 14.1.2).
    """
    unit, equals, value = text.partition("=")
    first, dash, last = value.strip().partition("-")
    if unit.strip() != "bytes" or not equals or not dash or "," in value:
        return None
    if not first:
        if not last.isdecimal():
            return None
        return (max(0, size - int(last)), size - 1) if int(last) else (size, size)
    if not first.isdecimal() or (last and not last.isdecimal()):
        return None
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < int(first):
        return None
    return int(first), end


def send_ranged(request: Request, headers: list[tuple[str, str]], blob: Blob,
                etag: str) -> Response:
    """200 with the whole object, 206 with one range, or 416."""
    size = blob.size()
    wanted = None
    if "range" in request.headers and request.headers.get("if-range", etag) == etag:
        wanted = parse_range(request.headers["range"], size)
    if wanted is None:
        return Response(200, headers, cut_blob(blob, 0, size))
    first, last = wanted
    if first >= size:
        response = error("InvalidRange")
        response.headers.append(("Content-Range", f"bytes */{size}"))
        return response
    headers = [*headers, ("Content-Range", f"bytes {first}-{last}/{size}")]
    return Response(206, headers, cut_blob(blob, first, last + 1 - first))


def cut_blob(blob: Blob, offset: int, length: int) -> bytes | FileSlice:
    """Part of an object as a body."""
    if isinstance(blob.content, bytes):
        return blob.content[offset:offset + length]
    return FileSlice(blob.content, offset, length)
