"""N-grams: literal tables and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from cjm_analytics.analysis.ngrams import ngrams
from cjm_analytics.errors import InputError, UnknownNameError
from logs import journeys_of, random_rows


def journeys_like(*paths, **options):
    return journeys_of(
        [(f"c{n}", t, name) for n, path in enumerate(paths) for t, name in enumerate(path)], **options
    )


def test_occurrences_and_journeys_are_counted():
    frame = ngrams(journeys_like("ABAB", "AB", "AAC", goal="C"), 2).to_frame()
    assert frame["ngram"].tolist() == ["A → B", "A → C", "B → A"]
    assert frame[["count", "journeys"]].to_numpy().tolist() == [[3, 2], [1, 1], [1, 1]]
    assert frame["conversion"].tolist() == [0, 1, 0]
    kept = ngrams(journeys_like("AAB"), 2, collapse=False).to_frame()
    assert kept["ngram"].tolist() == ["A → A", "A → B"]


@pytest.mark.parametrize("seed", range(20))
def test_fast_ngrams_equal_slow_ngrams(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_customers=6, n_events=60, alphabet="ABC")
    n, collapse = int(rng.integers(1, 5)), bool(rng.random() < 0.5)
    counts, having = {}, {}
    for _, mine in rows.groupby(["customer", "journey"], sort=False):
        path = mine["touchpoint"].tolist()
        if collapse:
            path = [name for at, name in enumerate(path) if not at or path[at - 1] != name]
        runs = [" → ".join(path[at : at + n]) for at in range(len(path) - n + 1)]
        for run in runs:
            counts[run] = counts.get(run, 0) + 1
        for run in set(runs):
            having[run] = having.get(run, 0) + 1
    frame = ngrams(journeys_of(rows), n, collapse=collapse, top=None).to_frame().set_index("ngram")
    assert frame["count"].to_dict() == counts
    assert frame["journeys"].to_dict() == having


@pytest.mark.parametrize("width", [1, 3, 60])
def test_rows_of_any_width_are_told_apart_and_counted(width):
    from cjm_analytics.kernels import rows as kernels

    rng = np.random.default_rng(width)
    rows = rng.integers(-1, 3, (4_000, width)).astype(np.int32)
    rows[2_000:2_500, -1] = 1_000_000
    rows[3_000:] = rows[:1_000]
    unit = np.sort(rng.integers(0, 300, 4_000)).astype(np.int32)
    marked = rng.random(300) < 0.5
    expected = {}
    for row, one in zip(map(tuple, rows.tolist()), unit.tolist(), strict=True):
        count, units = expected.get(row, (0, set()))
        expected[row] = (count + 1, units | {one})
    first, counts = kernels.tally(rows, unit, marked)
    order = kernels.in_order(rows[first])
    assert [tuple(row) for row in rows[first][order].tolist()] == sorted(expected)
    assert counts[order].tolist() == [
        [count, len(units), sum(marked[one] for one in units)]
        for _, (count, units) in sorted(expected.items())
    ]
    half = [kernels.tally(rows[part], unit[part], marked) for part in (slice(0, 1_500), slice(1_500, None))]
    parts = []
    for start, (place, n) in zip((0, 1_500), half, strict=True):
        mine = rows[start + place]
        by_rank = kernels.in_order(mine)
        parts += [mine[by_rank], n[by_rank]]
    merged, sums = kernels.merged(*parts)
    assert [tuple(row) for row in merged.tolist()] == sorted(expected)
    assert sums[:, 0].tolist() == [count for _, (count, _) in sorted(expected.items())]


def test_groups_are_compared_and_drawn():
    rows = random_rows(np.random.default_rng(1), n_customers=30, n_events=300)
    result = ngrams(journeys_of(rows), 2, by="channel", top=5)
    compared = result.compare()
    assert set(compared["ngram"]) == set(result.to_frame()["ngram"])
    assert len(result.plot().layout.shapes) > 10
    assert "Runs of 2" in result._repr_html_()


def test_what_is_asked_is_checked():
    with pytest.raises(InputError, match="n=0"):
        ngrams(journeys_like("A"), 0)
    with pytest.raises(UnknownNameError, match="Did you mean 'touchpoint'"):
        ngrams(journeys_like("A"), of="touchpint")
    with pytest.raises(InputError, match="no groups"):
        ngrams(journeys_like("A")).compare()
