"""A look at the bytes of many texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ends"]


@njit(nogil=True, cache=True)
def ends(data: NDArray[np.uint8], starts: NDArray[np.int32]) -> tuple[int, int]:
    """How many of the texts `data[starts[i]:starts[i + 1]]` are empty, and the lowest byte at any end of one.

    Without a text that is not empty the lowest byte is 255.
    """
    n_empty, lowest = 0, 255
    for text in range(len(starts) - 1):
        first, behind = starts[text], starts[text + 1]
        if first == behind:
            n_empty += 1
        else:
            lowest = min(lowest, data[first], data[behind - 1])
    return n_empty, lowest
