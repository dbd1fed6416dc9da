"""The tasks `cleanup.*` against the stand-in: what is gone is found and hidden, and nothing else; old
downloads go. Days pass by moving the times in the catalogue back."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Hub
from trawl_cli import META_KAGGLE, ROOT, Trawl

HOUR_US = 3_600_000_000
CHECK = ("cleanup.check_broken_links", "--batch-size")
TIMES = {
    "datasets": ("last_checked_at",),
    "dataset_links": ("gone_since", "gone_strong_since", "lost_since", "gone_at", "next_at"),
    "link_hosts": ("parked_until", "outage_since", "canary_at", "canary_good_at"),
}


def change(trawl: Trawl, *statements: str) -> None:
    """Write to the catalogue behind the program's back."""
    connection = sqlite3.connect(trawl.database)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def pass_hours(trawl: Trawl, hours: int) -> None:
    """All that was noted about links was noted so much earlier."""
    change(trawl, *(f"UPDATE {table} SET {column} = {column} - {hours * HOUR_US}"
                    for table, columns in TIMES.items() for column in columns))


def states(trawl: Trawl) -> dict[str | None, int]:
    """How many rows are in which state."""
    return dict(trawl.query("SELECT link_state, count(*) FROM datasets GROUP BY link_state"))


def names(trawl: Trawl, source: str) -> list[str]:
    """The rows of a source, in the order in which they are checked."""
    return [name for (name,) in trawl.query(
        "SELECT external_id FROM datasets WHERE source_name = ? AND is_active"
        " AND external_id LIKE '%/%' ORDER BY row_id", source)]


def paths_asked(hub: Hub) -> list[tuple[str, str]]:
    """Method and path of every request since the last reset of the log."""
    return [(one["method"], one["target"]) for one in hub.control("requests?since=0")]


def test_a_whole_catalogue_is_well(hub: Callable[..., Hub], trawl: Trawl) -> None:
    one = hub()
    trawl.use(one)
    trawl.task("enrich.fetch_hf_datasets", "--limit", "20", "--days-back", "0")
    trawl.task("kaggle.fetch_latest", "--limit", "20")
    n_before = len(paths_asked(one))
    result = trawl.task(*CHECK, "100")
    assert result == {"checked": 40, "broken": 0, "deactivated": 0, "errors": 0}, result
    asked = paths_asked(one)[n_before:]
    assert len(asked) == 40 and len(set(asked)) == 40
    assert {(method, path.startswith("/api/datasets/")) for method, path in asked} == {
        ("HEAD", True), ("GET", False)}
    assert one.stats().get("resolve_hits", 0) == 0
    assert trawl.query("SELECT count(*) FROM dataset_links") == [(0,)]
    assert trawl.query("SELECT count(*) FROM dataset_enrichment_logs"
                       " WHERE stage = 'link_validation' AND result = 'success'") == [(40,)]
    assert trawl.task(*CHECK, "100")["checked"] == 0
    run = trawl.json("runs")[1]
    assert run["task"] == "cleanup.check_broken_links" and run["state"] == "SUCCESS"


def test_gone_is_hidden_and_comes_back(hub: Callable[..., Hub], trawl: Trawl) -> None:
    """One deleted row of each source: suspect for three days, then hidden; found again, shown."""
    one = hub()
    trawl.use(one)
    trawl.task("enrich.fetch_hf_datasets", "--limit", "9", "--days-back", "0")
    trawl.task("kaggle.fetch_latest", "--limit", "9")
    hf, kaggle = names(trawl, "huggingface")[0], names(trawl, "kaggle")[0]
    one.control("mutate", {"hf": [{"op": "private", "id": hf, "value": True}],
                           "kaggle": [{"op": "remove", "ref": kaggle}]})
    broken = 0
    for hours in (0, 7, 25, 25, 25):
        pass_hours(trawl, hours)
        result = trawl.task(*CHECK, "100")
        broken += result["broken"]
        assert result["errors"] == 0, result
        if hours != 25:
            assert result["deactivated"] == 0 and states(trawl)["suspect"] == 2
    assert broken == 10 and states(trawl) == {"alive": 16, "gone": 2}
    assert trawl.query("SELECT external_id FROM datasets WHERE NOT is_active ORDER BY 1") == [
        (name,) for name in sorted([hf, kaggle])]
    shown = trawl.json("show", f"huggingface:{hf}")
    assert shown["link_state"] == "gone" and not shown["is_active"]
    history = trawl.run("show", f"kaggle:{kaggle}").stdout
    assert "link_validation" in history and "404 not found: gone" in history
    assert hf not in [hit["external_id"] for hit in trawl.json("search", hf)["hits"]]

    one.control("mutate", {"hf": [{"op": "private", "id": hf, "value": False}]})
    pass_hours(trawl, 7 * 24 + 1)
    trawl.task(*CHECK, "100")
    assert states(trawl) == {"alive": 17, "gone": 1}
    assert trawl.query("SELECT is_active FROM datasets WHERE external_id = ?", hf) == [(1,)]


def test_suspects_are_marked(hub: Callable[..., Hub], trawl: Trawl) -> None:
    one = hub()
    trawl.use(one)
    trawl.task("kaggle.seed_initial", "--path", str(META_KAGGLE))
    trawl.task(*CHECK, "10")
    (name, title), = trawl.query("SELECT external_id, title FROM datasets"
                                 " WHERE link_state = 'alive' LIMIT 1")
    change(trawl, f"UPDATE datasets SET link_state = 'suspect' WHERE external_id = '{name}'")
    out = trawl.run("search", title).stdout
    assert f"kaggle:{name}  [suspect]" in out and out.count("[suspect]") == 1
    assert "suspect" in trawl.run("show", f"kaggle:{name}").stdout


def test_a_host_that_fails_is_no_reason(hub: Callable[..., Hub], trawl: Trawl) -> None:
    """Everything answers 404, then 500, then asks for a pause: no row is even suspect."""
    one = hub()
    trawl.use(one)
    trawl.task("enrich.fetch_hf_datasets", "--limit", "15", "--days-back", "0")
    one.control("faults", {"spec": "404=1.0"})
    result = trawl.task(*CHECK, "100")
    assert result == {"checked": 0, "broken": 0, "deactivated": 0, "errors": 15}, result
    one.control("faults", {"spec": "500=1.0"})
    pass_hours(trawl, 1)
    assert trawl.task(*CHECK, "100")["errors"] == 15
    assert states(trawl) == {None: 15}
    one.control("faults", {"spec": "429=1.0"})
    pass_hours(trawl, 1)
    n_before = len(paths_asked(one))
    assert trawl.task(*CHECK, "100")["errors"] == 15
    assert len(paths_asked(one)) == n_before + 1
    one.control("faults", {"spec": ""})
    pass_hours(trawl, 1)
    assert trawl.task(*CHECK, "100")["checked"] == 15
    assert states(trawl) == {"alive": 15}


def test_addresses_from_data_must_be_public(hub: Callable[..., Hub], trawl: Trawl) -> None:
    """A URL in a row leads nowhere inside."""
    one = hub()
    trawl.use(one)
    trawl.task("enrich.fetch_hf_datasets", "--limit", "3", "--days-back", "0")
    change(trawl, "UPDATE datasets SET source_name = 'elsewhere',"
                  " url = 'http://169.254.169.254/latest' WHERE row_id = 1",
           "UPDATE datasets SET source_name = 'elsewhere', url = 'http://127.0.0.1:80/x'"
           " WHERE row_id = 2")
    result = trawl.task(*CHECK, "100")
    assert result == {"checked": 3, "broken": 0, "deactivated": 0, "errors": 0}, result
    assert states(trawl) == {"alive": 1, "unchecked": 2}
    assert trawl.query("SELECT count(*) FROM dataset_enrichment_logs WHERE result = 'skipped'"
                       " AND error_message LIKE '%not public%'") == [(2,)]


def test_killed_in_the_middle(hub: Callable[..., Hub], trawl: Trawl) -> None:
    """What a dead checker had leased comes back an hour later."""
    one = hub()
    trawl.use(one)
    trawl.task("enrich.fetch_hf_datasets", "--limit", "20", "--days-back", "0")
    n_before = len(paths_asked(one))
    process = trawl.start("run", *CHECK, "100")
    end = time.monotonic() + 20
    while len(paths_asked(one)) < n_before + 3:
        assert time.monotonic() < end, "nothing is asked"
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert trawl.query("SELECT count(*) FROM dataset_links WHERE lease_owner IS NOT NULL") == [(20,)]
    assert trawl.task(*CHECK, "100")["checked"] == 0
    change(trawl, f"UPDATE dataset_links SET lease_until = lease_until - {HOUR_US}")
    assert trawl.task(*CHECK, "100")["checked"] == 20
    assert trawl.query("SELECT count(*) FROM dataset_links") == [(0,)]


def make_first_version(database: Path) -> None:
    """The same rows as the first version of the schema had them."""
    older = database.with_name("older.db")
    connection = sqlite3.connect(older, isolation_level=None)
    connection.executescript((ROOT / "migrations/sqlite/0001_catalogue.sql").read_text("utf-8"))
    connection.execute("ATTACH ? AS newer", (str(database),))
    names = [name for (name,) in connection.execute(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE '%fts%'"
        " AND name NOT LIKE 'sqlite%'")]
    for name in names:
        columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({name})"))
        connection.execute(f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM newer.{name}")
    (sql,) = connection.execute(
        "SELECT sql FROM newer.sqlite_schema WHERE name = 'schema_migrations'").fetchone()
    connection.execute(sql)
    connection.execute("INSERT INTO main.schema_migrations SELECT * FROM newer.schema_migrations"
                       " WHERE version = 1")
    connection.execute("INSERT INTO datasets_fts (datasets_fts) VALUES ('rebuild')")
    for name in ("user_version", "application_id"):
        (value,) = connection.execute(f"PRAGMA newer.{name}").fetchone()
        connection.execute(f"PRAGMA main.{name} = {value}")
    connection.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    older.replace(database)


def test_an_older_catalogue_is_migrated(trawl: Trawl) -> None:
    trawl.task("kaggle.seed_initial", "--path", str(META_KAGGLE))
    make_first_version(trawl.database)
    rows = trawl.query("SELECT count(*) FROM datasets")
    done = trawl.run("run", *CHECK, "1", status=3)
    assert "trawl db migrate" in done.stderr
    trawl.run("db", "migrate")
    trawl.run("db", "check")
    assert trawl.query("SELECT count(*) FROM datasets") == rows
    assert trawl.query("SELECT count(*) FROM dataset_links") == [(0,)]


def cached(trawl: Trawl) -> list[str]:
    """The files in the cache."""
    root = trawl.data / "cache"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def age(path: Path, hours: float) -> None:
    """Make every file below a directory older."""
    for one in path.rglob("*"):
        when = one.stat().st_mtime - hours * 3600
        os.utime(one, (when, when))


def test_old_downloads_go(hub: Callable[..., Hub], trawl: Trawl) -> None:
    trawl.use(hub())
    trawl.task("kaggle.seed_initial")
    root = trawl.data / "cache" / "meta-kaggle"
    files = cached(trawl)
    assert len(files) == 7
    nothing = {"removed": 0, "removed_bytes": 0, "in_use": 0, "failed": 0}
    assert trawl.task("cleanup.remove_old_cache") == nothing
    age(root, 25)
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    version = os.open(next(root.iterdir()), os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(version, fcntl.LOCK_SH)
    assert trawl.task("cleanup.remove_old_cache") == {**nothing, "in_use": 1}
    os.close(version)
    assert trawl.task("cleanup.remove_old_cache", "--max-age-hours", "26") == nothing
    assert cached(trawl) == files
    assert trawl.task("cleanup.remove_old_cache") == {
        **nothing, "removed": 6, "removed_bytes": size}
    assert cached(trawl) == []
    again = trawl.task("kaggle.seed_initial")
    assert again["total_inserted"] == 0 and cached(trawl) == files


def test_a_seed_keeps_its_files(hub: Callable[..., Hub], trawl: Trawl) -> None:
    """A cleanup of everything, again and again, while seeds run: each seed ends well."""
    trawl.use(hub())
    trawl.task("kaggle.seed_initial")
    for _ in range(5):
        seed = trawl.start("run", "kaggle.seed_initial", "--json")
        while seed.poll() is None:
            trawl.task("cleanup.remove_old_cache", "--max-age-hours", "0")
        out, err = seed.communicate()
        assert seed.returncode == 0, out + err


def test_documented(trawl: Trawl) -> None:
    """Both tasks are in the README's table with their parameters, and in the schedule."""
    readme = (ROOT / "README.md").read_text()
    plan: dict[str, Any] = trawl.json("beat", "--dry-run")
    tasks = {row["task"]: row for row in plan["schedules"]}
    assert "`cleanup.check_broken_links` | batch_size=100, stale_after_hours=48 |" in readme
    assert "`cleanup.remove_old_cache` | max_age_hours=24 |" in readme
    assert tasks["cleanup.check_broken_links"]["schedule"] == "every 1h"
    assert tasks["cleanup.remove_old_cache"]["schedule"] == "every 1d"


def test_registered(trawl: Trawl) -> None:
    """A worker knows all tasks."""
    worker = trawl.start("worker", "-c", "1")
    try:
        end = time.monotonic() + 20
        answers: dict[str, Any] = {}
        while not answers:
            assert time.monotonic() < end, "no worker answers"
            asked = trawl.start("inspect", "registered", "--json")
            out, _ = asked.communicate()
            answers = json.loads(out) if asked.returncode == 0 else {}
    finally:
        worker.terminate()
        worker.communicate(timeout=20)
    (names_known,) = answers.values()
    assert [task["name"] for task in names_known] == [
        "cleanup.check_broken_links", "cleanup.remove_old_cache", "enrich.fetch_hf_datasets",
        "enrich.generate_embeddings", "kaggle.enrich_pending", "kaggle.fetch_latest",
        "kaggle.seed_initial", "scoring.calculate_static"]
