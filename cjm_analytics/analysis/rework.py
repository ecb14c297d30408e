"""Rework: what customers do again, where they go back and forth, and what follows sooner or later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics import statistics
from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.sequences import (
    Asked,
    Symbols,
    check_unit,
    dominant_phases,
    frozen,
    report_rules,
)
from cjm_analytics.engine import run

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["Rework", "ReworkAnalysis", "ReworkPartial", "rework"]


def rework(
    journeys: Journeys, *, of: str = "touchpoint", unit: str = "journey", engine: Engine | None = None
) -> Rework:
    """What customers do again, and what follows what sooner or later.

    A **repeat** is an event directly after one of the same name; a **return** is a run of a name that comes
    after another name, when the name was there before: A A B A has one repeat and one return of A. **Back and
    forth** is A B A, repeats taken as one. B follows A **eventually** in a journey if some event B comes
    after some event A.

    Parameters
    ----------
    journeys : Journeys
    of : {"touchpoint", "stage", "phase", "channel"}
    unit : {"journey", "customer", "session"}
        Where events are looked for.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Rework
        Columns `name, events, journeys` (that have it), `again` (that have two or more), `repeats, repeated`
        (journeys with one), `returns, returned, share` (of the journeys that have it, those that return),
        `low, high` (Wilson). By `returned`, descending, then by name.

    Raises
    ------
    UnknownNameError
        No such `of` or `unit`.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": list("aaaab"), "what": ["cart", "cart", "help", "cart", "cart"],
    ...        "when": [f"2026-01-0{day}" for day in (1, 2, 3, 4, 1)]}
    >>> found = cjm.rework(cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC"))))
    >>> found.to_frame()[["name", "events", "journeys", "repeats", "returns", "returned"]]
       name  events  journeys  repeats  returns  returned
    0  cart       4         2        1        1         1
    1  help       1         1        0        0         0
    """
    return run(ReworkAnalysis.plan(journeys, of=of, unit=unit), journeys, engine)


@dataclass(frozen=True)
class ReworkAnalysis:
    """The question that `rework` asks each partition."""

    codebook: Codebook
    symbols: Symbols
    unit: str
    confidence: float = 0.95

    @classmethod
    def plan(cls, journeys: Journeys, *, of: str = "touchpoint", unit: str = "journey") -> ReworkAnalysis:
        """Check what was asked."""
        check_unit(unit)
        symbols = Symbols.read(journeys.codebook, of)
        return cls(journeys.codebook, symbols, unit, report_rules(journeys).confidence)

    def map(self, partition: Partition) -> ReworkPartial:
        """What comes again in the partition."""
        from cjm_analytics.kernels import rework as kernels

        asked = Asked.of(partition, self.unit)
        counts, pairs = kernels.count_again(
            frozen(asked.offsets), asked.column(self.symbols.of), self.symbols.missing, len(self.symbols)
        )
        return ReworkPartial(
            counts,
            pairs.transpose(1, 2, 0),
            len(asked.offsets) - 1,
            self.symbols.count_phases(partition),
        )

    def finalize(self, partial: ReworkPartial) -> Rework:
        """Name what was counted."""
        from cjm_analytics.kernels import rework as kernels

        counts = partial.counts
        units = counts[:, kernels.UNITS]
        low, high = statistics.wilson(counts[:, kernels.RETURNED], units, self.confidence)
        frame = pd.DataFrame(
            {
                "name": np.array(self.symbols.names, object),
                "events": counts[:, kernels.EVENTS],
                "journeys": units,
                "again": np.diagonal(partial.pairs[:, :, 0]),
                "repeats": counts[:, kernels.REPEATS],
                "repeated": counts[:, kernels.REPEATED],
                "returns": counts[:, kernels.RETURNS],
                "returned": counts[:, kernels.RETURNED],
                "share": counts[:, kernels.RETURNED] / np.maximum(units, 1),
                "low": low,
                "high": high,
                "phase": dominant_phases(self.symbols, partial.phases, self.codebook),
            }
        )
        frame = frame[frame["events"] > 0]
        frame = frame.sort_values(["returned", "name"], ascending=[False, True], ignore_index=True)
        return Rework(
            units=partial.units,
            of=self.symbols.of,
            unit=self.unit,
            _frame=frame,
            _pairs=partial.pairs,
            _names=self.symbols.names,
            _road=self.codebook.phases,
        )


@dataclass(frozen=True, eq=False)
class ReworkPartial:
    """What comes again among some of the customers.

    Attributes
    ----------
    counts : int64, symbols × 6
    pairs : int64, symbols × symbols × 3
        Units in which the second follows the first; runs first second first; units with such.
    units : int
    phases : int64, symbols × (phases + 1)
    """

    counts: NDArray[np.int64]
    pairs: NDArray[np.int64]
    units: int
    phases: NDArray[np.int64]

    def __add__(self, other: ReworkPartial) -> ReworkPartial:
        return ReworkPartial(
            self.counts + other.counts,
            self.pairs + other.pairs,
            self.units + other.units,
            self.phases + other.phases,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Rework(Shown):
    """What customers do again: made by `cjm.rework`.

    Attributes
    ----------
    units : int
        Journeys (customers, sessions) looked at.
    of, unit : str
        As asked.
    """

    units: int
    of: str
    unit: str
    _frame: pd.DataFrame
    _pairs: NDArray[np.int64]
    _names: tuple[str, ...]
    _road: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per name; the columns are those of `rework`."""
        return self._frame.drop(columns="phase")

    def loops(self) -> pd.DataFrame:
        """Back and forth: columns `name, by_way_of, loops, journeys, share`.

        `share` is of the journeys that have the name. By `journeys`, descending, then by name.
        """
        frame = self._of_pairs(2, "by_way_of")
        runs = {(one, two): n for one, two, n in self._cells(1)}
        names = zip(frame["name"], frame["by_way_of"], strict=True)
        frame.insert(2, "loops", [runs[pair] for pair in names])
        return frame

    def follows(self) -> pd.DataFrame:
        """What follows sooner or later: columns `name, followed_by, journeys, share`.

        `share` is of the journeys that have the name. By `journeys`, descending, then by name.
        """
        return self._of_pairs(0, "followed_by")

    def plot(self) -> go.Figure:
        """The share of journeys that return to each name."""
        from cjm_analytics.charts.rework import rework_chart

        return rework_chart(self._frame, road=self._road, of=self.of, unit=self.unit, units=self.units)

    def _card(self) -> Card:
        facts = {
            f"{self.unit}s": f"{self.units:,}",
            "repeats": f"{int(self._frame['repeats'].sum()):,}",
            "returns": f"{int(self._frame['returns'].sum()):,}",
        }
        return Card(f"Rework by {self.of}", facts, self.to_frame())

    def _cells(self, place: int) -> list[tuple[str, str, int]]:
        source, target = np.nonzero(self._pairs[:, :, place])
        counts = self._pairs[source, target, place]
        return [
            (self._names[one], self._names[two], int(n))
            for one, two, n in zip(source.tolist(), target.tolist(), counts, strict=True)
        ]

    def _of_pairs(self, place: int, other: str) -> pd.DataFrame:
        frame = pd.DataFrame(self._cells(place), columns=["name", other, "journeys"])
        have = self._frame.set_index("name")["journeys"]
        frame = frame.assign(share=frame["journeys"] / frame["name"].map(have).astype(float))
        return frame.sort_values(
            ["journeys", "name", other], ascending=[False, True, True], ignore_index=True
        )
