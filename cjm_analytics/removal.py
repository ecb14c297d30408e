"""Absorbing chains: the probability to reach the goal, and what is lost without a name, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Chain"]

_DENSE = 8_000
"""Chains of more states are not solved as full matrices: 0.5 GB."""

_OFF = 1e-12
"""How far a probability found by sweeps may be off."""

_SWEEPS = 20_000


@dataclass(frozen=True, eq=False)
class Chain:
    """A chain over states that are the last symbols of a way, with counts by group.

    Attributes
    ----------
    states : int32, n_states × order
        The last symbols, −1 for none; the first state is the start.
    source, target : int64, n_steps
        States; the target is `n_states` for the goal, `n_states` + 1 for nothing.
    begin : int64, n_steps
        Where the counts of each step begin: one for each group in which it was taken.
    counts, group : int64
    """

    states: NDArray[np.int32]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    begin: NDArray[np.int64]
    counts: NDArray[np.int64]
    group: NDArray[np.int64]

    @classmethod
    def of(cls, steps: NDArray[np.int32], counts: NDArray[np.int64], *, n_symbols: int, order: int) -> Chain:
        """A chain from steps: last symbols, next symbol (`n_symbols`: goal, + 1: nothing), group; sorted."""
        another = np.ones(len(steps), np.bool_)
        another[1:] = (steps[1:, :-1] != steps[:-1, :-1]).any(axis=1)
        begin = np.flatnonzero(another)
        before, following = steps[begin, :order], steps[begin, order].astype(np.int64)
        after = np.column_stack([before[:, 1:], following.astype(np.int32)])
        goes_on = following < n_symbols
        start = np.full((1, order), -1, np.int32)
        every = np.concatenate([start, before, after[goes_on]])
        # The start is the state of nothing before: −1 sorts first.
        states, number = np.unique(every, axis=0, return_inverse=True)
        number = number.ravel().astype(np.int64)
        n = len(states)
        source = number[1 : 1 + len(begin)]
        target = np.where(following == n_symbols, n, n + 1)
        target[goes_on] = number[1 + len(begin) :]
        return cls(states, source, target, begin, counts, steps[:, -1].astype(np.int64))

    def _taken(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """How often each step was taken; `weights` says how often each group counts."""
        if not len(self.begin):
            return np.zeros(0)
        taken: NDArray[np.float64] = np.add.reduceat(self.counts * weights[self.group], self.begin)
        return taken

    @property
    def _is_straight(self) -> NDArray[np.bool_]:
        """From the start to the goal: ways without a touch."""
        straight: NDArray[np.bool_] = (self.source == 0) & (self.target == len(self.states))
        return straight

    def straight(self, weights: NDArray[np.float64]) -> float:
        """How many ways lead to the goal without a touch."""
        return float(self._taken(weights)[self._is_straight].sum())

    def removal_effects(
        self, symbols: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Per symbol the part of the probability to reach the goal that is lost without it.

        Ways without a touch are left aside. With Q the steps among states, r those to the goal and
        N = (I − Q)⁻¹, h = N r is the probability to reach it; blocking the states S of a symbol leaves from
        the start h₀ − N₀ₛ Nₛₛ⁻¹ hₛ.
        """
        n = len(self.states)
        taken = np.where(self._is_straight, 0.0, self._taken(weights))
        totals = np.bincount(self.source, taken, n)
        share = np.divide(taken, totals[self.source], out=np.zeros(len(taken)), where=totals[self.source] > 0)
        to_goal = np.bincount(self.source, np.where(self.target == n, share, 0.0), n).astype(np.float64)
        inside = self.target < n
        steps = _Steps(self.source[inside], self.target[inside], share[inside], to_goal)
        blocked = [np.flatnonzero((self.states == symbol).any(axis=1)) for symbol in symbols]
        reached, left = (
            _lost_in_full(steps, blocked)
            if _is_full(steps, blocked)
            else (_lost_by_sweeps(steps, blocked, float(totals.sum()) / max(float(totals[0]), 1.0)))
        )
        effects = 1 - left / reached if reached > 0 else np.zeros(len(symbols))
        return np.clip(effects, 0.0, 1.0)


class _Steps(NamedTuple):
    """Probabilities of steps between states, sorted by source; and per state that of the goal at once."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    share: NDArray[np.float64]
    to_goal: NDArray[np.float64]


def _is_full(steps: _Steps, blocked: Sequence[NDArray[np.int64]]) -> bool:
    """Whether a full matrix is quicker: it is inverted once, sweeps go over all steps for each name."""
    n = len(steps.to_goal)
    return n <= _DENSE and n**3 < 3_000 * len(steps.source) * max(len(blocked), 1)


def _lost_in_full(steps: _Steps, blocked: Sequence[NDArray[np.int64]]) -> tuple[float, NDArray[np.float64]]:
    """The probability to reach the goal from the start, and what is left of it with some states blocked."""
    matrix = np.eye(len(steps.to_goal))
    np.subtract.at(matrix, (steps.source, steps.target), steps.share)
    visits = np.linalg.inv(matrix)
    reach = visits @ steps.to_goal
    left = [
        reach[0] - visits[0, some] @ np.linalg.solve(visits[np.ix_(some, some)], reach[some])
        for some in blocked
    ]
    return float(reach[0]), np.array(left)


def _lost_by_sweeps(
    steps: _Steps, blocked: Sequence[NDArray[np.int64]], visits: float
) -> tuple[float, NDArray[np.float64]]:
    """The same for many states. A way visits `visits` states on average.

    An equation that is off by e puts the probability at the start off by e times the visits to its state, and
    with states blocked there are fewer visits: so together at most e · `visits`. Chains in which sweeps get
    nowhere are solved as sparse matrices.
    """
    from cjm_analytics.kernels import chains

    n = len(steps.to_goal)
    begin = np.searchsorted(steps.source, np.arange(n + 1)).astype(np.int64)
    off = max(_OFF / max(visits, 1.0), 4 * float(np.finfo(np.float64).eps))

    def reached(some: NDArray[np.int64]) -> float:
        is_blocked = np.zeros(n, np.bool_)
        is_blocked[some] = True
        found = chains.reached(begin, steps.target, steps.share, steps.to_goal, is_blocked, off, _SWEEPS)
        return _solved(steps, ~is_blocked) if np.isnan(found) else float(found)

    return reached(np.zeros(0, np.int64)), np.array([reached(some) for some in blocked])


def _solved(steps: _Steps, kept: NDArray[np.bool_]) -> float:
    """The probability from the start over the states `kept`, as a system of sparse equations."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    n = len(steps.to_goal)
    moves = sparse.coo_array((steps.share, (steps.source, steps.target)), shape=(n, n))
    matrix = sparse.csr_array(sparse.eye_array(n) - moves)[kept][:, kept]
    return float(spsolve(matrix.tocsc(), steps.to_goal[kept])[0])
