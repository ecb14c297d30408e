"""Intervals, tests, survival: numbers in, numbers out."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["benjamini_hochberg", "holm", "newcombe", "two_proportion_test", "wilson", "z_value"]


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


def _clip(values: NDArray[Any]) -> NDArray[np.float64]:
    clipped: NDArray[np.float64] = np.clip(values, 0.0, 1.0)
    return clipped
