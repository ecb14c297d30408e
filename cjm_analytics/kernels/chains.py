"""Absorbing chains: how often steps are taken, an order for sweeps, and sweeps over the equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["from_the_ends", "shortened", "swept", "weighed"]

_LEAP = 8
"""Sweeps between leaps."""

_STRETCH = 32
"""So many states in a row, at most, are passed in one step."""


@kernel
def weighed(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    counts: NDArray[np.int64],
    lot: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How often each step is taken: its counts `begin[i]:end[i]`, each as often as its lot counts."""
    taken = np.zeros(len(begin), np.float64)
    for step in range(len(begin)):
        for at in range(begin[step], end[step]):
            taken[step] += counts[at] * weights[lot[at]]
    return taken


@kernel
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


@kernel
def shortened(
    begin: NDArray[np.int64], target: NDArray[np.int64], symbol: NDArray[np.int32], order: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The chain without states that one step only leaves: whoever comes there goes on to where it leads.

    The last state is the start, and stays. `symbol` is what each state is entered with. Returns the states
    that stay, rising; of every step that leaves them: which it is, and where it leads in the end (a number
    of a state, `n` for the goal, beyond for nothing); and the symbols that it passes which the state where
    it ends does not hold: step i those from `over_begin[i]` on.

    Every 32nd state of a long stretch stays, so that no step passes many symbols. Stretches end, as ways do.
    """
    n = len(begin) - 1
    depth = np.full(n, -1, np.int64)
    waiting = np.empty(n, np.int64)
    depth[n - 1] = 0
    for state in range(n - 1):
        if begin[state + 1] - begin[state] != 1:
            depth[state] = 0
    for state in range(n):
        number, at = 0, int(state)
        while at < n and depth[at] < 0:
            waiting[number] = at
            number += 1
            at = int(target[begin[at]])
        far = depth[at] if at < n else np.int64(0)
        while number:
            number -= 1
            far += 1
            depth[waiting[number]] = far
    kept = np.flatnonzero(depth % _STRETCH == 0)
    n_steps = int((begin[kept + 1] - begin[kept]).sum())
    step_of, ends = np.empty(n_steps, np.int64), np.empty(n_steps, np.int64)
    over_begin = np.zeros(n_steps + 1, np.int64)
    over = np.empty(n_steps, np.int32)
    passed = np.empty(_STRETCH, np.int32)
    written, n_over = 0, 0
    for one in kept:
        for step in range(begin[one], begin[one + 1]):
            number, at = 0, int(target[step])
            while at < n and depth[at] % _STRETCH != 0:
                passed[number] = symbol[at]
                number += 1
                at = int(target[begin[at]])
            held = order - 1 if at < n else 0
            for place in range(number - held if at <= n else 0):
                again = False
                for before in range(place):
                    again = again or passed[before] == passed[place]
                if not again:
                    if n_over == len(over):
                        longer = np.empty(2 * n_over + 1, np.int32)
                        longer[:n_over] = over
                        over = longer
                    over[n_over] = passed[place]
                    n_over += 1
            step_of[written], ends[written] = step, at
            written += 1
            over_begin[written] = n_over
    return kept, step_of, ends, over_begin, over[:n_over].copy()


@kernel
def swept(
    begin: NDArray[np.int64],
    target: NDArray[np.int64],
    over_begin: NDArray[np.int64],
    over: NDArray[np.int32],
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
    goal. State i is blocked in the columns `column[i]` (−1: none), where `left` is 0, and a step in those of
    `over` from its `over_begin` on. Rows of `left` beyond the states stay as they are. Gauss–Seidel sweeps,
    all columns at once, until in none the changes of a sweep, each times `leaving`, are together more than
    `off`; False if `most` sweeps do not get there.

    What a column still lacks soon shrinks by the same factor in every sweep. So every few sweeps there is a
    leap to where that would end (Aitken), unless the leap before did not bring the column nearer.
    """
    n, width = len(begin) - 1, left.shape[1]
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
                if after == state and over_begin[step] == over_begin[step + 1]:
                    rest -= times
                else:
                    for at in range(width):
                        total[at] += times * left[after, at]
                    for passed in range(over_begin[step], over_begin[step + 1]):
                        if over[passed] >= 0:
                            total[over[passed]] -= times * left[after, over[passed]]
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
