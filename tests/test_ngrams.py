"""N-grams: literal tables and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from cjm_analytics.analysis.ngrams import distinct_rows, ngrams
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


def test_rows_of_any_width_are_told_apart():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (500, 60)).astype(np.int32)
    rows[100:200] = rows[:100]
    distinct, number = distinct_rows(rows, 1_000_000)
    np.testing.assert_array_equal(distinct[number], rows)
    assert len(distinct) == len({tuple(row) for row in rows.tolist()})


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
