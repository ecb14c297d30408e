"""Which earlier contact something refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["latest_before", "nearest_of_group"]


@kernel
def nearest_of_group(
    group: NDArray[np.int64], time: NDArray[np.int64], of: NDArray[np.int64], at: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Per question (`of`, `at`) the group's last candidate up to that time, else its first after it.

    Candidates are sorted by group, then time. −1 where the group has none.
    """
    found = np.full(len(of), -1, dtype=np.int64)
    for one in range(len(of)):
        place = _rank(group, time, of[one], at[one])
        if place > 0 and group[place - 1] == of[one]:
            found[one] = place - 1
        elif place < len(group) and group[place] == of[one]:
            found[one] = place
    return found


@kernel
def latest_before(
    group: NDArray[np.int64],
    time: NDArray[np.int64],
    key: NDArray[np.int64],
    of: NDArray[np.int64],
    at: NDArray[np.int64],
    look_back: int,
    earliest: bool,
    near: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Per question its group's last (or earliest) candidate within `look_back`, and if that is in doubt.

    It is where another one in that time lies within `near` of it, unless both have the same key (−1: none).
    """
    found = np.full(len(of), -1, dtype=np.int64)
    doubt = np.zeros(len(of), dtype=np.bool_)
    for one in range(len(of)):
        high = _rank(group, time, of[one], at[one])
        low = _rank(group, time, of[one], at[one] - look_back - 1)
        if low == high:
            continue
        chosen = low if earliest else high - 1
        found[one] = chosen
        step = 1 if earliest else -1
        other = chosen + step
        while low <= other < high and abs(time[other] - time[chosen]) <= near:
            if key[other] < 0 or key[other] != key[chosen]:
                doubt[one] = True
                break
            other += step
    return found, doubt


@kernel
def _rank(group: NDArray[np.int64], time: NDArray[np.int64], of: int, at: int) -> int:
    """How many candidates come before or stand at (`of`, `at`)."""
    low, high = 0, len(group)
    while low < high:
        middle = (low + high) // 2
        if group[middle] < of or (group[middle] == of and time[middle] <= at):
            low = middle + 1
        else:
            high = middle
    return low
