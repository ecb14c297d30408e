"""Sessions: runs of a customer's digital events without a long silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["number_by_gap", "number_sessions"]


@njit(nogil=True, cache=True)
def number_by_gap(
    offsets: NDArray[np.int64], time: NDArray[np.int64], timeout: int, session: NDArray[np.int32]
) -> None:
    """What `number_sessions` finds where all events are digital and only the gap counts, into `session`."""
    for customer in range(len(offsets) - 1):
        number = 0
        first, end = np.uint64(offsets[customer]), np.uint64(offsets[customer + 1])
        last = time[first]
        for row in range(first, end):
            number += time[row] - last > timeout
            last = time[row]
            session[row] = number


@njit(nogil=True, cache=True)
def number_sessions(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    digital: NDArray[np.bool_],
    device: NDArray[np.int32],
    vendor: NDArray[np.int32],
    day: NDArray[np.int32],
    campaign: NDArray[np.int32],
    timeout: int,
    max_length: int,
) -> NDArray[np.int32]:
    """Number of each event's session within its customer, in order of first events; −1 for no session.

    Customer c is the rows `offsets[c]:offsets[c + 1]`, in order of time. Of `device`, `vendor`, `day` and
    `campaign` an empty array means that they do not matter; −1 in them stands for a missing value. An event
    with a vendor's session belongs to that. Every other one goes on with the session of its device, unless
    more than `timeout` passed since the device's last event, more than `max_length` (if not 0) since the
    session's first, a new day began, or the event has a campaign that is not the session's.
    """
    session = np.full(len(time), -1, dtype=np.int32)
    n_devices = (device.max() + 2) if len(device) else 1
    n_vendor = (vendor.max() + 1) if len(vendor) else 0
    vendor_owner = np.full(n_vendor, -1, dtype=np.int64)
    vendor_number = np.empty(n_vendor, dtype=np.int32)
    owner = np.full(n_devices, -1, dtype=np.int64)
    number = np.empty(n_devices, dtype=np.int32)
    started = np.empty(n_devices, dtype=np.int64)
    last = np.empty(n_devices, dtype=np.int64)
    last_day = np.zeros(n_devices, dtype=np.int32)
    last_campaign = np.full(n_devices, -1, dtype=np.int32)
    for customer in range(len(offsets) - 1):
        n = 0
        for row in range(offsets[customer], offsets[customer + 1]):
            if not digital[row]:
                continue
            if len(vendor) and vendor[row] >= 0:
                own = vendor[row]
                if vendor_owner[own] != customer:
                    vendor_owner[own] = customer
                    vendor_number[own] = n
                    n += 1
                session[row] = vendor_number[own]
                continue
            at = (device[row] + 1) if len(device) else 0
            new = owner[at] != customer
            new = new or time[row] - last[at] > timeout
            new = new or (max_length > 0 and time[row] - started[at] > max_length)
            new = new or (len(day) > 0 and day[row] != last_day[at])
            new = new or (len(campaign) > 0 and campaign[row] >= 0 and campaign[row] != last_campaign[at])
            if new:
                owner[at] = customer
                number[at] = n
                started[at] = time[row]
                if len(day):
                    last_day[at] = day[row]
                if len(campaign):
                    last_campaign[at] = campaign[row]
                n += 1
            last[at] = time[row]
            session[row] = number[at]
    return session
