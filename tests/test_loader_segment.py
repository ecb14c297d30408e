"""Segment: raw calls and warehouse tables tell the same story."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from cjm_analytics import loaders
from cjm_analytics.errors import InputError
from cjm_analytics.loaders.source import whole

UTC = dt.UTC


def read(source, **options):
    """Everything that a source gives, after the law of accounting has been held to it."""
    batch = whole(loaders.segment(source, **options).batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def call(**fields):
    """A track call of a device, unless other fields are given; None leaves one out."""
    default = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": "m1",
        "anonymousId": "a1",
        "timestamp": "2025-03-01T10:00:00.150Z",
        "receivedAt": "2025-03-01T10:00:00.350Z",
        "properties": {},
        "context": {},
    }
    return {name: value for name, value in {**default, **fields}.items() if value is not None}


def write(path, calls):
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in calls))
    return path


def only(batch):
    (event,) = batch.events.to_pylist()
    return event


def test_a_track_call_is_an_event_under_its_own_name(tmp_path):
    path = write(
        tmp_path / "calls.json",
        [
            call(
                event=" Order Completed ",
                userId="u1",
                properties={
                    "order_id": 1001,
                    "revenue": 49.9,
                    "value": 50,
                    "currency": "EUR",
                    "sku": "lamp-1",
                },
                context={
                    "page": {
                        "url": "https://s.example/pay?x=1",
                        "path": "/pay",
                        "search": "?x=1",
                        "referrer": "r",
                    },
                    "campaign": {
                        "name": "spring",
                        "source": "news",
                        "medium": "email",
                        "term": "t",
                        "content": "c",
                    },
                    "library": {"name": "analytics.js"},
                    "locale": "de-DE",
                },
            )
        ],
    )
    event = only(read(path))
    assert {name: event[name] for name in event if name not in {"src_file", "properties"}} == {
        "anonymous_id": "a1",
        "user_id": "u1",
        "timestamp": dt.datetime(2025, 3, 1, 10, 0, 0, 150_000, UTC),
        "received_at": dt.datetime(2025, 3, 1, 10, 0, 0, 350_000, UTC),
        "time_quality": "exact",
        "seq": 1,
        "event": "Order Completed",
        "event_id": "m1",
        "source": "segment",
        "source_kind": "clickstream",
        "actor": "customer",
        "channel": "web",
        "url": "https://s.example/pay?x=1",
        "path": "/pay?x=1",
        "referrer": "r",
        "utm_source": "news",
        "utm_medium": "email",
        "utm_campaign": "spring",
        "utm_term": "t",
        "utm_content": "c",
        "order_id": "1001",
        "value": Decimal("49.9000"),
        "currency": "EUR",
        "src_row": 1,
    }
    assert json.loads(event["properties"]) == {
        "value": 50,
        "sku": "lamp-1",
        "context": {"library": {"name": "analytics.js"}, "locale": "de-DE"},
    }


def test_a_page_is_a_view_and_its_name_a_property(tmp_path):
    calls = [
        call(type="page", event=None, name="Home", category="Shop", properties={"title": "T", "path": "/"}),
        call(type="screen", event=None, name="Cart", messageId="m2"),
    ]
    events = read(write(tmp_path / "calls.json", calls)).events.to_pylist()
    assert [(one["event"], one["channel"], one["path"]) for one in events] == [
        ("page_view", "web", "/"),
        ("screen_view", "app", None),
    ]
    assert json.loads(events[0]["properties"]) == {"title": "T", "name": "Home", "category": "Shop"}


@pytest.mark.parametrize(
    ("fields", "channel"),
    [
        ({"context": {"library": {"name": "analytics-ios"}}}, "app"),
        ({"context": {"library": {"name": "@segment/analytics-react-native"}}}, "app"),
        ({"context": {"library": {"name": "analytics.js"}}}, "web"),
        ({"context": {"library": {"name": "analytics-node"}}}, None),
        ({"channel": "mobile"}, "app"),
        ({"channel": "server"}, None),
        ({"event": "Email Opened"}, "email"),
    ],
)
def test_the_channel_follows_from_the_kind_of_call_and_the_library(tmp_path, fields, channel):
    event = only(read(write(tmp_path / "calls.json", [call(**fields)])))
    assert event.get("channel") == channel


def test_a_mail_that_was_delivered_is_the_companys_act(tmp_path):
    calls = [call(event="Email Delivered"), call(event="Email Opened", messageId="m2")]
    batch = read(write(tmp_path / "calls.json", calls))
    assert batch.events["actor"].to_pylist() == ["company", "customer"]


def test_what_is_no_number_is_no_amount(tmp_path):
    calls = [
        call(properties={"value": "blue", "total": "12.5"}),
        call(properties={"value": "blue"}, messageId="m2"),
        call(properties={"value": True, "revenue": 1e300}, messageId="m3"),
    ]
    events = read(write(tmp_path / "calls.json", calls)).events.to_pylist()
    assert [str(one["value"]) for one in events] == ["12.5000", "None", "None"]
    assert json.loads(events[1]["properties"]) == {"value": "blue"}


def test_the_device_and_robots_are_told_by_the_user_agent(tmp_path):
    agents = {
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148": ("mobile", False),
        "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X)": ("tablet", False),
        "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0": ("desktop", False),
        "Mozilla/5.0 (compatible; Googlebot/2.1)": ("desktop", True),
        "python-requests/2.32": (None, True),
    }
    calls = [call(context={"userAgent": agent}) for agent in agents]
    source = loaders.segment(write(tmp_path / "calls.json", calls))
    events = whole(source.batches()).events.to_pylist()
    assert source.keep == ("device",)
    assert [(one["device"], one["is_bot"]) for one in events] == list(agents.values())
    said = call(context={"userAgent": "Mozilla/5.0 (X11)", "device": {"type": "ios"}})
    assert only(read(write(tmp_path / "said.json", [said])))["device"] == "ios"
    own = call(properties={"device": "kiosk"}, context={"device": {"type": "ios"}})
    assert only(read(write(tmp_path / "own.json", [own])))["device"] == "kiosk"


def test_identify_group_and_alias_are_links_and_attributes_and_no_events(tmp_path):
    calls = [
        call(
            type="identify", event=None, userId=7, traits={"email": " Ada@X.org ", "plan": "pro", "age": 36.0}
        ),
        call(type="identify", event=None, traits={"email": "nobody@x.org"}),
        call(type="group", event=None, userId=7, groupId="g1", traits={"size": 20}),
        call(type="alias", event=None, anonymousId=None, userId="7", previousId="old"),
        call(context={"active": False}),
        call(),
    ]
    batch = read(write(tmp_path / "calls.json", calls))
    assert (batch.events.num_rows, batch.n_excluded) == (1, 5)
    assert [(one["alias"], one["user_id"]) for one in batch.links.to_pylist()] == [
        ("a1", "7"),
        ("email:ada@x.org", "7"),
        ("old", "7"),
    ]
    assert {(one["user_id"], one["attribute"], one["value"]) for one in batch.customers.to_pylist()} == {
        ("7", "email", " Ada@X.org "),
        ("7", "plan", "pro"),
        ("7", "age", "36"),
        ("7", "account_id", "g1"),
        ("7", "account.size", "20"),
    }
    assert batch.customers["timestamp"].null_count == 0


def test_calls_that_cannot_be_used_are_rejects(tmp_path):
    calls = [
        call(anonymousId=None),
        call(timestamp="yesterday"),
        call(timestamp=None),
        call(event=None),
        call(type="beacon"),
        call(type=None),
        '{"type": "track",',
        call(timestamp=None, originalTimestamp="2025-03-01T10:00:00Z"),
    ]
    batch = read(write(tmp_path / "calls.json", calls))
    found = dict(zip(batch.rejects["src_row"].to_pylist(), batch.rejects["reason"].to_pylist(), strict=True))
    assert found.pop(7).startswith("no JSON: ")
    assert found == {
        1: "no customer: all of user_id, anonymous_id are empty",
        2: "timestamp is no time that can be read: 'yesterday'",
        3: "no time: timestamp is empty",
        4: "no event name: event is empty",
        5: "an unknown type of call: 'beacon'",
        6: "no type of call",
    }
    assert json.loads(batch.rejects["raw"][1].as_py())["timestamp"] == "yesterday"
    assert batch.events["src_row"].to_pylist() == [8]


def test_parts_of_a_call_that_are_no_objects_do_no_harm(tmp_path):
    strange = call(context="x", properties=[1], traits=3)
    page = call(
        type="page", event=None, context={"page": None, "library": "x", "campaign": 3}, properties={"path": 3}
    )
    batch = read(write(tmp_path / "calls.json", [strange, page]))
    assert batch.events["event"].to_pylist() == ["Product Viewed", "page_view"]


def test_properties_and_context_can_be_kept(tmp_path):
    calls = [call(properties={"sku": "a", "deep": {"n": 1}}, context={"locale": "de"}), call(messageId="m2")]
    source = loaders.segment(write(tmp_path / "calls.json", calls), keep=["sku", "deep.n", "context.locale"])
    events = whole(source.batches()).events
    assert source.keep == ("sku", "deep.n", "context.locale", "device")
    assert events["sku"].to_pylist() == ["a", None]
    assert events["deep.n"].to_pylist() == [1, None]
    assert events["context.locale"].to_pylist() == ["de", None]
    with pytest.warns(UserWarning, match="keep='skus' is in no call of segment. Did you mean 'sku'"):
        read(tmp_path / "calls.json", keep=["skus"])


def test_blocks_and_packing_change_nothing(tmp_path, monkeypatch):
    calls = [call(messageId=f"m{n}", properties={"n": n}) for n in range(500)]
    path = write(tmp_path / "calls.json", calls)
    packed = tmp_path / "packed.json.gz"
    with pa.output_stream(str(packed), compression="gzip") as stream:
        stream.write(path.read_bytes())
    at_once = read(path).events.drop_columns(["src_file"]).to_pylist()
    assert len(at_once) == 500
    assert read(packed).events.drop_columns(["src_file"]).to_pylist() == at_once
    for size in ("_JSON_BLOCK", "_COLUMN_BLOCK"):
        monkeypatch.setattr(f"cjm_analytics.loaders.json_files.{size}", 900)
    assert read(path).events.drop_columns(["src_file"]).to_pylist() == at_once


def test_an_empty_export_is_no_event(tmp_path):
    assert read(write(tmp_path / "calls.json", [])).n_read == 0
    (tmp_path / "tracks.csv").write_text("id,anonymous_id,user_id,event,event_text,timestamp,received_at\n")
    assert read(tmp_path / "tracks.csv").n_read == 0


def test_what_is_no_export_of_segment_is_refused(tmp_path):
    (tmp_path / "log.csv").write_text("who,at\nann,2025\n")
    with pytest.raises(InputError, match=r"no export of Segment: .* Columns: who, at. .* cjm.loaders.table"):
        loaders.segment(tmp_path / "log.csv")


# Warehouse

CONTEXT = "context_page_path,context_page_search,context_library_name"
TRACKS = f"""id,anonymous_id,user_id,event,event_text,timestamp,received_at,{CONTEXT}
m1,a1,,product_added,Product Added,2025-03-02 20:10:00.15,2025-03-02T20:10:00.350Z,/p,?x=1,analytics.js
m2,a1,u1,order_completed,Order Completed,2025-03-02 20:15:30 UTC,2025-03-02T20:15:30.850Z,/pay,,analytics-ios
"""
ORDERS = """id,anonymous_id,user_id,event,event_text,timestamp,received_at,order_id,revenue,coupon
m2,a1,u1,order_completed,Order Completed,2025-03-02T20:15:30Z,2025-03-02T20:15:30.850Z,1001,49.90,SPRING
"""
PAGES = """id,anonymous_id,user_id,timestamp,received_at,name,path,search,url,title
p1,a1,,2025-03-02T20:00:00Z,2025-03-02T20:00:01Z,Home,/,,https://s.example/,Welcome
"""
IDENTIFIES = """id,anonymous_id,user_id,timestamp,received_at,email,plan,context_ip
i1,a1,u1,2025-03-02T20:12:00Z,2025-03-02T20:12:00Z,ada@x.org,pro,203.0.113.1
"""
USERS = "id,received_at,email,plan\nu2,2025-03-02T20:12:00Z,bob@x.org,free\n"


def warehouse(folder, **tables):
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_warehouse_tables_become_events_links_and_attributes(tmp_path):
    folder = warehouse(tmp_path, tracks=TRACKS, pages=PAGES, identifies=IDENTIFIES, users=USERS)
    batch = read(folder)
    found = (
        batch.events.sort_by("timestamp")
        .select(["event", "event_id", "channel", "path", "user_id"])
        .to_pylist()
    )
    assert [tuple(one.values()) for one in found] == [
        ("page_view", "p1", "web", "/", None),
        ("Product Added", "m1", "web", "/p?x=1", None),
        ("Order Completed", "m2", "app", "/pay", "u1"),
    ]
    assert (batch.n_excluded, batch.rejects.num_rows) == (2, 0)
    assert {(one["alias"], one["user_id"]) for one in batch.links.to_pylist()} == {
        ("a1", "u1"),
        ("email:ada@x.org", "u1"),
        ("email:bob@x.org", "u2"),
    }
    assert {(one["user_id"], one["attribute"], one["value"]) for one in batch.customers.to_pylist()} == {
        ("u1", "email", "ada@x.org"),
        ("u1", "plan", "pro"),
        ("u2", "email", "bob@x.org"),
        ("u2", "plan", "free"),
    }


def test_an_event_with_a_table_of_its_own_is_not_taken_from_tracks_again(tmp_path):
    batch = read(warehouse(tmp_path, tracks=TRACKS, order_completed=ORDERS))
    events = {one["event"]: one for one in batch.events.to_pylist()}
    assert sorted(events) == ["Order Completed", "Product Added"]
    assert events["Order Completed"]["order_id"] == "1001"
    assert str(events["Order Completed"]["value"]) == "49.9000"
    assert json.loads(events["Order Completed"]["properties"]) == {"coupon": "SPRING"}
    assert (batch.n_read, batch.n_excluded) == (3, 1)


@pytest.mark.parametrize(
    "called",
    [
        "{}", "{}-000000000000", "{}_0_0_0", "{}0000_part_00", "prod.{}", "{}_view", "{}/part-0",
        "{}/000000000000", "{}/data_0_0_0", "{}/part-00000-c2f1.snappy",
    ],
)  # fmt: skip
def test_a_table_is_known_by_whatever_name_its_warehouse_gave_the_file(called, tmp_path):
    for table, text in (("tracks", TRACKS), ("order_completed", ORDERS), ("identifies", IDENTIFIES)):
        path = tmp_path / f"{called.format(table)}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    batch = read(tmp_path)
    assert sorted(batch.events["event"].to_pylist()) == ["Order Completed", "Product Added"]
    assert (batch.n_excluded, batch.customers.num_rows) == (2, 2)


@pytest.mark.parametrize(
    ("event", "another"),
    [("product_view", "product"), ("step_2", "step"), ("data_sent", "data"), ("part_added", "part")],
)
def test_an_event_whose_name_ends_or_begins_like_that_of_a_part_is_still_itself(event, another, tmp_path):
    ours, other = ORDERS.replace("order_completed", event), TRACKS.replace("product_added", another)
    warehouse(tmp_path, tracks=other.replace("order_completed", event), **{event: ours})
    assert sorted(read(tmp_path).events["event"].to_pylist()) == ["Order Completed", "Product Added"]


def test_tables_may_be_folders_of_parquet_files(tmp_path):
    rows = pd.read_csv(warehouse(tmp_path, tracks=TRACKS) / "tracks.csv")
    rows["timestamp"] = pd.to_datetime(rows["timestamp"].str.removesuffix(" UTC"), format="mixed")
    (tmp_path / "out" / "tracks").mkdir(parents=True)
    rows.to_parquet(tmp_path / "out" / "tracks" / "part-0.parquet")
    events = read(tmp_path / "out").events
    assert events["event"].to_pylist() == ["Product Added", "Order Completed"]
    assert events["timestamp"].to_pylist()[0] == dt.datetime(2025, 3, 2, 20, 10, 0, 150_000, UTC)


# The story and the samples

NAMES = {
    "page_view": "page_view",
    "add_to_cart": "Product Added",
    "login": "Signed In",
    "begin_checkout": "Checkout Started",
    "purchase": "Order Completed",
}


def test_the_story_in_raw_calls(shared_data):
    folder = shared_data / "formats/_synthetic"
    story = pd.read_csv(folder / "expected.csv")
    batch = read(folder / "segment/1740823200_segment_s3.json.gz")
    events = batch.events.to_pandas().drop_duplicates("event_id").sort_values("event_id", ignore_index=True)
    assert batch.events.num_rows == len(story) + 1
    assert events["event_id"].tolist() == [f"ajs-{one}" for one in story["event_id"]]
    assert events["event"].tolist() == [NAMES[one] for one in story["event"]]
    lag = events["timestamp"] - pd.to_datetime(story["ts"])
    assert (lag == pd.Timedelta("150ms")).all()
    for name in ("anonymous_id", "user_id", "path", "channel"):
        assert events[name].where(events[name].notna(), None).tolist() == (
            story[name].where(story[name].notna(), None).tolist()
        )
    purchase = events[events["event"] == "Order Completed"].iloc[0]
    assert (purchase["order_id"], str(purchase["value"]), purchase["currency"]) == ("1001", "49.9000", "EUR")
    assert events["utm_source"].dropna().tolist() == ["newsletter", "google"]


def test_the_story_in_warehouse_tables(shared_data):
    folder = shared_data / "formats/_synthetic/segment"
    batch = read([folder / "tracks.csv", folder / "identifies.csv"])
    assert batch.events["event"].to_pylist() == [
        "Product Added",
        "Signed In",
        "Checkout Started",
        "Order Completed",
        "Checkout Started",
        "Checkout Started",
    ]
    assert batch.events["path"].to_pylist()[0] == "/product/lamp-1"
    assert {one["alias"] for one in batch.links.to_pylist()} == {
        "a1a1a1a1-0000-4000-8000-000000000001",
        "email:ada@example.com",
    }


def test_the_samples_of_the_project_are_read_whole(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = read(root / "data/samples/clickstream.jsonl.gz")
    assert batch.n_read > 40_000
    assert batch.rejects.num_rows < 5
    assert set(batch.events["device"].unique().to_pylist()) >= {"mobile", "desktop"}


def test_rudderstack_tells_the_channel_and_keeps_traits_in_the_context(tmp_path):
    told = {
        "timestamp": "2025-03-01T10:00:00Z",
        "anonymousId": "a1",
        "context": {"sessionId": 17, "traits": {}},
    }
    calls = [
        {**told, "type": "track", "event": "X", "messageId": "m1", "channel": "mobile"},
        {**told, "type": "track", "event": "Y", "messageId": "m2", "channel": "server"},
        {**told, "type": "identify", "userId": "ann", "messageId": "m3",
         "context": {"traits": {"email": "ANN@shop.example", "plan": "pro"}}},
    ]  # fmt: skip
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    raw = whole(loaders.rudderstack(path).batches())
    tracks = pa.table(
        {
            "id": ["m1", "m2"], "anonymous_id": ["a1", "a1"], "event": ["x", "y"], "event_text": ["X", "Y"],
            "timestamp": ["2025-03-01T10:00:00Z"] * 2, "channel": ["mobile", "server"],
            "context_session_id": [17, 17],
        }
    )  # fmt: skip
    for batch in (raw, whole(loaders.rudderstack(tracks).batches())):
        assert batch.events.select(["event", "channel", "session_id"]).to_pylist() == [
            {"event": "X", "channel": "app", "session_id": "a1:17"},
            {"event": "Y", "channel": None, "session_id": "a1:17"},
        ]
    assert {(one["attribute"], one["value"]) for one in raw.customers.to_pylist()} == {
        ("email", "ANN@shop.example"), ("plan", "pro"),
    }  # fmt: skip
    links = {(one["alias"], one["user_id"]) for one in raw.links.to_pylist()}
    assert links == {("a1", "ann"), ("email:ann@shop.example", "ann")}


def test_chats_have_a_channel_and_the_key_of_their_conversation(tmp_path):
    call = {"type": "track", "event": "Live Chat Message Sent", "userId": "ann", "messageId": "m1",
            "timestamp": "2025-03-01T10:00:00Z", "properties": {"conversation_id": 7}}  # fmt: skip
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps(call))
    tracks = pa.table(
        {
            "id": ["m1"], "user_id": ["ann"], "event_text": ["Live Chat Message Sent"], "event": ["x"],
            "timestamp": ["2025-03-01T10:00:00Z"], "conversation_id": [7],
        }
    )  # fmt: skip
    for source in (path, tracks):
        batch = whole(loaders.segment(source).batches())
        assert batch.events.select(["channel", "ticket_id"]).to_pylist() == [
            {"channel": "chat", "ticket_id": "7"}
        ]
