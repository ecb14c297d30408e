"""Ids that were seen together: gathered batch by batch, by pair in memory and by hour where there is room."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.pairs import EVIDENCE, KINDS, NEVER, Pairs, Seen, by_hour
from cjm_analytics.events.scatter import BINS, Room, Scatter, bins_of_hashes, one_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cjm_analytics.events.identity import Identity
    from cjm_analytics.events.stitching import Rules

__all__ = ["STORED", "Evidence"]

_TIME = pa.timestamp("us", tz="UTC")
STORED = EVIDENCE.remove(EVIDENCE.get_field_index("last")).append(pa.field("lasted", pa.int64()))
"""Evidence as a store keeps it: most hours have one time only, so that the length of it takes no room."""

_BINS_AT_ONCE = 64


class Evidence:
    """What is known of ids that belong together.

    Parameters
    ----------
    spill : Path or None
        Where details go that do not fit into memory.
    room : Room, optional
        What of details may stay in memory where they can go elsewhere.

    Attributes
    ----------
    pairs : Pairs
        All pairs, each counted once per kind.
    """

    def __init__(self, spill: Path | None = None, room: Room | None = None) -> None:
        self.pairs = Pairs()
        self._details = Scatter(self._bins, spill, room or Room(0))
        self._stored: list[Callable[[], Iterator[pa.Table]]] = []

    def remember(self, read: Callable[[], Iterator[pa.Table]]) -> None:
        """Take in what former ingests saw; `read` gives it anew each time."""
        self._stored.append(read)
        for table in read():
            self.pairs.add(self._restored(table))

    def take_over(self, tables: Iterable[pa.Table]) -> None:
        """Take in what former ingests saw, to be written anew."""
        for table in tables:
            self._note(self._restored(table))

    def rows(self, events: pa.Table, identity: Identity, source: str) -> None:
        """Note the rows that carry both an anonymous id and a user id, and who is told with an order."""
        if {"anonymous_id", "user_id"} <= set(events.column_names):
            self._seen(events.select(["anonymous_id", "user_id", "timestamp"]), None)
        if "order_id" in events.column_names:
            number = identity.orders_of(one_array(events.column("order_id")), source)
            self._orders(events.append_column("order", number), identity)

    def _orders(self, events: pa.Table, identity: Identity) -> None:
        """Note the user of each order, where there is none the anonymous id."""
        events = events.filter(events.column("order").is_valid())
        if "user_id" in events.column_names:
            self._seen(events.select(["order", "user_id", "timestamp"]), None)
            events = events.filter(events.column("user_id").is_null())
        if events.num_rows and "anonymous_id" in events.column_names:
            seen = events.select(["anonymous_id", "order", "timestamp"])
            self._seen(_device_first(seen, identity.rules), "alias")

    def _seen(self, both: pa.Table, kind: str | None) -> None:
        """Note two ids and a time, where both are known."""
        one, other = both.columns[:2]
        if one.null_count or other.null_count:
            both = both.filter(pc.and_(one.is_valid(), other.is_valid()))
        if both.num_rows:
            alias, user, times = (one_array(column) for column in both.columns)
            kinds = np.full(len(alias), KINDS.to_pylist().index(kind), dtype=np.int8)
            self._note(_one_by_one(self.pairs.number(alias, user, kinds), times))

    def links(self, links: pa.Table, identity: Identity, source: str, *, zero: bool = False) -> None:
        """Note pairs that a source reports without an event."""
        if not links.num_rows:
            return
        kind = links.column("kind") if "kind" in links.column_names else pa.nulls(links.num_rows, pa.string())
        alias, user = (one_array(links.column(name)) for name in ("alias", "user_id"))
        is_merge = pc.fill_null(pc.equal(kind, "merge"), False)
        is_alias = pc.fill_null(pc.equal(kind, "alias"), False)
        users = partial(identity.users, source=source, zero=zero)
        alias = pc.if_else(is_merge, users(alias), identity.aliases(alias))
        user = pc.if_else(is_alias, identity.aliases(user), users(user))
        turned = pc.fill_null(pc.and_(is_alias, _stands_behind(alias, user, identity.rules)), False)
        alias, user = pc.if_else(turned, user, alias), pc.if_else(turned, alias, user)
        times = links.column("timestamp").cast(_TIME, safe=False)
        seen = pa.table([alias, user, kind, times], names=["alias", "user_id", "kind", "first"])
        seen = seen.filter(pc.and_(pc.is_valid(seen["alias"]), pc.is_valid(seen["user_id"])))
        if seen.num_rows:
            self._note(_one_by_one(self._numbers(seen), one_array(seen.column("first"))))

    def of(self, aliases: NDArray[np.int32]) -> Seen:
        """Everything about some aliases, given by their numbers, one row per pair and hour."""
        asked = np.zeros(len(self.pairs.texts), dtype=bool)
        asked[aliases] = True
        asked = asked[self.pairs.alias]
        bins = np.unique(bins_of_hashes(self.pairs.texts.hashes[aliases]))
        together = np.split(bins, np.flatnonzero(np.diff(bins // _BINS_AT_ONCE)) + 1)
        found = [
            _columns(table)
            for some in together
            for table in self._details.tables(range(int(some[0]), int(some[-1]) + 1))
        ]
        found += [self._restored(table) for read in self._stored for table in read()]
        return by_hour(Seen.together([seen.where(asked[seen.pair]) for seen in found]))

    def details(self) -> Iterator[pa.Table]:
        """What is new, schema `STORED`, in an order that depends on nothing else; not what is remembered."""
        for first in range(0, BINS, _BINS_AT_ONCE):
            tables = self._details.tables(range(first, first + _BINS_AT_ONCE))
            if tables:
                seen = by_hour(Seen.together([_columns(table) for table in tables]))
                table = self.pairs.table(self.pairs.in_order(seen))
                begin, end = (table.column(name).cast(pa.int64()) for name in ("first", "last"))
                yield table.drop_columns(["last"]).append_column("lasted", pc.subtract(end, begin))

    def close(self) -> None:
        """All evidence is in."""
        self.pairs.rest()
        self._details.close()

    def _note(self, seen: Seen) -> None:
        seen = by_hour(seen)
        self.pairs.add(seen)
        self._details.add(_packed(seen))

    def _bins(self, details: pa.Table) -> NDArray[np.uint16]:
        return self.pairs.bins(details.column("pair").to_numpy())

    def _numbers(self, table: pa.Table) -> NDArray[np.int32]:
        """The numbers of pairs that are given by their texts."""
        alias, user, kind = (one_array(table.column(name)) for name in ("alias", "user_id", "kind"))
        return self.pairs.number(alias, user, pc.fill_null(pc.index_in(kind, value_set=KINDS), 0).to_numpy())

    def _restored(self, stored: pa.Table) -> Seen:
        """Evidence of a store."""
        rows = stored.column("rows").to_numpy()
        first = _micros(one_array(stored.column("first")))
        lasted = pc.fill_null(stored.column("lasted"), 0).to_numpy()
        return Seen(self._numbers(stored), rows, first, np.where(first == NEVER, NEVER, first + lasted))


def _one_by_one(pair: NDArray[np.int32], times: pa.Array) -> Seen:
    """Rows as evidence."""
    first = _micros(times)
    return Seen(pair, np.ones(len(pair), dtype=np.int64), first, first)


def _packed(seen: Seen) -> pa.Table:
    """What was seen by hour, in little room: an hour in microseconds is less than 2^32, and few rows say it.

    What is the same everywhere, as one row and one instant often are, takes none at all in bins.
    """
    lasted = np.where(seen.first == NEVER, 0, seen.last - seen.first).astype(np.uint32)
    small = seen.rows.max(initial=0) <= np.iinfo(np.int32).max
    rows = seen.rows.astype(np.int32) if small else seen.rows
    return pa.table([seen.pair, rows, seen.first, lasted], names=["pair", "rows", "first", "lasted"])


def _columns(details: pa.Table) -> Seen:
    """What `_packed` packed."""
    pair, rows, first, lasted = (
        details.column(name).to_numpy() for name in ("pair", "rows", "first", "lasted")
    )
    last = np.where(first == NEVER, NEVER, first + lasted.astype(np.int64))
    return Seen(pair, rows.astype(np.int64), first, last)


def _micros(times: pa.Array) -> NDArray[np.int64]:
    """Microseconds, an unknown time as the latest."""
    return pc.fill_null(times.cast(pa.int64()), NEVER).to_numpy()  # type: ignore[no-any-return]


def _device_first(aliases: pa.Table, rules: Rules) -> pa.Table:
    """Two aliases and a time, turned where they stand the wrong way round."""
    one, other = (one_array(column) for column in aliases.columns[:2])
    turned = pc.fill_null(_stands_behind(one, other, rules), False)
    ends = [pc.if_else(turned, other, one), pc.if_else(turned, one, other)]
    return pa.table([*ends, aliases.column(2)], names=aliases.column_names)


def _stands_behind(alias: pa.Array, user: pa.Array, rules: Rules) -> pa.Array:
    """Whether of two aliases the second is rather a device, or else has the smaller text.

    A device stands first, so that all that is known of it is in one bin.
    """
    pattern = f"^(?:email|phone|order|{'|'.join(rules.systems)}):"
    first, second = (pc.match_substring_regex(one, pattern) for one in (alias, user))
    return pc.or_(
        pc.and_(first, pc.invert(second)), pc.and_(pc.equal(first, second), pc.greater(alias, user))
    )
