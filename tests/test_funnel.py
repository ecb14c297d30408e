"""Funnels: every mode against a plain oracle on thousands of random logs, then literal tables."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.funnel import FunnelAnalysis, funnel, step
from cjm_analytics.errors import InputError, UnknownNameError
from logs import MINUTE, journeys_of
from oracles import funnel as oracle

ALPHABET = "ABCDX"
END = 33
FUNNELS = (
    ["A", "B"],
    ["A", "B", "C"],
    ["A", "A", "B"],
    ["A", ["A", "B"], "B", "C"],
    [["A", "D"], "B", "D", "C"],
)


@cache
def random_logs(seed, *, n_logs=150, span=30, longest=9):
    """Rows of many customers, each a small log with ties; and per customer its (time, name) events."""
    rng = np.random.default_rng(seed)
    logs = {}
    for number in range(n_logs):
        size = rng.integers(1, longest + 1)
        times = np.sort(rng.integers(0, span, size))
        logs[f"c{number:03}"] = [(int(time), str(rng.choice(list(ALPHABET)))) for time in times]
    rows = [(customer, time, name) for customer, log in logs.items() for time, name in log]
    return journeys_of(rows, observed_until=END), logs


def as_events(log, steps, exclude=()):
    wanted = [{one} if isinstance(one, str) else set(one) for one in steps]
    excluded = [name for name, *_ in exclude]
    return [
        (
            time,
            {number for number, names in enumerate(wanted) if name in names},
            {number for number, one in enumerate(excluded) if name == one},
        )
        for time, name in log
    ]


def check(journeys, logs, analysis, expect, *, rows=True):
    """Every unit of the analysis is as the oracle expects it."""
    (partition,) = journeys.partitions
    counted = analysis.count(partition)
    found = counted.found
    time = partition.event("time")
    got = {}
    for place, owner in enumerate(counted.owner):
        got.setdefault(int(owner), []).append(place)
    first_row = partition.offsets[:-1]
    assert len(logs) == partition.n_journeys
    for number, log in enumerate(logs.values()):
        expected = expect(log)
        expected = [] if expected is None else expected if isinstance(expected, list) else [expected]
        places = sorted(got.get(number, []), key=lambda place: int(counted.first[place]))
        assert len(places) == len(expected), log
        for place, one in zip(places, expected, strict=True):
            n_steps = len(analysis.steps)
            complete = one.depth == n_steps
            actual = (
                int(found.depth[place]),
                (found.lag[place, 1 : found.depth[place]] // MINUTE).tolist(),
                int(found.started[place]) // MINUTE,
                bool(counted.going[place]),
                bool(counted.settled[place]),
            )
            settled = END * MINUTE - one.started * MINUTE >= analysis.total
            assert actual == (one.depth, one.lags[1:], one.started, one.going and not complete, settled), log
            if rows:
                ends = [
                    int(counted.first[place] - first_row[number]),
                    int(counted.last[place] - first_row[number]),
                ]
                assert ends == [one.first, one.last], log
            else:
                ends = [int(time[counted.first[place]]) // MINUTE, int(time[counted.last[place]]) // MINUTE]
                assert ends == [one.first, one.last], log
            assert int(found.void[place]) == one.void, log
            if isinstance(analysis.by_at, int):
                at = int(found.served[place])
                expected_at = one.rows[analysis.by_at - 1] if one.depth >= analysis.by_at else None
                if rows:
                    actual_at = at - first_row[number] if at >= 0 else None
                else:
                    actual_at = int(time[at]) // MINUTE if at >= 0 else None
                assert actual_at == expected_at, log


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [4, 10, 60])
@pytest.mark.parametrize("start", ["any", "first"])
def test_ordered_funnels_are_as_defined(steps, within, start):
    journeys, logs = random_logs(within)
    analysis = FunnelAnalysis.plan(journeys, steps, within=f"{within} min", start=start)
    check(
        journeys, logs, analysis,
        lambda log: oracle.ordered(
            as_events(log, steps), len(steps), within, END, first_only=start == "first"
        ),
    )  # fmt: skip


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [4, 60])
@pytest.mark.parametrize("start", ["any", "first"])
def test_steps_that_more_than_the_touchpoint_decides_are_as_defined(steps, within, start):
    journeys, logs = random_logs(within)
    every = {"event": list(journeys.codebook.touchpoints)}
    written = [step(one, where=every) for one in steps]
    analysis = FunnelAnalysis.plan(journeys, written, within=f"{within} min", start=start)
    check(
        journeys, logs, analysis,
        lambda log: oracle.ordered(
            as_events(log, steps), len(steps), within, END, first_only=start == "first"
        ),
    )  # fmt: skip


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [4, 10, 60])
@pytest.mark.parametrize("start", ["any", "first"])
def test_simultaneous_events_count_in_either_order_if_asked(steps, within, start):
    journeys, logs = random_logs(within + 1, span=9, longest=7)
    analysis = FunnelAnalysis.plan(journeys, steps, within=f"{within} min", start=start, ties="any")
    check(
        journeys, logs, analysis,
        lambda log: oracle.ordered_instants(
            as_events(log, steps), len(steps), within, END, first_only=start == "first"
        ),
        rows=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "exclude", [[("X", 1, 2)], [("X", 2, 3)], [("X", 1, 3)], [("X", 1, 2), ("D", 2, 3)]], ids=str
)
@pytest.mark.parametrize("start", ["any", "first"])
@pytest.mark.parametrize("ties", ["order", "any"])
def test_an_excluded_event_makes_a_run_void(exclude, start, ties):
    journeys, logs = random_logs(
        5, n_logs=400, span=18 if ties == "order" else 8, longest=9 if ties == "order" else 7
    )
    steps, within = ["A", "B", "C"], 12
    expect = oracle.ordered if ties == "order" else oracle.ordered_instants
    analysis = FunnelAnalysis.plan(
        journeys, steps, within=f"{within} min", start=start, exclude=exclude, ties=ties
    )
    ranges = [(low, high) for _, low, high in exclude]
    check(
        journeys, logs, analysis,
        lambda log: expect(
            as_events(log, steps, exclude), 3, within, END, exclusions=ranges, first_only=start == "first"
        ),
        rows=ties == "order",
    )  # fmt: skip


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [4, 10])
@pytest.mark.parametrize("exclude", [[], [("X", 1, 2)]], ids=str)
def test_attempts_are_runs_that_were_not_overtaken(steps, within, exclude):
    journeys, logs = random_logs(within + 2)
    analysis = FunnelAnalysis.plan(journeys, steps, within=f"{within} min", unit="attempt", exclude=exclude)
    check(
        journeys, logs, analysis,
        lambda log: oracle.attempts(
            as_events(log, steps, exclude), len(steps), within, END, exclusions=[one[1:] for one in exclude]
        ),
    )  # fmt: skip


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("window", [1, 5, 20])
def test_a_list_of_windows_counts_from_the_step_before(steps, window):
    journeys, logs = random_logs(window + 3)
    windows = [0, *(window + number for number in range(len(steps) - 1))]
    analysis = FunnelAnalysis.plan(journeys, steps, within=[f"{one} min" for one in windows[1:]])
    check(
        journeys, logs, analysis,
        lambda log: oracle.stepwise(as_events(log, steps), len(steps), windows, END),
    )  # fmt: skip


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("window", [1, 4])
def test_a_list_of_windows_goes_with_ties_in_either_order(steps, window):
    journeys, logs = random_logs(window, span=8, longest=7)
    windows = [0, *(window + number for number in range(len(steps) - 1))]
    analysis = FunnelAnalysis.plan(journeys, steps, within=[f"{one} min" for one in windows[1:]], ties="any")
    depths = [
        oracle.furthest_stepwise(as_events(log, steps), len(steps), windows, ties=True)
        for log in logs.values()
    ]
    counted = analysis.count(journeys.partitions[0])
    found = np.zeros(len(logs), int)
    found[counted.owner] = counted.found.depth
    assert found.tolist() == depths


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [1, 3, 60])
@pytest.mark.parametrize("start", ["any", "first"])
@pytest.mark.parametrize("stepwise", [False, True])
def test_strict_funnels_allow_nothing_between(steps, within, start, stepwise):
    journeys, logs = random_logs(within + 4)
    windows = [0, *[within] * (len(steps) - 1)]
    analysis = FunnelAnalysis.plan(
        journeys, steps, order="strict", start=start,
        within=[f"{one} min" for one in windows[1:]] if stepwise else f"{within} min",
    )  # fmt: skip
    check(
        journeys, logs, analysis,
        lambda log: oracle.strict(
            as_events(log, steps), len(steps), windows, END, stepwise=stepwise, first_only=start == "first"
        ),
    )  # fmt: skip


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [3, 10, 60])
@pytest.mark.parametrize("start", ["any", "first"])
@pytest.mark.parametrize("exclude", [[], ["X"]], ids=str)
def test_funnels_in_any_order_count_the_steps_of_a_window(steps, within, start, exclude):
    journeys, logs = random_logs(within + 5, longest=7)
    analysis = FunnelAnalysis.plan(
        journeys, steps, order="any", within=f"{within} min", start=start, exclude=exclude
    )
    check(
        journeys, logs, analysis,
        lambda log: oracle.any_order(
            as_events(log, steps, [(name,) for name in exclude]), len(steps), within, END,
            first_only=start == "first", excludes=bool(exclude),
        ),
    )  # fmt: skip


def frame_of(rows, steps, *, observed_until=None, unit_of_time=MINUTE, **rules):
    return funnel(
        journeys_of(rows, observed_until=observed_until, unit=unit_of_time), steps, **rules
    ).to_frame()


def reached(rows, steps, **rules):
    return frame_of(rows, steps, **rules)["reached"].tolist()


def one(names, gap=1):
    """The log of one customer, an event a minute."""
    return [("c", number * gap, name) for number, name in enumerate(names)]


DAY = 24 * 60
ANYTHING_ELSE = step(where={"event": {"ne": "A"}}, label="else")


def test_any_visit_to_the_first_step_may_be_the_start():
    frame = frame_of([("c", 0, "A"), ("c", 5 * DAY, "A"), ("c", 8 * DAY, "B")], ["A", "B"], within="7 days")
    assert frame["reached"].tolist() == [1, 1]
    assert frame["median_time"][1] == pd.Timedelta(days=3)


def test_only_the_first_visit_may_be_the_start_if_asked():
    rows = [("c", 0, "A"), ("c", 5 * DAY, "A"), ("c", 8 * DAY, "B")]
    assert reached(rows, ["A", "B"], within="7 days", start="first") == [1, 0]


def test_a_step_at_the_window_edge_still_counts_and_a_moment_later_does_not():
    assert reached([("c", 0, "A"), ("c", 60, "B")], ["A", "B"], within="60 min") == [1, 1]
    assert reached([("c", 0, "A"), ("c", 61, "B")], ["A", "B"], within="60 min") == [1, 0]


def test_the_window_runs_from_the_first_step_and_a_list_from_the_step_before():
    rows = [("c", 0, "A"), ("c", 50, "B"), ("c", 100, "C")]
    assert reached(rows, ["A", "B", "C"], within="60 min") == [1, 1, 0]
    assert reached(rows, ["A", "B", "C"], within=["60 min", "60 min"]) == [1, 1, 1]


def test_the_frame_tells_dropped_from_open_and_both_from_reached():
    rows = [
        ("through", 0, "A"), ("through", 5, "B"), ("through", 9, "C"),
        ("dropped", 10, "A"), ("dropped", 12, "B"),
        ("open", 95, "A"), ("open", 99, "B"),
        ("edge", 70, "A"),
        ("late", 71, "A"),
        ("never", 3, "B"),
    ]  # fmt: skip
    frame = frame_of(rows, ["A", "B", "C"], within="30 min", observed_until=100)
    expected = pd.DataFrame(
        {
            "step": ["A", "B", "C"],
            "reached": [5, 3, 1],
            "dropped": [1, 1, 0],
            "open": [1, 1, 0],
            "step_conversion": [1, 3 / 5, 1 / 3],
            "conversion": [1, 3 / 5, 1 / 5],
            "settled_conversion": [1, 2 / 3, 1 / 3],
            "low": [0.438503, 0.207660, 0.061492],
            "high": [1, 0.938508, 0.792340],
            "median_time": pd.to_timedelta([None, 4, 4], unit="min"),
            "p90_time": pd.to_timedelta([None, 4.8, 4], unit="min"),
            "before": [5, 5, 3],
            "started": [5, 5, 5],
            "settled": [3, 3, 3],
            "reliability": ["hidden"] * 3,
        }
    )
    pd.testing.assert_frame_equal(frame, expected, check_exact=False, atol=1e-6, check_dtype=False)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", ["ordered", "strict", "any"])
def test_who_reached_a_step_reached_the_next_or_dropped_or_is_open(seed, order):
    journeys, _ = random_logs(seed)
    frame = funnel(journeys, ["A", "B", "C"], within="8 min", order=order).to_frame()
    following = frame["reached"].shift(-1, fill_value=frame["reached"].iloc[-1])
    assert (frame["reached"] == frame["dropped"] + frame["open"] + following).all()


def test_a_run_in_a_closed_journey_is_not_open():
    rows = pd.DataFrame(
        {"customer": ["a", "b"], "time": [90, 90], "touchpoint": ["A", "A"], "closed": [0, 1]}
    )
    frame = frame_of(rows, ["A", ANYTHING_ELSE], within="30 min", observed_until=100)
    assert frame["open"].tolist() == [1, 0]
    assert frame["dropped"].tolist() == [1, 0]


def test_a_session_that_the_next_one_followed_is_not_open():
    rows = pd.DataFrame(
        {"customer": ["a", "a"], "time": [90, 95], "touchpoint": ["A", "A"], "session": [0, 1]}
    )
    frame = frame_of(rows, ["A", ANYTHING_ELSE], within="30 min", observed_until=100, unit="session")
    assert frame["reached"].tolist() == [2, 0]
    assert frame["open"].tolist() == [1, 0]


def test_a_repeated_step_needs_another_event():
    assert reached(one("AB"), ["A", "A", "B"]) == [1, 0, 0]
    assert reached(one("AAB"), ["A", "A", "B"]) == [1, 1, 1]


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("rules", [{}, {"ties": "any"}, {"start": "first"}], ids=str)
def test_without_a_window_a_unit_may_take_as_long_as_it_likes(steps, rules):
    journeys, logs = random_logs(31, n_logs=300, span=8, longest=7)
    analysis = FunnelAnalysis.plan(journeys, steps, within=None, **rules)
    expect = oracle.ordered_instants if "ties" in rules else oracle.ordered
    check(
        journeys, logs, analysis,
        lambda log: expect(
            as_events(log, steps), len(steps), 10**6, END, first_only=rules.get("start") == "first"
        ),
        rows="ties" not in rules,
    )  # fmt: skip


def test_without_a_window_those_who_stopped_are_open_and_nothing_is_settled():
    rows = [*one("AB", gap=10_000 * DAY), ("d", 0, "A"), ("e", 0, "A"), ("e", 1, "X")]
    rows = pd.DataFrame(rows, columns=["customer", "time", "touchpoint"])
    rows["closed"] = np.where(rows["customer"] == "d", 1, 0)
    answer = funnel(journeys_of(rows), ["A", "B"], within=None, exclude=["X"])
    frame = answer.to_frame()
    assert frame["reached"].tolist() == [3, 1]
    assert frame["dropped"].tolist() == [2, 0]
    assert frame["open"].tolist() == [0, 0]
    assert frame["settled"].tolist() == [0, 0]
    assert frame[["settled_conversion", "low", "high"]].isna().all(axis=None)
    assert np.isnan(answer.settled_conversion)
    assert funnel(journeys_of(rows), ["A", "B"], within=None).to_frame()["open"].tolist() == [1, 0]


@pytest.mark.parametrize("order", ["strict", "any"])
def test_every_order_goes_without_a_window(order):
    journeys, _ = random_logs(32)
    unbounded = funnel(journeys, ["A", "B", "C"], within=None, order=order).to_frame()
    long = funnel(journeys, ["A", "B", "C"], within="9000 days", order=order).to_frame()
    pd.testing.assert_frame_equal(unbounded, long)


def test_a_funnel_without_a_window_says_so():
    answer = funnel(journeys_of(one("AB")), ["A", "B"], within=None, by="channel")
    assert "steps without a window" in answer.plot().layout.title.text
    assert "without a window no conversion is settled" in answer._repr_html_()
    with pytest.raises(InputError, match="needs a window"):
        answer.compare()


def test_steps_of_one_name_have_labels_of_their_own():
    assert frame_of(one("AAB"), ["A", "A", "B"])["step"].tolist() == ["A", "A (2)", "B"]


def test_a_list_is_any_of_these():
    frame = frame_of(one("ACD"), ["A", ["C", "D"]])
    assert frame["step"].tolist() == ["A", "C or D"]
    assert frame["reached"].tolist() == [1, 1]


def test_units_are_journeys_customers_or_sessions():
    rows = pd.DataFrame(
        {
            "customer": ["a"] * 4,
            "time": [0, 1, 2, 3],
            "touchpoint": ["A", "B", "A", "B"],
            "journey": [0, 0, 0, 1],
            "session": [0, 1, 1, 1],
        }
    )
    assert reached(rows, ["A", "B"]) == [1, 1]
    assert reached(rows, ["A", "B", "A", "B"]) == [1, 1, 1, 0]
    assert reached(rows, ["A", "B", "A", "B"], unit="customer") == [1, 1, 1, 1]
    assert reached(rows, ["A", "B"], unit="session") == [2, 1]


def test_strict_order_allows_nothing_between():
    assert reached(one("AXB"), ["A", "B"], order="strict") == [1, 0]
    assert reached(one("AXAB"), ["A", "B"], order="strict") == [1, 1]


def test_any_order_counts_steps_whichever():
    frame = frame_of([*one("CXA"), ("d", 0, "B")], ["A", "B", "C"], order="any")
    assert frame["reached"].tolist() == [2, 1, 0]
    assert frame["median_time"][1] == pd.Timedelta(minutes=2)


def test_in_any_order_an_excluded_event_makes_the_steps_before_it_forgotten():
    assert reached(one("AXB"), ["A", "B"], order="any", exclude=["X"]) == [1, 0]
    assert reached(one("ABX"), ["A", "B"], order="any", exclude=["X"]) == [1, 1]


def test_an_exclusion_stops_a_unit_or_removes_it():
    rows = [*one("ABXC"), ("d", 0, "A"), ("d", 1, "B"), ("d", 2, "C")]
    assert reached(rows, ["A", "B", "C"], exclude=[("X", 2, 3)]) == [2, 2, 1]
    assert reached(rows, ["A", "B", "C"], exclude=[("X", 2, 3)], exclude_mode="remove") == [1, 1, 1]
    assert reached(rows, ["A", "B", "C"], exclude=[("X", 1, 2)], exclude_mode="remove") == [2, 2, 2]


def test_removal_spares_a_unit_that_got_there_in_another_run():
    rows = one("AXAB")
    assert reached(rows, ["A", "B"], exclude=["X"], exclude_mode="remove") == [1, 1]


def with_column(names, values, column="plan"):
    return pd.DataFrame(
        {"customer": "c", "time": range(len(names)), "touchpoint": list(names), column: values}
    )


def test_where_adds_conditions_to_a_step():
    rows = with_column("AAB", ["x", "y", "x"])
    assert reached(rows, [step("A", where={"plan": "y"}), step("B", where={"plan": "y"})]) == [1, 0]
    assert reached(rows, [step("A", where={"plan": "y"}), "B"]) == [1, 1]
    assert reached(rows, ["A", step(where={"plan": "y"}), step(where={"plan": "x"})]) == [1, 1, 1]


def test_a_step_with_conditions_is_labelled_by_them_or_as_asked():
    rows = with_column("AB", ["x", "y"])
    labels = frame_of(rows, [step("A", where={"plan": "x"}), step("B", label="done")])["step"]
    assert labels.tolist() == ["A (plan = 'x')", "done"]


def test_alternatives_may_have_conditions_of_their_own():
    rows = with_column("ABC", ["x", "y", "z"])
    assert reached(rows, ["A", [step("B", where={"plan": "x"}), step("C", where={"plan": "z"})]]) == [1, 1]
    assert reached(rows, ["A", [step("B", where={"plan": "x"}), step("C", where={"plan": "x"})]]) == [1, 0]


def test_a_step_may_be_a_marker_of_the_model():
    journeys = journeys_of(one("AB"), goal="B")
    assert funnel(journeys, ["A", "goal"]).to_frame()["reached"].tolist() == [1, 1]


def test_first_ever_is_the_customers_first_such_event():
    rows = pd.DataFrame(
        {"customer": "c", "time": range(4), "touchpoint": list("ABAB"), "journey": [0, 0, 1, 1]}
    )
    assert reached(rows, ["A", "B"]) == [2, 2]
    assert reached(rows, [step("A", first_ever=True), "B"]) == [1, 1]


def test_an_optional_step_may_be_skipped_and_has_its_own_row():
    rows = [*one("ABC"), ("d", 0, "A"), ("d", 1, "C"), ("e", 0, "A"), ("e", 1, "C"), ("e", 2, "B")]
    frame = frame_of(rows, ["A", step("B", optional=True), "C"], observed_until=10 * DAY, within="1 day")
    assert frame["reached"].tolist() == [3, 1, 3]
    assert frame["dropped"].tolist() == [0, 0, 0]
    assert frame["step_conversion"].tolist() == [1, pytest.approx(1 / 3), 1]
    assert frame["before"].tolist() == [3, 3, 3]
    assert frame["median_time"].tolist()[1:] == [pd.Timedelta(minutes=1), pd.Timedelta(minutes=1)]


def test_an_event_that_fits_a_later_required_step_serves_that_one_first():
    steps = ["A", step(["X", "C"], optional=True), "C"]
    assert reached([*one("AC"), ("d", 0, "X")], steps) == [1, 0, 1]
    assert reached(one("AXC"), steps) == [1, 1, 1]


def test_optional_steps_in_a_row_are_done_in_order():
    steps = ["A", step("B", optional=True), step("C", optional=True), "D"]
    assert reached(one("ACBD"), steps) == [1, 0, 1, 1]
    assert reached(one("ABCD"), steps) == [1, 1, 1, 1]


def test_an_optional_last_step_is_not_needed_to_get_through():
    frame = frame_of([*one("ABC"), ("d", 0, "A"), ("d", 1, "B")], ["A", "B", step("C", optional=True)])
    assert frame["reached"].tolist() == [2, 2, 1]
    assert frame["open"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(4))
def test_optional_steps_do_not_change_the_required_ones(seed):
    journeys, logs = random_logs(seed)
    steps = ["A", step("B", optional=True), step("D", optional=True), "C", step("X", optional=True), "B"]
    with_optional = funnel(journeys, steps, within="15 min").to_frame()
    without = funnel(journeys, ["A", "C", "B"], within="15 min").to_frame()
    pd.testing.assert_frame_equal(
        with_optional.iloc[[0, 3, 5], 1:].reset_index(drop=True), without.iloc[:, 1:]
    )
    assert with_optional["reached"].tolist() == [
        sum(did[number] for did in (oracle.with_optional(log, steps, 15) for log in logs.values()))
        for number in range(len(steps))
    ]


def test_a_hold_keeps_the_values_apart():
    rows = with_column("ABAB", ["o1", "o2", "o3", "o3"], "order_id")
    assert reached(rows, ["A", "B"]) == [1, 1]
    assert reached(rows, ["A", "B"], hold="order_id") == [2, 1]


def test_events_without_a_value_to_hold_count_for_nothing():
    rows = with_column("AAB", ["o1", None, "o1"], "order_id")
    assert reached(rows, ["A", "B"], hold="order_id") == [1, 1]
    assert reached(rows, ["A", "A", "B"], hold="order_id") == [1, 0, 0]


def test_groups_come_by_size_then_name_with_the_value_at_the_start():
    rows = pd.DataFrame(
        {
            "customer": ["a", "a", "b", "c", "c", "d"],
            "time": range(6),
            "touchpoint": ["A", "B", "A", "A", "B", "A"],
            "plan": ["x", "y", "y", None, "x", "y"],
        }
    )
    frame = frame_of(rows, ["A", "B"], by="plan")
    assert list(frame)[:3] == ["plan", "step", "reached"]
    assert frame["plan"].tolist() == ["y", "y", "(none)", "(none)", "x", "x"]
    assert frame["reached"].tolist() == [2, 0, 1, 1, 1, 1]


def test_the_value_may_be_taken_at_the_furthest_or_at_every_step():
    rows = with_column("AABB", ["x", "y", "x", "z"])
    first = frame_of(rows, ["A", "B"], by="plan")
    assert (first["plan"].tolist(), first["reached"].tolist()) == (["y", "y"], [1, 1])
    last = frame_of(rows, ["A", "B"], by="plan", by_at="last")
    assert (last["plan"].tolist(), last["reached"].tolist()) == (["x", "x"], [1, 1])
    every = frame_of(rows, ["A", "B"], by="plan", by_at="every")
    assert (every["plan"].tolist(), every["reached"].tolist()) == (["x", "x", "y", "y"], [1, 1, 1, 0])


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("by_at", [2, 3])
@pytest.mark.parametrize("mode", ["ordered", "attempt", "ties", "stepwise", "strict", "any"])
def test_the_event_of_each_step_is_known_in_every_mode(steps, by_at, mode):
    if by_at > len(steps):
        steps = [*steps, "D"]
    n, within = len(steps), 10
    journeys, logs = random_logs(40 + by_at, span=18, longest=7)
    rules = {
        "attempt": {"unit": "attempt"},
        "ties": {"ties": "any"},
        "strict": {"order": "strict"},
        "any": {"order": "any"},
        "stepwise": {"within": [f"{within} min"] * (n - 1)},
    }.get(mode, {})
    rules = {"within": f"{within} min", **rules}
    analysis = FunnelAnalysis.plan(journeys, steps, by="channel", by_at=by_at, **rules)
    windows = [0, *[within] * (n - 1)]
    expect = {
        "ordered": lambda events: oracle.ordered(events, n, within, END),
        "attempt": lambda events: oracle.attempts(events, n, within, END),
        "ties": lambda events: oracle.ordered_instants(events, n, within, END),
        "stepwise": lambda events: oracle.stepwise(events, n, windows, END),
        "strict": lambda events: oracle.strict(events, n, windows, END),
        "any": lambda events: oracle.any_order(events, n, within, END),
    }[mode]
    check(journeys, logs, analysis, lambda log: expect(as_events(log, steps)), rows=mode != "ties")


def test_the_value_may_be_taken_at_a_step_and_is_none_where_that_was_not_reached():
    rows = with_column("AABBC", ["x", "y", "v", "z", None])
    rows = pd.concat([rows, rows.iloc[:2].assign(customer="d")])
    at = {
        number: frame_of(rows, ["A", "B", "C"], by="plan", by_at=number)[["plan", "reached"]]
        .to_numpy()
        .tolist()
        for number in (1, 2, 3)
    }
    assert at[1] == [["x", 1], ["x", 0], ["x", 0], ["y", 1], ["y", 1], ["y", 1]]
    assert at[2] == [["(none)", 1], ["(none)", 0], ["(none)", 0], ["v", 1], ["v", 1], ["v", 1]]
    assert at[3] == [["(none)", 2], ["(none)", 1], ["(none)", 1]]


def test_the_step_whose_value_counts_is_that_of_the_run_with_optional_steps_between():
    rows = with_column("AXB", ["x", "y", "z"])
    frame = frame_of(rows, ["A", step("X", optional=True), "B"], by="plan", by_at=3)
    assert frame["plan"].unique().tolist() == ["z"]


def by_two():
    rows = [
        ("a", 0, "A", "phone", "web"), ("a", 1, "B", "tablet", "app"),
        ("b", 0, "A", "phone", "web"),
        ("c", 0, "A", "phone", "app"), ("c", 1, "B", "phone", "app"),
        ("d", 0, "A", None, "app"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "device", "channel"])


def test_several_columns_make_a_group_of_each_combination():
    frame = frame_of(by_two(), ["A", "B"], by=["device", "channel"])
    assert list(frame)[:4] == ["device", "channel", "step", "reached"]
    assert frame.iloc[:, [0, 1, 3]].to_numpy().tolist() == [
        ["phone", "web", 2], ["phone", "web", 1],
        ["(none)", "app", 1], ["(none)", "app", 0],
        ["phone", "app", 1], ["phone", "app", 1],
    ]  # fmt: skip


def test_several_columns_may_be_taken_at_a_later_step():
    frame = frame_of(by_two(), ["A", "B"], by=["channel", "device"], by_at=2)
    assert frame.iloc[::2, [0, 1, 3]].to_numpy().tolist() == [
        ["(none)", "(none)", 2], ["app", "phone", 1], ["app", "tablet", 1],
    ]  # fmt: skip


@pytest.mark.parametrize("by_at", ["first", "last", "every", 2])
@pytest.mark.parametrize("seed", range(5))
def test_groups_of_two_columns_are_those_of_the_pairs_as_one_column(by_at, seed):
    rng = np.random.default_rng(seed)
    n = 200
    rows = pd.DataFrame(
        {
            "customer": rng.integers(0, 30, n),
            "time": np.arange(n),
            "touchpoint": rng.choice(list("ABC"), n),
            "one": rng.choice(["x", "y", "z"], n),
            "two": rng.choice(["u", "v"], n),
        }
    )
    rows["pair"] = rows["one"] + "/" + rows["two"]
    journeys = journeys_of(rows)
    rules = {"within": "90 min", "by_at": by_at}
    pairs = funnel(journeys, ["A", "B", "C"], by=["one", "two"], **rules).to_frame()
    single = funnel(journeys, ["A", "B", "C"], by="pair", **rules).to_frame()
    names = pairs.pop("one") + "/" + pairs.pop("two")
    pairs.insert(0, "pair", names.replace("(none)/(none)", "(none)"))
    keys = ["pair", "step"]
    pd.testing.assert_frame_equal(
        pairs.sort_values(keys, ignore_index=True), single.sort_values(keys, ignore_index=True)
    )


@pytest.mark.parametrize("by_at", ["first", "every", 2])
def test_groups_are_the_same_where_combinations_are_very_many(by_at, monkeypatch):
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(
        {
            "customer": rng.integers(0, 30, 200),
            "time": np.arange(200),
            "touchpoint": rng.choice(list("AB"), 200),
            **{name: rng.choice(["x", "y", None], 200) for name in ("one", "two", "three")},
        }
    )
    asked = {"by": ["one", "two", "three"], "by_at": by_at, "within": "90 min"}
    few = frame_of(rows, ["A", "B"], **asked)
    monkeypatch.setattr("cjm_analytics.analysis.funnel._MOST_GROUPS", 3)
    pd.testing.assert_frame_equal(frame_of(rows, ["A", "B"], **asked), few)


def many_groups():
    sizes = {"x": 5, "y": 4, "z": 3, "other": 2, "v": 1}
    rows = [
        (f"{group}{number}", place, what, group)
        for group, n in sizes.items()
        for number in range(n)
        for place, what in enumerate("AB" if number % 2 else "A")
    ]
    return journeys_of(pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "plan"]))


def test_the_largest_groups_stay_and_the_others_are_summed_into_one():
    frame = funnel(many_groups(), ["A", "B"], by="plan", top=2).to_frame()
    assert frame["plan"].tolist() == ["x", "x", "y", "y", "other", "other"]
    assert frame["reached"].tolist() == [5, 2, 4, 2, 6, 2]
    assert frame["started"].tolist() == [5, 5, 4, 4, 6, 6]


def test_as_many_groups_as_there_are_need_no_other():
    frame = funnel(many_groups(), ["A", "B"], by="plan", top=5).to_frame()
    whole = funnel(many_groups(), ["A", "B"], by="plan").to_frame()
    pd.testing.assert_frame_equal(frame, whole)


def test_a_group_that_is_called_other_is_not_mixed_with_the_rest():
    frame = funnel(many_groups(), ["A", "B"], by="plan", top=4).to_frame()
    assert frame["plan"].tolist()[::2] == ["x", "y", "z", "other", "(other)"]
    assert frame["reached"].tolist()[::2] == [5, 4, 3, 2, 1]


def test_the_other_group_goes_on_with_every_door():
    answer = funnel(many_groups(), ["A", "B"], by=["plan", "channel"], top=2)
    whole = funnel(many_groups(), ["A", "B"])
    assert answer.to_frame().groupby("step")["reached"].sum().tolist() == [15, 6]
    assert answer.started == whole.started
    rest = answer.units("A", "reached", group=("other", "other"))
    assert sorted(rest["plan"].unique()) == ["other", "v", "z"]
    assert len(rest) == 6
    assert len(answer.units("A", "reached", group=("x", "web"))) == 5
    compared = answer.compare()
    assert list(compared)[:4] == ["plan", "channel", "other_plan", "other_channel"]
    assert compared["other_plan"].tolist() == ["y", "other", "other"]
    assert answer.plot().layout.title.text


def test_the_chart_of_many_groups_says_how_many_it_leaves_out():
    sizes = {f"g{number}": 20 - number for number in range(9)}
    rows = [(f"{group}{number}", 0, "A", group) for group, n in sizes.items() for number in range(n)]
    journeys = journeys_of(pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "plan"]))
    figure = funnel(journeys, ["A"], by=["plan", "channel"], top=7).plot()
    names = list(dict.fromkeys(trace.name for trace in figure.data if trace.type == "bar"))
    assert names == [f"g{number} · web (few)" for number in range(6)] + ["other (few)"]
    assert "1 more group, smaller or under the minimum, is in the table" in figure.layout.title.text


@pytest.mark.parametrize("by_at", ["first", "last"])
def test_groups_add_up_to_the_whole(by_at):
    rows = pd.DataFrame([(f"c{n % 7}", n, "ABC"[n * 5 % 3], "xyz"[n % 3]) for n in range(60)],
                        columns=["customer", "time", "touchpoint", "plan"])  # fmt: skip
    whole = frame_of(rows, ["A", "B", "C"], within="9 min")
    groups = frame_of(rows, ["A", "B", "C"], within="9 min", by="plan", by_at=by_at)
    totals = groups.groupby("step")[["reached", "dropped", "open", "settled"]].sum().reset_index()
    pd.testing.assert_frame_equal(totals, whole[["step", "reached", "dropped", "open", "settled"]])


def test_small_groups_are_flagged_and_left_out_of_the_chart():
    sizes = {"x": 30, "y": 12, "z": 3}
    rows = [(f"{group}{number}", number, "A", group) for group, n in sizes.items() for number in range(n)]
    rows = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "plan"])
    answer = funnel(journeys_of(rows), ["A"], by="plan")
    assert answer.to_frame()["reliability"].tolist() == ["ok", "weak", "hidden"]
    names = {trace.name for trace in answer.plot().data if trace.type == "bar"}
    assert names == {"x", "y (few)"}


def test_a_chart_of_no_group_that_is_large_enough_says_so():
    rows = pd.DataFrame([("a", 0, "A", "x")], columns=["customer", "time", "touchpoint", "plan"])
    answer = funnel(journeys_of(rows), ["A"], by="plan")
    assert "under the minimum" in [*answer.plot().layout.annotations][-1].text


def test_a_trend_of_one_period_has_one_tick_and_a_point():
    rows = [
        (customer, minute, touchpoint)
        for customer in range(10)
        for minute, touchpoint in ((0, "A"), (1, "B"))
    ]
    figure = funnel(journeys_of(rows), ["A", "B"]).over("week").plot()
    assert len(figure.layout.xaxis.tickvals) == len(figure.layout.xaxis.ticktext) == 1
    assert {trace.mode for trace in figure.data} == {"lines+markers"}


def test_attempts_count_each_start_that_was_not_overtaken():
    assert reached(one("AABAB"), ["A", "B"], unit="attempt") == [2, 2]
    assert reached(one("ABA"), ["A", "B"], unit="attempt") == [2, 1]
    assert reached(one("AA", gap=100), ["A", ANYTHING_ELSE], unit="attempt", within="60 min") == [2, 0]


def test_units_behind_a_number_have_names():
    rows = [*one("ABC"), ("d", 0, "A"), ("d", 9, "B"), ("e", 95, "A")]
    answer = funnel(journeys_of(rows, observed_until=100), ["A", "B", "C"], within="30 min")
    dropped = answer.units(step=2, status="dropped")
    assert dropped["customer_id"].tolist() == ["d"]
    assert dropped["last"].tolist() == [pd.Timestamp("1970-01-01 00:09", tz="UTC")]
    assert answer.units("A", "open")["customer_id"].tolist() == ["e"]
    assert answer.units("B", "reached")["customer_id"].tolist() == ["c", "d"]
    assert answer.units(3, "dropped").empty


@pytest.mark.parametrize("unit", ["journey", "customer", "session", "attempt"])
@pytest.mark.parametrize("status", ["reached", "dropped", "open"])
def test_the_units_behind_a_number_are_as_many_as_it_says(unit, status):
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "customer": rng.integers(0, 9, 90),
            "time": np.arange(90),
            "touchpoint": rng.choice(list("ABC"), 90),
            "plan": rng.choice(["x", "y"], 90),
        }
    )
    rows["session"] = rows.groupby("customer").cumcount() // 4
    answer = funnel(journeys_of(rows), ["A", "B", "C"], within="30 min", unit=unit, by="plan")
    frame = answer.to_frame()
    for row in frame.itertuples():
        assert len(answer.units(row.step, status, group=row.plan)) == getattr(row, status)


def test_the_funnel_over_weeks_adds_up_and_knows_the_calendar():
    rows = [("a", 0, "A"), ("b", 3, "A"), ("b", 4, "B"), ("c", 4, "A"), ("d", 12, "A")]
    answer = funnel(journeys_of(rows, unit=DAY * MINUTE), ["A", "B"])
    weekly = answer.over("week").to_frame()
    # 1970 began on a Thursday.
    assert weekly["period"].tolist() == ["1969-12-29"] * 2 + ["1970-01-05"] * 2 + ["1970-01-12"] * 2
    assert weekly["reached"].tolist() == [2, 1, 1, 0, 1, 0]
    assert answer.over("month").to_frame()["reached"].tolist() == [4, 1]


def test_the_time_to_convert_has_round_bars_that_add_up():
    rows = [("a", 0, "A"), ("a", 1, "B"), ("b", 0, "A"), ("b", 45, "B"), ("c", 0, "A")]
    answer = funnel(journeys_of(rows, observed_until=100), ["A", "B"])
    bars = answer.time_to_convert().to_frame()
    assert bars["converted"].sum() == 2
    assert bars["up_to"].iloc[0] == pd.Timedelta(minutes=2)
    assert bars["cumulative_share"].iloc[-1] == 1
    assert bars["at_risk"].iloc[[0, 1, -1]].tolist() == [3, 2, 2]
    assert bars["incidence"].iloc[[0, -1]].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert bars["started"].unique().tolist() == [3]


def waits_of(logs, steps, within, unit):
    """(how long, got through) of every unit, from the plain oracle."""
    one_or_many = oracle.attempts if unit == "attempt" else oracle.ordered
    waits = []
    for log in logs.values():
        found = one_or_many(as_events(log, steps), len(steps), within, END)
        for one in found if isinstance(found, list) else [found] if found else []:
            took = log[one.last][0] - one.started
            through = one.depth == len(steps) and took <= END - one.started
            waits.append((took if through else END - one.started, through))
    return waits


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [4, 10])
@pytest.mark.parametrize("unit", ["journey", "attempt"])
def test_times_to_convert_count_those_still_on_their_way_as_long_as_they_were_seen(steps, within, unit):
    journeys, logs = random_logs(within + 50)
    times = funnel(journeys, steps, within=f"{within} min", unit=unit).time_to_convert()
    waits = waits_of(logs, steps, within, unit)
    for row in times.curve().itertuples():
        moment = row.time // pd.Timedelta(minutes=1)
        assert row.at_risk == sum(length >= moment for length, _ in waits)
        assert row.incidence == pytest.approx(oracle.share_through(waits, moment))
    for number, row in enumerate(times.to_frame().itertuples()):
        low, high = (one / pd.Timedelta(minutes=1) for one in (row.longer_than, row.up_to))
        low = low if number else -1
        assert row.converted == sum(low < length <= high and through for length, through in waits)
        assert row.at_risk == sum(length > low for length, _ in waits)
        assert row.incidence == pytest.approx(oracle.share_through(waits, high))
    for row in times.quantiles(0.1, 0.3, 0.5).itertuples():
        passed = [length for length, _ in waits if oracle.share_through(waits, length) >= row.q - 1e-12]
        expected = pd.Timedelta(min(passed), "min") if passed else pd.NaT
        assert row.time == expected or (pd.isna(row.time) and pd.isna(expected))


def test_the_clock_starts_at_the_first_visit_even_if_a_later_one_led_through():
    rows = [("c", 0, "A"), ("c", 100, "A"), ("c", 110, "B")]
    answer = funnel(journeys_of(rows, observed_until=200), ["A", "B"], within="60 min")
    assert answer.to_frame()["median_time"][1] == pd.Timedelta(minutes=10)
    assert answer.time_to_convert().median == pd.Timedelta(minutes=110)


def test_what_came_after_the_observation_end_does_not_stop_the_clock():
    rows = [("c", 0, "A"), ("c", 50, "B"), ("d", 0, "A"), ("d", 5, "B"), ("e", 45, "A")]
    times = funnel(journeys_of(rows, observed_until=40), ["A", "B"]).time_to_convert()
    assert times.to_frame()["converted"].sum() == 1
    curve = times.curve()
    assert (curve["time"] // pd.Timedelta(minutes=1)).tolist() == [0, 5, 40]
    assert curve["at_risk"].tolist() == [3, 2, 1]
    assert curve["events"].tolist() == [0, 1, 0]


def test_quantiles_of_the_time_to_convert_are_missing_where_the_curve_does_not_get():
    rows = [(f"c{n}", 0, "A") for n in range(4)] + [(f"c{n}", n + 1, "B") for n in range(2)]
    times = funnel(journeys_of(rows, observed_until=100), ["A", "B"]).time_to_convert()
    found = times.quantiles(0.25, 0.5, 0.75)
    assert found["time"].tolist()[:2] == [pd.Timedelta(minutes=1), pd.Timedelta(minutes=2)]
    assert pd.isna(found["time"][2])
    assert found["converted"].tolist() == [2, 2, 2]
    with pytest.raises(InputError, match="between 0 and 1"):
        times.quantiles(50)


def test_times_to_convert_go_by_the_groups_of_the_funnel():
    times = funnel(many_groups(), ["A", "B"], by="plan", top=2).time_to_convert()
    frame = times.to_frame()
    assert frame["plan"].unique().tolist() == ["x", "y", "other"]
    assert frame.drop_duplicates("plan")["started"].tolist() == [5, 4, 6]
    assert list(times.median.index) == ["x", "y", "other"]
    assert "got through <b>6</b>" in times._repr_html_()
    assert "Time to B" in times.plot().layout.title.text


def test_nobody_has_no_times():
    rows = with_column("B", ["x"])
    nobody = [step("B", where={"plan": "y"}), "B"]
    alone = funnel(journeys_of(rows), nobody).time_to_convert()
    assert alone.to_frame()["converted"].tolist() == [0]
    assert pd.isna(alone.median)
    grouped = funnel(journeys_of(rows), nobody, by="plan").time_to_convert()
    assert list(grouped.to_frame())[:2] == ["plan", "longer_than"]
    assert len(grouped.to_frame()) == 0


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("status", ["dropped", "open"])
@pytest.mark.parametrize("door", ["next_touchpoints", "last_touchpoints"])
def test_where_those_went_who_stopped_short_is_as_the_log_says(steps, status, door):
    journeys, logs = random_logs(61, n_logs=300)
    answer = funnel(journeys, steps, within="10 min")
    expected = {}
    for log in logs.values():
        found = oracle.ordered(as_events(log, steps), len(steps), 10, END)
        if found is None or found.depth == len(steps) or found.going != (status == "open"):
            continue
        following = [name for _, name in log[found.last + 1 :]]
        name = log[-1][1] if door == "last_touchpoints" else [*following, "(end)"][0]
        key = (answer.to_frame()["step"][found.depth - 1], name)
        expected[key] = expected.get(key, 0) + 1
    frame = getattr(answer, door)(status=status)
    assert (
        dict(zip(zip(frame["step"], frame["touchpoint"], strict=True), frame["units"], strict=True))
        == expected
    )
    totals = answer.to_frame().set_index("step")[status]
    assert (frame["of"] == frame["step"].map(totals)).all()
    assert frame["share"].to_numpy() == pytest.approx((frame["units"] / frame["of"]).to_numpy())


def test_what_followed_in_a_session_is_in_the_order_of_the_session():
    rows = pd.DataFrame(
        {"customer": "a", "time": range(4), "touchpoint": list("AXDX"), "session": [0, 1, 0, 1]}
    )
    answer = funnel(journeys_of(rows), ["A", "X"], unit="session")
    assert answer.next_touchpoints("A")["touchpoint"].tolist() == ["D"]


def test_where_they_went_goes_by_step_and_by_the_groups_of_the_funnel():
    journeys = many_groups()
    answer = funnel(journeys, ["A", "B"], by="plan", top=2, within="1 min")
    frame = answer.next_touchpoints(1)
    assert frame.to_numpy().tolist() == [
        ["x", "A", "(end)", 3, 3, 1.0],
        ["y", "A", "(end)", 2, 2, 1.0],
        ["other", "A", "(end)", 4, 4, 1.0],
    ]
    assert list(frame) == ["plan", "step", "touchpoint", "units", "of", "share"]
    assert len(answer.next_touchpoints(2)) == 0


def test_the_list_of_units_may_come_from_a_log_of_nothing():
    journeys = journeys_of(one("AB"))
    (partition,) = journeys.partitions
    empty = replace(journeys, partitions=(partition.take(np.zeros(1, bool)),))
    answer = funnel(empty, ["A", "B"])
    assert len(answer.units(1, "reached")) == 0
    assert len(answer.next_touchpoints()) == 0


def test_where_they_went_asks_for_a_known_step_and_status():
    answer = funnel(journeys_of(one("AB")), ["A", "B"])
    with pytest.raises(UnknownNameError, match="No step named 'C'"):
        answer.next_touchpoints("C")
    with pytest.raises(UnknownNameError, match="No status named 'reached'"):
        answer.last_touchpoints(1, status="reached")


@pytest.mark.parametrize("door", ["time_to_convert", "next_touchpoints", "last_touchpoints"])
@pytest.mark.parametrize("top", [None, 1])
def test_doors_that_ask_again_give_the_same_over_any_split(door, top):
    rng = np.random.default_rng(9)
    rows = pd.DataFrame(
        {
            "customer": rng.integers(0, 20, 150),
            "time": np.arange(150),
            "touchpoint": rng.choice(list("ABC"), 150),
            "channel": rng.choice(["web", "app", "email"], 150),
        }
    )
    frames = []
    for n_partitions in (1, 4):
        answer = funnel(
            journeys_of(rows, n_partitions=n_partitions),
            ["A", "B", "C"],
            by="channel",
            top=top,
            within="60 min",
        )
        found = getattr(answer, door)()
        frames.append(found if isinstance(found, pd.DataFrame) else found.to_frame())
    assert len(frames[0])
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_groups_compare_by_settled_conversion():
    rows = [(f"{plan}{n}", 0, "A", plan) for plan, total in (("x", 70), ("y", 80)) for n in range(total)]
    rows += [(f"{plan}{n}", 1, "B", plan) for plan, total in (("x", 56), ("y", 48)) for n in range(total)]
    rows = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "plan"])
    answer = funnel(journeys_of(rows, observed_until=DAY), ["A", "B"], within="1 hour", by="plan")
    (row,) = answer.compare().to_dict("records")
    assert (row["plan"], row["other_plan"], row["settled"], row["other_settled"]) == ("y", "x", 80, 70)
    assert (round(row["low"], 6), round(row["high"], 6)) == (-0.333873, -0.052431)
    assert round(row["p_value"], 6) == round(row["q_value"], 6) == 0.008045
    assert (row["tests"], row["verdict"]) == (1, "lower")


def test_a_single_step_is_a_funnel_too():
    frame = frame_of(one("A"), ["A"])
    assert frame["reached"].tolist() == [1]
    assert frame["conversion"].tolist() == [1]


def test_nobody_at_all_gives_zeros_and_no_shares():
    frame = frame_of(one("B"), [step("B", where={"customer_id": "nobody"}), "B"])
    assert frame["reached"].tolist() == [0, 0]
    assert frame[["step_conversion", "conversion", "settled_conversion", "low"]].isna().all(axis=None)


def test_no_group_gives_no_rows_but_the_columns():
    frame = frame_of(one("B"), [step("B", where={"customer_id": "nobody"})], by="channel")
    assert len(frame) == 0
    assert list(frame)[:3] == ["channel", "step", "reached"]


@pytest.mark.parametrize(
    ("steps", "rules", "message"),
    [
        (["A", "chekout"], {}, "No touchpoint named 'chekout'. Did you mean 'checkout'?"),
        (["A", "B"], {"order": "sorted"}, "No order named 'sorted'"),
        (["A", "B"], {"unit": "visit"}, "No unit named 'visit'"),
        (["A", "B"], {"by": "devise"}, "No column named 'devise'. Did you mean 'device'?"),
        (["A", "B"], {"by": ["channel", "devise"]}, "No column named 'devise'. Did you mean 'device'?"),
        (["A", "B"], {"by": "device", "by_at": "frist"}, "No by_at named 'frist'. Did you mean 'first'?"),
        (["A", "B"], {"by": "device", "by_at": True}, "No by_at named 'True'"),
        (["A", "B"], {"hold": "ordr"}, "No column named 'ordr'"),
        (["A", step("B", where={"devise": "x"})], {}, "No column named 'devise'. Did you mean 'device'?"),
    ],
)
def test_an_unknown_name_gets_a_hint(steps, rules, message):
    rows = pd.DataFrame(
        {"customer": "c", "time": [0, 1, 2], "touchpoint": ["A", "B", "checkout"], "device": "x"}
    )
    with pytest.raises(UnknownNameError) as error:
        funnel(journeys_of(rows), steps, **rules)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("steps", "rules", "message"),
    [
        ([], {}, "at least one step"),
        ("A", {}, "list of at least one step"),
        (["A", []], {}, "empty list"),
        (["A", "B"], {"within": "0 min"}, "longer than nothing"),
        (["A", "B"], {"within": "14"}, "no duration"),
        (["A", "B"], {"within": ["1 day", "1 day"]}, "2 windows for 2 steps"),
        (["A", "B"], {"exclude": ["A"]}, "is step 1 itself"),
        (["A", "B"], {"exclude": [("X", 2, 1)]}, "between step 2 and step 1"),
        (["A", "B"], {"exclude": [("X", 1, 3)]}, "between step 1 and step 3"),
        (["A"], {"exclude": ["X"]}, "needs two steps"),
        (["A", "B"], {"exclude": ["X"], "order": "strict"}, "adds nothing"),
        (["A", "B"], {"exclude": [("X", 1, 2)], "order": "any"}, "no places"),
        (["A", "B"], {"order": "strict", "ties": "any"}, "gives up"),
        (["A", "B"], {"order": "any", "within": ["1 day"]}, "one window"),
        (["A", "B"], {"order": "strict", "unit": "attempt"}, "needs order='ordered'"),
        ([step("A", optional=True), "B"], {}, "first step cannot be optional"),
        (["A", step("B", optional=True)], {"order": "any"}, "needs order='ordered'"),
        (["A", "B"], {"by_at": "last"}, "needs a column by="),
        (["A", "B"], {"by_at": 2}, "needs a column by="),
        (["A", "B"], {"by": "channel", "by_at": 3}, "numbers 1 to 2"),
        (["A", "B"], {"by": "channel", "by_at": 0}, "numbers 1 to 2"),
        (["A", step("B", optional=True)], {"by": "channel", "by_at": 2}, "is optional"),
        (["A", "B"], {"top": 2}, "needs a column by="),
        (["A", "B"], {"by": "channel", "top": 0}, "at least 1"),
        (["A", "B"], {"by": ["channel", "channel"]}, "a column twice"),
        (["A", [step("B", optional=True), "X"]], {}, "belong to the whole step"),
        (None, {}, "list of at least one step"),
        ({"A": "B"}, {}, "list of at least one step"),
        (["A", None], {}, "None is no step"),
        (["A", {"event": "B"}], {}, "is no step"),
        (["A", ""], {}, "neither the name of a touchpoint"),
        (["A", ["B", ["X"]]], {}, "neither the name of a touchpoint"),
        (["A", step(where={})], {}, "names no column"),
        (["A", "B"], {"within": []}, "0 windows for 2 steps"),
        (["A", "B", "X"], {"within": ["1 day", None]}, "no duration"),
        (["A", "B"], {"within": pd.Timedelta(-1, "D")}, "longer than nothing"),
        (["A", "B"], {"exclude": [("X", 2, 2)]}, "between step 2 and step 2"),
        (["A", "B"], {"exclude": [("X", 0, 2)]}, "between step 0 and step 2"),
        (["A", "B"], {"exclude": [("X", "1", 2)]}, "must be a name, or"),
        (["A", "B"], {"exclude": [("X", 1)]}, "must be a name, or"),
        (["A", "B"], {"exclude": [[]]}, "empty list"),
        (["A", "B"], {"exclude": [("B", 1, 2)]}, "is step 2 itself"),
        (["A", "B"], {"exclude": [["X", "B"]]}, "is step 2 itself"),
        (["A", "B"], {"exclude": [step("X", optional=True)]}, "only a step can be"),
        (["A", step("B", where={"event": "B"})], {"exclude": ["B"]}, "is step 2 itself"),
        (
            ["A", step(where={"event": "B"})],
            {"exclude": [step(where={"event": "B"})]},
            "is step 2 itself",
        ),
        (["A", step("B", optional=True), "X"], {"exclude": [("B", 1, 2)]}, "steps that are required"),
    ],
)
def test_a_definition_that_means_nothing_is_refused(steps, rules, message):
    with pytest.raises(InputError, match=message):
        funnel(journeys_of(one("ABX")), steps, **rules)


def test_a_step_needs_a_name_or_a_condition():
    with pytest.raises(InputError, match="a name, a where="):
        step()


@pytest.mark.parametrize("name", ["", [], ["A", ""], [None]], ids=repr)
def test_a_step_without_a_proper_name_is_refused(name):
    with pytest.raises(InputError, match="name a touchpoint, or several"):
        step(name, where={"event": "A"})


def test_part_of_what_a_step_is_may_be_excluded():
    steps = ["A", step("B", where={"plan": "x"})]
    rows = with_column("ABB", ["x", "y", "x"])
    assert reached(rows, steps) == [1, 1]
    assert reached(rows, steps, exclude=[step("B", where={"plan": "y"})]) == [1, 0]


def test_results_without_groups_have_nothing_to_compare():
    with pytest.raises(InputError, match="no groups"):
        funnel(journeys_of(one("AB")), ["A", "B"]).compare()


def test_the_chart_draws_what_the_frame_says():
    rows = [*one("AB"), ("d", 0, "A"), ("e", 95, "A")]
    answer = funnel(journeys_of(rows, observed_until=100), ["A", "B"], within="30 min")
    bars = {trace.name: list(trace.x) for trace in answer.plot().data if trace.type == "bar"}
    assert bars["went on"] == pytest.approx([1 / 3, 1 / 3])
    assert bars["open: may still go on"] == pytest.approx([1 / 3, 0])
    assert bars["dropped"] == pytest.approx([1 / 3, 0])


def test_the_chart_over_periods_is_a_line():
    rows = [(customer, DAY * place, "ABABA"[place]) for customer in range(10) for place in range(4)]
    rows.append((99, 5 * DAY, "A"))
    figure = funnel(journeys_of(rows), ["A", "B"], unit="attempt").over("day").plot()
    assert [trace.mode for trace in figure.data] == ["lines", "lines+markers"]
    assert list(figure.data[0].y) == [1, 1]
    assert "not shown: 1 period of too few starts" in figure.layout.title.text


def test_the_card_says_who_started_and_until_when():
    html = funnel(journeys_of(one("AB")), ["A", "B"])._repr_html_()
    assert "journeys that started <b>1</b>" in html
    assert "observed until" in html


def test_the_numbers_that_people_quote_have_names():
    rows = [*one("AB"), ("d", 0, "A"), ("e", 95, "A")]
    answer = funnel(journeys_of(rows, observed_until=100), ["A", "B"], within="30 min")
    assert (answer.started, answer.converted) == (3, 1)
    assert answer.conversion == pytest.approx(1 / 3)
    assert answer.settled_conversion == 0.5
    assert answer.observation_end == pd.Timestamp("1970-01-01 01:40", tz="UTC")


def test_only_the_columns_that_are_needed_are_read():
    journeys = journeys_of(one("AB"))
    (partition,) = journeys.partitions
    read = []
    original = type(partition).event

    class Watched(type(partition)):
        def event(self, name):
            read.append(name)
            return original(self, name)

    watched = Watched(**{name: getattr(partition, name) for name in partition.__dataclass_fields__})
    FunnelAnalysis.plan(journeys, ["A", "B"]).map(watched)
    assert set(read) == {"touchpoint", "time"}


def test_real_customers_go_through_the_shop_as_published(shared_data):
    log = pd.read_csv(shared_data / "ecom" / "ecom_5x.csv.gz", parse_dates=["timestamp"])
    rows = pd.DataFrame(
        {
            "customer": log["user_id"],
            "time": (log["timestamp"] - pd.Timestamp(0)) // pd.Timedelta(seconds=1),
            "touchpoint": log["event"],
        }
    )
    steps = ["product_view", "add_to_cart", "shipping_details", "purchase"]
    journeys = journeys_of(rows, unit=1_000_000)
    # The published numbers have no window: one that is longer than the log.
    answer = funnel(journeys, steps, unit="customer", within="365 days")
    assert answer.to_frame()["reached"].tolist() == [598, 517, 401, 227]
    assert funnel(journeys, steps, unit="customer").to_frame()["reached"].tolist() == [598, 502, 374, 180]
