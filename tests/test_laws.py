"""The laws of partials, for every analysis: add one line here when you add one there.

Associative; commutative; the partial of nothing is zero; any split by customer gives the result of none.
"""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.attribution import AttributionAnalysis
from cjm_analytics.analysis.conversion_times import ConversionTimesAnalysis
from cjm_analytics.analysis.drivers import DriversAnalysis
from cjm_analytics.analysis.dropoff import DropOffAnalysis
from cjm_analytics.analysis.flow import FlowAnalysis
from cjm_analytics.analysis.funnel import FunnelAnalysis
from cjm_analytics.analysis.journey_map import JourneyMapAnalysis
from cjm_analytics.analysis.lifecycle import LifecycleAnalysis
from cjm_analytics.analysis.markov import MarkovAnalysis
from cjm_analytics.analysis.matches import MatchesAnalysis
from cjm_analytics.analysis.ngrams import NGramsAnalysis
from cjm_analytics.analysis.paths import PathsAnalysis
from cjm_analytics.analysis.retention import RetentionAnalysis
from cjm_analytics.analysis.rework import ReworkAnalysis
from cjm_analytics.analysis.satisfaction import SatisfactionAnalysis
from cjm_analytics.analysis.stickiness import StickinessAnalysis
from cjm_analytics.analysis.subsequences import SubsequencesAnalysis
from cjm_analytics.analysis.time_to import TimeToAnalysis
from cjm_analytics.analysis.transitions import TransitionsAnalysis
from cjm_analytics.engine.local import LocalEngine
from logs import journeys_of, random_rows

PLANS = {
    "attribution": lambda journeys: AttributionAnalysis.plan(journeys, model="all", bootstrap=20),
    "attribution of touchpoints, order 3": lambda journeys: AttributionAnalysis.plan(
        journeys, by="touchpoint", goal="D", order=3, conversions="all", bootstrap=0
    ),
    "drivers of a goal": lambda journeys: DriversAnalysis.plan(
        journeys, within="1 hour", properties="channel", settled=False
    ),
    "drivers of a funnel": lambda journeys: DriversAnalysis.plan(
        journeys, funnel=["A", "C"], within="1 hour", properties=["channel", "phase"]
    ),
    "drop_off": lambda journeys: DropOffAnalysis.plan(journeys, horizon="1 hour"),
    "drop_off by stage and group": lambda journeys: DropOffAnalysis.plan(
        journeys, of="stage", horizon="1 hour", by="channel"
    ),
    "flow": lambda journeys: FlowAnalysis.plan(journeys, positions=4),
    "flow from a start": lambda journeys: FlowAnalysis.plan(journeys, start="B", unit="session"),
    "flow around a pattern, every match": lambda journeys: FlowAnalysis.plan(
        journeys, around="B -> .", every=True, positions=3
    ),
    "flow to a goal": lambda journeys: FlowAnalysis.plan(journeys, end="C", of="stage", min_share=0.1),
    "funnel": lambda journeys: FunnelAnalysis.plan(journeys, ["A", "B"], within="1 hour"),
    "funnel by group": lambda journeys: FunnelAnalysis.plan(
        journeys, ["A", ["B", "C"], "D"], by="channel", unit="customer"
    ),
    "funnel by the largest pairs at a step": lambda journeys: FunnelAnalysis.plan(
        journeys, ["A", "B", "C"], by=["channel", "stage"], by_at=2, top=3
    ),
    "funnel strict in sessions": lambda journeys: FunnelAnalysis.plan(
        journeys, ["A", "B"], order="strict", unit="session"
    ),
    "funnel without a window": lambda journeys: FunnelAnalysis.plan(journeys, ["A", "B"], within=None),
    "funnel, times to convert": lambda journeys: ConversionTimesAnalysis(
        FunnelAnalysis.plan(journeys, ["A", "B"], by="channel"), order=(("web",),), rest=("other",)
    ),
    "funnel in any order": lambda journeys: FunnelAnalysis.plan(journeys, ["A", "B", "C"], order="any"),
    "journey_map": JourneyMapAnalysis.plan,
    "markov": lambda journeys: MarkovAnalysis.plan(journeys, goal="D", bootstrap=10),
    "matches": lambda journeys: MatchesAnalysis.plan(journeys, ["A -> . -> C", "B .. D"]),
    "matches by group": lambda journeys: MatchesAnalysis.plan(journeys, "A", by="channel", unit="session"),
    "ngrams": lambda journeys: NGramsAnalysis.plan(journeys, 3, top=None),
    "ngrams by group": lambda journeys: NGramsAnalysis.plan(journeys, by="channel", unit="session"),
    "paths": lambda journeys: PathsAnalysis.plan(journeys, top=None),
    "paths with scores": lambda journeys: PathsAnalysis.plan(journeys, top=None, instrument="nps"),
    "paths with values": lambda journeys: PathsAnalysis.plan(
        journeys, top=None, value="value", by="touchpoint", unit="session", currency=None
    ),
    "paths by group": lambda journeys: PathsAnalysis.plan(journeys, of="phase", by="channel", unit="session"),
    "lifecycle": lambda journeys: LifecycleAnalysis.plan(journeys, of=["A", "B"], period="day", by="channel"),
    "retention": lambda journeys: RetentionAnalysis.plan(journeys, start="A", period="day"),
    "retention by group, recurring": lambda journeys: RetentionAnalysis.plan(
        journeys,
        start=["A", "B"],
        returning="C",
        kind="unbounded",
        recurring=True,
        calendar=False,
        brackets=[1, 2, 3],
        by=["channel", "phase"],
    ),
    "rework": lambda journeys: ReworkAnalysis.plan(journeys, of="channel"),
    "satisfaction": SatisfactionAnalysis.plan,
    "satisfaction by touchpoint": lambda journeys: SatisfactionAnalysis.plan(journeys, by="touchpoint"),
    "subsequences": lambda journeys: SubsequencesAnalysis.plan(journeys, min_share=0.2, max_gap=2),
    "stickiness": lambda journeys: StickinessAnalysis.plan(journeys, of=["A", "C"], by="channel"),
    "time_to": lambda journeys: TimeToAnalysis.plan(journeys, "C"),
    "time_to by group, with ends": lambda journeys: TimeToAnalysis.plan(
        journeys, ["C", "D"], start="A", ends="E", by=["channel", "stage"]
    ),
    "transitions, the rare ones gathered": lambda journeys: TransitionsAnalysis.plan(journeys, min_share=0.3),
    "transitions": TransitionsAnalysis.plan,
    "transitions by group": lambda journeys: TransitionsAnalysis.plan(
        journeys, of="stage", by="channel", unit="customer"
    ),
}

ROAD = {"A": ("aware", "before"), "B": ("compare", "before"), "C": ("pay", "during"), "D": ("use", "after")}


def a_log(seed):
    """Random journeys with survey answers, and a random split of their customers into three partitions."""
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=8, n_events=60)
    rows["value"] = np.round(rng.random(len(rows)) * 100, 2)
    rows["currency"] = np.where(rows["touchpoint"] == "C", "EUR", "USD")
    customers = sorted(rows["customer"].unique())
    answers = [
        {
            "customer": str(rng.choice(customers)),
            "time": float(rng.integers(0, 200)),
            "instrument": str(rng.choice(["nps", "csat"])),
            "score": float(rng.integers(0, 11)),
            "rated_phase": str(rng.choice(["before", "during"])),
            "rated_stage": str(rng.choice(["aware", "pay"])),
            "rated_touchpoint": str(rng.choice(["A", "C"])),
        }
        for _ in range(30)
    ]
    answers = [
        one | {"score": min(one["score"], 5.0) if one["instrument"] == "csat" else one["score"]}
        for one in answers
    ]
    journeys = journeys_of(rows, stages=ROAD, goal="C", answers=answers)
    (whole,) = journeys.partitions
    owner = rng.integers(0, 3, whole.n_customers)
    parts = tuple(whole.take(owner[whole.journey("customer")] == number) for number in range(3))
    return journeys, replace(journeys, partitions=parts)


def same(one, other):
    for left, right in zip(frames(one), frames(other), strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)


def frames(result):
    return [result.to_frame()]


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("seed", range(6))
def test_partials_obey_the_laws(name, seed):
    journeys, split = a_log(seed)
    analysis = PLANS[name](journeys)
    whole = analysis.finalize(analysis.map(journeys.partitions[0]))
    a, b, c = (analysis.map(partition) for partition in split.partitions)
    nothing = analysis.map(journeys.partitions[0].take(np.zeros(len(journeys), dtype=bool)))
    same(whole, analysis.finalize((a + b) + c))
    same(whole, analysis.finalize(a + (b + c)))
    same(whole, analysis.finalize(c + b + a))
    same(whole, analysis.finalize(nothing + a + b + nothing + c))
    assert len(whole.to_frame())


@pytest.mark.parametrize("name", PLANS)
def test_an_analysis_travels_to_another_process(name):
    journeys, _ = a_log(1)
    analysis = PLANS[name](journeys)
    copy = pickle.loads(pickle.dumps(analysis))  # noqa: S301 - our own bytes
    same(
        analysis.finalize(analysis.map(journeys.partitions[0])),
        copy.finalize(copy.map(journeys.partitions[0])),
    )


@pytest.mark.parametrize("name", PLANS)
def test_threads_and_a_shared_pass_change_nothing(name):
    journeys, split = a_log(2)
    analysis = PLANS[name](journeys)
    (alone,) = LocalEngine(threads=1).run_all([analysis], journeys)
    shared = LocalEngine(threads=2).run_all([analysis, PLANS["paths"](journeys), analysis], split)
    same(alone, shared[0])
    same(alone, shared[2])


@pytest.mark.parametrize("name", PLANS)
def test_a_log_of_nothing_gives_a_frame_and_a_card(name):
    journeys, _ = a_log(3)
    analysis = PLANS[name](journeys)
    nothing = analysis.map(journeys.partitions[0].take(np.zeros(len(journeys), dtype=bool)))
    result = analysis.finalize(nothing)
    assert isinstance(result.to_frame(), pd.DataFrame)
    assert "<div" in result._repr_html_()
    assert len(repr(result).splitlines()) > 1
    assert "Partial" not in repr(result)
