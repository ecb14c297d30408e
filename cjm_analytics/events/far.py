"""An event store on a remote file system: the same files, and an object in place of the system's lock.

Such systems write an object as a whole or not at all, so replacing the manifest is the commit there too.
They know no locks: a writer leaves an object that tells others to wait, and looks before the commit whether
somebody else has committed meanwhile. Two who commit in the same instant may both pass; the later one wins.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
from pyarrow import fs

from cjm_analytics.errors import InputError, StoreError
from cjm_analytics.events.folder import LOCK, MANIFEST, PARTS, Folder
from cjm_analytics.far_path import FarPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cjm_analytics.events.folder import File, Manifest

__all__ = ["folder_at"]

_URL = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def folder_at(place: str | Path | FarPath) -> Folder:
    """The folder that a path or a URL means.

    Raises
    ------
    InputError
        No file system for the URL is there.
    """
    if isinstance(place, FarPath):
        return FarFolder(place)
    if isinstance(place, Path) or not _URL.match(place):
        return Folder(Path(place))
    try:
        system, inside = fs.FileSystem.from_uri(place)
    except (pa.ArrowException, OSError, ValueError) as error:
        system, inside = _by_fsspec(place, error)
    if isinstance(system, fs.LocalFileSystem):
        return Folder(Path(inside))
    scheme = place.split("://", 1)[0]
    inside = inside.rstrip("/")
    return FarFolder(FarPath(system, inside, f"{scheme}://{inside.lstrip('/')}"))


def _by_fsspec(place: str, fault: Exception) -> tuple[fs.FileSystem, str]:
    scheme = place.split("://", 1)[0]
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped,unused-ignore]

        system, inside = url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"No file system for {scheme}:// is there ({str(fault).splitlines()[0]}). pyarrow knows s3://, "
            "gs://, abfs:// and hdfs://; fsspec, where it is installed, knows others."
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), inside


@dataclass(frozen=True)
class FarFolder(Folder):
    """A store on a remote file system; `path` is a `FarPath`."""

    path: FarPath  # type: ignore[assignment]
    _held: dict[str, bytes | None] = field(default_factory=dict, repr=False)

    def refuse_foreign(self) -> None:
        names = {one.path[len(self.path.inside) + 1 :].split("/")[0] for one in self._inside("")}
        if names and not names & {MANIFEST, LOCK}:
            shown = ", ".join(map(repr, sorted(names)[:5]))
            raise StoreError(f"{self.path} holds something else ({shown}). Give an empty place or a store.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        lock = self.path / LOCK
        holder = self._text(lock)
        if holder is not None:
            raise StoreError(
                f"{self.path} is in use: {holder.decode(errors='replace')} is writing to it. Try again when "
                f"it has finished; if it was killed, delete {lock}."
            )
        mine = f"process {os.getpid()} of {platform.node()} ({uuid.uuid4().hex[:12]})".encode()
        self.path.system.create_dir(self.path.inside, recursive=True)
        with lock.system.open_output_stream(lock.inside) as file:
            file.write(mine)
        try:
            self._held.update(lock=mine, manifest=self._manifest_text())
            yield
        finally:
            self._held.clear()
            if self._text(lock) == mine:
                lock.system.delete_file(lock.inside)

    def clean(self, manifest: Manifest | None) -> None:
        listed = {(self.path / file.path).inside for file in manifest.files} if manifest else set()
        for part in PARTS:
            for one in self._inside(part):
                if one.path not in listed:
                    self.path.system.delete_file(one.path)

    @contextmanager
    def spill(self) -> Iterator[Path]:
        place = Path(tempfile.mkdtemp(prefix="cjm-"))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def commit(self, manifest: Manifest) -> None:
        if self._text(self.path / LOCK) != self._held["lock"] or (
            self._manifest_text() != self._held["manifest"]
        ):
            raise StoreError(
                f"Somebody else wrote to {self.path} at the same time. It is as they left it: try again."
            )
        text = json.dumps(manifest.to_json(), ensure_ascii=False, indent=1).encode()
        with self._new_file(MANIFEST) as file:
            file.write(text)

    def remove_if_new(self) -> None:
        if self._manifest_text() is None:
            self.clean(None)

    def _manifest_text(self) -> bytes | None:
        return self._text(self.path / MANIFEST)

    def _text(self, path: FarPath) -> bytes | None:
        try:
            with path.system.open_input_stream(path.inside) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}.") from error

    def _sizes(self, files: Iterable[File]) -> dict[str, int]:  # noqa: ARG002 - one list tells of all
        return {one.path[len(self.path.inside) + 1 :]: one.size for one in self._inside("")}

    def _inside(self, part: str) -> list[Any]:
        """The files below a part of the store."""
        place = (self.path / part if part else self.path).inside
        selector = fs.FileSelector(place, allow_not_found=True, recursive=True)
        found = self.path.system.get_file_info(selector)
        return [one for one in found if one.type == fs.FileType.File]

    @contextmanager
    def _new_file(self, name: str) -> Iterator[BinaryIO]:
        path = self.path / name
        path.system.create_dir(path.inside.rpartition("/")[0], recursive=True)
        with path.system.open_output_stream(path.inside) as stream:
            yield stream
