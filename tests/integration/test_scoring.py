"""Static scores from the task to the screen, and rankings measured by judged queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trawl_cli import META_KAGGLE, Trawl


def test_scores(trawl: Trawl) -> None:
    """Scored once, shown with its parts, used by search, scored again only where something moved."""
    trawl.task("kaggle.seed_initial", "--path", str(META_KAGGLE))
    n_rows = trawl.query("SELECT count(*) FROM datasets")[0][0]
    assert n_rows > 3
    assert trawl.task("scoring.calculate_static", "--batch-size", "2") == {
        "processed": n_rows, "failed": 0}
    assert trawl.task("scoring.calculate_static") == {"processed": 0, "failed": 0}

    listed = trawl.json("search", "", "--limit", "200")["hits"]
    scores = [hit["why"]["static_score"] for hit in listed]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0

    best = trawl.json("show", f"kaggle:{listed[0]['ref']}")
    parts = best["static_score"]
    assert parts["formula"] == 1 and parts["gate"] == 1
    assert parts["value"] == pytest.approx(
        0.5 * parts["popularity"] + 0.35 * parts["quality"] + 0.15 * parts["freshness"])
    assert parts["value"] == scores[0]
    assert any(entry["stage"] == "static_score" and entry["result"] == "success"
               for entry in best["history"])
    shown = trawl.run("show", f"kaggle:{listed[0]['ref']}").stdout
    assert "static score" in shown and "popularity" in shown and "formula 1, computed 20" in shown

    word = best["title"].split()[0]
    hit = trawl.json("search", word, "--why", EMBEDDING_MODEL="/nowhere")["hits"][0]["why"]
    assert hit["fused"] > 0
    assert trawl.json("search", word, EMBEDDING_MODEL="/nowhere")["hits"][0]["score"] == pytest.approx(
        hit["fused"] * (1 + 0.3 * hit["static_score"]))
    flat = trawl.json("search", word, EMBEDDING_MODEL="/nowhere", TRAWL_SEARCH_PRIOR_WEIGHT="0")
    assert flat["hits"][0]["score"] == flat["hits"][0]["why"]["fused"]
    refused = trawl.run("search", word, status=3, TRAWL_SEARCH_PRIOR_WEIGHT="-1")
    assert "search.prior_weight must be from 0 to 100, got '-1'" in refused.stderr


def test_eval(trawl: Trawl) -> None:
    """Documents of a file, by keywords alone: figures by hand."""
    files: dict[str, Path] = {name: trawl.home / name for name in ("docs", "queries", "qrels")}
    files["docs"].write_text("".join(json.dumps(row) + "\n" for row in (
        {"_id": "a/one", "title": "River levels", "text": "water"},
        {"_id": "a/two", "title": "Lakes", "text": "levels of lakes"},
        {"_id": "a/three", "title": "Stones", "text": "granite"})), encoding="utf-8")
    files["queries"].write_text("1\triver\n2\tgranite\n3\tnobody judged this\n", encoding="utf-8")
    files["qrels"].write_text("1 0 a/one 1\n2 0 a/two 1\n2 0 a/three 0\n", encoding="utf-8")
    words = ("eval", "--queries", str(files["queries"]), "--qrels", str(files["qrels"]),
             "--documents", str(files["docs"]))
    report = trawl.json(*words, EMBEDDING_MODEL="/nowhere", TMPDIR=str(trawl.home))
    assert report["queries"] == 2 and report["without_judgement"] == 1
    assert report["rankings"]["bm25f"] == {"ndcg_10": 0.5, "mrr_10": 0.5, "recall_100": 0.5}
    assert report["rankings"]["dense"] is None and "/nowhere" in report["note"]
    assert not list(trawl.home.glob("trawl-eval-*")), "the catalogue of the documents is gone"
    files["qrels"].write_text("query document grade\n1 a/one yes\n", encoding="utf-8")
    assert "qrels, line 2" in trawl.run(*words, status=1).stderr
