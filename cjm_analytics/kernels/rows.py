"""Rows of whole numbers: which are different, how often each occurs and in how many units; and their sums.

A row is a short sequence of codes: a run of symbols, the last steps of a way. A hash only finds the place
of a row in a table; two rows are the same if all their numbers are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["in_order", "longer", "merged", "summed", "tally"]

_SEED = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


@kernel
def longer(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Room for twice as many rows, those that are there copied."""
    n, width = found.shape
    twice = np.empty((2 * n, width), np.int64)
    for row in range(n):
        for column in range(width):
            twice[row, column] = found[row, column]
    return twice


def tally(
    rows: NDArray[np.int32], unit: NDArray[np.int32], marked: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each different row stands first, and its counts: occurrences, units that have it, marked units.

    The rows of a unit stand next to one another.
    """
    known, found = _tally(rows, unit, marked)
    return known[:found, 1].copy(), known[:found, 3:].copy()


@kernel
def _tally(
    rows: NDArray[np.int32], unit: NDArray[np.int32], marked: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], int]:
    """What is known of each row: hash, where it stands first, its last unit, three counts; how many rows."""
    n, width = rows.shape
    room = 512
    while room < n // 8:
        room *= 2
    table = np.full(2 * room, -1, np.int32)
    # What is known of a row lies side by side, so that a look at it is one way to memory.
    known = np.empty((room, 6), np.int64)
    found = 0
    for row in range(n):
        value = _SEED
        for column in range(width):
            value = (value ^ np.uint64(rows[row, column] + 2)) * _FACTOR
            value ^= value >> _SHIFT
        hashed = np.int64(value)
        place = hashed & (len(table) - 1)
        while table[place] >= 0:
            number = table[place]
            if known[number, 0] == hashed:
                at, same = known[number, 1], True
                for column in range(width):
                    if rows[at, column] != rows[row, column]:
                        same = False
                        break
                if same:
                    break
            place = (place + 1) & (len(table) - 1)
        if table[place] < 0:
            if found == room:
                room *= 2
                known = longer(known)
                table = np.full(2 * room, -1, np.int32)
                for one in range(found):
                    place = known[one, 0] & (len(table) - 1)
                    while table[place] >= 0:
                        place = (place + 1) & (len(table) - 1)
                    table[place] = one
                place = hashed & (len(table) - 1)
                while table[place] >= 0:
                    place = (place + 1) & (len(table) - 1)
            table[place] = found
            known[found, 0], known[found, 1], known[found, 2] = hashed, row, -1
            known[found, 3] = known[found, 4] = known[found, 5] = 0
            found += 1
        number = table[place]
        known[number, 3] += 1
        if known[number, 2] != unit[row]:
            known[number, 2] = unit[row]
            known[number, 4] += 1
            known[number, 5] += marked[unit[row]]
    return known, found


def merged(
    one: NDArray[np.int32],
    n_one: NDArray[np.int64],
    other: NDArray[np.int32],
    n_other: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Different rows in order, with their counts, of two such lists: as one list, counts added."""
    size = len(one) + len(other)
    rows, counts = np.empty((size, one.shape[1]), np.int32), np.empty((size, n_one.shape[1]), np.int64)
    n = _merged(one, n_one, other, n_other, rows, counts)
    return rows[:n].copy(), counts[:n].copy()


@kernel
def _merged(
    one: NDArray[np.int32],
    n_one: NDArray[np.int64],
    other: NDArray[np.int32],
    n_other: NDArray[np.int64],
    rows: NDArray[np.int32],
    counts: NDArray[np.int64],
) -> int:
    """Write what `merged` finds into `rows` and `counts`; returns how many rows there are."""
    width, kinds = one.shape[1], n_one.shape[1]
    a = b = n = 0
    while a < len(one) or b < len(other):
        before = 0
        if a == len(one):
            before = 1
        elif b == len(other):
            before = -1
        else:
            for column in range(width):
                if one[a, column] != other[b, column]:
                    before = -1 if one[a, column] < other[b, column] else 1
                    break
        for column in range(width):
            rows[n, column] = one[a, column] if before <= 0 else other[b, column]
        for kind in range(kinds):
            counts[n, kind] = (n_one[a, kind] if before <= 0 else 0) + (
                n_other[b, kind] if before >= 0 else 0
            )
        a += before <= 0
        b += before >= 0
        n += 1
    return n


def summed(rows: NDArray[np.int32], counts: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows in order, with their counts: those that are the same as one."""
    another = np.ones(len(rows), np.bool_)
    another[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    if another.all():
        return rows, counts
    first = np.flatnonzero(another)
    return rows[first], np.add.reduceat(counts, first, axis=0)


def in_order(rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """The order of rows by their first number, then the second, and so on; no number is below −1."""
    widths = [int(width) + 2 for width in rows.max(axis=0, initial=0)]
    key, size = np.zeros(len(rows), np.int64), 1
    for column, width in enumerate(widths):
        if size > np.iinfo(np.int64).max // width:  # too large for one number
            return np.lexsort(rows.T[::-1])
        key = key * width + rows[:, column] + 1
        size *= width
    return np.argsort(key)
