"""Ids that were seen together: gathered batch by batch, by pair in memory and by hour where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.scatter import BINS, Scatter, bin_of, one_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cjm_analytics.events.identity import Identity
    from cjm_analytics.events.stitching import Rules

__all__ = ["EVIDENCE", "Evidence"]

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

_PAIR = ("alias", "user_id", "kind")
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
            self._sum_up(table)

    def take_over(self, tables: Iterable[pa.Table]) -> None:
        """Take in what former ingests saw, to be written anew."""
        for table in tables:
            self._note(table)

    def rows(self, events: pa.Table) -> None:
        """Note the rows that carry both an anonymous id and a user id."""
        if not {"anonymous_id", "user_id"} <= set(events.column_names):
            return
        both = events.select(["anonymous_id", "user_id", "timestamp"])
        both = both.filter(pc.and_(pc.is_valid(both["anonymous_id"]), pc.is_valid(both["user_id"])))
        if both.num_rows:
            kind = pa.nulls(both.num_rows, pa.string())
            self._note(_counted(both["anonymous_id"], both["user_id"], kind, both["timestamp"]))

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
            found += self._about(read(), aliases)
        return _per_hour(pa.concat_tables(found))

    def details(self) -> Iterator[pa.Table]:
        """What is new, one row per pair, kind and hour, sorted by bin; not what is remembered."""
        for first in range(0, BINS, _BINS_AT_ONCE):
            tables = self._details.tables(range(first, first + _BINS_AT_ONCE))
            if tables:
                table = _per_hour(pa.concat_tables(tables))
                yield table.sort_by([(name, "ascending") for name in (*_PAIR, "first")]).combine_chunks()

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
            seen = _per_hour(seen)
            self._details.add(seen)
            self._sum_up(seen)

    def _sum_up(self, seen: pa.Table) -> None:
        self._pairs.append(_summed(seen, _PAIR))
        self._fresh += self._pairs[-1].num_rows
        if self._fresh > max(_COMPACT_FROM, self._pairs[0].num_rows):
            self._compact()

    def _compact(self) -> None:
        if len(self._pairs) > 1:
            self._pairs = [_summed(pa.concat_tables(self._pairs), _PAIR)]
        self._fresh = 0


def _counted(alias: pa.Array, user: pa.Array, kind: pa.Array, times: pa.Array) -> pa.Table:
    """Rows as evidence, one by one."""
    ones = pa.array(np.ones(len(alias), dtype=np.int64))
    return pa.table([alias, user, kind, ones, times, times], names=EVIDENCE.names)


def _per_hour(seen: pa.Table) -> pa.Table:
    hour = pc.divide(seen.column("first").cast(pa.int64()), _HOUR)
    return _summed(seen.append_column("hour", hour), (*_PAIR, "hour"))


def _summed(seen: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    grouped = seen.group_by(list(keys)).aggregate([("rows", "sum"), ("first", "min"), ("last", "max")])
    renamed = {"rows_sum": "rows", "first_min": "first", "last_max": "last"}
    return grouped.rename_columns([renamed.get(name, name) for name in grouped.column_names]).select(
        EVIDENCE.names
    )


def _stands_behind(alias: pa.Array, user: pa.Array, rules: Rules) -> pa.Array:
    """Whether of two aliases the second is rather a device, or else has the smaller text."""
    pattern = f"^(?:email|phone|{'|'.join(rules.systems)}):"
    first, second = (pc.match_substring_regex(one, pattern) for one in (alias, user))
    return pc.or_(
        pc.and_(first, pc.invert(second)), pc.and_(pc.equal(first, second), pc.greater(alias, user))
    )


def _alias(details: pa.Table) -> pa.Array:
    return one_array(details.column("alias"))
