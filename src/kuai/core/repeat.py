"""`Repeat`: equal layers one after the other, compiled as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import jax
import numpy as np

from kuai.core.arrange import stacked
from kuai.core.block import Block
from kuai.core.context import context
from kuai.core.equal_layers import Run, one_by_one, scanned
from kuai.core.likeness import Likeness, likeness
from kuai.core.lists import BlockList
from kuai.core.remat import checked_policy
from kuai.core.replicate import fresh
from kuai.core.tree import here
from kuai.errors import ArgumentError, RegistrationError, ShapeError


class Repeat(BlockList):
    """Equal layers one after the other: x ← layerᵢ(x) for i = 1 … n, compiled as one layer.

    The layers are blocks of their own, "0" to "n-1": each has its paths, values, gradients and
    place in a checkpoint, and can be changed like any block. While all are equal, a compiled
    program is a `lax.scan` over one of them, so that its size and the time to compile it do not
    grow with n; for that their arrays are kept in stacks, of which `layers.7.weight` reads and
    writes a row. Where layers are not equal any more (one was replaced, frozen, hooked, or has
    another mode), they run and are kept one by one, as in a `Sequential`, until they are equal
    again. Plain Python runs them one by one; the numbers and the random keys are the same.

    Args:
        layer: a function without arguments that makes a layer, called n times (once with
            `share`); or a block as the pattern, of which fresh copies are taken.
        n: the number of layers.
        share: whether there is one layer, run n times; default False.
        unroll: how many layers make one trip of the loop; default 1. True: they are run and kept
            one by one, whatever they are; an optimizer that looks at the norm or the number of
            axes of each parameter then sees those of each layer.
        remat: whether the way back computes the insides of a layer again in place of storing them;
            a policy, as for `Block.remat`, says what is stored all the same. Default False.

    Shape:
        Any → the same: a layer keeps the structure, shapes and dtypes of its first input. Further
        inputs and keywords are passed to every layer as they are. `per_layer={name: tree}` passes
        row i of every array in the tree to layer i, as the keyword `name`. A layer that returns
        (output, further, ...) makes the result (output, further of all layers stacked, ...).

    Raises:
        ArgumentError: `n` is no positive integer, `unroll` or `remat` is none of these, or the
            layers that `layer` makes are not equal; when called, `per_layer` is no dict, or
            has a keyword that is also given for all layers.
        RegistrationError: `layer` makes no block.
        ShapeError: when called, a layer changes the shapes of its input, or an array in
            `per_layer` has not n rows.
        DtypeError: when called, a layer changes the dtype of its input.

    Example:
        >>> layers = nn.Repeat(lambda: nn.Residual(nn.LayerNorm(), nn.Dense(8)), 48)
        >>> layers(jnp.ones((2, 8))).shape
        (2, 8)
        >>> len(layers), layers[7].block[1].weight.shape
        (48, (8, 8))
        >>> steps = nn.Repeat(nn.Lambda(lambda x, step: (x + step, x)), 3)
        >>> steps(jnp.zeros(()), per_layer={"step": jnp.arange(3.0)})
        (Array(3., dtype=float32), Array([0., 0., 1.], dtype=float32))
    """

    _kuai_repeats: ClassVar[bool] = True

    def __init__(
        self,
        layer: Block | Callable[[], Block],
        n: int,
        share: bool = False,
        unroll: int | bool = 1,
        remat: Any = False,
    ) -> None:
        _check_count(n)
        super().__init__(_made(layer, n, share))
        self._share = bool(share)
        self.unroll = _checked_unroll(unroll)
        self._remat = checked_policy("Repeat", remat)
        _check_equal(likeness(self._kuai_blocks()))

    @property
    def share(self) -> bool:
        """Whether there is one layer, run n times, as long as none was replaced.

        Example:
            >>> steps = nn.Repeat(lambda: nn.Dense(3), 3, share=True)
            >>> steps.share
            True
            >>> steps[1] = nn.Dense(3)
            >>> steps.share
            False
        """
        return self._share and len(set(map(id, self._kuai_blocks()))) == 1

    def forward(
        self, x: Any, *inputs: Any, per_layer: Mapping[str, Any] | None = None, **keywords: Any
    ) -> Any:
        """The output of the last layer; (output, further of all layers) where layers give more."""
        rows = _checked_rows(per_layer, len(self), keywords)
        run = Run(self._kuai_blocks(), inputs, keywords, rows, self._remat)
        if self._kuai_may_scan():
            alike = stacked(self)
            if alike.equal and _stand_together(alike):
                return scanned(run, alike, self.unroll, x)
        return one_by_one(run, x)

    @property
    def _kuai_scans(self) -> bool:
        """Whether the layers may be run as one; programs then take their arrays in stacks."""
        return self.unroll is not True

    def _kuai_may_scan(self) -> bool:
        """Whether here a program is traced that wants no output of a single layer."""
        compiling = context.trace is not None and not context.inferring
        watched = context.outputs is not None or context.captures is not None
        return self._kuai_scans and compiling and not watched

    def _kuai_like(self, pairs: Iterable[Any]) -> Self:
        new = Repeat.__new__(type(self))
        BlockList.__init__(new, [block if n is None else (n, block) for n, block in pairs])
        new._share, new.unroll, new._remat = self._share, self.unroll, self._remat
        new._kuai_finish()
        new._kuai.building = False
        return new

    def _kuai_parts(self) -> list[str]:
        blocks = self._kuai_blocks()
        texts = [repr(block) for block in blocks]
        options = [f"{name}={value}" for name, value in self._kuai_shown_options().items()]
        if len(set(texts)) != 1 or self.share != self._share:
            return super()._kuai_parts()
        return [texts[0], str(len(blocks)), *options]

    def _kuai_shown_options(self) -> dict[str, str]:
        remat = False if self._remat is None else True if self._remat == "nothing" else self._remat
        if callable(remat):
            remat = getattr(remat, "__name__", type(remat).__name__)
        shown = {"share": self.share, "unroll": self.unroll, "remat": remat}
        usual = {"share": False, "unroll": 1, "remat": False}
        return {n: repr(v) for n, v in shown.items() if v is not usual[n]}


def _check_count(n: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ArgumentError(
            f"Repeat: expected a number of layers of at least 1, got {n!r}; write for example n=12"
        )


def _checked_unroll(unroll: Any) -> int | bool:
    if isinstance(unroll, bool):
        return True if unroll else 1
    if isinstance(unroll, (int, np.integer)) and unroll >= 1:
        return int(unroll)
    raise ArgumentError(
        "Repeat: expected unroll to be True, or a number of layers of at least 1, got "
        f"{unroll!r}; write for example unroll=2"
    )


def _made(layer: Any, n: int, share: bool) -> list[Block]:
    """The layers: copies of a pattern, or what a function makes."""
    if isinstance(layer, Block):
        return [layer] * n if share else [fresh(layer) for _ in range(n)]
    if not callable(layer):
        raise RegistrationError(
            f"Repeat: expected a block, or a function that makes one, got {type(layer).__name__} "
            f"{layer!r}; write for example nn.Repeat(lambda: nn.Residual(nn.Dense(8)), {n})"
        )
    made = [layer() for _ in range(1 if share else n)]
    for index, block in enumerate(made):
        if not isinstance(block, Block):
            raise RegistrationError(
                f"Repeat: expected the function to make a block, got {type(block).__name__} for "
                f"layer {index}; return the layer from it"
            )
    return made * n if share else made


def _check_equal(found: Likeness) -> None:
    if found.difference is None:
        return
    index, path, ours, theirs = found.difference
    what = f"{path or 'the layer itself'} is {_told(ours)}, and {_told(theirs)} in layer 0"
    raise ArgumentError(
        f"Repeat: expected equal layers, got layer {index} where {what}; make every layer by the "
        "same code, pass what differs as per_layer=, or use nn.Sequential"
    )


def _told(value: Any) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], type):
        return value[0].__name__
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _checked_rows(per_layer: Any, n: int, keywords: dict[str, Any]) -> dict[str, Any]:
    if per_layer is None:
        return {}
    if not isinstance(per_layer, Mapping):
        raise ArgumentError(
            f"{here()}: expected per_layer to be a dict keyword -> arrays, got "
            f"{type(per_layer).__name__}; write for example per_layer={{'cache': caches}}"
        )
    twice = [name for name in per_layer if name in keywords]
    if twice:
        raise ArgumentError(
            f"{here()}: expected each keyword either for all layers or in per_layer, got "
            f"{twice[0]!r} in both; leave it out of one"
        )
    for place, leaf in jax.tree.leaves_with_path(dict(per_layer)):
        shape = np.shape(leaf)
        if not shape or shape[0] != n:
            raise ShapeError(
                f"{here()}: expected per_layer{jax.tree_util.keystr(place)} to have a row for each "
                f"of {n} layers on its first axis, got shape {shape}; stack one value a layer"
            )
    return dict(per_layer)


def _stand_together(alike: Likeness) -> bool:
    """Whether the arrays of the layers are in stacks here, or have no values in any layer."""
    return all(map(_stands_together, alike.places))


def _stands_together(rows: tuple[Any, ...]) -> bool:
    if not any(row.ready for row in rows):
        return True
    stack = rows[0].row and rows[0].row[0]
    if stack is None or stack.rows != rows or not stack.whole:
        return False
    return context.scope is None or not context.scope.apart(stack)
