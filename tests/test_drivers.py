"""Drivers of conversion: literal tables, a plain loop over random journeys, SciPy and statsmodels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.drivers import drivers
from cjm_analytics.analysis.funnel import funnel
from cjm_analytics.columns import MemoryColumns
from cjm_analytics.durations import DAY
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.statistics import fisher_exact, odds_ratio, phi
from logs import journeys_of, random_rows

COUNTS = ["driver", "n_with", "success_with", "n_without", "success_without"]


def log(rows, *, until=100, **options):
    """Journeys of (customer, day, touchpoint), with a touchpoint of every name."""
    rows = [*rows, *(("z", 99, name) for name in ("A", "B", "x", "y"))]
    return journeys_of(rows, unit=DAY, observed_until=until, **options)


def counts(found):
    return sorted(tuple(row) for row in found.to_frame()[COUNTS].to_numpy().tolist())


def test_of_a_success_only_what_lies_strictly_between_the_first_and_the_last_step_counts():
    rows = [("a", 0, "x"), ("a", 1, "A"), ("a", 2, "y"), ("a", 3, "B"), ("a", 4, "x")]
    assert counts(drivers(log(rows), funnel=["A", "B"], within="10 days")) == [("y", 1, 1, 0, 0)]


def test_of_a_failure_what_lies_in_the_window_of_the_first_step_counts():
    rows = [("a", 0, "y"), ("a", 1, "A"), ("a", 11, "x"), ("a", 11.5, "y")]
    assert counts(drivers(log(rows), funnel=["A", "B"], within="10 days")) == [("x", 1, 0, 0, 0)]


def test_how_often_an_event_occurs_does_not_matter():
    rows = [("a", 0, "A"), ("a", 1, "x"), ("a", 2, "x"), ("b", 0, "A")]
    assert counts(drivers(log(rows), funnel=["A", "B"])) == [("x", 1, 0, 1, 0)]


def test_steps_are_no_drivers():
    rows = [("a", 0, "A"), ("a", 1, "A"), ("a", 2, "x"), ("a", 3, "B"), ("b", 0, "A"), ("b", 1, "x")]
    assert [row[0] for row in counts(drivers(log(rows), funnel=["A", "x", "B"]))] == []


def test_units_that_had_not_the_whole_window_are_left_out_and_counted():
    rows = [("a", 0, "A"), ("b", 95, "A"), ("b", 96, "x"), ("b", 97, "B"), ("c", 95, "A")]
    found = drivers(log(rows), funnel=["A", "B"], within="10 days")
    assert (found.successes, found.failures, found.open) == (0, 1, 3)
    every = drivers(log(rows), funnel=["A", "B"], within="10 days", settled=False)
    assert (every.successes, every.failures, every.open) == (2, 1, 1)


def test_a_finished_funnel_brings_its_window():
    rows = [("a", 0, "A"), ("a", 5, "x"), ("b", 0, "A"), ("b", 1, "x"), ("b", 2, "B")]
    journeys = log(rows)
    found = drivers(journeys, funnel=funnel(journeys, ["A", "B"], within="3 days"))
    assert counts(found) == [("x", 1, 1, 1, 0)]
    with pytest.raises(InputError, match="its window"):
        drivers(journeys, funnel=funnel(journeys, ["A", "B"]), within="3 days")


def test_without_a_funnel_success_is_the_goal_within_the_window_from_the_start():
    rows = [
        ("a", 0, "x"), ("a", 1, "B"), ("a", 2, "y"),
        ("b", 0, "A"), ("b", 20, "B"),
        ("c", 0, "y"), ("c", 12, "x"),
        ("d", 0, "B"),
    ]  # fmt: skip
    found = drivers(log(rows), goal="B", within="10 days")
    assert (found.successes, found.failures, found.open) == (2, 2, 1)
    assert counts(found) == [("A", 1, 0, 3, 2), ("x", 1, 1, 3, 1), ("y", 1, 0, 3, 2)]


def test_the_goal_of_the_journeys_is_the_default():
    rows = [("a", 0, "x"), ("a", 1, "B"), ("b", 0, "x")]
    named, default = drivers(log(rows), goal="B"), drivers(log(rows, goal="B"))
    assert counts(named) == counts(default) == [("x", 2, 1, 0, 0)]
    with pytest.raises(InputError, match="no goal"):
        drivers(log(rows))


def test_without_settling_an_explicit_end_makes_a_failure_and_an_open_journey_is_left_out():
    rows = [("a", 95, "x"), ("b", 95, "x"), ("c", 95, "x"), ("z", 1, "B")]
    journeys = journeys_of(rows, unit=DAY, observed_until=100)
    (partition,) = journeys.partitions
    cases = partition.cases.read(partition.cases.names)
    arrays = {name: cases.column(name).to_numpy() for name in cases.column_names}
    never = 2**63 - 1
    arrays |= {
        "closed": np.array([0, 1, 3, 0], np.int8),
        "closed_at": np.array([never, 96 * DAY, 96 * DAY, never]),
    }
    ended = replace(journeys, partitions=(replace(partition, cases=MemoryColumns.of(arrays)),))
    found = drivers(ended, goal="B", settled=False)
    assert (found.successes, found.failures, found.open) == (1, 1, 2)


def test_properties_are_taken_at_the_first_step():
    frame = pd.DataFrame(
        [
            ("a", 0, "A", "mobile"), ("a", 1, "B", "web"),
            ("b", 0, "A", None), ("b", 1, "x", "mobile"),
            ("z", 99, "A", "web"),
        ],
        columns=["customer", "time", "touchpoint", "device"],
    )  # fmt: skip
    found = drivers(journeys_of(frame, unit=DAY, observed_until=100), funnel=["A", "B"], properties="device")
    assert counts(found) == [
        ("device = (none)", 1, 0, 1, 1), ("device = mobile", 1, 1, 1, 0), ("x", 1, 0, 1, 1),
    ]  # fmt: skip
    assert set(found.to_frame()["kind"]) == {"event", "device"}


def test_in_sessions_only_events_of_the_session_count():
    frame = pd.DataFrame(
        [("a", 0, "A", 0), ("a", 1, "x", 1), ("a", 2, "y", 0), ("a", 3, "B", 0), ("z", 99, "A", 0)],
        columns=["customer", "time", "touchpoint", "session"],
    )
    journeys = journeys_of(frame, unit=DAY, observed_until=100)
    found = drivers(journeys, funnel=funnel(journeys, ["A", "B"], unit="session"))
    assert counts(found) == [("y", 1, 1, 0, 0)]


def many(with_success, with_failure, without_success, without_failure):
    rows = []
    for count, x, b in (
        (with_success, 1, 1), (with_failure, 1, 0), (without_success, 0, 1), (without_failure, 0, 0),
    ):  # fmt: skip
        for number in range(count):
            name = f"{x}{b}{number}"
            rows += [(name, 0, "A"), *[(name, 1, "x")] * x, *[(name, 2, "B")] * b]
    return drivers(log(rows), funnel=["A", "B"])


def test_the_numbers_of_a_row_are_those_of_its_table():
    row = many(30, 20, 10, 60).to_frame().iloc[0]
    assert row[["driver", "n_with", "conversion_with", "n_without"]].tolist() == ["x", 50, 0.6, 70]
    assert row["odds_ratio"] == pytest.approx(31 * 61 / (21 * 11))
    error = np.sqrt(1 / 31 + 1 / 21 + 1 / 11 + 1 / 61)
    assert row["low"] == pytest.approx(row["odds_ratio"] * np.exp(-1.959964 * error))
    assert row["high"] == pytest.approx(row["odds_ratio"] * np.exp(1.959964 * error))
    assert row["phi"] == pytest.approx((30 * 60 - 20 * 10) / np.sqrt(50 * 70 * 40 * 80))
    assert row["association"] == "success"
    assert row["reliability"] == "ok"
    assert many(10, 60, 30, 20).to_frame().iloc[0]["association"] == "failure"
    assert many(10, 10, 10, 11).to_frame().iloc[0]["association"] == "no clear association"


def test_fisher_phi_and_the_odds_ratio_equal_scipy_and_statsmodels():
    from scipy.stats import fisher_exact as exact
    from statsmodels.stats.contingency_tables import Table2x2

    rng = np.random.default_rng(2)
    for a, b, c, d in rng.integers(0, 40, (50, 4)).tolist():
        counts_of = (a, a + b, c, c + d)
        table = np.array([[a, b], [c, d]])
        assert float(fisher_exact(*counts_of)) == pytest.approx(exact(table).pvalue)
        theirs = Table2x2(table + 1)
        mine = odds_ratio(*counts_of)
        assert float(mine.value) == pytest.approx(theirs.oddsratio)
        assert (float(mine.low), float(mine.high)) == pytest.approx(theirs.oddsratio_confint())
        outcomes = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [a, b, c, d], axis=0)
        if len(outcomes) and outcomes.std(axis=0).all():
            assert float(phi(*counts_of)) == pytest.approx(np.corrcoef(outcomes.T)[0, 1])


def test_what_all_units_have_is_not_tested():
    found = many(20, 20, 0, 0).to_frame().iloc[0]
    assert found[["odds_ratio", "low", "high", "p_value", "q_value", "phi"]].isna().all()
    assert found["tests"] == 0


def test_groups_beyond_ten_to_one_are_called_skewed():
    assert not many(1, 5, 1, 15).skewed
    found = many(1, 5, 1, 16)
    assert found.skewed
    assert "more than 10 to 1" in found._repr_html_()
    assert "more than 10 to 1" in found.plot().layout.title.text


def test_no_word_speaks_of_a_cause():
    found = many(30, 20, 10, 60)
    text = found._repr_html_() + str(found.plot().to_dict())
    assert "associated with" in text
    assert "cause" not in text.replace("which is not to say that it causes it", "")


def plain(rows, until, window):
    """Counts by touchpoint of journeys from A to B, for starts that had the whole window."""
    table, totals = {}, [0, 0]
    for _, journey in rows.groupby(["customer", "journey"]):
        events = list(zip(journey["time"], journey["touchpoint"], strict=True))
        starts = [place for place, (_, name) in enumerate(events) if name == "A"]
        if not starts or until - events[starts[0]][0] < window:
            continue
        # The latest start before the earliest end that closes a run in time.
        ends = [
            (end, max(start for start in starts if start < end))
            for end, (time, name) in enumerate(events)
            if name == "B" and any(s < end and time - events[s][0] <= window for s in starts)
        ]
        success = bool(ends)
        if success:
            end, start = ends[0]
            between = events[start + 1 : end]
        else:
            start = starts[0]
            between = [one for one in events[start + 1 :] if one[0] <= events[start][0] + window]
        totals[success] += 1
        for name in {name for _, name in between} - {"A", "B"}:
            table.setdefault(name, [0, 0])[success] += 1
    return table, totals


@pytest.mark.parametrize("seed", range(80))
def test_random_journeys_equal_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=25, n_events=150, alphabet="ABCDE")
    until, window = 190, int(rng.integers(10, 60))
    journeys = journeys_of(rows[rows["time"] <= until], observed_until=until, n_partitions=3)
    found = drivers(journeys, funnel=["A", "B"], within=f"{window} minutes")
    table, (failures, successes) = plain(rows[rows["time"] <= until], until, window)
    assert (found.failures, found.successes) == (failures, successes)
    assert counts(found) == [
        (name, sum(have), have[1], failures + successes - sum(have), successes - have[1])
        for name, have in sorted(table.items())
    ]


def test_wrong_arguments_are_refused():
    journeys = log([("a", 0, "A")])
    for wrong, error in (
        ({"of": "satisfaction", "goal": "B"}, "conversion"),
        ({"goal": "Bee"}, "goal"),
        ({"funnel": ["A", "Q"]}, "touchpoint"),
        ({"funnel": ["A", "B"], "goal": "B"}, "not both"),
        ({"goal": "B", "properties": "nothing"}, "column"),
        ({"goal": "B", "within": "0 days"}, "longer than nothing"),
        ({"funnel": funnel(journeys, ["A", "B"], within=None)}, "without a window"),
    ):
        with pytest.raises((InputError, UnknownNameError), match=error):
            drivers(journeys, **wrong)


def test_the_chart_draws_every_row_of_enough_units():
    figure = many(30, 20, 10, 60).plot()
    (mark,) = [trace for trace in figure.data if len(trace.x)]
    assert mark.name == "more success with it"
    assert list(mark.x) == [pytest.approx(31 * 61 / (21 * 11))]
    assert figure.layout.xaxis.type == "log"
    texts = [one.text for one in figure.layout.annotations]
    assert "50" in texts
    assert not [one for trace in many(3, 2, 1, 6).plot().data for one in trace.x]
