#!/usr/bin/env python3
"""Trawl's encoder beside the usual engines, on the same texts, in one go.

    run.py MODEL_DIR TOOLS_DIR WORK_DIR [--texts N] [--queries N] [--rounds N] [--threads N]

TOOLS_DIR holds bench_encoder and embed_file; WORK_DIR the files of texts.py.  Needs the environment of
scripts/encoder_venv.sh.  Prints a JSON object per measurement, then tables.

Every engine runs in a process of its own, one after the other; a round is one run of each, so that
whatever else the machine does meets all of them.  Figures are medians over the rounds, rates by the
clock; "cpu ms" is CPU time per text, which a busy machine moves less.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

PRECISIONS = ("f32", "bf16", "int8")
PEERS = (
    "sentence-transformers", "onnxruntime-f32-arrival", "onnxruntime-f32-sorted", "openvino-f32-sorted",
    "ctranslate2-f32-sorted",
    "sentence-transformers-bf16", "openvino-bf16-sorted",  # CTranslate2 has bf16 for other CPUs only
    "onnxruntime-int8-arrival", "onnxruntime-int8-sorted", "ctranslate2-int8-sorted",
)
HERE = Path(__file__).resolve().parent


def precision_of(engine):
    return next((p for p in PRECISIONS[1:] if f"-{p}" in engine), "f32")


def run(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def measure(engine, args, texts, n):
    if engine.startswith("trawl"):
        return run([args.tools / "embed_file", args.model, texts, precision_of(engine), "-", n, args.threads])[0]
    return run([sys.executable, HERE / "peers.py", engine, args.model, texts, args.work / "peers", n,
                args.threads])[0]


def summarize(rows, n_tokens):
    def median(key):
        return statistics.median(row[key] for row in rows)

    n = rows[0]["texts"]
    return {
        "texts_per_s": n / median("embed_s"), "tokens_per_s": n_tokens / median("embed_s"),
        "cpu_ms_per_text": 1000 * median("cpu_s") / n, "start_s": median("start_s"),
        "first_ms": 1000 * median("first_s"), "peak_mb": median("peak_mb"),
    }


def print_table(name, found):
    best = {p: max(v["texts_per_s"] for e, v in found.items() if not e.startswith("trawl") and precision_of(e) == p)
            for p in PRECISIONS}
    least = {p: min(v["cpu_ms_per_text"] for e, v in found.items()
                    if not e.startswith("trawl") and precision_of(e) == p) for p in PRECISIONS}
    default = found["sentence-transformers"]
    print(f"\n{name}\n{'engine':28}{'texts/s':>9}{'tokens/s':>10}{'cpu ms':>8}{'peak MB':>9}{'start s':>9}"
          f"{'x best peer':>13}{'x ST':>7}{'x peer, cpu':>13}")
    for engine, value in found.items():
        precision = precision_of(engine)
        print(f"{engine:28}{value['texts_per_s']:9.1f}{value['tokens_per_s']:10.0f}"
              f"{value['cpu_ms_per_text']:8.2f}{value['peak_mb']:9.0f}{value['start_s']:9.2f}"
              f"{value['texts_per_s'] / best[precision]:13.2f}"
              f"{value['texts_per_s'] / default['texts_per_s']:7.2f}"
              f"{least[precision] / value['cpu_ms_per_text']:13.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("tools", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    engines = [f"trawl-{p}" for p in PRECISIONS] + list(PEERS)
    for precision in PRECISIONS:
        for row in run([args.tools / "bench_encoder", args.model, args.work / "descriptions.txt", precision,
                        args.threads, args.texts]):
            print(json.dumps({"precision": precision, **row}), flush=True)
    tables = {}
    for name, n in (("descriptions", args.texts), ("queries", args.queries)):
        rows = {engine: [] for engine in engines}
        for _ in range(args.rounds):
            for engine in engines:
                rows[engine].append(measure(engine, args, args.work / f"{name}.txt", n))
                print(json.dumps({"name": name, "engine": engine, **rows[engine][-1]}), flush=True)
        n_tokens = rows["trawl-f32"][0]["tokens"]
        tables[f"{name}: {n} texts, {n_tokens} tokens, {args.threads} threads, median of {args.rounds}"] = {
            engine: summarize(rows[engine], n_tokens) for engine in engines}
    for name, found in tables.items():
        print_table(name, found)


if __name__ == "__main__":
    main()
