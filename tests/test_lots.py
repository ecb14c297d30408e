"""Lots: what a bootstrap draws is the same however customers were added, and with few it is the customers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cjm_analytics as cjm
from cjm_analytics.lots import Lots
from logs import journeys_of, random_rows


def ids(numbers):
    return pa.array([f"customer {number}" for number in numbers])


def fewest(numbers, most=512):
    """The longest beginnings of the hashes of which there are at most so many: by trying."""
    hashes = pd.util.hash_array(np.array(ids(numbers).to_pylist(), dtype=object), categorize=False)
    for bits in range(64, 0, -1):
        keys = sorted({int(one) >> (64 - bits) for one in hashes})
        if len(keys) <= most:
            return keys, bits, [keys.index(int(one) >> (64 - bits)) for one in hashes]
    raise AssertionError


@pytest.mark.parametrize("n", [0, 1, 5, 512, 513, 2_000])
def test_each_customer_is_a_lot_until_there_are_too_many(n):
    lots, number = Lots.of(ids(range(n)))
    keys, bits, expected = fewest(range(n))
    assert (lots.keys.tolist(), lots.bits, number.tolist()) == (keys, bits, expected)
    if n <= 512:
        assert sorted(number) == list(range(n))
    else:
        assert 256 < len(lots) <= 512


@pytest.mark.parametrize("n", [40, 700, 3_000])
def test_lots_are_the_same_however_customers_are_added(n):
    rng = np.random.default_rng(n)
    whole, number = Lots.of(ids(range(n)))
    for n_parts in (2, 5):
        part = rng.integers(n_parts, size=n)
        total, place = Lots.of(ids([]))[0], {}
        for one in rng.permutation(n_parts):
            mine = np.flatnonzero(part == one)
            added, number_of = Lots.of(ids(mine))
            total, here, there = total.together(added)
            place = {customer: int(here[lot]) for customer, lot in place.items()}
            place.update({int(who): int(there[lot]) for who, lot in zip(mine, number_of, strict=True)})
        assert (total.bits, total.keys.tolist()) == (whole.bits, whole.keys.tolist())
        assert [place[customer] for customer in range(n)] == number.tolist()


@pytest.mark.parametrize("model", ["linear", "time_decay", "markov"])
@pytest.mark.parametrize("seed", range(3))
def test_intervals_are_those_of_customers_drawn_with_all_their_ways(model, seed):
    """Each draw by hand: the log again with each customer as often as drawn, under new names."""
    rows = random_rows(np.random.default_rng(seed), n_customers=12, n_events=90, alphabet="ABCG")
    options = {"by": "touchpoint", "model": model, "goal": "G"}
    frame = pd.DataFrame(rows).iloc[:, :3]
    frame.columns = ["customer", "time", "touchpoint"]
    frame = frame.assign(customer=frame["customer"].astype(str))
    # A customer whose only event is the goal has a way too; one without any touch has none.
    ways = frame.groupby("customer")["touchpoint"].agg(list)
    drawn = [who for who in ways.index if ways[who]]
    lots, number = Lots.of(pa.array(drawn))
    result = cjm.attribution(journeys_of(frame, goal="G"), bootstrap=25, seed=seed, **options).to_frame()
    shares = []
    for times in lots.weights(25, seed)[1:]:
        copies = [
            frame[frame["customer"] == who].assign(customer=f"{who} {copy}")
            for who, lot in zip(drawn, number, strict=True)
            for copy in range(int(times[lot]))
        ]
        again = journeys_of(pd.concat(copies), goal=None)
        if "G" in again.codebook.touchpoints:
            found = cjm.attribution(again, bootstrap=0, **options).to_frame()
            found = found.set_index("touchpoint")["share"].reindex(result["touchpoint"]).fillna(0.0)
            shares.append(found.to_numpy())
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(result["low"], low, atol=1e-6)
    np.testing.assert_allclose(result["high"], high, atol=1e-6)
