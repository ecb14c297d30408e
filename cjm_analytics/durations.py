"""Durations: text with a unit, or a Timedelta, to whole microseconds."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "Duration", "microseconds", "readable", "timedeltas"]

Duration: TypeAlias = str | dt.timedelta
"""A length of time: `"14 days"`, `"30m"`, or a `Timedelta`."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {
    "s": SECOND, "sec": SECOND, "second": SECOND,
    "m": MINUTE, "min": MINUTE, "minute": MINUTE,
    "h": HOUR, "hour": HOUR,
    "d": DAY, "day": DAY,
    "w": 7 * DAY, "week": 7 * DAY,
    "ms": 1_000, "millisecond": 1_000,
    "us": 1, "microsecond": 1,
}  # fmt: skip
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def microseconds(duration: Duration, *, name: str = "duration", positive: bool = True) -> int:
    """Whole microseconds of a duration; a day is 24 hours exactly, a month is refused.

    Parameters
    ----------
    duration : str or datetime.timedelta
        `"<number><unit>"`, also several in a row (`"1h 30m"`). Units: s, m (minutes), h, d, w, ms, us and
        their English names.
    name : str
        The parameter's name, for the message.
    positive : bool
        Whether zero is refused too; a negative duration always is.

    Raises
    ------
    InputError
        The text has no unit, an unknown unit, or is not positive.

    Examples
    --------
    >>> microseconds("14 days") == 14 * DAY
    True
    >>> microseconds("14", name="within")
    Traceback (most recent call last):
    cjm_analytics.errors.InputError: within='14' is no duration. Write a number and a unit (s, m, h, d, w), \
for example '14 days' or '30m'.
    """
    length = _parse(duration)
    if length is None:
        raise InputError(
            f"{name}={duration!r} is no duration. Write a number and a unit (s, m, h, d, w), "
            "for example '14 days' or '30m'."
        )
    if length < 0 or (positive and length == 0):
        raise InputError(f"{name}={duration!r} must be longer than nothing.")
    return length


def _parse(duration: object) -> int | None:
    if isinstance(duration, dt.timedelta):
        return None if pd.isna(duration) else pd.Timedelta(duration).value // 1_000
    if not isinstance(duration, str):
        return None
    text = duration.strip().casefold()
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        unit = part and (_UNITS.get(part[2]) or _UNITS.get(part[2].removesuffix("s")))
        if not part or not unit:
            return None
        total += float(part[1]) * unit
        at = part.end()
    return round(total) if text else None


def timedeltas(microseconds: NDArray[np.float64]) -> NDArray[np.timedelta64]:
    """Lengths of time for a column of a frame, to the nearest nanosecond; NaN is missing.

    `pandas.to_timedelta` does the same for a list, and takes microseconds for each number.

    Examples
    --------
    >>> timedeltas(np.array([1.5, np.nan]))
    array([ 1500, 'NaT'], dtype='timedelta64[ns]')
    """
    missing = np.isnan(microseconds)
    whole = np.rint(np.where(missing, 0, microseconds) * 1_000).astype(np.int64)
    return np.where(missing, np.timedelta64("NaT", "ns"), whole.astype("timedelta64[ns]"))


def readable(length: float) -> str:
    """A short text for a number of microseconds, with two units at most.

    Examples
    --------
    >>> readable(90 * MINUTE), readable(3 * DAY + 4 * HOUR), readable(0)
    ('1 h 30 min', '3 d 4 h', '0 s')
    """
    left = round(abs(length) / SECOND)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count:,} {unit}")
        elif parts:
            break
    return ("-" if length < 0 else "") + (" ".join(parts[:2]) or "0 s")
