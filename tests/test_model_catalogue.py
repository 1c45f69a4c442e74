"""What holds for every model: each test runs over tests/catalogue_models.py."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai import models
from kuai.core.initialize import dry_run
from kuai.models.translation import Rule, convolution, linear, translated
from kuai.testing import check_gradient
from tests.catalogue_models import QUICK, QUICK_SIZES, SIZES, SMALL


def each(names, quick):
    return [pytest.param(n, marks=[] if n in quick else [pytest.mark.slow]) for n in names]


def relative_error(found, wanted):
    return np.abs(np.asarray(found, np.float64) - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("name", each(SIZES, QUICK_SIZES))
def test_parameters_are_as_many_as_published(name):
    """Shapes are settled by an abstract run: no array is made."""
    make, parameters, shape = SIZES[name]
    net = make()
    x = jnp.zeros(shape, jnp.int32 if len(shape) == 2 else jnp.float32)
    dry_run(net, (x,), {})
    assert sum(math.prod(holder.shape) for holder in net.parameters()) == parameters
    assert not any(holder.ready and holder.init is not None for holder in net.parameters())


@pytest.mark.parametrize("name", each(SMALL, QUICK))
def test_compiled_is_eager(name):
    small = SMALL[name]
    net, x = small.make(), small.inputs()
    expected = net.hybridize(False)(x)
    assert expected.shape == small.output
    assert relative_error(net.hybridize()(x), expected) < 1e-5


@pytest.mark.parametrize("name", each(SMALL, QUICK))
def test_an_empty_batch_gives_no_rows(name):
    small = SMALL[name]
    assert small.make()(small.inputs(batch=0)).shape == (0, *small.output[1:])


@pytest.mark.parametrize("name", each(SMALL, QUICK))
def test_files_keep_it(name, tmp_path):
    small = SMALL[name]
    net, x = small.make(), small.inputs()
    expected = net(x)
    net.save(tmp_path / "net.safetensors")
    kuai.seed(1)
    other = small.make()
    assert not np.array_equal(other(x), expected)
    assert relative_error(other.load(tmp_path / "net.safetensors")(x), expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_gradient_is_the_finite_difference(name):
    small = SMALL[name]
    net, x = small.make(), small.inputs()
    net(x)
    normal = np.random.default_rng(0).standard_normal
    for _, parameter in net.named_holders(kuai.Parameter):  # away from the kinks at biases of zero
        parameter.write(parameter.array + 0.1 * normal(parameter.shape).astype(np.float32))
    with kuai.eval_mode():
        check_gradient(net, x, elements=2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", each(SMALL, ("lenet",)))
def test_it_learns_an_example_by_heart(name):
    """Every parameter that the output depends on moves, and the loss falls."""
    small = SMALL[name]
    net, x = small.make(), small.inputs()
    logits = net(x)
    labels = jnp.asarray(np.arange(math.prod(logits.shape[:-1])).reshape(logits.shape[:-1]) % 3)

    def loss(net, x):
        return kuai.losses.softmax_cross_entropy(net(x), labels)

    with kuai.eval_mode():
        before, gradients = kuai.value_and_grad(loss)(net, x)
        norm = sum(float((g**2).sum()) for g in gradients.values())
        for path, parameter in net.named_parameters():
            parameter.array = parameter.array - 1e-2 * gradients[path] / max(norm, 1e-12) ** 0.5
        assert loss(net, x) < before


CONVNEXT = {"hidden_sizes": [4, 6], "depths": [1, 2], "num_stages": 2, "patch_size": 2,
            "num_labels": 3, "num_channels": 3}  # fmt: skip


def _convnext_rules():
    unit = r"convnext\.encoder\.stages\.(\d+)\.layers\.(\d+)\."
    half = r"convnext\.encoder\.stages\.(\d+)\.downsampling_layer\."
    stem = r"convnext\.embeddings\."
    body = r"stages.\1.units.\2."
    return [
        Rule(stem + r"patch_embeddings\.weight", ("stem.0.weight",), convolution),
        Rule(stem + r"patch_embeddings\.bias", ("stem.0.bias",)),
        Rule(stem + r"layernorm\.(weight|bias)", (r"stem.1.\1",)),
        Rule(half + r"0\.(weight|bias)", (r"stages.\1.half.0.\2",)),
        Rule(half + r"1\.weight", (r"stages.\1.half.1.weight",), convolution),
        Rule(half + r"1\.bias", (r"stages.\1.half.1.bias",)),
        Rule(unit + r"dwconv\.weight", (body + "body.0.weight",), convolution),
        Rule(unit + r"dwconv\.bias", (body + "body.0.bias",)),
        Rule(unit + r"layernorm\.(weight|bias)", (body + r"body.1.\3",)),
        Rule(unit + r"pwconv1\.weight", (body + "body.2.weight",), linear),
        Rule(unit + r"pwconv1\.bias", (body + "body.2.bias",)),
        Rule(unit + r"pwconv2\.weight", (body + "body.3.weight",), linear),
        Rule(unit + r"pwconv2\.bias", (body + "body.3.bias",)),
        Rule(unit + r"layer_scale_parameter", (body + "scale",)),
        Rule(r"convnext\.layernorm\.(weight|bias)", (r"norm.\1",)),
        Rule(r"classifier\.weight", ("head.weight",), linear),
        Rule(r"classifier\.bias", ("head.bias",)),
    ]


@pytest.mark.slow
def test_convnext_gives_the_logits_of_transformers():
    torch = pytest.importorskip("torch", reason="make peers installs it")
    transformers = pytest.importorskip("transformers", reason="make peers installs it")
    torch.manual_seed(0)
    peer = transformers.ConvNextForImageClassification(transformers.ConvNextConfig(**CONVNEXT))
    with torch.no_grad():
        for parameter in peer.eval().parameters():  # a fresh one scales its units by 1e-6
            parameter.add_(0.3 * torch.randn_like(parameter))
        x = torch.randn(2, 3, 16, 12)
        expected = peer(pixel_values=x).logits.numpy()
    arrays = {name: array.detach().numpy() for name, array in peer.state_dict().items()}
    net = models.ConvNeXt((1, 2), (4, 6), 3, patch=2)
    images = jnp.asarray(x.permute(0, 2, 3, 1).numpy())
    net(images)
    placed = translated(arrays, _convnext_rules())
    holders = dict(net.named_parameters())
    assert holders.keys() == placed.keys()
    for path, array in placed.items():
        assert holders[path].shape == array.shape, path
        holders[path].array = jnp.asarray(array)
    assert relative_error(net(images), expected) < 1e-4
