"""Absorbing chains of many states: the probability to reach the goal, by sweeps over the equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["reached"]


@njit(nogil=True, cache=True)
def reached(
    begin: NDArray[np.int64],
    target: NDArray[np.int64],
    share: NDArray[np.float64],
    to_goal: NDArray[np.float64],
    blocked: NDArray[np.bool_],
    off: float,
    most: int,
) -> float:
    """The probability to reach the goal from state 0 without the states `blocked`; NaN after `most` sweeps.

    The steps of state i are `begin[i]:begin[i + 1]`. Gauss–Seidel sweeps, from the last state to the first,
    until no equation is more than `off` off.
    """
    n = len(begin) - 1
    found = np.zeros(n, np.float64)
    for _ in range(most):
        moved = 0.0
        for state in range(n - 1, -1, -1):
            if blocked[state]:
                continue
            own, other = 0.0, to_goal[state]
            for step in range(begin[state], begin[state + 1]):
                if target[step] == state:
                    own += share[step]
                else:
                    other += share[step] * found[target[step]]
            new = other / (1.0 - own) if own < 1.0 else 0.0
            moved = max(moved, abs(new - found[state]))
            found[state] = new
        if moved <= off:
            worst = 0.0
            for state in range(n):
                if not blocked[state]:
                    total = to_goal[state]
                    for step in range(begin[state], begin[state + 1]):
                        total += share[step] * found[target[step]]
                    worst = max(worst, abs(total - found[state]))
            if worst <= off:
                return float(found[0])
    return np.nan
