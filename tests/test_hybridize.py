"""A hybridized block gives what the eager block gives, whatever changes between calls."""

from __future__ import annotations

import copy
import dataclasses
import enum
import gc
import pickle
import re
import weakref
from collections import UserList
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.errors import HybridizeError, HybridizeWarning


class Scaled(kuai.Block):
    """Counts its traces, so that a test can tell a compile from a call."""

    def __init__(self, scale=2.0):
        self.scale = scale
        self.dense = nn.Dense(3)
        self.drop = nn.Dropout(0.5)
        self.steps = [1, 2]
        self.table = {"shift": 1.0}

    def forward(self, x):
        TRACES.append(type(self).__name__)
        return self.drop(self.dense(x)) * self.scale + sum(self.steps) + self.table["shift"]


TRACES: UserList[str] = UserList()  # a library's object: kuai lets it be
X = jnp.linspace(-1.0, 1.0, 8).reshape(2, 4)


@pytest.fixture
def net():
    return Scaled().initialize(seed=3, sample=X)


def eager_equals_hybrid(net, *inputs, **keywords):
    with kuai.eager():
        expected = net(*inputs, **keywords)
    np.testing.assert_allclose(net(*inputs, **keywords), expected, rtol=2e-6, atol=1e-6)


def test_equals_eager_and_compiles_once_a_signature(net):
    net.hybridize()
    TRACES.clear()
    first = net(X)
    for _ in range(5):
        np.testing.assert_array_equal(net(X), first)
    assert len(TRACES) == 1
    net(jnp.ones((7, 4)))
    assert len(TRACES) == 2
    eager_equals_hybrid(net, X)


def replace_child(net):
    net.dense = nn.Dense(3, init="ones").initialize(sample=X)


def tie(net):
    net.dense.weight = nn.Dense(3, init="ones").initialize(sample=X).params.weight


CHANGES = {
    "scale": lambda net: setattr(net, "scale", 3),
    "same value, other type": lambda net: setattr(net, "scale", 2),
    "child": replace_child,
    "child by path": lambda net: net.replace("dense", nn.Lambda(lambda x: x[:, :3])),
    "hook after": lambda net: net.dense.register_forward_hook(lambda b, i, out: out + 10),
    "hook before": lambda net: net.register_forward_pre_hook(lambda b, i: i[0] + 1),
    "list append": lambda net: net.steps.append(5),
    "list item": lambda net: net.steps.__setitem__(0, 7),
    "dict item": lambda net: net.table.update(shift=4.0),
    "deleted and set": lambda net: (delattr(net, "scale"), setattr(net, "scale", 5.0)),
    "tied": tie,
    "value": lambda net: setattr(net.dense, "weight", jnp.ones((4, 3))),
    "activation": lambda net: setattr(net.dense, "activation", "tanh"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_never_stale(net, name):
    net.hybridize()
    before = net(X)
    CHANGES[name](net)
    eager_equals_hybrid(net, X)
    if name != "same value, other type":
        assert np.abs(np.asarray(net(X)) - before).max() > 1e-3


def test_a_changed_rate_is_seen(net):
    net.train().hybridize()
    assert (np.asarray(net(X)) == 4.0).any()  # what a dropped element leaves: sum(steps) + shift
    net.drop.rate = 0.0
    eager_equals_hybrid(net, X)


def test_untying_a_parameter_is_seen():
    net = nn.Sequential(nn.Dense(4), nn.Dense(4)).initialize(sample=X)
    net[1].weight = net[0].params.weight
    net.hybridize()
    net(X)
    net[1].weight = kuai.Parameter(jnp.zeros((4, 4)))
    np.testing.assert_array_equal(net(X), jnp.zeros((2, 4)))
    net[0].weight = jnp.ones((4, 4))
    np.testing.assert_array_equal(net[1].weight, jnp.zeros((4, 4)))


def test_removing_a_hook_is_seen(net):
    net.hybridize()
    before = net(X)
    with net.register_forward_hook(lambda block, inputs, output: output * 0):
        assert float(jnp.abs(net(X)).max()) == 0
    np.testing.assert_array_equal(net(X), before)


def test_class_attribute_and_method_changes_are_seen(monkeypatch):
    class Net(kuai.Block):
        factor = 2.0

        def forward(self, x):
            return x * self.factor

    net = Net().hybridize()
    assert float(net(jnp.ones(()))) == 2.0
    Net.factor = 3.0
    assert float(net(jnp.ones(()))) == 3.0
    monkeypatch.setattr(Net, "forward", lambda self, x: x - 1)
    assert float(net(jnp.ones(()))) == 0.0


def test_going_back_reuses_the_program(net):
    net.hybridize()
    net(X)
    TRACES.clear()
    net.scale = 3.0
    net(X)
    net.scale = 2.0
    net(X)
    assert len(TRACES) == 1


def test_building_other_blocks_does_not_recompile(net):
    net.hybridize()
    net(X)
    TRACES.clear()
    nn.Sequential(nn.Dense(2), nn.Dense(3))(X)
    net(X)
    assert TRACES == []


def test_modes_have_programs_of_their_own(net):
    net.hybridize()
    quiet = net(X)
    with kuai.train_mode():
        assert (np.asarray(net(X)) != quiet).any()
    np.testing.assert_array_equal(net(X), quiet)
    net.train()
    assert (np.asarray(net(X)) != quiet).any()
    net.eval()
    np.testing.assert_array_equal(net(X), quiet)


def test_random_masks_equal_eager_bit_for_bit_and_differ_between_calls():
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.25)).hybridize()
    x = jnp.ones((64, 8))
    with kuai.train_mode():
        kuai.seed(11)
        with kuai.eager():
            expected = [net(x), net(x), net(x[:5])]
        kuai.seed(11)
        got = [net(x), net(x), net(x[:5])]
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (np.asarray(got[0]) != np.asarray(got[1])).any()


def test_a_signature_that_draws_no_keys_beside_one_that_does():
    class Sometimes(kuai.Block):
        def forward(self, x):
            return x + kuai.random.normal(x.shape) if x.ndim == 2 else x

    net = Sometimes().hybridize()
    kuai.seed(5)
    got = [net(jnp.zeros(3)), net(jnp.zeros((2, 2))), net(jnp.zeros(3)), net(jnp.zeros((2, 2)))]
    kuai.seed(5)
    with kuai.eager():
        expected = [
            net(jnp.zeros(3)),
            net(jnp.zeros((2, 2))),
            net(jnp.zeros(3)),
            net(jnp.zeros((2, 2))),
        ]
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)
    assert kuai.random.get_state() == {"seed": 5, "count": 2}


def test_state_is_threaded():
    class Counter(kuai.Block):
        def __init__(self):
            self.count = kuai.State(0)
            self.norm = nn.BatchNorm()

        def forward(self, x):
            self.count += 1
            return self.norm(x) * self.count

    net = Counter().hybridize().train()
    twin = Counter().train()
    for i in range(4):
        x = X + i
        np.testing.assert_allclose(net(x), twin(x), rtol=1e-5, atol=1e-6)
    assert int(net.count) == 4
    np.testing.assert_allclose(net.norm.running_mean, twin.norm.running_mean, rtol=1e-6)
    assert not any(isinstance(h.array, jax.core.Tracer) for _, h in net.named_holders())


def test_arrays_put_on_a_block_in_forward_are_readable_and_not_saved():
    class Watching(kuai.Block):
        def forward(self, x):
            self.seen = x * 2
            return x + 1

    net = Watching().hybridize()
    net(X)
    np.testing.assert_array_equal(net.seen, X * 2)
    net(X + 1)
    np.testing.assert_array_equal(net.seen, (X + 1) * 2)
    net(X[:1])
    assert net.seen.shape == (1, 4)
    assert net.parameters() == []


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Batch:
    x: jax.Array
    name: str


class Pair(NamedTuple):
    a: jax.Array
    b: jax.Array


class Flexible(kuai.Block):
    """Uses whatever it is given, to see what is static and what is traced."""

    def forward(self, x, times=1, flag=False, name=None, colour=Colour.RED, rate=1.0):
        TRACES.append("Flexible")
        x = x["x"] if isinstance(x, dict) else x
        x = x.x if isinstance(x, Batch) else x
        x = x.a + x.b if isinstance(x, Pair) else x
        for _ in range(times):
            x = x + 1
        if flag:
            x = -x
        if name == "double" or colour is Colour.BLUE:
            x = x * 2
        return x * rate


@pytest.mark.parametrize(
    ("args", "keywords"),
    [
        ((X, 3), {}),
        ((X,), {"times": 2, "flag": True}),
        ((X, 1, True), {}),
        ((X, True), {}),
        ((X,), {"name": "double"}),
        ((X,), {"colour": Colour.BLUE, "rate": 0.5}),
        (({"x": X, "y": None},), {}),
        ((Batch(X, "a"),), {}),
        ((Pair(X, X),), {}),
        ((np.ones((2, 2), np.float32),), {}),
    ],
)
def test_arguments_static_and_traced(args, keywords):
    net = Flexible().hybridize()
    eager_equals_hybrid(net, *args, **keywords)
    eager_equals_hybrid(net, *args, **keywords)


def test_floats_are_traced_and_ints_are_static():
    net = Flexible().hybridize()
    net(X, rate=0.5)
    TRACES.clear()
    assert float(net(X, rate=0.25)[0, 0]) == 0.0
    assert TRACES == []
    net(X, 2)
    net(X, 3)
    assert len(TRACES) == 2
    net(X, 2)
    assert len(TRACES) == 2


def test_an_unhashable_argument_is_a_clear_error():
    with pytest.raises(kuai.errors.ArgumentError, match="unhashable set"):
        Flexible().hybridize()(X, name={1})


def test_outputs_keep_their_python_parts():
    class Many(kuai.Block):
        def forward(self, x):
            return {
                "y": x + 1,
                "n": 3,
                "what": "text",
                "none": None,
                "batch": Batch(x, "b"),
                "pair": Pair(x, x),
            }

    net = Many()
    expected = net(X)
    got = net.hybridize()(X)
    assert list(got) == list(expected)
    assert (got["n"], got["what"], got["none"]) == (3, "text", None)
    assert type(got["n"]) is int
    assert type(got["batch"]) is Batch
    assert type(got["pair"]) is Pair
    np.testing.assert_array_equal(got["batch"].x, X)


def test_inner_hybridized_blocks_are_inlined():
    inner = Scaled()
    outer = nn.Sequential(inner, nn.Dense(2)).initialize(sample=X)
    inner.hybridize()
    outer.hybridize()
    TRACES.clear()
    outer(X)
    outer(X)
    assert len(TRACES) == 1
    eager_equals_hybrid(outer, X)


def test_a_hybridized_block_inside_an_eager_one():
    inner = Scaled().hybridize()
    outer = nn.Sequential(inner, nn.Dense(2)).initialize(sample=X)
    eager_equals_hybrid(outer, X)
    inner.scale = 7.0
    eager_equals_hybrid(outer, X)


def test_first_call_infers_shapes():
    net = nn.Sequential(nn.Dense(3), nn.BatchNorm(), nn.Dense(2)).hybridize()
    assert net(X).shape == (2, 2)
    twin = nn.Sequential(nn.Dense(3), nn.BatchNorm(), nn.Dense(2))
    twin(X)
    for (path, a), (_, b) in zip(net.named_parameters(), twin.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.array, b.array, err_msg=path)


def test_blocks_reached_from_outside_the_tree_are_not_frozen():
    outside = nn.Dense(4, init="ones")
    drop = nn.Dropout(0.5)
    net = nn.Sequential(nn.Lambda(lambda x: drop(outside(x)))).hybridize()
    net(X)
    np.testing.assert_allclose(net(X), outside(X), rtol=1e-6)
    outside.weight = jnp.zeros((4, 4))
    np.testing.assert_array_equal(net(X), jnp.zeros((2, 4)))
    outside.activation = "sigmoid"
    np.testing.assert_allclose(net(X), jnp.full((2, 4), 0.5))
    drop.train()
    assert {0.0, 1.0} == {float(v) for v in net(jnp.ones((9, 4))).ravel()}


def test_a_holder_that_stands_on_no_block_is_not_frozen():
    loose = kuai.Parameter(jnp.ones(()))
    net = nn.Lambda(lambda x: x * loose.array).hybridize()
    assert float(net(jnp.ones(()))) == 1.0
    loose.array = jnp.asarray(5.0)
    assert float(net(jnp.ones(()))) == 5.0


def test_gradients_equal_eager():
    net = nn.Sequential(nn.Dense(3, activation="tanh"), nn.BatchNorm(), nn.Dense(1)).initialize(
        sample=X
    )
    loss = lambda net, x: jnp.square(net(x)).sum()  # noqa: E731  # one line
    expected_loss, expected = kuai.value_and_grad(loss)(net.copy(), X)
    net.hybridize()
    got_loss, got = kuai.value_and_grad(loss)(net, X)
    np.testing.assert_allclose(got_loss, expected_loss, rtol=1e-5)
    for path, gradient in expected.items():
        np.testing.assert_allclose(got[path], gradient, rtol=1e-4, atol=1e-5, err_msg=path)
    assert not isinstance(net[1].running_mean, jax.core.Tracer)
    assert float(jnp.abs(net[1].running_mean).max()) > 0


def test_the_gradient_of_a_net_with_a_layer_that_is_never_called():
    class Net(kuai.Block):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Dense(3), nn.Dense(4)

        def forward(self, x):
            return self.used(x)

    net = Net().hybridize()
    net(X)
    gradients = kuai.grad(lambda net, x: net(x).sum())(net, X)
    assert "unused.weight" not in gradients  # it has no shape
    np.testing.assert_allclose(gradients["used.bias"], [2.0, 2.0, 2.0])


def test_raw_transforms_over_a_hybridized_block(net):
    net.hybridize()
    batch = jnp.stack([X, X + 1])
    np.testing.assert_allclose(jax.vmap(net)(batch)[1], net(X + 1), rtol=1e-6)
    with kuai.eager():
        expected = jax.grad(lambda x: net(x).sum())(X)
    np.testing.assert_allclose(jax.grad(lambda x: net(x).sum())(X), expected, rtol=1e-6)


def test_hybridize_false_goes_back(net):
    net.hybridize().hybridize(False)
    TRACES.clear()
    net(X)
    net(X)
    assert len(TRACES) == 2
    assert not net.hybridized


def test_copies_and_pickles_stay_hybridized_with_programs_of_their_own(net):
    net.hybridize()
    net(X)
    for twin in (net.copy(), copy.copy(net), copy.deepcopy(net)):
        assert twin.hybridized
        np.testing.assert_array_equal(twin(X), net(X))
        twin.scale = 9.0
        assert (np.asarray(twin(X)) != np.asarray(net(X))).any()
    plain = nn.Sequential(nn.Dense(2)).hybridize()
    y = plain(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(plain))(X), y)


def test_a_branch_that_cannot_be_converted_names_block_and_line():
    def halves(x):
        while jnp.abs(x).sum() > 1:
            x = x / 2
            yield x

    class Halving(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(4)

        def forward(self, x):
            return list(halves(self.dense(x) + 1))[-1]

    net = nn.Sequential(nn.Dense(4), Halving()).hybridize()
    with pytest.raises(HybridizeError) as caught:
        net(X)
    text = str(caught.value)
    assert re.match(r"Sequential: 1 \(Halving\): tests/test_hybridize.py:\d+ in .*halves: ", text)
    assert "Python branches on the value of an array" in text
    assert "hybridize()" in text
    net.hybridize(False)
    assert float(jnp.abs(net(X)).sum()) <= 1


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x * x.sum().item(), r"\.item\(\)"),
        (lambda x: x * float(x.sum()), r"float\(\)"),
        (lambda x: np.asarray(x), "NumPy"),
        (lambda x: x[x > 0], "boolean mask"),
        (lambda x: jnp.ones([1, 2, 3][x.sum().astype(int)]), "index or key of a list"),
    ],
)
def test_what_cannot_be_compiled_is_explained(function, says):
    with pytest.raises(HybridizeError, match=says):
        nn.Sequential(nn.Lambda(function)).hybridize()(X)


def test_writing_a_python_value_in_forward_is_an_error_not_a_frozen_one():
    class Counting(kuai.Block):
        def __init__(self):
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x

    net = Counting()
    net(X)
    with pytest.warns(HybridizeWarning, match=r"runs as plain Python.*self\.calls"):
        net(X)
    assert net.calls == 2
    with pytest.raises(HybridizeError, match=r"self\.calls .* kuai\.State"):
        net.hybridize()(X)
    assert net.calls == 2


def test_growing_a_list_in_forward_is_an_error_not_a_frozen_one():
    class Remembering(kuai.Block):
        def __init__(self):
            self.seen = []

        def forward(self, x):
            self.seen.append(x)
            return x

    with pytest.raises(HybridizeError, match="structure of a block"):
        Remembering().hybridize()(X)


def test_a_failed_call_changes_nothing():
    class Failing(kuai.Block):
        def __init__(self):
            self.count = kuai.State(0)

        def forward(self, x):
            self.count += 1
            if x.shape[0] > 2:
                raise ValueError("too many rows")
            return x

    net = Failing().hybridize()
    net(X)
    with pytest.raises(ValueError, match="too many rows"):
        net(jnp.ones((3, 4)))
    assert int(net.count) == 1
    net(X)
    assert int(net.count) == 2


def test_programs_die_with_their_block():
    def cycle():
        net = nn.Sequential(nn.Dense(2), nn.Dropout(0.1)).hybridize()
        net(X)
        return weakref.ref(net)

    references = [cycle() for _ in range(20)]
    gc.collect()
    assert [ref() for ref in references] == [None] * 20


def test_a_block_made_inside_forward_is_an_error_if_it_has_parameters():
    class Lazy(kuai.Block):
        def forward(self, x):
            return nn.Dense(3)(x)

    with pytest.raises(kuai.errors.RegistrationError, match="made and called inside a forward"):
        Lazy().hybridize()(X)


def test_a_block_without_parameters_may_be_made_inside_forward():
    class Inline(kuai.Block):
        def forward(self, x):
            return nn.ReLU()(x)

    net = Inline().hybridize()
    np.testing.assert_array_equal(net(X), jnp.maximum(X, 0))
    np.testing.assert_array_equal(net(X[:1]), jnp.maximum(X[:1], 0))


def test_same_program_as_raw_jax():
    """A forward compiles to the HLO of the same function written in raw JAX."""
    net = (
        nn.Sequential(nn.Dense(8, activation="relu"), nn.Dense(2)).initialize(sample=X).hybridize()
    )
    net(X)
    (structure,) = net._kuai.compiled.__self__._structures
    ((program,),) = structure.programs.values()
    arrays = [h.array for h in program.holders]

    def raw(arrays, ticket, inputs):
        (x,) = inputs
        return jax.nn.relu(x @ arrays[0] + arrays[1]) @ arrays[2] + arrays[3]

    def text(function):
        return function.lower(arrays, None, (X,)).compile().as_text().split("\n", 1)[1]

    strip = lambda hlo: re.sub(r', metadata=\{[^}]*\}|"[^"]*"|stack_frame_id=\d+', "", hlo)  # noqa: E731
    opcodes = lambda hlo: sorted(re.findall(r" = \S+ ([a-z\-]+)\(", strip(hlo)))  # noqa: E731
    assert opcodes(text(program.jitted)) == opcodes(text(jax.jit(raw)))


def test_state_inside_a_loop_of_jax_is_explained():
    class Looping(kuai.Block):
        def __init__(self):
            self.total = kuai.State(0.0)

        def forward(self, x):
            def body(carry, row):
                self.total += row.sum()
                return carry, row

            return jax.lax.scan(body, 0, x)[1]

    with pytest.raises(HybridizeError, match="kept in a State outside it"):
        Looping().hybridize()(X)


@pytest.mark.parametrize("change", [lambda net: net.freeze(), lambda net: net.eval()])
def test_changing_modes_inside_a_compiled_function_is_an_error(net, change):
    with pytest.raises(HybridizeError, match="structure of a block"):
        kuai.hybrid(lambda net, x: (change(net), net(x))[1])(net, X)
    assert net.mode == "auto"
    assert all(parameter.trainable for parameter in net.parameters())


def test_an_array_of_the_users_that_became_state_is_never_donated():
    class Keeping(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(1)
            self.last, self.same = kuai.State(jnp.zeros((2, 4))), kuai.State(jnp.zeros((2, 4)))

        def forward(self, x):
            self.last = x
            self.same = self.last
            return self.dense(x)

    import optax

    net, x = Keeping(), X + 0
    kuai.grad(lambda net, x: net(x).sum())(net, x)
    trainer = kuai.Trainer(net, optax.sgd(0.1), kuai.losses.mse)
    trainer.step((x, jnp.zeros((2, 1))))
    trainer.step((x, jnp.zeros((2, 1))))
    np.testing.assert_array_equal(x, X)
