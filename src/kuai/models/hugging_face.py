"""Models in Hugging Face's layout: config.json beside weights in safetensors, whole or in shards.

Each family says how its net is built from the config, and where its arrays go. Nothing is fetched:
the folder is on disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from kuai import files
from kuai.core.block import Block
from kuai.core.initialize import dry_run
from kuai.core.weights import assign
from kuai.errors import ArgumentError, FileFormatError, MissingFileError
from kuai.models import families
from kuai.models.config import Config
from kuai.models.translation import Rule, translated

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_REMEDY = f"{CONFIG} describes another net than these weights are of; download both again."
_LARGEST_JSON = 50_000_000  # bytes; the index of a model with thousands of shards has a few million


class Family(NamedTuple):
    """A family of models.

    Attributes:
        build: config → the net.
        rules: config → where the arrays go.
        sample: config → an input that settles the shapes.
        architectures: nets with a head that is known; the first is the usual one.
    """

    build: Callable[[Config], Block]
    rules: Callable[[Config], list[Rule]]
    sample: Callable[[Config], Any]
    architectures: tuple[str, ...]


def _tokens(_: Config) -> Any:
    return jnp.zeros((1, 1), jnp.int32)


def _image(config: Config) -> Any:
    size = families.image_size(config)
    return jnp.zeros((1, size, size, config.count("num_channels", 3)))


def _any_image(config: Config) -> Any:
    return jnp.zeros((1, 64, 64, config.count("num_channels", 3)))


FAMILIES = {
    "gpt2": Family(families.gpt2, families.gpt2_rules, _tokens, ("GPT2LMHeadModel", "GPT2Model")),
    "llama": Family(families.llama, families.llama_rules, _tokens, ("LlamaForCausalLM",)),
    "bert": Family(
        families.bert,
        families.bert_rules,
        _tokens,
        ("BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"),
    ),
    "vit": Family(families.vit, families.vit_rules, _image, ("ViTForImageClassification",)),
    "resnet": Family(
        families.resnet, families.resnet_rules, _any_image, ("ResNetForImageClassification",)
    ),
}


def built(folder: str | os.PathLike[str], dtype: Any) -> Block:
    """The net of a folder with its weights, as `from_pretrained` documents."""
    path = Path(folder)
    if not path.is_dir():
        raise MissingFileError(
            f"from_pretrained: {path}: no such folder; give one with {CONFIG} in it"
        )
    values = _object(path / CONFIG)
    family, config = _family(path, values), Config(values)
    families.check_head(config, family.architectures)
    net = family.build(config)
    if dtype is not None:
        net.astype(dtype)
    dry_run(net, (family.sample(config),), {})
    told = {"source": str(path), "remedy": _REMEDY}
    arrays = translated(_arrays(path), family.rules(config), net=type(net).__name__, **told)
    assign(net, arrays, {}, strict=True, **told)
    return net


def _family(path: Path, config: dict[str, Any]) -> Family:
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ArgumentError(
            f"from_pretrained: {path}: expected a model of a known family ({', '.join(FAMILIES)}), "
            f"got model_type {kind!r}; build the net with kuai.nn and load its arrays by path"
        )
    return FAMILIES[str(kind)]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of all weight files by name."""
    if (path / WEIGHTS).is_file():
        return files.read_arrays(path / WEIGHTS)[0]
    if not (path / INDEX).is_file():
        raise MissingFileError(
            f"from_pretrained: {path}: expected {WEIGHTS} or {INDEX}, got neither{_hint(path)}"
        )
    places = _object(path / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(n, str) for n in places.values()):
        raise FileFormatError(
            f"{path / INDEX}: expected a weight_map from names to files; download it again"
        )
    shards = sorted(set(places.values()))
    _check_there(path, shards)
    arrays: dict[str, np.ndarray] = {}
    for shard in shards:
        arrays |= files.read_arrays(path / shard)[0]
    return arrays


def _check_there(path: Path, shards: list[str]) -> None:
    outside = [name for name in shards if Path(name).name != name or name in ("", ".", "..")]
    if outside:
        raise FileFormatError(
            f"{path / INDEX}: expected names of files in this folder, got {outside[0]!r}; the file "
            "is damaged or hostile"
        )
    missing = [name for name in shards if not (path / name).is_file()]
    if missing:
        raise MissingFileError(
            f"from_pretrained: {path}: {len(missing)} of {len(shards)} shards are missing: "
            f"{', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}; download them too"
        )


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingFileError(
            f"from_pretrained: {path}: no such file; a model's folder has {CONFIG} beside its "
            "weights"
        )
    if path.stat().st_size > _LARGEST_JSON:
        raise FileFormatError(f"{path}: too large for what it should describe")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: expected JSON, but {error}; download it again") from None
    if not isinstance(found, dict):
        raise FileFormatError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def _hint(path: Path) -> str:
    if any(path.glob("pytorch_model*.bin")):
        return (
            "; there is a pytorch_model.bin: load it with transformers and write the folder anew "
            "with save_pretrained"
        )
    return "; download the weights too"
