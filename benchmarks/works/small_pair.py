"""Journeys of a small log in which one touchpoint directly follows another, against the libraries."""

from __future__ import annotations

from selecting import GOAL, ours, pm4py, retentioneering

TITLE = "journeys with a direct pair, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering", "PM4Py"), GOAL),)
PATTERN = "search->purchase"
WAYS = {
    "cjm, from disk": ours(matching=PATTERN),
    "Retentioneering": retentioneering(
        {"op": "=", "metric": "matches_pattern", "value": True, "metric_args": {"pattern": PATTERN}}
    ),
    "PM4Py": pm4py("filter_directly_follows_relation", [("search", "purchase")]),
}
