"""Puts the parts of one stand-in together, and sends each request to the part that answers it."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from standin.control import Control
from standin.faults import FaultPlan, Script
from standin.hf_api import HfApi
from standin.hf_catalog import HfCatalog
from standin.hf_models import ModelShelf
from standin.hf_source import Loaded, load_hf, shift_dates
from standin.kaggle_catalog import KaggleCatalog
from standin.kaggle_meta import MetaKaggle, read_tag_ids
from standin.kaggle_rest import KaggleRest
from standin.kaggle_rpc import KaggleRpc
from standin.kaggle_service import Credentials, KaggleService, Manner
from standin.kaggle_source import load_kaggle, shift_updates
from standin.limits import FixedWindow
from standin.mutate import Mutator
from standin.options import Options
from standin.server import Origin
from standin.signing import Signer
from standin.stats import Stats
from standin.storage import Storage, ZipShelf
from standin.wire import Request, Response
from standin.zenodo import Zenodo

GZIP_FROM = 1024


class StandIn:
    """Both origins and everything behind them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._directory = Path(tempfile.mkdtemp(prefix="hub-"))
        self._numbers = itertools.count(1)
        self._stats = Stats()
        self._faults = FaultPlan(options.faults, options.seed)
        self._script = Script()
        self._hf_window = FixedWindow(options.window_s)
        self._kaggle_window = FixedWindow(options.window_s)
        key = hashlib.sha256(f"signing key {options.seed}".encode()).digest()
        self._storage = Storage(Signer(key, options.url_s), self._stats)
        self._load()
        self._connect()

    def _log(self, text: str) -> None:
        if not self._options.quiet:
            print(f"hub: {text}", file=sys.stderr, flush=True)

    def _load(self) -> None:
        """Read the catalogues."""
        options = self._options
        hf, kaggle = Loaded([]), Loaded([])
        if options.hf is not None:
            hf = load_hf(options.hf)
            self._log("hugging face rows from " + hf.summary(options.hf))
        if options.kaggle is not None:
            kaggle = load_kaggle(options.kaggle)
            self._log("kaggle rows from " + kaggle.summary(options.kaggle))
        if options.newest_ms is not None:
            hf.rows = shift_dates(hf.rows, options.newest_ms)
            kaggle.rows = shift_updates(kaggle.rows, options.newest_ms)
        self._hf = HfCatalog(hf.rows)
        self._kaggle = KaggleCatalog(kaggle.rows, read_tag_ids(options.meta_kaggle))
        self._meta = MetaKaggle(options.meta_kaggle, options.zip_csv, ZipShelf(self._directory),
                                self._storage)

    def _connect(self) -> None:
        """Make the doors and the two origins."""
        options = self._options
        service = KaggleService(
            self._kaggle, self._meta, self._storage, self._stats,
            Credentials(options.kaggle_user, options.kaggle_key, options.kaggle_token),
            self._kaggle_window, options.kaggle_quota,
            Manner(options.kaggle_errors == "old", options.kaggle_list == "wrapper",
                   options.kaggle_twins, options.kaggle_retry_after))
        self._zenodo = Zenodo(options.zenodo, options.window_s, options.zenodo_quota)
        self._rest = KaggleRest(service)
        self._rpc = KaggleRpc(service)
        self._service = service
        self._hub = HfApi(self._hf, ModelShelf(options.model, self._storage), self._stats,
                          self._hf_window, options.quota, options.hf_token,
                          lambda: options.link_origin or self.api.url)
        control = Control(self._stats, self._faults, self._script,
                          Mutator(self._hf, self._kaggle, self._meta), self.reset,
                          self._zenodo.change)
        self.api = Origin("api", options.port, self.handle, control.handle, self._stats,
                          self._faults, self._script, options.hang_s, options.drip_s)
        self.storage = Origin("storage", options.storage_port, self._storage.handle, None,
                              self._stats, self._faults, self._script, options.hang_s,
                              options.drip_s)
        self._storage.set_origin(lambda: self.storage.url)

    def start(self) -> None:
        """Begin to answer."""
        self.api.start()
        self.storage.start()

    def stop(self) -> None:
        """Stop answering and remove what was made."""
        self.api.stop()
        self.storage.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def reset(self) -> None:
        """Catalogues, faults, quotas, scripts and counters as they were at the start."""
        for part in (self._hf, self._kaggle, self._meta, self._faults, self._hf_window,
                     self._kaggle_window, self._stats, self._zenodo):
            part.reset()
        self._script.clear()

    def announcement(self, pid: int) -> dict[str, Any]:
        """What a client needs to find us."""
        return {"hf_endpoint": self.api.url, "kaggle_endpoint": self.api.url,
                "storage": self.storage.url, "pid": pid}

    def handle(self, request: Request) -> Response:
        """Answer one request to the API origin; every answer has an `X-Request-Id`."""
        response = self._route(request)
        number = next(self._numbers)
        response.headers.append(("X-Request-Id", f"Root=1-{self._options.seed:08x}-{number:024x}"))
        return self._compress(request, response) if self._options.gzip else response

    def _route(self, request: Request) -> Response:
        if request.path.startswith("/api/v1/"):
            return self._rest.handle(request)
        if request.path.startswith("/api/records"):
            return self._zenodo.handle(request)
        if request.path.startswith("/v1/"):
            return self._rpc.handle(request)
        parts = request.segments()
        if parts[0] == "datasets" and len(parts) in (3, 5) and not self._is_hub_page(parts):
            return self._rest.page(request)
        return self._hub.handle(request)

    def _is_hub_page(self, parts: list[str]) -> bool:
        """Both services have pages at /datasets/{owner}/{name}; the Hub's rows go first."""
        name = "/".join(parts[1:3])
        if parts[3:] == ["croissant", "download"]:
            return False
        return (self._hf.get(name) is not None or self._hf.moved_to(name) is not None
                or self._service.known(name) is None)

    def _compress(self, request: Request, response: Response) -> Response:
        """gzip for JSON bodies worth it, when the client takes it."""
        body = response.body
        if (not isinstance(body, bytes) or len(body) < GZIP_FROM or response.status != 200
                or "gzip" not in request.headers.get("accept-encoding", "")):
            return response
        return replace(response, body=gzip.compress(body, compresslevel=1, mtime=0),
                       headers=[*response.headers, ("Content-Encoding", "gzip"),
                                ("Vary", "Accept-Encoding")])
