"""The log as the libraries for data frames want it: in memory, as one frame."""

from __future__ import annotations

import os

COLUMNS = ("customer", "event", "timestamp")
KEYS = {"case_id_key": "customer", "activity_key": "event", "timestamp_key": "timestamp"}
"""What PM4Py's functions call the columns."""


def read(place, columns=COLUMNS):
    """The log in order of customer and time."""
    import pandas as pd

    rows = pd.read_parquet(place.log, columns=list(columns))
    return rows.sort_values(["customer", "timestamp"], kind="stable", ignore_index=True)


def stream(place):
    """The log as Retentioneering holds it."""
    return _stream(read(place), ["customer"])


def grouped(place):
    """The same with a group for each customer: the channel of the first event."""
    rows = read(place, (*COLUMNS, "channel"))
    rows["channel"] = rows.groupby("customer")["channel"].transform("first")
    return _stream(rows, ["customer"], ["channel"])


def monthly(place):
    """The same with a second kind of path: the events of a customer in a month."""
    rows = read(place)
    rows["month"] = rows["customer"] + rows["timestamp"].dt.strftime(" %Y-%m-01")
    return _stream(rows, ["customer", "month"])


def _stream(rows, paths, segments=()):
    os.environ["RETENTIONEERING_NO_TRACK"] = "1"
    import retentioneering

    schema = {"path_cols": paths, "event_col": "event", "timestamp_col": "timestamp"}
    return retentioneering.Eventstream(rows, schema=schema | {"segment_cols": list(segments)})
