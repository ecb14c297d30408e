"""Survival: how long it takes until something happens, where some are still on their way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cjm_analytics.errors import InputError
from cjm_analytics.statistics.intervals import z_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Incidence",
    "LifeTable",
    "LogRank",
    "Survival",
    "aalen_johansen",
    "cumulative_incidence",
    "gray_test",
    "kaplan_meier",
    "life_table",
    "log_rank",
    "restricted_mean",
]


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
