"""A pickle read as data: an interpreter of our own that can build values but not call anything.

Python's unpickler runs what a file names. This one knows two dozen opcodes that put plain values
together; where a pickle names a class or function, (module, name) must be one of a table of exact
pairs, each of which stands for a constructor of ours that copies the meaning of the real one. The
real one is never looked up, nothing is imported, and no attribute of anything is read.

What a pickle may cost is bounded by its length: the number of steps and of containers is limited,
lengths are checked against what is left of the file before it is read, the memo is a dictionary
(so that an index of 2**31 takes no room), and keys are of kinds whose hashes nobody can choose.
Long byte strings stay in the file, as a Span.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from kuai.interop.readers.source import Source, Span, short

_STEPS = 2_000_000
_CONTAINERS = 300_000  # of containers, and of values in the memo: each takes up to 100 bytes
_LONG_BYTES = 16
_LINE_BYTES = 512
_IN_FILE = 64  # byte strings of this length on are left in the file
_NAMES = {ord(code.code): code.name for code in pickletools.opcodes}
_MARK = object()


class Table(dict[Any, Any]):
    """A dictionary out of a pickle, with what was set on it as attributes left out."""

    def set_state(self, state: Any) -> None:
        """State dicts carry `_metadata`, versions that only their own system needs."""


@dataclass(frozen=True)
class Known:
    """What a pair of module and name stands for.

    Args:
        make: called with the arguments of a REDUCE; None: the name may only be passed around.
        value: what it means when passed around.
    """

    make: Callable[..., Any] | None = None
    value: Any = None


@dataclass(frozen=True)
class Unreadable:
    """A pair of module and name that an honest file may hold and kuai does not read.

    Args:
        what: it is, as the subject of a sentence.
        remedy: what to do.
    """

    what: str
    remedy: str


Lookup = Callable[[str, str], Known | Unreadable | None]


class Pickle:
    """One pickle in a file.

    Args:
        source: for messages, and for the spans of what stays in the file.
        file: at the first byte of the pickle.
        end: the position in `file` behind which nothing may be read.
        lookup: module and name → what they stand for, None where they are not admitted.
        persistent: persistent id → value; default: there are none.
        in_place: whether positions in `file` are positions in the source.
    """

    def __init__(
        self,
        source: Source,
        file: BinaryIO,
        end: int,
        lookup: Lookup,
        persistent: Callable[[Any], Any] | None = None,
        *,
        in_place: bool = False,
    ) -> None:
        self.source, self._file, self._end = source, file, end
        self._lookup, self._persistent, self._in_place = lookup, persistent, in_place
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._containers = 0
        self._at = file.tell()

    def load(self) -> Any:
        """The value that the pickle describes.

        Raises:
            FileFormatError: it is cut short, broken, or asks for too much.
            UnsafeFileError: it names something that is not admitted, or uses an opcode that runs
                what it names.
            UnsupportedFileError: it names something that kuai does not read.
        """
        run = _OPERATIONS.get
        for _ in range(_STEPS):
            code = self._take(1)[0]
            if code == 0x2E:  # STOP
                return self._pop()
            operation = run(code)
            if operation is None:
                raise self._refused(code)
            operation(self)
        raise self.source.damaged(f"its pickle takes more than {_STEPS:,} steps")

    def _refused(self, code: int) -> Exception:
        name = _NAMES.get(code)
        if name is None:
            return self.source.damaged(f"its pickle holds the unknown opcode {code:#04x}")
        return self.source.unsafe(
            f"its pickle uses the opcode {name} at byte {self._at - 1}, which no file of weights "
            f"needs"
        )

    # --- the file ---

    def _take(self, length: int) -> bytes:
        self._reserve(length)
        data = self._file.read(length)
        if len(data) < length:
            raise self.source.damaged("its pickle ends too early (it is cut short)")
        return data

    def _reserve(self, length: int) -> None:
        if length > self._end - self._at:
            raise self.source.damaged(
                f"its pickle asks for {length:,} bytes where {self._end - self._at:,} are left "
                f"(it is cut short)"
            )
        self._at += length

    def _number(self, layout: str) -> int:
        found: int = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return found

    def _line(self) -> str:
        line = self._file.readline(_LINE_BYTES)
        self._reserve(len(line))
        if not line.endswith(b"\n"):
            raise self.source.damaged("its pickle holds a name that does not end")
        return self._text(line[:-1])

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.source.damaged("its pickle holds text that is not UTF-8") from None

    def _bytes(self, length: int) -> bytes | Span:
        if length < _IN_FILE or not self._in_place:
            return self._take(length)
        start = self._at
        self._reserve(length)
        self._file.seek(length, 1)
        return Span(self.source, start, length)

    # --- the stack ---

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack:
            raise self.source.damaged("its pickle takes a value where there is none")
        return self._stack.pop()

    def _top(self, *kinds: type) -> Any:
        if not self._stack or type(self._stack[-1]) not in kinds:
            raise self.source.damaged("its pickle fills something that is no container")
        return self._stack[-1]

    def _to_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                values = self._stack[at + 1 :]
                del self._stack[at:]
                return values
        raise self.source.damaged("its pickle goes back to a mark that is not there")

    def _values(self, count: int) -> list[Any]:
        values = [self._pop() for _ in range(count)]
        if any(value is _MARK for value in values):
            raise self.source.damaged("its pickle takes a mark for a value")
        return values[::-1]

    def _container(self, value: Any) -> None:
        self._containers += 1
        if self._containers > _CONTAINERS:
            raise self.source.damaged(f"its pickle holds more than {_CONTAINERS:,} containers")
        self._stack.append(value)

    # --- what the opcodes do ---

    def _protocol(self) -> None:
        version = self._take(1)[0]
        if not 2 <= version <= 5:
            raise self.source.damaged(f"its pickle has the protocol {version}")

    def _frame(self) -> None:
        length = self._number("<Q")
        if length > self._end - self._at:
            raise self.source.damaged("its pickle has a frame longer than the file")

    def _long(self, length: int) -> None:
        if not 0 <= length <= _LONG_BYTES:
            raise self.source.damaged(f"its pickle holds a number of {length} bytes")
        self._push(int.from_bytes(self._take(length), "little", signed=True))

    def _remember(self, index: int) -> None:
        if not self._stack or self._stack[-1] is _MARK:
            raise self.source.damaged("its pickle remembers a value where there is none")
        if index > _STEPS:
            raise self.source.damaged(f"its pickle remembers a value under the number {index:,}")
        self._memo[index] = self._stack[-1]
        if len(self._memo) > _CONTAINERS:
            raise self.source.damaged(f"its pickle keeps more than {_CONTAINERS:,} values")

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise self.source.damaged(f"its pickle recalls value {index}, which it never kept")
        self._push(self._memo[index])

    def _append(self, values: list[Any]) -> None:
        self._top(list).extend(values)

    def _set_items(self, values: list[Any]) -> None:
        table = self._top(dict, Table)
        if len(values) % 2:
            raise self.source.damaged("its pickle has a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, int, bool, type(None)) or (
                type(key) is int and not -(2**63) <= key < 2**63
            ):
                raise self.source.damaged(f"its pickle has the dictionary key {short(key)}")
            table[key] = value

    def _global(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise self.source.damaged("its pickle names something by what is no text")
        found = self._lookup(module, name)
        if found is None:
            raise self.source.unsafe(
                f"it asks to load {short(f'{module}.{name}')}, which is not on the list of what a "
                f"file of weights may hold. If the file is yours, save arrays alone (a state dict) "
                f"in the system that wrote it"
            )
        if isinstance(found, Unreadable):
            raise self.source.unsupported(f"it holds {found.what}", found.remedy)
        self._push(found)

    def _reduce(self) -> None:
        known, arguments = self._values(2)
        if type(known) is not Known or known.make is None or type(arguments) is not tuple:
            raise self.source.unsafe("its pickle calls something that is no constructor")
        try:
            value = known.make(*arguments)
        except (TypeError, ValueError, OverflowError, AttributeError, KeyError, IndexError) as e:
            if type(e).__module__ != "builtins":  # an error of kuai says more
                raise
            raise self.source.damaged("its pickle gives a constructor what it does not take") from e
        self._container(value)

    def _build(self) -> None:
        target, state = self._values(2)
        if not isinstance(target, (Table, Stateful)):
            raise self.source.unsafe("its pickle sets the state of something that has none")
        target.set_state(state)
        self._push(target)

    def _persistent_id(self) -> None:
        (reference,) = self._values(1)
        if self._persistent is None:
            raise self.source.unsafe("its pickle refers to something outside of it")
        self._push(self._persistent(reference))


class Stateful:
    """A value of ours that a pickle's BUILD completes."""

    def set_state(self, state: Any) -> None:
        raise NotImplementedError


_Operation = Callable[[Pickle], None]


def _put(value: Any) -> _Operation:
    return lambda p: p._push(value)


_OPERATIONS: Mapping[int, _Operation] = {
    ord(code): operation
    for code, operation in {
        "\x80": Pickle._protocol,
        "\x95": Pickle._frame,
        "(": lambda p: p._container(_MARK),
        "0": lambda p: p._pop(),
        "1": lambda p: p._to_mark(),
        "N": _put(None),
        "\x88": _put(True),
        "\x89": _put(False),
        "K": lambda p: p._push(p._number("<B")),
        "M": lambda p: p._push(p._number("<H")),
        "J": lambda p: p._push(p._number("<i")),
        "\x8a": lambda p: p._long(p._number("<B")),
        "\x8b": lambda p: p._long(p._number("<i")),
        "G": lambda p: p._push(p._number(">d")),
        # Text, in UTF-8; a Python 2 string ("U", "T") is bytes to NumPy and a name to torch.
        "\x8c": lambda p: p._push(p._text(p._take(p._number("<B")))),
        "X": lambda p: p._push(p._text(p._take(p._number("<I")))),
        "\x8d": lambda p: p._push(p._text(p._take(p._number("<Q")))),
        "U": lambda p: p._push(p._take(p._number("<B")).decode("latin-1")),
        "T": lambda p: p._push(p._take(p._number("<I")).decode("latin-1")),
        "C": lambda p: p._push(p._bytes(p._number("<B"))),
        "B": lambda p: p._push(p._bytes(p._number("<I"))),
        "\x8e": lambda p: p._push(p._bytes(p._number("<Q"))),
        "\x96": lambda p: p._push(p._bytes(p._number("<Q"))),
        ")": lambda p: p._container(()),
        "t": lambda p: p._push(tuple(p._to_mark())),
        "\x85": lambda p: p._container(tuple(p._values(1))),
        "\x86": lambda p: p._container(tuple(p._values(2))),
        "\x87": lambda p: p._container(tuple(p._values(3))),
        "]": lambda p: p._container([]),
        "a": lambda p: p._append(p._values(1)),
        "e": lambda p: p._append(p._to_mark()),
        "}": lambda p: p._container({}),
        "s": lambda p: p._set_items(p._values(2)),
        "u": lambda p: p._set_items(p._to_mark()),
        "q": lambda p: p._remember(p._number("<B")),
        "r": lambda p: p._remember(p._number("<I")),
        "\x94": lambda p: p._remember(len(p._memo)),
        "h": lambda p: p._recall(p._number("<B")),
        "j": lambda p: p._recall(p._number("<I")),
        "c": lambda p: p._global(p._line(), p._line()),
        "\x93": lambda p: p._global(*p._values(2)),
        "R": Pickle._reduce,
        "b": Pickle._build,
        "Q": Pickle._persistent_id,
    }.items()
}
