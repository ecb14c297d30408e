"""Which rows tell of the same event, and in which order equal rows stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.scatter import text_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["break_ties", "duplicates", "integers"]

PLACE = frozenset({"seq", "src_file", "src_row", "received_at"})
"""Where a row stood and when it came in: a row that equals another in all but these is the same event."""

_ALWAYS = frozenset({"timestamp", "event", "seq", "source", "src_file", "src_row"})
"""Columns that are never missing: a key of which all the others are missing says nothing."""

_NEVER = np.iinfo(np.int64).max
_ROOM = 2**62


def break_ties(
    table: pa.Table, order: NDArray[np.int64], tied: NDArray[np.bool_], ranks: Mapping[str, NDArray[np.int32]]
) -> None:
    """Put rows of equal customer, time and seq into an order that depends on nothing but what they say.

    `tied[i]` says that row `order[i]` ties with the row before it. `order` is changed in place.
    """
    in_tie = tied.copy()
    in_tie[:-1] |= tied[1:]
    places = np.flatnonzero(in_tie)
    if not len(places):
        return
    rows = table.take(pa.array(order[places]))
    run = np.cumsum(~tied[places])
    first = [
        name for name in ("event_id", "source", "src_file", "src_row", "event") if name in rows.column_names
    ]
    rest = sorted(set(rows.column_names) - set(first))
    keys = [_codes(rows, name, ranks) for name in [*first, *rest]]
    order[places] = order[places][np.lexsort([*reversed(keys), run])]


def duplicates(
    table: pa.Table,
    order: NDArray[np.int64],
    customer: NDArray[np.int32],
    keys: Mapping[int, Sequence[str]],
    ranks: Mapping[str, NDArray[np.int32]],
) -> NDArray[np.bool_]:
    """Which rows, in order, repeat an event of the same customer and source.

    Parameters
    ----------
    table : pyarrow.Table
        Rows as they came.
    order : int64
        Rows sorted by customer, time and seq.
    customer : int32
        The customer of each row, in order.
    keys : mapping of int to sequence of str
        Per code of a source the columns that say that two rows are the same event; empty: all but `PLACE`.
    ranks : mapping of str to array
        The sorted place of each code of the coded columns.
    """
    repeated = np.zeros(len(order), dtype=bool)
    if len(order) < 2:  # noqa: PLR2004 - it takes two
        return repeated
    time = integers(table, "timestamp", 0)[order]
    alike = (customer[1:] == customer[:-1]) & (time[1:] == time[:-1])
    same_instant = np.append(alike, False)
    same_instant[1:] |= alike
    source = integers(table, "source", -1)[order]
    received = _received(table)[order]
    everything = [name for name in table.column_names if name not in PLACE]
    by_content = np.ones(len(order), dtype=bool)
    for code, columns in keys.items():
        key = [name for name in columns if name in table.column_names]
        telling = [name for name in key if name not in _ALWAYS]
        if not key:
            continue
        mine = source == code
        if telling:
            says = np.zeros(table.num_rows, dtype=bool)
            for name in telling:
                says |= table.column(name).is_valid().to_numpy()
            mine &= says[order]
        by_content &= ~mine
        candidates = mine & (same_instant if "timestamp" in key else _same_hash(table, order, customer, key))
        _mark(repeated, table, order, customer, candidates, ["source", *key], received, ranks)
    _mark(repeated, table, order, customer, by_content & same_instant, everything, received, ranks)
    return repeated


def _mark(
    repeated: NDArray[np.bool_],
    table: pa.Table,
    order: NDArray[np.int64],
    customer: NDArray[np.int32],
    candidates: NDArray[np.bool_],
    columns: Sequence[str],
    received: NDArray[np.int64],
    ranks: Mapping[str, NDArray[np.int32]],
) -> None:
    """Mark all but one of the candidates that are equal in the columns: the one received first stays."""
    places = np.flatnonzero(candidates)
    if not len(places):
        return
    rows = table.select(list(dict.fromkeys(columns))).take(pa.array(order[places]))
    group = customer[places].astype(np.int64)
    for name in rows.column_names:
        code = _codes(rows, name, ranks) + 1
        size = int(code.max(initial=0)) + 1
        if int(group.max(initial=0)) + 1 > _ROOM // size:
            group = np.unique(group, return_inverse=True)[1]
        group = group * size + code
    by_group = np.lexsort([places, received[places], group])
    again = group[by_group][1:] == group[by_group][:-1]
    repeated[places[by_group[1:][again]]] = True


def _received(table: pa.Table) -> NDArray[np.int64]:
    if "received_at" not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.int64)
    return integers(table, "received_at", _NEVER)


def _same_hash(
    table: pa.Table, order: NDArray[np.int64], customer: NDArray[np.int32], key: Sequence[str]
) -> NDArray[np.bool_]:
    """Rows that share customer and key with another row, and perhaps a few more."""
    import pandas as pd

    mixed = customer.astype(np.uint64)
    for name in key:
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + _hashed(table.column(name))[order]
        mixed ^= mixed >> np.uint64(29)
    return pd.Series(mixed).duplicated(keep=False).to_numpy()


def _hashed(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    if pa.types.is_string(column.type):
        return text_hashes(pc.fill_null(column, "").combine_chunks())
    encoded = column.combine_chunks().dictionary_encode()
    codes: NDArray[np.int32] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.uint64)


def _codes(rows: pa.Table, name: str, ranks: Mapping[str, NDArray[np.int32]]) -> NDArray[np.int64]:
    """The values of a column as integers in the same order; −1 for a missing one."""
    if name in ranks:
        return ranks[name][integers(rows, name, -1)].astype(np.int64)
    encoded = rows.column(name).combine_chunks().dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    return rank[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def integers(table: pa.Table, name: str, missing: int) -> NDArray[Any]:
    """A column of integers or timestamps as an array, with a number for the nulls."""
    column = table.column(name).combine_chunks()
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    if column.null_count:
        column = column.fill_null(missing)
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
