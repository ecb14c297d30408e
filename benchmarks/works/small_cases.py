"""Length and duration of every journey of a small log, against Retentioneering."""

from __future__ import annotations

from frames import stream
from ours import forget, opened

TITLE = "length and duration of every journey, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)


def disk(place):
    def ask():
        forget()
        frame = opened(place.journeys).cases()
        microseconds = frame["duration"].astype("timedelta64[us]").astype("int64")
        return [len(frame), int(frame["events"].sum()), int(microseconds.sum())]

    return ask


def retentioneering(place):
    events = stream(place)

    def ask():
        found = events.get_metrics([{"metric": "length"}, {"metric": "duration"}])
        microseconds = (found["duration"] * 1_000_000).round().astype("int64")
        return [len(found), int(found["length"].sum()), int(microseconds.sum())]

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
