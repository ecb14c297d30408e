"""Paths: literal tables, a slow oracle, DuckDB on the same rows, and paths whose hashes collide."""

from __future__ import annotations

import pickle
from collections import defaultdict
from dataclasses import fields, replace
from statistics import median

import duckdb
import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from cjm_analytics.analysis import paths as paths_module
from cjm_analytics.analysis.paths import PathsAnalysis, paths
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.journeys import NEVER
from logs import MINUTE, journeys_of, random_rows

STAGES = {"A": ("look", "before"), "B": ("look", "before"), "C": ("pay", "during"), "D": ("use", "after")}

TWO_BUYERS = [
    ("ann", 0, "ad"),
    ("ann", 1, "ad"),
    ("ann", 5, "buy"),
    ("bob", 0, "ad"),
    ("bob", 2, "buy"),
    ("cem", 7, "ad"),
    ("dee", 9, "visit"),
]


def slow_paths(rows, *, of="touchpoint", collapse=True, max_length=None, unit="journey", by=None, goal=None):
    """(group, path) -> [converted, duration] of each unit, one row after the other."""
    goals, units = defaultdict(lambda: NEVER), defaultdict(list)
    for row in rows.to_dict("records"):
        journey = (row["customer"], row["journey"])
        if row["touchpoint"] == goal:
            goals[journey] = min(goals[journey], row["time"])
        key = {"journey": journey, "customer": row["customer"], "session": (row["customer"], row["session"])}
        if unit != "session" or row["session"] >= 0:
            units[key[unit]].append(row)
    found = defaultdict(list)
    for key, events in units.items():
        path = []
        for event in events:
            if not (collapse and path and path[-1] == event[of]):
                path.append(event[of])
        if max_length and len(path) > max_length:
            path = [*path[:max_length], "…"]
        first, last = events[0]["time"], events[-1]["time"]
        if unit == "journey":
            converted = goals[key] != NEVER
        elif unit == "customer":
            converted = any(goals[one] != NEVER for one in list(goals) if one[0] == key)
        else:
            converted = any(first <= goals[one] <= last for one in list(goals) if one[0] == key[0])
        group = (events[0][by] or "(none)") if by else ""
        found[group, " → ".join(path)].append((converted, last - first))
    return found


def slow_frame(found, by):
    rows = []
    units = defaultdict(int)
    for (group, _), taken in found.items():
        units[group] += len(taken)
    for (group, path), taken in found.items():
        converted = sum(one for one, _ in taken)
        middle = pd.Timedelta(median(length for _, length in taken) * MINUTE, unit="us")
        rows.append((group, path, len(taken), len(taken) / units[group], converted, middle, units[group]))
    rows.sort(key=lambda row: (row[0] == "(none)", row[0], -row[2], row[1]))
    columns = ["group", "path", "journeys", "share", "converted", "median_duration", "units"]
    frame = pd.DataFrame(rows, columns=columns).astype({"median_duration": "timedelta64[ns]"})
    return frame.rename(columns={"group": by}) if by else frame.drop(columns="group")


def random_log(rng):
    rows = random_rows(rng, n_customers=int(rng.integers(1, 9)), n_events=int(rng.integers(1, 60)))
    rows["device"] = rng.choice(["phone", "desk", None], len(rows))
    rows["stage"] = [STAGES.get(name, ("unassigned", ""))[0] for name in rows["touchpoint"]]
    rows["phase"] = [STAGES.get(name, ("", "unassigned"))[1] for name in rows["touchpoint"]]
    if rng.random() < 0.3:
        rows.loc[rng.random(len(rows)) < 0.2, "session"] = -1
    rows.loc[rng.random(len(rows)) < 0.1, "channel"] = None
    return rows


def test_the_most_frequent_paths_come_first_with_share_and_conversion():
    frame = paths(journeys_of(TWO_BUYERS, goal="buy")).to_frame()
    assert frame.drop(columns=["low", "high"]).to_dict("list") == {
        "path": ["ad → buy", "ad", "visit"],
        "journeys": [2, 1, 1],
        "share": [0.5, 0.25, 0.25],
        "cumulative_share": [0.5, 0.75, 1.0],
        "converted": [2, 0, 0],
        "conversion": [1.0, 0.0, 0.0],
        "median_duration": [pd.Timedelta("3min 30s"), pd.Timedelta(0), pd.Timedelta(0)],
        "units": [4, 4, 4],
    }
    assert frame["low"][0] == pytest.approx(0.342380, abs=1e-6)  # Wilson for 2 of 2


def test_columns_are_those_of_the_contract():
    contract = ["path", "journeys", "share", "cumulative_share", "converted", "conversion", "median_duration"]
    assert list(paths(journeys_of(TWO_BUYERS)).to_frame())[:7] == contract


def test_repeats_count_when_they_are_not_collapsed():
    frame = paths(journeys_of(TWO_BUYERS), collapse=False).to_frame()
    assert sorted(frame["path"]) == ["ad", "ad → ad → buy", "ad → buy", "visit"]


def test_a_path_of_exactly_the_greatest_length_is_not_marked_as_cut():
    rows = [("a", 0, "x"), ("a", 1, "y"), ("b", 0, "x"), ("b", 1, "y"), ("b", 2, "z")]
    result = paths(journeys_of(rows), max_length=2)
    assert result.to_frame()["path"].tolist() == ["x → y", "x → y → …"]
    assert result.sequences == (("x", "y"), ("x", "y", "…"))


def test_paths_that_begin_alike_are_one_path_when_cut():
    rows = [("a", 0, "x"), ("a", 1, "y"), ("b", 0, "x"), ("b", 1, "z")]
    frame = paths(journeys_of(rows), max_length=1).to_frame()
    assert frame[["path", "journeys"]].to_numpy().tolist() == [["x → …", 2]]


def test_coverage_is_of_all_units_and_shares_do_not_depend_on_top():
    result = paths(journeys_of(TWO_BUYERS), top=1)
    assert (result.units, result.n_paths, result.coverage) == (4, 3, 0.5)
    assert result.to_frame()["share"].tolist() == [0.5]


def test_ties_are_in_the_order_of_the_texts_also_at_the_edge_of_top():
    names = ["b", "a b", "a", "a → x", "ab", "a!"]
    rows = [(f"c{number}", 0, name) for number, name in enumerate(names)]
    rows += [("d1", 0, "a"), ("d1", 1, "b"), ("d2", 0, "a b"), ("d2", 1, "a")]
    journeys = journeys_of(rows)
    texts = sorted([*names, "a → b", "a b → a"])
    for top in range(1, 9):
        assert paths(journeys, top=top).to_frame()["path"].tolist() == texts[:top]


def test_without_a_goal_conversion_is_missing_not_zero():
    frame = paths(journeys_of(TWO_BUYERS)).to_frame()
    assert frame["converted"].isna().all()
    assert frame["conversion"].isna().all()
    assert "goal=" in paths(journeys_of(TWO_BUYERS))._repr_html_()


def test_another_goal_can_be_named():
    frame = paths(journeys_of(TWO_BUYERS, goal="buy"), goal="visit").to_frame().set_index("path")
    assert frame["converted"].to_dict() == {"ad → buy": 0, "ad": 0, "visit": 1}


def test_events_of_no_stage_and_no_channel_are_symbols_of_their_own():
    rows = pd.DataFrame(
        {"customer": "a", "time": [0, 1, 2], "touchpoint": ["A", "Z", "C"], "channel": ["web", None, "web"]}
    )
    journeys = journeys_of(rows, stages=STAGES)
    assert paths(journeys, of="stage").sequences == (("look", "unassigned", "pay"),)
    assert paths(journeys, of="phase").sequences == (("before", "unassigned", "during"),)
    assert paths(journeys, of="channel").sequences == (("web", "(none)", "web"),)


def test_a_session_converts_only_if_the_goal_lies_in_it():
    rows = pd.DataFrame(
        {
            "customer": "a",
            "time": [0, 1, 100, 101, 102],
            "touchpoint": ["ad", "web", "web", "buy", "web"],
            "session": [0, 0, 1, -1, 1],
        }
    )
    frame = paths(journeys_of(rows, goal="buy"), unit="session").to_frame()
    assert frame[["path", "converted"]].to_numpy().tolist() == [["ad → web", 0], ["web", 1]]


def test_a_customers_path_runs_through_all_journeys():
    rows = pd.DataFrame({"customer": "a", "time": [0, 1], "touchpoint": ["x", "y"], "journey": [0, 1]})
    assert paths(journeys_of(rows), unit="customer").sequences == (("x", "y"),)


def test_groups_have_their_own_units_and_missing_values_come_last():
    rows = pd.DataFrame(
        {
            "customer": ["a", "b", "c", "c"],
            "time": [0, 0, 0, 1],
            "touchpoint": ["x", "x", "y", "x"],
            "device": ["phone", None, "desk", "phone"],
        }
    )
    frame = paths(journeys_of(rows), by="device").to_frame()
    assert frame[["device", "path", "journeys", "units", "share"]].to_numpy().tolist() == [
        ["desk", "y → x", 1, 1, 1.0],
        ["phone", "x", 1, 1, 1.0],
        ["(none)", "x", 1, 1, 1.0],
    ]


def test_groups_by_phase_stand_in_the_order_of_the_road():
    rows = [("a", 0, "D"), ("b", 0, "A"), ("c", 0, "C")]
    frame = paths(journeys_of(rows, stages=STAGES), by="phase").to_frame()
    assert frame["phase"].tolist() == ["before", "during", "after"]


@pytest.mark.parametrize("unit", ["journey", "customer", "session"])
@pytest.mark.parametrize("of", ["touchpoint", "stage", "phase", "channel"])
def test_fast_paths_equal_slow_paths_on_random_logs(of, unit):
    rng = np.random.default_rng(20260101)
    for number in range(80):
        rows = random_log(rng)
        options = {
            "collapse": bool(rng.random() < 0.5),
            "max_length": [None, 1, 3][number % 3],
            "by": [None, "device"][number % 2],
            "goal": "E" if "E" in set(rows["touchpoint"]) else rows["touchpoint"][0],
        }
        names = rows.assign(channel=rows["channel"].fillna("(none)"))
        expected = slow_frame(slow_paths(names, of=of, unit=unit, **options), options["by"])
        journeys = journeys_of(
            rows.drop(columns=["stage", "phase"]), stages=STAGES, n_partitions=1 + number % 3
        )
        frame = paths(journeys, of=of, unit=unit, top=None, **options).to_frame()
        pd.testing.assert_frame_equal(frame[list(expected)], expected, check_dtype=False)


def test_paths_whose_hashes_all_collide_are_still_told_apart():
    rng = np.random.default_rng(7)
    for bits in (0, 1, 3):
        for _ in range(30):
            rows = random_log(rng)
            journeys = journeys_of(rows.drop(columns=["stage", "phase"]), stages=STAGES)
            strong = PathsAnalysis.plan(journeys, top=None, by="device", collapse=False)
            weak = replace(strong, hash_bits=bits)
            parts = journeys_of(
                rows.drop(columns=["stage", "phase"]), stages=STAGES, n_partitions=3
            ).partitions
            whole, first = weak.map(journeys.partitions[0]), weak.map(parts[0])
            total = first + weak.map(parts[1]) + weak.map(parts[2])
            assert_same(total, whole)
            expected = strong.finalize(strong.map(journeys.partitions[0]))
            pd.testing.assert_frame_equal(weak.finalize(total).to_frame(), expected.to_frame())


def assert_same(one, other):
    """All that two partials add up to, bit for bit."""
    one, other = one.total.as_part(), other.total.as_part()
    for part in fields(one):
        left, right = getattr(one, part.name), getattr(other, part.name)
        if isinstance(left, tuple):
            assert left == right
        else:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("at_once", [2, 64])
def test_any_split_of_customers_gives_the_same_bits_in_any_order(at_once, monkeypatch):
    monkeypatch.setattr("cjm_analytics.analysis.paths._MOST_PARTS", at_once)
    rng = np.random.default_rng(3)
    for _ in range(40):
        rows = random_log(rng).drop(columns=["stage", "phase"])
        journeys = journeys_of(rows, stages=STAGES, goal="E")
        analysis = PathsAnalysis.plan(journeys, by="device", max_length=4)
        whole = analysis.map(journeys.partitions[0])
        n_parts = min(4, rows["customer"].nunique())
        parts = [
            analysis.map(part)
            for part in journeys_of(rows, stages=STAGES, goal="E", n_partitions=n_parts).partitions
        ]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        backwards = parts[-1]
        for part in parts[-2::-1]:
            backwards = part + backwards if rng.random() < 0.5 else backwards + part
        assert_same(total, whole)
        assert_same(backwards, whole)


def test_the_partial_of_no_events_is_zero():
    journeys = journeys_of(TWO_BUYERS, goal="buy")
    analysis = pickle.loads(pickle.dumps(PathsAnalysis.plan(journeys)))  # noqa: S301 - our own bytes
    nothing = analysis.map(journeys.partitions[0].take(np.zeros(4, bool)))
    whole = analysis.map(journeys.partitions[0])
    assert_same(nothing + whole, whole)
    assert_same(whole + nothing, whole)
    empty = analysis.finalize(nothing)
    assert empty.to_frame().empty
    assert list(empty.to_frame()) == list(analysis.finalize(whole).to_frame())
    assert empty.tree().empty


def test_duckdb_counts_the_same_paths():
    rng = np.random.default_rng(11)
    for _ in range(30):
        log = random_rows(rng, n_customers=20, n_events=200).assign(row=range(200))
        log["previous"] = log.groupby(["customer", "journey"])["touchpoint"].shift()
        expected = duckdb.sql("""
            SELECT path, count(*) AS journeys, count(*) / sum(count(*)) OVER () AS share,
                   median(length) AS minutes
            FROM (
                SELECT string_agg(touchpoint, ' → ' ORDER BY row)
                           FILTER (previous IS DISTINCT FROM touchpoint) AS path,
                       max(time) - min(time) AS length
                FROM log GROUP BY customer, journey
            ) GROUP BY path ORDER BY journeys DESC, path LIMIT 10
        """).df()
        frame = paths(journeys_of(log[["customer", "time", "touchpoint", "journey"]])).to_frame()
        frame["minutes"] = frame["median_duration"] / pd.Timedelta("1min")
        pd.testing.assert_frame_equal(frame[list(expected)], expected, check_dtype=False)


def test_on_a_real_shop_duckdb_counts_the_same_paths_and_transitions(shared_data):
    log = pd.read_csv(shared_data / "ecom" / "ecom_5x.csv.gz", usecols=["user_id", "event", "timestamp"])
    journeys = cjm.sessionize(
        cjm.ingest(cjm.loaders.table(log, customer="user_id", timestamp="timestamp", event="event", tz="UTC"))
    )
    log = log.drop_duplicates().reset_index(drop=True)
    log["row"] = log.index
    expected = duckdb.sql("""
        SELECT path, count(*) AS journeys FROM (
            SELECT string_agg(event, ' → ' ORDER BY timestamp, row) FILTER (n <= 5)
                   || CASE WHEN count(*) > 5 THEN ' → …' ELSE '' END AS path
            FROM (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY timestamp, row) AS n FROM log)
            GROUP BY user_id
        ) GROUP BY path ORDER BY journeys DESC, path LIMIT 20
    """).df()
    found = paths(journeys, top=20, max_length=5, collapse=False).to_frame()
    pd.testing.assert_frame_equal(found[["path", "journeys"]], expected, check_dtype=False)
    expected = duckdb.sql("""
        SELECT event AS source, target, count(*) AS count
        FROM (
            SELECT event, lead(event) OVER (PARTITION BY user_id ORDER BY timestamp, row) AS target FROM log
        )
        WHERE target IS NOT NULL GROUP BY ALL ORDER BY count DESC, source, target
    """).df()
    found = cjm.transitions(journeys).to_frame()
    between = (found["source"] != "(start)") & (found["target"] != "(end)")
    found = found.loc[between, ["source", "target", "count"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_the_tree_counts_every_prefix():
    rows = [("a", 0, "x"), ("a", 1, "y"), ("b", 0, "x"), ("c", 0, "x"), ("c", 1, "z"), ("c", 2, "buy")]
    tree = paths(journeys_of(rows, goal="buy"), top=1).tree()
    assert tree[["prefix", "depth", "journeys", "ended", "converted"]].to_numpy().tolist() == [
        ["x", 1, 3, 1, 1],
        ["x → y", 2, 1, 1, 0],
        ["x → z", 2, 1, 0, 1],
        ["x → z → buy", 3, 1, 1, 1],
    ]


def test_the_tree_is_conserved_at_every_prefix():
    rng = np.random.default_rng(5)
    for _ in range(60):
        rows = random_log(rng).drop(columns=["stage", "phase"])
        result = paths(journeys_of(rows, stages=STAGES, goal="E"))
        tree = result.tree()
        assert tree["ended"].sum() == result.units == tree.loc[tree["depth"] == 1, "journeys"].sum()
        parent = tree["prefix"].str.rpartition(" → ")[0]
        going_on = tree.groupby(parent)["journeys"].sum()
        for row in tree.itertuples():
            assert row.journeys == row.ended + going_on.get(row.prefix, 0)


def test_a_tree_can_be_limited():
    rows = [("a", 0, "x"), ("a", 1, "y"), ("b", 0, "x"), ("c", 0, "z")]
    result = paths(journeys_of(rows))
    assert result.tree(max_depth=1)["prefix"].tolist() == ["x", "z"]
    assert result.tree(min_journeys=2)["prefix"].tolist() == ["x"]
    with pytest.raises(InputError, match="max_depth=0"):
        result.tree(max_depth=0)


def test_groups_are_compared_path_by_path():
    rows = [(f"p{number}", 0, "x" if number < 90 else "y") for number in range(100)]
    rows += [(f"d{number}", 0, "x" if number < 50 else "y") for number in range(100)]
    log = pd.DataFrame(rows, columns=["customer", "time", "touchpoint"])
    log["device"] = log["customer"].str[0].map({"p": "phone", "d": "desk"})
    compared = paths(journeys_of(log), by="device").compare()
    first = compared.iloc[0]
    assert (first["device"], first["other_device"], first["path"]) == ("desk", "phone", "x")
    assert (first["journeys"], first["other_journeys"], first["tests"]) == (50, 90, 2)
    assert first["difference"] == pytest.approx(-0.4)
    assert first["low"] < -0.4 < first["high"] < 0
    assert first["verdict"] == "lower"


def test_a_path_that_one_group_never_takes_counts_as_zero_there():
    log = pd.DataFrame({"customer": ["a", "b"], "time": 0, "touchpoint": ["x", "y"], "device": ["p", "d"]})
    compared = paths(journeys_of(log), by="device").compare()
    assert compared[["path", "journeys", "other_journeys"]].to_numpy().tolist() == [["x", 0, 1], ["y", 1, 0]]


def test_comparing_without_groups_says_what_to_do():
    with pytest.raises(InputError, match="by="):
        paths(journeys_of(TWO_BUYERS)).compare()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "touchpont"}, "Did you mean 'touchpoint'"),
        ({"unit": "sessions"}, "Did you mean 'session'"),
        ({"by": "devise"}, "No column named 'devise'"),
        ({"goal": "bui"}, "Did you mean 'buy'"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest_one(options, message):
    with pytest.raises(UnknownNameError, match=message):
        paths(journeys_of(TWO_BUYERS, goal="buy"), **options)


@pytest.mark.parametrize("options", [{"top": 0}, {"max_length": 0}, {"top": 2.5}, {"max_length": True}])
def test_a_count_below_one_is_refused(options):
    with pytest.raises(InputError, match="whole number"):
        paths(journeys_of(TWO_BUYERS), **options)


def test_a_very_long_journey_is_one_path():
    rows = pd.DataFrame({"customer": "a", "time": range(20_000), "touchpoint": ["x", "y"] * 10_000})
    result = paths(journeys_of(rows))
    assert len(result.sequences[0]) == 20_000
    assert result.tree(max_depth=3)["prefix"].tolist() == ["x", "x → y", "x → y → x"]


def test_a_tree_that_is_no_table_any_more_is_refused(monkeypatch):
    monkeypatch.setattr(paths_module, "_MOST_TEXT", 100)
    rows = pd.DataFrame({"customer": "a", "time": range(40), "touchpoint": ["x", "y"] * 20})
    with pytest.raises(InputError, match="max_depth"):
        paths(journeys_of(rows)).tree()


def within(figure):
    """Every shape and text of a sheet lies on it."""
    width, height = figure.layout.width, figure.layout.height
    assert all(0 <= note.x <= width and 0 <= note.y <= height for note in figure.layout.annotations)
    for shape in figure.layout.shapes:
        if shape.type != "path":
            assert all(0 <= x <= width for x in (shape.x0, shape.x1))
            assert all(0 <= y <= height for y in (shape.y0, shape.y1))


def texts(figure):
    return [note.text for note in figure.layout.annotations]


def test_the_chart_shows_each_symbol_its_share_and_its_conversion():
    rows = [("a", 0, "A"), ("a", 60, "C"), ("b", 0, "A")]
    figure = paths(journeys_of(rows, stages=STAGES, goal="C")).plot()
    within(figure)
    assert {"A", "C", "before", "during"} <= set(texts(figure))
    assert texts(figure)[1] == "2 of 2 different paths; they cover 100\N{NO-BREAK SPACE}% of 2 journeys"
    hovers = figure.data[-1].hovertext
    assert "<b>C</b><br>position 1<br>phase during" in hovers
    assert "1 of 2 journeys" in hovers
    assert any(text.startswith("1 of 1 journeys reached the goal") for text in hovers)


def test_what_of_a_long_path_does_not_fit_is_said():
    rows = [("a", time, f"touchpoint {time}") for time in range(60)]
    figure = paths(journeys_of(rows)).plot()
    within(figure)
    shown = sum(text.startswith("touchpoint ") for text in texts(figure))
    assert f"+ {60 - shown} more" in texts(figure)


def test_a_chart_of_very_many_paths_says_how_many_rows_it_draws():
    rows = [(f"c{number}", 0, f"t{number}") for number in range(50)]
    figure = paths(journeys_of(rows), top=None).plot()
    assert "The first 40 rows are drawn" in texts(figure)[1]


def test_names_are_drawn_letter_by_letter_never_as_markup():
    figure = paths(journeys_of([("a", 0, "<b>x</b>")])).plot()
    assert "&lt;b&gt;x&lt;/b&gt;" in texts(figure)


def test_the_chart_has_a_heading_for_each_group():
    rows = pd.DataFrame({"customer": ["a", "b"], "time": 0, "touchpoint": "x", "device": ["phone", "desk"]})
    figure = paths(journeys_of(rows), by="device").plot()
    assert [text for text in texts(figure) if "device" in text] == [
        "<b>device: desk</b>",
        "<b>device: phone</b>",
    ]


def test_a_chart_of_no_paths_says_so():
    journeys = journeys_of(TWO_BUYERS)
    analysis = PathsAnalysis.plan(journeys)
    nothing = analysis.finalize(analysis.map(journeys.partitions[0].take(np.zeros(4, bool))))
    assert "No journey has an event." in texts(nothing.plot())


def test_representatives_are_the_centres_of_groups_of_similar_paths():
    ways = ["ABC"] * 10 + ["ABCD"] * 4 + ["XYZ"] * 6 + ["XYZZY"]
    rows = [(f"c{n}", t, name) for n, way in enumerate(ways) for t, name in enumerate(way)]
    found = paths(journeys_of(rows)).representatives(2)
    assert found["path"].tolist() == ["A → B → C", "X → Y → Z"]
    assert found[["journeys", "paths"]].to_numpy().tolist() == [[14, 2], [7, 2]]
    assert found["mean_distance"].tolist() == pytest.approx([4 / 14 * 0.25, 1 / 7 * 0.25])
    assert found["coverage"].tolist() == [1.0, 1.0]
    assert len(paths(journeys_of(rows)).representatives(99)) == 4


@pytest.mark.parametrize("seed", range(10))
def test_edit_distances_equal_their_definition(seed):
    from functools import cache

    from cjm_analytics.kernels.distances import edit_distances

    rng = np.random.default_rng(seed)
    ways = [rng.integers(0, 3, rng.integers(1, 8)).tolist() for _ in range(8)]
    flat = np.array([code for way in ways for code in way], np.int16)
    offsets = np.concatenate([[0], np.cumsum([len(way) for way in ways])])
    found = edit_distances(flat, offsets, np.arange(8), 100)
    for one, left in enumerate(ways):
        for other, right in enumerate(ways):

            @cache
            def away(a, b, left=tuple(left), right=tuple(right)):
                if not a or not b:
                    return a + b
                change = away(a - 1, b - 1) + (left[a - 1] != right[b - 1])
                return min(change, away(a - 1, b) + 1, away(a, b - 1) + 1)

            assert found[one, other] == away(len(left), len(right)) / max(len(left), len(right))


def test_the_tree_can_be_drawn_and_another_kind_is_an_error():
    rows = [(f"c{n}", t, name) for n, way in enumerate(["AB", "AC", "B"]) for t, name in enumerate(way)]
    result = paths(journeys_of(rows))
    figure = result.plot("tree")
    assert dict(zip(figure.data[0].ids, figure.data[0].values, strict=True)) == {
        "(all)": 3, "A": 2, "B": 1, "A → B": 1, "A → C": 1,
    }  # fmt: skip
    with pytest.raises(UnknownNameError, match="Did you mean 'tree'"):
        result.plot("trees")


def test_paths_have_a_value_and_the_scores_of_their_answers():
    rows = pd.DataFrame({
        "customer": list("aabbc"), "time": [0, 1, 0, 1, 0], "touchpoint": list("xyxyx"),
        "worth": [None, 10.0, 1.5, 2.5, 7.0],
    })  # fmt: skip
    answers = [
        {"customer": "a", "journey": 0, "time": 2, "instrument": "nps", "score": 9.0},
        {"customer": "b", "journey": 1, "time": 2, "instrument": "nps", "score": 4.0},
        {"customer": "c", "journey": 2, "time": 2, "instrument": "csat", "score": 5.0},
    ]
    journeys = journeys_of(rows, answers=answers)
    for unit in ("journey", "customer"):
        frame = paths(journeys, value="worth", instrument="nps", unit=unit).to_frame().set_index("path")
        assert frame["value"].to_dict() == {"x → y": 14.0, "x": 7.0}
        assert frame["mean_value"].to_dict() == {"x → y": 7.0, "x": 7.0}
        assert frame["answers"].to_dict() == {"x → y": 2, "x": 0}
        assert frame["mean_score"].iloc[0] == 6.5
        assert np.isnan(frame["mean_score"].iloc[1])
    with pytest.raises(UnknownNameError, match="Did you mean 'nps'"):
        paths(journeys, instrument="npss")
    with pytest.raises(InputError, match="no column of numbers"):
        paths(journeys, value="touchpoint")
    with pytest.raises(InputError, match="a session has none"):
        paths(journeys, instrument="nps", unit="session")


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_amounts_in_several_currencies_are_added_in_no_group(n_partitions):
    rows = pd.DataFrame({
        "customer": ["a", "a", "b", "b", "c"], "time": [0, 1, 0, 1, 0],
        "touchpoint": ["ad", "buy", "ad", "buy", "ad"],
        "value": [None, 30.0, 1.0, 10.0, 0.0], "currency": [None, "EUR", "usd", "USD", "GBP"],
        "country": ["DE", "DE", "US", "US", "US"],
    })  # fmt: skip
    journeys = journeys_of(rows, n_partitions=n_partitions)
    with pytest.raises(InputError, match=r"2 currencies \(EUR, USD\).*select\(where={'currency': 'EUR'}"):
        paths(journeys, value="value")
    grouped = paths(journeys, value="value", by="country").to_frame()
    assert grouped["value"].tolist() == [30, 0, 11]
    assert paths(journeys, value="value", currency=None).to_frame()["value"].sum() == 41
    assert paths(journeys.select(where={"currency": "EUR"}), value="value").to_frame()["value"].sum() == 30
    with pytest.raises(UnknownNameError, match="Did you mean 'currency'"):
        paths(journeys, value="value", currency="curency")


def test_the_picture_gathers_rare_paths_in_one_row_and_the_frame_stays():
    rows = [(f"c{n}", t, name) for n, way in enumerate(["ab"] * 6 + ["a"] * 2 + ["b", "c"]) for t, name in
            enumerate(way)]  # fmt: skip
    result = paths(journeys_of(rows, goal="b"), top=3)
    before = result.to_frame()
    texts = [note.text for note in result.plot(min_share=0.2).layout.annotations]
    assert any("2 of 4 different paths; they cover 80" in text for text in texts)
    assert "other: 2 paths" in texts
    assert not any("other" in note.text for note in result.plot().layout.annotations)
    pd.testing.assert_frame_equal(result.to_frame(), before)
    assert result.plot("tree", min_share=0.5) is not None
    with pytest.raises(InputError, match="min_share=-1 must be a share"):
        result.plot(min_share=-1)


@pytest.mark.parametrize("unit", ["journey", "customer", "session"])
@pytest.mark.parametrize("seed", range(5))
def test_customers_behind_a_path_are_counted_once(unit, seed):
    rows = random_rows(np.random.default_rng(seed), n_customers=8, n_events=80, alphabet="AB", journeys=4)
    for n_partitions in (1, 3):
        log = journeys_of(rows, n_partitions=n_partitions)
        plan = PathsAnalysis.plan(log, unit=unit, top=None, max_length=1, customers=True)
        found = run(plan, log, None).to_frame().set_index("path")["customers"].to_dict()
        key = ["customer", *([] if unit == "customer" else [unit])]
        mine = rows[rows["session"] >= 0] if unit == "session" else rows
        taken = defaultdict(set)
        for (who, *_), events in mine.groupby(key, sort=False):
            touched = events["touchpoint"].tolist()
            taken[touched[0] + (" → …" if len(set(touched)) > 1 else "")].add(who)
        assert found == {path: len(who) for path, who in taken.items()}
