"""Robots and the company's own people: marked, counted, left out of journeys, never lost."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics import BotRules, InputError, Internal, ingest
from eventlogs import NOW, Rows, click
from oracles import behaviour
from test_loader_matrix import changed, write
from vendor_cases import CASES

ADDRESSES = {
    "access_log": None,
    "amplitude": "ip_address",
    "matomo": "visitIp",
    "mixpanel": "properties.ip",
    "posthog": "properties.$ip",
    "rudderstack": "context.ip",
    "segment": "context.ip",
    "snowplow": "user_ipaddress",
}
"""Where exports that know the address of a visitor say it; None: in every row already."""
EMAILS = {
    "amplitude": "user_properties.email",
    "mixpanel": "properties.$email",
    "posthog": "properties.$set.email",
    "rudderstack": "context.traits.email",
    "segment": "context.traits.email",
}
"""Where exports say the e-mail address of who acted."""

SOME = {
    "burst": 4,
    "burst_window": 10 * behaviour.SECOND,
    "rush": 3,
    "rush_gap": behaviour.SECOND // 10,
    "hours": 3,
    "addresses": 3,
}
LIMITS = {"per_day": 6, "percentile": 80.0}


def rules(**other):
    texts = {name: f"{SOME[name]} us" for name in ("burst_window", "rush_gap")}
    return BotRules(**{**SOME, **LIMITS, **texts, **other})


def marks(events):
    frame = events.to_frame(["customer_id", "event_id", "is_bot", "is_test", "marked_by"])
    return {row.event_id: (row.is_bot, row.marked_by) for row in frame.itertuples()}


def at(seconds):
    return pd.Timestamp("2026-03-01") + pd.Timedelta(seconds=seconds)


def random_rows(rng, n_customers=8, n_events=200):
    """Rows of people and robots, on the web and elsewhere, some times known badly."""
    rows = []
    pace = rng.choice([0.05, 1.0, 60.0, 2_400.0], n_customers)
    clock = rng.integers(0, 200_000, n_customers).astype(float)
    for number in range(n_events):
        who = int(rng.integers(n_customers))
        clock[who] += float(rng.exponential(pace[who]) if rng.random() < 0.8 else pace[who] * 2)
        row = click(f"c{who}", at(round(clock[who], 3)), event_id=str(number))
        if rng.random() < 0.2:
            row["source_kind"] = str(rng.choice(["clickstream", "log", "order", "support"]))
        if rng.random() < 0.2:
            row["time_quality"] = str(rng.choice(["exact", "second", "date", "minute", "inferred"]))
        if rng.random() < 0.1:
            row["actor"] = str(rng.choice(["customer", "company", "system"]))
        if rng.random() < 0.1:
            row["is_bot"] = bool(rng.random() < 0.5)
        if rng.random() < 0.05:
            row["is_test"] = True
        if rng.random() < 0.9:
            pages = ["/product/{}", "/product/{}/a?b={}", "/p{}/", "/search?q={}"]
            row["path"] = pages[who % 4 if rng.random() < 0.97 else 0].format(*rng.integers(9, size=2))
        rows.append(row)
    return rows


def expected(rows, own=()):
    """The oracle: event id → (is_bot, marked_by)."""
    by_customer = {}
    for row in sorted(rows, key=lambda one: one["timestamp"]):
        by_customer.setdefault(row["user_id"], []).append(row)
    counted = {}
    for who, theirs in by_customer.items():
        counted[who] = [
            row
            for row in theirs
            if row.get("source_kind") in {None, "clickstream", "log"}
            and row.get("actor") in {None, "customer"}
            and row.get("time_quality") in {None, "exact", "second"}
        ]
    times = {who: [row["timestamp"].value // 1_000 for row in theirs] for who, theirs in counted.items()}
    days = [n for one in times.values() for n in behaviour.events_per_day(one)]
    limit = behaviour.day_limit(days, LIMITS["per_day"], LIMITS["percentile"])
    found = {}
    for who, theirs in by_customer.items():
        exact = [row.get("time_quality") in {None, "exact"} for row in counted[who]]
        paths = [row.get("path") for row in counted[who]]
        rule = behaviour.broken_rule(times[who], exact, limit, paths=paths, **SOME)
        for row in theirs:
            is_bot, mark = bool(row.get("is_bot")), None
            digital = row.get("source_kind") in {None, "clickstream", "log"}
            if who in own:
                mark = None if row.get("is_test") else "own domain"
            elif rule and digital and not is_bot and not row.get("is_test"):
                is_bot, mark = True, rule
            found[row["event_id"]] = (is_bot, mark)
    return found


class TestBehaviour:
    @pytest.mark.parametrize("seed", range(40))
    def test_what_the_rules_say_is_what_a_plain_loop_says(self, seed):
        rng = np.random.default_rng(seed)
        rows = random_rows(rng, n_customers=int(rng.integers(1, 12)), n_events=int(rng.integers(1, 300)))
        events = ingest(Rows(rows), bots=rules(), now=NOW, n_partitions=int(rng.integers(1, 5)))
        assert marks(events) == expected(rows)

    def test_the_loop_finds_every_rule_somewhere(self):
        every = set()
        for seed in range(40):
            rng = np.random.default_rng(seed)
            rows = random_rows(rng, n_customers=int(rng.integers(1, 12)), n_events=int(rng.integers(1, 300)))
            every |= {mark for _, mark in expected(rows).values()}
        assert every == {None, "burst", "per day", "rush", "around the clock", "one pattern"}

    @pytest.mark.parametrize(
        ("step", "more", "verdict"),
        [
            (1.0, 100, None),  # a hundred events in a hundred seconds are not more than a hundred
            (1.0, 101, "burst"),  # the last comes a hundred seconds after the first
            (1.01, 101, None),
        ],
    )
    def test_a_burst_is_more_than_a_hundred_events_in_a_hundred_seconds(self, step, more, verdict):
        rows = [click("a", at(number * step)) for number in range(more)]
        frame = ingest(Rows(rows), bots=BotRules(), now=NOW).to_frame(["marked_by"])
        assert frame["marked_by"].drop_duplicates().tolist() == [verdict]

    @pytest.mark.parametrize(
        ("paths", "verdict"),
        [
            ([f"/product/{at}" for at in range(51)], "one pattern"),
            ([f"/product/{at}" for at in range(50)], None),
            (["/product/1"] * 80, None),  # somebody who looks at one page again and again
            ([f"/search?q={at}" for at in range(51)], "one pattern"),
            ([*(f"/product/{at}" for at in range(60)), "/cart"], None),
            ([None, *(f"/de/a{at}/x" for at in range(51))], "one pattern"),
            ([f"/wiki/{chr(97 + at % 26) * (1 + at // 26)}" for at in range(60)], None),
        ],
    )
    def test_more_than_fifty_addresses_of_one_pattern_are_a_robot_s(self, paths, verdict):
        rows = [click("a", at(600 * number), path=path) for number, path in enumerate(paths)]
        rows.append(click("b", at(0), path="/product/1"))
        frame = ingest(Rows(rows), bots=BotRules(), now=NOW).to_frame(["customer_id", "marked_by"])
        assert set(frame.loc[frame["customer_id"] == "a", "marked_by"]) == {verdict}

    def test_the_day_s_limit_is_raised_by_what_is_usual(self):
        rows = [click(f"c{who}", at(60 * number)) for who in range(50) for number in range(20 + (who == 0))]
        strict = ingest(Rows(rows), bots=BotRules(per_day=5, percentile=None), now=NOW)
        assert strict.report().marks()["customers"].tolist() == [50]
        usual = ingest(Rows(rows), bots=BotRules(per_day=5, percentile=98.0), now=NOW)
        assert usual.report().marks()[["customers", "events"]].to_numpy().tolist() == [[1, 21]]
        assert "more than 20 events on one day (98 % of the days" in usual.report().notes[0]
        assert ingest(Rows(rows), bots=BotRules(), now=NOW).report().marks().empty

    def test_nobody_is_marked_unless_it_is_asked_for(self):
        rows = [click("a", at(number / 1_000)) for number in range(5_000)]
        events = ingest(Rows(rows), now=NOW)
        assert "is_bot" not in events.to_frame().columns
        assert events.report().marks().empty

    def test_orders_of_a_robot_stay(self):
        rows = [click("a", at(number / 100)) for number in range(150)]
        shop = Rows([click("a", at(5), event="order", source_kind="order")], name="shop")
        events = ingest([Rows(rows), shop], bots=BotRules(), now=NOW)
        report = events.report().to_frame().set_index("source")
        assert report["bots"].to_dict() == {"shop": 0, "web": 150}
        assert report["bot_share"].to_dict() == {"shop": 0.0, "web": 1.0}
        assert cjm.sessionize(events).to_frame()["touchpoint"].tolist() == ["order"]

    def test_journeys_count_what_they_leave_out_and_keep_it_if_asked(self):
        rows = [click("a", at(number / 100)) for number in range(150)]
        rows += [click("b", at(1)), click("b", at(2), is_test=True), click("b", at(3), is_bot=True)]
        events = ingest(Rows(rows), bots=BotRules(), now=NOW)
        told = cjm.sessionize(events).report().to_frame().set_index("what")["events"]
        assert (told["bots"], told["tests"], told["in journeys"]) == (151, 1, 1)
        assert cjm.sessionize(events, include_bots=True).n_events == 153

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"burst": 0}, "burst=0 must be a whole number"),
            ({"addresses": True}, "addresses=True must be a whole number"),
            ({"hours": 2.5}, "hours=2.5 must be a whole number"),
            ({"percentile": 0}, "percentile=0 must lie between 0 and 100"),
            ({"rush_gap": "soon"}, "rush_gap='soon' is no duration"),
        ],
    )
    def test_a_rule_without_meaning_is_refused(self, options, said):
        with pytest.raises(InputError, match=said):
            BotRules(**options)

    def test_something_else_is_no_rule(self):
        with pytest.raises(InputError, match=r"bots=True is no rule. Write bots=cjm.BotRules\(…\)"):
            ingest(Rows([click("a")]), bots=True)


class TestInternal:
    def test_rows_from_own_addresses_are_marked_wherever_the_export_says_them(self):
        rows = [
            {"properties": json.dumps({"context": {"ip": "10.1.2.3"}})},
            {"properties": json.dumps({"ip_address": "11.1.2.3"})},
            {"properties": json.dumps({"user_ipaddress": "2001:db8::7"})},
            {"properties": json.dumps({"ship": "10.1.2.3"})},
            {"properties": json.dumps({"$ip": "::ffff:10.0.0.1"})},
            {"properties": json.dumps({"ip": "10.9.9.9"}), "is_test": True},
            {},
        ]
        own = Internal(ips=["10.0.0.0/8", "2001:db8::/32"])
        log = Rows([click("a", number, **row) for number, row in enumerate(rows)])
        frame = ingest(log, internal=own, now=NOW).to_frame(["is_test", "marked_by"])
        mark = "own address"
        assert frame["marked_by"].tolist() == [mark, None, mark, None, mark, None, None]
        assert frame["is_test"].tolist() == [True, False, True, False, True, True, False]

    @pytest.mark.parametrize(("vendor", "place"), sorted(ADDRESSES.items()))
    def test_the_address_of_a_vendor_s_export_is_found(self, vendor, place, tmp_path):
        case = next(one for one in CASES if one.name == vendor)
        address = "203.0.113.5" if place is None else "10.1.2.3"
        rows = case.rows if place is None else [*case.rows[:-1], changed(case.rows[-1], place, address)]
        own = Internal(ips=[address])
        log = case.load(write(tmp_path, case, rows))
        frame = ingest(log, internal=own, dedupe=False, now="2026-01-01").to_frame(["marked_by"])
        # every line of the access log has it; a visit of Matomo is three rows
        wanted = {"access_log": 3, "matomo": 3}.get(vendor, 1)
        assert frame["marked_by"].tolist().count("own address") == wanted

    def test_a_promoted_address_is_looked_at(self):
        log = Rows([click("a", 0, ip="10.1.2.3"), click("b", 0, ip="nonsense")], keep=("ip",))
        report = ingest(log, internal=Internal(ips=["10.1.2.3"]), now=NOW).report()
        assert report.marks().to_numpy().tolist() == [["web", "own address", 1, 1]]
        assert "50.0 %" in report._repr_html_()
        assert "own address" in report._repr_html_()
        assert report.to_frame()[["tests", "test_share"]].to_numpy().tolist() == [[1, 0.5]]

    def test_all_that_own_people_do_is_marked(self):
        link = {"alias": "email:jo@Shop.example", "user_id": "u1"}
        rows = [
            click("u1", 0, source_kind="order"),
            click(None, 1, anonymous_id="email:ann@eu.shop.example"),
            click("bob@shop.example", 2),
            click("u2", 3),
            click("x@workshop.example", 4),
        ]
        attribute = {"user_id": "u3", "attribute": "email", "value": "cem@shop.example"}
        log = Rows([*rows, click("u3", 5)], links=[link], customers=[attribute])
        events = ingest(log, internal=Internal(domains=["@shop.example"]), now=NOW)
        frame = events.to_frame(["customer_id", "is_test"]).set_index("customer_id")["is_test"]
        assert frame[frame].index.tolist() == [
            "anonymous:email:ann@eu.shop.example", "bob@shop.example", "u1", "u3",
        ]  # fmt: skip
        assert len(cjm.sessionize(events)) == 2

    @pytest.mark.parametrize(("vendor", "place"), sorted(EMAILS.items()))
    def test_the_address_in_a_profile_tells_that_somebody_is_the_company_s(self, vendor, place, tmp_path):
        case = next(one for one in CASES if one.name == vendor)
        row = changed(case.rows[-1], place, "Jo@Shop.example")
        if vendor == "posthog":
            row = changed(row, "properties.$is_identified", True)
        log = case.load(write(tmp_path, case, [*case.rows, row]))
        events = ingest(log, internal=Internal(domains=["shop.example"]), now="2026-01-01")
        frame = events.to_frame(["customer_id", "is_test"])
        assert frame.loc[frame["customer_id"] == "u1", "is_test"].all()
        stranger = ingest(case.load(write(tmp_path, case)), internal=Internal(domains=["shop.example"]))
        assert not stranger.to_frame(["is_test"])["is_test"].any()

    def test_own_people_are_no_robots_besides(self):
        rows = [click("jo@shop.example", at(number / 100)) for number in range(150)]
        own = Internal(domains=["shop.example"])
        report = ingest(Rows(rows), bots=BotRules(), internal=own, now=NOW).report()
        assert report.marks()["marked_by"].tolist() == ["own domain"]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"ips": ["10.0.0/8"]}, "ips='10.0.0/8' is no IP address"),
            ({"ips": "10.0.0.0/8"}, "must be a list of texts"),
            ({"domains": ["jo@shop.example"]}, "domains='jo@shop.example' is no domain"),
            ({"domains": ["shop"]}, "domains='shop' is no domain"),
        ],
    )
    def test_what_is_no_address_is_refused(self, options, said):
        with pytest.raises(InputError, match=said):
            Internal(**options)


class TestAppending:
    @pytest.mark.parametrize("seed", range(6))
    def test_daily_parts_give_the_marks_of_one_ingest(self, seed, tmp_path):
        rng = np.random.default_rng(seed)
        rows = random_rows(rng, n_customers=10, n_events=400)
        own = Internal(domains=["c.example"])
        rows += [click("c1@c.example", at(number), event_id=f"own{number}") for number in range(3)]
        whole = ingest(Rows(rows), bots=rules(), internal=own, now=NOW, n_partitions=3)
        order = rng.permutation(len(rows))
        parts = np.array_split(order, 5)
        ingest(Rows([{**rows[at], "seq": int(at)} for at in parts[0]]), to=tmp_path / "store", now=NOW)
        for part in parts[1:]:
            log = Rows([{**rows[at], "seq": int(at)} for at in part])
            events = ingest(log, to=tmp_path / "store", bots=rules(), internal=own, now=NOW, n_partitions=3)
        assert marks(events) == marks(whole) == expected(rows, own={"c1@c.example"})
        assert events.report().marked == whole.report().marked
        columns = ["kept", "bots", "tests"]
        assert events.report().to_frame()[columns].equals(whole.report().to_frame()[columns])
        compacted = events.compact()
        assert marks(compacted) == marks(whole)
        assert compacted.report().marked == whole.report().marked

    def test_a_store_keeps_its_rules_and_gives_up_marks_that_do_not_hold(self, tmp_path):
        store = tmp_path / "store"
        quick = [click("a", at(number / 100), event_id=str(number)) for number in range(120)]
        ingest(Rows(quick[:60]), to=store, bots=BotRules(rush=None), now=NOW)
        events = ingest(Rows(quick[60:]), to=store, now=NOW)
        assert events.report().to_frame()["bots"].tolist() == [120]
        none = BotRules(burst=None, per_day=None, rush=None, hours=None, addresses=None)
        events = ingest(Rows([click("b", 0)]), to=store, bots=none, now=NOW)
        assert events.report().to_frame()["bots"].tolist() == [0]
        assert events.to_frame(["marked_by"]).isna().all(axis=None)
        events = ingest(
            Rows([click("a", at(999), event_id="z")]), to=store, bots=BotRules(burst=200), now=NOW,
            replace=("2026-03-01", "2026-03-02"),
        )  # fmt: skip
        assert events.report().marks().empty

    def test_a_mark_makes_no_row_another_event(self, tmp_path):
        store = tmp_path / "store"
        quick = [click("a", at(number / 100)) for number in range(120)]
        ingest(Rows(quick), to=store, bots=BotRules(), now=NOW)
        events = ingest(Rows(quick[:30]), to=store, now=NOW)
        assert (len(events), events.report().to_frame()["duplicates"].tolist()) == (120, [30])

    def test_the_manifest_says_the_rules(self, tmp_path):
        own = Internal(ips=["10.0.0.0/8"])
        ingest(Rows([click("a")]), to=tmp_path / "store", bots=BotRules(burst=7), internal=own, now=NOW)
        said = json.loads((tmp_path / "store" / "manifest.json").read_text())["rules"]
        assert said["bots"]["burst"] == 7
        assert said["internal"] == {"ips": ["10.0.0.0/8"], "domains": []}
