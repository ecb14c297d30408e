"""Zendesk: tickets, what happened to them, and how their requesters rated them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.mapping import (
    Cells,
    Saying,
    Side,
    column,
    each,
    filled,
    first,
    joined,
    key_text,
    looked_up,
    truths,
    unless,
    whenever,
)
from cjm_analytics.loaders.opened import as_object, respelt
from cjm_analytics.loaders.people import People
from cjm_analytics.loaders.responses import told_by
from cjm_analytics.loaders.rows import ColumnRows, ObjectRows
from cjm_analytics.loaders.states import as_of, changes, closings, in_order, instants
from cjm_analytics.loaders.times import Clock, in_iso
from cjm_analytics.loaders.values import one_text, plain, texts
from cjm_analytics.loaders.vendor import Events, Part, Vendor
from cjm_analytics.schema import INVITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.mapping import Sides, Where
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["zendesk"]

_CHANNELS: Final = {
    "email": "email", "mail": "email",
    "chat": "chat", "chat_transcript": "chat", "native_messaging": "chat", "messaging": "chat", "sms": "chat",
    "whatsapp": "chat", "answer_bot_for_web_widget": "chat", "chat_offline_message": "chat",
    "web": "web", "web_form": "web", "web_widget": "web", "web_service": "api", "help_center": "web",
    "sample_ticket": "web", "api": "api",
    "line": "chat", "viber": "chat", "telegram": "chat", "wechat": "chat", "kakaotalk": "chat",
    "google_business_messages": "chat", "apple_business_chat": "chat", "slack_connect": "chat",
    "text": "chat", "text_message": "chat",
    "voice": "phone", "phone": "phone", "phone_call": "phone", "voicemail": "phone",
    "phone_call_inbound": "phone", "phone_call_outbound": "phone",
    "mobile": "app", "mobile_sdk": "app", "mobile_app": "app", "ios": "app", "android": "app",
    "twitter": "social", "twitter_dm": "social", "twitter_like": "social", "facebook": "social",
    "facebook_post": "social", "facebook_message": "social", "instagram_dm": "social",
    "any_channel": "social",
}  # fmt: skip
_STAFF: Final = {"agent", "admin"}
_OPEN: Final = {"new", "open", "pending", "hold", "on-hold"}
_DONE: Final = {"solved", "closed"}
_GOOD: Final = {"good", "good_with_comment"}
_BAD: Final = {"bad", "bad_with_comment"}
_OFFERED: Final = "offered"
_THUMBS: Final = (0, 1)
_STARS: Final = (1, 5)
_ANSWER: Final = re.compile(r"(good|bad)([ _,].*)?|[1-5](\.0)?")
_SCORES: Final = {*_GOOD, *_BAD, _OFFERED}
_RATED_FIELDS: Final = ("satisfaction_score", "satisfaction_comment")
_RATED_MARK: Final = "rated:"
"""Stands in the history before the numbers of tickets that were rated or offered to be."""

_LABELS: Final = {
    "Id": "id", "ID": "id", "Ticket ID": "id", "Requester id": "requester_id", "Requester ID": "requester_id",
    "Requester external id": "_external", "Requester external ID": "_external",
    "Requester email": "_address", "Organization": "organization",
    "Requester organization name": "organization", "Ticket organization name": "organization",
    "Subject": "subject", "Ticket subject": "subject", "Tags": "tags", "Ticket tags": "tags",
    "Status": "status", "Ticket status": "status", "Priority": "priority", "Ticket priority": "priority",
    "Via": "via", "Ticket channel": "via", "Channel": "via", "Ticket type": "type",
    "Created at": "created_at", "Requested": "created_at", "Ticket created - Timestamp": "created_at",
    "Updated at": "updated_at", "Updated": "updated_at", "Ticket last updated - Timestamp": "updated_at",
    "Solved at": "_solved_at", "Solved": "_solved_at", "Ticket solved - Timestamp": "_solved_at",
    "Satisfaction Score": "_rated", "Satisfaction": "_rated", "Ticket satisfaction rating": "_rated",
}  # fmt: skip
"""What the files of the agents' interface, and reports on tickets, call the fields of a ticket."""

_TIMES: Final = ("created_at", "updated_at", "_solved_at")
_ZONED: Final = re.compile(r"(Z|UTC|[+-]\d\d:?\d\d)$")
_SLASHED: Final = re.compile(r"\d{1,2}([./-]\d{1,2}[./-]\d{4}|[./]\d{1,2}[./]\d\d)($|[ T,])")

_KNOWN: Final = (
    "created_at", "created", "updated_at", "requester_id", "submitter_id", "organization_id", "via",
    "via_channel", "via_source_rel", "merged_ticket_ids", "status", "tags", "_external", "_address",
    "requester", "followup_ids", "via_followup_source_id", "via_source_from_id",
)  # fmt: skip
"""What other tables must know of a ticket."""

_UNKNOWN: Final = "is not in the export: its requester is unknown"
_Row: TypeAlias = dict[str, Any]


# One spelling


def _tidied(rows: Rows, *, tz: str | None = None, dayfirst: bool | None = None) -> Rows:
    """Tickets of a file of the agents' interface under the names that the API gives to their fields."""
    there = set(rows.names())
    if not any(name.startswith("Requester") for name in there) or not there & _NUMBERED:
        return rows
    if not there & _IDENTIFIED:
        raise InputError(
            f"{rows.file} names requesters, but no column identifies them. Add 'Requester id' or 'Requester "
            "email' to the view or report, or take the account's CSV export. Columns there: "
            f"{', '.join(rows.names())}."
        )
    tidy = respelt(rows, lambda name: _LABELS.get(name, name), partial(_said, dayfirst=dayfirst))
    for name in _TIMES:
        _check_times(tidy, name, tz)
    return _with_columns(tidy, ("requester_id", "subject"))


_NUMBERED: Final = {label for label, name in _LABELS.items() if name == "id"}
_IDENTIFIED: Final = {
    label for label, name in _LABELS.items() if name in {"requester_id", "_external", "_address"}
}


def _said(name: str, cells: pa.Array, *, dayfirst: bool | None) -> pa.Array:
    """Cells of the agents' interface, which writes a dash for nothing; dates as all others are written."""
    if not pa.types.is_string(cells.type):
        return cells
    cells = pc.if_else(pc.equal(cells, "-"), None, cells)
    if name in _TIMES and dayfirst is not None:
        return in_iso(cells, dayfirst=dayfirst)
    return cells


def _check_times(rows: Rows, name: str, tz: str | None) -> None:
    """Refuse times of which nobody knows the zone, or the order of day and month."""
    cells = rows.column(name).drop_null() if rows.has(name) else []
    if not len(cells):
        return
    first = str(cells[0].as_py())
    if _SLASHED.match(first):  # `dayfirst` would have put the year in front
        raise InputError(
            f"The dates of {rows.file} can be read in two ways ({first!r}). Say dayfirst=True or "
            "dayfirst=False."
        )
    if tz is None and not _ZONED.search(first):
        raise InputError(
            f"The times of {rows.file} carry no zone ({first!r}); they are in that of the account. Say tz=, "
            "such as 'Europe/Berlin'."
        )


def _with_columns(rows: Rows, names: Sequence[str]) -> Rows:
    """The rows with columns of these names, empty where there was none."""
    missing = dict.fromkeys(name for name in names if name not in rows.names())
    if isinstance(rows, ColumnRows):
        table = rows.table
        for name in missing:
            table = table.append_column(name, pa.nulls(len(rows), pa.string()))
        return replace(rows, table=table)
    if isinstance(rows, ObjectRows):
        return replace(rows, objects=[{**missing, **one} for one in rows.objects])
    return rows


# What must be known of tickets and users


def _listed(value: object) -> list[Any]:
    """A list, or the JSON or comma-separated text of one."""
    found = as_object(value)
    if isinstance(found, str):
        return [one for one in re.split(r"[,\s]+", found) if one]
    return found if isinstance(found, list) else []


def _object(value: object) -> _Row:
    found = as_object(value)
    return found if isinstance(found, dict) else {}


def _gone(sides: Sides) -> set[str]:
    """Tickets that were merged into others, or deleted."""
    gone = set(sides.get("ticket_tags", {}))
    for number, row in sides.get("tickets", {}).items():
        gone.update(filter(None, map(key_text, _listed(row.get("merged_ticket_ids")))))
        if row.get("status") == "deleted" or "closed_by_merge" in _listed(row.get("tags")):
            gone.add(number)
    return gone


def _cases(sides: Sides) -> dict[str, str]:
    """Ticket → the one that its case began with, for those that go on with another one.

    A follow-up says what it follows; the ticket that was followed, and one into which others were merged, say
    by which. A ticket in the middle that is not there ends the chain, and the first need not be there.
    """
    side = sides.get("tickets")
    if not isinstance(side, Side):
        return {}
    numbers, before = list(side), dict[str, str]()
    for name in ("followup_ids", "merged_ticket_ids"):
        cells = side.column(name)
        for place in np.flatnonzero(_are_filled(cells)):
            others = map(key_text, _listed(cells[int(place)].as_py()))
            before |= {one: numbers[place] for one in others if one and one != numbers[place]}
    via = side.column("via")
    for cells in (_followed(via), _followed_flat(side), texts(side.column("via_followup_source_id"))):
        for place in np.flatnonzero(_are_filled(cells)):
            other = key_text(cells[int(place)].as_py())
            if other is not None and other != numbers[place]:
                before[numbers[place]] = other
    return {number: _beginning(number, before) for number in before}


def _are_filled(cells: pa.Array) -> NDArray[np.bool_]:
    if pa.types.is_list(cells.type):
        filled = pc.greater(pc.list_value_length(cells), 0)
    else:
        filled = pc.invert(pc.is_in(cells, pa.array(["", "[]"]))) if pa.types.is_string(cells.type) else None
        filled = pc.is_valid(cells) if filled is None else pc.and_(pc.is_valid(cells), filled)
    return np.asarray(pc.fill_null(filled, False).to_numpy(zero_copy_only=False), bool)


_FOLLOWS: Final = "follow_up"


def _followed(via: pa.Array) -> pa.Array:
    """The tickets that others follow, by what these came through."""
    if pa.types.is_struct(via.type):
        return _followed_by(_inside(via, "source", "rel"), _inside(via, "source", "from", "ticket_id"))
    if not pa.types.is_string(via.type):
        return pa.nulls(len(via), pa.string())
    told = [_object(one).get("source") if one and _FOLLOWS in one else None for one in via.to_pylist()]
    sources = [_object(one) for one in told]
    rels = pa.array([one_text(one.get("rel")) for one in sources], pa.string())
    others = [one_text(_object(one.get("from")).get("ticket_id")) for one in sources]
    return _followed_by(rels, pa.array(others, pa.string()))


def _followed_flat(side: Side) -> pa.Array:
    """The same of a table with a column for each of it."""
    return _followed_by(side.column("via_source_rel"), side.column("via_source_from_id"))


def _followed_by(rels: pa.Array, others: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(pc.equal(texts(rels), _FOLLOWS), False), texts(others), None)


def _inside(cells: pa.Array, *names: str) -> pa.Array:
    """A member of a member of objects."""
    for name in names:
        if not pa.types.is_struct(cells.type) or cells.type.get_field_index(name) < 0:
            return pa.nulls(len(cells), pa.string())
        cells = pc.struct_field(cells, name)
    return cells


def _beginning(number: str, before: Mapping[str, str]) -> str:
    """Where the chain of tickets before one begins; in a ring, the least of it."""
    seen = dict.fromkeys([number])
    while (other := before.get(number)) is not None:
        if other in seen:
            ring = list(seen)
            return min(ring[ring.index(other) :])
        seen[other] = None
        number = other
    return number


def _is_staff(number: str | None, sides: Sides) -> bool:
    return sides.get("users", {}).get(number or "", {}).get("role") in _STAFF


def _via(row: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Canonical channel of a ticket, and the direction of a call."""
    via, inside = row.get("via"), _object(row.get("via"))
    said = inside.get("channel", row.get("via_channel")) or (
        via if isinstance(via, str) and not inside else ""
    )
    rel = _object(inside.get("source")).get("rel") or row.get("via_source_rel")
    return _CHANNELS.get(str(said).strip().lower().replace(" ", "_")), one_text(rel)


def _about(ticket: Mapping[str, Any], number: str, cases: Mapping[str, str]) -> _Row:
    """What every event of a ticket says of it."""
    person = _object(ticket.get("requester"))
    return {
        "_number": number,
        "_ticket": cases.get(number, number),
        "follow_up": number if number in cases else None,
        "_requester": key_text(ticket.get("requester_id")),
        "_account": key_text(ticket.get("organization_id")),
        "_channel": _via(ticket)[0],
        "_external": _of(ticket, "_external") or person.get("external_id"),
        "_address": _of(ticket, "_address") or person.get("email"),
    }


def _of(row: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - a cell
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


# What becomes what


def _tickets(rows: list[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """Tickets, of several copies the last updated; and ratings that stand nowhere else."""
    gone, cases = _gone(sides), _cases(sides)
    begun = [_of(row, "created_at", "created") for row in rows]
    times = instants(begun)
    newest, history = _newest(rows, times), sides.get("ticket_field_history", {})
    rated = _rated_elsewhere(sides)
    found = {_value(_score({"score": row.get("_rated")})) for row in rows} - {None}
    scale = _STARS if found and all(one[1:] == _STARS for one in found if one) else _THUMBS
    for place, row in enumerate(rows):
        number = key_text(row.get("id"))
        if number is None:
            yield place, {"_wrong": "a ticket without id"}
        elif number not in gone and (times[place] is None or newest[number] == place):
            about = _about(row, number, cases)
            made = {"_event": "ticket_created", "_id": f"ticket:{number}", "_time": begun[place]}
            yield place, row | about | made | {"_actor": _opener(row, sides)}
            solved_at = row.get("_solved_at") or _object(row.get("metric_set")).get("solved_at")
            if solved_at and number not in history:
                solved = {"_event": "ticket_solved", "_id": f"ticket_solved:{number}", "_actor": "company"}
                yield place, about | solved | {"_time": solved_at}
            for said in _listed(row.get("comments")):
                comment = _comment({**_object(said), "ticket_id": number}, sides, gone, cases)
                if comment is not None:
                    yield place, comment
            inline = _object(row.get("satisfaction_rating")) or {"score": row.get("_rated")}
            score = _score(inline)
            if number not in rated and times[place] and (score == _OFFERED or _value(score)):
                when = _of(row, "updated_at", "created_at")
                for said in _survey(inline, about, score, (when, when), is_inferred=True, scale=scale):
                    yield place, said


def _by_columns(rows: ColumnRows, sides: Mapping[str, Side]) -> list[tuple[Rows, NDArray[np.int64]]] | None:
    """The same of whole columns, where each ticket comes once and none is of the agents' interface."""
    side, cells = sides.get("tickets"), Cells(rows, sides)
    numbers = cells.keys(column("id"))
    is_odd = any(map(rows.has, ("_solved_at", "_rated", "created", "comments", "metric_set", "requester")))
    nested = [cells[name] for name in ("via", "satisfaction_rating")]
    is_odd = is_odd or any(one.null_count < len(one) and not pa.types.is_struct(one.type) for one in nested)
    if side is None or not side.is_of_single_rows or numbers.null_count or is_odd:
        return None
    kept = ~_are_gone(cells, numbers, side, sides)
    requester, submitter = cells.keys(column("requester_id")), cells.keys(column("submitter_id"))
    channel = told_by(rows, _channel_of, "via.channel", "via_channel")
    is_call = pc.and_(
        pc.equal(channel, "phone"),
        pc.not_equal(pc.fill_null(cells.of(first("via.source.rel", "via_source_rel")), ""), "outbound"),
    )
    by_staff = pc.is_in(cells.of(looked_up("users", "submitter_id", "role")), pa.array(sorted(_STAFF)))
    other = pc.fill_null(pc.not_equal(submitter, pc.fill_null(requester, "")), False)
    is_companys = pc.and_(pc.and_(other, by_staff), pc.invert(pc.fill_null(is_call, False)))
    cases = _cases(sides)
    begins = pa.nulls(len(rows), pa.string())
    if cases:
        begins = pa.array(map(cases.get, numbers.to_pylist()), pa.string())
    about = {
        "_number": numbers, "_ticket": pc.coalesce(begins, numbers),
        "follow_up": pc.if_else(pc.is_valid(begins), numbers, None),
        "_requester": requester, "_account": cells.keys(column("organization_id")),
        "_external": cells["_external"], "_address": cells["_address"],
    }  # fmt: skip
    begun = {
        "_event": pa.repeat("ticket_created", len(rows)),
        "_id": pc.binary_join_element_wise("ticket", numbers, ":"),
        "_time": cells["created_at"],
        "_channel": channel,
        "_actor": pc.if_else(is_companys, "company", "customer"),
    }
    own = {name: rows.column(name) for name in rows.names()}
    made = [_rows_at(rows, {**own, **about, **begun}, np.flatnonzero(kept))]
    return [*made, *_rated_inline(cells, about, sides, kept)]


def _channel_of(*said: object) -> str | None:
    """Canonical channel by the first word that says one."""
    word = next((one for one in said if one), "")
    return _CHANNELS.get(str(word).strip().lower().replace(" ", "_"))


def _are_gone(cells: Cells, numbers: pa.Array, side: Side, sides: Mapping[str, Side]) -> NDArray[np.bool_]:
    """Tickets that were merged into others, or deleted."""
    tags = cells["tags"]
    if pa.types.is_list(tags.type):
        gone = np.zeros(len(numbers), bool)
        merged = pc.fill_null(pc.equal(texts(tags.flatten()), "closed_by_merge"), False)
        gone[pc.list_parent_indices(tags).filter(merged).to_numpy()] = True
    else:
        gone = truths(cells.of(each(lambda one: "closed_by_merge" in _listed(one), "tags")))
    others = side.column("merged_ticket_ids").drop_null().to_pylist()
    into = {*filter(None, (key_text(one) for several in others for one in _listed(several)))}
    into |= set(sides.get("ticket_tags", {}))
    found = pc.is_in(numbers, pa.array(sorted(into), pa.string()))
    deleted = pc.fill_null(pc.equal(texts(cells["status"]), "deleted"), False)
    for one in (found, deleted):
        gone |= np.asarray(one.to_numpy(zero_copy_only=False), bool)
    return gone


def _rated_inline(
    cells: Cells, about: Mapping[str, pa.Array], sides: Mapping[str, Side], kept: NDArray[np.bool_]
) -> list[tuple[Rows, NDArray[np.int64]]]:
    """Ratings that stand in their tickets and nowhere else."""
    rows = cells.rows
    assert isinstance(rows, ColumnRows)  # noqa: S101 - of which `_by_columns` is asked alone
    rating = cells["satisfaction_rating"]
    if rating.null_count == len(rows):
        return []
    scores = pc.utf8_lower(pc.utf8_trim_whitespace(texts(cells["satisfaction_rating.score"])))
    elsewhere = pc.is_in(about["_number"], pa.array(sorted(_rated_elsewhere(sides)), pa.string()))
    few = pc.dictionary_encode(pc.fill_null(scores, ""))
    told = [_value(one) for one in few.dictionary.to_pylist()]
    value, low, high = (
        pa.array([one and one[place] for one in told], pa.float64()).take(few.indices) for place in range(3)
    )
    is_given = pc.is_valid(value)
    known = pc.or_(is_given, pc.fill_null(pc.equal(scores, _OFFERED), False))
    asked = kept & (pc.and_(known, pc.invert(elsewhere))).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(asked)
    read = instants(cells["created_at"].take(pa.array(places)).to_pylist())
    places = places[np.array([bool(one) for one in read], bool)]
    size, when = len(rows), cells["updated_at"]
    shared = {
        **about, "_is_survey": pa.repeat(True, size), "_low": pc.fill_null(low, 0.0),
        "_high": pc.fill_null(high, 1.0), "_is_inferred": pa.repeat(True, size),
        "_time": when if not when.null_count else cells.of(first("updated_at", "created_at")),
    }  # fmt: skip
    invite = {
        "_event": pa.repeat(INVITE, size), "_actor": pa.repeat("company", size),
        "_id": pc.binary_join_element_wise("csat_invite", about["_number"], ":"),
    }  # fmt: skip
    members = dict(zip(rating.type.names, map(plain, rating.flatten()), strict=True))
    answer = {
        "_event": pa.repeat("survey_response", size), "_actor": pa.repeat("customer", size),
        "_id": pc.binary_join_element_wise("csat", about["_number"], ":"),
        "_score": value,
    }  # fmt: skip
    given = places[is_given.to_numpy(zero_copy_only=False)[places]]
    answers = {**members, **shared, **answer}
    return [_rows_at(rows, {**shared, **invite}, places), _rows_at(rows, answers, given)]


def _rows_at(
    rows: ColumnRows, columns: Mapping[str, pa.Array], places: NDArray[np.int64]
) -> tuple[Rows, NDArray[np.int64]]:
    table = pa.table(dict(columns))
    table = table if len(places) == len(rows) else table.take(pa.array(places))
    return ColumnRows(rows.file, table, rows.numbers[places], is_sparse=True), places


def _newest(rows: Sequence[_Row], begun: Sequence[int | None]) -> dict[str, int]:
    """The place of the last updated copy of each ticket, among those whose time can be read."""
    best: dict[str, int] = {}

    def changed(place: int) -> tuple[str, int]:
        return in_order(_of(rows[place], "updated_at", "created_at")), place

    for place, row in enumerate(rows):
        number = key_text(row.get("id"))
        if number is not None and begun[place] is not None:
            best[number] = max(best[number], place, key=changed) if number in best else place
    return best


def _opener(row: Mapping[str, Any], sides: Sides) -> str:
    """Who acted when a ticket was opened."""
    submitter = key_text(row.get("submitter_id"))
    is_staff = _is_staff(submitter, sides) or _object(row.get("submitter")).get("role") in _STAFF
    if submitter in {None, key_text(row.get("requester_id"))}:
        return "customer"
    channel, rel = _via(row)
    has_called = channel == "phone" and rel != "outbound"
    return "company" if is_staff and not has_called else "customer"


def _comments(rows: list[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    gone, cases = _gone(sides), _cases(sides)
    for place, row in enumerate(rows):
        found = _comment(row, sides, gone, cases)
        if found is not None:
            yield place, found


def _comment(row: _Row, sides: Sides, gone: set[str], cases: Mapping[str, str]) -> _Row | None:
    """A comment as an event; None for a private one, and for that which repeats the ticket's opening."""
    number, author = key_text(row.get("ticket_id")), key_text(_of(row, "author_id", "user_id"))
    if number is None:
        return {"_wrong": "a comment without ticket_id"}
    if str(row.get("public")).lower() in {"false", "0"} or number in gone:
        return None
    ticket = sides.get("tickets", {}).get(number)
    time = _of(row, "created_at", "created")
    if ticket is None:
        if author not in sides.get("users", {}) or _is_staff(author, sides):
            return {"_wrong": f"the ticket {number} of this comment {_UNKNOWN}"}
        about = _about({"requester_id": author}, number, cases)
    else:
        about = _about(ticket, number, cases)
        opened = in_order(_of(ticket, "created_at", "created"))[:19]
        if in_order(time)[:19] == opened and author in {
            None,
            about["_requester"],
            key_text(ticket.get("submitter_id")),
        }:
            return None
    text = row.get("plain_body") or row.get("body")
    number = key_text(row.get("id")) or f"{number}:{time}"
    event = {"_event": "ticket_comment", "_id": f"comment:{number}", "_time": time, "body": text}
    return row | about | event | {"_actor": _speaker(author, about["_requester"], sides)}


def _speaker(author: str | None, requester: str | None, sides: Sides) -> str:
    if author == "-1" or (author or "").startswith("__"):
        return "system"
    if author is not None and author == requester:
        return "customer"
    is_known = author in sides.get("users", {})
    return "customer" if is_known and not _is_staff(author, sides) else "company"


def _audits(rows: list[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """Comments and changes of status among what an audit tells; a history of its own goes before it."""
    gone, history, cases = _gone(sides), sides.get("ticket_field_history", {}), _cases(sides)
    times = instants(_of(row, "created_at", "timestamp") for row in rows)
    places: list[int] = []
    changed: list[_Row] = []
    for place, (row, at) in enumerate(zip(rows, times, strict=True)):
        number = key_text(row.get("ticket_id"))
        if number is None or at is None:
            yield place, {"_wrong": "an audit without ticket_id or a time that can be read"}
            continue
        author, time = _of(row, "updater_id", "author_id"), _of(row, "created_at", "timestamp")
        for child in _listed(_of(row, "child_events", "events")):
            if child.get("event_type", child.get("type")) == "Comment":
                public = child.get("public", child.get("comment_public"))
                said = {
                    "author_id": author,
                    **child,
                    "ticket_id": number,
                    "created_at": time,
                    "public": public,
                }
                found = _comment(said, sides, gone, cases)
                if found is not None:
                    yield place, found
            status = child.get("value") if child.get("field_name") == "status" else child.get("status")
            if isinstance(status, str) and number not in history:
                places.append(place)
                before = child.get("previous_value")
                changed.append({"_ticket": number, "_at": at, "_time": time, "_author": author,
                                "status": status.lower(), "before": before})  # fmt: skip
    yield from ((places[at], row) for at, row in _solved(changed, sides))


def _history(rows: list[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """The table of changed fields, as far as they are the status or the rating."""
    names = {"status", *_RATED_FIELDS}
    places = [place for place, row in enumerate(rows) if row.get("field_name") in names]
    times = instants(_of(rows[place], "updated", "updated_at", "created_at") for place in places)
    changed, rated = [], []
    for place, at in zip(places, times, strict=True):
        row = rows[place]
        field, number, value = row["field_name"], key_text(row.get("ticket_id")), one_text(row.get("value"))
        if at is None or number is None or (value is None and field == "status"):
            said = f"a change of {field} without ticket_id, value or a time that can be read"
            yield place, {"_wrong": said}
            continue
        told = {"_ticket": number, "_at": at, "_author": row.get("user_id"), "_place": place,
                "_time": _of(row, "updated", "updated_at", "created_at")}  # fmt: skip
        if field == "status":
            changed.append({**told, "status": str(value).lower()})
        else:
            rated.append({**told, "field": field, "value": value or ""})
    yield from ((changed[at]["_place"], row) for at, row in _solved(changed, sides))
    yield from _rated_in_history(rated, sides)


def _rated_in_history(changed: Sequence[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """Ratings whose offers and answers are changes of a ticket; a table of ratings goes before them."""
    gone, cases = _gone(sides), _cases(sides)
    elsewhere = {key_text(row.get("ticket_id")) for row in sides.get("satisfaction_ratings", {}).values()}
    of_ticket: dict[str, list[_Row]] = {}
    for one in sorted(changed, key=lambda one: one["_at"]):
        if one["_ticket"] not in gone and one["_ticket"] not in elsewhere:
            of_ticket.setdefault(one["_ticket"], []).append(one)
    for number, told in of_ticket.items():
        ticket = sides.get("tickets", {}).get(number)
        scores = [
            (one, score)
            for one in told
            if one["field"] == "satisfaction_score" and (score := one["value"].strip().lower()) in _SCORES
        ]
        answers = [(one, score) for one, score in scores if score != _OFFERED]
        if not scores:
            continue
        (asked, _), (last, score) = scores[0], (answers or scores)[-1]
        if ticket is None:
            yield last["_place"], {"_wrong": f"the ticket {number} of this rating {_UNKNOWN}"}
            continue
        comments = [one["value"] for one in told if one["field"] == "satisfaction_comment" and one["value"]]
        row = {"comment": comments[-1]} if comments else {}
        for said in _survey(row, _about(ticket, number, cases), score, (asked["_time"], last["_time"])):
            yield (asked if said["_event"] == INVITE else last)["_place"], said


def _solved(changed: Sequence[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """Solved and reopened, from what each ticket's status was before."""
    gone, cases = _gone(sides), _cases(sides)
    kept = [row if row["status"] in _OPEN | _DONE else {} for row in changed]
    found = changes(kept, "_ticket", time="_at", value="status", before="before")
    names = ("ticket_solved", "ticket_reopened")
    for place, row in closings(
        found, "_ticket", time="_time", names=names, is_closed=lambda status, _: status in _DONE
    ):
        number = row["_ticket"]
        ticket = sides.get("tickets", {}).get(number)
        if number in gone:
            continue
        if ticket is None:
            yield place, {"_wrong": f"the ticket {number} of this change {_UNKNOWN}"}
            continue
        about = _about(ticket, number, cases)
        author = key_text(row["_author"])
        actor = "customer" if author is not None and author == about["_requester"] else "company"
        event = {name: row[name] for name in ("_event", "_time")}
        yield place, about | event | {"_actor": actor, "_id": f"{row['_event']}:{number}:{row['_at']}"}


def _ratings(rows: list[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """Ratings: of a ticket's several rows the last answer counts, and it was offered when the first was."""
    gone, cases = _gone(sides), _cases(sides)
    created = instants(row.get("created_at") for row in rows)
    updated = instants(_of(row, "updated_at", "created_at") for row in rows)
    of_ticket: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        number, score = key_text(row.get("ticket_id")), one_text(row.get("score"))
        if number is None or score is None or created[place] is None or updated[place] is None:
            said = "a rating without ticket_id, score or a time that can be read"
            yield place, {"_wrong": said}
        elif _score(row) not in {*_GOOD, *_BAD, _OFFERED, "unoffered"}:
            yield place, {"_wrong": f"a rating of unknown score {score!r}"}
        elif _score(row) != "unoffered":
            of_ticket.setdefault(number, []).append(place)
    for number, places in sorted(of_ticket.items()):
        if number in gone:
            continue
        offered = min(places, key=lambda place: created[place] or 0)
        last = max(
            places,
            key=lambda one: (_score(rows[one]) != _OFFERED, updated[one] or 0, one),
        )
        row = rows[last]
        about = _about(sides.get("tickets", {}).get(number, {}), number, cases)
        about["_requester"] = key_text(row.get("requester_id")) or about["_requester"]
        times = (rows[offered].get("created_at"), _of(row, "updated_at", "created_at"))
        yield from ((last, one) for one in _survey(row, about, _score(row), times))


def _score(row: Mapping[str, Any]) -> str:
    return str(row.get("score")).strip().lower()


def _value(score: str) -> tuple[float, int, int] | None:
    """A score on its scale: good and bad on 0…1, the numbers of the newer surveys on 1…5."""
    if not _ANSWER.fullmatch(score):
        return None
    return (float(score), *_STARS) if score[0].isdigit() else (float(score.startswith("good")), *_THUMBS)


def _rated_elsewhere(sides: Sides) -> set[str]:
    """Tickets whose ratings stand in a table of their own, or in the history of the ticket."""
    ratings = {key_text(row.get("ticket_id")) for row in sides.get("satisfaction_ratings", {}).values()}
    history = sides.get("ticket_field_history", {})
    changed = {one.removeprefix(_RATED_MARK) for one in history if one.startswith(_RATED_MARK)}
    return {*filter(None, ratings), *changed}


def _survey(
    row: Mapping[str, Any],
    about: _Row,
    score: str,
    times: tuple[object, object],
    *,
    is_inferred: bool = False,
    scale: tuple[int, int] = _THUMBS,
) -> Iterator[_Row]:
    """An invite, and the answer if one was given; without one, the invite is for an answer on the scale."""
    number, found = about["_number"], _value(score)
    value, low, high = found or (None, *scale)
    ends = {"_is_survey": True, "_low": low, "_high": high}
    told_by = {**about, **ends, "_channel": None, "_is_inferred": is_inferred}
    yield told_by | {"_event": INVITE, "_id": f"csat_invite:{number}", "_time": times[0], "_actor": "company"}
    if found:
        answer = {
            "_event": "survey_response",
            "_id": f"csat:{number}",
            "_time": times[1],
            "_actor": "customer",
        }
        yield {**row, **told_by, **answer, "_score": value}


def _responses(rows: list[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """The newer surveys: who was asked, a rating on a scale, and what was written beside it."""
    gone, cases = _gone(sides), _cases(sides)
    for place, outer in enumerate(rows):
        row = _object(outer.get("survey_response")) or outer
        number = _subject(row)
        if number is None or number in gone:
            continue
        answers = [one for one in _listed(row.get("answers")) if isinstance(one, dict)]
        rating = next((one for one in answers if one.get("type") == "rating_scale"), {})
        about = _about(sides.get("tickets", {}).get(number, {}), number, cases)
        about |= {
            "_requester": key_text(row.get("responder_id")) or about["_requester"],
            "_channel": None,
            "_is_survey": True,
            "survey_id": _of(_object(row.get("survey")), "id") or row.get("survey_id"),
            **_scale(rating),
        }
        sent = _drawn_at(row.get("id"))
        asked = sent or rating.get("created_at")
        if asked is not None:
            invite = {"_event": INVITE, "_id": f"csat_invite:{number}", "_time": asked, "_actor": "company"}
            yield place, about | invite | {"_is_inferred": sent is not None}
        if rating.get("rating") is not None:
            said = next((one.get("value") for one in answers if one.get("type") == "open_ended"), None)
            answer = {
                "_event": "survey_response",
                "_id": f"csat:{number}",
                "_time": _of(rating, "updated_at", "created_at"),
                "_actor": "customer",
                "_score": rating["rating"],
                "comment": said,
            }
            yield place, about | answer


def _subject(row: Mapping[str, Any]) -> str | None:
    """The ticket that a survey asks about."""
    subjects = [one for one in _listed(row.get("subjects")) if isinstance(one, dict)]
    names = [*(str(one.get("zrn")) for one in subjects), *map(str, _listed(row.get("subject_zrns")))]
    tickets = [name.rpartition(":")[2] for name in names if name.startswith("zen:ticket:")]
    tickets += [key_text(one.get("id")) or "" for one in subjects if one.get("type", "ticket") == "ticket"]
    return next(filter(None, tickets), None)


def _scale(rating: Mapping[str, Any]) -> _Row:
    """The ends of the scale of a question, 1 and 5 where it does not say; none of one without an answer."""
    if not rating:
        return {"_low": None, "_high": None}
    options = _listed(_object(rating.get("question")).get("options"))
    ratings = [one["rating"] for one in options if isinstance(one, dict) and "rating" in one]
    return {"_low": min(ratings, default=1), "_high": max(ratings, default=5)}


_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_SIGNS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _drawn_at(identity: object) -> str | None:
    """When an id was drawn that begins with its time (ULID), as those of surveys that were sent do."""
    text = str(identity)
    if not _ULID.fullmatch(text):
        return None
    moment = 0
    for sign in text[:10]:
        moment = moment * len(_SIGNS) + _SIGNS.index(sign)
    return f"{np.datetime64(moment, 'ms')}Z"


def _messages(rows: list[_Row], sides: Sides) -> Iterator[tuple[int, _Row]]:
    """What was said in chats."""
    gone, cases = _gone(sides), _cases(sides)
    for place, row in enumerate(rows):
        if row.get("type") != "ChatMessage":
            continue
        chat = sides.get("ticket_chat", {}).get(str(row.get("chat_id")))
        if chat is None:
            yield place, {"_wrong": f"the chat {row.get('chat_id')} of this message {_UNKNOWN}"}
            continue
        number = key_text(chat.get("ticket_id"))
        if number in gone:
            continue
        ticket = sides.get("tickets", {}).get(number or "", {})
        about = _about(ticket, number or "", cases) | {"_channel": "chat"}
        about["_requester"] = about["_requester"] or key_text(chat.get("user_id"))
        speaker = _speaker(one_text(row.get("actor_id")), key_text(chat.get("user_id")), sides)
        said = {
            "_event": "chat_message",
            "_time": row.get("created_at"),
            "_actor": speaker,
            "body": row.get("message"),
        }
        number = f"chat:{row.get('chat_id')}:{row.get('chat_index')}:{row.get('created_at')}"
        yield place, about | said | {"_id": number}


# Who it was

_PEOPLE: Final = People("zendesk", "users", "external_id")
_USER: Final = first(_PEOPLE.user("_requester"), "_external")
_MAIL: Final = joined("=email", "_address")
_NUMBER: Final = _PEOPLE.number("_requester")
_WHO: Final[dict[str, Where]] = {
    "user_id": _USER,
    "anonymous_id": whenever(unless(filled(_USER)), first(_NUMBER, _MAIL)),
    "account_id": "_account",
    "event": "_event",
    "timestamp": "_time",
    "event_id": "_id",
    "actor": "_actor",
    "ticket_id": "_ticket",
}
_ASIDE: Final = (
    "id", "created_at", "created", "updated_at", "requester_id", "submitter_id", "organization_id", "status",
    "via", "via_channel", "satisfaction_rating", "url", "ticket_id", "generated_timestamp",
    "merged_ticket_ids", "public", "author_id", "user_id", "plain_body", "html_body", "type", "event_type",
    "previous_value", "score", "_requester", "_is_survey", "_is_inferred", "_score", "_low", "_high",
    "_external", "_address", "_solved_at", "_rated", "_number", "Requester", "Submitter", "Summation column",
    "requester", "submitter", "comments", "metric_set",
)  # fmt: skip
"""Fields with a place of their own, or that tell the ticket's end and not its beginning."""

_TALK: Final = Events(
    where=unless("_is_survey"),
    columns={**_WHO, "channel": "_channel"},
    aside=_ASIDE,
)
_RATED: Final = Events(
    where=column("_is_survey"),
    columns={
        **_WHO,
        "received_at": whenever(each(lambda event: event != INVITE, "_event"), "_time"),
        "instrument": "=csat",
        "survey_id": "survey_id",
        "score": "_score",
        "score_min": "_low",
        "score_max": "_high",
        "comment": "comment",
    },
    aside=(*_ASIDE, "_channel"),
    kind="survey",
    inferred=each(bool, "_is_inferred"),
)
_SAID: Final = replace(_TALK, where=None)
_OPENED: Final = as_of(Part(events=(_TALK,)), "updated_at").events[0]
_MERGED: Final = whenever(
    each(lambda tags: "closed_by_merge" in _listed(tags), first("tag", "tags")), "ticket_id"
)
_IS_PERSON: Final = unless(each(lambda role: role in _STAFF, "role"))


def _changed(field: str | None, number: object) -> str | None:
    """The ticket whose status changed; with a mark before it, whose rating did."""
    ticket = key_text(number)
    if ticket is None or field not in {"status", "satisfaction_score"}:
        return None
    return ticket if field == "status" else _RATED_MARK + ticket


def _person(where: Where) -> Saying:
    """Of a user who is no member of the staff."""
    return whenever(_IS_PERSON, where)


_ZENDESK: Final = Vendor(
    name="zendesk",
    title="Zendesk",
    kind="support",
    copies="latest",
    required=("tickets",),
    parts={
        "tickets": Part(
            names=("ticket",), told_by=("requester_id", "subject"), key="id", newest="updated_at",
            together=_tickets, by_columns=_by_columns, holds=_KNOWN, events=(_OPENED, _RATED),
            links=((_NUMBER, "_external"), (_MAIL, "_external")),
            aliases=((whenever(unless(filled("_external")), _NUMBER), _MAIL),),
            time="_time",
        ),
        "ticket_comments": Part(
            names=("ticket_comment", "comment", "comments"), told_by=("ticket_id", "public", "body"),
            together=_comments, events=(_SAID,),
        ),
        "ticket_audits": Part(
            names=("ticket_audit", "ticket_event", "ticket_events", "audits"),
            told_by=("ticket_id", "child_events"), together=_audits, events=(_SAID,),
        ),
        "ticket_field_history": Part(
            told_by=("ticket_id", "field_name", "value"), together=_history,
            events=(_TALK, _RATED),
            key=each(_changed, "field_name", "ticket_id"),
        ),
        "ticket_chat_event": Part(
            names=("ticket_chat_events", "chat_event"), told_by=("chat_id", "chat_index"), together=_messages,
            events=(_SAID,),
        ),
        "satisfaction_ratings": Part(
            names=("satisfaction_rating",), told_by=("ticket_id", "score", "requester_id"), key="ticket_id",
            together=_ratings, events=(_RATED,),
        ),
        "survey_responses": Part(
            names=("survey_response",), told_by=("answers", "subjects"), together=_responses,
            events=(_RATED,),
        ),
        "ticket_chat": Part(names=("ticket_chats",), told_by=("chat_id", "visitor_id"), key="chat_id"),
        "ticket_tags": Part(names=("ticket_tag",), told_by=("ticket_id", "tag"), key=_MERGED),
        "users": Part(
            names=("user",), told_by=("email", "role"), key="id", newest="updated_at",
            missed="its customers are known only by what the tickets say of them, mostly ids of Zendesk, by "
            "which nobody can be recognised in other sources. Export the table users, too.",
            links=((_person(_PEOPLE.number("id")), "external_id"),
                   (_person(joined("=email", "email")), "external_id")),
            aliases=tuple((_person(number), email) for number, email in _PEOPLE.aliases("id")),
            traits={one: _person(one) for one in ("locale", "time_zone", "organization_id", "tags")},
            customer=first("external_id", _PEOPLE.number("id")),
            time=first("updated_at", "created_at"),
        ),
    },
)  # fmt: skip


def zendesk(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "zendesk",
    tz: str | None = None,
    dayfirst: bool | None = None,
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read a Zendesk export: tickets, comments, changes of status, satisfaction ratings.

    **Where it comes from.** A folder (or a list of files) with the answers of the API as JSON (`{"tickets":
    […]}`; any number of pages, also several kinds in one file), with tables of a warehouse copy as CSV, JSON
    lines or Parquet, or with the account's full JSON export, whose tickets have their people and comments in
    them. The name of a member or file says what it holds: `tickets`, `users`,
    `ticket_comments`, `ticket_field_history`, `ticket_events` (the incremental feed), `ticket_audits`,
    `satisfaction_ratings`, `survey_responses`, `ticket_chat` and `ticket_chat_event`, `ticket_tags`, also in
    the singular, with a number (`tickets_0002.json`), with `zendesk_` before or `_data` behind. `tickets`
    must be there; without `users`, nobody can be recognised in other sources, and a warning says so. The
    rows of other tables (organisations, metrics) are counted as excluded. *The account's CSV export*, views
    and reports: a CSV file of tickets with labels for columns (`Requester id`, `Created at`, `Solved at`,
    `Satisfaction Score`, …), which must have the requester's id or address; say `tz=`, the account's zone.

    **What becomes what.**

    ==================== ==================================================================================
    `ticket_created`     a ticket, at its `created_at`
    `ticket_comment`     a public comment
    `ticket_solved`      a change of status to solved (or straight to closed)
    `ticket_reopened`    a change from solved back to an open status
    `chat_message`       a message of a chat
    `survey_response`    a rating: instrument `csat`, score 1 (good) or 0 (bad) on the scale 0…1; an answer to
                         the newer surveys, on the scale of its question (1…5 where it does not say)
    `survey_invite`      a rating that was offered, a newer survey that was sent; one that was given was
                         offered, too: one invite per ticket
    ==================== ==================================================================================

    All belong to the ticket's requester: `user_id` is the `external_id` of the user (the id in the shop's own
    systems); without one, `anonymous_id` is `zendesk:<id>`, and a link ties it to `email:<address>`. Users
    with an external id give links from both to it. `ticket_id` is set everywhere, `account_id` is the
    organisation, `channel` comes from `via` (email, web, chat, phone, app, social, api). `actor` is `company`
    for tickets that staff opened for somebody else (incoming calls excepted), for comments of staff, for
    solving and for invites; `system` for comments of Zendesk itself. A rating's time is its last update; an
    invite's, the rating's first `created_at`. `source_kind` is `support`, of surveys `survey`.

    **Traps.** Private comments are excluded, and so is the comment that repeats a ticket's opening (same
    instant, same author). A ticket that was merged into another (tag `closed_by_merge`, or named in
    `merged_ticket_ids`) or deleted is excluded with all that belongs to it. Pages of an export overlap: of
    several copies of a ticket, user or rating the last updated counts. A rating that was changed is one
    answer, the last. Without `satisfaction_ratings`, changes of `satisfaction_score` in
    `ticket_field_history` tell when a ticket was offered to be rated and was. A rating that stands only in
    its ticket has no time of its own: it is placed at the ticket's last update (`time_quality` *inferred*).
    A newer survey was sent when its id was drawn, which such ids say (*inferred*); without an answer, and
    with an id of another kind, nobody knows when, and it is excluded. Status changes need
    `ticket_field_history`, `ticket_events` or `ticket_audits`; the ticket itself only tells its last status,
    not when it came (the account's exports do: `Solved at`, `metric_set`).

    *Follow-ups* belong to the case that they go on with: their `ticket_id` is that of the ticket at the
    beginning of the chain, which need not be in the export, and `properties` have their own number as
    `follow_up`. What is followed is told by `via_followup_source_id`, by `via` (`follow_up`), or by the
    ticket that was followed (`followup_ids`); follow-ups of a ticket that was merged belong to the one that
    took it. A ticket in the middle of a chain that is not in the export ends the chain. A case is one thing
    to be rated: of the ratings of its tickets `satisfaction` counts the last.

    *Ids that a spreadsheet has rounded* (`1.03006E+13`) are those of many people, and rejects.

    **Counting.** Every row of a table that is read counts once: as event, reject or excluded (users and tags,
    private comments, changes of other fields, older copies). Where one row gives two events, a rating and its
    implied invite or an audit with a comment and a change of status, the second counts as one more row.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Fields of tickets, comments and ratings that become typed columns, for example `["priority"]`.
    name : str
        The `source` column.
    tz : str, optional
        Zone of times that carry none. Warehouse copies write UTC, which is taken unless told otherwise; files
        of the agents' interface are in the account's zone, which is never guessed.
    dayfirst : bool, optional
        In those files: how `01/02/2025` is meant, as a spreadsheet may have written it.
    format : str, optional
        csv, json or parquet, where a file's ending does not tell.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; no tickets among the files; a file of the agents' interface in which nothing identifies
        requesters, or whose times say no zone or no order of day and month.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import cjm_analytics as cjm
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ticket = {"id": 7, "created_at": "2025-03-07T11:00Z", "requester_id": 1, "via": {"channel": "email"}}
    >>> _ = (folder / "tickets.json").write_text(json.dumps({"tickets": [ticket]}))
    >>> _ = (folder / "users.json").write_text(json.dumps({"users": [{"id": 1, "external_id": "u1"}]}))
    >>> batch = next(cjm.loaders.zendesk(folder).batches())
    >>> batch.events.select(["user_id", "event", "ticket_id", "channel"]).to_pylist()
    [{'user_id': 'u1', 'event': 'ticket_created', 'ticket_id': '7', 'channel': 'email'}]
    """
    vendor = replace(
        _ZENDESK,
        clock=Clock(tz=tz or "UTC", dayfirst=dayfirst, options=("dayfirst",)),
        tidied=partial(_tidied, tz=tz, dayfirst=dayfirst),
        asked=(dayfirst,),
    )
    return vendor.stream(source, keep=keep, name=name, format=format)
