"""How many have gone on by a horizon, of units that could not all be followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.kernels.native import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["incidence_by"]


@kernel
def incidence_by(
    waits: NDArray[np.int64], counts: NDArray[np.int64], kinds: int, horizon: int, half: float
) -> tuple[float, float, float, int, int, int, float]:
    """The curve of `statistics.aalen_johansen` for cause 1 of 2, at one time, and its median.

    A wait is duration · `kinds` + how it ended (0: censored, 1, 2: the cause); waits rise, and each has its
    count. Returns incidence, variance and survival at the horizon; how many ended by then by cause 1, by
    cause 2; how many were at risk just before the horizon; and the first duration at which the share that
    has not ended by cause 1 is at most `half` (NaN: never).
    """
    at_risk = counts.sum()
    survival = 1.0
    total = 0.0
    incidence = 0.0
    sum_a = sum_ai = sum_aii = sum_c = sum_ci = own = 0.0
    variance = 0.0
    left_over = 1.0
    share = 0.0
    went_on = went = followed = 0
    median = np.nan
    row = 0
    while row < len(waits):
        duration = waits[row] // kinds
        censored = by_one = by_two = 0
        while row < len(waits) and waits[row] // kinds == duration:
            kind = waits[row] - duration * kinds
            by_one += counts[row] if kind == 1 else 0
            by_two += counts[row] if kind == 2 else 0  # noqa: PLR2004 - the second cause
            censored += counts[row] if kind == 0 else 0
            row += 1
        if duration >= horizon and followed == 0:
            followed = at_risk
        if duration > horizon and not np.isnan(median):
            break
        n = float(at_risk)
        mine, every = float(by_one), float(by_one + by_two)
        before = survival
        survival *= 1 - every / n
        total += before * mine / n
        incidence = min(total, 1.0)
        if duration <= horizon:
            # As in `aalen_johansen`: Σ (F(t) − Fᵢ)²·aᵢ and Σ (F(t) − Fᵢ)·cᵢ, multiplied out.
            a = every / (n * (n - every)) if n > every else 0.0
            c = before * mine / n**2
            sum_a += a
            sum_ai += a * incidence
            sum_aii += a * incidence**2
            sum_c += c
            sum_ci += c * incidence
            own += before**2 * mine * (n - mine) / n**3
            spread = incidence**2 * sum_a - 2 * incidence * sum_ai + sum_aii
            variance = max(spread + own - 2 * (incidence * sum_c - sum_ci), 0.0)
            left_over, share = survival, incidence
            went_on += by_one
            went += by_two
        if np.isnan(median) and 1 - incidence <= half:
            median = float(duration)
        at_risk -= censored + by_one + by_two
    return share, variance, left_over, went_on, went, followed, median
