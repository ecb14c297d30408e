"""What comes again: repeats, returns, back and forth, and what follows what sooner or later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EVENTS", "REPEATED", "REPEATS", "RETURNED", "RETURNS", "UNITS", "count_again"]

EVENTS, UNITS, REPEATS, REPEATED, RETURNS, RETURNED = range(6)
"""Columns: events; units that have the symbol; events right after the same symbol; units with such; runs of
the symbol after its first; units with such."""


@kernel
def count_again(
    offsets: NDArray[np.int64], codes: NDArray[Any], missing: int, n_symbols: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per symbol the columns above; three counts per ordered pair (a, b), each a table.

    These are: units in which b comes after a, sooner or later; runs a b a; units with such. b comes after a
    if its last event is later than the first of a; a comes after itself if it has two events.
    """
    counts = np.zeros((n_symbols, 6), np.int64)
    found = np.zeros((3, n_symbols, n_symbols), np.int64)
    follows, loops, looping = found[0], found[1], found[2]
    owner, place = np.full(n_symbols, -1, np.int64), np.empty(n_symbols, np.int64)
    repeated, returned = np.full(n_symbols, -1, np.int64), np.full(n_symbols, -1, np.int64)
    looped = np.full((n_symbols, n_symbols), -1, np.int64)
    some = np.empty(n_symbols, np.int64)
    first, last = np.empty(n_symbols, np.int64), np.empty(n_symbols, np.int64)
    for unit in range(len(offsets) - 1):
        n = 0
        before, earlier = np.int64(-1), np.int64(-1)
        for row in range(offsets[unit], offsets[unit + 1]):
            code = np.int64(codes[row]) if codes[row] >= 0 else np.int64(missing)
            counts[code, EVENTS] += 1
            if code == before:
                counts[code, REPEATS] += 1
                counts[code, REPEATED] += repeated[code] != unit
                repeated[code] = unit
            elif owner[code] == unit:
                counts[code, RETURNS] += 1
                counts[code, RETURNED] += returned[code] != unit
                returned[code] = unit
            else:
                counts[code, UNITS] += 1
                owner[code], place[code] = unit, n
                some[n], first[n] = code, row
                n += 1
            last[place[code]] = row
            if code != before:
                if code == earlier:
                    loops[code, before] += 1
                    if looped[code, before] != unit:
                        looped[code, before] = unit
                        looping[code, before] += 1
                earlier, before = before, code
        for one in range(n):
            behind = follows[some[one]]
            for other in range(one + 1):
                behind[some[other]] += last[other] > first[one]
            for other in range(one + 1, n):  # begins later, and so ends later
                behind[some[other]] += 1
    return counts, found
