"""Durations add like the multisets that they stand for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cjm_analytics.errors import InputError
from cjm_analytics.quantiles import Durations, in_rising_order

values = st.lists(st.integers(0, 10**13) | st.integers(0, 5), max_size=30)


def state(bag):
    return bag.group.tolist(), bag.value.tolist(), bag.count.tolist(), bag.exact


@given(values, values, values, st.sampled_from([0, 3, 10, 1000]))
@settings(deadline=None)
def test_any_split_and_order_give_the_same_bag(a, b, c, limit):
    def bag(part):
        return Durations.of(part, [one % 3 for one in part], limit=limit)

    whole = state(bag(a + b + c))
    assert state((bag(a) + bag(b)) + bag(c)) == whole
    assert state(bag(a) + (bag(b) + bag(c))) == whole
    assert state(bag(c) + bag(a) + bag(b)) == whole
    assert state(bag(a) + Durations.empty(limit=limit)) == state(bag(a))


@given(values.filter(len), st.floats(0, 1))
@settings(deadline=None)
def test_an_exact_quantile_is_that_of_numpy(sample, q):
    assert Durations.of(sample).quantile(q) == pytest.approx(np.quantile(sample, q), rel=1e-12)


@given(values.filter(len), st.floats(0, 1))
@settings(deadline=None)
def test_a_quantile_from_buckets_is_off_by_half_a_percent_at_most(sample, q):
    bag = Durations.of(sample, limit=0)
    assert not bag.exact
    assert bag.n == len(sample)
    assert bag.quantile(q) == pytest.approx(np.quantile(sample, q), rel=0.00501)


def test_the_median_of_an_even_count_is_the_mean_of_the_middle_two():
    assert Durations.of([1, 10, 20, 1000]).quantile(0.5) == 15


def test_groups_have_their_own_quantiles_and_an_empty_one_has_none():
    bag = Durations.of([5, 7, 100], group=[0, 0, 2])
    np.testing.assert_array_equal(bag.quantiles(0.5, n_groups=4), [6, np.nan, 100, np.nan])
    assert bag.counts(4).tolist() == [2, 0, 1, 0]


def test_groups_can_be_renumbered_and_joined():
    bag = Durations.of([5, 7, 100], group=[0, 0, 2]).regrouped([1, 0, 1])
    assert state(bag) == state(Durations.of([5, 7, 100], group=[1, 1, 1]))


def test_nothing_has_no_quantile():
    assert np.isnan(Durations.empty().quantile(0.5))
    assert Durations.empty().n == 0


def test_values_that_fill_an_integer_are_kept_apart_by_group():
    huge = np.iinfo(np.int64).max
    bag = Durations.of([huge, huge], group=[3, 5]) + Durations.of([huge, 0], group=[5, 0])
    assert state(bag) == ([0, 3, 5], [0, huge, huge], [1, 1, 2], True)


def test_the_largest_duration_has_a_bucket():
    huge = np.iinfo(np.int64).max
    assert Durations.of([huge], limit=0).quantile(0.5) == pytest.approx(huge, rel=0.0051)


def test_a_negative_duration_is_an_error():
    with pytest.raises(InputError, match="negative"):
        Durations.of([3, -1])


def test_a_quantile_beyond_one_is_an_error():
    with pytest.raises(InputError, match="between 0 and 1"):
        Durations.of([3]).quantile(50)


def test_a_bag_can_be_pickled():
    bag = Durations.of([1, 2, 2])
    assert state(pickle.loads(pickle.dumps(bag))) == state(bag)  # noqa: S301 - our own bytes


@pytest.mark.parametrize("most", [0, 1, 2**11 - 1, 2**11, 2**40, np.iinfo(np.int64).max])
@pytest.mark.parametrize("n", [0, 1, 5_000, 20_000])
def test_many_numbers_are_put_in_the_same_order_as_few(n, most):
    numbers = np.random.default_rng(n).integers(0, most, n, endpoint=True)
    expected = np.sort(numbers)
    np.testing.assert_array_equal(in_rising_order(numbers), expected)


@pytest.mark.parametrize("seed", range(10))
def test_bags_of_many_durations_add_as_if_they_were_one(seed):
    rng = np.random.default_rng(seed)
    n, most = int(rng.integers(5_000, 9_000)), int(rng.choice([50, 10**4, 10**12]))
    values, groups = rng.integers(0, most, n), rng.integers(0, 3, n)
    cut = int(rng.integers(0, n))
    parts = [Durations.of(values[part], group=groups[part]) for part in (slice(cut), slice(cut, None))]
    assert state(parts[0] + parts[1]) == state(Durations.of(values, group=groups))
