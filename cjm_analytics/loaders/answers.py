"""Files that hold more than rows: the answers of an API, which wrap them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.rows import Broken, CsvFormat, ObjectRows, Rows, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.files import InputFile

__all__ = ["pieces"]


class Named(Protocol):
    """Who knows the parts of an export by name and by columns."""

    def part_named(self, word: str) -> str | None: ...
    def part_fitting(self, names: Collection[str]) -> str | None: ...
    def takes_columns(self, file: InputFile, names: Collection[str]) -> bool: ...
    @property
    def wrappers(self) -> tuple[str, ...]: ...
    @property
    def reader(self) -> Callable[[InputFile], Iterator[Rows]] | None: ...


def pieces(
    file: InputFile, written: CsvFormat, vendor: Named, *, glance: bool = False
) -> Iterator[tuple[str | None, Rows]]:
    """(member of an answer, rows) of a file; None for the rows of the file itself.

    Who only glances at them gets small blocks.
    """
    if vendor.reader is not None:
        yield from ((None, rows) for rows in vendor.reader(file))
        return
    document, first = _looked_at(file) if file.format == "json" else (None, None)
    if document is not None:
        blocks: Iterable[Rows] = [ObjectRows(file.shown, [document], np.array([1], np.int64))]
    else:
        is_plain = first is not None and not _is_answer(first, vendor)
        columns = is_plain and not glance and vendor.takes_columns(file, list(first or ()))
        blocks = read_rows(file, written, columns=columns)
    counted: dict[str, int] = defaultdict(int)
    for rows in blocks:
        if not isinstance(rows, ObjectRows) or not any(_is_answer(one, vendor) for one in rows.objects[:1]):
            yield None, rows
            continue
        for one in rows.objects:
            for name, members in one.items():
                if isinstance(members, list) and members and _is_member(name, members, vendor):
                    yield name, _member_rows(file.shown, members, counted[name])
                    counted[name] += len(members)
        yield from ((None, replace(rows, objects=[], numbers=rows.numbers[:0])) for _ in rows.broken[:1])


def _is_answer(one: Mapping[str, Any], vendor: Named) -> bool:
    """Whether an object is an answer of an API, which wraps the rows, rather than a row."""
    if vendor.part_fitting(list(one)) is not None:
        return False
    return any(isinstance(value, list) and _is_member(name, value, vendor) for name, value in one.items())


def _is_member(name: str, members: Sequence[object], vendor: Named) -> bool:
    if not all(isinstance(one, dict) for one in members[:1]):
        return False
    known = vendor.part_named(name) is not None or name in vendor.wrappers
    return known or any(isinstance(one, dict) and vendor.part_fitting(list(one)) for one in members[:1])


def _member_rows(file: str, members: Sequence[object], before: int) -> ObjectRows:
    """The rows in a member of an answer, numbered from 1 through all answers of the file."""
    placed = list(enumerate(members, start=before + 1))
    good = [(place, one) for place, one in placed if isinstance(one, dict)]
    broken = [
        Broken(place, "no JSON object", str(one)[:1_000])
        for place, one in placed
        if not isinstance(one, dict)
    ]
    numbers = np.array([place for place, _ in good], np.int64)
    return ObjectRows(file, [one for _, one in good], numbers, None, broken)


def _looked_at(file: InputFile) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The one object of a JSON file that is written over several lines; else that of its first line."""
    with file.open() as stream:
        start = bytes(stream.read(1 << 20)).lstrip(b"\xef\xbb\xbf \r\n\t")
        line, _, rest = start.partition(b"\n")
        first = _object(line)
        if not line.startswith(b"{") or first is not None or _object(rest.partition(b"\n")[0]) is not None:
            return None, first
        while block := stream.read(1 << 22):
            start += block
    try:
        found = orjson.loads(start)
    except orjson.JSONDecodeError as fault:
        if line.strip() == b"{":
            raise InputError(f"{file.shown!r} is damaged or cut off: {fault}.") from fault
        return None, None
    return (found, None) if isinstance(found, dict) else (None, None)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
