"""Running steps on a net: plans, programs, donated arrays, and what is written back.

Invariants a maintainer must not break:

* Between the call of a program and the storing of its results the donated arrays are gone. The
  call is made by `list.extend(map(...))`, so that no interrupt can come between a result and its
  keeping, and storing can be repeated: `_advance` does it again if it was interrupted.
* Nothing of the net, the optimizer or the random stream changes unless the whole call succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from kuai.core.arrange import gather, release
from kuai.core.binding import Unbound
from kuai.core.context import context, epoch
from kuai.core.initialize import make_ready, materialize
from kuai.core.modes import transform_mode
from kuai.core.parameter import State
from kuai.core.tree import walk
from kuai.errors import HybridizeError, RegistrationError
from kuai.train.batch import parts
from kuai.train.keys import Keys
from kuai.train.optimizer import OptimizerState
from kuai.train.plan import Plan, lent, tokens_of
from kuai.train.program import Chunk, EagerProgram, Program
from kuai.train.step import Body, Carry, Extras, Recipe

_KEPT_PLANS = 4


class Engine:
    """What a trainer's steps run on.

    Args:
        recipe: net, optimizer, loss, metrics.
        keys: where random numbers come from.
        compiled: whether steps are compiled.
    """

    def __init__(self, recipe: Recipe, keys: Keys, *, compiled: bool) -> None:
        self.recipe = recipe
        self.keys = keys
        self.compiled = compiled
        self.fresh = False  # the last call of a program was its first
        self._plans: list[Plan] = []
        self._state: OptimizerState | None = None
        self._epoch = -1

    @property
    def optimizer_state(self) -> OptimizerState | None:
        return self._state

    @property
    def mode(self) -> dict[str, bool]:
        """The mode that a step runs in here: an explicit choice outside wins."""
        return {"training": context.training or not context.forced, "forced": context.forced}

    @property
    def ready(self) -> bool:
        """Whether nothing of any net has changed since the last call."""
        return self._epoch == epoch.value and self._state is not None

    def prepare(self, batch: Any) -> None:
        """Make the net's values and the optimizer's state, from a batch on the device."""
        inputs, keywords, _ = parts(batch)
        with transform_mode():
            make_ready([self.recipe.net], self.recipe.net, inputs, keywords)
        self.plan_now()

    def plan_now(self) -> Plan:
        """The plan for the net as it is; the optimizer's state follows it."""
        if self._epoch == epoch.value and self._state is not None:
            return self._state.plan
        self._arrange()
        now, tokens = epoch.value, tokens_of(self.recipe.net)
        plan = next((p for p in self._plans if p.fits(tokens)), None) or Plan(self.recipe.net)
        others = [p for p in self._plans if p is not plan]
        if self._state is None or self._state.plan is not plan:
            self._state = OptimizerState(self.recipe.optimizer, plan, self._state)
        self._plans = [*others[1 - _KEPT_PLANS :], plan]
        self._epoch = now
        return plan

    def _arrange(self) -> None:
        """Let a step take the arrays of equal layers together, or plain Python each by itself."""
        net = self.recipe.net
        release([net], foreign=self.compiled)
        if self.compiled:
            gather([net])

    def one(self, leaves: list[jax.Array], treedef: Any) -> tuple[jax.Array, list[Any]]:
        """One step on a batch: (loss, what the metrics gathered)."""

        def call(program: Program, carry: Carry, rest: Any) -> Any:
            return map(program.one, (carry,), (rest,), (leaves,))

        carry, loss, _ = self._advance(treedef, treedef, 1, [], call, None)
        return loss, carry.sums

    def many(self, chunk: Chunk, sums: Any, kept: Callable[[Any], None]) -> tuple[jax.Array, int]:
        """The steps of a chunk: (losses, how many were taken, the last maybe not finite).

        Args:
            chunk: rows of data.
            sums: what the metrics have gathered so far; it is donated.
            kept: called with the results while they are stored; it may be called twice.
        """
        key = (chunk.treedef, chunk.rows)

        def call(program: Program, carry: Carry, rest: Any) -> Any:
            steps = min(chunk.steps, program.most)
            given = (carry, rest, chunk.leaves, chunk.order, chunk.first, steps, chunk.rows)
            return map(program.many, *((item,) for item in given))

        _, losses, done, _ = self._advance(key, chunk.treedef, chunk.steps, sums, call, kept)
        return losses, int(done)

    def most(self, chunk: Chunk) -> int:
        """Steps that the program for a chunk can take at a time, as far as known."""
        program = self._known(chunk)
        return program.most if program is not None else 1

    def draws(self, chunk: Chunk) -> int:
        """Keys that a step on such a chunk draws."""
        program = self._known(chunk)
        return program.draws if program is not None else 0

    def _known(self, chunk: Chunk) -> Program | None:
        return self.plan_now().programs.get(self._key((chunk.treedef, chunk.rows)))

    def _key(self, key: Any) -> Any:
        forced = context.forced
        return key, context.training or not forced, forced

    def _advance(self, key: Any, treedef: Any, steps: int, sums: Any, call: Any, kept: Any) -> Any:
        """Call a program and store what comes back."""
        while True:
            plan = self.plan_now()
            program = self._program(self._key(key), plan, treedef)
            reserved = max(program.draws, 0) * steps
            ticket, array = self.keys.lend(reserved)
            state: Any = self._state
            results: list[Any] = []

            def store() -> None:
                self._store(plan, state, results[0])  # noqa: B023  # used before the next turn
                if kept is not None:
                    kept(results[0])  # noqa: B023

            try:
                carry = Carry(lent(plan.parameters), state.lend(), lent(plan.states), array, sums)
                results.extend(call(program, carry, [holder._array for holder in plan.rest]))
                store()
            except BaseException as error:
                if results:
                    store()
                    self._account(program, ticket, reserved, results[0])
                    raise
                self.keys.take(-reserved)
                self._cannot_run(error)
                continue
            self._account(program, ticket, reserved, results[0])
            return results[0]

    def _program(self, key: Any, plan: Plan, treedef: Any) -> Program:
        program: Program | None = plan.programs.get(key)
        self.fresh = program is None
        if program is not None and not program.guards.hold():
            program = None
        if program is None:
            state: Any = self._state
            body = Body(self.recipe, plan, treedef, state.treedef, strict=self.compiled)
            kind = Program if self.compiled else EagerProgram
            program = plan.programs[key] = kind(body, training=key[1], forced=key[2])
        return program

    def _store(self, plan: Plan, state: OptimizerState, result: Any) -> None:
        carry, extras = result[0], result[-1]
        state.store(carry.optimizer)
        for parameter, value in zip(plan.parameters, carry.parameters, strict=True):
            parameter.store(value)
        for holder, value in zip(plan.states, carry.states, strict=True):
            holder.store(value)
        if extras is not None:
            _store_extras(extras)

    def _account(
        self, program: Program, ticket: tuple[int, int], reserved: int, result: Any
    ) -> None:
        extras: Extras | None = result[-1]
        program.draws = 0 if extras is None else extras.about.draws
        if program.draws < 0:
            drawn = (int(result[0].ticket[1]) - ticket[1]) % 2**32
        else:
            drawn = program.draws and program.draws * (int(result[2]) if len(result) == 4 else 1)
        self.keys.settle(ticket, result[0].ticket, reserved, drawn)

    def _cannot_run(self, error: BaseException) -> None:
        """Make what a trace found missing, or raise for what stopped it."""
        from kuai.hybrid.errors import explained, is_uncompilable

        if isinstance(error, Exception) and is_uncompilable(error):
            told = explained(error, type(self.recipe.net).__name__)
            raise HybridizeError(
                f"{told}; kuai.Trainer(..., compile=False) trains it uncompiled"
            ) from error
        if not isinstance(error, Unbound):
            raise error
        found = walk(self.recipe.net)
        paths = {holder: path for path, holder in found.holders.items()}
        missing = {paths[h]: h for h in error.holders if h in paths and not h.ready and h.settled}
        if not missing:
            raise RegistrationError(
                _strangers(error, set(map(id, found.blocks.values())))
            ) from None
        materialize(missing.items())


def _store_extras(extras: Extras) -> None:
    for holder, value in zip(extras.about.holders, extras.values, strict=True):
        if isinstance(holder, State):
            holder.reshape(value)
        holder.store(value)


def _strangers(unbound: Unbound, known: set[int]) -> str:
    names = [type(block).__name__ for block in unbound.blocks if id(block) not in known]
    what = f"calls {', '.join(names)}" if names else f"reads {unbound.holders[0]!r}"
    return (
        f"Trainer: the step {what}, which does not stand on the net and would be neither trained "
        "nor saved; put it on the net as an attribute, and freeze() what shall stay as it is"
    )
