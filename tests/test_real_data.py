"""The same code on real data, where there is some; the numbers were counted by other means."""

from __future__ import annotations

import pandas as pd
import pytest

import cjm_analytics as cjm

ROAD = ["product_view", "add_to_cart", "shipping_details", "purchase"]


@pytest.fixture(scope="module")
def shop(shared_data):
    source = cjm.loaders.table(
        shared_data / "ecom" / "ecom_5x.csv.gz",
        customer="user_id",
        timestamp="timestamp",
        event="event",
        tz="UTC",
        keep=["platform", "acquisition_channel"],
    )
    return cjm.sessionize(cjm.ingest(source))


def test_the_web_shops_funnel_is_the_known_one(shop):
    funnel = cjm.funnel(shop, ROAD, within="400 days", unit="customer").to_frame()
    assert funnel["reached"].tolist() == [598, 517, 401, 227]


def test_the_web_shops_platforms_add_up(shop):
    whole = cjm.funnel(shop, ROAD).to_frame()
    parts = cjm.funnel(shop, ROAD, by="platform").to_frame()
    assert parts.groupby("step")["reached"].sum()[ROAD].tolist() == whole["reached"].tolist()


@pytest.fixture(scope="module")
def orders(shared_data, root):
    frame = pd.read_parquet(shared_data / "olist" / "events.parquet")
    frame["instrument"] = frame["event"].map({"review_answered": "stars", "review_asked": "stars"})
    frame["event"] = frame["event"].replace({"review_asked": "survey_invite"})
    source = cjm.loaders.table(
        frame,
        customer="customer",
        timestamp="timestamp",
        event="event",
        seq="rank",
        score="review_score",
        tz="America/Sao_Paulo",
        keep=["customer_state"],
        name="orders",
        kind="order",
    )
    return cjm.sessionize(cjm.ingest(source), cjm.JourneyModel.read(root / "tests" / "data" / "olist.toml"))


def test_reviews_rate_the_last_milestone_of_their_order(orders, shared_data):
    rated = cjm.satisfaction(orders, by="phase").to_frame().set_index("phase")
    assert rated["n"].sum() == 8_135, "one answer per order: 90 of the 8,225 were given again"
    assert orders.accounting["superseded answers"] == 90
    frame = pd.read_parquet(shared_data / "olist" / "events.parquet")
    answered = frame[frame["event"] == "review_answered"].drop_duplicates()
    delivered = frame[frame["event"] == "delivered"].set_index("order_id")["timestamp"]
    after = answered[answered["timestamp"] >= answered["order_id"].map(delivered)]
    latest = after.sort_values("timestamp").drop_duplicates("order_id", keep="last")
    assert rated.loc["after", "n"] == pytest.approx(len(latest), abs=10)
    assert rated.loc["after", "score"] == pytest.approx(latest["review_score"].mean(), abs=0.01)
    assert rated.loc["during", "high"] < 2
    assert rated.loc["after", "low"] > 4


def test_orders_drop_off_between_milestones(orders):
    by_stage = cjm.drop_off(orders, of="stage").to_frame().set_index("stage")
    assert (by_stage["entered"] == by_stage["continued"] + by_stage["dropped"] + by_stage["open"]).all()
    assert by_stage.loc["ordering", "drop_off"] == pytest.approx(0.0175, abs=0.001)
    assert by_stage.loc["payment", "drop_off"] == pytest.approx(0.206, abs=0.002)
    assert cjm.journey_map(orders).plot().data
