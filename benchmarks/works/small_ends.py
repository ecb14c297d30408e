"""Where the journeys of a small log begin and end, against PM4Py."""

from __future__ import annotations

from frames import KEYS, read
from ours import forget, opened

TITLE = "first and last touchpoints, small log"
SMALL = True
GOALS = (("cjm, from disk", ("PM4Py",), 10),)


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.transitions(opened(place.journeys), times=False).to_frame()
        entered, left = frame[frame["source"] == "(start)"], frame[frame["target"] == "(end)"]
        return [
            sorted([name, n] for name, n in zip(rows[column], rows["count"].tolist(), strict=True))
            for rows, column in ((entered, "target"), (left, "source"))
        ]

    return ask


def pm4py(place):
    import pm4py as peer

    rows = read(place)
    asked = (peer.get_start_activities, peer.get_end_activities)
    return lambda: [sorted([name, n] for name, n in one(rows, **KEYS).items()) for one in asked]


WAYS = {"cjm, from disk": disk, "PM4Py": pm4py}
