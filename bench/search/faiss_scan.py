#!/usr/bin/env python3
"""Trawl's vector scan beside FAISS's exact indexes, in one run on the same machine.

    faiss_scan.py BENCH_VECTOR_SCAN [--rows N] [--threads N]

Needs numpy and faiss-cpu.  Prints JSON lines: those of bench_vector_scan, then FAISS's flat f32 index and its
8-bit one, whose answer is not exact.  Vectors are random around a thousand centres on both sides; the time of an
exact scan does not depend on them.
"""

import argparse
import json
import statistics
import subprocess
import time

import faiss
import numpy

DIM, K, RUNS = 384, 200, 21


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    subprocess.run([args.bench, "--rows", str(args.rows), "--threads", str(args.threads),
                    "--runs", str(RUNS)], check=True)
    faiss.omp_set_num_threads(args.threads)
    random = numpy.random.default_rng(7)
    centres = random.standard_normal((1000, DIM), dtype=numpy.float32)
    rows = centres[random.integers(0, 1000, args.rows)]
    rows += 0.8 * random.standard_normal(rows.shape, dtype=numpy.float32)
    faiss.normalize_L2(rows)
    queries = rows[:RUNS].copy()
    for name, index in (
            ("faiss_flat", faiss.IndexFlatIP(DIM)),
            ("faiss_int8", faiss.IndexScalarQuantizer(
                DIM, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT))):
        index.train(rows[:20_000])
        index.add(rows)
        index.search(queries[:1], K)
        times = []
        for query in queries:
            begin = time.perf_counter()
            index.search(query[None, :], K)
            times.append((time.perf_counter() - begin) * 1000)
        print(json.dumps({"name": f"vector_scan/{name}", "unit": "ms", "rows": args.rows, "dim": DIM, "k": K,
                          "median": round(statistics.median(times), 3), "n": RUNS, "threads": args.threads}))
        index.reset()


if __name__ == "__main__":
    main()
