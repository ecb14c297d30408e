"""Make the exports of a tea shop's three systems, which know the same people by different ids, and the truth beside them.

Run `python data/samples/three_systems/generate.py`; the same seed gives the same files.

- `ga4/events_2026MM.jsonl.gz`: the BigQuery export of Google Analytics 4. A browser is `user_pseudo_id`; who signs in is
  `user_id`, the number of the shop's account. Who declined to be measured has neither. Some rows are there twice.
- `shopify/orders_export.csv`: the admin's export of orders, one row per item. A customer is an e-mail address; most carts
  carry the browser's id in a note.
- `zendesk/`: `tickets.json`, `users.json`, `satisfaction_ratings.json`. A customer is a number with an address, and with
  the account's number where there is one.
- `truth/`: `ids.csv` (whose each id is, and whether anything told so), `journeys.csv` (when each journey began and reached its purchase), `facts.json`

What is hard about them: people with several devices, tablets that two people sign in on, couples who share an address,
customers without an account, a program that reads the whole shop in a browser, and the shop's own people.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

SEED = 20260301
HERE = Path(__file__).resolve().parent
ZONE = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 1, tzinfo=ZONE)
END = datetime(2026, 7, 1, tzinfo=ZONE)
PEOPLE, HOUSEHOLDS, COUPLES, STAFF, ROBOTS = 3_000, 12, 5, 3, 3
STREAM = "4207123456"
SHOP = "https://teahouse.example"

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
TEAS = [(f"{kind}-{number}", f"{kind.title()} No. {number}", 6.9 + 2 * number)
        for kind in ("assam", "sencha", "oolong", "rooibos") for number in range(1, 5)]  # fmt: skip
STORIES = ["how-to-brew-green-tea", "a-week-in-assam", "which-pot-for-which-tea"]
QUERIES = ["green tea", "loose leaf", "gift box", "caffeine free", "teapot"]
ADS = [("google", "cpc", "spring"), ("instagram", "paid", "spring"), ("newsletter", "email", "monthly")]


class Shop:
    """A seeded world, and what its three systems write down."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.hits: list[dict] = []
        self.orders: list[dict] = []
        self.tickets: list[dict] = []
        self.journeys: list[dict] = []
        self.ids: list[dict] = []

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def wait(self, median: float, spread: float = 0.8) -> float:
        return float(median * np.exp(spread * self.rng.standard_normal()))

    def pick(self, options: list):
        return options[int(self.rng.integers(len(options)))]

    def device(self, kind: str) -> dict:
        first, second = self.rng.integers(10**8, 10**9), self.rng.integers(1_760_000_000, 1_772_000_000)
        return {
            "id": f"{first}.{second}",
            "kind": kind,
            "session": 0.0,
            "last": -1e9,
            "account": None,
            "new": True,
        }


class Person:
    """Somebody with a device or two, an address and perhaps an account."""

    def __init__(
        self, shop: Shop, number: int, *, devices: list[dict] | None = None, email: str | None = None
    ) -> None:
        self.shop, self.number = shop, number
        self.name = f"p{number:04d}"
        self.email = email or f"{self.name}@mail.example"
        self.account = f"c-{10_000 + 7 * number}" if shop.chance(0.6) else None
        kinds = ["mobile" if shop.chance(0.55) else "desktop"]
        if shop.chance(0.35):
            kinds.append("desktop" if kinds[0] == "mobile" else "mobile")
        self.devices = devices or [shop.device(kind) for kind in kinds]
        self.measured = shop.chance(0.95)
        self.zendesk = 880_000 + number
        self.role = "customer"
        self.journey = 0

    def hit(
        self, when: float, device: dict, name: str, path: str, *, ad: tuple | None = None, **more: object
    ) -> None:
        """What Google Analytics writes of one act, and of the session that it begins."""
        if abs(when - device["last"]) > 30 * MINUTE:
            device["session"] = when
            for automatic in ("first_visit", "session_start") if device["new"] else ("session_start",):
                self.write(when, device, automatic, path, {}, ad)
            device["new"] = False
        device["last"] = when
        self.write(when, device, name, path, more, ad)

    def write(self, when: float, device: dict, name: str, path: str, more: dict, ad: tuple | None) -> None:
        self.shop.hits.append(
            {
                "when": when, "name": name, "path": path, "more": more, "ad": ad, "kind": device["kind"],
                "device": device["id"] if self.measured else None, "session": device["session"],
                "account": device["account"] if self.measured and device["account"] == self.account else None,
            }
        )  # fmt: skip

    def sign_in(self, when: float, device: dict) -> None:
        if self.account is not None and device["account"] != self.account:
            device["account"] = self.account
            self.hit(when, device, "login", "/login")

    def live(self, when: float) -> None:
        """All journeys, one after the other."""
        while when < seconds(END):
            start, bought = when, self.travel(when)
            self.shop.journeys.append(
                {"person": self.name, "journey": self.journey, "start": start, "bought": bought}
            )
            self.journey += 1
            if bought is None or not self.shop.chance(0.35):
                return
            when = bought + 20 * DAY + self.shop.wait(12 * DAY)

    def travel(self, when: float) -> float | None:
        """One journey; returns when it reached the purchase, if it did."""
        shop = self.shop
        device = shop.pick(self.devices)
        if shop.chance(0.75):
            story = shop.chance(0.4)
            self.hit(when, device, "page_view", f"/blog/{shop.pick(STORIES)}" if story else "/",
                     ad=None if story else shop.pick([*ADS, None]))  # fmt: skip
            if story and shop.chance(0.15):
                self.hit(when + 40, device, "tea_quiz_finished", "/quiz")
            if not shop.chance(0.72):
                return None
            when += shop.wait(3 * MINUTE) if shop.chance(0.6) else shop.wait(2 * DAY)
        if shop.chance(0.6):
            query = shop.pick(QUERIES)
            self.hit(
                when, device, "view_search_results", f"/search?q={query.replace(' ', '+')}", search_term=query
            )
            when += shop.wait(1 * MINUTE)
            if not shop.chance(0.85):
                return None
        for visit in range(1 + int(shop.rng.poisson(0.5))):
            when += shop.wait(1.5 * DAY) if visit else 0.0
            for _ in range(1 + int(shop.rng.poisson(0.8))):
                sku, _, price = shop.pick(TEAS)
                self.hit(when, device, "view_item", f"/products/{sku}", value=price, currency="EUR")
                when += shop.wait(1 * MINUTE)
        if shop.chance(0.06):
            self.ask_for_help(when, quality=0.8, subject="Which tea is right for me?")
            when += shop.wait(3 * HOUR)
        if not shop.chance(0.62):
            return None
        if len(self.devices) > 1 and shop.chance(0.4):
            if shop.chance(0.7):
                self.sign_in(when, device)
            device = next(one for one in self.devices if one is not device)
        when += shop.wait(2 * MINUTE) if shop.chance(0.6) else shop.wait(1 * DAY)
        items = [shop.pick(TEAS) for _ in range(1 + int(shop.rng.poisson(0.6)))]
        self.hit(when, device, "add_to_cart", f"/products/{items[0][0]}", value=items[0][2], currency="EUR")
        when += shop.wait(2 * MINUTE)
        if not shop.chance(0.82):
            return None
        self.sign_in(when, device)
        when += shop.wait(1 * MINUTE)
        total = round(sum(price for _, _, price in items), 2)
        self.hit(when, device, "begin_checkout", "/checkout", value=total, currency="EUR")
        if not shop.chance(0.66 if device["kind"] == "mobile" else 0.8):
            return None
        when += shop.wait(3 * MINUTE)
        return self.buy(when, device, items, total)

    def buy(self, when: float, device: dict, items: list, total: float) -> float:
        """The purchase, as the page and as the shop see it, and what comes after it."""
        shop = self.shop
        number = 2_001 + len(shop.orders)
        if shop.chance(0.93):  # the rest closes the page too early
            self.hit(
                when,
                device,
                "purchase",
                "/thank-you",
                transaction_id=str(number),
                value=total,
                currency="EUR",
            )
        shop.orders.append(
            {
                "number": number, "person": self, "when": when - 2, "items": items, "total": total,
                "sent": when + shop.wait(1.2 * DAY, 0.4), "cancelled": when + shop.wait(5 * HOUR) if shop.chance(0.03) else None,
                "device": device["id"] if self.measured and shop.chance(0.98) else None,
            }
        )  # fmt: skip
        if shop.orders[-1]["cancelled"] is not None:
            return when
        if self.account is not None:
            for _ in range(int(shop.rng.poisson(1.3))):
                self.hit(when + shop.wait(8 * DAY), device, "page_view", "/account/brewing-guide")
        if shop.chance(0.15):
            self.ask_for_help(when + shop.wait(5 * DAY, 0.5), quality=0.6, subject="My order")
        return when

    def ask_for_help(self, when: float, *, quality: float, subject: str) -> None:
        shop = self.shop
        solved = when + shop.wait(7 * HOUR)
        answer = ("good" if shop.chance(quality) else "bad") if shop.chance(0.45) else "offered"
        shop.tickets.append(
            {
                "id": 3_001 + len(shop.tickets), "person": self, "when": when, "solved": solved, "subject": subject,
                "via": shop.pick(["email", "chat", "web"]), "offered": solved + HOUR, "rated": solved + HOUR + shop.wait(5 * HOUR),
                "score": answer,
            }
        )  # fmt: skip


def crowd(shop: Shop) -> list[Person]:
    """All people, and among them those whom it is hard to tell apart."""
    people = [Person(shop, number) for number in range(PEOPLE)]
    for number in range(HOUSEHOLDS):  # two people sign in on one tablet
        one, other = people[2 * number], people[2 * number + 1]
        one.account, other.account = f"c-{10_000 + 14 * number}", f"c-{10_007 + 14 * number}"
        tablet = shop.device("tablet")
        one.devices = other.devices = [tablet]
        one.measured = other.measured = True
        one.role = other.role = "shared"
    for number in range(COUPLES):  # two accounts, one address
        one, other = people[100 + 2 * number], people[101 + 2 * number]
        one.account, other.account = f"c-{10_700 + 14 * number}", f"c-{10_707 + 14 * number}"
        other.email = one.email
        one.measured = other.measured = True
        one.role = other.role = "shared"
    for number in range(STAFF):
        people.append(Person(shop, PEOPLE + number, email=f"staff{number + 1}@teahouse.example"))
        people[-1].account, people[-1].measured, people[-1].role = None, True, "staff"
    for number in range(ROBOTS):
        people.append(Person(shop, PEOPLE + STAFF + number, devices=[shop.device("desktop")]))
        people[-1].account, people[-1].measured, people[-1].role = None, True, "robot"
    return people


def go(shop: Shop, person: Person) -> None:
    when = shop.rng.uniform(0, seconds(END))
    if person.role == "robot":
        for number in range(130):
            person.hit(
                when + 0.4 * number,
                person.devices[0],
                "view_item",
                f"/products/{TEAS[number % len(TEAS)][0]}",
            )
    elif person.role == "staff":
        for _ in range(4):
            when = shop.rng.uniform(0, seconds(END) - DAY)
            person.hit(when, person.devices[0], "begin_checkout", "/checkout", value=0.0, currency="EUR")
            person.buy(when + 30, person.devices[0], [TEAS[0]], TEAS[0][2])
    elif person.role == "shared":  # each of two buys, so that a tablet or an address meets both accounts
        device = person.devices[0]
        person.hit(when, device, "view_item", f"/products/{TEAS[1][0]}", value=TEAS[1][2], currency="EUR")
        person.hit(
            when + 60, device, "add_to_cart", f"/products/{TEAS[1][0]}", value=TEAS[1][2], currency="EUR"
        )
        person.sign_in(when + 80, device)
        person.hit(when + 90, device, "begin_checkout", "/checkout", value=TEAS[1][2], currency="EUR")
        bought = person.buy(when + 200, device, [TEAS[1]], TEAS[1][2])
        shop.orders[-1]["device"] = device["id"]
        shop.journeys.append({"person": person.name, "journey": 0, "start": when, "bought": bought})
    else:
        person.live(when)


def number_in_order(shop: Shop) -> None:
    """Orders and tickets get their numbers as they come in."""
    shop.orders.sort(key=lambda one: one["when"])
    shop.tickets.sort(key=lambda one: one["when"])
    numbers = {order["number"]: 2_001 + place for place, order in enumerate(shop.orders)}
    for order in shop.orders:
        order["number"] = numbers[order["number"]]
    for hit in shop.hits:
        if "transaction_id" in hit["more"]:
            hit["more"]["transaction_id"] = str(numbers[int(hit["more"]["transaction_id"])])
    for place, ticket in enumerate(shop.tickets):
        ticket["id"] = 3_001 + place


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def seconds(instant: datetime) -> float:
    return (instant.astimezone(UTC) - START.astimezone(UTC)).total_seconds()


def at(when: float) -> datetime:
    return START.astimezone(UTC) + timedelta(milliseconds=round(when * 1_000))


def inside(when: float | None) -> bool:
    return when is not None and 0 <= when < seconds(END)


def iso(when: float) -> str:
    return at(when).strftime("%Y-%m-%dT%H:%M:%SZ")


def parameter(key: str, value: object) -> dict:
    kind = (
        "int_value"
        if isinstance(value, int)
        else "double_value"
        if isinstance(value, float)
        else "string_value"
    )
    return {"key": key, "value": {kind: str(value) if isinstance(value, int) else value}}


def ga4_row(hit: dict, order: int) -> dict:
    session = int(at(hit["session"]).timestamp())
    row = {
        "event_date": at(hit["when"]).astimezone(ZONE).strftime("%Y%m%d"),
        "event_timestamp": str(round(at(hit["when"]).timestamp() * 1e6)),
        "event_name": hit["name"],
        "event_params": [
            parameter("ga_session_id", session),
            parameter("page_location", SHOP + hit["path"]),
            *(parameter(key, value) for key, value in hit["more"].items() if key != "transaction_id"),
        ],
        "stream_id": STREAM, "platform": "WEB", "device": {"category": hit["kind"]}, "batch_ordering_id": str(order),
    }  # fmt: skip
    if hit["device"] is not None:
        row["user_pseudo_id"] = hit["device"]
    if hit["account"] is not None:
        row["user_id"] = hit["account"]
    if hit["ad"] is not None:
        row["collected_traffic_source"] = dict(
            zip(("manual_source", "manual_medium", "manual_campaign_name"), hit["ad"], strict=True)
        )
    if "transaction_id" in hit["more"]:
        row["ecommerce"] = {
            "transaction_id": hit["more"]["transaction_id"],
            "purchase_revenue": hit["more"]["value"],
        }
    return row


def write_ga4(shop: Shop) -> int:
    folder = HERE / "ga4"
    folder.mkdir(exist_ok=True)
    months: dict[str, list[str]] = defaultdict(list)
    doubled = 0
    for order, hit in enumerate(
        sorted((one for one in shop.hits if inside(one["when"])), key=lambda one: one["when"])
    ):
        row = ga4_row(hit, order)
        again = shop.chance(0.005)
        doubled += again
        months[row["event_date"][:6]] += [json.dumps(row)] * (1 + again)
    for month, lines in months.items():
        with (folder / f"events_{month}.jsonl.gz").open("wb") as raw, \
             gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:  # fmt: skip
            packed.write(("\n".join(lines) + "\n").encode())
    return doubled


def write_shopify(shop: Shop) -> None:
    def stamp(when: float | None) -> str:
        return at(when).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S %z") if inside(when) else ""

    columns = [
        "Name", "Email", "Financial Status", "Paid at", "Fulfillment Status", "Fulfilled at", "Accepts Marketing", "Currency",
        "Subtotal", "Shipping", "Taxes", "Total", "Discount Code", "Discount Amount", "Shipping Method", "Created at",
        "Lineitem quantity", "Lineitem name", "Lineitem price", "Lineitem sku", "Note Attributes", "Cancelled at",
        "Refunded Amount", "Id", "Source",
    ]  # fmt: skip
    rows = []
    for order in sorted((one for one in shop.orders if inside(one["when"])), key=lambda one: one["when"]):
        sent = stamp(order["sent"]) if order["cancelled"] is None else ""
        first = {
            "Name": f"#{order['number']}", "Email": order["person"].email,
            "Financial Status": "paid" if order["cancelled"] is None else "refunded", "Paid at": stamp(order["when"] + 1),
            "Fulfillment Status": "fulfilled" if sent else "unfulfilled", "Fulfilled at": sent, "Accepts Marketing": "no",
            "Currency": "EUR", "Subtotal": f"{order['total']:.2f}", "Shipping": "0.00",
            "Taxes": f"{order['total'] * 7 / 107:.2f}", "Total": f"{order['total']:.2f}", "Discount Amount": "0.00",
            "Shipping Method": "Standard", "Created at": stamp(order["when"]),
            "Note Attributes": f"google-clientid: {order['device']}" if order["device"] else "",
            "Cancelled at": stamp(order["cancelled"]),
            "Refunded Amount": "0.00" if order["cancelled"] is None else f"{order['total']:.2f}",
            "Id": str(6_100_000_000_000 + 17 * order["number"]), "Source": "web",
        }  # fmt: skip
        for place, (sku, title, price) in enumerate(order["items"]):
            about = (
                first
                if place == 0
                else {"Name": first["Name"], "Email": first["Email"], "Created at": first["Created at"]}
            )
            rows.append(
                {
                    **about,
                    "Lineitem quantity": "1",
                    "Lineitem name": title,
                    "Lineitem price": f"{price:.2f}",
                    "Lineitem sku": sku,
                }
            )
    write_csv(HERE / "shopify" / "orders_export.csv", rows, columns)


def write_zendesk(shop: Shop) -> None:
    folder = HERE / "zendesk"
    folder.mkdir(exist_ok=True)
    tickets = [one for one in shop.tickets if inside(one["when"])]
    people = {one["person"].zendesk: one["person"] for one in tickets}
    users = [
        {
            "id": 1,
            "email": "help@teahouse.example",
            "role": "agent",
            "external_id": None,
            "created_at": iso(0),
        }
    ]
    users += [
        {
            "id": number,
            "email": person.email,
            "role": "end-user",
            "external_id": person.account,
            "created_at": iso(0),
        }
        for number, person in sorted(people.items())
    ]
    found = [
        {
            "id": one["id"], "created_at": iso(one["when"]), "updated_at": iso(one["solved"] if inside(one["solved"]) else one["when"]),
            "requester_id": one["person"].zendesk, "submitter_id": one["person"].zendesk,
            "status": "solved" if inside(one["solved"]) else "open", "subject": one["subject"], "via": {"channel": one["via"]},
        }
        for one in tickets
    ]  # fmt: skip
    ratings = [
        {
            "id": 70_000 + one["id"], "ticket_id": one["id"], "requester_id": one["person"].zendesk, "created_at": iso(one["offered"]),
            "score": one["score"] if inside(one["rated"]) else "offered",
            "updated_at": iso(one["rated"] if one["score"] != "offered" and inside(one["rated"]) else one["offered"]),
        }
        for one in tickets if inside(one["offered"])
    ]  # fmt: skip
    for name, rows in (("tickets", found), ("users", users), ("satisfaction_ratings", ratings)):
        (folder / f"{name}.json").write_text(json.dumps({name: rows, "count": len(rows)}, indent=0) + "\n")


def write_truth(shop: Shop, people: list[Person], doubled: int) -> None:
    seen = {hit["device"] for hit in shop.hits if inside(hit["when"])}
    ordered = {one["person"].name for one in shop.orders if inside(one["when"])}
    asked = {one["person"].name for one in shop.tickets if inside(one["when"])}
    signed = {hit["account"] for hit in shop.hits if inside(hit["when"])}
    told = {hit["device"] for hit in shop.hits if inside(hit["when"]) and hit["account"]}
    told |= {one["device"] for one in shop.orders if inside(one["when"])}
    ids = []
    for person in people:
        ids += [(one["id"], person) for one in person.devices if one["id"] in seen]
        if person.name in ordered | asked:
            ids.append((f"email:{person.email}", person))
        if person.account and (person.account in signed or person.name in asked):
            ids.append((person.account, person))
    rows = [
        {
            "id": text,
            "person": person.name,
            "role": person.role,
            "told": int(text in told or not text[0].isdigit()),
        }
        for text, person in ids
    ]
    write_csv(HERE / "truth" / "ids.csv", rows, ["id", "person", "role", "told"])
    journeys = [
        {**one, "start": iso(one["start"]), "bought": iso(one["bought"]) if inside(one["bought"]) else ""}
        for one in shop.journeys if inside(one["start"])
    ]  # fmt: skip
    write_csv(HERE / "truth" / "journeys.csv", journeys, ["person", "journey", "start", "bought"])
    own = [one for one in shop.orders if inside(one["when"]) and one["person"].role != "staff"]
    hits = [hit for hit in shop.hits if inside(hit["when"])]
    facts = {
        "seed": SEED, "start": START.isoformat(), "end": END.isoformat(), "ga4_rows_twice": doubled,
        "ga4_rows_without_id": sum(hit["device"] is None for hit in hits),
        "orders": len(own), "cancelled": sum(inside(one["cancelled"]) for one in own),
        "staff_orders": sum(inside(one["when"]) for one in shop.orders) - len(own),
        "tickets": sum(inside(one["when"]) for one in shop.tickets), "robots": ROBOTS, "shared_tablets": HOUSEHOLDS,
        "shared_addresses": COUPLES,
    }  # fmt: skip
    (HERE / "truth" / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


def write_csv(path: Path, rows: list[dict], columns: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue())


def main() -> None:
    shop = Shop(SEED)
    people = crowd(shop)
    for person in people:
        go(shop, person)
    number_in_order(shop)
    doubled = write_ga4(shop)
    write_shopify(shop)
    write_zendesk(shop)
    write_truth(shop, people, doubled)
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    print(
        f"{len(shop.hits):,} hits, {len(shop.orders):,} orders, {len(shop.tickets):,} tickets, {size / 2**20:.2f} MB"
    )


if __name__ == "__main__":
    main()
