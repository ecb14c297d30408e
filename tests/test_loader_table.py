"""The generic loader: what becomes of the cells of any table, and what is said about those of no use."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import uuid
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cjm_analytics as cjm
from cjm_analytics import loaders
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.source import whole
from cjm_analytics.schema import LOADED

WHO_WHEN_WHAT = {"customer": "who", "timestamp": "at", "event": "what"}
UTC = dt.UTC


def read(source, **options):
    """Everything that a source gives, after the law of accounting has been held to it."""
    batch = whole(loaders.table(source, **options).batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    for name in batch.events.column_names:
        if name in LOADED.names:
            assert batch.events.schema.field(name).type == LOADED.field(name).type, name
    return batch


def frame(**columns):
    """A table with one customer, one time and one event per row, unless other columns are given."""
    size = len(next(iter(columns.values()))) if columns else 1
    default = {"who": ["ann"] * size, "at": ["2025-03-01T10:00:00Z"] * size, "what": ["visit"] * size}
    return {**default, **columns}


def times_of(cells, **options):
    """(time, quality) of each cell that can be read, and the reasons of the others."""
    batch = read(frame(at=cells), **WHO_WHEN_WHAT, **options)
    found = batch.events.select(["timestamp", "time_quality"]).to_pylist()
    read_times = [
        (one["timestamp"].replace(tzinfo=None).isoformat(sep=" "), one["time_quality"]) for one in found
    ]
    return read_times, batch.rejects["reason"].to_pylist()


def csv_line(cells):
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue().encode()


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return str(path)


LOG = "who,at,what\nann,2025-03-01T10:00:00Z,visit\nbob,2025-03-01T10:00:01Z,buy\n"
LOG_ROWS = [("ann", "visit", 2), ("bob", "buy", 3)]


def rows_of(batch):
    return list(
        zip(*(batch.events[name].to_pylist() for name in ("user_id", "event", "src_row")), strict=True)
    )


# Sources


def test_one_row_becomes_one_canonical_event(tmp_path):
    path = write(tmp_path / "log.csv", LOG)
    batch = read(path, **WHO_WHEN_WHAT)
    assert batch.events.to_pylist()[0] == {
        "user_id": "ann",
        "timestamp": dt.datetime(2025, 3, 1, 10, tzinfo=UTC),
        "time_quality": "second",
        "seq": 2,
        "event": "visit",
        "source": "log",
        "source_kind": "clickstream",
        "actor": "customer",
        "src_file": path,
        "src_row": 2,
    }


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.zst"])
def test_packed_csv_reads_as_plain_csv(tmp_path, ending):
    path = tmp_path / f"log.{ending}"
    with pa.output_stream(str(path), compression="detect") as stream:
        stream.write(LOG.encode())
    source = loaders.table(path, **WHO_WHEN_WHAT)
    assert source.name == "log"
    assert rows_of(whole(source.batches())) == LOG_ROWS


def test_packing_is_told_by_the_bytes_and_not_by_the_name(tmp_path):
    unpacked_by_a_browser = write(tmp_path / "log.csv.gz", LOG)
    assert rows_of(read(unpacked_by_a_browser, **WHO_WHEN_WHAT)) == LOG_ROWS
    packed_without_saying = tmp_path / "packed.csv"
    packed_without_saying.write_bytes(gzip.compress(LOG.encode()))
    assert rows_of(read(packed_without_saying, **WHO_WHEN_WHAT)) == LOG_ROWS


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_packed_json_lines_and_parquet_read_as_plain(tmp_path, packing):
    lines = [{"who": "ann", "at": "2025-03-01T10:00:00Z", "what": "visit"}]
    for ending, content in (
        ("jsonl", b"".join(json.dumps(one).encode() + b"\n" for one in lines)),
        ("parquet", _parquet_bytes(pa.Table.from_pylist(lines))),
    ):
        path = tmp_path / f"log.{ending}{packing}"
        with pa.output_stream(str(path), compression="detect") as stream:
            stream.write(content)
        assert rows_of(read(str(path), **WHO_WHEN_WHAT)) == [("ann", "visit", 1)]


def _parquet_bytes(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_a_json_array_reads_as_its_lines_would(tmp_path):
    rows = [{"who": f"c{n}", "at": "2025-03-01T10:00:00Z", "what": "visit", "n": n} for n in range(3_000)]
    array = write(tmp_path / "array.json", json.dumps(rows, indent=2))
    lines = write(tmp_path / "lines.json", "\n".join(map(json.dumps, rows)))
    one, other = read(array, **WHO_WHEN_WHAT), read(lines, **WHO_WHEN_WHAT)
    leave_out = ["source", "src_file"]
    assert one.events.drop_columns(leave_out).to_pylist() == other.events.drop_columns(leave_out).to_pylist()


def test_a_glob_a_folder_and_a_list_name_the_same_files(tmp_path):
    folder = tmp_path / "logs"
    (folder / "day").mkdir(parents=True)
    for name in ("day/b.csv", "a.csv"):
        write(folder / name, LOG)
    write(folder / "_SUCCESS", "")
    write(folder / ".hidden.csv", "x")
    for source in (folder, f"{folder}/**/*.csv", [folder / "a.csv", folder / "day" / "b.csv"]):
        batch = read(source, **WHO_WHEN_WHAT)
        assert batch.events.num_rows == 4
        assert len(set(batch.events["src_file"].to_pylist())) == 2
    assert loaders.table(folder, **WHO_WHEN_WHAT).name == "logs"


def test_a_relative_path_stays_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "log.csv", LOG)
    assert set(read("log.csv", **WHO_WHEN_WHAT).events["src_file"].to_pylist()) == {"log.csv"}


def test_a_url_of_a_pyarrow_file_system_is_read(tmp_path):
    write(tmp_path / "log.csv", LOG)
    assert rows_of(read(f"file://{tmp_path}/log.csv", **WHO_WHEN_WHAT)) == LOG_ROWS
    assert rows_of(read(f"file://{tmp_path}/*.csv", **WHO_WHEN_WHAT)) == LOG_ROWS


COLUMNS = {
    "who": ["ann", "bob"],
    "at": [dt.datetime(2025, 3, 1, 10, tzinfo=UTC), dt.datetime(2025, 3, 1, 11, tzinfo=UTC)],
    "what": ["visit", "buy"],
    "price": [1.5, None],
}


@pytest.mark.parametrize(
    "make",
    [
        lambda: COLUMNS,
        lambda: pd.DataFrame(COLUMNS),
        lambda: pd.DataFrame(COLUMNS).astype({"what": "category"}),
        lambda: pd.DataFrame(COLUMNS).set_index("who"),
        lambda: pl.DataFrame(COLUMNS),
        lambda: pl.DataFrame(COLUMNS).lazy(),
        lambda: pa.table(COLUMNS),
        lambda: pa.table(COLUMNS).to_batches()[0],
        lambda: pa.table(COLUMNS).to_reader(),
        lambda: duckdb.sql(
            "select 'ann' as who, timestamptz '2025-03-01 10:00+00' as at, 'visit' as what, 1.5e0 as price "
            "union all select 'bob', timestamptz '2025-03-01 11:00:00+00', 'buy', null"
        ),
    ],
    ids=["dict", "pandas", "categorical", "index", "polars", "lazy", "table", "batch", "reader", "duckdb"],
)
def test_every_kind_of_table_in_memory_gives_the_same_events(make):
    batch = read(make(), **WHO_WHEN_WHAT)
    assert rows_of(batch) == [("ann", "visit", 1), ("bob", "buy", 2)]
    assert batch.events["timestamp"].to_pylist() == COLUMNS["at"]
    assert batch.events["properties"].to_pylist() == ['{"price":1.5}', None]
    assert set(batch.events["source"].to_pylist()) == {"table"}


def test_a_source_can_be_read_again_but_a_reader_cannot():
    source = loaders.table(COLUMNS, **WHO_WHEN_WHAT)
    assert [whole(source.batches()).events.num_rows for _ in range(2)] == [2, 2]
    once = loaders.table(pa.table(COLUMNS).to_reader(), **WHO_WHEN_WHAT)
    assert whole(once.batches()).events.num_rows == 2
    with pytest.raises(InputError, match="can be read once only"):
        next(once.batches())


def test_a_large_file_comes_in_bounded_batches(tmp_path):
    n = 700_000
    table = pa.table({"who": np.arange(n) % 1_000, "at": np.arange(n) + 1_740_000_000, "what": ["visit"] * n})
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=n)
    sizes = [
        one.events.num_rows for one in loaders.table(tmp_path / "log.parquet", **WHO_WHEN_WHAT).batches()
    ]
    assert sum(sizes) == n
    assert max(sizes) <= 262_144


# Mapping


def test_columns_with_canonical_names_are_taken_and_the_others_become_properties():
    rows = {
        "user_id": ["7"],
        "timestamp": ["2025-03-01T10:00:00Z"],
        "event": ["answer"],
        "score": ["9"],
        "instrument": ["nps"],
        "ticket_id": ["t1"],
        "color": ["red"],
        "source": ["newsletter"],
    }
    batch = read(rows)
    (event,) = batch.events.to_pylist()
    assert (event["score"], event["instrument"], event["ticket_id"]) == (9.0, "nps", "t1")
    assert (event["source"], event["source_kind"]) == ("table", "survey")
    assert json.loads(event["properties"]) == {"color": "red", "source": "newsletter"}


def test_an_explicit_mapping_wins_and_an_empty_one_leaves_a_column_alone():
    rows = frame(channel=["organic"], medium=["web"])
    (event,) = read(rows, **WHO_WHEN_WHAT, channel="medium").events.to_pylist()
    assert (event["channel"], event["properties"]) == ("web", '{"channel":"organic"}')
    (event,) = read(rows, **WHO_WHEN_WHAT, channel="").events.to_pylist()
    assert json.loads(event["properties"]) == {"channel": "organic", "medium": "web"}


def test_a_constant_fills_its_column():
    batch = read(
        {"who": ["ann"], "at": ["2025-03-01T10:00:00Z"], "n": [4]},
        customer="who",
        timestamp="at",
        event="=order placed",
        channel="=email",
        score="n",
        score_min=0,
        score_max=10,
        actor="=company",
        name="mails",
    )
    (event,) = batch.events.to_pylist()
    assert (event["event"], event["channel"], event["actor"], event["source"]) == (
        "order placed",
        "email",
        "company",
        "mails",
    )
    assert (event["score_min"], event["score"], event["score_max"]) == (0, 4, 10)


def test_ids_stay_text_as_they_were_written(tmp_path):
    path = write(tmp_path / "log.csv", "who,at,what\n007,2025-03-01T10:00:00Z,visit\n")
    assert read(path, **WHO_WHEN_WHAT).events["user_id"].to_pylist() == ["007"]
    ids = ["  Ann ", "e\u0301va", "Ada@Example.COM", 17.0, 5, True]
    batch = read(pd.DataFrame(frame(who=ids)), **WHO_WHEN_WHAT)
    assert batch.events["user_id"].to_pylist() == ["Ann", "éva", "ada@example.com", "17", "5", "true"]
    whole_floats = read(frame(who=[17.0, 18.0]), **WHO_WHEN_WHAT)
    assert whole_floats.events["user_id"].to_pylist() == ["17", "18"]


def test_an_id_that_a_float_cannot_hold_is_a_reject():
    batch = read(frame(who=[1.0, 2.0**60]), **WHO_WHEN_WHAT)
    assert batch.rejects["reason"].to_pylist() == [
        "who 1.152921504606847e+18 is a number too large to be exact; export ids as text"
    ]


def test_event_names_are_trimmed_and_never_rewritten():
    batch = read(frame(what=[" Product Viewed ", "product viewed"]), **WHO_WHEN_WHAT)
    assert batch.events["event"].to_pylist() == ["Product Viewed", "product viewed"]


def test_an_email_is_an_alias_of_the_user_or_stands_for_one():
    rows = frame(who=["u1", None, None], mail=["Ada@X.org", "bob@x.org", None])
    batch = read(rows, **WHO_WHEN_WHAT, email="mail")
    ids = list(
        zip(batch.events["user_id"].to_pylist(), batch.events["anonymous_id"].to_pylist(), strict=True)
    )
    assert ids == [("u1", None), (None, "email:bob@x.org")]
    assert batch.rejects["reason"].to_pylist() == ["no customer: all of who, mail are empty"]
    (link,) = batch.links.to_pylist()
    assert (link["alias"], link["user_id"]) == ("email:ada@x.org", "u1")
    assert link["timestamp"] == dt.datetime(2025, 3, 1, 10, tzinfo=UTC)


def test_an_email_beside_a_device_is_the_devices():
    rows = frame(
        who=["u1", None, None, None],
        device=["d1", "d2", None, "d3"],
        mail=["ada@x.org", "Bob@x.org", "eve@x.org", None],
    )
    batch = read(rows, **WHO_WHEN_WHAT, email="mail", anonymous_id="device")
    links = [(one["alias"], one["user_id"], one["kind"]) for one in batch.links.to_pylist()]
    assert sorted(links) == [("d2", "email:bob@x.org", "alias"), ("email:ada@x.org", "u1", None)]
    assert batch.events["anonymous_id"].to_pylist() == ["d1", "d2", "email:eve@x.org", "d3"]


def test_the_path_follows_from_the_url():
    urls = ["https://shop.example/a/b?q=1#top", "https://shop.example", "//cdn.example/x", "/already", None]
    batch = read(frame(url=urls), **WHO_WHEN_WHAT)
    assert batch.events["path"].to_pylist() == ["/a/b?q=1", "/", "/x", "/already", None]


def test_an_invite_is_the_companys_act():
    batch = read(frame(what=["survey_invite", "visit"]), **WHO_WHEN_WHAT)
    assert batch.events["actor"].to_pylist() == ["company", "customer"]


def test_amounts_are_exact_decimals(tmp_path):
    path = write(tmp_path / "log.csv", "who;at;what;total\nann;2025-03-01T10:00Z;buy;1234567,89\n")
    batch = read(path, **WHO_WHEN_WHAT, value="total", decimal=",")
    assert [str(one) for one in batch.events["value"].to_pylist()] == ["1234567.8900"]
    frame_amounts = read(frame(total=[49.9, 0.1 + 0.2]), **WHO_WHEN_WHAT, value="total")
    assert [str(one) for one in frame_amounts.events["value"].to_pylist()] == ["49.9000", "0.3000"]


def test_vendor_order_and_event_ids_are_kept():
    rows = frame(n=["3", "1"], id=["a", "b"])
    source = loaders.table(rows, **WHO_WHEN_WHAT, seq="n", event_id="id")
    assert source.dedupe == ("event_id",)
    assert whole(source.batches()).events["seq"].to_pylist() == [3, 1]
    assert loaders.table(rows, **WHO_WHEN_WHAT).dedupe == ()
    assert loaders.table(rows, **WHO_WHEN_WHAT, dedupe=["user_id", "timestamp"]).dedupe == (
        "user_id",
        "timestamp",
    )


# keep and properties


def test_kept_columns_follow_the_canonical_ones_with_their_own_types():
    rows = frame(device=["phone", None], size=[3, 4], ratio=[0.5, 1.5], ok=[True, False])
    source = loaders.table(rows, **WHO_WHEN_WHAT, keep=["device", "size", "ratio", "ok"])
    assert source.keep == ("device", "size", "ratio", "ok")
    events = whole(source.batches()).events
    assert events.column_names[-4:] == ["device", "size", "ratio", "ok"]
    assert [str(events.schema.field(name).type) for name in ("size", "ratio", "ok")] == [
        "int64",
        "double",
        "bool",
    ]
    assert events["device"].to_pylist() == ["phone", None]
    assert "properties" not in events.column_names


def test_kept_csv_text_becomes_a_number_only_when_asked(tmp_path):
    path = write(tmp_path / "log.csv", "who,at,what,zip\nann,2025-03-01,x,01067\nann,2025-03-02,x,n/a\n")
    assert read(path, **WHO_WHEN_WHAT, tz="UTC", keep=["zip"]).events["zip"].to_pylist() == ["01067", "n/a"]
    typed = read(path, **WHO_WHEN_WHAT, tz="UTC", keep={"zip": int})
    assert typed.events["zip"].to_pylist() == [1067]
    assert typed.rejects["reason"].to_pylist() == [
        "zip is no number: 'n/a' (all of zip is int64 here; both are kept as text: keep={'zip': str})"
    ]


def test_members_of_json_are_kept_by_their_path(tmp_path):
    lines = [
        {**dict(zip(("who", "at", "what"), ("ann", "2025-03-01T10:00:00Z", "visit"), strict=True)), **more}
        for more in (
            {"properties": {"device": "phone", "a": {"b": 1}}, "x": 1},
            {"properties": {"device": "tv"}},
            {},
        )
    ]
    path = write(tmp_path / "log.jsonl", "\n".join(map(json.dumps, lines)))
    batch = read(path, **WHO_WHEN_WHAT, keep=["device", "properties.a.b"])
    assert batch.events["device"].to_pylist() == ["phone", "tv", None]
    assert batch.events["a.b"].to_pylist() == [1, None, None]
    assert json.loads(batch.events["properties"][0].as_py()) == {"device": "phone", "a": {"b": 1}, "x": 1}


def test_a_kept_member_that_no_row_holds_is_said(tmp_path):
    path = write(
        tmp_path / "log.jsonl", '{"who":"ann","at":"2025-03-01T10:00:00Z","what":"visit","device":"tv"}\n'
    )
    with pytest.warns(UserWarning, match="No row of log holds 'devise'. Did you mean 'device'"):
        read(path, **WHO_WHEN_WHAT, keep=["devise"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | st.text(),
                "number": st.none() | st.integers(-(2**60), 2**60),
                "real": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "flag": st.none() | st.booleans(),
                "list": st.none() | st.lists(st.text(max_size=3), max_size=2),
            }
        ),
        min_size=1,
        max_size=30,
    )
)
def test_properties_are_json_of_what_was_there(rows):
    columns = {name: [one[name] for one in rows] for name in rows[0]}
    columns["list"] = pa.array(columns["list"], pa.list_(pa.string()))
    columns["text"] = pa.array(columns["text"], pa.string())
    expected = [{k: v for k, v in one.items() if v is not None} for one in rows]
    batch = read(pa.table(frame(**columns)), **WHO_WHEN_WHAT)
    if "properties" not in batch.events.column_names:
        assert not any(expected)
        return
    found = [json.loads(one) if one is not None else {} for one in batch.events["properties"].to_pylist()]
    assert found == expected


# Times


@pytest.mark.parametrize(
    ("cell", "time", "quality"),
    [
        ("2025-03-01T10:00:00.123Z", "2025-03-01 10:00:00.123000", "exact"),
        ("2025-03-01 10:00:00.123456789 UTC", "2025-03-01 10:00:00.123456", "exact"),
        ("2025-03-01T10:00:00+01:00", "2025-03-01 09:00:00", "second"),
        ("2025-03-01 10:00:00 +0100", "2025-03-01 09:00:00", "second"),
        ("2025-03-01T10:00+01", "2025-03-01 09:00:00", "minute"),
        ("2025-03-01T10:00:00", "2025-03-01 09:00:00", "second"),
        ("2025-07-01 10:00", "2025-07-01 08:00:00", "minute"),
        ("2025-07-01 10:00:00,5", "2025-07-01 08:00:00.500000", "exact"),
        ("2025-07-01", "2025-07-01 10:00:00", "date"),
        ("1740823200", "2025-03-01 10:00:00", "second"),
        ("1740823200123", "2025-03-01 10:00:00.123000", "exact"),
        (1740823200, "2025-03-01 10:00:00", "second"),
        (1740823200.5, "2025-03-01 10:00:00.500000", "exact"),
        (1740823200123456, "2025-03-01 10:00:00.123456", "exact"),
        (1740823200123456789, "2025-03-01 10:00:00.123456", "exact"),
        (dt.date(2025, 7, 1), "2025-07-01 10:00:00", "date"),
        (pd.Timestamp("2025-07-01 10:00"), "2025-07-01 08:00:00", "exact"),
        (pd.Timestamp("2025-07-01 10:00", tz="America/New_York"), "2025-07-01 14:00:00", "exact"),
    ],
)
def test_a_time_is_read_with_its_precision(cell, time, quality):
    assert times_of([cell], tz="Europe/Berlin") == ([(time, quality)], [])


def test_one_column_may_hold_several_ways_of_writing():
    cells = ["2025-03-01T10:00:00Z", "2025-03-01 10:00", None, "yesterday", " 2025-03-01 ", "2025-13-01"]
    found, reasons = times_of(cells, tz="UTC")
    assert found == [
        ("2025-03-01 10:00:00", "second"),
        ("2025-03-01 10:00:00", "minute"),
        ("2025-03-01 12:00:00", "date"),
    ]
    assert reasons == [
        "no time: at is empty",
        "at is no time that can be read without timestamp_format=: 'yesterday'",
        "at is no time that can be read without timestamp_format=: '2025-13-01'",
    ]


def test_the_skipped_hour_is_a_reject_and_the_repeated_one_is_the_first_and_marked():
    cells = ["2025-03-30 01:59:59", "2025-03-30 02:30:00", "2025-10-26 02:30:00", "2025-10-26 03:00:00"]
    found, reasons = times_of(cells, tz="Europe/Berlin")
    assert found == [
        ("2025-03-30 00:59:59", "second"),
        ("2025-10-26 00:30:00", "inferred"),
        ("2025-10-26 02:00:00", "second"),
    ]
    assert reasons == [
        "at 2025-03-30 02:30:00 does not exist in Europe/Berlin: the clocks went forward over it"
    ]


def test_a_time_may_name_its_zone():
    cells = [
        "2025-03-30 01:59:59[Europe/Berlin]",
        "2025-03-30 02:30:00[Europe/Berlin]",
        "2025-03-09T06:00:00.5[America/Denver]",
        "2025-07-01T12:00:00+02:00[Europe/Berlin]",
        "2025-07-01 12:00:00[UTC]",
    ]
    found, reasons = times_of(cells)
    assert found == [
        ("2025-03-30 00:59:59", "second"),
        ("2025-03-09 12:00:00.500000", "exact"),
        ("2025-07-01 10:00:00", "second"),
        ("2025-07-01 12:00:00", "second"),
    ]
    assert len(reasons) == 1
    assert "2025-03-30 02:30:00 does not exist in Europe/Berlin" in reasons[0]
    with pytest.raises(UnknownNameError, match="Europe/Berlin"):
        times_of(["2025-07-01 12:00:00[Europe/Berlim]"])


@pytest.mark.parametrize(
    "cells",
    [["2025-03-01 10:00"], [pd.Timestamp("2025-03-01 10:00")], [dt.date(2025, 3, 1)], ["2025-03-01"]],
)
def test_a_time_without_a_zone_is_never_guessed(cells):
    with pytest.raises(InputError, match=r"carry no time zone .* tz='Europe/Berlin', or tz='UTC'"):
        times_of(cells)


def test_epochs_of_two_sizes_in_one_file_are_an_error_that_names_rows():
    with pytest.raises(InputError, match="row 1 looks like s, row 3 like ms since 1970"):
        times_of([1740823200, 1740823201, 1740823200000])
    with pytest.raises(InputError, match="mix units"):
        times_of(["1740823200", "1740823200000"])


def test_epochs_of_two_sizes_are_found_across_blocks():
    n = 140_000
    at = np.full(n, 1_740_823_200)
    at[-1] *= 1_000
    rows = {"who": np.zeros(n, int), "at": at, "what": ["x"] * n}
    with pytest.raises(InputError, match="row 1 looks like s, row 140,000 like ms"):
        list(loaders.table(rows, **WHO_WHEN_WHAT).batches())


def test_a_unit_that_was_said_holds_for_every_size():
    assert times_of([1740823200, 100], unit="s")[0] == [
        ("2025-03-01 10:00:00", "second"),
        ("1970-01-01 00:01:40", "second"),
    ]
    _, reasons = times_of([1740823200, 0])
    assert reasons == ["at 0 is too small to tell whether it counts s, ms, µs or ns; say unit="]


def test_a_date_that_can_be_read_in_two_ways_is_an_error():
    with pytest.raises(InputError, match=r"two ways \(row 1: '01/02/2025'\). Say dayfirst=True"):
        times_of(["01/02/2025"], tz="UTC")
    cells = ["01/02/2025 10:00", "1.2.2025 9:05", "25/12/2025"]
    assert times_of(cells, tz="UTC", dayfirst=True)[0] == [
        ("2025-02-01 10:00:00", "minute"),
        ("2025-02-01 09:05:00", "minute"),
        ("2025-12-25 12:00:00", "date"),
    ]
    found, reasons = times_of(cells, tz="UTC", dayfirst=False)
    assert found == [("2025-01-02 10:00:00", "minute"), ("2025-01-02 09:05:00", "minute")]
    assert reasons == ["at is no time that can be read without timestamp_format=: '25/12/2025'"]


@pytest.mark.parametrize(
    ("cell", "decimal", "amount", "currency"),
    [
        ("€ 12,50", ",", "12.5", "EUR"),
        ("1.234,50 €", ",", "1234.5", "EUR"),
        ("1\u202f234,50\u00a0€", ",", "1234.5", "EUR"),
        ("£1,234.50", ".", "1234.5", "GBP"),
        ("12.50 EUR", ".", "12.5", "EUR"),
        ("usd 12.50", ".", "12.5", "USD"),
        ("CHF 1'234.50", ".", "1234.5", "CHF"),
        ("-€5", ".", "-5", "EUR"),
        ("€-5", ".", "-5", "EUR"),
        ("R$ 7", ".", "7", "BRL"),
        ("12.50", ".", "12.5", None),
    ],
)
def test_a_currency_beside_an_amount_is_its_currency(cell, decimal, amount, currency):
    cells = frame(at=["2025-03-01", "2025-03-01"], price=[cell, "3"])
    batch = read(cells, **WHO_WHEN_WHAT, tz="UTC", value="price", decimal=decimal)
    assert batch.events["value"].to_pylist() == [Decimal(amount), Decimal(3)]
    if currency is None:
        assert "currency" not in batch.events.column_names
    else:
        assert batch.events["currency"].to_pylist() == [currency, None]


@pytest.mark.parametrize("cell", ["5 pcs", "5 KG", "EUR", "--€5", "-€-5", "EUR 5 EUR", "$", "1 23 4 €"])
def test_what_is_no_amount_beside_letters_stays_a_reject(cell):
    batch = read(frame(at=["2025-03-01"], price=[cell]), **WHO_WHEN_WHAT, tz="UTC", value="price")
    assert len(batch.rejects["reason"].to_pylist()) == 1
    assert "price is no number" in batch.rejects["reason"][0].as_py()


def test_an_amount_in_two_currencies_is_a_reject():
    cells = frame(at=["2025-03-01"] * 4, price=["5 €", "$5", "5 USD", "5"], money=["EUR", "CAD", "EUR", None])
    batch = read(cells, **WHO_WHEN_WHAT, tz="UTC", value="price", currency="money")
    assert batch.events["currency"].to_pylist() == ["EUR", "CAD", None]
    assert batch.rejects["reason"].to_pylist() == ["price is in USD, the currency of its row EUR"]


@pytest.mark.parametrize("sign", ["$", "¥", "kr"])
def test_the_sign_of_several_currencies_is_none_until_it_is_said(sign):
    cells = frame(at=["2025-03-01"], price=[f"{sign} 1,234.50"])
    with pytest.warns(UserWarning, match=r"sign of several currencies: none is taken.*currency='=USD'"):
        batch = read(cells, **WHO_WHEN_WHAT, tz="UTC", value="price")
    assert batch.events.select(["value", "currency"]).to_pylist() == [
        {"value": Decimal("1234.5"), "currency": None}
    ]
    told = read(cells, **WHO_WHEN_WHAT, tz="UTC", value="price", currency="=SEK")
    assert told.events["currency"].to_pylist() == ["SEK"]


def test_one_of_a_thing_is_said_as_one():
    one = cjm.ingest(loaders.table(frame(at=["2025-03-01"]), **WHO_WHEN_WHAT, tz="UTC"), progress=False)
    assert repr(one).startswith("<Events: 1 event of 1 customer from table, 1 partition")
    assert "1 journey of 1 customer, 1 event, 1 touchpoint, " in repr(cjm.sessionize(one))
    bad = loaders.table(frame(at=["soon"]), **WHO_WHEN_WHAT, tz="UTC")
    with pytest.raises(InputError, match="1 of 1 row of source 'table' was rejected"):
        cjm.ingest(bad, progress=False)


def test_a_day_of_a_spreadsheet_may_have_a_decimal_comma():
    cells = ["45717,5", "45717.25", "45717", "45717,5,1"]
    found, reasons = times_of(cells, tz="UTC", unit="excel")
    assert found == [
        ("2025-03-01 12:00:00", "second"),
        ("2025-03-01 06:00:00", "second"),
        ("2025-03-01 12:00:00", "date"),
    ]
    assert reasons == ["at is no time that can be read without timestamp_format=: '45717,5,1'"]
    assert times_of(["45717,5"], tz="UTC", unit="excel")[0] == found[:1]


def test_formats_are_tried_in_turn():
    cells = ["03/01/2025 10:00:00 PM", "01.03.2025", "01Mar2025 10:00:00.25", "?"]
    formats = ["%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y", "%d%b%Y %H:%M:%S.%f"]
    found, reasons = times_of(cells, tz="UTC", timestamp_format=formats)
    assert found == [
        ("2025-03-01 22:00:00", "second"),
        ("2025-03-01 12:00:00", "date"),
        ("2025-03-01 10:00:00.250000", "exact"),
    ]
    assert reasons == ["at '?' fits no timestamp_format"]
    offset, _ = times_of(["10/Oct/2000:13:55:36 -0700"], timestamp_format="%d/%b/%Y:%H:%M:%S %z")
    assert offset == [("2000-10-10 20:55:36", "second")]


def test_one_wrong_time_among_many_is_found():
    cells = ["2025-03-01T10:00:00Z"] * 5_000
    cells[4_321] = "2025-02-30T10:00:00Z"
    batch = read(frame(at=cells), **WHO_WHEN_WHAT)
    assert batch.rejects["src_row"].to_pylist() == [4_322]


# Wide tables


def test_each_filled_milestone_of_a_wide_table_is_an_event():
    rows = {
        "order": ["o1", "o2", "o3"],
        "who": ["ann", "bob", "cem"],
        "bought": ["2025-03-01T10:00:00Z", "2025-03-02T10:00:00Z", None],
        "shipped": ["2025-03-01T10:00:00Z", None, None],
        "lost": ["soon", None, None],
    }
    batch = read(
        rows,
        customer="who",
        order_id="order",
        event_id="order",
        melt={"bought": "order_placed", "shipped": "order_shipped", "lost": "order_lost"},
    )
    found = batch.events.select(["user_id", "order_id", "event", "event_id", "seq", "src_row"]).to_pylist()
    assert [tuple(one.values()) for one in found] == [
        ("ann", "o1", "order_placed", "o1:order_placed", 3, 1),
        ("ann", "o1", "order_shipped", "o1:order_shipped", 4, 1),
        ("bob", "o2", "order_placed", "o2:order_placed", 6, 2),
    ]
    assert batch.rejects["reason"].to_pylist() == [
        "lost is no time that can be read without timestamp_format=: 'soon'"
    ]
    assert (batch.n_read, batch.n_excluded) == (5, 1)
    assert "properties" not in batch.events.column_names


def test_a_wide_row_without_customer_is_rejected_with_all_its_milestones():
    rows = {"who": [None], "a": ["2025-03-01T10:00:00Z"], "b": ["2025-03-02T10:00:00Z"]}
    batch = read(rows, customer="who", melt={"a": "x", "b": "y"})
    assert batch.rejects["reason"].to_pylist() == ["no customer: who is empty"] * 2


# Rejects


def test_every_row_that_cannot_be_used_is_a_reject_with_its_reason(tmp_path):
    path = write(
        tmp_path / "log.csv",
        "who,at,what,score,who_did\n"
        ",2025-03-01T10:00:00Z,visit,1,customer\n"
        "ann,,visit,1,customer\n"
        "ann,2025-03-01T10:00:00Z,  ,1,customer\n"
        "ann,2025-03-01T10:00:00Z,visit,good,customer\n"
        "ann,2025-03-01T10:00:00Z,visit,11,customer\n"
        "ann,2025-03-01T10:00:00Z,visit,7,rep\n"
        "ann,2025-03-01T10:00:00Z,visit\n"
        "ann,2025-03-01T10:00:00Z,visit,7,customer,x\n"
        "a\0b,2025-03-01T10:00:00Z,visit,7,customer\n"
        "ann,2025-03-01T10:00:00Z,visit,7,customer\n",
    )
    batch = read(path, **WHO_WHEN_WHAT, score_min=0, score_max=10, actor="who_did")
    found = list(zip(batch.rejects["src_row"].to_pylist(), batch.rejects["reason"].to_pylist(), strict=True))
    assert found == [
        (2, "no customer: who is empty"),
        (3, "no time: at is empty"),
        (4, "no event name: what is empty"),
        (5, "score is no number: 'good'"),
        (6, "score 11 is off its scale 0…10"),
        (7, "actor 'rep' is none of customer, company, system"),
        (8, "3 fields where the header has 5"),
        (9, "6 fields where the header has 5"),
        (10, "who holds a NUL byte"),
    ]
    assert batch.rejects["raw"].to_pylist()[:2] == [
        ",2025-03-01T10:00:00Z,visit,1,customer",
        "ann,,visit,1,customer",
    ]
    assert batch.events["src_row"].to_pylist() == [11]


def test_bytes_that_are_no_text_are_rejected_by_row(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(LOG.replace("bob", "bö").encode() + "zoë,2025-03-01T10:00:00Z,visit\n".encode("latin-1"))
    batch = read(path, **WHO_WHEN_WHAT)
    assert batch.events["user_id"].to_pylist() == ["ann", "bö"]
    assert batch.rejects["src_row"].to_pylist() == [4]
    assert "no text in utf-8; say encoding=" in batch.rejects["reason"][0].as_py()


@pytest.mark.parametrize(
    ("encoding", "given"),
    [
        ("utf-8-sig", {}),
        ("utf-16", {}),
        ("utf-16-le", {"encoding": "utf-16-le"}),
        ("windows-1252", {"encoding": "windows-1252"}),
    ],
)
def test_other_encodings_and_byte_order_marks_are_read(tmp_path, encoding, given):
    path = write(tmp_path / "log.csv", LOG.replace("ann", "zoë"), encoding)
    assert read(path, **WHO_WHEN_WHAT, **given).events["user_id"].to_pylist() == ["zoë", "bob"]


def test_line_breaks_inside_quotes_and_windows_line_ends_are_read(tmp_path):
    text = (
        'who,at,what,note\r\nann,2025-03-01T10:00:00Z,visit,"a\r\nb ""c"""\r\n\r\n'
        "bob,2025-03-01T10:00:00Z,visit,\r\n"
    )
    batch = read(write(tmp_path / "log.csv", text), **WHO_WHEN_WHAT)
    assert batch.events["properties"].to_pylist() == ['{"note":"a\\r\\nb \\"c\\""}', None]
    assert batch.events["src_row"].to_pylist() == [2, 5]
    assert not batch.rejects.num_rows


def test_a_quote_that_is_never_closed_costs_its_own_line_only(tmp_path):
    lines = ["who,at,what"] + ["ann,2025-03-01T10:00:00Z,visit"] * 1_000
    lines[500] = '"ann,2025-03-01T10:00:00Z,visit'
    batch = read(write(tmp_path / "log.csv", "\n".join(lines)), **WHO_WHEN_WHAT)
    assert batch.events.num_rows == 999
    assert batch.rejects["src_row"].to_pylist() == [501]


def test_broken_lines_of_json_are_rejected_with_their_line_numbers(tmp_path):
    good = '{"who":"ann","at":"2025-03-01T10:00:00Z","what":"visit"}'
    lines = [good, '{"who":"ann",', "", "[1]", good, '{"who":"a"} {}']
    path = write(tmp_path / "log.jsonl", "\n".join(lines))
    batch = read(path, **WHO_WHEN_WHAT)
    assert batch.events["src_row"].to_pylist() == [1, 5]
    assert batch.rejects["src_row"].to_pylist() == [2, 4, 6]
    reasons = batch.rejects["reason"].to_pylist()
    assert reasons[1] == "no JSON object but list"
    assert reasons[0].startswith("no JSON: ")
    assert batch.rejects["raw"].to_pylist()[0] == '{"who":"ann",'


def test_the_raw_text_of_a_reject_is_cut(tmp_path):
    path = write(tmp_path / "log.csv", f"who,at,what\n{'x' * 5_000},2025-03-01T10:00:00Z\n")
    assert len(read(path, **WHO_WHEN_WHAT).rejects["raw"][0].as_py()) == 1_000


CELLS = st.sampled_from(
    ["", "2025-03-01T10:00:00Z", "no", '"', 'a"b', '"a', "ü", "\0", "7", '"x\ny"', '"x,y"']
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(CELLS, max_size=4), max_size=25), st.sampled_from(["\n", "\r\n"]))
def test_no_line_of_a_csv_is_ever_lost(tmp_path_factory, rows, end):
    """Whatever stands in the lines: each one's mark is found in an event or in the raw text of a reject."""
    text = "who,at,what" + end + "".join(",".join([f"mark{n}.", *row]) + end for n, row in enumerate(rows))
    batch = read(write(tmp_path_factory.mktemp("csv") / "log.csv", text), **WHO_WHEN_WHAT)
    found = (
        batch.events["user_id"].to_pylist() + batch.events["event"].to_pylist()
        if batch.events.num_rows
        else []
    )
    found += batch.rejects["raw"].to_pylist()
    assert [n for n in range(len(rows)) if not any(f"mark{n}." in one for one in found)] == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.sampled_from(["", " ", "ann", "7", "2025-03-01T10:00:00Z", "ü"])] * 3), max_size=25
    )
)
def test_a_row_is_an_event_exactly_if_it_tells_who_when_and_what(tmp_path_factory, rows):
    text = "who,at,what\n" + "".join(",".join(row) + "\n" for row in rows)
    batch = read(write(tmp_path_factory.mktemp("csv") / "log.csv", text), **WHO_WHEN_WHAT)
    good = [
        n + 2
        for n, (who, at, what) in enumerate(rows)
        if who.strip() and at.startswith("2025") and what.strip()
    ]
    assert batch.events["src_row"].to_pylist() == good
    assert batch.n_read == sum(map(any, rows))  # a row of nothing but separators is none


def test_csv_in_blocks_is_csv_in_one_piece(tmp_path, monkeypatch):
    lines = [
        f'c{n},2025-03-01T10:00:{n % 60:02d}Z,visit,"{n}' + ("\n" if n % 7 == 0 else "") + '"'
        for n in range(2_000)
    ]
    lines[1_234] = "too,few"
    path = write(tmp_path / "log.csv", "who,at,what,note\n" + "\n".join(lines) + "\n")
    at_once = read(path, **WHO_WHEN_WHAT)
    monkeypatch.setattr("cjm_analytics.loaders.csv_files._CSV_BLOCK", 1_000)
    in_blocks = read(path, **WHO_WHEN_WHAT)
    assert at_once.events.num_rows == 1_999
    assert in_blocks.events.to_pylist() == at_once.events.to_pylist()
    assert in_blocks.rejects.to_pylist() == at_once.rejects.to_pylist()


def test_json_in_blocks_is_json_in_one_piece(tmp_path, monkeypatch):
    rows = [
        {"who": f"c{n}", "at": "2025-03-01T10:00:00Z", "what": "x", **({"n": n} if n > 900 else {})}
        for n in range(1_000)
    ]
    path = write(tmp_path / "log.jsonl", "\n".join(map(json.dumps, rows)))
    array = write(tmp_path / "array.json", json.dumps(rows))
    at_once, array_at_once = read(path, **WHO_WHEN_WHAT), read(array, **WHO_WHEN_WHAT)
    monkeypatch.setattr("cjm_analytics.loaders.json_files._JSON_BLOCK", 700)
    assert read(path, **WHO_WHEN_WHAT).events.to_pylist() == at_once.events.to_pylist()
    assert read(array, **WHO_WHEN_WHAT).events.to_pylist() == array_at_once.events.to_pylist()


CELLS = st.sampled_from(
    ["c1", "c2", "", " ", "ann@x.org", "Ann@X.org", "é", "a;b", 'say "hi"', "two\nlines", "x" * 30]
)
MOMENTS = st.sampled_from(
    [
        "2025-03-01T10:00:00Z",
        "2025-03-01T10:00:00.5Z",
        "2025-03-01T10:00+01:00",
        "",
        "soon",
        "2025-03-01 10:00:00Z",
    ]
)
LINES = st.lists(
    st.tuples(CELLS, MOMENTS, st.sampled_from(["visit", "buy", ""]), CELLS).map(csv_line)
    | st.sampled_from([b"", b"too,few", b"a,2025-03-01,visit,n,more", b"\xff,2025-03-01T10:00:00Z,visit,n"]),
    max_size=40,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(lines=LINES, size=st.sampled_from([120, 400, 2_000]), end=st.sampled_from([b"\n", b"\r\n"]))
def test_messy_csv_in_blocks_is_csv_in_one_piece(lines, size, end, tmp_path_factory):
    """Whoever parses a block: Arrow, with columns of codes or without, or line by line; in any thread."""
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_bytes(end.join([b"who,at,what,note", *lines, b""]))
    at_once = read(str(path), **WHO_WHEN_WHAT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cjm_analytics.loaders.csv_files._CSV_BLOCK", size)
        patch.setattr("cjm_analytics.loaders.csv_files._NOTICED", 2)
        patch.setattr("cjm_analytics.loaders.csv_files._FEW_OF_NOTICED", 2)
        in_blocks = read(str(path), **WHO_WHEN_WHAT)
    assert in_blocks.events.to_pylist() == at_once.events.to_pylist()
    assert in_blocks.rejects.to_pylist() == at_once.rejects.to_pylist()


OBJECTS = st.fixed_dictionaries(
    {"who": CELLS, "at": MOMENTS, "what": st.sampled_from(["visit", "buy", ""])},
    optional={
        "note": st.none() | CELLS, "n": st.integers(0, 9), "price": st.floats(0, 9), "new": st.booleans(),
        "inside": st.fixed_dictionaries({"x": st.integers(0, 9)}),
    },
)  # fmt: skip
OBJECT_LINES = st.lists(
    OBJECTS.map(json.dumps)
    | st.sampled_from(["", "[1]", "{", '{"who": "c1"}', "no JSON", '{"who": 1, "who": 2}']),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(first=OBJECTS, lines=OBJECT_LINES, size=st.sampled_from([200, 1_000, 10_000]))
def test_messy_json_lines_in_blocks_of_columns_tell_what_their_objects_tell(
    first, lines, size, tmp_path_factory
):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_text("\n".join([json.dumps(first), *lines]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cjm_analytics.loaders.json_files._COLUMN_BLOCK", size)
        by_column = read(str(path), **WHO_WHEN_WHAT)
        patch.setattr("cjm_analytics.loaders.json_columns.JsonColumns.read", lambda *_: None)
        by_object = read(str(path), **WHO_WHEN_WHAT)
    assert told(by_column) == told(by_object)
    assert by_column.rejects.select(["src_row", "reason"]).equals(
        by_object.rejects.select(["src_row", "reason"])
    )


def told(batch):
    """Events with their properties as objects, without columns that are all empty."""
    return [
        {
            name: json.loads(one) if name == "properties" else one
            for name, one in row.items()
            if one is not None
        }
        for row in batch.events.to_pylist()
    ]


def test_json_members_may_be_absent_from_whole_blocks(tmp_path, monkeypatch):
    """Rows before the login know no user, and the last block has no event at all."""
    rows = [{"device": "d1", "at": "2025-03-01T10:00:00Z", "what": "x"} for _ in range(50)]
    rows += [{**one, "who": "ann", "order_id": "o1"} for one in rows]
    rows += [{"device": "d1", "at": "2025-03-01T10:00:00Z"}] * 50
    path = write(tmp_path / "log.jsonl", "\n".join(map(json.dumps, rows)))
    monkeypatch.setattr("cjm_analytics.loaders.json_files._JSON_BLOCK", 500)
    batch = read(path, **WHO_WHEN_WHAT, anonymous_id="device")
    assert batch.events["user_id"].to_pylist() == [None] * 50 + ["ann"] * 50
    assert batch.events["order_id"].to_pylist() == [None] * 50 + ["o1"] * 50
    assert set(batch.rejects["reason"].to_pylist()) == {"no event name: what is empty"}


def test_a_mapped_member_that_no_row_holds_is_said(tmp_path):
    path = write(
        tmp_path / "log.jsonl", '{"who":"ann","at":"2025-03-01T10:00:00Z","what":"visit","order":7}\n'
    )
    with pytest.warns(UserWarning, match="No row of log holds 'ordr'"):
        read(path, **WHO_WHEN_WHAT, order_id="ordr")
    with pytest.raises(UnknownNameError, match=r"for customer= named 'whom'"):
        loaders.table(path, customer="whom", timestamp="at", event="what")


# Nothing there, or not what was meant


def test_a_header_without_rows_is_no_row_and_no_crash(tmp_path):
    batch = read(write(tmp_path / "log.csv", "who,at,what\n"), **WHO_WHEN_WHAT)
    assert (batch.n_read, batch.events.num_rows) == (0, 0)
    assert read(pd.DataFrame(columns=["who", "at", "what"]), **WHO_WHEN_WHAT).n_read == 0
    assert read(write(tmp_path / "log.jsonl", ""), **WHO_WHEN_WHAT).n_read == 0
    assert read(write(tmp_path / "array.json", "[]"), **WHO_WHEN_WHAT).n_read == 0


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_csv_is_an_error(tmp_path, text):
    with pytest.raises(InputError, match=r"log\.csv' is empty: not even a header line"):
        loaders.table(write(tmp_path / "log.csv", text), **WHO_WHEN_WHAT)


def test_a_missing_column_is_named_with_the_nearest_one(tmp_path):
    path = write(tmp_path / "log.csv", LOG)
    with pytest.raises(
        UnknownNameError, match=r"log.csv for customer= named 'whom'. Did you mean 'who'\? There are"
    ):
        loaders.table(path, customer="whom", timestamp="at", event="what")
    with pytest.raises(UnknownNameError, match=r"for score= named 'scor'"):
        loaders.table(path, **WHO_WHEN_WHAT, score="scor")
    with pytest.raises(UnknownNameError, match=r"for keep= named 'wha'. Did you mean 'what'"):
        list(loaders.table(path, **WHO_WHEN_WHAT, keep=["wha"]).batches())


def test_the_second_file_must_have_the_columns_too(tmp_path):
    write(tmp_path / "a.csv", LOG)
    write(tmp_path / "b.csv", LOG.replace("what", "action"))
    source = loaders.table(tmp_path, **WHO_WHEN_WHAT)
    with pytest.raises(UnknownNameError, match=r"b\.csv for event= named 'what'"):
        list(source.batches())


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"timestamp": "at", "event": "what"}, "Which column of <dict> tells the customer"),
        ({"customer": "who", "event": "what"}, "is the timestamp"),
        ({"customer": "who", "timestamp": "at"}, r"event='=order_placed' for a constant"),
        ({**WHO_WHEN_WHAT, "user_id": "who"}, "customer= and user_id= are the same"),
        ({**WHO_WHEN_WHAT, "costumer": "who"}, "Did you mean 'customer'"),
        ({**WHO_WHEN_WHAT, "customer_id": "who"}, "cannot be mapped"),
        ({**WHO_WHEN_WHAT, "actor": "=rep"}, "No actor named 'rep'"),
        ({**WHO_WHEN_WHAT, "channel": "="}, "empty constant"),
        ({**WHO_WHEN_WHAT, "channel": 3}, "must be the name of a column"),
        ({**WHO_WHEN_WHAT, "kind": "suport"}, "Did you mean 'support'"),
        ({**WHO_WHEN_WHAT, "tz": "Europe/Berln"}, "Did you mean 'Europe/Berlin'"),
        ({**WHO_WHEN_WHAT, "unit": "min"}, "No unit of time named 'min'"),
        ({**WHO_WHEN_WHAT, "timestamp_format": "yyyy"}, "holds no directive"),
        ({**WHO_WHEN_WHAT, "timestamp_format": "%Q"}, "no strptime format"),
        ({**WHO_WHEN_WHAT, "format": "xlsx"}, "No format named 'xlsx'"),
        ({**WHO_WHEN_WHAT, "keep": "x"}, r"must be a list of names: keep=\['x'\]"),
        ({**WHO_WHEN_WHAT, "keep": ["channel"]}, "would hide the canonical column"),
        ({**WHO_WHEN_WHAT, "keep": {"x": dict}}, "one of str, float, int, bool"),
        ({**WHO_WHEN_WHAT, "dedupe": "event_id"}, "must be a list"),
        ({**WHO_WHEN_WHAT, "dedupe": ["id"]}, "No canonical column named 'id'"),
        ({**WHO_WHEN_WHAT, "decimal": "x"}, "must be '.' or ','"),
        ({**WHO_WHEN_WHAT, "sep": ";;"}, "must be one character"),
        ({**WHO_WHEN_WHAT, "encoding": "utf-99"}, "encoding='utf-99' is unknown"),
        ({**WHO_WHEN_WHAT, "melt": {"at": "x"}}, "comes from the milestones"),
        ({"customer": "who", "melt": {}}, "melt= maps the column"),
        ({**WHO_WHEN_WHAT, "score_min": "=low"}, "score_min is no number: 'low'"),
    ],
)
def test_a_mapping_without_meaning_is_refused_before_anything_is_read(mapping, message):
    with pytest.raises((InputError, UnknownNameError), match=message):
        next(loaders.table(frame(), **mapping).batches())


def test_a_missing_file_is_answered_with_what_is_near(tmp_path):
    write(tmp_path / "events.csv", LOG)
    with pytest.raises(
        InputError, match=r"There is no file or folder .*event.csv'. Did you mean .*events.csv'\? In"
    ):
        loaders.table(tmp_path / "event.csv", **WHO_WHEN_WHAT)
    with pytest.raises(InputError, match=r"No file fits .*\.jsonl'. In the folder .* there are: events.csv"):
        loaders.table(f"{tmp_path}/*.jsonl", **WHO_WHEN_WHAT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no CSV, JSON or Parquet file"):
        loaders.table(tmp_path / "empty", **WHO_WHEN_WHAT)
    with pytest.raises(InputError, match="An empty list names no file"):
        loaders.table([], **WHO_WHEN_WHAT)
    with pytest.raises(InputError, match="URLs work for the file systems of pyarrow"):
        loaders.table("https://example.com/log.csv", **WHO_WHEN_WHAT)


def test_a_format_that_cannot_be_told_must_be_said(tmp_path):
    path = write(tmp_path / "log.dat", LOG)
    with pytest.raises(InputError, match=r"cannot be told from its name\. Say format='csv'"):
        loaders.table(path, **WHO_WHEN_WHAT)
    assert rows_of(read(path, **WHO_WHEN_WHAT, format="csv")) == LOG_ROWS
    write(tmp_path / "log.csv", LOG)
    pq.write_table(pa.table(frame()), tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"several formats \(csv, parquet\)"):
        loaders.table(tmp_path, **WHO_WHEN_WHAT)


def test_a_separator_is_told_only_if_the_lines_leave_no_choice(tmp_path):
    path = write(tmp_path / "log.csv", "who;at;what;a,b\nann;2025-03-01T10:00:00Z;visit;1,5\n")
    with pytest.raises(InputError, match=r"may be separated by any of ',', ';'. Say which with sep="):
        loaders.table(path, **WHO_WHEN_WHAT)
    assert read(path, **WHO_WHEN_WHAT, sep=";").events.num_rows == 1
    tabs = write(tmp_path / "log.tsv", LOG.replace(",", "\t"))
    assert rows_of(read(tabs, **WHO_WHEN_WHAT)) == LOG_ROWS


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    packed = gzip.compress(LOG.encode() * 1_000)
    (tmp_path / "log.csv.gz").write_bytes(packed[:-30])
    with pytest.raises(InputError, match=r"log.csv.gz' cannot be read as csv: it is damaged or cut off"):
        list(loaders.table(tmp_path / "log.csv.gz", **WHO_WHEN_WHAT).batches())
    write(tmp_path / "log.parquet", "no parquet")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        loaders.table(tmp_path / "log.parquet", **WHO_WHEN_WHAT)
    cut = write(tmp_path / "log.json", '[{"who":"ann","at":"2025-03-01T10:00:00Z","what":"visit"}, {"who":')
    with pytest.raises(InputError, match="breaks off or is no JSON at element 2"):
        list(loaders.table(cut, customer="who", timestamp="at", event="what").batches())
    spread = write(tmp_path / "one.json", '{\n "who": "ann"\n}')
    with pytest.raises(InputError, match="one JSON object over many lines"):
        loaders.table(spread, **WHO_WHEN_WHAT)


def test_what_is_no_table_is_refused():
    with pytest.raises(InputError, match="A source cannot be a int"):
        loaders.table(42, **WHO_WHEN_WHAT)
    with pytest.raises(InputError, match="of different length"):
        loaders.table({"who": [1], "at": [1, 2]}, **WHO_WHEN_WHAT)
    with pytest.raises(InputError, match="two columns named 'a'"):
        loaders.table(pd.DataFrame([[1, 2]], columns=["a", "a"]), **WHO_WHEN_WHAT)


def test_a_name_ten_kilobytes_long_is_read(tmp_path):
    long = "x" * 10_000
    path = write(tmp_path / "log.csv", f"who,at,what\n{long},2025-03-01T10:00:00Z,{long}\n")
    assert read(path, **WHO_WHEN_WHAT).events["event"].to_pylist() == [long]


# Real and synthetic data


def test_the_story_as_plain_csv_in_local_time(shared_data):
    story = pd.read_csv(shared_data / "formats/_synthetic/expected.csv")
    batch = read(
        shared_data / "formats/_synthetic/plain_csv/events.csv",
        customer="customer",
        timestamp="time",
        event="activity",
        tz="Europe/Berlin",
        dayfirst=True,
    )
    local = batch.events["timestamp"].to_pandas().dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    expected = pd.to_datetime(story["ts"]).dt.tz_localize(None).dt.floor("min")
    assert local.tolist() == expected.tolist()
    assert batch.events["timestamp"].to_pandas().iloc[8] == pd.Timestamp("2025-03-30 21:50", tz="UTC")
    assert batch.events["event"].to_pylist() == story["event"].tolist()
    assert batch.events["user_id"].to_pylist() == story["user_id"].fillna(story["anonymous_id"]).tolist()
    assert set(batch.events["time_quality"].to_pylist()) == {"minute"}


def test_real_orders_are_read_whole_as_milestones(shared_data):
    path = shared_data / "olist/olist_orders_dataset.csv"
    milestones = {
        "order_purchase_timestamp": "order_purchased",
        "order_approved_at": "order_approved",
        "order_delivered_carrier_date": "order_shipped",
        "order_delivered_customer_date": "order_delivered",
    }
    orders = pd.read_csv(path)
    batch = read(path, customer="customer_id", tz="America/Sao_Paulo", melt=milestones)
    assert batch.events.num_rows + batch.rejects.num_rows == int(orders[list(milestones)].notna().sum().sum())
    counts = batch.events["event"].to_pandas().value_counts()
    rejected = batch.rejects.num_rows
    assert counts["order_purchased"] >= len(orders) - rejected
    assert all("does not exist in America/Sao_Paulo" in one for one in batch.rejects["reason"].to_pylist())
    assert batch.events["order_id"].to_pandas().nunique() == len(orders)


def test_real_reviews_with_line_breaks_are_read_whole(shared_data):
    path = shared_data / "olist/olist_order_reviews_dataset.csv"
    reviews = pd.read_csv(path)
    batch = read(
        path,
        customer="order_id",
        timestamp="review_answer_timestamp",
        event="=review",
        score="review_score",
        score_min=1,
        score_max=5,
        comment="review_comment_message",
        tz="UTC",
    )
    assert batch.rejects.num_rows == 0
    assert batch.events["score"].to_pylist() == reviews["review_score"].tolist()
    said = reviews["review_comment_message"].str.strip().replace("", None).dropna().tolist()
    assert [one for one in batch.events["comment"].to_pylist() if one is not None] == said


def test_a_real_clickstream_is_read_whole(shared_data):
    path = shared_data / "ecom/ecom_5x.csv.gz"
    clicks = pd.read_csv(path)
    mapping = {"customer": "user_id", "timestamp": "timestamp", "event": "event", "tz": "UTC"}
    batch = read(path, **mapping)
    assert batch.events.num_rows == len(clicks)
    assert batch.events["event"].to_pylist() == clicks["event"].tolist()


def test_a_real_event_table_is_read_whole(shared_data):
    path = shared_data / "olist/events.parquet"
    rows = pq.read_table(path)
    columns = {"customer": "customer", "score": "review_score", "tz": "UTC"}
    found = {name: column for name, column in columns.items() if column in rows.column_names or name == "tz"}
    batch = read(path, **found)
    assert batch.events.num_rows == rows.num_rows


def test_ids_that_are_bytes_are_hexadecimal_digits(tmp_path):
    number = uuid.UUID("018ed910-3b24-4000-83fd-d51c59aa74b2")
    rows = pa.table(
        {
            "user_id": pa.array([b"\xa1\xb2\xff\x00", b"ada"], pa.binary()),
            "device": pa.array([b"\x00\x01", b"ab"], pa.binary(2)),
            "event_id": pa.array([number.bytes, None], pa.binary(16)).cast(pa.uuid()),
            "timestamp": ["2025-03-01T10:00:00Z"] * 2,
            "event": ["visit"] * 2,
        }
    )
    pq.write_table(rows, tmp_path / "log.parquet")
    for source in (rows, tmp_path / "log.parquet"):
        found = whole(loaders.table(source, anonymous_id="device").batches()).events
        assert found["user_id"].to_pylist() == ["a1b2ff00", "ada"]
        assert found["anonymous_id"].to_pylist() == ["0001", "6162"]
        assert found["event_id"].to_pylist()[0] == str(number)


def test_a_path_that_is_empty_comes_from_the_url_whatever_other_rows_say():
    rows = {
        "user_id": ["a", "b", "c"], "timestamp": ["2025-03-01T10:00:00Z"] * 3, "event": ["view"] * 3,
        "url": ["https://shop.example/a?x=1#f", "https://shop.example/b", None], "path": [None, "/own", "/c"],
    }  # fmt: skip
    batch = next(loaders.table(rows).batches())
    assert batch.events["path"].to_pylist() == ["/a?x=1", "/own", "/c"]


def test_an_id_that_a_spreadsheet_has_rounded_is_nobodys():
    rows = {"who": ["1.03006E+13", "1,5E+10", "E+13", "+491234", "a1"], "at": ["2025-03-01T10:00:00Z"] * 5}
    stream = loaders.table(rows, customer="who", timestamp="at", event="=visit")
    batch = whole(stream.batches())
    assert batch.events["user_id"].to_pylist() == ["E+13", "+491234", "a1"]
    assert [one.partition(" was ")[0] for one in batch.rejects["reason"].to_pylist()] == [
        "who '1.03006E+13'",
        "who '1,5E+10'",
    ]


def test_an_order_of_days_that_is_no_answer_is_refused():
    rows = {"who": ["a1"], "at": ["1/2/2025 10:00"]}
    with pytest.raises(InputError, match=r"dayfirst='\?' is no answer"):
        loaders.table(rows, customer="who", timestamp="at", event="=visit", tz="UTC", dayfirst="?")
