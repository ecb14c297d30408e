"""Sequences as paths: cut, hashed, grouped exactly, merged.

Many paths lie one after the other in one flat array: path i is `flat[offsets[i]:offsets[i + 1]]`. A hash only
groups; two paths are the same if their symbols are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from cjm_analytics.kernels.inner import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "cut_paths",
    "gather_paths",
    "group_paths",
    "match_paths",
    "merge_counts",
    "merge_durations",
    "merge_paths",
    "settle_collisions",
    "sorted_by_path",
]

_SEED = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
# Indexes without a sign need no look at whether they count from the end: twice as fast in the inner loops.
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@njit(nogil=True, cache=True)
def cut_paths(
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    missing: int,
    collapse: bool,
    longest: int,
    more: int,
    hash_bits: np.uint64,
    flat: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The path of each unit into `flat`; returns the paths' offsets and hashes.

    A code below 0 is `missing`; with `collapse` a symbol that directly follows itself is left out; a path of
    more than `longest` symbols (0: any length is fine) is cut there and ends with `more`. `flat` has room for
    all events and one symbol per unit. Only the bits of a hash that `hash_bits` has are kept.
    """
    n_units = len(offsets) - 1
    path_offsets = np.zeros(n_units + 1, dtype=np.int64)
    hashes = np.empty(n_units, dtype=np.uint64)
    end = 0
    for unit in range(n_units):
        length = 0
        last = -1
        value = _SEED
        for row in range(offsets[unit], offsets[unit + 1]):
            symbol = codes[row] if codes[row] >= 0 else missing
            if collapse and symbol == last:
                continue
            cut = length == longest and longest > 0
            flat[end] = more if cut else symbol
            value = (value ^ np.uint64(flat[end] + 1)) * _FACTOR
            value ^= value >> _SHIFT
            end += 1
            if cut:
                break
            length += 1
            last = int(symbol)
        path_offsets[unit + 1] = end
        hashes[unit] = value & hash_bits
    return path_offsets, hashes


@inner
def _same(
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    one: int,
    others: NDArray[Any],
    other_offsets: NDArray[np.int64],
    other: int,
) -> bool:
    start, other_start = np.uint64(offsets[one]), np.uint64(other_offsets[other])
    length = np.uint64(offsets[one + 1]) - start
    if np.uint64(other_offsets[other + 1]) - other_start != length:
        return False
    at = _ZERO
    while at < length:
        if flat[start + at] != others[other_start + at]:
            return False
        at += _ONE
    return True


@inner
def _before(
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    one: int,
    others: NDArray[Any],
    other_offsets: NDArray[np.int64],
    other: int,
) -> bool:
    """The fixed order of paths with equal hashes: the shorter first, then by symbols."""
    length = offsets[one + 1] - offsets[one]
    other_length = other_offsets[other + 1] - other_offsets[other]
    if length != other_length:
        return bool(length < other_length)
    start, other_start = offsets[one], other_offsets[other]
    for at in range(length):
        if flat[start + at] != others[other_start + at]:
            return bool(flat[start + at] < others[other_start + at])
    return False


@njit(nogil=True, cache=True)
def group_paths(
    flat: NDArray[Any], offsets: NDArray[np.int64], hashes: NDArray[np.uint64], group: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the different (group, path) pairs: the number of each unit, and one unit of each number.

    A table with open addressing, at least twice as large as there are units. It keeps the hashes beside the
    numbers, so that only equal hashes look at the paths themselves.
    """
    n_units = len(hashes)
    size = 16
    while size < 2 * n_units:
        size *= 2
    table = np.full(size, -1, dtype=np.int32)
    table_hash = np.empty(size, dtype=np.uint64)
    wrap = np.uint64(size - 1)
    number = np.empty(n_units, dtype=np.int32)
    example = np.empty(n_units, dtype=np.int64)
    n_found = 0
    for unit in range(n_units):
        own = hashes[unit]
        slot = ((own ^ (np.uint64(group[unit]) * _SEED)) * _FACTOR >> _SHIFT) & wrap
        while True:
            known = table[slot]
            if known < 0:
                table[slot] = n_found
                table_hash[slot] = own
                example[n_found] = unit
                number[unit] = n_found
                n_found += 1
                break
            if table_hash[slot] == own:
                like = example[known]
                if group[like] == group[unit] and _same(flat, offsets, unit, flat, offsets, like):
                    number[unit] = known
                    break
            slot = (slot + _ONE) & wrap
    return number, example[:n_found].copy()


@njit(nogil=True, cache=True)
def settle_collisions(
    example: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    group: NDArray[np.int32],
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
) -> None:
    """Bring paths with equal group and hash, which are neighbours, into their fixed order.

    `hashes` and `group` belong to `example`, one unit for each path.
    """
    for at in range(1, len(example)):
        one = example[at]
        place = at
        while place > 0 and hashes[place - 1] == hashes[at] and group[place - 1] == group[at]:
            if not _before(flat, offsets, one, flat, offsets, example[place - 1]):
                break
            example[place] = example[place - 1]
            place -= 1
        example[place] = one


@njit(nogil=True, cache=True)
def gather_paths(
    flat: NDArray[Any], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The runs of `lengths` symbols at `starts`, one after the other, and their offsets."""
    n_paths = len(starts)
    offsets = np.zeros(n_paths + 1, dtype=np.int64)
    for path in range(n_paths):
        offsets[path + 1] = offsets[path] + lengths[path]
    gathered = np.empty(offsets[n_paths], dtype=flat.dtype)
    for path in range(n_paths):
        start, new_start, length = np.uint64(starts[path]), np.uint64(offsets[path]), np.uint64(lengths[path])
        at = _ZERO
        while at < length:
            gathered[new_start + at] = flat[start + at]
            at += _ONE
    return gathered, offsets


_FEW = 32
"""So many durations of a path are sorted where they are written, more by NumPy."""


def sorted_by_path(
    number: NDArray[np.int32], counts: NDArray[np.int64], durations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Durations of the units, those of path 0 first; ascending within a path."""
    ends = np.cumsum(counts)
    arranged = _by_path(number, counts, ends - counts, durations)
    for path in np.flatnonzero(counts > _FEW):
        arranged[ends[path] - counts[path] : ends[path]].sort()
    return arranged


@njit(nogil=True, cache=True)
def _by_path(
    number: NDArray[np.int32],
    counts: NDArray[np.int64],
    starts: NDArray[np.int64],
    durations: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Durations of the units, those of path 0 first; ascending within a path that has few."""
    arranged = np.empty(len(durations), dtype=np.int64)
    placed = np.zeros(len(counts), dtype=np.int64)
    for unit in range(len(number)):
        path, this = number[unit], durations[unit]
        start = starts[path]
        at = start + placed[path]
        placed[path] += 1
        if counts[path] <= _FEW:
            while at > start and arranged[at - 1] > this:
                arranged[at] = arranged[at - 1]
                at -= 1
        arranged[at] = this
    return arranged


@njit(nogil=True, cache=True)
def match_paths(
    starts: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    other_starts: NDArray[np.int64],
    other_hashes: NDArray[np.uint64],
    other_flat: NDArray[Any],
    other_offsets: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Merge two sorted sets of paths: for each path of the union its place on either side, −1 for none.

    Both have the same groups, group g being the paths `starts[g]:starts[g + 1]`; returned are the starts of
    the union, then the places.
    """
    room = len(hashes) + len(other_hashes)
    here = np.empty(room, dtype=np.int64)
    there = np.empty(room, dtype=np.int64)
    n_groups = len(starts) - 1
    new_starts = np.zeros(n_groups + 1, dtype=np.int64)
    n_paths = 0
    for group in range(n_groups):
        one, last = starts[group], starts[group + 1]
        other, other_last = other_starts[group], other_starts[group + 1]
        while one < last or other < other_last:
            first = one < last
            second = other < other_last
            if first and second:
                if hashes[one] != other_hashes[other]:
                    first = hashes[one] < other_hashes[other]
                    second = not first
                elif not _same(flat, offsets, one, other_flat, other_offsets, other):
                    first = _before(flat, offsets, one, other_flat, other_offsets, other)
                    second = not first
            here[n_paths] = one if first else -1
            there[n_paths] = other if second else -1
            one += first
            other += second
            n_paths += 1
        new_starts[group + 1] = n_paths
    return new_starts, here[:n_paths].copy(), there[:n_paths].copy()


@njit(nogil=True, cache=True)
def merge_paths(
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    other_flat: NDArray[Any],
    other_offsets: NDArray[np.int64],
    other_hashes: NDArray[np.uint64],
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.uint64]]:
    """Symbols, offsets and hashes of the union of paths that `match_paths` found."""
    n_paths = len(here)
    merged_offsets = np.zeros(n_paths + 1, dtype=np.int64)
    merged_hashes = np.empty(n_paths, dtype=np.uint64)
    for path in range(n_paths):
        one, other = here[path], there[path]
        if one >= 0:
            length = offsets[one + 1] - offsets[one]
            merged_hashes[path] = hashes[one]
        else:
            length = other_offsets[other + 1] - other_offsets[other]
            merged_hashes[path] = other_hashes[other]
        merged_offsets[path + 1] = merged_offsets[path] + length
    merged = np.empty(merged_offsets[n_paths], dtype=flat.dtype)
    for path in range(n_paths):
        new_start = np.uint64(merged_offsets[path])
        length = np.uint64(merged_offsets[path + 1]) - new_start
        at = _ZERO
        if here[path] >= 0:
            start = np.uint64(offsets[here[path]])
            while at < length:
                merged[new_start + at] = flat[start + at]
                at += _ONE
        else:
            start = np.uint64(other_offsets[there[path]])
            while at < length:
                merged[new_start + at] = other_flat[start + at]
                at += _ONE
    return merged, merged_offsets, merged_hashes


@njit(nogil=True, cache=True)
def merge_counts(
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    counts: NDArray[np.int64],
    other_counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Sums over the union of paths that `match_paths` found."""
    total = np.zeros(len(here), dtype=np.int64)
    for path in range(len(here)):
        if here[path] >= 0:
            total[path] += counts[here[path]]
        if there[path] >= 0:
            total[path] += other_counts[there[path]]
    return total


@njit(nogil=True, cache=True)
def merge_durations(
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    counts: NDArray[np.int64],
    durations: NDArray[np.int64],
    other_counts: NDArray[np.int64],
    other_durations: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Durations over the union of paths, ascending within each; both sides are used up in order."""
    total = np.empty(len(durations) + len(other_durations), dtype=np.int64)
    one = 0
    other = 0
    at = 0
    for path in range(len(here)):
        last = one + (counts[here[path]] if here[path] >= 0 else 0)
        other_last = other + (other_counts[there[path]] if there[path] >= 0 else 0)
        while one < last or other < other_last:
            if other == other_last or (one < last and durations[one] <= other_durations[other]):
                total[at] = durations[one]
                one += 1
            else:
                total[at] = other_durations[other]
                other += 1
            at += 1
    return total
