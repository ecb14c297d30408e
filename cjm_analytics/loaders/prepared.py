"""Rows that a vendor's loader has laid out already: canonical names, cells as they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.table import Layout, Promoted, canonical
from cjm_analytics.schema import CUSTOMERS, LINKS, LOADED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from cjm_analytics.loaders.rows import Broken
    from cjm_analytics.loaders.times import Clock
    from cjm_analytics.schema import Batch

__all__ = ["Prepared", "attributed", "attributes_of", "events_of", "linked", "links_of"]


@dataclass(frozen=True)
class Prepared:
    """A block of rows under canonical names.

    Attributes
    ----------
    columns : mapping
        Canonical or promoted name → cells; `email` for addresses.
    left_over : pyarrow.Array or None
        The `properties` of each row, as JSON.
    text : callable
        Row → how it read in the input.
    inferred : numpy.ndarray, optional
        Rows whose time is not said by the source but follows from something else.
    """

    file: str
    numbers: NDArray[np.int64]
    columns: Mapping[str, pa.Array]
    left_over: pa.Array | None
    text: Callable[[int], str]
    broken: list[Broken] = field(default_factory=list)
    inferred: NDArray[np.bool_] | None = None
    is_sparse: bool = True

    def __len__(self) -> int:
        return len(self.numbers)

    def has(self, name: str) -> bool:
        return name in self.columns

    def names(self) -> list[str]:
        return list(self.columns)

    def column(self, name: str) -> pa.Array:
        return self.columns[name]

    def properties(self, taken: Collection[str]) -> pa.Array | None:
        del taken  # what has a canonical place was taken out when the rows were laid out
        return self.left_over

    def raw(self, row: int) -> str:
        return self.text(row)


def events_of(
    rows: Prepared, promoted: Promoted, *, source: str, kind: str, clock: Clock, decimal: str = "."
) -> Batch:
    """A block of laid-out rows as a batch."""
    mapped = {name: name for name in rows.columns if name in LOADED.names}
    email = "email" if "email" in rows.columns else None
    layout = Layout(mapped, email=email, keep=promoted.keep, clock=clock, decimal=decimal)
    return canonical(rows, layout, promoted, source=source, kind=kind, is_inferred=rows.inferred)


def links_of(pairs: Iterable[tuple[str | None, str | None, object]], *, kind: str | None = None) -> pa.Table:
    """Links from (alias, user id, time) with the gaps left out and each pair once, at its first time.

    An alias that is its own user id says that what looked anonymous is a person's name. `kind` is one of
    `schema.LINK_KINDS`: a vendor's merge record, or two aliases of one person.
    """
    first: dict[tuple[str, str], object] = {}
    for alias, user, time in pairs:
        if alias and user:
            first.setdefault((alias, user), time)
    return pa.table(
        {
            "alias": pa.array([alias for alias, _ in first], pa.string()),
            "user_id": pa.array([user for _, user in first], pa.string()),
            "timestamp": pa.array(list(first.values()), LINKS.field("timestamp").type),
            "kind": pa.array([kind] * len(first), pa.string()),
        },
        schema=LINKS,
    )


def linked(aliases: pa.Array, users: pa.Array, times: pa.Array, *, kind: str | None) -> pa.Table:
    """The same from columns; what is linked to itself is left out, unless it was seen so (no kind)."""
    every = pa.table({"alias": aliases, "user_id": users, "timestamp": times})
    told = pc.and_(pc.is_valid(aliases), pc.is_valid(users))
    if kind is not None:
        told = pc.and_(told, pc.not_equal(aliases, users))
    known = every.filter(told)
    if not known.num_rows:
        return LINKS.empty_table()
    keys = ["alias", "user_id"]
    once = known.group_by(keys, use_threads=False).aggregate([("timestamp", "first")])
    once = once.rename_columns([*keys, "timestamp"])
    return once.append_column("kind", pa.array([kind] * once.num_rows, pa.string())).cast(LINKS)


def attributed(users: pa.Array, times: pa.Array, name: str, values: pa.Array) -> pa.Table:
    """Attributes of customers from columns, the gaps left out."""
    names = pa.DictionaryArray.from_arrays(np.zeros(len(users), np.int32), [name]).dictionary_decode()
    every = pa.table({"user_id": users, "timestamp": times, "attribute": names, "value": values})
    filled = pc.and_(pc.is_valid(users), pc.greater(pc.binary_length(values), 0))
    return every.filter(pc.fill_null(filled, False)).select(CUSTOMERS.names).cast(CUSTOMERS)


def attributes_of(seen: Iterable[tuple[str | None, object, str, str | None]]) -> pa.Table:
    """Attributes of customers from (user id, time, attribute, value) with the gaps left out."""
    kept = [one for one in seen if one[0] and one[3] is not None]
    return pa.table(
        {
            "user_id": pa.array([one[0] for one in kept], pa.string()),
            "timestamp": pa.array([one[1] for one in kept], CUSTOMERS.field("timestamp").type),
            "attribute": pa.array([one[2] for one in kept], pa.string()),
            "value": pa.array([one[3] for one in kept], pa.string()),
        },
        schema=CUSTOMERS,
    )
