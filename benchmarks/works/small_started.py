"""Journeys of a small log that began in a month, against PM4Py."""

from __future__ import annotations

from selecting import GOAL, ours, pm4py

TITLE = "journeys begun in a month, small log"
SMALL = True
GOALS = (("cjm, from disk", ("PM4Py",), GOAL),)
WAYS = {
    "cjm, from disk": ours(started=("2026-02-01", "2026-03-01")),
    "PM4Py": pm4py(
        "filter_time_range",
        "2026-02-01 00:00:00",
        "2026-03-01 00:00:00",
        mode="traces_starting_in",
        keys=("case_id_key", "timestamp_key"),
    ),
}
