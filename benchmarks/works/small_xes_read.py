"""An XES file of a small log's first days into events in memory, against PM4Py."""

from __future__ import annotations

from ours import opened

from works.small_xes_write import DAYS

TITLE = "XES read (journeys begun in the first three days)"
SMALL = True
GOALS = (("cjm", ("PM4Py",), 1),)


def cjm(place):
    import cjm_analytics

    opened(place.journeys).select(started=DAYS).to_xes(_file(place))

    def ask():
        events = cjm_analytics.ingest(cjm_analytics.loaders.xes(_file(place)), progress=False)
        return [events.report().identity.customers, len(events)]

    return ask


def pm4py(place):
    import pm4py as peer
    from pm4py.util import constants

    constants.SHOW_PROGRESS_BAR = False

    def ask():
        rows = peer.read_xes(str(_file(place)))
        return [int(rows["case:concept:name"].nunique()), len(rows)]

    return ask


def _file(place):
    """The file that our way writes while it makes ready."""
    return place.scratch / "log.xes"


WAYS = {"cjm": cjm, "PM4Py": pm4py}
