"""One partition of an event store: whole customers, sorted, columns read when asked for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cjm_analytics.columns import MemoryColumns, dotted
from cjm_analytics.errors import StoreError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns

__all__ = ["EventColumns", "EventPartition"]

_DOTTED = "properties."


@dataclass(frozen=True, eq=False)
class EventColumns:
    """The columns of a schema over a table that holds only some of them; the others are null.

    `properties.<dotted>` reads out of the JSON of `properties`, as text.

    Attributes
    ----------
    held : Columns
        What is really there.
    schema : pyarrow.Schema
        Every column that can be asked for, with its type.
    n_rows : int
    place : str
        Where the columns are, for messages.
    """

    held: Columns
    schema: pa.Schema
    n_rows: int
    place: str = "memory"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def read(self, names: Sequence[str]) -> pa.Table:
        """The columns by name, with the types of the schema.

        Raises
        ------
        UnknownNameError
            The schema has no such column.
        StoreError
            The file is missing or damaged.
        """
        wanted = list(dict.fromkeys(names))
        physical = list(dict.fromkeys(self._column_of(name) for name in wanted))
        stored = self.stored(physical)
        there = set(stored.column_names)
        columns = {
            name: self._typed(stored, name) if name in there else self._nulls(name) for name in physical
        }
        for name in wanted:
            if name not in columns:
                columns[name] = dotted(columns["properties"], name.removeprefix(_DOTTED))
        if not wanted:
            return stored
        return pa.table({name: columns[name] for name in wanted})

    def stored(self, names: Sequence[str]) -> pa.Table:
        """Those of the columns that are really there, with the types that they are kept in."""
        there = set(self.filled)
        with self._told_if_damaged():
            return self.held.read([name for name in names if name in there])

    @property
    def filled(self) -> tuple[str, ...]:
        """The columns that are really there; the others are null throughout."""
        with self._told_if_damaged():
            return self.held.names

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return EventColumns(self.held.take(rows), self.schema, len(rows), self.place)

    def _column_of(self, name: str) -> str:
        if name in self.schema.names:
            return name
        if name.startswith(_DOTTED):
            return "properties"
        raise UnknownNameError("column", name, self.schema.names)

    @contextmanager
    def _told_if_damaged(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"{self.place} cannot be read: {error}. The file is missing or damaged, or a later ingest "
                "replaced it: open the store again with cjm.open_events, or restore the file."
            ) from error

    def _nulls(self, name: str) -> pa.ChunkedArray:
        return pa.chunked_array([pa.nulls(self.n_rows, self.schema.field(name).type)])

    def _typed(self, stored: pa.Table, name: str) -> pa.ChunkedArray:
        column, wanted = stored.column(name), self.schema.field(name).type
        return column if column.type == wanted else column.cast(wanted)


@dataclass(frozen=True, eq=False)
class EventPartition:
    """Events of customers that are in no other partition.

    Rows are sorted by customer_id, timestamp, seq and event_id.

    Attributes
    ----------
    columns : EventColumns
        Every column of the store's schema; one that nothing is known of is null.
    """

    columns: EventColumns

    @classmethod
    def of(cls, table: pa.Table, schema: pa.Schema) -> EventPartition:
        """A partition of rows in memory that are sorted already."""
        return cls(EventColumns(MemoryColumns(table), schema, table.num_rows))

    @property
    def n_rows(self) -> int:
        return self.columns.n_rows

    def customers(self) -> tuple[pa.Array, NDArray[np.int64]]:
        """The customers' ids in order, and offsets: customer i is the rows `offsets[i]:offsets[i + 1]`."""
        if self.n_rows == 0:
            return pa.array([], pa.string()), np.zeros(1, dtype=np.int64)
        column = self.columns.stored(["customer_id"]).column("customer_id")
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        column = column.unify_dictionaries()
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])
        starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
        names = column.chunk(0).dictionary.cast(pa.string()).take(pa.array(codes[starts]))
        return names, np.concatenate([starts, [len(codes)]]).astype(np.int64)
