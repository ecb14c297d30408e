"""Absorbing chains: how often steps are taken, an order for sweeps, and sweeps over the equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["from_the_ends", "swept", "weighed"]

_LEAP = 8
"""Sweeps between leaps."""


@njit(nogil=True, cache=True)
def weighed(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    counts: NDArray[np.int64],
    group: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How often each step is taken: its counts `begin[i]:end[i]`, each as often as its group counts."""
    taken = np.zeros(len(begin), np.float64)
    for step in range(len(begin)):
        for at in range(begin[step], end[step]):
            taken[step] += counts[at] * weights[group[at]]
    return taken


@njit(nogil=True, cache=True)
def from_the_ends(begin: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank of each state, such that its followers come before it wherever they do not lead back to it.

    The steps of state i are `begin[i]:begin[i + 1]`; targets beyond the states are ends. Every state can be
    reached from state 0, which ranks last: a state ranks when all that was found from it has its rank.
    """
    n = len(begin) - 1
    rank = np.full(n, -1, np.int64)
    seen = np.zeros(n, np.bool_)
    following = begin[:-1].copy()
    waiting = np.empty(n, np.int64)
    depth, ranked = 1, 0
    waiting[0] = 0
    seen[0] = True
    while depth:
        state = waiting[depth - 1]
        step = following[state]
        if step == begin[state + 1]:
            rank[state] = ranked
            ranked += 1
            depth -= 1
            continue
        following[state] += 1
        after = target[step]
        if after < n and not seen[after]:
            seen[after] = True
            waiting[depth] = after
            depth += 1
    return rank


@njit(nogil=True, cache=True)
def swept(
    begin: NDArray[np.int64],
    target: NDArray[np.int64],
    taken: NDArray[np.float64],
    to_goal: NDArray[np.float64],
    leaving: NDArray[np.float64],
    column: NDArray[np.int32],
    left: NDArray[np.float64],
    off: float,
    most: int,
) -> bool:
    """Improve `left`, per state the probability to reach the goal; in each column other states are blocked.

    The steps of state i are `begin[i]:begin[i + 1]`; of all `leaving[i]` that leave it `to_goal[i]` go to the
    goal. State i is blocked in the columns `column[i]` (−1: none), where `left` is 0. Gauss–Seidel sweeps,
    all columns at once, until in none the changes of a sweep, each times `leaving`, are together more than
    `off`; False if `most` sweeps do not get there.

    What a column still lacks soon shrinks by the same factor in every sweep. So every few sweeps there is a
    leap to where that would end (Aitken), unless the leap before did not bring the column nearer.
    """
    n, width = left.shape
    total, moved, before = np.empty(width), np.empty(width), np.zeros(width)
    nearest, leap = np.full(width, np.inf), np.empty(width)
    change = np.zeros((n, width))
    for sweep in range(1, most + 1):
        for at in range(width):
            moved[at] = 0.0
        leaps = sweep % _LEAP == 0
        for state in range(n):
            rest = leaving[state]
            if rest <= 0.0:
                continue
            for at in range(width):
                total[at] = to_goal[state]
            for step in range(begin[state], begin[state + 1]):
                after, times = target[step], taken[step]
                if after == state:
                    rest -= times
                else:
                    for at in range(width):
                        total[at] += times * left[after, at]
            for back in range(column.shape[1]):
                if column[state, back] >= 0:
                    total[column[state, back]] = 0.0
            if rest > 0.0:
                each = 1.0 / rest
                for at in range(width):
                    new = total[at] * each
                    moved[at] += leaving[state] * abs(new - left[state, at])
                    if leaps:
                        change[state, at] = new - left[state, at]
                    left[state, at] = new
        most_moved = 0.0
        for at in range(width):
            most_moved = max(most_moved, moved[at])
        if most_moved <= off:
            return True
        if leaps:
            for at in range(width):
                shrinks = moved[at] < before[at] and moved[at] < nearest[at]
                leap[at] = moved[at] / (before[at] - moved[at]) if shrinks else 0.0
                nearest[at] = min(moved[at], nearest[at])
            for state in range(n):
                for at in range(width):
                    left[state, at] += leap[at] * change[state, at]
        for at in range(width):
            before[at] = moved[at]
    return False
