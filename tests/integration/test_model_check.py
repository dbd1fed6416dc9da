"""`trawl model check DIR`: what a model is and needs, and why one is refused."""

import json
import shutil
from pathlib import Path

import pytest

SMALL = Path(__file__).resolve().parents[1] / "fixtures/encoder/small"
MODULES = [{"idx": 0, "path": "", "type": "a.Transformer"}, {"idx": 1, "path": "1_Pooling", "type": "a.Pooling"}]


@pytest.fixture
def model(tmp_path):
    shutil.copytree(SMALL / "bert", tmp_path / "model")
    write(tmp_path / "model", "modules.json", MODULES)
    write(tmp_path / "model", "1_Pooling/config.json", {"word_embedding_dimension": 32})
    return tmp_path / "model"


def write(model, name, value):
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text(json.dumps(value), encoding="utf-8")


def change(model, name, **fields):
    old = json.loads((model / name).read_text(encoding="utf-8"))
    write(model, name, {**old, **fields})


def config(**fields):
    return lambda model: change(model, "config.json", **fields)


def only(name):
    def apply(model):
        (model / "model.safetensors").unlink()
        (model / name).write_bytes(b"{}")
    return apply


REFUSED = {
    "T5": (config(model_type="t5"), "model_type is 't5'"),
    "RoBERTa": (config(model_type="roberta"), "supported are bert and mpnet"),
    "XLM-RoBERTa": (config(model_type="xlm-roberta"), "'xlm-roberta'"),
    "own code": (config(model_type="new", auto_map={}), "'new'"),
    "relative positions": (config(position_embedding_type="relative_key"), "only absolute"),
    "activation": (config(hidden_act="swish"), "'swish'"),
    "pickle": (only("pytorch_model.bin"), "convert it to model.safetensors"),
    "sharded": (only("model.safetensors.index.json"), "join them into one"),
    "lower-casing outside": (lambda m: change(m, "sentence_bert_config.json", do_lower_case=True), "do_lower_case"),
    "unigram": (lambda m: write(m, "tokenizer.json", {"version": "1.0", "model": {"type": "Unigram"}}), "only WordPiece"),
    "pooling": (lambda m: change(m, "1_Pooling/config.json", pooling_mode="attention"), "pooling_mode is not one of"),
    "module": (lambda m: write(m, "modules.json", MODULES + [{"idx": 2, "path": "", "type": "a.LSTM"}]), "'LSTM'"),
    "wrong width": (lambda m: change(m, "1_Pooling/config.json", word_embedding_dimension=64), "64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_has_a_reason(trawl, model, name):
    apply, told = REFUSED[name]
    apply(model)
    assert told in trawl.run("model", "check", str(model), status=1).stderr


def test_what_it_needs(trawl, model):
    write(model, "config_sentence_transformers.json", {"prompts": {"query": "data: "}})
    found = trawl.json("model", "check", str(model))
    assert found["is_usable"] and found["max_tokens"] == 32 and found["dim"] == 32
    assert found["prompts"]["query"] == {"text": "data: ",
                                         "origin": "config_sentence_transformers.json, prompts.query"}
    assert found["prompts"]["document"]["text"] == ""
    assert found["vectors"] == found["fingerprint"]
    f32 = found["precisions"][0]
    assert f32["precision"] == "f32" and f32["memory_bytes"] > 0 and f32["min_cosine"] > 0.999999

    trawl.env["TRAWL_EMBEDDING_DOCUMENT_PROMPT"] = "open "
    found = trawl.json("model", "check", str(model))
    assert found["prompts"]["document"] == {"text": "open ", "origin": "embedding.document_prompt"}
    assert found["vectors"] != found["fingerprint"] and found["vectors"].count("~") == 1
