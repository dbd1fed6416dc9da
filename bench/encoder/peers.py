#!/usr/bin/env python3
"""One run of one other engine on the measurement's texts; prints one JSON object like embed_file.

    peers.py ENGINE MODEL_DIR TEXTS WORK_DIR N_TEXTS N_THREADS

ENGINE    sentence-transformers[-bf16], onnxruntime-{f32,int8}-{arrival,sorted},
          openvino-{f32,bf16}-sorted, ctranslate2-{f32,int8}-sorted
WORK_DIR  gets the converted models, once; converting is not measured

arrival   batches of 32 as the texts come: what a caller gets who does nothing
sorted    by number of tokens, then batches of 8, which was these engines' best on these texts;
          needs all texts at hand
sentence-transformers sorts by itself (by characters), batches of 32, its default.

start_s is everything up to the loaded model, imports included; first_s the first text after it.
Peak memory is the process's.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
MAX_TOKENS = 256
BATCH = {"arrival": 32, "sorted": 8}


def tokenizer(model_dir):
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    made.enable_truncation(MAX_TOKENS)
    made.no_padding()
    return made


def pool(tokens, mask):
    """Mean over the tokens that are there, then unit length."""
    import numpy as np

    weights = mask[:, :, None].astype(np.float32)
    mean = (tokens * weights).sum(1) / weights.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


class Batched:
    """Tokenize, order, pad, run, pool: what these engines leave to their caller."""

    def __init__(self, model_dir, order):
        self.tokenizer = tokenizer(model_dir)
        self.order = order

    def encode(self, texts):
        import numpy as np

        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        self.n_tokens = sum(map(len, rows))
        order = list(range(len(rows)))
        if self.order == "sorted":
            order.sort(key=lambda i: len(rows[i]))
        size = BATCH[self.order]
        out = [None] * len(rows)
        for start in range(0, len(rows), size):
            chosen = order[start : start + size]
            longest = max(len(rows[i]) for i in chosen)
            ids = np.zeros((len(chosen), longest), dtype=np.int64)
            mask = np.zeros_like(ids)
            for k, i in enumerate(chosen):
                ids[k, : len(rows[i])] = rows[i]
                mask[k, : len(rows[i])] = 1
            vectors = pool(self.run(ids, mask), mask)
            for k, i in enumerate(chosen):
                out[i] = vectors[k]
        return np.stack(out)


class OnnxRuntime(Batched):
    def __init__(self, model_dir, work, precision, order, n_threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(
            str(work / f"model-{precision}.onnx"), options, providers=["CPUExecutionProvider"])
        super().__init__(model_dir, order)

    def run(self, ids, mask):
        return self.session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


class OpenVino(Batched):
    def __init__(self, model_dir, work, precision, order, n_threads):
        import openvino

        self.model = openvino.Core().compile_model(str(work / "model-f32.onnx"), "CPU", {
            "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": n_threads,
            "PERFORMANCE_HINT": "LATENCY"})
        super().__init__(model_dir, order)

    def run(self, ids, mask):
        return self.model({"input_ids": ids, "attention_mask": mask})[0]


class CTranslate2(Batched):
    TYPES = {"f32": "float32", "int8": "int8_float32"}

    def __init__(self, model_dir, work, precision, order, n_threads):
        import ctranslate2

        self.encoder = ctranslate2.Encoder(str(work / "ctranslate2"), device="cpu", intra_threads=n_threads,
                                           compute_type=self.TYPES[precision])
        super().__init__(model_dir, order)

    def run(self, ids, mask):
        import numpy as np

        rows = [row[: int(n)].tolist() for row, n in zip(ids, mask.sum(1))]
        return np.array(self.encoder.forward_batch(rows).last_hidden_state).astype(np.float32)


class SentenceTransformers:
    def __init__(self, model_dir, precision, n_threads):
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(n_threads)
        self.model = SentenceTransformer(str(model_dir), device="cpu")
        if precision == "bf16":
            self.model = self.model.bfloat16()

    def encode(self, texts):
        vectors = self.model.encode(texts, convert_to_tensor=True).float().numpy()
        return vectors


def export_onnx(model_dir, work):
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import BertModel

    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = BertModel.from_pretrained(model_dir, attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask):
            return self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.ones((2, 8), dtype=torch.int64)
    axes = {0: "batch", 1: "tokens"}
    part = work / "part.onnx"
    torch.onnx.export(Tokens(), (ids, ids), str(part), input_names=["input_ids", "attention_mask"],
                      output_names=["tokens"], opset_version=17, dynamo=False,
                      dynamic_axes={"input_ids": axes, "attention_mask": axes, "tokens": axes})
    quantize_dynamic(str(part), str(work / "model-int8.onnx"), weight_type=QuantType.QInt8)
    part.rename(work / "model-f32.onnx")


def convert(engine, model_dir, work):
    """In a process of its own: converting must count in nobody's memory."""
    wanted = work / ("ctranslate2" if engine.startswith("ctranslate2") else "model-f32.onnx")
    if engine.startswith("sentence") or wanted.exists():
        return
    subprocess.run([sys.executable, __file__, "convert", engine, model_dir, work], check=True,
                   stdout=subprocess.DEVNULL)


def convert_here(engine, model_dir, work):
    work.mkdir(parents=True, exist_ok=True)
    if not engine.startswith("ctranslate2"):
        export_onnx(model_dir, work)
        return
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(model_dir)).convert(str(work / "ctranslate2"), force=True)


def create(engine, model_dir, work, n_threads):
    if engine.startswith("sentence-transformers"):
        return SentenceTransformers(model_dir, "bf16" if engine.endswith("-bf16") else "f32", n_threads)
    name, precision, order = engine.split("-")
    made = {"onnxruntime": OnnxRuntime, "openvino": OpenVino, "ctranslate2": CTranslate2}[name]
    return made(model_dir, work, precision, order, n_threads)


def main():
    if sys.argv[1] == "convert":
        return convert_here(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    engine, model_dir, texts, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    n_texts, n_threads = int(sys.argv[5]), int(sys.argv[6])
    lines = texts.read_text(encoding="utf-8").split("\n")[:n_texts]
    convert(engine, model_dir, work)
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    start = time.perf_counter()
    model = create(engine, model_dir, work, n_threads)
    opened = time.perf_counter()
    model.encode(lines[:1])
    first = time.perf_counter()
    model.encode(lines[:32])  # warm
    began, began_cpu = time.perf_counter(), time.process_time()
    vectors = model.encode(lines)
    took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    assert vectors.shape[0] == len(lines)
    print(json.dumps({
        "engine": engine, "threads": n_threads, "texts": len(lines),
        "start_s": round(opened - start, 4), "first_s": round(first - opened, 4),
        "embed_s": round(took, 4), "cpu_s": round(took_cpu, 4),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }))
    return None


if __name__ == "__main__":
    main()
