"""Recurrent layers against torch, states and padding and all, and against their own cells."""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.nn import ops
from tests.catalogue_recurrent import torch_names

LENGTHS = jnp.array([4, 1, 3])
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 2)), jnp.float32)


def wide(shape: Any, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float64)


def near(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tolerance)


def net_in_float64(kind: str, both: bool, layers: int, **options: Any) -> Any:
    net = getattr(nn, kind)(5, layers=layers, bidirectional=both, dtype="float64", **options)
    net.initialize(sample=jnp.zeros((1, 1, 2), jnp.float64))
    for seed, (_, holder) in enumerate(net.named_holders()):
        holder.array = wide(holder.shape, seed) / 2
    return net


# ---- torch

TABLE: list[Any] = [
    pytest.param("RNN", False, 1, False, marks=pytest.mark.slow),
    ("RNN", True, 1, True),
    ("LSTM", False, 2, False),
    ("LSTM", True, 1, True),
    ("GRU", False, 1, True),
    pytest.param("GRU", True, 2, False, marks=pytest.mark.slow),
    pytest.param("LSTM", True, 2, True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "both", "layers", "padded"), TABLE)
def test_torch_agrees_on_outputs_states_and_every_gradient(kind, both, layers, padded):
    torch = pytest.importorskip("torch", reason="torch is not installed; `make peers` adds it")
    with jax.enable_x64(True):
        net = net_in_float64(kind, both, layers)
        cells = len(net.cells)
        names = ["x", "hidden", "cell"] if kind == "LSTM" else ["x", "hidden"]
        inputs = [
            wide((3, 4, 2), 20),
            *(wide((cells, 3, 5), 21 + i) for i in range(len(names) - 1)),
        ]

        def run(net, x, *states):
            state = states if len(states) > 1 else states[0]
            outputs, end = net(x, state, LENGTHS if padded else None)
            return jnp.concatenate([array.ravel() for array in jax.tree.leaves((outputs, end))])

        weights = wide(run(net, *inputs).shape, 30)
        scalar = lambda net, *given: (run(net, *given) * weights).sum()  # noqa: E731
        grads = kuai.grad(scalar, wrt=("*", *range(1, len(names) + 1)))(net, *inputs)
        found = run(net, *inputs)

        peer = getattr(torch.nn, kind)(2, 5, layers, bidirectional=both, batch_first=True).double()
        tensors = dict(peer.named_parameters())
        lent = {path: tensors[name.removesuffix(".T")] for path, name in
                torch_names(cells, both, at="").items()}  # fmt: skip
        with torch.no_grad():
            for path, tensor in lent.items():
                tensor.copy_(torch.from_numpy(np.array(net.params[path].array.T)))
        theirs = [torch.from_numpy(np.array(x)).requires_grad_() for x in inputs]
        expected = torch_run(torch, peer, theirs, np.array(LENGTHS) if padded else None)
        near(found, expected.detach().numpy())
        (expected * torch.from_numpy(np.array(weights))).sum().backward()
        for path, tensor in lent.items():
            near(grads[0][path], tensor.grad.numpy().T)
        for gradient, tensor in zip(grads[1:], theirs, strict=True):
            near(gradient, tensor.grad.numpy())


def torch_run(torch: Any, peer: Any, inputs: list[Any], lengths: Any) -> Any:
    x, *states = inputs
    state = tuple(states) if len(states) > 1 else states[0]
    pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    if lengths is None:
        outputs, end = peer(x, state)
    else:
        packed = pack(x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False)
        outputs, end = peer(packed, state)
        outputs, _ = pad(outputs, batch_first=True, total_length=x.shape[1])
    ends = end if isinstance(end, tuple) else (end,)
    return torch.cat([array.reshape(-1) for array in (outputs, *ends)])


# ---- the function for all steps against its cell, step by step


def arrays_for(kind: str) -> list[jax.Array]:
    """x, states, and weights of a sequence function."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
    shapes = [(4, 3, 2), (3, 5), (2, gates * 5), (5, gates * 5), (gates * 5,)]
    shapes[2:2] = [(3, 5)] if kind == "lstm" else []
    return [wide(shape, seed) / 2 for seed, shape in enumerate(shapes)]


def by_formula(kind: str, steps: jax.Array, reverse: bool) -> Any:
    """The function in plain JAX."""

    def after(a, e, state):
        if kind == "rnn":
            return [jnp.tanh(a + e)]
        if kind == "gru":
            (r, z, n), (u, v, m) = jnp.split(a, 3, -1), jnp.split(e, 3, -1)
            update = jax.nn.sigmoid(z + v)
            new = jnp.tanh(n + jax.nn.sigmoid(r + u) * m)
            return [(1 - update) * new + update * state[0]]
        i, f, g, o = jnp.split(a + e, 4, -1)
        cell = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return [jax.nn.sigmoid(o) * jnp.tanh(cell), cell]

    def run(x, *rest):
        *state, inputs, across, bias = rest

        def step(state, given):
            x, on = given
            new = after(x @ inputs + bias, state[0] @ across, state)
            state = [jnp.where(on[:, None], n, o) for n, o in zip(new, state, strict=True)]
            return state, state[0]

        end, outputs = jax.lax.scan(step, state, (x, steps), reverse=reverse)
        return outputs, *end

    return run


@pytest.mark.parametrize(
    ("kind", "reverse"),
    [
        ("rnn", True),
        ("gru", False),
        ("lstm", True),
        pytest.param("lstm", False, marks=pytest.mark.slow),
    ],
)
def test_gradients_of_first_and_second_order_are_those_of_the_plain_formula(kind, reverse):
    with jax.enable_x64(True):
        arrays = arrays_for(kind)
        steps = jnp.arange(4)[:, None] < jnp.array([4, 2, 0])
        function = functools.partial(getattr(ops, kind), steps=steps, reverse=reverse)
        numbers = tuple(range(len(arrays)))

        @functools.partial(jax.jit, static_argnums=0)
        def orders(function, *arrays):
            def loss(*a):
                return sum(jnp.square(out).sum() for out in function(*a))

            def of_gradient(*a):
                gradients = jax.grad(loss, numbers)(*a)
                return sum(jnp.sin(g).sum() for g in gradients), gradients

            second, first = jax.grad(of_gradient, numbers, has_aux=True)(*arrays)
            return function(*arrays), first, second

        found = orders(function, *arrays)
        near(found, orders(by_formula(kind, steps, reverse), *arrays), 1e-10)


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_a_cell_in_a_users_loop_gives_what_the_layer_does(cell):
    cell = cell(5)
    outputs, end = nn.Recurrent(cell)(X)
    state = None
    for t in range(4):
        output, state = cell(X[:, t], state)
        near(outputs[:, t], output, 1e-6)
    near(end, state, 1e-6)


def test_forward_mode_needs_the_steps_one_by_one():
    one_by_one = nn.Recurrent(nn.LSTMCell(2), return_state=False, whole=False)
    whole = nn.Recurrent(one_by_one.cell, return_state=False)
    one_by_one.initialize(sample=X)
    _, tangent = jax.jvp(one_by_one, (X,), (X,))
    _, backward = whole.vjp(X)
    near((tangent * X[..., :2]).sum(), (backward(X[..., :2])[1] * X).sum(), 1e-5)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(whole, (X,), (X,))


def test_a_map_over_nets_of_one_shape():
    apply, params, state = kuai.functional(nn.GRU(3, return_state=False).initialize(sample=X))
    many = {path: jnp.stack([array, array / 2]) for path, array in params.items()}

    def loss(params):
        return apply(params, state, X)[0].sum()

    mapped = jax.vmap(jax.grad(loss))(many)
    near(mapped, jax.tree.map(lambda *a: jnp.stack(a), jax.grad(loss)(params), jax.grad(loss)(
        {path: array / 2 for path, array in params.items()})), 1e-5)  # fmt: skip


# ---- sequences


def test_padding_changes_nothing_and_gets_no_gradient():
    net = nn.GRU(3, bidirectional=True)
    inside = jnp.arange(4)[:, None] < LENGTHS[:, None, None]
    spoilt = jnp.where(inside, X, jnp.nan)
    outputs, end = net(X, lengths=LENGTHS)
    near(net(spoilt, lengths=LENGTHS), (outputs, end), 1e-7)
    assert not jnp.where(inside, 0, outputs).any()
    grads, dx = kuai.grad(lambda n, x: n(x, lengths=LENGTHS)[0].sum(), wrt=("*", 1))(net, spoilt)
    assert all(bool(jnp.isfinite(gradient).all()) for gradient in grads.values())
    assert bool(jnp.isfinite(dx).all())
    assert not jnp.where(inside, 0, dx).any()
    alone, state = net(X[2:, :3])
    near((alone[0], state), (outputs[2, :3], end[:, 2:]), 1e-6)


def test_a_sequence_without_steps_leaves_the_state():
    net = nn.LSTM(3)
    _, state = net(X)
    outputs, end = net(X, state, jnp.zeros(3, jnp.int32))
    near(end, state, 0)
    assert not outputs.any()


def test_compiled_lengths_beyond_the_steps_count_as_all_of_them():
    net = nn.GRU(3).hybridize()
    near(net(X, lengths=jnp.array([9, 4, -1])), net(X, lengths=jnp.array([4, 4, 0])), 0)


def test_a_single_step_and_time_first():
    net = nn.GRU(3)
    outputs, state = net(X[:, :1])
    near(outputs[:, 0], state[0], 0)
    twin = nn.GRU(3, time_major=True)
    twin.cells = net.cells
    near(twin(X.swapaxes(0, 1), lengths=LENGTHS)[0].swapaxes(0, 1), net(X, lengths=LENGTHS)[0], 0)


def test_dropout_stands_between_layers_in_training():
    net = nn.RNN(64, activation="relu", layers=2, dropout=0.5, return_state=False, init="ones")
    net.initialize(sample=X)
    net.cells[1].input_weight = jnp.eye(64)
    net.cells[1].recurrent_weight = jnp.zeros((64, 64))
    near(net(abs(X)), nn.Recurrent(net.cells[0], return_state=False)(abs(X)), 1e-5)
    with kuai.train_mode():
        kept = net(abs(X))[:, 0] > 0
    assert 0.3 < float(kept.mean()) < 0.7
    assert kuai.random.get_state()["count"] == 1


def test_in_a_sequential_and_as_a_language_model():
    net = nn.Sequential(nn.Embedding(9, 4), nn.RNN(5, return_state=False), nn.Dense(9))
    assert net(jnp.ones((2, 7), jnp.int32)).shape == (2, 7, 9)


def test_initial_values():
    cell = nn.LSTMCell(2, dtype="bfloat16").initialize(sample=X[:, 0])
    assert cell.bias.tolist() == [0.0] * 2 + [1.0] * 2 + [0.0] * 4
    assert not cell.recurrent_bias.any()
    across = cell.recurrent_weight.astype("float32")
    near(across @ across.T, jnp.eye(2), 0.02)
    plain = nn.LSTMCell(2, init="ones", recurrent_init="ones", bias_init="ones", forget_bias=0.0)
    assert plain.initialize(sample=X[:, 0]).bias.tolist() == [1.0] * 2 + [0.0] * 2 + [1.0] * 4
    bare = nn.LSTMCell(1, init="ones", recurrent_init="ones", forget_bias=None)
    assert bare.initialize(sample=X[:, 0]).bias.tolist() == [0.0] * 4


# ---- cells of a user's own


class Own(kuai.Block):
    """A cell with all that a block may have: State, randomness, a loop and a branch on arrays."""

    def __init__(self):
        super().__init__()
        self.inputs = kuai.Parameter(shape=(2, 5))
        self.calls = kuai.State(jnp.zeros((), jnp.int32))

    def initial_state(self, x):
        return {"h": jnp.zeros((x.shape[0], 5))}

    def forward(self, x, state):
        self.calls += 1
        h = x @ self.inputs + jnp.sin(state["h"] + kuai.random.uniform(()))
        while abs(h).sum() > 3:
            h = h / 2
        if h.sum() > 0:
            h = -h
        return (h, h[:, 0]), {"h": h}


@pytest.mark.parametrize("reverse", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_cell_of_ones_own_is_compiled_to_what_it_is_in_plain_python(reverse):
    def make():
        return nn.Recurrent(Own(), reverse).initialize(sample=X, seed=1)

    plain, compiled = make(), make()
    plain.hybridize(False)
    compiled.hybridize(verify="always")
    found = []
    for net in (plain, compiled):
        kuai.seed(5)
        result = net(X, lengths=LENGTHS)
        gradients = kuai.grad(lambda net: net(X)[0][0].sum())(net)
        holders = {path: holder.array for path, holder in net.named_holders()}
        found.append((result, gradients, holders, kuai.random.get_state()["count"]))
    near(found[1], found[0], 1e-5)
    assert found[0][3] == 8  # one key a step, in each of the two calls
    assert int(compiled.cell.calls) == 8
    kinds = [staged.kind for staged in compiled.explain().signatures[0].staged]
    assert sorted(kinds) == ["if", "while"]


def test_a_state_of_a_cell_that_only_the_program_counts_keys_for():
    class Noisy(kuai.Block):
        def forward(self, x, state):
            while state.sum() < 3:
                state = state + kuai.random.uniform(())
            return state, state - 1

    start, found = jnp.zeros(3), []
    for setting in (False, True):
        kuai.seed(2)
        result = nn.Recurrent(Noisy()).hybridize(setting)(X, start)
        found.append((result, kuai.random.get_state()["count"]))
    near(found[1], found[0], 1e-6)


def test_an_attribute_that_begins_inside_the_loop():
    class Leaving(kuai.Block):
        def forward(self, x, state):
            self.last = x
            return x, state

    net = nn.Recurrent(Leaving()).hybridize()
    net(X, jnp.zeros(3))
    near(net.cell.last, X[:, -1], 0)
    apply, params, state = kuai.functional(nn.Recurrent(Leaving()))
    text = (
        "Recurrent: an attribute of a block gets its first value inside a loop over the steps of "
        "a sequence; expected it to have one before: make it kuai.State in __init__"
    )
    with pytest.raises(kuai.errors.DeferredInitError, match=re.escape(text)):
        jax.jit(apply)(params, state, X, jnp.zeros(3))


@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
def test_hooks_and_replaced_cells_are_called_at_every_step(hybridized):
    class Doubled(nn.GRUCell):
        def forward(self, x, state=None):
            output, state = super().forward(x, state)
            return 2 * output, state

    net = nn.GRU(3, return_state=False)
    net(X)
    doubled = Doubled(3)
    for name in ("input_weight", "recurrent_weight", "bias", "recurrent_bias"):
        setattr(doubled, name, net.cells[0].params[name])
    expected = 2 * net(X)
    with net.cells[0].register_forward_hook(lambda cell, inputs, out: (2 * out[0], out[1])):
        near(net.hybridize(hybridized)(X), expected, 1e-6)
    net.cells[0] = doubled
    near(net(X), expected, 1e-6)
    assert "cells=[Doubled(" in re.sub(r"\s", "", repr(net))


def test_a_cells_activation_may_be_a_block():
    net = nn.RNN(3, activation=nn.LeakyReLU(0.5), return_state=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "rnn", None)  # it knows functions by name alone
        assert net(X).shape == (3, 4, 3)
