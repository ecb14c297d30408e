"""Orders and payments: what happened to them, what they were worth, and whose they are."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import openpyxl
import pytest

import cjm_analytics as cjm
from cjm_analytics import loaders
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.source import whole


def read(stream):
    batch = whole(stream.batches())
    assert batch.n_read == batch.events.num_rows + batch.rejects.num_rows + batch.n_excluded
    return batch


def seen(batch, *columns):
    there = [name for name in columns if name in batch.events.column_names]
    rows = batch.events.sort_by([("timestamp", "ascending")]).select(there).to_pylist()
    return [tuple(one.get(name) for name in columns) for one in rows]


def lines(path, *rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


# Shopify


ORDER = {
    "id": 7410991464714, "name": "#1001", "order_number": 1001, "email": "Ada@Example.com",
    "customer": {"id": 17}, "created_at": "2025-03-04T10:00:00+01:00",
    "processed_at": "2025-03-02T21:15:30+01:00", "cancelled_at": "2025-03-06T10:00:00+01:00",
    "cancel_reason": "customer", "financial_status": "refunded", "total_price": "49.90", "currency": "EUR",
    "source_name": "pos", "test": False, "cart_token": "cart1", "checkout_token": "check1",
    "landing_site": "/lamp?utm_source=x", "referring_site": "https://www.google.com/",
    "note_attributes": [{"name": "segment-clientID", "value": "d1"}],
    "line_items": [{"sku": "lamp-1", "quantity": 1}],
    "transactions": [
        {"id": 1, "kind": "authorization", "status": "failure", "created_at": "2025-03-02T21:15:00+01:00",
         "amount": "49.90"},
        {"id": 2, "kind": "sale", "status": "success", "processed_at": "2025-03-02T21:15:31+01:00",
         "amount": "49.90", "currency": "EUR"},
    ],
    "fulfillments": [{"id": 3, "created_at": "2025-03-05T10:00:00+01:00", "status": "success"}],
    "refunds": [{"id": 4, "created_at": "2025-03-06T10:00:01+01:00", "note": "broken", "transactions": [
        {"kind": "refund", "amount": "40.00"}, {"kind": "refund", "amount": "9.90"},
        {"kind": "void", "amount": "1"}]}],
}  # fmt: skip


def test_an_order_of_the_api_is_all_that_happened_to_it(tmp_path):
    path = tmp_path / "orders.json"
    path.write_text(json.dumps({"orders": [ORDER]}, indent=1))
    batch = read(loaders.shopify(path))
    assert seen(batch, "event", "actor", "value", "channel") == [
        ("payment_failed", "customer", Decimal("49.90"), "store"),
        ("order_placed", "customer", Decimal("49.90"), "store"),
        ("order_paid", "customer", Decimal("49.90"), "store"),
        ("fulfillment_created", "company", None, "store"),
        ("order_cancelled", "customer", None, "store"),
        ("refund_created", "company", Decimal("49.90"), "store"),
    ]
    assert set(seen(batch, "order_id", "anonymous_id", "currency")) == {
        ("1001", "email:ada@example.com", "EUR")
    }
    placed = json.loads(seen(batch, "properties")[1][0])
    assert (placed["line_items"], placed["financial_status"]) == (ORDER["line_items"], "refunded")
    links = {(one["alias"], one["user_id"], one["kind"]) for one in batch.links.to_pylist()}
    address = "email:ada@example.com"
    assert links == {(alias, address, "alias") for alias in ("shopify:17", "d1", "cart1", "check1")}


def test_the_shops_own_id_of_the_customer(tmp_path):
    batch = read(
        loaders.shopify(lines(tmp_path / "orders.jsonl", ORDER), user_id="customer.id", order_id="id")
    )
    assert set(seen(batch, "user_id", "order_id")) == {("17", "7410991464714")}
    links = {(one["alias"], one["user_id"]) for one in batch.links.to_pylist() if one["kind"] is None}
    assert links >= {("email:ada@example.com", "17"), ("cart1", "17"), ("d1", "17")}
    with pytest.raises(UnknownNameError, match="order_number"):
        loaders.shopify(tmp_path, order_id="order_no")


def test_orders_that_were_tests_say_so(tmp_path):
    path = lines(tmp_path / "orders.jsonl", ORDER, {**ORDER, "id": 2, "name": "#2", "test": True})
    batch = read(loaders.shopify(path))
    assert {one for one in seen(batch, "order_id", "is_test") if one[0] == "2"} == {("2", True)}
    assert {one for one in seen(batch, "order_id", "is_test") if one[0] != "2"} == {("1001", False)}


def test_tables_take_from_the_order_what_they_do_not_say(tmp_path):
    tables = {
        "order": [["id", "name", "email", "customer_id", "created_at", "total_price", "financial_status",
                   "currency"],
                  ["1", "#1001", "", "17", "2025-03-02 20:15:30", "49.90", "paid", "EUR"]],
        "customer": [["id", "email", "orders_count"], ["17", "ada@example.com", "1"]],
        "transaction": [["id", "order_id", "kind", "status", "amount", "processed_at"],
                        ["5", "1", "capture", "success", "49.90", "2025-03-02 20:16:00"],
                        ["6", "1", "refund", "success", "49.90", "2025-03-05 20:16:00"]],
        "fulfillment_event": [["id", "order_id", "fulfillment_id", "status", "happened_at"],
                              ["8", "1", "7", "delivered", "2025-03-04 12:00:00"]],
        "refund": [["id", "order_id", "created_at", "restock"], ["9", "1", "2025-03-05 20:16:00", "false"]],
        "abandoned_checkout": [
            ["id", "email", "cart_token", "created_at", "completed_at", "total_price",
             "abandoned_checkout_url"],
            ["10", "", "cart2", "2025-03-07 10:00:00", "", "5.00", "https://x"],
            ["11", "bob@x.de", "cart3", "2025-03-07 10:00:00", "2025-03-07 10:01:00", "5.00", "https://x"]],
    }  # fmt: skip
    for name, rows in tables.items():
        (tmp_path / f"{name}.csv").write_text("".join(",".join(cells) + "\n" for cells in rows))
    batch = read(loaders.shopify(tmp_path))
    assert seen(batch, "event", "anonymous_id", "order_id", "currency") == [
        ("order_placed", "email:ada@example.com", "1001", "EUR"),
        ("order_paid", "email:ada@example.com", "1001", "EUR"),
        ("fulfillment_delivered", "email:ada@example.com", "1001", "EUR"),
        ("refund_created", "email:ada@example.com", "1001", "EUR"),
        ("abandoned_checkout", "cart2", None, None),
    ]


EXPORT = [
    ["Name", "Email", "Financial Status", "Paid at", "Fulfilled at", "Currency", "Total", "Created at",
     "Lineitem quantity", "Lineitem name", "Cancelled at", "Refunded Amount", "Id", "Source"],
    ["#1001", "ada@example.com", "paid", "2025-03-02 21:15:31 +0100", "", "EUR", "1049,90",
     "2025-03-02 21:15:30 +0100", "1", "Lampe für Größe M", "", "0,00", "74", "web"],
    ["#1001", "ada@example.com", "", "", "", "", "", "2025-03-02 21:15:30 +0100", "2", "Kabel", "", "", "",
     ""],
    ["#1002", "bob@example.com", "pending", "", "", "EUR", "5,00", "2025-03-03 09:00:00 +0100", "1", "Kabel",
     "2025-03-04 09:00:00 +0100", "5,00", "75", "web"],
]  # fmt: skip


def exported(path, encoding, sep):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=sep, lineterminator="\n").writerows(EXPORT)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "sep"), [("utf-8-sig", ";"), ("utf-16", "\t"), ("windows-1252", ";"), ("excel", "")]
)
def test_the_admins_file_as_people_save_it(tmp_path, encoding, sep):
    if encoding == "excel":
        book = openpyxl.Workbook()
        for cells in EXPORT:
            book.active.append(cells)
        path = tmp_path / "orders_export.xlsx"
        book.save(path)
        batch = read(loaders.shopify(path, decimal=","))
    else:
        path = exported(tmp_path / "orders_export.csv", encoding, sep)
        said = {"encoding": encoding} if encoding == "windows-1252" else {}
        batch = read(loaders.shopify(path, sep=sep, decimal=",", **said))
    assert seen(batch, "event", "order_id", "value") == [
        ("order_placed", "1001", Decimal("1049.90")),
        ("order_paid", "1001", Decimal("1049.90")),
        ("order_placed", "1002", Decimal("5.00")),
        ("order_cancelled", "1002", None),
    ]
    items = json.loads(seen(batch, "properties")[0][0])["line_items"]
    assert [one["name"] for one in items] == ["Lampe für Größe M", "Kabel"]


def of_admin(path, *rows, names=("Name", "Email", "Financial Status", "Total", "Currency", "Created at",
                                 "Lineitem name", "Id", "Phone", "Note Attributes")):  # fmt: skip
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


AT = "2025-03-02 21:15:30 +0100"


def test_checkouts_that_the_admin_exports_are_no_orders(tmp_path):
    """Their file has the columns of orders; a checkout is called by its id, and has no financial status."""
    rows = [
        ["#37107487441214", "ada@example.com", "", "12.50", "EUR", AT, "Lamp", "37107487441214", "", ""],
        ["#37107487441214", "ada@example.com", "", "", "", AT, "Cable", "", "", ""],
        ["#37107487441215", "bob@example.com", "", "3.00", "EUR", AT, "Cable", "3.71E+13", "", ""],
        ["#1001", "cem@example.com", "paid", "5.00", "EUR", AT, "Cable", "74", "", ""],
    ]
    batch = read(loaders.shopify(of_admin(tmp_path / "checkouts_export_1.csv", *rows)))
    assert seen(batch, "event", "anonymous_id", "order_id", "value") == [
        ("abandoned_checkout", "email:ada@example.com", None, Decimal("12.50")),
        ("abandoned_checkout", "email:bob@example.com", None, Decimal("3.00")),
        ("order_placed", "email:cem@example.com", "1001", Decimal("5.00")),
    ]
    assert len(json.loads(seen(batch, "properties")[0][0])["line_items"]) == 2


def test_ids_that_a_spreadsheet_has_rounded_tell_no_orders_apart(tmp_path):
    rows = [
        [name, "", "paid", "5.00", "EUR", AT, "Lamp", "3.82386E+12", phone, ""]
        for name, phone in (("#1", "+49301"), ("#2", "2.7649E+10"), ("#3", "'+49303"))
    ]
    events = cjm.ingest(
        loaders.shopify(of_admin(tmp_path / "orders_export.csv", *rows)), now="2026-01-01", progress=False
    )
    frame = events.to_frame()
    assert frame["order_id"].tolist() == ["1", "3"]  # nothing names the buyer of the second
    assert frame["anonymous_id"].tolist() == ["phone:49301", "phone:49303"]
    assert events.report().sources[0].duplicates == 0


def test_items_that_were_sorted_away_from_their_order_are_no_order(tmp_path):
    item = ["#1001", "ada@example.com", "", "", "", AT, "Cable", "", "", ""]
    other = ["#1002", "bob@example.com", "paid", "5.00", "EUR", AT, "Lamp", "75", "", ""]
    order = ["#1001", "ada@example.com", "paid", "9.00", "EUR", AT, "Lamp", "74", "", ""]
    batch = read(loaders.shopify(of_admin(tmp_path / "orders_export.csv", item, other, order)))
    assert sorted(seen(batch, "event", "order_id", "value")) == [
        ("order_placed", "1001", Decimal("9.00")), ("order_placed", "1002", Decimal("5.00")),
    ]  # fmt: skip


def test_the_campaign_may_stand_among_the_notes_of_the_cart(tmp_path):
    notes = "First name: Ada\nUTM source: facebook\nUTM medium: paid\nutm_campaign: spring"
    path = of_admin(
        tmp_path / "orders_export.csv",
        ["#1001", "ada@example.com", "paid", "5.00", "EUR", AT, "Lamp", "74", "", notes],
        ["#1002", "ada@example.com", "paid", "5.00", "EUR", AT, "Lamp", "75", "", ""],
    )
    batch = read(loaders.shopify(path))
    assert sorted(seen(batch, "order_id", "utm_source", "utm_medium", "utm_campaign")) == [
        ("1001", "facebook", "paid", "spring"), ("1002", None, None, None),
    ]  # fmt: skip
    order = {"id": 1, "name": "#1001", "created_at": "2025-03-02T21:15:30+01:00", "email": "ada@example.com",
             "financial_status": "paid", "total_price": "5", "landing_site": "/?utm_source=mail",
             "note_attributes": [{"name": "utm_source", "value": "x"},
                                 {"name": "utm_term", "value": "y"}]}  # fmt: skip
    batch = read(loaders.shopify(lines(tmp_path / "orders.jsonl", order)))
    assert seen(batch, "utm_source", "utm_term") == [("mail", "y")]


def test_bytes_of_another_encoding_are_rejects_that_say_what_to_do(tmp_path):
    path = exported(tmp_path / "orders_export.csv", "windows-1252", ";")
    batch = read(loaders.shopify(path, decimal=","))
    assert batch.rejects.num_rows == 1
    assert "say encoding=" in batch.rejects["reason"][0].as_py()
    with pytest.raises(InputError, match="decimal"):
        loaders.shopify(path, decimal=";")


# Stripe


def event(kind, number=1, live=True, previous=None, **said):
    data = {"object": {"id": f"x{number}", "customer": "cus_1", **said}}
    data |= {"previous_attributes": previous} if previous else {}
    return {"id": f"evt_{number}", "object": "event", "type": kind, "created": 1740946530 + number,
            "livemode": live, "data": data}  # fmt: skip


@pytest.mark.parametrize(
    ("currency", "amount", "value"),
    [
        ("eur", 4990, "49.90"),
        ("jpy", 500, "500"),
        ("kwd", 5120, "5.120"),
        ("isk", 500, "5"),
        ("USD", 1, "0.01"),
    ],
)
def test_amounts_are_in_major_units(tmp_path, currency, amount, value):
    path = lines(
        tmp_path / "events.jsonl",
        event("charge.succeeded", object="charge", amount=amount, currency=currency),
    )
    assert seen(read(loaders.stripe(path)), "value", "currency") == [(Decimal(value), currency.upper())]


def test_a_partial_refund_is_what_was_paid_back_this_time(tmp_path):
    charge = {"object": "charge", "amount": 5000, "currency": "eur", "payment_intent": "pi_1"}
    first = event("charge.refunded", 1, amount_refunded=1000, previous={"amount_refunded": 0}, **charge)
    second = event("charge.refunded", 2, amount_refunded=2500, previous={"amount_refunded": 1000}, **charge)
    batch = read(loaders.stripe(lines(tmp_path / "events.jsonl", first, second)))
    assert seen(batch, "value", "actor", "order_id") == [
        (Decimal(10), "company", "pi_1"),
        (Decimal(15), "company", "pi_1"),
    ]


def test_tests_renewals_and_what_the_machine_says_are_told(tmp_path):
    rows = [
        event("checkout.session.completed", 1, object="checkout.session", mode="subscription",
              subscription="sub_1"),
        event("invoice.paid", 2, object="invoice", billing_reason="subscription_create",
              subscription="sub_1"),
        event("invoice.paid", 3, object="invoice", billing_reason="subscription_cycle",
              subscription="sub_1"),
        event("invoice.payment_succeeded", 4, object="invoice", billing_reason="subscription_cycle"),
        event("customer.subscription.deleted", 5, object="subscription",
              cancellation_details={"reason": "payment_failed", "feedback": None}),
        event("customer.subscription.deleted", 6, object="subscription",
              cancellation_details={"reason": "cancellation_requested", "comment": "too dear"}),
        event("charge.failed", 7, live=False, object="charge", failure_code="card_declined"),
        event("payout.paid", 8, object="payout"),
        event("customer.updated", 9, object="customer", email="ada@example.com"),
    ]  # fmt: skip
    batch = read(loaders.stripe(lines(tmp_path / "events.jsonl", *rows)))
    assert seen(batch, "event", "actor", "billing_reason", "is_test") == [
        ("checkout.session.completed", "customer", None, False),
        ("invoice.paid", "customer", "subscription_create", False),
        ("invoice.paid", "company", "subscription_cycle", False),
        ("invoice.payment_succeeded", "system", "subscription_cycle", False),
        ("customer.subscription.deleted", "company", None, False),
        ("customer.subscription.deleted", "customer", None, False),
        ("charge.failed", "customer", None, True),
    ]
    orders = [one[0] for one in seen(batch, "order_id")]
    assert orders[:2] == ["sub_1", "sub_1"]
    assert orders[2] not in {"sub_1", None}
    assert "too dear" in seen(batch, "properties")[5][0]
    assert batch.n_excluded == 2


def test_a_guest_is_known_by_the_address_and_by_the_charge(tmp_path):
    charge = event("charge.succeeded", 1, object="charge", customer=None, amount=500, currency="eur",
                   billing_details={"email": "Ada@example.com"}, metadata={"order_id": "1001"})  # fmt: skip
    charge["data"]["object"]["id"] = "ch_1"
    dispute = event("charge.dispute.created", 2, object="dispute", customer=None, charge="ch_1", amount=500)
    nobody = event("charge.succeeded", 3, object="charge", customer=None, amount=500, currency="eur")
    batch = read(loaders.stripe(lines(tmp_path / "events.jsonl", charge, dispute, nobody)))
    assert seen(batch, "event", "anonymous_id", "order_id") == [
        ("charge.succeeded", "email:ada@example.com", "1001"),
        ("charge.dispute.created", "email:ada@example.com", "1001"),
    ]
    assert batch.n_nameless == 1


def test_the_dashboards_files_of_subscriptions_invoices_and_customers(tmp_path):
    files = {
        "subscriptions": [
            ["id", "Customer ID", "Customer Email", "Plan", "Currency", "Amount", "Status",
             "Cancellation Reason", "Created (UTC)", "Current Period End (UTC)", "Canceled At (UTC)",
             "Ended At (UTC)", "shop (metadata)"],
            ["sub_1", "cus_1", "", "pro", "usd", "29.00", "active", "", "2025-03-01 10:00",
             "2025-04-01 10:00", "", "", "u7"],
            ["sub_2", "cus_2", "bob@x.org", "pro", "usd", "29.00", "canceled", "payment_failed",
             "2025-03-01 11:00", "2025-04-01 11:00", "2025-03-05 12:00", "", ""],
        ],
        "invoices": [
            ["id", "Amount Due", "Amount Paid", "Currency", "Customer", "Date (UTC)", "Paid At (UTC)",
             "Status", "Subscription"],
            ["in_1", "29.00", "29.00", "usd", "cus_1", "2025-03-01 10:00", "2025-03-01 10:05",
             "paid", "sub_1"],
            ["in_2", "29.00", "0.00", "usd", "cus_1", "2025-04-01 10:00", "", "open", "sub_1"],
        ],
        "customers": [
            ["id", "Description", "Email", "Name", "Created (UTC)", "Delinquent", "Status", "Total Spend"],
            ["cus_1", "", "ada@x.org", "Ada", "2025-03-01 09:59", "false", "active", "29.00"],
        ],
    }  # fmt: skip
    for name, rows in files.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    batch = read(loaders.stripe(tmp_path))
    columns = ("event", "anonymous_id", "value", "actor", "order_id", "time_quality")
    begun, ended = "customer.subscription.created", "customer.subscription.deleted"
    ada, bob, fee = "email:ada@x.org", "email:bob@x.org", Decimal(29)
    assert sorted(seen(batch, *columns), key=lambda one: (one[1], one[0])) == [
        (begun, ada, fee, "customer", "sub_1", "minute"),
        ("invoice.created", ada, 0, "system", "in_2", "inferred"),
        ("invoice.paid", ada, fee, "customer", "in_1", "minute"),
        (begun, bob, fee, "customer", "sub_2", "minute"),
        (ended, bob, fee, "company", "sub_2", "minute"),
    ]
    assert batch.n_excluded == 1  # the customer
    assert '"metadata.shop":"u7"' in "".join(one[0] for one in seen(batch, "properties"))


def test_a_refund_belongs_to_the_order_of_its_charge(tmp_path):
    charge = {"object": "charge", "id": "ch_1", "amount": 5000, "currency": "eur", "payment_intent": "pi_1"}
    paid = event("charge.succeeded", 1, **charge, metadata={"order_id": "1001"}, customer="cus_1")
    refund = event("refund.created", 2, object="refund", charge="ch_1", payment_intent="pi_1", amount=500)
    other = event("charge.succeeded", 3, **charge | {"id": "ch_2", "payment_intent": "pi_2"},
                  customer="cus_1")  # fmt: skip
    batch = read(loaders.stripe(lines(tmp_path / "events.jsonl", refund, other, paid)))
    assert sorted(seen(batch, "event", "order_id")) == [
        ("charge.succeeded", "1001"), ("charge.succeeded", "pi_2"), ("refund.created", "1001")
    ]  # fmt: skip


def test_where_a_buyer_came_from_is_said_by_the_page_of_landing(tmp_path):
    order = {"id": 1, "name": "#1001", "created_at": "2025-03-02T21:15:30+01:00", "email": "ada@example.com",
             "financial_status": "paid", "total_price": "5", "currency": "EUR",
             "landing_site": "/lamps?utm_source=news&utm_medium=e-mail#top"}  # fmt: skip
    batch = read(loaders.shopify(lines(tmp_path / "orders.jsonl", order, order | {"landing_site": "/a?b"})))
    assert seen(batch, "path", "utm_source", "utm_medium", "utm_term") == [
        ("/lamps?utm_source=news&utm_medium=e-mail", "news", "e-mail", None), ("/a?b", None, None, None)
    ]  # fmt: skip


def test_who_gave_a_telephone_alone_is_known_by_it(tmp_path):
    order = {"id": 1, "name": "#1001", "created_at": "2025-03-02T21:15:30+01:00", "phone": "+49 30 1234567",
             "financial_status": "paid", "total_price": "5", "currency": "EUR"}  # fmt: skip
    rows = [order, order | {"id": 2, "email": "ada@example.com"}]
    events = cjm.ingest(
        loaders.shopify(lines(tmp_path / "orders.jsonl", *rows)), now="2026-01-01", progress=False
    )
    assert events.to_frame()["customer_id"].nunique() == 1


def test_webhooks_repeat_and_come_in_any_order(tmp_path):
    rows = [
        event("charge.succeeded", number, object="charge", amount=1, currency="eur")
        for number in (3, 1, 3, 2)
    ]
    events = cjm.ingest(
        loaders.stripe(lines(tmp_path / "events.jsonl", *rows)), now="2026-01-01", progress=False
    )
    assert events.to_frame()["event_id"].tolist() == ["evt_1", "evt_2", "evt_3"]
    assert events.report().sources[0].duplicates == 1
