"""What the rules of `keras_layers` take and give: a layer of a net, and a layer of Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kuai.errors import CheckpointError

_OPERATIONS = "keras.src.ops.nn"  # what Keras itself writes for an operation with arguments


@dataclass(frozen=True)
class Spot:
    """A layer of a net, and where it stands.

    Args:
        path: ours; "" for a net that is itself a layer.
        block: the layer.
        rank: how many axes its input has, that of the batch included.
    """

    path: str
    block: Any
    rank: int

    def refused(self, why: str) -> CheckpointError:
        """The error for a layer that a `.keras` archive cannot hold."""
        kind = type(self.block).__name__
        name = f"{self.path} ({kind})" if self.path else kind
        return CheckpointError(
            f"save: {name} cannot stand in a .keras archive: {why}. Nothing was written; save the "
            "weights alone under a name that ends in .weights.h5, for a model built in Keras"
        )


@dataclass(frozen=True)
class Layer:
    """A layer of Keras, or an operation.

    Args:
        kind: its class.
        config: the arguments of its constructor.
        module: where Keras finds the class.
        is_helper: whether it does part of what one layer does here, and has no arrays.
    """

    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    module: str = "keras.layers"
    is_helper: bool = False

    @property
    def is_operation(self) -> bool:
        """Whether it is a function with arguments, which is no layer by itself."""
        return self.module == _OPERATIONS

    def written(self, **further: Any) -> dict[str, Any]:
        """As config.json has it.

        Args:
            further: entries of the configuration.
        """
        dtype = {"dtype": "float32"} if self.module == "keras.layers" else {}
        return {
            "module": self.module,
            "class_name": self.kind,
            "config": dtype | self.config | further,
            "registered_name": None,
        }


def operation(kind: str, **config: Any) -> Layer:
    """An operation of Keras with its arguments."""
    return Layer(kind, config, _OPERATIONS)
