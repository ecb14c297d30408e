"""Which rows tell of the same event, and in which order equal rows stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.scatter import one_array, text_hashes
from cjm_analytics.schema import FIRST, MARKS, PER_ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["ALWAYS", "Key", "Ordered", "break_ties", "duplicates", "integers"]

PLACE = frozenset({"seq", "src_file", "src_row", "received_at", *MARKS})
"""Where a row stood, when it came in, and who is thought to have acted: a row that equals another in all but
these is the same event."""

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
    rest = sorted(set(table.column_names) - set(first))
    keys = [_codes(table, name, rows.ranks) for name in [*first, *rest]]
    rows.order[places] = rows.order[places][np.lexsort([*reversed(keys), run])]


def duplicates(rows: Ordered, keys: Mapping[int, Key]) -> NDArray[np.bool_]:
    """Which rows, in order, repeat an event of the same customer and source.

    `keys` has per code of a source what says that two rows are the same event; without any columns, rows are
    the same that agree in all but `PLACE`.
    """
    table, order = rows.table, rows.order
    repeated = np.zeros(len(order), dtype=bool)
    same_instant = rows.at_once.copy()
    same_instant[:-1] |= rows.at_once[1:]
    by_content = np.ones(len(order), dtype=bool)
    rank = _ranked_copies(table, [code for code, key in keys.items() if key.copies != FIRST])
    for code, (columns, copies) in keys.items():
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
        if copies == PER_ORDER and "order_id" in table.column_names:
            repeated[_repeats_per_order(rows, candidates, ["source", *key], rank)] = True
        else:
            repeated[_repeats(rows, candidates, ["source", *key], rank)] = True
    content = [name for name in table.column_names if name not in PLACE]
    repeated[_repeats(rows, by_content & same_instant, content, rank)] = True
    return repeated


def _repeats(
    rows: Ordered, candidates: NDArray[np.bool_], columns: Sequence[str], rank: NDArray[np.int64]
) -> NDArray[np.intp]:
    """All but one of the candidates that agree in the columns, as places in the order.

    The one of the lowest rank stays, of equal ranks the first in order.
    """
    places = np.flatnonzero(candidates)
    if not len(places):
        return places
    at = rows.order[places]
    table = rows.table.select(list(dict.fromkeys(columns))).take(pa.array(at))
    group = rows.customer[places].astype(np.int64)
    for name in table.column_names:
        code = _codes(table, name, rows.ranks) + 1
        size = int(code.max()) + 1
        if int(group.max()) + 1 > _ROOM // size:
            group = np.unique(group, return_inverse=True)[1]
        group = group * size + code
    by_group = np.lexsort([places, rank[at], group])
    again = group[by_group][1:] == group[by_group][:-1]
    found: NDArray[np.intp] = places[by_group[1:][again]]
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
    passed = _repeats(rows, candidates, columns, by_time)
    again = _repeats(rows, candidates & ~is_open[rows.order], [*columns, "order_id"], rank)
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


def integers(table: pa.Table, name: str, missing: int) -> NDArray[Any]:
    """A column of integers or timestamps as an array, with a number for the nulls."""
    column = one_array(table.column(name))
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    if column.null_count:
        column = column.fill_null(missing)
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
