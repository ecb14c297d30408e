"""Satisfaction: literal tables, and plain loops over answers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.satisfaction import (
    RELATION,
    UNLINKED,
    SatisfactionAnalysis,
    SatisfactionPartial,
    satisfaction,
)
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.journeys import NONE, UNASSIGNED
from cjm_analytics.model import ReportRules
from cjm_analytics.statistics import mean, newcombe, nps, wilson
from logs import events_of, journeys_of, random_rows

ROAD = {"ad": ("aware", "before"), "cart": ("choose", "during"), "use": ("use", "after")}


def answered(*parts, instrument="nps", invites=(), model=None, **options):
    """Satisfaction with (scores, what they rate) pairs as answers, each by another customer."""
    answers, number = [], 0
    for scores, rated in parts:
        for score in scores:
            answers.append({"customer": f"c{number:03d}", "instrument": instrument, "score": score} | rated)
            number += 1
    return satisfaction(journeys_with(answers, invites, model), **options)


def journeys_with(answers, invites=(), model=None, n_partitions=1):
    """Journeys in which each of these customers saw an ad, put into a cart and used it."""
    customers = sorted({one["customer"] for one in [*answers, *invites]})
    rows = [(who, day, what) for who in customers for day, what in enumerate(ROAD)]
    journeys = journeys_of(
        rows, stages=ROAD, answers=answers, invites=list(invites), n_partitions=n_partitions
    )
    return replace(journeys, model=model)


def modelled(**survey):
    """What the analysis reads of a model: one survey of the given kind, and the thresholds."""
    parts = {
        "id": "nps", "instrument": "nps", "kind": "transactional", "scale": None, "positive": (),
        "direction": "high is good", "rates": object(),
    }  # fmt: skip
    return SimpleNamespace(surveys=(SimpleNamespace(**(parts | survey)),), report=ReportRules())


BEFORE, DURING, AFTER = ({"rated_phase": phase} for phase in ("before", "during", "after"))
REFERENCE = [0] * 10 + [7] * 8 + [10] * 18


def test_nps_has_the_reference_score_and_adjusted_wald_interval():
    frame = answered((REFERENCE, BEFORE)).to_frame()
    row = frame.loc[0]
    assert frame.columns[:8].tolist() == [
        "instrument", "phase", "n", "score", "low", "high", "response_rate", "reliability",
    ]  # fmt: skip
    assert [row["instrument"], row["phase"], row["n"]] == ["nps", "before", 36]
    assert [row["score"], row["low"], row["high"]] == pytest.approx([0.222222, -0.060128, 0.470385], abs=1e-6)
    assert row[["promoters", "passives", "detractors"]].tolist() == [18, 8, 10]


def test_answers_count_in_the_phase_that_they_rate_in_the_order_of_the_road():
    frame = answered(([5] * 3, AFTER), ([9] * 2, BEFORE)).to_frame(suppress=False)
    assert frame[["phase", "n", "score"]].to_numpy().tolist() == [["before", 2, 1.0], ["after", 3, -1.0]]


def test_csat_of_one_to_five_counts_the_top_two():
    frame = answered(([4] * 30 + [5] * 15 + [1] * 15, BEFORE), instrument="csat").to_frame()
    row = frame.loc[0]
    assert [row["score"], row["low"], row["high"]] == pytest.approx([0.75, 0.627679, 0.842235], abs=1e-6)
    assert [row["measure"], row["scale"], row["mean"]] == ["share of 4, 5", "1–5", 3.5]


def test_csat_of_good_and_bad_counts_the_good():
    row = answered(([1] * 8 + [0] * 2, BEFORE), instrument="csat").to_frame().loc[0]
    assert [row["score"], row["low"], row["high"]] == pytest.approx([0.8, 0.490162, 0.943318], abs=1e-6)
    assert row["measure"] == "share of 1"


def test_csat_counts_what_the_model_calls_positive():
    model = modelled(id="csat", instrument="csat", positive=(5.0,), scale=(1.0, 5.0))
    row = answered(([4] * 5 + [5] * 15, BEFORE), instrument="csat", model=model).to_frame().loc[0]
    assert [row["score"], row["measure"]] == [0.75, "share of 5"]


def test_csat_on_a_scale_that_nobody_tells_is_a_mean():
    for scores in ([1] * 12, [2, 9] * 6, [3.5] * 12, [0, 5] * 6):
        row = answered((scores, BEFORE), instrument="csat").to_frame().loc[0]
        assert [row["measure"], row["score"]] == ["mean", np.mean(scores)]


def test_ces_is_a_mean_with_a_t_interval_and_the_share_of_five_to_seven():
    row = answered(([7, 6, 5, 7, 4, 6, 3, 7, 6, 5], BEFORE), instrument="ces").to_frame().loc[0]
    assert [row["score"], row["low"], row["high"]] == pytest.approx([5.6, 4.634342, 6.565658], abs=1e-6)
    assert [row["top_box"], row["scale"]] == [0.8, "1–7"]


def test_stars_are_a_mean_with_a_t_interval_and_the_top_two():
    scores = [1] * 5 + [2] * 3 + [3] * 8 + [4] * 20 + [5] * 14
    row = answered((scores, BEFORE), instrument="stars").to_frame().loc[0]
    assert [row["score"], row["low"], row["high"]] == pytest.approx([3.7, 3.349572, 4.050428], abs=1e-6)
    assert row["top_box"] == 0.68


def test_an_interval_of_a_mean_does_not_leave_its_scale():
    row = answered(([5] * 14 + [1], BEFORE), instrument="stars").to_frame().loc[0]
    assert row["high"] == 5.0


def test_normalised_runs_from_worst_to_best():
    row = answered(([4] * 10 + [5] * 10, BEFORE), instrument="stars").to_frame().loc[0]
    assert row["normalised"] == 0.75
    bad = modelled(id="ces", instrument="ces", scale=(1.0, 5.0), direction="high is bad")
    row = answered(([4] * 10 + [5] * 10, BEFORE), instrument="ces", model=bad).to_frame().loc[0]
    assert [row["score"], row["measure"], row["normalised"]] == [4.5, "mean, high is bad", -0.75]
    assert np.isnan(row["top_box"])


def test_instruments_are_never_mixed():
    answers = [
        {"customer": f"c{number:02d}", "instrument": name, "score": score} | BEFORE
        for number in range(12)
        for name, score in (("nps", 10), ("csat", 1 + number % 5))
    ]
    frame = satisfaction(journeys_with(answers), by=None).to_frame()
    assert frame[["instrument", "n", "score"]].to_numpy().tolist() == [["nps", 12, 1.0], ["csat", 12, 4 / 12]]
    only = satisfaction(journeys_with(answers), instrument="csat").to_frame()
    assert only["instrument"].tolist() == ["csat"]


def test_answers_that_rate_nothing_known_are_told_apart():
    found = answered(
        ([9], BEFORE), ([2] * 3, {"link": 0}), ([8], {"rated_phase": -1, "rated_touchpoint": "ad"})
    )
    frame = found.to_frame(suppress=False)
    assert frame[["phase", "n"]].to_numpy().tolist() == [["before", 1], [UNASSIGNED, 1], [UNLINKED, 3]]
    assert found.unlinked == 3


def test_the_relation_as_a_whole_is_a_row_of_its_own_and_never_pooled():
    parts = ([9], BEFORE), ([2] * 3, {"link": 0})
    for kind, rates in (("relational", None), ("transactional", None)):
        frame = answered(*parts, model=modelled(kind=kind, rates=rates)).to_frame(suppress=False)
        assert frame[["phase", "n", "kind"]].to_numpy().tolist() == [[RELATION, 4, "relational"]]


def test_surveys_of_one_instrument_with_other_scales_are_told_apart():
    journeys = journeys_with([{"customer": "a", "instrument": "csat", "score": 4} | BEFORE])
    (partition,) = journeys.partitions
    codebook = replace(journeys.codebook, surveys=("short", "long"))
    table = partition.answers.table
    both = table.take([0, 0, 0]).set_column(
        table.column_names.index("survey"), "survey", [np.array([0, 1, -1], dtype=np.int16)]
    )
    surveys = tuple(
        modelled(id=name, instrument="csat", scale=(1.0, high)).surveys[0]
        for name, high in (("short", 5.0), ("long", 10.0))
    )
    parts = (replace(partition, codebook=codebook, answers=type(partition.answers)(both)),)
    model = SimpleNamespace(surveys=surveys, report=ReportRules())
    frame = satisfaction(replace(journeys, codebook=codebook, partitions=parts, model=model)).to_frame(
        suppress=False
    )
    assert frame[["instrument", "survey", "scale", "n"]].to_numpy().tolist() == [
        ["csat", "short", "1–5", 1],
        ["csat", "long", "1–10", 1],
        ["csat", None, "1–5", 1],
    ]


def test_response_rate_is_answers_over_invites_where_these_are_known():
    asked = [{"customer": f"c{number:03d}", "instrument": "nps"} | AFTER for number in range(40)]
    frame = answered(([9] * 10, AFTER), ([9] * 10, BEFORE), invites=asked).to_frame()
    assert frame[["phase", "invites"]].to_numpy().tolist() == [["before", 0], ["after", 40]]
    assert np.isnan(frame.loc[0, "response_rate"])
    assert frame.loc[1, "response_rate"] == 0.25


def test_more_answers_than_invites_give_no_response_rate():
    asked = [{"customer": "c000", "instrument": "nps"} | AFTER]
    assert np.isnan(answered(([9] * 10, AFTER), invites=asked).to_frame().loc[0, "response_rate"])


def test_an_invite_that_nobody_answered_is_a_row_without_a_score():
    asked = [{"customer": "c000", "instrument": "nps"} | AFTER] * 3
    row = answered(([9] * 12, BEFORE), invites=asked).to_frame().loc[1]
    assert [row["phase"], row["n"], row["invites"], row["response_rate"]] == ["after", 0, 3, 0.0]
    assert np.isnan(row["score"])


def test_answers_without_a_score_are_counted_and_nothing_else():
    found = answered(([9] * 10 + [np.nan] * 2, BEFORE))
    assert found.to_frame()["n"].tolist() == [10]
    assert found.missing == 2


def test_few_answers_are_hidden_and_some_more_are_weak():
    frame = answered(([9] * 9, BEFORE), ([8] * 9, DURING), ([9] * 29, AFTER)).to_frame()
    assert frame["reliability"].tolist() == ["hidden", "hidden", "weak"]
    assert frame.loc[:1, ["score", "low", "high", "mean", "promoters"]].isna().all(axis=None)
    assert answered(([9] * 30, BEFORE)).to_frame()["reliability"].tolist() == ["ok"]


def test_one_hidden_cell_alone_hides_the_next_smallest_too():
    found = answered(([9] * 3, BEFORE), ([8] * 40, DURING), ([9] * 35, AFTER))
    assert found.to_frame()["reliability"].tolist() == ["hidden", "ok", "hidden"]
    assert found.to_frame()["score"].isna().tolist() == [True, False, True]
    assert found.to_frame(suppress=False)["reliability"].tolist() == ["hidden", "ok", "ok"]
    assert found.to_frame(suppress=False)["score"].tolist() == [1.0, 0.0, 1.0]
    assert set(found.distribution()["phase"]) == {"during"}


def test_a_distribution_counts_every_score():
    frame = answered(([9] * 3 + [4] * 9, BEFORE)).distribution()
    assert frame.to_numpy().tolist() == [
        ["nps", "before", 4.0, 9, 12, 0.75],
        ["nps", "before", 9.0, 3, 12, 0.25],
    ]


SEVERAL = [(1, 10), (1, 9), (1, 9), (2, 7), (2, 0), (3, 10), (4, 3), (4, 6), (5, 8), (6, 9)]


def test_several_answers_of_a_customer_give_the_reference_error():
    answers = [
        {"customer": f"c{who}", "instrument": "nps", "score": score} | BEFORE for who, score in SEVERAL
    ]
    row = satisfaction(journeys_with(answers)).to_frame().loc[0]
    assert [row["n"], row["customers"]] == [10, 6]
    assert row["score"] == pytest.approx(0.2)
    effect = (0.421426 / 0.290593) ** 2
    assert row["design_effect"] == pytest.approx(effect, abs=1e-4)
    low, high = (getattr(nps(3 / effect, 2 / effect, 5 / effect), side) for side in ("low", "high"))
    assert [row["low"], row["high"]] == pytest.approx([float(low), float(high)], abs=1e-4)


def test_means_of_several_answers_of_a_customer_have_the_cluster_robust_error():
    answers = [
        {"customer": f"c{who}", "instrument": "other", "score": score} | BEFORE for who, score in SEVERAL
    ]
    row = satisfaction(journeys_with(answers)).to_frame().loc[0]
    who, score = (np.array(one) for one in zip(*SEVERAL, strict=True))
    sums = np.bincount(who, score - score.mean())[1:]
    assert row["error"] == pytest.approx(np.sqrt(6 / 5 * (sums**2).sum()) / 10)


def test_by_an_event_column_the_value_at_the_rated_event_counts():
    rows = pd.DataFrame(
        [("a", 0, "ad", "web"), ("a", 1, "cart", None), ("b", 0, "use", "app")],
        columns=["customer", "time", "touchpoint", "device"],
    )
    answers = [
        {"customer": "a", "instrument": "nps", "score": 9, "rated_event": 0, "rated_phase": "before"},
        {"customer": "a", "instrument": "nps", "score": 2, "rated_event": 1, "rated_phase": "during"},
        {"customer": "b", "instrument": "nps", "score": 8, "rated_event": 2, "rated_phase": "after"},
        {"customer": "b", "instrument": "nps", "score": 8, "link": 0},
    ]
    journeys = journeys_of(rows, stages=ROAD, answers=answers)
    frame = satisfaction(journeys, by="device").to_frame(suppress=False)
    assert frame[["device", "n", "score"]].to_numpy().tolist() == [
        ["app", 1, 0.0],
        ["web", 1, 1.0],
        [NONE, 1, -1.0],
        [UNLINKED, 1, 0.0],
    ]
    both = satisfaction(journeys, by=["phase", "device"]).to_frame(suppress=False)
    assert both[["phase", "device"]].to_numpy().tolist() == [
        ["before", "web"],
        ["during", NONE],
        ["after", "app"],
        [UNLINKED, UNLINKED],
    ]


def test_scores_off_their_scale_are_refused():
    stars = modelled(id="stars", instrument="stars", scale=(1.0, 5.0))
    for scores, instrument, model, message in (
        ([11], "nps", None, "score of 11 is off the scale of 'nps'"),
        ([-1], "nps", None, "score of -1"),
        ([7.5], "nps", None, "whole numbers from 0 to 10, but there is 7.5"),
        ([5], "nps", modelled(scale=(1.0, 10.0)), "the model says 1 to 10"),
        ([6], "stars", stars, "off the scale of 'stars' \\(1 to 5\\)"),
    ):
        with pytest.raises(InputError, match=message):
            answered((scores, BEFORE), instrument=instrument, model=model)


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(UnknownNameError, match="Did you mean 'nps'"):
        answered(([9], BEFORE), instrument="nps") and satisfaction(
            journeys_with([{"customer": "a", "instrument": "nps", "score": 9}]), instrument="npss"
        )
    with pytest.raises(UnknownNameError, match=r"No column named 'phases'\. Did you mean 'phase'"):
        answered(([9], BEFORE), by="phases")


# ── comparisons ─────────────────────────────────────────────────────────────────────────────────


def test_two_phases_compare_with_the_reference_interval_of_adjusted_wald():
    found = answered(
        ([0] * 20 + [7] * 30 + [9] * 50, BEFORE), ([0] * 35 + [7] * 30 + [9] * 35, DURING)
    ).compare()
    row = found.loc[0]
    assert row[["phase", "other_phase", "n", "other_n"]].tolist() == ["before", "during", 100, 100]
    assert row["difference"] == pytest.approx(0.3)
    assert [row["low"], row["high"], row["p_value"]] == pytest.approx(
        [0.070773, 0.511752, 0.009623], abs=1e-6
    )
    assert row["verdict"] == "higher"


def test_two_shares_compare_with_newcombe_and_the_z_test():
    found = answered(
        ([5] * 56 + [1] * 14, BEFORE), ([5] * 48 + [1] * 32, DURING), instrument="csat"
    ).compare()
    low, high = newcombe(56, 70, 48, 80)
    assert found.loc[0, ["low", "high"]].tolist() == pytest.approx([float(low), float(high)])
    assert found.loc[0, "p_value"] == pytest.approx(0.008045, abs=1e-6)


def test_two_means_compare_like_welch():
    from scipy.stats import ttest_ind

    a, b = [7, 6, 5, 7, 4, 6, 3, 7, 6, 5], [5, 4, 4, 6, 3, 2, 5, 4, 4, 3, 6, 1]
    found = answered((a, BEFORE), (b, AFTER), instrument="ces").compare()
    expected = ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval()
    assert found.loc[0, "p_value"] == pytest.approx(expected.pvalue)
    assert found.loc[0, ["low", "high"]].tolist() == pytest.approx([interval.low, interval.high])


def test_two_means_of_the_same_customers_compare_as_pairs():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    before = rng.integers(2, 7, 30)
    after = before + rng.integers(-1, 2, 30)
    answers = [
        {"customer": f"c{number:02d}", "instrument": "ces", "score": score} | phase
        for scores, phase in ((before, BEFORE), (after, AFTER))
        for number, score in enumerate(scores)
    ]
    found = satisfaction(journeys_with(answers)).compare().loc[0]
    assert found["p_value"] == pytest.approx(ttest_rel(before, after).pvalue)


def test_cliffs_delta_of_two_phases_is_the_reference():
    found = answered(([9, 10, 8, 7, 10, 9] * 2, BEFORE), ([6, 5, 7, 3, 8, 6] * 2, DURING)).compare()
    assert found.loc[0, "cliffs_delta"] == pytest.approx(0.888889, abs=1e-6)


def test_all_pairs_of_all_instruments_are_one_family():
    found = answered(
        ([9] * 5 + [2] * 9, BEFORE), ([8, 9] * 7, DURING), ([9] * 14, AFTER), ([1] * 20, {"link": 0})
    )
    frame = found.compare()
    assert len(frame) == 3
    assert (frame["tests"] == 3).all()
    assert (frame["q_value"] >= frame["p_value"]).all()


def test_hidden_cells_do_not_compare():
    found = answered(([9] * 3, BEFORE), ([8] * 4, DURING), ([9] * 20, AFTER))
    assert len(found.compare(suppress=False)) == 3
    with pytest.raises(InputError, match="two groups that are shown, of 10 answers or more"):
        found.compare()
    with pytest.raises(InputError, match="no groups"):
        answered(([9], BEFORE), by=None).compare()


# ── plain loops, partials ───────────────────────────────────────────────────────────────────────


def random_answers(seed):
    rng = np.random.default_rng(seed)
    people = [f"c{number}" for number in range(rng.integers(1, 25))]
    scales = {"nps": 11, "csat": 5, "ces": 7}
    return [
        {
            "customer": str(rng.choice(people)),
            "instrument": name,
            "score": float(rng.integers(0, 11) if name == "nps" else rng.integers(1, scales[name] + 1)),
            "link": int(rng.integers(0, 3)),
            "rated_phase": str(rng.choice(["before", "during", "after"])),
        }
        for name in rng.choice(list(scales), int(rng.integers(1, 120)))
    ]


def slow_interval(name, scores, customers):
    """Score and interval of one cell, from its answers one by one."""
    worth = [
        (score >= 9) - (score <= 6) if name == "nps" else score >= 4 if name == "csat" else score
        for score in scores
    ]
    n, average = len(worth), sum(worth) / len(worth)
    people = sorted(set(customers))
    inflation = 1.0
    if len(people) < n:
        spread = sum((one - average) ** 2 for one in worth) / (n - 1)
        sums = [
            sum(one - average for one, who in zip(worth, customers, strict=True) if who == person)
            for person in people
        ]
        if len(people) == 1:
            inflation = n
        elif spread == 0:
            inflation = n / len(people)
        else:
            robust = len(people) / (len(people) - 1) * sum(one**2 for one in sums) / n**2
            inflation = max(1.0, robust / (spread / n))
    if name == "nps":
        found = nps(worth.count(-1), worth.count(0), worth.count(1), design_effect=inflation)
        return average, float(found.low), float(found.high)
    if name == "csat":
        low, high = wilson(sum(worth) / inflation, n / inflation)
        return average, float(low), float(high)
    sd = np.std(worth, ddof=1) if n > 1 else np.nan
    found = mean(average, sd, n, design_effect=inflation, customers=len(people))
    return average, max(float(found.low), 1.0), min(float(found.high), 7.0)


def test_fast_equals_a_plain_loop_over_answers():
    for seed in range(120):
        answers = random_answers(seed)
        found = satisfaction(journeys_with(answers)).to_frame(suppress=False)
        seen = {(one["instrument"], one["rated_phase"] if one["link"] else UNLINKED) for one in answers}
        assert set(zip(found["instrument"], found["phase"], strict=True)) == seen
        for row in found.to_dict("records"):
            mine = [
                one
                for one in answers
                if one["instrument"] == row["instrument"]
                and (one["rated_phase"] if one["link"] else UNLINKED) == row["phase"]
            ]
            assert row["n"] == len(mine)
            scores = [one["score"] for one in mine]
            if row["instrument"] != "nps" and row["scale"] is None:
                continue  # no answer told which scale it was
            expected = slow_interval(row["instrument"], scores, [one["customer"] for one in mine])
            assert [row["score"], row["low"], row["high"]] == pytest.approx(expected, nan_ok=True), seed
            assert row["mean"] == pytest.approx(np.mean(scores))


def test_any_split_gives_the_same_bits():
    for seed in range(20):
        answers = random_answers(seed)
        whole = satisfaction(journeys_with(answers), by=["phase", "touchpoint"])
        parts = satisfaction(journeys_with(answers, n_partitions=3), by=["phase", "touchpoint"])
        pd.testing.assert_frame_equal(
            whole.to_frame(suppress=False), parts.to_frame(suppress=False), check_exact=True
        )
        pd.testing.assert_frame_equal(
            whole.compare(suppress=False), parts.compare(suppress=False), check_exact=True
        )


def test_nothing_added_changes_nothing():
    journeys = journeys_with(random_answers(1))
    analysis = SatisfactionAnalysis.plan(journeys)
    partial = analysis.map(journeys.partitions[0])
    both = analysis.finalize(SatisfactionPartial() + partial + SatisfactionPartial()).to_frame()
    pd.testing.assert_frame_equal(both, analysis.finalize(partial).to_frame(), check_exact=True)


def test_a_log_without_answers_gives_an_empty_frame_a_card_and_a_picture():
    found = satisfaction(journeys_of(random_rows(np.random.default_rng(0))), by="touchpoint")
    assert len(found.to_frame()) == len(found.distribution()) == 0
    with pytest.raises(InputError, match="nothing to compare"):
        found.compare(suppress=False)
    assert "Satisfaction" in found._repr_html_()
    assert "Nobody answered" in found.plot().to_json()


def test_an_instrument_that_no_survey_takes_says_what_to_write():
    import cjm_analytics as cjm

    rows = [{"timestamp": 0, "source_kind": "survey", "score": 4.0, "instrument": "taste"}]
    journeys = cjm.sessionize(events_of(rows))
    note = satisfaction(journeys)._card().note
    assert """answers to 'taste' rate: add a [[survey]] with match = { instrument = "taste" }""" in note
    assert "[[survey]]" not in satisfaction(journeys, by=None)._card().note


def test_scores_without_an_instrument_are_said_where_nobody_answered(tmp_path):
    import cjm_analytics as cjm

    rows = [
        {"timestamp": 0, "event": "review", "source_kind": "order", "score": 4.0},
        {"timestamp": 1, "event": "review", "source_kind": "order", "score": 5.0, "is_bot": True},
        {"timestamp": 2, "event": "review", "source_kind": "order", "score": 3.0, "customer_id": "b"},
        {"timestamp": 3, "event": "visit", "source_kind": "order", "customer_id": "b"},
    ]
    said = "2 events have a score, but no instrument"
    for model in (None, cjm.JourneyModel.standard()):
        journeys = cjm.sessionize(events_of(rows, n_partitions=2), model)
        found = satisfaction(journeys)
        assert journeys.accounting["scores without an instrument"] == 2
        assert said in found._card().note
        drawn = found.plot().to_json().replace("<br>", " ").replace("\\u003cbr\\u003e", " ")
        assert said in drawn
        cjm.report(journeys, to=tmp_path / "report.html")
        assert said in (tmp_path / "report.html").read_text(encoding="utf-8")
    named = [row | {"instrument": "stars"} for row in rows]
    journeys = cjm.sessionize(events_of(named), cjm.JourneyModel.standard())
    assert journeys.accounting["scores without an instrument"] == 0
    assert "no instrument" not in satisfaction(journeys)._card().note


def test_the_satisfaction_of_the_sample_shop_is_the_true_one_within_its_interval(root):
    import cjm_analytics as cjm

    samples = root / "data" / "samples"
    answers = cjm.loaders.table(
        samples / "surveys.csv",
        customer="customer_id",
        timestamp="answered_at",
        event="survey",
        score="answer",
        tz="Europe/Berlin",
    )
    clicks = cjm.loaders.segment(samples / "clickstream.jsonl.gz")
    sources = [clicks, cjm.loaders.zendesk(samples / "crm"), answers]
    journeys = cjm.sessionize(cjm.ingest(sources), cjm.JourneyModel.read(samples / "journey.toml"))
    found = satisfaction(journeys).to_frame().set_index(["instrument", "phase"])
    for row in pd.read_csv(samples / "truth" / "satisfaction.csv").itertuples():
        cell = found.loc[row.instrument, RELATION if row.instrument == "nps" else row.phase]
        assert cell["low"] <= row.score <= cell["high"]


# ── the picture ─────────────────────────────────────────────────────────────────────────────────


def test_the_chart_draws_what_is_not_hidden_with_its_interval():
    found = answered(
        (REFERENCE, BEFORE), ([9] * 3 + [2] * 8, DURING), ([9] * 4, AFTER), ([9] * 3, {"link": 0})
    )
    frame, figure = found.to_frame(), found.plot()
    drawn = {trace.name: trace for trace in figure.data}
    assert set(drawn) == {"before", "during"}
    row = frame.loc[0]
    assert drawn["before"].x[0] == row["score"]
    assert drawn["before"].x[0] + drawn["before"].error_x.array[0] == pytest.approx(row["high"])
    assert drawn["before"].marker.symbol == "circle"
    assert drawn["during"].marker.symbol == "circle-open"
    assert "4 answers, too few to show" in figure.layout.yaxis.ticktext[2]


def test_every_instrument_has_a_panel_of_its_own():
    answers = [
        {"customer": f"c{number:02d}", "instrument": name, "score": 1 + number % 5} | BEFORE
        for number in range(40)
        for name in ("nps", "csat", "stars")
    ]
    figure = satisfaction(journeys_with(answers)).plot()
    titles = [figure.layout[axis].title.text for axis in ("xaxis", "xaxis2", "xaxis3")]
    assert titles == [
        "Promoters minus detractors, in points of 100",
        "Share of answers 4, 5",
        "Mean, on a scale from 1 to 5",
    ]
