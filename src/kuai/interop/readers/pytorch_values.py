"""What the names in a PyTorch checkpoint stand for: storages, views of them, and little else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from kuai.interop.readers.pickled_numpy import numpy_names
from kuai.interop.readers.pickles import Known, Lookup, Table, Unreadable
from kuai.interop.readers.source import Packed, Source, Span, short
from kuai.interop.readers.weights import Stored

STORAGES = {
    "BoolStorage": np.bool_,
    "ByteStorage": np.uint8,
    "CharStorage": np.int8,
    "ShortStorage": np.int16,
    "IntStorage": np.int32,
    "LongStorage": np.int64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
    "UntypedStorage": np.uint8,
}
DTYPES = {
    "bool": np.bool_,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float8_e8m0fnu": ml_dtypes.float8_e8m0fnu,
    "complex64": np.complex64,
    "complex128": np.complex128,
}
_OVERLAPPING = 64 * 2**20

_SAVE_DENSE = "save dense, unquantised tensors instead: model.float().state_dict(), x.to_dense()"
_SAVE_STATE = (
    "in PyTorch, load it and save the parameters alone: torch.save(model.state_dict(), path), or "
    "safetensors.torch.save_model(model, path)"
)
_WHOLE = Unreadable("a whole pickled module, not a state dict", _SAVE_STATE)
_QUANTISED = Unreadable("a quantised tensor", _SAVE_DENSE)
_SPARSE = Unreadable("a sparse tensor", _SAVE_DENSE)
_NO_DATA = Unreadable("a tensor without its data (meta, or a wrapper subclass)", _SAVE_DENSE)
_UNREADABLE = {
    "_rebuild_qtensor": _QUANTISED,
    "_rebuild_sparse_tensor": _SPARSE,
    "_rebuild_sparse_csr_tensor": _SPARSE,
    "_rebuild_nested_tensor": Unreadable("a nested tensor", _SAVE_DENSE),
    "_rebuild_meta_tensor_no_storage": _NO_DATA,
    "_rebuild_wrapper_subclass": _NO_DATA,
    "_rebuild_device_tensor_from_numpy": _NO_DATA,
}
_QUANTISED_TYPES = {"quint8", "qint8", "qint32", "quint4x2", "quint2x4"}
_QUANTISED_TYPES |= {"QUInt8Storage", "QInt8Storage", "QInt32Storage", "QUInt4x2Storage"}
_QUANTISED_TYPES |= {"per_tensor_affine", "per_channel_affine", "QUInt2x4Storage"}


@dataclass(eq=False)
class Storage:
    """Elements that tensors are views of.

    Args:
        key: its name in the file.
        dtype: of its elements; bytes where the tensors say what they are.
        count: how many elements the pickle says there are.
        where: the bytes; set later where they stand behind the pickle.
    """

    key: str
    dtype: np.dtype[Any]
    count: int
    where: Span | Packed | None = None

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


def storage(source: Source, reference: Any) -> Storage:
    """The storage that a persistent id tells of, its bytes not yet found."""
    if type(reference) is not tuple or len(reference) not in (5, 6) or reference[0] != "storage":
        raise source.damaged("a storage is referred to in a way that is not PyTorch's")
    _, kind, key, _, count = reference[:5]
    if len(reference) == 6 and reference[5] is not None:
        raise source.unsupported("it holds a view of a storage (PyTorch 0.2)", _SAVE_STATE)
    typed = isinstance(kind, Known) and isinstance(kind.value, np.dtype)
    if not typed or type(key) is not str or type(count) is not int or count < 0:
        raise source.damaged("a storage is referred to in a way that is not PyTorch's")
    return Storage(key, kind.value, count)


def lookup(source: Source) -> Lookup:
    """Module and name → what they stand for in a checkpoint of this file."""
    exact = _names(source)

    def find(module: str, name: str) -> Known | Unreadable | None:
        found = exact.get((module, name))
        if found is not None:
            return found
        if module == "torch._utils" and name in _UNREADABLE:
            return _UNREADABLE[name]
        if module == "torch" and name in _QUANTISED_TYPES:
            return _QUANTISED
        # A claim of the file, believed only for the words of its refusal.
        return _WHOLE if module.startswith(("torch.nn.", "torchvision.")) else None

    return find


def _names(source: Source) -> dict[tuple[str, str], Known | Unreadable]:
    tensor: Callable[..., Stored] = _Tensors(source).view
    rebuild = {
        "_rebuild_tensor": Known(lambda s, offset, size, stride: tensor(s, offset, size, stride)),
        "_rebuild_tensor_v2": Known(
            lambda s, offset, size, stride, _grad, _hooks, flags=None: tensor(
                s, offset, size, stride, flags=flags
            )
        ),
        "_rebuild_tensor_v3": Known(
            lambda s, offset, size, stride, _grad, _hooks, dtype, flags=None: tensor(
                s, offset, size, stride, dtype, flags=flags
            )
        ),
        "_rebuild_parameter": Known(lambda data, _grad, _hooks: _array(source, data)),
        "_rebuild_parameter_with_state": Known(
            lambda data, _grad, _hooks, _state: _array(source, data)
        ),
    }
    names = numpy_names(source)
    names |= {("torch._utils", name): known for name, known in rebuild.items()}
    for home in ("torch", "torch.storage"):
        names |= {(home, n): Known(value=np.dtype(dtype)) for n, dtype in STORAGES.items()}
    names |= {("torch", n): Known(value=_Dtype(np.dtype(dtype))) for n, dtype in DTYPES.items()}
    names["torch", "Size"] = Known(lambda sizes: tuple(sizes))
    names["torch", "device"] = Known(lambda kind, *_index: kind)
    names["torch", "Tensor"] = names["torch.nn.parameter", "Parameter"] = Known(value=Stored)
    names["torch._tensor", "_rebuild_from_type_v2"] = Known(_from_type(source))
    names["collections", "defaultdict"] = Known(lambda *_factory: Table())
    names["builtins", "set"] = names["__builtin__", "set"] = Known(lambda items: tuple(items))
    names["builtins", "dict"] = names["__builtin__", "dict"] = Known(lambda: Table())
    return names


def _from_type(source: Source) -> Callable[..., Any]:
    def rebuilt(rebuild: Any, kind: Any, arguments: Any, _state: Any) -> Any:
        sound = isinstance(rebuild, Known) and isinstance(kind, Known) and kind.value is Stored
        if not sound or rebuild.make is None or type(arguments) is not tuple:
            raise source.damaged("a tensor with attributes is not rebuilt as PyTorch does")
        return _array(source, rebuild.make(*arguments))

    return rebuilt


@dataclass(frozen=True)
class _Dtype:
    dtype: np.dtype[Any]


def _array(source: Source, value: Any) -> Stored:
    if not isinstance(value, Stored):
        raise source.damaged("a parameter's data is no tensor")
    return value


@dataclass(frozen=True)
class _Tensors:
    source: Source

    def view(
        self, of: Any, offset: Any, size: Any, stride: Any, dtype: Any = None, *, flags: Any = None
    ) -> Stored:
        """A tensor as PyTorch rebuilds it: elements of a storage, by offset, size and stride."""
        source = self.source
        dtype = dtype.value if isinstance(dtype, Known) else dtype
        if not isinstance(of, Storage) or not isinstance(dtype, (_Dtype, type(None))):
            raise source.damaged("a tensor is not rebuilt as PyTorch does")
        if flags:
            raise source.unsupported(
                "it holds a tensor that is conjugated or negated lazily",
                "save x.resolve_conj().resolve_neg()",
            )
        kind = of.dtype if dtype is None else dtype.dtype
        self._check(of, kind, offset, size, stride)
        place = (of.key, offset, stride)
        return Stored(tuple(size), kind, lambda: _strided(of, kind, offset, size, stride), place)

    def _check(self, of: Storage, kind: Any, offset: Any, size: Any, stride: Any) -> None:
        source = self.source
        count = source.count("a tensor", size, kind.itemsize)
        strides_are_sound = type(stride) in (tuple, list) and all(
            type(n) is int and 0 <= n < 2**63 for n in stride
        )
        if not strides_are_sound or len(stride) != len(size) or type(offset) is not int:
            raise source.damaged(f"a tensor has the size {short(size)} and stride {short(stride)}")
        reach = (
            sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if count else 0
        )
        if offset < 0 or (offset + reach) * kind.itemsize > of.nbytes:
            raise source.damaged(
                f"a tensor of size {short(size)}, stride {short(stride)} and offset "
                f"{short(offset)} reaches past its storage of {of.nbytes:,} bytes"
            )
        if count * kind.itemsize > max(of.nbytes, _OVERLAPPING):
            raise source.damaged(f"a tensor of size {short(size)} repeats a few stored elements")


def _strided(of: Storage, kind: Any, offset: int, size: Any, stride: Any) -> np.ndarray:
    if 0 in size or of.where is None:
        nothing = np.empty(size, kind)
        nothing.flags.writeable = False
        return nothing
    reach = sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    first, length = offset * kind.itemsize, reach * kind.itemsize
    if isinstance(of.where, Packed):
        row = of.where.elements(np.dtype(np.uint8))[first : first + length].view(kind)
    else:
        row = of.where.part(first, length).elements(kind)
    steps = [step * kind.itemsize for step in stride]
    # not as_strided, which knows no 8-bit floats
    return np.ndarray(size, kind, row.view(np.uint8), strides=steps)
