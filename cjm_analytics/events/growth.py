"""A store that is added to: which buckets are written anew, and what new rows are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.arrange import customer_of
from cjm_analytics.events.duplicates import ALWAYS
from cjm_analytics.events.identity import ANONYMOUS
from cjm_analytics.events.scatter import BINS, bin_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.events.folder import File, Folder, Manifest

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

    def moved(self, owners: pa.Table) -> set[int]:
        """Buckets that customers leave or join because an alias has another owner than it had."""
        old = pa.concat_tables(
            [owners.slice(0, 0), *(self.folder.read(file) for file in self.before.owners)]
        ).combine_chunks()
        new = owners.combine_chunks()
        now = new.column("user_id").take(
            pc.index_in(old.column("alias"), value_set=new.column("alias").combine_chunks())
        )
        changed = pc.fill_null(pc.not_equal(now, old.column("user_id")), True)
        lost = old.append_column("now", now).filter(changed)
        found = new.filter(
            pc.invert(pc.is_in(new.column("alias"), value_set=old.column("alias").combine_chunks()))
        )
        places = [
            (lost.column("user_id"), pc.coalesce(lost.column("now"), _anonymous(lost.column("alias")))),
            (_anonymous(found.column("alias")), found.column("user_id")),
        ]
        left = pa.concat_arrays([chunk for one, _ in places for chunk in one.chunks] or [_NO_TEXT])
        joined = pa.concat_arrays([chunk for _, one in places for chunk in one.chunks] or [_NO_TEXT])
        there = self._is_there(left)
        return set(self._bucket_of(left)[there].tolist()) | set(self._bucket_of(joined)[there].tolist())

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


def _anonymous(aliases: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(ANONYMOUS, aliases, "")


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
