"""Weights files that are made to mislead, run something or take all memory; and honest misfits.

Each case is the files that belong together (the first is read), the error, and what it says.
`python -m tests.hostile_weights FOLDER` writes them out, to be tried on other readers.
"""

from __future__ import annotations

import io
import json
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from kuai.errors import FileFormatError, UnsafeFileError, UnsupportedFileError
from tests.fuzz.seeds import GOLDENS, legacy_params, plain_safetensors
from tests.test_files_hostile import HOSTILE as SAFETENSORS

Error = type[FileFormatError]


class Case(NamedTuple):
    files: dict[str, bytes]
    error: Error
    text: str


def case(data: bytes, error: Error, text: str, **others: bytes) -> Case:
    return Case({"net": data} | others, error, text)


# --- pickles -------------------------------------------------------------------------------------


def word(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


RUN = word("touch kuai-was-run") + b"\x85"
LONG = 100_000  # what takes a second to refuse is tried in one container
OS_SYSTEM = b"cos\nsystem\n"
NOT_LISTED = "which is not on the list of what a file of weights may hold"


def by_name(module: str, name: str) -> bytes:
    """The payload that calls module.name, by the opcode that takes both from the stack."""
    return b"\x80\x04" + word(module) + word(name) + b"\x93" + RUN + b"R."


def opcode(name: str) -> str:
    return f"its pickle uses the opcode {name}"


PICKLES: dict[str, tuple[bytes, Error, str]] = {
    "REDUCE os.system": (b"\x80\x02" + OS_SYSTEM + RUN + b"R.", UnsafeFileError, "os.system"),
    "INST": (b"\x80\x02(" + word("true") + b"ios\nsystem\n.", UnsafeFileError, opcode("INST")),
    "OBJ": (b"\x80\x02(ccollections\nOrderedDict\no.", UnsafeFileError, opcode("OBJ")),
    "NEWOBJ": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", UnsafeFileError, opcode("NEWOBJ")),
    "NEWOBJ_EX": (
        b"\x80\x04ccollections\nOrderedDict\n)}\x92.",
        UnsafeFileError,
        opcode("NEWOBJ_EX"),
    ),
    "STACK_GLOBAL": (by_name("posix", "system"), UnsafeFileError, NOT_LISTED),
    "dotted name through an admitted module": (
        by_name("collections", "OrderedDict.fromkeys.__self__"),
        UnsafeFileError,
        "'collections.OrderedDict.fromkeys.__self__'",
    ),
    **{
        f"{module}.{name}": (by_name(module, name), UnsafeFileError, f"'{module}.{name}'")
        for module, name in (
            ("pkgutil", "resolve_name"),
            ("importlib", "import_module"),
            ("operator", "attrgetter"),
            ("builtins", "exec"),
            ("builtins", "getattr"),
            ("numpy.f2py.crackfortran", "getlincoef"),
            ("numpy", "__builtins__"),
            ("numpy", "load"),
            ("collections", "__builtins__"),
        )
    },
    "BUILD on a list": (b"\x80\x02]}b.", UnsafeFileError, "sets the state of something that has"),
    "BUILD on a constructor": (
        b"\x80\x02ccollections\nOrderedDict\n}b.",
        UnsafeFileError,
        "sets the state of something that has none",
    ),
    "REDUCE of a value": (
        b"\x80\x02]" + RUN + b"R.",
        UnsafeFileError,
        "calls something that is no",
    ),
    "REDUCE of a name that only stands for itself": (
        b"\x80\x02cnumpy\nndarray\n(K\1tR.",
        UnsafeFileError,
        "calls something that is no constructor",
    ),
    "SETITEM on a list": (b"\x80\x02]K\0K\1s.", FileFormatError, "fills something that is no cont"),
    "APPEND to a dictionary": (b"\x80\x02}K\1a.", FileFormatError, "fills something that is no"),
    "payload then garbage": (
        b"\x80\x02" + OS_SYSTEM + RUN + b"R" + b"\xff\xfe garbage",
        UnsafeFileError,
        NOT_LISTED,
    ),
    "EXT1": (b"\x80\x02\x82\1.", UnsafeFileError, opcode("EXT1")),
    "EXT2": (b"\x80\x02\x83\1\0.", UnsafeFileError, opcode("EXT2")),
    "EXT4": (b"\x80\x02\x84\1\0\0\0.", UnsafeFileError, opcode("EXT4")),
    "PERSID as text": (b"\x80\x02Pnothing\n.", UnsafeFileError, opcode("PERSID")),
    "memo index 2**31": (
        b"\x80\x02]r\0\0\0\x80.",
        FileFormatError,
        "under the number 2,147,483,648",
    ),
    "memo that was never kept": (
        b"\x80\x02h\7.",
        FileFormatError,
        "recalls value 7, which it never",
    ),
    "text of 2**63 bytes": (
        b"\x80\x04\x8d" + bytes(7) + b"\x80.",
        FileFormatError,
        "asks for 9,223,372,036,854,775,808 bytes",
    ),
    "bytes of 2**63": (b"\x80\x04\x8e" + bytes(7) + b"\x80.", FileFormatError, "(it is cut short)"),
    "number of 2**31 bytes": (
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        FileFormatError,
        "a number of 214748",
    ),
    "frame of 2**64": (
        b"\x80\x04\x95" + b"\xff" * 8 + b"}.",
        FileFormatError,
        "a frame longer than",
    ),
    "marks nested deep": (b"\x80\x02" + b"(" * 2_000_000 + b".", FileFormatError, "containers"),
    "tuples nested deep": (
        b"\x80\x02N" + b"\x85" * 2_000_000 + b".",
        FileFormatError,
        "more than 300,000 containers",
    ),
    "lists nested deep": (
        b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        FileFormatError,
        "nested too deep",
    ),
    "steps without end": (
        b"\x80\x02" + b"N0" * 1_500_000 + b"N.",
        FileFormatError,
        "2,000,000 steps",
    ),
    "memo without end": (
        b"\x80\x04]" + b"\x94" * 1_000_000 + b".",
        FileFormatError,
        "keeps more than 300,000 values",
    ),
    "DUP": (b"\x80\x02]2.", UnsafeFileError, opcode("DUP")),
    "dictionaries that double": (
        b"\x80\x02}X\1\0\0\0xK\1sq\0"
        + b"".join(
            b"}(X\1\0\0\0ah" + bytes([i]) + b"X\1\0\0\0bh" + bytes([i]) + b"uq" + bytes([i + 1])
            for i in range(30)
        )
        + b".",
        FileFormatError,
        "unfolds to far more names than a net has",
    ),
    "a dictionary that holds itself": (
        b"\x80\x02}q\0X\1\0\0\0ah\0s.",
        FileFormatError,
        "nested too deep",
    ),
    "a key that is a tuple": (b"\x80\x02})K\1s.", FileFormatError, "has the dictionary key"),
    "a key of 100 bits": (
        b"\x80\x02}\x8a\x0d" + b"\1" * 13 + b"K\1s.",
        FileFormatError,
        "has the dictionary key",
    ),
    "an opcode that is none": (b"\x80\x02\xff.", FileFormatError, "the unknown opcode 0xff"),
    "protocol 0": (b"\x80\x00].", FileFormatError, ""),
    "no end": (b"\x80\x02}", FileFormatError, "(it is cut short)"),
    "nothing on the stack": (b"\x80\x02.", FileFormatError, "takes a value where there is none"),
    "no arrays": (
        b"\x80\x02}" + word("epoch") + b"K\1s.",
        FileFormatError,
        "it holds no arrays, only",
    ),
}

STORAGE = b"(" + word("storage") + b"ctorch\nFloatStorage\n" + word("0") + word("cpu")
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def numbers(values: Any) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    size: Any = (2, 2), stride: Any = (2, 1), offset: int = 0, count: int = 4, flags: bytes = b""
) -> bytes:
    """{"a": a tensor} in a storage of `count` floats."""
    storage = STORAGE + number(count) + b"tQ"
    rest = number(offset) + numbers(size) + numbers(stride) + b"\x89}" + flags
    return b"\x80\x02}" + word("a") + REBUILD + b"(" + storage + rest + b"tRs."


def torch_zip(pickled: bytes, data: bytes = bytes(16), **others: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/byteorder", others.pop("byteorder", b"little"))
        archive.writestr("net/data/0", data)
        for name, content in others.items():
            archive.writestr(f"net/{name}", content)
    return out.getvalue()


LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
LITTLE = b"\x80\x02}" + word("little_endian") + b"\x88s."


def torch_legacy(
    pickled: bytes,
    keys: bytes = b"\x80\x02]" + word("0") + b"a.",
    data: bytes = struct.pack("<q", 4) + bytes(16),
    system: bytes = LITTLE,
) -> bytes:
    return LEGACY + system + pickled + keys + data


NO_STORAGES = b"\x80\x02]."


def global_of(module: str, name: str) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."


TORCH = {
    "fewer elements stored than told": (
        torch_zip(tensor(count=5)),
        FileFormatError,
        "should have 20",
    ),
    "more elements stored than told": (
        torch_zip(tensor(count=3)),
        FileFormatError,
        "should have 12",
    ),
    "stride past the storage": (
        torch_zip(tensor(stride=(3, 1))),
        FileFormatError,
        "reaches past its",
    ),
    "offset past the storage": (torch_zip(tensor(offset=1)), FileFormatError, "reaches past its"),
    "negative offset": (torch_zip(tensor(offset=-1)), FileFormatError, "reaches past its"),
    "negative stride": (torch_zip(tensor(stride=(-2, 1))), FileFormatError, "and stride (-2, 1)"),
    "negative size": (torch_zip(tensor(size=(-1, 2))), FileFormatError, "the shape (-1, 2) of a"),
    "size that overflows": (
        torch_zip(tensor(size=(2**62, 2**62), stride=(0, 0))),
        FileFormatError,
        "larger than any memory",
    ),
    "one element repeated without end": (
        torch_zip(tensor(size=(2**20, 2**20), stride=(0, 0))),
        FileFormatError,
        "repeats a few stored elements",
    ),
    "more strides than sizes": (torch_zip(tensor(stride=(2, 1, 1))), FileFormatError, "and stride"),
    "lazily conjugated": (
        torch_zip(tensor(flags=b"}" + word("conj") + b"\x88s")),
        UnsupportedFileError,
        "conjugated or negated lazily",
    ),
    "persistent id that is none": (torch_zip(b"\x80\x02NQ."), FileFormatError, "is not PyTorch's"),
    "persistent id of another kind": (
        torch_zip(b"\x80\x02(" + word("module") + b"NNNNtQ."),
        FileFormatError,
        "is not PyTorch's",
    ),
    "storage that is missing": (
        torch_zip(tensor().replace(word("0"), word("7"))),
        FileFormatError,
        "the archive has none",
    ),
    "whole module": (
        torch_zip(global_of("torch.nn.modules.linear", "Linear")),
        UnsupportedFileError,
        "it holds a whole pickled module, not a state dict",
    ),
    "module of one's own": (
        torch_zip(global_of("__main__", "Net")),
        UnsafeFileError,
        "save arrays alone (a state dict)",
    ),
    "quantised": (
        torch_zip(global_of("torch._utils", "_rebuild_qtensor")),
        UnsupportedFileError,
        "it holds a quantised tensor",
    ),
    "quantised storage": (
        torch_zip(global_of("torch", "QInt8Storage")),
        UnsupportedFileError,
        "it holds a quantised tensor",
    ),
    "sparse": (
        torch_zip(global_of("torch._utils", "_rebuild_sparse_tensor")),
        UnsupportedFileError,
        "it holds a sparse tensor",
    ),
    "pickle inside a storage": (
        torch_zip(global_of("torch.storage", "_load_from_bytes")),
        UnsafeFileError,
        "'torch.storage._load_from_bytes'",
    ),
    "TorchScript": (
        torch_zip(tensor(), **{"constants.pkl": b"\x80\x02)."}),
        UnsupportedFileError,
        "it is a TorchScript archive",
    ),
    "big-endian": (
        torch_zip(tensor(), byteorder=b"big"),
        UnsupportedFileError,
        "written on a big-endian machine",
    ),
    "legacy: another length in the file": (
        torch_legacy(tensor(), data=struct.pack("<q", 5) + bytes(20)),
        FileFormatError,
        "the storage '0' does not have the length it should",
    ),
    "legacy: cut short": (
        torch_legacy(tensor(), data=struct.pack("<q", 4) + bytes(15)),
        FileFormatError,
        "(it is cut short)",
    ),
    "legacy: something behind": (
        torch_legacy(tensor(), data=struct.pack("<q", 4) + bytes(17)),
        FileFormatError,
        "something stands behind its storages",
    ),
    "legacy: a storage that no tensor needs": (
        torch_legacy(tensor(), keys=b"\x80\x02](" + word("0") + word("1") + b"e."),
        FileFormatError,
        "not those that its tensors need",
    ),
    "legacy: code where the system is told": (
        torch_legacy(tensor(), system=PICKLES["REDUCE os.system"][0]),
        UnsafeFileError,
        "os.system",
    ),
    "legacy: code where the storages are listed": (
        torch_legacy(tensor(), keys=PICKLES["REDUCE os.system"][0]),
        UnsafeFileError,
        "os.system",
    ),
    "legacy: big-endian": (
        torch_legacy(tensor(), system=b"\x80\x02}" + word("little_endian") + b"\x89s."),
        UnsupportedFileError,
        "written on a big-endian machine",
    ),
}

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85C\1btR"


def dtype(
    code: str = "f4", state: bytes = b"(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
) -> bytes:
    return b"cnumpy\ndtype\n(" + word(code) + b"\x89\x88tR" + state


def numpy_array(
    shape: Any = (2,), kind: bytes | None = None, data: bytes = b"C\x08" + bytes(8)
) -> bytes:
    state = b"(K\1" + numbers(shape) + (kind or dtype()) + b"\x89" + data + b"tb"
    return b"\x80\x04}" + word("a") + RECONSTRUCT + state + b"s."


PADDLE = {
    "static tensors as code": (
        b"\x80\x02cbuiltins\neval\n" + word("data") + b"}\x86R.",
        UnsupportedFileError,
        "tensors of a static graph, written as code",
    ),
    "more elements than bytes": (numpy_array(shape=(3,)), FileFormatError, "has 8 bytes"),
    "shape bomb": (numpy_array(shape=(2**50,)), FileFormatError, "has 8 bytes"),
    "shape that overflows": (numpy_array(shape=(2**62, 2**62)), FileFormatError, "larger than any"),
    "negative shape": (numpy_array(shape=(-1,)), FileFormatError, "the shape (-1) of an array"),
    "objects": (numpy_array(kind=dtype("O8")), UnsafeFileError, "an array of Python objects"),
    "records": (numpy_array(kind=dtype("V8")), FileFormatError, "an array of the dtype 'V8'"),
    "an array of something else": (
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n(ccollections\nOrderedDict\nK\0\x85C\1btR.",
        FileFormatError,
        "begun in a way that is not NumPy's",
    ),
    "something behind the pickle": (
        numpy_array() + b"x",
        FileFormatError,
        "something stands behind",
    ),
    "a split array without its pieces": (
        b"\x80\x04}"
        + word("UnpackBigParamInfor@@")
        + b"}"
        + word("a")
        + b"}("
        + word("slices")
        + b"]"
        + word("b")
        + b"a"
        + word("OriginShape")
        + numbers((2,))
        + b"usss.",
        FileFormatError,
        "",
    ),
}


# --- zip and NumPy -------------------------------------------------------------------------------


def npy(header: str | bytes, data: bytes = bytes(16)) -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(raw)) + raw + data


def head(descr: str = "'<f4'", shape: str = "(4,)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for name, content in members:
            target.writestr(name, content)
    return out.getvalue()


def patched(data: bytes, mark: bytes, offset: int, value: bytes, which: int = 0) -> bytes:
    """The archive with bytes put behind the which-th of its marks."""
    at = -1
    for _ in range(which + 1):
        at = data.index(mark, at + 1)
    return data[: at + offset] + value + data[at + offset + len(value) :]


ONE = archive(("a.npy", npy(head())))
TWO = archive(("a.npy", npy(head())), ("b.npy", npy(head())))
CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"


def link() -> bytes:
    info = zipfile.ZipInfo("a.npy")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr(info, "/etc/passwd")
    return out.getvalue()


def bomb() -> bytes:
    """A gigabyte of zeros in a megabyte."""
    header = npy(head(shape="(268435456,)"), b"")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(2**24)
    checksum = zlib.crc32(header)
    packed = packer.compress(header)
    for _ in range(64):
        packed += packer.compress(zeros)
        checksum = zlib.crc32(zeros, checksum)
    packed += packer.flush()
    length = len(header) + 2**30
    common = struct.pack("<4HIII2H", 0, 8, 0, 0, checksum, len(packed), length, 5, 0)
    local = LOCAL + struct.pack("<H", 20) + common + b"a.npy" + packed
    central = CENTRAL + struct.pack("<2H", 20, 20) + common + struct.pack("<3H2I", 0, 0, 0, 0, 0)
    end = struct.pack("<4s4H2IH", END, 0, 0, 1, 1, len(central) + 5, len(local), 0)
    return local + central + b"a.npy" + end


ZIPS = {
    "encrypted": (
        patched(patched(ONE, LOCAL, 6, b"\1"), CENTRAL, 8, b"\1"),
        UnsupportedFileError,
        "the member 'a.npy' is encrypted",
    ),
    "encrypted in one place only": (
        patched(ONE, LOCAL, 6, b"\1"),
        FileFormatError,
        "is not what the archive's directory says",
    ),
    "names that differ": (
        patched(ONE, LOCAL, 30, b"b"),
        FileFormatError,
        "is not what the archive's directory says",
    ),
    "lengths that differ": (patched(ONE, LOCAL, 22, b"\1"), FileFormatError, "is not what the"),
    "checksums that differ": (patched(ONE, LOCAL, 14, b"\1"), FileFormatError, "is not what the"),
    "method that nobody knows": (
        patched(patched(ONE, LOCAL, 8, b"\x63"), CENTRAL, 10, b"\x63"),
        UnsupportedFileError,
        "compressed by method 99",
    ),
    "one name twice": (
        patched(patched(TWO, LOCAL, 30, b"a", 1), CENTRAL, 46, b"a", 1),
        FileFormatError,
        "'a.npy' stands twice",
    ),
    "two members at one place": (
        patched(TWO, CENTRAL, 42, struct.pack("<I", 0), 1),
        FileFormatError,
        "is not what the archive's directory says",
    ),
    "member that leads out": (archive(("../a.npy", b"x")), FileFormatError, "leads out of the"),
    "member at the root": (archive(("/etc/a.npy", b"x")), FileFormatError, "leads out of the"),
    "member of another system": (
        archive(("..\\a.npy", b"x")).replace(b"../a", b"..\\a"),
        FileFormatError,
        "leads out of the archive",
    ),
    "link": (link(), FileFormatError, "is a link"),
    "bomb": (bomb(), FileFormatError, "would take 1,073,741,"),
    "length that no member has": (
        patched(
            patched(ONE, LOCAL, 18, b"\xf0\xff\xff\xef" * 2), CENTRAL, 20, b"\xf0\xff\xff\xef" * 2
        ),
        FileFormatError,
        "is not what the archive's directory says",
    ),
    "directory somewhere else": (
        patched(ONE, END, 16, b"\0\0"),
        FileFormatError,
        "does not lie where",
    ),
    "more members than the directory": (
        patched(ONE, END, 10, b"\xff\0"),
        FileFormatError,
        "does not lie",
    ),
    "something before": (b"PK\3\4 evil" + ONE, FileFormatError, "does not lie where it should"),
    "something behind": (ONE + b"evil", FileFormatError, "something stands behind"),
    "cut short": (
        ONE[:-30],
        FileFormatError,
        "the directory at its end is missing (it is cut short)",
    ),
    "damaged compressed data": (
        patched(archive(("a.npy", npy(head())), method=8), LOCAL, 60, b"\xff\xff\xff"),
        FileFormatError,
        "",
    ),
}

NPY = {
    "more shape than data": (npy(head(shape="(5,)")), FileFormatError, "needs 20 bytes"),
    "more data than shape": (npy(head(shape="(3,)")), FileFormatError, "needs 12 bytes"),
    "objects": (npy(head("'|O'")), UnsafeFileError, "pickled Python objects"),
    "records": (npy(head("[('a', '<f4')]")), UnsupportedFileError, "holds records"),
    "bfloat16 as raw bytes": (npy(head("'|V2'", "(8,)")), UnsupportedFileError, "raw bytes"),
    "dates": (npy(head("'<M8[s]'", "(2,)")), UnsupportedFileError, "the dtype '<M8[s]'"),
    "header that is code": (
        npy("{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (4,), }"),
        FileFormatError,
        "a header that is not NumPy's",
    ),
    "header nested deep": (npy("(" * 5000), FileFormatError, "a header that is not NumPy's"),
    "header of 60,000 bytes": (npy(head() + " " * 60_000), FileFormatError, "has a header of 60,"),
    "header longer than the file": (
        b"\x93NUMPY\1\0\x00\x20{'descr'",
        FileFormatError,
        "a header that is not NumPy's",
    ),
    "shape bomb": (npy(head(shape="(1000000000000,)")), FileFormatError, "needs 4,000,000,000,000"),
    "shape that overflows": (
        npy(head(shape="(9999999999999999999,)")),
        FileFormatError,
        "the shape (9999999999999999999)",
    ),
    "negative shape": (npy(head(shape="(-4,)")), FileFormatError, "a header that is not NumPy's"),
    "version 9": (
        b"\x93NUMPY\x09\0" + npy(head())[8:],
        FileFormatError,
        "does not begin as NumPy's",
    ),
    "boolean that is neither": (
        npy(head("'|b1'", "(16,)"), b"\2" * 16),
        FileFormatError,
        "above 1",
    ),
}


# --- MXNet ---------------------------------------------------------------------------------------


def gluon(array: bytes, names: bytes | None = None, count: int = 1) -> bytes:
    names = struct.pack("<QQ", 1, 1) + b"a" if names is None else names
    return struct.pack("<QQQ", 0x112, 0, count) + array + names


def v2(
    shape: Any = (4,),
    data: bytes = bytes(16),
    kind: int = 0,
    code: int = 0,
    rank: int | None = None,
) -> bytes:
    sizes = struct.pack(f"<i{len(shape)}q", len(shape) if rank is None else rank, *shape)
    return struct.pack("<Ii", 0xF993FAC9, kind) + sizes + struct.pack("<3i", 1, 0, code) + data


def csr(starts: Any, columns: Any, aux_length: int | None = None) -> bytes:
    stored = struct.pack("<iq", 1, len(columns))
    shape = struct.pack("<i2q", 2, 2, 3)
    length = len(columns) if aux_length is None else aux_length
    aux = struct.pack("<iiqiiq", 6, 1, len(starts), 6, 1, length)
    data = np.ones(len(columns), np.float32).tobytes()
    indices = np.array([*starts, *columns], np.int64).tobytes()
    head_ = struct.pack("<Ii", 0xF993FAC9, 2)
    return head_ + stored + shape + struct.pack("<3i", 1, 0, 0) + aux + data + indices


def rows(indices: Any, shape: Any = (3, 2)) -> bytes:
    stored = struct.pack("<i2q", 2, len(indices), 2)
    full = struct.pack("<i2q", 2, *shape)
    aux = struct.pack("<iiq", 6, 1, len(indices))
    data = np.ones((len(indices), 2), np.float32).tobytes() + np.array(indices, np.int64).tobytes()
    head_ = struct.pack("<Ii", 0xF993FAC9, 1)
    return head_ + stored + full + struct.pack("<3i", 1, 0, 0) + aux + data


SPARSE_MISFIT = "is sparse, and its parts do not fit each other"
OUTSIDE = "is sparse, and has indices outside of its shape"
GLUON = {
    "2**32 - 1 dimensions": (
        gluon(struct.pack("<I", 2**32 - 1)),
        FileFormatError,
        "begins with 0xfff",
    ),
    "2**31 - 1 dimensions": (gluon(v2(rank=2**31 - 1)), FileFormatError, "has 2,147,483,647 dim"),
    "product that overflows": (
        gluon(v2((2**32, 2**32))),
        FileFormatError,
        "larger than any memory",
    ),
    "negative dimension": (gluon(v2((-1,))), FileFormatError, "the shape (-1) of an array"),
    "shape bomb": (gluon(v2((2**40,))), FileFormatError, "(it is cut short)"),
    "arrays without end": (
        gluon(v2(), count=2**62),
        FileFormatError,
        "arrays, more than it has bytes",
    ),
    "names without end": (
        gluon(v2(), struct.pack("<Q", 2**62)),
        FileFormatError,
        "names, more than it has bytes",
    ),
    "more names than arrays": (
        gluon(v2(), struct.pack("<QQ", 2, 1) + b"a" + struct.pack("<Q", 1) + b"b"),
        FileFormatError,
        "it has 2 names for 1 arrays",
    ),
    "one name twice": (
        gluon(v2() + v2(), struct.pack("<QQ", 2, 1) + b"a" + struct.pack("<Q", 1) + b"a", 2),
        FileFormatError,
        "the name 'a' stands twice",
    ),
    "name longer than the file": (
        gluon(v2(), struct.pack("<QQ", 1, 2**40) + b"a"),
        FileFormatError,
        "letters, more than it has bytes",
    ),
    "name that is not UTF-8": (
        gluon(v2(), struct.pack("<QQ", 1, 1) + b"\xff"),
        FileFormatError,
        "UTF-8",
    ),
    "unknown dtype": (gluon(v2(code=99)), FileFormatError, "the unknown dtype 99"),
    "unknown storage type": (gluon(v2(kind=7)), FileFormatError, "the unknown storage type 7"),
    "no values": (gluon(v2((), b"")), UnsupportedFileError, "was saved before it had values"),
    "something behind": (gluon(v2()) + b"x", FileFormatError, "something stands behind its names"),
    "rows that do not fit": (gluon(rows([0, 1], (3, 5))), FileFormatError, SPARSE_MISFIT),
    "rows outside": (gluon(rows([0, 3])), FileFormatError, OUTSIDE),
    "rows before the first": (gluon(rows([-1, 0])), FileFormatError, OUTSIDE),
    "rows of a bomb": (
        gluon(rows([0], (2**40, 2))),
        FileFormatError,
        "bytes of memory, the file has",
    ),
    "columns outside": (gluon(csr([0, 1, 2], [0, 3])), FileFormatError, OUTSIDE),
    "starts that go back": (gluon(csr([0, 2, 1], [0, 1])), FileFormatError, OUTSIDE),
    "starts too few": (gluon(csr([0, 2], [0, 1])), FileFormatError, SPARSE_MISFIT),
    "columns too few": (gluon(csr([0, 1, 2], [0, 1], 1)), FileFormatError, SPARSE_MISFIT),
    "a version that nobody wrote": (
        gluon(struct.pack("<I", 0xF993FAFF)),
        FileFormatError,
        "no version",
    ),
}


# --- HDF5, TensorFlow, Paddle's programs, indices ------------------------------------------------


def hdf5(build: Callable[[Any], None], **options: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w", **options) as file:
        build(file)
    return out.getvalue()


def external_storage(file: Any) -> None:
    file.create_dataset("a", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (4,))
    file.create_virtual_dataset("a", layout)


def circle(file: Any) -> None:
    group = file.create_group("layers")
    group["again"] = file["layers"]


def bomb_in_shape() -> bytes:
    """An array of 4 floats that says it has 2**40."""
    data = hdf5(lambda file: file.create_dataset("a", data=np.arange(4, dtype="f4")))
    return data.replace(struct.pack("<2Q", 4, 4), struct.pack("<2Q", 2**40, 2**40))


def plain_h5() -> bytes:
    return hdf5(lambda file: file.create_dataset("a", data=np.arange(4, dtype="f4")))


HDF5 = {
    "soft link": (
        hdf5(lambda file: file.__setitem__("a", h5py.SoftLink("/b"))),
        UnsafeFileError,
        "a link to somewhere else",
    ),
    "external link": (
        hdf5(lambda file: file.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/"))),
        UnsupportedFileError,
        "its groups are of HDF5's newer form",
    ),
    "external storage": (
        hdf5(external_storage),
        UnsafeFileError,
        "keeps its elements in other files",
    ),
    "virtual": (hdf5(virtual), FileFormatError, ""),
    "circle": (hdf5(circle), FileFormatError, "stands at two places"),
    "shape bomb": (bomb_in_shape(), FileFormatError, "the file gives it 16"),
    "compressed": (
        hdf5(lambda file: file.create_dataset("a", data=np.zeros(64, "f4"), compression="gzip")),
        UnsupportedFileError,
        "is stored in chunks or compressed",
    ),
    "newest form": (
        hdf5(lambda file: file.create_group("a"), libver="latest"),
        UnsupportedFileError,
        "a superblock of version",
    ),
    "text": (
        hdf5(lambda file: file.__setitem__("a", "text")),
        UnsupportedFileError,
        "holds no numbers",
    ),
    "cut short": (plain_h5()[:-8], FileFormatError, "(it is cut short)"),
    "signature alone": (b"\x89HDF\r\n\x1a\n", FileFormatError, ""),
}


def keras(config: bytes = b"{}", weights: bytes | None = None) -> bytes:
    content = plain_h5() if weights is None else weights
    return archive(("config.json", config), ("model.weights.h5", content))


KERAS = {
    "config nested deep": (keras(b'{"a":' * 200_000), FileFormatError, "is nested too deep"),
    "config that is a list": (keras(b"[]"), FileFormatError, "is no JSON object"),
    "config with a key twice": (keras(b'{"a":1,"a":2}'), FileFormatError, "gives one key twice"),
    "config of brackets": (
        keras(b'{"a":[' + b"[]," * 2_000_000 + b"1]}"),
        FileFormatError,
        "brackets",
    ),
    "weights that are none": (keras(weights=b"x" * 200), FileFormatError, ""),
}

LAMBDA = {
    "class_name": "Lambda",
    "module": "keras.layers",
    "config": {"function": ["4wEAAAAAAAAA", None, None], "name": "x", "module": "os"},
}
# Files in which something waits to be run by a reader that builds the net; kuai reads arrays alone.
INERT = {
    "Lambda in a .keras": keras(
        json.dumps(
            {"class_name": "Sequential", "module": "os", "config": {"layers": [LAMBDA]}}
        ).encode()
    ),
    "config that names modules": keras(
        b'{"module": "os", "class_name": "system", "config": "true"}'
    ),
    "vocabulary at an address": keras(
        b'{"config": {"layers": [{"class_name": "StringLookup", "config": '
        b'{"vocabulary": "http://localhost:1/x"}}]}}'
    ),
    "Lambda in a .h5": hdf5(
        lambda file: file.attrs.__setitem__(
            "model_config", json.dumps({"config": {"layers": [LAMBDA]}})
        )
    ),
}


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def table(entries: list[tuple[int, bytes, bytes]], kind: int = 0) -> bytes:
    """A LevelDB table of one block; an entry is (bytes shared, own bytes of the key, value)."""

    def block(items: list[tuple[int, bytes, bytes]]) -> bytes:
        raw = b"".join(
            varint(shared) + varint(len(key)) + varint(len(value)) + key + value
            for shared, key, value in items
        )
        return raw + struct.pack("<II", 0, 1)

    data = block(entries)
    index = block([(0, b"z", varint(0) + varint(len(data)))])
    body = data + bytes([kind]) + bytes(4)
    place = varint(len(body)) + varint(len(index))
    footer = (varint(0) + varint(0) + place).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    return body + index + bytes(5) + footer


HEADER = (0, b"", b"\x08\x01")
ENTRY = b"\x08\x01\x12\x04\x12\x02\x08\x04\x28\x10"  # float32, shape (4,), 16 bytes
CHECKPOINT = (GOLDENS / "tensorflow" / "mlp" / "ckpt-1.index").read_bytes()
SHARD = {"net.data-00000-of-00001": bytes(16)}

TENSORFLOW = {
    "compressed block": (
        table([HEADER], kind=1),
        UnsupportedFileError,
        "a block of it is compressed",
    ),
    "no header": (table([(0, b"a", ENTRY)]), FileFormatError, "its header is missing"),
    "array past its shard": (
        table([HEADER, (0, b"a", ENTRY + b"\x20\x01")]),
        FileFormatError,
        "16 bytes from byte 1 on are asked for where there are 16",
    ),
    "shard that does not exist": (
        table([HEADER, (0, b"a", ENTRY + b"\x18\x05")]),
        FileFormatError,
        "of 1",
    ),
    "shape bomb": (
        table([HEADER, (0, b"a", b"\x08\x01\x12\x08\x12\x06\x08" + varint(2**33) + b"\x28\x10")]),
        FileFormatError,
        "",
    ),
    "negative shape": (
        table(
            [HEADER, (0, b"a", b"\x08\x01\x12\x0d\x12\x0b\x08" + varint(2**64 - 1) + b"\x28\x10")]
        ),
        FileFormatError,
        "",
    ),
    "unknown dtype": (table([HEADER, (0, b"a", b"\x08\x63\x28\x10")]), FileFormatError, "dtype 99"),
    "quantised": (
        table([HEADER, (0, b"a", b"\x08\x0b\x28\x10")]),
        UnsupportedFileError,
        "is quantised",
    ),
    "in slices": (
        table([HEADER, (0, b"a", ENTRY + b"\x3a\x00")]),
        UnsupportedFileError,
        "in slices",
    ),
    "names that unfold": (
        table([HEADER, (0, b"a" * 50_000, b"\x08\x07")] + [(50_000, b"", b"\x08\x07")] * 50_000),
        FileFormatError,
        "unfold to far more than the file holds",
    ),
    "prefix of nothing": (
        table([HEADER, (9, b"a", ENTRY)]),
        FileFormatError,
        "is longer than its block",
    ),
    "one name twice": (
        table([HEADER, (0, b"a", ENTRY), (0, b"a", ENTRY)]),
        FileFormatError,
        "the name 'a' stands twice",
    ),
    "block outside of the file": (
        table([HEADER])[:-48]
        + (b"\0\0" + varint(2**40) + b"\x10").ljust(40, b"\0")
        + table([HEADER])[-8:],
        FileFormatError,
        "lies outside of the file",
    ),
    "number without end": (
        table([HEADER])[:-48] + b"\xff" * 40 + table([HEADER])[-8:],
        FileFormatError,
        "a number in it does not end",
    ),
}


def lod_tensor(description: bytes, data: bytes = bytes(16), length: int | None = None) -> bytes:
    told = len(description) if length is None else length
    return bytes(16) + struct.pack("<i", told) + description + data


PROGRAM = (GOLDENS / "paddle" / "mlp_program.json").read_bytes()
OTHER_PROGRAM = PROGRAM.replace(b"[5,7]", b"[7,5]")

PDIPARAMS = {
    "description of 2 GB": (
        lod_tensor(b"\x08\x05\x10\x04", length=2**31 - 1),
        FileFormatError,
        "no tensor",
    ),
    "negative description": (
        lod_tensor(b"\x08\x05\x10\x04", length=-1),
        FileFormatError,
        "no tensor",
    ),
    "negative shape": (
        lod_tensor(b"\x08\x05\x10" + varint(2**64 - 1)),
        FileFormatError,
        "the shape (-1)",
    ),
    "shape bomb": (
        lod_tensor(b"\x08\x05\x10" + varint(2**40)),
        FileFormatError,
        "(it is cut short)",
    ),
    "unknown dtype": (lod_tensor(b"\x08\x63\x10\x04"), FileFormatError, "the unknown dtype 99"),
    "something behind": (lod_tensor(b"\x08\x05\x10\x04") + b"\1", FileFormatError, ""),
}


def index(places: dict[str, str], **files: bytes) -> Case:
    content = json.dumps({"weight_map": places}).encode()
    return Case({"net.index.json": content} | files, FileFormatError, "")


INDICES = {
    "leads out": index({"a": "../../etc/passwd"})._replace(text="is not one of its folder"),
    "leads to the root": index({"a": "/etc/passwd"})._replace(text="is not one of its folder"),
    "leads to itself": index({"a": "net.index.json"})._replace(text="is another index"),
    "lacks a name": index({"b": "part"}, part=plain_safetensors({"a": (2,)}))._replace(
        text="part lacks the array 'b'"
    ),
    "no map": Case({"net": b'{"weight_map": []}' + b" " * 9}, FileFormatError, "no weight_map"),
    "nested deep": Case({"net": b'{"a":' * 100_000}, FileFormatError, "is nested too deep"),
}


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as target:
        for name in ("storages", "tensors", "pickle"):
            target.addfile(tarfile.TarInfo(name))
    return out.getvalue()


OTHERS = {
    "empty": (b"", "but it is empty"),
    "zeros": (bytes(4), "nothing but zeros"),
    "tar of an old PyTorch": (tarred(), "a tar archive (an old PyTorch checkpoint?)"),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a Git LFS"),
    "web page": (b"<!DOCTYPE html><p>Not found", "a web page: the download went wrong"),
    "GGUF": (b"GGUF" + bytes(40), "a GGUF file"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "a gzip archive"),
    "text": (b"epoch,loss\n", "a text file"),
    "noise": (b"\x01\xff" * 40, "it begins like none of them"),
}


def cases() -> dict[str, dict[str, Case]]:
    """Group → name → case."""
    as_zip = {
        name: case(torch_zip(pickled), error, text)
        for name, (pickled, error, text) in PICKLES.items()
    }
    as_legacy = {
        name: case(torch_legacy(pickled, NO_STORAGES, b""), error, "" if name == "no end" else text)
        for name, (pickled, error, text) in PICKLES.items()
        if len(pickled) < LONG
    }
    as_paddle = {
        name: case(pickled, error, text)
        for name, (pickled, error, text) in PICKLES.items()
        if pickled[1] in (2, 3, 4, 5) and len(pickled) < LONG
    }
    plain = {
        "torch": TORCH,
        "paddle": PADDLE,
        "zip": ZIPS,
        "npy": NPY,
        "gluon": GLUON,
        "hdf5": HDF5,
        "keras": KERAS,
        "pdiparams": PDIPARAMS,
    }
    return {
        "pickle in torch": as_zip,
        "pickle in torch before 1.6": as_legacy,
        "pickle in paddle": as_paddle,
        **{
            group: {n: case(*told) for n, told in table_.items()} for group, table_ in plain.items()
        },
        "tensorflow": {
            name: Case({"net.index": data} | SHARD, error, text)
            for name, (data, error, text) in TENSORFLOW.items()
        },
        "paddle program": {
            "of another net": Case(
                {
                    "net.pdiparams": (GOLDENS / "paddle" / "mlp_program.pdiparams").read_bytes(),
                    "net.json": OTHER_PROGRAM,
                },
                FileFormatError,
                "are not the 4 parameters of the program",
            )
        },
        "index": INDICES,
        "safetensors": {
            name: case(data, FileFormatError, "")
            for name, (data, _) in SAFETENSORS.items()
            if name != "checksums of other arrays"
        },
        "other": {name: case(data, FileFormatError, text) for name, (data, text) in OTHERS.items()},
        "old layouts": {"cut short": case(legacy_params()[:-12], FileFormatError, "")},
    }


def write(folder: Path) -> dict[tuple[str, str], Path]:
    """Write all cases: (group, name) → the path to read."""
    paths = {}
    for number_, (group, members) in enumerate(cases().items()):
        for index_, (name, files) in enumerate(members.items()):
            place = folder / f"{number_}-{index_}"
            place.mkdir()
            for file, data in files.files.items():
                (place / file).write_bytes(data)
            paths[group, name] = place / next(iter(files.files))
    return paths


if __name__ == "__main__":
    for key, path in write(Path(sys.argv[1])).items():
        print(path, *key, sep="\t")
