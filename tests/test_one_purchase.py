"""One purchase that web analytics, shop and payment service all report is one conversion."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

import cjm_analytics as cjm

AT = 1740946530
"""2025-03-02 20:15:30 UTC: the order."""

MINUTE, DAY = 60, 86_400


def lines(path, rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def ga4(time, event, **params):
    kinds = {str: "string_value", float: "double_value", int: "int_value"}
    given = {"ga_session_id": AT - 600, **params}
    return {
        "event_name": event, "event_timestamp": str(time * 1_000_000), "user_pseudo_id": "d1",
        "user_id": "u1", "stream_id": "7", "platform": "WEB",
        "event_params": [{"key": name, "value": {kinds[type(one)]: one}} for name, one in given.items()],
    }  # fmt: skip


def stripe(number, time, kind, amount, **said):
    checkout = {"object": "checkout.session", "id": "cs_1", "customer": "cus_1", "currency": "eur",
                "customer_details": {"email": "ada@example.com"},
                "metadata": {"order_id": "1001"}}  # fmt: skip
    return {"id": f"evt_{number}", "object": "event", "type": kind, "created": time, "livemode": True,
            "data": {"object": {**checkout, "amount_total": amount, **said}}}  # fmt: skip


def order(**cells):
    return {
        "Name": "#1001", "Email": "ada@example.com", "Financial Status": "paid", "Currency": "EUR",
        "Total": "49.90", "Created at": "2025-03-02 21:15:30 +0100", "Id": "7410991464714", "Source": "web",
        "Paid at": "2025-03-10 09:00:00 +0100", "Lineitem name": "Lamp", "Cancelled at": "", **cells,
    }  # fmt: skip


@pytest.fixture
def exports(tmp_path):
    """The page of thanks, seen twice; the order, paid a week later; the checkout."""
    web = [
        ga4(AT - 5 * MINUTE, "view_item"),
        ga4(AT - 2 * MINUTE, "begin_checkout"),
        ga4(AT + 1, "purchase", transaction_id="1001", value=49.9, currency="EUR"),
        ga4(AT + 2 * DAY, "purchase", transaction_id="1001", value=49.9, currency="EUR"),
    ]
    lines(tmp_path / "events_20250302.jsonl", web)
    lines(
        tmp_path / "stripe.jsonl",
        [stripe(1, AT - 1, "checkout.session.completed", 4990, client_reference_id="u1")],
    )
    write_order(tmp_path, order())
    return tmp_path


def write_order(folder, row):
    with (folder / "orders_export.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        writer.writeheader()
        writer.writerow(row)


def journeys_of(folder, model=None):
    events = cjm.ingest(
        [
            cjm.loaders.ga4(folder / "events_20250302.jsonl"),
            cjm.loaders.shopify(folder / "orders_export.csv"),
            cjm.loaders.stripe(folder / "stripe.jsonl"),
        ],
        now="2025-12-01",
        progress=False,
    )
    return cjm.sessionize(events, model or cjm.JourneyModel.standard())


def with_purchase(**changes):
    """The standard model with another marker of purchases."""
    model = cjm.JourneyModel.standard()
    markers = [replace(one, **changes) if one.id == "purchase" else one for one in model.markers]
    return replace(model, markers=tuple(markers))


def test_one_purchase_seen_in_three_systems_is_one_conversion(exports):
    journeys = journeys_of(exports)
    frame = journeys.to_frame()
    bought = frame[frame["touchpoint"] == "purchase"]
    assert bought["event"].tolist() == ["order_placed"]
    assert (len(journeys), journeys.n_customers) == (1, 1)
    others = ["the page of thanks, which is one although it was loaded twice", "the payment", "the checkout"]
    assert journeys.accounting["merged duplicates"] == len(others)
    steps = cjm.funnel(journeys, ["product_view", "checkout", "purchase"], within="1 day").to_frame()
    assert steps["reached"].tolist() == [1, 1, 1]
    credit = cjm.attribution(journeys, by="channel", model="last").to_frame()
    assert credit["conversions"].sum() == 1


def test_it_is_one_where_nothing_but_the_order_ties_browser_and_buyer(exports):
    web = [
        {name: value for name, value in json.loads(line).items() if name != "user_id"}
        for line in (exports / "events_20250302.jsonl").read_text().splitlines()
    ]
    lines(exports / "events_20250302.jsonl", web)
    lines(exports / "stripe.jsonl", [stripe(1, AT - 1, "checkout.session.completed", 4990)])
    journeys = journeys_of(exports)
    frame = journeys.to_frame()
    assert (len(journeys), journeys.n_customers) == (1, 1)
    assert frame.loc[frame["touchpoint"] == "purchase", "event"].tolist() == ["order_placed"]
    assert frame["touchpoint"].tolist()[:2] == ["product_view", "checkout"]


@pytest.mark.parametrize(
    ("prefer", "event"),
    [
        (("clickstream",), "purchase"),
        (("stripe", "order"), "checkout.session.completed"),
        (("clickstream", "shopify"), "purchase"),
        (("order",), "checkout.session.completed"),
        ((), "checkout.session.completed"),
        (("shopify", "stripe", "ga4"), "order_placed"),
    ],
)
def test_the_preferred_source_tells_it_by_its_name_or_its_kind(exports, prefer, event):
    frame = journeys_of(exports, with_purchase(prefer=prefer)).to_frame()
    bought = frame[frame["touchpoint"] == "purchase"]
    assert bought["event"].tolist() == [event]


def test_without_dedupe_on_each_report_is_a_purchase(exports):
    frame = journeys_of(exports, with_purchase(dedupe_on=None)).to_frame()
    assert (frame["touchpoint"] == "purchase").sum() == 4


def test_an_order_that_is_cancelled_and_paid_back_is_taken_back_once(exports):
    """A second order of the same journey stays."""
    write_order(exports, order(**{"Cancelled at": "2025-03-03 10:00:00 +0100"}))
    back = stripe(3, AT + 14 * 3600, "charge.refunded", None, object="charge", amount_refunded=4990)
    other = {"metadata": {"order_id": "1002"}, "client_reference_id": "u1"}
    second = stripe(2, AT + MINUTE, "checkout.session.completed", 900, **other)
    with (exports / "stripe.jsonl").open("a") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in (second, back))
    journeys = journeys_of(exports)
    cases = journeys.cases()
    assert cases[["converted", "goal_reversed"]].values.tolist() == [[True, False]]
    frame = journeys.to_frame()
    assert (frame["touchpoint"] == "order_return").sum() == 1
