"""Rows of CSV files.

The happy path is Arrow's; a block in which something is odd (a row with too many fields, a line break
inside quotes, a byte that is no UTF-8) is read again, line by line, so that the odd row becomes a reject with
its line number and the others are kept.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.line_blocks import Body, LineBlocks, after_lines, ahead, as_utf8, bodies_of
from cjm_analytics.loaders.rows import RAW_LENGTH, Broken, ColumnRows
from cjm_analytics.loaders.values import NAME, is_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO, TypeAlias

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.rows import Rows

    Heading: TypeAlias = Callable[[Sequence[Sequence[str]]], list[str] | None]


__all__ = [
    "HEADING_ROWS",
    "CsvFormat",
    "column_names",
    "csv_glance",
    "csv_rows",
    "refuse_title",
    "unique_names",
]

_HELD: Final = {"\ue009".encode(): "\t", "\ue00a".encode(): "\n", "\ue05c".encode(): "\\"}
"""Signs for private use that stand for an escaped one while cells and lines are told apart."""
_TAB, _BREAK, _BACKSLASH = _HELD
_PLACES: Final = {
    b"\t": _TAB, b"t": _TAB, b"\n": _BREAK, b"n": _BREAK, b"\r\n": _BREAK, b"\\": _BACKSLASH,
}  # fmt: skip
_ESCAPE: Final = re.compile(rb"\\(\r\n|[\tt\nn\\])")
HEADING_ROWS: Final = 3
"""So many rows a header may take that a format tells by itself."""
_CSV_BLOCK: Final = 1 << 23
_GLANCE: Final = 1 << 18
_SEPARATORS: Final = ",;\t|"
_SHOWN: Final = 60
_BELOW: Final = 8
_NOTICED: Final = 8_192
_FEW_OF_NOTICED: Final = 512
"""A column of CSV has few texts if so many first cells have no more than so many different ones."""
_TOLD_SEP: Final = re.compile(rb'^"?sep=([^\r\n"])"?\r?\n', re.IGNORECASE)
"""A first line by which a file tells its separator, as spreadsheets understand it."""


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


def csv_rows(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    """Blocks of the rows of a file; at least one, perhaps empty, that tells the columns."""
    yield from _csv_blocks(file, written, _CSV_BLOCK)


def csv_glance(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    """The same in small blocks, for a look at the first."""
    yield from _csv_blocks(file, written, _GLANCE)


def _csv_blocks(file: InputFile, written: CsvFormat, size: int) -> Iterator[Rows]:
    with file.open() as stream:
        text = as_utf8(stream, written.encoding, file.shown)
        if written.escaped:
            text = _Escaped(text)  # type: ignore[assignment]
        blocks = LineBlocks(text, size, written.quote.encode())
        told = _TOLD_SEP.match(blocks.peek())
        skipped = written.skip_rows or (1 if told else 0)
        start = after_lines(blocks.peek(), skipped)
        if not start.strip() and not written.names:
            raise InputError(f"{file.shown!r} is empty: not even a header line tells its columns.")
        sep = written.sep or (told[1].decode() if told else None)
        sep = sep or ("\t" if file.is_tab_separated else _separator(start, written.quote, file.shown))
        named = (list(written.names), 0) if written.names else _header(start, sep, written, file.shown)
        _refuse_other_separator(named[0], sep, file.shown)
        parser = _CsvParser(file.shown, written, sep, *named)
        bodies = bodies_of(blocks, skipped + parser.header_lines)
        any_rows = False
        for body, rows in ahead(parser.parse, bodies):
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


def _refuse_other_separator(columns: Sequence[str], sep: str, file: str) -> None:
    """Stop where all names stand in one column, because another sign is between them."""
    others = [one for one in _SEPARATORS if one != sep and one in columns[0]]
    if len(columns) == 1 and others:
        raise InputError(
            f"The header of {file!r} is one column with sep={sep!r}: {columns[0][:_SHOWN]!r}. Did you mean "
            f"sep={others[0]!r}?"
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
        below = [*head[written.header_rows :], *itertools.islice(filter(None, told), _BELOW)]
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

    def parse(self, body: Body) -> ColumnRows | None:
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
            Broken(line + number - 1, self._width_reason(width), text[:RAW_LENGTH])
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

    def by_line(self, body: Body) -> ColumnRows:
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
                broken.append(Broken(line + first, said, raw[:RAW_LENGTH]))
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
