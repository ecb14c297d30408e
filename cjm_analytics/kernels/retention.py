"""Who came back, and when: returns after a start, runs of active periods, active days per period."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel
from cjm_analytics.kernels.rows import longer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_active_days", "count_lifecycle", "list_returns", "number_periods"]

EACH, LATEST, RUN, FIRST = range(4)


@kernel
def number_periods(time: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.int32]:
    """The period of each time: i where bounds[i] <= time < bounds[i + 1]; −1 before all, the last beyond.

    Periods are nearly equally long, so that the proportional guess is almost always right.
    """
    n_periods = len(bounds) - 1
    per_tick = n_periods / max(bounds[-1] - bounds[0], n_periods)
    numbers = np.empty(len(time), dtype=np.int32)
    for row in range(len(time)):
        now = time[row]
        number = int((now - bounds[0]) * per_tick)
        number = min(max(number, 0), n_periods)
        while number > 0 and now < bounds[np.uint64(number)]:
            number -= 1
        while number < n_periods and now >= bounds[np.uint64(number + 1)]:
            number += 1
        numbers[row] = number if now >= bounds[0] else -1
    return numbers


def list_returns(
    offsets: NDArray[np.int64],
    starts: NDArray[np.bool_],
    returns: NDArray[np.bool_],
    cohort: NDArray[np.int32],
    tick: NDArray[np.int64],
    length: int,
    slot_of: NDArray[np.int64],
    n_slots: int,
    recurring: bool,
    kind: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts of customers and their returns: the row of the start, and the slot after it.

    A customer belongs to the cohort of the first start; if `recurring`, of every period with a start, counted
    from the first start in it. A later event lies (tick − tick of the start) // length ticks after the start,
    and `slot_of` says which slot that is; beyond the table lies slot `n_slots`. Slot 0 is the start itself,
    and always told.

    `kind` says what is told of one customer and start: EACH slot with a return, the LATEST one (at most the
    last slot), the last of an unbroken RUN from slot 1, or the FIRST.
    """
    told, n = _list_returns(offsets, starts, returns, cohort, tick, length, slot_of, n_slots, recurring, kind)
    rows, slots = told[:n].T.copy()
    return rows, slots


@kernel
def _list_returns(
    offsets: NDArray[np.int64],
    starts: NDArray[np.bool_],
    returns: NDArray[np.bool_],
    cohort: NDArray[np.int32],
    tick: NDArray[np.int64],
    length: int,
    slot_of: NDArray[np.int64],
    n_slots: int,
    recurring: bool,
    kind: int,
) -> tuple[NDArray[np.int64], int]:
    """What `list_returns` finds: pairs of row and slot, with room for more, and how many there are."""
    found = np.empty((1024, 2), dtype=np.int64)
    n = 0
    for customer in range(len(offsets) - 1):
        row, end = offsets[customer], offsets[customer + 1]
        while row < end:
            if not starts[row]:
                row += 1
                continue
            while n + n_slots >= len(found):
                found = longer(found)  # one start tells at most n_slots slots
            found[n, 0], found[n, 1] = row, 0
            n += 1
            slot = 0
            run = 0
            for later in range(row + 1, end):
                if not returns[later]:
                    continue
                after = (tick[later] - tick[row]) // length
                reached = slot_of[after] if after < len(slot_of) else n_slots
                if reached <= slot:
                    continue
                if reached < n_slots and (kind == EACH or (kind == FIRST and slot == 0)):
                    found[n, 0], found[n, 1] = row, reached
                    n += 1
                if reached == run + 1 and reached < n_slots:
                    run = reached
                slot = reached
            told = min(slot, n_slots - 1) if kind == LATEST else run if kind == RUN else 0
            if told > 0:
                found[n, 0], found[n, 1] = row, told
                n += 1
            if not recurring:
                break
            began = cohort[row]
            while row < end and (cohort[row] == began or not starts[row]):
                row += 1
    return found, n


@kernel
def count_lifecycle(
    offsets: NDArray[np.int64],
    active: NDArray[np.bool_],
    period: NDArray[np.int32],
    n_periods: int,
    group: NDArray[np.int32],
    n_groups: int,
) -> NDArray[np.int64]:
    """Customers that are new, returning, resurrected and dormant, by group, state and period.

    A customer is in the group of the first active event.
    """
    counts = np.zeros((n_groups, 4, n_periods), dtype=np.int64)
    for customer in range(len(offsets) - 1):
        last = -1
        where = 0
        for row in range(offsets[customer], offsets[customer + 1]):
            now = period[row]
            if not active[row] or now == last:
                continue
            if last < 0:
                where = group[row]
                counts[where, 0, now] += 1
            elif now == last + 1:
                counts[where, 1, now] += 1
            else:
                counts[where, 2, now] += 1
                counts[where, 3, last + 1] += 1
            last = now
        if 0 <= last < n_periods - 1:
            counts[where, 3, last + 1] += 1
    return counts


@kernel
def count_active_days(
    offsets: NDArray[np.int64],
    active: NDArray[np.bool_],
    day: NDArray[np.int32],
    period_of: NDArray[np.int32],
    n_periods: int,
    most: int,
    group: NDArray[np.int32],
    n_groups: int,
) -> NDArray[np.int64]:
    """Customers by group, period and on how many days of it they were active (1 to `most`).

    A day lies in the period `period_of[day]`. A customer is, in each period, in the group of the first
    active event of that period.
    """
    counts = np.zeros((n_groups, n_periods, most + 1), dtype=np.int64)
    for customer in range(len(offsets) - 1):
        current = -1
        latest = -1
        days = 0
        where = 0
        for row in range(offsets[customer], offsets[customer + 1]):
            if not active[row] or day[row] == latest:
                continue
            latest = day[row]
            if period_of[latest] != current:
                if current >= 0:
                    counts[where, current, days] += 1
                current, days, where = period_of[latest], 0, group[row]
            days += 1
        if current >= 0:
            counts[where, current, days] += 1
    return counts
