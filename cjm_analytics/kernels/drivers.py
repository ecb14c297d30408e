"""Which events occur in a stretch of each unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_presence"]


@kernel
def count_presence(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    until: NDArray[np.int64],
    time: NDArray[np.int64],
    code: NDArray[Any],
    session: NDArray[np.int32],
    session_of: NDArray[np.int32],
    success: NDArray[np.bool_],
    n_codes: int,
) -> NDArray[np.int64]:
    """Units in whose rows `begin[i]:end[i]`, no later than `until[i]`, a code occurs; column 1: successes.

    Where `session_of[i]` is not −1, only rows of that session belong to the unit.
    """
    counts = np.zeros((n_codes, 2), dtype=np.int64)
    seen = np.full(n_codes, -1, dtype=np.int64)
    for unit in range(len(begin)):
        for row in range(begin[unit], end[unit]):
            if time[row] > until[unit]:
                break
            if session_of[unit] >= 0 and session[row] != session_of[unit]:
                continue
            if seen[code[row]] != unit:
                seen[code[row]] = unit
                counts[code[row], int(success[unit])] += 1
    return counts
