"""The file that searches read vectors from: made, kept up, thrown away and made again; and what a search
finds while the model is changed, whatever is killed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trawl_cli import BINARY, META_KAGGLE, MODEL_DIR, Trawl

needs_model = pytest.mark.skipif(
    not (MODEL_DIR / "model.safetensors").exists(),
    reason=f"needs the model in {MODEL_DIR} (TRAWL_MODEL_DIR)")

pytestmark = needs_model

QUERIES = ("vineyard tasting notes", "pictures of the thorax", "tweets about aeroplanes", "prices")
DRAIN = ("enrich.generate_embeddings", "--drain")


@pytest.fixture(name="embedded")
def embedded_fixture(trawl: Trawl) -> Trawl:
    """A catalogue whose rows are all embedded, and a directory of models of its own."""
    models = trawl.home / "models"
    models.mkdir()
    (models / MODEL_DIR.name).symlink_to(MODEL_DIR)
    trawl.env["TRAWL_MODELS_DIR"] = str(models)
    trawl.env["TRAWL_EMBEDDING_PRECISION"] = "f32"  # what every CPU has
    trawl.task("kaggle.seed_initial", "--path", str(META_KAGGLE))
    assert trawl.task(*DRAIN)["remaining"] == 0
    return trawl


def vectors_file(trawl: Trawl) -> Path:
    """The file beside the database."""
    return Path(f"{trawl.database}-vectors")


def meaning(trawl: Trawl, query: str, **env: str) -> tuple[list[tuple[str, float]], str]:
    """The hits that have a rank by meaning, in that order, and what was said on stderr."""
    done = trawl.run("search", query, "--json", "--limit", "200", **env)
    answer = json.loads(done.stdout)
    assert answer["note"] is None, answer["note"]
    hits = [hit for hit in answer["hits"] if hit["why"]["dense_rank"]]
    hits.sort(key=lambda hit: hit["why"]["dense_rank"])
    assert [hit["why"]["dense_rank"] for hit in hits] == list(range(1, len(hits) + 1))
    return [(hit["ref"], hit["why"]["cosine"]) for hit in hits], done.stderr


def everything(trawl: Trawl, **env: str) -> list[list[tuple[str, float]]]:
    """What all queries find by meaning."""
    return [meaning(trawl, query, **env)[0] for query in QUERIES]


def execute(trawl: Trawl, *statements: str) -> None:
    """Change the database behind the program's back."""
    connection = sqlite3.connect(trawl.database)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def state(trawl: Trawl) -> tuple[str, str | None]:
    """The names of the searched model and of the one being made."""
    return trawl.query(
        "SELECT a.name, b.name FROM embedding_state"
        " JOIN embedding_models a ON a.model_id = active_model_id"
        " LEFT JOIN embedding_models b ON b.model_id = building_model_id")[0]


def test_every_level_finds_the_same_rows(embedded: Trawl) -> None:
    wanted = everything(embedded)
    assert len(wanted[0]) > 10
    vectors_file(embedded).unlink()
    for level in ("baseline", "avx2", "avx512", "vnni"):
        # The encoder runs on that level too, and its last bits may differ.
        found = everything(embedded, TRAWL_CPU_LEVEL=level)
        for ours, theirs in zip(found, wanted, strict=True):
            assert {ref for ref, _ in ours} == {ref for ref, _ in theirs}


def test_the_file_is_made_and_made_again(embedded: Trawl) -> None:
    path = vectors_file(embedded)
    assert path.exists()  # by the run that embedded
    wanted = everything(embedded)
    whole = path.read_bytes()

    def damage(at: int) -> bytes:
        return whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1:]

    path.unlink()
    assert everything(embedded) == wanted and path.read_bytes() == whole
    for name, content in (("empty", b""), ("foreign", b"x" * 100_000), ("cut", whole[: len(whole) // 2]),
                          ("head", damage(8)), ("ids", damage(600)), ("code", damage(len(whole) // 6)),
                          ("vectors", damage(len(whole) - 2000))):
        path.write_bytes(content)
        found, said = meaning(embedded, QUERIES[0])
        assert found == wanted[0], name
        assert everything(embedded) == wanted
        if path.read_bytes() == whole and name != "vectors":
            assert "written again" in said, (name, said)
    path.write_bytes(whole + b"left by a writer that died")
    assert everything(embedded) == wanted


def test_the_file_follows_the_database(embedded: Trawl) -> None:
    path = vectors_file(embedded)
    before, _ = meaning(embedded, QUERIES[0])
    whole = path.read_bytes()
    gone = before[0][0]
    execute(embedded, f"UPDATE datasets SET is_active = 0 WHERE external_id = '{gone}'")
    found, _ = meaning(embedded, QUERIES[0])
    assert found == before[1:]
    assert path.read_bytes() == whole  # one row is no reason to write
    execute(embedded, f"UPDATE datasets SET is_active = 1 WHERE external_id = '{gone}'",
            "UPDATE datasets SET embedded_hash = NULL WHERE row_id = 1")
    embedded.task(*DRAIN)
    assert path.read_bytes() != whole and path.read_bytes()[: len(whole)] == whole  # appended
    again = everything(embedded)
    path.unlink()
    assert everything(embedded) == again


def test_another_database_at_the_same_place(embedded: Trawl) -> None:
    """A backup that was put back, after which other things happened than before."""
    path = vectors_file(embedded)
    backup = embedded.home / "backup.db"
    connection = sqlite3.connect(embedded.database)
    connection.execute("VACUUM INTO ?", (str(backup),))
    connection.close()
    execute(embedded, "UPDATE datasets SET embedded_hash = NULL WHERE row_id < 5")
    embedded.task(*DRAIN)
    for name in embedded.database.parent.glob(embedded.database.name + "-[sw]*"):
        name.unlink()  # -shm and -wal
    shutil.copy(backup, embedded.database)
    found = everything(embedded)
    path.unlink()
    assert everything(embedded) == found


def test_filters_are_applied_inside(embedded: Trawl) -> None:
    every = json.loads(embedded.run("search", "data", "--json", "--limit", "200").stdout)["hits"]
    licences = {hit["license"] for hit in every if hit["license"]}
    assert len(licences) > 1
    for licence in licences:
        hits = json.loads(embedded.run("search", "data", "--json", "--limit", "200",
                                       "--license", licence).stdout)["hits"]
        assert {hit["license"].lower() for hit in hits} == {licence.lower()}
        wanted = {hit["ref"]: hit["why"]["cosine"] for hit in every
                  if hit["license"] and hit["license"].lower() == licence.lower()
                  and hit["why"]["dense_rank"]}
        found = {hit["ref"]: hit["why"]["cosine"] for hit in hits if hit["why"]["dense_rank"]}
        assert wanted.items() <= found.items()


def test_no_room_for_the_file(embedded: Trawl) -> None:
    wanted, _ = meaning(embedded, QUERIES[0])
    limit = vectors_file(embedded).stat().st_size - 1
    vectors_file(embedded).unlink()

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run([str(BINARY), "search", QUERIES[0], "--json", "--limit", "200"],
                          env=embedded.env | {"TRAWL_LOG_LEVEL": "warning"}, cwd=embedded.home,
                          capture_output=True, text=True, preexec_fn=small_files, check=False)
    assert done.returncode == 0, done.stderr
    assert "held in memory" in done.stderr
    hits = [hit for hit in json.loads(done.stdout)["hits"] if hit["why"]["dense_rank"]]
    assert {hit["ref"] for hit in hits} == {ref for ref, _ in wanted}
    assert not vectors_file(embedded).exists()


def other_model(trawl: Trawl) -> dict[str, str]:
    """A model that gives other vectors: the same weights, another pooling."""
    other = trawl.home / "models" / "other-model"
    if not other.exists():
        shutil.copytree(MODEL_DIR, other)
        config = other / "1_Pooling" / "config.json"
        config.chmod(0o644)
        pooling: dict[str, Any] = json.loads(config.read_text())
        pooling |= {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}
        config.write_text(json.dumps(pooling))
    return {"EMBEDDING_MODEL": "other-model"}


def embed_some(trawl: Trawl, env: dict[str, str], n: int) -> None:
    """One batch of the new model, so that the change stands in the middle."""
    done = trawl.run("run", "enrich.generate_embeddings", "--batch-size", str(n), **env)
    assert done.returncode == 0


def test_search_keeps_the_old_model_until_the_new_is_complete(embedded: Trawl) -> None:
    wanted = everything(embedded)
    old, _ = state(embedded)
    env = other_model(embedded)
    assert everything(embedded, **env) == wanted  # nothing is embedded by it yet
    embed_some(embedded, env, 7)
    active, building = state(embedded)
    assert active == old and building not in (None, old)
    assert everything(embedded, **env) == wanted
    vectors_file(embedded).unlink()
    assert everything(embedded, **env) == wanted  # from both tables
    assert building in embedded.run("stats", "--json").stdout

    for delay in (0.25, 0.4):  # kill -9, anywhere
        process = embedded.start("run", *DRAIN, "--batch-size", "3", **env)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        if state(embedded)[1]:
            assert everything(embedded, **env) == wanted
    execute(embedded, "UPDATE datasets SET lease_until = 1 WHERE lease_until IS NOT NULL")
    assert embedded.task(*DRAIN, **env)["remaining"] == 0
    assert state(embedded) == (building, None)
    assert embedded.query("SELECT count(*) FROM dataset_vectors_before") == [(0,)]
    found = everything(embedded, **env)
    assert found != wanted
    assert everything(embedded) == found  # whatever the settings say, until rows are embedded


def test_back_to_the_old_model(embedded: Trawl) -> None:
    wanted = everything(embedded)
    embed_some(embedded, other_model(embedded), 7)
    result = embedded.task(*DRAIN)
    assert result["processed"] == 0  # what was put aside was taken back
    assert state(embedded)[1] is None
    assert everything(embedded) == wanted
    assert embedded.query("SELECT count(*) FROM dataset_vectors_before") == [(0,)]


def test_the_old_model_is_not_there_any_more(embedded: Trawl) -> None:
    env = other_model(embedded)
    embed_some(embedded, env, 7)
    (embedded.home / "models" / MODEL_DIR.name).unlink()
    answer = json.loads(embedded.run("search", QUERIES[0], "--json", **env).stdout)
    assert "put it back" in answer["note"] and "enrich.generate_embeddings --drain" in answer["note"]
    embedded.task(*DRAIN, **env)
    assert everything(embedded, **env)
    assert os.path.exists(vectors_file(embedded))
