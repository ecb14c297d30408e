"""Intervals, tests, survival: numbers in, numbers out."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cjm_analytics.errors import InputError, hint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Comparison",
    "Estimate",
    "Incidence",
    "LifeTable",
    "LogRank",
    "Survival",
    "aalen_johansen",
    "benjamini_hochberg",
    "cliffs_delta",
    "cluster_variance",
    "compared",
    "csat",
    "cumulative_incidence",
    "design_effect",
    "difference_interval",
    "fisher_exact",
    "gray_test",
    "holm",
    "kaplan_meier",
    "kruskal_wallis",
    "life_table",
    "log_rank",
    "mann_whitney",
    "mean",
    "newcombe",
    "nps",
    "odds_ratio",
    "phi",
    "restricted_mean",
    "two_proportion_test",
    "wilson",
    "z_value",
]


def z_value(confidence: float = 0.95) -> float:
    """The two-sided standard normal quantile: 1.959964 for 95 %.

    Raises
    ------
    InputError
        `confidence` does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence={confidence} must lie between 0 and 1.")
    return statistics.NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(
    successes: ArrayLike, n: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score interval of a share (Wilson 1927), without continuity correction; NaN where n is 0.

    Parameters
    ----------
    successes, n : array_like
        Counts, broadcast against each other.
    confidence : float
        Coverage, two-sided.

    Returns
    -------
    low, high : float64 arrays
        Within [0, 1].

    Examples
    --------
    >>> low, high = wilson(81, 263)
    >>> round(float(low), 6), round(float(high), 6)
    (0.255289, 0.36621)
    """
    k, m = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    z = z_value(confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = k / m
        centre = (share + z**2 / (2 * m)) / (1 + z**2 / m)
        reach = z * np.sqrt(share * (1 - share) / m + z**2 / (4 * m**2)) / (1 + z**2 / m)
    low = np.where(k == 0, np.where(m > 0, 0.0, np.nan), centre - reach)
    high = np.where(k == m, np.where(m > 0, 1.0, np.nan), centre + reach)
    return _clip(low), _clip(high)


def newcombe(
    successes: ArrayLike,
    n: ArrayLike,
    other_successes: ArrayLike,
    other_n: ArrayLike,
    *,
    confidence: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of the difference of two independent shares, the first minus the second.

    The hybrid score interval (Newcombe 1998, method 10): the Wilson limits of the two shares, combined as
    errors are; NaN where a denominator is 0.

    Parameters
    ----------
    successes, n, other_successes, other_n : array_like
        Counts, broadcast against each other.
    confidence : float
        Coverage, two-sided.

    Returns
    -------
    low, high : float64 arrays
        Within [−1, 1].

    Examples
    --------
    >>> low, high = newcombe(56, 70, 48, 80)
    >>> round(float(low), 6), round(float(high), 6)
    (0.052431, 0.333873)
    """
    low, high = wilson(successes, n, confidence)
    other_low, other_high = wilson(other_successes, other_n, confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.asarray(successes, dtype=float) / np.asarray(n, dtype=float)
        other = np.asarray(other_successes, dtype=float) / np.asarray(other_n, dtype=float)
    difference = share - other
    below = np.sqrt((share - low) ** 2 + (other_high - other) ** 2)
    above = np.sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return np.clip(difference - below, -1.0, 1.0), np.clip(difference + above, -1.0, 1.0)


def two_proportion_test(
    successes: ArrayLike, n: ArrayLike, other_successes: ArrayLike, other_n: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Are two independent shares equal? The z test with the pooled share, two-sided.

    Where both shares are 0, or both are 1, nothing differs: z is 0 and p is 1. NaN where a denominator is 0.

    Returns
    -------
    z, p : float64 arrays

    Examples
    --------
    >>> z, p = two_proportion_test(56, 70, 48, 80)
    >>> round(float(z), 6), round(float(p), 6)
    (2.650172, 0.008045)
    """
    k, m = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    other_k, other_m = np.asarray(other_successes, dtype=float), np.asarray(other_n, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (k + other_k) / (m + other_m)
        error = np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / other_m))
        z = np.where(error == 0, 0.0, (k / m - other_k / other_m) / error)
    z = np.where((m > 0) & (other_m > 0), z, np.nan)
    p: NDArray[np.float64] = np.vectorize(_two_sided, otypes=[float])(z)
    return z, p


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


def odds_ratio(
    one: ArrayLike, one_n: ArrayLike, other: ArrayLike, other_n: ArrayLike, *, confidence: float = 0.95
) -> Estimate:
    """Odds of the first share over those of the second, each of the four counts smoothed by one.

    With a = one + 1, b = one_n − one + 1, c = other + 1 and d = other_n − other + 1: the ratio is ad/bc, and
    its interval is symmetric on the scale of its logarithm, whose variance is 1/a + 1/b + 1/c + 1/d (Woolf
    1955). Adding one to each count pulls the ratios of small groups towards 1, and leaves none undefined.

    Parameters
    ----------
    one, one_n, other, other_n : array_like
        Successes and units of two groups, broadcast against each other.
    confidence : float
        Coverage, two-sided.

    Returns
    -------
    Estimate
        `error` is that of the logarithm, `n` all units.

    Examples
    --------
    >>> found = odds_ratio(9, 19, 4, 29)
    >>> [round(float(number), 4) for number in found]
    [4.7273, 1.3087, 17.0755, 0.6553, 48.0]
    """
    a, b = np.asarray(one, dtype=float) + 1, np.asarray(one_n, dtype=float) - np.asarray(one) + 1
    c, d = np.asarray(other, dtype=float) + 1, np.asarray(other_n, dtype=float) - np.asarray(other) + 1
    ratio, error = a * d / (b * c), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    reach = np.exp(z_value(confidence) * error)
    return Estimate(ratio, ratio / reach, ratio * reach, error, a + b + c + d - 4)


def phi(one: ArrayLike, one_n: ArrayLike, other: ArrayLike, other_n: ArrayLike) -> NDArray[np.float64]:
    """Correlation of belonging to the first group and success: −1 to 1; NaN where either never varies.

    Examples
    --------
    >>> phi([10, 5, 5], 10, [0, 5, 0], [10, 10, 0]).tolist()
    [1.0, 0.0, nan]
    """
    a, b = np.asarray(one, dtype=float), np.asarray(one_n, dtype=float) - np.asarray(one)
    c, d = np.asarray(other, dtype=float), np.asarray(other_n, dtype=float) - np.asarray(other)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = (a * d - b * c) / np.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    return found


def fisher_exact(
    one: ArrayLike, one_n: ArrayLike, other: ArrayLike, other_n: ArrayLike
) -> NDArray[np.float64]:
    """Are two shares equal? Fisher's exact test, two-sided: all tables at most as likely as the one seen.

    Parameters
    ----------
    one, one_n, other, other_n : array_like of int
        Successes and units of two groups, broadcast against each other.

    Returns
    -------
    float64 array
        p-values.

    Examples
    --------
    >>> fisher_exact(1, 10, 11, 14).round(6).tolist()
    0.002759
    """
    from scipy.stats import fisher_exact as exact

    def p(k: int, m: int, other_k: int, other_m: int) -> float:
        return float(exact([[k, m - k], [other_k, other_m - other_k]]).pvalue)

    found: NDArray[np.float64] = np.vectorize(p, otypes=[float])(one, one_n, other, other_n)
    return found


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values that control the share of false discoveries (Benjamini and Hochberg 1995).

    All tests given are the family; NaN (a test that could not be made) stays NaN and is not counted.

    Examples
    --------
    >>> benjamini_hochberg([0.0088, 0.04, 0.3]).round(4).tolist()
    [0.0264, 0.06, 0.3]
    """
    return _adjusted(
        p_values, lambda ordered, rank: np.minimum.accumulate((ordered * len(rank) / rank)[::-1])[::-1]
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values that control the chance of any false discovery (Holm 1979).

    All tests given are the family; NaN (a test that could not be made) stays NaN and is not counted.

    Examples
    --------
    >>> holm([0.0088, 0.04, 0.3]).round(4).tolist()
    [0.0264, 0.08, 0.3]
    """
    return _adjusted(p_values, lambda ordered, rank: np.maximum.accumulate(ordered * (len(rank) - rank + 1)))


def _adjusted(
    p_values: ArrayLike, rule: Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """A rule on sorted p-values and their ranks from 1, applied in the order given."""
    p = np.asarray(p_values, dtype=float)
    adjusted: NDArray[np.float64] = np.full(p.shape, np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p.flat[made], kind="stable")]
    adjusted.flat[order] = np.minimum(rule(p.flat[order], np.arange(1, len(order) + 1)), 1.0)
    return adjusted


class Estimate(NamedTuple):
    """A number, how far it may be off, and what it stands on; all fields are arrays of one shape.

    Attributes
    ----------
    value : float64
        The point: what was observed.
    low, high : float64
        The interval; NaN where there is none.
    error : float64
        Standard error of `value`; NaN where it is unknown.
    n : float64
        Number of answers.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    error: NDArray[np.float64]
    n: NDArray[np.float64]


_PSEUDO = np.array([0.75, 1.5, 0.75])
"""What the adjusted Wald interval adds to detractors, passives and promoters."""


def nps(
    detractors: ArrayLike,
    passives: ArrayLike,
    promoters: ArrayLike,
    *,
    confidence: float = 0.95,
    method: str = "adjusted",
    design_effect: ArrayLike = 1.0,
) -> Estimate:
    """Net promoter score, promoters minus detractors as a share of the answers, with its interval.

    The score is (r − d)/n and the variance of one answer (r + d)/n − NPS² (a trinomial; Rocks 2016, The
    American Statistician 70(4)). `value` and `error` are those of the answers as they are; only the interval
    depends on the method.

    Parameters
    ----------
    detractors, passives, promoters : array_like
        Numbers of answers 0–6, 7–8 and 9–10, broadcast against each other.
    confidence : float
        Coverage, two-sided.
    method : {"adjusted", "wald", "score"}
        `adjusted` (Sauro and Lewis; Rocks 2016): ¾ detractors, 1½ passives and ¾ promoters are added before
        the plain formula, and the interval is cut to [−1, 1]; it lies around the adjusted score, not around
        `value`. `wald`: the plain formula, of no width when all answers agree. `score` (Tango 1998): all
        scores that a test would not refuse; for skewed data.
    design_effect : array_like
        By how much answers of the same customers inflate the variance (`design_effect`). Counts are divided
        by it before the interval is made; the error is multiplied by its root.

    Returns
    -------
    Estimate
        On [−1, 1]; NaN where there are no answers.

    Raises
    ------
    InputError
        A negative count, or an unknown method.

    Examples
    --------
    >>> one = nps(10, 8, 18)
    >>> [round(float(number), 6) for number in one[:4]]
    [0.222222, -0.060128, 0.470385, 0.142243]
    """
    counts = np.stack(
        np.broadcast_arrays(*(np.asarray(one, float) for one in (detractors, passives, promoters)))
    )
    if (counts < 0).any():
        raise InputError("Numbers of detractors, passives and promoters must not be negative.")
    inflation = np.asarray(design_effect, dtype=float)
    z = z_value(confidence)
    value, variance, n = _trinomial(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(variance / n * inflation)
    effective = counts / inflation
    if method == "wald":
        low, high = value - z * error, value + z * error
    elif method == "adjusted":
        centre, around, m = _trinomial(effective + _PSEUDO.reshape(3, *[1] * (effective.ndim - 1)))
        reach = z * np.sqrt(around / m)
        low, high = np.maximum(centre - reach, -1.0), np.minimum(centre + reach, 1.0)
    elif method == "score":
        low = -_highest_score(effective[::-1], z)
        high = _highest_score(effective, z)
    else:
        raise InputError(f"No NPS interval named {method!r}.{hint(method, ['adjusted', 'wald', 'score'])}")
    nothing = n == 0
    return Estimate(value, np.where(nothing, np.nan, low), np.where(nothing, np.nan, high), error, n)


def _trinomial(
    counts: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Score, variance of one answer and number of answers."""
    n = counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (counts[2] - counts[0]) / n
        return value, (counts[2] + counts[0]) / n - value**2, n


def _highest_score(counts: NDArray[np.float64], z: float) -> NDArray[np.float64]:
    """The highest score θ that a score test does not refuse, by bisection; 60 halvings exhaust a double.

    Under θ the likeliest share of detractors is the larger root of a quadratic (Tango 1998, equation 3 for
    matched pairs: promoters and detractors are its discordant pairs).
    """
    d, _, r = counts
    n = counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = (r - d) / n
    high = np.ones_like(low)
    for _ in range(60):
        theta = (low + high) / 2
        b = -d - r + (2 * n - r + d) * theta
        c = -d * theta * (1 - theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (np.sqrt(np.maximum(b**2 - 8 * n * c, 0.0)) - b) / (4 * n)
            spread = np.maximum(n * (2 * share + theta * (1 - theta)), 0.0)
            refused = n * theta - (r - d) > z * np.sqrt(spread)
        high = np.where(refused, theta, high)
        low = np.where(refused, low, theta)
    middle: NDArray[np.float64] = (low + high) / 2
    return middle


def csat(
    positive: ArrayLike, n: ArrayLike, *, confidence: float = 0.95, design_effect: ArrayLike = 1.0
) -> Estimate:
    """Share of satisfied answers (the top boxes of the scale) with its Wilson interval.

    Parameters
    ----------
    positive, n : array_like
        Numbers of satisfied and of all answers, broadcast against each other.
    confidence : float
        Coverage, two-sided.
    design_effect : array_like
        As in `nps`: counts are divided by it before the interval is made.

    Returns
    -------
    Estimate
        On [0, 1]; NaN where there are no answers.

    Examples
    --------
    >>> one = csat(8, 10)
    >>> [round(float(number), 6) for number in one[:3]]
    [0.8, 0.490162, 0.943318]
    """
    k, m = np.broadcast_arrays(np.asarray(positive, dtype=float), np.asarray(n, dtype=float))
    inflation = np.asarray(design_effect, dtype=float)
    low, high = wilson(k / inflation, m / inflation, confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = k / m
        error = np.sqrt(share * (1 - share) / m * inflation)
    return Estimate(share, low, high, error, m.astype(float))


def mean(
    average: ArrayLike,
    sd: ArrayLike,
    n: ArrayLike,
    *,
    confidence: float = 0.95,
    design_effect: ArrayLike = 1.0,
    customers: ArrayLike | None = None,
) -> Estimate:
    """A mean score with its t interval.

    Parameters
    ----------
    average, sd, n : array_like
        Mean, standard deviation (with n − 1) and number of the answers, broadcast against each other.
    confidence : float
        Coverage, two-sided.
    design_effect : array_like
        As in `nps`: multiplies the variance of the mean.
    customers : array_like, optional
        Number of customers who gave the answers, default n: the degrees of freedom are one less.

    Returns
    -------
    Estimate
        On the scale of the scores. The interval is NaN for fewer than two customers, and where all answers
        are equal: their spread is unknown, not nothing.

    Examples
    --------
    >>> one = mean(5.6, 1.349897, 10)
    >>> [round(float(number), 4) for number in one[:3]]
    [5.6, 4.6343, 6.5657]
    """
    from scipy.special import stdtrit

    centre, spread, m = np.broadcast_arrays(*(np.asarray(one, dtype=float) for one in (average, sd, n)))
    freedom = (m if customers is None else np.asarray(customers, dtype=float)) - 1
    known = (freedom > 0) & (spread > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(known, spread * np.sqrt(np.asarray(design_effect, dtype=float) / m), np.nan)
    z_value(confidence)  # refuses what is no confidence
    reach = stdtrit(np.where(known, freedom, 1.0), 0.5 + confidence / 2) * error
    return Estimate(centre.astype(float), centre - reach, centre + reach, error, m.astype(float))


def cluster_variance(totals: ArrayLike, sizes: ArrayLike, counts: ArrayLike | None = None) -> float:
    """Variance of a mean when answers of one customer belong together (cluster-robust).

    G/(G − 1) · Σ_g (T_g − n_g·x̄)² / n², with T_g the sum and n_g the number of answers of customer g, G the
    number of customers and n that of answers. With one answer each it is the usual s²/n.

    Parameters
    ----------
    totals, sizes : array_like
        Sum and number of answers per customer.
    counts : array_like, optional
        How many customers each line stands for; default one.

    Returns
    -------
    float
        NaN for fewer than two customers.

    Examples
    --------
    >>> round(cluster_variance([3, -1, 1, -2, 0, 1], [3, 2, 1, 2, 1, 1]) ** 0.5, 6)
    0.421426
    """
    total, size = np.asarray(totals, dtype=float), np.asarray(sizes, dtype=float)
    count = np.ones_like(total) if counts is None else np.asarray(counts, dtype=float)
    customers, n = count.sum(), (count * size).sum()
    if customers <= 1:
        return math.nan
    off = total - size * ((count * total).sum() / n)
    return float(customers / (customers - 1) * (count * off**2).sum() / n**2)


def design_effect(totals: ArrayLike, sizes: ArrayLike, counts: ArrayLike, *, variance: float) -> float:
    """How much the answers of the same customers inflate the variance of their mean; never below 1.

    The cluster-robust variance over that of as many independent answers. With few customers a ratio below 1
    is mostly noise, and would make an interval too short. One customer counts as one answer; and so does each
    where all answers are equal, which leaves open how alike those of one customer are.

    Parameters
    ----------
    totals, sizes, counts : array_like
        As in `cluster_variance`.
    variance : float
        Variance (with n − 1) of one answer.

    Examples
    --------
    >>> round(design_effect([3, -1, 1, -2, 0, 1], [3, 2, 1, 2, 1, 1], [1] * 6, variance=0.844444), 3)
    2.103
    """
    size, count = np.asarray(sizes, dtype=float), np.asarray(counts, dtype=float)
    n = float((size * count).sum())
    if n <= count.sum():
        return 1.0
    if count.sum() <= 1:
        return n
    if not variance > 0:
        return n / float(count.sum())
    return max(1.0, cluster_variance(totals, sizes, counts) / (variance / n))


class Comparison(NamedTuple):
    """The difference of two numbers, the first minus the second; all fields are arrays of one shape."""

    difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    error: NDArray[np.float64]
    p: NDArray[np.float64]


def compared(
    one: Estimate,
    other: Estimate,
    *,
    covariance: ArrayLike = 0.0,
    freedom: ArrayLike = math.inf,
    confidence: float = 0.95,
) -> Comparison:
    """Do two estimates differ? Their difference, its interval and a two-sided test.

    The test and the interval are Wald's: SE = √(SE₁² + SE₂² − 2·cov). Estimates of the same customers are not
    independent: give their covariance.

    Parameters
    ----------
    one, other : Estimate
    covariance : array_like
        Of the two values; 0 where no customer stands behind both.
    freedom : array_like
        Degrees of freedom of the t distribution, infinite for the normal.
    confidence : float
        Coverage, two-sided.

    Returns
    -------
    Comparison
        NaN where a standard error is unknown; p is NaN where both are 0.

    Examples
    --------
    >>> found = compared(nps(20, 30, 50), nps(35, 30, 35))
    >>> [round(float(number), 6) for number in found]
    [0.3, 0.075672, 0.524328, 0.114455, 0.008764]
    """
    from scipy.special import ndtr, stdtr, stdtrit

    difference = one.value - other.value
    error = np.sqrt(np.maximum(one.error**2 + other.error**2 - 2 * np.asarray(covariance, dtype=float), 0.0))
    degrees = np.broadcast_to(np.asarray(freedom, dtype=float), error.shape)
    normal = np.isinf(degrees)
    finite = np.where(normal, 1.0, degrees)
    reach = np.where(normal, z_value(confidence), stdtrit(finite, 0.5 + confidence / 2)) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        away = -np.abs(difference) / error
    p = 2 * np.where(normal, ndtr(away), stdtr(finite, away))
    return Comparison(
        difference, difference - reach, difference + reach, error, np.where(error > 0, p, np.nan)
    )


def difference_interval(
    one: Estimate, other: Estimate, *, covariance: ArrayLike = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of a difference from the intervals of its two parts, which need not be symmetric.

    The square-and-add rule (MOVER; Zou and Donner 2008), of which Newcombe's hybrid score interval is the
    case of two independent Wilson intervals; for estimates that belong together, their correlation enters
    (Newcombe 1998, paired). Within [−1, 1] when the parts are shares.

    Parameters
    ----------
    one, other : Estimate
    covariance : array_like
        Of the two values; 0 where they are independent.

    Returns
    -------
    low, high : float64 arrays

    Examples
    --------
    >>> low, high = difference_interval(csat(56, 70), csat(48, 80))
    >>> round(float(low), 6), round(float(high), 6)
    (0.052431, 0.333873)
    """
    difference = one.value - other.value
    with np.errstate(divide="ignore", invalid="ignore"):
        together = np.asarray(covariance, dtype=float) / (one.error * other.error)
    together = np.clip(np.nan_to_num(together, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)
    below, beside = one.value - one.low, other.high - other.value
    above, under = one.high - one.value, other.value - other.low
    down = np.sqrt(np.maximum(below**2 + beside**2 - 2 * together * below * beside, 0.0))
    up = np.sqrt(np.maximum(above**2 + under**2 - 2 * together * above * under, 0.0))
    return difference - down, difference + up


def kruskal_wallis(groups: Sequence[ArrayLike]) -> tuple[float, float]:
    """Do ordinal scores of several groups differ at all? H corrected for ties, and its p-value.

    NaN where fewer than two groups have answers, or all answers are equal.

    Examples
    --------
    >>> h, p = kruskal_wallis([[9, 10, 8, 7, 10, 9], [6, 5, 7, 3, 8, 6], [10, 9, 9, 10, 8, 10]])
    >>> round(h, 6), round(p, 6)
    (10.55895, 0.005095)
    """
    from scipy.stats import kruskal

    samples = [np.asarray(group, dtype=float) for group in groups]
    samples = [sample for sample in samples if len(sample)]
    if len(samples) < 2 or np.ptp(np.concatenate(samples)) == 0:  # noqa: PLR2004 - a comparison needs two
        return math.nan, math.nan
    found = kruskal(*samples)
    return float(found.statistic), float(found.pvalue)


def mann_whitney(one: ArrayLike, other: ArrayLike) -> tuple[float, float]:
    """Do ordinal scores of two groups differ? U of the first, and the two-sided p-value.

    The normal approximation with ties and continuity correction; NaN where a group is empty or all answers
    are equal.

    Examples
    --------
    >>> u, p = mann_whitney([9, 10, 8, 7, 10, 9], [6, 5, 7, 3, 8, 6])
    >>> u, round(p, 6)
    (34.0, 0.012281)
    """
    from scipy.stats import mannwhitneyu

    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if not len(a) or not len(b) or np.ptp(np.concatenate([a, b])) == 0:
        return math.nan, math.nan
    found = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
    return float(found.statistic), float(found.pvalue)


def cliffs_delta(one: ArrayLike, other: ArrayLike) -> float:
    """How often an answer of the first group exceeds one of the second, minus how often it falls short.

    Between −1 and 1; NaN where a group is empty.

    Examples
    --------
    >>> round(cliffs_delta([9, 10, 8, 7, 10, 9], [6, 5, 7, 3, 8, 6]), 6)
    0.888889
    """
    a, b = np.asarray(one, dtype=float), np.sort(np.asarray(other, dtype=float))
    if not len(a) or not len(b):
        return math.nan
    above = np.searchsorted(b, a, side="left").sum()
    below = len(a) * len(b) - np.searchsorted(b, a, side="right").sum()
    return float((above - below) / (len(a) * len(b)))


class LifeTable(NamedTuple):
    """What happened at each time, counted: all that the estimators of survival need.

    Tables of disjoint sets of units add: `life_table` of both times and counts is the table of their union.

    Attributes
    ----------
    time : n_times
        Distinct times, rising.
    events : int64, (n_causes, n_times)
        Units that ended at that time, per cause.
    censored : int64, n_times
        Units that were last seen at that time, still on their way; at the same time events come first.
    at_risk : int64, n_times
        Units under observation and not yet ended just before that time.
    """

    time: NDArray[Any]
    events: NDArray[np.int64]
    censored: NDArray[np.int64]
    at_risk: NDArray[np.int64]


def life_table(
    durations: ArrayLike, causes: ArrayLike, counts: ArrayLike | None = None, *, n_causes: int | None = None
) -> LifeTable:
    """Durations and how they ended, as a table of distinct times.

    Parameters
    ----------
    durations : array_like
        In any unit; the table keeps it. Whole numbers stay whole.
    causes : array_like of int
        0 censored, 1 … `n_causes` the causes of an end.
    counts : array_like of int, optional
        How many units each line stands for; default one.
    n_causes : int, optional
        Default: the highest cause that occurs, at least 1.

    Raises
    ------
    InputError
        Arrays of unequal length, a missing duration, or an unknown cause.

    Examples
    --------
    >>> table = life_table([1, 2, 2, 3], [1, 1, 0, 1])
    >>> table.time.tolist(), table.events.tolist(), table.censored.tolist(), table.at_risk.tolist()
    ([1, 2, 3], [[1, 1, 1]], [0, 1, 0], [4, 3, 1])
    """
    lasting, ended = np.asarray(durations), np.asarray(causes, dtype=np.int64)
    weight = np.ones(len(lasting), dtype=np.int64) if counts is None else np.asarray(counts, dtype=np.int64)
    if not len(lasting) == len(ended) == len(weight):
        raise InputError("Durations, causes and counts must be equally long.")
    if np.isnan(lasting.astype(float)).any():
        raise InputError("A duration is missing: leave such units out, and say how many there were.")
    most = int(ended.max(initial=1)) if n_causes is None else n_causes
    if len(ended) and not 0 <= ended.min() <= ended.max() <= most:
        raise InputError(f"Causes must lie between 0 (censored) and {most}.")
    changes = lasting[1:] > lasting[:-1]
    if (changes | (lasting[1:] == lasting[:-1])).all():  # ascending already, as tallies are
        place = np.concatenate([[0], np.cumsum(changes)])[: len(lasting)]
        time = lasting[np.flatnonzero(np.concatenate([[True], changes])[: len(lasting)])]
    else:
        time, place = np.unique(lasting, return_inverse=True)
    tally = np.zeros((most + 1, len(time)), dtype=np.int64)
    np.add.at(tally, (ended, place), weight)
    at_risk = tally.sum(axis=0)[::-1].cumsum()[::-1]
    return LifeTable(time, tally[1:], tally[0], at_risk)


class Survival(NamedTuple):
    """A Kaplan–Meier curve: one entry per distinct time of its table.

    Attributes
    ----------
    time : n_times
    survival : float64
        Share that has not ended by then (just after that time).
    variance : float64
        Greenwood's.
    low, high : float64
        Log–log interval; of no width where the share is still 1, or 0: nothing tells how wide it is.
    median : float
        First time at which the share is at most one half; NaN if it never is.
    """

    time: NDArray[Any]
    survival: NDArray[np.float64]
    variance: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    median: float


HALF = 0.5 + 1e-12
"""A product of shares that is one half in exact arithmetic must count as one half."""


def kaplan_meier(table: LifeTable, *, confidence: float = 0.95) -> Survival:
    """Share that has not ended yet, with unfinished units counted as long as they were seen.

    S(t) = Π (1 − dᵢ/nᵢ) over times up to t, all causes of the table taken as one (Kaplan and Meier 1958);
    variance S²·Σ dᵢ/(nᵢ(nᵢ − dᵢ)) (Greenwood), interval on the scale of log(−log S).

    Parameters
    ----------
    table : LifeTable
    confidence : float
        Coverage, two-sided.

    Examples
    --------
    >>> curve = kaplan_meier(life_table([1, 2, 2, 3, 4, 5, 5, 6], [1, 1, 0, 1, 0, 1, 1, 0]))
    >>> curve.survival.round(3).tolist(), curve.median
    ([0.875, 0.75, 0.6, 0.6, 0.2, 0.2], 5.0)
    >>> round(float(curve.low[1]), 6), round(float(curve.high[1]), 6)
    (0.314807, 0.930898)
    """
    died, n = table.events.sum(axis=0).astype(float), table.at_risk.astype(float)
    survival = np.cumprod(1 - died / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(died / (n * (n - died)))
        variance = np.where(survival > 0, survival**2 * greenwood, 0.0)
    low, high = log_log(survival, variance, confidence)
    return Survival(table.time, survival, variance, low, high, _median(table.time, survival))


def log_log(
    survival: NDArray[np.float64], variance: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of a share that falls from 1, symmetric on the scale of log(−log S)."""
    inside = (survival > 0) & (survival < 1)
    share = np.where(inside, survival, 0.5)
    reach = z_value(confidence) * np.sqrt(variance) / (share * np.abs(np.log(share)))
    with np.errstate(over="ignore"):  # a reach beyond all numbers ends at 0, as it should
        low = np.where(inside, share ** np.exp(reach), survival)
    high = np.where(inside, share ** np.exp(-reach), survival)
    return low, high


def _median(time: NDArray[Any], survival: NDArray[np.float64]) -> float:
    passed = np.flatnonzero(survival <= HALF)
    return float(time[passed[0]]) if len(passed) else math.nan


class Incidence(NamedTuple):
    """A cumulative incidence curve of one cause: one entry per distinct time of its table.

    Attributes
    ----------
    time : n_times
    incidence : float64
        Share that has ended by this cause by then.
    variance : float64
        By the delta method.
    low, high : float64
        Log–log interval on the share that has not; of no width where the incidence is still 0, or 1.
    survival : float64
        Share that has not ended by any cause. Incidences of all causes and survival sum to 1.
    median : float
        First time at which the incidence is at least one half; NaN if it never is.
    """

    time: NDArray[Any]
    incidence: NDArray[np.float64]
    variance: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    survival: NDArray[np.float64]
    median: float


def aalen_johansen(table: LifeTable, cause: int = 1, *, confidence: float = 0.95) -> Incidence:
    """Share that has ended by one cause, when other causes compete for the same units.

    F(t) = Σ S(tᵢ⁻)·dᵢ/nᵢ over times up to t, with S the share that no cause has ended yet and dᵢ the ends by
    this cause (Aalen and Johansen 1978). Units that end at the same time are taken together: ties stay ties.
    Variance by the delta method (Marubini and Valsecchi 1995). The interval is symmetric on the scale of
    log(−log(1 − F)), so that without competing causes it is Kaplan–Meier's.

    Parameters
    ----------
    table : LifeTable
    cause : int
        From 1.
    confidence : float
        Coverage, two-sided.

    Raises
    ------
    InputError
        The table has no such cause.

    Examples
    --------
    >>> table = life_table(range(1, 11), [1, 2, 0, 1, 1, 2, 0, 1, 0, 2])
    >>> found = aalen_johansen(table)
    >>> round(float(found.incidence[7]), 6), round(float(found.variance[7]), 6)
    (0.480952, 0.031684)
    """
    if not 1 <= cause <= len(table.events):
        raise InputError(f"cause={cause} must lie between 1 and {len(table.events)}.")
    ended, n = table.events.sum(axis=0).astype(float), table.at_risk.astype(float)
    mine = table.events[cause - 1].astype(float)
    incidence, survival = cumulative_incidence(table, cause)
    before = np.concatenate([[1.0], survival[:-1]]) if len(n) else survival
    # Σ (F(t) − Fᵢ)²·aᵢ and Σ (F(t) − Fᵢ)·cᵢ, multiplied out so that one pass over the times is enough.
    # Where all at risk end, F does not move any more and the first sum gets nothing.
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(n > ended, ended / (n * (n - ended)), 0.0)
    c = before * mine / n**2
    spread = (
        incidence**2 * np.cumsum(a) - 2 * incidence * np.cumsum(a * incidence) + np.cumsum(a * incidence**2)
    )
    own = np.cumsum(before**2 * mine * (n - mine) / n**3)
    cross = incidence * np.cumsum(c) - np.cumsum(c * incidence)
    variance = np.maximum(spread + own - 2 * cross, 0.0)
    low, high = log_log(np.maximum(1 - incidence, 0.0), variance, confidence)
    return Incidence(
        table.time, incidence, variance, 1 - high, 1 - low, survival, _median(table.time, 1 - incidence)
    )


def cumulative_incidence(table: LifeTable, cause: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Incidence of one cause and survival of all, as `aalen_johansen` has them, without intervals.

    Examples
    --------
    >>> incidence, survival = cumulative_incidence(life_table([1, 2, 3, 4], [1, 2, 0, 1]))
    >>> incidence.tolist(), survival.tolist()
    ([0.25, 0.25, 0.25, 0.75], [0.75, 0.5, 0.5, 0.0])
    """
    n, mine = table.at_risk.astype(float), table.events[cause - 1].astype(float)
    survival = np.cumprod(1 - table.events.sum(axis=0).astype(float) / n)
    before = np.concatenate([[1.0], survival[:-1]]) if len(n) else survival
    return np.minimum(np.cumsum(before * mine / n), 1.0), survival


def restricted_mean(curve: Survival, until: float) -> float:
    """Mean time until the end, counting no more than `until`: the area under the curve up to there.

    In the unit of the curve's times; NaN where the curve ends before `until` with some still on their way.

    Examples
    --------
    >>> curve = kaplan_meier(life_table([1, 2, 2, 3, 4, 5, 5, 6], [1, 1, 0, 1, 0, 1, 1, 0]))
    >>> round(restricted_mean(curve, 6), 3)
    4.025
    """
    if len(curve.time) == 0 or (curve.time[-1] < until and curve.survival[-1] > 0):
        return math.nan
    bounds = np.concatenate([[0.0], np.minimum(curve.time.astype(float), until), [float(until)]])
    return float((np.diff(bounds) * np.concatenate([[1.0], curve.survival])).sum())


class LogRank(NamedTuple):
    """A log-rank test, or Gray's: χ², its degrees of freedom and p-value."""

    statistic: float
    freedom: int
    p: float


def log_rank(tables: Sequence[LifeTable]) -> LogRank:
    """Do the curves of several groups differ? The log-rank test, all causes of a table taken as one.

    Observed minus expected ends per group over all times, with the hypergeometric covariance (Mantel 1966).
    NaN where fewer than two groups have units, or nothing ended.

    Parameters
    ----------
    tables : sequence of LifeTable
        One per group, times in the same unit.

    Examples
    --------
    >>> found = log_rank([life_table([6, 7, 10, 15, 19, 25], [1, 1, 1, 0, 1, 0]),
    ...                   life_table([8, 9, 12, 20, 22, 30], [1, 0, 1, 1, 0, 0])])
    >>> round(found.statistic, 6), round(found.p, 6)
    (0.685549, 0.407682)
    """
    score, covariance = _log_rank_score(_common_times(tables))
    return _chi_square(score, covariance)


def gray_test(tables: Sequence[LifeTable], cause: int = 1) -> LogRank:
    """Do the incidence curves of several groups differ, when other causes compete? Gray's test.

    What the log-rank test is to survival, this is to incidence (Gray 1988, The Annals of Statistics 16(3);
    weights with ρ = 0): it compares hazards of the subdistribution, in which units that another cause has
    ended stay at risk. Ends at the same time are corrected for as draws without replacement are.

    NaN where fewer than two groups have units, or the cause ended nothing.

    Parameters
    ----------
    tables : sequence of LifeTable
        One per group, times in the same unit.
    cause : int
        From 1.

    Raises
    ------
    InputError
        A table has no such cause.

    Examples
    --------
    >>> found = gray_test([life_table([1, 2, 3, 4, 5, 6], [1, 1, 2, 1, 0, 1], n_causes=2),
    ...                    life_table([2, 4, 5, 7, 8, 9], [2, 0, 1, 2, 1, 0], n_causes=2)])
    >>> round(found.statistic, 6), found.freedom
    (3.178633, 1)
    """
    for table in tables:
        if not 1 <= cause <= len(table.events):
            raise InputError(f"cause={cause} must lie between 1 and {len(table.events)}.")
    return _chi_square(*_gray_score(_common_times(tables, cause)))


class _Grid(NamedTuple):
    """Groups side by side, at the times at which a unit of any of them ended; all (groups, times)."""

    ended: NDArray[np.float64]
    otherwise: NDArray[np.float64]
    at_risk: NDArray[np.float64]


def _common_times(tables: Sequence[LifeTable], cause: int | None = None) -> _Grid:
    """The groups that have units; without a cause, all causes are one."""
    groups = [table for table in tables if len(table.time)]
    time = np.unique(np.concatenate([table.time for table in groups])) if groups else np.zeros(0)
    ended, otherwise, at_risk = np.zeros((3, len(groups), len(time)))
    for number, table in enumerate(groups):
        every = table.events.sum(axis=0)
        mine = every if cause is None else table.events[cause - 1]
        place = np.searchsorted(time, table.time)
        ended[number, place], otherwise[number, place] = mine, every - mine
        at_risk[number] = np.append(table.at_risk, 0)[np.searchsorted(table.time, time)]
    happened = (ended + otherwise).sum(axis=0) > 0
    return _Grid(ended[:, happened], otherwise[:, happened], at_risk[:, happened])


def _log_rank_score(grid: _Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Observed minus expected ends of all groups but the last, and their covariance."""
    d, n = grid.ended.sum(axis=0), grid.at_risk.sum(axis=0)
    share = grid.at_risk / n
    off = (grid.ended - d * share).sum(axis=1)
    weight = d * np.where(n > 1, (n - d) / np.maximum(n - 1, 1), 0.0)
    covariance = np.diag((weight * share).sum(axis=1)) - (weight * share) @ share.T
    return off[:-1], covariance[:-1, :-1]


def _gray_score(grid: _Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gray's scores of all groups but the last, and their covariance.

    With Y units at risk, S the share that no cause has ended and F the incidence, all just before a time:
    h = Y/S and R = h·(1 − F) per group. The score is Σ (d − d.·R/R.), a dot meaning the sum over groups, and
    d./h. the step of the incidence that all groups share if they are alike.
    """
    d, other, at_risk = grid
    n_groups = len(d)
    score, covariance = np.zeros(n_groups), np.zeros((n_groups, n_groups))
    if not d.size:
        return score[:-1], covariance[:-1, :-1]
    some = np.where(at_risk > 0, at_risk, 1.0)
    after = np.cumprod(1 - (d + other) / some, axis=1)
    before = _shifted(after, 1.0)
    incidence = _shifted(np.cumsum(before * d / some, axis=1), 0.0)
    h = np.where(at_risk > 0, at_risk / np.where(before > 0, before, 1.0), 0.0)
    h_all, d_all = h.sum(axis=0), d.sum(axis=0)
    left = h * (1 - incidence)
    left_all = left.sum(axis=0)
    shared = np.cumsum(d_all / h_all)
    gone = _shifted(shared, 0.0)
    score = (d - d_all * np.divide(left, left_all, out=np.zeros_like(left), where=left_all > 0)).sum(axis=1)

    step = np.divide(d_all, h_all * (1 - gone), out=np.zeros_like(d_all), where=gone < 1)
    ratio = np.divide(1 - shared, after, out=np.zeros_like(after), where=after > 0)
    for k in range(n_groups):
        # How the scores move with an end of one unit of group k: now, and by what follows from it.
        now = h * ((np.arange(n_groups) == k)[:, None] - h[k] / h_all)
        run = np.cumsum(now * step, axis=1)
        later = run[:, -1:] - run
        by_cause, by_other = now + (1 - ratio[k]) * later, ratio[k] * later
        both = h_all * before[k]
        tied = np.divide(d_all - 1, both - 1, out=np.zeros_like(both), where=(d_all > 1) & (both > 1))
        mine = np.maximum(1 - tied, 0.0) * before[k] * d_all / (h_all * some[k]) * (at_risk[k] > 0)
        tied = np.divide(other[k] - 1, some[k] - 1, out=np.zeros_like(both), where=other[k] > 1)
        others = (1 - tied) * before[k] ** 2 * other[k] / some[k] ** 2
        covariance += (by_cause * mine) @ by_cause.T + (by_other * others) @ by_other.T
    return score[:-1], covariance[:-1, :-1]


def _shifted(values: NDArray[Any], first: float) -> NDArray[np.float64]:
    """Just before each time what held just after the one before."""
    moved = np.roll(values, 1, axis=-1)
    moved[..., 0] = first
    return moved


def _chi_square(score: NDArray[np.float64], covariance: NDArray[np.float64]) -> LogRank:
    """The test that scores are all zero; NaN where there is none, or their covariance is not of full rank."""
    from scipy.special import chdtrc

    freedom = len(score)
    if not freedom or np.linalg.matrix_rank(covariance) < freedom:
        return LogRank(math.nan, freedom, math.nan)
    statistic = float(score @ np.linalg.solve(covariance, score))
    return LogRank(statistic, freedom, float(chdtrc(freedom, statistic)))


def _clip(values: NDArray[Any]) -> NDArray[np.float64]:
    clipped: NDArray[np.float64] = np.clip(values, 0.0, 1.0)
    return clipped
