"""Rows some of whose columns hold objects, and what is left of them when a mapping has taken its share."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.json_columns import JsonColumns
from cjm_analytics.loaders.rows import (
    Broken,
    ColumnRows,
    ObjectRows,
    Rows,
    holds_json,
    inferred,
    member,
    words,
)
from cjm_analytics.loaders.table import promoted_name
from cjm_analytics.loaders.values import json_texts, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "TECHNICAL",
    "Lifted",
    "as_columns",
    "as_object",
    "left_over",
    "member_names",
    "objects_of",
    "opened",
    "promoted_cells",
    "respelt",
    "structs",
]

TECHNICAL: Final = ("_fivetran", "_sdc", "_airbyte", "_dlt")
"""Columns that copying tools add: they say nothing of the customer."""


@dataclass(frozen=True)
class Lifted:
    """What has a place of its own and is no property any more.

    Attributes
    ----------
    always : collection of str
        Columns, and members of columns (dotted).
    where : mapping
        Columns that are taken in some rows only → which rows.
    """

    always: Collection[str] = frozenset()
    where: Mapping[str, pa.Array] = field(default_factory=dict)

    def by_row(self, size: int) -> Iterable[Collection[str]]:
        """What is taken of each row."""
        if not self.where:
            return itertools.repeat(self.always, size)
        told = zip(*(one.to_pylist() for one in self.where.values()), strict=True)
        several: dict[tuple[bool, ...], Collection[str]] = {}
        return [several.setdefault(row, {*self.always, *itertools.compress(self.where, row)}) for row in told]


def objects_of(rows: Rows) -> list[dict[str, Any]]:
    """Rows as objects, without what is empty."""
    if isinstance(rows, ObjectRows):
        return rows.objects
    names = rows.names()
    cells = [rows.column(name).to_pylist() for name in names]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*cells, strict=True)
    ]


def as_columns(rows: ObjectRows) -> ColumnRows | None:
    """Objects as columns, as lines of JSON come; None if they must be looked at one by one."""
    try:
        lines = b"\n".join(map(orjson.dumps, rows.objects))
    except (TypeError, orjson.JSONEncodeError):  # what no JSON can hold
        return None
    table = JsonColumns().read(lines)
    if table is None:
        return None
    return ColumnRows(rows.file, table, rows.numbers, None, rows.broken, is_sparse=True, text=lines)


def respelt(rows: Rows, name: Callable[[str], str], cells: Callable[[str, pa.Array], pa.Array]) -> Rows:
    """Rows with other names of their columns, and other texts in them.

    Of two columns that come to have the same name the first is kept.
    """
    names = {one: name(one) for one in rows.names()}
    if isinstance(rows, ColumnRows):
        columns: dict[str, pa.Array] = {}
        for old, new in names.items():
            columns.setdefault(new, plain(rows.table[old]))
        return replace(rows, table=pa.table({one: cells(one, said) for one, said in columns.items()}))
    if not isinstance(rows, ObjectRows):
        return rows
    objects = [{names[key]: value for key, value in reversed(one.items())} for one in rows.objects]
    for column in dict.fromkeys(names.values()):
        tidy = cells(column, inferred([one.get(column) for one in objects]))
        if pa.types.is_string(tidy.type):
            for one, text in zip(objects, tidy.to_pylist(), strict=True):
                if isinstance(one.get(column), str):
                    one[column] = text
    return replace(rows, objects=objects)


@dataclass(frozen=True)
class Opened:
    """Rows some of whose columns hold JSON text that a mapping looks into, object by object."""

    rows: Rows
    objects: list[dict[str, Any]]
    heads: frozenset[str]

    @property
    def file(self) -> str:
        return self.rows.file

    @property
    def numbers(self) -> NDArray[np.int64]:
        return self.rows.numbers

    @property
    def broken(self) -> list[Broken]:
        return self.rows.broken

    @property
    def is_sparse(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.rows)

    def names(self) -> list[str]:
        return self.rows.names()

    def has(self, name: str) -> bool:
        return self._inside.has(name) if self._is_inside(name) else self.rows.has(name)

    def column(self, name: str) -> pa.Array:
        return self._inside.column(name) if self._is_inside(name) else self.rows.column(name)

    @cached_property
    def _inside(self) -> ObjectRows:
        return ObjectRows(self.file, self.objects, self.numbers)

    def _is_inside(self, name: str) -> bool:
        return name.partition(".")[0] in self.heads and (name in self.heads or name not in self.rows.names())

    def properties(self, taken: Collection[str]) -> pa.Array | None:
        return self.rows.properties(taken)

    def raw(self, row: int) -> str:
        return self.rows.raw(row)


def opened(rows: Rows, reads: Collection[str], spread: Collection[str]) -> Rows:
    """The rows with those columns opened that are looked into (`reads` with a dot) or `spread`."""
    there = set(rows.names())
    heads = {one.partition(".")[0] for one in reads if one not in there and "." in one} | set(spread)
    heads &= there
    if isinstance(rows, ObjectRows):
        if any(isinstance(one.get(head), str) for head in heads for one in rows.objects[:100]):
            parsed = [
                one | {head: as_object(one[head]) for head in heads if head in one} for one in rows.objects
            ]
            return replace(rows, objects=parsed)
        return rows
    for head in sorted(heads):
        cells = rows.column(head)
        is_plain = pa.types.is_struct(cells.type) or not holds_json(cells)
        made = cells if is_plain else structs(cells)
        if made is not None:
            heads.remove(head)
            if made is not cells and isinstance(rows, ColumnRows):
                rows = replace(rows, table=rows.table.set_column(rows.names().index(head), head, made))
    if not heads:
        return rows
    several = {head: [as_object(cell) for cell in rows.column(head).to_pylist()] for head in heads}
    return Opened(
        rows,
        [dict(zip(several, row, strict=True)) for row in zip(*several.values(), strict=True)],
        frozenset(heads),
    )


def structs(cells: pa.Array) -> pa.Array | None:
    """JSON texts of objects as structs; None if they are something else, or must be read one by one."""
    if not pa.types.is_string(cells.type):
        return None
    texts = pc.if_else(pc.equal(pc.fill_null(pc.utf8_trim_whitespace(cells), ""), ""), "{}", cells)
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    lines = pc.binary_join(whole, "\n")[0].as_buffer().to_pybytes() if len(texts) else b""
    found = JsonColumns().read(lines) if lines.startswith(b"{") else None
    if found is None or not found.num_columns:
        return None
    columns = [plain(one) for one in found.columns]
    return pa.StructArray.from_arrays(columns, names=found.column_names, mask=pc.is_null(cells))


def as_object(cell: object) -> object:
    """A cell that may hold an object or a list as JSON text, as that; any other as it is."""
    if isinstance(cell, str) and cell.lstrip()[:1] in {"{", "["}:
        try:
            return orjson.loads(cell)
        except orjson.JSONDecodeError:
            return cell
    return cell


def left_over(rows: Rows, lifted: Lifted, spread: Collection[str]) -> tuple[pa.Array | None, list[str]]:
    """`properties` as JSON, and the names of the members that were spread."""
    if isinstance(rows, ObjectRows):
        return _left_of_objects(rows.objects, rows.names(), lifted, spread)
    heads = rows.heads if isinstance(rows, Opened) else frozenset()
    flat, inside = _left_of_columns(rows, heads, lifted, spread)
    if not isinstance(rows, Opened):
        return flat, inside
    nested, members = _left_of_objects(rows.objects, list(heads), lifted, spread)
    return (nested if flat is None else _merged(flat, nested)), [*inside, *members]


def member_names(rows: Rows, head: str) -> list[str]:
    """The names of all members that the objects of a column have."""
    if isinstance(rows, ObjectRows):
        objects = [member(one, head) for one in rows.objects]
        return list(dict.fromkeys(name for one in objects if isinstance(one, dict) for name in one))
    if not rows.has(head):
        return []
    kind = rows.column(head).type
    return list(kind.names) if pa.types.is_struct(kind) else []


def _left_of_columns(
    rows: Rows, heads: Collection[str], lifted: Lifted, spread: Collection[str]
) -> tuple[pa.Array | None, list[str]]:
    names = [one for one in rows.names() if one not in heads and not one.startswith(TECHNICAL)]
    left = _thinned({one: words(rows, one) for one in names}, lifted, "")
    inside: list[str] = []
    for head in spread:
        cells = left.get(head)
        if cells is not None and pa.types.is_struct(cells.type):
            left.pop(head)
            members = dict(zip(cells.type.names, map(plain, cells.flatten()), strict=True))
            inside += members
            left = members | left
    return json_texts(dict(sorted(left.items()))), inside


def _thinned(columns: Mapping[str, pa.Array], lifted: Lifted, before: str) -> dict[str, pa.Array]:
    """Columns without what was lifted out of them, and with the members of their objects in order."""
    left = {}
    for name, cells in columns.items():
        if before + name in lifted.always:
            continue
        if before + name in lifted.where:
            cells = plain(cells)  # noqa: PLW2901 - the same column, not in codes
            cells = pc.if_else(lifted.where[before + name], pa.scalar(None, cells.type), cells)  # noqa: PLW2901 - the same column, emptier
        if pa.types.is_struct(cells.type):
            members = dict(zip(cells.type.names, cells.flatten(), strict=True))
            inner = dict(sorted(_thinned(members, lifted, f"{before}{name}.").items()))
            if not inner:
                continue
            cells = pa.StructArray.from_arrays(  # noqa: PLW2901 - the same column, smaller
                list(inner.values()), names=list(inner), mask=cells.is_null()
            )
        left[name] = cells
    return left


_SORTED: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS


def _left_of_objects(
    objects: Sequence[dict[str, Any]], names: Sequence[str], lifted: Lifted, spread: Collection[str]
) -> tuple[pa.Array, list[str]]:
    technical = {one for one in names if one.startswith(TECHNICAL)}
    within = {one.partition(".")[0] for one in {*lifted.always, *lifted.where} if "." in one}
    inside: dict[str, None] = {}
    made = []
    for one, gone in zip(objects, lifted.by_row(len(objects)), strict=True):
        left = {}
        for name, value in one.items():
            if value is None or name in gone or name in technical:
                continue
            if type(value) is dict:
                value = _without(value, gone if name in within else (), name + ".")  # noqa: PLW2901 - the same member, smaller
                if not value:
                    continue
            left[name] = value
        for head in spread:
            members = left.pop(head, None)
            if isinstance(members, dict):
                inside.update(dict.fromkeys(members))
                left = members | left
            elif members not in (None, "", []):
                left[head] = members
        made.append(orjson.dumps(left, default=str, option=_SORTED) if left else None)
    return pa.array(made, pa.binary()).cast(pa.string()), list(inside)


def _without(one: dict[str, Any], lifted: Collection[str], before: str) -> dict[str, Any]:
    """An object without what was lifted out of it, and without what is empty."""
    values = one.values()
    if not lifted and None not in values and dict not in map(type, values):
        return one
    left = {}
    for name, value in one.items():
        full = before + name
        if value is None or full in lifted:
            continue
        if type(value) is dict:
            value = _without(value, lifted, full + ".")  # noqa: PLW2901 - the same member, smaller
            if not value:
                continue
        left[name] = value
    return left


def _merged(flat: pa.Array, nested: pa.Array) -> pa.Array:
    """Two objects as one; of a member that both have, the first one's stands."""
    made = []
    for one, other in zip(flat.to_pylist(), nested.to_pylist(), strict=True):
        if one is None or other is None:
            made.append(one or other)
        else:
            together = orjson.loads(other) | orjson.loads(one)
            made.append(orjson.dumps(together, option=_SORTED).decode())
    return pa.array(made, pa.string())


def promoted_cells(rows: Rows, name: str, spread: Sequence[str]) -> pa.Array | None:
    """A promoted column: a member of the spread objects, else of the row."""
    path = promoted_name(name)
    for one in (*(f"{head}.{path}" for head in spread), name, path):
        if rows.has(one):
            found = rows.column(one)
            if found.null_count < len(found):
                return found
    return None
