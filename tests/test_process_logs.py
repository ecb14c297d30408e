"""Process logs in and out: XES and OCEL read as said, and what is written comes back, here and in PM4Py."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import warnings
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cjm_analytics as cjm
from cjm_analytics import loaders
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.files import find_files
from cjm_analytics.loaders.source import whole

XES = """<?xml version="1.0"?>
<!-- a comment --><log xmlns="http://www.xes-standard.org/">
<global scope="event"><string key="concept:name" value="UNKNOWN"/>
 <string key="org:group" value="desk"/></global>
<global scope="trace"><string key="region" value="north"/></global>
<trace><string key="concept:name" value="case 1"/><int key="amount" value="70"/>
 <event><string key="concept:name" value="check"/><string key="lifecycle:transition" value="START"/>
  <date key="time:timestamp" value="2025-03-30T01:00:00.000+01:00"/></event>
 <event><string key="concept:name" value="check"/><string key="lifecycle:transition" value="complete"/>
  <date key="time:timestamp" value="2025-03-30T03:30:00.000+02:00"/>
  <string key="doc" value="form"><int key="pages" value="3"/></string>
  <list key="tags"><values><string key="t" value="a"/><string key="t" value="b"/></values></list></event>
 <event><string key="concept:name" value="pay"/><string key="org:group" value="bank"/>
  <date key="time:timestamp" value="2025-03-31T10:00:00Z"/><boolean key="late" value="true"/></event>
</trace>
<trace><string key="concept:name" value="case 2"/><string key="region" value="south"/>
 <event><string key="concept:name" value="check"/></event>
 <event><date key="time:timestamp" value="2025-03-31T10:00:00Z"/></event></trace>
</log>"""


def read(source):
    batch = whole(source.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.xes"
    path.write_text(XES)
    return path


def test_xes_rows_times_lifecycle_defaults_and_attributes(log):
    batch = read(loaders.xes(log, channel="org:group", keep=["duration", "case:amount"]))
    assert batch.n_read == 5
    assert batch.n_excluded == 1
    rows = batch.events.select(
        ["user_id", "event", "channel", "duration", "case:amount", "src_row"]
    ).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("case 1", "check", "desk", 5400.0, 70, 2),
        ("case 1", "pay", "bank", None, 70, 3),
        ("case 2", "UNKNOWN", "desk", None, None, 5),
    ]
    assert str(batch.events["timestamp"][0].as_py()) == "2025-03-30 01:30:00+00:00"
    assert batch.rejects.select(["src_row", "reason"]).to_pylist() == [
        {"src_row": 4, "reason": "no time: time:timestamp is empty"}
    ]
    told = json.loads(batch.events["properties"][0].as_py())
    assert told["doc"] == "form"
    assert told["doc.pages"] == 3
    assert told["tags"] == ["a", "b"]
    assert told["case:region"] == "north"
    assert json.loads(batch.events["properties"][1].as_py())["late"] is True
    assert json.loads(batch.events["properties"][2].as_py())["case:region"] == "south"


def test_xes_packed_in_blocks_and_as_other_customer(log, monkeypatch):
    packed = log.with_suffix(".xes.gz")
    packed.write_bytes(gzip.compress(XES.encode()))
    plain = read(loaders.xes(log)).events.drop_columns(["src_file", "source"])
    assert read(loaders.xes(packed)).events.drop_columns(["src_file", "source"]).equals(plain)
    monkeypatch.setattr(sys.modules["cjm_analytics.loaders.xes"], "_BLOCK", 1)
    assert read(loaders.xes(log)).events.drop_columns(["src_file", "source"]).to_pylist() == plain.to_pylist()
    regions = read(loaders.xes(log, customer="case:region")).events["user_id"].to_pylist()
    assert regions == ["north", "north", "south"]


def test_words_of_a_lifecycle_of_its_own_stay(tmp_path):
    steps = ["In Progress", "Wait - User", "complete", "SCHEDULE", "ate_abort", "unknown"]
    events = "".join(
        f'<event><string key="concept:name" value="e{place}"/>'
        f'<string key="lifecycle:transition" value="{step}"/>'
        f'<date key="time:timestamp" value="2025-03-01T10:0{place}:00Z"/></event>'
        for place, step in enumerate(steps)
    )
    path = tmp_path / "log.xes"
    path.write_text(f'<log><trace><string key="concept:name" value="c"/>{events}</trace></log>')
    batch = read(loaders.xes(path, keep=["lifecycle:transition"]))
    assert batch.events.select(["event", "lifecycle:transition"]).to_pylist() == [
        {"event": "e0", "lifecycle:transition": "In Progress"},
        {"event": "e1", "lifecycle:transition": "Wait - User"},
        {"event": "e2", "lifecycle:transition": None},
        {"event": "e5", "lifecycle:transition": "unknown"},
    ]
    assert batch.n_excluded == 2


def test_starts_of_what_no_trace_completes_are_kept(tmp_path):
    def event(name, step, minute):
        return (
            f'<event><string key="concept:name" value="{name}"/>'
            f'<string key="lifecycle:transition" value="{step}"/>'
            f'<date key="time:timestamp" value="2025-03-01T10:0{minute}:00Z"/></event>'
        )

    steps = [("call", "schedule"), ("call", "start"), ("mail", "start"), ("mail", "complete"),
             ("mail", "Start"), ("call", "start")]  # fmt: skip
    events = "".join(event(*step, minute) for minute, step in enumerate(steps))
    case = '<trace><string key="concept:name" value="{}"/>{}</trace>'
    path = tmp_path / "log.xes"
    path.write_text(f"<log>{case.format('a', events)}{case.format('b', event('mail', 'start', 7))}</log>")
    batch = read(loaders.xes(path, keep=["lifecycle:transition", "duration"]))
    assert [tuple(row.values()) for row in batch.events.select(
        ["user_id", "event", "lifecycle:transition", "duration", "src_row"]
    ).to_pylist()] == [
        ("a", "call", "start", None, 2),
        ("a", "mail", None, 60.0, 4),
        ("a", "call", "start", None, 6),
        ("b", "mail", "start", None, 7),
    ]  # fmt: skip
    assert batch.n_excluded == 3


KEYS = st.sampled_from(["concept:name", "org:group", "amount", "doc"])
VALUES = st.none() | st.sampled_from(["a", "70", "1.5", "true", "x y", 'é&<"', "2025-03-30T01:00:00Z"])
PLAIN = st.tuples(st.sampled_from(["string", "int", "float", "boolean", "date", "id"]), KEYS, VALUES)
ATTRIBUTES = st.recursive(
    PLAIN.map(lambda one: (*one, [])),
    lambda inner: st.tuples(
        st.sampled_from(["string", "int", "list", "container", "values", "event"]),
        st.none() | KEYS, VALUES, st.lists(inner, max_size=3),
    ),
    max_leaves=5,
)  # fmt: skip
HELD = st.lists(ATTRIBUTES, max_size=4)
PARTS = st.lists(
    st.tuples(st.sampled_from(["event", "global", "classifier"]), st.just(None), st.just(None), HELD)
    | ATTRIBUTES,
    max_size=4,
)
LOGS = st.lists(
    st.tuples(st.sampled_from(["trace", "global", "string"]), st.none(), st.none(), PARTS), max_size=4
)


def written(element):
    tag, key, value, inside = element
    told = {"key": key, "value": value}
    attributes = "".join(f" {name}={quoteattr(one)}" for name, one in told.items() if one is not None)
    return f"<{tag}{attributes}>{''.join(map(written, inside))}</{tag}>"


def attributes_of(element):
    """By hand, on the whole tree."""
    found = {}
    for one in element:
        key = one.get("key")
        if key is None or one.tag in {"event", "trace", "global"}:
            continue
        if one.tag in {"list", "container"}:
            members = [list(inner) if inner.tag == "values" else [inner] for inner in one]
            found[key] = [value_of(inner) for some in members for inner in some if inner.tag not in ODD]
            continue
        found[key] = value_of(one)
        for inner, value in attributes_of(one).items():
            found[f"{key}.{inner}"] = value
    return found


ODD = {"event", "trace", "global", "values"}


def value_of(element):
    text = element.get("value")
    try:
        kind = {"int": int, "float": float, "boolean": lambda told: told in {"true", "1"}}[element.tag]
        return text if text is None else kind(text)
    except (KeyError, ValueError):
        return text


@settings(max_examples=300, deadline=None)
@given(log=LOGS)
def test_xes_is_read_as_its_tree_says(log, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.xes"
    path.write_text(f"<log>{''.join(map(written, log))}</log>", encoding="utf-8")
    root = ET.parse(path).getroot()  # noqa: S314 - a log of our own
    (file,) = find_files(str(path), "json")
    told = sys.modules["cjm_analytics.loaders.xes"]._Log("log.xes")
    with file.open() as stream:
        told.parser.Parse(stream.read(), True)
    expected = [
        (attributes_of(trace), [attributes_of(one) for one in trace if one.tag == "event"])
        for trace in root.findall("trace")
    ]
    assert told.traces == expected


def test_xes_says_what_is_wrong(log, tmp_path):
    with pytest.raises(UnknownNameError, match=r"'case:regio'.*mean 'case:region'"):
        loaders.xes(log, customer="case:regio")
    (tmp_path / "cut.xes").write_text(XES[:700])
    with pytest.raises(InputError, match="damaged, cut off or no XES"):
        read(loaders.xes(tmp_path / "cut.xes"))
    (tmp_path / "other.xes").write_text("<html/>")
    (tmp_path / "blank.xes").write_text("\ufeff\n")
    with pytest.raises(InputError, match=r"blank\.xes' is empty"):
        loaders.xes(tmp_path / "blank.xes")
    with pytest.raises(InputError, match="its root is <html>"):
        loaders.xes(tmp_path / "other.xes")
    (tmp_path / "none.xes").write_text("<log/>")
    assert read(loaders.xes(tmp_path / "none.xes")).n_read == 0
    with pytest.raises(InputError, match="is a file, not a DataFrame"):
        loaders.xes(pd.DataFrame())


OBJECTS = {"customer:ada": "customer", "bob": "customer", "o1": "order", "o2": "order", "p": "parcel"}
EVENTS = [
    ("e1", "place order", "2025-03-01T10:00:00Z", {"channel": "web", "total": 9.5}, ["customer:ada", "o1"]),
    ("e2", "share", "2025-03-02T10:00:00Z", {}, ["customer:ada", "bob", "o1", "o2"]),
    ("e3", "ship", "2025-03-03T10:00:00Z", {}, ["p"]),
]


def ocel1(path):
    log = {
        "ocel:global-log": {},
        "ocel:events": {
            key: {"ocel:activity": kind, "ocel:timestamp": time, "ocel:vmap": told, "ocel:omap": objects}
            for key, kind, time, told, objects in EVENTS
        },
        "ocel:objects": {key: {"ocel:type": kind, "ocel:ovmap": {}} for key, kind in OBJECTS.items()},
    }
    path.write_text(json.dumps(log))


def ocel2(path):
    log = {
        "objects": [{"id": key, "type": kind} for key, kind in OBJECTS.items()],
        "events": [
            {
                "id": key,
                "type": kind,
                "time": time,
                "attributes": [{"name": name, "value": value} for name, value in told.items()],
                "relationships": [{"objectId": one, "qualifier": ""} for one in objects],
            }
            for key, kind, time, told, objects in EVENTS
        ],
    }
    path.write_text(json.dumps(log, indent=1))


def ocel_xml(path):
    objects = "".join(
        f'<object id="{key}" type="{kind}"><attributes/></object>' for key, kind in OBJECTS.items()
    )
    events = "".join(
        f'<event id="{key}" type="{kind}" time="{time}"><attributes>'
        + "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in told.items())
        + "</attributes><objects>"
        + "".join(f'<relationship object-id="{one}" qualifier=""/>' for one in objects)
        + "</objects></event>"
        for key, kind, time, told, objects in EVENTS
    )
    path.write_text(f"<?xml version='1.0'?><log><objects>{objects}</objects><events>{events}</events></log>")


def ocel_sqlite(path):
    with sqlite3.connect(path) as log:
        log.execute("create table object (ocel_id text, ocel_type text)")
        log.executemany("insert into object values (?, ?)", OBJECTS.items())
        log.execute(
            "create table event_object (ocel_event_id text, ocel_object_id text, ocel_qualifier text)"
        )
        log.execute("create table event_map_type (ocel_type text, ocel_type_map text)")
        for key, kind, time, told, objects in EVENTS:
            mapped = kind.title().replace(" ", "")
            log.execute("insert into event_map_type values (?, ?)", (kind, mapped))
            log.execute(f"create table event_{mapped} (ocel_id, ocel_time, channel text, total real)")
            row = (key, time, told.get("channel"), told.get("total"))
            log.execute(f"insert into event_{mapped} values (?, ?, ?, ?)", row)
            log.executemany("insert into event_object values (?, ?, '')", [(key, one) for one in objects])
    log.close()


def ocel1_xml(path):
    def said(key, value, tag="string"):
        return f'<{tag} key="{key}" value="{value}"/>'

    def listed(key, inside):
        return f'<list key="{key}">{"".join(inside)}</list>'

    events = "".join(
        f"<event>{said('id', key)}{said('activity', kind)}{said('timestamp', time, 'date')}"
        + listed("omap", (said("object-id", one) for one in objects))
        + listed("vmap", (said(name, value, "float") for name, value in told.items()))
        + "</event>"
        for key, kind, time, told, objects in EVENTS
    )
    objects = "".join(
        f"<object>{said('id', key)}{said('type', kind)}{listed('ovmap', [])}</object>"
        for key, kind in OBJECTS.items()
    )
    known = f'<global scope="event">{said("activity", "__INVALID__")}</global>'
    path.write_text(f"<log>{known}<events>{events}</events><objects>{objects}</objects></log>")


def ocel1_sqlite(path):
    with sqlite3.connect(path) as log:
        log.execute('create table OBJECTS ("ocel:oid" text, "ocel:type" text, age real)')
        log.executemany("insert into OBJECTS values (?, ?, 7)", OBJECTS.items())
        log.execute('create table RELATIONS ("ocel:eid" text, "ocel:activity" text, "ocel:oid" text)')
        log.execute(
            'create table EVENTS ("ocel:eid" text, "ocel:timestamp" text, "ocel:activity" text, '
            "channel text, total real)"
        )
        for key, kind, time, told, objects in EVENTS:
            row = (key, time, kind, told.get("channel"), told.get("total"))
            log.execute("insert into EVENTS values (?, ?, ?, ?, ?)", row)
            log.executemany("insert into RELATIONS values (?, ?, ?)", [(key, kind, one) for one in objects])
    log.close()


def ids_by_type(objects):
    return {
        kind: [one for one in objects if OBJECTS[one] == kind] for kind in dict.fromkeys(OBJECTS.values())
    }


def ocel1_csv(path):
    rows = [
        {"ocel:eid": key, "ocel:timestamp": time, "ocel:activity": kind, **told}
        | {f"ocel:type:{name}": ids or None for name, ids in ids_by_type(objects).items()}
        for key, kind, time, told, objects in EVENTS
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


def ocel2_csv(path):
    rows = [
        {"id": key, "activity": kind, "timestamp": time, **told}
        | {
            f"ot:{name}": "/".join(f'{one}#by {kind}{{"age":7,"/":"#"}}' for one in ids) or None
            for name, ids in ids_by_type(objects).items()
        }
        for key, kind, time, told, objects in EVENTS
    ]
    about = [{"ot:parcel": 'p{"age":8}'}, {"id": "o1", "activity": "o2o", "ot:parcel": "p#in"}]
    pd.DataFrame([*rows, *about]).to_csv(path, index=False, encoding="utf-8-sig")


LAYOUTS = (ocel1, ocel2, ocel_xml, ocel_sqlite, ocel1_xml, ocel1_sqlite, ocel1_csv, ocel2_csv)


@pytest.mark.parametrize("write", LAYOUTS)
def test_ocel_in_every_layout(tmp_path, write):
    path = tmp_path / "log.any"
    write(path)
    source = loaders.ocel(path, customer_object_type="customer")
    with pytest.warns(UserWarning, match="objects? of type") as told:
        batch = read(source)
    said = [str(one.message).partition(": ")[2] for one in told]
    assert said == [
        "1 event has several objects of type 'customer'; each stands once per object, 2 times in all.",
        "1 event has no object of type 'customer' and is left out.",
    ]
    rows = batch.events.select(["user_id", "event", "event_id", "order_id", "channel"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("ada", "place order", "e1", "o1", "web"),
        ("ada", "share", "e2:ada", None, None),
        ("bob", "share", "e2:bob", None, None),
    ]
    properties = [json.loads(one) for one in batch.events["properties"].to_pylist()]
    assert float(properties[0]["total"]) == 9.5
    assert properties[1]["objects"] == {"order": ["o1", "o2"]}
    assert batch.n_excluded == 1
    with pytest.raises(UnknownNameError, match=r"'custommer'. Did you mean 'customer'"):
        loaders.ocel(path, customer_object_type="custommer")
    assert loaders.describe(path).code == f"cjm.loaders.ocel({str(path)!r}, customer_object_type='customer')"


def test_ids_in_cells_of_ocel_may_have_any_sign(tmp_path):
    first = "ocel:eid,ocel:timestamp,ocel:activity,ocel:type:customer\n"
    second = "id,activity,timestamp,ot:customer\n"
    at = "2025-03-01T10:00:00Z"
    for text, ids in (
        (first + f"e,{at},buy,ada", ["ada"]),
        (first + f"e,{at},buy,[ada", ["[ada"]),
        (first + f"""e,{at},buy,"['a,b', ""c's"", 7]"\n""", ["a,b", "c's", "7"]),
        (second + f"e,buy,{at},a\\/b\\#c\\{{d\\\\/e", ["a/b#c{d\\", "e"]),
    ):
        (tmp_path / "log.csv").write_text(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read(loaders.ocel(tmp_path / "log.csv", customer_object_type="customer"))
        assert found.events["user_id"].to_pylist() == ids


def test_describe_asks_which_objects_are_customers_where_no_name_says_so(tmp_path):
    log = {"objects": [{"id": "a", "type": "debtor"}, {"id": "b", "type": "parcel"}], "events": []}
    (tmp_path / "log.json").write_text(json.dumps(log))
    found = loaders.describe(tmp_path / "log.json")
    assert found.options == {"customer_object_type": "?"}
    assert found.questions == ("Say customer_object_type=. There are: debtor, parcel.",)


def test_ocel_says_what_is_wrong(tmp_path):
    for text, said in (
        ("{}", "neither 'ocel:events' nor 'events'"),
        ("<a/>", "root is <a>"),
        ("{", "damaged"),
        ('{"objects": [{"type": "customer"}], "events": []}', "not laid out as an OCEL is: 'id' is missing"),
        ('{"events": [7]}', "not laid out as an OCEL is"),
        ("<log><events><event/></events></log>", "'id' is missing"),
        ('id,activity,timestamp,ot:customer\n"e', "damaged or cut off at line 1"),
    ):
        (tmp_path / "log.json").write_text(text)
        with pytest.raises(InputError, match=said):
            loaders.ocel(tmp_path / "log.json", customer_object_type="customer")


@pytest.fixture(scope="module")
def journeys():
    rows = [
        ("ada", "2025-03-01 10:00:00.123456", 'search "shoes" & <socks>', "web", None, None),
        ("ada", "2025-03-01 10:05", "buy", "web", "7", 9.5),
        ("bob", "2025-03-02 09:00", "buy", "app", "7", 3.0),
        ("bob", "2025-03-03 09:00", "help", None, None, None),
        ("cäcilie", "2025-03-04 09:00", "help", "phone", None, None),
    ]
    frame = pd.DataFrame(rows, columns=["who", "at", "what", "channel", "order_id", "value"])
    source = loaders.table(frame, customer="who", timestamp="at", event="what", tz="UTC")
    return cjm.sessionize(cjm.ingest(source))


def same(events, journeys, unit="us"):
    """The events that were read back are those that were written."""
    names = ["user_id", "timestamp", "event", "channel"]
    found = events.select(names).to_pandas().sort_values(names[:2], ignore_index=True).astype(object)
    wanted = journeys.to_frame().rename(columns={"customer_id": "user_id"})
    wanted = wanted.assign(event=wanted["touchpoint"], timestamp=wanted["timestamp"].dt.floor(unit))[
        names
    ].sort_values(names[:2], ignore_index=True)
    pd.testing.assert_frame_equal(
        found.where(found.notna(), None), wanted.astype(object).where(wanted.notna(), None)
    )


@pytest.mark.parametrize("name", ["log.xes", "log.xes.gz"])
def test_journeys_go_to_xes_and_back(tmp_path, journeys, name):
    journeys.to_xes(tmp_path / name)
    batch = read(loaders.xes(tmp_path / name, customer="case:customer_id"))
    same(batch.events, journeys)
    assert [str(one) for one in batch.events["value"].drop_null().to_pylist()] == ["9.5000", "3.0000"]


@pytest.mark.parametrize("name", ["log.json", "log.sqlite"])
def test_journeys_go_to_ocel_and_back(tmp_path, journeys, name):
    journeys.to_ocel(tmp_path / name)
    batch = read(loaders.ocel(tmp_path / name, customer_object_type="customer"))
    same(batch.events, journeys)
    assert batch.events["order_id"].drop_null().to_pylist() == ["7", "7"]


def test_pm4py_reads_what_was_written(tmp_path, journeys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pm4py = pytest.importorskip("pm4py")
        journeys.to_xes(tmp_path / "log.xes")
        frame = pm4py.convert_to_dataframe(pm4py.read_xes(str(tmp_path / "log.xes")))
        assert len(frame) == journeys.n_events
        assert frame["case:concept:name"].nunique() == len(journeys)
        variants = {key: int(count) for key, count in pm4py.get_variants(frame).items()}
        ours = journeys.to_frame().groupby(["customer_id", "journey"])["touchpoint"].agg(tuple).value_counts()
        assert variants == ours.to_dict()
        for ending, reader in (("json", pm4py.read_ocel2_json), ("sqlite", pm4py.read_ocel2_sqlite)):
            journeys.to_ocel(tmp_path / f"log.{ending}")
            log = reader(str(tmp_path / f"log.{ending}"))
            assert len(log.events) == journeys.n_events
            kinds = log.objects["ocel:type"].value_counts().to_dict()
            assert kinds == {"customer": 3, "journey": len(journeys), "order": 1}


def test_what_pm4py_writes_is_read(tmp_path, journeys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pm4py = pytest.importorskip("pm4py")
        journeys.to_ocel(tmp_path / "log.json")
        log = pm4py.read_ocel2_json(str(tmp_path / "log.json"))
        pm4py.write_ocel2_xml(log, str(tmp_path / "again.xml"))
        pm4py.write_ocel2_sqlite(log, str(tmp_path / "again.sqlite"))
        pm4py.write_ocel2_json(log, str(tmp_path / "again.json"))
        pm4py.write_ocel_json(log, str(tmp_path / "again.jsonocel"))
    for name in ("again.xml", "again.sqlite", "again.json", "again.jsonocel"):
        batch = read(loaders.ocel(tmp_path / name, customer_object_type="customer"))
        floored = batch.events["timestamp"].to_pandas().dt.floor("s")  # its XML has whole seconds
        events = batch.events.set_column(
            batch.events.column_names.index("timestamp"),
            "timestamp",
            pa.array(floored, pa.timestamp("us", "UTC")),
        )
        same(events, journeys, "s")


NAMES = ["a > b", "c,d", "\U0001f600", "x → y", "(end)", "q\"uo'te", "<tag> & co", "back\\slash", "tab\there",
         "new\nline", "é́", "nul?"]  # fmt: skip


@pytest.fixture(scope="module")
def odd_names():
    """Signs that formats give a meaning to; properties that were kept, with gaps and a name twice in SQL."""
    rows = [
        (
            f'cust <{place % 3}> & "é"',
            f"2026-03-29T0{place % 4}:{place:02}:00.5+02:00",
            name,
            None if place % 2 else 'p;q="r"',
            place / 2 if place % 3 else None,
            bool(place % 2),
            pd.Timestamp("2020-02-03 04:05"),
        )
        for place, name in enumerate(NAMES)
    ]
    names = ["who", "at", "what", "note", "Source", "flag", "since"]
    source = loaders.table(pd.DataFrame(rows, columns=names), customer="who", timestamp="at", event="what",
                           keep=["note", "Source", "flag", "since"])  # fmt: skip
    return cjm.sessionize(cjm.ingest(source))


def test_odd_names_and_kept_properties_stand_in_every_format(tmp_path, odd_names):
    frame = odd_names.to_frame().sort_values("timestamp", ignore_index=True)
    assert set(frame["touchpoint"]) == set(NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pm4py = pytest.importorskip("pm4py")
        odd_names.to_xes(tmp_path / "log.xes")
        logs = {"xes": pm4py.convert_to_dataframe(pm4py.read_xes(str(tmp_path / "log.xes")))}
        for ending, reader in (("json", pm4py.read_ocel2_json), ("sqlite", pm4py.read_ocel2_sqlite)):
            odd_names.to_ocel(tmp_path / f"log.{ending}")
            logs[ending] = reader(str(tmp_path / f"log.{ending}")).events
    for kind, log in logs.items():
        time, name, number = ("time:timestamp", "concept:name", "Source") if kind == "xes" else (
            "ocel:timestamp", "ocel:activity", "Source" if kind == "json" else "Source 2")  # fmt: skip
        found = log.sort_values(time, ignore_index=True)
        assert found[name].tolist() == frame["touchpoint"].tolist()
        assert pd.to_datetime(found[time], utc=True).tolist() == frame["timestamp"].tolist()
        place = found[name].map(NAMES.index)
        notes = found["note"].astype(object).where(found["note"].notna(), None)
        assert notes.tolist() == [None if at % 2 else 'p;q="r"' for at in place]
        numbers = pd.to_numeric(found[number]).tolist()
        assert numbers == pytest.approx([at / 2 if at % 3 else np.nan for at in place], nan_ok=True)
        assert [bool(one) for one in found["flag"]] == [bool(at % 2) for at in place]
        assert set(pd.to_datetime(found["since"], utc=True)) == {pd.Timestamp("2020-02-03 04:05", tz="UTC")}
    networkx = pytest.importorskip("networkx")
    graph = cjm.transitions(odd_names).to_networkx()
    networkx.write_graphml(graph, tmp_path / "graph.graphml")
    again = networkx.read_graphml(tmp_path / "graph.graphml")
    assert {node.replace("\r", "\n") for node in again} == set(graph)
    assert again.number_of_edges() == graph.number_of_edges()


def test_an_export_says_what_is_wrong_and_leaves_no_half_file(tmp_path, journeys):
    with pytest.raises(InputError, match=r"must end in \.xes"):
        journeys.to_xes(tmp_path / "log.xml")
    with pytest.raises(InputError, match=r"must end in \.json"):
        journeys.to_ocel(tmp_path / "log.xes")
    with pytest.raises(InputError, match="no folder"):
        journeys.to_xes(tmp_path / "nowhere" / "log.xes")
    assert not list(tmp_path.iterdir())


def test_journeys_as_arrow_equal_their_frame(journeys):
    table = journeys.to_arrow()
    assert pa.types.is_dictionary(table.schema.field("touchpoint").type)
    frame = table.to_pandas().sort_values(["customer_id", "journey", "position"], ignore_index=True)
    assert list(frame) == list(journeys.to_frame())
    assert frame["touchpoint"].tolist() == journeys.to_frame()["touchpoint"].tolist()
    assert str(frame["timestamp"].dtype).endswith("UTC]")
