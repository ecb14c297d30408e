"""Patterns: a position automaton, or the table of its states, run once over the events of each unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel
from cjm_analytics.kernels.rows import longer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fitting", "matches"]


def matches(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    codes: NDArray[Any],
    time: NDArray[np.int64],
    missing: int,
    fits: NDArray[np.bool_],
    first: NDArray[np.bool_],
    last: NDArray[np.bool_],
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    later: NDArray[np.bool_],
    limit: NDArray[np.int64],
    every: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How many matches each unit has that do not overlap; then unit, first and last row of some of them.

    Those are the first match of each unit that has one, or `every` match.
    Unit i is the rows `low[i]:high[i]`, with a virtual event before and one after them, whose
    codes are the last two columns of `fits` and whose times are those of their neighbours. A match ends as
    soon as one can; the next begins behind it. `taken[p]` is when position p last took an event: of several
    ways to have got there the latest is as good as any for all that follows. A match that begins with the
    virtual event begins at the unit's first row.
    """
    count = np.zeros(len(low), np.int64)
    found = np.empty((max(len(low), 16), 3), np.int64)
    found, n_found = _matches(
        low, high, codes, time, missing, fits, first, last, source, target, later, limit, every, count, found
    )
    unit, begin, end = found[:n_found].T.copy()
    return count, unit, begin, end


@kernel
def _matches(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    codes: NDArray[Any],
    time: NDArray[np.int64],
    missing: int,
    fits: NDArray[np.bool_],
    first: NDArray[np.bool_],
    last: NDArray[np.bool_],
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    later: NDArray[np.bool_],
    limit: NDArray[np.int64],
    every: bool,
    count: NDArray[np.int64],
    found: NDArray[np.int64],
) -> tuple[NDArray[np.int64], int]:
    """What `matches` finds: `count` is filled; the matches as rows of `found` or a longer one, how many."""
    n_units, n = len(low), len(first)
    n_symbols = fits.shape[1] - 2
    n_found = 0
    active = np.zeros(n, np.bool_)
    fresh = np.zeros(n, np.bool_)
    began = np.zeros(n, np.int64)
    fresh_began = np.zeros(n, np.int64)
    taken = np.zeros(n, np.int64)
    seen = np.zeros(n, np.bool_)
    seen_began = np.zeros(n, np.int64)
    for unit in range(n_units):
        start_row, end_row = low[unit], high[unit]
        if start_row >= end_row:
            continue
        for position in range(n):
            active[position] = seen[position] = False
        before = time[start_row]
        for row in range(start_row - 1, end_row + 1):
            if row < start_row:
                code, now = n_symbols, time[start_row]
            elif row == end_row:
                code, now = n_symbols + 1, time[end_row - 1]
            else:
                code, now = np.int64(codes[row]), time[row]
                if code < 0:
                    code = missing
            place = min(max(row, start_row), end_row - 1)
            for position in range(n):
                fresh[position] = first[position] and fits[position, code]
                fresh_began[position] = place
            for link in range(len(source)):
                one, other = source[link], target[link]
                if not fits[other, code]:
                    continue
                if later[link]:
                    possible = seen[one] and now - taken[one] <= limit[link]
                    start = seen_began[one]
                else:
                    possible = active[one] and now - before <= limit[link]
                    start = began[one]
                if not possible:
                    continue
                # A way that goes on began earlier than one that begins here: the later beginning stays.
                if not fresh[other] or (fresh_began[other] < start):
                    fresh_began[other] = start
                fresh[other] = True
            done = -1
            for position in range(n):
                active[position] = fresh[position]
                began[position] = fresh_began[position]
                if fresh[position]:
                    taken[position] = now
                    seen[position] = True
                    seen_began[position] = fresh_began[position]
                    if last[position] and (done < 0 or began[done] < began[position]):
                        done = position
            before = now
            if done >= 0:
                if every or count[unit] == 0:
                    if n_found == len(found):
                        found = longer(found)
                    found[n_found, 0], found[n_found, 1], found[n_found, 2] = unit, began[done], place
                    n_found += 1
                count[unit] += 1
                for position in range(n):
                    active[position] = seen[position] = False
    return found, n_found


@kernel
def fitting(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    codes: NDArray[Any],
    missing: int,
    kind: NDArray[np.int32],
    table: NDArray[np.int32],
    settled: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which units have a match, step by step through the table, up to where it is settled.

    Units are as for `matches`; state 0 is before the virtual event, the last, −1, behind a match.
    """
    fits = np.zeros(len(low), np.bool_)
    begin, end = table[0, kind[-2]], kind[-1]
    for unit in range(len(low)):
        if low[unit] >= high[unit]:
            continue
        state = begin
        for row in range(low[unit], high[unit]):
            if settled[state]:
                break
            code = np.int64(codes[row])
            state = table[state, kind[code if code >= 0 else missing]]
        fits[unit] = table[state, end] == -1
    return fits
