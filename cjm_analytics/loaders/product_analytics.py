"""Product analytics: the raw exports of Amplitude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cjm_analytics.loaders.mapping import each, first, joined, path, told
from cjm_analytics.loaders.vendor import Events, Part, Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cjm_analytics.loaders.source import EventStream

__all__ = ["amplitude"]

_URL: Final = first("event_properties.[Amplitude] Page URL", "event_properties.page_url")

_AMPLITUDE: Final = Vendor(
    name="amplitude",
    title="Amplitude",
    kind="clickstream",
    parts={
        "merged_ids": Part(told_by=("merged_amplitude_id", "amplitude_id"), time="merge_time"),
        "events": Part(
            told_by=("event_type", "event_time"),
            events=(
                Events(
                    columns={
                        "event": "event_type",
                        "timestamp": first("event_time", "client_event_time"),
                        "received_at": "server_received_time",
                        "anonymous_id": "device_id",
                        "user_id": "user_id",
                        "seq": "event_id",
                        "event_id": joined(first("$insert_id", "uuid"), "device_id"),
                        "session_id": joined(
                            "device_id", each(lambda one: one if one != -1 else None, "session_id")
                        ),
                        "url": _URL,
                        "path": path(_URL),
                        "channel": told("platform", {"web": "web", "ios": "app", "android": "app"}),
                        "order_id": "event_properties.order_id",
                        "value": first("event_properties.revenue", "event_properties.value"),
                        "currency": "event_properties.currency",
                    },
                    spread=("event_properties",),
                    aside=(
                        "client_upload_time",
                        "server_upload_time",
                        "processed_time",
                        "$insert_id",
                        "uuid",
                    ),
                ),
            ),
        ),
    },
)


def amplitude(
    source: object,
    *,
    keep: Sequence[str] | Mapping[str, type] = (),
    name: str = "amplitude",
    format: str | None = None,  # noqa: A002 - the user's word
) -> EventStream:
    """Read an Amplitude export."""
    return _AMPLITUDE.stream(source, keep=keep, name=name, format=format)
