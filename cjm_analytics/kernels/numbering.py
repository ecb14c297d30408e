"""Numbers for distinct texts and keys: hash tables that grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "add_up",
    "counted",
    "fill_slots",
    "number_keys",
    "number_texts",
    "order_of_hashes",
    "spread",
    "texts_at",
]

# A slot holds the upper half of a hash and, in the lower half, a number plus one; zero is free. The lower
# bits of the hash say where to look first. There must always be a free slot.
_HALF = np.uint64(32)
_LOWER = np.uint64(0xFFFFFFFF)
_UPPER = np.uint64(0xFFFFFFFF00000000)
_ONE = np.uint64(1)
_BLOCK = 256


@kernel
def fill_slots(hashes: NDArray[np.uint64], slots: NDArray[np.uint64]) -> None:
    """Put the numbers of these hashes into free slots; how many slots there are is a power of two."""
    last = np.uint64(len(slots) - 1)
    for number in range(len(hashes)):
        slot = hashes[number] & last
        while slots[slot] != 0:
            slot = (slot + _ONE) & last
        slots[slot] = (hashes[number] & _UPPER) | np.uint64(number + 1)


@kernel
def number_texts(
    hashes: NDArray[np.uint64],
    offsets: NDArray[np.integer[Any]],
    data: NDArray[np.uint8],
    slots: NDArray[np.uint64],
    known: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint8]],
    found: int,
) -> tuple[NDArray[np.int32], int]:
    """The number of each text, in the order of appearance, and how many there are now.

    `known` are the hashes of the `found` texts numbered before, where each ends (behind a zero), and the
    bytes of all; there must be room for the new ones.
    """
    n = len(hashes)
    numbers = np.empty(n, dtype=np.int32)
    last = np.uint64(len(slots) - 1)
    _, ends, held = known
    # What costs time here is waiting for memory, least where the steps of a loop do not wait for each other:
    # look into all slots first, then number by the hashes alone, then see where the known texts begin, and
    # compare all texts at the end.
    looked = np.empty(n, dtype=np.uint64)
    for text in range(n):
        looked[text] = slots[hashes[text] & last]
    for text in range(n):
        entry = looked[text]
        if entry == 0 or (entry ^ hashes[text]) & _UPPER != 0:
            slot = hashes[text] & last
            while slots[slot] != 0 and (slots[slot] ^ hashes[text]) & _UPPER != 0:
                slot = (slot + _ONE) & last
            looked[text] = slots[slot]
            if slots[slot] == 0:
                letters = data[offsets[text] : offsets[text + 1]]
                found = _keep(hashes[text], letters, slots, slot, known, found)
            entry = slots[slot]
        numbers[text] = np.int64(entry & _LOWER) - 1
    begins = np.empty(n, dtype=np.uint64)
    for text in range(n):
        number = np.uint64(numbers[text])
        begins[text] = np.uint64(ends[number])
        looked[text] = 0 if looked[text] == 0 else np.uint64(ends[number + _ONE]) - begins[text] + _ONE
    for text in range(n):
        if looked[text] == 0:  # it has just been kept
            continue
        at, end = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        if looked[text] == end - at + _ONE:
            begin = begins[text]
            while at < end and data[at] == held[begin]:
                at += _ONE
                begin += _ONE
            if at == end:
                continue
        letters = data[offsets[text] : offsets[text + 1]]
        slot = hashes[text] & last
        while slots[slot] != 0 and not (
            (slots[slot] ^ hashes[text]) & _UPPER == 0
            and _is_known(letters, known, np.int64(slots[slot] & _LOWER) - 1)
        ):
            slot = (slot + _ONE) & last
        if slots[slot] == 0:
            found = _keep(hashes[text], letters, slots, slot, known, found)
        numbers[text] = np.int64(slots[slot] & _LOWER) - 1
    return numbers, found


@kernel
def _keep(
    own_hash: np.uint64,
    letters: NDArray[np.uint8],
    slots: NDArray[np.uint64],
    slot: np.uint64,
    known: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint8]],
    found: int,
) -> int:
    hashes, ends, held = known
    hashes[found] = own_hash
    begin = ends[found]
    for at in range(len(letters)):
        held[begin + at] = letters[at]
    ends[found + 1] = begin + len(letters)
    slots[slot] = (own_hash & _UPPER) | np.uint64(found + 1)
    return found + 1


@kernel
def _is_known(
    letters: NDArray[np.uint8],
    known: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint8]],
    number: np.integer[Any],
) -> bool:
    _, ends, held = known
    begin = ends[number]
    if ends[number + 1] - begin != len(letters):
        return False
    for at in range(len(letters)):  # noqa: SIM110 - a kernel has loops
        if held[begin + at] != letters[at]:
            return False
    return True


@kernel
def texts_at(
    numbers: NDArray[np.integer[Any]], ends: NDArray[np.int64], data: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The texts `data[ends[i]:ends[i + 1]]` of some numbers i, one behind the other, and where each ends."""
    n = len(numbers)
    taken_ends = np.zeros(n + 1, dtype=np.int64)
    for at in range(n):
        number = np.uint64(numbers[at])
        taken_ends[at + 1] = taken_ends[at] + ends[number + _ONE] - ends[number]
    taken = np.empty(taken_ends[n], dtype=np.uint8)
    begins, looked = np.empty(_BLOCK, dtype=np.uint64), np.empty(_BLOCK, dtype=np.uint8)
    last = np.uint64(max(len(data), 1) - 1)
    to = np.uint64(0)
    for start in range(0, n, _BLOCK):
        # As above: the memory that a block needs is looked for all at once.
        size = min(_BLOCK, n - start)
        for at in range(size):
            begins[at] = np.uint64(ends[np.uint64(numbers[start + at])])
        for at in range(size if len(data) else 0):
            looked[at] = data[min(begins[at], last)]
        for at in range(size):
            begin, end = begins[at], np.uint64(taken_ends[start + at + 1])
            while to < end:
                taken[to] = data[begin]
                to += _ONE
                begin += _ONE
    return taken_ends, taken


@kernel
def counted(numbers: NDArray[np.integer[Any]], n: int) -> NDArray[np.int32]:
    """How often each of the numbers from 0 to n - 1 occurs, in little room."""
    counts = np.zeros(n, dtype=np.int32)
    for number in numbers:
        counts[number] += 1
    return counts


@kernel
def spread(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of each key."""
    hashes = np.empty(len(keys), dtype=np.uint64)
    for at in range(len(keys)):
        state = keys[at] * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> _HALF)) * np.uint64(0xD6E8FEB86659FD93)
        hashes[at] = state ^ (state >> _HALF)
    return hashes


@kernel
def number_keys(
    keys: NDArray[np.uint64], slots: NDArray[np.uint64], known: NDArray[np.uint64], found: int
) -> tuple[NDArray[np.int32], int]:
    """The number of each key, in the order of appearance, and how many there are now.

    Slots are by the keys' `spread`; `known` are the `found` keys numbered before, with room for more.
    """
    hashes = spread(keys)
    numbers = np.empty(len(keys), dtype=np.int32)
    last = np.uint64(len(slots) - 1)
    for key in range(len(keys)):
        slot = hashes[key] & last
        while slots[slot] != 0 and not (
            (slots[slot] ^ hashes[key]) & _UPPER == 0
            and known[np.int64(slots[slot] & _LOWER) - 1] == keys[key]
        ):
            slot = (slot + _ONE) & last
        if slots[slot] == 0:
            known[found] = keys[key]
            found += 1
            slots[slot] = (hashes[key] & _UPPER) | np.uint64(found)
        numbers[key] = np.int64(slots[slot] & _LOWER) - 1
    return numbers, found


@kernel
def add_up(
    numbers: NDArray[np.int32],
    seen: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    total: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Add counts, and take in first and last times, per number; in place."""
    rows, first, last = seen
    all_rows, earliest, latest = total
    for at in range(len(numbers)):
        number = numbers[at]
        all_rows[number] += rows[at]
        earliest[number] = min(earliest[number], first[at])
        latest[number] = max(latest[number], last[at])


@kernel
def order_of_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Where hashes stand when they are sorted: in heaps of a few by their upper bits, then one by one."""
    n = len(hashes)
    bits = 1
    while bits < 26 and (1 << (bits + 2)) < n:  # noqa: PLR2004 - more heaps would be slower to fill
        bits += 1
    shift = np.uint64(64 - bits)
    place = np.zeros((1 << bits) + 1, dtype=np.int32)
    for row in range(n):
        place[np.int64(hashes[row] >> shift) + 1] += 1
    for heap in range(1 << bits):
        place[heap + 1] += place[heap]
    order = np.empty(n, dtype=np.int32)
    for row in range(n):
        own = np.int64(hashes[row] >> shift)
        order[place[own]] = row
        place[own] += 1
    for at in range(1, n):  # what lies in an earlier heap is smaller, so that it stays before
        row = order[at]
        before = at - 1
        while before >= 0 and hashes[order[before]] > hashes[row]:
            order[before + 1] = order[before]
            before -= 1
        order[before + 1] = row
    return order
