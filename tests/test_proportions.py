"""Two shares, and many tests: against published numbers and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest

from cjm_analytics.statistics import benjamini_hochberg, holm, newcombe, two_proportion_test

# The fifteen p-values of Benjamini and Hochberg (1995).
PUBLISHED = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
    0.7590, 1,
]  # fmt: skip


def test_newcombe_gives_the_published_interval():
    low, high = newcombe(56, 70, 48, 80)
    assert (round(float(low), 4), round(float(high), 4)) == (0.0524, 0.3339)


def test_newcombe_of_a_smaller_first_share_lies_below_zero():
    low, high = newcombe(34, 50, 60, 70)
    assert (round(float(low), 6), round(float(high), 6)) == (-0.329090, -0.026334)


def test_newcombe_equals_statsmodels_on_many_tables():
    from statsmodels.stats.proportion import confint_proportions_2indep

    rng = np.random.default_rng(0)
    n, m = rng.integers(1, 60, 200), rng.integers(1, 60, 200)
    k, j = rng.integers(0, n + 1), rng.integers(0, m + 1)
    low, high = newcombe(k, n, j, m)
    expected = [confint_proportions_2indep(*one, method="newcomb") for one in zip(k, n, j, m, strict=True)]
    np.testing.assert_allclose(np.column_stack([low, high]), expected, atol=1e-9)


def test_two_proportions_give_the_reference_test():
    z, p = two_proportion_test(56, 70, 48, 80)
    assert (round(float(z), 6), round(float(p), 6)) == (2.650172, 0.008045)


def test_two_shares_of_nothing_do_not_differ():
    z, p = two_proportion_test([0, 5], [10, 5], [0, 7], [12, 7])
    assert z.tolist() == [0, 0]
    assert p.tolist() == [1, 1]


def test_a_share_without_a_denominator_has_neither_test_nor_interval():
    assert np.isnan(two_proportion_test(0, 0, 3, 9)).all()
    assert np.isnan(newcombe(0, 0, 3, 9)).all()


@pytest.mark.parametrize(("adjust", "rejected"), [(benjamini_hochberg, 4), (holm, 3)])
def test_the_published_family_rejects_as_published(adjust, rejected):
    assert (adjust(PUBLISHED) <= 0.05).sum() == rejected


def test_benjamini_hochberg_adjusts_as_published():
    expected = [0.0015, 0.0030, 0.0095, 0.035625, 0.0603]
    np.testing.assert_allclose(benjamini_hochberg(PUBLISHED)[:5], expected)


@pytest.mark.parametrize(("adjust", "method"), [(benjamini_hochberg, "fdr_bh"), (holm, "holm")])
def test_adjusted_p_values_equal_statsmodels_in_any_order(adjust, method):
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(1).random(40) ** 3
    np.testing.assert_allclose(adjust(p), multipletests(p, method=method)[1])


def test_a_test_that_could_not_be_made_is_not_counted_in_the_family():
    assert benjamini_hochberg([0.02, np.nan, 0.04]).tolist()[::2] == [0.04, 0.04]
