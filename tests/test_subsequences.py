"""Sub-sequences with gaps: literal tables, and every combination of positions tried."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from cjm_analytics.analysis.subsequences import subsequences
from cjm_analytics.errors import InputError, UnknownNameError
from logs import journeys_of, random_rows


def journeys_like(*paths, **options):
    return journeys_of(
        [(f"c{n}", t, name) for n, path in enumerate(paths) for t, name in enumerate(path)], **options
    )


def slow(rows, *, lengths, max_gap, least):
    counts = {}
    for _, mine in rows.groupby(["customer", "journey"], sort=False):
        path = mine["touchpoint"].tolist()
        path = [name for at, name in enumerate(path) if not at or path[at - 1] != name]
        have = set()
        for length in range(1, lengths[1] + 1):
            for places in combinations(range(len(path)), length):
                near = all(b - a - 1 <= max_gap for a, b in pairwise(places))
                if max_gap is None or near:
                    have.add(tuple(path[at] for at in places))
        for one in have:
            counts[one] = counts.get(one, 0) + 1
    return {one: n for one, n in counts.items() if n >= least}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("closed", [False, True])
def test_fast_subsequences_equal_slow_ones(seed, closed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=6, n_events=45, alphabet="ABC")
    max_gap = [None, 0, 1, 2][seed % 4]
    units = rows.groupby(["customer", "journey"]).ngroups
    share = 0.3
    expected = slow(rows, lengths=(1, 3), max_gap=10**9 if max_gap is None else max_gap,
                    least=int(np.ceil(share * units - 1e-9)))  # fmt: skip
    if closed:
        part = {
            one[:at] + one[at + 1 :]
            for one, n in expected.items()
            for at in range(len(one))
            if expected.get(one[:at] + one[at + 1 :]) == n
        }
        expected = {one: n for one, n in expected.items() if one not in part}
    result = subsequences(
        journeys_of(rows),
        min_share=share,
        min_length=1,
        max_length=3,
        max_gap=max_gap,
        closed=closed,
        top=None,
    )
    found = result.to_frame().set_index("subsequence")["journeys"].to_dict()
    assert found == {" .. ".join(one): n for one, n in expected.items()}


def test_what_tells_converters_from_the_rest():
    paths = ["ABG"] * 30 + ["AC"] * 30 + ["BA"] * 5
    result = subsequences(journeys_like(*paths, goal="G"), min_share=0.05, closed=False)
    frame = result.to_frame().set_index("subsequence")
    assert frame.loc["A .. B", "conversion"] == 1
    assert frame.loc["A .. B", "lift"] == pytest.approx(65 / 30)
    assert frame.loc["A .. C", "association"] == "failure"
    clear = result.discriminating()
    assert clear["q_value"].is_monotonic_increasing
    assert {"A .. B", "A .. C"} <= set(clear["subsequence"])


def test_closed_ones_leave_out_their_parts():
    paths = ["ABC"] * 10
    assert subsequences(journeys_like(*paths)).to_frame()["subsequence"].tolist() == ["A .. B .. C"]
    assert len(subsequences(journeys_like(*paths), closed=False).to_frame()) == 4


def test_what_is_asked_is_checked():
    for options, error, said in (
        ({"min_share": 0}, InputError, "min_share"),
        ({"max_length": 1}, InputError, "max_length"),
        ({"max_gap": -1}, InputError, "max_gap"),
        ({"of": "stages"}, UnknownNameError, "Did you mean 'stage'"),
    ):
        with pytest.raises(error, match=said):
            subsequences(journeys_like("AB"), **options)


def test_too_many_are_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr("cjm_analytics.analysis.subsequences._MOST", 3)
    with pytest.raises(InputError, match="Raise min_share"):
        subsequences(journeys_like("ABCD"), min_share=0.1)


def test_without_a_goal_and_in_pictures():
    result = subsequences(journeys_like(*["ABC"] * 3))
    assert result.to_frame()["conversion"].isna().all()
    assert len(result.discriminating()) == 0
    assert result.plot() is not None
    assert "Sub-sequences" in result._repr_html_()


def test_before_the_goal_what_comes_after_it_does_not_count():
    paths = ["ABGX"] * 20 + ["AC"] * 20 + ["GX"] * 5
    journeys = journeys_like(*paths, goal="G")
    result = subsequences(journeys, min_share=0.05, min_length=1, closed=False, before_goal=True)
    frame = result.to_frame().set_index("subsequence")
    assert set(frame.index) == {"A", "B", "C", "A .. B", "A .. C"}
    assert frame.loc["A", ["journeys", "conversion"]].tolist() == [40, 0.5]
    with pytest.raises(InputError, match="needs a goal"):
        subsequences(journeys_like("AB"), before_goal=True)
