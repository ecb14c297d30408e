"""Files that hold more than rows: answers of an API, and envelopes of copying tools, which wrap them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import orjson

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.opened import as_object, objects_of
from cjm_analytics.loaders.reading import read_rows
from cjm_analytics.loaders.rows import Broken, ObjectRows, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.csv_files import CsvFormat
    from cjm_analytics.loaders.files import InputFile

__all__ = ["pieces"]

_RAW: Final = "_airbyte_data"
_MESSAGES: Final = {"SCHEMA", "STATE", "ACTIVATE_VERSION", "CATALOG", "LOG", "TRACE", "CONTROL", "SPEC"}
"""What copying tools tell each other between the rows."""


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
        is_plain = first is not None and not _is_answer(first, vendor) and not _is_envelope(first, vendor)
        columns = is_plain and not glance and vendor.takes_columns(file, list(first or ()))
        blocks = read_rows(file, written, columns=columns, glance=glance)
    counted: dict[str, int] = defaultdict(int)
    for rows in blocks:
        if not isinstance(rows, ObjectRows) or not any(_is_answer(one, vendor) for one in rows.objects[:1]):
            yield from _opened(None, rows, vendor)
            continue
        for one in rows.objects:
            for name, members in one.items():
                if isinstance(members, list) and members and _is_member(name, members, vendor):
                    yield from _opened(name, _member_rows(file.shown, members, counted[name]), vendor)
                    counted[name] += len(members)
        yield from ((None, replace(rows, objects=[], numbers=rows.numbers[:0])) for _ in rows.broken[:1])


def _is_answer(one: Mapping[str, Any], vendor: Named) -> bool:
    """Whether an object is an answer of an API, which wraps the rows, rather than a row."""
    if vendor.part_fitting(list(one)) is not None:
        return False
    return any(isinstance(value, list) and _is_member(name, value, vendor) for name, value in one.items())


def _is_envelope(one: Mapping[str, Any], vendor: Named) -> bool:
    """Whether an object is what a copying tool or an export puts around a row, or tells beside the rows."""
    if vendor.part_fitting(list(one)) is not None:
        return False
    record = _record(one)
    if record is None:
        return one.get("type") in _MESSAGES
    kind, _ = record
    return kind is None or len(one) > 1 or vendor.part_named(kind) is not None


def _record(one: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]] | None:
    """What an envelope says of the kind of its row, and the row; None if it is no envelope.

    Singer writes `{"type": "RECORD", "stream": …, "record": {…}}`, Airbyte `{"stream": …, "data": {…}}`, also
    inside a `record`, or tables with a column `_airbyte_data`; some exports call each row what it is:
    `{"ticket": {…}}`.
    """
    inside = as_object(one.get(_RAW))
    if isinstance(inside, dict):
        return None, inside
    record = one.get("record")
    if one.get("type") == "RECORD" and isinstance(record, dict):
        found = _record(record) if "stream" not in one else (str(one["stream"]), record)
        return found or (None, record)
    data = one.get("data")
    if isinstance(one.get("stream"), str) and isinstance(data, dict):
        return one["stream"], data
    if len(one) == 1:
        ((name, value),) = one.items()
        if isinstance(value, dict):
            return name, value
    return None


def _opened(name: str | None, rows: Rows, vendor: Named) -> Iterator[tuple[str | None, Rows]]:
    """A block under its name; of envelopes the rows in them, kind by kind, those that are known first."""
    first = rows.objects[:1] if isinstance(rows, ObjectRows) else []
    if not rows.has(_RAW) and not any(_is_envelope(one, vendor) for one in first):
        yield name, rows
        return
    found: dict[str | None, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    broken = list(rows.broken)
    for place, one in enumerate(objects_of(rows)):
        if one.get("type") in _MESSAGES:
            continue
        record = _record(one)
        if record is None:
            broken.append(Broken(int(rows.numbers[place]), "no record in it", rows.raw(place)))
        else:
            found[record[0]].append((place, record[1]))
    kinds = sorted(found, key=lambda kind: kind is None or vendor.part_named(kind) is None)
    for kind in kinds or [None]:
        places = np.array([place for place, _ in found[kind]], np.int64)
        records = [record for _, record in found[kind]]
        yield kind or name, ObjectRows(rows.file, records, rows.numbers[places], None, broken)
        broken = []


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
