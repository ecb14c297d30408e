"""Ids that were seen together: gathered batch by batch, by pair in memory and by hour where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.scatter import BINS, Scatter, bin_of, one_array, text_buffers, text_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cjm_analytics.events.identity import Identity
    from cjm_analytics.events.stitching import Rules

__all__ = ["EVIDENCE", "STORED", "Evidence"]

_TIME = pa.timestamp("us", tz="UTC")
EVIDENCE = pa.schema(
    [
        ("alias", pa.string()),
        ("user_id", pa.string()),
        ("kind", pa.string()),
        ("rows", pa.int64()),
        ("first", _TIME),
        ("last", _TIME),
    ]
)
"""Two ids seen together: how often, when first and last. In full detail a row is about one hour (UTC).

`kind` is null where the events say so, or as in `schema.LINKS`; times are null where none is known.
"""

STORED = EVIDENCE.remove(EVIDENCE.get_field_index("last")).append(pa.field("lasted", pa.int64()))
"""Evidence as a store keeps it: most hours have one time only, so that the length of it takes no room."""

_KINDS = pa.array([None, "merge", "alias"], pa.string())
_LATE = np.iinfo(np.int64).max
_HOUR = 3_600_000_000
_COMPACT_FROM = 1_000_000
_BINS_AT_ONCE = 64


class Evidence:
    """What is known of ids that belong together.

    Parameters
    ----------
    spill : Path or None
        Where details go that do not fit into memory.
    limit : int
        How many bytes of details may stay in memory.
    """

    def __init__(self, spill: Path | None = None, limit: int = 0) -> None:
        self._pairs = [EVIDENCE.empty_table()]
        self._fresh = 0
        self._details = Scatter(_alias, spill, limit)
        self._stored: list[Callable[[], Iterator[pa.Table]]] = []

    def remember(self, read: Callable[[], Iterator[pa.Table]]) -> None:
        """Take in what former ingests saw; `read` gives it anew each time."""
        self._stored.append(read)
        for table in read():
            self._sum_up(_restored(table))

    def take_over(self, tables: Iterable[pa.Table]) -> None:
        """Take in what former ingests saw, to be written anew."""
        for table in tables:
            self._note(_restored(table))

    def rows(self, events: pa.Table) -> None:
        """Note the rows that carry both an anonymous id and a user id."""
        if not {"anonymous_id", "user_id"} <= set(events.column_names):
            return
        both = events.select(["anonymous_id", "user_id", "timestamp"])
        both = both.filter(pc.and_(pc.is_valid(both["anonymous_id"]), pc.is_valid(both["user_id"])))
        if both.num_rows:
            kind = pa.nulls(both.num_rows, pa.string())
            alias, user, times = (one_array(column) for column in both.columns)
            self._note(_counted(alias, user, kind, times))

    def links(self, links: pa.Table, identity: Identity, source: str) -> None:
        """Note pairs that a source reports without an event."""
        if not links.num_rows:
            return
        kind = links.column("kind") if "kind" in links.column_names else pa.nulls(links.num_rows, pa.string())
        alias, user = (one_array(links.column(name)) for name in ("alias", "user_id"))
        is_merge = pc.fill_null(pc.equal(kind, "merge"), False)
        is_alias = pc.fill_null(pc.equal(kind, "alias"), False)
        alias = pc.if_else(is_merge, identity.users(alias, source), identity.aliases(alias))
        user = pc.if_else(is_alias, identity.aliases(user), identity.users(user, source))
        # Two aliases: a device stands first, so that all that is known of it is in one bin.
        turned = pc.fill_null(pc.and_(is_alias, _stands_behind(alias, user, identity.rules)), False)
        alias, user = pc.if_else(turned, user, alias), pc.if_else(turned, alias, user)
        seen = _counted(alias, user, kind, links.column("timestamp").cast(_TIME, safe=False))
        self._note(seen.filter(pc.and_(seen["alias"].is_valid(), seen["user_id"].is_valid())))

    def pairs(self) -> pa.Table:
        """One row per pair and kind."""
        self._compact()
        return self._pairs[0]

    def of(self, aliases: pa.Array) -> pa.Table:
        """Everything about some aliases, one row per pair, kind and hour."""
        places = np.unique(bin_of(aliases)).tolist()
        found = [EVIDENCE.empty_table()]
        for place in places:
            found += self._about(self._details.tables(range(place, place + 1)), aliases)
        for read in self._stored:
            found += self._about(map(_restored, read()), aliases)
        return _summed(pa.concat_tables(found), by_hour=True)

    def details(self) -> Iterator[pa.Table]:
        """What is new, schema `STORED`, in an order that depends on nothing else; not what is remembered."""
        for first in range(0, BINS, _BINS_AT_ONCE):
            tables = self._details.tables(range(first, first + _BINS_AT_ONCE))
            if tables:
                table = _summed(pa.concat_tables(tables), by_hour=True)
                begin, end = (table.column(name).cast(pa.int64()) for name in ("first", "last"))
                yield table.drop_columns(["last"]).append_column("lasted", pc.subtract(end, begin))

    def close(self) -> None:
        """All evidence is in."""
        self._details.close()

    def _about(self, tables: Iterable[pa.Table], aliases: pa.Array) -> list[pa.Table]:
        return [
            table.select(EVIDENCE.names).filter(pc.is_in(table.column("alias"), value_set=aliases))
            for table in tables
        ]

    def _note(self, seen: pa.Table) -> None:
        if seen.num_rows:
            seen = _summed(seen, by_hour=True)
            self._details.add(seen)
            self._sum_up(seen)

    def _sum_up(self, seen: pa.Table) -> None:
        self._pairs.append(seen)
        self._fresh += seen.num_rows
        if self._fresh > max(_COMPACT_FROM, self._pairs[0].num_rows):
            self._compact()

    def _compact(self) -> None:
        if len(self._pairs) > 1:
            self._pairs = [_summed(pa.concat_tables(self._pairs))]
        self._fresh = 0


def _counted(alias: pa.Array, user: pa.Array, kind: pa.Array, times: pa.Array) -> pa.Table:
    """Rows as evidence, one by one."""
    ones = pa.array(np.ones(len(alias), dtype=np.int64))
    return pa.table([alias, user, kind, ones, times, times], names=EVIDENCE.names)


def _summed(seen: pa.Table, *, by_hour: bool = False) -> pa.Table:
    """One row per pair and kind, and perhaps hour, in an order that depends on nothing else."""
    if not seen.num_rows:
        return EVIDENCE.empty_table()
    alias, aliases = _ranked(one_array(seen.column("alias")))
    user, users = _ranked(one_array(seen.column("user_id")))
    kind = pc.fill_null(pc.index_in(seen.column("kind"), value_set=_KINDS), 0).to_numpy()
    pair = (alias * len(users) + user) * len(_KINDS) + kind
    first, last = (
        pc.fill_null(seen.column(name).cast(pa.int64()), _LATE).to_numpy() for name in ("first", "last")
    )
    order = np.lexsort([first, pair])
    pair, first = pair[order], first[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = pair[1:] != pair[:-1]
    if by_hour:
        hour = first // _HOUR
        begins[1:] |= hour[1:] != hour[:-1]
    starts = np.flatnonzero(begins)
    pair, kind = np.divmod(pair[starts], len(_KINDS))
    alias, user = np.divmod(pair, len(users))
    first = first[starts]
    never = first == _LATE
    # Unknown times stand behind the known ones of a pair, and are the latest: they are no last time.
    known = np.where(last == _LATE, np.iinfo(np.int64).min, last)[order]
    return pa.table(
        [
            aliases.take(pa.array(alias)),
            users.take(pa.array(user)),
            _KINDS.take(pa.array(kind)),
            pa.array(np.add.reduceat(seen.column("rows").to_numpy()[order], starts)),
            pa.array(first, mask=never).cast(_TIME),
            pa.array(np.maximum.reduceat(known, starts), mask=never).cast(_TIME),
        ],
        schema=EVIDENCE,
    )


def _ranked(texts: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Each text as a place among the distinct ones, which are sorted by a hash."""
    from cjm_analytics.kernels.stitching import number_texts

    hashes = text_hashes(texts)
    numbers, firsts = number_texts(hashes, *text_buffers(texts), np.zeros(len(texts), dtype=bool))
    order = np.argsort(hashes[firsts], kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[numbers], texts.take(pa.array(firsts[order]))


def _restored(stored: pa.Table) -> pa.Table:
    """Evidence of a store with the last times written out."""
    first = stored.column("first").cast(pa.int64())
    last = pc.add(first, stored.column("lasted")).cast(_TIME)
    return stored.append_column("last", last).select(EVIDENCE.names)


def _stands_behind(alias: pa.Array, user: pa.Array, rules: Rules) -> pa.Array:
    """Whether of two aliases the second is rather a device, or else has the smaller text."""
    pattern = f"^(?:email|phone|{'|'.join(rules.systems)}):"
    first, second = (pc.match_substring_regex(one, pattern) for one in (alias, user))
    return pc.or_(
        pc.and_(first, pc.invert(second)), pc.and_(pc.equal(first, second), pc.greater(alias, user))
    )


def _alias(details: pa.Table) -> pa.Array:
    return one_array(details.column("alias"))
