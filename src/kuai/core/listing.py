"""What every block offers over the tree below it: listing, selecting, changing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import jax.numpy as jnp

from kuai.core import surgery
from kuai.core.kinds import check_switched_on
from kuai.core.parameter import Holder, Parameter
from kuai.core.params import Params
from kuai.core.registration import Attributes
from kuai.core.tree import members, nothing_selected, selected, walk
from kuai.errors import ArgumentError, DtypeError

if TYPE_CHECKING:
    from kuai.core.block import Block


class Tree(Attributes):
    """A thing with other such things below it: the middle of `Block`."""

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
        found: dict[int, tuple[str, Any]] = {}
        for name, item in members(self):
            if isinstance(item, Tree):
                found.setdefault(id(item), (name, item))
        return list(found.values())

    def children(self) -> list[Block]:
        """The blocks that stand directly on this one, each once.

        Example:
            >>> nn.Sequential(nn.Dense(2)).children()
            [Dense(2)]
        """
        return [block for _, block in self.named_children()]

    def get_block(self, path: str) -> Block:
        """The block at a dotted path; "" is this block.

        Raises:
            BlockLookupError: nothing stands there (near paths are suggested).

        Example:
            >>> nn.Sequential(nn.Dense(2), nn.Dense(1)).get_block("1")
            Dense(1)
        """
        return surgery.get_block(self, path)

    def replace(self, path: str, new: Block | Callable[[Block], Block]) -> Self:
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

    def apply(self, function: Callable[[Block], Any]) -> Self:
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

    def freeze(self, select: Any = None) -> Self:
        """Stop training of the parameters below this block, or of a selection; return this block.

        Args:
            select: as in `named_parameters`; default all.

        Raises:
            ArgumentError: the selection selects no parameter.

        Example:
            >>> net = nn.Dense(2).freeze()
            >>> [p.trainable for p in net.parameters()]
            [False, False]
        """
        return self._kuai_set_trainable("freeze", select, False)

    def unfreeze(self, select: Any = None) -> Self:
        """Train the parameters below this block again, or a selection; return this block.

        Args:
            select: as in `named_parameters`; default all.

        Raises:
            ArgumentError: the selection selects no parameter.

        Example:
            >>> [p.trainable for p in nn.Dense(2).freeze().unfreeze("bias").parameters()]
            [False, True]
        """
        return self._kuai_set_trainable("unfreeze", select, True)

    def _kuai_set_trainable(self, what: str, select: Any, value: bool) -> Self:
        chosen = self.parameters(select)
        if select is not None and not chosen:
            known = [path for path, _ in self.named_parameters()]
            raise ArgumentError(nothing_selected(f"{type(self).__name__}.{what}", select, known))
        for parameter in chosen:
            parameter.trainable = value
        return self

    def astype(self, dtype: Any) -> Self:
        """Cast every floating parameter, constant and state below this block; return this block.

        Args:
            dtype: a floating dtype.

        Raises:
            DtypeError: `dtype` is none.
            ArgumentError: it has 64 bits, and `jax_enable_x64` is off.

        Example:
            >>> net = nn.Dense(2).astype(jnp.bfloat16)
            >>> net.params.weight.dtype
            dtype(bfloat16)
        """
        target = _floating(dtype, type(self).__name__)
        for _, holder in self.named_holders():
            if jnp.issubdtype(holder.dtype, jnp.floating):
                holder.cast(target)
        return self


def _floating(dtype: Any, where: str) -> Any:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not jnp.issubdtype(found, jnp.floating):
        raise DtypeError(
            f"{where}.astype: expected a floating dtype such as 'bfloat16', got {dtype!r}; "
            "integers and booleans keep theirs"
        )
    check_switched_on(f"{where}.astype", found)
    return found
