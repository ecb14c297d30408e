"""The folder of an event store: a manifest that is replaced in one step, a lock, and what a killed run left.

Whatever the manifest does not list is no part of the store. A commit writes new files, makes them durable,
then replaces the manifest: a crash at any instant leaves the old store or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cjm_analytics.errors import StoreError, counted
from cjm_analytics.far_path import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["FORMAT", "LOCK", "MANIFEST", "PARTS", "VERSION", "File", "Folder", "Manifest"]

FORMAT = "cjm_analytics events"
VERSION = 3

MANIFEST = "manifest.json"
LOCK = ".lock"
_LISTED = ("events", "rejects", "customers", "identity", "owners", "persons", "conflicts", "history")
PARTS = (*_LISTED, "spill")
"""The folders inside a store; anything else in it was not written by this library."""


@dataclass(frozen=True)
class File:
    """A Parquet file of the store, by its path inside the folder.

    Attributes
    ----------
    path : str
    rows, size : int
        Number of rows, and of bytes.
    first, last : int or None
        Time range of its events, microseconds UTC.
    bucket : int
        Of a file of events: the bucket that it is a run of.
    facts : mapping
        Of a file of events: what `Bucket.facts` says.
    """

    path: str
    rows: int
    size: int
    first: int | None = None
    last: int | None = None
    bucket: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a store consists of.

    Attributes
    ----------
    schema : pyarrow.Schema
    events, rejects, customers, identity, owners, persons, conflicts, history : tuple of File
        `events`: by bucket, the runs of each from the oldest to the newest; `customers`: attributes in long
        form; `identity`: ids seen together, by hour; `owners`: whose each alias is, as the events have it;
        `persons`: user ids whose customer has another name; `conflicts`: pairs of ids that were kept apart;
        `history`: customers that got another name.
    n_buckets : int
    filled : tuple of str
        The columns in which any event has a value.
    codebooks : mapping of str to tuple of str
    sources : mapping of str to mapping
        Per source its `dedupe` columns, which of several `copies` of an event stays, the `complete_until`
        that was declared, the `fingerprints` of the files that were read, and the number of `rows` that were
        looked at.
    observation_start : int
    observation_ends : mapping of str to int
    report : mapping
        As `IngestReport.to_json` gives it.
    rules : mapping
        As `Rules.to_json` gives it: how robots and the company's own people are told.
    identity_rules : mapping
        As `Identity.to_json` gives it.
    """

    schema: pa.Schema
    events: tuple[File, ...]
    rejects: tuple[File, ...] = ()
    customers: tuple[File, ...] = ()
    identity: tuple[File, ...] = ()
    owners: tuple[File, ...] = ()
    persons: tuple[File, ...] = ()
    conflicts: tuple[File, ...] = ()
    history: tuple[File, ...] = ()
    n_buckets: int = 1
    filled: tuple[str, ...] = ()
    codebooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    observation_start: int = 0
    observation_ends: Mapping[str, int] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    identity_rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> tuple[File, ...]:
        return tuple(file for part in _LISTED for file in getattr(self, part))

    def runs(self) -> list[list[File]]:
        """Per bucket its files, the oldest first."""
        found: list[list[File]] = [[] for _ in range(self.n_buckets)]
        for file in self.events:
            found[file.bucket].append(file)
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values; the schema as text that people can read and as Arrow's own bytes."""
        values = {
            name: getattr(self, name)
            for name in (
                "n_buckets",
                "filled",
                "codebooks",
                "sources",
                "observation_start",
                "observation_ends",
                "report",
                "rules",
                "identity_rules",
            )
        }
        places = {
            name: {text: place for place, text in enumerate(texts)} for name, texts in self.codebooks.items()
        }
        return {
            "format": FORMAT,
            "version": VERSION,
            "columns": {one.name: str(one.type) for one in self.schema},
            "schema": self.schema.serialize().to_pybytes().hex(),
            **{part: [_file_to_json(one, places) for one in getattr(self, part)] for part in _LISTED},
            **values,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Manifest:
        """The manifest that `to_json` gave."""
        parts = {
            part: tuple(_file_from_json(one, values["codebooks"]) for one in values[part]) for part in _LISTED
        }
        return cls(
            n_buckets=values["n_buckets"],
            filled=tuple(values["filled"]),
            schema=pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(values["schema"]))),
            codebooks={name: tuple(texts) for name, texts in values["codebooks"].items()},
            sources=values["sources"],
            observation_start=values["observation_start"],
            observation_ends=values["observation_ends"],
            report=values["report"],
            rules=values["rules"],
            identity_rules=values["identity_rules"],
            **parts,
        )


def _file_to_json(file: File, places: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """A file as plain values, without what says nothing; names as places in the codebooks."""
    values = {name: value for name, value in asdict(file).items() if value not in (None, {})}
    if file.facts:
        used = {
            name: [places[name][text] for text in texts]
            for name, texts in file.facts["used"].items()
            if name in places
        }
        values["facts"] = {**file.facts, "used": used}
    return values


def _file_from_json(values: Mapping[str, Any], codebooks: Mapping[str, Sequence[str]]) -> File:
    facts = values.get("facts")
    if not facts:
        return File(**values)
    used = {name: [codebooks[name][place] for place in places] for name, places in facts["used"].items()}
    return File(**{**values, "facts": {**facts, "used": used}})


@dataclass(frozen=True)
class Folder:
    """A folder on disk that is, or becomes, an event store."""

    path: Path

    def manifest(self) -> Manifest | None:
        """What the store consists of; None where there is no store yet.

        Raises
        ------
        StoreError
            The manifest is damaged, foreign or newer than this library, or a file that it lists is missing or
            has another size.
        """
        while True:
            text = self._manifest_text()
            if text is None:
                return None
            manifest = self._parsed(text)
            try:
                self._check(manifest)
            except StoreError:
                if self._manifest_text() == text:
                    raise
            else:
                return manifest
            # A writer replaced the manifest, and the next one removed its files, since it was read.

    def _manifest_text(self) -> bytes | None:
        path = self.path / MANIFEST
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}.") from error

    def _parsed(self, text: bytes) -> Manifest:
        path = self.path / MANIFEST
        try:
            values = json.loads(text)
        except ValueError as error:
            raise StoreError(
                f"{path} is damaged: {error}. Restore it from a backup, or ingest the sources again into an "
                "empty folder."
            ) from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise StoreError(f"{path} belongs to something else, not to an event store of cjm_analytics.")
        version = values.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise StoreError(
                f"{self.path} was written in format {version}, this library reads up to {VERSION}: a newer "
                "version of cjm_analytics wrote it. Upgrade with pip install --upgrade cjm_analytics."
            )
        if version < VERSION:
            raise StoreError(
                f"{self.path} was written in format {version}, before customers were stitched as now: "
                f"this library reads format {VERSION}. Ingest the sources again into an empty folder."
            )
        try:
            return Manifest.from_json(values)
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            raise StoreError(f"{path} is damaged: {error!r}. Restore it from a backup.") from error

    def _check(self, manifest: Manifest) -> None:
        sizes = self._sizes(manifest.files)
        for file in manifest.files:
            path, size = self.path / file.path, sizes.get(file.path)
            if size is None:
                raise StoreError(
                    f"{path} is missing, but the manifest lists it with {counted(file.rows, 'row')}. Restore "
                    "it from a backup, or ingest the sources again into an empty folder."
                )
            if size != file.size:
                raise StoreError(
                    f"{path} is damaged: it has {size:,} bytes, the manifest says {file.size:,}. Restore it "
                    "from a backup, or ingest the sources again into an empty folder."
                )

    def _sizes(self, files: Iterable[File]) -> dict[str, int]:
        """The sizes of those files that are there."""
        found = {}
        for file in files:
            with suppress(OSError):
                found[file.path] = (self.path / file.path).stat().st_size
        return found

    def refuse_foreign(self) -> None:
        """Make sure that the folder is absent, empty, a store, or what is left of a first ingest.

        Raises
        ------
        StoreError
            It holds something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{self.path} is a file. Give a folder for the event store.")
        if not self.path.exists() or (self.path / MANIFEST).exists() or (self.path / LOCK).exists():
            return
        strange = sorted(one.name for one in self.path.iterdir())
        if strange:
            raise StoreError(
                f"{self.path} holds something else ({', '.join(map(repr, strange[:5]))}"
                f"{', …' if len(strange) > 5 else ''}). Give an empty folder or an event store."  # noqa: PLR2004
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one writer; the system lets go of it even when the process is killed.

        Raises
        ------
        StoreError
            Somebody else is writing.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a+") as file:
            if not (_try_lock(file.fileno()) and self._holds(file.fileno())):
                file.seek(0)
                raise StoreError(
                    f"{self.path} is in use: {file.read().strip() or 'another process'} is writing to it. "
                    "Try again when it has finished."
                )
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
            yield

    def _holds(self, file: int) -> bool:
        """Whether the open lock is still the folder's: a writer that failed may have taken it away."""
        try:
            return os.path.samestat(os.fstat(file), (self.path / LOCK).stat())
        except FileNotFoundError:
            return False

    def clean(self, manifest: Manifest | None) -> None:
        """Remove what no manifest lists: the leavings of killed runs and the files of former versions."""
        listed = {self.path / file.path for file in manifest.files} if manifest else set()
        for part in PARTS:
            for path in sorted((self.path / part).rglob("*"), reverse=True):
                if path.is_dir():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif path not in listed:
                    path.unlink()
        for path in self.path.glob(f"{MANIFEST}.*"):
            path.unlink()

    @contextmanager
    def spill(self) -> Iterator[Path]:
        """A folder for rows that do not fit into memory, gone afterwards."""
        path = self.path / "spill" / uuid.uuid4().hex[:12]
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def write(
        self,
        name: str,
        tables: Iterable[pa.Table],
        schema: pa.Schema,
        *,
        remarks: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> File:
        """Write one durable Parquet file; each table becomes a row group, remarks stand in the footer."""
        rows = 0
        with self._new_file(name) as file:
            with pq.ParquetWriter(file, schema, **options) as writer:
                for table in tables:
                    writer.write_table(table, row_group_size=max(table.num_rows, 1))
                    rows += table.num_rows
                writer.add_key_value_metadata(dict(remarks or {}))
            size = file.tell()
        return File(name, rows, size)

    @contextmanager
    def _new_file(self, name: str) -> Iterator[BinaryIO]:
        """A file to write, durable afterwards."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def read(self, file: File) -> pa.Table:
        """A whole file.

        Raises
        ------
        StoreError
            It is damaged.
        """
        with self._told_if_damaged(file):
            return pq.read_table(opened(self.path / file.path), partitioning=None)

    def row_groups(self, file: File, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """A file, piece by piece; all columns, or those of some that it has.

        Raises
        ------
        StoreError
            It is damaged.
        """
        with self._told_if_damaged(file), pq.ParquetFile(opened(self.path / file.path)) as parquet:
            there = columns and [name for name in columns if name in parquet.schema_arrow.names]
            for number in range(parquet.num_row_groups):
                group = parquet.read_row_group(number, columns=there)
                if group.num_rows:
                    yield group

    def matching(
        self, file: File, columns: Sequence[str], wanted: Callable[[pa.Table], pa.Array]
    ) -> Iterator[pa.Table]:
        """Those rows of a file that some of its columns speak for; pieces without any are not read further.

        Raises
        ------
        StoreError
            It is damaged.
        """
        with self._told_if_damaged(file), pq.ParquetFile(opened(self.path / file.path)) as parquet:
            there = [name for name in columns if name in parquet.schema_arrow.names]
            for number in range(parquet.num_row_groups):
                rows = wanted(parquet.read_row_group(number, columns=there))
                if pc.any(rows).as_py():
                    yield parquet.read_row_group(number).filter(rows)

    @contextmanager
    def _told_if_damaged(self, file: File) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"{self.path / file.path} cannot be read: {error}. The file is damaged: restore it from a "
                "backup, or ingest the sources again into an empty folder."
            ) from error

    def commit(self, manifest: Manifest) -> None:
        """Make the files of a manifest the store, in one step."""
        folders = {(self.path / file.path).parent for file in manifest.files}
        folders |= {one.parent for one in folders} | {self.path}
        for folder in sorted(folders):
            if folder.is_relative_to(self.path):
                _sync_folder(folder)
        temporary = self.path / f"{MANIFEST}.{uuid.uuid4().hex[:12]}"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(manifest.to_json(), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / MANIFEST)
        _sync_folder(self.path)

    def remove_if_new(self) -> None:
        """Take away a folder in which nothing was ever committed."""
        if not (self.path / MANIFEST).exists():
            self.clean(None)
            for part in PARTS:
                if (self.path / part).is_dir():
                    (self.path / part).rmdir()
            with suppress(PermissionError):  # some systems keep an open file
                (self.path / LOCK).unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()


def _try_lock(file: int) -> bool:
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there; the system keeps its own journal
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
