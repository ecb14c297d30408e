"""Several rows of one, and columns that are told before a mapping looks: column by column."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.mapping import Cells, Where, column, truths
from cjm_analytics.loaders.opened import as_object, objects_of, opened
from cjm_analytics.loaders.rows import ColumnRows, ObjectRows, Rows, member
from cjm_analytics.loaders.values import plain, texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.mapping import Side

__all__ = ["Unfold", "inside", "unfolded"]


@dataclass(frozen=True)
class Unfold:
    """What rows are made of the rows of a part. The steps are taken in this order.

    Attributes
    ----------
    where : str or Saying, optional
        Of which rows; default all.
    around : mapping
        New column → where it stands, looked for before the next steps hide it.
    keeps, without : tuple of str
        Columns that alone are kept then, beside the new ones (default: all), or that are dropped.
    within : str
        An object whose members stand as columns, before those of the same names around it.
    each : str
        A list of objects, each of which is a row: its members stand as columns, before those of the same
        names around it. Rows with an empty list, or none, give no row.
    columns : mapping
        New column → where it stands, after these steps.
    """

    columns: Mapping[str, Where] = field(default_factory=dict)
    where: Where | None = None
    around: Mapping[str, Where] = field(default_factory=dict)
    keeps: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    within: str = ""
    each: str = ""

    @cached_property
    def looked_into(self) -> frozenset[str]:
        """The columns that are looked at before the rows are made, with members of objects among them."""
        asked = [*self.around.values(), *([] if self.where is None else [self.where])]
        inside = [f"{one}.*" for one in (self.within, self.each) if one]
        return frozenset(inside).union(*(column(one).reads for one in asked))


def unfolded(
    rows: Rows, several: Sequence[Unfold], sides: Mapping[str, Side]
) -> Iterator[tuple[Rows, NDArray[np.int64]]]:
    """The rows that are made in each way, if any, and the row that each comes from."""
    seen = _open(rows, frozenset().union(*(one.looked_into for one in several)))
    cells = Cells(seen, sides)
    for one in several:
        origin = np.arange(len(seen), dtype=np.int64)
        if one.where is not None:
            origin = np.flatnonzero(truths(cells.of(column(one.where))))
        if len(origin):
            made, origin = _made(one, _taken(seen, origin), origin, sides)
            if len(made):
                yield made, origin


def _made(
    one: Unfold, rows: ColumnRows | ObjectRows, origin: NDArray[np.int64], sides: Mapping[str, Side]
) -> tuple[Rows, NDArray[np.int64]]:
    rows = _with(rows, one.around, sides)
    dropped = set(one.without)
    if one.keeps is not None:
        dropped |= set(rows.names()) - {*one.keeps, *one.around}
    if dropped:
        rows = _less(rows, dropped)
    if one.within:
        rows = _inside(rows, one.within)
    if one.each:
        rows, parents = _items(rows, one.each)
        origin = origin[parents]
    told = frozenset(name for where in one.columns.values() for name in column(where).reads)
    return _with(_open(rows, told), one.columns, sides), origin


def _open(rows: Rows, reads: frozenset[str]) -> ColumnRows | ObjectRows:
    """Rows whose objects are structs or objects, never JSON text, as far as they are looked into."""
    seen = opened(rows, reads, ())
    if isinstance(seen, ColumnRows | ObjectRows):
        return seen
    heads = {one.partition(".")[0] for one in reads if "." in one}
    objects = [
        {name: as_object(value) if name in heads else value for name, value in one.items()}
        for one in objects_of(rows)
    ]
    return ObjectRows(rows.file, objects, rows.numbers, None, rows.broken)


def _taken(rows: ColumnRows | ObjectRows, places: NDArray[np.int64]) -> ColumnRows | ObjectRows:
    if len(places) == len(rows):
        return rows
    if isinstance(rows, ObjectRows):
        objects = [rows.objects[place] for place in places]
        return replace(rows, objects=objects, numbers=rows.numbers[places], lines=None, read=None)
    return replace(rows, table=rows.table.take(places), numbers=rows.numbers[places], text=None, read=None)


def _with(
    rows: ColumnRows | ObjectRows, columns: Mapping[str, Where], sides: Mapping[str, Side]
) -> ColumnRows | ObjectRows:
    """The rows with new columns beside their own."""
    if not columns or not len(rows):
        return rows
    cells = Cells(rows, sides)
    found = {name: cells.of(column(where)) for name, where in columns.items()}
    if isinstance(rows, ObjectRows):
        told = zip(*(one.to_pylist() for one in found.values()), strict=True)
        objects = [
            one | {name: value for name, value in zip(found, row, strict=True) if value is not None}
            for one, row in zip(rows.objects, told, strict=True)
        ]
        return replace(rows, objects=objects)
    return replace(rows, table=_beside(rows.table, found))


def _less(rows: ColumnRows | ObjectRows, names: Collection[str]) -> ColumnRows | ObjectRows:
    """The rows without some of their columns."""
    if isinstance(rows, ObjectRows):
        objects = [{name: value for name, value in one.items() if name not in names} for one in rows.objects]
        return replace(rows, objects=objects)
    return replace(rows, table=rows.table.drop_columns([one for one in rows.names() if one in names]))


def _beside(table: pa.Table, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    kept = {name: table.column(place) for place, name in enumerate(table.column_names)}
    return pa.table({**kept, **columns})


def _inside(rows: ColumnRows | ObjectRows, head: str) -> ColumnRows | ObjectRows:
    if isinstance(rows, ColumnRows):
        return inside(rows, head)
    outer = head.partition(".")[0]
    return replace(rows, objects=[_merged(one, outer, member(one, head)) for one in rows.objects])


def inside(rows: ColumnRows, head: str) -> ColumnRows:
    """The rows with the members of an object in place of it."""
    outer = head.partition(".")[0]
    cells = rows.column(head)
    table = rows.table.drop_columns([outer]) if outer in rows.names() else rows.table
    if not pa.types.is_struct(cells.type):
        return replace(rows, table=table)
    return replace(rows, table=_over(table, cells))


def _over(table: pa.Table, objects: pa.Array) -> pa.Table:
    """The members of objects as columns, and those around them, where they have nothing of that name."""
    made = {}
    for name, cells in zip(objects.type.names, map(plain, objects.flatten()), strict=True):
        made[name] = cells
        if name in table.column_names and cells.null_count:
            around = plain(table.column(name))
            if around.type != cells.type and not pa.types.is_nested(cells.type):
                around, made[name] = texts(around), texts(cells)
            if around.type == made[name].type:
                made[name] = pc.coalesce(made[name], around)
    return _beside(table, made)


def _items(rows: ColumnRows | ObjectRows, name: str) -> tuple[ColumnRows | ObjectRows, NDArray[np.int64]]:
    """The items of a list as rows, and the row in which each stands."""
    if isinstance(rows, ObjectRows):
        made: list[dict[str, Any]] = []
        parents: list[int] = []
        for place, one in enumerate(rows.objects):
            listed = as_object(member(one, name))
            items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
            made += [_merged(one, name, item) for item in items]
            parents += [place] * len(items)
        at = np.array(parents, np.int64)
        return replace(rows, objects=made, numbers=rows.numbers[at], lines=None, read=None), at
    cells = rows.column(name)
    if not pa.types.is_list(cells.type) or not pa.types.is_struct(cells.type.value_type):
        at = np.zeros(0, np.int64)
        return _taken(rows, at), at
    items = cells.flatten()
    at = pc.list_parent_indices(cells).to_numpy().astype(np.int64)
    there = pc.is_valid(items).to_numpy(zero_copy_only=False)
    items, at = items.filter(pa.array(there)), at[there]
    table = _over(rows.table.drop_columns([name]).take(at), items)
    return replace(rows, table=table, numbers=rows.numbers[at], text=None, read=None), at


def _merged(one: Mapping[str, Any], head: str, inside: object) -> dict[str, Any]:
    """An object with the members of another in place of its head."""
    around = {name: value for name, value in one.items() if name != head}
    if not isinstance(inside, dict):
        return around
    return around | {name: value for name, value in inside.items() if value is not None or name not in around}
