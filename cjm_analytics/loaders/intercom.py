"""Intercom: conversations, what was said in them, how they were rated, and data events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.mapping import (
    Cells,
    column,
    each,
    filled,
    first,
    joined,
    key_text,
    looked_up,
    path,
    told,
    unless,
    whenever,
)
from cjm_analytics.loaders.opened import as_object
from cjm_analytics.loaders.people import USER, People
from cjm_analytics.loaders.responses import first_filled
from cjm_analytics.loaders.rows import ColumnRows, filled_member, inferred
from cjm_analytics.loaders.states import changes, closings, happened, versions
from cjm_analytics.loaders.values import one_text, texts
from cjm_analytics.loaders.vendor import Events, Part, Vendor
from cjm_analytics.schema import INVITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.mapping import Side, Sides, Where
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["intercom"]

_CHANNELS: Final = {
    "conversation": "chat", "inapp": "chat", "chat": "chat", "sms": "chat", "whatsapp": "chat",
    "email": "email", "facebook": "social", "instagram": "social", "twitter": "social",
    "phone_call": "phone", "phone_switch": "phone", "push": "app", "web": "web", "mobile": "app",
}  # fmt: skip
_CUSTOMERS: Final = {"user", "lead", "contact"}
_ACTORS: Final = {**dict.fromkeys(_CUSTOMERS, "customer"), "bot": "system"}
_REPLY: Final = "conversation_reply"
_SAID: Final = {
    "comment": _REPLY, "close": "conversation_closed", "open": "conversation_reopened",
}  # fmt: skip
_CLOSINGS: Final = ("conversation_closed", "conversation_reopened")

# What happened in conversations


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_object(cell) for name, cell in row.items()}


def _person(row: Mapping[str, Any], sides: Sides) -> dict[str, Any]:
    """Whose conversation it is: its first contact, else the customer who wrote first."""
    number = key_text(row.get("id"))
    listed = filled_member(row, "contacts.contacts", "contacts")
    found = next((one for one in listed if isinstance(one, dict)), {}) if isinstance(listed, list) else {}
    kind = filled_member(row, "source.author.type", "source_author_type")
    author = filled_member(row, "source.author.id", "source_author_id")
    rated = filled_member(row, "conversation_rating.contact")
    wrote = kind in _CUSTOMERS
    contact = found.get("id") or sides.get("conversation_contact", {}).get(number or "", {}).get("contact_id")
    contact = contact or (author if wrote else None)
    is_author = wrote and one_text(author) == one_text(contact)
    user = found.get("external_id")
    if not user and isinstance(rated, dict) and one_text(rated.get("id")) == one_text(contact):
        user = rated.get("external_id")
    return {
        "_contact": contact,
        "_user": None if is_author and kind == "lead" else user,
        "_email": filled_member(row, "source.author.email") if is_author else None,
    }


def _conversations(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """Conversations, of which a copy may hold several versions: how they began, went on and were rated."""
    rows = [_parsed(row) for row in rows]
    copies, refused = _copies(rows, "conversation")
    yield from refused
    for number, places in copies.items():
        last = rows[places[-1]]
        known = last | _person(last, sides) | {"_conversation": number}
        is_quiet = _is_quiet(known)
        if not is_quiet:
            yield from ((places[-1], said) for said in _course(known, sides))
        yield from ((places[-1], said) for said in _ratings(known))
        if not is_quiet and not _has_closing(known, sides):
            yield from _closings(rows, places, known)


def _is_quiet(row: Mapping[str, Any]) -> bool:
    """Whether the company began the conversation, and the customer never said anything in it."""
    by_customer = filled_member(row, "source.author.type", "source_author_type") in _CUSTOMERS
    replied = filled_member(row, "statistics.first_contact_reply_at", "first_contact_reply_created_at")
    return not by_customer and replied is None and not any(map(_is_customers, _listed(row)))


def _is_customers(part: Mapping[str, Any]) -> bool:
    return filled_member(part, "author.type", "author_type") in _CUSTOMERS and any(_said(part, {}))


def _copies(
    rows: Sequence[dict[str, Any]], what: str
) -> tuple[dict[str, list[int]], list[tuple[int, dict[str, Any]]]]:
    """The copies of each object, the last changed one last; and those without an id or a beginning."""
    numbers = [key_text(row.get("id")) for row in rows]
    times = ([row.get(name) for row in rows] for name in ("created_at", "updated_at"))
    copies, wrong = versions(numbers, *times)
    said = {place: f"created_at is no time: {rows[place]['created_at']!r}" for place in wrong}
    said |= {place: f"a {what} without id" for place, number in enumerate(numbers) if number is None}
    return copies, [(place, {"_wrong": why}) for place, why in said.items()]


def _course(row: dict[str, Any], sides: Sides) -> Iterator[dict[str, Any]]:
    """How a conversation began, and what was said in it, where its parts come with it."""
    number = row["_conversation"]
    replied = filled_member(row, "statistics.first_contact_reply_at", "first_contact_reply_created_at")
    by_customer = filled_member(row, "source.author.type", "source_author_type") in _CUSTOMERS
    told_by = {"_time": row.get("created_at"), "_actor": "customer" if by_customer else "company"}
    yield happened("conversation_started", row | told_by, of=number)
    parts = _listed(row)
    for part in parts:
        yield from _said(part, row)
    if replied is not None and not by_customer and not parts and "conversation_part" not in sides:
        answer = {"_time": replied, "_actor": "customer"}
        yield happened(_REPLY, row | answer, of=number, at=replied)


def _listed(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = filled_member(row, "conversation_parts.conversation_parts", "conversation_parts")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _said(part: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A part of a conversation as an event; notes, assignments and other inner workings are none.

    Who closes a conversation, or opens it again, may say something with it: that is a reply, too.
    """
    event = _SAID.get(str(part.get("part_type")))
    if event is None:
        return
    about = {
        "_time": part.get("created_at"),
        "_actor": _ACTORS.get(str(filled_member(part, "author.type", "author_type")), "company"),
    }
    body = {"body": part.get("body")}
    if event == _REPLY or body["body"]:
        yield happened(_REPLY, dict(row) | about | body, of=part.get("id"))
    if event != _REPLY:
        yield happened(event, dict(row) | about, of=part.get("id"))


def _parts(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """The parts of conversations from a table of their own."""
    for place, row in enumerate(rows):
        part = _parsed(row)
        number = key_text(part.get("conversation_id"))
        known = sides.get("conversation", {}).get(number or "", {"id": number})
        if number in sides.get("conversation", {}) and not _is_customers(part) and _is_quiet(_parsed(known)):
            continue
        who = _person(_parsed(known), sides)
        if not who["_contact"] and filled_member(part, "author.type", "author_type") in _CUSTOMERS:
            who["_contact"] = filled_member(part, "author.id", "author_id")
        channel = {"source_type": filled_member(known, "source.type", "source_type")}
        for said in _said(part, part | who | channel | {"_conversation": number}):
            yield place, said


def _parts_by_columns(
    rows: ColumnRows, sides: Mapping[str, Side]
) -> list[tuple[Rows, NDArray[np.int64]]] | None:
    """The same of whole columns: a conversation is looked up once, not for each of its parts."""
    if rows.has("author") and not pa.types.is_struct(rows.column("author").type):
        return None
    cells = Cells(rows, sides)
    events = cells.of(each(lambda one: _SAID.get(str(one)), "part_type"))
    is_reply = pc.fill_null(pc.equal(events, _REPLY), False)
    bodies = texts(cells["body"])
    has_body = pc.fill_null(pc.not_equal(bodies, ""), False)
    numbers = cells.keys(column("conversation_id"))
    few = numbers.dictionary_encode()
    known = [
        sides.get("conversation", {}).get(number, {"id": number}) for number in few.dictionary.to_pylist()
    ]
    people = [_person(_parsed(one), sides) for one in known]
    who = {
        name: texts(inferred([one[name] for one in people])).take(few.indices)
        for name in ("_contact", "_user", "_email")
    }
    kinds = cells.of(first("author.type", "author_type"))
    authors = cells.of(first("author.id", "author_id"))
    wrote = pc.is_in(kinds, pa.array(sorted(_CUSTOMERS)))
    who["_contact"] = first_filled(who["_contact"], pc.if_else(wrote, authors, None))
    told_of: Mapping[str, Any] = sides.get("conversation", {})
    numbered = zip(few.dictionary.to_pylist(), known, strict=True)
    quiet = pa.array([one in told_of and _is_quiet(_parsed(row)) for one, row in numbered], pa.bool_())
    is_quiet = pc.fill_null(quiet.take(few.indices), False)
    counts = pc.and_(events.is_valid(), pc.or_(pc.fill_null(wrote, False), pc.invert(is_quiet)))
    types = [filled_member(one, "source.type", "source_type") for one in known]
    actors = cells.of(each(lambda one: _ACTORS.get(str(one), "company"), first("author.type", "author_type")))
    about = {
        **{name: rows.column(name) for name in rows.names()},
        **who,
        "source_type": inferred(types).take(few.indices),
        "_conversation": numbers,
        "_time": rows.column("created_at"),
        "_actor": actors,
    }
    told = (
        (pa.repeat(_REPLY, len(rows)), pc.and_(counts, pc.or_(is_reply, has_body))),
        (events, pc.and_(counts, pc.invert(is_reply))),
    )
    return [_told(rows, {**about, "_event": names}, np.flatnonzero(are_those)) for names, are_those in told]


def _told(
    rows: ColumnRows, columns: dict[str, pa.Array], places: NDArray[np.int64]
) -> tuple[Rows, NDArray[np.int64]]:
    """Some parts as events; what was said stands with the reply alone."""
    numbers = pc.fill_null(texts(rows.column("id")), "None")
    columns["_id"] = pc.binary_join_element_wise(columns["_event"], numbers, ":")
    made = pa.table(columns).take(pa.array(places))
    return ColumnRows(rows.file, made, rows.numbers[places], is_sparse=True), places


def _has_closing(row: Mapping[str, Any], sides: Sides) -> bool:
    """Whether parts tell when the conversation was closed."""
    in_table = row["_conversation"] in sides.get("conversation_part", {})
    return in_table or any(one.get("part_type") == "close" for one in _listed(row))


def _closings(
    rows: Sequence[dict[str, Any]], places: Sequence[int], known: dict[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """When a conversation was closed and opened again, as far as its versions or its last state tell."""
    about = {name: cell for name, cell in known.items() if name.startswith("_")}
    timed = [
        rows[place] | about | {"_time": rows[place].get("updated_at"), "_is_inferred": True}
        for place in places
    ]
    found = list(changes(timed, "_conversation", time="_time", value="state"))[1:]
    for at, row in closings(
        found, "_conversation", time="_time", names=_CLOSINGS, is_closed=lambda state, _: state == "closed"
    ):
        yield places[at], row | {"_actor": "company"}
    if known.get("state") == "closed" and not found:
        exact = filled_member(known, "statistics.last_close_at")
        when = {"_time": exact or known.get("updated_at"), "_is_inferred": exact is None, "_actor": "company"}
        closed = happened("conversation_closed", known | when, of=known["_conversation"], at=when["_time"])
        yield places[-1], closed


def _ratings(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A rating that was asked for, and the answer; copies do not tell when it was given."""
    asked = filled_member(row, "conversation_rating.created_at", "conversation_rating_created_at")
    score = filled_member(row, "conversation_rating.rating", "conversation_rating_value")
    given = filled_member(row, "conversation_rating.updated_at")
    if asked is not None:
        yield happened(INVITE, row | {"_time": asked, "_actor": "company"}, of=row["_conversation"])
    if score is not None:
        answer = {
            "_time": given or asked,
            "_received": given or filled_member(row, "updated_at", "conversation_updated_at"),
            "_is_inferred": given is None,
            "_actor": "customer",
            "_score": score,
            "_remark": filled_member(row, "conversation_rating.remark", "conversation_rating_remark"),
        }
        yield happened("survey_response", row | answer, of=row["_conversation"])


# Tickets


def _tickets(rows: list[dict[str, Any]], sides: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """Tickets, of several copies the last updated: how they began, what was said, when they were solved."""
    rows = [_parsed(row) for row in rows]
    copies, refused = _copies(rows, "ticket")
    yield from refused
    for number, places in copies.items():
        row = rows[places[-1]]
        known = row | _person(row, sides) | {"_conversation": number}
        is_shared = str(row.get("category") or filled_member(row, "ticket_type.category") or _SHARED)
        opener = "customer" if is_shared == _SHARED else "company"
        begun = known | {"_time": row.get("created_at"), "_actor": opener}
        yield places[-1], happened("ticket_created", begun, of=number)
        parts = filled_member(row, "ticket_parts.ticket_parts", "ticket_parts")
        for part in parts if isinstance(parts, list) else []:
            about = {
                "_time": part.get("created_at"),
                "_actor": _ACTORS.get(str(filled_member(part, "author.type")), "company"),
            }
            for event, more in _of_ticket(part):
                yield places[-1], happened(event, known | about | more, of=part.get("id"))


_SHARED: Final = "Customer"
"""The category of tickets that customers see; the others are the company's own."""


def _of_ticket(part: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a part of a ticket is as an event, and what it says."""
    if part.get("part_type") == "comment":
        yield "ticket_comment", {"body": part.get("body")}
    before, after = (
        _state(part.get(name)) == "resolved" for name in ("previous_ticket_state", "ticket_state")
    )
    if before != after and part.get("ticket_state"):
        yield "ticket_solved" if after else "ticket_reopened", {}


def _state(said: object) -> str:
    """A state of a ticket, which newer versions of the API describe."""
    return str(said.get("category") if isinstance(said, dict) else said).lower()


# Who it was


def _known(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A contact; the external id of a lead was made up by Intercom."""
    is_lead = row.get("role") == "lead" or row.get("type") == "lead"
    yield row if is_lead else row | {USER: filled_member(row, "external_id", "user_id")}


_PEOPLE: Final = People("intercom", "contact")
_USER: Final = first(_PEOPLE.user("_contact"), "_user")
_MAIL: Final = joined("=email", "_email")
_WHO: Final[dict[str, Where]] = {
    "user_id": _USER,
    "anonymous_id": whenever(unless(filled(_USER)), _PEOPLE.alias("_contact", _MAIL)),
    "account_id": looked_up("contact_company", "_contact", "company_id"),
}
_IS_SURVEY: Final = each(lambda one: one in (INVITE, "survey_response"), "_event")
_HAPPENED: Final[dict[str, Where]] = {
    **_WHO,
    "event": "_event",
    "timestamp": "_time",
    "event_id": "_id",
    "actor": "_actor",
    "ticket_id": "_conversation",
}
_ASIDE: Final = (
    "type", "id", "created_at", "updated_at", "waiting_since", "snoozed_until", "state", "open", "read",
    "contacts", "statistics", "conversation_parts", "conversation_rating", "conversation_rating_created_at",
    "conversation_rating_value", "conversation_rating_remark", "conversation_id", "conversation_updated_at",
    "notified_at", "part_type", "author", "author_id", "author_type", "source.id", "source.type",
    "source.url", "source.author", "source_id", "source_type", "source_url", "source_author_id",
    "source_author_type",
    "first_contact_reply", "first_contact_reply_created_at", "first_contact_reply_type",
    "first_contact_reply_url", "_contact", "_user", "_email", "_is_inferred", "_score", "_remark",
    "ticket_parts", "ticket_state", "ticket_state_internal_label", "ticket_state_external_label", "ticket_id",
)  # fmt: skip
_URL: Final = whenever(
    each(lambda one: one == "conversation_started", "_event"), first("source.url", "source_url")
)
_INFERRED: Final = each(bool, "_is_inferred")
_TALK: Final = Events(
    where=unless(_IS_SURVEY),
    columns={
        **_HAPPENED,
        "received_at": whenever(
            each(lambda one: one in {"conversation_started", "ticket_created"}, "_event"), "updated_at"
        ),
        "channel": told(first("source.type", "source_type"), _CHANNELS),
        "url": _URL,
        "path": path(_URL),
    },
    aside=_ASIDE,
    inferred=_INFERRED,
)
_RATED: Final = Events(
    where=_IS_SURVEY,
    columns={
        **_HAPPENED,
        "received_at": "_received",
        "instrument": "=csat",
        "score": "_score",
        "score_min": "=1",
        "score_max": "=5",
        "comment": "_remark",
    },
    aside=_ASIDE,
    kind="survey",
    inferred=_INFERRED,
)
_SIGNED: Final = first("user_id", "external_id")
_INTERCOM: Final = Vendor(
    name="intercom",
    title="Intercom",
    kind="support",
    copies="latest",
    may_be_nameless=True,
    wrappers=("data",),
    parts={
        "conversation": Part(
            names=("conversations", "conversation_history"),
            told_by=("source", "state"),
            key="id",
            newest="updated_at",
            together=_conversations,
            events=(_TALK, _RATED),
            links=((_PEOPLE.number("_contact"), "_user"), (_MAIL, "_user")),
            aliases=((whenever(unless(filled("_user")), _PEOPLE.number("_contact")), _MAIL),),
            time="_time",
        ),
        "conversation_part": Part(
            names=("conversation_parts", "conversation_part_history"),
            told_by=("part_type", "conversation_id"),
            key=each(
                lambda kind, number: number if kind == "close" else None, "part_type", "conversation_id"
            ),
            holds=("part_type",),
            together=_parts,
            by_columns=_parts_by_columns,
            events=(_TALK,),
        ),
        "ticket": Part(
            names=("tickets",),
            told_by=("ticket_type", "ticket_state"),
            together=_tickets,
            events=(_TALK,),
            links=((_PEOPLE.number("_contact"), "_user"),),
            time="_time",
        ),
        "conversation_contact": Part(
            names=("conversation_contacts", "conversation_contact_history"),
            told_by=("conversation_id", "contact_id"),
            key="conversation_id",
            newest="conversation_updated_at",
        ),
        "contact_company": Part(
            names=("contact_companies", "contact_company_history"),
            told_by=("contact_id", "company_id"),
            key="contact_id",
            newest="contact_updated_at",
        ),
        "event": Part(
            names=("events", "data_events", "data_event"),
            told_by=("event_name", "created_at"),
            events=(
                Events(
                    columns={
                        "user_id": _SIGNED,
                        "anonymous_id": whenever(
                            unless(filled(_SIGNED)),
                            first(
                                joined("=email", "email"),
                                joined("=intercom", first("intercom_user_id", "contact_id")),
                            ),
                        ),
                        "event": "event_name",
                        "timestamp": "created_at",
                        "event_id": "id",
                        "url": "metadata.url",
                    },
                    spread=("metadata",),
                    aside=("type", "user_id", "external_id", "email", "intercom_user_id"),
                    kind="clickstream",
                ),
            ),
            links=(
                (joined("=email", "email"), _SIGNED),
                (joined("=intercom", "intercom_user_id"), _SIGNED),
            ),
            time="created_at",
        ),
        "contact": Part(
            names=("contacts", "contact_history", "users", "leads"),
            told_by=("role", "external_id"),
            key="id",
            newest="updated_at",
            unfold=_known,
            links=_PEOPLE.links("id"),
            aliases=_PEOPLE.aliases("id"),
            traits={
                "role": "role",
                "country": first("location.country", "location_country"),
                "city": first("location.city", "location_city"),
                "browser": "browser",
                "os": "os",
                "language": first("language_override", "browser_language"),
                "signed_up_at": "signed_up_at",
                "unsubscribed_from_emails": "unsubscribed_from_emails",
            },
            customer=_PEOPLE.best("id"),
            time=first("updated_at", "created_at"),
        ),
    },
    required=("conversation", "conversation_part", "event", "ticket"),
)


def intercom(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "intercom",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read an export of Intercom: conversations with their parts and ratings, tickets, contacts, data events.

    **Where it comes from.** The answers of the API as JSON: conversations (`{"conversations": […]}`, with
    their `conversation_parts` if each was retrieved by itself), tickets, contacts, data events; or the tables
    of a warehouse copy (`conversation_history`, `conversation_part_history`, `conversation_contact_history`,
    `contact_history`) as CSV, JSON lines or Parquet. Put `contacts` beside the conversations: they tell who
    is a known user. Reports of the user interface as CSV have columns of one's own choice: `loaders.table`
    reads them.

    **What becomes what.**

    ========================== ===========================================================================
    `conversation_started`     a conversation, at its `created_at`
    `conversation_reply`       a part of type comment, and one of type close or open that says something;
                               without parts, the customer's first reply to what the company began
    `conversation_closed`,     parts of type close and open; without parts the last closing
    `conversation_reopened`    (`last_close_at`), or the states of a copy's versions (*inferred*)
    `survey_invite`            a rating that was asked for, at the rating's `created_at`
    `survey_response`          a rating that was given, at its `updated_at`: instrument `csat`, score 1…5
    `ticket_created`,          tickets and their parts: comments, changes of state to resolved and from there
    `ticket_comment`,
    `ticket_solved`,
    `ticket_reopened`
    the event's own name       data events; `metadata` stands in `properties`
    ========================== ===========================================================================

    A conversation belongs to its first contact: `user_id` is the contact's `external_id` (the id in the
    shop's own systems), else `anonymous_id` is `intercom:<id>`; both are linked to the address.
    `ticket_id` is the conversation, `account_id` the company, `channel` comes from the source (chat,
    email, phone, social, app). `actor` tells who acted: `customer`, `company`, or `system` for bots.
    `source_kind` is `support`, of ratings `survey`, of data events `clickstream`.

    **Traps.** A rating has two times, and `created_at` is that of the question: a rating that was asked for
    and not given is an invite without an answer. Warehouse copies only keep that one: the answer is placed
    there and is *inferred*. A conversation that the company began (a campaign, an operator, a bot) counts
    only when the customer has replied; its parts and its closing, too. The external id of a lead was drawn by
    Intercom and is no user id; a lead who became a user is found again by the address. Tickets that the
    customer does not see (category `Tracker` or `Back-office`) are the company's acts. Notes, assignments and
    other inner workings are excluded. All times of the API are seconds.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Fields that become typed columns, for example `["priority", "ai_agent_participated"]`.
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
        No such file; not an export of Intercom; seconds and milliseconds in one file.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"id": ["1295"], "created_at": [1740945720], "state": ["open"], "source": [
    ...     {"type": "email", "author": {"type": "user", "id": "5ba68", "email": "ada@example.com"}}]}
    >>> batch = next(cjm.loaders.intercom(rows).batches())
    >>> batch.events.select(["anonymous_id", "event", "channel"]).to_pylist()
    [{'anonymous_id': 'intercom:5ba68', 'event': 'conversation_started', 'channel': 'email'}]
    """
    return _INTERCOM.stream(source, keep=keep, name=name, format=format)
