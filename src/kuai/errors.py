"""Every error that kuai raises on purpose, one class for each cause.

A message says where (the block's path), what was expected, what came, and what to do. Each class
also derives from the built-in exception that plain Python would have raised, so that code which
catches `ValueError` or `TypeError` goes on working.
"""

from __future__ import annotations


class KuaiError(Exception):
    """Base of all errors raised by kuai."""


class ShapeError(KuaiError, ValueError):
    """An array has another shape than the block, parameter or loss needs."""


class DtypeError(KuaiError, TypeError):
    """An array has a dtype that the operation does not take."""


class ArgumentError(KuaiError, ValueError):
    """An argument has a value or a type that makes no sense where it was given."""


class SignatureError(ArgumentError, TypeError):
    """A function or class was given arguments that it does not take, or lacks some."""


class DeferredInitError(KuaiError, RuntimeError):
    """A parameter's data was asked for before its shape was known or its values were made."""


class RegistrationError(KuaiError, TypeError):
    """Something cannot be registered on a block under that name."""


class BlockLookupError(KuaiError, LookupError):
    """No block, parameter or hook stands at the given path."""


class NoBlockAtIndexError(BlockLookupError, IndexError):
    """A container has no block at an index."""


class NoBlockNamedError(BlockLookupError, KeyError):
    """A container has no block of a name."""

    __str__ = Exception.__str__  # KeyError shows a message in quotes


class NoArrayNamedError(KuaiError, KeyError):
    """A weights file has no array of a name."""

    __str__ = Exception.__str__  # as above


class ForwardNotDefinedError(KuaiError, NotImplementedError):
    """A block was called whose class does not override `forward`."""


class BlockNotReadyError(KuaiError, RuntimeError):
    """A block was called from inside its own `__init__`."""


class HybridizeError(KuaiError, RuntimeError):
    """A forward cannot be compiled as it is written."""


class ConversionError(HybridizeError):
    """A function's source is missing or changed, or has a construct without a compiled form."""


class ConditionError(HybridizeError):
    """The condition of an `if`, `while` or `assert` on arrays is not one truth value."""


class BranchError(HybridizeError):
    """The branches of an `if` on an array leave a variable with values that cannot be one."""


class CarryError(HybridizeError):
    """A loop on arrays changes the shape, dtype or kind of a variable between two trips."""


class UndefinedVariableError(HybridizeError, UnboundLocalError):
    """A variable is used that a branch or loop on arrays may have left without a value."""


class MutationError(HybridizeError):
    """A forward changes something that outlives the call, or a list in a loop on arrays."""


class ValueNeededError(HybridizeError):
    """Python needs the value of an array that exists only when the program runs."""


class RaiseError(HybridizeError):
    """A `raise` stands under a condition on arrays."""


class DynamicRecursionError(HybridizeError, RecursionError):
    """A function calls itself under a condition on arrays."""


class ImpureCallError(HybridizeError):
    """A forward calls something whose result differs from call to call: time, random, files."""


class MismatchError(HybridizeError):
    """A compiled result differs from what plain Python gives."""


class CaptureError(HybridizeError):
    """An output to capture exists only inside a loop, a branch or a function given to JAX."""


class LoopLimitError(KuaiError, RuntimeError):
    """A compiled loop made more trips than it may."""


class HybridizeWarning(UserWarning):
    """A block runs as plain Python where it was to be compiled, or compiles too often."""


class TransformError(KuaiError, RuntimeError):
    """A block met a raw JAX transform, or a gradient was asked for that cannot be had."""


class BackwardError(KuaiError, ValueError):
    """A block's own `backward` returned something that does not fit its inputs or parameters."""


class CheckpointError(KuaiError, ValueError):
    """The names or shapes in a weights file do not fit the block that loads it."""


class FileFormatError(KuaiError, ValueError):
    """A file is damaged, hostile, or of another format than the one expected."""


class UnsafeFileError(FileFormatError):
    """A file could only be read by running something out of it."""


class UnsupportedFileError(FileFormatError):
    """A file is sound, and holds something that kuai does not read."""


class FileAccessError(KuaiError, OSError):
    """A file or folder is missing, or cannot be read or written."""


class MissingFileError(FileAccessError, FileNotFoundError):
    """There is no such file or folder."""


class DataError(KuaiError, ValueError):
    """Training data is empty, of unequal lengths, or otherwise unusable."""


class NonFiniteError(KuaiError, ArithmeticError):
    """A loss or an output became NaN or infinite."""


class MissingExtraError(KuaiError, ImportError):
    """An optional dependency is not installed."""


class GradientError(KuaiError, AssertionError):
    """A gradient differs from the one that finite differences give."""
