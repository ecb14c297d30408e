"""Ingest: raw logs in, one store of events by customer and time out."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from cjm_analytics.columns import MemoryColumns
from cjm_analytics.errors import InputError, StoreError, UnknownNameError
from cjm_analytics.events.arrange import Arrangement, Bucket, ByBin
from cjm_analytics.events.folder import File, Folder, Manifest
from cjm_analytics.events.gather import Gathering
from cjm_analytics.events.identity import Identity
from cjm_analytics.events.intake import Limits
from cjm_analytics.events.partition import EventPartition
from cjm_analytics.events.report import IdentityFacts, IngestReport, SourceAccount
from cjm_analytics.events.scatter import BINS
from cjm_analytics.events.store import CODED, Events, open_folder
from cjm_analytics.progress import progress_bar
from cjm_analytics.schema import CANONICAL, EventSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cjm_analytics.events.identity import IdentityRule

__all__ = ["ingest"]

_ROWS_PER_PARTITION = 1_500_000
_BYTES_PER_PARTITION = 256 * 2**20
_ROWS_PER_GROUP = 262_144
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


def ingest(
    sources: EventSource | Iterable[EventSource],
    *,
    to: str | Path | None = None,
    identity: IdentityRule | None = None,
    customers: object = None,
    dedupe: bool = True,
    complete_until: object = None,
    max_reject_share: float = 0.1,
    min_date: object = "1990-01-01",
    now: object = None,
    n_partitions: int | None = None,
    progress: bool | None = None,
) -> Events:
    """Bring raw logs together: one row per event, sorted by customer and time, every row accounted for.

    **Customer.** An event with a user id is that user's. An event with only an anonymous id is the user's
    that the id was seen together with (in most rows, else first, else the smallest id), before or after; an
    id seen with none is the customer `anonymous:<id>`. With only an account id it is the customer
    `account:<id>`. Users never merge. The same user id in two sources means the same person.

    **Order.** `timestamp`, then `seq`, then `event_id`; what still ties is ordered by its content. The result
    depends neither on the order of sources, files and batches nor on the number of partitions. A source
    without `seq` gets the number of its row.

    **Duplicates** are rows of one customer and one source that agree in the columns by which the source tells
    its events apart (`source.dedupe`, for example the vendor's event id). For a source that names none, and a
    row in which all of these are missing, they are rows that agree in everything but their place in the input
    (`seq`, `src_file`, `src_row`) and the time they were received. The one received first stays. A log with
    whole seconds may hold two true clicks that look the same: `dedupe=False` keeps every row. `event_id`
    stays null where the source has none.

    **Rejects.** Rows without timestamp, event name or any id, dated before `min_date` or more than a day
    after they were received (after `now`, where that is unknown), with names or ids longer than 10,000 bytes
    or with a NUL byte, and what the loaders turned away. They are kept with their reasons:
    `events.rejects()`. Per source, read = kept + duplicates + rejected + excluded.

    **Appending.** Into a folder that is an event store already, new rows join the old ones: customers are
    resolved again over both, duplicates of old rows are removed, and the result is that of one ingest of
    everything. Files that the store has read before are skipped. Readers see the old store until the new one
    is complete, and keep it until the next ingest into the folder; a killed run leaves the old one.

    Parameters
    ----------
    sources : EventSource or iterable of EventSource
        What `cjm.loaders` return. They are read in batches, never as a whole.
    to : path, optional
        Folder of the event store; without one the events stay in memory.
    identity : IdentityRule, optional
        Another rule for anonymous ids; default `Identity()`.
    customers : DataFrame or EventSource, optional
        Attributes of customers. A frame has a column `customer_id`, one column per attribute, and perhaps
        `timestamp` (when it was known; default now). The latest known value of each attribute stands in the
        column `customer.<attribute>` of every event of the customer, as text.
    dedupe : bool
        Whether duplicates are removed.
    complete_until : timestamp or mapping of str to timestamp, optional
        The last instant for which the log is complete, for all sources or per source; without a zone, UTC.
        Default: the source's last timestamp.
    max_reject_share : float
        When more of a source's rows are rejected, nothing is written.
    min_date : timestamp
        Earliest time that is believed.
    now : timestamp, optional
        Latest time that is believed, plus one day; default: the clock.
    n_partitions : int, optional
        Between 1 and 1,024; default: by size, about a million events each.
    progress : bool, optional
        Show a progress bar; default: in terminals and notebooks.

    Raises
    ------
    InputError
        Not an event source; more rejects than allowed (`.failures` shows them); a parameter without meaning.
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
    asked = _Asked(
        sources=_as_sources(sources),
        identity=identity if identity is not None else Identity(),
        customers=customers,
        dedupe=dedupe,
        complete_until=_as_instants(complete_until),
        max_reject_share=_as_share(max_reject_share),
        limits=_as_limits(min_date, now),
        n_partitions=_as_count(n_partitions),
        progress=progress,
    )
    if to is None:
        return _in_memory(asked)
    folder = Folder(Path(to))
    folder.refuse_foreign()
    with folder.locked():
        old = folder.manifest()
        folder.clean(old)
        try:
            with folder.spill() as spill:
                folder.commit(_to_folder(asked, folder, old, spill))
        except BaseException as error:
            folder.clean(folder.manifest())
            folder.remove_if_new()
            if isinstance(error, OSError) and error.errno in _FULL:
                raise StoreError(
                    f"There is no room left to write {to}: {error}. It is as it was before."
                ) from error
            raise
    return open_folder(folder)


@dataclass(frozen=True)
class _Asked:
    """The arguments of `ingest`, checked; `complete_until` of None is for all sources."""

    sources: Sequence[EventSource]
    identity: IdentityRule
    customers: object
    dedupe: bool
    complete_until: Mapping[str | None, int]
    max_reject_share: float
    limits: Limits
    n_partitions: int | None
    progress: bool | None


@dataclass(frozen=True)
class _Result:
    """What all buckets together say."""

    schema: pa.Schema
    codebooks: dict[str, tuple[str, ...]]
    start: int
    ends: dict[str, int]
    report: IngestReport


def _in_memory(asked: _Asked) -> Events:
    gathering = Gathering(asked.limits)
    _gather(asked, gathering)
    buckets = _each_bucket(asked, gathering, lambda bucket, _: bucket)
    result = _summed_up(asked, gathering, buckets)
    return Events(
        partitions=tuple(EventPartition.of(bucket.table, result.schema) for bucket in buckets),
        schema=result.schema,
        codebooks=result.codebooks,
        observation_start=result.start,
        observation_ends=result.ends,
        accounting=result.report,
        rejected=(MemoryColumns(gathering.rejects.table()),),
    )


def _to_folder(asked: _Asked, folder: Folder, old: Manifest | None, spill: Path) -> Manifest:
    """Write all files of the new store and say what it consists of; nothing of the old one is touched."""
    run = uuid.uuid4().hex[:12]

    def write_rejects(number: int, table: pa.Table) -> File:
        return folder.write(f"rejects/{run}-{number:04d}.parquet", [table], table.schema, **_PARQUET)

    def write(bucket: Bucket, number: int) -> tuple[Bucket, File]:
        return bucket.without_rows(), _write_bucket(
            folder, f"events/bucket={number:04d}/{run}.parquet", bucket
        )

    def write_one(part: str, table: pa.Table) -> tuple[File, ...]:
        if not table.num_rows:
            return ()
        return (folder.write(f"{part}/{run}.parquet", [table.combine_chunks()], table.schema, **_PARQUET),)

    gathering = Gathering(asked.limits, spill, write_rejects)
    if old:
        gathering.read_store(folder, old)
    _gather(asked, gathering)
    gathering.rejects.flush()
    written = _each_bucket(asked, gathering, write)
    result = _summed_up(asked, gathering, [bucket for bucket, _ in written])
    return Manifest(
        schema=result.schema,
        events=tuple(file for _, file in written),
        rejects=(*(old.rejects if old else ()), *gathering.rejects.files),
        customers=write_one("customers", gathering.attributes.long()),
        identity=write_one("identity", gathering.pairs),
        codebooks=result.codebooks,
        sources=gathering.sources,
        observation_start=result.start,
        observation_ends=result.ends,
        report=result.report.to_json(),
    )


def _gather(asked: _Asked, gathering: Gathering) -> None:
    gathering.expect(asked.sources)
    for name in asked.complete_until:
        if name is not None and name not in gathering.sources:
            raise UnknownNameError("source", name, gathering.sources)
    with progress_bar("Reading", unit="rows", show=asked.progress) as bar:
        for source in asked.sources:
            gathering.read(source, bar.update)
    gathering.attributes.add_given(asked.customers)
    gathering.refuse_too_many_rejects(asked.max_reject_share)
    gathering.stitch(asked.identity)


def _arrangement(asked: _Asked, gathering: Gathering) -> Arrangement:
    types = gathering.types or _NO_EVENTS
    ordered = [name for name in CANONICAL.names if name in types]
    ordered += sorted(set(types) - set(ordered))
    names = gathering.customers.column_names[1:]
    return Arrangement(
        types={name: types[name] for name in ordered},
        names=gathering.names,
        keys={name: tuple(known["dedupe"]) for name, known in gathering.sources.items()},
        dedupe=asked.dedupe,
        attributes=ByBin(gathering.customers, "customer_id") if names else None,
        attribute_names=names,
    )


def _each_bucket(asked: _Asked, gathering: Gathering, then: Callable[[Bucket, int], T]) -> list[T]:
    """Sort each bucket and do something with it, a few at a time; in the order of the buckets."""
    rows, arrangement = gathering.resolved, _arrangement(asked, gathering)
    n_buckets = asked.n_partitions or _n_buckets(rows.n_rows, rows.n_bytes)

    def one(number: int) -> tuple[T, int]:
        bins = range(number * BINS // n_buckets, (number + 1) * BINS // n_buckets)
        bucket = arrangement.bucket(rows.tables(bins), bins)
        return then(bucket, number), bucket.table.num_rows

    done = []
    with (
        progress_bar("Sorting", unit="rows", total=rows.n_rows, show=asked.progress) as bar,
        ThreadPoolExecutor(min(_THREADS, n_buckets)) as pool,
    ):
        for result, n_rows in pool.map(one, range(n_buckets)):
            done.append(result)
            bar.update(n_rows)
    rows.clear()
    return done


def _n_buckets(n_rows: int, n_bytes: int) -> int:
    """A power of two, so that no bucket is much larger than another."""
    wanted = max(n_rows / _ROWS_PER_PARTITION, n_bytes / _BYTES_PER_PARTITION, 1)
    return min(1 << int(np.ceil(np.log2(wanted))), BINS)


def _write_bucket(folder: Folder, path: str, bucket: Bucket) -> File:
    schema = bucket.table.schema
    # What is delta-packed is as small as it gets: no compression on top.
    delta = [name for name in _DELTA if name in schema.names]
    file = folder.write(
        path,
        bucket.row_groups(_ROWS_PER_GROUP),
        schema,
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


def _summed_up(asked: _Asked, gathering: Gathering, buckets: Sequence[Bucket]) -> _Result:
    accounts = tuple(_account(name, gathering, buckets) for name in sorted(gathering.sources))
    facts = IdentityFacts(
        anonymous_ids=gathering.stitching.owners.num_rows,
        conflicts=gathering.stitching.conflicts,
        customers=sum(bucket.n_customers for bucket in buckets),
        known_customers=sum(bucket.n_known for bucket in buckets),
    )
    firsts = [one.first for one in accounts if one.first is not None]
    return _Result(
        schema=_schema(gathering),
        codebooks={
            name: tuple(sorted(set().union(*(bucket.used.get(name, ()) for bucket in buckets))))
            for name in CODED
        },
        start=min(firsts, default=0),
        ends=_observation_ends(asked, gathering, accounts),
        report=IngestReport(
            accounts,
            gathering.rejects.reasons(gathering.before.reject_reasons),
            facts,
            tuple(gathering.notes),
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
        read=old.read + (intake.read if intake else 0),
        kept=sum(one.kept for one in counts),
        duplicates=old.duplicates + sum(one.duplicates for one in counts),
        rejected=old.rejected + (intake.rejected if intake else 0),
        excluded=old.excluded + (intake.excluded if intake else 0),
        first=min((one.first for one in kept), default=None),
        last=max((one.last for one in kept), default=None),
        bots=sum(one.bots for one in counts),
        known=sum(one.known for one in counts),
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


def _as_share(share: float) -> float:
    if not 0 <= share <= 1:
        raise InputError(f"max_reject_share={share!r} must lie between 0 and 1.")
    return share


def _as_count(n_partitions: int | None) -> int | None:
    if n_partitions is not None and not 1 <= n_partitions <= BINS:
        raise InputError(f"n_partitions={n_partitions!r} must lie between 1 and {BINS:,}.")
    return n_partitions
