"""Signed download URLs in the manner of Google Cloud Storage V4: valid for GET, for minutes.

The signature is an HMAC over method, path and expiry with a key of this run; its form, not its
algorithm, is what a client gets to see.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import datetime, timezone
from urllib.parse import quote, urlencode

from standin.wire import Request

ALGORITHM = "GOOG4-RSA-SHA256"


class Signer:
    """Makes and checks the query part of signed URLs."""

    def __init__(self, key: bytes, valid_s: float) -> None:
        self._key = key
        self._valid_s = valid_s

    def sign(self, path: str) -> str:
        """`path` (decoded) as an encoded target with its signature."""
        expires = f"{time.time() + self._valid_s:.3f}"
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        query = urlencode({
            "X-Goog-Algorithm": ALGORITHM,
            "X-Goog-Credential": "stand-in@example.iam.gserviceaccount.com",
            "X-Goog-Date": stamp,
            "X-Goog-Expires": expires,
            "X-Goog-SignedHeaders": "host",
            "X-Goog-Signature": self._digest(path, expires),
        })
        return f"{quote(path)}?{query}"

    def check(self, path: str, request: Request) -> str | None:
        """None for a valid signature, else the storage host's error code."""
        signature = request.value("X-Goog-Signature")
        expires = request.value("X-Goog-Expires")
        if not signature:
            return "AccessDenied"
        if not hmac.compare_digest(signature, self._digest(path, expires)):
            return "SignatureDoesNotMatch"
        if time.time() > float(expires):
            return "ExpiredToken"
        return None

    def _digest(self, path: str, expires: str) -> str:
        message = f"GET\n{path}\n{expires}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
