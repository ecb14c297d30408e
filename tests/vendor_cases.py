"""One small story, told in the layout of each vendor, and where the long one lies among the real samples.

The story: device d1 sees a page a second before the clocks in Berlin go forward (2025-03-30 01:00 UTC), logs
in as u1 a second after, and buys; the row of the purchase comes twice. Vendors of other things (tickets,
orders, answers) tell what they have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cjm_analytics import loaders
from cjm_analytics.loaders.snowplow import _FIELDS as ENRICHED

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
    written : callable, optional
        Rows → the bytes of the file, where they do not stand in lines.
    can_be_packed : bool
        Whether the file may be packed.
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
    written: Callable[[list[Any]], bytes] | None = None
    can_be_packed: bool = True


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


def _snowplow(time, number, event, user, **fields):
    return {
        "platform": "web", "collector_tstamp": time.replace("T", " ") + ".900", "event_id": f"e{number}",
        "event": "page_view" if event == "page_view" else "struct", "event_name": event,
        "user_id": user or "", "derived_tstamp": time.replace("T", " ") + ".100", "domain_userid": "d1",
        "domain_sessionid": "s1", "event_fingerprint": f"f{number}",
        "se_action": "" if event == "page_view" else event,
        "page_url": fields.get("url", ""), "page_urlpath": "/lamp" if "url" in fields else "",
        "page_urlquery": "size=1" if "url" in fields else "", "mkt_source": fields.get("utm_source", ""),
        "mkt_medium": fields.get("utm_medium", ""), "mkt_campaign": fields.get("utm_campaign", ""),
        "tr_orderid": fields.get("order_id", ""), "tr_total": fields.get("value", ""),
        "tr_currency": fields.get("currency", ""),
    }  # fmt: skip


def _stream_line(time, number, event, user, **fields):
    """The same as the pipeline writes it: 131 fields, no header."""
    row = _snowplow(time, number, event, user, **fields)
    return "\t".join(str(row.get(name, "")) for name in ENRICHED)


def _posthog_row(time, number, event, user, **properties):
    row = _posthog(time, number, event, user, **properties)
    return row | {"properties": json.dumps(row["properties"])}


def _mixpanel_copy(time, number, event, user, **properties):
    return {
        "event_id": number, "name": event, "time": time.replace("T", " "), "insert_id": f"i{number}",
        "distinct_id": user or "$device:d1", "device_id": "d1", "mp_lib": "web",
        "properties": json.dumps(properties),
    }  # fmt: skip


def _tracks(time, number, event, user, **fields):
    return {
        "id": f"m{number}", "anonymous_id": "d1", "user_id": user or "", "event": event, "event_text": event,
        "timestamp": time + ".250Z", "received_at": time + ".500Z",
        "context_page_url": fields.get("url", ""), "context_page_path": "/lamp" if "url" in fields else "",
        "context_page_search": "?size=1" if "url" in fields else "",
        "context_campaign_source": fields.get("utm_source", ""),
        "context_campaign_medium": fields.get("utm_medium", ""),
        "context_campaign_name": fields.get("utm_campaign", ""), "order_id": fields.get("order_id", ""),
        "value": fields.get("value", ""), "currency": fields.get("currency", ""),
        "context_library_name": "analytics.js",
    }  # fmt: skip


def _matomo(*actions):
    listed = [
        {"type": "action", "url": "https://shop.example/lamp?size=1", "timestamp": EPOCHS[SEEN]},
        {"type": "event", "eventCategory": "account", "eventAction": "login", "timestamp": EPOCHS[LOGIN]},
        {"type": "ecommerceOrder", "orderId": "1001", "revenue": 49.9, "timestamp": EPOCHS[BOUGHT]},
    ]
    return {
        "idSite": 1, "idVisit": 7, "visitorId": "d1", "userId": "u1", "siteCurrency": "EUR",
        "firstActionTimestamp": EPOCHS[SEEN], "referrerType": "campaign", "campaignSource": "newsletter",
        "campaignMedium": "email", "campaignName": "spring", "deviceType": "Desktop",
        "actionDetails": [listed[place] for place in actions],
    }  # fmt: skip


_VISITS = [
    {
        "idvisit": 7, "idvisitor": "a1b2c3d4e5f60718", "visit_first_action_time": SEEN.replace("T", " "),
        "user_id": "u1", "campaign_source": "newsletter", "campaign_medium": "email",
        "campaign_name": "spring",
    }
]  # fmt: skip
"""Matomo's table `log_visit`."""


def _matomo_link(time, number, **fields):
    return {
        "idlink_va": number, "idsite": 1, "idvisit": 7, "idvisitor": "a1b2c3d4e5f60718",
        "server_time": time.replace("T", " "), "idaction_url": "", "idaction_url_ref": 1,
        "idaction_event_action": "", **fields,
    }  # fmt: skip


def _matomo_conversion(time, goal, **fields):
    return {
        "idvisit": 7, "idsite": 1, "idvisitor": "a1b2c3d4e5f60718", "server_time": time.replace("T", " "),
        "idgoal": goal, "buster": 0, "idorder": "", "revenue": "", "url": "", **fields,
    }  # fmt: skip


_HITS = ("hitid_high hitid_low post_visid_high post_visid_low visit_num visit_start_time_gmt hit_time_gmt"
         " post_cust_hit_time_gmt post_cust_visid post_page_event post_page_event_var2 post_event_list"
         " post_product_list post_purchaseid post_currency post_page_url post_campaign ref_type")  # fmt: skip


def _adobe(time, number, event, user, **fields):
    is_order = "order_id" in fields
    cells = [
        "7", number, "27", "99", 1, EPOCHS[SEEN], EPOCHS[time], 0, user or "", 0 if number == 1 else 100,
        "" if number == 1 else event, "1,200" if is_order else "", ";lamp;1;49.90" if is_order else "",
        fields.get("order_id", ""), fields.get("currency", ""), fields.get("url", ""),
        fields.get("utm_campaign", ""), 7 if number == 1 else "",
    ]  # fmt: skip
    return "\t".join(map(str, cells))


def _rudder(time, number, event, user, **fields):
    page = {"url": fields.pop("url"), "path": "/lamp", "search": "?size=1"} if "url" in fields else {}
    marks = {name.removeprefix("utm_"): fields.pop(name) for name in list(fields) if name.startswith("utm_")}
    marks = {"name" if name == "campaign" else name: value for name, value in marks.items()}
    call = {"type": "page"} if event == "page_view" else {"type": "track", "event": event}
    return {
        **call, "anonymousId": "d1", "userId": user, "messageId": f"m{number}", "timestamp": time + ".250Z",
        "receivedAt": time + ".500Z", "channel": "web", "properties": {**page, **fields},
        "context": {"page": page, "campaign": marks, "sessionId": EPOCHS[SEEN]},
    }  # fmt: skip


def _request(time, target, user="-"):
    day, _, clock = time.partition("T")
    year, _, number = day.split("-")
    asked = f'[{number}/Mar/{year}:{clock} +0000] "GET {target} HTTP/1.1"'
    return f'203.0.113.5 - {user} {asked} 200 5120 "-" "Mozilla/5.0"'


def _exported(time, number, **cells):
    """An order as the admin of a shop exports it."""
    return {
        "Name": f"#{number}", "Email": "Ada@example.com", "Financial Status": "pending", "Currency": "EUR",
        "Total": "49.90", "Created at": time.replace("T", " ") + " +0000", "Lineitem name": "Lamp",
        "Id": f"74109{number}", "Source": "web", **cells,
    }  # fmt: skip


def _gift(number):
    """A further item of an order."""
    return {"Name": f"#{number}", "Email": "Ada@example.com", "Lineitem name": "Gift card"}


def _stripe(time, number, kind, **said):
    """An event of the payment service; its object is a checkout."""
    checkout = {"object": "checkout.session", "id": f"cs_{number}", "customer": "cus_1", "currency": "eur"}
    return {
        "id": f"evt_{number}", "object": "event", "type": kind, "created": EPOCHS[time], "livemode": True,
        "data": {"object": {**checkout, "amount_total": 4990, **said}},
    }  # fmt: skip


LIKELY = "How likely is it that you would recommend us to a friend?"


def _qualtrics(time, number, score, **fields):
    return {
        "ResponseId": f"R_{number}", "EndDate": time.replace("T", " "), "Status": "IP Address", "Q1": score,
        "RecipientEmail": "Ada@example.com", "ExternalReference": "", "order_id": "",
        "Q1_NPS_GROUP": "Promoter" if score > 8 else "Detractor", **fields,
    }  # fmt: skip


def _surveymonkey(time, number, score, **fields):
    year, month, rest = time.split("-")
    day, clock = rest.split("T")
    hour = int(clock[:2])  # before noon
    return {
        "Respondent ID": number, "Email Address": "Ada@example.com", "Custom Data 1": "", LIKELY: score,
        "End Date": f"{month}/{day}/{year} {hour % 12 or 12:02}{clock[2:]} AM",
        "order_id": "", **fields,
    }  # fmt: skip


def _typeform(time, number, score, **hidden):
    asked = {"id": "f1", "ref": "nps", "type": "opinion_scale"}
    return {
        "landing_id": f"l{number}", "token": f"l{number}", "landed_at": time + "Z",
        "submitted_at": time + "Z",
        "hidden": {"email": "Ada@example.com", **hidden},
        "answers": [{"field": asked, "type": "number", "number": score}],
    }  # fmt: skip


def _delighted(time, number, score, **fields):
    return {
        "id": str(number), "person": {"id": "7", "email": "Ada@example.com"}, "survey_type": "nps",
        "score": score, "created_at": EPOCHS[time], "person_properties": fields,
    }  # fmt: skip


def _asked(row, user):
    """Three answers to the same question, by a function that writes one."""
    known = {user: "u1"}
    return twice([row(SEEN, 1, 9), row(LOGIN, 2, 0, **known), row(BOUGHT, 3, 10, **known, order_id="1001")])


_ANSWERED = [
    {
        "timestamp": time, "event": "survey_response", "user_id": user, "instrument": "nps", "score": score,
        "score_min": "0", "score_max": "10", "order_id": order, "source_kind": "survey",
        "anonymous_id": None if user else "email:ada@example.com",
    }
    for time, user, score, order in (
        (SEEN, None, "9", None), (LOGIN, "u1", "0", None), (BOUGHT, "u1", "10", "1001")
    )
]  # fmt: skip


def told(row, *, url, names=("page_view", "login", "purchase"), **marks):
    """The story by a function that writes one row of it."""
    return twice(
        [
            row(SEEN, 1, names[0], None, **{url: "https://shop.example/lamp?size=1"}, **marks),
            row(LOGIN, 2, names[1], "u1"),
            row(BOUGHT, 3, names[2], "u1", order_id="1001", value=49.9, currency="EUR"),
        ]
    )


def _task(time, number, subtype, **fields):
    return {
        "Id": f"00T00000000000{number}AAA", "WhoId": "003000000000001", "TaskSubtype": subtype,
        "Status": "Completed", "ActivityDate": time[:10], "CreatedDate": "2025-03-29T08:00:00.000Z",
        "CompletedDateTime": time + ".000+0000", "IsDeleted": "false", "CallType": "", **fields,
    }  # fmt: skip


def _stage(time, number, before, after):
    return {
        "Id": f"01700000000000{number}AAA", "OpportunityId": "006000000000001AAA",
        "Field": "created" if after is None else "StageName", "OldValue": before or "",
        "NewValue": after or "", "CreatedDate": time + ".000Z",
    }  # fmt: skip


def _call(time, number, **properties):
    return {
        "id": str(number), "archived": False, "createdAt": "2025-04-01T08:00:00Z",
        "properties": {"hs_timestamp": EPOCHS[time] * 1_000 + 250, **properties},
        "associations": {"contacts": {"results": [{"id": "501", "type": "call_to_contact"}]}},
    }  # fmt: skip


def _part(time, number, kind, author):
    return {
        "id": str(number), "conversation_id": "1295", "part_type": kind, "created_at": EPOCHS[time],
        "author": {"type": author, "id": "5ba68"},
    }  # fmt: skip


def _ticket(time, number, submitter, channel):
    return {
        "id": number, "created_at": time + "Z", "updated_at": "2025-04-01T08:00:00Z", "requester_id": 1,
        "submitter_id": submitter, "via": {"channel": channel}, "subject": "lamp",
    }  # fmt: skip


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
    Case(
        "snowplow",
        loaders.snowplow,
        "events.csv",
        told(_snowplow, url="url", **MAIL),
        bought(clicked(steps(channel="web", session_id="s1"))),
        time="derived_tstamp",
        story="snowplow",
    ),
    Case(
        "matomo",
        loaders.matomo,
        "visits.jsonl",
        [_matomo(0, 1), _matomo(0, 1, 2)],
        bought(
            [
                {**one, "user_id": "u1"}
                for one in clicked(steps(events=("action", "login", "ecommerceOrder"), session_id="1:7"))
            ]
        ),
        time="actionDetails",
        broken=[{"type": "action", "timestamp": "not a time"}],
        repeated=2,
        unknown=None,
    ),
    Case(
        "matomo, actions in the database",
        loaders.matomo,
        "log_link_visit_action.csv",
        twice(
            [
                _matomo_link(SEEN, 1, idaction_url=1, idaction_url_ref=0),
                _matomo_link(LOGIN, 2, idaction_event_action=2),
                _matomo_link(BOUGHT, 3, idaction_event_action=3),
            ]
        ),
        [
            {**one, "user_id": "u1"}
            for one in clicked(
                steps(
                    events=("action", "login", "purchase"),
                    anonymous="a1b2c3d4e5f60718",
                    channel="web",
                    session_id="1:7",
                )
            )
        ],
        time="server_time",
        beside={
            "log_action.csv": [
                {"idaction": 1, "name": "shop.example/lamp?size=1", "type": 1, "url_prefix": 2},
                {"idaction": 2, "name": "login", "type": 11, "url_prefix": ""},
                {"idaction": 3, "name": "purchase", "type": 11, "url_prefix": ""},
            ],
            "log_visit.csv": _VISITS,
        },
    ),
    Case(
        "matomo, conversions in the database",
        loaders.matomo,
        "log_conversion.csv",
        twice(
            [
                _matomo_conversion(SEEN, 1, url="https://shop.example/lamp?size=1"),
                _matomo_conversion(LOGIN, 2),
                _matomo_conversion(BOUGHT, 0, idorder="1001", revenue=49.9),
            ]
        ),
        [
            {**one, "user_id": "u1", **more}
            for one, more in zip(
                steps(
                    events=("seen a lamp", "login", "ecommerceOrder"),
                    anonymous="a1b2c3d4e5f60718",
                    channel="web",
                    session_id="1:7",
                ),
                ({"path": "/lamp?size=1"}, {}, {"order_id": "1001", "value": "49.9"}),
                strict=True,
            )
        ],
        time="server_time",
        beside={
            "goal.csv": [
                {"idsite": 1, "idgoal": 1, "name": "seen a lamp", "match_attribute": "url"},
                {"idsite": 1, "idgoal": 2, "name": "login", "match_attribute": "manually"},
            ],
            "log_visit.csv": _VISITS,
        },
    ),
    Case(
        "adobe",
        loaders.adobe_analytics,
        "01-suite_2025-03-30.tsv",
        told(_adobe, url="url", **MAIL),
        bought(
            [
                {name: value for name, value in one.items() if name != "utm_source"}
                for one in clicked(steps(anonymous="27:99", session_id=f"27:99:1:{EPOCHS[SEEN]}"))
            ]
        ),
        time="hit_time_gmt",
        beside={
            "column_headers.tsv": ["\t".join(_HITS.split())],
            "event.tsv": ["1\tPurchase", "200\tCustom"],
        },
        story="adobe",
    ),
    Case(
        "rudderstack",
        loaders.rudderstack,
        "events.json",
        told(_rudder, url="url", **MAIL),
        bought(clicked(steps(channel="web", session_id=f"d1:{EPOCHS[SEEN]}"))),
        time="timestamp",
        unknown="properties.a_new_column",
        story="rudderstack",
    ),
    Case(
        "segment",
        loaders.segment,
        "calls.json",
        told(_rudder, url="url", **MAIL),
        bought(clicked(steps(channel="web"))),
        time="timestamp",
        unknown="properties.a_new_column",
    ),
    Case(
        "shopify",
        loaders.shopify,
        "orders_export.csv",
        [
            _exported(SEEN, 999),
            _exported(LOGIN, 1000),
            _gift(1000),
            _exported(SEEN, 999),
            _exported(BOUGHT, 1001),
        ],
        [
            {
                "timestamp": time,
                "event": "order_placed",
                "anonymous_id": "email:ada@example.com",
                "user_id": None,
                "order_id": number,
                "value": "49.9",
                "currency": "EUR",
                "channel": "web",
            }
            for time, number in ((SEEN, "999"), (LOGIN, "1000"), (BOUGHT, "1001"))
        ],
        time="Created at",
    ),
    Case(
        "stripe",
        loaders.stripe,
        "events.jsonl",
        twice(
            [
                _stripe(SEEN, 1, "checkout.session.expired", amount_total=None),
                _stripe(LOGIN, 2, "checkout.session.async_payment_failed", client_reference_id="u1"),
                _stripe(
                    BOUGHT,
                    3,
                    "checkout.session.completed",
                    client_reference_id="u1",
                    metadata={"order_id": 1001},
                ),
            ]
        ),
        bought(
            steps(
                anonymous="stripe:cus_1",
                events=(
                    "checkout.session.expired",
                    "checkout.session.async_payment_failed",
                    "checkout.session.completed",
                ),
                is_test="False",
            )
        ),
        time="created",
        other_unit=lambda seconds: seconds * 1_000,
        unknown="data.object.a_new_column",
    ),
    Case(
        "qualtrics",
        partial(loaders.qualtrics, tz="UTC"),
        "answers.csv",
        _asked(_qualtrics, "ExternalReference"),
        _ANSWERED,
        time="EndDate",
    ),
    Case(
        "surveymonkey",
        partial(loaders.surveymonkey, tz="UTC"),
        "responses.csv",
        _asked(_surveymonkey, "Custom Data 1"),
        _ANSWERED,
        time="End Date",
    ),
    Case(
        "typeform",
        loaders.typeform,
        "responses.jsonl",
        _asked(_typeform, "user_id"),
        _ANSWERED,
        time="submitted_at",
        unknown="hidden.a_new_column",
    ),
    Case(
        "delighted",
        loaders.delighted,
        "survey_responses.jsonl",
        _asked(_delighted, "customer_id"),
        _ANSWERED,
        time="created_at",
        other_unit=lambda seconds: seconds * 1_000,
        unknown="person_properties.a_new_column",
    ),
    Case(
        "access_log",
        loaders.access_log,
        "access.log",
        [_request(SEEN, "/lamp?size=1"), _request(LOGIN, "/login", "u1"), _request(BOUGHT, "/thanks", "u1")],
        [
            {"timestamp": SEEN, "event": "page_view", "user_id": None, "path": "/lamp?size=1"},
            {"timestamp": LOGIN, "event": "page_view", "user_id": "u1", "path": "/login"},
            {"timestamp": BOUGHT, "event": "page_view", "user_id": "u1", "path": "/thanks"},
        ],
        time="",
        repeated=0,
        story="access_log",
    ),
    Case(
        "salesforce",
        partial(loaders.salesforce, user_id="Customer_No__c"),
        "Task.csv",
        twice(
            [
                _task(SEEN, 1, "Email"),
                _task(LOGIN, 2, "Call", CallType="Inbound"),
                _task(BOUGHT, 3, "Task", IsDeleted="true"),
                _task(BOUGHT, 4, "ListEmail"),
            ]
        ),
        [
            {
                "timestamp": time,
                "event": event,
                "user_id": "u1",
                "anonymous_id": None,
                "actor": actor,
                "channel": channel,
                "source_kind": "crm",
                "account_id": "001000000000001AAA",
            }
            for time, event, actor, channel in (
                (SEEN, "task_email", "company", "email"),
                (LOGIN, "task_call", "customer", "phone"),
                (BOUGHT, "task_list_email", "company", "email"),
            )
        ],
        time="CompletedDateTime",
        beside={
            "Contact.csv": [
                {
                    "Id": "003000000000001AAA",
                    "AccountId": "001000000000001AAA",
                    "LastName": "Ada",
                    "Email": "ada@example.com",
                    "Customer_No__c": "u1",
                }
            ]
        },
    ),
    Case(
        "salesforce_history",
        loaders.salesforce,
        "OpportunityFieldHistory.csv",
        [
            _stage(SEEN, 1, None, None),
            _stage(LOGIN, 2, "Prospecting", "Proposal"),
            _stage(BOUGHT, 3, "Proposal", "Closed Lost"),
        ],
        [
            {
                "timestamp": time,
                "event": event,
                "anonymous_id": "salesforce:003000000000001AAA",
                "actor": "company",
                "stage": stage,
                "time_quality": "exact",
            }
            for time, event, stage in (
                (SEEN, "opportunity_created", None),
                (LOGIN, "stage_changed", "Proposal"),
                (BOUGHT, "opportunity_lost", "Closed Lost"),
                (BOUGHT, "stage_changed", "Closed Lost"),
            )
        ],
        time="CreatedDate",
        repeated=0,
        beside={
            "OpportunityContactRole.csv": [
                {
                    "OpportunityId": "006000000000001AAA",
                    "ContactId": "003000000000002AAA",
                    "IsPrimary": "false",
                },
                {
                    "OpportunityId": "006000000000001AAA",
                    "ContactId": "003000000000001AAA",
                    "IsPrimary": "true",
                },
            ],
            "Contact.csv": [
                {"Id": "003000000000001AAA", "LastName": "Ada", "Email": "Ada@Example.com"},
                {"Id": "003000000000002AAA", "LastName": "Bob", "Email": "bob@example.com"},
            ],
        },
    ),
    Case(
        "hubspot",
        partial(loaders.hubspot, user_id="customer_no"),
        "calls.json",
        twice(
            [
                _call(SEEN, 1, hs_call_direction="OUTBOUND"),
                _call(LOGIN, 2, hs_call_direction="INBOUND"),
                _call(BOUGHT, 3),
            ]
        ),
        [
            {
                "timestamp": time,
                "event": "call",
                "user_id": "u1",
                "actor": actor,
                "channel": "phone",
                "event_id": f"engagement:{number}",
                "source_kind": "crm",
            }
            for number, (time, actor) in enumerate(
                ((SEEN, "company"), (LOGIN, "customer"), (BOUGHT, "company")), start=1
            )
        ],
        time="properties.hs_timestamp",
        other_unit=lambda ms: ms // 1_000,
        unknown="properties.a_new_column",
        beside={
            "contacts.json": [
                {
                    "id": "501",
                    "properties": {"email": "ada@example.com", "lastname": "Ada", "customer_no": "u1"},
                }
            ]
        },
    ),
    Case(
        "hubspot_history",
        loaders.hubspot,
        "deal_property_history_data.csv",
        [
            {"deal_id": "201", "name": "dealstage", "value": value, "timestamp": time.replace("T", " ")}
            for time, value in ((LOGIN, "qualified"), (BOUGHT, "closedwon"), (SEEN, "appointment"))
        ],
        [
            {
                "timestamp": time,
                "event": event,
                "anonymous_id": "hubspot:501",
                "actor": "company",
                "stage": stage,
                "deal_id": "201",
                "time_quality": "second",
            }
            for time, event, stage in (
                (SEEN, "deal_created", None),
                (LOGIN, "stage_changed", "qualified"),
                (BOUGHT, "deal_won", "closedwon"),
                (BOUGHT, "stage_changed", "closedwon"),
            )
        ],
        time="timestamp",
        repeated=0,
        beside={
            "deal_contact.csv": [{"deal_id": "201", "contact_id": "77"}],
            "contact_merge_audit.csv": [{"canonical_vid": "501", "vid_to_merge": "77"}],
        },
    ),
    Case(
        "intercom",
        loaders.intercom,
        "conversation_parts.json",
        twice(
            [
                _part(SEEN, 1, "comment", "user"),
                _part(SEEN, 2, "note", "admin"),
                _part(LOGIN, 3, "comment", "admin"),
                _part(BOUGHT, 4, "close", "bot"),
            ]
        ),
        [
            {
                "timestamp": time,
                "event": event,
                "user_id": "u1",
                "actor": actor,
                "ticket_id": "1295",
                "source_kind": "support",
                "time_quality": "second",
            }
            for time, event, actor in (
                (SEEN, "conversation_reply", "customer"),
                (LOGIN, "conversation_reply", "company"),
                (BOUGHT, "conversation_closed", "system"),
            )
        ],
        time="created_at",
        other_unit=lambda seconds: seconds * 1_000,
        beside={
            "contacts.json": [{"id": "c1", "role": "user", "external_id": "u1"}],
            "conversation_contacts.json": [{"conversation_id": "1295", "contact_id": "c1"}],
        },
    ),
    Case(
        "intercom_events",
        loaders.intercom,
        "data_events.json",
        twice(
            [
                {
                    "event_name": event,
                    "created_at": EPOCHS[time],
                    "id": str(number),
                    "email": "ada@example.com",
                    "user_id": user,
                    "metadata": {"plan": "free"},
                }
                for number, (time, event, user) in enumerate(
                    ((SEEN, "visited", None), (LOGIN, "login", "u1"), (BOUGHT, "purchase", "u1"))
                )
            ]
        ),
        [
            {
                "timestamp": time,
                "event": event,
                "user_id": user,
                "anonymous_id": alias,
                "source_kind": "clickstream",
                "properties": '{"plan":"free"}',
            }
            for time, event, user, alias in (
                (SEEN, "visited", None, "email:ada@example.com"),
                (LOGIN, "login", "u1", None),
                (BOUGHT, "purchase", "u1", None),
            )
        ],
        time="created_at",
        other_unit=lambda seconds: seconds * 1_000,
        unknown="metadata.a_new_column",
    ),
    Case(
        "zendesk",
        loaders.zendesk,
        "tickets.json",
        twice([_ticket(SEEN, 1, 1, "chat"), _ticket(LOGIN, 2, 9, "email"), _ticket(BOUGHT, 3, 9, "voice")]),
        [
            {
                "timestamp": time,
                "event": "ticket_created",
                "user_id": "u1",
                "anonymous_id": None,
                "actor": actor,
                "channel": channel,
                "ticket_id": number,
                "source_kind": "support",
                "time_quality": "second",
            }
            for time, number, actor, channel in (
                (SEEN, "1", "customer", "chat"),
                (LOGIN, "2", "company", "email"),
                (BOUGHT, "3", "customer", "phone"),
            )
        ],
        time="created_at",
        repeated=0,
        beside={
            "users.json": [
                {"id": 1, "external_id": "u1", "email": "ada@example.com", "role": "end-user"},
                {"id": 9, "external_id": "s9", "email": "agent@shop.example", "role": "agent"},
            ]
        },
    ),
]


# Other layouts of the same vendors


def _shouted(row):
    """A row as Data Loader writes it, all names in capitals."""
    return {name.upper(): value for name, value in row.items()}


def _viewed(time, number, **cells):
    """A ticket as the agents' interface exports it."""
    return {
        "Id": number, "Requester": "Ada", "Requester id": "1", "Requester external id": "u1",
        "Requester email": "Ada@example.com", "Subject": "lamp", "Via": "Email",
        "Created at": time.replace("T", " "), "Updated at": "2025-04-01 08:00:00", **cells,
    }  # fmt: skip


def _bulk(time, number, **said):
    """An order of a bulk operation of the GraphQL API."""
    return {
        "id": f"gid://shopify/Order/74109{number}", "name": f"#{number}", "createdAt": time + "Z",
        "email": "Ada@example.com", "displayFinancialStatus": "PENDING", "sourceName": "web",
        "totalPriceSet": {"shopMoney": {"amount": "49.9", "currencyCode": "EUR"}}, **said,
    }  # fmt: skip


def _line(number):
    return {"id": f"gid://shopify/LineItem/{number}", "title": "Lamp",
            "__parentId": f"gid://shopify/Order/74109{number}"}  # fmt: skip


def _paid(time, number, status, **cells):
    """A payment as the dashboard exports it."""
    return {
        "id": f"ch_{number}", "Created date (UTC)": time.replace("T", " "), "Amount": "49.90",
        "Amount Refunded": "0.00", "Refunded date (UTC)": "", "Currency": "eur", "Status": status,
        "Customer ID": "cus_1", "Customer Email": "Ada@example.com", "order_id (metadata)": f"{number}",
        **cells,
    }  # fmt: skip


def _balance(time, number, category, gross, **cells):
    """A change of the balance, as the dashboard reports it."""
    return {
        "balance_transaction_id": f"txn_{number}", "created_utc": time.replace("T", " "), "currency": "eur",
        "gross": gross, "reporting_category": category, "source_id": f"x_{number}", "customer_id": "cus_1",
        "customer_email": "Ada@example.com", "charge_id": "ch_1", "payment_metadata[order_id]": "1001",
        **cells,
    }  # fmt: skip


def _qualtrics_json(time, number, score, **fields):
    values = {
        "endDate": time + "Z", "status": 0, "QID1": score, "recipientEmail": "Ada@example.com",
        "QID1_NPS_GROUP": 3 if score > 8 else 1, **fields,
    }  # fmt: skip
    return {"responseId": f"R_{number}", "values": values, "labels": {"status": "IP Address"}}


def _surveymonkey_api(time, number, score, **fields):
    answer = {"id": "11", "heading": LIKELY, "answers": [{"choice_id": "9", "simple_text": str(score)}]}
    return {
        "id": str(number), "response_status": "completed", "date_modified": time + "+00:00",
        "metadata": {"contact": {"email": {"value": "Ada@example.com"}}}, "custom_variables": fields,
        "pages": [{"id": "1", "questions": [answer]}],
    }  # fmt: skip


def _typeform_csv(time, number, score, **fields):
    return {
        "#": f"l{number}", LIKELY: score, "email": "Ada@example.com", "order_id": "", "user_id": "",
        "Start Date (UTC)": "2025-03-29 08:00:00", "Submit Date (UTC)": time.replace("T", " "),
        "Network ID": "n", **fields,
    }  # fmt: skip


def _delighted_labels(time, number, score, **fields):
    return {
        "ID": number, "Email": "Ada@example.com", "Survey Type": "NPS", "Score": score,
        "Created At": time.replace("T", " ") + " UTC", "Customer ID": fields.get("customer_id", ""),
        "Order ID": fields.get("order_id", ""),
    }  # fmt: skip


def _tickets_of_interface(*several):
    return [
        {
            "timestamp": time, "event": event, "user_id": "u1", "anonymous_id": None, "actor": actor,
            "channel": "email", "ticket_id": number, "source_kind": "support",
        }
        for time, event, actor, number in several
    ]  # fmt: skip


def _payments(*several):
    return [
        {
            "timestamp": time, "event": event, "anonymous_id": "email:ada@example.com", "value": value,
            "currency": "EUR", "order_id": order, "actor": actor, "source_kind": "order",
        }
        for time, event, value, order, actor in several
    ]  # fmt: skip


_OF_STORY = next(case for case in CASES if case.name == "salesforce_history")
_OF_SHOP = next(case for case in CASES if case.name == "shopify")
CASES += [
    replace(
        _OF_STORY,
        name="salesforce_history of Data Loader",
        rows=[_shouted(row) for row in _OF_STORY.rows],
        beside={name: [_shouted(row) for row in rows] for name, rows in _OF_STORY.beside.items()},
        time="CREATEDDATE",
    ),
    Case(
        "zendesk, agents' interface",
        partial(loaders.zendesk, tz="UTC"),
        "tickets.csv",
        [_viewed(SEEN, 1), _viewed(LOGIN, 2, **{"Solved at": BOUGHT.replace("T", " ")})],
        _tickets_of_interface(
            (SEEN, "ticket_created", "customer", "1"),
            (LOGIN, "ticket_created", "customer", "2"),
            (BOUGHT, "ticket_solved", "company", "2"),
        ),
        time="Created at",
        repeated=0,
        unknown=None,  # what is said of a ticket stands with its beginning
        beside={"users.csv": [{"id": "1", "external_id": "u1", "role": "end-user", "email": ""}]},
    ),
    replace(
        _OF_SHOP,
        name="shopify, bulk operation",
        file="bulk.jsonl",
        rows=[
            _bulk(SEEN, 999),
            _line(999),
            _bulk(LOGIN, 1000),
            _line(1000),
            _bulk(SEEN, 999),
            _bulk(BOUGHT, 1001),
        ],
        time="createdAt",
    ),
    Case(
        "stripe, payments of the dashboard",
        loaders.stripe,
        "unified_payments.csv",
        twice(
            [
                _paid(SEEN, 999, "Failed"),
                _paid(
                    LOGIN,
                    1000,
                    "Partial Refund",
                    **{"Amount Refunded": "5.00", "Refunded date (UTC)": BOUGHT.replace("T", " ")},
                ),
                _paid(BOUGHT, 1001, "Paid"),
            ]
        ),
        _payments(
            (SEEN, "charge.failed", "49.9", "999", "customer"),
            (LOGIN, "charge.succeeded", "49.9", "1000", "customer"),
            (BOUGHT, "charge.refunded", "5", "1000", "company"),
            (BOUGHT, "charge.succeeded", "49.9", "1001", "customer"),
        ),
        time="Created date (UTC)",
    ),
    Case(
        "stripe, changes of the balance",
        loaders.stripe,
        "Itemized_balance_change.csv",
        [
            _balance(SEEN, 1, "charge", "49.90"),
            _balance(LOGIN, 2, "payout", "-44.90", customer_id="", customer_email=""),
            _balance(BOUGHT, 3, "refund", "-5.00"),
        ],
        _payments(
            (SEEN, "charge.succeeded", "49.9", "1001", "customer"),
            (BOUGHT, "charge.refunded", "5", "1001", "company"),
        ),
        time="created_utc",
        repeated=0,
    ),
    Case(
        "qualtrics, JSON",
        loaders.qualtrics,
        "answers.jsonl",
        _asked(_qualtrics_json, "externalDataReference"),
        _ANSWERED,
        time="values.endDate",
        unknown="values.a_new_column",
    ),
    Case(
        "surveymonkey, API",
        loaders.surveymonkey,
        "responses.jsonl",
        _asked(_surveymonkey_api, "customer_id"),
        _ANSWERED,
        time="date_modified",
        unknown="custom_variables.a_new_column",
    ),
    Case(
        "typeform, CSV",
        loaders.typeform,
        "responses.csv",
        _asked(_typeform_csv, "user_id"),
        _ANSWERED,
        time="Submit Date (UTC)",
    ),
    Case(
        "delighted, labels",
        loaders.delighted,
        "delighted.csv",
        _asked(_delighted_labels, "customer_id"),
        _ANSWERED,
        time="Created At",
        unknown=None,
    ),
]
