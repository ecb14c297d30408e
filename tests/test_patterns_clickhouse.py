"""Patterns equal ClickHouse's `sequenceMatch` and `sequenceCount` wherever both can say it."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import cjm_analytics as cjm
from logs import journeys_of


@pytest.fixture(scope="module")
def chdb():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about itself at import
        return pytest.importorskip("chdb")


@pytest.fixture(scope="module")
def log():
    """Three hundred customers, no two events of one at the same second."""
    rng = np.random.default_rng(7)
    rows = [
        (f"c{number:03}", int(second), str(rng.choice(list("ABC"))))
        for number in range(300)
        for second in np.cumsum(rng.integers(1, 900, int(rng.integers(1, 14))))
    ]
    return pd.DataFrame(rows, columns=["customer", "time", "touchpoint"])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("(?1)", "A"),
        ("(?1)(?2)", "A -> B"),
        ("(?1)(?1)", "A -> A"),
        ("(?1)(?2)(?3)", "A -> B -> C"),
        ("(?1).(?2)", "A -> . -> B"),
        ("(?1).*(?2)", "A .. B"),
        ("(?1).*(?1)", "A .. A"),
        ("(?1).*(?2)(?3)", "A .. B -> C"),
        ("(?1).*(?2).*(?3)", "A .. B .. C"),
        ("(?1)(?t<=300)(?2)", "A ..{<=5m} B"),
        ("(?1)(?t<300)(?2)", "A ..{<5m} B"),
        ("(?1)(?t<=200)(?2)(?t<=400)(?3)", "A ..{<=200s} B ..{<=400s} C"),
    ],
)
def test_patterns_match_and_count_alike(chdb, log, theirs, ours, tmp_path):
    path = tmp_path / "log.parquet"
    log.to_parquet(path)
    events = ", ".join(f"touchpoint = '{name}'" for name in "ABC")
    numbers = ", ".join(f"sum({call})" for call in ("fits", "times"))
    answer = chdb.query(
        f"SELECT {numbers} FROM (SELECT sequenceMatch('{theirs}')(toUInt32(time), {events}) AS fits, "
        f"sequenceCount('{theirs}')(toUInt32(time), {events}) AS times FROM file('{path}', Parquet) "
        "GROUP BY customer)",
        "CSV",
    )
    found = cjm.matches(journeys_of(log, unit=1_000_000), ours).to_frame()
    assert found[["matched", "matches"]].to_numpy()[0].tolist() == [int(n) for n in str(answer).split(",")]


@pytest.mark.parametrize("chain", ["A", "AB", "BA", "CC", "ABC"])
def test_what_comes_next_after_a_chain(chdb, log, chain, tmp_path):
    """`sequenceNextNode`: the chain has to begin at the customer's first event of its first name."""
    path = tmp_path / "log.parquet"
    log.to_parquet(path)
    events = ", ".join(f"touchpoint = '{name}'" for name in chain)
    answer = chdb.query(
        "SELECT next, count() FROM (SELECT sequenceNextNode('forward', 'first_match')(toUInt32(time), "
        f"touchpoint::Nullable(String), touchpoint = '{chain[0]}', {events}) AS next "
        f"FROM file('{path}', Parquet) GROUP BY customer) WHERE next IS NOT NULL GROUP BY next ORDER BY next "
        "SETTINGS allow_experimental_funnel_functions = 1",
        "CSV",
    )
    theirs = {name.strip('"'): int(n) for name, n in (line.split(",") for line in str(answer).split())}
    pattern = f"(start) -> [^{chain[0]}]* -> {' -> '.join(chain)}"
    journeys = journeys_of(log, unit=1_000_000)
    frame = cjm.flow(journeys, around=pattern, positions=2, collapse=False, top=None).to_frame()
    ahead = frame[(frame["position"] == 0) & (frame["target"] != "(end)")]
    assert ahead.groupby("target")["passes"].sum().to_dict() == theirs
