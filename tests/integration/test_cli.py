"""The command line as people and scripts meet it: help, errors, exit statuses, faults of the machine."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Hub
from trawl_cli import BINARY, META_KAGGLE, MODEL_DIR, Trawl

SEED = ("kaggle.seed_initial", "--path", str(META_KAGGLE))
COMMANDS = ("run", "call", "result", "purge", "dead", "beat", "worker", "search", "show", "eval", "stats",
            "runs", "export", "model", "db", "config")

needs_model = pytest.mark.skipif(not (MODEL_DIR / "model.safetensors").exists(),
                                 reason=f"the embedding model is not in {MODEL_DIR}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(trawl: Trawl, command: str) -> None:
    text = trawl.run(command, "--help").stdout
    assert text.startswith(f"Usage: trawl {command}")
    assert "Example" in text and "--json" in text


def test_overview_and_version(trawl: Trawl) -> None:
    assert all(f"  {command} " in trawl.run("--help").stdout for command in COMMANDS)
    assert trawl.run("--version").stdout.startswith("trawl ")
    assert "Usage" in trawl.run(status=2).stderr


@pytest.mark.parametrize(("words", "status", "says"), [
    (("serch", "x"), 2, "did you mean 'search'"),
    (("search", "x", "--limt", "3"), 2, "did you mean '--limit'"),
    (("search", "x", "--limit", "0"), 2, "--limit must be a whole number from 1 to 200, got '0'"),
    (("search", "x", "--limit"), 2, "--limit needs a value"),
    (("search", "x", "--min-size", "big"), 2, "--min-size must be a size like 500MB"),
    (("run", "enrich.fetch_hf_dataset"), 2, "did you mean 'enrich.fetch_hf_datasets'"),
    (("run", "enrich.fetch_kaggle_seed"), 2, "use 'kaggle.seed_initial'"),
    (("run", "kaggle.enrich_pending", "--batch-size", "0"), 2, "must be between 1 and 10000, got 0"),
    (("run", "kaggle.fetch_latest", "--sort-by", "x"), 2, "must be one of hottest, votes, updated"),
    (("show",), 2, "usage: trawl show REF"),
    (("export",), 2, "say the format"),
    (("db", "repair"), 2, "use migrate or check"),
    (("stats", "--config", "none.yaml"), 3, "'none.yaml' does not exist"),
    (("stats", "--log-level", "loud"), 3, "use debug, info, warning, error or nothing"),
    (("stats",), 1, "no catalogue yet"),
    (("run", "kaggle.seed_initial", "--path", "/nowhere", "--quiet"), 1, "/nowhere"),
    (("model", "check", "nothing-here"), 1, "nothing-here"),
])
def test_mistakes_get_a_way_out(trawl: Trawl, words: tuple[str, ...], status: int,
                                says: str) -> None:
    done = trawl.run(*words, status=status)
    assert says in done.stderr and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_config_show_names_origins_and_hides_secrets(trawl: Trawl) -> None:
    (trawl.home / "trawl.yaml").write_text("log:\n  level: debug\nhuggingface:\n  token: hf_secret\n")
    values = trawl.json("config", "show", KAGGLE_KEY="very-secret")
    assert values["log.level"] == {"value": "debug", "origin": "trawl.yaml:2"}
    assert values["data_dir"]["origin"] == "environment TRAWL_DATA_DIR"
    assert values["huggingface.token"]["value"] == values["kaggle.key"]["value"] == "***"
    assert "secret" not in trawl.run("config", "show", KAGGLE_KEY="very-secret").stdout
    url = "redis://me:very-secret@127.0.0.1:6379/0"
    for words in (["config", "show"], ["config", "show", "--json"]):
        shown = trawl.run(*words, CELERY_BROKER_URL=url, CELERY_RESULT_BACKEND=url).stdout
        assert "secret" not in shown and "redis://me:**@127.0.0.1:6379/0" in shown


def test_bad_endpoint_names_its_setting(trawl: Trawl) -> None:
    done = trawl.run("run", "enrich.fetch_hf_datasets", "--quiet", status=3, HF_ENDPOINT="ftp://x")
    assert "huggingface.endpoint must be" in done.stderr
    assert "environment HF_ENDPOINT" in done.stderr


def test_show_stats_runs_export(trawl: Trawl) -> None:
    trawl.task(*SEED)
    row = json.loads(trawl.run("export", "--jsonl").stdout.splitlines()[0])
    shown = trawl.json("show", row["id"])
    assert shown["ref"] == row["ref"] and shown["history"] == []
    assert trawl.json("show", f"kaggle:{row['ref']}")["id"] == row["id"]
    assert trawl.json("show", row["ref"].upper())["id"] == row["id"]
    assert "no dataset 'a/b'" in trawl.run("show", "a/b", status=1).stderr

    stats = trawl.json("stats")
    count = trawl.query("SELECT count(*) FROM datasets")[0][0]
    assert stats["sources"][0]["rows"] == count
    assert len(trawl.run("export", "--jsonl", "--with-inactive").stdout.splitlines()) == count
    target = trawl.home / "out.jsonl"
    trawl.run("export", "--jsonl", str(target))
    assert all(json.loads(line)["source"] == "kaggle" for line in target.open())

    run = trawl.json("runs", "kaggle.seed_initial")[0]
    assert run["state"] == "SUCCESS" and run["arguments"]["path"] == str(META_KAGGLE)
    assert len(trawl.json("runs", "--rejects", str(run["run"]))) == run["result"]["total_rejected"]


def test_keyword_search_and_filters_without_a_model(trawl: Trawl) -> None:
    trawl.env["TRAWL_MODELS_DIR"] = str(trawl.home / "no-models")
    trawl.task(*SEED)
    answer = trawl.json("search", "wine ratings")
    assert "trawl model pull" in answer["note"]
    first = answer["hits"][0]
    assert "Wine" in first["title"] and first["why"]["keyword_rank"] == 1
    assert first["why"]["dense_rank"] is None
    licences = {hit["license"] for hit in trawl.json("search", "--limit", "200")["hits"]}
    one = sorted(licence for licence in licences if licence)[0]
    found = trawl.json("search", "--license", one.upper(), "--limit", "200")["hits"]
    assert found and {hit["license"] for hit in found} == {one}
    assert trawl.json("search", "wine", "--source", "huggingface")["hits"] == []
    exact = trawl.json("search", first["ref"])["hits"][0]
    assert exact["why"]["is_exact"] and exact["ref"] == first["ref"]
    for hostile in ('"', "NEAR(", "a AND", "*", "') OR 1=1 --", "x" * 9000):
        trawl.json("search", hostile)
    assert "too long" in trawl.run("search", "x" * 10001, status=1).stderr


@needs_model
def test_search_by_meaning(hub: Callable[..., Hub], trawl: Trawl) -> None:
    trawl.use(hub())
    trawl.task("enrich.fetch_hf_datasets", "--limit", "0", "--days-back", "0")
    trawl.task(*SEED)
    drained = trawl.task("enrich.generate_embeddings", "--drain")
    assert drained["failed"] == drained["remaining"] == 0
    ready = trawl.query("SELECT count(*) FROM datasets WHERE is_active"
                        " AND enrichment_status = 'enriched'")[0][0]
    assert drained["processed"] == ready
    assert trawl.task("enrich.generate_embeddings", "--drain")["processed"] == 0
    for query, wanted in (("pictures of the thorax by radiographers", "x-ray"),
                          ("vineyard tasting notes", "wine"),
                          ("tweets about aeroplane companies", "airline")):
        hits = trawl.json("search", query, "--limit", "5")["hits"]
        texts = [f"{hit['title']} {hit['description']}".lower() for hit in hits]
        assert any(wanted in text for text in texts), (query, texts)
    filtered = trawl.json("search", "vineyard tasting notes", "--source", "kaggle")["hits"]
    assert {hit["source"] for hit in filtered} == {"kaggle"}
    assert filtered[0]["why"]["dense_rank"] is not None


@needs_model
def test_embedding_survives_kills(trawl: Trawl) -> None:
    trawl.task(*SEED)
    for delay in (0.15, 0.3, 0.5):
        process = trawl.start("run", "enrich.generate_embeddings", "--batch-size", "5", "--drain")
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    # The rows of a killed worker come back when its lease has run out; here the clock is moved.
    connection = sqlite3.connect(trawl.database)
    connection.execute("UPDATE datasets SET lease_until = 1 WHERE lease_until IS NOT NULL")
    connection.commit()
    connection.close()
    result = trawl.task("enrich.generate_embeddings", "--drain")
    assert result["failed"] == result["remaining"] == 0
    vectors = trawl.query("SELECT count(*), count(DISTINCT row_id) FROM dataset_vectors")[0]
    ready = trawl.query("SELECT count(*) FROM datasets WHERE is_embedded")[0][0]
    assert vectors == (ready, ready)


@needs_model
def test_half_a_model(trawl: Trawl) -> None:
    models = trawl.home / "models"
    shutil.copytree(MODEL_DIR, models / MODEL_DIR.name)
    trawl.env["TRAWL_MODELS_DIR"] = str(models)
    weights = models / MODEL_DIR.name / "model.safetensors"
    os.truncate(weights, 1000)
    trawl.task(*SEED)
    assert "model.safetensors" in trawl.run("run", "enrich.generate_embeddings", status=1).stderr
    weights.unlink()
    assert "'trawl model pull'" in trawl.run("run", "enrich.generate_embeddings", status=3).stderr
    assert "trawl model pull" in trawl.run("model", "check", status=1).stderr
    assert trawl.json("search", "wine")["hits"]  # by keyword
    trawl.run("model", "pull", "--from", str(MODEL_DIR))
    assert trawl.json("model", "check")["is_usable"]
    assert trawl.task("enrich.generate_embeddings", "--drain")["failed"] == 0


@needs_model
def test_model_pull_from_the_hub(hub: Callable[..., Hub], trawl: Trawl) -> None:
    trawl.use(hub("--model", str(MODEL_DIR), "--faults", "cut=0.2,truncate=0.1"))
    trawl.env["TRAWL_MODELS_DIR"] = str(trawl.home / "models")
    for _ in range(10):
        done = subprocess.run([str(BINARY), "model", "pull"], cwd=trawl.home, env=trawl.env,
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    assert trawl.json("model", "check")["is_usable"]
    assert trawl.json("model", "pull")["files_added"] == 0


def test_newer_database(trawl: Trawl) -> None:
    trawl.task(*SEED)
    connection = sqlite3.connect(trawl.database)
    connection.execute("UPDATE schema_migrations SET version = 9999"
                       " WHERE version = (SELECT max(version) FROM schema_migrations)")
    connection.commit()
    connection.close()
    assert "upgrade trawl" in trawl.run("stats", status=3).stderr


def test_damaged_database(trawl: Trawl) -> None:
    trawl.task(*SEED)
    with trawl.database.open("r+b") as file:
        file.write(b"this is no database at all, sorry" * 100)
    done = trawl.run("stats", status=1)
    assert "docs/database.md" in done.stderr or "trawl db check" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"),
                    reason="root writes anywhere, and setpriv is not here to drop it")
def test_read_only_directory(trawl: Trawl) -> None:
    trawl.task(*SEED)
    words = [str(BINARY), "run", *SEED]
    if os.geteuid() == 0:
        trawl.home.chmod(0o755)
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words]
    trawl.data.chmod(0o555)
    trawl.database.chmod(0o444)
    for parent in trawl.home.parents[:3]:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(words, cwd=trawl.home, env=trawl.env, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and str(trawl.database) in done.stderr, done.stderr
    trawl.data.chmod(0o755)
    trawl.database.chmod(0o644)
    trawl.run("db", "check")


def test_full_disk(trawl: Trawl) -> None:
    older = trawl.home / "older-dump"
    shutil.copytree(META_KAGGLE, older)
    versions = older / "DatasetVersions.csv"
    versions.write_bytes(versions.read_bytes().replace(b"Wine", b"Cider"))
    trawl.task("kaggle.seed_initial", "--path", str(older))
    size = trawl.database.stat().st_size
    before = trawl.catalogue()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    done = subprocess.run([str(BINARY), "run", *SEED], cwd=trawl.home, env=trawl.env, text=True,
                          capture_output=True, preexec_fn=limit, check=False)
    assert done.returncode == 1 and str(trawl.database) in done.stderr, done.stderr
    assert trawl.database.stat().st_size >= size
    assert trawl.catalogue() == before
    trawl.run("db", "check")
    assert trawl.task(*SEED)["total_updated"] > 0
    trawl.run("db", "check")


def test_closed_pipe_is_an_error(trawl: Trawl) -> None:
    trawl.task(*SEED)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([str(BINARY), "export", "--jsonl"], cwd=trawl.home, env=trawl.env,
                          stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 1 and "Broken pipe" in done.stderr


def test_install_and_uninstall(tmp_path: Path) -> None:
    root = BINARY.parents[2]
    subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/trawl"], cwd=root,
                   check=True, capture_output=True)
    installed = tmp_path / "opt/trawl/bin/trawl"
    assert subprocess.run([installed, "--version"], check=True, capture_output=True).stdout
    assert (tmp_path / "opt/trawl/include/trawl/task.h").exists()
    subprocess.run(["make", "-s", "uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/trawl"],
                   cwd=root, check=True, capture_output=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
