"""Sorted tallies (different keys, and how often each was seen) merged in one sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["counted", "merged", "merged_by_group"]


@njit(nogil=True, cache=True)
def counted(ranked: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different ones of numbers that never fall, and how often each occurs."""
    keys, counts = np.empty(len(ranked), np.int64), np.empty(len(ranked), np.int64)
    n = start = 0
    for at in range(1, len(ranked) + 1):
        if at == len(ranked) or ranked[at] != ranked[start]:
            keys[n], counts[n] = ranked[start], at - start
            start = at
            n += 1
    return keys[:n].copy(), counts[:n].copy()


@njit(nogil=True, cache=True)
def merged(
    one: NDArray[np.int64],
    n_one: NDArray[np.int64],
    other: NDArray[np.int64],
    n_other: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two tallies, keys rising in each, as one: its keys and their counts."""
    size = len(one) + len(other)
    keys, counts = np.empty(size, np.int64), np.empty(size, np.int64)
    a = b = n = 0
    while a < len(one) or b < len(other):
        if b == len(other) or (a < len(one) and one[a] < other[b]):
            keys[n], counts[n] = one[a], n_one[a]
            a += 1
        elif a == len(one) or other[b] < one[a]:
            keys[n], counts[n] = other[b], n_other[b]
            b += 1
        else:
            keys[n], counts[n] = one[a], n_one[a] + n_other[b]
            a += 1
            b += 1
        n += 1
    return keys[:n].copy(), counts[:n].copy()


@njit(nogil=True, cache=True)
def merged_by_group(
    group: NDArray[np.int64],
    value: NDArray[np.int64],
    count: NDArray[np.int64],
    group_too: NDArray[np.int64],
    value_too: NDArray[np.int64],
    count_too: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The same for keys of two parts, sorted by the first, then the second."""
    size = len(value) + len(value_too)
    groups, values, counts = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    a = b = n = 0
    while a < len(value) or b < len(value_too):
        if a == len(value):
            before = 1
        elif b == len(value_too):
            before = -1
        elif group[a] != group_too[b]:
            before = -1 if group[a] < group_too[b] else 1
        elif value[a] != value_too[b]:
            before = -1 if value[a] < value_too[b] else 1
        else:
            before = 0
        if before <= 0:
            groups[n], values[n], counts[n] = group[a], value[a], count[a]
            a += 1
            if before == 0:
                counts[n] += count_too[b]
                b += 1
        else:
            groups[n], values[n], counts[n] = group_too[b], value_too[b], count_too[b]
            b += 1
        n += 1
    return groups[:n].copy(), values[:n].copy(), counts[:n].copy()
