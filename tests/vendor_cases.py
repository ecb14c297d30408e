"""One small story, told in the layout of each vendor, and where the long one lies among the real samples.

The story: device d1 sees a page a second before the clocks in Berlin go forward (2025-03-30 01:00 UTC), logs
in as u1 a second after, and buys; the row of the purchase comes twice. Vendors of other things (tickets,
orders, answers) tell what they have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cjm_analytics import loaders

if TYPE_CHECKING:
    from collections.abc import Callable

SEEN, LOGIN, BOUGHT = "2025-03-30T00:59:59", "2025-03-30T01:00:01", "2025-03-30T01:05:00"
EPOCHS = {SEEN: 1743296399, LOGIN: 1743296401, BOUGHT: 1743296700}


@dataclass(frozen=True)
class Case:
    """A vendor's export.

    Attributes
    ----------
    name : str
    load : callable
        Path → event stream.
    file : str
        What the file is called; its ending says how `rows` are written.
    rows : list
        Objects (JSON lines, or the lines of a CSV file), or lines of text.
    expected : list of dict
        Canonical columns of the events that must come of them, by time; only those named are compared.
    time : str
        Where the time of a row stands, dotted.
    broken : object
        A time that cannot be read.
    other_unit : callable, optional
        Makes the number of a time one of another unit; None where times are text.
    repeated : int
        How many of the rows come twice.
    beside : mapping of str to list
        Other files of the export: name → rows.
    unknown : str, optional
        Where an unknown member may stand, dotted; None where the layout is fixed.
    story : str, optional
        The long story in this vendor's layout, below the folder of synthetic samples.
    story_options : mapping
        What the loader must be told to read it.
    """

    name: str
    load: Callable[..., Any]
    file: str
    rows: list[Any]
    expected: list[dict[str, Any]]
    time: str
    broken: object = "not a time"
    other_unit: Callable[[Any], Any] | None = None
    repeated: int = 1
    beside: dict[str, list[Any]] = field(default_factory=dict)
    unknown: str | None = "a_new_column"
    story: str | None = None
    story_options: dict[str, Any] = field(default_factory=dict)


def steps(*, events=("page_view", "login", "purchase"), anonymous="d1", **columns):
    """What the story is in canonical columns."""
    users = (None, "u1", "u1")
    return [
        {"timestamp": time, "event": event, "anonymous_id": anonymous, "user_id": user, **columns}
        for time, event, user in zip((SEEN, LOGIN, BOUGHT), events, users, strict=True)
    ]


def bought(expected, **columns):
    """The same with more known of the purchase."""
    return [
        *expected[:-1],
        {**expected[-1], "order_id": "1001", "value": "49.9", "currency": "EUR", **columns},
    ]


def twice(rows):
    return [*rows, rows[-1]]


def _amplitude(time, number, event, user, **properties):
    return {
        "event_type": event, "event_time": time.replace("T", " ") + ".250000", "device_id": "d1",
        "user_id": user, "$insert_id": f"i{number}", "event_id": number, "session_id": 1743296399000,
        "platform": "Web", "event_properties": properties,
    }  # fmt: skip


def _mixpanel(time, number, event, user, **properties):
    who = {"distinct_id": user, "$user_id": user} if user else {"distinct_id": "$device:d1"}
    said = {"time": EPOCHS[time], "$device_id": "d1", "$insert_id": f"i{number}", "mp_lib": "web"}
    return {"event": event, "properties": {**said, **who, **properties}}


def _posthog(time, number, event, user, **properties):
    return {
        "uuid": f"e{number}", "event": event, "distinct_id": user or "d1", "timestamp": time + "Z",
        "properties": {"$device_id": "d1", "$lib": "web", "$session_id": "s1", **properties},
    }  # fmt: skip


def _ga4(time, number, event, user, **params):
    told = {"ga_session_id": EPOCHS[SEEN], **params}
    told["transaction_id"] = told.pop("order_id", "(not set)")
    kinds = {int: "int_value", float: "double_value", str: "string_value"}
    return {
        "event_name": event, "event_timestamp": str(EPOCHS[time] * 1_000_000), "user_pseudo_id": "d1",
        "user_id": user, "stream_id": "7", "platform": "WEB", "event_bundle_sequence_id": number,
        "event_params": [{"key": name, "value": {kinds[type(one)]: one}} for name, one in told.items()],
    }  # fmt: skip


def told(row, *, url, names=("page_view", "login", "purchase"), **marks):
    """The story by a function that writes one row of it."""
    return twice(
        [
            row(SEEN, 1, names[0], None, **{url: "https://shop.example/lamp?size=1"}, **marks),
            row(LOGIN, 2, names[1], "u1"),
            row(BOUGHT, 3, names[2], "u1", order_id="1001", value=49.9, currency="EUR"),
        ]
    )


MAIL = {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "spring"}


def clicked(expected, **columns):
    """The same with what is known of the first page."""
    return [{**expected[0], "path": "/lamp?size=1", **MAIL, **columns}, *expected[1:]]


CASES = [
    Case(
        "amplitude",
        loaders.amplitude,
        "187520_2025-03-30_1#0.json",
        told(_amplitude, url="[Amplitude] Page URL", **MAIL),
        bought(clicked(steps(channel="web", session_id="d1:1743296399000"))),
        time="event_time",
        story="amplitude",
    ),
    Case(
        "mixpanel",
        loaders.mixpanel,
        "export.jsonl",
        told(_mixpanel, url="$current_url", **MAIL),
        bought(clicked(steps(channel="web"))),
        time="properties.time",
        other_unit=lambda seconds: seconds * 1_000,
        unknown="properties.a_new_column",
        story="mixpanel",
    ),
    Case(
        "posthog",
        loaders.posthog,
        "events.jsonl",
        told(_posthog, url="$current_url", names=("$pageview", "login", "purchase"), **MAIL),
        bought(clicked(steps(events=("$pageview", "login", "purchase"), session_id="s1"))),
        time="timestamp",
        story="posthog",
    ),
    Case(
        "ga4",
        loaders.ga4,
        "events_20250330.jsonl",
        told(_ga4, url="page_location", source="newsletter", medium="email", campaign="spring"),
        bought(clicked(steps(channel="web", session_id=f"d1:7:{EPOCHS[SEEN]}"))),
        time="event_timestamp",
        other_unit=lambda micros: int(micros) // 1_000,
        story="ga4",
    ),
]
