"""The rules about customers, applied to the buckets of a store once all rows are in their place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import starmap
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.events.marks import judged, marked_rows, remarked, seen_in
from cjm_analytics.events.report import Marked
from cjm_analytics.events.runs import merged
from cjm_analytics.schema import MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cjm_analytics.events.arrange import Bucket
    from cjm_analytics.events.marks import Rules
    from cjm_analytics.events.partition import EventColumns

__all__ = ["Marking", "Run", "mark"]

_THREADS = 2

T = TypeVar("T")


class Run(NamedTuple, Generic[T]):
    """Sorted rows of a bucket: what is known of them, where they are, and whose they are to the caller."""

    bucket: Bucket
    columns: EventColumns
    owner: T


class Marking(NamedTuple, Generic[T]):
    """What the rules said.

    Attributes
    ----------
    runs : list of list of T
        Per bucket its runs as the caller holds them; those with other marks as `rewrite` made them.
    marks : tuple of Marked
    note : str or None
    """

    runs: list[list[T]]
    marks: tuple[Marked, ...]
    note: str | None


def mark(
    buckets: Sequence[Sequence[Run[T]]],
    rules: Rules,
    own_people: pa.Array,
    rewrite: Callable[[Bucket, int], T],
) -> Marking[T]:
    """Judge all customers, then write those runs anew whose marks are other than they should be.

    Parameters
    ----------
    buckets : sequence of sequence of Run
        Per bucket its runs, the oldest first.
    rules : Rules
    own_people : Array
        Customers who are known to be the company's.
    rewrite : callable
        From a run with its new marks, and the number of its bucket, to what the caller holds.
    """

    def look(number: int) -> object:
        columns = [run.columns for run in buckets[number]]
        place = columns[0].place
        return seen_in(merged(columns, columns[0].schema, place), rules, own_people)

    def settle(number: int) -> tuple[list[T], pa.Table]:
        done, found = [], []
        for run in buckets[number]:
            marks = remarked(run.columns, verdicts, rules)
            if marks is not None:
                bucket = _with_marks(run, marks)
                done.append(rewrite(bucket, number))
                found.append(marked_rows(bucket.table))
            else:
                done.append(run.owner)
                found.append(marked_rows(run.columns.stored(["customer_id", "source", "marked_by"])))
        return done, _tally(pa.concat_tables(found))

    with ThreadPoolExecutor(_THREADS) as pool:
        verdicts, note = judged(list(pool.map(look, range(len(buckets)))), rules)  # type: ignore[arg-type]
        settled = list(pool.map(settle, range(len(buckets))))
    tally = pa.concat_tables([one for _, one in settled]).group_by(["source", "marked_by"])
    summed = tally.aggregate([("customers", "sum"), ("events", "sum")]).sort_by(
        [("source", "ascending"), ("marked_by", "ascending")]
    )
    rows = zip(*(summed.column(name).to_pylist() for name in _TALLY), strict=True)
    return Marking([runs for runs, _ in settled], tuple(starmap(Marked, rows)), note)


_TALLY = ("source", "marked_by", "customers_sum", "events_sum")


def _tally(rows: pa.Table) -> pa.Table:
    """Customers and events per source and mark of one bucket."""
    counted = rows.group_by(["source", "marked_by"]).aggregate(
        [("customer_id", "count_distinct"), ("customer_id", "count")]
    )
    return counted.rename_columns(
        [
            {"customer_id_count_distinct": "customers", "customer_id_count": "events"}.get(name, name)
            for name in counted.column_names
        ]
    )


def _with_marks(run: Run[T], marks: pa.Table) -> Bucket:
    """The rows of a run with other marks, and what is known of them."""
    columns = run.columns
    stored = columns.stored([name for name in columns.filled if name not in MARKS])
    names = [name for name in columns.schema.names if name in stored.column_names or name in MARKS]
    table = pa.table({name: (marks if name in MARKS else stored).column(name) for name in names})
    flags = table.select(["source", "is_bot", "is_test"]).group_by("source")
    summed = flags.aggregate([("is_bot", "sum"), ("is_test", "sum")])
    flagged = {row["source"]: (row["is_bot_sum"] or 0, row["is_test_sum"] or 0) for row in summed.to_pylist()}
    used = pc.unique(table.column("marked_by")).drop_null().to_pylist()
    return replace(
        run.bucket,
        table=table.unify_dictionaries().combine_chunks(),
        counts={
            name: one._replace(bots=flagged[name][0], tests=flagged[name][1]) if one.kept else one
            for name, one in run.bucket.counts.items()
        },
        used={**run.bucket.used, "marked_by": frozenset(used)},
    )
