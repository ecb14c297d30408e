"""Matches: how many journeys a path pattern fits, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics import statistics
from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.sequences import (
    Asked,
    Symbols,
    aligned,
    check_by,
    check_goal,
    check_unit,
    frozen,
    has_goal,
    in_order,
    report_rules,
    shares_compared,
    ungrouped,
)
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, check_several
from cjm_analytics.patterns import Automaton, compile_pattern
from cjm_analytics.quantiles import Durations

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition
    from cjm_analytics.model import ReportRules

__all__ = ["Matches", "MatchesAnalysis", "MatchesPartial", "matches"]

_MATCHED, _OCCURRED, _CONVERTED, _CONVERTED_WITH = range(4)


def matches(
    journeys: Journeys,
    patterns: str | Sequence[str] | Mapping[str, str],
    *,
    of: str = "touchpoint",
    unit: str = "journey",
    by: str | None = None,
    goal: str | None = None,
    engine: Engine | None = None,
) -> Matches:
    """How many journeys a path pattern fits, and how often those convert.

    A pattern such as `"product_view -> [^purchase]* -> (end)"` fits a journey if some run of its events
    reads like it; the language has a page of its own in the documentation. Matches are counted so that they
    do not overlap: from the journey's start, each ends as soon as it can, and the next begins behind it.

    `conversion_with` and `conversion_without` are the shares of the matched and the other units that reached
    the goal, whenever they did; their `difference` has Newcombe's interval. It is an association: a long
    journey has more of everything. To ask what lies before the goal, say so in the pattern:
    `"search .. purchase"`.

    Parameters
    ----------
    journeys : Journeys
    patterns : str, sequence of str, or mapping of str to str
        One pattern, several, or names for several.
    of : {"touchpoint", "stage", "phase", "channel"}
        What the names in the patterns are.
    unit : {"journey", "customer", "session"}
        What is counted, and what `(start)` and `(end)` speak of.
    by : str, optional
        A column: the figures of each group, by its value at the unit's first event.
    goal : str, optional
        A marker or touchpoint; default: the model's goal.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Matches
        Columns (what `by` names,) `pattern, matched, units, share, low, high` (Wilson), `matches` (all that
        do not overlap), `conversion_with, conversion_without, difference, difference_low, difference_high,
        p_value, q_value` (pooled z test; Benjamini–Hochberg over all rows with a test), `tests` (how many
        those are), `median_until` (from the unit's first event to the end of its first match),
        `median_length` (from the first to the last event of the first match), `reliability`. Without a goal
        the columns of conversion are missing values.

    Raises
    ------
    PatternError
        A pattern that cannot be read, with a mark under the place.
    UnknownNameError
        No such `of`, `unit`, `by` or `goal`.
    InputError
        No pattern, or two of the same name.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": ["a", "a", "b", "b", "c"], "what": ["ad", "buy", "ad", "help", "ad"],
    ...        "when": ["2026-01-01", "2026-01-02", "2026-01-01", "2026-01-03", "2026-01-01"]}
    >>> journeys = cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC")))
    >>> found = cjm.matches(journeys, ["ad -> [^buy]* -> (end)", "help"])
    >>> found.to_frame()[["pattern", "matched", "units"]]
                      pattern  matched  units
    0  ad -> [^buy]* -> (end)        2      3
    1                    help        1      3
    """
    analysis = MatchesAnalysis.plan(journeys, patterns, of=of, unit=unit, by=by, goal=goal)
    return run(analysis, journeys, engine)


@dataclass(frozen=True, eq=False)
class MatchesAnalysis:
    """The question that `matches` asks each partition."""

    codebook: Codebook
    symbols: Symbols
    names: tuple[str, ...]
    automata: tuple[Automaton, ...]
    unit: str
    by: str | None
    goal: str | None
    has_goal: bool
    rules: ReportRules

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        patterns: str | Sequence[str] | Mapping[str, str],
        *,
        of: str = "touchpoint",
        unit: str = "journey",
        by: str | None = None,
        goal: str | None = None,
    ) -> MatchesAnalysis:
        """Check what was asked."""
        symbols = Symbols.read(journeys.codebook, of)
        check_unit(unit)
        check_by(journeys, by)
        check_goal(journeys.codebook, goal)
        if isinstance(patterns, str):
            named = [(patterns, patterns)]
        elif isinstance(patterns, Mapping):
            named = list(patterns.items())
        else:
            named = [(one, one) for one in patterns]
        if not named:
            raise InputError("patterns= is empty: give at least one, for example 'ad -> .* -> purchase'.")
        names = tuple(str(name) for name, _ in named)
        if len(set(names)) < len(names):
            raise InputError("Two patterns are the same, or have the same name.")
        return cls(
            journeys.codebook,
            symbols,
            names,
            tuple(compile_pattern(text, symbols.names, of=of) for _, text in named),
            unit,
            by,
            goal,
            has_goal(journeys, goal),
            report_rules(journeys),
        )

    def map(self, partition: Partition) -> MatchesPartial:
        """Which units of the partition each pattern fits."""
        asked = Asked.of(partition, self.unit)
        codes, time = asked.column(self.symbols.of), asked.column("time")
        low, high = frozen(asked.offsets[:-1]), frozen(asked.offsets[1:])
        groups = asked.groups(self.by)
        n_groups, n_patterns = len(groups.names), len(self.automata)
        converted = asked.converted(self.goal)
        counts = np.zeros((n_groups, n_patterns, 4), np.int64)
        until, length, key = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number, automaton in enumerate(self.automata):
            found = automaton.matches(low, high, codes, time=time, missing=self.symbols.missing)
            fits = found.n_matches > 0
            for cell, weight in (
                (_MATCHED, fits),
                (_OCCURRED, found.n_matches),
                (_CONVERTED, converted),
                (_CONVERTED_WITH, converted & fits),
            ):
                counts[:, number, cell] = np.bincount(groups.codes, weight, n_groups)
            until.append(time[found.end] - time[low[found.unit]])
            length.append(time[found.end] - time[found.begin])
            key.append(groups.codes[found.unit].astype(np.int64) * n_patterns + number)
        keys = np.concatenate(key)
        return MatchesPartial(
            groups=groups.names,
            units=np.bincount(groups.codes, minlength=n_groups).astype(np.int64),
            counts=counts,
            until=Durations.of(np.concatenate(until), keys),
            length=Durations.of(np.concatenate(length), keys),
        )

    def finalize(self, partial: MatchesPartial) -> Matches:
        """Shares, conversions and their intervals."""
        order = in_order(partial.groups, self.by, self.codebook)
        n = len(self.names)
        counts = partial.counts[order].reshape(-1, 4)
        units = np.repeat(partial.units[order], n)
        matched, without = counts[:, _MATCHED], units - counts[:, _MATCHED]
        low, high = statistics.wilson(matched, units, self.rules.confidence)
        frame = pd.DataFrame(
            {
                "pattern": list(self.names) * len(order),
                "matched": matched,
                "units": units,
                "share": _ratio(matched, units),
                "low": low,
                "high": high,
                "matches": counts[:, _OCCURRED],
            }
        )
        converted, rest = counts[:, _CONVERTED_WITH], counts[:, _CONVERTED] - counts[:, _CONVERTED_WITH]
        for name, values in self._conversion(converted, matched, rest, without).items():
            frame[name] = values
        places = [one * n + number for one in order for number in range(n)]
        for name, bag in (("median_until", partial.until), ("median_length", partial.length)):
            medians = bag.quantiles(0.5, n_groups=len(partial.groups) * n)[places]
            frame[name] = pd.to_timedelta(medians, unit="us")
        n_small = np.minimum(matched, without) if self.has_goal else units
        frame["reliability"] = self.rules.reliabilities(n_small)
        if self.by:
            frame.insert(0, self.by, np.repeat(np.array(partial.groups, object)[order], n))
        return Matches(
            units=int(partial.units.sum()),
            of=self.symbols.of,
            unit=self.unit,
            by=self.by,
            _frame=frame,
            _confidence=self.rules.confidence,
        )

    def _conversion(
        self,
        converted: NDArray[np.int64],
        matched: NDArray[np.int64],
        rest: NDArray[np.int64],
        without: NDArray[np.int64],
    ) -> dict[str, NDArray[np.float64]]:
        columns = ("conversion_with", "conversion_without", "difference", "difference_low",
                   "difference_high", "p_value", "q_value")  # fmt: skip
        if not self.has_goal:
            return {name: np.full(len(matched), np.nan) for name in [*columns, "tests"]}
        tables = (converted, matched, rest, without)
        low, high = statistics.newcombe(*tables, confidence=self.rules.confidence)
        p_value = statistics.two_proportion_test(*tables)[1]
        q_value = statistics.benjamini_hochberg(p_value)
        one, other = _ratio(converted, matched), _ratio(rest, without)
        found = dict(zip(columns, (one, other, one - other, low, high, p_value, q_value), strict=True))
        return {**found, "tests": np.full(len(p_value), (~np.isnan(p_value)).sum())}


def _ratio(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(one, other, out=np.full(len(one), np.nan), where=other > 0)
    return ratio


@dataclass(frozen=True, eq=False)
class MatchesPartial:
    """What the patterns found among some of the customers.

    Attributes
    ----------
    groups : tuple of str
        Sorted.
    units : int64, n_groups
    counts : int64, n_groups × n_patterns × 4
        Units that match, matches, units that converted, and those of them that match.
    until, length : Durations
        From the unit's start to the end of its first match, and of the match itself, by group · n_patterns +
        pattern.
    """

    groups: tuple[str, ...]
    units: NDArray[np.int64]
    counts: NDArray[np.int64]
    until: Durations
    length: Durations

    def __add__(self, other: MatchesPartial) -> MatchesPartial:
        groups, here, there = aligned(self.groups, other.groups)
        n = self.counts.shape[1]
        units = np.zeros(len(groups), np.int64)
        counts = np.zeros((len(groups), n, 4), np.int64)
        bags = []
        for part, place in ((self, here), (other, there)):
            units[place] += part.units
            counts[place] += part.counts
            number = (place[:, None] * n + np.arange(n)).ravel()
            bags.append((part.until.regrouped(number), part.length.regrouped(number)))
        (until, length), (until_too, length_too) = bags
        return MatchesPartial(groups, units, counts, until + until_too, length + length_too)


@dataclass(frozen=True, eq=False, repr=False)
class Matches(Shown):
    """How many journeys patterns fit: made by `cjm.matches`.

    Attributes
    ----------
    units : int
        Journeys (customers, sessions) looked at.
    of, unit, by
        As asked.
    """

    units: int
    of: str
    unit: str
    by: str | None
    _frame: pd.DataFrame
    _confidence: float

    def to_frame(self) -> pd.DataFrame:
        """One row per pattern, within each group; the columns are those of `matches`."""
        return self._frame.copy()

    def compare(self) -> pd.DataFrame:
        """Which patterns differ in share between the groups.

        Every pair of groups, for every pattern: what `by` names and the same as `other_…`, `pattern, share,
        journeys, units, other_share, other_journeys, other_units, difference` with Newcombe's interval `low,
        high`, `p_value`, `q_value` (Benjamini–Hochberg), `tests` (size of the family) and `verdict`.

        Raises
        ------
        InputError
            The matches were not grouped, or there is one group only.
        """
        if not self.by:
            raise ungrouped("matches")
        groups = list(dict.fromkeys(self._frame[self.by]))
        check_several(groups)
        cells = self._frame.set_index([self.by, "pattern"])
        rows = [
            (one, other, name, *cells.loc[(one, name), ["matched", "units"]],
             *cells.loc[(other, name), ["matched", "units"]])
            for one, other in combinations(groups, 2)
            for name in dict.fromkeys(self._frame["pattern"])
        ]  # fmt: skip
        names = [self.by, f"other_{self.by}", "pattern", "journeys", "units", "other_journeys", "other_units"]
        return shares_compared(pd.DataFrame(rows, columns=names), self._confidence)

    def plot(self) -> go.Figure:
        """The share of journeys that each pattern fits, and the conversion with and without it."""
        from cjm_analytics.charts.matches import matches_chart

        return matches_chart(self._frame, unit=self.unit, by=self.by, total=self.units)

    def _card(self) -> Card:
        columns = [*([self.by] if self.by else []), "pattern", "matched", "share", "low", "high", "matches",
                   "conversion_with", "conversion_without", "difference"]  # fmt: skip
        facts = {f"{self.unit}s": f"{self.units:,}", "patterns": f"{self._frame['pattern'].nunique():,}"}
        return Card(f"Patterns over each {self.unit}'s {self.of}s", facts, self._frame[columns])
