"""All that a run is, in one file: weights, optimizer, randomness, position, records.

The file is safetensors: `net.PATH`, `optimizer.PLACE`, `metrics.PLACE` and `callback.NUMBER.NAME`
are arrays; numbers and text are JSON in the metadata. All is checked before anything changes.
"""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kuai import files
from kuai.core import weights
from kuai.core.arrange import planned
from kuai.core.parameter import State
from kuai.core.stack import together
from kuai.core.tree import walk
from kuai.errors import CheckpointError, DeferredInitError
from kuai.train import measure
from kuai.train.history import History
from kuai.train.plan import stacked_paths
from kuai.train.position import Position

_KEY = "kuai.trainer"
_VERSION = 1


def save(trainer: Any, path: Any) -> None:
    """Write a trainer, as `Trainer.save` documents."""
    found = walk(trainer.net)
    unmade = [name for name, holder in found.holders.items() if not holder.ready]
    if unmade:
        raise DeferredInitError(
            f"Trainer.save: {', '.join(unmade[:5])} have no values yet; train a step, or call "
            "initialize(sample=...)"
        )
    trainer.engine.plan_now()
    position: Position = trainer.position.settled()
    about = {
        "version": _VERSION,
        "position": position.numbers(),
        "keys": trainer.engine.keys.state(),
        "data": trainer.data_identity,
        "records": [{k: plain_or_list(v) for k, v in record.items()} for record in trainer.history],
        "callbacks": [],
        "aliases": found.aliases,
    }
    saved = {name: holder for name, holder in found.holders.items() if _is_saved(holder)}
    arrays: dict[str, Any] = {f"net.{name}": holder.peek() for name, holder in saved.items()}
    arrays |= {
        f"optimizer.{k}": v for k, v in trainer.engine.optimizer_state.named_leaves().items()
    }
    arrays |= _named("metrics.", position.sums)
    for number, callback in enumerate(trainer.callbacks):
        arrays_of_it, numbers = _parted(callback.state())
        arrays |= {f"callback.{number}.{name}": array for name, array in arrays_of_it.items()}
        about["callbacks"].append(numbers)
    host = {name: np.asarray(_raw(array)) for name, array in arrays.items()}
    files.write_arrays(path, host, {_KEY: json.dumps(about)})


def load(trainer: Any, path: Any) -> None:
    """Read what `save` wrote, as `Trainer.load` documents."""
    arrays, metadata = files.read_arrays(path)
    if _KEY not in metadata:
        raise CheckpointError(
            f"{path}: expected a file that Trainer.save wrote, got weights alone; load them with "
            "net.load(path)"
        )
    about = _checked(path, metadata[_KEY])
    net_arrays = _below("net.", arrays)
    optimizer = _fitting_optimizer(trainer, path, net_arrays, _below("optimizer.", arrays))
    sums = _fitting_sums(trainer, path, _below("metrics.", arrays))
    weights.assign(trainer.net, net_arrays, about["aliases"], strict=True, source=str(path))
    trainer.engine.plan_now()
    trainer.engine.optimizer_state.store(list(optimizer.values()))
    trainer.engine.keys.restore(about["keys"])
    trainer.position = Position(**about["position"])._replace(sums=sums)
    trainer.history = History(about["records"])
    trainer.loaded = Loaded(about, arrays)


class Loaded:
    """What of a checkpoint waits for the next `fit`.

    Args:
        about: its numbers.
        arrays: its arrays.
    """

    def __init__(self, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.data: dict[str, Any] = about["data"]
        self._states: list[dict[str, Any]] = [
            {**state, **_below(f"callback.{number}.", arrays)}
            for number, state in enumerate(about["callbacks"])
        ]

    def restore(self, callbacks: list[Any]) -> None:
        """Give the callbacks what they remembered, in their order."""
        for callback, state in zip(callbacks, self._states, strict=False):
            if state:
                callback.restore(state)


def _parted(state: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in state.items() if name not in arrays}


def plain_or_list(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _checked(path: Any, text: str) -> dict[str, Any]:
    try:
        about = json.loads(text)
        version = about["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(
            f"{path}: what it says of the trainer cannot be read: it is damaged"
        ) from None
    if version != _VERSION:
        raise CheckpointError(
            f"{path}: expected a checkpoint of version {_VERSION}, got {version!r}"
        )
    return about


def _is_saved(holder: Any) -> bool:
    return not (isinstance(holder, State) and not holder.persistent)


def _fitting_optimizer(trainer: Any, path: Any, net: dict[str, Any], found: dict[str, Any]) -> Any:
    """Arrays for the optimizer's state, in its order, if names and shapes are those it has."""
    trained = {
        name: holder
        for name, holder in trainer.net.named_parameters()
        if holder.trainable and (holder.settled or name in net)
    }
    homes, places = together(trained, planned(trainer.net))
    names = stacked_paths(places)
    paths = {holder: name for name, holder in trained.items()}
    shapes = {
        name: jax.ShapeDtypeStruct(_shape(home, paths, net), home.dtype)
        for name, home in zip(names, homes, strict=True)
    }
    wanted = jax.eval_shape(trainer.recipe.optimizer.init, shapes)
    return _fitting("the optimizer's state", path, wanted, found)


def _shape(home: Any, paths: dict[Any, str], net: dict[str, Any]) -> tuple[int, ...]:
    """The shape that an array will have once the net's arrays are loaded."""
    if home.rows:
        return len(home.rows), *_shape(home.rows[0], paths, net)
    return home.shape if home.settled else net[paths[home]].shape


def _fitting_sums(trainer: Any, path: Any, found: dict[str, Any]) -> Any:
    if not found:
        return [] if not trainer.metrics else None
    wanted = measure.fresh(trainer.metrics)
    values = _fitting("the metrics", path, wanted, found)
    return jax.tree.unflatten(jax.tree.structure(wanted), values.values())


def _fitting(what: str, path: Any, wanted: Any, found: dict[str, Any]) -> dict[str, jax.Array]:
    named = _named("", wanted)
    raw = {name: jax.eval_shape(_raw, leaf) for name, leaf in named.items()}
    misfits = [
        f"  {name}: expected {_told(raw.get(name))}, got {_told(found.get(name))}"
        for name in dict.fromkeys([*raw, *found])
        if _told(raw.get(name)) != _told(found.get(name))
    ]
    if misfits:
        raise CheckpointError(
            f"{path}: {what} does not fit; nothing was changed. Make the trainer with the net, the "
            "optimizer and the metrics it was saved with:\n" + "\n".join(misfits[:20])
        )
    return {name: _unraw(jnp.asarray(found[name]), leaf) for name, leaf in named.items()}


def _told(array: Any) -> str:
    return "nothing" if array is None else f"{array.dtype} {tuple(array.shape)}"


def _named(prefix: str, tree: Any) -> dict[str, Any]:
    return {
        f"{prefix}{jax.tree_util.keystr(k)}": leaf for k, leaf in jax.tree.leaves_with_path(tree)
    }


def _below(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _raw(array: Any) -> Any:
    """JAX's typed keys as numbers."""
    return jax.random.key_data(array) if _is_key(array) else array


def _unraw(array: jax.Array, like: Any) -> jax.Array:
    return jax.random.wrap_key_data(array) if _is_key(like) else array


def _is_key(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
