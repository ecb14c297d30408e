"""Journeys in a folder: the same when read again, whole or not there, and clear when damaged."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from cjm_analytics.columns import set_memory_budget
from cjm_analytics.errors import StoreError
from cjm_analytics.journey_store import JourneyWriter
from cjm_analytics.journeys import ANSWER_COLUMNS, EVENT_COLUMNS, JOURNEY_COLUMNS, open_journeys
from cjm_analytics.model import JourneyModel
from cjm_analytics.sessionizer import sessionize
from logs import events_of, journeys_of


@pytest.fixture(scope="module")
def journeys():
    """Three customers in two partitions, with answers, invites, a promoted and a nested property."""
    rows = [
        {
            "customer_id": "a",
            "timestamp": 0,
            "event": "Product Viewed",
            "properties": '{"price": 3}',
            "plan": "pro",
        },
        {"customer_id": "a", "timestamp": 1, "event": "ticket_created", "ticket_id": "1", "channel": "chat"},
        {
            "customer_id": "a",
            "timestamp": 2,
            "event": "survey_invite",
            "instrument": "csat",
            "ticket_id": "1",
        },
        {
            "customer_id": "a",
            "timestamp": 3,
            "event": "rating",
            "instrument": "csat",
            "score": 5.0,
            "ticket_id": "1",
            "source_kind": "survey",
        },
        {"customer_id": "b", "timestamp": 4, "event": "purchase", "channel": "web"},
        {"customer_id": "c", "timestamp": 5, "event": "zoom", "is_bot": True},
        {"customer_id": "c", "timestamp": 6, "event": "zoom"},
    ]
    return sessionize(events_of(rows, n_partitions=2, extra=[("plan", pa.string())]), JourneyModel.standard())


def assert_equal(one, other):
    assert one.codebook == other.codebook
    assert one.model == other.model
    assert (one.observation_start, one.observation_ends) == (other.observation_start, other.observation_ends)
    assert one.accounting == other.accounting
    assert len(one.partitions) == len(other.partitions)
    for mine, theirs in zip(one.partitions, other.partitions, strict=True):
        for names, read in (
            (EVENT_COLUMNS, "event"),
            (JOURNEY_COLUMNS, "journey"),
            (ANSWER_COLUMNS, "answer"),
        ):
            for name in names:
                left, right = getattr(mine, read)(name), getattr(theirs, read)(name)
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left, right)
        assert mine.customer_ids == theirs.customer_ids
        np.testing.assert_array_equal(mine.offsets, theirs.offsets)
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    pd.testing.assert_frame_equal(one.cases(), other.cases())
    pd.testing.assert_frame_equal(one.answers(), other.answers())


def test_journeys_read_again_are_equal(journeys, tmp_path):
    journeys.write(tmp_path / "store")
    again = open_journeys(tmp_path / "store")
    again.validate()
    assert_equal(journeys, again)


def test_journeys_without_a_model_are_equal_too(tmp_path):
    journeys = journeys_of([("a", 0, "x"), ("a", 1, "y"), ("b", 0, "x")], n_partitions=2)
    journeys.write(tmp_path / "store")
    assert_equal(journeys, open_journeys(tmp_path / "store"))


def test_empty_partitions_are_equal_too(tmp_path):
    journeys = sessionize(events_of([{"customer_id": "a", "timestamp": 0}], n_partitions=3))
    journeys.write(tmp_path / "store")
    assert_equal(journeys, open_journeys(tmp_path / "store"))


@pytest.mark.parametrize(
    "name", ["plan", "properties.price", "ticket_id", "order_id", "event", "channel", "session"]
)
def test_columns_for_breakdowns_are_the_same(journeys, tmp_path, name):
    journeys.write(tmp_path / "store")
    again = open_journeys(tmp_path / "store")
    for mine, theirs in zip(journeys.partitions, again.partitions, strict=True):
        assert mine.table([name]).column(0).to_pylist() == theirs.table([name]).column(0).to_pylist()
        assert mine.labels(name).names == theirs.labels(name).names


def test_selections_of_stored_journeys_are_the_same(journeys, tmp_path):
    journeys.write(tmp_path / "store")
    again = open_journeys(tmp_path / "store")
    for how in ({"containing": "purchase"}, {"where": {"event": "z*"}}, {"channel": "chat"}):
        pd.testing.assert_frame_equal(journeys.select(**how).to_frame(), again.select(**how).to_frame())


def test_any_arrow_reader_can_read_them(journeys, tmp_path):
    journeys.write(tmp_path / "store")
    files = sorted((tmp_path / "store").glob("data-*/partition=*/events.arrow"))
    assert sum(len(pl.read_ipc(file)) for file in files) == journeys.n_events


def test_results_do_not_depend_on_the_memory_budget(journeys, tmp_path):
    journeys.write(tmp_path / "store")
    again = open_journeys(tmp_path / "store")
    try:
        set_memory_budget(0)
        assert_equal(journeys, again)
    finally:
        set_memory_budget("512 MB")


def test_a_store_can_be_written_over_itself(journeys, tmp_path):
    journeys.write(tmp_path / "store")
    open_journeys(tmp_path / "store").select(containing="purchase").write(tmp_path / "store")
    again = open_journeys(tmp_path / "store")
    assert again.cases()["customer_id"].tolist() == ["b"]
    assert [one.name for one in tmp_path.iterdir()] == ["store"]


def test_reading_on_from_a_store_that_was_written_anew_says_so(journeys, tmp_path):
    journeys.write(tmp_path / "store")
    old = open_journeys(tmp_path / "store")
    journeys.write(tmp_path / "store")
    with pytest.raises(StoreError, match=r"open it again with cjm\.open_journeys"):
        old.partitions[0].event("time")


def test_an_empty_folder_may_be_used(journeys, tmp_path):
    (tmp_path / "store").mkdir()
    journeys.write(tmp_path / "store")
    assert len(open_journeys(tmp_path / "store")) == len(journeys)


@pytest.mark.parametrize("content", ["mine", '{"format": "something else"}', "[]"])
def test_a_folder_that_holds_something_else_is_left_alone(journeys, tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match="something other than journeys"):
        journeys.write(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == content


def test_a_file_in_the_place_of_the_folder_is_left_alone(journeys, tmp_path):
    (tmp_path / "store").write_text("mine")
    with pytest.raises(StoreError, match="something other than journeys"):
        journeys.write(tmp_path / "store")


def test_a_writer_that_fails_leaves_the_old_store_and_nothing_else(journeys, tmp_path):
    journeys.write(tmp_path / "store")

    def fail():
        with JourneyWriter(tmp_path / "store") as writer:
            writer.add(0, journeys.partitions[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [one.name for one in tmp_path.iterdir()] == ["store"]
    assert_equal(journeys, open_journeys(tmp_path / "store"))


def test_no_store_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(StoreError, match=r"journeys\.write"):
        open_journeys(tmp_path / "nothing")


def test_a_store_of_an_older_version_says_what_to_do(journeys, tmp_path):
    journeys.write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "version": 1}))
    with pytest.raises(StoreError, match=r"older version.*Sessionize"):
        open_journeys(tmp_path)


def test_a_store_of_a_newer_version_is_refused(journeys, tmp_path):
    journeys.write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(StoreError, match="newer version"):
        open_journeys(tmp_path)


@pytest.mark.parametrize("missing", ["codebook", "partitions", "schema", "data", "model"])
def test_a_manifest_without_a_part_is_damaged(journeys, tmp_path, missing):
    journeys.write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest[missing]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="damaged"):
        open_journeys(tmp_path)


def test_a_manifest_that_is_cut_off_is_damaged(journeys, tmp_path):
    journeys.write(tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text[: len(text) // 2])
    with pytest.raises(StoreError, match="damaged"):
        open_journeys(tmp_path)


@pytest.mark.parametrize("part", ["events", "cases", "answers", "rows", "customers"])
@pytest.mark.parametrize("damage", ["missing", "cut off", "of other rows"])
def test_a_damaged_file_is_named_when_the_store_is_opened(journeys, tmp_path, part, damage):
    journeys.write(tmp_path)
    (file,) = tmp_path.glob(f"data-*/partition=0000/{part}.*")
    if damage == "missing":
        file.unlink()
    elif damage == "cut off":
        file.write_bytes(file.read_bytes()[:-20])
    elif part == "rows":
        pq.write_table(pa.table({"customer_id": ["x"] * 99}), file)
    else:
        feather.write_feather(pa.table({"customer_id": ["x"] * 99}), file)
    with pytest.raises(StoreError, match=rf"{part}\."):
        open_journeys(tmp_path)
