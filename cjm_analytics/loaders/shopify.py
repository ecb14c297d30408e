"""Shopify: orders with what happened to them, from the admin, the API or a warehouse copy."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.mapping import (
    Saying,
    address,
    column,
    each,
    every,
    filled,
    first,
    joined,
    looked_up,
    path,
    told,
    unless,
    whenever,
    without_pattern,
)
from cjm_analytics.loaders.opened import as_object, objects_of
from cjm_analytics.loaders.rows import ObjectRows
from cjm_analytics.loaders.states import snake
from cjm_analytics.loaders.unfolded import Unfold
from cjm_analytics.loaders.values import holds_any, texts
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Cells, Sides, Where
    from cjm_analytics.loaders.rows import Rows
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
    "_key", "_number", "_user", "_email", "_phone", "_customer", "_cart", "_checkout", "_client", "_test",
    "_source", "_currency",
)  # fmt: skip


def _bare(where: Where) -> Saying:
    """`gid://shopify/Customer/17`, and 17.0 as frames write it, are 17; `#1001` is 1001, as pages say it."""
    one, bare = column(where), without_pattern(where, r"^(?:.*/)?#?|\.0$")

    def read(cells: Cells) -> pa.Array:
        found = texts(cells.of(one))
        return cells.of(bare) if holds_any(found, b"/#.") else found

    return replace(bare, read=read)


def _objects(members: object) -> list[dict[str, Any]]:
    members = as_object(members)
    return [one for one in members if isinstance(one, dict)] if isinstance(members, list) else []


def _client(noted: object, *columns: object) -> object:
    """The id of the device that a tracking script noted with the cart."""
    notes = dict(zip(_CLIENTS, columns, strict=True))
    notes |= {str(one.get("name")).lower(): one.get("value") for one in _objects(noted)}
    return next((notes[name] for name in _CLIENTS if notes.get(name)), None)


def _paid(kind: object, status: object) -> str | None:
    """Money received is an event, and so is a payment that failed; authorisations and refunds are not."""
    if kind in _PAYING and status == "success":
        return "order_paid"
    is_lost = kind in {*_PAYING, "authorization"} and status in {"failure", "error"}
    return "payment_failed" if is_lost else None


def _repaid(transactions: object, lines: object) -> str | None:
    """What was paid back, by the payments of a refund, else by its lines."""
    payments = [row for row in _objects(transactions) if row.get("kind") == "refund"]
    amounts = [row.get("amount") for row in payments] or [row.get("subtotal") for row in _objects(lines)]
    known = [float(amount) for amount in amounts if amount is not None]
    return f"{sum(known):.4f}" if known else None


# One spelling


def _tidied(rows: Rows) -> Rows:
    """Rows of the GraphQL API under the names that the REST API gives to their members."""
    if not {"createdAt", "__parentId", "displayFinancialStatus"} & set(rows.names()):
        return rows
    objects = [_of_graph(one) for one in objects_of(rows)]
    return ObjectRows(rows.file, objects, rows.numbers, None, rows.broken)


def _of_graph(one: Mapping[str, Any]) -> dict[str, Any]:
    """An object of the GraphQL API as the REST API writes it: names, ids, amounts, states, lists."""
    made: dict[str, Any] = {}
    for name, value in one.items():
        if name.endswith("Set") and isinstance(value, dict) and isinstance(value.get("shopMoney"), dict):
            made[snake(name.removesuffix("Set"))] = value["shopMoney"].get("amount")
            made.setdefault("currency", value["shopMoney"].get("currencyCode"))
        elif name in _STATES:
            made[_STATES[name]] = value.lower() if isinstance(value, str) else value
        elif name == "customAttributes":
            made["note_attributes"] = [{"name": said.get("key"), **said} for said in _objects(value)]
        elif name in {_VISITS, "__parentId"}:
            made[name] = value
        else:
            made[snake(name)] = _inside_graph(value)
    return made


def _inside_graph(value: object) -> object:
    """A member of an object of the GraphQL API; of lists the items, however they are wrapped."""
    if isinstance(value, dict):
        if isinstance(value.get("nodes"), list):
            return _inside_graph(value["nodes"])
        if isinstance(value.get("edges"), list):
            return _inside_graph([one.get("node") for one in _objects(value["edges"])])
        return _of_graph(value)
    return [_inside_graph(one) for one in value] if isinstance(value, list) else value


# What the rows stand for


def _event(
    name: Where, time: Where, key: Where, value: Where | None = None, *, actor: str = "customer"
) -> dict[str, Where]:
    """The columns in which all rows say what happened."""
    said: dict[str, Where] = {
        "_event": name,
        "_at": time,
        "_id": joined(name, _bare(key)),
        "_actor": f"={actor}",
    }
    return said if value is None else {**said, "_value": value}


def _are_bare(notes: pa.Array) -> bool:
    """Whether no cart has notes, as in most shops: nobody need look for them."""
    return pa.types.is_list(notes.type) and not pc.any(pc.greater(pc.list_value_length(notes), 0)).as_py()


def _noted(cells: Cells) -> pa.Array:
    """The same of whole columns."""
    if _are_bare(cells["note_attributes"]) and not any(cells.rows.has(name) for name in _NOTES):
        return pa.nulls(len(cells), pa.string())
    return cells.of(_ALL_NOTED)


_NOTES: Final = tuple(f"note_attribute_{name}" for name in _CLIENTS)
_ALL_NOTED: Final = each(_client, "note_attributes", *_NOTES)
_NOTED: Final = replace(_ALL_NOTED, read=_noted)


def _who(number: str, user: str | None) -> dict[str, Where]:
    """What an order or a checkout says for all of its events: whose it is, and which."""
    said: dict[str, Where] = {} if user is None else {"_user": _bare(user)}
    return {
        **said,
        "_key": _bare("id"),
        "_number": _bare(first(number, "name", "id")),
        "_email": first("email", "contact_email", "customer.email"),
        "_phone": without_pattern(first("phone", "customer.phone"), r"^'"),  # as files for spreadsheets begin
        "_customer": joined("=shopify", _bare(first("customer.id", "customer_id"))),
        "_cart": "cart_token",
        "_checkout": first("checkout_token", "token"),
        "_client": _NOTED,
        "_test": "test",
        "_source": "source_name",
        "_currency": "currency",
    }


_TRANSACTION: Final = {
    **_event(each(_paid, "kind", "status"), first("processed_at", "created_at"), "id", "amount"),
    "_test": first("_test", "test"),
    "_currency": first("_currency", "currency"),
}
_FULFILLMENT: Final = _event("=fulfillment_created", "created_at", "id", actor="company")
_REFUND: Final = _event(
    "=refund_created",
    first("processed_at", "created_at"),
    "id",
    each(_repaid, "transactions", "refund_line_items"),
    actor="company",
)
_ON_THE_WAY: Final = _event(
    joined("=fulfillment", "status", sep="_"), first("happened_at", "created_at"), "id", actor="company"
)
"""What a parcel service reports: `fulfillment_in_transit`, `fulfillment_delivered`."""

_STATES: Final = {
    "displayFinancialStatus": "financial_status", "displayFulfillmentStatus": "fulfillment_status",
    "kind": "kind", "status": "status", "cancelReason": "cancel_reason",
}  # fmt: skip
"""Members of the GraphQL API whose values are in capitals."""

_MARKS: Final = ("source", "medium", "campaign", "term", "content")
_VISIT: Final = {
    **_event("=customer_visit", "occurred_at", "id"),
    **{f"utm_{mark}": first(f"utm_{mark}", f"utm_parameters_{mark}") for mark in _MARKS},
}
_NESTED: Final = {"transactions": _TRANSACTION, "fulfillments": _FULFILLMENT, "refunds": _REFUND}
_VISITS: Final = "customerJourneySummary"


def _order(number: str, user: str | None) -> tuple[Unfold, ...]:
    """An order as its events; everything that is said of it stands with the first."""
    who = _who(number, user)
    key = first(who["_key"], who["_number"])
    said = {name: where for name, where in who.items() if name != "_key"}  # one row tells what others look up
    name = whenever(unless(filled("__parentId")), "=order_placed")  # lines of an order are none
    placed = _event(name, first("processed_at", "created_at"), key, "total_price")
    return (
        Unfold(without=(*_NESTED, _VISITS, *(name for name, *_ in _MOMENTS)), columns={**who, **placed}),
        Unfold(
            where=filled("cancelled_at"),
            around={**said, **_event("=order_cancelled", "cancelled_at", key)},
            keeps=("cancel_reason",),
        ),
        *(
            Unfold(where=filled(name), around=said, keeps=(name,), each=name, columns=columns)
            for name, columns in _NESTED.items()
        ),
        *(_visited(f"{_VISITS}.{name}", key, said) for name in ("firstVisit", "lastVisit")),
    )


def _visited(head: str, key: Saying, said: Mapping[str, Where]) -> Unfold:
    """A visit that an order of the API tells of."""
    which = joined(key, f"={head.rpartition('.')[2]}")
    return Unfold(
        where=filled(f"{head}.occurredAt"),
        around={
            **said,
            **_event("=customer_visit", f"{head}.occurredAt", which),
            "landing_page": f"{head}.landingPage",
            "referrer_url": f"{head}.referrerUrl",
            **{f"utm_{mark}": f"{head}.utmParameters.{mark}" for mark in _MARKS},
        },
        keeps=(),
    )


def _checkout(number: str, user: str | None) -> Unfold:
    """A checkout is an event only if it was not completed."""
    who = {name: where for name, where in _who(number, user).items() if name not in {"_key", "_number"}}
    name = whenever(unless(filled("completed_at")), "=abandoned_checkout")
    return Unfold(columns={**who, **_event(name, "created_at", "id", "total_price")})


_MOMENTS: Final = (
    ("Paid at", "order_paid", "customer", "total_price"),
    ("Fulfilled at", "fulfillment_created", "company", None),
)
"""Columns of the admin's file that tell of an event by themselves."""


def _moments(number: str, user: str | None) -> tuple[Unfold, ...]:
    return tuple(
        Unfold(
            where=filled(time),
            around={**_who(number, user), **_event(f"={name}", time, "id", value, actor=actor)},
            keeps=(),
        )
        for time, name, actor, value in _MOMENTS
    )


_OF_LINES: Final = "Lineitem "
_EXPORTED: Final = {
    "Id": "id", "Name": "name", "Email": "email", "Created at": "created_at", "Cancelled at": "cancelled_at",
    "Total": "total_price", "Currency": "currency", "Source": "source_name", "Phone": "phone",
}  # fmt: skip


_ROUNDED: Final = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
"""A long number as spreadsheets write it."""

_LONG: Final = 11
"""So many digits have the ids of the shop's objects, but not the numbers of its orders."""


def _exported(rows: list[dict[str, Any]], _: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """The orders of the admin's file, in which an order takes a row for each of its items.

    The file of abandoned checkouts has the same columns: a checkout is called by its id, and nobody paid it.
    Rows that have lost their order, because somebody sorted the file, are lines of it and no order.
    """
    names = [row.get("Name") for row in rows]
    starts = [place for place in range(len(rows)) if not place or names[place] != names[place - 1]]
    for begin, end in pairwise([*starts, len(rows)]):
        cells: dict[str, Any] = {}
        for row in rows[begin:end]:
            cells = row | cells  # what is said of the order stands on its first row
        notes = cells.pop("Note Attributes", None)
        order = {_EXPORTED.get(name, name): cells[name] for name in cells if not name.startswith(_OF_LINES)}
        order["note_attributes"] = [
            {"name": name.strip(), "value": value.strip()}
            for name, said, value in (line.partition(":") for line in str(notes or "").splitlines())
            if said
        ]
        for name in ("id", "phone"):
            if _ROUNDED.fullmatch(str(order.get(name))):
                del order[name]  # which several orders have in common
        called = str(order.get("name")).removeprefix("#")
        is_id = called == str(order.get("id")) or (called.isdigit() and len(called) >= _LONG)
        if is_id and not order.get("Financial Status"):
            order["_left_behind"] = True
        elif not order.get("Financial Status") and order.get("total_price") is None:
            order["__parentId"] = order.get("name")
        order["id"] = order.get("id") or order.get("name")
        order["line_items"] = [
            {name.removeprefix(_OF_LINES): row[name] for name in row if name.startswith(_OF_LINES)}
            for row in rows[begin:end]
        ]
        yield begin, order


# Where the canonical columns stand


def _own(name: str) -> Saying:
    """What a row says of its order, or else the order to which the row of another table belongs."""
    return first(name, looked_up("order_rows", "order_id", name))


def _marked(mark: str) -> Saying:
    """A mark of the campaign that apps note with the cart, as `utm_source` or `UTM source`."""

    def told(notes: object) -> object:
        named = {str(one.get("name")).lower().replace(" ", "_"): one.get("value") for one in _objects(notes)}
        return named.get(mark)

    every_note = each(told, "note_attributes")

    def read(cells: Cells) -> pa.Array:
        are_bare = _are_bare(cells["note_attributes"])
        return pa.nulls(len(cells), pa.string()) if are_bare else cells.of(every_note)

    return Saying(read, ("note_attributes",))


def _landed(mark: str) -> Saying:
    """A mark of the campaign in the address at which the buyer came into the shop."""
    pattern = rf"[?&]{mark}=(?P<said>[^&#]+)"

    def read(cells: Cells) -> pa.Array:
        pages = texts(cells["landing_site"])
        named = pc.fill_null(pc.match_substring(pages, f"{mark}="), False)  # much quicker than the pattern
        said = pc.struct_field(pc.extract_regex(pages.filter(named), pattern), "said")
        return pc.replace_with_mask(pa.nulls(len(pages), pa.string()), named, said)

    return Saying(read, ("landing_site",))


_CUSTOMER: Final = _own("_customer")
_EMAIL: Final = first(
    _own("_email"),
    looked_up("customers", each(lambda one: one and one.removeprefix("shopify:"), _CUSTOMER), "email"),
)
_ADDRESS: Final = address(_EMAIL)
_PHONE: Final = joined("=phone", _own("_phone"))
_CART: Final = _own("_cart")
_CHECKOUT: Final = _own("_checkout")
_CLIENT: Final = _own("_client")
_USER: Final = _own("_user")
_EVENTS: Final = Events(
    where=filled("_event"),
    columns={
        "event": "_event",
        "timestamp": "_at",
        "received_at": "updated_at",
        "event_id": "_id",
        "user_id": _USER,
        "anonymous_id": whenever(
            unless(filled(_EMAIL)), first(_CUSTOMER, _PHONE, _CLIENT, _CART, _CHECKOUT)
        ).keeping(),
        "email": _EMAIL,
        "order_id": first(_own("_number"), _bare("order_id")),
        "value": "_value",
        "currency": _own("_currency"),
        "actor": "_actor",
        "channel": told(_own("_source"), _CHANNELS),
        "is_test": _own("_test"),
        "url": "landing_page",
        "path": first(path("landing_page"), path("landing_site")),
        "referrer": first("referrer_url", "referring_site"),
        **{mark: first(mark, _landed(mark), _marked(mark)) for mark in (f"utm_{one}" for one in _MARKS)},
    },
    aside=(
        *_WHO, *(f"utm_parameters_{mark}" for mark in _MARKS),
        "total_price", "currency", "test", "email", "order_id", "created_at", "processed_at",
        "_left_behind", "occurred_at", "happened_at",
        "cancelled_at", "source_name", "cart_token", "checkout_token", "token",
        "amount",
    ),
)  # fmt: skip
_LINKS: Final = ((_CUSTOMER, _USER), (_CLIENT, _USER), (_CART, _USER), (_CHECKOUT, _USER))
_SOMEONE: Final = first(_ADDRESS, _CUSTOMER, _PHONE)
_ALIASES: Final = (
    (_CUSTOMER, _ADDRESS), (_PHONE, first(_ADDRESS, _CUSTOMER)), (_CLIENT, _SOMEONE), (_CART, _SOMEONE),
    (_CHECKOUT, _SOMEONE),
)  # fmt: skip
_SAID: Final[dict[str, Any]] = {"events": (_EVENTS,), "links": _LINKS, "aliases": _ALIASES, "time": "_at"}


def _vendor(number: str, user: str | None, written: CsvFormat, decimal: str) -> Vendor:
    """The export, with what the user said of its ids."""
    orders, bought = _order(number, user), unless(filled("_left_behind"))
    return Vendor(
        name="shopify",
        title="Shopify",
        kind="order",
        copies="latest",
        written=written,
        decimal=decimal,
        asked=(number, user),
        may_be_nameless=True,
        tidied=_tidied,
        parts={
            "orders_export": Part(
                told_by=("Name", "Financial Status", "Created at"),
                together=_exported,
                run="Name",
                unfolds=(
                    *(
                        replace(one, where=every(bought, *([] if one.where is None else [one.where])))
                        for one in (*orders, *_moments(number, user))
                    ),
                    replace(_checkout(number, user), where=unless(bought)),
                ),
                **_SAID,
            ),
            "order_rows": Part(
                told_by=("financial_status", "total_price", "created_at"),
                names=("order",),
                unfolds=orders,
                key="_key",
                holds=_WHO,
                **_SAID,
            ),
            "transactions": Part(
                told_by=("order_id", "kind", "amount"),
                names=("transaction",),
                unfolds=(Unfold(_TRANSACTION),),
                **_SAID,
            ),
            "fulfillment_events": Part(
                told_by=("fulfillment_id", "happened_at"),
                names=("fulfillment_event",),
                unfolds=(Unfold(_ON_THE_WAY),),
                **_SAID,
            ),
            "fulfillments": Part(
                told_by=("order_id", "tracking_number"),
                names=("fulfillment",),
                unfolds=(Unfold(_FULFILLMENT),),
                **_SAID,
            ),
            "refunds": Part(
                told_by=("order_id", "restock"), names=("refund",), unfolds=(Unfold(_REFUND),), **_SAID
            ),
            "checkouts": Part(
                told_by=("abandoned_checkout_url",),
                names=("abandoned_checkout", "checkout"),
                unfolds=(_checkout(number, user),),
                **_SAID,
            ),
            "visits": Part(
                told_by=("order_id", "occurred_at"),
                names=("customer_visit", "gql_customer_visit"),
                unfolds=(Unfold(_VISIT),),
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
    (`orders_export.csv`; saved as a workbook, too), and *Abandoned checkouts → Export*
    (`checkouts_export.csv`, with the same columns). *The API*: `orders.json` and `checkouts.json` of the REST
    Admin API, as answers, JSON arrays or JSON lines; orders of the GraphQL API (`createdAt`,
    `totalPriceSet`, `displayFinancialStatus`, …), such as the JSON lines of a bulk operation, whose lines of
    items (`__parentId`) are counted as excluded. *A warehouse copy* (Fivetran and its like): the tables
    `order`, `transaction`, `fulfillment`, `fulfillment_event`, `refund`, `abandoned_checkout`, `customer` and
    `customer_visit` in one folder; other tables in it are counted as excluded.

    **What becomes what.** An order is `order_placed` at `processed_at` (else `created_at`) with its total as
    `value` and all that is said of it in `properties`, and `order_cancelled` at `cancelled_at`. Money
    received is `order_paid`, a payment that failed `payment_failed`: of transactions, or *Paid at* in the
    admin's file. `refund_created` has the amount paid back; `fulfillment_created` and what the parcel service
    reports (`fulfillment_in_transit`, `fulfillment_delivered`, …) are the company's acts. Checkouts without
    `completed_at` are `abandoned_checkout`, and so are rows of the admin's file that are called by their id
    and have no financial status. Visits (`customer_visit`, `customerJourneySummary`) keep landing page,
    referrer and `utm_*`; those of an order are in the address of its landing page, else what an app noted
    with the cart (*Note Attributes*: `utm_source`, `UTM source`). In the admin's file the rows of one `Name`
    are one order; its items stand in `line_items`. Rows that somebody sorted away from their order are
    counted as excluded, and of an `Id` that a spreadsheet has rounded (`3.82E+12`) the name takes the place.

    **Who.** The address (`email:<address>`), else `shopify:<customer>`, else the telephone (`phone:<number>`,
    as of a sale in a store), else the device that a tracking script noted with the cart, else the cart's
    token, is `anonymous_id`; with `user_id=` the shop's own id is `user_id`. Customer, device, `cart_token`
    and `checkout_token` are linked to it, so that what came before the order finds its customer.

    **Memory.** Files are read in blocks, twice: first who placed each order (ids, address, currency), of
    which some hundred bytes an order are held, because payments, refunds and parcels of other files name the
    order alone; then everything. Up to 256 MB of blocks are kept in between and not parsed again; of anything
    else the rest is never held. Ingesting a quarter of a million orders took 1.1 GB at most, a million
    (516 MB) 1.9 GB: 1.1 KB an order (`python benchmarks/loaders.py 1M --only shopify --peak`).

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
