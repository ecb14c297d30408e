"""What follows sooner or later on a small log: we tell all pairs, PM4Py's filter is asked for three.

PM4Py's graph of all pairs counts pairs of events, not journeys, and takes half a minute and 5 GB.
"""

from __future__ import annotations

from frames import KEYS, read
from ours import forget, opened

TITLE = "what follows sooner or later, small log (PM4Py: three pairs)"
SMALL = True
GOALS = (("cjm, from disk", ("PM4Py",), 10),)
PAIRS = (("search", "purchase"), ("page_view", "checkout"), ("purchase", "support_ticket"))


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.rework(opened(place.journeys)).follows().set_index(["name", "followed_by"])
        return [int(frame.at[pair, "journeys"]) for pair in PAIRS]

    return ask


def pm4py(place):
    import pm4py as peer

    rows = read(place)

    def ask():
        kept = (peer.filter_eventually_follows_relation(rows, [pair], **KEYS) for pair in PAIRS)
        return [int(one["customer"].nunique()) for one in kept]

    return ask


WAYS = {"cjm, from disk": disk, "PM4Py": pm4py}
