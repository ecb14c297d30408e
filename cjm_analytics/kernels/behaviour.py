"""How fast, how much and how long somebody acts: what tells a machine from a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["pace"]


@kernel
def pace(
    offsets: NDArray[np.int64],
    time: NDArray[np.int64],
    exact: NDArray[np.bool_],
    window: int,
    gap: int,
    hour: int,
    day: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Per customer the most that was done in a time, and how many events each day of each customer has.

    Customer c is the rows `offsets[c]:offsets[c + 1]`, in order of time. Returned are

    - the largest number of events of which the last comes at most `window` after the first,
    - the largest number of events on one day,
    - the longest run of `exact` events, each at most `gap` after the exact one before,
    - the longest run of successive hours with an event in each,
    - the number of events of every day of every customer that has some, in order.

    An hour and a day begin at multiples of `hour` and `day`.
    """
    n = len(offsets) - 1
    burst = np.zeros(n, dtype=np.int32)
    busiest = np.zeros(n, dtype=np.int32)
    rush = np.zeros(n, dtype=np.int32)
    awake = np.zeros(n, dtype=np.int32)
    days = np.empty(len(time), dtype=np.int32)
    n_days = 0
    for customer in range(n):
        first = offsets[customer]
        most = most_today = longest_run = most_hours = 0
        run = 0
        last_exact = 0
        hours = 0
        last_hour = 0
        today = 0
        last_day = 0
        for row in range(offsets[customer], offsets[customer + 1]):
            now = time[row]
            while now - time[first] > window:
                first += 1
            most = max(most, row - first + 1)
            if exact[row]:
                run = run + 1 if run > 0 and now - last_exact <= gap else 1
                last_exact = now
                longest_run = max(longest_run, run)
            at = now // hour
            if hours == 0 or at > last_hour + 1:
                hours = 1
            elif at == last_hour + 1:
                hours += 1
            last_hour = at
            most_hours = max(most_hours, hours)
            date = now // day
            if today > 0 and date != last_day:
                days[n_days] = today
                n_days += 1
                today = 0
            today += 1
            last_day = date
            most_today = max(most_today, today)
        if today > 0:
            days[n_days] = today
            n_days += 1
        burst[customer], busiest[customer] = most, most_today
        rush[customer], awake[customer] = longest_run, most_hours
    return burst, busiest, rush, awake, days[:n_days]
