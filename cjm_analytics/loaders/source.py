"""What every loader returns, and how canonical batches are put together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import pyarrow as pa

from cjm_analytics.errors import UnknownNameError
from cjm_analytics.loaders.values import constant
from cjm_analytics.schema import CUSTOMERS, LINKS, LOADED, REJECTS, SOURCE_KINDS, Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.rows import Broken

__all__ = ["Draft", "EventStream", "checked_kind", "gathered", "rejects_of", "whole"]

_RAW: Final = 1_000
_ENOUGH: Final = 100_000


@dataclass(frozen=True)
class EventStream:
    """A lazy stream of canonical batches: what every loader returns and `cjm.ingest` reads.

    Making one finds the files and checks the mapping against the first; rows are read only by `batches`.

    Attributes
    ----------
    name : str
        The value of the `source` column.
    dedupe : tuple of str
        Columns that say that two rows are the same event.
    keep : tuple of str
        Promoted properties: columns beyond the canonical ones.
    files : tuple of str
        The files behind it, as they were given; empty for an object in memory.
    read : callable
        Gives the batches, without those of the files named.
    separable : tuple of InputFile
        The files that mean the same without the others.
    reading : str
        How they are read: whatever makes other events of the same bytes.
    left_out : frozenset of str
        Files that are not read.
    zero : bool
        Whether the user id `0` is the number of a customer; else it stands for nobody.
    copies : str
        Which of several copies of an event stays: the `first` or the `latest` by `received_at`.
    """

    name: str
    dedupe: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    read: Callable[[frozenset[str]], Iterator[Batch]] = field(
        default=lambda _: iter(()), repr=False, compare=False
    )
    separable: tuple[InputFile, ...] = field(default=(), repr=False)
    reading: str = field(default="", repr=False)
    left_out: frozenset[str] = frozenset()
    zero: bool = False
    copies: str = "first"

    def batches(self) -> Iterator[Batch]:
        """Read it: batches of some ten thousand rows, in the order of the input."""
        if self.left_out and self.left_out >= {file.shown for file in self.separable}:
            return iter(())
        for file in self.separable:
            file.progress.begin()
        return gathered(self.read(self.left_out))

    def fingerprints(self) -> dict[str, str]:
        """Per file that may be left out, a text that changes with its content or with how it is read."""
        return {
            file.shown: hashlib.sha256(f"{file.fingerprint()} {self.reading}".encode()).hexdigest()
            for file in self.separable
            if file.shown not in self.left_out
        }

    def bytes_read(self) -> tuple[int, int]:
        """How many bytes of its files have been read, and how many they are; (0, 0) where nobody knows."""
        files = [file for file in self.separable if file.shown not in self.left_out]
        if not all(file.size for file in files):
            return 0, 0
        return sum(file.n_read for file in files), sum(file.size for file in files)

    def without(self, files: Collection[str]) -> EventStream:
        """The same source without these files."""
        return replace(self, left_out=self.left_out | frozenset(files))


class Numbered(Protocol):
    """What a draft needs to know of raw rows: where they stand, and how they read."""

    @property
    def file(self) -> str: ...
    @property
    def numbers(self) -> NDArray[np.int64]: ...
    @property
    def broken(self) -> list[Broken]: ...
    def __len__(self) -> int: ...
    def raw(self, row: int) -> str: ...


class Draft:
    """The events of one block under way: canonical columns, and the rows that cannot be used.

    Parameters
    ----------
    rows : Numbered
        The raw rows.
    source, kind : str
        Values of `source` and `source_kind`.
    """

    def __init__(self, rows: Numbered, *, source: str, kind: str) -> None:
        self.rows = rows
        self.size = len(rows)
        self.columns: dict[str, pa.Array] = {}
        self.source = source
        self.kind = kind
        self.refused: dict[int, str] = {}

    def refuse(self, wrong: Mapping[int, str]) -> None:
        """Mark rows as rejects; the first reason of a row stands."""
        for row, reason in wrong.items():
            self.refused.setdefault(row, reason)

    def require(self, values: pa.Array, reason: str) -> None:
        """Reject the rows in which a cell is empty."""
        if values.null_count:
            empty = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
            self.refuse(dict.fromkeys(empty.tolist(), reason))

    def batch(self) -> Batch:
        """All rows that were not refused as events; the others, and the broken ones, as rejects."""
        size = self.size
        columns = {
            "source": constant(self.source, size),
            "source_kind": constant(self.kind, size),
            "src_file": constant(self.rows.file, size),
            "src_row": pa.array(self.rows.numbers),
            **self.columns,
        }
        ordered = [name for name in LOADED.names if name in columns]
        ordered += [name for name in columns if name not in LOADED.names]
        events = pa.table({name: columns[name] for name in ordered})
        refused = np.array(sorted(self.refused), np.int64)
        if refused.size:
            kept = np.ones(size, bool)
            kept[refused] = False
            events = events.filter(pa.array(kept))
        rejects = rejects_of(
            self.source,
            self.rows.file,
            [
                (int(self.rows.numbers[row]), self.refused[row], self.rows.raw(row))
                for row in refused.tolist()
            ],
            self.rows.broken,
        )
        return Batch(events=events, n_read=size + len(self.rows.broken), rejects=rejects)


def rejects_of(
    source: str, file: str, refused: Iterable[tuple[int, str, str]], broken: Iterable[Broken] = ()
) -> pa.Table:
    """Rejects as a table, in the order of the input."""
    every = [*refused, *((one.number, one.reason, one.raw) for one in broken)]
    if not every:
        return REJECTS.empty_table()
    every.sort(key=lambda one: one[0])
    return pa.table(
        {
            "source": pa.array([source] * len(every), pa.string()),
            "src_file": pa.array([file] * len(every), pa.string()),
            "src_row": pa.array([number for number, _, _ in every], pa.int64()),
            "reason": pa.array([reason for _, reason, _ in every], pa.string()),
            "raw": pa.array([raw[:_RAW] for _, _, raw in every], pa.string()),
        },
        schema=REJECTS,
    )


def checked_kind(kind: str) -> str:
    """One of the kinds of source."""
    if kind not in SOURCE_KINDS:
        raise UnknownNameError("kind of source", kind, SOURCE_KINDS)
    return kind


def whole(batches: Iterable[Batch]) -> Batch:
    """Several batches as one; columns that some lack are null there.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"user_id": ["ada"], "timestamp": ["2025-03-01T10:00:00Z"], "event": ["visit"]}
    >>> whole(cjm.loaders.table(rows).batches()).events.num_rows
    1
    """
    every = list(batches)
    if len(every) == 1:
        return every[0]
    events = [_unified(one.events) for one in every if one.events.num_rows]
    return Batch(
        events=pa.concat_tables(events, promote_options="permissive") if events else LOADED.empty_table(),
        n_read=sum(one.n_read for one in every),
        rejects=pa.concat_tables([REJECTS.empty_table(), *(one.rejects for one in every)]),
        links=pa.concat_tables([LINKS.empty_table(), *(one.links for one in every)]),
        customers=pa.concat_tables([CUSTOMERS.empty_table(), *(one.customers for one in every)]),
        n_excluded=sum(one.n_excluded for one in every),
        n_nameless=sum(one.n_nameless for one in every),
    )


def _unified(events: pa.Table) -> pa.Table:
    """Chunks with one dictionary each become columns with one dictionary."""
    return events.unify_dictionaries()


def gathered(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Small batches joined until they are worth the work that each one costs."""
    waiting: list[Batch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.n_read
        if rows >= _ENOUGH:
            yield _joined(waiting)
            waiting, rows = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    joined = whole(batches)
    events = joined.events.unify_dictionaries().combine_chunks()
    return replace(joined, events=events)
