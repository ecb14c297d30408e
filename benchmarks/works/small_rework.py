"""In how many journeys each touchpoint of a small log comes again, against PM4Py."""

from __future__ import annotations

from frames import KEYS, read
from ours import forget, opened

TITLE = "rework, small log"
SMALL = True
GOALS = (("cjm, from disk", ("PM4Py",), 10),)


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.rework(opened(place.journeys)).to_frame()
        return sorted([name, n] for name, n in zip(frame["name"], frame["again"].tolist(), strict=True))

    return ask


def pm4py(place):
    import pm4py as peer

    rows = read(place)
    return lambda: sorted([name, n] for name, n in peer.get_rework_cases_per_activity(rows, **KEYS).items())


WAYS = {"cjm, from disk": disk, "PM4Py": pm4py}
