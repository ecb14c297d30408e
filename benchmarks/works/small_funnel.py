"""A funnel without a window on a small log, against Retentioneering, which knows no window."""

from __future__ import annotations

from frames import stream
from ours import opened

from works.funnel import STEPS

TITLE = "4-step funnel without a window, small log"
SMALL = True
GOALS = (("cjm, in memory", ("Retentioneering",), 10),)


def memory(place):
    import cjm_analytics as cjm

    journeys = opened(place.journeys)

    def ask():
        frame = cjm.funnel(journeys, STEPS, within="3650 days").to_frame()
        return frame["reached"].tolist()

    return ask


def retentioneering(place):
    events = stream(place)
    return lambda: [int(one["unique_paths"]) for one in events.funnel_data(steps=list(STEPS))["steps"]]


WAYS = {"cjm, in memory": memory, "Retentioneering": retentioneering}
