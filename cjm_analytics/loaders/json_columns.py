"""JSON lines as columns, read by Arrow, wherever nothing is lost by it.

Arrow takes what looks like a time for one, makes a fraction of a whole number that stands beside fractions,
and refuses a member that is text here and a number there. The first is undone by saying that it is text;
lines in which one of the others matters are left to whoever reads object by object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JsonColumns"]

_EXACT: Final = 2.0**53


@dataclass
class JsonColumns:
    """Reads blocks of the lines of one file, and remembers what must be read as text.

    Several threads may read at once: whoever does not know yet what another one has learnt looks twice.

    Examples
    --------
    >>> read = JsonColumns().read
    >>> read(b'{"a": {"at": "2025-03-01 10:00:00"}, "b": 1}').to_pylist()
    [{'a': {'at': '2025-03-01 10:00:00'}, 'b': 1}]
    >>> read(b'{"a": 1}' + bytes([10]) + b'{"a": "x"}') is None
    True
    """

    _texts: pa.Schema = field(default_factory=lambda: pa.schema([]))

    def read(self, block: bytes) -> pa.Table | None:
        """A row for each line; None where a line must be looked at by itself."""
        found = self._asked(block)
        if found is not None and found.num_rows != block.count(b"\n") + (not block.endswith(b"\n")):
            return None  # a blank line, or two objects in one
        return found

    def _asked(self, block: bytes) -> pa.Table | None:
        options = arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        for _ in range(2):
            try:
                found = arrow_json.read_json(
                    pa.BufferReader(block),
                    read_options=options,
                    parse_options=arrow_json.ParseOptions(
                        explicit_schema=self._texts, newlines_in_values=False
                    ),
                )
                found.validate()  # lists of nothing but nulls come out damaged
            except pa.ArrowInvalid:
                return None
            times = [one for one in map(_times_as_text, found.schema) if one is not None]
            if not times:
                return None if any(_is_rounded(column) for column in found.columns) else found
            self._texts = pa.unify_schemas([self._texts, pa.schema(times)])
        return None


def _times_as_text(one: pa.Field) -> pa.Field | None:
    """The part of a field that Arrow took for times, as text."""
    kind = one.type
    if pa.types.is_temporal(kind):
        return pa.field(one.name, pa.string())
    if pa.types.is_struct(kind):
        inside = [found for found in map(_times_as_text, _fields(kind)) if found is not None]
        return pa.field(one.name, pa.struct(inside)) if inside else None
    if pa.types.is_list(kind):
        item = _times_as_text(kind.value_field)
        return None if item is None else pa.field(one.name, pa.list_(item.type))
    return None


def _fields(kind: pa.StructType) -> Iterator[pa.Field]:
    return (kind.field(place) for place in range(kind.num_fields))


def _is_rounded(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether a number is too large to be sure of, as whole numbers beside fractions may be."""
    if isinstance(column, pa.ChunkedArray):
        return any(_is_rounded(chunk) for chunk in column.chunks)
    if pa.types.is_floating(column.type):
        return bool(pc.any(pc.greater_equal(pc.abs(column), _EXACT)).as_py())
    if pa.types.is_struct(column.type):
        return any(_is_rounded(inner) for inner in column.flatten())
    return pa.types.is_list(column.type) and _is_rounded(column.flatten())
