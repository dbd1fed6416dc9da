"""The stand-in keeps to the rules: the Hugging Face Hub, storage, faults, the control door."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import HUB_FIXTURES, Answer, Hub, fetch, small_rows

StartHub = Callable[..., Hub]

BASIC = {"Authorization": "Basic " + base64.b64encode(b"test:test-key").decode()}
TOKEN = {"Authorization": "Bearer hf_test"}
NEXT = re.compile(r'<([^>]+)>; rel="next"')
META = "/api/v1/datasets/download/kaggle/meta-kaggle/"


def next_url(answer: Answer) -> str | None:
    """The URL of `Link: <…>; rel="next"`."""
    found = NEXT.search(answer.headers.get("Link") or "")
    return found.group(1) if found else None


def walk(url: str | None) -> list[dict[str, Any]]:
    """Every row of a listing, page after page."""
    rows: list[dict[str, Any]] = []
    while url:
        answer = fetch(url)
        assert answer.status == 200
        rows += answer.json()
        url = next_url(answer)
    return rows


# -- Hugging Face: listing ---------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["lastModified", "createdAt", "downloads", "likes",
                                  "trendingScore"])
def test_walk_returns_each_public_row_once(hub: StartHub, sort: str) -> None:
    one = hub()
    rows = walk(f"{one.endpoint}/api/datasets?limit=17&sort={sort}&expand={sort}")
    public = {row["_id"] for row in small_rows("hf.jsonl") if not row["private"]}
    assert len(rows) == len(public)
    assert {row["_id"] for row in rows} == public
    plain = [row[sort] for row in rows if row["id"].split("/")[0] != "quirks"]
    assert plain == sorted(plain, reverse=True)


def test_link_names_every_parameter_and_our_origin(hub: StartHub) -> None:
    one = hub()
    answer = one.get("/api/datasets?limit=3&expand[]=sha&expand=tags&filter=license:mit")
    url = next_url(answer)
    assert url is not None and url.startswith(one.endpoint + "/api/datasets?")
    for text in ("limit=3", "expand[]=sha", "expand=tags", "filter=license:mit", "cursor="):
        assert text in url
    assert set(answer.json()[0]) <= {"_id", "id", "sha", "tags", "key"}
    mirror = hub("--link-origin", "https://huggingface.co")
    found = next_url(mirror.get("/api/datasets?limit=3"))
    assert found is not None and found.startswith("https://huggingface.co/api/datasets?")


def test_offset_is_ignored(hub: StartHub) -> None:
    one = hub()
    assert one.get("/api/datasets?limit=5&offset=5").body == \
        one.get("/api/datasets?limit=5").body


def test_row_touched_ahead_of_the_cursor_is_seen_twice_or_skipped(hub: StartHub) -> None:
    one = hub()
    url = f"{one.endpoint}/api/datasets?limit=50&sort=lastModified&expand=lastModified"
    quiet = [row["id"] for row in walk(url)]
    first = fetch(url)
    one.control("mutate", {"hf": [
        {"op": "touch", "id": quiet[60]},  # moves to the front, behind the walker: skipped
        {"op": "touch", "id": quiet[3], "at": "2023-01-01T00:00:00.000Z"}]})  # ahead: twice
    names = [row["id"] for row in first.json() + walk(next_url(first))]
    assert quiet[60] not in names
    assert names.count(quiet[3]) == 2
    assert set(quiet) - set(names) == {quiet[60]}


def test_expand_full_and_default_fields(hub: StartHub) -> None:
    one = hub()
    default = one.get("/api/datasets?limit=1&author=tiny-corpora").json()[0]
    full = one.get("/api/datasets?limit=1&author=tiny-corpora&full=true").json()[0]
    assert "description" in default and "siblings" not in default and "cardData" not in default
    assert "siblings" in full and "mainSize" not in full
    assert one.get("/api/datasets?expand=sha&full=true").status == 400
    assert one.get("/api/datasets?expand=nonsense").status == 400
    assert one.get("/api/datasets?sort=nonsense").status == 400
    assert one.get("/api/datasets?cursor=bm9uc2Vuc2U=").status == 400
    assert len(one.get("/api/datasets?limit=99999").json()) == 275


def test_filter_author_search(hub: StartHub) -> None:
    one = hub()
    rows = walk(f"{one.endpoint}/api/datasets?limit=20&full=true&filter=modality:audio"
                "&filter=license:mit")
    assert rows and all({"modality:audio", "license:mit"} <= set(row["tags"]) for row in rows)
    rows = walk(f"{one.endpoint}/api/datasets?limit=5&search=WINE")
    assert rows and all("wine" in row["id"].lower() for row in rows)


def test_rows_are_served_untouched(hub: StartHub) -> None:
    one = hub()
    for row in small_rows("hf.jsonl"):
        if row["id"].startswith("quirks/") and not row["private"] and not row.get("disabled"):
            shown = one.get(f"/api/datasets/{row['id']}").json()
            hidden = {"downloadsAllTime", "mainSize"}
            assert shown == {key: row[key] for key in row if key not in hidden}


# -- Hugging Face: one dataset -----------------------------------------------------------------


def test_refusals(hub: StartHub) -> None:
    one = hub()
    private, disabled = "/api/datasets/quirks/private-set", "/api/datasets/quirks/disabled-set"
    for path in ("/api/datasets/no/such", "/api/datasets/no-such", private):
        answer = one.get(path)
        assert answer.status == 401
        assert answer.headers["X-Error-Message"] == "Invalid username or password."
        answer = one.get(path, headers=TOKEN)
        assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
    for path in ("/api/datasets/tide-gauges", "/api/datasets"):
        answer = one.get(path, headers={"Authorization": "Bearer hf_other"})
        assert answer.status == 401
        assert answer.headers["X-Error-Message"] == "Invalid credentials in Authorization header"
    answer = one.get(disabled)
    assert answer.status == 403
    assert answer.headers["X-Error-Message"] == "Access to this resource is disabled."
    assert one.get("/api/datasets/quirks/gated-manual").json()["gated"] == "manual"
    assert one.get("/api/datasets/tide-gauges").json()["id"] == "tide-gauges"


def test_rename_redirects_or_answers_with_the_new_id(hub: StartHub) -> None:
    one = hub()
    one.control("mutate", {"hf": [
        {"op": "rename", "id": "quirks/markup", "to": "quirks/markup-2"},
        {"op": "rename", "id": "quirks/cjk", "to": "other/cjk", "alias": True}]})
    answer = one.get("/api/datasets/quirks/markup?expand=sha")
    assert answer.status == 307
    assert answer.headers["Location"] == "/api/datasets/quirks/markup-2?expand=sha"
    assert one.get("/api/datasets/quirks/markup-2").json()["id"] == "quirks/markup-2"
    answer = one.get("/api/datasets/quirks/cjk")
    assert (answer.status, answer.json()["id"]) == (200, "other/cjk")
    one.control("reset", {})
    assert one.get("/api/datasets/quirks/markup").status == 200


def test_mutations(hub: StartHub) -> None:
    one = hub()
    before = one.get("/api/datasets/tide-gauges").json()
    one.control("mutate", {"hf": [
        {"op": "touch", "id": "tide-gauges"}, {"op": "delete", "id": "quirks/emoji"},
        {"op": "gate", "id": "quirks/cjk", "value": "auto"},
        {"op": "disable", "id": "quirks/markup"},
        {"op": "add", "row": {"id": "new/set", "description": "fresh"}}]})
    after = one.get("/api/datasets/tide-gauges").json()
    assert after["sha"] != before["sha"] and after["lastModified"] > before["lastModified"]
    assert one.get("/api/datasets/quirks/emoji").status == 401
    assert one.get("/api/datasets/quirks/cjk").json()["gated"] == "auto"
    assert one.get("/api/datasets/quirks/markup").status == 403
    assert one.get("/api/datasets/new/set").json()["description"] == "fresh"
    newest = one.get("/api/datasets?limit=2&sort=lastModified").json()
    assert {row["id"] for row in newest} == {"new/set", "tide-gauges"}
    bad = one.get("/_hub/mutate", method="POST", body=b'{"hf":[{"op":"touch","id":"no/such"}]}')
    assert bad.status == 400 and b"no/such" in bad.body


# -- Hugging Face: quotas ----------------------------------------------------------------------


def test_window_is_used_up_and_recovers(hub: StartHub) -> None:
    one = hub("--quota", "3", "--window-seconds", "3")
    one.control("reset", {})
    left = []
    for _ in range(5):
        answer = one.get("/api/datasets?limit=1")
        found = re.fullmatch(r'"api";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
        assert found is not None
        left.append((answer.status, int(found.group(1))))
        reset_s = int(found.group(2))
    assert left == [(200, 2), (200, 1), (200, 0), (429, 0), (429, 0)]
    assert answer.headers["RateLimit-Policy"] == '"fixed window";"api";q=3;w=3'
    assert one.stats()["requests_while_exhausted"] == 2
    assert one.get("/api/datasets?limit=1", headers=TOKEN).status == 200  # a bucket of its own
    time.sleep(reset_s)
    assert one.get("/api/datasets?limit=1").status == 200


# -- storage and models ------------------------------------------------------------------------


def test_storage_accepts_nothing_but_a_signed_get(hub: StartHub) -> None:
    one = hub()
    url = one.get(META + "Tags.csv").headers["Location"]
    assert url.startswith(one.storage)
    answer = fetch(url)
    assert answer.body == (HUB_FIXTURES / "meta-kaggle" / "Tags.csv").read_bytes()
    md5 = base64.b64encode(hashlib.md5(answer.body).digest()).decode()
    assert f"md5={md5}" in answer.headers["x-goog-hash"]
    assert fetch(url, method="HEAD").status == 403
    assert one.stats()["authorization_reached_storage"] == 0
    assert fetch(url, headers=BASIC).status == 400
    assert one.stats()["authorization_reached_storage"] == 1
    assert fetch(url.partition("?")[0]).status == 403
    assert fetch(url.replace("Tags.csv", "Users.csv")).status == 403


def test_signed_url_expires(hub: StartHub) -> None:
    one = hub("--url-seconds", "0.3")
    url = one.get(META + "Tags.csv").headers["Location"]
    time.sleep(0.4)
    answer = fetch(url)
    assert answer.status == 400 and b"ExpiredToken" in answer.body


def test_range_resumes(hub: StartHub) -> None:
    one = hub()
    url = one.get(META + "Datasets.csv").headers["Location"]
    whole = fetch(url)
    tail = fetch(url, headers={"Range": "bytes=1000-", "If-Range": whole.headers["ETag"]})
    assert (tail.status, tail.body) == (206, whole.body[1000:])
    size = len(whole.body)
    assert tail.headers["Content-Range"] == f"bytes 1000-{size - 1}/{size}"
    assert fetch(url, headers={"Range": "bytes=-7"}).body == whole.body[-7:]
    beyond = fetch(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    changed = fetch(url, headers={"Range": "bytes=1000-", "If-Range": '"other"'})
    assert (changed.status, changed.body) == (200, whole.body)


def test_cut_download_resumes(hub: StartHub) -> None:
    one = hub()
    url = one.get(META + "Datasets.csv").headers["Location"]
    one.control("next", {"prefix": "/", "origin": "storage", "fault": "cut"})
    with pytest.raises(http.client.IncompleteRead) as caught:
        fetch(url)
    part = caught.value.partial
    rest = fetch(url, headers={"Range": f"bytes={len(part)}-"})
    assert len(part) > 1000 and rest.status == 206
    assert part + rest.body == (HUB_FIXTURES / "meta-kaggle" / "Datasets.csv").read_bytes()


def test_csv_comes_zipped_as_configured(hub: StartHub) -> None:
    one = hub("--zip-csv", "Users.csv")
    url = one.get(META + "Users.csv").headers["Location"]
    assert urlsplit(url).path.endswith("/Users.csv.zip")
    body = fetch(url).body
    assert body[:4] == b"PK\x03\x04"
    with zipfile.ZipFile(BytesIO(body)) as archive:
        assert archive.namelist() == ["Users.csv"]
        assert archive.read("Users.csv") == \
            (HUB_FIXTURES / "meta-kaggle" / "Users.csv").read_bytes()
    assert fetch(one.get(META + "Tags.csv").headers["Location"]).body[:2] == b"Id"
    assert one.get(META + "Nothing.csv").status == 404


def test_model_files(hub: StartHub, tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    large = bytes(range(256)) * 8192
    (tmp_path / "model.safetensors").write_bytes(large)
    one = hub("--model", str(tmp_path))
    repo = "sentence-transformers/all-MiniLM-L6-v2"
    revision = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    record = one.get(f"/api/models/{repo}/revision/{revision}").json()
    assert [file["rfilename"] for file in record["siblings"]] == ["1_Pooling/config.json",
                                                                  "model.safetensors"]
    small = one.get(f"/{repo}/resolve/{revision}/1_Pooling/config.json")
    assert (small.status, small.body) == (200, b"{}")
    assert small.headers["ETag"] == '"9e26dfeeb6e641a33dae4961196235bdb965b21b"'
    assert small.headers["X-Repo-Commit"] == revision
    answer = one.get(f"/{repo}/resolve/{revision}/model.safetensors", headers=TOKEN)
    assert answer.status == 302
    assert answer.headers["X-Linked-ETag"] == f'"{hashlib.sha256(large).hexdigest()}"'
    assert fetch(answer.headers["Location"]).body == large
    assert one.get(f"/{repo}/resolve/{revision}/none.bin").status == 404
    assert one.get(f"/{repo}/resolve/{'0' * 40}/model.safetensors").status == 404
    assert one.stats()["resolve_hits"] == 4


# -- faults, scripts, the door itself ----------------------------------------------------------


def outcome(one: Hub) -> str:
    """What one request of a fixed kind comes to."""
    try:
        answer = one.get("/api/datasets?limit=20", timeout=5.0)
    except (http.client.HTTPException, OSError):
        return "broken"
    try:
        answer.json()
    except ValueError:
        return f"{answer.status} not JSON"
    return str(answer.status)


def test_faults_repeat_with_the_seed(hub: StartHub) -> None:
    spec = ("--faults", "cut=0.15,truncate=0.15,500=0.1,429=0.1,html=0.1,hang=0.05",
            "--hang-seconds", "0.05")
    first, again, other = (hub(*spec, "--seed", seed) for seed in ("5", "5", "6"))
    runs = [[outcome(one) for _ in range(60)] for one in (first, again, other)]
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {"200", "500", "429", "broken", "200 not JSON"}
    first.control("faults", {"spec": ""})
    assert {outcome(first) for _ in range(20)} == {"200"}


def test_cut_sends_the_length_and_half_of_the_body(hub: StartHub) -> None:
    one = hub()
    one.control("next", {"prefix": "/api/datasets", "fault": "cut"})
    with pytest.raises(http.client.IncompleteRead) as caught:
        one.get("/api/datasets?limit=20")
    assert caught.value.partial.startswith(b'[{"_id"')
    assert caught.value.expected is not None and caught.value.expected > 1000


def test_reset_answers_nothing(hub: StartHub) -> None:
    one = hub()
    one.control("next", {"prefix": "/api/datasets", "fault": "reset"})
    with pytest.raises(OSError):
        one.get("/api/datasets?limit=20")
    assert one.get("/api/datasets?limit=20").status == 200


def test_truncate_ends_well_formed_http_too_early(hub: StartHub) -> None:
    one = hub()
    whole = one.get("/api/datasets?limit=20").body
    one.control("next", {"prefix": "/api/datasets", "fault": "truncate"})
    answer = one.get("/api/datasets?limit=20")
    assert answer.status == 200 and answer.body == whole[: len(whole) * 3 // 5]


def test_drip_is_slow_and_bounded(hub: StartHub) -> None:
    one = hub("--drip-seconds", "0.4")
    one.control("next", {"prefix": "/api/datasets", "fault": "drip"})
    started = time.monotonic()
    assert len(one.get("/api/datasets?limit=20").json()) == 20
    assert 0.3 < time.monotonic() - started < 3.0


def test_scripted_answers(hub: StartHub) -> None:
    one = hub()
    one.control("next", [
        {"prefix": "/api/datasets", "count": 2, "status": 503, "headers": {"Retry-After": "9"},
         "body": {"error": "later"}},
        {"prefix": "/", "origin": "storage", "status": 404},
        {"prefix": "/api/datasets", "headers": {"RateLimit": "nonsense"}}])
    for _ in range(2):
        answer = one.get("/api/datasets?limit=1")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "9")
        assert answer.json() == {"error": "later"}
    answer = one.get("/api/datasets?limit=1")
    assert (answer.status, answer.headers["RateLimit"]) == (200, "nonsense")
    assert fetch(one.get(META + "Tags.csv").headers["Location"]).status == 404
    assert one.stats()["scripted_pending"] == 0


def test_control_door_meets_no_fault(hub: StartHub) -> None:
    one = hub("--faults", "500=1.0")
    assert one.get("/api/datasets").status == 500
    assert all(one.stats()["requests"] == 1 for _ in range(10))
    log = one.control("requests?since=0")
    assert [(entry["status"], entry["fault"]) for entry in log] == [(500, "500")]


def test_keep_alive_head_and_concurrency(hub: StartHub) -> None:
    one = hub()
    connection = http.client.HTTPConnection(urlsplit(one.endpoint).netloc)
    for method in ("GET", "HEAD", "GET"):
        connection.request(method, "/api/datasets/tide-gauges", headers={"User-Agent": "t/1"})
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200 and bool(body) == (method == "GET")
        assert response.headers["X-Request-Id"]
    one.control("next", {"prefix": "/api", "count": 4, "delay_s": 0.6})
    threads = [threading.Thread(target=one.get, args=("/api/datasets?limit=1",))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection.close()
    report = one.stats()
    assert report["max_concurrency"]["api"] == 4
    assert report["head_hits"] == 1
    assert one.control("requests")[0]["user_agent"] == "t/1"


def test_malformed_requests_are_refused(hub: StartHub) -> None:
    one = hub()
    parts = urlsplit(one.endpoint)
    for text, status in ((b"nonsense\r\n\r\n", b"400"),
                         (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
                         (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", b"431"),
                         (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411")):
        with socket.create_connection((parts.hostname or "", parts.port or 0), 5) as sock:
            sock.sendall(text)
            assert sock.recv(4096).split(b" ")[1] == status
    assert one.get("/api/datasets?limit=1").status == 200


def test_gzip_when_asked(hub: StartHub) -> None:
    one = hub("--gzip")
    answer = one.get("/api/datasets?limit=50", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip" and answer.body[:2] == b"\x1f\x8b"
    assert "Content-Encoding" not in one.get("/api/datasets?limit=50").headers


def test_ends_with_its_parent(hub: StartHub) -> None:
    one = hub()
    assert one.process.stdin is not None
    one.process.stdin.close()
    assert one.process.wait(timeout=10) == 0


def test_announcement_and_clean_end(hub: StartHub, tmp_path: Path) -> None:
    one = hub("--announce", str(tmp_path / "hub.json"), "--newest", "2026-01-01T00:00:00Z")
    told = json.loads((tmp_path / "hub.json").read_text())
    assert told == one.announcement and told["pid"] == one.process.pid
    newest = one.get("/api/datasets?limit=1&sort=lastModified").json()[0]
    assert newest["lastModified"] == "2026-01-01T00:00:00.000Z"
    assert one.stop() == 0
