"""Journeys position by position: links from each position to the next, aligned at either end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_links", "every_row", "first_rows", "position_links"]


@kernel
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


@kernel
def every_row(
    begin: NDArray[np.int64], end: NDArray[np.int64], fits: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unit and row of every row that fits in the runs of rows `begin[i]:end[i]`."""
    n = 0
    for unit in range(len(begin)):
        for row in range(begin[unit], end[unit]):
            n += fits[row]
    units, rows = np.empty(n, np.int64), np.empty(n, np.int64)
    n = 0
    for unit in range(len(begin)):
        for row in range(begin[unit], end[unit]):
            if fits[row]:
                units[n], rows[n] = unit, row
                n += 1
    return units, rows


@kernel
def position_links(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    codes: NDArray[Any],
    time: NDArray[np.int64],
    missing: int,
    collapse: bool,
    n_symbols: int,
    width: int,
    n_positions: int,
    backward: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The links of all passes, one after the other: key, pass, and microseconds from source to target.

    The key is (column · width + source) · width + target. Pass i is the rows `begin[i]:end[i]`. Forward, its
    first symbol stands in column 0, and after its last one it leaves for the node `n_symbols + 1`. Backward,
    its last symbol stands in the last column, and before its first one it comes from the node `n_symbols`.
    The time is that between two runs of repeats: from the last event of one to the first of the other; where
    there is none (leaving, coming) it is −1.
    """
    room = 0
    for one in range(len(begin)):
        room += min(end[one] - begin[one], n_positions - 1)
    links, passes = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    lengths = np.empty(room, dtype=np.int64)
    n_links = 0
    for one in range(len(begin)):
        length = end[one] - begin[one]
        column = 0
        last = -1
        since = np.int64(0)
        for step in range(length + 1):
            if column == n_positions:
                break
            now = np.int64(-1)
            if step == length:
                symbol = n_symbols if backward else n_symbols + 1
            else:
                row = end[one] - 1 - step if backward else begin[one] + step
                symbol = codes[row] if codes[row] >= 0 else missing
                now = time[row]
                if collapse and symbol == last:
                    since = now
                    continue
            if column > 0:
                if backward:
                    link = ((n_positions - 1 - column) * width + symbol) * width + last
                else:
                    link = ((column - 1) * width + last) * width + symbol
                links[n_links] = link
                passes[n_links] = one
                lengths[n_links] = -1 if step == length else abs(now - since)
                n_links += 1
            last = symbol
            since = now
            column += 1
    return links[:n_links], passes[:n_links], lengths[:n_links]


@kernel
def count_links(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    codes: NDArray[Any],
    missing: int,
    collapse: bool,
    n_symbols: int,
    width: int,
    n_positions: int,
    backward: bool,
) -> NDArray[np.int64]:
    """How many passes take each link, by its key: those of `position_links`, of which none is listed."""
    counts = np.zeros((n_positions - 1) * width * width, dtype=np.int64)
    step, outside = (-1, n_symbols) if backward else (1, n_symbols + 1)
    # What a link is moved by from one position to the next, and what its nearer and its farther node count.
    further = np.int64(step * width * width)
    near, far = (1, width) if backward else (width, 1)
    for one in range(len(begin)):
        row = end[one] - 1 if backward else begin[one]
        left = end[one] - begin[one]
        place = np.int64((n_positions - 2) * width * width) if backward else np.int64(0)
        last = np.int64(-1)
        wanted = n_positions
        while left > 0 and wanted > 0:
            symbol = np.int64(codes[np.uint64(row)])
            symbol = symbol if symbol >= 0 else np.int64(missing)
            row += step
            left -= 1
            if collapse and symbol == last:
                continue
            if last >= 0:
                counts[np.uint64(place + last * near + symbol * far)] += 1
                place += further
            last = symbol
            wanted -= 1
        if wanted > 0 and last >= 0:
            counts[np.uint64(place + last * near + outside * far)] += 1
    return counts
