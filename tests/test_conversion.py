"""Where the source of a function comes from, and what conversion leaves as it was."""

from __future__ import annotations

import functools
import importlib.util
import linecache
import sys
import threading
import traceback
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kuai
from kuai.errors import ConditionError, ConversionError, HybridizeError

X = jnp.array([3.0, 4.0])
HALVED = X / 8

HALVING = """
def halved(x):
    while x.sum() > 1:
        x = x / 2
    return x
"""


@pytest.fixture
def module_of(tmp_path, monkeypatch):
    """Source → a module that is imported from a file with it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(source, name="written"):
        file = tmp_path / f"{name}.py"
        file.write_text(source)
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return make


# ---- where the source is


def test_a_module_from_a_file(module_of):
    np.testing.assert_array_equal(kuai.hybrid(module_of(HALVING).halved)(X), HALVED)


def test_source_edited_after_the_import_is_noticed(module_of):
    module = module_of(HALVING)
    file = module.__file__
    module_of(HALVING.replace("/ 2", "/ 4"))  # the same file
    linecache.checkcache(file)
    with pytest.raises(ConversionError, match=r"has been edited since halved was imported"):
        kuai.hybrid(module.halved)(X)


def test_a_line_put_in_front_is_noticed(module_of):
    module = module_of(HALVING)
    module_of("# another line\n" + HALVING)
    with pytest.raises(ConversionError, match=r"halved is not in .*written\.py"):
        kuai.hybrid(module.halved)(X)


def test_an_edited_constant_is_noticed(module_of):
    module = module_of("LIMIT = 1\n" + HALVING.replace("> 1", "> LIMIT + 1"))
    module_of("LIMIT = 1\n" + HALVING.replace("> 1", "> LIMIT + 2"))
    with pytest.raises(ConversionError, match="has been edited"):
        kuai.hybrid(module.halved)(X)


def test_source_edited_after_the_conversion_changes_nothing(module_of):
    module = module_of(HALVING)
    compiled = kuai.hybrid(module.halved)
    compiled(X)
    module_of(HALVING.replace("/ 2", "/ 4"))
    np.testing.assert_array_equal(compiled(X[:1]), [0.75])


def test_equal_functions_of_two_files_point_at_their_own(module_of):
    source = "def refused(x):\n    return x if x > 1 else -x\n"
    for name in ("first", "second"):
        with pytest.raises(ConditionError, match=rf"{name}\.py:2 in refused"):
            kuai.hybrid(module_of(source, name).refused)(X)


def test_code_without_source_runs_and_says_where_it_cannot_branch():
    names = {"jnp": jnp}
    exec(HALVING + "\ndef doubled(x):\n    return x * 2\n", names)  # noqa: S102  # the point
    np.testing.assert_array_equal(kuai.hybrid(names["doubled"])(X), 2 * X)
    with pytest.raises(ConversionError, match=r"there is no source of <string>, .* move it to"):
        kuai.hybrid(names["halved"])(X)


def test_cells_of_a_notebook():
    def cell(number, source):
        file = f"<ipython-input-{number}-kuai>"
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
        exec(compile(source, file, "exec"), names)  # noqa: S102  # as a notebook does
        return file

    names = {}
    files = [cell(1, HALVING), cell(2, "def run(x):\n    return halved(x) if x[0] > 0 else x\n")]
    try:
        compiled = kuai.hybrid(names["run"])
        np.testing.assert_array_equal(compiled(X), HALVED)
        np.testing.assert_array_equal(compiled(-X), -X)
        files.append(cell(3, HALVING.replace("/ 2", "/ 4")))
        np.testing.assert_array_equal(compiled(X), X / 16)
    finally:
        for file in files:
            del linecache.cache[file]


def test_lambdas_of_one_line():
    pair = [lambda x: x if x.sum() > 1 else -x, lambda x: -x if x.sum() > 1 else x]
    nested = lambda x: (lambda y: y if y.sum() > 1 else -y)(x) if x.sum() > 2 else 3 * x  # noqa: E731
    for sign, function in zip((1, -1), pair, strict=True):
        np.testing.assert_array_equal(kuai.hybrid(function)(X), sign * X)
        np.testing.assert_array_equal(kuai.hybrid(function)(X / 10), -sign * X / 10)
    np.testing.assert_array_equal(kuai.hybrid(nested)(X), X)
    np.testing.assert_array_equal(kuai.hybrid(nested)(X / 10), X * 3 / 10)


def test_asserts_that_pytest_has_rewritten():
    def run(x):
        assert x.shape == (2,), "two"
        while x.sum() > 1:
            assert x.min() > 0
            x = x / 2
        return x

    assert "@pytest_ar" in run.__code__.co_names
    np.testing.assert_array_equal(kuai.hybrid(run)(X), HALVED)


# ---- debuggers, coverage, tracebacks


def test_the_users_lines_are_traced():
    def run(x):
        while x.sum() > 1:
            x = x / 2
        return x

    lines = set()

    def tracer(frame, event, _):
        if frame.f_code.co_filename == __file__ and event == "line":
            lines.add(frame.f_lineno - run.__code__.co_firstlineno)
        return tracer

    compiled = kuai.hybrid(run, verify="never")
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        compiled(X)
    finally:
        sys.settrace(before)
    assert {1, 2, 3} <= lines


def broken(x):
    while x.sum() > 1:
        x = jnp.concatenate([x, jnp.ones((1, 1))])
    return x


def failing(x):
    if x.sum() > 1:
        raise_it(x)
    return x


def raise_it(x):
    return {}["missing"]


@pytest.mark.parametrize(
    ("function", "error", "last"),
    [(broken, TypeError, [(broken, 2)]), (failing, KeyError, [(failing, 2), (raise_it, 1)])],
)
def test_the_traceback_of_an_error_has_the_users_lines_only(function, error, last):
    with pytest.raises(error) as raised:
        kuai.hybrid(function)(X)
    frames = traceback.extract_tb(raised.value.__traceback__)
    own = [frame for frame in frames if frame.filename == __file__][-len(last) :]
    assert [(f.name, f.lineno) for f in own] == [
        (f.__name__, f.__code__.co_firstlineno + line) for f, line in last
    ]
    files = [Path(frame.filename) for frame in frames]
    of_kuai = {file.name for file in files if file.is_relative_to(Path(kuai.__file__).parent)}
    assert of_kuai == {"function.py", "cache.py"}  # the call itself, none of its operators


# ---- names and calls


class Base:
    def scale(self, x):
        return x / 2 if x.sum() > 1 else x


class Mangled(Base, kuai.Block):
    def __init__(self):
        super().__init__()
        self.__factor = 2.0

    def __double(self, x):
        return x * self.__factor if x.sum() > 1 else x

    def scale(self, x):
        __local = super().scale(x)
        if __local.sum() > 1:
            __local = super(Mangled, self).scale(__local)  # noqa: UP008  # the other way
        return __local

    @property
    def size(self):
        return 3.0 if self.__factor > 1 else 4.0

    @classmethod
    def of_class(cls, x):
        return x + 1 if x.sum() > 1 else x

    @staticmethod
    def of_nothing(x):
        return x + 2 if x.sum() > 1 else x

    def forward(self, x):
        x = self.scale(self.__double(x)) * self.size
        return self.of_class(x) + type(self).of_nothing(x) + Mangled.scale(self, x)


def test_private_names_super_and_kinds_of_methods():
    net = Mangled()
    for factor in (1.0, 0.2, 0.01):
        with kuai.eager():
            expected = net(X * factor)
        np.testing.assert_allclose(net.hybridize()(X * factor), expected, rtol=1e-6)


def counted(function):
    @functools.wraps(function)
    def wrapped(*args, by=1.0, **kwargs):
        result = function(*args, **kwargs)
        return result * by if result.sum() > 1 else result

    return wrapped


def twice(count):
    return lambda function: lambda x: function(function(x)) if count == 2 else function(x)


@counted
@twice(2)
def decorated(x):
    return x / 2 if x.sum() > 1 else x * 3


def test_decorated_functions():
    compiled = kuai.hybrid(decorated)
    for factor in (1.0, 0.2, 0.01):
        np.testing.assert_allclose(compiled(X * factor), decorated(X * factor), rtol=1e-6)
    np.testing.assert_allclose(compiled(X, by=3.0), decorated(X, by=3.0), rtol=1e-6)


# ---- what is left as it was


def test_a_function_is_left_as_it_was():
    def halved(x, by=2.0, *, least=1.0):
        """Halve."""
        while x.sum() > least:
            x = x / by
        return x

    names = ("__code__", "__defaults__", "__kwdefaults__", "__closure__", "__doc__", "__name__")
    before = [getattr(halved, name) for name in names]
    instructions = halved.__code__.co_code
    kuai.hybrid(halved)(X)
    assert [getattr(halved, name) for name in names] == before
    assert halved.__code__ is before[0]
    assert halved.__code__.co_code == instructions
    assert [name for name in vars(halved) if not name.startswith("_kuai")] == []
    assert len(vars(halved)) == 1


def test_a_wrapper_does_not_take_over_the_conversion():
    def halved(x):
        while x.sum() > 1:
            x = x / 2
        return x

    kuai.hybrid(halved)(X)

    @functools.wraps(halved)  # copies its attributes, the private one too
    def more(x):
        return halved(x) + 1 if x.sum() > 1 else x

    np.testing.assert_array_equal(kuai.hybrid(more)(X), HALVED + 1)
    np.testing.assert_array_equal(kuai.hybrid(more)(X / 10), X / 10)


def test_caches_of_jax_know_a_converted_function():
    traces = []

    def slope(x):
        return x * 2 if x > 1 else x

    def run(xs):
        def note(x):
            traces.append(None)
            return x

        del note
        return jax.vmap(slope)(xs) + jax.vmap(slope)(2 * xs)

    compiled = kuai.hybrid(run)
    np.testing.assert_array_equal(compiled(X), 6 * X)
    assert vars(slope)["_kuai_conversion"][1] is vars(slope)["_kuai_conversion"][1]
    first = vars(slope)["_kuai_conversion"][1]
    compiled(jnp.ones(3))
    assert vars(slope)["_kuai_conversion"][1] is first


def test_one_conversion_serves_all_closures():
    def make(by):
        def scaled(x):
            return x * by if x.sum() > 1 else x

        return scaled

    for by in (2.0, 3.0):
        np.testing.assert_array_equal(kuai.hybrid(make(by))(X), X * by)


def test_conversion_in_many_threads_at_once(module_of):
    source = "".join(HALVING.replace("halved", f"halved{i}") for i in range(8))
    module = module_of(source)
    gate = threading.Barrier(8)
    results: list = [None] * 8

    def work(index):
        gate.wait()
        functions = [getattr(module, f"halved{(index + i) % 8}") for i in range(8)]
        results[index] = [np.asarray(kuai.hybrid(f)(X)) for f in functions[:2]]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.array(results), np.broadcast_to(HALVED, (8, 2, 2)))


def test_plain_calls_inside_a_compiled_function_stay_plain():
    """A converted function that is called without a trace runs as Python."""
    kept = types.SimpleNamespace()

    def halved(x):
        while x.sum() > 1:
            x = x / 2
        return x

    def run(x):
        return halved(x)

    kuai.hybrid(run)(X)
    kept.function = vars(halved)["_kuai_conversion"][1]
    np.testing.assert_array_equal(kept.function(X), HALVED)
    with pytest.raises(HybridizeError):
        kuai.hybrid(lambda x: x if x > 1 else -x)(X)
