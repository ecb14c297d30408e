"""Journeys as a Markov chain: what comes next, how likely the goal is from where, and what if."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from cjm_analytics import statistics
from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.attribution import AttributionAnalysis, AttributionPartial
from cjm_analytics.analysis.sequences import END, START
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Journeys, Partition

__all__ = ["Markov", "MarkovAnalysis", "markov"]

GOAL: Final = "(goal)"
_ROUNDING: Final = 1e-12
_ORDER: Final = 2
"""Steps are counted with the two symbols before them, so that the chain of order 1 can be tested."""


def markov(
    journeys: Journeys,
    *,
    of: str = "touchpoint",
    goal: str | None = None,
    collapse: bool = True,
    bootstrap: int = 200,
    seed: int = 0,
    confidence: float | None = None,
    engine: Engine | None = None,
) -> Markov:
    """What comes next after each touchpoint, and how likely the goal is from there.

    Every journey begins at `(start)`, goes from event to event, and ends at its first `(goal)` or, without
    one, at `(end)`; open journeys end there too. The event that is the goal is the goal; what follows it is
    left aside. The probability of a step is its share of all steps from its source: as if what comes next
    depended on the present touchpoint only. `memory()` tests that.

    From these probabilities follow, as the exact solution of linear equations (Kemeny and Snell 1960, ch. 3):
    with Q the steps among names and N = (I − Q)⁻¹,

    - `to_goal`: the probability to reach the goal from a name, sooner or later: N r;
    - `steps_to_goal`: the expected number of steps to it, of those that reach it;
    - `visits`: how often a journey is there, on average: the row of the start in N;
    - `steady_state`: its share of all visits. That is the stationary distribution if every journey that ends
      is followed by a new one.

    Parameters
    ----------
    journeys : Journeys
    of : str
        `touchpoint`, `stage`, `phase`, `channel`, or any column; events without a value are passed over.
    goal : str, optional
        A marker or touchpoint; default: the model's goal.
    collapse : bool
        Direct repeats are one event: there are no steps from a name to itself.
    bootstrap : int
        Resamples of customers (of more than 512: lots of them) for the intervals; 0: none.
    seed : int
    confidence : float, optional
        Coverage of the intervals; default: the model's, 0.95 without one.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Markov
        Columns `name, visits, steady_state, to_goal, low, high, steps_to_goal, journeys` (how many steps
        arrive there); the start first, then the largest `visits`.

    Raises
    ------
    UnknownNameError
        No such column or goal.
    InputError
        No goal; a number out of its range.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": list("aaabbcc"), "what": ["ad", "mail", "buy", "ad", "buy", "ad", "mail"],
    ...        "when": [f"2026-01-0{day}" for day in (1, 2, 3, 1, 2, 1, 2)]}
    >>> journeys = cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC")))
    >>> chain = cjm.markov(journeys, goal="buy", bootstrap=0)
    >>> chain.to_frame()[["name", "visits", "to_goal"]].round(3)
          name  visits  to_goal
    0  (start)   1.000    0.667
    1       ad   1.000    0.667
    2     mail   0.667    0.500
    """
    analysis = MarkovAnalysis.plan(
        journeys, of=of, goal=goal, collapse=collapse, bootstrap=bootstrap, seed=seed, confidence=confidence
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True, eq=False)
class MarkovAnalysis:
    """The question that `markov` asks each partition: the same steps as attribution counts."""

    steps: AttributionAnalysis

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str = "touchpoint",
        goal: str | None = None,
        collapse: bool = True,
        bootstrap: int = 200,
        seed: int = 0,
        confidence: float | None = None,
    ) -> MarkovAnalysis:
        """Check what was asked."""
        return cls(
            AttributionAnalysis.plan(
                journeys,
                by=of,
                model="markov",
                goal=goal,
                transform="exposure" if collapse else "none",
                order=_ORDER,
                bootstrap=bootstrap,
                seed=seed,
                confidence=confidence,
            )
        )

    def map(self, partition: Partition) -> AttributionPartial:
        """The steps of the partition."""
        return self.steps.map(partition)

    def finalize(self, partial: AttributionPartial) -> Markov:
        """The chain."""
        return Markov(_analysis=self.steps, _partial=partial)


@dataclass(frozen=True, eq=False, repr=False)
class Markov(Shown):
    """A Markov chain of journeys: made by `cjm.markov`."""

    _analysis: AttributionAnalysis
    _partial: AttributionPartial

    @property
    def journeys(self) -> int:
        """Ways looked at."""
        return int(self._counts(self._weights[0])[0].sum())

    def to_frame(self) -> pd.DataFrame:
        """One row per name; the columns are those of `markov`."""
        weights = self._weights
        counts = self._counts(weights[0])
        visits, to_goal, steps = _solved(counts)
        low, high = np.full((2, len(visits)), np.nan)
        if len(weights) > 2:  # noqa: PLR2004 - one draw is no distribution
            outside = (1 - self._analysis.confidence) / 2
            draws = np.array([_chance(self._counts(row)) for row in weights[1:]])
            drawn = ~np.isnan(draws).all(axis=0)
            if drawn.any():
                limits = np.nanquantile(draws[:, drawn], [outside, 1 - outside], axis=0)
                low[drawn], high[drawn] = limits
        frame = pd.DataFrame(
            {
                "name": self._names,
                "visits": visits,
                "steady_state": np.append(0.0, visits[1:] / max(visits[1:].sum(), 1e-300)),
                "to_goal": to_goal,
                "low": low,
                "high": high,
                "steps_to_goal": steps,
                "journeys": np.append(counts[0].sum(), counts[:, 1:-2].sum(axis=0)).astype(np.int64),
            }
        )
        first = frame["name"] == START
        kept = frame[first | (frame["journeys"] > 0)].assign(first=first)
        order = kept.sort_values(["first", "visits", "name"], ascending=[False, False, True])
        return order.drop(columns="first").reset_index(drop=True)

    def next(self, name: str | None = None) -> pd.DataFrame:
        """What comes next: columns `source, target, count, probability, low, high` (Wilson).

        Parameters
        ----------
        name : str, optional
            Only from this name; default: from all. By source in the order of `to_frame()`, then probability.

        Raises
        ------
        UnknownNameError
            There is no such name.
        """
        counts = self._counts(self._weights[0]).astype(np.int64)
        targets = [*self._names, GOAL, END]
        source, target = np.nonzero(counts)
        n, total = counts[source, target], counts.sum(axis=1)[source]
        low, high = statistics.wilson(n, total, self._analysis.confidence)
        frame = pd.DataFrame(
            {
                "source": np.array(self._names, object)[source],
                "target": np.array(targets, object)[target],
                "count": n,
                "probability": n / total,
                "low": low,
                "high": high,
            }
        )
        rank = {one: place for place, one in enumerate(self.to_frame()["name"])}
        if name is not None:
            if name not in rank:
                raise UnknownNameError(self._analysis.by, name, rank)
            frame = frame[frame["source"] == name]
        frame = frame.assign(rank=frame["source"].map(rank))
        order = frame.sort_values(["rank", "probability", "target"], ascending=[True, False, True])
        return order.drop(columns="rank").reset_index(drop=True)

    def what_if(self, changes: Mapping[tuple[str, str], float]) -> pd.DataFrame:
        """What would become of the goal if some steps were more, or less, likely.

        The probability of each named step is raised by so much; the other steps from its source shrink in
        proportion. All else stays: those who take the step behave from there on like those who took it
        before, which is an assumption, not a finding.

        Parameters
        ----------
        changes : mapping of (source, target) to float
            By how much the probability rises (below 0: falls), for example `{("cart_view", "checkout"):
            0.05}`. A target may be `(goal)` or `(end)`, a source `(start)`.

        Returns
        -------
        DataFrame
            One row: `to_goal` from the start as it is, `then` with all changes, `gain` with the interval
            `low, high` of the bootstrap, and `conversions`: the gain times the journeys.

        Raises
        ------
        UnknownNameError
            There is no such name.
        InputError
            A probability would leave 0…1; everybody goes to the target already, so that nothing can shrink;
            nobody was at the source.
        """
        places = {name: number for number, name in enumerate([*self._names, GOAL, END])}
        asked: list[tuple[int, int, float]] = []
        for (source, target), change in changes.items():
            for name, known in ((source, self._names), (target, [*places])):
                if name not in known:
                    raise UnknownNameError(self._analysis.by, name, known)
            asked.append((places[source], places[target], float(change)))
        if not asked:
            raise InputError("what_if({}) changes nothing: give {('cart', 'checkout'): 0.05}, for example.")
        weights = self._weights
        now, then = self._raised(weights[0], asked, strict=True)
        draws = [self._raised(row, asked, strict=False) for row in weights[1:]]
        low = high = float("nan")
        if len(draws) > 1:
            outside = (1 - self._analysis.confidence) / 2
            low, high = np.quantile([after - before for before, after in draws], [outside, 1 - outside])
        return pd.DataFrame(
            {
                "to_goal": [now],
                "then": [then],
                "gain": [then - now],
                "low": [float(low)],
                "high": [float(high)],
                "conversions": [(then - now) * self.journeys],
            }
        )

    def memory(self) -> pd.DataFrame:
        """Does what comes next depend on more than the present? Order 1 against order 2.

        Columns `statistic` (likelihood ratio, G²), `degrees`, `p_value` (χ²; Anderson and Goodman 1957) and
        `bic_difference` (of order 2 minus order 1; below 0: the second order is worth its parameters). With
        many journeys the test finds the smallest memory; the difference says whether it matters.
        """
        from scipy import stats

        steps, counts = self._partial.steps[:, :3], self._partial.counts
        known = steps[:, 1] >= 0  # what comes first depends on the start alone
        frame = pd.DataFrame(steps[known], columns=["before", "now", "next"]).assign(n=counts[known])
        frame = frame.groupby(["before", "now", "next"])["n"].sum().reset_index()
        pair = frame.groupby(["before", "now"])["n"].transform("sum")
        single = frame.groupby(["now", "next"])["n"].transform("sum")
        of_now = frame.groupby("now")["n"].transform("sum")
        statistic = 2 * float((frame["n"] * np.log(frame["n"] / pair * of_now / single)).sum())
        befores = frame.groupby("now")["before"].nunique()
        nexts = frame.groupby("now")["next"].nunique()
        degrees = int(((befores - 1) * (nexts - 1)).sum())
        n = int(frame["n"].sum())
        p_value = float(stats.chi2.sf(statistic, degrees)) if degrees else float("nan")
        return pd.DataFrame(
            {
                "statistic": [max(statistic, 0.0)],
                "degrees": [degrees],
                "p_value": [p_value],
                "bic_difference": [degrees * np.log(max(n, 1)) - statistic],
            }
        )

    def plot(self) -> go.Figure:
        """The probability to reach the goal from each name."""
        from cjm_analytics.charts.markov import to_goal_chart

        return to_goal_chart(self.to_frame(), of=self._analysis.by, journeys=self.journeys)

    def _card(self) -> Card:
        frame = self.to_frame()
        reached = float(frame["to_goal"].iloc[0]) if len(frame) else float("nan")
        facts = {"journeys": f"{self.journeys:,}", "reach the goal": f"{100 * reached:.1f} %"}
        return Card(f"Markov chain of {self._analysis.by}s", facts, frame)

    @property
    def _names(self) -> list[str]:
        return [START, *self._partial.names]

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        return self._partial.lots.weights(self._analysis.bootstrap, self._analysis.seed)

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Steps by source and target in one number, by lot, and how often they were taken."""
        steps, n_lots = self._partial.steps, max(len(self._partial.lots), 1)
        n = len(self._partial.names)
        cell = (steps[:, _ORDER - 1].astype(np.int64) + 1) * (n + 3) + steps[:, _ORDER] + 1
        found, number = np.unique(cell * n_lots + steps[:, -1], return_inverse=True)
        taken = np.bincount(number.ravel(), self._partial.counts, len(found)).astype(np.float64)
        return *np.divmod(found, n_lots), taken

    def _counts(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Steps from each name (the start first) to each name, the goal and the end."""
        n = len(self._partial.names)
        cell, lot, taken = self._cells
        counts = np.bincount(cell, taken * weights[lot], (n + 1) * (n + 3)).astype(np.float64)
        return counts.reshape(n + 1, n + 3)

    def _raised(
        self, weights: NDArray[np.float64], asked: list[tuple[int, int, float]], *, strict: bool
    ) -> tuple[float, float]:
        """The probability of the goal from the start as it is, and with the changes."""
        counts = self._counts(weights)
        before = float(_solved(counts)[1][0])
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
        for source, target, change in asked:
            row = shares[source]
            raised = row[target] + change
            rest = 1 - row[target]
            beyond = max(-raised, raised - 1) > _ROUNDING
            impossible = beyond or (rest <= 0 and change < 0) or row.sum() == 0
            if impossible and strict:
                names = [*self._names, GOAL, END]
                if row.sum() == 0:
                    raise InputError(f"Nobody was at {names[source]}: nothing is known of steps from there.")
                raise InputError(
                    f"The step {names[source]} → {names[target]} has probability {row[target]:.3f}: it "
                    f"cannot change by {change:+g}."
                )
            raised = min(max(raised, 0.0), 1.0)
            kept = 0.0 if rest <= 0 else (1 - raised) / rest
            shares[source] = row * kept
            shares[source, target] = raised
        return before, float(_solved(shares)[1][0])


def _chance(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of the goal; missing from a name where nobody was."""
    chance: NDArray[np.float64] = np.where(counts.sum(axis=1) > 0, _solved(counts)[1], np.nan)
    return chance


def _solved(
    counts: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Visits per journey, probability of the goal, and expected steps to it of those that get there.

    Rows are the start and the names; columns the same, then the goal and the end. A name that nothing leaves
    (it was never reached) leads nowhere.
    """
    n = len(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    inside, goal = shares[:, :n], shares[:, n]
    visits = np.linalg.solve((np.eye(n) - inside).T, np.eye(n)[0])
    to_goal = np.linalg.solve(np.eye(n) - inside, goal).clip(0.0, 1.0)
    reached = to_goal > 0
    ahead = np.divide(
        inside * to_goal[None, :], to_goal[:, None], out=np.zeros_like(inside), where=reached[:, None]
    )
    steps = np.linalg.solve(np.eye(n) - ahead, reached.astype(float))
    return visits, to_goal, np.where(reached, steps, np.nan)
