"""How far along the road each journey got, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["first_reached", "last_row_before"]


@njit(nogil=True, cache=True)
def first_reached(
    offsets: NDArray[np.int64], place: NDArray[np.int16], progresses: NDArray[np.bool_], n_places: int
) -> NDArray[np.int64]:
    """Row of the first progressing event in place p or later, for each journey and each p; −1 without one.

    Places are numbered in the order of the road; −1 is nowhere.
    """
    n_journeys = len(offsets) - 1
    reached = np.full((n_journeys, n_places), -1, dtype=np.int64)
    for journey in range(n_journeys):
        furthest = -1
        for row in range(offsets[journey], offsets[journey + 1]):
            if progresses[row] and place[row] > furthest:
                for passed in range(furthest + 1, place[row] + 1):
                    reached[journey, passed] = row
                furthest = place[row]
    return reached


@njit(nogil=True, cache=True)
def last_row_before(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    journeys: NDArray[np.int64],
    until: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Row of the last event of `journeys[i]` before the instant `until[i]`; its first where none is."""
    rows = np.empty(len(journeys), dtype=np.int64)
    for i in range(len(journeys)):
        row = offsets[journeys[i] + 1] - 1
        while row > offsets[journeys[i]] and time[row] >= until[i]:
            row -= 1
        rows[i] = row
    return rows
