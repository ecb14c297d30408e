"""The log as the libraries for data frames want it: in memory, as one frame."""

from __future__ import annotations

import os


def read(place):
    """The log in order of customer and time."""
    import pandas as pd

    rows = pd.read_parquet(place.log, columns=["customer", "event", "timestamp"])
    return rows.sort_values(["customer", "timestamp"], kind="stable", ignore_index=True)


def stream(place):
    """The log as Retentioneering holds it."""
    os.environ["RETENTIONEERING_NO_TRACK"] = "1"
    import retentioneering

    schema = {"path_cols": ["customer"], "event_col": "event", "timestamp_col": "timestamp"}
    return retentioneering.Eventstream(read(place), schema=schema)
