"""Shopify: orders with what happened to them, from the admin, the API or a warehouse copy."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.mapping import Saying, each, first, looked_up, path, told
from cjm_analytics.loaders.opened import as_object
from cjm_analytics.loaders.rows import CsvFormat, filled_member
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Sides
    from cjm_analytics.loaders.source import EventStream

__all__ = ["shopify"]

_CHANNELS: Final = {
    "web": "web", "checkout_next": "web", "pos": "store", "iphone": "app", "android": "app", "app": "app",
    "facebook": "social", "instagram": "social", "tiktok": "social",
}  # fmt: skip
_NUMBERS: Final = ("name", "id", "order_number")
_CLIENTS: Final = ("segment-clientid", "segment_client_id", "google-clientid", "anonymous_id", "client_id")
"""Notes of a cart in which tracking scripts leave the id of the device."""

_PAYING: Final = ("sale", "capture")
_WHO: Final = (
    "_key", "_number", "_user", "_email", "_customer", "_cart", "_checkout", "_client", "_test", "_source",
    "_currency",
)  # fmt: skip


def _bare(number: object) -> str:
    """`gid://shopify/Customer/17`, and 17.0 as frames write it, are 17; `#1001` is 1001, as pages say it."""
    return str(number).rpartition("/")[2].removesuffix(".0").removeprefix("#")


def _objects(members: object) -> list[dict[str, Any]]:
    return [one for one in members if isinstance(one, dict)] if isinstance(members, list) else []


# What the rows stand for


def _who(order: Mapping[str, Any], *, number: str, user: str | None) -> dict[str, Any]:
    """What an order or a checkout says for all of its events: whose it is, and which."""
    customer, called = (
        filled_member(order, "customer.id", "customer_id"),
        filled_member(order, number, "name", "id"),
    )
    noted = as_object(order.get("note_attributes"))
    notes = {str(one.get("name")).lower(): one.get("value") for one in _objects(noted)}
    notes |= {name: order.get(f"note_attribute_{name}") for name in _CLIENTS if name not in notes}
    said = filled_member(order, user) if user else None
    return {
        "_key": None if order.get("id") is None else _bare(order["id"]),
        "_number": None if called is None else _bare(called),
        "_user": None if said is None else _bare(said),
        "_email": filled_member(order, "email", "contact_email", "customer.email"),
        "_customer": None if customer is None else f"shopify:{_bare(customer)}",
        "_cart": order.get("cart_token"),
        "_checkout": filled_member(order, "checkout_token", "token"),
        "_client": next((notes[name] for name in _CLIENTS if notes.get(name)), None),
        "_test": order.get("test"),
        "_source": order.get("source_name"),
        "_currency": order.get("currency"),
    }


def _order(order: dict[str, Any], *, number: str, user: str | None) -> Iterator[dict[str, Any]]:
    """An order as its events; everything that is said of it stands with the first."""
    who = _who(order, number=number, user=user)
    key = who["_key"] or who["_number"]
    parts = ("refunds", "fulfillments", "transactions", "customerJourneySummary")
    about = {name: value for name, value in order.items() if name not in parts}
    placed = filled_member(order, "processed_at", "created_at")
    yield {**about, **who, **_event("order_placed", placed, key, order.get("total_price"))}
    who = {**who, "_key": None}  # one row tells what other tables look up
    if order.get("cancelled_at"):
        reason = {"cancel_reason": order.get("cancel_reason")}
        yield {**reason, **who, **_event("order_cancelled", order["cancelled_at"], key)}
    for kind, rows_of in _TABLES.items():
        for one in _objects(order.get(kind)):
            for row in rows_of(one):
                yield {**row, **{name: value for name, value in who.items() if value is not None}}
    visits = order.get("customerJourneySummary")
    for name, visit in visits.items() if isinstance(visits, dict) else ():
        if isinstance(visit, dict) and visit.get("occurredAt"):
            marks = {f"utm_{mark}": value for mark, value in (visit.get("utmParameters") or {}).items()}
            where = {"landing_page": visit.get("landingPage"), "referrer_url": visit.get("referrerUrl")}
            yield {**where, **marks, **who, **_event("customer_visit", visit["occurredAt"], f"{key}:{name}")}


def _event(
    name: str | None, time: object, key: object, value: object = None, *, actor: str = "customer"
) -> dict[str, Any]:
    """The columns in which all rows say what happened."""
    return {"_event": name, "_at": time, "_id": f"{name}:{_bare(key)}", "_value": value, "_actor": actor}


def _transaction(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Money received is an event, and so is a payment that failed; authorisations and refunds are not."""
    kind, status = one.get("kind"), one.get("status")
    is_lost = kind in {*_PAYING, "authorization"} and status in {"failure", "error"}
    name = "order_paid" if kind in _PAYING and status == "success" else "payment_failed" if is_lost else None
    about = {**one, "_test": one.get("test"), "_currency": one.get("currency")}
    time = filled_member(one, "processed_at", "created_at")
    yield {**about, **_event(name, time, one.get("id"), one.get("amount"))}


def _fulfillment(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {**one, **_event("fulfillment_created", one.get("created_at"), one.get("id"), actor="company")}


def _on_the_way(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a parcel service reports: `fulfillment_in_transit`, `fulfillment_delivered`."""
    time = filled_member(one, "happened_at", "created_at")
    yield {**one, **_event(f"fulfillment_{one.get('status')}", time, one.get("id"), actor="company")}


def _refund(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What was paid back, by the payments of the refund, else by its lines."""
    payments = [row for row in _objects(one.get("transactions")) if row.get("kind") == "refund"]
    amounts = [row.get("amount") for row in payments] or [
        row.get("subtotal") for row in _objects(one.get("refund_line_items"))
    ]
    known = [float(amount) for amount in amounts if amount is not None]
    value = f"{sum(known):.4f}" if known else None
    time = filled_member(one, "processed_at", "created_at")
    yield {**one, **_event("refund_created", time, one.get("id"), value, actor="company")}


def _visit(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A visit that led to an order; its marks lose the `parameters` that a copy puts into their names."""
    row = {name.replace("utm_parameters_", "utm_"): value for name, value in one.items()}
    yield {**row, **_event("customer_visit", one.get("occurred_at"), one.get("id"))}


def _checkout(one: dict[str, Any], *, number: str, user: str | None) -> Iterator[dict[str, Any]]:
    """A checkout is an event only if it was not completed."""
    who = _who(one, number=number, user=user) | {"_key": None, "_number": None}
    name = None if one.get("completed_at") else "abandoned_checkout"
    yield {**one, **who, **_event(name, one.get("created_at"), one.get("id"), one.get("total_price"))}


_TABLES: Final = {"transactions": _transaction, "fulfillments": _fulfillment, "refunds": _refund}
_OF_LINES: Final = "Lineitem "
_EXPORTED: Final = {
    "Id": "id", "Name": "name", "Email": "email", "Created at": "created_at", "Cancelled at": "cancelled_at",
    "Total": "total_price", "Currency": "currency", "Source": "source_name", "Phone": "phone",
}  # fmt: skip
_MOMENTS: Final = (
    ("Paid at", "order_paid", "customer"),
    ("Fulfilled at", "fulfillment_created", "company"),
)


def _exported(
    rows: list[dict[str, Any]], _: Sides, *, number: str, user: str | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The orders of the admin's file, in which an order takes a row for each of its items."""
    names = [row.get("Name") for row in rows]
    starts = [place for place in range(len(rows)) if not place or names[place] != names[place - 1]]
    for begin, end in pairwise([*starts, len(rows)]):
        cells: dict[str, Any] = {}
        for row in rows[begin:end]:
            cells = row | cells  # what is said of the order stands on its first row
        times = {column: cells.pop(column, None) for column, _, _ in _MOMENTS}
        notes = cells.pop("Note Attributes", None)
        order = {_EXPORTED.get(name, name): cells[name] for name in cells if not name.startswith(_OF_LINES)}
        order["note_attributes"] = [
            {"name": name.strip(), "value": value.strip()}
            for name, said, value in (line.partition(":") for line in str(notes or "").splitlines())
            if said
        ]
        order["id"] = order.get("id") or order.get("name")
        order["line_items"] = [
            {name.removeprefix(_OF_LINES): row[name] for name in row if name.startswith(_OF_LINES)}
            for row in rows[begin:end]
        ]
        for one in _order(order, number=number, user=user):
            yield begin, one
        who = _who(order, number=number, user=user)
        for column, name, actor in _MOMENTS:
            if times[column]:
                value = order.get("total_price") if name == "order_paid" else None
                yield begin, {**who, **_event(name, times[column], order["id"], value, actor=actor)}


# Where the canonical columns stand


def _own(name: str) -> Saying:
    """What a row says of its order, or else the order to which the row of another table belongs."""
    return first(name, looked_up("order_rows", "order_id", name))


def _stand_in(email: object, *others: object) -> object:
    """Who it is where there is no address: the customer's number, else the cart."""
    return None if email else next((one for one in others if one), None)


_CUSTOMER: Final = _own("_customer")
_EMAIL: Final = first(
    _own("_email"),
    looked_up("customers", each(lambda one: one and one.removeprefix("shopify:"), _CUSTOMER), "email"),
)
_ADDRESS: Final = each(lambda one: one and f"email:{one.strip().lower()}", _EMAIL)
_CART: Final = _own("_cart")
_CHECKOUT: Final = _own("_checkout")
_CLIENT: Final = _own("_client")
_USER: Final = _own("_user")
_EVENTS: Final = Events(
    where=each(lambda one: one is not None, "_event"),
    columns={
        "event": "_event",
        "timestamp": "_at",
        "event_id": "_id",
        "user_id": _USER,
        "anonymous_id": each(_stand_in, _EMAIL, _CUSTOMER, _CLIENT, _CART, _CHECKOUT),
        "email": _EMAIL,
        "order_id": first(_own("_number"), each(lambda one: one and _bare(one), "order_id")),
        "value": "_value",
        "currency": _own("_currency"),
        "actor": "_actor",
        "channel": told(_own("_source"), _CHANNELS),
        "is_test": _own("_test"),
        "url": "landing_page",
        "path": path("landing_page"),
        "referrer": first("referrer_url", "referring_site"),
        **{f"utm_{mark}": f"utm_{mark}" for mark in ("source", "medium", "campaign", "term", "content")},
    },
    aside=(
        *_WHO, "total_price", "currency", "test", "email", "order_id", "created_at", "processed_at",
        "occurred_at", "happened_at", "cancelled_at", "source_name", "cart_token", "checkout_token", "token",
        "amount",
    ),
)  # fmt: skip
_LINKS: Final = ((_CUSTOMER, _USER), (_CLIENT, _USER), (_CART, _USER), (_CHECKOUT, _USER))
_SOMEONE: Final = first(_ADDRESS, _CUSTOMER)
_ALIASES: Final = (
    (_CUSTOMER, _ADDRESS), (_CLIENT, _SOMEONE), (_CART, _SOMEONE), (_CHECKOUT, _SOMEONE),
)  # fmt: skip
_SAID: Final[dict[str, Any]] = {"events": (_EVENTS,), "links": _LINKS, "aliases": _ALIASES, "time": "_at"}


def _vendor(number: str, user: str | None, written: CsvFormat, decimal: str) -> Vendor:
    """The export, with what the user said of its ids."""
    said: dict[str, Any] = {"number": number, "user": user}
    return Vendor(
        name="shopify",
        title="Shopify",
        kind="order",
        written=written,
        decimal=decimal,
        asked=(number, user),
        may_be_nameless=True,
        parts={
            "orders_export": Part(
                told_by=("Name", "Financial Status", "Created at"),
                together=partial(_exported, **said),
                run="Name",
                **_SAID,
            ),
            "order_rows": Part(
                told_by=("financial_status", "total_price", "created_at"),
                names=("order",),
                unfold=partial(_order, **said),
                key="_key",
                holds=_WHO,
                **_SAID,
            ),
            "transactions": Part(
                told_by=("order_id", "kind", "amount"), names=("transaction",), unfold=_transaction, **_SAID
            ),
            "fulfillment_events": Part(
                told_by=("fulfillment_id", "happened_at"),
                names=("fulfillment_event",),
                unfold=_on_the_way,
                **_SAID,
            ),
            "fulfillments": Part(
                told_by=("order_id", "tracking_number"), names=("fulfillment",), unfold=_fulfillment, **_SAID
            ),
            "refunds": Part(told_by=("order_id", "restock"), names=("refund",), unfold=_refund, **_SAID),
            "checkouts": Part(
                told_by=("abandoned_checkout_url",),
                names=("abandoned_checkout", "checkout"),
                unfold=partial(_checkout, **said),
                **_SAID,
            ),
            "visits": Part(
                told_by=("order_id", "occurred_at"),
                names=("customer_visit", "gql_customer_visit"),
                unfold=_visit,
                **_SAID,
            ),
            "customers": Part(
                told_by=("orders_count", "email"),
                names=("customer",),
                key="id",
                holds=("email",),
            ),
        },
    )


def shopify(
    source: object,
    *,
    order_id: str = "name",
    user_id: str | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "shopify",
    format: str | None = None,  # noqa: A002 - the user's word
    sep: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    sheet: str | None = None,
) -> EventStream:
    """Read Shopify orders: placed, paid, cancelled, refunded, on their way, and checkouts left behind.

    **Where it comes from.** *The admin*: *Orders → Export*, a CSV file with one row per line item
    (`orders_export.csv`; saved as a workbook, too). *The API*: `orders.json` and `checkouts.json` of the REST
    Admin API, as answers, JSON arrays or JSON lines. *A warehouse copy* (Fivetran and its like): the tables
    `order`, `transaction`, `fulfillment`, `fulfillment_event`, `refund`, `abandoned_checkout`, `customer` and
    `customer_visit` in one folder; other tables in it are counted as excluded.

    **What becomes what.** An order is `order_placed` at `processed_at` (else `created_at`) with its total as
    `value` and all that is said of it in `properties`, and `order_cancelled` at `cancelled_at`. Money
    received is `order_paid`, a payment that failed `payment_failed`: of transactions, or *Paid at* in the
    admin's file. `refund_created` has the amount paid back; `fulfillment_created` and what the parcel service
    reports (`fulfillment_in_transit`, `fulfillment_delivered`, …) are the company's acts. Checkouts without
    `completed_at` are `abandoned_checkout`. Visits (`customer_visit`, `customerJourneySummary`) keep landing
    page, referrer and `utm_*`. In the admin's file the rows of one `Name` are one order; its items stand in
    `line_items`.

    **Who.** The address (`email:<address>`), else `shopify:<customer>`, else the device that a tracking
    script noted with the cart, else the cart's token, is `anonymous_id`; with `user_id=` the shop's own id is
    `user_id`. Customer, device, `cart_token` and `checkout_token` are linked to it, so that what came before
    the order finds its customer.

    **Traps.** Test orders are kept with `is_test`, which the journey model leaves out. Imported orders have a
    `processed_at` far before their `created_at`. The admin's file tells neither when money was paid back nor
    what became of a parcel: *Refunded Amount* stays in `properties`. Orders of the API say when they were
    paid only with their `transactions`. Times carry the shop's offset, those of copies are UTC. The number of
    an order that pages and payment services know may be its name (`#1001`, without the sign) or its long id:
    say `order_id="id"`, so that one purchase that several systems report is one.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    order_id : str
        Which number of an order is `order_id`: `name`, `id` or `order_number`.
    user_id : str, optional
        Member of an order (dotted) that holds the shop's own id of the customer, for example `customer.id`
        (in a table: `customer_id`) where the shop's tracking sends it as user id.
    keep : sequence of str, or mapping of str to type
        Members of an order that become typed columns, for example `["source_name", "financial_status"]`.
    name : str
        The `source` column.
    format : str, optional
        csv, json, parquet or excel, where a file's ending does not tell.
    sep, encoding, decimal, sheet : str
        How CSV files and workbooks are written (see `loaders.table`).

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; not an export of Shopify.
    UnknownNameError
        No such number of an order.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"Name": ["#1001", "#1001"], "Email": ["ada@example.com"] * 2, "Total": ["49.90", None],
    ...         "Financial Status": ["paid", None], "Paid at": ["2025-03-02 21:15:31 +0100", None],
    ...         "Created at": ["2025-03-02 21:15:30 +0100"] * 2, "Lineitem name": ["Lamp", "Gift card"]}
    >>> batch = next(cjm.loaders.shopify(rows).batches())
    >>> batch.events.select(["anonymous_id", "event", "order_id"]).to_pylist()[0]
    {'anonymous_id': 'email:ada@example.com', 'event': 'order_placed', 'order_id': '1001'}
    """
    if order_id not in _NUMBERS:
        raise UnknownNameError("number of an order", order_id, _NUMBERS)
    if decimal not in {".", ","}:
        raise InputError(f"decimal={decimal!r} must be '.' or ','.")
    written = CsvFormat(sep, encoding, sheet=sheet)
    return _vendor(order_id, user_id, written, decimal).stream(source, keep=keep, name=name, format=format)
