"""How far along the road each journey got, and when."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - as in all kernels

from cjm_analytics.kernels.native import kernel

__all__ = ["Outcomes", "Reached", "first_reached", "outcomes"]


class Reached(NamedTuple):
    """When each journey (column) came to each place (row) or past it.

    Attributes
    ----------
    row : int64, (n_places, n_journeys)
        The first progressing event there; −1 without one.
    time : int64, (n_places, n_journeys)
        Its time; `never` without one.
    """

    row: NDArray[np.int64]
    time: NDArray[np.int64]


@kernel
def first_reached(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    place: NDArray[np.int16],
    touchpoint: NDArray[Any],
    progress: NDArray[np.bool_],
    n_places: int,
    never: int,
) -> Reached:
    """The first progressing event in place p or later, for each p and each journey.

    Places are numbered in the order of the road; −1 is nowhere. `progress` says which touchpoints progress.
    """
    n_journeys = len(offsets) - 1
    rows = np.full((n_places, n_journeys), -1, dtype=np.int64)
    times = np.full((n_places, n_journeys), never, dtype=np.int64)
    for journey in range(n_journeys):
        furthest = -1
        for row in range(offsets[journey], offsets[journey + 1]):
            if place[row] > furthest and progress[touchpoint[row]]:
                for passed in range(furthest + 1, place[row] + 1):
                    rows[passed, journey] = row
                    times[passed, journey] = time[row]
                furthest = place[row]
    return Reached(rows, times)


CENSORED, CONTINUED, LEFT = 0, 1, 2
NEW_JOURNEY, GONE, NOTHING = 0, 1, 2
"""What followed a drop where no touchpoint did, counted on from the last touchpoint."""


@kernel
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


class Outcomes(NamedTuple):
    """What became of journeys that entered a place.

    Attributes
    ----------
    counts : int64, 5
        Entered, continued, dropped, followed for the whole horizon, and passed: entered, while they were
        observed, by the very event with which they reached the next place.
    at_once : int64, 2 · kinds
        Waits of no time, by kind, in the second half; before them those who entered after the observation
        end and were never at risk (censored).
    waits : int64
        All other waits, duration · kinds + kind.
    last, before : int64, n_touchpoints
        At which touchpoint those who dropped were last seen before they went on after all, and when they
        dropped.
    after : int64, n_touchpoints + 3
        What came first after that.
    """

    counts: NDArray[np.int64]
    at_once: NDArray[np.int64]
    waits: NDArray[np.int64]
    last: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]


def outcomes(
    journeys: NDArray[np.int64],
    entered: tuple[NDArray[np.int64], NDArray[np.int64]],
    following: tuple[NDArray[np.int64], NDArray[np.int64]],
    left_at: NDArray[np.int64],
    renews: NDArray[np.bool_],
    customer: NDArray[np.int32],
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    touchpoint: NDArray[Any],
    n_touchpoints: int,
    kinds: int,
    horizon: int,
    observed_until: int,
    never: int,
) -> Outcomes:
    """What became of the journeys, each of which came to a place or past it.

    `entered` is row and time at which; `following` is the row at which it came to the next place or past that
    (−1: never), and the time at which it went on: then, or at its goal. `left_at` is an explicit end, a new
    journey if it `renews`. What happened before it entered counts as at once. Kinds of the end of a wait: 0
    censored, 1 continued, 2 left.
    """
    counts = np.zeros(5, dtype=np.int64)
    at_once = np.zeros(2 * kinds, dtype=np.int64)
    waits, gone = np.empty((2, len(journeys)), dtype=np.int64)
    n_waits, n_dropped = _weigh(
        journeys, *entered, *following, left_at, kinds, horizon, observed_until, never,
        counts, at_once, waits, gone,
    )  # fmt: skip
    last, before = np.zeros((2, n_touchpoints), dtype=np.int64)
    after = np.zeros(n_touchpoints + 3, dtype=np.int64)
    _look(
        gone[:n_dropped], *entered, following[1], left_at, renews, customer, offsets, time, touchpoint,
        n_touchpoints, horizon, never, last, before, after,
    )  # fmt: skip
    return Outcomes(counts, at_once, waits[:n_waits], last, before, after)


@kernel
def _weigh(
    journeys: NDArray[np.int64], entered_row: NDArray[np.int64], entered_at: NDArray[np.int64],
    next_row: NDArray[np.int64], next_at: NDArray[np.int64], left_at: NDArray[np.int64], kinds: int,
    horizon: int, observed_until: int, never: int, counts: NDArray[np.int64], at_once: NDArray[np.int64],
    waits: NDArray[np.int64], gone: NDArray[np.int64],
) -> tuple[int, int]:  # fmt: skip
    """Count, list the waits, and list those who dropped; says how many waits and how many dropped."""
    n_waits = n_continued = n_dropped = n_followed = n_passed = 0
    # Nobody can foresee what becomes of a journey, so all is worked out for all, without a branch.
    for journey in journeys:
        began = entered_at[journey]
        to_next = never if next_at[journey] == never else max(next_at[journey] - began, 0)
        to_end = never if left_at[journey] == never else max(left_at[journey] - began, 0)
        seen = observed_until - began
        continued = (to_next <= horizon) & (to_next <= to_end)
        followed = seen >= horizon
        dropped = (not continued) & (followed | (to_end <= horizon))
        n_continued += continued
        n_followed += followed
        gone[n_dropped] = journey
        n_dropped += dropped
        # The estimator stops at the observation end; who entered after it was never at risk.
        ended = min(to_next, to_end)
        duration = max(min(ended, seen), -1)
        kind = (CONTINUED if to_next == duration else LEFT) if ended == duration else CENSORED
        n_passed += (next_row[journey] == entered_row[journey]) & (seen >= 0)
        waits[n_waits] = duration * kinds + kind
        n_waits += duration > 0
        at_once[(min(duration, 0) + 1) * kinds + kind] += duration <= 0
    counts[0], counts[1], counts[2] = len(journeys), n_continued, n_dropped
    counts[3], counts[4] = n_followed, n_passed
    return n_waits, n_dropped


@kernel
def _look(
    gone: NDArray[np.int64], entered_row: NDArray[np.int64], entered_at: NDArray[np.int64],
    next_at: NDArray[np.int64], left_at: NDArray[np.int64], renews: NDArray[np.bool_],
    customer: NDArray[np.int32], offsets: NDArray[np.int64], time: NDArray[np.int64],
    touchpoint: NDArray[Any], n_touchpoints: int, horizon: int, never: int,
    last: NDArray[np.int64], before: NDArray[np.int64], after: NDArray[np.int64],
) -> None:  # fmt: skip
    """Count where those who dropped were last seen, and what came after that."""
    for journey in gone:
        began = entered_at[journey]
        until = max(next_at[journey], began + 1)
        final = offsets[journey + 1] - 1
        while final > offsets[journey] and time[final] >= until:
            final -= 1
        last[touchpoint[final]] += 1
        next_journey_at = never
        if journey + 1 < len(customer) and customer[journey + 1] == customer[journey]:
            next_journey_at = time[offsets[journey + 1]]
        to_end = never if left_at[journey] == never else max(left_at[journey] - began, 0)
        seen_at, came = around(
            time,
            touchpoint,
            n_touchpoints,
            entered_row[journey],
            offsets[journey + 1],
            began + min(horizon, to_end),
            left_at[journey],
            renews[journey],
            next_journey_at,
            never,
        )
        before[seen_at] += 1
        after[came] += 1
