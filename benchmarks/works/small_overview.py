"""The share of each group's journeys that have a touchpoint, small log, against Retentioneering."""

from __future__ import annotations

from frames import grouped
from ours import forget, opened

TITLE = "share of a touchpoint by group, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)
NAME = "purchase"


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.matches(opened(place.journeys), NAME, by="channel").to_frame()
        groups = zip(frame["channel"], frame["units"], frame["matched"], strict=True)
        return sorted([group, int(units), int(n)] for group, units, n in groups)

    return ask


def retentioneering(place):
    events = grouped(place)
    metric = {"metric": "has_event", "agg": "mean", "metric_args": {"event": NAME}}

    def ask():
        found = events.segment_overview_data("channel", [metric])
        size, share = found.iloc[0], found.iloc[2]
        return sorted([group, int(size[group]), round(share[group] * size[group])] for group in found.columns)

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
