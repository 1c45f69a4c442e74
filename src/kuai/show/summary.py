"""The summary of a net: one row a place in the tree, shared things counted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kuai.core.block import Block
from kuai.core.containers import BlockList, Parallel, Repeat, Sequential
from kuai.core.initialize import sample_explained
from kuai.core.representation import print_lines
from kuai.core.tree import members
from kuai.show import table
from kuai.show.cost import Costs
from kuai.show.foldable import text_in_treescope
from kuai.show.outline import ArrayFact, Entry, outline
from kuai.show.rehearsal import Call, Rehearsal, rehearsed

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Row:
    """One place in the tree.

    Attributes:
        path, depth: where it is; the net itself has path "" and depth 0.
        class_name: of the block.
        code: what `repr` says of a block without blocks in it; else empty.
        flow: how its children are run: "sequence", "parallel", or "" where forward decides.
        outputs: the shapes of its outputs in every call; None without a sample.
        calls: how often it ran.
        arrays: its own arrays, those of blocks below not included.
        flops: of all its calls; None where that is unknown, as between the net and its leaves.
        shared_with: the path on which the block stands first, if that is another one.
    """

    path: str
    depth: int
    class_name: str
    code: str
    flow: str
    outputs: Shapes | None
    calls: int
    arrays: tuple[ArrayFact, ...]
    flops: int | None
    shared_with: str | None

    @property
    def parameters(self) -> int:
        """Elements of its own parameters, tied ones only where they stand first."""
        return self.elements("parameter")

    @property
    def trainable(self) -> str:
        """Whether its own parameters are trained: "yes", "no", "partly", or "" without any."""
        flags = {array.trainable for array in self.arrays if array.kind == "parameter"}
        return "" if not flags else "partly" if len(flags) > 1 else "yes" if flags.pop() else "no"

    @property
    def bytes(self) -> int:
        """The memory of its own arrays, as far as their shapes are known."""
        return sum(array.bytes or 0 for array in self.own())

    @property
    def complete(self) -> bool:
        """Whether the shapes of all its own arrays are known."""
        return all(array.size is not None for array in self.own())

    def own(self) -> list[ArrayFact]:
        """Its arrays that do not stand elsewhere before."""
        return [array for array in self.arrays if array.shared_with is None]

    def elements(self, kind: str) -> int:
        """Elements of its own arrays of a kind, as far as their shapes are known."""
        return sum(array.size or 0 for array in self.own() if array.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "path": self.path,
            "class": self.class_name,
            "outputs": None if self.outputs is None else [list(shape) for shape in self.outputs],
            "calls": self.calls,
            "parameters": self.parameters if self.complete else None,
            "trainable": self.trainable,
            "bytes": self.bytes if self.complete else None,
            "flops": self.flops,
            "shared_with": self.shared_with,
            "arrays": [_plain(array) for array in self.arrays],
        }


def _plain(array: ArrayFact) -> dict[str, Any]:
    names = ("name", "kind", "dtype", "trainable", "shared_with")
    return {**{name: getattr(array, name) for name in names}, "shape": list(array.shape)}


@dataclass(frozen=True, repr=False)
class Summary:
    """What a net is made of; prints as a table, in a notebook too.

    Attributes:
        rows: every place in the tree, a parent before its children.
        flops: of one forward, by XLA's count; without a sample None. Where the net branches on
            array values, the sum over the layers that ran.
        exact: whether `flops` is XLA's count of the whole.
    """

    rows: tuple[Row, ...]
    flops: int | None
    exact: bool

    @property
    def parameters(self) -> int:
        """Elements of all parameters, each once, as far as shapes are known."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Elements of the parameters that training changes."""
        own = [array for row in self.rows for array in row.own()]
        return sum(array.size or 0 for array in own if array.trainable)

    @property
    def frozen(self) -> int:
        """Elements of the parameters that training leaves alone."""
        return self.parameters - self.trainable

    @property
    def constants(self) -> int:
        """Elements of all constants."""
        return sum(row.elements("constant") for row in self.rows)

    @property
    def states(self) -> int:
        """Elements of all states that are saved with the net."""
        return sum(row.elements("state") for row in self.rows)

    @property
    def bytes(self) -> int:
        """The memory of all arrays."""
        return sum(row.bytes for row in self.rows)

    @property
    def complete(self) -> bool:
        """Whether all shapes are known, so that the totals are whole."""
        return all(row.complete for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain data, ready for `json.dumps`.

        Example:
            >>> nn.Dense(2).summary(jnp.ones((1, 3))).to_dict()["parameters"]
            8
        """
        totals = ("parameters", "trainable", "frozen", "constants", "states", "bytes", "complete")
        return {
            "class": self.rows[0].class_name,
            **{name: getattr(self, name) for name in totals},
            "flops": self.flops,
            "flops_exact": self.exact,
            "rows": [row.to_dict() for row in self.rows],
        }

    def __str__(self) -> str:
        return table.as_text(self)

    __repr__ = __str__

    def __rich_console__(self, console: Any, options: Any) -> Any:
        del console
        yield table.as_rich(self, options.max_width)

    def _repr_html_(self) -> str:
        return table.as_html(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002  # it has no cycle
        print_lines(printer, str(self))

    def __treescope_repr__(self, path: str | None, subtree_renderer: Any) -> Any:
        del subtree_renderer
        return text_in_treescope(f"Summary of {self.rows[0].class_name}", str(self), path)


def summarize(block: Block, inputs: tuple[Any, ...] = ()) -> Summary:
    """Look at a net without changing it; `Block.summary` calls this.

    Args:
        block: the net.
        inputs: a sample, arrays or `jax.ShapeDtypeStruct`, to infer shapes and count FLOPs from;
            nothing is computed, unless forward branches on array values.

    Raises:
        ShapeError: the sample does not fit.
        ArgumentError: it is a shape, not arrays.

    Example:
        >>> net = nn.Sequential(nn.Dense(4), nn.Dense(1))
        >>> summary = kuai.show.summarize(net, (jax.ShapeDtypeStruct((8, 3), jnp.float32),))
        >>> [row.outputs for row in summary.rows]
        [((8, 1),), ((8, 4),), ((8, 1),)]
        >>> summary.parameters
        21
    """
    if not inputs:
        return Summary(
            tuple(_row(entry, None, None) for entry in outline(block)), None, exact=False
        )
    given = inputs[0] if len(inputs) == 1 else inputs
    with sample_explained("summary", given), rehearsed(block, inputs) as seen:
        rows = _rows(block, seen)
        whole = Costs().of_net(block, inputs) if seen.abstract else None
    return _with_total(rows, whole)


def _rows(block: Block, seen: Rehearsal) -> list[Row]:
    costs = Costs()
    rows = []
    for entry in outline(block):
        calls = [] if entry.shared_with is not None else seen.calls.get(id(entry.block), [])
        rows.append(_row(entry, calls, _flops(costs, entry, calls)))
    return rows


def _flops(costs: Costs, entry: Entry, calls: list[Call]) -> int | None:
    """The FLOPs of a leaf; a block of blocks would be counted again at every level."""
    if entry.children or not calls:
        return None
    counted = [costs.of_call(entry.block, call) for call in calls]
    return None if None in counted else sum(count or 0 for count in counted)


def _row(entry: Entry, calls: list[Call] | None, flops: int | None) -> Row:
    outputs = None if calls is None else tuple(shape for call in calls for shape in call.outputs)
    return Row(
        path=entry.path,
        depth=entry.depth,
        class_name=entry.class_name,
        code="" if entry.children or entry.shared_with is not None else repr(entry.block),
        flow=_flow(entry.block),
        outputs=outputs,
        calls=len(calls or []),
        arrays=entry.arrays(),
        flops=flops,
        shared_with=entry.shared_with,
    )


def _flow(block: Block) -> str:
    """Known only where every block below is a step of the container, and none a mere attribute."""
    if not isinstance(block, BlockList) or len(block) != sum(map(_is_block, members(block))):
        return ""
    kinds = ((Sequential, "sequence"), (Repeat, "sequence"), (Parallel, "parallel"))
    return next((word for kind, word in kinds if isinstance(block, kind)), "")


def _is_block(member: tuple[str, Any]) -> bool:
    return isinstance(member[1], Block)


def _with_total(rows: list[Row], whole: int | None) -> Summary:
    if whole is not None:
        rows[0] = Row(**{**vars(rows[0]), "flops": whole})
        return Summary(tuple(rows), whole, exact=True)
    known = [row.flops for row in rows if row.flops is not None]
    return Summary(tuple(rows), sum(known) if known else None, exact=False)
