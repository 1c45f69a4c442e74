"""Models out of folders in Hugging Face's layout, against what transformers computed with them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import load_file, save_file

import kuai
from kuai.models.config import Config
from kuai.models.hugging_face import FAMILIES
from kuai.models.translation import translated
from tests import hugging_face
from tests.hugging_face import CASES, GOLDENS, NEW_TOKENS, RESULTS


def relative_error(found, wanted):
    return np.abs(np.asarray(found, np.float64) - wanted).max() / np.abs(wanted).max()


def loss_of(net, x, labels):
    logits = net(x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def check_same(folder: Path):
    """Logits, loss, every parameter's gradient, and generated tokens."""
    net = kuai.models.from_pretrained(folder)
    results = load_file(folder / RESULTS)
    x, labels = jnp.asarray(results["inputs"]), jnp.asarray(results["labels"])
    x = x.astype(jnp.int32) if x.dtype.kind == "i" else x
    assert relative_error(net(x), results["logits"]) < 1e-4
    with kuai.eval_mode():
        loss, gradients = kuai.value_and_grad(loss_of)(net, x, labels.astype(jnp.int32))
    assert relative_error(loss, results["loss"]) < 1e-5
    check_gradients(folder, gradients, results)
    if "generated" in results:
        made = net.generate(x, NEW_TOKENS, end=49)
        wanted = np.full(made.shape, 49)  # transformers stops at the width of the longest
        wanted[:, : results["generated"].shape[1]] = results["generated"]
        np.testing.assert_array_equal(made, wanted)


def check_gradients(folder, gradients, results):
    config = json.loads((folder / "config.json").read_text())
    named = {
        name.removeprefix("gradient/"): array
        for name, array in results.items()
        if name.startswith("gradient/")
    }
    wanted = translated(named, FAMILIES[config["model_type"]].rules(Config(config)))
    assert gradients.keys() == wanted.keys()
    largest = max(np.abs(array).max() for array in wanted.values())
    for path, array in wanted.items():
        np.testing.assert_allclose(
            gradients[path], array, rtol=1e-3, atol=1e-5 * largest, err_msg=path
        )


QUICK = ("gpt2", "bert", "resnet_basic")
EACH = [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in CASES]


@pytest.mark.parametrize("name", EACH)
def test_goldens(name):
    check_same(GOLDENS / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_live(name, tmp_path):
    pytest.importorskip("transformers", reason="make peers installs it")
    pytest.importorskip("torch", reason="make peers installs it")
    hugging_face.make(name, tmp_path, seed=1, max_shard_size="6KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    check_same(tmp_path)


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "gpt2"
    shutil.copytree(GOLDENS / "gpt2", copy)
    return copy


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_lower_precision_in_the_file_becomes_float32_unless_asked(folder):
    arrays = load_file(folder / "model.safetensors")
    half = {name: array.astype(jnp.bfloat16) for name, array in arrays.items()}
    save_file(half, folder / "model.safetensors")
    assert {p.dtype for p in kuai.models.from_pretrained(folder).parameters()} == {
        jnp.dtype("float32")
    }
    net = kuai.models.from_pretrained(folder, dtype="bfloat16")
    assert {p.dtype for p in net.parameters()} == {jnp.dtype("bfloat16")}
    assert net(jnp.array([[1, 2]])).dtype == jnp.bfloat16


def test_a_missing_shard_is_named(tmp_path):
    (tmp_path / "config.json").write_text((GOLDENS / "gpt2" / "config.json").read_text())
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file({"a": np.zeros(1)}, tmp_path / "model-1.safetensors")
    with pytest.raises(
        kuai.errors.MissingFileError, match=r"1 of 2 shards .* model-2\.safetensors"
    ):
        kuai.models.from_pretrained(tmp_path)


def test_an_index_may_not_name_files_elsewhere(tmp_path):
    (tmp_path / "config.json").write_text((GOLDENS / "gpt2" / "config.json").read_text())
    index = {"weight_map": {"a": "../other.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(kuai.errors.FileFormatError, match="names of files in this folder"):
        kuai.models.from_pretrained(tmp_path)


def test_integers_for_floats_are_refused(folder):
    arrays = load_file(folder / "model.safetensors")
    name = "transformer.wte.weight"
    save_file({**arrays, name: arrays[name].astype(np.int8)}, folder / "model.safetensors")
    with pytest.raises(
        kuai.errors.CheckpointError, match=r"tokens\.weight: expected .*float32.* int8"
    ):
        kuai.models.from_pretrained(folder)


def test_a_config_that_does_not_fit_the_weights_tells_every_difference(folder):
    change_config(folder, n_layer=2, vocab_size=51)
    with pytest.raises(kuai.errors.CheckpointError) as told:
        kuai.models.from_pretrained(folder)
    assert "tokens.weight: expected (51, 16)" in str(told.value)
    assert "layers.2.attention.query.weight" in str(told.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "mamba"},
            r"known family \(gpt2, llama, bert, vit, resnet\), got .*'mamba'",
        ),
        ({"tie_word_embeddings": False}, "expected tie_word_embeddings to be True, got False"),
        ({"attn_pdrop": 0.3}, "expected attn_pdrop to be 0.1, got 0.3"),
        ({"activation_function": "sin"}, "activation_function to be one of gelu_new"),
        (
            {"scale_attn_by_inverse_layer_idx": True},
            "expected scale_attn_by_inverse_layer_idx to be False",
        ),
    ],
)
def test_what_the_nets_cannot_do_is_refused(folder, changes, message):
    change_config(folder, **changes)
    with pytest.raises(kuai.errors.ArgumentError, match=message):
        kuai.models.from_pretrained(folder)


def copied(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(GOLDENS / name, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("bert", "BertForTokenClassification"),
        ("bert", "BertModel"),
        ("vit", "ViTModel"),
        ("resnet_basic", "ResNetModel"),
        ("gpt2", "GPT2ForSequenceClassification"),
        ("llama", "LlamaForTokenClassification"),
    ],
)
def test_other_heads_are_refused_by_name(tmp_path, name, architecture):
    folder = copied(name, tmp_path)
    change_config(folder, architectures=[architecture])
    known = FAMILIES[json.loads((folder / "config.json").read_text())["model_type"]].architectures
    message = f"expected architectures to be one of {', '.join(known)}, got {architecture}, .* save"
    with pytest.raises(kuai.errors.ArgumentError, match=message):
        kuai.models.from_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("llama", {"rope_parameters": {"rope_type": "linear"}},
         "rope_parameters of config.json: expected a value for factor, got none; download"),
        ("llama", {"rope_parameters": 3},
         "expected rope_parameters to be an object of keys and values, got 3"),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "linear or llama3, .*'yarn'"),
        ("llama", {"rms_norm_eps": "tiny"}, "rms_norm_eps to be a number from 0 up, got 'tiny'"),
        ("llama", {"attention_bias": 1}, "expected attention_bias to be true or false, got 1"),
        ("gpt2", {"n_layer": 2.5}, "expected n_layer to be an integer of at least 1, got 2.5"),
        ("gpt2", {"activation_function": ["gelu"]}, "activation_function to be one of .*'gelu'"),
        ("gpt2", {"model_type": ["gpt2"]}, r"known family .* got model_type \['gpt2'\]"),
        ("bert", {"pad_token_id": -1}, "pad_token_id to be an integer of at least 0, got -1"),
        ("vit", {"image_size": [30, 30]},
         r"expected image_size to be an integer of at least 1, got \[30, 30\]"),
        ("vit", {"id2label": ["a"]}, r"expected id2label to be an object .* got \['a'\]"),
        ("vit", {"num_channels": 0}, "num_channels to be an integer of at least 1, got 0"),
        ("resnet_basic", {"depths": 3}, "depths to be a list of integers of at least 1, got 3"),
        ("resnet_basic", {"hidden_sizes": [8, "x"]}, "hidden_sizes to be a list of integers"),
        ("resnet_basic", {"layer_type": "foo"},
         "expected layer_type to be one of basic, bottleneck, got 'foo'"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_told_by_its_key(tmp_path, name, changes, message):
    folder = copied(name, tmp_path)
    change_config(folder, **changes)
    with pytest.raises(kuai.errors.ArgumentError, match=f"^from_pretrained: .*{message}"):
        kuai.models.from_pretrained(folder)


def test_an_image_size_that_is_not_told_is_the_usual_one():
    config = Config({"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1})
    family = FAMILIES["vit"]
    assert family.build(config).image == 224
    assert family.sample(config).shape == (1, 224, 224, 3)


@pytest.mark.parametrize(
    ("name", "array", "shape", "expected"),
    [
        ("gpt2", "transformer.h.0.attn.c_attn.weight", (16, 16), "side by side on the last axis"),
        ("gpt2", "transformer.h.0.attn.c_attn.bias", (), "side by side on the last axis"),
        ("vit", "vit.embeddings.patch_embeddings.projection.weight", (16, 48),
         r"\(outputs, inputs, height, width\)"),
        ("vit", "vit.embeddings.position_embeddings", (10, 16), r"\(1, positions, features\)"),
        ("vit", "vit.embeddings.position_embeddings", (2, 10, 16), r"\(1, positions, features\)"),
        ("resnet_basic", "resnet.embedder.embedder.convolution.weight", (8,),
         r"\(outputs, inputs, height, width\)"),
    ],
)  # fmt: skip
def test_an_array_of_other_axes_is_told_by_its_name(tmp_path, name, array, shape, expected):
    folder = copied(name, tmp_path)
    arrays = load_file(folder / "model.safetensors")
    assert array in arrays
    save_file({**arrays, array: np.zeros(shape, np.float32)}, folder / "model.safetensors")
    with pytest.raises(kuai.errors.CheckpointError) as told:
        kuai.models.from_pretrained(folder)
    text = str(told.value)
    assert re.search(
        rf"{re.escape(array)}: expected .*{expected}, got {re.escape(str(shape))}", text
    )
    assert text.endswith("download both again.")


def test_what_is_missing_is_told_without_an_option_that_is_not_there(folder):
    arrays = load_file(folder / "model.safetensors")
    del arrays["transformer.wte.weight"]
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(kuai.errors.CheckpointError, match=r"tokens\.weight") as told:
        kuai.models.from_pretrained(folder)
    assert "strict" not in str(told.value)
    assert "config.json describes another net than these weights are of" in str(told.value)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(kuai.errors.MissingFileError, match="no such file; a model's folder has"):
        kuai.models.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(kuai.errors.FileFormatError, match="expected a JSON object, got list"):
        kuai.models.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(kuai.errors.MissingFileError, match="save_pretrained"):
        kuai.models.from_pretrained(tmp_path)


def test_layers_are_one_repeat_whose_layers_have_paths():
    net = kuai.models.from_pretrained(GOLDENS / "gpt2")
    text = jax.make_jaxpr(net.hybridize())(jnp.array([[1, 2, 3]]))
    assert str(text).count("scan[") == 1
    assert "layers.2.attention.query.weight" in dict(net.named_parameters())
