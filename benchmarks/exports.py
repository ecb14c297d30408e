"""Exports of a made-up shop in the layout of each vendor: what `loaders.py` times the loaders on.

One stream of contacts, written once per vendor: twenty thousand devices, each with a login for half of its
contacts, hundreds of pages and a few dozen browsers. The rows are as wide as the vendor's real ones.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from cjm_analytics.loaders.snowplow import _FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START = 1_740_823_200_000_000
"""Microseconds since 1970 of the first contact."""

YEAR = 365 * 86_400_000_000
"""Many contacts follow one another faster, so that none lies in the future."""

SHOP = "https://shop.example.com"
NAMES = ("page_view",) * 12 + ("search",) * 3 + ("add_to_cart",) * 2 + ("begin_checkout", "purchase")
MAIL = {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "spring"}


@dataclass(frozen=True)
class Contact:
    """One contact of the shop with a customer."""

    number: int
    id: str
    device: str
    user: str | None
    session: int
    micros: int
    event: str
    path: str
    agent: str
    address: str
    is_first: bool

    @property
    def url(self) -> str:
        return SHOP + self.path

    @property
    def marks(self) -> dict[str, str]:
        return MAIL if self.is_first else {}

    @property
    def order(self) -> dict[str, Any]:
        if self.event != "purchase":
            return {}
        return {"order_id": f"o{self.number}", "value": 10 + self.number % 90, "currency": "EUR"}

    def time(self, written: str = "%Y-%m-%dT%H:%M:%S.%fZ") -> str:
        return dt.datetime.fromtimestamp(self.micros / 1e6, dt.UTC).strftime(written)


def contacts(n: int) -> Iterator[Contact]:
    """Contacts in the order of their time."""
    draw = random.Random(7)
    devices = [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(max(n // 20, 1))]
    seen: dict[int, int] = {}
    step = min(37_000_000, YEAR // max(n, 1))
    for number in range(n):
        at = draw.randrange(len(devices))
        micros = START + number * step + draw.randrange(1_000) * 1_000
        is_first = at not in seen
        event = draw.choice(NAMES)
        page = "/thank-you" if event == "purchase" else f"/product/lamp-{draw.randrange(500)}"
        yield Contact(
            number,
            str(uuid.UUID(int=draw.getrandbits(128), version=4)),
            devices[at],
            f"u{at}" if at % 2 and not is_first else None,
            seen.setdefault(at, micros),
            micros,
            event,
            f"{page}?colour={draw.choice('abcdef')}" if draw.random() < 0.3 else page,
            f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"Chrome/{100 + at % 40}.0 Safari/537.36",
            f"203.0.{at // 250 % 250}.{at % 250}",
            is_first,
        )


def _ga4(one: Contact) -> dict[str, Any]:
    params: dict[str, Any] = {
        "ga_session_id": one.session // 1_000_000, "ga_session_number": 1, "page_location": one.url,
        "page_title": one.path, "engagement_time_msec": 1500, "session_engaged": "1",
        **{name.removeprefix("utm_"): value for name, value in one.marks.items()},
        **({"transaction_id": one.order["order_id"], "currency": "EUR"} if one.order else {}),
    }  # fmt: skip
    return {
        "event_date": one.time("%Y%m%d"), "event_timestamp": one.micros, "event_name": one.event,
        "event_params": [
            {
                "key": name,
                "value": {
                    "string_value": value if isinstance(value, str) else None,
                    "int_value": value if isinstance(value, int) else None,
                    "float_value": None,
                    "double_value": None,
                },
            }
            for name, value in params.items()
        ],
        "event_bundle_sequence_id": one.number, "event_server_timestamp_offset": 0, "user_id": one.user,
        "user_pseudo_id": one.device, "user_first_touch_timestamp": one.session,
        "device": {"category": "desktop", "operating_system": "Linux", "language": "en"},
        "geo": {"country": "Germany", "region": "Berlin", "city": "Berlin"},
        "traffic_source": {"source": "(direct)", "medium": "(none)", "name": "(direct)"},
        "stream_id": "123", "platform": "WEB",
        "ecommerce": {
            "transaction_id": one.order.get("order_id"),
            "purchase_revenue": float(one.order["value"]) if one.order else None,
        },
        "batch_page_id": one.session, "batch_ordering_id": 1, "batch_event_index": 1,
    }  # fmt: skip


def _bigquery(row: dict[str, Any]) -> dict[str, Any]:
    """The row as BigQuery writes JSON: whole numbers as text."""
    return {
        name: str(value) if type(value) is int else value
        for name, value in row.items()
        if name != "event_params"
    } | {
        "event_params": [
            {
                "key": one["key"],
                "value": {
                    kind: str(value) if type(value) is int else value for kind, value in one["value"].items()
                },
            }
            for one in row["event_params"]
        ]
    }


def _snowplow(one: Contact) -> dict[str, Any]:
    clock = "%Y-%m-%d %H:%M:%S.%f"
    path, _, query = one.path.partition("?")
    told = {
        "app_id": "shop", "platform": "web", "etl_tstamp": one.time(clock),
        "collector_tstamp": one.time(clock), "dvce_created_tstamp": one.time(clock), "event_id": one.id,
        "event": "page_view" if one.event == "page_view" else "struct", "name_tracker": "sp",
        "v_tracker": "js-3.5.0", "v_collector": "ssc-2.4.5", "v_etl": "enrich-3.1.5", "user_id": one.user,
        "user_ipaddress": one.address, "domain_userid": one.device, "domain_sessionidx": 1,
        "network_userid": one.device, "geo_country": "DE", "geo_city": "Berlin", "page_url": one.url,
        "page_title": one.path, "page_urlscheme": "https", "page_urlhost": "shop.example.com",
        "page_urlport": 443, "page_urlpath": path, "page_urlquery": query,
        "mkt_medium": one.marks.get("utm_medium"), "mkt_source": one.marks.get("utm_source"),
        "mkt_campaign": one.marks.get("utm_campaign"), "useragent": one.agent, "br_lang": "en-GB",
        "br_cookies": 1, "br_viewwidth": 1280, "br_viewheight": 720, "os_timezone": "Europe/Berlin",
        "dvce_screenwidth": 1920, "dvce_screenheight": 1080, "doc_charset": "UTF-8",
        "contexts": _entity("web_page", {"id": one.id}), "dvce_sent_tstamp": one.time(clock),
        "domain_sessionid": f"{one.device}-{one.session}", "derived_tstamp": one.time(clock),
        "event_vendor": "com.snowplowanalytics.snowplow", "event_name": one.event,
        "event_format": "jsonschema", "event_version": "1-0-0", "event_fingerprint": one.id[:8],
        "se_action": None if one.event == "page_view" else one.event,
        "tr_orderid": one.order.get("order_id"), "tr_total": one.order.get("value"),
        "tr_currency": one.order.get("currency"),
    }  # fmt: skip
    return {name: told.get(name) for name in _FIELDS}


def _entity(name: str, data: dict[str, Any]) -> str:
    head = "iglu:com.snowplowanalytics.snowplow"
    one = {"schema": f"{head}/{name}/jsonschema/1-0-0", "data": data}
    return orjson.dumps({"schema": f"{head}/contexts/jsonschema/1-0-0", "data": [one]}).decode()


def _segment(one: Contact) -> dict[str, Any]:
    path, _, query = one.path.partition("?")
    page = {"url": one.url, "path": path, "search": f"?{query}" if query else "", "title": path}
    call = (
        {"type": "page", "name": None} if one.event == "page_view" else {"type": "track", "event": one.event}
    )
    marks = {name.removeprefix("utm_"): value for name, value in one.marks.items()}
    return {
        "anonymousId": one.device, "userId": one.user, "messageId": f"ajs-{one.id}",
        "originalTimestamp": one.time(), "sentAt": one.time(), "receivedAt": one.time(),
        "timestamp": one.time(), "version": 2, "integrations": {},
        "context": {
            "ip": one.address, "userAgent": one.agent, "locale": "en-GB",
            "library": {"name": "analytics.js", "version": "next-1.70"}, "page": page,
            **({"campaign": {"name": marks["campaign"], **marks}} if marks else {}),
        },
        **call, "properties": {**(page if call["type"] == "page" else {}), **one.order},
    }  # fmt: skip


def _rudderstack(one: Contact) -> dict[str, Any]:
    call = _segment(one)
    call["context"] |= {
        "library": {"name": "RudderLabs JavaScript SDK", "version": "3.0"},
        "sessionId": one.session // 1_000_000,
    }
    return call | {"channel": "web"}


def _posthog(one: Contact) -> dict[str, Any]:
    told = {
        "$device_id": one.device, "$current_url": one.url, "$session_id": f"{one.device}-{one.session}",
        "$lib": "web", "$browser": "Chrome", "$os": "Linux", "$geoip_country_code": "DE", **one.marks,
        **one.order,
    }  # fmt: skip
    return {
        "uuid": one.id, "event": "$pageview" if one.event == "page_view" else one.event,
        "distinct_id": one.user or one.device, "person_id": one.device,
        "properties": orjson.dumps(told).decode(), "person_properties": '{"tier":"free"}',
        "elements_chain": "", "timestamp": dt.datetime.fromtimestamp(one.micros / 1e6, dt.UTC),
        "created_at": dt.datetime.fromtimestamp(one.micros / 1e6 + 2, dt.UTC),
    }  # fmt: skip


def _amplitude(one: Contact) -> dict[str, Any]:
    clock = one.time("%Y-%m-%d %H:%M:%S.%f")
    return {
        "$insert_id": one.id, "amplitude_id": one.session, "app": 187520, "device_id": one.device,
        "user_id": one.user, "session_id": one.session // 1_000, "event_id": one.number,
        "event_type": one.event, "event_time": clock, "client_event_time": clock, "client_upload_time": clock,
        "server_received_time": clock, "server_upload_time": clock, "processed_time": clock,
        "platform": "Web", "os_name": "Chrome", "device_family": "Linux", "country": "Germany",
        "city": "Berlin", "language": "English",
        "event_properties": {"[Amplitude] Page URL": one.url, **one.marks, **one.order},
        "user_properties": {"initial_utm_source": "EMPTY", "tier": "free"}, "groups": {},
        "library": "amplitude-ts/2.0", "uuid": one.id,
    }  # fmt: skip


def _mixpanel(one: Contact) -> dict[str, Any]:
    who = (
        {"distinct_id": one.user, "$user_id": one.user}
        if one.user
        else {"distinct_id": f"$device:{one.device}"}
    )
    return {
        "event": one.event,
        "properties": {
            "time": one.micros // 1_000_000, **who, "$device_id": one.device, "$insert_id": one.id,
            "$current_url": one.url, "mp_lib": "web", "mp_processing_time_ms": one.micros // 1_000 + 900,
            "$os": "Linux", "$browser": "Chrome", "$city": "Berlin", "mp_country_code": "DE", **one.marks,
            **one.order,
        },
    }  # fmt: skip


def _matomo(several: list[Contact]) -> dict[str, Any]:
    first = several[0]
    return {
        "idSite": 1, "idVisit": first.number, "visitorId": first.device.replace("-", "")[:16],
        "userId": first.user, "visitIp": first.address, "siteCurrency": "EUR",
        "firstActionTimestamp": first.micros // 1_000_000, "referrerType": "direct", "deviceType": "Desktop",
        "country": "Germany", "city": "Berlin", "browserName": "Chrome",
        "actionDetails": [
            {
                "type": "action" if one.event != "purchase" else "ecommerceOrder", "url": one.url,
                "pageTitle": one.path, "timestamp": one.micros // 1_000_000, "timeSpent": 12,
                **({"orderId": one.order["order_id"], "revenue": one.order["value"]} if one.order else {}),
            }
            for one in several
        ],
    }  # fmt: skip


ADOBE = (
    "hitid_high hitid_low post_visid_high post_visid_low visit_num visit_start_time_gmt visit_page_num "
    "hit_time_gmt post_cust_hit_time_gmt post_cust_visid post_page_event post_page_event_var2 post_pagename "
    "post_event_list post_product_list post_purchaseid duplicate_purchase post_currency post_page_url "
    "post_campaign ref_type exclude_hit hit_source customer_perspective user_agent ip "
    + " ".join(f"post_evar{place}" for place in range(1, 41))
    + " "
    + " ".join(f"post_prop{place}" for place in range(1, 41))
).split()


def _adobe(one: Contact) -> dict[str, Any]:
    number = {"add_to_cart": "12", "begin_checkout": "11", "purchase": "1"}.get(one.event, "")
    return {
        "hitid_high": one.number, "hitid_low": 7, "post_visid_high": one.session, "post_visid_low": 99,
        "visit_num": 1, "visit_start_time_gmt": one.session // 1_000_000, "visit_page_num": one.number % 50,
        "hit_time_gmt": one.micros // 1_000_000, "post_cust_hit_time_gmt": 0, "post_cust_visid": one.user,
        "post_page_event": 0, "post_pagename": one.path, "post_event_list": f"{number},200=12.5",
        "post_product_list": f";lamp;1;{one.order['value']}.90" if one.order else None,
        "post_purchaseid": one.order.get("order_id"), "duplicate_purchase": 0, "post_currency": "EUR",
        "post_page_url": one.url, "post_campaign": one.marks.get("utm_campaign"), "ref_type": 6,
        "exclude_hit": 0, "hit_source": 1, "customer_perspective": 0, "user_agent": one.agent,
        "ip": one.address, "post_evar1": "de", "post_evar5": "gold", "post_prop2": "product",
    }  # fmt: skip


def _access_line(one: Contact) -> str:
    asked = f'[{one.time("%d/%b/%Y:%H:%M:%S")} +0000] "GET {one.path} HTTP/1.1"'
    return f'{one.address} - {one.user or "-"} {asked} 200 5120 "{SHOP}/" "{one.agent}"'


# Customer relations and support


def _seconds(one: Contact) -> int:
    return one.micros // 1_000_000


def _task(one: Contact) -> dict[str, Any]:
    return {
        "Id": f"00T{one.number:015}", "WhoId": f"003{one.address.replace('.', ''):0>15}",
        "TaskSubtype": ("Email", "Call", "ListEmail")[one.number % 3], "Status": "Completed",
        "Subject": one.path, "Priority": "Normal", "OwnerId": "005000000000001AAA",
        "CallType": "Inbound" if one.number % 3 == 1 else "", "ActivityDate": one.time("%Y-%m-%d"),
        "CreatedDate": one.time("%Y-%m-%dT%H:%M:%S.000Z"),
        "CompletedDateTime": one.time("%Y-%m-%dT%H:%M:%S.000+0000"), "IsDeleted": "false",
    }  # fmt: skip


def _lead(one: Contact) -> dict[str, Any]:
    return {
        "Id": _task(one)["WhoId"], "AccountId": "001000000000001AAA", "LastName": "Ada",
        "Email": f"{one.device}@example.com",
    }  # fmt: skip


def _call(one: Contact) -> dict[str, Any]:
    return {
        "id": str(one.number), "archived": False, "createdAt": one.time(), "updatedAt": one.time(),
        "properties": {
            "hs_timestamp": one.time(), "hs_call_title": one.path, "hs_call_duration": "38000",
            "hs_call_direction": "INBOUND" if one.number % 2 else "OUTBOUND", "hubspot_owner_id": "1",
        },
        "associations": {"contacts": {"results": [{"id": one.device, "type": "call_to_contact"}]}},
    }  # fmt: skip


def _ticket(one: Contact) -> dict[str, Any]:
    return {
        "id": one.number, "created_at": one.time(), "updated_at": one.time(), "requester_id": one.device,
        "submitter_id": one.device if one.number % 2 else "agent", "subject": one.path, "status": "closed",
        "priority": "normal", "type": "question", "group_id": 98, "tags": ["lamp", "delivery"],
        "via": {"channel": ("chat", "email", "web")[one.number % 3]},
    }  # fmt: skip


def _part(one: Contact) -> dict[str, Any]:
    author = ("user", "admin", "bot")[one.number % 3]
    return {
        "type": "conversation_part", "id": str(one.number), "conversation_id": f"c{one.device}",
        "part_type": "comment" if one.number % 5 else "close", "body": f"<p>{one.path}</p>",
        "created_at": _seconds(one), "updated_at": _seconds(one), "attachments": [],
        "author": {"type": author, "id": one.device, "email": f"{one.device}@example.com"},
    }  # fmt: skip


# Orders and payments


def _shop_order(one: Contact) -> dict[str, Any]:
    return {
        "id": one.number, "name": f"#{one.number}", "order_number": one.number, "currency": "EUR",
        "email": f"{one.device}@example.com", "created_at": one.time(), "processed_at": one.time(),
        "financial_status": "paid", "total_price": "49.90", "source_name": "web", "test": False,
        "cart_token": one.id, "landing_site": one.path, "customer": {"id": one.session},
        "note_attributes": [],
        "line_items": [{"id": one.number, "title": "Lamp", "quantity": 1, "price": "49.90"}],
    }  # fmt: skip


def _charge_event(one: Contact) -> dict[str, Any]:
    checkout = {
        "object": "charge", "id": f"ch_{one.number}", "customer": f"cus_{one.session}", "currency": "eur",
        "amount": 4990, "amount_refunded": 0, "created": _seconds(one), "livemode": True, "paid": True,
        "payment_intent": f"pi_{one.number}", "status": "succeeded",
        "metadata": {"order_id": str(one.number)},
        "billing_details": {"email": f"{one.device}@example.com", "address": {"country": "DE"}},
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "country": "DE"}},
    }  # fmt: skip
    return {
        "id": f"evt_{one.number}", "object": "event", "type": "charge.succeeded", "created": _seconds(one),
        "api_version": "2024-06-20", "livemode": True, "data": {"object": checkout},
    }  # fmt: skip


# Surveys


def _score(one: Contact) -> int:
    return one.number % 11


LIKELY = "How likely is it that you would recommend us to a friend?"


def _qualtrics(one: Contact) -> dict[str, Any]:
    score = _score(one)
    return {
        "ResponseId": f"R_{one.number}", "StartDate": one.time("%Y-%m-%d %H:%M:%S"),
        "EndDate": one.time("%Y-%m-%d %H:%M:%S"), "RecordedDate": one.time("%Y-%m-%d %H:%M:%S"),
        "Status": "IP Address", "Progress": "100", "Finished": "True", "UserLanguage": "EN",
        "DistributionChannel": "email", "RecipientEmail": f"{one.device}@example.com",
        "ExternalReference": one.user or "", "Q1": score, "Q2_TEXT": one.path,
        "Q1_NPS_GROUP": "Detractor" if score < 7 else "Passive" if score < 9 else "Promoter",
    }  # fmt: skip


def _surveymonkey(one: Contact) -> dict[str, Any]:
    return {
        "Respondent ID": one.number, "Collector ID": 4, "Start Date": one.time("%m/%d/%Y %I:%M:%S %p"),
        "End Date": one.time("%m/%d/%Y %I:%M:%S %p"), "Email Address": f"{one.device}@example.com",
        "Custom Data 1": one.user or "", LIKELY: _score(one), "What can we do better?": one.path,
    }  # fmt: skip


def _typeform(one: Contact) -> dict[str, Any]:
    return {
        "landing_id": one.id, "token": one.id, "landed_at": one.time(), "submitted_at": one.time(),
        "metadata": {"user_agent": one.agent, "platform": "other", "network_id": one.device},
        "hidden": {"email": f"{one.device}@example.com", "user_id": one.user},
        "answers": [
            {"type": "number", "number": _score(one), "field": {"ref": "nps", "type": "opinion_scale"}},
            {"type": "text", "text": one.path, "field": {"ref": "why", "type": "long_text"}},
        ],
    }  # fmt: skip


def _delighted(one: Contact) -> dict[str, Any]:
    return {
        "id": str(one.number), "person": {"id": one.device, "email": f"{one.device}@example.com"},
        "survey_type": "nps", "score": _score(one), "comment": one.path, "created_at": _seconds(one),
        "updated_at": _seconds(one), "tags": [],
        "person_properties": {"customer_id": one.user, "plan": "free"},
    }  # fmt: skip


# Tables and databases


def _plain(one: Contact) -> dict[str, Any]:
    return {
        "customer": one.device, "timestamp": one.time(), "event": one.event, "path": one.path,
        "order_id": one.order.get("order_id"), "value": one.order.get("value"), "agent": one.agent,
    }  # fmt: skip


# Writing


def _csv(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        head = next(rows)
        writer = csv.DictWriter(file, list(head))
        writer.writeheader()
        writer.writerow(head)
        writer.writerows(rows)
    return path


def _once(n: int, row: Callable[[Contact], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each device."""
    return (row(one) for one in contacts(n) if one.is_first)


def _beside(
    main: str, row: Callable[[Contact], dict[str, Any]], **tables: Callable[[Contact], dict[str, Any]]
) -> Callable[[Path, int], Path]:
    """A folder with a table of what happened and tables of the people to whom it did."""

    def write(folder: Path, n: int) -> Path:
        place = folder / "export"
        place.mkdir(exist_ok=True)
        put, end = (_csv, "csv") if main.endswith(".csv") else (_lines, "json")
        put(place / main, map(row, contacts(n)))
        for name, person in tables.items():
            put(place / f"{name}.{end}", _once(n, person))
        return place

    return write


def _of_sqlite(folder: Path, n: int) -> Path:
    path = folder / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        names = list(_plain(next(contacts(1))))
        connection.execute(f"create table log ({', '.join(names)})")
        rows = (tuple(_plain(one).values()) for one in contacts(n))
        connection.executemany(f"insert into log values ({', '.join('?' * len(names))})", rows)
    return path


def _of_duckdb(folder: Path, n: int) -> Path:
    path = folder / "shop.duckdb"
    rows = _parquet(folder / "rows.parquet", map(_plain, contacts(n)))
    with duckdb.connect(path) as connection:
        connection.execute(f"create table log as select * from read_parquet('{rows}')")
    rows.unlink()
    return path


def _lines(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row) + b"\n")
    return path


def _texts(path: Path, rows: Iterator[str]) -> Path:
    with path.open("w") as file:
        file.writelines(row + "\n" for row in rows)
    return path


def _tabs(row: dict[str, Any], names: list[str]) -> str:
    return "\t".join("" if row.get(name) is None else str(row[name]) for name in names)


def _parquet(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def _of_adobe(folder: Path, n: int) -> Path:
    place = folder / "adobe"
    place.mkdir(exist_ok=True)
    (place / "column_headers.tsv").write_text("\t".join(ADOBE))
    (place / "event.tsv").write_text("1\tPurchase\n11\tCheckout\n12\tCart Addition\n200\tCustom 1")
    _texts(place / "01-suite_2025-03-01.tsv", (_tabs(_adobe(one), ADOBE) for one in contacts(n)))
    return place


def _of_matomo(folder: Path, n: int) -> Path:
    every = iter(contacts(n))
    visits = iter(lambda: [one for _, one in zip(range(5), every, strict=False)], [])
    return _lines(folder / "matomo.jsonl", (_matomo(several) for several in visits))


def _of_xes(folder: Path, n: int) -> Path:
    def traces() -> Iterator[str]:
        yield "<log>"
        every = iter(contacts(n))
        for case, several in enumerate(
            iter(lambda: [one for _, one in zip(range(10), every, strict=False)], [])
        ):
            inside = "".join(
                f'<event><string key="concept:name" value="{one.event}"/><date key="time:timestamp" '
                f'value="{one.time()}"/><string key="org:resource" value="web"/></event>'
                for one in several
            )
            yield f'<trace><string key="concept:name" value="case {case}"/>{inside}</trace>'
        yield "</log>"

    return _texts(folder / "log.xes", traces())


def _of_ocel(folder: Path, n: int) -> Path:
    events, objects = [], {}
    for one in contacts(n):
        related = [{"objectId": one.device, "qualifier": "who"}]
        objects[one.device] = "customer"
        if one.order:
            objects[one.order["order_id"]] = "order"
            related.append({"objectId": one.order["order_id"], "qualifier": "what"})
        events.append(
            {"id": one.id, "type": one.event, "time": one.time(), "attributes": [], "relationships": related}
        )
    path = folder / "ocel.json"
    listed = [{"id": name, "type": kind} for name, kind in objects.items()]
    path.write_bytes(orjson.dumps({"objects": listed, "events": events}))
    return path


EXPORTS: dict[str, Callable[[Path, int], Path]] = {
    "access_log": lambda folder, n: _texts(folder / "access.log", map(_access_line, contacts(n))),
    "adobe_analytics": _of_adobe,
    "amplitude": lambda folder, n: _lines(folder / "1_2025-03-01_1#0.json", map(_amplitude, contacts(n))),
    "delighted": lambda folder, n: _lines(folder / "survey_responses.jsonl", map(_delighted, contacts(n))),
    "ga4 (JSON)": lambda folder, n: _lines(
        folder / "events_20250301.jsonl", (_bigquery(_ga4(one)) for one in contacts(n))
    ),
    "ga4 (Parquet)": lambda folder, n: _parquet(folder / "events_20250301.parquet", map(_ga4, contacts(n))),
    "hubspot": _beside(
        "calls.json",
        _call,
        contacts=lambda one: {"id": one.device, "properties": {"email": f"{one.device}@example.com"}},
    ),
    "intercom": _beside(
        "conversation_parts.json",
        _part,
        contacts=lambda one: {"id": one.device, "role": "user", "external_id": f"u{one.device}"},
        conversation_contacts=lambda one: {
            "conversation_id": f"c{one.device}",
            "contact_id": one.device,
        },
    ),
    "matomo": _of_matomo,
    "mixpanel": lambda folder, n: _lines(folder / "mixpanel.jsonl", map(_mixpanel, contacts(n))),
    "ocel": _of_ocel,
    "posthog": lambda folder, n: _parquet(folder / "posthog.parquet", map(_posthog, contacts(n))),
    "qualtrics": lambda folder, n: _csv(folder / "answers.csv", map(_qualtrics, contacts(n))),
    "rudderstack": lambda folder, n: _lines(folder / "rudder.json", map(_rudderstack, contacts(n))),
    "salesforce": _beside("Task.csv", _task, Contact=_lead),
    "segment": lambda folder, n: _lines(folder / "segment.json", map(_segment, contacts(n))),
    "shopify": lambda folder, n: _lines(folder / "orders.jsonl", map(_shop_order, contacts(n))),
    "snowplow (TSV)": lambda folder, n: _texts(
        folder / "enriched.tsv", (_tabs(_snowplow(one), _FIELDS) for one in contacts(n))
    ),
    "snowplow (Parquet)": lambda folder, n: _parquet(
        folder / "snowplow.parquet", map(_snowplow, contacts(n))
    ),
    "sql (DuckDB)": _of_duckdb,
    "sql (SQLite)": _of_sqlite,
    "stripe": lambda folder, n: _lines(folder / "events.jsonl", map(_charge_event, contacts(n))),
    "surveymonkey": lambda folder, n: _csv(folder / "responses.csv", map(_surveymonkey, contacts(n))),
    "table (CSV)": lambda folder, n: _csv(folder / "log.csv", map(_plain, contacts(n))),
    "table (JSON)": lambda folder, n: _lines(folder / "log.jsonl", map(_plain, contacts(n))),
    "table (Parquet)": lambda folder, n: _parquet(folder / "log.parquet", map(_plain, contacts(n))),
    "typeform": lambda folder, n: _lines(folder / "responses.jsonl", map(_typeform, contacts(n))),
    "xes": _of_xes,
    "zendesk": _beside(
        "tickets.json",
        _ticket,
        users=lambda one: {
            "id": one.device,
            "external_id": f"u{one.device}",
            "email": f"{one.device}@example.com",
            "role": "end-user",
        },
    ),
}
"""Vendor → writes an export of so many contacts into a folder, and says where it is."""
