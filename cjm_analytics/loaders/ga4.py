"""Google Analytics 4, as its export to BigQuery writes it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from hashlib import blake2b as hashed
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.mapping import each, first, joined, path, plainly, told, whenever, without
from cjm_analytics.loaders.opened import as_object
from cjm_analytics.loaders.rows import ColumnRows, ObjectRows, holds_json, inferred
from cjm_analytics.loaders.values import bytes_of, one_text, plain, texts, whole_numbers
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["ga4"]

_NOTHING: Final = ("(not set)", "(none)", "(direct)", "(data deleted)", "")
_CHANNELS: Final = {"web": "web", "ios": "app", "android": "app"}
_TOLD_TWICE: Final = ("event_params", "user_properties")
_NO_LIST: Final = {name: f"{name} is no list in JSON" for name in _TOLD_TWICE}
_TABLE: Final = re.compile(r"^(?:.*(analytics_\d+))?.*events_(?:(intraday|fresh)_)?(\d{8})(?!\d)")
"""Of whose, of which kind and of which day a table is, by its path."""

_COMPLETE: Final = (None, "fresh", "intraday")
"""Kinds of tables of one day, the most complete first."""

_PLACES: Final = ("batch_page_id", "batch_ordering_id", "batch_event_index")
_PAGES: Final = (1 << 31) - 1
_MANY: Final = 0xFFFF
_KINDS: Final = ("string_value", "int_value", "double_value", "float_value")
_AS_TEXT: Final = frozenset({"session_engaged"})
"""Parameters that are written now as a number and now as text."""

_RECORDS: Final = (
    "device", "geo", "app_info", "traffic_source", "collected_traffic_source", "privacy_info", "user_ltv",
    "ecommerce", "items",
)  # fmt: skip
_FLAT: Final = re.compile(rf"({'|'.join([*_TOLD_TWICE, *_RECORDS])})[._](.+)")
_ALONE: Final = {
    "ga_session_id": "event_params", "session_id": "event_params", "page_location": "event_params",
    "page_referrer": "event_params", "value": "event_params", "currency": "event_params",
    "transaction_id": "event_params", "purchase_revenue": "ecommerce",
}  # fmt: skip
"""Members that queries select by bare names; of a `source` these do not say whether it is the event's."""

_BY_ROW: Final = re.compile(r"event_params[._](?:\d+[._])?key")
_APART: Final = ("stream_id", "user_pseudo_id", "user_id", "event_name", "event_timestamp")
_BETWEEN: Final = "\x1f"
_DIGEST: Final = 12


def _tidied(rows: Rows) -> Rows:
    """The rows with their parameters by name, and what tells each row from others."""
    _refuse(rows)
    if isinstance(rows, ObjectRows):
        return replace(rows, objects=[_opened(row) for row in rows.objects])
    if not isinstance(rows, ColumnRows):
        return rows
    homes = _homes(tuple(name for name in rows.names() if not _is_empty(rows, name)))
    left = {name: rows.table.column(place) for place, name in enumerate(rows.names()) if name not in homes}
    left |= {name: _record(rows.column(name), name) for name in _RECORDS if name in left}
    made = {name: _by_name(rows.column(name)) for name in _TOLD_TWICE if left.pop(name, None) is not None}
    for name, (record, member) in homes.items():
        made.setdefault(record, {})[member] = rows.column(name)
    params = made.get("event_params", {})
    nothing = pa.nulls(len(rows), pa.string())
    told_apart = [
        pc.fill_null(texts(rows.column(name)) if rows.has(name) else nothing, "") for name in _APART
    ]
    told_apart += [
        pc.binary_join_element_wise(f"{name}=", texts(params[name]), "") for name in sorted(params)
    ]
    keys = pc.binary_join_element_wise(*told_apart, _BETWEEN, null_handling="skip")
    structs = {
        name: pa.StructArray.from_arrays(list(one.values()), names=list(one))
        for name, one in made.items()
        if one
    }
    own = {
        "_key": _digests(keys),
        "_order": _orders(rows),
        "_wrong": _wrong(rows),
    }
    return replace(rows, table=pa.table({**left, **structs, **own}))


def _refuse(rows: Rows) -> None:
    """Stop where an export was made into something of which its events cannot be told any more."""
    apart = next((name for name in rows.names() if _BY_ROW.fullmatch(name)), None)
    if apart:
        raise InputError(
            f"{rows.file} is an export of Google Analytics 4 with the parameters of an event apart from one "
            f"another ({apart!r}). Export the table as Parquet, Avro or JSON lines, or select each parameter "
            "under its own name, such as ga_session_id."
        )
    if isinstance(rows, ColumnRows) and rows.has("user_pseudo_id"):
        devices = rows.column("user_pseudo_id")
        is_number = pa.types.is_floating(devices.type)
        if is_number and pc.any(pc.not_equal(pc.floor(devices), devices)).as_py():
            raise InputError(
                f"{rows.file} holds numbers in user_pseudo_id. It is a text that looks like one, and has "
                "lost digits: read it as text, with pandas by dtype=str."
            )


def _is_empty(rows: Rows, name: str) -> bool:
    """Whether a record says nothing; its members may then stand beside it."""
    return name in _RECORDS and rows.column(name).null_count == len(rows)


@cache
def _homes(names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Columns of a flattened table → the record they are a member of (`geo_country`: `geo`), and as what."""
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        told = _FLAT.fullmatch(name)
        record, member = told.groups() if told else (_ALONE.get(name), name)
        member = "ga_session_id" if member == "session_id" else member
        if record and record not in names and (record, member) not in found.values():
            found[name] = (record, member)
    return found


def _record(cells: pa.Array, name: str) -> pa.Array:
    """Objects that were written as JSON text as what they are."""
    if not pa.types.is_string(cells.type) or not holds_json(cells):
        return cells
    try:
        return pa.array([_bare(cell, name) for cell in cells.to_pylist()])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return cells


def _bare(cell: object, name: str) -> object:
    """A record as an object, which may stand in another one under its own name."""
    cell = as_object(cell)
    return cell[name] if isinstance(cell, dict) and list(cell) == [name] else cell


def _wrong(rows: Rows) -> pa.Array:
    """Why a row cannot be used: parameters that were written as text and are no JSON."""
    found = pa.nulls(len(rows), pa.string())
    for name in _TOLD_TWICE:
        if rows.has(name) and not pa.types.is_list(rows.column(name).type):
            said = [None if _is_list(cell) else _NO_LIST[name] for cell in rows.column(name).to_pylist()]
            found = pc.coalesce(found, pa.array(said, pa.string()))
    return found


def _by_name(cells: pa.Array) -> dict[str, pa.Array]:
    """Of `[{key, value: {string_value, int_value, …}}]` a column for each key."""
    if not pa.types.is_list(cells.type) or not pa.types.is_struct(cells.type.value_type):
        listed = [_of_list(cell) for cell in cells.to_pylist()]
        return {name: inferred([one.get(name) for one in listed]) for name in _keys(listed)}
    flat, parents = cells.flatten(), pc.list_parent_indices(cells).to_numpy()
    if not len(flat):
        return {}
    keys = pc.dictionary_encode(plain(pc.struct_field(flat, "key")))
    values = pc.struct_field(flat, "value")
    kinds = [_typed(pc.struct_field(values, kind), kind) for kind in _KINDS if kind in values.type.names]
    codes = pc.fill_null(keys.indices, -1).to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(keys.dictionary) + 1))
    found = {}
    for place, key in enumerate(keys.dictionary.to_pylist()):
        mine = order[ends[place] : ends[place + 1]]
        at = np.full(len(cells), -1, np.int64)
        at[parents[mine]] = mine
        where = pa.array(at, mask=at < 0)
        filled = [one for one in (kind.take(where) for kind in kinds) if one.null_count < len(one)]
        if len(filled) > 1 or key in _AS_TEXT:
            filled = [texts(one) for one in filled]
        if filled:
            found[key] = pc.coalesce(*filled)
    return dict(sorted(found.items()))


def _typed(values: pa.Array, kind: str) -> pa.Array:
    """One kind of value; whole numbers stand in JSON as text."""
    values = plain(values)
    if pa.types.is_null(values.type):
        return values.cast(pa.string())
    return whole_numbers(values, column=kind).values if kind == "int_value" else values


def _orders(rows: Rows) -> pa.Array:
    """One number in the order of page, batch and event, for events of the same instant."""

    def number(name: str) -> pa.Array:
        there = rows.column(name) if rows.has(name) else pa.nulls(len(rows), pa.string())
        return whole_numbers(
            there.cast(pa.string()) if pa.types.is_null(there.type) else there, column=name
        ).values

    page, batch, event = (number(name) for name in _PLACES)
    least = pc.min_element_wise
    place = pc.add(
        pc.shift_left(pc.bit_wise_and(page, _PAGES), 32),
        pc.add(
            pc.shift_left(least(batch, _MANY, skip_nulls=False), 16), least(event, _MANY, skip_nulls=False)
        ),
    )
    return pc.coalesce(place, number("event_bundle_sequence_id"))


def _digests(keys: pa.Array) -> pa.Array:
    """The digest of each text."""
    data, starts = bytes_of(keys)
    view, ends = data.data, starts.tolist()
    whole = b"".join(hashed(view[at:end], digest_size=_DIGEST).digest() for at, end in pairwise(ends))
    places = np.arange(0, 2 * len(whole) + 1, 2 * _DIGEST, dtype=np.int32)
    return pa.StringArray.from_buffers(len(keys), pa.py_buffer(places), pa.py_buffer(whole.hex().encode()))


def _digest(text: str) -> str:
    return hashed(text.encode(), digest_size=_DIGEST).hexdigest()


# The same, row by row


def _gathered(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its records as objects, however they were written."""
    homes = _homes(tuple(name for name, value in row.items() if value is not None))
    whole = {name: value for name, value in row.items() if name not in homes and value is not None}
    whole |= {name: _bare(whole[name], name) for name in _RECORDS if isinstance(whole.get(name), str)}
    for name, (record, member) in homes.items():
        whole.setdefault(record, {})[member] = row[name]
    return whole


def _opened(row: dict[str, Any]) -> dict[str, Any]:
    row = _gathered(row)
    params = _of_list(row.get("event_params"))
    told_apart = [one_text(row.get(name)) or "" for name in _APART]
    told_apart += [f"{name}={one_text(params[name]) or ''}" for name in sorted(params)]
    return {
        **row,
        "event_params": params,
        "user_properties": _of_list(row.get("user_properties")),
        "_key": _digest(_BETWEEN.join(told_apart)),
        "_order": _order(row),
        "_wrong": next((_NO_LIST[name] for name in _TOLD_TWICE if not _is_list(row.get(name))), None),
    }


def _keys(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({name for one in listed for name in one})


def _of_list(listed: object) -> dict[str, Any]:
    listed = _listed(listed)
    found: dict[str, Any] = {}
    for one in listed if isinstance(listed, list) else []:
        value = one.get("value") or {}
        name = str(one.get("key"))
        for kind in _KINDS:
            if value.get(kind) is not None:
                said = _number(value[kind]) if kind == "int_value" else value[kind]
                found[name] = one_text(said) if name in _AS_TEXT else said
                break
    return found


def _listed(cell: object) -> object:
    """A list of parameters, be it written as JSON, in an object, as Parquet's older lists, or by name."""
    if isinstance(cell, str):
        try:
            cell = orjson.loads(cell or "[]")
        except orjson.JSONDecodeError:
            return cell
    if not isinstance(cell, dict):
        return cell
    inside = next(iter(cell.values())) if len(cell) == 1 else None
    if isinstance(inside, list):  # under their own name, or as Parquet's older lists
        return [one["element"] or {} if "element" in one else one for one in inside]
    return [
        {"key": name, "value": said if isinstance(said, dict) else {"string_value": said}}
        for name, said in cell.items()
    ]


def _is_list(cell: object) -> bool:
    return cell is None or isinstance(_listed(cell), list)


def _number(value: object) -> object:
    """A whole number; BigQuery writes them as text into JSON."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def _order(row: Mapping[str, Any]) -> int | None:
    try:
        page, batch, event = (int(row[name]) for name in _PLACES)
    except (KeyError, TypeError, ValueError):
        bundle = one_text(row.get("event_bundle_sequence_id"))
        return int(bundle) if bundle and bundle.lstrip("-").isdigit() else None
    return ((page & _PAGES) << 32) + (min(batch, _MANY) << 16) + min(event, _MANY)


def _repeated_days(paths: Sequence[str]) -> set[str]:
    """Tables of a day of which a more complete one is there, too."""
    told = {one: found for one in paths if (found := _TABLE.search(one))}
    best: dict[tuple[str | None, str], int] = {}
    for found in told.values():
        whose, kind, day = found.groups()
        place = _COMPLETE.index(kind)
        best[whose, day] = min(best.get((whose, day), place), place)
    return {one for one, found in told.items() if _COMPLETE.index(found[2]) > best[found[1], found[3]]}


def _clicked(url: object, click: object) -> str | None:
    """`google` where the page was reached by a click on one of its advertisements."""
    return "google" if click or re.search(r"[?&]g(?:clid|braid)=.", str(url or "")) else None


_COLLECTED: Final = "collected_traffic_source.manual_"
_DEVICE: Final = without("user_pseudo_id", _NOTHING)
_ORDER: Final = without(first("ecommerce.transaction_id", "event_params.transaction_id"), _NOTHING)
_PURCHASE: Final = whenever(each(lambda name: name == "purchase", "event_name"), joined("=purchase", _ORDER))
"""A thank-you page that is loaded again tells of the same purchase."""

_URL: Final = without("event_params.page_location", _NOTHING)
_SOURCE: Final = without(first("event_params.source", f"{_COLLECTED}source"), _NOTHING)
_AD: Final = each(_clicked, "event_params.page_location", "collected_traffic_source.gclid")
_EVENTS: Final = Events(
    columns={
        "event": "event_name",
        "timestamp": "event_timestamp",
        "anonymous_id": _DEVICE,
        "user_id": without("user_id", _NOTHING),
        "seq": "_order",
        "event_id": first(_PURCHASE, "_key"),
        "session_id": first(
            joined(_DEVICE, "stream_id", "event_params.ga_session_id"),
            joined(_DEVICE, "event_params.ga_session_id"),
        ),
        "channel": told("platform", _CHANNELS),
        "url": _URL,
        "path": path(_URL),
        "referrer": without("event_params.page_referrer", _NOTHING),
        "utm_source": first(_SOURCE, _AD),
        "utm_medium": first(
            without(first("event_params.medium", f"{_COLLECTED}medium"), _NOTHING),
            each(lambda source, ad: "cpc" if ad and not source else None, _SOURCE, _AD),
        ),
        "utm_campaign": without(first("event_params.campaign", f"{_COLLECTED}campaign_name"), _NOTHING),
        "utm_term": without(first("event_params.term", f"{_COLLECTED}term"), _NOTHING),
        "utm_content": without(first("event_params.content", f"{_COLLECTED}content"), _NOTHING),
        "order_id": _ORDER,
        "campaign_id": without(first("event_params.campaign_id", f"{_COLLECTED}campaign_id"), _NOTHING),
        "value": first("event_params.value", "ecommerce.purchase_revenue", "ecommerce.refund_value"),
        "currency": "event_params.currency",
    },
    also={"device": first("device.category", plainly("device").keeping())},
    spread=("event_params",),
    aside=(
        "event_date", "_key", "_order", "_wrong", *_PLACES, "event_bundle_sequence_id",
        "event_server_timestamp_offset", "event_previous_timestamp",
    ),
)  # fmt: skip
_GA4: Final = Vendor(
    name="ga4",
    title="Google Analytics 4",
    kind="clickstream",
    parts={"events": Part(told_by=("event_name", "event_timestamp"), events=(_EVENTS,), wrong="_wrong")},
    tidied=_tidied,
    may_be_nameless=True,
    superseded=_repeated_days,
)


def ga4(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "ga4",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read the BigQuery export of Google Analytics 4.

    **Where it comes from.** Link the property to BigQuery; the dataset `analytics_<property>` then holds one
    table per day, `events_YYYYMMDD`. Export these to Parquet, Avro or JSON lines (`EXPORT DATA`, or `bq
    extract`), and give the folder. `loaders.sql` reads the tables directly if their parameters are selected
    as JSON text.

    **Flattened.** CSV cannot hold the tables, but what people make of them is read: records as JSON text,
    as the console of BigQuery saves them; members of records as columns (`geo.country`, `geo_country`,
    `event_params_page_title`); and under their bare names `ga_session_id` (or `session_id`),
    `page_location`, `page_referrer`, `transaction_id`, `value` and `currency`. A bare `source` says in some
    queries where the event came from, in others where the user first did: it stays a property. A table with
    a row for each parameter is refused.

    **What becomes what.** `event_name` is the event, `event_timestamp` (microseconds, UTC) its time,
    `user_pseudo_id` is `anonymous_id` and `user_id` is `user_id`. `session_id` is made of device, stream and
    `ga_session_id`. Of each parameter the one value that is set counts; `page_location`, `page_referrer`,
    `source`, `medium`, `campaign`, `term`, `content`, `value` and `currency` become canonical columns (the
    event's own source first, then `collected_traffic_source`; never `traffic_source`, which is the user's
    first), `transaction_id` is `order_id`. All other parameters stand in `properties` by themselves, with
    `geo`, `items`, `user_properties` and the rest beside them. `device` is a column of its own. `(not set)`,
    `(none)`, `(direct)` and `(data deleted)` are nothing.

    **Order.** Many events share one time: `batch_page_id`, `batch_ordering_id` and `batch_event_index` put
    them in order; in older exports `event_bundle_sequence_id` does.

    **Traps.** Events have no id: rows that agree in stream, device, session, name, time and all parameters
    are the same event. Daily tables are written again for up to three days, so load the last three days once
    more with `cjm.ingest(…, replace=…)`. A file `events_intraday_20250310` is not read where
    `events_20250310` (or `events_fresh_20250310`) of the property is there. An address with `gclid` and no
    source is an advertisement at Google. Without consent there is no `user_pseudo_id`: rows with neither id
    are excluded and counted as `nameless`. `event_date` is in the zone of the property and is not used. A
    thank-you page that is loaded again repeats a `purchase` with its `transaction_id`: the earliest stays.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Parameters and fields that become typed columns: `["engagement_time_msec", "geo.country"]`.
    name : str
        The `source` column.
    format : str, optional
        avro, json or parquet, where a file's ending does not tell.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; not an export of Google Analytics 4.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> row = {"event_name": "page_view", "event_timestamp": "1740823200000000", "user_pseudo_id": "12.34",
    ...        "stream_id": "7",
    ...        "event_params": [{"key": "ga_session_id", "value": {"int_value": "1740823200"}}]}
    >>> batch = next(cjm.loaders.ga4({key: [value] for key, value in row.items()}).batches())
    >>> batch.events.select(["anonymous_id", "event", "session_id"]).to_pylist()
    [{'anonymous_id': '12.34', 'event': 'page_view', 'session_id': '12.34:7:1740823200'}]
    """
    return _GA4.stream(source, keep=keep, name=name, format=format)
