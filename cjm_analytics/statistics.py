"""Intervals, tests, survival: numbers in, numbers out."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["wilson", "z_value"]


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


def _clip(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.clip(values, 0.0, 1.0)
