"""Directly following pairs: counted, and their times put into buckets.

A transition is a number: (group · width + source) · width + target, where width is the number of symbols
plus two: the last two are the nodes before the first and after the last event of a unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "bucket_hints",
    "bucket_times",
    "count_transitions",
    "list_times",
    "list_transitions",
    "merge_tallies",
    "more_times_than",
]

_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_ONE = np.uint64(1)
# The first 8 bits of a float's mantissa and its exponent say in which bucket a number lies, or just before.
_KEPT_BITS = 44
_FIRST = 1023 << 8


_BLOCK = 4096
"""So many events at once: what is worked out about them stays in the fastest cache."""


@kernel
def count_transitions(
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    group: NDArray[np.int32],
    missing: int,
    collapse: bool,
    n_symbols: int,
    n_groups: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each transition occurs, and in how many units: one place per possible transition.

    A code below 0 is `missing`; with `collapse` a symbol that directly follows itself is no transition. No
    unit is empty. Where units begin and end nobody can foresee: so nothing branches on it, entries are
    counted with the pairs and exits after them.
    """
    width = n_symbols + 2
    n_units = len(offsets) - 1
    counts = np.zeros(n_groups * width * width, dtype=np.int64)
    units = np.zeros(n_groups * width * width, dtype=np.int64)
    seen_in = np.full(n_groups * width * width, -1, dtype=np.int32)
    begins = np.zeros(len(codes), dtype=np.bool_)
    for unit in range(n_units):
        begins[np.uint64(offsets[unit])] = True
    pairs = np.empty(_BLOCK, dtype=np.int32)
    before = codes[:1]
    unit = -1
    for low in range(0, len(codes), _BLOCK):
        block = codes[low : low + _BLOCK]
        first = begins[low : low + _BLOCK]
        _pair_up(before, block[:1], first, missing, n_symbols, pairs)
        _pair_up(block[:-1], block[1:], first[1:], missing, n_symbols, pairs[1:])
        unit = _count(pairs[: len(block)], first, unit, group, n_groups > 1, width, counts, units, seen_in)
        before = block[-1:]
    for unit in range(n_units):
        code = np.int64(codes[np.uint64(offsets[unit + 1]) - _ONE])
        source = group[unit] * width + (code if code >= 0 else missing)
        counts[np.uint64(source * width + n_symbols + 1)] += 1
        units[np.uint64(source * width + n_symbols + 1)] += 1
    if collapse:
        for source in range(n_groups * width):
            counts[source * width + source % width] = 0
            units[source * width + source % width] = 0
    return counts, units


@kernel
def _pair_up(
    before: NDArray[Any],
    codes: NDArray[Any],
    begins: NDArray[np.bool_],
    missing: int,
    n_symbols: int,
    pairs: NDArray[np.int32],
) -> None:
    """The transition to each event, its group apart: several at once, by the processor's wide registers."""
    width, start, nameless = np.int32(n_symbols + 2), np.int32(n_symbols), np.int32(missing)
    for at in range(len(codes)):
        source, target = np.int32(before[at]), np.int32(codes[at])
        source = source if source >= 0 else nameless
        source = start if begins[at] else source
        pairs[at] = source * width + (target if target >= 0 else nameless)


@kernel
def _count(
    pairs: NDArray[np.int32],
    begins: NDArray[np.bool_],
    unit: int,
    group: NDArray[np.int32],
    grouped: bool,
    width: int,
    counts: NDArray[np.int64],
    units: NDArray[np.int64],
    seen_in: NDArray[np.int32],
) -> int:
    """Count the transitions to some events, which come after `unit`; returns the unit of the last one.

    Whether a unit has been here before is added, not branched on.
    """
    for at in range(len(pairs)):
        unit += begins[at]
        pair = np.int64(pairs[at])
        place = np.uint64(group[np.uint64(unit)] * width * width + pair if grouped else pair)
        counts[place] += 1
        units[place] += seen_in[place] != unit
        seen_in[place] = unit
    return unit


@kernel
def list_transitions(
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    group: NDArray[np.int32],
    missing: int,
    collapse: bool,
    n_symbols: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every transition, its unit, and the row of its target (−1 at the end of a unit), unit by unit."""
    width = np.int64(n_symbols + 2)
    n_units = len(offsets) - 1
    keys = np.empty(len(codes) + n_units, dtype=np.int64)
    units = np.empty(len(keys), dtype=np.int64)
    rows = np.empty(len(keys), dtype=np.int64)
    n_found = 0
    for unit in range(n_units):
        source = n_symbols
        for row in range(offsets[unit], offsets[unit + 1] + 1):
            if row == offsets[unit + 1]:
                target = n_symbols + 1
            else:
                target = codes[row] if codes[row] >= 0 else missing
                if collapse and target == source:
                    continue
            keys[n_found] = (group[unit] * width + source) * width + target
            units[n_found] = unit
            rows[n_found] = row if row < offsets[unit + 1] and row > offsets[unit] else -1
            n_found += 1
            source = target
    return keys[:n_found], units[:n_found], rows[:n_found]


@kernel
def _transition(codes: NDArray[Any], row: int, missing: int, collapse: bool, width: int) -> int:
    """The transition to the event in `row` from the one before, its group apart; −1 if collapsed."""
    source = codes[row - 1] if codes[row - 1] >= 0 else missing
    target = codes[row] if codes[row] >= 0 else missing
    return -1 if collapse and target == source else source * width + target


@kernel
def list_times(
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    group: NDArray[np.int32],
    time: NDArray[np.int64],
    missing: int,
    collapse: bool,
    n_symbols: int,
    number: NDArray[np.int32],
    n_times: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The time of every transition between two events, and its place in `number`; there are `n_times`."""
    width = n_symbols + 2
    pair = np.empty(n_times, dtype=np.int64)
    length = np.empty(n_times, dtype=np.int64)
    n_found = 0
    for unit in range(len(offsets) - 1):
        first = group[unit] * width * width
        for row in range(offsets[unit] + 1, offsets[unit + 1]):
            key = _transition(codes, row, missing, collapse, width)
            if key < 0:
                continue
            pair[n_found] = number[first + key]
            length[n_found] = time[row] - time[row - 1]
            n_found += 1
    return pair, length


@kernel
def more_times_than(
    limit: int,
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    group: NDArray[np.int32],
    time: NDArray[np.int64],
    missing: int,
    collapse: bool,
    n_symbols: int,
) -> bool:
    """Whether there are more than `limit` different (transition, time) pairs; it stops looking when sure."""
    width = n_symbols + 2
    size = 16
    while size < 4 * limit:
        size *= 2
    wrap = np.uint64(size - 1)
    # A pair is kept as two numbers; an unused place has a transition that cannot be.
    transitions = np.full(size, -1, dtype=np.int64)
    lengths = np.empty(size, dtype=np.int64)
    n_different = 0
    for unit in range(len(offsets) - 1):
        first = np.int64(group[unit]) * width * width
        for row in range(offsets[unit] + 1, offsets[unit + 1]):
            pair = _transition(codes, row, missing, collapse, width)
            if pair < 0:
                continue
            key = first + pair
            length = time[row] - time[row - 1]
            mixed = (np.uint64(key) * _FACTOR ^ np.uint64(length)) * _FACTOR
            slot = (mixed >> np.uint64(32)) & wrap
            while transitions[slot] >= 0 and (transitions[slot] != key or lengths[slot] != length):
                slot = (slot + _ONE) & wrap
            if transitions[slot] < 0:
                n_different += 1
                if n_different > limit:
                    return True
                transitions[slot] = key
                lengths[slot] = length
    return False


def bucket_times(
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    group: NDArray[np.int32],
    time: NDArray[np.int64],
    missing: int,
    collapse: bool,
    n_symbols: int,
    number: NDArray[np.int32],
    counts: NDArray[np.int64],
    ends: NDArray[np.int64],
    nearby: NDArray[np.int32],
    step: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How many times of each transition lie in each bucket: transition, bucket, count, sorted.

    `number` gives a possible transition its place among those that occur, `counts` how often those occur
    between two events. Bucket 0 is for no time at all, bucket i + 1 for those above `ends[i - 1]` and up to
    `ends[i]`; `nearby` is `bucket_hints(ends)`. Of every `step` buckets all fall into the middle one.
    """
    n_buckets = len(ends) // step + 2
    found = np.empty((3, min(int(counts.sum()), len(counts) * n_buckets)), dtype=np.int64)
    n_found = _bucket_times(
        offsets, codes, group, time, missing, collapse, n_symbols, number, counts, ends, nearby, step, found
    )
    pair, bucket, count = found[:, :n_found].copy()
    return pair, bucket, count


@kernel
def _bucket_times(
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    group: NDArray[np.int32],
    time: NDArray[np.int64],
    missing: int,
    collapse: bool,
    n_symbols: int,
    number: NDArray[np.int32],
    counts: NDArray[np.int64],
    ends: NDArray[np.int64],
    nearby: NDArray[np.int32],
    step: int,
    found: NDArray[np.int64],
) -> int:
    """Write what `bucket_times` finds into `found`; returns how much it is."""
    width = n_symbols + 2
    n_pairs = len(counts)
    place = np.zeros(n_pairs + 1, dtype=np.int64)
    for pair in range(n_pairs):
        place[pair + 1] = place[pair] + counts[pair]
    starts = place.copy()
    buckets = np.empty(place[n_pairs], dtype=np.int16)
    for unit in range(len(offsets) - 1):
        first = group[unit] * width * width
        for row in range(offsets[unit] + 1, offsets[unit + 1]):
            key = _transition(codes, row, missing, collapse, width)
            if key < 0:
                continue
            pair = number[np.uint64(first + key)]
            length = time[row] - time[row - 1]
            bucket = 0
            if length > 0:
                hint = (np.float64(length).view(np.int64) >> _KEPT_BITS) - _FIRST
                at = nearby[np.uint64(hint)]
                # One bucket further at most, but for rounding: without a branch that nobody could foresee.
                at += ends[np.uint64(at)] < length
                while ends[np.uint64(at)] < length:
                    at += 1
                bucket = at // step + 1
            buckets[np.uint64(place[pair])] = bucket
            place[pair] += 1
    tally = np.zeros(len(ends) // step + 2, dtype=np.int64)
    n_found = 0
    for pair in range(n_pairs):
        lowest, highest = len(tally), -1
        for at in range(starts[pair], starts[pair + 1]):
            bucket = buckets[at]
            tally[bucket] += 1
            lowest = min(lowest, bucket)
            highest = max(highest, bucket)
        for bucket in range(lowest, highest + 1):
            if tally[bucket]:
                found[0, n_found] = pair
                found[1, n_found] = (bucket - 1) * step + step // 2 + 1 if bucket else 0
                found[2, n_found] = tally[bucket]
                n_found += 1
                tally[bucket] = 0
    return n_found


@kernel
def merge_tallies(
    group: NDArray[np.int64],
    value: NDArray[np.int64],
    count: NDArray[np.int64],
    other_group: NDArray[np.int64],
    other_value: NDArray[np.int64],
    other_count: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Two tallies, sorted by group and value, as one; what is in both has the sum of the counts."""
    room = len(group) + len(other_group)
    merged = np.empty((3, room), dtype=np.int64)
    one = 0
    other = 0
    n_merged = 0
    while one < len(group) or other < len(other_group):
        first = one < len(group)
        second = other < len(other_group)
        if first and second:
            if group[one] != other_group[other]:
                first = group[one] < other_group[other]
                second = not first
            elif value[one] != other_value[other]:
                first = value[one] < other_value[other]
                second = not first
        merged[0, n_merged] = group[one] if first else other_group[other]
        merged[1, n_merged] = value[one] if first else other_value[other]
        merged[2, n_merged] = (count[one] if first else 0) + (other_count[other] if second else 0)
        one += first
        other += second
        n_merged += 1
    return merged[0, :n_merged].copy(), merged[1, :n_merged].copy(), merged[2, :n_merged].copy()


def bucket_hints(ends: NDArray[np.int64]) -> NDArray[np.int32]:
    """For the first bits of a positive number the first bucket that it can be in."""
    bits = (np.arange(64 << 8, dtype=np.int64) + _FIRST) << _KEPT_BITS
    least = bits.view(np.float64)
    # A large number may round up when it becomes a float: its bucket may begin one float below.
    below = np.floor(np.nextafter(least, 0))
    return np.searchsorted(ends, np.minimum(below, 2.0**62).astype(np.int64)).astype(np.int32)
