"""Ways to the goal: the touches of each conversion, and what each simple rule gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FIRST",
    "LAST",
    "LAST_NON_DIRECT",
    "LINEAR",
    "POSITION",
    "SHAPLEY",
    "TIME_DECAY",
    "given",
    "steps_of_ways",
    "ways",
]

FIRST, LAST, LAST_NON_DIRECT, LINEAR, POSITION, TIME_DECAY, SHAPLEY = range(7)

RAW, EXPOSURE, UNIQUE = range(3)


@kernel
def ways(
    offsets: NDArray[np.int64],
    codes: NDArray[np.int32],
    time: NDArray[np.int64],
    goal: NDArray[np.bool_],
    all_goals: bool,
    lookback: int,
    steps: int,
    direct: int,
    transform: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The ways of all journeys, one after the other: symbols, times; offsets, journey, row of the goal (−1).

    A way ends at the journey's first goal (or at each of them; the next begins behind it), or with the
    journey. Touches are events with a code; the goal itself is none. Of them stay, in this turn: those at
    most `lookback` before the end; without `direct` (−1: all), unless there are only such; all, those that
    do not directly repeat the one before (exposure), or the first of each code (unique); the last `steps`
    (0: all).
    A way to no goal without a touch is left out.
    """
    n_rows, n_journeys = len(codes), len(offsets) - 1
    n_goals = 0
    for row in range(n_rows):
        n_goals += goal[row]
    symbols, times = np.empty(n_rows, np.int32), np.empty(n_rows, np.int64)
    room = n_journeys + n_goals
    bounds = np.zeros(room + 1, np.int64)
    journeys, goals = np.empty(room, np.int64), np.empty(room, np.int64)
    n_codes = np.int64(0)
    for row in range(n_rows):
        n_codes = max(n_codes, np.int64(codes[row]) + 1)
    seen = np.full(n_codes, -1, np.int64)
    n_ways = 0
    written = 0
    for journey in range(n_journeys):
        begin, end = offsets[journey], offsets[journey + 1]
        row = begin
        while row < end:
            until = row
            while until < end and not goal[until]:
                until += 1
            converts = until < end
            last_time = time[until] if converts else time[end - 1]
            only_direct = True
            for at in range(row, until):
                if codes[at] >= 0 and codes[at] != direct and last_time - time[at] <= lookback:
                    only_direct = False
            start = written
            for at in range(row, until):
                code = codes[at]
                if code < 0 or last_time - time[at] > lookback:
                    continue
                if code == direct and not only_direct:
                    continue
                if transform == EXPOSURE and written > start and symbols[written - 1] == code:
                    continue
                if transform == UNIQUE:
                    if seen[code] == n_ways:
                        continue
                    seen[code] = n_ways
                symbols[written], times[written] = code, time[at]
                written += 1
            if steps > 0 and written - start > steps:
                for at in range(steps):
                    symbols[start + at] = symbols[written - steps + at]
                    times[start + at] = times[written - steps + at]
                written = start + steps
            if converts or written > start:
                journeys[n_ways] = journey
                goals[n_ways] = until if converts else -1
                n_ways += 1
                bounds[n_ways] = written
            if not converts or not all_goals:
                break
            row = until + 1
    return symbols[:written], times[:written], bounds[: n_ways + 1], journeys[:n_ways], goals[:n_ways]


@kernel
def given(
    symbols: NDArray[np.int32],
    times: NDArray[np.int64],
    bounds: NDArray[np.int64],
    chosen: NDArray[np.int64],
    value: NDArray[np.int64],
    lot: NDArray[np.int64],
    models: NDArray[np.int64],
    n_symbols: int,
    direct: int,
    ends: tuple[float, float, float],
    half_life: float,
    unit: float,
    value_unit: float,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """What the models give each symbol in each lot: rows (symbol, lot), and for each model two whole numbers.

    These are conversions in 1 / `unit` and values in 1 / `value_unit`. Asked are the ways `chosen`, which end
    with a conversion, lot by lot. The symbol of a way without touches is `n_symbols`.
    """
    place, lots = np.empty(n_symbols + 1, np.int64), np.full(n_symbols + 1, -1, np.int64)
    n_rows, longest = 0, 0
    for number in range(len(chosen)):
        low, high = bounds[chosen[number]], bounds[chosen[number] + 1]
        longest = max(longest, high - low)
        for at in range(low, max(high, low + 1)):
            code = symbols[at] if at < high else n_symbols
            if lots[code] != lot[number]:
                lots[code] = lot[number]
                n_rows += 1
    rows, found = np.empty((n_rows, 2), np.int32), np.zeros((n_rows, 2 * len(models)), np.int64)
    weight = np.zeros(max(longest, 1), np.float64)
    lots[:] = -1
    n_rows = 0
    for number in range(len(chosen)):
        low, high = bounds[chosen[number]], bounds[chosen[number] + 1]
        worth = value[number]
        for at in range(low, max(high, low + 1)):
            code = symbols[at] if at < high else n_symbols
            if lots[code] != lot[number]:
                lots[code] = lot[number]
                place[code] = n_rows
                rows[n_rows, 0], rows[n_rows, 1] = code, lot[number]
                n_rows += 1
        for model in range(len(models)):
            if high == low:
                weight[0] = 1.0
            else:
                _weigh(weight, models[model], symbols, times, low, high - low, direct, ends, half_life)
            for at in range(low, max(high, low + 1)):
                share = weight[at - low]
                if share > 0:
                    row = place[symbols[at] if at < high else n_symbols]
                    found[row, 2 * model] += np.int64(np.round(share * unit))
                    found[row, 2 * model + 1] += np.int64(np.round(share * worth * value_unit))
    return rows, found


@kernel
def _weigh(
    weight: NDArray[np.float64],
    model: int,
    symbols: NDArray[np.int32],
    times: NDArray[np.int64],
    low: int,
    n: int,
    direct: int,
    ends: tuple[float, float, float],
    half_life: float,
) -> None:
    """What share of a conversion each of the `n` touches from `low` on is given by a model."""
    for at in range(n):
        weight[at] = 0.0
    if model == FIRST:
        weight[0] = 1.0
    elif model == LAST:
        weight[n - 1] = 1.0
    elif model == LAST_NON_DIRECT:
        at = n - 1
        while at > 0 and symbols[low + at] == direct:
            at -= 1
        if symbols[low + at] == direct:
            at = n - 1
        weight[at] = 1.0
    elif model == LINEAR:
        for at in range(n):
            weight[at] = 1.0 / n
    elif model == POSITION:
        between = n - 2
        for at in range(1, n - 1):
            weight[at] = ends[1] / between
        total = ends[0] + ends[2] if between == 0 else 1.0
        weight[n - 1] = ends[2] / total
        weight[0] = ends[0] / total if n > 1 else 1.0
    elif model == TIME_DECAY:
        total = 0.0
        for at in range(n):
            # Measured from the last touch, so that not all weights vanish; the shares are the same.
            weight[at] = 2.0 ** (-(times[low + n - 1] - times[low + at]) / half_life)
            total += weight[at]
        for at in range(n):
            weight[at] /= total
    else:
        n_distinct = 0
        for at in range(n):
            again = False
            for before in range(at):
                again = again or symbols[low + before] == symbols[low + at]
            weight[at] = 0.0 if again else 1.0
            n_distinct += not again
        for at in range(n):
            weight[at] /= n_distinct


@kernel
def steps_of_ways(
    symbols: NDArray[np.int32],
    bounds: NDArray[np.int64],
    converts: NDArray[np.bool_],
    lot: NDArray[np.int64],
    order: int,
    n_symbols: int,
) -> NDArray[np.int32]:
    """Every step of every way as a row: the last `order` symbols before it (−1: none), the next, the lot.

    The next is a symbol, `n_symbols` for the goal, `n_symbols` + 1 for none. A way without touches goes from
    nothing to its end.
    """
    n = len(symbols) + len(bounds) - 1
    rows = np.full((n, order + 2), -1, np.int32)
    at = 0
    for way in range(len(bounds) - 1):
        low, high = bounds[way], bounds[way + 1]
        for place in range(low, high + 1):
            for back in range(order):
                before = place - order + back
                if before >= low:
                    rows[at, back] = symbols[before]
            if place < high:
                rows[at, order] = symbols[place]
            else:
                rows[at, order] = n_symbols if converts[way] else n_symbols + 1
            rows[at, order + 1] = lot[way]
            at += 1
    return rows
