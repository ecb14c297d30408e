"""Zendesk: tickets, what happened to them, and how their requesters rated them."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, hint
from cjm_analytics.loaders.files import InputFile, find_files, is_location, stem
from cjm_analytics.loaders.prepared import Prepared, events_of, links_of
from cjm_analytics.loaders.rows import (
    BLOCK_ROWS,
    Broken,
    ColumnRows,
    CsvFormat,
    ObjectRows,
    Rows,
    read_rows,
)
from cjm_analytics.loaders.source import EventStream, rejects_of
from cjm_analytics.loaders.table import Promoted, checked_keep, promoted_name
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import flags, object_text, one_text, plain, strings
from cjm_analytics.schema import INVITE, LOADED, Batch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["zendesk"]

_TABLES: Final = {
    "ticket": "tickets", "tickets": "tickets",
    "user": "users", "users": "users",
    "ticket_comment": "comments", "ticket_comments": "comments",
    "comment": "comments", "comments": "comments",
    "ticket_field_history": "history",
    "ticket_event": "audits", "ticket_events": "audits", "ticket_audit": "audits", "ticket_audits": "audits",
    "audits": "audits",
    "satisfaction_rating": "ratings", "satisfaction_ratings": "ratings",
    "ticket_tag": "tags", "ticket_tags": "tags",
}  # fmt: skip
"""Names of files and of members of API pages → what they hold."""

_CHANNELS: Final = {
    "email": "email", "mail": "email",
    "chat": "chat", "chat_transcript": "chat", "native_messaging": "chat", "messaging": "chat", "sms": "chat",
    "whatsapp": "chat", "answer_bot_for_web_widget": "chat", "chat_offline_message": "chat", "line": "chat",
    "web": "web", "web_form": "web", "web_widget": "web", "web_service": "api", "help_center": "web",
    "sample_ticket": "web", "api": "api",
    "voice": "phone", "phone": "phone", "phone_call": "phone",
    "mobile": "app", "mobile_sdk": "app", "mobile_app": "app", "ios": "app", "android": "app",
    "twitter": "social", "twitter_dm": "social", "twitter_like": "social", "facebook": "social",
    "facebook_post": "social", "facebook_message": "social", "instagram_dm": "social",
    "any_channel": "social",
}  # fmt: skip
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
_MAY_LACK: Final = {"account_id", "channel", "comment"}
_STAFF: Final = {"agent", "admin"}
_SYSTEM: Final = "-1"
_OPEN: Final = {"new", "open", "pending", "hold", "on-hold"}
_DONE: Final = {"solved", "closed"}
_GOOD: Final = {"good", "good_with_comment"}
_BAD: Final = {"bad", "bad_with_comment"}
_LIFTED: Final = {
    "id", "created_at", "created", "updated_at", "requester_id", "submitter_id", "organization_id", "status",
    "via", "via_channel", "satisfaction_rating", "url", "ticket_id",
    "generated_timestamp", "merged_ticket_ids",
}  # fmt: skip
"""Fields of a ticket with a place of their own, or that tell the ticket's end and not its beginning."""


class _Place(NamedTuple):
    """Where a row stands; a page of the API may hold several tables."""

    table: str
    file: str
    number: int


@dataclass(frozen=True)
class _User:
    user_id: str | None
    email: str | None
    role: str | None


@dataclass
class _Ticket:
    """What other tables need to know of a ticket."""

    requester: str | None
    submitter: str | None
    account: str | None
    channel: str | None
    created: int | None
    updated: int
    place: _Place
    inline: tuple[str, Mapping[str, Any]] | None = None
    is_gone: bool = False


@dataclass(frozen=True)
class _Change:
    """A status that a ticket was given."""

    ticket: str
    time: int
    order: int
    status: str
    before: str | None
    author: str | None
    place: _Place


@dataclass(frozen=True)
class _Rating:
    ticket: str
    requester: str | None
    score: str
    offered: int
    answered: int
    comment: str | None
    details: Mapping[str, Any]
    place: _Place
    is_inferred: bool = False


@dataclass
class _Event:
    """An event under way; `time` as it was written, or microseconds; `record` the row that it comes from."""

    place: _Place
    name: str
    time: object
    ticket: str
    requester: str | None
    actor: str
    event_id: str
    details: dict[str, Any] = field(default_factory=dict)
    score: float | None = None
    comment: str | None = None
    is_inferred: bool = False
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Desk:
    """What is known of users, tickets, changes and ratings: in memory, small beside what was said.

    Attributes
    ----------
    n_aside : int
        Rows of tables that are no events by themselves.
    used : set of _Place
        Those among them that gave an event or a reject after all.
    """

    users: dict[str, _User] = field(default_factory=dict)
    user_times: dict[str, int] = field(default_factory=dict)
    tickets: dict[str, _Ticket] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    changes: list[_Change] = field(default_factory=list)
    ratings: dict[str, _Rating] = field(default_factory=dict)
    links: list[tuple[str | None, str | None, object]] = field(default_factory=list)
    n_aside: int = 0
    used: set[_Place] = field(default_factory=set)
    refused: list[tuple[_Place, str, str]] = field(default_factory=list)

    def is_gone(self, number: str) -> bool:
        """Whether a ticket was merged into another, or deleted."""
        ticket = self.tickets.get(number)
        return number in self.gone or (ticket is not None and ticket.is_gone)

    def refuse(self, place: _Place, reason: str, raw: str) -> None:
        """Turn a row of a side table away."""
        self.refused.append((place, reason, raw))
        self.used.add(place)


def zendesk(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "zendesk",
    tz: str = "UTC",
) -> EventStream:
    """Read a Zendesk export: tickets, comments, changes of status, satisfaction ratings.

    **Where it comes from.** A folder (or a list of files) with the answers of the API as JSON (`{"tickets":
    […]}`; any number of pages, also several kinds in one file), or with tables of a warehouse copy as CSV,
    JSON lines or Parquet. The name of a member or file says what it holds: `tickets`, `users`,
    `ticket_comments`, `ticket_field_history`, `ticket_events` (the incremental feed), `ticket_audits`,
    `satisfaction_ratings`, `ticket_tags`, also in the singular, with a number (`tickets_0002.json`), with
    `zendesk_` before or `_data` behind. `tickets` must be there; without `users`, nobody can be recognised in
    other sources, and a warning says so. Other tables (organisations, chats, metrics) are not opened.

    **What becomes what.**

    ==================== ==================================================================================
    `ticket_created`     a ticket, at its `created_at`
    `ticket_comment`     a public comment
    `ticket_solved`      a change of status to solved (or straight to closed)
    `ticket_reopened`    a change from solved back to an open status
    `survey_response`    a rating: instrument `csat`, score 1 (good) or 0 (bad) on the scale 0…1
    `survey_invite`      a rating that was offered; one that was given was offered, too: one invite per ticket
    ==================== ==================================================================================

    All belong to the ticket's requester: `user_id` is the `external_id` of the user (the id in the shop's own
    systems); without one, `anonymous_id` is `email:<address>`, or else `zendesk:<id>`. Users with an external
    id give links from both to it. `ticket_id` is set everywhere, `account_id` is the organisation, `channel`
    comes from `via` (email, web, chat, phone, app, social, api). `actor` is `company` for tickets that staff
    opened for somebody else (incoming calls excepted), for comments of staff, for solving and for invites;
    `system` for comments of Zendesk itself. A rating's time is its last update; an invite's, the rating's
    first `created_at`. `source_kind` is `support`, of surveys `survey`.

    **Traps.** Private comments are excluded, and so is the comment that repeats a ticket's opening (same
    instant, same author). A ticket that was merged into another (tag `closed_by_merge`, or named in
    `merged_ticket_ids`) or deleted is excluded with all that belongs to it. Pages of an export overlap: of
    several copies of a ticket, user or rating the last updated counts. A rating that was changed is one
    answer, the last. A rating that stands only in its ticket has no time of its own: it is placed at the
    ticket's last update (`time_quality` *inferred*). Status changes need `ticket_field_history`,
    `ticket_events` or `ticket_audits`; the ticket itself only tells its last status, not when it came.
    Follow-up tickets are tickets of their own; `via_followup_source_id` stays in `properties`.

    **Counting.** Every row of a table that is read counts once: as event, reject or excluded (users and tags,
    private comments, changes of other fields, older copies). Where one row gives two events, a rating and its
    implied invite or an audit with a comment and a change of status, the second counts as one more row.

    Parameters
    ----------
    source : path or list of paths
        The export.
    keep : sequence of str, or mapping of str to type
        Fields of tickets, comments and ratings that become typed columns, for example `["priority"]`.
    name : str
        The `source` column.
    tz : str
        Zone of times that carry none; warehouse copies write UTC.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; no tickets among the files.

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
    wanted = checked_keep(keep)
    Clock(tz=tz)
    if not is_location(source):
        raise InputError(
            f"An export of Zendesk is a folder or a list of files, not a {type(source).__name__}."
        )
    parts = _parts(find_files(source, mixed=True), str(source))

    def read(_: frozenset[str]) -> Iterator[Batch]:
        reading = _Reading(parts, Promoted(wanted), name, Clock(tz=tz))
        yield from reading.batches()
        for column in reading.promoted.unseen:
            said = hint(column, reading.promoted.members)
            warnings.warn(f"keep={column!r} is in no row of {name}.{said}", stacklevel=2)

    return EventStream(
        name=name,
        dedupe=("event_id",),
        keep=tuple(promoted_name(one) for one in wanted),
        files=tuple(file.shown for file, _ in parts),
        read=read,
    )


def _parts(files: Sequence[InputFile], shown: str) -> list[tuple[InputFile, str | None]]:
    """The files that hold something of use, and what their names say that it is."""
    parts = [(file, _told(file.shown)) for file in files]
    used = [(file, table) for file, table in parts if table is not None or _may_be_page(file)]
    if not any(table == "tickets" or (table is None and file.format == "json") for file, table in used):
        there = ", ".join(PurePosixPath(file.shown).name for file in files[:12])
        raise InputError(
            f"{shown!r} holds no tickets of Zendesk: expected a file tickets.json, ticket.csv or the like. "
            f"There are: {there}."
        )
    return sorted(used, key=lambda one: one[1] != "tickets")


def _may_be_page(file: InputFile) -> bool:
    """A JSON file of any name may be a page of the API; its members tell."""
    return file.format == "json" and _first_page(file) is not None


def _told(path: str) -> str | None:
    """What a file's name, or its folder's, says that it holds."""
    folder = PurePosixPath(path.replace("\\", "/")).parent.name
    for word in (stem(path), folder):
        bare = re.sub(r"([-_. ]?\d+)+$", "", word.lower().replace("-", "_"))
        bare = bare.removeprefix("zendesk_").removesuffix("_data").strip("_")
        if bare in _TABLES:
            return _TABLES[bare]
    return None


def _first_page(file: InputFile) -> dict[str, Any] | None:
    """The first object of a JSON file if it is a page of the API; a page may stand on one line or on many."""
    with file.open() as stream:
        start = bytes(stream.read(1 << 20))
        line, _, rest = start.lstrip(b"\xef\xbb\xbf \r\n\t").partition(b"\n")
        if not line.startswith(b"{"):
            return None
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            if rest and line.strip() != b"{" and b'"id"' in line:
                return None  # a broken line of JSON lines
            while block := stream.read(1 << 22):
                start += block
            try:
                found = orjson.loads(start.lstrip(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError:
                return None
    return found if isinstance(found, dict) and any(_is_member(*one) for one in found.items()) else None


def _is_member(name: str, value: object) -> bool:
    return name in _TABLES and isinstance(value, list)


def _tables_of(file: InputFile, table: str | None) -> Iterator[tuple[str, Rows]]:
    """(what it holds, rows) of one file."""
    page = _first_page(file) if file.format == "json" else None
    if page is None:
        if table is not None:
            for rows in read_rows(file, CsvFormat()):
                yield table, rows
        return
    lines = (
        [page]
        if _is_one_object(file)
        else [one for rows in read_rows(file, CsvFormat()) for one in _objects(rows)]
    )
    counted: dict[str, int] = defaultdict(int)
    for one in lines:
        for name, members in one.items():
            if _is_member(name, members):
                yield _TABLES[name], _page_rows(file.shown, members, counted[name])
                counted[name] += len(members)


def _is_one_object(file: InputFile) -> bool:
    with file.open() as stream:
        start = bytes(stream.read(1 << 20)).strip(b"\xef\xbb\xbf \r\n\t")
    line, _, rest = start.partition(b"\n")
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return True
    return not rest.strip()


def _page_rows(file: str, members: Sequence[object], before: int) -> ObjectRows:
    good = [(place, one) for place, one in enumerate(members, start=before + 1) if isinstance(one, dict)]
    broken = [
        Broken(place, "no JSON object", str(one)[:1_000])
        for place, one in enumerate(members, start=before + 1)
        if not isinstance(one, dict)
    ]
    return ObjectRows(
        file, [one for _, one in good], np.array([place for place, _ in good], np.int64), None, broken
    )


def _objects(rows: Rows) -> list[dict[str, Any]]:
    if isinstance(rows, ObjectRows):
        return rows.objects
    if isinstance(rows, ColumnRows):
        columns = {name: plain(rows.table[name]).to_pylist() for name in rows.table.column_names}
        return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return []


def _key(value: object) -> str | None:
    """An id as text; `17.0`, as frames write it, is `17`."""
    text = one_text(value)
    if text is None:
        return None
    text = text.strip().removesuffix(".0")
    return text or None


def _listed(value: object) -> list[Any]:
    """A list, or the JSON or comma-separated text of one."""
    found = value
    if isinstance(value, str):
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            return [one for one in re.split(r"[,\s]+", value) if one]
    return found if isinstance(found, list) else []


def _object(value: object) -> dict[str, Any]:
    """An object, or the JSON text of one."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _via(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Canonical channel of a ticket, and the direction of a call."""
    via = record.get("via")
    inside = _object(via)
    said = inside.get("channel", record.get("via_channel")) or (
        via if isinstance(via, str) and not inside else None
    )
    source = inside.get("source")
    rel = source.get("rel") if isinstance(source, dict) else record.get("via_source_rel")
    word = str(said).strip().lower().replace(" ", "_") if said is not None else ""
    return _CHANNELS.get(word), (str(rel) if rel else None)


class _Reading:
    """One reading of an export: first the side tables, then the events."""

    def __init__(
        self, parts: Sequence[tuple[InputFile, str | None]], promoted: Promoted, source: str, clock: Clock
    ) -> None:
        self.parts = parts
        self.promoted = promoted
        self.source = source
        self.clock = clock
        self.desk = _Desk()

    def batches(self) -> Iterator[Batch]:
        """Everything, table by table."""
        for table, rows in self._rows():
            self._note(table, rows)
        if not self.desk.users:
            warnings.warn(
                f"{self.source} has no users: its customers are known only by the ids of Zendesk, and nobody "
                "can be recognised in other sources. Export the table users, too.",
                stacklevel=2,
            )
        yield Batch(LOADED.empty_table(), n_read=0, links=links_of(self.desk.links))
        for table, rows in self._rows():
            if table == "tickets":
                yield self._tickets(rows)
            elif table == "comments":
                yield self._comments(rows)
            elif table == "audits":
                yield from self._from_memory(self._said_in_audits(rows), "support")
        yield from self._from_memory(self._status_changes(), "support")
        yield from self._from_memory(self._surveys(), "survey")
        yield from self._remainder()

    def _rows(self) -> Iterator[tuple[str, Rows]]:
        for file, told in self.parts:
            yield from _tables_of(file, told)

    def _times(self, rows: Rows, records: Sequence[Mapping[str, Any]], *names: str) -> list[int | None]:
        """Microseconds of the first of some fields that is there."""
        values = [next((one[name] for name in names if one.get(name)), None) for one in records]
        read = self.clock.read(strings(values), rows.numbers, column=names[0], file=rows.file)
        return pc.cast(read.values, pa.int64()).to_pylist()  # type: ignore[no-any-return]

    # What must be known first

    def _note(self, table: str, rows: Rows) -> None:
        note = {
            "users": self._note_users,
            "tickets": self._note_tickets,
            "tags": self._note_tags,
            "history": self._note_history,
            "audits": self._note_audits,
            "ratings": self._note_ratings,
        }.get(table)
        if note is None:
            return
        if table != "tickets":
            self.desk.n_aside += len(rows) + len(rows.broken)
            for one in rows.broken:
                self.desk.refuse(_Place(table, rows.file, one.number), one.reason, one.raw)
        note(_objects(rows), rows)

    def _note_users(self, records: Sequence[Mapping[str, Any]], rows: Rows) -> None:
        desk = self.desk
        times = self._times(rows, records, "updated_at", "created_at")
        for record, time in zip(records, times, strict=True):
            number = _key(record.get("id"))
            if number is None or desk.user_times.get(number, -1) > (time or 0):
                continue
            desk.user_times[number] = time or 0
            email = one_text(record.get("email"))
            user = _User(
                _key(record.get("external_id")),
                email.strip().lower() if email and "@" in email else None,
                one_text(record.get("role")),
            )
            desk.users[number] = user
            if user.role not in _STAFF:
                when = None if time is None else pa.scalar(time, pa.timestamp("us", "UTC")).as_py()
                desk.links.append((f"zendesk:{number}", user.user_id, when))
                if user.email:
                    desk.links.append((f"email:{user.email}", user.user_id, when))

    def _note_tickets(self, records: Sequence[Mapping[str, Any]], rows: Rows) -> None:
        created = self._times(rows, records, "created_at", "created")
        updated = self._times(rows, records, "updated_at", "created_at")
        desk = self.desk
        for row, record in enumerate(records):
            number = _key(record.get("id"))
            if number is None:
                continue
            known = desk.tickets.get(number)
            when = updated[row] or 0
            merged = (_key(one) for one in _listed(record.get("merged_ticket_ids")))
            desk.gone.update(one for one in merged if one is not None)
            if known is not None and known.updated >= when:
                continue
            rating = _object(record.get("satisfaction_rating"))
            score = one_text(rating.get("score"))
            desk.tickets[number] = _Ticket(
                requester=_key(record.get("requester_id")),
                submitter=_key(record.get("submitter_id")),
                account=_key(record.get("organization_id")),
                channel=_via(record)[0],
                created=created[row],
                updated=when,
                place=_Place("tickets", rows.file, int(rows.numbers[row])),
                inline=(score.lower(), rating) if score else None,
                is_gone="closed_by_merge" in _listed(record.get("tags")) or record.get("status") == "deleted",
            )

    def _note_tags(self, records: Sequence[Mapping[str, Any]], rows: Rows) -> None:
        del rows
        for record in records:
            number = _key(record.get("ticket_id"))
            if number and "closed_by_merge" in _listed(record.get("tag", record.get("tags"))):
                self.desk.gone.add(number)

    def _note_history(self, records: Sequence[Mapping[str, Any]], rows: Rows) -> None:
        desk = self.desk
        kept = [row for row, record in enumerate(records) if record.get("field_name") == "status"]
        picked = ObjectRows(rows.file, [], rows.numbers[kept])
        changes = [records[row] for row in kept]
        times = self._times(picked, changes, "updated", "updated_at", "created_at")
        for row, record, time in zip(kept, changes, times, strict=True):
            place = _Place("history", rows.file, int(rows.numbers[row]))
            status, number = one_text(record.get("value")), _key(record.get("ticket_id"))
            author = _key(record.get("user_id"))
            if time is None or status is None or number is None:
                desk.refuse(
                    place,
                    "a change of status without ticket_id, value or a time that can be read",
                    rows.raw(row),
                )
            else:
                desk.changes.append(
                    _Change(number, time, len(desk.changes), status.lower(), None, author, place)
                )

    def _note_audits(self, records: Sequence[Mapping[str, Any]], rows: Rows) -> None:
        desk = self.desk
        times = self._times(rows, records, "created_at", "timestamp")
        for row, (record, time) in enumerate(zip(records, times, strict=True)):
            place = _Place("audits", rows.file, int(rows.numbers[row]))
            number = _key(record.get("ticket_id"))
            if time is None or number is None:
                desk.refuse(place, "an audit without ticket_id or a time that can be read", rows.raw(row))
                continue
            author = _key(record.get("updater_id", record.get("author_id")))
            for child in _children(record):
                is_status = child.get("field_name") == "status"
                status = child.get("value") if is_status else child.get("status")
                before = one_text(child.get("previous_value"))
                if isinstance(status, str):
                    desk.changes.append(
                        _Change(number, time, len(desk.changes), status.lower(), before, author, place)
                    )

    def _note_ratings(self, records: Sequence[Mapping[str, Any]], rows: Rows) -> None:
        desk = self.desk
        created = self._times(rows, records, "created_at")
        updated = self._times(rows, records, "updated_at", "created_at")
        for row, record in enumerate(records):
            place = _Place("ratings", rows.file, int(rows.numbers[row]))
            ticket, score = _key(record.get("ticket_id")), one_text(record.get("score"))
            first, last = created[row], updated[row]
            if ticket is None or score is None or first is None or last is None:
                desk.refuse(
                    place, "a rating without ticket_id, score or a time that can be read", rows.raw(row)
                )
                continue
            said = score.strip().lower()
            if said not in {*_GOOD, *_BAD, "offered", "unoffered"}:
                desk.refuse(place, f"a rating of unknown score {score!r}", rows.raw(row))
                continue
            found = _Rating(
                ticket,
                _key(record.get("requester_id")),
                said,
                first,
                last,
                one_text(record.get("comment")),
                _details(record, _LIFTED | {"score", "comment"}),
                place,
            )
            if said != "unoffered":
                desk.ratings[ticket] = _later(desk.ratings.get(ticket), found)

    # Events

    def _tickets(self, rows: Rows) -> Batch:
        records = _objects(rows)
        events: list[_Event] = []
        refused: list[tuple[int, str, str]] = []
        for row, record in enumerate(records):
            number = _key(record.get("id"))
            place = _Place("tickets", rows.file, int(rows.numbers[row]))
            if number is None:
                refused.append((place.number, "a ticket without id", rows.raw(row)))
                continue
            ticket = self.desk.tickets[number]
            if self.desk.is_gone(number) or ticket.place != place:
                continue
            events.append(
                _Event(
                    place,
                    "ticket_created",
                    record.get("created_at", record.get("created")),
                    number,
                    ticket.requester,
                    self._opener(ticket, record),
                    f"ticket:{number}",
                    _details(record, _LIFTED),
                    record=record,
                )
            )
        return self._batch(rows, events, refused, n_rows=len(records), kind="support")

    def _opener(self, ticket: _Ticket, record: Mapping[str, Any]) -> str:
        """Who acted when the ticket was opened."""
        if ticket.submitter in {None, ticket.requester}:
            return "customer"
        channel, rel = _via(record)
        has_called = channel == "phone" and rel != "outbound"
        return "company" if self._is_staff(ticket.submitter) and not has_called else "customer"

    def _is_staff(self, number: str | None) -> bool:
        user = self.desk.users.get(number or "")
        return user is not None and user.role in _STAFF

    def _comments(self, rows: Rows) -> Batch:
        records = _objects(rows)
        times = self._times(rows, records, "created_at", "created")
        public = flags(strings([one.get("public") for one in records]), column="public").values.to_pylist()
        events: list[_Event] = []
        refused: list[tuple[int, str, str]] = []
        for row, record in enumerate(records):
            place = _Place("comments", rows.file, int(rows.numbers[row]))
            found = self._comment(record, times[row], place, is_public=public[row])
            if isinstance(found, str):
                refused.append((place.number, found, rows.raw(row)))
            elif found is not None:
                events.append(found)
        return self._batch(rows, events, refused, n_rows=len(records), kind="support")

    def _comment(
        self, record: Mapping[str, Any], time: int | None, place: _Place, *, is_public: bool | None
    ) -> _Event | str | None:
        """A comment as an event; a text: why it cannot be one; None: it is none."""
        number = _key(record.get("ticket_id"))
        author = _key(record.get("author_id", record.get("user_id")))
        if number is None:
            return "a comment without ticket_id"
        if is_public is False or self.desk.is_gone(number):
            return None
        ticket = self.desk.tickets.get(number)
        if ticket is None:
            if author not in self.desk.users or self._is_staff(author):
                return f"the ticket {number} of this comment is not in the export: its requester is unknown"
            requester: str | None = author
        else:
            requester = ticket.requester
            is_opening = time is not None and time == ticket.created
            if is_opening and author in {ticket.submitter, ticket.requester, None}:
                return None
        text = one_text(record.get("plain_body")) or one_text(record.get("body"))
        return _Event(
            place,
            "ticket_comment",
            record.get("created_at", record.get("created")),
            number,
            requester,
            self._speaker(author, requester),
            f"comment:{_key(record.get('id')) or f'{number}:{time}'}",
            {"body": text} if text else {},
            record=record,
        )

    def _speaker(self, author: str | None, requester: str | None) -> str:
        if author == _SYSTEM:
            return "system"
        if author is not None and author == requester:
            return "customer"
        user = self.desk.users.get(author or "")
        return "customer" if user is not None and user.role not in _STAFF else "company"

    def _said_in_audits(self, rows: Rows) -> Iterator[_Event]:
        """Comments that stand in audits."""
        records = _objects(rows)
        times = self._times(rows, records, "created_at", "timestamp")
        for row, record in enumerate(records):
            place = _Place("audits", rows.file, int(rows.numbers[row]))
            for child in _children(record):
                if place in self.desk.used or child.get("event_type", child.get("type")) != "Comment":
                    continue
                said = {
                    "author_id": record.get("updater_id", record.get("author_id")),
                    **child,
                    "ticket_id": record["ticket_id"],
                }
                is_public = child.get("public", child.get("comment_public"))
                found = self._comment(said, times[row], place, is_public=is_public)
                if isinstance(found, str):
                    self.desk.refuse(place, found, rows.raw(row))
                elif found is not None:
                    found.time = times[row]
                    yield found

    def _status_changes(self) -> Iterator[_Event]:
        """Solved and reopened, from what each ticket's status was before."""
        desk = self.desk
        status: dict[str, str] = {}
        for change in sorted(desk.changes, key=lambda one: (one.ticket, one.time, one.order)):
            before = status.get(change.ticket, change.before)
            status[change.ticket] = change.status
            name = _what_changed(before, change.status)
            if name is None or desk.is_gone(change.ticket):
                continue
            ticket = desk.tickets.get(change.ticket)
            if ticket is None:
                said = "of this change is not in the export: its requester is unknown"
                reason = f"the ticket {change.ticket} {said}"
                desk.refuse(change.place, reason, f"{name}: {before} → {change.status}")
                continue
            yield _Event(
                change.place,
                name,
                change.time,
                change.ticket,
                ticket.requester,
                "customer" if change.author is not None and change.author == ticket.requester else "company",
                f"{name}:{change.ticket}:{change.time}",
            )

    def _surveys(self) -> Iterator[_Event]:
        """Ratings and their invites."""
        desk = self.desk
        ratings = dict(desk.ratings)
        for number, ticket in desk.tickets.items():
            if number not in ratings and ticket.inline and ticket.inline[0] in {*_GOOD, *_BAD, "offered"}:
                score, said = ticket.inline
                ratings[number] = _Rating(
                    number,
                    ticket.requester,
                    score,
                    ticket.updated,
                    ticket.updated,
                    one_text(said.get("comment")),
                    _details(said, _LIFTED | {"score", "comment"}),
                    ticket.place,
                    is_inferred=True,
                )
        for number, rating in sorted(ratings.items()):
            if desk.is_gone(number):
                continue
            known = desk.tickets.get(number)
            requester = rating.requester or (known.requester if known else None)
            yield _Event(
                rating.place,
                INVITE,
                rating.offered,
                number,
                requester,
                "company",
                f"csat_invite:{number}",
                is_inferred=rating.is_inferred,
            )
            if rating.score != "offered":
                yield _Event(
                    rating.place,
                    "survey_response",
                    rating.answered,
                    number,
                    requester,
                    "customer",
                    f"csat:{number}",
                    dict(rating.details),
                    score=float(rating.score in _GOOD),
                    comment=rating.comment,
                    is_inferred=rating.is_inferred,
                )

    # Batches

    def _from_memory(self, events: Iterable[_Event], kind: str) -> Iterator[Batch]:
        """Events that come from side tables: each is counted as a row, and its own row no more."""
        by_file: dict[str, list[_Event]] = defaultdict(list)
        for event in events:
            by_file[event.place.file].append(event)
        for file, found in by_file.items():
            self.desk.used.update(event.place for event in found if event.place.table != "tickets")
            rows = ObjectRows(file, [], np.zeros(0, np.int64))
            for start in range(0, len(found), BLOCK_ROWS):
                piece = found[start : start + BLOCK_ROWS]
                yield self._batch(rows, piece, [], n_rows=len(piece), kind=kind)

    def _remainder(self) -> Iterator[Batch]:
        """Rows of side tables that gave no event: rejects, and what is excluded."""
        desk = self.desk
        n_excluded = desk.n_aside - len(desk.used)
        by_file: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        seen: set[_Place] = set()
        for place, reason, raw in desk.refused:
            if place not in seen:
                seen.add(place)
                by_file[place.file].append((place.number, reason, raw))
        for file, refused in by_file.items():
            yield Batch(
                LOADED.empty_table(), n_read=len(refused), rejects=rejects_of(self.source, file, refused)
            )
        yield Batch(LOADED.empty_table(), n_read=n_excluded, n_excluded=n_excluded)

    def _batch(
        self,
        rows: Rows,
        events: Sequence[_Event],
        refused: Sequence[tuple[int, str, str]],
        *,
        n_rows: int,
        kind: str,
    ) -> Batch:
        """Some events as a batch; the rows that are neither they nor refused are excluded."""
        tickets = [self.desk.tickets.get(event.ticket) for event in events]
        people = [self._who(event.requester) for event in events]
        columns = {
            "user_id": pa.array([user for user, _ in people], pa.string()),
            "anonymous_id": pa.array([alias for _, alias in people], pa.string()),
            "account_id": pa.array([one.account if one else None for one in tickets], pa.string()),
            "timestamp": _time_column([event.time for event in events]),
            "event": pa.array([event.name for event in events], pa.string()),
            "event_id": pa.array([event.event_id for event in events], pa.string()),
            "actor": pa.array([event.actor for event in events], pa.string()),
            "ticket_id": pa.array([event.ticket for event in events], pa.string()),
        }
        if kind == "survey":
            columns |= {
                "instrument": pa.array(["csat"] * len(events), pa.string()),
                "score": pa.array([event.score for event in events], pa.float64()),
                "score_min": pa.array([0.0] * len(events), pa.float64()),
                "score_max": pa.array([1.0] * len(events), pa.float64()),
                "comment": pa.array([event.comment for event in events], pa.string()),
            }
        else:
            columns["channel"] = pa.array([one.channel if one else None for one in tickets], pa.string())
        columns = {
            name: one for name, one in columns.items() if name not in _MAY_LACK or one.null_count < len(one)
        }
        self.promoted.notice(name for event in events for name in event.details)
        found = self.promoted.looked_up(
            [event.record for event in events], [event.details for event in events]
        )
        left = [object_text(event.details) for event in events]
        prepared = Prepared(
            rows.file,
            np.array([event.place.number for event in events], np.int64),
            columns | found,
            pa.array(left, pa.binary()).cast(pa.string()),
            lambda row: (object_text(events[row].record or events[row].details) or b"").decode(),
            rows.broken,
            np.array([event.is_inferred for event in events], bool),
        )
        batch = events_of(prepared, self.promoted, source=self.source, kind=kind, clock=self.clock)
        n_excluded = n_rows - len(events) - len(refused)
        return replace(
            batch,
            n_read=batch.n_read + len(refused) + n_excluded,
            rejects=pa.concat_tables([batch.rejects, rejects_of(self.source, rows.file, refused)]),
            n_excluded=n_excluded,
        )

    def _who(self, requester: str | None) -> tuple[str | None, str | None]:
        """User id, or else the best alias, of a requester."""
        if requester is None:
            return None, None
        user = self.desk.users.get(requester)
        if user is not None and user.user_id:
            return user.user_id, None
        return None, f"email:{user.email}" if user is not None and user.email else f"zendesk:{requester}"


def _children(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What happened in one audit."""
    inside = _listed(record.get("child_events", record.get("events")))
    return [one for one in inside if isinstance(one, dict)]


def _what_changed(before: str | None, status: str) -> str | None:
    """The event that a change of status is."""
    if status in _DONE and before not in _DONE:
        return "ticket_solved"
    return "ticket_reopened" if status in _OPEN and before in _DONE else None


def _later(known: _Rating | None, found: _Rating) -> _Rating:
    """Of two rows of one ticket's rating the later answer, offered when the first was."""
    if known is None:
        return found
    offered = min(known.offered, found.offered)
    known_answers, found_answers = known.score != "offered", found.score != "offered"
    if found_answers and (not known_answers or found.answered >= known.answered):
        return replace(found, offered=offered)
    return replace(known, offered=offered)


def _details(record: Mapping[str, Any], lifted: Collection[str]) -> dict[str, Any]:
    """The fields that have no canonical place, as far as they hold anything."""
    return {
        name: value
        for name, value in record.items()
        if name not in lifted
        and not name.startswith(("_fivetran", "_airbyte", "_sdc"))
        and value not in _EMPTY
    }


def _time_column(times: Sequence[object]) -> pa.Array:
    """Times as they were written, or microseconds that were read already."""
    if any(isinstance(time, str) for time in times) or not times:
        return strings(times)
    values = pa.array(times, pa.int64())
    if all(isinstance(time, int) and time % 1_000_000 == 0 for time in times):
        return pc.cast(pc.cast(values, pa.timestamp("us", tz="UTC")), pa.timestamp("s", tz="UTC"))
    return pc.cast(values, pa.timestamp("us", tz="UTC"))
