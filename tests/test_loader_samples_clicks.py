"""Real exports of clickstream vendors, read whole, beside what a plain reading of their lines says."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re

import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.loaders.source import whole

LINE = re.compile(
    r'^(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)'
    r'(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?(.*)$'
)
"""A line of an access log, as it is documented."""

PAGES = {"GET", "POST"}
STATIC = (".css", ".js", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".svg", ".woff", ".ttf", ".txt", ".xml")


def sample(shared_data, *place):
    path = shared_data.joinpath(*place)
    if not path.exists():
        pytest.skip(f"no sample at {path}")
    return path


def read(stream):
    batch = whole(stream.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def unescaped(text):
    return text.encode().decode("unicode_escape") if "\\" in text else text


@pytest.mark.parametrize(
    "place", [("formats", "access_logs", "apache_combined_400.log"), ("access_log", "apache_logs")]
)
def test_every_line_of_an_access_log(place, shared_data):
    path = sample(shared_data, *place)
    lines = [LINE.match(line) for line in path.read_text().splitlines()]
    assert None not in lines
    batch = read(
        cjm.loaders.access_log(path, statuses=range(600), assets=True, keep=["status", "host", "agent"])
    )
    wanted = [one for one in lines if one[5].partition(" ")[0] in PAGES]
    assert batch.rejects.num_rows == 0
    assert batch.n_read == len(lines)
    events = batch.events.to_pylist()
    assert len(events) == len(wanted)
    for event, line in zip(events, wanted, strict=True):
        assert event["timestamp"] == dt.datetime.strptime(line[4], "%d/%b/%Y:%H:%M:%S %z")
        assert (event["host"], event["status"]) == (line[1], line[6])
        assert event["path"] == unescaped(line[5].split(" ")[1])
        assert event["referrer"] == (None if line[8] in {None, "", "-"} else unescaped(line[8]))
        assert event["user_id"] == (None if line[3] == "-" else line[3])


def test_contacts_of_an_access_log(shared_data):
    path = sample(shared_data, "formats", "access_logs", "apache_combined_400.log")
    batch = read(cjm.loaders.access_log(path))
    kept = 0
    for line in path.read_text().splitlines():
        found = LINE.match(line)
        method, target, *_ = found[5].split(" ")
        bare = re.sub(r"[?#].*", "", target).lower()
        kept += method in PAGES and found[6] in {"200", "302", "304"} and not bare.endswith(STATIC)
    assert batch.n_read == 400
    assert batch.events.num_rows == kept
    # The same visitor has the same id on one day, and another one on the next.
    frame = batch.events.to_pandas()
    days = frame.groupby("anonymous_id")["timestamp"].agg(lambda times: times.dt.date.nunique())
    assert days.max() == 1


def test_the_rows_of_snowplow(shared_data):
    path = sample(shared_data, "formats", "snowplow", "snowplow_web_events.csv")
    rows = rows_of(path)
    heartbeats = sum(row["event"] == "page_ping" for row in rows)
    batch = read(cjm.loaders.snowplow(path))
    nobody = {"", "00000000-0000-0000-0000-000000000000"}
    ids = ("user_id", "domain_userid", "network_userid")
    nameless = [row for row in rows if row["event"] != "page_ping" and all(row[one] in nobody for one in ids)]
    assert batch.n_read == len(rows) == 160
    assert batch.n_nameless <= len(nameless)
    assert batch.events.num_rows == len(rows) - heartbeats - batch.n_nameless
    assert batch.rejects.num_rows == 0
    assert read(cjm.loaders.snowplow(path, page_pings=True)).n_excluded == batch.n_nameless + sum(
        row["event"] == "page_ping" and all(row[one] in nobody for one in ids) for row in rows
    )
    ours = [event for event in batch.events.to_pylist() if event["event"] == "page_view"]
    theirs = {row["event_id"]: row for row in rows if row["event"] == "page_view"}
    assert len(ours) == sum(row["event"] == "page_view" for row in rows)
    for event in ours:
        row = theirs[event["event_id"].partition(":")[0]]
        assert event["url"] == (row["page_url"] or None)
        assert event["anonymous_id"] in {row["domain_userid"], row["network_userid"]}
    events = cjm.ingest(cjm.loaders.snowplow(path), progress=False, max_reject_share=0.5)
    apart = {(row["event_id"], row["event_fingerprint"]) for row in rows if row["event"] != "page_ping"}
    assert len(events) <= len(apart)


def test_the_rows_of_amplitude(shared_data):
    folder = sample(shared_data, "formats", "amplitude")
    rows = rows_of(folder / "amplitude_event_data.csv")
    batch = read(cjm.loaders.amplitude(folder / "amplitude_event_data.csv"))
    costs = [row for row in rows if row["library"].lower().endswith("_ads")]
    named = [row for row in rows if row not in costs and (row["user_id"] or row["device_id"])]
    assert batch.n_read == len(rows) == 10
    assert batch.events.num_rows == len(named)
    assert sorted(batch.events["event"].to_pylist()) == sorted(row["event_type"] for row in named)
    first = pd.Timestamp(min(row["event_time"] for row in named), tz="UTC")
    assert pd.Timestamp(min(batch.events["timestamp"].to_pylist())) == first if named else True


def test_the_rows_of_mixpanel(shared_data):
    path = sample(shared_data, "formats", "mixpanel", "fivetran_event.csv")
    rows = rows_of(path)
    batch = read(cjm.loaders.mixpanel(path, keep=["title", "video_id"]))
    assert batch.n_read == batch.events.num_rows == len(rows) == 5
    assert batch.events["event"].to_pylist() == [row["name"] for row in rows]
    said = [json.loads(row["properties"]) for row in rows]
    assert batch.events["title"].to_pylist() == [one.get("title") for one in said]
    assert batch.events["anonymous_id"].to_pylist() == [row["distinct_id"] for row in rows]
    times = [pd.Timestamp(row["time"], tz="UTC") for row in rows]
    assert [pd.Timestamp(one) for one in batch.events["timestamp"].to_pylist()] == times


def test_the_rows_of_ga4_without_anybody(shared_data):
    folder = sample(shared_data, "formats", "ga4")
    for path in sorted(folder.glob("base_*.jsonl")):
        lines = path.read_text().splitlines()
        batch = read(cjm.loaders.ga4(path))
        assert (batch.n_read, batch.n_nameless, batch.events.num_rows) == (len(lines), len(lines), 0)
        # The same rows with a device are events, and of rows that are the same one is left.
        rows = [json.loads(line) | {"user_pseudo_id": "d1"} for line in lines]
        held = {name: [row.get(name) for row in rows] for name in rows[0]}
        events = cjm.ingest(cjm.loaders.ga4(held), progress=False).to_frame()
        assert len(events) == len({json.dumps(row, sort_keys=True) for row in rows})
        sessions = {(row["stream_id"], row["event_params"][0]["value"]["int_value"]) for row in rows}
        assert set(events["session_id"]) == {f"d1:{stream}:{one}" for stream, one in sessions}
