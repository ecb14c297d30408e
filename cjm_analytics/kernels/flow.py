"""Journeys position by position: links from each position to the next, aligned at either end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["first_rows", "position_links"]


@njit(nogil=True, cache=True)
def first_rows(
    begin: NDArray[np.int64], end: NDArray[np.int64], fits: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The first row that fits in each run of rows `begin[i]:end[i]`; −1 where none does."""
    first = np.full(len(begin), -1, dtype=np.int64)
    for unit in range(len(begin)):
        for row in range(begin[unit], end[unit]):
            if fits[row]:
                first[unit] = row
                break
    return first


@njit(nogil=True, cache=True)
def position_links(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    codes: NDArray[Any],
    missing: int,
    collapse: bool,
    n_symbols: int,
    n_positions: int,
    backward: bool,
) -> NDArray[np.int64]:
    """The links of all units, one after the other, each as (column · width + source) · width + target.

    Unit i is the rows `begin[i]:end[i]`. Forward, its first symbol stands in column 0, and after its last one
    it leaves for the node `n_symbols + 1`. Backward, its last symbol stands in the last column, and before
    its first one it comes from the node `n_symbols`.
    """
    width = n_symbols + 2
    room = 0
    for unit in range(len(begin)):
        room += min(end[unit] - begin[unit], n_positions - 1)
    links = np.empty(room, dtype=np.int64)
    n_links = 0
    for unit in range(len(begin)):
        length = end[unit] - begin[unit]
        column = 0
        last = -1
        for step in range(length + 1):
            if column == n_positions:
                break
            if step == length:
                symbol = n_symbols if backward else n_symbols + 1
            else:
                row = end[unit] - 1 - step if backward else begin[unit] + step
                symbol = codes[row] if codes[row] >= 0 else missing
                if collapse and symbol == last:
                    continue
            if column > 0:
                if backward:
                    link = ((n_positions - 1 - column) * width + symbol) * width + last
                else:
                    link = ((column - 1) * width + last) * width + symbol
                links[n_links] = link
                n_links += 1
            last = symbol
            column += 1
    return links[:n_links]
