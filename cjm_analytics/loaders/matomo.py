"""Matomo: visits with their actions, from its reporting API or from its database."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cjm_analytics.loaders.mapping import each, first, joined, looked_up, path, whenever
from cjm_analytics.loaders.values import one_text
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Where
    from cjm_analytics.loaders.source import EventStream

__all__ = ["matomo"]

_FLAT: Final = re.compile(r"actionDetails\D*(\d+)\W*_?(\w+)")
_SHOWN_ONLY: Final = re.compile(r".*(?:Icon|IconSVG|Pretty|Flag|iconSVG|icon)$")
_TIMES: Final = ("timestamp", "serverTimestamp")
_ORDERS: Final = {"0": "ecommerceOrder", "-1": "ecommerceAbandonedCart"}
_PREFIXES: Final = {"0": "http://", "1": "http://www.", "2": "https://", "3": "https://www."}
_KINDS: Final = {"1": "action", "2": "outlink", "3": "download", "8": "search"}


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
    for place, action in enumerate(one for one in actions if isinstance(one, dict)):
        told = next((action[name] for name in _TIMES if action.get(name)), None)
        yield {
            **{name: value for name, value in action.items() if not _SHOWN_ONLY.match(name)},
            "visit": about,
            "_place": place,
            "_event": _called(action),
            "_time": told or last,
            "_is_inferred": told is None,
            "_from": {} if place else _arrival(visit),
            "_currency": visit.get("siteCurrency") if action.get("type") in _ORDERS.values() else None,
        }
        last = told or last


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


_VISITS: Final = Events(
    columns={
        "event": "_event",
        "timestamp": "_time",
        "anonymous_id": "visit.visitorId",
        "user_id": "visit.userId",
        "session_id": joined("visit.idSite", "visit.idVisit"),
        "seq": "_place",
        "event_id": joined("visit.idSite", "visit.idVisit", "_place", "_event"),
        "url": "url",
        "path": path("url"),
        "referrer": "_from.referrer",
        **{f"utm_{one}": f"_from.{one}" for one in ("source", "medium", "campaign", "term", "content")},
        "order_id": "orderId",
        "value": first("revenue", "eventValue"),
        "currency": "_currency",
        "channel": "=web",
    },
    also={"device": each(lambda one: str(one).lower() if one else None, "visit.deviceType")},
    aside=("_is_inferred", "type"),
    inferred=each(bool, "_is_inferred"),
)


# Tables of the database


def _visitor(value: object) -> str | None:
    """A visitor's id as 16 hexadecimal digits; the database holds 8 bytes."""
    text = value.hex() if isinstance(value, bytes) else one_text(value)
    return text.lower().removeprefix("0x") if text else None


def _kind(action: object, url: object, name: object) -> str:
    return str(action or _KINDS.get(str(url)) or _KINDS.get(str(name)) or "action")


def _address(name: object, prefix: object) -> str | None:
    """An address; its beginning is stored as a number."""
    return None if name is None else _PREFIXES.get(str(prefix).removesuffix(".0"), "") + str(name)


_SQL_URL: Final = each(
    _address,
    looked_up("log_action", "idaction_url", "name"),
    looked_up("log_action", "idaction_url", "url_prefix"),
)
_IS_FIRST: Final = each(lambda one: str(one) in {"0", "None", ""}, "idaction_url_ref")
_BOUGHT: Final = each(lambda goal: _ORDERS.get(str(goal)), "idgoal")
_OF_VISIT: Final[dict[str, Where]] = {
    "anonymous_id": each(_visitor, "idvisitor").lifting(),
    "user_id": looked_up("log_visit", "idvisit", "user_id"),
    "session_id": joined("idsite", "idvisit"),
    "timestamp": "server_time",
    "channel": "=web",
}
_LINKS: Final = Events(
    columns={
        **_OF_VISIT,
        "event": each(
            _kind,
            looked_up("log_action", "idaction_event_action", "name"),
            looked_up("log_action", "idaction_url", "type"),
            looked_up("log_action", "idaction_name", "type"),
        ),
        "event_id": joined("=link", "idsite", "idlink_va"),
        "seq": "idlink_va",
        "url": _SQL_URL,
        "path": path(_SQL_URL),
        "referrer": whenever(_IS_FIRST, looked_up("log_visit", "idvisit", "referer_url")),
        "utm_source": whenever(
            _IS_FIRST,
            first(
                looked_up("log_visit", "idvisit", "campaign_source"),
                looked_up("log_visit", "idvisit", "referer_name"),
            ),
        ),
        **{
            f"utm_{one}": whenever(_IS_FIRST, looked_up("log_visit", "idvisit", f"campaign_{name}"))
            for one, name in (
                ("medium", "medium"), ("campaign", "name"), ("term", "keyword"), ("content", "content"),
            )
        },
    },
    also={"page_title": looked_up("log_action", "idaction_name", "name")},
)  # fmt: skip
_CONVERSIONS: Final = Events(
    columns={
        **_OF_VISIT,
        "event": first(_BOUGHT, looked_up("goal", "idgoal", "name"), "=goal"),
        "event_id": joined("=conversion", "idsite", "idvisit", "idgoal", first("idorder", "buster", "=0")),
        "url": "url",
        "path": path("url"),
        "order_id": "idorder",
        "value": "revenue",
    },
)
_MATOMO: Final = Vendor(
    name="matomo",
    title="Matomo",
    kind="clickstream",
    parts={
        "visits": Part(
            told_by=("idVisit", "visitorId"),
            unfold=_actions,
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
            told_by=("idvisit", "visit_first_action_time"), names=("piwik_log_visit",), key="idvisit"
        ),
        "goal": Part(told_by=("idgoal", "name", "match_attribute"), names=("piwik_goal",), key="idgoal"),
    },
    required=("visits", "log_link_visit_action", "log_conversion"),
)


def matomo(
    source: object,
    *,
    site: int | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "matomo",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read Matomo visits, or the tables of its database.

    **Where it comes from.** *The reporting API*: the answers of `Live.getLastVisitsDetails` as JSON, one
    object per visit with its `actionDetails`, or as CSV, which spreads the actions over columns. *The
    database*: its tables `log_link_visit_action`, `log_action`, `log_visit`, and, if there are goals or a
    shop, `log_conversion` and `goal`, as Parquet, CSV or JSON lines under their names in one folder.

    **What becomes what.** Each action of a visit is an event: an event of Matomo under its own action
    (`eventAction`), a goal under its name, all else under its kind (`action` is a page, `search`, `download`,
    `outlink`, `ecommerceOrder`, `ecommerceAbandonedCart`). `visitorId` is `anonymous_id`, `userId` is
    `user_id`; `session_id` is site and visit. `orderId` and `revenue` are `order_id` and `value`. Referrer
    and campaign are those of the visit and stand at its first action. What is known of the visit stands under
    `visit` in `properties`; the kind of device is the column `device`.

    **Traps.** A visit may be exported again while it is open: actions that came before are duplicates by
    their place in it. An order that carries no time has that of the action before it (`time_quality`
    *inferred*). Times of the database are UTC. `idvisitor` is stored as 8 bytes and read as 16 hexadecimal
    digits; the beginning of an address is stored as a number and put in front of it again. One database
    serves many sites: say `site=`.

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
