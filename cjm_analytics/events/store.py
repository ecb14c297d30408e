"""Events: what `ingest` makes and the sessionizer reads, in memory or in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.columns import FileColumns, plain, runs
from cjm_analytics.errors import InputError, StoreError, counted
from cjm_analytics.events.far import folder_at
from cjm_analytics.events.partition import EventColumns
from cjm_analytics.events.report import IngestReport
from cjm_analytics.events.runs import merged
from cjm_analytics.events.stitching import CONFLICTS
from cjm_analytics.schema import REJECTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from cjm_analytics.columns import Columns
    from cjm_analytics.events.folder import File, Folder
    from cjm_analytics.events.partition import EventPartition
    from cjm_analytics.far_path import FarPath

__all__ = ["CODED", "HISTORY", "Events", "open_events", "open_folder"]

CODED = ("event", "source", "channel", "instrument", "source_kind", "actor")
"""The columns whose distinct values `Events.codebooks` lists."""


HISTORY = pa.schema(
    [("customer_id", pa.string()), ("now", pa.string()), ("at", pa.timestamp("us", tz="UTC"))]
)
"""A customer of the store that an ingest, at that time, found to be another one."""


@dataclass(frozen=True, eq=False)
class Events:
    """Canonical events of known customers, sorted by customer and time.

    Made by `cjm.ingest` or `cjm.open_events`. `len()` is the number of events.

    Attributes
    ----------
    partitions : tuple of EventPartition
        At least one, perhaps empty; no customer is in two.
    schema : pyarrow.Schema
        The canonical columns, then promoted properties, then `customer.<attribute>`.
    codebooks : mapping of str to tuple of str
        The distinct values of `event`, `source`, `channel`, `instrument`, `source_kind` and `actor` over all
        partitions, sorted.
    observation_start : int
        First timestamp, microseconds UTC; 0 without events.
    observation_ends : mapping of str to int
        Per source the last instant for which its log is complete, microseconds UTC: its last timestamp, or
        what `complete_until` declared.
    accounting : IngestReport
        What `report()` returns.
    rejected : tuple of Columns
        What `rejects()` returns, in pieces.
    kept_apart, renamed : tuple of Columns
        What `conflicts()` and `person_history()` return, in pieces.
    path : Path, FarPath or None
        The folder of the store, on disk or far away; None in memory.
    """

    partitions: tuple[EventPartition, ...]
    schema: pa.Schema
    codebooks: Mapping[str, tuple[str, ...]]
    observation_start: int = 0
    observation_ends: Mapping[str, int] = field(default_factory=dict)
    accounting: IngestReport = field(default_factory=IngestReport)
    rejected: tuple[Columns, ...] = ()
    kept_apart: tuple[Columns, ...] = ()
    renamed: tuple[Columns, ...] = ()
    path: Path | FarPath | None = None

    def __len__(self) -> int:
        return sum(partition.n_rows for partition in self.partitions)

    def report(self) -> IngestReport:
        """What became of every input row, per source; who is known; why rows were rejected."""
        return self.accounting

    def rejects(self) -> pd.DataFrame:
        """The rows that could not be used: `source, src_file, src_row, reason, raw`."""
        return _frame(REJECTS, self.rejected)

    def conflicts(self) -> pd.DataFrame:
        """Ids that were seen together and kept apart, because one person would have had too many ids.

        Columns `alias, user_id, kind, rows, first, last, customer_id, other_customer_id`: the two ids (of the
        kind `alias`, `user_id` is no user's either, but an address or the id of a system), in how many rows
        they were seen together, when first and last, the customer of `alias` and that of `user_id`.
        """
        return _frame(CONFLICTS, self.kept_apart)

    def person_history(self) -> pd.DataFrame:
        """Customers of former versions of the store that are part of another one now.

        Columns `customer_id, now, at`: the name that the customer had, the one that its events got, and the
        time of the ingest that found it out. Who was renamed twice has two rows: `now` of the first is
        `customer_id` of the second.
        """
        return _frame(HISTORY, self.renamed)

    def to_frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per event, sorted by customer_id, timestamp and seq, however the store is partitioned.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns of the schema, or `properties.<dotted>`; default: those in which any event has a value.
            Names come as text, `value` as a float.

        Raises
        ------
        UnknownNameError
            There is no such column.
        """
        names = list(columns) if columns is not None else self._filled()
        wanted = list(dict.fromkeys(names))
        table = pa.concat_tables(
            [plain(partition.columns.read(wanted)) for partition in self.partitions],
            promote_options="permissive",
        )
        if len(self.partitions) > 1:
            table = table.take(pa.array(self._by_customer()))
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def compact(self, *, n_partitions: int | None = None, progress: bool | None = None) -> Events:
        """Write the store as one sorted run per partition, as one ingest of everything would have.

        Appending adds small sorted runs, which reading has to merge. Nothing but speed changes. Readers keep
        what they have open until the next write.

        Parameters
        ----------
        n_partitions : int, optional
            Between 1 and 1,024; default: by size, about a million events each.
        progress : bool, optional
            Show a progress bar; default: in terminals and notebooks.

        Returns
        -------
        Events
            The store as it is now.

        Raises
        ------
        InputError
            The events are in memory only.
        StoreError
            The store is damaged, or in use by another writer.

        Examples
        --------
        >>> import tempfile
        >>> import cjm_analytics as cjm
        >>> def log(day):
        ...     return cjm.loaders.table({"who": ["ann"], "when": [day], "what": ["search"]},
        ...         customer="who", timestamp="when", event="what", tz="UTC")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = cjm.ingest(log("2026-03-01"), to=folder)
        ...     events = cjm.ingest(log("2026-03-02"), to=folder).compact()
        ...     len(events)
        2
        """
        from cjm_analytics.events.ingest import compact

        if self.path is None:
            raise InputError(
                "These events are in memory, there is nothing to compact. A folder is: "
                "cjm.open_events(path).compact()."
            )
        return compact(self.path, n_partitions=n_partitions, progress=progress)

    def _by_customer(self) -> NDArray[np.int64]:
        """The rows of all partitions, one after the other, in the order of customers."""
        customers = [partition.customers() for partition in self.partitions]
        ids = pa.concat_arrays([one for one, _ in customers])
        lengths = np.concatenate([np.diff(offsets) for _, offsets in customers])
        starts = np.cumsum(lengths) - lengths
        order = pc.array_sort_indices(ids).to_numpy()
        return runs(starts[order], lengths[order])

    def _filled(self) -> list[str]:
        held = {name for partition in self.partitions for name in partition.columns.filled}
        return [name for name in self.schema.names if name in held]

    def _repr_html_(self) -> str:
        return self.accounting._repr_html_()

    def __repr__(self) -> str:
        names = ", ".join(self.codebooks.get("source", ())) or "no source"
        customers = self.accounting.identity.customers
        return (
            f"<Events: {counted(len(self), 'event')} of {counted(customers, 'customer')} from {names}, "
            f"{counted(len(self.partitions), 'partition')}"
            f"{f' in {self.path}' if self.path else ''}>"
        )


def open_events(path: str | Path) -> Events:
    """The events of a store that `cjm.ingest(…, to=path)` wrote; columns are read when they are asked for.

    Raises
    ------
    StoreError
        There is no store, it is damaged, or a newer version of the library wrote it.

    Examples
    --------
    >>> import tempfile
    >>> import cjm_analytics as cjm
    >>> log = cjm.loaders.table({"who": ["ann", "bob"], "when": ["2026-03-01", "2026-03-02"],
    ...     "what": ["search", "search"]}, customer="who", timestamp="when", event="what", tz="UTC")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = cjm.ingest(log, to=folder)
    ...     len(cjm.open_events(folder))
    2
    """
    return open_folder(folder_at(path))


def open_folder(folder: Folder) -> Events:
    """The events of a folder, as its manifest lists them now."""
    manifest = folder.manifest()
    if manifest is None:
        raise StoreError(
            f"There is no event store at {folder.path}: it has no manifest.json. Make one with "
            "cjm.ingest(sources, to=…)."
        )
    schema = manifest.schema
    return Events(
        partitions=tuple(
            merged(
                [
                    EventColumns(
                        FileColumns(folder.path / run.path), schema, run.rows, str(folder.path / run.path)
                    )
                    for run in runs
                ],
                schema,
                f"{folder.path}, bucket {number},",
            )
            for number, runs in enumerate(manifest.runs())
        ),
        schema=schema,
        codebooks={name: manifest.codebooks[name] for name in CODED},
        observation_start=manifest.observation_start,
        observation_ends=manifest.observation_ends,
        accounting=IngestReport.from_json(manifest.report),
        rejected=_columns(folder, manifest.rejects),
        kept_apart=_columns(folder, manifest.conflicts),
        renamed=_columns(folder, manifest.history),
        path=folder.path,
    )


def _columns(folder: Folder, files: Sequence[File]) -> tuple[Columns, ...]:
    return tuple(FileColumns(folder.path / file.path) for file in files)


def _frame(schema: pa.Schema, pieces: Sequence[Columns]) -> pd.DataFrame:
    tables = [columns.read(schema.names) for columns in pieces]
    frame: pd.DataFrame = pa.concat_tables([schema.empty_table(), *tables]).to_pandas()
    return frame
