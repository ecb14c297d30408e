"""Who is who: the rules, an oracle of all of them, and that they depend on nothing but what was seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cjm_analytics as cjm
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.events.evidence import Evidence
from cjm_analytics.events.folder import Folder
from cjm_analytics.events.identity import Identity
from cjm_analytics.events.ingest import ingest
from cjm_analytics.events.pairs import EVIDENCE
from eventlogs import NOW, Rows, click
from oracles.identity import stitched

START = pd.Timestamp("2026-03-01")


def customers_of(rows, **options):
    """The customer of each row, in the order of the rows' times."""
    source = Rows(rows, links=options.pop("links", []))
    frame = ingest(source, now=NOW, **options).to_frame(["customer_id", "timestamp"])
    return frame.sort_values("timestamp", kind="stable")["customer_id"].tolist()


def anonymous(device, at, event="view"):
    return click(None, at, event, anonymous_id=device)


def both(user, device, at, event="login"):
    return click(user, at, event, anonymous_id=device)


def link(alias, user, at=None, kind=None):
    time = None if at is None else START + pd.Timedelta(minutes=at)
    return {"alias": alias, "user_id": user, "timestamp": time, "kind": kind}


DAYS = 24 * 60


class TestPersons:
    def test_two_devices_of_one_person_are_one_customer(self):  # oracle (a)
        rows = [both("u1", "a1", 0), anonymous("a1", 1), both("u1", "a2", 2), anonymous("a2", 3)]
        assert set(customers_of(rows)) == {"u1"}

    def test_a_shared_tablet_is_two_persons_and_split_by_time(self):  # oracle (b)
        rows = [
            anonymous("d1", 0),
            both("u1", "d1", 1),
            anonymous("d1", 2),
            both("u2", "d1", 2 + 20 * DAYS),
            anonymous("d1", 3 + 20 * DAYS),
        ]
        assert customers_of(rows) == ["u1", "u1", "u2", "u2", "u2"]
        report = ingest(Rows(rows), now=NOW).report().identity
        assert (report.known_customers, report.shared_devices, report.conflicts) == (2, 1, 0)

    def test_a_placeholder_joins_nobody(self):  # oracle (c)
        links = [link("email:null", f"u{one}", one) for one in range(1000)]
        rows = [click(f"u{one}", one) for one in range(1000)]
        events = ingest(Rows(rows, links=links), now=NOW)
        assert events.report().identity.customers == 1000
        assert events.report().identity.hubs == 0

    def test_an_address_of_two_users_goes_with_the_earlier_one(self):  # oracle (d)
        links = [link("email:e1@x.de", "u1", 0), link("email:e1@x.de", "u2", 1)]
        rows = [click("u1", 0), click("u2", 1), anonymous("email:e1@x.de", 2)]
        for given_links in (links, links[::-1]):
            events = ingest(Rows(rows, links=given_links), now=NOW)
            assert events.to_frame(["customer_id", "timestamp"])["customer_id"].tolist() == ["u1", "u1", "u2"]
            (conflict,) = events.conflicts().itertuples()
            assert (conflict.alias, conflict.user_id) == ("email:e1@x.de", "u2")
            assert (conflict.customer_id, conflict.other_customer_id) == ("u1", "u2")

    def test_a_user_that_the_vendor_merged_is_one_customer_with_its_devices(self):
        links = [link("u2", "u1", 5, "merge")]
        rows = [click("u1", 0), click("u2", 1), both("u2", "d", 2), anonymous("d", 3)]
        assert customers_of(rows, links=links) == ["u1"] * 4

    def test_a_merged_user_counts_as_one(self):
        links = [
            link("u2", "u1", 0, "merge"),
            link("email:a@x.de", "u1", 0),
            link("email:a@x.de", "u2", 1),
            link("email:a@x.de", "u3", 2),
        ]
        rows = [click("u1", 0), click("u2", 1), click("u3", 2), anonymous("email:a@x.de", 3)]
        assert customers_of(rows, links=links) == ["u1", "u1", "u3", "u1"]

    def test_ids_of_different_systems_meet_in_an_address(self):
        links = [link("email:a@x.de", "ann", 0), link("email:a@x.de", "zendesk:5", 1, "alias")]
        rows = [click("ann", 0), anonymous("zendesk:5", 1)]
        assert customers_of(rows, links=links) == ["ann", "ann"]

    def test_two_ids_of_one_system_do_not(self):
        links = [link("email:a@x.de", f"zendesk:{one}", one, "alias") for one in (5, 6)]
        rows = [anonymous("zendesk:5", 1), anonymous("zendesk:6", 2), anonymous("email:a@x.de", 3)]
        assert customers_of(rows, links=links) == ["zendesk:5", "zendesk:6", "zendesk:5"]

    def test_an_address_that_was_given_on_a_device_is_its_owners(self):
        links = [link("tablet", "email:a@x.de", 0, "alias"), link("email:a@x.de", "ann", 1)]
        assert customers_of([anonymous("tablet", 0), click("ann", 1)], links=links) == ["ann", "ann"]

    def test_an_address_without_a_person_owns_its_devices(self):
        links = [link("tablet", "email:a@x.de", 0, "alias")]
        assert customers_of([anonymous("tablet", 0)], links=links) == ["anonymous:email:a@x.de"]

    def test_the_same_user_id_of_two_sources_is_one_person_unless_told_otherwise(self):
        sources = [Rows([click("17", 0)]), Rows([click("17", 1)], name="shop")]
        apart = Identity(namespaces={"shop": "pos"})
        assert ingest(sources, now=NOW).to_frame()["customer_id"].tolist() == ["17", "17"]
        frame = ingest(sources, now=NOW, identity=apart).to_frame()
        assert frame["customer_id"].tolist() == ["17", "pos:17"]
        assert frame["user_id"].tolist() == ["17", "pos:17"]

    def test_the_ids_of_a_system_of_ones_own_meet_in_an_address(self):
        sources = [
            Rows([click("17", 0)], links=[link("email:a@x.de", "17", 0)]),
            Rows([click("99", 1)], name="shop", links=[link("email:A@x.de ", "99", 0)]),
        ]
        apart = Identity(namespaces={"shop": "pos"})
        assert ingest(sources, now=NOW, identity=apart).to_frame()["customer_id"].tolist() == ["17", "17"]

    def test_an_event_of_an_account_alone_is_the_accounts(self):
        assert customers_of([click(None, 0, account_id="acme")]) == ["account:acme"]

    def test_an_id_never_seen_with_a_user_stays_a_customer_of_its_own(self):
        assert customers_of([anonymous("d", 0), click("ann", 1)]) == ["anonymous:d", "ann"]

    def test_ids_may_stay_apart_on_demand(self):
        rows = [both("ann", "d", 0), anonymous("d", 1)]
        assert customers_of(rows, identity=Identity(stitch=False)) == ["ann", "anonymous:d"]

    def test_attributes_follow_the_person(self):
        traits = [{"user_id": "u2", "timestamp": None, "attribute": "plan", "value": "pro"}]
        source = Rows([click("u1", 0)], links=[link("u2", "u1", 0, "merge")], customers=traits)
        assert ingest(source, now=NOW).to_frame()["customer.plan"].tolist() == ["pro"]


class TestHubs:
    def test_an_address_of_many_links_nobody(self):
        links = [link("email:info@x.de", f"u{one}", one) for one in range(6)]
        events = ingest(Rows([anonymous("email:info@x.de", 0), click("u0", 1)], links=links), now=NOW)
        assert events.to_frame()["customer_id"].tolist() == ["anonymous:email:info@x.de", "u0"]
        assert events.report().hubs().to_numpy().tolist() == [["email:info@x.de", 6]]

    def test_as_many_as_allowed_do_not_make_a_hub(self):
        links = [link("email:info@x.de", f"u{one}", one) for one in range(5)]
        assert customers_of([anonymous("email:info@x.de", 0)], links=links) == ["u0"]

    def test_a_kiosk_belongs_to_nobody(self):
        rows = [both(f"u{one}", "kiosk", one) for one in range(6)] + [anonymous("kiosk", 9)]
        assert customers_of(rows)[-1] == "anonymous:kiosk"

    def test_one_person_with_all_ids_is_an_error(self):
        rows = [both("tester", f"d{one}", one) for one in range(300)]
        with pytest.raises(InputError, match=r"'d0'.*largest=None") as error:
            ingest(Rows(rows), now=NOW)
        assert len(error.value.failures) == 20
        assert len(ingest(Rows(rows), now=NOW, identity=Identity(largest=None))) == 300
        assert len(ingest(Rows(rows), now=NOW, identity=Identity(blocked=["d[0-9]+"]))) == 300

    def test_a_small_log_may_have_one_person_only(self):
        assert len(ingest(Rows([both("ann", f"d{one}", one) for one in range(50)]), now=NOW)) == 50


def order(number, at, **ids):
    return click(ids.pop("user", None), at, "buy", order_id=number, **ids)


class TestOrders:
    """Who placed an order in the browser is who paid for it."""

    @pytest.mark.parametrize("mail", ["email:a@x.de", "zendesk:5", "phone:49170"])
    def test_a_device_and_an_address_meet_in_an_order(self, mail):
        rows = [
            anonymous("d", 0),
            order("1001", 1, anonymous_id="d"),
            order("1001", 2, anonymous_id=mail),
            anonymous("d", 9 * DAYS),
        ]
        (customer,) = set(customers_of(rows))
        assert customer in {mail, f"anonymous:{mail}"}
        assert len(set(customers_of(rows, identity=Identity(orders=None)))) == 2

    def test_a_device_and_a_user_meet_in_an_order(self):
        rows = [order("1001", 0, anonymous_id="d"), order("1001", 1, user="ann"), anonymous("d", 2)]
        assert set(customers_of(rows)) == {"ann"}

    def test_the_ids_of_two_sources_meet_whichever_comes_first(self):
        web = Rows([order("1001", 1, anonymous_id="d"), anonymous("d", 0)])
        shop = Rows([order("1001", 2, anonymous_id="email:a@x.de")], name="shop")
        for sources in ([web, shop], [shop, web]):
            assert set(ingest(sources, now=NOW).to_frame()["customer_id"]) == {"anonymous:email:a@x.de"}

    def test_a_number_that_comes_again_later_is_another_order(self):
        rows = [
            order("1001", 0, anonymous_id="d1"),
            order("1001", 1, anonymous_id="email:a@x.de"),
            order("1001", 1 + DAYS, anonymous_id="d2"),  # within a day of the one before
            order("1001", 2 + 2 * DAYS, anonymous_id="d3"),
            order("1001", 3 + 2 * DAYS, anonymous_id="email:b@x.de"),
        ]
        assert customers_of(rows) == ["anonymous:email:a@x.de"] * 3 + ["anonymous:email:b@x.de"] * 2

    def test_who_sees_an_order_later_again_was_there_the_first_time(self):
        rows = [order("7", at, anonymous_id="d") for at in (0, 5 * DAYS)]
        rows += [order("7", at, anonymous_id="email:a@x.de") for at in (1, 5 * DAYS + 1)]
        assert set(customers_of(rows)) == {"anonymous:email:a@x.de"}

    @pytest.mark.parametrize(
        ("one", "other"),
        [("email:a@x.de", "email:b@x.de"), ("zendesk:1", "zendesk:2"), ("phone:491", "phone:492")],
    )
    def test_a_number_of_two_buyers_ties_nobody(self, one, other):
        rows = [order("1001", at, anonymous_id=name) for at, name in enumerate(["d", one, other])]
        events = ingest(Rows(rows), now=NOW)
        assert events.to_frame()["customer_id"].nunique() == 3
        assert events.report().hubs().to_numpy().tolist() == [["order:1001", 2]]

    def test_two_addresses_of_one_person_are_one_buyer(self):
        links = [link(f"email:{one}@x.de", "ann", 0) for one in "ab"]
        rows = [
            order("1", at, anonymous_id=name) for at, name in enumerate(["d", "email:a@x.de", "email:b@x.de"])
        ]
        assert set(customers_of(rows, links=links)) == {"ann"}

    def test_an_order_joins_no_two_users(self):
        links = [link("email:a@x.de", "ann", 0)]
        rows = [order("1", 0, user="bob"), order("1", 1, anonymous_id="email:a@x.de"), click("ann", 2)]
        events = ingest(Rows(rows, links=links), now=NOW)
        assert sorted(events.to_frame()["customer_id"]) == ["ann", "ann", "bob"]
        (conflict,) = events.conflicts().itertuples()
        assert {conflict.alias, conflict.user_id} == {"order:1", "email:a@x.de"}

    @pytest.mark.parametrize("number", ["null", "0", "(not set)", " "])
    def test_a_placeholder_is_no_order(self, number):
        rows = [order(number, 0, anonymous_id="d"), order(number, 1, anonymous_id="email:a@x.de")]
        assert customers_of(rows) == ["anonymous:d", "anonymous:email:a@x.de"]

    def test_a_number_on_many_devices_ties_nobody(self):
        rows = [order("test", at, anonymous_id=f"d{at}") for at in range(6)]
        assert len(set(customers_of(rows))) == 6
        assert len(set(customers_of(rows[:5]))) == 1

    def test_a_device_that_sells_to_many_is_nobodys(self):
        rows = [order(f"a{one}", one, anonymous_id="till") for one in range(6)]
        rows += [order(f"a{one}", one, anonymous_id=f"email:{one}@x.de") for one in range(6)]
        events = ingest(Rows(rows), now=NOW)
        assert events.to_frame()["customer_id"].nunique() == 7
        assert events.report().hubs().to_numpy().tolist() == [["till", 6]]

    def test_on_a_shared_device_an_order_is_a_login(self):
        rows = [
            order("1", 0, anonymous_id="d"),
            order("1", 1, user="ann"),
            anonymous("d", 2),
            order("2", 3, anonymous_id="d"),
            order("2", 4, user="bob"),
            anonymous("d", 5),
        ]
        assert customers_of(rows) == ["ann", "ann", "bob", "bob", "bob", "bob"]

    def test_a_device_on_which_two_guests_ordered_is_split_too(self):
        rows = [
            order("1", 0, anonymous_id="d"),
            order("1", 1, anonymous_id="email:a@x.de"),
            anonymous("d", 2),
            order("2", 3, anonymous_id="d"),
            order("2", 4, anonymous_id="email:b@x.de"),
        ]
        ann, bob = "anonymous:email:a@x.de", "anonymous:email:b@x.de"
        assert customers_of(rows) == [ann, ann, bob, bob, bob]

    def test_a_guest_on_the_device_of_a_known_person_is_that_person(self):
        rows = [
            both("ann", "d", 0),
            order("1", 1, anonymous_id="d"),
            order("1", 2, anonymous_id="email:a@x.de"),
        ]
        assert set(customers_of(rows)) == {"ann"}

    def test_numbers_of_a_source_of_its_own_are_other_orders(self):
        sources = [
            Rows([order("1001", 0, anonymous_id="d")]),
            Rows([order("1001", 1, anonymous_id="email:a@x.de")], name="till"),
        ]
        assert len(set(ingest(sources, now=NOW).to_frame()["customer_id"])) == 1
        apart = Identity(namespaces={"till": "pos"})
        assert len(set(ingest(sources, now=NOW, identity=apart).to_frame()["customer_id"])) == 2

    def test_orders_are_no_ids_of_a_person(self):
        rows = [order(f"a{one}", one, user="ann") for one in range(300)]
        rows += [order(f"a{one}", one, anonymous_id="email:a@x.de") for one in range(300)]
        report = ingest(Rows(rows), now=NOW).report()
        assert (report.identity.anonymous_ids, report.identity.ids_per_person) == (1, (2, 2, 2))

    def test_an_event_may_name_nothing_but_the_order(self):
        rows = [order("1", 0, user="ann"), order("1", 1, anonymous_id="d"), anonymous("order:1", 9 * DAYS)]
        assert set(customers_of(rows)) == {"ann"}


class TestDevices:
    def test_events_before_and_after_the_login_belong_to_the_person(self):
        rows = [anonymous("d", 0), both("ann", "d", 400 * 60), anonymous("d", 90 * DAYS - 1)]
        assert customers_of(rows) == ["ann", "ann", "ann"]

    def test_of_a_shared_device_a_login_claims_back_so_long_and_no_longer(self):
        rows = [
            anonymous("d", 0),
            anonymous("d", 1),
            both("ann", "d", 30 * DAYS + 1),
            anonymous("d", 30 * DAYS + 2),
            both("bob", "d", 60 * DAYS + 3),
        ]
        assert customers_of(rows) == ["anonymous:d", "ann", "ann", "ann", "bob"]
        shorter = Identity(claim_back="0 s")
        assert customers_of(rows, identity=shorter) == ["anonymous:d"] * 2 + ["ann", "ann", "bob"]

    def test_between_logins_of_two_the_next_has_the_claim(self):
        rows = [both("ann", "d", 0), anonymous("d", 1), both("bob", "d", 2), anonymous("d", 3)]
        assert customers_of(rows) == ["ann", "bob", "bob", "bob"]

    def test_without_filling_back_a_person_has_what_follows_the_login(self):
        rows = [anonymous("d", 0), both("ann", "d", 1), anonymous("d", 2)]
        assert customers_of(rows, identity=Identity(back_fill="none")) == ["anonymous:d", "ann", "ann"]

    def test_a_person_may_have_only_what_is_near_a_login_or_between_two_of_them(self):
        rows = [
            anonymous("d", 0),
            anonymous("d", 2 * DAYS),
            both("ann", "d", 3 * DAYS),
            anonymous("d", 15 * DAYS),
            both("ann", "d", 30 * DAYS),
            anonymous("d", 31 * DAYS),
            anonymous("d", 31 * DAYS + 1),
        ]
        near = Identity(back_fill="near", claim_back="1 day")
        found = ["anonymous:d", "ann", "ann", "ann", "ann", "ann", "anonymous:d"]
        assert customers_of(rows, identity=near) == found
        assert ingest(Rows(rows), now=NOW, identity=near).report().identity.anonymous_ids == 1

    def test_between_logins_of_two_what_is_near_neither_is_nobodys(self):
        rows = [both("ann", "d", 0), anonymous("d", 1 * DAYS), anonymous("d", 5 * DAYS)]
        rows += [anonymous("d", 9 * DAYS), both("bob", "d", 10 * DAYS), anonymous("d", 12 * DAYS)]
        near = Identity(back_fill="near", claim_back="1 day")
        assert customers_of(rows, identity=near) == ["ann", "ann", "anonymous:d", "bob", "bob", "anonymous:d"]

    def test_filling_back_a_session_ends_at_a_longer_silence(self):
        rows = [anonymous("d", at) for at in (0, 31, 61, 80)] + [both("ann", "d", 100), anonymous("d", 300)]
        found = customers_of(rows, identity=Identity(back_fill="session"))
        assert found == ["anonymous:d", "ann", "ann", "ann", "ann", "ann"]

    def test_a_login_of_which_no_time_is_known_claims_nothing_of_a_shared_device(self):
        rows = [both("ann", "d", 10), anonymous("d", 5), anonymous("d", 20)]
        assert customers_of(rows, links=[link("d", "bob")]) == ["ann", "ann", "ann"]

    def test_a_weak_id_links_nobody(self):
        rows = [both("ann", "weak:1f", 0), anonymous("weak:1f", 1)]
        assert customers_of(rows) == ["ann", "anonymous:weak:1f"]

    def test_an_alias_that_is_its_own_user_id_names_a_person(self):
        assert customers_of([anonymous("ann", 0)], links=[link("ann", "ann", 1)]) == ["ann"]


class TestIds:
    @pytest.mark.parametrize(
        ("one", "same"),
        [
            ("email: Ann@X.de", "email:ann@x.de"),
            ("email:<ann@x.de>", "email:ann@x.de"),
            ("email:mailto:ann@x.de", "email:ann@x.de"),
            ("phone:+49 (0)170 / 123-45", "phone:4917012345"),
            ("phone:0049 170 12345", "phone:4917012345"),
            ("  d1\t", "d1"),
            ("caf\u0065\u0301", "caf\u00e9"),
        ],
    )
    def test_an_alias_has_one_form(self, one, same):
        rows = [anonymous(one, 0), anonymous(same, 1)]
        assert customers_of(rows) == [f"anonymous:{same}"] * 2

    @pytest.mark.parametrize(
        "junk",
        [
            "null",
            "NULL",
            "-1",
            "0",
            "00000000-0000-0000-0000-000000000000",
            "undefined",
            "Anonymous",
            " ",
            "-",
        ],
    )
    def test_a_placeholder_is_no_id(self, junk):
        rows = [click(junk, 0, anonymous_id="d"), click("ann", 1, anonymous_id=junk)]
        assert customers_of(rows) == ["anonymous:d", "ann"]

    @pytest.mark.parametrize(
        "junk", ["email:null", "email:none@x.de", "email:no-reply@x.de", "email:@", "phone:000", "zendesk:0"]
    )
    def test_neither_is_one_behind_its_type(self, junk):
        links = [link(junk, "ann", 0), link(junk, "bob", 1)]
        events = ingest(Rows([click("ann", 0), click("bob", 1)], links=links), now=NOW)
        assert events.report().identity.anonymous_ids == 0
        assert len(events.conflicts()) == 0

    def test_an_event_with_a_placeholder_only_is_a_reject_that_shows_it(self):
        events = ingest(Rows([click("null", 0), click("ann", 1)]), now=NOW, max_reject_share=0.5)
        (reject,) = events.rejects().itertuples()
        assert (reject.reason, "user_id=null" in reject.raw) == ("no customer id", True)

    def test_placeholders_may_be_taken_at_their_word(self):
        assert customers_of([click("null", 0)], identity=Identity(placeholders=False)) == ["null"]

    def test_more_values_may_be_blocked(self):
        rows = [click("shop", 0, anonymous_id="d"), click("shopper", 1)]
        assert customers_of(rows, identity=Identity(blocked=["shop", r"test-\d+"])) == [
            "anonymous:d",
            "shopper",
        ]

    def test_blocked_values_are_meant_with_or_without_their_type(self):
        links = [link("email:x@x.de", "ann", 0), link("email:x@x.de", "bob", 1)]
        rows = [click("ann", 0), click("bob", 1)]
        events = ingest(Rows(rows, links=links), now=NOW, identity=Identity(blocked=[r"x@x\.de"]))
        assert len(events.conflicts()) == 0

    def test_rejected_rows_are_no_evidence(self):
        rows = [click("ann", None, anonymous_id="d"), anonymous("d", 0)]
        assert customers_of(rows, max_reject_share=0.5) == ["anonymous:d"]

    def test_a_link_that_names_nobody_says_nothing(self):
        links = [link("d", ""), link(None, "u")]
        assert customers_of([anonymous("d", 0)], links=links) == ["anonymous:d"]


class TestParameters:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"limits": {"mail": 2}}, "Did you mean 'email'"),
            ({"limits": {"email": 0}}, "at least 1"),
            ({"limits": {"email": "2"}}, r"limits\['email'\]='2' must be a whole number"),
            ({"limits": {"weak": 2}}, "'weak'"),
            ({"limits": ["email"]}, "must be a mapping, for example {'email': 3}"),
            ({"namespaces": ["pos"]}, "must be a mapping"),
            ({"systems": "shop"}, r"must be a list, for example systems=\['shop'\]"),
            ({"blocked": "test"}, r"must be a list, for example blocked=\['test'\]"),
            ({"blocked": ["(?!a)b"]}, "no look-around"),
            ({"blocked": [7]}, "no regular expression"),
            ({"max_partners": "5"}, "max_partners='5' must be a whole number"),
            ({"limits": {"order": 2}}, "'order'"),
            ({"orders": "1"}, "orders='1' is no duration"),
            ({"back_fill": "sesion"}, "Did you mean 'session'"),
            ({"max_partners": 0}, "at least 1"),
            ({"largest": 2}, "share"),
            ({"blocked": ["("]}, "no regular expression"),
            ({"systems": ["My CRM"]}, "small letters"),
            ({"namespaces": {"web": "email"}}, "mean something else"),
            ({"claim_back": "30"}, "claim_back='30' is no duration"),
        ],
    )
    def test_what_has_no_meaning_is_an_error(self, wrong, message):
        with pytest.raises((InputError, UnknownNameError), match=message):
            Identity(**wrong)

    def test_something_else_than_rules_is_an_error(self):
        with pytest.raises(InputError, match=r"cjm\.Identity"):
            ingest(Rows([click("a", 0)]), now=NOW, identity="strict")

    @pytest.mark.parametrize("options", [{}, {"to": "store"}])
    @pytest.mark.parametrize("said", ["namespaces", "complete_until"])
    def test_what_is_said_of_a_source_that_is_not_there_is_an_error(
        self, tmp_path, monkeypatch, said, options
    ):
        monkeypatch.chdir(tmp_path)

        def speaks_of(name):
            if said == "namespaces":
                return {"identity": Identity(namespaces={name: "pos"})}
            return {"complete_until": {name: "2026-03-02"}}

        shop, web = Rows([click("17", 0)], name="shop"), Rows([click("17", 1)], name="web")
        message = rf"No source in {said}= named 'shpo'\. Did you mean 'shop'\? There are: shop, web"
        with pytest.raises(UnknownNameError, match=message):
            ingest([shop, web], now=NOW, **speaks_of("shpo"), **options)
        ingest([shop, web], now=NOW, **speaks_of("shop"), **options)
        if options:  # what is in the store is there, though it is not given again
            ingest(Rows([click("18", 2)], name="app"), now=NOW, **speaks_of("shop"), **options)

    def test_limits_may_be_others(self):
        links = [link(f"email:{one}@x.de", "ann", one) for one in range(3)]
        rows = [anonymous(f"email:{one}@x.de", one) for one in range(3)]
        assert customers_of(rows, links=links) == ["ann"] * 3
        strict = Identity(limits={"email": 1})
        assert customers_of(rows, links=links, identity=strict)[1:] == [
            "anonymous:email:1@x.de",
            "anonymous:email:2@x.de",
        ]


# ── fast equals slow ─────────────────────────────────────────────────────────────────────────────────────


def random_log(rng):
    """A tangle of ids, and links of every kind."""
    devices = [f"d{one}" for one in range(int(rng.integers(1, 6)))] + ["weak:1"]
    emails = [f"email:e{one}@x.de" for one in range(int(rng.integers(1, 4)))]
    users = [f"u{one}" for one in range(int(rng.integers(1, 7)))]
    contacts = [f"zendesk:{one}" for one in range(1, 4)]
    minutes = int(rng.choice([30, 300, 80 * DAYS]))
    n_orders = float(rng.choice([0, 0.2, 0.5]))

    def time():
        return START + pd.Timedelta(minutes=int(rng.integers(0, minutes)))

    def one_of(names):
        return str(rng.choice(names))

    rows = []
    for number in range(int(rng.integers(1, 30))):
        alias = one_of([*devices, *devices, *emails, *contacts]) if rng.random() < 0.8 else None
        user = one_of(users) if alias is None or rng.random() < 0.35 else None
        order = str(rng.integers(1, 5)) if rng.random() < n_orders else None
        ids = {"user_id": user, "anonymous_id": alias, "order_id": order}
        rows.append({**ids, "timestamp": time(), "event": f"e{number}"})
    links = []
    for _ in range(int(rng.integers(0, 8))):
        kind = rng.choice(["seen", "seen", "alias", "merge"])
        aliases = [*devices, *emails, *contacts]
        one = one_of(users) if kind == "merge" else one_of(aliases)
        other = one_of(aliases) if kind == "alias" else one_of(users)
        if one != other:
            when = None if rng.random() < 0.2 else time()
            links.append(
                {
                    "alias": one,
                    "user_id": other,
                    "timestamp": when,
                    "kind": None if kind == "seen" else str(kind),
                }
            )
    rules = Identity(
        limits={"email": int(rng.integers(1, 3)), **({"device": 2} if rng.random() < 0.2 else {})},
        max_partners=int(rng.integers(1, 5)),
        claim_back=str(rng.choice(["0 s", "10 min", "30 days"])),
        back_fill=str(rng.choice(["all", "near", "session", "none"])),
        orders=rng.choice(["0 s", "20 min", "1 day", None]),
    )
    return rows, links, rules


def found_by(rows, links, rules, **options):
    events = ingest(Rows(rows, links=links, size=7), now=NOW, identity=rules, dedupe=False, **options)
    frame = events.to_frame(["event", "customer_id"])
    return dict(frame.itertuples(index=False)), events


@pytest.mark.parametrize("block", range(20))
def test_the_customers_are_what_the_definition_says(block):
    for seed in range(block * 100, block * 100 + 100):
        rng = np.random.default_rng(seed)
        rows, links, rules = random_log(rng)
        expected, conflicts = stitched(rows, links, rules)
        found, events = found_by(rows, links, rules)
        assert found == {row["event"]: one for row, one in zip(rows, expected, strict=True)}, seed
        pairs = {(frozenset([one.alias, one.user_id]), one.kind) for one in events.conflicts().itertuples()}
        assert pairs == {(frozenset(one[2] for one in pair["ids"]), pair["kind"]) for pair in conflicts}, seed


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(seed, random):  # oracle (e)
    rows, links, rules = random_log(np.random.default_rng(seed))
    rows = [{**row, "seq": place} for place, row in enumerate(rows)]
    _, events = found_by(rows, links, rules)
    shuffled, links = random.sample(rows, len(rows)), random.sample(links, len(links))
    _, again = found_by(shuffled, links, rules, n_partitions=random.randint(1, 9))
    pd.testing.assert_frame_equal(events.to_frame(), again.to_frame())
    pd.testing.assert_frame_equal(events.conflicts(), again.conflicts())
    assert events.report().identity == again.report().identity


@pytest.mark.parametrize("seed", range(60))
def test_links_that_come_late_make_the_store_of_one_ingest(seed, tmp_path):
    rng = np.random.default_rng(1_000 + seed)
    rows, links, rules = random_log(rng)
    rows = [{**row, "seq": place} for place, row in enumerate(rows)]
    traits = [
        {
            "user_id": f"u{rng.integers(6)}",
            "timestamp": row["timestamp"],
            "attribute": "plan",
            "value": row["event"],
        }
        for row in rows[:3]
    ]
    cuts = sorted(rng.integers(0, len(rows) + 1, 2).tolist())
    parts = [rows[: cuts[0]], rows[cuts[0] : cuts[1]], rows[cuts[1] :]]
    known = [links[one::3] for one in range(3)]
    said = [traits[one::3] for one in range(3)]
    n_partitions = int(rng.integers(1, 6))
    options = {"now": NOW, "n_partitions": n_partitions, "identity": rules}
    whole = ingest(Rows(rows, links=links, customers=traits), to=tmp_path / "whole", **options)
    for part, some, attributes in zip(parts, known, said, strict=True):
        grown = ingest(Rows(part, links=some, customers=attributes), to=tmp_path / "grown", **options)
    for events in (grown, grown.compact(n_partitions=n_partitions)):
        pd.testing.assert_frame_equal(events.to_frame(), whole.to_frame())
        pd.testing.assert_frame_equal(events.conflicts(), whole.conflicts())
        assert events.report().identity == whole.report().identity
    assert bytes_of(tmp_path / "grown") == bytes_of(tmp_path / "whole")


def bytes_of(path):
    """Everything in a store that does not tell how it came about."""
    manifest = Folder(path).manifest()
    parts = ("events", "customers", "identity", "owners", "persons", "conflicts")
    return {part: [(path / file.path).read_bytes() for file in getattr(manifest, part)] for part in parts}


class TestAppending:
    def test_a_customer_that_becomes_another_one_is_in_the_history(self, tmp_path):
        ingest(Rows([anonymous("d", 0), click("u2", 1)]), to=tmp_path, now=NOW)
        assert len(cjm.open_events(tmp_path).person_history()) == 0
        ingest(Rows([both("u2", "d", 2)]), to=tmp_path, now="2026-06-02")
        events = ingest(Rows([], links=[link("u2", "u1", 3, "merge")]), to=tmp_path, now="2026-06-03")
        history = events.person_history()
        assert history[["customer_id", "now"]].to_numpy().tolist() == [["anonymous:d", "u2"], ["u2", "u1"]]
        assert history["at"].dt.day.tolist() == [2, 3]
        assert events.to_frame()["customer_id"].tolist() == ["u1"] * 3
        assert events.to_frame()["user_id"].tolist() == [None, "u2", "u2"]
        assert "1 customer of before became part of another one" in events.report().notes[-1]

    def test_the_rules_of_the_store_hold_until_others_are_given(self, tmp_path):
        rows = [anonymous("d", 0), both("ann", "d", 1)]
        ingest(Rows(rows), to=tmp_path, now=NOW, identity=Identity(back_fill="none"))
        events = ingest(Rows([click("bob", 2)]), to=tmp_path, now=NOW)
        assert events.to_frame()["customer_id"].tolist() == ["ann", "anonymous:d", "bob"]
        events = ingest(Rows([click("bob", 3)]), to=tmp_path, now=NOW, identity=Identity())
        assert events.to_frame()["customer_id"].tolist() == ["ann", "ann", "bob", "bob"]

    def test_a_source_keeps_the_namespace_that_it_has(self, tmp_path):
        ingest(Rows([click("17", 0)]), to=tmp_path, now=NOW)
        with pytest.raises(InputError, match="valid in all sources"):
            ingest(Rows([]), to=tmp_path, now=NOW, identity=Identity(namespaces={"web": "pos"}))

    def test_evidence_in_many_files_becomes_one(self, tmp_path, monkeypatch):
        monkeypatch.setattr("cjm_analytics.events.gather._MOST_FILES", 3)
        counts = []
        for day in range(5):
            ingest(Rows([both("ann", f"d{day}", day * DAYS)]), to=tmp_path, now=NOW)
            counts.append(len(Folder(tmp_path).manifest().identity))
        assert counts == [1, 2, 3, 1, 2]


def test_known_people_and_others_stand_side_by_side():
    rows = [anonymous("d1", 0), both("ann", "d2", 1), anonymous("d2", 2), click(None, 3, account_id="acme")]
    journeys = cjm.sessionize(ingest(Rows(rows), now=NOW))
    assert journeys.select(where={"person": "known"}).n_events == 2
    table = cjm.paths(journeys, by="person").to_frame()
    assert set(table["person"]) == {"known", "anonymous", "account"}
    with pytest.raises(UnknownNameError, match="person"):
        cjm.paths(journeys, by="persons")


def test_the_report_tells_what_was_stitched():
    rows = [
        both("ann", "tablet", 0),
        both("bob", "tablet", 1),
        both("ann", "phone", 2),
        anonymous("phone", 3),
        anonymous("laptop", 4),
    ]
    report = ingest(Rows(rows), now=NOW).report()
    assert (report.identity.anonymous_ids, report.identity.shared_devices) == (2, 1)
    assert report.identity.ids_per_person == (2, 2, 2)
    assert report.to_frame()["known_share"].tolist() == [0.8]
    assert "shared devices 1" in repr(report)


def test_evidence_adds_up_however_it_is_cut():
    rows = [both(f"u{number % 2}", f"d{number % 3}", number * 30) for number in range(24)]
    evidence = Evidence()
    for batch in Rows(rows, size=5).batches():
        evidence.rows(batch.events, Identity(), "web")
    evidence.close()
    table = evidence.pairs.table(evidence.pairs.all()).sort_by(
        [("alias", "ascending"), ("user_id", "ascending")]
    )
    assert table.schema.equals(EVIDENCE)
    assert table.select(["alias", "user_id", "rows"]).to_pylist() == [
        {"alias": f"d{device}", "user_id": f"u{user}", "rows": 4} for device in range(3) for user in range(2)
    ]
    details = [row for part in evidence.details() for row in part.to_pylist()]
    assert sum(row["rows"] for row in details) == 24
    assert all(row["first"].minute + row["lasted"] / 60e6 < 60 for row in details)


@pytest.mark.parametrize("ids", [[0, 0, 1, 2], ["0", "0", "1", "2"]])
def test_customers_of_a_table_may_be_numbered_from_zero(ids):
    rows = {"who": ids, "at": ["2026-01-01", "2026-01-02", "2026-01-01", "2026-01-01"], "what": list("abab")}
    clock = {"timestamp": "at", "event": "what", "tz": "UTC"}
    events = cjm.ingest(cjm.loaders.table(rows, customer="who", **clock))
    assert events.report().identity.customers == 3
    assert events.rejects()["reason"].tolist() == []
    with pytest.raises(InputError, match="2 × no customer id"):
        cjm.ingest(cjm.loaders.table(rows, user_id="who", **clock))


def test_zero_may_still_be_blocked():
    rows = {"who": [0, 1], "at": ["2026-01-01"] * 2, "what": list("ab")}
    source = cjm.loaders.table(rows, customer="who", timestamp="at", event="what", tz="UTC")
    events = cjm.ingest(source, identity=cjm.Identity(blocked=["0"]), max_reject_share=0.5)
    assert events.report().identity.customers == 1
    assert len(events.rejects()) == 1
