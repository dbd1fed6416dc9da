#!/usr/bin/env python3
"""Every supported kind of model, in its real shape, by sentence-transformers and by Trawl.

    models.py EMBED_FILE TOKENIZER_DIR MPNET_TOKENIZER TEXTS WORK_DIR 
        [--models "A;B"] [--n-texts N] [--threads N]

EMBED_FILE       bench/embed_file
TOKENIZER_DIR    holds all-MiniLM-L6-v2's tokenizer.json (BERT, 30,522 pieces)
MPNET_TOKENIZER  a tokenizer.json in MPNet's layout
TEXTS            real texts, one per line (texts.py)
WORK_DIR         gets one model at a time, and vectors

Weights are random (model_dirs.py), so the cosines say whether the arithmetic is the same, not how good a
model is.  Prompts are those of the families.  Prints a table; exit status 1 if a text's cosine to
sentence-transformers (PyTorch, f32) is below the bound of its precision.  Needs the environment of
scripts/encoder_venv.sh, and 3 GB of memory for the large model.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from model_dirs import PROMPT_BGE, write_model

BOUNDS = {"f32": 0.999999, "bf16": 0.999, "int8": 0.98}
BERT_VOCAB, MPNET_VOCAB = 30522, 30527
MINI6, MINI12 = (384, 6, 12, 1536), (384, 12, 12, 1536)
BASE, LARGE = (768, 12, 12, 3072), (1024, 24, 16, 4096)


def spec(shape, max_tokens, pooling, normalize, **more):
    return dict(shape=shape, max_tokens=max_tokens, pooling=pooling, normalize=normalize, **more)


MODELS = {
    "all-MiniLM-L6-v2": spec(MINI6, 256, "mean_tokens", True),
    "all-MiniLM-L12-v2": spec(MINI12, 128, "mean_tokens", True),
    "paraphrase-MiniLM-L6-v2": spec(MINI6, 128, "mean_tokens", False),
    "multi-qa-MiniLM-L6-cos-v1": spec(MINI6, 512, "mean_tokens", True),
    "multi-qa-MiniLM-L6-dot-v1": spec(MINI6, 512, "cls_token", False),
    "bge-small-en-v1.5": spec(MINI12, 512, "cls_token", True, prompt=PROMPT_BGE),
    "bge-base-en-v1.5": spec(BASE, 512, "cls_token", True, prompt=PROMPT_BGE),
    "bge-large-en-v1.5": spec(LARGE, 512, "cls_token", True, prompt=PROMPT_BGE),
    "e5-small-v2": spec(MINI12, 512, "mean_tokens", True, prompt="passage: "),
    "e5-base-v2": spec(BASE, 512, "mean_tokens", True, prompt="passage: "),
    "gte-small": spec(MINI12, 512, "mean_tokens", True, weights="F16"),
    "all-mpnet-base-v2": spec(BASE, 384, "mean_tokens", True, type="mpnet"),
    "L6, max": spec(MINI6, 256, "max_tokens", False),
    "L6, cls and mean, Dense": spec(MINI6, 256, ["cls_token", "mean_tokens"], True, dense=512),
    "L6, prompt not pooled": spec(MINI6, 256, "mean_tokens", True, prompt="query: ", include_prompt=False),
}


def reference(model_dir, texts, prompt, threads):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(model_dir), device="cpu").float()
    model.encode(texts[:2], prompt=prompt)
    start = time.perf_counter()
    vectors = model.encode(texts, prompt=prompt, convert_to_numpy=True)
    return vectors, len(texts) / (time.perf_counter() - start)


def trawl(args, model_dir, texts, n_texts, precision, prompt):
    import numpy as np

    out = args.work / "vectors.bin"
    command = [args.embed_file, model_dir, texts, precision, out, n_texts, args.threads, prompt or ""]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"models: {done.stderr.strip()}")
    row = json.loads(done.stdout)
    return np.fromfile(out, dtype="<f4").reshape(n_texts, -1), n_texts / row["embed_s"]


def compare(args, name, texts):
    import numpy as np

    wanted = MODELS[name]
    mpnet = wanted.get("type") == "mpnet"
    # A large model's share of the texts: what is compared is one function, and it takes ten times as long.
    texts = texts[: max(16, len(texts) * MINI12[0] * MINI12[1] // (wanted["shape"][0] * wanted["shape"][1]))]
    model_dir = args.work / "model"
    shutil.rmtree(model_dir, ignore_errors=True)
    write_model(wanted, args.mpnet if mpnet else args.bert, MPNET_VOCAB if mpnet else BERT_VOCAB, model_dir)
    prompt = wanted.get("prompt")
    exact, st_rate = reference(model_dir, texts, prompt, args.threads)
    lines = args.work / "texts.txt"
    lines.write_text("\n".join(texts) + "\n", encoding="utf-8")
    ok = True
    for precision, bound in BOUNDS.items():
        got, rate = trawl(args, model_dir, lines, len(texts), precision, prompt)
        a, b = exact.astype(np.float64), got.astype(np.float64)
        norms = np.linalg.norm(b, axis=1) / np.linalg.norm(a, axis=1)  # seen too where nothing is normalized
        cosines = np.einsum("ij,ij->i", a, b) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        fits = bool(cosines.min() >= bound and abs(norms - 1).max() < 2 * (1 - bound) ** 0.5)
        ok = ok and fits
        print(f"{name:26}{precision:6}{len(texts):6}{cosines.min():13.7f}{cosines.mean():13.7f}{rate:9.1f}{st_rate:9.1f}"
              f"{rate / st_rate:7.2f}{'' if fits else '  below ' + str(bound)}", flush=True)
    shutil.rmtree(model_dir)
    return ok


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("embed_file", type=Path)
    parser.add_argument("bert", type=Path)
    parser.add_argument("mpnet", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--models", default=";".join(MODELS), help="names, separated by semicolons")
    parser.add_argument("--n-texts", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    with open(args.texts, encoding="utf-8") as file:
        texts = [line.rstrip("\n") for line, _ in zip(file, range(args.n_texts))]
    print(f"{'model':26}{'':6}{'texts':>6}{'min cosine':>13}{'mean':>13}{'texts/s':>9}{'ST':>9}{'x ST':>7}")
    sys.exit(int(not all([compare(args, name, texts) for name in args.models.split(";")])))


if __name__ == "__main__":
    main()
