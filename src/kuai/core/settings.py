"""How a block is to be run, set from outside: what a gradient keeps of it, in which dtypes."""

from __future__ import annotations

from typing import Any, Self

import jax.numpy as jnp

from kuai.core.context import epoch
from kuai.core.listing import Tree
from kuai.core.parameter import Constant, Parameter
from kuai.core.policy import Policy, as_policy
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

    def set_policy(self, policy: Any) -> Self:
        """Set in which dtypes this block and all below it keep, compute and give numbers.

        Each block below gets its floating inputs in the compute dtype and reads its parameters and
        constants in it; they stay in their own for the optimizer. Normalization layers keep what
        they get, and their statistics stay in float32; State is never cast. What this block returns
        is cast to the output dtype, so that a loss is taken in it. A policy set on a block inside,
        afterwards, holds there instead.

        Keras gives each layer a policy, which also casts inputs and weights layer by layer, but
        outputs stay in the compute dtype. PyTorch's `autocast` decides for each operation.

        Args:
            policy: a `kuai.Policy`; a name: "mixed_bfloat16", "mixed_float16", or a dtype for all
                three; None takes it off, and leaves parameters as they are.

        Returns:
            This block.

        Raises:
            ArgumentError: it is none of these.

        Example:
            >>> net = nn.Sequential(nn.Dense(4), nn.LayerNorm(), nn.Dense(1))
            >>> _ = net.set_policy("mixed_bfloat16")
            >>> net(jnp.ones((2, 3))).dtype, net[0].weight.dtype
            (dtype('float32'), dtype('float32'))
            >>> kuai.capture(net, "0")(jnp.ones((2, 3)))[1]["0"].dtype
            dtype(bfloat16)

        Reference:
            Micikevicius et al., "Mixed precision training" (2018).
        """
        checked = as_policy(f"{type(self).__name__}.set_policy", policy)
        epoch.guard()
        for block in self.blocks():
            block._kuai.policy = None
        self._kuai.policy = checked
        if checked is not None and checked.param_dtype is not None:
            for _, holder in self.named_holders((Parameter, Constant)):
                if jnp.issubdtype(holder.dtype, jnp.floating):
                    holder.cast(checked.param_dtype)
        epoch.bump()
        return self

    def get_policy(self) -> Policy | None:
        """The policy that was set on this block itself, not on one around it.

        Example:
            >>> nn.Dense(1).set_policy("bfloat16").get_policy().compute_dtype
            'bfloat16'
        """
        policy: Policy | None = self._kuai.policy
        return policy
