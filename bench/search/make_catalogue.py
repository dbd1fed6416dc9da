#!/usr/bin/env python3
"""A catalogue of N made-up datasets with vectors, for measuring search.

    make_catalogue.py TRAWL_BINARY MODEL_DIR OUT_DIR [--rows N]

Titles and descriptions are words drawn by Zipf's law; vectors lie around a thousand centres; sources,
licences and formats are drawn as they are found.  The vectors carry the identity of the model in
MODEL_DIR, so that its queries are searched among them.
"""

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
from pathlib import Path

import numpy

DIM = 384
BATCH = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=500_000)
    args = parser.parse_args()
    env = os.environ | {"TRAWL_DATA_DIR": str(args.out), "TRAWL_MODELS_DIR": str(args.model.parent)}
    args.out.mkdir(parents=True)
    subprocess.run([args.binary, "db", "migrate"], env=env, check=True)
    said = subprocess.run([args.binary, "model", "check", "--json"], env=env, check=True,
                          capture_output=True, text=True)
    identity = json.loads(said.stdout)["fingerprint"]

    random = numpy.random.default_rng(7)
    words = numpy.array([f"{a}{b}{c}" for a in ("ba", "do", "ki", "mo", "ra", "su", "te", "vo")
                         for b in ("lin", "mer", "nas", "por", "qua", "ros", "tic", "vel", "wen", "zor")
                         for c in ("", "a", "en", "ia", "is", "or", "um", "us")])
    weights = 1 / numpy.arange(10, 10 + len(words))
    weights /= weights.sum()
    centres = random.standard_normal((1000, DIM), dtype=numpy.float32)
    database = sqlite3.connect(args.out / "trawl.db")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("INSERT INTO embedding_models (model_id, name, location) VALUES (1, ?, ?)",
                     (identity, args.model.name))
    database.execute("UPDATE embedding_state SET active_model_id = 1")
    for first in range(1, args.rows + 1, BATCH):
        n = min(BATCH, args.rows + 1 - first)
        vectors = centres[random.integers(0, 1000, n)] + 0.8 * random.standard_normal(
            (n, DIM), dtype=numpy.float32)
        vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
        drawn = random.choice(words, (n, 40), p=weights)
        for i in range(n):
            row_id = first + i
            key = f"{row_id:024x}"
            text_hash = hashlib.sha256(key.encode()).digest()
            source = "huggingface" if row_id % 3 else "kaggle"
            database.execute(
                "INSERT INTO datasets (row_id, id, source_name, source_key, external_id,"
                " enrichment_status, is_active, text_hash, embedded_hash, embedded_model_id,"
                " download_count, created_at, updated_at, title, url, license, file_formats,"
                " description) VALUES (?, ?, ?, ?, ?, 'enriched', 1, ?, ?, 1, ?, 1, 1, ?, ?, ?, ?, ?)",
                (row_id, hashlib.md5(key.encode()).digest(), source, key, f"owner{row_id % 5000}/set{row_id}",
                 text_hash, text_hash, row_id % 100_000, " ".join(drawn[i][:6]),
                 f"https://example.org/{row_id}", ("mit", "cc0-1.0", "apache-2.0")[row_id % 7 % 3],
                 ('["csv"]', '["parquet"]')[row_id % 2], " ".join(drawn[i][6:])))
            database.execute("INSERT INTO dataset_vectors VALUES (?, 1, ?, ?)",
                             (row_id, text_hash, vectors[i].tobytes()))
        database.commit()
    database.execute("INSERT INTO datasets_fts (datasets_fts) VALUES ('rebuild')")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


if __name__ == "__main__":
    main()
