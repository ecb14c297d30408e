"""One partition of an event store: whole customers, sorted, columns read when asked for."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cjm_analytics.columns import FileColumns, MemoryColumns, dotted
from cjm_analytics.errors import StoreError, UnknownNameError
from cjm_analytics.once import cached_property

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns

__all__ = ["EventColumns", "EventPartition", "lengths_remark"]

_DOTTED = "properties."
_LENGTHS = b"cjm.events_per_customer"


def lengths_remark(lengths: NDArray[np.int64]) -> dict[str, str]:
    """What the footer of a file of sorted events says of its customers: how many events each has."""
    plain = lengths.astype("<i4").tobytes()
    packed = base64.b64encode(pa.compress(plain, codec="zstd", asbytes=True)).decode()
    return {_LENGTHS.decode(): f"{len(plain)}:{packed}"}


def _unpacked(remark: bytes) -> NDArray[np.int32]:
    size, packed = remark.split(b":")
    plain = pa.decompress(base64.b64decode(packed), int(size), codec="zstd", asbytes=True)
    return np.frombuffer(plain, "<i4")


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

    @property
    def lengths(self) -> NDArray[np.int32] | None:
        """How many rows each customer has, in their order; None where the file does not say it."""
        if not isinstance(self.held, FileColumns) or self.held.rows is not None:
            return None
        with self._told_if_damaged():
            remark = self.held.remarks.get(_LENGTHS)
        return None if remark is None else _unpacked(remark)

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

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Customer i is the rows `offsets[i]:offsets[i + 1]`; ids are read only if they must be."""
        lengths = self.columns.lengths
        if lengths is None:
            return self.customers()[1]
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return offsets

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
