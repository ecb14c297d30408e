"""Transitions of a small log, against the libraries for data frames."""

from __future__ import annotations

from frames import read, stream

from works.transitions import disk, sorted_rows

TITLE = "transition matrix, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering", "PM4Py"), 10),)


def retentioneering(place):
    events = stream(place)

    def ask():
        found = events.transition_graph_data(edge_weight="count")
        inside = found.drop(index=["path_start"], columns=["path_end"], errors="ignore").stack()
        pairs = inside[inside > 0].items()
        return sorted_rows((*pair, n) for pair, n in pairs if not {"path_start", "path_end"} & set(pair))

    return ask


def pm4py(place):
    import pm4py as peer

    rows = read(place)

    def ask():
        found, _, _ = peer.discover_dfg(
            rows, activity_key="event", case_id_key="customer", timestamp_key="timestamp"
        )
        return sorted_rows((*pair, n) for pair, n in found.items())

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering, "PM4Py": pm4py}
