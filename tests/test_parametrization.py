"""Parametrizations set on blocks from outside: what the catalogue does not ask."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import kuai
from kuai import nn
from kuai.errors import ArgumentError, DeferredInitError, ShapeError, TransformError

X = jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)
modes = pytest.mark.parametrize("hybridized", [False, True], ids=["plain", "hybridized"])
SETTERS = [nn.weight_norm, lambda net: nn.weight_norm(net, axis=0), nn.spectral_norm, nn.lora]
setters = pytest.mark.parametrize(
    "put", SETTERS, ids=["weight_norm", "axis 0", "spectral_norm", "lora"]
)
any_nn: Any = nn  # so that mypy lets bad arguments pass


class Scaled(kuai.Block):
    """A parametrization of a test's own, with an inverse."""

    def __init__(self):
        super().__init__()
        self.factor = kuai.Parameter(jnp.array(2.0))
        self.calls = kuai.State(0)

    def forward(self, weight):
        self.calls += 1
        return weight * self.factor

    def inverse(self, weight):
        return weight / self.factor


def made(**options):
    return nn.Dense(2, **options).initialize(seed=1, sample=X)


def near(found, expected, rtol=1e-5):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("put", [SETTERS[0], SETTERS[1], SETTERS[3]])
def test_at_first_nothing_changes(put):
    near(put(made()).weight, made().weight)
    near(put(nn.Dense(2)).initialize(seed=1, sample=X).weight, made().weight)  # shapes unknown yet
    table = nn.Embedding(5, 4)
    wrapped = nn.lora(nn.Embedding(5, 4), select="").initialize(seed=1)
    near(wrapped.weight, table.initialize(seed=1).weight)


def test_a_net_of_its_own_init_may_use_it():
    class Net(kuai.Block):
        def __init__(self):
            self.body = nn.weight_norm(nn.Dense(4))
            self.head = nn.spectral_norm(nn.Dense(2))

        def forward(self, x):
            return self.head(self.body(x))

    net = Net()
    assert net(X).shape == (4, 2)
    assert [path for path, _ in net.named_holders()] == [
        "body.weight",
        "body.bias",
        "body.weight_norm.magnitude",
        "head.weight",
        "head.bias",
        "head.weight_spectral.left",
        "head.weight_spectral.right",
    ]
    near(jnp.linalg.norm(net.head.weight, 2), 1, rtol=1e-3)


@modes
def test_spectral_norm_trains_as_torchs(hybridized):
    torch = pytest.importorskip("torch", reason="torch is not installed; `make peers` adds it")
    with jax.enable_x64(True):
        net = nn.spectral_norm(made(dtype="float64"), iterations=2).hybridize(hybridized)
        module = torch.nn.Linear(3, 2).double()
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(np.array(net.params.weight.array.T)))
            module.bias.copy_(torch.from_numpy(np.array(net.bias)))
        peer = torch.nn.utils.parametrizations.spectral_norm(module, n_power_iterations=2)
        inside = peer.parametrizations.weight[0]
        with torch.no_grad():
            inside._u.copy_(torch.from_numpy(np.array(net.weight_spectral.left)))
            inside._v.copy_(torch.from_numpy(np.array(net.weight_spectral.right)))
        x = X.astype("float64")
        for _ in range(3):
            net.params.weight.array = net.params.weight.array * 1.5 + 0.1
            with torch.no_grad():
                peer.parametrizations.weight.original.mul_(1.5).add_(0.1)
            gradients = kuai.grad(lambda net, x: jnp.sin(net(x)).sum())(net, x)
            peer.zero_grad()
            torch.sin(peer(torch.from_numpy(np.array(x)))).sum().backward()
            near(gradients["weight"], peer.parametrizations.weight.original.grad.T, rtol=1e-9)
            near(net.weight_spectral.left, inside._u, rtol=1e-9)
            near(net.weight_spectral.right, inside._v, rtol=1e-9)
        peer.eval()
        near(net(x), peer(torch.from_numpy(np.array(x))).detach(), rtol=1e-9)


@modes
def test_state_moves_once_a_call_and_not_by_looking(hybridized):
    net = nn.parametrize(made(), "weight", Scaled()).hybridize(hybridized)
    before = int(net.weight_scaled.calls)
    for _ in range(3):
        net(X)  # forward reads the weight twice
    assert int(net.weight_scaled.calls) == before + 3
    spectral = nn.spectral_norm(made())
    left = spectral.weight_spectral.left
    with kuai.train_mode():
        near(spectral.weight, spectral.weight)
        np.testing.assert_array_equal(spectral.weight_spectral.left, left)
        spectral.params.weight.array = jnp.ones((3, 2)) + X[:3, :2]
        spectral(X)
    assert (spectral.weight_spectral.left != left).any()


@modes
def test_a_gradient_inside_forward_sees_what_it_binds(hybridized):
    class Penalized(nn.Dense):
        def forward(self, x):
            magnitude = self.weight_norm.params.magnitude
            holders = (self.params.weight, magnitude)
            return kuai.grad(lambda _: jnp.square(self.weight).sum(), wrt=holders)(self)

    net = nn.weight_norm(Penalized(2)).hybridize(hybridized)
    of_direction, of_magnitude = net(X)
    near(of_magnitude, 2 * net.weight_norm.magnitude)
    near(of_direction, jnp.zeros((3, 2)))


@modes
def test_a_weight_that_forward_assigns_reads_as_assigned(hybridized):
    class Doubling(nn.Dense):
        def forward(self, x):
            self.weight = self.weight * 2
            return x @ self.weight

    plain = made().weight
    net = nn.weight_norm(Doubling(2).initialize(seed=1, sample=X)).hybridize(hybridized)
    near(net(X), X @ (2 * plain))
    near(net.weight, 2 * plain)


@pytest.mark.parametrize("put", [SETTERS[0], SETTERS[1], SETTERS[3]])
def test_it_can_be_assigned_where_there_is_an_inverse(put):
    net = put(made())
    for path, holder in net.named_parameters("weight_*"):
        holder.array = holder.array + len(path)
    net.weight = jnp.arange(6.0).reshape(3, 2)
    near(net.weight, jnp.arange(6.0).reshape(3, 2))


@setters
@modes
def test_removed_it_computes_the_same(put, hybridized):
    net = put(made()).hybridize(hybridized)
    for _, holder in net.named_parameters("weight_*"):
        holder.array = holder.array + 0.5
    expected = net(X)
    assert repr(nn.remove_parametrization(net)) == "Dense(2)"
    near(net(X), expected)
    assert [path for path, _ in net.named_holders()] == ["weight", "bias"]


def test_removed_without_keeping_it_is_what_it_was():
    net = nn.lora(nn.spectral_norm(made()))
    nn.remove_parametrization(net, keep=False)
    np.testing.assert_array_equal(net.weight, made().weight)
    unmade = nn.weight_norm(nn.Dense(2))
    with pytest.raises(DeferredInitError):
        nn.remove_parametrization(unmade)
    assert repr(nn.remove_parametrization(unmade, keep=False)) == "Dense(2)"


def test_of_several_any_can_be_removed():
    def both():
        net = nn.lora(nn.weight_norm(made()), rank=1)
        net.weight_lora.up = jnp.ones((1, 2))
        net.weight_norm.magnitude = net.weight_norm.magnitude * 3
        return net

    expected = both().weight
    for kind, left in (
        (nn.WeightNorm, "lora(Dense(2), rank=1)"),
        (nn.LoRA, "weight_norm(Dense(2)"),
    ):
        net = nn.remove_parametrization(both(), kind)
        assert repr(net).startswith(left)
        near(net.weight, expected)


@setters
@pytest.mark.parametrize(
    "copied",
    [lambda net: net.copy(), copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_begin_anew_by_themselves(put, copied):
    """Values that follow from a parameter follow from the copy's own."""
    net = put(made())
    twin = copied(net)
    twin.initialize(seed=7, force=True)
    fresh = put(nn.Dense(2)).initialize(seed=7, sample=X)
    near(twin.weight, fresh.weight)
    near(net.weight, put(made()).weight)


def test_a_tied_parameter_is_read_through_what_stands_beside_it():
    first, second = nn.Dense(3), nn.weight_norm(nn.Dense(3))
    second.weight = first.params.weight
    net = nn.Sequential(first, second).initialize(seed=1, sample=X)
    assert len(net.parameters()) == 4
    near(second.weight, first.weight)
    second.weight_norm.magnitude = second.weight_norm.magnitude * 2
    near(second.weight, 2 * first.weight)


def test_replicas_have_values_of_their_own():
    net = kuai.replicate(nn.weight_norm(nn.Dense(3)), 3).initialize(sample=X)
    for layer in net:
        near(layer.weight_norm.magnitude, jnp.linalg.norm(layer.params.weight.array, axis=0)[None])
    assert len(net.parameters()) == 9


@setters
def test_cast_and_frozen(put):
    net = put(made()).astype("bfloat16")
    assert (net.weight.dtype, net(X.astype("bfloat16")).dtype) == ("bfloat16", "bfloat16")
    assert not any(parameter.trainable for parameter in net.freeze().parameters())


@setters
def test_training_lowers_the_loss(put):
    net = put(nn.Dense(2).initialize(seed=1, sample=X))
    trainer = kuai.Trainer(net, optax.adam(0.1), kuai.losses.mse)
    losses = [float(trainer.step((X, jnp.full((4, 2), 0.3))).loss) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_remat_and_capture_with_it():
    net = nn.Sequential(nn.weight_norm(nn.Dense(3)), nn.Dense(1)).initialize(seed=1, sample=X)
    expected = kuai.grad(lambda net, x: net(x).sum())(net, X)
    net[0].remat()
    for path, gradient in kuai.grad(lambda net, x: net(x).sum())(net, X).items():
        near(gradient, expected[path])
    _, outputs = kuai.capture(net, "0.weight_norm")(X)
    near(outputs["0.weight_norm"], net[0].weight)


def test_it_compiles_anew_when_one_is_set_or_removed():
    net = made().hybridize()
    first = net(X)
    nn.parametrize(net, "weight", Scaled())
    near(net(X) - net.bias, 2 * (first - net.bias))
    nn.remove_parametrization(net, keep=False)
    near(net(X), first)
    assert net.explain().compilations == ("a new signature", "a block changed")


def test_many_blocks_at_once_by_selection():
    net = nn.Sequential(nn.Dense(4), nn.LayerNorm(), nn.Dense(3), nn.Embedding(4, 2))
    nn.weight_norm(net, select=re.compile("^[012]"))
    assert [type(block).__name__ for block in net.blocks("*.*")] == ["WeightNorm", "WeightNorm"]
    with pytest.raises(ArgumentError, match="one stands there already"):
        nn.weight_norm(net, select=None)
    assert len(net.blocks(nn.WeightNorm)) == 2  # none of the others has one


# ---- adapters


def test_lora_trains_nothing_but_adapters():
    net = nn.Sequential(("query", nn.Dense(3)), ("value", nn.Dense(3)), ("head", nn.Dense(2)))
    nn.lora(net.initialize(sample=X), rank=2, select="[qv]*")
    before = {path: p.array for path, p in net.named_parameters()}
    trainer = kuai.Trainer(net, optax.sgd(0.5), kuai.losses.mse)
    for _ in range(3):
        trainer.step((X, jnp.ones((4, 2))))
    changed = {p for p, h in net.named_parameters() if (h.array != before[p]).any()}
    adapters = ["query.weight_lora", "value.weight_lora"]
    assert sorted(changed) == [f"{a}.{name}" for a in adapters for name in ("down", "up")]
    nn.lora(net, rank=1, select="head")
    assert len([p for p in net.parameters() if p.trainable]) == 6


@modes
def test_lora_in_dense_and_embedding_never_forms_the_product(hybridized):
    net = nn.Sequential(nn.Embedding(50, 40), nn.Dense(30, activation="tanh"))
    nn.lora(net.initialize(), rank=2, select=(nn.Embedding, nn.Dense))
    net(jnp.zeros((4, 1), jnp.int32))
    apply, params, state = kuai.functional(net.hybridize(hybridized))
    tuned = {path: array for path, array in params.items() if "lora" in path}

    def loss(tuned):
        return apply({**params, **tuned}, state, jnp.arange(5))[0].sum()

    text = str(jax.make_jaxpr(jax.grad(loss))(tuned))
    outputs = re.findall(r"f32\[(\d+),(\d+)\] = dot_general", text)
    assert outputs
    assert not {("50", "40"), ("40", "30")} & set(outputs)


@modes
def test_dropout_is_of_the_adapters_input_alone(hybridized):
    net = nn.lora(made(), rank=2, dropout=0.5).hybridize(hybridized)
    with kuai.train_mode():
        near(net(X), made()(X))
        net.weight_lora.up = jnp.ones((2, 2))
        x = jnp.ones((200, 3))
        low = (net(x) - made()(x)).round(4)
    assert len(np.unique(low[:, 0])) > 4
    near(net(x), x @ net.weight + net.bias)


@modes
def test_merged_it_is_a_plain_net_and_can_be_taken_apart_again(hybridized):
    net = nn.lora(made(), rank=2, alpha=3.0).hybridize(hybridized)
    net.weight_lora.up = jnp.ones((2, 2))
    expected = net(X)
    adapters = nn.merge_lora(net)
    assert (repr(net), list(adapters)) == ("Dense(2)", ["weight_lora"])
    near(net(X), expected)
    nn.unmerge_lora(net, adapters)
    near(net.params.weight.array, made().weight)
    near(net(X), expected)


def test_adapters_are_saved_and_loaded_alone(tmp_path):
    def fresh(seed):
        return nn.Sequential(nn.Dense(4), nn.Dense(2)).initialize(seed=seed, sample=X)

    fresh(1).save(tmp_path / "plain.safetensors")
    net = nn.lora(fresh(1), rank=2)
    for _, holder in net.named_parameters("*_lora.*"):
        holder.array = holder.array + 0.25
    net.save(tmp_path / "adapters.safetensors", select="*_lora.*")
    assert (tmp_path / "adapters.safetensors").stat().st_size < 2500

    other = nn.lora(fresh(2), rank=2)
    other.load(tmp_path / "plain.safetensors", select=lambda path, _: "lora" not in path)
    other.load(tmp_path / "adapters.safetensors", select="*_lora.*")
    np.testing.assert_array_equal(other(X), net(X))
    net.save(tmp_path / "all.safetensors")
    other = nn.lora(fresh(3), rank=2).load(tmp_path / "all.safetensors", select="0.*")
    np.testing.assert_array_equal(other[0].weight, net[0].weight)
    assert (other[1].weight != net[1].weight).any()
    with pytest.raises(ArgumentError, match="selects no parameter"):
        net.save(tmp_path / "none.safetensors", select="nothing")
    with pytest.raises(ArgumentError, match="selects no parameter"):
        net.load(tmp_path / "all.safetensors", select="nothing")


def test_a_convolution_shaped_parameter():
    class Kernel(kuai.Block):
        def __init__(self):
            self.weight = kuai.Parameter(shape=(3, 3, 4, 5), init="normal")

        def forward(self, x):
            return x * self.weight.sum()

    net = Kernel().initialize()
    weight = net.weight
    nn.lora(net, rank=2, select="")
    assert net.weight_lora.down.shape == (3, 3, 4, 2)
    nn.weight_norm(net)
    near(net.weight, weight)
    assert net.weight_norm.magnitude.shape == (1, 1, 1, 5)
    near(kuai.grad(lambda net: net(1.0))(net)["weight_lora.up"].shape, (2, 5))


# ---- errors


class Square(kuai.Block):
    def forward(self, weight):
        return weight[:2]


class OwnBackward(nn.Dense):
    def backward(self, residuals, gradient):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("run", "error", "text"),
    [
        (
            lambda: nn.weight_norm(nn.ReLU()),
            ArgumentError,
            (
                "ReLU: expected a parameter 'weight' of at least 2 axes, got none; there are none; "
                "choose blocks by select=, parameters by names="
            ),
        ),
        (
            lambda: nn.spectral_norm(made(), ("bias", "kernel")),
            ArgumentError,
            (
                "Dense: expected a parameter 'bias' or 'kernel' of at least 2 axes, got none; "
                "there are weight, bias; choose"
            ),
        ),
        (
            lambda: nn.lora(made(), select="*.query"),
            ArgumentError,
            "the blocks that '*.query' selects: expected a parameter 'weight' of at least 2 axes",
        ),
        (
            lambda: nn.lora(nn.lora(made())),
            ArgumentError,
            (
                "Dense.weight_lora: expected 'weight' without LoRA, and one stands there already; "
                "take it off first by nn.remove_parametrization"
            ),
        ),
        (
            lambda: nn.weight_norm(OwnBackward(2)),
            ArgumentError,
            (
                "OwnBackward.weight: expected a block whose gradient JAX takes, and OwnBackward "
                "defines its own backward"
            ),
        ),
        (
            lambda: nn.lora(nn.Embedding(3, 2), select="", dropout=0.1),
            ArgumentError,
            "lora: expected Dense blocks alone for dropout=0.1, got Embedding; select them, or",
        ),
        (
            lambda: nn.lora(made(), rank=0),
            ArgumentError,
            "lora: expected rank to be an integer of at least 1, got 0; write",
        ),
        (lambda: nn.lora(made(), alpha=-1), ArgumentError, "lora: expected alpha to be a number"),
        (lambda: nn.lora(made(), dropout=1), ArgumentError, "lora: expected dropout to be a num"),
        (
            lambda: nn.spectral_norm(made(), iterations=0),
            ArgumentError,
            "spectral_norm: expected iterations to be an integer of at least 1, got 0",
        ),
        (
            lambda: nn.spectral_norm(made(), epsilon=-1.0),
            ArgumentError,
            "spectral_norm: expected epsilon to be a number",
        ),
        (
            lambda: any_nn.weight_norm(made(), axis="0"),
            ArgumentError,
            "weight_norm: expected axis to be an integer, got '0'",
        ),
        (
            lambda: nn.weight_norm(made(), axis=2),
            ShapeError,
            "expected a parameter with an axis 2, got shape (3, 2); choose another axis",
        ),
        (
            lambda: nn.spectral_norm(nn.Dense(2), axis=2)(X),
            ShapeError,
            (
                "Dense: weight_spectral (SpectralNorm): expected a parameter with an axis 2, got "
                "shape (3, 2); choose another axis"
            ),
        ),
        (
            lambda: any_nn.parametrize(made(), "weight", jnp.tanh),
            ArgumentError,
            "parametrize: expected a block, got ",
        ),
        (
            lambda: nn.parametrize(made(), "wait", Scaled()),
            ArgumentError,
            "Dense: expected a parameter 'wait', got none; there are weight, bias; choose",
        ),
        (
            lambda: nn.parametrize(made(), "weight", Square())(X),
            ShapeError,
            (
                "Dense: expected Square to keep the shape (3, 2) of Dense.weight, got (2, 2); "
                "return an array of that shape"
            ),
        ),
        (
            lambda: setattr(nn.spectral_norm(made()), "weight", jnp.ones((3, 2))),
            TransformError,
            (
                "Dense.weight: expected a parameter that can be assigned, and it goes through "
                "SpectralNorm, which has no inverse; set the array behind it by "
                "params.weight.array = ..., or take the parametrization off"
            ),
        ),
        (
            lambda: nn.remove_parametrization(made()),
            ArgumentError,
            (
                "remove_parametrization: expected a parametrization on Dense or below, got none of "
                "that kind; net.named_blocks() lists what stands there"
            ),
        ),
        (
            lambda: nn.merge_lora(nn.weight_norm(made())),
            ArgumentError,
            "merge_lora: expected adapters on Dense or below, got none; nn.lora puts them there",
        ),
        (
            lambda: nn.unmerge_lora(nn.lora(made()), nn.merge_lora(nn.lora(made()))),
            ArgumentError,
            "Dense.weight_lora: expected 'weight' without LoRA, and one stands there already",
        ),
    ],
)
def test_errors(run, error, text):
    with pytest.raises(error, match=re.escape(text)):
        run()


def test_a_refused_one_leaves_nothing_behind():
    net = nn.Sequential(nn.Dense(2), nn.Embedding(3, 2))
    with pytest.raises(ArgumentError, match="expected Dense blocks alone"):
        nn.lora(net, select=(nn.Dense, nn.Embedding), dropout=0.5)
    with pytest.raises(ShapeError):
        nn.weight_norm(nn.Sequential(nn.Dense(2)).initialize(sample=X), select="0", axis=5)
    assert repr(net) == "Sequential(Dense(2), Embedding(3, 2))"
    assert all(parameter.trainable for parameter in net.parameters())
