"""Sessions of a small log, against Retentioneering."""

from __future__ import annotations

from frames import stream

from works.sessions import disk

TITLE = "sessions by a 30-minute gap, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)


def retentioneering(place):
    events = stream(place)

    def ask():
        rows = events.split_sessions(timeout="30m").to_dataframe()
        return [int(rows["session_id"].nunique()), int(rows["session_index"].sum() - len(rows))]

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
