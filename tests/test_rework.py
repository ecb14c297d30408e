"""Rework: literal tables, and a plain loop over one journey."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cjm_analytics.analysis.rework import rework
from cjm_analytics.analysis.transitions import transitions
from cjm_analytics.errors import InputError, UnknownNameError
from logs import journeys_of, random_rows


def journeys_like(*paths, **options):
    return journeys_of(
        [(f"c{n}", t, name) for n, path in enumerate(paths) for t, name in enumerate(path)], **options
    )


def test_repeats_returns_and_back_and_forth():
    result = rework(journeys_like("AABA", "ABAB", "C"))
    frame = result.to_frame().set_index("name")
    assert frame.loc["A"].tolist()[:7] == [5, 2, 2, 1, 1, 2, 2]
    assert frame.loc["B", ["returns", "returned", "share"]].tolist() == [1, 1, 0.5]
    assert result.loops()[["name", "by_way_of", "loops", "journeys"]].to_numpy().tolist() == [
        ["A", "B", 2, 2],
        ["B", "A", 1, 1],
    ]
    assert result.follows()[["name", "followed_by", "journeys", "share"]].to_numpy().tolist() == [
        ["A", "A", 2, 1.0],
        ["A", "B", 2, 1.0],
        ["B", "A", 2, 1.0],
        ["B", "B", 1, 0.5],
    ]


@pytest.mark.parametrize("seed", range(20))
def test_fast_rework_equals_slow_rework(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=6, n_events=50, alphabet="ABC")
    counts, follows, loops = {}, {}, {}
    for _, mine in rows.groupby(["customer", "journey"], sort=False):
        path = mine["touchpoint"].tolist()
        runs = [name for at, name in enumerate(path) if not at or path[at - 1] != name]
        for name in set(path):
            one = counts.setdefault(name, [0] * 6)
            repeats = sum(a == b == name for a, b in pairwise(path))
            returns = runs.count(name) - 1
            for place, n in enumerate([path.count(name), 1, repeats, repeats > 0, returns, returns > 0]):
                one[place] += n
        for a in set(path):
            for b in set(path):
                if any(y == b for at, x in enumerate(path) if x == a for y in path[at + 1 :]):
                    follows[a, b] = follows.get((a, b), 0) + 1
        for a, b, c in zip(runs, runs[1:], runs[2:], strict=False):
            if a == c:
                loops[a, b] = loops.get((a, b), 0) + 1
    result = rework(journeys_of(rows))
    columns = ["events", "journeys", "repeats", "repeated", "returns", "returned"]
    assert {
        row["name"]: [row[one] for one in columns] for row in result.to_frame().to_dict("records")
    } == counts
    assert {
        (r["name"], r["followed_by"]): r["journeys"] for r in result.follows().to_dict("records")
    } == follows
    assert {(r["name"], r["by_way_of"]): r["loops"] for r in result.loops().to_dict("records")} == loops


def test_the_chart_and_the_errors():
    result = rework(journeys_like("AABA", "ABAB", "C"), of="stage")
    assert result.plot() is not None
    assert "Rework by stage" in result._repr_html_()
    with pytest.raises(UnknownNameError, match="Did you mean 'journey'"):
        rework(journeys_like("A"), unit="journy")


def test_transitions_become_a_graph(tmp_path):
    nx = pytest.importorskip("networkx")
    found = transitions(journeys_like("AB", "AB", "AC"))
    graph = found.to_networkx()
    assert graph.edges["A", "B"]["count"] == 2
    assert graph.edges["A", "B"]["share"] == 2 / 3
    assert graph.edges["A", "B"]["share_in"] == 1.0
    assert graph.nodes["(end)"]["count"] == 3
    found.to_graphml(tmp_path / "graph.graphml")
    again = nx.read_graphml(tmp_path / "graph.graphml")
    assert again.edges["A", "B"]["median_seconds"] == 60.0
    assert set(again) == set(graph)


def test_without_networkx_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(InputError, match="pip install"):
        transitions(journeys_like("AB")).to_networkx()
