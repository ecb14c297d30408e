"""Retention, lifecycle and stickiness: literal tables, plain loops over customers, and ClickHouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.lifecycle import lifecycle
from cjm_analytics.analysis.periods import Calendar
from cjm_analytics.analysis.retention import retention
from cjm_analytics.analysis.stickiness import stickiness
from cjm_analytics.durations import DAY, HOUR
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.model import ReportRules
from logs import journeys_of, random_rows

MONDAY = 4 * DAY  # 1970-01-05, UTC


def log(rows, *, until=100, timezone=None, unit=DAY, **options):
    """Journeys of (customer, day after Monday 1970-01-05, touchpoint)."""
    frame = pd.DataFrame(rows, columns=["customer", "time", "touchpoint"]) if isinstance(rows, list) else rows
    frame = frame.assign(time=frame["time"] * unit + MONDAY)
    journeys = journeys_of(frame, unit=1, observed_until=MONDAY + until * unit - 1, **options)
    model = SimpleNamespace(timezone=timezone, report=ReportRules())
    return replace(journeys, model=model) if timezone else journeys


def cells(found, columns=("customers", "returned", "complete")):
    frame = found.to_frame()
    weeks = (frame["cohort"] - pd.Timestamp("1970-01-05")).dt.days
    return list(zip(weeks, frame["period"], *(frame[name] for name in columns), strict=True))


# ── retention ─────────────────────────────────────────────────────────────────────────────────────


def test_a_customer_belongs_to_the_cohort_of_the_first_start_and_returns_by_the_calendar():
    rows = [("a", 6, "join"), ("a", 7, "use"), ("a", 8, "join"), ("b", 8, "join"), ("b", 20, "use")]
    found = retention(log(rows, until=21), start="join", returning="use")
    assert cells(found) == [
        (0, 0, 1, 1, True), (0, 1, 1, 1, True), (0, 2, 1, 0, True),
        (7, 0, 1, 1, True), (7, 1, 1, 1, True),
    ]  # fmt: skip


def test_without_a_returning_event_any_event_is_a_return():
    found = retention(log([("a", 0, "join"), ("a", 9, "look")], until=14), start="join")
    assert cells(found) == [(0, 0, 1, 1, True), (0, 1, 1, 1, True)]


def test_a_return_before_the_start_is_none():
    rows = [("a", 0, "use"), ("a", 1, "join"), ("b", 0, "join"), ("b", 1, "use")]
    found = retention(log(rows, until=14), start="join", returning="use")
    assert cells(found) == [(0, 0, 2, 2, True), (0, 1, 2, 0, True)]


def test_recurring_cohorts_hold_everybody_who_started_in_the_period():
    rows = [("a", 0, "join"), ("a", 1, "join"), ("a", 7, "join"), ("a", 14, "use")]
    found = retention(log(rows, until=21), start="join", returning="use", recurring=True)
    assert cells(found) == [
        (0, 0, 1, 1, True), (0, 1, 1, 0, True), (0, 2, 1, 1, True),
        (7, 0, 1, 1, True), (7, 1, 1, 1, True),
    ]  # fmt: skip


KIND_ROWS = [("a", 0, "join"), ("a", 7, "use"), ("a", 21, "use"), ("b", 0, "join"), ("b", 14, "use")]


@pytest.mark.parametrize(
    ("kind", "returned"),
    [
        ("bounded", [2, 1, 1, 1, 0]),
        ("unbounded", [2, 2, 2, 1, 0]),
        ("rolling", [2, 1, 0, 0, 0]),
        ("cumulative", [2, 1, 2, 2, 2]),
    ],
)
def test_the_kinds_of_retention(kind, returned):
    found = retention(log(KIND_ROWS, until=35), start="join", returning="use", kind=kind)
    assert found.to_frame()["returned"].tolist() == returned


def test_periods_that_are_not_over_are_marked_and_left_out_of_the_curve():
    rows = [("a", 0, "join"), ("b", 7, "join"), ("b", 14, "use")]
    found = retention(log(rows, until=20), start="join", returning="use")
    assert cells(found, ["returned", "complete"]) == [
        (0, 0, 1, True), (0, 1, 0, True), (0, 2, 0, False),
        (7, 0, 1, True), (7, 1, 1, False),
    ]  # fmt: skip
    curve = found.curve()
    assert curve[["period", "cohorts", "customers", "returned", "retention"]].to_numpy().tolist() == [
        [0, 2, 2, 2, 1], [1, 1, 1, 0, 0],
    ]  # fmt: skip


def test_a_period_is_over_with_its_last_microsecond():
    rows = [("a", 0, "join")]
    assert retention(log(rows, until=14), start="join").to_frame()["complete"].tolist() == [True, True]
    early = log(rows, until=14)
    early = replace(early, observation_ends={"log": early.observation_ends["log"] - 1})
    assert retention(early, start="join").to_frame()["complete"].tolist() == [True, False]


def test_what_comes_after_the_observation_end_is_not_used():
    rows = [("a", 0, "join"), ("a", 15, "use"), ("b", 16, "join")]
    found = retention(log(rows, until=14), start="join", returning="use")
    assert cells(found) == [(0, 0, 1, 1, True), (0, 1, 1, 0, True)]
    assert (found.customers, found.after_end) == (1, 1)


def test_periods_may_run_from_the_instant_of_the_start():
    rows = [("a", 6.5, "join"), ("a", 13.4, "use"), ("b", 6.5, "join"), ("b", 13.5, "use")]
    found = retention(log(rows, until=28), start="join", returning="use", calendar=False)
    assert cells(found) == [(0, 0, 2, 2, True), (0, 1, 2, 1, True), (0, 2, 2, 0, True), (0, 3, 2, 0, False)]


def test_a_period_from_the_instant_is_over_when_it_is_for_the_last_of_the_cohort():
    found = retention(log([("a", 0, "join")], until=20.99), start="join", calendar=False)
    assert found.to_frame()["complete"].tolist() == [True, False, False]


def test_brackets_count_days_after_the_start():
    rows = [
        ("a", 2, "join"),
        ("a", 3, "use"),
        ("b", 2, "join"),
        ("b", 9, "use"),
        ("c", 2, "join"),
        ("c", 16, "use"),
    ]
    found = retention(log(rows, until=60), start="join", returning="use", brackets=[1, 7, 14])
    frame = found.to_frame()
    assert frame["label"].tolist() == ["day 0", "days 1–6", "days 7–13"]
    assert frame["returned"].tolist() == [3, 1, 1]
    later = retention(
        log(rows, until=60), start="join", returning="use", brackets=[1, 7, 14], kind="unbounded"
    )
    assert later.to_frame()["returned"].tolist() == [3, 3, 2]


def test_days_follow_the_clock_of_the_model():
    # 23:30 and 00:30 in Berlin are the same day in UTC; clocks go forward on 29 March 2026.
    start = (pd.Timestamp("2026-03-28 22:30", tz="UTC").value // 1000 - MONDAY) / HOUR
    rows = [("a", start, "join"), ("a", start + 1, "use"), ("a", start + 24, "use")]
    berlin = log(rows, until=start + 72, unit=HOUR, timezone="Europe/Berlin")
    frame = retention(berlin, start="join", returning="use", period="day").to_frame()
    assert frame["cohort"].unique().tolist() == [pd.Timestamp("2026-03-28")]
    assert frame["returned"].tolist()[:3] == [1, 1, 1]
    utc = retention(log(rows, until=start + 72, unit=HOUR), start="join", returning="use", period="day")
    assert utc.to_frame()["returned"].tolist()[:3] == [1, 1, 0]


def test_months_are_calendar_months():
    rows = [("a", 0, "join"), ("a", 30, "use"), ("b", 0, "join"), ("b", 56, "use")]
    found = retention(log(rows, until=100), start="join", returning="use", period="month", periods=2)
    assert found.to_frame()[["period", "returned"]].to_numpy().tolist() == [[0, 2], [1, 1], [2, 1]]


def plain(rows, until, options):
    """Customers by cohort, and customers that returned by (cohort, slot)."""
    zone, length = ZoneInfo(options["timezone"]), {"day": 1, "week": 7, "month": 30}[options["period"]]

    def local(time):
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time))).astimezone(zone).date()

    def begin(day):
        if options["period"] == "week":
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if options["period"] == "month" else day

    def steps(start, later):
        if options["brackets"]:
            days = (local(later) - local(start)).days if options["calendar"] else (later - start) // DAY
            bounds = [0, *options["brackets"]]
            if days >= bounds[-1]:
                return len(bounds) - 1
            return max(n for n, bound in enumerate(bounds) if days >= bound)
        if not options["calendar"]:
            return (later - start) // (length * DAY)
        one, other = begin(local(start)), begin(local(later))
        if options["period"] == "month":
            return (other.year - one.year) * 12 + other.month - one.month
        return (other - one).days // length

    n_slots = len(options["brackets"] or []) or 10**6
    customers, returned = {}, {}
    for _, one in rows.groupby("customer"):
        events = [(t, name) for t, name in zip(one["at"], one["touchpoint"], strict=True) if t <= until]
        anchors = {}
        for place, (time, name) in enumerate(events):
            if name == "A":
                anchors.setdefault(begin(local(time)), (place, time))
        for number, (cohort, (place, time)) in enumerate(anchors.items()):
            if number and not options["recurring"]:
                break
            customers[cohort] = customers.get(cohort, 0) + 1
            slots = {steps(time, t) for t, name in events[place + 1 :] if options["any"] or name == "C"} - {0}
            inside = {slot for slot in slots if slot < n_slots}
            last = max(slots, default=0)
            for slot in range(1, min(n_slots, 400)):
                if {
                    "bounded": slot in inside,
                    "unbounded": slot <= last,
                    "rolling": all(one in inside for one in range(1, slot + 1)),
                    "cumulative": any(one in inside for one in range(1, slot + 1)),
                }[options["kind"]]:
                    returned[cohort, slot] = returned.get((cohort, slot), 0) + 1
    return customers, returned


@pytest.mark.parametrize("kind", ["bounded", "unbounded", "rolling", "cumulative"])
@pytest.mark.parametrize("seed", range(40))
def test_random_logs_equal_a_plain_loop(kind, seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=8, n_events=70, alphabet="ABC", span=110)
    rows["at"] = (rows["time"] * DAY + rng.integers(0, 24, len(rows)) * HOUR + MONDAY + 10_300 * DAY).astype(
        np.int64
    )
    rows = rows.sort_values(["customer", "journey", "at"], kind="stable", ignore_index=True)
    options = {
        "kind": kind,
        "period": ["day", "week", "month"][seed % 3],
        "calendar": bool(seed // 3 % 2),
        "recurring": bool(seed // 6 % 2),
        "brackets": [None, [1, 3, 10, 30]][seed // 12 % 2],
        "any": bool(rng.integers(0, 2)),
        "timezone": ["UTC", "America/New_York", "Europe/Berlin"][rng.integers(0, 3)],
    }
    until = int(rows["at"].max() - rng.integers(0, 20) * DAY)
    journeys = journeys_of(rows.assign(time=rows["at"]), unit=1, observed_until=until, n_partitions=2)
    journeys = replace(journeys, model=SimpleNamespace(timezone=options["timezone"], report=ReportRules()))
    found = retention(
        journeys, start="A", returning=None if options["any"] else "C", kind=kind,
        **{name: options[name] for name in ("period", "calendar", "recurring", "brackets")},
    ).to_frame()  # fmt: skip
    customers, returned = plain(rows, until, options)
    told = {}
    for row in found.to_dict("records"):
        cohort = row["cohort"].date()
        assert row["customers"] == customers[cohort]
        told[cohort, row["period"]] = row["returned"]
    assert {cohort for cohort, _ in told} == set(customers)
    for (cohort, slot), count in told.items():
        assert count == (customers[cohort] if slot == 0 else returned.get((cohort, slot), 0)), (cohort, slot)
    if kind == "bounded":
        assert set(returned) <= set(told)


def test_recurring_days_equal_clickhouse():
    chdb = pytest.importorskip("chdb")
    rng = np.random.default_rng(7)
    rows = random_rows(rng, n_customers=40, n_events=900, alphabet="AC", span=15)
    found = retention(log(rows, until=15), start="A", returning="C", period="day", recurring=True).to_frame()
    values = ",".join(
        f"('{row.customer}',{int(row.time)},'{row.touchpoint}')" for row in rows.itertuples(index=False)
    )
    for cohort in range(0, 12, 3):
        conditions = ",".join(f"day = {cohort + after} AND what = 'C'" for after in range(1, 4))
        query = (
            f"SELECT sum(r[1]), sum(r[2]), sum(r[3]), sum(r[4]) FROM (SELECT retention(day = {cohort} AND "
            f"what = 'A', {conditions}) AS r FROM values('who String, day Int32, what String', {values}) "
            "GROUP BY who)"
        )
        theirs = [int(one) for one in str(chdb.query(query, "CSV")).strip().split(",")]
        mine = found[found["cohort"] == pd.Timestamp("1970-01-05") + pd.Timedelta(days=cohort)]
        assert mine["returned"].tolist()[:4] == theirs
        assert mine["customers"].iloc[0] == theirs[0]


def test_groups_are_compared_at_a_period():
    rows = pd.DataFrame(
        [
            {"customer": f"{plan}{n}", "time": 7.0 * after, "touchpoint": what, "plan": plan}
            for plan, back in (("free", 10), ("paid", 60))
            for n in range(80)
            for after, what in ((0, "join"), (1, "use"))
            if what == "join" or n < back
        ]
    )
    found = retention(log(rows, until=21), start="join", returning="use", by="plan")
    assert found.to_frame().columns[0] == "plan"
    row = found.compare().iloc[0]
    assert (row["plan"], row["other_plan"], row["customers"]) == ("free", "paid", 80)
    assert (row["retention"], row["other_retention"], row["verdict"]) == (0.125, 0.75, "lower")
    assert row["low"] < -0.625 < row["high"]
    with pytest.raises(UnknownNameError, match="period"):
        found.compare(period=9)
    with pytest.raises(InputError, match="by="):
        retention(log(rows), start="join").compare()


def test_wrong_arguments_are_refused():
    journeys = log([("a", 0, "join")])
    for wrong, error in (
        ({"start": "joyn"}, "Did you mean 'join'"),
        ({"period": "weak"}, "Did you mean 'week'"),
        ({"kind": "bounder"}, "Did you mean 'bounded'"),
        ({"brackets": [7, 3]}, "rising from 1"),
        ({"brackets": [0, 3]}, "rising from 1"),
        ({"brackets": [3]}, "rising from 1"),
        ({"brackets": [1.5, 3]}, "rising from 1"),
        ({"brackets": [1, 7], "periods": 3}, "exclude each other"),
        ({"periods": 0}, "at least 1"),
        ({"by": "nothing"}, "column"),
    ):
        with pytest.raises((InputError, UnknownNameError), match=error):
            retention(journeys, **({"start": "join"} | wrong))


def test_the_chart_draws_the_curve_and_complete_cells_apart_from_others():
    rng = np.random.default_rng(3)
    rows = random_rows(rng, n_customers=300, n_events=1500, alphabet="AC", span=60)
    found = retention(log(rows, until=60), start="A", returning="C")
    figure = found.plot()
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [trace.opacity for trace in maps] == [1.0, 0.38]
    frame = found.to_frame()
    drawn = sum(len(trace.z) for trace in maps)
    assert drawn == ((frame["period"] > 0) & (frame["reliability"] != "hidden")).sum()
    (line,) = [trace for trace in figure.data if trace.name == "all"]
    curve = found.curve()
    assert (
        list(line.y)
        == curve.loc[(curve["period"] > 0) & (curve["reliability"] != "hidden"), "retention"].tolist()
    )


def test_the_chart_says_which_cohorts_and_periods_it_leaves_out():
    rows = [(f"c{number}", 7 * (number % 2), "A") for number in range(22)] + [("late", 14, "A")]
    figure = retention(log(rows, until=200), start="A").plot()
    assert len(figure.layout.yaxis2.ticktext) == 2
    assert "under the minimum: 1 ·" in figure.layout.title.text
    assert "the first 16 weeks only" in figure.layout.title.text
    assert not figure.layout.yaxis2.zeroline


def test_a_chart_of_too_few_customers_says_so():
    figure = retention(log([("a", 0, "A")], until=50), start="A").plot()
    assert any("Too few" in one.text for one in figure.layout.annotations)


def test_a_log_of_one_period_has_a_chart_that_says_so():
    figure = retention(log([("a", 0, "join")], until=5), start="join").plot()
    assert any("No period" in one.text for one in figure.layout.annotations)


# ── periods ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Cairo"]
)
@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_every_instant_lies_in_the_period_of_its_local_date(zone, period):
    begin = pd.Timestamp("2017-09-01").value // 1000
    calendar = Calendar.spanning(period, zone, begin, begin + 500 * DAY)
    times = begin + np.random.default_rng(1).integers(0, 500 * DAY, 3000)
    dates = calendar.dates()[calendar.numbers(times)]
    local = pd.to_datetime(times, unit="us", utc=True).tz_convert(zone).tz_localize(None)
    expected = local.to_period({"day": "D", "week": "W-SUN", "month": "M"}[period]).start_time
    assert (dates == expected).all()


def test_times_outside_the_calendar_are_before_or_beyond():
    calendar = Calendar.spanning("day", "UTC", MONDAY, MONDAY + 2 * DAY)
    times = np.array([MONDAY - 1, MONDAY, MONDAY + 3 * DAY - 1, MONDAY + 3 * DAY, MONDAY + 90 * DAY])
    assert calendar.numbers(times).tolist() == [-1, 0, 2, 3, 3]


# ── lifecycle ─────────────────────────────────────────────────────────────────────────────────────


def plain_weeks(rows, until):
    active = {}
    for row in rows.itertuples():
        if row.time < until and row.touchpoint in "AB":
            active.setdefault(row.customer, set()).add(int(row.time // 7))
    return active


@pytest.mark.parametrize("seed", range(60))
def test_lifecycle_equals_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=12, n_events=60, alphabet="ABC", span=80)
    rows.loc[0, ["time", "touchpoint"]] = 0, "C"
    until = int(rng.integers(50, 90))
    frame = lifecycle(log(rows, until=until, n_partitions=2), of=["A", "B"]).to_frame()
    active = plain_weeks(rows, until)
    for row in frame.to_dict("records"):
        week = (row["period"] - pd.Timestamp("1970-01-05")).days // 7
        now = {name for name, weeks in active.items() if week in weeks}
        before = {name for name, weeks in active.items() if week - 1 in weeks}
        ever = {name for name, weeks in active.items() if min(weeks) < week}
        assert (row["new"], row["returning"]) == (len(now - ever), len(now & before))
        assert (row["resurrected"], row["dormant"]) == (len(now & ever - before), len(before - now))
        assert row["active"] == len(now)
        assert row["complete"] == ((week + 1) * 7 <= until)


def test_lifecycle_groups_by_the_first_active_event():
    rows = pd.DataFrame(
        {"customer": ["a"] * 2, "time": [0.0, 7.0], "touchpoint": ["x"] * 2, "plan": ["free", "paid"]}
    )
    frame = lifecycle(log(rows, until=14), by="plan").to_frame()
    assert frame[["plan", "new", "returning"]].to_numpy().tolist() == [["free", 1, 0], ["free", 0, 1]]


def test_the_lifecycle_chart_puts_the_dormant_below_the_line():
    figure = lifecycle(log([("a", 0, "x"), ("b", 8, "x")], until=14)).plot()
    bars = {trace.name: list(trace.y) for trace in figure.data}
    assert bars == {"new": [1, 1], "returning": [0, 0], "resurrected": [0, 0], "dormant": [0, -1]}
    assert list(figure.layout.yaxis.tickvals) == [-1, 0, 1]
    assert list(figure.layout.yaxis.ticktext) == ["1", "0", "1"]


# ── stickiness ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("period", ["week", "month"])
@pytest.mark.parametrize("seed", range(30))
def test_stickiness_equals_a_plain_loop(seed, period):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=6, n_events=90, alphabet="ABC", span=70)
    rows["time"] += rng.integers(0, 24, len(rows)) / 24
    rows = rows.sort_values(["customer", "journey", "time"], kind="stable", ignore_index=True)
    until = int(rng.integers(45, 72))
    found = stickiness(log(rows, until=until, n_partitions=2), of=["A", "B"], period=period)
    days = {}
    for row in rows.itertuples():
        if row.time < until and row.touchpoint in "AB":
            date = pd.Timestamp("1970-01-05") + pd.Timedelta(days=int(row.time))
            begin = date.to_period({"week": "W-SUN", "month": "M"}[period]).start_time
            days.setdefault((begin, row.customer), set()).add(date)
    frame = found.to_frame()
    for row in frame.to_dict("records"):
        counts = [len(one) for (begin, _), one in days.items() if begin == row["period"]]
        assert row["customers"] == counts.count(row["days"])
        assert row["active"] == len(counts)
        assert row["at_least"] == pytest.approx(sum(one >= row["days"] for one in counts) / len(counts))
    assert frame["customers"].sum() == len(days)
    whole = [
        len(one) for (begin, _), one in days.items() if frame.loc[frame["period"] == begin, "complete"].all()
    ]
    if whole:
        assert found.average_days == pytest.approx(sum(whole) / len(whole))
    else:
        assert np.isnan(found.average_days)


def test_weeks_that_were_not_seen_as_a_whole_are_left_out_of_the_distribution():
    rows = [("a", 0, "x"), ("a", 1, "x"), ("b", 8, "x")]
    found = stickiness(log(rows, until=13))
    assert found.to_frame().groupby("period")["complete"].first().tolist() == [True, False]
    told = found.distribution()
    assert told[["periods", "days", "customers", "active"]].iloc[1].tolist() == [1, 2, 1, 1]
    figure = found.plot()
    assert list(figure.data[0].y) == told.loc[told["days"] <= 2, "share"].tolist()
    assert "nobody was active on more than 2 days" in figure.layout.title.text


def test_the_legend_of_many_long_names_stays_below_the_title():
    names = [f"a name that goes on and on and on and on: {number}" for number in range(9)]
    rows = [(f"{name}{number}", number % 3, "x", name) for name in names for number in range(12)]
    rows = pd.DataFrame(rows, columns=["customer", "time", "touchpoint", "plan"]).astype({"time": float})
    few, many = (stickiness(log(part, until=14), by="plan").plot() for part in (rows.iloc[:24], rows))
    assert many.layout.margin.t > few.layout.margin.t
    assert len({trace.name for trace in many.data}) == 8
    assert "1 more group," in many.layout.title.text


def test_a_day_is_no_period_of_stickiness():
    with pytest.raises(UnknownNameError, match="week"):
        stickiness(log([("a", 0, "x")]), period="day")
