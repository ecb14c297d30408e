"""A store that is added to: which buckets are written anew, and what new rows are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.arrange import customer_of
from cjm_analytics.events.duplicates import ALWAYS
from cjm_analytics.events.scatter import BINS, bin_of, one_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.events.folder import File, Folder, Manifest
    from cjm_analytics.events.identity import Identity
    from cjm_analytics.events.stitching import Stitching

__all__ = ["Growth", "Window", "bins_of_bucket"]

_MOST_RUNS = 32
"""A bucket of so many runs is written anew by the ingest that would add another."""

Window = tuple[int, int]
"""From (included) to (excluded), microseconds UTC."""


def bins_of_bucket(number: int, n_buckets: int) -> range:
    """The bins that make up a bucket."""
    return range(number * BINS // n_buckets, (number + 1) * BINS // n_buckets)


@dataclass(frozen=True)
class Growth:
    """The store before, as whoever adds to it sees it.

    Attributes
    ----------
    folder : Folder
    before : Manifest
    runs : list of list of File
        Per bucket, the oldest first.
    """

    folder: Folder
    before: Manifest
    runs: list[list[File]]

    @classmethod
    def of(cls, folder: Folder, before: Manifest) -> Growth:
        return cls(folder, before, before.runs())

    def customers(self, number: int) -> pa.Array:
        """The customers of a bucket."""
        ids = [
            group.column("customer_id").unique().cast(pa.string())
            for run in self.runs[number]
            for group in self.folder.row_groups(run, ["customer_id"])
        ]
        return pa.concat_arrays([pa.array([], pa.string()), *ids]).unique()

    def full(self) -> set[int]:
        """Buckets of so many runs that they are due to be written anew."""
        return {number for number, runs in enumerate(self.runs) if len(runs) >= _MOST_RUNS}

    def within(self, windows: Mapping[str, Window]) -> set[int]:
        """Buckets that may hold rows of the sources in their windows."""
        return {
            run.bucket
            for run in self.before.events
            for source, (start, end) in windows.items()
            if source in run.facts["counts"]
            and run.facts["counts"][source][1] < end
            and run.facts["counts"][source][2] >= start
        }

    def moved(self, now: Stitching, identity: Identity) -> tuple[set[int], pa.Table]:
        """Buckets that customers leave or join because an id has another owner than it had.

        Also customers of the store that have another name now, as the store's `history` tells it, without the
        time.
        """
        old = _owned(self._read(self.before.owners, now.owners), self._read(self.before.persons, now.persons))
        new = _owned(now.owners, now.persons)
        texts = [_joined(one) for one in (old, new)]
        gone = old.filter(pc.invert(pc.is_in(texts[0], value_set=texts[1])))
        come = new.filter(pc.invert(pc.is_in(texts[1], value_set=texts[0])))
        keys = pa.concat_arrays([_short(gone.column("id")), _short(come.column("id"))]).unique()
        before = _places(keys, old, identity)
        after = _places(keys, new, identity)
        there = self._is_there(one_array(before.column("customer_id")))
        left = before.filter(pa.array(there))
        joined = after.filter(pc.is_in(after.column("id"), value_set=one_array(left.column("id"))))
        places = pa.concat_arrays([one_array(one.column("customer_id")) for one in (left, joined)])
        return set(self._bucket_of(places).tolist()), _renamed(left, joined, identity)

    def _read(self, files: Sequence[File], like: pa.Table) -> pa.Table:
        return pa.concat_tables([like.slice(0, 0), *(self.folder.read(file) for file in files)])

    def owned_by_time(self, aliases: pa.Array, now: Stitching, identity: Identity) -> set[int]:
        """Buckets with events of devices whose owner is told by the events around a login."""
        dated = now.owners.filter(now.owners.column("since").is_valid())
        touched = _owned(
            dated.filter(pc.is_in(dated.column("alias"), value_set=aliases.cast(pa.large_string()))),
            now.persons.slice(0, 0),
        )
        keys = _short(touched.column("id")).unique()
        places = _places(keys, touched, identity).column("customer_id").combine_chunks()
        return set(self._bucket_of(places)[self._is_there(places)].tolist())

    def described_anew(self, before: pa.Table, now: pa.Table) -> set[int]:
        """Buckets of customers of whom an attribute has another value; both tables are long."""
        key = ("user_id", "attribute", "value")

        def texts(table: pa.Table) -> pa.Array:
            joined = pc.binary_join_element_wise(*(table.column(name) for name in key), "\0")
            return pa.concat_arrays([_NO_TEXT, *joined.chunks])

        changed = now.filter(pc.invert(pc.is_in(texts(now), value_set=texts(before))))
        ids = pa.concat_arrays([_NO_TEXT, *changed.column("user_id").chunks]).unique()
        return set(self._bucket_of(ids)[self._is_there(ids)].tolist())

    def beside(
        self, number: int, pieces: Sequence[pa.Table], keys: Mapping[str, Sequence[str]]
    ) -> Iterator[pa.Table]:
        """Every row of a bucket that one of the new rows may equal or tie with, and some more."""
        customers = pa.concat_arrays([customer_of(piece).cast(pa.string()) for piece in pieces]).unique()
        times = pa.concat_arrays([chunk for piece in pieces for chunk in piece.column("timestamp").chunks])
        bounds = pc.min_max(times)
        first, last = (bounds[name].cast(pa.int64()).as_py() for name in ("min", "max"))
        by_key = _texts_of_keys(pieces, {name: key for name, key in keys.items() if key})

        def wanted(group: pa.Table) -> pa.Array:
            theirs = _is_in(group.column("customer_id"), customers)
            if by_key is None:
                return theirs
            near = pc.and_(
                pc.greater_equal(group.column("timestamp"), bounds["min"]),
                pc.less_equal(group.column("timestamp"), bounds["max"]),
            )
            for name, texts in by_key.items():
                if name in group.column_names:
                    near = pc.or_(near, pc.fill_null(_is_in(group.column(name), texts), False))
            return pc.and_(near, theirs)

        for run in self.runs[number]:
            overlaps = run.first is not None and run.first <= last and (run.last or 0) >= first
            if overlaps or by_key or by_key is None:
                columns = ["customer_id", "timestamp", *(by_key or ())]
                yield from self.folder.matching(run, columns, wanted)

    def rows(self, number: int) -> Iterator[pa.Table]:
        """All rows of a bucket."""
        for run in self.runs[number]:
            yield from self.folder.row_groups(run)

    def _bucket_of(self, ids: pa.Array) -> NDArray[np.int64]:
        starts = [bins_of_bucket(number, len(self.runs)).start for number in range(len(self.runs))]
        return np.searchsorted(starts, bin_of(ids), side="right") - 1

    def _is_there(self, ids: pa.Array) -> NDArray[np.bool_]:
        """Whether the store has events of each customer."""
        there = np.zeros(len(ids), dtype=bool)
        bucket = self._bucket_of(ids)
        for number in np.unique(bucket).tolist():
            mine = np.flatnonzero(bucket == number)
            found = pc.is_in(ids.take(pa.array(mine)), value_set=self.customers(number))
            there[mine] = found.to_numpy(zero_copy_only=False)
        return there


_NO_TEXT = pa.array([], pa.string())
_USER = "\0"


def _short(texts: pa.ChunkedArray) -> pa.Array:
    """Texts of some rows, as events have them."""
    return one_array(texts.cast(pa.string()))


def _owned(owners: pa.Table, persons: pa.Table) -> pa.Table:
    """Both tables as one: `id` (a user id with a NUL byte before it), `since`, `customer_id`."""
    users = pc.binary_join_element_wise(_USER, persons.column("user_id"), "")
    nulls = pa.nulls(persons.num_rows, owners.schema.field("since").type)
    users = pa.table([users, nulls, persons.column("customer_id")], names=["id", "since", "customer_id"])
    aliases = owners.select(["alias", "since", "customer_id"]).rename_columns(users.column_names)
    return pa.concat_tables([aliases, users.cast(aliases.schema)])


def _joined(owned: pa.Table) -> pa.Array:
    since = owned.column("since").cast(pa.int64()).cast(pa.large_string()).fill_null("")
    between = pa.scalar("\0", pa.large_string())
    return one_array(
        pc.binary_join_element_wise(owned.column("id"), since, owned.column("customer_id"), between)
    )


def _places(keys: pa.Array, owned: pa.Table, identity: Identity) -> pa.Table:
    """Where events with these ids may be: `id`, `customer_id`, `always`."""
    mine = owned.filter(pc.is_in(owned.column("id"), value_set=keys.cast(pa.large_string())))
    always = mine.column("since").is_null()
    settled = _short(mine.filter(always).column("id"))
    open_ = keys.filter(pc.invert(pc.is_in(keys, value_set=settled)))
    return pa.table(
        {
            "id": pa.concat_arrays([_short(mine.column("id")), open_]),
            "customer_id": pa.concat_arrays(
                [_short(mine.column("customer_id")), _own_names(open_, identity)]
            ),
            "always": pa.concat_arrays([one_array(always), pa.array([True] * len(open_), pa.bool_())]),
        }
    ).combine_chunks()


def _own_names(ids: pa.Array, identity: Identity) -> pa.Array:
    is_user = pc.starts_with(ids, _USER)
    return pc.if_else(is_user, pc.utf8_ltrim(ids, _USER), identity.anonymous(ids))


def _renamed(left: pa.Table, joined: pa.Table, identity: Identity) -> pa.Table:
    """Customers whose own id belongs to another one now, for all time: `customer_id`, `now`."""
    own = _own_names(one_array(left.column("id")), identity)
    whole = left.filter(pc.equal(left.column("customer_id"), own))
    later = joined.filter(joined.column("always"))
    at = pc.index_in(whole.column("id"), value_set=one_array(later.column("id")))
    now = one_array(later.column("customer_id")).take(at.combine_chunks())
    table = pa.table({"customer_id": whole.column("customer_id"), "now": now})
    changed = pc.fill_null(pc.not_equal(table.column("customer_id"), table.column("now")), False)
    return table.filter(changed).group_by(["customer_id", "now"]).aggregate([]).sort_by("customer_id")


def _texts_of_keys(
    pieces: Sequence[pa.Table], keys: Mapping[str, Sequence[str]]
) -> dict[str, pa.Array] | None:
    """Of keys that say nothing of time: the texts by which the new rows tell themselves apart.

    None where a key consists of other things than texts.
    """
    found: dict[str, pa.Array] = {}
    for key in keys.values():
        if "timestamp" in key:
            continue
        telling = [name for name in key if name not in ALWAYS]
        if not telling or not all(_is_text(piece, name) for piece in pieces for name in telling):
            return None
        for name in telling:
            there = [piece.column(name) for piece in pieces if name in piece.column_names]
            chunks = [_NO_TEXT, *(chunk for column in there for chunk in column.chunks)]
            found[name] = pa.concat_arrays(chunks).unique().drop_null()
    return found


def _is_text(piece: pa.Table, name: str) -> bool:
    return name not in piece.column_names or pa.types.is_string(piece.schema.field(name).type)


def _is_in(column: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray | pa.Array:
    """Whether each value is among others; of names each is looked up once."""
    if not pa.types.is_dictionary(column.type):
        return pc.is_in(column.cast(pa.string()), value_set=values)
    chunks = [pc.is_in(chunk.dictionary, value_set=values).take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, pa.bool_())
