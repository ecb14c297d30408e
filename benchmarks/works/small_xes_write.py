"""Journeys of a small log's first days into an XES file, against PM4Py."""

from __future__ import annotations

from frames import read
from ours import opened

TITLE = "XES written (journeys begun in the first three days)"
SMALL = True
GOALS = (("cjm", ("PM4Py",), 1),)
DAYS = ("2026-01-01", "2026-01-04")


def cjm(place):
    target = place.scratch / "ours.xes"
    journeys = opened(place.journeys).select(started=DAYS)

    def ask():
        journeys.to_xes(target)
        return counted(target)

    return ask


def pm4py(place):
    import pandas as pd
    import pm4py as peer
    from pm4py.util import constants

    constants.SHOW_PROGRESS_BAR = False
    target = place.scratch / "pm4py.xes"
    rows = read(place)
    first = rows.groupby("customer")["timestamp"].transform("first")
    rows = rows[first < pd.Timestamp(DAYS[1], tz="UTC")]
    rows = rows.set_axis(["case:concept:name", "concept:name", "time:timestamp"], axis=1)

    def ask():
        peer.write_xes(rows, str(target))
        return counted(target)

    return ask


def counted(path):
    """Traces and events of a file."""
    text = path.read_bytes()
    return [text.count(b"<trace>"), text.count(b"<event>")]


WAYS = {"cjm": cjm, "PM4Py": pm4py}
