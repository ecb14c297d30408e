"""Ingest: raw logs in, one store of events by customer and time out."""

from __future__ import annotations

import errno
import itertools
import uuid
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from cjm_analytics.columns import FileColumns, MemoryColumns
from cjm_analytics.errors import InputError, StoreError, UnknownNameError, counted
from cjm_analytics.events.arrange import Arrangement, Bucket, ByBin
from cjm_analytics.events.duplicates import EDITED, SAID
from cjm_analytics.events.evidence import STORED
from cjm_analytics.events.far import folder_at
from cjm_analytics.events.folder import File, Manifest
from cjm_analytics.events.gather import Gathering, wider
from cjm_analytics.events.growth import Growth, Window, bins_of_bucket
from cjm_analytics.events.identity import Identity
from cjm_analytics.events.intake import CODED_COLUMNS, Limits
from cjm_analytics.events.marking import Marking, Run, mark
from cjm_analytics.events.marks import NO_RULES, BotRules, Internal, Rules
from cjm_analytics.events.partition import EventColumns, EventPartition, lengths_remark
from cjm_analytics.events.report import IngestReport, Marked, SourceAccount
from cjm_analytics.events.scatter import BINS
from cjm_analytics.events.stitching import CONFLICTS, OWNERS, PERSONS, Stitching
from cjm_analytics.events.store import CODED, HISTORY, Events, open_folder
from cjm_analytics.progress import expect, progress_bar
from cjm_analytics.schema import CANONICAL, FIRST, LATEST, MARKS, EventSource, MeasuredSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from cjm_analytics.events.folder import Folder
    from cjm_analytics.far_path import FarPath

__all__ = ["ingest"]

_ROWS_PER_PARTITION = 1_500_000
_BYTES_PER_PARTITION = 128 * 2**20
_ROWS_PER_GROUP = 262_144
_CROWDED = 2
"""A store is written anew into more buckets when it should have more than so many times those it has."""

_THREADS = 2
"""Buckets worked on at once; each needs several times its size in memory."""

_DELTA = ("timestamp", "seq", "received_at", "src_row")
_PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "dictionary_pagesize_limit": 8 * 2**20,
}
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NAME = pa.dictionary(pa.int32(), pa.string())
_NO_EVENTS = {
    "user_id": pa.string(),
    "timestamp": CANONICAL.field("timestamp").type,
    "seq": pa.int64(),
    "event": pa.int32(),
    "source": pa.int32(),
}
"""The columns of an empty store."""

T = TypeVar("T")


def ingest(  # noqa: PLR0913 - one parameter per thing that may be decided
    sources: EventSource | Iterable[EventSource],
    *,
    to: str | Path | None = None,
    identity: Identity | None = None,
    customers: object = None,
    bots: BotRules | None = None,
    internal: Internal | None = None,
    dedupe: bool = True,
    complete_until: object = None,
    replace: object = None,
    max_reject_share: float = 0.1,
    min_date: object = "1990-01-01",
    now: object = None,
    n_partitions: int | None = None,
    progress: bool | None = None,
) -> Events:
    """Bring raw logs together: one row per event, sorted by customer and time, every row accounted for.

    **Customer.** Ids that were seen together are one person's, by the rules of `cjm.Identity`: an event with
    a user id is that person's; one with only an anonymous id is the person's who uses the device, and of a
    shared device the person's who logs in next or did last; an id of nobody known is the customer
    `anonymous:<id>`. With only an account id it is the customer `account:<id>`. Two user ids are one customer
    only where a vendor says that it merged them.

    **Order.** `timestamp`, then `seq`, then `event_id`; what still ties is ordered by its content. The result
    depends neither on the order of sources, files and batches nor on the number of partitions. A source
    without `seq` gets the number of its row.

    **Duplicates** are rows of one customer and one source that agree in the columns by which the source tells
    its events apart (`source.dedupe`, for example the vendor's event id). For a source that names none, and a
    row in which all of these are missing, they are rows that agree in everything but their place in the input
    (`seq`, `src_file`, `src_row`), the time they were received, and whether they are a robot's or a test. Of
    several copies the one received first stays, of sources whose rows are written again when they change
    (`source.copies` is `latest`) the one received last; a row that says when goes before one that does not,
    and of equal ones the first in order stays. Of sources whose latest copy stays, an event of which any copy
    had another score or another comment has `is_edited` true (the report counts them); one with a score or a
    comment and no such copy has false. Where carts become orders (`per_order`), rows of different `order_id`
    are no copies, and one without stays only if no other of its key is later. A log with whole seconds may
    hold two true clicks that look the same: `dedupe=False` keeps every row. `event_id` stays null where the
    source has none.

    **Rejects.** Rows without timestamp, event name or any id, dated before `min_date` or more than a day
    after they were received (after `now`, where that is unknown), with names or ids longer than 10,000 bytes
    or with a NUL byte, and what the loaders turned away. They are kept with their reasons:
    `events.rejects()`. Per source, read = kept + duplicates + rejected + excluded.

    **Robots, tests and the company's own people** stay in the store, marked by `is_bot` and `is_test`, and
    `cjm.sessionize` leaves them out and counts them. A loader marks what the export says of a row (a user
    agent that names a robot, a flag of the vendor, a test order). What is only likely is marked where it is
    asked for, and `marked_by` names the rule: `bots=cjm.BotRules()` by behaviour, `internal=cjm.Internal(…)`
    by IP address and e-mail domain.

    **Appending.** Into a folder that is an event store already, new rows join the old ones: customers are
    resolved again over both, duplicates of old rows are removed, and the result is that of one ingest of
    everything. New rows become a sorted run beside the old ones of their partition, which reading merges
    (`events.compact()` makes one of them); only partitions in which old events change their customer,
    attributes or place are written anew. Files that the store has read before are skipped. Readers see the
    old store until the new one is complete, and keep it until the next ingest into the folder; a killed run
    leaves the old one.

    Parameters
    ----------
    sources : EventSource or iterable of EventSource
        What `cjm.loaders` return. They are read in batches, never as a whole.
    to : path or URL, optional
        Folder of the event store, on disk or as `s3://…`, `gs://…`, `abfs://…`; without one the events
        stay in memory.
    identity : Identity, optional
        Other rules; default those of the store, else `Identity()`.
    customers : DataFrame or EventSource, optional
        Attributes of customers. A frame has a column `customer_id`, one column per attribute, and perhaps
        `timestamp` (when it was known; default now). The latest known value of each attribute stands in the
        column `customer.<attribute>` of every event of the customer, as text.
    bots : BotRules, optional
        Mark robots by how they behave. Off by default: a rule of behaviour is a guess about a log, and no
        person's data should go missing by a guess. A store keeps its rules; `BotRules` with all of them None
        takes the marks back.
    internal : Internal, optional
        Mark the company's own people. A store keeps these, too.
    dedupe : bool
        Whether duplicates are removed.
    complete_until : timestamp or mapping of str to timestamp, optional
        The last instant for which the log is complete, for all sources or per source; without a zone, UTC.
        Default: the source's last timestamp.
    replace : (timestamp, timestamp) or mapping of str to such pairs, optional
        The window that the sources are given anew for, or per source its window; without a zone, UTC. What
        the store has of these sources from the first instant up to, not including, the second is dropped
        before the new rows join; all files are read, also those that were read before. In the accounts the
        dropped rows count as never read. What they told about ids and attributes stays known.
    max_reject_share : float
        When more of a source's rows are rejected, nothing is written.
    min_date : timestamp
        Earliest time that is believed.
    now : timestamp, optional
        Latest time that is believed, plus one day; default: the clock.
    n_partitions : int, optional
        Between 1 and 1,024; default: by size, about a million events each. Another number than a store has
        writes all of it anew.
    progress : bool, optional
        Show a progress bar; default: in terminals and notebooks.

    Raises
    ------
    InputError
        Not an event source; more rejects than allowed (`.failures` shows them); a parameter without meaning.
    UnknownNameError
        `complete_until`, `replace` or the `namespaces` of `identity` speak of a source that is not there; the
        error has the nearest name.
    StoreError
        The folder holds something else, is damaged, or is in use by another writer.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = cjm.loaders.table(
    ...     {"who": ["ann", "ann", "bob"], "when": ["2026-03-01", "2026-03-02", "2026-03-01"],
    ...      "what": ["search", "purchase", "search"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC")
    >>> events = cjm.ingest(log)
    >>> len(events)
    3
    >>> events.to_frame(["customer_id", "event"])
      customer_id     event
    0         ann    search
    1         ann  purchase
    2         bob    search
    """
    every = _as_sources(sources)
    asked = _Asked(
        sources=every,
        identity=_as_identity(identity),
        customers=customers,
        dedupe=dedupe,
        complete_until=_as_instants(complete_until),
        max_reject_share=_as_share(max_reject_share),
        limits=_as_limits(min_date, now),
        n_partitions=_as_count(n_partitions),
        progress=progress,
        replace=_as_windows(replace, {source.name for source in every}, to),
        rules=Rules(_checked("bots", bots, BotRules), _checked("internal", internal, Internal)),
    )
    if to is None:
        return _in_memory(asked)
    return _written(folder_at(to), lambda folder, old, spill: _Writing(asked, folder, old, spill).ingested())


@dataclass(frozen=True)
class _Asked:
    """The arguments of `ingest`, checked; `complete_until` of None is for all sources."""

    sources: Sequence[EventSource]
    identity: Identity | None
    customers: object
    dedupe: bool
    complete_until: Mapping[str | None, int]
    max_reject_share: float
    limits: Limits
    n_partitions: int | None
    progress: bool | None
    replace: Mapping[str, Window]
    rules: Rules = NO_RULES


@dataclass(frozen=True)
class _Result:
    """What all buckets together say."""

    schema: pa.Schema
    codebooks: dict[str, tuple[str, ...]]
    start: int
    ends: dict[str, int]
    report: IngestReport


def _in_memory(asked: _Asked) -> Events:
    gathering = Gathering(asked.limits, asked.identity or Identity(), rules=asked.rules)
    _gather(asked, gathering)
    gathering.settle()
    arrangement = _arrangement(asked, gathering, None)
    buckets = _each_bucket(
        asked,
        gathering,
        _wanted_buckets(asked, gathering),
        lambda pieces, _, bins: arrangement.bucket(pieces, bins),
    )
    marks: tuple[Marked, ...] = ()
    if asked.rules:
        schema = _schema(gathering)
        runs = [[Run(one, EventPartition.of(one.table, schema).columns, one)] for one in buckets]
        marking = mark(runs, asked.rules, gathering.own_people(), lambda bucket, _: bucket)
        buckets, marks = [one for (one,) in marking.runs], marking.marks
        gathering.note(marking.note)
    result = _summed_up(asked, gathering, buckets, marks)
    return Events(
        partitions=tuple(EventPartition.of(bucket.table, result.schema) for bucket in buckets),
        schema=result.schema,
        codebooks={name: result.codebooks[name] for name in CODED},
        observation_start=result.start,
        observation_ends=result.ends,
        accounting=result.report,
        rejected=(MemoryColumns(gathering.rejects.table()),),
        kept_apart=(MemoryColumns(gathering.stitching.conflicts),),
    )


def compact(
    path: str | Path | FarPath, *, n_partitions: int | None = None, progress: bool | None = None
) -> Events:
    """What `Events.compact` does."""
    asked = _Asked(
        sources=(), identity=None, customers=None, dedupe=False, complete_until={}, max_reject_share=1,
        limits=Limits(0, 0, ""), n_partitions=_as_count(n_partitions), progress=progress, replace={},
    )  # fmt: skip

    def write(folder: Folder, old: Manifest | None, spill: Path) -> Manifest:
        if old is None:
            raise StoreError(f"There is no event store at {folder.path}: there is nothing to compact.")
        writing = _Writing(asked, folder, old, spill)
        gathering = writing.gathering
        gathering.evidence.close()
        gathering.stitching = writing.known()
        gathering.found = gathering.before.identity
        gathering.customers = gathering.attributes.wide(gathering.stitching.persons)
        for file in old.events:
            gathering.take_over(folder.row_groups(file))
        gathering.settle()
        return writing.manifest(None, set())

    return _written(folder_at(path), write)


def _written(folder: Folder, write: Callable[[Folder, Manifest | None, Path], Manifest]) -> Events:
    """Hold the folder, let somebody write the files of a new store, and commit it."""
    folder.refuse_foreign()
    with folder.locked():
        old = folder.manifest()
        folder.clean(old)
        try:
            with folder.spill() as spill:
                folder.commit(write(folder, old, spill))
        except BaseException as error:
            folder.clean(folder.manifest())
            folder.remove_if_new()
            if isinstance(error, OSError) and error.errno in _FULL:
                raise StoreError(
                    f"There is no room left to write {folder.path}: {error}. It is as it was before."
                ) from error
            raise
    return open_folder(folder)


class _Writing:
    """The files of a new version of a store; nothing of the old one is touched."""

    def __init__(self, asked: _Asked, folder: Folder, old: Manifest | None, spill: Path) -> None:
        self._asked, self._folder, self._old = asked, folder, old
        self._run = uuid.uuid4().hex[:12]
        self._numbers = itertools.count(1)
        identity = _of_store(old, asked.identity)
        self.gathering = Gathering(asked.limits, identity, spill, self._write_rejects, rules=asked.rules)
        self._history = HISTORY.empty_table()
        if old:
            self.gathering.remember(folder, old, anew=not asked.sources)

    def ingested(self) -> Manifest:
        """Read what is new and join it to what is there."""
        asked, gathering, old = self._asked, self.gathering, self._old
        gathering.replace(asked.replace)
        _gather(asked, gathering)
        growth, anew = None, set()
        if old:
            growth = Growth.of(self._folder, old)
            moved, renamed = growth.moved(gathering.stitching, gathering.identity)
            self._note_history(renamed)
            anew = moved | _written_anew(asked, gathering, growth)
            for number in sorted(anew):
                gathering.read_again(growth.rows(number))
        gathering.settle()
        gathering.rejects.flush()
        gathering.note_dropped()
        if growth and len(anew) == len(growth.runs):
            growth = None
        return self.manifest(growth, anew, judge=bool(gathering.rules))

    def _note_history(self, renamed: pa.Table) -> None:
        """Customers that the store had under other names."""
        at = pa.array([self._asked.limits.now] * renamed.num_rows, pa.int64())
        self._history = pa.table([*renamed.columns, at.cast(HISTORY.field("at").type)], schema=HISTORY)
        if renamed.num_rows:
            self.gathering.notes.append(
                f"{counted(renamed.num_rows, 'customer')} of before became part of "
                "another one: events.person_history() lists them."
            )

    def manifest(self, growth: Growth | None, anew: set[int], *, judge: bool = False) -> Manifest:
        """Write all rows; the buckets of a store that grows get another run, unless they are written anew."""
        gathering, old = self.gathering, self._old
        arrangement = _arrangement(self._asked, gathering, growth)

        def write(pieces: Sequence[pa.Table], number: int, bins: range) -> list[_Piece]:
            if growth is None or number in anew:
                return [self._write(arrangement.bucket(pieces, bins), number)]
            there = [_Piece(Bucket.of_facts(run.facts), run) for run in growth.runs[number]]
            if not pieces:
                return there
            beside = [
                gathering.with_customers(one) for one in growth.beside(number, pieces, arrangement.keys)
            ]
            bucket = arrangement.run(pieces, bins, beside, growth.customers(number))
            if bucket is None:
                beside = [gathering.with_customers(one) for one in growth.rows(number)]
                return [self._write(arrangement.bucket([*beside, *pieces], bins), number)]
            return [*there, self._write(bucket, number) if bucket.table.num_rows else _Piece(bucket, None)]

        n_buckets = len(growth.runs) if growth else _wanted_buckets(self._asked, gathering)
        written = _each_bucket(self._asked, gathering, n_buckets, write)
        marks = gathering.before.marked
        if judge:
            marking = self._marked(written)
            written, marks = marking.runs, marking.marks
            gathering.note(marking.note)
        pieces = [piece for one in written for piece in one]
        result = _summed_up(self._asked, gathering, [piece.bucket for piece in pieces], marks)
        return Manifest(
            schema=result.schema,
            events=tuple(piece.file for piece in pieces if piece.file),
            rejects=(*(old.rejects if old else ()), *gathering.rejects.files),
            customers=self._write_one("customers", gathering.attributes.long()),
            identity=(*gathering.seen_before, *self._write_evidence()),
            owners=self._write_one("owners", gathering.stitching.owners),
            persons=self._write_one("persons", gathering.stitching.persons),
            conflicts=self._write_one("conflicts", gathering.stitching.conflicts),
            history=(*(old.history if old else ()), *self._write_one("history", self._history)),
            n_buckets=n_buckets,
            filled=tuple(arrangement.types),
            codebooks=result.codebooks,
            sources=gathering.sources,
            observation_start=result.start,
            observation_ends=result.ends,
            report=result.report.to_json(),
            rules=gathering.rules.to_json(),
            identity_rules=gathering.identity.to_json(),
        )

    def known(self) -> Stitching:
        """Who is who, as the store has it."""

        def read(part: str, schema: pa.Schema) -> pa.Table:
            files = getattr(self._old, part) if self._old else ()
            return pa.concat_tables([schema.empty_table(), *(self._folder.read(file) for file in files)])

        return Stitching(
            owners=read("owners", OWNERS),
            persons=read("persons", PERSONS),
            conflicts=read("conflicts", CONFLICTS),
        )

    def _marked(self, written: Sequence[Sequence[_Piece]]) -> Marking[_Piece]:
        """The runs of all buckets with the marks that the rules want."""
        schema = _schema(self.gathering)

        def columns(file: File) -> EventColumns:
            path = self._folder.path / file.path
            return EventColumns(FileColumns(path), schema, file.rows, str(path))

        runs = [
            [Run(piece.bucket, columns(piece.file), piece) for piece in one if piece.file] for one in written
        ]
        marking = mark(runs, self.gathering.rules, self.gathering.own_people(), self._write)
        empty = [[piece for piece in one if not piece.file] for one in written]
        return marking._replace(runs=[[*one, *other] for one, other in zip(marking.runs, empty, strict=True)])

    def _write(self, bucket: Bucket, number: int) -> _Piece:
        path = f"events/bucket={number:04d}/{self._run}-{next(self._numbers)}.parquet"
        file = replace_fields(_write_bucket(self._folder, path, bucket), bucket=number, facts=bucket.facts())
        return _Piece(bucket.without_rows(), file)

    def _write_rejects(self, number: int, table: pa.Table) -> File:
        path = f"rejects/{self._run}-{number:04d}.parquet"
        return self._folder.write(path, [table], table.schema, **_PARQUET)

    def _write_evidence(self) -> tuple[File, ...]:
        tables = self.gathering.evidence.details()
        first = next(tables, None)
        if first is None:
            return ()
        path = f"identity/{self._run}.parquet"
        return (self._folder.write(path, itertools.chain([first], tables), STORED, **_PARQUET),)

    def _write_one(self, part: str, table: pa.Table) -> tuple[File, ...]:
        if not table.num_rows:
            return ()
        path = f"{part}/{self._run}.parquet"
        return (self._folder.write(path, [table.combine_chunks()], table.schema, **_PARQUET),)


class _Piece(NamedTuple):
    """What is known of some rows of a bucket, and the file that they are in."""

    bucket: Bucket
    file: File | None


def _written_anew(asked: _Asked, gathering: Gathering, growth: Growth) -> set[int]:
    """The buckets that another run would not do for."""
    old = growth.before
    everything = set(range(old.n_buckets))
    widened = any(
        wider(old.schema.field(name).type, gathering.types[name]) != old.schema.field(name).type
        for name in set(old.filled) & set(gathering.types) - set(CANONICAL.names)
    )
    wanted = _wanted_buckets(asked, gathering, sum(file.rows for file in old.events))
    if Identity.from_json(old.identity_rules) != gathering.identity:
        return everything
    if widened or (asked.n_partitions or old.n_buckets) != old.n_buckets or wanted > _CROWDED * old.n_buckets:
        return everything
    return (
        growth.full()
        | growth.within(asked.replace)
        | growth.described_anew(
            gathering.described, gathering.attributes.of_customers(gathering.stitching.persons)
        )
        | growth.owned_by_time(gathering.claimed_by_session(), gathering.stitching, gathering.identity)
    )


def _check_named(asked: _Asked, sources: Collection[str]) -> None:
    """Refuse what is said of a source that is neither given nor in the store."""
    said = {
        "complete_until=": [name for name in asked.complete_until if name is not None],
        "namespaces=": asked.identity.namespaces if asked.identity else (),
    }
    for argument, names in said.items():
        for name in names:
            if name not in sources:
                raise UnknownNameError(f"source in {argument}", name, sources)


def _gather(asked: _Asked, gathering: Gathering) -> None:
    gathering.expect(asked.sources)
    _check_named(asked, gathering.sources)
    with progress_bar("Reading", unit="rows", show=asked.progress) as bar:
        begun: list[EventSource] = []
        for place, source in enumerate(asked.sources, 1):

            def advance(fresh: EventSource, n_rows: int, place: int = place) -> None:
                begun[place - 1 :] = [fresh]
                if not bar.disable:
                    expect(bar, _expected(bar.n + n_rows, begun, asked.sources[place:]))
                bar.update(n_rows)

            gathering.read(source, advance)
    gathering.attributes.add_given(asked.customers)
    gathering.refuse_too_many_rejects(asked.max_reject_share)
    gathering.decide()


def _expected(n_rows: int, begun: Sequence[EventSource], left: Sequence[EventSource]) -> int | None:
    """How many rows there will be if what is left is like what was read; None where nobody knows."""
    told = [
        source.bytes_read() if isinstance(source, MeasuredSource) else (0, 0) for source in (*begun, *left)
    ]
    read = sum(n for n, _ in told[: len(begun)])
    return round(n_rows * sum(size for _, size in told) / read) if read and all(map(max, told)) else None


def _arrangement(asked: _Asked, gathering: Gathering, growth: Growth | None) -> Arrangement:
    if growth:
        gathering.note_types(growth.before.filled, growth.before.schema)
    types = dict(gathering.types or _NO_EVENTS)
    if gathering.rules:
        types |= {name: pa.int32() if name in CODED_COLUMNS else pa.bool_() for name in MARKS}
    is_revised = any(known.get("copies") == LATEST for known in gathering.sources.values())
    if is_revised and not types.keys().isdisjoint(SAID):
        types[EDITED] = pa.bool_()
    ordered = [name for name in CANONICAL.names if name in types]
    ordered += sorted(set(types) - set(ordered))
    names = gathering.customers.column_names[1:]
    return Arrangement(
        types={name: types[name] for name in ordered},
        names=gathering.names,
        keys={name: tuple(known["dedupe"]) for name, known in gathering.sources.items()},
        copies={name: known.get("copies", FIRST) for name, known in gathering.sources.items()},
        dedupe=asked.dedupe,
        attributes=ByBin(gathering.customers, "customer_id") if names else None,
        attribute_names=names,
    )


def _each_bucket(
    asked: _Asked,
    gathering: Gathering,
    n_buckets: int,
    then: Callable[[Sequence[pa.Table], int, range], T],
) -> list[T]:
    """Do something with the rows of each bucket, a few buckets at a time; in the order of the buckets."""
    rows = gathering.resolved

    def one(number: int) -> tuple[T, int]:
        bins = bins_of_bucket(number, n_buckets)
        return then(gathering.tables(bins), number, bins), int(rows.rows[bins.start : bins.stop].sum())

    done = []
    with (
        progress_bar("Sorting", unit="rows", total=rows.n_rows, show=asked.progress) as bar,
        ThreadPoolExecutor(min(_THREADS, n_buckets)) as pool,
    ):
        for result, n_rows in pool.map(one, range(n_buckets)):
            done.append(result)
            bar.update(n_rows)
    gathering.clear()
    return done


def _wanted_buckets(asked: _Asked, gathering: Gathering, n_old: int = 0) -> int:
    """How many buckets the rows should have, together with so many that are in the store."""
    if asked.n_partitions:
        return asked.n_partitions
    parts = (gathering.resolved, gathering.waiting)
    n_rows, n_bytes = sum(part.n_rows for part in parts), sum(part.n_bytes for part in parts)
    return _n_buckets(n_rows + n_old, int(n_bytes * (1 + n_old / max(n_rows, 1))))


def _n_buckets(n_rows: int, n_bytes: int) -> int:
    """A power of two, so that no bucket is much larger than another."""
    wanted = max(n_rows / _ROWS_PER_PARTITION, n_bytes / _BYTES_PER_PARTITION, 1)
    return min(1 << int(np.ceil(np.log2(wanted))), BINS)


def _write_bucket(folder: Folder, path: str, bucket: Bucket) -> File:
    _, offsets = EventPartition.of(bucket.table, bucket.table.schema).customers()
    # A column without nulls says so: there is nothing to write and to read about which are missing.
    schema = pa.schema(
        [
            pa.field(one.name, one.type, bucket.table.column(one.name).null_count > 0)
            for one in bucket.table.schema
        ]
    )
    # What is delta-packed is as small as it gets: no compression on top.
    delta = [name for name in _DELTA if name in schema.names]
    file = folder.write(
        path,
        (pa.Table.from_arrays(one.columns, schema=schema) for one in bucket.row_groups(_ROWS_PER_GROUP)),
        schema,
        remarks=lengths_remark(np.diff(offsets)),
        write_statistics=["timestamp"],
        use_dictionary=[name for name in schema.names if name not in delta],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        **_PARQUET | {"compression": {name: "none" if name in delta else "zstd" for name in schema.names}},
    )
    counts = [one for one in bucket.counts.values() if one.kept]
    if not counts:
        return file
    return File(
        file.path, file.rows, file.size, min(one.first for one in counts), max(one.last for one in counts)
    )


def _summed_up(
    asked: _Asked, gathering: Gathering, buckets: Sequence[Bucket], marks: tuple[Marked, ...]
) -> _Result:
    accounts = tuple(_account(name, gathering, buckets) for name in sorted(gathering.sources))
    facts = replace_fields(
        gathering.found,
        customers=sum(bucket.n_customers for bucket in buckets),
        known_customers=sum(bucket.n_known for bucket in buckets),
    )
    firsts = [one.first for one in accounts if one.first is not None]
    return _Result(
        schema=_schema(gathering),
        codebooks={
            name: tuple(sorted(set().union(*(bucket.used.get(name, ()) for bucket in buckets))))
            for name in CODED_COLUMNS
        },
        start=min(firsts, default=0),
        ends=_observation_ends(asked, gathering, accounts),
        report=IngestReport(
            accounts,
            gathering.rejects.reasons(gathering.before.reject_reasons),
            facts,
            tuple(gathering.notes),
            marks,
        ),
    )


def _account(name: str, gathering: Gathering, buckets: Sequence[Bucket]) -> SourceAccount:
    """The rows of one source, those of former ingests included."""
    old = next((one for one in gathering.before.sources if one.source == name), SourceAccount(name))
    intake = gathering.intakes.get(name)
    counts = [bucket.counts[name] for bucket in buckets if name in bucket.counts]
    kept = [one for one in counts if one.kept]
    return SourceAccount(
        source=name,
        read=old.read - gathering.dropped[name] + (intake.read if intake else 0),
        kept=sum(one.kept for one in counts),
        duplicates=old.duplicates + sum(one.duplicates for one in counts),
        rejected=old.rejected + (intake.rejected if intake else 0),
        excluded=old.excluded + (intake.excluded if intake else 0),
        nameless=old.nameless + (intake.nameless if intake else 0),
        first=min((one.first for one in kept), default=None),
        last=max((one.last for one in kept), default=None),
        bots=sum(one.bots for one in counts),
        known=sum(one.known for one in counts),
        tests=sum(one.tests for one in counts),
        edited=sum(one.edited for one in counts),
    )


def _observation_ends(
    asked: _Asked, gathering: Gathering, accounts: Sequence[SourceAccount]
) -> dict[str, int]:
    """Per source what was declared, else its last event; rows that come later than declared prolong it."""
    ends = {}
    for account in accounts:
        known = gathering.sources[account.source]
        declared = asked.complete_until.get(account.source, asked.complete_until.get(None))
        if declared is None and known.get("complete_until") is not None:
            intake = gathering.intakes.get(account.source)
            later = account.last if intake and intake.read else None
            declared = max(known["complete_until"], later or known["complete_until"])
        known["complete_until"] = declared
        end = declared if declared is not None else account.last
        if end is not None:
            ends[account.source] = end
    return ends


def _schema(gathering: Gathering) -> pa.Schema:
    promoted = sorted(set(gathering.types) - set(CANONICAL.names))
    return pa.schema(
        [
            *CANONICAL,
            *(pa.field(name, gathering.types[name]) for name in promoted),
            *(pa.field(name, _NAME) for name in gathering.customers.column_names[1:]),
        ]
    )


def _as_sources(sources: object) -> list[EventSource]:
    given = [sources] if isinstance(sources, EventSource) else sources
    if isinstance(given, (list, tuple)) or (isinstance(given, Iterable) and hasattr(given, "__next__")):
        every = list(given)
        if not every:
            raise InputError(
                "There is no source to ingest. Give one that cjm.loaders returned, or a list of them."
            )
        if all(isinstance(one, EventSource) for one in every):
            return every
        given = next(one for one in every if not isinstance(one, EventSource))
    raise InputError(
        f"{type(given).__name__} is no event source. Say which columns mean what: "
        "cjm.ingest(cjm.loaders.table(data, customer=…, timestamp=…, event=…)), or use the loader of the "
        "vendor's format."
    )


def _as_identity(identity: object) -> Identity | None:
    if identity is None or isinstance(identity, Identity):
        return identity
    raise InputError(
        f"identity={identity!r} is no set of rules. Write cjm.Identity(…), for example "
        "cjm.Identity(back_fill='none')."
    )


def _of_store(old: Manifest | None, identity: Identity | None) -> Identity:
    """The rules that hold: those that are given, else those of the store."""
    if old is None:
        return identity or Identity()
    before = Identity.from_json(old.identity_rules)
    if identity is None:
        return before
    for source in old.sources:
        if before.namespaces.get(source) != identity.namespaces.get(source):
            system = before.namespaces.get(source)
            raise InputError(
                f"The store has the user ids of {source!r} as "
                f"{f'those of the system {system!r}' if system else 'valid in all sources'}, which cannot be "
                "changed. Ingest the sources again into an empty folder."
            )
    return identity


def _as_limits(min_date: object, now: object) -> Limits:
    clock = pd.Timestamp.now(tz="UTC").value // 1_000 if now is None else _as_instant(now, "now")
    return Limits(_as_instant(min_date, "min_date"), clock, str(min_date))


def _as_instant(value: object, name: str) -> int:
    """Microseconds UTC of a timestamp; without a zone it is read as UTC."""
    try:
        time = pd.Timestamp(value)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}={value!r} is no timestamp. Write one like '2026-01-31 12:00'.") from error
    if pd.isna(time):
        raise InputError(f"{name}={value!r} is no timestamp. Write one like '2026-01-31 12:00'.")
    utc = time if time.tzinfo is None else time.tz_convert("UTC").tz_localize(None)
    return int(utc.as_unit("us").asm8.astype(np.int64))


def _as_instants(declared: object) -> dict[str | None, int]:
    if declared is None:
        return {}
    if isinstance(declared, Mapping):
        return {str(name): _as_instant(value, "complete_until") for name, value in declared.items()}
    return {None: _as_instant(declared, "complete_until")}


def _as_windows(windows: object, sources: AbstractSet[str], to: object) -> dict[str, Window]:
    """The window of each source that is given anew."""
    if windows is None:
        return {}
    if to is None:
        raise InputError("replace= means a store on disk: say which with to=.")
    given = windows if isinstance(windows, Mapping) else dict.fromkeys(sorted(sources), windows)
    found = {}
    for source, window in given.items():
        if source not in sources:
            raise UnknownNameError("source", str(source), sources)
        if not isinstance(window, (tuple, list)) or len(window) != 2:  # noqa: PLR2004 - from and to
            raise InputError(f"replace={window!r} is no window. Write (from, to), two timestamps.")
        start, end = (_as_instant(one, "replace") for one in window)
        if start >= end:
            raise InputError(f"replace={window!r} is empty: the first instant must lie before the second.")
        found[str(source)] = (start, end)
    return found


def _checked(name: str, rule: T | None, kind: type[T]) -> T | None:
    if rule is not None and not isinstance(rule, kind):
        raise InputError(f"{name}={rule!r} is no rule. Write {name}=cjm.{kind.__name__}(…).")
    return rule


def _as_share(share: float) -> float:
    if not 0 <= share <= 1:
        raise InputError(f"max_reject_share={share!r} must lie between 0 and 1.")
    return share


def _as_count(n_partitions: int | None) -> int | None:
    if n_partitions is not None and not 1 <= n_partitions <= BINS:
        raise InputError(f"n_partitions={n_partitions!r} must lie between 1 and {BINS:,}.")
    return n_partitions
