"""Who is who: from ids seen together to one customer per event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["EVIDENCE", "Evidence", "Identity", "IdentityRule", "Stitching"]

EVIDENCE = pa.schema(
    [
        ("alias", pa.string()),
        ("user_id", pa.string()),
        ("rows", pa.int64()),
        ("first", pa.timestamp("us", tz="UTC")),
    ]
)
"""An alias (an anonymous id, or `email:<address>`) and a user id seen together: how often, and when first."""

ANONYMOUS = "anonymous:"
ACCOUNT = "account:"

_COMPACT_FROM = 1_000_000
_NEVER = np.iinfo(np.int64).max


class Stitching(NamedTuple):
    """What the rules made of the evidence.

    Attributes
    ----------
    owners : pyarrow.Table
        Columns `alias`, `user_id`: one row per alias that belongs to a known person.
    conflicts : int
        Aliases seen with two or more users.
    """

    owners: pa.Table
    conflicts: int


class IdentityRule(Protocol):
    """How anonymous ids find their person; must not depend on the order of the evidence."""

    def resolve(self, evidence: pa.Table) -> Stitching:
        """The owner of each alias, from a table of schema `EVIDENCE` with one row per pair."""
        ...


@dataclass(frozen=True)
class Identity:
    """The customer of an event, by a simple rule that everybody can check.

    - An event with a user id is that user's; users never merge, whatever they share.
    - An event with only an anonymous id is the user's that the id was seen together with: in most rows; if
      that is equal, first; if that is equal too, the smallest id. It does not matter whether the login came
      before or after.
    - An anonymous id that was never seen with a user is a customer of its own, `anonymous:<id>`.
    - An event with nothing but an account id is the customer `account:<id>`.

    Parameters
    ----------
    stitch : bool
        False: anonymous ids stay customers of their own even where they were seen with a user.

    Examples
    --------
    >>> import pandas as pd
    >>> seen = pa.Table.from_pylist([
    ...     {"alias": "tablet", "user_id": "ann", "rows": 2, "first": pd.Timestamp("2026-01-05", tz="UTC")},
    ...     {"alias": "tablet", "user_id": "bob", "rows": 1, "first": pd.Timestamp("2026-01-01", tz="UTC")},
    ... ], schema=EVIDENCE)
    >>> stitching = Identity().resolve(seen)
    >>> stitching.owners.to_pylist(), stitching.conflicts
    ([{'alias': 'tablet', 'user_id': 'ann'}], 1)
    """

    stitch: bool = True

    def resolve(self, evidence: pa.Table) -> Stitching:
        """The owner of each alias, and how many aliases had to be decided between users."""
        ranked = evidence.sort_by(
            [("alias", "ascending"), ("rows", "descending"), ("first", "ascending"), ("user_id", "ascending")]
        )
        alias = ranked.column("alias").combine_chunks()
        n = len(alias)
        best = np.ones(n, dtype=bool)
        if n > 1:
            best[1:] = pc.not_equal(alias.slice(1), alias.slice(0, n - 1)).to_numpy(zero_copy_only=False)
        owners = ranked.select(["alias", "user_id"]).filter(pa.array(best))
        per_alias = np.diff(np.append(np.flatnonzero(best), n))
        return Stitching(owners if self.stitch else owners.slice(0, 0), int((per_alias > 1).sum()))


class Evidence:
    """Pairs of ids seen together, gathered batch by batch and kept short."""

    def __init__(self) -> None:
        self._pairs = [EVIDENCE.empty_table()]
        self._fresh = 0

    def add(self, pairs: pa.Table) -> None:
        """Take in a table of schema `EVIDENCE`, of a former ingest."""
        self._pairs.append(pairs.cast(EVIDENCE))

    def rows(self, events: pa.Table) -> None:
        """Note the rows that carry both an anonymous id and a user id."""
        if not {"anonymous_id", "user_id"} <= set(events.column_names):
            return
        both = events.select(["anonymous_id", "user_id", "timestamp"])
        both = both.filter(pc.and_(pc.is_valid(both["anonymous_id"]), pc.is_valid(both["user_id"])))
        self._note(both.rename_columns(["alias", "user_id", "first"]))

    def links(self, links: pa.Table) -> None:
        """Note pairs that a source reports without an event; an unknown time counts as late."""
        known = links.filter(
            pc.and_(_filled(links.column("alias")), _filled(links.column("user_id"))),
        )
        never = pa.scalar(_NEVER, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        times = known.column("timestamp").cast(pa.timestamp("us", tz="UTC"), safe=False).fill_null(never)
        self._note(pa.table({"alias": known["alias"], "user_id": known["user_id"], "first": times}))

    def table(self) -> pa.Table:
        """All evidence, one row per pair, sorted."""
        self._compact()
        return self._pairs[0].sort_by([("alias", "ascending"), ("user_id", "ascending")])

    def _note(self, seen: pa.Table) -> None:
        if not seen.num_rows:
            return
        ones = pa.array(np.ones(seen.num_rows, dtype=np.int64))
        self._pairs.append(_per_pair(seen.append_column("rows", ones)))
        self._fresh += self._pairs[-1].num_rows
        if self._fresh > max(_COMPACT_FROM, self._pairs[0].num_rows):
            self._compact()

    def _compact(self) -> None:
        if len(self._pairs) > 1:
            self._pairs = [_per_pair(pa.concat_tables(one.cast(EVIDENCE) for one in self._pairs))]
        self._fresh = 0


def _per_pair(seen: pa.Table) -> pa.Table:
    grouped = seen.group_by(["alias", "user_id"]).aggregate([("rows", "sum"), ("first", "min")])
    return grouped.rename_columns(
        [{"rows_sum": "rows", "first_min": "first"}.get(name, name) for name in grouped.column_names]
    ).select(EVIDENCE.names)


def _filled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.greater(pc.binary_length(column), 0), fill_value=False)
