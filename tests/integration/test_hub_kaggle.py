"""The stand-in keeps to the rules: Kaggle's two doors, credentials, errors, quotas, pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Answer, Hub, fetch, small_rows

StartHub = Callable[..., Hub]

BASIC = {"Authorization": "Basic " + base64.b64encode(b"test:test-key").decode()}



def call(one: Hub, method: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
    """An RPC call."""
    return one.get(f"/v1/datasets.DatasetApiService/{method}", method="POST",
                   headers={**headers, "Content-Type": "application/json"},
                   body=json.dumps(body).encode())


def test_kaggle_rest_and_rpc_list_the_same(hub: StartHub) -> None:
    one = hub()
    rest: list[int] = []
    page = 1
    while rows := one.get(f"/api/v1/datasets/list?sortBy=updated&page={page}",
                          headers=BASIC).json():
        assert isinstance(rows, list) and len(rows) <= 20
        assert all(row["description"] is None for row in rows)
        rest += [row["id"] for row in rows]
        page += 1
    rpc: list[int] = []
    token = ""
    while True:
        body = call(one, "ListDatasets", {"sortBy": "DATASET_SORT_BY_UPDATED",
                                          **({"pageToken": token} if token else {})},
                    {"Authorization": "Bearer KGAT_test"}).json()
        rpc += [row["id"] for row in body["datasets"]]
        token = body["nextPageToken"]
        if not token:
            break
    assert rest == rpc and len(set(rest)) == 120
    wrapped = hub("--kaggle-list", "wrapper").get("/api/v1/datasets/list", headers=BASIC).json()
    assert len(wrapped["datasets"]) == 20


def test_kaggle_filters(hub: StartHub) -> None:
    one = hub()
    rows = one.get("/api/v1/datasets/list?minSize=100000&maxSize=5000000", headers=BASIC).json()
    assert rows and all(100000 <= row["totalBytes"] <= 5000000 for row in rows)
    owner = rows[0]["ref"].partition("/")[0]
    rows = one.get(f"/api/v1/datasets/list?group=user&user={owner}", headers=BASIC).json()
    assert rows and all(row["ref"].startswith(owner + "/") for row in rows)
    assert one.get("/api/v1/datasets/list?group=my", headers=BASIC).json() == []
    assert one.get("/api/v1/datasets/list?sortBy=size", headers=BASIC).status == 400
    assert one.get("/api/v1/datasets/list/", headers=BASIC).json() == []


def test_kaggle_wall_after_page_500(hub: StartHub, tmp_path: Path) -> None:
    lines = ["Label,URL"] + [f"Set {n},https://www.kaggle.com/datasets/owner/set-{n}"
                             for n in range(10_050)]
    (tmp_path / "sets.csv").write_text("\n".join(lines) + "\n")
    one = hub("--kaggle", str(tmp_path / "sets.csv"))
    assert len(one.get("/api/v1/datasets/list?page=500", headers=BASIC).json()) == 20
    answer = one.get("/api/v1/datasets/list?page=501", headers=BASIC)
    assert (answer.status, answer.json()) == (200, [])
    body = call(one, "ListDatasets", {"page": 500}, BASIC).json()
    assert len(body["datasets"]) == 20 and body["nextPageToken"] == ""


def test_kaggle_credentials_and_errors(hub: StartHub) -> None:
    one = hub()
    assert one.get("/api/v1/datasets/list").status == 401
    wrong = {"Authorization": "Basic " + base64.b64encode(b"test:wrong").decode()}
    assert one.get("/api/v1/datasets/list", headers=wrong).status == 401
    assert one.get("/api/v1/datasets/view/annaberg/no-such", headers=wrong).status == 401
    answer = one.get("/api/v1/datasets/view/annaberg/no-such", headers=BASIC)
    assert answer.status == 403
    assert answer.json() == {"error": {"code": 403, "status": "PERMISSION_DENIED",
                                       "message": "Permission 'datasets.get' was denied"}}
    old = hub("--kaggle-errors", "old").get("/api/v1/datasets/view/annaberg/no-such")
    assert (old.status, old.json()) == (404, {"code": 404, "message": "Not found"})


def test_kaggle_view_metadata_files_and_page(hub: StartHub) -> None:
    one = hub()
    row = small_rows("kaggle.jsonl")[0]
    view = one.get(f"/api/v1/datasets/view/{row['ref'].upper()}").json()
    assert view["ref"] == row["ref"] and view["description"] == row["description"]
    owner, slug = row["ref"].split("/")
    arguments = {"ownerSlug": owner, "datasetSlug": slug}
    assert call(one, "GetDataset", arguments, BASIC).json()["id"] == row["id"]
    info = call(one, "GetDatasetMetadata", arguments, BASIC).json()["info"]
    assert info["datasetId"] == row["id"]
    assert one.get(f"/api/v1/datasets/metadata/{row['ref']}", headers=BASIC).json()["info"] == info
    files = one.get(f"/api/v1/datasets/list/{row['ref']}?pageSize=1").json()
    assert files["datasetFiles"][0]["columns"][0]["name"] == "id"
    answer = one.get(f"/api/v1/datasets/download/{row['ref']}/{files['datasetFiles'][0]['name']}")
    assert answer.status == 302 and fetch(answer.headers["Location"]).body.startswith(b"id,value")
    page = one.get(f"/datasets/{row['ref']}")
    assert page.status == 200 and b"application/ld+json" in page.body
    assert one.get(f"/datasets/{row['ref']}/croissant/download").json()["name"] == row["title"]
    assert one.get("/datasets/annaberg/no-such").status == 404


def test_kaggle_quota_per_method(hub: StartHub) -> None:
    one = hub("--kaggle-quota", "2", "--window-seconds", "60", "--kaggle-retry-after", "7")
    answers = [one.get("/api/v1/datasets/list", headers=BASIC) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "7"
    assert answers[2].json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert one.get("/api/v1/datasets/view/kaggle/meta-kaggle", headers=BASIC).status == 200


def test_kaggle_twins_and_mutations(hub: StartHub) -> None:
    one = hub("--kaggle-twins")
    rows = one.get("/api/v1/datasets/list", headers=BASIC).json()
    assert all(row["titleNullable"] == row["title"] and row["hasTitle"] for row in rows)
    assert any("subtitle" not in row and row["subtitleNullable"] for row in rows)
    ref = rows[0]["ref"]
    version = rows[0]["currentVersionNumber"]
    one.control("mutate", {"kaggle": [
        {"op": "update", "ref": ref}, {"op": "rename", "ref": rows[1]["ref"], "to": "a/b"},
        {"op": "remove", "ref": rows[2]["ref"]},
        {"op": "consent", "ref": rows[3]["ref"], "value": True},
        {"op": "refresh_meta"}]})
    newest = one.get("/api/v1/datasets/list?sortBy=updated", headers=BASIC).json()[0]
    assert (newest["ref"], newest["currentVersionNumber"]) == (ref, version + 1)
    assert one.get(f"/api/v1/datasets/view/{rows[1]['ref']}").status == 403
    assert one.get("/api/v1/datasets/view/a/b").json()["id"] == rows[1]["id"]
    assert one.get(f"/api/v1/datasets/view/{rows[2]['ref']}").status == 403
    assert one.get(f"/api/v1/datasets/view/{rows[3]['ref']}").status == 200
    assert one.get(f"/api/v1/datasets/download/{rows[3]['ref']}").status == 403
    meta = one.get("/api/v1/datasets/view/kaggle/meta-kaggle").json()
    assert meta["currentVersionNumber"] == 2
