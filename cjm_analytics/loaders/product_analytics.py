"""Product analytics: the raw exports of Amplitude, Mixpanel and PostHog."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.mapping import (
    Saying,
    each,
    first,
    is_uuid,
    joined,
    path,
    told,
    unless,
    utm,
    whenever,
)
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Cells, Sides, Where
    from cjm_analytics.loaders.source import EventStream

__all__ = ["amplitude", "mixpanel", "posthog"]

_CHANNELS: Final = {
    "web": "web", "js": "web", "posthog-js": "web", "ios": "app", "android": "app", "react-native": "app",
    "react native": "app", "flutter": "app", "swift": "app", "unity": "app", "posthog-ios": "app",
    "posthog-android": "app", "posthog-react-native": "app", "posthog-flutter": "app", "iphone": "app",
}  # fmt: skip
_AMOUNTS: Final = ("revenue", "$revenue", "total", "amount", "value")
_ORDERS: Final = ("order_id", "orderId", "transaction_id")


def _money(head: str) -> dict[str, Where]:
    """What an event was worth, as its properties say."""
    return {
        "order_id": first(*(f"{head}.{one}" for one in _ORDERS)),
        "value": first(*(f"{head}.{one}" for one in _AMOUNTS)),
        "currency": f"{head}.currency",
    }


def _address(*wheres: Where) -> Saying:
    """An e-mail address as an id."""
    return each(
        lambda one: f"email:{str(one).strip().lower()}" if one and "@" in str(one) else None, first(*wheres)
    )


# Amplitude

_AMPLITUDE_URL: Final = first(
    "event_properties.[Amplitude] Page URL", "event_properties.page_url", "event_properties.url"
)
_NO_COST: Final = unless(each(lambda one: str(one).lower().endswith("_ads"), "library"))
_AMPLITUDE: Final = Vendor(
    name="amplitude",
    title="Amplitude",
    kind="clickstream",
    parts={
        "merged_ids": Part(
            told_by=("merged_amplitude_id", "amplitude_id"),
            links=(
                (joined("=amplitude", "merged_amplitude_id"), joined("=amplitude", "amplitude_id")),
            ),
            time="merge_time",
        ),
        "event_types": Part(told_by=("totals_delta", "name")),
        "events": Part(
            told_by=("event_type", "event_time"),
            names=("event",),
            events=(
                Events(
                    where=_NO_COST,
                    columns={
                        "event": "event_type",
                        "timestamp": first("event_time", "client_event_time"),
                        "received_at": "server_received_time",
                        "anonymous_id": "device_id",
                        "user_id": "user_id",
                        "seq": first("event_id", "id"),
                        "event_id": joined(first("$insert_id", "_insert_id", "uuid"), "device_id"),
                        "session_id": joined(
                            "device_id", each(lambda one: None if str(one) == "-1" else one, "session_id")
                        ),
                        "url": _AMPLITUDE_URL,
                        "path": path(_AMPLITUDE_URL),
                        "referrer": first(
                            "event_properties.[Amplitude] Page Referrer", "event_properties.referrer"
                        ),
                        "channel": told("platform", _CHANNELS),
                        **_money("event_properties"),
                        **utm("event_properties."),
                    },
                    spread=("event_properties",),
                    aside=(
                        "$insert_id", "_insert_id", "uuid", "client_event_time", "client_upload_time",
                        "server_upload_time", "processed_time", "$schema", "schema",
                    ),
                ),
            ),
            links=(
                (joined("=amplitude", "amplitude_id"), "user_id"),
                (_address("user_properties.email", "user_properties.$email"), "user_id"),
            ),
            time="event_time",
        ),
    },
)  # fmt: skip


def amplitude(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "amplitude",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read an Amplitude export: raw events, and the ids that Amplitude merged.

    **Where it comes from.** The Export API (or *Settings → Projects → Export data*), a zip of one gzip file
    per hour of upload, one event per line (`187520_2025-03-10_8#0.json.gz`): unzip it, and give the folder.
    Also the S3 and Google Cloud Storage exports, the files of merged ids beside them
    (`-12345_2025-03-10_8.json.gz`), and tables of a warehouse copy as CSV or Parquet (`_insert_id`, the
    properties as JSON text).

    **What becomes what.** `event_type` is the event, `event_time` its time (Amplitude corrects the device's
    clock in it), `server_received_time` is `received_at`. `device_id` is `anonymous_id`. `$insert_id` with
    the device, else `uuid`, is `event_id`; what was sent twice is dropped at ingest. `session_id` is made
    unique with the device. `order_id`, `value`, `currency`, `utm_*`, `url` and `path` come from the event's
    properties, which stand in `properties` by themselves; `user_properties`, place and device are kept
    beside them, and an address in them (`email`) is linked to the user id. Web, or app for iOS and Android,
    is the `channel`.

    **Traps.** Times have no zone in their text: they are UTC. The hours of the files are hours of upload: an
    event may stand days after its time. A `session_id` of −1 is no session. Daily costs of advertisements
    (`library` `google_ads` and its kin) are no touchpoints and are excluded. `user_properties` are as of the
    upload.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Properties that become typed columns, for example `["plan", "user_properties.Cohort", "country"]`.
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
        No such file; not an export of Amplitude.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"event_type": ["search"], "event_time": ["2025-03-01 10:00:00.250000"], "device_id": ["d1"],
    ...         "session_id": [1740823200000], "platform": ["Web"]}
    >>> batch = next(cjm.loaders.amplitude(rows).batches())
    >>> batch.events.select(["anonymous_id", "event", "channel", "session_id"]).to_pylist()
    [{'anonymous_id': 'd1', 'event': 'search', 'channel': 'web', 'session_id': 'd1:1740823200000'}]
    """
    return _AMPLITUDE.stream(source, keep=keep, name=name, format=format)


# Mixpanel

_ANONYMOUS: Final = "$device:"
_BOOKKEEPING: Final = ("$identify", "$create_alias", "$merge")


def _found(*names: str) -> Saying:
    """A reserved property: in the export below `properties`, in a warehouse copy a column without sign."""
    return first(*(f"properties.{one}" for one in names), *(one.removeprefix("$") for one in names))


def _person(user: object, distinct: object, device: object) -> str | None:
    """The known id of a row; None where it only has a device's."""
    text = str(distinct or "")
    is_device = not text or text.startswith(_ANONYMOUS) or text == str(device) or is_uuid(text)
    return str(user) if user else None if is_device else text


def _device(distinct: object, device: object) -> str | None:
    text = str(distinct or "").removeprefix(_ANONYMOUS)
    return str(device) if device else text if text != distinct or is_uuid(text) else None


_DISTINCT: Final = _found("distinct_id")
_MIXPANEL_USER: Final = each(_person, _found("$user_id"), _DISTINCT, _found("$device_id"))
_MIXPANEL_DEVICE: Final = each(_device, _DISTINCT, _found("$device_id"))
_MIXPANEL_URL: Final = _found("$current_url")
_MIXPANEL_NAME: Final = first("event", "name")


def _merged(ids: object) -> tuple[str | None, str | None]:
    """Of two ids that were merged, the device's and the person's."""
    if not isinstance(ids, list) or len(ids) != 2:  # noqa: PLR2004 - a merge joins two
        return None, None
    alias, person = sorted(map(str, ids), key=lambda one: (not is_uuid(one.removeprefix(_ANONYMOUS)), one))
    return alias.removeprefix(_ANONYMOUS), None if is_uuid(person) else person


_MIXPANEL_EVENTS: Final = Part(
    told_by=("event", "properties"),
    names=("event",),
    events=(
        Events(
            where=each(lambda one: str(one) not in _BOOKKEEPING, _MIXPANEL_NAME),
            columns={
                "event": _MIXPANEL_NAME.lifting("event", "name"),
                "timestamp": first("properties.time", "time"),
                "received_at": first("properties.mp_processing_time_ms", "properties.$mp_api_timestamp_ms"),
                "anonymous_id": _MIXPANEL_DEVICE.lifting("properties.$device_id", "device_id"),
                "user_id": _MIXPANEL_USER.lifting("properties.$user_id", "properties.distinct_id"),
                "event_id": joined(_found("$insert_id"), _DISTINCT),
                "url": _MIXPANEL_URL,
                "path": path(_MIXPANEL_URL),
                "referrer": _found("$referrer"),
                "channel": told(
                    first("properties.mp_lib", "properties.$lib", "mp_lib", "properties.$os"),
                    _CHANNELS,
                ),
                **_money("properties"),
                **utm("properties."),
            },
            spread=("properties",),
            aside=("properties.$insert_id", "insert_id", "distinct_id", "_file", "_line"),
        ),
    ),
    links=(
        (_found("$anon_id"), _found("$identified_id")),
        (_found("alias"), whenever(each(lambda one: one == "$create_alias", "event"), _DISTINCT)),
        (
            each(lambda ids: _merged(ids)[0], "properties.$distinct_ids"),
            each(lambda ids: _merged(ids)[1], "properties.$distinct_ids"),
        ),
        (_found("$distinct_id_before_identity"), _MIXPANEL_USER),
        (_address(_found("$email")), _MIXPANEL_USER),
    ),
    time=first("properties.time", "time"),
)
_MIXPANEL: Final = Vendor(
    name="mixpanel",
    title="Mixpanel",
    kind="clickstream",
    dedupe=("event", "event_id", "timestamp"),
    parts={
        "events": _MIXPANEL_EVENTS,
        "copied": replace(_MIXPANEL_EVENTS, told_by=("distinct_id", "time")),
    },
)


def mixpanel(
    source: object,
    *,
    project_tz: str | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "mixpanel",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read a Mixpanel raw export.

    **Where it comes from.** The raw export API (`/api/2.0/export`) or a data pipeline: one object per line,
    `{"event": …, "properties": {…}}`. Also tables of a warehouse copy as CSV or Parquet (`name`, `time`,
    `distinct_id`, the other properties as JSON text or columns).

    **What becomes what.** `event` is the event, `properties.time` its time, `mp_processing_time_ms` is
    `received_at`. `$user_id` is `user_id` and `$device_id` is `anonymous_id`; where they are absent,
    `distinct_id` is a device's if it begins with `$device:` or reads like a UUID, and else a person's.
    `$insert_id` with `distinct_id` is `event_id`. `url`, `path`, `referrer`, `utm_*`, `order_id`, `value`
    and `currency` come from the properties; all others stay in `properties`. `channel` is web or app, as the
    library or the system says.

    `$identify`, `$create_alias` and `$merge` are no contacts: they become identity links and are counted as
    excluded; so does `$distinct_id_before_identity`, which any event may carry. An address (`$email`) is
    linked to the person.

    **Traps.** The export is not free of duplicates: rows that agree in event, `distinct_id`, time and
    `$insert_id` are one event, and of copies with different `mp_processing_time_ms` one stays. `time` is in
    seconds, or in milliseconds if exported with `time_in_ms=true`; a file that mixes both is refused.
    Projects made before 2023 may write `time` as the clock of the project's zone showed it: check one event
    that you know, and say `project_tz="Europe/Berlin"` if it is off.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    project_tz : str, optional
        Zone of the project, if its times are local; default: UTC.
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
        No such file; not an export of Mixpanel; seconds and milliseconds in one file.
    UnknownNameError
        No such time zone.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"event": ["search"], "properties": [
    ...     {"time": 1740823200, "distinct_id": "$device:d1", "$insert_id": "e1", "plan": "free"}]}
    >>> batch = next(cjm.loaders.mixpanel(rows).batches())
    >>> batch.events.select(["anonymous_id", "event", "properties"]).to_pylist()
    [{'anonymous_id': 'd1', 'event': 'search', 'properties': '{"plan":"free"}'}]
    """
    vendor = _MIXPANEL
    if project_tz is not None:
        vendor = replace(
            vendor, clock=Clock(tz=project_tz), parts={"events": _at_home(vendor.parts["events"])}
        )
    return vendor.stream(source, keep=keep, name=name, format=format)


def _at_home(part: Part) -> Part:
    """The part with times that are local although they are written as instants."""
    written = first("properties.time", "time")

    def read(cells: Cells) -> pa.Array:
        instants = Clock(tz="UTC").read(
            written.read(cells), cells.rows.numbers, column="time", file=cells.rows.file
        )
        return pc.cast(instants.values, pa.timestamp("us"))

    local = Saying(read, written.reads, written.lifts)
    (events,) = part.events
    return replace(
        part, time=local, events=(replace(events, columns={**events.columns, "timestamp": local}),)
    )


# PostHog

_POSTHOG_BOOKKEEPING: Final = ("$identify", "$create_alias", "$groupidentify", "$set", "$merge_dangerously")
_CLAIMED: Final = each(
    lambda event, is_identified: event == "$identify" or str(is_identified).lower() == "true",
    "event",
    "properties.$is_identified",
)
_POSTHOG_USER: Final = first(
    "properties.$user_id",
    whenever(_CLAIMED, "distinct_id"),
    each(
        lambda distinct, device: None if distinct == device or is_uuid(distinct) else distinct,
        "distinct_id",
        "properties.$device_id",
    ),
)
_POSTHOG_DEVICE: Final = first(
    "properties.$device_id", each(lambda one: one if is_uuid(one) else None, "distinct_id")
)


def _persons(rows: list[dict[str, Any]], _: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """The ids of a person, each with the one by which it is known."""
    newest: dict[str, tuple[int, int, str]] = {}
    for place, row in enumerate(rows):
        version = int(row.get("person_distinct_id_version") or 0)
        found = (version, place, str(row.get("person_id")))
        newest[str(row["distinct_id"])] = max(newest.get(str(row["distinct_id"]), found), found)
    people: dict[str, list[tuple[int, str]]] = {}
    for distinct, (_version, place, person) in newest.items():
        people.setdefault(person, []).append((place, distinct))
    for ids in people.values():
        known = min((one for _, one in ids if not is_uuid(one)), default=None)
        for place, one in ids:
            if known and one != known:
                yield place, {"alias": one, "user_id": known}


_POSTHOG: Final = Vendor(
    name="posthog",
    title="PostHog",
    kind="clickstream",
    parts={
        "events": Part(
            told_by=("event", "distinct_id", "timestamp"),
            events=(
                Events(
                    where=each(lambda one: one not in _POSTHOG_BOOKKEEPING, "event"),
                    columns={
                        "event": "event",
                        "timestamp": "timestamp",
                        "received_at": first("created_at", "_inserted_at", "inserted_at"),
                        "anonymous_id": _POSTHOG_DEVICE.lifting("properties.$device_id"),
                        "user_id": _POSTHOG_USER.lifting("properties.$user_id", "distinct_id"),
                        "event_id": "uuid",
                        "session_id": "properties.$session_id",
                        "url": "properties.$current_url",
                        "path": path("properties.$current_url"),
                        "referrer": each(
                            lambda one: None if one == "$direct" else one, "properties.$referrer"
                        ).lifting(),
                        "channel": told("properties.$lib", _CHANNELS),
                        "survey_id": "properties.$survey_id",
                        **_money("properties"),
                        **utm("properties."),
                    },
                    spread=("properties",),
                    aside=("elements_chain", "elements", "team_id", "_inserted_at", "inserted_at"),
                ),
            ),
            links=(
                ("properties.$anon_distinct_id", "distinct_id"),
                ("properties.alias", "distinct_id"),
                (whenever(_CLAIMED, "distinct_id"), whenever(_CLAIMED, "distinct_id")),
                (
                    _address("properties.$set.email", "properties.$set.$email"),
                    whenever(_CLAIMED, "distinct_id"),
                ),
            ),
            time="timestamp",
        ),
        "persons": Part(
            told_by=("distinct_id", "person_id"),
            names=("person",),
            links=(("alias", "user_id"),),
            together=_persons,
        ),
    },
)


def posthog(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "posthog",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read a PostHog batch export or download: events, and the persons behind their ids.

    **Where it comes from.** A batch export to S3, Google Cloud Storage or a warehouse, or a download, of the
    model *events* as Parquet or JSON lines; put the model *persons* (which id belongs to whom today) into
    the same folder if you have it.

    **What becomes what.** `event` is the event, `timestamp` its time, `created_at` (or `_inserted_at`) is
    `received_at`, `uuid` is `event_id`, `$session_id` is `session_id`. PostHog has one field for anonymous
    and known ids: `distinct_id` is a device's where it equals `$device_id` or reads like a UUID and nothing
    says that it was identified (`$identify`, `$is_identified`), and else a person's. `$device_id` is
    `anonymous_id`. `url`, `path`, `referrer`, `utm_*`, `order_id`, `value` and `currency` come from the
    properties, which stand in `properties` by themselves; `person_properties` is kept beside them. `channel`
    is web or app, as the library says. Events of surveys (`survey sent` and its kin) keep their names and
    have `survey_id`.

    `$identify`, `$create_alias`, `$groupidentify` and `$set` are no contacts: they become identity links and
    are counted as excluded. An address that is set (`$set.email`) is linked to who was identified. Persons
    give a link from each of their ids to the one by which they are known.

    **Traps.** Rows of an export are never updated: ids that PostHog merged later are one person only with
    the model *persons*, or when an `$identify` in the export says so. Times without a zone are UTC.
    `$pageleave` and `$autocapture` are events like others: hide them in the journey model if they tell
    nothing. Downloads hold at most a week.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    keep : sequence of str, or mapping of str to type
        Properties that become typed columns, for example `["plan", "$browser", "person_properties.tier"]`.
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
        No such file; not an export of PostHog.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = {"uuid": ["e1"], "event": ["$pageview"], "distinct_id": ["ann"],
    ...         "timestamp": ["2025-03-01 10:00:00"],
    ...         "properties": ['{"$device_id": "d1", "$current_url": "https://shop.example/lamp?x=1"}']}
    >>> batch = next(cjm.loaders.posthog(rows).batches())
    >>> batch.events.select(["anonymous_id", "user_id", "path"]).to_pylist()
    [{'anonymous_id': 'd1', 'user_id': 'ann', 'path': '/lamp?x=1'}]
    """
    return _POSTHOG.stream(source, keep=keep, name=name, format=format)
