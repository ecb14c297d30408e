"""Journeys of a small log that have two touchpoints, in any order, against Retentioneering."""

from __future__ import annotations

from selecting import GOAL, ours, retentioneering

TITLE = "journeys with two touchpoints, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), GOAL),)
NAMES = ["search", "purchase"]
WAYS = {
    "cjm, from disk": ours(containing=NAMES),
    "Retentioneering": retentioneering(
        {"op": "=", "metric": "has_all_events", "value": True, "metric_args": {"events": NAMES}}
    ),
}
