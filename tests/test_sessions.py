"""Sessions: the gap rule and its options, against a plain loop and the oracles of the design."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.errors import InputError
from cjm_analytics.sessionizer import sessionize
from logs import events_of

STORY = [
    ("A", "2025-03-01 10:00", {"utm_campaign": "spring"}),
    ("A", "2025-03-01 10:05", {}),
    ("A", "2025-03-02 20:00", {}),
    ("A", "2025-03-02 20:10", {}),
    ("A", "2025-03-02 20:12", {}),
    ("A", "2025-03-02 20:13", {}),
    ("A", "2025-03-02 20:15:30.5", {}),
    ("A", "2025-03-09 18:00", {}),
    ("B", "2025-03-30 23:50", {"utm_campaign": "lamps"}),
    ("B", "2025-03-31 00:05", {}),
    ("C", "2025-03-10 08:00", {}),
    ("C", "2025-03-10 08:03", {}),
]
"""The web events of the synthetic story."""


def sessions_of(rows, **options):
    """The session numbers of (customer, time[, columns]) rows, in their order."""
    events = events_of([{"customer_id": who, "timestamp": when, **more} for who, when, more in rows])
    frame = sessionize(events, **options).to_frame()
    return [None if pd.isna(one) else int(one) for one in frame.sort_values("event_id")["session"]]


def at(*minutes, **columns):
    return [("a", minute, columns) for minute in minutes]


def n_sessions(**options):
    numbers = sessions_of(STORY, **options)
    return len({(row[0], number) for row, number in zip(STORY, numbers, strict=True)})


def test_the_story_has_five_sessions_by_the_plain_rule():
    assert n_sessions() == 5


def test_the_story_has_six_sessions_with_midnight_in_utc():
    assert n_sessions(midnight="UTC") == 6


def test_the_story_has_five_sessions_with_midnight_in_berlin():
    assert n_sessions(midnight="Europe/Berlin") == 5


def test_two_sessions_of_ten_and_thirty_five_minutes():
    rows = at(0, 10, 50, 70, 85)
    assert sessions_of(rows) == [0, 0, 1, 1, 1]


def test_a_gap_of_exactly_the_timeout_does_not_split():
    assert sessions_of(at(0, 30)) == [0, 0]


def test_a_gap_longer_than_the_timeout_splits():
    assert sessions_of(at(0, 30 + 1 / 60)) == [0, 1]


def test_another_timeout():
    assert sessions_of(at(0, 6), timeout="5 min") == [0, 1]


@pytest.mark.parametrize("kind", ["crm", "support", "order", "survey"])
def test_events_that_are_not_digital_belong_to_no_session(kind):
    rows = [("a", 0, {"source_kind": "clickstream"}), ("a", 1, {"source_kind": kind}), ("a", 2, {})]
    assert sessions_of(rows) == [0, None, 0]


def test_events_that_are_not_digital_keep_no_session_alive():
    rows = [("a", 0, {}), ("a", 20, {"source_kind": "support"}), ("a", 40, {"source_kind": "log"})]
    assert sessions_of(rows) == [0, None, 1]


def test_another_campaign_starts_a_session():
    rows = [("a", 0, {"utm_campaign": "x"}), ("a", 1, {}), ("a", 2, {"utm_campaign": "x"}),
            ("a", 3, {"utm_campaign": "y"}), ("a", 4, {})]  # fmt: skip
    assert sessions_of(rows, campaign=True) == [0, 0, 0, 1, 1]
    assert sessions_of(rows) == [0, 0, 0, 0, 0]


def test_a_campaign_in_a_session_without_one_starts_a_session():
    rows = [("a", 0, {}), ("a", 1, {"utm_campaign": "x"})]
    assert sessions_of(rows, campaign=True) == [0, 1]


def test_a_session_may_last_as_long_as_the_longest_and_no_longer():
    assert sessions_of(at(0, 20, 40, 60, 61), max_length="1 hour") == [0, 0, 0, 0, 1]


def test_sessions_of_devices_overlap():
    rows = [("a", 0, {"anonymous_id": "d1"}), ("a", 20, {"anonymous_id": "d2"}),
            ("a", 29, {"anonymous_id": "d1"}), ("a", 55, {"anonymous_id": "d2"}), ("a", 56, {})]  # fmt: skip
    assert sessions_of(rows, by_device=True) == [0, 1, 0, 2, 3]


def test_the_system_s_own_sessions_are_taken_as_they_are():
    rows = [
        ("a", 0, {"session_id": "s1"}),
        ("a", 600, {"session_id": "s1"}),
        ("a", 601, {"session_id": "s2"}),
        ("a", 602, {}),
        ("a", 640, {}),
    ]
    assert sessions_of(rows) == [0, 0, 1, 2, 3]


def test_without_them_the_rules_speak_of_all_events():
    rows = [("a", 0, {"session_id": "s1"}), ("a", 600, {"session_id": "s1"}), ("a", 601, {})]
    assert sessions_of(rows, vendor_sessions=False) == [0, 1, 1]


def test_equal_session_ids_of_two_customers_are_two_sessions():
    rows = [("a", 0, {"session_id": "1"}), ("b", 1, {"session_id": "1"})]
    assert sessions_of(rows) == [0, 0]


def test_events_outside_all_journeys_keep_no_session_alive():
    rows = [("a", 0, {}), ("a", 20, {"is_bot": True}), ("a", 40, {})]
    assert sessions_of(rows) == [0, 1]


@pytest.mark.parametrize(
    "options", [{"timeout": "30"}, {"midnight": "Berlin"}, {"max_length": "-1h"}, {"threads": 0}]
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(InputError):
        sessions_of(at(0), **options)


def slow_sessions(rows, *, timeout, max_length, days, campaigns, devices, vendors):
    """One customer's sessions as one would explain them."""
    numbers, current, by_vendor, n = [], {}, {}, 0
    for place, (time, digital) in enumerate(rows):
        if not digital:
            numbers.append(-1)
            continue
        if vendors is not None and vendors[place] >= 0:
            if vendors[place] not in by_vendor:
                by_vendor[vendors[place]] = n
                n += 1
            numbers.append(by_vendor[vendors[place]])
            continue
        device = devices[place] if devices is not None else "the only one"
        session = current.get(device)
        starts = (
            session is None
            or time - session["last"] > timeout
            or (max_length and time - session["first"] > max_length)
            or (days is not None and days[place] != session["day"])
            or (campaigns is not None and campaigns[place] >= 0 and campaigns[place] != session["campaign"])
        )
        if starts:
            session = current[device] = {
                "number": n,
                "first": time,
                "day": days[place] if days is not None else None,
                "campaign": campaigns[place] if campaigns is not None else None,
            }
            n += 1
        session["last"] = time
        numbers.append(session["number"])
    return numbers


def test_the_kernel_equals_the_plain_loop_on_random_logs():
    from cjm_analytics.kernels.sessions import number_sessions

    rng = np.random.default_rng(0)
    nothing = np.zeros(0, dtype=np.int32)
    for _ in range(3_000):
        lengths = rng.integers(0, 12, rng.integers(1, 5))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        n = int(offsets[-1])
        time = np.concatenate([np.sort(rng.integers(0, 60, one)) for one in lengths]).astype(np.int64)
        digital = rng.random(n) < 0.8
        given = {
            name: rng.integers(low, 3, n).astype(np.int32) if rng.random() < 0.4 else None
            for name, low in (("devices", -1), ("vendors", -1), ("days", 0), ("campaigns", -1))
        }
        timeout, max_length = int(rng.integers(0, 12)), int(rng.choice([0, 15]))
        found = number_sessions(
            offsets,
            time,
            digital,
            *(
                nothing if given[name] is None else given[name]
                for name in ("devices", "vendors", "days", "campaigns")
            ),
            timeout,
            max_length,
        )
        for low, high in pairwise(offsets):
            mine = {name: None if one is None else one[low:high] for name, one in given.items()}
            rows = list(zip(time[low:high], digital[low:high], strict=True))
            expected = slow_sessions(rows, timeout=timeout, max_length=max_length, **mine)
            assert found[low:high].tolist() == expected


def test_a_local_day_is_the_day_of_the_zone_on_the_night_the_clocks_change():
    rows = [("a", "2025-03-29 22:59:59", {}), ("a", "2025-03-29 23:00:00", {}),
            ("a", "2025-03-30 21:59:59", {}), ("a", "2025-03-30 22:00:00", {})]  # fmt: skip
    assert sessions_of(rows, midnight="Europe/Berlin", timeout="7 days") == [0, 1, 1, 2]
