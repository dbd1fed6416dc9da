#!/usr/bin/env python3
"""The texts that the encoder's measurements run on, one per line.

    texts.py DATA_DIR OUT_DIR

DATA_DIR   holds hf-croissant-catalog-2025/datasets.jsonl (The-AI-Alliance/open-trusted-data-initiative
           @3c5deb8, CDLA-2.0 data) and kaggle-urls-2025/kaggle_urls.csv (ahmedtanvir47/Dataset_Classifier
           @469515d, MIT)
OUT_DIR    gets descriptions.txt, every dataset as it is embedded (title, title, description), and
           queries.txt, 2,000 titles as people would type them

The order is shuffled once with a fixed seed: neither by length nor by source, as rows arrive.
"""

import csv
import json
import random
import sys
from pathlib import Path

SEED = 20251124
N_QUERIES = 2000


def one_line(text):
    return " ".join(text.split())


def main():
    data_dir, out_dir = Path(sys.argv[1]), Path(sys.argv[2])
    out_dir.mkdir(parents=True, exist_ok=True)
    with open(data_dir / "hf-croissant-catalog-2025/datasets.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [one_line(f"{row['name']} {row['name']} {row['description'] or ''}") for row in rows]
    random.Random(SEED).shuffle(texts)
    (out_dir / "descriptions.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")

    with open(data_dir / "kaggle-urls-2025/kaggle_urls.csv", encoding="utf-8", newline="") as file:
        titles = [one_line(row["Label"]) for row in csv.DictReader(file)]
    titles = sorted({title for title in titles if title})
    queries = random.Random(SEED + 1).sample(titles, N_QUERIES)
    (out_dir / "queries.txt").write_text("\n".join(queries) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
