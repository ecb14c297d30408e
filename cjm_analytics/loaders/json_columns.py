"""JSON lines as columns wherever nothing is lost by it: flat objects by our own kernel, others by Arrow.

Lines of plain values are cut where these stand, which takes half the time of a parser for everything. Arrow
takes what looks like a time for one, makes a fraction of a whole number that stands beside fractions, and
refuses a member that is text here and a number there. The first is undone by saying that it is text; lines
in which one of the others matters are left to whoever reads object by object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

from cjm_analytics.loaders.values import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["JsonColumns"]

_EXACT: Final = 2.0**53
_FEED: Final = ord("\n")
_OPENING: Final = ord("{")


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
        starts = _line_starts(block)
        if np.any(np.frombuffer(block, np.uint8)[starts] != _OPENING):
            return None  # a line that is no object: Arrow breaks down over a block of nothing but `null`
        n_lines = len(starts)
        first = _first_object(block)
        is_flat = bool(first) and not any(isinstance(one, dict | list) for one in first.values())
        found = _flat(block, list(first), n_lines) if is_flat else None
        if found is None:
            found = self._asked(block)
        if found is None or found.num_rows != n_lines:  # a blank line, or two objects in one
            return None
        return None if any(map(_is_rounded, found.columns)) else _in_order(found, first)

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
                return found
            self._texts = pa.unify_schemas([self._texts, pa.schema(times)])
        return None


def _line_starts(block: bytes) -> NDArray[np.intp]:
    """Where each line begins."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _FEED) + 1
    return np.concatenate([[0], ends[: len(ends) - block.endswith(b"\n")]])


def _flat(block: bytes, names: Sequence[str], n_lines: int) -> pa.Table | None:
    """Lines of flat objects that have these names and no other, in any order and perhaps without some."""
    from cjm_analytics.kernels.texts import cut_objects

    if not is_utf8(block):
        return None
    written = [orjson.dumps(name) for name in names]
    bounds = np.cumsum([0, *map(len, written)], dtype=np.uint64)
    data = np.frombuffer(block, np.uint8)
    cut = cut_objects(data, np.frombuffer(b"".join(written), np.uint8), bounds, n_lines)
    if cut is None:
        return None
    columns = [_column(data, first, behind, int(kinds)) for first, behind, kinds in zip(*cut, strict=True)]
    return None if any(one is None for one in columns) else pa.table(columns, names=names)


def _first_object(block: bytes) -> dict[str, object]:
    """The object in the first line; an empty one where there is none."""
    try:
        one = orjson.loads(block[: block.find(b"\n") % (len(block) + 1)])
    except orjson.JSONDecodeError:
        return {}
    return one if isinstance(one, dict) else {}


def _in_order(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """The table with the columns of these names in front; what was asked for as text stood there."""
    there = [name for name in names if name in table.column_names]
    return table.select(list(dict.fromkeys([*there, *table.column_names])))


def _column(
    data: NDArray[np.uint8], first: NDArray[np.int32], behind: NDArray[np.int32], kinds: int
) -> pa.Array | None:
    """Values as a column of the type that Arrow would choose; None where they are of several kinds."""
    from cjm_analytics.kernels.texts import ESCAPED, FRACTION, TEXT, WHOLE, WORD, joined

    if not kinds:
        return pa.nulls(len(first))
    starts, whole = joined(data, first, behind)
    missing = first < 0
    valid = pa.array(~missing).buffers()[1] if missing.any() else None
    cells = pa.StringArray.from_buffers(len(first), pa.py_buffer(starts), pa.py_buffer(whole), valid)
    if kinds & ~ESCAPED == TEXT:
        return _unescaped(cells) if kinds & ESCAPED else cells
    types = {WHOLE: pa.int64(), FRACTION: pa.float64(), WHOLE | FRACTION: pa.float64(), WORD: pa.bool_()}
    try:
        return pc.cast(cells, types[kinds]) if kinds in types else None
    except pa.ArrowInvalid:  # a whole number beyond 64 bits
        return None


def _unescaped(cells: pa.Array) -> pa.Array | None:
    """Texts with what stands behind a backslash read; None if that has no meaning."""
    odd = pc.fill_null(pc.match_substring(cells, "\\"), False)
    raw = pc.binary_join_element_wise('"', cells.filter(odd), '"', "").to_pylist()
    try:
        texts = orjson.loads("[" + ",".join(raw) + "]")
    except orjson.JSONDecodeError:
        return None
    return pc.replace_with_mask(cells, odd, pa.array(texts, pa.string()))


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
