"""Two steps within a window of the first visit to the first, small log, against Retentioneering."""

from __future__ import annotations

from frames import stream
from ours import forget, opened

TITLE = "conversion within a window, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)
STEPS = ("add_to_cart", "purchase")


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.funnel(opened(place.journeys), STEPS, within="7 days", start="first").to_frame()
        return frame["reached"].tolist()

    return ask


def retentioneering(place):
    events = stream(place)

    def ask():
        found = events.get_conversion_rate(*STEPS, within="7d")
        return [int(found.at[0, "paths_with_start"]), int(found.at[0, "converted"])]

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
