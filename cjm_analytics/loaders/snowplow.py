"""Snowplow: enriched events, as the pipeline writes them or as a warehouse holds them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.errors import InputError
from cjm_analytics.loaders.csv_files import CsvFormat
from cjm_analytics.loaders.files import find_files, is_location
from cjm_analytics.loaders.mapping import (
    bot,
    device,
    each,
    every,
    filled,
    first,
    joined,
    told,
    truths,
    unless,
    whenever,
    without,
)
from cjm_analytics.loaders.opened import objects_of, structs
from cjm_analytics.loaders.rows import ColumnRows, ObjectRows
from cjm_analytics.loaders.values import texts
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.rows import Rows
    from cjm_analytics.loaders.source import EventStream

__all__ = ["snowplow"]

_FIELDS: Final = """
    app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker
    v_tracker v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx
    network_userid geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name
    ip_isp ip_organization ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme
    page_urlhost page_urlport page_urlpath page_urlquery page_urlfragment refr_urlscheme refr_urlhost
    refr_urlport refr_urlpath refr_urlquery refr_urlfragment refr_medium refr_source refr_term mkt_medium
    mkt_source mkt_term mkt_content mkt_campaign contexts se_category se_action se_label se_property
    se_value unstruct_event tr_orderid tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state
    tr_country ti_orderid ti_sku ti_name ti_category ti_price ti_quantity pp_xoffset_min pp_xoffset_max
    pp_yoffset_min pp_yoffset_max useragent br_name br_family br_version br_type br_renderengine br_lang
    br_features_pdf br_features_flash br_features_java br_features_director br_features_quicktime
    br_features_realplayer br_features_windowsmedia br_features_gears br_features_silverlight br_cookies
    br_colordepth br_viewwidth br_viewheight os_name os_family os_manufacturer os_timezone dvce_type
    dvce_ismobile dvce_screenwidth dvce_screenheight doc_charset doc_width doc_height tr_currency
    tr_total_base tr_tax_base tr_shipping_base ti_currency ti_price_base base_currency geo_timezone
    mkt_clickid mkt_network etl_tags dvce_sent_tstamp refr_domain_userid refr_device_tstamp derived_contexts
    domain_sessionid derived_tstamp event_vendor event_name event_format event_version event_fingerprint
    true_tstamp
""".split()  # noqa: SIM905 - a table reads better without 131 pairs of quotes
"""The fields of an enriched event, in their order."""

_ENTITY: Final = re.compile(r"(contexts|unstruct_event)_(.+?)((?:_\d+)+)$")
_SCHEMA: Final = re.compile(r"iglu:([^/]+)/([^/]+)/")
_OWN: Final = re.compile(r"com_snowplowanalytics_(?:snowplow|mobile)(?:_|$)(?:ecommerce_)?")
_STARTS_BARE: Final = re.compile(rb"(?:[^\t\n]*\t){2}\d{4}-\d\d-\d\d[ T][\d:.]+Z?\t")
"""How an enriched event begins: application, platform, and the time of the step that wrote it."""

_NOBODY: Final = ("00000000-0000-0000-0000-000000000000",)
_SAYS_ROBOT: Final = (
    ("com_iab_snowplow_spiders_and_robots", "spiderOrRobot"),
    ("bot_detection", "bot"),
    ("client_side_bot_detection", "bot"),
)
"""Entities, and which of their members is true of a robot: any of them is enough."""
_FROM_OUTSIDE: Final = ("search", "social", "email", "paid", "chatbot")
_CHANNELS: Final = {"web": "web", "mob": "app", "app": "app", "pc": "app", "tv": "app", "cnsl": "app"}


def _tidied(rows: Rows) -> Rows:
    """The rows with the data of their entities by name, whichever layout they have."""
    if isinstance(rows, ObjectRows):
        return replace(rows, objects=[_opened(row) for row in rows.objects])
    if not isinstance(rows, ColumnRows):
        return rows
    told = [name for name in rows.names() if _holds_entities(name)]
    columns = {name: rows.table.column(place) for place, name in enumerate(rows.names()) if name not in told}
    found = _by_columns({name: rows.column(name) for name in told}, len(rows))
    if found is None:
        return ObjectRows(
            rows.file, [_opened(row) for row in objects_of(rows)], rows.numbers, None, rows.broken
        )
    return replace(rows, table=pa.table({**columns, **found}))


# Column by column


def _by_columns(told: Mapping[str, pa.Array], size: int) -> dict[str, pa.Array] | None:
    """What self-describing columns say, as columns; None where rows must be looked at one by one."""
    about: dict[str, pa.Array] = {}
    said: dict[str, pa.Array] = {}
    for column, cells in told.items():
        if cells.null_count == size:
            continue
        kind, name = _entity(column)
        found = {name: _single(cells)} if name else _by_schema(cells)
        if found is None or None in found.values() or not about.keys().isdisjoint(found):
            return None
        if kind == "contexts" or column in {"contexts", "derived_contexts"}:
            about |= found
            continue
        for data in found.values():
            if data is None or not _is_struct(data):
                return None
            members = dict(zip(data.type.names, data.flatten(), strict=True))
            if not said.keys().isdisjoint(members):
                return None
            said |= members
    return {**_derived(about, size), "data": _together(said, size), "contexts": _together(about, size)}


def _together(members: Mapping[str, pa.Array], size: int) -> pa.Array:
    if not members:
        return pa.nulls(size)
    return pa.StructArray.from_arrays(list(members.values()), names=list(members))


def _derived(about: Mapping[str, pa.Array], size: int) -> dict[str, pa.Array]:
    def member(entity: str, name: str) -> pa.Array:
        cells = about.get(entity)
        names = cells.type.names if cells is not None and _is_struct(cells) else ()
        there = next((one for one in (name, _spelt(name)) if one in names), None)
        return pa.nulls(size, pa.string()) if there is None else pc.struct_field(cells, there)

    robot = np.logical_or.reduce([truths(member(entity, name)) for entity, name in _SAYS_ROBOT])
    agent = pc.starts_with(texts(member("nl_basjes_yauaa_context", "agentClass")), "Robot")
    return {
        "_device": member("client_session", "userId"),
        "_session": member("client_session", "sessionId"),
        "_robot": pc.or_(pa.array(robot), pc.fill_null(agent, False)),
        "_order": member("transaction", "transaction_id"),
        "_revenue": member("transaction", "revenue"),
        "_currency": member("transaction", "currency"),
    }


def _is_struct(cells: pa.Array) -> bool:
    return bool(pa.types.is_struct(cells.type))


def _single(cells: pa.Array) -> pa.Array | None:
    """An entity of a warehouse, which stands in a list, alone."""
    if _is_struct(cells):
        return cells
    if not pa.types.is_list(cells.type) or not pa.types.is_struct(cells.type.value_type):
        return None
    lengths = pc.fill_null(pc.list_value_length(cells), 0)
    if pc.max(lengths).as_py() > 1:
        return None
    flat = cells.flatten()
    at = pc.if_else(pc.equal(lengths, 1), pc.subtract(pc.cumulative_sum(lengths), 1), None)
    return flat.take(at)


def _by_schema(cells: pa.Array) -> dict[str, pa.Array] | None:
    """`{schema, data}`, or a list of such under `data`, as a column for each schema's name."""
    outer = cells if _is_struct(cells) else structs(cells)
    if outer is None or outer.type.names != ["schema", "data"]:
        return None
    items = pc.struct_field(outer, "data")
    parents = np.arange(len(items))
    if pa.types.is_list(items.type):
        parents = pc.list_parent_indices(items).to_numpy()
        items = items.flatten()
    if not _is_struct(items) or items.type.names != ["schema", "data"]:
        return None
    schemas = pc.dictionary_encode(pc.struct_field(items, "schema"))
    names = [_called(one) for one in schemas.dictionary.to_pylist()]
    codes = pc.fill_null(schemas.indices, -1).to_numpy()
    data = pc.struct_field(items, "data")
    if not _is_struct(data) or None in names or len(set(names)) < len(names):
        return None
    found: dict[str, pa.Array] = {}
    for code, name in enumerate(names):
        mine = np.flatnonzero(codes == code)
        if len(np.unique(parents[mine])) < len(mine):
            return None  # several of one kind, such as the products of an order
        at = np.full(len(cells), -1, np.int64)
        at[parents[mine]] = mine
        one = data.take(pa.array(at, mask=at < 0))
        filled = {
            inner: values
            for inner, values in zip(one.type.names, one.flatten(), strict=True)
            if values.null_count < len(values)
        }
        if filled and name:
            found[name] = pa.StructArray.from_arrays(
                list(filled.values()), names=list(filled), mask=one.is_null()
            )
    return found


# Row by row


def _opened(row: dict[str, Any]) -> dict[str, Any]:
    told = [name for name in row if _holds_entities(name)]
    left = {name: value for name, value in row.items() if name not in told}
    return left | _entities((name, _parsed(row[name])) for name in told)


@cache
def _holds_entities(column: str) -> bool:
    return column in {"contexts", "derived_contexts", "unstruct_event"} or _ENTITY.match(column) is not None


@cache
def _entity(column: str) -> tuple[str, str]:
    """Of a warehouse's column whether it is an entity or the event, and its name."""
    found = _ENTITY.match(column)
    return (found[1], _OWN.sub("", found[2])) if found else ("", "")


def _entities(told: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """What the self-describing columns of a row say."""
    about: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for column, value in told:
        if not value:
            continue
        kind, called = _entity(column)
        is_event = column == "unstruct_event" or kind == "unstruct_event"
        for name, data in [(called, _one(value))] if kind else _self_described(value):
            if not is_event:
                about[name] = data if name not in about else [*_several(about[name]), *_several(data)]
            elif isinstance(data, dict):
                said |= data
    session = about.get("client_session")
    order = about.get("transaction")
    robot = any(_member(about.get(entity), name) for entity, name in _SAYS_ROBOT)
    yauaa = _member(about.get("nl_basjes_yauaa_context"), "agentClass")
    return {
        "data": said or None,
        "contexts": about or None,
        "_device": _member(session, "userId"),
        "_session": _member(session, "sessionId"),
        "_robot": robot or str(yauaa or "").startswith("Robot"),
        "_order": _member(order, "transaction_id"),
        "_revenue": _member(order, "revenue"),
        "_currency": _member(order, "currency"),
    }


def _self_described(found: object) -> Iterator[tuple[str, Any]]:
    """(name, data) of `{schema, data}`, or of each of a list of such under `data`."""
    if isinstance(found, list):
        for one in found:
            yield from _self_described(one)
    elif isinstance(found, dict):
        name = _called(str(found.get("schema")))
        if name:
            yield name, found.get("data")
        else:
            yield from _self_described(found.get("data"))


@cache
def _called(schema: str) -> str | None:
    """The name of an entity by its schema; None for what only holds others."""
    found = _SCHEMA.match(schema)
    if found is None or found[2] in {"contexts", "unstruct_event"}:
        return None
    return _OWN.sub("", f"{found[1].replace('.', '_')}_{found[2]}")


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _one(value: object) -> object:
    """An entity stands in a list, mostly alone."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _member(entity: object, name: str) -> object:
    """A member by its name, or as warehouses spell it; of several entities that of the first."""
    entity = next(iter(_several(entity)), None)
    if not isinstance(entity, dict):
        return None
    return entity[name] if name in entity else entity.get(_spelt(name))


@cache
def _spelt(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _path(location: object, query: object) -> str | None:
    return None if location is None else f"{location}?{query}" if query else str(location)


def _name(event: object, name: object, action: object, kind: object) -> object:
    """Structured events and those of shops are called by their action, all others by their name."""
    if name == "snowplow_ecommerce_action" and isinstance(kind, str):
        return kind
    return action if event == "struct" and action else name or event


_USER: Final = without("user_id", _NOBODY)
_DEVICE: Final = first(
    without("domain_userid", _NOBODY), without("_device", _NOBODY), without("network_userid", _NOBODY)
)
_IS_MARKED: Final = filled(first("mkt_source", "mkt_medium", "mkt_campaign"))
_CLICKED: Final = whenever(every(filled("mkt_clickid"), unless(_IS_MARKED)), "=cpc")
_NETWORK: Final = whenever(
    filled(_CLICKED), each(lambda network: network and str(network).lower(), "mkt_network")
)
"""Where an advertisement was clicked whose address says no more than that."""

_REFERRED: Final = every(
    unless(filled(first("mkt_source", "mkt_medium", "mkt_campaign", "mkt_clickid"))),
    each(lambda medium: medium in _FROM_OUTSIDE, "refr_medium"),
)
"""Where nothing is marked, but the pipeline knows the page that a visitor came from."""

_EVENTS: Final = Events(
    columns={
        "event": each(_name, "event", "event_name", "se_action", "data.type").lifting(
            "event", "event_name", "se_action"
        ),
        "timestamp": first("true_tstamp", "derived_tstamp", "collector_tstamp"),
        "received_at": "collector_tstamp",
        "anonymous_id": _DEVICE.lifting("domain_userid", "_device"),
        "user_id": _USER,
        "event_id": first(joined("event_id", "event_fingerprint"), "event_id").lifting("event_fingerprint"),
        "session_id": first(
            "domain_sessionid", "_session", joined("domain_userid", "domain_sessionidx")
        ).lifting("domain_sessionid", "_session"),
        "channel": told("platform", _CHANNELS),
        "url": "page_url",
        "path": each(_path, "page_urlpath", "page_urlquery").lifting(),
        "referrer": "page_referrer",
        "utm_source": first("mkt_source", _NETWORK, whenever(_REFERRED, "refr_source")),
        "utm_medium": first("mkt_medium", _CLICKED, whenever(_REFERRED, "refr_medium")),
        "utm_campaign": "mkt_campaign",
        "utm_term": first("mkt_term", whenever(_REFERRED, "refr_term")),
        "utm_content": "mkt_content",
        "order_id": first("tr_orderid", "ti_orderid", "_order"),
        "value": first("tr_total", "_revenue", "se_value"),
        "currency": first("tr_currency", "_currency"),
        "is_bot": each(lambda one, agent: bool(one) or bool(agent), "_robot", bot("useragent")).lifting(
            "_robot"
        ),
    },
    also={"device": device("useragent")},
    spread=("data",),
    aside=(
        "etl_tstamp", "dvce_created_tstamp", "dvce_sent_tstamp", "load_tstamp", "event_vendor",
        "event_format", "event_version", "page_urlscheme", "page_urlhost", "page_urlport",
        "page_urlfragment", "name_tracker", "v_tracker", "v_collector", "v_etl", "_order", "_revenue",
        "_currency",
    ),
)  # fmt: skip
_SNOWPLOW: Final = Vendor(
    name="snowplow",
    title="Snowplow",
    kind="clickstream",
    parts={
        "events": Part(
            told_by=("event_id", "collector_tstamp"),
            events=(_EVENTS,),
        )
    },
    may_be_nameless=True,
    tidied=_tidied,
)
_NO_HEARTBEAT: Final = each(lambda event: event != "page_ping", "event")


def snowplow(
    source: object,
    *,
    page_pings: bool = False,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "snowplow",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read Snowplow enriched events.

    **Where it comes from.** *The stream or its archive*: tab-separated lines of 131 fields without a header,
    as the enrich step writes them (`enriched/good/…`). *A warehouse*: the table `atomic.events` as Parquet,
    CSV or JSON lines, with its own column for each self-describing event and entity
    (`unstruct_event_<vendor>_<name>_<version>`, `contexts_…`). Which of both it is, is told by the first
    line. Redshift and Postgres keep entities in tables of their own: join them first if you need them.

    **What becomes what.** The event is `event_name`, of structured events their action (`se_action`), and of
    the actions of a shop (`snowplow_ecommerce_action`) their `type`, such as `add_to_cart`. Its time is
    `true_tstamp` if it was set, else `derived_tstamp`, which corrects the device's clock; `collector_tstamp`
    is `received_at`. `domain_userid` is `anonymous_id`, in apps the `userId` of the `client_session` entity
    (which is a device), else `network_userid`; `user_id` is `user_id`; `domain_sessionid` or the entity's
    `sessionId` is `session_id`. `url`, `path` (with query), `referrer` and the `mkt_…` marks have their
    columns; where nothing is marked, a click on an advertisement (`mkt_clickid`) is `cpc` of its network, and
    a page of search, social media or mail that Snowplow knows (`refr_medium`, `refr_source`, `refr_term`) is
    the origin; `tr_orderid` and `tr_total`, or the `transaction` entity, are `order_id` and `value`, else
    `se_value` is the value. The data of a self-describing event stand in `properties` by themselves, entities
    under `contexts.<name>`, in a list where there are several of a kind, such as products. `device` and
    `is_bot` come from the user agent, the latter also from the enrichments for robots.

    **Traps.** Delivery is *at least once*: rows of the same `event_id` and `event_fingerprint` are one event,
    the earliest received stays. The same `event_id` with another fingerprint is another event (often of a
    robot). `page_ping` is a heartbeat, no contact, and excluded. Ids of zeros belong to users who were made
    anonymous; rows without any id are excluded and counted as `nameless`. Times carry no zone and are UTC.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    page_pings : bool
        Whether heartbeats are events, too.
    keep : sequence of str, or mapping of str to type
        Fields, members of the event's data, or of entities: `["targetUrl", "contexts.web_page.id"]`.
    name : str
        The `source` column.
    format : str, optional
        csv (also for tab-separated), json or parquet, where a file's ending does not tell.

    Returns
    -------
    EventStream
        For `cjm.ingest`.

    Raises
    ------
    InputError
        No such file; not an export of Snowplow.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"event_id": ["e1"], "event": ["page_view"], "event_name": ["page_view"],
    ...         "domain_userid": ["d1"], "collector_tstamp": ["2025-03-01 10:00:00.500"],
    ...         "derived_tstamp": ["2025-03-01 10:00:00.250"], "page_urlpath": ["/lamp"]}
    >>> batch = next(cjm.loaders.snowplow(rows).batches())
    >>> batch.events.select(["anonymous_id", "event", "path"]).to_pylist()
    [{'anonymous_id': 'd1', 'event': 'page_view', 'path': '/lamp'}]
    """
    vendor = _SNOWPLOW
    if not page_pings:
        part = vendor.parts["events"]
        vendor = replace(
            vendor, parts={"events": replace(part, events=(replace(_EVENTS, where=_NO_HEARTBEAT),))}
        )
    if is_location(source) and _is_bare(source, format):
        vendor = replace(vendor, written=CsvFormat(sep="\t", quote="", names=tuple(_FIELDS)))
    return vendor.stream(source, keep=keep, name=name, format=format)


def _is_bare(source: object, format: str | None) -> bool:  # noqa: A002 - the user's word
    """Whether the files hold tab-separated fields without a header."""
    file = find_files(source, format, mixed=True)[0]  # type: ignore[arg-type]
    if file.format != "csv":
        return False
    with file.open() as stream:
        line = bytes(stream.read(1 << 16)).lstrip(b"\xef\xbb\xbf").partition(b"\n")[0]
    fields = line.rstrip(b"\r").split(b"\t")
    if len(fields) < len(_FIELDS) and _STARTS_BARE.match(line):
        raise InputError(
            f"{file.shown!r} has no header, and {len(fields)} fields between tabs in its first line: an "
            f"enriched event has {len(_FIELDS)}. Name the fields in a header, if they are others."
        )
    return len(fields) >= len(_FIELDS) and b"event_id" not in fields
