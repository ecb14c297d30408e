"""Calendar periods in a time zone: days, weeks that begin on Monday, months."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics.durations import DAY
from cjm_analytics.errors import UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LENGTHS", "Calendar"]

LENGTHS = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY}
"""How long a period lasts where it is counted from an instant and not by the calendar."""

_FREQUENCIES = {"day": "D", "week": "W-SUN", "month": "M"}


@dataclass(frozen=True)
class Calendar:
    """Consecutive periods, numbered from 0.

    Attributes
    ----------
    period : str
    first : str
        The local date with which period 0 begins.
    bounds : tuple of int
        Microseconds UTC at which each period begins, and at which the last ends.
    """

    period: str
    first: str
    bounds: tuple[int, ...]

    @classmethod
    def spanning(cls, period: str, timezone: str, begin: int, end: int) -> Calendar:
        """The periods from the one of the instant `begin` to the one of `end`, microseconds UTC.

        A day begins at local midnight, or where the clocks skip it, with the first instant after.

        Examples
        --------
        >>> calendar = Calendar.spanning("week", "UTC", 0, 8 * 86_400_000_000)
        >>> calendar.dates().strftime("%Y-%m-%d").tolist()
        ['1969-12-29', '1970-01-05']
        """
        if period not in LENGTHS:
            raise UnknownNameError("period", period, LENGTHS)
        ends = pd.to_datetime([begin, max(begin, end)], unit="us", utc=True)
        first, last = ends.tz_convert(timezone).tz_localize(None).to_period(_FREQUENCIES[period])
        starts = pd.period_range(first, last + 1, freq=_FREQUENCIES[period]).start_time
        local = starts.tz_localize(
            timezone, nonexistent="shift_forward", ambiguous=np.ones(len(starts), dtype=bool)
        )
        bounds = local.tz_convert("UTC").tz_localize(None).astype("datetime64[us]").astype(np.int64)
        return cls(period, f"{starts[0]:%Y-%m-%d}", tuple(bounds.tolist()))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def dates(self) -> pd.DatetimeIndex:
        """The local date with which each period begins."""
        return pd.period_range(self.first, periods=len(self), freq=_FREQUENCIES[self.period]).start_time

    def numbers(self, time: NDArray[np.int64]) -> NDArray[np.int32]:
        """The number of the period of each time."""
        from cjm_analytics.analysis.sequences import frozen
        from cjm_analytics.kernels.retention import number_periods

        return number_periods(frozen(time), np.array(self.bounds, dtype=np.int64))

    def number(self, time: int) -> int:
        """The number of the period of one time; beyond the last, how many there are."""
        return int(np.searchsorted(self.bounds, time, side="right")) - 1

    def covered(self, begin: int, until: int) -> NDArray[np.bool_]:
        """Which periods a log from `begin` to `until` covers as a whole: it may begin on their first day."""
        bounds = np.array(self.bounds, dtype=np.int64)
        whole: NDArray[np.bool_] = (bounds[:-1] + DAY > begin) & (bounds[1:] <= until + 1)
        return whole
