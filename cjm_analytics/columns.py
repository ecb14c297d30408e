"""Named columns of equal length, read only when somebody asks for them."""

from __future__ import annotations

import mmap
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cjm_analytics.errors import InputError
from cjm_analytics.far_path import opened
from cjm_analytics.once import cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cjm_analytics.far_path import FarPath

__all__ = [
    "Columns",
    "FileColumns",
    "HeldColumns",
    "MappedColumns",
    "MemoryColumns",
    "RecodedColumns",
    "as_numpy",
    "dotted",
    "plain",
    "remembered",
    "runs",
    "set_memory_budget",
]


class Columns(Protocol):
    """A table whose columns are fetched by name."""

    @property
    def n_rows(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def read(self, names: Sequence[str]) -> pa.Table: ...
    def take(self, rows: NDArray[np.int64]) -> Columns: ...


@dataclass(frozen=True, eq=False)
class MemoryColumns:
    """Columns that are in memory already."""

    table: pa.Table

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> MemoryColumns:
        """Wrap NumPy arrays without copying them."""
        return cls(pa.table({name: pa.array(array) for name, array in arrays.items()}))

    @property
    def n_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.table.column_names)

    def read(self, names: Sequence[str]) -> pa.Table:
        return self.table.select(list(names))

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return MemoryColumns(self.table.take(pa.array(rows)))


@dataclass(frozen=True, eq=False)
class FileColumns:
    """Columns of one Parquet file, perhaps only some of its rows; cached within the memory budget."""

    path: Path | FarPath
    rows: NDArray[np.int64] | None = None

    @property
    def n_rows(self) -> int:
        return len(self.rows) if self.rows is not None else self._footer[0]

    @property
    def names(self) -> tuple[str, ...]:
        return self._footer[1]

    @property
    def remarks(self) -> Mapping[bytes, bytes]:
        """What the writer of the file noted in its footer."""
        return self._footer[2]

    @cached_property
    def _footer(self) -> tuple[int, tuple[str, ...], Mapping[bytes, bytes]]:
        """Number of rows, names, and remarks; files never change once written."""
        with pq.ParquetFile(opened(self.path)) as file:
            remarks = file.metadata.metadata or {}
            return int(file.metadata.num_rows), tuple(file.schema_arrow.names), remarks

    def read(self, names: Sequence[str]) -> pa.Table:
        table = _CACHE.read(self.path, names)
        return table if self.rows is None else table.take(pa.array(self.rows))

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return FileColumns(self.path, rows if self.rows is None else self.rows[rows])


@dataclass(frozen=True, eq=False)
class MappedColumns:
    """Columns of one Arrow file: as they lie on disk, so they lie in memory, and nothing is decoded.

    The file is mapped while somebody works on its columns, and no longer: what was touched counts as memory
    until then, and stays in the system's cache of files after it.
    """

    path: Path
    rows: NDArray[np.int64] | None = None
    stored: int | None = None
    """How many rows the file has, where that is known without looking."""
    table: pa.Table | None = None
    """The file while it is mapped."""

    @property
    def n_rows(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return self.stored if self.stored is not None else self._layout[0]

    @property
    def names(self) -> tuple[str, ...]:
        return self._layout[1]

    @cached_property
    def _layout(self) -> tuple[int, tuple[str, ...]]:
        """Number of rows, and names; files never change once written."""
        table = self._mapped()
        return int(table.num_rows), tuple(table.column_names)

    def read(self, names: Sequence[str]) -> pa.Table:
        table = self._mapped().select(list(names))
        return table if self.rows is None else table.take(pa.array(self.rows))

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def mapped(self) -> MappedColumns:
        """The same columns, whose file stays mapped for as long as somebody holds them."""
        return replace(self, table=self._mapped())

    def _mapped(self) -> pa.Table:
        if self.table is not None:
            return self.table
        # Mapped by Python: Arrow's own mapping asks the system for pages before anybody needs them.
        with self.path.open("rb") as file:
            source = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        with pa.ipc.open_file(source) as reader:
            return reader.read_all()


@dataclass(frozen=True, eq=False)
class HeldColumns:
    """Columns that are read once and kept for as long as somebody works on them; for one thread."""

    source: Columns
    held: dict[str, pa.ChunkedArray] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        return self.source.n_rows

    @property
    def names(self) -> tuple[str, ...]:
        return self._opened.names

    def read(self, names: Sequence[str]) -> pa.Table:
        missing = [name for name in dict.fromkeys(names) if name not in self.held]
        if missing:
            fresh = self._opened.read(missing)
            self.held.update((name, fresh.column(name)) for name in missing)
        return pa.table({name: self.held[name] for name in names})

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return self.source.take(rows)

    @cached_property
    def _opened(self) -> Columns:
        """The source; a file is mapped once."""
        return self.source.mapped() if isinstance(self.source, MappedColumns) else self.source


@dataclass(frozen=True, eq=False)
class RecodedColumns:
    """Columns some of whose codes become others: code c of a column is now `codes[name][c]`; −1 stays."""

    source: Columns
    codes: Mapping[str, NDArray[Any]]

    @property
    def n_rows(self) -> int:
        return self.source.n_rows

    @property
    def names(self) -> tuple[str, ...]:
        return self.source.names

    def read(self, names: Sequence[str]) -> pa.Table:
        table = self.source.read(names)
        for place, name in enumerate(table.column_names):
            if name in self.codes:
                # The last entry is that of −1.
                new = np.append(self.codes[name], -1)[as_numpy(table.column(name))]
                kind = table.schema.field(name).type
                table = table.set_column(place, name, pa.array(new).cast(kind))
        return table

    def take(self, rows: NDArray[np.int64]) -> Columns:
        return RecodedColumns(self.source.take(rows), self.codes)


class _ColumnCache:
    """Columns of files, the least recently used forgotten first. Files never change once written."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._held: OrderedDict[tuple[str, str], pa.ChunkedArray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, path: Path | FarPath, names: Sequence[str]) -> pa.Table:
        keys = {name: (str(path), name) for name in names}
        with self._lock:
            found = {name: self._held[key] for name, key in keys.items() if key in self._held}
            for name in found:
                self._held.move_to_end(keys[name])
        missing = [name for name in keys if name not in found]
        if missing:
            with pq.ParquetFile(opened(path)) as file:
                fresh = file.read(columns=missing)
            for name in missing:
                found[name] = _in_one_piece(fresh.column(name))
                self._hold(keys[name], found[name])
        return pa.table({name: found[name] for name in keys})

    def made(self, key: tuple[str, str], make: Callable[[], NDArray[Any]]) -> pa.ChunkedArray:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        column = pa.chunked_array([pa.array(make())])
        self._hold(key, column)
        return column

    def _hold(self, key: tuple[str, str], column: pa.ChunkedArray) -> None:
        with self._lock:
            if key in self._held or column.nbytes > self.budget:
                return
            self._held[key] = column
            self._bytes += column.nbytes
            self.shrink()

    def shrink(self) -> None:
        while self._bytes > self.budget:
            _, forgotten = self._held.popitem(last=False)
            self._bytes -= forgotten.nbytes


def _in_one_piece(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers without a seam between row groups, so that `as_numpy` needs no copy each time it is asked."""
    if column.num_chunks == 1 or not pa.types.is_primitive(column.type):
        return column
    return pa.chunked_array([column.combine_chunks()], column.type)


_CACHE = _ColumnCache(budget=512 * 2**20)

_NARROW = 18
"""Digits of a decimal that fit into 64 bits."""

_SIZES = {"kb": 2**10, "mb": 2**20, "gb": 2**30, "b": 1}


def set_memory_budget(size: int | str) -> None:
    """How much memory the columns of stored journeys may keep between two analyses.

    What does not fit is read again from its file; results do not depend on it.

    Parameters
    ----------
    size : int or str
        Bytes, or text with a unit: `"500 MB"`, `"2 GB"`; 0 keeps nothing.

    Raises
    ------
    InputError
        The text is no size, or it is negative.

    Examples
    --------
    >>> set_memory_budget("512 MB")
    """
    text = str(size).strip().casefold()
    unit = next((unit for unit in _SIZES if text.endswith(unit)), "")
    try:
        budget = float(text.removesuffix(unit)) * _SIZES.get(unit, 1)
    except ValueError:
        budget = -1.0
    if not budget >= 0:
        raise InputError(f"{size!r} is no amount of memory. Write bytes, or a number with KB, MB or GB.")
    with _CACHE._lock:  # noqa: SLF001 - the cache is this module's own
        _CACHE.budget = int(budget)
        _CACHE.shrink()


def remembered(owner: str, name: str, make: Callable[[], NDArray[Any]]) -> pa.ChunkedArray:
    """A column that its owner makes: kept within the memory budget, or made again when next asked for."""
    return _CACHE.made((owner, name), make)


def as_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    """The values as a NumPy array, without a copy where Arrow allows it; there must be no nulls."""
    if column.num_chunks == 1:
        return column.chunk(0).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    return column.to_numpy()  # type: ignore[no-any-return]


def concatenated(tables: Iterable[pa.Table]) -> pa.Table:
    """Tables of the same columns as one; dictionaries are unified."""
    return pa.concat_tables(list(tables), promote_options="permissive").unify_dictionaries()


def dotted(properties: pa.ChunkedArray, name: str) -> pa.Array:
    """The text at a dotted name inside JSON, null where there is none; each distinct object is parsed once.

    Examples
    --------
    >>> dotted(pa.chunked_array([['{"cart": {"size": 2}}', None]]), "cart.size").to_pylist()
    ['2', None]
    """
    import orjson

    encoded = properties.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # no chunk at all
        return pa.nulls(0, pa.string())

    def look_up(text: str | None) -> str | None:
        value = orjson.loads(text) if text else None
        if isinstance(value, dict) and name in value:
            return _as_text(value[name])
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return _as_text(value)

    found = [look_up(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(encoded.indices)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    import orjson

    return orjson.dumps(value).decode()


def plain(table: pa.Table) -> pa.Table:
    """Names as text and decimals as floats: what an analyst expects in a frame."""
    for position, one in enumerate(table.schema):
        if pa.types.is_dictionary(one.type):
            table = table.set_column(position, one.name, table.column(position).cast(one.type.value_type))
        elif pa.types.is_decimal(one.type):
            table = table.set_column(position, one.name, _floats(table.column(position)))
    return table


def _floats(decimals: pa.ChunkedArray) -> pa.ChunkedArray:
    """The nearest float of each: a quotient is rounded once, so 49.9000 is 49.9 and not a bit beside it."""
    if decimals.type.precision > _NARROW:  # a database's: the digits as one integer do not fit
        return pc.cast(pc.cast(decimals, pa.string()), pa.float64())
    scale = 10**decimals.type.scale
    whole = pc.cast(pc.multiply(decimals, pa.scalar(scale)), pa.int64())
    return pc.divide(pc.cast(whole, pa.float64(), safe=False), float(scale))


def runs(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers of the ranges `start … start + length`, one range after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)
