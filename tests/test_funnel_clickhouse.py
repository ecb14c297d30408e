"""Ordered funnels equal ClickHouse's `windowFunnel` wherever the two mean the same."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from cjm_analytics.analysis.funnel import FunnelAnalysis
from logs import journeys_of

N_LOGS = 2_000


def clickhouse_depths(rows, conditions, within, mode, folder):
    """The level that windowFunnel finds for each customer, in order of their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about itself at import
        chdb = pytest.importorskip("chdb")
    path = folder / "log.parquet"
    rows.assign(time=rows["time"].astype("uint64")).to_parquet(path)
    tests = ", ".join(f"touchpoint IN ({', '.join(map(repr, names))})" for names in conditions)
    modes = f"{within}, '{mode}'" if mode else str(within)
    answer = chdb.query(
        f"SELECT windowFunnel({modes})(time, {tests}) AS level FROM file('{path}', Parquet) "
        "GROUP BY customer ORDER BY customer",
        "CSV",
    )
    return [int(line) for line in str(answer).split()]


def our_depths(rows, steps, within, **rules):
    journeys = journeys_of(rows, unit=1_000_000)
    (partition,) = journeys.partitions
    counted = FunnelAnalysis.plan(journeys, steps, within=f"{within} s", **rules).count(partition)
    depths = np.zeros(partition.n_journeys, int)
    depths[counted.owner] = counted.found.depth
    return depths.tolist()


def logs(seed, *, alphabet="ABCX", n=N_LOGS, span=14, distinct_times=False, distinct_names=False):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, (len(alphabet) if distinct_names else 9) + 1, n)
    times = [rng.choice(span, size, replace=not distinct_times) for size in sizes]
    names = [rng.choice(list(alphabet), size, replace=not distinct_names) for size in sizes]
    customers = np.repeat([f"c{number:05}" for number in range(n)], sizes)
    return pd.DataFrame(
        {"customer": customers, "time": np.concatenate(times), "touchpoint": np.concatenate(names)}
    )


@pytest.mark.parametrize("within", [1, 5, 20])
def test_the_default_mode_counts_simultaneous_events_in_either_order(within, tmp_path):
    rows = logs(within)
    expected = clickhouse_depths(rows, [["A"], ["B"], ["C"]], within, "", tmp_path)
    assert our_depths(rows, ["A", "B", "C"], within, ties="any") == expected


@pytest.mark.parametrize("mode", ["", "strict_increase", "strict_once"])
def test_without_ties_all_modes_that_only_treat_ties_agree(mode, tmp_path):
    rows = logs(7, distinct_times=True)
    expected = clickhouse_depths(rows, [["A"], ["B", "X"], ["C"]], 6, mode, tmp_path)
    assert our_depths(rows, ["A", ["B", "X"], "C"], 6) == expected
    assert our_depths(rows, ["A", ["B", "X"], "C"], 6, ties="any") == expected


def test_with_strict_once_an_event_serves_one_step(tmp_path):
    rows = logs(8, distinct_times=True)
    expected = clickhouse_depths(rows, [["A"], ["A", "B"], ["B"]], 6, "strict_once", tmp_path)
    assert our_depths(rows, ["A", ["A", "B"], "B"], 6) == expected


def test_strict_order_is_strict_where_nothing_repeats(tmp_path):
    rows = logs(9, alphabet="ABCDX", span=30, distinct_times=True, distinct_names=True)
    expected = clickhouse_depths(rows, [["A"], ["B"], ["C"], ["D"]], 12, "strict_order", tmp_path)
    assert our_depths(rows, ["A", "B", "C", "D"], 12, order="strict") == expected
