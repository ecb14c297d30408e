"""Journeys in a folder: a manifest, and per partition Arrow files of coded columns, the others in Parquet.

Coded columns are what nearly every analysis reads whole. An Arrow file lies on disk as it lies in memory, so
that it is mapped and not decoded; it takes about 23 bytes per event. All other columns of the events are
packed in Parquet, and are read by the breakdowns that ask for them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from cjm_analytics.columns import FileColumns, MappedColumns
from cjm_analytics.errors import StoreError
from cjm_analytics.events.partition import EventColumns
from cjm_analytics.journeys import Codebook, Journeys, Partition
from cjm_analytics.model import JourneyModel
from cjm_analytics.schema import CANONICAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from cjm_analytics.columns import Columns

__all__ = ["JourneyWriter", "read_journeys", "write_journeys"]

FORMAT = "cjm-journeys"
VERSION = 2
MANIFEST = "manifest.json"

_PARTS = ("events", "cases", "answers", "customers")
"""What is mapped; `rows` is packed."""

_FILES = {**{part: f"{part}.arrow" for part in _PARTS}, "rows": "rows.parquet"}


def write_journeys(journeys: Journeys, path: str | Path) -> None:
    """Write journeys into a folder, which is there whole or not at all.

    An older store of journeys in its place is replaced; files are written beside it first.

    Raises
    ------
    StoreError
        The folder exists and holds something else.
    """
    with JourneyWriter(path) as writer:
        for number, partition in enumerate(journeys.partitions):
            writer.add(number, partition)
        writer.commit(journeys)


def read_journeys(path: str | Path) -> Journeys:
    """Journeys of a folder; columns are read when an analysis asks for them.

    Raises
    ------
    StoreError
        There is no such folder, it is damaged, or a newer version wrote it.
    """
    folder = Path(path)
    manifest = _manifest(folder)
    try:
        codebook = _codebook_from(manifest["codebook"])
        model = manifest["model"]
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(manifest["schema"])))
        partitions = []
        for name, counts in manifest["partitions"].items():
            place = folder / manifest["data"] / name
            _check(place, counts, manifest.get("sizes", {}).get(name))
            partitions.append(_partition(place, codebook, schema, counts))
        return Journeys(
            partitions=tuple(partitions),
            codebook=codebook,
            model=JourneyModel.from_dict(model) if model is not None else None,
            observation_start=manifest["observation_start"],
            observation_ends=manifest["observation_ends"],
            accounting=manifest["accounting"],
        )
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{folder / MANIFEST} is damaged: {error!r}. Sessionize the events again."
        ) from error


@contextmanager
def _told_if_damaged(path: object) -> Iterator[None]:
    """An error that says what happened to a file of the store."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            f"{path} cannot be read: {error}. It is missing or damaged, or the store was written "
            "anew: open it again with cjm.open_journeys, or sessionize the events again."
        ) from error


@dataclass(frozen=True, eq=False)
class _CodedColumns(MappedColumns):
    """Coded columns of a store."""

    def read(self, names: Sequence[str]) -> pa.Table:
        with _told_if_damaged(self.path):
            return super().read(names)

    def _mapped(self) -> pa.Table:
        with _told_if_damaged(self.path):
            return super()._mapped()


@dataclass(frozen=True, eq=False)
class _PackedColumns(FileColumns):
    """All other columns of the events of a store."""

    def read(self, names: Sequence[str]) -> pa.Table:
        with _told_if_damaged(self.path):
            return super().read(names)

    def take(self, rows: Any) -> Columns:  # noqa: ANN401 - an array of rows, as in Columns
        return _PackedColumns(self.path, rows if self.rows is None else self.rows[rows])


class JourneyWriter:
    """Writes a store beside its place and moves it there when all is written.

    Parameters
    ----------
    path : str or Path
        The folder to be. It may exist if it is empty or holds journeys.

    Raises
    ------
    StoreError
        The folder holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists() and not _may_be_replaced(self.path):
            raise StoreError(
                f"{self.path} exists and holds something other than journeys. Name another folder for them."
            )
        token = uuid.uuid4().hex[:12]
        self._data = f"data-{token}"
        self._draft = self.path.parent / f".{self.path.name}.{token}"
        self._counts: dict[str, dict[str, int]] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._schema = CANONICAL

    def __enter__(self) -> Self:
        (self._draft / self._data).mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._draft, ignore_errors=True)

    def spill(self, name: str, table: pa.Table) -> Columns:
        """Put a table aside until the store is finished; it may be written and read from several threads."""
        path = self._draft / f"{name}.arrow"
        _write_coded(table, path)
        return _CodedColumns(path)

    def add(self, number: int, partition: Partition) -> None:
        """Write a partition; several threads may do so at once."""
        name = f"partition={number:04d}"
        folder = self._draft / self._data / name
        folder.mkdir()
        parts = {
            "events": partition.events.read(partition.events.names),
            "cases": partition.cases.read(partition.cases.names),
            "answers": partition.answers.read(partition.answers.names),
            "customers": partition.customers.read(["customer_id"]),
        }
        for part, table in parts.items():
            _write_coded(table, folder / _FILES[part])
        rows = partition.rows
        stored = rows.stored(rows.names) if isinstance(rows, EventColumns) else rows.read(rows.names)
        _write_packed(stored, folder / _FILES["rows"])
        self._sizes[name] = {part: (folder / file).stat().st_size for part, file in _FILES.items()}
        self._schema = rows.schema if isinstance(rows, EventColumns) else stored.schema
        self._counts[name] = {**{part: table.num_rows for part, table in parts.items()}, "rows": rows.n_rows}

    def commit(self, journeys: Journeys) -> None:
        """Write the manifest and put the store in its place."""
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "data": self._data,
            "partitions": {name: self._counts[name] for name in sorted(self._counts)},
            "sizes": {name: self._sizes[name] for name in sorted(self._sizes)},
            "schema": base64.b64encode(self._schema.remove_metadata().serialize()).decode(),
            "codebook": _codebook_to(journeys.codebook),
            "model": journeys.model.to_dict() if journeys.model is not None else None,
            "observation_start": journeys.observation_start,
            "observation_ends": dict(journeys.observation_ends),
            "accounting": dict(journeys.accounting),
        }
        for spilled in self._draft.glob("*.arrow"):
            spilled.unlink()
        text = json.dumps(manifest, indent=1, ensure_ascii=False, default=str)
        with (self._draft / MANIFEST).open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        old = self._draft.with_name(f"{self._draft.name}.old")
        if self.path.exists():
            self.path.rename(old)
        self._draft.rename(self.path)
        _sync_folder(self.path.parent)
        shutil.rmtree(old, ignore_errors=True)


def _may_be_replaced(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        return bool(json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


def _write_coded(table: pa.Table, path: Path) -> None:
    """One Arrow file of one batch, on disk when this returns."""
    with path.open("wb") as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        file.flush()
        os.fsync(file.fileno())


def _write_packed(table: pa.Table, path: Path) -> None:
    """One Parquet file, on disk when this returns; whole numbers as differences, names as dictionaries."""
    plain = [name for name in table.column_names if pa.types.is_int64(table.schema.field(name).type)]
    with path.open("wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            use_dictionary=[name for name in table.column_names if name not in plain],
            column_encoding=dict.fromkeys(plain, "DELTA_BINARY_PACKED") or None,
        )
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError(
            f"There are no journeys in {folder}. Write them with journeys.write({str(folder)!r})."
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {error}. Sessionize the events again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise StoreError(f"{folder} holds something other than journeys.")
    version = manifest.get("version")
    if isinstance(version, int) and version < VERSION:
        raise StoreError(
            f"{folder} was written by an older version (store version {version}; this one reads {VERSION}). "
            "Sessionize the events again."
        )
    if version != VERSION:
        raise StoreError(
            f"{folder} was written by a newer version (store version {version!r}; this one reads "
            f"{VERSION}). Update cjm_analytics."
        )
    return manifest


def _partition(folder: Path, codebook: Codebook, schema: pa.Schema, counts: dict[str, int]) -> Partition:
    coded = {part: _CodedColumns(folder / _FILES[part], stored=counts[part]) for part in _PARTS}
    packed = folder / _FILES["rows"]
    rows = EventColumns(_PackedColumns(packed), schema, counts["rows"], str(packed))
    return Partition(codebook=codebook, rows=rows, **coded)


def _check(folder: Path, counts: dict[str, int], sizes: dict[str, int] | None) -> None:
    """Make sure that files are those that were written: by their sizes, or in older stores by their rows."""
    for part, name in _FILES.items():
        path = folder / name
        try:
            if sizes is not None:
                unit, found, wanted = "bytes", path.stat().st_size, sizes[part]
            else:
                columns = FileColumns(path) if part == "rows" else MappedColumns(path)
                unit, found, wanted = "rows", columns.n_rows, counts[part]
        except (OSError, ValueError, pa.ArrowException) as error:
            raise StoreError(
                f"{path} is missing or damaged: {error}. Sessionize the events again."
            ) from error
        if found != wanted:
            raise StoreError(
                f"{path} has {found:,} {unit}, the manifest says {wanted:,}. Sessionize the events again."
            )


def _codebook_to(codebook: Codebook) -> dict[str, Any]:
    fields = {name: list(value) for name, value in vars(codebook).items()}
    return {**fields, "sources": [sorted(one) for one in codebook.sources]}


def _codebook_from(fields: dict[str, Any]) -> Codebook:
    sources = tuple(frozenset(one) for one in fields.pop("sources"))
    return Codebook(**{name: tuple(value) for name, value in fields.items()}, sources=sources)
