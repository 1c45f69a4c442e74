"""When and how values are made: shapes, seeds and paths, samples, and what a failure leaves."""

from __future__ import annotations

import re
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import nn
from kuai.core import birth
from kuai.errors import (
    ArgumentError,
    DeferredInitError,
    DtypeError,
    ForwardNotDefinedError,
    HybridizeWarning,
    ShapeError,
)

X = jnp.ones((2, 3))


class Halving(kuai.Block):
    """The chapter's FixedHiddenMLP in small: it branches on the values of an array."""

    def __init__(self):
        self.dense = nn.Dense(3)

    def forward(self, x):
        x = self.dense(self.dense(x))
        while jnp.abs(x).sum() > 1:
            x = x / 2
        return x.sum()


class Branching(kuai.Block):
    def __init__(self):
        self.first, self.second = nn.Dense(2), nn.Dense(4)
        self.use_second = False

    def forward(self, x):
        return self.second(x) if self.use_second else self.first(x)


def values(net):
    return {path: np.asarray(holder.array) for path, holder in net.named_holders() if holder.ready}


def same(one, other):
    assert one.keys() == other.keys()
    for path in one:
        np.testing.assert_array_equal(one[path], other[path], err_msg=path)


# ---- values depend on seed and path only


def test_values_depend_on_the_seed():
    one, other = (nn.Dense(4).initialize(seed=seed, sample=X).weight for seed in (1, 2))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one, nn.Dense(4).initialize(seed=1, sample=X).weight)


def test_values_depend_on_the_path():
    net = nn.Sequential(nn.Dense(3), nn.Dense(3)).initialize(sample=X)
    assert not np.array_equal(net[0].weight, net[1].weight)


def test_values_do_not_depend_on_the_order_of_creation():
    class Net(kuai.Block):
        def __init__(self, names):
            for name in names:
                setattr(self, name, kuai.Parameter(shape=(4, 4)))

    same(values(Net("ab").initialize()), dict(sorted(values(Net("ba").initialize()).items())))


@pytest.mark.parametrize(
    "init",
    [
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "lecun_uniform",
        "lecun_normal",
        "orthogonal",
        "normal",
        "truncated_normal",
        "uniform",
    ],
)
def test_a_value_is_the_same_made_alone_or_with_others(init):
    class Net(kuai.Block):
        def __init__(self, count):
            for index in range(count):
                setattr(self, f"p{index}", kuai.Parameter(shape=(7, 5), init=init))

    np.testing.assert_array_equal(Net(1).initialize().p0, Net(6).initialize().p0)


def test_the_first_call_makes_what_initialize_makes():
    called, initialized = (nn.Sequential(nn.Dense(4, "relu"), nn.Dense(2)) for _ in range(2))
    called(X)
    same(values(called), values(initialized.initialize(sample=X)))


@pytest.mark.parametrize("way", ["grad", "vjp", "hybridize", "hybrid", "raw grad", "vmap", "jit"])
def test_every_first_use_makes_the_same_values(way):
    def loss(net, x):
        return net(x).sum()

    uses = {
        "grad": lambda net: kuai.grad(loss)(net, X),
        "vjp": lambda net: net.vjp(X),
        "hybridize": lambda net: net.hybridize()(X),
        "hybrid": lambda net: kuai.hybrid(loss)(net, X),
        "raw grad": lambda net: jax.grad(lambda x: loss(net, x))(X),
        "vmap": lambda net: jax.vmap(net)(X),
        "jit": lambda net: jax.jit(lambda x: net(x))(X),
    }
    expected = nn.Sequential(nn.Dense(4), nn.Sequential(nn.Dense(2)))
    net = nn.Sequential(nn.Dense(4), nn.Sequential(nn.Dense(2)))
    expected(X)
    uses[way](net)
    same(values(net), values(expected))


def test_a_block_reached_only_through_a_closure_gets_the_values_of_its_paths():
    expected, net = (nn.Sequential(nn.Dense(3), nn.Dense(3)) for _ in range(2))
    expected(X)
    kuai.grad(lambda x: net(x).sum(), wrt=0)(X)
    same(values(net), values(expected))


def test_two_nets_in_one_call_both_get_their_values():
    generator, critic = nn.Dense(3), nn.Dense(3)
    kuai.grad(lambda g, c, x: c(g(x)).sum())(generator, critic, X)
    alone = nn.Dense(3)
    alone(X)
    same(values(generator), values(alone))
    same(values(critic), values(alone))


def test_shared_blocks_get_values_once_at_their_first_path():
    shared = nn.Dense(3)
    net = nn.Sequential(shared, shared).initialize(sample=X)
    same(values(net), values(nn.Sequential(nn.Dense(3)).initialize(sample=X)))


def test_a_data_dependent_forward_is_initialized_by_running_it():
    net = Halving()
    y = net(X)
    assert y.shape == ()
    same(values(net), values(Halving().initialize(sample=X)))


def test_a_data_dependent_forward_is_initialized_inside_grad():
    net, expected = Halving(), Halving()
    grads = kuai.grad(lambda net, x: net(x))(net, X)
    expected(X)
    same(values(net), values(expected))
    assert set(grads) == {"dense.weight", "dense.bias"}


# ---- one compiled program


def test_equal_nets_share_one_compiled_initializer():
    birth._program.cache_clear()
    for _ in range(3):
        nn.Sequential(*[nn.Dense(3) for _ in range(5)]).initialize(sample=X)
    assert birth._program.cache_info().misses == 1
    assert birth._program.cache_info().hits == 2


def test_one_call_makes_all_values_in_one_program():
    birth._program.cache_clear()
    nn.Sequential(nn.Dense(5), nn.BatchNorm(), nn.Dense(2, init="ones"), nn.Dense(7))(X)
    assert birth._program.cache_info().misses == 1


# ---- what initialize takes


def test_without_a_sample_known_shapes_get_values_and_unknown_ones_wait():
    net = nn.Dense(4).initialize(seed=3)
    assert net.params.bias.ready
    assert not net.params.weight.ready
    net(X)
    same(values(net), values(nn.Dense(4).initialize(seed=3, sample=X)))


def test_initialize_fixes_the_seed_of_shapes_that_are_settled_later():
    net = nn.Dense(4).initialize(seed=3)
    kuai.seed(11)
    net(X)
    np.testing.assert_array_equal(net.weight, nn.Dense(4).initialize(seed=3, sample=X).weight)


def test_without_a_seed_the_one_of_kuai_counts():
    kuai.seed(5)
    one = nn.Dense(4).initialize(sample=X)
    kuai.seed(6)
    same(values(one), values(nn.Dense(4).initialize(seed=5, sample=X)))


def test_init_is_for_parameters_that_were_given_none():
    net = nn.Sequential(nn.Dense(2), nn.Dense(2, init="ones")).initialize(init=0.5, sample=X)
    np.testing.assert_array_equal(net[0].weight, np.full((3, 2), 0.5, np.float32))
    np.testing.assert_array_equal(net[1].weight, np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(net[0].bias, np.zeros(2, np.float32))


def test_init_holds_for_parameters_settled_later():
    net = nn.Dense(2).initialize(init="ones")
    net(X)
    np.testing.assert_array_equal(net.weight, np.ones((3, 2), np.float32))


def test_what_has_values_keeps_them_without_force():
    net = nn.Dense(2).initialize(seed=1, sample=X)
    before = values(net)
    same(values(net.initialize(seed=2)), before)
    after = values(net.initialize(seed=2, force=True))
    assert not np.array_equal(after["weight"], before["weight"])
    same(after, values(nn.Dense(2).initialize(seed=2, sample=X)))


def test_force_leaves_given_arrays():
    class Net(kuai.Block):
        def __init__(self):
            self.given = kuai.Parameter(jnp.full(3, 7.0))
            self.table = jnp.arange(2.0)

        def forward(self, x):
            return x

    net = Net().initialize(seed=4, force=True, init="ones")
    np.testing.assert_array_equal(net.given, np.full(3, 7.0, np.float32))
    np.testing.assert_array_equal(net.table, np.arange(2.0, dtype=np.float32))


def test_a_tuple_is_several_inputs():
    class Add(kuai.Block):
        def __init__(self):
            self.left, self.right = nn.Dense(2), nn.Dense(2)

        def forward(self, x, y):
            return self.left(x) + self.right(y)

    net = Add().initialize(sample=(X, jnp.ones((2, 5))))
    assert (net.left.weight.shape, net.right.weight.shape) == ((3, 2), (5, 2))


def test_a_numpy_sample_will_do():
    assert nn.Dense(2).initialize(sample=np.ones((1, 3), np.float32)).weight.shape == (3, 2)


def test_an_initializer_may_be_a_function():
    def rows(key, shape, dtype):
        return jnp.broadcast_to(jnp.arange(shape[0], dtype=dtype)[:, None], shape)

    net = nn.Dense(2, init=rows).initialize(sample=X)
    np.testing.assert_array_equal(net.weight, [[0, 0], [1, 1], [2, 2]])


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, "0"])
def test_a_seed_is_an_integer_that_fits(seed):
    text = "initialize: expected seed to be an integer from 0 to 2**32 - 1, got " + repr(seed)
    with pytest.raises(ArgumentError, match=re.escape(text)):
        nn.Dense(2).initialize(seed=seed)


# ---- failures leave nothing


def test_a_wrong_sample_changes_nothing():
    net = nn.Sequential(nn.Dense(2), nn.Dense(2), nn.LayerNorm(axes=3))
    with pytest.raises(ShapeError):
        net.initialize(sample=X)
    assert [holder.shape for _, holder in net.named_holders()][:4] == [
        (None, 2), (2,), (None, 2), (2,)]  # fmt: skip
    assert not any(holder.ready for _, holder in net.named_holders())
    assert net[0](jnp.ones((1, 9))).shape == (1, 2)


def test_a_sample_that_does_not_fit_made_values_is_refused():
    net = nn.Dense(2).initialize(sample=X)
    before = values(net)
    with pytest.raises(ShapeError, match="expected an input with 3 features on axis -1"):
        net.initialize(sample=jnp.ones((1, 4)), force=True, seed=9)
    same(values(net), before)


def test_a_first_call_that_fails_changes_nothing():
    class Failing(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

        def forward(self, x):
            x = self.dense(x)
            raise ValueError("no")

    net = Failing()
    with pytest.raises(ValueError, match="no"):
        net(X)
    assert net.dense.params.weight.shape == (None, 2)
    assert not net.dense.params.bias.ready


def test_a_failing_initializer_leaves_the_old_values_and_names_the_parameter():
    net = nn.Sequential(nn.Dense(2)).initialize(seed=1, sample=X)
    before = values(net)

    def wrong(key, shape, dtype):
        return jnp.zeros((1, 1), dtype)

    with pytest.raises(ShapeError) as caught:
        net.initialize(init=wrong, force=True)
    same(values(net), before)
    assert "0.weight: initializer" in str(caught.value)
    assert "expected values of shape (3, 2), got (1, 1)" in str(caught.value)


def test_an_initializer_that_raises_is_named():
    def broken(key, shape, dtype):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        nn.Sequential(nn.Dense(2, init=broken))(X)
    assert "in the initializer of 0.weight" in caught.value.__notes__


def test_a_formula_that_needs_two_axes_names_the_vector():
    class Net(kuai.Block):
        def __init__(self):
            self.scale = kuai.Parameter(shape=(3,), init="he_normal")

    with pytest.raises(ArgumentError, match=r"scale: kuai.init.he_normal: expected a shape of at"):
        Net().initialize()


def test_random_integers_are_no_initial_values():
    class Net(kuai.Block):
        def __init__(self):
            self.table = kuai.Parameter(shape=(3, 2), dtype=jnp.int32)

    with pytest.raises(DtypeError, match=r"table: kuai.init.glorot_uniform: expected a floating"):
        Net().initialize()


def test_another_width_later_says_path_expected_and_got():
    net = nn.Sequential(nn.Dense(4), nn.Dense(2))
    net(X)
    text = "Sequential: 0 (Dense): expected an input with 3 features on axis -1, got shape (2, 5)"
    with pytest.raises(ShapeError, match=re.escape(text)):
        net(jnp.ones((2, 5)))


# ---- asking too early


def test_reading_too_early_says_what_to_call():
    text = (
        "Dense.weight: Parameter of shape (None, 2): its shape is not known yet; call the net "
        "once, or initialize(sample=...)"
    )
    with pytest.raises(DeferredInitError, match=re.escape(text)):
        _ = nn.Dense(2).weight


def test_reading_values_that_are_not_made_says_what_to_call():
    with pytest.raises(DeferredInitError, match="its values are not made yet; call the net once"):
        _ = nn.Dense(2).bias


def test_functional_too_early_names_the_parameter():
    with pytest.raises(DeferredInitError, match=re.escape("Sequential: 0.weight: Parameter")):
        kuai.functional(nn.Sequential(nn.Dense(2)))


# ---- blocks of users


class Scaled(kuai.Block):
    def __init__(self):
        self.scale = kuai.Parameter(shape=(None, 3), init="ones")

    def forward(self, x):
        return x @ self.scale


class ScaledByInput(Scaled):
    def infer_shapes(self, x):
        self.params.scale.settle((x.shape[-1], 3))


def test_unknown_shapes_of_a_users_block_need_infer_shapes():
    text = "Sequential: 0 (Scaled): the shapes of scale are not known; give them whole, or override"
    with pytest.raises(DeferredInitError, match=re.escape(text)):
        nn.Sequential(Scaled())(X)


def test_infer_shapes_settles_a_users_parameter():
    net = ScaledByInput()
    np.testing.assert_array_equal(net(X), np.full((2, 3), 3.0, np.float32))


def test_infer_shapes_that_settles_nothing_is_told_as_such():
    class Idle(Scaled):
        def infer_shapes(self, x):
            pass

    with pytest.raises(DeferredInitError, match=r"Idle.scale: .*its shape is not known yet"):
        Idle()(X)
    net = Idle()
    with pytest.raises(DeferredInitError, match=r"Idle.scale: .*its shape is not known yet"):
        kuai.grad(lambda x: net(x).sum(), wrt=0)(X)


def test_infer_shapes_may_not_contradict_what_is_known():
    class Wrong(Scaled):
        def infer_shapes(self, x):
            self.params.scale.settle((2, 4))

    with pytest.raises(ShapeError, match=re.escape("expected a parameter of shape (None, 3), got")):
        Wrong()(X)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision(dtype):
    net = nn.Dense(4, dtype=dtype)
    y = net(X.astype(dtype))
    assert (net.weight.dtype, net.bias.dtype, y.dtype) == (dtype, dtype, dtype)
    assert float(jnp.abs(net.weight.astype(jnp.float32)).sum()) > 0


def test_float64():
    with jax.enable_x64(True):
        net = nn.Dense(4, dtype=jnp.float64)
        assert net(jnp.ones((2, 3), jnp.float64)).dtype == jnp.float64
        assert net.weight.dtype == jnp.float64


# ---- forward runs once for its user


def test_side_effects_happen_once_a_call(capsys):
    class Counting(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)
            self.calls = 0
            self.count = kuai.State(0)

        def forward(self, x):
            self.calls += 1
            self.count += 1
            print("forward", x.shape)
            return self.dense(x)

    net = Counting()
    net(X)
    assert (net.calls, int(net.count)) == (1, 1)
    assert capsys.readouterr().out == "forward (2, 3)\n"
    with pytest.warns(HybridizeWarning, match=r"self\.calls"):
        net(X)
    assert (net.calls, int(net.count)) == (2, 2)
    assert capsys.readouterr().out == "forward (2, 3)\n"


def test_a_data_dependent_forward_has_its_side_effects_once():
    class Counting(Halving):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    net = Counting()
    net(X)
    assert net.calls == 1


def test_initialize_draws_no_random_numbers_and_leaves_state():
    net = nn.Sequential(nn.Dense(2), nn.Dropout(0.5), nn.BatchNorm())
    with kuai.train_mode():
        net.initialize(sample=X)
    assert kuai.random.get_state() == {"seed": 0, "count": 0}
    np.testing.assert_array_equal(net[2].running_mean, np.zeros(2, np.float32))


def test_what_other_threads_print_meanwhile_is_not_lost(capsys):
    class Waiting(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

        def forward(self, x):
            other = threading.Thread(target=print, args=("other",))
            other.start()
            other.join()
            print("mine")
            return self.dense(x)

    Waiting().initialize(sample=X)
    assert capsys.readouterr().out == "other\n"


def test_a_child_made_by_forward_is_kept_and_initialized():
    class Lazy(kuai.Block):
        dense = None

        def forward(self, x):
            if self.dense is None:
                self.dense = nn.Dense(x.shape[-1], init="ones")
            return self.dense(x)

    net = Lazy()
    np.testing.assert_array_equal(net(X), np.full((2, 3), 3.0, np.float32))
    assert [path for path, _ in net.named_parameters()] == ["dense.weight", "dense.bias"]


def test_a_branch_visited_later_is_settled_then():
    net = Branching()
    assert net(X).shape == (2, 2)
    assert not net.second.params.weight.ready
    net.use_second = True
    assert net(X).shape == (2, 4)
    eager = Branching()
    eager.use_second = True
    eager(X)
    np.testing.assert_array_equal(net.second.weight, eager.second.weight)


@pytest.mark.parametrize("way", ["grad", "hybrid", "vjp"])
def test_a_branch_visited_later_is_settled_inside_transforms(way):
    net = Branching()
    net(X)
    net.use_second = True
    if way == "grad":
        grads = kuai.grad(lambda net, x: net(x).sum())(net, X)
    elif way == "vjp":
        y, backward = net.vjp(X)
        grads = backward(jnp.ones_like(y))[0]
    else:
        grads = kuai.hybrid(kuai.grad(lambda net, x: net(x).sum()))(net, X)
    assert set(grads) == {"first.weight", "first.bias", "second.weight", "second.bias"}
    np.testing.assert_array_equal(grads["second.bias"], np.full(4, 2.0, np.float32))
    np.testing.assert_array_equal(grads["first.bias"], np.zeros(2, np.float32))


def test_a_forward_that_differentiates_a_child_is_initialized():
    class Energy(kuai.Block):
        def __init__(self):
            self.inner = nn.Dense(1, init="ones")

        def forward(self, x):
            grads = kuai.grad(lambda net, x: net(x).sum())(self.inner, x)
            return grads["weight"].sum() + kuai.grad(lambda net, x: net(x).sum(), wrt=1)(
                self.inner, x
            )

    np.testing.assert_array_equal(Energy()(X), np.full((2, 3), 7.0, np.float32))
    np.testing.assert_array_equal(Energy().hybridize()(X), np.full((2, 3), 7.0, np.float32))


def test_a_catch_all_in_forward_does_not_hide_missing_values():
    class Careful(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

        def forward(self, x):
            try:
                return self.dense(x)
            except Exception:
                return x

    net = Careful()
    assert kuai.grad(lambda x: net(x).sum(), wrt=0)(X).shape == (2, 3)
    assert net.dense.params.weight.ready


def test_forward_that_is_not_defined_is_told_before_shapes():
    class Empty(kuai.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

    with pytest.raises(ForwardNotDefinedError, match="Empty: expected Empty to define forward"):
        Empty()(X)
