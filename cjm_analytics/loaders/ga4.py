"""Google Analytics 4, as its export to BigQuery writes it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from cjm_analytics.loaders.mapping import each, first, joined, path, told, without
from cjm_analytics.loaders.values import one_text
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.source import EventStream

__all__ = ["ga4"]

_NOTHING: Final = ("(not set)", "(none)", "(direct)", "(data deleted)", "")
_CHANNELS: Final = {"web": "web", "ios": "app", "android": "app"}
_TOLD_TWICE: Final = ("event_params", "user_properties")
_DAY: Final = re.compile(r"events_(\d{8})(?!\d)")
_INTRADAY: Final = re.compile(r"events_intraday_(\d{8})(?!\d)")
_PLACES: Final = ("batch_page_id", "batch_ordering_id", "batch_event_index")


def _opened(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row with its parameters by name, and what tells it from others."""
    params = _by_name(row.get("event_params"))
    about = _by_name(row.get("user_properties"))
    told_apart = [
        row.get("stream_id"), row.get("user_pseudo_id"), row.get("user_id"), row.get("event_name"),
        one_text(params.get("ga_session_id")), one_text(row.get("event_timestamp")),
        sorted((name, one_text(value) or "") for name, value in params.items()),
    ]  # fmt: skip
    digest = hashlib.blake2b(orjson.dumps(told_apart, default=str), digest_size=12).hexdigest()
    yield {**row, "event_params": params, "user_properties": about, "_key": digest, "_order": _order(row)}


def _by_name(listed: object) -> dict[str, Any]:
    """`[{key, value: {string_value, int_value, …}}]` as an object: of each value the one that is set."""
    if isinstance(listed, str):
        listed = orjson.loads(listed or "[]")
    found: dict[str, Any] = {}
    for one in listed if isinstance(listed, list) else []:
        value = one.get("value") or {}
        for kind in ("string_value", "int_value", "double_value", "float_value"):
            if value.get(kind) is not None:
                found[str(one.get("key"))] = _number(value[kind]) if kind == "int_value" else value[kind]
                break
    return found


def _number(value: object) -> object:
    """A whole number; BigQuery writes them as text into JSON."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def _order(row: Mapping[str, Any]) -> int | None:
    """One number in the order of page, batch and event, for events of the same instant."""
    try:
        page, batch, event = (int(row[name]) for name in _PLACES)
    except (KeyError, TypeError, ValueError):
        bundle = one_text(row.get("event_bundle_sequence_id"))
        return int(bundle) if bundle and bundle.lstrip("-").isdigit() else None
    return (page % (1 << 31) << 32) + (min(batch, 0xFFFF) << 16) + min(event, 0xFFFF)


def _repeated_days(paths: Sequence[str]) -> set[str]:
    """Tables of a running day whose complete day is there, too."""
    days = {found[1] for one in paths if (found := _DAY.search(one))}
    return {one for one in paths if (found := _INTRADAY.search(one)) and found[1] in days}


def _clicked(url: object, click: object) -> str | None:
    """`google` where the page was reached by a click on one of its advertisements."""
    return "google" if click or re.search(r"[?&]g(?:clid|braid)=.", str(url or "")) else None


_COLLECTED: Final = "collected_traffic_source.manual_"
_URL: Final = without("event_params.page_location", _NOTHING)
_SOURCE: Final = without(first("event_params.source", f"{_COLLECTED}source"), _NOTHING)
_AD: Final = each(_clicked, "event_params.page_location", "collected_traffic_source.gclid")
_EVENTS: Final = Events(
    columns={
        "event": "event_name",
        "timestamp": "event_timestamp",
        "anonymous_id": "user_pseudo_id",
        "user_id": without("user_id", _NOTHING),
        "seq": "_order",
        "event_id": "_key",
        "session_id": joined("user_pseudo_id", "stream_id", "event_params.ga_session_id"),
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
        "order_id": without(first("ecommerce.transaction_id", "event_params.transaction_id"), _NOTHING),
        "value": first("event_params.value", "ecommerce.purchase_revenue", "ecommerce.refund_value"),
        "currency": "event_params.currency",
    },
    also={"device": first("device.category")},
    spread=("event_params",),
    aside=(
        "event_date", "_key", "_order", *_PLACES, "event_bundle_sequence_id", "event_server_timestamp_offset",
        "event_previous_timestamp",
    ),
)  # fmt: skip
_GA4: Final = Vendor(
    name="ga4",
    title="Google Analytics 4",
    kind="clickstream",
    parts={"events": Part(told_by=("event_name", "event_timestamp"), unfold=_opened, events=(_EVENTS,))},
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
    table per day, `events_YYYYMMDD`. Export these to Parquet or JSON lines (`EXPORT DATA`, or `bq extract`),
    and give the folder. CSV cannot hold them. `loaders.sql` reads the tables directly if their parameters
    are selected as JSON text.

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
    `events_20250310` is there. An address with `gclid` and no source is an advertisement at Google. Without
    consent there is no `user_pseudo_id`: rows with neither id are excluded and counted as `nameless`.
    `event_date` is in the zone of the property and is not used. A thank-you page that is loaded again repeats
    a `purchase` with its `transaction_id`: the journey model tells repeated goals apart by `order_id`.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Parameters and fields that become typed columns: `["engagement_time_msec", "geo.country"]`.
    name : str
        The `source` column.
    format : str, optional
        json or parquet, where a file's ending does not tell.

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
