"""Sequences as paths: cut, hashed, grouped exactly.

Many paths lie one after the other in one flat array: path i is `flat[offsets[i]:offsets[i + 1]]`. A hash only
groups; two paths are the same if their symbols are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "add_up",
    "by_path",
    "cut_paths",
    "first_places",
    "gather_durations",
    "gather_paths",
    "group_paths",
    "settle_collisions",
]

_SEED = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
# Indexes without a sign need no look at whether they count from the end: twice as fast in the inner loops.
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@kernel
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


@kernel
def _same(flat: NDArray[Any], offsets: NDArray[np.int64], one: int, other: int) -> bool:
    start, other_start = np.uint64(offsets[one]), np.uint64(offsets[other])
    length = np.uint64(offsets[one + 1]) - start
    if np.uint64(offsets[other + 1]) - other_start != length:
        return False
    at = _ZERO
    while at < length:
        if flat[start + at] != flat[other_start + at]:
            return False
        at += _ONE
    return True


@kernel
def _before(flat: NDArray[Any], offsets: NDArray[np.int64], one: int, other: int) -> bool:
    """The fixed order of paths with equal hashes: the shorter first, then by symbols."""
    length = offsets[one + 1] - offsets[one]
    other_length = offsets[other + 1] - offsets[other]
    if length != other_length:
        return bool(length < other_length)
    start, other_start = offsets[one], offsets[other]
    for at in range(length):
        if flat[start + at] != flat[other_start + at]:
            return bool(flat[start + at] < flat[other_start + at])
    return False


@kernel
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
                if group[like] == group[unit] and _same(flat, offsets, unit, like):
                    number[unit] = known
                    break
            slot = (slot + _ONE) & wrap
    return number, example[:n_found].copy()


@kernel
def settle_collisions(
    order: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    group: NDArray[np.int32],
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
) -> None:
    """Bring paths with equal group and hash, which are neighbours in `order`, into their fixed order.

    `hashes` and `group` are in that order, too.
    """
    for at in range(1, len(order)):
        one = order[at]
        place = at
        while place > 0 and hashes[place - 1] == hashes[at] and group[place - 1] == group[at]:
            if not _before(flat, offsets, one, order[place - 1]):
                break
            order[place] = order[place - 1]
            place -= 1
        order[place] = one


@kernel
def first_places(
    order: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    group: NDArray[np.int32],
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Where in `order` each different path begins, after `settle_collisions`; then the end."""
    places = np.empty(len(order) + 1, dtype=np.int64)
    n_found = 0
    for at in range(len(order)):
        same = at > 0 and hashes[at] == hashes[at - 1] and group[at] == group[at - 1]
        if not (same and _same(flat, offsets, order[at], order[at - 1])):
            places[n_found] = at
            n_found += 1
    places[n_found] = len(order)
    return places[: n_found + 1].copy()


@kernel
def add_up(
    order: NDArray[np.int64], places: NDArray[np.int64], column: NDArray[np.signedinteger[Any]]
) -> NDArray[np.int64]:
    """Sums over the rows of each path, which are `order[places[i]:places[i + 1]]`."""
    total = np.zeros(len(places) - 1, dtype=np.int64)
    for path in range(len(total)):
        for at in range(places[path], places[path + 1]):
            total[path] += column[np.uint64(order[at])]
    return total


@kernel
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


@kernel
def by_path(
    number: NDArray[np.int32], counts: NDArray[np.signedinteger[Any]], durations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Durations of the units, those of path 0 first."""
    place = np.zeros(len(counts), dtype=np.int64)
    for path in range(1, len(counts)):
        place[path] = place[path - 1] + counts[path - 1]
    arranged = np.empty(len(durations), dtype=np.int64)
    for unit in range(len(number)):
        path = number[unit]
        arranged[place[path]] = durations[unit]
        place[path] += 1
    return arranged


_FEW = 32
"""So many durations of a path are sorted where they are written, more by NumPy."""


def gather_durations(
    paths: NDArray[np.int64],
    order: NDArray[np.int64],
    places: NDArray[np.int64],
    durations: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The durations of some paths, ascending within each, and their offsets.

    Path p is the rows `order[places[p]:places[p + 1]]`; row r has `durations[offsets[r]:offsets[r + 1]]`.
    """
    gathered, ends = _gather_durations(paths, order, places, durations, offsets)
    for at in np.flatnonzero(np.diff(ends) > _FEW):
        gathered[ends[at] : ends[at + 1]].sort()
    return gathered, ends


@kernel
def _gather_durations(
    paths: NDArray[np.int64],
    order: NDArray[np.int64],
    places: NDArray[np.int64],
    durations: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What `gather_durations` tells, ascending within a path that has few."""
    ends = np.zeros(len(paths) + 1, dtype=np.int64)
    for at in range(len(paths)):
        ends[at + 1] = ends[at]
        for place in range(places[paths[at]], places[paths[at] + 1]):
            ends[at + 1] += offsets[order[place] + 1] - offsets[order[place]]
    gathered = np.empty(ends[-1], dtype=np.int64)
    end = 0
    for at in range(len(paths)):
        few = ends[at + 1] - ends[at] <= _FEW
        for place in range(places[paths[at]], places[paths[at] + 1]):
            for one in range(offsets[order[place]], offsets[order[place] + 1]):
                free = end
                while few and free > ends[at] and gathered[free - 1] > durations[one]:
                    gathered[free] = gathered[free - 1]
                    free -= 1
                gathered[free] = durations[one]
                end += 1
    return gathered, ends
