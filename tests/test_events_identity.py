"""Who is who: the rule for anonymous ids, and that it depends on nothing but the evidence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.events.identity import EVIDENCE, Evidence, Identity
from cjm_analytics.events.ingest import ingest
from eventlogs import NOW, Rows, click


def customers_of(rows, **options):
    """The customer of each row, in the order of the rows' times."""
    source = Rows(rows, links=options.pop("links", []))
    frame = ingest(source, now=NOW, **options).to_frame(["customer_id", "timestamp"])
    return frame.sort_values("timestamp", kind="stable")["customer_id"].tolist()


def anonymous(device, at, event="view"):
    return click(None, at, event, anonymous_id=device)


def both(user, device, at, event="login"):
    return click(user, at, event, anonymous_id=device)


class TestRule:
    def test_events_before_and_after_the_login_belong_to_the_person(self):
        rows = [anonymous("d", 0), both("ann", "d", 1), anonymous("d", 2)]
        assert customers_of(rows) == ["ann", "ann", "ann"]

    def test_two_devices_of_one_person_are_one_customer(self):
        rows = [both("u1", "a1", 0), anonymous("a1", 1), both("u1", "a2", 2), anonymous("a2", 3)]
        assert set(customers_of(rows)) == {"u1"}

    def test_an_id_never_seen_with_a_user_stays_a_customer_of_its_own(self):
        assert customers_of([anonymous("d", 0), click("ann", 1)]) == ["anonymous:d", "ann"]

    def test_a_shared_device_goes_to_the_person_of_most_rows_and_merges_nobody(self):
        rows = [
            both("ann", "tablet", 0),
            both("bob", "tablet", 1),
            both("bob", "tablet", 2),
            anonymous("tablet", 3),
        ]
        assert customers_of(rows) == ["ann", "bob", "bob", "bob"]

    def test_of_equally_many_rows_the_earlier_wins(self):
        rows = [both("zoe", "d", 0), both("ann", "d", 1), anonymous("d", 2)]
        assert customers_of(rows) == ["zoe", "ann", "zoe"]

    def test_of_equally_many_at_the_same_time_the_smaller_id_wins(self):
        rows = [both("bob", "d", 0), both("ann", "d", 0), anonymous("d", 2)]
        assert customers_of(rows)[-1] == "ann"

    def test_a_link_of_the_source_counts_as_a_row(self):
        link = {"alias": "d", "user_id": "ann", "timestamp": pd.Timestamp("2026-03-01", tz="UTC")}
        assert customers_of([anonymous("d", 0)], links=[link]) == ["ann"]

    def test_a_link_without_a_time_counts_as_a_late_one(self):
        link = {"alias": "d", "user_id": "aaa", "timestamp": None}
        assert customers_of([both("ann", "d", 0), anonymous("d", 1)], links=[link]) == ["ann", "ann"]

    def test_a_link_that_names_nobody_says_nothing(self):
        links = [
            {"alias": "d", "user_id": "", "timestamp": None},
            {"alias": None, "user_id": "u", "timestamp": None},
        ]
        assert customers_of([anonymous("d", 0)], links=links) == ["anonymous:d"]

    def test_an_event_of_an_account_alone_is_the_accounts(self):
        assert customers_of([click(None, 0, account_id="acme")]) == ["account:acme"]

    def test_ids_may_stay_apart_on_demand(self):
        rows = [both("ann", "d", 0), anonymous("d", 1)]
        assert customers_of(rows, identity=Identity(stitch=False)) == ["ann", "anonymous:d"]

    def test_another_rule_may_take_its_place(self):
        class Nobody:
            def resolve(self, evidence):
                return Identity().resolve(evidence.slice(0, 0))

        rows = [both("ann", "d", 0), anonymous("d", 1)]
        assert customers_of(rows, identity=Nobody()) == ["ann", "anonymous:d"]


class TestFacts:
    def test_the_report_tells_what_was_stitched_and_where_users_compete(self):
        rows = [
            both("ann", "tablet", 0),
            both("bob", "tablet", 1),
            both("ann", "phone", 2),
            anonymous("phone", 3),
            anonymous("laptop", 4),
        ]
        report = ingest(Rows(rows), now=NOW).report()
        assert (report.identity.anonymous_ids, report.identity.conflicts) == (2, 1)
        assert report.to_frame()["known_share"].tolist() == [0.8]
        assert "seen with several users 1" in repr(report)

    def test_rejected_rows_are_no_evidence(self):
        rows = [click("ann", None, anonymous_id="d"), anonymous("d", 0)]
        assert customers_of(rows, max_reject_share=0.5) == ["anonymous:d"]


@pytest.mark.parametrize("seed", range(30))
def test_stitching_is_what_a_plain_loop_finds(seed):
    rng = np.random.default_rng(seed)
    rows = [
        click(
            f"u{rng.integers(3)}" if rng.random() < 0.4 else None,
            int(rng.integers(0, 20)),
            f"event {number}",
            anonymous_id=f"d{rng.integers(6)}",
        )
        for number in range(40)
    ]
    seen: dict[str, dict[str, list]] = {}
    for row in rows:
        if row["user_id"]:
            seen.setdefault(row["anonymous_id"], {}).setdefault(row["user_id"], []).append(row["timestamp"])
    owner = {
        device: min(users, key=lambda user: (-len(users[user]), min(users[user]), user))
        for device, users in seen.items()
    }
    expected = {
        row["event"]: row["user_id"] or owner.get(row["anonymous_id"], f"anonymous:{row['anonymous_id']}")
        for row in rows
    }
    shuffled = [rows[one] for one in rng.permutation(len(rows))]
    frame = ingest(Rows(shuffled, size=int(rng.integers(1, 20))), now=NOW).to_frame(["event", "customer_id"])
    assert dict(frame.itertuples(index=False)) == expected


def test_evidence_adds_up_however_it_is_cut(monkeypatch):
    monkeypatch.setattr("cjm_analytics.events.identity._COMPACT_FROM", 2)
    rows = [both(f"u{number % 2}", f"d{number % 3}", number) for number in range(24)]
    evidence = Evidence()
    for batch in Rows(rows, size=5).batches():
        evidence.rows(batch.events)
    table = evidence.table()
    assert table.schema.equals(EVIDENCE)
    assert table.select(["alias", "user_id", "rows"]).to_pylist() == [
        {"alias": f"d{device}", "user_id": f"u{user}", "rows": 4} for device in range(3) for user in range(2)
    ]
