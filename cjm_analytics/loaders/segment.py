"""Segment and RudderStack: the raw calls that storage destinations keep, and warehouse tables."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError, hint
from cjm_analytics.loaders.agents import device_of, is_bot
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.files import stem
from cjm_analytics.loaders.mapping import (
    Saying,
    bot,
    chosen,
    device,
    each,
    every,
    filled,
    first,
    joined,
    number,
    told,
    unless,
    whenever,
)
from cjm_analytics.loaders.origin import Origin
from cjm_analytics.loaders.prepared import Prepared, attributes_of, events_of, links_of
from cjm_analytics.loaders.rows import Rows, in_small_letters
from cjm_analytics.loaders.source import EventStream, rejects_of
from cjm_analytics.loaders.table import Promoted, checked_keep, promoted_name
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import ids, json_texts, money, one_text, texts, trimmed
from cjm_analytics.loaders.vendor import Events, Part, Reading, Vendor
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
_SHARD: Final = re.compile(
    r"^(?:part-.*|(?:part|data)(?:[-_]?\d.*)?)$|(?:[-_]?\d{12}|[-_]\d+_\d+_\d+|[-_]?\d{4}_part_\d+)$"
)
"""What BigQuery, Snowflake, Redshift and Spark add to a table's name, or write in place of it."""

_DEVICE: Final = "device"
_OWN_COLUMNS: Final = {
    "id", "anonymous_id", "user_id", "event", "event_text", "timestamp", "received_at", "sent_at",
    "original_timestamp", "uuid_ts", "uuid", "loaded_at", "group_id", "previous_id",
}  # fmt: skip
"""Columns that every warehouse table has: no traits and no properties."""

_VIEW: Final = "_view"
"""Ends the name of a table's view without duplicates, as BigQuery has one beside each table."""


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
    ingest. `url`, `path` (with query), `referrer` and `utm_*` come from `context`; `order_id`, `currency`,
    `conversation_id` (of a chat: `ticket_id`) and `value` (the first of `revenue`, `total`, `value` that is a
    number) from the properties. All other properties, and the rest of the context under `context`, become
    JSON. `channel` is web or app, from the kind of call, the `channel` field and the library; email or chat
    where the event's name begins so (`Email Opened`, `Live Chat Message Sent`); unknown for servers. `device`
    is a column of its own (a property or member of that name, else the context's device type, else mobile,
    tablet or desktop as the user agent says), and `is_bot` is true where the user agent names a robot. Mails
    that were sent, delivered or bounced are acts of the company.

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

    **What is different.** Traits of an `identify` call stand in `context.traits`. `context.sessionId` (in the
    warehouse `context_session_id`) is a number that several visitors may share: with the device's or the
    person's id it is `session_id`. `users` keeps the latest anonymous id of a person only: identity links
    come from `identifies` and from every row with both ids.

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
    origin = replace(Origin.of(source, format, CsvFormat()), columns=True)
    own_tables = {_table_of(path) for path in origin.shown} - _TABLES
    _check_kind(in_small_letters(origin.glance()), title)

    def read(left_out: frozenset[str]) -> Iterator[Batch]:
        promoted = Promoted(wanted)
        clock = Clock(tz="UTC")
        calls = Reading(_CALLS, promoted, name, clock)
        for rows in map(in_small_letters, origin.without(left_out).blocks()):
            if _is_raw(rows):
                yield calls.block(_RAW, rows)
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


def _is_raw(rows: Rows) -> bool:
    """Calls say their `type`; rows of the warehouse do not. A block of objects without rows may be either."""
    if not len(rows):
        return rows.is_sparse
    return rows.has("type") and (rows.has("messageId") or rows.has("userId"))


def _check_kind(rows: Rows, title: str) -> None:
    """Refuse what is no export of this kind."""
    if _is_raw(rows):
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


def _is_call(*kinds: str) -> Saying:
    return each(lambda kind: kind in kinds, "type")


def _path(path: object, search: object) -> str | None:
    if not isinstance(path, str):
        return None
    return path + search if isinstance(search, str) else path


def _channel_named(event: str) -> str | None:
    return next((channel for start, channel in _BY_NAME.items() if event.startswith(start)), None)


def _library_channel(library: object) -> str | None:
    text = str(library or "").lower()
    if text.startswith(_WEB_LIBRARIES):
        return "web"
    return "app" if any(one in text for one in _APP_LIBRARIES) else None


def _alias(email: object) -> str | None:
    text = one_text(email)
    return f"email:{text.strip().lower()}" if text and "@" in text else None


def _unknown(kind: object) -> str | None:
    """Why a call is a reject, if its type is none that there is."""
    if kind in _CONTACTS or kind in _TRAIT_CALLS:
        return None
    return "no type of call" if kind is None else f"an unknown type of call: {kind!r}"


_IS_CONTACT: Final = every(
    _is_call(*_CONTACTS), unless(each(lambda active: active is False, "context.active"))
)
_IS_PAGE: Final = _is_call("page")
_EVENT: Final = chosen("type", {"track": "event", "page": "=page_view", "screen": "=screen_view"})
_BY_NAME: Final = {"Email ": "email", "Live Chat ": "chat"}
"""How the specification begins the names of what happens in a channel of its own."""

_NAMED_CHANNEL: Final = each(lambda event: _channel_named(str(event)), "event")
_SERVICE: Final = first(
    _NAMED_CHANNEL, told("channel", _APP_CHANNELS), each(_library_channel, "context.library.name")
)
_TRAIT_EMAIL: Final = first("traits.email", "context.traits.email")
_WORTH: Final = {name: number(f"properties.{name}") for name in _AMOUNTS}


def _is_worth(name: str) -> Saying:
    """Where an amount is the first that is a number."""
    before = _AMOUNTS[: _AMOUNTS.index(name)]
    return every(filled(_WORTH[name]), *(unless(filled(_WORTH[one])) for one in before))


_RAW: Final = Part(
    events=(
        Events(
            where=_IS_CONTACT,
            columns={
                "user_id": "userId",
                "anonymous_id": "anonymousId",
                "account_id": "context.groupId",
                "timestamp": first("timestamp", "originalTimestamp"),
                "received_at": "receivedAt",
                "event": _EVENT.lifting("event"),
                "event_id": "messageId",
                "session_id": joined(first("anonymousId", "userId"), "context.sessionId").lifting(
                    "context.sessionId"
                ),
                "actor": told(_EVENT, dict.fromkeys(_OUTBOUND, "company"), "customer"),
                "channel": chosen("type", {"page": "=web", "screen": "=app"}, _SERVICE).keeping(),
                "url": first("context.page.url", "properties.url").keeping(),
                "path": each(
                    _path,
                    first("context.page.path", whenever(_IS_PAGE, "properties.path")),
                    "context.page.search",
                ),
                "referrer": "context.page.referrer",
                "order_id": first("properties.order_id", "properties.orderId"),
                "ticket_id": "properties.conversation_id",
                "value": first(*_WORTH.values()).keeping(),
                "currency": "properties.currency",
                "email": "context.traits.email",
                "is_bot": bot("context.userAgent"),
                **{name: f"context.campaign.{member}" for name, member in _UTM.items()},
            },
            also={
                _DEVICE: first(
                    "properties.device", "device", "context.device.type", device("context.userAgent")
                ).keeping()
            },
            spread=("properties",),
            aside=(
                "type", "channel", "integrations", "version", "sentAt", "originalTimestamp", "traits",
                "groupId", "previousId", "writeKey", "projectId", "rudderId", "_metadata", "context.page",
                "context.campaign", "context.traits", "context.groupId",
            ),
            aside_where={
                **{f"properties.{name}": _IS_PAGE for name in _PAGE},
                **{name: _is_call("track") for name in ("name", "category")},
                **{f"properties.{name}": _is_worth(name) for name in _AMOUNTS},
            },
        ),
    ),
    wrong=each(_unknown, "type"),
    links=(
        (whenever(unless(_IS_CONTACT), "anonymousId"), "userId"),
        (whenever(_is_call("identify"), each(_alias, _TRAIT_EMAIL)), "userId"),
        (whenever(_is_call("alias"), "previousId"), "userId"),
    ),
    traits={"account_id": whenever(_is_call("group"), "groupId")},
    members={
        "context.traits": (("", _is_call("identify")),),
        "traits": (("", _is_call("identify")), ("account.", _is_call("group"))),
    },
    customer="userId",
    time=first("timestamp", "originalTimestamp"),
)  # fmt: skip
_CALLS: Final = Vendor(name="segment", title="Segment", kind="clickstream", parts={"calls": _RAW})


# Warehouse tables


def _needed(name: str, values: pa.Array) -> bool:
    return name in {"user_id", "anonymous_id", "timestamp", "event"} or values.null_count < len(values)


def _actors(events: Sequence[object]) -> pa.Array:
    return pa.array(["company" if event in _OUTBOUND else "customer" for event in events], pa.string())


def _table_of(path: str) -> str:
    """The table that a file holds: its name, or for `tracks/part-0.parquet` its folder's."""
    own = _bare(stem(path))
    folder = _bare(PurePosixPath(path.replace("\\", "/")).parent.name)
    return folder if not own or (own not in _TABLES and folder in _TABLES) else own


def _bare(name: str) -> str:
    """A table's name without schema and number of a part: `prod.TRACKS_0_0_0` gives `tracks`."""
    *schema, word = _SHARD.sub("", name.lower()).split(".")
    known = (one for one in (word, word.removesuffix(_VIEW), *schema) if one in _TABLES)
    return next(known, word)


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
        is_view = stem(rows.file).lower().endswith(_VIEW)
        slugs = sorted(one.removesuffix(_VIEW) if is_view else one for one in own_tables)
        repeated = pc.is_in(texts(rows.column("event")), value_set=pa.array(slugs, pa.string())).to_numpy(
            zero_copy_only=False
        )
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
        "ticket_id": first("conversation_id"),
        "currency": first("currency"),
        **{name: first(f"context_campaign_{member}") for name, member in _UTM.items()},
    }
    if table in {"pages", "screens"}:
        kind = table.removesuffix("s")
        columns["event"] = pa.array([_NAMED[kind]] * len(kept), pa.string())
        columns["channel"] = pa.array(["web" if kind == "page" else "app"] * len(kept), pa.string())
    else:
        columns["event"] = first("event_text", "event")
        columns["channel"] = _table_channel(columns["event"], first("channel"), first("context_library_name"))
    columns["actor"] = _actors(columns["event"].to_pylist())
    amount = _table_amount(cells)
    if amount:
        columns["value"] = amount[1]
    used = {"context_page_url", "context_page_path", "context_page_search", "context_page_referrer"}
    used |= {f"context_campaign_{member}" for member in _UTM.values()} | {
        "order_id",
        "conversation_id",
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


def _table_channel(events: pa.Array, services: pa.Array, libraries: pa.Array) -> pa.Array:
    few = pc.dictionary_encode(texts(libraries))
    words = pa.array([_library_channel(one) for one in few.dictionary.to_pylist()], pa.string())
    known = pc.dictionary_encode(texts(services))
    said = [_APP_CHANNELS.get(str(one).lower()) for one in known.dictionary.to_pylist()]
    kinds = pc.dictionary_encode(texts(events))
    named = pa.array([_channel_named(str(one)) for one in kinds.dictionary.to_pylist()], pa.string())
    service = pa.array(said, pa.string()).take(known.indices)
    return pc.coalesce(named.take(kinds.indices), service, words.take(few.indices))


def _table_amount(cells: Mapping[str, pa.Array]) -> tuple[str, pa.Array] | None:
    """The first amount whose column holds numbers only."""
    for name in _AMOUNTS:
        if name in cells and not pa.types.is_nested(cells[name].type):
            found = money(cells[name], column=name)
            if not found.wrong and found.marks is None and found.values.null_count < len(found.values):
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
