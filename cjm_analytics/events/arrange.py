"""One bucket: its rows sorted, without duplicates, as the columns that the store keeps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.duplicates import (
    EDITED,
    SAID,
    Key,
    Ordered,
    break_ties,
    duplicates,
    flagged,
    integers,
)
from cjm_analytics.events.identity import ACCOUNT, ANONYMOUS
from cjm_analytics.events.intake import CODED_COLUMNS
from cjm_analytics.events.scatter import (
    BINS,
    bin_of,
    gathered,
    is_constant,
    one_array,
    reordered,
    sorted_places,
)
from cjm_analytics.schema import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.events.intake import Names

__all__ = ["Arrangement", "Bucket", "SourceCounts", "customer_of"]


class SourceCounts(NamedTuple):
    """Rows of one source in a bucket."""

    kept: int
    duplicates: int
    first: int
    last: int
    bots: int
    known: int
    tests: int = 0
    edited: int = 0


@dataclass(frozen=True)
class Bucket:
    """Events of some customers as they go into the store.

    Attributes
    ----------
    table : pyarrow.Table
        Sorted by customer_id, timestamp, seq and event_id.
    counts : mapping of str to SourceCounts
    used : mapping of str to set of str
        The texts that occur in each coded column.
    n_customers, n_known : int
        Customers, and those of them with a strong id.
    """

    table: pa.Table
    counts: Mapping[str, SourceCounts]
    used: Mapping[str, frozenset[str]]
    n_customers: int
    n_known: int

    def without_rows(self) -> Bucket:
        """The counts alone."""
        return replace(self, table=self.table.schema.empty_table())

    def facts(self) -> dict[str, Any]:
        """What a manifest keeps about the rows, as plain values."""
        return {
            "customers": self.n_customers,
            "known": self.n_known,
            "counts": {
                name: [one.kept, one.first, one.last, one.bots, one.known, one.tests, one.edited]
                for name, one in self.counts.items()
                if one.kept
            },
            "used": {name: sorted(texts) for name, texts in self.used.items()},
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Bucket:
        """The counts that `facts` gave; duplicates were told when they were found."""
        return cls(
            table=pa.table({}),
            counts={
                name: SourceCounts(kept, 0, first, last, *others)
                for name, (kept, first, last, *others) in facts["counts"].items()
            },
            used={name: frozenset(texts) for name, texts in facts["used"].items()},
            n_customers=facts["customers"],
            n_known=facts["known"],
        )

    def row_groups(self, size: int) -> Iterator[pa.Table]:
        """The rows in pieces, each with the ids of its own customers only."""
        for start in range(0, max(self.table.num_rows, 1), size):
            piece = self.table.slice(start, size).combine_chunks()
            for name in ("customer_id", "user_id"):
                position = piece.schema.get_field_index(name)
                if position >= 0 and pa.types.is_dictionary(piece.schema.field(position).type):
                    piece = piece.set_column(position, name, _narrowed(piece.column(position)))
            yield piece


_NONE = np.zeros(0, dtype=bool)


class _Customers(NamedTuple):
    """Sorted ids, the id of each row as a position, and the rows that carried no user id themselves.

    `unnamed` is None where a user id is more than the customer's id and stands in a column of its own.
    """

    ids: pa.Array
    code: NDArray[np.int32]
    unnamed: NDArray[np.bool_] | None


class ByBin:
    """A small table about ids, cut by the bins of the ids: a bucket looks through its own part only."""

    def __init__(self, table: pa.Table, key: str) -> None:
        table = table.combine_chunks()
        bins = bin_of(one_array(table.column(key)))
        if (bins[1:] < bins[:-1]).any():
            order = np.argsort(bins, kind="stable")
            table, bins = table.take(pa.array(order)), bins[order]
        self._table = table
        self._key = key
        self._bounds = np.searchsorted(bins, np.arange(BINS + 1))

    def part(self, bins: range) -> pa.Table:
        """What the table says of ids in these bins; texts of a large table become such as events have."""
        start = int(self._bounds[bins.start])
        part = self._table.slice(start, int(self._bounds[bins.stop]) - start)
        large = [one.name for one in part.schema if pa.types.is_large_string(one.type)]
        for name in large:
            place = part.schema.get_field_index(name)
            part = part.set_column(place, name, part.column(name).cast(pa.string()))
        return part

    def look_up(self, ids: pa.Array, bins: range, name: str) -> pa.Array:
        """The value of a column for each id; null where the table does not know the id."""
        part = self.part(bins)
        found = pc.index_in(ids, value_set=part.column(self._key).combine_chunks())
        return part.column(name).combine_chunks().take(found)


@dataclass(frozen=True)
class Arrangement:
    """How buckets are made; the same for all of one ingest.

    Attributes
    ----------
    types : mapping of str to DataType
        The columns that any row has a value in, and their types within ingest.
    names : Names
    keys : mapping of str to tuple of str
        Per source its dedupe columns.
    copies : mapping of str to str
        Per source which of several copies stays.
    dedupe : bool
    attributes : ByBin or None
        Attributes of customers, by `customer_id`.
    attribute_names : sequence of str
    """

    types: Mapping[str, pa.DataType]
    names: Names
    keys: Mapping[str, Sequence[str]]
    copies: Mapping[str, str]
    dedupe: bool
    attributes: ByBin | None = None
    attribute_names: Sequence[str] = ()
    _texts: dict[str, pa.Array] = field(default_factory=dict)
    _ranks: dict[str, NDArray[np.int32]] = field(default_factory=dict)

    _keys: dict[int, Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, key in self.keys.items():
            self._keys[self.names.code("source", name)] = Key(key, self.copies[name])
        for name in CODED_COLUMNS:
            self._texts[name], self._ranks[name] = self.names.ranked(name)

    def bucket(self, pieces: Sequence[pa.Table], bins: range) -> Bucket:
        """Sort and clean the rows of one bucket."""
        bucket = self.run(pieces, bins, [], pa.array([], pa.string()))
        assert bucket is not None  # noqa: S101 - there is no old row that could give way
        return bucket

    def run(
        self, pieces: Sequence[pa.Table], bins: range, old: Sequence[pa.Table], customers: pa.Array
    ) -> Bucket | None:
        """Sort rows that join others, without those that are there already.

        Parameters
        ----------
        pieces : sequence of Table
            The new rows.
        bins : range
        old : sequence of Table
            Every row of the bucket that a new one might equal or tie with.
        customers : Array
            All customers of the bucket before.

        Returns
        -------
        Bucket or None
            Of the new rows, its customers those that are new. None where an old row would have to go, to
            stand behind a new one that it ties with, or to say that it was edited: then only sorting all rows
            together is right.
        """
        n_old = sum(table.num_rows for table in old)
        table = self._together([*old, *pieces])
        encoded = customer_of(table).dictionary_encode()
        by_id = sorted_places(encoded.dictionary)
        ids = encoded.dictionary.take(pa.array(by_id))
        rank = np.empty(len(ids), dtype=np.int32)
        rank[by_id] = np.arange(len(ids), dtype=np.int32)
        code = rank[encoded.indices.to_numpy()]
        rows, tied = self._sorted(table, code, len(ids))
        order, code = rows.order, rows.customer
        removed = np.zeros(self.names.count("source"), dtype=np.int64)
        stays = np.ones(len(order), dtype=bool)
        edited = flagged(table, EDITED)[order]
        if self.dedupe:
            copies = duplicates(rows, self._keys)
            if copies.repeated.any():
                source = integers(table, "source", -1)
                removed = np.bincount(source[order[copies.repeated]], minlength=len(removed))
                stays = ~copies.repeated
            edited, known_before = edited | copies.edited, edited
        if n_old:
            is_old = order < n_old
            if (is_old & ~stays).any() or _stand_behind(is_old, stays, tied):
                return None
            if self.dedupe and (is_old & edited & ~known_before).any():
                return None
            stays &= ~is_old
        if not stays.all():
            order, code, edited = order[stays], code[stays], edited[stays]
            if n_old:
                ids, code = _only_used(ids, code)
        unnamed = None
        if "user_id" in table.column_names and _only_customers(table):
            # The customer's code says it already: no need to carry the text along.
            users = table.column("user_id")
            unnamed = users.is_null().to_numpy()[order] if users.null_count else _NONE
            table = table.drop_columns(["user_id"])
        table = table.drop_columns([name for name in ("customer_id",) if name in table.column_names])
        table = reordered(table, order)
        if EDITED in self.types and self.dedupe:
            table = table.set_column(table.column_names.index(EDITED), EDITED, self._told(table, edited))
        known = ~pc.or_(pc.starts_with(ids, ANONYMOUS), pc.starts_with(ids, ACCOUNT)).to_numpy(
            zero_copy_only=False
        )
        finished = self._finished(table, _Customers(ids, code, unnamed), bins)
        fresh = ~pc.is_in(ids, value_set=customers).to_numpy(zero_copy_only=False)
        return Bucket(
            table=finished,
            counts=self._counts(table, removed, known[code]),
            used={
                name: frozenset(finished.column(name).chunk(0).dictionary.to_pylist())
                for name in CODED_COLUMNS
                if name in finished.column_names and finished.num_rows
            },
            n_customers=int(fresh.sum()),
            n_known=int((known & fresh).sum()),
        )

    def _told(self, table: pa.Table, edited: NDArray[np.bool_]) -> pa.Array:
        """Whether rows were edited; null where there is nothing that could be."""
        latest = [code for code, key in self._keys.items() if key.copies == LATEST]
        known = np.isin(integers(table, "source", -1), latest)
        says = np.zeros(table.num_rows, dtype=bool)
        for name in set(SAID) & set(table.column_names):
            says |= table.column(name).is_valid().to_numpy()
        return pa.array(edited, mask=~(known & says | edited))

    def _together(self, pieces: Sequence[pa.Table]) -> pa.Table:
        """The pieces as one table with the columns and types of all buckets."""
        empty = pa.table({name: pa.array([], kind) for name, kind in self.types.items()})
        return gathered([empty, *(self._typed(piece) for piece in pieces)])

    def _typed(self, piece: pa.Table) -> pa.Table:
        """The piece with the types of all buckets."""
        wanted = [self.types[name] for name in piece.column_names]
        if piece.schema.types == wanted:
            return piece
        return pa.table(
            {
                name: piece.column(name).cast(kind)
                for name, kind in zip(piece.column_names, wanted, strict=True)
            }
        )

    def _sorted(
        self, table: pa.Table, code: NDArray[np.int32], n_customers: int
    ) -> tuple[Ordered, NDArray[np.bool_]]:
        """The rows in order, and which of them tie with the row before."""
        from cjm_analytics.kernels.ordering import sort_events

        time, seq = integers(table, "timestamp", 0), integers(table, "seq", 0)
        order, offsets, at_once, tied = sort_events(code, n_customers, time, seq)
        customer = np.repeat(np.arange(n_customers, dtype=np.int32), np.diff(offsets))
        rows = Ordered(table, order, customer, at_once, self._ranks)
        break_ties(rows, tied)
        return rows, tied

    def _finished(self, table: pa.Table, customers: _Customers, bins: range) -> pa.Table:
        ids, code, unnamed = customers
        columns: dict[str, pa.ChunkedArray | pa.Array] = {
            "customer_id": pa.DictionaryArray.from_arrays(pa.array(code), ids)
        }
        nothing_else = pa.array(np.zeros(table.num_rows, dtype=np.int32))
        for name in self.types:
            if name in CODED_COLUMNS:
                columns[name] = self._decoded(table, name, nothing_else)
            elif name == "user_id" and unnamed is not None:
                codes = pa.array(code, mask=unnamed) if unnamed.any() else pa.array(code)
                columns[name] = pa.DictionaryArray.from_arrays(codes, ids)
            elif name != "customer_id":
                columns[name] = table.column(name)
        for name in self.attribute_names:
            assert self.attributes is not None  # noqa: S101 - there are names only where there is a table
            values = self.attributes.look_up(ids, bins, name)
            columns[name] = values.take(pa.array(code))
        return pa.table(columns)

    def _decoded(self, table: pa.Table, name: str, nothing_else: pa.Array) -> pa.DictionaryArray:
        """Codes as names, with those names only that occur here, in sorted order.

        `nothing_else` has the codes of a column that says the same in every row.
        """
        codes, texts = one_array(table.column(name)), self._texts[name]
        if len(codes) and is_constant(codes):
            place = self._ranks[name][codes[0].as_py()]
            return pa.DictionaryArray.from_arrays(nothing_else, texts.slice(place, 1))
        places = np.sort(self._ranks[name][codes.unique().drop_null().to_numpy()])
        narrow = np.full(len(texts) + 1, -1, dtype=np.int32)
        narrow[places] = np.arange(len(places), dtype=np.int32)
        by_code = pa.array(narrow[self._ranks[name][:-1]])
        return pa.DictionaryArray.from_arrays(
            pc.take(by_code, codes, boundscheck=False), texts.take(pa.array(places))
        )

    def _counts(
        self, table: pa.Table, removed: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> dict[str, SourceCounts]:
        source, time = integers(table, "source", -1), integers(table, "timestamp", 0)
        bots, tests, edited = (flagged(table, one) for one in ("is_bot", "is_test", EDITED))
        counts = {}
        alone = len(source) > 0 and is_constant(one_array(table.column("source")))
        for code, name in enumerate(self.names.texts("source").to_pylist()):
            mine = np.broadcast_to(source[0] == code, len(source)) if alone else source == code
            if not mine.any() and not removed[code]:
                continue
            times = time if alone and mine[0] else time[mine]
            counts[name] = SourceCounts(
                kept=int(mine.sum()),
                duplicates=int(removed[code]),
                first=int(times.min(initial=np.iinfo(np.int64).max)),
                last=int(times.max(initial=np.iinfo(np.int64).min)),
                bots=int((bots & mine).sum()),
                known=int((known & mine).sum()),
                tests=int((tests & mine).sum()),
                edited=int((edited & mine).sum()),
            )
        return counts


def _stand_behind(is_old: NDArray[np.bool_], stays: NDArray[np.bool_], tied: NDArray[np.bool_]) -> bool:
    """Whether an old row stands behind a new one that stays and that it ties with."""
    run = np.cumsum(~tied)
    new = np.flatnonzero(~is_old & stays)
    first_new = np.full(run[-1] + 1, len(run), dtype=np.int64)
    first_new[run[new][::-1]] = new[::-1]
    places = np.flatnonzero(is_old)
    return bool((places > first_new[run[places]]).any())


def _only_used(ids: pa.Array, code: NDArray[np.int32]) -> tuple[pa.Array, NDArray[np.int32]]:
    """The ids that occur, and the codes among them."""
    used, narrow = np.unique(code, return_inverse=True)
    return ids.take(pa.array(used)), narrow.astype(np.int32)


def customer_of(table: pa.Table) -> pa.Array:
    """The customer of each row: the one that was resolved, else the user."""
    columns = [table.column(name) for name in ("customer_id", "user_id") if name in table.column_names]
    return one_array(columns[0] if len(columns) == 1 else pc.coalesce(*columns))


def _only_customers(table: pa.Table) -> bool:
    """Whether a user id, where there is one, is the customer's id."""
    if "customer_id" not in table.column_names:
        return True
    both = pc.and_(table.column("customer_id").is_valid(), table.column("user_id").is_valid())
    return not pc.any(both).as_py()


def _narrowed(column: pa.ChunkedArray) -> pa.Array:
    """The same values with a dictionary from the first to the last that occurs."""
    if not len(column) or column.null_count == len(column):
        return pa.array([None] * len(column), column.type)
    encoded = column.chunk(0)
    bounds = pc.min_max(encoded.indices)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    codes = pc.subtract(encoded.indices, pa.scalar(low, encoded.indices.type))
    return pa.DictionaryArray.from_arrays(codes, encoded.dictionary.slice(low, high - low + 1))
