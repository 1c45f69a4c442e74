"""What holds for every layer: each test runs over every entry of tests/catalogue.py."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.dtypes import TypePromotionError
from safetensors import safe_open

import kuai
from kuai import nn
from kuai.core.block import Block
from kuai.testing import check_gradient
from tests.catalogue import CATALOGUE
from tests.catalogue_attention import WRAPPERS
from tests.catalogue_containers import Heads, Stack, product, square
from tests.entry import Entry, drawn, filled, mode

FLOATS = ("float32", "bfloat16", "float16", "float64")
NAMES = {entry.name: entry for entry in CATALOGUE}
# What `eval` of a repr may use: the layers, the functions and initializers they were given.
NAMESPACE = {**vars(jnp), **vars(kuai.init), **vars(nn), "Heads": Heads, "Stack": Stack,
             "product": product, "square": square, **WRAPPERS}  # fmt: skip
ROUNDINGS = 8  # as many roundings of the largest value as a layer may be off


def parameter(entry: Entry) -> Any:
    return pytest.param(entry, id=entry.name, marks=[pytest.mark.slow] if entry.slow else [])


@pytest.fixture(params=[parameter(entry) for entry in CATALOGUE])
def entry(request) -> Entry:
    return request.param


def wide_if(dtype: Any) -> Any:
    return jax.enable_x64(jnp.dtype(dtype).itemsize == 8)


def run(entry: Entry, block: Block, inputs: list[Any]) -> Any:
    """A call that draws the same random numbers each time."""
    kuai.seed(3)
    with mode(entry):
        return block(*inputs)


def arrays_of(block: Block) -> dict[str, np.ndarray]:
    return {path: np.asarray(holder.array, np.float64) for path, holder in block.named_holders()}


def assert_near(found: Any, expected: Any, roundings: float = ROUNDINGS) -> None:
    found = jnp.asarray(found)
    expected = np.asarray(expected, np.float64)
    scale = max(float(np.abs(expected).max(initial=0)), 1.0)
    tolerance = roundings * float(jnp.finfo(found.dtype).eps) * scale
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=0, atol=tolerance)


def test_every_public_layer_has_an_entry():
    types = [value for value in vars(nn).values() if isinstance(value, type)]
    layers = {kind for kind in types if issubclass(kind, Block)}
    assert layers - {type(b) for entry in CATALOGUE for b in entry.make().blocks()} == set()


def test_names_tell_entries_apart():
    assert len(NAMES) == len(CATALOGUE)


@pytest.mark.parametrize("dtype", FLOATS)
def test_shape_dtype_and_the_oracles_values(entry, dtype):
    """An entry without an oracle is random: tests/test_layers.py looks at its distribution."""
    with wide_if(dtype):
        block, inputs = filled(entry, dtype), drawn(entry, dtype)
        arrays = arrays_of(block)
        output = run(entry, block, inputs)
        assert (output.shape, output.dtype) == (entry.output, jnp.dtype(dtype))
        if entry.oracle is not None:
            raw = [x if x.dtype == jnp.int32 else np.asarray(x, np.float64) for x in inputs]
            assert_near(output, entry.oracle(arrays, *raw))


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_dtype_under_float32_parameters(entry, dtype):
    with wide_if(dtype):
        block, inputs = filled(entry, "float32"), drawn(entry, dtype)
        if entry.mixed == "refused" and dtype == "bfloat16":
            with pytest.raises(TypePromotionError):
                run(entry, block, inputs)
            return
        dtypes = [x.dtype for x in inputs if jnp.issubdtype(x.dtype, jnp.floating)]
        parameters = [holder.dtype for holder in block.parameters()]
        expected = dtypes if entry.mixed == "input" else [*dtypes, *parameters]
        output = run(entry, block, inputs)
        with jax.numpy_dtype_promotion("standard"):
            assert output.dtype == jnp.result_type(*expected)


def test_compiled_is_eager(entry):
    """Values to rounding, random masks bit for bit, and the State that a call leaves behind."""
    inputs = drawn(entry, "float32")
    plain, compiled = filled(entry, "float32"), filled(entry, "float32").hybridize()
    for _ in range(2):
        expected, found = run(entry, plain, inputs), run(entry, compiled, inputs)
        np.testing.assert_array_equal(found == 0, expected == 0)
        assert_near(found, expected)
    for path, expected in arrays_of(plain).items():
        assert_near(jnp.asarray(arrays_of(compiled)[path], "float32"), expected, roundings=2)


def test_only_state_changes_in_a_call(entry):
    inputs, block = drawn(entry, "float32"), filled(entry, "float32")
    before = arrays_of(block)
    run(entry, block, inputs)
    after = arrays_of(block)
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed == set(entry.state)


def test_compiled_gradient_is_eager(entry):
    block, inputs = filled(entry, "float32"), drawn(entry, "float32")
    results = []
    for active in (False, True):
        kuai.seed(3)
        with mode(entry):
            output, backward = block.hybridize(active).vjp(*inputs)
            results.append(backward(jnp.ones_like(output)))
    for expected, found in zip(*map(jax.tree.leaves, results), strict=True):
        assert_near(found, expected)


def test_gradient_is_the_finite_difference(entry):
    with mode(entry):
        check_gradient(filled(entry, "float32"), *drawn(entry, "float32"), elements=4)


def peers() -> list[Any]:
    return [parameter(entry) for entry in CATALOGUE if entry.peer is not None]


def lent_to(module: Any, entry: Entry, block: Block) -> dict[str, Any]:
    """Give a torch module the block's arrays; path → (torch's tensor, whether it is transposed)."""
    torch = pytest.importorskip("torch")
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    lent = {
        path: (tensors[name.removesuffix(".T")], name[-2:] == ".T")
        for path, name in entry.names.items()
    }
    for path, (tensor, transposed) in lent.items():
        array = np.asarray(block.params[path].array)
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.array(array.T if transposed else array)))
    return lent


@pytest.mark.parametrize("entry", peers())
def test_torch_agrees_on_output_gradients_and_state(entry):
    torch = pytest.importorskip("torch", reason="torch is not installed; `make peers` adds it")
    source = np.random.default_rng(4)
    with jax.enable_x64(True):
        block, inputs = filled(entry, "float64"), drawn(entry, "float64")
        module = entry.peer(torch).double()
        lent = lent_to(module, entry, block)
        with mode(entry):
            output, backward = block.vjp(*inputs)
        theirs = [torch.from_numpy(np.array(x)) for x in inputs]
        theirs = [x.long() if x.dtype == torch.int32 else x.requires_grad_() for x in theirs]
        their_output = module(*theirs)
        assert_near(output, their_output.detach().numpy())
        weights = source.normal(size=output.shape)
        gradients, *over_inputs = backward(jnp.asarray(weights))
        if their_output.requires_grad:
            their_output.backward(torch.from_numpy(weights))
        for found, tensor in zip(over_inputs, theirs, strict=True):
            assert (found is None) == (tensor.grad is None)
            if found is not None:
                assert_near(found, tensor.grad.numpy(), roundings=64)
        for path, (tensor, transposed) in lent.items():
            if path in gradients:
                expected = tensor.grad.numpy()
                assert_near(gradients[path], expected.T if transposed else expected, roundings=64)
            else:
                assert_near(block.params[path].array, tensor.detach().numpy())
        assert set(gradients) <= set(lent)


def test_saved_and_loaded(entry, tmp_path):
    inputs, block = drawn(entry, "float32"), filled(entry, "float32")
    block.save(tmp_path / "block.safetensors")
    twin = entry.make().load(tmp_path / "block.safetensors")
    np.testing.assert_array_equal(run(entry, twin, inputs), run(entry, block, inputs))


def checkpoint(block: Block, path: Any) -> dict[str, str]:
    """Name → dtype and shape of what a saved file holds."""
    block.save(path)
    with safe_open(path, framework="numpy") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no dict
        return {name: f"{s.get_dtype()} {s.get_shape()}" for name, s in slices.items()}


def test_checkpoints_are_as_committed(golden, tmp_path):
    """Renewed by `python -m pytest tests/test_catalogue.py --renew-goldens`; read the diff."""
    file = tmp_path / "block.safetensors"
    golden("checkpoints", {e.name: checkpoint(filled(e, "float32"), file) for e in CATALOGUE})


def test_repr_makes_an_equal_block(entry):
    block = entry.make()
    twin = eval(repr(block), dict(NAMESPACE))  # noqa: S307  # the text is kuai's own
    assert (type(twin), repr(twin)) == (type(block), repr(block))
    if "shared" not in entry.name:  # a repr does not tell what is shared
        outputs = [run(entry, b.initialize(seed=1), drawn(entry, "float32")) for b in (block, twin)]
        np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda block: block.copy(), lambda block: pickle.loads(pickle.dumps(block))],
    ids=["deepcopy", "copy", "pickle"],
)
def test_copies_compute_the_same_and_stand_alone(entry, copied):
    inputs, block = drawn(entry, "float32"), filled(entry, "float32")
    expected = run(entry, block, inputs)
    twin = copied(filled(entry, "float32"))
    assert repr(twin) == repr(block)
    np.testing.assert_array_equal(run(entry, twin, inputs), expected)
    mine = {id(holder) for _, holder in block.named_holders()}
    assert not mine & {id(holder) for _, holder in twin.named_holders()}


def test_an_empty_batch_gives_an_empty_output(entry):
    if entry.batch is None:
        pytest.skip("it has no batch axis, or needs a batch to take statistics of")
    axis = entry.batch
    block, inputs = filled(entry, "float32"), drawn(entry, "float32", batch=0)
    expected = (*entry.output[:axis], 0, *entry.output[axis + 1 :])
    assert run(entry, block, inputs).shape == expected
    assert run(entry, block.hybridize(), inputs).shape == expected


def test_numpy_arrays_compute_what_jaxs_do(entry):
    inputs, block = drawn(entry, "float32"), filled(entry, "float32")
    expected = run(entry, block, inputs)
    block = filled(entry, "float32")
    np.testing.assert_array_equal(run(entry, block, [np.asarray(x) for x in inputs]), expected)
