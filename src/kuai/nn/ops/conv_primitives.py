"""A convolution and its two gradients as primitives of JAX, computed by the form that suits.

The three are bilinear, and the transpose of each is another of them, so that they are closed under
differentiation of any order, forwards and backwards. Batched, they are themselves, with a larger
batch or more groups. The form is chosen when a program is lowered, for the platform that it is
lowered for: on a CPU by `conv_choice`, elsewhere JAX's own. A `custom_vjp` would give up forward
mode, and would choose the form before the platform is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from kuai.nn.ops.conv_choice import CPU
from kuai.nn.ops.conv_geometry import JAX, Geometry, Product

Dims = tuple[int | None, int | None]

_forward_p = Primitive("convolve")
_input_gradient_p = Primitive("convolve_input_gradient")
_weight_gradient_p = Primitive("convolve_weight_gradient")


def forward(x: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """The convolution of x by the kernel."""
    return _forward_p.bind(x, weight, geometry=geometry)


def input_gradient(g: jax.Array, weight: jax.Array, geometry: Geometry) -> jax.Array:
    """The gradient of x, given that of the convolution."""
    return _input_gradient_p.bind(g, weight, geometry=geometry)


def weight_gradient(x: jax.Array, g: jax.Array, geometry: Geometry) -> jax.Array:
    """The gradient of the kernel, given that of the convolution."""
    return _weight_gradient_p.bind(x, g, geometry=geometry)


def _forward_shape(x: Any, weight: Any, geometry: Geometry) -> tuple[int, ...]:
    return x.shape[0], *geometry.outputs, weight.shape[-1]


def _input_gradient_shape(g: Any, weight: Any, geometry: Geometry) -> tuple[int, ...]:
    return g.shape[0], *geometry.sizes, weight.shape[-2] * geometry.groups


def _weight_gradient_shape(x: Any, g: Any, geometry: Geometry) -> tuple[int, ...]:
    return *geometry.kernel, x.shape[-1] // geometry.groups, g.shape[-1]


def _define(
    primitive: Primitive,
    shape: Callable[[Any, Any, Geometry], tuple[int, ...]],
    by_jax: Product,
    on_cpu: Product,
) -> None:
    """Everything that JAX asks of a primitive but how it is transposed and batched."""

    @partial(jax.jit, static_argnums=2)
    def compiled(a: jax.Array, b: jax.Array, geometry: Geometry) -> jax.Array:
        return primitive.bind(a, b, geometry=geometry)

    def eager(a: jax.Array, b: jax.Array, *, geometry: Geometry) -> jax.Array:
        return compiled(a, b, geometry)

    def abstract(a: Any, b: Any, *, geometry: Geometry) -> jax.core.ShapedArray:
        return jax.core.ShapedArray(shape(a, b, geometry), a.dtype)

    primitive.def_impl(eager)
    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, _lowering(by_jax))
    mlir.register_lowering(primitive, _lowering(_in_single_precision(on_cpu)), platform="cpu")


def _lowering(product: Product) -> Any:
    return mlir.lower_fun(lambda a, b, *, geometry: product(a, b, geometry), multiple_results=False)


def _in_single_precision(product: Product) -> Product:
    """With halves computed as float32: on a CPU, XLA sums them as halves."""

    def widened(a: jax.Array, b: jax.Array, geometry: Geometry) -> jax.Array:
        if a.dtype.itemsize >= jnp.dtype(jnp.float32).itemsize:
            return product(a, b, geometry)
        found = product(a.astype(jnp.float32), b.astype(jnp.float32), geometry)
        return found.astype(a.dtype)

    return widened


def _batched_by_example(
    primitive: Primitive, args: tuple[jax.Array, jax.Array], dims: Dims, *, geometry: Geometry
) -> tuple[jax.Array, int]:
    """Where only the first is batched, its batch joins that of the examples."""
    if dims[0] is None or dims[1] is not None:
        return _batched_by_group(primitive, args, dims, geometry=geometry)
    first = jnp.moveaxis(args[0], dims[0], 0)
    outer, inner, *rest = first.shape
    found = primitive.bind(first.reshape(outer * inner, *rest), args[1], geometry=geometry)
    return found.reshape(outer, inner, *found.shape[1:]), 0


def _batched_by_group(
    primitive: Primitive, args: tuple[jax.Array, jax.Array], dims: Dims, *, geometry: Geometry
) -> tuple[jax.Array, int]:
    """The batch joins the groups: it becomes the outer part of the channels, the last axis."""
    size = next(arg.shape[dim] for arg, dim in zip(args, dims, strict=True) if dim is not None)
    joined = [_with_outer_channels(arg, dim, size) for arg, dim in zip(args, dims, strict=True)]
    more = replace(geometry, groups=geometry.groups * size)
    found = primitive.bind(*joined, geometry=more)
    return found.reshape(*found.shape[:-1], size, found.shape[-1] // size), found.ndim - 1


def _with_outer_channels(arg: jax.Array, dim: int | None, size: int) -> jax.Array:
    if dim is None:
        whole = jnp.broadcast_to(arg[..., None, :], (*arg.shape[:-1], size, arg.shape[-1]))
    else:
        whole = jnp.moveaxis(arg, dim, -2)
    return whole.reshape(*whole.shape[:-2], size * whole.shape[-1])


_define(_forward_p, _forward_shape, JAX.forward, CPU.forward)
_define(_input_gradient_p, _input_gradient_shape, JAX.input_gradient, CPU.input_gradient)
_define(_weight_gradient_p, _weight_gradient_shape, JAX.weight_gradient, CPU.weight_gradient)

ad.defbilinear(
    _forward_p,
    lambda ct, _, weight, *, geometry: input_gradient(ct, weight, geometry),
    lambda ct, x, _, *, geometry: weight_gradient(x, ct, geometry),
)
ad.defbilinear(
    _input_gradient_p,
    lambda ct, _, weight, *, geometry: forward(ct, weight, geometry),
    lambda ct, g, _, *, geometry: weight_gradient(ct, g, geometry),
)
ad.defbilinear(
    _weight_gradient_p,
    lambda ct, _, g, *, geometry: input_gradient(g, ct, geometry),
    lambda ct, x, _, *, geometry: forward(x, ct, geometry),
)
batching.primitive_batchers[_forward_p] = partial(_batched_by_example, _forward_p)
batching.primitive_batchers[_input_gradient_p] = partial(_batched_by_example, _input_gradient_p)
batching.primitive_batchers[_weight_gradient_p] = partial(_batched_by_group, _weight_gradient_p)
