"""When a new session begins, and the session of each event by these rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.durations import DAY, microseconds
from cjm_analytics.errors import InputError
from cjm_analytics.events.partition import EventColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns
    from cjm_analytics.durations import Duration

__all__ = ["SessionRules"]


@dataclass(frozen=True)
class SessionRules:
    """When a new session begins; lengths in microseconds, `max_length` 0: no limit."""

    timeout: int
    midnight: str | None
    max_length: int
    campaign: bool
    by_device: bool
    vendor: bool

    @classmethod
    def of(
        cls,
        timeout: Duration,
        midnight: str | None,
        max_length: Duration | None,
        *,
        campaign: bool,
        by_device: bool,
        vendor: bool,
    ) -> SessionRules:
        """The rules as `sessionize` takes them."""
        if midnight is not None:
            try:
                ZoneInfo(midnight)
            except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
                raise InputError(
                    f"midnight={midnight!r} is no time zone. Write one such as 'Europe/Berlin' or 'UTC'."
                ) from error
        return cls(
            timeout=microseconds(timeout, name="timeout", positive=False),
            midnight=midnight,
            max_length=microseconds(max_length, name="max_length") if max_length is not None else 0,
            campaign=campaign,
            by_device=by_device,
            vendor=vendor,
        )

    def number(
        self,
        rows: Rows,
        offsets: NDArray[np.int64],
        time: NDArray[np.int64],
        digital: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int32]:
        """The session of each event within its customer, −1 for none; `digital` None: all events are."""
        from cjm_analytics.kernels.sessions import number_by_gap, number_sessions

        if digital is not None and not digital.any():
            return np.full(len(time), -1, dtype=np.int32)
        nothing = np.zeros(0, dtype=np.int32)
        device = rows.codes("anonymous_id") if self.by_device else nothing
        vendor = rows.codes("session_id") if self.vendor else nothing
        campaign = rows.codes("utm_campaign") if self.campaign else nothing
        only_gap = not (len(device) or len(vendor) or len(campaign) or self.max_length or self.midnight)
        session: NDArray[np.int32]
        if only_gap and digital is None:
            session = np.empty(len(time), np.int32)  # NumPy asks the system for large pages, Numba does not
            number_by_gap(offsets, time, self.timeout, session)
            return session
        session = number_sessions(
            offsets,
            time,
            np.ones(len(time), dtype=bool) if digital is None else digital,
            device,
            vendor,
            _local_days(time, self.midnight) if self.midnight is not None else nothing,
            campaign,
            self.timeout,
            self.max_length,
        )
        return session


@dataclass(frozen=True, eq=False)
class Rows:
    """The events that are numbered: a partition of the event store, or some rows of it."""

    columns: Columns
    row: NDArray[np.int64] | None = None

    def codes(self, name: str) -> NDArray[np.int32]:
        """A column as codes, −1 for missing; an empty array where all are missing."""
        nothing = np.zeros(0, dtype=np.int32)
        if isinstance(self.columns, EventColumns) and name not in self.columns.filled:
            return nothing
        column = self.columns.read([name]).column(name)
        if column.null_count == len(column):
            return nothing
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        column = column.unify_dictionaries()
        parts = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
        codes: NDArray[np.int32] = np.concatenate(parts).astype(np.int32, copy=False)
        return codes if self.row is None else codes[self.row]


def _local_days(time: NDArray[np.int64], timezone: str) -> NDArray[np.int32]:
    stamps = pa.array(time).cast(pa.timestamp("us", tz=timezone))
    local: NDArray[np.int64] = pc.local_timestamp(stamps).cast(pa.int64()).to_numpy()
    days: NDArray[np.int32] = (local // DAY).astype(np.int32)
    return days
