"""Journeys for process-mining tools: XES, one trace per journey, and OCEL 2.0, many objects per event.

Written partition by partition: memory holds the events of one partition, and for OCEL the ids of orders and
tickets, which may belong to several customers.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from xml.sax.saxutils import quoteattr

import numpy as np
import orjson
import pyarrow as pa

from cjm_analytics.errors import InputError
from cjm_analytics.schema import CANONICAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cjm_analytics.journeys import Journeys, Partition

__all__ = ["write_ocel", "write_xes"]

_CODED: Final = ("touchpoint", "channel", "phase", "stage", "session")
_TOLD: Final = (
    "event", "event_id", "source", "actor", "order_id", "ticket_id", "campaign_id", "value", "currency",
    "instrument", "score", "comment",
)  # fmt: skip
"""Columns of the event store that say what happened; besides, the properties that were kept."""

_OBJECTS: Final = {"order_id": "order", "ticket_id": "ticket"}
_KINDS: Final = {str: "string", int: "integer", float: "float", bool: "boolean"}
_FORBIDDEN: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF], "\ufffd")
"""Signs that no XML may hold."""


@dataclass(frozen=True)
class Journey:
    """One journey with its events in order, as plain values."""

    customer: str
    number: int
    converted: bool
    events: list[dict[str, Any]]

    @property
    def id(self) -> str:
        return f"{self.customer}/{self.number}"


def write_xes(journeys: Journeys, path: str | Path) -> None:
    """Write one trace per journey; the ending `.gz` packs it."""
    target = Path(path)
    if not target.name.lower().endswith((".xes", ".xes.gz")):
        raise InputError(f"{str(path)!r} must end in .xes or .xes.gz.")
    with _replacing(target) as new, _text_file(new, packed=target.suffix == ".gz") as out:
        out.write('<?xml version="1.0" encoding="UTF-8"?>\n<log xes.version="1849.2016" xes.features="">\n')
        for name, prefix in (("Concept", "concept"), ("Time", "time"), ("Lifecycle", "lifecycle")):
            out.write(
                f'<extension name="{name}" prefix="{prefix}" '
                f'uri="http://www.xes-standard.org/{prefix}.xesext"/>\n'
            )
        out.write('<classifier name="Touchpoint" keys="concept:name"/>\n')
        for journey in _journeys(journeys):
            out.write("<trace>\n")
            out.write(_xml("concept:name", journey.id) + _xml("customer_id", journey.customer))
            out.write(_xml("journey", journey.number) + _xml("converted", journey.converted))
            for event in journey.events:
                named = {"concept:name": event["touchpoint"], "time:timestamp": event["timestamp"]}
                named |= {"lifecycle:transition": "complete"}
                named |= {
                    key: value for key, value in event.items() if key not in {"touchpoint", "timestamp"}
                }
                out.write(
                    "<event>" + "".join(_xml(key, value) for key, value in named.items()) + "</event>\n"
                )
            out.write("</trace>\n")
        out.write("</log>\n")


def write_ocel(journeys: Journeys, path: str | Path) -> None:
    """Write customers, journeys, orders and tickets as objects; `.sqlite` gives SQLite, `.json` JSON."""
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in {".json", ".jsonocel", ".sqlite"}:
        raise InputError(f"{str(path)!r} must end in .json, .jsonocel or .sqlite.")
    with _replacing(target) as new:
        (_write_sqlite if ending == ".sqlite" else _write_json)(journeys, new)


def _journeys(journeys: Journeys) -> Iterator[Journey]:
    for partition in journeys.partitions:
        if partition.n_events:
            yield from _of_partition(partition)


def _of_partition(partition: Partition) -> Iterator[Journey]:
    table = partition.table([*_CODED, *_told(partition)])
    columns = {name: _cells(table.column(name)) for name in table.column_names}
    columns["timestamp"] = partition.event("time").astype("datetime64[us]").tolist()
    customers = partition.customer_ids.to_pylist()
    converted = partition.goal_times(None) != np.iinfo(np.int64).max
    offsets = partition.offsets.tolist()
    for place, (customer, number) in enumerate(
        zip(partition.journey("customer").tolist(), partition.journey("cycle").tolist(), strict=True)
    ):
        events = [
            {name: cells[row] for name, cells in columns.items() if cells[row] is not None}
            for row in range(offsets[place], offsets[place + 1])
        ]
        yield Journey(str(customers[customer]), int(number), bool(converted[place]), events)


def _told(partition: Partition) -> list[str]:
    """What the sources told of the events, as far as the store has it."""
    names = partition.rows.names
    own = {*CANONICAL.names, *_CODED, "journey"}
    return [*(name for name in _TOLD if name in names), *(name for name in names if name not in own)]


def _cells(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column; those of a dictionary are made once each."""
    if not pa.types.is_dictionary(column.type):
        return [_plain(value) for value in column.to_pylist()]
    cells: list[Any] = []
    for chunk in column.chunks:
        names = [_plain(value) for value in chunk.dictionary.to_pylist()]
        cells += [None if code is None else names[code] for code in chunk.indices.to_pylist()]
    return cells


def _plain(value: object) -> object:
    """A value that has a type in every format: an instant in UTC without a zone, else text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return value if value is None or isinstance(value, str | int | float | Decimal) else str(value)


# XES


def _xml(key: str, value: object) -> str:
    """One attribute."""
    if isinstance(value, datetime):
        return f"<date key={quoteattr(key)} value={quoteattr(_instant(value))}/>"
    return _plain_xml(key, value)


@lru_cache(maxsize=2**14, typed=True)
def _plain_xml(key: str, value: object) -> str:
    """One attribute whose value may come again: names and channels do, in most of the events."""
    if isinstance(value, bool):
        tag, text = "boolean", str(value).lower()
    elif isinstance(value, int):
        tag, text = "int", str(value)
    elif isinstance(value, float | Decimal):
        if not math.isfinite(value):
            return ""
        tag, text = "float", str(value)
    else:
        tag, text = "string", str(value).translate(_FORBIDDEN)
    escaped = quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
    return f"<{tag} key={quoteattr(key)} value={escaped}/>"


def _instant(time: datetime) -> str:
    return time.isoformat(timespec="microseconds") + "+00:00"


# OCEL


@dataclass(frozen=True)
class Fact:
    """One event for OCEL: its id, its attributes, and the objects that it belongs to."""

    id: str
    type: str
    time: datetime
    attributes: dict[str, Any]
    objects: dict[str, str]


def _facts(journey: Journey) -> Iterator[Fact]:
    shared = {f"customer:{journey.customer}": "customer", f"journey:{journey.id}": "journey"}
    for place, event in enumerate(journey.events):
        keys = {f"{kind}:{event[name]}": kind for name, kind in _OBJECTS.items() if name in event}
        told = {
            name: _instant(value) if isinstance(value, datetime)
            else float(value) if isinstance(value, Decimal) else value
            for name, value in event.items()
            if name not in {"touchpoint", "timestamp", *_OBJECTS}
        }  # fmt: skip
        yield Fact(f"{journey.id}/{place}", event["touchpoint"], event["timestamp"], told, {**shared, **keys})


def _types(value: object) -> str:
    return _KINDS.get(type(value), "string")


def _write_json(journeys: Journeys, path: Path) -> None:
    declared: dict[str, dict[str, str]] = {}
    others: dict[str, str] = {}
    with path.open("wb") as out:
        out.write(b'{"events":[')
        mark = b"\n"
        for journey in _journeys(journeys):
            for fact in _facts(journey):
                declared.setdefault(fact.type, {}).update(
                    (name, _types(value)) for name, value in fact.attributes.items()
                )
                others |= {key: kind for key, kind in fact.objects.items() if kind in _OBJECTS.values()}
                out.write(mark + orjson.dumps(_as_json(fact)))
                mark = b",\n"
        out.write(b'],\n"objects":[')
        mark = b"\n"
        for one in _objects(journeys, others):
            out.write(mark + orjson.dumps(one))
            mark = b",\n"
        kinds = ["customer", "journey", *_OBJECTS.values()]
        head = {
            "objectTypes": [
                {"name": kind, "attributes": _journey_attributes() if kind == "journey" else []}
                for kind in kinds
            ],
            "eventTypes": [
                {"name": kind, "attributes": [{"name": name, "type": told} for name, told in names.items()]}
                for kind, names in declared.items()
            ],
        }
        out.write(b"],\n" + orjson.dumps(head)[1:])


def _journey_attributes() -> list[dict[str, str]]:
    return [{"name": "converted", "type": "boolean"}]


def _as_json(fact: Fact) -> dict[str, Any]:
    return {
        "id": fact.id,
        "type": fact.type,
        "time": _instant(fact.time),
        "attributes": [{"name": name, "value": value} for name, value in fact.attributes.items()],
        "relationships": [{"objectId": key, "qualifier": kind} for key, kind in fact.objects.items()],
    }


def _objects(journeys: Journeys, others: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Customers and their journeys, then orders and tickets."""
    before = None
    for journey in _journeys(journeys):
        customer = f"customer:{journey.customer}"
        if customer != before:
            before = customer
            yield {"id": customer, "type": "customer", "attributes": [], "relationships": []}
        start = _instant(journey.events[0]["timestamp"])
        yield {
            "id": f"journey:{journey.id}",
            "type": "journey",
            "attributes": [{"name": "converted", "time": start, "value": journey.converted}],
            "relationships": [{"objectId": customer, "qualifier": "customer"}],
        }
    for key, kind in others.items():
        yield {"id": key, "type": kind, "attributes": [], "relationships": []}


_SQL_TYPES: Final = {"string": "TEXT", "integer": "INTEGER", "float": "REAL", "boolean": "INTEGER"}


def _write_sqlite(journeys: Journeys, path: Path) -> None:
    kinds = {name: f"touchpoint_{place}" for place, name in enumerate(journeys.codebook.touchpoints)}
    told_of = dict.fromkeys(name for partition in journeys.partitions for name in _told(partition))
    left = dict.fromkeys([*_CODED, *_TOLD, *told_of])
    columns = [name for name in left if name not in {"touchpoint", *_OBJECTS}]
    numbers = {"session": "INTEGER", "value": "REAL", "score": "REAL"}
    with contextlib.closing(sqlite3.connect(path)) as log:
        for table, fields in {
            "event": "ocel_id TEXT PRIMARY KEY, ocel_type TEXT",
            "object": "ocel_id TEXT PRIMARY KEY, ocel_type TEXT",
            "event_map_type": "ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT",
            "object_map_type": "ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT",
            "event_object": "ocel_event_id TEXT, ocel_object_id TEXT, ocel_qualifier TEXT",
            "object_object": "ocel_source_id TEXT, ocel_target_id TEXT, ocel_qualifier TEXT",
        }.items():
            log.execute(f"create table {table} ({fields})")
        fields_of = zip(_sql_names(columns), columns, strict=True)
        said = {*_CODED, *_TOLD}
        told = ", ".join(
            f"{field} {numbers.get(name, 'TEXT' if name in said else '')}" for field, name in fields_of
        )
        for name, mapped in kinds.items():
            log.execute("insert into event_map_type values (?, ?)", (name, mapped))
            log.execute(f"create table event_{mapped} (ocel_id TEXT PRIMARY KEY, ocel_time TEXT, {told})")
        for kind in ("customer", "journey", *_OBJECTS.values()):
            log.execute("insert into object_map_type values (?, ?)", (kind, kind))
            own = ", converted INTEGER" if kind == "journey" else ""
            log.execute(
                f"create table object_{kind} (ocel_id TEXT, ocel_time TEXT, ocel_changed_field TEXT{own})"
            )
        others: dict[str, str] = {}
        marks = ", ".join("?" * (len(columns) + 2))
        for journey in _journeys(journeys):
            for fact in _facts(journey):
                log.execute("insert into event values (?, ?)", (fact.id, fact.type))
                cells = [fact.attributes.get(name) for name in columns]
                log.execute(
                    f"insert into event_{kinds[fact.type]} values ({marks})",  # noqa: S608 - our own name
                    (fact.id, _instant(fact.time), *cells),
                )
                log.executemany(
                    "insert into event_object values (?, ?, ?)",
                    [(fact.id, key, kind) for key, kind in fact.objects.items()],
                )
                others |= {key: kind for key, kind in fact.objects.items() if kind in _OBJECTS.values()}
        for one in _objects(journeys, others):
            _insert_object(log, one)
        log.execute("create index of_event on event_object (ocel_event_id)")
        log.commit()


def _sql_names(names: Sequence[str]) -> list[str]:
    """Names as SQLite wants them: in quotes, and different also if small and large letters are the same."""
    taken, found = {"ocel_id", "ocel_time"}, []
    for name in names:
        own, number = name, 1
        while own.lower() in taken:
            number += 1
            own = f"{name} {number}"
        taken.add(own.lower())
        quoted = own.replace('"', '""')
        found.append(f'"{quoted}"')
    return found


def _insert_object(log: sqlite3.Connection, one: dict[str, Any]) -> None:
    log.execute("insert into object values (?, ?)", (one["id"], one["type"]))
    own = [each["value"] for each in one["attributes"]]
    since = next((each["time"] for each in one["attributes"]), "1970-01-01T00:00:00+00:00")
    marks = ", ".join("?" * (3 + len(own)))
    log.execute(
        f"insert into object_{one['type']} values ({marks})",  # noqa: S608 - our own name
        (one["id"], since, None, *own),
    )
    log.executemany(
        "insert into object_object values (?, ?, ?)",
        [(one["id"], each["objectId"], each["qualifier"]) for each in one["relationships"]],
    )


# Files


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A new file beside the target that takes its place when it is complete."""
    if not target.parent.is_dir():
        raise InputError(f"There is no folder {str(target.parent)!r}.")
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        yield new
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def _text_file(path: Path, *, packed: bool) -> Iterator[IO[str]]:
    with gzip.open(path, "wt", encoding="utf-8") if packed else path.open("w", encoding="utf-8") as out:
        yield out
