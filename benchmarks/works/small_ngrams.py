"""Journeys with a run of three touchpoints, small log: we tell all runs, Retentioneering is asked for three.

PM4Py's encoding of all runs of three takes half a minute and is left out.
"""

from __future__ import annotations

from frames import stream
from ours import forget, opened

TITLE = "n-grams of 3, small log (Retentioneering: three of them)"
SMALL = True
GOALS = (("cjm, from disk", ("Retentioneering",), 10),)
RUNS = (
    ("page_view", "page_view", "page_view"),
    ("page_view", "product_view", "search"),
    ("search", "checkout", "purchase"),
)


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.ngrams(opened(place.journeys), 3, collapse=False, top=None).to_frame().set_index("ngram")
        return [int(frame.at[" → ".join(run), "journeys"]) for run in RUNS]

    return ask


def retentioneering(place):
    events = stream(place)
    metrics = [{"metric": "matches_pattern", "metric_args": {"pattern": "->".join(run)}} for run in RUNS]
    return lambda: [int(n) for n in events.get_metrics(metrics).sum()]


WAYS = {"cjm, from disk": disk, "Retentioneering": retentioneering}
