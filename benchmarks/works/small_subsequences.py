"""Frequent sub-sequences of a small log, against PM4Py.

A direct repeat is one event for us and two for PM4Py: only sub-sequences without repeats are compared.
"""

from __future__ import annotations

from itertools import pairwise

from frames import read
from ours import forget, opened

TITLE = "frequent sub-sequences, small log"
SMALL = True
GOALS = (("cjm, from disk", ("PM4Py",), 10),)
LEAST = 0.4
LONGEST = 9
"""Longer than any that is so frequent."""


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        frame = cjm.subsequences(
            opened(place.journeys), min_share=LEAST, min_length=1, max_length=LONGEST, closed=False, top=None
        ).to_frame()
        return _rows(
            (name.split(" .. "), n) for name, n in zip(frame["subsequence"], frame["journeys"], strict=True)
        )

    return ask


def pm4py(place):
    import pm4py as peer

    rows = read(place).set_axis(["case:concept:name", "concept:name", "time:timestamp"], axis=1)
    least = int(LEAST * rows["case:concept:name"].nunique()) + 1

    def ask():
        found = peer.get_frequent_trace_segments(rows, least)
        return _rows((names[1::2], n) for names, n in found.items())

    return ask


def _rows(found):
    repeated = ((names, any(a == b for a, b in pairwise(names)), n) for names, n in found)
    return sorted([" .. ".join(names), int(n)] for names, again, n in repeated if not again)


WAYS = {"cjm, from disk": disk, "PM4Py": pm4py}
