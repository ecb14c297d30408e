"""Journeys of a small log that a path pattern fits, against Retentioneering."""

from __future__ import annotations

from selecting import GOAL, ours, retentioneering

TITLE = "journeys that fit a pattern, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), GOAL),)
PATTERN = "product_view->[^purchase]*->checkout"
WAYS = {
    "cjm, from disk": ours(matching=PATTERN),
    "Retentioneering": retentioneering(
        {"op": "=", "metric": "matches_pattern", "value": True, "metric_args": {"pattern": PATTERN}}
    ),
}
