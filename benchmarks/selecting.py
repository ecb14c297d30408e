"""Choosing journeys of a small log: how many stay, and with how many events."""

from __future__ import annotations

from frames import KEYS, read, stream
from ours import forget, opened

GOAL = 10


def ours(**asked):
    """Our way: `journeys.select(**asked)`."""

    def way(place):
        def ask():
            forget()
            kept = opened(place.journeys).select(**asked)
            return [len(kept), kept.n_events]

        return ask

    return way


def retentioneering(*conditions):
    """Paths for which the metrics fit."""

    def way(place):
        events = stream(place)
        return lambda: _told(events.filter_paths(list(conditions)).to_dataframe())

    return way


def pm4py(name, *arguments, keys=tuple(KEYS), **options):
    """One of PM4Py's filters."""

    def way(place):
        import pm4py as peer

        rows = read(place)
        named = {key: KEYS[key] for key in keys}
        return lambda: _told(getattr(peer, name)(rows, *arguments, **options, **named))

    return way


def _told(rows):
    return [int(rows["customer"].nunique()), len(rows)]
