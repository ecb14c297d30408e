"""Funnels: every mode against a plain oracle on thousands of random logs, then literal tables."""

from __future__ import annotations

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
                [int(lag) // MINUTE for lag in found.lag[place, 1:] if lag >= 0],
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


@pytest.mark.parametrize("steps", FUNNELS, ids=str)
@pytest.mark.parametrize("within", [4, 10, 60])
@pytest.mark.parametrize("start", ["any", "first"])
def test_ordered_funnels_are_as_defined(steps, within, start):
    journeys, logs = random_logs(within)
    analysis = FunnelAnalysis.plan(journeys, steps, within=f"{within} min", start=start)
    check(
        journeys, logs, analysis,
        lambda log: oracle.ordered(as_events(log, steps), len(steps), within, END, first_only=start == "first"),
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
