"""Rows scattered into bins by a hash: in memory while they are few, in files beyond that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["BINS", "Scatter", "bin_of", "gathered", "one_array", "text_hashes"]

BINS = 1024
"""Buckets are made of whole bins, so that their number may be chosen after the last row was seen."""

_MORSEL = 262_144
_MORSEL_BYTES = 128 * 2**20
_UPPER_BITS = np.uint64(54)


def text_hashes(texts: pa.Array) -> NDArray[np.uint64]:
    """A hash of each text, the same in every run; there must be no nulls."""
    from cjm_analytics.kernels.ordering import hash_texts

    if not len(texts):
        return np.zeros(0, dtype=np.uint64)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    return hash_texts(offsets, np.frombuffer(data if data is not None else b"", dtype=np.uint8))


def bin_of(texts: pa.Array) -> NDArray[np.uint16]:
    """The bin of each text."""
    return (text_hashes(texts) >> _UPPER_BITS).astype(np.uint16)


@dataclass(frozen=True)
class _File:
    """Record batches on disk, those of one bin after those of another."""

    path: Path
    first: Sequence[int]

    def read(self, bins: range) -> pa.Table:
        with pa.memory_map(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            wanted = range(self.first[bins.start], self.first[bins.stop])
            return pa.Table.from_batches([reader.get_batch(one) for one in wanted], reader.schema)


class Scatter:
    """Tables whose rows are put into bins by a text.

    Parameters
    ----------
    key : callable
        From a table to the text of each row; no nulls in it.
    folder : Path or None
        Where rows go that do not fit into memory; None: they all stay.
    limit : int
        How many bytes of rows may stay in memory.
    """

    def __init__(self, key: Callable[[pa.Table], pa.Array], folder: Path | None, limit: int) -> None:
        self._key = key
        self.rows = np.zeros(BINS, dtype=np.int64)
        self.n_bytes = 0
        self._folder = folder
        self._limit = limit
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self._bytes_waiting = 0
        self._types: dict[str, pa.DataType] = {}
        self._held: list[tuple[pa.Table, NDArray[np.int64]]] = []
        self._held_bytes = 0
        self._files: list[_File] = []

    @property
    def n_rows(self) -> int:
        return int(self.rows.sum()) + self._n_waiting

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
        if self._n_waiting >= _MORSEL or self._bytes_waiting >= _MORSEL_BYTES:
            self._put_into_bins()

    def close(self) -> None:
        """All rows are in."""
        self._put_into_bins()

    def clear(self) -> None:
        """Forget all rows."""
        self._held, self._held_bytes = [], 0
        for file in self._files:
            file.path.unlink()
        self._files = []

    def tables(self, bins: range) -> list[pa.Table]:
        """The rows of consecutive bins, in pieces that may differ in their columns."""
        pieces = [file.read(bins) for file in self._files]
        pieces += [
            table.slice(bounds[bins.start], bounds[bins.stop] - bounds[bins.start])
            for table, bounds in self._held
        ]
        return [piece for piece in pieces if piece.num_rows]

    def _put_into_bins(self) -> None:
        if not self._waiting:
            return
        table = gathered(self._waiting)
        self._waiting, self._n_waiting, self._bytes_waiting, self._types = [], 0, 0, {}
        place = bin_of(self._key(table))
        counts = np.bincount(place, minlength=BINS)
        table = table.take(pa.array(np.argsort(place, kind="stable")))
        bounds = np.concatenate([[0], np.cumsum(counts)])
        self.rows += counts
        self._held.append((table, bounds))
        self.n_bytes += table.nbytes
        self._held_bytes += table.nbytes
        if self._folder is not None and self._held_bytes > self._limit:
            self._write()

    def _write(self) -> None:
        assert self._folder is not None  # noqa: S101 - only called with a folder
        self._folder.mkdir(parents=True, exist_ok=True)
        held, self._held, self._held_bytes = self._held, [], 0
        while held:
            n_alike = len(_alike([table for table, _ in held]))
            self._files.append(self._written(held[:n_alike]))
            held = held[n_alike:]

    def _written(self, held: list[tuple[pa.Table, NDArray[np.int64]]]) -> _File:
        assert self._folder is not None  # noqa: S101 - only called with a folder
        path = self._folder / f"{len(self._files):05d}.arrow"
        schema = gathered([table.slice(0, 0) for table, _ in held]).schema
        first = [0]
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema, options=options) as writer:
            n_batches = 0
            for one in range(BINS):
                piece = gathered([table.slice(at[one], at[one + 1] - at[one]) for table, at in held])
                for batch in piece.to_batches():
                    writer.write_batch(batch)
                    n_batches += 1
                first.append(n_batches)
        return _File(path, first)


def gathered(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables as one with one chunk per column; a column that some lack is null there."""
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece, without a copy where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _alike(tables: Sequence[pa.Table]) -> Sequence[pa.Table]:
    """As many of the first tables as have the same type wherever they have the same column."""
    types: dict[str, pa.DataType] = {}
    for number, table in enumerate(tables):
        if any(types.setdefault(one.name, one.type) != one.type for one in table.schema):
            return tables[:number]
    return tables
