"""The families of models that Hugging Face's configs describe: their nets, and their arrays' names.

A default in a config is the one that the library transformers has for it.
"""

from __future__ import annotations

import re
from typing import Any

from kuai import nn
from kuai.errors import ArgumentError
from kuai.models.bert import BERT
from kuai.models.config import Config
from kuai.models.gpt2 import GPT2
from kuai.models.llama import Llama
from kuai.models.resnet import ResNet
from kuai.models.translation import Rule, convolution, linear, only_row, thirds
from kuai.models.vit import ViT

_ACTIVATIONS = {
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu": nn.GELU(approximate=False),
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
_LAYER = r"layers.\1."


def gpt2(config: Config) -> GPT2:
    """The net of a gpt2 config."""
    config.only("scale_attn_weights", True)
    config.only("scale_attn_by_inverse_layer_idx", False)
    config.only("add_cross_attention", False)
    config.only("tie_word_embeddings", True)
    for other in ("embd_pdrop", "attn_pdrop"):
        config.only(other, config.number("resid_pdrop", 0.1))
    return GPT2(
        config.count("vocab_size", 50257),
        width=config.count("n_embd", 768),
        layers=config.count("n_layer", 12),
        heads=config.count("n_head", 12),
        positions=config.count("n_positions", 1024),
        hidden=config.count("n_inner", None),
        activation=_activation(config, "activation_function", "gelu_new"),
        dropout=config.number("resid_pdrop", 0.1),
        epsilon=config.number("layer_norm_epsilon", 1e-5),
    )


def gpt2_rules(_: Config) -> list[Rule]:
    """Where a gpt2's arrays go; its layers have (inputs, outputs), as Dense."""
    start = r"(?:transformer\.)?"
    layer = start + r"h\.(\d+)\."
    attention = _LAYER + "attention."
    fused = tuple(attention + part for part in ("query", "key", "value"))
    return [
        Rule(start + r"wte\.weight", ("tokens.weight",)),
        Rule(start + r"wpe\.weight", ("positions.weight",)),
        Rule(layer + r"ln_1\.(weight|bias)", (_LAYER + r"attention_norm.\2",)),
        Rule(layer + r"attn\.c_attn\.(weight|bias)", tuple(p + r".\2" for p in fused), thirds),
        Rule(layer + r"attn\.c_proj\.(weight|bias)", (attention + r"output.\2",)),
        Rule(layer + r"ln_2\.(weight|bias)", (_LAYER + r"feed_forward_norm.\2",)),
        Rule(layer + r"mlp\.c_fc\.(weight|bias)", (_LAYER + r"feed_forward.up.\2",)),
        Rule(layer + r"mlp\.c_proj\.(weight|bias)", (_LAYER + r"feed_forward.down.\2",)),
        Rule(start + r"ln_f\.(weight|bias)", (r"norm.\1",)),
        Rule(layer + r"attn\.(bias|masked_bias)"),  # masks that old versions saved
        Rule(r"lm_head\.weight"),  # the embedding of the tokens once more
    ]


def llama(config: Config) -> Llama:
    """The net of a llama config."""
    config.only("mlp_bias", False)
    config.only("hidden_act", "silu")
    config.only("attention_dropout", 0.0)
    rotary = config.part("rope_parameters") or config.part("rope_scaling") or Config({})
    base = rotary.number("rope_theta", None) or config.number("rope_theta", 10000.0)
    return Llama(
        config.count("vocab_size", 32000),
        width=config.count("hidden_size", 4096),
        layers=config.count("num_hidden_layers", 32),
        heads=config.count("num_attention_heads", 32),
        key_heads=config.count("num_key_value_heads", None),
        head_width=config.count("head_dim", None),
        hidden=config.count("intermediate_size", 11008),
        rotary_base=base,
        rotary_scaling=_rotary_scaling(rotary),
        epsilon=config.number("rms_norm_eps", 1e-6),
        use_bias=config.flag("attention_bias", False),
        tied=config.flag("tie_word_embeddings", False),
    )


def _rotary_scaling(rotary: Config) -> Any:
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return nn.LinearScaling(rotary.number("factor"))
    if kind == "llama3":
        return nn.Llama3Scaling(
            rotary.number("factor"),
            rotary.number("low_freq_factor"),
            rotary.number("high_freq_factor"),
            rotary.count("original_max_position_embeddings"),
        )
    raise ArgumentError(
        f"from_pretrained: expected rotary positions of the type default, linear or llama3, got "
        f"{kind!r}; other types are not known"
    )


def llama_rules(config: Config) -> list[Rule]:
    """Where a llama's arrays go."""
    start = r"(?:model\.)?"
    layer = start + r"layers\.(\d+)\."
    parts = {"q": "query", "k": "key", "v": "value", "o": "output"}
    rules = [
        rule
        for letter, part in parts.items()
        for rule in _dense(layer + rf"self_attn\.{letter}_proj", _LAYER + f"attention.{part}")
    ]
    for part in ("gate", "up", "down"):
        rules += _dense(layer + rf"mlp\.{part}_proj", _LAYER + f"feed_forward.{part}")
    head = () if config.flag("tie_word_embeddings", False) else ("head.weight",)
    return [
        *rules,
        Rule(start + r"embed_tokens\.weight", ("tokens.weight",)),
        Rule(layer + r"input_layernorm\.weight", (_LAYER + "attention_norm.weight",)),
        Rule(layer + r"post_attention_layernorm\.weight", (_LAYER + "feed_forward_norm.weight",)),
        Rule(start + r"norm\.weight", ("norm.weight",)),
        Rule(layer + r"self_attn\.rotary_emb\.inv_freq"),  # follows from the config
        Rule(r"lm_head\.weight", head, linear if head else None),
    ]


def bert(config: Config) -> BERT:
    """The net of a bert config: a classifier if its architecture is one, else masked tokens."""
    config.only("is_decoder", False)
    config.only("position_embedding_type", "absolute")
    config.only("tie_word_embeddings", True)
    config.only("attention_probs_dropout_prob", config.number("hidden_dropout_prob", 0.1))
    config.only("classifier_dropout", config.number("hidden_dropout_prob", 0.1))
    padding = config.count("pad_token_id", 0, at_least=0)
    padding = None if config.has_null("pad_token_id") else padding
    return BERT(
        config.count("vocab_size", 30522),
        _classes(config) if _classifies(config) else None,
        width=config.count("hidden_size", 768),
        layers=config.count("num_hidden_layers", 12),
        heads=config.count("num_attention_heads", 12),
        positions=config.count("max_position_embeddings", 512),
        segments=config.count("type_vocab_size", 2),
        padding=padding,
        hidden=config.count("intermediate_size", 3072),
        activation=_activation(config, "hidden_act", "gelu"),
        dropout=config.number("hidden_dropout_prob", 0.1),
        epsilon=config.number("layer_norm_eps", 1e-12),
    )


def bert_rules(config: Config) -> list[Rule]:
    """Where a bert's arrays go."""
    start = r"(?:bert\.)?"
    embedded = start + r"embeddings\."
    layer = start + r"encoder\.layer\.(\d+)\."
    guess = r"cls\.predictions\."
    rules = [
        Rule(embedded + r"word_embeddings\.weight", ("tokens.weight",)),
        Rule(embedded + r"position_embeddings\.weight", ("positions.weight",)),
        Rule(embedded + r"token_type_embeddings\.weight", ("segments.weight",)),
        *_norm(embedded + r"LayerNorm", "norm"),
        *_attention(layer + r"attention\.self\.", _LAYER),
        *_dense(layer + r"attention\.output\.dense", _LAYER + "attention.output"),
        *_norm(layer + r"attention\.output\.LayerNorm", _LAYER + "attention_norm"),
        *_dense(layer + r"intermediate\.dense", _LAYER + "feed_forward.up"),
        *_dense(layer + r"output\.dense", _LAYER + "feed_forward.down"),
        *_norm(layer + r"output\.LayerNorm", _LAYER + "feed_forward_norm"),
        Rule(embedded + r"position_ids"),  # 0, 1, 2, ...
        Rule(r"cls\.seq_relationship\.(weight|bias)"),  # a head for another task
    ]
    if _classifies(config):
        pooled = _dense(start + r"pooler\.dense", "head.1")
        return [*rules, *pooled, *_dense("classifier", "head.3"), Rule(guess + ".*")]
    return [
        *rules,
        *_dense(guess + r"transform\.dense", "head.dense"),
        *_norm(guess + r"transform\.LayerNorm", "head.norm"),
        Rule(guess + "bias", ("head.bias",)),
        Rule(guess + r"decoder\.(weight|bias)"),  # the embedding and the bias once more
        Rule(start + r"pooler\.dense\.(weight|bias)"),  # of a head for another task
    ]


def image_size(config: Config) -> int:
    """Height and width of a vit's images."""
    return int(config.count("image_size", 224))


def vit(config: Config) -> ViT:
    """The net of a vit config."""
    config.only("qkv_bias", True)
    config.only("attention_probs_dropout_prob", config.number("hidden_dropout_prob", 0.0))
    return ViT(
        _classes(config),
        image=image_size(config),
        patch=config.count("patch_size", 16),
        width=config.count("hidden_size", 768),
        layers=config.count("num_hidden_layers", 12),
        heads=config.count("num_attention_heads", 12),
        hidden=config.count("intermediate_size", 3072),
        activation=_activation(config, "hidden_act", "gelu"),
        dropout=config.number("hidden_dropout_prob", 0.0),
        epsilon=config.number("layer_norm_eps", 1e-12),
    )


def vit_rules(_: Config) -> list[Rule]:
    """Where a vit's arrays go."""
    start = r"(?:vit\.)?"
    embedded = start + r"embeddings\."
    patches = embedded + r"patch_embeddings\.projection\."
    layer = start + r"encoder\.layer\.(\d+)\."
    return [
        Rule(embedded + "cls_token", ("token",)),
        Rule(embedded + "position_embeddings", ("positions.weight",), only_row),
        Rule(patches + "weight", ("patches.weight",), convolution),
        Rule(patches + "bias", ("patches.bias",)),
        *_norm(layer + "layernorm_before", _LAYER + "attention_norm"),
        *_norm(layer + "layernorm_after", _LAYER + "feed_forward_norm"),
        *_attention(layer + r"attention\.attention\.", _LAYER),
        *_dense(layer + r"attention\.output\.dense", _LAYER + "attention.output"),
        *_dense(layer + r"intermediate\.dense", _LAYER + "feed_forward.up"),
        *_dense(layer + r"output\.dense", _LAYER + "feed_forward.down"),
        *_norm(start + "layernorm", "norm"),
        *_dense("classifier", "head"),
        Rule(start + r"pooler\.dense\.(weight|bias)"),  # of a head for another task
    ]


def resnet(config: Config) -> ResNet:
    """The net of a resnet config."""
    config.only("hidden_act", "relu")
    config.only("downsample_in_first_stage", False)
    config.only("downsample_in_bottleneck", False)
    kind = config.choice("layer_type", "bottleneck", ("basic", "bottleneck"))
    return ResNet(
        config.counts("depths", (3, 4, 6, 3)),
        _classes(config),
        bottleneck=kind == "bottleneck",
        widths=config.counts("hidden_sizes", (256, 512, 1024, 2048)),
        stem=config.count("embedding_size", 64),
    )


def resnet_rules(_: Config) -> list[Rule]:
    """Where a resnet's arrays go."""
    start = r"(?:resnet\.)?"
    unit = start + r"encoder\.stages\.(\d+)\.layers\.(\d+)\."
    norm = r"(weight|bias|running_mean|running_var)"

    def place(match: re.Match[str]) -> str:
        stage, number = match[1], int(match[2])
        return f"stages.{stage}.first." if number == 0 else f"stages.{stage}.rest.{number - 1}."

    def body(step: int) -> Any:  # convolution, norm, activation, convolution, ...
        return lambda m: f"{place(m)}body.{3 * int(m[3]) + step}.{m[4] if step else 'weight'}"

    def shortcut(step: int) -> Any:
        return lambda m: f"{place(m)}shortcut.{step}.{m[3] if step else 'weight'}"

    stem = start + r"embedder\.embedder\."
    return [
        Rule(stem + r"convolution\.weight", ("stem.0.weight",), convolution),
        Rule(stem + r"normalization\." + norm, (r"stem.1.\1",)),
        Rule(unit + r"layer\.(\d+)\.convolution\.weight", (body(0),), convolution),
        Rule(unit + r"layer\.(\d+)\.normalization\." + norm, (body(1),)),
        Rule(unit + r"shortcut\.convolution\.weight", (shortcut(0),), convolution),
        Rule(unit + r"shortcut\.normalization\." + norm, (shortcut(1),)),
        Rule(r".*\.num_batches_tracked"),  # PyTorch counts; nothing follows from it
        *_dense(r"classifier\.1", "head"),
    ]


def _dense(name: str, path: str) -> list[Rule]:
    return [
        Rule(name + r"\.weight", (path + ".weight",), linear),
        Rule(name + r"\.bias", (path + ".bias",)),
    ]


def _norm(name: str, path: str) -> list[Rule]:
    return [
        Rule(name + r"\.(?:weight|gamma)", (path + ".weight",)),
        Rule(name + r"\.(?:bias|beta)", (path + ".bias",)),
    ]


def _attention(name: str, layer: str) -> list[Rule]:
    parts = ("query", "key", "value")
    return [rule for part in parts for rule in _dense(name + part, f"{layer}attention.{part}")]


def _classifies(config: Config) -> bool:
    return "BertForSequenceClassification" in _architectures(config)


def _architectures(config: Config) -> list[str]:
    names = config.get("architectures", [])
    return list(map(str, names)) if isinstance(names, list) else [str(names)]


def check_head(config: Config, known: tuple[str, ...]) -> None:
    """Refuse a net with another head, or with none, than those that are known.

    Args:
        config: a folder's; one that names no architecture is taken.
        known: architectures.

    Raises:
        ArgumentError: it is of none of them.
    """
    names = _architectures(config)
    if names and not set(names) & set(known):
        raise ArgumentError(
            f"from_pretrained: config.json: expected architectures to be one of {', '.join(known)},"
            f" got {', '.join(names)}, whose head (or lack of one) the nets here have not; save it "
            f"with transformers as {known[0]}, whose head can be replaced here"
        )


def _classes(config: Config) -> int:
    names = config.get("id2label")
    if names is None:
        return int(config.count("num_labels", 2))
    if not isinstance(names, dict) or not names:
        raise ArgumentError(
            "from_pretrained: config.json: expected id2label to be an object from numbers to names "
            f"of classes, got {names!r}; look at the config"
        )
    return len(names)


def _activation(config: Config, key: str, default: str) -> Any:
    return _ACTIVATIONS[config.choice(key, default, _ACTIVATIONS)]
