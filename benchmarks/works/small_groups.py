"""Two groups' shares of each transition of a small log, and their difference, against Retentioneering."""

from __future__ import annotations

from frames import grouped
from ours import forget, opened

TITLE = "transition matrix of two groups, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)
GROUPS = ("web", "app")


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.transitions(opened(place.journeys), by="channel", times=False).to_frame()
        frame = frame[(frame["source"] != "(start)") & (frame["target"] != "(end)")]
        share = frame.pivot(index=["source", "target"], columns="channel", values="share")[[*GROUPS]].fillna(
            0
        )
        share = share[share.any(axis=1)]
        return _rows(share["web"] - share["app"])

    return ask


def retentioneering(place):
    events = grouped(place)

    def ask():
        found, web, app = (
            one.drop(index=["path_start", "path_end"], columns=["path_start", "path_end"]).stack()
            for one in events.transition_graph_data(edge_weight="proba_out", diff=("channel", *GROUPS))
        )
        return _rows(found[(web > 0) | (app > 0)])

    return ask


def _rows(differences):
    return sorted([*pair, round(share, 6) + 0.0] for pair, share in differences.items())


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
