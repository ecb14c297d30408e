"""Find the files that a source means, tell their format, and open them unpacked."""

from __future__ import annotations

import codecs
import difflib
import fnmatch
import glob
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, TypeGuard

import pyarrow as pa
from pyarrow import fs

from cjm_analytics.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["FORMATS", "InputFile", "Recoded", "check_format", "find_files", "is_location", "stem"]

FORMATS: Final = ("csv", "json", "parquet", "excel")
"""What a file can hold; `json` is JSON lines or one JSON array."""

_EXTENSIONS: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".psv": "csv",
    ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet", ".pq": "parquet",
    ".xlsx": "excel", ".xlsm": "excel", ".xlsb": "excel", ".xls": "excel", ".ods": "excel",
}  # fmt: skip
_PACKED: Final = (".gz", ".zst", ".zstd")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
Location: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | AbstractSet[str]"
"""What names files."""

_URL: Final = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SHOWN: Final = 8


@dataclass(frozen=True)
class InputFile:
    """One file of a source.

    Attributes
    ----------
    shown : str
        The path as the user wrote it (relative if it was given relative): the `src_file` of its rows.
    path : str
        The path on `system`.
    system : pyarrow.fs.FileSystem
        Where it lies.
    format : str
        One of `FORMATS`.
    """

    shown: str
    path: str
    system: fs.FileSystem
    format: str

    @property
    def is_tab_separated(self) -> bool:
        return ".tsv" in PurePosixPath(self.path).suffixes

    def open(self) -> BinaryIO:
        """A stream of the unpacked bytes: gzip and zstd are told by their first bytes, not by the name."""
        packing = self._packing()
        raw = self.system.open_input_stream(self.path, compression=None)
        return pa.CompressedInputStream(raw, packing) if packing else raw  # type: ignore[no-any-return]

    def open_seekable(self) -> BinaryIO:
        """The same for a reader that jumps (Parquet): a packed file is unpacked into a temporary one."""
        if self._packing() is None:
            return self.system.open_input_file(self.path)  # type: ignore[no-any-return]
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the reader closes it
        with self.open() as packed:
            while block := packed.read(1 << 22):
                unpacked.write(block)
        unpacked.seek(0)
        return unpacked

    def fingerprint(self) -> str:
        """A hash of the bytes; of a file far away its size and time, so that it is not fetched twice."""
        if not isinstance(self.system, fs.LocalFileSystem):
            info = self.system.get_file_info(self.path)
            return f"{info.size} {info.mtime_ns}"
        digest = hashlib.sha256()
        with self.system.open_input_stream(self.path, compression=None) as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
        return digest.hexdigest()

    def _packing(self) -> str | None:
        with self.system.open_input_stream(self.path, compression=None) as stream:
            start = bytes(stream.read(4))
        if start.startswith(_GZIP_MAGIC):
            return "gzip"
        return "zstd" if start.startswith(_ZSTD_MAGIC) else None


def is_location(source: object) -> TypeGuard[Location]:
    """Whether a source names files (a path, a glob, a folder, a URL, or several) rather than holding rows."""
    if isinstance(source, str | os.PathLike):
        return True
    return isinstance(source, list | tuple | set | frozenset) and all(
        isinstance(one, str | os.PathLike) for one in source
    )


def find_files(
    source: Location,
    format: str | None = None,  # noqa: A002 - the user's word
    *,
    mixed: bool = False,
) -> list[InputFile]:
    """All files that a path, glob, folder, URL or list of them names, in a fixed order.

    Parameters
    ----------
    source : str, path-like, or list of them
        A folder stands for all files below it with a known extension; names that begin with `.` or `_`
        (`_SUCCESS`) are left out.
    format : str, optional
        One of `FORMATS`; by default the extension tells.
    mixed : bool
        Whether a folder may hold files of several formats.

    Raises
    ------
    InputError
        Nothing is there; a format cannot be told; a folder holds more than one.
    """
    check_format(format)
    several = [source] if isinstance(source, str | os.PathLike) else list(source)
    if not several:
        raise InputError("An empty list names no file to read.")
    places = [os.fspath(one) for one in several]
    found: dict[str, InputFile] = {}
    for place in sorted(places) if isinstance(source, set | frozenset) else places:
        there = (_on_url if _URL.match(place) else _on_disk)(place, format, mixed=mixed)
        for file in there:
            found.setdefault(file.shown, file)
    return list(found.values())


def check_format(format: str | None) -> None:  # noqa: A002
    """Refuse a format that nobody can read here."""
    if format is not None and format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)


def stem(path: str) -> str:
    """The name of a file without folder, format and packing: `data/Tracks.csv.gz` gives `Tracks`.

    Examples
    --------
    >>> stem("data/events.2025.jsonl.zst"), stem("orders")
    ('events.2025', 'orders')
    """
    name = PurePosixPath(path.replace("\\", "/").rstrip("/")).name
    for endings in (_PACKED, tuple(_EXTENSIONS)):
        ending = PurePosixPath(name).suffix.lower()
        if ending in endings:
            name = name[: -len(ending)]
    return name


def _format_of(path: str) -> str | None:
    suffixes = [one.lower() for one in PurePosixPath(path.replace("\\", "/")).suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return _EXTENSIONS.get(suffixes[-1]) if suffixes else None


def _known_format(path: str, asked: str | None) -> str:
    known = asked or _format_of(path)
    if known is None:
        endings = ", ".join(_EXTENSIONS)
        raise InputError(
            f"The format of {path!r} cannot be told from its name. Say format='csv', 'json' or 'parquet' "
            f"(known endings: {endings}, each also with .gz or .zst)."
        )
    return known


def _on_disk(place: str, format: str | None, *, mixed: bool) -> Iterator[InputFile]:  # noqa: A002
    local = fs.LocalFileSystem()
    path = os.path.expanduser(place)  # noqa: PTH111 - a relative path stays as it was given
    if os.path.isfile(path):  # noqa: PTH113
        yield InputFile(place, path, local, _known_format(place, format))
    elif os.path.isdir(path):  # noqa: PTH112
        inside = sorted(
            os.path.join(folder, name)  # noqa: PTH118
            for folder, _, names in os.walk(path)
            for name in names
            if not _hidden(os.path.relpath(os.path.join(folder, name), path))  # noqa: PTH118
        )
        kept = _usable(place, inside, format, mixed=mixed)
        for one, known in kept:
            yield InputFile(one, one, local, known)
    elif glob.has_magic(path):
        matches = sorted(
            one
            for one in glob.glob(path, recursive=True)  # noqa: PTH207
            if os.path.isfile(one)  # noqa: PTH113
        )
        if not matches:
            raise InputError(f"No file fits {place!r}.{_near(path)}")
        for one in matches:
            yield InputFile(one, one, local, _known_format(one, format))
    else:
        raise InputError(f"There is no file or folder {place!r}.{_near(path)}")


def _hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in Path(relative).parts)


def _usable(
    place: str,
    paths: Sequence[str],
    format: str | None,  # noqa: A002
    *,
    mixed: bool,
) -> list[tuple[str, str]]:
    """The files of a folder that hold rows, with their formats."""
    told = [(path, _format_of(path)) for path in paths]
    usable = [(path, known) for path, known in told if known is not None and format in {None, known}]
    if not usable and format is not None:
        usable = [(path, format) for path in paths]  # no telling names: all of the format that was asked for
    if not usable:
        there = _listed([Path(path).name for path in paths])
        raise InputError(f"The folder {place!r} holds no CSV, JSON or Parquet file.{there}")
    kinds = sorted({known for _, known in usable})
    if len(kinds) > 1 and not mixed:
        raise InputError(
            f"The folder {place!r} holds files of several formats ({', '.join(kinds)}). "
            f"Say which to read, for example format={kinds[0]!r}."
        )
    return usable


def _near(path: str) -> str:
    """What there is where a path was looked for, for the message."""
    folder = Path(path).parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return ""
    names = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    close = difflib.get_close_matches(Path(path).name, names, n=1, cutoff=0.6)
    meant = f" Did you mean {str(folder / close[0])!r}?" if close else ""
    return f"{meant} {_listed(names, where=f'the folder {str(folder)!r}').strip()}"


def _listed(names: Sequence[str], where: str = "it") -> str:
    if not names:
        return f" {where[0].upper()}{where[1:]} is empty."
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f" In {where} there are: {', '.join(names[:_SHOWN])}{more}."


def _on_url(place: str, format: str | None, *, mixed: bool) -> Iterator[InputFile]:  # noqa: A002
    plain, pattern = place, None
    if glob.has_magic(place):
        pattern = place
        plain = place[: re.search(r"[*?\[]", place).start()].rsplit("/", 1)[0]  # type: ignore[union-attr]
    try:
        system, path = fs.FileSystem.from_uri(plain)
        info = system.get_file_info(path)
    except (pa.ArrowException, OSError) as fault:
        raise InputError(
            f"{place!r} cannot be opened ({str(fault).splitlines()[0]}). URLs work for the file systems of "
            "pyarrow: file://, s3://, gs://, hdfs://. Download other addresses first."
        ) from fault
    prefix = plain[: len(plain) - len(path)] if plain.endswith(path) else plain.split("://")[0] + "://"
    if info.type == fs.FileType.File:
        yield InputFile(place, path, system, _known_format(place, format))
        return
    if info.type != fs.FileType.Directory:
        raise InputError(f"There is no file or folder {place!r}.")
    inside = _files_below(system, path)
    if pattern is not None:
        wanted = pattern.removeprefix(prefix)
        inside = [one for one in inside if fnmatch.fnmatch(one, wanted)]
        if not inside:
            raise InputError(f"No file fits {place!r}.")
        for one in inside:
            yield InputFile(prefix + one, one, system, _known_format(one, format))
        return
    below = [one for one in inside if not _hidden(one[len(path) :].lstrip("/"))]
    for one, known in _usable(place, below, format, mixed=mixed):
        yield InputFile(prefix + one, one, system, known)


def _files_below(system: fs.FileSystem, folder: str) -> list[str]:
    selector = fs.FileSelector(folder, recursive=True)
    return sorted(one.path for one in system.get_file_info(selector) if one.type == fs.FileType.File)


class Recoded:
    """A byte stream in another encoding as UTF-8; bytes that mean nothing in it stay as they are.

    What stays is no valid UTF-8, so that the reader of lines finds and rejects exactly these rows.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")

    def read(self, size: int = -1) -> bytes:
        """About `size` bytes; empty only at the end."""
        while True:
            block = bytes(self._stream.read(size))
            try:
                text = self._decoder.decode(block, final=not block)
            except UnicodeError as fault:
                marked = ""
                if "BOM" in str(fault):
                    marked = (
                        " Without a byte-order mark, say encoding='utf-16-le' (as Windows writes it) or "
                        "'utf-16-be'; or is it UTF-8?"
                    )
                raise InputError(
                    f"The file is not in the encoding {self._encoding!r}: {fault}.{marked}"
                ) from fault
            if text or not block:
                return text.encode("utf-8", "surrogateescape")
