"""Product analytics: the raw exports of Amplitude, Mixpanel and PostHog."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics.loaders.mapping import (
    Saying,
    bot,
    column,
    each,
    every,
    filled,
    first,
    is_uuid,
    joined,
    path,
    told,
    unless,
    utm,
    whenever,
)
from cjm_analytics.loaders.opened import as_object
from cjm_analytics.loaders.ratings import Scale, is_nps_question
from cjm_analytics.loaders.times import Clock
from cjm_analytics.loaders.values import one_text, texts
from cjm_analytics.loaders.vendor import Events, Part, Vendor
from cjm_analytics.schema import INVITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cjm_analytics.loaders.mapping import Cells, Sides, Where
    from cjm_analytics.loaders.ratings import Scores
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


# Ids that calls join

_Pair: TypeAlias = "tuple[str | None, str | None, str | None]"
"""Two ids and the kind of link between them, as in `schema.LINK_KINDS`."""


def _sorted_pair(one: str | None, other: str | None) -> _Pair:
    """Of two ids the device's first; of two persons the first was merged into the second."""
    if not one or not other:
        return None, None, None
    if is_uuid(one) != is_uuid(other):
        return (one, other, None) if is_uuid(one) else (other, one, None)
    return one, other, "alias" if is_uuid(one) else "merge"


def _half(
    calls: Sequence[str],
    joins: Callable[..., _Pair],
    told_by: Sequence[Where],
    place: int,
    *,
    kind: str | None = None,
) -> Saying:
    """One of the ids that calls join by a link of some kind; the first that tells is the call's name."""
    sayings = [column(one) for one in told_by]

    def read(cells: Cells) -> pa.Array:
        names = texts(cells.of(sayings[0]))
        at = np.flatnonzero(pc.is_in(names, value_set=pa.array(calls)))
        found: list[str | None] = [None] * len(names)
        if len(at):  # which is seldom
            said = [cells.of(one).take(pa.array(at)).to_pylist() for one in sayings]
            for row, one in zip(at.tolist(), zip(*said, strict=True), strict=True):
                pair = joins(*one)
                found[row] = pair[place] if pair[2] == kind else None
        return pa.array(found, pa.string())

    return Saying(read, tuple(dict.fromkeys(name for one in sayings for name in one.reads)))


# Amplitude

_AMPLITUDE_URL: Final = first(
    "event_properties.[Amplitude] Page URL", "event_properties.page_url", "event_properties.url"
)
_NO_CONTACTS: Final = ("$identify", "$groupidentify")
_AMPLITUDE_ID: Final = joined("=amplitude", "amplitude_id")
_NO_COST: Final = unless(each(lambda one: str(one).lower().endswith("_ads"), "library"))
_AMPLITUDE: Final = Vendor(
    name="amplitude",
    title="Amplitude",
    kind="clickstream",
    parts={
        "merged_ids": Part(
            told_by=("merged_amplitude_id", "amplitude_id"),
            aliases=((joined("=amplitude", "merged_amplitude_id"), _AMPLITUDE_ID),),
            time="merge_time",
        ),
        "event_types": Part(told_by=("totals_delta", "name")),
        "events": Part(
            told_by=("event_type", "event_time"),
            names=("event",),
            events=(
                Events(
                    where=every(_NO_COST, each(lambda one: one not in _NO_CONTACTS, "event_type")),
                    columns={
                        "event": "event_type",
                        "timestamp": first("event_time", "client_event_time"),
                        "received_at": "server_received_time",
                        "anonymous_id": "device_id",
                        "user_id": "user_id",
                        "seq": first("event_id", "id"),
                        "event_id": first(
                            joined(first("$insert_id", "_insert_id"), "device_id"),
                            "uuid",
                            first("$insert_id", "_insert_id"),
                        ),
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
                (_AMPLITUDE_ID, "user_id"),
                (_address("user_properties.email", "user_properties.$email"), "user_id"),
            ),
            aliases=(("device_id", whenever(unless(filled("user_id")), _AMPLITUDE_ID)),),
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

    Of two users that Amplitude merged, what was anonymous of one becomes the other's. Calls that set
    properties (`$identify`, `$groupidentify`) are no contacts and are excluded.

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
_MIXPANEL_NAME: Final = first("event", "event_name", "name")


_DISTINCTS: Final = "properties.$distinct_ids"


def _merged(event: object, alias: object, distinct: object, ids: object) -> _Pair:
    """What a call of the original identity merge joins."""
    said = as_object(ids) if event == "$merge" else [alias, distinct]
    if not isinstance(said, list) or len(said) != 2:  # noqa: PLR2004 - a merge joins two
        return None, None, None
    one, other = (one_text(id_) for id_ in said)
    return _sorted_pair(one and one.removeprefix(_ANONYMOUS), other and other.removeprefix(_ANONYMOUS))


def _processed(*names: str) -> Saying:
    """When an event was processed, in milliseconds; a number that is no time says nothing."""
    one = _found(*names)

    def read(cells: Cells) -> pa.Array:
        found = cells.of(one)
        return pc.if_else(pc.match_substring_regex(found, r"^\d{12,}$"), found, pa.scalar(None, pa.string()))

    return replace(one, read=read)


_MERGED: Final = partial(
    _half, ("$create_alias", "$merge"), _merged, (_MIXPANEL_NAME, _found("alias"), _DISTINCT, _DISTINCTS)
)
_MIXPANEL_EVENTS: Final = Part(
    told_by=("event", "properties"),
    names=("event",),
    events=(
        Events(
            where=each(lambda one: str(one) not in _BOOKKEEPING, _MIXPANEL_NAME),
            columns={
                "event": _MIXPANEL_NAME.lifting(),
                "timestamp": first("properties.time", "time"),
                "received_at": _processed("mp_processing_time_ms", "$mp_api_timestamp_ms"),
                "anonymous_id": _MIXPANEL_DEVICE.lifting("properties.$device_id", "device_id"),
                "user_id": _MIXPANEL_USER.lifting("properties.$user_id", "properties.distinct_id"),
                "event_id": joined(
                    _found("$insert_id"), first(_found("$distinct_id_before_identity"), _DISTINCT)
                ),
                "url": _MIXPANEL_URL,
                "path": path(_MIXPANEL_URL),
                "referrer": _found("$referrer"),
                "channel": told(
                    first(
                        *(f"properties.{one}" for one in ("mp_lib", "$mp_lib", "$lib")),
                        "mp_lib",
                        _found("$os"),
                    ),
                    _CHANNELS,
                ),
                **_money("properties"),
                **{name: _found(str(where)) for name, where in utm().items()},
            },
            spread=("properties",),
            aside=("properties.$insert_id", "insert_id", "distinct_id", "_file", "_line"),
        ),
    ),
    links=(
        (_found("$anon_id"), _found("$identified_id")),
        (_found("$identified_id"), _found("$identified_id")),
        (_MERGED(0), _MERGED(1)),
        (_found("$distinct_id_before_identity"), _MIXPANEL_USER),
        (_address(_found("$email")), _MIXPANEL_USER),
    ),
    merges=((_MERGED(0, kind="merge"), _MERGED(1, kind="merge")),),
    aliases=((_MERGED(0, kind="alias"), _MERGED(1, kind="alias")),),
    time=first("properties.time", "time"),
)


def _resolved(place: int, *, kind: str | None = None) -> Saying:
    """An id, or the one that it stands for, where the link between them is of some kind."""

    def half(distinct: object, resolved: object) -> str | None:
        pair = _sorted_pair(
            *(one and one.removeprefix(_ANONYMOUS) for one in map(one_text, (distinct, resolved)))
        )
        return pair[place] if pair[2] == kind else None

    return each(half, "distinct_id", "resolved_distinct_id")


_MIXPANEL: Final = Vendor(
    name="mixpanel",
    title="Mixpanel",
    kind="clickstream",
    dedupe=("event", "event_id", "timestamp"),
    copies="latest",
    parts={
        "events": _MIXPANEL_EVENTS,
        "copied": replace(_MIXPANEL_EVENTS, told_by=("distinct_id", "time"), names=("mp_master_event",)),
        "identities": Part(
            told_by=("distinct_id", "resolved_distinct_id"),
            names=("identity_mappings", "mp_identity_mappings_data_view"),
            links=((_resolved(0), _resolved(1)),),
            merges=((_resolved(0, kind="merge"), _resolved(1, kind="merge")),),
            aliases=((_resolved(0, kind="alias"), _resolved(1, kind="alias")),),
        ),
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

    **Where it comes from.** The raw export API (`/api/2.0/export`): one object per line, `{"event": …,
    "properties": {…}}`. Also the tables of a data pipeline or of a warehouse copy as CSV, JSON lines or
    Parquet (`event_name` or `name`, `time`, `distinct_id`, the other properties as JSON text or columns); put
    the table of identities (`distinct_id`, `resolved_distinct_id`) beside them if there is one.

    **What becomes what.** `event` is the event, `properties.time` its time, `mp_processing_time_ms` is
    `received_at`. `$user_id` is `user_id` and `$device_id` is `anonymous_id`; where they are absent,
    `distinct_id` is a device's if it begins with `$device:` or reads like a UUID, and else a person's.
    `$insert_id` with `distinct_id` (the one from before a merge) is `event_id`. `url`, `path`, `referrer`,
    `utm_*`, `order_id`, `value` and `currency` come from the properties; all others stay in `properties`.
    `channel` is web or app, as the library or the system says.

    `$identify`, `$create_alias` and `$merge` are no contacts: they become identity links and are counted as
    excluded; so does `$distinct_id_before_identity`, which any event may carry. An address (`$email`) is
    linked to the person.

    **Traps.** The export is not free of duplicates: rows that agree in event, `distinct_id`, time and
    `$insert_id` are one event, and of copies the one with the latest `mp_processing_time_ms` stays. `time` is
    in seconds, or in milliseconds if exported with `time_in_ms=true`; a file that mixes both is refused.
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
            vendor,
            clock=Clock(tz=project_tz),
            parts={part: _at_home(one) if one.events else one for part, one in vendor.parts.items()},
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
_IS_IDENTIFY: Final = each(lambda event: event == "$identify", "event")
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


_PAIRED: Final = ("$create_alias", "$merge_dangerously")


def _pair(_: object, alias: object, distinct: object) -> _Pair:
    """What a call joins; it may name them either way."""
    return _sorted_pair(one_text(alias), one_text(distinct))


_PAIR: Final = partial(_half, _PAIRED, _pair, ("event", "properties.alias", "distinct_id"))


def _persons(rows: list[dict[str, Any]], _: Sides) -> Iterator[tuple[int, dict[str, Any]]]:
    """The ids of a person, each with the one by which it is known, and what is known of the person.

    Rows may be versions of one another: of an id the last one says whose it is, of a person the last one
    says what is known.
    """
    owner: dict[str, tuple[int, int]] = {}
    state: dict[str, tuple[int, int]] = {}
    for place, row in enumerate(rows):
        distinct, person = one_text(row.get("distinct_id")), one_text(row.get("person_id"))
        versions = [_version(row.get(name)) for name in ("person_distinct_id_version", "person_version")]
        if distinct is None or person is None or None in versions:
            yield place, {"_wrong": "no distinct_id, no person_id, or a version that is no number"}
            continue
        of_id, of_person = ((version or 0, place) for version in versions)
        owner[distinct] = max(owner.get(distinct, of_id), of_id)
        state[person] = max(state.get(person, of_person), of_person)
    people: dict[str, list[tuple[str, int]]] = {}
    for distinct, (_version_of_id, place) in owner.items():
        if str(rows[place].get("is_deleted") or 0).lower() not in {"1", "true"}:
            people.setdefault(str(rows[place]["person_id"]), []).append((distinct, place))
    for person, ids in people.items():
        known = min((one for one, _ in ids if not is_uuid(one)), default=None)
        about = as_object(rows[state[person][1]].get("properties"))
        for one, place in ids:
            said: dict[str, Any] = {"_user": known, "_person": person}
            if known is None:
                said["_device"] = one
            elif one == known:
                said["_about"] = about
            else:
                said["_alias" if is_uuid(one) else "_former"] = one
            yield place, said


def _version(cell: object) -> int | None:
    try:
        return int(float(str(cell))) if cell not in (None, "") else 0
    except ValueError:
        return None


# PostHog's surveys

_NPS: Final = Scale.of("nps")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_SHOWN, _SENT = "survey shown", "survey sent"
_RESPONSE: Final = "$survey_response"
_REPLY: Final = pa.struct(
    [
        ("instrument", pa.string()),
        ("question", pa.string()),
        ("score", pa.float64()),
        ("score_min", pa.float64()),
        ("score_max", pa.float64()),
        ("comment", pa.string()),
    ]
)


def _questions(told: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """(id, text, answer) of the questions of a survey; an answer stands under the id or the number of one."""
    listed = told.get("$survey_questions")
    asked = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    seen: set[str] = set()
    for place, one in enumerate(asked):
        keys = [f"{_RESPONSE}_{one.get('id')}", f"{_RESPONSE}_{place}" if place else _RESPONSE]
        seen.update(keys)
        answers = (told.get(key) for key in keys)
        answer = next((cell for cell in answers if cell not in (None, "")), one.get("response"))
        yield str(one.get("id") or place), str(one.get("question") or ""), answer
    for key in sorted(told):
        if key.startswith(_RESPONSE) and key not in seen:
            yield key.removeprefix(_RESPONSE).removeprefix("_") or "0", "", told[key]


def _reply(event: object, told: Mapping[str, Any], scales: Mapping[str, Scale]) -> dict[str, Any]:
    """What somebody answered, or was asked: the first rating, and the first words."""
    of_survey = next(
        (scales[str(told[one])] for one in ("$survey_id", "$survey_name") if str(told.get(one)) in scales),
        None,
    )
    if event == _SHOWN:
        return {"instrument": of_survey.instrument if of_survey else None}
    found: dict[str, Any] = {}
    for key, text, answer in _questions(told):
        if answer in (None, "", []):
            continue
        is_number = isinstance(answer, int | float | str) and _NUMBER.fullmatch(str(answer)) is not None
        scale = scales.get(key) or scales.get(text) or (_NPS if is_nps_question(text) else None)
        scale = scale or (of_survey if is_number else None)
        if scale is not None and is_number:
            found = {**scale.rated(answer, text or key), "question": text or key, **found}
        elif isinstance(answer, str):
            found.setdefault("comment", answer)
    return found


def _replies(scales: Mapping[str, Scale]) -> Saying:
    """What the rows that are about surveys say, and nothing for all others."""

    def read(cells: Cells) -> pa.Array:
        events = texts(cells["event"])
        at = np.flatnonzero(pc.is_in(events, value_set=pa.array([_SHOWN, _SENT])))
        found: list[dict[str, Any] | None] = [None] * len(events)
        rows = pa.array(at)
        for place, event, cell in zip(
            at.tolist(),
            events.take(rows).to_pylist(),
            cells["properties"].take(rows).to_pylist(),
            strict=True,
        ):
            about = as_object(cell)
            found[place] = _reply(event, about if isinstance(about, dict) else {}, scales)
        return pa.array(found, _REPLY)

    return Saying(read, ("event", "properties"))


def _posthog(scales: Mapping[str, Scale]) -> Vendor:
    replies = _replies(scales)

    def said(name: str) -> Saying:
        return Saying(lambda cells: pc.struct_field(cells.of(replies), name), replies.reads)

    shared: dict[str, Where] = {
        "timestamp": "timestamp",
        "received_at": first("_inserted_at", "inserted_at", "created_at"),
        "anonymous_id": _POSTHOG_DEVICE.lifting("properties.$device_id"),
        "user_id": _POSTHOG_USER.lifting("properties.$user_id", "distinct_id"),
        "event_id": "uuid",
        "session_id": "properties.$session_id",
        "url": "properties.$current_url",
        "path": path("properties.$current_url"),
        "referrer": each(lambda one: None if one == "$direct" else one, "properties.$referrer").lifting(),
        "channel": told("properties.$lib", _CHANNELS),
        "survey_id": "properties.$survey_id",
        "is_bot": bot(first("properties.$raw_user_agent", "properties.$user_agent")),
        **utm("properties."),
    }
    aside = ("elements_chain", "elements", "team_id", "_inserted_at", "inserted_at")
    return Vendor(
        name="posthog",
        title="PostHog",
        kind="clickstream",
        copies="latest",
        asked=(scales,),
        parts={
            "events": Part(
                told_by=("event", "distinct_id", "timestamp"),
                events=(
                    Events(
                        where=each(lambda one: one not in {*_POSTHOG_BOOKKEEPING, _SHOWN, _SENT}, "event"),
                        columns={**shared, "event": "event", **_money("properties")},
                        spread=("properties",),
                        aside=aside,
                    ),
                    Events(
                        where=each(lambda one: one in {_SHOWN, _SENT}, "event"),
                        columns={
                            **shared,
                            "event": told("event", {_SHOWN: INVITE, _SENT: "survey_response"}).lifting(),
                            "actor": told("event", {_SHOWN: "company"}, "customer"),
                            **{name: said(name) for name in _REPLY.names if name != "question"},
                        },
                        also={"question": said("question")},
                        spread=("properties",),
                        aside=aside,
                        kind="survey",
                    ),
                ),
                links=(
                    (whenever(_IS_IDENTIFY, "properties.$anon_distinct_id"), "distinct_id"),
                    (_PAIR(0), _PAIR(1)),
                    (whenever(_CLAIMED, "distinct_id"), whenever(_CLAIMED, "distinct_id")),
                    (
                        _address("properties.$set.email", "properties.$set.$email"),
                        whenever(_CLAIMED, "distinct_id"),
                    ),
                ),
                merges=((_PAIR(0, kind="merge"), _PAIR(1, kind="merge")),),
                aliases=((_PAIR(0, kind="alias"), _PAIR(1, kind="alias")),),
                time="timestamp",
            ),
            "persons": Part(
                told_by=("distinct_id", "person_id"),
                names=("person",),
                links=(("_alias", "_user"), (_address("_about.email", "_about.$email"), "_user")),
                merges=(("_former", "_user"),),
                aliases=(("_device", joined("=posthog", "_person")),),
                traits={
                    "country": "_about.$geoip_country_name",
                    "city": "_about.$geoip_city_name",
                    "initial_referring_domain": "_about.$initial_referring_domain",
                    "initial_utm_source": "_about.$initial_utm_source",
                },
                customer="_user",
                together=_persons,
            ),
        },
    )


def posthog(
    source: object,
    *,
    scores: Scores | None = None,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "posthog",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read a PostHog batch export or download: events, and the persons behind their ids.

    **Where it comes from.** A batch export to S3, Google Cloud Storage or a warehouse, or a download, of the
    model *events* as Parquet or JSON lines; put the model *persons* (which id belongs to whom today) into
    the same folder if you have it.

    **What becomes what.** `event` is the event, `timestamp` its time, `_inserted_at` (else `created_at`) is
    `received_at`, `uuid` is `event_id` (of copies the one inserted last stays), `$session_id` is
    `session_id`. PostHog has one field for anonymous and known ids: `distinct_id` is a device's where it
    equals `$device_id` or reads like a UUID and nothing says that it was identified (`$identify`,
    `$is_identified`), and else a person's. `$device_id` is `anonymous_id`. `url`, `path`, `referrer`,
    `utm_*`, `order_id`, `value` and `currency` come from the properties, which stand in `properties` by
    themselves; `person_properties` is kept beside them. `channel` is web or app, as the library says;
    `is_bot` comes from the user agent where there is one.

    A survey that was shown is a `survey_invite`, one that was sent a `survey_response`, both with
    `survey_id`: `score` is the answer to its first question on a known scale (those of `scores=`, and
    questions that ask how likely a recommendation is), `comment` the first answer in words; all others stay
    in `properties`. `survey dismissed` is an event like others.

    `$identify`, `$create_alias`, `$merge_dangerously`, `$groupidentify` and `$set` are no contacts: they
    become identity links and are counted as excluded; two known ids that were joined count as one. An address
    that is set (`$set.email`) is linked to who was identified. Persons give a link from each of their ids to
    the one by which they are known; of several versions of an id or a person the last one counts. Place and
    origin of persons become attributes of the customer.

    **Traps.** Rows of an export are never updated: ids that PostHog merged later are one person only with
    the model *persons*, or when an `$identify` in the export says so. Times without a zone are UTC.
    `$pageleave` and `$autocapture` are events like others: hide them in the journey model if they tell
    nothing. Downloads hold at most a week.

    Parameters
    ----------
    source : path, glob, folder, list of paths, URL, or table
        The export.
    scores : mapping, optional
        Survey (id or name) or question (id or text) → instrument: `nps`, `csat` (1…5), `ces` (1…7), `stars`
        (1…5), or, with other ends, `("csat", 1, 7)`. Invites of a survey ask for the instrument of the
        survey.
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
    UnknownNameError
        No such instrument.

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
    scales = {one: Scale.of(said) for one, said in (scores or {}).items()}
    return _posthog(scales).stream(source, keep=keep, name=name, format=format)
