"""Journeys of five to ten events of a small log, against the libraries for data frames."""

from __future__ import annotations

from selecting import GOAL, ours, pm4py, retentioneering

TITLE = "journeys of five to ten events, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering", "PM4Py"), GOAL),)
WAYS = {
    "cjm, from disk": ours(matching="(start) -> .{5,10} -> (end)"),
    "Retentioneering": retentioneering(
        {"op": ">=", "metric": "length", "value": 5}, {"op": "<=", "metric": "length", "value": 10}
    ),
    "PM4Py": pm4py("filter_case_size", 5, 10, keys=("case_id_key",)),
}
