"""The small story of `vendor_cases` as plain tables, as a database's and as process logs."""

from __future__ import annotations

import functools
import json
import sqlite3
import tempfile
from functools import partial
from pathlib import Path
from xml.sax.saxutils import quoteattr

from cjm_analytics import loaders
from vendor_cases import BOUGHT, EPOCHS, LOGIN, SEEN, Case, bought, steps, twice

ASKED = ("device", "user", "at", "what", "order", "total", "currency", "number")
COLUMNS = {
    "anonymous_id": "device", "customer": "user", "timestamp": "at", "event": "what", "order_id": "order",
    "value": "total", "currency": "currency", "event_id": "number",
}  # fmt: skip
BERLIN = {SEEN: "30.03.2025 01:59:59", LOGIN: "30.03.2025 03:00:01", BOUGHT: "30.03.2025 03:05:00"}
"""The clock on the wall; summer time begins between the first and the second."""
OFFSET = {
    SEEN: "2025-03-30T01:59:59.000+01:00",
    LOGIN: "2025-03-30T03:00:01.000+02:00",
    BOUGHT: "2025-03-30T03:05:00.000+02:00",
}


def _row(time, number, what, user, **more):
    told = {"device": "d1", "user": user, "at": time, "what": what, "number": f"e{number}", **more}
    return {name: told.get(name) for name in ASKED}


def _rows(times):
    return twice(
        [
            _row(times[SEEN], 1, "page_view", None),
            _row(times[LOGIN], 2, "login", "u1"),
            _row(times[BOUGHT], 3, "purchase", "u1", order="1001", total=49.9, currency="EUR"),
        ]
    )


# A database


def in_database(*statements):
    """The bytes of an SQLite file, of pairs of a statement and its rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.sqlite")
        log = sqlite3.connect(path)
        for statement, rows in statements:
            log.executemany(statement, rows) if rows is not None else log.execute(statement)
        log.commit()
        log.close()
        return path.read_bytes()


def _as_table(rows):
    names = list(rows[0]) if rows else list(ASKED)
    listed = ", ".join(f'"{name}"' for name in names)
    return in_database(
        (f"create table log ({listed})", None),
        (f"insert into log values ({', '.join('?' * len(names))})", [list(row.values()) for row in rows]),
    )


@functools.wraps(loaders.sql)
def _asked(path, **options):
    place = f"sqlite:///{path}" if isinstance(path, Path) else path
    return loaders.sql("select * from log order by rowid", place, **COLUMNS, **options)


_asked_in_berlin = partial(_asked, tz="Europe/Berlin", dayfirst=True)


# Process logs: of one customer, so the login tells nothing new

OF_U1 = bought([{**one, "user_id": "u1"} for one in steps(anonymous=None)])


def _event(time, number, what, **more):
    return {"id": f"e{number}", "type": what, "time": OFFSET[time], **more}


STORY = [
    _event(SEEN, 1, "page_view", size="1"),
    _event(LOGIN, 2, "login"),
    _event(BOUGHT, 3, "purchase", order_id="1001", value=49.9, currency="EUR"),
]
FIXED = ("id", "type", "time")
OBJECTS = {"customer:u1": "customer", "order:1001": "order"}


def _attributes(event):
    return {name: value for name, value in event.items() if name not in {*FIXED, "order_id"}}


def _objects(event):
    return ["customer:u1", *(["order:1001"] if event.get("order_id") else [])]


def _as_xes(rows):
    named = {"id": "identity:id", "type": "concept:name", "time": "time:timestamp"}
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<log xes.version="1849.2016">']
    for row in rows:  # a trace each, for they are read by the trace
        lines += ["<trace>", '<string key="concept:name" value="u1"/>', "<event>"]
        for name, value in row.items():
            kind = "date" if name == "time" else "string"
            lines.append(f'<{kind} key="{named.get(name, name)}" value={quoteattr(str(value))}/>')
        lines += ["</event>", "</trace>"]
    return "\n".join([*lines, "</log>"]).encode()


def _as_ocel_1(rows):
    events = {
        f"{number}:{row['id']}": {
            "ocel:activity": row["type"],
            "ocel:timestamp": row["time"],
            "ocel:vmap": _attributes(row),
            "ocel:omap": _objects(row),
        }
        for number, row in enumerate(rows)
    }
    objects = {key: {"ocel:type": kind, "ocel:ovmap": {}} for key, kind in OBJECTS.items()}
    log = {"ocel:global-log": {}, "ocel:events": events, "ocel:objects": objects}
    return json.dumps(log, indent=1).encode()


def _as_ocel_2(rows):
    log = {
        "objects": [{"id": key, "type": kind} for key, kind in OBJECTS.items()],
        "events": [
            {
                **{name: row[name] for name in FIXED},
                "attributes": [{"name": name, "value": value} for name, value in _attributes(row).items()],
                "relationships": [{"objectId": one, "qualifier": ""} for one in _objects(row)],
            }
            for row in rows
        ],
    }
    return json.dumps(log, indent=1).encode()


def _as_ocel_xml(rows):
    lines = ["<?xml version='1.0' encoding='UTF-8'?>", "<log>", "<objects>"]
    lines += [f'<object id="{key}" type="{kind}"/>' for key, kind in OBJECTS.items()]
    lines += ["</objects>", "<events>"]
    for row in rows:
        lines.append("<event " + " ".join(f"{name}={quoteattr(row[name])}" for name in FIXED) + ">")
        told = _attributes(row).items()
        lines += [
            "<attributes>",
            *(f'<attribute name="{name}">{value}</attribute>' for name, value in told),
        ]
        lines += ["</attributes>", "<objects>"]
        lines += [f'<relationship object-id="{one}" qualifier=""/>' for one in _objects(row)]
        lines += ["</objects>", "</event>"]
    return "\n".join([*lines, "</events>", "</log>"]).encode()


def _as_ocel_sqlite(rows):
    made = [
        ("create table object (ocel_id text, ocel_type text)", None),
        ("insert into object values (?, ?)", list(OBJECTS.items())),
        ("create table event_object (ocel_event_id text, ocel_object_id text, ocel_qualifier text)", None),
        ("create table event_map_type (ocel_type text, ocel_type_map text)", None),
    ]
    for kind in dict.fromkeys(row["type"] for row in rows):
        mine = [row for row in rows if row["type"] == kind]
        names = list(dict.fromkeys(name for row in mine for name in _attributes(row)))
        listed = "".join(f', "{name}"' for name in names)
        made += [
            ("insert into event_map_type values (?, ?)", [(kind, kind)]),
            (f"create table event_{kind} (ocel_id text, ocel_time text{listed})", None),
            (
                f"insert into event_{kind} values (?, ?{', ?' * len(names)})",
                [(row["id"], row["time"], *(row.get(name) for name in names)) for row in mine],
            ),
            (
                "insert into event_object values (?, ?, '')",
                [(row["id"], one) for row in mine for one in _objects(row)],
            ),
        ]
    return in_database(*made)


LOGS = [
    *(
        Case(
            f"table of {file.rpartition('.')[2]}",
            partial(loaders.table, tz="Europe/Berlin", dayfirst=True, **COLUMNS),
            file,
            _rows(BERLIN),
            bought(steps()),
            time="at",
        )
        for file in ("log.csv", "log.tsv", "log.jsonl", "log.parquet")
    ),
    Case(
        "table of epochs",
        partial(loaders.table, **COLUMNS),
        "log.jsonl",
        _rows(EPOCHS),
        bought(steps()),
        time="at",
        other_unit=lambda seconds: seconds * 1_000,
    ),
    Case(
        "sql of epochs",
        _asked,
        "log.sqlite",
        _rows(EPOCHS),
        bought(steps()),
        time="at",
        other_unit=lambda seconds: seconds * 1_000,
        written=_as_table,
        can_be_packed=False,
    ),
    Case(
        "sql",
        _asked_in_berlin,
        "log.sqlite",
        _rows(BERLIN),
        bought(steps()),
        time="at",
        written=_as_table,
        can_be_packed=False,
    ),
    Case(
        "xes",
        partial(loaders.xes, event_id="identity:id", order_id="order_id", value="value", currency="currency"),
        "log.xes",
        twice(STORY),
        OF_U1,
        time="time",
        written=_as_xes,
    ),
    *(
        Case(
            f"ocel, {name}",
            partial(loaders.ocel, customer_object_type="customer"),
            file,
            STORY if written is _as_ocel_1 else twice(STORY),  # there events are members of an object
            OF_U1,
            time="time",
            repeated=int(written is not _as_ocel_1),
            written=written,
        )
        for name, file, written in (
            ("1.0", "log.jsonocel", _as_ocel_1),
            ("2.0", "log.json", _as_ocel_2),
            ("2.0 in XML", "log.xml", _as_ocel_xml),
            ("2.0 in SQLite", "log.sqlite", _as_ocel_sqlite),
        )
    ),
]
