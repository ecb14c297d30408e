"""Intervals, tests and survival: against published numbers, lifelines, SciPy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cjm_analytics.errors import InputError
from cjm_analytics.statistics import (
    aalen_johansen,
    benjamini_hochberg,
    cliffs_delta,
    cluster_variance,
    compared,
    csat,
    design_effect,
    difference_interval,
    holm,
    kaplan_meier,
    kruskal_wallis,
    life_table,
    log_rank,
    mann_whitney,
    mean,
    newcombe,
    nps,
    restricted_mean,
    wilson,
)

NAN = math.nan

# detractors, passives, promoters; NPS, variance of one answer, SE; Wald, adjusted Wald, score.
NPS = [
    (25, 25, 50, 0.25, 0.6875, 0.082916, 0.087488, 0.412512, 0.083022, 0.402415, 0.081556, 0.403134),
    (10, 8, 18, 0.222222, 0.728395, 0.142243, -0.05657, 0.501014, -0.060128, 0.470385, -0.06604, 0.473336),
    (3, 2, 5, 0.2, 0.76, 0.275681, -0.340325, 0.740325, -0.30326, 0.610952, -0.329548, 0.628241),
    (1, 2, 3, 0.333333, 0.555556, 0.30429, -0.263065, 0.929731, -0.267433, 0.711877, -0.311074, 0.753957),
    (0, 0, 10, 1, 0, 0, 1, 1, 0.475036, 1, NAN, NAN),
    (0, 10, 0, 0, 0, 0, 0, 0, -0.18465, 0.18465, NAN, NAN),
    (150, 300, 550, 0.4, 0.54, 0.023238, 0.354455, 0.445545, 0.353311, 0.444296, NAN, NAN),
]


def close(got, expected):
    """Equal to the six decimals that are printed."""
    assert float(got) == pytest.approx(expected, abs=6e-7)


@pytest.mark.parametrize("row", NPS)
def test_nps_gives_the_reference_score_and_error(row):
    found = nps(*row[:3])
    close(found.value, row[3])
    close(found.error, row[5])
    close(found.error**2 * found.n, row[4])


@pytest.mark.parametrize("row", NPS)
def test_nps_gives_the_reference_interval_by_wald(row):
    found = nps(*row[:3], method="wald")
    close(found.low, row[6])
    close(found.high, row[7])


@pytest.mark.parametrize("row", NPS)
def test_nps_gives_the_reference_interval_by_adjusted_wald(row):
    found = nps(*row[:3])
    close(found.low, row[8])
    close(found.high, row[9])


@pytest.mark.parametrize("row", NPS[:4])
def test_nps_gives_the_reference_interval_by_score(row):
    found = nps(*row[:3], method="score")
    close(found.low, row[10])
    close(found.high, row[11])


def test_nps_works_on_arrays():
    counts = np.array([row[:3] for row in NPS])
    found = nps(counts[:, 0], counts[:, 1], counts[:, 2])
    np.testing.assert_allclose(found.low, [row[8] for row in NPS], atol=6e-7)


def test_nps_of_no_answers_is_missing():
    assert np.isnan([*nps(0, 0, 0)[:4]]).all()
    assert np.isnan(nps(0, 0, 0, method="score").low)


def test_nps_by_score_holds_what_a_score_test_does_not_refuse_even_when_all_agree():
    found = nps(0, 0, 10, method="score")
    close(found.high, 1.0)
    assert 0.4 < found.low < 0.9


def test_nps_variance_gives_the_published_checks():
    for counts, variance in (((1, 0, 1), 1), ((0, 1, 1), 0.25), ((1, 1, 1), 2 / 3), ((1, 2, 3), 5 / 9)):
        found = nps(*counts)
        assert found.error**2 * found.n == pytest.approx(variance)


def test_nps_refuses_a_negative_count_and_an_unknown_method():
    with pytest.raises(InputError, match="negative"):
        nps(-1, 2, 3)
    with pytest.raises(InputError, match="Did you mean 'wald'"):
        nps(1, 2, 3, method="walt")


def test_two_independent_nps_give_the_reference_comparison():
    found = compared(nps(20, 30, 50), nps(35, 30, 35))
    for got, expected in zip(found, (0.30, 0.075672, 0.524328, 0.114455, 0.008764), strict=True):
        close(got, expected)


def test_two_independent_nps_give_the_reference_comparison_by_adjusted_wald():
    found = compared(nps(20.75, 31.5, 50.75), nps(35.75, 31.5, 35.75))
    for got, expected in zip(found, (0.291262, 0.070773, 0.511752, 0.112497, 0.009623), strict=True):
        close(got, expected)


def test_a_covariance_makes_a_difference_within_the_same_persons_surer():
    rng = np.random.default_rng(0)
    before = rng.integers(1, 6, 40).astype(float)
    after = before + rng.integers(-1, 2, 40)
    covariance = np.cov(before, after)[0, 1] / 40
    one, other = (mean(x.mean(), x.std(ddof=1), 40) for x in (before, after))
    from scipy.stats import ttest_rel

    found = compared(one, other, covariance=covariance, freedom=39)
    assert float(found.p) == pytest.approx(ttest_rel(before, after).pvalue)


SEVERAL = {1: [1, 1, 1], 2: [0, -1], 3: [1], 4: [-1, -1], 5: [0], 6: [1]}


def test_several_answers_per_person_give_the_reference_error():
    totals, sizes = [sum(x) for x in SEVERAL.values()], [len(x) for x in SEVERAL.values()]
    close(cluster_variance(totals, sizes) ** 0.5, 0.421426)
    answers = [x for person in SEVERAL.values() for x in person]
    inflation = design_effect(totals, sizes, [1] * 6, variance=np.var(answers, ddof=1))
    naive = mean(np.mean(answers), np.std(answers, ddof=1), 10)
    close(naive.error, 0.290593)
    close(mean(0.2, np.std(answers, ddof=1), 10, design_effect=inflation).error, 0.421426)


def test_one_answer_each_needs_no_cluster_robustness():
    values = np.array([1, 0, -1, 1, 1.0])
    assert cluster_variance(values, np.ones(5)) == pytest.approx(np.var(values, ddof=1) / 5)
    assert design_effect(values, np.ones(5), np.ones(5), variance=0.8) == 1.0


def test_lines_that_stand_for_several_customers_count_as_often():
    often = cluster_variance([2, 2, 1, 0], [2, 2, 1, 1])
    assert cluster_variance([2, 1, 0], [2, 1, 1], [2, 1, 1]) == pytest.approx(often)


def test_cluster_variance_equals_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    person = rng.integers(0, 30, 200)
    score = rng.integers(1, 6, 200) + person % 3
    # statsmodels multiplies by G/(G − 1) · (n − 1)/(n − k), which is G/(G − 1) for a mean.
    fit = sm.OLS(score, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": person})
    totals, sizes = np.bincount(person, score), np.bincount(person)
    assert cluster_variance(totals, sizes) == pytest.approx(fit.cov_params()[0, 0])


def test_one_person_counts_as_one_answer():
    assert design_effect([3], [5], [1], variance=0.7) == 5.0
    assert np.isnan(cluster_variance([3], [5]))


def test_an_inflated_csat_has_the_interval_of_fewer_answers():
    found = csat(40, 50, design_effect=2)
    low, high = wilson(20, 25)
    assert (found.low, found.high, found.value) == (low, high, 0.8)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),
        (45, 60, 0.627679, 0.842235),
        (0, 10, 0, 0.277533),
        (10, 10, 0.722467, 1),
        (81, 263, 0.255289, 0.366210),
    ],
)
def test_wilson_gives_the_reference_interval(k, n, low, high):
    found = wilson(k, n)
    close(found[0], low)
    close(found[1], high)


def test_ces_gives_the_reference_mean_and_interval():
    scores = np.array([7, 6, 5, 7, 4, 6, 3, 7, 6, 5])
    found = mean(scores.mean(), scores.std(ddof=1), 10)
    close(scores.std(ddof=1), 1.349897)
    close(found.low, 4.634342)
    close(found.high, 6.565658)


def test_stars_give_the_reference_mean_and_interval():
    scores = np.repeat([1, 2, 3, 4, 5], [5, 3, 8, 20, 14])
    found = mean(scores.mean(), scores.std(ddof=1), 50)
    close(found.value, 3.7)
    close(scores.std(ddof=1), 1.233048)
    close(found.low, 3.349572)
    close(found.high, 4.050428)


def test_equal_answers_or_a_single_one_have_no_interval():
    assert np.isnan([mean(5.0, 0.0, 8).low, mean(5.0, NAN, 1).low]).all()
    assert mean(5.0, 0.0, 8).value == 5.0


def test_square_and_add_of_wilson_intervals_is_newcombe():
    low, high = difference_interval(csat(34, 50), csat(60, 70))
    assert (low, high) == newcombe(34, 50, 60, 70)
    close(low, -0.329090)
    close(high, -0.026334)


def test_square_and_add_of_symmetric_intervals_is_wald():
    one, other = (mean(m, 1.2, 1000) for m in (3.1, 3.0))
    low, high = difference_interval(one, other, covariance=0.0004)
    expected = compared(one, other, covariance=0.0004, freedom=999)
    assert (float(low), float(high)) == pytest.approx((float(expected.low), float(expected.high)))


def test_ordinal_scores_of_three_groups_give_the_reference_tests():
    a, b, c = [9, 10, 8, 7, 10, 9], [6, 5, 7, 3, 8, 6], [10, 9, 9, 10, 8, 10]
    h, p = kruskal_wallis([a, b, c])
    close(h, 10.558950)
    close(p, 0.005095)
    u, p = mann_whitney(a, b)
    assert u == 34.0
    close(p, 0.012281)
    close(cliffs_delta(a, b), 0.888889)


def test_ordinal_tests_without_a_second_group_or_any_difference_are_missing():
    assert np.isnan(kruskal_wallis([[1, 2], []])).all()
    assert np.isnan(mann_whitney([3, 3], [3, 3])).all()
    assert np.isnan(cliffs_delta([], [1]))


def test_the_small_family_gives_the_reference_q_values():
    assert benjamini_hochberg([0.0088, 0.04, 0.3]).round(4).tolist() == [0.0264, 0.06, 0.3]


KM = life_table([1, 2, 2, 3, 4, 5, 5, 6], [1, 1, 0, 1, 0, 1, 1, 0])
AJ = life_table(range(1, 11), [1, 2, 0, 1, 1, 2, 0, 1, 0, 2])


def test_kaplan_meier_gives_the_reference_curve():
    curve = kaplan_meier(KM)
    assert curve.time.tolist() == [1, 2, 3, 4, 5, 6]
    assert curve.survival.round(9).tolist() == [0.875, 0.75, 0.6, 0.6, 0.2, 0.2]
    assert curve.median == 5
    close(curve.low[1], 0.314807)
    close(curve.high[1], 0.930898)
    close(restricted_mean(curve, 6), 4.025)


def test_a_median_that_is_not_passed_is_missing_and_one_half_is_passed():
    assert np.isnan(kaplan_meier(life_table([1, 2, 3], [1, 0, 0])).median)
    assert kaplan_meier(life_table([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0])).median == 3


def test_aalen_johansen_gives_the_reference_curves():
    first, second = aalen_johansen(AJ), aalen_johansen(AJ, 2)
    for time, share in ((1, 0.1), (4, 0.214286), (5, 0.328571), (8, 0.480952)):
        close(first.incidence[time - 1], share)
    for time, share in ((2, 0.1), (6, 0.214286), (10, 0.519048)):
        close(second.incidence[time - 1], share)
    close(first.incidence[-1] + second.incidence[-1], 1.0)
    close(first.variance[7], 0.031684)


def test_censoring_a_competing_end_is_too_high():
    causes = [cause * (cause == 1) for cause in [1, 2, 0, 1, 1, 2, 0, 1, 0, 2]]
    close(1 - kaplan_meier(life_table(range(1, 11), causes)).survival[-1], 0.571429)


def test_log_rank_gives_the_reference_test():
    found = log_rank(
        [
            life_table([6, 7, 10, 15, 19, 25], [1, 1, 1, 0, 1, 0]),
            life_table([8, 9, 12, 20, 22, 30], [1, 0, 1, 1, 0, 0]),
        ]
    )
    close(found.statistic, 0.685549)
    close(found.p, 0.407682)
    assert found.freedom == 1


def test_a_log_rank_without_a_second_group_or_any_end_is_missing():
    assert np.isnan(log_rank([KM]).p)
    assert np.isnan(log_rank([life_table([1, 2], [0, 0])] * 2).p)


@pytest.mark.parametrize("seed", range(20))
def test_kaplan_meier_equals_lifelines(seed):
    from lifelines import KaplanMeierFitter

    rng = np.random.default_rng(seed)
    durations, seen = rng.integers(1, 15, 40), rng.integers(0, 2, 40)
    curve = kaplan_meier(life_table(durations, seen), confidence=0.9)
    fit = KaplanMeierFitter(alpha=0.1).fit(durations, seen)
    np.testing.assert_allclose(curve.survival, fit.survival_function_.iloc[1:, 0])
    np.testing.assert_allclose(
        np.column_stack([curve.low, curve.high]), fit.confidence_interval_survival_function_.iloc[1:]
    )
    if np.isfinite(fit.median_survival_time_):
        assert curve.median == fit.median_survival_time_


@pytest.mark.parametrize("seed", range(20))
def test_aalen_johansen_equals_lifelines_where_there_are_no_ties(seed):
    from lifelines import AalenJohansenFitter

    rng = np.random.default_rng(seed)
    durations = rng.permutation(60)[:40] + 1
    causes = rng.integers(0, 3, 40)
    found = aalen_johansen(life_table(durations, causes))
    fit = AalenJohansenFitter(calculate_variance=True).fit(durations, causes, event_of_interest=1)
    np.testing.assert_allclose(found.incidence, fit.cumulative_density_.iloc[1:, 0], rtol=1e-12)
    # lifelines leaves the variance undefined once all at risk have ended.
    finite = np.isfinite(fit.variance_.to_numpy()[1:])
    np.testing.assert_allclose(found.variance[finite], fit.variance_.to_numpy()[1:][finite], atol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_aalen_johansen_with_ties_equals_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    durations, causes = rng.integers(0, 8, 50), rng.integers(0, 3, 50)
    found = aalen_johansen(life_table(durations, causes))
    survival, share = 1.0, 0.0
    for place, time in enumerate(sorted(set(durations))):
        n = sum(durations >= time)
        share += survival * sum((durations == time) & (causes == 1)) / n
        survival *= 1 - sum((durations == time) & (causes > 0)) / n
        assert found.incidence[place] == pytest.approx(share)
        assert found.survival[place] == pytest.approx(survival)


def test_aalen_johansen_without_competitors_is_kaplan_meier_with_its_interval():
    rng = np.random.default_rng(4)
    table = life_table(rng.integers(1, 30, 200), rng.integers(0, 2, 200), n_causes=2)
    curve, found = kaplan_meier(table), aalen_johansen(table)
    for ours, theirs in (
        (1 - found.incidence, curve.survival),
        (found.variance, curve.variance),
        (1 - found.high, curve.low),
        (1 - found.low, curve.high),
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_log_rank_of_three_groups_equals_lifelines(seed):
    from lifelines.statistics import multivariate_logrank_test

    rng = np.random.default_rng(seed)
    durations, seen, group = rng.integers(1, 12, 60), rng.integers(0, 2, 60), rng.integers(0, 3, 60)
    found = log_rank([life_table(durations[group == one], seen[group == one]) for one in range(3)])
    expected = multivariate_logrank_test(durations, group, seen)
    assert found.statistic == pytest.approx(expected.test_statistic)
    assert found.p == pytest.approx(expected.p_value)


def test_tables_of_disjoint_units_add():
    rng = np.random.default_rng(2)
    durations, causes = rng.integers(1, 9, 60), rng.integers(0, 3, 60)
    whole = life_table(durations, causes, n_causes=2)
    counts = np.zeros((9, 3), dtype=int)
    for part in (slice(0, 20), slice(20, 60)):
        np.add.at(counts, (durations[part], causes[part]), 1)
    time, cause = np.nonzero(counts)
    again = life_table(time, cause, counts[time, cause], n_causes=2)
    for left, right in zip(whole, again, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_life_table_refuses_missing_durations_unknown_causes_and_unequal_lengths():
    with pytest.raises(InputError, match="missing"):
        life_table([1.0, NAN], [1, 0])
    with pytest.raises(InputError, match="Causes"):
        life_table([1, 2], [1, 3], n_causes=2)
    with pytest.raises(InputError, match="equally long"):
        life_table([1, 2], [1])
    with pytest.raises(InputError, match="cause=3"):
        aalen_johansen(AJ, 3)


def test_an_empty_table_gives_empty_curves():
    table = life_table([], [], n_causes=2)
    assert len(kaplan_meier(table).time) == len(aalen_johansen(table).time) == 0
    assert np.isnan(aalen_johansen(table).median)


def test_the_z_value_of_two_independent_nps_is_the_reference():
    found = compared(nps(20, 30, 50), nps(35, 30, 35))
    close(found.difference / found.error, 2.621112)


def test_seeded_draws_of_the_reference_nps_have_its_error():
    answers = np.repeat([-1, 0, 1], [10, 8, 18])
    draws = np.random.default_rng(0).choice(answers, (10_000, 36)).mean(axis=1)
    assert float(nps(10, 8, 18).error) == pytest.approx(draws.std(), rel=0.02)
    assert np.quantile(draws, [0.025, 0.975]) == pytest.approx([-0.055556, 0.5], abs=1e-6)
    wald = nps(10, 8, 18, method="wald")
    assert [float(wald.low), float(wald.high)] == pytest.approx([-0.055556, 0.5], abs=0.002)


def test_holm_of_the_small_family_is_the_reference():
    assert holm([0.0088, 0.04, 0.3]).round(4).tolist() == [0.0264, 0.08, 0.3]


def followed(n, rng, *, days=90.0, share=0.6, median=7.0):
    """Journeys that begin at any time of some days and, six of ten, go on: half of these within a week."""
    began = rng.uniform(0, days, n)
    waits = np.where(rng.random(n) < share, rng.exponential(median / math.log(2), n), np.inf)
    return waits, days - began


def test_a_raw_share_is_too_low_and_kaplan_meier_is_near_the_truth():
    waits, seen = followed(200_000, np.random.default_rng(0))
    on = waits <= seen
    truth = (waits <= 30).mean()
    assert truth == pytest.approx(0.5706, abs=0.005)
    assert on.mean() == pytest.approx(0.534, abs=0.01)
    assert on[seen <= 7].mean() == pytest.approx(0.173, abs=0.01)
    assert on[seen >= 60].mean() == pytest.approx(0.598, abs=0.005)
    assert (waits <= np.minimum(seen, 30)).mean() == pytest.approx(0.5168, abs=0.01)
    assert (waits <= 30)[seen >= 30].mean() == pytest.approx(truth, abs=0.005)
    hours = np.floor(np.minimum(np.minimum(waits, seen), 30) * 24)
    curve = kaplan_meier(life_table(hours, (waits <= np.minimum(seen, 30)).astype(int)))
    assert 1 - curve.survival[-1] == pytest.approx(truth, abs=0.005)
