"""Which rows are alike: distinct combinations of codes, numbered in order of their first row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["distinct", "distinct_below"]


@kernel
def distinct_below(keys: NDArray[np.int64], limit: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Per row the number of its key, and per number its first row; keys lie in 0…limit − 1."""
    number = np.full(limit, -1, dtype=np.int32)
    codes = np.empty(len(keys), dtype=np.int32)
    first = np.empty(min(limit, len(keys)), dtype=np.int64)
    n = 0
    for row in range(len(keys)):
        key = keys[row]
        if number[key] < 0:
            number[key] = n
            first[n] = row
            n += 1
        codes[row] = number[key]
    return codes, first[:n].copy()


@kernel
def distinct(keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Per row the number of its key, and per number its first row: a hash table that doubles at half full."""
    mask = 1023
    slots = np.full(mask + 1, -1, dtype=np.int32)
    codes = np.empty(len(keys), dtype=np.int32)
    first = np.empty(len(keys), dtype=np.int64)
    n = 0
    for row in range(len(keys)):
        key = keys[row]
        slot = _slot(keys[row], mask)
        while slots[slot] >= 0 and keys[first[slots[slot]]] != key:
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = n
            first[n] = row
            n += 1
            if 2 * n > mask:
                mask = 2 * mask + 1
                slots = np.full(mask + 1, -1, dtype=np.int32)
                for one in range(n):
                    place = _slot(keys[first[one]], mask)
                    while slots[place] >= 0:
                        place = (place + 1) & mask
                    slots[place] = one
            codes[row] = n - 1
        else:
            codes[row] = slots[slot]
    return codes, first[:n].copy()


@kernel
def _slot(key: int, mask: int) -> int:
    """A place in the table; the multiplication spreads neighbouring keys (Fibonacci hashing)."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return int(mixed >> np.uint64(20)) & mask
