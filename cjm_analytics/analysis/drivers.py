"""What goes with success: events on the way, and properties at the start."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.funnel import UNBOUNDED, Funnel, FunnelAnalysis
from cjm_analytics.analysis.named import Named, columns, observed_until
from cjm_analytics.analysis.sequences import check_goal, frozen, goal_markers, has_goal
from cjm_analytics.durations import microseconds, readable
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, counted
from cjm_analytics.journeys import CLOSED, NEVER, NONE
from cjm_analytics.model import ReportRules
from cjm_analytics.statistics import benjamini_hochberg, fisher_exact, odds_ratio, phi

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.analysis.funnel import StepLike
    from cjm_analytics.durations import Duration
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["Drivers", "DriversAnalysis", "DriversPartial", "drivers"]

SKEW = 10
"""With more than so many successes per failure, or failures per success, few decide everything."""

DEFAULT_WINDOW = "30 days"


def drivers(
    journeys: Journeys,
    *,
    of: str = "conversion",
    funnel: Funnel | Sequence[StepLike] | None = None,
    goal: str | None = None,
    within: Duration | None = None,
    properties: str | Sequence[str] = (),
    settled: bool = True,
    engine: Engine | None = None,
) -> Drivers:
    """Which events on the way, and which properties, are associated with success; not what causes it.

    With a **funnel**, its units that did the first step are asked. Success: they got through. An event is on
    the way if it lies strictly between the first and the last step; of a unit that did not get through,
    between the first step and the end of its window (of the run that first got furthest, as in `cjm.funnel`).
    Steps themselves are no drivers. Without a funnel,
    journeys are asked. Success: the goal within the window from the journey's start; on the way are the
    events before the goal, or of the whole window.

    Each event (and each value of `properties` at the first step, or at the start) divides the units in two:
    those with it and those without. `odds_ratio` compares the odds of success of the two, above 1 where
    success is more frequent with it; each of the four counts is smoothed by one, and the interval is that of
    its logarithm. `p_value` is Fisher's exact test, `q_value` adjusted over all rows after Benjamini and
    Hochberg, `phi` the correlation of the two yes-or-no answers. How often an event occurs does not matter.

    Units that had not the whole window before the observation end are left out, successes too: of recent
    starts only the quick ones are known. With `settled=False` only those are left out that may still succeed.
    Journeys that began before the data did are left out. Longer journeys have more of every event, so that
    what merely takes time looks like a driver: compare what can happen at the same point of the way.

    Parameters
    ----------
    journeys : Journeys
    of : {"conversion"}
        The outcome.
    funnel : Funnel or sequence of steps, optional
        What `cjm.funnel` gave, or its steps.
    goal : str, optional
        A marker or touchpoint, where there is no funnel; default: the model's goal.
    within : str or Timedelta, optional
        The window, default 30 days; a `Funnel` has its own.
    properties : str or sequence of str
        Columns whose values are drivers too: their value at the first step, or at the journey's start.
    settled : bool
        Only units that had the whole window.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    Drivers

    Raises
    ------
    UnknownNameError
        No such outcome, touchpoint, marker or column.
    InputError
        A funnel and a goal, a window for a funnel that has one, no goal at all, or no window where only
        settled units count.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> rows = [(f"c{n}", what, f"2026-01-0{day}") for n in range(40) for day, what in enumerate(
    ...     ["view"] + ["chat"] * (n % 2) + ["buy"] * (n % 4 == 1 or n % 8 == 0), start=1)]
    >>> who, what, when = zip(*[*rows, ("z", "view", "2026-03-01")])
    >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
    ...     {"who": who, "what": what, "when": when},
    ...     customer="who", timestamp="when", event="what", tz="UTC")))
    >>> found = cjm.drivers(journeys, funnel=["view", "buy"], within="7 days").to_frame()
    >>> found[["driver", "n_with", "success_with", "n_without", "success_without", "odds_ratio"]].round(2)
      driver  n_with  success_with  n_without  success_without  odds_ratio
    0   chat      20            10         20                5        2.67
    """
    analysis = DriversAnalysis.plan(
        journeys, of=of, funnel=funnel, goal=goal, within=within, properties=properties, settled=settled
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class DriversAnalysis:
    """What success is, and what may go with it.

    Attributes
    ----------
    funnel : FunnelAnalysis or None
    goal : Named or None
        Without a funnel: the goal by name; None: that of the model.
    goal_markers : int
        Bits of the model's goals.
    window : int
        Microseconds.
    properties : tuple of str
    settled : bool
    hidden : tuple of int
        Touchpoints that are no drivers: steps, and the goal.
    observed_until : int
        Microseconds UTC.
    codebook : Codebook
    rules : ReportRules
    """

    funnel: FunnelAnalysis | None
    goal: Named | None
    goal_markers: int
    window: int
    properties: tuple[str, ...]
    settled: bool
    hidden: tuple[int, ...]
    observed_until: int
    codebook: Codebook
    rules: ReportRules

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str = "conversion",
        funnel: Funnel | Sequence[StepLike] | None = None,
        goal: str | None = None,
        within: Duration | None = None,
        properties: str | Sequence[str] = (),
        settled: bool = True,
    ) -> DriversAnalysis:
        """Check the arguments of `drivers`."""
        if of != "conversion":
            raise UnknownNameError("outcome (of=)", of, ["conversion"])
        if funnel is not None and goal is not None:
            raise InputError(
                "Success is either the end of a funnel or a goal: give funnel= or goal=, not both."
            )
        if isinstance(funnel, Funnel) and within is not None:
            raise InputError("This funnel has its window: leave within= out, or give the steps as a list.")
        codebook = journeys.codebook
        planned, aim, bits = None, None, 0
        if isinstance(funnel, Funnel):
            planned = funnel.analysis
        elif funnel is not None:
            planned = FunnelAnalysis.plan(journeys, funnel, within=within or DEFAULT_WINDOW)
        else:
            check_goal(codebook, goal)
            if not has_goal(journeys, goal):
                raise InputError(
                    "There is no goal: give goal='purchase' (a marker or touchpoint), or funnel=."
                )
            aim = None if goal is None else Named.read(codebook, goal, what="goal")
            bits = goal_markers(journeys)
        if planned is not None and planned.unbounded and settled:
            raise InputError(
                "A funnel without a window has no settled units: give a window, or settled=False."
            )
        if planned is not None:
            window = planned.total
            hidden = {
                code for place in planned.steps for one in place.clauses for code in one.touchpoints or ()
            }
        else:
            window = microseconds(within or DEFAULT_WINDOW, name="within")
            hidden = set(aim.touchpoints) if aim else set()
        return cls(
            funnel=planned,
            goal=aim,
            goal_markers=bits,
            window=window,
            properties=columns(journeys, properties),
            settled=settled,
            hidden=tuple(sorted(hidden)),
            observed_until=planned.end if planned else observed_until(journeys, [aim]),
            codebook=codebook,
            rules=journeys.model.report if journeys.model else ReportRules(),
        )

    def map(self, partition: Partition) -> DriversPartial:
        """Count the partition's units with each event and property, by success."""
        from cjm_analytics.kernels.drivers import count_presence

        n_codes = len(self.codebook.touchpoints)
        if not partition.n_journeys:
            return DriversPartial(np.zeros((n_codes, 2), dtype=np.int64))
        found = self._of_goal(partition) if self.funnel is None else self._of_funnel(partition, self.funnel)
        asked = found.known
        events = count_presence(
            found.begin[asked], found.end[asked], found.until[asked], partition.event("time"),
            partition.event("touchpoint"), partition.event("session"), found.session[asked],
            found.success[asked], n_codes,
        )  # fmt: skip
        values: Counter[tuple[str, str, bool]] = Counter()
        for column in self.properties:
            labels = partition.labels(column)
            shown = np.array([*labels.names, NONE], dtype=object)
            codes = labels.codes[found.first[asked]].astype(np.int64)
            pairs, often = np.unique(
                np.where(codes < 0, len(labels.names), codes) * 2 + found.success[asked], return_counts=True
            )
            for pair, count in zip(pairs.tolist(), often.tolist(), strict=True):
                values[column, shown[pair // 2], bool(pair % 2)] += count
        successes = int(found.success[asked].sum())
        return DriversPartial(
            events,
            values,
            successes,
            int(asked.sum()) - successes,
            len(asked) - int(asked.sum()),
            found.truncated,
        )

    def _of_funnel(self, partition: Partition, funnel: FunnelAnalysis) -> Stretches:
        """The way of each unit that did the first step."""
        counted = funnel.count(partition)
        time = partition.event("time")
        first, success = counted.first, counted.found.depth > funnel.required[-1]
        kind = "journey" if funnel.unit == "attempt" else funnel.unit
        session = np.full(len(first), -1, dtype=np.int32)
        if kind == "session":
            session = partition.event("session")[first].astype(np.int32)
            customer = partition.units("session").customer[counted.owner]
            beyond = partition.units("customer").offsets[1:][customer]
        else:
            beyond = partition.units(kind).offsets[1:][counted.owner]
        until = np.where(success | (self.window >= UNBOUNDED), NEVER, time[first] + self.window)
        return Stretches(
            first=first,
            begin=first + 1,
            end=np.where(success, counted.last, beyond),
            until=np.minimum(until, self.observed_until),
            session=session,
            success=success,
            known=counted.settled if self.settled else success | ~counted.going,
            truncated=0,
        )

    def _of_goal(self, partition: Partition) -> Stretches:
        """The way of each journey."""
        time, offsets = partition.event("time"), partition.offsets
        kept = np.flatnonzero(~partition.journey("truncated").astype(bool))
        first, beyond = offsets[:-1][kept], offsets[1:][kept]
        started = time[first]
        goal = self._goal_rows(partition)[kept]
        horizon = np.minimum(started + self.window, self.observed_until)
        success = (goal >= 0) & (time[goal] <= horizon)
        followed = self.observed_until - started >= self.window
        if self.settled:
            known = followed
        else:
            explicit = partition.journey("closed")[kept] >= CLOSED.index("new cycle")
            ended = explicit & (partition.journey("closed_at")[kept] <= horizon)
            known = (success | followed | ended) & (started <= self.observed_until)
        return Stretches(
            first=first,
            begin=first,
            end=np.where(success, goal, beyond),
            until=horizon,
            session=np.full(len(first), -1, dtype=np.int32),
            success=success,
            known=known,
            truncated=partition.n_journeys - len(kept),
        )

    def _goal_rows(self, partition: Partition) -> NDArray[np.int64]:
        """The row at which each journey first reached the goal; −1 where it did not."""
        from cjm_analytics.kernels.flow import first_rows

        begin, end = partition.offsets[:-1], partition.offsets[1:]
        if self.goal is not None:
            return first_rows(begin, end, self.goal.fits(partition))
        at = partition.event("time") == np.repeat(partition.journey("goal"), np.diff(partition.offsets))
        marked = (partition.event("marker") & np.uint32(self.goal_markers)) != 0
        return first_rows(begin, end, frozen(at & marked))

    def finalize(self, partial: DriversPartial) -> Drivers:
        """Compare units with and without each event and property."""
        rows = [
            (name, "event", *map(int, partial.events[code]))
            for code, name in enumerate(self.codebook.touchpoints)
            if code not in self.hidden and partial.events[code].any()
        ]
        for column, name in sorted({key[:2] for key in partial.properties}):
            counts = (partial.properties[column, name, outcome] for outcome in (False, True))
            rows.append((f"{column} = {name}", column, *counts))
        frame = pd.DataFrame(rows, columns=["driver", "kind", "failure_with", "success_with"])
        success = frame["success_with"].to_numpy(dtype=np.int64)
        n = success + frame.pop("failure_with").to_numpy(dtype=np.int64)
        other, other_n = partial.successes - success, partial.successes + partial.failures - n
        # Where all units have it, or all succeed, there is nothing to compare.
        split = (n > 0) & (other_n > 0) & (partial.successes > 0) & (partial.failures > 0)
        ratio = odds_ratio(success, n, other, other_n, confidence=self.rules.confidence)
        value, low, high = (np.where(split, one, np.nan) for one in ratio[:3])
        p_value = np.full(len(frame), np.nan)
        if split.any():
            p_value[split] = fisher_exact(success[split], n[split], other[split], other_n[split])
        q_value = benjamini_hochberg(p_value)
        clear = q_value < 1 - self.rules.confidence
        fewer = np.minimum(n, other_n)
        with np.errstate(divide="ignore", invalid="ignore"):
            frame = frame.assign(
                n_with=n,
                conversion_with=np.where(n > 0, success / n, np.nan),
                n_without=other_n,
                success_without=other,
                conversion_without=np.where(other_n > 0, other / other_n, np.nan),
                odds_ratio=value,
                low=low,
                high=high,
                p_value=p_value,
                q_value=q_value,
                tests=int(split.sum()),
                phi=phi(success, n, other, other_n),
                association=np.where(
                    clear, np.where(value > 1, "success", "failure"), "no clear association"
                ),
                reliability=self.rules.reliabilities(fewer),
            )
        frame = frame.sort_values(["q_value", "p_value", "driver"], kind="stable", ignore_index=True)
        return Drivers(frame[_COLUMNS], self, partial)


_COLUMNS = [
    "driver", "kind", "n_with", "success_with", "conversion_with", "n_without", "success_without",
    "conversion_without", "odds_ratio", "low", "high", "p_value", "q_value", "tests", "phi", "association",
    "reliability",
]  # fmt: skip


class Stretches(NamedTuple):
    """The way of each unit: rows `begin:end` up to an instant, and what became of it.

    `first` is the row at which it starts, `session` the session to which its rows must belong (−1: any),
    `known` says whether the unit counts, `truncated` how many began before the data did.
    """

    first: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    until: NDArray[np.int64]
    session: NDArray[np.int32]
    success: NDArray[np.bool_]
    known: NDArray[np.bool_]
    truncated: int


@dataclass(frozen=True, eq=False)
class DriversPartial:
    """Units of some of the customers by what they have, and by success.

    Attributes
    ----------
    events : int64, touchpoints × (failure, success)
    properties : Counter
        Units by (column, value, success).
    successes, failures, open, truncated : int
    """

    events: NDArray[np.int64]
    properties: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    successes: int = 0
    failures: int = 0
    open: int = 0
    truncated: int = 0

    def __add__(self, other: DriversPartial) -> DriversPartial:
        return DriversPartial(
            self.events + other.events,
            self.properties + other.properties,
            self.successes + other.successes,
            self.failures + other.failures,
            self.open + other.open,
            self.truncated + other.truncated,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Drivers(Shown):
    """What goes with success: made by `cjm.drivers`.

    Attributes
    ----------
    successes, failures : int
        Units that were compared.
    skewed : bool
        One of the two outnumbers the other by more than 10 to 1: few units decide about every row.
    open : int
        Units left out because their outcome, or their whole window, was not seen.
    truncated : int
        Journeys left out because they began before the data did.
    observation_end : pandas.Timestamp
    """

    _frame: pd.DataFrame
    _analysis: DriversAnalysis
    _partial: DriversPartial

    @property
    def successes(self) -> int:
        return self._partial.successes

    @property
    def failures(self) -> int:
        return self._partial.failures

    @property
    def skewed(self) -> bool:
        fewer, more = sorted((self.successes, self.failures))
        return more > SKEW * fewer

    @property
    def open(self) -> int:
        return self._partial.open

    @property
    def truncated(self) -> int:
        return self._partial.truncated

    @property
    def observation_end(self) -> pd.Timestamp:
        return pd.Timestamp(self._analysis.observed_until, unit="us", tz="UTC")

    def to_frame(self) -> pd.DataFrame:
        """One row per event or value, the clearest association first.

        Columns: `driver`, `kind` (`event`, or the column), `n_with` (units that have it), `success_with` (of
        them), `conversion_with` (their share), `n_without`, `success_without`, `conversion_without`,
        `odds_ratio`, `low`, `high`, `p_value`, `q_value`, `tests` (size of the family: all rows with a
        p-value), `phi`, `association` (`success`, `failure` or `no clear association`), `reliability`
        (`hidden` when fewer than the model's `min_n` have it, or have it not, `weak` below `weak_n`, else
        `ok`). Where all units have it, or all succeed, or none, there is nothing to compare.
        """
        return self._frame.copy()

    def plot(self) -> go.Figure:
        """Odds ratios with their intervals, sorted; what few units have is not drawn."""
        from cjm_analytics.charts.drivers import drivers_chart

        return drivers_chart(self._frame, subtitle=self._compared, warning=self._warning)

    @property
    def _compared(self) -> str:
        window = self._analysis.window
        within = "" if window >= UNBOUNDED else f" within {readable(window)}"
        successes = counted(self.successes, "success", "successes")
        return f"{successes} and {counted(self.failures, 'failure')}{within}"

    @property
    def _warning(self) -> str:
        return (
            f"Successes and failures are more than {SKEW} to 1: few units decide about every row."
            if self.skewed
            else ""
        )

    def _card(self) -> Card:
        facts: dict[str, Any] = {
            "successes": f"{self.successes:,}",
            "failures": f"{self.failures:,}",
            "left out, not seen long enough": f"{self.open:,}",
            "observed until": f"{self.observation_end:%Y-%m-%d %H:%M} UTC",
        }
        note = f"{self._warning} Associated with success, which is not to say that it causes it.".strip()
        shown = [name for name in _COLUMNS if name not in {"tests", "kind", "p_value"}]
        return Card("Drivers of conversion", facts, self._frame[shown], note=note, percent=False)
