"""The layouts of object-centric process logs: OCEL 1.0 and 2.0 in JSON, XML, SQLite and CSV."""

from __future__ import annotations

import ast
import codecs
import contextlib
import csv
import re
import shutil
import sqlite3
import tempfile
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cjm_analytics.loaders.files import InputFile

__all__ = ["LoggedEvent", "logged_events"]

_SQLITE: Final = b"SQLite format 3\x00"
_START: Final = 4_096
_CSV_1: Final = ("ocel:eid", "ocel:activity", "ocel:timestamp", "ocel:type:")
_CSV_2: Final = ("id", "activity", "timestamp", "ot:")
_PART: Final = re.compile(r"(?:[^\\/#{]|\\.)+")
_REFERENCE: Final = re.compile(rf"({_PART.pattern})(?:#{_PART.pattern})?(?:\{{.*?\}}(?=/|$))?(?:/|$)")
_ESCAPED: Final = re.compile(r"\\(.)")


class LoggedEvent(NamedTuple):
    """One event of a log, with the ids of its objects."""

    id: str
    type: str | None
    time: str | None
    attributes: dict[str, Any]
    objects: list[str]


def logged_events(file: InputFile, types: dict[str, str]) -> Iterator[LoggedEvent]:
    """The events of a log; `types` has the type of each of an event's objects when the event comes.

    Raises
    ------
    InputError
        The file is damaged or no OCEL.
    """
    with file.open() as stream:
        start = bytes(stream.read(_START)).lstrip(b"\xef\xbb\xbf \r\n\t")
    header = start.partition(b"\n")[0].decode("utf-8", "replace")
    try:
        if start.startswith(_SQLITE):
            yield from _of_sqlite(file, types)
        elif start.startswith(b"<"):
            yield from _of_xml(file, types)
        elif any(all(name in header for name in names) for names in (_CSV_1, _CSV_2)):
            yield from _of_csv(file, types)
        else:
            yield from _of_json(file, types)
    except (KeyError, TypeError, AttributeError) as fault:
        said = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
        raise InputError(f"{file.shown!r} is not laid out as an OCEL is: {said}.") from fault


# JSON


def _of_json(file: InputFile, types: dict[str, str]) -> Iterator[LoggedEvent]:
    try:
        log = orjson.loads(file.content().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as fault:
        raise InputError(f"{file.shown!r} is damaged, cut off or no OCEL: {fault}.") from fault
    if isinstance(log, dict) and "ocel:events" in log:
        types |= {key: str(one.get("ocel:type")) for key, one in log.get("ocel:objects", {}).items()}
        for key, one in log["ocel:events"].items():
            yield LoggedEvent(
                key,
                one.get("ocel:activity"),
                one.get("ocel:timestamp"),
                one.get("ocel:vmap") or {},
                one.get("ocel:omap") or [],
            )
        return
    if not isinstance(log, dict) or "events" not in log:
        raise InputError(f"{file.shown!r} is no OCEL: it has neither 'ocel:events' nor 'events'.")
    types |= {str(one["id"]): str(one.get("type")) for one in log.get("objects", [])}
    for one in log["events"]:
        yield LoggedEvent(
            str(one.get("id")),
            one.get("type"),
            one.get("time"),
            {each["name"]: each.get("value") for each in one.get("attributes") or []},
            [str(each["objectId"]) for each in one.get("relationships") or []],
        )


# XML


def _of_xml(file: InputFile, types: dict[str, str]) -> Iterator[LoggedEvent]:
    is_known = False
    for element in _elements(file):
        if element.tag == "objects":
            is_known = True
        elif element.tag == "object":
            types |= (_object_of_xml(element),)
        else:
            if not is_known:  # events come first: their objects are read ahead, instead of holding the events
                types |= (_object_of_xml(one) for one in _elements(file) if one.tag == "object")
                is_known = True
            yield _event_of_xml(element)


def _elements(file: InputFile) -> Iterator[ET.Element]:
    """The events and objects of a log, one at a time, and the element of all objects behind them."""
    with file.open() as stream:
        try:
            walk = ET.iterparse(stream, events=("start", "end"))  # noqa: S314 - no entity is fetched
            _, log = next(walk)
            if log.tag != "log":
                raise InputError(f"{file.shown!r} is no OCEL: its root is <{log.tag}>, not <log>.")
            path = [log]
            for moment, element in walk:
                if moment == "start":
                    path.append(element)
                    continue
                path.pop()
                within = [one.tag for one in path[1:]]
                if within in (["events"], ["objects"]) and element.tag in {"event", "object"}:
                    yield element
                    path[-1].clear()
                elif not within and element.tag == "objects":
                    yield element
        except ET.ParseError as fault:
            raise InputError(f"{file.shown!r} is damaged, cut off or no OCEL: {fault}.") from fault


def _object_of_xml(element: ET.Element) -> tuple[str, str]:
    if "id" in element.attrib:
        return element.attrib["id"], element.get("type", "")
    told = _told(element)
    return told["id"], told.get("type", "")


def _event_of_xml(element: ET.Element) -> LoggedEvent:
    if "id" in element.attrib:
        return LoggedEvent(
            element.attrib["id"],
            element.get("type"),
            element.get("time"),
            {str(one.get("name")): one.text for one in element.iter("attribute")},
            [str(one.get("object-id")) for one in element.iter("relationship") if one.get("object-id")],
        )
    told = _told(element)
    lists = {one.get("key"): one for one in element if one.tag == "list"}
    return LoggedEvent(
        told["id"],
        told.get("activity"),
        told.get("timestamp"),
        _told(lists.get("vmap", ())),
        [str(one.get("value")) for one in lists.get("omap", ())],
    )


def _told(element: Iterable[ET.Element]) -> dict[str, str]:
    """What OCEL 1.0 says inside an element, by key."""
    return {one.attrib["key"]: one.attrib["value"] for one in element if one.tag != "list"}


# SQLite


def _of_sqlite(file: InputFile, types: dict[str, str]) -> Iterator[LoggedEvent]:
    with contextlib.ExitStack() as opened:
        copy = opened.enter_context(tempfile.NamedTemporaryFile(suffix=".sqlite"))
        with file.open() as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        log = opened.enter_context(contextlib.closing(sqlite3.connect(copy.name)))
        try:
            tables = {name.lower() for (name,) in log.execute("select name from sqlite_master")}
            if {"events", "objects", "relations"} <= tables:
                yield from _of_sqlite_1(log, types)
            else:
                yield from _of_sqlite_2(log, types)
        except sqlite3.DatabaseError as fault:
            raise InputError(f"{file.shown!r} is damaged or no OCEL: {fault}.") from fault


def _of_sqlite_1(log: sqlite3.Connection, types: dict[str, str]) -> Iterator[LoggedEvent]:
    types |= _pairs(log, 'select "ocel:oid", "ocel:type" from objects')
    names = ("ocel:eid", "ocel:activity", "ocel:timestamp")
    for row, objects in _with_objects(log, "events", "ocel:eid", ("relations", "ocel:eid", "ocel:oid")):
        key, kind, time = (row.pop(name, None) for name in names)
        yield LoggedEvent(str(key), kind, time, row, objects)


def _of_sqlite_2(log: sqlite3.Connection, types: dict[str, str]) -> Iterator[LoggedEvent]:
    types |= _pairs(log, "select ocel_id, ocel_type from object")
    links = ("event_object", "ocel_event_id", "ocel_object_id")
    for kind, mapped in log.execute("select ocel_type, ocel_type_map from event_map_type").fetchall():
        for row, objects in _with_objects(log, f"event_{mapped}", "ocel_id", links):
            yield LoggedEvent(str(row.pop("ocel_id")), str(kind), row.pop("ocel_time", None), row, objects)


def _pairs(log: sqlite3.Connection, query: str) -> dict[str, str]:
    return {str(one): str(other) for one, other in log.execute(query)}


def _with_objects(
    log: sqlite3.Connection, events: str, key: str, links: tuple[str, str, str]
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The rows of a table of events, each with its objects; `links`: a table, its event and its object."""
    table, event, one = map(_quoted, links)
    # Many files come without an index, and then each event would read all links.
    log.execute(f"create index if not exists cjm_links on {table} ({event})")
    found = log.execute(
        f"select e.*, (select json_group_array({one}) from {table} where {event} = e.{_quoted(key)}) "  # noqa: S608 - quoted
        f"from {_quoted(events)} e"
    )
    names = [column[0] for column in found.description][:-1]
    for *cells, objects in found:
        row = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
        yield row, [str(one) for one in orjson.loads(objects)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# CSV


def _of_csv(file: InputFile, types: dict[str, str]) -> Iterator[LoggedEvent]:
    with file.open() as stream:
        lines = codecs.iterdecode(iter(lambda: bytes(stream.read(1 << 20)), b""), "utf-8-sig", "replace")
        rows = csv.DictReader(_by_line(lines), strict=True)
        is_first = set(_CSV_1[:3]) <= set(rows.fieldnames or ())
        key, kind, time, prefix = _CSV_1 if is_first else _CSV_2
        ids_of = _listed if is_first else _referred
        try:
            for row in rows:
                told = {name: cell for name, cell in row.items() if name and cell}
                objects = []
                for name in [name for name in told if name.startswith(prefix)]:
                    ids = ids_of(told.pop(name))
                    types |= dict.fromkeys(ids, name.removeprefix(prefix))
                    objects += ids
                if is_first or told.get(kind, "o2o").lower() != "o2o":  # else a row about objects
                    yield LoggedEvent(
                        str(told.pop(key, "")), told.pop(kind, None), told.pop(time, None), told, objects
                    )
        except csv.Error as fault:
            raise InputError(
                f"{file.shown!r} is damaged or cut off at line {rows.line_num}: {fault}."
            ) from fault


def _by_line(blocks: Iterable[str]) -> Iterator[str]:
    carried = ""
    for block in blocks:
        *lines, carried = (carried + block).split("\n")
        yield from (f"{line}\n" for line in lines)
    if carried:
        yield carried


def _listed(cell: str) -> list[str]:
    """The ids of `['a', 'b']`; of a cell without brackets the cell."""
    try:
        found = ast.literal_eval(cell) if cell.startswith("[") else [cell]
    except (ValueError, SyntaxError):
        found = [cell]
    return [str(one) for one in found]


def _referred(cell: str) -> list[str]:
    r"""The ids of `a/b#role/c{"age": 3}`, in which a backslash stands before signs that mean themselves."""
    return [_ESCAPED.sub(r"\1", found[1]) for found in _REFERENCE.finditer(cell)]
