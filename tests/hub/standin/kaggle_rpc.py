"""Kaggle's RPC door: `POST /v1/datasets.DatasetApiService/{Method}` with a JSON body.

Lists come wrapped with a `nextPageToken`; enums are sent by name
(`"sortBy":"DATASET_SORT_BY_UPDATED"`). This is the form that the current official client speaks.
"""

from __future__ import annotations

import json
from typing import Any

from standin.kaggle_rest import make_filter, whole_number
from standin.kaggle_service import (
    FILES_DEFAULT,
    PAGE_ROWS,
    KaggleService,
    Refusal,
    make_token,
    read_token,
)
from standin.wire import Request, Response, json_response

SERVICE = "datasets.DatasetApiService"
# method -> (statistics kind, quota name, whether anonymous clients are served)
METHODS = {
    "ListDatasets": ("kaggle.list", "list", False),
    "GetDataset": ("kaggle.view", "view", False),
    "GetDatasetMetadata": ("kaggle.metadata", "metadata", False),
    "ListDatasetFiles": ("kaggle.files", "files", True),
}
# RPC field -> (REST parameter, prefix of its enum names)
ENUMS = {
    "sortBy": ("sortBy", "DATASET_SORT_BY_"),
    "group": ("group", "DATASET_SELECTION_GROUP_"),
    "fileType": ("filetype", "DATASET_FILE_TYPE_GROUP_"),
    "license": ("license", "DATASET_LICENSE_GROUP_"),
}
SPELLINGS = {"bigquery": "bigQuery", "big_query": "bigQuery", "my_private": "myPrivate"}


def rest_values(body: dict[str, Any]) -> dict[str, str]:
    """The listing fields of an RPC body under their REST names."""
    values: dict[str, str] = {}
    for name, value in body.items():
        if value is None:
            continue
        if name in ENUMS:
            rest_name, prefix = ENUMS[name]
            word = str(value).removeprefix(prefix).lower()
            values[rest_name] = SPELLINGS.get(word, word)
        else:
            values["tagids" if name == "tagIds" else name] = str(value)
    return values


def text_field(body: dict[str, Any], name: str) -> str:
    """A string of the body that must be there."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(400, f"{name}: expected a string", "INVALID_ARGUMENT")
    return value


def number_field(body: dict[str, Any], name: str) -> int:
    """A whole number of the body, 0 when it is unset."""
    value = body.get(name)
    return whole_number("" if value is None else str(value), name) or 0


class KaggleRpc:
    """Routes below /v1/."""

    def __init__(self, service: KaggleService) -> None:
        self._service = service

    def handle(self, request: Request) -> Response:
        """Answer one call."""
        parts = request.segments()
        method = parts[2] if len(parts) == 3 and parts[1] == SERVICE else ""
        kind, quota_name, anonymous = METHODS.get(method, ("kaggle.other", "other", True))
        try:
            self._service.admit(request, quota_name, anonymous)
            if request.method != "POST" or method not in METHODS:
                raise Refusal(404, "Method not found", "NOT_FOUND")
            response = json_response(200, self._call(method, self._body(request)))
        except Refusal as refusal:
            response = self._service.refuse(refusal)
        response.kind = kind
        return response

    def _body(self, request: Request) -> dict[str, Any]:
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refusal(400, "Invalid JSON payload received", "INVALID_ARGUMENT")
        return body

    def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        service = self._service
        if method == "ListDatasets":
            return self._list(body)
        row = service.find(text_field(body, "ownerSlug"), text_field(body, "datasetSlug"))
        if method == "GetDatasetMetadata":
            return service.metadata(row)
        if method == "ListDatasetFiles":
            size = number_field(body, "pageSize") or FILES_DEFAULT
            return service.files(row, str(body.get("pageToken") or ""), size)
        return service.view(row)

    def _list(self, body: dict[str, Any]) -> dict[str, Any]:
        values = rest_values(body)
        token = str(body.get("pageToken") or "")
        page = read_token(token) // PAGE_ROWS + 1 if token else number_field(body, "page") or 1
        rows, more = self._service.list(make_filter(values), values.get("group", "public"),
                                        page)
        return {"datasets": rows, "nextPageToken": make_token(page * PAGE_ROWS) if more else ""}
