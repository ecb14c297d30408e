"""HubSpot: deals, tickets, engagements, marketing mails, forms and feedback."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.mapping import (
    Saying,
    each,
    every,
    filled,
    first,
    followed,
    joined,
    looked_up,
    path,
    told,
    unless,
    whenever,
)
from cjm_analytics.loaders.opened import as_object, objects_of, respelt
from cjm_analytics.loaders.people import USER, People
from cjm_analytics.loaders.rows import ColumnRows, ObjectRows
from cjm_analytics.loaders.states import Change, as_of, closings, happened, history, snake, staged, versions
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.unfolded import inside
from cjm_analytics.loaders.values import one_text, plain, texts
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Sides, Where
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["hubspot"]

_LABELS: Final = {
    "record_id": "id", "create_date": "createdate", "close_date": "closedate", "deal_name": "dealname",
    "deal_stage": "dealstage", "is_deal_closed?": "hs_is_closed", "currency": "deal_currency_code",
    "ticket_status": "hs_pipeline_stage", "ticket_name": "subject", "lifecycle_stage": "lifecyclestage",
    "first_name": "firstname", "last_name": "lastname", "job_title": "jobtitle",
    "last_modified_date": "lastmodifieddate", "timestamp_instant": "timestamp",
    "activity_date": "hs_timestamp", "due_date": "hs_timestamp", "call_outcome": "hs_call_disposition",
    "completed_at": "hs_task_completion_date", "channel_type": "hs_communication_channel_type",
    "associated_contact": "_named", "associated_contacts": "_named", "associated_contact_ids": "_contact",
    "associated_company_ids": "_company", "associated_company_id": "_company",
    "primary_associated_company_id": "_company",
    **{one: f"hs_{one}" for one in (
        "call_direction", "call_duration", "call_title", "email_direction", "is_closed_won",
        "meeting_outcome", "meeting_start_time", "task_status", "task_type",
    )},
}  # fmt: skip
"""What the files of the user interface, and some copies, call a property."""

_CHANNELS: Final = {
    "email": "email", "chat": "chat", "conversations": "chat", "phone": "phone", "form": "web",
    "forms": "web", "web": "web", "whatsapp": "chat", "whats_app": "chat", "sms": "chat",
    "linkedin_message": "social", "linkedin message": "social", "facebook_messenger": "social",
    "fb_messenger": "social", "mobile": "app", "integration": "api", "api": "api",
}  # fmt: skip
_DEVICES: Final = {"computer": "desktop", "mobile": "mobile", "tablet": "tablet"}
_SCALES: Final = {"nps": (0.0, 10.0), "ces": (1.0, 7.0)}
_BY_CUSTOMER: Final = ("OPEN", "CLICK", "FORWARD", "PRINT", "SPAMREPORT", "STATUSCHANGE", "UNSUBSCRIBED")
_STAGE: Final = "lifecyclestage"
_ENDS: Final = re.compile(r"closed[ _-]*(won|lost)\b", re.IGNORECASE)
"""Stages that end a deal, by their id or as the user interface writes them: `Closed Won (Sales Pipeline)`."""

_CALLED_OFF: Final = ("CANCELED", "RESCHEDULED", "NO_SHOW", "NO SHOW")
_ENTERED: Final = re.compile(
    r"hs_(?:v2_)?date_entered_(.+)|Date entered \"(.+)\"|hs_lifecyclestage_(\w+)_date|became_an?_(\w+)_date"
)
_LEFT: Final = re.compile(
    r"hs_(?:v2_)?(?:date_exited|time_in|latest_time_in|cumulative_time_in)_.+|Date exited .+"
)
"""Properties that tell when each stage was entered, the last time, and when it was left again."""


# One spelling

_INSIDE: Final = ("properties", "engagement", "metadata")
"""Objects whose members are properties by themselves."""

_ASSOCIATED: Final = ("associations", "contacts", "companies")
_OF_CONTACTS: Final = ("contacts", "contactIds", "associatedVids")
_OF_COMPANIES: Final = ("companies", "companyIds", "associatedCompanyIds")


def _tidied(rows: Rows, user_id: str | None, tz: str | None) -> Rows:
    """Properties by their own names, be they in an object, behind `property_`, or under a label."""
    if tz is None and any(" " in one and _label(one) in _LABELS for one in rows.names()):
        raise InputError(
            f"{rows.file} is a file of HubSpot's user interface, whose times carry no time zone. Say that of "
            "the portal, for example tz='Europe/Berlin'."
        )

    def name(written: str) -> str:
        bare = written.removeprefix("property_").removeprefix("properties_")
        if user_id in {written, bare}:
            return USER
        if '"' in written:  # the name of a stage stands in it
            return written
        spelt = _label(bare)
        return _LABELS.get(spelt, spelt)

    if {"properties", "engagement", *_ASSOCIATED} & set(rows.names()):
        opened = _opened_columns(rows) if isinstance(rows, ColumnRows) else None
        if opened is None:
            objects = [_opened(one) for one in objects_of(rows)]
            opened = ObjectRows(rows.file, objects, rows.numbers, None, rows.broken)
        rows = opened
    return respelt(rows, name, _first_listed)


def _label(written: str) -> str:
    """A label of the user interface, or a name, in small letters: `Create Date` is `create_date`."""
    return snake(written.replace(" ", "_"))


def _first_listed(name: str, cells: pa.Array) -> pa.Array:
    """Of the several contacts or companies that a file of the user interface lists, the first.

    A contact may be listed as `Ada Lovelace (ada@example.com)`, or with the id in brackets.
    """
    if name not in {"_contact", "_company", "_named"} or not pa.types.is_string(cells.type):
        return cells
    first_one = pc.replace_substring_regex(cells, r"\s*;.*$", "")
    return (
        pc.replace_substring_regex(first_one, r"^.*\(([^()]*)\)\s*$", r"\1")
        if name == "_named"
        else first_one
    )


def _opened_columns(rows: ColumnRows) -> Rows | None:
    """Objects of the API as `_opened` makes them, column by column; None where they are JSON text."""
    heads = [one for one in (*_INSIDE, *_ASSOCIATED) if one in rows.names()]
    kinds = [rows.column(one) for one in heads]
    if not all(pa.types.is_nested(one.type) or one.null_count == len(one) for one in kinds):
        return None
    made: ColumnRows = rows
    for head in (one for one in _INSIDE if one in heads):
        made = inside(made, head)
    columns = {one: plain(made.table[one]) for one in made.table.column_names if one not in _ASSOCIATED}
    if set(_ASSOCIATED) & set(heads):
        columns |= {"_contact": _first_of(rows, _OF_CONTACTS), "_company": _first_of(rows, _OF_COMPANIES)}
    filled = {
        one: pc.if_else(pc.equal(cells, ""), None, cells) if pa.types.is_string(cells.type) else cells
        for one, cells in columns.items()
    }
    return replace(made, table=pa.table(filled))


def _first_of(rows: ColumnRows, names: Sequence[str]) -> pa.Array:
    """The first object of a kind that each one is associated with."""
    found = pa.nulls(len(rows), pa.string())
    for listed in (
        rows.column(one) for name in names for one in (f"associations.{name}", name) if rows.has(one)
    ):
        if pa.types.is_struct(listed.type):
            inner = listed.type.get_field_index("results")
            listed = pc.struct_field(listed, [inner]) if inner >= 0 else found  # noqa: PLW2901 - the list in it
        if not pa.types.is_list(listed.type):
            continue
        items, parents = listed.flatten(), pc.list_parent_indices(listed).to_numpy()
        if pa.types.is_struct(items.type):
            ids = [
                texts(pc.struct_field(items, [at]))
                for at in map(items.type.get_field_index, ("id", "toObjectId"))
                if at >= 0
            ]
            items = pc.coalesce(*ids) if ids else pa.nulls(len(items), pa.string())
        at = np.full(len(listed), -1, np.int64)
        at[parents[::-1]] = np.arange(len(parents))[::-1]
        found = pc.coalesce(found, texts(items).take(pa.array(at, mask=at < 0)))
    return found


def _opened(row: dict[str, Any]) -> dict[str, Any]:
    """An object of the API with what stands inside `properties`, and the first contact and company."""
    inside = {name: as_object(row[name]) for name in _INSIDE if name in row}
    of: dict[str, Any] = {name: as_object(row[name]) for name in _ASSOCIATED if name in row}
    left = {name: value for name, value in row.items() if name not in inside and name not in of}
    for members in inside.values():
        left |= _values(members) if isinstance(members, dict) else {}
    if of:
        linked = of.get("associations")
        of |= linked if isinstance(linked, dict) else {}
        left |= {"_contact": _one_of(of, _OF_CONTACTS), "_company": _one_of(of, _OF_COMPANIES)}
    return {name: value for name, value in left.items() if value not in (None, "")}


def _values(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties, of which the first API tells each as an object with the earlier values."""
    told = {name: one for name, one in properties.items() if isinstance(one, dict) and "value" in one}
    if not told:
        return {name: value for name, value in properties.items() if value is not None}
    earlier = {name: one["versions"] for name, one in told.items() if one.get("versions")}
    return (
        properties | {name: one["value"] for name, one in told.items()} | {"propertiesWithHistory": earlier}
    )


def _one_of(associations: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first object of a kind that another one is associated with."""
    for listed in (associations[name] for name in names if name in associations):
        found = listed.get("results", []) if isinstance(listed, dict) else listed
        for one in found if isinstance(found, list) else ():
            return one_text(one.get("id", one.get("toObjectId")) if isinstance(one, dict) else one)
    return None


def _yes(cell: object) -> bool:
    return str(cell).lower() in {"true", "1"}


# What happened to deals and tickets


def _stage_known(part: str, stage: str | None, sides: Sides) -> Mapping[str, Any]:
    """What the table of a pipeline's stages, or the API's pipelines, say of a stage."""
    return sides.get(part, {}).get(stage or "") or sides.get("pipelines", {}).get(stage or "", {})


def _won(stage: str | None, row: Mapping[str, Any], sides: Sides) -> str | None:
    """`won` or `lost` where a stage ends a deal: as its pipeline says, the deal itself, or the name."""
    known = _stage_known("deal_pipeline_stage", stage, sides)
    if "closed_won" in known or "is_closed" in known:
        return "won" if _yes(known.get("closed_won")) else "lost" if _yes(known.get("is_closed")) else None
    if stage is not None and stage == _bare(row.get("dealstage"), row):
        if _yes(row.get("hs_is_closed_won")):
            return "won"
        if "hs_is_closed" in row:
            return "lost" if _yes(row["hs_is_closed"]) else None
    named = _ENDS.match(stage or "")
    return named[1].lower() if named else None


def _is_closed(stage: str, sides: Sides) -> bool:
    """Whether a stage closes a ticket; the stages of the first pipeline are 1 to 4."""
    known = _stage_known("ticket_pipeline_stage", stage, sides)
    if known:
        return _yes(known.get("is_closed")) or known.get("ticket_state") == "CLOSED"
    return stage == "4" or "closed" in stage.lower()


def _stages_of_pipeline(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The stages of a pipeline as the API tells them, as a warehouse copy does."""
    for one in row.get("stages", ()):
        about = one.get("metadata") or {}
        is_closed = _yes(about.get("isClosed"))
        yield {
            "stage_id": one.get("id", one.get("stageId")), "label": one.get("label"), "is_closed": is_closed,
            "closed_won": is_closed and float(about.get("probability") or 0) == 1,
            "ticket_state": about.get("ticketState"),
        }  # fmt: skip


def _bare(stage: object, row: Mapping[str, Any]) -> str | None:
    """A stage without its pipeline, which the user interface may write behind it in brackets."""
    text = one_text(stage)
    return text and text.removesuffix(f" ({row.get('pipeline')})")


@cache
def _entered(column: str) -> str | None:
    """The stage of which a property tells when it was entered."""
    found = _ENTERED.fullmatch(column)
    return found and next((one for one in found.groups()[:3] if one), (found[4] or "").replace("_", ""))


@cache
def _is_later(column: str) -> bool:
    """Whether a property tells of a stage, when it was entered or left."""
    return _entered(column) is not None or _LEFT.fullmatch(column) is not None


def _histories(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """What the API says of a property's earlier values, the oldest first; else when stages were entered.

    A stage that was left at the instant in which it was entered was passed over.
    """
    said = as_object(row.get("properties_with_history"))
    found = said.get(name, []) if isinstance(said, dict) else []
    told = [one for one in reversed(found) if isinstance(one, dict)]
    stages: dict[str | None, object] = {}
    for column, at in () if told else row.items():
        stage = _bare(_entered(column), row)
        left = row.get(column.replace("date_entered", "date_exited").replace("Date entered", "Date exited"))
        if (
            stage
            and (left != at or left is None or "ntered" not in column)
            and (stage not in stages or "v2" in column)
        ):
            stages[stage] = at
    now = _bare(row.get(name), row)
    return told or [
        {"value": stage, "timestamp": stages[stage]} for stage in sorted(stages, key=lambda one: one == now)
    ]


def _earlier(
    rows: Sequence[dict[str, Any]],
    places: Mapping[str, int],
    name: str,
    *,
    of: str,
    about: Sequence[dict[str, Any]] | None = None,
) -> tuple[list[Change], list[tuple[int, dict[str, Any]]]]:
    """The changes of a property of the objects in some rows; and what cannot be read, as rejects.

    Objects are told apart by the column `of`; `about` says what else is told of the object in each row.
    """
    told = [
        {**one, of: key, "_place": place, "_time": one.get("timestamp")}
        for key, place in places.items()
        for one in _histories(rows[place], name)
    ]
    found, wrong = history(told, of, time="_time", value="value")
    changed = [
        Change(place, about[place] | one.row if about else one.row, one.before, one.after)
        for one in found
        for place in (one.row["_place"],)
    ]
    return changed, [(told[at]["_place"], said) for at, said in wrong]


def _at_first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects without what tells of their later stages."""
    later = set(filter(_is_later, set().union(*rows)))
    if not later:
        return list(rows)
    return [{name: value for name, value in row.items() if name not in later} for row in rows]


def _copies(rows: Sequence[dict[str, Any]], *keys: str) -> tuple[dict[str, int], list[int]]:
    """Of several rows of one object the place of that which was modified last; and rows of no use."""
    names = [next((text for text in (one_text(row.get(one)) for one in keys) if text), None) for row in rows]
    changed = [row.get("updated_at") or row.get("hs_lastmodifieddate") for row in rows]
    found, wrong = versions(names, [_born(row) for row in rows], changed)
    there = {key: places[-1] for key, places in found.items()}
    gone = ("is_deleted", "archived")
    return {
        key: place for key, place in there.items() if not any(_yes(rows[place].get(one)) for one in gone)
    }, wrong


def _born(row: Mapping[str, Any]) -> object:
    return row.get("createdate") or row.get("created_at")


def _deals(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """Deals, and the histories that the API gives with them."""
    copies, wrong = _copies(rows, "deal_id", "id", "hs_object_id")
    yield from ((place, happened("deal_created", rows[place] | {"_time": _born(rows[place])}, of=place))
                for place in wrong)  # fmt: skip
    about = _at_first(rows)
    changed, unread = _earlier(rows, copies, "dealstage", of="_deal", about=about)
    yield from unread
    known = {(one.row["_deal"], one.after) for one in changed}
    ended = set()
    for place, row in staged(
        changed, "_deal", time="_time", event="deal", end=lambda stage, one: _won(stage, one, sides)
    ):
        ended |= {row["_deal"]} if row["_event"] != "stage_changed" else set()
        yield place, row
    for deal, place in copies.items():
        row = about[place] | {"_deal": deal}
        yield place, happened("deal_created", row | {"_time": _born(row)}, of=deal)
        stage = _bare(row.get("dealstage"), row) or one_text(row.get("deal_pipeline_stage_id"))
        told_elsewhere = {
            one_text(sides.get(part, {}).get(deal, {}).get("value"))
            for part in ("deal_stage", "deal_property_history")
        }
        end = _won(stage, row, sides)
        if end and deal not in ended and (deal, stage) not in known and stage not in told_elsewhere:
            ended_then = {"_time": row.get("closedate"), "_stage": stage, "_is_inferred": True}
            yield place, happened(f"deal_{end}", row | ended_then, of=deal)


def _stages(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """The history of deals: a table of stages, or of all properties."""
    rows = [
        row | {"_deal": row.get("deal_id"), "_time": row.get("date_entered") or row.get("timestamp"),
               "name": row.get("name", "dealstage")}
        for row in rows
    ]  # fmt: skip
    known = sides.get("deal", {})
    found, wrong = history(rows, "_deal", time="_time", value="value", field=("name", "dealstage"))
    yield from wrong
    for one in found:
        if one.before is None and one_text(one.row["_deal"]) not in known:
            yield one.place, happened("deal_created", one.row, of=one.row["_deal"])
    yield from staged(
        found, "_deal", time="_time", event="deal",
        end=lambda stage, one: _won(stage, known.get(str(one["_deal"]), one), sides),
    )  # fmt: skip
    owners, wrong = history(rows, "_deal", time="_time", value="value", field=("name", "hubspot_owner_id"))
    yield from wrong
    for one in owners:
        if one.before is not None:
            yield one.place, happened("owner_changed", one.row, of=one.row["_deal"], at=one.row["_time"])


def _tickets(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """Tickets; when they were closed last is known, what was before only by their history."""
    copies, wrong = _copies(rows, "id", "ticket_id", "hs_object_id")
    yield from ((place, happened("ticket_created", rows[place] | {"_time": _born(rows[place])}, of=place))
                for place in wrong)  # fmt: skip
    about = _at_first(rows)
    changed, unread = _earlier(rows, copies, "hs_pipeline_stage", of="_ticket", about=about)
    yield from unread
    yield from _closed(changed, sides)
    known: dict[str, set[str | None]] = defaultdict(set)
    for one in changed:
        known[one.row["_ticket"]].add(one.after)
    for ticket, place in copies.items():
        row = about[place] | {"_ticket": ticket, "_time": _born(rows[place])}
        origin = (row.get(one) for one in ("source_type", "source", "hs_object_source"))
        yield (
            place,
            happened("ticket_created", row | {"_channel": next(filter(None, origin), None)}, of=ticket),
        )
        closed = row.get("closed_date") or row.get("closedate")
        last = sides.get("ticket_property_history", {}).get(ticket, {}).get("value")
        stage = _bare(row.get("hs_pipeline_stage"), row)
        is_told = stage in known[ticket] if known[ticket] else last is not None and last == stage
        if closed and not is_told:
            yield place, happened("ticket_closed", row | {"_time": closed}, of=ticket)


def _closed(found: Iterable[Change], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    names = ("ticket_closed", "ticket_reopened")
    return closings(
        found, "_ticket", time="_time", names=names, is_closed=lambda stage, _: _is_closed(stage, sides)
    )


def _ticket_history(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = [row | {"_ticket": row.get("ticket_id"), "_time": row.get("timestamp")} for row in rows]
    field = ("name", "hs_pipeline_stage")
    found, wrong = history(rows, "_ticket", time="_time", value="value", field=field)
    yield from wrong
    yield from _closed(found, sides)


def _lifecycle(found: Iterable[Change]) -> Iterator[tuple[int, dict[str, Any]]]:
    """How far a contact has come, as HubSpot or the staff judged."""
    for one in found:
        row = one.row | {"_stage": one.after, "_before": one.before}
        yield one.place, happened("lifecycle_changed", row, of=row["contact_id"], at=row["_time"])


def _life(rows: list[dict[str, Any]], _: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """The table of contacts' properties, as far as they are the stage of life."""
    rows = [row | {"_time": row.get("timestamp")} for row in rows]
    found, wrong = history(rows, "contact_id", time="_time", value="value", field=("name", _STAGE))
    yield from wrong
    yield from _lifecycle(found)


def _people(rows: list[dict[str, Any]], _: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """Contacts, those that were merged into them, and what the API says of forms and earlier stages."""
    for place, row in enumerate(rows):
        yield from ((place, one) for one in _merged(row))
        for form in row.get("form-submissions", ()):
            told = {name.replace("-", "_"): cell for name, cell in form.items()}
            yield place, told | {"contact_id": _number(row)}
    places = {key: place for place, row in enumerate(rows) if (key := _number(row))}
    found, wrong = _earlier(rows, places, _STAGE, of="contact_id")
    yield from wrong
    yield from _lifecycle(found)


def _number(row: Mapping[str, Any]) -> str | None:
    return one_text(
        next((row[one] for one in ("id", "vid", "hs_object_id", "contact_id") if one in row), None)
    )


def _merged(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A contact, and those that were merged into it."""
    known = [one for listed in row.get("identity-profiles", ()) for one in listed.get("identities", ())]
    address = next((one["value"] for one in known if one.get("type") == "EMAIL"), None)
    yield {"email": address} | row
    told = (row.get(one) for one in ("hs_merged_object_ids", "hs_calculated_merged_vids", "merged-vids"))
    listed = next(filter(None, told), "")
    several = listed if isinstance(listed, list) else str(listed).split(";")
    for one in filter(None, (str(text).partition(":")[0].strip() for text in several)):
        yield {"id": one, "_merged_into": _number(row)}


# Who it was

_PEOPLE: Final = People("hubspot", "contact")
_ID: Final = first("id", "vid", "hs_object_id", "contact_id")
_NUMBERED: Final = each(lambda one: one if str(one).isdigit() else None, "_named")
_ADDRESSED: Final = each(lambda one: one if "@" in str(one) else None, "_named")
"""A contact as the user interface lists it may be known by number or by address."""


def _person(*keys: Where) -> Saying:
    """Who is left of a contact that may have been merged."""
    return followed("contact", followed("contact_merge_audit", first(*keys), "canonical_vid"), "_merged_into")


def _who(*keys: Where, company: Where = "_company", address: Where = "=") -> dict[str, Where]:
    key = _person(*keys)
    return {
        **_PEOPLE.columns(key, joined("=email", address)),
        "account_id": first(
            company, looked_up("contact", key, "associatedcompanyid"), looked_up("contact", key, "_company")
        ),
    }


def _of(kind: str, key: Where) -> dict[str, Where]:
    """The contact and the company of a deal, a ticket or an engagement."""
    return _who(
        "_contact",
        _NUMBERED,
        looked_up(f"{kind}_contact", key, "contact_id"),
        address=_ADDRESSED,
        company=first("_company", looked_up(f"{kind}_company", key, "company_id")),
    )


_DEAL: Final = followed("merged_deal", "_deal", "deal_id")
_HAPPENED: Final[dict[str, Where]] = {"event": "_event", "timestamp": "_time", "event_id": "_id"}
_LATER: Final = (
    "_is_inferred", "_stage", "_before", "_place", "_seq", "_channel", "_deal", "_ticket", "_contact",
    "_company", "_named", "_time", "value", "timestamp", "is_deleted", "archived", "updated_at",
    "hs_lastmodifieddate", "lastmodifieddate", "dealstage", "deal_pipeline_stage_id", "hs_pipeline_stage",
    "amount", "closedate", "closed_date", "hs_is_closed", "hs_is_closed_won", "hs_deal_stage_probability",
    "first_agent_reply_date", "properties_with_history",
)  # fmt: skip
"""What an object became after it was made: an event of its beginning does not know it."""

_INFERRED: Final = each(bool, "_is_inferred")
_PIPELINES: Final = ("deal_pipeline_stage", "pipelines")
_STAGED: Final = Events(
    columns={
        **_of("deal", _DEAL),
        **_HAPPENED,
        "seq": first("_seq", "=0"),
        "actor": "=company",
        "value": whenever(
            each(lambda one: one == "deal_won", "_event"),
            first("amount", looked_up("deal", "_deal", "amount")),
        ),
        "currency": first("deal_currency_code", looked_up("deal", "_deal", "deal_currency_code")),
    },
    also={
        "deal_id": "_deal",
        **{
            one: first(*(looked_up(part, where, "label") for part in _PIPELINES), where)
            for one, where in (("stage", "_stage"), ("stage_before", "_before"))
        },
    },
    aside=(*_LATER, "id", "deal_id"),
    inferred=_INFERRED,
)


def _filled_in(values: object) -> str | None:
    """The address among the fields of a form."""
    fields = as_object(values)
    told = [one for one in fields if isinstance(one, dict)] if isinstance(fields, list) else []
    return next((one_text(one.get("value")) for one in told if one.get("name") == "email"), None)


_FORM: Final = Events(
    columns={
        **_who("contact_id", address=each(_filled_in, "values")),
        "event": "=form_submission",
        "timestamp": first("timestamp", "submitted_at"),
        "event_id": first(joined("=form", "conversion_id", "contact_id"), joined("=form", "conversion_id")),
        "url": "page_url",
        "path": path("page_url"),
        "channel": "=web",
    },
    also={"form_id": "form_id"},
    aside=("portal_id",),
)
_SUPPORT: Final = Events(
    columns={
        **_of("ticket", "_ticket"),
        **_HAPPENED,
        "ticket_id": "_ticket",
        "channel": told("_channel", _CHANNELS),
        "actor": each(lambda one: "customer" if one == "ticket_created" else "company", "_event"),
    },
    aside=(*_LATER, "id", "ticket_id"),
    kind="support",
)


_WHEN: Final = first("hs_timestamp", "hs_createdate", "created_at")


def _engaged(
    names: tuple[str, ...],
    told_by: tuple[str, ...],
    columns: Mapping[str, Where],
    *,
    where: Where = "=yes",
) -> Part:
    """A kind of engagement."""
    key = first("engagement_id", "id", "hs_object_id")
    return Part(
        names=(*names, f"engagements_{names[0]}"),
        told_by=told_by,
        events=(
            Events(
                where=every(unless("_fivetran_deleted"), unless("archived"), where),
                columns={
                    **_of("engagement", key),
                    "timestamp": _WHEN,
                    "event_id": joined("=engagement", key),
                    **columns,
                },
                aside=(*_LATER, "id", "engagement_id", "hs_object_id", "type"),
            ),
        ),
    )


def _by(where: str, inward: str) -> Saying:
    """Who acted, where one word says that it was the customer."""
    return each(lambda one: "customer" if str(one).upper().startswith(inward) else "company", where)


_INCOMING: Final = "INCOMING"
_LEGACY: Final = {
    "call": "call", "meeting": "meeting", "email": "email_out", "forwarded_email": "email_out",
    "incoming_email": "email_in", "task": "task", "postal_mail": "postal_mail",
    **dict.fromkeys(("sms", "whats_app", "linkedin_message"), "communication"),
}  # fmt: skip


def _bound(place: int, csat: tuple[float, float]) -> Saying:
    """An end of the scale of a survey's kind; of surveys of the user's own design nothing is known."""
    scales = {**_SCALES, "csat": csat}
    return each(
        lambda one: scales[str(one).lower()][place] if str(one).lower() in scales else None, "hs_survey_type"
    )


def _feedback(csat: tuple[float, float]) -> Part:
    return Part(
        names=("feedback_submissions", "feedback_submission", "feedback"),
        told_by=("hs_survey_type", "hs_value"),
        aliases=((_PEOPLE.number("hs_contact_id"), joined("=email", "hs_contact_email_rollup")),),
        time="hs_submission_timestamp",
        events=(
            Events(
                where=unless("archived"),
                columns={
                    **_who("hs_contact_id", "_contact", address="hs_contact_email_rollup"),
                    "event": "=survey_response",
                    "timestamp": first("hs_submission_timestamp", "hs_createdate", "created_at"),
                    "event_id": joined("=feedback", _ID),
                    "instrument": each(lambda one: one and str(one).lower(), "hs_survey_type"),
                    "survey_id": "hs_survey_id",
                    "score": "hs_value",
                    "score_min": _bound(0, csat),
                    "score_max": _bound(1, csat),
                    "comment": "hs_content",
                    "ticket_id": "hs_ticket_id",
                    "channel": told("hs_survey_channel", _CHANNELS),
                },
                aside=(*_LATER, "id", "hs_survey_type", "hs_contact_id", "hs_contact_email_rollup"),
                kind="survey",
            ),
        ),
    )


_STAGES_OF_LIFE: Final = Events(
    where=filled("_event"),
    columns={**_who("contact_id"), **_HAPPENED, "actor": "=company"},
    also={"stage": "_stage", "stage_before": "_before"},
    aside=(*_LATER, "name"),
)
_HUBSPOT: Final = Vendor(
    name="hubspot",
    title="HubSpot",
    kind="crm",
    copies="latest",
    may_be_nameless=True,
    wrappers=("results",),
    parts={
        "deal": Part(
            names=("deals", "deal_with_history"), told_by=("dealname",), key=first("deal_id", _ID),
            holds=(
                "amount", "deal_currency_code", "dealstage", "hs_is_closed", "hs_is_closed_won", "pipeline",
            ),
            together=_deals, events=(_STAGED,),
        ),
        "deal_stage": Part(
            names=("deal_stages",), told_by=("deal_id", "date_entered"), key="deal_id",
            holds=("value", "date_entered"), newest="date_entered",
            together=_stages, events=(_STAGED,),
        ),
        "deal_property_history": Part(
            told_by=("deal_id", "name", "value", "timestamp"), holds=("value", "timestamp"),
            newest="timestamp",
            key=whenever(each(lambda one: one == "dealstage", "name"), "deal_id"),
            together=_stages, events=(_STAGED,),
        ),
        "ticket": Part(
            names=("tickets",), told_by=("hs_pipeline_stage", "subject"), together=_tickets,
            events=(_SUPPORT,),
        ),
        "ticket_property_history": Part(
            told_by=("ticket_id", "name", "value", "timestamp"), holds=("value", "timestamp"),
            newest="timestamp",
            key=whenever(each(lambda one: one == "hs_pipeline_stage", "name"), "ticket_id"),
            together=_ticket_history, events=(_SUPPORT,),
        ),
        "feedback_submissions": _feedback((1.0, 5.0)),
        "email_event": Part(
            names=("email_events", "events"),
            told_by=("type", "recipient", "created"),
            events=(
                Events(
                    columns={
                        "anonymous_id": joined("=email", "recipient"),
                        "event": each(lambda one: one and f"email_{str(one).lower()}", "type"),
                        "timestamp": "created",
                        "event_id": "id",
                        "campaign_id": "email_campaign_id",
                        "channel": "=email",
                        "actor": each(
                            lambda one: "customer" if str(one).upper() in _BY_CUSTOMER else "company", "type"
                        ),
                        "is_bot": "filtered_event",
                        "url": first("url", looked_up("email_event_click", "id", "url")),
                    },
                    also={"device": told("device_type", _DEVICES)},
                    aside=("type", "recipient", "portal_id"),
                ),
            ),
        ),
        "email_event_click": Part(
            names=("email_event_clicks",), told_by=("referer", "url", "user_agent"), key="id"
        ),
        "email_event_open": Part(told_by=("duration", "user_agent")),
        "contact_form_submission": Part(
            names=("form_submission", "form_submissions"),
            told_by=("conversion_id", "form_id"),
            events=(_FORM,),
        ),
        "engagement_call": _engaged(
            ("calls", "call"),
            ("hs_call_direction",),
            {
                "event": "=call",
                "channel": "=phone",
                "actor": _by("hs_call_direction", "INBOUND"),
            },
        ),
        "engagement_meeting": _engaged(
            ("meetings", "meeting"),
            ("hs_meeting_outcome",),
            {
                "event": "=meeting",
                "timestamp": first("hs_meeting_start_time", "start_time", "hs_timestamp"),
                "actor": "=customer",
            },
            where=each(lambda one: str(one).upper() not in _CALLED_OFF, "hs_meeting_outcome"),
        ),
        "engagement_email": _engaged(
            ("emails", "email"),
            ("hs_email_direction",),
            {
                "event": each(
                    lambda one: "email_in" if str(one).upper().startswith(_INCOMING) else "email_out",
                    "hs_email_direction",
                ),
                "channel": "=email",
                "actor": _by("hs_email_direction", _INCOMING),
            },
        ),
        "engagement_communication": _engaged(
            ("communications", "communication"),
            ("hs_communication_channel_type",),
            {
                "event": "=communication",
                "channel": told("hs_communication_channel_type", _CHANNELS),
                "actor": "=company",
            },
        ),
        "engagement_postal_mail": _engaged(
            ("postal_mail", "postal_mails"),
            ("hs_postal_mail_body",),
            {"event": "=postal_mail", "actor": "=company"},
        ),
        "engagement_task": _engaged(
            ("tasks", "task"),
            ("hs_task_status",),
            {
                "event": "=task",
                "timestamp": first("hs_task_completion_date", "hs_timestamp"),
                "channel": told("hs_task_type", {"call": "phone", "email": "email", "linked_in": "social"}),
                "actor": "=company",
            },
            where=each(lambda one: str(one).upper() == "COMPLETED", "hs_task_status"),
        ),
        "engagement_note": Part(names=("notes", "note"), told_by=("hs_note_body",)),
        "engagement": _engaged(
            ("engagements",),
            ("type", "timestamp", "portal_id"),
            {
                "event": told("type", _LEGACY),
                "timestamp": first(
                    whenever(each(lambda one: one == "TASK", "type"), "completion_date"), "timestamp"
                ),
                "channel": told("type", {"call": "phone", "incoming_email": "email", **_CHANNELS}),
                "actor": _by("type", _INCOMING),
            },
            where=every(
                filled("timestamp"),
                filled(told("type", _LEGACY)),
                each(lambda kind, status: kind != "TASK" or status == "COMPLETED", "type", "status"),
            ),
        ),
        "contact_property_history": Part(
            told_by=("contact_id", "name", "value", "timestamp"),
            together=_life,
            events=(_STAGES_OF_LIFE,),
        ),
        "contact_merge_audit": Part(
            told_by=("canonical_vid", "vid_to_merge"),
            key="vid_to_merge",
            merges=_PEOPLE.merges("vid_to_merge", "canonical_vid"),
            time="timestamp",
        ),
        "deal_contact": Part(told_by=("deal_id", "contact_id"), key="deal_id", newest="contact_id"),
        "deal_company": Part(told_by=("deal_id", "company_id"), key="deal_id"),
        "ticket_contact": Part(told_by=("ticket_id", "contact_id"), key="ticket_id", newest="contact_id"),
        "ticket_company": Part(told_by=("ticket_id", "company_id"), key="ticket_id"),
        "engagement_contact": Part(told_by=("engagement_id", "contact_id"), key="engagement_id"),
        "engagement_company": Part(told_by=("engagement_id", "company_id"), key="engagement_id"),
        "merged_deal": Part(told_by=("deal_id", "merged_deal_id"), key="merged_deal_id"),
        "deal_pipeline_stage": Part(
            names=("deal_pipeline_stages",), told_by=("stage_id", "closed_won"), key="stage_id"
        ),
        "ticket_pipeline_stage": Part(
            names=("ticket_pipeline_stages",), told_by=("stage_id", "ticket_state"), key="stage_id"
        ),
        "pipelines": Part(
            names=("deal_pipelines", "ticket_pipelines"),
            told_by=("stages", "label"),
            key="stage_id",
            unfold=_stages_of_pipeline,
        ),
        "contact": Part(
            names=("contacts",),
            told_by=("firstname", "lastname"),
            key=_ID,
            holds=(USER, "_merged_into", "associatedcompanyid", "_company"),
            unfold=_merged,
            together=_people,
            run="id",
            events=(_STAGES_OF_LIFE, replace(_FORM, where=filled("conversion_id"))),
            links=_PEOPLE.links(_ID),
            aliases=_PEOPLE.aliases(_ID),
            merges=_PEOPLE.merges("id", "_merged_into"),
            traits={
                one: one
                for one in (
                    "lifecyclestage", "hs_lead_status", "jobtitle", "company", "country", "city", "industry",
                    "hs_analytics_source", "createdate", "first_conversion_date",
                )
            },
            customer=_PEOPLE.best(_ID),
            time=first("lastmodifieddate", "hs_lastmodifieddate", "updated_at", "createdate"),
        ),
    },
)  # fmt: skip


def hubspot(
    source: object,
    *,
    user_id: str | None = None,
    csat: tuple[float, float] = (1.0, 5.0),
    tz: str | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "hubspot",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read an export of HubSpot: deals, tickets, engagements, marketing mails, forms and feedback.

    **Where it comes from.** The answers of the API as JSON (`{"results": […]}`), one kind of object to a
    file that is named after it (`deals.json`, `calls.json`, `feedback_submissions.json`); ask for
    `propertiesWithHistory=dealstage` (of contacts `lifecyclestage`) and `associations=contacts,companies`,
    and add `pipelines.json`. Answers of the first API are read, too. Or the tables of a warehouse copy
    (`deal`, `deal_stage` or `deal_property_history`, `deal_contact`, `deal_pipeline_stage`, `contact`,
    `email_event`, …; the same for tickets and engagements). Or the files of the user interface (*Export*;
    choose English as the language of the column headers), whose columns are labels ("Create Date"): include
    the associated contacts and the columns *Date entered "…"* of the stages.

    **What becomes what.**

    =========================== ============================================ =================================
    event                       object                                       time
    =========================== ============================================ =================================
    `deal_created`              deal, or its history                         createdate
    `stage_changed`             history of `dealstage`; else when the deal   of the change
                                entered each stage
    `deal_won`, `deal_lost`     the same; else the deal                      of the change; else closedate,
                                                                             *inferred*
    `owner_changed`             history of `hubspot_owner_id`                of the change
    `lifecycle_changed`         history of a contact's `lifecyclestage`;     of the change
                                else when each stage was entered
    `ticket_created`            ticket                                       createdate
    `ticket_closed`,            history of `hs_pipeline_stage`; else when    of the change; closed_date
    `ticket_reopened`           stages were entered; else the ticket, for
                                its last closing
    `call`, `meeting`,          engagements                                  hs_timestamp; of meetings the
    `email_in`, `email_out`,                                                 start, of tasks that they were
    `communication`, `task`,                                                 done
    `postal_mail`
    `email_sent`, `email_open`, email events, by their type                  created
    `email_click`, …
    `form_submission`           form submissions                             timestamp
    `survey_response`           feedback submissions                         hs_submission_timestamp
    =========================== ============================================ =================================

    An event belongs to a contact: `user_id` is the property that `user_id=` names, else `anonymous_id` is
    `hubspot:<id>`, which is linked to the address (email events only know that); `account_id` is the
    company. Contacts that were merged (`hs_merged_object_ids`, `contact_merge_audit`) are the one that is
    left, and are reported as identity links, too. Answers have `instrument` (nps, csat, ces, …), `score`
    and its scale, `survey_id` and `comment`. `actor` is `company` for what staff and their machines did:
    stages, owners, outbound calls and mails, mails sent; opened mails, clicks, forms, meetings, tickets
    and answers are the customer's. A stage is the column `stage`, by its label where the pipelines tell it;
    a deal's id is `deal_id`, `value` the amount of deals won. Properties of contacts become attributes of
    the customer.

    **Traps.** An engagement has three times, of which only `hs_timestamp` is that of the contact: what was
    imported was created years later. What the ids of stages mean is told by the pipelines or their table,
    else only `closedwon`, `closedlost` and the stages of the first pipeline are known. When a stage was
    entered is told once for each: of a deal that went back only the history knows. Email events that
    HubSpot itself filtered (robots, own clicks) have `is_bot`; many opens are those of mail programs that
    fetch pictures unasked. NPS runs from 0 to 10 and CES from 1 to 7; that of CSAT is a setting: say
    `csat=`. The export does not say who was asked and did not answer. Notes, open tasks, meetings that were
    called off and archived objects are excluded; so is what belongs to no contact and no company (counted as
    `nameless`). Files of the user interface write times in the zone of the portal, and may name a contact by
    the address only.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    user_id : str, optional
        The property of contacts with the id that other systems use, for example `"customer_no"`.
    csat : pair of float
        The ends of the scale of CSAT surveys.
    tz : str, optional
        Zone of times that carry none. It must be said for files of the user interface; warehouse copies are
        in UTC.
    keep : sequence of str, or mapping of str to type
        Properties that become typed columns, for example `["hs_call_disposition"]`.
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
        No such file; not an export of HubSpot; a file of the user interface and no `tz`.
    UnknownNameError
        No such time zone.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> answers = {"id": ["512"], "hs_survey_type": ["NPS"], "hs_value": ["9"], "hs_contact_id": ["501"],
    ...            "hs_submission_timestamp": ["2025-03-10T12:00:00Z"]}
    >>> batch = next(cjm.loaders.hubspot(answers).batches())
    >>> batch.events.select(["anonymous_id", "instrument", "score", "score_max"]).to_pylist()
    [{'anonymous_id': 'hubspot:501', 'instrument': 'nps', 'score': 9.0, 'score_max': 10.0}]
    """
    vendor = replace(
        _HUBSPOT,
        tidied=partial(_tidied, user_id=user_id, tz=tz),
        asked=(user_id, csat),
        clock=Clock(tz=tz or "UTC"),
        parts={
            name: as_of(part, "updated_at", "hs_lastmodifieddate", "lastmodifieddate")
            for name, part in {**_HUBSPOT.parts, "feedback_submissions": _feedback(csat)}.items()
        },
    )
    return vendor.stream(source, keep=keep, name=name, format=format)
