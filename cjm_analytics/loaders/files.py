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
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, TypeGuard

import pyarrow as pa
from pyarrow import fs

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.archives import is_archive, member_stream, members_of, without_archive_ending
from cjm_analytics.loaders.beginnings import beginning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

__all__ = [
    "FORMATS",
    "InputFile",
    "Recoded",
    "check_format",
    "find_files",
    "is_location",
    "members",
    "stem",
]

FORMATS: Final = ("csv", "json", "parquet", "excel", "avro")
"""What a file can hold; `json` is JSON lines or one JSON array."""

_EXTENSIONS: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".psv": "csv",
    ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet", ".pq": "parquet", ".avro": "avro",
    ".xlsx": "excel", ".xlsm": "excel", ".xlsb": "excel", ".xls": "excel", ".ods": "excel",
}  # fmt: skip
_DATABASES: Final = (".sqlite", ".sqlite3", ".db", ".duckdb")
_PACKED: Final = (".gz", ".zst", ".zstd")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
Location: TypeAlias = (
    "str | os.PathLike[str] | Sequence[str | os.PathLike[str] | InputFile] | AbstractSet[str]"
)
"""What names files, or has found them already."""

_URL: Final = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SHOWN: Final = 8


@dataclass(eq=False)
class Progress:
    """How far a file has been read: where its stream stands, or the share that its reader tells."""

    stream: BinaryIO | None = None
    share: float = 0.0

    def begin(self) -> None:
        """Forget what was read to learn the columns."""
        self.stream, self.share = None, 0.0


@dataclass(frozen=True)
class InputFile:
    """One file of a source.

    Attributes
    ----------
    shown : str
        The path as the user wrote it (relative if it was given relative): the `src_file` of its rows. Of a
        file in an archive the path of the archive, and the name in it behind a slash.
    path : str
        The path on `system`; of a file in an archive that of the archive.
    system : pyarrow.fs.FileSystem
        Where it lies.
    format : str
        One of `FORMATS`.
    member : str
        The name inside an archive; empty for a file that lies by itself.
    """

    shown: str
    path: str
    system: fs.FileSystem
    format: str
    member: str = ""
    progress: Progress = field(default_factory=Progress, init=False, compare=False, repr=False)

    @cached_property
    def size(self) -> int:
        """Bytes on `system`; 0 of a file in an archive, where only the whole is known."""
        return 0 if self.member else int(self.system.get_file_info(self.path).size or 0)

    @property
    def n_read(self) -> int:
        """How many of these bytes have been read."""
        stream = self.progress.stream
        if stream is None:
            return int(self.progress.share * self.size)
        return self.size if stream.closed else stream.tell()

    @property
    def is_tab_separated(self) -> bool:
        return ".tsv" in PurePosixPath(self.member or self.path).suffixes

    def open(self) -> BinaryIO:
        """A stream of the unpacked bytes: gzip and zstd are told by their first bytes, not by the name."""
        return beginning(self._unpacked())

    def _unpacked(self) -> BinaryIO:
        packing = self._packing()
        raw = self._raw()
        if self.size:
            self.progress.stream = raw
        return pa.CompressedInputStream(raw, packing) if packing else raw

    def content(self) -> bytes:
        """All of the unpacked bytes."""
        with self.open() as stream:
            return b"".join(iter(lambda: bytes(stream.read(1 << 22)), b""))

    def open_seekable(self) -> BinaryIO:
        """The same for a reader that jumps (Parquet): a packed file is unpacked into a temporary one."""
        if self._packing() is None and not self.member:
            return self.system.open_input_file(self.path)  # type: ignore[no-any-return]
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the reader closes it
        with self._unpacked() as packed:
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
        with self._raw() as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
        return digest.hexdigest()

    def _raw(self) -> BinaryIO:
        """The bytes as they were put there, out of their archive but still packed."""
        if not self.member:
            # A file, not a stream: it can tell where it stands.
            return self.system.open_input_file(self.path)  # type: ignore[no-any-return]
        return member_stream(self.system, self.path, self.member)

    def _packing(self) -> str | None:
        with self._raw() as stream:
            start = bytes(stream.read(4))
        if start.startswith(_GZIP_MAGIC):
            return "gzip"
        return "zstd" if start.startswith(_ZSTD_MAGIC) else None


def is_location(source: object) -> TypeGuard[Location]:
    """Whether a source names files (a path, a glob, a folder, a URL, or several) rather than holding rows."""
    if isinstance(source, str | os.PathLike):
        return True
    return isinstance(source, list | tuple | set | frozenset) and all(
        isinstance(one, str | os.PathLike | InputFile) for one in source
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
        A folder stands for all files below it with a known extension, and so does an archive (`.zip`, `.tar`,
        `.tar.gz`, `.tgz`), here or in the folder; names that begin with `.` or `_` (`_SUCCESS`) are left out.
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
    places = [one if isinstance(one, InputFile) else os.fspath(one) for one in several]
    found: dict[str, InputFile] = {}
    for place in sorted(places, key=str) if isinstance(source, set | frozenset) else places:
        if isinstance(place, InputFile):
            found.setdefault(place.shown, place)
            continue
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
    >>> stem("data/events.2025.jsonl.zst"), stem("orders"), stem("orders.csv.zip")
    ('events.2025', 'orders', 'orders')
    """
    name = without_archive_ending(PurePosixPath(path.replace("\\", "/").rstrip("/")).name)
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
    if known is None and path.lower().endswith(_DATABASES):
        raise InputError(
            f"{path!r} looks like a database. Read it with cjm.loaders.sql('SELECT …', 'sqlite:///{path}', "
            "…), or give sql an open connection."
        )
    if known is None:
        endings = ", ".join(_EXTENSIONS)
        raise InputError(
            f"The format of {path!r} cannot be told from its name. Say format='csv', 'json' or 'parquet' "
            f"(known endings: {endings}, each also with .gz or .zst)."
        )
    return known


def _on_disk(place: str, format: str | None, *, mixed: bool) -> Iterator[InputFile]:  # noqa: A002
    path = os.path.expanduser(place)  # noqa: PTH111 - a relative path stays as it was given
    if os.path.isfile(path):  # noqa: PTH113
        yield from _one_file(_local(place, path), format, mixed=mixed)
    elif os.path.isdir(path):  # noqa: PTH112
        inside = sorted(
            os.path.join(folder, name)  # noqa: PTH118
            for folder, _, names in os.walk(path)
            for name in names
            if not _hidden(os.path.relpath(os.path.join(folder, name), path))  # noqa: PTH118
        )
        yield from _usable(place, [_local(one, one) for one in inside], format, mixed=mixed)
    elif glob.has_magic(path):
        matches = sorted(
            one
            for one in glob.glob(path, recursive=True)  # noqa: PTH207
            if os.path.isfile(one)  # noqa: PTH113
        )
        if not matches:
            raise InputError(f"No file fits {place!r}.{_near(path)}")
        for one in matches:
            yield from _one_file(_local(one, one), format, mixed=mixed)
    else:
        raise InputError(f"There is no file or folder {place!r}.{_near(path)}")


def _local(shown: str, path: str) -> InputFile:
    return InputFile(shown, path, fs.LocalFileSystem(), "")


def _one_file(file: InputFile, format: str | None, *, mixed: bool) -> Iterator[InputFile]:  # noqa: A002
    """A file that was named, or all that is in it if it is an archive."""
    if is_archive(file.path):
        yield from _usable(file.shown, [file], format, mixed=mixed)
    else:
        yield replace(file, format=_known_format(file.shown, format))


def members(file: InputFile) -> list[InputFile]:
    """The files in an archive; the file itself if it is none.

    Raises
    ------
    InputError
        The archive is damaged.
    """
    if not is_archive(file.path):
        return [file]
    inside = [name for name in members_of(file.system, file.path) if not _hidden(name)]
    return [replace(file, shown=f"{file.shown}/{name}", member=name) for name in inside]


def _hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in Path(relative).parts)


def _usable(
    place: str,
    files: Sequence[InputFile],
    format: str | None,  # noqa: A002
    *,
    mixed: bool,
) -> list[InputFile]:
    """The files of a folder or an archive that hold rows, with their formats."""
    every = [one for file in files for one in members(file)]
    told = [(file, _format_of(file.shown)) for file in every]
    usable = [replace(file, format=known) for file, known in told if known and format in {None, known}]
    if not usable and format is not None:
        # no telling names: logs, else all, of the format that was asked for
        logs = [file for file in every if ".log" in PurePosixPath(file.shown).suffixes]
        usable = [replace(file, format=format) for file in logs or every]
    holder = "archive" if is_archive(place) else "folder"
    if not usable:
        there = _listed([Path(file.shown).name for file in every])
        said = " If their names do not tell, say format='csv', 'json' or 'parquet'." if every else ""
        raise InputError(f"The {holder} {place!r} holds no CSV, JSON or Parquet file.{there}{said}")
    kinds = sorted({one.format for one in usable})
    if len(kinds) > 1 and not mixed:
        raise InputError(
            f"The {holder} {place!r} holds files of several formats ({', '.join(kinds)}). "
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
        yield from _one_file(InputFile(place, path, system, ""), format, mixed=mixed)
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
            yield from _one_file(InputFile(prefix + one, one, system, ""), format, mixed=mixed)
        return
    below = [one for one in inside if not _hidden(one[len(path) :].lstrip("/"))]
    found = [InputFile(prefix + one, one, system, "") for one in below]
    yield from _usable(place, found, format, mixed=mixed)


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
