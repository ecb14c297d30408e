"""Files inside ZIP and TAR archives: what there is, and each of them as a stream of bytes."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, Final

import pyarrow as pa

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from pyarrow import fs

__all__ = ["is_archive", "member_stream", "members_of", "without_archive_ending"]

_ENDINGS: Final = (".zip", ".tar.gz", ".tgz", ".tar")
_FAULTS: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
)
"""A damaged archive; one that needs a password, or is packed in a way of its own."""


def is_archive(path: str) -> bool:
    """Whether a name is that of an archive.

    Examples
    --------
    >>> is_archive("feed/2025-03-10.TAR.GZ"), is_archive("events.json.gz")
    (True, False)
    """
    return path.lower().endswith(_ENDINGS)


def without_archive_ending(name: str) -> str:
    """`tickets.zip` as `tickets`; any other name as it is."""
    ending = next((one for one in _ENDINGS if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)]


def members_of(system: fs.FileSystem, path: str) -> list[str]:
    """The names of the files in an archive, in order; a TAR archive is read through for it.

    Raises
    ------
    InputError
        It is damaged, or no archive.
    """
    try:
        if _is_zip(path):
            with system.open_input_file(path) as stream, zipfile.ZipFile(stream) as held:
                return sorted(one.filename for one in held.infolist() if not one.is_dir())
        with system.open_input_stream(path, compression=None) as stream, _tar(stream) as listed:
            return sorted(one.name for one in listed if one.isfile())
    except (*_FAULTS, OSError, pa.ArrowException) as fault:
        raise InputError(f"{path!r} cannot be unpacked: it is damaged, or no archive ({fault}).") from fault


def member_stream(system: fs.FileSystem, path: str, name: str) -> BinaryIO:
    """The bytes of one file in an archive, unpacked while they are read.

    Raises
    ------
    OSError
        It is not there, cannot be unpacked, or wants a password; also while it is read.
    """
    try:
        if _is_zip(path):
            found = zipfile.ZipFile(system.open_input_file(path)).open(name)  # noqa: SIM115 - the reader closes it
            return pa.PythonFile(_Unpacked(found), mode="r")  # type: ignore[no-any-return]
        listed = _tar(system.open_input_stream(path, compression=None))
        for one in listed:
            if one.name == name and (inside := listed.extractfile(one)) is not None:
                return pa.PythonFile(_Unpacked(inside, listed), mode="r")  # type: ignore[no-any-return]
    except (*_FAULTS, KeyError) as fault:
        raise OSError(str(fault)) from fault
    raise OSError(f"there is no {name!r} in {path!r}")


class _Unpacked:
    """A file in an archive, whose faults are those of a file. What it is read from stays open with it."""

    def __init__(self, stream: IO[bytes], archive: object = None) -> None:
        self._stream = stream
        self._archive = archive
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except _FAULTS as fault:
            raise OSError(str(fault)) from fault

    def close(self) -> None:
        self.closed = True
        self._stream.close()


def _is_zip(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() == ".zip"


def _tar(stream: BinaryIO) -> tarfile.TarFile:
    """Read from start to end; how it is packed is told by its first bytes."""
    return tarfile.open(fileobj=stream, mode="r|*")
