"""From what `--net` says to a net: a name that kuai knows, or a factory of the user's.

A factory is code. It is imported only when the user names it on this command line: what a run's
folder says about its net is data, and is never imported for its sake alone.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kuai.cli.known import KNOWN as KNOWN
from kuai.cli.known import OWN
from kuai.cli.known import SHAPE as SHAPE
from kuai.cli.options import Option, UsageError, text, whole
from kuai.cli.settings import Settings
from kuai.core.block import Block
from kuai.data import Dataset
from kuai.errors import FileFormatError

NET = Option("net", text, f"the net: {', '.join(KNOWN)}, or module:factory", "mlp", "NET")
OUTPUTS = Option("outputs", whole(1), "of a known net, where no run says how many", None, "N")


@dataclass(frozen=True)
class Recipe:
    """All that is needed to build a net again.

    Args:
        net: a known name, or module:factory.
        outputs: the number of classes, or of targets.
        options: what else the known net takes.
    """

    net: str
    outputs: int
    options: dict[str, Any]

    @property
    def is_code(self) -> bool:
        """Whether building it imports a module of the user's."""
        return ":" in self.net

    def build(self) -> Block:
        """The net, not initialized."""
        if self.is_code:
            return _from_factory(self.net)
        return KNOWN[self.net].make(self.outputs, **self.options)

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """The inputs as this net takes them.

        Raises:
            DataError: a known net cannot take such inputs.
        """
        return x if self.is_code else KNOWN[self.net].inputs(x)

    def sample(self, shape: tuple[int, ...] | None) -> np.ndarray:
        """One input of a known net, of a shape without the batch axis; default its usual one."""
        known = KNOWN[self.net]
        usual = (self.options["context"],) if "context" in self.options else known.shape
        return known.inputs(np.zeros((1, *(shape or usual)), known.dtype))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for run.json."""
        return asdict(self)


def recipe(settings: Settings, outputs: int) -> Recipe:
    """What the settings ask for.

    Raises:
        UsageError: no net has that name.
    """
    if ":" not in settings.net and settings.net not in KNOWN:
        raise UsageError(_unknown(settings.net))
    if ":" in settings.net:
        return Recipe(settings.net, outputs, {})
    known = KNOWN[settings.net].options
    foreign = [o.name for o in OWN if o not in known and o.key in settings.given]
    if foreign:
        raise UsageError(f"--{foreign[0]}: the net {settings.net} has no such option; leave it out")
    return Recipe(settings.net, outputs, {o.key: getattr(settings, o.key) for o in known})


def check_takes(net: str, data: Dataset) -> None:
    """Check that text goes to a net for text: its characters have numbers, as pixels have.

    Raises:
        UsageError: a known net takes something else.
    """
    if net not in KNOWN or data.vocabulary is None or KNOWN[net].takes == "text":
        return
    others = " or ".join(name for name, known in KNOWN.items() if known.takes == "text")
    raise UsageError(
        f"--net {net}: it takes {KNOWN[net].takes}, and --data is text; choose --net {others}"
    )


def checked(stored: Recipe) -> Recipe:
    """A recipe from a file, if it is one that kuai could have written.

    Raises:
        FileFormatError: it is not.
    """
    texts = {key: _option_text(value) for key, value in stored.options.items()}
    known = KNOWN.get(stored.net)
    wanted = {} if known is None else {option.key: option for option in known.options}
    try:
        options = {key: wanted[key].read(value) for key, value in texts.items()}
        if (stored.is_code or known is not None) and options.keys() == wanted.keys():
            return Recipe(stored.net, stored.outputs, options)
    except (KeyError, ValueError):
        pass
    raise FileFormatError(f"the record of the run describes no net that kuai knows: {stored}")


def _option_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def outputs_for(data: Dataset) -> int:
    """How many outputs a net needs for these targets."""
    return len(data.classes) if data.classes is not None else data.y.shape[-1]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, KNOWN, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known = ", ".join(KNOWN)
    return f"--net: expected {known} or module:factory, got {name!r}{hint}"


def _from_factory(name: str) -> Block:
    module_name, _, path = name.partition(":")
    found: Any = _imported(module_name, name)
    for part in path.split("."):
        if not hasattr(found, part):
            raise UsageError(_no_attribute(name, module_name, path, vars(found)))
        found = getattr(found, part)
    net = found if isinstance(found, Block) else _called(name, found)
    if not isinstance(net, Block):
        raise UsageError(f"--net {name}: expected a kuai.Block from it, got {type(net).__name__}")
    return net


def _imported(module: str, name: str) -> Any:
    folder = os.getcwd()  # noqa: PTH109  # sys.path holds text
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)  # as `python -m kuai` has it, so that both commands are one
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"--net {name}: expected a module that can be imported from {folder}, but {error}"
        ) from error
    except (ValueError, TypeError):
        raise UsageError(f"--net: expected module:factory, got {name!r}") from None


def _called(name: str, factory: Any) -> Any:
    if not callable(factory):
        raise UsageError(
            f"--net {name}: expected a function or class that makes a net, or a net, "
            f"got {type(factory).__name__}"
        )
    try:
        return factory()
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise UsageError(f"--net {name}: it is called without arguments, but {error}") from error


def _no_attribute(name: str, module: str, path: str, there: dict[str, Any]) -> str:
    near = difflib.get_close_matches(path, [key for key in there if not key.startswith("_")], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"--net {name}: the module {module} has no {path!r}{hint}"
