"""What lies four events before and after the first of a kind, small log, against Retentioneering."""

from __future__ import annotations

from frames import stream
from ours import forget, opened

TITLE = "flow around a touchpoint, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)
AROUND = "add_to_cart"
REACH = 4
ENDS = ("(start)", "(end)")


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.flow(
            opened(place.journeys), around=AROUND, positions=REACH + 1, top=None, collapse=False, times=False
        ).to_frame()
        sources = frame[~frame["source"].isin(ENDS)].groupby(["position", "source"], observed=True)[
            "journeys"
        ]
        last = frame[(frame["position"] == REACH - 1) & ~frame["target"].isin(ENDS)]
        targets = last.assign(position=REACH).groupby(["position", "target"], observed=True)["journeys"]
        there = [*sources.sum().items(), *targets.sum().items()]
        return sorted([int(position), name, int(n)] for (position, name), n in there)

    return ask


def retentioneering(place):
    events = stream(place)

    def ask():
        (shares,) = events.step_matrix_data(max_steps=REACH, anchor=AROUND)
        n = int(
            events.get_metrics([{"metric": "has_event", "metric_args": {"event": AROUND}}]).to_numpy().sum()
        )
        shares = shares.drop(index=["path_start", "path_end"], errors="ignore")
        there = (shares * n).round().astype(int).stack()
        return sorted([int(step), name, int(one)] for (name, step), one in there.items() if one)

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
