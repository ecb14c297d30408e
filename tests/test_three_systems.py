"""Three systems that know the same people by different ids, held to the truth beside their exports."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

import cjm_analytics as cjm


@pytest.fixture(scope="module")
def samples(root):
    return root / "data" / "samples" / "three_systems"


@pytest.fixture(scope="module")
def facts(samples):
    return json.loads((samples / "truth" / "facts.json").read_text())


@pytest.fixture(scope="module")
def ids(samples):
    """The truth: one row per id and person who has it."""
    return pd.read_csv(samples / "truth" / "ids.csv")


@pytest.fixture(scope="module")
def events(samples):
    return cjm.ingest(
        [
            cjm.loaders.ga4(samples / "ga4"),
            cjm.loaders.shopify(samples / "shopify"),
            cjm.loaders.zendesk(samples / "zendesk"),
        ],
        bots=cjm.BotRules(),
        internal=cjm.Internal(domains=["teahouse.example"]),
    )


def test_the_exports_are_what_their_generator_makes(samples, tmp_path):
    copy = tmp_path / "generate.py"
    copy.write_text((samples / "generate.py").read_text())
    subprocess.run([sys.executable, str(copy)], check=True, stdout=subprocess.DEVNULL)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(made) == 12
    for name, content in made.items():
        assert (samples / name).read_bytes() == content, name
    assert sum(map(len, made.values())) < 2 * 2**20


def test_every_row_is_accounted_for(events, facts):
    report = events.report().to_frame().set_index("source")
    accounted = report[["kept", "duplicates", "rejected", "excluded"]].sum(axis=1)
    assert accounted.tolist() == report["read"].tolist()
    assert report["rejected"].tolist() == [0, 0, 0]
    assert report.loc["ga4", "nameless"] >= facts["ga4_rows_without_id"] > 1_000
    assert report.loc["ga4", "duplicates"] + report.loc["ga4", "nameless"] == (
        facts["ga4_rows_without_id"] + facts["ga4_rows_twice"]
    )


def test_the_program_that_reads_the_shop_is_found_and_nobody_else(events, ids, facts):
    frame = events.to_frame(["anonymous_id", "is_bot"])
    found = set(frame.loc[frame["is_bot"], "anonymous_id"])
    assert found == set(ids.loc[ids["role"] == "robot", "id"])
    assert len(found) == facts["robots"]


def test_the_company_s_own_people_are_marked_in_all_three_systems(events, ids):
    frame = events.to_frame(["anonymous_id", "is_test"])
    found = set(frame.loc[frame["is_test"], "anonymous_id"].dropna())
    own = ids[(ids["role"] == "staff") & (ids["told"] == 1)]
    assert set(own["id"]) <= found
    assert not found & set(ids.loc[ids["role"] != "staff", "id"])


def test_people_are_who_they_are_as_far_as_anything_tells(events, ids):
    """Pairs of ids, of those that something ties to their person."""
    frame = events.to_frame(["customer_id", "anonymous_id", "user_id"])
    long = frame.melt("customer_id", value_name="id")[["customer_id", "id"]].dropna().drop_duplicates()
    whose = ids[(ids["told"] == 1) & ~ids["id"].duplicated(keep=False)]  # what two people share is neither's
    both = long.merge(whose, on="id")
    found = pairs(both["customer_id"])
    true = pairs(both["person"])
    right = pairs(both["customer_id"] + "|" + both["person"])
    assert len(both) > 2_000
    assert right / found >= 0.98
    assert right / true >= 0.95


def pairs(groups):
    sizes = groups.value_counts()
    return int((sizes * (sizes - 1) // 2).sum())


def test_what_two_people_share_throws_nobody_together(events, ids, facts):
    conflicts, shared = len(events.conflicts()), events.report().identity.shared_devices
    assert facts["shared_tablets"] <= shared <= facts["shared_tablets"] + facts["shared_addresses"]
    assert 0 < conflicts <= facts["shared_addresses"]
    accounts = ids[ids["id"].str.startswith("c-") & (ids["role"] == "shared")]
    known = set(events.to_frame(["customer_id"])["customer_id"])
    assert set(accounts["id"]) <= known


def test_there_are_as_many_purchases_as_orders(events, facts):
    """One that two systems report is one, but where two share the address that the shop knows."""
    journeys = cjm.sessionize(events, cjm.JourneyModel.standard())
    purchases = (journeys.to_frame()["touchpoint"] == "purchase").sum()
    assert purchases == facts["orders"] + facts["shared_addresses"]
    assert journeys.report().to_frame().set_index("what").loc["merged duplicates", "events"] > facts["orders"]
    # Of who declined to be measured the shop's orders are all there is: two of them are one journey.
    assert 0.98 * facts["orders"] <= journeys.cases()["converted"].sum() <= facts["orders"]


def test_without_orders_some_purchases_count_twice(events, samples, facts):
    sources = [cjm.loaders.ga4(samples / "ga4"), cjm.loaders.shopify(samples / "shopify")]
    apart = cjm.ingest(sources, identity=cjm.Identity(orders=None))
    customers = [
        one.to_frame(["order_id", "customer_id"]).groupby("order_id")["customer_id"].nunique()
        for one in (apart, events)
    ]
    assert (customers[0] > 1).sum() > 4 * facts["shared_addresses"]
    assert (customers[1] > 1).sum() == facts["shared_addresses"]


def test_a_device_that_a_cart_notes_is_told_to_be_the_customer_s():
    order = {
        "Name": ["#1001"],
        "Email": ["ada@example.com"],
        "Financial Status": ["paid"],
        "Created at": ["2025-03-02 21:15:30 +0100"],
        "Note Attributes": ["gift: yes\ngoogle-clientid: 12.34"],
    }
    batch = next(cjm.loaders.shopify(order).batches())
    links = batch.links.select(["alias", "user_id", "kind"]).to_pylist()
    assert links == [{"alias": "12.34", "user_id": "email:ada@example.com", "kind": "alias"}]
