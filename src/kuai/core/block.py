"""Block: a layer, a group of layers, a whole model.

What stands on a block is `registration`'s business, the tree below it `listing`'s, its files
`saved`'s, a call `calling`'s. Here is what is left: what a subclass writes, and the block as a user
meets it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, Self

from kuai.core import calling, initialize, pullback
from kuai.core.context import epoch
from kuai.core.hooks import Hook
from kuai.core.modes import Mode
from kuai.core.parameter import Holder
from kuai.core.registry import registered
from kuai.core.representation import print_lines, represent
from kuai.core.saved import Saved
from kuai.core.tree import here, members
from kuai.errors import (
    ArgumentError,
    DeferredInitError,
    ForwardNotDefinedError,
    TransformError,
)


class Block(Saved):
    """A layer, a group of layers, or a whole model.

    Subclass it, put blocks, parameters, arrays, and lists, tuples and dicts of them on `self`, and
    write `forward`. What stands on a block is registered, whether or not `super().__init__()` was
    called. A class that also defines `backward(self, residuals, gradient)` is a new operator: its
    forward returns (output, residuals), its backward one gradient for each input array and, where
    it has parameters, a dict path → gradient behind them.

    Example:
        >>> class Twice(kuai.Block):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = nn.Dense(2, init="ones")
        ...
        ...     def forward(self, x):
        ...         return self.dense(self.dense(x))
        >>> net = Twice()
        >>> net(jnp.ones((1, 2)))
        Array([[4., 4.]], dtype=float32)
        >>> [path for path, _ in net.named_parameters()]
        ['dense.weight', 'dense.bias']

    Reference:
        Zhang et al., "Dive into Deep Learning", section "Layers and Modules".
    """

    _kuai_is_operator: ClassVar[bool]
    _kuai_keeps_dtype: ClassVar[bool] = False  # whether a policy leaves its numbers as they come

    def __init__(self) -> None:
        super().__init__()

    def forward(self, *inputs: Any, **keywords: Any) -> Any:  # noqa: ARG002  # names for readers
        """Compute the output. Every block overrides this.

        Raises:
            ForwardNotDefinedError: the class does not override it.
        """
        raise ForwardNotDefinedError(
            f"{here()}: expected {type(self).__name__} to define forward(self, ...), and it does "
            "not; write it, or check its spelling"
        )

    def infer_shapes(self, *inputs: Any, **keywords: Any) -> None:  # noqa: ARG002  # as above
        """Settle this block's own unknown shapes from the inputs of a call.

        A block whose own parameters have unknown dimensions overrides this: it calls
        `self.params.NAME.settle(shape)` for each. It runs before `forward`, once.

        Raises:
            DeferredInitError: parameters have unknown dimensions and the class does not override
                this.
        """
        unknown = [n for n, item in members(self) if isinstance(item, Holder) and not item.settled]
        raise DeferredInitError(
            f"{here()}: the shapes of {', '.join(unknown)} are not known; give them whole, or "
            "override infer_shapes(self, *inputs) to call self.params.NAME.settle(shape)"
        )

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        """Run the block: hooks, then `forward`, compiled where it is hybridized."""
        compiled = self._kuai.compiled
        if compiled is not None:
            return compiled(inputs, keywords)
        return calling.uncompiled(self, inputs, keywords)

    # ---- modes and hooks

    @property
    def mode(self) -> Mode:
        """The pinned mode: "train", "eval", or "auto" (as the transforms and contexts say)."""
        return self._kuai.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode not in ("auto", "train", "eval"):
            raise ArgumentError(
                f"{type(self).__name__}.mode: expected 'auto', 'train' or 'eval', got {mode!r}"
            )
        epoch.guard()
        for block in self.blocks():
            block._kuai.mode = "auto"
        self._kuai.mode = mode
        epoch.bump()

    def train(self) -> Self:
        """Pin this block and all below it to train mode (`mode = "auto"` lets go); return it.

        Example:
            >>> nn.Dropout(0.5).train().mode
            'train'
        """
        self.mode = "train"
        return self

    def eval(self) -> Self:
        """Pin this block and all below it to eval mode (`mode = "auto"` lets go); return it.

        Example:
            >>> net = nn.Sequential(nn.BatchNorm()).eval()
            >>> net.mode
            'eval'
        """
        self.mode = "eval"
        return self

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(block, inputs)` before every forward; what it returns replaces the inputs.

        Args:
            hook: returns None to leave the inputs, or the new ones (a tuple, or the only one).

        Returns:
            A handle with `remove()`.

        Example:
            >>> net = nn.Identity()
            >>> with net.register_forward_pre_hook(lambda block, inputs: inputs[0] * 2):
            ...     net(jnp.ones(()))
            Array(2., dtype=float32)
        """
        return Hook(self._kuai, "before", hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(block, inputs, output)` after every forward; its result replaces the output.

        Args:
            hook: returns None to leave the output, or the new one.

        Returns:
            A handle with `remove()`.

        Example:
            >>> net = nn.Identity()
            >>> handle = net.register_forward_hook(lambda block, inputs, output: output + 1)
            >>> net(jnp.ones(()))
            Array(2., dtype=float32)
        """
        return Hook(self._kuai, "after", hook)

    # ---- values

    def initialize(
        self,
        *,
        seed: int | None = None,
        init: Any = None,
        sample: Any = None,
        force: bool = False,
    ) -> Self:
        """Make the values of all parameters below this block, where their shapes are known.

        A value depends on the seed and on the parameter's path below this block, on nothing else.

        Args:
            seed: default the one set by `kuai.seed`.
            init: initializer for the parameters that were given none; default their layer's.
            sample: an input (a tuple: several) to infer unknown shapes from, without computing.
            force: make values anew where there are some already; parameters that were given as
                arrays stay.

        Returns:
            This block.

        Raises:
            ShapeError: the sample does not fit; nothing has changed then.
            ArgumentError: the sample is a shape, not arrays.

        Example:
            >>> net = nn.Dense(2).initialize(seed=1, sample=jnp.ones((1, 3)))
            >>> net.weight.shape
            (3, 2)
        """
        initialize.initialize(self, seed=seed, init=init, sample=sample, force=force)
        return self

    def vjp(self, *inputs: Any, **keywords: Any) -> tuple[Any, Callable[..., Any]]:
        """The output, and the block's backward function.

        Args:
            *inputs: as for a call.
            **keywords: as for a call.

        Returns:
            (output, backward): `backward(gradient of the output)` gives (gradients of the trainable
            parameters by path, gradient of each positional input...), None for an integer input.

        Example:
            >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 2)))
            >>> y, backward = net.vjp(jnp.ones((1, 2)))
            >>> dparams, dx = backward(jnp.ones_like(y))
            >>> dx.tolist(), dparams["bias"].tolist()
            ([[1.0, 1.0]], [1.0])
        """
        return pullback.vjp(self, inputs, keywords)

    def hybridize(self, active: bool = True, **options: Any) -> Self:
        """Compile this block: from here on one XLA program for each signature of a call.

        `if`, `while`, `for`, `and`, `assert` and the like may ask arrays: they become part of the
        program. A change of anything that forward reads, on a block or elsewhere, recompiles.
        Blocks inside need no hybridize of their own. A block that was never told compiles by
        itself from the second call of a signature on, where it can be.

        Args:
            active: False goes back to plain Python.
            **options: any of those that follow.
            verify: when the result is compared with plain Python's: "auto" (default), for the
                first call of a signature that has a branch or loop on arrays; "first", for the
                first call of every signature; "always"; "never".
            fallback: what to do with a forward that cannot be compiled: "error" (default), or
                "eager" to warn once and run it as plain Python.
            loop_memory: bytes that each loop on arrays may store for its gradient; default 64 MiB.
                Where they do not suffice, the way back repeats parts of the way there.
            max_trips: trips after which a loop on arrays stops and the call raises
                `LoopLimitError`; default None, no limit.

        Returns:
            This block.

        Raises:
            ArgumentError: `active` is neither True nor False, or there is no such option or value.
            HybridizeError: when called, if forward cannot be compiled; the message has the line
                and a way to write it.
            LoopLimitError: when called, if a loop passes `max_trips`.

        Example:
            >>> net = nn.Dense(2).hybridize()
            >>> net(jnp.ones((1, 3))).shape
            (1, 2)
        """
        if not isinstance(active, bool):
            raise ArgumentError(
                f"{type(self).__name__}.hybridize: expected True or False, got {active!r}"
            )
        self._kuai.hybrid = options if active else None
        self._kuai_compile()
        return self

    def explain(self) -> Any:
        """What was compiled of this block, and why; prints as text.

        Returns:
            An object with every compiled signature: its branches and loops on arrays (file and
            line, trips in the last call), what it reads from outside, XLA's cost estimate, and the
            reason for each compilation.

        Example:
            >>> net = nn.Dense(2).hybridize()
            >>> y = net(jnp.ones((1, 3)))
            >>> report = net.explain()
            >>> report.setting, report.signatures[0].arguments, report.compilations
            ('hybridized', 'float32[1, 3]', ('a new signature',))
        """
        return registered.explain(self)

    @property
    def hybridized(self) -> bool:
        """Whether calls of this block are compiled."""
        return isinstance(self._kuai.hybrid, dict)

    def _kuai_compile(self) -> None:
        internals = self._kuai
        internals.compiled = (
            registered.compile_block(self, internals.hybrid) if self.hybridized else None
        )
        epoch.bump()

    # ---- copying and showing

    def copy(self) -> Self:
        """An independent copy: parameters of its own with the same values, ties kept inside it.

        Example:
            >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 1)))
            >>> twin = net.copy()
            >>> twin.weight = jnp.zeros((1, 1))
            >>> float(net.weight[0, 0])
            1.0
        """
        return copy.deepcopy(self)

    def summary(self, *inputs: Any) -> Any:
        """A table of the tree: shapes, parameters, FLOPs; prints, and shows in notebooks.

        Args:
            inputs: a sample to infer shapes and outputs from; default what is known already.

        Example:
            >>> table = nn.Dense(2).summary(jnp.ones((1, 3)))
            >>> table.parameters
            8
        """
        return registered.summarize(self, inputs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.hybridized:
            self._kuai_compile()

    def __repr__(self) -> str:
        return represent(self)

    def _repr_html_(self) -> str:
        html: str = registered.to_html(self)
        return html

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        print_lines(printer, f"{type(self).__name__}(...)" if cycle else repr(self))

    def __treescope_repr__(self, path: str | None, subtree_renderer: Any) -> Any:
        return registered.to_treescope(self, path, subtree_renderer)

    @property
    def __jax_array__(self) -> Any:
        raise TransformError(
            f"a block ({type(self).__name__}) was given to JAX where an array is expected, for "
            "example as an argument of jax.jit; use kuai.hybrid(function) for functions that take "
            "blocks, or kuai.functional(block) for a pure function and its arrays"
        )
