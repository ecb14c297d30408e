"""Sessions: runs of a customer's digital events without a long silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["number_by_gap", "number_sessions"]


@kernel
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
    devices = np.full((device.max(initial=-1) + 2, 6), -1, dtype=np.int64)
    vendors = np.full((vendor.max(initial=-1) + 1, 2), -1, dtype=np.int64)
    _number_sessions(
        offsets, time, digital, device, vendor, day, campaign, timeout, max_length, devices, vendors, session
    )
    return session


# Columns of what is known of a device; a vendor's session has the first two.
_OWNER, _NUMBER, _STARTED, _LAST, _DAY, _CAMPAIGN = range(6)


@kernel
def _number_sessions(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    digital: NDArray[np.bool_],
    device: NDArray[np.int32],
    vendor: NDArray[np.int32],
    day: NDArray[np.int32],
    campaign: NDArray[np.int32],
    timeout: int,
    max_length: int,
    devices: NDArray[np.int64],
    vendors: NDArray[np.int64],
    session: NDArray[np.int32],
) -> None:
    """What `number_sessions` finds, into `session`; what is known of devices and vendors' sessions is −1."""
    for customer in range(len(offsets) - 1):
        n = 0
        for row in range(offsets[customer], offsets[customer + 1]):
            if not digital[row]:
                continue
            if len(vendor) and vendor[row] >= 0:
                own = vendor[row]
                if vendors[own, _OWNER] != customer:
                    vendors[own, _OWNER] = customer
                    vendors[own, _NUMBER] = n
                    n += 1
                session[row] = vendors[own, _NUMBER]
                continue
            at = (device[row] + 1) if len(device) else 0
            new = devices[at, _OWNER] != customer
            new = new or time[row] - devices[at, _LAST] > timeout
            new = new or (max_length > 0 and time[row] - devices[at, _STARTED] > max_length)
            new = new or (len(day) > 0 and day[row] != devices[at, _DAY])
            new = new or (
                len(campaign) > 0 and campaign[row] >= 0 and campaign[row] != devices[at, _CAMPAIGN]
            )
            if new:
                devices[at, _OWNER] = customer
                devices[at, _NUMBER] = n
                devices[at, _STARTED] = time[row]
                if len(day):
                    devices[at, _DAY] = day[row]
                if len(campaign):
                    devices[at, _CAMPAIGN] = campaign[row]
                n += 1
            devices[at, _LAST] = time[row]
            session[row] = devices[at, _NUMBER]
