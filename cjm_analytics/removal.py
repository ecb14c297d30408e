"""Absorbing chains: the probability to reach the goal, and what is lost without a name, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Chain"]

_DENSE = 1_000
"""Chains of up to so many states are solved as full matrices."""


@dataclass(frozen=True, eq=False)
class Chain:
    """A chain over states that are the last symbols of a way, with counts by group.

    Attributes
    ----------
    states : int32, n_states × order
        The last symbols, −1 for none; the first state is the start.
    source, target : int64, n_steps
        States; the target is `n_states` for the goal, `n_states` + 1 for nothing.
    counts : int64, n_steps
    group : int64, n_steps
    straight : int64
        Steps from the start to the goal: ways without a touch.
    """

    states: NDArray[np.int32]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    counts: NDArray[np.int64]
    group: NDArray[np.int64]
    straight: NDArray[np.int64]

    @classmethod
    def of(cls, steps: NDArray[np.int32], counts: NDArray[np.int64], *, n_symbols: int, order: int) -> Chain:
        """A chain from steps: last symbols, next symbol (`n_symbols`: goal, + 1: nothing), group."""
        before, following = steps[:, :order], steps[:, order].astype(np.int64)
        after = np.column_stack([before[:, 1:], following.astype(np.int32)])
        goes_on = following < n_symbols
        start = np.full((1, order), -1, np.int32)
        every = np.concatenate([start, before, after[goes_on]])
        states, number = np.unique(every, axis=0, return_inverse=True)
        number = number.ravel().astype(np.int64)
        n = len(states)
        source = number[1 : 1 + len(steps)]
        target = np.where(following == n_symbols, n, n + 1)
        target[goes_on] = number[1 + len(steps) :]
        straight = np.flatnonzero((source == number[0]) & (following == n_symbols))
        # The start is the state of nothing before: −1 sorts first.
        return cls(states, source, target, counts, steps[:, -1].astype(np.int64), straight)

    def removal_effects(
        self, symbols: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Per symbol the part of the probability to reach the goal that is lost without it.

        Ways without a touch are left aside. With Q the steps among states, r those to the goal and
        N = (I − Q)⁻¹, h = N r is the probability to reach it; blocking the states S of a symbol leaves from
        the start h₀ − N₀ₛ Nₛₛ⁻¹ hₛ. `weights` says how often each group counts.
        """
        n = len(self.states)
        taken = self.counts * weights[self.group]
        taken[self.straight] = 0
        totals = np.bincount(self.source, taken, n)
        share = np.divide(taken, totals[self.source], out=np.zeros(len(taken)), where=totals[self.source] > 0)
        to_goal = np.bincount(self.source, np.where(self.target == n, share, 0.0), n).astype(np.float64)
        inside = self.target < n
        blocked = [np.flatnonzero((self.states == symbol).any(axis=1)) for symbol in symbols]
        lost = _lost_in_full if n <= _DENSE else _lost_in_sparse
        steps = (share[inside], (self.source[inside], self.target[inside]))
        reached, left = lost(steps, to_goal, blocked)
        effects = 1 - left / reached if reached > 0 else np.zeros(len(symbols))
        return np.clip(effects, 0.0, 1.0)


_Steps = tuple["NDArray[np.float64]", tuple["NDArray[np.int64]", "NDArray[np.int64]"]]
"""Probabilities, and from which state to which."""


def _lost_in_full(
    steps: _Steps, to_goal: NDArray[np.float64], blocked: Sequence[NDArray[np.int64]]
) -> tuple[float, NDArray[np.float64]]:
    """The probability to reach the goal from the start, and what is left of it with some states blocked."""
    matrix = np.eye(len(to_goal))
    np.subtract.at(matrix, steps[1], steps[0])
    visits = np.linalg.inv(matrix)
    reach = visits @ to_goal
    left = [
        reach[0] - visits[0, some] @ np.linalg.solve(visits[np.ix_(some, some)], reach[some])
        for some in blocked
    ]
    return float(reach[0]), np.array(left)


def _lost_in_sparse(
    steps: _Steps, to_goal: NDArray[np.float64], blocked: Sequence[NDArray[np.int64]]
) -> tuple[float, NDArray[np.float64]]:
    """The same for many states: the equations are solved again without the blocked ones."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    n = len(to_goal)
    matrix = sparse.csr_array(sparse.eye_array(n) - sparse.coo_array(steps, shape=(n, n)))

    def reached(kept: NDArray[np.int64]) -> float:
        return float(spsolve(matrix[kept][:, kept].tocsc(), to_goal[kept])[0])

    everything = np.arange(n)
    left = [reached(np.setdiff1d(everything, some)) for some in blocked]
    return reached(everything), np.array(left)
