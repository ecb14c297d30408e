"""Make the sample data: six months of a lamp shop's customers, as four real exports, with the truth beside them.

Run `python data/samples/generate.py`; the same seed gives the same files. People are simulated to the end of their
journeys; the exports are then cut at the end of June, so that the truth knows what became of the journeys that are
still open there.

What is written beside this file:

- `clickstream.jsonl.gz`: calls of a Segment source (page, track, identify), with late, duplicate and broken rows, bots
- `crm/`: `tickets.json`, `users.json`, `ticket_events.json` of a Zendesk account
- `orders.csv`: one row per order with its milestones, times with their offset
- `surveys.csv`, `survey_invites.csv`: answers and invitations, in local time without an offset
- `truth/`: what really happened: `events.csv.gz` and `tickets.csv` (the stage of each contact), `journeys.csv.gz`,
  `drop_off.csv`, `satisfaction.csv`, `identity.csv.gz` (whose device it is), `facts.json`
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

SEED = 20260101
HERE = Path(__file__).resolve().parent
ZONE = ZoneInfo("Europe/Berlin")
START = datetime(2026, 1, 1, tzinfo=ZONE)
END = datetime(2026, 7, 1, tzinfo=ZONE)
PEOPLE = 5_500
BOTS = 25

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
STAGES = [
    "awareness", "information_search", "consideration", "customer_service", "next_steps", "finalising",
    "after_sales", "use", "survey",
]  # fmt: skip
PHASE = dict(zip(STAGES, ["before"] * 3 + ["during"] * 3 + ["after"] * 3, strict=True))
HORIZON = {"before": 30 * DAY, "during": 3 * DAY, "after": 90 * DAY}
PROGRESSING = ["awareness", "information_search", "consideration", "next_steps", "finalising", "use"]

PRODUCTS = [(f"lamp-{number}", 19.9 + 10 * number) for number in range(1, 13)]
ARTICLES = ["how-to-choose-a-lamp", "light-and-sleep", "five-desk-lamps", "warm-or-cold-light"]
QUERIES = ["desk lamp", "floor lamp", "dimmable", "led bulb", "bedside", "smart lamp"]
AGENTS = {
    "desktop": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0 Safari/537.36",
    "mobile": "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0 Mobile Safari/537.36",
    "bot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
}


class Shop:
    """A seeded world: people go through it, and every record that they leave is kept with its true stage."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.calls: list[dict] = []  # Segment calls, with their true stage under "_"
        self.tickets: list[dict] = []
        self.orders: list[dict] = []
        self.surveys: list[dict] = []
        self.invites: list[dict] = []
        self.journeys: list[dict] = []
        self.identity: list[dict] = []
        self.users: list[dict] = []

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def wait(self, median: float, spread: float = 0.8) -> float:
        return float(median * np.exp(spread * self.rng.standard_normal()))

    def pick(self, options: list) -> object:
        return options[int(self.rng.integers(len(options)))]

    def new_id(self) -> str:
        return str(uuid.UUID(bytes=self.rng.bytes(16), version=4))


class Person:
    """Somebody with a few devices who is anonymous on each of them until signing in."""

    def __init__(self, shop: Shop, number: int) -> None:
        self.shop = shop
        self.user_id = f"u{number:05d}"
        kinds = ["mobile" if shop.chance(0.55) else "desktop"]
        if shop.chance(0.35):
            kinds.append("desktop" if kinds[0] == "mobile" else "mobile")
        self.devices = [{"id": shop.new_id(), "kind": kind, "known": False} for kind in kinds]
        self.registered = False
        self.newsletter = shop.chance(0.3)
        self.patience = shop.rng.normal()
        self.journey = 0

    @property
    def email(self) -> str:
        return f"{self.user_id}@mail.example"

    def call(self, when: float, device: dict, kind: str, stage: str, *, name: str | None = None, path: str = "/",
             properties: dict | None = None, campaign: dict | None = None, traits: dict | None = None) -> None:  # fmt: skip
        """Leave one Segment call."""
        pure, _, query = path.partition("?")
        page = {
            "url": f"https://shop.example{path}",
            "path": pure,
            "search": f"?{query}" if query else "",
            "referrer": "",
            "title": pure.rsplit("/", 1)[-1].replace("-", " "),
        }
        record = {
            "type": kind,
            "messageId": self.shop.new_id(),
            "anonymousId": device["id"],
            "userId": self.user_id if device["known"] else None,
            "context": {
                "page": page,
                "userAgent": AGENTS[device["kind"]],
                "device": {"type": device["kind"]},
                "locale": "de-DE",
                "library": {"name": "analytics.js", "version": "2.1.0"},
                **({"campaign": campaign} if campaign else {}),
            },
            "_": {"time": when, "stage": stage, "person": self.user_id, "journey": self.journey},
        }
        if kind == "track":
            record |= {"event": name, "properties": properties or {}}
        elif kind == "identify":
            record |= {"traits": traits or {}}
        else:
            record |= {"name": None, "properties": {**page, **(properties or {})}}
        self.shop.calls.append(record)

    def sign_in(self, when: float, device: dict) -> None:
        if device["known"]:
            return
        device["known"] = True
        if not self.registered:
            self.registered = True
            self.shop.users.append(
                {
                    "id": 9_000 + len(self.shop.users),
                    "user_id": self.user_id,
                    "email": self.email,
                    "when": when,
                }
            )
        traits = {"email": self.email, "plan": "newsletter" if self.newsletter else "none"}
        self.call(when, device, "identify", "", path="/login", traits=traits)
        self.call(when + 1, device, "track", "next_steps", name="Signed In", path="/login")

    def live(self, start: float) -> None:
        """All journeys of a life, one after the other."""
        when: float | None = start
        while when is not None and when < (END - START).total_seconds() + 60 * DAY:
            when = self.travel(when)
            self.journey += 1

    def travel(self, when: float) -> float | None:
        """One journey; returns when the next one begins, if ever."""
        shop = self.shop
        seen: dict[str, float] = {}
        contacts: list[float] = []
        device = shop.pick(self.devices)
        last = when

        def meet(stage: str, time: float) -> None:
            nonlocal last
            last = max(last, time)
            if stage in PROGRESSING:
                seen.setdefault(stage, time)
            contacts.append(time)

        def done(next_start: float | None = None) -> float | None:
            shop.journeys.append(
                {
                    "person": self.user_id,
                    "journey": self.journey,
                    "device": device["kind"],
                    "start": min(contacts),
                    **{f"at_{stage}": seen.get(stage) for stage in PROGRESSING},
                }
            )
            return next_start

        aware = shop.chance(0.75)
        if aware:
            when = self.become_aware(when, device, meet)
            if not shop.chance(0.74):
                return done()
            when += shop.wait(4 * MINUTE) if shop.chance(0.55) else shop.wait(2 * DAY)
        for _ in range(1 + int(shop.rng.poisson(0.6))):
            query = str(shop.pick(QUERIES))
            path = f"/search?q={query.replace(' ', '+')}"
            self.call(when, device, "track", "information_search", name="Products Searched", path=path,
                      properties={"query": query, "results": int(shop.rng.poisson(9))})  # fmt: skip
            meet("information_search", when)
            when += shop.wait(1 * MINUTE)
        if not shop.chance(0.82):
            return done()
        when += shop.wait(1 * MINUTE) if shop.chance(0.7) else shop.wait(1.5 * DAY)
        when = self.consider(when, device, meet)
        if shop.chance(0.08):
            when += shop.wait(20 * MINUTE)
            self.ticket(when, "customer_service", quality=0.78, meet=meet)
            when += shop.wait(1 * HOUR)
        if not shop.chance(0.58):
            return done()
        if len(self.devices) > 1 and shop.chance(0.3):
            if shop.chance(0.85):  # most who change over put the lamp on their wish list first
                self.sign_in(when, device)
                meet("next_steps", when)
                when += 2
            device = next(one for one in self.devices if one is not device)
        when += shop.wait(3 * MINUTE) if shop.chance(0.6) else shop.wait(1.5 * DAY)
        bought = self.check_out(when, device, meet)
        if bought is None:
            return done()
        when, cancelled = bought
        if cancelled:
            return done()
        when = self.enjoy(when, device, meet)
        if not shop.chance(0.3):
            return done()
        return done(last + 15 * DAY + shop.wait(15 * DAY))

    def become_aware(self, when: float, device: dict, meet) -> float:
        shop = self.shop
        roll = shop.rng.random()
        if self.newsletter and roll < 0.5:
            campaign = {"source": "newsletter", "medium": "email", "name": "weekly"}
            self.call(when, device, "track", "awareness", name="Email Link Clicked", campaign=campaign,
                      path="/?utm_source=newsletter", properties={"channel": "email"})  # fmt: skip
        elif roll < 0.75:
            source = str(shop.pick(["google", "instagram", "facebook"]))
            campaign = {"source": source, "medium": "cpc", "name": "lamps"}
            self.call(when, device, "track", "awareness", name="Ad Clicked", campaign=campaign,
                      path=f"/?utm_source={source}")  # fmt: skip
        else:
            self.call(when, device, "page", "awareness", path=f"/blog/{shop.pick(ARTICLES)}")
        meet("awareness", when)
        for _ in range(int(shop.rng.poisson(0.5))):
            when += shop.wait(2 * MINUTE)
            self.call(when, device, "page", "awareness", path=f"/blog/{shop.pick(ARTICLES)}")
            meet("awareness", when)
        if shop.chance(0.05):
            when += shop.wait(1 * MINUTE)
            self.call(
                when, device, "page", "unassigned", path=str(shop.pick(["/about", "/careers", "/imprint"]))
            )
        return when

    def consider(self, when: float, device: dict, meet) -> float:
        shop = self.shop
        for visit in range(1 + int(shop.rng.poisson(0.7))):
            when += shop.wait(1.5 * DAY) if visit else 0.0
            for _ in range(1 + int(shop.rng.poisson(1.2))):
                sku, price = shop.pick(PRODUCTS)
                self.call(when, device, "track", "consideration", name="Product Viewed", path=f"/product/{sku}",
                          properties={"product_id": sku, "price": round(price, 2), "currency": "EUR"})  # fmt: skip
                meet("consideration", when)
                when += shop.wait(1.5 * MINUTE)
        return when

    def check_out(self, when: float, device: dict, meet) -> tuple[float, bool] | None:
        shop = self.shop
        sku, price = shop.pick(PRODUCTS)
        product = {"product_id": sku, "price": round(price, 2), "currency": "EUR"}
        self.call(
            when,
            device,
            "track",
            "next_steps",
            name="Product Added",
            path=f"/product/{sku}",
            properties=product,
        )
        meet("next_steps", when)
        if shop.chance(0.5):
            when += shop.wait(1 * MINUTE)
            self.call(when, device, "page", "next_steps", path="/cart")
        if not shop.chance(0.85):
            return None
        when += shop.wait(2 * MINUTE) if shop.chance(0.85) else shop.wait(10 * HOUR)
        self.sign_in(when - 2, device)
        order = f"{10_001 + len(shop.orders)}"
        total = round(price * (1 + int(shop.rng.poisson(0.3))), 2)
        paying = {"order_id": order, "value": total, "currency": "EUR"}
        self.call(when, device, "track", "next_steps", name="Checkout Started", path="/checkout",
                  properties={"value": total, "currency": "EUR"})  # fmt: skip
        meet("next_steps", when)
        if shop.chance(0.20 if device["kind"] == "mobile" else 0.07):
            when += shop.wait(1 * MINUTE)
            self.call(when, device, "track", "next_steps", name="Payment Failed", path="/checkout",
                      properties={"reason": str(shop.pick(["card declined", "3-D Secure timeout"]))})  # fmt: skip
            meet("next_steps", when)
            if shop.chance(0.25):
                when += shop.wait(10 * MINUTE)
                self.ticket(when, "customer_service", quality=0.6, meet=meet)
                when += shop.wait(30 * MINUTE)
            if not shop.chance(0.55):
                return None
        if not shop.chance(0.62 if device["kind"] == "mobile" else 0.78):
            return None
        when += shop.wait(3 * MINUTE) if shop.chance(0.9) else shop.wait(12 * HOUR)
        self.call(
            when, device, "track", "finalising", name="Order Completed", path="/thank-you", properties=paying
        )
        meet("finalising", when)
        row = {
            "order_id": order,
            "customer_id": self.user_id,
            "ordered": when + 2.0,
            "total": total,
            "person": self,
            "journey": self.journey,
        }
        shop.orders.append(row)
        self.ask(when + HOUR, "ces", "ces_checkout", rate=0.24, order=order, stage="finalising",
                 score=self.effort(good=5.4 if device["kind"] == "desktop" else 4.7, steps=7))  # fmt: skip
        if shop.chance(0.04):
            row["cancelled"] = when + shop.wait(8 * HOUR)
            return row["cancelled"], True
        return when, False

    def enjoy(self, when: float, device: dict, meet) -> float:
        """After the purchase: setting up, using, sometimes needing help, answering surveys."""
        shop = self.shop
        bought, order = when, shop.orders[-1]
        if shop.chance(0.82):
            when = bought + shop.wait(1.6 * DAY, 0.35)
            self.call(when, device, "track", "use", name="Setup Completed", path="/account/setup-guide")
            meet("use", when)
            for _ in range(int(shop.rng.poisson(2.5))):
                when += shop.wait(5 * DAY)
                self.call(when, device, "track", "use", name="Feature Used", path="/account/app",
                          properties={"feature": str(shop.pick(["dim", "timer", "scene"]))})  # fmt: skip
                meet("use", when)
        if shop.chance(0.2):
            asked = bought + shop.wait(6 * DAY, 0.6)
            self.ticket(asked, "after_sales", quality=0.66, meet=meet)
            if shop.chance(0.2):
                order["refunded"] = asked + shop.wait(2 * DAY, 0.3)
        latent = 8.2 + 0.9 * self.patience
        self.ask(bought + 30 * DAY, "nps", "nps", rate=0.22, stage="survey",
                 score=int(np.clip(round(latent + 1.8 * shop.rng.normal()), 0, 10)))  # fmt: skip
        return when

    def ticket(self, when: float, stage: str, *, quality: float, meet) -> None:
        """A support contact, its answers, and a question how it went."""
        shop = self.shop
        meet(stage, when)
        known = self.registered
        number = 500 + len(shop.tickets)
        solved = when + shop.wait(9 * HOUR)
        shop.tickets.append(
            {
                "id": number, "when": when, "reply": when + shop.wait(2 * HOUR, 0.5), "solved": solved,
                "again": solved + shop.wait(1 * DAY) if shop.chance(0.12) else None, "person": self, "known": known,
                "journey": self.journey, "stage": stage, "via": str(shop.pick(["email", "chat", "web", "voice"])),
                "subject": {"customer_service": "Question before buying", "after_sales": "Problem with my lamp"}[stage],
            }
        )  # fmt: skip
        happy = shop.chance(quality)
        score = int(4 + shop.chance(0.55)) if happy else int(1 + shop.rng.binomial(2, 0.55))
        self.ask(solved + 2 * HOUR, "csat", "csat_ticket", rate=0.36, ticket=number, stage=stage, score=score)

    def effort(self, good: float, steps: int) -> int:
        return int(np.clip(round(good + 0.4 * self.patience + 1.1 * self.shop.rng.normal()), 1, steps))

    def ask(self, when: float, instrument: str, survey: str, *, rate: float, stage: str, score: int,
            ticket: int | None = None, order: str | None = None) -> None:  # fmt: skip
        """Send a survey; some answer it, whatever they think."""
        shop = self.shop
        row = {"person": self, "when": when, "instrument": instrument, "survey": survey, "ticket": ticket, "order": order,
               "stage": stage, "score": score, "journey": self.journey}  # fmt: skip
        shop.invites.append(row)
        if shop.chance(rate):
            shop.surveys.append({**row, "when": when + shop.wait(7 * HOUR)})


def bots(shop: Shop) -> None:
    """Crawlers that read every product page in a row."""
    for number in range(BOTS):
        crawler = Person(shop, 90_000 + number)
        crawler.devices = [{"id": shop.new_id(), "kind": "bot", "known": False}]
        when = shop.rng.uniform(0, (END - START).total_seconds())
        for _ in range(40):
            when += shop.wait(2, 0.3)
            sku, price = shop.pick(PRODUCTS)
            crawler.call(when, crawler.devices[0], "track", "bot", name="Product Viewed", path=f"/product/{sku}",
                         properties={"product_id": sku, "price": round(price, 2), "currency": "EUR"})  # fmt: skip


def at(seconds: float) -> datetime:
    """The instant so many seconds after the start of the data, in UTC, on the millisecond."""
    return (START.astimezone(UTC) + timedelta(milliseconds=round(seconds * 1_000))).astimezone(UTC)


def iso(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def local(seconds: float) -> str:
    return at(seconds).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def inside(seconds: float | None) -> bool:
    return seconds is not None and 0 <= seconds < (END - START).total_seconds()


def write_gz(path: Path, text: str) -> None:
    """Compress without a time stamp or name inside, so that equal data are equal bytes."""
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        packed.write(text.encode())


def write_csv(path: Path, rows: list[dict], *, packed: bool = False) -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_gz(path, out.getvalue()) if packed else path.write_text(out.getvalue())


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_clickstream(shop: Shop) -> list[dict]:
    """Segment calls in order of arrival, and the true stage of each."""
    rng, lines, truth = shop.rng, [], []
    for record in shop.calls:
        hidden = record["_"]
        if not inside(hidden["time"]):
            continue
        late = rng.exponential(1.0) if rng.random() > 0.02 else rng.uniform(1 * HOUR, 3 * DAY)
        times = {
            "originalTimestamp": iso(hidden["time"]),
            "sentAt": iso(hidden["time"] + late),
            "receivedAt": iso(hidden["time"] + late + 0.2),
            "timestamp": iso(hidden["time"]),
        }
        line = json.dumps(
            {**{name: value for name, value in record.items() if name != "_"}, **times}, ensure_ascii=False
        )
        arrival = hidden["time"] + late
        lines.append((arrival, line))
        if rng.random() < 0.006:
            lines.append((arrival + rng.exponential(30), line))
        if record["type"] != "identify":
            truth.append(
                {
                    "event_id": record["messageId"],
                    "person": hidden["person"],
                    "journey": hidden["journey"],
                    "stage": hidden["stage"],
                }
            )
    lines.sort(key=lambda pair: pair[0])
    text = [line for _, line in lines]
    for place, broken in (
        (len(text) // 3, text[len(text) // 3][: len(text[len(text) // 3]) // 2]),
        (len(text) // 2, json.dumps({"type": "track", "event": "Product Viewed", "messageId": "broken-1", "timestamp": "2026-03-01T10:00:00Z"})),
        (2 * len(text) // 3, json.dumps({"type": "track", "event": "Product Viewed", "messageId": "broken-2", "anonymousId": "x-1", "timestamp": "yesterday"})),
        (3 * len(text) // 4, json.dumps({"type": "track", "event": "Product Viewed", "messageId": "broken-3", "anonymousId": "x-2", "timestamp": "1970-01-01T00:00:12Z"})),
    ):  # fmt: skip
        text.insert(place, broken)
    write_gz(HERE / "clickstream.jsonl.gz", "\n".join(text) + "\n")
    return truth


def write_crm(shop: Shop) -> list[dict]:
    """Zendesk's tickets, users and ticket events, and the true stage of each ticket."""
    folder = HERE / "crm"
    folder.mkdir(exist_ok=True)
    numbers = {user["user_id"]: user["id"] for user in shop.users}
    users = [
        {"id": 1, "email": "agent@shop.example", "role": "agent", "external_id": None, "created_at": iso(0)}
    ]
    users += [
        {
            "id": user["id"],
            "email": user["email"],
            "role": "end-user",
            "external_id": user["user_id"],
            "created_at": iso(user["when"]),
        }
        for user in shop.users
        if inside(user["when"])
    ]
    unknown: dict[str, int] = {}
    tickets, audits, truth = [], [], []
    for ticket in shop.tickets:
        if not inside(ticket["when"]):
            continue
        person = ticket["person"]
        requester = numbers.get(person.user_id)
        if requester is None or not any(user["id"] == requester for user in users[1:]):
            requester = unknown.setdefault(person.user_id, 50_000 + len(unknown))
        solved = inside(ticket["solved"])
        tickets.append(
            {
                "id": ticket["id"], "created_at": iso(ticket["when"]), "updated_at": iso(ticket["solved"] if solved else ticket["when"]),
                "requester_id": requester, "submitter_id": requester, "external_id": None, "status": "solved" if solved else "open",
                "type": "question", "priority": "normal", "subject": ticket["subject"], "via": {"channel": ticket["via"]}, "tags": [],
                "satisfaction_rating": {"score": "unoffered"},
            }
        )  # fmt: skip
        changes = [(ticket["solved"], "solved", "open")]
        if ticket["again"] is not None:
            changes += [(ticket["again"], "open", "solved"), (ticket["again"] + 4 * HOUR, "solved", "open")]
        for when, status, before in changes:
            if inside(when):
                number = 70_000 + 2 * len(audits)
                audits.append(
                    {
                        "id": number, "ticket_id": ticket["id"], "timestamp": round(at(when).timestamp()), "created_at": iso(when),
                        "updater_id": requester if status == "open" else 1, "via": "Web form", "event_type": "Audit",
                        "child_events": [{"id": number + 1, "event_type": "Change", "status": status, "previous_value": before}],
                    }
                )  # fmt: skip
        truth.append(
            {
                "ticket_id": str(ticket["id"]),
                "person": person.user_id,
                "journey": ticket["journey"],
                "stage": ticket["stage"],
            }
        )
    users += [
        {
            "id": number,
            "email": f"{user_id}@mail.example",
            "role": "end-user",
            "external_id": None,
            "created_at": iso(0),
        }
        for user_id, number in unknown.items()
    ]
    write_json(folder / "tickets.json", {"tickets": tickets, "count": len(tickets), "end_of_stream": True})
    write_json(folder / "users.json", {"users": users, "count": len(users)})
    write_json(folder / "ticket_events.json", {"ticket_events": audits, "count": len(audits)})
    return truth


def write_orders(shop: Shop) -> None:
    def stamp(seconds: float | None) -> str:
        return at(seconds).astimezone(ZONE).isoformat(timespec="seconds") if inside(seconds) else ""

    rows = [
        {
            "order_id": order["order_id"], "customer_id": order["customer_id"], "ordered_at": stamp(order["ordered"]),
            "cancelled_at": stamp(order.get("cancelled")), "refunded_at": stamp(order.get("refunded")),
            "value": f"{order['total']:.2f}", "currency": "EUR",
        }
        for order in shop.orders
        if inside(order["ordered"])
    ]  # fmt: skip
    write_csv(HERE / "orders.csv", rows)


def asked(shop: Shop, rows: list[dict]) -> list[dict]:
    """Rows inside the data of people who have an account: the survey tool knows no others."""
    members = {user["user_id"] for user in shop.users if inside(user["when"])}
    return [one for one in rows if inside(one["when"]) and one["person"].user_id in members]


def write_surveys(shop: Shop) -> None:
    def row(one: dict, when: str) -> dict:
        return {
            "customer_id": one["person"].user_id,
            when: local(one["when"]), "survey": one["survey"], "instrument": one["instrument"],
            "ticket_id": one["ticket"] or "", "order_id": one["order"] or "",
        }  # fmt: skip

    answers = [{**row(one, "answered_at"), "answer": one["score"]} for one in asked(shop, shop.surveys)]
    answers.sort(key=lambda one: one["answered_at"])
    answers.insert(len(answers) // 2, {**answers[len(answers) // 2], "answer": "n/a"})
    write_csv(HERE / "surveys.csv", answers)
    invites = [row(one, "sent_at") for one in asked(shop, shop.invites)]
    write_csv(HERE / "survey_invites.csv", sorted(invites, key=lambda one: one["sent_at"]))


def write_truth(shop: Shop, events: list[dict], tickets: list[dict]) -> None:
    folder = HERE / "truth"
    folder.mkdir(exist_ok=True)
    write_csv(folder / "events.csv.gz", events, packed=True)
    write_csv(folder / "tickets.csv", tickets)
    began = [journey for journey in shop.journeys if inside(journey["start"])]
    write_csv(
        folder / "journeys.csv.gz",
        [
            {
                name: (iso(value) if name.startswith(("at_", "start")) and value is not None else value)
                for name, value in journey.items()
            }
            for journey in began
        ],
        packed=True,
    )
    write_csv(folder / "drop_off.csv", drop_off(began))
    write_csv(folder / "satisfaction.csv", satisfaction(shop))
    write_csv(folder / "identity.csv.gz", identity(shop), packed=True)
    bought = sum(journey["at_finalising"] is not None for journey in began)
    write_json(
        folder / "facts.json",
        {
            "seed": SEED, "start": START.isoformat(), "end": END.isoformat(), "people": PEOPLE, "journeys": len(began),
            "conversion": bought / len(began),
            "conversion_by_device": {
                kind: sum(j["at_finalising"] is not None for j in began if j["device"] == kind) / sum(j["device"] == kind for j in began)
                for kind in ("desktop", "mobile")
            },
            "duplicates_share": 0.006, "broken_rows": 4, "bots": BOTS,
        },
    )  # fmt: skip


def drop_off(journeys: list[dict]) -> list[dict]:
    """Per stage and phase: of those who entered, the share that had not gone further within the horizon.

    Counted on whole lives, beyond the end of the data: nothing is open here. The stage of the goal is left out:
    nobody drops off between reaching it and reaching it.
    """
    rows = []
    for of in ("stage", "phase"):
        names = PROGRESSING if of == "stage" else ["before", "during", "after"]
        for place, name in enumerate(names[: names.index("finalising") if of == "stage" else -1]):
            later = set(names[place + 1 :])
            horizon = HORIZON[PHASE[name] if of == "stage" else name]
            entered = left = 0
            for journey in journeys:
                times = {
                    stage: journey[f"at_{stage}"]
                    for stage in PROGRESSING
                    if journey[f"at_{stage}"] is not None
                }
                place_of = {stage: (stage if of == "stage" else PHASE[stage]) for stage in times}
                enter = min(
                    (
                        when
                        for stage, when in times.items()
                        if place_of[stage] == name or place_of[stage] in later
                    ),
                    default=None,
                )
                if enter is None:
                    continue
                if (of, name) == ("phase", "during"):  # the goal's phase is left by reaching the goal
                    onward = times.get("finalising")
                else:
                    onward = min(
                        (when for stage, when in times.items() if place_of[stage] in later), default=None
                    )
                entered += 1
                left += onward is None or onward - enter > horizon
            rows.append({"of": of, "name": name, "entered": entered, "drop_off": left / entered})
    return rows


def satisfaction(shop: Shop) -> list[dict]:
    """What all who were asked think, whether they answered or not."""
    thoughts = defaultdict(list)
    for one in asked(shop, shop.invites):
        thoughts[one["instrument"], PHASE[one["stage"]], one["stage"]].append(one["score"])
    rows = []
    for (instrument, phase, stage), scores in sorted(thoughts.items()):
        values = np.array(scores)
        score = {
            "csat": (values >= 4).mean(),
            "nps": (values >= 9).mean() - (values <= 6).mean(),
            "ces": values.mean(),
        }[instrument]
        rows.append(
            {
                "instrument": instrument,
                "phase": phase,
                "stage": stage,
                "asked": len(values),
                "score": float(score),
            }
        )
    return rows


def identity(shop: Shop) -> list[dict]:
    """Every device that left a call inside the data, whose it is, and whether that person signed in on it."""
    rows: dict[str, dict] = {}
    for record in shop.calls:
        if inside(record["_"]["time"]):
            blank = {
                "anonymous_id": record["anonymousId"],
                "person": record["_"]["person"],
                "signed_in": False,
            }
            row = rows.setdefault(record["anonymousId"], blank)
            row["signed_in"] |= record["userId"] is not None
    return list(rows.values())


def main() -> None:
    shop = Shop(SEED)
    for number in range(1, PEOPLE + 1):
        Person(shop, number).live(shop.rng.uniform(0, (END - START).total_seconds()))
    bots(shop)
    events = write_clickstream(shop)
    tickets = write_crm(shop)
    write_orders(shop)
    write_surveys(shop)
    write_truth(shop, events, tickets)
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    print(f"{len(events):,} events, {len(tickets):,} tickets, {size / 2**20:.1f} MB in {HERE}")


if __name__ == "__main__":
    main()
