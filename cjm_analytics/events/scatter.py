"""Rows scattered into bins by a hash: in memory while they are few, in files beyond that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "BINS",
    "Room",
    "Scatter",
    "bin_of",
    "bins_of_hashes",
    "gathered",
    "is_constant",
    "one_array",
    "reordered",
    "sorted_places",
    "text_buffers",
    "text_hashes",
]

BINS = 1024
"""Buckets are made of whole bins, so that their number may be chosen after the last row was seen."""

_BINS_PER_BATCH = 8
_MORSEL = 100_000
_SPILLED = 1_000_000
"""Rows that go into bins together: few while they stay in memory, for they need not be gathered first; many
when they go to a file, for each bucket opens every file."""

_MORSEL_BYTES = 32 * 2**20
"""Wide rows go into bins together by their bytes: they are in memory three times while they do."""

_CODE = 32
_UPPER_BITS = np.uint64(54)


def text_hashes(texts: pa.Array) -> NDArray[np.uint64]:
    """A hash of each text, the same in every run; there must be no nulls."""
    from cjm_analytics.kernels.ordering import hash_texts

    if not len(texts):
        return np.zeros(0, dtype=np.uint64)
    return hash_texts(*text_buffers(texts))


def text_buffers(texts: pa.Array) -> tuple[NDArray[np.signedinteger[Any]], NDArray[np.uint8]]:
    """Where each text begins and ends, and the bytes of all."""
    kind: type[np.signedinteger[Any]] = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    if not len(texts):
        return np.zeros(1, dtype=kind), np.zeros(0, dtype=np.uint8)
    offsets = np.frombuffer(texts.buffers()[1], dtype=kind)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    return offsets, np.frombuffer(data if data is not None else b"", dtype=np.uint8)


def sorted_places(texts: pa.Array) -> NDArray[np.int64]:
    """Where the texts stand when they are sorted by their bytes, equal ones as they are; without nulls.

    Numbers are sorted many times faster than texts: eight bytes of each decide, and only where they agree the
    whole texts do.
    """
    from cjm_analytics.kernels.ordering import telling_words

    words = telling_words(*text_buffers(texts))
    order = np.argsort(words)
    agrees = np.zeros(len(order) + 1, dtype=bool)
    agrees[1:-1] = np.diff(words[order]) == 0
    undecided = np.flatnonzero(agrees[1:] | agrees[:-1])
    if len(undecided):
        places = np.sort(order[undecided])
        order[undecided] = places[pc.array_sort_indices(texts.take(pa.array(places))).to_numpy()]
    return order


def bin_of(texts: pa.Array) -> NDArray[np.uint16]:
    """The bin of each text."""
    return bins_of_hashes(text_hashes(texts))


def bins_of_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """The bin of texts with these hashes."""
    return (hashes >> _UPPER_BITS).astype(np.uint16)


class _Repeats:
    """Columns that say the same in every row: many short ones are pieces of one long one."""

    def __init__(self) -> None:
        self._longest: dict[pa.Scalar, pa.Array] = {}

    def of(self, said: pa.Scalar, n: int) -> pa.Array:
        known = self._longest.get(said)
        if known is None or len(known) < n:
            known = self._longest[said] = pa.repeat(said, 2 * n)
        return known.slice(0, n)


@dataclass(frozen=True)
class _Morsel:
    """Rows sorted by bin, in memory or in a file: bin b is the rows `bounds[b]:bounds[b + 1]`.

    Attributes
    ----------
    table : pyarrow.Table or None
        Without the columns that are implied.
    path : Path or None
    bounds : int64
    implied : mapping of str to Scalar or str
        Columns that need no room: what all their rows say, or the column that they equal.
    """

    table: pa.Table | None
    path: Path | None
    bounds: NDArray[np.int64]
    implied: Mapping[str, pa.Scalar | str]

    def rows(self, bins: range, repeats: _Repeats) -> pa.Table:
        """The rows of consecutive bins; of a file only what holds them is read."""
        start, end = self.bounds[bins.start], self.bounds[bins.stop]
        if self.table is not None:
            return self._whole(self.table.slice(start, end - start), repeats)
        groups = range(bins.start // _BINS_PER_BATCH, -(-bins.stop // _BINS_PER_BATCH))
        with pa.memory_map(str(self.path)) as file, pa.ipc.open_file(file) as reader:
            table = pa.Table.from_batches([reader.get_batch(group) for group in groups], reader.schema)
        table = table.slice(start - self.bounds[groups.start * _BINS_PER_BATCH], end - start)
        return self._whole(table, repeats)

    def _whole(self, table: pa.Table, repeats: _Repeats) -> pa.Table:
        """The rows with the columns that were implied."""
        for name, said in self.implied.items():
            column = table.column(said) if isinstance(said, str) else repeats.of(said, table.num_rows)
            table = table.append_column(name, column)
        return table

    def written(self, path: Path) -> _Morsel:
        """The same rows in a file, one record batch after the other, so that a part of it can be read."""
        table = self.table
        assert table is not None  # noqa: S101 - a morsel is written once
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            for first in range(0, BINS, _BINS_PER_BATCH):
                start, end = self.bounds[first], self.bounds[first + _BINS_PER_BATCH]
                writer.write_batch(_one_batch(table.slice(start, end - start)))
        return _Morsel(None, path, self.bounds, self.implied)


@dataclass
class Room:
    """How many more bytes of rows may stay in memory, of all scatters that share it."""

    left: int


class Scatter:
    """Tables whose rows are put into bins.

    Parameters
    ----------
    bins : callable
        From a table to the bin of each row.
    folder : Path or None
        Where rows go that do not fit into memory; None: they all stay.
    room : Room
        What may stay in memory where there is a folder.
    """

    def __init__(
        self, bins: Callable[[pa.Table], NDArray[np.uint16]], folder: Path | None, room: Room
    ) -> None:
        self._bins = bins
        self.rows = np.zeros(BINS, dtype=np.int64)
        self.n_bytes = 0
        self._folder = folder
        self._room = room
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self._bytes_waiting = 0
        self._types: dict[str, pa.DataType] = {}
        self._morsels: list[_Morsel] = []

    @property
    def n_rows(self) -> int:
        return int(self.rows.sum()) + self._n_waiting

    @property
    def _is_full(self) -> bool:
        """Whether no more rows may stay in memory."""
        return self._folder is not None and self._room.left <= 0

    def add(self, table: pa.Table) -> None:
        """Take rows in; the columns may differ from those before."""
        if not table.num_rows:
            return
        if any(self._types.get(one.name, one.type) != one.type for one in table.schema):
            self._put_into_bins()
        self._types.update({one.name: one.type for one in table.schema})
        self._waiting.append(table)
        self._n_waiting += table.num_rows
        self._bytes_waiting += table.nbytes
        enough = _SPILLED if self._is_full else _MORSEL
        if self._n_waiting >= enough or self._bytes_waiting >= _MORSEL_BYTES:
            self._put_into_bins()

    def close(self) -> None:
        """All rows are in."""
        self._put_into_bins()

    def clear(self) -> None:
        """Forget all rows."""
        for morsel in self._morsels:
            if morsel.path is not None:
                morsel.path.unlink()
            elif morsel.table is not None:
                self._room.left += morsel.table.nbytes
        self._morsels = []
        self.rows[:] = 0
        self.n_bytes = 0

    def tables(self, bins: range) -> list[pa.Table]:
        """The rows of consecutive bins, in pieces that may differ in their columns."""
        repeats = _Repeats()
        pieces = [morsel.rows(bins, repeats) for morsel in self._morsels]
        return [piece for piece in pieces if piece.num_rows]

    def _put_into_bins(self) -> None:
        if not self._waiting:
            return
        from cjm_analytics.kernels.ordering import order_by_bin

        table = gathered(self._waiting)
        self._waiting, self._n_waiting, self._bytes_waiting, self._types = [], 0, 0, {}
        order, bounds = order_by_bin(self._bins(table), BINS)
        implied = _implied(table)
        table = reordered(table.drop_columns(list(implied)), order)
        self.rows += np.diff(bounds)
        self.n_bytes += table.nbytes
        morsel = _Morsel(table, None, bounds, implied)
        if self._folder is not None and self._is_full:
            self._folder.mkdir(parents=True, exist_ok=True)
            morsel = morsel.written(self._folder / f"{len(self._morsels):06d}.arrow")
        else:
            self._room.left -= table.nbytes
        self._morsels.append(morsel)


def gathered(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables as one with one chunk per column; a column that some lack is null there."""
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def reordered(table: pa.Table, order: NDArray[np.int32]) -> pa.Table:
    """The rows in another order. What says the same everywhere stays as it is; equal columns stay one.

    `order` must hold places of rows only: it is not checked.
    """
    places = pa.array(order)
    implied = _implied(table) if len(order) == table.num_rows else {}
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = one_array(table.column(name))
        columns[name] = column if name in implied else pc.take(column, places, boundscheck=False)
    for name, said in implied.items():
        if isinstance(said, str):
            columns[name] = columns[said]
    return pa.table(columns)


def _implied(table: pa.Table) -> dict[str, pa.Scalar | str]:
    """Columns of codes that say the same everywhere, and `src_row` where it is `seq`.

    A source without an order of its own has the numbers of its rows there.
    """
    found: dict[str, pa.Scalar | str] = {}
    for name in table.column_names:
        column = one_array(table.column(name))
        if len(column) and is_constant(column):
            found[name] = column[0]
    if {"seq", "src_row"} <= set(table.column_names) and table["seq"].equals(table["src_row"]):
        found["src_row"] = "seq"
    return found


def is_constant(codes: pa.Array) -> bool:
    """Whether a column of codes says the same in every row; of other columns it is not asked."""
    if not pa.types.is_integer(codes.type) or codes.type.bit_width > _CODE or codes.null_count:
        return False
    bounds = pc.min_max(codes)
    return bool(bounds["min"] == bounds["max"])


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [one_array(column) for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece, without a copy where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
