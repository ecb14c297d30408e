"""Time to an event: literal tables, a plain loop over random journeys, lifelines, and a simulated truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.time_to import TimeToAnalysis, time_to
from cjm_analytics.columns import MemoryColumns
from cjm_analytics.durations import DAY
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.journeys import NEVER
from logs import MINUTE, journeys_of, random_rows

COUNTS = ["time", "at_risk", "events", "censored", "ended"]


def log(rows, *, until=100, **options):
    """Journeys of (customer, day, touchpoint), observed until day 100, with a touchpoint of every name."""
    names = [("z", 0.0, name) for name in ("ad", "look", "buy", "quit")]
    journeys = journeys_of([*rows, *names], unit=DAY, observed_until=until, **options)
    (partition,) = journeys.partitions
    keep = np.array([name != "z" for name in partition.customer_ids.to_pylist()])
    return replace(journeys, partitions=(partition.take(keep[partition.journey("customer")]),))


def changed(journeys, **columns):
    """The journeys of one partition with some journey columns replaced."""
    (partition,) = journeys.partitions
    cases = partition.cases.read(partition.cases.names)
    arrays = {name: cases.column(name).to_numpy() for name in cases.column_names}
    arrays |= {name: np.array(values, dtype=arrays[name].dtype) for name, values in columns.items()}
    return replace(journeys, partitions=(replace(partition, cases=MemoryColumns.of(arrays)),))


def counts(found):
    frame = found.to_frame()[COUNTS]
    days = (frame["time"] / pd.Timedelta(days=1)).tolist()
    return [tuple(map(float, row)) for row in zip(days, *(frame[name] for name in COUNTS[1:]), strict=True)]


def test_the_clock_runs_from_the_first_start_to_the_first_target_after_it():
    rows = [("a", 0, "look"), ("a", 1, "ad"), ("a", 2, "ad"), ("a", 5, "buy"), ("a", 6, "buy")]
    assert counts(time_to(log(rows), "buy", start="ad")) == [(0, 1, 0, 0, 0), (4, 1, 1, 0, 0)]


def test_without_a_start_the_clock_runs_from_the_first_event():
    rows = [("a", 1, "look"), ("a", 3, "buy")]
    assert counts(time_to(log(rows), "buy")) == [(0, 1, 0, 0, 0), (2, 1, 1, 0, 0)]


def test_a_journey_that_begins_with_the_target_takes_no_time():
    found = time_to(log([("a", 1, "buy"), ("a", 3, "buy")]), "buy")
    assert counts(found) == [(0, 1, 1, 0, 0)]
    assert found.median == pd.Timedelta(0)


def test_a_start_that_is_the_target_too_needs_another_event():
    rows = [("a", 1, "buy"), ("a", 4, "buy")]
    assert counts(time_to(log(rows), "buy", start="buy")) == [(0, 1, 0, 0, 0), (3, 1, 1, 0, 0)]


def test_a_target_of_the_same_instant_counts_if_it_comes_after_the_start():
    after = time_to(log([("a", 1, "ad"), ("a", 1, "buy")]), "buy", start="ad")
    assert counts(after) == [(0, 1, 1, 0, 0)]
    before = time_to(log([("a", 1, "buy"), ("a", 1, "ad")]), "buy", start="ad")
    assert counts(before) == [(0, 1, 0, 0, 0), (99, 1, 0, 1, 0)]
    assert (after.target_before_start, before.target_before_start) == (0, 1)


def test_who_has_not_got_there_is_censored_at_the_observation_end():
    assert counts(time_to(log([("a", 90, "ad")]), "buy")) == [(0, 1, 0, 0, 0), (10, 1, 0, 1, 0)]


def test_what_comes_after_the_observation_end_is_not_used():
    rows = [("a", 90, "ad"), ("a", 120, "buy"), ("b", 110, "ad")]
    found = time_to(log(rows), "buy")
    assert counts(found) == [(0, 1, 0, 0, 0), (10, 1, 0, 1, 0)]
    assert found.after_end == 1


def test_any_of_several_names_is_enough():
    rows = [("a", 0, "ad"), ("a", 1, "look"), ("a", 9, "buy")]
    assert counts(time_to(log(rows), ["buy", "look"])) == [(0, 1, 0, 0, 0), (1, 1, 1, 0, 0)]


def test_a_marker_may_be_the_target():
    rows = [("a", 0, "ad"), ("a", 2, "buy")]
    assert counts(time_to(log(rows, goal="buy"), "goal")) == [(0, 1, 0, 0, 0), (2, 1, 1, 0, 0)]


def test_an_explicit_end_competes_and_silence_does_not():
    journeys = log([(name, 0, "ad") for name in "abcd"])
    end = 3 * DAY
    found = time_to(changed(journeys, closed=[0, 1, 2, 3], closed_at=[NEVER, end, end, end]), "buy")
    assert counts(found) == [(0, 4, 0, 0, 0), (3, 4, 0, 0, 2), (100, 2, 0, 2, 0)]


def test_named_ends_compete_and_the_target_of_the_same_instant_comes_first():
    rows = [
        ("a", 0, "ad"),
        ("a", 2, "quit"),
        ("a", 5, "buy"),
        ("b", 0, "ad"),
        ("b", 2, "buy"),
        ("b", 2, "quit"),
    ]
    found = time_to(log(rows), "buy", ends="quit")
    assert counts(found) == [(0, 2, 0, 0, 0), (2, 2, 1, 0, 1)]
    assert found.to_frame()["incidence"].tolist() == [0, 0.5]
    assert found.to_frame()["survival"].tolist() == [1, 0]


def test_what_the_question_does_not_fit_is_counted():
    rows = [
        ("a", 0, "look"),  # no start
        ("b", 0, "buy"),  # a target without a start
        ("c", 0, "buy"), ("c", 1, "ad"), ("c", 3, "buy"),  # a target before the start
        ("d", 0, "ad"),
    ]  # fmt: skip
    found = time_to(log(rows), "buy", start="ad")
    assert (found.n, found.without_start, found.target_without_start, found.target_before_start) == (
        2,
        2,
        1,
        1,
    )
    text = found._repr_html_()
    assert "without a start <b>2</b>" in text
    assert "target before the start <b>1</b>" in text


def test_journeys_that_began_before_the_data_are_left_out_and_counted():
    journeys = log([("a", 0, "ad"), ("b", 0, "ad"), ("b", 1, "buy")])
    found = time_to(changed(journeys, truncated=[True, False]), "buy")
    assert counts(found) == [(0, 1, 0, 0, 0), (1, 1, 1, 0, 0)]
    assert found.truncated == 1


KINDS = [1, 2, 0, 1, 1, 2, 0, 1, 0, 2]


def ten():
    """The ten units of the reference numbers: kinds 1 reach, 2 end, 0 are censored, on days 1 to 10."""
    rows = []
    for day, kind in zip(range(1, 11), KINDS, strict=True):
        begin = 0 if kind else 100 - day
        rows.append((f"c{day:02}", begin, "ad"))
        if kind:
            rows.append((f"c{day:02}", begin + day, "buy" if kind == 1 else "quit"))
    return time_to(log(rows), "buy", ends="quit")


def test_competing_ends_give_the_reference_incidence():
    frame = ten().to_frame().set_index((ten().to_frame()["time"] / pd.Timedelta(days=1)).astype(int))
    expected = {1: 0.1, 4: 0.214286, 5: 0.328571, 8: 0.480952, 10: 0.480952}
    assert frame.loc[list(expected), "incidence"].round(6).to_dict() == expected
    assert ten().median is pd.NaT


def test_the_median_is_missing_unless_half_got_there():
    few = [("a", 0, "ad"), ("a", 1, "buy"), ("b", 0, "ad"), ("c", 0, "ad")]
    assert time_to(log(few), "buy").median is pd.NaT
    half = [*few[:3], ("b", 7, "buy"), ("c", 0, "ad"), ("d", 0, "ad")]
    assert time_to(log(half), "buy").median == pd.Timedelta(days=7)


def test_shares_at_fixed_horizons_stand_beside_the_numbers_at_risk():
    found = ten().at("4 days", "8 days")
    columns = ["n", "at_risk", "reached", "ended", "censored", "reliability"]
    assert found[columns].to_numpy().tolist() == [
        [10, 7, 2, 1, 1, "hidden"],
        [10, 3, 4, 2, 2, "hidden"],
    ]
    assert found["incidence"].round(6).tolist() == [0.214286, 0.480952]


def test_a_share_is_missing_where_nobody_was_seen_for_so_long_and_may_still_get_there():
    found = time_to(log([("a", 95, "ad"), ("b", 95, "ad"), ("b", 96, "buy")]), "buy").at("3 days", "9 days")
    assert found["incidence"].tolist()[0] == 0.5
    assert found.loc[1, ["incidence", "low", "high"]].isna().all()
    assert found["at_risk"].tolist() == [1, 0]


def test_where_all_or_none_got_there_the_interval_is_wilsons():
    everyone = [(f"c{n}", day, name) for n in range(10) for day, name in ((0, "ad"), (1, "buy"))]
    found = time_to(log(everyone), "buy").at("7 days").iloc[0]
    assert (found["incidence"], round(found["low"], 6), found["high"]) == (1, 0.722467, 1)
    nobody = time_to(log([(f"c{n}", 0, "ad") for n in range(10)]), "buy").at("7 days").iloc[0]
    assert (nobody["incidence"], nobody["low"], round(nobody["high"], 6)) == (0, 0, 0.277533)


def test_the_restricted_mean_is_the_area_above_the_incidence():
    rows = []
    for place, (day, kind) in enumerate(zip([1, 2, 2, 3, 4, 5, 5, 6], [1, 1, 0, 1, 0, 1, 1, 0], strict=True)):
        begin = 0 if kind else 100 - day
        rows += [(f"c{place}", begin, "ad")] + ([(f"c{place}", begin + day, "buy")] if kind else [])
    found = time_to(log(rows), "buy").at("6 days")
    assert found["restricted_mean"][0] == pd.Timedelta(days=4.025)


def test_who_left_counts_with_the_whole_horizon_in_the_restricted_mean():
    rows = [("a", 0, "ad"), ("a", 1, "buy"), ("b", 0, "ad"), ("b", 2, "quit")]
    found = time_to(log(rows), "buy", ends="quit").at("9 days")
    assert found["restricted_mean"][0] == pd.Timedelta(days=5)


# ── groups ────────────────────────────────────────────────────────────────────────────────────────


def grouped(a, b, names=("fast", "slow"), n_partitions=1):
    """Journeys that reached `buy` (or `quit`, or nothing) after so many days, in two groups."""
    rows = []
    for name, members in zip(names, (a, b), strict=True):
        for place, (day, kind) in enumerate(members):
            begin = 0 if kind else 100 - day
            customer = f"{name}{place:03}"
            rows.append((customer, begin, "ad", name))
            if kind:
                rows.append((customer, begin + day, "buy" if kind == 1 else "quit", "other"))
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "plan"])
    return journeys_of(frame, unit=DAY, observed_until=100, n_partitions=n_partitions)


ONE = list(zip([6, 7, 10, 15, 19, 25], [1, 1, 1, 0, 1, 0], strict=True))
OTHER = list(zip([8, 9, 12, 20, 22, 30], [1, 0, 1, 1, 0, 0], strict=True))


def test_groups_are_compared_by_the_log_rank_test_where_nothing_competes():
    found = time_to(grouped(ONE, OTHER), "buy", by="plan")
    row = found.compare(at="10 days").iloc[0]
    assert (row["plan"], row["other_plan"], row["test"], row["tests"]) == ("fast", "slow", "log-rank", 1)
    assert round(row["statistic"], 6) == 0.685549
    assert round(row["p_value"], 6) == round(found.p_value, 6) == 0.407682
    assert row["verdict"] == "no clear difference"
    assert row["difference"] == pytest.approx(row["incidence"] - row["other_incidence"])
    assert row["low"] < row["difference"] < row["high"]
    assert list(found.median.index) == ["fast", "slow"]


def test_groups_are_compared_by_grays_test_where_ends_compete():
    competing = [(day, 2 if day == 9 else kind) for day, kind in OTHER]
    row = time_to(grouped(ONE, competing), "buy", by="plan", ends="quit").compare().iloc[0]
    assert row["test"] == "Gray"
    assert 0 < row["p_value"] < 1


def test_the_clearly_faster_group_is_sooner():
    journeys = grouped([(day % 5 + 1, 1) for day in range(40)], [(day % 9 + 20, 1) for day in range(40)])
    row = time_to(journeys, "buy", by="plan").compare().iloc[0]
    assert row["verdict"] == "sooner"
    assert row["median"] < row["other_median"]


def test_the_group_is_the_value_at_the_start():
    found = time_to(grouped(ONE, OTHER), "buy", by=["plan", "touchpoint"]).to_frame()
    assert list(found.columns[:2]) == ["plan", "touchpoint"]
    assert set(found["plan"]) == {"fast", "slow"}
    assert set(found["touchpoint"]) == {"ad"}


def test_without_groups_there_is_nothing_to_compare():
    with pytest.raises(InputError, match="by="):
        time_to(log([("a", 0, "ad")]), "buy").compare()


# ── oracles ───────────────────────────────────────────────────────────────────────────────────────


def plain(rows, until, target, start, ends):
    """(minutes, kind) of each journey that started in time; kinds 1 reached, 2 ended, 0 censored."""
    waits = []
    for _, journey in rows.groupby(["customer", "journey"]):
        events = list(zip(journey["time"], journey["touchpoint"], strict=True))
        begin = next((n for n, (_, name) in enumerate(events) if start is None or name == start), None)
        if begin is None or events[begin][0] > until:
            continue
        at = events[begin][0]
        reached = [time for time, name in events[begin if start is None else begin + 1 :] if name == target]
        ended = [time for time, name in events[begin + 1 :] if name == ends]
        closed = journey["closed"].iloc[0]
        if closed >= 2:
            ended.append(events[-1][0])
        options = [(time, 1) for time in reached] + [(time, 2) for time in ended] + [(until, 0)]
        time, kind = min(options, key=lambda one: (one[0], {1: 0, 2: 1, 0: 2}[one[1]]))
        waits.append((time - at, kind))
    return waits


def plain_curves(waits):
    survival, incidence, found = 1.0, 0.0, {}
    for time in sorted({time for time, _ in waits}):
        at_risk = sum(1 for other, _ in waits if other >= time)
        reached, ended = (sum(1 for one in waits if one == (time, kind)) for kind in (1, 2))
        incidence += survival * reached / at_risk
        survival *= 1 - (reached + ended) / at_risk
        found[time] = at_risk, reached, ended, survival, incidence
    return found


@pytest.mark.parametrize("seed", range(150))
def test_random_journeys_equal_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=12, n_events=60, alphabet="ABCDE")
    key = rows["customer"] + rows["journey"].astype(str)
    rows["closed"] = key.map({one: int(rng.integers(0, 4)) for one in key.unique()})
    until = int(rng.integers(120, 220))
    start, ends = [None, "A", "C"][seed % 3], [None, "D"][seed % 2]
    found = time_to(journeys_of(rows, observed_until=until, n_partitions=3), "C", start=start, ends=ends)
    expected = plain_curves(plain(rows, until, "C", start, ends))
    frame = found.to_frame()
    minutes = (frame["time"] / pd.Timedelta(minutes=1)).round().astype(int)
    assert sorted(expected) == [minute for minute in minutes if minute in expected]
    assert set(minutes) <= {0, *expected}
    for minute, row in zip(minutes, frame.to_dict("records"), strict=True):
        if minute in expected:
            at_risk, reached, ended, survival, incidence = expected[minute]
            assert (row["at_risk"], row["events"], row["ended"]) == (at_risk, reached, ended)
            assert row["survival"] == pytest.approx(survival, abs=1e-12)
            assert row["incidence"] == pytest.approx(incidence, abs=1e-12)


def test_the_curve_and_its_interval_equal_lifelines():
    from lifelines import KaplanMeierFitter

    rng = np.random.default_rng(3)
    waits = [
        (int(day), int(kind))
        for day, kind in zip(rng.integers(1, 60, 80), rng.integers(0, 2, 80), strict=True)
    ]
    frame = time_to(grouped(waits, []), "buy").to_frame()
    fit = KaplanMeierFitter().fit([day for day, _ in waits], [kind for _, kind in waits])
    np.testing.assert_allclose(frame["survival"], fit.survival_function_.iloc[:, 0], atol=1e-12)
    interval = fit.confidence_interval_survival_function_.to_numpy()
    np.testing.assert_allclose(frame[["low", "high"]], interval, atol=1e-12)
    np.testing.assert_allclose(frame["incidence"], 1 - frame["survival"], atol=1e-12)
    assert found_median(frame) == pd.Timedelta(days=fit.median_survival_time_)


def found_median(frame):
    return frame.loc[frame["survival"] <= 0.5 + 1e-12, "time"].iloc[0]


def test_the_truth_lies_inside_the_interval_in_at_least_93_of_100_simulated_logs():
    # Starts uniform over 90 days; 60 % get there, after a median of 7 days; the truth at 30 days is known.
    truth = 0.6 * (1 - 0.5 ** (30 / 7))
    rng = np.random.default_rng(5)
    n, inside = 300, 0
    for _ in range(1000):
        begin = rng.uniform(0, 90, n)
        wait = np.where(rng.random(n) < 0.6, rng.exponential(7 / np.log(2), n), np.inf)
        seen = 90 - begin
        kind = (wait <= seen).astype(int)
        waits = (np.minimum(wait, seen) * 1e6).astype(np.int64)
        low, high = at_horizon(waits, kind, 30_000_000)
        inside += low <= truth <= high
    assert inside >= 930


def at_horizon(duration, kind, horizon):
    from cjm_analytics.analysis.time_to import Curve
    from cjm_analytics.analysis.waits import Waits

    found = Curve.of(Waits.of(duration, kind), 0.95).at(horizon, 0.95)
    return found["low"], found["high"]


# ── arguments, partials, chart ────────────────────────────────────────────────────────────────────


def test_unknown_names_are_refused_with_a_hint():
    journeys = log([("a", 0, "ad")])
    with pytest.raises(UnknownNameError, match="Did you mean 'buy'"):
        time_to(journeys, "buyy")
    with pytest.raises(UnknownNameError):
        time_to(journeys, "buy", start="nothing")
    with pytest.raises(UnknownNameError, match="column"):
        time_to(journeys, "buy", by="nothing")
    with pytest.raises(InputError, match="empty list"):
        time_to(journeys, [])
    with pytest.raises(InputError, match="target itself"):
        time_to(journeys, "buy", ends=["quit", "buy"])
    with pytest.raises(InputError, match="no duration"):
        time_to(journeys, "buy").at("5")


def test_the_observation_end_is_that_of_the_sources_of_what_is_named():
    journeys = log([("a", 0, "ad"), ("a", 1, "buy")])
    sources = tuple(
        frozenset({"shop"} if name in {"ad", "buy"} else {"survey"}) for name in journeys.codebook.touchpoints
    )
    codebook = replace(journeys.codebook, sources=sources)
    journeys = replace(journeys, codebook=codebook, observation_ends={"shop": 50 * DAY, "survey": 2 * DAY})
    assert TimeToAnalysis.plan(journeys, "buy", start="ad").observed_until == 50 * DAY
    assert TimeToAnalysis.plan(journeys, "buy", start="look").observed_until == 2 * DAY


def test_a_label_that_looks_like_none_and_a_missing_one_are_one_group():
    frame = pd.DataFrame(
        {"customer": ["a", "b"], "time": [0.0, 0.0], "touchpoint": ["ad", "ad"], "plan": [None, "(none)"]}
    )
    found = time_to(journeys_of(frame, observed_until=5), "ad", by="plan").to_frame()
    assert found[["plan", "at_risk"]].to_numpy().tolist() == [["(none)", 2]]


def test_nothing_gives_missing_shares_and_a_chart_that_says_so():
    journeys = log([("a", 0, "look")])
    found = time_to(journeys, "buy", start="ad")
    assert found.to_frame()["at_risk"].tolist() == [0]
    assert found.to_frame()["incidence"].isna().all()
    assert found.median is pd.NaT
    assert any("No journey started" in one.text for one in found.plot().layout.annotations)


def test_the_chart_draws_the_curve_its_interval_and_the_numbers_at_risk():
    found = time_to(grouped(ONE * 2, OTHER * 2), "buy", by="plan")
    figure, frame = found.plot(), found.to_frame()
    lines = [trace for trace in figure.data if trace.name in {"fast", "slow"}]
    for line in lines:
        mine = frame[frame["plan"] == line.name]
        assert set(np.round(line.y, 12)) <= set(mine["incidence"].round(12))
    assert len([trace for trace in figure.data if trace.fill == "tonexty"]) == 2
    texts = [one.text for one in figure.layout.annotations]
    assert "At risk" in texts
    assert texts.count("12") >= 2
    assert figure.layout.title.text.startswith("<b>Time to buy")


def test_names_from_the_data_are_never_markup_in_the_chart():
    who = [f"c{number}" for number in range(10)]
    frame = pd.DataFrame({"customer": who, "time": 0.0, "touchpoint": "<b>x</b>", "plan": "<i>y"})
    figure = time_to(journeys_of(frame, observed_until=5), "<b>x</b>", by="plan").plot()
    assert "&lt;b&gt;x" in figure.layout.title.text
    assert all("<i>" not in (one.text or "") for one in figure.layout.annotations)
    assert any("&lt;i&gt;y" in (one.text or "") for one in figure.layout.annotations)


def test_groups_under_the_minimum_are_told_but_not_drawn():
    figure = time_to(grouped(ONE * 2, OTHER), "buy", by="plan").plot()
    assert "1 more group, smaller or under the minimum, is in the table" in figure.layout.title.text
    assert "slow" not in figure.to_json()


def test_groups_whose_names_are_cut_alike_have_names_of_their_own():
    names = ["a name that goes on and on and on: one", "a name that goes on and on and on: two"]
    figure = time_to(grouped(ONE * 2, OTHER * 2, names), "buy", by="plan").plot()
    drawn = [trace.name for trace in figure.data if trace.name]
    assert len(set(drawn)) == len(drawn) == 2
    assert [name[-3:] for name in drawn] == ["one", "two"]


def test_minutes_are_the_unit_of_a_short_axis():
    frame = pd.DataFrame({"customer": ["a", "a"], "time": [0, 25 * MINUTE], "touchpoint": ["x", "y"]})
    figure = time_to(journeys_of(frame, unit=1), "y").plot()
    assert figure.layout.xaxis.title.text.endswith("minutes")
