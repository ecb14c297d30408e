"""Journeys without a model are the same whether their columns are made when asked for or written first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import cjm_analytics as cjm
from cjm_analytics.events.partition import EventPartition
from cjm_analytics.plain import are_plain


def a_log(seed, *, channels=("web", "app", None)):
    rng = np.random.default_rng(seed)
    n = 400
    return pd.DataFrame(
        {
            "who": rng.choice([f"c{number:02}" for number in range(40)], n),
            "when": pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 9_000, n), "min"),
            "what": rng.choice(["ad", "view", "cart", "buy"], n),
            "where": rng.choice(np.array(channels, dtype=object), n),
            "visit": rng.choice(np.array(["s1", "s2", None], dtype=object), n),
            "flag": rng.random(n) < 0.1,
        }
    )


def loaded(frame, **more):
    return cjm.loaders.table(frame, customer="who", timestamp="when", event="what", channel="where", **more)


def check(events, tmp_path, **options):
    """What is made when it is asked for, against what was written."""
    lazy = cjm.sessionize(events, **options)
    written = cjm.sessionize(events, to=tmp_path / "journeys", **options)
    for frame in ("to_frame", "cases", "answers"):
        pd.testing.assert_frame_equal(getattr(lazy, frame)(), getattr(written, frame)())
    assert lazy.codebook == written.codebook
    assert lazy.accounting == written.accounting
    assert (len(lazy), lazy.n_events, lazy.n_customers) == (
        len(written),
        written.n_events,
        written.n_customers,
    )
    for one, other in zip(lazy.partitions, written.partitions, strict=True):
        for columns, others in (
            (one.events, other.events),
            (one.cases, other.cases),
            (one.answers, other.answers),
        ):
            assert columns.read(columns.names).schema == others.read(columns.names).schema
    lazy.validate()
    some = lazy.select(containing="buy"), written.select(containing="buy")
    pd.testing.assert_frame_equal(some[0].to_frame(), some[1].to_frame())
    pd.testing.assert_frame_equal(
        cjm.paths(lazy, unit="session", by="channel").to_frame(),
        cjm.paths(written, unit="session", by="channel").to_frame(),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stored", [False, True])
def test_columns_that_are_made_when_asked_for_are_those_that_would_be_written(tmp_path, seed, stored):
    place = {"to": tmp_path / "events", "n_partitions": 3} if stored else {}
    events = cjm.ingest(loaded(a_log(seed)), **place)
    assert are_plain(events)
    check(events, tmp_path, timeout="45 minutes")


@pytest.mark.parametrize("options", [{"midnight": "Europe/Berlin"}, {"max_length": "2 hours"}], ids=str)
def test_other_rules_of_sessions_are_kept_too(tmp_path, options):
    check(cjm.ingest(loaded(a_log(4))), tmp_path, **options)


@pytest.mark.parametrize("vendor_sessions", [True, False])
def test_sessions_of_a_vendor_are_kept_too(tmp_path, vendor_sessions):
    events = cjm.ingest(loaded(a_log(5), session_id="visit"))
    check(events, tmp_path, vendor_sessions=vendor_sessions)


def test_events_without_any_channel_have_none(tmp_path):
    check(cjm.ingest(loaded(a_log(6, channels=(None,)))), tmp_path)


def test_bots_need_a_look_at_every_event():
    frame = a_log(7)
    events = cjm.ingest(loaded(frame, is_bot="flag"))
    assert not are_plain(events)
    assert cjm.sessionize(events).n_events == (~frame["flag"]).sum()


def test_a_file_of_events_says_how_many_each_customer_has(tmp_path):
    events = cjm.ingest(loaded(a_log(8)), to=tmp_path / "events", n_partitions=2)
    for one in events.partitions:
        _, offsets = one.customers()
        assert one.columns.lengths.tolist() == np.diff(offsets).tolist()
        assert one.offsets.tolist() == offsets.tolist()


def test_files_that_do_not_say_it_are_read(tmp_path):
    events = cjm.ingest(loaded(a_log(9)), to=tmp_path / "events", n_partitions=1)
    (file,) = (tmp_path / "events" / "events").rglob("*.parquet")
    pq.write_table(
        pq.read_table(file, partitioning=None).replace_schema_metadata(None), tmp_path / "bare.parquet"
    )
    (told,) = events.partitions
    bare = EventPartition.of(
        pq.read_table(tmp_path / "bare.parquet", read_dictionary=["customer_id"]), events.schema
    )
    assert bare.columns.lengths is None
    assert bare.offsets.tolist() == told.offsets.tolist()


def test_robots_that_are_found_by_how_they_behave_are_left_out(tmp_path):
    frame = a_log(10)
    often = pd.DataFrame(
        {
            "who": "robot",
            "when": pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(np.arange(3_000), "s"),
            "what": "view",
            "where": "web",
        }
    )
    source = loaded(pd.concat([frame, often], ignore_index=True))
    events = cjm.ingest(source, to=tmp_path / "events", bots=cjm.BotRules())
    assert not are_plain(events)
    check(events, tmp_path)
    assert cjm.sessionize(events).n_events == len(frame)


def test_a_store_that_grew_is_read_as_one(tmp_path):
    frame = a_log(11)
    late = frame["when"] > frame["when"].median()
    for part in (frame[~late], frame[late]):
        events = cjm.ingest(loaded(part), to=tmp_path / "events", n_partitions=2)
    assert are_plain(events)
    assert events.partitions[0].columns.lengths is None
    check(events, tmp_path)
    assert cjm.sessionize(events).n_events == len(frame)


def test_scores_without_an_instrument_are_counted():
    log = cjm.loaders.table(
        {"who": ["a", "b"], "when": ["2026-03-01", "2026-03-02"], "stars": [4, None]},
        customer="who", timestamp="when", event="=visit", score="stars", kind="clickstream", tz="UTC",
    )  # fmt: skip
    events = cjm.ingest(log)
    assert are_plain(events)
    assert cjm.sessionize(events).accounting["scores without an instrument"] == 1
