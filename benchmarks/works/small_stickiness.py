"""On how many days of each month customers of a small log were active, against Retentioneering."""

from __future__ import annotations

from frames import monthly
from ours import forget, opened

TITLE = "active days in a month, small log"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.stickiness(opened(place.journeys), period="month").to_frame()
        frame = frame[frame["customers"] > 0]
        month = frame["period"].dt.strftime("%Y-%m-%d")
        return sorted(
            [*row] for row in zip(month, frame["days"].tolist(), frame["customers"].tolist(), strict=True)
        )

    return ask


def retentioneering(place):
    events = monthly(place)

    def ask():
        days = events.get_metrics([{"metric": "active_days"}], path_col="month")["active_days"]
        counted = days.groupby([days.index.str[-10:], days]).size()
        return sorted([month, int(days), int(n)] for (month, days), n in counted.items())

    return ask


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
