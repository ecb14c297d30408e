"""Salesforce: what its objects and their histories say of contacts, deals and cases."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.mapping import (
    Saying,
    each,
    every,
    filled,
    first,
    followed,
    joined,
    looked_up,
    told,
    unless,
    whenever,
)
from cjm_analytics.loaders.opened import respelt
from cjm_analytics.loaders.people import USER, People
from cjm_analytics.loaders.states import as_of, closings, day, happened, history, snake, staged
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Sides, Where
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["salesforce"]

_CHANNELS: Final = {
    "call": "phone", "phone": "phone", "email": "email", "listemail": "email", "linkedin": "social",
    "web": "web", "chat": "chat", "messaging": "chat", "sms": "chat", "social": "social",
    "facebook": "social", "twitter": "social", "community": "web", "store": "store",
}  # fmt: skip
_SHORT: Final = re.compile(r"[A-Za-z0-9]{15}")
_CHECK: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_TIME: Final = r"^(\d{4}-\d\d-\d\d[T ]\d\d?:\d\d(:\d\d(\.\d+)?)?)$"
_EVENING: Final = " 23:59:59"
"""Where only the day of an end is known, whatever else happened on that day came before it."""


# One spelling


def _long_id(text: str | None) -> str | None:
    """An id of 15 characters, in which capitals matter, as the one of 18 in which they do not."""
    if text is None or not _SHORT.fullmatch(text):
        return text
    bits = (sum(one.isupper() << place for place, one in enumerate(text[at : at + 5])) for at in (0, 5, 10))
    return text + "".join(_CHECK[one] for one in bits)


def _tidied(rows: Rows, user_id: str | None, tz: str) -> Rows:
    """Standard fields as a warehouse copy calls them (`CreatedDate` is `created_date`), ids in full.

    Data Loader may write all names in capitals: `CREATEDDATE`. Times are in UTC, dates in the zone `tz`.
    """

    def name(written: str) -> str:
        if user_id is not None and written in {user_id, user_id.upper()}:
            return USER
        if "__" in written or not written[:1].isupper():
            return written
        return _shouted().get(written) or snake(written)

    def cells(column: str, values: pa.Array) -> pa.Array:
        if tz != "UTC" and column.endswith(("_date", "_time", "stamp", "_start")):
            return _in_utc(values)
        if not (column == "id" or column.endswith("_id")) or not pa.types.is_string(values.type):
            return values
        few = pc.dictionary_encode(values)
        return pa.array(map(_long_id, few.dictionary.to_pylist()), pa.string()).take(few.indices)

    return respelt(rows, name, cells)


def _in_utc(values: pa.Array) -> pa.Array:
    """Times that do not say so as the UTC that they are; what is only a day is left as it is."""
    if pa.types.is_timestamp(values.type) and values.type.tz is None:
        return pc.assume_timezone(values, "UTC")
    return pc.replace_substring_regex(values, _TIME, r"\1Z") if pa.types.is_string(values.type) else values


@cache
def _shouted() -> dict[str, str]:
    """Names in capitals, which hide where the words of a field begin → the field."""
    parts = _SALESFORCE.parts.values()
    known = {*_LATER, *_OF_HISTORIES}.union(*(one.reads | {*one.told_by} for one in parts))
    return {one.replace("_", "").upper(): one for one in known if not one.startswith("_")}


def _names(*words: str) -> tuple[str, ...]:
    """What the files of an object are called."""
    spelt = [form for word in words for form in (word, word.replace("_", ""))]
    return tuple(dict.fromkeys([*spelt, *(f"sf_{one}" for one in spelt)]))


def _yes(cell: object) -> bool:
    return str(cell).lower() in {"true", "1"}


def _starts(where: Where, *prefixes: str) -> Saying:
    """An id, where it is one of objects of some kind."""
    return each(lambda one: one if one is not None and str(one).startswith(prefixes) else None, where)


def _day(where: Where, clock: str = "") -> Saying:
    """A date, with a time of day behind it."""
    return each(lambda one: day(one, clock), where)


# What happened to deals and cases


def _deals(sides: Sides) -> Mapping[str, Mapping[str, Any]]:
    return sides.get("opportunity", {})


def _end(stage: str | None, deal: Mapping[str, Any], sides: Sides) -> str | None:
    """`won` or `lost` where a stage ends a deal: as the list of stages says, the deal itself, or the name."""
    known = sides.get("opportunity_stage", {}).get(stage or "")
    if known is None and stage is not None and deal.get("stage_name") == stage:
        known = deal
    if known is not None and "is_closed" in known:
        return ("won" if _yes(known.get("is_won")) else "lost") if _yes(known["is_closed"]) else None
    return {"closed won": "won", "closed lost": "lost"}.get((stage or "").lower())


def _ended(sides: Sides) -> Callable[[str | None, dict[str, Any]], str | None]:
    return lambda stage, row: _end(stage, _deals(sides).get(str(row["_deal"]), row), sides)


def _field(row: Mapping[str, Any]) -> str:
    return str(row.get("field")).lower()


def _given_away(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Changes of owner; a history has two rows for each, one with names, which counts, and one with ids."""
    for place, row in enumerate(rows):
        if _field(row) in {"owner", "ownerid"} and not str(row.get("new_value")).startswith("005"):
            yield place, happened("owner_changed", row, of=row.get("id"))


def _fields_of_deals(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """OpportunityFieldHistory: a row for each field that changed."""
    rows = [row | {"_time": row.get("created_date"), "_deal": row.get("opportunity_id")} for row in rows]
    for place, row in enumerate(rows):
        if _field(row) == "created" and row["_deal"] not in _deals(sides):
            yield place, happened("opportunity_created", row, of=row["_deal"])
    yield from _given_away(rows)
    found, wrong = history(
        rows, "_deal", time="_time", value="new_value", before="old_value", field=("field", "stagename")
    )
    yield from wrong
    yield from staged(found, "_deal", time="_time", event="opportunity", end=_ended(sides))


def _versions_of_deals(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """Deals after each change: OpportunityHistory, or the versions that a warehouse copy kept.

    A copy's first version is only the first that was copied, and its times are those of the copying.
    """
    timed = [
        row | {"_deal": row["opportunity_id"], "_time": row.get("created_date")}
        if "opportunity_id" in row
        else row | {"_deal": row.get("id"), "_time": row.get("_fivetran_start"), "_is_inferred": True}
        for row in rows
    ]
    found, wrong = history(timed, "_deal", time="_time", value="stage_name")
    yield from wrong
    found = [one for one in found if not _yes(one.row.get("is_deleted"))]
    for one in found:
        if one.before is None and one.row["_deal"] not in _deals(sides):
            born = {"_time": one.row.get("created_date"), "_is_inferred": False}
            yield one.place, happened("opportunity_created", one.row | born, of=one.row["_deal"])
    known = (one for one in found if one.before is not None or "opportunity_id" in one.row)
    yield from staged(known, "_deal", time="_time", event="opportunity", end=_ended(sides))


def _fields_of_cases(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """CaseHistory: closed, opened again, given to somebody else."""

    def is_closed(status: str, row: Mapping[str, Any]) -> bool:
        case = sides.get("case", {}).get(str(row["case_id"]), {})
        is_known = case.get("status") == status and "is_closed" in case
        return _yes(case["is_closed"]) if is_known else "closed" in status.lower()

    yield from _given_away(rows)
    time = "created_date"
    found, wrong = history(
        rows, "case_id", time=time, value="new_value", before="old_value", field=("field", "status")
    )
    yield from wrong
    names = ("ticket_closed", "ticket_reopened")
    yield from closings(found, "case_id", time=time, names=names, is_closed=is_closed)


def _fields_of_leads(rows: list[dict[str, Any]], _: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """LeadHistory: how far a lead had come, as the staff judged, and whose it was."""
    yield from _given_away(rows)
    time = "created_date"
    found, wrong = history(
        rows, "lead_id", time=time, value="new_value", before="old_value", field=("field", "status")
    )
    yield from wrong
    for one in found:
        row = one.row | {"_stage": one.after, "_before": one.before}
        yield one.place, happened("lead_status_changed", row, of=row["lead_id"], at=row[time])


# Who it was

_PEOPLE: Final = People("salesforce", "contact")
_LEADS: Final = People("salesforce", "lead")


def _person(*keys: Where) -> Saying:
    """Who is left of a contact or a lead that may have been converted or merged."""
    key = followed("lead", first(*keys), "master_record_id")
    converted = looked_up("lead", key, "converted_contact_id")
    return followed("contact", first(converted, key), "master_record_id")


def _who(*keys: Where, account: Where = "account_id", address: Where = "=") -> dict[str, Where]:
    """A contact or lead, by the first key that is there; an address; or else only a company."""
    key = _person(*keys)
    user = first(_PEOPLE.user(key), _LEADS.user(key))
    alias = _PEOPLE.alias(key, joined("=email", address))
    company = first(account, looked_up("contact", key, "account_id"))
    return {
        "user_id": user,
        "anonymous_id": whenever(unless(filled(user)), alias),
        "account_id": followed("account", company, "master_record_id"),
    }


def _of_deal(deal: Where) -> dict[str, Where]:
    return {
        **_who(
            looked_up("opportunity_contact_role", deal, "contact_id"),
            looked_up("opportunity", deal, "contact_id"),
            account=first("account_id", looked_up("opportunity", deal, "account_id")),
        ),
        "actor": "=company",
    }


def _of_case(case: Where) -> dict[str, Where]:
    number, company = looked_up("case", case, "contact_id"), looked_up("case", case, "account_id")
    return {**_who(number, account=company), "ticket_id": case, "actor": "=company"}


_OF_ACTIVITY: Final = {
    **_who(
        _starts("who_id", "003", "00Q"),
        looked_up("opportunity_contact_role", _starts("what_id", "006"), "contact_id"),
        looked_up("case", _starts("what_id", "500"), "contact_id"),
        account=first("account_id", _starts("what_id", "001")),
    ),
    "ticket_id": _starts("what_id", "500"),
}
_OF_MAIL: Final = {
    **_who(
        _starts("related_to_id", "003", "00Q"),
        looked_up("case", "parent_id", "contact_id"),
        looked_up("opportunity_contact_role", _starts("related_to_id", "006"), "contact_id"),
        account=looked_up("case", "parent_id", "account_id"),
        address=first(whenever("incoming", "from_address"), whenever(unless("incoming"), "to_address")),
    ),
    "ticket_id": _starts("parent_id", "500"),
}

# What becomes what

_THERE: Final = unless("is_deleted")
_LATER: Final = (
    "id", "is_deleted", "system_modstamp", "last_modified_date", "last_modified_by_id", "last_activity_date",
    "last_viewed_date", "last_referenced_date", "attributes", "is_closed", "status", "closed_date",
    "stage_name", "is_won", "probability", "amount", "close_date", "expected_revenue", "fiscal",
    "fiscal_quarter", "fiscal_year", "forecast_category", "forecast_category_name", "has_open_activity",
    "has_overdue_task", "next_step", "has_responded", "first_responded_date", "is_converted",
    "converted_date", "converted_contact_id", "converted_account_id", "converted_opportunity_id",
)  # fmt: skip
"""What an object became after it was made: an event of its beginning does not know it."""

_OF_HISTORIES: Final = (
    "id", "opportunity_id", "case_id", "lead_id", "field", "old_value", "new_value", "created_date",
    "created_by_id", "stage_name", "is_primary", "currency_iso_code", "supplied_email", "case_number",
    "account_id", "contact_id", "owner_id", "master_record_id", "last_modified_date", "email", "last_name",
    "first_name",
)  # fmt: skip
"""Fields that functions look at, beside those that a mapping names."""

_CHANGED: Final[dict[str, Where]] = {"event": "_event", "timestamp": "_time", "event_id": "_id"}
_MADE: Final = ("_deal", "_is_inferred", "_stage", "_before", "_seq")
_OF_HISTORY: Final = Events(
    columns={
        **_of_deal("_deal"),
        **_CHANGED,
        "seq": first("_seq", "=0"),
        "value": whenever(
            each(lambda one: str(one).startswith("opportunity_won"), "_event"),
            first("amount", looked_up("opportunity", "_deal", "amount")),
        ),
        "currency": looked_up("opportunity", "_deal", "currency_iso_code"),
    },
    also={"opportunity_id": "_deal", "stage": "_stage", "stage_before": "_before"},
    aside=(*_LATER, *_MADE, "opportunity_id"),
    inferred=each(bool, "_is_inferred"),
)
_ENDED: Final = each(
    lambda is_closed, stage, *told_by_history: _yes(is_closed) and stage not in told_by_history,
    "is_closed",
    "stage_name",
    looked_up("opportunity_field_history", "id", "new_value"),
    looked_up("opportunity_history", "id", "stage_name"),
)
_WON: Final = each(lambda one: "opportunity_won" if _yes(one) else "opportunity_lost", "is_won")
_IS_STAGE: Final = each(lambda one: str(one).lower() == "stagename", "field")
_CLOSED_BY_HISTORY: Final = each(
    lambda status, closed: status is not None and status == closed,
    "status",
    looked_up("case_history", "id", "new_value"),
)
_DONE: Final = each(
    lambda is_closed, status, when: (
        (is_closed is None and status is None) or _yes(is_closed) or status == "Completed" or when is not None
    ),
    "is_closed",
    "status",
    "completed_date_time",
)


_BEGINNINGS: Final = ("is_all_day_event", "start_date_time", "activity_date_time", "activity_date")


def _beginning(field: Callable[[str], Where]) -> Saying:
    """When a meeting began; one of a whole day has no time of day, whatever is written."""
    is_whole, start, activity, date = map(field, _BEGINNINGS)
    day_of = _day(first(date, start))
    return first(whenever(is_whole, day_of), start, activity, day_of)


_BEGUN: Final = _beginning(partial(looked_up, "event", "event_id"))
_IS_GUEST: Final = each(
    lambda one, first_one, is_gone, begun: (
        str(one).startswith(("003", "00Q")) and one != first_one and not _yes(is_gone) and begun is not None
    ),
    "relation_id",
    looked_up("event", "event_id", "who_id"),
    looked_up("event", "event_id", "is_deleted"),
    _BEGUN,
)
"""A contact or lead who was at a meeting beside the one whom the meeting itself names."""


def _contacts(name: str, people: People, survivor: Where, *, unlike: tuple[str, ...]) -> Part:
    """The part of contacts or of leads."""
    return Part(
        names=_names(name, f"{name}s"),
        told_by=unlike,
        key="id",
        newest="last_modified_date",
        links=people.links("id"),
        aliases=people.aliases("id"),
        merges=people.merges("id", survivor),
        traits={
            one: one
            for one in (
                "title", "department", "industry", "lead_source", "mailing_country", "mailing_city",
                "country", "city", "company", "status", "rating", "created_date",
            )
        },
        customer=people.best("id"),
        time="last_modified_date",
    )  # fmt: skip


_STATES: Final = (
    "opportunity", "case", "campaign_member", "email_message", "task", "event", "order", "lead",
)  # fmt: skip
"""Objects that are written again when they change; rows of histories are not."""

_PARTS: Final = Vendor(
    name="salesforce",
    title="Salesforce",
    kind="crm",
    copies="latest",
    may_be_nameless=True,
    wrappers=("records",),
    parts={
        "opportunity_field_history": Part(
            names=_names("opportunity_field_history"),
            told_by=("opportunity_id", "field", "new_value"),
            key=whenever(_IS_STAGE, "opportunity_id"),
            holds=("new_value", "created_date"),
            newest="created_date",
            together=_fields_of_deals,
            events=(_OF_HISTORY,),
        ),
        "opportunity_history": Part(
            names=_names("opportunity_history"),
            told_by=("opportunity_id", "stage_name", "created_date"),
            key="opportunity_id",
            holds=("stage_name", "created_date"),
            newest="created_date",
            together=_versions_of_deals,
            events=(_OF_HISTORY,),
        ),
        "opportunity_contact_role": Part(
            names=_names("opportunity_contact_role"),
            told_by=("opportunity_id", "contact_id", "is_primary"),
            key=whenever(_THERE, "opportunity_id"),
            holds=("contact_id", "is_primary"),
            newest="is_primary",
        ),
        "opportunity_stage": Part(
            names=_names("opportunity_stage"), told_by=("master_label", "is_won"), key="master_label"
        ),
        "opportunity": Part(
            names=_names("opportunity", "opportunities"),
            told_by=("stage_name", "close_date"),
            key="id",
            holds=(
                "account_id", "contact_id", "amount", "currency_iso_code", "stage_name", "is_closed",
                "is_won", "last_modified_date",
            ),
            newest="last_modified_date",
            events=(
                Events(
                    where=_THERE,
                    columns={
                        **_of_deal("id"),
                        "event": "=opportunity_created",
                        "timestamp": "created_date",
                        "event_id": joined("=opportunity_created", "id"),
                    },
                    also={"opportunity_id": "id"},
                    aside=_LATER,
                ),
                Events(
                    where=every(_THERE, _ENDED),
                    columns={
                        **_of_deal("id"),
                        "event": _WON,
                        "timestamp": _day("close_date", _EVENING),
                        "event_id": joined(_WON, "id"),
                        "value": whenever("is_won", "amount"),
                        "currency": "currency_iso_code",
                    },
                    also={"opportunity_id": "id", "stage": "stage_name"},
                    aside=_LATER,
                    inferred=True,
                ),
            ),
        ),
        "case_history": Part(
            names=_names("case_history"),
            told_by=("case_id", "field", "new_value"),
            key=whenever(each(lambda one: str(one).lower() == "status", "field"), "case_id"),
            holds=("new_value", "created_date"),
            newest="created_date",
            together=_fields_of_cases,
            events=(
                Events(
                    columns={**_of_case("case_id"), **_CHANGED, "timestamp": "created_date"},
                    aside=("id",),
                    kind="support",
                ),
            ),
        ),
        "case_comment": Part(
            names=_names("case_comment", "case_comments"),
            told_by=("parent_id", "comment_body"),
            events=(
                Events(
                    where=every(_THERE, "is_published"),
                    columns={
                        **_of_case("parent_id"),
                        "event": "=ticket_comment",
                        "timestamp": "created_date",
                        "event_id": joined("=ticket_comment", "id"),
                    },
                    aside=_LATER,
                    kind="support",
                ),
            ),
        ),
        "case": Part(
            names=_names("case", "cases"),
            told_by=("case_number", "contact_id"),
            key="id",
            holds=("contact_id", "account_id", "status", "is_closed", "last_modified_date"),
            newest="last_modified_date",
            events=(
                Events(
                    where=_THERE,
                    columns={
                        **_who("contact_id", address="supplied_email"),
                        "event": "=ticket_created",
                        "timestamp": "created_date",
                        "event_id": joined("=ticket_created", "id"),
                        "ticket_id": "id",
                        "channel": told("origin", _CHANNELS),
                    },
                    aside=_LATER,
                    kind="support",
                ),
                Events(
                    where=every(_THERE, filled("closed_date"), unless(_CLOSED_BY_HISTORY)),
                    columns={
                        **_who("contact_id", address="supplied_email"),
                        "event": "=ticket_closed",
                        "timestamp": "closed_date",
                        "event_id": joined("=ticket_closed", "id", "closed_date"),
                        "ticket_id": "id",
                        "actor": "=company",
                    },
                    aside=_LATER,
                    kind="support",
                ),
            ),
        ),
        "campaign_member": Part(
            names=_names("campaign_member", "campaign_members"),
            told_by=("campaign_id", "has_responded"),
            events=tuple(
                Events(
                    where=where,
                    columns={
                        **_who("contact_id", "lead_id"),
                        "event": f"={event}",
                        "timestamp": when,
                        "event_id": joined(f"={event}", "id"),
                        "campaign_id": "campaign_id",
                        "actor": f"={actor}",
                    },
                    aside=_LATER,
                )
                for event, when, actor, where in (
                    ("campaign_sent", "created_date", "company", _THERE),
                    (
                        "campaign_responded", _day("first_responded_date"), "customer",
                        every(_THERE, "has_responded", filled("first_responded_date")),
                    ),
                )
            ),
        ),
        "email_message": Part(
            names=_names("email_message", "email_messages"),
            told_by=("message_date", "incoming"),
            key=whenever(_THERE, "activity_id"),
            holds=("id",),
            events=(
                Events(
                    where=_THERE,
                    columns={
                        **_OF_MAIL,
                        "event": each(lambda one: "email_in" if _yes(one) else "email_out", "incoming"),
                        "timestamp": first("message_date", "created_date"),
                        "event_id": joined("=email", "id"),
                        "actor": each(lambda one: "customer" if _yes(one) else "company", "incoming"),
                        "channel": "=email",
                    },
                    aside=(*_LATER, "incoming", "html_body", "text_body", "headers"),
                ),
            ),
        ),
        "task": Part(
            names=_names("task", "tasks"),
            told_by=("who_id", "status", "activity_date"),
            events=(
                Events(
                    where=every(_THERE, _DONE, unless(filled(looked_up("email_message", "id", "id")))),
                    columns={
                        **_OF_ACTIVITY,
                        "event": each(
                            lambda one: "task" if one in {None, "Task"} else f"task_{snake(str(one))}",
                            "task_subtype",
                        ).lifting(),
                        "timestamp": first("completed_date_time", "created_date"),
                        "event_id": joined("=task", "id"),
                        "actor": each(
                            lambda one: "customer" if str(one).lower() == "inbound" else "company",
                            "call_type",
                        ),
                        "channel": first(told("task_subtype", _CHANNELS), told("type", _CHANNELS)),
                    },
                    also={"opportunity_id": _starts("what_id", "006")},
                    aside=_LATER,
                    inferred=unless(filled("completed_date_time")),
                ),
            ),
        ),
        "event": Part(
            names=_names("event", "events"),
            told_by=("who_id", "duration_in_minutes"),
            key="id",
            holds=("who_id", *_BEGINNINGS, "account_id", "is_deleted"),
            events=(
                Events(
                    where=every(_THERE, unless("is_child")),
                    columns={
                        **_OF_ACTIVITY,
                        "event": "=meeting",
                        "timestamp": _beginning(str),
                        "event_id": joined("=meeting", "id"),
                        "channel": told(first("event_subtype", "type"), {"call": "phone"}),
                    },
                    also={"opportunity_id": _starts("what_id", "006")},
                    aside=_LATER,
                ),
            ),
        ),
        "event_relation": Part(
            names=_names("event_relation", "event_relations"),
            told_by=("event_id", "relation_id"),
            events=(
                Events(
                    where=every(_THERE, _IS_GUEST),
                    columns={
                        **_who("relation_id", account=looked_up("event", "event_id", "account_id")),
                        "event": "=meeting",
                        "timestamp": _BEGUN,
                        "event_id": joined("=meeting", "event_id", "relation_id"),
                    },
                    aside=(*_LATER, "relation_id"),
                ),
            ),
        ),
        "order": Part(
            names=_names("order", "orders"),
            told_by=("order_number", "effective_date"),
            events=(
                Events(
                    where=every(_THERE, filled("activated_date")),
                    columns={
                        **_who("bill_to_contact_id", "customer_authorized_by_id"),
                        "event": "=order_activated",
                        "timestamp": "activated_date",
                        "event_id": joined("=order_activated", "id"),
                        "order_id": first("order_number", "id"),
                        "value": "total_amount",
                        "currency": "currency_iso_code",
                    },
                    also={"opportunity_id": "opportunity_id"},
                    aside=_LATER,
                    kind="order",
                ),
            ),
        ),
        "lead_history": Part(
            names=_names("lead_history"),
            told_by=("lead_id", "field", "new_value"),
            together=_fields_of_leads,
            events=(
                Events(
                    columns={
                        **_who("lead_id"), **_CHANGED, "timestamp": "created_date", "actor": "=company",
                    },
                    also={"stage": "_stage", "stage_before": "_before"},
                    aside=("id", "field", "old_value", "new_value", "data_type", *_MADE),
                ),
            ),
        ),
        "lead": replace(
            _contacts(
                "lead", _LEADS, first("converted_contact_id", "master_record_id"),
                unlike=("company", "converted_contact_id"),
            ),
            events=tuple(
                Events(
                    where=where,
                    columns={
                        **_who("id", account="converted_account_id"),
                        "event": f"={event}",
                        "timestamp": when,
                        "event_id": joined(f"={event}", "id"),
                        "actor": f"={actor}",
                    },
                    aside=_LATER,
                )
                for event, when, actor, where in (
                    ("lead_created", "created_date", "customer", _THERE),
                    (
                        "lead_converted", _day("converted_date"), "company",
                        every(_THERE, filled("converted_date")),
                    ),
                )
            ),
        ),
        "contact": _contacts(
            "contact", _PEOPLE, "master_record_id", unlike=("account_id", "last_name", "reports_to_id")
        ),
        "account": Part(
            names=_names("account", "accounts"), told_by=("account_number", "industry"), key="id"
        ),
    },
)  # fmt: skip
_SALESFORCE: Final = replace(
    _PARTS,
    parts={
        name: as_of(part, "last_modified_date", "system_modstamp") if name in _STATES else part
        for name, part in _PARTS.parts.items()
    },
)


def salesforce(
    source: object,
    *,
    user_id: str | None = None,
    tz: str = "UTC",
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "salesforce",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read an export of Salesforce: activities, mails, deals, cases, campaigns, orders and their histories.

    **Where it comes from.** *Setup → Data Export* or the Data Loader: one CSV file per object
    (`Opportunity.csv`, `OpportunityFieldHistory.csv`, `Task.csv`, …) in one folder; the answers of the API
    (`{"records": […]}`); or a warehouse copy, whose names are in small letters (`created_date`). Export at
    least `Contact`, and with deals `OpportunityContactRole`: without it a deal has no person, only a company.

    **What becomes what.**

    ========================= ============================================== =================================
    event                     object                                         time
    ========================= ============================================== =================================
    `lead_created`            Lead                                           CreatedDate
    `lead_converted`          Lead                                           ConvertedDate (a date)
    `lead_status_changed`     LeadHistory                                    CreatedDate of the change
    `task`, `task_call`, …    Task that is done, by its TaskSubtype          CompletedDateTime, else
                                                                             CreatedDate, *inferred*
    `meeting`                 Event; for further guests EventRelation        StartDateTime; of whole days the
                                                                             date
    `email_in`, `email_out`   EmailMessage                                   MessageDate
    `opportunity_created`     Opportunity, or its history                    CreatedDate
    `stage_changed`           OpportunityFieldHistory, OpportunityHistory    CreatedDate of the change
    `opportunity_won`,        the same, where a stage ends the deal; without CreatedDate of the change; else
    `opportunity_lost`        history Opportunity itself                     the evening of CloseDate,
                                                                             *inferred*
    `owner_changed`           OpportunityFieldHistory, CaseHistory,          CreatedDate of the change
                              LeadHistory
    `ticket_created`          Case                                           CreatedDate
    `ticket_closed`,          CaseHistory; without history Case for its last CreatedDate of the change,
    `ticket_reopened`         closing                                        ClosedDate
    `ticket_comment`          CaseComment that is published                  CreatedDate
    `campaign_sent`,          CampaignMember                                 CreatedDate, FirstRespondedDate
    `campaign_responded`                                                     (a date)
    `order_activated`         Order                                          ActivatedDate
    ========================= ============================================== =================================

    An event belongs to a contact or lead (of a deal: the primary contact of its roles): `user_id` is the
    field that `user_id=` names, else `anonymous_id` is `salesforce:<id>`, which is linked to the address;
    `account_id` is the account, and the only id where there is no contact. A converted lead is its
    contact, a merged record (`MasterRecordId`) the one that is left; both are reported as identity links,
    too. `actor` is `company` for what staff did: stages, owners, closings, comments, outbound tasks and
    mails, campaigns sent. Inbound calls and mails, meetings, cases, leads, responses and orders are the
    customer's. A deal's stage is the column `stage`, its id `opportunity_id`; `value` is the amount of
    deals won and of orders; a case's id is `ticket_id`. Fields of contacts and leads become attributes of
    the customer.

    **Traps.** Standard fields are known by their names in small letters (`LeadSource` is `lead_source`),
    however the export writes them; custom fields keep theirs. Ids of 15 characters are written out to 18.
    Field history must be switched on for each field, and Salesforce deletes it after 18 to 24 months. The
    versions that a warehouse copy keeps of a deal tell when the copy was made: their times are *inferred*.
    CloseDate can be edited, and of an open deal it is a forecast. Which stages end a deal is told by
    OpportunityStage, if it is there, else by the deal, else by the names Closed Won and Closed Lost. What
    an object became later (`status`, `amount`, `stage_name`) is no property of the event of its beginning.
    Of several exports the state of an object that was modified last counts. Deleted rows, open tasks and
    unpublished comments are excluded, and so are tasks that only log a mail that is there itself, and what
    has neither contact nor account (counted as `nameless`). Times are in UTC; a date stands for its noon in
    the zone of the organisation (`tz=`). A report has labels and no ids: it is a table for
    `cjm.loaders.table`.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    user_id : str, optional
        The field of contacts and leads with the id that other systems use, for example
        `"External_Id__c"`; as the export writes it.
    tz : str
        Zone of the organisation, in which its dates are; times are in UTC whatever it is.
    keep : sequence of str, or mapping of str to type
        Fields that become typed columns, for example `["lead_source", "Segment__c"]`.
    name : str
        The `source` column.
    format : str, optional
        csv, json or parquet, where a file's ending does not tell.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; not an export of Salesforce.
    UnknownNameError
        No such time zone.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> tasks = {"Id": ["00T1"], "WhoId": ["003000000000001AAA"], "TaskSubtype": ["Call"],
    ...          "Status": ["Completed"], "ActivityDate": ["2025-03-05"], "CallType": ["Outbound"],
    ...          "CompletedDateTime": ["2025-03-05T13:25:00.000Z"]}
    >>> batch = next(cjm.loaders.salesforce(tasks).batches())
    >>> batch.events.select(["anonymous_id", "event", "actor"]).to_pylist()
    [{'anonymous_id': 'salesforce:003000000000001AAA', 'event': 'task_call', 'actor': 'company'}]
    """
    vendor = replace(
        _SALESFORCE,
        tidied=partial(_tidied, user_id=user_id, tz=tz),
        asked=(user_id,),
        clock=Clock(tz=tz),
    )
    return vendor.stream(source, keep=keep, name=name, format=format)
