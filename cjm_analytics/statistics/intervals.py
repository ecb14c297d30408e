"""Intervals and tests: numbers in, numbers out."""

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
    "benjamini_hochberg",
    "cliffs_delta",
    "cluster_variance",
    "compared",
    "csat",
    "design_effect",
    "difference_interval",
    "fisher_exact",
    "holm",
    "kruskal_wallis",
    "mann_whitney",
    "mean",
    "newcombe",
    "nps",
    "odds_ratio",
    "phi",
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


def _clip(values: NDArray[Any]) -> NDArray[np.float64]:
    clipped: NDArray[np.float64] = np.clip(values, 0.0, 1.0)
    return clipped
