"""Holders of arrays: what a block stores and a compiled program takes as an argument.

A holder has an identity of its own, independent of the paths under which it is registered: tying is
registering one holder twice. Reading an attribute gives the array; the holder is
`block.params.NAME`. Its array may be a row of a `Stack`, where equal layers keep theirs together.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai import init as initializers
from kuai.core.context import context, epoch
from kuai.core.follows import Follows
from kuai.core.kinds import Shape, castable, check_switched_on, checked_shape
from kuai.errors import ArgumentError, DeferredInitError, DtypeError, ShapeError, TransformError

ARRAY_TYPES = (jax.Array, np.ndarray)


class Holder:
    """Base of `Parameter`, `Constant` and `State`: shape, dtype, and the current array.

    Args:
        value: the array, or anything `jnp.asarray` takes; or None with `shape`.
        shape: its shape when the values are to be made later; None stands for a dimension that is
            not known yet.
        init: initializer: a name, a number, or a function (key, shape, dtype) → array. None leaves
            the choice to `Block.initialize(init=)` and at last to the default.
        dtype: default that of `value`, or float32.
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_dtype",
        "_init",
        "_lent",
        "_shape",
        "birth",
        "chosen_init",
        "made",
        "row",
    )

    trainable = False
    anew = False  # whether it starts from `concrete()` in every trace
    rows: tuple[Holder, ...] = ()  # of a `Stack`
    default_init: Any = "zeros"

    def __init__(
        self,
        value: Any = None,
        *,
        shape: Sequence[int | None] | int | None = None,
        init: Any = None,
        dtype: Any = None,
    ) -> None:
        self._init = None if init is None else initializers.get(init)
        self._lent = True
        self.made = value is None  # by an initializer, rather than given
        self.birth: tuple[int, str] | None = None  # (seed, path) fixed by Block.initialize
        self.chosen_init: initializers.InitFunction | None = None  # by Block.initialize(init=)
        self._array: jax.Array | None = None
        self.row: tuple[Any, int] | None = None  # (stack, index), where its array stands there
        if dtype is not None and not self.rows:  # a stack has the dtype of its rows
            dtype = _checked_dtype(dtype, type(self).__name__)
        if value is not None:
            if shape is not None:
                raise ArgumentError(
                    f"{type(self).__name__}: expected a value or a shape, got both; drop the shape"
                )
            self._set_initial(_as_array(value, dtype, type(self).__name__))
            return
        self._shape: Shape = checked_shape(shape, type(self).__name__)
        self._dtype = jnp.dtype(jnp.float32 if dtype is None else dtype)

    def _set_initial(self, array: jax.Array) -> None:
        self._shape = array.shape
        self._dtype = array.dtype
        if isinstance(array, jax.core.Tracer):
            self.write(array)
        else:
            self._array = array

    @property
    def shape(self) -> Shape:
        """The shape; None stands for a dimension that is not known yet."""
        return self._shape

    @property
    def dtype(self) -> Any:
        """The dtype."""
        return self._dtype

    @property
    def init(self) -> initializers.InitFunction | None:
        """The initializer given for this holder, or None where the default rules."""
        return self._init

    @property
    def size(self) -> int:
        """The number of elements.

        Raises:
            DeferredInitError: a dimension is unknown.
        """
        if None in self._shape:
            raise DeferredInitError(self._unknown())
        return math.prod(n for n in self._shape if n is not None)

    @property
    def settled(self) -> bool:
        """Whether every dimension is known."""
        return None not in self._shape

    @property
    def ready(self) -> bool:
        """Whether the values have been made."""
        return self._array is not None or self.row is not None

    @property
    def array(self) -> jax.Array:
        """The current array: the tracer that is bound to it, while tracing.

        Raises:
            DeferredInitError: the values have not been made yet.
        """
        return self.read()

    @array.setter
    def array(self, value: Any) -> None:
        self.write(value)

    def read(self) -> jax.Array:
        """The current array, as `array` gives it."""
        scope = context.scope
        return self.concrete() if scope is None else scope.read(self)

    def concrete(self) -> jax.Array:
        """The stored array, whatever is bound in this thread."""
        array = self.peek()
        self._lent = True
        return array

    def peek(self) -> jax.Array:
        """The stored array, for a reader that keeps no reference to it."""
        for _ in range(2):  # another thread may move it between the two places
            if self._array is not None:
                return self._array
            if self.row is not None:
                stack, index = self.row
                return row_of(stack.peek(), np.int32(index))
        raise DeferredInitError(self._unknown())

    def write(self, value: Any) -> None:
        """Set the value; shape and dtype are checked.

        Raises:
            ShapeError: the shape differs.
            DtypeError: the value cannot be cast to this dtype without changing its kind.
            TransformError: a tracer of a raw JAX transform would be stored.
        """
        array = self._checked(value)
        if context.scope is not None:
            context.scope.write(self, array)
        elif isinstance(array, jax.core.Tracer):
            raise TransformError(
                f"a {type(self).__name__} of shape {self._shape} was assigned inside a raw JAX "
                "transform, where the value cannot outlive the trace; use kuai.functional(block), "
                "kuai.hybrid, or kuai.eval_mode()"
            )
        else:
            self.store(array, lent=True)

    def store(self, array: jax.Array, *, lent: bool = False) -> None:
        """Set the stored array, unchecked.

        Args:
            array: of this shape and dtype.
            lent: whether somebody else may have it, so that its buffer must not be donated.
        """
        moved = self._array is None
        self._array, self.row, self._lent = array, None, lent
        if moved:
            epoch.bump()

    def lend(self) -> jax.Array | None:
        """The stored array, for a program that will donate its buffer; None if someone reads it.

        A read since the last `store` may have left a reference with the user: then the buffer
        must not be donated.
        """
        return None if self._lent else self._array

    def clear(self) -> None:
        """Forget the values, keeping the shape; the next call makes them anew."""
        self._array = self.row = None
        epoch.bump()

    def bear(self, seed: int, path: str, init: initializers.InitFunction | None) -> None:
        """Forget the values and fix what the next ones will follow from."""
        self.clear()
        self.birth, self.chosen_init = (seed, path), init

    def settle(self, shape: Sequence[int]) -> None:
        """Fill in the dimensions that were unknown.

        Args:
            shape: the whole shape.

        Raises:
            ShapeError: it disagrees with a dimension that is known.
        """
        new = tuple(int(n) for n in shape)
        known = self._shape
        if len(new) != len(known) or any(
            k not in (None, n) for k, n in zip(known, new, strict=True)
        ):
            raise ShapeError(f"expected a parameter of shape {known}, got {new}")
        if new != known:
            self._shape = new
            scope = context.scope
            if scope is not None and scope.dry_run is not None:
                scope.dry_run.on_failure.append(lambda: setattr(self, "_shape", known))

    def cast(self, dtype: Any) -> None:
        """Change the dtype, and the values with it."""
        epoch.guard()
        if self.ready:
            self._array, self.row = self.peek().astype(dtype), None
        self._dtype = jnp.dtype(dtype)
        epoch.bump()

    def _checked(self, value: Any) -> jax.Array:
        array = _as_array(value, None, type(self).__name__)
        if array.dtype != self._dtype:
            if not castable(array.dtype, self._dtype):
                raise DtypeError(
                    f"expected a value of dtype {self._dtype}, got {array.dtype}; "
                    f"cast it with .astype({str(self._dtype)!r})"
                )
            array = array.astype(self._dtype)
        if None in self._shape:
            self.settle(array.shape)
        if array.shape != self._shape:
            raise ShapeError(f"expected a value of shape {self._shape}, got {array.shape}")
        return array

    def _unknown(self) -> str:
        missing = (
            "its shape is not known yet" if not self.settled else "its values are not made yet"
        )
        return (
            f"{type(self).__name__} of shape {self._shape}: {missing}; call the net once, or "
            "initialize(sample=...) with an input of the right shape"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Holder:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__setstate__(self.__getstate__())
        if isinstance(self._init, Follows):
            new._init = copy.deepcopy(self._init, memo)
        self._lent = True
        return new

    def __getstate__(self) -> dict[str, Any]:
        names = [
            s for c in type(self).__mro__ for s in getattr(c, "__slots__", ()) if s[:2] != "__"
        ]
        own = self.peek() if self.row is not None else self._array
        return {**{name: getattr(self, name) for name in names}, "_array": own, "row": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self._lent = True

    def __repr__(self) -> str:
        init = "" if self._init is None else f", init={self._init!r}"
        return f"{type(self).__name__}(shape={self._shape}, dtype={self._dtype}{init})"


class Parameter(Holder):
    """An array that training changes.

    Args:
        value: the initial array; or None with `shape`.
        shape: shape of the values to be made, None for a dimension that is known later.
        init: initializer; default the layer's or net's choice, at last "glorot_uniform" for two
            axes or more and "zeros" for a vector.
        dtype: default that of `value`, or float32.
        trainable: whether transforms take its gradient and optimizers change it; default True.

    Raises:
        ArgumentError: neither value nor shape is given, or both, or the dtype has 64 bits and
            `jax_enable_x64` is off.

    Example:
        >>> p = kuai.Parameter(shape=(None, 4))
        >>> p.shape, p.trainable
        ((None, 4), True)
        >>> kuai.Parameter(jnp.ones((2, 2))).array.sum()
        Array(4., dtype=float32)
    """

    __slots__ = ("_trainable",)

    def __init__(self, value: Any = None, *, trainable: bool = True, **options: Any) -> None:
        self._trainable = bool(trainable)
        super().__init__(value, **options)

    @property
    def default_init(self) -> Any:
        """The initializer when nobody chose one."""
        return "glorot_uniform" if len(self._shape) > 1 else "zeros"

    @property
    def trainable(self) -> bool:
        """Whether transforms take its gradient and optimizers change it."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        epoch.guard()
        self._trainable = bool(value)
        epoch.bump()


class Constant(Holder):
    """An array that is saved and moved with the net and never trained.

    A bare array assigned to a block becomes a Constant.

    Example:
        >>> kuai.Constant(jnp.arange(3.0)).array
        Array([0., 1., 2.], dtype=float32)
    """

    __slots__ = ()


class State(Holder):
    """An array that forward itself updates by plain assignment, such as a running mean.

    Args:
        value: the initial array; or None with `shape`.
        persistent: whether it is saved with the net; default True.
        shape, init, dtype: as for `Parameter`; the default initializer is "zeros".

    Example:
        >>> class Counter(kuai.Block):
        ...     def __init__(self):
        ...         self.count = kuai.State(0)
        ...     def forward(self, x):
        ...         self.count += 1
        ...         return x * self.count
        >>> net = Counter()
        >>> net(jnp.ones(())), net(jnp.ones(()))
        (Array(1., dtype=float32), Array(2., dtype=float32))
    """

    __slots__ = ("persistent",)

    def __init__(self, value: Any = None, *, persistent: bool = True, **options: Any) -> None:
        self.persistent = bool(persistent)
        super().__init__(value, **options)

    def reshape(self, value: Any) -> None:
        """Take over the shape and dtype of a value about to be written."""
        if value.shape != self._shape or value.dtype != self._dtype:
            self._shape, self._dtype = value.shape, value.dtype
            epoch.bump()


@jax.jit
def row_of(stack: jax.Array, index: Any) -> jax.Array:
    """One row of a stack, by one program for all rows."""
    return jax.lax.dynamic_index_in_dim(stack, index, 0, keepdims=False)


def _checked_dtype(dtype: Any, where: str) -> np.dtype:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        raise ArgumentError(
            f"{where}: expected a dtype, got {dtype!r}; write for example dtype='float32'"
        ) from None
    check_switched_on(where, found)
    return found


def _as_array(value: Any, dtype: Any, where: str) -> jax.Array:
    if isinstance(value, Holder):
        raise ArgumentError(
            f"{where}: expected an array, got a {type(value).__name__}; read its .array"
        )
    try:
        return jnp.asarray(value, dtype)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{where}: expected an array, got {type(value).__name__}: {error}"
        ) from error
