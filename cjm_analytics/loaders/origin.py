"""Where the rows of a source come from: files, or one object in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.files import InputFile, check_format, find_files, is_location, stem
from cjm_analytics.loaders.reading import frame_rows, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cjm_analytics.loaders.rows import Rows

__all__ = ["Origin"]


@dataclass
class Origin:
    """The rows behind a source, which can be looked at before they are read.

    Attributes
    ----------
    files : list of InputFile
        Empty for an object in memory.
    held : object
        The object in memory, or None.
    name : str
        What the source would be called if nobody says.
    reader : callable, optional
        Reads a file of a format of its own; equal if it reads alike.
    columns : bool
        Whether JSON lines come as columns wherever nothing is lost by it.
    """

    files: list[InputFile]
    held: object
    written: CsvFormat
    name: str
    reader: Callable[[InputFile], Iterator[Rows]] | None = None
    columns: bool = False
    _ahead: list[Iterator[Rows]] = field(default_factory=list)
    _first: Rows | None = None
    _used: bool = False

    @classmethod
    def of(cls, source: object, format: str | None, written: CsvFormat) -> Origin:  # noqa: A002 - the user's word
        """Find the files, or take the object."""
        if isinstance(source, Origin):
            return source
        check_format(format)
        if not is_location(source):
            return cls([], source, written, "table")
        files = find_files(source, format)
        return cls(files, None, written, _source_name(source, files))

    @classmethod
    def read_by(cls, source: object, reader: Callable[[InputFile], Iterator[Rows]]) -> Origin:
        """Files of a format of their own."""
        if not is_location(source):
            raise InputError(f"A log of this format is a file, not a {type(source).__name__}.")
        files = find_files(source, "json")  # whatever they are called
        return cls(files, None, CsvFormat(), _source_name(source, files), reader)

    @property
    def shown(self) -> tuple[str, ...]:
        """The files as they were given."""
        return tuple(file.shown for file in self.files)

    def without(self, files: Collection[str]) -> Origin:
        """The same without some of the files."""
        if not files:
            return self
        left = [file for file in self.files if file.shown not in files]
        return Origin(left, self.held, self.written, self.name, self.reader, self.columns)

    def glance(self) -> Rows:
        """The first block, to learn the columns before anything else is read."""
        if self._first is None:
            stream = self._streams()
            self._first = next(stream)
            if self._is_one_shot or self.reader is not None:  # such a file may have been read whole by now
                self._ahead.append(stream)
        return self._first

    def only_later(self, columns: Collection[str]) -> frozenset[str]:
        """Those of the columns that the first file lacks and another one has."""
        first = self.glance()
        missing = {one for one in columns if not first.has(one)} if not first.is_sparse else set()
        found: set[str] = set()
        for file in self.files[1:]:
            if found == missing:
                break
            start = next(self._read(file))
            found |= {one for one in missing if start.has(one)}
        return frozenset(found)

    def blocks(self) -> Iterator[Rows]:
        """All blocks, file by file."""
        if not self._is_one_shot:
            begun, first = (self._ahead.pop() if self._ahead else None), self._first
            self._first = None  # nothing is held while the rest is read
            if begun is not None and first is not None:
                yield first
            yield from begun or self._streams()
            return
        if self._used:
            raise InputError(
                f"A {type(self.held).__name__} can be read once only, and it has been. Make a new one, or "
                "give a table."
            )
        self._used = True
        yield self.glance()
        yield from self._ahead.pop()

    @property
    def _is_one_shot(self) -> bool:
        return isinstance(self.held, pa.RecordBatchReader)

    def _streams(self) -> Iterator[Rows]:
        if not self.files:
            yield from frame_rows(self.held, f"<{type(self.held).__name__}>")
        for file in self.files:
            yield from self._read(file)

    def _read(self, file: InputFile) -> Iterator[Rows]:
        return self.reader(file) if self.reader else read_rows(file, self.written, columns=self.columns)


def _source_name(source: object, files: list[InputFile]) -> str:
    """The file's name; of several files, their folder's."""
    if len(files) == 1:
        return stem(files[0].shown)
    folder = files[0].shown.replace("\\", "/").rpartition("/")[0]
    if isinstance(source, str) and not any(sign in source for sign in "*?["):
        folder = source
    return stem(folder.rstrip("/")) if folder.strip("./") else "table"
