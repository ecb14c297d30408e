"""Sub-sequences with gaps that many journeys have, and those that tell converters from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from cjm_analytics import statistics
from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.paths import PathsAnalysis, PathsPartial, PathsTotal
from cjm_analytics.analysis.sequences import dominant_phases
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, check_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Journeys, Partition

__all__ = ["Subsequences", "SubsequencesAnalysis", "subsequences"]

DOTS: Final = " .. "
_MOST: Final = 100_000


def subsequences(  # noqa: PLR0913 - all but the first are named
    journeys: Journeys,
    *,
    of: str = "touchpoint",
    unit: str = "journey",
    min_share: float = 0.05,
    min_length: int = 2,
    max_length: int = 4,
    max_gap: int | None = None,
    collapse: bool = True,
    closed: bool = True,
    top: int | None = 30,
    goal: str | None = None,
    before_goal: bool = False,
    engine: Engine | None = None,
) -> Subsequences:
    """Which events many journeys have in the same order, with others between them.

    A journey has the sub-sequence A .. B .. C if it has an A, later a B, and later a C; direct repeats are
    one event, unless `collapse` is off. Counted once per journey. With `max_gap`, at most so many other
    events lie between neighbours of the sub-sequence. Found by growing prefixes depth first over the
    different paths (Pei et al. 2001, PrefixSpan), exactly.

    Whether a sub-sequence goes with reaching the goal is told by comparing the journeys that have it with
    those that have not: `lift` is the conversion with it by the conversion of all, `odds_ratio` compares the
    odds (each count smoothed by one; `low`, `high` its interval), `p_value` is Fisher's, `q_value` adjusted
    over all sub-sequences found (Benjamini–Hochberg). What comes after the goal is had by converters only:
    with `before_goal` each journey is looked at up to its goal. An association, not a cause: long journeys
    have more sub-sequences.

    Parameters
    ----------
    journeys : Journeys
    of : {"touchpoint", "stage", "phase", "channel"}
    unit : {"journey", "customer", "session"}
    min_share : float
        Only what at least this share of the units has.
    min_length, max_length : int
        How many events it has.
    max_gap : int, optional
        0: neighbours follow directly.
    collapse : bool
        A direct repeat is one event; else A A has the sub-sequence A .. A.
    closed : bool
        Leave out what is part of a longer one, up to `max_length`, that the same number of units have.
    top : int or None
        So many with the most units (ties: the longer first, then by name); None: all.
    goal : str, optional
        A marker or touchpoint; default: the model's goal.
    before_goal : bool
        Leave out the journey's first goal and what comes after it.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Subsequences
        Columns `subsequence, length, journeys, units, share, conversion, lift, odds_ratio, low, high,
        p_value, q_value, tests` (how many sub-sequences `q_value` is adjusted over), `association` (success,
        failure, no clear association). Without a goal the columns from `conversion` on are missing values.

    Raises
    ------
    UnknownNameError
        No such `of`, `unit` or `goal`.
    InputError
        A number out of its range; more than 100,000 sub-sequences are that frequent: raise `min_share`.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": list("aaabbbcc"), "what": ["ad", "help", "buy", "ad", "mail", "buy", "ad", "mail"],
    ...        "when": [f"2026-01-0{day}" for day in (1, 2, 3, 1, 2, 3, 1, 2)]}
    >>> found = cjm.subsequences(cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC"))), min_share=0.5)
    >>> found.to_frame()[["subsequence", "journeys", "units"]]
        subsequence  journeys  units
    0   ad .. buy           2      3
    1  ad .. mail           2      3
    """
    analysis = SubsequencesAnalysis.plan(
        journeys,
        of=of,
        unit=unit,
        min_share=min_share,
        min_length=min_length,
        max_length=max_length,
        max_gap=max_gap,
        collapse=collapse,
        closed=closed,
        top=top,
        goal=goal,
        before_goal=before_goal,
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class SubsequencesAnalysis:
    """The question of `subsequences`: the paths of all units, then what many of them have in common."""

    paths: PathsAnalysis
    min_share: float
    lengths: tuple[int, int]
    max_gap: int
    closed: bool
    top: int | None
    before_goal: bool = False

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str = "touchpoint",
        unit: str = "journey",
        min_share: float = 0.05,
        min_length: int = 2,
        max_length: int = 4,
        max_gap: int | None = None,
        collapse: bool = True,
        closed: bool = True,
        top: int | None = 30,
        goal: str | None = None,
        before_goal: bool = False,
    ) -> SubsequencesAnalysis:
        """Check what was asked."""
        paths = PathsAnalysis.plan(journeys, of=of, unit=unit, goal=goal, top=None, collapse=collapse)
        if isinstance(min_share, bool) or not isinstance(min_share, int | float) or not 0 < min_share <= 1:
            raise InputError(f"min_share={min_share!r} must be a share above 0, at most 1.")
        check_count("min_length", min_length, none=None)
        check_count("max_length", max_length, least=min_length, none=None)
        check_count("max_gap", max_gap, least=0, none="for any")
        check_count("top", top)
        if before_goal and not paths.has_goal:
            raise InputError("before_goal=True needs a goal: give goal='purchase', for example.")
        return cls(
            paths,
            min_share,
            (min_length, max_length),
            -1 if max_gap is None else max_gap,
            closed,
            top,
            before_goal,
        )

    def map(self, partition: Partition) -> PathsPartial:
        """The paths of the partition."""
        if not self.before_goal:
            return self.paths.map(partition)
        goal = np.repeat(partition.goal_times(self.paths.goal), np.diff(partition.offsets))
        return self.paths.map(partition.cut(partition.event("time") < goal))

    def finalize(self, partial: PathsPartial) -> Subsequences:
        """Grow prefixes over all different paths."""
        total = partial.total
        units = int(total.counts.sum())
        weight = np.stack([total.counts, total.converted], axis=1)
        least = max(int(np.ceil(self.min_share * units - 1e-9)), 1)
        found = list(self._grown(total, weight, least)) if units else []
        if self.closed:
            found = _closed(found)
        names = self.paths.symbols.names
        low, high = self.lengths
        kept = [one for one in found if low <= len(one[0]) <= high]
        frame = self._frame(kept, units, int(total.converted.sum()))
        order = ["journeys", "length", "subsequence"]
        frame = frame.sort_values(order, ascending=[False, False, True], ignore_index=True)
        phases = dominant_phases(self.paths.symbols, total.phases, self.paths.codebook)
        return Subsequences(
            units=units,
            found=len(frame),
            of=self.paths.symbols.of,
            unit=self.paths.unit,
            _frame=frame if self.top is None else frame.head(self.top),
            _every=frame,
            _phases=dict(zip(names, phases, strict=True)),
            _road=self.paths.codebook.phases,
        )

    def _grown(
        self, total: PathsTotal, weight: NDArray[np.int64], least: int
    ) -> Iterator[tuple[tuple[int, ...], int, int]]:
        """(symbols, units, converted units) of every frequent sub-sequence."""
        from cjm_analytics.kernels import subsequences as kernels

        flat, offsets = total.flat, total.offsets
        n_symbols = len(self.paths.symbols) + 1  # the sign of a path that was cut comes last
        every = np.arange(len(offsets) - 1)
        # A prefix of nothing ends before the first symbol; its next may come anywhere.
        stack: list[tuple[tuple[int, ...], NDArray[np.int64], NDArray[np.int64]]] = [
            ((), every, offsets[:-1] - 1)
        ]
        n_found = 0
        while stack:
            prefix, paths, places = stack.pop()
            gap = self.max_gap if prefix else -1
            counts = kernels.weigh(flat, offsets, paths, places, weight, gap, n_symbols)
            for symbol in np.flatnonzero(counts[:, 0] >= least)[::-1].tolist():
                grown = (*prefix, symbol)
                n_found += 1
                if n_found > _MOST:
                    raise InputError(
                        f"More than {_MOST:,} sub-sequences are that frequent. Raise min_share "
                        f"({self.min_share:g}), or lower max_length ({self.lengths[1]})."
                    )
                yield grown, int(counts[symbol, 0]), int(counts[symbol, 1])
                if len(grown) < self.lengths[1]:
                    if self.max_gap < 0:
                        following = kernels.earliest(flat, offsets, paths, places, symbol)
                    else:
                        wide = self.max_gap if prefix else len(flat)
                        following = kernels.next_places(flat, offsets, paths, places, symbol, wide)
                    stack.append((grown, *following))

    def _frame(
        self, found: list[tuple[tuple[int, ...], int, int]], units: int, converted: int
    ) -> pd.DataFrame:
        names = np.array(self.paths.symbols.names, object)
        having = np.array([n for _, n, _ in found], np.int64)
        success = np.array([n for _, _, n in found], np.int64)
        frame = pd.DataFrame(
            {
                "subsequence": [DOTS.join(names[list(one)]) for one, _, _ in found],
                "length": np.array([len(one) for one, _, _ in found], np.int64),
                "journeys": having,
                "units": units,
                "share": having / max(units, 1),
            }
        )
        columns = ["conversion", "lift", "odds_ratio", "low", "high", "p_value", "q_value", "tests"]
        if not self.paths.has_goal or not found:
            for name in columns:
                frame[name] = np.nan
            return frame.assign(association="")
        others, other_success = units - having, converted - success
        split = (others > 0) & (0 < converted < units)  # else there is nothing to compare
        confidence = self.paths.confidence
        ratio = statistics.odds_ratio(success, having, other_success, others, confidence=confidence)
        odds, low, high = (np.where(split, one, np.nan) for one in ratio[:3])
        p_value = np.full(len(found), np.nan)
        if split.any():
            p_value[split] = statistics.fisher_exact(
                success[split], having[split], other_success[split], others[split]
            )
        q_value = statistics.benjamini_hochberg(p_value)
        conversion = success / np.maximum(having, 1)
        lift = conversion / (converted / units) if converted else np.full(len(found), np.nan)
        clear = q_value < 1 - confidence
        tests = np.full(len(found), (~np.isnan(p_value)).sum())
        figures = (conversion, lift, odds, low, high, p_value, q_value, tests)
        for name, values in zip(columns, figures, strict=True):
            frame[name] = values
        frame["association"] = np.select(
            [clear & (odds > 1), clear], ["success", "failure"], "no clear association"
        )
        return frame


def _closed(
    found: list[tuple[tuple[int, ...], int, int]],
) -> list[tuple[tuple[int, ...], int, int]]:
    """Without what is part of another one, longer by one, with the same number of units."""
    absorbed: set[tuple[int, ...]] = set()
    counts = {one: n for one, n, _ in found}
    for one, n, _ in found:
        for at in range(len(one)):
            part = one[:at] + one[at + 1 :]
            if counts.get(part) == n:
                absorbed.add(part)
    return [one for one in found if one[0] not in absorbed]


@dataclass(frozen=True, eq=False, repr=False)
class Subsequences(Shown):
    """Sub-sequences with gaps: made by `cjm.subsequences`.

    Attributes
    ----------
    units : int
        Journeys (customers, sessions) looked at.
    found : int
        How many sub-sequences are frequent enough, shown or not.
    of, unit
        As asked.
    """

    units: int
    found: int
    of: str
    unit: str
    _frame: pd.DataFrame
    _every: pd.DataFrame
    _phases: dict[str, str]
    _road: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per sub-sequence, the most frequent first; the columns are those of `subsequences`."""
        return self._frame.copy()

    def discriminating(self, top: int | None = 20) -> pd.DataFrame:
        """Those with a clear association with the goal, the smallest `q_value` first; the same columns.

        Parameters
        ----------
        top : int or None
            At most so many; None: all.
        """
        clear = self._every[self._every["association"].isin(["success", "failure"])]
        strength = np.abs(np.log(clear["odds_ratio"].astype(float)))
        ordered = clear.assign(strength=-strength).sort_values(["q_value", "strength", "subsequence"])
        ordered = ordered.drop(columns="strength").reset_index(drop=True)
        return ordered if top is None else ordered.head(top)

    def plot(self) -> go.Figure:
        """The sub-sequences as rows of blocks in the colours of their phases, with share and conversion."""
        from cjm_analytics.charts.paths import path_rows

        rows = self._frame.reset_index(drop=True)
        blocks = pd.DataFrame(
            [
                (row, position, name, self._phases[name])
                for row, text in enumerate(rows["subsequence"])
                for position, name in enumerate(text.split(DOTS))
            ],
            columns=["row", "position", "name", "phase"],
        )
        converted = np.rint(rows["conversion"].fillna(0).astype(float) * rows["journeys"]).astype(np.int64)
        low, high = statistics.wilson(converted, rows["journeys"])
        shown = rows.assign(path=rows["subsequence"], converted=converted, low=low, high=high)
        shown["median_duration"] = pd.NaT
        return path_rows(
            shown,
            blocks,
            phases=self._road,
            group=None,
            unit=self.unit,
            of=self.of,
            coverage=float("nan"),
            n_paths=self.found,
            total=self.units,
            title=f"{self.of.capitalize()}s in this order, with others between them",
            said=f"{len(rows):,} of {self.found:,} frequent sub-sequences in {self.units:,} {self.unit}s",
            noun="in this order",
        )

    def _card(self) -> Card:
        columns = ["subsequence", "journeys", "share", "conversion", "lift", "odds_ratio", "q_value"]
        facts = {f"{self.unit}s": f"{self.units:,}", "frequent": f"{self.found:,}"}
        return Card(f"Sub-sequences of {self.of}s", facts, self._frame[columns])
