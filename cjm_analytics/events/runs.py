"""Several sorted runs of the same customers, read as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.duplicates import integers
from cjm_analytics.events.partition import EventColumns, EventPartition
from cjm_analytics.once import cached_property

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns

__all__ = ["MergedColumns", "merged"]


def merged(runs: Sequence[EventColumns], schema: pa.Schema, place: str) -> EventPartition:
    """One partition from its runs, the oldest first."""
    if len(runs) == 1:
        return EventPartition(runs[0])
    held = MergedColumns(tuple(runs), schema)
    return EventPartition(EventColumns(held, schema, held.n_rows, place))


@dataclass(frozen=True, eq=False)
class MergedColumns:
    """Runs that are each sorted by customer and time, in the order of all their rows.

    Rows of one customer, timestamp and seq stand in the order of the runs: whoever writes a run makes sure
    that this is where they belong.

    Attributes
    ----------
    runs : tuple of EventColumns
        The oldest first.
    schema : pyarrow.Schema
    rows : int64 or None
        Places in the runs, one after the other, of the rows that are meant; None: all, merged.
    """

    runs: tuple[EventColumns, ...]
    schema: pa.Schema
    rows: NDArray[np.int64] | None = None

    @property
    def n_rows(self) -> int:
        return len(self.rows) if self.rows is not None else sum(run.n_rows for run in self.runs)

    @property
    def names(self) -> tuple[str, ...]:
        held = {name for run in self.runs for name in run.filled}
        return tuple(name for name in self.schema.names if name in held)

    def read(self, names: Sequence[str]) -> pa.Table:
        tables = [run.stored(names) for run in self.runs]
        order = pa.array(self._order)
        return pa.table({name: self._one(name, tables).take(order) for name in names})

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return MergedColumns(self.runs, self.schema, self._order[rows])

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Where the rows stand in the runs, one after the other."""
        if self.rows is not None:
            return self.rows
        from cjm_analytics.kernels.ordering import sort_events

        customers = [EventPartition(run).customers() for run in self.runs]
        ids = pa.concat_arrays([one for one, _ in customers]).dictionary_encode()
        by_id = pc.array_sort_indices(ids.dictionary).to_numpy()
        rank = np.empty(len(by_id), dtype=np.int32)
        rank[by_id] = np.arange(len(by_id), dtype=np.int32)
        lengths = np.concatenate([np.diff(offsets) for _, offsets in customers])
        code = np.repeat(rank[ids.indices.to_numpy()], lengths)
        table = pa.concat_tables(
            (run.read(["timestamp", "seq"]) for run in self.runs), promote_options="default"
        )
        order, *_ = sort_events(code, len(rank), integers(table, "timestamp", 0), integers(table, "seq", 0))
        return order.astype(np.int64)

    def _one(self, name: str, tables: Sequence[pa.Table]) -> pa.Array:
        """A column of all runs; null where a run does not have it."""
        kinds = {table.schema.field(name).type for table in tables if name in table.column_names}
        kind = kinds.pop() if len(kinds) == 1 else self.schema.field(name).type
        chunks = []
        for run, table in zip(self.runs, tables, strict=True):
            if name not in table.column_names:
                chunks.append(pa.nulls(run.n_rows, kind))
                continue
            column = table.column(name)
            chunks += (column if column.type == kind else column.cast(kind)).chunks
        together = pa.chunked_array(chunks, kind)
        if pa.types.is_dictionary(kind):
            together = together.unify_dictionaries()
        together = together.combine_chunks()
        return together if isinstance(together, pa.Array) else pa.concat_arrays(together.chunks)
