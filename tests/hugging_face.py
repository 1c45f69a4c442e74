"""Small models with random weights, made by the library transformers, with what they compute.

    python -m tests.hugging_face

writes tests/goldens/hugging_face/ anew. tests/test_pretrained.py reads those, and makes others
where transformers is installed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from safetensors.numpy import load_file, save_file

GOLDENS = Path(__file__).parent / "goldens" / "hugging_face"
RESULTS = "results.safetensors"
NEW_TOKENS = 8


def _text(width: int, **more: Any) -> dict[str, Any]:
    return {"hidden_size": width, "intermediate_size": 2 * width + 2, "num_hidden_layers": 3,
            "num_attention_heads": 4, "vocab_size": 50, **more}  # fmt: skip


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": (
        "GPT2LMHeadModel",
        {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 24, "vocab_size": 50,
         "bos_token_id": 0, "eos_token_id": 49},
    ),
    "llama": (
        "LlamaForCausalLM",
        _text(16, num_key_value_heads=2, bos_token_id=0, eos_token_id=49, attention_bias=True),
    ),
    "llama3": (
        "LlamaForCausalLM",
        _text(16, num_key_value_heads=1, head_dim=6, tie_word_embeddings=True,
              bos_token_id=0, eos_token_id=49, max_position_embeddings=64,
              rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0,
                            "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                            "original_max_position_embeddings": 16}),
    ),
    "bert": ("BertForMaskedLM", _text(16, max_position_embeddings=24)),
    "bert_classes": (
        "BertForSequenceClassification",
        _text(12, max_position_embeddings=24, num_labels=3, hidden_act="relu"),
    ),
    "vit": (
        "ViTForImageClassification",
        {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
         "num_attention_heads": 2, "image_size": 12, "patch_size": 4, "num_labels": 5},
    ),
    "resnet": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 16, 24], "depths": [3, 2, 1], "num_labels": 5,
         "num_channels": 3},
    ),
    "resnet_basic": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [2, 3], "num_labels": 4,
         "layer_type": "basic", "num_channels": 1},
    ),
}  # fmt: skip


def make(name: str, folder: Path, seed: int = 0, **options: Any) -> None:
    """Write a model's folder, and in it what the model computes of some inputs.

    Args:
        name: of the case.
        folder: to write to.
        seed: of weights and inputs.
        options: of `save_pretrained`.
    """
    import torch
    import transformers

    kind, settings = CASES[name]
    torch.manual_seed(seed)
    model_class = getattr(transformers, kind)
    model = model_class(model_class.config_class(**settings)).eval()
    _scatter(model, torch)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, **options)
    results = _results(model, torch, seed)
    save_file({**results, **_gradients(model, torch)}, folder / RESULTS)


def _scatter(model: Any, torch: Any) -> None:
    """Values that tell parameters apart: a fresh model has zeros and ones in biases and norms."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for buffer_name, buffer in model.named_buffers():
            if "running_mean" in buffer_name:
                buffer.normal_(0, 0.1)
            if "running_var" in buffer_name:
                buffer.uniform_(0.5, 1.5)


def _results(model: Any, torch: Any, seed: int) -> dict[str, np.ndarray]:
    """The inputs, the logits, the gradients of a loss by name, and tokens generated greedily."""
    config, numbers = model.config, np.random.default_rng(seed)
    images = hasattr(config, "num_channels")
    if images:
        size = getattr(config, "image_size", 32)
        x = torch.tensor(
            numbers.normal(size=(2, config.num_channels, size, size)), dtype=torch.float32
        )
        logits = model(pixel_values=x).logits
    else:
        x = torch.tensor(numbers.integers(0, 49, size=(2, 7)))
        logits = model(input_ids=x).logits
    labels = torch.tensor(numbers.integers(0, logits.shape[-1], size=logits.shape[:-1]))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
    loss.backward()
    found = {
        "inputs": x.permute(0, 2, 3, 1) if images else x,
        "labels": labels,
        "logits": logits.detach(),
        "loss": loss.detach(),
    }
    if hasattr(model, "lm_head"):
        found["generated"] = model.generate(
            input_ids=x, attention_mask=torch.ones_like(x), max_new_tokens=NEW_TOKENS,
            do_sample=False, eos_token_id=49, pad_token_id=49,
        )  # fmt: skip
    return {name: np.ascontiguousarray(value.numpy()) for name, value in found.items()}


def _gradients(model: Any, torch: Any) -> dict[str, np.ndarray]:
    """By the names in the file, which the modules' own differ from: written as weights."""
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        for parameter in model.parameters():
            parameter.copy_(0 if parameter.grad is None else parameter.grad)
        model.save_pretrained(folder)
        saved = load_file(Path(folder) / "model.safetensors")
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return {f"gradient/{n}": array for n, array in saved.items() if not n.endswith(buffers)}


def main() -> None:
    for name in CASES:
        make(name, GOLDENS / name)


if __name__ == "__main__":
    main()
