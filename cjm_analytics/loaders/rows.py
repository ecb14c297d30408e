"""Read raw rows: files and frames as a stream of blocks of columns, broken rows beside them.

A block holds some ten thousand rows. The happy path is Arrow's; a block in which something is odd (a row with
too many fields, a line break inside quotes, a byte that is no UTF-8, a line that is no JSON) is read again,
line by line, so that the odd row becomes a reject with its line number and the others are kept.
"""

from __future__ import annotations

import codecs
import csv
import gc
import io
import itertools
import json
import re
import warnings
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.files import Recoded
from cjm_analytics.loaders.json_columns import JsonColumns
from cjm_analytics.loaders.values import (
    NAME,
    as_json,
    holds_any,
    is_utf8,
    json_texts,
    object_text,
    plain,
    strings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from typing import BinaryIO, TypeAlias

    import pandas as pd
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

    from cjm_analytics.loaders.files import InputFile

    Heading: TypeAlias = Callable[[Sequence[Sequence[str]]], list[str] | None]

__all__ = [
    "JSON",
    "Broken",
    "ColumnRows",
    "CsvFormat",
    "ObjectRows",
    "Rows",
    "column_names",
    "filled_member",
    "frame_rows",
    "holds_json",
    "inferred",
    "member",
    "read_rows",
    "refuse_title",
    "unique_names",
    "words",
]

_HELD: Final = {"\ue009".encode(): "\t", "\ue00a".encode(): "\n", "\ue05c".encode(): "\\"}
"""Signs for private use that stand for an escaped one while cells and lines are told apart."""

_TAB, _BREAK, _BACKSLASH = _HELD
_PLACES: Final = {
    b"\t": _TAB, b"t": _TAB, b"\n": _BREAK, b"n": _BREAK, b"\r\n": _BREAK, b"\\": _BACKSLASH,
}  # fmt: skip
_ESCAPE: Final = re.compile(rb"\\(\r\n|[\tt\nn\\])")
BLOCK_ROWS: Final = 131_072
HEADING_ROWS: Final = 3
"""So many rows a header may take that a format tells by itself."""
_CSV_BLOCK: Final = 1 << 23
_GLANCE: Final = 1 << 18
_JSON_BLOCK: Final = 1 << 20
_COLUMN_BLOCK: Final = 3 << 22
_COLUMN_TRIES: Final = 4
"""After so many blocks in a row that could not be read as columns, no further one is tried."""
_PARSERS: Final = 2
_LONGEST_ROW: Final = 1 << 28
_FEW_TEXTS: Final = 1 << 14
"""Bytes of a Parquet column's dictionary, up to which its texts are few."""

JSON: Final = r"^\s*[\[{]"
"""How an object or a list begins."""

_WIDE: Final = 24
_RAW: Final = 1_000
_SEPARATORS: Final = ",;\t|"
_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT: Final = 1 << 16
_FEW: Final = 8
_SHOWN: Final = 60
_NOTICED: Final = 8_192
_FEW_OF_NOTICED: Final = 512
"""A column of CSV has few texts if so many first cells have no more than so many different ones."""

_TOLD_SEP: Final = re.compile(rb'^"?sep=([^\r\n"])"?\r?\n', re.IGNORECASE)
"""A first line by which a file tells its separator, as spreadsheets understand it."""

_LINE_FEED: Final = ord("\n")
_NO_BREAK: Final = re.compile(rb"[^\r\n]")

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Broken:
    """A row that could not even be read."""

    number: int
    reason: str
    raw: str


class Rows(Protocol):
    """A block of raw rows.

    Attributes
    ----------
    file : str
        Where they come from.
    numbers : numpy.ndarray
        Their row numbers.
    broken : list of Broken
        Rows of this block that are not among them.
    is_sparse : bool
        Whether a column may be absent only because no row of the block has anything in it.
    """

    @property
    def file(self) -> str: ...
    @property
    def numbers(self) -> NDArray[np.int64]: ...
    @property
    def broken(self) -> list[Broken]: ...
    @property
    def is_sparse(self) -> bool: ...
    def __len__(self) -> int: ...
    def has(self, name: str) -> bool: ...
    def names(self) -> list[str]: ...
    def column(self, name: str) -> pa.Array: ...
    def properties(self, taken: Collection[str]) -> pa.Array | None: ...
    def raw(self, row: int) -> str: ...


@runtime_checkable
class Blocks(Protocol):
    """What streams its rows itself: the first block, perhaps empty, tells the columns."""

    def blocks(self) -> Iterator[pa.RecordBatch]: ...


@dataclass(frozen=True)
class ColumnRows:
    """Rows that came as columns: CSV (all text), Parquet, frames."""

    file: str
    table: pa.Table
    numbers: NDArray[np.int64]
    separator: str | None = None
    broken: list[Broken] = field(default_factory=list)
    is_sparse: bool = False
    text: bytes | None = None  # as they were read, where a line is a row
    read: Rows | None = field(default=None, repr=False)  # of which these were made, row by row

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Whether there is such a column; `a.b` is member b of a column a of structs or JSON text."""
        if name in self._names:
            return True
        head, _, rest = name.partition(".")
        if not rest or head not in self._names:
            return False
        kind = self.table.schema.field(head).type
        return not pa.types.is_struct(kind) or _field(kind, rest) is not None

    def names(self) -> list[str]:
        return list(self._names)

    @cached_property
    def _names(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.table.column_names)}

    @cached_property
    def _cells(self) -> dict[str, pa.Array]:
        return {}

    def column(self, name: str) -> pa.Array:
        if name not in self._cells:
            self._cells[name] = self._read(name)
        return self._cells[name]

    def _read(self, name: str) -> pa.Array:
        if name in self._names:
            return plain(self.table.column(self._names[name]))
        head, _, rest = name.partition(".")
        if not rest:
            return pa.nulls(len(self), pa.string())  # no object of this block has it
        cells = self.column(head)
        if not pa.types.is_struct(cells.type):
            if not holds_json(cells):
                return pa.nulls(len(self), pa.string())
            return inferred([member(_parsed(cell), rest) for cell in cells.to_pylist()])
        place = _field(cells.type, rest)
        return pa.nulls(len(cells), pa.string()) if place is None else plain(pc.struct_field(cells, place))

    def properties(self, taken: Collection[str]) -> pa.Array | None:
        left = {name: self.column(name) for name in self._names if name not in taken}
        return json_texts(left)

    @cached_property
    def _lines(self) -> list[bytes]:
        return (self.text or b"").split(b"\n")

    def raw(self, row: int) -> str:
        if self.read is not None:
            return self.read.raw(row)
        if self.text is not None:
            return self._lines[row].decode("utf-8", "replace").rstrip("\r")
        cells = {name: self.table[name][row].as_py() for name in self.table.column_names}
        if self.separator is None:
            return orjson.dumps(cells, default=str).decode()
        out = io.StringIO()
        csv.writer(out, delimiter=self.separator, lineterminator="").writerow(cells.values())
        return out.getvalue()


def in_small_letters(rows: Rows) -> Rows:
    """Rows whose columns are all called in capitals, as Snowflake writes them, by names in small letters."""
    names = rows.names()
    small = {name: name.lower() for name in names}
    if any(name != name.upper() for name in names) or len(set(small.values())) < len(names):
        return rows
    if isinstance(rows, ColumnRows):
        return replace(rows, table=rows.table.rename_columns(list(small.values())))
    if isinstance(rows, ObjectRows):
        return replace(
            rows, objects=[{small[name]: said for name, said in row.items()} for row in rows.objects]
        )
    return rows


def holds_json(cells: pa.Array) -> bool:
    """Whether objects or lists may stand in a column, be it as JSON text."""
    if pa.types.is_string(cells.type):
        return holds_any(cells, b"[{") and bool(pc.any(pc.match_substring_regex(cells, JSON)).as_py())
    return bool(pa.types.is_nested(cells.type))


def _field(kind: pa.DataType, path: str) -> list[int] | None:
    """Where in structs a dotted path leads; a name that holds dots wins."""
    if not pa.types.is_struct(kind):
        return None
    place = kind.get_field_index(path)
    if place >= 0:
        return [place]
    head, _, rest = path.partition(".")
    place = kind.get_field_index(head)
    if not rest or place < 0:
        return None
    inside = _field(kind.field(place).type, rest)
    return None if inside is None else [place, *inside]


def words(rows: Rows, name: str) -> pa.Array:
    """A column of few names: as codes where it came as codes."""
    if isinstance(rows, ColumnRows) and name in rows.table.column_names:
        chunks = rows.table[name].chunks
        if (
            len(chunks) == 1
            and pa.types.is_dictionary(chunks[0].type)
            and not chunks[0].dictionary.null_count
        ):
            return chunks[0]
    return rows.column(name)


@dataclass(frozen=True)
class ObjectRows:
    """Rows that came as JSON objects."""

    file: str
    objects: list[dict[str, Any]]
    numbers: NDArray[np.int64]
    lines: Sequence[bytes] | None = None
    broken: list[Broken] = field(default_factory=list)
    is_sparse: bool = True
    n_skipped: int = 0  # entries of the source that are no rows by the rules of its format
    read: Rows | None = field(default=None, repr=False)  # of which these were made, row by row

    def __len__(self) -> int:
        return len(self.objects)

    def has(self, name: str) -> bool:
        """Whether any object has such a member, directly or (`a.b`) inside another."""
        if name in self._names:
            return True
        head, _, rest = name.partition(".")
        if not rest or head not in self._names:
            return False
        found = self.column(name)
        return bool(found.null_count < len(found))

    def names(self) -> list[str]:
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(itertools.chain.from_iterable(self.objects)))

    @cached_property
    def _cells(self) -> dict[str, pa.Array]:
        return {}

    def column(self, name: str) -> pa.Array:
        if name not in self._cells:
            self._cells[name] = inferred(self._values(name))
        return self._cells[name]

    def _values(self, name: str) -> list[object]:
        """The member of each object; `a.b` is a member b of a member a, unless a name holds dots itself."""
        head, _, rest = name.partition(".")
        if not rest:
            try:
                return list(map(itemgetter(name), self.objects))
            except KeyError:
                return [one.get(name) for one in self.objects]
        if name in self._names:
            return [member(one, name) for one in self.objects]
        inside = self._values(head)
        if "." in rest:
            return [member(one, rest) for one in inside]
        return [one.get(rest) if type(one) is dict else None for one in inside]

    def properties(self, taken: Collection[str]) -> pa.Array | None:
        left = [name for name in self._names if name not in taken]
        if "properties" in left or len(left) > _WIDE:
            return self._properties_by_row(set(taken))
        return json_texts({name: _json_column(self._values(name)) for name in left})

    def _properties_by_row(self, taken: set[str]) -> pa.Array:
        taken |= {"properties"}
        texts = [
            object_text(
                _members(one.get("properties")),
                {name: value for name, value in one.items() if name not in taken and value is not None},
            )
            for one in self.objects
        ]
        return pa.array(texts, pa.binary()).cast(pa.string())

    def raw(self, row: int) -> str:
        if self.read is not None:
            return self.read.raw(row)
        if self.lines is not None:
            return self.lines[row].decode("utf-8", "replace")
        return orjson.dumps(self.objects[row], default=str).decode()


def _json_column(values: Sequence[object]) -> pa.Array:
    """A member of JSON objects as a column: of its own type if that is simple, else of values as JSON."""
    try:
        found = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        found = None
    if found is None or pa.types.is_nested(found.type):
        return as_json(values)
    return found


def _members(cell: object) -> dict[str, Any]:
    if isinstance(cell, dict):
        return {name: value for name, value in cell.items() if value is not None}
    return {} if cell is None else {"properties": cell}


def _parsed(cell: object) -> object:
    if isinstance(cell, str):
        try:
            return orjson.loads(cell)
        except orjson.JSONDecodeError:
            return None
    return cell


def member(cell: object, path: str) -> object:
    """The member of an object at a dotted path; None where there is none. A key that holds dots wins."""
    while isinstance(cell, dict):
        if path in cell:
            return cell[path]
        head, _, path = path.partition(".")
        if not path:
            return None
        cell = cell.get(head)
    return None


def filled_member(values: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - a cell of any type
    """The first of several members, dotted or not, that is not empty."""
    for name in names:
        found = member(values, name)
        if found not in (None, ""):
            return found
    return None


def inferred(values: Sequence[object]) -> pa.Array:
    """Values of a JSON member as a column: its own type if it has one, else text."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    if all(value is None or type(value) in {int, float, bool} for value in values):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
    return strings(values)


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Parameters
    ----------
    sep : str, optional
        Between fields; by default the one of comma, semicolon, tab and bar that the first lines can only
        mean.
    encoding : str
        Of the text; a byte-order mark of UTF-8 or UTF-16 is obeyed.
    quote : str
        Around fields that hold separators; an empty text: no quoting.
    empty : sequence of str
        Texts that mean "no value", beside the empty one.
    names : sequence of str
        The columns of a file that has no header line.
    header_rows : int
        Rows that together name the columns.
    skip_rows : int
        Lines before them, or rows of a sheet: a title, notes.
    sheet : str, optional
        Of a workbook; by default the only one that has something in it.
    escaped : bool
        Whether a backslash makes a tab, a line break or a backslash behind it part of the cell.
    heading : callable, optional
        The first rows → the names of the columns if they are the whole header; asked with one row, then with
        two, then with three. Where it never knows, `header_rows` hold.
    """

    sep: str | None = None
    encoding: str = "utf-8"
    quote: str = '"'
    empty: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    header_rows: int = 1
    skip_rows: int = 0
    sheet: str | None = None
    escaped: bool = False
    heading: Heading | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if type(self.header_rows) is not int or self.header_rows < 1:
            raise InputError(f"header_rows={self.header_rows!r} must be a whole number from 1.")
        if type(self.skip_rows) is not int or self.skip_rows < 0:
            raise InputError(f"skip_rows={self.skip_rows!r} must be a whole number from 0.")
        try:
            "".encode(self.encoding)
        except LookupError as fault:
            raise InputError(
                f"encoding={self.encoding!r} is unknown. Examples: 'utf-8', 'utf-16', 'windows-1252'."
            ) from fault
        for option, text in (("sep", self.sep), ("quote", self.quote)):
            if text is not None and (len(text) > 1 or (option == "sep" and not text)):
                raise InputError(f"{option}={text!r} must be one character.")


def read_rows(
    file: InputFile, csv_format: CsvFormat, *, columns: bool = False, glance: bool = False
) -> Iterator[Rows]:
    """Blocks of the rows of one file. At least one block comes, perhaps without rows, to tell the columns.

    With `columns`, JSON lines come as columns (objects as structs) wherever nothing is lost by it. Who only
    glances at them gets small blocks.

    Raises
    ------
    InputError
        The file is damaged, or no file of its format.
    """
    readers = {
        "csv": _csv_rows,
        "json": _json_rows,
        "parquet": _parquet_rows,
        "excel": _excel_rows,
        "avro": _avro_rows,
    }
    reader = readers[file.format]
    if file.format == "json" and columns:
        reader = _json_columns
    if file.format == "csv" and glance:
        reader = _first_of_csv
    try:
        yield from reader(file, csv_format)
    except (pa.ArrowException, OSError, EOFError) as fault:
        if isinstance(fault, FileNotFoundError):
            raise InputError(f"The file {file.shown!r} is gone.") from fault
        said = str(fault).splitlines()[0]
        raise InputError(
            f"{file.shown!r} cannot be read as {file.format}: it is damaged or cut off ({said})."
        ) from fault


# Excel, Parquet and frames


def _excel_rows(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    from cjm_analytics.loaders.excel import excel_rows

    yield from excel_rows(file, written)


def _avro_rows(file: InputFile, _: CsvFormat) -> Iterator[Rows]:
    try:
        import fastavro
    except ImportError as fault:
        raise InputError(
            f"Reading {file.shown!r} needs fastavro: pip install 'cjm_analytics[avro]'."
        ) from fault
    with file.open() as stream:
        try:
            records: Iterator[Any] = iter(fastavro.reader(stream))
            start = 1
            while block := list(itertools.islice(records, BLOCK_ROWS)):
                yield ObjectRows(file.shown, block, np.arange(start, start + len(block), dtype=np.int64))
                start += len(block)
        except (ValueError, LookupError, TypeError) as fault:
            raise OSError(str(fault) or "no Avro") from fault
    if start == 1:
        yield ObjectRows(file.shown, [], np.zeros(0, np.int64))


def _parquet_rows(file: InputFile, _: CsvFormat) -> Iterator[Rows]:
    import pyarrow.parquet as pq

    with file.open_seekable() as stream:
        footer = pq.read_metadata(stream)
        with pq.ParquetFile(stream, metadata=footer, read_dictionary=_coded(footer)) as parquet:
            batches = parquet.iter_batches(batch_size=BLOCK_ROWS)
            for rows in _numbered(file.shown, parquet.schema_arrow, batches):
                if len(rows):
                    file.progress.share = int(rows.numbers[-1]) / footer.num_rows
                yield rows


def _coded(footer: pq.FileMetaData) -> list[str]:
    """The columns of few texts, told by the size of their dictionary: they are read as the codes they are."""
    if not footer.num_row_groups:
        return []
    columns = [footer.row_group(0).column(place) for place in range(footer.num_columns)]
    return [
        one.path_in_schema
        for one in columns
        if one.physical_type == "BYTE_ARRAY"
        and one.dictionary_page_offset is not None
        and 0 < one.data_page_offset - one.dictionary_page_offset < _FEW_TEXTS
    ]


def _numbered(file: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[Rows]:
    """Batches as blocks of bounded size, rows numbered from 1."""
    doubled = {name for name in schema.names if schema.names.count(name) > 1}
    if doubled:
        raise InputError(f"{file} has two columns named {min(doubled)!r}.")
    first = 1
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            piece = batch.slice(start, BLOCK_ROWS)
            numbers = np.arange(first, first + piece.num_rows, dtype=np.int64)
            yield ColumnRows(file, pa.Table.from_batches([piece]), numbers)
            first += piece.num_rows
    if first == 1:
        yield ColumnRows(file, schema.empty_table(), np.zeros(0, np.int64))


def frame_rows(source: object, file: str) -> Iterator[Rows]:
    """Blocks of the rows of an object in memory.

    pandas, Polars (lazy frames, too), pyarrow, a DuckDB relation, anything with `__arrow_c_stream__`, or a
    mapping of column names to lists; or what streams its rows itself, block by block.
    """
    if isinstance(source, Blocks):
        blocks = source.blocks()
        first = next(blocks)
        yield from _numbered(file, first.schema, itertools.chain([first], blocks))
        return
    reader = _reader(source)
    yield from _numbered(file, reader.schema, reader)


def _reader(source: object) -> pa.RecordBatchReader:
    if isinstance(source, pa.RecordBatchReader):
        return source
    table = _as_table(source)
    return _streamed(source) if table is None else table.to_reader()


def _as_table(source: object) -> pa.Table | None:
    """The tables that we take apart ourselves."""
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source])
    if type(source).__module__.partition(".")[0] == "pandas":
        return _from_pandas(source)
    if isinstance(source, dict):
        return _from_lists(source)
    return source if isinstance(source, pa.Table) else None


def _streamed(source: object) -> pa.RecordBatchReader:
    """The tables that give themselves as a stream."""
    home = type(source).__module__.partition(".")[0]
    if home == "polars" and not hasattr(source, "__arrow_c_stream__") and hasattr(source, "collect"):
        source = source.collect()
    if hasattr(source, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(source)
    if hasattr(source, "fetch_record_batch"):  # a DuckDB relation before it spoke the stream protocol
        return source.fetch_record_batch(BLOCK_ROWS)
    raise InputError(
        f"A source cannot be a {type(source).__name__}. Give a path, glob, folder, URL or list of paths, a "
        "pandas, Polars or pyarrow table, a DuckDB relation, or a dict of lists."
    )


def _from_pandas(source: object) -> pa.Table:
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise InputError(f"A source cannot be a pandas {type(source).__name__}; give a DataFrame.")
    if any(name is not None for name in source.index.names):
        hidden = [name for name in source.index.names if name is not None and name not in source.columns]
        source = source.reset_index(hidden) if hidden else source
    columns: dict[str, pa.Array] = {}
    for position, name in enumerate(source.columns):
        if str(name) in columns:
            raise InputError(f"The DataFrame has two columns named {str(name)!r}.")
        series = source.iloc[:, position]
        columns[str(name)] = _from_series(series)
    return pa.table(columns)


def _from_series(series: pd.Series) -> pa.Array:
    try:
        found = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        missing = series.isna()
        found = strings([None if gone else value for value, gone in zip(series, missing, strict=True)])
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _from_lists(source: dict[str, Any]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name, values in source.items():
        try:
            columns[str(name)] = pa.array(values, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            columns[str(name)] = strings(list(values))
        except TypeError as fault:
            raise InputError(
                f"The column {name!r} of the dict is a {type(values).__name__}, not a list."
            ) from fault
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length:,}" for name, length in lengths.items())
        raise InputError(f"The lists of the dict are of different length ({shown}).")
    return pa.table(columns)


# CSV


def _csv_rows(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    yield from _csv_blocks(file, written, _CSV_BLOCK)


def _first_of_csv(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    yield from _csv_blocks(file, written, _GLANCE)


def _csv_blocks(file: InputFile, written: CsvFormat, size: int) -> Iterator[Rows]:
    with file.open() as stream:
        text = _as_utf8(stream, written.encoding, file.shown)
        if written.escaped:
            text = _Escaped(text)  # type: ignore[assignment]
        blocks = _Blocks(text, size, written.quote.encode())
        told = _TOLD_SEP.match(blocks.peek())
        skipped = written.skip_rows or (1 if told else 0)
        start = _after_lines(blocks.peek(), skipped)
        if not start.strip() and not written.names:
            raise InputError(f"{file.shown!r} is empty: not even a header line tells its columns.")
        sep = written.sep or (told[1].decode() if told else None)
        sep = sep or ("\t" if file.is_tab_separated else _separator(start, written.quote, file.shown))
        named = (list(written.names), 0) if written.names else _header(start, sep, written, file.shown)
        _refuse_other_separator(named[0], sep, file.shown)
        parser = _CsvParser(file.shown, written, sep, *named)
        bodies = _bodies(blocks, skipped + parser.header_lines)
        any_rows = False
        for body, rows in _ahead(parser.parse, bodies):
            parsed = _without_blank(rows or parser.by_line(body))
            if not any_rows and not written.escaped:
                parser.notice_few(parsed.table)
            any_rows = True
            held = written.escaped and any(one in body.lines for one in _HELD)
            yield _unescaped(parsed) if held else parsed
        if not any_rows:
            schema = pa.schema([(name, pa.string()) for name in parser.columns])
            yield ColumnRows(file.shown, schema.empty_table(), np.zeros(0, np.int64), sep)


def _without_blank(rows: ColumnRows) -> ColumnRows:
    """The rows in which anything is; spreadsheets write separators for empty rows, too."""
    columns = rows.table.columns
    if not len(rows) or any(one.null_count == 0 for one in columns):
        return rows
    is_blank = np.ones(len(rows), bool)
    for one in columns:
        is_blank &= one.is_null().to_numpy()
        if not is_blank.any():
            return rows
    return replace(rows, table=rows.table.filter(pa.array(~is_blank)), numbers=rows.numbers[~is_blank])


class _Body(NamedTuple):
    """Lines of a file, how many they are, and the number of the first."""

    lines: bytes
    n_lines: int
    first: int


def _bodies(blocks: Iterable[bytes], header_lines: int = 0) -> Iterator[_Body]:
    """Blocks of lines without those of the header, and without what holds nothing but line ends."""
    first = 1
    for block in blocks:
        body = _after_lines(block, header_lines) if header_lines else block
        first += header_lines
        header_lines = 0
        n_breaks = _n_breaks(body)
        if _NO_BREAK.search(body):
            yield _Body(body, n_breaks + (not body.endswith(b"\n")), first)
        first += n_breaks


def _n_breaks(block: bytes) -> int:
    """How many line feeds there are; `bytes.count` is slow where there are many."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _LINE_FEED))


def _ahead(work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[tuple[_T, _R]]:
    """Each item with what `work` makes of it; while one is used the next ones are worked on, in threads.

    The first is not waited for by others: whoever wants to look at the columns asks for no more.
    """
    every = iter(items)
    for first in itertools.islice(every, 1):
        yield first, work(first)
    waiting: deque[tuple[_T, Future[_R]]] = deque()
    with ThreadPoolExecutor(_PARSERS) as pool:
        for one in every:
            waiting.append((one, pool.submit(work, one)))
            if len(waiting) > _PARSERS:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()


def _refuse_other_separator(columns: Sequence[str], sep: str, file: str) -> None:
    """Stop where all names stand in one column, because another sign is between them."""
    others = [one for one in _SEPARATORS if one != sep and one in columns[0]]
    if len(columns) == 1 and others:
        raise InputError(
            f"The header of {file!r} is one column with sep={sep!r}: {columns[0][:_SHOWN]!r}. Did you mean "
            f"sep={others[0]!r}?"
        )


def _as_utf8(stream: BinaryIO, encoding: str, file: str) -> BinaryIO:
    """The stream in UTF-8, without a byte-order mark.

    Raises
    ------
    InputError
        It looks like UTF-16, and nothing says so.
    """
    head = bytes(stream.read(_LOOKED_AT))
    whole: Any = _Chained(head, stream)
    if head.startswith(_UTF16):
        return Recoded(whole, "utf-16")  # type: ignore[return-value]
    if head.startswith(_BOM):
        return _Chained(head[len(_BOM) :], stream)  # type: ignore[return-value]
    said = encoding.lower().replace("_", "-")
    if not said.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        _refuse_utf16(head, encoding, file)
        _warn_of_utf8(head, said, file)
    if b"\r" in head and b"\n" not in head:
        whole = _Returns(whole)
    if said in {"utf-8", "utf8", "utf-8-sig", "ascii"}:
        return whole  # type: ignore[no-any-return]
    return Recoded(whole, encoding)  # type: ignore[return-value]


def _refuse_utf16(head: bytes, encoding: str, file: str) -> None:
    """Stop where every other byte is zero, as in western text in UTF-16."""
    zeros = {one: head[place::2].count(0) for place, one in enumerate(("utf-16-be", "utf-16-le"))}
    likely = max(zeros, key=lambda one: zeros[one])
    if len(head) > _FEW and zeros[likely] > len(head) / 4:
        raise InputError(
            f"{file!r} is not in the encoding {encoding!r}: it looks like UTF-16 without a byte-order mark. "
            f"Say encoding={likely!r}."
        )


def _warn_of_utf8(head: bytes, said: str, file: str) -> None:
    """Tell where text that is said to be in an encoding of one byte per letter is UTF-8 beyond doubt."""
    if said in {"utf-8", "utf8", "utf-8-sig", "ascii"} or head.isascii():
        return
    if not codecs.lookup(said).name.startswith(("cp125", "iso8859", "mac")):
        return
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return
    warnings.warn(
        f"{file} is said to be in {said}, but reads as UTF-8 without a fault: names with accents may come "
        "out wrong. Leave out encoding= if they do.",
        stacklevel=2,
    )


class _Escaped:
    """A stream in which signs behind a backslash, which end no cell and no line, are held apart by others."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._carried = b""

    def read(self, size: int = -1) -> bytes:
        """About `size` bytes; empty only at the end."""
        while True:
            more = bytes(self._stream.read(size))
            block = self._carried + more
            whole = block.removesuffix(b"\r")  # which may be half of a line's end
            odd = (len(whole) - len(whole.rstrip(b"\\"))) % 2 if more else 0
            end = len(whole) - 1 if odd else len(block)
            self._carried, block = block[end:], block[:end]
            if block or not more:
                return _ESCAPE.sub(lambda found: _PLACES[found[1]], block)


def _unescaped(rows: ColumnRows) -> ColumnRows:
    """The cells with the signs that were held apart."""
    table = rows.table
    for place, name in enumerate(table.column_names):
        cells = table.column(place)
        for held, sign in _HELD.items():
            cells = pc.replace_substring(cells, held.decode(), sign)
        table = table.set_column(place, name, cells)
    return replace(rows, table=table)


class _Chained:
    """A stream with its first bytes put back."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._rest.read(size))


class _Returns:
    """A stream of lines that end in carriage returns, as old spreadsheets write them, with line feeds."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return bytes(self._stream.read(size)).replace(b"\r", b"\n")


class _Blocks:
    """Blocks of whole lines; with a quote, a line break between quotes is no end of a line."""

    def __init__(self, stream: BinaryIO, size: int, quote: bytes = b"") -> None:
        self._stream = stream
        self._size = size
        self._quote = quote
        self._start: bytes | None = None

    def peek(self) -> bytes:
        """The first block, as far as it is needed to look at it."""
        if self._start is None:
            self._start = self._more()
        return self._start

    def _more(self) -> bytes:
        return bytes(self._stream.read(self._size))

    def __iter__(self) -> Iterator[bytes]:
        carried: list[bytes] = []
        held = 0
        block = self.peek()
        self._start = b""
        while block:
            carried.append(block)
            held += len(block)
            if b"\n" in block or held > _LONGEST_ROW:
                lines, rest = self._parted(carried)
                if held > _LONGEST_ROW and not lines:
                    raise InputError(
                        f"A row is longer than {_LONGEST_ROW >> 20} MB: are there line ends at all?"
                    )
                if lines:
                    yield lines
                carried = [rest] if rest else []
                held = len(rest)
            block = self._more()
        if held:
            yield b"".join(carried)

    def _parted(self, blocks: Sequence[bytes]) -> tuple[bytes, bytes]:
        """Whole lines, and what must wait for more."""
        *before, block = blocks
        end = block.rfind(b"\n") + 1
        if end and not (self._quote and any(self._quote in one for one in blocks)):
            return b"".join([*before, memoryview(block)[:end]]), block[end:]
        joined = b"".join(blocks)
        end = self._end(joined)
        return joined[:end], joined[end:]

    def _end(self, block: bytes) -> int:
        """Behind the last line break that stands outside quotes; 0 if more must be read first."""
        last = block.rfind(b"\n") + 1
        if not self._quote or len(block) > 4 * self._size:
            return last  # a quote that is never closed must not swallow the file
        end = last
        odd = block.count(self._quote, 0, end) % 2
        while odd and end:
            before = block.rfind(b"\n", 0, end - 1) + 1
            odd ^= block.count(self._quote, before, end) % 2
            end = before
        return end


def _after_lines(block: bytes, count: int) -> bytes:
    at = 0
    for _ in range(count):
        found = block.find(b"\n", at)
        if found < 0:
            return b""
        at = found + 1
    return block[at:]


def _separator(start: bytes, quote: str, file: str) -> str:
    """The separator that the first lines can only mean; several candidates are an error, not a guess."""
    lines = start[: 1 << 16].decode("utf-8", "replace").splitlines()
    used = [sep for sep in _SEPARATORS if sep in lines[0]] if lines else []
    if not used:  # a title, or one column
        often = Counter(sign for line in lines[1:20] for sign in line if sign in _SEPARATORS)
        return often.most_common(1)[0][0] if often else ","
    if len(used) > 1:
        whole = lines[:-1] if len(lines) > 2 and len(start) > 1 << 16 else lines  # noqa: PLR2004
        used = [sep for sep in used if _same_width(whole[:20], sep, quote)]
    if len(used) > 1:
        shown = ", ".join(repr(sep) for sep in used)
        raise InputError(f"The fields of {file!r} may be separated by any of {shown}. Say which with sep=.")
    return used[0]


def _same_width(lines: Sequence[str], sep: str, quote: str) -> bool:
    widths = {len(row) for row in csv.reader(lines, **_dialect(sep, quote)) if row}
    return len(widths) == 1 and widths != {1}


def _dialect(sep: str, quote: str) -> dict[str, Any]:
    if quote:
        return {"delimiter": sep, "quotechar": quote}
    return {"delimiter": sep, "quoting": csv.QUOTE_NONE}


def _header(start: bytes, sep: str, written: CsvFormat, file: str) -> tuple[list[str], int]:
    """Column names, and how many lines they take."""
    text = io.StringIO(start.decode("utf-8", "replace"), newline="")
    reader = csv.reader(text, **_dialect(sep, written.quote))
    head: list[list[str]] = []
    plain: tuple[list[list[str]], int] | None = None
    told = _told(reader, file)
    for cells in told:
        if any(cell.strip() for cell in cells):
            head.append(cells)
        if not head:
            continue
        if written.heading is not None and (names := written.heading(head)) is not None:
            return names, reader.line_num
        if len(head) == written.header_rows:
            plain = plain or (list(head), reader.line_num)
        if plain is not None and (written.heading is None or len(head) == HEADING_ROWS):
            break
    if plain is not None:
        below = [*head[written.header_rows :], *itertools.islice(filter(None, told), _FEW)]
        refuse_title(plain[0], below, written.skip_rows, file)
        return column_names(_fitted(plain[0], below)), plain[1]
    if head:
        raise InputError(f"{file!r} has fewer lines than header_rows={written.header_rows}.")
    raise InputError(f"{file!r} is empty: not even a header line tells its columns.")


def refuse_title(
    head: Sequence[Sequence[str]], below: Sequence[Sequence[str]], skipped: int, file: str
) -> None:
    """Stop where a title stands alone above the header.

    Raises
    ------
    InputError
        The header is one cell, and the rows below it have more.
    """
    first = [cell for cell in head[0] if cell.strip()]
    widths = [sum(map(bool, map(str.strip, cells))) for cells in below]
    if len(head) > 1 or len(first) != 1 or not widths or max(widths) < 3:  # noqa: PLR2004 - a table
        return
    above = 1 + next(place for place, width in enumerate(widths) if width > 2)  # noqa: PLR2004
    raise InputError(
        f"The first row of {file!r} is one cell, {first[0][:_SHOWN]!r}, and a row below it has "
        f"{widths[above - 1]}. If that is the header, under a title, say skip_rows={skipped + above} to "
        "loaders.table, or take the title out."
    )


def _fitted(head: Sequence[Sequence[str]], below: Sequence[Sequence[str]]) -> list[list[str]]:
    """A header without the empty cells at its end where no row has them."""
    width = max(map(len, below), default=0)
    filled = max(place for cells in head for place, cell in enumerate(cells, 1) if cell.strip())
    return [list(cells[: max(width, filled)]) if width else list(cells) for cells in head]


def _told(reader: Iterable[list[str]], file: str) -> Iterator[list[str]]:
    """The rows of a CSV reader; what it cannot take apart is said with the file's name."""
    try:
        yield from reader
    except csv.Error as fault:
        raise InputError(f"The header of {file!r} cannot be read: {fault}.") from fault


def column_names(head: Sequence[Sequence[str]]) -> list[str]:
    """The names of columns from one or several header rows.

    Of several, the different texts of a column stand behind one another, ` / ` between; an empty cell of a
    row that is not the last belongs to the cell on its left, as in merged cells. Of names that come twice
    each has its place behind it, so that nobody takes one for the other.
    """
    width = max(len(cells) for cells in head)
    rows = [[cell.strip() for cell in cells] + [""] * (width - len(cells)) for cells in head]
    for cells in rows[:-1]:
        for place in range(1, width):
            cells[place] = cells[place] or cells[place - 1]
    joined = [" / ".join(dict.fromkeys(filter(None, column))) for column in zip(*rows, strict=True)]
    names = [name or f"column {place}" for place, name in enumerate(joined, start=1)]
    count = Counter(names)
    return [f"{name} ({place})" if count[name] > 1 else name for place, name in enumerate(names, start=1)]


def unique_names(names: Iterable[str]) -> list[str]:
    """Names of columns of which none comes twice, and none is empty: the later ones say where they stand."""
    made: dict[str, None] = {}
    for place, name in enumerate(names, start=1):
        bare = name or f"column {place}"
        made[bare if bare not in made else f"{bare} ({place})"] = None
    return list(made)


@dataclass(frozen=True)
class _CsvParser:
    """Turns blocks of CSV lines into columns of text."""

    file: str
    written: CsvFormat
    sep: str
    columns: list[str]
    header_lines: int
    coded: set[str] = field(default_factory=set)

    def notice_few(self, table: pa.Table) -> None:
        """Columns of few texts in these rows are read as codes from now on: nobody need number them again."""
        if table.num_rows >= _NOTICED:
            cells = table.slice(0, _NOTICED)
            self.coded.update(one for one in self.columns if len(pc.unique(cells[one])) <= _FEW_OF_NOTICED)

    def parse(self, body: _Body) -> ColumnRows | None:
        """The rows; None where something is odd and they must be read `by_line`."""
        block, n_lines, line = body
        if not is_utf8(block):
            return None
        refused: list[tuple[int, int, str]] = []
        table = self._by_arrow(block, refused)
        plausible = all(
            number is not None and "\n" not in text and not text.rstrip().endswith(self.sep)
            for number, _, text in refused
        )
        if table is None or table.num_rows + len(refused) != n_lines or not plausible:
            return None
        gone = np.array([number for number, _, _ in refused], np.int64) - 1
        numbers = np.delete(np.arange(line, line + n_lines, dtype=np.int64), gone)
        broken = [
            Broken(line + number - 1, self._width_reason(width), text[:_RAW])
            for number, width, text in refused
        ]
        return ColumnRows(self.file, table, numbers, self.sep, broken)

    def _undecoded(self, cells: Sequence[str]) -> str | None:
        """What is wrong with cells that hold bytes of no meaning in the encoding."""
        if all(cell.isascii() or not _surrogate(cell) for cell in cells):
            return None
        return (
            f"bytes that are no text in {self.written.encoding}; say encoding= if the file has another, "
            "perhaps 'windows-1252'"
        )

    def _width_reason(self, width: int) -> str:
        there = "there should be" if self.written.names else "the header has"
        return f"{width:,} fields where {there} {len(self.columns):,}"

    def _by_arrow(self, block: bytes, refused: list[tuple[int, int, str]]) -> pa.Table | None:
        def refuse(row: arrow_csv.InvalidRow) -> str:
            refused.append((row.number, row.actual_columns, row.text))
            return "skip"

        try:
            return arrow_csv.read_csv(
                pa.BufferReader(block),
                read_options=arrow_csv.ReadOptions(
                    column_names=self.columns, use_threads=False, block_size=min(len(block) + 1, 2**31 - 1)
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.sep,
                    quote_char=self.written.quote or False,
                    newlines_in_values=bool(self.written.quote) and self.written.quote.encode() in block,
                    invalid_row_handler=refuse,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={one: NAME if one in self.coded else pa.string() for one in self.columns},
                    null_values=["", *self.written.empty],
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return None

    def by_line(self, body: _Body) -> ColumnRows:
        """The careful way, for a block in which something is odd; by one thread at a time."""
        block, line = body.lines, body.first
        lines = io.StringIO(block.decode("utf-8", "surrogateescape"), newline="").readlines()
        good: list[list[str]] = []
        numbers: list[int] = []
        broken: list[Broken] = []
        for first, cells, fault in self._records(lines, 0):
            raw = "".join(lines[first : first + 1]).rstrip("\r\n").encode("utf-8", "replace").decode()
            said = fault or self._undecoded(cells)
            if said is None:
                good.append(cells)
                numbers.append(line + first)
            else:
                broken.append(Broken(line + first, said, raw[:_RAW]))
        empty = {"", *self.written.empty}
        columns = {
            name: pa.array([None if row[at] in empty else row[at] for row in good], pa.string())
            for at, name in enumerate(self.columns)
        }
        return ColumnRows(self.file, pa.table(columns), np.array(numbers, np.int64), self.sep, broken)

    def _fitting(self, cells: list[str]) -> list[str]:
        """The cells of a record without empty ones behind the last column: they hold nothing."""
        width = len(self.columns)
        return cells if any(cells[width:]) else cells[:width]

    def _fault(self, cells: Sequence[str], lines: Sequence[str], *, single: bool) -> str | None:
        """What is wrong with a record of some lines; with a `single` one if it is all that there is of it."""
        quote = self.written.quote
        if len(cells) != len(self.columns):
            return self._width_reason(len(cells))
        odd = bool(quote) and sum(line.count(quote) for line in lines) % 2 == 1
        # A record over several lines is open if it would go on behind its last line, too.
        return "a quote that is not closed" if odd and (single or self._goes_on(lines)) else None

    def _goes_on(self, lines: Sequence[str]) -> bool:
        reader = csv.reader([*lines, "\n"], **_dialect(self.sep, self.written.quote))
        return len(lines) > 1 and len(next(reader)) > 0 and reader.line_num > len(lines)

    def _records(
        self, lines: Sequence[str], offset: int, *, single: bool = False
    ) -> Iterator[tuple[int, list[str], str | None]]:
        """(line, cells, what is wrong) of each record; a wrong one over several lines is taken apart."""
        limit = csv.field_size_limit(2**31 - 1)
        try:
            reader = csv.reader(lines, **_dialect(self.sep, self.written.quote))
            done = 0
            while True:
                try:
                    cells = next(reader, None)
                    fault = None
                except csv.Error as wrong:
                    cells, fault = [], str(wrong)
                if cells is None:
                    return
                first, done = done, reader.line_num
                if not any(cells) and fault is None:
                    continue  # a blank line
                cells = self._fitting(cells)
                fault = fault or self._fault(cells, lines[first:done], single=single)
                if fault is not None and done - first > 1 and not single:
                    for at in range(first, done):
                        yield from self._records(lines[at : at + 1], offset + at, single=True)
                    continue
                yield offset + first, cells, fault
        finally:
            csv.field_size_limit(limit)


def _surrogate(text: str) -> bool:
    return any("\udc80" <= sign <= "\udcff" for sign in text)


# JSON lines, or one JSON array


def _json_rows(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    yield from _json_blocks(file, written, _JSON_BLOCK, _lines_parsed)


def _json_columns(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    yield from _json_blocks(file, written, _COLUMN_BLOCK, _columns_parsed)


def _json_blocks(
    file: InputFile,
    written: CsvFormat,
    size: int,
    parsed: Callable[[str, Iterator[_Body]], Iterator[Rows]],
) -> Iterator[Rows]:
    with file.open() as stream:
        blocks = _Blocks(_as_utf8(stream, written.encoding, file.shown), size)
        start = blocks.peek().lstrip()
        if start.startswith(b"["):
            yield from _array_rows(file.shown, blocks)
            return
        if start.split(b"\n", 1)[0].strip() == b"{":
            raise InputError(
                f"{file.shown!r} is one JSON object over many lines. JSON lines have one object on each "
                "line; an array of objects is read, too."
            )
        any_rows = False
        for rows in parsed(file.shown, _bodies(blocks)):
            any_rows = True
            yield rows
        if not any_rows:
            yield ObjectRows(file.shown, [], np.zeros(0, np.int64))


def _lines_parsed(file: str, bodies: Iterator[_Body]) -> Iterator[Rows]:
    for body in bodies:
        yield _parsed_lines(file, body)


def _columns_parsed(file: str, bodies: Iterator[_Body]) -> Iterator[Rows]:
    columns = JsonColumns()
    failed = 0

    def parse(body: _Body) -> pa.Table | None:
        """None also where the file has shown to be of another mind."""
        return columns.read(body.lines) if failed < _COLUMN_TRIES else None

    for body, table in _ahead(parse, bodies):
        failed = failed + 1 if table is None else 0
        if table is None:
            yield _parsed_lines(file, body)
        else:
            numbers = np.arange(body.first, body.first + table.num_rows, dtype=np.int64)
            yield ColumnRows(file, table, numbers, is_sparse=True, text=body.lines)


def _parsed_lines(file: str, body: _Body) -> ObjectRows:
    lines = body.lines.split(b"\n")
    if not lines[-1]:
        lines.pop()
    numbers = np.arange(body.first, body.first + len(lines), dtype=np.int64)
    collecting = gc.isenabled()
    gc.disable()  # no cycles arise here, and looking for them doubles the time
    try:
        objects = orjson.loads(b"[" + b",".join(lines) + b"]")
    except orjson.JSONDecodeError:
        objects = None
    finally:
        if collecting:
            gc.enable()
    if objects is not None and len(objects) == len(lines) and set(map(type, objects)) == {dict}:
        return ObjectRows(file, objects, numbers, lines)
    return _line_by_line(file, lines, numbers)


def _line_by_line(file: str, lines: list[bytes], numbers: NDArray[np.int64]) -> ObjectRows:
    good: list[dict[str, Any]] = []
    kept: list[int] = []
    broken: list[Broken] = []
    for at, line in enumerate(lines):
        if not line.strip():
            continue  # a blank line
        try:
            one = orjson.loads(line)
            fault = None if isinstance(one, dict) else f"no JSON object but {type(one).__name__}"
        except orjson.JSONDecodeError as wrong:
            fault = f"no JSON: {wrong}"
        if fault is None:
            good.append(one)
            kept.append(at)
        else:
            broken.append(Broken(int(numbers[at]), fault, line.decode("utf-8", "replace").strip()[:_RAW]))
    return ObjectRows(file, good, numbers[kept], [lines[at] for at in kept], broken)


def _array_rows(file: str, blocks: Iterable[bytes]) -> Iterator[Rows]:
    """The objects of one JSON array, read piece by piece; a row number is the place in the array, from 1."""
    decoder = json.JSONDecoder()
    text, first = "", 1
    decode = _Utf8(file)
    objects: list[dict[str, Any]] = []
    broken: list[Broken] = []
    numbers: list[int] = []
    state = _ArrayState()
    for block in itertools.chain(blocks, [b""]):
        text += decode(block)
        at = 0
        while True:
            at = state.skip(text, at, file)
            if at >= len(text):
                break
            try:
                one, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as wrong:
                if not block:
                    said = f"breaks off or is no JSON at element {first:,}: {wrong.msg}"
                    raise InputError(f"The JSON array in {file!r} {said}.") from wrong
                break
            if end == len(text) and block:
                break  # a number may go on in the next block
            at = end
            state.expects_comma = True
            if isinstance(one, dict):
                objects.append(one)
                numbers.append(first)
            else:
                broken.append(Broken(first, f"no JSON object but {type(one).__name__}", str(one)[:_RAW]))
            first += 1
        text = text[at:]
        if objects or broken or not block:
            yield ObjectRows(file, objects, np.array(numbers, np.int64), None, broken)
            objects, broken, numbers = [], [], []
    if not state.closed:
        raise InputError(f"The JSON array in {file!r} breaks off after element {first - 1:,}.")


@dataclass
class _ArrayState:
    """Where in an array a reader stands."""

    opened: bool = False
    closed: bool = False
    expects_comma: bool = False

    def skip(self, text: str, at: int, file: str) -> int:
        """Past blanks and signs between elements."""
        while at < len(text):
            sign = text[at]
            if sign.isspace():
                pass
            elif self.closed:
                raise InputError(
                    f"The JSON array in {file!r} is followed by something else: {text[at : at + 20]!r}."
                )
            elif not self.opened and sign == "[":
                self.opened = True
            elif sign == "]":
                self.closed = True
            elif self.expects_comma and sign == ",":
                self.expects_comma = False
            elif self.expects_comma:
                raise InputError(f"The JSON array in {file!r} lacks a comma before {text[at : at + 20]!r}.")
            else:
                return at
            at += 1
        return at


class _Utf8:
    """Decodes block by block."""

    def __init__(self, file: str) -> None:
        import codecs

        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def __call__(self, block: bytes) -> str:
        try:
            return self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as fault:
            raise InputError(f"The JSON array in {self._file!r} is no UTF-8: {fault}") from fault
