"""Trainer: a net, an optimizer and a loss, and the loop around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax

from kuai.callbacks import Callback
from kuai.core.block import Block
from kuai.data.batches import ArrayBatches, Batches
from kuai.data.loaders import as_batches
from kuai.data.nested import refuse_listed_numbers
from kuai.errors import ArgumentError
from kuai.train import checkpoint, measure
from kuai.train.batch import check_batch, on_device
from kuai.train.engine import Engine
from kuai.train.evaluation import Evaluator
from kuai.train.history import History, StepResult
from kuai.train.keys import Keys
from kuai.train.labels import check_labels
from kuai.train.loop import Loop
from kuai.train.optimizer import check_optimizer
from kuai.train.pace import Pace
from kuai.train.position import Position
from kuai.train.progress import progress_for
from kuai.train.source import Source, limited, split_off, training_batches
from kuai.train.step import Recipe

_DEV_BATCHES = 2  # what a fast run for debugging takes of everything


class Trainer:
    """Trains a net: θ ← θ + update(∇ loss(net(x), y)), by an optax optimizer.

    A step is one compiled program that takes over the memory of what it changes. Train mode is on
    inside it; `kuai.eval_mode()` around a call, or a pinned block, wins. What the net is may
    change between steps (a layer frozen, a block replaced, a rate set): the optimizer's state of
    the parameters that stay is kept.

    Args:
        net: a block.
        optimizer: of optax, such as `optax.adam(1e-3)`.
        loss: a function of (output, target) that returns a scalar, such as `kuai.losses.mse`.
        metrics: reported beside the loss: names ("accuracy"), `kuai.metrics`, or functions.
        seed: of the trainer's random numbers (dropout, order of the data), from 0; default None:
            those of the process, which `kuai.seed` starts.
        compile: whether steps are compiled; default True. False runs plain Python, for nets that
            cannot be compiled and for the debugger.

    Attributes:
        history: the record of every epoch so far.
        position: epochs, and batches of the epoch under way, that are done.

    Raises:
        ArgumentError: an argument is not what it should be.

    Example:
        >>> import optax
        >>> net = nn.Dense(1, init="zeros")
        >>> trainer = kuai.Trainer(net, optax.sgd(0.1), kuai.losses.mse)
        >>> x = np.arange(8, dtype=np.float32).reshape(8, 1) / 8
        >>> history = trainer.fit((x, 2 * x + 1), epochs=200, batch_size=4)
        >>> net(x[:1]).round(2)
        Array([[1.]], dtype=float32)
        >>> trainer.evaluate((x, 2 * x + 1))["loss"] < 1e-3
        True
    """

    def __init__(
        self,
        net: Block,
        optimizer: Any,
        loss: Callable[[Any, Any], Any],
        metrics: Any = (),
        seed: int | None = None,
        compile: bool = True,
    ) -> None:
        if not isinstance(net, Block):
            raise ArgumentError(f"net: expected a block, got {_named(net)}")
        _check_loss(loss)
        self.recipe = Recipe(net, check_optimizer(optimizer), loss, measure.check_metrics(metrics))
        self.engine = Engine(self.recipe, Keys(seed), compiled=compile)
        self._evaluator = Evaluator(self.recipe, compiled=compile)
        self._seen: set[Any] = set()
        self.position = Position()
        self.history = History()
        self.callbacks: list[Callback] = []
        self.data_identity: dict[str, Any] = {}
        self.loaded: checkpoint.Loaded | None = None
        self.stopped = False

    @property
    def net(self) -> Any:
        """The net that is trained."""
        return self.recipe.net

    @property
    def metrics(self) -> tuple[Any, ...]:
        """The metrics beside the loss."""
        return self.recipe.metrics

    @property
    def optimizer_state(self) -> Any:
        """The optimizer's state as optax made it, parameters by path; None before the first step.

        It can be set, to change a rate of `optax.inject_hyperparams` for example.

        Example:
            >>> import optax
            >>> trainer = kuai.Trainer(nn.Dense(1), optax.sgd(0.1, momentum=0.9), kuai.losses.mse)
            >>> result = trainer.step((jnp.ones((2, 1)), jnp.ones((2, 1))))
            >>> sorted(trainer.optimizer_state[0].trace)
            ['bias', 'weight']
        """
        state = self.engine.optimizer_state
        return None if state is None else state.tree

    @optimizer_state.setter
    def optimizer_state(self, tree: Any) -> None:
        self.engine.plan_now()
        state: Any = self.engine.optimizer_state
        state.replace(tree)

    def step(self, batch: Any) -> StepResult:
        """Train on one batch.

        A step whose loss is not finite changes nothing on the net.

        Args:
            batch: `(x, y)`; `((a, b), y)` for several inputs; or a dict with "target" and forward's
                arguments by name. Arrays of JAX, NumPy or torch.

        Returns:
            `result.loss` and `result["accuracy"]` and so on, still on the device: nothing waits
            for the step.

        Raises:
            DataError: the batch is empty, of unequal lengths or of another form.
            HybridizeError: forward cannot be compiled; the message has the line and a way out.

        Example:
            >>> import optax
            >>> trainer = kuai.Trainer(nn.Dense(1, init="ones"), optax.sgd(0.1), kuai.losses.mse)
            >>> result = trainer.step((jnp.ones((2, 1)), jnp.zeros((2, 1))))
            >>> float(result.loss), float(trainer.net.weight[0, 0])
            (1.0, 0.800000011920929)
        """
        leaves, treedef = self._taken_apart(batch)
        if not self.engine.ready:
            self.engine.prepare(treedef.unflatten(leaves))
        loss, sums = self.engine.one(leaves, treedef)
        self.position = self.position._replace(steps=self.position.steps + 1)
        return StepResult(loss, self.recipe.metrics, sums)

    def _taken_apart(self, batch: Any) -> tuple[list[jax.Array], Any]:
        """The arrays of a batch and its form; one seen before is checked where it is traced."""
        leaves, treedef = jax.tree.flatten(batch)
        if treedef not in self._seen or not all(map(_is_array, leaves)):
            refuse_listed_numbers(batch, "the batch")
            batch = on_device(batch)
            check_batch(batch)
            leaves, treedef = jax.tree.flatten(batch)
            self._seen.add(treedef)
        return leaves, treedef

    def fit(
        self,
        data: Any,
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: bool = True,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        steps_per_call: int | None = None,
        progress: bool | None = None,
        drop_last: bool = False,
        seed: int | None = None,
        fast_dev_run: bool = False,
        overfit_batches: int | None = None,
    ) -> History:
        """Train on data for some epochs.

        After `load` it goes on where the saved run stood: `epochs` then counts from that run's
        start. Ctrl-C leaves the net as of the last whole call, and the trainer can be saved then.

        Args:
            data: `(x, y)`, a dict with "target" or a `Dataset`: arrays; or batches: any iterable, a
                DataLoader, or a function that returns one.
            epochs: passes over the data; default 1.
            batch_size: for arrays; default 32.
            shuffle: whether each epoch has an order of its own, for arrays; default True.
            validation: data as above, or the share of the arrays to hold out (0.1); default none.
            callbacks: of `kuai.callbacks`, in the order in which they are told.
            steps_per_call: from 1 to 256; default: by measuring, for calls of about 50 ms. Results
                do not depend on it.
            progress: whether to show a bar; default: if stderr is a terminal.
            drop_last: whether to leave out a last batch that is not full, for arrays.
            seed: of the order and of what is held out; default the trainer's.
            fast_dev_run: train and validate on two batches for one epoch, to see that all works.
            overfit_batches: train on the first so many batches only, in order, and validate on
                them where validation is asked for.

        Returns:
            The records of these epochs.

        Raises:
            NonFiniteError: a loss became NaN or infinite; it names the first block whose output
                did. The net is as it was before that step.
            DataError: the data is empty, of unequal lengths, or has labels that are no class.
            ArgumentError: an argument makes no sense.

        Example:
            >>> import optax
            >>> data = np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)
            >>> trainer = kuai.Trainer(nn.Dense(1), optax.adam(1e-2), kuai.losses.mse)
            >>> history = trainer.fit(data, epochs=3, batch_size=4)
            >>> len(history), history[-1]["steps"]
            (3, 6)
        """
        _check_count("epochs", epochs)
        limit = _DEV_BATCHES if fast_dev_run else overfit_batches
        if limit is not None:
            _check_count("overfit_batches", limit)
        seed = self.engine.keys.seed if seed is None else seed
        if isinstance(validation, (int, float)):
            data, validation = split_off(data, validation, seed)
        shuffle = shuffle and overfit_batches is None
        batches = training_batches(
            data, batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last
        )
        batches = limited(batches, limit, shuffle=shuffle)
        held_out = self._held_out(validation, batches, batch_size, fast_dev_run, overfit_batches)
        pace = Pace(steps_per_call)
        source = Source(batches, steps_per_call)
        self._begin(batches, list(callbacks), source)
        loop = Loop(
            self, source, self._validation(held_out), self.callbacks, pace, progress_for(progress)
        )
        return loop.run(1 if fast_dev_run else epochs)

    def _held_out(
        self,
        validation: Any,
        train: Batches,
        batch_size: int | None,
        fast: bool,
        overfit: int | None,
    ) -> Batches | None:
        """The batches to validate with."""
        if validation is None or overfit is not None:
            return train if validation is not None else None
        found = training_batches(validation, None, shuffle=False, seed=0, drop_last=False)
        if isinstance(found, ArrayBatches) and batch_size is not None and found is not validation:
            found = as_batches(validation, batch_size)
        return limited(found, _DEV_BATCHES if fast else None)

    def _begin(self, batches: Batches, callbacks: list[Callback], source: Source) -> None:
        """Check what can be checked before the first step, then take up the loaded run if any."""
        first = source.first_batch()
        if first is not None:
            self.engine.prepare(first)
            check_labels(self.net, self.recipe.loss, batches)
        identity = {k: v for k, v in batches.state().items() if k not in ("epoch", "batch")}
        if self.loaded is not None:
            here = {"epoch": self.position.epoch, "batch": self.position.batch}
            batches.restore({**self.loaded.data, **here})
            self.loaded.restore(callbacks)
            self.loaded = None
        else:
            self.position = self.position.new_run()
        self.callbacks, self.data_identity, self.stopped = callbacks, identity, False

    def _validation(self, held_out: Batches | None) -> Callable[[], dict[str, float]]:
        if held_out is None:
            return dict
        check_labels(self.net, self.recipe.loss, held_out)
        return lambda: {f"val_{k}": v for k, v in self._evaluator.evaluate(held_out).items()}

    def stop(self) -> None:
        """Let `fit` end after this epoch; for callbacks.

        Example:
            >>> import optax
            >>> kuai.Trainer(nn.Dense(1), optax.sgd(0.1), kuai.losses.mse).stop()
        """
        self.stopped = True

    def evaluate(self, data: Any, batch_size: int | None = None) -> dict[str, float]:
        """The mean loss and the metrics over data, in eval mode.

        Args:
            data: as for `fit`.
            batch_size: for arrays; default 32.

        Returns:
            A dict of the mean loss, under "loss", and of each metric by its name.

        Raises:
            DataError: the data is empty, of unequal lengths, or has labels that are no class.

        Example:
            >>> import optax
            >>> trainer = kuai.Trainer(nn.Dense(1, init="ones"), optax.sgd(0.1), kuai.losses.mse)
            >>> trainer.evaluate((np.ones((3, 1), np.float32), np.zeros((3, 1), np.float32)))
            {'loss': 1.0}
        """
        batches = as_batches(data, batch_size)
        check_labels(self.net, self.recipe.loss, batches)
        return self._evaluator.evaluate(batches)

    def predict(self, x: Any, batch_size: int | None = None) -> Any:
        """The net's outputs for all inputs, in eval mode.

        Args:
            x: an array; a tuple of arrays for a net with several inputs; a dict of arguments by
                name; or batches of these.
            batch_size: for arrays; default 32. The last batch may be smaller.

        Returns:
            An array with one row for each example (or a tree of such arrays).

        Raises:
            DataError: there are no inputs, or the net does not give one row for each.

        Example:
            >>> import optax
            >>> trainer = kuai.Trainer(nn.Dense(1, init="ones"), optax.sgd(0.1), kuai.losses.mse)
            >>> trainer.predict(np.ones((5, 2), np.float32), batch_size=2).shape
            (5, 1)
        """
        return self._evaluator.predict(iter(as_batches(x, batch_size)))

    def save(self, path: Any) -> None:
        """Save all that is needed to go on: weights, optimizer, randomness, position, records.

        Args:
            path: of a safetensors file; it is replaced whole or not at all.

        Raises:
            DeferredInitError: the net has no values yet.
            FileAccessError: the file cannot be written.

        Example:
            >>> import optax
            >>> import os, tempfile
            >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
            >>> data = np.ones((8, 2), np.float32), np.ones((8, 1), np.float32)
            >>> first = kuai.Trainer(nn.Dense(1), optax.adam(0.1), kuai.losses.mse)
            >>> history = first.fit(data, epochs=2)
            >>> first.save(path)
            >>> second = kuai.Trainer(nn.Dense(1), optax.adam(0.1), kuai.losses.mse).load(path)
            >>> len(second.fit(data, epochs=3))
            1
        """
        checkpoint.save(self, path)

    def load(self, path: Any) -> Trainer:
        """Take up what `save` wrote: the next `fit` on the same data goes on exactly there.

        Args:
            path: of the file.

        Returns:
            This trainer.

        Raises:
            CheckpointError: it belongs to another net, optimizer or metrics; nothing has changed.
            FileFormatError: it is damaged or of another format.
            FileAccessError: it is missing or cannot be read.
        """
        checkpoint.load(self, path)
        return self

    def __repr__(self) -> str:
        return f"Trainer({type(self.net).__name__}, steps={self.position.steps})"


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array)


def _check_loss(loss: Any) -> None:
    if not callable(loss):
        raise ArgumentError(
            f"loss: expected a function of (output, target) such as kuai.losses.mse, got {loss!r}"
        )


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name}: expected a whole number from 1, got {value!r}")


def _named(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}(...)"
    return type(value).__name__
