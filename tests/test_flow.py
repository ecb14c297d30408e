"""Flow: literal tables, a slow oracle, conservation at every node, and the transitions at each position."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.flow import FlowAnalysis, flow
from cjm_analytics.analysis.transitions import transitions
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError
from logs import journeys_of, random_rows

STAGES = {"A": ("look", "before"), "B": ("look", "before"), "C": ("pay", "during"), "D": ("use", "after")}
START, END = "(start)", "(end)"


def rows_of(*journeys):
    return [
        (f"c{number}", time, name) for number, path in enumerate(journeys) for time, name in enumerate(path)
    ]


def links(result):
    return result.to_frame()[["position", "source", "target", "journeys"]].to_numpy().tolist()


def place_of(name, events, rows, of):
    """Where the first event of this name is; after all of them where there is none."""
    column = of if name in set(rows[of]) else "touchpoint"
    return next((place for place, event in enumerate(events) if event[column] == name), len(events))


def slow_flow(rows, *, of="touchpoint", positions=6, start=None, end=None, collapse=True):
    """(position, source, target) -> journeys; nothing is gathered. And how many were left out."""
    journeys = defaultdict(list)
    for row in rows.to_dict("records"):
        journeys[row["customer"], row["journey"]].append(row)
    found, left_out = Counter(), 0
    for every in journeys.values():
        events = list(every)
        if start is not None:
            events = events[place_of(start, events, rows, of) :]
        if end is not None:
            last = place_of(end, events, rows, of)
            events = events[: last + 1] if last < len(events) else []
        if not events:
            left_out += 1
            continue
        path = []
        for event in events:
            if not (collapse and path and path[-1] == event[of]):
                path.append(event[of])
        if end is not None and start is None:
            path = [START, *path][-positions:]
            for back in range(len(path) - 1):
                found[back - len(path) + 1, path[back], path[back + 1]] += 1
        else:
            path = [*path, END][:positions]
            for position in range(len(path) - 1):
                found[position, path[position], path[position + 1]] += 1
    return found, left_out


def random_log(rng):
    rows = random_rows(rng, n_customers=int(rng.integers(1, 9)), n_events=int(rng.integers(1, 60)))
    rows["stage"] = [STAGES.get(name, ("unassigned", ""))[0] for name in rows["touchpoint"]]
    rows["phase"] = [STAGES.get(name, ("", "unassigned"))[1] for name in rows["touchpoint"]]
    rows.loc[rng.random(len(rows)) < 0.1, "channel"] = None
    return rows


def built(rows, **options):
    return journeys_of(rows.drop(columns=["stage", "phase"]), stages=STAGES, **options)


def test_journeys_go_from_position_to_position_and_leave_at_the_end():
    result = flow(journeys_of(rows_of("xyz", "xy", "xz", "y")), positions=3)
    assert links(result) == [
        [0, "x", "y", 2],
        [0, "x", "z", 1],
        [0, "y", END, 1],
        [1, "y", END, 1],
        [1, "y", "z", 1],
        [1, "z", END, 1],
    ]
    assert result.to_frame()["at_source"].tolist() == [3, 3, 1, 2, 2, 1]
    assert result.to_frame()["share"].tolist() == [2 / 3, 1 / 3, 1, 1 / 2, 1 / 2, 1]
    assert (result.units, result.left_out, result.coverage) == (4, 0, 1.0)


def test_repeats_are_one_position_unless_told_otherwise():
    journeys = journeys_of(rows_of("xxy"))
    assert links(flow(journeys)) == [[0, "x", "y", 1], [1, "y", END, 1]]
    assert links(flow(journeys, collapse=False, positions=3)) == [[0, "x", "x", 1], [1, "x", "y", 1]]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("unit", ["session", "customer"])
def test_other_units_flow_like_journeys_of_the_same_events(seed, unit):
    rng = np.random.default_rng(seed)
    rows = random_log(rng)
    rows["session"] = rng.integers(-1, 3, len(rows))
    options = [{}, {"start": "A"}, {"end": "B"}, {"around": "A -> .", "every": True}][seed % 4]
    result = flow(built(rows), unit=unit, top=None, **options)
    alone = rows[rows["session"] >= 0] if unit == "session" else rows
    key = alone["session"] if unit == "session" else 0
    # The sessions of one customer may lie in each other; each is a journey of its own here.
    alone = alone.assign(
        customer=alone["customer"] + "/" + key.astype(str) if unit == "session" else alone["customer"]
    )
    expected = flow(built(alone.assign(journey=0, session=0)), top=None, **options)
    pd.testing.assert_frame_equal(
        result.to_frame().drop(columns=["source_phase", "target_phase"]),
        expected.to_frame().drop(columns=["source_phase", "target_phase"]),
    )
    assert (result.units, result.left_out, result.passes) == (
        expected.units, expected.left_out, expected.passes,
    )  # fmt: skip


def test_from_a_start_the_first_occurrence_is_position_zero():
    result = flow(journeys_of(rows_of("axbxc", "ab")), start="x", positions=3)
    assert links(result) == [[0, "x", "b", 1], [1, "b", "x", 1]]
    assert (result.units, result.left_out) == (1, 1)


def test_to_an_end_positions_are_counted_back_from_its_first_occurrence():
    result = flow(journeys_of(rows_of("abxcx", "bx", "x", "ab")), end="x", positions=3)
    assert links(result) == [
        [-2, START, "b", 1],
        [-2, "a", "b", 1],
        [-1, "b", "x", 2],
        [-1, START, "x", 1],
    ]
    assert (result.units, result.left_out) == (3, 1)


def test_between_start_and_end_only_journeys_that_get_there_are_followed():
    result = flow(journeys_of(rows_of("xaybz", "yxay", "xab", "yx")), start="x", end="y")
    assert links(result) == [[0, "x", "a", 2], [1, "a", "y", 2], [2, "y", END, 2]]
    assert (result.units, result.left_out) == (2, 2)


def test_a_start_may_be_a_touchpoint_or_a_marker_while_stages_flow():
    journeys = journeys_of(rows_of("ABCD"), stages=STAGES, goal="C")
    assert links(flow(journeys, of="phase", start="B"))[0] == [0, "before", "during", 1]
    assert links(flow(journeys, of="phase", start="goal"))[0] == [0, "during", "after", 1]
    assert links(flow(journeys, of="phase", start="during"))[0] == [0, "during", "after", 1]


def test_what_is_not_frequent_is_gathered_and_the_share_of_the_rest_is_said():
    result = flow(journeys_of(rows_of("xy", "xy", "xz", "vz", "wu")), positions=2, top=1)
    assert links(result) == [[0, "other", "other", 2], [0, "x", "y", 2], [0, "x", "other", 1]]
    assert result.coverage == (3 + 2) / 10


def test_events_of_no_channel_can_be_a_start():
    rows = pd.DataFrame(
        {"customer": "a", "time": [0, 1, 2], "touchpoint": "x", "channel": ["web", None, "app"]}
    )
    assert links(flow(journeys_of(rows), of="channel", start="(none)"))[0] == [0, "(none)", "app", 1]


def test_a_name_has_the_phase_of_most_of_its_events():
    rows = rows_of("AC", "AC")
    frame = flow(journeys_of(rows, stages=STAGES)).to_frame()
    assert frame[["source_phase", "target_phase"]].to_numpy().tolist() == [
        ["before", "during"],
        ["during", ""],
    ]


@pytest.mark.parametrize("of", ["touchpoint", "stage", "phase", "channel"])
def test_fast_flow_equals_slow_flow_on_random_logs(of):
    rng = np.random.default_rng(20260103)
    for number in range(70):
        rows = random_log(rng)
        names = rows.assign(channel=rows["channel"].fillna("(none)"))
        some = sorted({*names[of], *names["touchpoint"]})
        options = {
            "positions": int(rng.integers(2, 8)),
            "collapse": bool(rng.random() < 0.7),
            "start": [None, str(rng.choice(some))][number % 2],
            "end": [None, None, str(rng.choice(some))][number % 3],
        }
        expected, left_out = slow_flow(names, of=of, **options)
        journeys = built(rows, n_partitions=1 + number % 2)
        analysis = FlowAnalysis.plan(journeys, of=of, top=None, **options)
        total = analysis.map(journeys.partitions[0])
        for part in journeys.partitions[1:]:
            total = total + analysis.map(part)
        result = analysis.finalize(total)
        assert {tuple(link[:3]): link[3] for link in links(result)} == expected
        assert result.left_out == left_out


def test_at_every_node_as_many_leave_as_arrive():
    rng = np.random.default_rng(21)
    for number in range(90):
        journeys = built(random_log(rng))
        ends = [{}, {"start": "B"}, {"end": "B"}][number % 3]
        if "B" not in journeys.codebook.touchpoints:
            continue
        frame = flow(journeys, positions=5, top=1 + number % 4, **ends).to_frame()
        first, last = frame["position"].min(), frame["position"].max()
        arriving = (
            frame.assign(position=frame["position"] + 1).groupby(["position", "target"])["journeys"].sum()
        )
        leaving = frame.groupby(["position", "source"])["journeys"].sum()
        for position, name in {*arriving.index, *leaving.index}:
            if first < position <= last and name not in {START, END}:
                assert arriving[position, name] == leaving[position, name]


def test_added_up_over_all_positions_the_flow_is_the_transitions():
    rng = np.random.default_rng(22)
    for number in range(80):
        journeys, collapse = built(random_log(rng)), number % 2 == 0
        flowing = flow(journeys, positions=100, top=None, collapse=collapse).to_frame()
        counts = transitions(journeys, collapse=collapse).to_frame().set_index(["source", "target"])["count"]
        entries = counts.loc[[START]]
        pd.testing.assert_series_equal(
            flowing.groupby(["source", "target"])["journeys"].sum().sort_index(),
            counts.drop(entries.index).sort_index(),
            check_names=False,
        )
        first = flowing[flowing["position"] == 0].groupby("source")["journeys"].sum()
        assert first.to_dict() == entries.droplevel(0).to_dict()


def assert_same(one, other):
    """Every field of two partials, bit for bit."""
    for part in fields(one):
        left, right = getattr(one, part.name), getattr(other, part.name)
        if part.name == "lengths":
            left, right = (np.stack([bag.group, bag.value, bag.count]) for bag in (left, right))
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def test_any_split_of_customers_gives_the_same_bits_in_any_order():
    rng = np.random.default_rng(23)
    for number in range(60):
        rows = random_log(rng)
        journeys = built(rows)
        name = str(rows["touchpoint"][0])
        analysis = FlowAnalysis.plan(journeys, **[{}, {"start": name}, {"end": name}][number % 3])
        parts = [
            analysis.map(part)
            for part in built(rows, n_partitions=min(3, rows["customer"].nunique())).partitions
        ]
        nothing = analysis.map(journeys.partitions[0].take(np.zeros(len(journeys), bool)))
        total, backwards = nothing, parts[-1]
        for part in parts:
            total = total + part
        for part in parts[-2::-1]:
            backwards = backwards + part
        whole = analysis.map(journeys.partitions[0])
        assert_same(total, whole)
        assert_same(backwards, whole)


@pytest.mark.parametrize("seed", range(10))
def test_customers_of_a_link_are_counted_once_each(seed):
    rng = np.random.default_rng(seed)
    rows = random_log(rng)
    journeys = journeys_of(rows, n_partitions=int(rng.integers(1, 4)))
    analysis = FlowAnalysis.plan(journeys, top=None, collapse=False, positions=4, customers=True)
    found = run(analysis, journeys, None).to_frame()
    people = defaultdict(set)
    for (customer, _), mine in journeys.to_frame().groupby(["customer_id", "journey"]):
        names = [*mine["touchpoint"], "(end)"]
        for position in range(min(3, len(names) - 1)):
            people[position, names[position], names[position + 1]].add(customer)
    assert {(row.position, row.source, row.target): row.customers for row in found.itertuples()} == {
        link: len(customers) for link, customers in people.items()
    }


def test_no_events_give_no_links():
    journeys = journeys_of(rows_of("xy"))
    analysis = FlowAnalysis.plan(journeys)
    result = analysis.finalize(analysis.map(journeys.partitions[0].take(np.zeros(1, bool))))
    assert result.to_frame().empty
    assert list(result.to_frame())[:4] == ["position", "source", "target", "journeys"]
    assert "Flow" in result._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "touch"}, "Did you mean 'touchpoint'"),
        ({"start": "check"}, "No touchpoint named 'check'. Did you mean 'checkout'"),
        ({"end": "checkot"}, "Did you mean 'checkout'"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest_one(options, message):
    with pytest.raises(UnknownNameError, match=message):
        flow(journeys_of([("a", 0, "checkout")]), **options)


@pytest.mark.parametrize("options", [{"positions": 1}, {"positions": None}, {"top": 0}])
def test_a_count_too_small_is_refused(options):
    with pytest.raises(InputError, match="whole number"):
        flow(journeys_of(rows_of("xy")), **options)


def test_the_sankey_has_the_links_of_the_frame():
    result = flow(journeys_of(rows_of("ABC", "AB", "AC", "B"), stages=STAGES), positions=3)
    (drawn,) = result.plot().data
    assert list(drawn.link.value) == result.to_frame()["journeys"].tolist()
    assert drawn.link.customdata[0].tolist() == ["A", "B", "2", "3", "67\N{NO-BREAK SPACE}%"]
    names = [row[0] for row in drawn.node.customdata]
    assert [names[one] for one in drawn.link.source] == result.to_frame()["source"].tolist()


@pytest.mark.parametrize(
    "options", [{}, {"end": "B"}, {"start": "A", "top": 3}, {"top": None, "positions": 9}]
)
def test_nodes_of_the_sankey_stand_apart_with_room_for_their_names(options):
    rng = np.random.default_rng(24)
    rows = random_rows(rng, n_customers=40, n_events=900, alphabet="ABCDEFGHIJKLMNOPQRST")
    figure = flow(journeys_of(rows), **options).plot()
    (drawn,) = figure.data
    height = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    places = pd.DataFrame({"x": drawn.node.x, "y": np.array(drawn.node.y) * height}).sort_values(["x", "y"])
    assert places["y"].between(0, height).all()
    assert places.groupby("x")["y"].diff().min() >= 14
    assert 0 <= min(drawn.node.x) <= max(drawn.node.x) <= 1


def test_a_flow_by_phase_has_the_colours_of_the_phases():
    (drawn,) = flow(journeys_of(rows_of("AC"), stages=STAGES), of="phase").plot().data
    colours = {row[0]: colour for row, colour in zip(drawn.node.customdata, drawn.node.color, strict=True)}
    assert colours["before"] == "#0b5394"
    assert colours["during"] == "#d98b00"


def test_what_is_gathered_and_left_out_is_said_in_the_title():
    figure = flow(journeys_of(rows_of("xy", "xy", "xz", "vz", "wu")), start="x", top=1).plot()
    assert "3 journeys" in figure.layout.title.text
    assert "2 without it are left out" in figure.layout.title.text
    assert "gathered as “other”" in figure.layout.title.text


def test_a_chart_of_no_flow_says_so():
    figure = flow(journeys_of(rows_of("xy", "z")), start="x", end="z").plot()
    assert figure.layout.annotations[0].text == "No journey to follow."


def conserved(result):
    """At every node between the ends as many passes leave as arrive."""
    frame = result.to_frame()
    first, last = frame["position"].min(), frame["position"].max()
    for position in range(first + 1, last + 1):
        arriving = frame[frame["position"] == position - 1].groupby("target")["passes"].sum()
        leaving = frame[frame["position"] == position].groupby("source")["passes"].sum()
        gone = arriving.drop(index=[END], errors="ignore")
        begun = leaving.drop(index=[START], errors="ignore")
        assert gone.to_dict() == begun.to_dict()


@pytest.mark.parametrize("seed", range(30))
def test_flow_is_conserved_whatever_is_asked(seed):
    rng = np.random.default_rng(seed)
    journeys = built(random_log(rng))
    names = sorted(set(journeys.codebook.touchpoints))
    name = str(rng.choice(names))
    anchor = [{}, {"start": name}, {"end": name}, {"around": name}, {"around": f"{name} -> ."},
              {"start": f". -> {name}"}][seed % 6]  # fmt: skip
    result = flow(
        journeys,
        positions=int(rng.integers(2, 5)),
        every=bool(anchor) and bool(rng.random() < 0.5),
        top=int(rng.integers(1, 4)),
        min_share=float(rng.choice([0, 0.1])),
        max_share=float(rng.choice([0.8, 1])),
        **anchor,
    )
    if len(result.to_frame()):
        conserved(result)
        np.testing.assert_allclose(result.steps().sum(), 1)


def test_around_looks_both_ways():
    result = flow(journeys_of(rows_of("axb", "xb", "ax", "ab")), around="x", positions=2)
    assert links(result) == [[-1, "a", "x", 2], [-1, START, "x", 1], [0, "x", "b", 2], [0, "x", END, 1]]
    assert (result.units, result.left_out, result.passes) == (3, 1, 3)


def test_around_a_pattern_its_match_is_one_node():
    result = flow(journeys_of(rows_of("axyb", "xy")), around="x -> y", positions=2)
    assert links(result) == [
        [-1, START, "x -> y", 1],
        [-1, "a", "x -> y", 1],
        [0, "x -> y", END, 1],
        [0, "x -> y", "b", 1],
    ]


def test_every_event_that_fits_is_a_pass():
    result = flow(journeys_of(rows_of("xaxa", "xb")), start="x", every=True, positions=2)
    frame = result.to_frame()
    assert frame[["source", "target", "journeys", "passes"]].to_numpy().tolist() == [
        ["x", "a", 1, 2],
        ["x", "b", 1, 1],
    ]
    assert (result.units, result.passes) == (2, 3)


def test_a_start_may_be_a_pattern():
    result = flow(journeys_of(rows_of("abxc", "xab")), start="a -> b", positions=3)
    assert links(result) == [[0, "a", "b", 2], [1, "b", END, 1], [1, "b", "x", 1]]


def test_links_have_their_median_time():
    rows = [("a", 0, "x"), ("a", 1, "x"), ("a", 5, "y"), ("b", 0, "x"), ("b", 8, "y")]
    frame = flow(journeys_of(rows), positions=3).to_frame()
    assert frame["median_time"].iloc[0] == pd.Timedelta(minutes=6)  # of 4 and 8, from the last x to y
    assert frame["median_time"].isna().tolist() == [False, True]
    assert "median_time" not in flow(journeys_of(rows), times=False).to_frame()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"of": "stage", "unit": "session"},
        {"start": "B"},
        {"end": "C", "positions": 3},
        {"start": "A -> .", "end": "D"},
        {"around": "B", "positions": 4},
        {"around": "B -> [^A]", "positions": 2, "top": 2},
    ],
)
def test_without_times_links_are_counted_as_they_are_listed_with_times(seed, options, monkeypatch):
    journeys = built(random_log(np.random.default_rng(seed)))
    for collapse in (True, False):
        with_times = flow(journeys, **options, collapse=collapse).to_frame()
        for cells in (0, 10**9):  # none, or all, are counted in a table
            monkeypatch.setattr("cjm_analytics.analysis.flow._TABLE_PER_KEY", cells)
            found = flow(journeys, **options, collapse=collapse, times=False).to_frame()
            pd.testing.assert_frame_equal(found, with_times.drop(columns=["median_time", "mean_time"]))


def test_the_step_matrix_tells_who_is_where():
    matrix = flow(journeys_of(rows_of("xy", "x", "xyz", "y")), positions=3).steps()
    assert matrix.index.tolist() == ["x", "y", "z", END]
    assert matrix[0].tolist() == [0.75, 0.25, 0, 0]
    assert matrix[1].tolist() == [0, 0.5, 0, 0.5]
    assert matrix[2].tolist() == [0, 0, 0.25, 0.75]


def test_rare_and_very_frequent_names_are_gathered():
    journeys = journeys_of(rows_of(*["xa"] * 8, "yb", "xc"))
    assert set(flow(journeys, positions=2, min_share=0.2).to_frame()["target"]) == {"a", "other"}
    assert set(flow(journeys, positions=2, max_share=0.5).to_frame()["target"]) == {"b", "c", "other"}


@pytest.mark.parametrize("kind", ["sankey", "steps", "sunburst"])
@pytest.mark.parametrize("options", [{}, {"end": "C"}, {"around": "B"}])
def test_every_picture_can_be_drawn(kind, options):
    journeys = built(random_log(np.random.default_rng(1)))
    assert len(flow(journeys, **options).plot(kind).data) >= 1


def test_an_unknown_picture_or_a_contradiction_is_an_error():
    journeys = journeys_of(rows_of("xy"))
    with pytest.raises(UnknownNameError, match="Did you mean 'sunburst'"):
        flow(journeys).plot("sunbrust")
    with pytest.raises(InputError, match="around= looks both ways"):
        flow(journeys, around="x", start="y")
    with pytest.raises(InputError, match="every what"):
        flow(journeys, every=True)
    with pytest.raises(InputError, match="min_share"):
        flow(journeys, min_share=2)
