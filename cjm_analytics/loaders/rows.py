"""Blocks of raw rows, of columns or of objects: what every reader of files gives and every mapping takes."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.values import (
    as_json,
    holds_any,
    json_texts,
    object_text,
    plain,
    strings,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray


__all__ = [
    "BLOCK_ROWS",
    "JSON",
    "RAW_LENGTH",
    "Blocks",
    "Broken",
    "ColumnRows",
    "ObjectRows",
    "Rows",
    "filled_member",
    "holds_json",
    "in_small_letters",
    "inferred",
    "member",
    "words",
]

BLOCK_ROWS: Final = 131_072
JSON: Final = r"^\s*[\[{]"
"""How an object or a list begins."""
_WIDE: Final = 24
RAW_LENGTH: Final = 1_000
"""So much is shown of a row that could not be read."""


@dataclass(frozen=True)
class Broken:
    """A row that could not even be read."""

    number: int
    reason: str
    raw: str


class Rows(Protocol):
    """A block of raw rows.

    Attributes
    ----------
    file : str
        Where they come from.
    numbers : numpy.ndarray
        Their row numbers.
    broken : list of Broken
        Rows of this block that are not among them.
    is_sparse : bool
        Whether a column may be absent only because no row of the block has anything in it.
    """

    @property
    def file(self) -> str: ...
    @property
    def numbers(self) -> NDArray[np.int64]: ...
    @property
    def broken(self) -> list[Broken]: ...
    @property
    def is_sparse(self) -> bool: ...
    def __len__(self) -> int: ...
    def has(self, name: str) -> bool: ...
    def names(self) -> list[str]: ...
    def column(self, name: str) -> pa.Array: ...
    def properties(self, taken: Collection[str]) -> pa.Array | None: ...
    def raw(self, row: int) -> str: ...


@runtime_checkable
class Blocks(Protocol):
    """What streams its rows itself: the first block, perhaps empty, tells the columns."""

    def blocks(self) -> Iterator[pa.RecordBatch]: ...


@dataclass(frozen=True)
class ColumnRows:
    """Rows that came as columns: CSV (all text), Parquet, frames."""

    file: str
    table: pa.Table
    numbers: NDArray[np.int64]
    separator: str | None = None
    broken: list[Broken] = field(default_factory=list)
    is_sparse: bool = False
    text: bytes | None = None  # as they were read, where a line is a row
    read: Rows | None = field(default=None, repr=False)  # of which these were made, row by row

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Whether there is such a column; `a.b` is member b of a column a of structs or JSON text."""
        if name in self._names:
            return True
        head, _, rest = name.partition(".")
        if not rest or head not in self._names:
            return False
        kind = self.table.schema.field(head).type
        return not pa.types.is_struct(kind) or _field(kind, rest) is not None

    def names(self) -> list[str]:
        return list(self._names)

    @cached_property
    def _names(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.table.column_names)}

    @cached_property
    def _cells(self) -> dict[str, pa.Array]:
        return {}

    def column(self, name: str) -> pa.Array:
        if name not in self._cells:
            self._cells[name] = self._read(name)
        return self._cells[name]

    def _read(self, name: str) -> pa.Array:
        if name in self._names:
            return plain(self.table.column(self._names[name]))
        head, _, rest = name.partition(".")
        if not rest:
            return pa.nulls(len(self), pa.string())  # no object of this block has it
        cells = self.column(head)
        if not pa.types.is_struct(cells.type):
            if not holds_json(cells):
                return pa.nulls(len(self), pa.string())
            return inferred([member(_parsed(cell), rest) for cell in cells.to_pylist()])
        place = _field(cells.type, rest)
        return pa.nulls(len(cells), pa.string()) if place is None else plain(pc.struct_field(cells, place))

    def properties(self, taken: Collection[str]) -> pa.Array | None:
        left = {name: self.column(name) for name in self._names if name not in taken}
        return json_texts(left)

    @cached_property
    def _lines(self) -> list[bytes]:
        return (self.text or b"").split(b"\n")

    def raw(self, row: int) -> str:
        if self.read is not None:
            return self.read.raw(row)
        if self.text is not None:
            return self._lines[row].decode("utf-8", "replace").rstrip("\r")
        cells = {name: self.table[name][row].as_py() for name in self.table.column_names}
        if self.separator is None:
            return orjson.dumps(cells, default=str).decode()
        out = io.StringIO()
        csv.writer(out, delimiter=self.separator, lineterminator="").writerow(cells.values())
        return out.getvalue()


def in_small_letters(rows: Rows) -> Rows:
    """Rows whose columns are all called in capitals, as Snowflake writes them, by names in small letters."""
    names = rows.names()
    small = {name: name.lower() for name in names}
    if any(name != name.upper() for name in names) or len(set(small.values())) < len(names):
        return rows
    if isinstance(rows, ColumnRows):
        return replace(rows, table=rows.table.rename_columns(list(small.values())))
    if isinstance(rows, ObjectRows):
        return replace(
            rows, objects=[{small[name]: said for name, said in row.items()} for row in rows.objects]
        )
    return rows


def holds_json(cells: pa.Array) -> bool:
    """Whether objects or lists may stand in a column, be it as JSON text."""
    if pa.types.is_string(cells.type):
        return holds_any(cells, b"[{") and bool(pc.any(pc.match_substring_regex(cells, JSON)).as_py())
    return bool(pa.types.is_nested(cells.type))


def _field(kind: pa.DataType, path: str) -> list[int] | None:
    """Where in structs a dotted path leads; a name that holds dots wins."""
    if not pa.types.is_struct(kind):
        return None
    place = kind.get_field_index(path)
    if place >= 0:
        return [place]
    head, _, rest = path.partition(".")
    place = kind.get_field_index(head)
    if not rest or place < 0:
        return None
    inside = _field(kind.field(place).type, rest)
    return None if inside is None else [place, *inside]


def words(rows: Rows, name: str) -> pa.Array:
    """A column of few names: as codes where it came as codes."""
    if isinstance(rows, ColumnRows) and name in rows.table.column_names:
        chunks = rows.table[name].chunks
        if (
            len(chunks) == 1
            and pa.types.is_dictionary(chunks[0].type)
            and not chunks[0].dictionary.null_count
        ):
            return chunks[0]
    return rows.column(name)


@dataclass(frozen=True)
class ObjectRows:
    """Rows that came as JSON objects."""

    file: str
    objects: list[dict[str, Any]]
    numbers: NDArray[np.int64]
    lines: Sequence[bytes] | None = None
    broken: list[Broken] = field(default_factory=list)
    is_sparse: bool = True
    n_skipped: int = 0  # entries of the source that are no rows by the rules of its format
    read: Rows | None = field(default=None, repr=False)  # of which these were made, row by row

    def __len__(self) -> int:
        return len(self.objects)

    def has(self, name: str) -> bool:
        """Whether any object has such a member, directly or (`a.b`) inside another."""
        if name in self._names:
            return True
        head, _, rest = name.partition(".")
        if not rest or head not in self._names:
            return False
        found = self.column(name)
        return bool(found.null_count < len(found))

    def names(self) -> list[str]:
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(itertools.chain.from_iterable(self.objects)))

    @cached_property
    def _cells(self) -> dict[str, pa.Array]:
        return {}

    def column(self, name: str) -> pa.Array:
        if name not in self._cells:
            self._cells[name] = inferred(self._values(name))
        return self._cells[name]

    def _values(self, name: str) -> list[object]:
        """The member of each object; `a.b` is a member b of a member a, unless a name holds dots itself."""
        head, _, rest = name.partition(".")
        if not rest:
            try:
                return list(map(itemgetter(name), self.objects))
            except KeyError:
                return [one.get(name) for one in self.objects]
        if name in self._names:
            return [member(one, name) for one in self.objects]
        inside = self._values(head)
        if "." in rest:
            return [member(one, rest) for one in inside]
        return [one.get(rest) if type(one) is dict else None for one in inside]

    def properties(self, taken: Collection[str]) -> pa.Array | None:
        left = [name for name in self._names if name not in taken]
        if "properties" in left or len(left) > _WIDE:
            return self._properties_by_row(set(taken))
        return json_texts({name: _json_column(self._values(name)) for name in left})

    def _properties_by_row(self, taken: set[str]) -> pa.Array:
        taken |= {"properties"}
        texts = [
            object_text(
                _members(one.get("properties")),
                {name: value for name, value in one.items() if name not in taken and value is not None},
            )
            for one in self.objects
        ]
        return pa.array(texts, pa.binary()).cast(pa.string())

    def raw(self, row: int) -> str:
        if self.read is not None:
            return self.read.raw(row)
        if self.lines is not None:
            return self.lines[row].decode("utf-8", "replace")
        return orjson.dumps(self.objects[row], default=str).decode()


def _json_column(values: Sequence[object]) -> pa.Array:
    """A member of JSON objects as a column: of its own type if that is simple, else of values as JSON."""
    try:
        found = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        found = None
    if found is None or pa.types.is_nested(found.type):
        return as_json(values)
    return found


def _members(cell: object) -> dict[str, Any]:
    if isinstance(cell, dict):
        return {name: value for name, value in cell.items() if value is not None}
    return {} if cell is None else {"properties": cell}


def _parsed(cell: object) -> object:
    if isinstance(cell, str):
        try:
            return orjson.loads(cell)
        except orjson.JSONDecodeError:
            return None
    return cell


def member(cell: object, path: str) -> object:
    """The member of an object at a dotted path; None where there is none. A key that holds dots wins."""
    while isinstance(cell, dict):
        if path in cell:
            return cell[path]
        head, _, path = path.partition(".")
        if not path:
            return None
        cell = cell.get(head)
    return None


def filled_member(values: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - a cell of any type
    """The first of several members, dotted or not, that is not empty."""
    for name in names:
        found = member(values, name)
        if found not in (None, ""):
            return found
    return None


def inferred(values: Sequence[object]) -> pa.Array:
    """Values of a JSON member as a column: its own type if it has one, else text."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    if all(value is None or type(value) in {int, float, bool} for value in values):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
    return strings(values)
