"""The objects of a CRM are states: what happened follows from their histories, one change after another."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.mapping import each, first, key_text
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import one_text, strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cjm_analytics.loaders.vendor import Part

__all__ = [
    "Change",
    "as_of",
    "changes",
    "closings",
    "day",
    "happened",
    "history",
    "in_order",
    "instants",
    "snake",
    "staged",
    "versions",
]

_DATED = re.compile(r"\d{4}-\d\d-\d\d")
_SHORT_HOUR = re.compile(r" (\d:)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Change:
    """One object took another value.

    Attributes
    ----------
    place : int
        The row that says so.
    row : dict
    before, after : str or None
    """

    place: int
    row: dict[str, Any]
    before: str | None
    after: str | None


def changes(
    rows: Sequence[dict[str, Any]],
    of: str,
    *,
    time: str,
    value: str,
    before: str | None = None,
) -> Iterator[Change]:
    """The changes among rows whose times are known and written in one way, object by object.

    A row that repeats the value before it is no change. The first row of an object is one, from what the
    column `before` says, else from nothing.

    Examples
    --------
    >>> rows = [{"deal": 1, "at": "2026-01-03", "stage": "won"},
    ...         {"deal": 1, "at": "2026-01-01", "stage": "new"},
    ...         {"deal": 1, "at": "2026-01-02", "stage": "new"}]
    >>> [(one.place, one.before, one.after) for one in changes(rows, "deal", time="at", value="stage")]
    [(1, None, 'new'), (0, 'new', 'won')]
    """
    in_turn = sorted(range(len(rows)), key=lambda place: in_order(rows[place].get(time)))
    return _compared(rows, in_turn, of=of, value=value, before=before)


def history(
    rows: Sequence[dict[str, Any]],
    of: str,
    *,
    time: str,
    value: str,
    before: str | None = None,
    field: tuple[str, str] | None = None,
) -> tuple[list[Change], list[tuple[int, dict[str, Any]]]]:
    """The changes of a history, as of `changes`; and its rows whose time cannot be read, as rejects.

    A change of which nobody knows when it was stands in no order with the others. `field` (column, name in
    small letters) says which rows tell of the field in question; default all.

    Examples
    --------
    >>> rows = [{"deal": 1, "at": "2026-01-03T09:00:00.5Z", "stage": "won"}, {"deal": 1, "at": "soon"},
    ...         {"deal": 1, "at": "2026-01-03T10:00:00+01:00", "stage": "new"}]
    >>> found, wrong = history(rows, "deal", time="at", value="stage")
    >>> [(one.place, one.before, one.after) for one in found]
    [(2, None, 'new'), (0, 'new', 'won')]
    >>> wrong
    [(1, {'_wrong': "the time of a change is none: 'soon'"})]
    """
    told = [
        place
        for place, row in enumerate(rows)
        if row and (field is None or str(row.get(field[0])).lower() == field[1])
    ]
    read = list(zip(instants(rows[place].get(time) for place in told), told, strict=True))
    in_turn = [place for _, place in sorted(one for one in read if one[0] is not None)]
    said = "the time of a change is none: {!r}"
    wrong = [(place, {"_wrong": said.format(rows[place].get(time))}) for at, place in read if at is None]
    return list(_compared(rows, in_turn, of=of, value=value, before=before)), wrong


def _compared(
    rows: Sequence[dict[str, Any]], in_turn: Iterable[int], *, of: str, value: str, before: str | None
) -> Iterator[Change]:
    """Each row of an object that says something else than the one before it."""
    of_object: dict[str, list[int]] = defaultdict(list)
    for place in in_turn:
        key = key_text(rows[place].get(of))
        if key is not None:
            of_object[key].append(place)
    for places in of_object.values():
        last: str | None = None
        for place in places:
            row = rows[place]
            after = one_text(row.get(value))
            told = one_text(row.get(before)) if before else None
            if last is None or (told is not None and after != last):
                last = told
            if after != last:
                yield Change(place, row, last, after)
            last = after


def day(cell: object, clock: str = "") -> str | None:
    """A date as a day with a clock behind it; midnight is how warehouse copies write a date."""
    text = one_text(cell)
    if text is None:
        return None
    date, _, time = text[:19].replace("T", " ").partition(" ")
    return date + clock if time.strip("0:") == "" else text


def in_order(time: object) -> str:
    """A time as a text that sorts as the time does, for times written in one way."""
    text = str(time).replace("T", " ")
    return text if text[13:14] == ":" else _SHORT_HOUR.sub(r" 0\1", text)


def instants(times: Iterable[object]) -> list[int | None]:
    """Times as microseconds; None for those that cannot be read.

    Examples
    --------
    >>> instants(["1970-01-01T00:00:01Z", "soon", None])
    [1000000, None, None]
    """
    values = strings(list(times))
    read = Clock(tz="UTC").read(values, np.arange(len(values)), column="time", file="the export")
    return pc.cast(read.values, pa.int64()).to_pylist()  # type: ignore[no-any-return]


def versions(
    keys: Sequence[str | None], begun: Sequence[object], changed: Sequence[object]
) -> tuple[dict[str, list[int]], list[int]]:
    """The copies of each object, the last changed one last; and those that cannot be used.

    A copy whose beginning cannot be read is no copy: it takes nobody's place. One of which it cannot be read
    when it was changed comes first.

    Examples
    --------
    >>> days = ["2026-03-01", "2026-03-01", "soon"]
    >>> versions(["a", "a", "a"], days, ["2026-03-05", "2026-03-02", "2026-03-09"])
    ({'a': [1, 0]}, [2])
    """
    found: dict[str, list[int]] = defaultdict(list)
    at = instants(begun)
    wrong = [place for place, time in enumerate(at) if time is None and one_text(begun[place]) is not None]
    unusable = set(wrong)
    for place, key in enumerate(keys):
        if key is not None and place not in unusable:
            found[key].append(place)
    last = instants(changed)
    for places in found.values():
        places.sort(key=lambda place: last[place] or 0)
    return dict(found), wrong


def happened(event: str, row: dict[str, Any], *, of: object, at: object = None) -> dict[str, Any]:
    """A row as the event that it tells of, with an id by which other rows that tell of it are recognised."""
    told = (event, of) if at is None else (event, of, in_order(at)[:19])
    return row | {"_event": event, "_id": ":".join(map(str, told))}


def staged(
    found: Iterable[Change], of: str, *, time: str, event: str, end: Callable[[str | None, Any], str | None]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Changes of a deal's stage as events, and its end where a stage is one.

    `end` says of a stage and a row `won`, `lost` or None. The first stage that is known of a deal is no
    change. `_stage` and `_before` say which stages they are, `_seq` what comes first in the same instant:
    the end, which the last change of stage brings about, is the last.
    """
    for place, one in enumerate(found):
        row = one.row | {"_stage": one.after, "_before": one.before, "_seq": 2 * place + 1}
        if one.before is not None:
            yield one.place, happened("stage_changed", row, of=f"{row[of]}:{one.after}", at=row.get(time))
        ending = end(one.after, row)
        if ending and not end(one.before, row):
            last = row | {"_seq": 2 * place + 2}
            yield one.place, happened(f"{event}_{ending}", last, of=row[of], at=row.get(time))


def closings(
    found: Iterable[Change],
    of: str,
    *,
    time: str,
    names: tuple[str, str],
    is_closed: Callable[[str, Any], bool],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Changes of a status that close an object or open it again, as events of two names."""
    for one in found:
        was, now = (status is not None and is_closed(status, one.row) for status in (one.before, one.after))
        if was != now:
            event = names[0] if now else names[1]
            yield one.place, happened(event, one.row, of=one.row[of], at=one.row.get(time))


def snake(written: str) -> str:
    """A name with humps in lower case: `CreatedDate` is `created_date`."""
    return _HUMP.sub("_", written).lower()


def as_of(part: Part, *modified: str) -> Part:
    """The part with events that tell as of when they are: of several exports the latest state counts.

    `modified` are the columns that say when an object was changed, the first that is there. An event that
    lies after that, as an appointment does, does not say it: it was not received before it happened.
    """

    def known(changed: str | None, at: object) -> str | None:
        is_known = changed is not None and _DATED.match(changed) and changed[:10] >= str(at)[:10]
        return changed if is_known else None

    changed = first(*modified)
    events = (
        replace(one, columns={**one.columns, "received_at": each(known, changed, one.columns["timestamp"])})
        for one in part.events
    )
    return replace(part, events=tuple(events))
