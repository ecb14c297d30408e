"""Rows some of whose columns hold objects, and what is left of them when a mapping has taken its share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa

from cjm_analytics.loaders.rows import Broken, ColumnRows, ObjectRows, Rows, inferred, member
from cjm_analytics.loaders.table import promoted_name
from cjm_analytics.loaders.values import json_texts, object_text, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["as_object", "left_over", "objects_of", "opened", "promoted_cells", "respelt"]

_TECHNICAL: Final = ("_fivetran", "_sdc", "_airbyte", "_dlt")
"""Columns that copying tools add: they say nothing of the customer."""


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
    """Rows some of whose columns hold objects (structs, or JSON text) that a mapping looks into."""

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
        return self._is_flat(name) or name.partition(".")[0] in self.heads

    def column(self, name: str) -> pa.Array:
        if self._is_flat(name):
            return self.rows.column(name)
        return inferred([member(one, name) for one in self.objects])

    def _is_flat(self, name: str) -> bool:
        return name not in self.heads and name in self.rows.names()

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
    if not heads:
        return rows
    cells = {head: [as_object(cell) for cell in rows.column(head).to_pylist()] for head in heads}
    return Opened(
        rows,
        [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)],
        frozenset(heads),
    )


def as_object(cell: object) -> object:
    """A cell that may hold an object or a list as JSON text, as that; any other as it is."""
    if isinstance(cell, str) and cell.lstrip()[:1] in {"{", "["}:
        try:
            return orjson.loads(cell)
        except orjson.JSONDecodeError:
            return cell
    return cell


def left_over(
    rows: Rows, lifted: Collection[str], spread: Collection[str]
) -> tuple[pa.Array | None, list[str]]:
    """`properties` as JSON, and the names of the members that were spread."""
    inside: dict[str, None] = {}
    if isinstance(rows, ObjectRows):
        objects = rows.objects
        flat = None
    else:
        heads = rows.heads if isinstance(rows, Opened) else frozenset()
        objects = rows.objects if isinstance(rows, Opened) else []
        names = [one for one in rows.names() if one not in lifted and one not in heads]
        flat = json_texts({one: rows.column(one) for one in names if not one.startswith(_TECHNICAL)})
    if not objects:
        return flat, []
    made = []
    for one in objects:
        left = _without(one, lifted, "")
        for head in spread:
            members = left.pop(head, None)
            if isinstance(members, dict):
                inside.update(dict.fromkeys(members))
                left = members | left
            elif members not in (None, "", []):
                left[head] = members
        made.append(object_text(left))
    nested = pa.array(made, pa.binary()).cast(pa.string())
    return (nested if flat is None else _merged(flat, nested)), list(inside)


def _without(one: Mapping[str, Any], lifted: Collection[str], before: str) -> dict[str, Any]:
    """An object without what was lifted out of it, and without what is empty."""
    left = {}
    for name, value in one.items():
        full = before + name
        if value is None or full in lifted or (not before and name.startswith(_TECHNICAL)):
            continue
        if type(value) is dict:
            value = _without(value, lifted, full + ".")  # noqa: PLW2901 - the same member, smaller
            if not value:
                continue
        left[name] = value
    return left


def _merged(flat: pa.Array, nested: pa.Array) -> pa.Array:
    made = []
    for one, other in zip(flat.to_pylist(), nested.to_pylist(), strict=True):
        if one is None or other is None:
            made.append(one or other)
        else:
            made.append((object_text(orjson.loads(one), orjson.loads(other)) or b"{}").decode())
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
