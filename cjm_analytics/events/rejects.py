"""Rows that could not be used: kept, counted by reason, written to disk when they are many."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, counted
from cjm_analytics.events.report import RejectReason
from cjm_analytics.schema import REJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cjm_analytics.events.folder import File
    from cjm_analytics.events.intake import Intake

__all__ = ["Rejects"]

_IN_MEMORY = 64 * 2**20
_SHOWN = 1_000
_REASONS = 50
"""A report names at most so many reasons per source; the rest is summed up."""
_EXAMPLE = 200


class Rejects:
    """The rejects of one ingest.

    Parameters
    ----------
    write : callable or None
        Writes a table under a running number; None: everything stays in memory.
    """

    def __init__(self, write: Callable[[int, pa.Table], File] | None) -> None:
        self.files: list[File] = []
        self._write = write
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], str] = {}
        self._first: dict[str, list[pa.Table]] = {}

    def add(self, rejects: pa.Table) -> None:
        """Take in rows of schema `REJECTS`."""
        if not rejects.num_rows:
            return
        self._count(rejects)
        self._held.append(rejects)
        self._bytes += rejects.nbytes
        if self._write and self._bytes > _IN_MEMORY:
            self.flush()

    def flush(self) -> None:
        """Write what is held, where there is a place to write to."""
        if self._write and self._held:
            self.files.append(self._write(len(self.files), pa.concat_tables(self._held).combine_chunks()))
            self._held, self._bytes = [], 0

    def table(self) -> pa.Table:
        """All rejects that are in memory."""
        return pa.concat_tables([REJECTS.empty_table(), *self._held]).combine_chunks()

    def reasons(self, before: Iterable[RejectReason] = ()) -> tuple[RejectReason, ...]:
        """Reasons with their counts, the most frequent first; `before` are those of former ingests."""
        counts, examples = Counter(self._counts), dict(self._examples)
        for one in before:
            counts[one.source, one.reason] += one.rows
            examples[one.source, one.reason] = one.example
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        named: list[RejectReason] = []
        rest: Counter[str] = Counter()
        for (source, reason), rows in ranked:
            if reason == _OTHERS or sum(one.source == source for one in named) >= _REASONS:
                rest[source] += rows
            else:
                named.append(RejectReason(source, reason, rows, examples[source, reason]))
        return (*named, *(RejectReason(source, _OTHERS, rows) for source, rows in rest.items()))

    def error(self, source: str, intake: Intake, allowed: float) -> InputError:
        """What to tell when a source has too many rejects."""
        mine = [one for one in self.reasons() if one.source == source]
        told = "; ".join(
            f"{one.rows:,} × {one.reason}" + (f" (e.g. {one.example[:80]})" if one.example else "")
            for one in mine[:3]
        )
        return InputError(
            f"{intake.rejected:,} of {counted(intake.read, 'row')} of source {source!r} "
            f"{'was' if intake.rejected == 1 else 'were'} rejected, more than "
            f"max_reject_share={allowed:g} allows: {told}. Nothing was written. The error's .failures shows "
            "the rows; mend the mapping, or allow more with max_reject_share=."
        ).with_failures(pa.concat_tables(self._first[source]).slice(0, _SHOWN).to_pandas())

    def _count(self, rejects: pa.Table) -> None:
        grouped = rejects.group_by(["source", "reason"], use_threads=False).aggregate(
            [("raw", "first"), ("reason", "count")]
        )
        for one in grouped.to_pylist():
            key = (one["source"], one["reason"] or "no reason given")
            self._counts[key] += one["reason_count"]
            self._examples.setdefault(key, (one["raw_first"] or "")[:_EXAMPLE])
        for source in pc.unique(rejects.column("source")).to_pylist():
            first = self._first.setdefault(source, [])
            if sum(table.num_rows for table in first) < _SHOWN:
                first.append(rejects.filter(pc.equal(rejects.column("source"), source)).slice(0, _SHOWN))


_OTHERS = "other reasons"
