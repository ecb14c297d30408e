"""The samples know what really happened; the library is held to it."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.statistics import wilson


@pytest.fixture(scope="module")
def samples(root):
    return root / "data" / "samples"


@pytest.fixture(scope="module")
def events(samples):
    survey = {"timestamp": "answered_at", "event": "survey", "score": "answer", "tz": "Europe/Berlin"}
    invite = {
        "timestamp": "sent_at",
        "event": "=survey_invite",
        "actor": "=company",
        "kind": "survey",
        "tz": "Europe/Berlin",
    }
    return cjm.ingest(
        [
            cjm.loaders.segment(samples / "clickstream.jsonl.gz"),
            cjm.loaders.zendesk(samples / "crm"),
            cjm.loaders.table(
                samples / "orders.csv",
                customer="customer_id",
                kind="order",
                melt={
                    "ordered_at": "order_placed",
                    "cancelled_at": "order_cancelled",
                    "refunded_at": "order_refunded",
                },
            ),
            cjm.loaders.table(samples / "surveys.csv", customer="customer_id", **survey),
            cjm.loaders.table(samples / "survey_invites.csv", customer="customer_id", **invite),
        ]
    )


@pytest.fixture(scope="module")
def journeys(events, samples):
    journeys = cjm.sessionize(events, cjm.JourneyModel.read(samples / "journey.toml"))
    journeys.validate()
    return journeys


def test_the_samples_are_what_their_generator_makes(samples, tmp_path):
    copy = tmp_path / "generate.py"
    copy.write_text((samples / "generate.py").read_text())
    subprocess.run([sys.executable, str(copy)], check=True, stdout=subprocess.DEVNULL)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(made) >= 12
    for name, content in made.items():
        assert (samples / name).read_bytes() == content, name


def test_every_row_of_the_samples_is_accounted_for(events):
    report = events.report().to_frame()
    accounted = report["kept"] + report["duplicates"] + report["rejected"] + report["excluded"]
    assert (report["read"] == accounted).all()
    assert set(report["source"]) == {"segment", "zendesk", "orders", "surveys", "survey_invites"}
    rejected = report.set_index("source")["rejected"]
    assert rejected["segment"] == 4
    assert rejected["surveys"] == 1


def test_events_stand_in_their_true_stage(journeys, samples):
    truth = pd.read_csv(samples / "truth" / "events.csv.gz").drop_duplicates("event_id")
    found = journeys.to_frame().merge(truth, on="event_id", suffixes=("", "_true"))
    people = truth[truth["stage"] != "bot"]
    # purchases are seen twice, in the clickstream and in the orders: the order is kept
    assert len(found) > len(people) - 1.05 * (people["stage"] == "finalising").sum()
    assert (found["stage"].fillna("unassigned") == found["stage_true"]).mean() > 0.985


def test_bots_are_in_no_journey(journeys, samples):
    truth = pd.read_csv(samples / "truth" / "events.csv.gz").drop_duplicates("event_id")
    crawled = set(truth.loc[truth["stage"] == "bot", "event_id"])
    assert crawled
    assert not crawled & set(journeys.to_frame()["event_id"])


def test_the_true_drop_off_lies_in_the_intervals(journeys, samples):
    truth = pd.read_csv(samples / "truth" / "drop_off.csv")
    inside = []
    for of in ("stage", "phase"):
        found = cjm.drop_off(journeys, of=of).to_frame().set_index(of)
        for row in truth[truth["of"] == of].itertuples():
            answer = found.loc[row.name]
            assert answer["drop_off"] == pytest.approx(row.drop_off, abs=0.04), (of, row.name)
            inside.append(answer["low"] <= row.drop_off <= answer["high"])
    assert sum(inside) >= len(inside) - 1


def test_the_true_conversion_lies_in_the_interval(journeys, samples):
    facts = json.loads((samples / "truth" / "facts.json").read_text())
    cases = journeys.cases()
    settled = cases[cases["start"] < pd.Timestamp(facts["end"]) - pd.Timedelta("45 days")]
    low, high = wilson(settled["converted"].sum(), len(settled), confidence=0.99)
    assert low < facts["conversion"] < high


def test_the_true_satisfaction_lies_in_the_intervals(journeys, samples):
    truth = pd.read_csv(samples / "truth" / "satisfaction.csv")
    by_stage = cjm.satisfaction(journeys, by="stage").to_frame(suppress=False)
    for row in truth[truth["instrument"] != "nps"].itertuples():
        (answer,) = by_stage[
            (by_stage["instrument"] == row.instrument) & (by_stage["stage"] == row.stage)
        ].itertuples()
        assert answer.low - 0.02 <= row.score <= answer.high + 0.02, row
        assert 0.15 < answer.response_rate < 0.5
    whole = cjm.satisfaction(journeys, by=None, instrument="nps").to_frame()
    (nps,) = whole.itertuples()
    (true,) = truth[truth["instrument"] == "nps"].itertuples()
    assert nps.low <= true.score <= nps.high


def test_devices_that_signed_in_belong_to_their_person(events, samples):
    truth = pd.read_csv(samples / "truth" / "identity.csv.gz")
    frame = events.to_frame(["customer_id", "anonymous_id"]).dropna().drop_duplicates()
    found = truth.merge(frame, on="anonymous_id")
    assert len(found) == found["anonymous_id"].nunique()
    known = found[found["signed_in"]]
    assert (known["customer_id"] == known["person"]).all()
    assert not found.loc[~found["signed_in"], "customer_id"].isin(truth["person"]).any()


def test_the_notebook_of_the_front_page_runs_line_by_line(samples, tmp_path):
    events = cjm.ingest(
        [
            cjm.loaders.segment(samples / "clickstream.jsonl.gz"),
            cjm.loaders.zendesk(f"{samples}/crm/"),
            cjm.loaders.table(
                samples / "surveys.csv",
                customer="customer_id",
                timestamp="answered_at",
                event="survey",
                score="answer",
                tz="Europe/Berlin",
            ),
        ],
        to=tmp_path / "events",
    )
    assert "rejected" in events.report()._repr_html_()
    journeys = cjm.sessionize(events, cjm.JourneyModel.read(samples / "journey.toml"))
    assert cjm.drop_off(journeys).plot().data
    steps = ["product_view", "add_to_cart", "checkout", "purchase"]
    assert cjm.funnel(journeys, steps, within="14 days", by="device").plot().data
    assert len(cjm.paths(journeys, top=10).to_frame()) == 10
    assert cjm.flow(journeys, positions=5).plot().data
    assert cjm.satisfaction(journeys, by="phase").plot().data
    assert cjm.journey_map(journeys).plot().data
    page = cjm.report(journeys, to=tmp_path / "report.html")
    assert page.read_text().lower().startswith("<!doctype html>")


def test_the_standard_model_makes_sense_of_the_samples(events):
    journeys = cjm.sessionize(events, cjm.JourneyModel.standard())
    assert journeys.cases()["converted"].mean() > 0.15
    assert journeys.accounting.get("unassigned", 0) / journeys.n_events < 0.05
