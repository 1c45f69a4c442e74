"""Convolutions on a CPU: single ones, a training step of ResNet-18's shape, and inside a loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax

from benchmarks.report import Comparison
from benchmarks.timing import Work, interleaved
from kuai.nn.ops.conv_forms import convolve

Conv = Callable[[jax.Array, jax.Array, int, int], jax.Array]  # x, weight, stride, padding
BATCH, STEPS = 8, 4
# title → size, inputs, outputs, kernel, stride, padding, groups
SHAPES = {
    "3x3, 64 channels, 32x32": (32, 64, 64, 3, 1, 1, 1),
    "3x3, 128 channels, 16x16": (16, 128, 128, 3, 1, 1, 1),
    "3x3, 256 channels, 8x8": (8, 256, 256, 3, 1, 1, 1),
    "3x3, 512 channels, 4x4": (4, 512, 512, 3, 1, 1, 1),
    "3x3, 512 channels, 2x2": (2, 512, 512, 3, 1, 1, 1),
    "3x3 by 2, 64 to 128 channels, 32x32": (32, 64, 128, 3, 2, 1, 1),
    "1x1 by 2, 64 to 128 channels, 32x32": (32, 64, 128, 1, 2, 0, 1),
    "7x7 by 2, 3 to 64 channels, 64x64": (64, 3, 64, 7, 2, 3, 1),
    "3x3 depthwise, 96 channels, 28x28": (28, 96, 96, 3, 1, 1, 96),
    "3x3 in 32 groups, 128 channels, 14x14": (14, 128, 128, 3, 1, 1, 32),
}
STAGES = (64, 128, 256, 512)


def run() -> list[Comparison]:
    single = [comparison for title in SHAPES for comparison in one(title)]
    return [*single, resnet(64, stem=7), resnet(32, stem=3), loop()]


def by_kuai(x: jax.Array, weight: jax.Array, stride: int, padding: int, groups: int = 1) -> Any:
    return convolve(x, weight, (stride,) * 2, ((padding,) * 2,) * 2, (1, 1), groups)


def by_lax(x: jax.Array, weight: jax.Array, stride: int, padding: int, groups: int = 1) -> Any:
    return lax.conv_general_dilated(
        x,
        weight,
        (stride,) * 2,
        ((padding,) * 2,) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def one(title: str) -> list[Comparison]:
    """The convolution, and both its gradients."""
    size, inputs, outputs, kernel, stride, padding, groups = SHAPES[title]
    x = _normal((BATCH, size, size, inputs))
    weight = _normal((kernel, kernel, inputs // groups, outputs))
    forward: dict[str, Work] = {}
    both: dict[str, Work] = {}
    for name, conv in {"kuai": by_kuai, "raw lax": by_lax}.items():
        function = partial(conv, stride=stride, padding=padding, groups=groups)
        g = _normal(function(x, weight).shape)
        forward[name] = _waited(jax.jit(function), x, weight)
        both[name] = _waited(jax.jit(partial(_gradients, function)), x, weight, g)
    for name, memory in _formats().items():
        a, b, c = _torch(x, memory), _torch(weight, memory, (3, 2, 0, 1)), _torch(g, memory)
        forward[name] = partial(torch.nn.functional.conv2d, a, b, None, stride, padding, 1, groups)
        both[name] = partial(
            torch.ops.aten.convolution_backward, c, a, b, None, [stride] * 2, [padding] * 2,
            [1, 1], False, [0, 0], groups, [True, True, False],
        )  # fmt: skip
    return [
        Comparison(f"{title}, forward", "us per call", interleaved(forward, 3.0), {}),
        Comparison(f"{title}, gradients", "us per call", interleaved(both, 3.0), {}),
    ]


def _gradients(conv: Any, x: jax.Array, weight: jax.Array, g: jax.Array) -> Any:
    return jax.vjp(conv, x, weight)[1](g)


def resnet(size: int, stem: int) -> Comparison:
    """An SGD step, batch 8, with the first convolution 7x7 by 2 and a pool, or 3x3."""
    x, labels = _normal((BATCH, size, size, 3)), jnp.arange(BATCH)
    works = {
        "kuai": _stepped(by_kuai, stem, x, labels),
        "raw lax": _stepped(by_lax, stem, x, labels),
        **{name: _torch_stepped(stem, memory, x, labels) for name, memory in _formats().items()},
    }
    title = f"ResNet-18 with a stem of {stem}x{stem}, {size}x{size}, batch {BATCH}, SGD step"
    return Comparison(title, "us per step", interleaved(works, 30.0), {"torch eager": 1 / 0.9})


def loop() -> Comparison:
    """The step of the small ResNet, once a call and in a loop of some steps a call."""
    x, labels = _normal((BATCH, 32, 32, 3)), jnp.arange(BATCH)
    works = {
        "kuai": _stepped(by_kuai, 3, x, labels, STEPS),
        "kuai, a step a call": _stepped(by_kuai, 3, x, labels),
    }
    values = interleaved(works, 30.0)
    values["kuai"] = round(values["kuai"] / STEPS, 2)
    title = f"ResNet-18, 32x32, batch {BATCH}, {STEPS} steps a call in a loop"
    return Comparison(title, "us per step", values, {"kuai, a step a call": 1.0})


def _stepped(conv: Conv, stem: int, x: jax.Array, labels: jax.Array, steps: int = 0) -> Work:
    """A step a call; with `steps`, so many in a loop of the program."""
    parameters = _parameters(stem)
    step = partial(_step, conv, x, labels)
    looped = partial(lax.fori_loop, 0, steps, lambda _, parameters: step(parameters))
    jitted = jax.jit(looped if steps else step, donate_argnums=0)

    def work() -> Any:
        nonlocal parameters
        parameters = jitted(parameters)
        return jax.block_until_ready(parameters)

    return work


def _step(conv: Conv, x: jax.Array, labels: jax.Array, parameters: Any) -> Any:
    gradients = jax.grad(_loss)(parameters, conv, x, labels)
    return jax.tree.map(lambda value, gradient: value - 1e-4 * gradient, parameters, gradients)


def _loss(parameters: Any, conv: Conv, x: jax.Array, labels: jax.Array) -> jax.Array:
    x = _unit(parameters["stem"], conv, x, 2 if len(parameters["stem"][0]) == 7 else 1)
    x = jax.nn.relu(x)
    if len(parameters["stem"][0]) == 7:
        window = (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
        x = lax.reduce_window(x, -jnp.inf, lax.max, *window)
    for number, block in enumerate(parameters["blocks"]):
        stride = 2 if number in (2, 4, 6) else 1
        y = jax.nn.relu(_unit(block[0], conv, x, stride))
        around = _unit(block[2], conv, x, stride) if len(block) > 2 else x
        x = jax.nn.relu(_unit(block[1], conv, y, 1) + around)
    logits = jax.nn.log_softmax(x.mean((1, 2)) @ parameters["head"])
    return -jnp.take_along_axis(logits, labels[:, None], 1).mean()


def _unit(unit: Any, conv: Conv, x: jax.Array, stride: int) -> jax.Array:
    """A convolution and the normalization over the batch."""
    weight, scale, shift = unit
    y = conv(x, weight, stride, len(weight) // 2)
    mean = y.mean((0, 1, 2))
    variance = jnp.square(y - mean).mean((0, 1, 2))
    return (y - mean) * (lax.rsqrt(variance + 1e-5) * scale) + shift


def _parameters(stem: int) -> Any:
    def unit(kernel: int, inputs: int, outputs: int) -> Any:
        weight = _normal((kernel, kernel, inputs, outputs)) * (kernel * kernel * inputs) ** -0.5
        return weight, jnp.ones(outputs), jnp.zeros(outputs)

    blocks = []
    for inputs, outputs in zip((64, *STAGES), STAGES, strict=False):
        around = [unit(1, inputs, outputs)] if inputs != outputs else []
        blocks.append([unit(3, inputs, outputs), unit(3, outputs, outputs), *around])
        blocks.append([unit(3, outputs, outputs), unit(3, outputs, outputs)])
    return {"stem": unit(stem, 3, 64), "blocks": blocks, "head": _normal((512, 10)) * 0.04}


class TorchBlock(torch.nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = (
            _torch_unit(inputs, outputs, 3, stride),
            _torch_unit(outputs, outputs, 3, 1),
        )
        same = inputs == outputs
        self.around = torch.nn.Identity() if same else _torch_unit(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.around(x))


def _torch_unit(inputs: int, outputs: int, kernel: int, stride: int) -> torch.nn.Module:
    conv = torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return torch.nn.Sequential(conv, torch.nn.BatchNorm2d(outputs))


def _torch_stepped(stem: int, memory: Any, x: jax.Array, labels: jax.Array) -> Work:
    layers = [_torch_unit(3, 64, stem, 2 if stem == 7 else 1), torch.nn.ReLU()]
    layers += [torch.nn.MaxPool2d(3, 2, 1)] if stem == 7 else []
    for inputs, outputs in zip((64, *STAGES), STAGES, strict=False):
        layers += [TorchBlock(inputs, outputs, 1 if inputs == outputs else 2)]
        layers += [TorchBlock(outputs, outputs, 1)]
    head = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(512, 10, bias=False)
    net: Any = torch.nn.Sequential(*layers, *head)  # its stub knows no memory format
    net.to(memory_format=memory)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    images, targets = _torch(x, memory), torch.from_numpy(np.array(labels)).long()

    def work() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), targets).backward()
        optimizer.step()

    return work


def _formats() -> dict[str, Any]:
    return {
        "torch eager": torch.contiguous_format,
        "torch eager, channels last": torch.channels_last,
    }


def _torch(x: jax.Array, memory: Any, order: tuple[int, ...] = (0, 3, 1, 2)) -> torch.Tensor:
    return torch.from_numpy(np.asarray(x).transpose(order).copy()).to(memory_format=memory)


def _normal(shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def _waited(function: Callable[..., Any], *given: Any) -> Work:
    return lambda: jax.block_until_ready(function(*given))
