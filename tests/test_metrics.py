"""Metrics: against scikit-learn, however the examples are cut into batches, compiled or not."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuai import losses, metrics
from kuai.errors import ArgumentError, DataError, DtypeError, ShapeError
from kuai.metrics.metric import zero

CLASSES = 5


def scores(examples: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that find the right class about every other time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, examples).astype(np.int32)
    logits = rng.normal(size=(examples, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
    return logits.astype(np.float32), labels


def quantities(examples: int = 40, outputs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    target = rng.normal(size=(examples, outputs)) * 2 + 100
    return (target + rng.normal(size=target.shape)).astype(np.float32), target.astype(np.float32)


def sklearn_top(k: int, logits: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.metrics import top_k_accuracy_score

    return top_k_accuracy_score(labels, logits, k=k, labels=range(CLASSES))


def sklearn_of_classes(name: str, **options: Any) -> Any:
    import sklearn.metrics

    function = getattr(sklearn.metrics, name)
    return lambda logits, labels: function(labels, logits.argmax(-1), **options)


def sklearn_of_numbers(name: str) -> Any:
    import sklearn.metrics

    function = getattr(sklearn.metrics, name)
    return lambda output, target: function(target.astype(float), output.astype(float))


MACRO = {"average": "macro", "zero_division": 0}
CASES = {
    "accuracy": (metrics.accuracy(), scores, sklearn_of_classes("accuracy_score")),
    "top 1": (metrics.top_k_accuracy(1), scores, functools.partial(sklearn_top, 1)),
    "top 3": (metrics.top_k_accuracy(3), scores, functools.partial(sklearn_top, 3)),
    "precision": (
        metrics.precision(CLASSES),
        scores,
        sklearn_of_classes("precision_score", **MACRO),
    ),
    "recall": (metrics.recall(CLASSES), scores, sklearn_of_classes("recall_score", **MACRO)),
    "f1": (metrics.f1(CLASSES), scores, sklearn_of_classes("f1_score", **MACRO)),
    "confusion": (
        metrics.confusion_matrix(CLASSES),
        scores,
        sklearn_of_classes("confusion_matrix", labels=range(CLASSES)),
    ),
    "mae": (metrics.mae(), quantities, sklearn_of_numbers("mean_absolute_error")),
    "mse": (metrics.mse(), quantities, sklearn_of_numbers("mean_squared_error")),
    "r2": (metrics.r2(3), quantities, sklearn_of_numbers("r2_score")),
}


def gathered(metric: metrics.Metric, output: Any, target: Any, cuts: list[int]) -> Any:
    state = metric.init()
    for part in zip(np.split(output, cuts), np.split(target, cuts), strict=True):
        state = metric.update(state, *part)
    return metric.compute(state)


@pytest.mark.parametrize("name", CASES)
def test_metrics_agree_with_scikit_learn(name):
    metric, data, theirs = CASES[name]
    output, target = data()
    np.testing.assert_allclose(metric(output, target), theirs(output, target), rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_how_the_examples_are_cut_makes_no_difference(name):
    metric, data, theirs = CASES[name]
    output, target = data()
    found = gathered(metric, output, target, [1, 8, 16, 39])
    np.testing.assert_allclose(found, theirs(output, target), rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_metrics_are_gathered_inside_a_compiled_loop(name):
    metric, data, theirs = CASES[name]
    output, target = data()
    batches = output.reshape(4, 10, -1), target.reshape(4, 10, *target.shape[1:])

    @jax.jit
    def run(batches: Any) -> Any:
        step = lambda state, batch: (metric.update(state, *batch), None)  # noqa: E731
        return metric.compute(jax.lax.scan(step, metric.init(), batches)[0])

    np.testing.assert_allclose(run(batches), theirs(output, target), rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_16_bit_outputs_are_taken(name, dtype):
    metric, data, theirs = CASES[name]
    output, target = data()
    low = jnp.asarray(output, dtype)
    expected = theirs(np.asarray(low, np.float32), target)
    np.testing.assert_allclose(jax.jit(metric)(low, target), expected, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"confusion"}))
def test_in_float64_metrics_are_float64(name):
    metric, data, theirs = CASES[name]
    output, target = (a.astype(np.float64) if a.dtype == np.float32 else a for a in data())
    with jax.enable_x64(True):
        found = metric(output, target)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, theirs(output, target), rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_before_the_first_batch_there_is_no_value(name):
    metric, _, _ = CASES[name]
    found = np.asarray(metric.compute(metric.init()))
    assert np.isnan(found).all() if found.ndim == 0 else (found == 0).all()


# --- sums ----------------------------------------------------------------------------------------


def test_a_count_goes_on_beyond_what_float32_can_count():
    metric = metrics.accuracy()
    (high, low), count = metric.init()
    start = (type(count)(high + 2.0**25, low), type(count)(count.high + 2.0**25, count.low))
    one = np.array([[0.0, 1.0]], np.float32), np.array([1], np.int32)

    @jax.jit
    def run(state: Any) -> Any:
        return jax.lax.fori_loop(0, 1001, lambda _, state: metric.update(state, *one), state)

    for total in run(start):
        assert float(total.high) + float(total.low) == 2**25 + 1001


@jax.jit
def added(values: Any) -> Any:
    return jax.lax.scan(lambda total, value: (total.plus(value), None), zero(), values)[0]


@given(st.lists(st.floats(-(2**20), 2**20, width=32), min_size=50, max_size=50))
def test_sums_are_kept_with_twice_the_precision(values):
    total = added(np.array(values, np.float32))
    found = float(total.high) + float(total.low)
    assert abs(found - math.fsum(values)) <= 1e-11 * math.fsum(map(abs, values))


# --- what outputs and targets may be -------------------------------------------------------------


@pytest.mark.parametrize("name", ["accuracy", "f1", "confusion"])
def test_one_hot_targets_and_more_axes_are_taken(name):
    metric, data, theirs = CASES[name]
    logits, labels = data()
    hot = np.eye(CLASSES)[labels]
    np.testing.assert_allclose(metric(logits, hot), theirs(logits, labels), rtol=1e-6)
    images = logits.reshape(2, 20, CLASSES), labels.reshape(2, 20)
    np.testing.assert_allclose(metric(*images), theirs(logits, labels), rtol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize("dtype", [np.int32, np.float32, bool])
def test_a_single_score_answers_yes_or_no(shape, dtype):
    output = np.array([3, -1, 2, -2, 0.5, -0.5], np.float32).reshape(shape)
    target = np.array([1, 0, 0, 0, 1, 1]).reshape(shape).astype(dtype)
    assert metrics.accuracy()(output, target) == np.float32(4 / 6)
    assert metrics.confusion_matrix()(output, target).tolist() == [[2, 1], [1, 2]]
    assert metrics.precision()(output, target) == np.float32(2 / 3)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_classes_that_do_not_occur_do_not_count(name):
    import sklearn.metrics

    found, actual = np.array([0, 1, 1, 3]), np.array([0, 1, 0, 0])
    theirs = getattr(sklearn.metrics, f"{name}_score")(actual, found, **MACRO)
    metric = getattr(metrics, name)(CLASSES)
    np.testing.assert_allclose(metric(np.eye(CLASSES)[found], actual), theirs, rtol=1e-6)


@pytest.mark.parametrize(("shift", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_r2_of_a_constant_target_is_one_or_zero(shift, expected):
    target = jnp.full(4, 2.0)
    assert metrics.r2()(target + shift, target) == expected


def test_a_wrong_label_in_a_compiled_program_counts_as_an_error_of_the_net():
    logits, labels = jnp.eye(2), jnp.array([0, -1])
    assert jax.jit(metrics.accuracy())(logits, labels) == 0.5
    assert jax.jit(metrics.top_k_accuracy(2))(logits, labels) == 0.5
    assert jax.jit(metrics.confusion_matrix())(logits, labels).tolist() == [[1, 0], [0, 0]]


# --- functions as metrics ------------------------------------------------------------------------


def test_the_mean_of_a_function_weights_batches_by_their_examples():
    output, target = quantities()
    metric = metrics.mean_loss(losses.log_cosh)
    expected = losses.log_cosh(output, target)
    np.testing.assert_allclose(gathered(metric, output, target, [1, 8]), expected, rtol=1e-6)


def test_a_function_may_give_a_number_for_each_example_and_be_partial():
    each = functools.partial(losses.mse, reduction="none")
    metric = metrics.as_metric(each)
    assert metric.name == "mse"
    assert metric(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])) == 2
    assert metrics.mean_loss(each, name="own").name == "own"


# --- as_metric -----------------------------------------------------------------------------------

NAMES = ["accuracy", "confusion_matrix", "f1", "mae", "mse", "precision", "r2", "recall"]


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_found_by_its_name_and_by_its_function(name):
    metric = metrics.as_metric(name)
    assert metric.name == name
    assert metrics.as_metric(getattr(metrics, name)) is metric
    assert metrics.as_metric(metric) is metric


def test_equal_metrics_are_the_same_object_so_that_nothing_compiles_twice():
    assert metrics.f1(3) is metrics.f1(3)
    assert metrics.as_metric("f1") is metrics.f1()
    assert metrics.top_k_accuracy(5).name == "top_5_accuracy"


class Own:
    name = "own"
    init = update = compute = staticmethod(lambda *arguments: 0)


def test_an_object_with_the_four_attributes_is_a_metric():
    metric = Own()
    assert metrics.as_metric(metric) is metric


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (
            "acuracy",
            "no metric is called 'acuracy': did you mean 'accuracy' or 'top_k_accuracy'? There",
        ),
        ("bleu", "no metric is called 'bleu': There are accuracy, confusion_matrix, f1, mae, mse"),
        (None, "expected a metric: a name (accuracy, "),
        (Own, "or a function of (output, target), got <class"),
    ],
)
def test_what_is_no_metric_is_refused(metric, text):
    with pytest.raises(ArgumentError) as caught:
        metrics.as_metric(metric)
    assert text in str(caught.value)


Z = np.zeros((3, 4), np.float32)

BAD_CALLS = [
    (metrics.accuracy(), Z, np.zeros(2, int), ShapeError, "expected output (..., classes)"),
    (metrics.accuracy(), Z[:, :1], np.zeros(3, int), ShapeError, "got (3, 1) and (3,)"),
    (metrics.accuracy(), Z, np.zeros(3), DtypeError, "class numbers to be integers, got float64"),
    (metrics.accuracy(), Z.astype(int), np.zeros(3, int), DtypeError, "expected floats as output"),
    (metrics.accuracy(), Z, [0, 1, 2], ArgumentError, "expected target to be an array, got list"),
    (metrics.accuracy(), Z, np.array([0, 4, 9]), DataError, "0 to 3 (4 outputs), got 4 at (1,)"),
    (metrics.accuracy(), Z[:0], np.zeros(0, int), ShapeError, "the batch is empty"),
    (metrics.f1(), Z, np.zeros(3, int), ShapeError,
     "f1: made for 2 classes, the output has 4; use kuai.metrics.f1(classes=4)"),
    (metrics.confusion_matrix(3), Z, np.zeros(3, int), ShapeError, "confusion_matrix(classes=4)"),
    (metrics.top_k_accuracy(5), Z, np.zeros(3, int), ArgumentError,
     "top_5_accuracy: the output has 4 classes, fewer than 5"),
    (metrics.mae(), Z, Z[:, 0], ShapeError, "mae: expected predictions and targets of equal shape"),
    (metrics.r2(2), Z, Z, ShapeError, "r2: made for 2 outputs, got the shape (3, 4); use"),
    (metrics.r2(), Z, Z, ShapeError, "r2: made for 1 outputs, got the shape (3, 4)"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "output", "target", "error", "text"), BAD_CALLS)
def test_bad_arguments_are_refused_in_words(metric, output, target, error, text):
    with pytest.raises(error) as caught:
        metric(output, target)
    assert text in str(caught.value)


def test_k_below_one_is_refused():
    with pytest.raises(ArgumentError, match="top_k_accuracy: expected k from 1, got 0"):
        metrics.top_k_accuracy(0)
