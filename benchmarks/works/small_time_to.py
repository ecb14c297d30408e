"""How long journeys of a small log take to a first purchase, against Retentioneering."""

from __future__ import annotations

from frames import stream
from ours import forget, opened

TITLE = "time to a touchpoint, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.time_to(opened(place.journeys), "purchase").to_frame()
        microseconds = frame["time"].astype("timedelta64[us]").astype("int64")
        return [int(frame["events"].sum()), int((microseconds * frame["events"]).sum())]

    return ask


def retentioneering(place):
    events = stream(place)
    ends = {"start_event": "path_start", "end_event": "purchase"}

    def ask():
        found = events.get_metrics([{"metric": "time_between", "metric_args": ends}]).iloc[:, 0].dropna()
        return [len(found), int((found * 1_000_000).round().astype("int64").sum())]

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
