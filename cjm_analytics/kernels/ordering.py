"""Hashing texts and putting events in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hash_texts", "order_by_bin", "sort_events", "telling_words"]

_SHORT = 24
"""Runs of so many events are sorted by insertion, longer ones are merged of them."""


@kernel
def hash_texts(offsets: NDArray[np.integer[Any]], data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A hash of each text `data[offsets[i]:offsets[i + 1]]`, the same on every machine and in every run.

    Eight bytes at a time are mixed in by a multiplication and a fold, and the length at the end; the bits of
    the result are spread well enough to choose buckets by the upper ones.
    """
    n = len(offsets) - 1
    hashes = np.empty(n, dtype=np.uint64)
    first = np.uint64(0x9E3779B97F4A7C15)
    second = np.uint64(0xD6E8FEB86659FD93)
    half = np.uint64(32)
    byte = np.uint64(8)
    for text in range(n):
        state = first
        at, end = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        while at + byte <= end:
            word = np.uint64(0)
            for place in range(8):
                word = (word << byte) | np.uint64(data[at + np.uint64(place)])
            state = (state ^ word) * second
            state ^= state >> half
            at += byte
        word = np.uint64(0)
        while at < end:
            word = (word << byte) | np.uint64(data[at])
            at += np.uint64(1)
        state = (state ^ word) * second
        state ^= state >> half
        state = (state ^ (end - np.uint64(offsets[text]))) * first
        state ^= state >> half
        state *= second
        hashes[text] = state ^ (state >> half)
    return hashes


@kernel
def telling_words(offsets: NDArray[np.integer[Any]], data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """As a number the eight bytes of each text behind what all begin with; zeros where the text ends."""
    n = len(offsets) - 1
    shared = offsets[1] - offsets[0] if n else 0
    for text in range(1, n):
        length = min(shared, offsets[text + 1] - offsets[text])
        shared = 0
        while shared < length and data[offsets[text] + shared] == data[offsets[0] + shared]:
            shared += 1
    words = np.zeros(n, dtype=np.uint64)
    for text in range(n):
        start = offsets[text] + shared
        for at in range(start, start + 8):
            byte = np.uint64(data[at]) if at < offsets[text + 1] else np.uint64(0)
            words[text] = (words[text] << np.uint64(8)) | byte
    return words


@kernel
def order_by_bin(bins: NDArray[np.uint16], n_bins: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows in order of their bins, stable, and where each bin begins and ends in that order."""
    bounds = np.zeros(n_bins + 1, dtype=np.int64)
    for row in range(len(bins)):
        bounds[bins[row] + 1] += 1
    for one in range(n_bins):
        bounds[one + 1] += bounds[one]
    place = bounds[:-1].copy()
    order = np.empty(len(bins), dtype=np.int32)
    for row in range(len(bins)):
        order[place[bins[row]]] = row
        place[bins[row]] += 1
    return order, bounds


@kernel
def sort_events(
    customer: NDArray[np.int32], n_customers: int, time: NDArray[np.int64], seq: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows in order of customer, time and seq, stable; the offsets of the customers in that order.

    Besides, per row in order, whether it has customer and time of the row before, and whether also its seq.
    """
    offsets = np.zeros(n_customers + 1, dtype=np.int64)
    for row in range(len(customer)):
        offsets[customer[row] + 1] += 1
    for one in range(n_customers):
        offsets[one + 1] += offsets[one]
    place = offsets[:-1].copy()
    order = np.empty(len(customer), dtype=np.int32)
    for row in range(len(customer)):
        order[place[customer[row]]] = row
        place[customer[row]] += 1
    at_once = np.zeros(len(customer), dtype=np.bool_)
    tied = np.zeros(len(customer), dtype=np.bool_)
    for one in range(n_customers):
        start, end = offsets[one], offsets[one + 1]
        if not _is_sorted(order[start:end], time, seq):
            _sort(order[start:end], time, seq)
        for at in range(start + 1, end):
            before, this = order[at - 1], order[at]
            if time[before] == time[this]:
                at_once[at] = True
                tied[at] = seq[before] == seq[this]
    return order, offsets, at_once, tied


@kernel
def _is_before(one: int, other: int, time: NDArray[np.int64], seq: NDArray[np.int64]) -> bool:
    if time[one] != time[other]:
        return bool(time[one] < time[other])
    return bool(seq[one] < seq[other])


@kernel
def _is_sorted(rows: NDArray[np.int32], time: NDArray[np.int64], seq: NDArray[np.int64]) -> bool:
    for at in range(1, len(rows)):  # noqa: SIM110 - a kernel has loops
        if _is_before(rows[at], rows[at - 1], time, seq):
            return False
    return True


@kernel
def _sort(rows: NDArray[np.int32], time: NDArray[np.int64], seq: NDArray[np.int64]) -> None:
    """Short runs by insertion, which are merged until one is left; in place and stable."""
    n = len(rows)
    for start in range(0, n, _SHORT):
        for at in range(start + 1, min(start + _SHORT, n)):
            this, to = rows[at], at
            while to > start and _is_before(this, rows[to - 1], time, seq):
                rows[to] = rows[to - 1]
                to -= 1
            rows[to] = this
    if n <= _SHORT:
        return
    here, there, width = rows, np.empty(n, dtype=np.int32), _SHORT
    while width < n:
        for start in range(0, n, 2 * width):
            middle, end = min(start + width, n), min(start + 2 * width, n)
            left, right = start, middle
            for at in range(start, end):
                if right == end or (left < middle and not _is_before(here[right], here[left], time, seq)):
                    there[at] = here[left]
                    left += 1
                else:
                    there[at] = here[right]
                    right += 1
        here, there, width = there, here, 2 * width
    for at in range(n):
        rows[at] = here[at]
