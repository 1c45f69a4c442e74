"""Convolutions on a CPU: each form, the choice among them, and the primitives that stand before."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from kuai.nn.ops import conv_choice, conv_primitives
from kuai.nn.ops.conv_choice import CPU, Work, chosen
from kuai.nn.ops.conv_direct import DIRECT
from kuai.nn.ops.conv_forms import convolve, convolve_back
from kuai.nn.ops.conv_geometry import JAX, Form, Geometry
from kuai.nn.ops.conv_grouped import in_blocks
from kuai.nn.ops.conv_taps import COLUMNS, DEPTHWISE, POINTWISE
from kuai.nn.ops.winograd import WINOGRAD

GROUPED = in_blocks(DIRECT)
# Batch, inputs, outputs; sizes, kernel, strides, padding and dilation by axis; groups.
PLAIN = [
    (2, 3, 4, (6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (2, 3, 4, (7, 8), (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1), 1),
    (1, 3, 5, (9, 6), (2, 3), (3, 1), ((4, 0), (-1, 2)), (2, 1), 1),
    (2, 4, 3, (2, 2), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (3, 2, 3, (11,), (4,), (3,), ((2, 1),), (2,), 1),
    (2, 2, 3, (4, 1, 5), (2, 1, 3), (1, 2, 1), ((1, 0), (0, 0), (1, 1)), (1, 1, 2), 1),
]
SPLIT = [
    (2, 6, 4, (6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    (2, 36, 54, (5, 5), (3, 2), (2, 1), ((1, 1), (0, 0)), (1, 1), 18),
    (2, 80, 40, (4, 3), (1, 2), (1, 1), ((0, 0), (0, 0)), (1, 2), 20),
    (2, 6, 12, (7,), (3,), (2,), ((1, 1),), (1,), 6),
]
DEEP = [
    (2, 5, 5, (6, 7), (3, 3), (1, 1), ((1, 1), (0, 2)), (1, 2), 5),
    (2, 5, 10, (6, 7), (3, 2), (2, 1), ((1, 1), (1, 0)), (1, 1), 5),
    (3, 4, 4, (9,), (3,), (1,), ((2, 0),), (1,), 4),
    (2, 1, 6, (6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
]
SINGLE = [
    (2, 3, 4, (6, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (2, 3, 4, (6, 5), (1, 1), (2, 3), ((1, 0), (-1, 1)), (1, 1), 1),
    (3, 2, 5, (4,), (1,), (2,), ((0, 0),), (1,), 1),
]
TILED = [
    (2, 3, 4, (6, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (2, 3, 4, (7, 5), (3, 3), (1, 1), ((0, 2), (1, 0)), (1, 1), 1),
    (1, 2, 3, (6, 9), (3, 3), (1, 1), ((-1, 3), (2, -2)), (1, 1), 1),
    (2, 2, 2, (1, 1), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
]
# Where the low padding of a product is negative and the high one is not: openxla/xla#48713.
LEADING = [
    (2, 4, 4, (2,), (2,), (1,), ((2, 0),), (1,), 1),
    (2, 4, 4, (2, 3), (2, 1), (1, 1), ((3, 0), (2, 1)), (1, 1), 1),
    (2, 4, 4, (5, 4), (2, 2), (1, 1), ((-2, 1), (-1, 2)), (1, 1), 1),
]
EMPTY = [
    (0, 3, 4, (6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (0, 4, 4, (5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    (0, 128, 128, (5, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (2, 3, 4, (2, 5), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
]
FORMS: dict[str, tuple[Form, list]] = {
    "jax": (JAX, PLAIN + SPLIT + DEEP + SINGLE + EMPTY),
    "direct": (DIRECT, PLAIN + SINGLE + LEADING),
    "columns": (COLUMNS, PLAIN + SINGLE + LEADING),
    "pointwise": (POINTWISE, SINGLE),
    "depthwise": (DEPTHWISE, DEEP),
    "grouped": (GROUPED, SPLIT + DEEP),
    "winograd": (WINOGRAD, TILED),
    "chosen": (CPU, PLAIN + SPLIT + DEEP + SINGLE + LEADING + EMPTY),
}
EVERY = [
    pytest.param(form, case, id=f"{name}-{number}")
    for name, (form, cases) in FORMS.items()
    for number, case in enumerate(cases)
]


def geometry_of(case) -> Geometry:
    return Geometry(*case[3:])


def arrays(case, seed=0):
    """x, weight and a gradient of the output, in float64."""
    batch, inputs, outputs, *_ = case
    geometry = geometry_of(case)
    normal = np.random.default_rng(seed).standard_normal
    return (
        normal((batch, *geometry.sizes, inputs)),
        normal((*geometry.kernel, inputs // geometry.groups, outputs)),
        normal((batch, *geometry.outputs, outputs)),
    )


def places(geometry: Geometry):
    """(place of the output, tap, place of the input) of every product, within the input."""
    for o in itertools.product(*map(range, geometry.outputs)):
        for k in itertools.product(*map(range, geometry.kernel)):
            steps = zip(o, geometry.strides, k, geometry.dilation, geometry.padding, strict=True)
            i = tuple(a * s + b * d - low for a, s, b, d, (low, _) in steps)
            if all(0 <= a < n for a, n in zip(i, geometry.sizes, strict=True)):
                yield o, k, i


def oracle(x, weight, g, geometry):
    """The three products, one element of kernel and output at a time, in float64."""
    y, dx, dw = np.zeros(g.shape), np.zeros(x.shape), np.zeros(weight.shape)
    groups, per = geometry.groups, weight.shape[-2]
    each = weight.shape[-1] // groups
    for (o, k, i), group in itertools.product(places(geometry), range(groups)):
        ins, outs = slice(group * per, group * per + per), slice(group * each, group * each + each)
        y[:, *o, outs] += x[:, *i, ins] @ weight[*k, :, outs]
        dx[:, *i, ins] += g[:, *o, outs] @ weight[*k, :, outs].T
        dw[*k, :, outs] += x[:, *i, ins].T @ g[:, *o, outs]
    return y, dx, dw


def products(form: Form, x, weight, g, geometry):
    return (
        form.forward(x, weight, geometry),
        form.input_gradient(g, weight, geometry),
        form.weight_gradient(x, g, geometry),
    )


def close(found, expected, rounding=2e-6):
    """Within some roundings of the largest sum."""
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        scale = np.abs(other).max(initial=1.0)
        np.testing.assert_allclose(np.asarray(one, np.float64), other, atol=rounding * scale)


@pytest.mark.parametrize(("form", "case"), EVERY)
def test_a_form_gives_the_sums(form, case):
    geometry = geometry_of(case)
    narrow = [jnp.asarray(a, jnp.float32) for a in arrays(case)]
    found = jax.jit(partial(products, form, geometry=geometry))(*narrow)
    close(found, oracle(*(np.asarray(a, np.float64) for a in narrow), geometry))


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_exact_in_float64(name):
    form, (case, *_) = FORMS[name]
    geometry = geometry_of(case)
    with jax.enable_x64(True):
        found = jax.jit(partial(products, form, geometry=geometry))(*arrays(case))
        assert {a.dtype for a in found} == {jnp.dtype("float64")}
    close(found, oracle(*arrays(case), geometry), rounding=1e-14)


@st.composite
def cases(draw):
    axes = draw(st.integers(1, 3))

    def per_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    groups = draw(st.integers(1, 3))
    inputs, outputs = (groups * draw(st.integers(1, 3)) for _ in range(2))
    kernel, strides, dilation = per_axis(1, 3), per_axis(1, 3), per_axis(1, 2)
    padding = tuple(zip(per_axis(0, 3), per_axis(0, 3), strict=True))
    reach = zip(kernel, dilation, padding, strict=True)
    least = [max(1, (k - 1) * d + 1 - sum(pair)) for k, d, pair in reach]
    sizes = tuple(n + draw(st.integers(0, 3)) for n in least)
    batch = draw(st.integers(0, 2))
    return batch, inputs, outputs, sizes, kernel, strides, padding, dilation, groups


def check_any(case):
    geometry = geometry_of(case)
    narrow = [jnp.asarray(a, jnp.float32) for a in arrays(case)]
    found = jax.jit(partial(products, CPU, geometry=geometry))(*narrow)
    close(found, oracle(*(np.asarray(a, np.float64) for a in narrow), geometry))


@given(cases())
@settings(max_examples=5, deadline=None)
def test_any_geometry(case):
    check_any(case)


@pytest.mark.slow
@given(cases())
@settings(max_examples=200, deadline=None)
def test_many_geometries(case):
    check_any(case)


def convolution(case):
    *_, strides, padding, dilation, groups = case
    return lambda x, weight: convolve(x, weight, strides, padding, dilation, groups)


def by_lax(case):
    return lambda x, weight: JAX.forward(x, weight, geometry_of(case))


@pytest.mark.parametrize("case", [PLAIN[0], PLAIN[1], SPLIT[0], DEEP[1], SINGLE[1]])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_halves_are_summed_in_float32(case, dtype):
    x, weight, g = (jnp.asarray(a, dtype) for a in arrays(case))
    y, pull = jax.vjp(jax.jit(convolution(case)), x, weight)
    found = y, *pull(g)
    assert {a.dtype for a in found} == {jnp.dtype(dtype)}
    wide = oracle(*(np.asarray(a, np.float64) for a in (x, weight, g)), geometry_of(case))
    for one, exact in zip(found, wide, strict=True):
        step = float(jnp.finfo(dtype).eps)  # one rounding of a sum that is right
        np.testing.assert_allclose(np.asarray(one, np.float64), exact, rtol=step, atol=2e-5)


@pytest.mark.parametrize("case", [PLAIN[1], SPLIT[0], DEEP[0], SINGLE[1], PLAIN[4]])
def test_derivatives_forwards_and_backwards_of_two_orders(case):
    with jax.enable_x64(True):
        x, weight, _ = (jnp.asarray(a) for a in arrays(case))
        check_grads(convolution(case), (x, weight), order=2, modes=["fwd", "rev"])


def test_a_hessian_is_that_of_jax():
    case = (1, 2, 1, (4,), (3,), (1,), ((1, 0),), (1,), 1)
    x, weight, _ = (jnp.asarray(a, jnp.float32) for a in arrays(case))
    found, expected = (
        jax.jit(jax.hessian(lambda w, conv=conv: (jnp.tanh(conv(x, w)) ** 2).sum()))(weight)
        for conv in (convolution(case), by_lax(case))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", [PLAIN[1], SPLIT[3], DEEP[1]])
@pytest.mark.parametrize("axes", [(1, None), (None, 2), (0, 3), (2, 0)])
def test_vmap_is_a_loop(case, axes):
    x, weight, g = (
        jnp.stack([jnp.asarray(arrays(case, seed)[at], jnp.float32) for seed in range(3)])
        for at in range(3)
    )
    given = [
        a[0] if axis is None else jnp.moveaxis(a, 0, axis)
        for a, axis in zip((x, weight), axes, strict=True)
    ]

    @jax.jit
    def all_three(x, weight, g):
        y, pull = jax.vjp(convolution(case), x, weight)
        return y, *pull(g)

    found = jax.jit(jax.vmap(all_three, (*axes, 0)))(*given, g)
    first, second = (
        [a[0] if axis is None else a[i] for i in range(3)]
        for a, axis in zip((x, weight), axes, strict=True)
    )
    rows = [all_three(*each) for each in zip(first, second, g, strict=True)]
    close(found, [np.stack(row) for row in zip(*rows, strict=True)])


def test_jacobians_batch_the_gradients():
    case = PLAIN[4]
    x, weight, _ = (jnp.asarray(a, jnp.float32) for a in arrays(case))
    for derivative in (jax.jacrev, jax.jacfwd):
        found, expected = (
            jax.jit(derivative(conv, (0, 1)))(x, weight)
            for conv in (convolution(case), by_lax(case))
        )
        close(found, [np.asarray(a) for a in expected])


def test_a_loop_gives_what_repetition_gives():
    case = (2, 4, 4, (6, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    x, weight, _ = (jnp.asarray(a, jnp.float32) for a in arrays(case))

    def loss(weight, loop):
        def step(x, _):
            return jnp.tanh(convolution(case)(x, weight)), None

        y = jax.lax.scan(step, x, length=3)[0] if loop else step(step(step(x, 0)[0], 0)[0], 0)[0]
        return (y**2).sum()

    found, expected = (jax.jit(jax.grad(loss), static_argnums=1)(weight, n) for n in (True, False))
    close([found], [np.asarray(expected)])


@pytest.mark.parametrize("case", [PLAIN[0], PLAIN[1], PLAIN[2], PLAIN[5]])
def test_in_a_loop_every_convolution_has_the_quick_order_of_axes(case):
    """Orders that XLA would have to change there, and does not, cost a factor of 50."""
    x, weight, g = (jnp.asarray(a, jnp.float32) for a in arrays(case))

    def body(_, carry):
        x, weight, g = carry
        y, dx, dw = products(DIRECT, *carry, geometry_of(case))
        return x + dx, weight + dw, g + y

    compiled = jax.jit(lambda c: jax.lax.fori_loop(0, 3, body, c)).lower((x, weight, g)).compile()
    lines = [line for line in compiled.as_text().splitlines() if " convolution(" in line]
    space = "012"[: len(geometry_of(case).sizes)]
    assert len(lines) == 3
    assert all(f"dim_labels=b{space}f_{space}io->b{space}f" in line for line in lines), lines
    assert not any("rhs_reversal" in line for line in lines), lines


def test_convolve_back_is_the_transpose():
    case = PLAIN[2]
    *_, sizes, _, strides, padding, dilation, groups = case
    x, weight, g = (jnp.asarray(a, jnp.float32) for a in arrays(case))
    y, back = convolution(case)(x, weight), partial(convolve_back, g, weight, sizes)
    found = back(strides, padding, dilation, groups)
    assert found.shape == x.shape
    np.testing.assert_allclose((y * g).sum(), (x * found).sum(), rtol=1e-4)


def test_convolve_back_says_which_sizes_do_not_fit():
    y, weight = jnp.ones((1, 4, 1)), jnp.ones((2, 1, 1))
    message = (
        r"convolve_back: expected y of shape \(1, 2, 1\) for sizes \(3,\), got \(1, 4, 1\); choose "
        "sizes that the convolution takes to y's"
    )
    with pytest.raises(TypeError, match=message):
        convolve_back(y, weight, (3,), (1,), ((0, 0),), (1,), 1)


def test_what_jax_refuses_is_refused():
    with pytest.raises(ValueError, match="feature"):
        convolve(jnp.ones((1, 4, 3)), jnp.ones((2, 2, 1)), (1,), ((0, 0),), (1,), 1)
    weight = jnp.ones((2, 3, 1), jnp.bfloat16)
    with pytest.raises(TypeError, match="dtype"):
        convolve(jnp.ones((1, 4, 3)), weight, (1,), ((0, 0),), (1,), 1)


FAR = ((1, 1), (1, 1))
CHOICES = [
    ("forward", 8, 128, 128, (16, 16), (3, 3), (1, 1), 1, WINOGRAD),
    ("forward", 8, 64, 64, (32, 32), (3, 3), (1, 1), 1, DIRECT),
    ("weight_gradient", 8, 64, 64, (32, 32), (3, 3), (1, 1), 1, WINOGRAD),
    ("weight_gradient", 8, 64, 64, (16, 16), (3, 3), (1, 1), 1, DIRECT),
    ("forward", 8, 512, 512, (4, 4), (3, 3), (1, 1), 1, DIRECT),
    ("input_gradient", 8, 512, 512, (4, 4), (3, 3), (1, 1), 1, COLUMNS),
    ("weight_gradient", 8, 512, 512, (4, 4), (3, 3), (1, 1), 1, COLUMNS),
    ("input_gradient", 8, 32, 32, (4, 4), (3, 3), (1, 1), 1, DIRECT),
    ("forward", 8, 512, 512, (2, 2), (3, 3), (1, 1), 1, COLUMNS),
    ("input_gradient", 8, 256, 512, (4, 4), (3, 3), (2, 2), 1, COLUMNS),
    ("input_gradient", 8, 128, 128, (16, 16), (3, 3), (2, 2), 1, DIRECT),
    ("forward", 8, 64, 128, (16, 16), (1, 1), (2, 2), 1, POINTWISE),
    ("forward", 8, 96, 96, (16, 16), (3, 3), (2, 2), 96, DEPTHWISE),
    ("forward", 8, 1, 6, (28, 28), (3, 3), (1, 1), 1, DEPTHWISE),
    ("weight_gradient", 8, 1, 6, (28, 28), (3, 3), (1, 1), 1, DIRECT),
    ("forward", 8, 96, 96, (16, 16), (3, 3), (1, 1), 4, conv_choice._BLOCKS),
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice[:-1])))
def test_the_choice_goes_by_shape(choice):
    step, batch, inputs, outputs, sizes, kernel, strides, groups, form = choice
    geometry = Geometry(sizes, kernel, strides, FAR, (1, 1), groups)
    work = Work(step, batch, inputs, outputs, jnp.dtype("float32"), geometry)
    assert chosen(work) is form


def test_other_dtypes_than_float32_are_not_put_in_tiles():
    geometry = Geometry((16, 16), (3, 3), (1, 1), FAR, (1, 1), 1)
    assert chosen(Work("forward", 8, 128, 128, jnp.dtype("float64"), geometry)) is DIRECT


@pytest.mark.parametrize(("platform", "expected"), [("cpu", 0), ("cuda", 1), ("tpu", 1)])
def test_the_form_is_chosen_for_the_platform_of_the_program(platform, expected):
    """On a CPU this one is a matmul; elsewhere JAX's convolution, though the CPU lowers it here."""
    conv = jax.jit(convolution(SINGLE[0]))
    x, weight, _ = (jnp.asarray(a, jnp.float32) for a in arrays(SINGLE[0]))
    text = conv.trace(x, weight).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == expected


def test_gradients_outside_a_cpu_are_those_of_jax():
    x, weight, g = (jnp.asarray(a, jnp.float32) for a in arrays(PLAIN[1]))

    def pulled(conv, x, weight, g):
        return jax.vjp(conv, x, weight)[1](g)

    texts = [
        jax.jit(partial(pulled, conv)).trace(x, weight, g).lower(lowering_platforms=("cuda",))
        for conv in (convolution(PLAIN[1]), by_lax(PLAIN[1]))
    ]
    found, expected = (
        sorted(line.partition("dim_numbers")[2] for line in text.as_text().splitlines())
        for text in texts
    )
    assert found == expected


def test_infinite_values_stay_in_their_tile():
    x = jnp.zeros((1, 8, 8, 1)).at[0, 0, 0, 0].set(jnp.inf)
    geometry = Geometry((8, 8), (3, 3), (1, 1), FAR, (1, 1), 1)
    convolved = jax.jit(WINOGRAD.forward, static_argnums=2)(x, jnp.ones((3, 3, 1, 1)), geometry)
    found = convolved[0, :, :, 0]
    assert not np.isfinite(found[:2, :2]).any()
    assert np.isfinite(found[2:]).all()
    assert np.isfinite(found[:, 2:]).all()


def test_the_primitives_have_names_of_their_own():
    """By its name the trainer knows JAX's own convolution, which is slow in a loop."""
    x, weight, _ = (jnp.asarray(a, jnp.float32) for a in arrays(PLAIN[0]))
    jaxpr = jax.make_jaxpr(jax.grad(lambda w: convolution(PLAIN[0])(x, w).sum()))(weight)
    names = [str(equation.primitive) for equation in jaxpr.eqns]
    assert names.count("convolve_weight_gradient") == 1
    assert not any("conv_general_dilated" in name for name in names)


def test_products_of_the_primitives_are_eager_too():
    geometry = geometry_of(PLAIN[0])
    narrow = [jnp.asarray(a, jnp.float32) for a in arrays(PLAIN[0])]
    eager = Form(
        conv_primitives.forward, conv_primitives.input_gradient, conv_primitives.weight_gradient
    )
    close(products(eager, *narrow, geometry), oracle(*map(np.asarray, narrow), geometry))
