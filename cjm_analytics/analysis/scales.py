"""Answers on one scale: from counted scores to a figure with its interval."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from cjm_analytics import statistics
from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cjm_analytics.model import ReportRules, Survey

__all__ = ["Group", "Pattern", "Scale", "Sheet", "Sums", "comparison"]

Group: TypeAlias = tuple[str, ...]
Pattern: TypeAlias = tuple[tuple[Group, tuple[float, ...]], ...]
"""All that one customer answered with one instrument: per group its scores, rising."""

_PROMOTER, _DETRACTOR = 9, 6


@dataclass(frozen=True)
class Scale:
    """What answers that may be put together have in common.

    Attributes
    ----------
    instrument, kind : str
        `kind`: transactional, relational, or empty where the model has no survey for them.
    bounds : pair of float or None
        Lowest and highest score.
    positive : tuple of float
        Satisfied answers; empty: the default of the instrument.
    high_is_good : bool
    surveys : tuple of str
        The model's surveys that share all this.
    """

    instrument: str
    kind: str = ""
    bounds: tuple[float, float] | None = None
    positive: tuple[float, ...] = ()
    high_is_good: bool = True
    surveys: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, survey: Survey) -> Scale:
        """The scale of a survey of the model."""
        kind = survey.kind if survey.rates or survey.kind == "relational" else "relational"
        good = survey.direction == "high is good"
        return cls(survey.instrument, kind, survey.scale, survey.positive, good)

    @property
    def name(self) -> str:
        """The instrument's name, case folded."""
        return self.instrument.casefold()

    def known(self, scores: NDArray[np.float64]) -> Scale:
        """The scale with its bounds and satisfied answers filled in, as far as all the scores allow.

        Raises
        ------
        InputError
            A score lies off the scale.
        """
        whole = bool((scores == np.round(scores)).all())
        low, high = (float(scores.min()), float(scores.max())) if len(scores) else (math.nan, math.nan)
        bounds, positive = self.bounds, self.positive
        if self.name == "nps":
            if bounds not in {None, (0.0, 10.0)}:
                raise InputError(
                    f"NPS is asked on a scale from 0 to 10, but the model says {_range(bounds)}. Scores of "
                    "another scale are no NPS: give the survey another instrument, for example 'csat'."
                )
            bounds = (0.0, 10.0)
            if not whole:
                raise InputError(f"NPS scores are whole numbers from 0 to 10, but there is {_odd(scores)}.")
        elif bounds is None and whole:
            bounds = _usual_bounds(self.name, low, high)
        if bounds and len(scores) and not bounds[0] <= low <= high <= bounds[1]:
            off = low if low < bounds[0] else high
            raise InputError(
                f"A score of {off:g} is off the scale of {self.instrument!r} ({_range(bounds)}). Correct the "
                "scale of the survey in the model, or the answers."
            )
        if not positive and self.high_is_good:
            positive = _USUAL_POSITIVE.get((self.name, bounds), ())
        return replace(self, bounds=bounds, positive=positive)

    @property
    def is_share(self) -> bool:
        """Whether the score is the share of satisfied answers."""
        return self.name == "csat" and bool(self.positive)

    @property
    def measure(self) -> str:
        """What the score is, in words."""
        if self.name == "nps":
            return "promoters − detractors"
        if self.is_share:
            return f"share of {', '.join(f'{score:g}' for score in self.positive)}"
        return "mean" if self.high_is_good else "mean, high is bad"

    def worth(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each score adds to the average: −1, 0 or 1 for NPS, 0 or 1 for a share, else itself."""
        if self.name == "nps":
            return np.where(scores >= _PROMOTER, 1.0, np.where(scores <= _DETRACTOR, -1.0, 0.0))
        return np.isin(scores, self.positive).astype(float) if self.is_share else scores


_USUAL_POSITIVE: Mapping[tuple[str, tuple[float, float] | None], tuple[float, ...]] = {
    ("csat", (1.0, 5.0)): (4.0, 5.0),
    ("csat", (0.0, 1.0)): (1.0,),
    ("stars", (1.0, 5.0)): (4.0, 5.0),
    ("ces", (1.0, 7.0)): (5.0, 6.0, 7.0),
}


def _usual_bounds(name: str, low: float, high: float) -> tuple[float, float] | None:
    """The scale on which whole scores of an instrument were given, if its usual one is beyond doubt."""
    if name == "csat":
        # All answers 1: the best of two or the worst of five.
        return (0.0, 1.0) if low == 0 and high <= 1 else (1.0, 5.0) if low >= 1 and 1 < high <= 5 else None  # noqa: PLR2004
    if name == "stars":
        return (1.0, 5.0) if low >= 1 and high <= 5 else None  # noqa: PLR2004
    if name == "ces":
        return (1.0, 7.0) if low >= 1 and 5 < high <= 7 else None  # noqa: PLR2004
    return None


def _range(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"


def _odd(scores: NDArray[np.float64]) -> str:
    return f"{scores[scores != np.round(scores)][0]:g}"


@dataclass(frozen=True, eq=False)
class Sheet:
    """All answers on one scale: per cell its scores, per customer and cell the sums that intervals need.

    Attributes
    ----------
    scale : Scale
    groups : list of tuple
        One per cell.
    invites : list of int
        Per cell.
    scores : list of (float64 array, int64 array)
        Per cell the distinct scores, rising, and how often each was given.
    sums : list of Sums
        Per cell.
    """

    scale: Scale
    groups: Sequence[Group]
    invites: Sequence[int]
    scores: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]]
    sums: Sequence[Sums]

    @classmethod
    def of(
        cls,
        scale: Scale,
        groups: Sequence[Group],
        patterns: Sequence[tuple[Pattern, int]],
        invites: Mapping[Group, int],
    ) -> Sheet:
        """The answers of all customers, who come as distinct patterns and their numbers."""
        tallies: dict[Group, Counter[float]] = {group: Counter() for group in groups}
        for pattern, customers in patterns:
            for group, scores in pattern:
                for score in scores:
                    tallies[group][score] += customers
        distinct = np.array(sorted({score for tally in tallies.values() for score in tally}), dtype=float)
        known = scale.known(distinct)
        worth = dict(zip(distinct.tolist(), known.worth(distinct).tolist(), strict=True))
        lines: dict[Group, list[tuple[float, ...]]] = {group: [] for group in groups}
        for number, (pattern, customers) in enumerate(patterns):
            for group, scores in pattern:
                total = sum(worth[score] for score in scores)
                lines[group].append((number, customers, len(scores), total))
        return cls(
            known,
            groups,
            [invites[group] for group in groups],
            [
                (
                    np.array(sorted(tally), dtype=float),
                    np.array([tally[score] for score in sorted(tally)], dtype=np.int64),
                )
                for tally in (tallies[group] for group in groups)
            ],
            [Sums(*np.array(lines[group], dtype=float).reshape(-1, 4).T) for group in groups],
        )

    def n(self, cell: int) -> int:
        """Number of answers of a cell."""
        return int(self.scores[cell][1].sum())

    def design_effect(self, cell: int) -> float:
        """How much the answers of the same customers inflate the variance."""
        scores, counts = self.scores[cell]
        spread = _spread(self.scale.worth(scores), counts)
        sums = self.sums[cell]
        return statistics.design_effect(sums.total, sums.size, sums.customers, variance=spread**2)

    def estimate(self, cell: int, confidence: float) -> statistics.Estimate:
        """Score of a cell with its interval."""
        scores, counts = self.scores[cell]
        n, inflation = counts.sum(), self.design_effect(cell)
        worth = self.scale.worth(scores)
        if self.scale.name == "nps":
            parts = [int(counts[worth == one].sum()) for one in (-1, 0, 1)]
            return statistics.nps(*parts, confidence=confidence, design_effect=inflation)
        if self.scale.is_share:
            return statistics.csat(
                counts[worth == 1].sum(), n, confidence=confidence, design_effect=inflation
            )
        return self._bounded(self._mean(cell, worth, confidence), self.scale.bounds)

    def normalised(self, cell: int, confidence: float) -> statistics.Estimate:
        """Mean of a cell on a scale from −1, the worst, to 1, the best; NaN where the scale is not known."""
        scores, bounds = self.scores[cell][0], self.scale.bounds
        if bounds is None:
            return statistics.Estimate(*np.full((5, 1), np.nan)[:, 0])
        worth = 2 * (scores - bounds[0]) / (bounds[1] - bounds[0]) - 1
        worth = worth if self.scale.high_is_good else -worth
        return self._bounded(self._mean(cell, worth, confidence), (-1.0, 1.0))

    def _mean(self, cell: int, worth: NDArray[np.float64], confidence: float) -> statistics.Estimate:
        counts = self.scores[cell][1]
        return statistics.mean(
            _average(worth, counts),
            _spread(worth, counts),
            counts.sum(),
            confidence=confidence,
            design_effect=self.design_effect(cell),
            customers=self.sums[cell].customers.sum(),
        )

    @staticmethod
    def _bounded(found: statistics.Estimate, bounds: tuple[float, float] | None) -> statistics.Estimate:
        """No interval leaves its scale."""
        if bounds is None:
            return found
        return found._replace(low=np.maximum(found.low, bounds[0]), high=np.minimum(found.high, bounds[1]))

    def covariance(self, one: int, other: int) -> float:
        """Covariance of the scores of two cells: that of the customers who answered in both.

        Zero without such customers, NaN where nobody else answered at all.
        """
        a, b = self.sums[one], self.sums[other]
        both, in_a, in_b = np.intersect1d(a.pattern, b.pattern, return_indices=True)
        if not len(both):
            return 0.0
        customers = a.customers.sum() + b.customers.sum() - a.customers[in_a].sum()
        if customers <= 1:
            return math.nan
        product = a.customers[in_a] * a.off[in_a] * b.off[in_b]
        return float(product.sum() / (self.n(one) * self.n(other)) * customers / (customers - 1))

    def row(self, cell: int, rules: ReportRules) -> dict[str, Any]:
        """One row of the result, without what `by` names."""
        scores, counts = self.scores[cell]
        n, invites = int(counts.sum()), self.invites[cell]
        found, common = self.estimate(cell, rules.confidence), self.normalised(cell, rules.confidence)
        bounds = self.scale.bounds
        top = counts[np.isin(scores, self.scale.positive)].sum() / n if n and self.scale.positive else np.nan
        parts = _NPS_PARTS if self.scale.name == "nps" else {}
        return {
            "instrument": self.scale.instrument,
            "n": n,
            "score": float(found.value),
            "low": float(found.low),
            "high": float(found.high),
            "response_rate": n / invites if invites and n <= invites else np.nan,
            "reliability": rules.reliability(n),
            "invites": invites,
            "customers": int(self.sums[cell].customers.sum()),
            "kind": self.scale.kind or None,
            "survey": " + ".join(self.scale.surveys) or None,
            "measure": self.scale.measure,
            "scale": f"{bounds[0]:g}–{bounds[1]:g}" if bounds else None,
            "error": float(found.error),
            "design_effect": self.design_effect(cell) if n else np.nan,
            "mean": _average(scores, counts),
            "top_box": float(top),
            **dict.fromkeys(_NPS_PARTS, np.nan),
            **{name: float(counts[self.scale.worth(scores) == worth].sum()) for name, worth in parts.items()},
            "normalised": float(common.value),
            "normalised_low": float(common.low),
            "normalised_high": float(common.high),
        }


class Sums(NamedTuple):
    """What the customers of one cell answered there; one line per pattern.

    `pattern` is its number on the sheet, `customers` how many customers it stands for, `size` and `total`
    number and sum (of what is averaged) of the answers of each of them.
    """

    pattern: NDArray[np.float64]
    customers: NDArray[np.float64]
    size: NDArray[np.float64]
    total: NDArray[np.float64]

    @property
    def off(self) -> NDArray[np.float64]:
        """How far a customer's sum is from what the average customer's answers would sum to."""
        average = float((self.customers * self.total).sum() / (self.customers * self.size).sum())
        off: NDArray[np.float64] = self.total - self.size * average
        return off


_NPS_PARTS = {"promoters": 1.0, "passives": 0.0, "detractors": -1.0}


def _average(worth: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    return float((worth * counts).sum() / counts.sum()) if len(counts) else math.nan


def _spread(worth: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Standard deviation with n − 1; NaN for fewer than two answers."""
    n = counts.sum()
    if n < 2:  # noqa: PLR2004 - one answer has no spread
        return math.nan
    return math.sqrt((counts * (worth - _average(worth, counts)) ** 2).sum() / (n - 1))


def comparison(sheet: Sheet, one: int, other: int, confidence: float) -> tuple[float, ...]:
    """Scores of two cells, their difference, its interval, p-value and Cliff's delta."""
    a, b = sheet.estimate(one, confidence), sheet.estimate(other, confidence)
    together = sheet.covariance(one, other)
    difference, delta = a.value - b.value, _delta(sheet, one, other)
    if sheet.scale.name == "nps":
        found = statistics.compared(
            _with_pseudo_answers(sheet, one),
            _with_pseudo_answers(sheet, other),
            covariance=together,
            confidence=confidence,
        )
        low, high, p = found.low, found.high, found.p
    elif sheet.scale.is_share:
        low, high = statistics.difference_interval(a, b, covariance=together)
        plain = together == 0 and sheet.design_effect(one) == sheet.design_effect(other) == 1
        p = (
            statistics.two_proportion_test(
                round(float(a.value * a.n)), a.n, round(float(b.value * b.n)), b.n
            )[1]
            if plain
            else statistics.compared(a, b, covariance=together, confidence=confidence).p
        )
    else:
        freedom = [sheet.sums[cell].customers.sum() - 1 for cell in (one, other)]
        found = statistics.compared(
            a,
            b,
            covariance=together,
            freedom=_freedom(a, b, freedom, paired=together != 0),
            confidence=confidence,
        )
        low, high, p = found.low, found.high, found.p
    return (*map(float, (a.value, b.value, difference, low, high, p)), delta)


def _with_pseudo_answers(sheet: Sheet, cell: int) -> statistics.Estimate:
    """NPS of a cell after adding ¾ detractors, 1½ passives and ¾ promoters, and its standard error."""
    scores, counts = sheet.scores[cell]
    worth, inflation = sheet.scale.worth(scores), sheet.design_effect(cell)
    parts = [counts[worth == one].sum() / inflation for one in (-1, 0, 1)]
    return statistics.nps(parts[0] + 0.75, parts[1] + 1.5, parts[2] + 0.75)


def _freedom(
    one: statistics.Estimate, other: statistics.Estimate, freedom: Sequence[float], *, paired: bool
) -> float:
    """Degrees of freedom of a difference of means: Welch and Satterthwaite's, or the smaller of a pair."""
    if paired or min(freedom) < 1:
        return max(min(freedom), 1.0)
    a, b = float(one.error) ** 2, float(other.error) ** 2
    parts = a**2 / freedom[0] + b**2 / freedom[1]
    return (a + b) ** 2 / parts if parts > 0 else min(freedom)


def _delta(sheet: Sheet, one: int, other: int) -> float:
    """Cliff's delta from counted scores."""
    (a, often_a), (b, often_b) = sheet.scores[one], sheet.scores[other]
    below = np.concatenate([[0], np.cumsum(often_b)])
    above = (often_a * below[np.searchsorted(b, a, side="left")]).sum()
    short = (often_a * (below[-1] - below[np.searchsorted(b, a, side="right")])).sum()
    return float((above - short) / (often_a.sum() * below[-1]))
