"""Which rows tell of the same event, and in which order equal rows stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.scatter import one_array, text_hashes
from cjm_analytics.schema import FIRST, LATEST, MARKS, PER_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ALWAYS",
    "EDITED",
    "SAID",
    "Copies",
    "Key",
    "Ordered",
    "break_ties",
    "duplicates",
    "flagged",
    "integers",
]

EDITED = "is_edited"
SAID = ("score", "comment")
"""What was answered: copies that differ in it tell that somebody thought better of it."""

PLACE = frozenset({"seq", "src_file", "src_row", "received_at", EDITED, *MARKS})
"""Where a row stood, when it came in, what became of it, and who is thought to have acted: a row that equals
another in all but these is the same event."""

ALWAYS = frozenset({"timestamp", "event", "seq", "source", "src_file", "src_row"})
"""Columns that are never missing: a key of which all the others are missing says nothing."""

_NEVER = np.iinfo(np.int64).max
_ROOM = 2**62


class Key(NamedTuple):
    """How a source tells its events apart.

    Attributes
    ----------
    columns : sequence of str
        Rows that agree in them are copies of one event.
    copies : str
        Which of several copies stays: one of `COPIES`.
    """

    columns: Sequence[str]
    copies: str = FIRST


class Copies(NamedTuple):
    """Which rows, in order, are copies of others.

    Attributes
    ----------
    repeated : bool
        Rows that repeat an event that another row stands for.
    edited : bool
        Rows that stay and of which a copy said something else.
    """

    repeated: NDArray[np.bool_]
    edited: NDArray[np.bool_]


class Ordered(NamedTuple):
    """Rows and the order that they stand in.

    Attributes
    ----------
    table : pyarrow.Table
        Rows as they came.
    order : int32
        Rows sorted by customer, time and seq.
    customer : int32
        The customer of each row, in order.
    at_once : bool
        Which rows, in order, have customer and time of the row before.
    ranks : mapping of str to array
        Per coded column the sorted place of each code.
    """

    table: pa.Table
    order: NDArray[np.int32]
    customer: NDArray[np.int32]
    at_once: NDArray[np.bool_]
    ranks: Mapping[str, NDArray[np.int32]]


def break_ties(rows: Ordered, tied: NDArray[np.bool_]) -> None:
    """Put rows of equal customer, time and seq into an order that depends on nothing but what they say.

    `tied[i]` says that row `order[i]` ties with the row before it. `order` is changed in place.
    """
    in_tie = tied.copy()
    in_tie[:-1] |= tied[1:]
    places = np.flatnonzero(in_tie)
    if not len(places):
        return
    table = rows.table.take(pa.array(rows.order[places]))
    run = np.cumsum(~tied[places])
    first = [
        name for name in ("event_id", "source", "src_file", "src_row", "event") if name in table.column_names
    ]
    rest = sorted(set(table.column_names) - {*first, EDITED})
    keys = [_codes(table, name, rows.ranks) for name in [*first, *rest]]
    rows.order[places] = rows.order[places][np.lexsort([*reversed(keys), run])]


def duplicates(rows: Ordered, keys: Mapping[int, Key]) -> Copies:
    """Which rows, in order, repeat an event of the same customer and source, and which were edited.

    `keys` has per code of a source what says that two rows are the same event; without any columns, rows are
    the same that agree in all but `PLACE`.
    """
    table, order = rows.table, rows.order
    copies = Copies(np.zeros(len(order), dtype=bool), np.zeros(len(order), dtype=bool))
    same_instant = rows.at_once.copy()
    same_instant[:-1] |= rows.at_once[1:]
    by_content = np.ones(len(order), dtype=bool)
    rank = _ranked_copies(table, [code for code, key in keys.items() if key.copies != FIRST])
    for code, (columns, which) in keys.items():
        key = [name for name in columns if name in table.column_names]
        if not key or len(order) < 2:  # noqa: PLR2004 - it takes two
            continue
        mine = integers(table, "source", -1)[order] == code
        telling = [name for name in key if name not in ALWAYS]
        if telling or len(key) < len(columns):
            says = np.zeros(table.num_rows, dtype=bool)
            for name in telling:
                says |= table.column(name).is_valid().to_numpy()
            mine &= says[order]
        by_content &= ~mine
        candidates = mine & (same_instant if "timestamp" in key else _same_hash(rows, key))
        if which == PER_ORDER and "order_id" in table.column_names:
            copies.repeated[_repeats_per_order(rows, candidates, ["source", *key], rank)] = True
            continue
        groups = _grouped(rows, candidates, ["source", *key], rank)
        copies.repeated[groups.repeats] = True
        if which == LATEST:
            copies.edited[_edited(rows, groups)] = True
    content = [name for name in table.column_names if name not in PLACE]
    copies.repeated[_grouped(rows, by_content & same_instant, content, rank).repeats] = True
    return copies


class _Groups(NamedTuple):
    """Rows that are copies of one another side by side: places in the order, and the one that stays first."""

    places: NDArray[np.intp]
    is_first: NDArray[np.bool_]

    @property
    def repeats(self) -> NDArray[np.intp]:
        """All but the one that stays of each."""
        return self.places[~self.is_first]


def _grouped(
    rows: Ordered, candidates: NDArray[np.bool_], columns: Sequence[str], rank: NDArray[np.int64]
) -> _Groups:
    """The candidates by what they have in the columns.

    The one of the lowest rank is the first of its group, of equal ranks the first in order.
    """
    places = np.flatnonzero(candidates)
    at = rows.order[places]
    group = _numbered(rows, at, dict.fromkeys(columns), rows.customer[places].astype(np.int64))
    by_group = np.lexsort([places, rank[at], group])
    is_first = np.ones(len(places), dtype=bool)
    is_first[1:] = group[by_group][1:] != group[by_group][:-1]
    return _Groups(places[by_group], is_first)


def _numbered(
    rows: Ordered, at: NDArray[np.int32], columns: Iterable[str], within: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Numbers that are the same for rows with the same number before and the same in the columns."""
    table = rows.table.select(list(columns)).take(pa.array(at))
    group = within
    for name in table.column_names if len(at) else ():
        code = _codes(table, name, rows.ranks) + 1
        size = int(code.max()) + 1
        if int(group.max()) + 1 > _ROOM // size:
            group = np.unique(group, return_inverse=True)[1]
        group = group * size + code
    return group


def _edited(rows: Ordered, groups: _Groups) -> NDArray[np.intp]:
    """The rows that stay of groups in which not all said the same, or of which that was known already."""
    copied = ~groups.is_first
    copied[:-1] |= copied[1:]
    places, is_first = groups.places[copied], groups.is_first[copied]
    if not len(places):
        return places
    at = rows.order[places]
    said = _numbered(
        rows, at, [one for one in SAID if one in rows.table.column_names], np.zeros(len(at), np.int64)
    )
    number = np.cumsum(is_first) - 1
    differs = (said != said[is_first][number]) | flagged(rows.table, EDITED)[at]
    found: NDArray[np.intp] = places[is_first][np.bincount(number, differs) > 0]
    return found


def _repeats_per_order(
    rows: Ordered, candidates: NDArray[np.bool_], columns: Sequence[str], rank: NDArray[np.int64]
) -> NDArray[np.intp]:
    """All copies of each order but one, and rows without an order that are not the last of their key.

    A row without an order is an open cart: it becomes the order that follows, or its own later state.
    """
    is_open = rows.table.column("order_id").is_null().to_numpy()
    place = np.empty(len(rows.order), dtype=np.int64)
    place[rows.order] = np.arange(len(place))
    last_first = np.lexsort([place, rank, is_open, -integers(rows.table, "timestamp", 0)])
    by_time = np.empty_like(place)
    by_time[last_first] = np.arange(len(place))
    passed = _grouped(rows, candidates, columns, by_time).repeats
    again = _grouped(rows, candidates & ~is_open[rows.order], [*columns, "order_id"], rank).repeats
    return np.concatenate([passed[is_open[rows.order[passed]]], again])


def _ranked_copies(table: pa.Table, latest: Sequence[int]) -> NDArray[np.int64]:
    """Per row a number by which copies are preferred, the lowest first: those received first, or last.

    `latest` has the codes of sources of which the last one stays. A row that says when it was received goes
    before one that does not.
    """
    if "received_at" not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.int64)
    received = integers(table, "received_at", _NEVER)
    if latest:
        turned = np.isin(integers(table, "source", -1), latest) & (received != _NEVER)
        received = np.where(turned, -received, received)
    return received


def _same_hash(rows: Ordered, key: Sequence[str]) -> NDArray[np.bool_]:
    """Rows that share customer and key with another row, and perhaps a few more."""
    mixed = rows.customer.astype(np.uint64)
    for name in key:
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + _hashed(rows.table.column(name))[rows.order]
        mixed ^= mixed >> np.uint64(29)
    return pd.Series(mixed).duplicated(keep=False).to_numpy()


def _hashed(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    if pa.types.is_string(column.type):
        return text_hashes(one_array(pc.fill_null(column, "")))
    encoded = one_array(column).dictionary_encode()
    codes: NDArray[np.int32] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.uint64)


def _codes(rows: pa.Table, name: str, ranks: Mapping[str, NDArray[np.int32]]) -> NDArray[np.int64]:
    """The values of a column as integers in the same order; −1 for a missing one."""
    codes: NDArray[np.int64]
    if name in ranks:
        codes = ranks[name][integers(rows, name, -1)].astype(np.int64)
        return codes
    encoded = one_array(rows.column(name)).dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    rank = np.full(len(order) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return codes


def flagged(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """A column of truths as an array; False where it says nothing, or is not there."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, dtype=bool)
    return pc.fill_null(table.column(name), False).to_numpy()  # type: ignore[no-any-return]


def integers(table: pa.Table, name: str, missing: int) -> NDArray[Any]:
    """A column of integers or timestamps as an array, with a number for the nulls."""
    column = one_array(table.column(name))
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    if column.null_count:
        column = column.fill_null(missing)
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
