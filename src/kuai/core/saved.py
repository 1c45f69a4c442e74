"""What every block offers over files of weights."""

from __future__ import annotations

from typing import Any

from kuai.core import weights
from kuai.core.settings import Settings


class Saved(Settings):
    """A thing whose arrays go into files and come out of them: the last part below `Block`."""

    def save(
        self,
        path: Any,
        *,
        select: Any = None,
        system: str | None = None,
        mapping: Any = None,
        sample: Any = None,
        like: Any = None,
    ) -> None:
        """Save every parameter, constant and persistent state, durably.

        The file is kuai's own, a safetensors file; with `system` it is one that this system loads
        into the equivalent network, which `docs/interop.md` describes.

        Args:
            path: of the file; it is replaced whole or not at all. For PyTorch `.safetensors` makes
                it such a file, for Keras the end is `.weights.h5` or `.keras`.
            select: which of them, as in `named_holders`; default all.
            system: "torch", "keras", "paddle" or "gluon"; default kuai itself, and then the name
                must not end as one of these systems' does.
            mapping: other names for that system: a dict {its default name, or what it begins with:
                name}, pairs (regular expression, replacement), or a function of a name.
            sample: an input, or a tuple of inputs. For a net that flattens feature maps in another
                order than that system does, and for the input's sizes in a `.keras`.
            like: path of a file that `load` takes, as a rule the one that the net was loaded from.
                Its arrays are written, under its names, in their places and with their dtypes, with
                the net's values; what the net does not have stays as it is there. It is one file
                with a flat state dict, or of Keras 3. `system`, `mapping` and `sample` are then
                those of `load`, and `select` is None.

        Raises:
            ArgumentError: the selection selects nothing, there is no such system, a sample is
                needed, the name ends as another system's files do, or `like` is no such file.
            CheckpointError: the system has no layer like one of these, or the net does not fit
                `like`.
            DeferredInitError: values have not been made yet.
            FileAccessError: the folder is missing or cannot be written.

        Example:
            >>> import tempfile, os
            >>> net = nn.Dense(2).initialize(sample=jnp.ones((1, 3)))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     net.save(os.path.join(folder, "net.safetensors"))
            ...     net.save(os.path.join(folder, "net.pt"), system="torch")
            ...     kuai.interop.read(os.path.join(folder, "net.pt")).shapes
            ...     nn.Dense(2).load(os.path.join(folder, "net.pt")).weight.shape
            {'weight': (2, 3), 'bias': (2,)}
            (3, 2)
        """
        weights.save(self, path, select, system=system, mapping=mapping, sample=sample, like=like)

    def load(
        self,
        path: Any,
        *,
        strict: bool = True,
        select: Any = None,
        system: str | None = None,
        mapping: Any = None,
        sample: Any = None,
        key: str | None = None,
        dry_run: bool = False,
    ) -> Any:
        """Load a file that `save` wrote, or one of PyTorch, Keras, TensorFlow, Paddle or Gluon.

        Shapes that are not known yet are settled by the file. Another system's names and layouts
        become kuai's by the kind of each layer: by name where the file has those of the equivalent
        network, else by order, and nothing is loaded where that is not certain.

        Args:
            path: of the file or folder.
            strict: whether every name must be in both the file and the block; default True.
            select: which parameters and states, as in `named_holders`; default all. Of a file, the
                rest may be anything.
            system: whose layers a file holds that does not say it itself, as plain safetensors and
                npz files do not: "torch", "keras", "paddle", "gluon" or "kuai".
            mapping: what of another system's goes where: a dict {its name, or what it begins with:
                path here, or None to pass it over}, pairs (regular expression, replacement), or a
                function of a name.
            sample: an input, or a tuple of inputs. For a net that flattens feature maps in another
                order than that system does.
            key: the part of a nested checkpoint, such as "state_dict"; default all of it.
            dry_run: return a table of what would go where, and change nothing; default False.

        Returns:
            This block; of a dry run, the table (`kuai.interop.Moves`).

        Raises:
            ArgumentError: the selection selects nothing, the file does not say its system or is
                of another, the mapping is none, or a sample is needed.
            CheckpointError: names or shapes do not fit, all of them are listed; or they may fit in
                several ways. Nothing has changed.
            FileFormatError: the file is damaged or of another format.
            FileAccessError: it is missing or cannot be read.
        """
        foreign = {"system": system, "mapping": mapping, "sample": sample, "key": key}
        found = weights.load(self, path, strict=strict, select=select, dry_run=dry_run, **foreign)
        return found if dry_run else self
