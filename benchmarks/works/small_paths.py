"""The most frequent paths of a small log, against the libraries for data frames."""

from __future__ import annotations

from frames import read

from works.paths import TOP, disk, ranked

TITLE = "10 most frequent paths, small log"
SMALL = True
GOALS = (("cjm, from disk", ("PM4Py",), 10),)


def pm4py(place):
    import pm4py as peer

    rows = read(place)

    def ask():
        found = peer.get_variants(
            rows, activity_key="event", case_id_key="customer", timestamp_key="timestamp"
        )
        return ranked((" → ".join(path), n) for path, n in found.items())[:TOP]

    return ask


WAYS = {"cjm, from disk": disk, "PM4Py": pm4py}
