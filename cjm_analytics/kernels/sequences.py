"""Events as sequences of symbols: which phase a symbol mostly has, and which units hold a goal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_phases", "holds_goal"]


@kernel
def count_phases(
    codes: NDArray[Any], phases: NDArray[np.int8], missing: int, n_symbols: int, n_phases: int
) -> NDArray[np.int64]:
    """Events of each symbol (row) by phase (column; the last one: unassigned)."""
    counts = np.zeros((n_symbols, n_phases + 1), dtype=np.int64)
    for row in range(len(codes)):
        symbol = codes[row] if codes[row] >= 0 else missing
        phase = phases[row] if phases[row] >= 0 else n_phases
        counts[symbol, phase] += 1
    return counts


@kernel
def holds_goal(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    customer: NDArray[np.int32],
    customer_offsets: NDArray[np.int64],
    goals: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Per unit: whether a goal of its customer lies between its first and its last moment.

    `customer_offsets` says which journeys a customer has, `goals` when each reached its goal.
    """
    found = np.zeros(len(first), dtype=np.bool_)
    for unit in range(len(first)):
        owner = customer[unit]
        for journey in range(customer_offsets[owner], customer_offsets[owner + 1]):
            if first[unit] <= goals[journey] <= last[unit]:
                found[unit] = True
    return found
