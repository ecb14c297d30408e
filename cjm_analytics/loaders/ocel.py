"""Object-centric process logs: OCEL 1.0 in JSON, OCEL 2.0 in JSON, XML and SQLite."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import warnings
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import orjson

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.rows import ObjectRows
from cjm_analytics.loaders.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["ocel"]

_BLOCK: Final = 20_000
_SQLITE: Final = b"SQLite format 3\x00"
_KEYS: Final = {
    "order": "order_id", "orders": "order_id",
    "ticket": "ticket_id", "tickets": "ticket_id", "case": "ticket_id", "conversation": "ticket_id",
}  # fmt: skip
"""Types of objects that have a canonical column."""


class Happening(NamedTuple):
    """One event of a log, with the ids of its objects."""

    id: str
    type: str | None
    time: str | None
    attributes: dict[str, Any]
    objects: list[str]


def ocel(
    source: object,
    *,
    customer_object_type: str,
    keep: Sequence[str] | Mapping[str, type] = (),
    tz: str | None = None,
    name: str = "ocel",
    **columns: str | float | None,
) -> EventStream:
    """Read object-centric process logs: OCEL 1.0 (`.jsonocel`) and OCEL 2.0 (JSON, XML, SQLite).

    **From where.** What PM4Py, OCPM and process-mining suites export; the content of a file tells its kind.
    The JSON kinds are read into memory, XML and SQLite are streamed.

    **What becomes what.** An event belongs to several objects. Those of the type `customer_object_type` are
    the customers; the objects of type order, ticket, case and conversation become `order_id` and `ticket_id`
    where an event has just one of them; all others are listed in `properties` as `objects.<type>`. An id that
    begins with its type (`customer:ada`) is written without it. Attributes of an event that have the name of
    a canonical column (`channel`, `value`, …) are taken for it; the others are kept in `properties`.
    Attributes of objects are not read.

    **Multiplication.** An event of three customers is three events, one for each (the `event_id` gets the
    customer's id behind it): a warning tells how many there are. Events without a customer are counted as
    excluded, and told, too. `src_row` counts the events of a file from 1.

    Parameters
    ----------
    source : path, glob, folder or list of paths
        The logs.
    customer_object_type : str
        Which objects are the customers.
    keep : sequence of str, or mapping of str to type
        Attributes that become columns.
    tz : str, optional
        Zone of times that carry none.
    name : str
        The `source` column.
    **columns : str
        Other canonical columns by attribute, and what else `cjm.loaders.table` takes.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        The file is damaged or no OCEL.
    UnknownNameError
        The log has no objects of that type.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> import cjm_analytics as cjm
    >>> log = {
    ...     "objects": [{"id": "c1", "type": "customer"}, {"id": "o1", "type": "order"}],
    ...     "events": [{"id": "e1", "type": "pay", "time": "2025-03-01T10:00:00Z", "relationships": [
    ...         {"objectId": "c1", "qualifier": "payer"}, {"objectId": "o1", "qualifier": "what"}]}],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.json")
    ...     _ = path.write_text(json.dumps(log))
    ...     batch = next(cjm.loaders.ocel(path, customer_object_type="customer").batches())
    >>> batch.events.select(["user_id", "event", "order_id"]).to_pylist()
    [{'user_id': 'c1', 'event': 'pay', 'order_id': 'o1'}]
    """
    mapped: dict[str, Any] = {
        "timestamp": "ocel:time", "event": "ocel:type", "event_id": "ocel:id", "kind": "log", **columns,
    }  # fmt: skip
    origin = Origin.read_by(source, OcelReader(customer_object_type))
    return table(origin, customer="ocel:customer", keep=keep, tz=tz, name=name, **mapped)


@dataclass(frozen=True)
class OcelReader:
    """Reads one object-centric log in blocks of events, each of one customer."""

    customer: str

    def __call__(self, file: InputFile) -> Iterator[Rows]:
        """Blocks of events; at least one, perhaps empty."""
        types: dict[str, str] = {}
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        told: Counter[str] = Counter()
        skipped = 0
        for number, event in enumerate(_happenings(file, types), start=1):
            mine = list(self._rows(event, types))
            skipped += not mine
            told["without"] += not mine
            told["shared"] += len(mine) > 1
            told["made"] += len(mine) if len(mine) > 1 else 0
            rows += mine
            numbers += [number] * len(mine)
            if len(rows) >= _BLOCK:
                yield ObjectRows(file.shown, rows, np.array(numbers, np.int64), n_skipped=skipped)
                rows, numbers, skipped = [], [], 0
        if self.customer not in types.values() and types:
            raise UnknownNameError(
                f"object type in {file.shown} for customer_object_type=",
                self.customer,
                sorted(set(types.values())),
            )
        yield ObjectRows(file.shown, rows, np.array(numbers, np.int64), n_skipped=skipped)
        self._warn(file, told)  # behind the last block: who only glances at the first is not warned

    def _rows(self, event: Happening, types: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The event once for each of its customers."""
        by_type: dict[str, list[str]] = defaultdict(list)
        for one in dict.fromkeys(event.objects):
            kind = types.get(one, "(unknown)")
            by_type[kind].append(one.removeprefix(f"{kind}:"))
        customers = by_type.pop(self.customer, [])
        shared: dict[str, Any] = dict(event.attributes)
        left = {}
        for kind, ids in by_type.items():
            key = _KEYS.get(kind.lower())
            if key and len(ids) == 1 and key not in shared:
                shared[key] = ids[0]
            else:
                left[kind] = ids
        shared |= {"ocel:type": event.type, "ocel:time": event.time}
        shared |= {"objects": left} if left else {}
        for one in customers:
            own = event.id if len(customers) == 1 else f"{event.id}:{one}"
            yield {**shared, "ocel:customer": one, "ocel:id": own}

    def _warn(self, file: InputFile, told: Counter[str]) -> None:
        if told["shared"]:
            warnings.warn(
                f"{file.shown}: {told['shared']:,} events have several objects of type {self.customer!r}; "
                f"each stands once per object, {told['made']:,} times in all.",
                stacklevel=2,
            )
        if told["without"]:
            warnings.warn(
                f"{file.shown}: {told['without']:,} events have no object of type {self.customer!r} and are "
                "left out.",
                stacklevel=2,
            )


def _happenings(file: InputFile, types: dict[str, str]) -> Iterator[Happening]:
    """The events of a log; `types` is filled with the type of each object before the first comes."""
    with file.open() as stream:
        start = bytes(stream.read(64)).lstrip(b"\xef\xbb\xbf \r\n\t")
    if start.startswith(_SQLITE):
        yield from _of_sqlite(file, types)
    elif start.startswith(b"<"):
        yield from _of_xml(file, types)
    else:
        yield from _of_json(file, types)


def _of_json(file: InputFile, types: dict[str, str]) -> Iterator[Happening]:
    try:
        log = orjson.loads(file.content().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as fault:
        raise InputError(f"{file.shown!r} is damaged, cut off or no OCEL: {fault}.") from fault
    if isinstance(log, dict) and "ocel:events" in log:
        types |= {key: str(one.get("ocel:type")) for key, one in log.get("ocel:objects", {}).items()}
        for key, one in log["ocel:events"].items():
            yield Happening(
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
        yield Happening(
            str(one.get("id")),
            one.get("type"),
            one.get("time"),
            {each["name"]: each.get("value") for each in one.get("attributes") or []},
            [str(each["objectId"]) for each in one.get("relationships") or []],
        )


def _of_xml(file: InputFile, types: dict[str, str]) -> Iterator[Happening]:
    early: list[Happening] = []
    with file.open() as stream:
        try:
            walk = ET.iterparse(stream, events=("start", "end"))  # noqa: S314 - see the import
            _, log = next(walk)
            if log.tag != "log":
                raise InputError(f"{file.shown!r} is no OCEL: its root is <{log.tag}>, not <log>.")
            path: list[ET.Element] = []
            is_known = False
            for moment, element in walk:
                if moment == "start":
                    path.append(element)
                    continue
                if path:
                    path.pop()
                if element.tag == "object" and element.get("id"):
                    types[element.get("id", "")] = element.get("type", "")
                    path[-1].clear()
                elif element.tag == "event" and element.get("id"):
                    event = _event_of_xml(element)
                    path[-1].clear()
                    if is_known:
                        yield event
                    else:
                        early.append(event)
                elif element.tag == "objects" and len(path) == 0:
                    is_known = True
                    yield from early
                    early = []
        except ET.ParseError as fault:
            raise InputError(f"{file.shown!r} is damaged, cut off or no OCEL: {fault}.") from fault
    yield from early


def _event_of_xml(element: ET.Element) -> Happening:
    return Happening(
        element.get("id", ""),
        element.get("type"),
        element.get("time"),
        {str(one.get("name")): one.text for one in element.iter("attribute")},
        [str(one.get("object-id")) for one in element.iter("relationship") if one.get("object-id")],
    )


def _of_sqlite(file: InputFile, types: dict[str, str]) -> Iterator[Happening]:
    with contextlib.ExitStack() as opened:
        copy = opened.enter_context(tempfile.NamedTemporaryFile(suffix=".sqlite"))
        with file.open() as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        log = opened.enter_context(contextlib.closing(sqlite3.connect(f"file:{copy.name}?mode=ro", uri=True)))
        try:
            types |= {
                str(one): str(kind) for one, kind in log.execute("select ocel_id, ocel_type from object")
            }
            tables = log.execute("select ocel_type, ocel_type_map from event_map_type").fetchall()
            for kind, mapped in tables:
                yield from _events_of_table(log, str(kind), f"event_{mapped}")
        except sqlite3.DatabaseError as fault:
            raise InputError(f"{file.shown!r} is damaged or no OCEL: {fault}.") from fault


def _events_of_table(log: sqlite3.Connection, kind: str, name: str) -> Iterator[Happening]:
    """The events of one type, with their objects."""
    quoted = '"' + name.replace('"', '""') + '"'
    found = log.execute(
        f"select e.*, (select json_group_array(ocel_object_id) from event_object "  # noqa: S608 - quoted
        f"where ocel_event_id = e.ocel_id) from {quoted} e"
    )
    names = [one[0] for one in found.description][:-1]
    for *cells, objects in found:
        row = {key: cell for key, cell in zip(names, cells, strict=True) if cell is not None}
        yield Happening(
            str(row.pop("ocel_id")), kind, row.pop("ocel_time", None), row, _ids(orjson.loads(objects))
        )


def _ids(values: Iterable[object]) -> list[str]:
    return [str(one) for one in values]
