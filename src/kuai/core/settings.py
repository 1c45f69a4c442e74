"""How a block is to be run, set from outside: what a gradient keeps of it."""

from __future__ import annotations

from typing import Any, Self

from kuai.core.context import epoch
from kuai.core.listing import Tree
from kuai.core.remat import checked_policy


class Settings(Tree):
    """A thing with settings of its own: the part of `Block` over `Tree`."""

    def remat(self, policy: Any = None) -> Self:
        """Keep less for the gradient: run this block's forward again on the way back.

        A gradient keeps what forward computes. A block under `remat` keeps its inputs, computes the
        rest a second time, and gives the same results: memory for time. Set it on blocks that
        repeat, such as the layers of a transformer; on a whole net it saves nothing. State,
        randomness, branches and loops are as without it. Hooks of this block run outside.

        Args:
            policy: what is kept all the same. None (the default) or "nothing"; "dots": results of
                matrix products; "dots_no_batch": of those without a batch axis, which is a good
                choice for transformers; "everything"; a name or a function of
                `jax.checkpoint_policies`; False: no remat any more.

        Returns:
            This block.

        Raises:
            ArgumentError: there is no such policy.

        Example:
            >>> layer = nn.Sequential(nn.Dense(64), nn.ReLU(), nn.Dense(8)).remat()
            >>> net = nn.Sequential(layer, nn.Dense(1)).initialize(sample=jnp.ones((2, 8)))
            >>> grads = kuai.grad(lambda net, x: net(x).sum())(net, jnp.ones((2, 8)))
            >>> _ = layer.remat("dots"), layer.remat(False)

        Reference:
            Chen et al., "Training deep nets with sublinear memory cost" (2016).
        """
        checked = checked_policy(f"{type(self).__name__}.remat", policy)
        epoch.guard()
        self._kuai.remat = checked
        epoch.bump()
        return self
