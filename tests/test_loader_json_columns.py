"""JSON lines read as columns tell the same events as the same lines read object by object."""

from __future__ import annotations

import json
import sys

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjm_analytics import loaders
from cjm_analytics.loaders import json_columns, json_files, line_blocks
from cjm_analytics.loaders import vendor as vendor_module
from cjm_analytics.loaders.json_columns import JsonColumns
from cjm_analytics.loaders.source import whole
from cjm_analytics.loaders.values import json_texts

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(-1e6, 1e6).map(lambda one: round(one, 3))
    | st.sampled_from(["", "x", 'é "quoted"', "a\nb", "2025-03-01", "2025-03-01 10:00:00", "17", "{}"])
)
INSIDE = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["p", "q", "r", "$s"]), INSIDE, max_size=4), min_size=1, max_size=8
)
ALIKE = st.fixed_dictionaries(
    {
        "p": st.integers(0, 9),
        "q": st.none() | st.sampled_from(["2025-03-01 10:00:00", "later"]),
        "r": st.fixed_dictionaries(
            {"deep": st.none() | st.floats(0, 1), "list": st.lists(st.integers(0, 9))}
        ),
    }
)


def without_nothing(value):
    """What `properties` promise to hold: no members that are empty."""
    if isinstance(value, dict):
        told = {name: without_nothing(one) for name, one in value.items() if one is not None}
        return {name: one for name, one in told.items() if one != {}}
    return [without_nothing(one) for one in value] if isinstance(value, list) else value


def read(path, monkeypatch, *, columns):
    with monkeypatch.context() as patch:
        if not columns:
            patch.setattr(JsonColumns, "read", lambda *_: None)
        events = whole(loaders.mixpanel(path, keep=["p"]).batches()).events
    rows = events.to_pylist()
    return [
        row
        | {"properties": without_nothing(json.loads(row.get("properties") or "{}")), "p": cell(row.get("p"))}
        for row in rows
    ]


def cell(value):
    """A promoted cell; one that holds an object is its JSON text."""
    is_object = isinstance(value, str) and value.startswith(("{", "["))
    return without_nothing(json.loads(value)) or None if is_object else value


def write(path, rows):
    lines = [
        {"event": "seen", "properties": {"time": 1740823200 + place, "distinct_id": "u1", **row}}
        for place, row in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@settings(max_examples=100, deadline=None)
@given(rows=ROWS | st.lists(ALIKE, min_size=1, max_size=8))
@pytest.mark.filterwarnings("ignore:keep='p' is in no row")
def test_columns_tell_what_objects_tell(rows, tmp_path_factory):
    path = write(tmp_path_factory.mktemp("log") / "export.jsonl", rows)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fast = read(path, monkeypatch, columns=True)
        slow = read(path, monkeypatch, columns=False)
    assert fast == slow


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1}\n{"a": "x"}',
        '{"a": 9007199254740993}\n{"a": 0.5}',
        '{"a": 12345678901234567890}',
        '{"a": 1}\n\n{"a": 2}',
        '{"a": 1} {"a": 2}',
        '{"a": 1, "a": 2}',
        "[1]",
    ],
)
def test_what_arrow_would_change_is_left_to_others(line):
    assert JsonColumns().read(line.encode()) is None


@pytest.mark.parametrize("text", ["null", "null\nnull\n", '{"a":{"b":1}}\nnull\n', "1\n", ' {"a":1}', "\n"])
def test_lines_that_do_not_begin_with_an_object_are_left_to_others(text):
    assert JsonColumns().read(text.encode()) is None


def test_what_looks_like_a_time_stays_as_it_was_written():
    line = b'{"a": "2025-03-01 10:00:00", "b": {"c": ["2025-03-01T10:00:00Z"], "d": 1}}'
    columns = JsonColumns()
    assert columns.read(line).to_pylist() == [json.loads(line)]
    assert columns.read(b'{"b": {"d": 2}}').to_pylist() == [{"a": None, "b": {"c": None, "d": 2}}]


NAMES = ["a", "b", 'c"d', "é", "a.b"]
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["2025-03-01 10:00:00", "\\", '"', "\n", "a/b", "\ud7ff", "é", "{}", "17"])
)
FLAT = st.lists(st.dictionaries(st.sampled_from(NAMES), PLAIN, min_size=1), min_size=1, max_size=6)
UNIFORM = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.text(max_size=5), "b": st.integers(-(2**62), 2**62),
            'c"d': st.floats(-1e9, 1e9), "é": st.none() | st.booleans(), "a.b": st.none(),
        },
        optional={"f": st.none()},
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def line(row, spaced, ascii_only):
    separators = (", ", " : ") if spaced else (",", ":")
    return json.dumps(row, separators=separators, ensure_ascii=ascii_only)


@settings(max_examples=400, deadline=None)
@given(
    rows=FLAT | UNIFORM, spaced=st.booleans(), ascii_only=st.booleans(), end=st.sampled_from(["\n", "\r\n"])
)
def test_flat_objects_are_cut_as_arrow_and_json_read_them(rows, spaced, ascii_only, end):
    block = end.join([*(line(row, spaced, ascii_only) for row in rows), ""]).encode()
    cut = flat(block)
    if cut is not None:
        names = list(rows[0])
        assert cut.column_names == names
        assert cut.to_pylist() == [{name: row.get(name) for name in names} for row in rows]
        for column in cut.columns:
            assert column.chunk(0).validate(full=True) is None
        by_arrow = JsonColumns()._asked(block)
        if by_arrow is not None and set(by_arrow.column_names) == set(names):
            assert by_arrow.select(names).schema == cut.schema


def flat(block):
    first = json_columns._first_object(block)
    return json_columns._flat(block, list(first), len(json_columns._line_starts(block))) if first else None


def test_flat_objects_of_one_shape_are_cut():
    block = b'{"a":"x","n":1,"f":1e3,"y":true,"z":null}\n{ "n" : -20, "a" : "\\u00e9\\n", "y":false }'
    assert flat(block).to_pylist() == [
        {"a": "x", "n": 1, "f": 1000.0, "y": True, "z": None},
        {"a": "é\n", "n": -20, "f": None, "y": False, "z": None},
    ]
    assert flat(block).schema.types == [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.null()]


@pytest.mark.parametrize(
    "odd",
    [
        "{}", "", " ", "[]", "1",
        '{"a"}', '{"a":}', '{"a":1', '{"a":1,}', '{"a":1}}', '{"a":1} x', '{"a":01}',
        '{"a":1.}', '{"a":.5}', '{"a":-}', '{"a":1e}', '{"a":+1}', '{"a":0x1}', '{"a":tru}', '{"a":nul}',
        '{"a":NaN}', '{"a":"x}', '{"a":"\\x"}', '{"a":"\\ud800"}', '{"a":"\t"}', '{"a":1,"a":2}', '{"b":1}',
        '{"a":[1]}', '{"a":{"b":1}}', '{"a":1}{"a":2}', "{a:1}", '{"a" 1}', '{"a":1;"a":2}', '{"a":"x',
        '{"a":"x\\', '{"a":"x\\"', '{"a":"x"', '{"a',
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_that_is_no_flat_object_of_these_names_is_not_cut(odd, end):
    good = b'{"a":"x"}'
    assert flat(good + b"\n" + odd.encode() + end.encode()) is None or (odd, end) == ("", "")
    assert flat(good + b"\n" + good + b"\n" + odd.encode() + b"\n" + good) is None


def test_bytes_that_are_no_text_are_not_cut():
    assert flat(b'{"a":"x"}\n{"a":"\xff"}') is None


def test_columns_stand_in_the_order_of_the_first_line_whoever_read_them():
    columns = JsonColumns()
    first = b'{"a":1,"at":"2025-03-01 10:00:00","b":[1]}'
    assert columns.read(first).column_names == ["a", "at", "b"]
    assert columns.read(b'{"b":[2],"at":"2025-03-01 11:00:00","c":1,"a":1}').column_names == [
        "b",
        "at",
        "c",
        "a",
    ]


def test_a_file_that_never_fits_is_not_tried_for_ever(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(JsonColumns, "read", lambda _, block: asked.append(block))
    monkeypatch.setattr(json_files, "_COLUMN_BLOCK", 4096)
    path, n = tmp_path / "log.jsonl", 20_000
    path.write_text("".join(f'{{"who": "c{one}", "at": {10**9 + one}, "what": "x"}}\n' for one in range(n)))
    batch = whole(loaders.table(path, customer="who", timestamp="at", event="what").batches())
    assert batch.events["user_id"].to_pylist() == [f"c{one}" for one in range(n)]
    # Of some two hundred blocks; the file is looked at before it is read, and two are parsed ahead each time.
    assert 4 <= len(asked) <= 2 * (4 + line_blocks._PARSERS)


def test_nested_cells_become_json_as_a_whole():
    cells = pa.array(
        [{"x": [{"y": 1}, None, {"y": None}], "z": 'a"b'}, None, {"x": [], "z": None}, {"x": None}]
    )
    assert json_texts({"cell": cells}).to_pylist() == [
        '{"cell":{"x":[{"y":1},null,{}],"z":"a\\"b"}}',
        None,
        '{"cell":{"x":[]}}',
        None,
    ]


# Vendors whose rows are laid out column by column


def told(batches):
    """Events with their properties as objects."""
    rows = whole(batches).events.to_pylist()
    return [row | {"properties": without_nothing(json.loads(row.get("properties") or "{}"))} for row in rows]


IGLU = "iglu:com.snowplowanalytics.snowplow"
ENTITIES = st.lists(
    st.sampled_from(
        [
            ("web_page", {"id": "p1"}),
            ("web_page", {"id": "p2", "deep": {"x": None, "y": [1, 2]}}),
            ("client_session", {"userId": "d9", "sessionId": "s9"}),
            ("transaction", {"transaction_id": "t1", "revenue": 5.5, "currency": "EUR"}),
            ("odd", {"id": 7}),
        ]
    ),
    max_size=3,
)
SAID = st.none() | st.sampled_from([("link_click", {"targetUrl": "u"}), ("add", {"sku": "a", "n": 2})])


def described(name, data):
    return {"schema": f"{IGLU}/{name}/jsonschema/1-0-0", "data": data}


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(ENTITIES, SAID), min_size=1, max_size=6))
def test_entities_of_snowplow_by_column_are_those_by_row(rows):
    held = {
        "event_id": [f"e{place}" for place in range(len(rows))],
        "event": ["unstruct"] * len(rows),
        "event_name": ["seen"] * len(rows),
        "collector_tstamp": ["2025-03-01 10:00:00.5"] * len(rows),
        "domain_userid": ["d1"] * len(rows),
        "contexts": [
            json.dumps(described("contexts", [described(*one) for one in entities])) if entities else None
            for entities, _ in rows
        ],
        "unstruct_event": [
            json.dumps(described("unstruct_event", described(*one))) if one else None for _, one in rows
        ],
    }
    fast = told(loaders.snowplow(held).batches())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["cjm_analytics.loaders.snowplow"], "_by_columns", lambda *_: None)
        assert told(loaders.snowplow(held).batches()) == fast


VALUES = st.sampled_from(["x", "(not set)", 3, 2.5]) | st.integers(0, 3)
PARAMS = st.dictionaries(st.sampled_from(["page_title", "value", "session_engaged", "ga_session_id"]), VALUES)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(PARAMS, min_size=1, max_size=6))
def test_parameters_of_ga4_are_the_same_from_json_by_column_and_by_row(rows, tmp_path_factory):
    kinds = {int: "int_value", float: "double_value", str: "string_value"}
    # Within one parameter all rows write one kind, but for `session_engaged`.
    kept = {}
    rows = [
        {
            name: value
            for name, value in row.items()
            if name == "session_engaged" or kept.setdefault(name, type(value)) is type(value)
        }
        for row in rows
    ]
    lines = [
        {
            "event_name": "seen", "event_timestamp": str(1740823200000000 + place), "user_pseudo_id": "d1",
            "event_params": [
                {"key": name, "value": {kinds[type(one)]: str(one) if type(one) is int else one}}
                for name, one in row.items()
            ],
        }
        for place, row in enumerate(rows)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("log") / "events_20250301.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fast = told(loaders.ga4(path).batches())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JsonColumns, "read", lambda *_: None)
        assert told(loaders.ga4(path).batches()) == fast


def both_ways(load, path):
    """What a loader tells of JSON lines read as columns, and of the same read object by object."""
    fast = everything(load(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JsonColumns, "read", lambda *_: None)
        return fast, everything(load(path))


def everything(stream):
    batch = whole(stream.batches())
    events = [
        {name: value for name, value in one.items() if value is not None and name != "properties"}
        | {"properties": without_nothing(json.loads(one.get("properties") or "{}"))}
        for one in batch.events.to_pylist()
    ]
    reasons = sorted((one["src_row"], one["reason"]) for one in batch.rejects.to_pylist())
    links = {tuple(one.values()) for one in batch.links.to_pylist()}
    known = {(one["user_id"], one["attribute"], cell(one["value"])) for one in batch.customers.to_pylist()}
    return events, reasons, links, known, batch.n_read, batch.n_excluded


def lines_of(folder, rows, name="export.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


TEXTS = st.none() | st.sampled_from(["x", "a@b.org", "/p", "?q=1"])
CALLS = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "screen", "identify", "group", "alias", "beacon"])},
    optional={
        "event": st.sampled_from(["Order Completed", "Email Sent", "Email Opened"]),
        "name": TEXTS, "anonymousId": TEXTS, "userId": TEXTS, "previousId": TEXTS, "groupId": TEXTS,
        "channel": st.sampled_from(["mobile", "server"]),
        "traits": st.dictionaries(st.sampled_from(["email", "plan"]), TEXTS),
        "properties": st.fixed_dictionaries(
            {}, optional={
                "value": st.none() | st.floats(0, 99), "total": TEXTS, "revenue": st.booleans(),
                "path": TEXTS, "device": TEXTS, "deep": st.fixed_dictionaries({"n": st.integers(0, 9)}),
            },
        ),
        "context": st.fixed_dictionaries(
            {}, optional={
                "active": st.booleans(), "sessionId": st.integers(0, 9), "locale": TEXTS,
                "page": st.fixed_dictionaries({}, optional={"path": TEXTS, "search": TEXTS}),
                "library": st.fixed_dictionaries({"name": st.sampled_from(["analytics.js", "x-ios"])}),
            },
        ),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(CALLS, min_size=1, max_size=6))
def test_calls_of_segment_by_column_are_those_by_row(rows, tmp_path_factory):
    calls = [
        {"messageId": f"m{place}", "timestamp": f"2025-03-01T10:00:0{place}Z", **row}
        for place, row in enumerate(rows)
    ]
    fast, slow = both_ways(loaders.segment, lines_of(tmp_path_factory.mktemp("log"), calls))
    assert fast == slow


CHARGES = st.fixed_dictionaries(
    {"object": st.sampled_from(["charge", "payment_intent", "invoice", "customer", "dispute"])},
    optional={
        "id": st.sampled_from(["ch_1", "ch_2"]), "charge": st.sampled_from(["ch_1", "ch_3"]),
        "customer": st.none() | st.just("cus_1") | st.just({"id": "cus_2"}), "email": TEXTS,
        "amount": st.integers(0, 99), "amount_refunded": st.integers(0, 9),
        "currency": st.sampled_from(["eur", "jpy"]), "livemode": st.booleans(),
        "metadata": st.dictionaries(st.sampled_from(["order_id", "user_id"]), TEXTS),
        "billing_reason": st.sampled_from(["subscription_cycle", "subscription_create"]),
    },
)  # fmt: skip
ENVELOPES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["charge.succeeded", "charge.refunded", "invoice.paid", "charge.updated", "payout.paid"]
        ),
        "data": st.fixed_dictionaries({"object": CHARGES}),
    },
    optional={"livemode": st.booleans(), "account": TEXTS},
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ENVELOPES, min_size=1, max_size=6))
def test_events_of_stripe_by_column_are_those_by_row(rows, tmp_path_factory):
    events = [
        {"id": f"evt_{place}", "object": "event", "created": 1740946531 + place, **row}
        for place, row in enumerate(rows)
    ]
    fast, slow = both_ways(loaders.stripe, lines_of(tmp_path_factory.mktemp("log"), events))
    assert fast == slow


MOMENTS = st.none() | st.sampled_from(["2025-03-02T20:15:30+01:00", "2025-03-03T20:15:30+01:00"])
PAYMENTS = st.fixed_dictionaries(
    {"id": st.integers(1, 9), "kind": st.sampled_from(["sale", "refund", "authorization"])},
    optional={
        "status": st.sampled_from(["success", "failure"]), "amount": st.just("49.90"),
        "processed_at": MOMENTS,
    },
)  # fmt: skip
ORDERS = st.fixed_dictionaries(
    {"financial_status": st.just("paid"), "total_price": st.just("49.90"), "created_at": MOMENTS},
    optional={
        "email": TEXTS, "customer": st.fixed_dictionaries({"id": st.integers(1, 3)}), "cart_token": TEXTS,
        "cancelled_at": MOMENTS, "cancel_reason": TEXTS, "test": st.booleans(), "source_name": TEXTS,
        "transactions": st.lists(PAYMENTS, max_size=2),
        "note_attributes": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["client_id", "x"]), "value": TEXTS}), max_size=2
        ),
        "refunds": st.lists(
            st.fixed_dictionaries(
                {"id": st.integers(1, 9), "created_at": MOMENTS},
                optional={"transactions": st.lists(PAYMENTS, max_size=2)},
            ),
            max_size=2,
        ),
        "customerJourneySummary": st.none() | st.fixed_dictionaries(
            {}, optional={"firstVisit": st.fixed_dictionaries({"occurredAt": MOMENTS, "landingPage": TEXTS})}
        ),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ORDERS, min_size=1, max_size=6))
def test_orders_of_shopify_by_column_are_those_by_row(rows, tmp_path_factory):
    orders = [{"id": place, "name": f"#{place}", **row} for place, row in enumerate(rows, start=1001)]
    fast, slow = both_ways(loaders.shopify, lines_of(tmp_path_factory.mktemp("log"), orders, "orders.jsonl"))
    assert fast == slow


def without_file(told):
    events, *others = told
    return [[{**one, "src_file": ""} for one in events], *others]


@pytest.mark.filterwarnings("ignore:.*left out")  # as happens to rows that name nobody
@settings(max_examples=20, deadline=None)
@given(orders=st.lists(ORDERS, min_size=20, max_size=21), rows=st.lists(ENVELOPES, min_size=20, max_size=21))
def test_a_list_of_objects_says_what_its_lines_say(orders, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    orders = [{"id": 1001 + place, "name": f"#{1001 + place}", **row} for place, row in enumerate(orders)]
    rows = [{"id": f"evt_{place}", "object": "event", "created": place + 10**9, **row}
            for place, row in enumerate(rows)]  # fmt: skip
    for load, name, every in ((loaders.shopify, "orders", orders), (loaders.stripe, "events", rows)):
        lines = without_file(everything(load(lines_of(folder, every, f"{name}.jsonl"))))
        path = folder / f"{name}.json"
        for answer in (every, {name: every}, {"object": "list", "data": every, "has_more": False}):
            path.write_text(json.dumps(answer))
            fast, slow = both_ways(load, path)
            assert fast == slow
            assert without_file(fast) == lines


@settings(max_examples=20, deadline=None)
@given(
    orders=st.lists(ORDERS, min_size=1, max_size=6), rows=st.lists(ENVELOPES, min_size=1, max_size=6),
    room=st.sampled_from([0, 3_000]),
)  # fmt: skip
def test_it_is_the_same_whether_there_is_room_for_what_is_read_twice(orders, rows, room, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    some = lines_of(folder, [{"id": place, "name": f"#{place}", **row} for place, row in enumerate(orders)],
                    "orders.jsonl")  # fmt: skip
    other = lines_of(folder, [{"id": f"e{place}", "created": place, **row} for place, row in enumerate(rows)],
                     "events.jsonl")  # fmt: skip
    for load, path in ((loaders.shopify, some), (loaders.stripe, other)):
        roomy = whole(load(path).batches())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vendor_module, "_ROOM", room)
            narrow = whole(load(path).batches())
        for name in ("events", "rejects", "links"):
            assert getattr(narrow, name).to_pylist() == getattr(roomy, name).to_pylist()
        assert (narrow.n_read, narrow.n_excluded) == (roomy.n_read, roomy.n_excluded)


def test_a_stream_that_can_be_read_but_once_is_read_whole():
    order = {"id": ["1", "2"], "name": ["#1", "#2"], "email": ["a@b.org", None], "customer_id": ["17", "17"],
             "created_at": ["2025-03-02T20:15:30Z"] * 2, "financial_status": ["paid"] * 2,
             "total_price": ["5"] * 2}  # fmt: skip
    table = pa.table(order)
    stream = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=1))
    told = everything(loaders.shopify(stream))
    assert len(told[0]) == 2
    alike = everything(loaders.shopify(table))
    source = {"src_file": "<Table>"}
    assert [one | source for one in told[0]] == [one | source for one in alike[0]]
    assert told[1:] == alike[1:]


CELLS = st.none() | st.sampled_from(["", "x", 'a "b"', "\\", "zeile\n", "ü", "y" * 9])
KINDS = st.sampled_from(["text", "number", "truth", "list", "object"])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_members_of_columns_are_those_of_rows(data):
    """Columns with gaps and without, few texts and many, in any order: a row is the JSON of its cells."""
    size = data.draw(st.integers(1, 5))
    cells = {"text": CELLS, "number": st.none() | st.integers(-9, 9), "truth": st.none() | st.booleans()}
    cells["list"] = st.none() | st.lists(st.integers(0, 3), max_size=2)
    cells["object"] = st.none() | st.fixed_dictionaries({"b": CELLS, "a": cells["number"]})
    kinds = {"text": pa.string(), "number": pa.int64(), "truth": pa.bool_(), "list": pa.list_(pa.int64())}
    kinds["object"] = pa.struct({"b": pa.string(), "a": pa.int64()})
    columns = {}
    for name in data.draw(st.permutations(["a", "c", "b", '"'])):
        kind = data.draw(KINDS)
        columns[name] = (kind, data.draw(st.lists(cells[kind], min_size=size, max_size=size)))
    made = json_texts({name: pa.array(several, kinds[kind]) for name, (kind, several) in columns.items()})
    for place in range(size):
        row = {name: several[place] for name, (_, several) in sorted(columns.items())}
        row = {
            name: {one: said for one, said in sorted(cell.items()) if said is not None}
            if isinstance(cell, dict)
            else cell
            for name, cell in row.items()
        }
        row = {name: cell for name, cell in row.items() if cell not in (None, {})}
        told = None if made is None else made[place].as_py()
        assert told == (orjson.dumps(row).decode() if row else None)


NEAR = st.fixed_dictionaries(
    {"results": st.lists(st.fixed_dictionaries({"id": st.sampled_from("12")}), max_size=2)}
)
TALKS = st.fixed_dictionaries(
    {
        "properties": st.fixed_dictionaries(
            {"hs_timestamp": MOMENTS},
            optional={"hs_call_title": TEXTS, "hs_call_direction": st.sampled_from(["INBOUND", "", None])},
        )
    },
    optional={
        "archived": st.booleans(),
        "associations": st.fixed_dictionaries({}, optional={"contacts": NEAR, "companies": NEAR}),
    },
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(TALKS, min_size=1, max_size=6))
def test_calls_of_hubspot_by_column_are_those_by_row(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    people = [{"id": one, "properties": {"email": f"{one}@example.com"}} for one in "12"]
    lines_of(folder, people, "contacts.json")
    lines_of(folder, [{"id": str(place), **row} for place, row in enumerate(rows)], "calls.json")
    fast, slow = both_ways(loaders.hubspot, folder)
    assert fast == slow
