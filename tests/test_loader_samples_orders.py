"""Real exports of shops, payment services and survey tools, read whole; numbers counted with other means."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections import Counter
from decimal import Decimal

import pytest

from cjm_analytics import loaders
from cjm_analytics.loaders.source import whole


@pytest.fixture
def formats(shared_data):
    return shared_data / "formats"


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def read(stream):
    batch = whole(stream.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def events_of(batch, file=None):
    """The events of one file as objects."""
    return [one for one in batch.events.to_pylist() if file is None or one["src_file"].endswith(file)]


def instant(text):
    return dt.datetime.fromisoformat(text.strip()).replace(tzinfo=dt.UTC)


# Shopify


def test_the_orders_of_a_shops_tables(formats):
    raw = rows_of(formats / "shopify" / "shopify_order_data.csv")
    batch = read(loaders.shopify(formats / "shopify"))
    found = events_of(batch, "shopify_order_data.csv")
    assert [one["event"] for one in found] == ["order_placed"] * len(raw)
    for one, row in zip(found, raw, strict=True):
        assert one["timestamp"] == instant(row["processed_at"])
        assert (one["value"], one["currency"]) == (Decimal(row["total_price"]), row["currency"])
        assert one["order_id"] == row["name"]
        assert one["anonymous_id"] == f"email:{row['email']}"
        assert one["is_test"] is False
        assert json.loads(one["properties"])["financial_status"] == row["financial_status"]


def test_checkouts_that_were_left_behind(formats):
    raw = rows_of(formats / "shopify" / "shopify_abandoned_checkout_data.csv")
    assert not any(row["completed_at"] for row in raw)
    batch = read(loaders.shopify(formats / "shopify"))
    found = events_of(batch, "abandoned_checkout_data.csv")
    assert [(one["event"], one["timestamp"], one["value"]) for one in found] == [
        ("abandoned_checkout", instant(row["created_at"]), Decimal(row["total_price"])) for row in raw
    ]
    links = {(one["alias"], one["user_id"], one["kind"]) for one in batch.links.to_pylist()}
    for row in raw:
        assert (row["cart_token"], f"email:{row['email']}", "alias") in links
        assert (f"shopify:{row['customer_id']}", f"email:{row['email']}", "alias") in links


def test_rows_of_a_shops_tables_without_their_orders_are_counted(formats):
    known = {row["id"] for row in rows_of(formats / "shopify" / "shopify_order_data.csv")}
    others = [
        row
        for name in ("transaction", "fulfillment", "fulfillment_event", "refund", "gql_customer_visit")
        for row in rows_of(formats / "shopify" / f"shopify_{name}_data.csv")
    ]
    assert not known & {row["order_id"] for row in others}
    batch = read(loaders.shopify(formats / "shopify"))
    assert batch.n_nameless == len(others)


# Stripe


def test_the_charges_of_a_payment_services_tables(formats):
    raw = rows_of(formats / "stripe" / "charge_data.csv")
    batch = read(loaders.stripe(formats / "stripe"))
    found = events_of(batch, "charge_data.csv")
    assert len(found) == len(raw)
    names = {"failed": "charge.failed", "succeeded": "charge.succeeded"}
    for one, row in zip(found, raw, strict=True):
        assert one["event"] == names[row["status"]]
        assert one["timestamp"] == instant(row["created"])
        assert (one["value"], one["currency"]) == (Decimal(row["amount"]) / 100, row["currency"].upper())
        assert one["order_id"] == row["payment_intent_id"]
        assert one["anonymous_id"] == f"email:{row['receipt_email']}"
        assert one["is_test"] is (row["livemode"] == "FALSE")
        assert json.loads(one["properties"])["failure_code"] == row["failure_code"]


def test_every_table_of_a_payment_service(formats):
    folder = formats / "stripe"
    batch = read(loaders.stripe(folder))
    payments = rows_of(folder / "payment_intent_data.csv")
    customers = {row["id"] for row in rows_of(folder / "customer_data.csv")}
    paid = [row for row in payments if row["customer_id"] or row["receipt_email"]]
    assert {row["status"] for row in paid} == {"succeeded"}
    assert [
        (one["event"], one["timestamp"], one["value"]) for one in events_of(batch, "payment_intent_data.csv")
    ] == [
        ("payment_intent.succeeded", instant(row["created"]), Decimal(row["amount_received"]) / 100)
        for row in paid
    ]
    assert len(events_of(batch, "invoice_data.csv")) == len(rows_of(folder / "invoice_data.csv"))
    subscriptions = rows_of(folder / "subscription_data.csv")
    assert Counter(one["event"] for one in events_of(batch, "/subscription_data.csv")) == {
        "customer.subscription.created": len(subscriptions),
        "customer.subscription.deleted": sum(bool(row["ended_at"]) for row in subscriptions),
    }
    charges = {row["id"] for row in rows_of(folder / "charge_data.csv")}
    lost = [*rows_of(folder / "refund_data.csv"), *rows_of(folder / "dispute_data.csv")]
    assert not charges & {row["charge_id"] for row in lost}
    assert batch.n_nameless == len(lost) + len(payments) - len(paid)
    strangers = 1  # the document of fixtures, which is no table
    assert batch.n_excluded == batch.n_nameless + len(customers) + strangers


def test_objects_of_the_api(formats, tmp_path):
    fixtures = json.loads((formats / "stripe" / "stripe_fixtures3_subset.json").read_text())
    path = tmp_path / "objects.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in fixtures.values()))
    batch = read(loaders.stripe(path))
    found = {one["event"]: one for one in events_of(batch)}
    begun, ended = "customer.subscription.created", "customer.subscription.deleted"
    assert set(found) == {"checkout.session.created", "invoice.created", begun, ended}
    assert {one["is_test"] for one in found.values()} == {True}
    invoice = fixtures["invoice"]
    assert found["invoice.created"]["anonymous_id"] == f"stripe:{invoice['customer']}"
    assert found["invoice.created"]["billing_reason"] == invoice["billing_reason"]
    assert found["checkout.session.created"]["anonymous_id"] == "email:example@example.com"


# Qualtrics


def test_an_export_with_three_header_rows(formats):
    path = formats / "qualtrics" / "qualtrics_v3_export_sample.csv"
    with path.open(encoding="utf-8-sig", newline="") as stream:
        names, _questions, imported, *rows = csv.reader(stream)
    assert all("ImportId" in cell for cell in imported)
    raw = [dict(zip(names, row, strict=True)) for row in rows]
    found = events_of(read(loaders.qualtrics(path, tz="UTC")))
    assert [(one["timestamp"], one["event_id"], one["comment"]) for one in found] == [
        (instant(row["EndDate"]), row["ResponseId"], row["Q2"]) for row in raw
    ]
    assert [json.loads(one["properties"])["Q1"] for one in found] == [row["Q1"] for row in raw]


def test_an_old_export_with_two_header_rows(formats):
    path = formats / "qualtrics" / "qualtrics_legacy_sample.csv"
    with path.open(encoding="utf-8-sig", newline="") as stream:
        _numbers, names, *rows = csv.reader(stream)
    raw = [dict(zip(names, row, strict=True)) for row in rows]
    found = events_of(read(loaders.qualtrics(path, tz="Europe/Zurich", scores={"Q1": ("choice", 1, 3)})))
    assert len(found) == len(raw)
    for one, row in zip(found, raw, strict=True):
        assert one["timestamp"] == instant(row["EndDate"]) - dt.timedelta(hours=2)
        assert one["score"] == float(row["This is a multiple choice question."])
        assert one["anonymous_id"] == f"qualtrics:{row['ResponseID']}"


def test_the_tables_of_a_survey_tool(formats):
    folder = formats / "qualtrics"
    batch = read(loaders.qualtrics(folder, tz="America/Denver"))
    responses = rows_of(folder / "survey_response.csv")
    assert {row["status"] for row in responses} == {"0"}
    found = {one["event_id"]: one for one in events_of(batch, "/survey_response.csv")}
    assert set(found) == {row["id"] for row in responses}
    for row in responses:
        one = found[row["id"]]
        assert (one["timestamp"], one["received_at"]) == (
            instant(row["end_date"]),
            instant(row["recorded_date"]),
        )
        assert one["survey_id"] == row["survey_id"]
        email = row["recipient_email"]
        assert one["anonymous_id"] == (f"email:{email}" if email else f"qualtrics:{row['id']}")
    asked = rows_of(folder / "distribution_contact.csv")
    reminders = {row["id"] for row in rows_of(folder / "distribution.csv") if row["parent_distribution_id"]}
    assert not reminders & {row["distribution_id"] for row in asked}
    invites = events_of(batch, "distribution_contact.csv")
    assert [(one["event"], one["timestamp"], one["actor"]) for one in invites] == [
        ("survey_invite", instant(row["sent_at"]), "company") for row in asked
    ]


# The story that all samples tell


STORY_NPS = {"u1": ("2025-03-10T12:00:00+00:00", 9.0, "great lamp")}


@pytest.mark.parametrize(
    ("vendor", "options", "others"),
    [
        # The second answer of Qualtrics was left unfinished an hour before that of the story.
        ("qualtrics", {}, {"u2": ("2025-03-12T14:00:20+00:00", 3.0, None)}),
        ("surveymonkey", {"tz": "UTC"}, {"u2": ("2025-03-12T15:00:00+00:00", 3.0, None)}),
        ("typeform", {}, {}),
        ("delighted", {}, {}),
    ],
)
def test_the_answers_of_the_story(formats, vendor, options, others):
    batch = read(getattr(loaders, vendor)(formats / "_synthetic" / vendor, **options))
    rows = events_of(batch)
    found = {one["user_id"]: (one["timestamp"].isoformat(), one["score"], one["comment"]) for one in rows}
    assert found == STORY_NPS | others
    assert {one["instrument"] for one in events_of(batch)} == {"nps"}


def test_the_purchase_of_the_story(formats):
    folder = formats / "_synthetic"
    with (folder / "expected.csv").open(newline="") as stream:
        (bought,) = [row for row in csv.DictReader(stream) if row["event"] == "purchase"]
    told = json.loads(bought["props"])
    for vendor, name in (("shopify", "order_placed"), ("stripe", "checkout.session.completed")):
        batch = read(getattr(loaders, vendor)(folder / vendor))
        (one,) = [one for one in events_of(batch) if one["event"] == name]
        assert abs(one["timestamp"] - dt.datetime.fromisoformat(bought["ts"])) <= dt.timedelta(seconds=1)
        assert (one["order_id"], one["currency"]) == (told["order_id"], told["currency"])
        assert one["value"] == Decimal(str(told["value"]))
