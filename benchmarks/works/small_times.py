"""Median time of each transition of a small log, against the libraries for data frames.

Ours are at most half a percent off where there are so many different times (`Transitions.time_error`),
Retentioneering's are those of whole seconds.
"""

from __future__ import annotations

from frames import KEYS, read, stream
from ours import forget, opened

TITLE = "median times of transitions, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering", "PM4Py"), 10),)
CLOSE = 0.005
SECOND = 1


def same(one, other) -> bool:
    """Equal pairs, and medians as near as they are said to be."""
    return [row[:2] for row in one] == [row[:2] for row in other] and all(
        abs(mine[2] - theirs[2]) <= CLOSE * theirs[2] + SECOND
        for mine, theirs in zip(one, other, strict=True)
    )


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.transitions(opened(place.journeys)).to_frame().dropna(subset=["median_time"])
        seconds = frame["median_time"].dt.total_seconds()
        return sorted([*row] for row in zip(frame["source"], frame["target"], seconds, strict=True))

    return ask


def retentioneering(place):
    events = stream(place)

    def ask():
        found = events.transition_graph_data(edge_weight="time_median")
        found = found.drop(
            index=["path_start", "path_end"], columns=["path_start", "path_end"], errors="ignore"
        )
        return sorted([*pair, time.total_seconds()] for pair, time in found.stack().dropna().items())

    return ask


def pm4py(place):
    import pm4py as peer

    rows = read(place)

    def ask():
        found, _, _ = peer.discover_performance_dfg(rows, perf_aggregation_key="median", **KEYS)
        return sorted([*pair, seconds] for pair, seconds in found.items())

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering, "PM4Py": pm4py}
