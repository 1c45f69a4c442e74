"""The house rules: who imports whom, what an import costs, and that the public names are listed."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kuai import nn
from tests.slow_tests import LIST

ROOT = Path(__file__).parent.parent
INDEX = ROOT / "docs" / "api.md"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package at folder/kuai with this repository's contract."""
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        f"from importlinter.cli import lint_imports_command as command; command({config!r})"
    )
    return run_python(code)


def test_import_contract_is_kept():
    result = lint_imports(ROOT / "src")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("errors", "kuai.random"),
        ("random", "kuai.core"),
        ("core/upward", "kuai.nn"),
        ("core/upward", "kuai.hybrid"),
        ("nn/sideways", "kuai.hybrid"),
        ("hybrid/sideways", "kuai.nn"),
        ("data/upward", "kuai.core"),
        ("losses/upward", "kuai.core"),
        ("metrics/sideways", "kuai.core"),
        ("callbacks", "kuai.train.history"),
        ("interop/readers/recognise", "kuai.nn"),
        ("interop/sideways", "kuai.show"),
        ("train/sideways", "kuai.nn"),
        ("show/sideways", "kuai.train"),
        ("train/upward", "kuai.cli"),
        ("newcomer", "kuai.errors"),
    ],
)
def test_import_contract_notices(tmp_path, module, imported):
    shutil.copytree(ROOT / "src" / "kuai", tmp_path / "kuai")
    with (tmp_path / "kuai" / f"{module}.py").open("a") as file:
        file.write(f"\nimport {imported}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert f"kuai.{module.replace('/', '.')}" in result.stdout


def test_importing_kuai_loads_no_heavy_module():
    heavy = ["optax", "rich", "matplotlib", "sklearn", "torch", "pandas", "beartype", "IPython"]
    result = run_python(f"import sys, kuai.api; print([m for m in {heavy} if m in sys.modules])")
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_importing_kuai_touches_no_device():
    # JAX refuses this setting once a device has been touched.
    setting = "jax.config.update('jax_num_cpu_devices', 3)"
    result = run_python(f"import jax, kuai.api; {setting}; print(jax.device_count())")
    assert (result.stdout, result.stderr) == ("3\n", "")


def test_importing_kuai_changes_no_setting_of_jax():
    before = "import jax; before = dict(jax.config.values)"
    result = run_python(f"{before}; import kuai.api; print(before == jax.config.values)")
    assert (result.stdout, result.stderr) == ("True\n", "")


WITHOUT_JAX = ["kuai", "kuai.interop.readers.recognise", "kuai.cli.inspect", "kuai.data"]


@pytest.mark.parametrize("module", WITHOUT_JAX)
def test_what_needs_no_network_starts_without_jax(module):
    result = run_python(f"import sys, {module}; print('jax' in sys.modules)")
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_a_part_imported_by_itself_brings_the_compiler_with_its_first_block():
    code = """if True:
        import numpy
        from kuai.nn import Dense
        net, x = Dense(2), numpy.ones((1, 3), "float32")
        net(x), net(x)
        print(len(net.explain().signatures))
    """
    result = run_python(code)
    assert (result.stdout, result.stderr) == ("1\n", "")


def test_the_name_hybrid_is_the_function_whatever_is_imported_first():
    result = run_python("import kuai.hybrid.bounds, kuai; print(kuai.hybrid(abs)(-1))")
    assert (result.stdout, result.stderr) == ("1\n", "")


def test_a_star_import_and_dir_give_the_public_names():
    code = """if True:
        import pickle
        from kuai import *
        import kuai
        print(Block is kuai.Block, hasattr(kuai, "blocks"), hasattr(kuai, "init.x"))
        print(set(kuai.__all__) - set(dir()))
        print({name for name in dir(kuai) if name[:2] != "__"} ^ set(kuai.__all__))
        print(pickle.loads(pickle.dumps(kuai)) is kuai)
    """
    result = run_python(code)
    assert (result.stdout, result.stderr) == ("True False False\nset()\nset()\nTrue\n", "")


def test_threads_may_use_the_first_names_at_once():
    code = """if True:
        import kuai
        from concurrent.futures import ThreadPoolExecutor
        names = ["nn", "Block", "models", "init", "losses", "Trainer", "random", "metrics"]
        with ThreadPoolExecutor(len(names)) as pool:
            print(len([*pool.map(lambda name: getattr(kuai, name), names)]))
    """
    result = run_python(code)
    assert (result.stdout, result.stderr) == ("8\n", "")


def listed_names() -> dict[str, list[str]]:
    """The names that docs/api.md lists, by module."""
    sections = re.split(r"^\.\. currentmodule:: ", INDEX.read_text(), flags=re.MULTILINE)[1:]
    named = {}
    for section in sections:
        module, _, rest = section.partition("\n")
        named[module] = re.findall(r"^   (\w+)$", rest.partition("```")[0], flags=re.MULTILINE)
    return named


def re_exports(namespace: ModuleType) -> set[str]:
    """The names that a module imports as themselves: `from a import b as b`."""
    imports = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(namespace)))
        if isinstance(node, ast.ImportFrom)
    ]
    return {alias.name for node in imports for alias in node.names if alias.asname == alias.name}


def own_names(namespace: ModuleType) -> set[str]:
    """The functions and classes that a module defines, less the underscored."""
    home = {name: getattr(value, "__module__", None) for name, value in vars(namespace).items()}
    return {name for name in home if home[name] == namespace.__name__ and not name.startswith("_")}


def namespace_of(module: str) -> ModuleType:
    """A public module, which `import` and an attribute of the one above it must both give."""
    found = importlib.import_module(module)
    named = functools.reduce(getattr, module.split(".")[1:], importlib.import_module("kuai"))
    assert named is found
    return found


def public_names(module: str) -> dict[str, object]:
    namespace = namespace_of(module)
    names = getattr(namespace, "__all__", None) or re_exports(namespace) | own_names(namespace)
    return {name: getattr(namespace, name) for name in names}


@pytest.mark.parametrize("module", listed_names())
def test_the_index_lists_what_a_module_makes_public(module):
    public = [name for name, value in public_names(module).items() if not inspect.ismodule(value)]
    assert sorted(listed_names()[module]) == sorted(public)


def public_modules(module: str) -> set[str]:
    """A module and the modules it makes public, at any depth."""
    inner = [name for name, value in public_names(module).items() if inspect.ismodule(value)]
    return {module}.union(*(public_modules(f"{module}.{name}") for name in inner))


def test_the_index_has_a_section_for_each_public_module():
    assert set(listed_names()) == public_modules("kuai")


def undocumented(named: dict[str, object]) -> Iterator[str]:
    """Public names, and public methods of public classes, that no docstring explains."""
    for name, value in named.items():
        if not inspect.getdoc(value):
            yield name
        if inspect.isclass(value):
            members = [key for key in vars(value) if not key.startswith("_")]
            documentable = [key for key in members if is_method(vars(value)[key])]
            yield from (
                f"{name}.{key}" for key in documentable if not inspect.getdoc(getattr(value, key))
            )


def is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, (classmethod, staticmethod, property))


@pytest.mark.parametrize("module", listed_names())
def test_public_names_are_documented(module):
    assert list(undocumented(public_names(module))) == []


LAYERS = [kind for kind in vars(nn).values() if isinstance(kind, type)]
NO_SECTIONS = {"KeyValues": "a tuple of arrays", "KeyValueCache": "a tuple of arrays"}


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_a_layer_states_its_shapes_and_what_it_raises(kind):
    parts = re.findall(r"^    (\w+):\n {8}\S", kind.__doc__, flags=re.MULTILINE)
    wanted = ["Example"] if kind.__name__ in NO_SECTIONS else ["Shape", "Raises", "Example"]
    assert [part for part in parts if part in wanted] == wanted


@pytest.mark.parametrize(("source", "module"), [("kuai.api", "kuai"), ("kuai.nn", "kuai.nn")])
def test_a_facade_holds_nothing_but_its_public_names(source, module):
    assert re_exports(namespace_of(source)) == set(public_names(module))


def test_the_list_of_slow_tests_names_tests():
    listed = LIST.read_text().splitlines()
    gone = [
        name
        for name in listed
        for file, test, *_ in [name.split("[")[0].split("::")]
        if not re.search(rf"^(def |class )?{test}\b", (ROOT / file).read_text(), re.M)
    ]
    assert gone == []  # after a renaming, rename it there too
    assert listed == sorted(set(listed))
