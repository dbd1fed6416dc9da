"""Writes sentence-transformers directories with random weights: real layouts and shapes, no download.

Weights are drawn so that a layer passes on what it gets at about the same size (std 1/sqrt(inputs)), as
trained ones do; torch's own initial ones (std 0.02) would give nearly the same vector to all texts.
"""

import json
import shutil

PROMPT_BGE = "Represent this sentence for searching relevant passages: "
LIMITS = {"bert": 512, "mpnet": 514}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def randomize(module, generator):
    import torch

    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "LayerNorm.weight" in name or name.startswith("norm.weight"):
                weight.normal_(1, 0.1, generator=generator)
            elif "embeddings" in name and weight.dim() == 2:
                weight.normal_(0, 0.05, generator=generator)
            elif weight.dim() == 2:
                weight.normal_(0, weight.shape[1] ** -0.5, generator=generator)
            else:
                weight.normal_(0, 0.05, generator=generator)


def transformer(spec, vocab_size):
    from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

    width, layers, heads, inner = spec["shape"]
    kind = spec.get("type", "bert")
    common = dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=inner,
                  vocab_size=vocab_size, max_position_embeddings=spec.get("positions", LIMITS[kind]))
    if kind == "mpnet":
        return MPNetModel(MPNetConfig(layer_norm_eps=1e-5, **common), add_pooling_layer=False)
    return BertModel(BertConfig(**common), add_pooling_layer=False)


def write_tokenizer(spec, tokenizer, out):
    """tokenizer: a directory of BERT's, or MPNet's tokenizer.json."""
    if spec.get("type") == "mpnet":
        shutil.copyfile(tokenizer, out / "tokenizer.json")
        write_json(out / "tokenizer_config.json", {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": spec["max_tokens"], "cls_token": "<s>",
            "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "[UNK]", "mask_token": "<mask>"})
        return
    shutil.copyfile(tokenizer / "tokenizer.json", out / "tokenizer.json")
    write_json(out / "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": spec["max_tokens"],
        "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
        "mask_token": "[MASK]"})


def write_dense(spec, width, generator, out):
    import torch
    from safetensors.torch import save_file

    layer = torch.nn.Linear(width, spec["dense"])
    randomize(layer, generator)
    write_json(out / "config.json", {"in_features": width, "out_features": spec["dense"], "bias": True,
                                     "activation_function": "torch.nn.modules.activation.Tanh"})
    save_file({f"linear.{name}": value.contiguous() for name, value in layer.state_dict().items()},
              out / "model.safetensors", metadata={"format": "pt"})
    return spec["dense"]


def write_modules(spec, generator, out):
    width = spec["shape"][0]
    modes = spec["pooling"] if isinstance(spec["pooling"], list) else [spec["pooling"]]
    names = ["Transformer", "Pooling"] + ["Dense"] * ("dense" in spec) + ["Normalize"] * spec["normalize"]
    write_json(out / "modules.json", [
        {"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{name}",
         "type": f"sentence_transformers.models.{name}"} for i, name in enumerate(names)])
    write_json(out / "1_Pooling/config.json", {
        "word_embedding_dimension": width, "include_prompt": spec.get("include_prompt", True),
        **{f"pooling_mode_{mode}": mode in modes for mode in
           ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")}})
    for i, name in enumerate(names[2:], 2):
        (out / f"{i}_{name}").mkdir(exist_ok=True)
        if name == "Dense":
            write_dense(spec, width * len(modes), generator, out / f"{i}_{name}")


def write_model(spec, tokenizer, vocab_size, out, seed=20251124):
    """One directory; spec as the tables that call this have it."""
    import torch
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    model = transformer(spec, vocab_size)
    randomize(model, generator)
    dtype = torch.float16 if spec.get("weights") == "F16" else torch.float32
    save_file({name: value.to(dtype).contiguous() for name, value in model.state_dict().items()
               if not name.endswith("position_ids")}, out / "model.safetensors", metadata={"format": "pt"})
    write_json(out / "config.json", model.config.to_dict())
    write_json(out / "sentence_bert_config.json", {"max_seq_length": spec["max_tokens"], "do_lower_case": False})
    write_tokenizer(spec, tokenizer, out)
    write_modules(spec, generator, out)
