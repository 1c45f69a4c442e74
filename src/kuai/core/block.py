"""Block: a layer, a group of layers, a whole model.

Invariants a maintainer must not break:

* An attribute that is, or holds, a `Holder` lives in `_kuai.slots` and is read through
  `__getattr__`, so that reading gives the array bound in this thread. Everything else lives in the
  instance's `__dict__`.
* Every change of an attribute bumps the epoch after it was made.
* `_kuai` is the only name that kuai takes on an instance.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from kuai.core import autograd, extensions, initialize, surgery, weights
from kuai.core.context import context, entered, epoch
from kuai.core.modes import Mode, pinned_mode
from kuai.core.operator import run_operator
from kuai.core.parameter import ARRAY_TYPES, Holder, Parameter, State
from kuai.core.representation import represent
from kuai.core.tree import Node, here, members, path_of, selected, walk
from kuai.core.watched import holds_arrays, resolve, wrap, written
from kuai.errors import (
    ArgumentError,
    BlockNotReadyError,
    DeferredInitError,
    ForwardNotDefinedError,
    HybridizeError,
    RegistrationError,
    ShapeError,
    TransformError,
)


class Internals:
    """What kuai keeps on a block beside the user's attributes."""

    __slots__ = ("after", "arguments", "before", "building", "compiled", "hybrid", "mode", "ready_at", "slots", "temporary")

    def __init__(self) -> None:
        self.slots: dict[str, Any] = {}
        self.mode: Mode = "auto"
        self.before: tuple[Callable[..., Any], ...] = ()
        self.after: tuple[Callable[..., Any], ...] = ()
        self.hybrid: dict[str, Any] | None = None
        self.compiled: Callable[..., Any] | None = None
        self.building = True
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self.ready_at = -1
        self.temporary = bool(context.stack)  # made while a forward runs

    def __getstate__(self) -> dict[str, Any]:
        kept = ("mode", "before", "after", "hybrid", "arguments")
        return {"slots": dict(self.slots), **{name: getattr(self, name) for name in kept}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]  # the defaults, then what was kept
        for name, value in state.items():
            setattr(self, name, value)
        self.building = False


class BlockMeta(type):
    """Knows when a block is under construction, and bumps the epoch when a class changes."""

    version = 0

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        block = super().__call__(*args, **kwargs)
        if isinstance(block, Block):
            internals = block._kuai
            internals.arguments = (tuple(map(_brief, args)), {k: _brief(v) for k, v in kwargs.items()})
            internals.building = False
            epoch.bump()
        return block

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if not name.startswith("__abc") and name != "version":
            BlockMeta.version += 1
            epoch.bump()

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        BlockMeta.version += 1
        epoch.bump()


class Hook:
    """A registered hook; `remove()` takes it off, as leaving a `with` block does."""

    def __init__(self, internals: Internals, place: str, function: Callable[..., Any]) -> None:
        self._internals, self._place, self._function = internals, place, function
        setattr(internals, place, (*getattr(internals, place), function))
        epoch.bump()

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        hooks = list(getattr(self._internals, self._place))
        if self._function in hooks:
            hooks.remove(self._function)
            setattr(self._internals, self._place, tuple(hooks))
            epoch.bump()

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Params:
    """The holders that stand directly on a block: `block.params.weight`.

    Example:
        >>> nn.Dense(2).params.weight
        Parameter(shape=(None, 2), dtype=float32)
    """

    def __init__(self, block: Block) -> None:
        object.__setattr__(self, "_block", block)

    def __getattr__(self, name: str) -> Any:
        stored = dict(self._block.stored())
        found = {path: item for path, item in members(self._block) if isinstance(item, Holder)}
        if name in found:
            return found[name]
        if name in stored and any(path.startswith(f"{name}.") for path in found):
            return _holders_of(stored[name])
        known = ", ".join(found) or "none"
        raise AttributeError(f"{type(self._block).__name__} has no parameter {name!r}; it has {known}")

    def __getitem__(self, path: str) -> Holder:
        holders = walk(self._block).holders
        return holders[path] if path in holders else getattr(self, path)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._block, name, value)

    def __iter__(self) -> Iterator[str]:
        return iter(path for path, item in members(self._block) if isinstance(item, Holder))

    def __dir__(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"Params({', '.join(f'{name}={self[name]!r}' for name in self)})"


class Block(Node, metaclass=BlockMeta):
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

    _kuai: Internals
    _is_operator: ClassVar[bool] = False

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Any:
        block = super().__new__(cls)
        object.__setattr__(block, "_kuai", Internals())
        return block

    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._is_operator = hasattr(cls, "backward")

    # ---- what a subclass writes

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """Compute the output. Every block overrides this.

        Raises:
            ForwardNotDefinedError: the class does not override it.
        """
        raise ForwardNotDefinedError(
            f"{here()}: expected {type(self).__name__} to define forward(self, ...), and it does not; "
            "write it, or check its spelling"
        )

    def infer_shapes(self, *inputs: Any, **keywords: Any) -> None:
        """Settle this block's own unknown shapes from the inputs of a call.

        A block whose own parameters have unknown dimensions overrides this: it calls
        `self.params.NAME.settle(shape)` for each. It runs before `forward`, once.

        Raises:
            DeferredInitError: parameters have unknown dimensions and the class does not override it.
        """
        unknown = [n for n, item in members(self) if isinstance(item, Holder) and not item.settled]
        raise DeferredInitError(
            f"{here()}: the shapes of {', '.join(unknown)} are not known; give them whole, or override "
            "infer_shapes(self, *inputs) to call self.params.NAME.settle(shape)"
        )

    # ---- calling

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        """Run the block: hooks, then `forward`, compiled where it is hybridized."""
        compiled = self._kuai.compiled
        if compiled is not None:
            return compiled(*inputs, **keywords)
        return self.run_plain(inputs, keywords)

    def run_plain(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Run the block as plain Python, hooks and all."""
        return self._run(inputs, keywords) if context.stack else self._start(inputs, keywords)

    def _start(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """A call from outside all blocks: NumPy becomes JAX, missing values are made."""
        inputs, keywords = jax.tree.map(_to_jax, (inputs, keywords))
        if context.scope is None and self._kuai.ready_at != epoch.value:
            initialize.make_ready([self], self, inputs, keywords)
        return self._run(inputs, keywords)

    def _run(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        internals = self._kuai
        if internals.building:
            raise BlockNotReadyError(
                f"{type(self).__name__} was called from inside its own __init__, before it was whole; "
                "call it after construction, or call the sub-block you need"
            )
        if context.visited is not None and not internals.temporary:
            context.visited[id(self)] = self
        mode = nullcontext() if internals.mode == "auto" else pinned_mode(internals.mode)
        with entered(stack=(*context.stack, self)), mode:
            try:
                return self._forward_with_hooks(internals, inputs, keywords)
            except Exception as error:
                _note_place(error)
                raise

    def _forward_with_hooks(self, internals: Internals, inputs: Any, keywords: Any) -> Any:
        for hook in internals.before:
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        if internals.ready_at != epoch.value:
            self._settle(inputs, keywords)
        run = self.forward if not self._is_operator else self._operate
        output = run(*inputs, **keywords)
        for hook in internals.after:
            changed = hook(self, inputs, output)
            output = output if changed is None else changed
        return output

    def _operate(self, *inputs: Any, **keywords: Any) -> Any:
        return run_operator(self, inputs, keywords)

    def _settle(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        own = [item for _, item in members(self) if isinstance(item, Holder) and not item.ready]
        if own and self._kuai.temporary and path_of(context.stack[0], self) is None:
            raise RegistrationError(
                f"{type(self).__name__} is made and called inside a forward and stands on no block: it "
                "would have other parameters on every call; make it in __init__"
            )
        if any(not holder.settled for holder in own):
            self.infer_shapes(*inputs, **keywords)
        if own:
            initialize.settle_here(self, [holder for holder in own if holder.settled])
        elif not context.inferring:
            self._kuai.ready_at = epoch.value

    # ---- attributes

    def __getattr__(self, name: str) -> Any:
        slots = self.__dict__["_kuai"].slots
        if name in slots:
            try:
                return resolve(slots[name])
            except DeferredInitError as error:
                raise DeferredInitError(f"{type(self).__name__}.{name}: {error}") from None
        near = difflib.get_close_matches(name, [*self.__dict__, *slots], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        stored = self._kuai.slots.get(name)
        if stored is not None and self._assigned(name, stored, value):
            return
        if hasattr(getattr(type(self), name, None), "__set__"):
            object.__setattr__(self, name, value)
            epoch.bump()
        elif isinstance(value, ARRAY_TYPES) and context.stack and not self._kuai.building:
            self._keep_transient(name, value)
        else:
            self._register(name, value)

    def _assigned(self, name: str, stored: Any, value: Any) -> bool:
        """Whether the assignment only set the array of a holder that is there."""
        try:
            if isinstance(stored, State) and not stored.persistent and isinstance(value, ARRAY_TYPES):
                stored.reshape(value)
            return written(stored, value)
        except (ArgumentError, ShapeError, TypeError, TransformError) as error:
            error.args = (f"{type(self).__name__}.{name}: {error}", *error.args[1:])
            raise

    def _keep_transient(self, name: str, value: Any) -> None:
        """An array that forward puts on the block: readable afterwards, not saved, not trained."""
        _check_name(self, name, slot=True)
        holder = State(shape=value.shape, dtype=value.dtype, persistent=False)
        self.__dict__.pop(name, None)
        self._kuai.slots[name] = holder
        holder.write(value)
        if context.scope is not None and context.scope.dry_run is not None:
            context.scope.dry_run.always.append(lambda: self._kuai.slots.pop(name, None) and None)
        epoch.bump()

    def _register(self, name: str, value: Any) -> None:
        value = wrap(value)
        is_slot = holds_arrays(value)
        _check_name(self, name, slot=is_slot)
        before = self.__dict__.get(name, _ABSENT)
        if context.compiling and not self._kuai.building and not _equal(before, value):
            raise HybridizeError(_written_while_compiling(self, name, value))
        if isinstance(value, Holder):
            _check_tie(self, name, self._kuai.slots.get(name), value)
        self._log_for_dry_run(name, before, value)
        self.__dict__.pop(name, None) if is_slot else self._kuai.slots.pop(name, None)
        if is_slot:
            self._kuai.slots[name] = value
        else:
            object.__setattr__(self, name, value)
        epoch.bump()

    def _log_for_dry_run(self, name: str, before: Any, value: Any) -> None:
        dry_run = context.scope.dry_run if context.scope is not None else None
        if dry_run is None or self._kuai.building or isinstance(value, (Node, Holder, list, dict, tuple)):
            return
        if before is _ABSENT:
            dry_run.always.append(lambda: self.__dict__.pop(name, None))
        else:
            dry_run.always.append(lambda: object.__setattr__(self, name, before))

    def __delattr__(self, name: str) -> None:
        epoch.guard()
        if name in self._kuai.slots:
            del self._kuai.slots[name]
        else:
            object.__delattr__(self, name)
        epoch.bump()

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._kuai.slots})

    def stored(self) -> Iterator[tuple[str, Any]]:
        """Every attribute of the user's as (name, stored value): holders, not arrays."""
        yield from self._kuai.slots.items()
        for name, value in self.__dict__.items():
            if name != "_kuai":
                yield name, value

    def settings(self) -> tuple[Any, ...]:
        """Mode and hooks, and the version of all block classes."""
        internals = self._kuai
        return internals.mode, *internals.before, None, *internals.after, BlockMeta.version

    # ---- listing

    @property
    def params(self) -> Params:
        """The holders that stand directly on this block, by attribute: `block.params.weight`."""
        return Params(self)

    def named_parameters(self, select: Any = None) -> list[tuple[str, Parameter]]:
        """Every parameter below this block with its path, each once.

        Args:
            select: a glob over paths ("*.weight"), a compiled regular expression, a type, or a
                predicate (path, parameter) → bool; default all.

        Example:
            >>> net = nn.Sequential(nn.Dense(2), nn.Dense(1, use_bias=False))
            >>> [path for path, _ in net.named_parameters("*.weight")]
            ['0.weight', '1.weight']
        """
        found = [(p, h) for p, h in walk(self).holders.items() if isinstance(h, Parameter)]
        return selected(dict(found), select)

    def parameters(self, select: Any = None) -> list[Parameter]:
        """Every parameter below this block, each once; `select` as in `named_parameters`.

        Example:
            >>> len(nn.Dense(2).parameters())
            2
        """
        return [parameter for _, parameter in self.named_parameters(select)]

    def named_holders(self, select: Any = None) -> list[tuple[str, Holder]]:
        """Every `Parameter`, `Constant` and `State` below this block with its path.

        Example:
            >>> [path for path, _ in nn.BatchNorm().named_holders(kuai.State)]
            ['running_mean', 'running_var']
        """
        return selected(walk(self).holders, select)

    def named_blocks(self, select: Any = None) -> list[tuple[str, Block]]:
        """This block (path "") and every block below it with its dotted path, each once.

        Example:
            >>> net = nn.Sequential(nn.Dense(2), nn.Dropout(0.1))
            >>> [path for path, _ in net.named_blocks(nn.Dense)]
            ['0']
        """
        return selected(walk(self).blocks, select)

    def blocks(self, select: Any = None) -> list[Block]:
        """This block and every block below it, each once; `select` as in `named_parameters`.

        Example:
            >>> len(nn.Sequential(nn.Dense(2), nn.Dense(1)).blocks())
            3
        """
        return [block for _, block in self.named_blocks(select)]

    def named_children(self) -> list[tuple[str, Block]]:
        """The blocks that stand directly on this one, with their names, each once.

        Example:
            >>> nn.Sequential(nn.Dense(2)).named_children()
            [('0', Dense(2))]
        """
        found = {id(item): (name, item) for name, item in reversed(list(members(self)))
                 if isinstance(item, Block)}  # fmt: skip
        return list(reversed(found.values()))

    def children(self) -> list[Block]:
        """The blocks that stand directly on this one, each once.

        Example:
            >>> nn.Sequential(nn.Dense(2)).children()
            [Dense(2)]
        """
        return [block for _, block in self.named_children()]

    # ---- changing the tree

    def get_block(self, path: str) -> Block:
        """The block at a dotted path; "" is this block.

        Raises:
            BlockLookupError: nothing stands there (near paths are suggested).

        Example:
            >>> nn.Sequential(nn.Dense(2), nn.Dense(1)).get_block("1")
            Dense(1)
        """
        return surgery.get_block(self, path)  # type: ignore[no-any-return]

    def replace(self, path: str, new: Block | Callable[[Block], Block]) -> Block:
        """Put another block at a dotted path.

        Args:
            path: where; only this place changes, a shared block stays elsewhere.
            new: the block, or a function of the old one that returns it.

        Returns:
            This block.

        Raises:
            BlockLookupError: nothing stands at `path`.

        Example:
            >>> net = nn.Sequential(nn.Dense(2), nn.Dropout(0.5))
            >>> net.replace("1", nn.Identity())
            Sequential(Dense(2), Identity())
        """
        surgery.replace(self, path, new)
        return self

    def apply(self, function: Callable[[Block], Any]) -> Block:
        """Call `function` on every block below this one, then on this one; return this block.

        Example:
            >>> seen = []
            >>> net = nn.Sequential(nn.Dense(1)).apply(lambda b: seen.append(type(b).__name__))
            >>> seen
            ['Dense', 'Sequential']
        """
        for block in reversed(self.blocks()):
            function(block)
        return self

    def freeze(self, select: Any = None) -> Block:
        """Stop training of the parameters below this block, or of a selection; return this block.

        Example:
            >>> net = nn.Dense(2).freeze()
            >>> [p.trainable for p in net.parameters()]
            [False, False]
        """
        for parameter in self.parameters(select):
            parameter.trainable = False
        return self

    def unfreeze(self, select: Any = None) -> Block:
        """Train the parameters below this block again, or a selection; return this block.

        Example:
            >>> [p.trainable for p in nn.Dense(2).freeze().unfreeze("bias").parameters()]
            [False, True]
        """
        for parameter in self.parameters(select):
            parameter.trainable = True
        return self

    def astype(self, dtype: Any) -> Block:
        """Cast every floating parameter, constant and state below this block; return this block.

        Example:
            >>> net = nn.Dense(2).astype(jnp.bfloat16)
            >>> net.params.weight.dtype
            dtype(bfloat16)
        """
        for _, holder in self.named_holders():
            if jnp.issubdtype(holder.dtype, jnp.floating):
                holder.cast(dtype)
        return self

    # ---- modes and hooks

    @property
    def mode(self) -> Mode:
        """"auto" (as the transforms and contexts say), "train" or "eval" (pinned)."""
        return self._kuai.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode not in ("auto", "train", "eval"):
            raise ArgumentError(f"{type(self).__name__}.mode: expected 'auto', 'train' or 'eval', got {mode!r}")
        for block in self.blocks():
            block._kuai.mode = "auto"
        self._kuai.mode = mode
        epoch.bump()

    def train(self) -> Block:
        """Pin this block and all below it to train mode; `mode = "auto"` lets go. Return this block.

        Example:
            >>> nn.Dropout(0.5).train().mode
            'train'
        """
        self.mode = "train"
        return self

    def eval(self) -> Block:
        """Pin this block and all below it to eval mode; `mode = "auto"` lets go. Return this block.

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
        self, *, seed: int | None = None, init: Any = None, sample: Any = None, force: bool = False
    ) -> Block:
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

        Example:
            >>> net = nn.Dense(2).initialize(seed=1, sample=jnp.ones((1, 3)))
            >>> net.weight.shape
            (3, 2)
        """
        initialize.initialize(self, seed=seed, init=init, sample=sample, force=force)
        return self

    def save(self, path: Any) -> None:
        """Save every parameter, constant and persistent state as safetensors, durably.

        Args:
            path: of the file; it is replaced whole or not at all.

        Raises:
            DeferredInitError: values have not been made yet.
            FileAccessError: the folder is missing or cannot be written.

        Example:
            >>> import tempfile, os
            >>> net = nn.Dense(2).initialize(sample=jnp.ones((1, 3)))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     net.save(os.path.join(folder, "net.safetensors"))
            ...     nn.Dense(2).load(os.path.join(folder, "net.safetensors")).weight.shape
            (3, 2)
        """
        weights.save(self, path)

    def load(self, path: Any, *, strict: bool = True) -> Block:
        """Load what `save` wrote; shapes that are not known yet are settled by the file.

        Args:
            path: of the file.
            strict: whether every name must be in both the file and the block; default True.

        Returns:
            This block.

        Raises:
            CheckpointError: names or shapes do not fit; all of them are listed, nothing has changed.
            FileFormatError: the file is damaged or of another format.
            FileAccessError: it is missing or cannot be read.
        """
        weights.load(self, path, strict=strict)
        return self

    def vjp(self, *inputs: Any, **keywords: Any) -> tuple[Any, Callable[..., Any]]:
        """The output, and the block's backward function.

        Args:
            inputs, keywords: as for a call.

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
        return autograd.vjp(self, inputs, keywords)

    def hybridize(self, active: bool = True) -> Block:
        """Compile this block: from here on one XLA program for each signature of a call.

        A change of anything that forward can read on a block recompiles. Blocks inside need no
        hybridize of their own.

        Args:
            active: False goes back to plain Python.

        Returns:
            This block.

        Raises:
            HybridizeError: when called, if forward branches in Python on array values.

        Example:
            >>> net = nn.Dense(2).hybridize()
            >>> net(jnp.ones((1, 3))).shape
            (1, 2)
        """
        self._kuai.hybrid = {} if active else None
        self._compile()
        return self

    @property
    def hybridized(self) -> bool:
        """Whether calls of this block are compiled."""
        return self._kuai.compiled is not None

    def _compile(self) -> None:
        compile_block = extensions.registered.compile_block
        active = self._kuai.hybrid is not None and compile_block is not None
        self._kuai.compiled = compile_block(self) if active and compile_block else None
        epoch.bump()

    # ---- copying and showing

    def copy(self) -> Block:
        """An independent copy: parameters of its own with the same values, ties kept inside it.

        Example:
            >>> net = nn.Dense(1, init="ones").initialize(sample=jnp.ones((1, 1)))
            >>> twin = net.copy()
            >>> twin.weight = jnp.zeros((1, 1))
            >>> float(net.weight[0, 0])
            1.0
        """
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_kuai"] = copy.copy(self._kuai)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._kuai.hybrid is not None:
            self._compile()

    def __repr__(self) -> str:
        return represent(self)

    def summary(self, *inputs: Any) -> Any:
        """A table of the tree: shapes, parameters, FLOPs; prints, and shows in notebooks.

        Args:
            inputs: a sample to infer shapes and outputs from; default what is known already.

        Example:
            >>> table = nn.Dense(2).summary(jnp.ones((1, 3)))
            >>> table.parameters
            8
        """
        return _registered("summarize")(self, inputs)

    def _repr_html_(self) -> str:
        return _registered("to_html")(self)  # type: ignore[no-any-return]

    @property
    def __jax_array__(self) -> Any:
        raise TransformError(
            f"a block ({type(self).__name__}) was given to JAX where an array is expected, for example "
            "as an argument of jax.jit; use kuai.hybrid(function) for functions that take blocks, or "
            "kuai.functional(block) for a pure function and its arrays"
        )


_ABSENT = object()
_RESERVED = frozenset(name for name in dir(Block) if not name.startswith("__")) - {"forward", "infer_shapes"}


def _registered(name: str) -> Callable[..., Any]:
    function = getattr(extensions.registered, name)
    if function is None:
        raise TransformError(f"{name} needs kuai.show; import kuai, not a part of it")
    return function  # type: ignore[no-any-return]


def _brief(value: Any) -> Any:
    """What `repr` may show of a constructor's argument, without keeping big things alive."""
    return value if isinstance(value, (int, float, str, bool, type(None))) else _Elided(type(value).__name__)


class _Elided:
    """Stands in a repr for an argument that was not kept."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _holders_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _holders_of(item) for key, item in dict.items(value)}
    if isinstance(value, (list, tuple)):
        items = list.__iter__(value) if isinstance(value, list) else value
        return [_holders_of(item) for item in items]
    return value


def _to_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf


def _check_name(block: Block, name: str, *, slot: bool) -> None:
    where = f"{type(block).__name__}.{name}"
    if name in _RESERVED:
        raise RegistrationError(f"{where}: {name!r} is a name of kuai.Block itself; choose another")
    if slot and hasattr(type(block), name):
        raise RegistrationError(
            f"{where}: the class has an attribute {name!r}, which would hide the array; rename one"
        )


def _check_tie(block: Block, name: str, old: Any, new: Holder) -> None:
    if not isinstance(old, Holder):
        return
    fits = len(old.shape) == len(new.shape) and all(
        a is None or b is None or a == b for a, b in zip(old.shape, new.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{type(block).__name__}.{name}: expected a parameter of shape {old.shape} to tie to, got "
            f"{new.shape}; transpose in forward, or delete the attribute first"
        )


def _equal(before: Any, value: Any) -> bool:
    return before is value or (type(before) is type(value) and not isinstance(value, Node) and bool(before == value))


def _written_while_compiling(block: Block, name: str, value: Any) -> str:
    return (
        f"{here()}: forward assigns {type(value).__name__} to self.{name} while it is being compiled: "
        f"that would happen once, not on every call; make it an array kept in kuai.State, or call "
        "hybridize(False)"
    )


def _note_place(error: Exception) -> None:
    """Say once, on the way out, in which block an error arose."""
    if isinstance(error, initialize.Unbound) or hasattr(error, "_kuai_place"):
        return
    place = here()
    error._kuai_place = place  # type: ignore[attr-defined]  # a mark of ours, for hybrid.errors
    if place not in str(error):
        error.add_note(f"in block {place}")
