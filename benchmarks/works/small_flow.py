"""How many journeys of a small log are where at each of the first positions, against Retentioneering."""

from __future__ import annotations

from frames import stream
from ours import forget, opened

TITLE = "flow by position, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)
POSITIONS = 6


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        flow = cjm.flow(
            opened(place.journeys), positions=POSITIONS + 1, top=None, collapse=False, times=False
        )
        frame = flow.to_frame()
        there = frame.groupby(["position", "source"], observed=True)["journeys"].sum()
        return sorted([int(position), name, int(n)] for (position, name), n in there.items())

    return ask


def retentioneering(place):
    events = stream(place)

    def ask():
        shares = events.step_matrix_data(max_steps=POSITIONS)
        n = int(events.to_dataframe()["customer"].nunique())
        shares = shares.drop(index=["path_start", "path_end"]).drop(columns=0)
        there = (shares * n).round().astype(int).stack()
        return sorted([int(step) - 1, name, int(one)] for (name, step), one in there.items() if one)

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
