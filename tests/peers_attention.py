"""Torch's attention and transformer modules under kuai's names.

Torch keeps query, key and value as one matrix, so a gradient of it is no gradient of ours by name:
the adapter has parameters of kuai's names and shapes, and packs them before each call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ATTENTION = [f"{n}.{p}" for n in ("query", "key", "value", "output") for p in ("weight", "bias")]
FEED_FORWARD = [f"{n}.{p}" for n in ("up", "down") for p in ("weight", "bias")]
ENCODER_LAYER = [
    *(f"attention.{path}" for path in ATTENTION),
    *(f"feed_forward.{path}" for path in FEED_FORWARD),
    *(f"{n}_norm.{p}" for n in ("attention", "feed_forward") for p in ("weight", "bias")),
]
DECODER_LAYER = [
    *ENCODER_LAYER,
    *(f"cross_attention.{path}" for path in ATTENTION),
    *(f"cross_attention_norm.{p}" for p in ("weight", "bias")),
]


def renamed(paths: list[str]) -> dict[str, str]:
    """path → the adapter's name for it: torch's names have no dots."""
    return {path: path.replace(".", "__") for path in paths}


def adapter(
    t: Any, module: Any, shapes: dict[str, tuple[int, ...]], packed: Callable[..., Any], call: Any
) -> Any:
    """A torch module with parameters of these paths, which computes what `module` does with them.

    Args:
        t: torch.
        module: whose own parameters are not used.
        shapes: path → shape, as kuai has them.
        packed: path → tensor to the module's name → tensor.
        call: (inputs) → (arguments, keywords) of the module's.
    """

    class Adapter(t.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for path, name in renamed(list(shapes)).items():
                self.register_parameter(name, t.nn.Parameter(t.zeros(shapes[path])))

        def forward(self, *inputs: Any) -> Any:
            own = {path: getattr(self, name) for path, name in renamed(list(shapes)).items()}
            arguments, keywords = call(*inputs)
            found = t.func.functional_call(module, packed(t, own), arguments, keywords)
            return found[0] if isinstance(found, tuple) else found

    return Adapter()


def packed_attention(t: Any, own: dict[str, Any], at: str = "", to: str = "") -> dict[str, Any]:
    parts = [own[f"{at}{name}.weight"].T for name in ("query", "key", "value")]
    found = {f"{to}out_proj.weight": own[f"{at}output.weight"].T}
    if f"{at}output.bias" in own:
        biases = [own[f"{at}{name}.bias"] for name in ("query", "key", "value")]
        found[f"{to}in_proj_bias"] = t.cat(biases)
        found[f"{to}out_proj.bias"] = own[f"{at}output.bias"]
    if parts[0].shape == parts[1].shape:
        return {**found, f"{to}in_proj_weight": t.cat(parts)}
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    return {**found, **{f"{to}{name}": part for name, part in zip(names, parts, strict=True)}}


def packed_layer(
    t: Any, own: dict[str, Any], at: str = "", to: str = "", *, cross: bool = False
) -> dict[str, Any]:
    norms = ["attention_norm", *(["cross_attention_norm"] if cross else []), "feed_forward_norm"]
    found = packed_attention(t, own, f"{at}attention.", f"{to}self_attn.")
    if cross:
        found |= packed_attention(t, own, f"{at}cross_attention.", f"{to}multihead_attn.")
    names = {"feed_forward.up": "linear1", "feed_forward.down": "linear2"}
    names |= {name: f"norm{number}" for number, name in enumerate(norms, 1)}
    for ours, theirs in names.items():
        for part in ("weight", "bias"):
            tensor = own.get(f"{at}{ours}.{part}")
            if tensor is not None:
                found[f"{to}{theirs}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
    return found
