"""Ingest of real logs, where there are some beside the project."""

from __future__ import annotations

import pandas as pd
import pytest

import cjm_analytics as cjm

NOW = "2026-01-01"


@pytest.fixture(scope="module")
def shop(shared_data):
    return cjm.loaders.table(
        shared_data / "ecom" / "ecom_5x.csv.gz",
        customer="user_id",
        timestamp="timestamp",
        event="event",
        tz="UTC",
        keep=["platform"],
    )


def funnel(frame, steps):
    """How many customers did the first k steps in order, by a plain loop."""
    reached = [0] * len(steps)
    for _, events in frame.groupby("customer_id")["event"]:
        done = 0
        for event in events:
            if done < len(steps) and event == steps[done]:
                reached[done] += 1
                done += 1
    return reached


def test_a_web_shop_keeps_its_funnel_with_and_without_duplicates(shop):
    steps = ["product_view", "add_to_cart", "shipping_details", "purchase"]
    cleaned, whole = cjm.ingest(shop, now=NOW), cjm.ingest(shop, now=NOW, dedupe=False)
    assert (len(cleaned), len(whole)) == (31_076, 31_106)
    assert funnel(cleaned.to_frame(), steps) == funnel(whole.to_frame(), steps) == [598, 517, 401, 227]


def test_a_web_shop_is_the_same_in_one_partition_and_in_many(shop, tmp_path):
    one = cjm.ingest(shop, now=NOW).to_frame()
    many = cjm.ingest(shop, to=tmp_path / "store", now=NOW, n_partitions=13).to_frame()
    pd.testing.assert_frame_equal(one, many)


def test_every_milestone_and_review_of_a_marketplace_is_accounted_for(shared_data):
    orders = cjm.loaders.table(
        shared_data / "olist" / "events.parquet",
        customer="customer",
        timestamp="timestamp",
        event="event",
        score="review_score",
        tz="America/Sao_Paulo",
    )
    events = cjm.ingest(orders, now=NOW)
    account = events.report().sources[0]
    assert (account.read, account.kept, account.duplicates, account.rejected) == (44_097, 44_081, 16, 0)
    assert events.report().identity.customers == events.to_frame()["customer_id"].nunique()


def test_a_file_with_a_header_only_is_an_empty_store(tmp_path):
    (tmp_path / "log.csv").write_text("who,when,what\n")
    log = cjm.loaders.table(tmp_path / "log.csv", customer="who", timestamp="when", event="what", tz="UTC")
    assert len(cjm.ingest(log, to=tmp_path / "store")) == 0
    assert len(cjm.open_events(tmp_path / "store")) == 0


def test_a_reader_of_feeds_that_no_list_names_is_told_by_its_pace(shared_data):
    """In the log of a real site two ids never sleep: both are one program behind one address."""
    log = cjm.loaders.access_log(shared_data / "access_log" / "apache_logs")
    plain = cjm.ingest(log, now=NOW)
    events = cjm.ingest(log, now=NOW, bots=cjm.BotRules())
    assert events.report().marks().to_numpy().tolist() == [["access_log", "around the clock", 2, 222]]
    frame = events.to_frame(["marked_by", "properties.agent", "properties.host"])
    marked = frame[frame["marked_by"].notna()].drop_duplicates()
    assert marked["properties.agent"].str.startswith("UniversalFeedParser").all()
    assert marked["properties.host"].tolist() == ["46.105.14.53"]
    by_name = plain.report().to_frame()["bots"].item()
    assert events.report().to_frame()["bots"].item() == by_name + 222


def test_the_shop_s_people_are_no_robots(shop):
    assert cjm.ingest(shop, now=NOW, bots=cjm.BotRules()).report().marks().empty
