"""Drop-off: literal tables, a plain loop that implements the definition, and a simulated truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis import waits
from cjm_analytics.analysis.dropoff import DropOffAnalysis, DropOffPartial, drop_off
from cjm_analytics.columns import MemoryColumns
from cjm_analytics.durations import DAY, HOUR, MINUTE
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.journeys import NEVER, NONE
from cjm_analytics.statistics import aalen_johansen, kaplan_meier, life_table
from logs import journeys_of, random_rows

ROAD = {
    "ad": ("aware", "before"),
    "look": ("compare", "before"),
    "cart": ("choose", "during"),
    "buy": ("pay", "during"),
    "use": ("use", "after"),
}
COUNTS = ["entered", "continued", "dropped", "open"]


def table(rows, columns=COUNTS, **options):
    """The drop-off of rows (customer, day, touchpoint), with the goal `buy`, within ten days."""
    options = {"horizon": "10 days"} | options
    built = {name: options.pop(name) for name in ("observed_until", "goal") if name in options}
    journeys = journeys_of(rows, stages=ROAD, unit=DAY, **({"goal": "buy", "observed_until": 100} | built))
    return drop_off(journeys, **options).to_frame()[columns].astype(object).to_numpy().tolist()


def changed(journeys, **columns):
    """The journeys of one partition with some journey columns replaced."""
    (partition,) = journeys.partitions
    cases = partition.cases.read(partition.cases.names)
    arrays = {name: cases.column(name).to_numpy() for name in cases.column_names}
    arrays |= {name: np.array(values, dtype=arrays[name].dtype) for name, values in columns.items()}
    return replace(journeys, partitions=(replace(partition, cases=MemoryColumns.of(arrays)),))


def test_a_journey_that_reaches_a_later_phase_continued():
    assert table([("a", 0, "ad"), ("a", 3, "cart")]) == [[1, 1, 0, 0], [1, 0, 1, 0]]


def test_a_later_phase_at_the_horizon_still_counts_and_one_after_it_does_not():
    assert table([("a", 0, "ad"), ("a", 10, "cart")])[0] == [1, 1, 0, 0]
    assert table([("a", 0, "ad"), ("a", 10.5, "cart")])[0] == [1, 0, 1, 0]


def test_without_follow_up_for_the_whole_horizon_a_journey_is_open():
    assert table([("a", 91, "ad"), ("b", 90, "ad"), ("c", 99, "ad"), ("c", 100, "cart")])[0] == [3, 1, 1, 1]


def test_who_starts_in_a_later_phase_entered_the_earlier_ones_at_once():
    assert table([("a", 0, "cart")]) == [[1, 1, 0, 0], [1, 0, 1, 0]]


def test_a_step_back_is_no_second_entry():
    rows = [("a", 0, "cart"), ("a", 5, "ad"), ("a", 6, "cart"), ("a", 12, "buy")]
    assert table(rows) == [[1, 1, 0, 0], [1, 0, 1, 0]]


def test_from_the_phase_of_the_goal_only_the_goal_continues():
    rows = [("a", 0, "cart"), ("a", 1, "buy"), ("b", 0, "cart"), ("b", 1, "use")]
    columns = ["continued", "dropped", "last_touchpoint"]
    assert table(rows, columns)[1] == [1, 1, "use"]
    assert table(rows, columns, goal=None)[1] == [1, 1, "buy"]


def test_there_is_no_drop_off_from_the_last_phase_unless_the_goal_lies_in_it():
    rows = [("a", 0, "ad"), ("a", 1, "use")]
    assert table(rows, ["phase"]) == [["before"], ["during"]]
    assert table(rows, ["phase", *COUNTS], goal="use")[2] == ["after", 1, 1, 0, 0]
    assert len(table(rows, of="stage")) == 4


def test_stages_are_entered_like_phases():
    rows = [("a", 0, "ad"), ("a", 2, "cart"), ("a", 3, "buy"), ("b", 0, "look"), ("b", 30, "cart")]
    assert table(rows, ["stage", *COUNTS], of="stage") == [
        ["aware", 2, 2, 0, 0],
        ["compare", 2, 1, 1, 0],
        ["choose", 2, 1, 1, 0],
        ["pay", 1, 1, 0, 0],
    ]


def test_what_is_no_progress_enters_nothing():
    journeys = journeys_of(
        [("a", 0, "ad"), ("a", 1, "cart"), ("b", 0, "cart")], stages=ROAD, unit=DAY, observed_until=100
    )
    still = tuple(name != "cart" for name in journeys.codebook.touchpoints)
    codebook = replace(journeys.codebook, progress=still)
    parts = tuple(replace(partition, codebook=codebook) for partition in journeys.partitions)
    frame = drop_off(replace(journeys, codebook=codebook, partitions=parts), horizon="10 days").to_frame()
    assert frame[COUNTS].to_numpy().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


LEAVERS = [("a", 95, "ad"), ("b", 95, "ad"), ("c", 95, "ad"), ("d", 95, "ad")]


def test_an_explicit_end_drops_and_silence_does_not():
    journeys = journeys_of(LEAVERS, stages=ROAD, unit=DAY, observed_until=100)
    end = 96 * DAY
    ended = changed(journeys, closed=[0, 1, 2, 3], closed_at=[NEVER, end, end, end])
    frame = drop_off(ended, horizon="10 days").to_frame()
    assert frame.loc[0, COUNTS].tolist() == [4, 0, 2, 2]


def test_an_explicit_end_after_the_horizon_changes_nothing():
    journeys = journeys_of([("a", 0, "ad"), ("b", 95, "ad")], stages=ROAD, unit=DAY, observed_until=100)
    ended = changed(journeys, closed=[3, 3], closed_at=[50 * DAY, 99 * DAY])
    assert drop_off(ended, horizon="3 days").to_frame().loc[0, COUNTS].tolist() == [2, 0, 2, 0]
    assert drop_off(ended, horizon="10 days").to_frame().loc[0, COUNTS].tolist() == [2, 0, 2, 0]
    assert drop_off(journeys, horizon="10 days").to_frame().loc[0, COUNTS].tolist() == [2, 0, 1, 1]


def test_journeys_that_began_before_the_data_are_left_out_and_counted():
    journeys = journeys_of([("a", 0, "ad"), ("b", 1, "ad")], stages=ROAD, unit=DAY, observed_until=100)
    found = drop_off(changed(journeys, truncated=[True, False]), horizon="10 days")
    assert found.to_frame()["entered"].tolist() == [1, 0]
    assert found.truncated == 1


def test_last_touchpoint_is_the_most_frequent_one_of_those_who_dropped():
    rows = [("a", 0, "ad"), ("b", 0, "ad"), ("b", 1, "look"), ("c", 0, "look"), ("d", 99, "ad")]
    assert table(rows, ["last_touchpoint"])[0] == ["look"]


def test_of_equally_frequent_last_touchpoints_the_first_by_name_is_told():
    assert table([("a", 0, "look"), ("b", 0, "ad")], ["last_touchpoint"])[0] == ["ad"]


def test_who_continued_too_late_was_last_seen_before_that():
    rows = [("a", 0, "ad"), ("a", 3, "look"), ("a", 50, "buy")]
    assert table(rows, ["last_touchpoint"])[0] == ["look"]


def test_the_horizon_comes_from_the_argument_by_name_or_is_thirty_days():
    rows = [("a", 0, "ad")]
    days = [pd.Timedelta(days=7), pd.Timedelta(days=30)]
    assert table(rows, ["horizon"], horizon={"before": "7 days"}) == [[one] for one in days]
    assert table(rows, ["horizon"], horizon=None) == [[days[1]], [days[1]]]


def test_median_dwell_is_missing_unless_half_continued():
    rows = [("a", 0, "ad"), ("a", 2, "cart"), ("b", 0, "ad")]
    assert table(rows, ["median_dwell"])[0] == [pd.Timedelta(days=2)]
    assert pd.isna(table([*rows, ("c", 0, "ad")], ["median_dwell"])[0][0])


def test_a_share_of_nobody_is_missing():
    frame = drop_off(journeys_of([("a", 0, "ad")], stages=ROAD, unit=DAY, observed_until=100)).to_frame()
    assert frame.loc[1, COUNTS].tolist() == [0, 0, 0, 0]
    assert frame.loc[1, ["drop_off", "low", "high", "median_dwell"]].isna().all()


def test_nothing_is_said_about_a_time_for_which_nobody_was_followed():
    rows = [("a", 95, "ad"), ("a", 96, "cart"), ("b", 95, "ad")]
    assert pd.isna(table(rows, ["drop_off", "low", "high"])[0]).all()
    assert table(rows, ["drop_off"], horizon="5 days")[0] == [0.5]
    # Everybody continued: then it is known without.
    assert table(rows[:2], ["drop_off"])[0] == [0.0]


def test_where_nobody_continued_the_interval_is_wilsons():
    rows = [(f"c{number}", 0, "ad") for number in range(10)]
    share, low, high = table(rows, ["drop_off", "low", "high"])[0]
    assert (share, round(low, 6), high) == (1.0, 0.722467, 1.0)


def test_where_everybody_continued_the_interval_is_wilsons():
    rows = [(f"c{number}", day, name) for number in range(10) for day, name in ((0, "ad"), (1, "cart"))]
    share, low, high = table(rows, ["drop_off", "low", "high"])[0]
    assert (share, low, round(high, 6)) == (0.0, 0.0, 0.277533)


def test_groups_are_told_by_the_event_of_entry_and_a_missing_value_has_a_name():
    rows = pd.DataFrame(
        [("a", 0, "ad", "web"), ("a", 1, "cart", None), ("b", 0, "ad", "app")],
        columns=["customer", "time", "touchpoint", "device"],
    )
    journeys = journeys_of(rows, stages=ROAD, unit=DAY, observed_until=100)
    frame = drop_off(journeys, horizon="10 days", by="device").to_frame()
    assert frame.columns[:2].tolist() == ["device", "phase"]
    assert frame.set_index(["device", "phase"])["entered"].to_dict() == {
        (NONE, "before"): 0,
        (NONE, "during"): 1,
        ("app", "before"): 1,
        ("app", "during"): 0,
        ("web", "before"): 1,
        ("web", "during"): 0,
    }


def test_groups_by_two_columns_are_their_combinations():
    rows = random_rows(np.random.default_rng(3), n_customers=20, n_events=200)
    rows["touchpoint"] = rows["touchpoint"].map(dict(zip("ABCDE", ROAD, strict=True)))
    journeys = journeys_of(rows, stages=ROAD)
    frame = drop_off(journeys, horizon="1 hour", by=["channel", "session"]).to_frame()
    alone = drop_off(journeys, horizon="1 hour").to_frame()
    assert frame.columns[:3].tolist() == ["channel", "session", "phase"]
    assert frame.groupby("phase", sort=False)["entered"].sum().tolist() == alone["entered"].tolist()


def test_two_groups_compare_like_two_shares_when_all_were_followed():
    from scipy.stats import norm

    rows = [
        (f"{group}{number}", day, name, group)
        for group, continued in (("app", 14), ("web", 32))
        for number in range({"app": 70, "web": 80}[group])
        for day, name in ((0, "ad"), (1, "cart"))[: 1 + (number < continued)]
    ]
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "device"])
    journeys = journeys_of(frame, stages=ROAD, unit=DAY, observed_until=100)
    found = drop_off(journeys, horizon="10 days", by="device").compare()
    assert found.loc[0, ["device", "other_device", "phase"]].tolist() == ["app", "web", "before"]
    assert found.loc[0, "difference"] == pytest.approx(0.8 - 0.6)
    z = 0.2 / np.sqrt(0.8 * 0.2 / 70 + 0.6 * 0.4 / 80)  # 56 of 70 and 48 of 80 dropped
    assert found.loc[0, "p_value"] == pytest.approx(2 * norm.sf(z))
    assert [found.loc[0, "low"], found.loc[0, "high"]] == pytest.approx([0.0524, 0.3339], abs=0.01)
    assert found.loc[0, "verdict"] == "higher"
    assert found["tests"].tolist() == [2, 2]


def test_only_groups_compare():
    journeys = journeys_of([("a", 0, "ad")], stages=ROAD)
    with pytest.raises(InputError, match="no groups"):
        drop_off(journeys).compare()


def test_bad_arguments_say_what_is_wrong():
    journeys = journeys_of([("a", 0, "ad")], stages=ROAD)
    for options, error, message in (
        ({"of": "stages"}, UnknownNameError, "Did you mean 'stage'"),
        ({"horizon": "14"}, InputError, "horizon='14' is no duration"),
        ({"horizon": {"befor": "14 days"}}, UnknownNameError, "Did you mean 'before'"),
        ({"horizon": {"before": "0 days"}}, InputError, "longer than nothing"),
        ({"by": "devise"}, UnknownNameError, "No column named 'devise'"),
    ):
        with pytest.raises(error, match=message):
            drop_off(journeys, **options)


def test_without_a_model_there_are_no_phases_to_leave():
    with pytest.raises(InputError, match=r"JourneyModel\.standard"):
        drop_off(journeys_of([("a", 0, "ad")]))


# ── the definition as a plain loop ────────────────────────────────────────────────────────────────


def slow_rows(journeys, of, horizon, goal_place):
    """Per place: entered, continued, dropped, open, drop-off, last touchpoint; journey after journey."""
    codebook = journeys.codebook
    places = codebook.names(of)
    until = journeys.observed_until()
    result = []
    for place in range(len(places)):
        if place == len(places) - 1 and place != goal_place:
            continue
        continued = dropped = opened = 0
        seen, kinds, last = [], [], []
        for partition in journeys.partitions:
            times, wheres = partition.event("time").tolist(), partition.event(of).tolist()
            codes = partition.event("touchpoint").tolist()
            goals, closed = partition.journey("goal").tolist(), partition.journey("closed").tolist()
            closed_at = partition.journey("closed_at").tolist()
            for number in range(partition.n_journeys):
                rows = slice(partition.offsets[number], partition.offsets[number + 1])
                time, where = times[rows], wheres[rows]
                names = [codebook.touchpoints[code] for code in codes[rows]]
                entered = [at for at, one in zip(time, where, strict=True) if one >= place]
                if not entered:
                    continue
                start = entered[0]
                if place == goal_place:
                    following = goals[number]
                    following = NEVER if following == NEVER else max(following, start)
                else:
                    later = [at for at, one in zip(time, where, strict=True) if one > place]
                    following = later[0] if later else NEVER
                ended = closed_at[number] if closed[number] in {2, 3} else NEVER
                if following <= start + horizon and following <= ended:
                    continued += 1
                elif ended <= start + horizon or until - start >= horizon:
                    dropped += 1
                    last.append([name for name, at in zip(names, time, strict=True) if at < following][-1])
                else:
                    opened += 1
                first = min(following, ended, until)
                seen.append(first - start if start <= until else -1)
                kinds.append(0 if start > until else 1 if following == first else 2 if ended == first else 0)
        share = slow_drop_off(np.array(seen), np.array(kinds), horizon)
        often = sorted(set(last), key=lambda name: (-last.count(name), name))
        result.append((continued + dropped + opened, continued, dropped, opened, share, [*often, None][0]))
    return result


def slow_drop_off(seen, kinds, horizon):
    """1 − F(horizon) by Aalen and Johansen, time after time; missing where it is not known."""
    survival, incidence = 1.0, 0.0
    for time in sorted({one for one in seen if one <= horizon}):
        at_risk = (seen >= time).sum()
        incidence += survival * ((seen == time) & (kinds == 1)).sum() / at_risk
        survival *= 1 - ((seen == time) & (kinds > 0)).sum() / at_risk
    known = len(seen) and (survival == 0 or (seen >= horizon).any())
    return 1 - incidence if known else np.nan


def random_journeys(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(
        rng, n_customers=int(rng.integers(1, 30)), n_events=int(rng.integers(1, 150)), span=120
    )
    rows["touchpoint"] = rows["touchpoint"].map(dict(zip("ABCDE", ROAD, strict=True)))
    goal = rng.choice(["buy", "use", "ad", None])
    if goal is not None and goal not in set(rows["touchpoint"]):
        goal = None
    until = int(rng.integers(60, 140))
    journeys = journeys_of(rows, stages=ROAD, goal=goal, observed_until=until)
    n = len(journeys)
    closed = rng.integers(0, 4, n)
    (partition,) = journeys.partitions
    last = partition.event("time")[partition.offsets[1:] - 1]
    closed_at = np.where(closed > 0, last + rng.integers(0, 30, n) * MINUTE, NEVER)
    return changed(journeys, closed=closed, closed_at=closed_at), goal


def test_fast_equals_the_definition_on_random_logs():
    for seed in range(150):
        journeys, goal = random_journeys(seed)
        for of in ("phase", "stage"):
            places = journeys.codebook.names(of)
            goal_place = places.index(ROAD[goal][of == "phase"]) if goal else -1
            frame = drop_off(journeys, of=of, horizon="25 minutes").to_frame()
            expected = slow_rows(journeys, of, 25 * MINUTE, goal_place)
            got = frame[[*COUNTS, "drop_off", "last_touchpoint"]].to_numpy().tolist()
            for left, right in zip(got, expected, strict=True):
                assert left[:4] == list(right[:4]), seed
                assert left[4] == pytest.approx(right[4], nan_ok=True), seed
                assert left[5] == right[5], seed
            assert (frame["entered"] == frame[["continued", "dropped", "open"]].sum(axis=1)).all()


def test_without_explicit_ends_the_estimate_is_lifelines_kaplan_meier():
    from lifelines import KaplanMeierFitter

    rng = np.random.default_rng(5)
    rows = [
        (f"c{number}", time, name)
        for number in range(300)
        for start, wait in [(rng.integers(0, 60), rng.exponential(12))]
        for time, name in ((float(start), "ad"), (float(start + wait), "cart"))
        if time <= 60
    ]
    journeys = journeys_of(rows, stages=ROAD, unit=DAY, observed_until=60)
    found = drop_off(journeys, horizon="14 days")
    spans = pd.DataFrame(rows, columns=["who", "time", "what"]).pivot_table(
        index="who", columns="what", values="time"
    )
    fit = KaplanMeierFitter().fit(spans["cart"].fillna(60) - spans["ad"], spans["cart"].notna())
    interval = fit.confidence_interval_survival_function_
    at = interval.index.searchsorted(14, side="right") - 1
    row = found.to_frame().loc[0]
    assert row["drop_off"] == pytest.approx(fit.predict(14))
    assert [row["low"], row["high"]] == pytest.approx(interval.iloc[at].tolist())
    assert row["median_dwell"] / pd.Timedelta(days=1) == pytest.approx(fit.median_survival_time_)
    curve = found.curve().query("phase == 'before'")
    assert curve["at_risk"].iloc[0] == 300
    np.testing.assert_allclose(1 - curve["incidence"], fit.survival_function_.iloc[:, 0], atol=1e-12)


def test_the_curve_counts_everybody_once_and_begins_at_nothing():
    journeys, _ = random_journeys(11)
    found = drop_off(journeys, of="stage", horizon="25 minutes", by="channel")
    curve = found.curve()
    assert curve.columns.tolist() == [
        "channel", "stage", "time", "at_risk", "continued", "left", "censored", "incidence", "low", "high",
    ]  # fmt: skip
    for _, one in curve.groupby(["channel", "stage"]):
        assert one["time"].iloc[0] == pd.Timedelta(0)
        ends = one[["continued", "left", "censored"]].sum(axis=1)
        assert one["at_risk"].iloc[0] == ends.sum()
        assert (one["at_risk"].diff().dropna() == -ends.shift().dropna()).all()


# ── where they were last seen, and where they went ────────────────────────────────────────────────


def places_of(journeys, **options):
    """Phase, kind, touchpoint, journeys, dropped and share of those who dropped within ten days."""
    found = drop_off(journeys, **{"horizon": "10 days"} | options).whereabouts()
    return found.astype(object).to_numpy().tolist()


def test_who_came_back_late_went_to_the_first_touchpoint_after_the_horizon():
    rows = [("a", 0, "ad"), ("a", 10, "look"), ("a", 20, "ad"), ("a", 50, "cart"), ("a", 51, "buy")]
    journeys = journeys_of(rows, stages=ROAD, unit=DAY, goal="buy", observed_until=100)
    assert places_of(journeys) == [["before", "last", "look", 1, 1, 1.0], ["before", "next", "ad", 1, 1, 1.0]]


def test_all_touchpoints_are_told_with_their_shares_the_most_frequent_first():
    rows = [
        ("a", 0, "ad"),
        ("b", 0, "look"),
        ("c", 0, "ad"),
        ("c", 30, "look"),
        ("d", 0, "ad"),
        ("e", 99, "ad"),
    ]
    journeys = journeys_of(rows, stages=ROAD, unit=DAY, observed_until=100)
    assert places_of(journeys) == [
        ["before", "last", "ad", 3, 4, 0.75],
        ["before", "last", "look", 1, 4, 0.25],
        ["before", "next", "(nothing)", 3, 4, 0.75],
        ["before", "next", "look", 1, 4, 0.25],
    ]


def test_an_explicit_end_says_whether_they_left_or_began_anew():
    journeys = journeys_of(LEAVERS, stages=ROAD, unit=DAY, observed_until=200)
    end = 96 * DAY
    ended = changed(journeys, closed=[0, 1, 2, 3], closed_at=[NEVER, end, end, end])
    assert [row[2:4] for row in places_of(ended) if row[1] == "next"] == [
        ["(nothing)", 2],
        ["(left)", 1],
        ["(new journey)", 1],
    ]


def test_an_end_after_the_horizon_is_told_unless_the_journey_came_back_before_it():
    rows = [("a", 0, "ad"), ("a", 40, "look"), ("b", 0, "ad"), ("b", 30, "ad")]
    journeys = journeys_of(rows, stages=ROAD, unit=DAY, observed_until=100)
    ended = changed(journeys, closed=[3, 3], closed_at=[40 * DAY, 31 * DAY])
    assert [row[2:4] for row in places_of(ended) if row[1] == "next"] == [["(left)", 1], ["ad", 1]]


def test_a_silent_journey_was_followed_by_the_customers_next_one():
    rows = pd.DataFrame(
        [("a", 0, "ad", 0), ("a", 60, "ad", 1), ("b", 0, "ad", 0)],
        columns=["customer", "time", "touchpoint", "journey"],
    )
    journeys = journeys_of(rows, stages=ROAD, unit=DAY, observed_until=65)
    assert [row[2:4] for row in places_of(journeys) if row[1] == "next"] == [
        ["(new journey)", 1],
        ["(nothing)", 1],
    ]


def test_where_nobody_dropped_there_are_no_whereabouts():
    found = drop_off(journeys_of([("a", 0, "ad")], stages=ROAD, observed_until=1), by="channel").whereabouts()
    assert found.columns.tolist() == [
        "channel", "phase", "kind", "touchpoint", "journeys", "dropped", "share",
    ]  # fmt: skip
    assert len(found) == 0


def slow_whereabouts(journeys, of, horizon, goal_place):
    """Counts by (group, place, kind, touchpoint), journey after journey; groups are channels."""
    names, places, until = (
        journeys.codebook.touchpoints,
        journeys.codebook.names(of),
        journeys.observed_until(),
    )
    (partition,) = journeys.partitions
    channels, progress = partition.labels("channel"), len(places) - 1
    counts = Counter()
    log = [
        [
            (int(partition.event("time")[row]), int(partition.event(of)[row]), row)
            for row in range(partition.offsets[number], partition.offsets[number + 1])
        ]
        for number in range(partition.n_journeys)
    ]
    for number, events in enumerate(log):
        who, closed = partition.journey("customer")[number], partition.journey("closed")[number]
        ended = int(partition.journey("closed_at")[number]) if closed in {2, 3} else NEVER
        others = [
            log[one][0][0] for one in range(number + 1, len(log)) if partition.journey("customer")[one] == who
        ]
        for place in range(progress + (goal_place == progress)):
            entered = [(at, row) for at, where, row in events if where >= place]
            if not entered:
                continue
            start, row_of_entry = entered[0]
            goals = [int(partition.journey("goal")[number])]
            later = goals if place == goal_place else [at for at, where, _ in events if where > place]
            went_on = max(min(later, default=NEVER), start)
            runs_out = start + horizon
            if (went_on <= runs_out and went_on <= ended) or (until < runs_out < ended):
                continue
            drop = max(min(runs_out, ended), start)
            after = [(at, 2, names[partition.event("touchpoint")[row]]) for at, _, row in events if at > drop]
            after += [(at, 1, "(new journey)") for at in others]
            after += [(ended, 0, "(new journey)" if closed == 2 else "(left)")] if ended < NEVER else []
            after = [min(after, key=lambda one: one[:2])[2]] if after else ["(nothing)"]
            before = [row for at, _, row in events if at <= drop]
            group = channels.names[channels.codes[row_of_entry]]
            counts[group, places[place], "last", names[partition.event("touchpoint")[before[-1]]]] += 1
            counts[group, places[place], "next", after[0]] += 1
    return counts


def test_whereabouts_equal_the_definition_on_random_logs():
    told = Counter()
    for seed in range(100):
        journeys, goal = random_journeys(seed)
        for of in ("phase", "stage"):
            goal_place = journeys.codebook.names(of).index(ROAD[goal][of == "phase"]) if goal else -1
            found = drop_off(journeys, of=of, horizon="25 minutes", by="channel")
            frame = found.whereabouts()
            keys = frame[["channel", of, "kind", "touchpoint"]].itertuples(index=False, name=None)
            counts = dict(zip(keys, frame["journeys"], strict=True))
            assert counts == slow_whereabouts(journeys, of, 25 * MINUTE, goal_place), seed
            told.update(frame["touchpoint"])
            shares = frame.groupby(["channel", of, "kind"])[["journeys", "share"]].sum()
            dropped = found.to_frame().set_index(["channel", of])["dropped"]
            assert (shares["share"] - 1).abs().max() < 1e-12 or shares.empty
            for kind in ("last", "next"):
                totals = (
                    shares["journeys"].groupby(level=[0, 1, 2]).sum().xs(kind, level="kind")
                    if len(shares)
                    else {}
                )
                assert dict(totals) == dropped[dropped > 0].to_dict(), seed
    assert {"(new journey)", "(left)", "(nothing)", "look"} <= set(told)


def test_whereabouts_obey_the_laws_of_partials():
    for seed in range(20):
        journeys, _ = random_journeys(seed)
        analysis = DropOffAnalysis.plan(journeys, of="stage", horizon="25 minutes", by="channel")
        (whole,) = journeys.partitions
        owner = np.random.default_rng(seed).integers(0, 3, whole.n_customers)[whole.journey("customer")]
        a, b, c = (analysis.map(whole.take(owner == number)) for number in range(3))
        nothing = analysis.map(whole.take(np.zeros(len(journeys), dtype=bool)))
        alone = analysis.finalize(analysis.map(whole)).whereabouts()
        for merged in ((a + b) + c, a + (b + c), c + b + a, nothing + a + c + nothing + b):
            pd.testing.assert_frame_equal(analysis.finalize(merged).whereabouts(), alone, check_exact=True)


# ── partials ──────────────────────────────────────────────────────────────────────────────────────


def test_durations_are_rounded_down_alike_in_whatever_order_cells_are_added(monkeypatch):
    monkeypatch.setattr(waits, "_MOST_TIMES", 190)
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"customer": [f"c{n // 2}" for n in range(400)], "touchpoint": ["ad", "cart"] * 200})
    rows["time"] = np.where(np.arange(400) % 2 == 0, 0.0, rng.exponential(3 * HOUR, 400).round())
    journeys = journeys_of(rows, stages=ROAD, unit=1, observed_until=DAY, n_partitions=4)
    analysis = DropOffAnalysis.plan(journeys, horizon="2 hours")
    a, b, c, d = (analysis.map(partition) for partition in journeys.partitions)
    one, other = analysis.finalize(((a + b) + c) + d), analysis.finalize((d + a) + (c + b))
    assert one.resolution == other.resolution == pd.Timedelta(minutes=1)
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame(), check_exact=True)
    pd.testing.assert_frame_equal(one.curve(), other.curve(), check_exact=True)
    assert "rounded" in one._repr_html_()
    monkeypatch.setattr(waits, "_MOST_TIMES", 2**20)
    exact = drop_off(journeys, horizon="2 hours")
    assert exact.to_frame()[COUNTS].equals(one.to_frame()[COUNTS])
    assert exact.to_frame()["drop_off"].tolist() == pytest.approx(
        one.to_frame()["drop_off"].tolist(), abs=0.02
    )


def test_nothing_added_changes_nothing():
    journeys, _ = random_journeys(4)
    analysis = DropOffAnalysis.plan(journeys, horizon="25 minutes", by="channel")
    partial = analysis.map(journeys.partitions[0])
    both = analysis.finalize(DropOffPartial() + partial + DropOffPartial()).to_frame()
    pd.testing.assert_frame_equal(both, analysis.finalize(partial).to_frame(), check_exact=True)


# ── the simulated truth ───────────────────────────────────────────────────────────────────────────

SHARE, MEAN, SPAN = 0.6, 10.0, 90.0
TRUTH = SHARE * (1 - np.exp(-30 / MEAN))
"""Share that converts within 30 days: six in ten ever do, half of these within a week (7 days)."""


def simulated(rng, n):
    """Follow-up and whether the conversion was seen, for journeys started evenly over 90 days."""
    followed = SPAN - rng.uniform(0, SPAN, n)
    converts = np.where(rng.random(n) < SHARE, rng.exponential(MEAN, n), np.inf)
    return np.minimum(converts, followed), converts <= followed, followed


def test_the_truth_of_the_simulation_is_the_stated_one():
    assert pytest.approx(0.571, abs=0.001) == TRUTH


def test_kaplan_meier_finds_the_truth_that_the_raw_ratio_misses():
    seen, converted, _ = simulated(np.random.default_rng(0), 200_000)
    curve = kaplan_meier(life_table(seen, converted))
    within = 1 - curve.survival[np.searchsorted(curve.time, 30.0, side="right") - 1]
    assert within == pytest.approx(TRUTH, abs=0.005)
    raw = (converted & (seen <= 30)).mean()
    assert raw == pytest.approx(0.517, abs=0.01)
    assert within - raw > 0.04


def test_the_interval_holds_the_truth_in_at_least_93_of_100_simulations():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        seen, converted, _ = simulated(rng, 1000)
        found = aalen_johansen(life_table(np.floor(seen * 24), converted, n_causes=2))
        at = np.searchsorted(found.time, 30 * 24, side="right") - 1
        held += found.low[at] <= TRUTH <= found.high[at]
    assert held >= 930


def test_the_interval_holds_the_truth_where_explicit_ends_compete():
    rng = np.random.default_rng(2)
    held, truth = 0, 0.02 / 0.05 * (1 - np.exp(-0.05 * 30))
    for _ in range(1000):
        followed, ended = SPAN - rng.uniform(0, SPAN, 400), rng.exponential(20, 400)
        cause = np.where(ended <= followed, np.where(rng.random(400) < 0.4, 1, 2), 0)
        found = aalen_johansen(life_table(np.minimum(ended, followed), cause, n_causes=2))
        at = np.searchsorted(found.time, 30.0, side="right") - 1
        held += found.low[at] <= truth <= found.high[at]
    assert held >= 930


def test_the_whole_analysis_finds_the_simulated_truth():
    rng = np.random.default_rng(3)
    seen, converted, followed = simulated(rng, 1500)
    start = SPAN - followed
    rows = pd.DataFrame(
        {
            "customer": [f"c{number:04d}" for number in range(1500)] * 2,
            "time": np.concatenate([start, start + seen]),
            "touchpoint": ["ad"] * 1500 + np.where(converted, "cart", "gone").tolist(),
        }
    )
    rows = rows[rows["touchpoint"] != "gone"]
    # Built at once: the fixture's loop over journeys is slow.
    row = (
        drop_off(journeys_of(rows, stages=ROAD, unit=DAY, observed_until=SPAN), horizon="30 days")
        .to_frame()
        .loc[0]
    )
    assert row["low"] <= 1 - TRUTH <= row["high"]
    assert row["continued"] / row["entered"] < TRUTH - 0.03


@pytest.fixture(scope="module")
def sample_shop(root):
    """The sample shop's journeys by its own model."""
    import cjm_analytics as cjm

    samples = root / "data" / "samples"
    clicks = cjm.loaders.segment(samples / "clickstream.jsonl.gz")
    events = cjm.ingest([clicks, cjm.loaders.zendesk(samples / "crm")])
    return cjm.sessionize(events, cjm.JourneyModel.read(samples / "journey.toml"))


def test_the_drop_off_of_the_sample_shop_is_the_true_one_within_its_interval(sample_shop, root):
    truth = pd.read_csv(root / "data" / "samples" / "truth" / "drop_off.csv")
    for of, true in truth.groupby("of"):
        found = drop_off(sample_shop, of=of).to_frame().set_index(of).loc[true["name"]]
        assert (found["low"].to_numpy() <= true["drop_off"]).all()
        assert (true["drop_off"] <= found["high"].to_numpy()).all()


# ── the picture ───────────────────────────────────────────────────────────────────────────────────


def test_the_chart_draws_the_columns_of_the_frame():
    rows = random_rows(np.random.default_rng(1), n_customers=60, n_events=400)
    rows["touchpoint"] = rows["touchpoint"].map(dict(zip("ABCDE", ROAD, strict=True)))
    found = drop_off(journeys_of(rows, stages=ROAD, goal="buy"), horizon="1 hour")
    frame, figure = found.to_frame(), found.plot()
    bars = {trace.name: list(trace.x) for trace in figure.data if trace.type == "bar"}
    for name, column in (("dropped", "dropped"), ("still open", "open"), ("continued", "continued")):
        assert bars[name] == pytest.approx((frame[column] / frame["entered"]).tolist())
    (points,) = (trace for trace in figure.data if trace.type == "scatter" and len(trace.x))
    assert list(points.x) == frame["drop_off"].tolist()
    assert (points.x + points.error_x.array).tolist() == pytest.approx(frame["high"].tolist())


def test_too_few_are_not_drawn_as_an_estimate():
    found = drop_off(journeys_of([("a", 0, "ad")], stages=ROAD, unit=DAY, observed_until=100))
    assert found.to_frame()["reliability"].tolist() == ["hidden", "hidden"]
    assert all(trace.type == "bar" or not len(trace.x) for trace in found.plot().data)


def test_the_chart_of_groups_leaves_out_small_ones_and_all_but_the_largest_and_says_so():
    sizes = {f"g{number}": 30 - number for number in range(9)} | {"tiny": 2}
    rows = [(f"{group}{number}", 0, "ad", group) for group, n in sizes.items() for number in range(n)]
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "plan"])
    found = drop_off(journeys_of(frame, stages=ROAD, unit=DAY, observed_until=100), by="plan")
    figure = found.plot()
    names = [text.split("<br>")[0] for text in figure.layout.yaxis.ticktext if "<br>" in text]
    assert list(dict.fromkeys(names)) == [f"g{number}" for number in range(8)]
    assert "2 more groups" in figure.layout.title.text


def test_a_chart_and_a_card_of_nothing_say_so():
    journeys, _ = random_journeys(4)
    nothing = journeys.partitions[0].take(np.zeros(len(journeys), dtype=bool))
    found = drop_off(replace(journeys, partitions=(nothing,)))
    assert "No journey entered" in found.plot().to_json()
    assert "Drop-off" in found._repr_html_()


def test_a_result_and_its_frame_do_not_change_each_other():
    found = drop_off(journeys_of([("a", 0, "ad")], stages=ROAD))
    frame = found.to_frame()
    frame["entered"] = 7
    assert found.to_frame()["entered"].tolist() == [1, 0]
