"""Rows of files of JSON lines, or of one JSON array.

Lines that are no objects become rejects with their line number; the others are kept.
"""

from __future__ import annotations

import gc
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.json_columns import JsonColumns
from cjm_analytics.loaders.line_blocks import LineBlocks, ahead, as_utf8, bodies_of
from cjm_analytics.loaders.rows import RAW_LENGTH, Broken, ColumnRows, ObjectRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from cjm_analytics.loaders.csv_files import CsvFormat
    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.line_blocks import Body
    from cjm_analytics.loaders.rows import Rows


__all__ = [
    "json_as_columns",
    "json_rows",
]

_JSON_BLOCK: Final = 1 << 20
_COLUMN_BLOCK: Final = 3 << 22
_COLUMN_TRIES: Final = 4
"""After so many blocks in a row that could not be read as columns, no further one is tried."""


def json_rows(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    """Blocks of the objects of a file."""
    yield from _json_blocks(file, written, _JSON_BLOCK, _lines_parsed)


def json_as_columns(file: InputFile, written: CsvFormat) -> Iterator[Rows]:
    """The same as columns, objects as structs, wherever nothing is lost by it."""
    yield from _json_blocks(file, written, _COLUMN_BLOCK, _columns_parsed)


def _json_blocks(
    file: InputFile,
    written: CsvFormat,
    size: int,
    parsed: Callable[[str, Iterator[Body]], Iterator[Rows]],
) -> Iterator[Rows]:
    with file.open() as stream:
        blocks = LineBlocks(as_utf8(stream, written.encoding, file.shown), size)
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
        for rows in parsed(file.shown, bodies_of(blocks)):
            any_rows = True
            yield rows
        if not any_rows:
            yield ObjectRows(file.shown, [], np.zeros(0, np.int64))


def _lines_parsed(file: str, bodies: Iterator[Body]) -> Iterator[Rows]:
    for body in bodies:
        yield _parsed_lines(file, body)


def _columns_parsed(file: str, bodies: Iterator[Body]) -> Iterator[Rows]:
    columns = JsonColumns()
    failed = 0

    def parse(body: Body) -> pa.Table | None:
        """None also where the file has shown to be of another mind."""
        return columns.read(body.lines) if failed < _COLUMN_TRIES else None

    for body, table in ahead(parse, bodies):
        failed = failed + 1 if table is None else 0
        if table is None:
            yield _parsed_lines(file, body)
        else:
            numbers = np.arange(body.first, body.first + table.num_rows, dtype=np.int64)
            yield ColumnRows(file, table, numbers, is_sparse=True, text=body.lines)


def _parsed_lines(file: str, body: Body) -> ObjectRows:
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
            raw = line.decode("utf-8", "replace").strip()
            broken.append(Broken(int(numbers[at]), fault, raw[:RAW_LENGTH]))
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
                reason = f"no JSON object but {type(one).__name__}"
                broken.append(Broken(first, reason, str(one)[:RAW_LENGTH]))
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
