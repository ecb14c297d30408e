"""Matomo: visits with their actions, from its reporting API or from its database."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.files import find_files, is_location
from cjm_analytics.loaders.mapping import (
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
from cjm_analytics.loaders.rows import ColumnRows, ObjectRows
from cjm_analytics.loaders.values import hexadecimal, one_text, plain, texts
from cjm_analytics.loaders.vendor import Events, Part, Vendor
from cjm_analytics.schema import PER_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.loaders.files import InputFile
    from cjm_analytics.loaders.mapping import Saying, Side, Where
    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["matomo"]

_FLAT: Final = re.compile(r"actionDetails\D*(\d+)\W*_?(\w+)")
_SHOWN_ONLY: Final = re.compile(r".*(?:Icons?|IconSVG|Pretty|Flag|iconSVG|icon)$")
_VISITS_AT_ONCE: Final = 5_000
_TIMES: Final = ("timestamp", "serverTimestamp")
_ORDER: Final = "0"
_ORDERS: Final = {_ORDER: "ecommerceOrder", "-1": "ecommerceAbandonedCart"}
_PURCHASES: Final = pa.array(list(_ORDERS.values()))
_PREFIXES: Final = {"0": "http://", "1": "http://www.", "2": "https://", "3": "https://www."}
_KINDS: Final = {"1": "action", "2": "outlink", "3": "download", "8": "search"}
_TITLE, _KEYWORD = "4", "8"
_CAME_BY: Final = {"2": "search", "3": "website", "6": "campaign", "7": "social"}
_CAMPAIGN: Final = "campaign"
_DEVICES: Final = {"smartphone": "mobile", "phablet": "mobile", "feature phone": "mobile"}
_DEVICE_CODES: Final = {
    "0": "desktop", "1": "smartphone", "2": "tablet", "3": "feature phone", "4": "console", "5": "tv",
    "6": "car browser", "7": "smart display", "8": "camera", "9": "portable media player", "10": "phablet",
    "11": "smart speaker", "12": "wearable", "13": "peripheral",
}  # fmt: skip


# Visits of the reporting API


def _actions(visit: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The actions of a visit, each with the visit; where it came from stands at the first."""
    listed = visit.get("actionDetails")
    actions = listed if isinstance(listed, list) else _from_columns(visit)
    about = {
        name: value
        for name, value in visit.items()
        if name != "actionDetails" and not _FLAT.match(name) and not _SHOWN_ONLY.match(name)
    }
    last = visit.get("firstActionTimestamp")
    actions = [one for one in actions if isinstance(one, dict)]
    times = [next((one[name] for name in _TIMES if one.get(name)), None) for one in actions]
    until = visit.get("lastActionTimestamp") or next((one for one in reversed(times) if one), last)
    for place, (action, at) in enumerate(zip(actions, times, strict=True)):
        yield {
            **{name: value for name, value in action.items() if not _SHOWN_ONLY.match(name)},
            "visit": about,
            "_place": place,
            "_event": _called(action),
            "_time": at or last,
            "_is_inferred": at is None,
            "_until": until,
            "_from": {} if place else _arrival(visit),
            "_currency": visit.get("siteCurrency") if action.get("type") in _ORDERS.values() else None,
        }
        last = at or last


def _from_columns(visit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The actions that a CSV file spreads over columns: `actionDetails_0_url`."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in visit.items():
        place = _FLAT.match(name)
        if place and value not in {None, ""}:
            found.setdefault(int(place[1]), {})[place[2]] = value
    return [action for _, action in sorted(found.items())]


def _called(action: Mapping[str, Any]) -> object:
    """Events and goals are called by their own names, all else by its kind."""
    kind = str(action.get("type") or "action")
    named = {"event": action.get("eventAction"), "goal": action.get("goalName")}
    return named.get(kind) or kind


def _arrival(visit: Mapping[str, Any]) -> dict[str, Any]:
    """Where the visit came from."""
    kind = visit.get("referrerType")
    named = visit.get("referrerName")
    return {
        "referrer": visit.get("referrerUrl"),
        "source": visit.get("campaignSource") or (named if kind != "campaign" else None),
        "medium": visit.get("campaignMedium") or (kind if kind != "direct" else None),
        "campaign": visit.get("campaignName") or (named if kind == "campaign" else None),
        "term": visit.get("campaignKeyword") or visit.get("referrerKeyword"),
        "content": visit.get("campaignContent"),
    }


def _device(kind: object) -> str | None:
    """A kind of device as other loaders call it."""
    text = str(kind).lower() if kind else None
    return _DEVICES.get(text, text) if text else None


def _by_columns(rows: ColumnRows, _: Mapping[str, Side]) -> list[tuple[Rows, NDArray[np.int64]]] | None:
    """The same of whole columns; None where the actions are no list of objects."""
    listed = rows.column("actionDetails") if rows.has("actionDetails") else None
    if listed is None or not pa.types.is_list(listed.type) or not pa.types.is_struct(listed.type.value_type):
        return None
    if any(map(_FLAT.match, rows.names())):
        return None
    items, origin = pc.list_flatten(listed), pc.list_parent_indices(listed).to_numpy().astype(np.int64)
    there = items.is_valid().to_numpy(zero_copy_only=False)
    items, origin = items.filter(pa.array(there)), origin[there]
    starts = np.searchsorted(origin, np.arange(len(rows) + 1))
    of_visit = _Members({name: plain(rows.table[name]) for name in rows.names()}, len(rows))
    of_action = _Members(dict(zip(items.type.names, map(plain, items.flatten()), strict=True)), len(items))
    visit = {name: cells for name, cells in of_visit.shown.items() if name != "actionDetails"}
    is_first = pa.array(np.arange(len(origin)) == starts[origin])
    kinds = pc.fill_null(of_action.text("type"), "action")
    at = _same_kind(*(of_action.said(name) for name in _TIMES))
    told = at.is_valid().to_numpy(zero_copy_only=False)
    last = np.maximum.accumulate(np.where(told, np.arange(len(at)), -1)) if len(at) else np.zeros(0, np.int64)
    begun, ended = of_visit.said("firstActionTimestamp"), of_visit.said("lastActionTimestamp")
    at_end = np.where(np.diff(starts) > 0, last[starts[1:] - 1], -1) if len(at) else np.full(len(rows), -1)
    until = _same_kind(ended, _taken(at, at_end, starts[:-1]), begun)
    around = pa.array(origin)
    made = {
        **of_action.shown,
        "visit": pa.StructArray.from_arrays([one.take(around) for one in visit.values()], names=list(visit)),
        "_place": pa.array(np.arange(len(origin)) - starts[origin]),
        "_event": _called_columns(kinds, of_action),
        "_time": _same_kind(_taken(at, last, starts[origin]), begun.take(around)),
        "_is_inferred": pa.array(~told),
        "_until": until.take(around),
        "_from": _arrivals(of_visit, around, is_first),
        "_currency": pc.if_else(
            pc.is_in(kinds, _PURCHASES), of_visit.text("siteCurrency").take(around), None
        ),
    }
    return [(ColumnRows(rows.file, pa.table(made), rows.numbers[origin], is_sparse=True), origin)]


class _Members:
    """The members of objects, as columns; those that are not there are empty."""

    def __init__(self, columns: Mapping[str, pa.Array], size: int) -> None:
        self._columns = columns
        self._size = size

    @property
    def shown(self) -> dict[str, pa.Array]:
        """Those that say something, and not how it is shown."""
        return {name: cells for name, cells in self._columns.items() if not _SHOWN_ONLY.match(name)}

    def said(self, name: str) -> pa.Array:
        """A member; nothing, an empty text and the number 0 say nothing."""
        cells = self._columns.get(name)
        if cells is None or pa.types.is_nested(cells.type) or cells.null_count == self._size:
            return pa.nulls(self._size, pa.string())
        empty = "" if pa.types.is_string(cells.type) else pa.scalar(0).cast(cells.type)
        return pc.if_else(pc.equal(cells, empty), pa.scalar(None, cells.type), cells)

    def text(self, name: str) -> pa.Array:
        return texts(self.said(name))


def _same_kind(*columns: pa.Array) -> pa.Array:
    """The first of several that says something, as text where they are not of one type."""
    filled = [one for one in columns if one.null_count < len(one)] or [columns[0]]
    if len({one.type for one in filled}) > 1:
        filled = [texts(one) for one in filled]
    return pc.coalesce(*filled)


def _taken(cells: pa.Array, places: NDArray[np.int64], starts: NDArray[np.int64]) -> pa.Array:
    """The cells at some places; nothing where a place lies before the visit's start."""
    return cells.take(pa.array(places, mask=places < starts))


def _called_columns(kinds: pa.Array, actions: _Members) -> pa.Array:
    """What the actions are called."""
    for kind, name in (("event", "eventAction"), ("goal", "goalName")):
        own = pc.coalesce(actions.text(name), kinds)
        kinds = pc.if_else(pc.equal(kinds, kind), own, kinds)
    return kinds


def _arrivals(visits: _Members, around: pa.Array, is_first: pa.Array) -> pa.Array:
    """Where the visits came from, at their first actions."""
    kind, named = visits.text("referrerType"), visits.text("referrerName")
    is_campaign = pc.fill_null(pc.equal(kind, _CAMPAIGN), False)
    is_direct = pc.fill_null(pc.equal(kind, "direct"), False)
    found = {
        "referrer": visits.text("referrerUrl"),
        "source": pc.coalesce(visits.text("campaignSource"), pc.if_else(is_campaign, None, named)),
        "medium": pc.coalesce(visits.text("campaignMedium"), pc.if_else(is_direct, None, kind)),
        "campaign": pc.coalesce(visits.text("campaignName"), pc.if_else(is_campaign, named, None)),
        "term": pc.coalesce(visits.text("campaignKeyword"), visits.text("referrerKeyword")),
        "content": visits.text("campaignContent"),
    }
    cells = [pc.if_else(is_first, one.take(around), pa.scalar(None, one.type)) for one in found.values()]
    return pa.StructArray.from_arrays(cells, names=list(found))


_VISITS: Final = Events(
    columns={
        "event": "_event",
        "timestamp": "_time",
        "anonymous_id": "visit.visitorId",
        "user_id": "visit.userId",
        "session_id": joined("visit.idSite", "visit.idVisit"),
        "seq": "_place",
        "received_at": "_until",
        "event_id": joined("visit.idSite", "visit.idVisit", "_place"),
        "url": "url",
        "path": path("url"),
        "referrer": "_from.referrer",
        **{f"utm_{one}": f"_from.{one}" for one in ("source", "medium", "campaign", "term", "content")},
        "order_id": "orderId",
        "value": first("revenue", "eventValue"),
        "currency": "_currency",
        "channel": "=web",
    },
    also={"device": each(_device, "visit.deviceType")},
    aside=("_is_inferred", "type"),
    inferred=each(bool, "_is_inferred"),
)


def _of_xml(file: InputFile) -> Iterator[ObjectRows]:
    """Visits that the reporting API wrote as XML, some at a time."""
    held: list[dict[str, Any]] = []
    n_rows = 0
    with file.open() as stream:
        inside: list[ET.Element] = []
        try:
            for event, element in ET.iterparse(stream, events=("start", "end")):  # noqa: S314 - as for other logs in XML
                if event == "start":
                    inside.append(element)
                    continue
                inside.pop()
                if len(inside) != 1:
                    continue
                said = _said(element)
                if not isinstance(said, dict):
                    raise InputError(
                        f"{file.shown!r} holds no visits but {element.tag}: {element.get('message', said)}."
                    )
                held.append(said)
                inside[0].clear()
                if len(held) == _VISITS_AT_ONCE:
                    yield _numbered(file, held, n_rows)
                    n_rows += len(held)
                    held = []
        except ET.ParseError as fault:
            raise InputError(f"{file.shown!r} is damaged or cut off: {fault}.") from fault
    yield _numbered(file, held, n_rows)


def _numbered(file: InputFile, rows: list[dict[str, Any]], before: int) -> ObjectRows:
    return ObjectRows(file.shown, rows, np.arange(before + 1, before + len(rows) + 1))


def _said(element: ET.Element) -> object:
    """An element as JSON would say it: `row`s are a list, other elements members, all else is text."""
    inside = list(element)
    if not inside:
        return element.text
    if all(one.tag == "row" for one in inside):
        return [_said(one) for one in inside]
    return {one.tag: _said(one) for one in inside}


# Tables of the database


def _tidied(rows: Rows) -> Rows:
    """The rows with the bytes of a visitor's id as digits, also where they could be read as a text."""
    if not isinstance(rows, ColumnRows):
        return rows
    table = rows.table
    for place, one in enumerate(table.schema):
        if pa.types.is_binary(one.type) or pa.types.is_large_binary(one.type):
            table = table.set_column(place, one.name, hexadecimal(table[one.name]))
    return replace(rows, table=table)


def _visitor(value: object) -> str | None:
    """A visitor's id as 16 hexadecimal digits; the database holds 8 bytes."""
    text = value.hex() if isinstance(value, bytes) else one_text(value)
    return text.lower().removeprefix("0x") if text else None


def _content(name: object, touched: object) -> str | None:
    return None if not name else "contentInteraction" if touched else "contentImpression"


def _kind(content: object, action: object, url: object, name: object) -> str:
    if content:
        return str(content)
    kind = _KINDS.get(key_text(url) or "") or _KINDS.get(key_text(name) or "")
    return str(action or kind or "action")


def _address(name: object, prefix: object) -> str | None:
    """An address; its beginning is stored as a number."""
    return None if name is None else _PREFIXES.get(key_text(prefix) or "", "") + str(name)


_SQL_URL: Final = each(
    _address,
    looked_up("log_action", "idaction_url", "name"),
    looked_up("log_action", "idaction_url", "url_prefix"),
)
_IS_FIRST: Final = each(lambda one: key_text(one) in {"0", None}, "idaction_url_ref")
_BOUGHT: Final = each(lambda goal: _ORDERS.get(key_text(goal) or ""), "idgoal")


def _visit(name: str) -> Saying:
    return looked_up("log_visit", "idvisit", name)


def _action(of: str, name: str = "name") -> Saying:
    return looked_up("log_action", f"idaction_{of}", name)


def _named(kind: str) -> Saying:
    """The name of an action, where it is a page's title, or what was searched for."""
    return each(
        lambda name, of_kind: name if key_text(of_kind) == kind else None,
        _action("name"),
        _action("name", "type"),
    )


_CAME: Final = told(each(key_text, _visit("referer_type")), _CAME_BY)
_IS_CAMPAIGN: Final = each(lambda one: one == _CAMPAIGN, _CAME)
_ARRIVAL: Final[dict[str, Where]] = {
    "referrer": _visit("referer_url"),
    "utm_source": first(_visit("campaign_source"), whenever(unless(_IS_CAMPAIGN), _visit("referer_name"))),
    "utm_medium": first(_visit("campaign_medium"), _CAME),
    "utm_campaign": first(_visit("campaign_name"), whenever(_IS_CAMPAIGN, _visit("referer_name"))),
    "utm_term": first(_visit("campaign_keyword"), _visit("referer_keyword")),
    "utm_content": _visit("campaign_content"),
}
"""Where a visit came from; campaigns stand in columns of their own only where a plugin adds them."""


_OF_VISIT: Final[dict[str, Where]] = {
    "anonymous_id": each(_visitor, "idvisitor").lifting(),
    "user_id": _visit("user_id"),
    "session_id": joined("idsite", "idvisit"),
    "timestamp": "server_time",
    "received_at": first(_visit("visit_last_action_time"), "server_time"),
    "channel": "=web",
}
_ON: Final = each(lambda code: _device(_DEVICE_CODES.get(key_text(code) or "")), _visit("config_device_type"))
_LINKS: Final = Events(
    columns={
        **_OF_VISIT,
        "event": each(
            _kind,
            each(_content, _action("content_name"), _action("content_interaction")),
            _action("event_action"),
            _action("url", "type"),
            _action("name", "type"),
        ),
        "event_id": joined("=link", "idsite", "idlink_va"),
        "seq": "idlink_va",
        "url": _SQL_URL,
        "path": path(_SQL_URL),
        "value": whenever(filled(_action("event_action")), "custom_float"),
        **{name: whenever(_IS_FIRST, where) for name, where in _ARRIVAL.items()},
    },
    also={
        "device": _ON,
        "page_title": _named(_TITLE),
        "search_keyword": _named(_KEYWORD),
        "event_category": _action("event_category"),
        "event_name": _action("event_name"),
    },
    aside=(
        "idaction_url", "idaction_url_ref", "idaction_name", "idaction_name_ref", "idaction_event_action",
        "idaction_event_category", "idaction_event_name", "idaction_content_name",
        "idaction_content_interaction",
    ),
)  # fmt: skip
_CONVERSIONS: Final = Events(
    columns={
        **_OF_VISIT,
        "event": first(_BOUGHT, looked_up("goal", joined("idsite", "idgoal"), "name"), "=goal"),
        "event_id": first(
            whenever(filled(_BOUGHT), joined("=purchase", "idsite", "idvisit")),
            joined("=conversion", "idsite", "idvisit", "idgoal", first("buster", "=0")),
        ),
        "url": "url",
        "path": path("url"),
        "order_id": "idorder",
        "value": "revenue",
        "currency": whenever(filled(_BOUGHT), looked_up("site", "idsite", "currency")),
    },
    also={"device": _ON},
)
_MATOMO: Final = Vendor(
    name="matomo",
    title="Matomo",
    kind="clickstream",
    copies=PER_ORDER,
    written=CsvFormat(empty=("NULL", r"\N")),
    parts={
        "visits": Part(
            told_by=("idVisit", "visitorId"),
            unfold=_actions,
            by_columns=_by_columns,
            events=(_VISITS,),
            traits={"country": "visit.country", "city": "visit.city"},
            customer="visit.userId",
            time="_time",
        ),
        "log_link_visit_action": Part(
            told_by=("idlink_va", "server_time"), names=("piwik_log_link_visit_action",), events=(_LINKS,)
        ),
        "log_conversion": Part(
            told_by=("idgoal", "idvisit", "server_time"),
            names=("piwik_log_conversion",),
            events=(_CONVERSIONS,),
        ),
        "log_action": Part(told_by=("idaction", "name"), names=("piwik_log_action",), key="idaction"),
        "log_visit": Part(
            told_by=("idvisit", "visit_first_action_time"),
            names=("piwik_log_visit",),
            key="idvisit",
            newest="visit_last_action_time",
        ),
        "log_conversion_item": Part(
            told_by=("idorder", "idaction_sku"), names=("piwik_log_conversion_item",)
        ),
        "goal": Part(
            told_by=("idgoal", "name", "match_attribute"),
            names=("piwik_goal",),
            key=joined("idsite", "idgoal"),
        ),
        "site": Part(told_by=("idsite", "main_url"), names=("piwik_site",), key="idsite"),
    },
    required=("visits", "log_link_visit_action", "log_conversion"),
    tidied=_tidied,
)


def matomo(
    source: object,
    *,
    site: int | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "matomo",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    r"""Read Matomo visits, or the tables of its database.

    **Where it comes from.** *The reporting API*: the answers of `Live.getLastVisitsDetails` as JSON, one
    object per visit with its `actionDetails`, as XML, or as CSV, which spreads the actions over columns. *The
    database*: its tables `log_link_visit_action`, `log_action`, `log_visit`, and, if there are goals or a
    shop, `log_conversion`, `goal` and `site`, as Parquet, CSV or JSON lines under their names in one folder.

    **What becomes what.** Each action of a visit is an event: an event of Matomo under its own action
    (`eventAction`), a goal under its name, all else under its kind (`action` is a page, `search`, `download`,
    `outlink`, `ecommerceOrder`, `ecommerceAbandonedCart`, `contentImpression`). `visitorId` is
    `anonymous_id`, `userId` is `user_id`; `session_id` is site and visit. `orderId` and `revenue` are
    `order_id` and `value`. Referrer and campaign are those of the visit and stand at its first action. What
    is known of the visit stands under `visit` in `properties`; the kind of device is the column `device`. The
    database also gives the columns `page_title`, `search_keyword`, `event_category` and `event_name`, and
    orders have the currency of their `site`.

    **Traps.** A visit may be exported again while it is open: of copies that agree in visit and place (in the
    database: in the number of the action, or in the visit for orders and carts) the one of the latest state
    stays. A cart that was abandoned so far gives way to the order that it became, and orders of different
    `orderId` are never copies, so that tables may be exported day by day. Visits of the reporting API must be
    whole, not cut at an instant. Which items an order had is told by the reporting API only. In CSV, `NULL`
    and `\N` mean that there is nothing. An order that carries no time has that of the action before it
    (`time_quality` *inferred*). Times of the database are UTC. `idvisitor` is stored as 8 bytes and read as
    16 hexadecimal digits; the beginning of an address is stored as a number and put in front of it again. One
    database serves many sites: say `site=`.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    site : int, optional
        Read this site only; the actions of others are excluded.
    keep : sequence of str, or mapping of str to type
        Fields that become typed columns, for example `["pageTitle", "visit.country"]`.
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
        No such file; not an export of Matomo.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> action = {"type": "action", "url": "https://shop.example/lamp", "timestamp": 1740823200}
    >>> visits = {"idSite": [1], "idVisit": [7], "visitorId": ["a1b2c3d4e5f60718"],
    ...           "actionDetails": [[action]]}
    >>> batch = next(cjm.loaders.matomo(visits).batches())
    >>> batch.events.select(["anonymous_id", "event", "path", "session_id"]).to_pylist()
    [{'anonymous_id': 'a1b2c3d4e5f60718', 'event': 'action', 'path': '/lamp', 'session_id': '1:7'}]
    """
    vendor = _MATOMO
    if is_location(source) and all(
        ".xml" in PurePath(one.shown).suffixes for one in find_files(source, "json")
    ):
        vendor = replace(vendor, reader=_of_xml)
    if site is not None:
        wanted = each(
            lambda visited, stored: str(site) in {str(visited), str(stored)}, "visit.idSite", "idsite"
        )
        parts = {
            part: replace(one, events=tuple(replace(events, where=wanted) for events in one.events))
            for part, one in vendor.parts.items()
        }
        vendor = replace(vendor, parts=parts)
    return vendor.stream(source, keep=keep, name=name, format=format)
