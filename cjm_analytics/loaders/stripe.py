"""Stripe: payments, refunds and subscriptions, as events of the API or as tables of a warehouse copy."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.mapping import (
    Saying,
    address,
    chosen,
    each,
    every,
    filled,
    first,
    joined,
    looked_up,
    plainly,
    unless,
    whenever,
)
from cjm_analytics.loaders.opened import respelt
from cjm_analytics.loaders.unfolded import Unfold
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cjm_analytics.loaders.mapping import Where
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["stripe"]

_WHOLE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
"""Currencies whose amounts are whole; ISK and UGX are, too, but Stripe counts them in hundredths."""

_IN_THOUSANDTHS: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))

_CONTACTS: Final = (
    "checkout.session.",
    "payment_intent.",
    "charge.",
    "invoice.",
    "customer.subscription.",
    "refund.",
)
"""Types of events that belong to one customer's dealings; all others (payouts, prices) do not."""

_TECHNICAL: Final = (
    "payment_intent.created", "payment_intent.processing", "payment_intent.amount_capturable_updated",
    "charge.updated", "charge.pending", "charge.captured", "charge.refund.updated", "refund.created",
    "refund.updated", "invoice.created", "invoice.updated", "invoice.finalized", "invoice.upcoming",
    "invoice.payment_succeeded",
)  # fmt: skip
"""What the machine reports of itself, or once more: `refund.created` comes beside `charge.refunded`."""

_COMPANYS: Final = (
    "charge.refunded",
    "invoice.sent",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "refund.",
)
_AMOUNTS: Final[dict[str, Where]] = {
    "checkout.session": "amount_total",
    "payment_intent": first("amount_received", "amount"),
    "invoice": first("amount_paid", "amount_due", "total"),
}
_RENEWED: Final = "subscription_cycle"
_HELD: Final = ("_key", "_user", "_email", "_customer", "_number", "_order")


def _id_of(name: str) -> Saying:
    """An id that stands as such, as an object with an id, or, in a table, as `<name>_id`."""
    return first(f"{name}.id", plainly(name), f"{name}_id")


def _major(amount: object, currency: object) -> object:
    """An amount in major units: 4990 of EUR is 49.90, 500 of JPY is 500."""
    if amount is None:
        return None
    named = str(currency).upper()
    places = 0 if named in _WHOLE else 3 if named in _IN_THOUSANDTHS else 2
    try:
        return str(Decimal(str(amount)).scaleb(-places))
    except InvalidOperation:
        return amount  # no number: its row says so when it is read as one


def _paid_back(amount: object, before: object) -> object:
    """What a refund paid back: the sum of all refunds of the charge, less what it was before."""
    try:
        return None if amount is None else str(Decimal(str(amount)) - Decimal(str(before or 0)))
    except InvalidOperation:
        return amount


def _actor(kind: object, reason: object, ended_by: object) -> str:
    """Who acts: a renewal is the company's act, and so is a refund."""
    if kind in _TECHNICAL:
        return "system"
    is_ended = kind == "customer.subscription.deleted" and ended_by not in {None, "cancellation_requested"}
    is_companys = reason == _RENEWED or is_ended or str(kind).startswith(_COMPANYS)
    return "company" if is_companys else "customer"


# One spelling

_LABELS: Final = {
    "Created date (UTC)": "_created", "Created (UTC)": "_created", "Amount": "_amount",
    "Amount Refunded": "amount_refunded", "Refunded date (UTC)": "_refunded_at", "Currency": "currency",
    "Status": "_status", "Customer ID": "customer_id", "Customer Email": "email", "Mode": "_mode",
    "Invoice ID": "invoice_id", "PaymentIntent ID": "payment_intent_id", "Decline Reason": "failure_code",
    "Description": "description", "reporting_category": "_category", "created_utc": "_created",
    "gross": "_amount", "source_id": "id",
}  # fmt: skip
"""What the files of the dashboard call the members of a payment."""

_OF_SUBSCRIPTIONS: Final = {
    "Ended At (UTC)": "ended_at", "Canceled At (UTC)": "canceled_at", "Status": "status",
    "Cancellation Reason": "cancellation_details.reason",
}  # fmt: skip
_OF_INVOICES: Final = {
    "Date (UTC)": "_created", "Paid At (UTC)": "paid_at",
    "Amount Due": "amount_due", "Amount Paid": "_amount",
    "Status": "status", "Customer": "customer_id", "Subscription": "subscription_id", "Charge": "charge_id",
}  # fmt: skip
_OF_CUSTOMERS: Final = {"Delinquent": "delinquent", "Email": "email"}
_FILES: Final = {
    "Amount Due": _OF_INVOICES, "Delinquent": _OF_CUSTOMERS, "Ended At (UTC)": _OF_SUBSCRIPTIONS,
    "Canceled At (UTC)": _OF_SUBSCRIPTIONS,
}  # fmt: skip
"""A column by which a file of the dashboard is told → what it calls the members of its objects."""

_METADATA: Final = re.compile(r"(?:payment_)?metadata\[(.+)\]|(.+) \(metadata\)")


def _tidied(rows: Rows) -> Rows:
    """Rows of the files that the dashboard exports under the names of the API."""
    there = set(rows.names())
    if not there & {"Created date (UTC)", "Created (UTC)", "Date (UTC)", "reporting_category"}:
        return rows
    labels = _LABELS | next((several for told, several in _FILES.items() if told in there), {})

    def name(written: str) -> str:
        own = _METADATA.fullmatch(written)
        return f"metadata.{own[1] or own[2]}" if own else labels.get(written, written)

    return respelt(rows, name, lambda _, cells: cells)


_GOT: Final = ("paid", "refunded", "partial", "partially", "disputed", "succeeded", "captured")


def _payment(status: object) -> str | None:
    """What became of a payment, as the dashboard says; of one that is under way nothing."""
    word = str(status).lower().partition(" ")[0]
    return "charge.succeeded" if word in _GOT else "charge.failed" if word in {"failed", "blocked"} else None


# What the rows stand for


def _told(user: str | None) -> dict[str, Where]:
    """What all objects say, of the kind `_what`, to which `_kind` happened."""
    amount = first(
        whenever(
            each(lambda kind: kind == "charge.refunded", "_kind"),
            each(_paid_back, "amount_refunded", "_before"),
        ),
        chosen("_what", _AMOUNTS, "amount"),
    )
    begins = each(
        lambda what, mode, reason: "subscription" in (what, mode) or reason == "subscription_create",
        "_what",
        "mode",
        "billing_reason",
    )
    customer = chosen("_what", {"customer": "id"}, _id_of("customer"))
    return {
        "_event": each(lambda kind: kind if str(kind).startswith(_CONTACTS) else None, "_kind"),
        "_id": first("_event_id", joined("_kind", "id")),
        "_key": chosen("_what", {"charge": "id", "customer": "id"}),
        "_user": first(
            *([user] if user else ("client_reference_id", "metadata.user_id", "metadata.customer_id"))
        ),
        "_email": first(
            "customer_details.email", "customer_email", "receipt_email", "billing_details.email", "email"
        ),
        "_of": customer,
        "_customer": joined("=stripe", customer),
        "_charge": chosen("_what", {"charge": "id"}, _id_of("charge")),
        # What all that is told of one purchase has in common: the shop's number of the order, which a refund
        # takes from its charge; else, where a subscription begins, that; else the payment.
        "_number": first("metadata.order_id", "metadata.order_number"),
        "_order": first(
            whenever(begins, chosen("_what", {"subscription": "id"}, _id_of("subscription"))),
            chosen("_what", {"payment_intent": "id"}, _id_of("payment_intent")),
            chosen("_what", {"invoice": "id"}),
        ),
        "_value": each(_major, amount, "currency"),
        "_currency": each(lambda one: one and str(one).upper(), "currency"),
        "_live": first("_livemode", "livemode"),
        "_actor": each(_actor, "_kind", "billing_reason", "cancellation_details.reason"),
    }


def _made(
    what: str,
    kind: Where,
    time: Where,
    *,
    user: str | None,
    inferred: Saying | None = None,
    where: Where | None = None,
) -> Unfold:
    """An object of the API, or the row of a table, as what happened to it last."""
    known: dict[str, Where] = {} if inferred is None else {"_is_inferred": inferred}
    around = {"_what": f"={what}", "_kind": kind, "_at": time, **known}
    return Unfold(where=where, around=around, columns=_told(user))


def _is(name: str, *values: str) -> Saying:
    return each(lambda one: one in values, name)


def _envelope(user: str | None) -> Unfold:
    """An event of the API: what happened, and the object to which it happened, as it was then."""
    return Unfold(
        around={
            "_what": first("data.object.object", each(lambda kind: str(kind).rpartition(".")[0], "type")),
            "_kind": "type",
            "_at": "created",
            "_event_id": "id",
            "_livemode": "livemode",
            "_before": "data.previous_attributes.amount_refunded",
        },
        without=("object", "id", "type", "created"),
        within="data.object",
        columns=_told(user),
    )


_CHANGES: Final = {
    "charge": "=charge.succeeded", "refund": "=charge.refunded", "dispute": "=charge.dispute.created",
}  # fmt: skip
"""Changes of the balance that are dealings with a customer; fees and payouts are none."""


def _of_dashboard(user: str | None) -> dict[str, tuple[Unfold, ...]]:
    """Rows of the dashboard's files, whose amounts are in major units."""
    told = _told(user) | {
        "_value": each(lambda one: one and str(one).lstrip("-"), "_amount"),
        "_live": each(lambda one: None if one is None else str(one).lower() != "test", "_mode"),
    }
    given = told | {"_value": "amount_refunded"}
    charge: dict[str, Where] = {"_what": "=charge"}
    return {
        "payments": (
            Unfold(around={**charge, "_kind": each(_payment, "_status"), "_at": "_created"}, columns=told),
            Unfold(
                where=filled("_refunded_at"),
                around={**charge, "_kind": "=charge.refunded", "_at": "_refunded_at"},
                columns=given,
            ),
        ),
        "balance": (
            Unfold(around={"_kind": chosen("_category", _CHANGES), "_what": "_category", "_at": "_created"},
                   columns=told),
        ),
    }  # fmt: skip


_FAILED: Final = first("last_payment_error.code", "last_payment_error_code", "last_payment_error_type")
_PAYMENT: Final = chosen(
    "status",
    {"succeeded": "=payment_intent.succeeded", "canceled": "=payment_intent.canceled"},
    each(lambda failed: f"payment_intent.{'payment_failed' if failed else 'created'}", _FAILED),
)
_PAID: Final = _is("status", "paid")
_PAID_AT: Final = whenever(
    _PAID, first("status_transitions.paid_at", "status_transitions_paid_at", "paid_at")
)
_INVOICE: Final = first(
    whenever(_PAID, "=invoice.paid"),
    whenever(each(lambda one: str(one).lower() == "true", "attempted"), "=invoice.payment_failed"),
    "=invoice.created",
)
_SESSION: Final = chosen(
    "status",
    {"complete": "=checkout.session.completed", "expired": "=checkout.session.expired"},
    "=checkout.session.created",
)


def _objects(user: str | None) -> dict[str, tuple[Unfold, ...]]:
    """What each kind of object tells as it stands now."""
    made = partial(_made, user=user)
    charge = chosen("status", {"failed": "=charge.failed", "pending": "=charge.pending"}, "=charge.succeeded")
    return {
        "event": (_envelope(user),),
        "charge": (made("charge", charge, "created"),),
        # Succeeded, cancelled, failed the last time, or never tried.
        "payment_intent": (
            made(
                "payment_intent",
                _PAYMENT,
                first(whenever(_is("status", "canceled"), "canceled_at"), "created"),
                inferred=every(each(bool, _FAILED), unless(_is("status", "succeeded", "canceled"))),
            ),
        ),
        "invoice": (
            made(
                "invoice",
                _INVOICE,
                first(_PAID_AT, "created", "period_start"),
                inferred=unless(filled(_PAID_AT)),
            ),
        ),
        "subscription": (
            made("subscription", "=customer.subscription.created", "created"),
            made("subscription", "=customer.subscription.deleted", "ended_at", where=filled("ended_at")),
        ),
        # Completed at a time that it does not tell, or left behind.
        "checkout.session": (
            made(
                "checkout.session",
                _SESSION,
                chosen("status", {"expired": "expires_at"}, "created"),
                inferred=_is("status", "complete"),
            ),
        ),
        "refund": (made("refund", "=refund.created", "created"),),
        "dispute": (made("dispute", "=charge.dispute.created", "created"),),
        # A customer is no event; who it is is remembered.
        "customer": (made("customer", "=customer.created", "created"),),
    }


_ENDED: Final = first("ended_at", whenever(_is("status", "canceled"), "canceled_at"))


def _objects_of_dashboard(user: str | None) -> dict[str, tuple[Unfold, ...]]:
    """What the dashboard's files of invoices, subscriptions and customers tell, in major units."""
    made = partial(_made, user=user)
    several = {
        "invoices": (
            made("invoice", _INVOICE, first(_PAID_AT, "_created"), inferred=unless(filled(_PAID_AT))),
        ),
        "customers": (made("customer", "=customer.created", "_created"),),
        "subscriptions": (
            made("subscription", "=customer.subscription.created", "_created"),
            made("subscription", "=customer.subscription.deleted", _ENDED, where=filled(_ENDED)),
        ),
    }
    value = {"_value": first("_amount", "amount_due")}
    return {
        name: tuple(replace(one, columns={**one.columns, **value}) for one in unfolds)
        for name, unfolds in several.items()
    }


def _of_all(objects: Mapping[str, tuple[Unfold, ...]]) -> tuple[Unfold, ...]:
    """The same for objects of several kinds beside one another."""
    return tuple(
        replace(one, where=every(_is("object", name), *([] if one.where is None else [one.where])))
        for name, several in objects.items()
        for one in several
    )


_TOLD_BY: Final = {
    "event": ("type", "data", "created"),
    "charge": ("amount_refunded", "created"),
    "payment_intent": ("amount_capturable", "created"),
    "invoice": ("billing_reason", "amount_due"),
    "subscription": ("current_period_end", "created"),
    "checkout.session": ("payment_status", "created"),
    "refund": ("charge_id", "reason", "receipt_number"),
    "dispute": ("charge_id", "is_charge_refundable"),
    "customer": ("delinquent", "created"),
    "payments": ("_created", "_status", "_amount"),
    "invoices": ("_created", "amount_due", "status"),
    "customers": ("_created", "delinquent"),
    "subscriptions": ("_created", "customer_id", "status"),
    "balance": ("balance_transaction_id", "_category", "_created"),
}
_NAMES: Final = {"subscription": ("subscription_history",), "checkout.session": ("checkout_session",)}


# Where the canonical columns stand


def _own(name: str, *, of_customer: bool = True) -> Saying:
    """What a row says, else the charge to which it belongs, else the customer."""
    keys = ("_charge", "_of") if of_customer else ("_charge",)
    sides = {
        "_charge": ("charge", "objects", "event", "payments"),
        "_of": ("customer", "objects", "event", "customers"),
    }
    return first(name, *(looked_up(side, key, name) for key in keys for side in sides[key]))


_EMAIL: Final = _own("_email")
_CUSTOMER: Final = _own("_customer")
_USER: Final = _own("_user")
_ADDRESS: Final = address(_EMAIL)
_EVENTS: Final = Events(
    where=filled("_event"),
    columns={
        "event": "_event",
        "timestamp": "_at",
        "event_id": "_id",
        "user_id": _USER,
        "anonymous_id": whenever(unless(filled(_EMAIL)), _CUSTOMER).keeping(),
        "email": _EMAIL,
        "order_id": first(_own("_number", of_customer=False), _own("_order", of_customer=False)),
        "value": "_value",
        "currency": "_currency",
        "actor": "_actor",
        "is_test": each(lambda live: None if live is None else str(live).lower() in {"false", "0"}, "_live"),
    },
    also={"billing_reason": "billing_reason"},
    inferred=first("_is_inferred"),
    aside=(
        "_key", "_of", "_customer", "_charge", "_number", "_live", "_livemode", "_is_inferred", "_kind",
        "_what", "_before", "_event_id", "amount", "amount_total", "currency", "created",
        "_amount", "_created", "_refunded_at", "_status", "_mode", "_category",
        "livemode", "object", "pending_webhooks", "api_version", "request", "client_secret",
        "email", "customer_email", "receipt_email", "client_reference_id",
    ),
)  # fmt: skip
_SAID: Final[dict[str, Any]] = {
    "events": (_EVENTS,),
    "links": ((_CUSTOMER, _USER),),
    "aliases": ((_CUSTOMER, _ADDRESS),),
    "time": "_at",
    "key": "_key",
    "holds": _HELD,
}


def _vendor(user: str | None, written: CsvFormat) -> Vendor:
    objects = _objects(user)
    several = objects | _of_dashboard(user) | _objects_of_dashboard(user)
    return Vendor(
        name="stripe",
        title="Stripe",
        kind="order",
        written=written,
        asked=(user,),
        may_be_nameless=True,
        tidied=_tidied,
        parts={
            "objects": Part(told_by=("object", "livemode", "id"), unfolds=_of_all(objects), **_SAID),
            **{
                name: Part(told_by=_TOLD_BY[name], names=_NAMES.get(name, ()), unfolds=made, **_SAID)
                for name, made in several.items()
            },
        },
    )


def stripe(
    source: object,
    *,
    user_id: str | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "stripe",
    format: str | None = None,  # noqa: A002 - the user's word
    sep: str | None = None,
    encoding: str = "utf-8",
) -> EventStream:
    """Read Stripe: payments made and failed, refunds, disputes, subscriptions, checkouts left behind.

    **Where it comes from.** *Events*: the objects that webhooks receive and `GET /v1/events` lists
    (`{"id": "evt_…", "type": …, "created": …, "data": {"object": …}}`), as JSON lines, arrays or answers; the
    best source, but the API keeps them for 30 days only. *Objects* of the API (charges, invoices, …), of
    several kinds in one file, too.
    *A warehouse copy* (Fivetran and its like): the tables `charge`, `payment_intent`, `invoice`,
    `subscription` or `subscription_history`, `checkout_session`, `refund`, `dispute` and `customer` in one
    folder. *The dashboard*: the CSV files that *Export* gives of payments, invoices, subscriptions and
    customers, and the itemized report of changes of the balance, with times in UTC.

    **What becomes what.** Events keep their type (`checkout.session.completed`, `charge.refunded`, …) and the
    time `created`; those of no customer's dealings (payouts, prices) are counted as excluded, and so are
    customers, who give links only. Of objects and tables follow the events of the same names that they tell
    of: `charge.succeeded` or `charge.failed`, `invoice.paid`, `customer.subscription.created` and `….deleted`
    (at `ended_at`), `refund.created`, `charge.dispute.created`; where a state has no time of its own, that of
    the object, marked as inferred. `value` is in major units, of a refund what was paid back this time.
    `order_id` is `metadata.order_id`, of a refund or a dispute that of its charge; else, where a subscription
    begins, the subscription; else the payment intent: so all that tells of one purchase agrees in it.
    `billing_reason` is a column of its own, for rules. The rest of the object stands in `properties`, such as
    `cancellation_details`.

    **Who.** `client_reference_id`, `metadata.user_id` or `metadata.customer_id`, or the member that
    `user_id=` names, is `user_id`; without one the address, else `stripe:cus_…`, is `anonymous_id`. A row
    without any takes them from its charge or customer, if those are in the export.

    **Memory.** Files are read in blocks, twice: first who paid each charge and who the customers are, of
    which some hundred bytes a charge or customer are held, because refunds and disputes name the charge
    alone; then everything. Up to 256 MB of blocks are kept in between and not parsed again; of anything else
    the rest is never held. Ingesting a quarter of a million charges took 0.9 GB at most, a million (585 MB)
    1.8 GB: 1.2 KB a charge (`python benchmarks/loaders.py 1M --only stripe --peak`).

    **Traps.** The dashboard's file of payments tells of refunds only with the column *Refunded date (UTC)*;
    of payments under way it tells nothing yet. Amounts of the API are in minor units, and currencies have
    none, two or three decimal places. Rows with `livemode` false are tests (`is_test`, which the journey
    model leaves out). Webhooks repeat and come in any order: `id` tells them apart, `created` orders them.
    Several types tell of one purchase: choose one as the goal (`checkout.session.completed` in the standard
    model, or `charge.succeeded` without Checkout). Renewals (`billing_reason` `subscription_cycle`) are the
    company's acts and no purchases. `charge.failed`, `payment_intent.payment_failed` and
    `invoice.payment_failed` are signs of friction. What the machine reports of itself, or once more
    (`refund.created` beside `charge.refunded`), has the actor `system`.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    user_id : str, optional
        Member of the objects (dotted) that holds your own id of the customer: `metadata.shop_customer`.
    keep : sequence of str, or mapping of str to type
        Members of the objects that become typed columns, for example `["failure_code", "metadata.plan"]`.
    name : str
        The `source` column.
    format : str, optional
        csv, json, parquet or excel, where a file's ending does not tell.
    sep, encoding : str
        How CSV files are written (see `loaders.table`).

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; not an export of Stripe.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"id": ["evt_1"], "type": ["charge.succeeded"], "created": [1740946531], "livemode": [True],
    ...         "data": [{"object": {"id": "ch_1", "object": "charge", "customer": "cus_1", "amount": 500,
    ...                              "currency": "jpy", "payment_intent": "pi_1"}}]}
    >>> batch = next(cjm.loaders.stripe(rows).batches())
    >>> batch.events.select(["anonymous_id", "order_id", "value", "currency"]).to_pylist()
    [{'anonymous_id': 'stripe:cus_1', 'order_id': 'pi_1', 'value': Decimal('500.0000'), 'currency': 'JPY'}]
    """
    written = CsvFormat(sep, encoding)
    return _vendor(user_id, written).stream(source, keep=keep, name=name, format=format)
