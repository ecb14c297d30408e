"""How far along the road each journey got, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from cjm_analytics.kernels.inner import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["first_reached", "outcomes"]


@njit(nogil=True, cache=True)
def first_reached(
    offsets: NDArray[np.int64],
    place: NDArray[np.int16],
    touchpoint: NDArray[Any],
    progress: NDArray[np.bool_],
    n_places: int,
) -> NDArray[np.int64]:
    """Row of the first progressing event in place p or later, for each p and each journey; −1 without one.

    Places are numbered in the order of the road; −1 is nowhere. `progress` says which touchpoints progress.
    """
    n_journeys = len(offsets) - 1
    reached = np.full((n_places, n_journeys), -1, dtype=np.int64)
    for journey in range(n_journeys):
        furthest = -1
        for row in range(offsets[journey], offsets[journey + 1]):
            if place[row] > furthest and progress[touchpoint[row]]:
                for passed in range(furthest + 1, place[row] + 1):
                    reached[passed, journey] = row
                furthest = place[row]
    return reached


CENSORED, CONTINUED, LEFT = 0, 1, 2
NEW_JOURNEY, GONE, NOTHING = 0, 1, 2
"""What followed a drop where no touchpoint did, counted on from the last touchpoint."""


@inner
def around(
    time: NDArray[np.int64],
    touchpoint: NDArray[Any],
    n_touchpoints: int,
    entered: int,
    beyond: int,
    dropped_at: int,
    end_at: int,
    renews: bool,
    next_journey_at: int,
    never: int,
) -> tuple[int, int]:
    """The touchpoint at which a journey was last seen when it dropped, and what came first after that.

    It entered at a row and its rows end before `beyond`. `end_at` is its explicit end: a new journey if it
    `renews`, else the customer left. At the same instant the end goes first, then a new journey.
    """
    row = entered + 1
    while row < beyond and time[row] <= dropped_at:
        row += 1
    returned_at = time[row] if row < beyond else never
    if end_at != never and end_at <= min(returned_at, next_journey_at):
        after = n_touchpoints + (NEW_JOURNEY if renews else GONE)
    elif next_journey_at != never and next_journey_at <= returned_at:
        after = n_touchpoints + NEW_JOURNEY
    elif row < beyond:
        after = touchpoint[row]
    else:
        after = n_touchpoints + NOTHING
    return touchpoint[row - 1], after


@njit(nogil=True, cache=True)
def outcomes(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    touchpoint: NDArray[Any],
    reached: NDArray[np.int64],
    reached_next: NDArray[np.int64],
    goal: NDArray[np.int64],
    left_at: NDArray[np.int64],
    renews: NDArray[np.bool_],
    customer: NDArray[np.int32],
    n_touchpoints: int,
    is_goal: bool,
    horizon: int,
    observed_until: int,
    never: int,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.bool_],
    NDArray[np.bool_],
    NDArray[np.bool_],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
]:
    """What became of each journey that reached a place (`reached`: the row, −1 if not).

    It goes on at row `reached_next`, or at its goal if the place `is_goal`; `left_at` is an explicit end,
    a new journey if it `renews`. What happened before it entered counts as at once. Returns, for those that
    reached it: the row; whether it continued within the horizon; dropped; was followed for the whole horizon;
    how long it was at risk and how that ended (no time, censored, if it entered after the observation end);
    and for a dropped journey, −1 for the others: the touchpoint of its last event before it went on after
    all, and the two that lie `around` its drop.
    """
    n = 0
    for journey in range(len(reached)):
        n += reached[journey] >= 0
    rows = np.empty(n, dtype=np.int64)
    continued = np.zeros(n, dtype=np.bool_)
    dropped = np.zeros(n, dtype=np.bool_)
    followed = np.zeros(n, dtype=np.bool_)
    duration = np.full(n, -1, dtype=np.int64)
    kind = np.full(n, CENSORED, dtype=np.int64)
    last = np.full(n, -1, dtype=np.int64)
    before = np.full(n, -1, dtype=np.int64)
    after = np.full(n, -1, dtype=np.int64)
    at = -1
    for journey in range(len(reached)):
        row = reached[journey]
        if row < 0:
            continue
        at += 1
        rows[at] = row
        entered_at = time[row]
        next_at = never
        if is_goal:
            next_at = goal[journey]
        elif reached_next[journey] >= 0:
            next_at = time[reached_next[journey]]
        to_next = never if next_at == never else max(next_at - entered_at, 0)
        to_end = never if left_at[journey] == never else max(left_at[journey] - entered_at, 0)
        seen = observed_until - entered_at
        continued[at] = to_next <= horizon and to_next <= to_end
        followed[at] = seen >= horizon
        dropped[at] = not continued[at] and (followed[at] or to_end <= horizon)
        # The estimator stops at the observation end; who entered after it was never at risk.
        if seen >= 0:
            duration[at] = min(to_next, to_end, seen)
            if to_next == duration[at]:
                kind[at] = CONTINUED
            elif to_end == duration[at]:
                kind[at] = LEFT
        if dropped[at]:
            until = max(next_at, entered_at + 1)
            final = offsets[journey + 1] - 1
            while final > offsets[journey] and time[final] >= until:
                final -= 1
            last[at] = touchpoint[final]
            next_journey_at = never
            if journey + 1 < len(customer) and customer[journey + 1] == customer[journey]:
                next_journey_at = time[offsets[journey + 1]]
            before[at], after[at] = around(
                time,
                touchpoint,
                n_touchpoints,
                row,
                offsets[journey + 1],
                entered_at + min(horizon, to_end),
                left_at[journey],
                renews[journey],
                next_journey_at,
                never,
            )
    return rows, continued, dropped, followed, duration, kind, last, before, after
