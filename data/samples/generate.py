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

The people of the samples have devices of their own and keep their cookies. `--households --to FOLDER` makes the same
exports of people who live together: `Households` says what they share and lose, and where its shares come from. Their
truth has one file more, `whose.csv.gz`: who really did each thing, and whether the logs hold enough to tell.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import uuid
from collections import defaultdict
from dataclasses import dataclass
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
    "tablet": "Mozilla/5.0 (iPad; CPU OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/604.1",
    "bot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
}


@dataclass(frozen=True)
class Households:
    """What people who live together share, forget and mistype.

    The shares were fixed before the library was measured on them. Where a source is named, they follow its figures;
    the others are guesses, and rather too bad than too good.

    Attributes
    ----------
    sizes : tuple of float
        Shares of households of 1, 2, 3 and 4 people: German microcensus of 2018 (42, 34, 12, and 12 % of four or
        more). All of them visit the shop: no real shop has so many households twice.
    tablet, on_tablet : float
        Share of the homes of several people that have a tablet for all, and share of their journeys that begin on
        it. Of those who use a tablet, 55 to 60 % share it (GlobalWebIndex 2017), if six in ten homes have one. Tablets
        make a few per cent of the traffic of most web sites; here they make more.
    computer : float
        Share of the homes of several people in which all who use a computer use the same one.
    stays : float
        How often people leave a device of several people without signing out. Who comes next is then taken for them,
        until it matters: whoever pays or looks at an account signs in as themselves.
    login : float
        For how long somebody stays signed in on a device: 14 days, as WordPress remembers.
    cleared : float
        Share of devices that lose their cookies in 30 days, and with them the login. Three users in ten delete their
        cookies in a month (comScore 2007).
    forgets : tuple of (str, float)
        Per kind of device the share whose browser forgets a cookie after 7 days without a visit, as Safari does with
        those that a script has set (WebKit, since 2019). The login stays. The shares are guesses at Safari's.
    one_address : float
        Share of the homes of several people in which all give one e-mail address.
    typo, placeholder : float
        Shares of accounts whose address is mistyped, or an invention such as `asdf@asdf.example`.
    by_number : float
        Share of the help desk's users for whom it has the account's number; of the others it has the address only.
    by_phone : float
        Share of calls for which the agent types an address of the shop, each time as a new user.
    """

    sizes: tuple[float, ...] = (0.42, 0.34, 0.12, 0.12)
    tablet: float = 0.35
    on_tablet: float = 0.15
    computer: float = 0.4
    stays: float = 0.25
    login: float = 14 * DAY
    cleared: float = 0.3
    forgets: tuple[tuple[str, float], ...] = (("mobile", 0.35), ("tablet", 0.5), ("desktop", 0.1))
    one_address: float = 0.1
    typo: float = 0.02
    placeholder: float = 0.03
    by_number: float = 0.7
    by_phone: float = 0.1


POPULATIONS = {
    "usual": Households(),
    "living alone": Households(sizes=(1.0, 0.0, 0.0, 0.0)),
    "families": Households(sizes=(0.0, 0.0, 0.5, 0.5), tablet=1.0, on_tablet=0.5, computer=1.0),
    "never sign out": Households(stays=1.0),
    "always sign out": Households(stays=0.0, login=0.5 * HOUR),
    "cookies kept": Households(cleared=0.0, forgets=(("mobile", 0.0), ("tablet", 0.0), ("desktop", 0.0))),
    "cookies lost": Households(cleared=0.6, forgets=(("mobile", 0.6), ("tablet", 0.6), ("desktop", 0.6))),
    "junk addresses": Households(one_address=0.4, typo=0.1, placeholder=0.2, by_number=0.3, by_phone=0.4),
}
"""The usual one, by which the library is judged, and others that are worse or better in one respect."""

INVENTED = (
    "asdf@asdf.example",
    "test@test.example",
    "none@none.example",
    "a@a",
    "null",
    "noreply@shop.example",
)
OWN = ("service@shop.example", "noreply@shop.example", "unknown", "-")


class Shop:
    """A seeded world: people go through it, and every record that they leave is kept with its true stage."""

    def __init__(self, seed: int, folder: Path = HERE) -> None:
        self.folder, self.seed = folder, seed
        self.rng = np.random.default_rng(seed)
        self.calls: list[dict] = []  # Segment calls, with their true stage under "_"
        self.tickets: list[dict] = []
        self.orders: list[dict] = []
        self.surveys: list[dict] = []
        self.invites: list[dict] = []
        self.journeys: list[dict] = []
        self.identity: list[dict] = []
        self.users: list[dict] = []
        self.people, self.homes = 0, False

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

    def takes(self) -> dict:
        """The device on which a journey begins."""
        return self.shop.pick(self.devices)

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
        device = self.takes()
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


class Member(Person):
    """Somebody who lives with others. What a cookie knows is seen when all they did stands in one row: `replay`."""

    def __init__(self, shop: Shop, number: int, home: dict) -> None:
        super().__init__(shop, number)
        self.home = home
        if home["computer"] is not None:
            self.devices = [home["computer"] if one["kind"] == "desktop" else one for one in self.devices]
        chance, shares = shop.rng.random(), home["shares"]
        self.gives = home["address"] or super().email
        self.types = self.gives
        if chance < shares.placeholder:
            self.types = str(shop.pick(list(INVENTED)))
        elif chance < shares.placeholder + shares.typo:
            self.types = self.gives.replace("mail", "mial")

    @property
    def email(self) -> str:
        return self.gives

    def takes(self) -> dict:
        if self.home["tablet"] is not None and self.shop.chance(self.home["shares"].on_tablet):
            return self.home["tablet"]
        return super().takes()

    def call(self, when: float, device: dict, kind: str, stage: str, **more) -> None:
        if more.get("path", "").startswith("/account"):
            self.sign_in(when - 2, device)
        super().call(when, device, kind, stage, **more)
        self.shop.calls[-1]["_"] |= {"device": device, "member": self}

    def sign_in(self, when: float, device: dict) -> None:
        """Be signed in; whether that leaves a trace is seen in `replay`."""
        shop = self.shop
        if not self.registered:
            self.registered = True
            shop.users.append(
                {
                    "id": 9_000 + len(shop.users),
                    "user_id": self.user_id,
                    "email": self.gives,
                    "when": when,
                    "told": shop.chance(self.home["shares"].by_number),
                }
            )
        traits = {"email": self.types, "plan": "newsletter" if self.newsletter else "none"}
        self.call(when, device, "identify", "", path="/login", traits=traits)
        self.call(when + 1, device, "track", "next_steps", name="Signed In", path="/login")
        for record in shop.calls[-2:]:
            record["_"]["signs_in"] = True

    def ticket(self, when: float, stage: str, *, quality: float, meet) -> None:
        super().ticket(when, stage, quality=quality, meet=meet)
        ticket = self.shop.tickets[-1]
        if ticket["via"] == "voice" and self.shop.chance(self.home["shares"].by_phone):
            ticket["typed"] = str(self.shop.pick(list(OWN)))


def members(shop: Shop, people: int, shares: Households) -> list[Member]:
    """So many people, home by home."""

    def together(kind: str) -> dict:
        return {"id": "", "kind": kind, "known": False, "several": True}

    found: list[Member] = []
    while len(found) < people:
        size = 1 + int(shop.rng.choice(len(shares.sizes), p=shares.sizes))
        several = size > 1
        home = {
            "shares": shares,
            "tablet": together("tablet") if several and shop.chance(shares.tablet) else None,
            "computer": together("desktop") if several and shop.chance(shares.computer) else None,
            "address": f"home{len(found) + 1:05d}@mail.example" if several and shop.chance(shares.one_address) else None,
        }  # fmt: skip
        found += [Member(shop, len(found) + one, home) for one in range(1, size + 1)]
    return found


def replay(shop: Shop, shares: Households) -> None:
    """Give each call the cookie that its device has by then, and whoever is signed in there."""
    by_device: dict[int, list[dict]] = defaultdict(list)
    for record in shop.calls:
        by_device[id(record["_"]["device"])].append(record)
    shop.calls = []
    for records in by_device.values():
        records.sort(key=lambda one: one["_"]["time"])
        Browser(shop, shares, records[0]["_"]["device"]).keep(records)


class Browser:
    """The cookie and the login of one device, call by call."""

    def __init__(self, shop: Shop, shares: Households, device: dict) -> None:
        self.shop, self.shares, self.device = shop, shares, device
        self.forgets = shop.chance(dict(shares.forgets)[device["kind"]])
        self.who: Member | None = None  # signed in
        self.until = self.last = -np.inf
        self.visitor: Member | None = None
        self.new_cookie(-DAY)

    def new_cookie(self, when: float) -> None:
        self.cookie = self.shop.new_id()
        rate = -np.log(1 - self.shares.cleared) / (30 * DAY)
        self.cleared = when + self.shop.rng.exponential(1 / rate) if rate > 0 else np.inf

    def keep(self, records: list[dict]) -> None:
        signed_in = None
        for record in records:
            hidden = record["_"]
            self.come(hidden["member"], hidden["time"])
            if hidden.get("signs_in"):
                if record["type"] == "identify":
                    signed_in = hidden["member"] if self.who is hidden["member"] else None
                if signed_in is hidden["member"]:
                    continue
                self.who, self.until = hidden["member"], hidden["time"] + self.shares.login
            hidden["cookie"] = record["anonymousId"] = self.cookie
            record["userId"] = self.who.user_id if self.who else None
            self.shop.calls.append(record)

    def come(self, member: Member, when: float) -> None:
        """What changed since the last call."""
        if self.visitor is not None and (member is not self.visitor or when - self.last > 30 * MINUTE):
            if self.device.get("several") and not self.shop.chance(self.shares.stays):
                self.who = None
            if when > self.cleared:
                self.who = None
                self.new_cookie(when)
            elif self.forgets and when - self.last > 7 * DAY:
                self.new_cookie(when)
        if when > self.until:
            self.who = None
        self.visitor, self.last = member, when


def whose(shop: Shop, tickets: list[dict]) -> list[dict]:
    """Who really did each thing, and whether the logs hold enough to tell.

    They do where an event carries its person's user id; where its cookie was used by nobody else and its person was
    signed in there once; where its person was signed in at some time of the visit; and where all that its person
    ever did is on one cookie of their own. Of a ticket they do if the help desk has the account's number, or an
    address that its person and nobody else gave to the shop, or if its person did nothing else.

    A `thread` is what could be tied together if one saw who sits at a device, but not who somebody on another device
    is: all that a person did with cookies on which they once signed in, and the rest cookie by cookie.
    """
    calls = [one for one in shop.calls if inside(one["_"]["time"]) and one["_"]["stage"] != "bot"]
    calls.sort(key=lambda one: (one["anonymousId"], one["_"]["time"]))
    used, signed, visits, cookies = defaultdict(set), defaultdict(set), set(), defaultdict(set)
    visit, before = 0, None
    for call in calls:
        hidden = call["_"]
        if before is None or before["anonymousId"] != call["anonymousId"] \
           or before["_"]["person"] != hidden["person"] or hidden["time"] - before["_"]["time"] > 30 * MINUTE:  # fmt: skip
            visit += 1
        before, hidden["visit"] = call, visit
        used[call["anonymousId"]].add(hidden["person"])
        cookies[hidden["person"]].add(call["anonymousId"])
        if call["userId"] == hidden["person"]:
            signed[call["anonymousId"]].add(hidden["person"])
            visits.add(visit)
    asked_for_help = {ticket["person"] for ticket in tickets}
    rows = []
    for call in calls:
        person, cookie = call["_"]["person"], call["anonymousId"]
        alone = used[cookie] == {person}
        told = alone and (
            person in signed[cookie] or (len(cookies[person]) == 1 and person not in asked_for_help)
        )
        told = call["userId"] == person or (call["userId"] is None and (told or call["_"]["visit"] in visits))
        if call["type"] != "identify":
            thread = person if person in signed[cookie] else f"{person} with {cookie}"
            rows.append(
                {
                    "event_id": call["messageId"],
                    "ticket_id": "",
                    "person": person,
                    "thread": thread,
                    "told": int(told),
                }
            )
    givers = defaultdict(set)
    for call in calls:
        if call["type"] == "identify":
            givers[call["traits"]["email"]].add(call["userId"])
    for ticket in tickets:
        person = ticket["person"]
        told = ticket["has_number"] or givers[ticket["address"]] == {person} or not cookies[person]
        thread = person if told else f"{person} at {ticket['address']}"
        rows.append(
            {
                "event_id": "",
                "ticket_id": ticket["ticket_id"],
                "person": person,
                "thread": thread,
                "told": int(told),
            }
        )
    return rows


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
    write_gz(shop.folder / "clickstream.jsonl.gz", "\n".join(text) + "\n")
    return truth


def write_crm(shop: Shop) -> list[dict]:
    """Zendesk's tickets, users and ticket events, and the true stage of each ticket."""
    folder = shop.folder / "crm"
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
            "external_id": user["user_id"] if user.get("told", True) else None,
            "created_at": iso(user["when"]),
        }
        for user in shop.users
        if inside(user["when"])
    ]
    unknown: dict[str, int] = {}
    typed: dict[int, str] = {}
    told = {user["id"] for user in users if user["external_id"]}
    tickets, audits, truth = [], [], []
    for ticket in shop.tickets:
        if not inside(ticket["when"]):
            continue
        person = ticket["person"]
        requester = numbers.get(person.user_id)
        if requester is None or not any(user["id"] == requester for user in users[1:]):
            requester = unknown.setdefault(person.email, 50_000 + len(unknown))
        if "typed" in ticket:
            requester = 60_000 + ticket["id"]
            typed[requester] = ticket["typed"]
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
                **({"has_number": requester in told, "address": typed.get(requester, person.email)} if shop.homes else {}),
            }
        )  # fmt: skip
    users += [
        {
            "id": number,
            "email": email,
            "role": "end-user",
            "external_id": None,
            "created_at": iso(0),
        }
        for email, number in [*unknown.items(), *((email, number) for number, email in typed.items())]
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
    write_csv(shop.folder / "orders.csv", rows)


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
    write_csv(shop.folder / "surveys.csv", answers)
    invites = [row(one, "sent_at") for one in asked(shop, shop.invites)]
    write_csv(shop.folder / "survey_invites.csv", sorted(invites, key=lambda one: one["sent_at"]))


def write_truth(shop: Shop, events: list[dict], tickets: list[dict]) -> None:
    folder = shop.folder / "truth"
    folder.mkdir(exist_ok=True)
    if shop.homes:
        write_csv(folder / "whose.csv.gz", whose(shop, tickets), packed=True)
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
            "seed": shop.seed, "start": START.isoformat(), "end": END.isoformat(), "people": shop.people, "journeys": len(began),
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
    rows: dict[tuple[str, str], dict] = {}
    for record in shop.calls:
        if inside(record["_"]["time"]):
            device, person = record["anonymousId"], record["_"]["person"]
            blank = {"anonymous_id": device, "person": person, "signed_in": False}
            row = rows.setdefault((device, person), blank)
            row["signed_in"] |= record["userId"] == person
    return list(rows.values())


def make(
    seed: int = SEED, people: int = PEOPLE, households: Households | None = None, folder: Path = HERE
) -> Shop:
    """Write all files into a folder; with `households`, of people who live together."""
    folder.mkdir(parents=True, exist_ok=True)
    shop = Shop(seed, folder)
    shop.people, shop.homes = people, households is not None
    if households is None:
        crowd = (Person(shop, number) for number in range(1, people + 1))
    else:
        crowd = members(shop, people, households)
    for person in crowd:
        person.live(shop.rng.uniform(0, (END - START).total_seconds()))
    if households is not None:
        replay(shop, households)
    bots(shop)
    events = write_clickstream(shop)
    tickets = write_crm(shop)
    write_orders(shop)
    write_surveys(shop)
    write_truth(shop, events, tickets)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{len(events):,} events, {len(tickets):,} tickets, {size / 2**20:.1f} MB in {folder}")
    return shop


def main() -> None:
    asked_for = argparse.ArgumentParser(description="Make the sample data.")
    asked_for.add_argument(
        "--households", nargs="?", const="usual", choices=POPULATIONS, help="people who live together"
    )
    asked_for.add_argument("--seed", type=int, default=SEED)
    asked_for.add_argument("--people", type=int, default=PEOPLE)
    asked_for.add_argument("--to", type=Path, default=HERE)
    given = asked_for.parse_args()
    make(given.seed, given.people, POPULATIONS.get(given.households), given.to)


if __name__ == "__main__":
    main()
