"""New and active customers of each day of a small log, against Retentioneering.

What else the two tell of a day (who came back, who went quiet) they define differently.
"""

from __future__ import annotations

from frames import stream
from ours import forget, opened

TITLE = "new and active customers by day, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)
ACTIVE = ("new", "current", "reactivated", "resurrected")


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.lifecycle(opened(place.journeys), period="day").to_frame()
        day = frame["period"].dt.strftime("%Y-%m-%d")
        return [[*row] for row in zip(day, frame["new"].tolist(), frame["active"].tolist(), strict=True)]

    return ask


def retentioneering(place):
    events = stream(place)

    def ask():
        states = events.to_daily_states(max_dormant_days=0).to_dataframe()
        states = states[states["event"].isin(ACTIVE)]
        day = states["timestamp"].dt.strftime("%Y-%m-%d")
        new = (states["event"] == "new").groupby(day).agg(["sum", "size"])
        return [[str(one), int(first), int(n)] for one, first, n in new.sort_index().itertuples()]

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
