"""Transitions: literal tables, a slow oracle, DuckDB on the same rows, and both ways to count."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import fields, replace
from itertools import pairwise
from statistics import median

import duckdb
import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.transitions import TransitionsAnalysis, transitions
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.quantiles import Durations
from logs import MINUTE, journeys_of, random_rows

STAGES = {"A": ("look", "before"), "B": ("look", "before"), "C": ("pay", "during"), "D": ("use", "after")}

LOG = [
    ("ann", 0, "ad"),
    ("ann", 1, "ad"),
    ("ann", 5, "buy"),
    ("bob", 0, "ad"),
    ("bob", 2, "buy"),
    ("cem", 7, "ad"),
]
START, END = "(start)", "(end)"


def slow_transitions(rows, *, of="touchpoint", unit="journey", by=None, collapse=False):
    """(group, source, target) -> one (unit, minutes or None) per occurrence."""
    units = defaultdict(list)
    for row in rows.to_dict("records"):
        if unit != "session" or row["session"] >= 0:
            key = {
                "journey": ("customer", "journey"),
                "customer": ("customer",),
                "session": ("customer", "session"),
            }
            units[tuple(row[name] for name in key[unit])].append(row)
    found = defaultdict(list)
    for key, events in units.items():
        group = (events[0][by] or "(none)") if by else ""
        found[group, START, events[0][of]].append((key, None))
        for event, following in pairwise(events):
            if not (collapse and event[of] == following[of]):
                found[group, event[of], following[of]].append((key, following["time"] - event["time"]))
        found[group, events[-1][of], END].append((key, None))
    return found


def median_minutes(minutes):
    known = [one for one in minutes if one is not None]
    return median(known) if known else float("nan")


def slow_frame(found, by):
    leaving = Counter()
    for (group, source, _), taken in found.items():
        leaving[group, source] += len(taken)
    rows = [
        (
            group,
            source,
            target,
            len(taken),
            len({key for key, _ in taken}),
            len(taken) / leaving[group, source],
            median_minutes(minutes for _, minutes in taken),
            leaving[group, source],
        )
        for (group, source, target), taken in found.items()
    ]
    rows.sort(key=lambda row: (row[0] == "(none)", row[0], -row[3], row[1], row[2]))
    columns = ["group", "source", "target", "count", "journeys", "share", "median_time", "leaving"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["median_time"] = pd.to_timedelta(frame["median_time"] * MINUTE, unit="us")
    return frame.rename(columns={"group": by}) if by else frame.drop(columns="group")


def random_log(rng):
    rows = random_rows(rng, n_customers=int(rng.integers(1, 9)), n_events=int(rng.integers(1, 60)))
    rows["device"] = rng.choice(["phone", "desk", None], len(rows))
    rows["stage"] = [STAGES.get(name, ("unassigned", ""))[0] for name in rows["touchpoint"]]
    rows["phase"] = [STAGES.get(name, ("", "unassigned"))[1] for name in rows["touchpoint"]]
    rows.loc[rng.random(len(rows)) < 0.1, "session"] = -1
    rows.loc[rng.random(len(rows)) < 0.1, "channel"] = None
    return rows


def built(rows, **options):
    return journeys_of(rows.drop(columns=["stage", "phase"]), stages=STAGES, **options)


def test_directly_following_events_count_with_entries_and_exits():
    frame = transitions(journeys_of(LOG)).to_frame()
    assert frame[["source", "target", "count", "journeys", "leaving"]].to_numpy().tolist() == [
        [START, "ad", 3, 3, 3],
        ["ad", "buy", 2, 2, 4],
        ["buy", END, 2, 2, 2],
        ["ad", END, 1, 1, 4],
        ["ad", "ad", 1, 1, 4],
    ]
    assert frame["share"].tolist() == [1.0, 0.5, 1.0, 0.25, 0.25]
    assert frame["units"].tolist() == [3] * 5


def test_the_time_of_a_transition_is_the_median_and_missing_at_the_ends():
    frame = transitions(journeys_of(LOG)).to_frame().set_index(["source", "target"])["median_time"]
    assert frame["ad", "buy"] == pd.Timedelta("3min")
    assert frame["ad", "ad"] == pd.Timedelta("1min")
    assert frame[[(START, "ad"), ("buy", END)]].isna().all()


def test_collapsing_leaves_out_only_transitions_from_a_symbol_to_itself():
    frame = transitions(journeys_of(LOG), collapse=True).to_frame().set_index(["source", "target"])
    assert ("ad", "ad") not in frame.index
    assert frame.loc[("ad", "buy"), "share"] == 2 / 3
    assert frame.loc[("ad", "buy"), "median_time"] == pd.Timedelta("3min")


def test_a_transition_that_a_journey_makes_twice_counts_twice_in_one_journey():
    rows = [("a", time, name) for time, name in enumerate("xyxy")]
    frame = transitions(journeys_of(rows)).to_frame().set_index(["source", "target"])
    assert frame.loc[("x", "y"), ["count", "journeys"]].tolist() == [2, 1]


def test_columns_are_those_of_the_contract():
    contract = ["source", "target", "count", "journeys", "share", "median_time"]
    assert list(transitions(journeys_of(LOG)).to_frame())[:6] == contract


def test_without_times_everything_else_stays():
    with_times, without = transitions(journeys_of(LOG)), transitions(journeys_of(LOG), times=False)
    assert without.to_frame()["median_time"].isna().all()
    columns = ["source", "target", "count", "journeys", "share"]
    pd.testing.assert_frame_equal(without.to_frame()[columns], with_times.to_frame()[columns])


@pytest.mark.parametrize("dense", [0, 2**22])
@pytest.mark.parametrize("unit", ["journey", "customer", "session"])
@pytest.mark.parametrize("of", ["touchpoint", "stage", "phase", "channel"])
def test_fast_transitions_equal_slow_transitions_on_random_logs(of, unit, dense):
    rng = np.random.default_rng(20260102)
    for number in range(30):
        rows = random_log(rng)
        options = {"collapse": bool(number % 2), "by": [None, "device", "device"][number % 3]}
        names = rows.assign(channel=rows["channel"].fillna("(none)"))
        expected = slow_frame(slow_transitions(names, of=of, unit=unit, **options), options["by"])
        journeys = built(rows, n_partitions=1 + number % 2)
        analysis = replace(TransitionsAnalysis.plan(journeys, of=of, unit=unit, **options), dense=dense)
        total = analysis.map(journeys.partitions[0])
        for part in journeys.partitions[1:]:
            total = total + analysis.map(part)
        frame = analysis.finalize(total).to_frame()
        pd.testing.assert_frame_equal(frame[list(expected)], expected, check_dtype=False)


def test_duckdb_counts_the_same_transitions():
    rng = np.random.default_rng(12)
    for _ in range(30):
        log = random_rows(rng, n_customers=20, n_events=200).assign(row=range(200))
        expected = duckdb.sql("""
            SELECT touchpoint AS source, target, count(*) AS count,
                   count(DISTINCT (customer, journey)) AS journeys,
                   count(*) / sum(count(*)) OVER (PARTITION BY touchpoint) AS share,
                   median(following - time) AS minutes
            FROM (
                SELECT *, coalesce(lead(touchpoint) OVER unit, '(end)') AS target,
                       lead(time) OVER unit AS following
                FROM log WINDOW unit AS (PARTITION BY customer, journey ORDER BY row)
            ) GROUP BY source, target ORDER BY count DESC, source, target
        """).df()
        frame = transitions(journeys_of(log[["customer", "time", "touchpoint", "journey"]])).to_frame()
        frame["minutes"] = frame["median_time"] / pd.Timedelta("1min")
        frame = frame[frame["source"] != START].reset_index(drop=True)
        pd.testing.assert_frame_equal(frame[list(expected)], expected, check_dtype=False)


def test_every_node_is_left_as_often_as_it_is_entered():
    rng = np.random.default_rng(13)
    for number in range(60):
        frame = transitions(built(random_log(rng)), collapse=number % 2 == 0).to_frame()
        left = frame.groupby("source")["count"].sum().drop(START)
        entered = frame.groupby("target")["count"].sum().drop(END)
        pd.testing.assert_series_equal(left, entered, check_names=False)


def assert_same(one, other):
    """Every field of two partials, bit for bit."""
    for part in fields(one):
        left, right = getattr(one, part.name), getattr(other, part.name)
        if isinstance(left, Durations):
            assert_same(left, right)
        elif isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right


@pytest.mark.parametrize("exact_times", [0, 5, 2**17])
@pytest.mark.parametrize("dense", [0, 2**22])
def test_any_split_of_customers_gives_the_same_bits_in_any_order(dense, exact_times):
    rng = np.random.default_rng(14)
    for number in range(16):
        rows = random_log(rng)
        journeys = built(rows)
        planned = TransitionsAnalysis.plan(journeys, by=["device", None][number % 2])
        analysis = replace(planned, dense=dense, exact_times=exact_times)
        whole = analysis.map(journeys.partitions[0])
        parts = [
            analysis.map(part)
            for part in built(rows, n_partitions=min(4, rows["customer"].nunique())).partitions
        ]
        total, backwards = parts[0], parts[-1]
        for part in parts[1:]:
            total = total + part
        for part in parts[-2::-1]:
            backwards = backwards + part
        assert_same(total, whole)
        assert_same(backwards, whole)


def test_the_partial_of_no_events_is_zero():
    journeys = journeys_of(LOG)
    analysis = TransitionsAnalysis.plan(journeys)
    nothing = analysis.map(journeys.partitions[0].take(np.zeros(3, bool)))
    whole = analysis.map(journeys.partitions[0])
    assert_same(nothing + whole, whole)
    assert_same(whole + nothing, whole)
    assert analysis.finalize(nothing).to_frame().empty


@pytest.mark.parametrize(("n_names", "error"), [(5, 0.005), (100, 0.025)])
def test_many_times_go_into_buckets_that_are_hardly_off(n_names, error):
    rng = np.random.default_rng(15)
    gaps = np.concatenate([[0, 0, 1, 2, 3], np.exp(rng.uniform(0, 40, 3_000))]).astype(np.int64)
    rows = pd.DataFrame({"customer": "a", "time": np.cumsum(gaps), "touchpoint": "x"})
    names = pd.DataFrame({"customer": [f"n{one}" for one in range(n_names)], "time": 0})
    journeys = journeys_of(pd.concat([rows, names.assign(touchpoint=names["customer"])]), unit=1)
    analysis = replace(TransitionsAnalysis.plan(journeys), exact_times=100)
    result = analysis.finalize(analysis.map(journeys.partitions[0]))
    found = result.to_frame().set_index(["source", "target"]).loc[("x", "x"), "median_time"]
    true = pd.Timedelta(np.median(np.diff(rows["time"])), unit="us")
    assert result.time_error == pytest.approx(error)
    assert abs(found / true - 1) <= error
    assert "at most" in result._repr_html_()


def test_every_time_falls_into_the_bucket_that_the_durations_say():
    edges = np.array([1, 2, 3, 99, 100, 101, 2**31, 2**52, 2**53 + 1, 2**55 - 1, 2**60 + 3])
    rows = pd.DataFrame({"customer": [f"c{one}" for one in range(len(edges)) for _ in range(2)]})
    rows["time"] = np.column_stack([np.zeros(len(edges), np.int64), edges]).ravel()
    journeys = journeys_of(rows.assign(touchpoint="x"), unit=1)
    analysis = replace(TransitionsAnalysis.plan(journeys), exact_times=1)
    times = analysis.map(journeys.partitions[0]).times
    assert (
        times.value.tolist()
        == (Durations.of(edges[:5], limit=1) + Durations.of(edges[5:], limit=1)).value.tolist()
    )


def test_the_matrix_has_entries_first_and_exits_last():
    matrix = transitions(journeys_of(LOG)).matrix()
    assert matrix.to_numpy().tolist() == [[3, 0, 0], [1, 2, 1], [0, 0, 2]]
    assert (list(matrix.index), list(matrix.columns)) == ([START, "ad", "buy"], ["ad", "buy", END])


def test_the_matrix_can_hold_shares_or_journeys():
    result = transitions(journeys_of(LOG))
    assert result.matrix("share").sum(axis=1).tolist() == [1.0, 1.0, 1.0]
    assert result.matrix("journeys").loc["ad", "buy"] == 2
    with pytest.raises(UnknownNameError, match="Did you mean 'share'"):
        result.matrix("shares")


def test_a_grouped_matrix_needs_the_group():
    rows = pd.DataFrame(LOG, columns=["customer", "time", "touchpoint"]).assign(
        device=["p", "p", "p", "d", "d", "p"]
    )
    result = transitions(journeys_of(rows), by="device")
    assert result.matrix(group="d").loc["ad", "buy"] == 1
    with pytest.raises(UnknownNameError, match="No group of device named 'x'"):
        result.matrix(group="x")
    with pytest.raises(InputError, match="no groups"):
        transitions(journeys_of(rows)).matrix(group="d")


def test_groups_are_compared_by_the_journeys_that_have_a_transition():
    rows = [
        (f"{device}{one}", time, "x")
        for device in "pd"
        for one in range(50)
        for time in range(2 if device == "p" else 1)
    ]
    log = pd.DataFrame(rows, columns=["customer", "time", "touchpoint"])
    log["device"] = log["customer"].str[0]
    compared = transitions(journeys_of(log), by="device").compare()
    first = compared.iloc[0]
    assert first[["device", "other_device", "source", "target"]].tolist() == ["d", "p", "x", "x"]
    assert first[["journeys", "units", "other_journeys", "other_units"]].tolist() == [0, 50, 50, 50]
    assert (first["difference"], first["verdict"], first["tests"]) == (-1.0, "lower", 3)
    with pytest.raises(InputError, match="by="):
        transitions(journeys_of(log)).compare()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "stages"}, "Did you mean 'stage'"),
        ({"unit": "costumer"}, "Did you mean 'customer'"),
        ({"by": "chanel"}, "Did you mean 'channel'"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest_one(options, message):
    with pytest.raises(UnknownNameError, match=message):
        transitions(journeys_of(LOG), **options)


def chain(n_names, n_customers=30):
    """Journeys along a chain of names, some of them with a step back."""
    rng = np.random.default_rng(16)
    rows = []
    for customer in range(n_customers):
        at = int(rng.integers(0, n_names))
        for time in range(12):
            rows.append((f"c{customer}", time, f"name {at:03d}"))
            at = min(max(at + int(rng.choice([-1, 0, 1, 1, 2])), 0), n_names - 1)
    return rows


def test_the_heat_map_shows_the_share_of_every_source():
    figure = transitions(journeys_of(LOG)).plot()
    (heat,) = figure.data
    assert list(figure.layout.yaxis.ticktext) == [START, "ad", "buy"]
    assert list(figure.layout.xaxis.ticktext) == ["ad", "buy", END]
    np.testing.assert_array_equal(heat.z[1], [0.25, 0.5, 0.25])
    assert heat.customdata[1][1].tolist() == ["ad", "buy", "2", "4"]
    assert [note.text for note in figure.layout.annotations][1:4] == ["25", "50", "25"]


@pytest.mark.parametrize("n_names", [5, 30, 300])
def test_the_heat_map_gathers_the_rest_and_says_how_much_is_shown(n_names):
    result = transitions(journeys_of(chain(n_names, n_customers=200)))
    figure = result.plot(top=10)
    names = list(figure.layout.yaxis.ticktext)
    seen = result.to_frame()["source"].nunique() - 1
    assert len(names) == 1 + min(seen, 10) + (seen > 10)
    assert ("gathered as “other”" in figure.layout.title.text) == (seen > 10)
    np.testing.assert_allclose(np.nansum(figure.data[0].z, axis=1), 1)


def boxes(figure):
    """Rectangles that stand for nodes: left, top, right, bottom."""
    shapes = [shape for shape in figure.layout.shapes if shape.type == "rect" and shape.x1 - shape.x0 > 50]
    return [(shape.x0, shape.y0, shape.x1, shape.y1) for shape in shapes]


@pytest.mark.parametrize("n_names", [1, 5, 30, 300])
def test_the_boxes_of_the_graph_do_not_touch_and_lie_on_the_sheet(n_names):
    figure = transitions(journeys_of(chain(n_names))).plot("graph")
    found = boxes(figure)
    assert len(found) == min(n_names, 12) + 2
    for one, (left, top, right, bottom) in enumerate(found):
        assert 0 <= left < right <= figure.layout.width
        assert 0 <= top < bottom <= figure.layout.height
        for other in found[:one]:
            assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top


def test_the_graph_goes_from_start_to_end_along_the_phases():
    rows = [("a", time, name) for time, name in enumerate("ABCD")]
    figure = transitions(journeys_of(rows, stages=STAGES)).plot("graph")
    place = {note.text: note.x for note in figure.layout.annotations}
    assert place[START] < place["A"] < place["C"] < place["D"] < place[END]
    assert "before" in place
    hovers = figure.data[-1].hovertext
    assert any(text.startswith("<b>A → B</b><br>1 of 1 that leave") for text in hovers)


def test_a_link_back_along_the_road_is_dashed():
    rows = [("a", time, name) for time, name in enumerate("ACACAC")]
    figure = transitions(journeys_of(rows, stages=STAGES)).plot("graph")
    assert sum(shape.line.dash == "5px,3px" for shape in figure.layout.shapes) == 1


def test_the_graph_says_what_share_of_the_transitions_it_draws():
    figure = transitions(journeys_of(chain(300))).plot("graph", top=4)
    assert "4 of" in figure.layout.annotations[1].text
    assert "the links drawn are" in figure.layout.annotations[1].text


@pytest.mark.parametrize("kind", ["heatmap", "graph"])
def test_a_chart_of_nothing_is_a_chart(kind):
    journeys = journeys_of(LOG)
    analysis = TransitionsAnalysis.plan(journeys)
    nothing = analysis.finalize(analysis.map(journeys.partitions[0].take(np.zeros(3, bool))))
    assert nothing.plot(kind).layout.height > 100


def test_an_unknown_kind_of_chart_is_told_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="Did you mean 'heatmap'"):
        transitions(journeys_of(LOG)).plot("heat map")


# Gathering what is rare


def slow_gathered(frame, by, share):
    """(group, source, target) -> count with rare transitions led through "other", from the whole frame."""
    rows = [(row[by] if by else "", row) for row in frame.to_dict("records")]
    frequent = {(row["source"], row["target"]) for _, row in rows if row["journeys"] / row["units"] >= share}
    shown = {START, END}.union(*frequent) if frequent else {START, END}
    found = Counter()
    for group, row in rows:
        source, target, times = row["source"], row["target"], row["count"]
        if (source, target) in frequent:
            found[group, source, target] += times
        elif source in shown and target in shown:
            found[group, source, "other"] += times
            found[group, "other", target] += times
        else:
            here, there = (name if name in shown else "other" for name in (source, target))
            found[group, here, there] += times
    return found


@pytest.mark.parametrize("seed", range(40))
def test_rare_transitions_lead_through_other_and_as_many_leave_each_node_as_arrive(seed):
    rng = np.random.default_rng(seed)
    by = [None, "device"][seed % 2]
    options = {"of": ["touchpoint", "stage"][seed % 3 > 1], "by": by, "collapse": bool(rng.integers(2))}
    share = float(rng.choice([0.1, 0.3, 0.5, 1]))
    journeys = built(random_log(rng))
    whole = transitions(journeys, **options).to_frame()
    result = transitions(journeys, **options, min_share=share)
    frame = result.to_frame()
    groups = frame[by] if by else pd.Series("", frame.index)
    keys = zip(groups, frame["source"], frame["target"], strict=True)
    assert dict(zip(keys, frame["count"], strict=True)) == slow_gathered(whole, by, share)
    for group in set(groups):
        mine = frame[groups == group]
        left, entered = (mine.groupby(end)["count"].sum() for end in ("source", "target"))
        assert left[START] == entered[END] == mine["units"].iloc[0]
        assert left.drop(START).to_dict() == entered.drop(END).to_dict()
    exact = frame[(frame["source"] != "other") & (frame["target"] != "other")].astype({"journeys": int})
    same = exact.merge(whole)
    assert len(same) == len(exact)
    through = frame.drop(exact.index)
    assert through["journeys"].isna().all()
    assert through["median_time"].isna().all()
    assert result.total == whole["count"].sum()


def test_nothing_is_gathered_unless_it_is_asked_for_or_rare():
    journeys = journeys_of(LOG)
    whole = transitions(journeys).to_frame()
    pd.testing.assert_frame_equal(transitions(journeys, min_share=1 / 3).to_frame(), whole)
    frame = transitions(journeys, min_share=0.5).to_frame()
    assert frame[["source", "target", "count"]].to_numpy().tolist() == [
        [START, "ad", 3],
        ["ad", "buy", 2],
        ["ad", "other", 2],
        ["buy", END, 2],
        ["other", END, 1],
        ["other", "ad", 1],
    ]


def test_a_name_that_is_itself_other_is_gathered_with_the_rest():
    rows = [("a", 0, "ad"), ("a", 1, "other"), ("b", 0, "ad"), ("b", 1, "other"), ("b", 2, "rare")]
    frame = transitions(journeys_of(rows), min_share=0.9).to_frame()
    assert frame[["source", "target", "count"]].to_numpy().tolist() == [
        [START, "ad", 2],
        ["ad", "other", 2],
        ["other", END, 2],
        ["other", "other", 1],
    ]


def test_what_was_gathered_is_said_by_every_door():
    log = pd.DataFrame(LOG, columns=["customer", "time", "touchpoint"])
    both = [log.assign(device="desk"), log.assign(device="phone", customer=log["customer"] + "2")]
    result, group = transitions(journeys_of(pd.concat(both)), by="device", min_share=0.5), "desk"
    assert not {"other"} & {*result.compare()["source"], *result.compare()["target"]}
    assert result.matrix("journeys", group=group).loc["other"].isna().any()
    assert result.matrix(group=group).loc["other"].sum() == result.matrix(group=group)["other"].sum()
    assert "journeys" not in next(iter(result.to_networkx(group=group)["other"].values()))
    assert "other" in result.plot(group=group).layout.yaxis.ticktext
    assert result.plot("graph", group=group) is not None
    with pytest.raises(InputError, match="min_share=2 must be a share"):
        transitions(journeys_of(LOG), min_share=2)


def test_the_heat_map_tells_long_names_apart_that_begin_alike():
    names = [f"a name that goes on and on and on and on: {number}" for number in range(3)]
    rows = pd.DataFrame([("c", place, name) for place, name in enumerate(names)])
    rows.columns = ["customer", "time", "touchpoint"]
    ticks = transitions(journeys_of(rows)).plot().layout.yaxis.ticktext
    assert {"0", "1", "2"} <= {text.split(" <span")[0][-1] for text in ticks}
    assert any("…" in text for text in ticks)
