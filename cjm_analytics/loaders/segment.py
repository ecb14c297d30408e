"""Segment and RudderStack: the raw calls that storage destinations keep, and warehouse tables."""

from __future__ import annotations

import re
import unicodedata
import warnings
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, hint
from cjm_analytics.loaders.agents import device_of, is_bot
from cjm_analytics.loaders.files import stem
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.prepared import Prepared, attributes_of, events_of, links_of
from cjm_analytics.loaders.rows import CsvFormat, ObjectRows, Rows
from cjm_analytics.loaders.source import EventStream, rejects_of
from cjm_analytics.loaders.table import Promoted, checked_keep, promoted_name
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import ids, json_texts, money, one_text, strings, texts, trimmed
from cjm_analytics.schema import LOADED, Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["rudderstack", "segment"]

_CONTACTS: Final = {"track", "page", "screen"}
_TRAIT_CALLS: Final = {"identify", "group", "alias"}
_NAMED: Final = {"page": "page_view", "screen": "screen_view"}
_AMOUNTS: Final = ("revenue", "total", "value")
_PAGE: Final = ("url", "path", "referrer", "search")
_UTM: Final = {
    "utm_source": "source", "utm_medium": "medium", "utm_campaign": "name", "utm_term": "term",
    "utm_content": "content",
}  # fmt: skip
_OUTBOUND: Final = {"Email Sent", "Email Delivered", "Email Bounced"}
_WEB_LIBRARIES: Final = ("analytics.js", "analytics-js", "consent")
_APP_LIBRARIES: Final = ("ios", "android", "kotlin", "swift", "react-native", "flutter", "unity", "xamarin")
_APP_CHANNELS: Final = {"mobile": "app", "app": "app", "browser": "web", "client": "web", "web": "web"}

_TABLES: Final = {
    "tracks", "pages", "screens", "identifies", "users", "groups", "accounts", "aliases", "group_memberships",
}  # fmt: skip
_DEVICE: Final = "device"
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+$")
_OWN_COLUMNS: Final = {
    "id", "anonymous_id", "user_id", "event", "event_text", "timestamp", "received_at", "sent_at",
    "original_timestamp", "uuid_ts", "uuid", "loaded_at", "group_id", "previous_id",
}  # fmt: skip
"""Columns that every warehouse table has: no traits and no properties."""


def segment(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "segment",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read a Segment export: raw calls or warehouse tables.

    **Where it comes from.** *Raw calls*: the files of the S3, Google Cloud Storage or Azure destination
    (`segment-logs/…/*.json.gz`), one call per line. *Warehouse*: the tables of a Segment schema (`tracks`,
    `pages`, `screens`, `identifies`, `users`, `groups`, `aliases`, and one table per event), written to a
    folder as CSV or Parquet under their names. A path, glob, folder, list, URL, or a table in memory. Which
    of both it is, is told by the columns.

    **What becomes what.** A `track` call is an event under its own name (`event`; in the warehouse
    `event_text`, because `event` is only a slug of it); `page` is `page_view` and `screen` is `screen_view`,
    with the page's name among the properties. `timestamp` is Segment's, which corrects the clock of the
    device; `receivedAt` is `received_at`; `messageId` (`id`) is `event_id`, and repeated ones are dropped at
    ingest. `url`, `path` (with query), `referrer` and `utm_*` come from `context`; `order_id`, `currency` and
    `value` (the first of `revenue`, `total`, `value` that is a number) from the properties. All other
    properties, and the rest of the context under `context`, become JSON. `channel` is web or app, from the
    kind of call, the `channel` field and the library; unknown for servers. `device` is a column of its own (a
    property or member of that name, else the context's device type, else mobile, tablet or desktop as the
    user agent says), and `is_bot` is true where the user agent names a robot. Mails that were sent, delivered
    or bounced are acts of the company.

    `identify`, `group` and `alias` are no contacts: they become identity links (device ↔ user, e-mail ↔ user,
    earlier ↔ later id) and attributes of the customer (traits; `account_id` and `account.<trait>` of a
    group), and are counted as excluded, like calls with `context.active: false`. Traits without a user id
    have no customer to go to.

    **Traps.** `tracks` repeats what the tables per event hold: with both in the folder, a row of `tracks`
    whose event has a table of its own is left out (counted as excluded), so that nothing comes twice and
    nothing is lost. `users` has only the latest state. Times of the warehouse without a zone are UTC, as
    Segment writes them. A property that has the name of a reserved column was dropped by Segment itself.

    Parameters
    ----------
    source : path, list of paths, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Properties that become typed columns: `device`, also dotted: `context.device.type`. In warehouse
        tables: columns.
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
        No such file; not an export of Segment.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import cjm_analytics as cjm
    >>> tracks = {
    ...     "id": ["m1"], "anonymous_id": ["a1"], "user_id": ["u1"], "event": ["order_completed"],
    ...     "event_text": ["Order Completed"], "timestamp": ["2025-03-02T20:15:30.500Z"], "revenue": [49.9],
    ... }
    >>> batch = next(cjm.loaders.segment(tracks).batches())
    >>> batch.events.select(["anonymous_id", "user_id", "event", "value"]).to_pylist()
    [{'anonymous_id': 'a1', 'user_id': 'u1', 'event': 'Order Completed', 'value': Decimal('49.9000')}]
    """
    return _stream(source, keep, name, format, title="Segment")


def rudderstack(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "rudderstack",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read a RudderStack export: raw calls or warehouse tables.

    **Where it comes from.** The files of an object storage destination (`rudder-logs/…/*.json.gz`), one call
    per line, or the tables of a warehouse destination written to a folder under their names. Calls and tables
    are those of Segment, and are read as `loaders.segment` says.

    **What is different.** `context.sessionId` (in the warehouse `context_session_id`) is a number that
    several visitors may share: with the device's or the person's id it is `session_id`. `users` keeps the
    latest anonymous id of a person only: identity links come from `identifies` and from every row with both
    ids.

    **Traps.** A new user id on a device begins a new session. `timestamp` has the clock of the device
    corrected; `originalTimestamp` is what the device said.

    Parameters
    ----------
    source : path, list of paths, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Properties that become typed columns.
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
        No such file; not an export of RudderStack.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> tracks = {
    ...     "id": ["m1"], "anonymous_id": ["a1"], "event": ["order_completed"],
    ...     "event_text": ["Order Completed"], "timestamp": ["2025-03-02T20:15:30.500Z"],
    ...     "context_session_id": [1740946320],
    ... }
    >>> batch = next(cjm.loaders.rudderstack(tracks).batches())
    >>> batch.events.select(["event", "session_id"]).to_pylist()
    [{'event': 'Order Completed', 'session_id': 'a1:1740946320'}]
    """
    return _stream(source, keep, name, format, title="RudderStack")


def _stream(
    source: object,
    keep: Sequence[str] | Mapping[str, type],
    name: str,
    format: str | None,  # noqa: A002 - the user's word
    *,
    title: str,
) -> EventStream:
    wanted = {**checked_keep(keep), _DEVICE: None}
    origin = Origin.of(source, format, CsvFormat())
    own_tables = {_table_of(path) for path in origin.shown} - _TABLES
    _check_kind(origin.glance(), title)

    def read(left_out: frozenset[str]) -> Iterator[Batch]:
        promoted = Promoted(wanted)
        clock = Clock(tz="UTC")
        for rows in origin.without(left_out).blocks():
            if isinstance(rows, ObjectRows) and _is_raw(rows):
                yield _calls(rows, promoted, name, clock)
            elif len(rows) or rows.broken:
                _check_kind(rows, title)
                yield _table_rows(rows, promoted, name, clock=clock, own_tables=own_tables)
        for column in [one for one in promoted.unseen if one != _DEVICE]:
            warnings.warn(
                f"keep={column!r} is in no call of {name}.{hint(column, promoted.members)}", stacklevel=2
            )

    return EventStream(
        name=name,
        dedupe=("event_id",),
        keep=tuple(promoted_name(one) for one in wanted),
        files=origin.shown,
        read=read,
        separable=tuple(origin.files),
        reading=repr((sorted(own_tables), wanted)),
    )


def _is_raw(rows: ObjectRows) -> bool:
    """Calls say their `type`; rows of the warehouse do not. A block without rows may be either."""
    return not len(rows) or any(
        "type" in one and ("messageId" in one or "userId" in one) for one in rows.objects
    )


def _check_kind(rows: Rows, title: str) -> None:
    """Refuse what is no export of this kind."""
    if isinstance(rows, ObjectRows) and _is_raw(rows):
        return
    there = set(rows.names())
    if not there & {"anonymous_id", "user_id", "received_at", "uuid_ts"}:
        shown = ", ".join(rows.names()[:12]) or "none"
        raise InputError(
            f"{rows.file} is no export of {title}: neither raw calls (type, messageId, anonymousId, …) nor a "
            f"warehouse table (id, anonymous_id, user_id, received_at, …). Columns: {shown}. For "
            "other tables there is cjm.loaders.table."
        )


# Raw calls


def _calls(rows: ObjectRows, promoted: Promoted, source: str, clock: Clock) -> Batch:
    """A block of raw calls."""
    contacts: list[int] = []
    others: list[int] = []
    refused: list[tuple[int, str, str]] = []
    for row, call in enumerate(rows.objects):
        kind = call.get("type")
        if kind in _CONTACTS:
            (others if _part(call, "context").get("active") is False else contacts).append(row)
        elif kind in _TRAIT_CALLS:
            others.append(row)
        else:
            said = "no type of call" if kind is None else f"an unknown type of call: {kind!r}"
            refused.append((int(rows.numbers[row]), said, rows.raw(row)))
    prepared = _contacts(rows, contacts, promoted)
    batch = events_of(prepared, promoted, source=source, kind="clickstream", clock=clock)
    links, customers = _known_from_calls(rows, others, clock)
    strange = rejects_of(source, rows.file, refused)
    return replace(
        batch,
        n_read=batch.n_read + len(others) + len(refused),
        rejects=pa.concat_tables([batch.rejects, strange]),
        links=pa.concat_tables([batch.links, links]),
        customers=customers,
        n_excluded=len(others),
    )


def _part(cell: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A member that should be an object; an empty one where it is not."""
    found = cell.get(name)
    return found if type(found) is dict else {}


def _contacts(rows: ObjectRows, contacts: Sequence[int], promoted: Promoted) -> Prepared:
    """Track, page and screen calls under canonical names."""
    calls = [rows.objects[row] for row in contacts]
    context = [_part(call, "context") for call in calls]
    properties = [_part(call, "properties") for call in calls]
    page = [_part(one, "page") for one in context]
    campaign = [_part(one, "campaign") for one in context]
    kinds = [call["type"] for call in calls]
    events = [
        call.get("event") if kind == "track" else _NAMED[kind]
        for call, kind in zip(calls, kinds, strict=True)
    ]
    amounts = [_amount(one) for one in properties]
    columns: dict[str, pa.Array] = {
        "user_id": strings([call.get("userId") for call in calls]),
        "anonymous_id": strings([call.get("anonymousId") for call in calls]),
        "account_id": strings([one.get("groupId") for one in context]),
        "timestamp": strings([call.get("timestamp") or call.get("originalTimestamp") for call in calls]),
        "received_at": strings([call.get("receivedAt") for call in calls]),
        "event": strings(events),
        "event_id": strings([call.get("messageId") for call in calls]),
        "session_id": strings([_session(call, one) for call, one in zip(calls, context, strict=True)]),
        "actor": _actors(events),
        "channel": strings([_channel(call, one) for call, one in zip(calls, context, strict=True)]),
        "url": strings([a.get("url") or b.get("url") for a, b in zip(page, properties, strict=True)]),
        "path": strings([_path(a, b, kind) for a, b, kind in zip(page, properties, kinds, strict=True)]),
        "referrer": strings([a.get("referrer") for a in page]),
        "order_id": strings([one.get("order_id") or one.get("orderId") for one in properties]),
        "value": strings([amount[1] if amount else None for amount in amounts]),
        "currency": strings([one.get("currency") for one in properties]),
        "email": strings([_part(one, "traits").get("email") for one in context]),
        "is_bot": pa.array([_bot(one) for one in context], pa.bool_()),
        **{name: strings([one.get(member) for one in campaign]) for name, member in _UTM.items()},
    }
    columns = {name: values for name, values in columns.items() if _needed(name, values)}
    left = [
        _left_over(call, one, inside, amount)
        for call, one, inside, amount in zip(calls, context, properties, amounts, strict=True)
    ]
    shown = list(contacts)
    promoted.notice(_members_of(properties))
    found = promoted.looked_up(calls, properties)
    found.setdefault(_DEVICE, strings([_device(one) for one in context]))
    return Prepared(
        rows.file,
        rows.numbers[shown] if shown else np.zeros(0, np.int64),
        columns | found,
        pa.array(left, pa.binary()).cast(pa.string()),
        lambda row: rows.raw(shown[row]),
        rows.broken,
    )


def _needed(name: str, values: pa.Array) -> bool:
    return name in {"user_id", "anonymous_id", "timestamp", "event"} or values.null_count < len(values)


def _session(call: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    """A session's number, which is its device's or its person's only."""
    number, whose = one_text(context.get("sessionId")), _id(call.get("anonymousId") or call.get("userId"))
    return f"{whose}:{number}" if number and whose else None


def _bot(context: Mapping[str, Any]) -> bool | None:
    agent = context.get("userAgent")
    return is_bot(agent) if isinstance(agent, str) else None


def _device(context: Mapping[str, Any]) -> str | None:
    """The kind of device: as the library says, else as the browser says."""
    said = _part(context, "device").get("type")
    agent = context.get("userAgent")
    return said or (device_of(agent) if isinstance(agent, str) else None)


def _members_of(properties: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for one in properties for name in one))


def _amount(properties: Mapping[str, Any]) -> tuple[str, str] | None:
    """The money of an event: which property, and its number as text. What is no number is no amount."""
    for name in _AMOUNTS:
        value = properties.get(name)
        if isinstance(value, bool) or value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if abs(number) < 1e13:  # noqa: PLR2004 - fits decimal(18, 4)
            return name, str(value).strip()
    return None


def _path(page: Mapping[str, Any], properties: Mapping[str, Any], kind: str) -> str | None:
    path = page.get("path") or (properties.get("path") if kind == "page" else None)
    if not isinstance(path, str):
        return None
    search = page.get("search")
    return path + search if isinstance(search, str) else path


def _channel(call: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    """Web or app; unknown for calls of servers; mail for the events of mail services."""
    kind = call["type"]
    if kind != "track":
        return "web" if kind == "page" else "app"
    if str(call.get("event")).startswith("Email "):
        return "email"
    said = _APP_CHANNELS.get(str(call.get("channel")).lower())
    return said or _library_channel(_part(context, "library").get("name"))


def _library_channel(library: object) -> str | None:
    text = str(library or "").lower()
    if text.startswith(_WEB_LIBRARIES):
        return "web"
    return "app" if any(one in text for one in _APP_LIBRARIES) else None


def _actors(events: Sequence[object]) -> pa.Array:
    return pa.array(["company" if event in _OUTBOUND else "customer" for event in events], pa.string())


def _left_over(
    call: Mapping[str, Any],
    context: Mapping[str, Any],
    properties: Mapping[str, Any],
    amount: tuple[str, str] | None,
) -> bytes | None:
    """Everything that has no canonical place, as JSON."""
    lifted = {"order_id", "orderId", "currency", amount[0] if amount else ""}
    if call["type"] == "page":
        lifted.update(_PAGE)
    left = {name: value for name, value in properties.items() if name not in lifted and value is not None}
    if call["type"] != "track":
        left |= {name: call[name] for name in ("name", "category") if call.get(name) is not None}
    around = {
        name: value
        for name, value in context.items()
        if name not in {"page", "campaign", "traits", "groupId", "sessionId"} and value is not None
    }
    if around:
        left["context"] = around
    return orjson.dumps(left) if left else None


def _known_from_calls(rows: ObjectRows, places: Sequence[int], clock: Clock) -> tuple[pa.Table, pa.Table]:
    """Links and attributes from identify, group and alias calls."""
    calls = [rows.objects[row] for row in places]
    if not calls:
        return links_of([]), attributes_of([])
    written = strings([call.get("timestamp") or call.get("originalTimestamp") for call in calls])
    times = clock.read(
        written, rows.numbers[list(places)], column="timestamp", file=rows.file
    ).values.to_pylist()
    pairs: list[tuple[str | None, str | None, object]] = []
    seen: list[tuple[str | None, object, str, str | None]] = []
    for call, time in zip(calls, times, strict=True):
        user, device = _id(call.get("userId")), _id(call.get("anonymousId"))
        traits = _part(call, "traits")
        kind = call["type"]
        pairs.append((device, user, time))
        if kind == "alias":
            pairs.append((_id(call.get("previousId")), user, time))
        if kind == "group":
            seen.append((user, time, "account_id", _id(call.get("groupId"))))
        prefix = "account." if kind == "group" else ""
        if kind == "identify":
            pairs.append((_alias(traits.get("email")), user, time))
        seen.extend((user, time, prefix + name, one_text(value)) for name, value in traits.items())
    return links_of(pairs), attributes_of(seen)


def _id(value: object) -> str | None:
    """One id, cleaned as a column of ids is."""
    text = unicodedata.normalize("NFC", one_text(value) or "").strip()
    return (text.lower() if _EMAIL.match(text) else text) or None


def _alias(email: object) -> str | None:
    text = one_text(email)
    return f"email:{text.strip().lower()}" if text and "@" in text else None


# Warehouse tables


def _table_of(path: str) -> str:
    """The table that a file holds: its name, or for `tracks/part-0.parquet` its folder's."""
    own = stem(path).lower()
    folder = PurePosixPath(path.replace("\\", "/")).parent.name.lower()
    return folder if own not in _TABLES and folder in _TABLES else own


def _told_table(rows: Rows) -> str:
    """The table by the file's name, else by its columns."""
    named = _table_of(rows.file)
    if named in _TABLES:
        return named
    there = set(rows.names())
    for column, table in (("event", named), ("previous_id", "aliases"), ("group_id", "groups")):
        if column in there:
            return table
    if {"url", "path"} <= there or {"title", "search"} <= there:
        return "pages"
    return "identifies" if "anonymous_id" in there else "users"


def _table_rows(rows: Rows, promoted: Promoted, source: str, *, clock: Clock, own_tables: set[str]) -> Batch:
    """A block of one warehouse table."""
    table = _told_table(rows)
    if table in {"identifies", "users", "groups", "accounts", "aliases", "group_memberships"}:
        links, customers = _known_from_table(rows, table, clock)
        rejects = rejects_of(source, rows.file, [], rows.broken)
        n_read = len(rows) + len(rows.broken)
        return Batch(LOADED.empty_table(), n_read, rejects, links, customers, len(rows))
    repeated = np.zeros(len(rows), bool)
    if table == "tracks" and own_tables and rows.has("event"):
        slugs = pa.array(sorted(own_tables), pa.string())
        repeated = pc.is_in(texts(rows.column("event")), value_set=slugs).to_numpy(zero_copy_only=False)
    prepared = _laid_out(rows, table, np.flatnonzero(~repeated), promoted)
    batch = events_of(prepared, promoted, source=source, kind="clickstream", clock=clock)
    n_repeated = int(repeated.sum())
    return replace(batch, n_read=batch.n_read + n_repeated, n_excluded=n_repeated)


def _laid_out(rows: Rows, table: str, kept: NDArray[np.int64], promoted: Promoted) -> Prepared:
    """Rows of `tracks`, `pages`, `screens` or an event's table under canonical names."""
    there = rows.names()
    picked = pa.array(kept)
    cells = {name: rows.column(name).take(picked) for name in there}
    nothing = pa.nulls(len(kept), pa.string())

    def first(*names: str) -> pa.Array:
        found = [cells[name] for name in names if name in cells]
        if len(found) > 1:
            found = [texts(one) for one in found]
        return pc.coalesce(*found) if found else nothing

    columns = {
        "user_id": first("user_id"),
        "anonymous_id": first("anonymous_id"),
        "account_id": first("context_group_id"),
        "timestamp": first("timestamp", "original_timestamp", "received_at"),
        "received_at": first("received_at"),
        "event_id": first("id"),
        "session_id": pc.binary_join_element_wise(
            pc.coalesce(texts(first("anonymous_id")), texts(first("user_id"))),
            texts(first("context_session_id")),
            ":",
        ),
        "url": first("context_page_url", "url"),
        "path": _table_path(cells),
        "referrer": first("context_page_referrer", "referrer"),
        "order_id": first("order_id"),
        "currency": first("currency"),
        **{name: first(f"context_campaign_{member}") for name, member in _UTM.items()},
    }
    if table in {"pages", "screens"}:
        kind = table.removesuffix("s")
        columns["event"] = pa.array([_NAMED[kind]] * len(kept), pa.string())
        columns["channel"] = pa.array(["web" if kind == "page" else "app"] * len(kept), pa.string())
    else:
        columns["event"] = first("event_text", "event")
        columns["channel"] = _table_channel(columns["event"], first("context_library_name"))
    columns["actor"] = _actors(columns["event"].to_pylist())
    amount = _table_amount(cells)
    if amount:
        columns["value"] = amount[1]
    used = {"context_page_url", "context_page_path", "context_page_search", "context_page_referrer"}
    used |= {f"context_campaign_{member}" for member in _UTM.values()} | {
        "order_id",
        "currency",
        "context_group_id",
        "context_session_id",
    }
    used |= _OWN_COLUMNS | ({amount[0]} if amount else set()) | (set(_PAGE) if table == "pages" else set())
    used |= {name for name in cells if name.startswith(("_fivetran", "_sdc"))}
    promoted.notice(there)
    found = {name: cells[name] for name in promoted.keep if name in cells}
    agents = pc.dictionary_encode(texts(first("context_user_agent")))
    words = agents.dictionary.to_pylist()
    columns["is_bot"] = pa.array([is_bot(one) for one in words], pa.bool_()).take(agents.indices)
    devices = pa.array([device_of(one) for one in words], pa.string()).take(agents.indices)
    found.setdefault(_DEVICE, pc.coalesce(texts(first("context_device_type")), devices))
    columns = {name: values for name, values in columns.items() if _needed(name, values)}
    left = {name: values for name, values in cells.items() if name not in used and name not in found}
    return Prepared(
        rows.file,
        rows.numbers[kept],
        columns | found,
        json_texts(left),
        lambda row: rows.raw(int(kept[row])),
        rows.broken,
    )


def _table_path(cells: Mapping[str, pa.Array]) -> pa.Array:
    path = cells.get("context_page_path", cells.get("path"))
    if path is None:
        return pa.nulls(0, pa.string())
    search = cells.get("context_page_search", cells.get("search"))
    if search is None:
        return texts(path)
    return pc.binary_join_element_wise(texts(path), pc.fill_null(texts(search), ""), "")


def _table_channel(events: pa.Array, libraries: pa.Array) -> pa.Array:
    few = pc.dictionary_encode(texts(libraries))
    words = pa.array([_library_channel(one) for one in few.dictionary.to_pylist()], pa.string())
    mail = pc.fill_null(pc.starts_with(texts(events), "Email "), False)
    return pc.if_else(mail, pa.scalar("email"), words.take(few.indices))


def _table_amount(cells: Mapping[str, pa.Array]) -> tuple[str, pa.Array] | None:
    """The first amount whose column holds numbers only."""
    for name in _AMOUNTS:
        if name in cells and not pa.types.is_nested(cells[name].type):
            found = money(cells[name], column=name)
            if not found.wrong and found.values.null_count < len(found.values):
                return name, found.values
    return None


def _known_from_table(rows: Rows, table: str, clock: Clock) -> tuple[pa.Table, pa.Table]:
    """Links and attributes from the tables of identify, group and alias calls."""
    if not len(rows):
        return links_of([]), attributes_of([])
    there = set(rows.names())

    def column(name: str) -> list[Any]:
        if name not in there:
            return [None] * len(rows)
        return ids(rows.column(name), column=name).values.to_pylist()  # type: ignore[no-any-return]

    stamp = next((one for one in ("timestamp", "received_at", "uuid_ts", "loaded_at") if one in there), None)
    times: list[object] = [None] * len(rows)
    if stamp:
        times = clock.read(rows.column(stamp), rows.numbers, column=stamp, file=rows.file).values.to_pylist()
    users = column("user_id" if "user_id" in there else "id") if table != "accounts" else [None] * len(rows)
    pairs = list(zip(column("anonymous_id"), users, times, strict=True))
    if table == "aliases":
        pairs += zip(column("previous_id"), users, times, strict=True)
    addresses = [_alias(one) for one in column("email")] if table in {"identifies", "users"} else []
    pairs += zip(addresses, users if addresses else [], times if addresses else [], strict=True)
    seen: list[tuple[str | None, object, str, str | None]] = []
    if table in {"groups", "group_memberships"}:
        seen += zip(users, times, ["account_id"] * len(rows), column("group_id"), strict=True)
    prefix = "account." if table == "groups" else ""
    for name in sorted(there - _OWN_COLUMNS):
        if not name.startswith(("context_", "_fivetran", "_sdc")):
            values = trimmed(texts(rows.column(name))).to_pylist()
            seen += zip(users, times, [prefix + name] * len(rows), values, strict=True)
    return links_of(pairs), attributes_of(seen)
