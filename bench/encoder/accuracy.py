#!/usr/bin/env python3
"""How near each precision's vectors are to the original implementation's, and what that does to a search.

    accuracy.py MODEL_DIR EMBED_FILE WORK_DIR [N_TEXTS [N_QUERIES]]

WORK_DIR holds the files of texts.py; the reference (sentence-transformers on PyTorch, float32) is kept
there, since it takes minutes.  Needs the environment of scripts/encoder_venv.sh.

Per precision, over the first N_TEXTS descriptions (5,000) and N_QUERIES queries (500): the cosine to
the reference (mean, 1st percentile, smallest), and for the queries over the descriptions, both in that
precision, what f32's first ten become: how many of them are found again, and nDCG@10 with f32's first
worth 10, its second 9, and so on.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

TOP = 10


def read_lines(path, n):
    return path.read_text(encoding="utf-8").split("\n")[:n]


def reference(model_dir, lines, path):
    if path.exists():
        return np.load(path)
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(model_dir), device="cpu")
    vectors = model.encode(lines, batch_size=32, convert_to_numpy=True)
    np.save(path, vectors)
    return vectors


def embed(tool, model_dir, texts, precision, n, out):
    subprocess.run([tool, model_dir, texts, precision, out, str(n)], check=True, stdout=subprocess.PIPE)
    return np.fromfile(out, dtype=np.float32).reshape(n, -1).astype(np.float64)


def first_ten(queries, texts):
    return np.argsort(-(queries @ texts.T), axis=1, kind="stable")[:, :TOP]


def gain(ranked, ideal):
    """Mean nDCG@10 of rankings against the ideal ones."""
    worth = {rank: TOP - rank for rank in range(TOP)}
    discount = 1 / np.log2(np.arange(TOP) + 2)
    best = sum(worth[rank] * discount[rank] for rank in range(TOP))
    total = 0.0
    for row, ideal_row in zip(ranked, ideal):
        place = {text: rank for rank, text in enumerate(ideal_row)}
        total += sum(worth[place[text]] * discount[i] for i, text in enumerate(row) if text in place)
    return total / best / len(ranked)


def main():
    model_dir, tool, work = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    n_texts = int(sys.argv[4]) if len(sys.argv) > 4 else 5000
    n_queries = int(sys.argv[5]) if len(sys.argv) > 5 else 500
    sets = {"descriptions": n_texts, "queries": n_queries}
    exact = {
        name: reference(model_dir, read_lines(work / f"{name}.txt", n), work / f"reference-{name}-{n}.npy")
        for name, n in sets.items()
    }
    ideal = None
    for precision in ("f32", "bf16", "int8"):
        got = {
            name: embed(tool, model_dir, work / f"{name}.txt", precision, n, work / f"{name}-{precision}.bin")
            for name, n in sets.items()
        }
        ranked = first_ten(got["queries"], got["descriptions"])
        ideal = ranked if ideal is None else ideal
        for name in sets:
            cosines = np.einsum("ij,ij->i", got[name], exact[name].astype(np.float64))
            cosines /= np.linalg.norm(got[name], axis=1) * np.linalg.norm(exact[name], axis=1)
            print(json.dumps({
                "name": "accuracy", "precision": precision, "texts": name, "n": len(cosines),
                "cosine_mean": round(float(cosines.mean()), 7),
                "cosine_p1": round(float(np.quantile(cosines, 0.01)), 7),
                "cosine_min": round(float(cosines.min()), 7),
            }))
        overlap = np.mean([len(set(a) & set(b)) / TOP for a, b in zip(ranked, ideal)])
        print(json.dumps({
            "name": "retrieval", "precision": precision, "queries": n_queries, "rows": n_texts,
            "overlap_at_10": round(float(overlap), 4), "ndcg_at_10": round(float(gain(ranked, ideal)), 4),
            "same_first": round(float(np.mean(ranked[:, 0] == ideal[:, 0])), 4),
        }))


if __name__ == "__main__":
    main()
