"""Excel workbooks (and OpenDocument tables) as blocks of rows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.csv_files import HEADING_ROWS, CsvFormat, column_names, refuse_title
from cjm_analytics.loaders.rows import BLOCK_ROWS, ColumnRows, Rows
from cjm_analytics.loaders.values import is_utf8, strings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cjm_analytics.loaders.files import InputFile

__all__ = ["excel_rows"]

_EMPTY: Final = ("", None)
_FEW: Final = 8


def excel_rows(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    """The rows of one sheet; row numbers are those that Excel shows. Empty rows are passed over.

    The types of its columns are those of the whole sheet, so that no cell means something else in a block.
    """
    sheet = _sheet(file, written.sheet)
    filled = [
        (place, cells)
        for place, cells in enumerate(sheet.iter_rows(), start=1)
        if place > written.skip_rows and any(cell not in _EMPTY for cell in cells)
    ]
    if not filled:
        raise InputError(f"{file.shown!r} is empty: not even a header row tells its columns.")
    first = [cells for _, cells in filled[: max(HEADING_ROWS, written.header_rows)]]
    names, n_head = _header(first, written)
    if written.heading is None:
        shown = [[_text(cell) for cell in cells] for _, cells in filled[: n_head + _FEW]]
        refuse_title(shown[:n_head], shown[n_head:], filled[0][0] - 1, file.shown)
    kept = [cells for _, cells in filled[n_head:]]
    numbers = [place for place, _ in filled[n_head:]]
    table, places = _table(names, kept), np.array(numbers, np.int64)
    for start in range(0, max(len(kept), 1), BLOCK_ROWS):
        yield ColumnRows(file.shown, table.slice(start, BLOCK_ROWS), places[start : start + BLOCK_ROWS])


def _header(first: Sequence[Sequence[Any]], written: CsvFormat) -> tuple[list[str], int]:
    """Column names, and how many rows they take."""
    head = [[_text(cell) for cell in cells] for cells in first]
    if written.heading is not None:
        for count in range(1, min(len(head), HEADING_ROWS) + 1):
            names = written.heading(head[:count])
            if names is not None:
                return names, count
    return column_names(head[: written.header_rows]), written.header_rows


def _sheet(file: InputFile, wanted: str | None) -> Any:  # noqa: ANN401 - the reader's own type
    try:
        import python_calamine
    except ImportError as fault:
        raise InputError(
            f"Reading {file.shown!r} needs python-calamine: pip install 'cjm_analytics[excel]'."
        ) from fault
    try:
        with file.open_seekable() as stream:
            book = python_calamine.CalamineWorkbook.from_filelike(stream)
            if wanted is not None and wanted not in book.sheet_names:
                raise UnknownNameError(f"sheet in {file.shown}", wanted, book.sheet_names)
            names = book.sheet_names if wanted is None else [wanted]
            filled = [one for one in map(book.get_sheet_by_name, names) if one.height]
    except (python_calamine.CalamineError, OSError) as fault:
        raise InputError(f"{file.shown!r} is damaged or no Excel workbook ({fault}).{_else(file)}") from fault
    if len(filled) > 1:
        shown = ", ".join(repr(one.name) for one in filled)
        raise InputError(f"{file.shown!r} has several sheets with something in them: {shown}. Say sheet=.")
    if not filled:
        raise InputError(f"{file.shown!r} is empty: not even a header row tells its columns.")
    return filled[0]


def _else(file: InputFile) -> str:
    """What a file is that is only called a workbook."""
    with file.open() as stream:
        start = bytes(stream.read(1_000)).lstrip(b"\xef\xbb\xbf \r\n\t")
    if start.startswith(b"<"):
        return " It is a web page or XML: open it with a spreadsheet, and save it as .xlsx or CSV."
    is_text = bool(start) and b"\0" not in start and is_utf8(start[: start.rfind(b"\n") + 1])
    return " It is text: say format='csv'." if is_text else ""


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    cells = zip(*rows, strict=True) if rows else [() for _ in names]
    columns = {
        name: _column([None if cell in _EMPTY else cell for cell in column])
        for name, column in zip(names, cells, strict=True)
    }
    return pa.table(columns)


def _column(cells: list[Any]) -> pa.Array:
    """Cells in their own type; a column of several types is text, as it is read by people."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {dt.date, dt.datetime}:  # a time at midnight reads as a date
        cells = [dt.datetime.combine(cell, dt.time()) if type(cell) is dt.date else cell for cell in cells]
    elif len(kinds) > 1 and kinds != {int, float}:
        return pa.array([None if cell is None else _text(cell) for cell in cells], pa.string())
    try:
        found = pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return strings(cells)
    return found.cast(pa.string()) if pa.types.is_null(found.type) else found


def _text(cell: object) -> str:
    """A cell as people read it: `17.0` is `17`."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
