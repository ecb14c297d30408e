"""Which rule of behaviour a customer breaks, as a plain loop over the customer's times."""

from __future__ import annotations

import math

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR


def day_limit(days: list[int], per_day: int | None, percentile: float | None) -> int | None:
    """`days` holds the number of events of each active day of each customer."""
    if per_day is None or percentile is None or not days:
        return per_day
    return max(per_day, sorted(days)[math.ceil(percentile / 100 * len(days)) - 1])


def events_per_day(times: list[int]) -> list[int]:
    days = [time // DAY for time in times]
    return [days.count(day) for day in sorted(set(days))]


def pattern(path: str) -> str:
    parts = path.split("?", maxsplit=1)[0].split("/")
    return "/".join("*" if any(sign in "0123456789" for sign in part) else part for part in parts)


def broken_rule(
    times, exact, limit, *, paths=(), burst, burst_window, rush, rush_gap, hours, addresses
) -> str | None:
    """`times` in order, microseconds; `exact` says which of them are known better than to the second."""
    for first in times:
        if burst is not None and sum(first <= time <= first + burst_window for time in times) > burst:
            return "burst"
    if limit is not None and max(events_per_day(times), default=0) > limit:
        return "per day"
    sharp = [time for time, is_exact in zip(times, exact, strict=True) if is_exact]
    for start in range(len(sharp)):
        end = start + 1
        while end < len(sharp) and sharp[end] - sharp[end - 1] <= rush_gap:
            end += 1
        if rush is not None and end - start > rush:
            return "rush"
    active = {time // HOUR for time in times}
    for hour in active:
        if hours is not None and all(hour + more in active for more in range(hours)):
            return "around the clock"
    seen = {path for path in paths if path is not None}
    if addresses is not None and len(seen) > addresses and len({pattern(path) for path in seen}) == 1:
        return "one pattern"
    return None
