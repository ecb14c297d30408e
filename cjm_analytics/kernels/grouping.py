"""Grouping events into units, and finding the first event of a kind in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["first_time", "group_sessions"]


@kernel
def first_time(
    offsets: NDArray[np.int64], time: NDArray[np.int64], fits: NDArray[np.bool_], never: int
) -> NDArray[np.int64]:
    """Time of the first event that fits in each run of rows; `never` where none does."""
    n_units = len(offsets) - 1
    first = np.full(n_units, never, dtype=np.int64)
    for unit in range(n_units):
        for row in range(offsets[unit], offsets[unit + 1]):
            if fits[row]:
                first[unit] = time[row]
                break
    return first


@kernel
def group_sessions(
    customer_offsets: NDArray[np.int64], session: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Rows grouped by (customer, session) in order of time; rows without a session (−1) are left out.

    Returns the rows in their new order, the offsets of the sessions in it, and the customer of each session.
    Sessions of one customer are numbered from 0 without gaps, but may interleave.
    """
    n_customers = len(customer_offsets) - 1
    n_rows = 0
    n_sessions = 0
    for customer in range(n_customers):
        last = -1
        for row in range(customer_offsets[customer], customer_offsets[customer + 1]):
            if session[row] >= 0:
                n_rows += 1
                last = max(last, session[row])
        n_sessions += last + 1
    order = np.empty(n_rows, dtype=np.int64)
    offsets = np.zeros(n_sessions + 1, dtype=np.int64)
    owner = np.empty(n_sessions, dtype=np.int32)
    base = 0
    for customer in range(n_customers):
        start, end = customer_offsets[customer], customer_offsets[customer + 1]
        last = -1
        for row in range(start, end):
            if session[row] >= 0:
                last = max(last, session[row])
                offsets[base + session[row] + 1] += 1
        for one in range(last + 1):
            owner[base + one] = customer
            offsets[base + one + 1] += offsets[base + one]
        place = offsets[base : base + last + 1].copy()
        for row in range(start, end):
            if session[row] >= 0:
                order[place[session[row]]] = row
                place[session[row]] += 1
        base += last + 1
    return order, offsets, owner
