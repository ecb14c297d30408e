"""Stripe: payments, refunds and subscriptions, as events of the API or as tables of a warehouse copy."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cjm_analytics.loaders.mapping import Saying, each, first, looked_up
from cjm_analytics.loaders.opened import as_object
from cjm_analytics.loaders.rows import CsvFormat, filled_member, member
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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
_AMOUNTS: Final = {
    "checkout.session": ("amount_total",),
    "payment_intent": ("amount_received", "amount"),
    "invoice": ("amount_paid", "amount_due", "total"),
}
_RENEWED: Final = "subscription_cycle"
_HELD: Final = ("_key", "_user", "_email", "_customer", "_order")


def _id_of(values: Mapping[str, Any], name: str) -> str | None:
    """An id that stands as such, as an object with an id, or, in a table, as `<name>_id`."""
    found = values.get(name)
    if isinstance(found, dict):
        found = found.get("id")
    return found or values.get(f"{name}_id") or None


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


# What the rows stand for


def _event(
    kind: str, time: object, said: Mapping[str, Any], *, user: str | None, key: object = None
) -> dict[str, Any]:
    """An object of the API, or the row of a table, under the columns in which all say what happened."""
    values = {**said, "metadata": as_object(said.get("metadata"))}
    what = str(said.get("object") or kind.rpartition(".")[0])
    identity = said.get("id")
    customer = identity if what == "customer" else _id_of(said, "customer")
    currency = said.get("currency")
    amount = filled_member(values, *_AMOUNTS.get(what, ("amount",)))
    return {
        **values,
        "_event": kind if kind.startswith(_CONTACTS) else None,
        "_at": time,
        "_id": key or f"{kind}:{identity}",
        "_key": identity if what in {"charge", "customer"} else None,
        "_user": filled_member(
            values, *([user] if user else ("client_reference_id", "metadata.user_id", "metadata.customer_id"))
        ),
        "_email": filled_member(
            values,
            "customer_details.email",
            "customer_email",
            "receipt_email",
            "billing_details.email",
            "email",
        ),
        "_customer": customer and f"stripe:{customer}",
        "_charge": identity if what == "charge" else _id_of(said, "charge"),
        "_order": _order(what, values),
        "_value": _major(amount, currency),
        "_currency": currency and str(currency).upper(),
        "_live": said.get("livemode"),
        "_actor": _actor(kind, values),
    }


def _order(what: str, values: Mapping[str, Any]) -> object:
    """What all that is told of one purchase has in common.

    The shop's number of the order; else, where a subscription begins, that; else the payment.
    """
    begins = (
        what == "subscription"
        or values.get("mode") == "subscription"
        or values.get("billing_reason") == "subscription_create"
    )
    subscription = values.get("id") if what == "subscription" else _id_of(values, "subscription")
    payment = values.get("id") if what == "payment_intent" else _id_of(values, "payment_intent")
    number = filled_member(values, "metadata.order_id", "metadata.order_number")
    return (
        number
        or (subscription if begins else None)
        or payment
        or (values.get("id") if what == "invoice" else None)
    )


def _actor(kind: str, values: Mapping[str, Any]) -> str:
    """Who acts: a renewal is the company's act, and so is a refund."""
    if kind in _TECHNICAL:
        return "system"
    is_renewal = values.get("billing_reason") == _RENEWED
    ended_by = member(values, "cancellation_details.reason")
    is_ended = kind == "customer.subscription.deleted" and ended_by not in {None, "cancellation_requested"}
    return "company" if is_renewal or is_ended or kind.startswith(_COMPANYS) else "customer"


def _envelope(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    """An event of the API: what happened, and the object to which it happened, as it was then."""
    data = as_object(row.get("data"))
    said = data.get("object") if isinstance(data, dict) else None
    if not isinstance(said, dict):
        said = {}
    kind = str(row.get("type"))
    live = row.get("livemode", said.get("livemode"))
    made = _event(kind, row.get("created"), {**said, "livemode": live}, user=user, key=row.get("id"))
    if kind == "charge.refunded":
        before = member(data, "previous_attributes.amount_refunded") or 0
        back = said.get("amount_refunded")
        made["_value"] = _major(None if back is None else back - before, said.get("currency"))
    about = {name: row[name] for name in row if name not in {"data", "object", "id", "type", "created"}}
    yield {**about, **made}


def _charge(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    kind = {"failed": "charge.failed", "pending": "charge.pending"}.get(
        str(row.get("status")), "charge.succeeded"
    )
    yield _event(kind, row.get("created"), {**row, "object": "charge"}, user=user)


def _payment(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    """A payment as it stands now: succeeded, cancelled, failed the last time, or never tried."""
    has_failed = filled_member(
        row, "last_payment_error.code", "last_payment_error_code", "last_payment_error_type"
    )
    ends = {"succeeded": "succeeded", "canceled": "canceled"}
    end = ends.get(str(row.get("status")), "payment_failed" if has_failed else "created")
    time = row.get("canceled_at") if end == "canceled" else None
    made = _event(
        f"payment_intent.{end}", time or row.get("created"), {**row, "object": "payment_intent"}, user=user
    )
    yield {**made, "_is_inferred": end == "payment_failed"}


def _invoice(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    is_paid = str(row.get("status")) == "paid"
    has_failed = not is_paid and str(row.get("attempted")).lower() == "true"
    kind = "invoice.paid" if is_paid else "invoice.payment_failed" if has_failed else "invoice.created"
    paid = (
        filled_member(row, "status_transitions.paid_at", "status_transitions_paid_at", "paid_at")
        if is_paid
        else None
    )
    time = paid or filled_member(row, "created", "period_start")
    yield {**_event(kind, time, {**row, "object": "invoice"}, user=user), "_is_inferred": not paid}


def _subscription(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    said = {**row, "object": "subscription"}
    yield _event("customer.subscription.created", row.get("created"), said, user=user)
    if row.get("ended_at"):
        yield _event("customer.subscription.deleted", row["ended_at"], said, user=user)


def _session(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    """A checkout: completed at a time that it does not tell, or left behind."""
    state = {"complete": "completed", "expired": "expired"}.get(str(row.get("status")), "created")
    time = row.get("expires_at") if state == "expired" else row.get("created")
    made = _event(f"checkout.session.{state}", time, {**row, "object": "checkout.session"}, user=user)
    yield {**made, "_is_inferred": state == "completed"}


def _refund(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    made = _event("refund.created", row.get("created"), {**row, "object": "refund"}, user=user)
    yield {**made, "_actor": "company"}


def _dispute(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    yield _event("charge.dispute.created", row.get("created"), {**row, "object": "dispute"}, user=user)


def _customer(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    """A customer is no event; who it is is remembered."""
    yield _event("customer.created", row.get("created"), {**row, "object": "customer"}, user=user)


_OBJECTS: Final[dict[str, Callable[..., Iterator[dict[str, Any]]]]] = {
    "event": _envelope,
    "charge": _charge,
    "payment_intent": _payment,
    "invoice": _invoice,
    "subscription": _subscription,
    "checkout.session": _session,
    "refund": _refund,
    "dispute": _dispute,
    "customer": _customer,
}
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
}
_NAMES: Final = {"subscription": ("subscription_history",), "checkout.session": ("checkout_session",)}


def _object(row: dict[str, Any], *, user: str | None) -> Iterator[dict[str, Any]]:
    """An object of the API as it stands now, whichever it is."""
    made_of = _OBJECTS.get(str(row.get("object")))
    return iter([{**row, "_event": None}]) if made_of is None else made_of(row, user=user)


# Where the canonical columns stand


def _own(name: str) -> Saying:
    """What a row says, else the charge to which it belongs, else the customer."""
    customer = each(lambda one: one and one.removeprefix("stripe:"), "_customer")
    of_charge = (looked_up(side, "_charge", name) for side in ("charge", "objects", "event"))
    of_customer = (looked_up(side, customer, name) for side in ("customer", "objects", "event"))
    return first(name, *of_charge, *of_customer)


_EMAIL: Final = _own("_email")
_CUSTOMER: Final = _own("_customer")
_USER: Final = _own("_user")
_ADDRESS: Final = each(lambda one: one and f"email:{one.strip().lower()}", _EMAIL)
_EVENTS: Final = Events(
    where=each(lambda one: one is not None, "_event"),
    columns={
        "event": "_event",
        "timestamp": "_at",
        "event_id": "_id",
        "user_id": _USER,
        "anonymous_id": each(lambda email, customer: None if email else customer, _EMAIL, _CUSTOMER),
        "email": _EMAIL,
        "order_id": _own("_order"),
        "value": "_value",
        "currency": "_currency",
        "actor": "_actor",
        "is_test": each(lambda live: None if live is None else str(live).lower() in {"false", "0"}, "_live"),
    },
    also={"billing_reason": "billing_reason"},
    inferred=first("_is_inferred"),
    aside=(
        "_key", "_customer", "_charge", "_live", "_is_inferred", "amount", "amount_total", "currency",
        "created", "livemode", "object", "pending_webhooks", "api_version", "request", "client_secret",
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
    return Vendor(
        name="stripe",
        title="Stripe",
        kind="order",
        written=written,
        asked=(user,),
        may_be_nameless=True,
        parts={
            "objects": Part(
                told_by=("object", "livemode", "id"), unfold=partial(_object, user=user), **_SAID
            ),
            **{
                name: Part(
                    told_by=_TOLD_BY[name],
                    names=_NAMES.get(name, ()),
                    unfold=partial(made_of, user=user),
                    **_SAID,
                )
                for name, made_of in _OBJECTS.items()
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
    folder.

    **What becomes what.** Events keep their type (`checkout.session.completed`, `charge.refunded`, …) and the
    time `created`; those of no customer's dealings (payouts, prices) are counted as excluded, and so are
    customers, who give links only. Of objects and tables follow the events of the same names that they tell
    of: `charge.succeeded` or `charge.failed`, `invoice.paid`, `customer.subscription.created` and `….deleted`
    (at `ended_at`), `refund.created`, `charge.dispute.created`; where a state has no time of its own, that of
    the object, marked as inferred. `value` is in major units, of a refund what was paid back this time.
    `order_id` is `metadata.order_id`; else, where a subscription begins, the subscription; else the
    payment intent: so all that tells of one purchase agrees in it. `billing_reason` is a column of its own,
    for rules. The rest of the object stands in `properties`, such as `cancellation_details`.

    **Who.** `client_reference_id`, `metadata.user_id` or `metadata.customer_id`, or the member that
    `user_id=` names, is `user_id`; without one the address, else `stripe:cus_…`, is `anonymous_id`. A row
    without any takes them from its charge or customer, if those are in the export.

    **Traps.** Amounts are in minor units, and currencies have none, two or three decimal places. Rows
    with `livemode` false are tests (`is_test`, which the journey model leaves out). Webhooks repeat and come
    in any order: `id` tells them apart, `created` orders them. Several types tell of one purchase: choose one
    as the goal (`checkout.session.completed` in the standard model, or `charge.succeeded` without Checkout).
    Renewals (`billing_reason` `subscription_cycle`) are the company's acts and no purchases. `charge.failed`,
    `payment_intent.payment_failed` and `invoice.payment_failed` are signs of friction. What the machine
    reports of itself, or once more (`refund.created` beside `charge.refunded`), has the actor `system`.

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
