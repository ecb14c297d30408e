"""The prefix tree of the paths of a small log, four deep, against PM4Py, whose tree has no counts."""

from __future__ import annotations

from frames import KEYS, read
from ours import forget, opened

TITLE = "prefix tree of paths, small log"
SMALL = True
GOALS = (("cjm, from disk", ("PM4Py",), 10),)
DEPTH = 4


def disk(place):
    import cjm_analytics as cjm

    def ask():
        forget()
        tree = cjm.paths(opened(place.journeys), collapse=False).tree(max_depth=DEPTH)
        return sorted(tree["prefix"].tolist())

    return ask


def pm4py(place):
    import pm4py as peer

    rows = read(place)

    def prefixes(node, before):
        for child in node.children:
            names = [*before, child.label]
            yield " → ".join(names)
            yield from prefixes(child, names)

    return lambda: sorted(prefixes(peer.discover_prefix_tree(rows, max_path_length=DEPTH, **KEYS), []))


WAYS = {"cjm, from disk": disk, "PM4Py": pm4py}
