"""Sorted tallies (different keys, and how often each was seen) merged in one sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["counted", "merged", "merged_by_group", "ranked"]


_DIGIT = 11
"""Bits by which numbers are put into order at once: as many as have their counts in the nearest cache."""


@kernel
def ranked(numbers: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Numbers from 0 to 2^bits − 1 in rising order; what they lay in is used for it.

    Digit by digit, the lowest first, each stable: no comparison, so nothing that the processor has to guess.
    """
    n_digits = (bits + _DIGIT - 1) // _DIGIT
    mask = (1 << _DIGIT) - 1
    place = np.zeros((n_digits, 1 << _DIGIT), np.int64)
    for number in numbers:
        for digit in range(n_digits):
            place[digit, (number >> (digit * _DIGIT)) & mask] += 1
    here, there = numbers, np.empty(len(numbers), np.int64)
    for digit in range(n_digits):
        start = 0
        for value in range(1 << _DIGIT):
            start += place[digit, value]
            place[digit, value] = start - place[digit, value]
        for number in here:
            value = (number >> (digit * _DIGIT)) & mask
            there[place[digit, value]] = number
            place[digit, value] += 1
        here, there = there, here
    return here


@kernel
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


@kernel
def put_together(
    one: NDArray[np.int64],
    n_one: NDArray[np.int64],
    other: NDArray[np.int64],
    n_other: NDArray[np.int64],
    keys: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Write two tallies, keys rising in each, as one; returns its length.

    Which of two keys is the smaller one nobody can foresee, so nothing depends on it but what is added.
    """
    a = b = n = 0
    while a < len(one) and b < len(other):
        mine, theirs = one[a], other[b]
        from_one, from_other = int(mine <= theirs), int(theirs <= mine)
        keys[n] = min(mine, theirs)
        counts[n] = n_one[a] * from_one + n_other[b] * from_other
        a += from_one
        b += from_other
        n += 1
    for at in range(a, len(one)):
        keys[n], counts[n] = one[at], n_one[at]
        n += 1
    for at in range(b, len(other)):
        keys[n], counts[n] = other[at], n_other[at]
        n += 1
    return n


@kernel
def merged(
    one: NDArray[np.int64],
    n_one: NDArray[np.int64],
    other: NDArray[np.int64],
    n_other: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two tallies, keys rising in each, as one: its keys and their counts."""
    size = len(one) + len(other)
    keys, counts = np.empty(size, np.int64), np.empty(size, np.int64)
    n = put_together(one, n_one, other, n_other, keys, counts)
    return keys[:n], counts[:n]


@kernel
def merged_by_group(
    group: NDArray[np.int64],
    value: NDArray[np.int64],
    count: NDArray[np.int64],
    group_too: NDArray[np.int64],
    value_too: NDArray[np.int64],
    count_too: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The same for keys of two parts, sorted by the first, then the second: group by group."""
    size = len(value) + len(value_too)
    groups, values, counts = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    a = b = n = 0
    while a < len(value) or b < len(value_too):
        mine_first = b == len(value_too) or (a < len(value) and group[a] < group_too[b])
        here = group[a] if mine_first else group_too[b]
        a_end, b_end = a, b
        while a_end < len(value) and group[a_end] == here:
            a_end += 1
        while b_end < len(value_too) and group_too[b_end] == here:
            b_end += 1
        start = n
        n += put_together(
            value[a:a_end], count[a:a_end], value_too[b:b_end], count_too[b:b_end], values[n:], counts[n:]
        )
        groups[start:n] = here
        a, b = a_end, b_end
    return groups[:n], values[:n], counts[:n]
