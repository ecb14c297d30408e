"""Whose an event is that carries no user id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.durations import MINUTE
from cjm_analytics.events.arrange import ByBin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cjm_analytics.events.identity import Identity

__all__ = ["Owners"]

_SILENCE = 30 * MINUTE


class Owners:
    """Looks up customers by alias and time.

    Parameters
    ----------
    owners : pyarrow.Table
        Schema `OWNERS`.
    identity : Identity
    """

    def __init__(self, owners: pa.Table, identity: Identity) -> None:
        since = owners.column("since")
        dated = owners.filter(since.is_valid())
        self._identity = identity
        self._always = ByBin(owners.filter(since.is_null()) if dated.num_rows else owners, "alias")
        self._since = ByBin(dated, "alias")

    def of(self, alias: pa.Array, time: NDArray[np.int64], bins: range) -> pa.Array:
        """The customers of events with these aliases; of a device in these bins, all events must be here."""
        found = self._always.look_up(alias, bins, "customer_id")
        spans = self._since.part(bins)
        if spans.num_rows:
            found = pc.coalesce(found, self._at_the_time(spans, alias, time))
        return pc.coalesce(found, self._identity.anonymous(alias)) if found.null_count else found

    def _at_the_time(self, spans: pa.Table, alias: pa.Array, time: NDArray[np.int64]) -> pa.Array:
        from cjm_analytics.kernels.linking import nearest_of_group
        from cjm_analytics.kernels.stitching import session_starts

        devices = spans.column("alias").combine_chunks()
        names = devices.unique()
        group = pc.index_in(devices, value_set=names).to_numpy().astype(np.int64)
        since = spans.column("since").cast(pa.int64()).to_numpy()
        order = np.lexsort([since, group])
        group, since = group[order], since[order]
        event = pc.fill_null(pc.index_in(alias, value_set=names), -1).to_numpy().astype(np.int64)
        mine = np.flatnonzero(event >= 0)
        of, at = event[mine], time[mine]
        if self._identity.back_fill == "session":
            by_time = np.lexsort([at, of])
            since = session_starts(group, since, of[by_time], at[by_time], _SILENCE)
        place = nearest_of_group(group, since, of, at)
        claimed = since[place] <= at
        rows = np.full(len(alias), -1, dtype=np.int64)
        rows[mine[claimed]] = order[place[claimed]]
        return spans.column("customer_id").combine_chunks().take(pa.array(rows, mask=rows < 0))
