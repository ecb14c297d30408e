"""Contiguous runs of symbols, and which of them each unit has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["list_ngrams"]


@kernel
def list_ngrams(
    offsets: NDArray[np.int64],
    codes: NDArray[Any],
    group: NDArray[np.int32],
    missing: int,
    collapse: bool,
    n: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Every run of n symbols, unit by unit, behind the group of its unit: shape (runs, 1 + n); and the unit.

    With `collapse` a symbol that directly follows itself is passed over.
    """
    path = np.empty(len(codes), np.int32)
    bounds = np.zeros(len(offsets), np.int64)
    written = 0
    n_runs = 0
    for unit in range(len(offsets) - 1):
        start = written
        for row in range(offsets[unit], offsets[unit + 1]):
            code = np.int32(codes[row]) if codes[row] >= 0 else np.int32(missing)
            if collapse and written > start and path[written - 1] == code:
                continue
            path[written] = code
            written += 1
        bounds[unit + 1] = written
        n_runs += max(written - start - n + 1, 0)
    runs, units = np.empty((n_runs, n + 1), np.int32), np.empty(n_runs, np.int32)
    at = 0
    for unit in range(len(offsets) - 1):
        for row in range(bounds[unit], bounds[unit + 1] - n + 1):
            runs[at, 0] = group[unit]
            for place in range(n):
                runs[at, place + 1] = path[row + place]
            units[at] = unit
            at += 1
    return runs, units
