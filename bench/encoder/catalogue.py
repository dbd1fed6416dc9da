#!/usr/bin/env python3
"""Are a catalogue's vectors those of the original implementation?

    catalogue.py DATABASE MODEL_DIR [N_ROWS [BOUND]]

Embeds N_ROWS rows (1,000, drawn with a fixed seed; 0 = all) by sentence-transformers on PyTorch in f32
and prints the cosine of each stored vector to that: mean, 1st percentile, smallest. Exit status 1 if
one is below BOUND, by default 0.99999 for vectors made in f32, 0.999 in bf16, 0.98 in int8; or if a row
that has a vector lacks its text.  Needs the environment of scripts/encoder_venv.sh.
"""

import json
import random
import sqlite3
import sys

import numpy as np

SEED = 20251124
BOUNDS = {"f32": 0.99999, "bf16": 0.999, "int8": 0.98}


def embedded_text(title, description):
    """As dataset_append_text: the title twice, then the description."""
    return " ".join(part for part in (title, title, description) if part)


def main():
    from sentence_transformers import SentenceTransformer

    database, model_dir = sys.argv[1], sys.argv[2]
    n_rows = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT d.title, d.description, v.vector, m.name FROM dataset_vectors v"
        " JOIN datasets d ON d.row_id = v.row_id JOIN embedding_models m ON m.model_id = v.model_id"
        " ORDER BY v.row_id").fetchall()
    models = sorted({row[3] for row in rows})
    if len(models) != 1:
        sys.exit(f"catalogue: vectors of {len(models)} models: {models}")
    precision = models[0].rsplit("/", 1)[1].rsplit("-", 1)[0]
    bound = float(sys.argv[4]) if len(sys.argv) > 4 else BOUNDS[precision]
    n_total = len(rows)
    if n_rows:
        rows = random.Random(SEED).sample(rows, min(n_rows, n_total))
    exact = SentenceTransformer(model_dir, device="cpu").encode(
        [embedded_text(row[0], row[1]) for row in rows], convert_to_numpy=True).astype(np.float64)
    stored = np.stack([np.frombuffer(row[2], dtype="<f4") for row in rows]).astype(np.float64)
    cosines = np.einsum("ij,ij->i", stored, exact)
    cosines /= np.linalg.norm(stored, axis=1) * np.linalg.norm(exact, axis=1)
    print(json.dumps({
        "name": "catalogue", "model": models[0], "vectors": n_total, "compared": len(rows), "bound": bound,
        "cosine_mean": round(float(cosines.mean()), 7), "cosine_p1": round(float(np.quantile(cosines, 0.01)), 7),
        "cosine_min": round(float(cosines.min()), 7),
    }))
    sys.exit(int(not cosines.min() >= bound))


if __name__ == "__main__":
    main()
