"""The model's confidence reaches every interval and verdict, and what is said where there is no interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.errors import InputError
from cjm_analytics.statistics import fisher_exact, newcombe, odds_ratio, wilson

# Of twenty customers of the web fourteen buy, of twenty of the app five.
WAYS = [("web", "ad cart buy")] * 14 + [("web", "ad help")] * 6 + [("app", "ad cart buy")] * 5
WAYS += [("app", "ad help")] * 8 + [("app", "ad cart")] * 7


def journeys(ways=WAYS, confidence=0.8):
    rows = [
        (f"c{number}", f"2026-01-0{day}", name, channel)
        for number, (channel, way) in enumerate(ways)
        for day, name in enumerate(way.split(), 1)
    ]
    table = pd.DataFrame(rows, columns=["who", "when", "what", "where"])
    events = cjm.ingest(
        cjm.loaders.table(table, customer="who", timestamp="when", event="what", channel="where", tz="UTC")
    )
    names = ("ad", "cart", "help", "buy")
    model = cjm.JourneyModel.from_dict(
        {
            "phase": [{"id": "before", "stages": ["road"]}, {"id": "during", "stages": ["till"]}],
            "touchpoint": [
                {"id": name, "stage": "till" if name == "buy" else "road", "match": {"event": name}}
                for name in names
            ],
            "marker": {"purchase": {"role": "goal", "match": {"event": "buy"}}},
            "report": {"confidence": confidence},
        }
    )
    return cjm.sessionize(events, model)


@pytest.fixture(scope="module")
def mixed():
    return journeys()


def test_shares_and_conversions_have_wilson_intervals_at_the_confidence_of_the_model(mixed):
    path = cjm.paths(mixed, by="channel").to_frame().query("path == 'ad → help'").iloc[0]
    assert (path["low"], path["high"]) == wilson(0, path["journeys"], 0.8)
    run = cjm.ngrams(mixed, 2).to_frame().query("ngram == 'ad → cart'").iloc[0]
    assert (run["low"], run["high"]) == wilson(26, 40, 0.8)
    fits = cjm.matches(mixed, "cart -> buy").to_frame().iloc[0]
    assert (fits["low"], fits["high"]) == wilson(19, 40, 0.8)
    again = cjm.rework(mixed).to_frame().query("name == 'ad'").iloc[0]
    assert (again["low"], again["high"]) == wilson(0, 40, 0.8)


def test_conversion_with_and_without_a_pattern_differs_by_newcombe_at_the_confidence_of_the_model(mixed):
    fits = cjm.matches(mixed, ["cart", "buy"]).to_frame().iloc[0]
    assert (fits["difference_low"], fits["difference_high"]) == newcombe(19, 26, 0, 14, confidence=0.8)
    assert fits["tests"] == 2


def test_what_tells_converters_from_the_rest_is_judged_at_the_confidence_of_the_model(mixed):
    found = cjm.subsequences(mixed, min_share=0.1, closed=False)
    row = found.to_frame().set_index("subsequence").loc["ad .. cart"]
    expected = odds_ratio(19, 26, 0, 14, confidence=0.8)
    assert row[["odds_ratio", "low", "high"]].tolist() == pytest.approx([float(one) for one in expected[:3]])
    assert row["p_value"] == pytest.approx(float(fisher_exact(19, 26, 0, 14)))
    assert row["tests"] == found.found


@pytest.mark.parametrize("name", ["paths", "transitions", "ngrams", "matches"])
def test_groups_differ_by_newcombe_and_are_judged_at_the_confidence_of_the_model(mixed, name):
    ask = {
        "paths": lambda log: cjm.paths(log, by="channel"),
        "transitions": lambda log: cjm.transitions(log, by="channel"),
        "ngrams": lambda log: cjm.ngrams(log, 2, by="channel"),
        "matches": lambda log: cjm.matches(log, "ad -> cart -> buy", by="channel"),
    }[name]
    row = ask(mixed).compare().query("journeys == 5").iloc[0]
    assert row[["journeys", "units", "other_journeys", "other_units"]].tolist() == [5, 20, 14, 20]
    assert (row["low"], row["high"]) == newcombe(5, 20, 14, 20, confidence=0.8)
    assert (row["q_value"] < 0.2, row["verdict"]) == (True, "lower")
    strict = ask(journeys(confidence=0.9999)).compare().query("journeys == 5").iloc[0]
    assert (strict["q_value"], strict["verdict"]) == (row["q_value"], "no clear difference")
    assert strict["low"] < row["low"]


ASKED_BY_CHANNEL = {
    "paths": lambda log: cjm.paths(log, by="channel"),
    "transitions": lambda log: cjm.transitions(log, by="channel"),
    "ngrams": lambda log: cjm.ngrams(log, 2, by="channel"),
    "matches": lambda log: cjm.matches(log, "ad", by="channel"),
    "funnel": lambda log: cjm.funnel(log, ["ad", "cart"], by="channel", within="1 day"),
    "time_to": lambda log: cjm.time_to(log, "cart", by="channel"),
    "drop_off": lambda log: cjm.drop_off(log, of="stage", by="channel"),
    "retention": lambda log: cjm.retention(log, start="ad", by="channel", periods=1, period="day"),
}


@pytest.mark.parametrize("name", ASKED_BY_CHANNEL)
def test_one_group_alone_is_compared_with_nothing(name):
    alone = ASKED_BY_CHANNEL[name](journeys([("web", "ad cart buy"), ("web", "ad")]))
    with pytest.raises(InputError, match="one group only, 'web'"):
        alone.compare()


@pytest.mark.parametrize("name", ASKED_BY_CHANNEL)
def test_where_there_are_no_journeys_there_are_no_pairs(mixed, name):
    nothing = mixed.select(started=("2030-01-01", "2031-01-01"))
    assert len(nothing) == 0
    assert len(ASKED_BY_CHANNEL[name](nothing).compare()) == 0


def test_the_group_of_grouped_transitions_must_be_said(mixed):
    grouped = cjm.transitions(mixed, by="channel")
    for ask in (grouped.matrix, grouped.plot):
        with pytest.raises(InputError, match=r"Which group of channel\? Say it with group=.*app, web"):
            ask()


def test_draws_in_which_nobody_converts_say_nothing_of_how_credit_is_divided():
    log = journeys([("web", "ad buy"), ("web", "ad cart buy"), ("web", "ad")])
    found = cjm.attribution(log, by="channel", model="all").to_frame()
    assert found["share"].tolist() == [1.0] * len(found)
    assert found["low"].tolist() == found["high"].tolist() == [1.0] * len(found)


def test_credit_for_one_conversion_has_no_interval():
    found = cjm.attribution(journeys([("web", "ad buy"), ("web", "ad")]), by="touchpoint").to_frame()
    assert found["share"].tolist() == [1.0]
    assert found[["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("ways", "chance"), [([("web", "ad buy")] * 3, 1.0), ([("web", "ad")] * 3, 0.0)], ids=["all", "none"]
)
def test_where_all_convert_or_none_there_is_nothing_to_tell_apart(ways, chance):
    log = journeys(ways)
    assert cjm.paths(log).to_frame()["conversion"].tolist() == [chance]
    assert cjm.markov(log, bootstrap=20).to_frame()["to_goal"].tolist() == [chance] * 2
    found = cjm.subsequences(log, min_length=1).to_frame()
    assert found[["p_value", "q_value", "odds_ratio"]].isna().all(axis=None)
    assert (found["tests"] == 0).all()
    assert set(found["association"]) == {"no clear association"}
    fits = cjm.matches(log, "ad").to_frame().iloc[0]
    assert (fits["conversion_with"], fits["tests"]) == (chance, 0)
    assert np.isnan(fits[["conversion_without", "difference", "p_value", "q_value"]].astype(float)).all()


def test_a_chance_is_told_only_from_where_somebody_was_in_a_draw():
    ways = [("web", "cart buy")] + [("web", "ad buy"), ("web", "ad help")] * 20
    frame = cjm.markov(journeys(ways)).to_frame().set_index("name")
    assert frame.loc["cart", ["to_goal", "low", "high"]].tolist() == [1.0, 1.0, 1.0]


def test_draws_are_cut_at_the_confidence_of_the_model_unless_told_otherwise(mixed):
    for ask in (cjm.attribution, cjm.markov):
        own, told, wide = (
            ask(mixed, **more).to_frame() for more in ({}, {"confidence": 0.8}, {"confidence": 0.95})
        )
        pd.testing.assert_frame_equal(own, told)
        width, wider = (float((one["high"] - one["low"]).max()) for one in (own, wide))
        assert 0 < width < wider
