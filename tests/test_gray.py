"""Gray's test: the numbers that the reference program prints, and the paper's formulas as plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from cjm_analytics.errors import InputError
from cjm_analytics.statistics import gray_test, life_table, log_rank, survival

# The example in the manual of the R package cmprsk: 100 units in order of time, one character each. Group,
# cause (0 is censored) and stratum. Its times are all different, so that their order is all that matters.
GROUP = "caaccbabcaaaaacccbbcccbababcbcbbacacabacbcbcbacaacbbcabbbcabcaaabcabbbcbbaaacbbbbacabaabccaaababccaa"
CAUSE = "0002120122122021000221102111112220211200111122101221022221122220010000012100002220102101011222012001"
STRATUM = (
    "2112112211211121212111211212221122221121112112212112212122211211121121212211211122122221122221112221"
)


def tables(groups, stratum):
    found = []
    for group in groups:
        mine = [place for place in range(100) if GROUP[place] == group and STRATUM[place] == stratum]
        found.append(life_table(mine, [int(CAUSE[place]) for place in mine], n_causes=2))
    return found


@pytest.mark.parametrize(
    ("groups", "cause", "statistic", "p"),
    [
        ("abc", 1, 3.393977, 0.1832345),
        ("abc", 2, 1.989511, 0.3698139),
        ("ac", 1, 3.5151549, 0.06080997),
        ("ac", 2, 0.1400145, 0.70826655),
    ],
)
def test_the_reference_program_gives_the_same_statistic_and_p(groups, cause, statistic, p):
    parts = [survival._gray_score(survival._common_times(tables(groups, one), cause)) for one in ("1", "2")]
    found = survival._chi_square(sum(part[0] for part in parts), sum(part[1] for part in parts))
    assert found.statistic == pytest.approx(statistic, abs=5e-7)
    assert found.p == pytest.approx(p, abs=5e-8)
    assert found.freedom == len(groups) - 1


def plain(durations, causes, groups):
    """Score of the first of two groups and its variance, with one loop over the times."""
    times = sorted({t for t, cause in zip(durations, causes, strict=True) if cause})
    unit = list(zip(durations, causes, groups, strict=True))
    survival, incidence = [1.0, 1.0], [0.0, 0.0]
    shared, score, steps = 0.0, 0.0, []
    for t in times:
        at_risk = [sum(1 for one in unit if one[0] >= t and one[2] == k) for k in (0, 1)]
        first = [sum(1 for one in unit if one == (t, 1, k)) for k in (0, 1)]
        other = [sum(1 for one in unit if one == (t, 2, k)) for k in (0, 1)]
        h = [at_risk[k] / survival[k] if at_risk[k] else 0.0 for k in (0, 1)]
        left = [h[k] * (1 - incidence[k]) for k in (0, 1)]
        score += first[0] - (sum(first) * left[0] / sum(left) if sum(left) else 0.0)
        jump = sum(first) / sum(h)
        # What one end in group k adds to the score, if the hazard of the subdistribution is the shared one.
        add = [h[0] * (1 - h[0] / sum(h)), -h[0] * h[1] / sum(h)]
        before = list(survival)
        for k in (0, 1):
            if at_risk[k]:
                incidence[k] += survival[k] * first[k] / at_risk[k]
                survival[k] *= 1 - (first[k] + other[k]) / at_risk[k]
        drift = [one * jump / (1 - shared) if shared < 1 else 0.0 for one in add]
        shared += jump
        steps.append((add, drift, before, list(survival), shared, at_risk, first, other, h))
    variance = 0.0
    for place, (add, _, before, after, reached, at_risk, first, other, h) in enumerate(steps):
        for k in (0, 1):
            if not at_risk[k]:
                continue
            later = sum(following[1][k] for following in steps[place + 1 :])
            kept = (1 - reached) / after[k] if after[k] else 0.0
            everyone = sum(h) * before[k]
            some = sum(first)
            tied = (some - 1) / (everyone - 1) if some > 1 and everyone > 1 else 0.0
            own = max(1 - tied, 0.0) * before[k] * some / (sum(h) * at_risk[k])
            variance += own * (add[k] + (1 - kept) * later) ** 2
            tied = (other[k] - 1) / (at_risk[k] - 1) if other[k] > 1 else 0.0
            variance += (1 - tied) * before[k] ** 2 * other[k] / at_risk[k] ** 2 * (kept * later) ** 2
    return score, variance


@pytest.mark.parametrize("seed", range(60))
def test_two_groups_with_ties_equal_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 40))
    durations, causes, groups = rng.integers(0, 12, n), rng.integers(0, 3, n), rng.integers(0, 2, n)
    groups[:2] = 0, 1
    score, variance = plain(durations.tolist(), causes.tolist(), groups.tolist())
    found = gray_test([life_table(durations[groups == k], causes[groups == k], n_causes=2) for k in (0, 1)])
    if variance < 1e-12:
        assert np.isnan(found.statistic) or found.statistic == pytest.approx(score**2 / variance)
    else:
        assert found.statistic == pytest.approx(score**2 / variance, rel=1e-9)


def test_the_order_of_the_groups_does_not_matter():
    one, two, three = tables("abc", "1")
    found = gray_test([one, two, three])
    assert gray_test([three, one, two]).statistic == pytest.approx(found.statistic)


def test_with_equal_incidence_it_refuses_one_time_in_twenty_and_the_log_rank_test_much_more_often():
    # Both groups reach the target alike, but group 1 leaves sooner once it can no longer reach it.
    rng = np.random.default_rng(11)
    gray, naive = 0, 0
    for _ in range(400):
        found = []
        for slow in (8.0, 1.0):
            n = 80
            reaches = rng.random(n) < 0.5
            end = np.where(reaches, rng.exponential(4.0, n), rng.exponential(slow, n))
            censored = rng.uniform(0, 15, n)
            cause = np.where(censored < end, 0, np.where(reaches, 1, 2))
            found.append((np.minimum(end, censored), cause))
        gray += gray_test([life_table(*one, n_causes=2) for one in found]).p < 0.05
        naive += log_rank([life_table(time, cause == 1, n_causes=2) for time, cause in found]).p < 0.05
    assert 0.02 <= gray / 400 <= 0.09
    assert naive / 400 > 0.15


def test_without_a_second_group_or_any_end_the_test_is_missing():
    alone = life_table([1, 2, 3], [1, 2, 0], n_causes=2)
    assert np.isnan(gray_test([alone]).p)
    assert np.isnan(gray_test([alone, life_table([], [], n_causes=2)]).p)
    assert np.isnan(gray_test([life_table([1, 2], [2, 0], n_causes=2)] * 2).p)


def test_a_cause_that_the_tables_do_not_have_is_refused():
    with pytest.raises(InputError, match="cause=3"):
        gray_test([life_table([1], [1], n_causes=2)], cause=3)
